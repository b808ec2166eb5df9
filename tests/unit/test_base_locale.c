#include "core/base/locale.h"
#include <check.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static const struct { const char *text; bool want; } locales[] = {
    {"es", true}, {"gsw", true}, {"pt-BR", true}, {"PT-br", true}, {"es-419", true}, {"zh-Hant-TW", true}, {"zh-yue-HK", true},
    {"sl-rozaj-biske", true}, {"de-1996", true}, {"en-GB-oxendict", true}, {"de-DE-u-co-phonebk", true},
    {"en-a-bbb-x-a-ccc", true}, {"es-x-shop", true}, {"x-shop", false}, {"", false}, {"e", false}, {"english", false},
    {"pt_BR", false}, {"es-", false}, {"-es", false}, {"es--ES", false}, {"es ES", false}, {"es-ES.UTF-8", false},
    {"es-u", false}, {"es-x", false}, {"es-ES-MX", false}, {"es-toolongpart", false}, {"es-abc-def-ghi-jkl", false}, {"12", false},
    {"\xc3\xa9s", false}, {"es-x-abcdefgh-abcdefgh-abcdefgh-abcdefgh-abcdefgh-abcdefgh-abcdefgh", false},
};

START_TEST(a_locale_has_the_shape_of_a_language_tag)
{
  ck_assert_msg(locale_ok(parley_text_of(locales[_i].text)) == locales[_i].want, "%s", locales[_i].text);
}
END_TEST

static const struct { const char *text; bool want; } zones[] = {
    {"UTC", true}, {"Europe/Madrid", true}, {"America/Argentina/Buenos_Aires", true}, {"America/Port-au-Prince", true},
    {"Etc/GMT+5", true}, {"Asia/Kolkata", true}, {"", false}, {"Europe", false}, {"Europe/", false}, {"Europe/Atlantis", false},
    {"europe/madrid", false}, {"Europe//Madrid", false}, {"/Europe/Madrid", false}, {"./UTC", false}, {"../zoneinfo/UTC", false},
    {"Europe/../UTC", false}, {"../../../etc/passwd", false}, {"tzdata.zi", false}, {"zone.tab", false}, {"leapseconds", false},
    {"posix/Europe/Madrid", false}, {"right/Europe/Madrid", false}, {"posixrules", false}, {"localtime", false}, {"+02:00", false},
    {"CEST-2", false}, {"Europe/Madrid ", false},
};

START_TEST(a_time_zone_is_a_name_that_the_machine_knows)
{
  ck_assert_msg(timezone_ok(parley_text_of(zones[_i].text)) == zones[_i].want, "%s", zones[_i].text);
}
END_TEST

static const struct { const char *text; bool is; const char *meant; } countries[] = {
    {"ES", true, "ES (Spain)"}, {"GB", true, "GB (Britain (UK))"}, {"NO", true, "NO (Norway)"}, {"es", false, "ES (Spain)"},
    {"UK", false, "GB (Britain (UK))"}, {"spain", false, "ES (Spain)"}, {"Britain", false, "GB (Britain (UK))"}, {"XX", false, NULL},
    {"", false, NULL}, {"E", false, NULL}, {"ESP", false, NULL}, {"Spa", false, NULL}, {"E5", false, NULL}, {"#c", false, NULL},
};

START_TEST(a_country_has_two_letters)
{
  char meant[COUNTRY_MEANT_MAX] = "";

  ck_assert_msg(country_ok(parley_text_of(countries[_i].text)) == countries[_i].is, "%s", countries[_i].text);
  ck_assert_msg(country_meant(parley_text_of(countries[_i].text), meant) == (countries[_i].meant != NULL), "%s", countries[_i].text);
  ck_assert_str_eq(meant, countries[_i].meant != NULL ? countries[_i].meant : "");
}
END_TEST

START_TEST(no_name_is_longer_than_its_bound)
{
  char text[TIMEZONE_BYTES_MAX + 2];

  for (size_t i = 0; i < sizeof(text); i++)
    text[i] = 'A';
  ck_assert(!timezone_ok((parley_text){text, TIMEZONE_BYTES_MAX}));
  ck_assert(!timezone_ok((parley_text){text, TIMEZONE_BYTES_MAX + 1}));
  ck_assert(!timezone_ok((parley_text){"UTC\0x", 5}));
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("base: locale");
  TCase *tcase = tcase_create("all");
  SRunner *runner;
  int failed;

  tcase_add_loop_test(tcase, a_country_has_two_letters, 0, COUNT_OF(countries));
  tcase_add_loop_test(tcase, a_locale_has_the_shape_of_a_language_tag, 0, COUNT_OF(locales));
  tcase_add_loop_test(tcase, a_time_zone_is_a_name_that_the_machine_knows, 0, COUNT_OF(zones));
  tcase_add_test(tcase, no_name_is_longer_than_its_bound);
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed > 0;
}
