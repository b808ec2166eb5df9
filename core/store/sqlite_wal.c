/* sqlite_wal.c - a VFS that gathers the writes to the WAL. SQLite writes each page of a commit by two calls, one of 24 bytes and
 * one of 4096; here they leave as one, when the WAL is flushed at the latest. Nobody reads them before: SQLite shows frames to
 * other connections after the flush that ends their commit. What cannot be written fails that flush, as a write would have
 * failed before. All other files are those of the VFS that was the default when the store was opened.
 *
 * The WAL grows by steps of zeros, in front of what is written: a flush of bytes behind the end of a file has to wait for the file
 * system's journal as well, which takes two to seven times as long. SQLite reads a WAL up to the first frame that is none. A disk
 * that has little room is left alone. */
#include "sqlite.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#define WAL_HELD_MAX ((size_t)127 << 10) /* SQLite writes less than 128 KiB at once */
#define WAL_STEP_BYTES ((sqlite3_int64)1 << 20)
#define WAL_STEP_FREE_MIN ((uint64_t)64 << 20) /* bytes of the disk that are free, for a step */

struct wal_file {
  sqlite3_file base;
  sqlite3_file *real; /* behind us */
  char *held;         /* NULL: this connection has written nothing yet */
  size_t n_held;
  sqlite3_int64 at; /* where `held` belongs */
  sqlite3_int64 size; /* of the file, as far as this connection has made it */
  const char *path;   /* SQLite's, until it is closed */
};
struct wal_vfs {
  sqlite3_vfs vfs, *real;
  char name[32];
};

static struct wal_file *wal_of(sqlite3_file *file)
{
  return (struct wal_file *)file;
}

static bool disk_is_wide(const struct wal_file *wal)
{
  struct statvfs disk;

  return wal->path != NULL && statvfs(wal->path, &disk) == 0 && (uint64_t)disk.f_bavail * disk.f_frsize >= WAL_STEP_FREE_MIN;
}

/* From where the file ends, which is behind all that was ever written. */
static int step_write(struct wal_file *wal, sqlite3_int64 end)
{
  static const char zeros[64 << 10];
  sqlite3_int64 to = end + WAL_STEP_BYTES - end % WAL_STEP_BYTES;
  int rc = SQLITE_OK;

  if (!disk_is_wide(wal))
    return SQLITE_OK;
  while (wal->size < to && rc == SQLITE_OK) {
    sqlite3_int64 n = to - wal->size < (sqlite3_int64)sizeof(zeros) ? to - wal->size : (sqlite3_int64)sizeof(zeros);

    rc = wal->real->pMethods->xWrite(wal->real, zeros, (int)n, wal->size);
    wal->size += rc == SQLITE_OK ? n : 0;
  }
  return rc;
}

static int real_write(struct wal_file *wal, const void *from, size_t n, sqlite3_int64 at)
{
  sqlite3_int64 end = at + (sqlite3_int64)n;
  int rc = end > wal->size ? step_write(wal, end) : SQLITE_OK;

  if (rc == SQLITE_OK)
    rc = wal->real->pMethods->xWrite(wal->real, from, (int)n, at);
  if (rc == SQLITE_OK && end > wal->size)
    wal->size = end;
  return rc;
}

/* Held bytes that could not be written are dropped: their commit has failed, and the next one writes its own. */
static int held_write(struct wal_file *wal)
{
  size_t n = wal->n_held;

  wal->n_held = 0;
  return n == 0 ? SQLITE_OK : real_write(wal, wal->held, n, wal->at);
}

static int wal_close(sqlite3_file *file)
{
  struct wal_file *wal = wal_of(file);
  int rc = held_write(wal), closed = wal->real->pMethods->xClose(wal->real);

  free(wal->held);
  wal->held = NULL;
  return rc != SQLITE_OK ? rc : closed;
}

static int wal_read(sqlite3_file *file, void *to, int n, sqlite3_int64 at)
{
  struct wal_file *wal = wal_of(file);
  int rc = held_write(wal);

  return rc != SQLITE_OK ? rc : wal->real->pMethods->xRead(wal->real, to, n, at);
}

static int wal_write(sqlite3_file *file, const void *from, int n, sqlite3_int64 at)
{
  struct wal_file *wal = wal_of(file);
  bool follows = at == wal->at + (sqlite3_int64)wal->n_held && wal->n_held + (size_t)n <= WAL_HELD_MAX;
  int rc = follows ? SQLITE_OK : held_write(wal);

  if (rc != SQLITE_OK)
    return rc;
  if ((size_t)n > WAL_HELD_MAX)
    return real_write(wal, from, (size_t)n, at);
  if (wal->held == NULL)
    wal->held = xrealloc(NULL, WAL_HELD_MAX);
  if (wal->n_held == 0)
    wal->at = at;
  memcpy(wal->held + wal->n_held, from, (size_t)n);
  wal->n_held += (size_t)n;
  return SQLITE_OK;
}

static int wal_truncate(sqlite3_file *file, sqlite3_int64 size)
{
  struct wal_file *wal = wal_of(file);
  int rc = held_write(wal);

  if (rc == SQLITE_OK)
    rc = wal->real->pMethods->xTruncate(wal->real, size);
  if (rc == SQLITE_OK && size < wal->size)
    wal->size = size;
  return rc;
}

static int wal_sync(sqlite3_file *file, int flags)
{
  struct wal_file *wal = wal_of(file);
  int rc = held_write(wal);

  return rc != SQLITE_OK ? rc : wal->real->pMethods->xSync(wal->real, flags);
}

static int wal_size(sqlite3_file *file, sqlite3_int64 *size)
{
  struct wal_file *wal = wal_of(file);
  int rc = held_write(wal);

  return rc != SQLITE_OK ? rc : wal->real->pMethods->xFileSize(wal->real, size);
}

static int wal_lock(sqlite3_file *file, int kind)
{
  return wal_of(file)->real->pMethods->xLock(wal_of(file)->real, kind);
}

static int wal_unlock(sqlite3_file *file, int kind)
{
  return wal_of(file)->real->pMethods->xUnlock(wal_of(file)->real, kind);
}

static int wal_reserved(sqlite3_file *file, int *ret)
{
  return wal_of(file)->real->pMethods->xCheckReservedLock(wal_of(file)->real, ret);
}

static int wal_control(sqlite3_file *file, int op, void *arg)
{
  return wal_of(file)->real->pMethods->xFileControl(wal_of(file)->real, op, arg);
}

static int wal_sector(sqlite3_file *file)
{
  return wal_of(file)->real->pMethods->xSectorSize(wal_of(file)->real);
}

static int wal_device(sqlite3_file *file)
{
  return wal_of(file)->real->pMethods->xDeviceCharacteristics(wal_of(file)->real);
}

static const sqlite3_io_methods wal_methods = {.iVersion = 1, /* no shared memory, no mapping: SQLite asks neither of a WAL */
                                               .xClose = wal_close,
                                               .xRead = wal_read,
                                               .xWrite = wal_write,
                                               .xTruncate = wal_truncate,
                                               .xSync = wal_sync,
                                               .xFileSize = wal_size,
                                               .xLock = wal_lock,
                                               .xUnlock = wal_unlock,
                                               .xCheckReservedLock = wal_reserved,
                                               .xFileControl = wal_control,
                                               .xSectorSize = wal_sector,
                                               .xDeviceCharacteristics = wal_device};

static int wal_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *ret_flags)
{
  sqlite3_vfs *real = ((struct wal_vfs *)vfs)->real;
  struct wal_file *wal = wal_of(file);
  int rc;

  if (!(flags & SQLITE_OPEN_WAL))
    return real->xOpen(real, name, file, flags, ret_flags);
  *wal = (struct wal_file){.real = (sqlite3_file *)(wal + 1), .path = name};
  rc = real->xOpen(real, name, wal->real, flags, ret_flags);
  if (rc == SQLITE_OK && wal->real->pMethods->xFileSize(wal->real, &wal->size) != SQLITE_OK)
    wal->size = INT64_MAX; /* unknown: no steps */
  wal->base.pMethods = wal->real->pMethods != NULL ? &wal_methods : NULL;
  return rc;
}

struct wal_vfs *wal_vfs_new(void)
{
  struct wal_vfs *vfs = xcalloc(1, sizeof(*vfs));

  vfs->real = sqlite3_vfs_find(NULL);
  snprintf(vfs->name, sizeof(vfs->name), "wal-%p", (void *)vfs); /* a name is of the process: each store has its own */
  vfs->vfs = *vfs->real;
  vfs->vfs.zName = vfs->name;
  vfs->vfs.szOsFile = (int)sizeof(struct wal_file) + vfs->real->szOsFile;
  vfs->vfs.xOpen = wal_open;
  vfs->vfs.pNext = NULL;
  sqlite3_vfs_register(&vfs->vfs, 0);
  return vfs;
}

const char *wal_vfs_name(const struct wal_vfs *vfs)
{
  return vfs->name;
}

void wal_vfs_free(struct wal_vfs **vfs)
{
  if (*vfs == NULL)
    return;
  sqlite3_vfs_unregister(&(*vfs)->vfs);
  free(*vfs);
  *vfs = NULL;
}
