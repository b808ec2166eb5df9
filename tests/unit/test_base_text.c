#include "core/base/alloc.h"
#include "core/base/text.h"
#include <check.h>
#include <stdlib.h>
#include <string.h>

static const struct {
  const char *bytes;
  size_t len;
  bool ok;
} utf8[] = {
    {"", 0, true},
    {"plain", 5, true},
    {"\xc3\xa9", 2, true},
    {"\xe2\x82\xac", 3, true},
    {"\xf0\x9f\x98\x80", 4, true},
    {"\xf4\x8f\xbf\xbf", 4, true},   /* U+10FFFF */
    {"\xf4\x90\x80\x80", 4, false},  /* above it */
    {"\xed\x9f\xbf", 3, true},       /* just below the surrogates */
    {"\xed\xa0\x80", 3, false},      /* a surrogate */
    {"\xc0\xaf", 2, false},          /* overlong */
    {"\xc1\xbf", 2, false},
    {"\xe0\x80\xaf", 3, false},
    {"\xe0\xa0\x80", 3, true},
    {"\xf0\x80\x80\xaf", 4, false},
    {"\xf0\x90\x80\x80", 4, true},
    {"\xf5\x80\x80\x80", 4, false},
    {"\x80", 1, false},              /* a lone continuation */
    {"\xe2\x82", 2, false},          /* cut */
    {"\xe2\x28\xa1", 3, false},
    {"\xff", 1, false},
    {"a\0b", 3, false},              /* NUL */
};

START_TEST(utf8_is_checked_as_rfc_3629_says)
{
  ck_assert_int_eq(text_utf8_ok((parley_text){utf8[_i].bytes, utf8[_i].len}), utf8[_i].ok);
}
END_TEST

START_TEST(utf8_is_checked_alike_wherever_it_stands_in_a_text) /* which is looked through by the eight bytes */
{
  char text[40];

  for (size_t at = 0; at + utf8[_i].len <= sizeof text; at++) {
    memset(text, 'a', sizeof text);
    memcpy(text + at, utf8[_i].bytes, utf8[_i].len);
    ck_assert_int_eq(text_utf8_ok((parley_text){text, sizeof text}), utf8[_i].ok);
  }
}
END_TEST

static const struct {
  const char *text;
  size_t bytes_max, want;
} cuts[] = {
    {"abc", 5, 3}, {"abc", 2, 2}, {"a\xc3\xa9", 2, 1}, {"a\xc3\xa9", 3, 3}, {"\xf0\x9f\x98\x80", 3, 0},
    {"\xf0\x9f\x98\x80z", 4, 4}, {"\x80\x80\x80", 2, 2}, {"", 0, 0}, {"\xe2\x82\xac\xe2\x82\xac", 5, 3},
};

START_TEST(a_cut_never_splits_a_code_point)
{
  ck_assert_uint_eq(text_utf8_cut(parley_text_of(cuts[_i].text), cuts[_i].bytes_max), cuts[_i].want);
}
END_TEST

START_TEST(code_points_are_read_one_by_one)
{
  parley_text text = PARLEY_LIT("a\xe2\x82\xac\xff\xf0\x9f\x98\x80");
  size_t pos = 0;

  ck_assert_uint_eq(text_utf8_next(text, &pos), 'a');
  ck_assert_uint_eq(text_utf8_next(text, &pos), 0x20ac);
  ck_assert_uint_eq(text_utf8_next(text, &pos), 0xfffd);
  ck_assert_uint_eq(text_utf8_next(text, &pos), 0x1f600);
  ck_assert_uint_eq(pos, text.len);
  ck_assert_uint_eq(text_utf8_next(text, &pos), 0xfffd); /* at the end */
  ck_assert_uint_eq(pos, text.len);
  ck_assert_uint_eq(text_utf8_count(text), 4);
}
END_TEST

static const struct {
  const char *text;
  uint64_t max;
  bool ok;
  uint64_t want;
} uints[] = {
    {"0", 9, true, 0}, {"007", 9, true, 7}, {"10", 9, false, 0}, {"", 9, false, 0}, {"-1", 9, false, 0}, {"+1", 9, false, 0},
    {" 1", 9, false, 0}, {"1x", 9, false, 0}, {"18446744073709551615", UINT64_MAX, true, UINT64_MAX},
    {"18446744073709551616", UINT64_MAX, false, 0}, {"99999999999999999999999", UINT64_MAX, false, 0},
};

START_TEST(an_unsigned_number_is_digits_only)
{
  uint64_t got = 77;

  ck_assert_int_eq(text_to_uint(parley_text_of(uints[_i].text), uints[_i].max, &got), uints[_i].ok);
  ck_assert_uint_eq(got, uints[_i].ok ? uints[_i].want : 77);
}
END_TEST

static const struct {
  const char *text;
  bool ok;
  int64_t want;
} ints[] = {
    {"-5", true, -5}, {"9223372036854775807", true, INT64_MAX}, {"-9223372036854775808", true, INT64_MIN},
    {"9223372036854775808", false, 0}, {"-9223372036854775809", false, 0}, {"-", false, 0}, {"--1", false, 0}, {"", false, 0},
};

START_TEST(a_signed_number_fits_or_is_refused)
{
  int64_t got = 77;

  ck_assert_int_eq(text_to_int(parley_text_of(ints[_i].text), INT64_MIN, INT64_MAX, &got), ints[_i].ok);
  ck_assert_int_eq(got, ints[_i].ok ? ints[_i].want : 77);
}
END_TEST

START_TEST(a_signed_number_keeps_its_bounds)
{
  int64_t got = 77;

  ck_assert(!text_to_int(parley_text_of("-11"), -10, 10, &got));
  ck_assert(!text_to_int(parley_text_of("11"), -10, 10, &got));
  ck_assert(text_to_int(parley_text_of("-10"), -10, 10, &got));
  ck_assert_int_eq(got, -10);
}
END_TEST

START_TEST(texts_compare_and_cut)
{
  parley_text rest = PARLEY_LIT("a=b=c"), none = {NULL, 0};

  ck_assert(text_eq(none, TEXT_EMPTY));
  ck_assert(text_eq_nocase(PARLEY_LIT("Content-TYPE"), PARLEY_LIT("content-type")));
  ck_assert(!text_is_nocase(PARLEY_LIT("content"), "contents"));
  ck_assert_int_lt(text_cmp(PARLEY_LIT("ab"), PARLEY_LIT("abc")), 0);
  ck_assert_int_gt(text_cmp(PARLEY_LIT("b"), PARLEY_LIT("abc")), 0);
  ck_assert_int_eq(text_cmp(none, TEXT_EMPTY), 0);
  ck_assert(text_starts(rest, "a=") && !text_starts(rest, "a=b=c="));
  ck_assert(text_ends(rest, "=c") && !text_ends(rest, "b"));
  ck_assert_uint_eq(text_find(rest, 'x'), rest.len);
  ck_assert_uint_eq(text_find_text(rest, PARLEY_LIT("b=")), 2);
  ck_assert_uint_eq(text_find_text(rest, PARLEY_LIT("zz")), SIZE_MAX);
  ck_assert(parley_text_is(text_cut(&rest, '='), "a") && parley_text_is(rest, "b=c"));
  ck_assert(parley_text_is(text_cut(&rest, '#'), "b=c") && rest.len == 0);
  ck_assert(parley_text_is(text_trim(PARLEY_LIT(" \t x y \r\n")), "x y"));
  ck_assert_uint_eq(text_trim(PARLEY_LIT(" \n")).len, 0);
  ck_assert_uint_eq(text_sub(PARLEY_LIT("abc"), 2, SIZE_MAX).len, 1);
  ck_assert_uint_eq(text_sub(PARLEY_LIT("abc"), 7, 1).len, 0);
  ck_assert(text_has_control(PARLEY_LIT("a\x7f")) && !text_has_control(PARLEY_LIT("a b")));
  ck_assert(text_eq_secret(PARLEY_LIT("key"), PARLEY_LIT("key")) && !text_eq_secret(PARLEY_LIT("key"), PARLEY_LIT("kez")));
}
END_TEST

static const struct {
  const char *word, *want;
} slips[] = {
    {"lisen", "listen"}, {"lsiten", "listen"}, {"Listen", "listen"}, {"publicurl", "public_url"}, {"kes", "keys"},
    {"banana", NULL}, {"", NULL}, {"x", NULL},
};

START_TEST(a_slip_of_the_pen_finds_its_word)
{
  static const char *const words[] = {"listen", "public_url", "keys", "tls", NULL};
  const char *got = text_nearest(parley_text_of(slips[_i].word), words);

  ck_assert_str_eq(got ? got : "-", slips[_i].want ? slips[_i].want : "-");
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("base: text");
  TCase *tcase = tcase_create("all");
  SRunner *runner;
  int failed;

  tcase_add_loop_test(tcase, utf8_is_checked_as_rfc_3629_says, 0, COUNT_OF(utf8));
  tcase_add_loop_test(tcase, utf8_is_checked_alike_wherever_it_stands_in_a_text, 0, COUNT_OF(utf8));
  tcase_add_loop_test(tcase, a_cut_never_splits_a_code_point, 0, COUNT_OF(cuts));
  tcase_add_test(tcase, code_points_are_read_one_by_one);
  tcase_add_loop_test(tcase, an_unsigned_number_is_digits_only, 0, COUNT_OF(uints));
  tcase_add_loop_test(tcase, a_signed_number_fits_or_is_refused, 0, COUNT_OF(ints));
  tcase_add_test(tcase, a_signed_number_keeps_its_bounds);
  tcase_add_test(tcase, texts_compare_and_cut);
  tcase_add_loop_test(tcase, a_slip_of_the_pen_finds_its_word, 0, COUNT_OF(slips));
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed > 0;
}
