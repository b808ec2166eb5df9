/* postgres.h - the PostgreSQL driver's own header: connections in pipeline mode on the loop, statements on fibers, rounds, the
 * session. Private to core/store.
 *
 * Shape     one connection writes (rounds: one transaction for many ops, as with SQLite), PG_READERS read. An op is a fiber: where
 *           the logic asks for a row it yields until the row is here. Of all fibers that stand at a time the questions and the
 *           rows to be written leave together, those of one statement as one (postgres_gather.h): the cost of a round is a few
 *           round trips, however many ops are in it.
 * Threads   the loop's alone, but for calls that block (postgres_call.h): of store_open() before the loop runs, and in libuv's pool
 *           while connections are made.
 * Source    libpq 15, chapters 34.4 (asynchronous commands) and 34.5 (pipeline mode). */
#ifndef CORE_STORE_POSTGRES_H
#define CORE_STORE_POSTGRES_H
#include "fiber.h"
#include "marks.h"
#include "postgres_call.h"
#include "postgres_link.h"
#include "read.h"
#include "write.h"

#define PG_READERS 4
#define PG_SEQ_NODE 1023 /* event numbers are ids of this node: a daemon's is below */

/* --- postgres_db.c: the connection as one fiber sees it -------------------------------------------------------------------------- */

struct pg_param { enum pg_type type; unsigned char be[8]; parley_bytes bytes; struct buf clean; };
struct pg_rows { PGresult *result; int refs; };
struct pg_stmt {
  struct stmt base;
  struct list link; /* of pg_gather: in `asks`, or in its statement's `asking` */
  struct pg_known *known;
  struct pg_param params[PG_PARAMS_MAX];
  bool stands, arrived; /* it was asked; it was answered */
  bool ahead;           /* asked by pg_db_ahead(), not taken yet */
  uint64_t ahead_key;
  struct pg_rows *rows;
  int at, end, first_col;
};
struct pg_db {
  struct db base;
  struct list link; /* in link->dbs */
  struct pg_link *on;
  struct fiber *fiber; /* NULL: blocking, at start only */
  struct pg_db *parent; /* of db_each() */
  int n_children;
  struct list ready; /* in on->ready */
  struct map statements;
  bool waits;      /* the fiber has yielded until the link wakes it */
  struct list held; /* struct pg_lock */
  int n_ahead;      /* answers that were asked for ahead and not taken */
  int n_open;      /* commands, and statements of PG_OTHER, whose answer is not here */
  int64_t changes;
};
static inline struct pg_db *pg_db_of(struct db *db)
{
  return container_of(db, struct pg_db, base);
}
void pg_db_init(struct pg_db *db);
void pg_db_done(struct pg_db *db);
void pg_db_use(struct pg_db *db, struct pg_link *link, struct fiber *fiber); /* fiber: NULL as above */
void pg_db_leave(struct pg_db *db);
void pg_db_wait(struct pg_db *db); /* until pg_link_ready(): once; look at what was waited for */
/* Starts a fiber of its own for fn(db, arg), with a struct pg_db of its own on the same connection. */
void pg_db_spawn(struct pg_db *parent, void (*fn)(struct db *db, void *arg), void *arg);
void pg_db_join(struct pg_db *parent, int n_left); /* until no more than n_left of them run */
void pg_children_free(struct list *idle);
/* Asks what will be asked anyway: the statement of this literal with this one number, so that its answer comes with those of
 * others. Whoever runs it with that number finds the answer there; with another one, the answer is passed over. */
void pg_db_ahead(struct pg_db *db, const char *literal, uint64_t key);
void pg_command(struct pg_db *db, const char *sql); /* that is not prepared, of no rows */
void pg_db_settle(struct pg_db *db); /* until all that n_open counts was answered, or the connection is lost */
void pg_rollback(struct pg_db *db); /* after an error: the connection is fit for another transaction */

/* --- postgres_lock.c: who of the fibers of one round works on what ------------------------------------------------------------- */

/* Fibers of one round share one transaction, which keeps nothing of one from the other: what two ops might both change is locked
 * by a 64-bit key while the round's loop runs them. First all keys that an op names itself, at once; then the customer it found,
 * one at most: so nobody waits in a circle. */
#define PG_KEYS_MAX 64 /* of one op */
struct pg_locks {
  struct map map;
  struct map had; /* keys that pg_lock_first() took in this round */
};
void pg_locks_take(struct pg_db *db, const uint64_t *keys, size_t n); /* all or none meanwhile; yields until they are free */
bool pg_lock_first(struct pg_db *db, uint64_t key); /* one more; true: nobody had it before in this round */
void pg_locks_new_round(struct pg_locks *locks);
void pg_locks_drop(struct pg_db *db);                                 /* all that db holds */

/* --- postgres_connect.c: connections, made by blocking calls: at start, and in libuv's pool ------------------------------------ */

#define PG_TURN_SHIFT 40
#define PG_NOW_MS "(extract(epoch FROM clock_timestamp()) * 1000)::bigint"

struct pg_session { /* see postgres_session.c */
  int64_t id;         /* 0: not begun */
  uint64_t turn;      /* of this coming to a server */
  uint64_t confirmed; /* the newest `round` of our row that we know to be committed */
  uint64_t number;    /* of the round that the row tells of */
  int pid;            /* of the server's process that has our lock */
};
struct pg_connecting {
  uv_work_t work;
  struct pg_store *store; /* in the pool: only what never changes */
  char *url;
  bool wanted[1 + PG_READERS]; /* the writer, the readers */
  PGconn *conns[1 + PG_READERS];
  struct pg_session session;
  size_t host;      /* which one of the URL's */
  int64_t begun_ms; /* mono */
  /* RETRY: not all of them, those that are there are good. REJECTED: all servers lack what was confirmed. CLOSED: another daemon
   * has taken our place. FAILED: anything else that was wrong. */
  parley_status status;
  struct buf why;
};
struct pg_connecting *pg_connecting_new(struct pg_store *store);
void pg_connecting_run(struct pg_connecting *connecting); /* blocking */
void pg_connecting_free(struct pg_connecting *connecting); /* with the connections that nobody took over */

PGconn *pg_connect(const char *url, struct buf *reterr_why); /* to any of its servers; NULL: why says it, without the URL */
parley_status pg_reach(const struct store_config *config, bool connect, struct buf *reterr_why); /* see store_reach() */
bool pg_tune(PGconn *conn, struct buf *reterr_why);          /* as this store wants every connection of its own */

/* --- postgres_schema.c --------------------------------------------------------------------------------------------------------- */

/* Advisory locks. The first key: "Parl"; the second: the schema, each daemon's node, and what all daemons share: whoever must be
 * alone with the store (copy, restore) takes that one for itself. */
#define PG_LOCK_SCHEMA 1346458988
enum { PG_LOCK_MIGRATE = 0, PG_LOCK_NODE = 1 /* + node */, PG_LOCK_IN_USE = 2000 };
/* Nobody else, and no daemon of any node, has the store open from here on: until the connection ends. */
parley_status pg_lock_alone(PGconn *conn, struct buf *reterr_why);

/* Blocking, on a connection that is not in pipeline mode: creates or migrates under an advisory lock, and reads `meta`. FAILED:
 * foreign, newer, not UTF8. */
parley_status pg_server_fits(PGconn *conn, struct buf *reterr_why); /* its version, the database's encoding */
parley_status pg_schema_open(PGconn *conn, struct pg_store *store, struct buf *reterr_why);
#define PG_RESTORING_TABLE "parley_restoring" /* there while a restore is under way, or was broken off */
/* Blocking: FAILED if a daemon may not open it, see marks.h. */
parley_status pg_marks_open(PGconn *conn, const struct pg_store *store, struct buf *reterr_why);

/* --- postgres_session.c -------------------------------------------------------------------------------------------------------- */

/* Blocking: takes the daemon's lock on its node; begins a session, or goes on with ours. REJECTED: this server lacks what was
 * confirmed. CLOSED: another daemon has worked as this node meanwhile. FAILED: the lock is another's, or nobody answers. */
parley_status pg_session_take(PGconn *conn, uint32_t node, struct pg_session *session, struct buf *reterr_why);

/* --- postgres_round.c ---------------------------------------------------------------------------------------------------------- */

void pg_round_try(struct pg_store *store); /* begins one, if ops wait and none runs */
void pg_round_beat(struct pg_store *store); /* begins one, with no ops if none wait: it proves that we live */
uint64_t pg_next_seq(struct round *round);
bool pg_lock(struct db *db, uint64_t key);

/* --- postgres_keys.c: what an op names that another op of the round may name too ----------------------------------------------- */

void pg_lock_submission(struct db *db, const struct submission *submission);
/* What an op will look up first. */
void pg_op_ahead(struct pg_db *db, const struct store_base *store, const struct store_op *op);
/* False: it touches so much that it runs alone. */
bool pg_op_keys(const struct store_base *store, const struct store_op *op, uint64_t keys[PG_KEYS_MAX], size_t *ret_n);

/* --- postgres_reader.c --------------------------------------------------------------------------------------------------------- */

void pg_read_try(struct pg_store *store);

/* --- postgres_idem.c, postgres_small.c: the ways of struct store_ways ---------------------------------------------------------- */

extern const char pg_answer_get_sql[]; /* const: SQL */
bool pg_idem_replayed(struct round *round, struct store_op *op, uint64_t *ret_h);
void pg_idem_keep(struct round *round, const struct store_op *op, uint64_t h);
void pg_timeline_add(struct round *round, const struct timeline_entry *entry);
parley_status pg_media_piece(struct reader *reader, struct store_media *ask);
void pg_sizes(struct reader *reader, struct store_stats *ask);
void pg_space(struct reader *reader, struct space *space);
read_fn pg_backup;

/* --- postgres.c: opening, connecting again, closing ---------------------------------------------------------------------------- */

void pg_doubt_keep(struct pg_store *store, struct list *ops, struct round *round); /* takes both over */
void pg_accepting(struct pg_store *store, const char *why_not); /* NULL: it does. why_not: a literal */
void pg_refuse_takers(struct pg_store *store); /* of what waits: what would take something in */
void pg_beat_soon(struct pg_store *store);
void pg_closing_step(struct pg_store *store); /* after a round, a read, a connection: whether all is done */

/* --- the store ----------------------------------------------------------------------------------------------------------------- */

struct pg_reader {
  struct pg_link link;
  struct pg_db db;
  struct reader reader;
  bool busy;
};
struct pg_waiter { struct list link; struct pg_db *db; };
struct pg_store {
  struct store_base base;
  uv_loop_t *loop;
  struct fiber_pool fibers;
  struct list idle_children; /* of postgres_db.c */
  struct pg_locks locks;

  struct pg_link writer;
  struct pg_db conductor; /* of the round that runs */
  struct list waiting;    /* writes */
  bool in_round;
  uint64_t seq_next, seq_end; /* of this round's slot; equal: none is left */
  bool seq_asked;
  struct list seq_waits; /* struct pg_waiter */
  uint64_t round; /* number of the newest one begun; it goes on over all connections */

  struct pg_reader readers[PG_READERS];
  struct list reading;

  char *url;
  uv_timer_t *tick; /* heartbeats, and the next try to connect */
  uv_timer_t *soon; /* a round without ops, see pg_beat_soon() */
  struct pg_connecting *connecting; /* in the pool; NULL: none */
  struct pg_session session;
  size_t host; /* of the URL's: the writer's */
  int64_t retry_ms, backoff_ms; /* mono: when to try next */
  int64_t committed_ms; /* mono: when the newest round that was committed wrote that we live: our lease counts from here */
  struct list doubted; /* ops of a round of which nobody knows whether it was committed */
  struct round doubt;  /* its seats and newest event */
  uint64_t doubted_round;
  bool full;            /* the server has no room: what comes in is refused, until a round is committed */
  int64_t full_look_ms, full_told_ms; /* mono: when a round was tried last; when the log was told */
  bool in_doubt, closing, closed_told;
};
static inline struct pg_store *pg_of(struct store_base *base)
{
  return container_of(base, struct pg_store, base);
}
#endif
