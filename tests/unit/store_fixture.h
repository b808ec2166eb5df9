/* store_fixture.h - a store of its own, a loop and a clock that tests move. With PARLEY_TEST_STORE=postgres the store is a fresh
 * database of the server that PARLEY_TEST_DATABASE names (a libpq connection string without dbname), else a file. */
#ifndef TESTS_STORE_FIXTURE_H
#define TESTS_STORE_FIXTURE_H
#include "core/base/arena.h"
#include "core/base/digest.h"
#include "core/base/env.h"
#include "core/base/text.h"
#include "core/store/store.h"
#include "temp.h"
#include <check.h>
#include <libpq-fe.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define START_MS INT64_C(1790000000000)

struct fixture {
  uv_loop_t loop;
  struct env_fake fake;
  char dir[64], path[96], url[512];
  bool postgres, restored; /* restored: how it is opened */
  struct store *store;
  uint64_t committed;
  int n_committed;
};

static inline void fixture_committed(uint64_t last_seq, void *arg)
{
  struct fixture *f = arg;

  f->committed = last_seq;
  f->n_committed++;
}

static inline parley_status fixture_try_open(struct fixture *f, struct store **ret, struct buf *why)
{
  struct store_config config = {.driver = f->postgres ? "postgres" : "sqlite",
                                .path = f->path,
                                .node = 1,
                                .idempotency_keep_ms = INT64_C(7) * 86400000,
                                .committed = fixture_committed,
                                .arg = f,
                                .url = f->url,
                                .restored = f->restored};

  return store_open(&config, &f->loop, &f->fake.env, NULL, ret, why);
}

static inline void fixture_open(struct fixture *f)
{
  struct buf why = BUF_INIT(1024);

  ck_assert_msg(fixture_try_open(f, &f->store, &why) == PARLEY_OK, "%s", why.at != NULL ? why.at : "");
  buf_done(&why);
}

static inline PGconn *fixture_server(const char *url)
{
  PGconn *conn = PQconnectdb(url);

  ck_assert_msg(PQstatus(conn) == CONNECTION_OK, "%s", PQerrorMessage(conn));
  return conn;
}

static inline int64_t fixture_pg(const char *url, const char *sql)
{
  PGconn *conn = fixture_server(url);
  PGresult *result = PQexec(conn, sql);
  int64_t value = -1;

  ck_assert_msg(PQresultStatus(result) == PGRES_COMMAND_OK || PQresultStatus(result) == PGRES_TUPLES_OK, "%s: %s", sql,
                PQresultErrorMessage(result));
  if (PQntuples(result) > 0)
    value = PQgetvalue(result, 0, 0)[0] == 't' ? 1 : strtoll(PQgetvalue(result, 0, 0), NULL, 10);
  PQclear(result);
  PQfinish(conn);
  return value;
}

static inline void fixture_database(struct fixture *f, const char *doing)
{
  const char *server = getenv("PARLEY_TEST_DATABASE"), *kind = getenv("PARLEY_TEST_STORE");
  char sql[160], postgres[512];

  f->postgres = kind != NULL && strcmp(kind, "postgres") == 0;
  if (!f->postgres)
    return;
  ck_assert_msg(server != NULL, "PARLEY_TEST_DATABASE is missing");
  snprintf(postgres, sizeof(postgres), "%s dbname=postgres", server);
  snprintf(f->url, sizeof(f->url), "%s dbname=parley_u%d_%x", server, (int)getpid(), (unsigned)(uintptr_t)f);
  snprintf(sql, sizeof(sql), doing, strstr(f->url, "dbname=") + 7);
  fixture_pg(postgres, sql);
}

static inline void fixture_init(struct fixture *f)
{
  memset(f, 0, sizeof(*f));
  uv_loop_init(&f->loop);
  env_fake_init(&f->fake, START_MS);
  temp_dir(f->dir, sizeof(f->dir));
  snprintf(f->path, sizeof(f->path), "%s/parley.db", f->dir);
  fixture_database(f, "CREATE DATABASE \"%s\" TEMPLATE template0 ENCODING 'UTF8'");
}

static inline void fixture_close(struct fixture *f)
{
  if (f->store != NULL)
    store_close(&f->store, NULL, NULL);
  uv_run(&f->loop, UV_RUN_DEFAULT);
}

static inline void fixture_done(struct fixture *f)
{
  char command[128];

  fixture_close(f);
  ck_assert_int_eq(uv_loop_close(&f->loop), 0);
  fixture_database(f, "DROP DATABASE IF EXISTS \"%s\" WITH (FORCE)");
  snprintf(command, sizeof(command), "rm -r '%s'", f->dir);
  ck_assert_int_eq(system(command), 0);
}

static inline void fixture_op_done(struct store_op *op)
{
  (void)op;
}

/* Submits one op and runs the loop until nothing is open. */
static inline parley_status fixture_run(struct fixture *f, struct store_op *op, enum store_kind kind)
{
  op->kind = kind;
  op->done = fixture_op_done;
  store_submit(f->store, op);
  uv_run(&f->loop, UV_RUN_DEFAULT);
  return op->status;
}

/* A number straight from the file, through a connection of the test's own. */
static inline int64_t fixture_sql(struct fixture *f, const char *sql)
{
  sqlite3 *db = NULL;
  sqlite3_stmt *stmt = NULL;
  int64_t value = -1;

  if (f->postgres)
    return fixture_pg(f->url, sql);
  ck_assert_int_eq(sqlite3_open(f->path, &db), SQLITE_OK);
  ck_assert_msg(sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) == SQLITE_OK, "%s: %s", sql, sqlite3_errmsg(db));
  if (sqlite3_step(stmt) == SQLITE_ROW)
    value = sqlite3_column_int64(stmt, 0);
  sqlite3_finalize(stmt);
  sqlite3_close(db);
  return value;
}

/* What spreads texts over the tables keyed by a hash. */
static inline void fixture_hash_key(struct fixture *f, struct hash_key *ret)
{
  sqlite3 *db = NULL;
  sqlite3_stmt *stmt = NULL;

  if (f->postgres) {
    PGconn *conn = fixture_server(f->url);
    PGresult *result = PQexecParams(conn, "SELECT value FROM meta WHERE name='hash_key'", 0, NULL, NULL, NULL, NULL, 1);

    ck_assert_int_eq(PQgetlength(result, 0, 0), (int)sizeof(*ret));
    memcpy(ret, PQgetvalue(result, 0, 0), sizeof(*ret));
    PQclear(result);
    PQfinish(conn);
    return;
  }
  ck_assert_int_eq(sqlite3_open(f->path, &db), SQLITE_OK);
  ck_assert_int_eq(sqlite3_prepare_v2(db, "SELECT value FROM meta WHERE name='hash_key'", -1, &stmt, NULL), SQLITE_OK);
  ck_assert_int_eq(sqlite3_step(stmt), SQLITE_ROW);
  memcpy(ret, sqlite3_column_blob(stmt, 0), sizeof(*ret));
  sqlite3_finalize(stmt);
  sqlite3_close(db);
}

static inline void fixture_exec(struct fixture *f, const char *sql)
{
  sqlite3 *db = NULL;

  if (f->postgres) {
    fixture_pg(f->url, sql);
    return;
  }
  ck_assert_int_eq(sqlite3_open(f->path, &db), SQLITE_OK);
  ck_assert_int_eq(sqlite3_exec(db, "PRAGMA synchronous=OFF", NULL, NULL, NULL), SQLITE_OK);
  ck_assert_int_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
  sqlite3_close(db);
}
#endif
