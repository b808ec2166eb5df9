#include "report.h"
#include "core/base/text.h"
#include <stdio.h>
#include <string.h>

#define WORDS_LINES_MAX 12 /* of stderr under a failure */

void report_begin(struct report *report, const struct kit_wish *wish, uint64_t seed)
{
  *report = (struct report){.wish = wish, .seed = seed, .json = BUF_INIT(0)};
}

static void again_write(const struct report *report, const char *name, struct buf *to)
{
  const struct kit_wish *wish = report->wish;
  const struct { const char *flag, *value; } files[] = {
      {"inbound", wish->inbound}, {"answer", wish->answer}, {"peer", wish->peer}, {"caller", wish->caller}, {"options", wish->options}};

  buf_printf(to, "%s plugin test %s --only %s --seed %llu", wish->program, wish->path, name, (unsigned long long)report->seed);
  for (size_t i = 0; i < sizeof files / sizeof *files; i++)
    if (files[i].value != NULL)
      buf_printf(to, " --%s %s", files[i].flag, files[i].value);
}

static void words_print(parley_text words)
{
  for (int i = 0; i < WORDS_LINES_MAX && words.len > 0; i++) {
    parley_text line = text_cut(&words, '\n');

    printf("    | %.*s\n", TEXT_ARG(line));
  }
}

static void result_print(const struct report *report, const struct kit_result *result)
{
  struct buf again = BUF_INIT(8192);

  switch (result->verdict) {
  case 'P':
    printf("ok - %s\n", result->name);
    break;
  case 'S':
    printf("skip - %s: %s\n", result->name, result->seen.at);
    break;
  default:
    again_write(report, result->name, &again);
    printf("not ok - %s\n    promised: %s\n    seen:     %s\n    again:    %s\n", result->name, result->promise,
           result->seen.at != NULL ? result->seen.at : "", again.at);
    words_print(buf_as_text(&result->words));
  }
  fflush(stdout);
  buf_done(&again);
}

static void result_json(struct report *report, const struct kit_result *result)
{
  struct buf again = BUF_INIT(8192);
  bool failed = result->verdict == 'F';

  buf_json_comma(&report->json);
  buf_str(&report->json, "{\"name\":");
  buf_json_str(&report->json, result->name);
  buf_printf(&report->json, ",\"verdict\":\"%s\",\"ms\":%lld", failed ? "failed" : result->verdict == 'S' ? "skipped" : "passed",
             (long long)result->ms);
  buf_json_key(&report->json, result->verdict == 'S' ? "reason" : "seen");
  buf_json_text(&report->json, buf_as_text(&result->seen));
  if (failed) {
    again_write(report, result->name, &again);
    buf_json_key(&report->json, "promised");
    buf_json_str(&report->json, result->promise);
    buf_json_key(&report->json, "again");
    buf_json_text(&report->json, buf_as_text(&again));
    buf_json_key(&report->json, "stderr");
    buf_json_text(&report->json, buf_as_text(&result->words));
  }
  buf_char(&report->json, '}');
  buf_done(&again);
}

void report_add(struct report *report, const struct kit_result *result)
{
  report->passed += result->verdict == 'P';
  report->skipped += result->verdict == 'S';
  report->failed += result->verdict == 'F';
  if (report->wish->json)
    result_json(report, result);
  else
    result_print(report, result);
}

int report_end(struct report *report)
{
  struct buf all = BUF_INIT(0);

  if (report->wish->json) {
    buf_str(&all, "{\"file\":");
    buf_json_str(&all, report->wish->path);
    buf_printf(&all, ",\"seed\":%llu,\"passed\":%u,\"failed\":%u,\"skipped\":%u,\"cases\":[", (unsigned long long)report->seed,
               report->passed, report->failed, report->skipped);
    buf_text(&all, buf_as_text(&report->json));
    printf("%s]}\n", all.at);
  } else {
    printf("%u passed, %u failed, %u skipped\n", report->passed, report->failed, report->skipped);
  }
  buf_done(&all);
  buf_done(&report->json);
  return report->failed > 0 ? KIT_FAILED : KIT_PASSED;
}

void kit_result_done(struct kit_result *result)
{
  buf_done(&result->promise_room);
  buf_done(&result->seen);
  buf_done(&result->words);
}
