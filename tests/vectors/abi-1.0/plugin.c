/* A plugin as it was written and built against the headers of ABI 1.0 (include/ beside it): it must run on every later host. It
 * holds each message for a moment, remembers how many it had, and tells the log each step of its life. What is posted to it is an
 * inbound message, answered after the commit, and with one touchpoint and one receipt. Never edited. */
#include <parley/ext/http-in.h>
#include <stdio.h>
#include <stdlib.h>

enum { HOLD_MS = 10 };

struct parley_channel {
  const parley_host *host;
  const parley_http_answers *answers;
  uint64_t token, sent;
  const parley_message *message;
  parley_text greeting;
};

static void say(parley_channel *ch, const char *what, parley_text of)
{
  char line[200];
  int len = snprintf(line, sizeof line, "event=%s of=\"%.*s\" greeting=\"%.*s\"", what, (int)of.len, of.at, (int)ch->greeting.len,
                     ch->greeting.at);

  ch->host->log(ch->host, PARLEY_INFO, (parley_text){line, len < (int)sizeof line ? (size_t)len : sizeof line - 1});
}

static void remembered(const parley_result *result, void *arg)
{
  parley_channel *ch = arg;

  say(ch, result->status == PARLEY_OK ? "old_remembered" : "old_forgot", PARLEY_LIT("state"));
}

static void held(void *arg)
{
  parley_channel *ch = arg;
  const parley_text id = ch->message->id;

  ch->sent++;
  ch->host->state_put(ch->host, PARLEY_LIT("sent"), id, remembered, ch);
  say(ch, "old_settled", id);
  ch->host->settle(ch->host, ch->token, PARLEY_REF(parley_outcome, .result = PARLEY_OUTCOME_ACCEPTED, .ids = &id, .n_ids = 1,
                                                   .code = PARLEY_LIT("200"), .detail = PARLEY_LIT("held and let go")));
  ch->token = 0;
}

static parley_status old_submit(parley_channel *ch, uint64_t token, const parley_message *message)
{
  if (ch->token != 0)
    return PARLEY_BUSY;
  ch->token = token;
  ch->message = message;
  say(ch, "old_submitted", message->parts[0]->text);
  ch->host->timer(ch->host, HOLD_MS, 0, held, ch);
  return PARLEY_OK;
}

struct call { parley_channel *ch; uint64_t id; };

static void stored(const parley_result *result, void *arg)
{
  struct call *call = arg;
  parley_channel *ch = call->ch;

  say(ch, "old_inbound", result->value);
  ch->answers->answer(ch->host, call->id, PARLEY_REF(parley_http_answer, .code = result->status == PARLEY_OK ? 200 : 503,
                                                     .type = PARLEY_LIT("text/plain"), .body = result->value));
  free(call);
}

static void old_called(parley_channel *ch, uint64_t id, const parley_http_call *request)
{
  parley_text event_id = parley_header(request->headers, request->n_headers, "x-id");
  const parley_identity *who = PARLEY_REF(parley_identity, .kind = PARLEY_LIT("phone"), .value = PARLEY_LIT("+34600111222"),
                                          .assurance = PARLEY_VERIFIED);
  const parley_part *part = PARLEY_REF(parley_part, .kind = PARLEY_PART_TEXT, .text = request->body);
  struct call *call = malloc(sizeof *call);

  if (call == NULL)
    return;
  *call = (struct call){ch, id};
  ch->host->event(ch->host, PARLEY_REF(parley_touchpoint, .type = PARLEY_LIT("old.called"), .stage = PARLEY_STAGE_AFTER, .who = who),
                  NULL, NULL);
  ch->host->receipt(ch->host, PARLEY_REF(parley_receipt, .kind = PARLEY_RECEIPT_READ, .message_id = event_id), NULL, NULL);
  ch->host->inbound(ch->host,
                    PARLEY_REF(parley_inbound, .kind = PARLEY_KIND_CONTENT, .event_id = event_id, .provider_id = event_id,
                               .n_from = 1, .from = &who, .n_parts = 1, .parts = &part),
                    stored, call);
}

static parley_status old_create(const parley_host *host, const parley_value *options, parley_channel **ret)
{
  parley_channel *ch = calloc(1, sizeof *ch);

  if (ch == NULL)
    return PARLEY_BUSY;
  ch->host = host;
  ch->answers = host->extension(host, PARLEY_HTTP_IN);
  ch->greeting = parley_find(options, "greeting")->text;
  say(ch, "old_created", host->channel);
  *ret = ch;
  return PARLEY_OK;
}

static parley_status old_start(parley_channel *ch)
{
  say(ch, "old_started", ch->host->public_url);
  return PARLEY_OK;
}

static void old_drain(parley_channel *ch, uint32_t within_ms)
{
  (void)within_ms;
  say(ch, "old_drained", PARLEY_LIT(""));
}

static void old_stop(parley_channel *ch, parley_call *done, void *arg)
{
  say(ch, "old_stopped", PARLEY_LIT(""));
  done(arg);
}

static void old_destroy(parley_channel *ch)
{
  say(ch, "old_destroyed", PARLEY_LIT(""));
  free(ch);
}

static parley_status old_probe(parley_channel *ch, uint64_t token)
{
  ch->host->settle(ch->host, token, PARLEY_REF(parley_outcome, .result = PARLEY_OUTCOME_ACCEPTED));
  return PARLEY_OK;
}

static const parley_option *const options[] = {
    PARLEY_REF(parley_option, .name = "greeting", .type = PARLEY_OPTION_TEXT, .max = 80, .default_text = "hello", .doc = "what it says"),
    NULL,
};
static const parley_capabilities capabilities = {
    .size = sizeof capabilities, .flags = PARLEY_INBOUND, .in_flight = 1, .receipts = PARLEY_BIT(PARLEY_RECEIPT_READ),
    .address_kind = "phone", .channel_kind = "sms",
    .features = PARLEY_LIST(parley_feature,
                            PARLEY_REF(parley_feature, .what = PARLEY_PART_TEXT, .level = PARLEY_LEVEL_NATIVE), NULL),
};
static const parley_http_in http_in = {.size = sizeof http_in, .called = old_called};
const parley_plugin parley_plugin_v1 = {
    .size = sizeof parley_plugin_v1, .abi_major = PARLEY_ABI_MAJOR, .abi_minor = PARLEY_ABI_MINOR,
    .name = "old", .version = "1.0.0", .summary = "a plugin of ABI 1.0", .capabilities = &capabilities, .options = options,
    .requires_ids = (const char *const[]){PARLEY_HTTP_IN, NULL},
    .offers = PARLEY_LIST(parley_extension, PARLEY_REF(parley_extension, .id = PARLEY_HTTP_IN, .table = &http_in), NULL),
    .create = old_create, .start = old_start, .submit = old_submit, .drain = old_drain, .stop = old_stop, .destroy = old_destroy,
    .probe = old_probe,
};
