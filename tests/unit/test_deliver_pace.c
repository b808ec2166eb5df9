/* How fast a destination is gone to after it said "slower", and which mail domains are one. */
#include "core/deliver/destination.h"
#include "core/deliver/pace.h"
#include <check.h>

enum { T0 = 1000000, FLOOR_MS = 10000 };
#define FLOOR 0.1

/* Messages of one rate, one after the other. */
static int64_t take_evenly(struct pace *pace, uint32_t n, int64_t every_ms, int64_t from_ms)
{
  for (uint32_t i = 0; i < n; i++, from_ms += every_ms)
    pace_taken(pace, from_ms);
  return from_ms;
}

START_TEST(what_never_throttled_has_no_limit)
{
  struct pace pace = {0};

  for (uint32_t i = 0; i < 1000; i++)
    ck_assert(pace_take(&pace, 3, T0));
  take_evenly(&pace, 100, 10, T0);
  ck_assert(pace_take(&pace, 3, T0));
}
END_TEST

START_TEST(each_throttle_halves_what_it_took_down_to_the_floor)
{
  struct pace pace = {0};
  int64_t now = take_evenly(&pace, 200, 50, T0); /* 20 a second */

  pace_slower(&pace, 500, FLOOR, now);
  ck_assert_double_eq_tol(pace.rate_per_s, 10, 0.2);
  for (double want = 5; want > FLOOR; want /= 2) { /* nothing was taken in between */
    pace_slower(&pace, 500, FLOOR, now += 60000);
    ck_assert_double_eq_tol(pace.rate_per_s, want, 0.2);
  }
  pace_slower(&pace, 500, FLOOR, now += 60000);
  ck_assert_double_eq_tol(pace.rate_per_s, FLOOR, 1e-9);
}
END_TEST

START_TEST(without_a_count_of_its_own_the_whole_channels_is_the_measure)
{
  struct pace pace = {0};

  pace_slower(&pace, 100, FLOOR, T0);
  ck_assert_double_eq_tol(pace.rate_per_s, 50, 1e-9);
  take_evenly(&pace, 8, 250, T0); /* it takes 4 a second, then says so again */
  pace_slower(&pace, 100, FLOOR, T0 + 2000);
  ck_assert_double_eq_tol(pace.rate_per_s, 2, 0.1);
}
END_TEST

START_TEST(a_limit_lets_so_many_through_and_no_more)
{
  struct pace pace = {0};
  uint32_t went = 0;

  pace_slower(&pace, 20, FLOOR, T0); /* 10 a second */
  for (int64_t at = T0; at < T0 + 10000; at += 5)
    went += pace_take(&pace, 3, at);
  ck_assert_uint_ge(went, 99);
  ck_assert_uint_le(went, 101);
  pace_give_back(&pace);
  ck_assert(pace_take(&pace, 3, T0 + 10000));
}
END_TEST

START_TEST(it_grows_slowly_with_what_is_taken_until_it_is_free)
{
  struct pace pace = {0};
  int64_t now = T0;
  uint32_t steps = 0;
  double before;

  pace_slower(&pace, 20, FLOOR, now);
  before = pace.rate_per_s;
  now += PACE_STEP_MS * 100; /* less than an hour: time alone changes nothing */
  ck_assert_double_eq_tol(pace.rate_per_s, before, 1e-9);
  for (; pace.rate_per_s > 0 && steps < 1000; steps++, now += PACE_STEP_MS) {
    for (uint32_t i = 0; i < 10; i++)
      pace_taken(&pace, now); /* many at once are one step */
    ck_assert_double_le(pace.rate_per_s, before + (before > 20 ? before : 20) * PACE_STEP_SHARE + 1e-9);
    before = pace.rate_per_s;
  }
  ck_assert_uint_ge(steps, 10); /* from 10 to 20 by 2 at a time, then by a tenth to 40 */
  ck_assert_uint_le(steps, 15);
}
END_TEST

START_TEST(as_long_as_somebody_waits_it_is_not_set_free)
{
  struct pace pace = {0};
  int64_t now = T0;

  pace_slower(&pace, 0.2, FLOOR, now);
  for (uint32_t i = 0; i < 30; i++) {
    now += PACE_STEP_MS;
    while (pace_take(&pace, 3, now)) /* more want to go than may */
      pace_taken(&pace, now);
  }
  ck_assert_double_gt(pace.rate_per_s, 0.2 * PACE_FREE_AT);
  ck_assert_double_lt(pace.rate_per_s, 10);
  pace_taken(&pace, now + PACE_FREE_MS + PACE_STEP_MS);
  ck_assert_double_eq_tol(pace.rate_per_s, 0, 1e-9);
}
END_TEST

START_TEST(a_limit_that_nobody_met_for_an_hour_is_forgotten)
{
  struct pace pace = {0};

  pace_slower(&pace, 2, FLOOR, T0);
  ck_assert(pace_is_limited(&pace, T0 + PACE_FORGET_MS - 1));
  ck_assert(pace_take(&pace, 3, T0 + PACE_FORGET_MS - 1));
  ck_assert(!pace_take(&pace, 3, T0 + PACE_FORGET_MS)); /* the one before has met it */
  ck_assert(!pace_is_limited(&pace, T0 + 2 * PACE_FORGET_MS));
  ck_assert(pace_take(&pace, 3, T0 + 2 * PACE_FORGET_MS));
  ck_assert(pace_take(&pace, 3, T0 + 2 * PACE_FORGET_MS));
}
END_TEST

START_TEST(what_throttles_at_once_begins_somewhere)
{
  struct pace pace = {0};

  pace_slower(&pace, 0, FLOOR, T0);
  ck_assert_double_eq_tol(pace.rate_per_s, PACE_UNKNOWN_PER_S / 2.0, 1e-9);
}
END_TEST

START_TEST(who_waits_comes_back_one_after_the_other_the_urgent_first)
{
  struct pace pace = {0};
  int64_t last = 0, urgent;

  pace_slower(&pace, 4, FLOOR, T0); /* 2 a second */
  for (uint32_t i = 1; i <= 100; i++) {
    int64_t at = pace_put_off(&pace, 3, T0);

    ck_assert_int_ge(at, T0 + i * 500);
    ck_assert_int_le(at, T0 + i * 501 + PACE_PUT_OFF_MIN_MS);
    ck_assert_int_ge(at, last);
    last = at;
  }
  urgent = pace_put_off(&pace, 0, T0);
  ck_assert_int_le(urgent, T0 + 1000);
  ck_assert_int_gt(pace_put_off(&pace, 3, T0), last);
}
END_TEST

START_TEST(the_next_place_is_for_the_urgent_one_that_waits)
{
  struct pace pace = {0};
  int64_t at;

  pace_slower(&pace, 2, FLOOR, T0); /* 1 a second */
  ck_assert(pace_take(&pace, 3, T0));
  ck_assert(!pace_take(&pace, 0, T0));
  at = pace_put_off(&pace, 0, T0);
  ck_assert(!pace_take(&pace, 3, at)); /* there is one place now */
  ck_assert(pace_take(&pace, 0, at));
  ck_assert(pace_take(&pace, 3, at + PACE_URGENT_MS)); /* and nobody's place is kept for ever */
}
END_TEST

START_TEST(nobody_is_put_off_further_than_the_limit_and_not_all_for_the_same_moment)
{
  struct pace pace = {0};
  uint32_t at_last = 0;
  int64_t first = 0;

  pace_slower(&pace, FLOOR, FLOOR, T0);
  for (uint32_t i = 0; i < 1000; i++) {
    int64_t at = pace_put_off(&pace, 3, T0 + FLOOR_MS);

    ck_assert_int_gt(at, T0 + FLOOR_MS);
    ck_assert_int_le(at, T0 + FLOOR_MS + PACE_PUT_OFF_MAX_MS + PACE_PUT_OFF_MIN_MS);
    if (first == 0)
      first = at;
    at_last += at > T0 + FLOOR_MS + PACE_PUT_OFF_MAX_MS - 3000;
  }
  ck_assert_int_lt(first, T0 + 3 * FLOOR_MS);
  ck_assert_uint_lt(at_last, 50);
}
END_TEST

static const struct {
  const char *domain, *want;
} domains[] = {
    {"gmail.com", "gmail.com"},       {"googlemail.com", "gmail.com"},  {"hotmail.co.uk", "outlook.com"},
    {"live.com", "outlook.com"},      {"aol.com", "yahoo.com"},         {"yahoo.co.jp", "yahoo.co.jp"},
    {"me.com", "icloud.com"},         {"example.org", "example.org"},   {"mygmail.com", "mygmail.com"},
    {"gmail.com.example.org", "gmail.com.example.org"}, {"", ""},
};

START_TEST(domains_of_one_receiver_are_one_destination)
{
  parley_text got = destination_of(parley_text_of(domains[_i].domain));

  ck_assert(parley_text_is(got, domains[_i].want));
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("deliver_pace");
  TCase *tcase = tcase_create("pace");
  SRunner *runner = srunner_create(suite);
  int failed;

  tcase_add_test(tcase, what_never_throttled_has_no_limit);
  tcase_add_test(tcase, each_throttle_halves_what_it_took_down_to_the_floor);
  tcase_add_test(tcase, without_a_count_of_its_own_the_whole_channels_is_the_measure);
  tcase_add_test(tcase, a_limit_lets_so_many_through_and_no_more);
  tcase_add_test(tcase, it_grows_slowly_with_what_is_taken_until_it_is_free);
  tcase_add_test(tcase, as_long_as_somebody_waits_it_is_not_set_free);
  tcase_add_test(tcase, a_limit_that_nobody_met_for_an_hour_is_forgotten);
  tcase_add_test(tcase, what_throttles_at_once_begins_somewhere);
  tcase_add_test(tcase, who_waits_comes_back_one_after_the_other_the_urgent_first);
  tcase_add_test(tcase, the_next_place_is_for_the_urgent_one_that_waits);
  tcase_add_test(tcase, nobody_is_put_off_further_than_the_limit_and_not_all_for_the_same_moment);
  tcase_add_loop_test(tcase, domains_of_one_receiver_are_one_destination, 0, sizeof domains / sizeof *domains);
  suite_add_tcase(suite, tcase);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed != 0;
}
