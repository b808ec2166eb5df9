/* store_messages.h - a small policy, and messages to accept under it, for the tests of the store. */
#ifndef TESTS_STORE_MESSAGES_H
#define TESTS_STORE_MESSAGES_H
#include "store_fixture.h"

enum { MAIL, SMS, CHAT, HOOK, CHANNELS };

struct rules {
  struct policy *policy;
  struct lane_room rooms[CHANNELS];
};

static inline void rules_init(struct rules *rules, int room)
{
  static const struct { const char *name, *kind, *address; uint32_t flags, receipts; } rows[CHANNELS] = {
      {"mail", "email", "email", 0, 0},
      {"sms", "sms", "phone", 0, PARLEY_BIT(PARLEY_RECEIPT_DELIVERED)},
      {"chat", "chat", "telegram", PARLEY_ORDERED | PARLEY_INBOUND, 0},
      {"hook", "webhook", "none", 0, PARLEY_BIT(PARLEY_RECEIPT_DELIVERED)},
  };
  static const struct policy_topic topics[] = {
      {.name = PARLEY_LIT("orders"), .class = CLASS_TRANSACTIONAL, .on_unknown = UNKNOWN_DEFAULT},
      {.name = PARLEY_LIT("news"), .class = CLASS_MARKETING, .on_unknown = UNKNOWN_DEFAULT},
      {.name = PARLEY_LIT("wire"), .class = CLASS_TRANSACTIONAL, .on_unknown = UNKNOWN_HOLD},
      {.name = PARLEY_LIT("codes"), .class = CLASS_CRITICAL, .on_unknown = UNKNOWN_DEFAULT},
      {.name = PARLEY_LIT(POLICY_TOPIC_KEYWORDS), .class = CLASS_CRITICAL, .on_unknown = UNKNOWN_DEFAULT},
  };
  struct policy *policy = policy_new();

  policy->n_channels = CHANNELS;
  policy->channels = arena_alloc(policy->arena, CHANNELS * sizeof(*policy->channels));
  for (int i = 0; i < CHANNELS; i++) {
    for (int lane = 0; lane < LANES; lane++)
      atomic_init(&rules->rooms[i].room[lane], room);
    policy->channels[i] = (struct policy_channel){.name = parley_text_of(rows[i].name),
                                                  .channel_kind = parley_text_of(rows[i].kind),
                                                  .address_kind = parley_text_of(rows[i].address),
                                                  .flags = rows[i].flags,
                                                  .receipts = rows[i].receipts,
                                                  .room = &rules->rooms[i]};
  }
  policy->n_topics = COUNT_OF(topics);
  policy->topics = arena_alloc(policy->arena, sizeof(topics));
  memcpy(policy->topics, topics, sizeof(topics));
  rules->policy = policy;
}

static inline void rules_done(struct rules *rules)
{
  policy_unref(&rules->policy);
}

static inline void rules_room(struct rules *rules, int room)
{
  for (int i = 0; i < CHANNELS; i++)
    for (int lane = 0; lane < LANES; lane++)
      atomic_store(&rules->rooms[i].room[lane], room);
}

/* To one address, over one channel; tests change what they need before it is accepted. */
static inline struct submission *submission_make(struct fixture *f, struct rules *rules, const char *kind, const char *value,
                                                 int channel)
{
  struct arena *arena = arena_new();
  struct submission *submission = arena_alloc(arena, sizeof(*submission));

  submission->arena = arena;
  submission->policy = policy_ref(rules->policy);
  submission->topic = &rules->policy->topics[0];
  submission->n_steps = 1;
  submission->steps[0] = (struct policy_step){&rules->policy->channels[channel], UNTIL_SENT, 0};
  submission->body = PARLEY_LIT("{\"content\":{\"text\":\"hello\"}}");
  submission->now_ms = f->fake.now_ms;
  submission->expires_ms = f->fake.now_ms + 86400000;
  if (kind != NULL) {
    submission->to.n_identities = 1;
    submission->to.identities[0] =
        (struct identity){parley_text_of(kind), arena_text(arena, parley_text_of(value)), parley_text_of(value), 0};
  }
  return submission;
}

struct accepted { /* what a test keeps of an accept */
  parley_status status;
  enum accept_result result;
  id64 message, customer;
  enum message_state state;
  bool claimed, replayed;
  enum store_replay replay;
  uint32_t step;
  uint64_t token;
};

static inline struct accepted accepted_of(struct store_accept *accept)
{
  struct accept_item *item = &accept->items[0];
  struct accepted kept = {.status = accept->op.status,
                          .result = item->result,
                          .message = item->message,
                          .customer = item->customer,
                          .state = item->state,
                          .claimed = item->claim != NULL,
                          .replay = accept->op.replay};

  if (item->claim != NULL) {
    kept.step = item->claim->step;
    kept.token = item->claim->token;
    ck_assert_ptr_null(item->submission);
    submission_free(&item->claim->submission);
  }
  submission_free(&item->submission);
  arena_free(&accept->op.arena);
  return kept;
}

static inline struct accepted accept_one(struct fixture *f, struct submission *submission)
{
  struct accept_item item = {.submission = submission};
  struct store_accept accept = {.decide = decide, .n_items = 1, .items = &item};

  fixture_run(f, &accept.op, STORE_ACCEPT);
  return accepted_of(&accept);
}

static inline struct accepted accept_to(struct fixture *f, struct rules *rules, const char *kind, const char *value, int channel)
{
  return accept_one(f, submission_make(f, rules, kind, value, channel));
}

/* The next claim of a settle, or what a claim op brought, as a test needs it. */
struct taken { /* the first of n claims */
  size_t n;
  id64 message;
  uint32_t step, attempt, deaths;
  uint64_t token;
  bool resent, query;
  int64_t next_due_ms, handed_ms;
};

static inline struct taken claim_on(struct fixture *f, struct rules *rules, int channel, size_t limit)
{
  struct store_claim claim = {.channel = &rules->policy->channels[channel],
                              .policy = rules->policy,
                              .lane = LANE_TRANSACTIONAL,
                              .limit = limit,
                              .now_ms = f->fake.now_ms};
  struct taken taken = {0};

  ck_assert_int_eq(fixture_run(f, &claim.op, STORE_CLAIM), PARLEY_OK);
  taken.n = claim.n_claims;
  taken.next_due_ms = claim.next_due_ms;
  if (claim.n_claims > 0) {
    taken.message = claim.claims[0].message;
    taken.step = claim.claims[0].step;
    taken.attempt = claim.claims[0].attempt;
    taken.token = claim.claims[0].token;
    taken.deaths = claim.claims[0].deaths;
    taken.resent = claim.claims[0].resent;
    taken.query = claim.claims[0].query;
    taken.handed_ms = claim.claims[0].handed_ms;
    ck_assert(claim.claims[0].body.len > 0);
  }
  arena_free(&claim.op.arena);
  return taken;
}

struct settled { parley_status status; bool stale; enum message_state before, after; struct taken next; };

static inline struct settled settle_with(struct fixture *f, struct rules *rules, id64 message, uint32_t step, uint64_t token,
                                         uint32_t outcome, const char *provider_id)
{
  parley_text id = parley_text_of(provider_id);
  struct store_settle settle = {.message = message,
                                .step = step,
                                .token = token,
                                .outcome = outcome,
                                .taken_back = outcome == 0,
                                .handed = outcome != 0,
                                .started_ms = f->fake.now_ms,
                                .ended_ms = f->fake.now_ms,
                                .retry_at_ms = f->fake.now_ms + 5000,
                                .code = PARLEY_LIT("250"),
                                .n_provider_ids = provider_id != NULL ? 1 : 0,
                                .provider_ids = &id,
                                .policy = rules->policy};
  struct settled settled;

  fixture_run(f, &settle.op, STORE_SETTLE);
  settled = (struct settled){settle.op.status, settle.stale, settle.before, settle.after, {0}};
  if (settle.next != NULL)
    settled.next = (struct taken){.n = 1, .message = settle.next->message, .step = settle.next->step,
                                  .attempt = settle.next->attempt, .token = settle.next->token};
  arena_free(&settle.op.arena);
  return settled;
}

static inline struct settled settle(struct fixture *f, struct rules *rules, const struct accepted *accepted, uint32_t outcome)
{
  return settle_with(f, rules, accepted->message, accepted->step, accepted->token, outcome, NULL);
}

static inline size_t run_orphans(struct fixture *f, struct rules *rules)
{
  struct store_orphans orphans = {.policy = rules->policy, .limit = 100};

  ck_assert_int_eq(fixture_run(f, &orphans.op, STORE_ORPHANS), PARLEY_OK);
  arena_free(&orphans.op.arena);
  return orphans.n;
}

static inline size_t run_sweep(struct fixture *f, struct rules *rules, struct taken *ret_next, int64_t *ret_next_ms)
{
  struct store_sweep sweep = {.policy = rules->policy, .limit = 100, .now_ms = f->fake.now_ms};

  ck_assert_int_eq(fixture_run(f, &sweep.op, STORE_SWEEP), PARLEY_OK);
  *ret_next = (struct taken){0};
  if (sweep.n_claims > 0)
    *ret_next = (struct taken){.n = sweep.n_claims, .message = sweep.claims[0].message, .step = sweep.claims[0].step,
                               .token = sweep.claims[0].token, .attempt = sweep.claims[0].attempt};
  *ret_next_ms = sweep.next_ms;
  arena_free(&sweep.op.arena);
  return sweep.n;
}

static inline parley_status receipt_of(struct fixture *f, struct rules *rules, const char *channel, const char *provider_id,
                                       id64 message, uint32_t kind, struct store_receipt *ret)
{
  *ret = (struct store_receipt){.channel = parley_text_of(channel),
                                .provider_id = parley_text_of(provider_id),
                                .message = message,
                                .receipt = kind,
                                .at_ms = f->fake.now_ms,
                                .policy = rules->policy};
  fixture_run(f, &ret->op, STORE_RECEIPT);
  arena_free(&ret->op.arena);
  return ret->op.status;
}

static inline enum message_state cancel(struct fixture *f, struct rules *rules, id64 message, const char *key, bool *ret_too_late)
{
  struct store_cancel op = {.message = message, .key = parley_text_of(key), .policy = rules->policy};

  ck_assert_int_eq(fixture_run(f, &op.op, STORE_CANCEL), PARLEY_OK);
  arena_free(&op.op.arena);
  *ret_too_late = op.too_late;
  return op.after;
}

/* What the counters say must be what the rows say: nothing is lost between two states. */
static inline void assert_adds_up(struct fixture *f)
{
  ck_assert_int_eq(fixture_sql(f, "SELECT accepted-(s0+s1+s2+s3+s4+s5+s6+s7+s8+s9) FROM counter"), 0);
  ck_assert_int_eq(fixture_sql(f, "SELECT accepted FROM counter"), fixture_sql(f, "SELECT count(*) FROM message WHERE dir=0"));
  ck_assert_int_eq(fixture_sql(f, "SELECT (s0|s1|s2|s3|s4|s5|s6|s7|s8|s9)>=0 FROM counter"), 1);
}

static inline int64_t count_of(struct fixture *f, enum message_state state)
{
  char sql[64];

  snprintf(sql, sizeof(sql), "SELECT s%d FROM counter", (int)state);
  return fixture_sql(f, sql);
}
#endif
