#include "core/base/alloc.h"
#include "core/base/text.h"
#include "core/customer/resolve.h"
#include "core/message/json.h"
#include <check.h>
#include <string.h>

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

static bool to_read(const char *body, struct recipient *ret)
{
  json_t *root = json_read(parley_text_of(body), &problems);
  struct json_in whole, to;
  bool good;

  ck_assert(json_in_root(root, arena, &problems, &whole) && json_in_object(&whole, "to", &to));
  good = recipient_read(&to, NULL, ret);
  json_decref(root); /* what was read lives in the arena */
  return good;
}

START_TEST(a_recipient_is_read_with_all_its_names)
{
  struct recipient to;

  ck_assert(
      to_read("{\"to\":{\"customer\":\"cus_01KAM2Z8Q3XWA\",\"external\":\" shop-77\",\"email\":\"ana@EXAMPLE.org\","
              "\"phone\":\"+34 600 111 222\",\"telegram\":null,\"viber\":\"x1\"}}",
              &to));
  ck_assert_uint_ne(to.customer, 0);
  ck_text_eq(to.external, "shop-77");
  ck_assert_uint_eq(to.n_identities, 3);
  ck_text_eq(to.identities[0].value, "ana@example.org");
  ck_text_eq(to.identities[0].raw, "ana@EXAMPLE.org");
  ck_text_eq(to.identities[1].value, "+34600111222");
  ck_text_eq(to.identities[2].kind, "viber");
}
END_TEST

static const struct {
  const char *to, *pointer, *code, *hint;
} bad[] = {
    {"{}", "/to", "missing_recipient", "give customer"},
    {"{\"email\":null}", "/to", "missing_recipient", "give customer"},
    {"{\"emial\":\"a@b.c\"}", "/to/emial", "unknown_field", "did you mean 'email'?"},
    {"{\"custmer\":\"x\"}", "/to/custmer", "unknown_field", "'customer'"},
    {"{\"e-mail\":\"a@b.c\"}", "/to/e-mail", "unknown_field", "'email'"},
    {"{\"sms\":\"+34600111222\"}", "/to/sms", "unknown_field", "'phone'"},
    {"{\"Phone\":\"+34600111222\"}", "/to/Phone", "unknown_field", "'phone'"},
    {"{\"9x\":\"y\"}", "/to/9x", "unknown_field", ""},
    {"{\"\":\"y\"}", "/to/", "unknown_field", ""},
    {"{\"email\":7}", "/to/email", "wrong_type", ""},
    {"{\"email\":\"ana\"}", "/to/email", "bad_email", ""},
    {"{\"external\":\" \"}", "/to/external", "bad_identity", ""},
    {"{\"customer\":\"msg_01KAM2Z8Q3XWA\"}", "/to/customer", "bad_id", ""},
    {"{\"a0\":\"1\",\"b0\":\"1\",\"c0\":\"1\",\"d0\":\"1\",\"e0\":\"1\",\"f0\":\"1\",\"g0\":\"1\",\"h0\":\"1\",\"i0\":"
     "\"1\"}",
     "/to", "too_many_items", ""},
};

START_TEST(a_bad_recipient_is_refused_at_its_place)
{
  struct recipient to;
  char body[256];

  snprintf(body, sizeof(body), "{\"to\":%s}", bad[_i].to);
  ck_assert(!to_read(body, &to));
  ck_assert_uint_eq(problems.count, 1);
  ck_text_eq(problems.rows[0].pointer, bad[_i].pointer);
  ck_assert_str_eq(problems.rows[0].code, bad[_i].code);
  ck_assert_msg(text_find_text(problems.rows[0].hint, parley_text_of(bad[_i].hint)) != SIZE_MAX, "'%.*s'",
                TEXT_ARG(problems.rows[0].hint));
}
END_TEST

static const char *const plugin_kinds[] = {
    "line", "viber", "signal", "messenger", "instagram", "matrix",    "slack",  "discord", "sip", "rcs",
    "xmpp", "teams", "device", "fcm",       "apns",      "wechat_id", "wechat", "kakao",   "zalo"};

START_TEST(a_kind_that_a_plugin_may_bring_is_taken)
{
  struct recipient to;
  char body[128];

  snprintf(body, sizeof(body), "{\"to\":{\"%s\":\"1\"}}", plugin_kinds[_i]);
  ck_assert(to_read(body, &to));
}
END_TEST

/* --- whose is it -----------------------------------------------------------------------------------------------------
 */

enum { A = 11, B = 12 };                      /* customers */
enum { C = 1, NO_C = 2, X = 4, INBOUND = 8 }; /* given: a customer, one that does not exist, an external; it came in */
static const struct {
  const char *what;
  uint32_t given;
  id64 external_owner, owners[2]; /* of the external and of two identities */
  bool has_external[2];           /* do those two owners have another one */
  enum resolve_verdict verdict;
  id64 customer;
  const char *marks; /* of the external, then of each identity: l link, f foreign, - as it is */
} cases[] = {
    {"a known customer", C, 0, {A, 0}, {0, 0}, RESOLVE_FOUND, A, "--l"},
    {"a customer that does not exist", NO_C | X, B, {B, B}, {0, 0}, RESOLVE_NO_CUSTOMER, 0, "---"},
    {"the customer given beats other owners", C | X, B, {B, A}, {0, 0}, RESOLVE_FOUND, A, "ff-"},
    {"a new external of a known customer", C | X, 0, {A, A}, {1, 1}, RESOLVE_FOUND, A, "l--"},
    {"a known external beats an address", X, A, {B, 0}, {0, 0}, RESOLVE_FOUND, A, "-fl"},
    {"a new external goes to the address's owner", X, 0, {A, 0}, {0, 0}, RESOLVE_FOUND, A, "l-l"},
    {"unless that one has an external", X, 0, {A, 0}, {1, 0}, RESOLVE_CREATE, 0, "lfl"},
    {"or there are two owners", X, 0, {A, B}, {0, 0}, RESOLVE_CREATE, 0, "lff"},
    {"a new external and new addresses", X, 0, {0, 0}, {0, 0}, RESOLVE_CREATE, 0, "lll"},
    {"nobody owns anything", 0, 0, {0, 0}, {0, 0}, RESOLVE_CREATE, 0, "-ll"},
    {"one address is owned", 0, 0, {0, B}, {0, 0}, RESOLVE_FOUND, B, "-l-"},
    {"both are one customer's", 0, 0, {B, B}, {1, 1}, RESOLVE_FOUND, B, "---"},
    {"two owners and nothing to tell", 0, 0, {A, B}, {0, 0}, RESOLVE_CONFLICT, 0, "---"},
    {"inbound, the first one's owner", INBOUND, 0, {B, A}, {0, 0}, RESOLVE_FOUND, B, "--f"},
    {"inbound, the first is nobody's", INBOUND, 0, {0, A}, {0, 0}, RESOLVE_FOUND, A, "-l-"},
    {"inbound, new external, two owners", INBOUND | X, 0, {B, A}, {0, 0}, RESOLVE_FOUND, B, "l-f"},
};

static char mark_of(bool link, bool foreign)
{
  ck_assert(!link || !foreign);
  return link ? 'l' : foreign ? 'f' : '-';
}

START_TEST(the_customer_is_found_by_the_rules)
{
  struct recipient asked = {.customer = cases[_i].given & (C | NO_C) ? A : 0, .n_identities = 2};
  struct ownership found = {.customer_exists = cases[_i].given & C, .external_owner = cases[_i].external_owner};
  struct resolution got;
  char marks[4] = "";

  if (cases[_i].given & X)
    asked.external = PARLEY_LIT("shop-77");
  memcpy(found.owners, cases[_i].owners, sizeof(cases[_i].owners));
  memcpy(found.owner_has_external, cases[_i].has_external, sizeof(cases[_i].has_external));
  got = resolve_recipient(&asked, &found, cases[_i].given & INBOUND);
  marks[0] = mark_of(got.link_external, got.foreign_external);
  marks[1] = mark_of(got.link[0], got.foreign[0]);
  marks[2] = mark_of(got.link[1], got.foreign[1]);
  ck_assert_msg(got.verdict == cases[_i].verdict, "%s: verdict %d", cases[_i].what, (int)got.verdict);
  ck_assert_msg(got.customer == cases[_i].customer, "%s: customer %d", cases[_i].what, (int)got.customer);
  ck_assert_msg(strcmp(marks, cases[_i].marks) == 0, "%s: %s", cases[_i].what, marks);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("customer: recipients and whose they are");
  TCase *tcase = tcase_create("all");
  SRunner *runner;
  int failed;

  tcase_add_checked_fixture(tcase, set_up, tear_down);
  tcase_add_test(tcase, a_recipient_is_read_with_all_its_names);
  tcase_add_loop_test(tcase, a_bad_recipient_is_refused_at_its_place, 0, COUNT_OF(bad));
  tcase_add_loop_test(tcase, a_kind_that_a_plugin_may_bring_is_taken, 0, COUNT_OF(plugin_kinds));
  tcase_add_loop_test(tcase, the_customer_is_found_by_the_rules, 0, COUNT_OF(cases));
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed > 0;
}
