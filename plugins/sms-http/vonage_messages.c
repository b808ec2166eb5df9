/* sms_provider.h for Vonage's Messages API: https://developer.vonage.com/en/api/messages-olympus and, for its signed webhooks,
 * https://developer.vonage.com/en/getting-started/concepts/webhooks#validating-signed-webhooks */
#include "common/option.h"
#include "sms_pointer.h"
#include "sms_provider.h"
#include "sms_time.h"
#include "vonage_jwt.h"
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum {
  TEXT_UNITS_MAX = 1000, /* Vonage's own limit for SMS */
  TEXT_PIECES_MAX = 10,
  TTL_MIN_S = 20,
  TTL_MAX_S = 259200,
  PICTURE_BYTES_MAX = 600 << 10,
  MS_A_SECOND = 1000
};
#define BASE_URL "https://api.nexmo.com"

struct messages {
  const struct sms_account *account;
  parley_text base_url, application;
  struct evp_pkey_st *key; /* of the application; NULL: we log in with key and secret, and Vonage sends no webhooks */
};

/* By the number behind the # of an error's type. What is not here is as HTTP says, or of a receipt REJECTED. */
static const struct sms_outcome_row errors[] = {{"1000", PARLEY_OUTCOME_THROTTLED},
                                                {"1030", PARLEY_OUTCOME_RETRY /* internal error */},
                                                {"1050", PARLEY_OUTCOME_BAD_ADDRESS /* barred */},
                                                {"1060", PARLEY_OUTCOME_CHANNEL_DOWN /* account barred */},
                                                {"1070", PARLEY_OUTCOME_CHANNEL_DOWN /* no credit */},
                                                {"1080", PARLEY_OUTCOME_CHANNEL_DOWN /* account not enabled */},
                                                {"1100", PARLEY_OUTCOME_RETRY /* communication failed */},
                                                {"1170", PARLEY_OUTCOME_BAD_ADDRESS /* no valid number */},
                                                {"1180", PARLEY_OUTCOME_RETRY /* absent subscriber, temporary */},
                                                {"1190", PARLEY_OUTCOME_BAD_ADDRESS /* absent for good */},
                                                {"1240", PARLEY_OUTCOME_BAD_ADDRESS /* illegal number */},
                                                {NULL, 0}};
static const struct {
  const char *name;
  uint32_t kind;
} statuses[] = {{"submitted", PARLEY_RECEIPT_SENT},
                {"delivered", PARLEY_RECEIPT_DELIVERED},
                {"read", PARLEY_RECEIPT_READ},
                {"rejected", PARLEY_RECEIPT_FAILED},
                {"undeliverable", PARLEY_RECEIPT_FAILED}};

/* --- Life --------------------------------------------------------------------------------------------------------- */
static void messages_close(void *self)
{
  struct messages *messages = self;

  vonage_key_free(&messages->key);
  free(messages);
}

static parley_status messages_open(const struct sms_account *account, const parley_value *options, void **ret, char why[SMS_WHY_ROOM])
{
  parley_text application = option_text(options, "application"), pem = option_text(options, "private_key");
  struct messages *messages = calloc(1, sizeof *messages);
  const char *wrong = NULL;

  if (messages == NULL)
    return PARLEY_BUSY;
  messages->account = account;
  messages->application = application;
  messages->base_url = account->base_url.len > 0 ? account->base_url : PARLEY_LIT(BASE_URL);
  if ((application.len > 0) != (pem.len > 0))
    wrong = application.len > 0 ? "private_key: with application, that application's key"
                                : "application: with private_key, the application's id";
  else if (pem.len > 0 && (messages->key = vonage_key_read(pem)) == NULL)
    wrong = "private_key: it is no RSA key in PEM";
  if (wrong == NULL) {
    *ret = messages;
    return PARLEY_OK;
  }
  snprintf(why, SMS_WHY_ROOM, "%s", wrong);
  messages_close(messages);
  return PARLEY_INVALID;
}

static void messages_capable(const void *self, struct sms_capable *to)
{
  const struct messages *messages = self;
  parley_feature text = {.size = sizeof text,
                         .what = PARLEY_PART_TEXT,
                         .level = PARLEY_LEVEL_NATIVE,
                         .unit = PARLEY_UNIT_GSM7,
                         .length_max = TEXT_UNITS_MAX,
                         .count_max = TEXT_PIECES_MAX};

  to->receipts = PARLEY_BIT(PARLEY_RECEIPT_SENT) | PARLEY_BIT(PARLEY_RECEIPT_DELIVERED) | PARLEY_BIT(PARLEY_RECEIPT_READ) |
                 PARLEY_BIT(PARLEY_RECEIPT_FAILED);
  to->features[to->n_features++] = text;
  text.unit = PARLEY_UNIT_UTF16;
  to->features[to->n_features++] = text;
  if (messages->account->mms) /* a picture is a message of its own, with the text as its caption */
    to->features[to->n_features++] = (parley_feature){.size = sizeof(parley_feature),
                                                      .what = PARLEY_PART_MEDIA,
                                                      .level = PARLEY_LEVEL_NATIVE,
                                                      .count_max = 1,
                                                      .bytes_max = PICTURE_BYTES_MAX,
                                                      .types = "image/jpeg image/png image/gif"};
}

/* --- Out ---------------------------------------------------------------------------------------------------------- */
static void content_write(const struct sms_piece *piece, struct json_writer *to)
{
  if (piece->n_media == 0) {
    json_write_lit(to, ",\"channel\":\"sms\",\"message_type\":\"text\"");
    json_write_member(to, "text", piece->text);
    json_write_lit(to, piece->unicode ? ",\"sms\":{\"encoding_type\":\"unicode\"}" : ",\"sms\":{\"encoding_type\":\"text\"}");
    return;
  }
  json_write_lit(to, ",\"channel\":\"mms\",\"message_type\":\"image\",\"image\":{\"url\":");
  json_write_text(to, piece->media[0]);
  json_write_member(to, "caption", piece->text);
  json_write_lit(to, "}");
}

static void authorize(const struct messages *messages, const struct sms_piece *piece, struct sms_request *to)
{
  char id[64];
  int len = snprintf(id, sizeof id, "%.*s.%lld", piece->id.len < 32 ? (int)piece->id.len : 32, piece->id.len > 0 ? piece->id.at : "",
                     (long long)piece->now_ms);
  parley_text bearer[] = {PARLEY_LIT("Bearer "), {NULL, 0}};

  if (messages->key == NULL) {
    sms_basic_auth_add(to, messages->account->user, messages->account->secret);
    return;
  }
  bearer[1] =
      vonage_jwt_make(messages->key, messages->application, (parley_text){id, (size_t)len}, piece->now_ms / MS_A_SECOND, to->memory);
  sms_header_add(to, "authorization", sms_join(to->memory, bearer, 2));
}

static bool messages_request(const void *self, const struct sms_piece *piece, struct sms_request *to)
{
  const struct messages *messages = self;
  const parley_text url[] = {messages->base_url, PARLEY_LIT("/v1/messages")};
  uint32_t ttl_s = piece->expires_s > 0 && piece->expires_s < TTL_MIN_S ? TTL_MIN_S : piece->expires_s;

  to->method = PARLEY_LIT("POST");
  to->url = sms_join(to->memory, url, 2);
  authorize(messages, piece, to);
  sms_header_add(to, "content-type", PARLEY_LIT("application/json"));
  json_write_lit(to->body, "{\"to\":");
  json_write_text(to->body, sms_number_digits(piece->to));
  json_write_member(to->body, "from", sms_number_digits(piece->from));
  content_write(piece, to->body);
  json_write_member(to->body, "client_ref", piece->id);
  if (piece->callback.len > 0) {
    json_write_member(to->body, "webhook_url", piece->callback);
    json_write_lit(to->body, ",\"webhook_version\":\"v1\"");
  }
  if (ttl_s > 0 && ttl_s <= TTL_MAX_S) {
    json_write_name(to->body, "ttl");
    json_write_int(to->body, ttl_s);
  }
  json_write_lit(to->body, "}");
  return !copy_failed(to->memory) && !to->body->failed;
}

/* "https://developer.vonage.com/api-errors/messages#1120" -> "1120" */
static parley_text code_of(parley_text type)
{
  const char *hash = type.len > 0 ? memchr(type.at, '#', type.len) : NULL;

  return hash != NULL ? (parley_text){hash + 1, type.len - (size_t)(hash + 1 - type.at)} : PARLEY_LIT("");
}

static void messages_answer(const void *self, const parley_http_response *response, struct sms_sent *to)
{
  json_t *root = json_loadb(response->body.at, response->body.len, JSON_REJECT_DUPLICATES, NULL);
  parley_text id = sms_member(root, "message_uuid"), code = code_of(sms_member(root, "type"));
  uint32_t result = response->code == 402 ? PARLEY_OUTCOME_CHANNEL_DOWN : sms_result_of_code(response->code), told;
  char text[16];

  (void)self;
  snprintf(text, sizeof text, "%u", response->code);
  told = result == PARLEY_OUTCOME_REJECTED ? sms_outcome_find(errors, code) : 0;
  sms_sent_say(to, told != 0 ? told : result, code.len > 0 ? code : parley_text_of(text), sms_member(root, "detail"));
  to->retry_ms = response->retry_ms;
  if (result == PARLEY_OUTCOME_ACCEPTED && id.len > 0 && id.len <= SMS_ID_BYTES_MAX) {
    to->ids[0] = copy_text(to->memory, id);
    to->n_ids = 1;
  }
  json_decref(root);
}

/* The account's balance is the SMS API's to tell, at another server unless it was given. */
static bool messages_probe(const void *self, struct sms_request *to)
{
  const struct messages *messages = self;
  const parley_text url[] = {messages->account->base_url.len > 0 ? messages->base_url : PARLEY_LIT("https://rest.nexmo.com"),
                             PARLEY_LIT("/account/get-balance")};

  to->method = PARLEY_LIT("GET");
  to->url = sms_join(to->memory, url, 2);
  sms_basic_auth_add(to, messages->account->user, messages->account->secret);
  return true;
}

/* --- In ----------------------------------------------------------------------------------------------------------- */
static enum sms_verdict messages_verify(const void *self, const parley_http_call *call, int64_t now_ms)
{
  const struct messages *messages = self;
  parley_text token = parley_header(call->headers, call->n_headers, "authorization");

  (void)now_ms; /* what comes twice is known by its id */
  if (token.len == 0)
    return SMS_MISSING;
  if (token.len < 8 || token.len > VONAGE_JWT_BYTES_MAX || strncasecmp(token.at, "Bearer ", 7) != 0)
    return SMS_MALFORMED;
  token = (parley_text){token.at + 7, token.len - 7};
  return vonage_jwt_good(token, messages->account->callback_secret, call->body) ? SMS_GOOD : SMS_MISMATCH;
}

static void receipt_read(json_t *root, parley_text status, struct sms_taken *to)
{
  json_t *error = json_object_get(root, "error");
  parley_text code = code_of(sms_member(error, "type")), detail = sms_member(error, "detail");
  uint32_t outcome;
  struct sms_item *item;

  for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
    if (!parley_text_is(status, statuses[i].name))
      continue;
    item = sms_receipt_add(to, statuses[i].kind, sms_member(root, "message_uuid"));
    if (item == NULL)
      return;
    sms_time_read(sms_member(root, "timestamp"), &item->receipt.at_ms);
    if (statuses[i].kind != PARLEY_RECEIPT_FAILED)
      return;
    outcome = sms_outcome_find(errors, code);
    item->receipt.code = code.len < SMS_CODE_ROOM ? code : PARLEY_LIT("");
    item->receipt.detail = detail.len < SMS_DETAIL_ROOM ? detail : PARLEY_LIT("");
    item->receipt.outcome =
        outcome == PARLEY_OUTCOME_BAD_ADDRESS || outcome == PARLEY_OUTCOME_RETRY ? outcome : PARLEY_OUTCOME_REJECTED;
    return;
  }
  to->n_unknown++;
}

static void message_read(json_t *root, struct sms_taken *to)
{
  static const char *const files[] = {"image", "video", "audio", "vcard", "file"};
  parley_text type = sms_member(root, "message_type"), text = sms_member(root, "text");
  struct sms_item *item;

  for (size_t i = 0; i < sizeof files / sizeof *files && text.len == 0; i++)
    if (parley_text_is(type, files[i]))
      text = sms_member(json_object_get(root, files[i]), "caption");
  item = sms_inbound_add(to, sms_member(root, "from"), sms_member(root, "to"), text, sms_member(root, "message_uuid"));
  if (item == NULL)
    return;
  sms_time_read(sms_member(root, "timestamp"), &item->inbound.at_ms);
  for (size_t i = 0; i < sizeof files / sizeof *files; i++)
    if (parley_text_is(type, files[i]))
      sms_media_add(to, item, sms_member(json_object_get(root, files[i]), "url"), PARLEY_LIT(""));
}

static void messages_read(const void *self, const parley_http_call *call, struct sms_taken *to)
{
  json_t *root = sms_call_read(call, to);
  parley_text status = sms_member(root, "status"), channel = sms_member(root, "channel");
  bool ours = parley_text_is(channel, "sms") || parley_text_is(channel, "mms");

  (void)self;
  if (to->fault != NULL)
    return;
  if (status.len > 0 && sms_member(root, "message_uuid").len > 0)
    receipt_read(root, status, to);
  else if (ours && sms_member(root, "message_type").len > 0)
    message_read(root, to);
  else
    to->n_unknown++;
}

/* They are open to whoever has the link. */
static bool messages_fetch(const void *self, parley_text url, struct sms_request *to)
{
  (void)self;
  to->url = url;
  return true;
}

const struct sms_provider sms_vonage_messages = {.name = "vonage",
                                                 .open = messages_open,
                                                 .close = messages_close,
                                                 .capable = messages_capable,
                                                 .needs_from = true,
                                                 .request = messages_request,
                                                 .answer = messages_answer,
                                                 .probe = messages_probe,
                                                 .verify = messages_verify,
                                                 .read = messages_read,
                                                 .fetch = messages_fetch};
