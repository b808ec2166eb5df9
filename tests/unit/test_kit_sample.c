#include "core/base/text.h"
#include "core/kit/inside.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Writes the text into a file and reads it as a sample; *why is what the reader said. */
static const struct kit_sample *sample_of(const char *text, bool answer, struct arena *arena, struct buf *why)
{
  char path[] = "/tmp/parley-kit-XXXXXX";
  int fd = mkstemp(path);
  const struct kit_sample *sample;

  ck_assert_int_ge(fd, 0);
  ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
  close(fd);
  *why = BUF_INIT(0);
  sample = kit_sample_read(path, answer, arena, why);
  unlink(path);
  return sample;
}

START_TEST(a_callback_is_read_as_it_came_over_the_wire)
{
  struct arena *arena = arena_new();
  struct buf why;
  const struct kit_sample *sample = sample_of("POST /in/hook/a?b=c HTTP/1.1\r\nHost: x\r\nDate: Tue, 14 Nov 2023 22:13:20 GMT\r\n"
                                              "X-Signature:  abc \r\n\r\n{\"a\":\r\n1}\n",
                                              false, arena, &why);

  ck_assert_ptr_nonnull(sample);
  ck_assert(parley_text_is(sample->method, "POST"));
  ck_assert(parley_text_is(sample->target, "/in/hook/a?b=c"));
  ck_assert_uint_eq(sample->n_headers, 3);
  ck_assert(parley_text_is(sample->headers[2].name, "x-signature"));
  ck_assert(parley_text_is(sample->headers[2].value, "abc"));
  ck_assert(parley_text_is(sample->body, "{\"a\":\r\n1}\n")); /* the very bytes: a signature covers them */
  ck_assert_int_eq(sample->date_ms, INT64_C(1700000000000));
  buf_done(&why);
  arena_free(&arena);
}
END_TEST

START_TEST(an_answer_has_its_code_and_body)
{
  struct arena *arena = arena_new();
  struct buf why;
  const struct kit_sample *sample = sample_of("HTTP/1.1 202 Accepted\ncontent-type: text/plain\n\nid=7", true, arena, &why);

  ck_assert_ptr_nonnull(sample);
  ck_assert_uint_eq(sample->code, 202);
  ck_assert(parley_text_is(sample->body, "id=7"));
  buf_done(&why);
  arena_free(&arena);
}
END_TEST

static const struct { const char *text; bool answer; } bad[] = {
    {"", false}, {"POST\n\n", false}, {"POST in HTTP/1.1\n\n", false}, {"HTTP/1.1 200 OK\n\n", false}, {"{\"a\":1}", false},
    {"POST / HTTP/1.1\nno colon\n\n", false}, {"POST / HTTP/1.1\n\n", true}, {"HTTP/1.1 abc\n\n", true}, {"HTTP/1.1 42 x\n\n", true},
};

START_TEST(what_is_no_recorded_http_is_refused_with_an_example)
{
  struct arena *arena = arena_new();
  struct buf why;

  ck_assert_ptr_null(sample_of(bad[_i].text, bad[_i].answer, arena, &why));
  ck_assert_ptr_nonnull(strstr(why.at, bad[_i].answer ? "HTTP/1.1 200 OK" : "POST /in/hook HTTP/1.1"));
  buf_done(&why);
  arena_free(&arena);
}
END_TEST

START_TEST(the_name_of_a_plugin_is_that_of_its_file)
{
  char name[65];

  kit_name("/opt/plugins/shop-sms.so", name);
  ck_assert_str_eq(name, "shop-sms");
  kit_name("hello.so", name);
  ck_assert_str_eq(name, "hello");
  kit_name("/opt/odd", name);
  ck_assert_str_eq(name, "odd");
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("kit: recorded HTTP");
  TCase *tcase = tcase_create("all");
  SRunner *runner;
  int failed;

  tcase_add_test(tcase, a_callback_is_read_as_it_came_over_the_wire);
  tcase_add_test(tcase, an_answer_has_its_code_and_body);
  tcase_add_loop_test(tcase, what_is_no_recorded_http_is_refused_with_an_example, 0, sizeof bad / sizeof *bad);
  tcase_add_test(tcase, the_name_of_a_plugin_is_that_of_its_file);
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed > 0;
}
