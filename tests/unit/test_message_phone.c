// libraries: parley_phone
#include "core/base/alloc.h"
#include "core/base/text.h"
#include "core/message/phone.h"
#include <check.h>
#include <string.h>

extern const struct phone_table parley_phone_v1;

static struct arena *arena;

static void set_up(void)
{
  arena = arena_new();
}

static void tear_down(void)
{
  arena_free(&arena);
}

static const struct {
  const char *country, *raw, *want; /* country "": no plan */
} good[] = {
    {"", "+34600111222", "+34600111222"},
    {"", " +44 (20) 7946-0.958 ", "+442079460958"},
    {"", "+690 7290", "+6907290"},
    {"", "tel:+34-600-111-222", "+34600111222"},
    {"", "TEL:+34600111222;isub=1;phone-context=example.org", "+34600111222"},
    {"", "\xef\xbc\x8b\xef\xbc\x93\xef\xbc\x94\xe3\x80\x80" "600111222", "+34600111222"},       /* full width */
    {"", "+\xd9\xa3\xd9\xa4" "600111222", "+34600111222"},                                       /* Arabic-Indic */
    {"", "\xe2\x80\xaa+34 600\xe2\x80\x91" "111\xc2\xa0" "222\xe2\x80\xac", "+34600111222"}, /* as telephones copy it */
    {"ES", "612 34 56 78", "+34612345678"},
    {"ES", "tel:612345678", "+34612345678"},
    {"ES", "0034 612 34 56 78", "+34612345678"},
    {"ES", "34612345678", "+34612345678"},
    {"ES", "\xef\xbc\x96\xef\xbc\x91\xef\xbc\x92" "345678", "+34612345678"},
    {"ES", "+44 (0)20 7031 3000", "+442070313000"},
    {"ES", "+1 800 FLOWERS", "+18003569377"},
    {"US", "(253) 205-0000", "+12532050000"},
    {"US", "1-800-flowers", "+18003569377"},
    {"US", "011 34 612 34 56 78", "+34612345678"},
    {"GB", "020 7031 3000", "+442070313000"},
    {"DE", "030/12345678", "+493012345678"},
    {"IT", "06 1234 5678", "+390612345678"}, /* here the 0 belongs to the number */
    {"AR", "011 15-2345-6789", "+5491123456789"},
    {"JP", "010 34 612345678", "+34612345678"},
    {"RU", "8~10 34 612 34 56 78", "+34612345678"},
    {"AU", "0011 34 612345678", "+34612345678"},
};

START_TEST(a_number_becomes_e164)
{
  struct phone_plan plan = {.read = good[_i].country[0] != '\0' ? parley_phone_v1.read : NULL};
  parley_text number, again;
  const char *why, *hint;

  memcpy(plan.country, good[_i].country, strlen(good[_i].country));
  ck_assert_msg(phone_normalise(&plan, parley_text_of(good[_i].raw), arena, &number, &why, &hint), "%s '%s': %s", good[_i].country,
                good[_i].raw, why);
  ck_assert_str_eq(number.at, good[_i].want);
  ck_assert(phone_normalise(NULL, number, arena, &again, &why, &hint));
  ck_assert_str_eq(again.at, number.at);
}
END_TEST

static const struct {
  const char *country, *raw, *why; /* why: a word of it; a '*' at its beginning: with the hint to configure a country */
} bad[] = {
    {"", "", "start with '+'"},
    {"", "612 34 56 78", "*start with '+'"},
    {"", "0034612345678", "*start with '+'"},
    {"", "+44 (0)20 7031 3000", "*leave out the (0)"},
    {"", "+1 800 FLOWERS", "*only digits"},
    {"", "+123456", "at least 7 digits"},
    {"", "+0034600111222", "country code"},
    {"", "+1234567890123456", "more than 15"},
    {"", "++34600111222", "*only digits"},
    {"", "+34600111222\n+34600111223", "*only digits"},
    {"", "tel:+34600111222;ext=5", "extension"},
    {"", "tel:600111222;phone-context=+34", "start with '+'"},
    {"", "+34 600 11\xff", "UTF-8"},
    {"", "tel:", "start with '+'"},
    {"", "ana", "start with '+'"},
    {"ES", "tel:600111222;phone-context=+34", "phone-context"},
    {"ES", "612345678 x5", "extension"},
    {"ES", "612345678 ext. 5", "extension"},
    {"ES", "12345", "too short"},
    {"ES", "61234567890", "too long"},
    {"US", "253-0000", "area code"},
    {"ES", "+999 12345678", "+99912345678"},
    {"ES", "00999 12345678", "no country has this code"},
    {"ES", "612a345678", "no telephone number"},
    {"ES", "call 612345678", "no telephone number"},
    {"ES", "*21*612345678#", "no telephone number"},
    {"ES", "612345678, 612345679", "write the number alone"},
    {"ES", "612345678/612345679", "too long"},
    {"ES", "\xc3\xa9" "612345678", "no telephone number"},
    {"ES", "ana", "no telephone number"},
    {"DE", "030 12", "too short"}, /* of E.164 it would have less than seven digits */
};

START_TEST(what_is_no_number_is_refused_in_words)
{
  struct phone_plan plan = {.read = bad[_i].country[0] != '\0' ? parley_phone_v1.read : NULL};
  bool hinted = bad[_i].why[0] == '*', taken;
  const char *why = "", *hint;
  parley_text number = TEXT_EMPTY;

  memcpy(plan.country, bad[_i].country, strlen(bad[_i].country));
  taken = phone_normalise(&plan, parley_text_of(bad[_i].raw), arena, &number, &why, &hint);
  if (bad[_i].why[0] == '+') { /* a well-formed one is not looked up */
    ck_assert_str_eq(number.at, bad[_i].why);
    return;
  }
  ck_assert_msg(!taken, "'%s' is %.*s", bad[_i].raw, TEXT_ARG(number));
  ck_assert_msg(strstr(why, bad[_i].why + hinted) != NULL, "'%s': %s", bad[_i].raw, why);
  ck_assert_msg(hinted == (hint != NULL), "'%s': %s", bad[_i].raw, hint != NULL ? hint : "no hint");
}
END_TEST

START_TEST(what_is_longer_than_a_number_can_be_written_is_not_looked_at)
{
  char raw[PHONE_RAW_BYTES_MAX + 2] = "+34600111222";
  const char *why = "", *hint;
  parley_text number;

  memset(raw + 12, '.', sizeof raw - 12);
  raw[0] = '+';
  ck_assert(phone_normalise(NULL, (parley_text){raw, PHONE_RAW_BYTES_MAX}, arena, &number, &why, &hint));
  ck_assert(!phone_normalise(NULL, (parley_text){raw, PHONE_RAW_BYTES_MAX + 1}, arena, &number, &why, &hint));
  ck_assert_str_eq(why, "it is longer than 128 bytes");
}
END_TEST

START_TEST(a_short_code_is_three_to_eight_digits)
{
  ck_assert(phone_is_short_code(PARLEY_LIT("112")));
  ck_assert(phone_is_short_code(PARLEY_LIT("12345678")));
  ck_assert(!phone_is_short_code(PARLEY_LIT("12")));
  ck_assert(!phone_is_short_code(PARLEY_LIT("123456789")));
  ck_assert(!phone_is_short_code(PARLEY_LIT("+12345")));
  ck_assert(!phone_is_short_code(PARLEY_LIT("123 45")));
}
END_TEST

START_TEST(a_country_without_numbers_has_no_plan)
{
  ck_assert(parley_phone_v1.ready("ES"));
  ck_assert(!parley_phone_v1.ready("AQ")); /* Antarctica */
  ck_assert(!parley_phone_v1.ready("ZZ"));
  ck_assert(!parley_phone_v1.ready(""));
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("message: phone numbers");
  TCase *tcase = tcase_create("all");
  SRunner *runner;
  int failed;

  tcase_add_checked_fixture(tcase, set_up, tear_down);
  tcase_add_loop_test(tcase, a_number_becomes_e164, 0, COUNT_OF(good));
  tcase_add_loop_test(tcase, what_is_no_number_is_refused_in_words, 0, COUNT_OF(bad));
  tcase_add_test(tcase, what_is_longer_than_a_number_can_be_written_is_not_looked_at);
  tcase_add_test(tcase, a_short_code_is_three_to_eight_digits);
  tcase_add_test(tcase, a_country_without_numbers_has_no_plan);
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed > 0;
}
