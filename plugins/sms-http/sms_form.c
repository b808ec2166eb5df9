#include "sms_form.h"
#include <stdlib.h>

static int hex_digit(char c)
{
  if (c >= '0' && c <= '9')
    return c - '0';
  if (c >= 'a' && c <= 'f')
    return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* NULL-terminated fault, or NULL and the decoded text in *ret. */
static const char *decode(parley_text text, struct copy *memory, parley_text *ret)
{
  char *to = copy_room(memory, text.len + 1);
  size_t n = 0;

  if (to == NULL)
    return "no memory";
  for (size_t i = 0; i < text.len; i++) {
    char c = text.at[i] == '+' ? ' ' : text.at[i];

    if (c == '%') {
      int high = i + 2 < text.len ? hex_digit(text.at[i + 1]) : -1, low = high >= 0 ? hex_digit(text.at[i + 2]) : -1;

      if (low < 0)
        return "a % in it has no two hexadecimal digits behind it";
      c = (char)(high * 16 + low);
      i += 2;
    }
    if (c == '\0')
      return "it has a NUL";
    to[n++] = c;
  }
  *ret = (parley_text){to, n};
  return NULL;
}

static bool is_utf8(parley_text text)
{
  json_t *string = json_stringn(text.at, text.len); /* jansson looks at each character */
  bool good = string != NULL;

  json_decref(string);
  return good;
}

static const char *field_read(parley_text one, struct copy *memory, struct sms_fields *to)
{
  const char *equal = memchr(one.at, '=', one.len), *fault;
  size_t name_len = equal != NULL ? (size_t)(equal - one.at) : one.len, at = equal != NULL ? name_len + 1 : name_len;
  parley_pair *field = &to->fields[to->n];

  if (to->n == SMS_FIELDS_MAX)
    return "it has too many fields";
  fault = decode((parley_text){one.at, name_len}, memory, &field->name);
  if (fault == NULL)
    fault = decode((parley_text){one.at + at, one.len - at}, memory, &field->value);
  if (fault == NULL && (!is_utf8(field->name) || !is_utf8(field->value)))
    fault = "it is not UTF-8";
  to->n += fault == NULL;
  return fault;
}

const char *sms_form_read(parley_text text, struct copy *memory, struct sms_fields *to)
{
  const char *fault = NULL;

  while (text.len > 0 && fault == NULL) {
    const char *end = memchr(text.at, '&', text.len);
    size_t len = end != NULL ? (size_t)(end - text.at) : text.len, step = end != NULL ? len + 1 : len;

    if (len > 0)
      fault = field_read((parley_text){text.at, len}, memory, to);
    text.at += step;
    text.len -= step;
  }
  return fault;
}

parley_text sms_field(const struct sms_fields *fields, const char *name)
{
  for (uint32_t i = 0; i < fields->n; i++)
    if (parley_text_is(fields->fields[i].name, name))
      return fields->fields[i].value;
  return (parley_text){NULL, 0};
}

static bool object_add(json_t *object, const parley_pair *field)
{
  json_t *value = json_stringn_nocheck(field->value.at, field->value.len), *there = json_object_get(object, field->name.at);
  json_t *list;

  if (there == NULL)
    return json_object_set_new_nocheck(object, field->name.at, value) == 0; /* a NUL stands behind each name */
  if (json_is_array(there))
    return json_array_append_new(there, value) == 0;
  list = json_array();
  json_array_append(list, there);
  json_array_append_new(list, value);
  return json_object_set_new_nocheck(object, field->name.at, list) == 0;
}

json_t *sms_fields_object(const struct sms_fields *fields)
{
  json_t *object = json_object();

  for (uint32_t i = 0; object != NULL && i < fields->n; i++)
    if (!object_add(object, &fields->fields[i])) {
      json_decref(object);
      object = NULL;
    }
  return object;
}

void sms_percent_write(struct json_writer *to, parley_text text)
{
  static const char digits[] = "0123456789ABCDEF";

  for (size_t i = 0; i < text.len; i++) {
    unsigned char c = (unsigned char)text.at[i];
    char escaped[3] = {'%', digits[c >> 4], digits[c & 15]};
    bool plain =
        (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '.' || c == '_' || c == '~';

    json_write_raw(to, plain ? (parley_text){text.at + i, 1} : (parley_text){escaped, 3});
  }
}

void sms_form_write(struct json_writer *to, const char *name, parley_text value)
{
  if (to->len > 0 && to->at[to->len - 1] != '?')
    json_write_raw(to, PARLEY_LIT("&"));
  sms_percent_write(to, parley_text_of(name));
  json_write_raw(to, PARLEY_LIT("="));
  sms_percent_write(to, value);
}
