/* The WAL grows by steps of zeros, and what stands in front of them is all there after a crash. */
/* stores: sqlite (it is SQLite's WAL) */
#include "core/base/alloc.h"
#include "core/store/sqlite.h"
#include <check.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define STEP_BYTES ((off_t)1 << 20)

static char folder[64];
static struct wal_vfs *vfs;
static sqlite3 *db;

static const char *path_of(const char *name)
{
  static char paths[4][128];
  static int next;
  char *path = paths[next++ % 4];

  snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
  return path;
}

static void run(sqlite3 *at, const char *sql)
{
  ck_assert_msg(sqlite3_exec(at, sql, NULL, NULL, NULL) == SQLITE_OK, "%s: %s", sql, sqlite3_errmsg(at));
}

static int64_t rows(sqlite3 *at)
{
  sqlite3_stmt *get;
  int64_t n;

  ck_assert_int_eq(sqlite3_prepare_v2(at, "SELECT count(*) FROM t", -1, &get, NULL), SQLITE_OK);
  ck_assert_int_eq(sqlite3_step(get), SQLITE_ROW);
  n = sqlite3_column_int64(get, 0);
  sqlite3_finalize(get);
  return n;
}

static off_t wal_size(void)
{
  struct stat file;

  ck_assert_int_eq(stat(path_of("a.db-wal"), &file), 0);
  return file.st_size;
}

static void setup(void)
{
  snprintf(folder, sizeof(folder), "/tmp/parley-wal-XXXXXX");
  ck_assert_ptr_nonnull(mkdtemp(folder));
  vfs = wal_vfs_new();
  ck_assert_int_eq(sqlite3_open_v2(path_of("a.db"), &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, wal_vfs_name(vfs)), SQLITE_OK);
  run(db, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0; CREATE TABLE t(x)");
}

static void teardown(void)
{
  char command[128];

  sqlite3_close(db);
  wal_vfs_free(&vfs);
  snprintf(command, sizeof(command), "rm -r %s", folder);
  ck_assert_int_eq(system(command), 0);
}

static void copy(const char *from, const char *to)
{
  char command[400];

  snprintf(command, sizeof(command), "cp %s %s", path_of(from), path_of(to));
  ck_assert_int_eq(system(command), 0);
}

START_TEST(commits_are_written_into_room_that_is_there)
{
  off_t size = wal_size();

  ck_assert_int_eq(size, STEP_BYTES);
  for (int i = 0; i < 10; i++)
    run(db, "INSERT INTO t VALUES(randomblob(100))");
  ck_assert_int_eq(wal_size(), size);
  run(db, "INSERT INTO t VALUES(randomblob(1500000))"); /* more than a step at once */
  ck_assert_int_eq(wal_size() % STEP_BYTES, 0);
  ck_assert_int_ge(wal_size(), size + STEP_BYTES);
}
END_TEST

START_TEST(what_a_crash_leaves_is_read_up_to_the_zeros)
{
  sqlite3 *other;

  for (int i = 0; i < 500; i++)
    run(db, "INSERT INTO t VALUES(randomblob(3000))");
  copy("a.db", "b.db");
  copy("a.db-wal", "b.db-wal");
  ck_assert_int_eq(sqlite3_open(path_of("b.db"), &other), SQLITE_OK);
  ck_assert_int_eq(rows(other), 500);
  sqlite3_close(other);
}
END_TEST

START_TEST(a_wal_that_was_cut_grows_again)
{
  for (int i = 0; i < 500; i++)
    run(db, "INSERT INTO t VALUES(randomblob(3000))");
  run(db, "PRAGMA wal_checkpoint(TRUNCATE)");
  ck_assert_int_eq(wal_size(), 0);
  run(db, "INSERT INTO t VALUES(1)");
  ck_assert_int_eq(wal_size(), STEP_BYTES);
  ck_assert_int_eq(rows(db), 501);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("store: the WAL");
  TCase *tcase = tcase_create("all");
  SRunner *runner;
  int failed;

  tcase_add_checked_fixture(tcase, setup, teardown);
  tcase_add_test(tcase, commits_are_written_into_room_that_is_there);
  tcase_add_test(tcase, what_a_crash_leaves_is_read_up_to_the_zeros);
  tcase_add_test(tcase, a_wal_that_was_cut_grows_again);
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
