#include "core/base/alloc.h"
#include "core/base/text.h"
#include "core/channel/option.h"
#include "temp.h"
#include <check.h>

/* A group may stand in a file of its own: what the operator wrote there is checked as if it stood here, and errors name that file. */
static const parley_option word = {
    .size = sizeof word, .name = "word", .type = PARLEY_OPTION_TEXT, .flags = PARLEY_REQUIRED, .doc = "a word"};
static const parley_option number = {
    .size = sizeof number, .name = "number", .type = PARLEY_OPTION_INT, .min = 1, .max = 9, .default_text = "3"};
static const parley_option secret = {.size = sizeof secret, .name = "secret", .type = PARLEY_OPTION_TEXT, .flags = PARLEY_SECRET};
static const parley_option group = {.size = sizeof group,
                                    .name = "group",
                                    .type = PARLEY_OPTION_GROUP,
                                    .doc = "a group",
                                    .fields = (const parley_option *const[]){&word, &number, &secret, NULL}};
static const parley_option own_file = {.size = sizeof own_file, .name = "file", .type = PARLEY_OPTION_TEXT};
static const parley_option with_file = {.size = sizeof with_file,
                                        .name = "with_file",
                                        .type = PARLEY_OPTION_GROUP,
                                        .fields = (const parley_option *const[]){&own_file, NULL}};
static const parley_option *const table[] = {&group, &with_file, NULL};

static struct {
  struct yaml_file *file;
  struct arena *arena;
  struct secrets secrets;
  struct buf why;
  char dir[128];
} bed;

static const char *variable(const char *name)
{
  return strcmp(name, "S") == 0 ? "hidden" : NULL;
}

static void file_put(const char *name, const char *text)
{
  char path[256];
  FILE *file;

  snprintf(path, sizeof path, "%s/%s", bed.dir, name);
  file = fopen(path, "w");
  ck_assert_ptr_nonnull(file);
  fputs(text, file);
  fclose(file);
}

static parley_status read_yaml(const char *yaml, const parley_value **ret)
{
  char path[256];

  snprintf(path, sizeof path, "%s/parley.yaml", bed.dir);
  ck_assert_msg(yaml_parse(path, parley_text_of(yaml), variable, &bed.file, &bed.why) == PARLEY_OK, "%s", bed.why.at);
  return options_read(bed.file, bed.file->root, 1, 1, "options", table, bed.arena, &bed.secrets, ret, &bed.why);
}

static void setup(void)
{
  snprintf(bed.dir, sizeof bed.dir, "%s/option-XXXXXX", temp_root);
  ck_assert_ptr_nonnull(mkdtemp(bed.dir));
  bed.arena = arena_new();
}

static void teardown(void)
{
  yaml_file_free(&bed.file);
  arena_free(&bed.arena);
  secrets_done(&bed.secrets);
  buf_done(&bed.why);
}

START_TEST(a_group_may_stand_in_a_file_of_its_own)
{
  const parley_value *values = NULL, *found;

  file_put("group.yaml", "word: hello\nnumber: 7\n");
  ck_assert_msg(read_yaml("group: { file: group.yaml }", &values) == PARLEY_OK, "%s", bed.why.at);
  yaml_file_free(&bed.file); /* nothing of either file is needed any more */
  found = parley_find(values, "group");
  ck_assert_uint_eq(found->type, PARLEY_OPTION_GROUP);
  ck_assert(parley_text_is(parley_find(found, "word")->text, "hello"));
  ck_assert_int_eq(parley_find(found, "number")->number, 7);
  ck_assert_uint_eq(parley_find(found, "secret")->type, 0);
}
END_TEST

START_TEST(a_group_that_has_a_member_file_is_no_reference)
{
  const parley_value *values = NULL;

  ck_assert_int_eq(read_yaml("with_file: { file: group.yaml }", &values), PARLEY_OK);
  ck_assert(parley_text_is(parley_find(parley_find(values, "with_file"), "file")->text, "group.yaml"));
}
END_TEST

static const struct {
  const char *yaml, *file, *words;
} wrong[] = {{"group: { file: none.yaml }", "word: a", "its file cannot be read"},
             {"group: { file: [] }", "word: a", "file needs a path"},
             {"group: { file: \"\" }", "word: a", "file needs a path"},
             {"group: { file: group.yaml }", "word: a\nnumber: 12\n",
              "group.yaml:2:9: error: options.group.number: the value must be between 1 and 9"},
             {"group: { file: group.yaml }", "wort: a\n", "group.yaml:1:1: error: unknown key 'wort': did you mean 'word'?"},
             {"group: { file: group.yaml }", "word: a\nsecret: clear\n",
              "group.yaml:2:9: error: options.group.secret: a secret must not stand here"},
             {"group: { file: group.yaml }", "word: {file: x}\n", "a single value is needed"},
             {"group: { file: group.yaml }", "number: 1\n", "options.group.word is required"},
             {"group: { file: group.yaml }", "file: group.yaml\n", "unknown key 'file'"}, /* a file does not refer to another */
             {"group: { file: group.yaml, word: a }", "word: a", "unknown key 'file'"}};
START_TEST(what_is_wrong_there_is_said_with_its_place)
{
  const parley_value *values = NULL;

  file_put("group.yaml", wrong[_i].file);
  ck_assert_int_eq(read_yaml(wrong[_i].yaml, &values), PARLEY_INVALID);
  ck_assert_msg(strstr(bed.why.at, wrong[_i].words) != NULL, "%s", bed.why.at);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("core/channel/option");
  TCase *tcase = tcase_create("files");
  SRunner *runner = srunner_create(suite);
  int failed;

  tcase_add_checked_fixture(tcase, setup, teardown);
  tcase_add_test(tcase, a_group_may_stand_in_a_file_of_its_own);
  tcase_add_test(tcase, a_group_that_has_a_member_file_is_no_reference);
  tcase_add_loop_test(tcase, what_is_wrong_there_is_said_with_its_place, 0, COUNT_OF(wrong));
  suite_add_tcase(suite, tcase);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed > 0;
}
