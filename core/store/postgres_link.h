/* postgres_link.h - one connection to PostgreSQL in pipeline mode: sends, hands each answer to whoever waits for it, says when it
 * is lost. Private to core/store.
 *
 * Owns      the PGconn, the loop's watch over its socket, the statements it knows, what was sent and is not answered yet.
 * Threads   the loop's; pg_link_wait() blocks, and is for the time before the loop runs.
 * Order     the server works and answers in the order of sending. A flush, a command, COMMIT and a sync first send what was
 *           gathered (postgres_gather.h).
 * Errors    are sticky, as in struct db: in the link and in every db on it, until pg_link_clear(). What cannot be sent makes the
 *           next flush give the connection up. Of a lost connection whoever waited is resumed with an error, then on_lost() runs.
 * Source    libpq 15, chapters 34.4 (asynchronous commands) and 34.5 (pipeline mode). */
#ifndef CORE_STORE_POSTGRES_LINK_H
#define CORE_STORE_POSTGRES_LINK_H
#include "postgres_gather.h"
#include <libpq-fe.h>
#include <uv.h>

#define PG_WHY_BYTES 200

struct pg_store;

struct pg_known { /* a statement as this connection knows it */
  struct pg_text text;
  enum pg_type types[PG_PARAMS_MAX];
  char name[16];
  bool kept; /* by a literal: prepared on the server, and kept as long as the connection */
  bool prepared, prepared_many;
  struct pg_gathered gathered;
};
struct pg_link {
  struct pg_store *store;
  PGconn *conn;       /* NULL: there is none */
  uv_poll_t *poll;    /* NULL until pg_link_watch() */
  int events;
  struct list dbs;    /* struct pg_db: who works on it */
  struct list ready;  /* struct pg_db: who got what it waited for */
  struct map known;   /* by the address of the literal */
  uint32_t n_known;
  struct pg_gather gather;
  struct list sent;   /* struct pg_sent: what the server has not answered yet */
  parley_status status;
  char why[PG_WHY_BYTES];
  char sqlstate[6];
  bool unflushed;     /* something was sent since the server was last asked for its answers */
  bool unsendable, lost, patient; /* patient: blocking, an answer may take as long as it takes */
  enum { COMMIT_OPEN, COMMIT_IS_IN, COMMIT_IS_OUT } commit; /* what the server said to the newest COMMIT; OPEN: nothing */
  uint32_t silent;    /* ticks of the store since the server was heard, while it owes an answer */
  uint64_t n_trips;   /* times that something was sent to be answered */
  void (*on_lost)(struct pg_link *link); /* once, when the connection is gone: status is set, whoever waited has been resumed */
};
/* Takes over a connection that stands; pipeline mode, non-blocking. on_lost may be set afterwards. */
void pg_link_open(struct pg_link *link, struct pg_store *store, PGconn *conn);
void pg_link_watch(struct pg_link *link, uv_loop_t *loop); /* from here on the loop tells of answers */
void pg_link_close(struct pg_link *link); /* forgets what is open; whoever waits is resumed with an error; no on_lost() */

/* --- statements ---------------------------------------------------------------------------------------------------------------- */

struct pg_known *pg_known_new(parley_text sql); /* of no connection, not kept: the caller frees it when it was answered */
void pg_known_free(struct pg_known *known);
struct pg_known *pg_link_known(struct pg_link *link, const char *literal); /* the link's */

/* --- sending: what is bound is taken over at once ------------------------------------------------------------------------------ */

struct pg_args { /* of one statement, in binary; borrowed */
  const char *values[PG_PARAMS_MAX];
  int lengths[PG_PARAMS_MAX], formats[PG_PARAMS_MAX];
};
void pg_args_put(struct pg_args *args, int at, const char *bytes, size_t len); /* at: from 0 */
/* Now, behind all that was sent before. many: each argument is an array. db: is told of the answer; NULL: nobody is. */
void pg_link_send_write(struct pg_link *link, struct pg_known *known, bool many, const struct pg_args *args, struct pg_db *db);
/* A question of one, or of n who have asked the same statement, in their order. asks: taken over. */
void pg_link_send_asks(struct pg_link *link, struct pg_known *known, const struct pg_args *args, struct pg_stmt **asks, size_t n);
void pg_link_command(struct pg_link *link, const char *sql, struct pg_db *db); /* no rows, not prepared */
void pg_link_commit(struct pg_link *link, struct pg_db *db); /* COMMIT, as such a command; link->commit tells of it */
void pg_link_sync(struct pg_link *link);  /* ends what an error has stopped (34.5.1.3), behind all that was sent */
void pg_link_push(struct pg_link *link);  /* to the socket, as much as it takes; asks for no answers */
void pg_link_flush(struct pg_link *link); /* all that waits, and asks for the answers; after everybody has yielded */

/* --- answers -------------------------------------------------------------------------------------------------------------------- */

void pg_link_ready(struct pg_link *link, struct pg_db *db); /* goes on in this turn, if it waits */
void pg_link_run(struct pg_link *link); /* from outside of an answer: goes on with those who are ready, and sends */
bool pg_link_idle(const struct pg_link *link); /* nothing waits, everything has been answered */
void pg_link_wait(struct pg_link *link);  /* blocking, at start only: until something has been answered */

void pg_link_clear(struct pg_link *link); /* forgets the error */
void pg_link_give_up(struct pg_link *link, const char *why); /* it is lost from here on; not from inside of a fiber on it */
#endif
