/* postgres_text.h - one SQL text of the store's logic as PostgreSQL is told it: for one set of parameters, and for many at once.
 * Pure: no connection. Private to core/store.
 *
 *   SELECT a FROM t WHERE h=?        one:  SELECT a FROM t WHERE h=$1
 *                                    many: SELECT u.row_n, r.* FROM unnest($1::int8[]) WITH ORDINALITY AS u(p1, row_n)
 *                                          CROSS JOIN LATERAL (SELECT a FROM t WHERE h=u.p1) AS r ORDER BY u.row_n
 *   INSERT INTO t(a, b) VALUES(?,0)  many: INSERT INTO t(a, b) SELECT ($1::int8[])[u.n],0
 *                                          FROM generate_series(1,cardinality($1::int8[])) AS u(n)
 *   UPDATE t SET a=? WHERE id=?      many: UPDATE t SET a=($1::int8[])[u.n] FROM generate_series(..) AS u(n)
 *                                          WHERE id=($2::int8[])[u.n]
 *
 * unnest() makes one row of the i-th elements of its arrays (PostgreSQL 15, 9.19 Array Functions); of many arrays it costs more than
 * to take the elements one by one: 12.3 us a row of 23 columns written, against 9.7. */
#ifndef CORE_STORE_POSTGRES_TEXT_H
#define CORE_STORE_POSTGRES_TEXT_H
#include "core/base/buf.h"

#define PG_PARAMS_MAX 40
#define PG_TABLE_BYTES_MAX 32
enum pg_doing {
  PG_SELECT,
  PG_INSERT, /* rows of which none depends on another: INSERT, also with ON CONFLICT DO NOTHING */
  PG_UPSERT, /* ON CONFLICT(..) DO UPDATE: one row of a key at a time */
  PG_UPDATE, /* of rows that are named by equality alone: UPDATE .. WHERE a=? AND b=? */
  PG_OTHER,  /* one at a time, in its place */
};
enum pg_type { PG_INT8 = 20, PG_TEXT = 25, PG_BYTEA = 17 }; /* pg_type.oid */

struct pg_text {
  enum pg_doing doing;
  char table[PG_TABLE_BYTES_MAX]; /* that is written to; "" of a SELECT */
  int n_params;
  int n_key;
  int key[PG_PARAMS_MAX];    /* UPSERT, UPDATE: the parameters, from 1, that name the row */
  struct buf one, templ;     /* templ: with each parameter as u.pN; of OTHER empty */
  size_t values_at, values_end; /* INSERT, UPSERT: where in templ the list within VALUES(..) stands */
  size_t where_at;           /* UPDATE: where in templ " WHERE" begins */
};
/* sql: `?` or `?N` for parameters, outside of quotes. "INDEXED BY name" is left out. */
void pg_text_init(struct pg_text *text, parley_text sql);
void pg_text_done(struct pg_text *text);
/* The statement for many sets; types[i] of parameter i+1. Not of OTHER. */
void pg_text_many(const struct pg_text *text, const enum pg_type *types, struct buf *ret);
#endif
