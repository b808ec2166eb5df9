#include "api_fixture.h"

static struct api_fixture f;

static void setup(void)
{
  api_fixture_init(&f);
}

static void teardown(void)
{
  api_fixture_done(&f);
}

/* The route's path with something in place of its parameters. */
static void path_of(const struct route *route, char *to, size_t room)
{
  struct buf path = BUF_INIT(room - 1);
  parley_text rest = parley_text_of(route->path);

  while (rest.len > 0) {
    size_t open = text_find(rest, '{');

    buf_text(&path, text_sub(rest, 0, open));
    if (open == rest.len)
      break;
    text_cut(&rest, '{');
    text_cut(&rest, '}');
    buf_str(&path, "x");
  }
  snprintf(to, room, "%s", path.at);
  buf_done(&path);
}

static const char *method_of(const struct route *route)
{
  static const char *const names[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"};

  return names[route->method];
}

static bool is_keyed(const struct route *route)
{
  return (route->flags & ROUTE_OPEN) == 0;
}

START_TEST(every_route_with_a_scope_refuses_no_key_and_a_wrong_key)
{
  for (const struct route *route = api_routes; route->path != NULL; route++) {
    char path[256], first[4096];

    if (!is_keyed(route) || (route->flags & ROUTE_KEY_ELSEWHERE) != 0)
      continue;
    path_of(route, path, sizeof path);
    ask_raw(&f, method_of(route), path, NULL, "", NULL, 0);
    ck_assert_problem(&f, 401, "unauthorized");
    ck_assert_ptr_nonnull(strstr(f.answer, "WWW-Authenticate: Bearer"));
    snprintf(first, sizeof first, "%s", said_text(&f, "detail"));
    ask_raw(&f, method_of(route), path, "wrong", "", NULL, 0);
    ck_assert_msg(f.code == 401 || f.code == 429, "%s %s: %d", method_of(route), path, f.code);
    if (f.code == 401)
      ck_assert_str_eq(said_text(&f, "detail"), first);
    env_fake_step(&f.fake, 61000); /* wrong keys are counted by the minute */
  }
}
END_TEST

START_TEST(every_route_with_another_scope_than_the_key_has_is_403)
{
  for (const struct route *route = api_routes; route->path != NULL; route++) {
    char path[256];

    if (!is_keyed(route) || route->scope == SCOPE_MESSAGES_READ)
      continue;
    path_of(route, path, sizeof path);
    ask_raw(&f, method_of(route), path, READER, "", NULL, 0);
    ck_assert_problem(&f, 403, "scope_missing");
    ck_assert_ptr_nonnull(strstr(said_text(&f, "detail"), scope_name(route->scope)));
  }
}
END_TEST

START_TEST(every_route_lets_the_admin_key_in_and_has_a_handler)
{
  for (const struct route *route = api_routes; route->path != NULL; route++) {
    char path[256];

    ck_assert_ptr_nonnull(route->handle);
    if (!is_keyed(route))
      continue;
    path_of(route, path, sizeof path);
    ask(&f, method_of(route), path, (route->flags & ROUTE_NO_BODY) != 0 ? NULL : "{}");
    ck_assert_msg(f.code != 401 && f.code != 403 && f.code != 405 && f.code < 500, "%s %s: %s", method_of(route), path,
                  f.answer);
    ck_assert_msg(f.code != 404 || strcmp(said_text(&f, "code"), "no_such_route") != 0, "%s %s: %s", method_of(route),
                  path, f.answer);
  }
}
END_TEST

START_TEST(wrong_ways_to_show_a_key_are_refused)
{
  ask_raw(&f, "GET", "/v1/topics", NULL, "Authorization: Bearer \r\n", NULL, 0);
  ck_assert_problem(&f, 401, "unauthorized");
  ask_raw(&f, "GET", "/v1/topics", NULL, "Authorization: Basic YTpi\r\n", NULL, 0);
  ck_assert_problem(&f, 401, "unauthorized");
  ask_raw(&f, "GET", "/v1/topics", ADMIN, "Authorization: Bearer " ADMIN "\r\n", NULL, 0);
  ck_assert_problem(&f, 400, "two_authorizations");
  ask_raw(&f, "GET", "/v1/topics?key=" ADMIN, NULL, "", NULL, 0);
  ck_assert_problem(&f, 401, "unauthorized");
}
END_TEST

START_TEST(an_address_with_a_hundred_wrong_keys_has_to_wait_a_minute)
{
  for (int i = 0; i < 100; i++) {
    ask_raw(&f, "GET", "/v1/topics", "wrong", "", NULL, 0);
    ck_assert_code(&f, 401);
  }
  ask_raw(&f, "GET", "/v1/topics", "wrong", "", NULL, 0);
  ck_assert_problem(&f, 429, "too_many_wrong_keys");
  ck_assert_ptr_nonnull(strstr(f.answer, "Retry-After:"));
  ck_assert_int_eq(ask(&f, "GET", "/v1/topics", NULL), 200);
}
END_TEST

START_TEST(what_has_no_route_is_404_and_what_has_another_method_405_with_allow)
{
  ask(&f, "GET", "/v1/nothing", NULL);
  ck_assert_problem(&f, 404, "no_such_route");
  ask(&f, "GET", "/v1/messages/", NULL);
  ck_assert_code(&f, 404);
  ask(&f, "DELETE", "/v1/messages", NULL);
  ck_assert_problem(&f, 405, "method_not_allowed");
  ck_assert_ptr_nonnull(strstr(f.answer, "Allow: POST, GET\r\n"));
}
END_TEST

START_TEST(head_answers_like_get_without_the_body)
{
  ask(&f, "HEAD", "/v1/topics", NULL);
  ck_assert_code(&f, 200);
  ck_assert_str_eq(f.body, "");
  ck_assert_ptr_nonnull(strstr(f.answer, "Content-Type: application/json"));
}
END_TEST

START_TEST(unknown_query_parameters_are_named_with_a_suggestion)
{
  ask(&f, "GET", "/v1/messages?statsu=sent", NULL);
  ck_assert_problem(&f, 422, "unknown_parameter");
  ck_assert_str_eq(said_text(&f, "hint"), "did you mean 'status'?");
}
END_TEST

static const struct {
  const char *method, *path, *headers, *body;
  int code;
  const char *problem;
} bodies[] = {
    {"POST", "/v1/messages", "", "{\"to\":{},\"to\":{}}", 400, "duplicate_key"},
    {"POST", "/v1/messages", "", "{\"to\":\"\xff\"}", 400, "bad_encoding"},
    {"POST", "/v1/messages", "", "{\"a\":1e400}", 400, "bad_number"},
    {"POST", "/v1/messages", "", "{} {}", 400, "bad_json"},
    {"POST", "/v1/messages", "", "[]", 400, "bad_json"},
    {"POST", "/v1/messages", "", "", 400, "bad_json"},
    {"POST", "/v1/messages", "Content-Type: text/plain\r\n", "{}", 415, "not_json"},
    {"POST", "/v1/messages", "Content-Encoding: gzip\r\n", "{}", 415, "encoding_not_offered"},
    {"POST", "/v1/messages", "", "{\"reciepient\":{}}", 422, "unknown_field"},
    {"POST", "/v1/keys", "", "{\"name\":\"a\",\"scopes\":[\"mesages:send\"]}", 422, "unknown_scope"},
    {"POST", "/v1/subscriptions", "", "{\"url\":\"http://10.0.0.1/\"}", 422, "address_not_allowed"},
    {"POST", "/v1/subscriptions", "", "{\"url\":\"http://0x0a000001/\"}", 422, "address_not_allowed"},
    {"POST", "/v1/subscriptions", "", "{\"url\":\"https://example.org:22/\"}", 422, "port_not_allowed"},
    {"POST", "/v1/subscriptions", "", "{\"url\":\"file:///etc/passwd\"}", 422, "scheme_not_allowed"},
    {"POST", "/v1/subscriptions", "", "{\"url\":\"https://a:b@example.org/\"}", 422, "userinfo_not_allowed"},
    {"POST", "/v1/subscriptions", "", "{}", 422, "missing"},
    {"POST", "/v1/events", "", "{\"type\":\"checkout\"}", 422, "missing_recipient"},
    {"POST", "/v1/events", "", "{\"to\":{\"email\":\"a@b.example\"},\"type\":\"Check Out\"}", 422, "bad_value"},
    {"GET", "/v1/messages?limit=0", "", NULL, 422, "bad_query"},
    {"GET", "/v1/messages?cursor=AAAA", "", NULL, 400, "bad_cursor"},
    {"GET", "/v1/messages?to=email:nobody", "", NULL, 422, "bad_email"},
    {"GET", "/v1/events?after=evt_1", "", NULL, 400, "bad_cursor"},
    {"GET", "/v1/customers", "", NULL, 422, "missing"},
    {"GET", "/v1/customers/cus_1", "", NULL, 404, "customer_not_found"},
    {"GET", "/v1/messages/msg_1", "", NULL, 404, "not_found"},
    {"GET", "/v1/messages/%00", "", NULL, 400, "bad_path"},
    {"GET", "/v1/messages/%zz", "", NULL, 400, "bad_path"},
    {"POST", "/v1/store/backup", "", "{\"path\":\"relative.db\"}", 422, "bad_path"},
    {"PUT", "/v1/customers/external:a/consents/nothing/email", "", "{\"granted\":true}", 422, "unknown_topic"},
    {"PUT", "/v1/customers/external:a/consents/orders/carrier-pigeon", "", "{\"granted\":true}", 422, "unknown_kind"},
    {"POST", "/v1/media", "", "", 422, "bad_type"},
    {"POST", "/v1/messages", "", "{\"a\":-0}", 400, "bad_number"},
    {"POST", "/v1/messages", "", "{\"a\":12345678901234567890}", 400, "bad_number"},
    {"POST", "/v1/messages", "", "{\"a\":\"\\ud800\"}", 400, "bad_encoding"},
    {"POST", "/v1/messages", "", "\xef\xbb\xbf{}", 400, "bad_encoding"},
    {"POST", "/v1/messages", "", "{'a':1}", 400, "bad_json"},
    {"POST", "/v1/messages", "", "{\"a\":1,}", 400, "bad_json"},
    {"POST", "/v1/messages", "", "{\"to\":{},\"topic\":\"orders\",\"content\":{\"text\":\"x\"}}", 422,
     "missing_recipient"},
    {"POST", "/v1/messages", "",
     "{\"to\":{\"email\":\"a@b.example\"},\"topic\":\"odrers\",\"content\":{\"text\":\"x\"}}", 422, "unknown_topic"},
    {"POST", "/v1/messages", "",
     "{\"to\":{\"email\":\"a@b.example\"},\"topic\":\"orders\",\"content\":{\"text\":\"x\"},\"channels\":[\"mail\"],"
     "\"plan\":\"default\"}",
     422, "plan_and_channels"},
    {"POST", "/v1/messages/batch", "", "{\"items\":[]}", 422, "empty"},
    {"POST", "/v1/messages/msg_0000000000001/resolve", "", "{\"as\":\"lost\"}", 422, "bad_value"},
    {"POST", "/v1/messages/msg_0000000000001/cancel", "", NULL, 404, "not_found"},
    {"POST", "/v1/messages/key:nobody/cancel", "", NULL, 404, "not_found"},
    {"POST", "/v1/subscriptions", "", "{\"url\":\"http://[::1]/\"}", 422, "address_not_allowed"},
    {"POST", "/v1/subscriptions", "", "{\"url\":\"http://[::ffff:10.0.0.1]/\"}", 422, "address_not_allowed"},
    {"POST", "/v1/subscriptions", "", "{\"url\":\"http://169.254.169.254/latest\"}", 422, "address_not_allowed"},
    {"POST", "/v1/subscriptions", "", "{\"url\":\"http://2852039166/\"}", 422, "address_not_allowed"},
    {"POST", "/v1/subscriptions", "", "{\"url\":\"http://[64:ff9b::a00:1]/\"}", 422, "address_not_allowed"},
    {"POST", "/v1/subscriptions", "", "{\"url\":\"gopher://example.org/\"}", 422, "scheme_not_allowed"},
    {"POST", "/v1/subscriptions", "", "{\"url\":\"smtp://example.org/\"}", 422, "scheme_not_allowed"},
    {"POST", "/v1/subscriptions", "", "{\"url\":\"https://example.org:0/\"}", 422, "port_invalid"},
    {"POST", "/v1/subscriptions", "", "{\"url\":\"https://example.org:65536/\"}", 422, "port_invalid"},
    {"POST", "/v1/subscriptions", "", "{\"url\":\"https://example.org/\",\"secret\":\"short\"}", 422, "bad_secret"},
    {"POST", "/v1/subscriptions", "", "{\"url\":\"https://example.org/\",\"types\":[\"massage.sent\"]}", 422,
     "unknown_type"},
    {"POST", "/v1/suppressions", "", "{\"identity\":\"ana@example.org\"}", 422, "bad_identity"},
};

START_TEST(bad_input_has_its_code)
{
  const char *body = bodies[_i].body;

  ask_raw(&f, bodies[_i].method, bodies[_i].path, ADMIN, bodies[_i].headers, body, body != NULL ? strlen(body) : 0);
  ck_assert_problem(&f, bodies[_i].code, bodies[_i].problem);
  ck_assert_ptr_nonnull(strstr(f.answer, "Content-Type: application/problem+json"));
  ck_assert_int_eq((int)said_int(&f, "status"), bodies[_i].code);
}
END_TEST

/* --- OpenAPI against the route table, both ways ------------------------------------------------------------------- */

static void openapi_path(const struct route *route, char *to, size_t room)
{
  const char *dots = strstr(route->path, "...}");

  if (dots != NULL)
    snprintf(to, room, "%.*s}", (int)(dots - route->path), route->path);
  else
    snprintf(to, room, "%s", route->path);
}

static const char *lower_method(const struct route *route)
{
  static const char *const names[] = {"get", "head", "post", "put", "patch", "delete", "options"};

  return names[route->method];
}

START_TEST(openapi_describes_every_route)
{
  ask_raw(&f, "GET", "/openapi.json", NULL, "", NULL, 0);
  ck_assert_code(&f, 200);
  ck_assert_str_eq(said_text(&f, "openapi"), "3.1.0");
  for (const struct route *route = api_routes; route->path != NULL; route++) {
    char path[256], code[8];
    const json_t *operation;

    openapi_path(route, path, sizeof path);
    operation = json_object_get(json_object_get(json_object_get(f.json, "paths"), path), lower_method(route));
    ck_assert_msg(operation != NULL, "%s %s", lower_method(route), path);
    ck_assert_str_eq(json_string_value(json_object_get(operation, "operationId")), route->operation);
    snprintf(code, sizeof code, "%u", route->code);
    ck_assert_ptr_nonnull(json_object_get(json_object_get(operation, "responses"), code));
    for (size_t i = 0; route->query != NULL && route->query[i] != NULL && route->query[i][0] != '*'; i++) {
      json_t *parameter;
      size_t at;
      bool found = false;

      json_array_foreach(json_object_get(operation, "parameters"), at,
                         parameter) if (json_is_string(json_object_get(parameter, "name")) &&
                                        strcmp(json_string_value(json_object_get(parameter, "name")),
                                               route->query[i]) == 0) found = true;
      ck_assert_msg(found, "%s: %s", path, route->query[i]);
    }
  }
}
END_TEST

START_TEST(openapi_describes_nothing_but_routes_and_its_names_are_unique)
{
  const char *path, *method;
  json_t *methods, *operation, *seen = json_object();
  size_t n_described = 0, n_routes = 0;

  ask_raw(&f, "GET", "/openapi.json", NULL, "", NULL, 0);
  json_object_foreach(json_object_get(f.json, "paths"), path, methods) json_object_foreach(methods, method, operation)
  {
    const char *id = json_string_value(json_object_get(operation, "operationId"));

    ck_assert_msg(json_object_get(seen, id) == NULL, "%s twice", id);
    json_object_set_new(seen, id, json_true());
    n_described++;
  }
  while (api_routes[n_routes].path != NULL)
    n_routes++;
  ck_assert_uint_eq(n_described, n_routes);
  json_decref(seen);
}
END_TEST

/* Every "$ref" leads somewhere. */
static void refs_check(const json_t *root, const json_t *at)
{
  const char *name;
  json_t *value;
  size_t i;

  json_array_foreach((json_t *)(uintptr_t)at, i, value) refs_check(root, value);
  json_object_foreach((json_t *)(uintptr_t)at, name, value)
  {
    if (strcmp(name, "$ref") == 0) {
      char copy[256], *rest = copy, *part;
      const json_t *to = root;

      snprintf(copy, sizeof copy, "%s", json_string_value(value) + 2);
      while ((part = strsep(&rest, "/")) != NULL)
        to = json_object_get(to, part);
      ck_assert_msg(to != NULL, "%s", json_string_value(value));
    }
    refs_check(root, value);
  }
}

START_TEST(openapi_refers_only_to_what_it_has)
{
  ask_raw(&f, "GET", "/openapi.json", NULL, "", NULL, 0);
  ck_assert_ptr_nonnull(f.json);
  refs_check(f.json, f.json);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("api_routes");
  TCase *cases = tcase_create("routes");

  tcase_set_timeout(cases, 60);
  tcase_add_checked_fixture(cases, setup, teardown);
  tcase_add_test(cases, every_route_with_a_scope_refuses_no_key_and_a_wrong_key);
  tcase_add_test(cases, every_route_with_another_scope_than_the_key_has_is_403);
  tcase_add_test(cases, every_route_lets_the_admin_key_in_and_has_a_handler);
  tcase_add_test(cases, wrong_ways_to_show_a_key_are_refused);
  tcase_add_test(cases, an_address_with_a_hundred_wrong_keys_has_to_wait_a_minute);
  tcase_add_test(cases, what_has_no_route_is_404_and_what_has_another_method_405_with_allow);
  tcase_add_test(cases, head_answers_like_get_without_the_body);
  tcase_add_test(cases, unknown_query_parameters_are_named_with_a_suggestion);
  tcase_add_loop_test(cases, bad_input_has_its_code, 0, (int)COUNT_OF(bodies));
  tcase_add_test(cases, openapi_describes_every_route);
  tcase_add_test(cases, openapi_describes_nothing_but_routes_and_its_names_are_unique);
  tcase_add_test(cases, openapi_refers_only_to_what_it_has);
  suite_add_tcase(suite, cases);
  return peer_main(suite);
}
