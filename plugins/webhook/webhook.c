/* webhook.c - the channel that posts each message to a URL and takes messages and receipts back at /in/<channel>, both
 * signed by Standard Webhooks. Owns its requests and calls until their `done`. Thread: loop. */
#include "common/standard_webhooks.h"
#include "webhook_wire.h"
#include <parley/ext/http-in.h>
#include <stdio.h>
#include <stdlib.h>

enum { RESPONSE_BYTES_MAX = 64 << 10, AGAIN_MS = 5000, SECONDS_ROOM = 24 };

struct parley_channel {
  const parley_host *host;
  const parley_http *http;
  const parley_http_answers *answers;
  struct standard_webhooks_keys keys;
  struct json_writer writer; /* of one body at a time: what it is handed to copies it */
  parley_capabilities capabilities;
  parley_text url; /* of the options: it outlives the channel */
  uint32_t timeout_ms;
  int64_t tolerance_ms;
  bool stopped; /* tokens and calls are the host's to end now */
};

static const parley_capabilities webhook_capabilities;

/* --- Out --------------------------------------------------------------------------------------------------------- */

struct attempt {
  parley_channel *ch;
  uint64_t token;
  parley_text message_id; /* of the message: until it has settled */
};

static void settle_code(parley_channel *ch, uint64_t token, uint32_t result, parley_text code, parley_text detail)
{
  ch->host->settle(ch->host, token,
                   PARLEY_REF(parley_outcome, .result = result, .code = code, .detail = detail));
}

static void attempt_answered(const parley_http_response *response, void *arg)
{
  struct attempt *attempt = arg;
  parley_channel *ch = attempt->ch;
  struct webhook_outcome made;

  if (!ch->stopped) {
    webhook_outcome_make(response, &made);
    if (made.outcome.result == PARLEY_OUTCOME_ACCEPTED) { /* our id is the one that receipts and answers will name */
      made.outcome.ids = &attempt->message_id;
      made.outcome.n_ids = 1;
    }
    ch->host->settle(ch->host, attempt->token, &made.outcome);
  }
  free(attempt);
}

/* Signs and sends one request; method "HEAD" has no body. */
static void request_send(parley_channel *ch, parley_text method, parley_text id, parley_text traceparent,
                         uint64_t token, parley_bytes body, parley_http_done *done, void *arg)
{
  int64_t now_s = ch->host->now_ms(ch->host) / 1000;
  char seconds[SECONDS_ROOM], signature[STANDARD_WEBHOOKS_HEADER_ROOM];
  size_t seconds_len = (size_t)snprintf(seconds, sizeof seconds, "%lld", (long long)now_s);
  size_t signature_len = standard_webhooks_sign(&ch->keys, id, now_s, body, signature);
  const parley_pair headers[] = {{PARLEY_LIT(STANDARD_WEBHOOKS_ID), id},
                                 {PARLEY_LIT(STANDARD_WEBHOOKS_TIMESTAMP), {seconds, seconds_len}},
                                 {PARLEY_LIT(STANDARD_WEBHOOKS_SIGNATURE), {signature, signature_len}},
                                 {PARLEY_LIT("content-type"), PARLEY_LIT("application/json")},
                                 {PARLEY_LIT("traceparent"), traceparent}};
  uint32_t n_headers = traceparent.len > 0 ? 5 : 4;

  ch->http->request(ch->host,
                    PARLEY_REF(parley_http_request, .method = method, .url = ch->url, .token = token,
                               .timeout_ms = ch->timeout_ms, .response_max = RESPONSE_BYTES_MAX, .headers = headers,
                               .n_headers = n_headers, .body = body),
                    done, arg);
}

static parley_status webhook_submit(parley_channel *ch, uint64_t token, const parley_message *msg)
{
  parley_status st = webhook_body_write(&ch->writer, msg);
  struct attempt *attempt;

  if (st == PARLEY_REJECTED) {
    settle_code(ch, token, PARLEY_OUTCOME_REJECTED, PARLEY_LIT("media_unavailable"),
                PARLEY_LIT("a media part has neither bytes nor a URL"));
    return PARLEY_OK;
  }
  attempt = st == PARLEY_OK ? malloc(sizeof *attempt) : NULL;
  if (attempt == NULL)
    return PARLEY_BUSY;
  *attempt = (struct attempt){ch, token, msg->id};
  request_send(ch, PARLEY_LIT("POST"), msg->id, msg->traceparent, token, json_writer_text(&ch->writer),
               attempt_answered, attempt);
  return PARLEY_OK;
}

/* A HEAD says whether name, port, TLS and egress rules let us through to something that speaks HTTP. Whether the
 * receiver shares our secret shows with the first message only: many answer 401 or 405 to any HEAD. */
static void probe_answered(const parley_http_response *response, void *arg)
{
  struct attempt *attempt = arg;
  parley_channel *ch = attempt->ch;
  struct webhook_outcome made;

  if (!ch->stopped) {
    webhook_outcome_make(response, &made);
    if (response->status == PARLEY_OK && response->code >= 400 && response->code < 500)
      made.outcome.result = PARLEY_OUTCOME_ACCEPTED;
    else if (made.outcome.result == PARLEY_OUTCOME_UNKNOWN)
      made.outcome.result = PARLEY_OUTCOME_RETRY; /* nothing was sent that could be in doubt */
    ch->host->settle(ch->host, attempt->token, &made.outcome);
  }
  free(attempt);
}

static parley_status webhook_probe(parley_channel *ch, uint64_t token)
{
  struct attempt *attempt = malloc(sizeof *attempt);
  const parley_text none = {NULL, 0};

  if (attempt == NULL)
    return PARLEY_BUSY;
  *attempt = (struct attempt){ch, token, none};
  request_send(ch, PARLEY_LIT("HEAD"), PARLEY_LIT("probe"), none, token, none, probe_answered, attempt);
  return PARLEY_OK;
}

/* --- In ---------------------------------------------------------------------------------------------------------- */

/* One request whose message or receipt the host is committing. */
struct call {
  parley_channel *ch;
  uint64_t id;
  bool is_receipt;
  char message[32]; /* of a receipt: the id it named */
};

static void call_answer(parley_channel *ch, uint64_t call, uint32_t code, uint32_t retry_ms, const char *type)
{
  static const parley_pair allow = {PARLEY_LIT("allow"), PARLEY_LIT("POST")};
  static const parley_pair scheme = {PARLEY_LIT("www-authenticate"), PARLEY_LIT("Standard-Webhooks")};
  const parley_pair *header = code == 405 ? &allow : code == 401 ? &scheme : NULL;

  ch->answers->answer(ch->host, call,
                      PARLEY_REF(parley_http_answer, .code = code, .retry_ms = retry_ms, .type = parley_text_of(type),
                                 .headers = header, .n_headers = header != NULL,
                                 .body = json_writer_text(&ch->writer)));
}

static void call_refuse(parley_channel *ch, uint64_t call, uint32_t status, const char *code, parley_text detail,
                        const struct json_faults *faults)
{
  static const struct { uint32_t status; const char *title; } titles[] = {
      {401, "Unauthorized"}, {404, "Not Found"}, {405, "Method Not Allowed"}, {413, "Content Too Large"},
      {422, "Unprocessable Content"}, {500, "Internal Server Error"}, {503, "Service Unavailable"}};
  const char *title = "Error";

  for (size_t i = 0; i < sizeof titles / sizeof *titles; i++)
    if (titles[i].status == status)
      title = titles[i].title;
  webhook_problem_write(&ch->writer, status, title, code, detail, faults);
  call_answer(ch, call, status, status == 503 ? AGAIN_MS : 0, "application/problem+json");
}

static void call_refused_by_host(struct call *call, const parley_result *result)
{
  parley_channel *ch = call->ch;

  if (parley_again(result->status)) {
    webhook_problem_write(&ch->writer, 503, "Service Unavailable", "busy",
                          PARLEY_LIT("nothing was stored: send it again"), NULL);
    call_answer(ch, call->id, 503, result->retry_ms > 0 ? result->retry_ms : AGAIN_MS, "application/problem+json");
  } else if (result->status == PARLEY_FAILED) {
    call_refuse(ch, call->id, 500, "failed", PARLEY_LIT("nothing was stored"), NULL);
  } else {
    call_refuse(ch, call->id, 422, "rejected", result->reason, NULL);
  }
}

static void call_done(const parley_result *result, void *arg)
{
  struct call *call = arg;
  parley_channel *ch = call->ch;

  if (result->status == PARLEY_OK) {
    webhook_answer_write(&ch->writer, call->is_receipt ? parley_text_of(call->message) : result->value,
                         result->count == 1);
    call_answer(ch, call->id, 200, 0, "application/json");
  } else {
    call_refused_by_host(call, result);
  }
  free(call);
}

static void call_take(parley_channel *ch, uint64_t id, const struct webhook_in *in)
{
  struct call *call = malloc(sizeof *call);

  if (call == NULL) {
    call_refuse(ch, id, 503, "busy", PARLEY_LIT("out of memory"), NULL);
    return;
  }
  *call = (struct call){.ch = ch, .id = id, .is_receipt = in->is_receipt};
  if (in->is_receipt) {
    snprintf(call->message, sizeof call->message, "%.*s", (int)in->receipt.message_id.len, in->receipt.message_id.at);
    ch->host->receipt(ch->host, &in->receipt, call_done, call);
  } else {
    ch->host->inbound(ch->host, &in->inbound, call_done, call);
  }
}

static void body_take(parley_channel *ch, uint64_t id, parley_bytes body)
{
  struct json_faults faults = {.count = 0};
  struct webhook_in *in = webhook_in_read(body, &faults);

  if (in != NULL)
    call_take(ch, id, in);
  else if (faults.count > 0)
    call_refuse(ch, id, 422, "invalid", parley_text_of(faults.faults[0].detail), &faults);
  else
    call_refuse(ch, id, 503, "busy", PARLEY_LIT("out of memory"), NULL);
  webhook_in_free(in);
}

static void webhook_called(parley_channel *ch, uint64_t id, const parley_http_call *call)
{
  enum standard_webhooks_verdict verdict;

  if (!parley_text_is(call->path, "/")) {
    call_refuse(ch, id, 404, "not_found", PARLEY_LIT("messages and receipts are posted to the channel's own address"),
                NULL);
  } else if (!parley_text_is(call->method, "POST")) {
    call_refuse(ch, id, 405, "method_not_allowed", PARLEY_LIT("only POST"), NULL);
  } else if (call->body.len > ch->host->inline_max) {
    call_refuse(ch, id, 413, "too_large", PARLEY_LIT("send media by url rather than as data"), NULL);
  } else {
    verdict = standard_webhooks_verify(&ch->keys, call->headers, call->n_headers, call->body,
                                       ch->host->now_ms(ch->host), ch->tolerance_ms);
    if (verdict != STANDARD_WEBHOOKS_GOOD)
      call_refuse(ch, id, 401, standard_webhooks_code(verdict),
                  PARLEY_LIT("the Standard Webhooks signature does not hold"), NULL);
    else
      body_take(ch, id, call->body);
  }
}

/* --- Life -------------------------------------------------------------------------------------------------------- */

static parley_status webhook_create(const parley_host *host, const parley_value *options, parley_channel **ret)
{
  parley_channel *ch = calloc(1, sizeof *ch);

  if (ch == NULL)
    return PARLEY_BUSY;
  if (!standard_webhooks_keys_read(parley_find(options, "secret")->text, &ch->keys)) {
    host->health(host, PARLEY_DOWN, PARLEY_LIT("the option secret is no Standard Webhooks secret"),
                 PARLEY_LIT("whsec_ and base64 of 24 to 64 bytes; while rotating: the new one, a space, the old one"));
    free(ch);
    return PARLEY_INVALID;
  }
  ch->host = host;
  ch->http = host->extension(host, PARLEY_HTTP);
  ch->answers = host->extension(host, PARLEY_HTTP_IN);
  ch->url = parley_find(options, "url")->text;
  ch->timeout_ms = (uint32_t)parley_find(options, "timeout")->number;
  ch->tolerance_ms = parley_find(options, "tolerance")->number;
  ch->capabilities = webhook_capabilities;
  ch->capabilities.in_flight = (uint32_t)parley_find(options, "in_flight")->number;
  *ret = ch;
  return PARLEY_OK;
}

static parley_status webhook_start(parley_channel *ch)
{
  (void)ch; /* nothing to log in to: the first message connects */
  return PARLEY_OK;
}

static void webhook_stop(parley_channel *ch, parley_call *done, void *arg)
{
  ch->stopped = true; /* requests still out are cancelled by the host, which settles their tokens itself */
  done(arg);
}

static void webhook_destroy(parley_channel *ch)
{
  standard_webhooks_keys_done(&ch->keys);
  json_writer_done(&ch->writer);
  free(ch);
}

static const parley_capabilities *webhook_capable(parley_channel *ch)
{
  return &ch->capabilities;
}

static const parley_option *const webhook_options[] = {
    PARLEY_REF(parley_option, .name = "url", .type = PARLEY_OPTION_URL, .flags = PARLEY_REQUIRED,
               .doc = "where messages are posted", .example = "https://shop.example/parley"),
    PARLEY_REF(parley_option, .name = "secret", .type = PARLEY_OPTION_TEXT, .flags = PARLEY_REQUIRED | PARLEY_SECRET,
               .max = 512,
               .doc = "shared with the other side: whsec_ and base64 of 24-64 bytes; two, newest first, to rotate",
               .example = "whsec_cGFybGV5LWV4YW1wbGUtc2VjcmV0LW9mLTMyLWI="),
    PARLEY_REF(parley_option, .name = "in_flight", .type = PARLEY_OPTION_INT, .min = 1, .max = 1024,
               .default_text = "64", .doc = "requests open at once"),
    PARLEY_REF(parley_option, .name = "timeout", .type = PARLEY_OPTION_DURATION, .min = 100, .max = 300000,
               .default_text = "15s", .doc = "for one request, answer included"),
    PARLEY_REF(parley_option, .name = "tolerance", .type = PARLEY_OPTION_DURATION, .min = 1000, .max = 86400000,
               .default_text = "5m", .doc = "how far webhook-timestamp may be from our clock, either way"),
    NULL,
};

static const parley_feature *const webhook_features[] = {
    PARLEY_REF(parley_feature, .what = PARLEY_PART_TEXT, .level = PARLEY_LEVEL_NATIVE, .unit = PARLEY_UNIT_BYTES),
    PARLEY_REF(parley_feature, .what = PARLEY_PART_HTML, .level = PARLEY_LEVEL_NATIVE, .unit = PARLEY_UNIT_BYTES),
    PARLEY_REF(parley_feature, .what = PARLEY_PART_MEDIA, .level = PARLEY_LEVEL_NATIVE, .count_max = WEBHOOK_MEDIA_MAX),
    PARLEY_REF(parley_feature, .what = PARLEY_PART_BUTTONS, .level = PARLEY_LEVEL_NATIVE),
    PARLEY_REF(parley_feature, .what = PARLEY_PART_LOCATION, .level = PARLEY_LEVEL_NATIVE),
    PARLEY_REF(parley_feature, .what = PARLEY_FEATURE_SUBJECT, .level = PARLEY_LEVEL_NATIVE),
    PARLEY_REF(parley_feature, .what = PARLEY_FEATURE_REPLY, .level = PARLEY_LEVEL_NATIVE),
    NULL,
};
static const parley_capabilities webhook_capabilities = {
    .size = sizeof webhook_capabilities,
    .flags = PARLEY_INBOUND | PARLEY_RESEND_SAFE, /* the same webhook-id twice is one message to the receiver */
    .in_flight = 64,
    .receipts =
        PARLEY_BIT(PARLEY_RECEIPT_DELIVERED) | PARLEY_BIT(PARLEY_RECEIPT_READ) | PARLEY_BIT(PARLEY_RECEIPT_FAILED),
    .address_kind = "none",
    .channel_kind = "webhook",
    .features = webhook_features,
};
static const parley_http_in webhook_http_in = {.size = sizeof webhook_http_in, .called = webhook_called};

const parley_plugin parley_plugin_v1 = {
    .size = sizeof parley_plugin_v1,
    .abi_major = PARLEY_ABI_MAJOR,
    .abi_minor = PARLEY_ABI_MINOR,
    .name = "webhook",
    .version = "1.0.0",
    .summary = "posts messages to a URL and takes messages and receipts back, signed both ways",
    .options = webhook_options,
    .capabilities = &webhook_capabilities,
    .requires_ids = (const char *const[]){PARLEY_HTTP, PARLEY_HTTP_IN, NULL},
    .offers = PARLEY_LIST(parley_extension,
                          PARLEY_REF(parley_extension, .id = PARLEY_HTTP_IN, .table = &webhook_http_in), NULL),
    .create = webhook_create,
    .start = webhook_start,
    .submit = webhook_submit,
    .stop = webhook_stop,
    .destroy = webhook_destroy,
    .capable = webhook_capable,
    .probe = webhook_probe,
};
