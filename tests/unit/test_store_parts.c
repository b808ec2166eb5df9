/* Messages in several parts: an id and a receipt for each, in any order, early, late and twice. */
#include "store_messages.h"
#include <stdlib.h>

enum { PARTS = 3 };
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
  assert_adds_up(&f);
  rules_done(&rules);
  fixture_done(&f);
}

/* --- steps --- */

static enum message_state settle_ids(const struct accepted *a, uint64_t token, uint32_t outcome, const char *const ids[], size_t n)
{
  parley_text texts[70];
  struct store_settle op = {.message = a->message, .token = token, .outcome = outcome, .handed = true,
                            .started_ms = f.fake.now_ms, .ended_ms = f.fake.now_ms, .retry_at_ms = f.fake.now_ms,
                            .n_provider_ids = n, .provider_ids = texts, .policy = rules.policy};

  for (size_t i = 0; i < n; i++)
    texts[i] = parley_text_of(ids[i]);
  ck_assert_int_eq(fixture_run(&f, &op.op, STORE_SETTLE), PARLEY_OK);
  arena_free(&op.op.arena);
  return op.after;
}

static struct accepted sent(const char *const ids[])
{
  struct accepted a = accept_to(&f, &rules, "phone", "+34600111222", SMS);

  settle_ids(&a, a.token, PARLEY_OUTCOME_ACCEPTED, ids, PARTS);
  return a;
}

static bool hear(const char *id, uint32_t kind, uint32_t outcome, const char *code) /* true: it was news */
{
  struct store_receipt receipt = {.channel = PARLEY_LIT("sms"), .provider_id = parley_text_of(id), .receipt = kind, .outcome = outcome,
                                  .code = parley_text_of(code), .detail = outcome != 0 ? PARLEY_LIT("absent") : TEXT_EMPTY,
                                  .at_ms = f.fake.now_ms, .policy = rules.policy};

  ck_assert_int_eq(fixture_run(&f, &receipt.op, STORE_RECEIPT), PARLEY_OK);
  arena_free(&receipt.op.arena);
  return !receipt.repeated;
}

static bool arrived(const char *id)
{
  return hear(id, PARLEY_RECEIPT_DELIVERED, 0, "000");
}

static bool failed(const char *id)
{
  return hear(id, PARLEY_RECEIPT_FAILED, PARLEY_OUTCOME_REJECTED, "27");
}

static struct store_message look(id64 message)
{
  struct store_message ask = {.id = message};

  ck_assert_int_eq(fixture_run(&f, &ask.op, STORE_MESSAGE), PARLEY_OK);
  return ask;
}

static void assert_state(id64 message, enum message_state want)
{
  struct store_message ask = look(message);

  ck_assert_str_eq(message_state_name(ask.row->state), message_state_name(want));
  arena_free(&ask.op.arena);
}

static int64_t told(const char *like)
{
  char sql[256];

  snprintf(sql, sizeof sql, "SELECT count(*) FROM event WHERE type='message.status' AND data LIKE '%s'", like);
  return fixture_sql(&f, sql);
}

/* --- receipts --- */

static const char *const three[] = {"p-1", "p-2", "p-3"};

START_TEST(a_failed_part_ends_it_when_no_other_is_awaited)
{
  struct accepted a = sent(three);
  struct store_message ask;

  ck_assert(failed("p-1"));
  assert_state(a.message, MESSAGE_SENT);
  ck_assert(!failed("p-1"));
  ck_assert(arrived("p-3"));
  assert_state(a.message, MESSAGE_SENT);
  ck_assert(arrived("p-2"));
  ask = look(a.message);
  ck_assert_int_eq(ask.row->state, MESSAGE_FAILED);
  ck_assert(parley_text_is(ask.row->reason, "receipt_failed"));
  ck_assert(parts_partial(&ask.row->deliveries[0].parts) && parts_delivered(&ask.row->deliveries[0].parts) == 2);
  ck_assert(parley_text_is(ask.row->deliveries[0].part_code, "27"));
  ck_assert(parley_text_is(ask.row->deliveries[0].provider_ids, "[\"p-1\",\"p-2\",\"p-3\"]"));
  arena_free(&ask.op.arena);
  ck_assert_int_eq(told("%\"status\":\"failed\"%\"code\":\"27\",\"detail\":\"partial 2/3\"%"), 1);
  ck_assert(arrived("p-1")); /* a late one that says the contrary */
  assert_state(a.message, MESSAGE_DELIVERED);
}
END_TEST

START_TEST(the_last_part_to_fail_says_why)
{
  struct accepted a = sent(three);

  arrived("p-1");
  arrived("p-2");
  failed("p-3");
  assert_state(a.message, MESSAGE_FAILED);
  ck_assert_int_eq(told("%\"detail\":\"partial 2/3: absent\"%"), 1);
}
END_TEST

START_TEST(without_any_part_there_is_nothing_partial)
{
  struct accepted a = sent(three);

  for (int i = 0; i < PARTS; i++)
    failed(three[i]);
  assert_state(a.message, MESSAGE_FAILED);
  ck_assert_int_eq(told("%\"code\":\"27\",\"detail\":\"absent\"%"), 1);
}
END_TEST

START_TEST(all_parts_read_is_read)
{
  struct accepted a = sent(three);

  hear("p-2", PARLEY_RECEIPT_READ, 0, "");
  arrived("p-1");
  arrived("p-3");
  assert_state(a.message, MESSAGE_DELIVERED);
  hear("p-1", PARLEY_RECEIPT_READ, 0, "");
  assert_state(a.message, MESSAGE_DELIVERED);
  hear("p-3", PARLEY_RECEIPT_READ, 0, "");
  assert_state(a.message, MESSAGE_READ);
}
END_TEST

START_TEST(sent_of_one_part_does_not_stand_for_the_others)
{
  struct accepted a = accept_to(&f, &rules, "phone", "+34600111222", SMS);
  const char *const one[] = {"p-1", "", ""};

  ck_assert_int_eq(settle_ids(&a, a.token, PARLEY_OUTCOME_RETRY, one, PARTS), MESSAGE_QUEUED);
  ck_assert(!hear("p-1", PARLEY_RECEIPT_SENT, 0, ""));
  assert_state(a.message, MESSAGE_QUEUED);
}
END_TEST

START_TEST(early_receipts_of_parts_are_joined)
{
  struct accepted a = accept_to(&f, &rules, "phone", "+34600111222", SMS);
  struct store_message ask;

  arrived("p-3");
  failed("p-1");
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM park"), 2);
  ck_assert_int_eq(settle_ids(&a, a.token, PARLEY_OUTCOME_ACCEPTED, three, PARTS), MESSAGE_SENT);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM park"), 0);
  ask = look(a.message);
  ck_assert_int_eq(part_state(&ask.row->deliveries[0].parts, 0), DELIVERY_FAILED);
  ck_assert_int_eq(part_state(&ask.row->deliveries[0].parts, 1), DELIVERY_SENT);
  ck_assert_int_eq(part_state(&ask.row->deliveries[0].parts, 2), DELIVERY_DELIVERED);
  arena_free(&ask.op.arena);
}
END_TEST

START_TEST(a_resumed_message_keeps_the_ids_of_the_parts_that_were_out)
{
  struct accepted a = accept_to(&f, &rules, "phone", "+34600111222", SMS);
  const char *const first[] = {"p-1", "", ""}, *const rest[] = {"", "p-2", "p-3"};
  struct store_claim claim = {.channel = &rules.policy->channels[SMS], .policy = rules.policy, .lane = LANE_TRANSACTIONAL, .limit = 1};
  struct store_message ask;

  settle_ids(&a, a.token, PARLEY_OUTCOME_RETRY, first, PARTS);
  arrived("p-1"); /* before the rest is out */
  claim.now_ms = f.fake.now_ms;
  ck_assert_int_eq(fixture_run(&f, &claim.op, STORE_CLAIM), PARLEY_OK);
  ck_assert_uint_eq(claim.n_claims, 1);
  ck_assert_uint_eq(claim.claims[0].n_provider_ids, PARTS);
  ck_assert(parley_text_is(claim.claims[0].provider_ids[0], "p-1") && claim.claims[0].provider_ids[1].len == 0);
  ck_assert_int_eq(settle_ids(&a, claim.claims[0].token, PARLEY_OUTCOME_ACCEPTED, rest, PARTS), MESSAGE_SENT);
  arena_free(&claim.op.arena);
  ask = look(a.message);
  ck_assert(parley_text_is(ask.row->deliveries[0].provider_ids, "[\"p-1\",\"p-2\",\"p-3\"]"));
  ck_assert(parley_text_is(ask.row->provider_id, "p-1"));
  arena_free(&ask.op.arena);
  arrived("p-2");
  arrived("p-3");
  assert_state(a.message, MESSAGE_DELIVERED);
}
END_TEST

START_TEST(what_was_cut_anew_begins_anew)
{
  struct accepted a = accept_to(&f, &rules, "phone", "+34600111222", SMS);
  const char *const two[] = {"q-1", "q-2"};
  struct taken taken;

  settle_ids(&a, a.token, PARLEY_OUTCOME_RETRY, three, PARTS);
  arrived("p-1");
  arrived("p-2");
  taken = claim_on(&f, &rules, SMS, 1);
  ck_assert_int_eq(settle_ids(&a, taken.token, PARLEY_OUTCOME_ACCEPTED, two, 2), MESSAGE_SENT);
  arrived("q-1");
  ck_assert(!arrived("p-3")); /* there is no third part any more */
  assert_state(a.message, MESSAGE_SENT);
  arrived("q-2");
  assert_state(a.message, MESSAGE_DELIVERED);
}
END_TEST

START_TEST(a_bad_address_is_suppressed_unless_a_part_arrived_there)
{
  struct accepted a = sent(three);

  if (_i > 0)
    arrived("p-2");
  hear("p-1", PARLEY_RECEIPT_FAILED, PARLEY_OUTCOME_BAD_ADDRESS, "1");
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM suppression WHERE removed=0"), _i == 0);
  assert_state(a.message, MESSAGE_SENT);
}
END_TEST

START_TEST(sixty_four_parts_and_no_more_are_told_apart)
{
  struct accepted a = accept_to(&f, &rules, "phone", "+34600111222", SMS);
  char rooms[66][8];
  const char *ids[66];

  for (int i = 0; i < 66; i++) {
    snprintf(rooms[i], sizeof rooms[i], "p-%d", i);
    ids[i] = rooms[i];
  }
  settle_ids(&a, a.token, PARLEY_OUTCOME_ACCEPTED, ids, 66);
  ck_assert_int_eq(fixture_sql(&f, "SELECT parts FROM delivery"), PARTS_MAX);
  for (int i = PARTS_MAX - 1; i > 0; i--)
    arrived(ids[i]);
  assert_state(a.message, MESSAGE_SENT);
  arrived(ids[0]);
  assert_state(a.message, MESSAGE_DELIVERED);
}
END_TEST

/* --- any order --- */

enum { MESSAGES = 40 };
struct turn { int message, part; uint32_t kind; };

static void shuffle(struct turn *all, size_t n)
{
  for (size_t i = n - 1; i > 0; i--) {
    size_t j = (size_t)rand() % (i + 1);
    struct turn swap = all[i];

    all[i] = all[j];
    all[j] = swap;
  }
}

static void happen(const struct turn *what, struct accepted *a)
{
  char rooms[PARTS][24];
  const char *ids[PARTS];

  for (int i = 0; i < PARTS; i++) {
    snprintf(rooms[i], sizeof rooms[i], "m%d-%d", what->message, i);
    ids[i] = rooms[i];
  }
  if (what->kind == 0) /* the answer to the attempt itself */
    settle_ids(a, a->token, PARLEY_OUTCOME_ACCEPTED, ids, PARTS);
  else
    hear(ids[what->part], what->kind, what->kind == PARLEY_RECEIPT_FAILED ? PARLEY_OUTCOME_REJECTED : 0, "");
}

/* Of each message: a fate for each part, each told twice, and the answer to the attempt somewhere among them. */
START_TEST(whatever_the_order_the_end_is_the_same)
{
  static struct turn all[MESSAGES * (PARTS * 2 + 1)];
  struct accepted accepted[MESSAGES];
  int fates[MESSAGES][PARTS];
  unsigned seed = (unsigned)time(NULL) + (unsigned)_i;
  size_t n = 0;

  printf("# seed %u\n", seed);
  srand(seed);
  for (int m = 0; m < MESSAGES; m++) {
    accepted[m] = accept_to(&f, &rules, "phone", "+34600111222", SMS);
    all[n++] = (struct turn){m, 0, 0};
    for (int p = 0; p < PARTS; p++) {
      fates[m][p] = PARLEY_RECEIPT_DELIVERED + rand() % 3;
      for (int twice = 0; twice < 2; twice++)
        all[n++] = (struct turn){m, p, (uint32_t)fates[m][p]};
    }
  }
  shuffle(all, n);
  for (size_t i = 0; i < n; i++)
    happen(&all[i], &accepted[all[i].message]);
  for (int m = 0; m < MESSAGES; m++) {
    bool any_failed = false, all_read = true;

    for (int p = 0; p < PARTS; p++) {
      any_failed |= fates[m][p] == PARLEY_RECEIPT_FAILED;
      all_read &= fates[m][p] == PARLEY_RECEIPT_READ;
    }
    assert_state(accepted[m].message, any_failed ? MESSAGE_FAILED : all_read ? MESSAGE_READ : MESSAGE_DELIVERED);
  }
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM park"), 0);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("store_parts");
  TCase *tcase = tcase_create("all");
  SRunner *runner;
  int n_failed;

  tcase_set_timeout(tcase, 60);
  tcase_add_checked_fixture(tcase, setup, teardown);
  tcase_add_test(tcase, a_failed_part_ends_it_when_no_other_is_awaited);
  tcase_add_test(tcase, the_last_part_to_fail_says_why);
  tcase_add_test(tcase, without_any_part_there_is_nothing_partial);
  tcase_add_test(tcase, all_parts_read_is_read);
  tcase_add_test(tcase, sent_of_one_part_does_not_stand_for_the_others);
  tcase_add_test(tcase, early_receipts_of_parts_are_joined);
  tcase_add_test(tcase, a_resumed_message_keeps_the_ids_of_the_parts_that_were_out);
  tcase_add_test(tcase, what_was_cut_anew_begins_anew);
  tcase_add_loop_test(tcase, a_bad_address_is_suppressed_unless_a_part_arrived_there, 0, 2);
  tcase_add_test(tcase, sixty_four_parts_and_no_more_are_told_apart);
  tcase_add_loop_test(tcase, whatever_the_order_the_end_is_the_same, 0, 2);
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  n_failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return n_failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
