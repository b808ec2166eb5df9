// sources: plugins/email/sasl.c
#include "plugins/common/base64.h"
#include "plugins/email/sasl.h"
#include <check.h>
#include <stdlib.h>

#define COUNT(a) (int)(sizeof(a) / sizeof *(a))

/* --- base64 ------------------------------------------------------------------------------------------------------- */
static const struct {
  const char *text, *bytes; /* bytes NULL: it is none */
} spellings[] = {{"", ""},          {"Zg==", "f"},     {"Zm8=", "fo"},   {"Zm9v", "foo"},  {"Zm9vYmFy", "foobar"},
                 {"Zh==", NULL},    {"Zm9=", NULL},    {"Zg=", NULL},    {"Zg", NULL},     {"Z===", NULL},
                 {"====", NULL},    {"Zg==Zm9v", NULL}, {"Z=9v", NULL},  {" Zm9v", NULL},  {"    Zm9v", NULL},
                 {"Zm9v    ", NULL}, {"Zm9v\n\n\n\n", NULL}, {"Zm-v", NULL}, {"Zm9\xc3", NULL}};

START_TEST(base64_has_one_spelling)
{
  parley_text text = parley_text_of(spellings[_i].text);
  char bytes[16], again[BASE64_ROOM(sizeof bytes)];
  size_t len;

  ck_assert_int_eq(base64_to_bytes(text, bytes, &len), spellings[_i].bytes != NULL);
  if (spellings[_i].bytes == NULL)
    return;
  ck_assert_uint_eq(len, strlen(spellings[_i].bytes));
  ck_assert_int_eq(memcmp(bytes, spellings[_i].bytes, len), 0);
  ck_assert_uint_eq(base64_of_bytes((parley_bytes){bytes, len}, again), text.len);
  ck_assert_str_eq(again, spellings[_i].text);
}
END_TEST

/* --- PLAIN -------------------------------------------------------------------------------------------------------- */
START_TEST(what_plain_writes_it_reads)
{
  char coded[SASL_RESPONSE_MAX + 1], bytes[SASL_RESPONSE_MAX];
  parley_text user, password;
  size_t len = sasl_plain_write(PARLEY_LIT("tim"), PARLEY_LIT("tanstaaftanstaaf"), coded); /* RFC 4616's own example */

  ck_assert_str_eq(coded, "AHRpbQB0YW5zdGFhZnRhbnN0YWFm");
  ck_assert(base64_to_bytes((parley_text){coded, len}, bytes, &len));
  ck_assert(sasl_plain_read((parley_bytes){bytes, len}, &user, &password));
  ck_assert(parley_text_is(user, "tim") && parley_text_is(password, "tanstaaftanstaaf"));
}
END_TEST

START_TEST(plain_has_a_limit_and_no_line_end)
{
  char coded[SASL_RESPONSE_MAX + 1], *large = calloc(1, SASL_CREDENTIALS_MAX + 1);

  ck_assert_ptr_nonnull(large);
  memset(large, 'x', SASL_CREDENTIALS_MAX + 1);
  ck_assert_uint_gt(sasl_plain_write((parley_text){large, SASL_CREDENTIALS_MAX - 1}, PARLEY_LIT("x"), coded), 0);
  ck_assert_uint_eq(sasl_plain_write((parley_text){large, SASL_CREDENTIALS_MAX}, PARLEY_LIT("x"), coded), 0);
  ck_assert_uint_eq(sasl_plain_write(PARLEY_LIT("a\r\nb"), PARLEY_LIT("x"), coded), 0);
  ck_assert_uint_eq(sasl_plain_write(PARLEY_LIT("a"), (parley_text){"x\0y", 3}, coded), 0);
  free(large);
}
END_TEST

static const struct {
  const char *bytes;
  size_t len;
} no_plain[] = {{"", 0}, {"user", 4}, {"\0user", 5}, {"\0user\0", 6}, {"\0\0pass", 6}, {"\0user\0pa\0ss", 11}};

START_TEST(what_is_no_plain_is_refused)
{
  parley_text user, password;

  ck_assert(!sasl_plain_read((parley_bytes){no_plain[_i].bytes, no_plain[_i].len}, &user, &password));
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("sasl");
  TCase *tcase = tcase_create("sasl");
  SRunner *runner;
  int failed;

  tcase_add_loop_test(tcase, base64_has_one_spelling, 0, COUNT(spellings));
  tcase_add_test(tcase, what_plain_writes_it_reads);
  tcase_add_test(tcase, plain_has_a_limit_and_no_line_end);
  tcase_add_loop_test(tcase, what_is_no_plain_is_refused, 0, COUNT(no_plain));
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
