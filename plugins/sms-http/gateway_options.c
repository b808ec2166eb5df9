#include "gateway_options.h"
#include "gateway_check.h"
#include "common/option.h"
#include <stdio.h>
#include <stdlib.h>

enum { CODE_DIGITS = 3 };

/* What the choices of the table mean, in their order. */
static const enum digest_hash hashes[] = {DIGEST_SHA1, DIGEST_SHA256, DIGEST_SHA512, DIGEST_MD5};
static const uint32_t outcomes[] = {PARLEY_OUTCOME_ACCEPTED,    PARLEY_OUTCOME_RETRY,     PARLEY_OUTCOME_REJECTED,
                                    PARLEY_OUTCOME_BAD_ADDRESS, PARLEY_OUTCOME_THROTTLED, PARLEY_OUTCOME_CHANNEL_DOWN,
                                    PARLEY_OUTCOME_UNKNOWN};
static const uint32_t kinds[] = {PARLEY_RECEIPT_SENT, PARLEY_RECEIPT_DELIVERED, PARLEY_RECEIPT_READ, PARLEY_RECEIPT_FAILED,
                                 GATEWAY_RECEIPT_NOTHING};

/* --- Reading ------------------------------------------------------------------------------------------------------ */
struct reading {
  struct gateway_description *to;
  char *why;
  parley_status status; /* the first that is not OK counts */
};

static bool fail(struct reading *r, const char *group, const char *name, const char *what)
{
  if (r->status == PARLEY_OK) {
    r->status = PARLEY_INVALID;
    snprintf(r->why, SMS_WHY_ROOM, "gateway.%s%s%s: %s", group, name[0] != '\0' ? "." : "", name, what);
  }
  return false;
}

static void expect_good(struct reading *r, const char *group, const char *name, const char *fault)
{
  if (fault != NULL)
    fail(r, group, name, fault);
}

static char *string_of(struct reading *r, parley_text text)
{
  char *to = copy_room(r->to->memory, text.len + 1);

  if (to != NULL && text.len > 0)
    memcpy(to, text.at, text.len);
  return to;
}

static struct gateway_pointer pointer_of(struct reading *r, const parley_value *group, const char *where, const char *name)
{
  const parley_value *value = option_given(group) ? parley_find(group, name) : NULL;
  const char *fault = option_given(value) ? sms_pointer_fault(value->text) : NULL;

  if (fault != NULL)
    fail(r, where, name, fault);
  return option_given(value) ? (struct gateway_pointer){true, value->text} : (struct gateway_pointer){false, {NULL, 0}};
}

static void template_of(struct reading *r, parley_text text, enum gateway_place place, const char *where, const char *name,
                        struct gateway_template *to)
{
  static const char *const sent[] = {"to",      "to_digits", "from",     "from_digits", "text",      "id",   "callback",
                                     "account", "user",      "alphabet", "media",       "expires_s", "kind", NULL};
  static const char *const signed_names[] = {"body", "url", "path", "query", "method", "header.", "field.", NULL};
  char why[GATEWAY_TEMPLATE_WHY_ROOM];
  parley_status st = gateway_template_read(text, place, place == GATEWAY_IN_SIGNED ? signed_names : sent, r->to->memory, to, why);

  if (st == PARLEY_INVALID)
    fail(r, where, name, why);
  else if (st != PARLEY_OK && r->status == PARLEY_OK)
    r->status = st;
}

static void pairs_of(struct reading *r, const parley_value *group, const char *name, enum gateway_place place,
                     struct gateway_pairs *to)
{
  const parley_value *map = parley_find(group, name);
  char where[64];

  if (!option_given(map) || map->n_items == 0)
    return;
  snprintf(where, sizeof where, "send.%s", name);
  to->pairs = copy_room(r->to->memory, map->n_items * sizeof *to->pairs);
  for (uint64_t i = 0; i < map->n_items && to->pairs != NULL; i++) {
    to->pairs[i].name = string_of(r, map->items[i]->name);
    if (to->pairs[i].name == NULL)
      return;
    template_of(r, map->items[i]->text, place, where, to->pairs[i].name, &to->pairs[i].value);
    to->n++;
  }
}

static void rows_of(struct reading *r, const parley_value *group, const char *name, const uint32_t *means, struct gateway_rows *to)
{
  const parley_value *map = option_given(group) ? parley_find(group, name) : NULL;

  if (!option_given(map) || map->n_items == 0)
    return;
  to->rows = copy_room(r->to->memory, map->n_items * sizeof *to->rows);
  for (uint64_t i = 0; i < map->n_items && to->rows != NULL; i++)
    to->rows[to->n++] = (struct gateway_row){map->items[i]->name, means[map->items[i]->number]};
}

uint32_t gateway_row_find(const struct gateway_rows *rows, parley_text value)
{
  uint32_t any = 0;

  for (uint32_t i = 0; i < rows->n; i++) {
    const struct gateway_row *row = &rows->rows[i];

    if (row->value.len == value.len && (value.len == 0 || memcmp(row->value.at, value.at, value.len) == 0))
      return row->means;
    if (parley_text_is(row->value, "*"))
      any = row->means;
  }
  return any;
}

/* --- send --------------------------------------------------------------------------------------------------------- */
static bool sample_value(parley_text name, parley_text *ret, const void *arg)
{
  (void)name;
  (void)arg;
  *ret = PARLEY_LIT("x");
  return true;
}

/* With any value in it, it must be JSON. */
static void json_check(struct reading *r)
{
  struct json_writer text = {0};
  json_error_t error;
  char why[JSON_ERROR_TEXT_LENGTH + 64];
  json_t *root;

  if (r->status != PARLEY_OK)
    return;
  gateway_template_write(&r->to->send.json, sample_value, NULL, NULL, 0, &text);
  root = json_loadb(text.at, text.len, JSON_REJECT_DUPLICATES, &error);
  if (root == NULL) {
    snprintf(why, sizeof why, "it is no JSON: line %d, column %d: %s", error.line, error.column, error.text);
    fail(r, "send", "json", why);
  }
  json_decref(root);
  json_writer_done(&text);
}

static void headers_check(struct reading *r, const parley_value *map)
{
  for (uint64_t i = 0; option_given(map) && i < map->n_items && i < r->to->send.headers.n; i++) {
    const char *name = r->to->send.headers.pairs[i].name;

    expect_good(r, "send.headers", "", gateway_header_name_fault(name));
    expect_good(r, "send.headers", name, gateway_header_value_fault(map->items[i]->text));
  }
}

static void auth_read(struct reading *r, const parley_value *group)
{
  struct gateway_send *send = &r->to->send;
  parley_text name = option_text(group, "name");

  send->auth = option_given(group) ? (enum gateway_auth)option_number(group, "kind", 0) : GATEWAY_AUTH_BASIC;
  send->auth_prefix = option_text(group, "prefix");
  if (send->auth == GATEWAY_AUTH_HEADER && name.len == 0)
    name = PARLEY_LIT("authorization");
  if (send->auth == GATEWAY_AUTH_QUERY && name.len == 0)
    fail(r, "send.auth", "name", "with kind query it says which field has the secret");
  send->auth_name = string_of(r, name);
  if (send->auth == GATEWAY_AUTH_HEADER && send->auth_name != NULL)
    expect_good(r, "send.auth", "name", gateway_header_name_fault(send->auth_name));
  expect_good(r, "send.auth", "prefix", gateway_header_value_fault(send->auth_prefix));
}

static void send_read(struct reading *r, const parley_value *group)
{
  struct gateway_send *send = &r->to->send;
  parley_text url = option_text(group, "url"), json = option_text(group, "json");

  send->method = parley_text_of(gateway_methods[option_number(group, "method", 0)]);
  expect_good(r, "send", "url", gateway_url_fault(url));
  template_of(r, url, GATEWAY_IN_URL, "send", "url", &send->url);
  auth_read(r, parley_find(group, "auth"));
  pairs_of(r, group, "query", GATEWAY_IN_FIELD, &send->query);
  pairs_of(r, group, "headers", GATEWAY_IN_HEADER, &send->headers);
  headers_check(r, parley_find(group, "headers"));
  pairs_of(r, group, "form", GATEWAY_IN_FIELD, &send->form);
  if (json.len > 0 && send->form.n > 0)
    fail(r, "send", "json", "either json or form");
  if (json.len > 0) {
    template_of(r, json, GATEWAY_IN_JSON, "send", "json", &send->json);
    json_check(r);
  }
  if (parley_text_is(send->method, "GET") && (json.len > 0 || send->form.n > 0))
    fail(r, "send", "method", "GET has no body: put the fields into query");
}

static bool pairs_name(const struct gateway_pairs *pairs, const char *name)
{
  for (uint32_t i = 0; i < pairs->n; i++)
    if (gateway_template_names(&pairs->pairs[i].value, name))
      return true;
  return false;
}

static bool sends(const struct gateway_send *send, const char *name)
{
  return gateway_template_names(&send->url, name) || gateway_template_names(&send->json, name) || pairs_name(&send->query, name) ||
         pairs_name(&send->form, name) || pairs_name(&send->headers, name);
}

static void send_complete(struct reading *r)
{
  const struct gateway_send *send = &r->to->send;

  if (!sends(send, "to") && !sends(send, "to_digits"))
    fail(r, "send", "", "{{to}} or {{to_digits}} stands nowhere: whom would it go to?");
  if (!sends(send, "text"))
    fail(r, "send", "", "{{text}} stands nowhere");
  r->to->has_media = sends(send, "media");
}

/* --- answer ------------------------------------------------------------------------------------------------------- */
static void http_check(struct reading *r, const struct gateway_rows *http)
{
  for (uint32_t i = 0; i < http->n; i++) {
    parley_text code = http->rows[i].value;
    bool good = code.len == CODE_DIGITS && code.at[0] >= '1' && code.at[0] <= '5' &&
                ((code.at[1] == 'x' && code.at[2] == 'x') ||
                 (code.at[1] >= '0' && code.at[1] <= '9' && code.at[2] >= '0' && code.at[2] <= '9'));

    if (!good)
      fail(r, "answer", "http", "HTTP codes are written like 402, classes like 4xx");
  }
}

static void answer_read(struct reading *r, const parley_value *group) /* without it, HTTP codes alone say what became of it */
{
  struct gateway_answer *answer = &r->to->answer;

  answer->each = pointer_of(r, group, "answer", "each");
  answer->id = pointer_of(r, group, "answer", "id");
  answer->outcome = pointer_of(r, group, "answer", "outcome");
  answer->code = pointer_of(r, group, "answer", "code");
  answer->detail = pointer_of(r, group, "answer", "detail");
  answer->retry_after = pointer_of(r, group, "answer", "retry_after");
  rows_of(r, group, "outcomes", outcomes, &answer->outcomes);
  rows_of(r, group, "codes", outcomes, &answer->codes);
  rows_of(r, group, "http", outcomes, &answer->http);
  http_check(r, &answer->http);
  if (answer->outcome.given != (answer->outcomes.n > 0))
    fail(r, "answer", "outcomes", "outcome says where a value stands, outcomes what it means: both or none");
  if (answer->codes.n > 0 && !answer->code.given)
    fail(r, "answer", "codes", "code says where they stand");
}

/* --- in ----------------------------------------------------------------------------------------------------------- */
static void lower(char *text)
{
  for (; text != NULL && *text != '\0'; text++)
    if (*text >= 'A' && *text <= 'Z')
      *text = (char)(*text + ('a' - 'A'));
}

static void signature_read(struct reading *r, const parley_value *group)
{
  struct gateway_signature *to = &r->to->signature;

  r->to->has_signature = option_given(group);
  if (!r->to->has_signature)
    return;
  to->kind = (enum gateway_sign)option_number(group, "kind", 0);
  to->hash = hashes[option_number(group, "hash", 0)];
  to->encoding = (enum digest_encoding)option_number(group, "encoding", 0);
  to->header = string_of(r, option_text(group, "header"));
  to->query = string_of(r, option_text(group, "query"));
  to->timestamp = string_of(r, option_text(group, "timestamp"));
  to->prefix = option_text(group, "prefix");
  to->tolerance_ms = option_number(group, "tolerance", 0);
  lower(to->header);
  lower(to->timestamp);
  template_of(r, option_text(group, "over"), GATEWAY_IN_SIGNED, "signature", "over", &to->over);
  if (to->kind == GATEWAY_SIGN_HMAC && option_text(group, "header").len == 0)
    fail(r, "signature", "header", "with kind hmac it says where the signature stands");
  if (to->header != NULL && to->header[0] != '\0')
    expect_good(r, "signature", "header", gateway_header_name_fault(to->header));
  if (to->timestamp != NULL && to->timestamp[0] != '\0')
    expect_good(r, "signature", "timestamp", gateway_header_name_fault(to->timestamp));
  if (to->kind == GATEWAY_SIGN_HMAC)
    expect_good(r, "signature", "over", gateway_over_fault(option_text(group, "over")));
  if (to->kind == GATEWAY_SIGN_TOKEN && (option_text(group, "header").len > 0) == (option_text(group, "query").len > 0))
    fail(r, "signature", "", "with kind token either header or query says where it stands");
}

static void when_read(struct reading *r, const parley_value *group, const char *where, struct gateway_when *to)
{
  const parley_value *map = parley_find(group, "when");

  for (uint64_t i = 0; option_given(map) && i < map->n_items && i < GATEWAY_PAIRS_MAX; i++) {
    const char *fault = sms_pointer_fault(map->items[i]->name);

    if (fault != NULL)
      fail(r, where, "when", fault);
    to->conditions[to->n++] = (parley_pair){map->items[i]->name, map->items[i]->text};
  }
}

static void event_read(struct reading *r, const parley_value *group, const char *where, struct gateway_event *to)
{
  to->given = option_given(group);
  if (!to->given)
    return;
  to->each = pointer_of(r, group, where, "each");
  to->id = pointer_of(r, group, where, "id");
  to->time = pointer_of(r, group, where, "time");
  when_read(r, group, where, &to->when);
}

static void receipts_read(struct reading *r, const parley_value *group)
{
  struct gateway_event *to = &r->to->receipts;

  event_read(r, group, "receipts", to);
  if (!to->given)
    return;
  to->reference = pointer_of(r, group, "receipts", "reference");
  to->status = pointer_of(r, group, "receipts", "status");
  to->code = pointer_of(r, group, "receipts", "code");
  to->detail = pointer_of(r, group, "receipts", "detail");
  rows_of(r, group, "statuses", kinds, &to->statuses);
  rows_of(r, group, "codes", outcomes, &to->codes);
  if (!to->id.given && !to->reference.given)
    fail(r, "receipts", "id", "it or reference says which message is meant");
  if (!to->status.given || to->statuses.n == 0)
    fail(r, "receipts", "status", "it says where the status stands, statuses what its values mean");
}

static void inbound_read(struct reading *r, const parley_value *group)
{
  struct gateway_event *to = &r->to->inbound;
  const parley_value *segment = option_given(group) ? parley_find(group, "segment") : NULL;

  event_read(r, group, "inbound", to);
  if (!to->given)
    return;
  to->from = pointer_of(r, group, "inbound", "from");
  to->to = pointer_of(r, group, "inbound", "to");
  to->text = pointer_of(r, group, "inbound", "text");
  to->media = pointer_of(r, group, "inbound", "media");
  to->media_url = pointer_of(r, group, "inbound", "media_url");
  to->media_type = pointer_of(r, group, "inbound", "media_type");
  to->segment_reference = pointer_of(r, segment, "inbound.segment", "reference");
  to->segment_part = pointer_of(r, segment, "inbound.segment", "part");
  to->segment_total = pointer_of(r, segment, "inbound.segment", "total");
  if (!to->id.given || !to->from.given || !to->text.given)
    fail(r, "inbound", "", "id, from and text say where they stand: all three are needed");
  if (option_given(segment) && (!to->segment_reference.given || !to->segment_part.given || !to->segment_total.given))
    fail(r, "inbound", "segment", "reference, part and total: all three are needed");
}

/* --- All of it ---------------------------------------------------------------------------------------------------- */
static void description_read(struct reading *r, const parley_value *group)
{
  const parley_value *check = parley_find(group, "check"), *text = parley_find(group, "text"), *reply = parley_find(group, "reply");

  send_read(r, parley_find(group, "send"));
  send_complete(r);
  answer_read(r, parley_find(group, "answer"));
  r->to->gsm7 = option_text(text, "gsm7");
  r->to->unicode = option_text(text, "unicode");
  r->to->gsm7_max = option_given(text) ? (uint32_t)option_number(text, "gsm7_max", 0) : GATEWAY_GSM7_DEFAULT;
  r->to->unicode_max = option_given(text) ? (uint32_t)option_number(text, "unicode_max", 0) : GATEWAY_UNICODE_DEFAULT;
  r->to->pieces_max = option_given(text) ? (uint32_t)option_number(text, "pieces", 0) : GATEWAY_PIECES_DEFAULT;
  r->to->has_check = option_given(check);
  if (r->to->has_check) {
    expect_good(r, "check", "url", gateway_url_fault(option_text(check, "url")));
    template_of(r, option_text(check, "url"), GATEWAY_IN_URL, "check", "url", &r->to->check_url);
  }
  signature_read(r, parley_find(group, "signature"));
  receipts_read(r, parley_find(group, "receipts"));
  inbound_read(r, parley_find(group, "inbound"));
  r->to->reply_type = option_text(reply, "type");
  r->to->reply_body = option_text(reply, "body");
  expect_good(r, "reply", "type", gateway_header_value_fault(r->to->reply_type));
  if ((r->to->receipts.given || r->to->inbound.given) && !r->to->has_signature)
    fail(r, "signature", "",
         "whoever knows the address could post receipts and messages: say how the gateway shows that they are its own");
}

parley_status gateway_description_read(const parley_value *group, struct gateway_description **ret, char why[SMS_WHY_ROOM])
{
  struct reading r = {.to = calloc(1, sizeof *r.to), .why = why, .status = PARLEY_OK};

  if (r.to != NULL)
    r.to->memory = copy_new();
  if (r.to == NULL || r.to->memory == NULL) {
    free(r.to);
    return PARLEY_BUSY;
  }
  description_read(&r, group);
  if (r.status == PARLEY_OK && copy_failed(r.to->memory))
    r.status = PARLEY_BUSY;
  if (r.status == PARLEY_OK)
    *ret = r.to;
  else
    gateway_description_free(&r.to);
  return r.status;
}

void gateway_description_free(struct gateway_description **description)
{
  if (*description == NULL)
    return;
  copy_free(&(*description)->memory);
  free(*description);
  *description = NULL;
}
