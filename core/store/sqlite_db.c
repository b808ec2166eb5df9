/* sqlite_db.c - one connection: open with our pragmas, statements prepared once, sticky errors. */
#include "sqlite.h"
#include <stdio.h>
#include <string.h>

#define DB_STATEMENT_SHOWN 60 /* characters of a failed statement in the log */

/* Debian compiles secure_delete in; personal data is erased explicitly. */
static const char db_pragmas[] =
    "PRAGMA page_size=4096; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0;"
    "PRAGMA secure_delete=OFF; PRAGMA temp_store=MEMORY; PRAGMA foreign_keys=OFF; ";

static void db_fail(struct db *db, int code, const char *sql)
{
  if (db->error != 0)
    return;
  db->error = code;
  snprintf(db->why, sizeof(db->why), "%s (%d) at '%.*s'", sqlite3_errstr(code), code, DB_STATEMENT_SHOWN, sql);
}

/* With statistics every allocation of every thread takes one lock, and there are dozens a message. */
void db_init(void)
{
  sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

parley_status db_open(struct db *db, const char *path, const char *vfs, int flags, struct buf *reterr_why)
{
  int rc = sqlite3_open_v2(path, &db->handle, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, vfs);

  if (rc == SQLITE_OK)
    return PARLEY_OK;
  buf_printf(reterr_why, "store: %s: %s", path, db->handle != NULL ? sqlite3_errmsg(db->handle) : sqlite3_errstr(rc));
  sqlite3_close(db->handle);
  db->handle = NULL;
  return PARLEY_FAILED;
}

void db_tune(struct db *db, int cache_kib)
{
  char cache[64];

  snprintf(cache, sizeof(cache), "PRAGMA cache_size=-%d", cache_kib);
  db_exec(db, db_pragmas);
  sqlite3_busy_timeout(db->handle, DB_BUSY_MS);
  db_exec(db, cache);
}

void db_close(struct db *db)
{
  size_t pos = 0;
  uint64_t key;
  void *stmt;

  while (map_next(&db->statements, &pos, &key, &stmt))
    sqlite3_finalize(stmt);
  map_done(&db->statements);
  sqlite3_close(db->handle);
  db->handle = NULL;
}

void db_clear_error(struct db *db)
{
  for (sqlite3_stmt *at = sqlite3_next_stmt(db->handle, NULL); at != NULL; at = sqlite3_next_stmt(db->handle, at))
    sqlite3_reset(at);
  db->error = 0;
  db->why[0] = '\0';
}

/* A full disk, a quota, a file size limit and a lock heal by themselves. A flush that failed may have lost what an earlier
 * write put into the page cache, so that nothing is believed after it; damage neither. */
parley_status db_status(const struct db *db)
{
  switch (db->error) {
  case 0:
    return PARLEY_OK;
  case SQLITE_IOERR_WRITE:
  case SQLITE_IOERR_SHMSIZE:
  case SQLITE_IOERR_SHMMAP:
  case SQLITE_IOERR_SHMOPEN:
  case SQLITE_IOERR_NOMEM:
    return PARLEY_RETRY;
  }
  switch (db->error & 0xff) {
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

sqlite3_stmt *db_sql(struct db *db, const char *literal)
{
  uint64_t key = (uint64_t)(uintptr_t)literal;
  sqlite3_stmt *stmt = map_get(&db->statements, key);
  int rc;

  if (stmt != NULL)
    return stmt;
  rc = sqlite3_prepare_v3(db->handle, literal, -1, SQLITE_PREPARE_PERSISTENT, &stmt, NULL);
  if (rc != SQLITE_OK) {
    db_fail(db, rc, literal);
    return NULL;
  }
  map_put(&db->statements, key, stmt);
  return stmt;
}

sqlite3_stmt *db_prepare(struct db *db, parley_text sql)
{
  sqlite3_stmt *stmt = NULL;
  int rc = sqlite3_prepare_v3(db->handle, sql.at, (int)sql.len, 0, &stmt, NULL);

  if (rc != SQLITE_OK)
    db_fail(db, rc, sql.at);
  return stmt;
}

void db_drop(sqlite3_stmt *stmt)
{
  sqlite3_finalize(stmt);
}

bool db_step(struct db *db, sqlite3_stmt *stmt)
{
  int rc;

  if (db->error != 0 || stmt == NULL) {
    db_reset(stmt);
    return false;
  }
  rc = sqlite3_step(stmt);
  if (rc == SQLITE_ROW)
    return true;
  if (rc != SQLITE_DONE)
    db_fail(db, rc, sqlite3_sql(stmt));
  sqlite3_reset(stmt);
  return false;
}

void db_reset(sqlite3_stmt *stmt)
{
  if (stmt != NULL)
    sqlite3_reset(stmt);
}

void db_run(struct db *db, sqlite3_stmt *stmt)
{
  while (db_step(db, stmt))
    ;
}

int64_t db_changes(const struct db *db)
{
  return sqlite3_changes64(db->handle);
}

void db_exec(struct db *db, const char *sql)
{
  int rc;

  if (db->error != 0)
    return;
  rc = sqlite3_exec(db->handle, sql, NULL, NULL, NULL);
  if (rc != SQLITE_OK)
    db_fail(db, rc, sql);
}

int64_t db_int_of(struct db *db, const char *sql)
{
  sqlite3_stmt *stmt = db_prepare(db, parley_text_of(sql));
  int64_t value = 0;

  if (stmt != NULL && db_step(db, stmt))
    value = sqlite3_column_int64(stmt, 0);
  db_drop(stmt);
  return value;
}

void bind_int(sqlite3_stmt *stmt, int at, int64_t value)
{
  sqlite3_bind_int64(stmt, at, value);
}

void bind_id(sqlite3_stmt *stmt, int at, uint64_t value)
{
  sqlite3_bind_int64(stmt, at, (int64_t)value);
}

void bind_text(sqlite3_stmt *stmt, int at, parley_text value)
{
  sqlite3_bind_text64(stmt, at, value.at != NULL ? value.at : "", value.len, SQLITE_STATIC, SQLITE_UTF8);
}

void bind_str(sqlite3_stmt *stmt, int at, const char *value)
{
  bind_text(stmt, at, parley_text_of(value));
}

void bind_blob(sqlite3_stmt *stmt, int at, parley_bytes value)
{
  sqlite3_bind_blob64(stmt, at, value.at != NULL ? value.at : "", value.len, SQLITE_STATIC);
}

int64_t col_int(sqlite3_stmt *stmt, int at)
{
  return sqlite3_column_int64(stmt, at);
}

uint64_t col_id(sqlite3_stmt *stmt, int at)
{
  return (uint64_t)sqlite3_column_int64(stmt, at);
}

parley_text col_peek(sqlite3_stmt *stmt, int at)
{
  const void *bytes = sqlite3_column_blob(stmt, at);
  parley_text text = {bytes != NULL ? bytes : "", (size_t)sqlite3_column_bytes(stmt, at)};

  return text;
}

parley_text col_text(sqlite3_stmt *stmt, int at, struct arena *arena)
{
  parley_text text = col_peek(stmt, at);

  return text.len > 0 ? arena_text(arena, text) : (parley_text){"", 0};
}
