/* sqlite.h - the SQLite driver's own header: connections, the writer's round, and what is written behind it. Private to
 * core/store.
 *
 * Threads   one writer (rounds: one transaction for many ops), two readers, one checkpointer; each with its own connection. */
#ifndef CORE_STORE_SQLITE_H
#define CORE_STORE_SQLITE_H
#include "marks.h"
#include "read.h"
#include "write.h"
#include "core/base/map.h"
#include <sqlite3.h>

#define SQLITE_READERS 2

/* --- sqlite_db.c: one connection ---------------------------------------------------------------------------------------- */

struct sqlite_db {
  struct db base;
  sqlite3 *handle;
  struct map statements; /* by the address of their text: a string literal */
  int error;             /* the first extended SQLite code that was none of OK, ROW, DONE; 0: fine */
};
#define WRITER_CACHE_KIB 12288
#define READER_CACHE_KIB 4096
#define DB_BUSY_MS 2000 /* there is one writer: only another program that has the file open is waited for */
void sqlite_init(void); /* before anything else of SQLite in this process; afterwards it does nothing */
/* vfs: NULL: the default one. */
parley_status sqlite_db_open(struct sqlite_db *db, const char *path, const char *vfs, int flags, struct buf *reterr_why);
void sqlite_db_tune(struct db *db, int cache_kib); /* our pragmas; makes the file a WAL one: only after it is known to be ours */
void sqlite_db_close(struct sqlite_db *db);
sqlite3 *sqlite_handle(const struct db *db);
int sqlite_error(const struct db *db);
void sqlite_clear_error(struct db *db);
void sqlite_exec(struct db *db, const char *sql); /* not prepared; several statements allowed */

/* --- sqlite_schema.c -------------------------------------------------------------------------------------------------------- */

#define SCHEMA_APPLICATION_ID 0x5061726c /* "Parl" */
/* Creates or migrates; every step is one transaction and may be run again. FAILED: foreign, newer, read-only, damaged. */
parley_status schema_open(struct db *db, const struct env *env, struct buf *reterr_why);

/* --- the store ------------------------------------------------------------------------------------------------------------- */

extern const struct store_ways sqlite_ways; /* const: its functions */
struct timeline_tail;
struct idem_tail;
struct sqlite_store {
  struct store_base base;
  char *path;
  int lock_fd;
  struct wal_vfs *vfs;
  struct sqlite_db writer, checkpointer, readers[SQLITE_READERS];
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
  bool full;        /* accepting stopped until a probe commits */
  int reserve_fd;
  bool reserve_made; /* room is kept for the results of what is in flight */
  int64_t probe_ms; /* mono: when to try next */
  struct timeline_tail *timeline;
  struct idem_tail *idem;
};

static inline struct sqlite_store *sqlite_of(struct store_base *base)
{
  return (struct sqlite_store *)((char *)base - offsetof(struct sqlite_store, base));
}
/* sqlite.c. The lock that keeps others away, whoever they are: its descriptor; -1: why says it. */
int sqlite_lock(const char *path, struct buf *reterr_why);
void sqlite_file_make(const char *path);          /* for us alone; one that is there stays as it is */
char *sqlite_path_resolve(const char *path);      /* behind symbolic links; free() it */
void sqlite_recount(struct sqlite_store *store); /* what is counted in memory, after a roll-back */

/* --- sqlite_round.c, sqlite_reader.c: the threads ---------------------------------------------------------------------------- */

void sqlite_writer_main(void *store);
void sqlite_reader_main(void *reader);

/* --- sqlite_backup.c ---------------------------------------------------------------------------------------------------------- */

read_fn sqlite_backup;

/* --- sqlite_small.c ----------------------------------------------------------------------------------------------------------- */

parley_status sqlite_media_piece(struct reader *reader, struct store_media *ask);
void sqlite_sizes(struct reader *reader, struct store_stats *ask);

/* --- sqlite_space.c ------------------------------------------------------------------------------------------------------------ */

void sqlite_space(struct reader *reader, struct space *space);

/* --- sqlite_look.c ------------------------------------------------------------------------------------------------------------- */

parley_status sqlite_look(const struct store_config *config, const struct env *env, store_look_fn *look, void *arg,
                          int64_t *ret_schema, struct buf *reterr_why);

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
/* --- sqlite_reserve.c --------------------------------------------------------------------------------------------------------- */

void reserve_open(struct sqlite_store *store);
void reserve_close(struct sqlite_store *store);
void store_full_begin(struct sqlite_store *store); /* nothing is taken in from now on */
void store_full_probe(struct sqlite_store *store); /* until there is room again */

/* --- sqlite_tail.c: what is written behind -------------------------------------------------------------------------------- */

#define TAIL_ENTRIES 16384
parley_status tails_open(struct sqlite_store *store); /* reads again what lies beyond the marks */
void tails_close(struct sqlite_store *store);
void tails_settle(struct db *db); /* without a running store: what lies beyond the timeline's mark goes to its table */
/* [any] See struct store_ways. */
size_t tail_of_customer(struct store_base *store, id64 customer, struct arena *arena, struct timeline_entry **ret);
void tail_add(struct round *round, const struct timeline_entry *entry);
void mark_put(struct db *db, const char *name, uint64_t upto); /* in the transaction that wrote the last of it */
uint64_t tails_written_upto(struct round *round); /* see struct store_ways */
bool tails_pending(const struct sqlite_store *store);
bool tails_flushing(const struct sqlite_store *store); /* a batch is on its way to its table */
void tails_seal(struct sqlite_store *store, size_t from_entries); /* outside of a round */
void tails_begin(struct sqlite_store *store); /* remembers where tails_undo() must go back to */
void tails_write(struct round *round, size_t n_new);
void tails_committed(struct round *round);
void tails_undo(struct round *round);

/* --- sqlite_idem.c ------------------------------------------------------------------------------------------------------------- */

bool idem_replayed(struct round *round, struct store_op *op, uint64_t *ret_h);
void idem_keep(struct round *round, const struct store_op *op, uint64_t h);
struct idem_tail *idem_open(struct db *db);
void idem_close(struct idem_tail *tail);
bool idem_pending(const struct idem_tail *tail);
bool idem_flushing(const struct idem_tail *tail);
void idem_seal(struct sqlite_store *store, size_t from_entries); /* outside of a round */
void idem_begin(struct idem_tail *tail);
void idem_write(struct round *round, size_t rows, size_t moved);
void idem_committed(struct idem_tail *tail);
void idem_undo(struct round *round);
void idem_expire(struct round *round); /* one small piece of what is past its time */
#endif
