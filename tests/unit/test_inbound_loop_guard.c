/* How much one address may send by machine within an hour. */
#include "core/inbound/loop_guard.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define HOUR_MS INT64_C(3600000)

static bool over(struct loop_guard *guard, const char *address, int64_t at_ms)
{
  return loop_guard_over(guard, PARLEY_LIT("mail"), parley_text_of(address), at_ms);
}

START_TEST(so_many_within_an_hour_and_not_one_more)
{
  struct loop_guard *guard = loop_guard_new(3, 8);

  for (int i = 0; i < 3; i++)
    ck_assert(!over(guard, "robot@example.org", 1000 + i));
  ck_assert(over(guard, "Robot@Example.org", 1004));
  ck_assert(!over(guard, "other@example.org", 1004));
  ck_assert(!loop_guard_over(guard, PARLEY_LIT("other"), PARLEY_LIT("robot@example.org"), 1004));
  ck_assert(!over(guard, "robot@example.org", 1004 + HOUR_MS / 3)); /* one has run out */
  ck_assert(over(guard, "robot@example.org", 1005 + HOUR_MS / 3));
  ck_assert(!over(guard, "robot@example.org", 2000 + 2 * HOUR_MS));
  loop_guard_free(&guard);
  ck_assert_ptr_null(guard);
}
END_TEST

START_TEST(a_full_table_forgets_who_has_been_quiet_longest)
{
  struct loop_guard *guard = loop_guard_new(1, 2);

  ck_assert(!over(guard, "a@example.org", 1));
  ck_assert(!over(guard, "b@example.org", 2));
  ck_assert(over(guard, "a@example.org", 3));
  ck_assert(!over(guard, "c@example.org", 4)); /* instead of b */
  ck_assert(over(guard, "a@example.org", 5));
  ck_assert(!over(guard, "b@example.org", 6));
  loop_guard_free(&guard);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("inbound_loop_guard");
  TCase *tcase = tcase_create("all");
  SRunner *runner;
  int failed;

  tcase_add_test(tcase, so_many_within_an_hour_and_not_one_more);
  tcase_add_test(tcase, a_full_table_forgets_who_has_been_quiet_longest);
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
