/* A database as the store's logic sees it (core/store/db.h): what is written is there for whoever asks later, in the order in which
 * it was written, although PostgreSQL is told of it by statements of many rows. On both drivers. */
#include "core/store/postgres.h"
#include "core/store/sqlite.h"
#include "store_fixture.h"

static struct fixture f;
static struct sqlite_db file;
static struct pg_link wire;
static struct pg_db connection;
static struct db *db;

static const char insert[] = "INSERT INTO thing(id, a, b) VALUES(?, ?, 1)";
static const char update_a[] = "UPDATE thing SET a=? WHERE id=?";
static const char update_both[] = "UPDATE thing SET b=b+1, a=? WHERE id=?";
static const char upsert[] = "INSERT INTO thing(id, a, b) VALUES(?, ?, 7) ON CONFLICT(id) DO UPDATE SET a=excluded.a, b=8";
static const char drop[] = "DELETE FROM thing WHERE id=?";
static const char look[] = "SELECT a, b FROM thing WHERE id=?";

static void open_postgres(void)
{
  struct buf why = BUF_INIT(512);
  PGconn *conn;

  fixture_pg(f.url, "CREATE TABLE thing(id bigint PRIMARY KEY, a bigint, b bigint)");
  conn = pg_connect(f.url, &why);
  ck_assert_msg(conn != NULL, "%s", why.at);
  pg_link_open(&wire, NULL, conn);
  pg_db_init(&connection);
  pg_db_use(&connection, &wire, NULL);
  db = &connection.base;
}

static void open_sqlite(void)
{
  struct buf why = BUF_INIT(512);

  sqlite_init();
  ck_assert_msg(sqlite_db_open(&file, f.path, NULL, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, &why) == PARLEY_OK, "%s", why.at);
  db = &file.base;
  sqlite_exec(db, "CREATE TABLE thing(id INTEGER PRIMARY KEY, a INTEGER, b INTEGER); BEGIN");
}

static void setup(void)
{
  fixture_init(&f);
  if (f.postgres)
    open_postgres();
  else
    open_sqlite();
}

static void teardown(void)
{
  if (f.postgres) {
    pg_db_leave(&connection);
    pg_db_done(&connection);
    pg_link_close(&wire);
  } else {
    sqlite_db_close(&file);
  }
  fixture_done(&f);
}

static void run(const char *literal, int64_t first, int64_t second)
{
  struct stmt *put = db_sql(db, literal);

  bind_int(put, 1, first);
  if (literal != drop)
    bind_int(put, 2, second);
  db_run(put);
}

static void assert_thing(int64_t id, int64_t a, int64_t b)
{
  struct stmt *get = db_sql(db, look);

  bind_int(get, 1, id);
  ck_assert_msg(db_step(get), "thing %lld is not there: %s", (long long)id, db->why);
  ck_assert_int_eq(col_int(get, 0), a);
  ck_assert_int_eq(col_int(get, 1), b);
  db_reset(get);
}

static void assert_trips(uint64_t n)
{
  if (f.postgres)
    ck_assert_uint_eq(wire.n_trips, n);
}

START_TEST(inserts_and_two_updates_of_one_table_keep_their_order)
{
  run(insert, 1, 100);
  run(update_a, 10, 1);
  run(update_both, 20, 1);
  run(insert, 2, 100);
  run(update_both, 21, 2);
  run(update_a, 11, 2);
  run(insert, 3, 100);
  assert_thing(1, 20, 2);
  assert_thing(2, 11, 2);
  assert_thing(3, 100, 1);
  assert_trips(3); /* one to each question: all rows left with the first */
}
END_TEST

START_TEST(of_one_row_that_is_written_twice_the_last_counts)
{
  run(insert, 1, 100);
  run(insert, 2, 100);
  run(update_both, 10, 1);
  run(update_both, 11, 2);
  run(update_both, 12, 1);
  assert_thing(1, 12, 3);
  assert_thing(2, 11, 2);
  assert_trips(2);
}
END_TEST

START_TEST(what_depends_on_rows_that_wait_comes_behind_them)
{
  run(insert, 1, 100);
  run(upsert, 1, 5);
  run(upsert, 2, 6);
  run(insert, 3, 100);
  run(drop, 3, 0);
  run(insert, 3, 200);
  assert_thing(1, 5, 8);
  assert_thing(2, 6, 7);
  assert_thing(3, 200, 1);
  assert_trips(3);
}
END_TEST

START_TEST(more_rows_than_one_statement_takes_are_all_there)
{
  const int n = 1000;

  for (int i = 1; i <= n; i++) {
    run(insert, i, 100);
    run(update_a, i, i);
  }
  for (int i = 1; i <= n; i += 37)
    assert_thing(i, i, 1);
  ck_assert_int_eq(db_int_of(db, "SELECT CAST(sum(a) AS bigint) FROM thing"), (int64_t)n * (n + 1) / 2);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("store_db");
  TCase *tcase = tcase_create("all");
  SRunner *runner;
  int failed;

  tcase_add_checked_fixture(tcase, setup, teardown);
  tcase_add_test(tcase, inserts_and_two_updates_of_one_table_keep_their_order);
  tcase_add_test(tcase, of_one_row_that_is_written_twice_the_last_counts);
  tcase_add_test(tcase, what_depends_on_rows_that_wait_comes_behind_them);
  tcase_add_test(tcase, more_rows_than_one_statement_takes_are_all_there);
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
