/* postgres_gather.h - what fibers want of one connection between two flushes, gathered: rows to be written and questions leave
 * together, those of one statement as one (postgres_text.h). Private to core/store.
 *
 * Owns      the bytes of the rows that wait; of a question its place, the statement itself is its asker's.
 * Order     what was written before is there for whoever asks later: rows leave before questions. Of all rows that wait inserts
 *           go first, each table's before its updates: no insert depends on an update of another row. Of one table only one update
 *           waits at a time, and no row twice: whatever else is written to it first sends what waits for that table. A statement
 *           that is none of these (PG_OTHER) first sends all.
 * Limits    a statement's rows leave when they are BATCH_ROWS_MAX or BATCH_BYTES_MAX, so that the server writes while we go on. */
#ifndef CORE_STORE_POSTGRES_GATHER_H
#define CORE_STORE_POSTGRES_GATHER_H
#include "postgres_text.h"
#include "core/base/list.h"
#include "core/base/map.h"

struct pg_db;
struct pg_known;
struct pg_link;
struct pg_stmt;

struct pg_gathered { /* of one statement */
  struct list link;    /* in gather->rows while n_rows > 0; in a list of pg_gather_leave() while `asking` is not empty */
  size_t n_rows;
  struct buf arrays[PG_PARAMS_MAX]; /* parameter by parameter: its values as the elements of an array */
  struct map keys;     /* of the rows: hash of the parameters that name one */
  struct list asking;  /* struct pg_stmt: who asks it, while pg_gather_leave() sorts them */
};
struct pg_gather { /* of one connection */
  struct list rows; /* struct pg_known, in the order of their first */
  struct list asks; /* struct pg_stmt */
};
void pg_gather_init(struct pg_gather *gather);
void pg_gathered_init(struct pg_gathered *gathered);
void pg_gathered_done(struct pg_gathered *gathered);

void pg_gather_write(struct pg_link *link, struct pg_stmt *stmt, struct pg_db *db); /* what is bound is taken over at once */
void pg_gather_ask(struct pg_link *link, struct pg_stmt *stmt); /* what is bound stays until it was answered */
bool pg_gather_is_empty(const struct pg_gather *gather);
/* By the connection, before it sends anything else. */
void pg_gather_rows_leave(struct pg_link *link);
bool pg_gather_leave(struct pg_link *link); /* rows, then questions; true: there were questions */
#endif
