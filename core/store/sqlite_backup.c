/* sqlite_backup.c - an online copy of the whole store: one read transaction on a reader's connection, while writes go on. */
#include "sqlite.h"
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool flush_path(const char *path, int flags)
{
  int fd = open(path, flags | O_CLOEXEC);
  bool fine = fd >= 0 && fsync(fd) == 0;

  if (fd >= 0)
    close(fd);
  return fine;
}

/* The file's own bytes and its name in the directory: a backup that a power cut takes back is none. */
static bool backup_flush(const char *path)
{
  char *copy = xstrdup(path);
  bool fine = flush_path(path, O_RDONLY) && flush_path(dirname(copy), O_RDONLY | O_DIRECTORY);

  free(copy);
  return fine;
}

static int backup_copy(sqlite3 *from, const char *path)
{
  sqlite3 *to = NULL;
  sqlite3_backup *copy;
  int rc = sqlite3_open_v2(path, &to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);

  if (rc == SQLITE_OK) {
    copy = sqlite3_backup_init(to, "main", from, "main");
    if (copy != NULL) {
      sqlite3_backup_step(copy, -1);
      sqlite3_backup_finish(copy);
    }
    rc = sqlite3_errcode(to);
  }
  sqlite3_close(to);
  return rc;
}

parley_status sqlite_backup(struct reader *reader, struct store_op *op)
{
  struct store_backup *backup = container_of(op, struct store_backup, op);
  int fd = open(backup->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  struct stat st;
  int rc;

  if (fd < 0)
    return errno == EEXIST ? PARLEY_REJECTED : PARLEY_INVALID;
  close(fd);
  rc = backup_copy(sqlite_handle(reader->db), backup->path);
  if (rc != SQLITE_OK || !backup_flush(backup->path) || stat(backup->path, &st) != 0) {
    log_line(reader->store->log, PARLEY_ERROR, "event=backup_failed why=\"%s\"", sqlite3_errstr(rc));
    unlink(backup->path);
    return PARLEY_RETRY;
  }
  backup->bytes = (uint64_t)st.st_size;
  return PARLEY_OK;
}
