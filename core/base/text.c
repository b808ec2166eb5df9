#include "text.h"
#include <stdlib.h>
#include <string.h>

#define UTF8_REPLACEMENT 0xfffdu
#define NEAREST_WORD_MAX 64 /* bytes; longer words get no suggestion */

bool text_eq(parley_text a, parley_text b)
{
  return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

static char byte_lower(char byte)
{
  return byte >= 'A' && byte <= 'Z' ? (char)(byte - 'A' + 'a') : byte;
}

bool text_eq_nocase(parley_text a, parley_text b)
{
  if (a.len != b.len)
    return false;
  for (size_t i = 0; i < a.len; i++)
    if (byte_lower(a.at[i]) != byte_lower(b.at[i]))
      return false;
  return true;
}

bool text_is_nocase(parley_text a, const char *word)
{
  return text_eq_nocase(a, parley_text_of(word));
}

int text_cmp(parley_text a, parley_text b)
{
  size_t common = a.len < b.len ? a.len : b.len;
  int order = common > 0 ? memcmp(a.at, b.at, common) : 0;

  if (order != 0)
    return order;
  return (a.len > b.len) - (a.len < b.len);
}

bool text_starts(parley_text t, const char *prefix)
{
  size_t len = strlen(prefix);

  return t.len >= len && (len == 0 || memcmp(t.at, prefix, len) == 0);
}

bool text_ends(parley_text t, const char *suffix)
{
  size_t len = strlen(suffix);

  return t.len >= len && (len == 0 || memcmp(t.at + t.len - len, suffix, len) == 0);
}

size_t text_find(parley_text t, char byte)
{
  const char *found = t.len > 0 ? memchr(t.at, byte, t.len) : NULL;

  return found != NULL ? (size_t)(found - t.at) : t.len;
}

size_t text_find_text(parley_text t, parley_text needle)
{
  const char *found;

  if (needle.len == 0)
    return 0;
  if (t.len < needle.len)
    return SIZE_MAX;
  found = memmem(t.at, t.len, needle.at, needle.len);
  return found != NULL ? (size_t)(found - t.at) : SIZE_MAX;
}

parley_text text_sub(parley_text t, size_t from, size_t len)
{
  if (from >= t.len)
    return TEXT_EMPTY;
  return (parley_text){t.at + from, len < t.len - from ? len : t.len - from};
}

static bool byte_is_blank(char byte)
{
  return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

parley_text text_trim(parley_text t)
{
  while (t.len > 0 && byte_is_blank(t.at[0])) {
    t.at++;
    t.len--;
  }
  while (t.len > 0 && byte_is_blank(t.at[t.len - 1]))
    t.len--;
  return t;
}

parley_text text_cut(parley_text *rest, char at)
{
  size_t found = text_find(*rest, at);
  parley_text head = text_sub(*rest, 0, found);

  *rest = text_sub(*rest, found < rest->len ? found + 1 : found, SIZE_MAX);
  return head;
}

bool text_eq_secret(parley_text a, parley_text b)
{
  volatile unsigned char differ = 0;

  if (a.len != b.len)
    return false;
  for (size_t i = 0; i < a.len; i++)
    differ = (unsigned char)(differ | (a.at[i] ^ b.at[i]));
  return differ == 0;
}

bool text_to_uint(parley_text t, uint64_t max, uint64_t *ret)
{
  uint64_t value = 0;

  if (t.len == 0)
    return false;
  for (size_t i = 0; i < t.len; i++) {
    if (t.at[i] < '0' || t.at[i] > '9')
      return false;
    if (__builtin_mul_overflow(value, UINT64_C(10), &value) ||
        __builtin_add_overflow(value, (uint64_t)(t.at[i] - '0'), &value))
      return false;
  }
  if (value > max)
    return false;
  *ret = value;
  return true;
}

bool text_to_int(parley_text t, int64_t min, int64_t max, int64_t *ret)
{
  bool negative = t.len > 0 && t.at[0] == '-';
  uint64_t size;
  int64_t value;

  if (!text_to_uint(text_sub(t, negative, SIZE_MAX), (uint64_t)INT64_MAX + negative, &size))
    return false;
  value = negative ? (int64_t)(UINT64_C(0) - size) : (int64_t)size;
  if (value < min || value > max)
    return false;
  *ret = value;
  return true;
}

/* Bytes of the well-formed sequence at the start of t (t is not empty), or 0. RFC 3629, section 4. */
static size_t utf8_read(parley_text t, uint32_t *ret)
{
  const unsigned char *at = (const unsigned char *)t.at;
  unsigned char low = 0x80, high = 0xbf; /* what the second byte may be */
  size_t len;
  uint32_t code;

  if (at[0] < 0x80) {
    *ret = at[0];
    return 1;
  }
  if (at[0] < 0xc2 || at[0] > 0xf4)
    return 0;
  len = at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : 4;
  if (at[0] == 0xe0)
    low = 0xa0; /* overlong */
  else if (at[0] == 0xed)
    high = 0x9f; /* surrogates */
  else if (at[0] == 0xf0)
    low = 0x90; /* overlong */
  else if (at[0] == 0xf4)
    high = 0x8f; /* above U+10FFFF */
  if (t.len < len || at[1] < low || at[1] > high)
    return 0;
  code = at[0] & (0x7fu >> len);
  for (size_t i = 1; i < len; i++) {
    if ((at[i] & 0xc0) != 0x80)
      return 0;
    code = code << 6 | (at[i] & 0x3fu);
  }
  *ret = code;
  return len;
}

/* Bytes from `from` on, by the eight, that are ASCII and no NUL. */
static size_t ascii_words(parley_text t, size_t from)
{
  const uint64_t ones = UINT64_C(0x0101010101010101), highs = UINT64_C(0x8080808080808080);
  uint64_t word;
  size_t at = from;

  for (; t.len - at >= sizeof word; at += sizeof word) {
    memcpy(&word, t.at + at, sizeof word);
    if (((word | (word - ones)) & highs) != 0) /* of bytes below 0x80, a NUL alone gives or makes a high bit */
      break;
  }
  return at - from;
}

bool text_utf8_ok(parley_text t)
{
  uint32_t code;

  for (size_t i = ascii_words(t, 0), len; i < t.len; i += len + ascii_words(t, i + len)) {
    len = utf8_read(text_sub(t, i, SIZE_MAX), &code);
    if (len == 0 || code == 0)
      return false;
  }
  return true;
}

uint32_t text_utf8_next(parley_text t, size_t *pos)
{
  uint32_t code;
  size_t len;

  if (*pos >= t.len)
    return UTF8_REPLACEMENT;
  len = utf8_read(text_sub(t, *pos, SIZE_MAX), &code);
  *pos += len > 0 ? len : 1;
  return len > 0 ? code : UTF8_REPLACEMENT;
}

size_t text_utf8_count(parley_text t)
{
  size_t count = 0;

  for (size_t pos = 0; pos < t.len; count++)
    text_utf8_next(t, &pos);
  return count;
}

size_t text_utf8_cut(parley_text t, size_t bytes_max)
{
  size_t cut = bytes_max;
  uint32_t code;

  if (t.len <= bytes_max)
    return t.len;
  for (size_t back = 0; back < 4 && cut > 0 && ((unsigned char)t.at[cut] & 0xc0) == 0x80; back++)
    cut--;
  if (cut < bytes_max && cut + utf8_read(text_sub(t, cut, SIZE_MAX), &code) <= bytes_max)
    return bytes_max; /* stray continuation bytes: each stands for itself */
  return cut;
}

bool text_has_control(parley_text t)
{
  for (size_t i = 0; i < t.len; i++)
    if ((unsigned char)t.at[i] < 0x20 || t.at[i] == 0x7f)
      return true;
  return false;
}

static size_t least(size_t a, size_t b, size_t c)
{
  size_t two = a < b ? a : b;

  return two < c ? two : c;
}

/* Edits (insert, remove, change, swap of neighbours) from a to b. Both are at most NEAREST_WORD_MAX bytes. */
static size_t words_distance(parley_text a, parley_text b)
{
  size_t rows[3][NEAREST_WORD_MAX + 1]; /* row i stands at i % 3 */

  for (size_t j = 0; j <= b.len; j++)
    rows[0][j] = j;
  for (size_t i = 1; i <= a.len; i++) {
    size_t *row = rows[i % 3], *above = rows[(i - 1) % 3], *above2 = rows[(i + 1) % 3];

    row[0] = i;
    for (size_t j = 1; j <= b.len; j++) {
      char x = byte_lower(a.at[i - 1]), y = byte_lower(b.at[j - 1]);

      row[j] = least(row[j - 1] + 1, above[j] + 1, above[j - 1] + (x != y));
      if (i > 1 && j > 1 && x == byte_lower(b.at[j - 2]) && y == byte_lower(a.at[i - 2]) && above2[j - 2] + 1 < row[j])
        row[j] = above2[j - 2] + 1;
    }
  }
  return rows[a.len % 3][b.len];
}

const char *text_nearest(parley_text word, const char *const *words)
{
  const char *nearest = NULL;
  size_t best = word.len / 3 + 2; /* one more than what still looks like a slip: an edit in three letters, and one */

  if (word.len == 0 || word.len > NEAREST_WORD_MAX)
    return NULL;
  for (; *words != NULL; words++) {
    parley_text known = parley_text_of(*words);
    size_t distance;

    if (known.len > NEAREST_WORD_MAX)
      continue;
    distance = words_distance(word, known);
    if (distance < best && distance < known.len) {
      best = distance;
      nearest = *words;
    }
  }
  return nearest;
}
