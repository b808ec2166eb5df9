#include "store_messages.h"

#define OLD_MESSAGES (3 * STORE_RESTORED_MAX + 50)
#define FINAL_MESSAGES 5000 /* more than one slice reads */

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

static id64 waiting(int64_t not_before_ms)
{
  struct submission *submission = submission_make(&f, &rules, "email", "ana@example.org", MAIL);

  submission->not_before_ms = not_before_ms;
  return accept_one(&f, submission).message;
}

static void open_restored(void)
{
  fixture_close(&f);
  f.restored = true;
  fixture_open(&f);
  f.restored = false;
}

/* All slices, one after the other. */
static struct store_restored_op mark_all(size_t *ret_slices)
{
  struct store_restored_op op = {.policy = rules.policy}, sum = {0};

  *ret_slices = 0;
  while (!op.over) {
    ck_assert_int_eq(fixture_run(&f, &op.op, STORE_RESTORED), PARLEY_OK);
    arena_free(&op.op.arena);
    sum.n += op.n;
    sum.n_held += op.n_held;
    ++*ret_slices;
  }
  return sum;
}

START_TEST(a_store_is_none_that_was_restored_until_somebody_says_so)
{
  ck_assert_int_eq(store_restored(f.store)->at_ms, 0);
  open_restored();
  ck_assert_int_eq(store_restored(f.store)->at_ms, f.fake.now_ms);
}
END_TEST

START_TEST(it_stays_one_over_openings_until_an_operator_ends_it)
{
  struct store_resume resume = {0};
  int64_t at_ms;

  open_restored();
  at_ms = store_restored(f.store)->at_ms;
  env_fake_step(&f.fake, 60000);
  fixture_close(&f);
  fixture_open(&f);
  ck_assert_int_eq(store_restored(f.store)->at_ms, at_ms);
  ck_assert_int_eq(fixture_run(&f, &resume.op, STORE_RESUME), PARLEY_OK);
  arena_free(&resume.op.arena);
  fixture_close(&f);
  fixture_open(&f);
  ck_assert_int_eq(store_restored(f.store)->at_ms, 0);
}
END_TEST

START_TEST(what_it_held_is_marked_slice_by_slice_and_what_comes_later_is_not)
{
  struct store_restored_op marked;
  size_t slices;
  id64 later, fresh;

  for (int i = 0; i < OLD_MESSAGES; i++)
    waiting(0);
  fixture_exec(&f, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) INSERT INTO delivery(message, step,"
                   " state, held) SELECT i, 0, 6, 0 FROM n"); /* FINAL_MESSAGES, of long ago, failed */
  later = waiting(f.fake.now_ms + 3600000);
  open_restored();
  env_fake_step(&f.fake, 1000);
  fresh = waiting(0);
  marked = mark_all(&slices);
  ck_assert_uint_eq(marked.n, OLD_MESSAGES + 1);
  ck_assert_uint_eq(marked.n_held, OLD_MESSAGES);
  ck_assert_uint_ge(slices, FINAL_MESSAGES / 4096 + OLD_MESSAGES / STORE_RESTORED_MAX);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM delivery WHERE held=1 AND state=2 AND maybe_twice=1 AND reason='restored'"),
                   OLD_MESSAGES);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM delivery WHERE held=0 AND state=0 AND maybe_twice=1"), 1);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM delivery WHERE held=0 AND state=0 AND maybe_twice=0"), 1);
  ck_assert_int_eq(fixture_sql(&f, "SELECT s9 FROM counter"), OLD_MESSAGES);
  ck_assert_int_eq(fixture_sql(&f, "SELECT duplicates FROM counter"), OLD_MESSAGES + 1);
  ck_assert(later < fresh);
  marked = mark_all(&slices); /* a start in the middle of it begins again */
  ck_assert_uint_eq(marked.n, 0);
}
END_TEST

START_TEST(what_was_on_its_way_is_held_with_its_attempt_ended)
{
  struct accepted a;
  size_t slices;

  rules_room(&rules, 10);
  a = accept_to(&f, &rules, "email", "ana@example.org", MAIL);
  open_restored();
  env_fake_step(&f.fake, 1000);
  ck_assert_uint_eq(mark_all(&slices).n_held, 1);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM attempt WHERE code='restored' AND outcome=8"), 1);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM event WHERE type='message.status' AND data LIKE '%\"held\"%'"), 1);
  ck_assert(a.message != 0);
}
END_TEST

START_TEST(a_mark_that_nobody_can_read_is_taken_for_one)
{
  fixture_close(&f);
  fixture_exec(&f, f.postgres ? "INSERT INTO meta(name, value) VALUES('restored', 'x'::bytea)"
                              : "INSERT INTO meta(name, value) VALUES('restored', 'x')");
  fixture_open(&f);
  ck_assert_int_ne(store_restored(f.store)->at_ms, 0);
}
END_TEST

START_TEST(a_store_that_is_half_a_copy_or_went_on_elsewhere_is_not_opened)
{
  static const struct { const char *mark, *says; bool restored_opens; } rows[] = {
      {"copying", "only a part of a copy", false}, {"moved", "was copied to another one", true}};
  struct buf why = BUF_INIT(1024);
  char sql[128];

  fixture_close(&f);
  snprintf(sql, sizeof(sql), "INSERT INTO meta(name, value) VALUES('%s', 'now'%s)", rows[_i].mark, f.postgres ? "::bytea" : "");
  fixture_exec(&f, sql);
  ck_assert_int_eq(fixture_try_open(&f, &f.store, &why), PARLEY_FAILED);
  ck_assert_msg(strstr(why.at, rows[_i].says) != NULL, "%s", why.at);
  f.restored = true;
  buf_clear(&why);
  ck_assert_int_eq(fixture_try_open(&f, &f.store, &why), rows[_i].restored_opens ? PARLEY_OK : PARLEY_FAILED);
  f.restored = false;
  if (rows[_i].restored_opens) {
    fixture_close(&f);
    fixture_open(&f); /* the word is remembered */
    ck_assert_int_ne(store_restored(f.store)->at_ms, 0);
  }
  buf_done(&why);
}
END_TEST

int main(void)
{
  TCase *tcase = tcase_create("store_restored");
  Suite *suite = suite_create("store_restored");
  SRunner *runner = srunner_create(suite);
  int failed;

  tcase_add_checked_fixture(tcase, setup, teardown);
  tcase_add_test(tcase, a_store_is_none_that_was_restored_until_somebody_says_so);
  tcase_add_test(tcase, it_stays_one_over_openings_until_an_operator_ends_it);
  tcase_add_test(tcase, what_it_held_is_marked_slice_by_slice_and_what_comes_later_is_not);
  tcase_add_test(tcase, what_was_on_its_way_is_held_with_its_attempt_ended);
  tcase_add_test(tcase, a_mark_that_nobody_can_read_is_taken_for_one);
  tcase_add_loop_test(tcase, a_store_that_is_half_a_copy_or_went_on_elsewhere_is_not_opened, 0, 2);
  suite_add_tcase(suite, tcase);
  srunner_run_all(runner, CK_ENV);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
