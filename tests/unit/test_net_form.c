/* Bodies of forms: what a browser, a mail provider and a stranger post. */
#include "core/base/alloc.h"
#include "core/base/buf.h"
#include "core/base/text.h"
#include "core/net/form.h"
#include <check.h>
#include <stdlib.h>

#define URLENCODED "application/x-www-form-urlencoded"
#define PART(name, value) "--b\r\nContent-Disposition: form-data; name=\"" name "\"\r\n\r\n" value "\r\n"

static const struct row {
  const char *type, *body, *want; /* want: name=value, a line each; NULL: refused */
} rows[] = {
    {URLENCODED, "List-Unsubscribe=One-Click", "List-Unsubscribe=One-Click\n"},
    {"Application/X-WWW-Form-Urlencoded; charset=UTF-8", "a=1&b=%C3%A9+%26&a=2&c", "a=1\nb=\xc3\xa9 &\na=2\nc=\n"},
    {URLENCODED, "", ""},
    {"", "", ""},
    {URLENCODED, "a=%ff", NULL},
    {URLENCODED, "a=%00", NULL},
    {URLENCODED, "a=%4", NULL},
    {"", "a=1", NULL},
    {"text/plain", "a=1", NULL},
    {"application/json", "{}", NULL},
    {"multipart/form-data; boundary=b", PART("List-Unsubscribe", "One-Click") "--b--\r\n", "List-Unsubscribe=One-Click\n"},
    {"multipart/form-data; boundary=\"b\"", "preamble\r\n" PART("x", "1\r\n2") PART("y", "") "--b--", "x=1\r\n2\ny=\n"},
    {"multipart/form-data; boundary=b",
     "--b\r\ncontent-disposition:form-data; filename=\"a;b.txt\"; name=\"f\"\r\nContent-Type: text/plain\r\n\r\nfile\r\n"
     "--b\r\nX: y\r\nContent-Disposition: form-data; name=g\r\n\r\n1\r\n--b--", "g=1\n"},
    {"multipart/form-data", PART("x", "1") "--b--", NULL},
    {"multipart/form-data; boundary=", PART("x", "1") "--b--", NULL},
    {"multipart/form-data; boundary=c", PART("x", "1") "--b--", NULL},
    {"multipart/form-data; boundary=b", PART("x", "1"), NULL},
    {"multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"x\"\r\n", NULL},
    {"multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n--b--", NULL},
    {"multipart/form-data; boundary=b", "--b", NULL},
    {"multipart/form-data; boundary=b", PART("x", "\xff") "--b--", NULL},
    {"multipart/form-data; boundary=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "--b", NULL},
};

START_TEST(a_form_is_read_or_refused_as_a_whole)
{
  const struct row *row = &rows[_i];
  struct arena *arena = arena_new();
  struct buf got = BUF_INIT(0);
  struct form form;
  bool ok = form_read(parley_text_of(row->type), parley_text_of(row->body), arena, &form);

  ck_assert_msg(ok == (row->want != NULL), "%s: %s", row->type, row->body);
  for (size_t i = 0; ok && i < form.n; i++) {
    buf_text(&got, form.fields[i].name);
    buf_char(&got, '=');
    buf_text(&got, form.fields[i].value);
    buf_char(&got, '\n');
  }
  ck_assert_msg(!ok || parley_text_is(buf_as_text(&got), row->want), "%s", got.len > 0 ? got.at : "nothing");
  buf_done(&got);
  arena_free(&arena);
}
END_TEST

START_TEST(the_first_of_a_name_counts_and_fields_have_a_limit)
{
  struct arena *arena = arena_new();
  struct buf body = BUF_INIT(0);
  struct form form;

  for (int i = 0; i < FORM_FIELDS_MAX; i++)
    buf_printf(&body, "a=%d&", i);
  ck_assert(form_read(PARLEY_LIT(URLENCODED), buf_as_text(&body), arena, &form));
  ck_assert_uint_eq(form.n, FORM_FIELDS_MAX);
  ck_assert(parley_text_is(form_value(&form, "a"), "0"));
  ck_assert_uint_eq(form_value(&form, "b").len, 0);
  buf_str(&body, "a=more");
  ck_assert(!form_read(PARLEY_LIT(URLENCODED), buf_as_text(&body), arena, &form));
  buf_done(&body);
  arena_free(&arena);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("net: form");
  TCase *tcase = tcase_create("all");
  SRunner *runner;
  int failed;

  tcase_add_loop_test(tcase, a_form_is_read_or_refused_as_a_whole, 0, COUNT_OF(rows));
  tcase_add_test(tcase, the_first_of_a_name_counts_and_fields_have_a_limit);
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed > 0;
}
