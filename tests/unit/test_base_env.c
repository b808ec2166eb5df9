#include "core/base/alloc.h"
#include "core/base/env.h"
#include <check.h>
#include <stdlib.h>
#include <string.h>

START_TEST(the_system_clocks_go_and_randomness_differs)
{
  unsigned char a[32] = {0}, b[32] = {0};
  int64_t before = env_system.mono_ms(&env_system);

  env_system.random(&env_system, a, sizeof(a));
  env_system.random(&env_system, b, sizeof(b));
  ck_assert_mem_ne(a, b, sizeof(a));
  ck_assert_int_gt(env_system.now_ms(&env_system), INT64_C(1735689600000));
  ck_assert_int_ge(env_system.mono_ms(&env_system), before);
}
END_TEST

START_TEST(a_fake_clock_moves_only_when_told)
{
  struct env_fake fake;
  int64_t mono;

  env_fake_init(&fake, 5000);
  mono = fake.env.mono_ms(&fake.env);
  ck_assert_int_eq(fake.env.now_ms(&fake.env), 5000);
  env_fake_step(&fake, 250);
  ck_assert_int_eq(fake.env.now_ms(&fake.env), 5250);
  ck_assert_int_eq(fake.env.mono_ms(&fake.env), mono + 250);
}
END_TEST

START_TEST(a_fake_sequence_repeats_by_its_seed)
{
  struct env_fake one, two;
  unsigned char a[21], b[21];

  env_fake_init(&one, 0);
  env_fake_init(&two, 0);
  one.env.random(&one.env, a, sizeof(a));
  two.env.random(&two.env, b, sizeof(b));
  ck_assert_mem_eq(a, b, sizeof(a));
  one.env.random(&one.env, a, sizeof(a));
  ck_assert_mem_ne(a, b, sizeof(a));
}
END_TEST

START_TEST(a_unit_is_below_one_and_spread)
{
  struct env_fake fake;
  double sum = 0;

  env_fake_init(&fake, 0);
  for (int i = 0; i < 10000; i++) {
    double unit = env_random_unit(&fake.env);

    ck_assert(unit >= 0 && unit < 1);
    sum += unit;
  }
  ck_assert(sum > 4800 && sum < 5200);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("base: env");
  TCase *tcase = tcase_create("all");
  SRunner *runner;
  int failed;

  tcase_add_test(tcase, the_system_clocks_go_and_randomness_differs);
  tcase_add_test(tcase, a_fake_clock_moves_only_when_told);
  tcase_add_test(tcase, a_fake_sequence_repeats_by_its_seed);
  tcase_add_test(tcase, a_unit_is_below_one_and_spread);
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed > 0;
}
