/* sms_provider.h for Twilio's Messages API and webhooks: https://www.twilio.com/docs/messaging/api/message-resource and
 * https://www.twilio.com/docs/usage/webhooks/webhooks-security */
#include "sms_provider.h"
#include <stdio.h>
#include <stdlib.h>

enum {
  BODY_CHARACTERS_MAX = 1600,
  TEXT_PIECES_MAX = 10,   /* of a text longer than that, each a message of its own */
  VALIDITY_S_MAX = 36000, /* ValidityPeriod */
  SID_BYTES_MAX = 64,
  PICTURE_BYTES_MAX = 5 << 20, /* JPEG, PNG and GIF, which Twilio makes smaller; other files are carried as they are */
  FILE_BYTES_MAX = 600 << 10,
  SIGNED_BYTES_MAX = 2 << 20
};
#define BASE_URL "https://api.twilio.com"
#define PICTURES "image/jpeg image/png image/gif"
#define FILES "image/* audio/* video/* text/vcard text/x-vcard text/csv text/calendar application/pdf"

struct twilio {
  const struct sms_account *account;
  parley_text base_url;
};

/* Of a refused request. Only those that are about more than this message: the rest are REJECTED. */
static const struct sms_outcome_row errors[] = {{"20003", PARLEY_OUTCOME_CHANNEL_DOWN}, /* authenticate */
                                                {"20005", PARLEY_OUTCOME_CHANNEL_DOWN}, /* the account is not active */
                                                {"20006", PARLEY_OUTCOME_CHANNEL_DOWN}, /* access denied */
                                                {"20008", PARLEY_OUTCOME_CHANNEL_DOWN}, /* test credentials */
                                                {"20404", PARLEY_OUTCOME_CHANNEL_DOWN}, /* no such account */
                                                {"20429", PARLEY_OUTCOME_THROTTLED},    /* too many requests */
                                                {"14107", PARLEY_OUTCOME_THROTTLED},    /* the sender's rate */
                                                {"21611", PARLEY_OUTCOME_THROTTLED},    /* the sender's queue is full */
                                                {"30001", PARLEY_OUTCOME_THROTTLED},    /* queue overflow */
                                                {"63038", PARLEY_OUTCOME_THROTTLED},    /* the account's daily limit */
                                                {"20500", PARLEY_OUTCOME_RETRY},        /* internal error */
                                                {"20503", PARLEY_OUTCOME_RETRY},
                                                {"30002", PARLEY_OUTCOME_CHANNEL_DOWN}, /* account suspended */
                                                {"21211", PARLEY_OUTCOME_BAD_ADDRESS},  /* no valid number */
                                                {"21214", PARLEY_OUTCOME_BAD_ADDRESS},  /* cannot be reached */
                                                {"21217", PARLEY_OUTCOME_BAD_ADDRESS},
                                                {"21610", PARLEY_OUTCOME_BAD_ADDRESS}, /* opted out by STOP */
                                                {"21614", PARLEY_OUTCOME_BAD_ADDRESS}, /* no mobile number */
                                                {NULL, 0}};
/* Of a message that failed after it was taken, as its status callback says. */
static const struct sms_outcome_row failures[] = {{"21610", PARLEY_OUTCOME_BAD_ADDRESS},
                                                  {"30003", PARLEY_OUTCOME_RETRY /* the handset is off */},
                                                  {"30005", PARLEY_OUTCOME_BAD_ADDRESS /* unknown */},
                                                  {"30006", PARLEY_OUTCOME_BAD_ADDRESS /* a landline */},
                                                  {NULL, 0}};
static const struct {
  const char *name;
  uint32_t kind;
} statuses[] = {{"sent", PARLEY_RECEIPT_SENT},
                {"delivered", PARLEY_RECEIPT_DELIVERED},
                {"read", PARLEY_RECEIPT_READ},
                {"undelivered", PARLEY_RECEIPT_FAILED},
                {"failed", PARLEY_RECEIPT_FAILED},
                {"canceled", PARLEY_RECEIPT_FAILED},
                {"accepted", 0},
                {"scheduled", 0},
                {"queued", 0},
                {"sending", 0},
                {"partially_delivered", 0}};

/* --- Life --------------------------------------------------------------------------------------------------------- */
static parley_status twilio_open(const struct sms_account *account, const parley_value *options, void **ret, char why[SMS_WHY_ROOM])
{
  struct twilio *twilio;

  (void)options, (void)why;
  twilio = calloc(1, sizeof *twilio);
  if (twilio == NULL)
    return PARLEY_BUSY;
  twilio->account = account;
  twilio->base_url = account->base_url.len > 0 ? account->base_url : PARLEY_LIT(BASE_URL);
  *ret = twilio;
  return PARLEY_OK;
}

static void twilio_close(void *self)
{
  free(self);
}

static void twilio_capable(const void *self, struct sms_capable *to)
{
  const struct twilio *twilio = self;
  uint32_t level = twilio->account->mms ? PARLEY_LEVEL_NATIVE : PARLEY_LEVEL_FALLBACK;

  to->receipts = PARLEY_BIT(PARLEY_RECEIPT_SENT) | PARLEY_BIT(PARLEY_RECEIPT_DELIVERED) | PARLEY_BIT(PARLEY_RECEIPT_READ) |
                 PARLEY_BIT(PARLEY_RECEIPT_FAILED);
  to->features[to->n_features++] = (parley_feature){.size = sizeof(parley_feature),
                                                    .what = PARLEY_PART_TEXT,
                                                    .level = PARLEY_LEVEL_NATIVE,
                                                    .unit = PARLEY_UNIT_GSM7,
                                                    .length_max = BODY_CHARACTERS_MAX,
                                                    .count_max = TEXT_PIECES_MAX};
  to->features[to->n_features++] = (parley_feature){.size = sizeof(parley_feature),
                                                    .what = PARLEY_PART_TEXT,
                                                    .level = PARLEY_LEVEL_NATIVE,
                                                    .unit = PARLEY_UNIT_UTF16,
                                                    .length_max = BODY_CHARACTERS_MAX,
                                                    .count_max = TEXT_PIECES_MAX};
  to->features[to->n_features++] = (parley_feature){.size = sizeof(parley_feature),
                                                    .what = PARLEY_PART_MEDIA,
                                                    .level = level,
                                                    .count_max = SMS_MEDIA_MAX,
                                                    .bytes_max = PICTURE_BYTES_MAX,
                                                    .types = PICTURES};
  if (level == PARLEY_LEVEL_NATIVE)
    to->features[to->n_features++] = (parley_feature){.size = sizeof(parley_feature),
                                                      .what = PARLEY_PART_MEDIA,
                                                      .level = level,
                                                      .count_max = SMS_MEDIA_MAX,
                                                      .bytes_max = FILE_BYTES_MAX,
                                                      .types = FILES};
}

/* --- Out ---------------------------------------------------------------------------------------------------------- */
static parley_text account_url(const struct twilio *twilio, const char *rest, struct copy *memory)
{
  const parley_text pieces[] = {twilio->base_url, PARLEY_LIT("/2010-04-01/Accounts/"), twilio->account->account,
                                parley_text_of(rest)};

  return sms_join(memory, pieces, 4);
}

static bool twilio_request(const void *self, const struct sms_piece *piece, struct sms_request *to)
{
  const struct twilio *twilio = self;
  parley_text service = twilio->account->messaging_service;
  char seconds[16];

  to->method = PARLEY_LIT("POST");
  to->url = account_url(twilio, "/Messages.json", to->memory);
  sms_basic_auth_add(to, twilio->account->user, twilio->account->secret);
  sms_header_add(to, "content-type", PARLEY_LIT("application/x-www-form-urlencoded"));
  sms_header_add(to, "accept", PARLEY_LIT("application/json"));
  sms_form_write(to->body, "To", piece->to);
  if (piece->callback.len > 0)
    sms_form_write(to->body, "StatusCallback", piece->callback);
  if (piece->expires_s > 0 && piece->expires_s < VALIDITY_S_MAX) {
    snprintf(seconds, sizeof seconds, "%u", (unsigned)piece->expires_s);
    sms_form_write(to->body, "ValidityPeriod", parley_text_of(seconds));
  }
  if (piece->from.len > 0)
    sms_form_write(to->body, "From", piece->from);
  if (service.len > 0)
    sms_form_write(to->body, "MessagingServiceSid", service);
  if (piece->text.len > 0)
    sms_form_write(to->body, "Body", piece->text);
  for (uint32_t i = 0; i < piece->n_media; i++)
    sms_form_write(to->body, "MediaUrl", piece->media[i]);
  return !copy_failed(to->memory) && !to->body->failed;
}

static void twilio_answer(const void *self, const parley_http_response *response, struct sms_sent *to)
{
  json_t *root = json_loadb(response->body.at, response->body.len, JSON_REJECT_DUPLICATES, NULL);
  const json_t *number = json_object_get(root, "code");
  parley_text sid = sms_member(root, "sid");
  uint32_t result = sms_result_of_code(response->code), told;
  char code[24];

  (void)self;
  snprintf(code, sizeof code, "%lld", json_is_integer(number) ? (long long)json_integer_value(number) : (long long)response->code);
  told = result == PARLEY_OUTCOME_ACCEPTED ? 0 : sms_outcome_find(errors, parley_text_of(code));
  if (response->code == 404 && told == 0)
    told = PARLEY_OUTCOME_CHANNEL_DOWN; /* the account or the address is wrong, not the message */
  sms_sent_say(to, told != 0 ? told : result, parley_text_of(code), sms_member(root, "message"));
  to->retry_ms = response->retry_ms;
  if (result == PARLEY_OUTCOME_ACCEPTED && sid.len > 0 && sid.len <= SID_BYTES_MAX) {
    to->ids[0] = copy_text(to->memory, sid);
    to->n_ids = 1;
  }
  json_decref(root);
}

static bool twilio_probe(const void *self, struct sms_request *to)
{
  const struct twilio *twilio = self;

  to->method = PARLEY_LIT("GET");
  to->url = account_url(twilio, ".json", to->memory);
  sms_basic_auth_add(to, twilio->account->user, twilio->account->secret);
  return true;
}

/* --- In ----------------------------------------------------------------------------------------------------------- */
static int pair_order(const void *a, const void *b)
{
  const parley_pair *x = a, *y = b;
  const parley_text *left = &x->name, *right = &y->name;

  for (int i = 0; i < 2; i++) {
    size_t len = left->len < right->len ? left->len : right->len;
    int order = len > 0 ? memcmp(left->at, right->at, len) : 0;

    if (order != 0 || left->len != right->len)
      return order != 0 ? order : left->len < right->len ? -1 : 1;
    left = &x->value;
    right = &y->value;
  }
  return 0;
}

/* The URL with its default port, and without: both are what Twilio may have signed (its own libraries try both). */
static void urls_write(parley_text url, struct json_writer to[2])
{
  const char *scheme_end = url.len > 8 ? memchr(url.at, '/', 8) : NULL, *host = scheme_end != NULL ? scheme_end + 2 : url.at;
  size_t before = (size_t)(host - url.at), host_len = 0, port = 0;
  bool tls = url.len > 5 && memcmp(url.at, "https", 5) == 0;
  parley_text head, rest;

  while (before + host_len < url.len && strchr("/?#", host[host_len]) == NULL)
    host_len++;
  for (size_t i = host_len; i > 0 && port == 0 && (host[i - 1] == ':' || (host[i - 1] >= '0' && host[i - 1] <= '9')); i--)
    port = host[i - 1] == ':' ? i : 0;
  head = (parley_text){url.at, before + (port > 0 ? port - 1 : host_len)};
  rest = (parley_text){host + host_len, url.len - before - host_len};
  json_write_raw(&to[0], head);
  json_write_raw(&to[0], rest);
  json_write_raw(&to[1], head);
  json_write_raw(&to[1], port > 0 ? (parley_text){host + port - 1, host_len - port + 1}
                         : tls    ? PARLEY_LIT(":443")
                                  : PARLEY_LIT(":80"));
  json_write_raw(&to[1], rest);
}

static bool fields_sign(const struct sms_fields *fields, struct copy *memory, struct json_writer *to)
{
  parley_pair *sorted = copy_room(memory, (fields->n + 1) * sizeof *sorted);

  if (sorted == NULL)
    return false;
  memcpy(sorted, fields->fields, fields->n * sizeof *sorted);
  qsort(sorted, fields->n, sizeof *sorted, pair_order);
  for (uint32_t i = 0; i < fields->n; i++) {
    if (i > 0 && pair_order(&sorted[i - 1], &sorted[i]) == 0)
      continue; /* of one name, each value once */
    json_write_raw(to, sorted[i].name);
    json_write_raw(to, sorted[i].value);
  }
  return true;
}

/* key=..,algorithm=HMAC_SHA256: of a webhook signed with a shared key of its own. */
static enum digest_hash hash_of(const parley_http_call *call)
{
  static const char word[] = "HMAC_SHA256";
  parley_text settings = parley_header(call->headers, call->n_headers, "x-twilio-webhooks-signature-settings");

  for (size_t i = 0; i + sizeof word - 1 <= settings.len; i++)
    if (memcmp(settings.at + i, word, sizeof word - 1) == 0)
      return DIGEST_SHA256;
  return DIGEST_SHA1;
}

/* The body's hash stands in the signed URL then. */
static bool body_hash_good(const parley_http_call *call, struct copy *memory)
{
  struct sms_fields *query = copy_room(memory, sizeof *query);
  char hash[DIGEST_ROOM];
  size_t len = digest_of(DIGEST_SHA256, call->body, DIGEST_HEX, hash);

  return query != NULL && sms_form_read(call->query, memory, query) == NULL &&
         digest_same_hex(sms_field(query, "bodySHA256"), (parley_text){hash, len});
}

static enum sms_verdict signature_check(const struct twilio *twilio, const parley_http_call *call, struct copy *memory)
{
  parley_text given = parley_header(call->headers, call->n_headers, "x-twilio-signature");
  struct sms_fields *fields = copy_room(memory, sizeof *fields);
  struct json_writer texts[2] = {{0}, {0}};
  char signature[DIGEST_ROOM];
  bool good = false, read = fields != NULL;

  if (call->url.len + call->body.len > SIGNED_BYTES_MAX)
    return SMS_MALFORMED;
  if (sms_call_is_form(call))
    read = read && sms_form_read(call->body, memory, fields) == NULL;
  else if (call->body.len > 0)
    read = read && body_hash_good(call, memory);
  if (!read)
    return SMS_MALFORMED;
  urls_write(call->url, texts);
  for (int i = 0; i < 2; i++) {
    size_t len = fields_sign(fields, memory, &texts[i]) && !texts[i].failed
                     ? digest_hmac(hash_of(call), twilio->account->callback_secret, json_writer_text(&texts[i]), DIGEST_BASE64,
                                   signature)
                     : 0;

    good |= digest_same(given, (parley_text){signature, len});
    json_writer_done(&texts[i]);
  }
  return good ? SMS_GOOD : SMS_MISMATCH;
}

static enum sms_verdict twilio_verify(const void *self, const parley_http_call *call, int64_t now_ms)
{
  struct copy *memory;
  enum sms_verdict verdict;

  (void)now_ms; /* nothing signed tells the time: what comes twice is known by its id */
  if (parley_header(call->headers, call->n_headers, "x-twilio-signature").len == 0)
    return SMS_MISSING;
  memory = copy_new();
  verdict = memory != NULL ? signature_check(self, call, memory) : SMS_MALFORMED;
  copy_free(&memory);
  return verdict;
}

static void status_read(const json_t *root, parley_text status, struct sms_taken *to)
{
  parley_text code = sms_member(root, "ErrorCode"), why = sms_member(root, "ChannelStatusMessage");
  uint32_t outcome = sms_outcome_find(failures, code);
  struct sms_item *item;

  for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
    if (!parley_text_is(status, statuses[i].name))
      continue;
    if (statuses[i].kind == 0) {
      to->n_silent++;
      return;
    }
    item = sms_receipt_add(to, statuses[i].kind, sms_member(root, "MessageSid"));
    if (item == NULL || statuses[i].kind != PARLEY_RECEIPT_FAILED)
      return;
    item->receipt.code = code.len < SMS_CODE_ROOM ? code : PARLEY_LIT("");
    item->receipt.detail = why.len < SMS_DETAIL_ROOM ? why : PARLEY_LIT("");
    item->receipt.outcome = outcome != 0 ? outcome : PARLEY_OUTCOME_REJECTED;
    return;
  }
  to->n_unknown++;
}

static void message_read(const json_t *root, struct sms_taken *to)
{
  parley_text from = sms_member(root, "From"), stop = sms_member(root, "OptOutType"), count = sms_member(root, "NumMedia");
  int n_media = count.len == 1 ? count.at[0] - '0' : count.len == 2 && memcmp(count.at, "10", 2) == 0 ? SMS_MEDIA_MAX : 0;
  struct sms_item *item;
  char name[32];

  if (from.len > 0 && memchr(from.at, ':', from.len) != NULL) {
    to->n_unknown++; /* whatsapp:+34..., messenger:...: not ours */
    return;
  }
  item = sms_inbound_add(to, from, sms_member(root, "To"), sms_member(root, "Body"), sms_member(root, "MessageSid"));
  if (item == NULL)
    return;
  if (stop.len > 0 && stop.len < SMS_CODE_ROOM)
    item->fields[item->inbound.n_fields++] = (parley_pair){PARLEY_LIT("opt_out_type"), stop};
  for (int i = 0; i < n_media; i++) {
    parley_text url;

    snprintf(name, sizeof name, "MediaUrl%d", i);
    url = sms_member(root, name);
    snprintf(name, sizeof name, "MediaContentType%d", i);
    sms_media_add(to, item, url, sms_member(root, name));
  }
}

static void twilio_read(const void *self, const parley_http_call *call, struct sms_taken *to)
{
  const json_t *root = sms_call_read(call, to);
  parley_text status = sms_member(root, "MessageStatus");

  (void)self;
  to->type = PARLEY_LIT("text/xml");
  to->body = PARLEY_LIT("<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response></Response>");
  if (to->fault != NULL)
    return;
  if (status.len > 0 && !parley_text_is(status, "received"))
    status_read(root, status, to);
  else if (sms_member(root, "MessageSid").len > 0 && sms_member(root, "From").len > 0)
    message_read(root, to);
  else
    to->n_unknown++;
}

/* Only Twilio's own servers see the credentials; what they redirect to needs none. */
static bool twilio_fetch(const void *self, parley_text url, struct sms_request *to)
{
  const struct twilio *twilio = self;
  size_t len = twilio->base_url.len;

  to->url = url;
  if (url.len > len && memcmp(url.at, twilio->base_url.at, len) == 0 && url.at[len] == '/')
    sms_basic_auth_add(to, twilio->account->user, twilio->account->secret);
  return true;
}

const struct sms_provider sms_twilio = {.name = "twilio",
                                        .open = twilio_open,
                                        .close = twilio_close,
                                        .capable = twilio_capable,
                                        .needs_from = true,
                                        .request = twilio_request,
                                        .answer = twilio_answer,
                                        .probe = twilio_probe,
                                        .verify = twilio_verify,
                                        .read = twilio_read,
                                        .fetch = twilio_fetch};
