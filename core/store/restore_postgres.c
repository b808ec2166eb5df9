/* restore_postgres.c - see restore.h: what stands around PostgreSQL's own tools. */
#include "postgres.h"
#include "restore.h"
#include "core/base/text.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SCHEMA_BYTES_MAX 64 /* PostgreSQL's NAMEDATALEN */

struct store_outside {
  PGconn *conn;
  char schema[SCHEMA_BYTES_MAX];
  struct store_outside_facts facts;
};

/* --- how the tools reach it ------------------------------------------------------------------------------------------------------ */

/* What the tools can do without. */
static bool is_dispensable(const char *keyword)
{
  static const char *const words[] = {"keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout",
                                      "fallback_application_name", "replication"};

  for (size_t i = 0; i < COUNT_OF(words); i++)
    if (strcmp(keyword, words[i]) == 0)
      return true;
  return false;
}

/* libpq's environment, as far as the URL says something: nothing of it stands in anybody's list of processes. */
static parley_status environment_make(const char *url, char ***ret, struct buf *why)
{
  PQconninfoOption *options = PQconninfoParse(url, NULL);
  size_t n = 0;
  parley_status st = PARLEY_OK;
  bool writable = false;
  char **words;

  for (PQconninfoOption *option = options; option != NULL && option->keyword != NULL; option++)
    n++;
  words = xcalloc(n + 2, sizeof(*words));
  n = 0;
  for (PQconninfoOption *option = options; option != NULL && option->keyword != NULL; option++) {
    struct buf word = BUF_INIT(65536);

    if (option->val == NULL || is_dispensable(option->keyword))
      continue;
    if (option->envvar == NULL) {
      buf_printf(why, "store.url: PostgreSQL's tools cannot be told '%s' by their environment: run pg_dump or pg_restore by hand",
                 option->keyword);
      st = PARLEY_FAILED;
      continue;
    }
    writable |= strcmp(option->keyword, "target_session_attrs") == 0;
    buf_printf(&word, "%s=%s", option->envvar, option->val);
    words[n++] = buf_steal(&word, NULL);
  }
  PQconninfoFree(options);
  if (!writable)
    words[n] = xstrdup("PGTARGETSESSIONATTRS=read-write"); /* as the daemon takes it, of several hosts */
  *ret = words;
  return st;
}

/* --- opening ---------------------------------------------------------------------------------------------------------------------- */

static bool schema_read(struct store_outside *outside)
{
  PGresult *row = PQexec(outside->conn, "SELECT current_schema()");
  bool fine = PQresultStatus(row) == PGRES_TUPLES_OK && PQntuples(row) == 1 && !PQgetisnull(row, 0, 0) &&
              (size_t)PQgetlength(row, 0, 0) < sizeof(outside->schema);

  if (fine)
    snprintf(outside->schema, sizeof(outside->schema), "%s", PQgetvalue(row, 0, 0));
  PQclear(row);
  return fine;
}

static bool table_there(struct store_outside *outside, const char *name)
{
  char sql[128];

  snprintf(sql, sizeof(sql), "SELECT count(*) FROM pg_class WHERE oid=to_regclass('%s')", name);
  return pg_number(outside->conn, sql, 0) == 1;
}

static parley_status dump_check(struct store_outside *outside, struct buf *why)
{
  if (!table_there(outside, "parley_schema") || table_there(outside, PG_RESTORING_TABLE)) {
    buf_printf(why, "store backup: there is no whole store in schema %s of the database", outside->schema);
    return PARLEY_FAILED;
  }
  if (pg_number(outside->conn, "SELECT count(*) FROM meta WHERE name='" MARK_COPYING "'", 0) != 0) {
    buf_str(why, "store backup: only a part of a copy is in the database: run parley store copy to its end first");
    return PARLEY_FAILED;
  }
  return PARLEY_OK;
}

static parley_status restore_begin(struct store_outside *outside, struct buf *why)
{
  long long others;
  parley_status st = pg_lock_alone(outside->conn, why);

  if (st != PARLEY_OK)
    return st;
  if (strcmp(PQparameterStatus(outside->conn, "server_encoding"), "UTF8") != 0) {
    buf_str(why, "store restore: the database's encoding must be UTF8: create it with ENCODING 'UTF8'");
    return PARLEY_FAILED;
  }
  others = pg_number(outside->conn, "SELECT count(*) FROM pg_class WHERE relnamespace=current_schema()::regnamespace AND relkind='r'"
                                    " AND relname<>'" PG_RESTORING_TABLE "'", -1);
  if (others > 0) {
    buf_printf(why, "store restore: schema %s of the database is not empty: create a new, empty database and name it in store.url (the"
                    " old one can stay until all is well)", outside->schema);
    return PARLEY_REJECTED;
  }
  if (others < 0 || !pg_run(outside->conn, "CREATE TABLE IF NOT EXISTS " PG_RESTORING_TABLE "(begun timestamptz DEFAULT now())"))
    return pg_say(outside->conn, why);
  return PARLEY_OK;
}

parley_status store_outside_open(const char *url, enum store_outside_for purpose, struct store_outside **ret, struct buf *reterr_why)
{
  struct store_outside *outside = xcalloc(1, sizeof(*outside));
  parley_status st = PARLEY_FAILED;

  outside->conn = pg_connect(url, reterr_why);
  if (outside->conn != NULL && !schema_read(outside))
    buf_str(reterr_why, "store: the database has no schema that its user's search_path leads to");
  else if (outside->conn != NULL)
    st = environment_make(url, &outside->facts.environment, reterr_why);
  if (st == PARLEY_OK)
    st = purpose == OUTSIDE_DUMP ? dump_check(outside, reterr_why) : restore_begin(outside, reterr_why);
  if (st != PARLEY_OK) {
    store_outside_close(&outside);
    return st;
  }
  outside->facts.server_major = PQserverVersion(outside->conn) / 10000;
  outside->facts.schema = outside->schema;
  *ret = outside;
  return PARLEY_OK;
}

const struct store_outside_facts *store_outside_facts(const struct store_outside *outside)
{
  return &outside->facts;
}

void store_outside_close(struct store_outside **outside)
{
  char **words = *outside != NULL ? (*outside)->facts.environment : NULL;

  if (*outside == NULL)
    return;
  for (size_t i = 0; words != NULL && words[i] != NULL; i++) {
    explicit_bzero(words[i], strlen(words[i]));
    free(words[i]);
  }
  free(words);
  if ((*outside)->conn != NULL)
    PQfinish((*outside)->conn);
  free(*outside);
  *outside = NULL;
}

/* --- after pg_restore ------------------------------------------------------------------------------------------------------------ */

static bool mark_put(struct store_outside *outside, const struct env *env)
{
  long long newest = pg_number(outside->conn, "SELECT greatest((SELECT last_id FROM counter WHERE id=1), (SELECT max(id) FROM message),"
                                              " (SELECT max(seq) FROM event), (SELECT max(id) FROM customer), (SELECT max(id) FROM"
                                              " answer), 0)", -1);
  struct buf value = BUF_INIT(MARK_BYTES_MAX);
  bool fine;

  mark_restored_write(&value, (id64)newest, env->now_ms(env));
  fine = newest >= 0 && pg_run(outside->conn, "BEGIN") && pg_meta_put(outside->conn, MARK_RESTORED, value.at, value.len) &&
         pg_run(outside->conn, "DELETE FROM meta WHERE name='" MARK_MOVED "'; DROP TABLE " PG_RESTORING_TABLE) &&
         pg_run(outside->conn, "COMMIT");
  buf_done(&value);
  return fine;
}

parley_status store_outside_restored(struct store_outside *outside, const struct env *env, struct buf *reterr_why)
{
  if (!table_there(outside, "parley_schema")) {
    buf_printf(reterr_why, "store restore: the file holds no store of Parley in schema %s; one that was made from another schema is"
                           " restored into one of that name", outside->schema);
    return PARLEY_FAILED;
  }
  if (pg_number(outside->conn, "SELECT readable_from FROM parley_schema", 0) > STORE_SCHEMA_VERSION) {
    buf_str(reterr_why, "store restore: the backup was made by a newer Parley: restore it with that or a newer one");
    return PARLEY_FAILED;
  }
  if (pg_run(outside->conn, "SET statement_timeout=0; ANALYZE") && mark_put(outside, env))
    return PARLEY_OK;
  return pg_say(outside->conn, reterr_why);
}
