/* copy_row_next() on whatever a database sends: the first byte is the number of fields. A row that is found lies within the bytes,
 * as do its fields, and is written again the same; what is not found takes nothing. */
#include "core/store/copy_row.h"
#include <stdlib.h>
#include <string.h>

#define FIELDS_MAX 8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void row_check(parley_bytes row, const struct copy_field *fields, size_t n)
{
  struct buf again = BUF_INIT(0);

  copy_row_begin(&again, n);
  for (size_t i = 0; i < n; i++) {
    if (fields[i].null)
      copy_row_null(&again);
    else
      copy_row_bytes(&again, fields[i].bytes);
  }
  if (again.len != row.len || memcmp(again.at, row.at, row.len) != 0)
    abort();
  buf_done(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  struct copy_field fields[FIELDS_MAX];
  size_t n = size > 0 ? data[0] % (FIELDS_MAX + 1) : 0;
  parley_bytes rest = size > 0 ? (parley_bytes){(const char *)data + 1, size - 1} : (parley_bytes){"", 0}, row;
  enum copy_found found;

  copy_head_take(&rest);
  do {
    parley_bytes before = rest;

    found = copy_row_next(&rest, n, fields, &row);
    if (found == COPY_ROW) {
      if (row.at != before.at || row.len + rest.len != before.len)
        abort();
      row_check(row, fields, n);
    } else if (rest.len != before.len) {
      abort();
    }
  } while (found == COPY_ROW);
  return 0;
}
