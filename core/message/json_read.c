/* The reader behind json_read(): one pass over the bytes, building jansson's values. Depth, counts and number lengths
 * are checked before memory is spent, so that the worst body costs what an honest one of its size does. */
#include "core/base/text.h"
#include "json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JSON_INTEGER_MAX (INT64_C(1) << 53) /* what every reader of JSON can hold exactly */
#define KEY_SHOWN_BYTES_MAX 64              /* of a key in the words of a problem */

struct reader {
  const char *start, *at, *end; /* at: the next byte */
  size_t depth, values;
  struct arena *arena;
  struct buf text;  /* of a string with escapes */
  const char *code; /* the problem, at `at`; NULL: none yet */
  char words[128];
};

static json_t *value_read(struct reader *reader);

static bool reader_fail(struct reader *reader, const char *at, const char *code, const char *words)
{
  reader->at = at;
  reader->code = code;
  snprintf(reader->words, sizeof(reader->words), "%s", words);
  return false;
}

/* The byte at `at` is not what the grammar wants: bad_encoding if it is no UTF-8 at all, else bad_json. */
static bool reader_fail_here(struct reader *reader, const char *words)
{
  parley_text rest = {reader->at, (size_t)(reader->end - reader->at)};
  size_t pos = 0;

  if (rest.len == 0)
    return reader_fail(reader, reader->at, "bad_json", "the document ends too early");
  if (rest.at[0] == '\0' || (text_utf8_next(rest, &pos) == 0xfffd && pos == 1))
    return reader_fail(reader, reader->at, "bad_encoding", "this is not UTF-8");
  return reader_fail(reader, reader->at, "bad_json", words);
}

static void blank_skip(struct reader *reader)
{
  while (reader->at < reader->end &&
         (*reader->at == ' ' || *reader->at == '\n' || *reader->at == '\t' || *reader->at == '\r'))
    reader->at++;
}

static char byte_peek(const struct reader *reader)
{
  return reader->at < reader->end ? *reader->at : '\0';
}

/* Four hex digits at `at`; false when they are none. */
static bool hex4_read(const char *at, const char *end, uint32_t *ret)
{
  uint32_t value = 0;

  if (end - at < 4)
    return false;
  for (int i = 0; i < 4; i++) {
    char c = at[i];
    uint32_t digit;

    if (c >= '0' && c <= '9')
      digit = (uint32_t)(c - '0');
    else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
      digit = (uint32_t)((c | 0x20) - 'a' + 10);
    else
      return false;
    value = value << 4 | digit;
  }
  *ret = value;
  return true;
}

/* \uXXXX and its second half, `at` behind the 'u'. */
static bool unicode_read(struct reader *reader)
{
  const char *from = reader->at - 2;
  uint32_t code, low;

  if (!hex4_read(reader->at, reader->end, &code))
    return reader_fail(reader, from, "bad_json", "\\u needs four hexadecimal digits");
  reader->at += 4;
  if (code == 0)
    return reader_fail(reader, from, "bad_encoding", "\\u0000 is not allowed in text");
  if (code >= 0xdc00 && code <= 0xdfff)
    return reader_fail(reader, from, "bad_encoding", "a low surrogate without its high one");
  if (code >= 0xd800 && code <= 0xdbff) {
    if (reader->end - reader->at < 6 || reader->at[0] != '\\' || reader->at[1] != 'u' ||
        !hex4_read(reader->at + 2, reader->end, &low) || low < 0xdc00 || low > 0xdfff)
      return reader_fail(reader, from, "bad_encoding", "a high surrogate without its low one");
    reader->at += 6;
    code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
  }
  buf_utf8(&reader->text, code);
  return true;
}

static bool escape_read(struct reader *reader) /* `at` on the backslash */
{
  static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
  const char *found;
  char byte;

  if (reader->end - reader->at < 2) {
    reader->at = reader->end;
    return reader_fail_here(reader, "");
  }
  byte = reader->at[1];
  if (byte == 'u') {
    reader->at += 2;
    return unicode_read(reader);
  }
  found = byte != '\0' ? strchr(from, byte) : NULL;
  if (found == NULL)
    return reader_fail(reader, reader->at, "bad_json", "no such escape in JSON");
  buf_char(&reader->text, to[found - from]);
  reader->at += 2;
  return true;
}

/* Eight bytes at once: whether none is a control, a quote, a backslash or above ASCII. May say no of a good byte behind a bad
 * one. */
static bool eight_are_plain(const char *at)
{
  const uint64_t ones = UINT64_C(0x0101010101010101), highest = ones << 7;
  uint64_t bytes, no_quote, no_backslash;

  memcpy(&bytes, at, sizeof(bytes));
  no_quote = bytes ^ ones * '"';
  no_backslash = bytes ^ ones * '\\';
  return ((bytes | (bytes - ones * 0x20) | (no_quote - ones) | (no_backslash - ones)) & highest) == 0;
}

/* Moves `at` over what may stand in a string as it is: up to a quote, a backslash, or what is refused there. */
static bool plain_skip(struct reader *reader)
{
  const char *at = reader->at;

  for (;;) {
    while (reader->end - at >= 8 && eight_are_plain(at))
      at += 8;
    while (at < reader->end && (unsigned char)*at >= 0x20 && (unsigned char)*at < 0x80 && *at != '"' && *at != '\\')
      at++;
    if (at == reader->end || (unsigned char)*at < 0x80)
      break;
    do {
      parley_text rest = {at, (size_t)(reader->end - at)};
      size_t pos = 0;

      text_utf8_next(rest, &pos);
      if (pos == 1)
        return reader_fail(reader, at, "bad_encoding", "this is not UTF-8");
      at += pos;
    } while (at < reader->end && (unsigned char)*at >= 0x80);
  }
  reader->at = at;
  return true;
}

/* `at` on the opening quote. The text is borrowed from the body, or from reader->text when it had escapes. */
static bool string_read(struct reader *reader, parley_text *ret)
{
  const char *from = ++reader->at;
  bool escaped = false;

  for (;;) {
    if (!plain_skip(reader))
      return false;
    if (reader->at == reader->end)
      return reader_fail(reader, reader->at, "bad_json", "a string has no end");
    if (*reader->at != '"' && *reader->at != '\\')
      return reader_fail(reader, reader->at, *reader->at == '\0' ? "bad_encoding" : "bad_json",
                         "a control character must be escaped in a string");
    if (*reader->at == '\\' && !escaped)
      buf_clear(&reader->text);
    if (escaped || *reader->at == '\\')
      buf_add(&reader->text, from, (size_t)(reader->at - from));
    if (*reader->at == '"')
      break;
    escaped = true;
    if (!escape_read(reader))
      return false;
    from = reader->at;
  }
  *ret = escaped ? buf_as_text(&reader->text) : (parley_text){from, (size_t)(reader->at - from)};
  reader->at++;
  return true;
}

static const char *digits_skip(const char *at, const char *end)
{
  while (at < end && *at >= '0' && *at <= '9')
    at++;
  return at;
}

/* Finds the end of the number at `at` by RFC 8259's grammar; false when there is none. */
static bool number_scan(const struct reader *reader, const char **ret_end, bool *ret_integer)
{
  const char *at = reader->at, *end = reader->end, *digits;

  if (at < end && *at == '-')
    at++;
  digits = at;
  at = digits_skip(at, end);
  if (at == digits || (*digits == '0' && at - digits > 1))
    return false;
  *ret_integer = true;
  if (at < end && *at == '.') {
    digits = ++at;
    at = digits_skip(at, end);
    if (at == digits)
      return false;
    *ret_integer = false;
  }
  if (at < end && (*at == 'e' || *at == 'E')) {
    at++;
    if (at < end && (*at == '+' || *at == '-'))
      at++;
    digits = at;
    at = digits_skip(at, end);
    if (at == digits)
      return false;
    *ret_integer = false;
  }
  *ret_end = at;
  return true;
}

static json_t *number_refuse(struct reader *reader, const char *words)
{
  reader_fail(reader, reader->at, "bad_number", words);
  return NULL;
}

static json_t *number_read(struct reader *reader)
{
  char copy[JSON_NUMBER_BYTES_MAX + 1];
  const char *end;
  bool integer;
  size_t len;
  double real;

  if (!number_scan(reader, &end, &integer))
    return number_refuse(reader, "this is no number in JSON");
  len = (size_t)(end - reader->at);
  if (len > JSON_NUMBER_BYTES_MAX)
    return number_refuse(reader, "the number has too many digits");
  if (integer) {
    int64_t value;

    if (!text_to_int((parley_text){reader->at, len}, -JSON_INTEGER_MAX, JSON_INTEGER_MAX, &value))
      return number_refuse(reader, "an integer outside of +-2^53 cannot be kept exactly; send it as text");
    if (value == 0 && len > 1)
      return number_refuse(reader, "-0 is no integer");
    reader->at = end;
    return json_integer(value);
  }
  memcpy(copy, reader->at, len);
  copy[len] = '\0';
  real = strtod(copy, NULL); /* the programs stay in the C locale */
  if (!isfinite(real))
    return number_refuse(reader, "the number is too large");
  reader->at = end;
  return json_real(real);
}

static bool word_read(struct reader *reader, const char *word)
{
  size_t len = strlen(word);

  if ((size_t)(reader->end - reader->at) < len || memcmp(reader->at, word, len) != 0)
    return reader_fail_here(reader, "a value is expected");
  reader->at += len;
  return true;
}

/* Behind a member or an element: true to go on behind a comma, false at the closing byte or with a problem. */
static bool comma_read(struct reader *reader, char closing)
{
  blank_skip(reader);
  if (byte_peek(reader) == closing) {
    reader->at++;
    return false;
  }
  if (byte_peek(reader) != ',')
    return reader_fail_here(reader, closing == '}' ? "a comma or '}' is expected" : "a comma or ']' is expected");
  reader->at++;
  blank_skip(reader);
  return true;
}

static json_t *array_read(struct reader *reader)
{
  json_t *array = json_array();

  reader->at++;
  blank_skip(reader);
  if (byte_peek(reader) == ']') {
    reader->at++;
    return array;
  }
  do {
    json_t *value = value_read(reader);

    if (value == NULL || json_array_append_new(array, value) != 0)
      goto failed;
  } while (comma_read(reader, ']'));
  if (reader->code == NULL)
    return array;
failed:
  json_decref(array);
  return NULL;
}

static json_t *member_value_read(struct reader *reader)
{
  blank_skip(reader);
  if (byte_peek(reader) != ':') {
    reader_fail_here(reader, "a ':' is expected behind the key");
    return NULL;
  }
  reader->at++;
  blank_skip(reader);
  return value_read(reader);
}

/* One member, `at` on its key. json_object_setn_new_nocheck() replaces an old value silently: the size tells. */
static bool member_read(struct reader *reader, json_t *object)
{
  const char *from = reader->at;
  size_t size = json_object_size(object);
  parley_text key;
  json_t *value;

  if (byte_peek(reader) != '"')
    return reader_fail_here(reader, "a key in double quotes is expected");
  if (size == JSON_MEMBERS_MAX)
    return reader_fail(reader, from, "too_many_values", "the object has too many members");
  if (!string_read(reader, &key))
    return false;
  if (key.at == reader->text.at)
    key = arena_text(reader->arena, key); /* the value's own strings write over it */
  value = member_value_read(reader);
  if (value == NULL || json_object_setn_new_nocheck(object, key.at, key.len, value) != 0)
    return false;
  if (json_object_size(object) > size)
    return true;
  reader_fail(reader, from, "duplicate_key", "");
  snprintf(reader->words, sizeof(reader->words), "the key '%.*s' stands twice in one object",
           (int)text_utf8_cut(key, KEY_SHOWN_BYTES_MAX), key.at);
  return false;
}

static json_t *object_read(struct reader *reader)
{
  json_t *object = json_object();

  reader->at++;
  blank_skip(reader);
  if (byte_peek(reader) == '}') {
    reader->at++;
    return object;
  }
  do {
    if (!member_read(reader, object))
      goto failed;
  } while (comma_read(reader, '}'));
  if (reader->code == NULL)
    return object;
failed:
  json_decref(object);
  return NULL;
}

static json_t *nested_read(struct reader *reader)
{
  json_t *value;

  if (reader->depth == JSON_DEPTH_MAX) {
    reader_fail(reader, reader->at, "too_deep", "objects and arrays are nested too deep");
    return NULL;
  }
  reader->depth++;
  value = *reader->at == '{' ? object_read(reader) : array_read(reader);
  reader->depth--;
  return value;
}

static json_t *value_read(struct reader *reader)
{
  parley_text text;

  if (reader->values++ == JSON_VALUES_MAX) {
    reader_fail(reader, reader->at, "too_many_values", "the document has too many values");
    return NULL;
  }
  switch (byte_peek(reader)) {
  case '"':
    return string_read(reader, &text) ? json_stringn_nocheck(text.len > 0 ? text.at : "", text.len) : NULL;
  case '{':
  case '[':
    return nested_read(reader);
  case 't':
    return word_read(reader, "true") ? json_true() : NULL;
  case 'f':
    return word_read(reader, "false") ? json_false() : NULL;
  case 'n':
    return word_read(reader, "null") ? json_null() : NULL;
  case '-':
  case '+':
  case '.':
  case 'N':
  case 'I':
  case '0':
  case '1':
  case '2':
  case '3':
  case '4':
  case '5':
  case '6':
  case '7':
  case '8':
  case '9':
    return number_read(reader);
  default:
    reader_fail_here(reader, "a value is expected");
    return NULL;
  }
}

static void reader_report(const struct reader *reader, struct problems *problems)
{
  size_t line = 1, column = 1;

  for (const char *at = reader->start; at < reader->at; at++) {
    if (*at == '\n') {
      line++;
      column = 1;
    } else if (((unsigned char)*at & 0xc0) != 0x80) {
      column++;
    }
  }
  problem_add(problems, TEXT_EMPTY, reader->code, "line %zu, column %zu: %s", line, column, reader->words);
}

static bool encoding_check(struct reader *reader)
{
  const unsigned char *at = (const unsigned char *)reader->start;
  size_t len = (size_t)(reader->end - reader->start);

  if (len >= 3 && at[0] == 0xef && at[1] == 0xbb && at[2] == 0xbf)
    return reader_fail(reader, reader->at, "bad_encoding", "a byte order mark is not allowed; send plain UTF-8");
  if (len >= 2 && ((at[0] == 0xff && at[1] == 0xfe) || (at[0] == 0xfe && at[1] == 0xff) || at[0] == 0 || at[1] == 0))
    return reader_fail(reader, reader->at, "bad_encoding", "this looks like UTF-16; send UTF-8");
  return true;
}

json_t *json_read(parley_bytes body, struct problems *problems)
{
  const char *start = body.at != NULL ? body.at : "";
  struct reader reader = {
      .start = start, .at = start, .end = start + body.len, .arena = problems->arena, .text = BUF_INIT(body.len + 1)};
  json_t *root = NULL;

  if (encoding_check(&reader)) {
    blank_skip(&reader);
    root = value_read(&reader);
  }
  if (root != NULL) {
    blank_skip(&reader);
    if (reader.at < reader.end) {
      reader_fail_here(&reader, "nothing may follow the document");
      json_decref(root);
      root = NULL;
    }
  }
  if (root == NULL && reader.code == NULL)
    reader_fail(&reader, reader.at, "too_many_values", "the document is too large"); /* memory is gone */
  if (reader.code != NULL)
    reader_report(&reader, problems);
  buf_done(&reader.text);
  return root;
}
