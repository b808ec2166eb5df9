#include "store_fixture.h"
#include <sys/stat.h>

static struct fixture f;

static void setup(void)
{
  fixture_init(&f);
}

static void teardown(void)
{
  fixture_done(&f);
}

static void assert_refused(const char *words)
{
  struct buf why = BUF_INIT(1024);
  struct store *other = NULL;

  ck_assert_int_eq(fixture_try_open(&f, &other, &why), PARLEY_FAILED);
  ck_assert_ptr_null(other);
  ck_assert_msg(strstr(why.at, words) != NULL, "'%s' does not say '%s'", why.at, words);
  ck_assert_msg(strstr(why.at, "hunter2") == NULL, "'%s' shows a password", why.at);
  buf_done(&why);
}

START_TEST(a_new_store_opens_again_under_another_session)
{
  uint8_t secret[32];
  struct stat file;

  fixture_open(&f);
  if (!f.postgres) {
    ck_assert_int_eq(stat(f.path, &file), 0);
    ck_assert_uint_eq(file.st_mode & 0777, 0600);
  }
  memcpy(secret, store_secret(f.store), sizeof(secret));
  fixture_close(&f);
  fixture_open(&f);
  ck_assert_mem_eq(secret, store_secret(f.store), sizeof(secret));
  ck_assert_int_eq(fixture_sql(&f, f.postgres ? "SELECT max(id) FROM session" : "SELECT value FROM meta WHERE name='session'"),
                   2);
}
END_TEST

START_TEST(a_second_daemon_on_the_same_file_is_refused)
{
  fixture_open(&f);
  assert_refused("used by another parleyd");
}
END_TEST

START_TEST(a_file_of_another_program_is_refused_and_left_as_it_is)
{
  fixture_exec(&f, "CREATE TABLE songs(title text)");
  assert_refused("another program");
  if (f.postgres) {
    ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM pg_tables WHERE schemaname='public'"), 1);
    return;
  }
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM sqlite_schema"), 1);
  fixture_exec(&f, "PRAGMA application_id=7");
  assert_refused("another program");
}
END_TEST

START_TEST(bytes_that_are_no_database_are_refused)
{
  FILE *file = fopen(f.path, "w");

  for (int i = 0; i < 400; i++)
    fputs("this is not a database ", file);
  fclose(file);
  assert_refused("cannot be read");
}
END_TEST

START_TEST(a_newer_schema_is_refused_only_when_it_says_so)
{
  fixture_open(&f);
  fixture_close(&f);
  fixture_exec(&f, f.postgres ? "UPDATE parley_schema SET version=99, readable_from=1"
                              : "PRAGMA user_version=99; UPDATE meta SET value=1 WHERE name='readable_from'");
  fixture_open(&f);
  fixture_close(&f);
  fixture_exec(&f, f.postgres ? "UPDATE parley_schema SET readable_from=99"
                              : "UPDATE meta SET value=99 WHERE name='readable_from'");
  assert_refused("newer Parley");
}
END_TEST

START_TEST(a_flipped_page_is_refused)
{
  char junk[64];
  FILE *file;

  fixture_open(&f);
  fixture_close(&f);
  memset(junk, 0xa5, sizeof(junk));
  file = fopen(f.path, "r+");
  fseek(file, 4096 * 3, SEEK_SET);
  fwrite(junk, 1, sizeof(junk), file);
  fclose(file);
  assert_refused("damaged");
}
END_TEST

START_TEST(a_folder_that_is_not_there_is_said)
{
  snprintf(f.path, sizeof(f.path), "%s/none/parley.db", f.dir);
  assert_refused("No such file");
}
END_TEST

/* What is wrong with it in libpq's words, and nothing of the password. */
static const struct { const char *url, *why; } bad_urls[] = {
    {"postgresql://shop:hunter2@h/d?sslmod=require", "key=value string: invalid URI query parameter: \"sslmod\""},
    {"host=h user=shop password=hunter2 sslmod=require", "invalid connection option \"sslmod\""},
    {"postgresql://shop:hunter2@[::1/d", "looking for matching \"]\" in IPv6 host address in URI: \"...\""},
    {"postgresql://shop:a\"b hunter2@[::1/d", "in URI: \"...\""},
    {"postgresql://shop:hunter2%zz@h/d", "invalid percent-encoded token: \"...\""},
    {"postgresql://h/d?hunter2", "missing key/value separator \"=\" in URI query parameter: \"...\""},
    {"postgresql://h/d?hunter2=1", "invalid URI query parameter: \"...\""},
    {"shop hunter2", "missing \"=\" after \"...\""},
    {"password=correct hunter2", "missing \"=\" after \"...\""},
    {"host=h password='hunter2", "unterminated quoted string"},
};

START_TEST(a_server_that_is_not_there_and_a_url_that_is_none_are_said)
{
  snprintf(f.url, sizeof(f.url), "host=127.0.0.1 port=1 dbname=x");
  assert_refused("Connection refused");
  for (size_t i = 0; i < COUNT_OF(bad_urls); i++) {
    snprintf(f.url, sizeof(f.url), "%s", bad_urls[i].url);
    assert_refused("no PostgreSQL connection URI");
    assert_refused(bad_urls[i].why);
  }
  fixture_database(&f, "SELECT '%s'"); /* its name again, for the end */
}
END_TEST

static parley_status doc_put(const char *name, const char *json, int64_t version, id64 *ret_id)
{
  struct store_doc_put put = {.doc = {.kind = PARLEY_LIT("subscription"),
                                      .name = parley_text_of(name),
                                      .json = parley_text_of(json)},
                              .version = version,
                              .event_type = "channel.paused",
                              .event_data = PARLEY_LIT("{\"by\":\"test\"}")};
  parley_status st = fixture_run(&f, &put.op, STORE_DOC_PUT);

  *ret_id = put.made_id;
  arena_free(&put.op.arena);
  return st;
}

START_TEST(a_document_changes_only_at_the_version_that_was_read)
{
  id64 id = 0, again = 0;

  fixture_open(&f);
  ck_assert_int_eq(doc_put("helpdesk", "{}", 0, &id), PARLEY_OK);
  ck_assert(id != 0);
  ck_assert_int_eq(doc_put("helpdesk", "{\"a\":1}", 0, &again), PARLEY_REJECTED);
  ck_assert_int_eq(doc_put("helpdesk", "{\"a\":1}", 1, &again), PARLEY_OK);
  ck_assert(again == id);
  ck_assert_int_eq(fixture_sql(&f, "SELECT version FROM doc"), 2);
  ck_assert_int_eq(doc_put("helpdesk", "", -1, &again), PARLEY_OK);
  ck_assert_int_eq(doc_put("helpdesk", "", -1, &again), PARLEY_NOT_FOUND);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM doc"), 0);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM event WHERE type='channel.paused'"), 3);
  ck_assert_int_eq(f.n_committed, 3);
  ck_assert_int_eq(fixture_sql(&f, "SELECT max(seq) FROM event"), (int64_t)f.committed);
}
END_TEST

START_TEST(a_backup_is_a_store_of_its_own_and_never_overwrites)
{
  struct store_backup backup = {0};
  char path[96];
  id64 id;

  fixture_open(&f);
  ck_assert_int_eq(doc_put("helpdesk", "{}", 0, &id), PARLEY_OK);
  snprintf(path, sizeof(path), "%s/copy.db", f.dir);
  backup.path = path;
  ck_assert_int_eq(fixture_run(&f, &backup.op, STORE_BACKUP), PARLEY_OK);
  arena_free(&backup.op.arena);
  ck_assert(backup.bytes >= 4096);
  ck_assert_int_eq(fixture_run(&f, &backup.op, STORE_BACKUP), PARLEY_REJECTED);
  arena_free(&backup.op.arena);
  fixture_close(&f);
  memcpy(f.path, path, sizeof(path));
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM doc"), 1);
  fixture_open(&f);
}
END_TEST

START_TEST(media_of_the_same_bytes_is_kept_once)
{
  struct store_media_add add = {.type = PARLEY_LIT("image/png"), .name = PARLEY_LIT("a.png"), .bytes = PARLEY_LIT("bytes")};
  id64 first;

  fixture_open(&f);
  sha256(add.bytes, add.sha256);
  ck_assert_int_eq(fixture_run(&f, &add.op, STORE_MEDIA_ADD), PARLEY_OK);
  arena_free(&add.op.arena);
  ck_assert(!add.existed);
  first = add.id;
  ck_assert_int_eq(fixture_run(&f, &add.op, STORE_MEDIA_ADD), PARLEY_OK);
  arena_free(&add.op.arena);
  ck_assert(add.existed && add.id == first);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("store_open");
  TCase *tcase = tcase_create("all");
  const char *store = getenv("PARLEY_TEST_STORE");
  SRunner *runner;
  int failed;

  tcase_add_checked_fixture(tcase, setup, teardown);
  tcase_add_test(tcase, a_new_store_opens_again_under_another_session);
  tcase_add_test(tcase, a_second_daemon_on_the_same_file_is_refused);
  tcase_add_test(tcase, a_file_of_another_program_is_refused_and_left_as_it_is);
  tcase_add_test(tcase, a_newer_schema_is_refused_only_when_it_says_so);
  tcase_add_test(tcase, a_document_changes_only_at_the_version_that_was_read);
  tcase_add_test(tcase, media_of_the_same_bytes_is_kept_once);
  if (store == NULL || strcmp(store, "postgres") != 0) { /* of the file itself */
    tcase_add_test(tcase, bytes_that_are_no_database_are_refused);
    tcase_add_test(tcase, a_flipped_page_is_refused);
    tcase_add_test(tcase, a_folder_that_is_not_there_is_said);
    tcase_add_test(tcase, a_backup_is_a_store_of_its_own_and_never_overwrites);
  } else {
    tcase_add_test(tcase, a_server_that_is_not_there_and_a_url_that_is_none_are_said);
  }
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
