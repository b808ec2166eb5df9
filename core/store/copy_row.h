/* copy_row.h - one row on its way from store to store, as bytes that mean the same whatever the store: a tuple of PostgreSQL's
 * binary COPY (COPY, "Binary Format": a count of fields, each a length and its bytes, numbers with the highest byte first). What is
 * copied and what is hashed are these bytes. Pure. Private to core/store. */
#ifndef CORE_STORE_COPY_ROW_H
#define CORE_STORE_COPY_ROW_H
#include "core/base/digest.h"

#define COPY_COLUMNS_MAX 64
#define COPY_HEAD_BYTES 19 /* before the first tuple, without extensions */
#define COPY_INT_BYTES 8

struct copy_field { bool null; parley_bytes bytes; };

/* Writing: begin, then n fields. */
void copy_row_begin(struct buf *row, size_t n);
void copy_row_null(struct buf *row);
void copy_row_int(struct buf *row, int64_t value);
void copy_row_bytes(struct buf *row, parley_bytes value);
/* A text as PostgreSQL can hold it: what is no UTF-8, and NUL, becomes U+FFFD, as the PostgreSQL driver does it. */
void copy_row_text(struct buf *row, parley_text value);

enum copy_found { COPY_ROW, COPY_END /* the stream's own end, or nothing is left */, COPY_BROKEN };
/* The next tuple of n fields, taken off *rest; *ret_row has its bytes. */
enum copy_found copy_row_next(parley_bytes *rest, size_t n, struct copy_field *fields, parley_bytes *ret_row);
bool copy_field_int(const struct copy_field *field, int64_t *ret); /* false: NULL, or no number of eight bytes */
/* The head of a stream, taken off; false: it is none. */
bool copy_head_take(parley_bytes *rest);
void copy_head_write(struct buf *to);
void copy_end_write(struct buf *to);

/* The sum over rows in their order: each is SHA-256 of the one before and the row. At first all bytes are 0. */
void copy_sum_add(uint8_t sum[SHA256_BYTES], parley_bytes row, struct buf *scratch);
#endif
