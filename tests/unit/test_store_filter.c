/* stores: sqlite (pure: no store is opened) */
#include "core/base/digest.h"
#include "core/store/filter.h"
#include <check.h>
#include <stdlib.h>

#define KEYS 1000000
#define STRANGERS 100000
#define FALSE_SHARE 100 /* at most one stranger in so many is taken for a known one */

static uint64_t key_of(uint64_t number)
{
  return hash_mix(number * 2 + 1);
}

START_TEST(what_was_added_is_always_there)
{
  struct filter *filter = filter_new();
  size_t there = 0;

  for (uint64_t i = 0; i < KEYS; i++)
    filter_add(filter, key_of(i));
  ck_assert_uint_eq(filter_count(filter), KEYS);
  for (uint64_t i = 0; i < KEYS; i++)
    there += filter_may_have(filter, key_of(i));
  ck_assert_uint_eq(there, KEYS);
  filter_free(&filter);
  ck_assert_ptr_null(filter);
}
END_TEST

START_TEST(few_strangers_are_taken_for_known)
{
  struct filter *filter = filter_new();
  int taken = 0;

  ck_assert(!filter_may_have(filter, key_of(0)));
  for (uint64_t i = 0; i < KEYS; i++)
    filter_add(filter, key_of(i));
  for (uint64_t i = KEYS; i < KEYS + STRANGERS; i++)
    taken += filter_may_have(filter, key_of(i));
  ck_assert_int_lt(taken, STRANGERS / FALSE_SHARE);
  filter_free(&filter);
}
END_TEST

START_TEST(a_full_one_says_so_and_keeps_what_it_has)
{
  struct filter *filter = filter_new();
  size_t added = 0;

  while (added < FILTER_KEYS_MAX && filter_add(filter, key_of(added)))
    added++;
  ck_assert_uint_eq(added, FILTER_KEYS_MAX);
  ck_assert(!filter_add(filter, key_of(FILTER_KEYS_MAX)));
  ck_assert_uint_eq(filter_count(filter), FILTER_KEYS_MAX);
  for (uint64_t i = 0; i < FILTER_KEYS_MAX; i += 1000)
    ck_assert(filter_may_have(filter, key_of(i)));
  filter_free(&filter);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("store: filter");
  TCase *tcase = tcase_create("all");
  SRunner *runner;
  int failed;

  tcase_set_timeout(tcase, 60);
  tcase_add_test(tcase, what_was_added_is_always_there);
  tcase_add_test(tcase, few_strangers_are_taken_for_known);
  tcase_add_test(tcase, a_full_one_says_so_and_keeps_what_it_has);
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed > 0;
}
