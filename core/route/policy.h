/* policy.h - what the configuration says about topics, plans and channels, as the choke point sees it. Immutable once
 * built and shared by reference count (core/daemon builds one at start and at each reload). Thread: any; `room` is
 * atomic. */
#ifndef CORE_ROUTE_POLICY_H
#define CORE_ROUTE_POLICY_H
#include "core/config/conf.h"
#include "core/customer/consent.h"
#include "core/customer/keyword.h"
#include "core/message/template.h"
#include <stdatomic.h>
#include <stdbool.h>

/* By class of topic; LANE_TEST: what test keys send, which the built-in sink carries whatever the channel's state. */
enum lane { LANE_CRITICAL, LANE_CONVERSATION, LANE_TRANSACTIONAL, LANE_MARKETING, LANE_TEST, LANES };
enum lane lane_of(enum topic_class class, bool test);
enum on_unknown { UNKNOWN_DEFAULT, UNKNOWN_RESEND, UNKNOWN_QUERY, UNKNOWN_HOLD };
enum until { UNTIL_SENT = 1, UNTIL_DELIVERED, UNTIL_READ, UNTIL_REPLIED };
const char *until_name(enum until until);
bool until_parse(parley_text word, enum until *ret);
/* Whether a channel with these receipts (PARLEY_BIT(PARLEY_RECEIPT_*)) and flags (PARLEY_INBOUND) can ever tell it. */
bool until_tellable(enum until until, uint32_t receipts, uint32_t flags);

/* How many messages of each lane the store may hand to core/deliver directly after the commit, without a detour through
 * the queue. deliver gives; the store takes one before it claims, and gives back what a failed commit did not use. 0
 * while older messages of that lane wait in the store, so that nothing overtakes. Lives as long as the channel's name
 * is known. */
struct lane_room { atomic_int room[LANES]; };

struct policy_channel {
  parley_text name, channel_kind, address_kind; /* address_kind "none": a fixed endpoint */
  uint32_t flags, receipts;                     /* PARLEY_ORDERED ...; PARLEY_BIT(PARLEY_RECEIPT_*) */
  bool can_query;
  enum on_unknown on_unknown;
  struct lane_room *room;
  const struct keywords *keywords; /* what it listens to: STOP and its kin; NULL: it does not */
};
struct policy_topic {
  parley_text name;
  enum topic_class class;
  enum on_unknown on_unknown;
  int64_t expires_in_ms; /* 0: the class's default */
  parley_text title;     /* as customers read it */
  bool track_clicks, track_opens;
};
static inline parley_text policy_title(const struct policy_topic *topic) { return topic->title.len > 0 ? topic->title : topic->name; }
/* The topic of messages that ask somebody to confirm a consent. There without being configured, of class transactional. */
#define POLICY_TOPIC_CONFIRMATION "confirmation"
/* The topic of what answers STOP, START and HELP. Always there, of class critical: first in line, and not sent at all once the five
 * minutes are over within which a confirmation may come (47 CFR 64.1200(a)(12)). Nobody can send under it or configure it. */
#define POLICY_TOPIC_KEYWORDS CONF_TOPIC_RESERVED
struct policy_step {
  const struct policy_channel *channel;
  enum until until;
  int64_t within_ms; /* 0: as long as the message lives */
};
struct policy_plan { parley_text name; size_t n_steps; struct policy_step *steps; };

#define PLAN_STEPS_MAX 8
struct policy {
  atomic_int refs;
  struct arena *arena; /* all below lives here */
  parley_text public_url; /* of links that strangers open */
  size_t n_channels, n_topics, n_plans;
  struct policy_channel *channels;
  struct policy_topic *topics;
  struct template_set *templates; /* of the configuration; NULL: none. Freed with the policy */
  struct policy_plan
      *plans; /* "default" is taken where neither plan nor channels is said and no plan has the topic's name */
};
struct policy *policy_new(void); /* one reference; an empty policy in an arena of its own, to be filled by its maker */
struct policy *policy_ref(struct policy *policy);
void policy_unref(struct policy **policy);
const struct policy_channel *policy_find_channel(const struct policy *policy, parley_text name); /* NULL: none */
const struct policy_topic *policy_find_topic(const struct policy *policy, parley_text name);
const struct policy_plan *policy_find_plan(const struct policy *policy, parley_text name);
/* What answers to customers go out under: "support", else the first topic of class conversation; NULL: there is none. */
const struct policy_topic *policy_reply_topic(const struct policy *policy);
/* How long a message of it lives that says nothing of that: as configured, else critical 5 min, conversation and transactional 24 h,
 * marketing 5 d. */
int64_t topic_expires_ms(const struct policy_topic *topic);
/* The stricter of channel and topic: hold > query > resend. UNKNOWN_DEFAULT, or a query where the plugin has none: query
 * where it can, else resend. Never UNKNOWN_DEFAULT. topic may be NULL. */
enum on_unknown policy_on_unknown(const struct policy_topic *topic, const struct policy_channel *channel);
#endif
