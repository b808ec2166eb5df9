/* Numbers of events: rising, and enough of them, however many events one round has. */
#include "store_messages.h"

#define STRANGERS 4200 /* each is an event of its own; PostgreSQL's counter is in slots of 4096 */

static struct fixture f;
static struct rules rules;

static void setup(void)
{
  fixture_init(&f);
  fixture_open(&f);
  rules_init(&rules, 0);
}

static void teardown(void)
{
  rules_done(&rules);
  fixture_done(&f);
}

static void accept_strangers(void)
{
  struct accept_item *items = calloc(STRANGERS, sizeof(*items));
  struct store_accept accept = {.decide = decide, .n_items = STRANGERS, .items = items};
  char address[48];

  for (int i = 0; i < STRANGERS; i++) {
    snprintf(address, sizeof(address), "stranger%d@example.org", i);
    items[i].submission = submission_make(&f, &rules, "email", address, MAIL);
  }
  ck_assert_int_eq(fixture_run(&f, &accept.op, STORE_ACCEPT), PARLEY_OK);
  for (int i = 0; i < STRANGERS; i++) {
    ck_assert_int_eq((int)items[i].result, ACCEPTED);
    submission_free(&items[i].submission);
  }
  arena_free(&accept.op.arena);
  free(items);
}

START_TEST(one_round_has_more_events_than_a_slot_of_numbers)
{
  int64_t newest;
  struct accepted next;

  accept_strangers();
  ck_assert_int_eq(f.n_committed, 1);
  newest = fixture_sql(&f, "SELECT max(seq) FROM event");
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM event WHERE type='customer.created'"), STRANGERS);
  ck_assert_int_ge(fixture_sql(&f, "SELECT count(DISTINCT seq >> 12) FROM event"), 2);
  ck_assert_int_eq((int64_t)f.committed, newest);
  next = accept_to(&f, &rules, "email", "one.more@example.org", MAIL);
  ck_assert_int_eq(next.status, PARLEY_OK);
  ck_assert_int_gt((int64_t)f.committed, newest);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("store_seq");
  TCase *tcase = tcase_create("all");
  SRunner *runner;
  int failed;

  tcase_add_checked_fixture(tcase, setup, teardown);
  tcase_add_test(tcase, one_round_has_more_events_than_a_slot_of_numbers);
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
