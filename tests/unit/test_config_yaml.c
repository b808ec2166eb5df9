#include "core/base/alloc.h"
#include "core/base/text.h"
#include "core/config/yaml.h"
#include "temp.h"
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *variable(const char *name)
{
  if (strcmp(name, "HOST") == 0)
    return "shop.example";
  if (strcmp(name, "EMPTY") == 0)
    return "";
  if (strcmp(name, "EVIL") == 0)
    return "x\nadmin: true # ${HOST}";
  if (strcmp(name, "LATIN") == 0)
    return "caf\xe9";
  return NULL;
}

static struct yaml_file *parse(const char *source, struct buf *why)
{
  struct yaml_file *file = NULL;
  parley_status st = yaml_parse("etc/f.yaml", parley_text_of(source), variable, &file, why);

  ck_assert_msg((st == PARLEY_OK) == (file != NULL) && (st == PARLEY_OK) == (why->len == 0), "%s", why->at ? why->at : "");
  return file;
}

static const struct {
  const char *source, *want; /* the error as it begins, after "etc/f.yaml:" */
} refused[] = {
    {"", "1:1: error: the file is empty"},
    {"# only a comment\n", "1:1: error: the file is empty"},
    {"- a\n", "1:1: error: the file must be a mapping"},
    {"word\n", "1:1: error: the file must be a mapping"},
    {"---\n", "2:1: error: the file must be a mapping"},
    {"a: 1\nb: &x 2\n", "2:4: error: anchors"},
    {"a: 1\nb: *x\n", "2:4: error: aliases"},
    {"a: &x [1]\n", "1:4: error: anchors"},
    {"a: &x {b: 1}\n", "1:4: error: anchors"},
    {"a: !!str 1\n", "1:4: error: tags"},
    {"a: !x [1]\n", "1:4: error: tags"},
    {"a: ! {b: 1}\n", "1:4: error: tags"},
    {"&k a: 1\n", "1:1: error: anchors"},
    {"a:\n  <<: {b: 1}\n", "2:3: error: merge keys"},
    {"a: 1\n---\nb: 2\n", "2:1: error: a second document"},
    {"a: 1\n...\nb: 2\n", "3:1: error: did not find expected <document start>"},
    {"%YAML 1.1\n---\na: 1\n", "1:1: error: directives"},
    {"%TAG ! tag:x,2000:\n---\na: 1\n", "1:1: error: directives"},
    {"a: 1\nb: 2\na: 3\n", "3:1: error: 'a' stands twice; the first is in line 1"},
    {"a: {b: 1, \"b\": 2}\n", "1:11: error: 'b' stands twice"},
    {"a:\n\tb: 1\n", "2:1: error: a tab cannot indent"},
    {"a: {b: ${HOST}}\n", "1:8: error: put quotes around"},
    {"\xc3\xa9\xe2\x82\xac: 1\nb: [\"\xf0\x9f\x98\x80\", ${HOST}]\n", "2:10: error: put quotes around"},
    {"a: {b: 1\nc: 2\n", "2:"},
    {"a: [1\n", "2:1: error: did not find expected ',' or ']' (while parsing a flow sequence that began in line 1)"},
    {"a: 'x\n", "2:1: error: found unexpected end of stream"},
    {"server:\n  listen: x\n bad: y\n", "3:2: error: did not find expected key"},
    {"a: b: c\n", "1:5: error: mapping values are not allowed in this context"},
    {"? {x: 1}\n: 2\n", "1:3: error: a name must be a plain word"},
    {"[a]: 1\n", "1:1: error: a name must be a plain word"},
    {"\"\": 1\n", "1:1: error: a name must not be empty"},
    {"a: \"x\\0y\"\n", "1:4: error: a text cannot hold a NUL"},
    {"a: x\x01y\n", "1:5: error: a control character"},
    {"ok: 1\r\na: x\x7fy\r\n", "2:5: error: a control character"},
    {"a: \xc2\x85\n", "1:4: error: a control character"},
    {"a: x\xe2\x80\xa8y\n", "1:5: error: an invisible line"},
    {"a: caf\xe9\n", "1:7: error: this is not UTF-8"},
    {"a: \xed\xa0\x80\n", "1:4: error: this is not UTF-8"},
    {"\xff\xfe\x61\n", "1:1: error: this is not UTF-8"},
    {"\x7f" "ELF", "1:1: error: a control character"},
    {"a: ${NONE}\n", "1:4: error: the variable NONE is not set"},
    {"b: 1\na: x${NONE:?set it in the unit}\n", "2:4: error: the variable NONE is not set: set it in the unit"},
    {"a: ${EMPTY:?}\n", "1:4: error: the variable EMPTY is not set"},
    {"a: ${HOST\n", "1:4: error: '$' alone"},
    {"a: $HOST\n", "1:4: error: '$' alone"},
    {"a: cost$\n", "1:4: error: '$' alone"},
    {"a: ${}\n", "1:4: error: write ${NAME}"},
    {"a: ${1X}\n", "1:4: error: write ${NAME}"},
    {"a: ${HOST-x}\n", "1:4: error: write ${NAME}"},
    {"a: ${HOST:+x}\n", "1:4: error: write ${NAME}"},
    {"a: ${LATIN}\n", "1:4: error: the variable LATIN is not UTF-8"},
};

START_TEST(what_is_not_strict_yaml_is_refused_with_its_place)
{
  struct buf why = BUF_INIT(0);
  struct yaml_file *file = parse(refused[_i].source, &why);
  struct buf want = BUF_INIT(0);

  ck_assert_ptr_null(file);
  buf_printf(&want, "etc/f.yaml:%s", refused[_i].want);
  ck_assert_msg(text_starts(buf_as_text(&why), want.at), "want %s\ngot  %s", want.at, why.at);
  buf_done(&want);
  buf_done(&why);
}
END_TEST

START_TEST(a_nul_byte_is_refused)
{
  struct buf why = BUF_INIT(0);
  struct yaml_file *file = NULL;

  ck_assert_int_eq(yaml_parse("f", PARLEY_LIT("a: 1\nb\0c: 2\n"), variable, &file, &why), PARLEY_INVALID);
  ck_assert(text_starts(buf_as_text(&why), "f:2:2: error: a control character"));
  buf_done(&why);
}
END_TEST

static const struct {
  const char *source, *want;
} filled[] = {
    {"a: ${HOST}\n", "shop.example"},
    {"a: https://${HOST}:${PORT:-80}/x\n", "https://shop.example:80/x"},
    {"a: \"${EMPTY}\"\n", ""},
    {"a: ${EMPTY:-fallback}\n", "fallback"},
    {"a: ${NONE:-}\n", ""},
    {"a: ${NONE:-http://127.0.0.1:8080}\n", "http://127.0.0.1:8080"},
    {"a: $$5 and $${HOST}\n", "$5 and ${HOST}"},
    {"a: '${HOST:?needed}'\n", "shop.example"},
    {"a: ${EVIL}\n", "x\nadmin: true # ${HOST}"}, /* a value stays a value: no structure, no second filling in */
    {"\xef\xbb\xbf" "a: 1\n", "1"},
    {"{\"a\": \"json\\u00e9\"}\n", "json\xc3\xa9"},
    {"a: |\n  two\n  lines\n", "two\nlines\n"},
};

START_TEST(variables_are_filled_in_after_parsing)
{
  struct buf why = BUF_INIT(0);
  struct yaml_file *file = parse(filled[_i].source, &why);

  ck_assert_ptr_nonnull(file);
  ck_assert_uint_eq(file->root->count, 1);
  ck_assert_str_eq(yaml_find(file->root, "a")->text.at, filled[_i].want);
  yaml_file_free(&file);
  buf_done(&why);
}
END_TEST

START_TEST(variables_in_names_stay_as_they_are)
{
  struct buf why = BUF_INIT(0);
  struct yaml_file *file = parse("\"${HOST}\": 1\n", &why);

  ck_assert(parley_text_is(file->root->members[0].name, "${HOST}"));
  yaml_file_free(&file);
}
END_TEST

START_TEST(a_tree_has_places_and_kinds)
{
  struct buf why = BUF_INIT(0);
  struct yaml_file *file = parse("a: 1\nb:\n  - x\n  - \"2\"\nc: {d: [], \xc3\xa9: y}\ne:\n", &why);
  const struct yaml_node *b = yaml_find(file->root, "b"), *c = yaml_find(file->root, "c");

  ck_assert_uint_eq(file->root->count, 4);
  ck_assert_int_eq(b->kind, YAML_IS_SEQUENCE);
  ck_assert_uint_eq(b->items[1]->line, 4);
  ck_assert_uint_eq(b->items[1]->col, 5);
  ck_assert(b->items[1]->quoted && !b->items[0]->quoted);
  ck_assert_int_eq(c->kind, YAML_IS_MAPPING);
  ck_assert_uint_eq(c->members[1].col, 12);
  ck_assert_uint_eq(c->members[1].value->col, 15); /* characters, not bytes */
  ck_assert_int_eq(yaml_find(file->root, "e")->kind, YAML_IS_TEXT);
  ck_assert_ptr_null(yaml_find(file->root, "nothing"));
  ck_assert_ptr_null(yaml_find(b, "a"));
  ck_assert_str_eq(file->dir, "etc");
  yaml_file_free(&file);
  ck_assert_ptr_null(file);
}
END_TEST

static const struct {
  const char *file, *path, *want;
} paths[] = {
    {"parley.yaml", "x.db", "x.db"}, {"etc/parley.yaml", "x.db", "etc/x.db"}, {"/parley.yaml", "x.db", "/x.db"},
    {"/etc/parley.yaml", "s/x", "/etc/s/x"}, {"/etc/parley.yaml", "/var/x", "/var/x"},
};

START_TEST(a_path_starts_at_the_file)
{
  struct buf why = BUF_INIT(0);
  struct yaml_file *file = NULL;

  ck_assert_int_eq(yaml_parse(paths[_i].file, PARLEY_LIT("a: 1"), NULL, &file, &why), PARLEY_OK);
  ck_assert_str_eq(yaml_path(file, file->arena, parley_text_of(paths[_i].path)), paths[_i].want);
  yaml_file_free(&file);
}
END_TEST

START_TEST(nesting_ends_at_its_limit)
{
  for (size_t depth = YAML_DEPTH_MAX - 2; depth <= YAML_DEPTH_MAX + 2; depth++) {
    struct buf why = BUF_INIT(0), source = BUF_INIT(0);
    struct yaml_file *file;

    buf_str(&source, "a: ");
    for (size_t i = 0; i < depth; i++)
      buf_char(&source, '[');
    for (size_t i = 0; i < depth; i++)
      buf_char(&source, ']');
    file = parse(source.at, &why);
    ck_assert_int_eq(file != NULL, depth < YAML_DEPTH_MAX); /* the root is one level */
    if (file == NULL)
      ck_assert_ptr_nonnull(strstr(why.at, "nested too deeply"));
    yaml_file_free(&file);
    buf_done(&why);
    buf_done(&source);
  }
}
END_TEST

START_TEST(too_many_entries_are_refused_quickly)
{
  struct buf why = BUF_INIT(0), source = BUF_INIT(0);

  for (int i = 0; i < 100000; i++)
    buf_printf(&source, "k%d: \n", i);
  ck_assert_ptr_null(parse(source.at, &why));
  ck_assert_ptr_nonnull(strstr(why.at, "f.yaml:4097:1: error: too many entries"));
  buf_done(&why);
  buf_done(&source);
}
END_TEST

static const struct {
  const char *source;
  uint32_t line, col;
  const char *shown;
} masks[] = {
    {"user: ana\n", 1, 1, "    1 | user: ana\n      | ^\n"},
    {"a:\n\tb\n", 2, 2, "    2 | \tb\n      | \t^\n"},
    {"\xc3\xa9\xc3\xa9: x\n", 1, 5, "    1 | \xc3\xa9\xc3\xa9: x\n      |     ^\n"},
    {"password: hunter2\n", 1, 1, "    1 | password: *******\n"},
    {"{password: hunter2, a: 1}\n", 1, 1, "    1 | {password: *******, a: 1}\n"},
    {"{\"api_key\": \"hun,ter2\", a: 1}\n", 1, 1, "    1 | {\"api_key\": **********, a: 1}\n"},
    {"secret: { env: NAME }\n", 1, 1, "    1 | secret: { env: NAME }\n"},
    {"secret: { value: hunter2 }\n", 1, 1, "    1 | secret: { ****** ******* }\n"},
    {"secret: { file: a, value: hunter2 }\n", 1, 1, "    1 | secret: { file: a, ****** ******* }\n"},
    {"keys: [ { name: shop } ]\n", 1, 1, "    1 | keys: [ { name: shop } ]\n"},
    {"url: https://ana:hunter2@x.example/\n", 1, 1, "    1 | url: https://***********@x.example/\n"},
    {"x: whsec_aHVudGVyMg==\n", 1, 1, "    1 | x: whsec_************\n"},
    {"secret:\n  hunter2\n", 2, 3, "    2 |   *******\n"},
    {"secret:\n  env: NAME\n", 2, 3, "    2 |   env: NAME\n"},
    {"secret: |\n\n  hunter1\n  hunter2\n", 4, 3, "    4 |   *******\n"},
    {"secrets:\n  - name: x\n    token: hunter2\n", 3, 5, "    3 |     token: *******\n"},
    {"a: \"\x1b[31m\"\n", 1, 1, "    1 | a: \"?[31m\"\n"},
};

START_TEST(an_error_shows_its_line_but_no_secret)
{
  struct yaml_file file = {.path = "f", .source = parley_text_of(masks[_i].source)};
  struct buf to = BUF_INIT(0);

  yaml_error(&file, masks[_i].line, masks[_i].col, &to, "wrong");
  ck_assert_msg(strstr(to.at, masks[_i].shown) != NULL, "%s", to.at);
  ck_assert_ptr_null(strstr(to.at, "hunter"));
  buf_done(&to);
}
END_TEST

START_TEST(a_long_line_is_shown_around_its_place)
{
  struct buf source = BUF_INIT(0), to = BUF_INIT(0);
  struct yaml_file file;

  for (int i = 0; i < 100000; i++)
    buf_char(&source, i == 50000 ? '!' : 'x');
  file = (struct yaml_file){.path = "f", .source = buf_as_text(&source)};
  yaml_error(&file, 1, 50001, &to, "%s\x1b", source.at);
  ck_assert_uint_lt(to.len, 2000);
  ck_assert_ptr_nonnull(strchr(to.at, '!'));
  ck_assert_ptr_null(strchr(to.at, '\x1b'));
  buf_done(&to);
  buf_done(&source);
}
END_TEST

/* --- Files ------------------------------------------------------------------------------------------------------------- */

struct place {
  char dir[64], path[80];
};

static void place_open(struct place *place)
{
  temp_dir(place->dir, sizeof(place->dir));
  snprintf(place->path, sizeof(place->path), "%s/f.yaml", place->dir);
}

static void place_close(struct place *place)
{
  remove(place->path);
  rmdir(place->dir);
}

static void file_put(const char *path, const char *bytes, mode_t mode)
{
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

  ck_assert_int_ge(fd, 0);
  ck_assert_int_eq(write(fd, bytes, strlen(bytes)), (ssize_t)strlen(bytes));
  ck_assert_int_eq(fchmod(fd, mode), 0);
  close(fd);
}

static void make_nothing(const char *path) { (void)path; }
static void make_folder(const char *path) { ck_assert_int_eq(mkdir(path, 0700), 0); }
static void make_fifo(const char *path) { ck_assert_int_eq(mkfifo(path, 0600), 0); }
static void make_zero_link(const char *path) { ck_assert_int_eq(symlink("/dev/zero", path), 0); }
static void make_loop(const char *path) { ck_assert_int_eq(symlink(path, path), 0); }
static void make_world_writable(const char *path) { file_put(path, "a: 1\n", 0666); }
static void make_empty(const char *path) { file_put(path, "", 0600); }
static void make_binary(const char *path) { file_put(path, "\x7f" "ELF\x02\x01\x01", 0600); }
static void make_gibibyte(const char *path)
{
  file_put(path, "a: 1\n", 0600);
  ck_assert_int_eq(truncate(path, (off_t)1 << 30), 0);
}

static const struct {
  void (*make)(const char *path);
  const char *want;
} files[] = {
    {make_nothing, "f.yaml: error: there is no such file\n"},
    {make_folder, "f.yaml: error: this is a folder, not a file\n"},
    {make_fifo, "f.yaml: error: this is a FIFO, not a file\n"},
    {make_zero_link, "f.yaml: error: this is a device, not a file\n"},
    {make_loop, "f.yaml: error: Too many levels of symbolic links\n"},
    {make_world_writable, "f.yaml: error: anybody may write it (0666); run chmod o-w on it\n"},
    {make_empty, "f.yaml:1:1: error: the file is empty"},
    {make_binary, "f.yaml:1:1: error: a control character"},
    {make_gibibyte, "f.yaml: error: the file is too large: 1073741824 bytes, at most 1048576 are read\n"},
};

START_TEST(what_is_no_file_of_ours_is_refused_with_the_reason)
{
  struct buf why = BUF_INIT(0);
  struct yaml_file *file = NULL;
  struct place place;

  place_open(&place);
  files[_i].make(place.path);
  ck_assert_int_eq(yaml_load(place.path, &file, &why), PARLEY_INVALID);
  ck_assert_msg(strstr(why.at, files[_i].want) != NULL && strstr(why.at, place.dir) == why.at, "%s", why.at);
  ck_assert_ptr_null(file);
  buf_done(&why);
  place_close(&place);
}
END_TEST

START_TEST(a_readable_file_loads)
{
  struct buf why = BUF_INIT(0);
  struct yaml_file *file = NULL;
  struct place place;

  place_open(&place);
  file_put(place.path, "a: 1\n", 0664);
  ck_assert_int_eq(yaml_load(place.path, &file, &why), PARLEY_OK);
  ck_assert_str_eq(file->dir, place.dir);
  yaml_file_free(&file);
  place_close(&place);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("config: yaml");
  TCase *tcase = tcase_create("all");
  SRunner *runner;
  int failed;

  tcase_add_loop_test(tcase, what_is_not_strict_yaml_is_refused_with_its_place, 0, COUNT_OF(refused));
  tcase_add_test(tcase, a_nul_byte_is_refused);
  tcase_add_loop_test(tcase, variables_are_filled_in_after_parsing, 0, COUNT_OF(filled));
  tcase_add_test(tcase, variables_in_names_stay_as_they_are);
  tcase_add_test(tcase, a_tree_has_places_and_kinds);
  tcase_add_loop_test(tcase, a_path_starts_at_the_file, 0, COUNT_OF(paths));
  tcase_add_test(tcase, nesting_ends_at_its_limit);
  tcase_add_test(tcase, too_many_entries_are_refused_quickly);
  tcase_add_loop_test(tcase, an_error_shows_its_line_but_no_secret, 0, COUNT_OF(masks));
  tcase_add_test(tcase, a_long_line_is_shown_around_its_place);
  tcase_add_loop_test(tcase, what_is_no_file_of_ours_is_refused_with_the_reason, 0, COUNT_OF(files));
  tcase_add_test(tcase, a_readable_file_loads);
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed > 0;
}
