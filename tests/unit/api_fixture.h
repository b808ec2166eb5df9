/* api_fixture.h - the whole API for tests: a real HTTP server on loopback, the real store, deliver, inbound and feed,
 * and one channel "mail" whose plugin is the sink. A clock that tests move. */
#ifndef TESTS_UNIT_API_FIXTURE_H
#define TESTS_UNIT_API_FIXTURE_H
#include "core/api/api.h"
#include "core/api/request.h"
#include "core/base/alloc.h"
#include "core/base/arena.h"
#include "core/base/text.h"
#include "net_peer.h"
#include "temp.h"
#include <jansson.h>
#include <stdio.h>

#define ADMIN "admin-key-of-the-tests"
#define READER "reader-key-of-the-tests"
#define TESTER "tester-key-of-the-tests"
#define START_MS INT64_C(1790000000000)
#define ANSWER_MAX ((size_t)4 << 20)

static const char api_conf_text[] =
    "version: 1\n"
    "server:\n"
    "  listen: 127.0.0.1:0\n"
    "  public_url: https://parley.example\n"
    "  keys:\n"
    "    - { name: admin, secret: { env: K_ADMIN }, scopes: [admin] }\n"
    "    - { name: reader, secret: { env: K_READER }, scopes: [messages:read] }\n"
    "    - { name: tester, secret: { env: K_TESTER }, scopes: [admin], mode: test }\n"
    "  egress: { allow: [127.0.0.0/8], ports: [80, 443, \"1024-65535\"] }\n"
    "  origins: [\"https://desk.example\"]\n"
    "store: { driver: sqlite, path: parley.db }\n"
    "plugins: { dirs: [plugins] }\n"
    "channels:\n"
    "  mail: { plugin: sink }\n"
    "  sms: { plugin: sink, options: { address_kind: phone } }\n"
    "topics: { orders: { class: transactional }, newsletter: { class: marketing }, support: { class: conversation } }\n"
    "plans:\n"
    "  default: [ { channel: mail } ]\n"
    "subscriptions:\n"
    "  desk: { url: \"http://127.0.0.1:9/feed\", secret: { env: K_HOOK }, types: [message.received], filter: { "
    "channel: mail } }\n"
    "log: { level: error, format: text }\n";

struct api_fixture {
  uv_loop_t loop;
  struct env_fake fake;
  const struct env *env;
  char dir[64], path[96], run_dir[96];
  struct conf *conf;
  struct egress *egress;
  struct dns *dns;
  struct http_client *http;
  struct store *store;
  struct deliver *deliver;
  struct inbound *inbound;
  struct feed *feed;
  struct plugin *sink;
  struct channel *channels[2], *sinks[2];
  struct policy *policy;
  struct api *api;
  struct http_server *server;
  uint16_t port;
  bool loaded, up;
  int n_open;
  char *answer; /* of the last request: status line, headers, body */
  const char *body;
  int code;
  json_t *json; /* of the body, or NULL */
};

static inline const char *api_fixture_variable(const char *name)
{
  if (strcmp(name, "K_ADMIN") == 0)
    return ADMIN;
  if (strcmp(name, "K_READER") == 0)
    return READER;
  if (strcmp(name, "K_TESTER") == 0)
    return TESTER;
  return strcmp(name, "K_HOOK") == 0 ? "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=" : NULL;
}

static inline void fixture_on_settled(struct channel *channel, uint64_t token, const parley_outcome *outcome, void *arg)
{
  deliver_settled(((struct api_fixture *)arg)->deliver, channel, token, outcome);
}
static inline void fixture_on_roomier(struct channel *channel, bool well, void *arg)
{
  deliver_roomier(((struct api_fixture *)arg)->deliver, channel, well);
}
static inline void fixture_on_inbound(struct channel *channel, const parley_inbound *in, parley_done *done,
                                      void *done_arg, void *arg)
{
  inbound_take(((struct api_fixture *)arg)->inbound, channel, in, done, done_arg);
}
static inline void fixture_on_receipt(struct channel *channel, const parley_receipt *receipt, parley_done *done,
                                      void *done_arg, void *arg)
{
  deliver_receipt(((struct api_fixture *)arg)->deliver, channel, receipt, done, done_arg);
}
static inline void fixture_on_touchpoint(struct channel *channel, const parley_touchpoint *event, parley_done *done,
                                         void *done_arg, void *arg)
{
  inbound_touchpoint(((struct api_fixture *)arg)->inbound, channel, event, done, done_arg);
}
static inline void fixture_on_timeline(struct channel *channel, const parley_query *query, parley_page_done *done,
                                       void *done_arg, void *arg)
{
  inbound_timeline(((struct api_fixture *)arg)->inbound, channel, query, done, done_arg);
}
static inline void fixture_on_health(struct channel *channel, enum channel_state state, parley_text cause,
                                     parley_text remedy, void *arg)
{
  (void)channel, (void)state, (void)cause, (void)remedy, (void)arg;
}
static inline void fixture_on_committed(uint64_t last_seq, void *arg)
{
  struct api_fixture *f = arg;

  if (f->feed != NULL)
    feed_committed(f->feed, last_seq);
}

/* --- What the api asks -------------------------------------------------------------------------------------------- */

static inline int fixture_channel_at(parley_text name)
{
  return parley_text_is(name, "mail") ? 0 : parley_text_is(name, "sms") ? 1 : -1;
}
static inline struct channel *fixture_channel(parley_text name, void *arg)
{
  int at = fixture_channel_at(name);

  return at < 0 ? NULL : ((struct api_fixture *)arg)->channels[at];
}
static inline struct channel *fixture_test_sink(parley_text name, void *arg)
{
  int at = fixture_channel_at(name);

  return at < 0 ? NULL : ((struct api_fixture *)arg)->sinks[at];
}
static inline size_t fixture_channels(struct channel **to, size_t room, void *arg)
{
  for (size_t i = 0; i < 2 && i < room; i++)
    to[i] = ((struct api_fixture *)arg)->channels[i];
  return 2;
}
static inline bool fixture_ready(const char **why_not, void *arg)
{
  *why_not = "starting";
  return ((struct api_fixture *)arg)->up;
}
static inline void fixture_on_loaded(parley_status status, void *arg)
{
  ck_assert_int_eq(status, PARLEY_OK);
  ((struct api_fixture *)arg)->loaded = true;
}

/* --- Making it ---------------------------------------------------------------------------------------------------- */

static inline void fixture_make_policy(struct api_fixture *f)
{
  struct policy *policy = policy_new();
  const struct conf *conf = f->conf;

  policy->n_channels = conf->n_channels;
  policy->channels = arena_alloc(policy->arena, conf->n_channels * sizeof *policy->channels);
  for (size_t i = 0; i < conf->n_channels; i++) {
    const parley_capabilities *caps = channel_caps(fixture_channel(conf->channels[i].name, f));

    policy->channels[i] = (struct policy_channel){.name = arena_text(policy->arena, conf->channels[i].name),
                                                  .channel_kind = parley_text_of(caps->channel_kind),
                                                  .address_kind = parley_text_of(caps->address_kind),
                                                  .flags = caps->flags,
                                                  .receipts = caps->receipts,
                                                  .room = deliver_lane_room(f->deliver, conf->channels[i].name.at)};
  }
  policy->n_topics = conf->n_topics;
  policy->topics = arena_alloc(policy->arena, conf->n_topics * sizeof *policy->topics);
  for (size_t i = 0; i < conf->n_topics; i++)
    policy->topics[i] = (struct policy_topic){.name = arena_text(policy->arena, conf->topics[i].name),
                                              .class = (enum topic_class)conf->topics[i].class};
  policy->n_plans = 1;
  policy->plans = arena_alloc(policy->arena, sizeof *policy->plans);
  policy->plans[0] = (struct policy_plan){
      .name = PARLEY_LIT("default"), .n_steps = 1, .steps = arena_alloc(policy->arena, sizeof *policy->plans[0].steps)};
  policy->plans[0].steps[0] =
      (struct policy_step){.channel = policy_find_channel(policy, PARLEY_LIT("mail")), .until = UNTIL_SENT};
  f->policy = policy;
}

static inline void fixture_make_channels(struct api_fixture *f)
{
  static const parley_text dirs[] = {PARLEY_LIT(PARLEY_BUILD_DIR "/plugins")};
  struct plugin_source source = {.dirs = dirs, .n_dirs = 1, .run_dir = f->run_dir, .offered = channel_extensions};
  struct channel_shared shared = {.services = &channel_services_own,
                                  .loop = &f->loop,
                                  .env = f->env,
                                  .store = f->store,
                                  .http = f->http,
                                  .dns = f->dns,
                                  .egress = f->egress,
                                  .public_url = PARLEY_LIT("https://parley.example"),
                                  .version = PARLEY_LIT("0")};
  struct channel_owner owner = {.settled = fixture_on_settled,
                                .roomier = fixture_on_roomier,
                                .inbound = fixture_on_inbound,
                                .receipt = fixture_on_receipt,
                                .touchpoint = fixture_on_touchpoint,
                                .timeline = fixture_on_timeline,
                                .health = fixture_on_health,
                                .arg = f};
  struct buf why = BUF_INIT(4096);

  ck_assert_msg(plugin_load("sink", CONF_INLINE, &source, &f->sink, &why) == PARLEY_OK, "%s", why.at);
  for (int i = 0; i < 2; i++) {
    const struct conf_channel *wanted = conf_channel_find(f->conf, parley_text_of(i == 0 ? "mail" : "sms"));

    ck_assert_msg(channel_new(&shared, &owner, f->conf, wanted, f->sink, NULL, &f->channels[i], &why) == PARLEY_OK, "%s",
                  why.at);
    ck_assert_int_eq(channel_new(&shared, &owner, f->conf, wanted, f->sink, NULL, &f->sinks[i], &why), PARLEY_OK);
    ck_assert_int_eq(channel_start(f->channels[i], &why), PARLEY_OK);
    ck_assert_int_eq(channel_start(f->sinks[i], &why), PARLEY_OK);
    deliver_add_channel(f->deliver, f->channels[i], f->sinks[i], &(struct deliver_rates){.floor_per_s = 1});
  }
  buf_done(&why);
}

/* All above the store's file, which is kept: what a restart makes anew. */
static inline void api_fixture_up(struct api_fixture *f)
{
  struct buf why = BUF_INIT(4096);
  struct store_config config = {.driver = "sqlite", .path = f->path, .node = 1, .idempotency_keep_ms = INT64_C(7) * 86400000,
                                .committed = fixture_on_committed, .arg = f};
  struct http_client_conf client = {0};
  struct deliver_shared deliver;
  struct feed_shared feed = {.loop = &f->loop, .env = f->env};
  struct api_shared shared = {.loop = &f->loop,
                              .env = f->env,
                              .version = "0.1.0",
                              .channel = fixture_channel,
                              .test_sink = fixture_test_sink,
                              .channels = fixture_channels,
                              .ready = fixture_ready,
                              .arg = f};

  ck_assert_int_eq(dns_new(&f->loop, f->env, NULL, &f->dns), PARLEY_OK);
  ck_assert_int_eq(http_client_new(&f->loop, f->env, f->dns, f->egress, &client, &f->http), PARLEY_OK);
  ck_assert_msg(store_open(&config, &f->loop, f->env, NULL, &f->store, &why) == PARLEY_OK, "%s", why.at);
  deliver = (struct deliver_shared){&f->loop, f->env, NULL, f->store};
  f->deliver = deliver_new(&deliver);
  f->inbound = inbound_new(&f->loop, f->env, NULL, f->store);
  feed.store = f->store;
  feed.http = f->http;
  f->feed = feed_new(&feed);
  fixture_make_channels(f);
  fixture_make_policy(f);
  deliver_set_policy(f->deliver, f->policy);
  shared.store = f->store;
  shared.deliver = f->deliver;
  shared.feed = f->feed;
  shared.inbound = f->inbound;
  shared.http = f->http;
  shared.egress = f->egress;
  f->api = api_new(&shared);
  api_configure(f->api, f->conf, f->policy);
  f->server = http_server_new(&f->loop, f->env, &(struct http_server_conf){0}, &api_handler, f->api);
  api_set_server(f->api, f->server);
  ck_assert_msg(http_server_listen(f->server, PARLEY_LIT("127.0.0.1:0"), &f->port, &why) == PARLEY_OK, "%s", why.at);
  f->loaded = false;
  api_start(f->api, fixture_on_loaded, f);
  peer_until(&f->loop, &f->loaded);
  deliver_start(f->deliver);
  f->up = true;
  buf_done(&why);
}

static inline void api_fixture_init(struct api_fixture *f)
{
  struct buf why = BUF_INIT(65536);
  parley_text bad;

  memset(f, 0, sizeof *f);
  uv_loop_init(&f->loop);
  env_fake_init(&f->fake, START_MS);
  f->env = &f->fake.env;
  temp_dir(f->dir, sizeof f->dir);
  snprintf(f->path, sizeof f->path, "%s/parley.db", f->dir);
  snprintf(f->run_dir, sizeof f->run_dir, "%s", f->dir);
  ck_assert_msg(conf_parse("/tmp/parley.yaml", parley_text_of(api_conf_text), api_fixture_variable, &f->conf, &why) ==
                    PARLEY_OK,
                "%s", why.at);
  ck_assert_int_eq(egress_new(f->conf->server.egress_allow, f->conf->server.n_egress_allow,
                              f->conf->server.egress_ports, f->conf->server.n_egress_ports, &f->egress, &bad),
                   PARLEY_OK);
  buf_done(&why);
  api_fixture_up(f);
}

static inline void fixture_counted(void *arg)
{
  ((struct api_fixture *)arg)->n_open--;
}

static inline void fixture_wait_closed(struct api_fixture *f)
{
  uint64_t deadline = peer_deadline();

  while (f->n_open > 0 && !peer_late(deadline))
    peer_turn(&f->loop, -1, 0, 20);
  ck_assert_int_eq(f->n_open, 0);
}

#define FIXTURE_CLOSE(f, call) \
  do {                         \
    (f)->n_open++;             \
    call;                      \
    fixture_wait_closed(f);    \
  } while (0)

static inline void api_fixture_down(struct api_fixture *f)
{
  f->up = false;
  FIXTURE_CLOSE(f, http_server_close(&f->server, fixture_counted, f));
  FIXTURE_CLOSE(f, api_close(&f->api, fixture_counted, f));
  FIXTURE_CLOSE(f, feed_close(&f->feed, 0, fixture_counted, f));
  deliver_drain(f->deliver);
  for (int i = 0; i < 2; i++) {
    FIXTURE_CLOSE(f, channel_stop(&f->channels[i], 0, fixture_counted, f));
    FIXTURE_CLOSE(f, channel_stop(&f->sinks[i], 0, fixture_counted, f));
  }
  FIXTURE_CLOSE(f, inbound_close(&f->inbound, fixture_counted, f));
  FIXTURE_CLOSE(f, deliver_close(&f->deliver, fixture_counted, f));
  FIXTURE_CLOSE(f, store_close(&f->store, fixture_counted, f));
  FIXTURE_CLOSE(f, http_client_close(&f->http, fixture_counted, f));
  FIXTURE_CLOSE(f, dns_close(&f->dns, fixture_counted, f));
  plugin_unref(&f->sink);
  policy_unref(&f->policy);
}

static inline void api_fixture_done(struct api_fixture *f)
{
  char command[128];

  json_decref(f->json);
  free(f->answer);
  api_fixture_down(f);
  conf_unref(&f->conf);
  egress_free(&f->egress);
  peer_loop_end(&f->loop);
  snprintf(command, sizeof command, "rm -r '%s'", f->dir);
  ck_assert_int_eq(system(command), 0);
}

/* --- Asking ------------------------------------------------------------------------------------------------------- */

static inline void fixture_take(struct api_fixture *f, char *answer, size_t len)
{
  char *end = strstr(answer, "\r\n\r\n");

  json_decref(f->json);
  free(f->answer);
  f->answer = answer;
  ck_assert_msg(end != NULL, "no answer: '%s'", answer);
  f->code = (int)strtol(answer + 9, NULL, 10);
  f->body = end + 4;
  f->json = json_loadb(f->body, len - (size_t)(f->body - answer), JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
}

/* headers: whole lines, each with CRLF; "" for none. body NULL: none. Returns the code. */
static inline int ask_raw(struct api_fixture *f, const char *method, const char *path, const char *key,
                          const char *headers, const char *body, size_t body_len)
{
  struct buf request = BUF_INIT(0);
  char *answer = malloc(ANSWER_MAX);
  int fd = peer_connect(f->port);
  size_t len;

  buf_printf(&request, "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n", method, path);
  if (key != NULL)
    buf_printf(&request, "Authorization: Bearer %s\r\n", key);
  buf_str(&request, headers);
  if (body != NULL)
    buf_printf(&request, "Content-Length: %zu\r\n", body_len);
  buf_str(&request, "\r\n");
  if (body != NULL)
    buf_add(&request, body, body_len);
  peer_send(&f->loop, fd, request.at, request.len);
  buf_done(&request);
  len = peer_read(&f->loop, fd, answer, ANSWER_MAX, NULL, NULL);
  close(fd);
  fixture_take(f, answer, len);
  return f->code;
}

static inline int ask(struct api_fixture *f, const char *method, const char *path, const char *body)
{
  return ask_raw(f, method, path, ADMIN, "", body, body != NULL ? strlen(body) : 0);
}

/* printf rules for the path. */
static inline int ask_at(struct api_fixture *f, const char *method, const char *body, const char *format, ...)
{
  char path[4096];
  va_list args;

  va_start(args, format);
  vsnprintf(path, sizeof path, format, args);
  va_end(args);
  return ask(f, method, path, body);
}

static inline int ask_keyed(struct api_fixture *f, const char *path, const char *idempotency_key, const char *body)
{
  char header[512];

  snprintf(header, sizeof header, "Idempotency-Key: %s\r\n", idempotency_key);
  return ask_raw(f, "POST", path, ADMIN, header, body, strlen(body));
}

/* A text of the answer's JSON: "items.0.id"; "" when it is not there. */
static inline const json_t *said(struct api_fixture *f, const char *path)
{
  const json_t *at = f->json;
  char copy[256];
  char *rest = copy;

  snprintf(copy, sizeof copy, "%s", path);
  for (char *name; at != NULL && (name = strsep(&rest, ".")) != NULL;)
    at = json_is_array(at) ? json_array_get(at, (size_t)strtoul(name, NULL, 10)) : json_object_get(at, name);
  return at;
}
static inline const char *said_text(struct api_fixture *f, const char *path)
{
  const char *text = json_string_value(said(f, path));

  return text != NULL ? text : "";
}
static inline int64_t said_int(struct api_fixture *f, const char *path)
{
  return json_integer_value(said(f, path));
}
static inline size_t said_count(struct api_fixture *f, const char *path)
{
  return json_array_size(said(f, path));
}

/* Texts that outlive the next answer. */
static char kept[8][2048];
static inline void keepf(int at, const char *format, ...) __attribute__((format(printf, 2, 3)));
static inline void keepf(int at, const char *format, ...)
{
  va_list args;

  va_start(args, format);
  vsnprintf(kept[at], sizeof kept[at], format, args);
  va_end(args);
}

#define keep(at, path) (keepf(at, "%s", said_text(&f, path)), kept[at])
#define ck_assert_code(f, wanted) \
  ck_assert_msg((f)->code == (wanted), "%d, not %d: %s", (f)->code, (wanted), (f)->answer)
#define ck_assert_problem(f, wanted, problem)                                                                      \
  do {                                                                                                             \
    ck_assert_code(f, wanted);                                                                                     \
    ck_assert_msg(strcmp(said_text(f, "code"), problem) == 0, "'%s', not '%s': %s", said_text(f, "code"), problem, \
                  (f)->body);                                                                                      \
  } while (0)

static const char simple_message[] = "{\"to\":{\"email\":\"ana@example.org\"},\"topic\":\"orders\",\"content\":{"
                                     "\"subject\":\"Order\",\"text\":\"It is on its way.\"}}";
#endif
