#include "core/base/alloc.h"
#include "core/base/clock.h"
#include <check.h>
#include <stdlib.h>
#include <string.h>

static const struct {
  const char *text;
  int64_t ms; /* -1: refused */
} times[] = {
    {"1970-01-01T00:00:00Z", 0},
    {"2026-11-21T22:01:09.482Z", INT64_C(1795298469482)},
    {"2026-11-21t22:01:09z", INT64_C(1795298469000)},
    {"2026-11-22T00:01:09.482999999+02:00", INT64_C(1795298469482)},
    {"2026-11-21T16:31:09.4-05:30", INT64_C(1795298469400)},
    {"2000-02-29T12:00:00Z", INT64_C(951825600000)},
    {"2016-12-31T23:59:60Z", INT64_C(1483228799000)},
    {"9999-12-31T23:59:59.999Z", INT64_C(253402300799999)},
    {"1969-12-31T23:59:59Z", -1},
    {"1970-01-01T00:30:00+01:00", -1},
    {"9999-12-31T23:59:59-00:01", -1},
    {"1900-02-29T00:00:00Z", -1},
    {"2100-02-29T00:00:00Z", -1},
    {"2026-02-29T00:00:00Z", -1},
    {"2026-04-31T00:00:00Z", -1},
    {"2026-00-10T00:00:00Z", -1},
    {"2026-13-10T00:00:00Z", -1},
    {"2026-01-00T00:00:00Z", -1},
    {"2026-01-01T24:00:00Z", -1},
    {"2026-01-01T00:60:00Z", -1},
    {"2026-01-01T00:00:61Z", -1},
    {"2026-01-01T00:00:00", -1},
    {"2026-01-01T00:00:00.Z", -1},
    {"2026-01-01T00:00:00.1234567890Z", -1},
    {"2026-01-01T00:00:00+24:00", -1},
    {"2026-01-01T00:00:00+0100", -1},
    {"2026-01-01T00:00:00Z ", -1},
    {"2026-01-01 00:00:00Z", -1},
    {"2026-1-01T00:00:00Z", -1},
    {"-026-01-01T00:00:00Z", -1},
    {"2026-01--1T00:00:00Z", -1},
    {"2026-01-01", -1},
    {"", -1},
};

START_TEST(a_time_is_read_as_rfc_3339_says)
{
  int64_t got = -77;

  ck_assert_int_eq(time_parse(parley_text_of(times[_i].text), &got), times[_i].ms >= 0);
  ck_assert_int_eq(got, times[_i].ms >= 0 ? times[_i].ms : -77);
}
END_TEST

START_TEST(every_day_comes_back_from_its_text)
{
  struct buf buf = BUF_INIT(0);
  int64_t got;

  for (int64_t day = 0; day <= 2932896; day += day < 60000 ? 1 : 97) {
    buf_clear(&buf);
    buf_time(&buf, day * 86400000 + 1);
    ck_assert_msg(time_parse(buf_as_text(&buf), &got), "%s", buf.at);
    ck_assert_int_eq(got, day * 86400000 + 1);
  }
  buf_done(&buf);
}
END_TEST

START_TEST(a_time_is_written_with_milliseconds)
{
  struct buf buf = BUF_INIT(0);

  buf_time(&buf, INT64_C(1795298469482));
  buf_char(&buf, ' ');
  buf_json_time(&buf, 0);
  buf_char(&buf, ' ');
  buf_json_time(&buf, INT64_C(951825600007));
  buf_char(&buf, ' ');
  buf_time(&buf, INT64_MAX);
  ck_assert_str_eq(buf.at,
                   "2026-11-21T22:01:09.482Z null \"2000-02-29T12:00:00.007Z\" 9999-12-31T23:59:59.999Z");
  buf_done(&buf);
}
END_TEST

static const struct {
  const char *text;
  int64_t ms;          /* -1: refused */
  const char *written; /* NULL: as it was */
} spans[] = {
    {"250ms", 250, NULL}, {"30s", 30000, NULL}, {"10m", 600000, NULL}, {"2h", 7200000, NULL}, {"7d", 604800000, NULL},
    {"90s", 90000, NULL}, {"60s", 60000, "1m"}, {"0d", 0, "0s"}, {"1500ms", 1500, NULL}, {"1000ms", 1000, "1s"},
    {"10", -1, NULL}, {"s", -1, NULL}, {"", -1, NULL}, {"1h30", -1, NULL}, {"1h30m", -1, NULL}, {"-1s", -1, NULL},
    {"1.5s", -1, NULL}, {"1 s", -1, NULL}, {"1S", -1, NULL}, {"1w", -1, NULL}, {"9223372036854775807d", -1, NULL},
    {"99999999999999999999s", -1, NULL},
};

START_TEST(a_span_has_one_number_and_one_unit)
{
  struct buf buf = BUF_INIT(0);
  int64_t got = -77;

  ck_assert_int_eq(span_parse(parley_text_of(spans[_i].text), &got), spans[_i].ms >= 0);
  ck_assert_int_eq(got, spans[_i].ms >= 0 ? spans[_i].ms : -77);
  if (spans[_i].ms >= 0) {
    buf_span(&buf, got);
    ck_assert_str_eq(buf.at, spans[_i].written ? spans[_i].written : spans[_i].text);
  }
  buf_done(&buf);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("base: clock");
  TCase *tcase = tcase_create("all");
  SRunner *runner;
  int failed;

  tcase_add_loop_test(tcase, a_time_is_read_as_rfc_3339_says, 0, COUNT_OF(times));
  tcase_add_test(tcase, every_day_comes_back_from_its_text);
  tcase_add_test(tcase, a_time_is_written_with_milliseconds);
  tcase_add_loop_test(tcase, a_span_has_one_number_and_one_unit, 0, COUNT_OF(spans));
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed > 0;
}
