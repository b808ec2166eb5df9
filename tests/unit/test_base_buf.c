#include "core/base/alloc.h"
#include "core/base/buf.h"
#include "core/base/text.h"
#include <check.h>
#include <stdlib.h>
#include <string.h>

START_TEST(a_buffer_grows_and_stays_terminated)
{
  struct buf buf = BUF_INIT(0);

  ck_assert_uint_eq(buf_as_text(&buf).len, 0);
  for (int i = 0; i < 1000; i++) {
    buf_printf(&buf, "%d,", i);
    ck_assert_uint_eq(strlen(buf.at), buf.len);
  }
  ck_assert(text_ends(buf_as_text(&buf), ",998,999,"));
  buf_drop(&buf, 2);
  ck_assert(text_starts(buf_as_text(&buf), "1,2,"));
  buf_drop(&buf, 100000);
  ck_assert_uint_eq(buf.len, 0);
  buf_done(&buf);
}
END_TEST

START_TEST(what_is_expected_fits_without_moving)
{
  struct buf buf = BUF_INIT(1000);
  const char *at;

  buf_expect(&buf, 900);
  ck_assert_uint_eq(buf.len, 0);
  ck_assert_str_eq(buf.at, "");
  at = buf.at;
  for (int i = 0; i < 900; i++)
    buf_char(&buf, 'x');
  ck_assert_ptr_eq(buf.at, at);
  buf_expect(&buf, 5000); /* more than the ceiling leaves: that alone is no fault */
  ck_assert(!buf.overflow);
  ck_assert_uint_eq(strlen(buf.at), 900);
  for (int i = 0; i < 101; i++)
    buf_char(&buf, 'y');
  ck_assert(buf.overflow);
  ck_assert_uint_eq(buf.len, 1000);
  buf_expect(&buf, 1);
  ck_assert(buf.overflow);
  buf_done(&buf);
}
END_TEST

START_TEST(beyond_the_ceiling_nothing_is_added)
{
  struct buf buf = BUF_INIT(5);

  buf_str(&buf, "12345");
  ck_assert(!buf.overflow);
  buf_str(&buf, "6");
  ck_assert(buf.overflow);
  ck_assert_str_eq(buf.at, "12345");
  buf_clear(&buf);
  buf_str(&buf, "123");
  buf_printf(&buf, "%s", "456");
  ck_assert(buf.overflow);
  buf_str(&buf, "4"); /* would fit, but the text would have a hole */
  ck_assert_str_eq(buf.at, "123");
  buf_done(&buf);
}
END_TEST

START_TEST(numbers_are_written_to_their_limits)
{
  struct buf buf = BUF_INIT(0);

  buf_int(&buf, INT64_MIN);
  buf_char(&buf, ' ');
  buf_uint(&buf, UINT64_MAX);
  buf_char(&buf, ' ');
  buf_int(&buf, 0);
  ck_assert_str_eq(buf.at, "-9223372036854775808 18446744073709551615 0");
  buf_done(&buf);
}
END_TEST

START_TEST(stolen_bytes_are_never_null)
{
  struct buf buf = BUF_INIT(0);
  size_t len = 9;
  char *at = buf_steal(&buf, &len);

  ck_assert_str_eq(at, "");
  ck_assert_uint_eq(len, 0);
  free(at);
  buf_str(&buf, "mine");
  at = buf_steal(&buf, NULL);
  ck_assert_str_eq(at, "mine");
  ck_assert_ptr_null(buf.at);
  free(at);
}
END_TEST

static const struct {
  const char *text;
  size_t len;
  const char *want;
} json[] = {
    {"", 0, "\"\""},
    {"a\"b\\c/", 6, "\"a\\\"b\\\\c/\""},
    {"\n\r\t\x01\x1f\x7f", 6, "\"\\n\\r\\t\\u0001\\u001f\x7f\""},
    {"a\0b", 3, "\"a\\u0000b\""},
    {"\xe2\x82\xac\xf0\x9f\x98\x80", 7, "\"\xe2\x82\xac\xf0\x9f\x98\x80\""},
    {"x\xffy", 3, "\"x\xef\xbf\xbdy\""},
    {"\xc0\xaf", 2, "\"\xef\xbf\xbd\xef\xbf\xbd\""},
};

START_TEST(json_text_is_escaped_as_rfc_8259_says)
{
  struct buf buf = BUF_INIT(0);

  buf_json_text(&buf, (parley_text){json[_i].text, json[_i].len});
  ck_assert_str_eq(buf.at, json[_i].want);
  buf_done(&buf);
}
END_TEST

START_TEST(a_text_is_cleaned_of_what_is_no_utf8)
{
  struct buf buf = BUF_INIT(0);

  buf_text_clean(&buf, (parley_text){"h\xc3\xa9\xff\0\xe2\x82!", 8});
  ck_assert_str_eq(buf.at, "h\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd!");
  buf_done(&buf);
}
END_TEST

START_TEST(json_commas_come_where_they_belong)
{
  struct buf buf = BUF_INIT(0);

  buf_char(&buf, '{');
  buf_json_key(&buf, "a");
  buf_char(&buf, '[');
  buf_json_comma(&buf);
  buf_int(&buf, 1);
  buf_json_comma(&buf);
  buf_int(&buf, 2);
  buf_char(&buf, ']');
  buf_json_key(&buf, "b");
  buf_json_str(&buf, "c");
  buf_char(&buf, '}');
  ck_assert_str_eq(buf.at, "{\"a\":[1,2],\"b\":\"c\"}");
  buf_done(&buf);
}
END_TEST

/* Texts are looked at in words of eight bytes: each byte, at each place in one. */
START_TEST(a_byte_is_escaped_wherever_it_stands)
{
  for (int byte = 1; byte < 0x80; byte++) {
    for (size_t at = 0; at < 17; at++) {
      char text[17], want[32] = "\"";
      struct buf got = BUF_INIT(0);
      bool plain = byte >= 0x20 && byte != '"' && byte != '\\';

      memset(text, 'a', sizeof text);
      text[at] = (char)byte;
      buf_json_text(&got, (parley_text){text, sizeof text});
      ck_assert_uint_eq(got.len == sizeof text + 2, plain);
      if (plain) {
        memcpy(want + 1, text, sizeof text);
        want[sizeof text + 1] = '"';
        ck_assert_str_eq(got.at, want);
      } else {
        ck_assert_int_eq(got.at[at + 1], '\\');
      }
      buf_done(&got);
    }
  }
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("base: buf");
  TCase *tcase = tcase_create("all");
  SRunner *runner;
  int failed;

  tcase_add_test(tcase, a_byte_is_escaped_wherever_it_stands);
  tcase_add_test(tcase, a_buffer_grows_and_stays_terminated);
  tcase_add_test(tcase, what_is_expected_fits_without_moving);
  tcase_add_test(tcase, beyond_the_ceiling_nothing_is_added);
  tcase_add_test(tcase, numbers_are_written_to_their_limits);
  tcase_add_test(tcase, stolen_bytes_are_never_null);
  tcase_add_loop_test(tcase, json_text_is_escaped_as_rfc_8259_says, 0, COUNT_OF(json));
  tcase_add_test(tcase, a_text_is_cleaned_of_what_is_no_utf8);
  tcase_add_test(tcase, json_commas_come_where_they_belong);
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed > 0;
}
