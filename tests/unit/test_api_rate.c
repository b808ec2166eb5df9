/* How often something may happen, by key: windows, and what a flood of keys does to the others. */
#include "core/api/rate.h"
#include <check.h>
#include <stdlib.h>

#define KEYS_MAX 8
#define SPAN_MS 1000

static struct rate rate;

static void begin(void)
{
  rate_init(&rate, KEYS_MAX);
}

static void end(void)
{
  rate_done(&rate);
}

START_TEST(so_many_go_within_a_span_and_as_many_in_the_next)
{
  for (int64_t now = 0; now < 3 * SPAN_MS; now += SPAN_MS) {
    ck_assert(rate_take(&rate, 1, 2, SPAN_MS, now));
    ck_assert(rate_take(&rate, 1, 2, SPAN_MS, now + 1));
    ck_assert(!rate_take(&rate, 1, 2, SPAN_MS, now + SPAN_MS - 1));
  }
  ck_assert(rate_take(&rate, 2, 2, SPAN_MS, 0));
  ck_assert(rate_take(&rate, 1, 0, 0, 0));
}
END_TEST

START_TEST(a_flood_of_keys_is_forgotten_oldest_first_and_refuses_nobody)
{
  for (uint64_t key = 1; key <= 1000; key++)
    ck_assert(rate_take(&rate, key, 1, SPAN_MS, (int64_t)(key / 100)));
  ck_assert_uint_eq(rate.seen.count, KEYS_MAX);
  ck_assert(rate_take(&rate, 5000, 1, SPAN_MS, 11)); /* somebody who comes after it */
  for (uint64_t key = 994; key <= 1000; key++)
    ck_assert(!rate_take(&rate, key, 1, SPAN_MS, 11));
  ck_assert(rate_take(&rate, 993, 1, SPAN_MS, 11)); /* the oldest is not known any more */
  ck_assert(rate_take(&rate, 994, 1, SPAN_MS, 11)); /* and 993 took the place of the next one */
}
END_TEST

START_TEST(a_key_that_begins_anew_is_the_newest)
{
  for (uint64_t key = 1; key <= KEYS_MAX; key++)
    ck_assert(rate_take(&rate, key, 1, SPAN_MS, 0));
  ck_assert(rate_take(&rate, 1, 1, SPAN_MS, SPAN_MS));
  ck_assert(rate_take(&rate, 100, 1, SPAN_MS, SPAN_MS)); /* in the place of 2 */
  ck_assert(!rate_take(&rate, 1, 1, SPAN_MS, SPAN_MS));
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("api: rate");
  TCase *tcase = tcase_create("all");
  SRunner *runner;
  int failed;

  tcase_add_checked_fixture(tcase, begin, end);
  tcase_add_test(tcase, so_many_go_within_a_span_and_as_many_in_the_next);
  tcase_add_test(tcase, a_flood_of_keys_is_forgotten_oldest_first_and_refuses_nobody);
  tcase_add_test(tcase, a_key_that_begins_anew_is_the_newest);
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
