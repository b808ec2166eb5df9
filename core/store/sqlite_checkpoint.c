/* sqlite_checkpoint.c - moves the WAL into the database file beside the writer. A passive checkpoint flushes the file only
 * when it has reached the last frame, and whoever gets there pays for all: so this thread copies and flushes most of it, and
 * leaves the writer the last few frames, after which the WAL starts anew in place. */
#include "sqlite.h"
#include <sys/stat.h>
#include <sys/statvfs.h>

#define CHECKPOINT_FRAMES_MAX 16384 /* of 4 KiB: when it begins, ... */
#define CHECKPOINT_FRAMES_MIN 1024
#define CHECKPOINT_SHARE 8          /* ... sooner where that were more than this part of the free disk */
#define FRAME_BYTES 4096
#define TRUNCATE_WAIT_MS 100
#define CHECKPOINT_LEFT_MAX 150   /* frames that the writer may be left with */
#define CHECKPOINT_PASSES_MAX 8

void store_break(struct sqlite_store *store)
{
  atomic_store(&store->broken, true);
  store_broke(store->base.front);
}

/* Through SQLite's own handle: to open and close the file a second time would drop its POSIX locks. */
static bool file_flush(struct db *db)
{
  sqlite3_file *file = NULL;

  if (sqlite3_file_control(sqlite_handle(db), "main", SQLITE_FCNTL_FILE_POINTER, &file) != SQLITE_OK || file == NULL)
    return true;
  return file->pMethods == NULL || file->pMethods->xSync(file, SQLITE_SYNC_NORMAL) == SQLITE_OK;
}

static void checkpoint_run(struct sqlite_store *store)
{
  struct db *db = &store->checkpointer.base;
  int in_log = 0, copied = 0;

  for (int pass = 0; pass < CHECKPOINT_PASSES_MAX; pass++) {
    int rc = sqlite3_wal_checkpoint_v2(sqlite_handle(db), "main", SQLITE_CHECKPOINT_PASSIVE, &in_log, &copied);

    if (rc != SQLITE_OK && rc != SQLITE_BUSY) {
      log_line(store->base.log, PARLEY_WARN, "event=checkpoint_failed why=\"%s\"", sqlite3_errstr(rc));
      if (rc == SQLITE_IOERR_FSYNC)
        store_break(store);
      return;
    }
    if (!file_flush(db)) {
      log_line(store->base.log, PARLEY_ERROR, "event=checkpoint_failed why=\"the database file could not be flushed\"");
      store_break(store);
      return;
    }
    if (in_log - copied < CHECKPOINT_LEFT_MAX)
      break;
  }
}

void sqlite_checkpoint_main(void *arg)
{
  struct sqlite_store *store = arg;

  uv_mutex_lock(&store->checkpoint_lock);
  for (;;) {
    while (!store->checkpoint_wanted && !store->checkpoint_closing)
      uv_cond_wait(&store->checkpoint_wake, &store->checkpoint_lock);
    if (store->checkpoint_closing)
      break;
    uv_mutex_unlock(&store->checkpoint_lock);
    checkpoint_run(store);
    uv_mutex_lock(&store->checkpoint_lock);
    store->checkpoint_wanted = false;
    store->checkpoint_last = true;
  }
  uv_mutex_unlock(&store->checkpoint_lock);
}

void checkpoint_step(struct sqlite_store *store)
{
  bool last, wanted;

  if (store->wal_frames < store->checkpoint_at)
    return;
  uv_mutex_lock(&store->checkpoint_lock);
  last = store->checkpoint_last;
  store->checkpoint_last = false;
  wanted = store->checkpoint_wanted;
  if (!last && !wanted) {
    store->checkpoint_wanted = true;
    uv_cond_signal(&store->checkpoint_wake);
  }
  uv_mutex_unlock(&store->checkpoint_lock);
  if (last) {
    int in_log = 0, copied = 0;

    sqlite3_wal_checkpoint_v2(store->writer.handle, "main", SQLITE_CHECKPOINT_PASSIVE, &in_log, &copied);
    /* A reader may hold the WAL: then it goes on growing, and the next try comes as many frames later. */
    store->checkpoint_at = (copied >= in_log ? 0 : in_log) + store->checkpoint_frames;
    if (copied >= in_log)
      store->wal_frames = 0;
  }
}

/* The WAL's room goes back to the disk. It has to be written anew afterwards, so only when that room is needed, and at the end:
 * there, and not when the last connection closes, since that is on the loop. */
void checkpoint_truncate(struct sqlite_store *store)
{
  int in_log, copied;

  if (atomic_load(&store->broken))
    return;
  sqlite3_busy_timeout(store->writer.handle, TRUNCATE_WAIT_MS);
  if (sqlite3_wal_checkpoint_v2(store->writer.handle, "main", SQLITE_CHECKPOINT_TRUNCATE, &in_log, &copied) == SQLITE_OK)
    store->wal_frames = 0;
  sqlite3_busy_timeout(store->writer.handle, DB_BUSY_MS);
}

static int64_t wal_bytes(const struct sqlite_store *store)
{
  struct buf path = BUF_INIT(4096);
  struct stat file;
  int64_t bytes = 0;

  buf_printf(&path, "%s-wal", store->path);
  if (stat(path.at, &file) == 0)
    bytes = file.st_size;
  buf_done(&path);
  return bytes;
}

void checkpoint_init(struct sqlite_store *store)
{
  struct statvfs disk;
  uint64_t frames = CHECKPOINT_FRAMES_MAX;

  if (statvfs(store->path, &disk) == 0)
    frames = (uint64_t)disk.f_bavail * disk.f_frsize / CHECKPOINT_SHARE / FRAME_BYTES;
  if (frames > CHECKPOINT_FRAMES_MAX)
    frames = CHECKPOINT_FRAMES_MAX;
  store->checkpoint_frames = frames > CHECKPOINT_FRAMES_MIN ? (int64_t)frames : CHECKPOINT_FRAMES_MIN;
  store->checkpoint_at = store->checkpoint_frames;
  if (wal_bytes(store) > store->checkpoint_frames * FRAME_BYTES / 4)
    store->checkpoint_at = 1; /* what a crash has left goes at once, beside the first rounds */
}
