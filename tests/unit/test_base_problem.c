#include "core/base/problem.h"
#include "core/base/text.h"
#include <check.h>
#include <string.h>

START_TEST(rows_are_kept_up_to_the_limit_and_the_rest_is_counted)
{
  struct arena *arena = arena_new();
  struct problems problems;
  char name[] = "/to";

  problems_init(&problems, arena);
  for (int i = 0; i < PROBLEMS_MAX + 3; i++) {
    problem_add(&problems, parley_text_of(name), "unknown_field", "field %d is not known", i);
    problem_hint(&problems, "hint %d", i);
  }
  name[1] = 'x';
  ck_assert_uint_eq(problems.count, PROBLEMS_MAX);
  ck_assert_uint_eq(problems.dropped, 3);
  ck_assert_str_eq(problems.rows[0].pointer.at, "/to");
  ck_assert_str_eq(problems.rows[19].detail.at, "field 19 is not known");
  ck_assert_str_eq(problems.rows[19].hint.at, "hint 19"); /* not that of a row that was dropped */
  arena_free(&arena);
}
END_TEST

START_TEST(a_long_detail_is_cut)
{
  struct arena *arena = arena_new();
  struct problems problems;
  char text[3000];

  memset(text, 'x', sizeof(text) - 1);
  text[sizeof(text) - 1] = '\0';
  problems_init(&problems, arena);
  problem_hint(&problems, "no row yet");
  problem_add(&problems, TEXT_EMPTY, "too_long", "%s", text);
  ck_assert_uint_eq(problems.rows[0].detail.len, 500);
  ck_assert_uint_eq(problems.rows[0].hint.len, 0);
  arena_free(&arena);
}
END_TEST

START_TEST(a_pointer_is_escaped_as_rfc_6901_says)
{
  struct arena *arena = arena_new();
  parley_text pointer = pointer_member(arena, TEXT_EMPTY, PARLEY_LIT("a/b"));

  pointer = pointer_index(arena, pointer, 12);
  pointer = pointer_member(arena, pointer, PARLEY_LIT("m~n"));
  ck_assert_str_eq(pointer.at, "/a~1b/12/m~0n");
  arena_free(&arena);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("base: problem");
  TCase *tcase = tcase_create("all");
  SRunner *runner;
  int failed;

  tcase_add_test(tcase, rows_are_kept_up_to_the_limit_and_the_rest_is_counted);
  tcase_add_test(tcase, a_long_detail_is_cut);
  tcase_add_test(tcase, a_pointer_is_escaped_as_rfc_6901_says);
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed > 0;
}
