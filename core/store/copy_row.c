/* copy_row.c - see copy_row.h. */
#include "copy_row.h"
#include "core/base/text.h"
#include <endian.h>
#include <string.h>

static const char head[COPY_HEAD_BYTES] = "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0"; /* signature, flags, length of extensions */

static void put16(struct buf *to, size_t value)
{
  uint16_t be = htobe16((uint16_t)value);

  buf_add(to, &be, sizeof(be));
}

static void put32(struct buf *to, size_t value)
{
  uint32_t be = htobe32((uint32_t)value);

  buf_add(to, &be, sizeof(be));
}

void copy_row_begin(struct buf *row, size_t n)
{
  put16(row, n);
}

void copy_row_null(struct buf *row)
{
  put32(row, UINT32_MAX);
}

void copy_row_int(struct buf *row, int64_t value)
{
  uint64_t be = htobe64((uint64_t)value);

  put32(row, sizeof(be));
  buf_add(row, &be, sizeof(be));
}

void copy_row_bytes(struct buf *row, parley_bytes value)
{
  put32(row, value.len);
  buf_add(row, value.at, value.len);
}

void copy_row_text(struct buf *row, parley_text value)
{
  struct buf clean = BUF_INIT(0);

  if (!text_utf8_ok(value)) {
    buf_text_clean(&clean, value);
    value = buf_as_text(&clean);
  }
  copy_row_bytes(row, value);
  buf_done(&clean);
}

/* --- reading --------------------------------------------------------------------------------------------------------------------- */

static bool take(parley_bytes *rest, size_t len, const char **ret)
{
  if (rest->len < len)
    return false;
  *ret = rest->at;
  rest->at += len;
  rest->len -= len;
  return true;
}

static bool take16(parley_bytes *rest, uint16_t *ret)
{
  const char *at;

  if (!take(rest, sizeof(*ret), &at))
    return false;
  memcpy(ret, at, sizeof(*ret));
  *ret = be16toh(*ret);
  return true;
}

static bool take32(parley_bytes *rest, uint32_t *ret)
{
  const char *at;

  if (!take(rest, sizeof(*ret), &at))
    return false;
  memcpy(ret, at, sizeof(*ret));
  *ret = be32toh(*ret);
  return true;
}

static bool take_field(parley_bytes *rest, struct copy_field *field)
{
  uint32_t len;

  if (!take32(rest, &len))
    return false;
  *field = (struct copy_field){.null = len == UINT32_MAX, .bytes = {"", 0}};
  if (field->null)
    return true;
  field->bytes.len = len;
  return take(rest, len, &field->bytes.at);
}

enum copy_found copy_row_next(parley_bytes *rest, size_t n, struct copy_field *fields, parley_bytes *ret_row)
{
  parley_bytes at = *rest;
  uint16_t count;

  if (rest->len == 0)
    return COPY_END;
  if (!take16(&at, &count))
    return COPY_BROKEN;
  if (count == UINT16_MAX)
    return at.len == 0 ? COPY_END : COPY_BROKEN;
  if (count != n)
    return COPY_BROKEN;
  for (size_t i = 0; i < n; i++)
    if (!take_field(&at, &fields[i]))
      return COPY_BROKEN;
  *ret_row = (parley_bytes){rest->at, rest->len - at.len};
  *rest = at;
  return COPY_ROW;
}

bool copy_field_int(const struct copy_field *field, int64_t *ret)
{
  uint64_t be;

  if (field->null || field->bytes.len != sizeof(be))
    return false;
  memcpy(&be, field->bytes.at, sizeof(be));
  *ret = (int64_t)be64toh(be);
  return true;
}

bool copy_head_take(parley_bytes *rest)
{
  const char *at;

  return rest->len >= sizeof(head) && memcmp(rest->at, head, sizeof(head)) == 0 && take(rest, sizeof(head), &at);
}

void copy_head_write(struct buf *to)
{
  buf_add(to, head, sizeof(head));
}

void copy_end_write(struct buf *to)
{
  put16(to, UINT16_MAX);
}

void copy_sum_add(uint8_t sum[SHA256_BYTES], parley_bytes row, struct buf *scratch)
{
  buf_clear(scratch);
  buf_add(scratch, sum, SHA256_BYTES);
  buf_add(scratch, row.at, row.len);
  sha256((parley_bytes){scratch->at, scratch->len}, sum);
}
