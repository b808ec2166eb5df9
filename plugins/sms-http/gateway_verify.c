/* Whether a callback is the gateway's own. */
#include "gateway.h"
#include "sms_time.h"
#include <stdlib.h>
#include <strings.h>

enum { SIGNED_BYTES_MAX = 4 << 20, BASIC_BYTES_MAX = 2048 };

struct signing { /* what names in what is signed mean */
  const parley_http_call *call;
  json_t *root; /* of {{field.NAME}} */
  struct copy *memory;
};

static bool signed_value(parley_text name, parley_text *ret, const void *arg)
{
  const struct signing *signing = arg;
  const parley_http_call *call = signing->call;
  const struct {
    const char *name;
    parley_text value;
  } values[] = {{"body", call->body}, {"url", call->url}, {"path", call->path}, {"query", call->query}, {"method", call->method}};
  char word[SMS_ID_BYTES_MAX + 1];

  for (size_t i = 0; i < sizeof values / sizeof *values; i++)
    if (parley_text_is(name, values[i].name)) {
      *ret = values[i].value;
      return true;
    }
  if (name.len > SMS_ID_BYTES_MAX)
    return false;
  memcpy(word, name.at, name.len);
  word[name.len] = '\0';
  if (strncasecmp(word, "header.", 7) == 0) {
    for (char *c = word + 7; *c != '\0'; c++)
      *c = (char)(*c >= 'A' && *c <= 'Z' ? *c + ('a' - 'A') : *c);
    *ret = parley_header(call->headers, call->n_headers, word + 7);
  } else {
    *ret = sms_json_text(json_object_get(signing->root, word + 6), signing->memory); /* field. */
  }
  return true;
}

static bool prefix_cut(parley_text *text, parley_text prefix)
{
  if (text->len < prefix.len || (prefix.len > 0 && memcmp(text->at, prefix.at, prefix.len) != 0))
    return false;
  *text = (parley_text){text->at + prefix.len, text->len - prefix.len};
  return true;
}

static enum sms_verdict time_check(const struct gateway_signature *signature, const parley_http_call *call, int64_t now_ms)
{
  parley_text text =
      signature->timestamp[0] != '\0' ? parley_header(call->headers, call->n_headers, signature->timestamp) : PARLEY_LIT("");
  int64_t at_ms;

  if (signature->timestamp[0] == '\0')
    return SMS_GOOD;
  if (text.len == 0)
    return SMS_MISSING;
  if (!sms_time_read(text, &at_ms))
    return SMS_MALFORMED;
  return now_ms - at_ms > signature->tolerance_ms || at_ms - now_ms > signature->tolerance_ms ? SMS_STALE : SMS_GOOD;
}

static enum sms_verdict hmac_check(const struct gateway *gateway, const parley_http_call *call, int64_t now_ms,
                                   struct sms_taken *taken)
{
  const struct gateway_signature *signature = &gateway->is->signature;
  parley_text given = parley_header(call->headers, call->n_headers, signature->header);
  struct signing signing = {.call = call, .memory = taken->memory};
  enum sms_verdict verdict = time_check(signature, call, now_ms);
  struct json_writer text = {0};
  char made[DIGEST_ROOM];
  size_t len = 0;

  if (given.len == 0)
    return SMS_MISSING;
  if (!prefix_cut(&given, signature->prefix) || call->body.len + call->url.len > SIGNED_BYTES_MAX)
    return SMS_MALFORMED;
  signing.root = sms_call_read(call, taken);
  if (gateway_template_write(&signature->over, signed_value, &signing, NULL, 0, &text) && !text.failed)
    len = digest_hmac(signature->hash, gateway->account->callback_secret, json_writer_text(&text), signature->encoding, made);
  json_writer_done(&text);
  if (!(signature->encoding == DIGEST_HEX ? digest_same_hex(given, (parley_text){made, len})
                                          : digest_same(given, (parley_text){made, len})))
    return SMS_MISMATCH;
  return verdict;
}

static enum sms_verdict token_check(const struct gateway *gateway, const parley_http_call *call, struct copy *memory)
{
  const struct gateway_signature *signature = &gateway->is->signature;
  parley_text given = {NULL, 0};
  struct sms_fields *fields;

  if (signature->header[0] != '\0') {
    given = parley_header(call->headers, call->n_headers, signature->header);
    if (given.len > 0 && !prefix_cut(&given, signature->prefix))
      return SMS_MALFORMED;
  } else {
    fields = copy_room(memory, sizeof *fields);
    if (fields == NULL || sms_form_read(call->query, memory, fields) != NULL)
      return SMS_MALFORMED;
    given = sms_field(fields, signature->query);
  }
  if (given.len == 0)
    return SMS_MISSING;
  return digest_secret_is(given, gateway->account->callback_secret) ? SMS_GOOD : SMS_MISMATCH;
}

static enum sms_verdict basic_check(const struct gateway *gateway, const parley_http_call *call)
{
  parley_text given = parley_header(call->headers, call->n_headers, "authorization");
  char *pair = NULL;
  size_t len = 0;
  enum sms_verdict verdict = SMS_MALFORMED;

  if (given.len == 0)
    return SMS_MISSING;
  if (given.len < 7 || given.len > BASIC_BYTES_MAX || strncasecmp(given.at, "Basic ", 6) != 0)
    return SMS_MALFORMED;
  if (json_base64_read((parley_text){given.at + 6, given.len - 6}, &pair, &len) == PARLEY_OK)
    verdict = digest_secret_is((parley_text){pair, len}, gateway->account->callback_secret) ? SMS_GOOD : SMS_MISMATCH;
  free(pair);
  return verdict;
}

enum sms_verdict gateway_verify(const void *self, const parley_http_call *call, int64_t now_ms)
{
  const struct gateway *gateway = self;
  struct sms_taken *taken = calloc(1, sizeof *taken);
  enum sms_verdict verdict = SMS_MALFORMED;

  if (!gateway->is->has_signature) {
    free(taken);
    return SMS_MISSING; /* it takes nothing in */
  }
  if (taken != NULL)
    taken->memory = copy_new();
  if (taken != NULL && taken->memory != NULL) {
    switch (gateway->is->signature.kind) {
    case GATEWAY_SIGN_HMAC:
      verdict = hmac_check(gateway, call, now_ms, taken);
      break;
    case GATEWAY_SIGN_TOKEN:
      verdict = token_check(gateway, call, taken->memory);
      break;
    case GATEWAY_SIGN_BASIC:
      verdict = basic_check(gateway, call);
      break;
    }
    json_decref(taken->root);
    copy_free(&taken->memory);
  }
  free(taken);
  return verdict;
}
