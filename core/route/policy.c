#include "policy.h"
#include "core/base/alloc.h"
#include "core/base/arena.h"
#include "core/base/text.h"
#include <assert.h>

#define MINUTE_MS INT64_C(60000)
#define HOUR_MS (60 * MINUTE_MS)
#define DAY_MS (24 * HOUR_MS)

enum lane lane_of(enum topic_class class, bool test)
{
  if (test)
    return LANE_TEST;
  switch (class) {
  case CLASS_CRITICAL: return LANE_CRITICAL;
  case CLASS_CONVERSATION: return LANE_CONVERSATION;
  case CLASS_TRANSACTIONAL: return LANE_TRANSACTIONAL;
  case CLASS_MARKETING: return LANE_MARKETING;
  }
  return LANE_TRANSACTIONAL;
}

static int64_t class_expires_ms(enum topic_class class)
{
  switch (class) {
  case CLASS_CRITICAL: return 5 * MINUTE_MS;
  case CLASS_CONVERSATION:
  case CLASS_TRANSACTIONAL: return 24 * HOUR_MS;
  case CLASS_MARKETING: return 5 * DAY_MS;
  }
  return 24 * HOUR_MS;
}

int64_t topic_expires_ms(const struct policy_topic *topic)
{
  return topic->expires_in_ms > 0 ? topic->expires_in_ms : class_expires_ms(topic->class);
}

const char *until_name(enum until until)
{
  switch (until) {
  case UNTIL_SENT: return "sent";
  case UNTIL_DELIVERED: return "delivered";
  case UNTIL_READ: return "read";
  case UNTIL_REPLIED: return "replied";
  }
  return "sent";
}

bool until_parse(parley_text word, enum until *ret)
{
  for (enum until until = UNTIL_SENT; until <= UNTIL_REPLIED; until++) {
    if (parley_text_is(word, until_name(until))) {
      *ret = until;
      return true;
    }
  }
  return false;
}

bool until_tellable(enum until until, uint32_t receipts, uint32_t flags)
{
  uint32_t read = PARLEY_BIT(PARLEY_RECEIPT_READ), delivered = PARLEY_BIT(PARLEY_RECEIPT_DELIVERED) | read;

  switch (until) {
  case UNTIL_SENT: return true;
  case UNTIL_DELIVERED: return (receipts & delivered) != 0;
  case UNTIL_READ: return (receipts & read) != 0;
  case UNTIL_REPLIED: return (flags & PARLEY_INBOUND) != 0;
  }
  return false;
}

struct policy *policy_new(void)
{
  struct arena *arena = arena_new();
  struct policy *policy = arena_alloc(arena, sizeof *policy);

  atomic_init(&policy->refs, 1);
  policy->arena = arena;
  return policy;
}

struct policy *policy_ref(struct policy *policy)
{
  atomic_fetch_add_explicit(&policy->refs, 1, memory_order_relaxed);
  return policy;
}

void policy_unref(struct policy **policy)
{
  struct policy *mine = *policy;

  *policy = NULL;
  if (mine == NULL)
    return;
  if (atomic_fetch_sub_explicit(&mine->refs, 1, memory_order_acq_rel) == 1) {
    struct arena *arena = mine->arena; /* the policy lies in it as well */

    if (mine->templates != NULL)
      template_set_done(mine->templates);
    arena_free(&arena);
  }
}

const struct policy_channel *policy_find_channel(const struct policy *policy, parley_text name)
{
  for (size_t i = 0; i < policy->n_channels; i++) {
    if (text_eq(policy->channels[i].name, name))
      return &policy->channels[i];
  }
  return NULL;
}

const struct policy_topic *policy_find_topic(const struct policy *policy, parley_text name)
{
  for (size_t i = 0; i < policy->n_topics; i++) {
    if (text_eq(policy->topics[i].name, name))
      return &policy->topics[i];
  }
  return NULL;
}

const struct policy_topic *policy_reply_topic(const struct policy *policy)
{
  const struct policy_topic *support = policy_find_topic(policy, PARLEY_LIT("support"));

  for (size_t i = 0; support == NULL && i < policy->n_topics; i++) {
    if (policy->topics[i].class == CLASS_CONVERSATION)
      return &policy->topics[i];
  }
  return support;
}

const struct policy_plan *policy_find_plan(const struct policy *policy, parley_text name)
{
  for (size_t i = 0; i < policy->n_plans; i++) {
    if (text_eq(policy->plans[i].name, name))
      return &policy->plans[i];
  }
  return NULL;
}

/* Hold is worse than query is worse than resend; UNKNOWN_DEFAULT says nothing. A query where the plugin has none:
 * resend. */
enum on_unknown policy_on_unknown(const struct policy_topic *topic, const struct policy_channel *channel)
{
  enum on_unknown of_topic = topic == NULL ? UNKNOWN_DEFAULT : topic->on_unknown;
  enum on_unknown stricter = of_topic > channel->on_unknown ? of_topic : channel->on_unknown;

  if (stricter == UNKNOWN_DEFAULT || stricter == UNKNOWN_QUERY)
    return channel->can_query ? UNKNOWN_QUERY : UNKNOWN_RESEND;
  return stricter;
}
