#include "core/base/alloc.h"
#include "core/base/id.h"
#include <check.h>
#include <stdlib.h>
#include <string.h>

START_TEST(ids_rise_even_when_the_clock_goes_back)
{
  struct env_fake fake;
  struct id_source source;
  id64 last = 0;

  env_fake_init(&fake, ID_EPOCH_MS + 1000000);
  id_source_init(&source, &fake.env, 3, 0);
  for (int i = 0; i < 20000; i++) { /* more than a millisecond's counter holds */
    id64 id = id_next(&source);

    ck_assert_uint_gt(id, last);
    ck_assert_uint_eq(id >> ID_COUNTER_BITS & 1023, 3);
    last = id;
    if (i % 1000 == 0)
      env_fake_step(&fake, -500);
  }
  ck_assert_int_le(id_time_ms(last), ID_EPOCH_MS + 1000000 + 5);
}
END_TEST

static const struct {
  uint32_t node;
  int64_t now_ms;
  id64 floor;
} floors[] = {
    {0, 0, 0},                                     /* a clock before 2025 */
    {0, INT64_C(1735689600500), (UINT64_C(900) << 22) | (5 << 12) | 17}, /* another node, further on */
    {5, INT64_C(1735689600900), (UINT64_C(900) << 22) | (5 << 12) | 4095}, /* the counter was spent */
    {4, INT64_C(1735689600900), (UINT64_C(900) << 22) | (5 << 12) | 1}, /* a higher node in the same ms */
    {9, INT64_C(1735689600900), (UINT64_C(900) << 22) | (5 << 12) | 1}, /* a lower node in the same ms */
    {1023, INT64_C(9999999999999), 1},             /* beyond 41 bits */
};

START_TEST(the_next_id_is_above_the_floor_and_of_its_node)
{
  struct env_fake fake;
  struct id_source source;
  id64 first, second;

  env_fake_init(&fake, floors[_i].now_ms);
  id_source_init(&source, &fake.env, floors[_i].node, floors[_i].floor);
  first = id_next(&source);
  second = id_next(&source);
  ck_assert_uint_gt(first, floors[_i].floor);
  ck_assert_uint_gt(second, first);
  ck_assert_uint_eq(first >> ID_COUNTER_BITS & 1023, floors[_i].node);
  ck_assert_uint_eq(second >> 63, 0);
}
END_TEST

START_TEST(an_id_comes_back_from_its_text)
{
  static const id64 ids[] = {1, 31, 32, UINT64_C(0x123456789abcdef), INT64_MAX};
  char text[ID_TEXT_MAX];
  id64 got = 0;

  for (size_t i = 0; i < COUNT_OF(ids); i++) {
    id_format("msg", ids[i], text);
    ck_assert_uint_eq(strlen(text), ID_TEXT_MAX - 1);
    ck_assert(id_parse("msg", parley_text_of(text), &got));
    ck_assert_uint_eq(got, ids[i]);
  }
  id_format("cus", 33, text);
  ck_assert_str_eq(text, "cus_0000000000011");
}
END_TEST

static const char *const bad[] = {
    "", "msg_", "msg_000000000001", "msg_00000000000011", "msg_0000000000000", "cus_0000000000001", "msg-0000000000001",
    "msg_000000000000I", "msg_000000000000L", "msg_000000000000O", "msg_000000000000U", "msg_000000000000a",
    "msg_8000000000000", "msg_Z000000000000", "msg_00000000000 1", " msg_0000000000001", "msg_00000000000\xc3\xa9",
};

START_TEST(a_bad_id_is_refused)
{
  id64 got = 77;

  ck_assert(!id_parse("msg", parley_text_of(bad[_i]), &got));
  ck_assert_uint_eq(got, 77);
}
END_TEST

START_TEST(an_id_with_a_nul_inside_is_refused)
{
  id64 got = 77;

  ck_assert(!id_parse("msg", PARLEY_LIT("msg_00000000000\0" "1"), &got));
  ck_assert_uint_eq(got, 77);
}
END_TEST

START_TEST(the_smallest_id_of_a_time_is_of_that_time)
{
  id64 id = id_at(ID_EPOCH_MS + 1000);

  ck_assert_int_eq(id_time_ms(id), ID_EPOCH_MS + 1000);
  ck_assert_int_eq(id_time_ms(id - 1), ID_EPOCH_MS + 999);
  ck_assert_uint_eq(id_at(ID_EPOCH_MS), 0);
  ck_assert_uint_eq(id_at(INT64_MIN), 0);
}
END_TEST

START_TEST(json_has_null_for_no_id)
{
  struct buf buf = BUF_INIT(0);

  buf_json_id(&buf, "msg", 0);
  buf_char(&buf, ' ');
  buf_json_id(&buf, "evt", 1);
  ck_assert_str_eq(buf.at, "null \"evt_0000000000001\"");
  buf_done(&buf);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("base: id");
  TCase *tcase = tcase_create("all");
  SRunner *runner;
  int failed;

  tcase_add_test(tcase, ids_rise_even_when_the_clock_goes_back);
  tcase_add_loop_test(tcase, the_next_id_is_above_the_floor_and_of_its_node, 0, COUNT_OF(floors));
  tcase_add_test(tcase, an_id_comes_back_from_its_text);
  tcase_add_loop_test(tcase, a_bad_id_is_refused, 0, COUNT_OF(bad));
  tcase_add_test(tcase, an_id_with_a_nul_inside_is_refused);
  tcase_add_test(tcase, the_smallest_id_of_a_time_is_of_that_time);
  tcase_add_test(tcase, json_has_null_for_no_id);
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed > 0;
}
