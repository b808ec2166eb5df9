/* feed_bed.h - a feed on a real store, its clock in the test's hand, and a receiver on loopback that does as it is
 * told. */
#ifndef TESTS_UNIT_FEED_BED_H
#define TESTS_UNIT_FEED_BED_H
#include "core/feed/feed_in.h"
#include "core/message/json.h"
#include "net_peer.h"
#include "store_fixture.h"

#define SECRET_ONE "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"
#define SECRET_TWO "whsec_YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXo="
#define GOT_MAX 4096
#define HELD_MAX 64

struct got { /* one POST */
  char path[8], id[ID_TEXT_MAX + 8], type[64], customer[32];
  char signature[STANDARD_WEBHOOKS_HEADER_ROOM];
  int64_t number; /* of the touchpoint; -1 */
  bool verified;
};
struct place {   /* "/a": how it answers */
  uint32_t code; /* 0: 200 */
  const char *retry_after;
  uint32_t bad_customer_code; /* for events of the customer `bad_customer` */
  const char *bad_customer;
  int bad_times; /* how often; -1: always */
  bool hold;     /* says nothing */
};
struct bed {
  struct fixture f;
  struct dns *dns;
  struct egress *egress;
  struct http_client *client;
  struct http_server *server;
  uint16_t port;
  struct feed *feed;
  struct place places['z' - 'a' + 1];
  struct got got[GOT_MAX];
  size_t n_got, n_open, n_open_most;
  struct http_request *held[HELD_MAX];
  size_t n_held;
  id64 disabled;
  bool closed;
  int number;
};

/* --- The receiver ----------------------------------------------------------------------------------------------------
 */

static inline void bed_copy(char *to, size_t room, parley_text text)
{
  snprintf(to, room, "%.*s", TEXT_ARG(text));
}

static inline void got_read(struct bed *bed, const struct http_request *request, struct got *got)
{
  struct standard_webhooks_keys keys;
  struct arena *arena = arena_new();
  struct problems problems;
  json_t *json, *data;

  problems_init(&problems, arena);
  json = json_read(request->body, &problems);
  ck_assert_msg(json != NULL, "the body is no JSON: %.*s", TEXT_ARG(request->body));
  data = json_object_get(json, "data");
  bed_copy(got->path, sizeof(got->path), request->path);
  bed_copy(got->id, sizeof(got->id), http_header(request, STANDARD_WEBHOOKS_ID));
  bed_copy(got->signature, sizeof(got->signature), http_header(request, STANDARD_WEBHOOKS_SIGNATURE));
  bed_copy(got->type, sizeof(got->type), json_text(json_object_get(json, "type")));
  bed_copy(got->customer, sizeof(got->customer), json_text(json_object_get(json_object_get(data, "customer"), "name")));
  data = json_object_get(json_object_get(json_object_get(data, "facts"), "data"), "n");
  got->number = json_is_integer(data) ? json_integer_value(data) : -1;
  ck_assert_str_eq(json_string_value(json_object_get(json, "id")), got->id);
  ck_assert(standard_webhooks_keys_read(PARLEY_LIT(SECRET_ONE), &keys));
  got->verified = standard_webhooks_verify(&keys, request->headers, request->n_headers, request->body,
                                           bed->f.fake.now_ms, 300000) == STANDARD_WEBHOOKS_GOOD;
  standard_webhooks_keys_done(&keys);
  json_decref(json);
  arena_free(&arena);
}

static inline void bed_answer(struct bed *bed, struct http_request *request, struct place *place, const struct got *got)
{
  parley_pair retry = {PARLEY_LIT("Retry-After"), parley_text_of(place->retry_after)};
  struct http_answer answer = {
      .code = place->code != 0 ? place->code : 200, .headers = &retry, .n_headers = place->retry_after != NULL};

  (void)bed;
  if (place->bad_customer != NULL && strcmp(place->bad_customer, got->customer) == 0 && place->bad_times != 0) {
    answer.code = place->bad_customer_code;
    place->bad_times -= place->bad_times > 0;
  }
  http_answer(request, &answer);
}

static inline void bed_on_ready(struct http_request *request, void *arg)
{
  struct bed *bed = arg;
  struct place *place = &bed->places[request->path.at[1] - 'a'];
  struct got *got = &bed->got[bed->n_got];

  ck_assert_uint_lt(bed->n_got, GOT_MAX);
  got_read(bed, request, got);
  bed->n_got++;
  if (!place->hold) {
    bed_answer(bed, request, place, got);
    return;
  }
  ck_assert_uint_lt(bed->n_held, HELD_MAX);
  bed->held[bed->n_held++] = request;
}

static inline void bed_let_go(struct bed *bed, uint32_t code)
{
  for (size_t i = 0; i < bed->n_held; i++)
    http_answer(bed->held[i], &(struct http_answer){.code = code});
  bed->n_held = 0;
}

static const struct http_handler bed_handler = {.ready = bed_on_ready};

/* --- Life ------------------------------------------------------------------------------------- */

static inline void bed_on_disabled(id64 subscription, void *arg)
{
  ((struct bed *)arg)->disabled = subscription;
}

static inline void bed_on_committed(uint64_t last_seq, void *arg)
{
  struct bed *bed = container_of((struct fixture *)arg, struct bed, f);

  if (bed->feed != NULL)
    feed_committed(bed->feed, last_seq);
}

static inline void bed_feed_open(struct bed *bed)
{
  struct feed_shared shared = {.loop = &bed->f.loop,
                               .env = &bed->f.fake.env,
                               .store = bed->f.store,
                               .http = bed->client,
                               .disabled = bed_on_disabled,
                               .arg = bed};

  bed->feed = feed_new(&shared);
}

static inline void bed_store_open(struct bed *bed)
{
  struct store_config config = {.driver = "sqlite", .path = bed->f.path, .node = 1, .idempotency_keep_ms = INT64_C(7) * 86400000,
                                .committed = bed_on_committed, .arg = &bed->f};
  struct buf why = BUF_INIT(1024);

  ck_assert_msg(store_open(&config, &bed->f.loop, &bed->f.fake.env, NULL, &bed->f.store, &why) == PARLEY_OK, "%s",
                why.at != NULL ? why.at : "");
  buf_done(&why);
}

static inline struct bed *bed_new(void)
{
  static const parley_text allow[] = {PARLEY_LIT("127.0.0.0/8")}, ports[] = {PARLEY_LIT("1-65535")};
  struct bed *bed = xcalloc(1, sizeof(*bed));
  struct buf why = BUF_INIT(0);
  parley_text bad;

  fixture_init(&bed->f);
  bed_store_open(bed);
  ck_assert_int_eq(dns_new(&bed->f.loop, &bed->f.fake.env, "127.0.0.1:1", &bed->dns), PARLEY_OK);
  ck_assert_int_eq(egress_new(allow, 1, ports, 1, &bed->egress, &bad), PARLEY_OK);
  ck_assert_int_eq(http_client_new(&bed->f.loop, &bed->f.fake.env, bed->dns, bed->egress, &(struct http_client_conf){0},
                                   &bed->client),
                   PARLEY_OK);
  bed->server = http_server_new(&bed->f.loop, &bed->f.fake.env, &(struct http_server_conf){0}, &bed_handler, bed);
  ck_assert_int_eq(http_server_listen(bed->server, PARLEY_LIT("127.0.0.1:0"), &bed->port, &why), PARLEY_OK);
  bed_feed_open(bed);
  return bed;
}

static inline void bed_feed_close(struct bed *bed, uint32_t drain_ms)
{
  bed->closed = false;
  feed_close(&bed->feed, drain_ms, peer_flag, &bed->closed);
  peer_until(&bed->f.loop, &bed->closed);
}

static inline void bed_flag_wait(struct bed *bed, bool *flag)
{
  peer_until(&bed->f.loop, flag);
  *flag = false;
}

static inline void bed_free(struct bed *bed)
{
  bool flag = false;

  if (bed->feed != NULL)
    bed_feed_close(bed, 0);
  bed_let_go(bed, 200);
  http_client_close(&bed->client, peer_flag, &flag);
  bed_flag_wait(bed, &flag);
  http_server_close(&bed->server, peer_flag, &flag);
  bed_flag_wait(bed, &flag);
  dns_close(&bed->dns, peer_flag, &flag);
  bed_flag_wait(bed, &flag);
  egress_free(&bed->egress);
  fixture_done(&bed->f);
  free(bed);
}

/* Turns the loop until the condition holds. */
#define bed_until(bed, condition)                                                                                    \
  do {                                                                                                               \
    uint64_t deadline_ = peer_deadline();                                                                            \
    while (!(condition) && !peer_late(deadline_))                                                                    \
      peer_turn(&(bed)->f.loop, -1, 0, 20);                                                                          \
    ck_assert_msg((condition), "it never came to: " #condition " (got %zu, held %zu)", (bed)->n_got, (bed)->n_held); \
  } while (0)

/* Moves the clock, and lets the feed see it. */
static inline void bed_step(struct bed *bed, int64_t ms)
{
  env_fake_step(&bed->f.fake, ms);
  feed_tick(bed->feed);
  peer_settle(&bed->f.loop);
}

static inline void bed_op_done(struct store_op *op)
{
  op->kind = 0;
}

/* Unlike fixture_run(): the loop has other things open. */
static inline void bed_run(struct bed *bed, struct store_op *op, enum store_kind kind)
{
  op->kind = kind;
  op->done = bed_op_done;
  store_submit(bed->f.store, op);
  bed_until(bed, op->kind == 0);
  ck_assert_int_eq(op->status, PARLEY_OK);
}

/* --- Subscribing and happening ---------------------------------------------------------------- */

static inline struct subscription bed_sub(const struct bed *bed, id64 id, char place, char url[64])
{
  snprintf(url, 64, "http://127.0.0.1:%u/%c", bed->port, place);
  return (struct subscription){.id = id,
                               .name = PARLEY_LIT("desk"),
                               .url = parley_text_of(url),
                               .n_secrets = 1,
                               .secrets = {PARLEY_LIT(SECRET_ONE)},
                               .n_types = 1,
                               .types = {PARLEY_LIT("touchpoint.*")}};
}

static inline bool bed_sub_ready(const struct bed *bed, id64 id)
{
  const struct feed_sub *sub = map_get(&bed->feed->by_id, id);

  return sub != NULL && sub->follower.position != 0 && (sub->follower.live || sub->off);
}

static inline void bed_subscribe(struct bed *bed, id64 id, char place)
{
  char url[64];
  struct subscription set = bed_sub(bed, id, place, url);

  feed_subscribe(bed->feed, &set);
  bed_until(bed, bed_sub_ready(bed, id));
}

struct happening_op {
  struct store_touchpoint touch;
  char external[32], data[64], key[32];
};

/* A customer comes to be, under a name by which the receiver knows whose an event is. */
static inline void bed_customer(struct bed *bed, const char *name)
{
  struct store_customer_put put = {.external = parley_text_of(name), .now_ms = bed->f.fake.now_ms};

  put.name.set = true;
  put.name.value = parley_text_of(name);
  bed_run(bed, &put.op, STORE_CUSTOMER_PUT);
  arena_free(&put.op.arena);
}

/* One touchpoint of the customer, numbered on. Returns its seq. */
static inline uint64_t bed_happen(struct bed *bed, const char *customer)
{
  struct happening_op op = {
      .touch.type = PARLEY_LIT("visit"), .touch.at_ms = bed->f.fake.now_ms, .touch.now_ms = bed->f.fake.now_ms};
  uint64_t seq;

  snprintf(op.data, sizeof(op.data), "{\"n\":%d}", bed->number++);
  op.touch.who.external = parley_text_of(customer);
  op.touch.data = parley_text_of(op.data);
  bed_run(bed, &op.touch.op, STORE_TOUCHPOINT);
  ck_assert_int_eq((int)op.touch.result, ACCEPTED);
  seq = op.touch.seq;
  arena_free(&op.touch.op.arena);
  return seq;
}

static inline size_t bed_count(const struct bed *bed, const char *path, const char *customer)
{
  size_t n = 0;

  for (size_t i = 0; i < bed->n_got; i++)
    n += strcmp(bed->got[i].path, path) == 0 && (customer == NULL || strcmp(bed->got[i].customer, customer) == 0);
  return n;
}

static inline struct feed_state bed_state(const struct bed *bed, id64 id)
{
  struct feed_state state;

  ck_assert(feed_state(bed->feed, id, &state));
  return state;
}
#endif
