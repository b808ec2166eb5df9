/* cursor_read() and slice_next(): the first byte picks. What opens as a cursor is what cursor_write() makes of its
 * numbers; what jansson reads as an object has the same members for the slices, and a text that is cut stays JSON of a
 * prefix. */
#include "core/base/text.h"
#include "core/feed/cursor.h"
#include "core/feed/slice.h"
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void cursor_check(parley_text text)
{
  static const uint8_t secret[SHA256_BYTES] = {1};
  uint64_t numbers[CURSOR_NUMBERS_MAX];

  for (size_t n = 0; n <= CURSOR_NUMBERS_MAX; n++) {
    struct buf buf = BUF_INIT(0);

    if (!cursor_read(text, secret, PARLEY_LIT("events"), numbers, n))
      continue;
    cursor_write(&buf, secret, PARLEY_LIT("events"), numbers, n);
    if (!text_eq(buf_as_text(&buf), text))
      abort();
    buf_done(&buf);
  }
}

static void cut_check(parley_text value, const json_t *want)
{
  struct buf buf = BUF_INIT(0);
  bool cut = buf_slice_cut(&buf, value, 7);
  json_t *got = json_loadb(buf.at, buf.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);

  if (got == NULL || json_string_length(got) > (cut ? 7 : json_string_length(want)) ||
      cut == (json_equal(got, want) != 0) ||
      memcmp(json_string_value(got), json_string_value(want), json_string_length(got)) != 0)
    abort();
  json_decref(got);
  buf_done(&buf);
}

static void slice_check(parley_text text)
{
  json_t *root = json_loadb(text.at, text.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
  parley_text rest = text, key, value;
  size_t count = 0;

  while (slice_next(&rest, &key, &value)) {
    json_t *got;

    count++;
    if (value.at < text.at || value.at + value.len > text.at + text.len)
      abort();
    if (!json_is_object(root))
      continue;
    got = json_loadb(value.at, value.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    if (got == NULL)
      abort();
    if (json_is_string(got))
      cut_check(value, got);
    json_decref(got);
  }
  if (json_is_object(root) && count != json_object_size(root))
    abort();
  json_decref(root);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  parley_text rest = size > 0 ? (parley_text){(const char *)data + 1, size - 1} : TEXT_EMPTY;

  if (size > 0 && data[0] % 2 == 0)
    cursor_check(rest);
  else
    slice_check(rest);
  return 0;
}
