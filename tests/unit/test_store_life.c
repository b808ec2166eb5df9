#include "store_messages.h"
#include <sys/wait.h>

static struct fixture f;
static struct rules rules;

static void setup(void)
{
  fixture_init(&f);
  fixture_open(&f);
  rules_init(&rules, 100);
}

static void teardown(void)
{
  if (f.store != NULL)
    assert_adds_up(&f);
  rules_done(&rules);
  fixture_done(&f);
}

static void reopen(void)
{
  fixture_close(&f);
  fixture_open(&f);
}

/* --- accept --------------------------------------------------------------------------------------------------------------- */

START_TEST(a_message_to_a_stranger_makes_a_customer_and_is_claimed_at_once)
{
  struct accepted a = accept_to(&f, &rules, "email", "ana@example.org", MAIL);

  ck_assert_int_eq(a.status, PARLEY_OK);
  ck_assert_int_eq(a.result, ACCEPTED);
  ck_assert_int_eq(a.state, MESSAGE_SENDING);
  ck_assert(a.claimed && a.token == 1);
  ck_assert_int_eq(atomic_load(&rules.rooms[MAIL].room[LANE_TRANSACTIONAL]), 99);
  ck_assert_int_eq(fixture_sql(&f, "SELECT state FROM delivery"), DELIVERY_SENDING);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM identity"), 1);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM event WHERE type='customer.created'"), 1);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM event WHERE type='message.status'"), 1);
  ck_assert_int_eq(count_of(&f, MESSAGE_SENDING), 1);
  ck_assert(f.committed != 0);
}
END_TEST

START_TEST(the_second_message_finds_the_customer_of_the_first)
{
  struct accepted a = accept_to(&f, &rules, "email", "ana@example.org", MAIL);
  struct accepted b = accept_to(&f, &rules, "email", "Ana@example.org", MAIL);

  ck_assert(a.customer == b.customer);
  ck_assert(a.message != b.message);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM customer"), 1);
}
END_TEST

START_TEST(without_room_a_message_waits_in_the_store)
{
  struct accepted a;
  struct taken taken;

  rules_room(&rules, 0);
  a = accept_to(&f, &rules, "email", "ana@example.org", MAIL);
  ck_assert(!a.claimed);
  ck_assert_int_eq(a.state, MESSAGE_QUEUED);
  taken = claim_on(&f, &rules, MAIL, 10);
  ck_assert_uint_eq(taken.n, 1);
  ck_assert(taken.message == a.message && taken.token == 1 && taken.attempt == 1 && !taken.resent);
  ck_assert_int_eq(taken.next_due_ms, 0);
  ck_assert_int_eq(count_of(&f, MESSAGE_SENDING), 1);
  ck_assert_uint_eq(claim_on(&f, &rules, MAIL, 10).n, 0);
}
END_TEST

START_TEST(a_scheduled_message_is_due_at_its_time)
{
  struct submission *submission = submission_make(&f, &rules, "email", "ana@example.org", MAIL);
  struct taken taken;

  submission->not_before_ms = f.fake.now_ms + 60000;
  ck_assert(!accept_one(&f, submission).claimed);
  taken = claim_on(&f, &rules, MAIL, 10);
  ck_assert_uint_eq(taken.n, 0);
  ck_assert_int_eq(taken.next_due_ms, f.fake.now_ms + 60000);
  env_fake_step(&f.fake, 60000);
  ck_assert_uint_eq(claim_on(&f, &rules, MAIL, 10).n, 1);
}
END_TEST

static size_t set_clock_back(int64_t by_ms)
{
  struct store_clock_back back = {.channel = PARLEY_LIT("mail"), .lane = LANE_TRANSACTIONAL, .by_ms = by_ms};

  env_fake_step(&f.fake, -by_ms);
  back.now_ms = f.fake.now_ms;
  ck_assert_int_eq(fixture_run(&f, &back.op, STORE_CLOCK_BACK), PARLEY_OK);
  arena_free(&back.op.arena);
  return back.n;
}

START_TEST(a_clock_set_back_moves_a_retry_but_not_what_was_put_off_until_a_time)
{
  struct submission *later = submission_make(&f, &rules, "email", "ana@example.org", MAIL);
  struct accepted a = accept_one(&f, submission_make(&f, &rules, "email", "bea@example.org", MAIL));
  int64_t at_ms = f.fake.now_ms + 600000;

  later->not_before_ms = at_ms;
  accept_one(&f, later);
  ck_assert_int_eq(settle(&f, &rules, &a, PARLEY_OUTCOME_RETRY).after, MESSAGE_QUEUED);
  ck_assert_uint_eq(set_clock_back(3600000), 1);
  ck_assert_int_eq(claim_on(&f, &rules, MAIL, 10).next_due_ms, f.fake.now_ms + 5000);
  env_fake_step(&f.fake, 5000);
  ck_assert_uint_eq(claim_on(&f, &rules, MAIL, 10).n, 1);
  ck_assert_int_eq(claim_on(&f, &rules, MAIL, 10).next_due_ms, at_ms);
}
END_TEST

START_TEST(marketing_without_consent_ends_suppressed_and_says_why)
{
  struct submission *submission = submission_make(&f, &rules, "email", "ana@example.org", MAIL);
  struct accepted a;

  submission->topic = &rules.policy->topics[1];
  a = accept_one(&f, submission);
  ck_assert_int_eq(a.result, ACCEPTED);
  ck_assert_int_eq(a.state, MESSAGE_SUPPRESSED);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM delivery"), 0);
  ck_assert_int_eq(fixture_sql(&f, "SELECT reason='no_consent' FROM message"), 1);
  ck_assert_int_eq(count_of(&f, MESSAGE_SUPPRESSED), 1);
}
END_TEST

START_TEST(a_granted_consent_lets_marketing_through_and_a_withdrawn_one_stops_it)
{
  struct accepted a = accept_to(&f, &rules, "email", "ana@example.org", MAIL);
  struct store_consent consent = {.customer = a.customer, .now_ms = f.fake.now_ms};

  consent.entry = (struct consent){PARLEY_LIT("news"), PARLEY_LIT("email"), true, 0, PARLEY_LIT("api"), TEXT_EMPTY};
  for (int granted = 1; granted >= 0; granted--) {
    struct submission *submission = submission_make(&f, &rules, "email", "ana@example.org", MAIL);

    consent.entry.granted = granted == 1;
    ck_assert_int_eq(fixture_run(&f, &consent.op, STORE_CONSENT), PARLEY_OK);
    arena_free(&consent.op.arena);
    submission->topic = &rules.policy->topics[1];
    ck_assert_int_eq(accept_one(&f, submission).state, granted == 1 ? MESSAGE_SENDING : MESSAGE_SUPPRESSED);
  }
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM consent"), 2);
}
END_TEST

START_TEST(a_suppressed_address_stops_every_class_until_it_is_lifted)
{
  struct store_suppress suppress = {.action = SUPPRESS_ADD};

  suppress.entry.identity = (struct identity){PARLEY_LIT("email"), PARLEY_LIT("ana@example.org"), TEXT_EMPTY, 0};
  suppress.entry.reason = PARLEY_LIT("manual");
  ck_assert_int_eq(fixture_run(&f, &suppress.op, STORE_SUPPRESS), PARLEY_OK);
  arena_free(&suppress.op.arena);
  ck_assert_int_eq(accept_to(&f, &rules, "email", "ana@example.org", MAIL).state, MESSAGE_SUPPRESSED);
  suppress.action = SUPPRESS_REMOVE;
  ck_assert_int_eq(fixture_run(&f, &suppress.op, STORE_SUPPRESS), PARLEY_OK);
  arena_free(&suppress.op.arena);
  ck_assert_int_eq(accept_to(&f, &rules, "email", "ana@example.org", MAIL).state, MESSAGE_SENDING);
}
END_TEST

START_TEST(two_owners_and_nobody_named_is_a_conflict_that_writes_nothing)
{
  struct submission *submission;

  accept_to(&f, &rules, "email", "ana@example.org", MAIL);
  accept_to(&f, &rules, "phone", "+34600111222", SMS);
  submission = submission_make(&f, &rules, "email", "ana@example.org", MAIL);
  submission->to.identities[submission->to.n_identities++] =
      (struct identity){PARLEY_LIT("phone"), PARLEY_LIT("+34600111222"), TEXT_EMPTY, 0};
  ck_assert_int_eq(accept_one(&f, submission).result, ACCEPT_CONFLICT);
  submission = submission_make(&f, &rules, NULL, NULL, MAIL);
  submission->to.customer = 12345;
  ck_assert_int_eq(accept_one(&f, submission).result, ACCEPT_NO_CUSTOMER);
  submission = submission_make(&f, &rules, "email", "new@example.org", MAIL);
  submission->conversation = 12345;
  ck_assert_int_eq(accept_one(&f, submission).result, ACCEPT_NO_CONVERSATION);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM message"), 2);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM customer"), 2);
}
END_TEST

START_TEST(a_large_body_stands_apart_and_comes_back_with_the_claim)
{
  struct submission *submission = submission_make(&f, &rules, "email", "ana@example.org", MAIL);
  struct store_claim claim = {.channel = &rules.policy->channels[MAIL], .policy = rules.policy, .lane = LANE_TRANSACTIONAL,
                              .limit = 1, .now_ms = f.fake.now_ms};
  size_t len = 100000;
  char *bytes = arena_alloc(submission->arena, len);

  memset(bytes, 'x', len);
  submission->body = (parley_bytes){bytes, len};
  rules_room(&rules, 0);
  accept_one(&f, submission);
  ck_assert_int_eq(fixture_run(&f, &claim.op, STORE_CLAIM), PARLEY_OK);
  ck_assert_uint_eq(claim.claims[0].body.len, len);
  arena_free(&claim.op.arena);
}
END_TEST

/* --- keys ------------------------------------------------------------------------------------------------------------------- */

static uint32_t render_answer(struct store_op *op, struct buf *body)
{
  struct store_accept *accept = container_of(op, struct store_accept, op);

  buf_json_id(body, "msg", accept->items[0].message);
  return accept->items[0].result == ACCEPTED ? 202 : 409;
}

struct keyed {
  struct store_accept accept;
  struct accept_item item;
  struct store_idem idem;
};

static void keyed_init(struct keyed *keyed, const char *key, const char *body)
{
  memset(keyed, 0, sizeof(*keyed));
  keyed->item.submission = submission_make(&f, &rules, "email", "ana@example.org", MAIL);
  keyed->idem = (struct store_idem){.api_key = 7, .route = PARLEY_LIT("POST /v1/messages"), .key = parley_text_of(key)};
  sha256(parley_text_of(body), keyed->idem.body_sha256);
  keyed->accept = (struct store_accept){.decide = decide, .n_items = 1, .items = &keyed->item};
  keyed->accept.op.idem = &keyed->idem;
  keyed->accept.op.render = render_answer;
  keyed->accept.op.kind = STORE_ACCEPT;
  keyed->accept.op.done = fixture_op_done;
}

static enum store_replay keyed_run(const char *key, const char *body, char answer[32])
{
  struct keyed keyed;

  keyed_init(&keyed, key, body);
  ck_assert_int_eq(fixture_run(&f, &keyed.accept.op, STORE_ACCEPT), PARLEY_OK);
  snprintf(answer, 32, "%.*s", TEXT_ARG(keyed.accept.op.answer));
  ck_assert_uint_eq(keyed.accept.op.answer_status, 202);
  return accepted_of(&keyed.accept).replay;
}

START_TEST(a_repeated_idempotency_key_gets_the_first_answer)
{
  char first[32], again[32];

  ck_assert_int_eq(keyed_run("k1", "body", first), REPLAY_NO);
  ck_assert_int_eq(keyed_run("k1", "body", again), REPLAY_SAME);
  ck_assert_str_eq(first, again);
  ck_assert_int_eq(keyed_run("k1", "other", again), REPLAY_OTHER_BODY);
  ck_assert_int_eq(keyed_run("k2", "body", again), REPLAY_NO);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM message"), 2);
}
END_TEST

START_TEST(a_key_is_remembered_over_a_restart)
{
  char first[32], again[32];

  ck_assert_int_eq(keyed_run("k1", "body", first), REPLAY_NO);
  reopen();
  ck_assert_int_eq(keyed_run("k1", "body", again), REPLAY_SAME);
  ck_assert_str_eq(first, again);
}
END_TEST

START_TEST(twins_within_one_round_make_one_message)
{
  struct keyed twins[8];
  int replayed = 0;

  for (int i = 0; i < 8; i++) {
    keyed_init(&twins[i], "twin", "body");
    store_submit(f.store, &twins[i].accept.op);
  }
  uv_run(&f.loop, UV_RUN_DEFAULT);
  for (int i = 0; i < 8; i++)
    replayed += accepted_of(&twins[i].accept).replay == REPLAY_SAME;
  ck_assert_int_eq(replayed, 7);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM message"), 1);
}
END_TEST

START_TEST(a_refusal_is_not_remembered)
{
  struct keyed keyed;

  for (int i = 0; i < 2; i++) {
    keyed_init(&keyed, "refused", "body");
    keyed.item.submission->to.customer = 99;
    ck_assert_int_eq(fixture_run(&f, &keyed.accept.op, STORE_ACCEPT), PARLEY_OK);
    ck_assert_uint_eq(keyed.accept.op.answer_status, 409);
    ck_assert_int_eq(accepted_of(&keyed.accept).replay, REPLAY_NO);
  }
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM answer"), 0);
}
END_TEST

static struct accepted accept_with_key(const char *key)
{
  struct submission *submission = submission_make(&f, &rules, "email", "ana@example.org", MAIL);

  submission->key = parley_text_of(key);
  return accept_one(&f, submission);
}

START_TEST(a_business_key_stands_for_its_first_message_until_that_is_cancelled)
{
  struct accepted first, again;
  bool too_late;

  rules_room(&rules, 0);
  first = accept_with_key("order-1042");
  again = accept_with_key("order-1042");
  ck_assert_int_eq(again.result, ACCEPT_DUPLICATE_KEY);
  ck_assert(again.message == first.message && again.customer == first.customer);
  ck_assert_int_eq(again.state, MESSAGE_QUEUED);
  ck_assert_int_eq(cancel(&f, &rules, 0, "order-1042", &too_late), MESSAGE_CANCELLED);
  ck_assert(!too_late);
  ck_assert_int_eq(accept_with_key("order-1042").result, ACCEPTED);
  env_fake_step(&f.fake, INT64_C(31) * 86400000);
  ck_assert_int_eq(accept_with_key("order-1042").result, ACCEPTED);
}
END_TEST

START_TEST(keys_and_parked_receipts_go_when_their_time_is_over)
{
  struct store_receipt receipt;
  char answer[32];

  ck_assert_int_eq(keyed_run("k1", "body", answer), REPLAY_NO);
  accept_with_key("order-1042");
  receipt_of(&f, &rules, "sms", "nobody", 0, PARLEY_RECEIPT_READ, &receipt);
  env_fake_step(&f.fake, INT64_C(7) * 86400000 - 1000);
  ck_assert_int_eq(keyed_run("k1", "body", answer), REPLAY_SAME);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM park"), 0);
  env_fake_step(&f.fake, INT64_C(30) * 86400000);
  ck_assert_int_eq(keyed_run("k2", "body", answer), REPLAY_NO);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM answer"), 1);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM business_key"), 0);
  ck_assert_int_eq(keyed_run("k1", "body", answer), REPLAY_NO);
}
END_TEST

/* --- settle ----------------------------------------------------------------------------------------------------------------- */

START_TEST(an_accepted_outcome_ends_the_message_as_sent)
{
  struct accepted a = accept_to(&f, &rules, "email", "ana@example.org", MAIL);
  struct settled s = settle(&f, &rules, &a, PARLEY_OUTCOME_ACCEPTED);

  ck_assert_int_eq(s.status, PARLEY_OK);
  ck_assert_int_eq(s.before, MESSAGE_SENDING);
  ck_assert_int_eq(s.after, MESSAGE_SENT);
  ck_assert_int_eq(fixture_sql(&f, "SELECT outcome FROM attempt"), PARLEY_OUTCOME_ACCEPTED);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM event WHERE data LIKE '{\"status\":\"sent\"%'"), 1);
  ck_assert_int_eq(count_of(&f, MESSAGE_SENT), 1);
  ck_assert(settle(&f, &rules, &a, PARLEY_OUTCOME_ACCEPTED).stale);
}
END_TEST

static const uint32_t firsts[] = {PARLEY_OUTCOME_ACCEPTED, PARLEY_OUTCOME_DELIVERED, PARLEY_OUTCOME_RETRY, PARLEY_OUTCOME_REJECTED,
                                  PARLEY_OUTCOME_BAD_ADDRESS, PARLEY_OUTCOME_UNKNOWN};

START_TEST(the_first_outcome_writes_the_same_whether_the_message_is_read_back_or_still_at_hand)
{
  struct accepted a = accept_with_key("a"), b = accept_with_key("b");

  ck_assert_int_eq(accept_with_key("b").result, ACCEPT_DUPLICATE_KEY); /* has read it */
  settle(&f, &rules, &a, firsts[_i]);
  settle(&f, &rules, &b, firsts[_i]);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM delivery"), 2);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM (SELECT DISTINCT step, customer, identity, conversation, channel,"
                                   " channel_kind, lane, state, facts, due, wake, expires, attempt, token, session, held,"
                                   " maybe_twice, cancelled, query, ordered, handed, started, attempt_started, outcome,"
                                   " address_kind, address, until, within, parts, part_delivered, part_read, part_failed,"
                                   " part_code, provider_id, provider_ids, degraded, reason, deaths FROM delivery) AS alike"),
                   1);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM (SELECT count(*) AS n FROM event WHERE type='message.status' GROUP BY"
                                   " at, customer, identity, conversation, data) AS told WHERE n<>2"),
                   0);
}
END_TEST

START_TEST(the_outcome_of_a_claim_writes_the_same_whether_the_message_is_read_back_or_still_at_hand)
{
  struct accepted a, b;

  atomic_store(&rules.rooms[MAIL].room[LANE_TRANSACTIONAL], 0);
  a = accept_with_key("a");
  b = accept_with_key("b");
  ck_assert_uint_eq(claim_on(&f, &rules, MAIL, 10).n, 2);
  ck_assert_int_eq(accept_with_key("b").result, ACCEPT_DUPLICATE_KEY); /* has read it */
  settle_with(&f, &rules, a.message, 0, 1, firsts[_i], "");
  settle_with(&f, &rules, b.message, 0, 1, firsts[_i], "");
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM (SELECT DISTINCT step, customer, identity, conversation, channel,"
                                   " channel_kind, lane, state, facts, due, wake, expires, attempt, token, session, held,"
                                   " maybe_twice, cancelled, query, ordered, handed, started, attempt_started, outcome,"
                                   " address_kind, address, until, within, parts, part_delivered, part_read, part_failed,"
                                   " part_code, provider_id, provider_ids, degraded, reason, deaths FROM delivery) AS alike"),
                   1);
}
END_TEST

START_TEST(what_another_daemon_has_done_to_a_message_at_hand_is_read)
{
  struct accepted a = accept_to(&f, &rules, "email", "ana@example.org", MAIL);

  if (!f.postgres) /* nobody else writes to SQLite's file */
    return;
  fixture_sql(&f, "UPDATE delivery SET cancelled=1");
  ck_assert_int_eq(settle(&f, &rules, &a, PARLEY_OUTCOME_RETRY).after, MESSAGE_CANCELLED);
}
END_TEST

START_TEST(a_retry_waits_for_its_time_and_takes_the_next_token)
{
  struct accepted a = accept_to(&f, &rules, "email", "ana@example.org", MAIL);
  struct taken taken;

  ck_assert_int_eq(settle(&f, &rules, &a, PARLEY_OUTCOME_RETRY).after, MESSAGE_QUEUED);
  taken = claim_on(&f, &rules, MAIL, 10);
  ck_assert_uint_eq(taken.n, 0);
  ck_assert_int_eq(taken.next_due_ms, f.fake.now_ms + 5000);
  env_fake_step(&f.fake, 5000);
  taken = claim_on(&f, &rules, MAIL, 10);
  ck_assert(taken.n == 1 && taken.attempt == 2 && taken.token == 2);
  ck_assert_int_eq(settle(&f, &rules, &a, PARLEY_OUTCOME_REJECTED).stale, true);
  ck_assert_int_eq(settle_with(&f, &rules, a.message, 0, taken.token, PARLEY_OUTCOME_REJECTED, NULL).after, MESSAGE_FAILED);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM attempt"), 2);
}
END_TEST

START_TEST(each_attempt_knows_when_the_first_was_handed_over)
{
  struct accepted a = accept_to(&f, &rules, "email", "ana@example.org", MAIL);
  int64_t first_ms = f.fake.now_ms;
  struct taken taken;

  settle(&f, &rules, &a, PARLEY_OUTCOME_RETRY);
  for (uint64_t token = 2; token < 4; token++) {
    env_fake_step(&f.fake, 5000);
    taken = claim_on(&f, &rules, MAIL, 10);
    ck_assert(taken.n == 1 && taken.handed_ms == first_ms);
    settle_with(&f, &rules, a.message, 0, token, PARLEY_OUTCOME_RETRY, NULL);
  }
}
END_TEST

START_TEST(what_a_restart_left_may_have_been_handed_over_when_it_was_claimed)
{
  struct accepted a = accept_to(&f, &rules, "email", "ana@example.org", MAIL);
  int64_t first_ms = f.fake.now_ms;
  struct taken taken;

  env_fake_step(&f.fake, 60000);
  reopen();
  ck_assert_uint_eq(run_orphans(&f, &rules), 1);
  taken = claim_on(&f, &rules, MAIL, 10);
  ck_assert(taken.n == 1 && taken.message == a.message && taken.handed_ms == first_ms);
}
END_TEST

START_TEST(a_delivery_that_was_taken_back_costs_no_attempt)
{
  struct accepted a = accept_to(&f, &rules, "email", "ana@example.org", MAIL);
  struct taken taken;

  ck_assert_int_eq(settle(&f, &rules, &a, 0).after, MESSAGE_QUEUED);
  env_fake_step(&f.fake, 5000);
  taken = claim_on(&f, &rules, MAIL, 10);
  ck_assert(taken.n == 1 && taken.attempt == 1 && taken.token == 2 && taken.handed_ms == 0);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM attempt"), 0);
}
END_TEST

START_TEST(a_late_success_still_ends_a_delivery_that_is_queued_again)
{
  struct accepted a = accept_to(&f, &rules, "email", "ana@example.org", MAIL);

  ck_assert_int_eq(settle(&f, &rules, &a, PARLEY_OUTCOME_UNKNOWN).after, MESSAGE_QUEUED);
  ck_assert_int_eq(fixture_sql(&f, "SELECT duplicates FROM counter"), 1);
  ck_assert_int_eq(settle(&f, &rules, &a, PARLEY_OUTCOME_ACCEPTED).after, MESSAGE_SENT);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM attempt"), 1);
}
END_TEST

START_TEST(a_bad_address_fails_and_is_suppressed)
{
  struct accepted a = accept_to(&f, &rules, "email", "ana@example.org", MAIL);

  ck_assert_int_eq(settle(&f, &rules, &a, PARLEY_OUTCOME_BAD_ADDRESS).after, MESSAGE_FAILED);
  ck_assert_int_eq(fixture_sql(&f, "SELECT reason='hard_bounce' FROM suppression"), 1);
  ck_assert_int_eq(accept_to(&f, &rules, "email", "ana@example.org", MAIL).state, MESSAGE_SUPPRESSED);
}
END_TEST

static struct submission *plan_make(int64_t within_ms)
{
  struct submission *submission = submission_make(&f, &rules, "email", "ana@example.org", MAIL);

  submission->n_steps = 2;
  submission->steps[0].until = UNTIL_DELIVERED;
  submission->steps[0].within_ms = within_ms;
  submission->steps[1] = (struct policy_step){&rules.policy->channels[HOOK], UNTIL_SENT, 0};
  return submission;
}

START_TEST(a_definite_failure_starts_the_next_step_at_once)
{
  struct accepted a = accept_one(&f, plan_make(600000));
  struct settled s = settle(&f, &rules, &a, PARLEY_OUTCOME_REJECTED);

  ck_assert_int_eq(s.after, MESSAGE_SENDING);
  ck_assert(s.next.n == 1 && s.next.step == 1 && s.next.message == a.message && s.next.attempt == 1);
  ck_assert_int_eq(settle_with(&f, &rules, a.message, 1, s.next.token, PARLEY_OUTCOME_ACCEPTED, NULL).after, MESSAGE_SENT);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM delivery"), 2);
}
END_TEST

START_TEST(a_lapsed_within_starts_the_next_step_in_the_sweep)
{
  struct accepted a = accept_one(&f, plan_make(600000));
  struct taken next;
  int64_t next_ms;

  ck_assert_int_eq(settle(&f, &rules, &a, PARLEY_OUTCOME_ACCEPTED).after, MESSAGE_SENT);
  ck_assert_uint_eq(run_sweep(&f, &rules, &next, &next_ms), 0);
  ck_assert_int_eq(next_ms, f.fake.now_ms + 600000);
  env_fake_step(&f.fake, 600000);
  ck_assert_uint_eq(run_sweep(&f, &rules, &next, &next_ms), 1);
  ck_assert(next.n == 1 && next.step == 1 && next.message == a.message);
  ck_assert_uint_eq(run_sweep(&f, &rules, &next, &next_ms), 0);
}
END_TEST

START_TEST(a_message_that_waits_too_long_expires)
{
  struct accepted a;
  struct taken next;
  int64_t next_ms;

  rules_room(&rules, 0);
  a = accept_to(&f, &rules, "email", "ana@example.org", MAIL);
  env_fake_step(&f.fake, 86400000);
  ck_assert_uint_eq(run_sweep(&f, &rules, &next, &next_ms), 1);
  ck_assert_int_eq(count_of(&f, MESSAGE_EXPIRED), 1);
  ck_assert_uint_eq(run_sweep(&f, &rules, &next, &next_ms), 0);
  ck_assert_int_eq(next_ms, 0);
  ck_assert_uint_eq(claim_on(&f, &rules, MAIL, 10).n, 0);
  (void)a;
}
END_TEST

START_TEST(a_claim_ends_what_has_expired_instead_of_handing_it_out)
{
  rules_room(&rules, 0);
  accept_to(&f, &rules, "email", "ana@example.org", MAIL);
  env_fake_step(&f.fake, 86400001);
  ck_assert_uint_eq(claim_on(&f, &rules, MAIL, 10).n, 0);
  ck_assert_int_eq(count_of(&f, MESSAGE_EXPIRED), 1);
}
END_TEST

START_TEST(cancel_stops_what_waits_and_is_too_late_for_what_went)
{
  struct accepted waits, went;
  bool too_late;

  went = accept_to(&f, &rules, "email", "ana@example.org", MAIL);
  settle(&f, &rules, &went, PARLEY_OUTCOME_ACCEPTED);
  rules_room(&rules, 0);
  waits = accept_to(&f, &rules, "email", "ana@example.org", MAIL);
  ck_assert_int_eq(cancel(&f, &rules, waits.message, "", &too_late), MESSAGE_CANCELLED);
  ck_assert(!too_late);
  ck_assert_int_eq(cancel(&f, &rules, went.message, "", &too_late), MESSAGE_SENT);
  ck_assert(too_late);
  ck_assert_uint_eq(claim_on(&f, &rules, MAIL, 10).n, 0);
}
END_TEST

START_TEST(a_cancelled_message_in_flight_is_not_tried_again)
{
  struct accepted a = accept_to(&f, &rules, "email", "ana@example.org", MAIL);
  bool too_late;

  ck_assert_int_eq(cancel(&f, &rules, a.message, "", &too_late), MESSAGE_SENDING);
  ck_assert_int_eq(settle(&f, &rules, &a, PARLEY_OUTCOME_RETRY).after, MESSAGE_CANCELLED);
}
END_TEST

START_TEST(an_unknown_outcome_on_a_hold_topic_waits_for_an_operator)
{
  static const struct { enum happening as; enum message_state want; } words[] = {
      {HAPPEN_RESOLVE_RESEND, MESSAGE_QUEUED}, {HAPPEN_RESOLVE_DISCARD, MESSAGE_FAILED}, {HAPPEN_RESOLVE_SENT, MESSAGE_SENT}};
  struct submission *submission = submission_make(&f, &rules, "email", "ana@example.org", MAIL);
  struct store_resolve resolve = {.as = words[_i].as, .policy = rules.policy};
  struct accepted a;

  submission->topic = &rules.policy->topics[2];
  a = accept_one(&f, submission);
  ck_assert_int_eq(settle(&f, &rules, &a, PARLEY_OUTCOME_UNKNOWN).after, MESSAGE_HELD);
  ck_assert_int_eq(count_of(&f, MESSAGE_HELD), 1);
  ck_assert_uint_eq(claim_on(&f, &rules, MAIL, 10).n, 0);
  resolve.message = a.message;
  ck_assert_int_eq(fixture_run(&f, &resolve.op, STORE_RESOLVE), PARLEY_OK);
  arena_free(&resolve.op.arena);
  ck_assert_int_eq(resolve.after, words[_i].want);
  if (words[_i].as != HAPPEN_RESOLVE_RESEND) {
    ck_assert_int_eq(fixture_run(&f, &resolve.op, STORE_RESOLVE), PARLEY_REJECTED);
    arena_free(&resolve.op.arena);
  } else {
    ck_assert(claim_on(&f, &rules, MAIL, 10).resent);
  }
}
END_TEST

START_TEST(where_the_plugin_can_tell_an_unknown_outcome_is_asked_about_first)
{
  struct accepted a;
  struct taken taken;

  rules.policy->channels[MAIL].can_query = true;
  a = accept_to(&f, &rules, "email", "ana@example.org", MAIL);
  ck_assert_int_eq(settle(&f, &rules, &a, PARLEY_OUTCOME_UNKNOWN).after, MESSAGE_SENDING);
  env_fake_step(&f.fake, 5000);
  taken = claim_on(&f, &rules, MAIL, 10);
  ck_assert(taken.n == 1 && taken.query && taken.resent);
  ck_assert_int_eq(settle_with(&f, &rules, a.message, 0, taken.token, PARLEY_OUTCOME_ACCEPTED, NULL).after, MESSAGE_SENT);
}
END_TEST

/* --- order -------------------------------------------------------------------------------------------------------------------- */

/* --- deaths of the plugin's process
 * ------------------------------------------------------------------------------------------- */

static enum message_state die(id64 message, uint64_t token)
{
  struct store_settle settle = {.message = message,
                                .token = token,
                                .outcome = PARLEY_OUTCOME_UNKNOWN,
                                .died = true,
                                .handed = true,
                                .started_ms = f.fake.now_ms,
                                .ended_ms = f.fake.now_ms,
                                .retry_at_ms = f.fake.now_ms + 5000,
                                .code = PARLEY_LIT("plugin_died"),
                                .policy = rules.policy};

  ck_assert_int_eq(fixture_run(&f, &settle.op, STORE_SETTLE), PARLEY_OK);
  ck_assert(!settle.stale);
  arena_free(&settle.op.arena);
  env_fake_step(&f.fake, 5000);
  return settle.after;
}

static void assert_shown(id64 message, enum message_state state, const char *reason, uint32_t deaths)
{
  struct store_message ask = {.id = message};

  ck_assert_int_eq(fixture_run(&f, &ask.op, STORE_MESSAGE), PARLEY_OK);
  ck_assert_int_eq(ask.row->state, state);
  ck_assert(parley_text_is(ask.row->reason, reason));
  ck_assert(ask.row->possible_duplicate);
  ck_assert_uint_eq(ask.row->deliveries[0].facts.deaths, deaths);
  arena_free(&ask.op.arena);
}

static parley_status resolve_as(id64 message, enum happening as)
{
  struct store_resolve op = {.message = message, .as = as, .policy = rules.policy};
  parley_status st = fixture_run(&f, &op.op, STORE_RESOLVE);

  arena_free(&op.op.arena);
  return st;
}

START_TEST(the_third_death_of_its_plugin_makes_a_message_poison_over_restarts)
{
  struct accepted a = accept_to(&f, &rules, "email", "ana@example.org", MAIL);
  struct taken taken = {.message = a.message, .token = a.token};

  for (uint32_t deaths = 1; deaths < POISON_DEATHS; deaths++) {
    ck_assert_int_eq(die(a.message, taken.token), MESSAGE_QUEUED);
    reopen();
    assert_shown(a.message, MESSAGE_QUEUED, "", deaths);
    taken = claim_on(&f, &rules, MAIL, 10);
    ck_assert_uint_eq(taken.n, 1);
    ck_assert(taken.deaths == deaths && taken.resent);
  }
  ck_assert_int_eq(die(a.message, taken.token), MESSAGE_HELD);
  reopen();
  assert_shown(a.message, MESSAGE_HELD, "poison", POISON_DEATHS);
  ck_assert_uint_eq(claim_on(&f, &rules, MAIL, 10).n, 0);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM attempt WHERE outcome=8 AND code='plugin_died'"),
                   POISON_DEATHS);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM event WHERE data LIKE '%\"reason\":\"poison\"%'"), 1);
  ck_assert_int_eq(fixture_sql(&f, "SELECT duplicates FROM counter"), 1);
  ck_assert_int_eq(resolve_as(a.message, HAPPEN_RESOLVE_RESEND), PARLEY_OK);
  taken = claim_on(&f, &rules, MAIL, 10);
  ck_assert(taken.n == 1 && taken.deaths == 0);
  ck_assert_int_eq(settle_with(&f, &rules, a.message, 0, taken.token, PARLEY_OUTCOME_ACCEPTED, "p1").after,
                   MESSAGE_SENT);
}
END_TEST

START_TEST(poison_stands_in_nobodys_way_on_an_ordered_channel)
{
  struct accepted a = accept_to(&f, &rules, "telegram", "77", CHAT), b = accept_to(&f, &rules, "telegram", "77", CHAT);
  uint64_t token = a.token;

  ck_assert(a.claimed && !b.claimed);
  for (int i = 1; i < POISON_DEATHS; i++) {
    struct taken again;

    ck_assert_int_eq(die(a.message, token), MESSAGE_QUEUED);
    again = claim_on(&f, &rules, CHAT, 10); /* the one in front goes first, as long as it goes at all */
    ck_assert(again.n == 1 && again.message == a.message);
    token = again.token;
  }
  ck_assert_int_eq(die(a.message, token), MESSAGE_HELD);
  ck_assert_int_eq(fixture_sql(&f, "SELECT state FROM delivery ORDER BY message DESC LIMIT 1"), DELIVERY_SENDING);
}
END_TEST

/* What both drivers say of their schema. */
static int64_t has_deaths(void)
{
  return fixture_sql(&f, f.postgres ? "SELECT count(*) FROM information_schema.columns WHERE table_name='delivery' AND"
                                      " column_name='deaths'"
                                    : "SELECT count(*) FROM pragma_table_info('delivery') WHERE name='deaths'");
}

START_TEST(a_file_of_version_1_is_migrated_and_goes_on)
{
  struct accepted a = accept_to(&f, &rules, "email", "ana@example.org", MAIL), b;
  struct taken taken;

  rules_room(&rules, 0);
  b = accept_to(&f, &rules, "email", "bea@example.org", MAIL);
  fixture_close(&f);
  fixture_exec(&f, f.postgres ? "ALTER TABLE suppression DROP COLUMN message, DROP COLUMN code, DROP COLUMN detail,"
                                " DROP COLUMN channel_kind; DROP TABLE expired, late, thread, bounce, joining, piece;"
                                " ALTER TABLE delivery DROP COLUMN deaths, DROP COLUMN part_failed, DROP COLUMN part_code;"
                                " UPDATE parley_schema SET version=1"
                              : "ALTER TABLE suppression DROP COLUMN message; ALTER TABLE suppression DROP COLUMN code;"
                                " ALTER TABLE suppression DROP COLUMN detail; ALTER TABLE suppression DROP COLUMN channel_kind;"
                                " DROP TABLE joining; DROP TABLE piece; DROP TABLE thread; DROP TABLE bounce;"
                                " DROP TABLE expired; DROP TABLE late; ALTER TABLE delivery DROP COLUMN deaths;"
                                " ALTER TABLE delivery DROP COLUMN part_failed; ALTER TABLE delivery DROP COLUMN part_code;"
                                " PRAGMA user_version=1");
  ck_assert_int_eq(has_deaths(), 0);
  fixture_open(&f);
  ck_assert_int_eq(has_deaths(), 1);
  ck_assert_int_eq(fixture_sql(&f, f.postgres ? "SELECT version FROM parley_schema"
                                              : "SELECT user_version FROM pragma_user_version"), 6);
  ck_assert_int_eq(fixture_sql(&f, f.postgres ? "SELECT readable_from FROM parley_schema"
                                              : "SELECT value FROM meta WHERE name='readable_from'"), 1);
  ck_assert_uint_eq(run_orphans(&f, &rules), 1);
  taken = claim_on(&f, &rules, MAIL, 1);
  ck_assert(taken.n == 1 && taken.deaths == 0);
  ck_assert_int_eq(die(taken.message, taken.token), MESSAGE_QUEUED);
  assert_shown(taken.message, MESSAGE_QUEUED, "", 1);
  ck_assert(taken.message == a.message || taken.message == b.message);
  ck_assert_uint_eq(claim_on(&f, &rules, MAIL, 10).n, 2);
}
END_TEST

START_TEST(an_ordered_channel_sends_one_at_a_time_for_each_customer)
{
  struct accepted first = accept_to(&f, &rules, "telegram", "1001", CHAT);
  struct accepted second = accept_to(&f, &rules, "telegram", "1001", CHAT);
  struct accepted other = accept_to(&f, &rules, "telegram", "2002", CHAT);
  struct settled s;

  ck_assert(first.claimed && !second.claimed && other.claimed);
  ck_assert_uint_eq(claim_on(&f, &rules, CHAT, 10).n, 0);
  ck_assert_int_eq(settle(&f, &rules, &first, PARLEY_OUTCOME_RETRY).after, MESSAGE_QUEUED);
  ck_assert_uint_eq(claim_on(&f, &rules, CHAT, 10).n, 0);
  env_fake_step(&f.fake, 5000);
  ck_assert(claim_on(&f, &rules, CHAT, 10).message == first.message);
  s = settle_with(&f, &rules, first.message, 0, 2, PARLEY_OUTCOME_ACCEPTED, NULL);
  ck_assert(s.next.n == 1 && s.next.message == second.message);
}
END_TEST

START_TEST(a_test_message_waits_for_no_real_one_of_an_ordered_channel_nor_a_real_one_for_it)
{
  struct submission *tests[2];
  struct accepted real = accept_to(&f, &rules, "telegram", "1001", CHAT), first, second;
  struct settled after;

  for (int i = 0; i < 2; i++) {
    tests[i] = submission_make(&f, &rules, "telegram", "1001", CHAT);
    tests[i]->test = true;
  }
  ck_assert_int_eq(settle(&f, &rules, &real, PARLEY_OUTCOME_RETRY).after, MESSAGE_QUEUED);
  first = accept_one(&f, tests[0]);
  second = accept_one(&f, tests[1]);
  ck_assert(first.claimed && !second.claimed); /* in order among themselves */
  env_fake_step(&f.fake, 5000);
  ck_assert(claim_on(&f, &rules, CHAT, 10).message == real.message);
  after = settle(&f, &rules, &first, PARLEY_OUTCOME_DELIVERED);
  ck_assert(after.next.n == 1 && after.next.message == second.message);
}
END_TEST

START_TEST(when_the_one_in_front_expires_the_next_of_an_ordered_channel_goes)
{
  struct submission *submission = submission_make(&f, &rules, "telegram", "1001", CHAT);
  struct accepted first, second;
  struct taken next;
  int64_t next_ms;

  submission->expires_ms = f.fake.now_ms + 60000;
  first = accept_one(&f, submission);
  second = accept_to(&f, &rules, "telegram", "1001", CHAT);
  settle(&f, &rules, &first, PARLEY_OUTCOME_RETRY);
  env_fake_step(&f.fake, 60000);
  ck_assert_uint_eq(run_sweep(&f, &rules, &next, &next_ms), 1);
  ck_assert(next.n == 1 && next.message == second.message);
}
END_TEST

START_TEST(several_waiting_for_one_customer_are_claimed_oldest_first_one_at_a_time)
{
  struct accepted first, second;
  struct taken taken;

  rules_room(&rules, 0);
  first = accept_to(&f, &rules, "telegram", "1001", CHAT);
  second = accept_to(&f, &rules, "telegram", "1001", CHAT);
  taken = claim_on(&f, &rules, CHAT, 10);
  ck_assert(taken.n == 1 && taken.message == first.message);
  ck_assert_int_eq(taken.next_due_ms, 0);
  ck_assert_uint_eq(settle_with(&f, &rules, first.message, 0, taken.token, PARLEY_OUTCOME_ACCEPTED, NULL).next.n, 0);
  ck_assert(claim_on(&f, &rules, CHAT, 10).message == second.message);
}
END_TEST

/* --- receipts ------------------------------------------------------------------------------------------------------------------- */

START_TEST(receipts_fold_the_same_in_every_order)
{
  static const uint32_t orders[][3] = {
      {PARLEY_RECEIPT_SENT, PARLEY_RECEIPT_DELIVERED, PARLEY_RECEIPT_READ},
      {PARLEY_RECEIPT_READ, PARLEY_RECEIPT_DELIVERED, PARLEY_RECEIPT_SENT},
      {PARLEY_RECEIPT_DELIVERED, PARLEY_RECEIPT_READ, PARLEY_RECEIPT_SENT},
      {PARLEY_RECEIPT_READ, PARLEY_RECEIPT_FAILED, PARLEY_RECEIPT_DELIVERED},
  };
  struct accepted a = accept_to(&f, &rules, "phone", "+34600111222", SMS);
  struct store_receipt receipt;

  settle_with(&f, &rules, a.message, 0, a.token, PARLEY_OUTCOME_ACCEPTED, "p-1");
  for (int i = 0; i < 3; i++)
    ck_assert_int_eq(receipt_of(&f, &rules, "sms", "p-1", 0, orders[_i][i], &receipt), PARLEY_OK);
  ck_assert_int_eq(count_of(&f, MESSAGE_READ), 1);
  receipt_of(&f, &rules, "sms", "p-1", 0, PARLEY_RECEIPT_READ, &receipt);
  ck_assert(receipt.repeated);
}
END_TEST

START_TEST(an_early_receipt_is_parked_and_joined)
{
  struct accepted a = accept_to(&f, &rules, "phone", "+34600111222", SMS);
  struct store_receipt receipt;

  ck_assert_int_eq(receipt_of(&f, &rules, "sms", "p-1", 0, PARLEY_RECEIPT_DELIVERED, &receipt), PARLEY_OK);
  ck_assert(receipt.parked);
  ck_assert_int_eq(receipt_of(&f, &rules, "mail", "p-1", 0, PARLEY_RECEIPT_READ, &receipt), PARLEY_OK);
  ck_assert(receipt.parked);
  reopen();
  ck_assert_uint_eq(run_orphans(&f, &rules), 1);
  ck_assert_int_eq(settle_with(&f, &rules, a.message, 0, a.token, PARLEY_OUTCOME_ACCEPTED, "p-1").after, MESSAGE_DELIVERED);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM park"), 1);
}
END_TEST

START_TEST(a_channel_whose_park_is_full_takes_no_place_from_another)
{
  struct accepted a = accept_to(&f, &rules, "phone", "+34600111222", SMS);
  struct store_receipt receipt;

  fixture_sql(&f, "INSERT INTO park(id, h, channel, provider_id, receipt, outcome, at, code, detail, parked)"
                  " SELECT max(id) - 200000, 1, 'mail', 'full', 1, 0, 0, '', '', 0 FROM message");
  for (int i = 0; i < 17; i++) /* 2^17 rows */
    fixture_sql(&f, "INSERT INTO park(id, h, channel, provider_id, receipt, outcome, at, code, detail, parked)"
                    " SELECT id + (SELECT count(*) FROM park), h, channel, provider_id, receipt, outcome, at, code, detail, parked"
                    " FROM park");
  reopen();
  ck_assert_uint_eq(run_orphans(&f, &rules), 1);
  ck_assert_int_eq(receipt_of(&f, &rules, "mail", "p-9", 0, PARLEY_RECEIPT_READ, &receipt), PARLEY_RETRY);
  ck_assert_int_eq(receipt_of(&f, &rules, "sms", "p-1", 0, PARLEY_RECEIPT_DELIVERED, &receipt), PARLEY_OK);
  ck_assert(receipt.parked);
  ck_assert_int_eq(settle_with(&f, &rules, a.message, 0, a.token, PARLEY_OUTCOME_ACCEPTED, "p-1").after, MESSAGE_DELIVERED);
  fixture_sql(&f, "DELETE FROM park WHERE id>=(SELECT min(id) FROM park) + 99998");
  reopen();
  ck_assert_int_eq(receipt_of(&f, &rules, "mail", "p-9", 0, PARLEY_RECEIPT_READ, &receipt), PARLEY_OK);
  ck_assert_int_eq(receipt_of(&f, &rules, "mail", "p-10", 0, PARLEY_RECEIPT_READ, &receipt), PARLEY_OK);
  ck_assert_int_eq(receipt_of(&f, &rules, "mail", "p-11", 0, PARLEY_RECEIPT_READ, &receipt), PARLEY_RETRY);
  env_fake_step(&f.fake, INT64_C(86400000) + 60000);
  ck_assert_int_eq(receipt_of(&f, &rules, "sms", "p-2", 0, PARLEY_RECEIPT_READ, &receipt), PARLEY_OK); /* a slice goes */
  ck_assert_int_eq(receipt_of(&f, &rules, "mail", "p-11", 0, PARLEY_RECEIPT_READ, &receipt), PARLEY_OK);
}
END_TEST

START_TEST(a_receipt_never_crosses_channels)
{
  struct accepted a = accept_to(&f, &rules, "phone", "+34600111222", SMS);
  struct store_receipt receipt;

  settle_with(&f, &rules, a.message, 0, a.token, PARLEY_OUTCOME_ACCEPTED, "p-1");
  ck_assert_int_eq(receipt_of(&f, &rules, "hook", "", a.message, PARLEY_RECEIPT_READ, &receipt), PARLEY_NOT_FOUND);
  receipt_of(&f, &rules, "hook", "p-1", 0, PARLEY_RECEIPT_READ, &receipt);
  ck_assert(receipt.parked);
  ck_assert_int_eq(receipt_of(&f, &rules, "sms", "", a.message, PARLEY_RECEIPT_DELIVERED, &receipt), PARLEY_OK);
  ck_assert_int_eq(count_of(&f, MESSAGE_DELIVERED), 1);
}
END_TEST

START_TEST(a_receipt_by_our_own_id_needs_no_row)
{
  struct accepted a = accept_to(&f, &rules, "phone", "+34600111222", SMS);
  struct store_receipt receipt;
  char id[ID_TEXT_MAX];

  id_format("msg", a.message, id);
  settle_with(&f, &rules, a.message, 0, a.token, PARLEY_OUTCOME_ACCEPTED, id);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM provider_ref"), 0);
  receipt_of(&f, &rules, "hook", id, 0, PARLEY_RECEIPT_READ, &receipt);
  ck_assert(receipt.parked); /* it did not go that way */
  ck_assert_int_eq(receipt_of(&f, &rules, "sms", id, 0, PARLEY_RECEIPT_DELIVERED, &receipt), PARLEY_OK);
  ck_assert_int_eq(count_of(&f, MESSAGE_DELIVERED), 1);
}
END_TEST

START_TEST(a_message_of_several_parts_is_delivered_when_all_are)
{
  struct accepted a = accept_to(&f, &rules, "phone", "+34600111222", SMS);
  parley_text ids[] = {PARLEY_LIT("p-1"), PARLEY_LIT("p-2")};
  struct store_settle op = {.message = a.message, .token = a.token, .outcome = PARLEY_OUTCOME_ACCEPTED, .handed = true,
                            .started_ms = f.fake.now_ms, .ended_ms = f.fake.now_ms, .n_provider_ids = 2,
                            .provider_ids = ids, .policy = rules.policy};
  struct store_receipt receipt;

  ck_assert_int_eq(fixture_run(&f, &op.op, STORE_SETTLE), PARLEY_OK);
  arena_free(&op.op.arena);
  receipt_of(&f, &rules, "sms", "p-2", 0, PARLEY_RECEIPT_DELIVERED, &receipt);
  receipt_of(&f, &rules, "sms", "p-2", 0, PARLEY_RECEIPT_DELIVERED, &receipt);
  ck_assert_int_eq(count_of(&f, MESSAGE_SENT), 1);
  ck_assert_int_eq(fixture_sql(&f, "SELECT part_delivered FROM delivery"), 2);
  receipt_of(&f, &rules, "sms", "p-1", 0, PARLEY_RECEIPT_DELIVERED, &receipt);
  ck_assert_int_eq(count_of(&f, MESSAGE_DELIVERED), 1);
}
END_TEST

/* --- restarts ------------------------------------------------------------------------------------------------------------------- */

START_TEST(what_a_dead_session_left_is_unknown_and_marked)
{
  struct accepted a = accept_to(&f, &rules, "email", "ana@example.org", MAIL);
  struct taken taken;

  reopen();
  ck_assert_uint_eq(run_orphans(&f, &rules), 1);
  ck_assert_uint_eq(run_orphans(&f, &rules), 0);
  taken = claim_on(&f, &rules, MAIL, 10);
  ck_assert(taken.n == 1 && taken.resent && taken.token == 3 && taken.attempt == 2);
  ck_assert(settle(&f, &rules, &a, PARLEY_OUTCOME_REJECTED).stale);
  ck_assert_int_eq(fixture_sql(&f, "SELECT duplicates FROM counter"), 1);
}
END_TEST

START_TEST(what_was_acknowledged_outlives_a_kill)
{
  char first[32], again[32];
  int status = 0;
  pid_t child;

  fixture_close(&f);
  child = fork();
  if (child == 0) {
    struct fixture own;
    struct keyed keyed;

    memset(&own, 0, sizeof(own));
    uv_loop_init(&own.loop);
    env_fake_init(&own.fake, START_MS);
    memcpy(own.path, f.path, sizeof(own.path));
    memcpy(own.url, f.url, sizeof(own.url));
    own.postgres = f.postgres;
    fixture_open(&own);
    for (int i = 0; i < 50; i++) {
      char key[16];

      snprintf(key, sizeof(key), "k%d", i);
      keyed_init(&keyed, key, "body");
      fixture_run(&own, &keyed.accept.op, STORE_ACCEPT);
    }
    kill(getpid(), SIGKILL);
  }
  ck_assert_int_eq(waitpid(child, &status, 0), child);
  ck_assert(WIFSIGNALED(status));
  f.fake.now_ms = START_MS - 3600000; /* and the clock went back */
  fixture_open(&f);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM message"), 50);
  ck_assert_int_eq(keyed_run("k49", "body", first), REPLAY_SAME);
  ck_assert_uint_eq(run_orphans(&f, &rules), 50);
  ck_assert_int_eq(keyed_run("new", "body", again), REPLAY_NO);
  ck_assert_int_eq(fixture_sql(&f, "SELECT (SELECT max(id) FROM message) > (SELECT max(id) FROM message WHERE created="
                                   "1790000000000)"), 1);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("store_life");
  TCase *tcase = tcase_create("all");
  SRunner *runner;
  int failed;

  tcase_add_checked_fixture(tcase, setup, teardown);
  tcase_set_timeout(tcase, 30);
  tcase_add_test(tcase, a_message_to_a_stranger_makes_a_customer_and_is_claimed_at_once);
  tcase_add_test(tcase, the_second_message_finds_the_customer_of_the_first);
  tcase_add_test(tcase, without_room_a_message_waits_in_the_store);
  tcase_add_test(tcase, a_scheduled_message_is_due_at_its_time);
  tcase_add_test(tcase, a_clock_set_back_moves_a_retry_but_not_what_was_put_off_until_a_time);
  tcase_add_test(tcase, marketing_without_consent_ends_suppressed_and_says_why);
  tcase_add_test(tcase, a_granted_consent_lets_marketing_through_and_a_withdrawn_one_stops_it);
  tcase_add_test(tcase, a_suppressed_address_stops_every_class_until_it_is_lifted);
  tcase_add_test(tcase, two_owners_and_nobody_named_is_a_conflict_that_writes_nothing);
  tcase_add_test(tcase, a_large_body_stands_apart_and_comes_back_with_the_claim);
  tcase_add_test(tcase, a_repeated_idempotency_key_gets_the_first_answer);
  tcase_add_test(tcase, a_key_is_remembered_over_a_restart);
  tcase_add_test(tcase, twins_within_one_round_make_one_message);
  tcase_add_test(tcase, a_refusal_is_not_remembered);
  tcase_add_test(tcase, a_business_key_stands_for_its_first_message_until_that_is_cancelled);
  tcase_add_test(tcase, keys_and_parked_receipts_go_when_their_time_is_over);
  tcase_add_test(tcase, an_accepted_outcome_ends_the_message_as_sent);
  tcase_add_loop_test(tcase, the_first_outcome_writes_the_same_whether_the_message_is_read_back_or_still_at_hand, 0,
                      COUNT_OF(firsts));
  tcase_add_loop_test(tcase, the_outcome_of_a_claim_writes_the_same_whether_the_message_is_read_back_or_still_at_hand, 0,
                      COUNT_OF(firsts));
  tcase_add_test(tcase, what_another_daemon_has_done_to_a_message_at_hand_is_read);
  tcase_add_test(tcase, a_retry_waits_for_its_time_and_takes_the_next_token);
  tcase_add_test(tcase, each_attempt_knows_when_the_first_was_handed_over);
  tcase_add_test(tcase, what_a_restart_left_may_have_been_handed_over_when_it_was_claimed);
  tcase_add_test(tcase, a_delivery_that_was_taken_back_costs_no_attempt);
  tcase_add_test(tcase, a_late_success_still_ends_a_delivery_that_is_queued_again);
  tcase_add_test(tcase, a_bad_address_fails_and_is_suppressed);
  tcase_add_test(tcase, a_definite_failure_starts_the_next_step_at_once);
  tcase_add_test(tcase, a_lapsed_within_starts_the_next_step_in_the_sweep);
  tcase_add_test(tcase, a_message_that_waits_too_long_expires);
  tcase_add_test(tcase, a_claim_ends_what_has_expired_instead_of_handing_it_out);
  tcase_add_test(tcase, cancel_stops_what_waits_and_is_too_late_for_what_went);
  tcase_add_test(tcase, a_cancelled_message_in_flight_is_not_tried_again);
  tcase_add_loop_test(tcase, an_unknown_outcome_on_a_hold_topic_waits_for_an_operator, 0, 3);
  tcase_add_test(tcase, where_the_plugin_can_tell_an_unknown_outcome_is_asked_about_first);
  tcase_add_test(tcase, the_third_death_of_its_plugin_makes_a_message_poison_over_restarts);
  tcase_add_test(tcase, poison_stands_in_nobodys_way_on_an_ordered_channel);
  tcase_add_test(tcase, a_file_of_version_1_is_migrated_and_goes_on);
  tcase_add_test(tcase, an_ordered_channel_sends_one_at_a_time_for_each_customer);
  tcase_add_test(tcase, when_the_one_in_front_expires_the_next_of_an_ordered_channel_goes);
  tcase_add_test(tcase, a_test_message_waits_for_no_real_one_of_an_ordered_channel_nor_a_real_one_for_it);
  tcase_add_test(tcase, several_waiting_for_one_customer_are_claimed_oldest_first_one_at_a_time);
  tcase_add_loop_test(tcase, receipts_fold_the_same_in_every_order, 0, 4);
  tcase_add_test(tcase, an_early_receipt_is_parked_and_joined);
  tcase_add_test(tcase, a_channel_whose_park_is_full_takes_no_place_from_another);
  tcase_add_test(tcase, a_receipt_never_crosses_channels);
  tcase_add_test(tcase, a_receipt_by_our_own_id_needs_no_row);
  tcase_add_test(tcase, a_message_of_several_parts_is_delivered_when_all_are);
  tcase_add_test(tcase, what_a_dead_session_left_is_unknown_and_marked);
  tcase_add_test(tcase, what_was_acknowledged_outlives_a_kill);
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
