/* Consent and suppressions are asked again of what waits, before it is handed over. */
#include "store_messages.h"

static struct fixture f;
static struct rules rules;

static void setup(void)
{
  fixture_init(&f);
  fixture_open(&f);
  rules_init(&rules, 0); /* without room all waits in the store */
}

static void teardown(void)
{
  assert_adds_up(&f);
  rules_done(&rules);
  fixture_done(&f);
}

static struct store_consent say(id64 customer, const char *topic, const char *kind, bool granted, bool once)
{
  struct store_consent consent = {.customer = customer, .now_ms = f.fake.now_ms, .once = once};

  consent.entry = (struct consent){parley_text_of(topic), parley_text_of(kind), granted, f.fake.now_ms,
                                   PARLEY_LIT("one_click"), PARLEY_LIT("{}")};
  ck_assert_int_eq(fixture_run(&f, &consent.op, STORE_CONSENT), PARLEY_OK);
  arena_free(&consent.op.arena);
  env_fake_step(&f.fake, 1);
  return consent;
}

static void suppress(const char *kind, const char *value)
{
  struct store_suppress op = {.action = SUPPRESS_ADD};

  op.entry.identity = (struct identity){parley_text_of(kind), parley_text_of(value), TEXT_EMPTY, 0};
  op.entry.reason = PARLEY_LIT("manual");
  ck_assert_int_eq(fixture_run(&f, &op.op, STORE_SUPPRESS), PARLEY_OK);
  arena_free(&op.op.arena);
}

static id64 ana(void)
{
  return accept_to(&f, &rules, "email", "ana@example.org", HOOK).customer;
}

START_TEST(a_consent_that_was_asked_for_is_answered_once)
{
  static const struct { const char *topic, *kind; bool answers; } others[] = {
      {"newsletter", "email", true}, {"newsletter", "*", true}, {"newsletter", "sms", false}, {"orders", "email", false}};
  struct store_consent late = {.now_ms = f.fake.now_ms};
  uint64_t asked;

  late.customer = ana();
  asked = (uint64_t)fixture_sql(&f, "SELECT max(seq) FROM event");
  late.asked = asked;
  late.once = true;
  say(late.customer, others[_i].topic, others[_i].kind, false, false);
  late.entry = (struct consent){PARLEY_LIT("newsletter"), PARLEY_LIT("email"), true, f.fake.now_ms, PARLEY_LIT("double_opt_in"),
                                PARLEY_LIT("{}")};
  ck_assert_int_eq(fixture_run(&f, &late.op, STORE_CONSENT), PARLEY_OK);
  arena_free(&late.op.arena);
  ck_assert_int_eq(late.answered, others[_i].answers);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM consent WHERE source='double_opt_in'"), !others[_i].answers);
}
END_TEST

static struct taken claim_lane(int channel, enum lane lane)
{
  struct store_claim claim = {.channel = &rules.policy->channels[channel], .policy = rules.policy, .lane = lane, .limit = 10,
                              .now_ms = f.fake.now_ms};
  struct taken taken = {0};

  ck_assert_int_eq(fixture_run(&f, &claim.op, STORE_CLAIM), PARLEY_OK);
  taken.n = claim.n_claims;
  taken.next_due_ms = claim.next_due_ms;
  if (claim.n_claims > 0) {
    taken.message = claim.claims[0].message;
    taken.step = claim.claims[0].step;
    taken.token = claim.claims[0].token;
  }
  arena_free(&claim.op.arena);
  return taken;
}

/* A newsletter by mail; with `then`, and by SMS if that fails. */
static struct accepted newsletter(bool then)
{
  struct submission *submission = submission_make(&f, &rules, "email", "ana@example.org", MAIL);

  submission->topic = &rules.policy->topics[1];
  if (then) {
    submission->to.identities[submission->to.n_identities++] =
        (struct identity){PARLEY_LIT("phone"), PARLEY_LIT("+34600111222"), TEXT_EMPTY, 0};
    submission->steps[submission->n_steps++] = (struct policy_step){&rules.policy->channels[SMS], UNTIL_SENT, 0};
  }
  return accept_one(&f, submission);
}

START_TEST(a_newsletter_that_waits_is_not_sent_once_its_topic_is_unsubscribed)
{
  id64 customer = ana();
  struct accepted a;

  say(customer, "news", "email", true, false);
  a = newsletter(false);
  ck_assert_int_eq(a.state, MESSAGE_QUEUED);
  say(customer, "news", "email", false, false);
  ck_assert_uint_eq(claim_lane(MAIL, LANE_MARKETING).n, 0);
  ck_assert_int_eq(claim_lane(MAIL, LANE_MARKETING).next_due_ms, 0);
  ck_assert_int_eq(count_of(&f, MESSAGE_SUPPRESSED), 1);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM delivery WHERE state=7 AND reason='no_consent'"), 1);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM event WHERE type='message.status' AND data LIKE"
                                   " '%\"suppressed\"%\"no_consent\"%'"), 1);
}
END_TEST

START_TEST(the_plan_goes_on_to_a_kind_that_is_still_granted)
{
  id64 customer = ana();
  struct taken taken;

  say(customer, "news", "email", true, false);
  say(customer, "news", "sms", true, false);
  newsletter(true);
  say(customer, "news", "email", false, false);
  rules_room(&rules, 10);
  taken = claim_lane(MAIL, LANE_MARKETING); /* the claim that comes is the one of the next step */
  ck_assert_uint_eq(taken.n, 1);
  ck_assert_uint_eq(taken.step, 1);
  ck_assert_int_eq(atomic_load(&rules.rooms[SMS].room[LANE_MARKETING]), 9);
  ck_assert_int_eq(count_of(&f, MESSAGE_SENDING), 1);
}
END_TEST

START_TEST(no_step_is_begun_that_nobody_wants_any_more)
{
  id64 customer = ana();
  struct accepted a;
  struct taken taken;
  struct settled settled;

  say(customer, "news", "*", true, false);
  a = newsletter(true);
  taken = claim_lane(MAIL, LANE_MARKETING);
  ck_assert_uint_eq(taken.n, 1);
  say(customer, "news", "*", false, false);
  rules_room(&rules, 10);
  settled = settle_with(&f, &rules, a.message, 0, taken.token, PARLEY_OUTCOME_REJECTED, NULL);
  ck_assert_uint_eq(settled.next.n, 0);
  ck_assert_int_eq(settled.after, MESSAGE_SUPPRESSED);
  ck_assert_int_eq(count_of(&f, MESSAGE_SUPPRESSED), 1);
}
END_TEST

START_TEST(other_topics_and_kinds_go_on)
{
  id64 customer = ana();

  accept_to(&f, &rules, "email", "ana@example.org", MAIL);
  say(customer, "news", "email", false, false);
  say(customer, "orders", "sms", false, false);
  ck_assert_uint_eq(claim_on(&f, &rules, MAIL, 10).n, 1);
}
END_TEST

START_TEST(an_address_that_was_suppressed_meanwhile_is_not_written_to)
{
  accept_to(&f, &rules, "email", "ana@example.org", MAIL);
  accept_to(&f, &rules, "email", "bea@example.org", MAIL);
  accept_to(&f, &rules, "email", "ana@example.org", HOOK); /* its address only tells whom it is about */
  suppress("email", "ANA@example.org");
  ck_assert_uint_eq(claim_on(&f, &rules, MAIL, 10).n, 1);
  ck_assert_uint_eq(claim_on(&f, &rules, HOOK, 10).n, 1);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM delivery WHERE state=7 AND reason='address_suppressed'"), 1);
}
END_TEST

START_TEST(on_an_ordered_channel_the_next_goes_when_the_one_in_front_is_stopped)
{
  struct submission *news = submission_make(&f, &rules, "telegram", "1001", CHAT);
  struct accepted first, last;
  struct taken next;
  int64_t next_ms;

  rules_room(&rules, 10);
  first = accept_to(&f, &rules, "telegram", "1001", CHAT);
  say(first.customer, "news", "chat", true, false);
  news->topic = &rules.policy->topics[1];
  accept_one(&f, news);
  last = accept_to(&f, &rules, "telegram", "1001", CHAT);
  say(first.customer, "news", "chat", false, false);
  ck_assert_uint_eq(settle(&f, &rules, &first, PARLEY_OUTCOME_ACCEPTED).next.n, 0);
  ck_assert_uint_eq(run_sweep(&f, &rules, &next, &next_ms), 1);
  ck_assert(next.n == 1 && next.message == last.message);
  ck_assert_int_eq(count_of(&f, MESSAGE_SUPPRESSED), 1);
}
END_TEST

START_TEST(what_the_ledger_says_already_is_written_once)
{
  id64 customer = ana();

  ck_assert(!say(customer, "news", "email", false, true).repeated);
  ck_assert(say(customer, "news", "email", false, true).repeated);
  ck_assert(!say(customer, "news", "email", true, true).repeated);
  ck_assert(!say(customer, "news", "sms", false, true).repeated);
  ck_assert(!say(customer, "news", "email", true, false).repeated);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM consent"), 4);
}
END_TEST

static const struct told_row {
  uint32_t kind;
  const char *code, *detail, *source;
} told_rows[] = {
    {PARLEY_RECEIPT_UNSUBSCRIBED, "mailto", "as they said", "mailto"},
    {PARLEY_RECEIPT_UNSUBSCRIBED, "2.0", "mailto", "mailto"},
    {PARLEY_RECEIPT_UNSUBSCRIBED, "group_unsubscribe", "as they said", "provider"},
    {PARLEY_RECEIPT_COMPLAINED, "abuse", "mailto", "complaint"},
};

START_TEST(a_receipt_that_withdraws_leaves_its_proof_in_the_ledger_once)
{
  const struct told_row *row = &told_rows[_i];
  struct accepted a;
  char sql[256];

  rules_room(&rules, 10);
  a = accept_to(&f, &rules, "email", "ana@example.org", MAIL);
  settle(&f, &rules, &a, PARLEY_OUTCOME_ACCEPTED);
  for (int i = 0; i < 2; i++) {
    struct store_receipt receipt = {.channel = PARLEY_LIT("mail"), .message = a.message, .receipt = row->kind,
                                    .at_ms = f.fake.now_ms, .code = parley_text_of(row->code),
                                    .detail = parley_text_of(row->detail), .policy = rules.policy};

    ck_assert_int_eq(fixture_run(&f, &receipt.op, STORE_RECEIPT), PARLEY_OK);
    ck_assert_uint_eq(receipt.n_whose, i == 0);
    ck_assert(i > 0 || receipt.whose[0] == a.customer);
    arena_free(&receipt.op.arena);
  }
  snprintf(sql, sizeof sql, "SELECT count(*) FROM consent WHERE granted=0 AND source='%s' AND proof LIKE"
           " '{\"message\":\"msg_%%\"channel\":\"mail\",\"code\":\"%s\",\"detail\":\"%s\"}'", row->source, row->code, row->detail);
  ck_assert_int_eq(fixture_sql(&f, sql), 1);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM consent"), 1);
  ck_assert_int_eq(accept_to(&f, &rules, "email", "ana@example.org", MAIL).state, MESSAGE_SUPPRESSED);
}
END_TEST

START_TEST(a_click_stands_on_the_timeline_with_its_link_and_who_it_was)
{
  struct accepted a;
  struct store_receipt receipt = {.channel = PARLEY_LIT("mail"), .receipt = PARLEY_RECEIPT_CLICKED, .machine = true,
                                  .link = PARLEY_LIT("https://shop.example/a?b=1&c=2"), .agent = PARLEY_LIT("<b>\"bot\"")};

  rules_room(&rules, 10);
  a = accept_to(&f, &rules, "email", "ana@example.org", MAIL);
  settle(&f, &rules, &a, PARLEY_OUTCOME_ACCEPTED);
  receipt.message = a.message;
  receipt.policy = rules.policy;
  ck_assert_int_eq(fixture_run(&f, &receipt.op, STORE_RECEIPT), PARLEY_OK);
  arena_free(&receipt.op.arena);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM event WHERE type='message.clicked' AND data='{\"channel\":\"mail\",\"link\":"
                                   "\"https://shop.example/a?b=1&c=2\",\"agent\":\"<b>\\\"bot\\\"\",\"machine\":true}'"), 1);
  ck_assert_int_eq(count_of(&f, MESSAGE_SENT), 1);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("store: consent");
  TCase *tcase = tcase_create("all");
  SRunner *runner;
  int failed;

  tcase_add_checked_fixture(tcase, setup, teardown);
  tcase_add_loop_test(tcase, a_consent_that_was_asked_for_is_answered_once, 0, 4);
  tcase_add_test(tcase, a_newsletter_that_waits_is_not_sent_once_its_topic_is_unsubscribed);
  tcase_add_test(tcase, the_plan_goes_on_to_a_kind_that_is_still_granted);
  tcase_add_test(tcase, no_step_is_begun_that_nobody_wants_any_more);
  tcase_add_test(tcase, other_topics_and_kinds_go_on);
  tcase_add_test(tcase, an_address_that_was_suppressed_meanwhile_is_not_written_to);
  tcase_add_test(tcase, on_an_ordered_channel_the_next_goes_when_the_one_in_front_is_stopped);
  tcase_add_test(tcase, what_the_ledger_says_already_is_written_once);
  tcase_add_loop_test(tcase, a_receipt_that_withdraws_leaves_its_proof_in_the_ledger_once, 0, COUNT_OF(told_rows));
  tcase_add_test(tcase, a_click_stands_on_the_timeline_with_its_link_and_who_it_was);
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed > 0;
}
