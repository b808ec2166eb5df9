#include "sms_provider.h"
#include "common/base64.h"
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum { PLUS_DIGITS_MIN = 9 /* below, it may be a short code */ };

/* --- Out ---------------------------------------------------------------------------------------------------------- */
void sms_header_add(struct sms_request *request, const char *name, parley_text value)
{
  if (request->n_headers < SMS_HEADERS_MAX)
    request->headers[request->n_headers++] = (parley_pair){parley_text_of(name), copy_text(request->memory, value)};
}

parley_text sms_join(struct copy *memory, const parley_text *pieces, size_t n)
{
  size_t len = 0;
  char *to;

  for (size_t i = 0; i < n; i++)
    len += pieces[i].len;
  to = copy_room(memory, len + 1);
  if (to == NULL)
    return (parley_text){NULL, 0};
  len = 0;
  for (size_t i = 0; i < n; i++) {
    if (pieces[i].len > 0)
      memcpy(to + len, pieces[i].at, pieces[i].len);
    len += pieces[i].len;
  }
  return (parley_text){to, len};
}

void sms_basic_auth_add(struct sms_request *request, parley_text user, parley_text secret)
{
  const parley_text pieces[] = {user, PARLEY_LIT(":"), secret};
  parley_text pair = sms_join(request->memory, pieces, 3);
  char *coded = copy_room(request->memory, BASE64_ROOM(pair.len));
  parley_text value[] = {PARLEY_LIT("Basic "), {coded, coded != NULL ? base64_of_bytes(pair, coded) : 0}};

  sms_header_add(request, "authorization", sms_join(request->memory, value, 2));
}

/* Copies whole characters only, and no control bytes. */
static void text_cut(char *to, size_t room, parley_text from)
{
  size_t len = from.len < room ? from.len : room - 1;

  while (len < from.len && len > 0 && ((unsigned char)from.at[len] & 0xc0) == 0x80)
    len--;
  for (size_t i = 0; i < len; i++)
    to[i] = (char)((unsigned char)from.at[i] < 0x20 || from.at[i] == 0x7f ? ' ' : from.at[i]);
  to[len] = '\0';
}

void sms_sent_say(struct sms_sent *sent, uint32_t result, parley_text code, parley_text detail)
{
  sent->result = result;
  text_cut(sent->code, sizeof sent->code, code);
  text_cut(sent->detail, sizeof sent->detail, detail);
}

uint32_t sms_result_of_code(uint32_t code)
{
  switch (code) {
  case 401:
  case 403:
    return PARLEY_OUTCOME_CHANNEL_DOWN;
  case 408:
  case 425:
  case 500:
  case 503:
    return PARLEY_OUTCOME_RETRY;
  case 429:
    return PARLEY_OUTCOME_THROTTLED;
  case 502: /* what stands between may have handed it on */
  case 504:
    return PARLEY_OUTCOME_UNKNOWN;
  default:
    break;
  }
  if (code >= 200 && code < 300)
    return PARLEY_OUTCOME_ACCEPTED;
  if (code >= 300 && code < 500)
    return PARLEY_OUTCOME_REJECTED;
  return code >= 500 && code < 600 ? PARLEY_OUTCOME_RETRY : PARLEY_OUTCOME_UNKNOWN;
}

uint32_t sms_outcome_find(const struct sms_outcome_row *table, parley_text code)
{
  for (; table->code != NULL; table++)
    if (parley_text_is(code, table->code))
      return table->outcome;
  return 0;
}

/* --- In ----------------------------------------------------------------------------------------------------------- */
static struct sms_item *item_add(struct sms_taken *taken)
{
  struct sms_item *item = taken->n < SMS_ITEMS_MAX ? copy_room(taken->memory, sizeof *item) : NULL;

  if (item == NULL) {
    taken->fault = taken->n < SMS_ITEMS_MAX ? "no memory" : "it has too many entries";
    return NULL;
  }
  taken->items[taken->n++] = item;
  return item;
}

struct sms_item *sms_receipt_add(struct sms_taken *taken, uint32_t kind, parley_text id)
{
  struct sms_item *item;

  if (id.len == 0 || id.len > SMS_ID_BYTES_MAX) {
    taken->fault = id.len == 0 ? "it names no message" : "its id is too long";
    return NULL;
  }
  item = item_add(taken);
  if (item == NULL)
    return NULL;
  item->is_receipt = true;
  item->receipt = (parley_receipt){.size = sizeof item->receipt, .kind = kind, .provider_id = id};
  if (kind == PARLEY_RECEIPT_FAILED)
    item->receipt.outcome = PARLEY_OUTCOME_REJECTED;
  return item;
}

/* "34600111222" with its plus where it is long enough for one; "+34..." and short codes as they are. */
static parley_text number_plus(struct copy *memory, parley_text number)
{
  const parley_text pieces[] = {PARLEY_LIT("+"), number};

  if (number.len < PLUS_DIGITS_MIN || number.len > SMS_PREFIX_DIGITS_MAX)
    return number;
  for (size_t i = 0; i < number.len; i++)
    if (number.at[i] < '0' || number.at[i] > '9')
      return number;
  return sms_join(memory, pieces, 2);
}

parley_text sms_number_digits(parley_text number)
{
  return number.len > 0 && number.at[0] == '+' ? (parley_text){number.at + 1, number.len - 1} : number;
}

static parley_identity phone(parley_text number)
{
  return (
      parley_identity){.size = sizeof(parley_identity), .assurance = PARLEY_OBSERVED, .kind = PARLEY_LIT("phone"), .value = number};
}

static void part_add(struct sms_item *item, const parley_part *part)
{
  uint32_t n = item->inbound.n_parts;

  if (n == 1 + SMS_MEDIA_MAX)
    return;
  item->parts[n] = *part;
  item->part_list[n] = &item->parts[n];
  item->inbound.n_parts++;
}

struct sms_item *sms_inbound_add(struct sms_taken *taken, parley_text from, parley_text to, parley_text text, parley_text id)
{
  struct sms_item *item;

  if (from.len == 0 || from.len > SMS_ID_BYTES_MAX || id.len == 0 || id.len > SMS_ID_BYTES_MAX || to.len > SMS_ID_BYTES_MAX ||
      text.len > SMS_TEXT_BYTES_MAX) {
    taken->fault = from.len == 0 ? "it does not say who wrote" : id.len == 0 ? "it has no id" : "one of its values is too long";
    return NULL;
  }
  item = item_add(taken);
  if (item == NULL)
    return NULL;
  item->from = phone(number_plus(taken->memory, from));
  item->to = phone(number_plus(taken->memory, to));
  item->from_list[0] = &item->from;
  item->to_list[0] = &item->to;
  item->inbound = (parley_inbound){.size = sizeof item->inbound,
                                   .kind = PARLEY_KIND_CONTENT,
                                   .event_id = id,
                                   .provider_id = id,
                                   .from = item->from_list,
                                   .n_from = 1,
                                   .to = item->to_list,
                                   .n_to = to.len > 0,
                                   .parts = item->part_list,
                                   .fields = item->fields};
  if (text.len > 0)
    part_add(item, &(parley_part){.size = sizeof(parley_part), .kind = PARLEY_PART_TEXT, .text = text});
  return item;
}

static bool url_good(parley_text url)
{
  for (size_t i = 0; i < url.len; i++)
    if ((unsigned char)url.at[i] <= 0x20 || url.at[i] == 0x7f)
      return false;
  return url.len <= SMS_URL_BYTES_MAX &&
         ((url.len > 8 && memcmp(url.at, "https://", 8) == 0) || (url.len > 7 && memcmp(url.at, "http://", 7) == 0));
}

void sms_media_add(struct sms_taken *taken, struct sms_item *item, parley_text url, parley_text type)
{
  if (!url_good(url) || type.len > SMS_ID_BYTES_MAX) {
    taken->n_unknown++;
    return;
  }
  part_add(item, &(parley_part){.size = sizeof(parley_part),
                                .kind = PARLEY_PART_MEDIA,
                                .url = url,
                                .type = type.len > 0 ? type : PARLEY_LIT("application/octet-stream")});
}

bool sms_call_is_form(const parley_http_call *call)
{
  static const char form[] = "application/x-www-form-urlencoded";
  parley_text type = parley_header(call->headers, call->n_headers, "content-type");

  return type.len >= sizeof form - 1 && strncasecmp(type.at, form, sizeof form - 1) == 0;
}

json_t *sms_call_read(const parley_http_call *call, struct sms_taken *taken)
{
  struct sms_fields *fields;
  struct json_faults faults = {.count = 0};

  if (call->body.len > 0 && !sms_call_is_form(call)) {
    taken->root = json_strict_load(call->body, &faults);
    taken->fault = taken->root == NULL ? "it is neither JSON nor a form" : NULL;
    return taken->root;
  }
  fields = copy_room(taken->memory, sizeof *fields);
  taken->fault = fields != NULL ? sms_form_read(call->body.len > 0 ? call->body : call->query, taken->memory, fields) : "no memory";
  if (taken->fault == NULL) {
    taken->root = sms_fields_object(fields);
    taken->fault = taken->root == NULL ? "no memory" : NULL;
  }
  return taken->root;
}

parley_text sms_member(const json_t *object, const char *name)
{
  const json_t *value = json_object_get(object, name);

  return json_is_string(value) ? (parley_text){json_string_value(value), json_string_length(value)} : PARLEY_LIT("");
}

static uint32_t count_read(parley_text text)
{
  uint32_t value = 0;

  if (text.len == 0 || text.len > 3)
    return 0;
  for (size_t i = 0; i < text.len; i++) {
    if (text.at[i] < '0' || text.at[i] > '9')
      return 0;
    value = value * 10 + (uint32_t)(text.at[i] - '0');
  }
  return value;
}

bool sms_segment_set(struct sms_taken *taken, struct sms_item *item, parley_text reference, parley_text part, parley_text total)
{
  uint32_t index = count_read(part), of = count_read(total);
  const parley_text pieces[] = {item->from.value, PARLEY_LIT(" "), item->to.value, PARLEY_LIT(" "),
                                reference,        PARLEY_LIT(" "), total};

  if (reference.len == 0 || reference.len > SMS_CODE_ROOM || index == 0 || of < 2 || index > of || of > SMS_PIECES_MAX)
    return false;
  item->segment =
      (parley_segment){.size = sizeof item->segment, .index = index, .total = of, .key = sms_join(taken->memory, pieces, 7)};
  item->inbound.segment = &item->segment;
  return true;
}

const char *sms_verdict_code(enum sms_verdict verdict)
{
  switch (verdict) {
  case SMS_GOOD:
    return "good";
  case SMS_MISSING:
    return "missing";
  case SMS_MALFORMED:
    return "malformed";
  case SMS_STALE:
    return "stale";
  case SMS_MISMATCH:
    return "mismatch";
  }
  return "mismatch";
}
