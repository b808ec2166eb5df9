#include "slice.h"
#include "core/base/digest.h"
#include "core/base/text.h"
#include <string.h>

static size_t skip_space(parley_text json, size_t pos)
{
  while (pos < json.len &&
         (json.at[pos] == ' ' || json.at[pos] == '\t' || json.at[pos] == '\n' || json.at[pos] == '\r'))
    pos++;
  return pos;
}

/* pos stands on the opening quote; behind the closing one, or json.len when there is none. */
static size_t skip_text(parley_text json, size_t pos)
{
  for (pos++; pos < json.len; pos++) {
    const char *quote = memchr(json.at + pos, '"', json.len - pos);
    const char *escape;

    if (quote == NULL)
      return json.len;
    escape = memchr(json.at + pos, '\\', (size_t)(quote - json.at) - pos);
    if (escape == NULL)
      return (size_t)(quote - json.at) + 1;
    pos = (size_t)(escape - json.at) + 1;
  }
  return json.len;
}

static size_t skip_nested(parley_text json, size_t pos)
{
  size_t depth = 0;

  while (pos < json.len) {
    char byte = json.at[pos];

    if (byte == '"') {
      pos = skip_text(json, pos);
      continue;
    }
    pos++;
    if (byte == '{' || byte == '[')
      depth++;
    else if ((byte == '}' || byte == ']') && --depth == 0)
      break;
  }
  return pos;
}

static size_t skip_value(parley_text json, size_t pos)
{
  if (pos == json.len)
    return pos;
  if (json.at[pos] == '"')
    return skip_text(json, pos);
  if (json.at[pos] == '{' || json.at[pos] == '[')
    return skip_nested(json, pos);
  while (pos < json.len && strchr(",]} \t\r\n", json.at[pos]) == NULL)
    pos++;
  return pos;
}

bool slice_next(parley_text *rest, parley_text *ret_key, parley_text *ret_value)
{
  parley_text json = *rest;
  size_t pos = skip_space(json, 0), key, value;

  if (pos == json.len || (json.at[pos] != '{' && json.at[pos] != ','))
    return false;
  key = skip_space(json, pos + 1);
  if (key == json.len || json.at[key] != '"')
    return false;
  pos = skip_text(json, key);
  if (pos < key + 2 || json.at[pos - 1] != '"')
    return false;
  *ret_key = (parley_text){json.at + key + 1, pos - key - 2};
  pos = skip_space(json, pos);
  if (pos == json.len || json.at[pos] != ':')
    return false;
  value = skip_space(json, pos + 1);
  pos = skip_value(json, value);
  *ret_value = (parley_text){json.at + value, pos - value};
  *rest = (parley_text){json.at + pos, json.len - pos};
  return pos > value;
}

static bool hex_value(parley_text digits, uint32_t *ret)
{
  uint8_t bytes[2];
  size_t len;

  if (!hex_read(digits, bytes, sizeof(bytes), &len))
    return false;
  *ret = (uint32_t)bytes[0] << 8 | bytes[1];
  return true;
}

bool slice_key_is(parley_text key, const char *name)
{
  size_t pos = 0;

  for (; *name != '\0' && pos < key.len; name++) {
    uint32_t byte = (unsigned char)key.at[pos];
    size_t step = 1;

    if (byte == '\\') {
      step = 6;
      if (key.len - pos < step || key.at[pos + 1] != 'u' || !hex_value((parley_text){key.at + pos + 2, 4}, &byte))
        return false;
    }
    if (byte != (unsigned char)*name)
      return false;
    pos += step;
  }
  return *name == '\0' && pos == key.len;
}

parley_text slice_member(parley_text object, const char *name)
{
  parley_text key, value;

  while (slice_next(&object, &key, &value))
    if (slice_key_is(key, name))
      return value;
  return TEXT_EMPTY;
}

parley_text slice_word(parley_text object, const char *name)
{
  parley_text value = slice_member(object, name);

  if (value.len < 2 || value.at[0] != '"' || memchr(value.at, '\\', value.len) != NULL)
    return TEXT_EMPTY;
  return (parley_text){value.at + 1, value.len - 2};
}

/* How many bytes of UTF-8 an escape stands for, and in *ret_step how many it takes here. */
static size_t escape_bytes(parley_text text, size_t pos, size_t *ret_step)
{
  uint32_t unit;

  *ret_step = 2;
  if (text.len - pos < 6 || text.at[pos + 1] != 'u' || !hex_value((parley_text){text.at + pos + 2, 4}, &unit))
    return 1;
  *ret_step = 6;
  if (unit < 0x80)
    return 1;
  if (unit < 0x800)
    return 2;
  if (unit < 0xd800 || unit > 0xdbff || text.len - pos < 12)
    return 3;
  *ret_step = 12; /* both halves of a pair */
  return 4;
}

bool buf_slice_cut(struct buf *buf, parley_text text, size_t bytes_max)
{
  size_t pos = 1, bytes = 0, end = text.len > 0 ? text.len - 1 : 0;

  if (text.len <= bytes_max + 2) { /* escapes only shrink */
    buf_text(buf, text);
    return false;
  }
  while (pos < end) {
    size_t step, more;

    if (text.at[pos] == '\\') {
      more = escape_bytes(text, pos, &step);
    } else {
      size_t to = pos;

      text_utf8_next(text, &to);
      more = step = to - pos;
    }
    if (bytes + more > bytes_max || pos + step > end)
      break;
    bytes += more;
    pos += step;
  }
  buf_add(buf, text.at, pos);
  buf_char(buf, '"');
  return pos < end;
}

void buf_slice_cut_members(struct buf *buf, parley_text object, size_t bytes_max, const char *without)
{
  parley_text key, value;
  bool cut = false;

  buf_char(buf, '{');
  while (slice_next(&object, &key, &value)) {
    if (without != NULL && slice_key_is(key, without))
      continue;
    if (value.at[0] != '"' && value.len > SLICE_VALUE_TIMES * bytes_max) {
      cut = true;
      continue;
    }
    buf_json_comma(buf);
    buf_char(buf, '"');
    buf_text(buf, key);
    buf_str(buf, "\":");
    if (value.at[0] == '"')
      cut |= buf_slice_cut(buf, value, bytes_max);
    else
      buf_text(buf, value);
  }
  if (cut) {
    buf_json_comma(buf);
    buf_str(buf, "\"cut\":true");
  }
  buf_char(buf, '}');
}
