/* postgres_call.h - blocking calls on a connection that is not in pipeline mode: at a start before the loop runs, in libuv's pool,
 * and in the tools (copy, restore). Never on the loop. Private to core/store.
 *
 * Time      what may be done to a server that is not known to be well is given PG_ANSWER_MAX_MS ("soon"); after a time-out the
 *           connection is of no use any more. Everything else takes as long as it takes.
 * Errors    false, `otherwise` or NULL; pg_say() has the words. */
#ifndef CORE_STORE_POSTGRES_CALL_H
#define CORE_STORE_POSTGRES_CALL_H
#include "core/base/buf.h"
#include <libpq-fe.h>

#define PG_ANSWER_MAX_MS 10000 /* so long without a word, and a server is given up */
#define PG_SILENT "the database has not answered for 10 s"
_Static_assert(PG_ANSWER_MAX_MS == 10000, "PG_SILENT");

bool pg_run(PGconn *conn, const char *sql);
bool pg_run_soon(PGconn *conn, const char *sql);
int64_t pg_number(PGconn *conn, const char *sql, int64_t otherwise); /* the first column of the first row */
int64_t pg_number_soon(PGconn *conn, const char *sql, int64_t otherwise);
PGresult *pg_query_soon(PGconn *conn, const char *sql); /* the last result, or the first error */
parley_status pg_say(PGconn *conn, struct buf *reterr_why); /* what the connection says, in one line; FAILED */

bool pg_meta_put(PGconn *conn, const char *name, const void *bytes, size_t len);
bool pg_meta_get(PGconn *conn, const char *name, void *to, size_t len);       /* soon. false: there is none of this length */
bool pg_meta_text(PGconn *conn, const char *name, char *to, size_t room);     /* false: there is none, or it is longer */
#endif
