#include "buf.h"
#include "alloc.h"
#include "text.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUF_ROOM_FIRST 64 /* bytes */
#define UTF8_REPLACEMENT 0xfffdu

static size_t buf_limit(const struct buf *buf)
{
  return buf->max > 0 ? buf->max : BUF_MAX_DEFAULT;
}

/* Makes room for len bytes and a NUL; false when they would pass the ceiling. */
static bool buf_reserve(struct buf *buf, size_t len)
{
  size_t room = buf->room > 0 ? buf->room : BUF_ROOM_FIRST;

  if (buf->overflow || len > buf_limit(buf) - buf->len) {
    buf->overflow = true;
    return false;
  }
  if (buf->len + len < buf->room)
    return true;
  while (room <= buf->len + len)
    room *= 2;
  buf->at = xrealloc(buf->at, room);
  buf->room = room;
  return true;
}

void buf_done(struct buf *buf)
{
  free(buf->at);
  *buf = BUF_INIT(buf->max);
}

void buf_clear(struct buf *buf)
{
  buf->len = 0;
  buf->overflow = false;
  if (buf->at != NULL)
    buf->at[0] = '\0';
}

void buf_expect(struct buf *buf, size_t len)
{
  size_t left = buf_limit(buf) - buf->len;

  if (buf_reserve(buf, len < left ? len : left))
    buf->at[buf->len] = '\0';
}

void buf_add(struct buf *buf, const void *bytes, size_t len)
{
  if (!buf_reserve(buf, len))
    return;
  if (len > 0)
    memcpy(buf->at + buf->len, bytes, len);
  buf->len += len;
  buf->at[buf->len] = '\0';
}

void buf_text(struct buf *buf, parley_text text)
{
  buf_add(buf, text.at, text.len);
}

void buf_str(struct buf *buf, const char *text)
{
  buf_add(buf, text, strlen(text));
}

void buf_char(struct buf *buf, char byte)
{
  if (!buf_reserve(buf, 1))
    return;
  buf->at[buf->len++] = byte;
  buf->at[buf->len] = '\0';
}

void buf_vprintf(struct buf *buf, const char *format, va_list args)
{
  va_list again;
  int len;

  va_copy(again, args);
  len = vsnprintf(NULL, 0, format, args);
  if (len >= 0 && buf_reserve(buf, (size_t)len)) {
    vsnprintf(buf->at + buf->len, (size_t)len + 1, format, again);
    buf->len += (size_t)len;
  }
  va_end(again);
}

void buf_utf8(struct buf *buf, uint32_t code)
{
  if (code < 0x80) {
    buf_char(buf, (char)code);
  } else if (code < 0x800) {
    buf_char(buf, (char)(0xc0 | code >> 6));
    buf_char(buf, (char)(0x80 | (code & 0x3f)));
  } else if (code < 0x10000) {
    buf_char(buf, (char)(0xe0 | code >> 12));
    buf_char(buf, (char)(0x80 | (code >> 6 & 0x3f)));
    buf_char(buf, (char)(0x80 | (code & 0x3f)));
  } else {
    buf_char(buf, (char)(0xf0 | code >> 18));
    buf_char(buf, (char)(0x80 | (code >> 12 & 0x3f)));
    buf_char(buf, (char)(0x80 | (code >> 6 & 0x3f)));
    buf_char(buf, (char)(0x80 | (code & 0x3f)));
  }
}

void buf_text_clean(struct buf *buf, parley_text text)
{
  for (size_t at = 0; at < text.len;) {
    uint32_t code = text_utf8_next(text, &at);

    buf_utf8(buf, code != 0 ? code : UTF8_REPLACEMENT);
  }
}

void buf_printf(struct buf *buf, const char *format, ...)
{
  va_list args;

  va_start(args, format);
  buf_vprintf(buf, format, args);
  va_end(args);
}

void buf_uint(struct buf *buf, uint64_t value)
{
  char digits[20];
  size_t at = sizeof(digits);

  do {
    digits[--at] = (char)('0' + value % 10);
    value /= 10;
  } while (value > 0);
  buf_add(buf, digits + at, sizeof(digits) - at);
}

void buf_int(struct buf *buf, int64_t value)
{
  if (value < 0)
    buf_char(buf, '-');
  buf_uint(buf, value < 0 ? UINT64_C(0) - (uint64_t)value : (uint64_t)value);
}

void buf_drop(struct buf *buf, size_t len)
{
  if (len >= buf->len) {
    bool overflow = buf->overflow;

    buf_clear(buf);
    buf->overflow = overflow;
    return;
  }
  memmove(buf->at, buf->at + len, buf->len - len + 1);
  buf->len -= len;
}

parley_text buf_as_text(const struct buf *buf)
{
  return buf->at != NULL ? (parley_text){buf->at, buf->len} : TEXT_EMPTY;
}

char *buf_steal(struct buf *buf, size_t *ret_len)
{
  char *at = buf->at != NULL ? buf->at : xmemdup("", 0);

  if (ret_len != NULL)
    *ret_len = buf->len;
  *buf = BUF_INIT(buf->max);
  return at;
}

static void json_escape(struct buf *buf, unsigned char byte)
{
  switch (byte) {
  case '"':
    buf_add(buf, "\\\"", 2);
    break;
  case '\\':
    buf_add(buf, "\\\\", 2);
    break;
  case '\n':
    buf_add(buf, "\\n", 2);
    break;
  case '\r':
    buf_add(buf, "\\r", 2);
    break;
  case '\t':
    buf_add(buf, "\\t", 2);
    break;
  default:
    buf_printf(buf, "\\u%04x", byte);
  }
}

static bool json_plain(unsigned char byte)
{
  return byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
}

/* Whether all eight bytes are plain: what a byte lacks to a zero shows in its highest bit. */
static bool json_plain_word(uint64_t word)
{
  const uint64_t ones = UINT64_C(0x0101010101010101), high = UINT64_C(0x8080808080808080);
  uint64_t quote = word ^ ones * '"', slash = word ^ ones * '\\';

  return ((word | ((word - ones * 0x20) & ~word) | ((quote - ones) & ~quote) | ((slash - ones) & ~slash)) & high) == 0;
}

static size_t json_plain_run(parley_text text, size_t pos)
{
  uint64_t word;

  for (; pos + sizeof word <= text.len; pos += sizeof word) {
    memcpy(&word, text.at + pos, sizeof word);
    if (!json_plain_word(word))
      break;
  }
  while (pos < text.len && json_plain((unsigned char)text.at[pos]))
    pos++;
  return pos;
}

void buf_json_text(struct buf *buf, parley_text text)
{
  buf_char(buf, '"');
  for (size_t pos = 0; pos < text.len;) {
    size_t from = pos;

    pos = json_plain_run(text, pos);
    if (pos > from) {
      buf_add(buf, text.at + from, pos - from);
    } else if ((unsigned char)text.at[pos] < 0x80) {
      json_escape(buf, (unsigned char)text.at[pos++]);
    } else {
      text_utf8_next(text, &pos);
      if (pos - from > 1)
        buf_add(buf, text.at + from, pos - from);
      else
        buf_add(buf, "\xef\xbf\xbd", 3); /* U+FFFD: a single byte above 0x7f is never well-formed */
    }
  }
  buf_char(buf, '"');
}

void buf_json_str(struct buf *buf, const char *text)
{
  buf_json_text(buf, parley_text_of(text));
}

void buf_json_comma(struct buf *buf)
{
  char last = buf->len > 0 ? buf->at[buf->len - 1] : '{';

  if (last != '{' && last != '[' && last != ',' && last != ':')
    buf_char(buf, ',');
}

void buf_json_key(struct buf *buf, const char *key)
{
  buf_json_comma(buf);
  buf_json_str(buf, key);
  buf_char(buf, ':');
}
