/* gateway.c - a whole channel in one file: a gateway for text messages that is spoken to over HTTP. docs/plugins.md walks through it.
 *
 * Out   POST <url>, Authorization: <secret>, {"id":"msg_...","to":"+34600111222","text":"..."}; 2xx: the gateway has it.
 * In    POST <public_url>/in/<channel>, X-Signature: HMAC-SHA256 of the body in hex, keyed with <secret>, and in the body a form:
 *         kind=message&id=77&from=%2B34600111222&text=Yes         a customer's answer
 *         kind=receipt&id=msg_...&status=delivered                what became of ours (or sent, failed, unknown_number)
 *       204 is answered once it is stored, and not before.
 *
 * Owns its requests and calls until their `done`. Thread: loop. Read it from the end: the table shows it all. */
#include <openssl/hmac.h>
#include <parley/ext/http-in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

enum { TEXT_CODE_POINTS_MAX = 1600, TEXT_BYTES_MAX = 4 * TEXT_CODE_POINTS_MAX, FIELD_BYTES_MAX = 128, AGAIN_MS = 5000 };

struct parley_channel { /* one configured channel: ours to define */
  const parley_host *host;
  const parley_http *http;
  const parley_http_answers *answers;
  parley_text url, secret; /* of the options, which outlive the channel */
  uint32_t timeout_ms;
  bool stopped;
};

/* --- Out: a request for each message, and what its answer means ---------------------------------------------------------- */

struct attempt {
  parley_channel *ch;
  uint64_t token;
  parley_text message_id; /* of the message, which lives until its token has settled */
};

/* The gateway has spoken, and its code decides. Only what may succeed later is tried again. */
static uint32_t outcome_of_code(uint32_t code)
{
  if (code >= 200 && code < 300)
    return PARLEY_OUTCOME_ACCEPTED;
  switch (code) {
  case 401: case 403: return PARLEY_OUTCOME_CHANNEL_DOWN; /* our secret is wrong: no message can get through */
  case 404: case 410: return PARLEY_OUTCOME_BAD_ADDRESS;  /* says this gateway of a number that nobody has */
  case 408: case 425: return PARLEY_OUTCOME_RETRY;
  case 429: return PARLEY_OUTCOME_THROTTLED;
  default: return code >= 500 ? PARLEY_OUTCOME_RETRY : PARLEY_OUTCOME_REJECTED;
  }
}

/* No whole answer came: may the gateway have acted? */
static uint32_t outcome_of_silence(const parley_http_response *response)
{
  if (response->status == PARLEY_DENIED) /* by the operator's egress rules: the url will not get better */
    return PARLEY_OUTCOME_CHANNEL_DOWN;
  return response->sent ? PARLEY_OUTCOME_UNKNOWN : PARLEY_OUTCOME_RETRY;
}

static void gateway_answered(const parley_http_response *response, void *arg)
{
  struct attempt *attempt = arg;
  const parley_host *host = attempt->ch->host;
  bool answered = response->status == PARLEY_OK;
  uint32_t result = answered ? outcome_of_code(response->code) : outcome_of_silence(response);
  char code[16];
  int len = snprintf(code, sizeof code, "%u", response->code);

  if (!attempt->ch->stopped) /* else what is open is the host's to settle */
    host->settle(host, attempt->token,
                 PARLEY_REF(parley_outcome, .result = result, .retry_ms = response->retry_ms, .detail = response->reason,
                            .code = answered ? (parley_text){code, (size_t)len} : PARLEY_LIT("no_answer"),
                            .ids = &attempt->message_id, /* our own: it is what receipts will name */
                            .n_ids = result == PARLEY_OUTCOME_ACCEPTED)); /* with an id a part counts as out */
  free(attempt);
}

/* A JSON string. `to` has room for six bytes a byte and two quotes. Returns where it ends. */
static char *json_string(char *to, parley_text text)
{
  *to++ = '"';
  for (size_t i = 0; i < text.len; i++) {
    unsigned char byte = (unsigned char)text.at[i];

    if (byte == '"' || byte == '\\')
      *to++ = '\\';
    if (byte < 0x20)
      to += snprintf(to, 7, "\\u%04x", byte);
    else
      *to++ = (char)byte;
  }
  *to++ = '"';
  return to;
}

static char *json_member(char *to, const char *before, parley_text value)
{
  size_t len = strlen(before);

  memcpy(to, before, len);
  return json_string(to + len, value);
}

static parley_status gateway_submit(parley_channel *ch, uint64_t token, const parley_message *msg)
{
  parley_text text = msg->n_parts > 0 ? msg->parts[0]->text : PARLEY_LIT(""); /* one part: the capabilities say so */
  struct attempt *attempt = malloc(sizeof *attempt);
  char *body = malloc(6 * (msg->id.len + msg->to->value.len + text.len) + 64), *end = body;
  const parley_pair headers[] = {{PARLEY_LIT("content-type"), PARLEY_LIT("application/json")},
                                 {PARLEY_LIT("authorization"), ch->secret},
                                 {PARLEY_LIT("idempotency-key"), msg->id}}; /* the same in every attempt */

  if (attempt == NULL || body == NULL) {
    free(attempt);
    free(body);
    return PARLEY_BUSY; /* not taken: it is offered again */
  }
  end = json_member(end, "{\"id\":", msg->id);
  end = json_member(end, ",\"to\":", msg->to->value);
  end = json_member(end, ",\"text\":", text);
  *end++ = '}';
  *attempt = (struct attempt){ch, token, msg->id};
  ch->http->request(ch->host,
                    PARLEY_REF(parley_http_request, .url = ch->url, .token = token, .timeout_ms = ch->timeout_ms,
                               .headers = headers, .n_headers = 3, .body = {body, (size_t)(end - body)}),
                    gateway_answered, attempt);
  free(body); /* the request was copied */
  return PARLEY_OK;
}

/* --- In: verified first, acknowledged after the commit -------------------------------------------------------------------- */

struct call {
  parley_channel *ch;
  uint64_t id;
};

static void answer(parley_channel *ch, uint64_t call, uint32_t code, uint32_t retry_ms, const char *why)
{
  ch->answers->answer(ch->host, call,
                      PARLEY_REF(parley_http_answer, .code = code, .retry_ms = retry_ms, .body = parley_text_of(why),
                                 .type = why != NULL ? PARLEY_LIT("text/plain") : PARLEY_LIT("")));
}

/* The message or receipt is committed, or is not. */
static void gateway_stored(const parley_result *result, void *arg)
{
  struct call *call = arg;

  if (result->status == PARLEY_OK)
    answer(call->ch, call->id, 204, 0, NULL);
  else if (parley_again(result->status)) /* busy, or it is not known whether it was stored: its id keeps the repeat out */
    answer(call->ch, call->id, 503, result->retry_ms > 0 ? result->retry_ms : AGAIN_MS, "not stored: send it again");
  else
    answer(call->ch, call->id, 422, 0, "refused");
  free(call);
}

static bool signed_by_us(const parley_channel *ch, const parley_http_call *call)
{
  parley_text given = parley_header(call->headers, call->n_headers, "x-signature");
  unsigned char mac[EVP_MAX_MD_SIZE];
  char hex[2 * EVP_MAX_MD_SIZE + 1];
  unsigned int len = 0;

  if (HMAC(EVP_sha256(), ch->secret.at, (int)ch->secret.len, (const unsigned char *)call->body.at, call->body.len, mac, &len) == NULL)
    return false;
  for (unsigned int i = 0; i < len; i++)
    snprintf(hex + (size_t)2 * i, 3, "%02x", mac[i]);
  return given.len == (size_t)2 * len && CRYPTO_memcmp(given.at, hex, given.len) == 0; /* takes as long whatever differs */
}

static int hex_of(char c)
{
  return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* A form's field, decoded into `room`. false: absent, too long or badly escaped. */
static bool form_field(parley_bytes form, const char *name, char *room, size_t bytes_max, parley_text *ret)
{
  size_t at = 0, len = 0, name_len = strlen(name);
  const char *next;

  while (at + name_len >= form.len || memcmp(form.at + at, name, name_len) != 0 || form.at[at + name_len] != '=') {
    next = at < form.len ? memchr(form.at + at, '&', form.len - at) : NULL;
    if (next == NULL)
      return false;
    at = (size_t)(next - form.at) + 1;
  }
  for (at += name_len + 1; at < form.len && form.at[at] != '&'; at++) {
    char c = form.at[at] == '+' ? ' ' : form.at[at];

    if (c == '%') {
      int high = at + 2 < form.len ? hex_of(form.at[at + 1]) : -1, low = high < 0 ? -1 : hex_of(form.at[at + 2]);

      if (low < 0)
        return false;
      c = (char)(high * 16 + low);
      at += 2;
    }
    if (len == bytes_max)
      return false;
    room[len++] = c;
  }
  *ret = (parley_text){room, len};
  return true;
}

static bool message_take(struct call *call, parley_bytes form)
{
  char id_room[FIELD_BYTES_MAX], from_room[FIELD_BYTES_MAX], text_room[TEXT_BYTES_MAX];
  parley_text id, from, text;
  const parley_identity *who;
  const parley_part *part;

  if (!form_field(form, "id", id_room, sizeof id_room, &id) || id.len == 0 ||
      !form_field(form, "from", from_room, sizeof from_room, &from) ||
      !form_field(form, "text", text_room, sizeof text_room, &text))
    return false;
  who = PARLEY_REF(parley_identity, .kind = PARLEY_LIT("phone"), .value = from, .assurance = PARLEY_OBSERVED);
  part = PARLEY_REF(parley_part, .kind = PARLEY_PART_TEXT, .text = text);
  call->ch->host->inbound(call->ch->host, /* event_id: the same when the gateway posts it again */
                          PARLEY_REF(parley_inbound, .kind = PARLEY_KIND_CONTENT, .event_id = id, .provider_id = id,
                                     .n_from = 1, .from = &who, .n_parts = 1, .parts = &part),
                          gateway_stored, call);
  return true;
}

static bool receipt_take(struct call *call, parley_bytes form)
{
  static const struct { const char *status; uint32_t kind, outcome; } kinds[] = {
      {"sent", PARLEY_RECEIPT_SENT, 0}, {"delivered", PARLEY_RECEIPT_DELIVERED, 0},
      {"failed", PARLEY_RECEIPT_FAILED, PARLEY_OUTCOME_REJECTED},
      {"unknown_number", PARLEY_RECEIPT_FAILED, PARLEY_OUTCOME_BAD_ADDRESS}};
  char id_room[FIELD_BYTES_MAX], status_room[FIELD_BYTES_MAX];
  parley_text id, status;

  if (!form_field(form, "id", id_room, sizeof id_room, &id) ||
      !form_field(form, "status", status_room, sizeof status_room, &status))
    return false;
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
    if (parley_text_is(status, kinds[i].status)) {
      call->ch->host->receipt(call->ch->host,
                              PARLEY_REF(parley_receipt, .kind = kinds[i].kind, .outcome = kinds[i].outcome, .message_id = id),
                              gateway_stored, call);
      return true;
    }
  return false;
}

static void gateway_called(parley_channel *ch, uint64_t id, const parley_http_call *request)
{
  char room[FIELD_BYTES_MAX];
  parley_text kind = {NULL, 0};
  struct call *call;
  bool taken = false;

  if (!signed_by_us(ch, request)) {
    answer(ch, id, 401, 0, "the signature does not hold");
    return;
  }
  call = malloc(sizeof *call);
  if (call == NULL) {
    answer(ch, id, 503, AGAIN_MS, "no memory: send it again");
    return;
  }
  *call = (struct call){ch, id};
  form_field(request->body, "kind", room, sizeof room, &kind);
  if (parley_text_is(kind, "message"))
    taken = message_take(call, request->body);
  else if (parley_text_is(kind, "receipt"))
    taken = receipt_take(call, request->body);
  if (!taken) {
    answer(ch, id, 422, 0, "a message has id, from and text; a receipt has id and status: sent, delivered, failed, unknown_number");
    free(call);
  }
}

/* --- Life ------------------------------------------------------------------------------------------------------------------ */

static parley_status gateway_create(const parley_host *host, const parley_value *options, parley_channel **ret)
{
  parley_channel *ch = malloc(sizeof *ch);

  if (ch == NULL)
    return PARLEY_BUSY;
  *ch = (parley_channel){.host = host,
                         .http = host->extension(host, PARLEY_HTTP), /* not NULL: requires_ids names them */
                         .answers = host->extension(host, PARLEY_HTTP_IN),
                         .url = parley_find(options, "url")->text,
                         .secret = parley_find(options, "secret")->text,
                         .timeout_ms = (uint32_t)parley_find(options, "timeout")->number};
  *ret = ch;
  return PARLEY_OK;
}

static parley_status gateway_start(parley_channel *ch)
{
  (void)ch; /* nothing to log in to */
  return PARLEY_OK;
}

static void gateway_stop(parley_channel *ch, parley_call *done, void *arg)
{
  ch->stopped = true; /* the host ends our requests after this: their `done` comes, and settles nothing */
  done(arg);
}

static void gateway_destroy(parley_channel *ch)
{
  free(ch);
}

/* --- What the host sees ------------------------------------------------------------------------------------------------------ */

static const parley_option *const gateway_options[] = {
    PARLEY_REF(parley_option, .name = "url", .type = PARLEY_OPTION_URL, .flags = PARLEY_REQUIRED,
               .doc = "where messages are posted", .example = "https://gateway.example/send"),
    PARLEY_REF(parley_option, .name = "secret", .type = PARLEY_OPTION_TEXT, .flags = PARLEY_REQUIRED | PARLEY_SECRET, .min = 16,
               .max = 128, .doc = "value of our Authorization header, and the key that signs what the gateway posts to us",
               .example = "a-secret-of-sixteen-bytes-or-more"),
    PARLEY_REF(parley_option, .name = "timeout", .type = PARLEY_OPTION_DURATION, .min = 100, .max = 300000,
               .default_text = "15s", .doc = "for one request, answer included"),
    NULL,
};
static const parley_capabilities gateway_capabilities = {
    .size = sizeof gateway_capabilities,
    .flags = PARLEY_INBOUND | PARLEY_RESEND_SAFE, /* the same idempotency-key twice is sent once */
    .receipts = PARLEY_BIT(PARLEY_RECEIPT_DELIVERED) | PARLEY_BIT(PARLEY_RECEIPT_FAILED),
    .address_kind = "phone", /* the identity kind it sends to */
    .channel_kind = "sms",   /* the unit of consent */
    .features = PARLEY_LIST(parley_feature,
                            PARLEY_REF(parley_feature, .what = PARLEY_PART_TEXT, .level = PARLEY_LEVEL_NATIVE,
                                       .unit = PARLEY_UNIT_CODE_POINTS, .length_max = TEXT_CODE_POINTS_MAX),
                            NULL), /* all else becomes text, or is dropped */
};
static const parley_http_in gateway_http_in = {.size = sizeof gateway_http_in, .called = gateway_called};

const parley_plugin parley_plugin_v1 = {
    .size = sizeof parley_plugin_v1, .abi_major = PARLEY_ABI_MAJOR, .abi_minor = PARLEY_ABI_MINOR,
    .name = "gateway", .version = "1.0.0", .summary = "text messages through a gateway that is spoken to over HTTP",
    .capabilities = &gateway_capabilities, .options = gateway_options,
    .requires_ids = (const char *const[]){PARLEY_HTTP, PARLEY_HTTP_IN, NULL},
    .offers = PARLEY_LIST(parley_extension, PARLEY_REF(parley_extension, .id = PARLEY_HTTP_IN, .table = &gateway_http_in), NULL),
    .create = gateway_create, .start = gateway_start, .submit = gateway_submit, .stop = gateway_stop,
    .destroy = gateway_destroy,
};
