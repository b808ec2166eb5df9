/* Fibers stop in the middle, go on where they stopped, and their stacks are used again. */
/* stores: sqlite (pure: no store is opened) */
#include "core/base/alloc.h"
#include "core/store/fiber.h"
#include <check.h>
#include <stdlib.h>
#include <string.h>

#define STEPS 5
#define MANY 200
#define DEEP_BYTES ((size_t)200 << 10)

static struct fiber_pool pool;

struct walker {
  struct fiber *self;
  int step;
  bool ended;
};

static void walk(struct fiber *self, void *arg)
{
  struct walker *walker = arg;

  walker->self = self;
  for (walker->step = 1; walker->step < STEPS; walker->step++)
    fiber_yield(self);
  walker->ended = true;
}

START_TEST(a_fiber_goes_on_where_it_stopped)
{
  struct walker walker = {0};

  fiber_start(&pool, walk, &walker);
  for (int step = 1; step < STEPS; step++) {
    ck_assert_int_eq(walker.step, step);
    ck_assert(!walker.ended);
    fiber_resume(walker.self);
  }
  ck_assert(walker.ended);
  ck_assert_uint_eq(pool.n_idle, 1);
}
END_TEST

START_TEST(many_take_turns_and_no_more_stacks_are_kept_than_named)
{
  static struct walker walkers[MANY];

  for (int round = 0; round < 3; round++) {
    memset(walkers, 0, sizeof(walkers));
    for (int i = 0; i < MANY; i++)
      fiber_start(&pool, walk, &walkers[i]);
    for (int step = 1; step < STEPS; step++)
      for (int i = MANY; i > 0; i--)
        fiber_resume(walkers[i - 1].self);
    for (int i = 0; i < MANY; i++)
      ck_assert(walkers[i].ended);
  }
  ck_assert_uint_eq(pool.n_idle, FIBER_POOL_IDLE_MAX);
}
END_TEST

struct outer { struct fiber *self; struct walker inner; bool ended; };

static void start_another(struct fiber *self, void *arg)
{
  struct outer *outer = arg;

  outer->self = self;
  fiber_start(&pool, walk, &outer->inner);
  fiber_yield(self);
  fiber_resume(outer->inner.self);
  outer->ended = true;
}

START_TEST(one_starts_and_resumes_another)
{
  struct outer outer = {0};

  fiber_start(&pool, start_another, &outer);
  ck_assert_int_eq(outer.inner.step, 1);
  fiber_resume(outer.self);
  ck_assert(outer.ended);
  for (int step = 2; step < STEPS; step++)
    fiber_resume(outer.inner.self);
  ck_assert(outer.inner.ended);
}
END_TEST

static void go_deep(struct fiber *self, void *arg)
{
  volatile char deep[DEEP_BYTES];

  for (size_t i = 0; i < sizeof(deep); i += 4096)
    deep[i] = 1;
  fiber_yield(self);
  *(char *)arg = deep[4096];
  (void)self;
}

static void go_deep_keeping(struct fiber *self, void *arg)
{
  ((struct walker *)arg)->self = self;
  go_deep(self, &((struct walker *)arg)->ended);
}

START_TEST(a_stack_has_the_room_that_is_named)
{
  struct walker walker = {0};

  ck_assert_uint_lt(DEEP_BYTES, FIBER_STACK_BYTES);
  fiber_start(&pool, go_deep_keeping, &walker);
  fiber_resume(walker.self);
  ck_assert(walker.ended);
}
END_TEST

static void setup(void)
{
  fiber_pool_init(&pool);
}

static void teardown(void)
{
  fiber_pool_done(&pool);
  ck_assert_uint_eq(pool.n_idle, 0);
}

int main(void)
{
  Suite *suite = suite_create("store: fibers");
  TCase *tcase = tcase_create("all");
  SRunner *runner;
  int failed;

  tcase_add_checked_fixture(tcase, setup, teardown);
  tcase_add_test(tcase, a_fiber_goes_on_where_it_stopped);
  tcase_add_test(tcase, many_take_turns_and_no_more_stacks_are_kept_than_named);
  tcase_add_test(tcase, one_starts_and_resumes_another);
  tcase_add_test(tcase, a_stack_has_the_room_that_is_named);
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
