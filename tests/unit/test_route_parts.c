/* What receipts of single parts make of a delivery, in whatever order they come. */
#include "core/base/alloc.h"
#include "core/route/parts.h"
#include <check.h>
#include <stdlib.h>

enum { SENT = PARLEY_RECEIPT_SENT, DONE = PARLEY_RECEIPT_DELIVERED, READ = PARLEY_RECEIPT_READ, FAIL = PARLEY_RECEIPT_FAILED };

static const struct {
  uint32_t n;
  struct { int part; uint32_t receipt; bool news; uint32_t fact; } steps[6];
  uint32_t delivered;
  bool partial;
} runs[] = {
    {1, {{0, DONE, false, 0}}, 0, false}, /* one piece: the delivery itself says it */
    {3, {{1, DONE, true, 0}, {1, DONE, false, 0}, {0, DONE, true, 0}, {2, DONE, true, FACT_DELIVERED}}, 3, false},
    {3, {{0, SENT, false, 0}, {1, DONE, true, 0}}, 1, true},
    {2, {{0, READ, true, 0}, {1, DONE, true, FACT_DELIVERED}, {1, READ, true, FACT_READ}, {0, DONE, false, FACT_READ}}, 2, false},
    {3, {{0, FAIL, true, 0}, {1, DONE, true, 0}, {2, DONE, true, FACT_FAILED}}, 2, true}, /* it ends when none is awaited */
    {3, {{0, FAIL, true, 0}, {1, DONE, true, 0}, {2, DONE, true, FACT_FAILED}, {0, DONE, true, FACT_DELIVERED}}, 3, false},
    {2, {{0, FAIL, true, 0}, {1, FAIL, true, FACT_FAILED}, {1, FAIL, false, FACT_FAILED}}, 0, true},
    {2, {{0, DONE, true, 0}, {0, FAIL, true, 0}, {1, DONE, true, FACT_DELIVERED}}, 2, false}, /* arrived is arrived */
    {2, {{2, DONE, false, 0}, {63, DONE, false, 0}, {64, DONE, false, 0}}, 0, false},        /* of another message */
    {3, {{-1, DONE, true, FACT_DELIVERED}, {1, READ, true, FACT_DELIVERED}}, 3, false},
    {64, {{63, DONE, true, 0}, {-1, FAIL, true, FACT_FAILED}, {-1, READ, true, FACT_READ}}, 64, false},
};

START_TEST(parts_fold_into_the_whole)
{
  struct parts parts = {.n = runs[_i].n};

  for (size_t i = 0; i < COUNT_OF(runs[_i].steps) && runs[_i].steps[i].receipt != 0; i++) {
    ck_assert_msg(parts_learn(&parts, runs[_i].steps[i].part, runs[_i].steps[i].receipt) == runs[_i].steps[i].news, "step %zu", i);
    ck_assert_msg(parts_fact(&parts) == runs[_i].steps[i].fact, "step %zu: fact %u", i, parts_fact(&parts));
  }
  ck_assert_uint_eq(parts_delivered(&parts), runs[_i].delivered);
  ck_assert_int_eq(parts_partial(&parts), runs[_i].partial);
}
END_TEST

START_TEST(each_part_has_its_own_state)
{
  struct parts parts = {.n = 4};

  parts_learn(&parts, 0, FAIL);
  parts_learn(&parts, 1, DONE);
  parts_learn(&parts, 2, READ);
  ck_assert_int_eq(part_state(&parts, 0), DELIVERY_FAILED);
  ck_assert_int_eq(part_state(&parts, 1), DELIVERY_DELIVERED);
  ck_assert_int_eq(part_state(&parts, 2), DELIVERY_READ);
  ck_assert_int_eq(part_state(&parts, 3), DELIVERY_SENT);
  ck_assert_int_eq(part_state(&parts, 64), DELIVERY_SENT);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("route: parts");
  TCase *tcase = tcase_create("all");
  SRunner *runner;
  int failed;

  tcase_add_loop_test(tcase, parts_fold_into_the_whole, 0, COUNT_OF(runs));
  tcase_add_test(tcase, each_part_has_its_own_state);
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed > 0;
}
