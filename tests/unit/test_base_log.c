#include "core/base/alloc.h"
#include "core/base/env.h"
#include "core/base/log.h"
#include "core/base/text.h"
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STAMP "2026-11-21T22:01:09.482Z"

struct sink {
  struct env_fake fake;
  struct log log;
  int fds[2];
  char text[65536];
};

static void sink_open(struct sink *sink, bool json)
{
  ck_assert_int_eq(pipe(sink->fds), 0);
  env_fake_init(&sink->fake, INT64_C(1795298469482));
  sink->log = (struct log){.fd = sink->fds[1], .level = PARLEY_INFO, .json = json, .env = &sink->fake.env};
}

static const char *sink_close(struct sink *sink)
{
  ssize_t len;

  close(sink->fds[1]);
  len = read(sink->fds[0], sink->text, sizeof(sink->text) - 1);
  close(sink->fds[0]);
  sink->text[len > 0 ? len : 0] = '\0';
  return sink->text;
}

static const struct {
  bool json;
  const char *line, *want;
} lines[] = {
    {false, "event=sent msg=msg_1 pause_ms=4", "time=" STAMP " level=info event=sent msg=msg_1 pause_ms=4\n"},
    {false, "event=x why=\"a\r\nlevel=error\"", "time=" STAMP " level=info event=x why=\"a\\x0d\\x0alevel=error\"\n"},
    {true, "event=sent msg=msg_1 pause_ms=4 load=0.5",
     "{\"time\":\"" STAMP "\",\"level\":\"info\",\"event\":\"sent\",\"msg\":\"msg_1\",\"pause_ms\":4,\"load\":\"0.5\"}\n"},
    {true, "event=x why=\"two \\\"words\\\"\" level=error",
     "{\"time\":\"" STAMP "\",\"level\":\"info\",\"event\":\"x\",\"why\":\"two \\\"words\\\"\"}\n"},
    {true, "plain words event=x",
     "{\"time\":\"" STAMP "\",\"level\":\"info\",\"event\":\"x\",\"text\":\"plain words\"}\n"},
    {true, "event=x empty= open=\"no end",
     "{\"time\":\"" STAMP "\",\"level\":\"info\",\"event\":\"x\",\"empty\":\"\",\"open\":\"no end\"}\n"},
};

START_TEST(one_event_is_one_line)
{
  struct sink sink;

  sink_open(&sink, lines[_i].json);
  log_line(&sink.log, PARLEY_INFO, "%s", lines[_i].line);
  log_line(&sink.log, PARLEY_DEBUG, "event=dropped");
  log_line(NULL, PARLEY_ERROR, "event=nowhere");
  ck_assert_str_eq(sink_close(&sink), lines[_i].want);
}
END_TEST

START_TEST(a_plugin_cannot_speak_for_another_channel)
{
  struct sink sink;

  sink_open(&sink, true);
  log_plugin(&sink.log, PARLEY_WARN, "sms", PARLEY_LIT("event=late channel=mail n=2"));
  ck_assert_str_eq(sink_close(&sink), "{\"time\":\"" STAMP "\",\"level\":\"warn\",\"channel\":\"sms\",\"event\":\"late\",\"n\":2}\n");
}
END_TEST

START_TEST(a_long_plugin_line_is_cut)
{
  struct sink sink;
  char line[5000];

  memset(line, 'x', sizeof(line));
  sink_open(&sink, false);
  log_plugin(&sink.log, PARLEY_ERROR, "sms", (parley_text){line, sizeof(line)});
  ck_assert_uint_eq(strlen(sink_close(&sink)), strlen("time=" STAMP " level=error channel=sms \n") + LOG_PLUGIN_LINE_MAX);
}
END_TEST

static const struct {
  const char *value, *want;
} values[] = {
    {"plain", "plain"}, {"", "\"\""}, {"two words", "\"two words\""}, {"a=b", "\"a=b\""}, {"say \"no\"", "\"say \\\"no\\\"\""},
    {"line\r\n", "\"line\\x0d\\x0a\""}, {"0123456789012345678901234567890123456789", "01234567890123456789012345"},
};

START_TEST(a_value_from_outside_is_made_safe)
{
  char to[32];

  ck_assert_str_eq(log_safe(to, sizeof(to), parley_text_of(values[_i].value)), values[_i].want);
}
END_TEST

START_TEST(levels_have_four_names)
{
  uint32_t level = 77;

  ck_assert(!log_level_parse(PARLEY_LIT("Warn"), &level) && level == 77);
  ck_assert(log_level_parse(PARLEY_LIT("warn"), &level) && level == PARLEY_WARN);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("base: log");
  TCase *tcase = tcase_create("all");
  SRunner *runner;
  int failed;

  tcase_add_loop_test(tcase, one_event_is_one_line, 0, COUNT_OF(lines));
  tcase_add_test(tcase, a_plugin_cannot_speak_for_another_channel);
  tcase_add_test(tcase, a_long_plugin_line_is_cut);
  tcase_add_loop_test(tcase, a_value_from_outside_is_made_safe, 0, COUNT_OF(values));
  tcase_add_test(tcase, levels_have_four_names);
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed > 0;
}
