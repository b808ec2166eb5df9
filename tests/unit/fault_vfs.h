/* fault_vfs.h - SQLite's default VFS with faults that a test switches on: the n-th write or flush fails, from then on or once. */
#ifndef TESTS_FAULT_VFS_H
#define TESTS_FAULT_VFS_H
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

struct fault {
  atomic_int until_write, until_sync; /* counts down; the call that makes it 0 fails; < 0: never */
  atomic_int write_code, sync_code;   /* what it fails with */
  atomic_bool stays;                  /* all calls after it fail, too */
  sqlite3_vfs vfs, *real;
};
struct fault_file {
  sqlite3_file base;
  sqlite3_file *real;
};
static struct fault fault; /* SQLite's VFS list is of the process as well */

static bool fault_due(atomic_int *until)
{
  int left = atomic_load(until);

  if (left < 0)
    return false;
  if (left > 0)
    left = atomic_fetch_sub(until, 1) - 1;
  if (left > 0)
    return false;
  atomic_store(until, atomic_load(&fault.stays) ? 0 : -1);
  return true;
}

#define REAL(file) (((struct fault_file *)(file))->real)
#define FORWARD(file, method, ...) REAL(file)->pMethods->method(REAL(file), ##__VA_ARGS__)

static int f_close(sqlite3_file *file) { return REAL(file)->pMethods != NULL ? FORWARD(file, xClose) : SQLITE_OK; }
static int f_read(sqlite3_file *file, void *to, int n, sqlite3_int64 at) { return FORWARD(file, xRead, to, n, at); }
static int f_write(sqlite3_file *file, const void *from, int n, sqlite3_int64 at)
{
  if (fault_due(&fault.until_write))
    return atomic_load(&fault.write_code);
  return FORWARD(file, xWrite, from, n, at);
}
static int f_truncate(sqlite3_file *file, sqlite3_int64 size) { return FORWARD(file, xTruncate, size); }
static int f_sync(sqlite3_file *file, int flags)
{
  if (fault_due(&fault.until_sync))
    return atomic_load(&fault.sync_code);
  return FORWARD(file, xSync, flags);
}
static int f_size(sqlite3_file *file, sqlite3_int64 *size) { return FORWARD(file, xFileSize, size); }
static int f_lock(sqlite3_file *file, int kind) { return FORWARD(file, xLock, kind); }
static int f_unlock(sqlite3_file *file, int kind) { return FORWARD(file, xUnlock, kind); }
static int f_reserved(sqlite3_file *file, int *ret) { return FORWARD(file, xCheckReservedLock, ret); }
static int f_control(sqlite3_file *file, int op, void *arg) { return FORWARD(file, xFileControl, op, arg); }
static int f_sector(sqlite3_file *file) { return FORWARD(file, xSectorSize); }
static int f_device(sqlite3_file *file) { return FORWARD(file, xDeviceCharacteristics); }
static int f_shm_map(sqlite3_file *file, int page, int size, int extend, void volatile **ret)
{
  return FORWARD(file, xShmMap, page, size, extend, ret);
}
static int f_shm_lock(sqlite3_file *file, int at, int n, int flags) { return FORWARD(file, xShmLock, at, n, flags); }
static void f_shm_barrier(sqlite3_file *file) { FORWARD(file, xShmBarrier); }
static int f_shm_unmap(sqlite3_file *file, int drop) { return FORWARD(file, xShmUnmap, drop); }

static const sqlite3_io_methods fault_methods = {.iVersion = 2,
                                                 .xClose = f_close,
                                                 .xRead = f_read,
                                                 .xWrite = f_write,
                                                 .xTruncate = f_truncate,
                                                 .xSync = f_sync,
                                                 .xFileSize = f_size,
                                                 .xLock = f_lock,
                                                 .xUnlock = f_unlock,
                                                 .xCheckReservedLock = f_reserved,
                                                 .xFileControl = f_control,
                                                 .xSectorSize = f_sector,
                                                 .xDeviceCharacteristics = f_device,
                                                 .xShmMap = f_shm_map,
                                                 .xShmLock = f_shm_lock,
                                                 .xShmBarrier = f_shm_barrier,
                                                 .xShmUnmap = f_shm_unmap};

static int f_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *ret_flags)
{
  struct fault_file *mine = (struct fault_file *)file;
  int rc;

  (void)vfs;
  mine->real = (sqlite3_file *)(mine + 1);
  rc = fault.real->xOpen(fault.real, name, mine->real, flags, ret_flags);
  mine->base.pMethods = mine->real->pMethods != NULL ? &fault_methods : NULL;
  return rc;
}

static void fault_off(void)
{
  atomic_store(&fault.until_write, -1);
  atomic_store(&fault.until_sync, -1);
  atomic_store(&fault.stays, false);
}

static void fault_install(void)
{
  fault_off();
  if (fault.real != NULL)
    return;
  fault.real = sqlite3_vfs_find(NULL);
  fault.vfs = *fault.real;
  fault.vfs.zName = "fault";
  fault.vfs.szOsFile = (int)(sizeof(struct fault_file)) + fault.real->szOsFile;
  fault.vfs.xOpen = f_open;
  fault.vfs.pNext = NULL;
  sqlite3_vfs_register(&fault.vfs, 1);
}
#endif
