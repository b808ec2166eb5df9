/* sqlite_look.c - a look at a store from outside, be it in use or not: one snapshot, nothing written. */
#include "sqlite.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LOOK_CACHE_KIB 65536

/* Of a store that was closed well there is no WAL, and nobody writes: then not even its side files are made. */
static parley_status look_open(struct sqlite_db *db, const char *path, struct buf *reterr_why)
{
  struct buf wal = BUF_INIT(4096), uri = BUF_INIT(16384);
  parley_status st;
  bool in_use;

  if (access(path, R_OK) != 0) {
    buf_printf(reterr_why, "store: %s: %s", path, strerror(errno));
    return PARLEY_FAILED;
  }
  buf_printf(&wal, "%s-wal", path);
  in_use = access(wal.at, F_OK) == 0;
  buf_str(&uri, "file:");
  for (const char *at = path; *at != '\0'; at++) {
    if (*at == '?' || *at == '#' || *at == '%')
      buf_printf(&uri, "%%%02x", (unsigned char)*at);
    else
      buf_char(&uri, *at);
  }
  buf_str(&uri, in_use ? "?mode=ro" : "?mode=ro&immutable=1");
  st = sqlite_db_open(db, uri.at, NULL, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, reterr_why);
  buf_done(&wal);
  buf_done(&uri);
  return st;
}

/* The first page is read. */
static parley_status look_begin(struct sqlite_db *db, const char *path, struct buf *reterr_why)
{
  char cache[64];

  snprintf(cache, sizeof(cache), "PRAGMA query_only=ON; PRAGMA cache_size=-%d", LOOK_CACHE_KIB);
  sqlite3_busy_timeout(db->handle, DB_BUSY_MS);
  sqlite_exec(&db->base, cache);
  if (db->base.status == PARLEY_OK) {
    sqlite_exec(&db->base, "BEGIN");
    return PARLEY_OK;
  }
  if (sqlite3_errcode(db->handle) == SQLITE_NOTADB)
    buf_printf(reterr_why, "store: %s is no SQLite file, so neither a store nor a backup of that kind; a backup of PostgreSQL is"
                           " checked when it is restored into an empty database", path);
  else if (sqlite3_errcode(db->handle) == SQLITE_CORRUPT)
    buf_printf(reterr_why, "store: %s is damaged, or a part of a file only: take another backup", path);
  else
    buf_printf(reterr_why, "store: %s: %s", path, db->base.why);
  return PARLEY_FAILED;
}

static parley_status look_schema(struct db *db, const char *path, int64_t *ret_schema, struct buf *reterr_why)
{
  int64_t application = db_int_of(db, "PRAGMA application_id");

  *ret_schema = db_int_of(db, "PRAGMA user_version");
  if (db->status != PARLEY_OK)
    buf_printf(reterr_why, "store: %s: %s", path, db->why);
  else if (application != SCHEMA_APPLICATION_ID)
    buf_printf(reterr_why, "store: %s is no store of Parley's", path);
  else if (*ret_schema != STORE_SCHEMA_VERSION)
    buf_printf(reterr_why, "store: %s has schema %lld, this program reads %d: %s", path, (long long)*ret_schema, STORE_SCHEMA_VERSION,
               schema_remedy(*ret_schema));
  return reterr_why->len == 0 ? PARLEY_OK : PARLEY_FAILED;
}

parley_status sqlite_look(const struct store_config *config, const struct env *env, store_look_fn *look, void *arg,
                          int64_t *ret_schema, struct buf *reterr_why)
{
  struct sqlite_db db = {0};
  parley_status st;

  (void)env;
  sqlite_init();
  st = look_open(&db, config->path, reterr_why);
  if (st != PARLEY_OK)
    return st;
  st = look_begin(&db, config->path, reterr_why);
  if (st == PARLEY_OK)
    st = look_schema(&db.base, config->path, ret_schema, reterr_why);
  if (st == PARLEY_OK) {
    look(&db.base, true, arg);
    st = db.base.status == PARLEY_OK ? PARLEY_OK : PARLEY_FAILED;
    if (st != PARLEY_OK)
      buf_printf(reterr_why, "store: %s: %s", config->path, db.base.why);
  }
  sqlite_db_close(&db);
  return st;
}
