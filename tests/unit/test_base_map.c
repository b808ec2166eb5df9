#include "core/base/alloc.h"
#include "core/base/map.h"
#include "core/base/digest.h"
#include <check.h>
#include <stdlib.h>
#include <string.h>

START_TEST(a_map_agrees_with_a_plain_array)
{
  enum { KEYS = 3000 };
  static char values[KEYS];
  bool in[KEYS] = {false};
  struct map map = {0};
  size_t count = 0;

  for (uint64_t i = 0; i < 60000; i++) { /* first mostly put, then mostly take */
    size_t key = hash_mix(i + 1) % KEYS;
    bool put = hash_mix(i + 77777) % 10 < (i < 30000 ? 7u : 3u);

    if (put) {
      map_put(&map, key + 1, &values[key]);
      count += !in[key];
    } else {
      ck_assert_ptr_eq(map_take(&map, key + 1), in[key] ? &values[key] : NULL);
      count -= in[key];
    }
    in[key] = put;
    ck_assert_uint_eq(map.count, count);
  }
  for (size_t key = 0; key < KEYS; key++)
    ck_assert_ptr_eq(map_get(&map, key + 1), in[key] ? &values[key] : NULL);
  map_done(&map);
}
END_TEST

START_TEST(a_walk_sees_each_entry_once)
{
  struct map map = {0};
  char values[100] = {0};
  size_t pos = 0, seen = 0;
  uint64_t key;
  void *value;

  ck_assert(!map_next(&map, &pos, &key, &value));
  ck_assert_ptr_null(map_get(&map, 5));
  for (uint64_t i = 0; i < COUNT_OF(values); i++)
    map_put(&map, i + 1, &values[i]);
  for (pos = 0; map_next(&map, &pos, &key, &value); seen++) {
    ck_assert_ptr_eq(value, &values[key - 1]);
    ck_assert_int_eq(values[key - 1]++, 0);
  }
  ck_assert_uint_eq(seen, COUNT_OF(values));
  map_done(&map);
}
END_TEST

START_TEST(an_emptied_map_gives_its_memory_back)
{
  struct map map = {0};
  char value;

  for (uint64_t i = 1; i <= 10000; i++)
    map_put(&map, i, &value);
  for (uint64_t i = 1; i <= 10000; i++)
    ck_assert_ptr_eq(map_take(&map, i), &value);
  ck_assert_uint_le(map.room, 64);
  map_done(&map);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("base: map");
  TCase *tcase = tcase_create("all");
  SRunner *runner;
  int failed;

  tcase_add_test(tcase, a_map_agrees_with_a_plain_array);
  tcase_add_test(tcase, a_walk_sees_each_entry_once);
  tcase_add_test(tcase, an_emptied_map_gives_its_memory_back);
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed > 0;
}
