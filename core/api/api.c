#include "core/base/alloc.h"
#include "core/base/text.h"
#include "core/net/url.h"
#include "inside.h"
#include <stdlib.h>
#include <string.h>

#define API_REQUEST_BYTES 1024 /* what most requests need beside their own struct */

/* --- Routes ------------------------------------------------------------------------------------------------------- */

static bool segment_match(parley_text pattern, parley_text given, parley_text *param)
{
  size_t open = text_find(pattern, '{');

  if (open == pattern.len)
    return text_eq(pattern, given);
  if (given.len <= open || memcmp(pattern.at, given.at, open) != 0) /* "key:{key}" */
    return false;
  *param = text_sub(given, open, SIZE_MAX);
  return true;
}

/* Raw segments of path against those of the pattern; "{rest...}" takes what is left, also nothing. */
static bool route_match(const char *pattern, parley_text path, parley_text params[API_PARAMS_MAX])
{
  parley_text want = parley_text_of(pattern), have = path;
  size_t n = 0;

  text_cut(&want, '/');
  text_cut(&have, '/');
  while (want.len > 0) {
    parley_text segment = text_cut(&want, '/');
    parley_text param = {NULL, 0};

    if (text_ends(segment, "...}"))
      return true;
    if (have.len == 0 || !segment_match(segment, text_cut(&have, '/'), &param))
      return false;
    if (param.at != NULL && n < API_PARAMS_MAX)
      params[n++] = param;
  }
  return have.len == 0 && !text_ends(path, "/");
}

/* The row for method and path; *ret_allow lists the methods that the path has. */
static const struct route *route_find(enum http_method method, parley_text path, parley_text params[API_PARAMS_MAX],
                                      struct buf *allow)
{
  static const char *const names[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"};
  enum http_method wanted = method == HTTP_M_HEAD ? HTTP_M_GET : method;

  for (const struct route *route = api_routes; route->path != NULL; route++) {
    if (!route_match(route->path, path, params))
      continue;
    if (route->method == wanted)
      return route;
    buf_printf(allow, "%s%s", allow->len > 0 ? ", " : "", names[route->method]);
  }
  return NULL;
}

/* --- A request's life --------------------------------------------------------------------------------------------- */

static void api_on_closed(uv_handle_t *handle) /* the only place that frees an api */
{
  struct api *api = handle->data;
  void (*closed)(void *) = api->closed;
  void *arg = api->closed_arg;

  if (--api->handles > 0)
    return;
  auth_free(&api->auth);
  digester_free(&api->digester);
  conf_unref(&api->conf);
  policy_unref(&api->policy);
  map_done(&api->running);
  rate_done(&api->signups);
  rate_done(&api->signup_targets);
  rate_done(&api->visits);
  api_subscriptions_free(api);
  template_set_done(&api->templates);
  json_decref(api->templates_read);
  for (size_t i = 0; i < api->n_paused; i++)
    free(api->paused[i]);
  free(api->paused);
  free(api);
  closed(arg);
}

void api_maybe_closed(struct api *api)
{
  if (!api->closing || api->open > 0 || uv_is_closing((uv_handle_t *)&api->sweep))
    return;
  uv_close((uv_handle_t *)&api->sweep, api_on_closed);
  uv_close((uv_handle_t *)&api->watch.prepare, api_on_closed);
}

static struct api_request *api_request_new(struct api *api, struct http_request *http)
{
  struct arena *arena = arena_new_for(sizeof(struct api_request) + API_REQUEST_BYTES);
  struct api_request *req = arena_alloc(arena, sizeof *req);

  req->api = api;
  req->shared = &api->shared;
  req->http = http;
  req->arena = arena;
  problems_init(&req->problems, arena);
  req->now_ms = api->shared.env->now_ms(api->shared.env);
  req->request_id = id_next(&api->ids);
  req->conf = conf_ref(api->conf);
  req->policy = policy_ref(api->policy);
  api->open++;
  api->requests++;
  return req;
}

void api_request_free(struct api_request *req)
{
  struct arena *arena = req->arena;
  struct api *api = req->api;

  if (req->idem_flight != 0)
    map_take(&api->running, req->idem_flight);
  json_decref(req->json);
  conf_unref(&req->conf);
  policy_unref(&req->policy);
  arena_free(&arena);
  api->open--;
  api_maybe_closed(api);
}

void api_refuse_key(struct api_request *req)
{
  req->api->refused++;
  if (auth_wrong(req->api->auth, http_peer(req->http)))
    api_problem(req, 429, "too_many_wrong_keys", "wait a minute",
                "too many requests with a wrong key from this address");
  else
    api_problem(req, 401, "unauthorized", "send Authorization: Bearer <key>", "a valid API key is needed");
}

/* true: the key (or none, on an open route) may do this. Else it is answered. */
static bool api_authorize(struct api_request *req)
{
  const struct auth_key *key;

  if ((req->route->flags & ROUTE_OPEN) != 0)
    return true;
  if (http_header_count(req->http, "authorization") > 1) {
    api_problem(req, 400, "two_authorizations", "", "one Authorization header, please");
    return false;
  }
  if ((req->route->flags & ROUTE_KEY_ELSEWHERE) != 0 && http_header_count(req->http, "authorization") == 0)
    return true; /* the handler looks for a ticket or a loopback peer; key.scopes is 0 */
  key = auth_check(req->api->auth, http_header(req->http, "authorization"));
  if (key == NULL && !req->api->started) {
    api_problem(req, 503, "starting", "try again", "the keys made by API are still being read");
    return false;
  }
  if (key == NULL) {
    api_refuse_key(req);
    return false;
  }
  req->key = (struct api_key){.id = key->id,
                              .scopes = key->scopes,
                              .test = key->test,
                              .name = arena_text(req->arena, parley_text_of(key->name))};
  if (!scope_allows(key->scopes, req->route->scope)) {
    api_problem(req, 403, "scope_missing", "use a key that has it", "this key lacks the scope %s",
                scope_name(req->route->scope));
    return false;
  }
  return true;
}

static bool api_query_known(struct api_request *req)
{
  parley_text rest = req->http->query, name, value;
  const char *const *known = req->route->query;
  static const char *const none[] = {NULL};

  if (known == NULL)
    known = none;
  if (known[0] != NULL && known[0][0] == '*')
    return true;
  while (url_query_next(&rest, &name, &value)) {
    const char *const *row = known;
    const char *near = text_nearest(name, known);

    while (*row != NULL && !parley_text_is(name, *row))
      row++;
    if (*row != NULL)
      continue;
    problem_add(&req->problems, PARLEY_LIT("?"), "unknown_parameter", "unknown query parameter '%.*s'",
                (int)(name.len < 64 ? name.len : 64), text_utf8_ok(name) ? name.at : "");
    if (near != NULL)
      problem_hint(&req->problems, "did you mean '%s'?", near);
    api_problems(req);
    return false;
  }
  return true;
}

static bool api_params_decode(struct api_request *req)
{
  for (size_t i = 0; i < API_PARAMS_MAX; i++) {
    char *plain = arena_alloc(req->arena, req->params[i].len + 1);
    size_t len = url_decode(req->params[i], false, plain);

    if (len == SIZE_MAX || !text_utf8_ok((parley_text){plain, len})) {
      api_problem(req, 400, "bad_path", "", "the path is not percent-encoded UTF-8");
      return false;
    }
    req->params[i] = (parley_text){plain, len};
  }
  return true;
}

/* Route, key and limits, before a byte of the body is asked for. */
static void api_head(struct http_request *http, void *arg)
{
  struct api *api = arg;
  struct api_request *req = api_request_new(api, http);
  struct buf allow = BUF_INIT(256);

  http->user = NULL;
  req->route = route_find(http->method, http->path, req->params, &allow);
  if (req->route == NULL && allow.len > 0) {
    api_problem_method(req, buf_as_text(&allow));
  } else if (req->route == NULL) {
    api_problem(req, 404, "no_such_route", "GET /openapi.json lists them", "there is nothing at this path");
  } else if (api_authorize(req) && api_query_known(req) && api_params_decode(req)) {
    http->user = req;
    http->body_max = req->route->body_max > 0 ? req->route->body_max : API_BODY_BYTES_MAX;
    if (http->body_max > api->conf->server.limits.body_bytes && req->route->body_max == 0)
      http->body_max = api->conf->server.limits.body_bytes;
  }
  buf_done(&allow);
}

static void api_left(struct http_request *http, void *arg)
{
  (void)arg;
  if (http->user != NULL)
    api_request_free(http->user);
}

static bool idempotency_key_ok(parley_text key)
{
  if (key.len == 0 || key.len > API_IDEMPOTENCY_KEY_MAX)
    return false;
  for (size_t i = 0; i < key.len; i++)
    if (key.at[i] < 0x20 || key.at[i] > 0x7e)
      return false;
  return true;
}

static uint64_t idem_hash(const struct api_request *req)
{
  struct buf all = BUF_INIT(1024);
  uint64_t hash;

  buf_add(&all, &req->idem.api_key, sizeof req->idem.api_key);
  buf_text(&all, req->idem.route);
  buf_char(&all, '\0');
  buf_text(&all, req->idem.key);
  hash = hash64(&req->api->hash_key, buf_as_text(&all));
  buf_done(&all);
  return hash ? hash : 1;
}

/* false: answered (bad key, or the same one is running). */
static bool api_idempotency(struct api_request *req)
{
  parley_text key = http_header(req->http, "idempotency-key");
  struct buf route = BUF_INIT(512);
  uint64_t flight;

  if ((req->route->flags & ROUTE_IDEMPOTENT) == 0 || key.at == NULL)
    return true;
  if (key.len >= 2 && key.at[0] == '"' && key.at[key.len - 1] == '"')
    key = text_sub(key, 1, key.len - 2); /* the IETF draft's quoted form */
  if (!idempotency_key_ok(key) || http_header_count(req->http, "idempotency-key") > 1) {
    api_problem(req, 422, "bad_idempotency_key", "", "one Idempotency-Key of 1 to 255 printable ASCII characters");
    return false;
  }
  buf_str(&route, "POST ");
  buf_text(&route, req->http->path);
  req->idem.api_key = req->key.id;
  req->idem.route = arena_text(req->arena, buf_as_text(&route));
  req->idem.key = arena_text(req->arena, key);
  buf_done(&route);
  digester_sha256(req->api->digester, req->http->body, req->idem.body_sha256);
  req->has_idem = true;
  flight = idem_hash(req);
  if (map_get(&req->api->running, flight) != NULL) {
    api_problem(req, 409, "request_running", "try again", "a request with this Idempotency-Key is still running");
    return false;
  }
  if (req->api->running.count < API_RUNNING_MAX) {
    req->idem_flight = flight;
    map_put(&req->api->running, flight, req->api);
  }
  return true;
}

static bool api_type_ok(parley_text type)
{
  parley_text bare = type;

  bare = text_trim(text_cut(&bare, ';'));
  return type.len == 0 || text_is_nocase(bare, "application/json") ||
         text_is_nocase(bare, "application/merge-patch+json");
}

static const char *const no_fields[] = {NULL};

/* false: answered. */
static bool api_read_json(struct api_request *req)
{
  parley_text encoding = http_header(req->http, "content-encoding");

  if (encoding.len > 0 && !text_is_nocase(encoding, "identity")) {
    api_problem(req, 415, "encoding_not_offered", "send it uncompressed", "Content-Encoding is not offered");
    return false;
  }
  if ((req->route->flags & (ROUTE_RAW_BODY | ROUTE_NO_BODY)) != 0)
    return true;
  if (req->http->body.len == 0 && (req->route->flags & ROUTE_BODY_OPTIONAL) != 0)
    return true;
  if (!api_type_ok(http_header(req->http, "content-type"))) {
    api_problem(req, 415, "not_json", "Content-Type: application/json", "this route takes JSON");
    return false;
  }
  req->json = json_read(req->http->body, &req->problems);
  if (req->json != NULL && !json_is_object(req->json))
    problem_add(&req->problems, TEXT_EMPTY, "bad_json", "a JSON object is needed");
  req->in =
      (struct json_in){.object = req->json, .pointer = TEXT_EMPTY, .arena = req->arena, .problems = &req->problems};
  if (req->problems.count == 0 && req->route->request == NULL)
    json_in_only(&req->in, no_fields); /* no typo is silent, not even where nothing is asked for */
  if (req->problems.count > 0) {
    api_problems(req);
    return false;
  }
  return true;
}

static void api_ready_whole(struct http_request *http, void *arg)
{
  struct api_request *req = http->user;

  (void)arg;
  http->user = NULL; /* from here on the req goes with its answer */
  if (api_read_json(req) && api_idempotency(req))
    req->route->handle(req);
}

const struct http_handler api_handler = {.head = api_head, .ready = api_ready_whole, .left = api_left};

/* --- Life --------------------------------------------------------------------------------------------------------- */

static void api_on_sweep(uv_timer_t *timer)
{
  api_subscriptions_sweep(timer->data);
}

static void api_handles_open(struct api *api)
{
  uv_timer_init(api->shared.loop, &api->sweep);
  uv_timer_start(&api->sweep, api_on_sweep, API_SWEEP_MS, API_SWEEP_MS);
  uv_unref((uv_handle_t *)&api->sweep);
  loop_watch_start(&api->watch, api->shared.loop);
  api->sweep.data = api->watch.prepare.data = api;
  api->handles = 2;
}

/* Whether a key that was given a capture address is still in force. */
static bool api_captures(id64 id, void *arg)
{
  struct api *api = arg;
  const struct auth_key *key;

  for (size_t i = 0; (key = auth_at(api->auth, i)) != NULL; i++)
    if (key->id == id)
      return key->expires_ms == 0 || key->expires_ms > api->shared.env->now_ms(api->shared.env);
  return false;
}

struct api *api_new(const struct api_shared *shared)
{
  struct api *api = xcalloc(1, sizeof *api);

  api->shared = *shared;
  api->started_ms = shared->env->now_ms(shared->env);
  api_handles_open(api);
  list_init(&api->template_changes);
  rate_init(&api->signups, RATE_KEYS_MAX);
  rate_init(&api->signup_targets, RATE_KEYS_MAX);
  rate_init(&api->visits, RATE_KEYS_MAX);
  api->auth = auth_new(shared->env);
  shared->env->random(shared->env, &api->hash_key, sizeof api->hash_key);
  api->digester = digester_new();
  id_source_init(&api->ids, shared->env, 0, 0);
  if (shared->inbound != NULL)
    inbound_captures(shared->inbound, api_captures, api);
  return api;
}

void api_configure(struct api *api, struct conf *conf, struct policy *policy)
{
  struct conf *old_conf = api->conf;
  struct policy *old_policy = api->policy;

  api->conf = conf_ref(conf);
  api->policy = policy_ref(policy);
  auth_configure(api->auth, conf);
  for (size_t i = 0; i < api->n_paused; i++)
    deliver_pause(api->shared.deliver, parley_text_of(api->paused[i]),
                  true); /* a channel that came back is still paused */
  if (api->started) {
    api_subscriptions_configure(api);
    api_templates_link(api);
  }
  conf_unref(&old_conf);
  policy_unref(&old_policy);
}

void api_set_server(struct api *api, struct http_server *server)
{
  api->server = server;
}

void api_close(struct api **api, void (*closed)(void *arg), void *arg)
{
  struct api *gone = *api;

  *api = NULL;
  gone->closing = true;
  gone->closed = closed;
  gone->closed_arg = arg;
  api_maybe_closed(gone);
}
