/* restore_sqlite.c - see restore.h: a backup's file becomes the store's. */
#include "sqlite.h"
#include "restore.h"
#include "core/base/clock.h"
#include "core/base/text.h"
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define COPY_BYTES 1048576

struct restoring {
  struct store_restore *ask;
  char *path; /* behind symbolic links */
  char copy[STORE_PATH_MAX]; /* beside it, until it takes its name */
  int lock_fd;
  struct buf *why;
};

static parley_status fail(struct restoring *restoring, const char *path, const char *what)
{
  buf_printf(restoring->why, "store restore: %s: %s", path, what);
  return PARLEY_FAILED;
}

static bool name_make(char to[STORE_PATH_MAX], const char *path, const char *suffix)
{
  return snprintf(to, STORE_PATH_MAX, "%s%s", path, suffix) < STORE_PATH_MAX;
}

static bool is_there(const char *path, const char *suffix)
{
  char name[STORE_PATH_MAX];

  return name_make(name, path, suffix) && access(name, F_OK) == 0;
}

static bool folder_flush(const char *path)
{
  char *name = xstrdup(path);
  int fd = open(dirname(name), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  bool fine = fd >= 0 && fsync(fd) == 0;

  if (fd >= 0)
    close(fd);
  free(name);
  return fine;
}

/* --- the copy -------------------------------------------------------------------------------------------------------------------- */

static bool bytes_copy(int from, int to)
{
  char *bytes = xcalloc(1, COPY_BYTES);
  ssize_t n;
  bool fine = true;

  while (fine && (n = read(from, bytes, COPY_BYTES)) != 0) {
    if (n < 0 && errno == EINTR)
      continue;
    for (ssize_t at = 0, sent; fine && at < n; at += sent) {
      sent = write(to, bytes + at, (size_t)(n - at));
      fine = sent > 0;
      sent = fine ? sent : 0;
    }
    fine = fine && n > 0;
  }
  free(bytes);
  return fine;
}

static parley_status copy_make(struct restoring *restoring)
{
  const char *file = restoring->ask->file;
  int from = open(file, O_RDONLY | O_CLOEXEC), to = -1;
  bool fine = from >= 0;

  if (!fine)
    return fail(restoring, file, strerror(errno));
  unlink(restoring->copy); /* of an earlier try: the lock is ours */
  to = open(restoring->copy, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  fine = to >= 0 && bytes_copy(from, to) && fsync(to) == 0;
  if (!fine)
    fail(restoring, restoring->copy, strerror(errno));
  close(from);
  if (to >= 0)
    close(to);
  return fine ? PARLEY_OK : PARLEY_FAILED;
}

static bool is_whole(struct db *db)
{
  struct stmt *check = db_prepare(db, PARLEY_LIT("PRAGMA quick_check(1)"));
  bool whole = check != NULL && db_step(check) && parley_text_is(col_peek(check, 0), "ok");

  db_reset(check);
  db_drop(check);
  return whole && db->status == PARLEY_OK;
}

/* The session goes up: what an older opening has in its hands is nobody's any more. */
static void restored_mark(struct db *db, const struct env *env)
{
  struct stmt *put;
  struct buf value = BUF_INIT(MARK_BYTES_MAX);

  mark_restored_write(&value, newest_id(db), env->now_ms(env));
  sqlite_exec(db, "BEGIN IMMEDIATE; UPDATE meta SET value=value+1 WHERE name='session'; DELETE FROM meta WHERE name='" MARK_MOVED "'");
  put = db_sql(db, "INSERT OR REPLACE INTO meta(name, value) VALUES('" MARK_RESTORED "', ?)");
  bind_blob(put, 1, buf_as_text(&value));
  db_run(put);
  sqlite_exec(db, "COMMIT; PRAGMA wal_checkpoint(TRUNCATE)");
  buf_done(&value);
}

static parley_status copy_check(struct restoring *restoring, struct sqlite_db *copy)
{
  struct db *db = &copy->base;

  if (db_int_of(db, "PRAGMA application_id") != SCHEMA_APPLICATION_ID)
    return fail(restoring, restoring->ask->file, "is no backup of a Parley store");
  if (!is_whole(db))
    return fail(restoring, restoring->ask->file, "is damaged (PRAGMA quick_check): take another backup");
  if (db_int_of(db, "SELECT count(*) FROM meta WHERE name='" MARK_COPYING "'") != 0)
    return fail(restoring, restoring->ask->file, "holds only a part of a copy");
  return schema_open(db, restoring->ask->env, restoring->why);
}

static parley_status copy_mark(struct restoring *restoring)
{
  struct sqlite_db copy = {0};
  parley_status st = sqlite_db_open(&copy, restoring->copy, NULL, SQLITE_OPEN_READWRITE, restoring->why);

  if (st != PARLEY_OK)
    return st;
  st = copy_check(restoring, &copy);
  if (st == PARLEY_OK) {
    restored_mark(&copy.base, restoring->ask->env);
    if (copy.base.status != PARLEY_OK)
      st = fail(restoring, restoring->copy, copy.base.why);
  }
  sqlite_db_close(&copy); /* the last connection: takes its log away */
  if (st == PARLEY_OK && is_there(restoring->copy, "-wal"))
    st = fail(restoring, restoring->copy, "its log did not go into it");
  return st;
}

/* --- what stands there --------------------------------------------------------------------------------------------------------- */

static bool is_empty(struct db *db)
{
  return db_int_of(db, "SELECT count(*) FROM sqlite_schema WHERE name='message'") == 0 ||
         db_int_of(db, "SELECT EXISTS (SELECT 1 FROM message) + EXISTS (SELECT 1 FROM event) + EXISTS (SELECT 1 FROM customer)"
                       " + EXISTS (SELECT 1 FROM media)") == 0;
}

/* Its log goes into it, if it can be read; what cannot be read is not empty. */
static parley_status old_look(struct restoring *restoring)
{
  struct sqlite_db old = {0};
  bool empty;

  if (!is_there(restoring->path, ""))
    return PARLEY_OK;
  if (sqlite_db_open(&old, restoring->path, NULL, SQLITE_OPEN_READWRITE, restoring->why) != PARLEY_OK)
    return PARLEY_FAILED;
  empty = is_empty(&old.base) && old.base.status == PARLEY_OK;
  sqlite3_exec(old.handle, "PRAGMA wal_checkpoint(TRUNCATE)", NULL, NULL, NULL);
  sqlite_db_close(&old);
  if (empty || restoring->ask->replace)
    return PARLEY_OK;
  buf_printf(restoring->why, "store restore: %s holds a store already; if the backup shall take its place: --force replace-the-store"
                             " (it is kept beside it under another name)", restoring->path);
  return PARLEY_REJECTED;
}

/* Under another name as well, by a second link: so there is a store under its own name at every moment. */
static parley_status old_keep(struct restoring *restoring)
{
  char *kept = restoring->ask->kept;
  char from[STORE_PATH_MAX], to[STORE_PATH_MAX];
  struct buf when = BUF_INIT(64);
  bool fine;

  kept[0] = '\0';
  if (!is_there(restoring->path, ""))
    return PARLEY_OK;
  buf_time(&when, restoring->ask->env->now_ms(restoring->ask->env));
  fine = snprintf(kept, STORE_PATH_MAX, "%s.replaced-%.23s", restoring->path, when.at) < STORE_PATH_MAX - 8;
  buf_done(&when);
  if (!fine || (link(restoring->path, kept) != 0 && (errno == EEXIST || rename(restoring->path, kept) != 0)))
    return fail(restoring, kept, strerror(errno)); /* rename: not every file system knows links */
  if (name_make(from, restoring->path, "-wal") && name_make(to, kept, "-wal") && access(from, F_OK) == 0 && rename(from, to) != 0)
    return fail(restoring, to, strerror(errno)); /* it could not be read: it belongs to the old one alone */
  if (name_make(from, restoring->path, "-shm"))
    unlink(from);
  return PARLEY_OK;
}

/* --- all of it ------------------------------------------------------------------------------------------------------------------ */

static bool is_same_file(const char *a, const char *b)
{
  struct stat first, second;

  return stat(a, &first) == 0 && stat(b, &second) == 0 && first.st_dev == second.st_dev && first.st_ino == second.st_ino;
}

static parley_status locked_run(struct restoring *restoring)
{
  parley_status st = old_look(restoring);

  if (st == PARLEY_OK)
    st = copy_make(restoring);
  if (st == PARLEY_OK)
    st = copy_mark(restoring);
  if (st == PARLEY_OK)
    st = old_keep(restoring);
  if (st == PARLEY_OK && rename(restoring->copy, restoring->path) != 0)
    st = fail(restoring, restoring->path, strerror(errno));
  if (st == PARLEY_OK && !folder_flush(restoring->path))
    st = fail(restoring, restoring->path, "the folder cannot be flushed");
  return st;
}

static void copy_drop(struct restoring *restoring)
{
  static const char *const suffixes[] = {"", "-wal", "-shm"};
  char name[STORE_PATH_MAX];

  for (size_t i = 0; i < COUNT_OF(suffixes); i++)
    if (name_make(name, restoring->copy, suffixes[i]))
      unlink(name);
}

parley_status store_restore_file(struct store_restore *ask, struct buf *reterr_why)
{
  struct restoring restoring = {.ask = ask, .path = sqlite_path_resolve(ask->path), .lock_fd = -1, .why = reterr_why};
  parley_status st = PARLEY_FAILED;

  sqlite_init();
  ask->kept[0] = '\0';
  if (!name_make(restoring.copy, restoring.path, ".restoring"))
    fail(&restoring, restoring.path, "is too long a name");
  else if (is_same_file(ask->file, restoring.path))
    fail(&restoring, ask->file, "is the store itself");
  else if (is_there(ask->file, "-wal"))
    fail(&restoring, ask->file, "has a log beside it (-wal): it was copied from under a daemon, not made by parley store backup");
  else
    restoring.lock_fd = sqlite_lock(restoring.path, reterr_why);
  if (restoring.lock_fd >= 0) {
    st = locked_run(&restoring);
    copy_drop(&restoring);
    close(restoring.lock_fd);
  }
  free(restoring.path);
  return st;
}
