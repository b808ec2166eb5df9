/* sms_bed.h - one provider of the sms-http plugin, made from the operator's YAML by the host's own reader; its functions called as
 * the plugin calls them. S is the secret, C that of callbacks. */
#ifndef TESTS_UNIT_SMS_BED_H
#define TESTS_UNIT_SMS_BED_H
#include "core/base/alloc.h"
#include "core/base/text.h"
#include "core/channel/option.h"
#include "plugins/sms-http/sms_settings.h"
#include <check.h>

#define BED_SECRET "12345"
#define BED_CALLBACK_SECRET "user:pass word"
#define BED_NOW_MS INT64_C(1700000000000)

static struct {
  struct yaml_file *file;
  struct arena *arena;
  struct secrets secrets;
  struct sms_settings settings;
  struct copy *memory;
  struct json_writer body;
  struct sms_request request;
  struct sms_sent sent;
  struct sms_taken taken;
  struct buf why;
} bed;

static const char *bed_variable(const char *name)
{
  return strcmp(name, "S") == 0 ? BED_SECRET : strcmp(name, "C") == 0 ? BED_CALLBACK_SECRET : NULL;
}

/* PARLEY_INVALID: bed.why says why, whoever found it. */
static parley_status bed_try(const char *yaml)
{
  const parley_value *values = NULL;
  parley_status st;

  bed.arena = arena_new();
  bed.memory = copy_new();
  ck_assert_msg(yaml_parse(PARLEY_SOURCE_DIR "/conf/x.yaml", parley_text_of(yaml), bed_variable, &bed.file, &bed.why) == PARLEY_OK,
                "%s", bed.why.at);
  st = options_read(bed.file, bed.file->root, 1, 1, "options", sms_settings_table, bed.arena, &bed.secrets, &values, &bed.why);
  if (st == PARLEY_OK) {
    st = sms_settings_read(values, &bed.settings);
    if (st != PARLEY_OK)
      buf_str(&bed.why, bed.settings.why);
  }
  return st;
}

static void bed_open(const char *yaml)
{
  ck_assert_msg(bed_try(yaml) == PARLEY_OK, "%s", bed.why.at);
}

static void bed_teardown(void)
{
  if (bed.settings.provider != NULL)
    sms_settings_done(&bed.settings);
  json_decref(bed.taken.root);
  json_writer_done(&bed.body);
  copy_free(&bed.memory);
  secrets_done(&bed.secrets);
  yaml_file_free(&bed.file);
  arena_free(&bed.arena);
  buf_done(&bed.why);
  memset(&bed, 0, sizeof bed);
}

/* The request of a message; its body is bed.body. */
__attribute__((unused)) static bool bed_request(const struct sms_piece *piece)
{
  json_writer_clear(&bed.body);
  bed.request = (struct sms_request){.memory = bed.memory, .body = &bed.body};
  return bed.settings.provider->request(bed.settings.self, piece, &bed.request);
}

__attribute__((unused)) static void bed_answer(uint32_t code, const char *body)
{
  parley_http_response response = {.size = sizeof response, .code = code, .body = parley_text_of(body)};

  bed.sent = (struct sms_sent){.memory = bed.memory};
  bed.settings.provider->answer(bed.settings.self, &response, &bed.sent);
}

__attribute__((unused)) static enum sms_verdict bed_verify(const parley_http_call *call)
{
  return bed.settings.provider->verify(bed.settings.self, call, BED_NOW_MS);
}

__attribute__((unused)) static void bed_read(const parley_http_call *call)
{
  json_decref(bed.taken.root);
  bed.taken = (struct sms_taken){.memory = bed.memory};
  bed.settings.provider->read(bed.settings.self, call, &bed.taken);
}

__attribute__((unused)) static parley_text bed_header(const char *name)
{
  return parley_header(bed.request.headers, bed.request.n_headers, name);
}

#define BED_IS(text, words) ck_assert_msg(parley_text_is(text, words), "%.*s", TEXT_ARG(text))
#endif
