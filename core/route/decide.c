#include "rules.h"
#include "core/base/text.h"

static const char *const VERDICT_NAMES[] = {[STEP_GO] = "go", [STEP_NO_ADDRESS] = "no_address",
                                            [STEP_NO_CONSENT] = "no_consent", [STEP_SUPPRESSED] = "address_suppressed",
                                            [STEP_OPTED_OUT] = "opted_out"};

const char *step_verdict_name(enum step_verdict verdict)
{
  return VERDICT_NAMES[verdict];
}

/* --- Which address ------------------------------------------------------------------------------------------------ */

/* Verified before others, then the one used last, then the newest. */
static bool identity_is_better(const struct facts_identity *a, const struct facts_identity *b)
{
  bool a_verified = a->identity.assurance == PARLEY_VERIFIED, b_verified = b->identity.assurance == PARLEY_VERIFIED;

  if (a_verified != b_verified)
    return a_verified;
  if (a->used_ms != b->used_ms)
    return a->used_ms > b->used_ms;
  return a->id > b->id;
}

struct address_choice {
  const struct facts_identity *best;
  bool suppressed; /* no best, because what there is is suppressed */
  bool opted_out;  /* or has said STOP on this kind of channel */
};
struct address_wanted {
  const struct policy_channel *channel;
  bool although_opted_out;
};

static bool has_opted_out(const struct facts_identity *identity, parley_text channel_kind)
{
  for (size_t i = 0; i < identity->n_opted_out; i++)
    if (text_eq(identity->opted_out[i], channel_kind))
      return true;
  return false;
}

/* Of the named ones, or of the customer's own. */
static struct address_choice address_choose(const struct facts *facts, const struct address_wanted *wanted, bool named,
                                            bool *ret_any)
{
  struct address_choice choice = {0};

  *ret_any = false;
  for (size_t i = 0; i < facts->n_identities; i++) {
    const struct facts_identity *each = &facts->identities[i];

    if (each->named != named || !text_eq(each->identity.kind, wanted->channel->address_kind))
      continue;
    *ret_any = true;
    if (each->blocked)
      continue;
    if (each->suppressed)
      choice.suppressed = true;
    else if (!wanted->although_opted_out && has_opted_out(each, wanted->channel->channel_kind))
      choice.opted_out = true;
    else if (choice.best == NULL || identity_is_better(each, choice.best))
      choice.best = each;
  }
  return choice;
}

/* Who names an address of this kind means that one and no other. */
static struct address_choice address_find(const struct facts *facts, const struct address_wanted *wanted)
{
  bool any;
  struct address_choice choice = address_choose(facts, wanted, true, &any);

  return any ? choice : address_choose(facts, wanted, false, &any);
}

/* What a person said weighs more than what a provider found. */
static enum step_verdict verdict_without(const struct address_choice *choice)
{
  return choice->opted_out ? STEP_OPTED_OUT : choice->suppressed ? STEP_SUPPRESSED : STEP_NO_ADDRESS;
}

/* --- Step by step ------------------------------------------------------------------------------------------------- */

static enum consent_rule consent_rule(enum topic_class class, enum consent_verdict verdict)
{
  if (verdict == CONSENT_WITHDRAWN)
    return RULE_WITHDRAWN;
  if (verdict == CONSENT_MISSING)
    return RULE_NO_GRANT;
  switch (class) {
  case CLASS_CRITICAL: return RULE_CRITICAL;
  case CLASS_CONVERSATION: return RULE_CONVERSATION;
  case CLASS_TRANSACTIONAL: return RULE_TRANSACTIONAL;
  case CLASS_MARKETING: return RULE_GRANTED;
  }
  return RULE_NONE;
}

/* A fixed endpoint needs no address; it is told whom the message is for: as named, else as known. */
static void step_name_person(const struct facts *facts, struct decided_step *step)
{
  const struct facts_identity *best = NULL;

  for (size_t i = 0; i < facts->n_identities; i++) {
    const struct facts_identity *each = &facts->identities[i];

    if (best == NULL || (each->named && !best->named) || (each->named == best->named && identity_is_better(each, best)))
      best = each;
  }
  step->fixed = true;
  if (best == NULL)
    return;
  step->identity = best->foreign ? 0 : best->id;
  step->address_kind = best->identity.kind;
  step->address = best->identity.value;
}

static void step_decide(const struct submission *submission, const struct facts *facts, const struct policy_step *step,
                        struct decision *decision, struct decided_step *ret)
{
  const struct policy_channel *channel = step->channel;
  const struct policy_topic *topic = submission->topic;
  bool needs_address = !parley_text_is(channel->address_kind, "none");
  struct address_choice choice = {0};
  enum consent_verdict consent;

  *ret = (struct decided_step){.channel = channel->name, .channel_kind = channel->channel_kind, .verdict = STEP_GO,
                               .until = step->until, .within_ms = step->within_ms};
  if (needs_address) {
    choice = address_find(facts, &(struct address_wanted){channel, submission->answers_keyword});
    if (choice.best == NULL) {
      ret->verdict = verdict_without(&choice);
      return;
    }
    ret->identity = choice.best->foreign ? 0 : choice.best->id;
    ret->address_kind = choice.best->identity.kind;
    ret->address = choice.best->identity.value;
  } else {
    step_name_person(facts, ret);
  }
  if (submission->answers_keyword) {
    decision->consent_rule = consent_rule_text(RULE_KEYWORD);
    return;
  }
  consent = consent_check(topic->class, topic->name, channel->channel_kind, facts->consents, facts->n_consents);
  if (decision->first < 0) /* of the step that goes, else of the last one that was asked */
    decision->consent_rule = consent_rule_text(consent_rule(topic->class, consent));
  if (consent != CONSENT_PASS)
    ret->verdict = STEP_NO_CONSENT;
}

/* Nothing can be sent: what stopped the last step says how the message ends. */
static void decision_end(struct decision *decision)
{
  enum step_verdict last = decision->n_steps == 0 ? STEP_NO_ADDRESS : decision->steps[decision->n_steps - 1].verdict;
  bool by_rule = last == STEP_NO_CONSENT || last == STEP_SUPPRESSED || last == STEP_OPTED_OUT;

  decision->end = by_rule ? "suppressed" : "failed";
  decision->reason = by_rule ? step_verdict_name(last) : "no_route";
}

static id64 filed_under(const struct facts *facts, const struct decision *decision)
{
  if (decision->first >= 0 && decision->steps[decision->first].identity != 0)
    return decision->steps[decision->first].identity;
  for (size_t i = 0; i < facts->n_identities; i++) {
    if (facts->identities[i].named && !facts->identities[i].foreign)
      return facts->identities[i].id;
  }
  return 0;
}

static void warn_of_foreign(const struct facts *facts, struct arena *arena, struct decision *decision)
{
  for (size_t i = 0; i < facts->n_identities && decision->n_warnings < DECISION_WARNINGS_MAX; i++) {
    const struct facts_identity *each = &facts->identities[i];
    struct buf masked = BUF_INIT(IDENTITY_KIND_BYTES_MAX + IDENTITY_VALUE_BYTES_MAX + 1);

    if (!each->named || !each->foreign)
      continue;
    buf_text(&masked, each->identity.kind);
    buf_char(&masked, ':');
    buf_identity_masked(&masked, each->identity.kind, each->identity.value);
    decision->warnings[decision->n_warnings].code = "identity_conflict";
    decision->warnings[decision->n_warnings++].detail = arena_text(arena, buf_as_text(&masked));
    buf_done(&masked);
  }
}

/* Mailbox providers show the beginning of a long page and a link: what stands at its end (an unsubscribe link, perhaps) is not seen. */
static void warn_of_clipping(const struct submission *submission, struct arena *arena, struct decision *decision)
{
  for (size_t i = 0; i < decision->n_steps && decision->n_warnings < DECISION_WARNINGS_MAX; i++) {
    const struct policy_channel *channel = submission->steps[i].channel;
    struct buf size = BUF_INIT(512);
    struct content content;

    if (!parley_text_is(decision->steps[i].channel_kind, "email"))
      continue;
    content = content_for(&submission->content, channel->name, "email");
    if (content.html.len <= CONTENT_CLIPPED_BYTES)
      continue;
    buf_text(&size, channel->name);
    buf_printf(&size, ": the html has %zu bytes; Gmail shows the first %zu and hides the rest", content.html.len,
               CONTENT_CLIPPED_BYTES);
    decision->warnings[decision->n_warnings].code = "html_clipped";
    decision->warnings[decision->n_warnings++].detail = arena_text(arena, buf_as_text(&size));
    buf_done(&size);
  }
}

void decide(const struct submission *submission, const struct facts *facts, struct arena *arena, struct decision *ret)
{
  *ret = (struct decision){.first = -1};
  for (size_t i = 0; i < submission->n_steps && i < PLAN_STEPS_MAX; i++) {
    step_decide(submission, facts, &submission->steps[i], ret, &ret->steps[i]);
    ret->n_steps = i + 1;
    if (ret->first < 0 && ret->steps[i].verdict == STEP_GO)
      ret->first = (int)i;
  }
  if (ret->first < 0)
    decision_end(ret);
  ret->identity = filed_under(facts, ret);
  warn_of_foreign(facts, arena, ret);
  warn_of_clipping(submission, arena, ret);
}
