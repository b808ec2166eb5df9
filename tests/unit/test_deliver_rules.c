/* When to try again, and when a door counts as closed. */
#include "core/base/alloc.h"
#include "core/deliver/breaker.h"
#include "core/deliver/retry.h"
#include <check.h>

static const struct {
  uint32_t attempt, hint_ms;
  int64_t least_ms, most_ms;
} pauses[] = {
    {1, 0, 2500, 5000},          {2, 0, 15000, 30000},        {3, 0, 60000, 120000},   {6, 0, 1800000, 3600000},
    {9, 0, 14400000, 28800000},  {50, 0, 14400000, 28800000}, {1, 7000, 7000, 7000},   {1, 10, 1000, 1000},
    {3, UINT32_MAX, RETRY_HINT_MS_MAX, RETRY_HINT_MS_MAX},
};

START_TEST(a_pause_follows_the_schedule_and_the_providers_hint_wins)
{
  struct env_fake fake;

  env_fake_init(&fake, 1000000);
  for (int i = 0; i < 100; i++) {
    int64_t got = retry_pause_ms(pauses[_i].attempt, pauses[_i].hint_ms, &fake.env);

    ck_assert_int_ge(got, pauses[_i].least_ms);
    ck_assert_int_le(got, pauses[_i].most_ms);
  }
}
END_TEST

START_TEST(five_failures_in_a_row_open_it_and_one_probe_at_a_time_is_let_through)
{
  struct breaker breaker = {0};

  for (int i = 0; i < BREAKER_FAILURES; i++) {
    ck_assert(breaker_allows(&breaker, 1000));
    breaker_bad(&breaker, 1000);
  }
  ck_assert(!breaker_allows(&breaker, 1000 + BREAKER_GAP_MIN_MS - 1));
  ck_assert(breaker_allows(&breaker, 1000 + BREAKER_GAP_MIN_MS));
  ck_assert(!breaker_allows(&breaker, 1000 + BREAKER_GAP_MIN_MS));
  breaker_untried(&breaker);
  ck_assert(breaker_allows(&breaker, 1000 + BREAKER_GAP_MIN_MS));
  breaker_good(&breaker, 7000);
  ck_assert_int_eq(breaker_open_until_ms(&breaker), 0);
}
END_TEST

START_TEST(the_gap_between_probes_doubles_up_to_a_minute)
{
  struct breaker breaker = {0};
  int64_t now = 0, gap = 0;

  for (int i = 0; i < BREAKER_FAILURES + 8; i++) {
    breaker_bad(&breaker, now);
    gap = breaker_open_until_ms(&breaker) == 0 ? 0 : breaker_open_until_ms(&breaker) - now;
    ck_assert_int_le(gap, BREAKER_GAP_MAX_MS);
    now += gap;
  }
  ck_assert_int_eq(gap, BREAKER_GAP_MAX_MS);
}
END_TEST

START_TEST(half_of_twenty_failing_opens_it_though_none_fail_in_a_row)
{
  struct breaker breaker = {0};

  for (int i = 0; i < BREAKER_SAMPLE / 2; i++) {
    ck_assert_int_eq(breaker_open_until_ms(&breaker), 0);
    breaker_good(&breaker, i);
    breaker_bad(&breaker, i);
  }
  ck_assert_int_ne(breaker_open_until_ms(&breaker), 0);
}
END_TEST

START_TEST(old_failures_are_forgotten)
{
  struct breaker breaker = {0};

  for (int i = 0; i < 100; i++) {
    breaker_good(&breaker, i * (BREAKER_SPAN_MS + 1));
    breaker_bad(&breaker, i * (BREAKER_SPAN_MS + 1));
    ck_assert_int_eq(breaker_open_until_ms(&breaker), 0);
  }
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("deliver: retry and breaker");
  TCase *tcase = tcase_create("all");
  SRunner *runner;
  int failed;

  tcase_add_loop_test(tcase, a_pause_follows_the_schedule_and_the_providers_hint_wins, 0, COUNT_OF(pauses));
  tcase_add_test(tcase, five_failures_in_a_row_open_it_and_one_probe_at_a_time_is_let_through);
  tcase_add_test(tcase, the_gap_between_probes_doubles_up_to_a_minute);
  tcase_add_test(tcase, half_of_twenty_failing_opens_it_though_none_fail_in_a_row);
  tcase_add_test(tcase, old_failures_are_forgotten);
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed > 0;
}
