#include "core/base/alloc.h"
#include "core/base/text.h"
#include "core/message/json.h"
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct arena *arena;
static struct problems problems;

static void set_up(void)
{
  arena = arena_new();
  problems_init(&problems, arena);
}

static void tear_down(void)
{
  arena_free(&arena);
}

#define ck_text_eq(text, want) ck_assert_msg(parley_text_is(text, want), "'%.*s' is not '%s'", TEXT_ARG(text), want)

#define BYTES(s)     \
  {                  \
    s, sizeof(s) - 1 \
  }
static const struct {
  parley_bytes body;
  const char *code, *where;
} refused[] = {
    {BYTES("{\"to\":1,\"to\":2}"), "duplicate_key", "line 1, column 9: the key 'to' stands twice"},
    {BYTES("{\"a\":{\"b\":1,\"\\u0062\":2}}"), "duplicate_key", "the key 'b' stands twice"},
    {BYTES("{\"a\":\"\xff\"}"), "bad_encoding", "line 1, column 7: "},
    {BYTES("{\"a\":\"\xc0\xaf\"}"), "bad_encoding", ""},
    {BYTES("{\"a\":\"\xed\xa0\x80\"}"), "bad_encoding", ""},
    {BYTES("{\"a\":\"\xf4\x90\x80\x80\"}"), "bad_encoding", ""},
    {BYTES("{\"a\":\"\xe2\x82\"}"), "bad_encoding", ""},
    {BYTES("{\"a\":\"\\ud800\"}"), "bad_encoding", "line 1, column 7: a high surrogate"},
    {BYTES("{\"a\":\"\\ud800\\u0041\"}"), "bad_encoding", "a high surrogate"},
    {BYTES("{\"a\":\"\\udc00\"}"), "bad_encoding", "a low surrogate"},
    {BYTES("{\"a\":\"\\u0000\"}"), "bad_encoding", "\\u0000"},
    {BYTES("{\"a\":\"x\0y\"}"), "bad_encoding", ""},
    {BYTES("\xef\xbb\xbf{}"), "bad_encoding", "byte order mark"},
    {BYTES("{\0\"\0a\0\"\0:\0"
           "1\0}\0"),
     "bad_encoding", "UTF-16"},
    {BYTES("\0{\0}"), "bad_encoding", "UTF-16"},
    {BYTES("\xff\xfe{\0}\0"), "bad_encoding", "UTF-16"},
    {BYTES("{\"a\":1} \xff"), "bad_encoding", "column 9"},
    {BYTES("1e400"), "bad_number", ""},
    {BYTES("[-1e400]"), "bad_number", ""},
    {BYTES("[-0]"), "bad_number", "column 2"},
    {BYTES("[9007199254740993]"), "bad_number", "2^53"},
    {BYTES("[-9007199254740993]"), "bad_number", "2^53"},
    {BYTES("[12345678901234567890]"), "bad_number", "2^53"},
    {BYTES("[NaN]"), "bad_number", ""},
    {BYTES("[-Infinity]"), "bad_number", ""},
    {BYTES("[Infinity]"), "bad_number", ""},
    {BYTES("[01]"), "bad_number", ""},
    {BYTES("[-01]"), "bad_number", ""},
    {BYTES("[.5]"), "bad_number", ""},
    {BYTES("[5.]"), "bad_number", ""},
    {BYTES("[+5]"), "bad_number", ""},
    {BYTES("[1e]"), "bad_number", ""},
    {BYTES("[1.5e+]"), "bad_number", ""},
    {BYTES("[0x10]"), "bad_json", ""},
    {BYTES("[1,]"), "bad_json", "line 1, column 4: a value is expected"},
    {BYTES("{\"a\":1,}"), "bad_json", "column 8: a key in double quotes"},
    {BYTES("{,}"), "bad_json", ""},
    {BYTES("[1 2]"), "bad_json", "a comma or ']'"},
    {BYTES("{\"a\" 1}"), "bad_json", "a ':' is expected"},
    {BYTES("{\"a\":1 \"b\":2}"), "bad_json", "a comma or '}'"},
    {BYTES("{a:1}"), "bad_json", ""},
    {BYTES("{'a':1}"), "bad_json", ""},
    {BYTES("// a comment\n{}"), "bad_json", ""},
    {BYTES("{}\n\n /* late */"), "bad_json", "line 3, column 2: nothing may follow"},
    {BYTES("{}{}"), "bad_json", "nothing may follow"},
    {BYTES("{} x"), "bad_json", "nothing may follow"},
    {BYTES("{\"\xc3\xa9\xc3\xa9\":x}"), "bad_json", "column 7"},
    {BYTES(""), "bad_json", "ends too early"},
    {BYTES("  "), "bad_json", "ends too early"},
    {BYTES("{"), "bad_json", "ends too early"},
    {BYTES("[1"), "bad_json", "ends too early"},
    {BYTES("\"abc"), "bad_json", "no end"},
    {BYTES("\"abc\\"), "bad_json", "ends too early"},
    {BYTES("\"\\x41\""), "bad_json", "no such escape"},
    {BYTES("\"\\u12g4\""), "bad_json", "four hexadecimal"},
    {BYTES("\"\\u12"), "bad_json", ""},
    {BYTES("\"a\nb\""), "bad_json", "control character"},
    {BYTES("tru"), "bad_json", ""},
    {BYTES("nul"), "bad_json", ""},
    {BYTES("TRUE"), "bad_json", ""},
    {BYTES("]"), "bad_json", ""},
};

START_TEST(a_bad_document_is_refused_with_code_and_place)
{
  parley_bytes body = {xmemdup(refused[_i].body.at, refused[_i].body.len), refused[_i].body.len};
  json_t *root = json_read(body, &problems);

  ck_assert_ptr_null(root);
  ck_assert_uint_eq(problems.count, 1);
  ck_assert_str_eq(problems.rows[0].code, refused[_i].code);
  ck_assert_msg(text_find_text(problems.rows[0].detail, parley_text_of(refused[_i].where)) != SIZE_MAX,
                "'%.*s' lacks '%s'", TEXT_ARG(problems.rows[0].detail), refused[_i].where);
  free((char *)body.at);
}
END_TEST

static const struct {
  const char *body, *want;
} taken[] = {
    {"{}", "{}"},
    {" \r\n\t[ ] ", "[]"},
    {"{\"a\":[true,false,null,\"\"]}", "{\"a\":[true,false,null,\"\"]}"},
    {"{\"z\":1,\"a\":2}", "{\"z\":1,\"a\":2}"},
    {"[0,-1,9007199254740992,-9007199254740992]", "[0,-1,9007199254740992,-9007199254740992]"},
    {"[0.5,-0.25,1e3,2E-2]", "[0.5,-0.25,1000.0,0.02]"},
    {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00e9\\u20ac\\ud83d\\ude00\"",
     "\"\\\"\\\\/\\b\\f\\n\\r\\tA\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\""},
    {"{\"\\u0061b\":\"x\\ny\",\"ac\":\"\\u0062\"}", "{\"ab\":\"x\\ny\",\"ac\":\"b\"}"},
    {"\"\xf0\x9f\x98\x80\xe2\x82\xac\xc3\xa9z\"", "\"\xf0\x9f\x98\x80\xe2\x82\xac\xc3\xa9z\""},
    {"{\"\":1}", "{\"\":1}"},
    {"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]", NULL}, /* 32 deep */
};

START_TEST(a_good_document_is_read_as_it_stands)
{
  const char *want = taken[_i].want != NULL ? taken[_i].want : taken[_i].body;
  json_t *root = json_read(parley_text_of(taken[_i].body), &problems);
  struct buf buf = BUF_INIT(0);

  ck_assert_msg(root != NULL, "%s", problems.count > 0 ? problems.rows[0].detail.at : "");
  buf_json_value(&buf, root);
  ck_assert_str_eq(buf.at, want);
  buf_done(&buf);
  json_decref(root);
}
END_TEST

static int64_t cpu_ms(void)
{
  struct timespec now;

  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* What a stranger may cost us with a body of a megabyte: the head, then `unit` (%d counts up) again and again, then the
 * tail. */
#if defined(__SANITIZE_ADDRESS__) || !defined(__OPTIMIZE__)
#define COST_MS_MAX 1000
#else
#define COST_MS_MAX 50
#endif
static const struct {
  const char *head, *unit, *tail, *code;
  int times;
} costly[] = {
    {"", "[", "", "too_deep", 1000000},
    {"", "{\"a\":", "", "too_deep", 200000},
    {"[", "[],", "[]]", "too_many_values", 3000000},
    {"[", "1", "]", "bad_number", 1000000},
    {"[0.", "1", "]", "bad_number", 1000000},
    {"{", "\"k%d\":1,", "\"z\":0}", "too_many_values", 100000},
    {"{\"a\":\"", "\\u0041", "", "bad_json", 1000000},
    {"", " ", "", "bad_json", 5000000},
    {"[\"", "\xf0\x9f\x98\x80", "\xff\"]", "bad_encoding", 1000000},
};

START_TEST(the_worst_body_is_refused_in_time)
{
  struct buf body = BUF_INIT(0);
  int64_t before_ms;

  buf_str(&body, costly[_i].head);
  for (int i = 0; i < costly[_i].times; i++)
    if (strchr(costly[_i].unit, '%') != NULL)
      buf_printf(&body, "\"k%d\":1,", i);
    else
      buf_str(&body, costly[_i].unit);
  buf_str(&body, costly[_i].tail);
  before_ms = cpu_ms();
  ck_assert_ptr_null(json_read(buf_as_text(&body), &problems));
  ck_assert_int_lt(cpu_ms() - before_ms, COST_MS_MAX);
  ck_assert_str_eq(problems.rows[0].code, costly[_i].code);
  buf_done(&body);
}
END_TEST

/* The reader skips plain bytes eight at a time. */
START_TEST(every_byte_is_seen_wherever_it_stands)
{
  for (size_t at = 0; at < 20; at++) {
    char body[] = "[\"abcdefghijklmnopqrst\"]";
    json_t *list, *text;

    body[2 + at] = (char)_i;
    list = json_read((parley_bytes){body, sizeof(body) - 1}, &problems);
    text = json_array_get(list, 0);
    if (_i >= 0x20 && _i < 0x80 && _i != '"' && _i != '\\')
      ck_assert(text != NULL && json_string_length(text) == 20 && memcmp(json_string_value(text), body + 2, 20) == 0);
    else if (_i != '\\') /* what follows may make an escape of it */
      ck_assert(list == NULL);
    json_decref(list);
  }
}
END_TEST

START_TEST(an_object_may_have_many_members_but_not_any_number)
{
  struct buf body = BUF_INIT(0);
  json_t *root;

  buf_char(&body, '{');
  for (int i = 0; i < JSON_MEMBERS_MAX; i++)
    buf_printf(&body, "%s\"k%d\":%d", i > 0 ? "," : "", i, i);
  buf_char(&body, '}');
  root = json_read(buf_as_text(&body), &problems);
  ck_assert_uint_eq(json_object_size(root), JSON_MEMBERS_MAX);
  json_decref(root);
  body.at[body.len - 1] = ',';
  buf_str(&body, "\"one more\":1}");
  ck_assert_ptr_null(json_read(buf_as_text(&body), &problems));
  ck_assert_str_eq(problems.rows[0].code, "too_many_values");
  buf_done(&body);
}
END_TEST

/* --- members -------------------------------------------------------------------------------------------------------
 */

static struct json_in in_of(const char *body)
{
  struct json_in in;
  json_t *root = json_read(parley_text_of(body), &problems);

  ck_assert(json_in_root(root, arena, &problems, &in));
  return in;
}

static void ck_problem(const char *pointer, const char *code)
{
  ck_assert_uint_eq(problems.count, 1);
  ck_text_eq(problems.rows[0].pointer, pointer);
  ck_assert_str_eq(problems.rows[0].code, code);
}

START_TEST(members_are_read_by_their_type)
{
  struct json_in in = in_of("{\"t\":\"caf\xc3\xa9\",\"b\":true,\"i\":-7,\"n\":1.5,\"at\":\"2026-11-21T22:01:09.482Z\","
                            "\"in\":\"10m\",\"o\":{\"x\":1},\"l\":[1,2]}");
  parley_text text = TEXT_EMPTY;
  bool flag = false;
  int64_t integer = 0, at_ms = 0, in_ms = 0;
  double number = 0;
  struct json_in object;
  json_t *list = NULL;

  ck_assert(json_in_text(&in, "t", 5, &text) && json_in_bool(&in, "b", &flag) &&
            json_in_int(&in, "i", -7, 7, &integer));
  ck_assert(json_in_number(&in, "n", 0, 2, &number) && json_in_time(&in, "at", &at_ms));
  ck_assert(json_in_span(&in, "in", 0, 600000, &in_ms));
  ck_assert(json_in_object(&in, "o", &object) && json_in_array(&in, "l", 2, &list));
  ck_text_eq(text, "caf\xc3\xa9");
  ck_assert(flag && integer == -7 && number == 1.5 && at_ms == INT64_C(1795298469482) && in_ms == 600000);
  ck_assert_ptr_nonnull(object.object);
  ck_text_eq(object.pointer, "/o");
  ck_assert_uint_eq(json_array_size(list), 2);
  ck_assert_uint_eq(problems.count, 0);
  json_decref(in.object);
}
END_TEST

START_TEST(what_is_absent_or_null_leaves_the_value_as_it_was)
{
  struct json_in in = in_of("{\"t\":null,\"o\":null}");
  parley_text text = parley_text_of("before");
  int64_t integer = 3;
  bool flag = true;
  struct json_in object;
  json_t *list = NULL;

  ck_assert(json_in_text(&in, "t", 5, &text) && json_in_int(&in, "none", 0, 1, &integer) &&
            json_in_bool(&in, "b", &flag));
  ck_assert(json_in_object(&in, "o", &object) && json_in_array(&in, "none", 2, &list));
  ck_text_eq(text, "before");
  ck_assert(integer == 3 && flag && list == NULL && object.object == NULL);
  json_decref(in.object);
}
END_TEST

enum member { TEXT, BOOL, INT, NUMBER, TIME, SPAN, OBJECT, ARRAY };
static const struct {
  enum member type;
  const char *body, *code;
} wrong[] = {
    {TEXT, "{\"m\":1}", "wrong_type"},        {TEXT, "{\"m\":\"123456\"}", "too_long"},
    {BOOL, "{\"m\":1}", "wrong_type"},        {BOOL, "{\"m\":\"true\"}", "wrong_type"},
    {INT, "{\"m\":1.0}", "wrong_type"},       {INT, "{\"m\":\"1\"}", "wrong_type"},
    {INT, "{\"m\":11}", "out_of_range"},      {INT, "{\"m\":-1}", "out_of_range"},
    {NUMBER, "{\"m\":\"1\"}", "wrong_type"},  {NUMBER, "{\"m\":10.5}", "out_of_range"},
    {TIME, "{\"m\":0}", "wrong_type"},        {TIME, "{\"m\":\"tomorrow\"}", "bad_time"},
    {SPAN, "{\"m\":10}", "wrong_type"},       {SPAN, "{\"m\":\"10\"}", "bad_span"},
    {SPAN, "{\"m\":\"2h\"}", "out_of_range"}, {OBJECT, "{\"m\":[]}", "wrong_type"},
    {ARRAY, "{\"m\":{}}", "wrong_type"},      {ARRAY, "{\"m\":[1,2,3]}", "too_many_items"},
};

static bool member_read(const struct json_in *in, enum member type)
{
  parley_text text = TEXT_EMPTY;
  bool flag = false;
  int64_t integer = 0;
  double number = 0;
  struct json_in object;
  json_t *list = NULL;

  switch (type) {
  case TEXT:
    return json_in_text(in, "m", 5, &text);
  case BOOL:
    return json_in_bool(in, "m", &flag);
  case INT:
    return json_in_int(in, "m", 0, 10, &integer);
  case NUMBER:
    return json_in_number(in, "m", 0, 10, &number);
  case TIME:
    return json_in_time(in, "m", &integer);
  case SPAN:
    return json_in_span(in, "m", 1000, 3600000, &integer);
  case OBJECT:
    return json_in_object(in, "m", &object);
  case ARRAY:
    return json_in_array(in, "m", 2, &list);
  }
  return false;
}

START_TEST(a_wrong_member_is_a_problem_at_its_place)
{
  struct json_in in = in_of(wrong[_i].body);

  ck_assert(!member_read(&in, wrong[_i].type));
  ck_problem("/m", wrong[_i].code);
  json_decref(in.object);
}
END_TEST

START_TEST(an_unknown_member_is_named_with_the_nearest_known_one)
{
  static const char *const names[] = {"recipient", "topic", NULL};
  struct json_in in = in_of("{\"topic\":1,\"reciepient\":2}");

  ck_assert(!json_in_only(&in, names));
  ck_problem("/reciepient", "unknown_field");
  ck_text_eq(problems.rows[0].hint, "did you mean 'recipient'?");
  json_decref(in.object);
}
END_TEST

START_TEST(an_unknown_member_that_is_near_to_none_is_shown_them_all)
{
  static const char *const names[] = {"recipient", "topic", NULL}, *const none[] = {NULL};
  struct json_in in = in_of("{\"messages\":[]}");

  ck_assert(!json_in_only(&in, names));
  ck_problem("/messages", "unknown_field");
  ck_text_eq(problems.rows[0].hint, "known here: recipient, topic");
  ck_assert(!json_in_only(&in, none));
  ck_text_eq(problems.rows[1].hint, "");
  json_decref(in.object);
}
END_TEST

START_TEST(a_document_that_is_no_object_is_refused)
{
  json_t *root = json_read(parley_text_of("[]"), &problems);
  struct json_in in;

  ck_assert(!json_in_root(root, arena, &problems, &in));
  ck_problem("", "wrong_type");
  json_decref(root);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("message: json");
  TCase *tcase = tcase_create("all");
  SRunner *runner;
  int failed;

  tcase_set_timeout(tcase, 30);
  tcase_add_checked_fixture(tcase, set_up, tear_down);
  tcase_add_loop_test(tcase, a_bad_document_is_refused_with_code_and_place, 0, COUNT_OF(refused));
  tcase_add_loop_test(tcase, a_good_document_is_read_as_it_stands, 0, COUNT_OF(taken));
  tcase_add_loop_test(tcase, the_worst_body_is_refused_in_time, 0, COUNT_OF(costly));
  tcase_add_loop_test(tcase, every_byte_is_seen_wherever_it_stands, 0, 256);
  tcase_add_test(tcase, an_object_may_have_many_members_but_not_any_number);
  tcase_add_test(tcase, members_are_read_by_their_type);
  tcase_add_test(tcase, what_is_absent_or_null_leaves_the_value_as_it_was);
  tcase_add_loop_test(tcase, a_wrong_member_is_a_problem_at_its_place, 0, COUNT_OF(wrong));
  tcase_add_test(tcase, an_unknown_member_is_named_with_the_nearest_known_one);
  tcase_add_test(tcase, an_unknown_member_that_is_near_to_none_is_shown_them_all);
  tcase_add_test(tcase, a_document_that_is_no_object_is_refused);
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed > 0;
}
