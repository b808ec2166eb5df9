/* sms_provider.h for Vonage's SMS API: https://developer.vonage.com/en/api/sms and
 * https://developer.vonage.com/en/getting-started/concepts/signing-messages */
#include "common/option.h"
#include "sms_pointer.h"
#include "sms_provider.h"
#include "sms_time.h"
#include <stdio.h>
#include <stdlib.h>

enum {
  TEXT_SEPTETS_MAX = 3060, /* of one request: 20 segments, which Vonage cuts */
  TEXT_UTF16_MAX = 1340,
  TEXT_PIECES_MAX = 5,
  TTL_MIN_MS = 20000,
  TTL_MAX_MS = 604800000,
  SIGNED_BYTES_MAX = 2 << 20,
  MS_A_SECOND = 1000
};
#define BASE_URL "https://rest.nexmo.com"

struct vonage {
  const struct sms_account *account;
  parley_text base_url;
  bool has_callback_secret;
};

/* By the `status` of each part of an answer. What is not here is REJECTED. */
static const struct sms_outcome_row statuses[] = {{"0", PARLEY_OUTCOME_ACCEPTED},
                                                  {"1", PARLEY_OUTCOME_THROTTLED},
                                                  {"4", PARLEY_OUTCOME_CHANNEL_DOWN /* credentials */},
                                                  {"5", PARLEY_OUTCOME_RETRY},
                                                  {"7", PARLEY_OUTCOME_BAD_ADDRESS /* barred */},
                                                  {"8", PARLEY_OUTCOME_CHANNEL_DOWN /* account barred */},
                                                  {"9", PARLEY_OUTCOME_CHANNEL_DOWN /* no credit */},
                                                  {"10", PARLEY_OUTCOME_THROTTLED /* too many connections */},
                                                  {"11", PARLEY_OUTCOME_CHANNEL_DOWN /* account not enabled */},
                                                  {"14", PARLEY_OUTCOME_CHANNEL_DOWN /* signature */},
                                                  {"32", PARLEY_OUTCOME_CHANNEL_DOWN /* signature and secret */},
                                                  {"33", PARLEY_OUTCOME_BAD_ADDRESS /* number no longer in use */},
                                                  {NULL, 0}};
/* By the `err-code` of a receipt that says failed. */
static const struct sms_outcome_row failures[] = {{"2", PARLEY_OUTCOME_RETRY /* absent subscriber, temporary */},
                                                  {"3", PARLEY_OUTCOME_BAD_ADDRESS /* absent for good */},
                                                  {"7", PARLEY_OUTCOME_RETRY /* busy */},
                                                  {"8", PARLEY_OUTCOME_RETRY /* network */},
                                                  {"9", PARLEY_OUTCOME_BAD_ADDRESS /* illegal number */},
                                                  {NULL, 0}};
static const struct {
  const char *name;
  uint32_t kind;
} receipts[] = {{"delivered", PARLEY_RECEIPT_DELIVERED},
                {"failed", PARLEY_RECEIPT_FAILED},
                {"rejected", PARLEY_RECEIPT_FAILED},
                {"expired", PARLEY_RECEIPT_FAILED},
                {"accepted", PARLEY_RECEIPT_SENT},
                {"buffered", PARLEY_RECEIPT_SENT},
                {"unknown", 0},
                {"submitted", 0}};

/* --- Life --------------------------------------------------------------------------------------------------------- */
static parley_status vonage_open(const struct sms_account *account, const parley_value *options, void **ret, char why[SMS_WHY_ROOM])
{
  const parley_value *signature_secret = parley_find(options, "callback_secret");
  struct vonage *vonage;

  (void)why;
  vonage = calloc(1, sizeof *vonage);
  if (vonage == NULL)
    return PARLEY_BUSY;
  *vonage = (struct vonage){.account = account,
                            .base_url = account->base_url.len > 0 ? account->base_url : PARLEY_LIT(BASE_URL),
                            .has_callback_secret = option_given(signature_secret)};
  *ret = vonage;
  return PARLEY_OK;
}

static void vonage_close(void *self)
{
  free(self);
}

static void vonage_capable(const void *self, struct sms_capable *to)
{
  (void)self;
  to->receipts = PARLEY_BIT(PARLEY_RECEIPT_SENT) | PARLEY_BIT(PARLEY_RECEIPT_DELIVERED) | PARLEY_BIT(PARLEY_RECEIPT_FAILED);
  to->features[to->n_features++] = (parley_feature){.size = sizeof(parley_feature),
                                                    .what = PARLEY_PART_TEXT,
                                                    .level = PARLEY_LEVEL_NATIVE,
                                                    .unit = PARLEY_UNIT_GSM7,
                                                    .length_max = TEXT_SEPTETS_MAX,
                                                    .count_max = TEXT_PIECES_MAX};
  to->features[to->n_features++] = (parley_feature){.size = sizeof(parley_feature),
                                                    .what = PARLEY_PART_TEXT,
                                                    .level = PARLEY_LEVEL_NATIVE,
                                                    .unit = PARLEY_UNIT_UTF16,
                                                    .length_max = TEXT_UTF16_MAX,
                                                    .count_max = TEXT_PIECES_MAX};
}

/* --- Out ---------------------------------------------------------------------------------------------------------- */
static bool vonage_request(const void *self, const struct sms_piece *piece, struct sms_request *to)
{
  const struct vonage *vonage = self;
  const parley_text url[] = {vonage->base_url, PARLEY_LIT("/sms/json")};
  int64_t ttl_ms = (int64_t)piece->expires_s * MS_A_SECOND;

  to->method = PARLEY_LIT("POST");
  to->url = sms_join(to->memory, url, 2);
  sms_basic_auth_add(to, vonage->account->user, vonage->account->secret);
  sms_header_add(to, "content-type", PARLEY_LIT("application/json"));
  json_write_lit(to->body, "{\"to\":");
  json_write_text(to->body, sms_number_digits(piece->to));
  json_write_member(to->body, "from", sms_number_digits(piece->from));
  json_write_member(to->body, "text", piece->text);
  json_write_member(to->body, "type", piece->unicode ? PARLEY_LIT("unicode") : PARLEY_LIT("text"));
  json_write_member(to->body, "client-ref", piece->id);
  json_write_member(to->body, "callback", piece->callback);
  if (ttl_ms > 0 && ttl_ms < TTL_MAX_MS) {
    json_write_name(to->body, "ttl");
    json_write_int(to->body, ttl_ms < TTL_MIN_MS ? TTL_MIN_MS : ttl_ms);
  }
  json_write_lit(to->body, "}");
  return !copy_failed(to->memory) && !to->body->failed;
}

static void part_read(const json_t *part, struct sms_sent *to, uint32_t *n_out, uint32_t index)
{
  parley_text status = sms_member(part, "status"), id = sms_member(part, "message-id");
  uint32_t result = sms_outcome_find(statuses, status);

  result = result != 0 ? result : PARLEY_OUTCOME_REJECTED;
  if (result == PARLEY_OUTCOME_ACCEPTED) {
    (*n_out)++;
    if (id.len <= SMS_ID_BYTES_MAX)
      to->ids[index] = copy_text(to->memory, id);
  } else if (to->result == PARLEY_OUTCOME_ACCEPTED) {
    sms_sent_say(to, result, status, sms_member(part, "error-text"));
  }
}

/* HTTP says 200 to nearly everything: each segment has a verdict of its own. */
static void vonage_answer(const void *self, const parley_http_response *response, struct sms_sent *to)
{
  json_t *root = json_loadb(response->body.at, response->body.len, JSON_REJECT_DUPLICATES, NULL);
  const json_t *parts = json_object_get(root, "messages");
  size_t n = json_array_size(parts) < SMS_IDS_MAX ? json_array_size(parts) : SMS_IDS_MAX;
  char code[16], detail[64];
  uint32_t n_out = 0;

  (void)self;
  snprintf(code, sizeof code, "%u", response->code);
  sms_sent_say(to, sms_result_of_code(response->code), parley_text_of(code), sms_member(root, "detail"));
  to->retry_ms = response->retry_ms;
  if (to->result == PARLEY_OUTCOME_ACCEPTED) {
    for (size_t i = 0; i < n; i++)
      part_read(json_array_get(parts, i), to, &n_out, (uint32_t)i);
    to->n_ids = n_out > 0 ? (uint32_t)n : 0;
    if (n_out > 0 && n_out < n) { /* again would send twice what is out */
      snprintf(detail, sizeof detail, "%u of %u segments went out", (unsigned)n_out, (unsigned)n);
      sms_sent_say(to, PARLEY_OUTCOME_REJECTED, parley_text_of(to->code), parley_text_of(detail));
    }
  }
  json_decref(root);
}

static bool vonage_probe(const void *self, struct sms_request *to)
{
  const struct vonage *vonage = self;
  const parley_text url[] = {vonage->base_url, PARLEY_LIT("/account/get-balance")};

  to->method = PARLEY_LIT("GET");
  to->url = sms_join(to->memory, url, 2);
  sms_basic_auth_add(to, vonage->account->user, vonage->account->secret);
  return true;
}

/* --- In ----------------------------------------------------------------------------------------------------------- */
static int name_order(const void *a, const void *b)
{
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* "&name=value" of all but sig, by name; & and = within a value become _. */
static bool signed_write(json_t *root, struct copy *memory, struct json_writer *to)
{
  size_t n = 0, size = json_object_size(root);
  const char **names = copy_room(memory, (size + 1) * sizeof *names);
  const char *name;
  json_t *value;

  if (names == NULL)
    return false;
  json_object_foreach (root, name, value)
    if (strcmp(name, "sig") != 0)
      names[n++] = name;
  qsort(names, n, sizeof *names, name_order);
  for (size_t i = 0; i < n; i++) {
    parley_text text = sms_json_text(json_object_get(root, names[i]), memory);

    json_write_lit(to, "&");
    json_write_lit(to, names[i]);
    json_write_lit(to, "=");
    for (size_t j = 0; j < text.len; j++)
      json_write_raw(to, text.at[j] == '&' || text.at[j] == '=' ? PARLEY_LIT("_") : (parley_text){text.at + j, 1});
  }
  return !to->failed;
}

static size_t signature_make(const struct vonage *vonage, struct json_writer *text, char to[DIGEST_ROOM])
{
  static const enum digest_hash hashes[] = {/* as sms_signature_choices */
                                            DIGEST_MD5, DIGEST_MD5, DIGEST_SHA1, DIGEST_SHA256, DIGEST_SHA512};
  parley_text secret = vonage->account->callback_secret;

  if (vonage->account->signature != 0)
    return digest_hmac(hashes[vonage->account->signature], secret, json_writer_text(text), DIGEST_HEX, to);
  json_write_raw(text, secret);
  return text->failed ? 0 : digest_of(DIGEST_MD5, json_writer_text(text), DIGEST_HEX, to);
}

static enum sms_verdict vonage_verify(const void *self, const parley_http_call *call, int64_t now_ms)
{
  const struct vonage *vonage = self;
  struct sms_taken *taken = calloc(1, sizeof *taken);
  struct json_writer text = {0};
  char signature[DIGEST_ROOM];
  enum sms_verdict verdict = SMS_MALFORMED;
  parley_text given;

  (void)now_ms; /* Vonage comes again for 24 h with the time it first had: what comes twice is known by its id */
  if (taken != NULL)
    taken->memory = copy_new();
  if (taken != NULL && taken->memory != NULL && call->body.len + call->query.len <= SIGNED_BYTES_MAX)
    sms_call_read(call, taken);
  if (taken != NULL && json_is_object(taken->root)) { /* a macro: it would read twice */
    given = sms_member(taken->root, "sig");
    verdict = given.len == 0 || !vonage->has_callback_secret ? SMS_MISSING : SMS_MISMATCH;
    if (verdict == SMS_MISMATCH && signed_write(taken->root, taken->memory, &text) &&
        digest_same_hex(given, (parley_text){signature, signature_make(vonage, &text, signature)}))
      verdict = SMS_GOOD;
  }
  json_writer_done(&text);
  if (taken != NULL) {
    json_decref(taken->root);
    copy_free(&taken->memory);
  }
  free(taken);
  return verdict;
}

static void receipt_read(json_t *root, parley_text status, struct sms_taken *to)
{
  parley_text code = sms_json_text(json_object_get(root, "err-code"), to->memory), at = sms_member(root, "message-timestamp");
  uint32_t outcome = sms_outcome_find(failures, code);
  struct sms_item *item;

  for (size_t i = 0; i < sizeof receipts / sizeof *receipts; i++) {
    if (!parley_text_is(status, receipts[i].name))
      continue;
    if (receipts[i].kind == 0) {
      to->n_silent++;
      return;
    }
    item = sms_receipt_add(to, receipts[i].kind, sms_member(root, "messageId"));
    if (item == NULL)
      return;
    sms_time_read(at, &item->receipt.at_ms);
    if (receipts[i].kind != PARLEY_RECEIPT_FAILED)
      return;
    item->receipt.code = code.len < SMS_CODE_ROOM ? code : PARLEY_LIT("");
    item->receipt.detail = receipts[i].name[0] == 'e' ? PARLEY_LIT("expired") : PARLEY_LIT("");
    item->receipt.outcome = outcome != 0 ? outcome : PARLEY_OUTCOME_REJECTED;
    return;
  }
  to->n_unknown++;
}

static void message_read(json_t *root, struct sms_taken *to)
{
  parley_text concat = sms_json_text(json_object_get(root, "concat"), to->memory), type = sms_member(root, "type");
  struct sms_item *item;

  if (type.len > 0 && !parley_text_is(type, "text") && !parley_text_is(type, "unicode")) {
    to->n_unknown++; /* binary: ring tones, settings of phones */
    return;
  }
  item = sms_inbound_add(to, sms_member(root, "msisdn"), sms_member(root, "to"), sms_member(root, "text"),
                         sms_member(root, "messageId"));
  if (item == NULL)
    return;
  sms_time_read(sms_member(root, "message-timestamp"), &item->inbound.at_ms);
  if (parley_text_is(concat, "true") && !sms_segment_set(to, item, sms_json_text(json_object_get(root, "concat-ref"), to->memory),
                                                         sms_json_text(json_object_get(root, "concat-part"), to->memory),
                                                         sms_json_text(json_object_get(root, "concat-total"), to->memory)))
    to->n_unknown++; /* a piece of nothing: taken as it is */
}

static void vonage_read(const void *self, const parley_http_call *call, struct sms_taken *to)
{
  json_t *root = sms_call_read(call, to);
  parley_text status = sms_member(root, "status");

  (void)self;
  if (to->fault != NULL)
    return;
  if (status.len > 0 && sms_member(root, "messageId").len > 0)
    receipt_read(root, status, to);
  else if (sms_member(root, "messageId").len > 0 && sms_member(root, "msisdn").len > 0)
    message_read(root, to);
  else
    to->n_unknown++;
}

const struct sms_provider sms_vonage = {.name = "vonage",
                                        .open = vonage_open,
                                        .close = vonage_close,
                                        .capable = vonage_capable,
                                        .needs_from = true,
                                        .request = vonage_request,
                                        .answer = vonage_answer,
                                        .probe = vonage_probe,
                                        .verify = vonage_verify,
                                        .read = vonage_read};
