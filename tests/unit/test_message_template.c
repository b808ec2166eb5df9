/* Named templates: what is read, what is refused, languages, variants, partials, declared variables. */
#include "core/base/alloc.h"
#include "core/base/text.h"
#include "core/message/template.h"
#include <check.h>
#include <stdlib.h>
#include <string.h>

struct bed {
  struct arena *arena;
  struct problems problems;
  struct template_set set;
};

static void bed_open(struct bed *bed)
{
  *bed = (struct bed){.arena = arena_new()};
  problems_init(&bed->problems, bed->arena);
}

static void bed_close(struct bed *bed)
{
  template_set_done(&bed->set);
  arena_free(&bed->arena);
}

/* NULL: refused. Else it is in the set. */
static struct template *read_one(struct bed *bed, const char *name, const char *text)
{
  const struct template_set *others = &bed->set;
  json_t *json = json_loads(text, 0, NULL);
  struct json_in in = {.object = json, .pointer = TEXT_EMPTY, .arena = bed->arena, .problems = &bed->problems};
  struct template *made;

  ck_assert_msg(json != NULL, "bad JSON in the test: %s", text);
  problems_init(&bed->problems, bed->arena);
  made = template_read(&in, parley_text_of(name), 3, 0, &others, 1);
  json_decref(json);
  if (made != NULL)
    template_set_put(&bed->set, made);
  return made;
}

static bool is_email(parley_text variant, void *arg)
{
  (void)arg;
  return parley_text_is(variant, "email");
}

static void renders(struct bed *bed, const struct template *template, const char *locale, const char *data, const char *want)
{
  json_t *values = json_loads(data, 0, NULL);
  struct template_values both = {.data = values};
  struct buf out = BUF_INIT(0);

  problems_init(&bed->problems, bed->arena);
  ck_assert(template_render(template, template_locale(template, parley_text_of(locale)), &both, is_email, NULL, &out, TEXT_EMPTY,
                            &bed->problems));
  ck_assert_str_eq(out.at, want);
  buf_done(&out);
  json_decref(values);
}

START_TEST(a_content_keeps_its_shape_and_only_wanted_variants_are_made)
{
  struct bed bed;
  struct template *made;

  bed_open(&bed);
  made = read_one(&bed, "order",
                  "{\"locales\":{\"en\":{\"subject\":\"Order {{n}}\","
                  "\"text\":\"\\\"{{n}}\\\"\",\"buttons\":[{\"label\":\"{{n}}\",\"url\":"
                  "\"https://s.example/{{n}}\"},{\"label\":\"b\",\"id\":\"b\"}],\"location\":{\"latitude\":1.5,\"longitude\":2},"
                  "\"channels\":{\"sms\":{\"text\":\"s {{n}}\"},\"email\":{\"subject\":\"e {{n}}\",\"text\":\"plain\"}}}}}");
  ck_assert_ptr_nonnull(made);
  renders(&bed, made, "", "{\"n\":\"a\\\"/b\"}",
          "{\"subject\":\"Order a\\\"/b\",\"text\":\"\\\"a\\\"/b\\\"\",\"buttons\":[{\"label\":\"a\\\"/b\",\"url\":"
          "\"https://s.example/a%22/b\"},{\"label\":\"b\",\"id\":\"b\"}],\"location\":{\"latitude\":1.5,\"longitude\":2},"
          "\"channels\":{\"email\":{\"subject\":\"e a\\\"/b\",\"text\":\"plain\"}}}");
  bed_close(&bed);
}
END_TEST

/* Each recipient's own links: what stands for them comes out as it went in, in text, in an attribute and as a link; a value of the
 * name is a value like any. */
START_TEST(names_of_our_own_links_stay_until_the_hand_over)
{
  static const struct { const char *data, *want; } rows[] = {
      {"{}", "{\"html\":\"<a href='{{unsubscribe_url}}' title='{{preferences_url}}'>out</a>\","
             "\"buttons\":[{\"label\":\"Out\",\"url\":\"{{unsubscribe_url}}\"}],\"text\":\"Out: {{preferences_url}} !\"}"},
      {"{\"unsubscribe_url\":\"https://own.example/\",\"preferences_url\":\"<\"}",
       "{\"html\":\"<a href='https://own.example/' title='&lt;'>out</a>\","
       "\"buttons\":[{\"label\":\"Out\",\"url\":\"https://own.example/\"}],\"text\":\"Out: < !\"}"},
      {"{\"unsubscribe_url\":\"\",\"preferences_url\":\"{{x}}\"}",
       "{\"html\":\"<a href='' title='{{x}}'>out</a>\",\"buttons\":[{\"label\":\"Out\",\"url\":\"\"}],\"text\":\"Out: {{x}} \"}"}};
  struct bed bed;
  struct template *made;

  bed_open(&bed);
  made = read_one(&bed, "news",
                  "{\"locales\":{\"en\":{\"html\":\"<a href='{{unsubscribe_url}}' title='{{preferences_url}}'>out</a>\","
                  "\"buttons\":[{\"label\":\"Out\",\"url\":\"{{unsubscribe_url}}\"}],"
                  "\"text\":\"Out: {{preferences_url}} {{#unsubscribe_url}}!{{/unsubscribe_url}}\"}}}");
  ck_assert_ptr_nonnull(made);
  for (size_t i = 0; i < COUNT_OF(rows); i++)
    renders(&bed, made, "", rows[i].data, rows[i].want);
  bed_close(&bed);
}
END_TEST

START_TEST(the_nearest_language_is_taken)
{
  static const struct { const char *wanted, *got; } rows[] = {
      {"pt-BR", "pt"}, {"pt", "pt"}, {"PT-br", "pt"}, {"zh-Hant-TW", "zh-Hant"}, {"zh", "en"}, {"fr", "en"}, {"", "en"}};
  struct bed bed;
  struct template *made;

  bed_open(&bed);
  made = read_one(&bed, "hello", "{\"locales\":{\"pt\":{\"text\":\"oi\"},\"en\":{\"text\":\"hi\"},\"zh-Hant\":{\"text\":\"x\"}},"
                                 "\"default_locale\":\"en\"}");
  ck_assert_ptr_nonnull(made);
  for (size_t i = 0; i < COUNT_OF(rows); i++)
    ck_assert(parley_text_is(template_locale(made, parley_text_of(rows[i].wanted)), rows[i].got));
  bed_close(&bed);
}
END_TEST

START_TEST(a_partial_is_of_the_same_language_variant_and_member)
{
  struct bed bed;
  struct template *made;

  bed_open(&bed);
  ck_assert_ptr_nonnull(read_one(&bed, "foot",
                                 "{\"locales\":{\"en\":{\"text\":\"bye\",\"html\":\"<i>bye</i>\",\"channels\":{\"email\":{\"text\":"
                                 "\"mail bye\"}}},\"pt\":{\"text\":\"tchau\"}},\"default_locale\":\"en\"}"));
  made = read_one(&bed, "main",
                  "{\"locales\":{\"en\":{\"subject\":\"{{>foot}}\",\"text\":\"{{>foot}}\",\"html\":\"<p>{{>foot}}</p>\",\"channels\":{"
                  "\"email\":{\"text\":\"{{>foot}}!\"}}},\"pt\":{\"text\":\"{{>foot}}\"}},\"default_locale\":\"en\"}");
  ck_assert_ptr_nonnull(made);
  renders(&bed, made, "en", "{}",
          "{\"subject\":\"bye\",\"text\":\"bye\",\"html\":\"<p><i>bye</i></p>\",\"channels\":{\"email\":{\"text\":"
                                  "\"mail bye!\"}}}");
  renders(&bed, made, "pt-BR", "{}", "{\"text\":\"tchau\"}");
  ck_assert(template_contains(made, PARLEY_LIT("foot")));
  ck_assert(!template_contains(made, PARLEY_LIT("main")));
  bed_close(&bed);
}
END_TEST

static const struct {
  const char *json, *pointer, *code;
} refused[] = {
    {"{}", "/locales", "missing"},
    {"{\"locales\":{}}", "/locales", "missing"},
    {"{\"locales\":{\"e\":{\"text\":\"x\"}}}", "/locales/e", "bad_locale"},
    {"{\"locales\":{\"en\":{}}}", "/locales/en", "empty_content"},
    {"{\"locales\":{\"en\":{\"text\":\"x\",\"to\":\"{{x}}\"}}}", "/locales/en/to", "unknown_field"},
    {"{\"locales\":{\"en\":{\"text\":7}}}", "/locales/en/text", "wrong_type"},
    {"{\"locales\":{\"en\":{\"text\":\"{{x\"}}}", "/locales/en/text", "template_syntax"},
    {"{\"locales\":{\"en\":{\"text\":\"x\",\"channels\":{\"sms\":{\"text\":\"{{#a}}\"}}}}}", "/locales/en/channels/sms/text",
     "template_syntax"},
    {"{\"locales\":{\"en\":{\"text\":\"x\",\"buttons\":[{\"label\":\"x\",\"url\":\"https://{{h}}/\"}]}}}", "/locales/en/buttons/0/url",
     "unsafe_place"},
    {"{\"locales\":{\"en\":{\"text\":\"{{>nobody}}\"}}}", "/locales/en/text", "unknown_partial"},
    {"{\"locales\":{\"en\":{\"text\":\"{{>self}}\"}}}", "/locales/en/text", "cycle"},
    {"{\"locales\":{\"en\":{\"text\":\"x\"},\"pt\":{\"text\":\"y\"}}}", "/default_locale", "missing"},
    {"{\"locales\":{\"en\":{\"text\":\"x\"}},\"default_locale\":\"pt\"}", "/default_locale", "bad_value"},
    {"{\"locales\":{\"en\":{\"text\":\"x\"}},\"variables\":{\"a..b\":{}}}", "/variables/a..b", "bad_value"},
    {"{\"locales\":{\"en\":{\"text\":\"x\"}},\"variables\":{\"a\":{\"type\":\"date\"}}}", "/variables/a/type", "bad_value"},
    {"{\"locales\":{\"en\":{\"text\":\"x\"}},\"variables\":{\"a\":{\"must\":true}}}", "/variables/a/must", "unknown_field"},
    {"{\"locale\":{}}", "/locale", "unknown_field"},
};

START_TEST(what_is_no_template_is_refused_with_its_place)
{
  struct bed bed;

  bed_open(&bed);
  ck_assert_ptr_null(read_one(&bed, "self", refused[_i].json));
  ck_assert_uint_ge(bed.problems.count, 1);
  ck_assert_msg(parley_text_is(bed.problems.rows[0].pointer, refused[_i].pointer), "%s: %s", refused[_i].json,
                bed.problems.rows[0].pointer.at);
  ck_assert_str_eq(bed.problems.rows[0].code, refused[_i].code);
  bed_close(&bed);
}
END_TEST

START_TEST(declared_variables_are_looked_for_before_anything_is_made)
{
  struct bed bed;
  struct template *made;
  json_t *data;

  bed_open(&bed);
  made = read_one(&bed, "vars",
                  "{\"locales\":{\"en\":{\"text\":\"x\"}},\"variables\":{\"a\":{\"type\":\"text\"},\"b.c\":{\"type\":\"number\"},"
                  "\"d\":{\"required\":false,\"type\":\"list\"},\"e\":{}}}");
  ck_assert_ptr_nonnull(made);
  ck_assert(!template_check(made, NULL, PARLEY_LIT("/data"), &bed.problems));
  ck_assert_uint_eq(bed.problems.count, 3);
  ck_assert(parley_text_is(bed.problems.rows[1].pointer, "/data/b/c"));
  ck_assert_str_eq(bed.problems.rows[1].code, "missing_variable");
  problems_init(&bed.problems, bed.arena);
  data = json_loads("{\"a\":\"x\",\"b\":{\"c\":\"1\"},\"d\":{},\"e\":null}", 0, NULL);
  ck_assert(!template_check(made, data, PARLEY_LIT("/data"), &bed.problems));
  ck_assert_uint_eq(bed.problems.count, 3);
  ck_assert_str_eq(bed.problems.rows[0].code, "wrong_type");
  ck_assert_str_eq(bed.problems.rows[2].code, "missing_variable");
  json_decref(data);
  problems_init(&bed.problems, bed.arena);
  data = json_loads("{\"a\":\"\",\"b\":{\"c\":0},\"e\":false}", 0, NULL);
  ck_assert(template_check(made, data, PARLEY_LIT("/data"), &bed.problems));
  json_decref(data);
  bed_close(&bed);
}
END_TEST

START_TEST(a_rendering_that_fails_names_template_language_and_place_and_leaves_nothing)
{
  struct template_values values = {.data = json_loads("{\"x\":[1]}", 0, NULL)};
  struct buf out = BUF_INIT(0);
  struct bed bed;
  struct template *made;

  bed_open(&bed);
  made = read_one(&bed, "list", "{\"locales\":{\"en\":{\"subject\":\"s\",\"text\":\"a\\n {{x}}\"}}}");
  buf_str(&out, "before");
  ck_assert(!template_render(made, PARLEY_LIT("en"), &values, NULL, NULL, &out, PARLEY_LIT("/template"), &bed.problems));
  ck_assert_uint_eq(out.len, 6);
  ck_assert_str_eq(bed.problems.rows[0].code, "wrong_type");
  ck_assert_ptr_nonnull(strstr(bed.problems.rows[0].detail.at, "list, locale en, text, line 2, column 2"));
  buf_done(&out);
  json_decref((json_t *)(uintptr_t)values.data);
  bed_close(&bed);
}
END_TEST

START_TEST(a_set_finds_replaces_and_removes_by_name)
{
  static const char *const names[] = {"m", "a", "z", "b", "a"};
  struct bed bed;

  bed_open(&bed);
  for (size_t i = 0; i < COUNT_OF(names); i++)
    ck_assert_ptr_nonnull(read_one(&bed, names[i], "{\"locales\":{\"en\":{\"text\":\"{{x}}\"}}}"));
  ck_assert_uint_eq(bed.set.n, 4);
  for (size_t i = 1; i < bed.set.n; i++)
    ck_assert_int_lt(text_cmp(template_name(bed.set.all[i - 1]), template_name(bed.set.all[i])), 0);
  for (size_t i = 0; i < COUNT_OF(names); i++)
    template_set_remove(&bed.set, parley_text_of(names[i]));
  ck_assert_uint_eq(bed.set.n, 0);
  ck_assert_uint_eq(bed.set.bytes, 0);
  ck_assert_ptr_null(template_set_find(&bed.set, PARLEY_LIT("a")));
  bed_close(&bed);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("message_template");
  TCase *all = tcase_create("all");
  SRunner *runner = srunner_create(suite);
  int failed;

  tcase_add_test(all, a_content_keeps_its_shape_and_only_wanted_variants_are_made);
  tcase_add_test(all, names_of_our_own_links_stay_until_the_hand_over);
  tcase_add_test(all, the_nearest_language_is_taken);
  tcase_add_test(all, a_partial_is_of_the_same_language_variant_and_member);
  tcase_add_loop_test(all, what_is_no_template_is_refused_with_its_place, 0, (int)COUNT_OF(refused));
  tcase_add_test(all, declared_variables_are_looked_for_before_anything_is_made);
  tcase_add_test(all, a_rendering_that_fails_names_template_language_and_place_and_leaves_nothing);
  tcase_add_test(all, a_set_finds_replaces_and_removes_by_name);
  suite_add_tcase(suite, all);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
