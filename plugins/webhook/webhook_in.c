/* webhook_wire.h, the way in: strict reading of what the other side posts, and the answers to it. */
#include "webhook_wire.h"
#include <stdio.h>
#include <stdlib.h>

/* What one request's reading needs at every step. */
struct reader {
  struct webhook_in *in;
  struct json_faults *faults;
  bool no_memory;
};

static parley_part *part_add(struct reader *r, uint32_t kind)
{
  parley_inbound *inbound = &r->in->inbound;
  parley_part *part = &r->in->parts[inbound->n_parts];

  *part = (parley_part){.size = sizeof *part, .kind = kind};
  r->in->part_list[inbound->n_parts++] = part;
  return part;
}

/* --- from -------------------------------------------------------------------------------------------------------- */

static bool kind_good(const char *kind)
{
  size_t len = strspn(kind, "abcdefghijklmnopqrstuvwxyz0123456789_.-");

  return len > 0 && len <= WEBHOOK_KIND_BYTES_MAX && kind[len] == '\0';
}

static void identity_read(struct reader *r, const json_t *from, const char *kind)
{
  parley_inbound *inbound = &r->in->inbound;
  parley_identity *identity = &r->in->identities[inbound->n_from];
  parley_text value;

  if (!kind_good(kind)) {
    json_fault_add(r->faults, "/from", kind, "unknown_field", "an identity's kind has 1 to 32 of a-z 0-9 _ . -");
    return;
  }
  if (inbound->n_from == WEBHOOK_IDENTITIES_MAX) {
    json_fault_add(r->faults, "/from", NULL, "too_many", "at most 8 identities");
    return;
  }
  value = json_text_get(from, "/from", kind, true, WEBHOOK_VALUE_BYTES_MAX, r->faults);
  *identity = (parley_identity){
      .size = sizeof *identity, .assurance = PARLEY_CLAIMED, .kind = parley_text_of(kind), .value = value};
  r->in->from[inbound->n_from++] = identity;
}

/* {"email":"ana@example.org","external":"shop-77","name":"Ana"}: kinds as in the API's `to`; name is the person's. */
static void from_read(struct reader *r, const json_t *root)
{
  json_t *from = json_object_get(root, "from");
  parley_text name;

  if (!json_is_object(from)) {
    json_fault_add(r->faults, "", "from", from == NULL ? "required" : "wrong_type",
                   "who wrote: {\"email\": \"ana@example.org\"}");
    return;
  }
  name = json_text_get(from, "/from", "name", false, WEBHOOK_VALUE_BYTES_MAX, r->faults);
  for (void *it = json_object_iter(from); it != NULL; it = json_object_iter_next(from, it))
    if (strcmp(json_object_iter_key(it), "name") != 0)
      identity_read(r, from, json_object_iter_key(it));
  if (r->in->inbound.n_from == 0)
    json_fault_add(r->faults, "", "from", "required", "at least one identity, such as \"email\" or \"external\"");
  else
    r->in->identities[0].name = name;
}

/* --- content ----------------------------------------------------------------------------------------------------- */

static void text_read(struct reader *r, const json_t *object, const char *at, const char *name, uint32_t kind)
{
  parley_text text = json_text_get(object, at, name, false, WEBHOOK_TEXT_BYTES_MAX, r->faults);

  if (text.len > 0)
    part_add(r, kind)->text = text;
}

/* The bytes of "data"; the blob is freed with the request. */
static void data_read(struct reader *r, parley_part *part, const char *at, parley_text base64)
{
  char **blob = &r->in->blobs[part - r->in->parts];
  parley_status st = json_base64_read(base64, blob, &part->data.len);

  if (st == PARLEY_BUSY)
    r->no_memory = true;
  else if (st != PARLEY_OK)
    json_fault_add(r->faults, at, "data", "bad_base64", "base64 with padding is expected");
  part->data.at = *blob;
  part->total_bytes = part->data.len;
}

static bool url_good(parley_text url)
{
  static const char *const schemes[] = {"https://", "http://"};

  for (size_t i = 0; i < url.len; i++)
    if ((unsigned char)url.at[i] <= 0x20 || url.at[i] == 0x7f)
      return false;
  for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
    if (url.len > strlen(schemes[i]) && memcmp(url.at, schemes[i], strlen(schemes[i])) == 0)
      return true;
  return false;
}

static void media_read(struct reader *r, const json_t *item, const char *at)
{
  static const char *const names[] = {"url", "data", "type", "name", "caption", NULL};
  parley_part *part;
  parley_text data;

  if (!json_is_object(item)) {
    json_fault_add(r->faults, at, NULL, "wrong_type", "an object with url or data is expected");
    return;
  }
  json_names_check(item, at, names, r->faults);
  part = part_add(r, PARLEY_PART_MEDIA);
  part->url = json_text_get(item, at, "url", false, WEBHOOK_URL_BYTES_MAX, r->faults);
  part->type = json_text_get(item, at, "type", true, WEBHOOK_VALUE_BYTES_MAX, r->faults);
  part->name = json_text_get(item, at, "name", false, WEBHOOK_VALUE_BYTES_MAX, r->faults);
  part->text = json_text_get(item, at, "caption", false, WEBHOOK_TEXT_BYTES_MAX, r->faults);
  data = json_text_get(item, at, "data", false, SIZE_MAX, r->faults);
  if ((part->url.len > 0) == (data.len > 0))
    json_fault_add(r->faults, at, NULL, "invalid", "exactly one of url and data is expected");
  else if (data.len > 0)
    data_read(r, part, at, data);
  else if (!url_good(part->url))
    json_fault_add(r->faults, at, "url", "bad_url", "an http or https URL is expected");
}

static void media_list_read(struct reader *r, const json_t *content)
{
  const json_t *list = json_object_get(content, "media");
  char at[JSON_POINTER_ROOM], place[24];

  if (list == NULL || json_is_null(list))
    return;
  if (!json_is_array(list) || json_array_size(list) > WEBHOOK_MEDIA_MAX) {
    json_fault_add(r->faults, "/content", "media", json_is_array(list) ? "too_many" : "wrong_type",
                   "a list of at most 10");
    return;
  }
  for (size_t i = 0; i < json_array_size(list); i++) {
    snprintf(place, sizeof place, "%zu", i);
    json_pointer_make("/content/media", place, at);
    media_read(r, json_array_get(list, i), at);
  }
}

static void location_read(struct reader *r, const json_t *content)
{
  static const char *const names[] = {"latitude", "longitude", "name", "address", NULL};
  static const char at[] = "/content/location";
  const json_t *location = json_object_get(content, "location");
  parley_part *part;

  if (location == NULL || json_is_null(location))
    return;
  if (!json_is_object(location)) {
    json_fault_add(r->faults, at, NULL, "wrong_type", "an object with latitude and longitude is expected");
    return;
  }
  json_names_check(location, at, names, r->faults);
  part = part_add(r, PARLEY_PART_LOCATION);
  json_number_get(location, at, "latitude", true, -90, 90, &part->latitude, r->faults);
  json_number_get(location, at, "longitude", true, -180, 180, &part->longitude, r->faults);
  part->name = json_text_get(location, at, "name", false, WEBHOOK_VALUE_BYTES_MAX, r->faults);
  part->text = json_text_get(location, at, "address", false, WEBHOOK_VALUE_BYTES_MAX, r->faults);
}

static void content_read(struct reader *r, const json_t *root)
{
  static const char *const names[] = {"subject", "text", "html", "media", "location", NULL};
  const json_t *content = json_object_get(root, "content");

  if (content == NULL || json_is_null(content))
    return;
  if (!json_is_object(content)) {
    json_fault_add(r->faults, "", "content", "wrong_type", "an object is expected");
    return;
  }
  if (json_object_get(root, "text") != NULL) {
    json_fault_add(r->faults, "", "text", "invalid", "either text or content, for text is short for content.text");
    return;
  }
  json_names_check(content, "/content", names, r->faults);
  r->in->inbound.subject = json_text_get(content, "/content", "subject", false, WEBHOOK_SUBJECT_BYTES_MAX, r->faults);
  text_read(r, content, "/content", "text", PARLEY_PART_TEXT);
  text_read(r, content, "/content", "html", PARLEY_PART_HTML);
  media_list_read(r, content);
  location_read(r, content);
}

/* --- The two types ----------------------------------------------------------------------------------------------- */

static void message_read(struct reader *r, const json_t *root)
{
  static const char *const names[] = {"type", "id", "from", "text", "content", "in_reply_to", "postback", "at", NULL};
  parley_inbound *inbound = &r->in->inbound;

  *inbound = (parley_inbound){
      .size = sizeof *inbound, .kind = PARLEY_KIND_CONTENT, .from = r->in->from, .parts = r->in->part_list};
  json_names_check(root, "", names, r->faults);
  inbound->event_id = inbound->provider_id = json_text_get(root, "", "id", true, WEBHOOK_ID_BYTES_MAX, r->faults);
  inbound->reply_to = json_text_get(root, "", "in_reply_to", false, WEBHOOK_ID_BYTES_MAX, r->faults);
  inbound->payload = json_text_get(root, "", "postback", false, WEBHOOK_VALUE_BYTES_MAX, r->faults);
  inbound->at_ms = json_time_get(root, "", "at", false, r->faults);
  if (inbound->payload.len > 0)
    inbound->kind = PARLEY_KIND_POSTBACK;
  from_read(r, root);
  text_read(r, root, "", "text", PARLEY_PART_TEXT);
  content_read(r, root);
  if (inbound->n_parts == 0 && inbound->payload.len == 0 && r->faults->count == 0)
    json_fault_add(r->faults, "", "text", "required", "text, content or postback: one is required");
}

/* Our own id, as the outbound message told it. */
static bool message_id_good(parley_text id)
{
  static const char prefix[] = "msg_";
  const size_t digits = 13, len = sizeof prefix - 1 + digits;

  if (id.len != len || memcmp(id.at, prefix, sizeof prefix - 1) != 0)
    return false;
  for (size_t i = sizeof prefix - 1; i < len; i++)
    if (!((id.at[i] >= '0' && id.at[i] <= '9') || (id.at[i] >= 'A' && id.at[i] <= 'Z')))
      return false;
  return true;
}

static uint32_t receipt_kind(parley_text status)
{
  static const struct { const char *name; uint32_t kind; } kinds[] = {
      {"sent", PARLEY_RECEIPT_SENT}, {"delivered", PARLEY_RECEIPT_DELIVERED}, {"read", PARLEY_RECEIPT_READ},
      {"failed", PARLEY_RECEIPT_FAILED}};

  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
    if (parley_text_is(status, kinds[i].name))
      return kinds[i].kind;
  return 0;
}

static void receipt_read(struct reader *r, const json_t *root)
{
  static const char *const names[] = {"type", "message", "status", "at", "code", NULL};
  parley_receipt *receipt = &r->in->receipt;
  parley_text status;

  *receipt = (parley_receipt){.size = sizeof *receipt};
  r->in->is_receipt = true;
  json_names_check(root, "", names, r->faults);
  receipt->message_id = json_text_get(root, "", "message", true, WEBHOOK_ID_BYTES_MAX, r->faults);
  status = json_text_get(root, "", "status", true, WEBHOOK_CODE_BYTES_MAX, r->faults);
  receipt->at_ms = json_time_get(root, "", "at", true, r->faults);
  receipt->code = json_text_get(root, "", "code", false, WEBHOOK_CODE_BYTES_MAX, r->faults);
  receipt->kind = receipt_kind(status);
  if (receipt->kind == PARLEY_RECEIPT_FAILED)
    receipt->outcome = PARLEY_OUTCOME_REJECTED;
  if (status.len > 0 && receipt->kind == 0)
    json_fault_add(r->faults, "", "status", "bad_choice", "sent, delivered, read or failed");
  if (receipt->message_id.len > 0 && !message_id_good(receipt->message_id))
    json_fault_add(r->faults, "", "message", "bad_id", "the id that message.send named: msg_ and 13 characters");
}

static void document_read(struct reader *r, const json_t *root)
{
  parley_text type;

  if (!json_is_object(root)) {
    json_fault_add(r->faults, "", NULL, "wrong_type", "an object is expected");
    return;
  }
  type = json_text_get(root, "", "type", false, WEBHOOK_CODE_BYTES_MAX, r->faults);
  if (parley_text_is(type, "receipt"))
    receipt_read(r, root);
  else if (type.len == 0 || parley_text_is(type, "message"))
    message_read(r, root);
  else
    json_fault_add(r->faults, "", "type", "bad_choice", "message or receipt");
}

struct webhook_in *webhook_in_read(parley_bytes body, struct json_faults *faults)
{
  struct reader r = {.faults = faults};
  json_t *root = json_strict_load(body, faults);

  if (root == NULL)
    return NULL;
  r.in = calloc(1, sizeof *r.in);
  if (r.in == NULL) {
    json_decref(root);
    return NULL;
  }
  r.in->root = root;
  document_read(&r, root);
  if (faults->count == 0 && !r.no_memory)
    return r.in;
  webhook_in_free(r.in);
  return NULL;
}

void webhook_in_free(struct webhook_in *in)
{
  if (in == NULL)
    return;
  for (size_t i = 0; i < WEBHOOK_PARTS_MAX; i++)
    free(in->blobs[i]);
  json_decref(in->root);
  free(in);
}

/* --- Answers ----------------------------------------------------------------------------------------------------- */

static void faults_write(struct json_writer *w, const struct json_faults *faults)
{
  size_t shown = faults->count < JSON_FAULTS_MAX ? faults->count : JSON_FAULTS_MAX;

  json_write_name(w, "errors");
  json_write_lit(w, "[");
  for (size_t i = 0; i < shown; i++) {
    json_write_comma(w);
    json_write_lit(w, "{\"pointer\":");
    json_write_text(w, parley_text_of(faults->faults[i].pointer));
    json_write_member(w, "code", parley_text_of(faults->faults[i].code));
    json_write_member(w, "detail", parley_text_of(faults->faults[i].detail));
    json_write_lit(w, "}");
  }
  json_write_lit(w, "]");
}

void webhook_problem_write(struct json_writer *w, uint32_t status, const char *title, const char *code,
                           parley_text detail, const struct json_faults *faults)
{
  json_writer_clear(w);
  json_write_lit(w, "{\"type\":\"about:blank\"");
  json_write_member(w, "title", parley_text_of(title));
  json_write_name(w, "status");
  json_write_int(w, status);
  json_write_member(w, "code", parley_text_of(code));
  json_write_member(w, "detail", detail);
  if (faults != NULL && faults->count > 0)
    faults_write(w, faults);
  json_write_lit(w, "}");
}

void webhook_answer_write(struct json_writer *w, parley_text id, bool duplicate)
{
  json_writer_clear(w);
  json_write_lit(w, "{\"id\":");
  json_write_text(w, id);
  json_write_name(w, "duplicate");
  json_write_lit(w, duplicate ? "true}" : "false}");
}
