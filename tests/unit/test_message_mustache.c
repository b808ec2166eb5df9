/* Mustache beyond what the specification's own cases say: places in HTML, links, limits, errors with their line. */
#include "core/base/alloc.h"
#include "core/base/text.h"
#include "core/message/mustache.h"
#include <check.h>
#include <stdlib.h>
#include <string.h>

static bool partial_find(parley_text name, parley_text *ret, void *arg)
{
  const json_t *found = json_object_getn(arg, name.at, name.len);

  if (!json_is_string(found))
    return false;
  *ret = parley_text_of(json_string_value(found));
  return true;
}

/* What comes out, or the error's code. */
static char *made(const char *source, enum mustache_kind kind, const char *data, const char *partials, struct mustache_error *error)
{
  json_t *values = json_loads(data, JSON_DECODE_ANY, NULL), *others = json_loads(partials != NULL ? partials : "{}", 0, NULL);
  struct mustache_partials find = {.find = partial_find, .arg = others};
  struct mustache *mustache = mustache_read(parley_text_of(source), kind, &find, error);
  struct buf out = BUF_INIT(0);
  const json_t *context = values;
  char *text;

  ck_assert_msg(values != NULL && others != NULL, "bad JSON in the test: %s", data);
  if (mustache != NULL && mustache_render(mustache, &context, 1, &out, error) == PARLEY_OK)
    text = buf_steal(&out, NULL);
  else
    text = xstrdup(error->code);
  buf_done(&out);
  mustache_free(&mustache);
  json_decref(values);
  json_decref(others);
  return text;
}

static const struct {
  enum mustache_kind kind;
  const char *source, *data, *want, *partials;
} cases[] = {
    /* places: text, attribute, link, style */
    {MUSTACHE_HTML, "<p>{{x}}</p>", "{\"x\":\"<script>alert(1)</script>\"}", "<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>", NULL},
    {MUSTACHE_HTML, "<p>{{{x}}}</p>", "{\"x\":\"<b>&</b>\"}", "<p><b>&</b></p>", NULL},
    {MUSTACHE_HTML, "<b title=\"{{x}}\">", "{\"x\":\"\\\" onload=alert(1) \"}", "<b title=\"&quot; onload=alert(1) \">", NULL},
    {MUSTACHE_HTML, "<b title='{{{x}}}'>", "{\"x\":\"' onload='\"}", "<b title='&#39; onload=&#39;'>", NULL},
    {MUSTACHE_HTML, "<a href=\"{{x}}\">", "{\"x\":\"https://shop.example/?a=1&b=2\"}",
     "<a href=\"https://shop.example/?a=1&amp;b=2\">", NULL},
    {MUSTACHE_HTML, "<a href=\"{{x}}\">", "{\"x\":\"javascript:alert(1)\"}", "unsafe_link", NULL},
    {MUSTACHE_HTML, "<a href=\"{{{x}}}\">", "{\"x\":\"JavaScript:alert(1)\"}", "unsafe_link", NULL},
    {MUSTACHE_HTML, "<a href=\"{{x}}{{y}}\">", "{\"x\":\"java\",\"y\":\"script:alert(1)\"}", "unsafe_link", NULL},
    {MUSTACHE_HTML, "<a href='{{#x}}{{.}}{{/x}}'>", "{\"x\":[\"data\",\":text/html,x\"]}", "unsafe_link", NULL},
    {MUSTACHE_HTML, "<a href=\"{{x}}\">", "{\"x\":\" java\\tscript:alert(1)\"}", "unsafe_link", NULL},
    {MUSTACHE_HTML, "<a href=\"{{x}}\">", "{\"x\":\"mailto:a@shop.example\"}", "<a href=\"mailto:a@shop.example\">", NULL},
    {MUSTACHE_HTML, "<a href=\"tel:{{x}}\">", "{\"x\":\"+34 600\"}", "<a href=\"tel:+34%20600\">", NULL},
    {MUSTACHE_HTML, "<a href=\"javascript:f('{{x}}')\">", "{}", "unsafe_place", NULL},
    {MUSTACHE_HTML, "<a href=\"https://{{x}}/\">", "{\"x\":\"evil.example\"}", "unsafe_place", NULL},
    {MUSTACHE_HTML, "<a href=\"//{{x}}/\">", "{\"x\":\"evil.example\"}", "unsafe_place", NULL},
    {MUSTACHE_HTML, "<a href=\"https://shop.example{{x}}/\">", "{\"x\":\".evil.example\"}", "unsafe_place", NULL},
    {MUSTACHE_HTML, "<a href=\"https://s.example/{{x}}?q={{x}}\">", "{\"x\":\"a/b?c&d\\r\\n\"}",
     "<a href=\"https://s.example/a/b%3Fc&amp;d%0D%0A?q=a%2Fb%3Fc%26d%0D%0A\">", NULL},
    {MUSTACHE_HTML, "<img src=\"{{x}}\" alt=\"\">", "{\"x\":\"cid:logo\"}", "<img src=\"cid:logo\" alt=\"\">", NULL},
    {MUSTACHE_HTML, "<p style=\"color:{{x}}\">", "{\"x\":\"#1a2\"}", "<p style=\"color:#1a2\">", NULL},
    {MUSTACHE_HTML, "<p style=\"width:{{x}}\">", "{\"x\":\"expression(alert(1))\"}",
     "<p style=\"width:expression\\28 alert\\28 1\\29 \\29 \">", NULL},
    {MUSTACHE_HTML, "<style>p{color:{{x}}}</style>", "{\"x\":\"</style><b>\"}",
     "<style>p{color:\\3c \\2f style\\3e \\3c b\\3e }</style>", NULL},
    {MUSTACHE_HTML, "<title>{{x}}</title>", "{\"x\":\"</title>\"}", "<title>&lt;/title&gt;</title>", NULL},
    {MUSTACHE_HTML, "<!-- {{x}} --><p>{{{y}}}", "{\"x\":\"-->\",\"y\":\"<i>\"}", "<!-- --&gt; --><p><i>", NULL},
    {MUSTACHE_HTML, "<!--[if mso]><a href=\"{{x}}\"><![endif]-->", "{\"x\":\"vbscript:x\"}", "unsafe_link", NULL},
    {MUSTACHE_HTML, "<script>var x = '{{x}}'</script>", "{}", "unsafe_place", NULL},
    {MUSTACHE_HTML, "<b onclick=\"{{x}}\">", "{}", "unsafe_place", NULL},
    {MUSTACHE_HTML, "<b {{x}}>", "{}", "unsafe_place", NULL},
    {MUSTACHE_HTML, "<{{x}}>", "{}", "unsafe_place", NULL},
    {MUSTACHE_HTML, "<b title={{x}}>", "{}", "unsafe_place", NULL},
    {MUSTACHE_HTML, "<b title=\"{{x}}", "{}", "unsafe_place", NULL},
    {MUSTACHE_HTML, "<meta http-equiv=\"refresh\" content=\"0;url={{x}}\">", "{}", "unsafe_place", NULL},
    {MUSTACHE_HTML, "<iframe srcdoc=\"{{x}}\">", "{}", "unsafe_place", NULL},
    {MUSTACHE_HTML, "a < {{x}} < b", "{\"x\":1}", "a < 1 < b", NULL},
    /* sections end where they begin */
    {MUSTACHE_HTML, "<option{{#x}} selected{{/x}}>{{x}}</option>", "{\"x\":1}", "<option selected>1</option>", NULL},
    {MUSTACHE_HTML, "<a {{#x}}title=\"{{x}}\"{{/x}} href=\"/\">", "{\"x\":\"t\"}", "<a title=\"t\" href=\"/\">", NULL},
    {MUSTACHE_HTML, "<a {{#x}}title{{/x}}=\"{{x}}\">", "{\"x\":\"t\"}", "unsafe_place", NULL},
    {MUSTACHE_HTML, "{{#x}}<a href=\"{{/x}}{{y}}\">", "{}", "unsafe_place", NULL},
    {MUSTACHE_HTML, "<p>{{#x}}<b>{{.}}</b>{{/x}}", "{\"x\":[1,2]}", "<p><b>1</b><b>2</b>", NULL},
    {MUSTACHE_HTML, "<p>{{>row}}", "{\"x\":\"<\"}", "<p><i>&lt;</i>", "{\"row\":\"<i>{{x}}</i>\"}"},
    {MUSTACHE_HTML, "<p {{>row}}>", "{}", "unsafe_place", "{\"row\":\"title\"}"},
    {MUSTACHE_HTML, "<p>{{>row}}", "{}", "unsafe_place", "{\"row\":\"<i title='\"}"},
    /* lines and links by themselves */
    {MUSTACHE_LINE, "Order {{x}}", "{\"x\":\"1\\r\\nBcc: all@evil.example\"}", "Order 1 Bcc: all@evil.example", NULL},
    {MUSTACHE_TEXT, "{{x}} & {{y}}", "{\"x\":\"a\\nb\",\"y\":\"<\"}", "a\nb & <", NULL},
    {MUSTACHE_LINK, "https://s.example/{{x}}?a=1&b={{x}}", "{\"x\":\"1&2\"}", "https://s.example/1&2?a=1&b=1%262", NULL},
    {MUSTACHE_LINK, "https://{{x}}/", "{\"x\":\"1\"}", "unsafe_place", NULL},
    {MUSTACHE_LINK, "{{x}}", "{\"x\":\"https://s.example/?a&b\"}", "https://s.example/?a&b", NULL},
    /* values */
    {MUSTACHE_TEXT, "{{a}} {{b}} {{c}} {{d}} {{e}}", "{\"a\":1.5,\"b\":-7,\"c\":0.1,\"d\":true,\"e\":1e21}",
     "1.5 -7 0.1 true 1e+21", NULL},
    {MUSTACHE_TEXT, "{{x}}", "{\"x\":[1]}", "wrong_type", NULL},
    {MUSTACHE_TEXT, "{{x}}", "{\"x\":{}}", "wrong_type", NULL},
    {MUSTACHE_TEXT, "{{#x}}yes{{/x}}{{^x}}no{{/x}}", "{\"x\":\"\"}", "no", NULL},
    {MUSTACHE_TEXT, "{{#x}}yes{{/x}}{{^x}}no{{/x}}", "{\"x\":0}", "no", NULL},
    {MUSTACHE_TEXT, "{{#x}}{{#.}}{{.}}{{/.}};{{/x}}", "{\"x\":[[1,2],[3]]}", "12;3;", NULL},
    /* what is no template */
    {MUSTACHE_TEXT, "{{x", "{}", "template_syntax", NULL},
    {MUSTACHE_TEXT, "{{{x}}", "{}", "template_syntax", NULL},
    {MUSTACHE_TEXT, "{{}}", "{}", "template_syntax", NULL},
    {MUSTACHE_TEXT, "{{a b}}", "{}", "template_syntax", NULL},
    {MUSTACHE_TEXT, "{{a..b}}", "{}", "template_syntax", NULL},
    {MUSTACHE_TEXT, "{{#a}}", "{}", "template_syntax", NULL},
    {MUSTACHE_TEXT, "{{/a}}", "{}", "template_syntax", NULL},
    {MUSTACHE_TEXT, "{{#a}}{{/b}}", "{}", "template_syntax", NULL},
    {MUSTACHE_TEXT, "{{=<%}}", "{}", "template_syntax", NULL},
    {MUSTACHE_TEXT, "{{=a b c=}}", "{}", "template_syntax", NULL},
    {MUSTACHE_TEXT, "{{$block}}{{/block}}", "{}", "template_syntax", NULL},
    {MUSTACHE_TEXT, "{{>*name}}", "{}", "template_syntax", NULL},
    /* partials */
    {MUSTACHE_TEXT, "{{> /etc/passwd}}", "{}", "unknown_partial", NULL},
    {MUSTACHE_TEXT, "{{> ../x}}", "{}", "unknown_partial", NULL},
    {MUSTACHE_TEXT, "{{>a}}", "{}", "cycle", "{\"a\":\"{{>a}}\"}"},
    {MUSTACHE_TEXT, "{{>a}}", "{}", "cycle", "{\"a\":\"{{>b}}\",\"b\":\"{{>c}}\",\"c\":\"{{>a}}\"}"},
    {MUSTACHE_TEXT, "{{>a}}{{>a}}{{>b}}", "{}", "..", "{\"a\":\"{{>b}}\",\"b\":\"\",\"c\":\"\"}"},
};

START_TEST(a_template_comes_out_as_the_row_says)
{
  struct mustache_error error = {.code = ""};
  char *got = made(cases[_i].source, cases[_i].kind, cases[_i].data, cases[_i].partials, &error);
  const char *want = strcmp(cases[_i].want, "..") == 0 ? "" : cases[_i].want;

  ck_assert_msg(strcmp(got, want) == 0, "%s of %s: got '%s' (%s), want '%s'", cases[_i].source, cases[_i].data, got, error.why, want);
  free(got);
}
END_TEST

START_TEST(an_error_names_line_column_and_partial)
{
  struct mustache_error error;
  char *got = made("ü\n  é{{#a}}\n", MUSTACHE_TEXT, "{}", NULL, &error);

  ck_assert_str_eq(got, "template_syntax");
  ck_assert_uint_eq(error.line, 2);
  ck_assert_uint_eq(error.column, 4);
  free(got);
  got = made("{{>row}}", MUSTACHE_TEXT, "{}", "{\"row\":\"\\n\\n {{x\"}", &error);
  ck_assert_str_eq(got, "template_syntax");
  ck_assert_str_eq(error.partial, "row");
  ck_assert_uint_eq(error.line, 3);
  free(got);
}
END_TEST

static char *repeated(const char *text, size_t times)
{
  struct buf buf = BUF_INIT((size_t)200 << 20);

  for (size_t i = 0; i < times; i++)
    buf_str(&buf, text);
  return buf_steal(&buf, NULL);
}

START_TEST(sections_nest_64_deep_and_no_deeper)
{
  struct mustache_error error;
  struct buf source = BUF_INIT(0);

  for (int depth = MUSTACHE_DEPTH_MAX; depth <= MUSTACHE_DEPTH_MAX + 1; depth++) {
    char *got;

    buf_clear(&source);
    for (int i = 0; i < depth; i++)
      buf_str(&source, i % 2 ? "{{#a}}" : "{{^b}}");
    for (int i = depth; i-- > 0;)
      buf_str(&source, i % 2 ? "{{/a}}" : "{{/b}}");
    got = made(source.at, MUSTACHE_TEXT, "{\"a\":{}}", NULL, &error);
    ck_assert_str_eq(got, depth > MUSTACHE_DEPTH_MAX ? "limit" : "");
    free(got);
  }
  buf_done(&source);
}
END_TEST

START_TEST(a_million_sections_are_refused_at_the_first_one_too_many)
{
  struct mustache_error error;
  char *source = repeated("{{#a}}", 160000), *got = made(source, MUSTACHE_TEXT, "{}", NULL, &error);

  ck_assert_str_eq(got, "limit");
  ck_assert_uint_eq(error.column, 1 + 6 * MUSTACHE_DEPTH_MAX);
  free(got);
  free(source);
}
END_TEST

/* 1,000 times 1,000 rounds. */
START_TEST(a_loop_in_a_loop_ends_at_the_steps_allowed)
{
  struct mustache_error error;
  char *ones = repeated(",1", 999), *got;
  struct buf data = BUF_INIT(0);

  buf_printf(&data, "{\"a\":[1%s],\"b\":[1%s]}", ones, ones);
  got = made("{{#a}}{{#b}}{{/b}}{{/a}}", MUSTACHE_TEXT, data.at, NULL, &error);
  ck_assert_str_eq(got, "limit");
  free(got);
  free(ones);
  buf_done(&data);
}
END_TEST

START_TEST(output_ends_at_ten_mebibytes)
{
  struct mustache_error error;
  char *ones = repeated(",1", 2000), *text = repeated("0123456789", 1000), *got;
  struct buf data = BUF_INIT(0), source = BUF_INIT(0);

  buf_printf(&data, "{\"a\":[1%s]}", ones);
  buf_printf(&source, "{{#a}}%s{{/a}}", text);
  got = made(source.at, MUSTACHE_TEXT, data.at, NULL, &error);
  ck_assert_str_eq(got, "limit");
  free(got);
  free(ones);
  free(text);
  buf_done(&data);
  buf_done(&source);
}
END_TEST

/* Each partial twice in the one above it: 2^40 of them. */
START_TEST(partials_that_multiply_end_too)
{
  struct mustache_error error;
  struct buf partials = BUF_INIT(0);
  char *got;

  buf_str(&partials, "{\"p40\":\"x\"");
  for (int i = 0; i < 40; i++)
    buf_printf(&partials, ",\"p%d\":\"{{>p%d}}{{>p%d}}\"", i, i + 1, i + 1);
  buf_char(&partials, '}');
  got = made("{{>p0}}", MUSTACHE_TEXT, "{}", partials.at, &error);
  ck_assert_str_eq(got, "limit");
  free(got);
  buf_done(&partials);
}
END_TEST

START_TEST(a_partial_that_calls_itself_ends_at_the_depth_when_that_is_allowed)
{
  json_t *others = json_pack("{s:s}", "a", "{{>a}}");
  struct mustache_partials find = {.find = partial_find, .arg = others, .loose = true};
  struct mustache_error error;
  struct mustache *mustache = mustache_read(PARLEY_LIT("x{{>a}}"), MUSTACHE_ESCAPED, &find, &error);
  struct buf out = BUF_INIT(0);
  const json_t *context = NULL;

  ck_assert_ptr_nonnull(mustache);
  buf_str(&out, "before");
  ck_assert_int_eq(mustache_render(mustache, &context, 1, &out, &error), PARLEY_REJECTED);
  ck_assert_str_eq(error.code, "limit");
  ck_assert_str_eq(out.at, "before"); /* nothing half done is left */
  buf_done(&out);
  mustache_free(&mustache);
  json_decref(others);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("message_mustache");
  TCase *all = tcase_create("all");
  SRunner *runner = srunner_create(suite);
  int failed;

  tcase_add_loop_test(all, a_template_comes_out_as_the_row_says, 0, (int)COUNT_OF(cases));
  tcase_add_test(all, an_error_names_line_column_and_partial);
  tcase_add_test(all, sections_nest_64_deep_and_no_deeper);
  tcase_add_test(all, a_million_sections_are_refused_at_the_first_one_too_many);
  tcase_add_test(all, a_loop_in_a_loop_ends_at_the_steps_allowed);
  tcase_add_test(all, output_ends_at_ten_mebibytes);
  tcase_add_test(all, partials_that_multiply_end_too);
  tcase_add_test(all, a_partial_that_calls_itself_ends_at_the_depth_when_that_is_allowed);
  suite_add_tcase(suite, all);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
