/* sqlite.h - the SQLite driver's own header: connections, statements, the writer's round and the tails. Private to core/store.
 *
 * Threads   one writer (rounds: one transaction for many ops), two readers, one checkpointer; each with its own connection.
 * Errors    are sticky: the first SQLite error of a connection stays in db->error, every later call does nothing and says
 *           "no row". The writer's round looks once, before its commit; a reader once, at the end of its op.
 * Texts     '' and 0 stand for "not given"; no column but a blob is ever NULL. */
#ifndef CORE_STORE_SQLITE_H
#define CORE_STORE_SQLITE_H
#include "driver.h"
#include "core/base/arena.h"
#include "core/base/digest.h"
#include "core/base/map.h"
#include <sqlite3.h>

#define SQLITE_READERS 2
#define BODY_INLINE_MAX 16384 /* bytes; a longer body stands in table `body` */

/* --- sqlite_db.c: one connection ---------------------------------------------------------------------------------------- */

struct db {
  sqlite3 *handle;
  struct map statements; /* by the address of their text: a string literal */
  int error;             /* the first extended SQLite code that was none of OK, ROW, DONE; 0: fine */
  char why[200];         /* its words, with the statement's beginning */
};
#define WRITER_CACHE_KIB 12288
#define READER_CACHE_KIB 4096
#define DB_BUSY_MS 2000 /* there is one writer: only another program that has the file open is waited for */
void db_init(void); /* before anything else of SQLite in this process; afterwards it does nothing */
/* vfs: NULL: the default one. */
parley_status db_open(struct db *db, const char *path, const char *vfs, int flags, struct buf *reterr_why);
void db_tune(struct db *db, int cache_kib); /* our pragmas; makes the file a WAL one: only after it is known to be ours */
void db_close(struct db *db);
void db_clear_error(struct db *db);
parley_status db_status(const struct db *db); /* OK; RETRY: full, locked, too big; FAILED: a flush failed, damage, I/O error */
/* The prepared statement of this text (a literal), reset. Never NULL unless db->error. */
sqlite3_stmt *db_sql(struct db *db, const char *literal);
/* One built at run time: the caller finalizes it with db_drop(). */
sqlite3_stmt *db_prepare(struct db *db, parley_text sql);
void db_drop(sqlite3_stmt *stmt);
bool db_step(struct db *db, sqlite3_stmt *stmt);  /* true: a row stands; false: the end or an error, and it is reset */
void db_reset(sqlite3_stmt *stmt);                /* after an early leave: an open statement holds its snapshot */
void db_run(struct db *db, sqlite3_stmt *stmt);   /* INSERT, UPDATE, DELETE: step to the end, reset */
int64_t db_changes(const struct db *db);          /* rows of the last db_run() */
void db_exec(struct db *db, const char *sql);     /* not prepared; several statements allowed */
int64_t db_int_of(struct db *db, const char *sql); /* first column of the first row, not cached; 0 without one */
void bind_int(sqlite3_stmt *stmt, int at, int64_t value); /* at: from 1; texts are borrowed until the statement is reset */
void bind_id(sqlite3_stmt *stmt, int at, uint64_t value);
void bind_text(sqlite3_stmt *stmt, int at, parley_text value);
void bind_str(sqlite3_stmt *stmt, int at, const char *value); /* NULL: '' */
void bind_blob(sqlite3_stmt *stmt, int at, parley_bytes value);
int64_t col_int(sqlite3_stmt *stmt, int at); /* at: from 0 */
uint64_t col_id(sqlite3_stmt *stmt, int at);
parley_text col_text(sqlite3_stmt *stmt, int at, struct arena *arena); /* text or blob, copied */
parley_text col_peek(sqlite3_stmt *stmt, int at); /* borrowed until the next step */

/* --- sqlite_schema.c -------------------------------------------------------------------------------------------------------- */

#define SCHEMA_VERSION 2
#define SCHEMA_APPLICATION_ID 0x5061726c /* "Parl" */
/* Creates or migrates; every step is one transaction and may be run again. FAILED: foreign, newer, read-only, damaged. */
parley_status schema_open(struct db *db, const struct env *env, struct buf *reterr_why);

/* message.flags */
enum { MESSAGE_TEST = 1, MESSAGE_BODY_APART = 2, MESSAGE_AUTOMATIC = 4, MESSAGE_ECHO = 8, MESSAGE_RAW_APART = 16 };
/* customer.flags: what need not be looked for */
enum { CUSTOMER_HAS_CONSENT = 1, CUSTOMER_HAS_EXTERNAL = 2, CUSTOMER_HAS_ALIAS = 4 };
enum { DIR_OUT = 0, DIR_IN = 1 };
enum { TIMELINE_MESSAGE = 1, TIMELINE_EVENT = 2 }; /* timeline.kind; seq is a message's id or an event's seq */

/* --- sqlite_tail.c: what is written behind -------------------------------------------------------------------------------- */

#define TAIL_ENTRIES 16384
struct tail_entry { id64 customer; int64_t at; uint64_t seq; uint32_t kind; uint32_t next; };
struct timeline_tail;
struct idem_tail;
struct sqlite_store;
parley_status tails_open(struct sqlite_store *store); /* reads again what lies beyond the marks */
void tails_close(struct sqlite_store *store);
/* [any] The entries of one customer that no table may hold yet, in no order; some may stand in the tables as well. Take them
 * BEFORE the read transaction begins, then drop what is double: so nothing committed is missed. */
size_t tail_of_customer(struct sqlite_store *store, id64 customer, struct arena *arena, struct tail_entry **ret);

/* --- sqlite_facts.c: whose it is and what is known of them; used by accept and, writing nothing, by explain ----------------- */

struct identity_row {
  uint64_t h; /* its place; of none: where it would go */
  id64 id;    /* 0: there is no such row */
  id64 customer; /* 0: nobody's */
  struct identity identity;
  int64_t created_ms, used_ms;
  bool blocked;
};
struct customer_brief { id64 id, merged_into, conversation; uint32_t flags; parley_text name, locale, timezone; };
struct found { /* what a recipient's parts are in the store */
  struct ownership own;
  struct identity_row external, rows[RECIPIENT_IDENTITIES_MAX];
};
/* By kind and value, then by its national variants. False: nobody has it, ret->h is its place (ret->id may still be there). */
bool identity_find(struct db *db, const struct hash_key *key, const struct identity *wanted, struct arena *arena,
                   struct identity_row *ret);
bool customer_find(struct db *db, id64 id, struct arena *arena, struct customer_brief *ret);
/* The customer and all that are merged with it, itself first. */
size_t customer_aliases(struct db *db, const struct customer_brief *customer, struct arena *arena, id64 **ret);
bool suppression_find(struct db *db, const struct hash_key *key, parley_text kind, parley_text value); /* in force */
void recipient_find(struct db *db, const struct hash_key *key, const struct recipient *asked, struct arena *arena,
                    struct found *ret);
/* facts for decide(); customer->id 0: one that would be made. suppressions: whether there are any at all. */
void facts_load(struct db *db, const struct hash_key *key, bool suppressions, const struct submission *submission,
                const struct found *found, const struct resolution *resolution, const struct customer_brief *customer,
                struct arena *arena, struct facts *ret);

/* --- the store ------------------------------------------------------------------------------------------------------------- */

struct reader { struct sqlite_store *store; struct db *db; };
struct sqlite_store {
  struct store *front;
  const struct env *env;
  const struct log *log;
  struct store_config config;
  char *path;
  int lock_fd;
  uint8_t secret[32];
  struct hash_key hash_key;
  int64_t session; /* of this opening; deliveries SENDING under another are orphans */

  struct wal_vfs *vfs;
  struct db writer, checkpointer, readers[SQLITE_READERS];
  struct reader reader[SQLITE_READERS];
  uv_thread_t writer_thread, checkpoint_thread, reader_threads[SQLITE_READERS];
  bool writer_started;
  atomic_bool broken; /* a flush failed: nothing is believed any more */

  uv_mutex_t write_lock; /* waiting, closing */
  uv_cond_t write_wake;
  struct list waiting;
  bool closing;

  uv_mutex_t read_lock;
  uv_cond_t read_wake;
  struct list reading;
  bool read_closing;

  uv_mutex_t checkpoint_lock;
  uv_cond_t checkpoint_wake;
  bool checkpoint_wanted, checkpoint_closing, checkpoint_last; /* last: the writer must run the short final one */
  int64_t wal_frames, checkpoint_at, checkpoint_frames; /* writer thread: in the WAL now; when to begin; how many a turn */

  /* the writer thread's own */
  struct id_source ids;
  struct store_gauges gauges;
  bool full;        /* accepting stopped until a probe commits */
  int64_t expire_ms, expire_at[3]; /* mono: when to look for what is past its time; where in each table */
  int reserve_fd;
  bool reserve_made; /* room is kept for the results of what is in flight */
  int64_t probe_ms; /* mono: when to try next */
  uint64_t n_suppressions, n_parked; /* 0: nobody is looked up */
  struct timeline_tail *timeline;
  struct idem_tail *idem;
};

void sqlite_writer_main(void *store); /* sqlite_round.c */

/* --- sqlite_read.c: the readers ----------------------------------------------------------------------------------------------- */

/* Runs one read op on its own connection. A function takes the tail first where it needs it, then read_begin(), its SELECTs,
 * read_end(). Status: OK, NOT_FOUND, INVALID; a broken connection overrides it. op->arena is made already. */
typedef parley_status read_fn(struct reader *reader, struct store_op *op);
void read_begin(struct reader *reader);
void read_end(struct reader *reader);
void sqlite_reader_main(void *reader);
read_fn read_backup;

/* --- sqlite_wal.c: fewer and larger writes to the WAL -------------------------------------------------------------------------- */

struct wal_vfs;
struct wal_vfs *wal_vfs_new(void);
const char *wal_vfs_name(const struct wal_vfs *vfs); /* for db_open() */
void wal_vfs_free(struct wal_vfs **vfs);             /* after the last connection; NULL inside is fine */

/* --- sqlite_checkpoint.c ------------------------------------------------------------------------------------------------------- */

void store_break(struct sqlite_store *store); /* [any] a flush failed: from now on every write is FAILED */
void checkpoint_init(struct sqlite_store *store);
void checkpoint_truncate(struct sqlite_store *store); /* [writer] */
void sqlite_checkpoint_main(void *store);
void checkpoint_step(struct sqlite_store *store); /* [writer] between two rounds */
#endif
