#include "core/base/alloc.h"
#include "core/base/text.h"
#include "core/config/scope.h"
#include "core/config/secret.h"
#include "temp.h"
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Every value holds the word hunter, which no message may show. */
static char dir[64]; /* set in a fixture: also $CREDENTIALS_DIRECTORY */
static bool with_credentials;

static const char *variable(const char *name)
{
  static char large[SECRET_BYTES_MAX + 10];

  if (strcmp(name, "GOOD") == 0)
    return "hunter-env";
  if (strcmp(name, "EMPTY") == 0)
    return "";
  if (strcmp(name, "LINES") == 0)
    return "hunter\n";
  if (strcmp(name, "LARGE") == 0)
    return memset(large, 'h', sizeof(large) - 1);
  if (strcmp(name, "CREDENTIALS_DIRECTORY") == 0)
    return with_credentials ? dir : NULL;
  return NULL;
}

static const struct {
  const char *name, *bytes;
  size_t len;
  mode_t mode;
} files[] = {
    {"good", "hunter-file\n", 12, 0600},
    {"bare", "hunter-bare", 11, 0400},
    {"group", "hunter\n", 7, 0640},
    {"other", "hunter\n", 7, 0604},
    {"group-writable", "hunter\n", 7, 0620},
    {"empty", "", 0, 0600},
    {"newline", "\n", 1, 0600},
    {"two", "hunter\n\n", 8, 0600},
    {"crlf", "hunter\r\n", 8, 0600},
    {"nul", "hun\0ter\n", 8, 0600},
    {"pem", "-----BEGIN hunter\nx\n-----END\n", 29, 0600},
};

static void setup(void)
{
  temp_dir(dir, sizeof(dir));
  for (size_t i = 0; i < COUNT_OF(files); i++) {
    char path[128];
    int fd;

    snprintf(path, sizeof(path), "%s/%s", dir, files[i].name);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    ck_assert_int_eq(write(fd, files[i].bytes, files[i].len), (ssize_t)files[i].len);
    ck_assert_int_eq(fchmod(fd, files[i].mode), 0);
    close(fd);
  }
}

static void teardown(void)
{
  for (size_t i = 0; i < COUNT_OF(files); i++) {
    char path[128];

    snprintf(path, sizeof(path), "%s/%s", dir, files[i].name);
    remove(path);
  }
  rmdir(dir);
}

static parley_status read_one(const char *source, enum secret_form form, struct secrets *secrets, parley_text *ret, struct buf *why)
{
  struct buf path = BUF_INIT(0);
  struct yaml_file *file = NULL;
  parley_status st;

  buf_printf(&path, "%s/f.yaml", dir);
  ck_assert_int_eq(yaml_parse(path.at, parley_text_of(source), variable, &file, why), PARLEY_OK);
  st = secret_read(file, yaml_find(file->root, "x"), "mail.x", form, secrets, ret, why);
  yaml_file_free(&file);
  buf_done(&path);
  return st;
}

static const struct {
  const char *source, *want;
  enum secret_form form;
} good[] = {
    {"x: { file: good }\n", "hunter-file", SECRET_LINE},
    {"x: { file: bare }\n", "hunter-bare", SECRET_LINE},
    {"x: { env: GOOD }\n", "hunter-env", SECRET_LINE},
    {"x: { credential: group }\n", "hunter", SECRET_LINE}, /* systemd guards the folder */
    {"x: { file: pem }\n", "-----BEGIN hunter\nx\n-----END", SECRET_PEM},
    {"x: { file: pem }\n", "-----BEGIN hunter\nx\n-----END", SECRET_LINE_OR_PEM},
    {"x: { env: GOOD }\n", "hunter-env", SECRET_LINE_OR_PEM},
};

START_TEST(a_reference_gives_the_value_that_it_names)
{
  struct secrets secrets = {0};
  struct buf why = BUF_INIT(0);
  parley_text got = TEXT_EMPTY;

  with_credentials = true;
  ck_assert_int_eq(read_one(good[_i].source, good[_i].form, &secrets, &got, &why), PARLEY_OK);
  ck_assert_str_eq(got.at, good[_i].want);
  ck_assert_uint_eq(got.len, strlen(good[_i].want));
  ck_assert_uint_eq(why.len, 0);
  secrets_done(&secrets);
  ck_assert_ptr_null(secrets.first);
}
END_TEST

START_TEST(what_is_no_pem_has_one_line_where_both_are_taken)
{
  struct secrets secrets = {0};
  struct buf why = BUF_INIT(0);
  parley_text got = TEXT_EMPTY;

  ck_assert_int_eq(read_one("x: { file: two }\n", SECRET_LINE_OR_PEM, &secrets, &got, &why), PARLEY_INVALID);
  ck_assert_ptr_nonnull(strstr(why.at, "a line end inside"));
  buf_done(&why);
  secrets_done(&secrets);
}
END_TEST

static const struct {
  const char *source, *place, *want;
} bad[] = {
    {"x: hunter2\n", "1:4", "mail.x: a secret must not stand here in clear; write { file: PATH }"},
    {"x: \"hunter2\"\n", "1:4", "in clear"},
    {"x: {pin: hunter2}\n", "1:5", "unknown key 'pin': write { file: PATH }"},
    {"x: {fiel: hunter2}\n", "1:5", "unknown key 'fiel': did you mean 'file'?"},
    {"x: [hunter2]\n", "1:4", "write { file: PATH }"},
    {"x:\n", "1:3", "write { file: PATH }"},
    {"x: {}\n", "1:4", "write { file: PATH }"},
    {"x: {env: GOOD, file: hunter}\n", "1:16", "write only one of"},
    {"x: {env: }\n", "1:10", "env needs a name"},
    {"x: {file: [hunter]}\n", "1:11", "file needs a path"},
    {"x: {env: NONE}\n", "1:10", "env NONE: this environment variable is not set"},
    {"x: {env: EMPTY}\n", "1:10", "the secret is empty"},
    {"x: {env: LINES}\n", "1:10", "the secret has a line end inside"},
    {"x: {env: LARGE}\n", "1:10", "the secret is too long"},
    {"x: {file: nothing}\n", "1:11", "file nothing: there is no such file"},
    {"x: {file: .}\n", "1:11", "this is a folder, not a file"},
    {"x: {file: /dev/zero}\n", "1:11", "this is a device, not a file"},
    {"x: {file: group}\n", "1:11", "others than its owner have access to it (0640); run chmod 600 on it"},
    {"x: {file: other}\n", "1:11", "(0604)"},
    {"x: {file: group-writable}\n", "1:11", "(0620)"},
    {"x: {file: empty}\n", "1:11", "the secret is empty"},
    {"x: {file: newline}\n", "1:11", "the secret is empty"},
    {"x: {file: two}\n", "1:11", "a line end inside"},
    {"x: {file: crlf}\n", "1:11", "a line end inside"},
    {"x: {file: nul}\n", "1:11", "a NUL inside"},
    {"x: {file: pem}\n", "1:11", "a line end inside"},
    {"x: {credential: good}\n", "1:17", "there are no credentials here"},
    {"x: {credential: ../good}\n", "1:17", "a credential has a name, not a path"},
};

START_TEST(a_bad_secret_is_refused_and_never_shown)
{
  struct secrets secrets = {0};
  struct buf why = BUF_INIT(0), place = BUF_INIT(0);
  parley_text got = {NULL, 77};

  with_credentials = false;
  ck_assert_int_eq(read_one(bad[_i].source, SECRET_LINE, &secrets, &got, &why), PARLEY_INVALID);
  buf_printf(&place, "%s/f.yaml:%s: error: mail.x: ", dir, bad[_i].place);
  ck_assert_msg(text_starts(buf_as_text(&why), place.at) && strstr(why.at, bad[_i].want) != NULL, "%s", why.at);
  ck_assert_msg(strstr(why.at, "hunter") == NULL, "%s", why.at);
  ck_assert_uint_eq(got.len, 77);
  ck_assert_ptr_null(secrets.first);
  buf_done(&place);
  buf_done(&why);
}
END_TEST

START_TEST(scopes_have_names_and_admin_allows_all)
{
  size_t count = 0;

  for (const char *const *name = scope_names(); *name != NULL; name++, count++) {
    uint32_t bit = 0;

    ck_assert(scope_parse(parley_text_of(*name), &bit));
    ck_assert_str_eq(scope_name(bit), *name);
    ck_assert(scope_allows(SCOPE_ADMIN, bit) && scope_allows(bit, bit));
    ck_assert_int_eq(scope_allows(SCOPE_MESSAGES_SEND, bit), bit == SCOPE_MESSAGES_SEND);
  }
  ck_assert_uint_eq(count, 15);
  ck_assert_str_eq(scope_name(SCOPE_ADMIN), "admin");
  ck_assert_str_eq(scope_name(SCOPE_INBOX_REPLY), "inbox:reply");
  ck_assert_ptr_null(scope_name(3));
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("config: secret and scope");
  TCase *tcase = tcase_create("all");
  SRunner *runner;
  int failed;

  tcase_add_checked_fixture(tcase, setup, teardown);
  tcase_add_loop_test(tcase, a_reference_gives_the_value_that_it_names, 0, COUNT_OF(good));
  tcase_add_test(tcase, what_is_no_pem_has_one_line_where_both_are_taken);
  tcase_add_loop_test(tcase, a_bad_secret_is_refused_and_never_shown, 0, COUNT_OF(bad));
  tcase_add_test(tcase, scopes_have_names_and_admin_allows_all);
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed > 0;
}
