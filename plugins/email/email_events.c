#include "email_events.h"
#include "common/option.h"
#include "common/json.h"
#include "event_verify.h"
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
  TEXT_MAX = 1000,
  AGAIN_MS = 5000,
  FETCH_MS = 15000,           /* a certificate, or the confirmation of a subscription */
  CERTIFICATE_MAX = 64 << 10, /* bytes */
  URL_MAX = 512,
  TOKEN_HASH = 16,
  TOLERANCE_MIN_MS = 1000,
  TOLERANCE_MAX_MS = 86400000,
  TOLERANCE_MS = 300000
};

const parley_option *const email_events_fields[] = {
    PARLEY_REF(parley_option, .name = "ses", .type = PARLEY_OPTION_TEXT, .min = 1, .max = TEXT_MAX,
               .doc = "Amazon SES: the ARN of the SNS topic that posts here",
               .example = "arn:aws:sns:eu-west-1:123456789012:mail"),
    PARLEY_REF(parley_option, .name = "sendgrid", .type = PARLEY_OPTION_TEXT, .min = 1, .max = TEXT_MAX,
               .doc = "SendGrid: the verification key of its signed event webhook",
               .example = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEaxfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpZP40Li/hp/m47n60p8D54W"
                          "K84zV2sxXs7LtkBoN79R9Q=="),
    PARLEY_REF(parley_option, .name = "mailgun", .type = PARLEY_OPTION_TEXT, .flags = PARLEY_SECRET, .min = 1, .max = TEXT_MAX,
               .doc = "Mailgun: the HTTP webhook signing key", .example = "key-3ax6xnjp29jd6fds4gc373sgvjxteol0"),
    PARLEY_REF(parley_option, .name = "postmark", .type = PARLEY_OPTION_TEXT, .flags = PARLEY_SECRET, .min = 3, .max = TEXT_MAX,
               .doc = "Postmark: user:password, as they stand in the webhook's URL", .example = "parley:a-long-password"),
    PARLEY_REF(parley_option, .name = "tolerance", .type = PARLEY_OPTION_DURATION, .min = TOLERANCE_MIN_MS, .max = TOLERANCE_MAX_MS,
               .default_text = "5m", .doc = "how far the time of a SendGrid or Mailgun signature may be from our clock, either way"),
    NULL,
};

struct sns_key { char url[URL_MAX + 1]; struct evp_pkey_st *key; };
struct email_events {
  const parley_host *host;
  const parley_http *http; /* NULL: the host has none, and SES cannot be verified */
  const parley_http_answers *answers;
  parley_text secrets[EVENT_PROVIDERS]; /* of the options; empty: not that provider */
  struct evp_pkey_st *sendgrid;
  struct sns_key sns[EMAIL_EVENTS_KEYS_MAX];
  uint32_t next_sns, n_open, next_token;
  unsigned char tokens[EMAIL_EVENTS_TOKENS_MAX][TOKEN_HASH]; /* Mailgun's, that have done their work */
  int64_t tolerance_ms;
  bool stopped;
};
struct call { /* one request */
  struct email_events *events;
  uint64_t id;
  enum event_provider provider;
  json_t *body;   /* as posted */
  json_t *record; /* of SES: what the SNS message holds; else `body` */
  size_t n, next; /* events, and how many have been handed over */
  uint32_t open;
  bool again, pumping;
  uint32_t retry_ms;
  parley_text url; /* of a certificate that is fetched: within body */
};

/* --- Answers ------------------------------------------------------------------------------------------------------ */
static void answer(struct email_events *events, uint64_t call, uint32_t code, uint32_t retry_ms, const char *word)
{
  static const parley_pair allow = {PARLEY_LIT("allow"), PARLEY_LIT("POST")};
  static const parley_pair basic = {PARLEY_LIT("www-authenticate"), PARLEY_LIT("Basic realm=\"events\"")};
  const parley_pair *header = code == 405 ? &allow : code == 401 ? &basic : NULL;
  char body[160];
  int len = code == 200 ? snprintf(body, sizeof body, "{}")
                        : snprintf(body, sizeof body, "{\"type\":\"about:blank\",\"status\":%u,\"code\":\"%s\"}", (unsigned)code, word);

  if (!events->stopped)
    events->answers->answer(events->host, call,
                            PARLEY_REF(parley_http_answer, .code = code, .retry_ms = retry_ms, .headers = header,
                                       .n_headers = header != NULL, .body = {body, (size_t)len},
                                       .type = parley_text_of(code == 200 ? "application/json" : "application/problem+json")));
}

static void call_end(struct call *call, uint32_t code, const char *word)
{
  struct email_events *events = call->events;

  answer(events, call->id, code, code == 503 ? (call->retry_ms > 0 ? call->retry_ms : AGAIN_MS) : 0, word);
  events->n_open--;
  if (call->record != call->body)
    json_decref(call->record);
  json_decref(call->body);
  free(call);
}

static void call_refuse(struct call *call, enum event_verdict verdict)
{
  const parley_host *host = call->events->host;
  char line[128];

  snprintf(line, sizeof line, "event=events_refused provider=%s why=%s", event_provider_names[call->provider],
           event_verdict_code(verdict));
  host->log(host, PARLEY_WARN, parley_text_of(line));
  host->metric(host, "email_events_refused", parley_text_of(event_provider_names[call->provider]), 1);
  call_end(call, 401, event_verdict_code(verdict));
}

/* --- Receipts ----------------------------------------------------------------------------------------------------- */
static void call_pump(struct call *call);

static parley_text mailgun_token(const struct call *call)
{
  const char *token = json_string_value(json_object_get(json_object_get(call->body, "signature"), "token"));

  return parley_text_of(token != NULL ? token : "");
}

static bool token_seen(struct email_events *events, parley_text token, bool remember)
{
  unsigned char hash[EVP_MAX_MD_SIZE];

  if (EVP_Digest(token.at, token.len, hash, NULL, EVP_sha256(), NULL) != 1)
    return false;
  for (uint32_t i = 0; i < EMAIL_EVENTS_TOKENS_MAX; i++)
    if (CRYPTO_memcmp(events->tokens[i], hash, TOKEN_HASH) == 0)
      return true;
  if (remember)
    memcpy(events->tokens[events->next_token++ % EMAIL_EVENTS_TOKENS_MAX], hash, TOKEN_HASH);
  return false;
}

static void call_over(struct call *call)
{
  if (call->again) {
    call_end(call, 503, "busy");
    return;
  }
  if (call->provider == EVENT_MAILGUN)
    token_seen(call->events, mailgun_token(call), true);
  call_end(call, 200, "");
}

static void receipt_done(const parley_result *result, void *arg)
{
  struct call *call = arg;

  call->open--;
  if (parley_again(result->status)) {
    call->again = true;
    if (result->retry_ms > call->retry_ms)
      call->retry_ms = result->retry_ms;
  }
  call_pump(call);
}

static void receipt_give(struct call *call, const struct mail_event *event)
{
  const parley_host *host = call->events->host;
  parley_receipt receipt;
  parley_identity to;

  event_receipt(event, call->provider == EVENT_SES && call->n > 1, &to, &receipt);
  call->open++;
  host->metric(host, "email_events", parley_text_of(event_provider_names[call->provider]), 1);
  host->receipt(host, &receipt, receipt_done, call);
}

static void call_pump(struct call *call)
{
  struct mail_event event;

  while (!call->again && call->next < call->n && call->open < EMAIL_EVENTS_AHEAD_MAX)
    if (event_read(call->provider, call->record, call->next++, &event))
      receipt_give(call, &event);
  if (call->open == 0)
    call_over(call);
}

static void call_take(struct call *call)
{
  call->n = event_count(call->provider, call->record);
  call_pump(call);
}

/* --- SES, which comes as a message of SNS -------------------------------------------------------------------------- */
static parley_text sns_text(const struct call *call, const char *name)
{
  const json_t *value = json_object_get(call->body, name);

  return json_is_string(value) ? (parley_text){json_string_value(value), json_string_length(value)} : (parley_text){"", 0};
}

static void sns_confirmed(const parley_http_response *response, void *arg)
{
  struct call *call = arg;

  call_end(call, response->status == PARLEY_OK && response->code / 100 == 2 ? 200 : 503, "unconfirmed");
}

static void sns_confirm(struct call *call)
{
  struct email_events *events = call->events;
  parley_text url = sns_text(call, "SubscribeURL");

  if (!event_sns_url_good(url, false)) {
    call_refuse(call, EVENT_MALFORMED);
    return;
  }
  events->host->log(events->host, PARLEY_INFO, PARLEY_LIT("event=sns_subscription_confirmed"));
  events->http->request(events->host,
                        PARLEY_REF(parley_http_request, .url = url, .timeout_ms = FETCH_MS, .response_max = CERTIFICATE_MAX),
                        sns_confirmed, call);
}

static void sns_take(struct call *call, struct evp_pkey_st *key)
{
  enum event_verdict verdict = event_verify_sns(key, call->body);
  parley_text type = sns_text(call, "Type");
  struct json_faults faults = {.count = 0};

  if (verdict != EVENT_GOOD) {
    call_refuse(call, verdict);
  } else if (parley_text_is(type, "SubscriptionConfirmation")) {
    sns_confirm(call);
  } else if (parley_text_is(type, "Notification")) {
    call->record = json_strict_load(sns_text(call, "Message"), &faults);
    call_take(call); /* what is no JSON (SNS's own test message) has no events */
  } else {
    call_end(call, 200, "");
  }
}

static struct evp_pkey_st *sns_key_find(const struct email_events *events, parley_text url)
{
  for (size_t i = 0; i < EMAIL_EVENTS_KEYS_MAX; i++)
    if (events->sns[i].key != NULL && parley_text_is(url, events->sns[i].url))
      return events->sns[i].key;
  return NULL;
}

static struct evp_pkey_st *sns_key_keep(struct email_events *events, parley_text url, struct evp_pkey_st *key)
{
  struct sns_key *place = &events->sns[events->next_sns++ % EMAIL_EVENTS_KEYS_MAX];

  event_key_free(&place->key);
  snprintf(place->url, sizeof place->url, "%.*s", (int)url.len, url.at);
  return place->key = key;
}

static void sns_fetched(const parley_http_response *response, void *arg)
{
  struct call *call = arg;
  struct email_events *events = call->events;
  struct evp_pkey_st *key;

  if (response->status != PARLEY_OK || response->code != 200) {
    call_end(call, 503, "no_certificate");
    return;
  }
  key = sns_key_find(events, call->url);
  if (key == NULL) {
    key = event_certificate_key(response->body, call->url, events->host->now_ms(events->host));
    if (key != NULL)
      key = sns_key_keep(events, call->url, key);
  }
  if (key != NULL)
    sns_take(call, key);
  else
    call_refuse(call, EVENT_MISMATCH);
}

/* The topic first: whoever may write to another one is not ours. Then the certificate, from SNS's own host alone. */
static void sns_called(struct call *call)
{
  struct email_events *events = call->events;
  parley_text topic = sns_text(call, "TopicArn"), ours = events->secrets[EVENT_SES];
  struct evp_pkey_st *key;

  call->url = sns_text(call, "SigningCertURL");
  call->record = NULL;
  if (call->url.len == 0 || sns_text(call, "Signature").len == 0) {
    call_refuse(call, EVENT_MISSING);
    return;
  }
  if (!event_sns_url_good(call->url, true) || call->url.len > URL_MAX || topic.len != ours.len ||
      memcmp(topic.at, ours.at, ours.len) != 0) {
    call_refuse(call, EVENT_MISMATCH);
    return;
  }
  key = sns_key_find(events, call->url);
  if (key != NULL)
    sns_take(call, key);
  else
    events->http->request(events->host,
                          PARLEY_REF(parley_http_request, .url = call->url, .timeout_ms = FETCH_MS, .response_max = CERTIFICATE_MAX),
                          sns_fetched, call);
}

/* --- A request ---------------------------------------------------------------------------------------------------- */
/* Of those whose signature does not stand in the body: before a byte of that is read. */
static enum event_verdict head_verify(const struct email_events *events, enum event_provider provider, const parley_http_call *request)
{
  int64_t now_ms = events->host->now_ms(events->host);

  if (provider == EVENT_SENDGRID)
    return event_verify_sendgrid(events->sendgrid,
                                 parley_header(request->headers, request->n_headers, "x-twilio-email-event-webhook-signature"),
                                 parley_header(request->headers, request->n_headers, "x-twilio-email-event-webhook-timestamp"),
                                 request->body, now_ms, events->tolerance_ms);
  if (provider == EVENT_POSTMARK)
    return event_verify_basic(events->secrets[EVENT_POSTMARK], parley_header(request->headers, request->n_headers, "authorization"));
  return EVENT_GOOD;
}

static void call_begin(struct call *call, const parley_http_call *request)
{
  struct email_events *events = call->events;
  struct json_faults faults = {.count = 0};
  enum event_verdict verdict = head_verify(events, call->provider, request);

  if (verdict != EVENT_GOOD) {
    call_refuse(call, verdict);
    return;
  }
  call->body = call->record = json_strict_load(request->body, &faults);
  if (call->body == NULL) {
    call_end(call, 422, "bad_json");
  } else if (call->provider == EVENT_SES) {
    sns_called(call);
  } else if (call->provider == EVENT_MAILGUN) {
    verdict = event_verify_mailgun(events->secrets[EVENT_MAILGUN], call->body, events->host->now_ms(events->host),
                                   events->tolerance_ms);
    if (verdict != EVENT_GOOD)
      call_refuse(call, verdict);
    else if (token_seen(events, mailgun_token(call), false))
      call_end(call, 200, ""); /* it has done its work; the signature does not cover what came with it this time */
    else
      call_take(call);
  } else {
    call_take(call);
  }
}

static bool provider_of(parley_text path, enum event_provider *ret)
{
  for (int i = 0; i < EVENT_PROVIDERS; i++)
    if (path.len > 1 && parley_text_is((parley_text){path.at + 1, path.len - 1}, event_provider_names[i])) {
      *ret = (enum event_provider)i;
      return true;
    }
  return false;
}

void email_events_called(struct email_events *events, uint64_t id, const parley_http_call *request)
{
  enum event_provider provider;
  struct call *call;

  if (!provider_of(request->path, &provider) || !email_events_has(events, provider)) {
    answer(events, id, 404, 0, "not_found");
    return;
  }
  if (!parley_text_is(request->method, "POST")) {
    answer(events, id, 405, 0, "method_not_allowed");
    return;
  }
  call = events->n_open < EMAIL_EVENTS_OPEN_MAX ? calloc(1, sizeof *call) : NULL;
  if (call == NULL) {
    answer(events, id, 503, AGAIN_MS, "busy");
    return;
  }
  call->events = events;
  call->id = id;
  call->provider = provider;
  events->n_open++;
  call_begin(call, request);
}

/* --- Life --------------------------------------------------------------------------------------------------------- */
static const char *options_check(struct email_events *events)
{
  parley_text topic = events->secrets[EVENT_SES], key = events->secrets[EVENT_SENDGRID], login = events->secrets[EVENT_POSTMARK];

  if (key.len > 0)
    events->sendgrid = event_key_read(key);
  if (key.len > 0 && events->sendgrid == NULL)
    return "events.sendgrid: no P-256 public key as SendGrid shows it";
  if (login.len > 0 && memchr(login.at, ':', login.len) == NULL)
    return "events.postmark: must be user:password";
  if (topic.len > 0 && events->http == NULL)
    return "events.ses: the host makes no HTTP requests";
  if (topic.len > 0 && (topic.len < 8 || memcmp(topic.at, "arn:aws", 7) != 0))
    return "events.ses: must be the ARN of an SNS topic";
  return NULL;
}

parley_status email_events_new(const parley_host *host, const parley_value *options, struct email_events **ret, const char **ret_why)
{
  struct email_events *events = calloc(1, sizeof *events);
  const parley_value *tolerance = parley_find(options, "tolerance");

  if (events == NULL)
    return PARLEY_BUSY;
  events->host = host;
  events->http = host->extension(host, PARLEY_HTTP);
  events->answers = host->extension(host, PARLEY_HTTP_IN);
  events->tolerance_ms = option_given(tolerance) ? tolerance->number : TOLERANCE_MS;
  for (int i = 0; i < EVENT_PROVIDERS && events->answers != NULL; i++)
    events->secrets[i] = option_text(options, event_provider_names[i]);
  *ret_why = options_check(events);
  if (*ret_why != NULL) {
    email_events_free(&events);
    return PARLEY_INVALID;
  }
  *ret = events;
  return PARLEY_OK;
}

bool email_events_has(const struct email_events *events, enum event_provider provider)
{
  return events->secrets[provider].len > 0;
}

bool email_events_any(const struct email_events *events)
{
  for (int i = 0; i < EVENT_PROVIDERS; i++)
    if (email_events_has(events, (enum event_provider)i))
      return true;
  return false;
}

void email_events_stop(struct email_events *events)
{
  events->stopped = true;
}

void email_events_free(struct email_events **events)
{
  if (*events == NULL)
    return;
  event_key_free(&(*events)->sendgrid);
  for (size_t i = 0; i < EMAIL_EVENTS_KEYS_MAX; i++)
    event_key_free(&(*events)->sns[i].key);
  free(*events);
  *events = NULL;
}
