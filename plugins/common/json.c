#include "json.h"
#include "base64.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { WRITER_ROOM_FIRST = 1024, NUMBER_ROOM = 40 };

/* --- Faults ------------------------------------------------------------------------------------------------------ */

/* Copies what fits, whole UTF-8 characters only, and ends it with NUL. */
static void text_copy(char *to, size_t room, const char *from)
{
  size_t len = strlen(from);

  if (len >= room) {
    len = room - 1;
    while (len > 0 && ((unsigned char)from[len] & 0xc0) == 0x80)
      len--;
  }
  memcpy(to, from, len);
  to[len] = '\0';
}

void json_pointer_make(const char *at, const char *name, char to[JSON_POINTER_ROOM])
{
  char step[JSON_POINTER_ROOM];
  size_t len = 0;

  step[len++] = '/';
  for (; *name != '\0' && len < sizeof step - 3; name++) {
    if (*name == '~' || *name == '/')
      step[len++] = '~';
    step[len++] = *name == '~' ? '0' : *name == '/' ? '1' : *name;
  }
  step[len] = '\0';
  text_copy(to, JSON_POINTER_ROOM, at);
  len = strlen(to);
  text_copy(to + len, JSON_POINTER_ROOM - len, step);
}

void json_fault_add(struct json_faults *faults, const char *at, const char *name, const char *code, const char *detail)
{
  struct json_fault *fault;

  if (faults->count++ >= JSON_FAULTS_MAX)
    return;
  fault = &faults->faults[faults->count - 1];
  if (name != NULL)
    json_pointer_make(at, name, fault->pointer);
  else
    text_copy(fault->pointer, sizeof fault->pointer, at);
  text_copy(fault->code, sizeof fault->code, code);
  text_copy(fault->detail, sizeof fault->detail, detail);
}

/* --- Reading ----------------------------------------------------------------------------------------------------- */

/* jansson's own limit is far above ours, so the brackets outside of strings are counted first. */
static bool depth_good(parley_bytes bytes)
{
  unsigned depth = 0;
  bool in_text = false;

  for (size_t i = 0; i < bytes.len; i++) {
    char c = bytes.at[i];

    if (in_text) {
      if (c == '\\')
        i++;
      else if (c == '"')
        in_text = false;
    } else if (c == '"') {
      in_text = true;
    } else if (c == '{' || c == '[') {
      if (++depth > JSON_STRICT_DEPTH_MAX)
        return false;
    } else if ((c == '}' || c == ']') && depth > 0) {
      depth--;
    }
  }
  return true;
}

static const char *load_code(const json_error_t *error)
{
  enum json_error_code code = json_error_code(error);

  return code == json_error_duplicate_key  ? "duplicate_key"
         : code == json_error_invalid_utf8 ? "bad_encoding"
                                           : "bad_json";
}

json_t *json_strict_load(parley_bytes bytes, struct json_faults *faults)
{
  char detail[JSON_DETAIL_ROOM];
  json_error_t error;
  json_t *root;

  if (!depth_good(bytes)) {
    json_fault_add(faults, "", NULL, "too_deep", "objects and lists may be nested 32 deep");
    return NULL;
  }
  root = json_loadb(bytes.len > 0 ? bytes.at : "", bytes.len, JSON_REJECT_DUPLICATES, &error);
  if (root == NULL) {
    snprintf(detail, sizeof detail, "line %d, column %d: this is not a JSON document we can read", error.line,
             error.column);
    json_fault_add(faults, "", NULL, load_code(&error), detail);
  }
  return root;
}

static bool name_known(const char *name, const char *const *names)
{
  for (; *names != NULL; names++)
    if (strcmp(name, *names) == 0)
      return true;
  return false;
}

void json_names_check(const json_t *object, const char *at, const char *const *names, struct json_faults *faults)
{
  json_t *own = (json_t *)(uintptr_t)object; /* jansson's iterator takes no const; nothing is changed */

  for (void *it = json_object_iter(own); it != NULL; it = json_object_iter_next(own, it))
    if (!name_known(json_object_iter_key(it), names))
      json_fault_add(faults, at, json_object_iter_key(it), "unknown_field", "no such field here");
}

/* The member, or NULL when it is absent or null, which is a fault if it is required. */
static const json_t *member_get(const json_t *object, const char *at, const char *name, bool required,
                                struct json_faults *faults)
{
  const json_t *value = json_object_get(object, name);

  if (value != NULL && !json_is_null(value))
    return value;
  if (required)
    json_fault_add(faults, at, name, "required", "this field is required");
  return NULL;
}

parley_text json_text_get(const json_t *object, const char *at, const char *name, bool required, size_t bytes_max,
                          struct json_faults *faults)
{
  const json_t *value = member_get(object, at, name, required, faults);
  parley_text none = {NULL, 0}, text;
  char detail[JSON_DETAIL_ROOM];

  if (value == NULL)
    return none;
  if (!json_is_string(value)) {
    json_fault_add(faults, at, name, "wrong_type", "a string is expected");
    return none;
  }
  text = (parley_text){json_string_value(value), json_string_length(value)};
  if (text.len == 0) {
    json_fault_add(faults, at, name, "too_short", "this may not be empty");
    return none;
  }
  if (text.len > bytes_max) {
    snprintf(detail, sizeof detail, "at most %zu bytes", bytes_max);
    json_fault_add(faults, at, name, "too_long", detail);
    return none;
  }
  return text;
}

bool json_number_get(const json_t *object, const char *at, const char *name, bool required, double min, double max,
                     double *ret, struct json_faults *faults)
{
  const json_t *value = member_get(object, at, name, required, faults);
  char detail[JSON_DETAIL_ROOM];
  double number;

  if (value == NULL)
    return false;
  if (!json_is_number(value)) {
    json_fault_add(faults, at, name, "wrong_type", "a number is expected");
    return false;
  }
  number = json_number_value(value);
  if (!(number >= min && number <= max)) {
    snprintf(detail, sizeof detail, "between %g and %g", min, max);
    json_fault_add(faults, at, name, "out_of_range", detail);
    return false;
  }
  *ret = number;
  return true;
}

int64_t json_time_get(const json_t *object, const char *at, const char *name, bool required, struct json_faults *faults)
{
  const json_t *value = member_get(object, at, name, required, faults);
  int64_t ms = 0;

  if (value == NULL)
    return 0;
  if (!json_is_string(value))
    json_fault_add(faults, at, name, "wrong_type", "a time as a string is expected");
  else if (!rfc3339_read((parley_text){json_string_value(value), json_string_length(value)}, &ms))
    json_fault_add(faults, at, name, "bad_time", "a time as in RFC 3339 is expected: 2026-11-21T22:01:09Z");
  return ms;
}

parley_status json_base64_read(parley_text base64, char **ret, size_t *ret_len)
{
  char *blob = malloc(base64.len / 4 * 3 + 1); /* + 1: of nothing it is something, too */

  if (blob == NULL)
    return PARLEY_BUSY;
  if (!base64_to_bytes(base64, blob, ret_len)) {
    free(blob);
    return PARLEY_INVALID;
  }
  *ret = blob;
  return PARLEY_OK;
}

/* --- Writing ----------------------------------------------------------------------------------------------------- */

void json_writer_done(struct json_writer *writer)
{
  free(writer->at);
  *writer = (struct json_writer){.at = NULL};
}

void json_writer_clear(struct json_writer *writer)
{
  writer->len = 0;
  writer->failed = false;
}

parley_text json_writer_text(const struct json_writer *writer)
{
  return (parley_text){writer->at, writer->len};
}

/* Room for `more` bytes, or NULL once memory is gone. */
static char *writer_room(struct json_writer *writer, size_t more)
{
  size_t room = writer->room > 0 ? writer->room : WRITER_ROOM_FIRST;
  char *at;

  if (writer->failed)
    return NULL;
  while (room - writer->len < more)
    room *= 2;
  if (room > writer->room) {
    at = realloc(writer->at, room);
    if (at == NULL) {
      writer->failed = true;
      return NULL;
    }
    writer->at = at;
    writer->room = room;
  }
  return writer->at + writer->len;
}

void json_write_raw(struct json_writer *writer, parley_text json)
{
  char *to = writer_room(writer, json.len);

  if (to == NULL || json.len == 0)
    return;
  memcpy(to, json.at, json.len);
  writer->len += json.len;
}

void json_write_lit(struct json_writer *writer, const char *json)
{
  json_write_raw(writer, parley_text_of(json));
}

static size_t escape_write(char *to, unsigned char c)
{
  static const char hex[] = "0123456789abcdef";
  static const char names[][2] = {{'"', '"'},  {'\\', '\\'}, {'\n', 'n'}, {'\r', 'r'},
                                  {'\t', 't'}, {'\b', 'b'},  {'\f', 'f'}};

  to[0] = '\\';
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if ((unsigned char)names[i][0] == c) {
      to[1] = names[i][1];
      return 2;
    }
  memcpy(to + 1, "u00", 3);
  to[4] = hex[c >> 4];
  to[5] = hex[c & 15];
  return 6;
}

/* Eight bytes at once; which of them needs the escape, if any does, is looked for byte by byte. */
static bool eight_plain(const char *at)
{
  const uint64_t ones = UINT64_C(0x0101010101010101), tops = ones * 0x80;
  uint64_t word, found;

  memcpy(&word, at, sizeof word);
  found = (word - ones * 0x20) & ~word;                                               /* below a blank */
  found |= ((word ^ ones * '"') - ones) & ~(word ^ ones * '"');
  found |= ((word ^ ones * '\\') - ones) & ~(word ^ ones * '\\');
  found |= ((word ^ ones * 0x7f) - ones) & ~(word ^ ones * 0x7f);
  return (found & tops) == 0;
}

/* Where the next byte that needs an escape is, from `at` on. */
static size_t plain_end(parley_text text, size_t at)
{
  while (text.len - at >= sizeof(uint64_t) && eight_plain(text.at + at))
    at += sizeof(uint64_t);
  for (; at < text.len; at++) {
    unsigned char c = (unsigned char)text.at[at];

    if (c < 0x20 || c == '"' || c == '\\' || c == 0x7f)
      break;
  }
  return at;
}

void json_write_chars(struct json_writer *writer, parley_text text)
{
  char escape[6];

  for (size_t at = 0; at < text.len; at++) {
    size_t end = plain_end(text, at);

    json_write_raw(writer, (parley_text){text.at + at, end - at});
    at = end;
    if (at < text.len)
      json_write_raw(writer, (parley_text){escape, escape_write(escape, (unsigned char)text.at[at])});
  }
}

void json_write_text(struct json_writer *writer, parley_text text)
{
  json_write_lit(writer, "\"");
  json_write_chars(writer, text);
  json_write_lit(writer, "\"");
}

void json_write_base64(struct json_writer *writer, parley_bytes bytes)
{
  char *to;

  json_write_lit(writer, "\"");
  to = bytes.len <= BASE64_BYTES_MAX ? writer_room(writer, BASE64_ROOM(bytes.len)) : NULL;
  if (to == NULL) {
    writer->failed = true;
    return;
  }
  writer->len += base64_of_bytes(bytes, to);
  json_write_lit(writer, "\"");
}

void json_write_int(struct json_writer *writer, int64_t value)
{
  char text[NUMBER_ROOM];

  snprintf(text, sizeof text, "%lld", (long long)value);
  json_write_lit(writer, text);
}

void json_write_number(struct json_writer *writer, double value)
{
  char text[NUMBER_ROOM];

  if (!isfinite(value)) {
    json_write_lit(writer, "null");
    return;
  }
  for (int digits = 6; digits <= 17; digits++) {
    snprintf(text, sizeof text, "%.*g", digits, value);
    if (strtod(text, NULL) == value)
      break;
  }
  json_write_lit(writer, text);
}

void json_write_time(struct json_writer *writer, int64_t ms)
{
  char text[RFC3339_ROOM];

  rfc3339_write(ms, text);
  json_write_lit(writer, "\"");
  json_write_lit(writer, text);
  json_write_lit(writer, "\"");
}

void json_write_comma(struct json_writer *writer)
{
  if (writer->len > 0 && memchr("{[,:", writer->at[writer->len - 1], 4) == NULL)
    json_write_lit(writer, ",");
}

void json_write_name(struct json_writer *writer, const char *name)
{
  json_write_comma(writer);
  json_write_text(writer, parley_text_of(name));
  json_write_lit(writer, ":");
}

void json_write_member(struct json_writer *writer, const char *name, parley_text text)
{
  if (text.len == 0)
    return;
  json_write_name(writer, name);
  json_write_text(writer, text);
}

/* --- People --------------------------------------------------------------------------------------------------------- */

void json_write_to(struct json_writer *writer, const parley_identity *to)
{
  json_write_name(writer, "to");
  if (to == NULL || to->kind.len == 0 || to->value.len == 0) {
    json_write_lit(writer, "null");
    return;
  }
  json_write_lit(writer, "{");
  json_write_text(writer, to->kind);
  json_write_lit(writer, ":");
  json_write_text(writer, to->value);
  json_write_member(writer, "name", to->name);
  json_write_lit(writer, "}");
}

void json_write_customer(struct json_writer *writer, const parley_customer *customer)
{
  json_write_name(writer, "customer");
  if (customer == NULL) {
    json_write_lit(writer, "null");
    return;
  }
  json_write_lit(writer, "{");
  json_write_member(writer, "id", customer->id);
  json_write_member(writer, "name", customer->name);
  json_write_member(writer, "locale", customer->locale);
  json_write_member(writer, "timezone", customer->timezone);
  json_write_lit(writer, "}");
}
