/* sqlite.c - opening and closing the store: the lock against a second daemon, connections, threads. */
#include "sqlite.h"
#include "fresh.h"
#include "core/base/text.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* A side file, so that no descriptor of the database itself is ever opened twice: closing one would drop SQLite's locks. */
int sqlite_lock(const char *store, struct buf *reterr_why)
{
  struct buf path = BUF_INIT(4096);
  int fd;

  buf_printf(&path, "%s.lock", store);
  fd = open(path.at, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0)
    buf_printf(reterr_why, "store: %s: %s", path.at, strerror(errno));
  else if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    buf_printf(reterr_why, "store: %s is used by another parleyd, or by parley store (%s is locked): stop that one first", store,
               path.at);
    close(fd);
    fd = -1;
  }
  buf_done(&path);
  return fd;
}

/* Made here, so that nobody but us may read it; SQLite gives its side files the same mode. An existing one keeps its own. */
void sqlite_file_make(const char *path)
{
  int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

  if (fd >= 0)
    close(fd);
}

static parley_status meta_read(struct sqlite_store *store, struct buf *reterr_why)
{
  struct db *db = &store->writer.base;
  struct stmt *get = db_sql(db, "SELECT value FROM meta WHERE name=?");
  parley_bytes value;

  bind_str(get, 1, "secret");
  if (db_step(get)) {
    value = col_peek(get, 0);
    if (value.len == sizeof(store->base.secret))
      memcpy(store->base.secret, value.at, value.len);
  }
  db_reset(get);
  bind_str(get, 1, "hash_key");
  if (db_step(get)) {
    value = col_peek(get, 0);
    if (value.len == sizeof(store->base.hash_key))
      memcpy(&store->base.hash_key, value.at, value.len);
  }
  db_reset(get);
  if (db->status == PARLEY_OK && (store->base.hash_key.a | store->base.hash_key.b) != 0)
    return PARLEY_OK;
  buf_printf(reterr_why, "store: %s: table meta is damaged", store->path);
  return PARLEY_FAILED;
}

void sqlite_recount(struct sqlite_store *store)
{
  store_recount(&store->base, &store->writer.base);
}

static parley_status session_begin(struct sqlite_store *store, struct buf *reterr_why)
{
  struct db *db = &store->writer.base;
  id64 newest;

  sqlite_exec(db, "BEGIN IMMEDIATE; UPDATE meta SET value=value+1 WHERE name='session'; COMMIT");
  store->base.session = db_int_of(db, "SELECT value FROM meta WHERE name='session'");
  sqlite_recount(store);
  newest = newest_id(db);
  restored_open(&store->base, db, newest);
  id_source_init(&store->base.ids, store->base.env, store->base.config.node, newest);
  if (db->status == PARLEY_OK && tails_open(store) == PARLEY_OK)
    return PARLEY_OK;
  buf_printf(reterr_why, "store: %s: %s", store->path, db->why);
  return PARLEY_FAILED;
}

static parley_status connections_open(struct sqlite_store *store, struct buf *reterr_why)
{
  const int flags = SQLITE_OPEN_READWRITE;
  const char *vfs = wal_vfs_name(store->vfs);
  parley_status st = sqlite_db_open(&store->checkpointer, store->path, vfs, flags, reterr_why);

  if (st == PARLEY_OK)
    sqlite_db_tune(&store->checkpointer.base, READER_CACHE_KIB);
  for (size_t i = 0; i < SQLITE_READERS && st == PARLEY_OK; i++) {
    st = sqlite_db_open(&store->readers[i], store->path, vfs, flags, reterr_why);
    if (st == PARLEY_OK) {
      sqlite_db_tune(&store->readers[i].base, READER_CACHE_KIB);
      sqlite_exec(&store->readers[i].base, "PRAGMA query_only=ON");
    }
  }
  return st;
}

static int on_wal(void *arg, sqlite3 *handle, const char *schema, int frames)
{
  struct sqlite_store *store = arg;

  (void)handle;
  (void)schema;
  store->wal_frames = frames;
  return SQLITE_OK;
}

static void sqlite_free(void *impl)
{
  struct sqlite_store *store = impl;

  if (store->writer_started)
    uv_thread_join(&store->writer_thread);
  tails_close(store);
  for (size_t i = 0; i < SQLITE_READERS; i++)
    sqlite_db_close(&store->readers[i]);
  sqlite_db_close(&store->checkpointer);
  sqlite_db_close(&store->writer); /* the last connection: SQLite checkpoints and removes the WAL */
  wal_vfs_free(&store->vfs);
  uv_mutex_destroy(&store->write_lock);
  uv_cond_destroy(&store->write_wake);
  uv_mutex_destroy(&store->read_lock);
  uv_cond_destroy(&store->read_wake);
  uv_mutex_destroy(&store->checkpoint_lock);
  uv_cond_destroy(&store->checkpoint_wake);
  reserve_close(store);
  retain_done(&store->base);
  fresh_free(&store->base.fresh);
  map_done(&store->base.parked);
  if (store->lock_fd >= 0)
    close(store->lock_fd);
  free(store->path);
  free(store);
}

/* Behind symbolic links, as SQLite itself goes: the lock beside the file must be the same for every name it has. */
char *sqlite_path_resolve(const char *path)
{
  char *real = realpath(path, NULL);

  return real != NULL ? real : xstrdup(path);
}

static uint64_t next_seq(struct round *round)
{
  return id_next(&round->store->ids); /* there is one writer */
}

const struct store_ways sqlite_ways = {.next_seq = next_seq,
                                              .timeline_add = tail_add,
                                              .timeline_tail = tail_of_customer,
                                              .timeline_recent = true,
                                              .idem_replayed = idem_replayed,
                                              .idem_keep = idem_keep,
                                              .idem_expire = idem_expire,
                                              .written_upto = tails_written_upto,
                                              .update_keeps_room = true,
                                              .backup = sqlite_backup,
                                              .media_piece = sqlite_media_piece,
                                              .sizes = sqlite_sizes,
                                              .space = sqlite_space};

static struct sqlite_store *store_new(const struct store_config *config, const struct env *env, const struct log *log,
                                      struct store *front)
{
  struct sqlite_store *store = xcalloc(1, sizeof(*store));

  store->base.ways = &sqlite_ways;
  store->base.front = front;
  store->base.env = env;
  store->base.log = log;
  store->base.config = *config;
  store->base.retention.keep = config->keep;
  store->path = sqlite_path_resolve(config->path);
  store->lock_fd = store->reserve_fd = -1;
  sqlite_init();
  store->base.fresh = fresh_new();
  store->vfs = wal_vfs_new();
  store->base.gauges.accepting = true;
  list_init(&store->waiting);
  list_init(&store->reading);
  uv_mutex_init(&store->write_lock);
  uv_cond_init(&store->write_wake);
  uv_mutex_init(&store->read_lock);
  uv_cond_init(&store->read_wake);
  uv_mutex_init(&store->checkpoint_lock);
  uv_cond_init(&store->checkpoint_wake);
  return store;
}

static void threads_start(struct sqlite_store *store)
{
  for (size_t i = 0; i < SQLITE_READERS; i++) {
    store->reader[i] = (struct reader){.store = &store->base, .db = &store->readers[i].base};
    uv_thread_create(&store->reader_threads[i], sqlite_reader_main, &store->reader[i]);
  }
  uv_thread_create(&store->checkpoint_thread, sqlite_checkpoint_main, store);
  uv_thread_create(&store->writer_thread, sqlite_writer_main, store);
  store->writer_started = true;
}

static parley_status sqlite_open(const struct store_config *config, uv_loop_t *loop, const struct env *env,
                                 const struct log *log, struct store *front, void **ret, struct buf *reterr_why)
{
  struct sqlite_store *store = store_new(config, env, log, front);
  parley_status st;

  (void)loop;
  store->lock_fd = sqlite_lock(store->path, reterr_why);
  st = store->lock_fd >= 0 ? PARLEY_OK : PARLEY_FAILED;
  if (st == PARLEY_OK) {
    sqlite_file_make(store->path);
    st = sqlite_db_open(&store->writer, store->path, wal_vfs_name(store->vfs), SQLITE_OPEN_READWRITE, reterr_why);
  }
  if (st == PARLEY_OK)
    st = schema_open(&store->writer.base, env, reterr_why);
  if (st == PARLEY_OK)
    st = meta_read(store, reterr_why);
  if (st == PARLEY_OK)
    st = marks_open(&store->base, &store->writer.base, reterr_why);
  if (st == PARLEY_OK)
    st = session_begin(store, reterr_why);
  if (st == PARLEY_OK)
    st = connections_open(store, reterr_why);
  if (st != PARLEY_OK) {
    sqlite_free(store);
    return st;
  }
  reserve_open(store);
  sqlite3_wal_hook(store->writer.handle, on_wal, store);
  threads_start(store);
  *ret = store;
  return PARLEY_OK;
}

static void sqlite_write(void *impl, struct store_op *op)
{
  struct sqlite_store *store = impl;
  bool idle;

  uv_mutex_lock(&store->write_lock);
  idle = list_empty(&store->waiting);
  list_push(&store->waiting, &op->link);
  uv_mutex_unlock(&store->write_lock);
  if (idle)
    uv_cond_signal(&store->write_wake); /* after the lock: who wakes needs it at once */
}

static void sqlite_read(void *impl, struct store_op *op)
{
  struct sqlite_store *store = impl;

  uv_mutex_lock(&store->read_lock);
  list_push(&store->reading, &op->link);
  uv_cond_signal(&store->read_wake);
  uv_mutex_unlock(&store->read_lock);
}

static void sqlite_close(void *impl)
{
  struct sqlite_store *store = impl;

  uv_mutex_lock(&store->write_lock);
  store->closing = true;
  uv_cond_signal(&store->write_wake);
  uv_mutex_unlock(&store->write_lock);
}

static const uint8_t *sqlite_secret(const void *impl)
{
  return ((const struct sqlite_store *)impl)->base.secret;
}

static const struct store_restored *sqlite_restored(const void *impl)
{
  return &((const struct sqlite_store *)impl)->base.restored;
}

const struct store_driver store_driver_sqlite = {
    .name = "sqlite",
    .open = sqlite_open,
    .write = sqlite_write,
    .read = sqlite_read,
    .close = sqlite_close,
    .free = sqlite_free,
    .secret = sqlite_secret,
    .restored = sqlite_restored,
    .look = sqlite_look,
};
