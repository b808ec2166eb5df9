/* Whose turn it is on a line that has suspects. */
#include "core/base/alloc.h"
#include "core/deliver/turns.h"
#include <check.h>

#define T0 1000000 /* where the monotonic clock stands */

static struct turns turns;
static int64_t look_ms;

static void setup(void)
{
  turns = (struct turns){0};
  look_ms = -1;
}

/* suspect, others: held; in_flight: in hand by now. */
static enum turn turn(bool suspect, bool others, uint32_t in_flight, int64_t at_ms)
{
  while (turns.in_flight < in_flight)
    turns_went(&turns, false, T0 + at_ms);
  while (turns.in_flight > in_flight)
    ck_assert(turns_settled(&turns, false, T0 + at_ms));
  return turns_next(&turns, suspect, others, T0 + at_ms, &look_ms);
}

/* A suspect goes on an empty line and settles so much later. */
static bool suspect_took(int64_t at_ms, int64_t took_ms)
{
  turns_went(&turns, true, T0 + at_ms);
  return turns_settled(&turns, true, T0 + at_ms + took_ms);
}

START_TEST(without_suspects_the_others_go)
{
  for (uint32_t in_flight = 0; in_flight < 3; in_flight++) {
    ck_assert_int_eq(turn(false, in_flight > 1, in_flight, 0), TURN_OTHERS);
    ck_assert_int_eq(look_ms, 0);
  }
}
END_TEST

START_TEST(a_suspect_waits_for_an_empty_line_and_nothing_follows_until_it_has_settled)
{
  ck_assert_int_eq(turn(true, true, 2, 0), TURN_NOBODY);
  ck_assert_int_eq(look_ms, T0 + TURNS_PATIENCE_MIN_MS);
  ck_assert_int_eq(turn(true, true, 1, 400), TURN_NOBODY);
  ck_assert_int_eq(look_ms, T0 + TURNS_PATIENCE_MIN_MS); /* from when it began to wait */
  ck_assert_int_eq(turn(true, true, 0, 500), TURN_SUSPECT);
  turns_went(&turns, true, T0 + 500);
  ck_assert_int_eq(turn(true, true, 1, 500), TURN_NOBODY); /* nor a second suspect */
  ck_assert_int_eq(turn(false, true, 1, 900), TURN_NOBODY);
  ck_assert_int_eq(look_ms, T0 + 500 + TURNS_ALONE_MS);
  ck_assert(turns_settled(&turns, true, T0 + 1000));
  ck_assert_int_eq(turn(false, true, 0, 1000), TURN_OTHERS);
}
END_TEST

START_TEST(what_a_suspect_kept_them_waiting_the_others_get_before_the_next)
{
  ck_assert_int_eq(turn(true, true, 1, 0), TURN_NOBODY);
  ck_assert_int_eq(turn(true, true, 0, 700), TURN_SUSPECT);
  ck_assert(suspect_took(700, 300)); /* 1000 ms in all */
  ck_assert_int_eq(turn(true, true, 0, 1000), TURN_OTHERS);
  ck_assert_int_eq(look_ms, T0 + 2000);
  ck_assert_int_eq(turn(true, false, 3, 1999), TURN_OTHERS);
  ck_assert_int_eq(turn(true, true, 3, 2000), TURN_NOBODY);
  ck_assert_int_eq(turn(true, true, 0, 2010), TURN_SUSPECT);
}
END_TEST

START_TEST(where_nobody_else_waits_suspects_follow_each_other)
{
  for (int64_t at_ms = 0; at_ms < 1000; at_ms += 100) {
    ck_assert_int_eq(turn(true, false, 0, at_ms), TURN_SUSPECT);
    ck_assert(suspect_took(at_ms, 100));
  }
}
END_TEST

START_TEST(a_line_that_never_runs_down_is_given_back_for_as_long_and_the_patience_doubles)
{
  int64_t at_ms = 0, patience_ms = TURNS_PATIENCE_MIN_MS;

  for (int i = 0; i < 12; i++) {
    ck_assert_int_eq(turn(true, true, 1, at_ms), TURN_NOBODY);
    ck_assert_int_eq(turn(true, true, 1, at_ms + patience_ms - 1), TURN_NOBODY);
    ck_assert_int_eq(turn(true, true, 1, at_ms + patience_ms), TURN_OTHERS);
    ck_assert_int_eq(look_ms, T0 + at_ms + 2 * patience_ms);
    at_ms += 2 * patience_ms;
    patience_ms = patience_ms * 2 < TURNS_PATIENCE_MAX_MS ? patience_ms * 2 : TURNS_PATIENCE_MAX_MS;
  }
  ck_assert_int_eq(patience_ms, TURNS_PATIENCE_MAX_MS);
  ck_assert_int_eq(turn(true, true, 1, at_ms), TURN_NOBODY);
  ck_assert_int_eq(turn(true, true, 0, at_ms + 1), TURN_SUSPECT);
  ck_assert(suspect_took(at_ms + 1, 0));
  at_ms += 100000;
  ck_assert_int_eq(turn(true, true, 1, at_ms), TURN_NOBODY); /* short again once one had its turn */
  ck_assert_int_eq(look_ms, T0 + at_ms + TURNS_PATIENCE_MIN_MS);
}
END_TEST

START_TEST(a_suspect_that_went_away_lets_the_others_go)
{
  ck_assert_int_eq(turn(true, true, 1, 0), TURN_NOBODY);
  ck_assert_int_eq(turn(false, true, 1, 100), TURN_OTHERS);
  ck_assert_int_eq(turn(true, true, 1, 9000), TURN_NOBODY); /* and a new one waits from its own beginning */
  ck_assert_int_eq(look_ms, T0 + 9000 + TURNS_PATIENCE_MIN_MS);
}
END_TEST

START_TEST(a_suspect_that_was_not_taken_keeps_its_turn)
{
  ck_assert_int_eq(turn(true, true, 0, 0), TURN_SUSPECT);
  turns_went(&turns, true, T0);
  turns_untaken(&turns, true);
  ck_assert_int_eq(turn(true, true, 0, 10), TURN_SUSPECT);
}
END_TEST

START_TEST(a_suspect_that_hangs_shares_the_line_and_a_death_then_is_not_its_own)
{
  ck_assert_int_eq(turn(true, true, 0, 0), TURN_SUSPECT);
  turns_went(&turns, true, T0);
  ck_assert_int_eq(turn(true, true, 1, TURNS_ALONE_MS - 1), TURN_NOBODY);
  ck_assert_int_eq(turn(true, true, 1, TURNS_ALONE_MS), TURN_OTHERS);
  if (_i == 1)
    turns_went(&turns, false, T0 + TURNS_ALONE_MS);
  ck_assert_int_eq(turns_settled(&turns, true, T0 + 3 * TURNS_ALONE_MS), _i == 0); /* alone to the end: its own */
  ck_assert_int_eq(turn(true, true, 0, 3 * TURNS_ALONE_MS), TURN_OTHERS);
  ck_assert_int_eq(look_ms, T0 + 4 * TURNS_ALONE_MS); /* they waited for the time alone only */
}
END_TEST

/* A minute of a full line, in ms: 10 places, each message takes 100 ms, a suspect 50 ms. */
START_TEST(neither_side_starves_under_constant_traffic)
{
  int64_t ends_ms[10] = {0}, suspect_until_ms = 0;
  unsigned suspects = 0, others = 0, stood_ms = 0;

  for (int64_t at_ms = 1; at_ms <= 60000; at_ms++) {
    uint32_t in_flight = 0;
    enum turn now;

    for (int i = 0; i < 10; i++)
      in_flight += ends_ms[i] > at_ms;
    if (suspect_until_ms > 0 && at_ms >= suspect_until_ms) {
      ck_assert_uint_eq(in_flight, 0);
      ck_assert(turns_settled(&turns, true, T0 + at_ms));
      suspect_until_ms = 0;
      suspects++;
    }
    now = turn(true, true, in_flight + (suspect_until_ms > 0), at_ms);
    stood_ms += now == TURN_NOBODY;
    if (now == TURN_SUSPECT) {
      turns_went(&turns, true, T0 + at_ms);
      suspect_until_ms = at_ms + 50;
    }
    for (int i = 0; now == TURN_OTHERS && i < 10; i++) {
      if (ends_ms[i] > at_ms)
        continue;
      turns_went(&turns, false, T0 + at_ms);
      ends_ms[i] = at_ms + 100;
      others++;
    }
  }
  ck_assert_uint_ge(suspects, 100);
  ck_assert_uint_ge(others, 60000 / 100 * 10 * 2 / 5); /* of what fits in without suspects */
  ck_assert_uint_le(stood_ms, 60000 / 2 + 1000);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("deliver: turns");
  TCase *tcase = tcase_create("all");
  SRunner *runner;
  int failed;

  tcase_add_checked_fixture(tcase, setup, NULL);
  tcase_add_test(tcase, without_suspects_the_others_go);
  tcase_add_test(tcase, a_suspect_waits_for_an_empty_line_and_nothing_follows_until_it_has_settled);
  tcase_add_test(tcase, what_a_suspect_kept_them_waiting_the_others_get_before_the_next);
  tcase_add_test(tcase, where_nobody_else_waits_suspects_follow_each_other);
  tcase_add_test(tcase, a_line_that_never_runs_down_is_given_back_for_as_long_and_the_patience_doubles);
  tcase_add_test(tcase, a_suspect_that_went_away_lets_the_others_go);
  tcase_add_test(tcase, a_suspect_that_was_not_taken_keeps_its_turn);
  tcase_add_loop_test(tcase, a_suspect_that_hangs_shares_the_line_and_a_death_then_is_not_its_own, 0, 2);
  tcase_add_test(tcase, neither_side_starves_under_constant_traffic);
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed > 0;
}
