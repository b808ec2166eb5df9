/* exec_wire.h, the way in: reading of what a program says. Strict in what it understands, and deaf to members it does
 * not know, so that a newer program works with an older host. */
#include "exec_wire.h"
#include <stdio.h>
#include <stdlib.h>

enum { TOKEN_DIGITS_MAX = 20 };

/* What one line's reading needs at every step. */
struct reader {
  struct exec_line *line;
  const json_t *root;
  struct json_faults *faults;
  bool no_memory;
};
struct word {
  const char *name;
  uint32_t value;
};

/* --- Members ------------------------------------------------------------------------------------------------------ */

/* An empty text counts as none where none is needed: many programs write all their members always. */
static parley_text text_in(const struct reader *r, const json_t *object, const char *at, const char *name,
                           bool required, size_t bytes_max)
{
  const json_t *value = json_object_get(object, name);
  parley_text none = {NULL, 0};

  if (!required && json_is_string(value) && json_string_length(value) == 0)
    return none;
  return json_text_get(object, at, name, required, bytes_max, r->faults);
}

static parley_text text_get(const struct reader *r, const char *name, size_t bytes_max)
{
  return text_in(r, r->root, "", name, false, bytes_max);
}

static parley_text text_need(const struct reader *r, const char *name, size_t bytes_max)
{
  return text_in(r, r->root, "", name, true, bytes_max);
}

static bool flag_get(const struct reader *r, const char *name)
{
  const json_t *value = json_object_get(r->root, name);

  if (value != NULL && !json_is_null(value) && !json_is_boolean(value))
    json_fault_add(r->faults, "", name, "wrong_type", "true or false is expected");
  return json_is_true(value);
}

/* The value that goes with a word; 0: absent, or a fault that names the words there are. */
static uint32_t word_get(const struct reader *r, const char *name, bool required, const struct word *words)
{
  parley_text text = text_in(r, r->root, "", name, required, EXEC_WORD_BYTES_MAX);
  char detail[JSON_DETAIL_ROOM];
  size_t len = 0;

  if (text.len == 0)
    return 0;
  for (const struct word *word = words; word->name != NULL; word++)
    if (parley_text_is(text, word->name))
      return word->value;
  for (const struct word *word = words; word->name != NULL && len < sizeof detail; word++)
    len += (size_t)snprintf(detail + len, sizeof detail - len, "%s%s", word == words ? "one of " : " ", word->name);
  json_fault_add(r->faults, "", name, "bad_choice", detail);
  return 0;
}

static uint32_t again_get(const struct reader *r)
{
  double seconds = 0;

  json_number_get(r->root, "", "retry_after", false, 0, EXEC_AGAIN_S_MAX, &seconds, r->faults);
  return (uint32_t)(seconds * EXEC_MS_A_SECOND);
}

/* A list of texts into `to`; a fault when it is something else or too long. */
static uint32_t texts_get(const struct reader *r, const char *name, parley_text *to, size_t count_max, bool empty_too)
{
  const json_t *list = json_object_get(r->root, name), *item;
  uint32_t count = 0;

  if (list == NULL || json_is_null(list))
    return 0;
  if (!json_is_array(list) || json_array_size(list) > count_max) {
    json_fault_add(r->faults, "", name, json_is_array(list) ? "too_many" : "wrong_type", "a list of texts is expected");
    return 0;
  }
  for (size_t i = 0; i < json_array_size(list); i++) {
    item = json_array_get(list, i);
    if (!json_is_string(item) || json_string_length(item) > EXEC_VALUE_BYTES_MAX ||
        (json_string_length(item) == 0 && !empty_too)) {
      json_fault_add(r->faults, "", name, "wrong_type", "a list of texts of at most 512 bytes is expected");
      return 0;
    }
    to[count++] = (parley_text){json_string_value(item), json_string_length(item)};
  }
  return count;
}

/* {"name": "text"}; numbers and truth values are taken as they are written. */
static uint32_t fields_get(struct reader *r, const json_t *object, const char *at)
{
  json_t *fields = json_object_get(object, "fields");
  uint32_t count = 0;

  if (fields == NULL || json_is_null(fields))
    return 0;
  if (!json_is_object(fields) || json_object_size(fields) > EXEC_FIELDS_MAX) {
    json_fault_add(r->faults, at, "fields", json_is_object(fields) ? "too_many" : "wrong_type",
                   "an object of at most 64 texts is expected");
    return 0;
  }
  for (void *it = json_object_iter(fields); it != NULL; it = json_object_iter_next(fields, it)) {
    const json_t *value = json_object_iter_value(it);
    const char *name = json_object_iter_key(it);

    if (!json_is_string(value) || json_string_length(value) > EXEC_TEXT_BYTES_MAX) {
      json_fault_add(r->faults, at, "fields", "wrong_type", "each field is a text");
      return 0;
    }
    r->line->fields[count++] =
        (parley_pair){parley_text_of(name), {json_string_value(value), json_string_length(value)}};
  }
  return count;
}

/* --- People ------------------------------------------------------------------------------------------------------- */

static bool kind_good(const char *kind)
{
  size_t len = strspn(kind, "abcdefghijklmnopqrstuvwxyz0123456789_.-");

  return len > 0 && len <= EXEC_KIND_BYTES_MAX && kind[len] == '\0';
}

/* {"email":"ana@example.org","external":"shop-77","name":"Ana"}: kinds as in the API's `to`; name is the person's.
 * Returns how many identities there are. */
static uint32_t people_get(struct reader *r, const char *member, bool required)
{
  json_t *from = json_object_get(r->root, member);
  parley_identity *identities = r->line->identities;
  uint32_t count = 0;

  if (from == NULL && !required)
    return 0;
  if (!json_is_object(from) || json_object_size(from) > EXEC_IDENTITIES_MAX) {
    json_fault_add(r->faults, "", member, from == NULL ? "required" : "wrong_type",
                   "at most 8 identities: {\"email\": \"ana@example.org\", \"name\": \"Ana\"}");
    return 0;
  }
  for (void *it = json_object_iter(from); it != NULL; it = json_object_iter_next(from, it)) {
    const char *kind = json_object_iter_key(it);

    if (strcmp(kind, "name") == 0)
      continue;
    if (!kind_good(kind))
      json_fault_add(r->faults, "", member, "bad_kind", "an identity's kind has 1 to 32 of a-z 0-9 _ . -");
    identities[count] = (parley_identity){.size = sizeof *identities,
                                          .assurance = PARLEY_OBSERVED,
                                          .kind = parley_text_of(kind),
                                          .value = text_in(r, from, "", kind, true, EXEC_VALUE_BYTES_MAX)};
    r->line->from[count] = &identities[count];
    count++;
  }
  if (count == 0)
    json_fault_add(r->faults, "", member, "required", "at least one identity, such as \"email\" or \"external\"");
  else
    identities[0].name = text_in(r, from, "", "name", false, EXEC_VALUE_BYTES_MAX);
  return count;
}

/* --- Parts -------------------------------------------------------------------------------------------------------- */

static parley_part *part_add(struct reader *r, uint32_t kind, const char *at)
{
  parley_inbound *in = &r->line->inbound;
  parley_part *part;

  if (in->n_parts == EXEC_PARTS_MAX) {
    json_fault_add(r->faults, at, NULL, "too_many", "at most 16 parts");
    return NULL;
  }
  part = &r->line->parts[in->n_parts];
  *part = (parley_part){.size = sizeof *part, .kind = kind};
  r->line->part_list[in->n_parts++] = part;
  return part;
}

static void data_read(struct reader *r, const json_t *item, const char *at, parley_part *part)
{
  parley_text base64 = text_in(r, item, at, "data", false, SIZE_MAX);
  char **blob = &r->line->blobs[part - r->line->parts];

  if (base64.len == 0)
    return;
  switch (json_base64_read(base64, blob, &part->data.len)) {
  case PARLEY_OK:
    part->data.at = *blob;
    part->total_bytes = part->data.len;
    break;
  case PARLEY_BUSY:
    r->no_memory = true;
    break;
  default:
    json_fault_add(r->faults, at, "data", "bad_base64", "base64 with padding is expected");
  }
}

static void media_read(struct reader *r, const json_t *item, const char *at, parley_part *part)
{
  part->url = text_in(r, item, at, "url", false, EXEC_URL_BYTES_MAX);
  part->type = text_in(r, item, at, "media_type", true, EXEC_VALUE_BYTES_MAX);
  part->name = text_in(r, item, at, "name", false, EXEC_VALUE_BYTES_MAX);
  part->text = text_in(r, item, at, "caption", false, EXEC_TEXT_BYTES_MAX);
  data_read(r, item, at, part);
  if ((part->url.len > 0) == (part->data.len > 0) && r->faults->count == 0 && !r->no_memory)
    json_fault_add(r->faults, at, NULL, "invalid", "exactly one of url and data is expected");
}

static void location_read(struct reader *r, const json_t *item, const char *at, parley_part *part)
{
  json_number_get(item, at, "latitude", true, -90, 90, &part->latitude, r->faults);
  json_number_get(item, at, "longitude", true, -180, 180, &part->longitude, r->faults);
  part->name = text_in(r, item, at, "name", false, EXEC_VALUE_BYTES_MAX);
  part->text = text_in(r, item, at, "address", false, EXEC_VALUE_BYTES_MAX);
}

static void part_read(struct reader *r, const json_t *item, const char *at)
{
  static const struct word kinds[] = {{"text", PARLEY_PART_TEXT},       {"html", PARLEY_PART_HTML},
                                      {"media", PARLEY_PART_MEDIA},     {"location", PARLEY_PART_LOCATION},
                                      {"contact", PARLEY_PART_CONTACT}, {NULL, 0}};
  parley_text kind = text_in(r, item, at, "kind", true, EXEC_WORD_BYTES_MAX);
  const struct word *word = kinds;
  parley_part *part;

  while (word->name != NULL && !parley_text_is(kind, word->name))
    word++;
  if (word->name == NULL) {
    json_fault_add(r->faults, at, "kind", "bad_choice", "one of text html media location contact");
    return;
  }
  part = part_add(r, word->value, at);
  if (part == NULL)
    return;
  if (part->kind == PARLEY_PART_MEDIA)
    media_read(r, item, at, part);
  else if (part->kind == PARLEY_PART_LOCATION)
    location_read(r, item, at, part);
  else if (part->kind == PARLEY_PART_CONTACT)
    data_read(r, item, at, part);
  else
    part->text = text_in(r, item, at, "text", true, EXEC_TEXT_BYTES_MAX);
  if (json_is_true(json_object_get(item, "quoted")))
    part->flags |= PARLEY_PART_QUOTED;
}

static void parts_read(struct reader *r)
{
  const json_t *list = json_object_get(r->root, "parts");
  char at[JSON_POINTER_ROOM], place[24];

  if (list == NULL || json_is_null(list))
    return;
  if (!json_is_array(list)) {
    json_fault_add(r->faults, "", "parts", "wrong_type", "a list is expected");
    return;
  }
  for (size_t i = 0; i < json_array_size(list) && r->faults->count == 0; i++) {
    snprintf(place, sizeof place, "%zu", i);
    json_pointer_make("/parts", place, at);
    part_read(r, json_array_get(list, i), at);
  }
}

/* "text" and "html" are short for a part each. */
static void text_read(struct reader *r, const char *name, uint32_t kind)
{
  parley_text text = text_get(r, name, EXEC_TEXT_BYTES_MAX);
  parley_part *part = text.len > 0 ? part_add(r, kind, "") : NULL;

  if (part != NULL)
    part->text = text;
}

/* --- The types ---------------------------------------------------------------------------------------------------- */

static const struct word outcomes[] = {{"accepted", PARLEY_OUTCOME_ACCEPTED},
                                       {"delivered", PARLEY_OUTCOME_DELIVERED},
                                       {"retry", PARLEY_OUTCOME_RETRY},
                                       {"rejected", PARLEY_OUTCOME_REJECTED},
                                       {"bad_address", PARLEY_OUTCOME_BAD_ADDRESS},
                                       {"throttled", PARLEY_OUTCOME_THROTTLED},
                                       {"channel_down", PARLEY_OUTCOME_CHANNEL_DOWN},
                                       {"unknown", PARLEY_OUTCOME_UNKNOWN},
                                       {NULL, 0}};

/* 0: not one of ours. Leading zeros are not ours either. */
static uint64_t token_get(const struct reader *r)
{
  parley_text text = text_need(r, "token", TOKEN_DIGITS_MAX);
  uint64_t token = 0;

  for (size_t i = 0; i < text.len; i++) {
    uint64_t digit = (uint64_t)(unsigned char)text.at[i] - '0';

    if (digit > 9 || (i == 0 && digit == 0) || token > (UINT64_MAX - digit) / 10) {
      json_fault_add(r->faults, "", "token", "bad_token", "the text that came with the send, as in \"17\"");
      return 0;
    }
    token = token * 10 + digit;
  }
  return token;
}

static void settle_read(struct reader *r)
{
  parley_outcome *outcome = &r->line->outcome;
  parley_text id;

  *outcome = (parley_outcome){.size = sizeof *outcome, .ids = r->line->ids};
  r->line->token = token_get(r);
  outcome->result = word_get(r, "outcome", true, outcomes);
  outcome->n_ids = texts_get(r, "ids", r->line->ids, EXEC_IDS_MAX, true);
  id = text_get(r, "id", EXEC_VALUE_BYTES_MAX); /* short for a list of one */
  if (id.len > 0 && outcome->n_ids == 0)
    r->line->ids[outcome->n_ids++] = id;
  outcome->code = text_get(r, "code", SIZE_MAX);
  outcome->detail = text_get(r, "detail", SIZE_MAX);
  outcome->destination = text_get(r, "destination", EXEC_ID_BYTES_MAX);
  outcome->retry_ms = again_get(r);
}

static void receipt_read(struct reader *r)
{
  static const struct word kinds[] = {{"sent", PARLEY_RECEIPT_SENT},
                                      {"delivered", PARLEY_RECEIPT_DELIVERED},
                                      {"read", PARLEY_RECEIPT_READ},
                                      {"failed", PARLEY_RECEIPT_FAILED},
                                      {"opened", PARLEY_RECEIPT_OPENED},
                                      {"clicked", PARLEY_RECEIPT_CLICKED},
                                      {"unsubscribed", PARLEY_RECEIPT_UNSUBSCRIBED},
                                      {"complained", PARLEY_RECEIPT_COMPLAINED},
                                      {NULL, 0}};
  parley_receipt *receipt = &r->line->receipt;

  *receipt = (parley_receipt){.size = sizeof *receipt};
  r->line->id = text_get(r, "id", EXEC_ID_BYTES_MAX);
  receipt->kind = word_get(r, "status", true, kinds);
  receipt->message_id = text_get(r, "message", EXEC_ID_BYTES_MAX);
  receipt->provider_id = text_get(r, "provider_id", EXEC_VALUE_BYTES_MAX);
  receipt->code = text_get(r, "code", SIZE_MAX);
  receipt->detail = text_get(r, "detail", SIZE_MAX);
  receipt->link = text_get(r, "link", EXEC_URL_BYTES_MAX);
  receipt->at_ms = json_time_get(r->root, "", "at", false, r->faults);
  receipt->up_to = flag_get(r, "up_to");
  receipt->outcome = word_get(r, "outcome", false, outcomes);
  if (receipt->kind == PARLEY_RECEIPT_FAILED && receipt->outcome == 0)
    receipt->outcome = PARLEY_OUTCOME_REJECTED;
  if (people_get(r, "to", false) > 0)
    receipt->to = r->line->from[0];
  if (receipt->message_id.len == 0 && receipt->provider_id.len == 0)
    json_fault_add(r->faults, "", "provider_id", "required",
                   "provider_id or message (msg_...) says which one is meant");
}

static void inbound_members_read(struct reader *r)
{
  static const struct word kinds[] = {{"content", PARLEY_KIND_CONTENT},   {"edit", PARLEY_KIND_EDIT},
                                      {"delete", PARLEY_KIND_DELETE},     {"reaction", PARLEY_KIND_REACTION},
                                      {"postback", PARLEY_KIND_POSTBACK}, {"typing", PARLEY_KIND_TYPING},
                                      {"read", PARLEY_KIND_READ},         {"call", PARLEY_KIND_CALL},
                                      {"start", PARLEY_KIND_START},       {"leave", PARLEY_KIND_LEAVE},
                                      {"form", PARLEY_KIND_FORM},         {"comment", PARLEY_KIND_COMMENT},
                                      {"moved", PARLEY_KIND_MOVED},       {NULL, 0}};
  parley_inbound *in = &r->line->inbound;
  uint32_t kind = word_get(r, "kind", false, kinds);

  in->kind = kind > 0 ? kind : PARLEY_KIND_CONTENT;
  in->flags = (flag_get(r, "automatic") ? PARLEY_AUTOMATIC : 0u) | (flag_get(r, "echo") ? PARLEY_ECHO : 0u);
  in->at_ms = json_time_get(r->root, "", "at", false, r->faults);
  in->provider_id = r->line->id = text_need(r, "id", EXEC_ID_BYTES_MAX);
  in->event_id = text_get(r, "event_id", EXEC_ID_BYTES_MAX);
  in->subject = text_get(r, "subject", EXEC_SUBJECT_BYTES_MAX);
  in->thread_id = text_get(r, "thread", EXEC_ID_BYTES_MAX);
  in->reply_to = text_get(r, "reply_to", EXEC_VALUE_BYTES_MAX);
  in->target = text_get(r, "target", EXEC_VALUE_BYTES_MAX);
  in->payload = text_get(r, "payload", EXEC_VALUE_BYTES_MAX);
  in->n_fields = fields_get(r, r->root, "");
  in->n_references = texts_get(r, "references", r->line->references, EXEC_PARTS_MAX, false);
  in->token = text_get(r, "token", EXEC_WORD_BYTES_MAX);
}

/* {"index":1,"total":3,"key":"7","wait":60}: one piece of a longer text. What makes no sense is the host's to judge: it keeps the
 * words. */
static void segment_read(struct reader *r)
{
  const json_t *segment = json_object_get(r->root, "segment");
  double index = 0, total = 0, wait = 0;

  if (segment == NULL || json_is_null(segment))
    return;
  json_number_get(segment, "/segment", "index", true, 0, UINT32_MAX, &index, r->faults);
  json_number_get(segment, "/segment", "total", true, 0, UINT32_MAX, &total, r->faults);
  json_number_get(segment, "/segment", "wait", false, 0, EXEC_AGAIN_S_MAX, &wait, r->faults);
  r->line->segment = (parley_segment){.size = sizeof r->line->segment,
                                      .index = (uint32_t)index,
                                      .total = (uint32_t)total,
                                      .wait_ms = (uint32_t)(wait * EXEC_MS_A_SECOND),
                                      .key = text_in(r, segment, "/segment", "key", true, EXEC_VALUE_BYTES_MAX)};
  r->line->inbound.segment = &r->line->segment;
}

static void inbound_read(struct reader *r)
{
  parley_inbound *in = &r->line->inbound;

  *in = (parley_inbound){.size = sizeof *in,
                         .from = r->line->from,
                         .parts = r->line->part_list,
                         .references = r->line->references,
                         .fields = r->line->fields};
  inbound_members_read(r);
  segment_read(r);
  in->n_from = people_get(r, "from", true);
  text_read(r, "text", PARLEY_PART_TEXT);
  text_read(r, "html", PARLEY_PART_HTML);
  parts_read(r);
  if (in->kind == PARLEY_KIND_CONTENT && in->n_parts == 0 && r->faults->count == 0)
    json_fault_add(r->faults, "", "text", "required", "text, html or parts: a message says something");
}

static void event_read(struct reader *r)
{
  static const struct word stages[] = {
      {"before", PARLEY_STAGE_BEFORE}, {"during", PARLEY_STAGE_DURING}, {"after", PARLEY_STAGE_AFTER}, {NULL, 0}};
  parley_touchpoint *event = &r->line->event;

  *event = (parley_touchpoint){.size = sizeof *event, .fields = r->line->fields};
  r->line->id = event->event_id = text_get(r, "id", EXEC_ID_BYTES_MAX);
  event->type = text_need(r, "event", EXEC_WORD_BYTES_MAX);
  event->at_ms = json_time_get(r->root, "", "at", false, r->faults);
  event->stage = word_get(r, "stage", false, stages);
  event->n_fields = fields_get(r, r->root, "");
  if (people_get(r, "who", true) > 0)
    event->who = r->line->from[0];
}

static void health_read(struct reader *r)
{
  static const struct word levels[] = {
      {"up", PARLEY_UP}, {"degraded", PARLEY_DEGRADED}, {"down", PARLEY_DOWN}, {NULL, 0}};

  r->line->level = word_get(r, "level", true, levels);
  r->line->text = text_get(r, "cause", SIZE_MAX);
  r->line->remedy = text_get(r, "remedy", SIZE_MAX);
}

static void log_read(struct reader *r)
{
  static const struct word levels[] = {
      {"debug", PARLEY_DEBUG}, {"info", PARLEY_INFO}, {"warn", PARLEY_WARN}, {"error", PARLEY_ERROR}, {NULL, 0}};
  uint32_t level = word_get(r, "level", false, levels);

  r->line->level = level > 0 ? level : PARLEY_INFO;
  r->line->text = text_get(r, "line", SIZE_MAX);
}

static void window_read(struct reader *r)
{
  double in_flight = 0;

  json_number_get(r->root, "", "in_flight", true, 0, UINT32_MAX, &in_flight, r->faults);
  r->line->in_flight = (uint32_t)in_flight;
}

static void ready_read(struct reader *r)
{
  (void)r; /* the word is all */
}

static void line_read(struct reader *r)
{
  static const struct word types[] = {{"ready", EXEC_READY},     {"settle", EXEC_SETTLE}, {"receipt", EXEC_RECEIPT},
                                      {"inbound", EXEC_INBOUND}, {"event", EXEC_EVENT},   {"health", EXEC_HEALTH},
                                      {"log", EXEC_LOG},         {"window", EXEC_WINDOW}, {NULL, 0}};
  static void (*const reads[])(struct reader *) = {
      [EXEC_READY] = ready_read,     [EXEC_SETTLE] = settle_read, [EXEC_RECEIPT] = receipt_read,
      [EXEC_INBOUND] = inbound_read, [EXEC_EVENT] = event_read,   [EXEC_HEALTH] = health_read,
      [EXEC_LOG] = log_read,         [EXEC_WINDOW] = window_read};
  uint32_t type;

  if (!json_is_object(r->root)) {
    json_fault_add(r->faults, "", NULL, "wrong_type", "an object is expected, as in {\"type\":\"ready\"}");
    return;
  }
  type = word_get(r, "type", true, types);
  r->line->type = (enum exec_type)type;
  if (type > 0)
    reads[type](r);
}

bool exec_line_read(parley_bytes bytes, struct exec_line *to, struct json_faults *faults)
{
  struct reader r = {.line = to, .faults = faults};

  memset(to, 0, sizeof *to);
  r.root = to->root = json_strict_load(bytes, faults);
  if (to->root == NULL)
    return false;
  line_read(&r);
  return faults->count == 0 && !r.no_memory;
}

void exec_line_done(struct exec_line *line)
{
  for (size_t i = 0; i < EXEC_PARTS_MAX; i++)
    free(line->blobs[i]);
  json_decref(line->root);
}
