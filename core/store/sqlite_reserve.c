/* sqlite_reserve.c - room kept for a full disk: a file beside the database that is given up when a commit finds no space, so
 * that the results of what is already in flight can still be written. Accepting resumes when the room can be had again.
 * Thread: the writer's. Where even this file is too much to ask of a disk, there is none, and a small commit is tried. */
#include "sqlite.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define RESERVE_BYTES ((off_t)4 << 20)
#define RESERVE_SHARE 5       /* made only where so many times as much is free */
#define PROBE_EVERY_MS 500
#define PROBE_BYTES 65536     /* there must be room for more than one small row */

static bool reserve_take(struct sqlite_store *store)
{
  if (posix_fallocate(store->reserve_fd, 0, RESERVE_BYTES) == 0)
    return true;
  if (ftruncate(store->reserve_fd, 0) != 0)
    log_line(store->base.log, PARLEY_WARN, "event=store_reserve_stays why=\"%s\"", strerror(errno));
  return false;
}

void reserve_open(struct sqlite_store *store)
{
  struct buf path = BUF_INIT(4096);
  struct statvfs disk;

  buf_printf(&path, "%s.reserve", store->path);
  store->reserve_fd = open(path.at, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  buf_done(&path);
  if (store->reserve_fd < 0 || fstatvfs(store->reserve_fd, &disk) != 0)
    return;
  if ((uint64_t)disk.f_bavail * disk.f_frsize >= (uint64_t)RESERVE_BYTES * RESERVE_SHARE)
    store->reserve_made = reserve_take(store);
}

void reserve_close(struct sqlite_store *store)
{
  if (store->reserve_fd >= 0)
    close(store->reserve_fd);
}

void store_full_begin(struct sqlite_store *store)
{
  if (store->full)
    return;
  store->full = true;
  store->base.gauges.accepting = false;
  store->base.gauges.why_not = "the disk is full or cannot be written";
  store->probe_ms = store->base.env->mono_ms(store->base.env) + PROBE_EVERY_MS;
  log_line(store->base.log, PARLEY_ERROR, "event=store_full remedy=\"free some space; accepting resumes by itself\"");
  if (store->reserve_made && ftruncate(store->reserve_fd, 0) != 0)
    log_line(store->base.log, PARLEY_WARN, "event=store_reserve_stays why=\"%s\"", strerror(errno));
  checkpoint_truncate(store); /* the WAL may be what fills the disk */
}

static bool probe_commit(struct sqlite_store *store)
{
  struct db *db = &store->writer.base;
  struct buf sql = BUF_INIT(256);
  bool fine;

  buf_printf(&sql, "BEGIN IMMEDIATE; INSERT OR REPLACE INTO meta(name, value) VALUES('probe', zeroblob(%d)); COMMIT",
             PROBE_BYTES);
  sqlite_exec(db, sql.at);
  sqlite_exec(db, "DELETE FROM meta WHERE name='probe'");
  buf_done(&sql);
  fine = db->status == PARLEY_OK;
  sqlite_clear_error(db);
  if (!sqlite3_get_autocommit(sqlite_handle(db)))
    sqlite3_exec(sqlite_handle(db), "ROLLBACK", NULL, NULL, NULL);
  return fine;
}

void store_full_probe(struct sqlite_store *store)
{
  if (!store->full || store->base.env->mono_ms(store->base.env) < store->probe_ms)
    return;
  store->probe_ms = store->base.env->mono_ms(store->base.env) + PROBE_EVERY_MS;
  if ((store->reserve_made && !reserve_take(store)) || !probe_commit(store)) {
    checkpoint_truncate(store);
    return;
  }
  store->full = false;
  store->base.gauges.accepting = true;
  store->base.gauges.why_not = NULL;
  log_line(store->base.log, PARLEY_INFO, "event=store_accepting");
  store_round_ended(store->base.front, &store->base.gauges, 0);
}
