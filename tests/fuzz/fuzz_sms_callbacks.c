// sources: plugins/sms-http/sms_settings.c plugins/sms-http/sms_provider.c plugins/sms-http/sms_form.c
// sources: plugins/sms-http/sms_pointer.c plugins/sms-http/sms_time.c plugins/sms-http/twilio.c plugins/sms-http/vonage.c
// sources: plugins/sms-http/vonage_messages.c plugins/sms-http/vonage_jwt.c
// libraries: PkgConfig::OPENSSL
// sources: plugins/sms-http/gateway.c plugins/sms-http/gateway_out.c plugins/sms-http/gateway_in.c plugins/sms-http/gateway_verify.c
// sources: plugins/sms-http/gateway_options.c plugins/sms-http/gateway_table.c plugins/sms-http/gateway_template.c
// sources: plugins/sms-http/gateway_check.c
// libraries: parley_plugin_common
/* Whatever comes as a callback, or as the answer to a message: a signature that nobody made never holds, and what is read of it is
 * bounded. The first byte chooses the provider and how the rest is posted. */
#include "core/channel/option.h"
#include "sms-http/sms_settings.h"
#include "sms-http/sms_time.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

const parley_capabilities sms_capabilities = {.size = sizeof sms_capabilities};

static const char *const channels[] = {
    "provider: twilio\naccount: AC1\nsecret: { env: S }\nfrom: Shop\n",
    "provider: vonage\naccount: k\nsecret: { env: S }\ncallback_secret: { env: S }\nsignature: sha256\nfrom: Shop\n",
    "provider: vonage\napi: messages\naccount: k\nsecret: { env: S }\nfrom: Shop\n",
    "provider: gateway\naccount: acc\nsecret: { env: S }\nfrom: Shop\ngateway:\n"
    "  send: { url: \"https://gw.example\", form: { a: \"{{to}}{{text}}\" } }\n"
    "  answer: { each: /all, id: /id, outcome: /s, outcomes: { 0: accepted, \"*\": retry }, code: /e, codes: { a: throttled }, "
    "retry_after: /w }\n"
    "  signature: { kind: hmac, header: X-S, over: \"{{url}}{{field.a}}{{header.x-t}}{{body}}\", timestamp: X-T }\n"
    "  receipts: { each: /all, when: { /k: dlr }, id: /id, reference: /r, status: /s, statuses: { \"*\": sent }, time: /t }\n"
    "  inbound: { each: /all, id: /id, from: /from, to: /to, text: /text, media: /m, media_url: /u,\n"
    "    segment: { reference: /r, part: /p, total: /n } }\n"};
enum { CHANNELS = sizeof channels / sizeof *channels };

static const char *variable(const char *name)
{
  (void)name;
  return "a secret that is not in any corpus";
}

/* Made once, and kept for the program's life. */
static struct sms_settings *settings_of(size_t which)
{
  static struct sms_settings settings[CHANNELS];
  static bool made[CHANNELS];

  if (!made[which]) {
    static struct arena *arena;
    static struct secrets secrets;
    struct buf why = BUF_INIT(0);
    struct yaml_file *file = NULL;
    const parley_value *values = NULL;

    made[which] = true;
    arena = arena != NULL ? arena : arena_new();
    if (yaml_parse("fuzz.yaml", parley_text_of(channels[which]), variable, &file, &why) != PARLEY_OK ||
        options_read(file, file->root, 1, 1, "options", sms_settings_table, arena, &secrets, &values, &why) != PARLEY_OK ||
        sms_settings_read(values, &settings[which]) != PARLEY_OK) {
      fprintf(stderr, "%s%s\n", why.at != NULL ? why.at : "", settings[which].why);
      abort();
    }
    yaml_file_free(&file);
    buf_done(&why);
  }
  return &settings[which];
}

static void item_check(const struct sms_item *item)
{
  const parley_inbound *in = &item->inbound;

  if (item->is_receipt) {
    assert(item->receipt.kind != 0 && item->receipt.provider_id.len + item->receipt.message_id.len > 0);
    assert(item->receipt.provider_id.len <= SMS_ID_BYTES_MAX && item->receipt.message_id.len <= SMS_ID_BYTES_MAX);
    assert((item->receipt.kind == PARLEY_RECEIPT_FAILED) == (item->receipt.outcome != 0));
    assert(item->receipt.code.len < SMS_CODE_ROOM && item->receipt.detail.len < SMS_DETAIL_ROOM);
    return;
  }
  assert(in->n_from == 1 && in->from[0]->value.len > 0 && in->from[0]->value.len <= SMS_ID_BYTES_MAX + 1 && in->event_id.len > 0);
  assert(in->n_parts <= 1 + SMS_MEDIA_MAX && in->n_fields <= 2);
  for (uint32_t i = 0; i < in->n_parts; i++)
    assert(in->parts[i]->text.len <= SMS_TEXT_BYTES_MAX && in->parts[i]->url.len <= SMS_URL_BYTES_MAX);
  if (in->segment != NULL)
    assert(in->segment->index >= 1 && in->segment->index <= in->segment->total && in->segment->total <= SMS_PIECES_MAX);
}

static void callback_check(const struct sms_settings *settings, const parley_http_call *call)
{
  struct copy *memory = copy_new();
  struct sms_taken *taken = copy_room(memory, sizeof *taken);

  assert(settings->provider->verify(settings->self, call, INT64_C(1700000000000)) != SMS_GOOD);
  taken->memory = memory;
  settings->provider->read(settings->self, call, taken);
  for (uint32_t i = 0; i < taken->n; i++)
    item_check(taken->items[i]);
  json_decref(taken->root);
  copy_free(&memory);
}

static void answer_check(const struct sms_settings *settings, parley_bytes body)
{
  static const uint32_t codes[] = {200, 201, 400, 401, 404, 429, 500};
  struct sms_sent sent = {.memory = copy_new()};

  for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
    parley_http_response response = {.size = sizeof response, .code = codes[i], .body = body};

    sent.n_ids = 0;
    settings->provider->answer(settings->self, &response, &sent);
    assert(sent.result >= PARLEY_OUTCOME_ACCEPTED && sent.result <= PARLEY_OUTCOME_UNKNOWN && sent.n_ids <= SMS_IDS_MAX);
    assert(strlen(sent.code) < SMS_CODE_ROOM && strlen(sent.detail) < SMS_DETAIL_ROOM);
    for (uint32_t j = 0; j < sent.n_ids; j++)
      assert(sent.ids[j].len <= SMS_ID_BYTES_MAX);
  }
  copy_free(&sent.memory);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  uint8_t first = size > 0 ? data[0] : 0;
  const struct sms_settings *settings = settings_of(first % CHANNELS);
  parley_bytes body = {(const char *)data + (size > 0), size > 0 ? size - 1 : 0};
  bool query = first / CHANNELS % 3 == 0, form = first / CHANNELS % 3 == 1;
  const parley_pair headers[] = {{PARLEY_LIT("content-type"),
                                  form ? PARLEY_LIT("application/x-www-form-urlencoded") : PARLEY_LIT("application/json")},
                                 {PARLEY_LIT("x-twilio-signature"), PARLEY_LIT("RSOYDt4T1cUTdK1PDd93/VVr8B8=")},
                                 {PARLEY_LIT("x-s"), PARLEY_LIT("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef")},
                                 {PARLEY_LIT("x-t"), PARLEY_LIT("1700000000")},
                                 {PARLEY_LIT("authorization"), query ? PARLEY_LIT("Bearer e30.e30.AAAA") : PARLEY_LIT("Bearer ..")}};
  parley_http_call call = {.size = sizeof call,
                           .method = PARLEY_LIT("POST"),
                           .path = PARLEY_LIT("/receipts"),
                           .headers = headers,
                           .n_headers = 5,
                           .url = query ? body : PARLEY_LIT("https://p.example/in/sms")};
  int64_t ms;

  if (query)
    call.query = body;
  else
    call.body = body;
  sms_time_read(body, &ms);
  callback_check(settings, &call);
  answer_check(settings, body);
  return 0;
}
