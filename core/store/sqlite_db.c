/* sqlite_db.c - one connection: open with our pragmas, statements prepared once, sticky errors. */
#include "sqlite.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DB_STATEMENT_SHOWN 60 /* characters of a failed statement in the log */

/* Debian compiles secure_delete in; personal data is erased explicitly. */
static const char db_pragmas[] =
    "PRAGMA page_size=4096; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0;"
    "PRAGMA secure_delete=OFF; PRAGMA temp_store=MEMORY; PRAGMA foreign_keys=OFF; ";

struct sqlite_stmt {
  struct stmt base;
  sqlite3_stmt *at;
};

static struct sqlite_db *own(const struct db *db)
{
  return (struct sqlite_db *)((uintptr_t)db - offsetof(struct sqlite_db, base));
}

static sqlite3_stmt *real(struct stmt *stmt)
{
  return ((struct sqlite_stmt *)((char *)stmt - offsetof(struct sqlite_stmt, base)))->at;
}

sqlite3 *sqlite_handle(const struct db *db)
{
  return own(db)->handle;
}

int sqlite_error(const struct db *db)
{
  return own(db)->error;
}

/* A full disk, a quota, a file size limit and a lock heal by themselves. A flush that failed may have lost what an earlier
 * write put into the page cache, so that nothing is believed after it; damage neither. */
static parley_status status_of(int code)
{
  switch (code) {
  case 0:
    return PARLEY_OK;
  case SQLITE_IOERR_WRITE:
  case SQLITE_IOERR_SHMSIZE:
  case SQLITE_IOERR_SHMMAP:
  case SQLITE_IOERR_SHMOPEN:
  case SQLITE_IOERR_NOMEM:
    return PARLEY_RETRY;
  }
  switch (code & 0xff) {
  case SQLITE_FULL:
  case SQLITE_BUSY:
  case SQLITE_LOCKED:
  case SQLITE_NOMEM:
  case SQLITE_TOOBIG:
  case SQLITE_CANTOPEN:
  case SQLITE_READONLY: /* remounted read-only: comes back when the operator has mended it */
    return PARLEY_RETRY;
  }
  return PARLEY_FAILED;
}

static void db_fail(struct db *db, int code, const char *sql)
{
  if (db->status != PARLEY_OK)
    return;
  own(db)->error = code;
  db->status = status_of(code);
  snprintf(db->why, sizeof(db->why), "%s (%d) at '%.*s'", sqlite3_errstr(code), code, DB_STATEMENT_SHOWN, sql);
}

/* --- struct db_kind ---------------------------------------------------------------------------------------------------------- */

static struct stmt *kind_make(struct db *db, parley_text sql, unsigned flags)
{
  struct sqlite_stmt *stmt = xcalloc(1, sizeof(*stmt));
  int rc = sqlite3_prepare_v3(own(db)->handle, sql.at, (int)sql.len, flags, &stmt->at, NULL);

  stmt->base.db = db;
  if (rc == SQLITE_OK)
    return &stmt->base;
  db_fail(db, rc, sql.at);
  free(stmt);
  return NULL;
}

static struct stmt *kind_sql(struct db *db, const char *literal)
{
  uint64_t key = (uint64_t)(uintptr_t)literal;
  struct stmt *stmt = map_get(&own(db)->statements, key);

  if (stmt != NULL)
    return stmt;
  stmt = kind_make(db, parley_text_of(literal), SQLITE_PREPARE_PERSISTENT);
  if (stmt != NULL)
    map_put(&own(db)->statements, key, stmt);
  return stmt;
}

static struct stmt *kind_prepare(struct db *db, parley_text sql)
{
  return kind_make(db, sql, 0);
}

static void kind_drop(struct stmt *stmt)
{
  sqlite3_finalize(real(stmt));
  free(stmt);
}

static void kind_reset(struct stmt *stmt)
{
  sqlite3_reset(real(stmt));
}

static bool kind_step(struct stmt *stmt)
{
  int rc = SQLITE_DONE;

  if (stmt->db->status == PARLEY_OK)
    rc = sqlite3_step(real(stmt));
  if (rc == SQLITE_ROW)
    return true;
  if (rc != SQLITE_DONE)
    db_fail(stmt->db, rc, sqlite3_sql(real(stmt)));
  sqlite3_reset(real(stmt));
  return false;
}

static void kind_run(struct stmt *stmt)
{
  while (kind_step(stmt))
    ;
}

static int64_t kind_changes(struct db *db)
{
  return sqlite3_changes64(own(db)->handle);
}

static void kind_each(struct db *db, size_t n, void (*fn)(struct db *db, size_t i, void *arg), void *arg)
{
  for (size_t i = 0; i < n; i++)
    fn(db, i, arg);
}

static void kind_bind_int(struct stmt *stmt, int at, int64_t value)
{
  sqlite3_bind_int64(real(stmt), at, value);
}

static void kind_bind_bytes(struct stmt *stmt, int at, parley_bytes value, bool is_text)
{
  const char *bytes = value.at != NULL ? value.at : "";

  if (is_text)
    sqlite3_bind_text64(real(stmt), at, bytes, value.len, SQLITE_STATIC, SQLITE_UTF8);
  else
    sqlite3_bind_blob64(real(stmt), at, bytes, value.len, SQLITE_STATIC);
}

static int64_t kind_col_int(struct stmt *stmt, int at)
{
  return sqlite3_column_int64(real(stmt), at);
}

static parley_bytes kind_col_bytes(struct stmt *stmt, int at)
{
  const void *bytes = sqlite3_column_blob(real(stmt), at);

  return (parley_bytes){bytes != NULL ? bytes : "", (size_t)sqlite3_column_bytes(real(stmt), at)};
}

static const struct db_kind sqlite_kind = {.sql = kind_sql,
                                           .prepare = kind_prepare,
                                           .drop = kind_drop,
                                           .step = kind_step,
                                           .reset = kind_reset,
                                           .run = kind_run,
                                           .changes = kind_changes,
                                           .each = kind_each,
                                           .bind_int = kind_bind_int,
                                           .bind_bytes = kind_bind_bytes,
                                           .col_int = kind_col_int,
                                           .col_bytes = kind_col_bytes};

/* --- the connection ----------------------------------------------------------------------------------------------------------- */

/* With statistics every allocation of every thread takes one lock, and there are dozens a message. */
void sqlite_init(void)
{
  sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

parley_status sqlite_db_open(struct sqlite_db *db, const char *path, const char *vfs, int flags, struct buf *reterr_why)
{
  int rc = sqlite3_open_v2(path, &db->handle, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, vfs);

  db->base = (struct db){.kind = &sqlite_kind};
  if (rc == SQLITE_OK)
    return PARLEY_OK;
  buf_printf(reterr_why, "store: %s: %s", path, db->handle != NULL ? sqlite3_errmsg(db->handle) : sqlite3_errstr(rc));
  sqlite3_close(db->handle);
  db->handle = NULL;
  return PARLEY_FAILED;
}

void sqlite_db_tune(struct db *db, int cache_kib)
{
  char cache[64];

  snprintf(cache, sizeof(cache), "PRAGMA cache_size=-%d", cache_kib);
  sqlite_exec(db, db_pragmas);
  sqlite3_busy_timeout(sqlite_handle(db), DB_BUSY_MS);
  sqlite_exec(db, cache);
}

void sqlite_db_close(struct sqlite_db *db)
{
  size_t pos = 0;
  uint64_t key;
  void *found;

  while (map_next(&db->statements, &pos, &key, &found)) {
    struct sqlite_stmt *stmt = found;

    sqlite3_finalize(stmt->at);
    free(stmt);
  }
  map_done(&db->statements);
  sqlite3_close(db->handle);
  db->handle = NULL;
}

void sqlite_clear_error(struct db *db)
{
  sqlite3 *handle = own(db)->handle;

  for (sqlite3_stmt *at = sqlite3_next_stmt(handle, NULL); at != NULL; at = sqlite3_next_stmt(handle, at))
    sqlite3_reset(at);
  own(db)->error = 0;
  db->status = PARLEY_OK;
  db->why[0] = '\0';
}

void sqlite_exec(struct db *db, const char *sql)
{
  int rc;

  if (db->status != PARLEY_OK)
    return;
  rc = sqlite3_exec(own(db)->handle, sql, NULL, NULL, NULL);
  if (rc != SQLITE_OK)
    db_fail(db, rc, sql);
}
