/* Where the sockets of streams come from: a connector's promises, sockets made for somebody else, and listening sockets
 * that go from an older owner to its heir. */
#include "core/base/alloc.h"
#include "net_stream_bed.h"
#include <sys/stat.h>

/* --- A connector, played by the test ----------------------------------------------------------- */

static void bed_open_by_hand(struct bed *bed)
{
  bed_border = true;
  bed_open(bed);
  bed->bridge.by_hand = true;
}

static void pair_of_sockets(int to[2])
{
  ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, to), 0);
}

static void expect_end(struct bed *bed, int fd)
{
  char rest[16];
  bool ended;

  peer_read(&bed->loop, fd, rest, sizeof(rest), NULL, &ended);
  ck_assert(ended);
  close(fd);
}

START_TEST(a_handed_socket_becomes_the_stream)
{
  struct bed bed;
  int pair[2];
  char text[16];

  bed_open_by_hand(&bed);
  pair_of_sockets(pair);
  connect_to(&bed, (parley_endpoint){.address = PARLEY_LIT("mail.example:25"), .connect_ms = 1234});
  ck_assert_str_eq(bed.bridge.asks[0].address, "mail.example:25");
  ck_assert_uint_eq(bed.bridge.asks[0].number, 1234);
  say(&bed.near, "early "); /* waits for the socket */
  peer_settle(&bed.loop);
  ck_assert(!bed.near.open);
  bridge_answer(&bed.bridge, 0, PARLEY_OK, pair[0], "192.0.2.7:25");
  peer_until(&bed.loop, &bed.near.open);
  ck_assert_str_eq(bed.near.address, "192.0.2.7:25");
  say(&bed.near, "hello");
  peer_read(&bed.loop, pair[1], text, sizeof(text), "hello", NULL);
  ck_assert_str_eq(text, "early hello");
  peer_say(&bed.loop, pair[1], "hi");
  until_got(&bed, &bed.near, 2);
  stream_shut(bed.streams, bed.near.id, 0);
  expect_end(&bed, pair[1]);
  peer_until(&bed.loop, &bed.near.closed);
  ck_assert_int_eq(bed.bridge.asks[0].n_cancelled, 0);
  bed_close(&bed);
}
END_TEST

/* How a stream ends before its socket has come. */
static void end_by_cancel(struct bed *bed)
{
  ck_assert(stream_cancel(bed->streams, bed->near.id));
  stream_cancel(bed->streams, bed->near.id);
}
static void end_by_close(struct bed *bed)
{
  stream_shut(bed->streams, bed->near.id, 0);
}
static void end_by_time(struct bed *bed)
{
  env_fake_step(&bed->env, 701);
  while (bed->bridge.asks[0].n_cancelled == 0)
    peer_turn(&bed->loop, -1, 0, 20);
}
static void end_by_owner(struct bed *bed)
{
  streams_close(&bed->streams, peer_flag, &bed->done);
}

static const struct {
  void (*end)(struct bed *bed);
  parley_status status;
} endings[] = {{end_by_cancel, PARLEY_CANCELLED},
               {end_by_close, PARLEY_OK},
               {end_by_time, PARLEY_TIMEOUT},
               {end_by_owner, PARLEY_CANCELLED}};

START_TEST(a_socket_that_comes_too_late_is_closed)
{
  struct bed bed;
  int pair[2];

  bed_open_by_hand(&bed);
  pair_of_sockets(pair);
  connect_to(&bed, (parley_endpoint){.address = PARLEY_LIT("mail.example:25"), .connect_ms = 700});
  endings[_i].end(&bed);
  ck_assert_int_eq(bed.bridge.asks[0].n_cancelled, 1);
  peer_settle(&bed.loop);
  ck_assert_int_eq(bed.near.n_opened, 0);
  bridge_answer(&bed.bridge, 0, PARLEY_OK, pair[0], "192.0.2.7:25");
  expect_end(&bed, pair[1]);
  peer_until(&bed.loop, &bed.near.closed);
  ck_assert_int_eq(bed.near.status, endings[_i].status);
  ck_assert_int_eq(bed.near.n_opened, 0);
  bed_close(&bed);
}
END_TEST

START_TEST(an_ended_stream_takes_a_refusal_as_well)
{
  struct bed bed;

  bed_open_by_hand(&bed);
  connect_to(&bed, (parley_endpoint){.address = PARLEY_LIT("mail.example:25"), .connect_ms = 700});
  endings[_i].end(&bed);
  bridge_answer(&bed.bridge, 0, PARLEY_CANCELLED, -1, "cancelled");
  peer_until(&bed.loop, &bed.near.closed);
  ck_assert_int_eq(bed.near.status, endings[_i].status);
  bed_close(&bed);
}
END_TEST

START_TEST(a_refused_connection_says_why)
{
  struct bed bed;

  bed_open_by_hand(&bed);
  connect_to(&bed, (parley_endpoint){.address = PARLEY_LIT("10.0.0.1:25")});
  bridge_answer(&bed.bridge, 0, PARLEY_DENIED, -1, "address_not_allowed");
  ck_assert(!bed.near.closed); /* not within the answer: its sender may not expect it */
  peer_until(&bed.loop, &bed.near.closed);
  ck_assert_int_eq(bed.near.status, PARLEY_DENIED);
  ck_assert_str_eq(bed.near.reason, "address_not_allowed");
  ck_assert_int_eq(bed.bridge.asks[0].n_cancelled, 0);
  bed_close(&bed);
}
END_TEST

START_TEST(an_answer_without_its_socket_is_a_failure)
{
  struct bed bed;

  bed_open_by_hand(&bed);
  connect_to(&bed, (parley_endpoint){.address = PARLEY_LIT("mail.example:25")});
  bed.bridge.asks[0].answered = true;
  bed.bridge.asks[0].done(&(struct stream_socket){.status = PARLEY_OK, .fd = -1}, bed.bridge.asks[0].arg);
  peer_until(&bed.loop, &bed.near.closed);
  ck_assert_int_eq(bed.near.status, PARLEY_FAILED);
  bed_close(&bed);
}
END_TEST

static void listen_by_hand(struct bed *bed, const char *address)
{
  parley_endpoint endpoint = {.size = sizeof(endpoint), .address = parley_text_of(address), .backlog = 7};

  bed->listener = stream_listen(bed->streams, &endpoint, &events, on_accepted, on_bound, bed);
  ck_assert_uint_eq(bed->bridge.asks[0].number, 7);
  ck_assert(bed->bridge.asks[0].listens);
}

static bool port_refuses(uint16_t port)
{
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  bool refused = connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0 && errno == ECONNREFUSED;

  close(fd);
  return refused;
}

START_TEST(a_handed_listening_socket_is_accepted_on)
{
  struct bed bed;
  uint16_t port;
  int fd, listening = peer_listen(&port);

  bed_open_by_hand(&bed);
  bed.n_fds--; /* `listening` is handed over */
  listen_by_hand(&bed, "127.0.0.1:0");
  peer_settle(&bed.loop);
  ck_assert(!bed.bound);
  bridge_answer(&bed.bridge, 0, PARLEY_OK, listening, "127.0.0.1:2525");
  peer_until(&bed.loop, &bed.bound);
  ck_assert_int_eq(bed.bound_status, PARLEY_OK);
  ck_assert_str_eq(bed.bound_at, "127.0.0.1:2525");
  fd = peer_connect(port);
  peer_until(&bed.loop, &bed.far.open);
  peer_say(&bed.loop, fd, "hi");
  until_got(&bed, &bed.far, 2);
  ck_assert(stream_cancel(bed.streams, bed.listener));
  ck_assert(!stream_cancel(bed.streams, bed.listener));
  ck_assert_int_eq(bed.bridge.asks[0].n_cancelled, 1);
  ck_assert(port_refuses(port));
  close(fd);
  bed_close(&bed);
}
END_TEST

START_TEST(a_listening_socket_that_comes_too_late_is_closed)
{
  struct bed bed;
  uint16_t port;
  int listening = peer_listen(&port);

  bed_open_by_hand(&bed);
  bed.n_fds--;
  listen_by_hand(&bed, "127.0.0.1:0");
  if (_i == 0)
    ck_assert(stream_cancel(bed.streams, bed.listener));
  else
    streams_close(&bed.streams, peer_flag, &bed.done);
  peer_settle(&bed.loop);
  ck_assert_int_eq(bed.bridge.asks[0].n_cancelled, 1);
  bridge_answer(&bed.bridge, 0, PARLEY_OK, listening, "127.0.0.1:2525");
  peer_until(&bed.loop, &bed.bound);
  ck_assert_int_eq(bed.bound_status, PARLEY_CANCELLED);
  ck_assert(port_refuses(port));
  bed_close(&bed);
  ck_assert_int_eq(bed.n_bound, 1);
}
END_TEST

START_TEST(a_refused_listener_says_why_and_is_not_cancelled)
{
  struct bed bed;

  bed_open_by_hand(&bed);
  listen_by_hand(&bed, "127.0.0.1:25");
  bridge_answer(&bed.bridge, 0, PARLEY_DENIED, -1, "127.0.0.1:25: permission denied");
  peer_until(&bed.loop, &bed.bound);
  ck_assert_int_eq(bed.bound_status, PARLEY_DENIED);
  ck_assert_str_eq(bed.bound_why, "127.0.0.1:25: permission denied");
  bed_close(&bed);
  ck_assert_int_eq(bed.bridge.asks[0].n_cancelled, 0);
  ck_assert_int_eq(bed.n_bound, 1);
}
END_TEST

/* --- Sockets for somebody else ------------------------------------------------------------------- */

struct got {
  bool told;
  int n, fd;
  parley_status status;
  char address[200], reason[300];
};

static void on_socket(const struct stream_socket *socket, void *arg)
{
  struct got *got = arg;

  ck_assert_int_eq(socket->status == PARLEY_OK, socket->fd >= 0);
  got->told = true;
  got->n++;
  got->fd = socket->fd;
  got->status = socket->status;
  snprintf(got->address, sizeof(got->address), "%.*s", TEXT_ARG(socket->address));
  snprintf(got->reason, sizeof(got->reason), "%.*s", TEXT_ARG(socket->reason));
}

static void bed_open_own(struct bed *bed)
{
  bed_border = false;
  bed_open(bed);
}

static void expect_flags(int fd)
{
  ck_assert(fcntl(fd, F_GETFL) & O_NONBLOCK);
  ck_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
}

static uint64_t dial(struct bed *bed, const char *address, uint32_t connect_ms, struct got *got)
{
  uint64_t id = stream_dial(bed->streams, parley_text_of(address), connect_ms, on_socket, got);

  ck_assert_uint_ne(id, 0);
  ck_assert(!got->told); /* never within the call */
  return id;
}

START_TEST(a_dialled_socket_is_connected_and_unread)
{
  struct bed bed;
  struct got got = {0};
  uint16_t port;
  int listening = peer_listen(&port), peer;
  char address[32], text[16];
  uint64_t id;

  bed_open_own(&bed);
  snprintf(address, sizeof(address), "127.0.0.1:%u", port);
  id = dial(&bed, address, 0, &got);
  peer = peer_accept(&bed.loop, listening);
  peer_say(&bed.loop, peer, "220 hello");
  peer_until(&bed.loop, &got.told);
  ck_assert_msg(got.status == PARLEY_OK, "%s", got.reason);
  ck_assert_str_eq(got.address, address);
  expect_flags(got.fd);
  ck_assert(!stream_cancel(bed.streams, id)); /* it is the callee's now */
  peer_settle(&bed.loop);
  peer_read(&bed.loop, got.fd, text, sizeof(text), "hello", NULL);
  ck_assert_str_eq(text, "220 hello");
  close(got.fd);
  close(peer);
  bed_close(&bed);
  close(listening);
  ck_assert_int_eq(got.n, 1);
}
END_TEST

START_TEST(what_is_dialled_stands_under_the_egress_rules)
{
  struct bed bed;
  struct got got = {0};

  bed_open_own(&bed);
  dial(&bed, "169.254.169.254:80", 0, &got);
  peer_until(&bed.loop, &got.told);
  ck_assert_int_eq(got.status, PARLEY_DENIED);
  ck_assert_int_eq(strncmp(got.reason, "address_not_allowed: ", 21), 0);
  bed_close(&bed);
}
END_TEST

/* Cancels in a turn behind its events, when nothing of what they ended is closed yet. */
struct canceller {
  uv_check_t check;
  struct streams *streams;
  struct got *got;
  uint64_t id;
  int turns;
  bool early, closed;
};

static void canceller_on_closed(uv_handle_t *handle)
{
  container_of((uv_check_t *)handle, struct canceller, check)->closed = true;
}

static void canceller_on_check(uv_check_t *check)
{
  struct canceller *canceller = container_of(check, struct canceller, check);

  if (canceller->turns-- > 0)
    return;
  canceller->early = !canceller->got->told;
  stream_cancel(canceller->streams, canceller->id);
  stream_cancel(canceller->streams, canceller->id);
  ck_assert_int_eq(canceller->early, !canceller->got->told);
  uv_close((uv_handle_t *)check, canceller_on_closed);
}

START_TEST(a_dial_can_be_cancelled_until_its_answer)
{
  struct bed bed;
  struct got got = {0};
  struct canceller canceller = {.got = &got, .turns = _i};
  uint16_t port;
  int listening = peer_listen(&port);
  char address[32];

  bed_open_own(&bed);
  snprintf(address, sizeof(address), "127.0.0.1:%u", port);
  uv_check_init(&bed.loop, &canceller.check);
  uv_check_start(&canceller.check, canceller_on_check);
  canceller.streams = bed.streams;
  canceller.id = dial(&bed, address, 0, &got);
  peer_until(&bed.loop, &canceller.closed);
  peer_until(&bed.loop, &got.told);
  ck_assert_int_eq(got.status, canceller.early ? PARLEY_CANCELLED : PARLEY_OK);
  if (got.fd >= 0)
    close(got.fd);
  bed_close(&bed);
  close(listening);
  ck_assert_int_eq(got.n, 1);
}
END_TEST

/* A port whose queue is full, so that it answers nobody. */
static int peer_listen_full(uint16_t *ret_port, int fill[4])
{
  int listening = peer_listen(ret_port);
  struct sockaddr_in to = {
      .sin_family = AF_INET, .sin_port = htons(*ret_port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

  ck_assert_int_eq(listen(listening, 0), 0);
  for (int i = 0; i < 4; i++) {
    fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    connect(fill[i], (struct sockaddr *)&to, sizeof(to));
  }
  return listening;
}

START_TEST(a_dial_that_nobody_answers_times_out)
{
  struct bed bed;
  struct got got = {0};
  uint16_t port;
  int fill[4], listening = peer_listen_full(&port, fill);
  char address[32];

  bed_open_own(&bed);
  snprintf(address, sizeof(address), "127.0.0.1:%u", port);
  dial(&bed, address, 700, &got);
  peer_settle(&bed.loop);
  ck_assert(!got.told);
  env_fake_step(&bed.env, 701);
  peer_until(&bed.loop, &got.told);
  ck_assert_int_eq(got.status, PARLEY_TIMEOUT);
  ck_assert_str_eq(got.reason, "timeout: not connected in time");
  bed_close(&bed);
  for (int i = 0; i < 4; i++)
    close(fill[i]);
  close(listening);
}
END_TEST

START_TEST(closing_the_owner_answers_what_is_dialled_and_bound)
{
  struct bed bed;
  struct got dialled = {0}, bound = {0}, kept = {0};

  bed_open_own(&bed);
  stream_bind(bed.streams, PARLEY_LIT("127.0.0.1:0"), 0, on_socket, &kept);
  peer_until(&bed.loop, &kept.told);
  dial(&bed, "name.invalid:25", 0, &dialled);
  stream_bind(bed.streams, PARLEY_LIT("127.0.0.1:0"), 0, on_socket, &bound);
  ck_assert(!bound.told);
  streams_close(&bed.streams, peer_flag, &bed.done);
  ck_assert(!dialled.told && !bound.told);
  close(kept.fd);
  bed_close(&bed);
  ck_assert_int_eq(dialled.n, 1);
  ck_assert_int_eq(dialled.status, PARLEY_CANCELLED);
  ck_assert_int_eq(bound.n, 1);
  ck_assert_int_eq(bound.status, PARLEY_CANCELLED);
}
END_TEST

static uint16_t port_of(const char *address)
{
  return (uint16_t)strtoul(strrchr(address, ':') + 1, NULL, 10);
}

START_TEST(a_bound_socket_listens_until_it_is_cancelled)
{
  struct bed bed;
  struct got got = {0}, again = {0};
  uint64_t id;
  int fd;

  bed_open_own(&bed);
  id = stream_bind(bed.streams, PARLEY_LIT("127.0.0.1:0"), 16, on_socket, &got);
  peer_until(&bed.loop, &got.told);
  ck_assert_msg(got.status == PARLEY_OK, "%s", got.reason);
  expect_flags(got.fd);
  fd = peer_connect(port_of(got.address));
  close(peer_accept(&bed.loop, got.fd));
  close(fd);
  stream_bind(bed.streams, parley_text_of(got.address), 16, on_socket, &again);
  peer_until(&bed.loop, &again.told);
  ck_assert_int_eq(again.status, PARLEY_BUSY); /* without streams_inherit nobody shares */
  close(got.fd);
  ck_assert(!port_refuses(port_of(got.address))); /* one is kept for an heir */
  ck_assert(stream_cancel(bed.streams, id));
  ck_assert(!stream_cancel(bed.streams, id));
  ck_assert(port_refuses(port_of(got.address)));
  bed_close(&bed);
}
END_TEST

START_TEST(a_bind_can_be_cancelled_before_its_answer)
{
  struct bed bed;
  struct got got = {0};

  bed_open_own(&bed);
  ck_assert(stream_cancel(bed.streams, stream_bind(bed.streams, PARLEY_LIT("127.0.0.1:0"), 0, on_socket, &got)));
  ck_assert(!got.told);
  peer_until(&bed.loop, &got.told);
  ck_assert_int_eq(got.status, PARLEY_CANCELLED);
  bed_close(&bed);
  ck_assert_int_eq(got.n, 1);
}
END_TEST

START_TEST(what_cannot_be_bound_says_why)
{
  static const struct {
    parley_text address;
    parley_status status;
    const char *reason;
  } rows[] = {
      {PARLEY_LIT("localhost:0"), PARLEY_INVALID, "localhost:0: neither address:port nor unix:/path"},
      {PARLEY_LIT("unix:here"), PARLEY_INVALID, "unix:here: neither address:port nor unix:/path"},
      {PARLEY_LIT("unix:/nowhere/at/all"), PARLEY_INVALID, "unix:/nowhere/at/all: no such file or directory"},
      {PARLEY_LIT("192.0.2.1:0"), PARLEY_INVALID, "192.0.2.1:0: address not available"},
      {PARLEY_LIT("127.0.0.1:0\0x"), PARLEY_INVALID, "address_invalid: empty, or longer than 319 bytes"},
      {PARLEY_LIT(""), PARLEY_INVALID, "address_invalid: empty, or longer than 319 bytes"},
  };
  struct bed bed;

  bed_open_own(&bed);
  for (size_t i = 0; i < COUNT_OF(rows); i++) {
    struct got got = {0};

    stream_bind(bed.streams, rows[i].address, 0, on_socket, &got);
    peer_until(&bed.loop, &got.told);
    ck_assert_int_eq(got.status, rows[i].status);
    ck_assert_str_eq(got.reason, rows[i].reason);
  }
  bed_close(&bed);
}
END_TEST

START_TEST(listening_sockets_of_one_owner_are_bounded)
{
  struct bed bed;
  struct got got = {0};

  bed_open_own(&bed);
  for (int i = 0; i < STREAM_BINDS_MAX; i++) {
    got.told = false;
    stream_bind(bed.streams, PARLEY_LIT("127.0.0.1:0"), 0, on_socket, &got);
    peer_until(&bed.loop, &got.told);
    ck_assert_msg(got.status == PARLEY_OK, "%d: %s", i, got.reason);
    close(got.fd);
  }
  got.told = false;
  stream_bind(bed.streams, PARLEY_LIT("127.0.0.1:0"), 0, on_socket, &got);
  peer_until(&bed.loop, &got.told);
  ck_assert_int_eq(got.status, PARLEY_BUSY);
  bed_close(&bed);
}
END_TEST

/* --- Heirs ------------------------------------------------------------------------------------------ */

/* One instance of a channel: it greets whoever it accepts. With a border its sockets are made by `core`. */
struct instance {
  struct bed *bed;
  struct bridge bridge;
  struct streams *core, *streams;
  uint64_t listener;
  bool border, bound, gone, core_gone;
  parley_status status;
  char bound_at[200], why[300];
  int n_accepted, n_open;
};
struct greeting {
  struct instance *instance;
  uint64_t id;
};

static void greeting_opened(const parley_peer *peer, void *arg)
{
  struct greeting *greeting = arg;

  (void)peer;
  stream_write(greeting->instance->streams, greeting->id, PARLEY_LIT("hello"));
  stream_shut(greeting->instance->streams, greeting->id, 0);
}

static size_t greeting_data(parley_bytes bytes, void *arg)
{
  (void)arg;
  return bytes.len;
}

static void greeting_closed(const parley_result *result, void *arg)
{
  struct greeting *greeting = arg;

  (void)result;
  greeting->instance->n_open--;
  free(greeting);
}

static const parley_stream_events greetings = {
    .size = sizeof(greetings), .opened = greeting_opened, .data = greeting_data, .closed = greeting_closed};

static void *instance_on_accepted(uint64_t stream, const parley_peer *peer, void *arg)
{
  struct instance *instance = arg;
  struct greeting *greeting = calloc(1, sizeof(*greeting));

  (void)peer;
  instance->n_accepted++;
  instance->n_open++;
  *greeting = (struct greeting){instance, stream};
  return greeting;
}

static void instance_on_bound(const parley_result *result, void *arg)
{
  struct instance *instance = arg;

  instance->bound = true;
  instance->status = result->status;
  snprintf(instance->bound_at, sizeof(instance->bound_at), "%.*s", TEXT_ARG(result->value));
  snprintf(instance->why, sizeof(instance->why), "%.*s", TEXT_ARG(result->reason));
}

static void instance_open(struct bed *bed, struct instance *instance, bool border, struct instance *older)
{
  memset(instance, 0, sizeof(*instance));
  instance->bed = bed;
  instance->border = border;
  instance->core = instance->streams = streams_new(&bed->loop, &bed->env.env, bed->dns, bed->egress, NULL);
  if (border) {
    bridge_init(&instance->bridge, instance->core);
    instance->streams = streams_new(&bed->loop, &bed->env.env, NULL, NULL, &instance->bridge.connector);
  }
  if (older != NULL)
    streams_inherit(instance->core, older->core);
}

static void instance_listen(struct instance *instance, const char *address)
{
  parley_endpoint endpoint = {.size = sizeof(endpoint), .address = parley_text_of(address)};

  instance->bound = false;
  instance->listener =
      stream_listen(instance->streams, &endpoint, &greetings, instance_on_accepted, instance_on_bound, instance);
  peer_until(&instance->bed->loop, &instance->bound);
  ck_assert_msg(instance->status == PARLEY_OK, "%s: %s", address, instance->why);
}

static void instance_close(struct instance *instance)
{
  streams_close(&instance->streams, peer_flag, &instance->gone);
  peer_until(&instance->bed->loop, &instance->gone);
  if (!instance->border)
    return;
  bridge_check(&instance->bridge);
  streams_close(&instance->core, peer_flag, &instance->core_gone);
  peer_until(&instance->bed->loop, &instance->core_gone);
}

/* As a channel drains: it takes nobody more, and finishes with those it has. */
static void instance_drain(struct instance *instance)
{
  uint64_t deadline = peer_deadline();

  stream_cancel(instance->streams, instance->listener);
  while (instance->n_open > 0 && !peer_late(deadline))
    peer_turn(&instance->bed->loop, -1, 0, 20);
  ck_assert_int_eq(instance->n_open, 0);
}

static void expect_greeting(struct bed *bed, int fd)
{
  char text[16];

  peer_read(&bed->loop, fd, text, sizeof(text), "hello", NULL);
  ck_assert_str_eq(text, "hello");
  close(fd);
}

#define GENERATIONS 12
#define BETWEEN 5 /* connections between two steps of a handing over */

static void connect_some(struct bed *bed, uint16_t port, int *fds, int *n)
{
  for (int i = 0; i < BETWEEN; i++) {
    fds[(*n)++] = peer_connect(port); /* fails the test when it is refused */
    uv_run(&bed->loop, UV_RUN_NOWAIT);
  }
}

/* _i: whether the even and the odd generations stand behind a border. */
START_TEST(connections_come_while_generation_follows_generation)
{
  struct bed bed;
  struct instance instances[GENERATIONS];
  int fds[GENERATIONS * BETWEEN * 4], n = 0, n_accepted = 0;
  char address[200];
  uint16_t port;

  bed_open_own(&bed);
  instance_open(&bed, &instances[0], _i & 1, NULL);
  instance_listen(&instances[0], "127.0.0.1:0");
  memcpy(address, instances[0].bound_at, sizeof(address));
  port = port_of(address);
  for (int i = 1; i < GENERATIONS; i++) {
    connect_some(&bed, port, fds, &n);
    instance_open(&bed, &instances[i], (_i >> (i & 1)) & 1, &instances[i - 1]);
    connect_some(&bed, port, fds, &n);
    instance_listen(&instances[i], address);
    ck_assert_str_eq(instances[i].bound_at, address);
    connect_some(&bed, port, fds, &n);
    instance_drain(&instances[i - 1]);
    instance_close(&instances[i - 1]);
    n_accepted += instances[i - 1].n_accepted;
  }
  connect_some(&bed, port, fds, &n);
  for (int i = 0; i < n; i++)
    expect_greeting(&bed, fds[i]);
  instance_close(&instances[GENERATIONS - 1]);
  ck_assert_int_eq(n_accepted + instances[GENERATIONS - 1].n_accepted, n);
  ck_assert(port_refuses(port)); /* the last one closes it */
  bed_close(&bed);
}
END_TEST

START_TEST(an_heir_may_listen_when_the_older_one_is_gone)
{
  struct bed bed;
  struct instance older, heir;
  int fd;

  bed_open_own(&bed);
  instance_open(&bed, &older, _i & 1, NULL);
  instance_listen(&older, "127.0.0.1:0");
  instance_open(&bed, &heir, (_i >> 1) & 1, &older);
  instance_close(&older);
  fd = peer_connect(port_of(older.bound_at)); /* waits in the socket's queue */
  instance_listen(&heir, older.bound_at);
  expect_greeting(&bed, fd);
  instance_close(&heir);
  ck_assert(port_refuses(port_of(older.bound_at)));
  bed_close(&bed);
}
END_TEST

static void some_ticks(struct bed *bed)
{
  uint64_t until = uv_hrtime() / 1000000 + 250;

  while (!peer_late(until))
    peer_turn(&bed->loop, -1, 0, 20);
}

START_TEST(what_an_heir_does_not_ask_for_is_let_go)
{
  struct bed bed;
  struct instance older, heir;
  uint64_t deadline = peer_deadline();
  uint16_t port;

  bed_open_own(&bed);
  instance_open(&bed, &older, false, NULL);
  instance_listen(&older, "127.0.0.1:0");
  port = port_of(older.bound_at);
  instance_open(&bed, &heir, false, &older);
  env_fake_step(&bed.env, STREAM_HEIR_MS); /* while the older one listens, no time runs */
  instance_close(&older);
  env_fake_step(&bed.env, STREAM_HEIR_MS - 1);
  some_ticks(&bed);
  ck_assert(!port_refuses(port));
  env_fake_step(&bed.env, 1);
  while (!port_refuses(port) && !peer_late(deadline))
    peer_turn(&bed.loop, -1, 0, 20);
  ck_assert(port_refuses(port));
  instance_listen(&heir, older.bound_at); /* anew */
  instance_close(&heir);
  bed_close(&bed);
}
END_TEST

START_TEST(an_heir_that_is_refused_leaves_all_with_the_older_one)
{
  struct bed bed;
  struct instance older, heir;
  char dir[] = "/tmp/parley-net-XXXXXX", address[64];
  int fd;

  ck_assert_ptr_nonnull(mkdtemp(dir));
  snprintf(address, sizeof(address), "unix:%s/s", dir);
  bed_open_own(&bed);
  instance_open(&bed, &older, _i & 1, NULL);
  instance_listen(&older, address);
  instance_open(&bed, &heir, (_i >> 1) & 1, &older);
  instance_listen(&heir, address);
  instance_close(&heir);
  fd = unix_connect(address + 5);
  expect_greeting(&bed, fd);
  ck_assert_int_eq(older.n_accepted, 1);
  instance_close(&older);
  bed_close(&bed);
  ck_assert_int_eq(rmdir(dir), 0); /* the file went with the last one */
}
END_TEST

START_TEST(a_socket_file_stays_as_long_as_somebody_listens)
{
  struct bed bed;
  struct instance older, heir;
  char dir[] = "/tmp/parley-net-XXXXXX", address[64];
  int fd;

  ck_assert_ptr_nonnull(mkdtemp(dir));
  snprintf(address, sizeof(address), "unix:%s/s", dir);
  bed_open_own(&bed);
  instance_open(&bed, &older, _i & 1, NULL);
  instance_listen(&older, address);
  instance_open(&bed, &heir, (_i >> 1) & 1, &older);
  instance_listen(&heir, address);
  ck_assert_str_eq(heir.bound_at, address);
  instance_close(&older);
  fd = unix_connect(address + 5);
  expect_greeting(&bed, fd);
  ck_assert_int_eq(heir.n_accepted, 1);
  instance_close(&heir);
  bed_close(&bed);
  ck_assert_int_eq(rmdir(dir), 0);
}
END_TEST

START_TEST(two_sockets_that_were_asked_for_alike_are_both_inherited)
{
  struct bed bed;
  struct instance older, heir;
  char first[200], second[200];

  bed_open_own(&bed);
  instance_open(&bed, &older, false, NULL);
  instance_listen(&older, "127.0.0.1:0");
  memcpy(first, older.bound_at, sizeof(first));
  instance_listen(&older, "127.0.0.1:0");
  memcpy(second, older.bound_at, sizeof(second));
  ck_assert_str_ne(first, second);
  instance_open(&bed, &heir, false, &older);
  instance_listen(&heir, "127.0.0.1:0");
  ck_assert_str_eq(heir.bound_at, first);
  instance_listen(&heir, second); /* the very address will do as well */
  ck_assert_str_eq(heir.bound_at, second);
  instance_listen(&heir, "127.0.0.1:0");
  ck_assert_str_ne(heir.bound_at, first);
  ck_assert_str_ne(heir.bound_at, second);
  instance_close(&older);
  instance_close(&heir);
  bed_close(&bed);
}
END_TEST

/* A process dies, and the core starts it again: its sockets wait for it. */
START_TEST(an_owner_may_be_its_own_heir)
{
  struct bed bed;
  struct got first = {0}, second = {0}, third = {0};
  uint64_t id;
  int fd;

  bed_open_own(&bed);
  id = stream_bind(bed.streams, PARLEY_LIT("127.0.0.1:0"), 0, on_socket, &first);
  peer_until(&bed.loop, &first.told);
  close(first.fd); /* with the process */
  streams_inherit(bed.streams, bed.streams);
  streams_inherit(bed.streams, bed.streams); /* no second place for the same socket */
  stream_cancel(bed.streams, id);
  fd = peer_connect(port_of(first.address));
  stream_bind(bed.streams, PARLEY_LIT("127.0.0.1:0"), 0, on_socket, &second);
  peer_until(&bed.loop, &second.told);
  ck_assert_str_eq(second.address, first.address);
  close(peer_accept(&bed.loop, second.fd));
  stream_bind(bed.streams, PARLEY_LIT("127.0.0.1:0"), 0, on_socket, &third); /* nothing more is inherited */
  peer_until(&bed.loop, &third.told);
  ck_assert_str_ne(third.address, first.address);
  close(second.fd);
  close(third.fd);
  close(fd);
  bed_close(&bed);
  ck_assert(port_refuses(port_of(first.address)));
}
END_TEST

static TCase *connectors(void)
{
  TCase *tcase = tcase_create("connector");

  tcase_add_test(tcase, a_handed_socket_becomes_the_stream);
  tcase_add_loop_test(tcase, a_socket_that_comes_too_late_is_closed, 0, COUNT_OF(endings));
  tcase_add_loop_test(tcase, an_ended_stream_takes_a_refusal_as_well, 0, COUNT_OF(endings));
  tcase_add_test(tcase, a_refused_connection_says_why);
  tcase_add_test(tcase, an_answer_without_its_socket_is_a_failure);
  tcase_add_test(tcase, a_handed_listening_socket_is_accepted_on);
  tcase_add_loop_test(tcase, a_listening_socket_that_comes_too_late_is_closed, 0, 2);
  tcase_add_test(tcase, a_refused_listener_says_why_and_is_not_cancelled);
  return tcase;
}

static TCase *sockets(void)
{
  TCase *tcase = tcase_create("sockets for others");

  tcase_add_test(tcase, a_dialled_socket_is_connected_and_unread);
  tcase_add_test(tcase, what_is_dialled_stands_under_the_egress_rules);
  tcase_add_loop_test(tcase, a_dial_can_be_cancelled_until_its_answer, 0, 8);
  tcase_add_test(tcase, a_dial_that_nobody_answers_times_out);
  tcase_add_test(tcase, closing_the_owner_answers_what_is_dialled_and_bound);
  tcase_add_test(tcase, a_bound_socket_listens_until_it_is_cancelled);
  tcase_add_test(tcase, a_bind_can_be_cancelled_before_its_answer);
  tcase_add_test(tcase, what_cannot_be_bound_says_why);
  tcase_add_test(tcase, listening_sockets_of_one_owner_are_bounded);
  return tcase;
}

static TCase *heirs(void)
{
  TCase *tcase = tcase_create("heirs");

  tcase_set_timeout(tcase, 60);
  tcase_add_loop_test(tcase, connections_come_while_generation_follows_generation, 0, 4);
  tcase_add_loop_test(tcase, an_heir_may_listen_when_the_older_one_is_gone, 0, 4);
  tcase_add_test(tcase, what_an_heir_does_not_ask_for_is_let_go);
  tcase_add_loop_test(tcase, an_heir_that_is_refused_leaves_all_with_the_older_one, 0, 4);
  tcase_add_loop_test(tcase, a_socket_file_stays_as_long_as_somebody_listens, 0, 4);
  tcase_add_test(tcase, two_sockets_that_were_asked_for_alike_are_both_inherited);
  tcase_add_test(tcase, an_owner_may_be_its_own_heir);
  return tcase;
}

int main(void)
{
  Suite *suite = suite_create("net: where sockets come from");

  suite_add_tcase(suite, connectors());
  suite_add_tcase(suite, sockets());
  suite_add_tcase(suite, heirs());
  return peer_main(suite);
}
