/* net_stream_bed.h - two ends of a byte stream for tests, on one loop with a clock that tests move. The sockets are the
 * streams' own, or made by another owner, as over the process border. */
#ifndef TESTS_UNIT_NET_STREAM_BED_H
#define TESTS_UNIT_NET_STREAM_BED_H
#include "core/base/buf.h"
#include "core/base/env.h"
#include "core/base/text.h"
#include "core/net/stream.h"
#include "net_cert.h"
#include "net_peer.h"
#include <dirent.h>
#include <stdio.h>
#include <sys/un.h>

#define BRIDGE_ASKS_MAX 64

/* How many file descriptors this process has open. */
static inline int fds_open(void)
{
  DIR *dir = opendir("/proc/self/fd");
  int n = 0;

  ck_assert_ptr_nonnull(dir);
  while (readdir(dir) != NULL)
    n++;
  closedir(dir);
  return n;
}

static inline int unix_connect(const char *path)
{
  struct sockaddr_un at = {.sun_family = AF_UNIX};
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

  snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
  ck_assert_int_eq(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
  fcntl(fd, F_SETFL, O_NONBLOCK);
  return fd;
}

/* One end of a stream, and what it has seen. */
struct end {
  struct bed *bed;
  uint64_t id;
  struct buf got;   /* used bytes */
  char offered[64]; /* the last offer, cut */
  size_t use;       /* 0: all; else at most this much a call */
  bool use_nothing, open, closed, tls_after, tls_server;
  int n_opened, n_data, n_writable, n_closed;
  uint32_t secured;
  parley_status status;
  char reason[200], subject[64], version[32], address[64];
  uint64_t unused;
};

/* --- The process border, in small ------------------------------------------------------------- */

/* A connector whose sockets another owner makes (`core`), or the test by hand. */
struct bridge_ask {
  struct bridge *bridge;
  uint64_t core_id;
  stream_socket_done *done;
  void *arg;
  char address[200];
  uint32_t number; /* connect_ms or backlog */
  bool listens, answered, ok;
  int n_cancelled;
};
struct bridge {
  struct stream_connector connector;
  struct streams *core;
  bool by_hand;
  struct bridge_ask asks[BRIDGE_ASKS_MAX];
  size_t n_asks;
};

static inline void bridge_on_socket(const struct stream_socket *socket, void *arg)
{
  struct bridge_ask *ask = arg;

  ck_assert(!ask->answered);
  ask->answered = true;
  ask->ok = socket->status == PARLEY_OK;
  ck_assert_int_eq(ask->ok, socket->fd >= 0);
  ask->done(socket, ask->arg);
}

/* As the core's own, when the test plays the core. */
static inline void bridge_answer(struct bridge *bridge, size_t at, parley_status status, int fd, const char *text)
{
  struct stream_socket socket = {.status = status, .fd = fd};

  ck_assert_uint_lt(at, bridge->n_asks);
  if (status == PARLEY_OK)
    socket.address = parley_text_of(text);
  else
    socket.reason = parley_text_of(text);
  bridge_on_socket(&socket, &bridge->asks[at]);
}

static inline struct bridge_ask *bridge_ask(struct bridge *bridge, parley_text address, uint32_t number,
                                            stream_socket_done *done, void *arg)
{
  struct bridge_ask *ask = &bridge->asks[bridge->n_asks++];

  ck_assert_uint_le(bridge->n_asks, BRIDGE_ASKS_MAX);
  ck_assert_uint_gt(number, 0);
  *ask = (struct bridge_ask){.bridge = bridge, .done = done, .arg = arg, .number = number};
  snprintf(ask->address, sizeof(ask->address), "%.*s", TEXT_ARG(address));
  return ask;
}

static inline uint64_t bridge_dial(const struct stream_connector *self, parley_text address, uint32_t connect_ms,
                                   stream_socket_done *done, void *arg)
{
  struct bridge *bridge = self->impl;
  struct bridge_ask *ask = bridge_ask(bridge, address, connect_ms, done, arg);

  if (!bridge->by_hand)
    ask->core_id = stream_dial(bridge->core, address, connect_ms, bridge_on_socket, ask);
  return bridge->n_asks;
}

static inline uint64_t bridge_listen(const struct stream_connector *self, parley_text address, uint32_t backlog,
                                     stream_socket_done *done, void *arg)
{
  struct bridge *bridge = self->impl;
  struct bridge_ask *ask = bridge_ask(bridge, address, backlog, done, arg);

  ask->listens = true;
  if (!bridge->by_hand)
    ask->core_id = stream_bind(bridge->core, address, backlog, bridge_on_socket, ask);
  return bridge->n_asks;
}

static inline void bridge_cancel(const struct stream_connector *self, uint64_t id)
{
  struct bridge *bridge = self->impl;
  struct bridge_ask *ask = &bridge->asks[id - 1];

  ck_assert_uint_le(id, bridge->n_asks);
  ck_assert_int_eq(ask->n_cancelled++, 0);
  ck_assert(!ask->answered || (ask->listens && ask->ok));
  if (!bridge->by_hand)
    ck_assert(stream_cancel(bridge->core, ask->core_id));
}

static inline void bridge_init(struct bridge *bridge, struct streams *core)
{
  memset(bridge, 0, sizeof(*bridge));
  bridge->core = core;
  bridge->by_hand = core == NULL;
  bridge->connector =
      (struct stream_connector){.dial = bridge_dial, .listen = bridge_listen, .cancel = bridge_cancel, .impl = bridge};
}

/* After its streams have closed: each ask was answered, each socket that listened was let go. */
static inline void bridge_check(const struct bridge *bridge)
{
  for (size_t i = 0; i < bridge->n_asks; i++) {
    ck_assert_msg(bridge->asks[i].answered, "%s was not answered", bridge->asks[i].address);
    if (bridge->asks[i].listens && bridge->asks[i].ok)
      ck_assert_int_eq(bridge->asks[i].n_cancelled, 1);
  }
}

/* --- The bed ----------------------------------------------------------------------------------- */

static bool bed_border; /* beds are made with a border between the streams and their sockets */

struct bed {
  uv_loop_t loop;
  struct env_fake env;
  struct dns *dns;
  struct egress *egress;
  struct streams *streams;
  struct bridge bridge; /* when there is a border */
  int n_fds;
  struct end near, far; /* connected, accepted */
  struct end *next_accepted;
  uint64_t listener;
  char bound_at[200], bound_why[300];
  int n_bound;
  bool bound, done, dns_done;
  parley_status bound_status;
  struct net_cert cert;
  parley_tls server_tls, client_tls;
};

static inline void on_opened(const parley_peer *peer, void *arg)
{
  struct end *end = arg;

  end->open = true;
  end->n_opened++;
  end->secured = peer->secured;
  snprintf(end->subject, sizeof(end->subject), "%.*s", TEXT_ARG(peer->tls_subject));
  snprintf(end->version, sizeof(end->version), "%.*s", TEXT_ARG(peer->tls_version));
  snprintf(end->address, sizeof(end->address), "%.*s", TEXT_ARG(peer->address));
}

static inline size_t on_data(parley_bytes bytes, void *arg)
{
  struct end *end = arg;
  size_t used = end->use_nothing ? 0 : end->use > 0 && end->use < bytes.len ? end->use : bytes.len;

  end->n_data++;
  snprintf(end->offered, sizeof(end->offered), "%.*s", (int)(bytes.len < 60 ? bytes.len : 60), bytes.at);
  buf_add(&end->got, bytes.at, used);
  if (end->tls_after && text_find(bytes, '!') < bytes.len) { /* '!' is this protocol's STARTTLS */
    size_t line = text_find(bytes, '!') + 1;

    end->tls_after = false;
    if (end->tls_server)
      stream_write(end->bed->streams, end->id, PARLEY_LIT("!"));
    stream_secure(end->bed->streams, end->id, end->tls_server ? &end->bed->server_tls : &end->bed->client_tls,
                  end->tls_server, end->unused ? end->unused : 0);
    used = line;
  }
  return used;
}

static inline void on_writable(void *arg)
{
  ((struct end *)arg)->n_writable++;
}

static inline void on_closed(const parley_result *result, void *arg)
{
  struct end *end = arg;

  end->closed = true;
  end->n_closed++;
  end->status = result->status;
  snprintf(end->reason, sizeof(end->reason), "%.*s", TEXT_ARG(result->reason));
}

static const parley_stream_events events = {
    .size = sizeof(events), .opened = on_opened, .data = on_data, .writable = on_writable, .closed = on_closed};

static inline void *on_accepted(uint64_t stream, const parley_peer *peer, void *arg)
{
  struct bed *bed = arg;
  struct end *end = bed->next_accepted;

  (void)peer;
  if (end != NULL)
    end->id = stream;
  return end;
}

static inline void on_bound(const parley_result *result, void *arg)
{
  struct bed *bed = arg;

  bed->bound = true;
  bed->n_bound++;
  bed->bound_status = result->status;
  snprintf(bed->bound_at, sizeof(bed->bound_at), "%.*s", TEXT_ARG(result->value));
  snprintf(bed->bound_why, sizeof(bed->bound_why), "%.*s", TEXT_ARG(result->reason));
}

static inline void bed_open(struct bed *bed)
{
  static const parley_text allow[] = {PARLEY_LIT("127.0.0.0/8"), PARLEY_LIT("::1")};
  parley_text bad;

  memset(bed, 0, sizeof(*bed));
  ck_assert_int_eq(uv_loop_init(&bed->loop), 0);
  ck_assert_int_eq(uv_loop_close(&bed->loop), 0); /* the first loop of a process leaves a pipe */
  bed->n_fds = fds_open();
  ck_assert_int_eq(uv_loop_init(&bed->loop), 0);
  env_fake_init(&bed->env, 1);
  ck_assert_int_eq(dns_new(&bed->loop, &bed->env.env, "127.0.0.1:1", &bed->dns), PARLEY_OK);
  ck_assert_int_eq(egress_new(allow, 2, NULL, 0, &bed->egress, &bad), PARLEY_OK);
  bed->streams = streams_new(&bed->loop, &bed->env.env, bed->dns, bed->egress, NULL);
  if (bed_border) {
    bridge_init(&bed->bridge, bed->streams);
    bed->streams = streams_new(&bed->loop, &bed->env.env, NULL, NULL, &bed->bridge.connector);
  }
  bed->near.bed = bed->far.bed = bed;
  bed->next_accepted = &bed->far;
  net_cert_make(&bed->cert, "DNS:localhost,IP:127.0.0.1", 2);
  bed->server_tls = (parley_tls){
      .size = sizeof(parley_tls), .cert_pem = parley_text_of(bed->cert.cert), .key_pem = parley_text_of(bed->cert.key)};
  bed->client_tls = (parley_tls){.size = sizeof(parley_tls), .ca_pem = parley_text_of(bed->cert.cert)};
}

static inline void listen_at(struct bed *bed, parley_endpoint endpoint)
{
  endpoint.size = sizeof(endpoint);
  bed->bound = false;
  bed->listener = stream_listen(bed->streams, &endpoint, &events, on_accepted, on_bound, bed);
  ck_assert(!bed->bound);
  peer_until(&bed->loop, &bed->bound);
}

static inline void connect_to(struct bed *bed, parley_endpoint endpoint)
{
  endpoint.size = sizeof(endpoint);
  if (endpoint.address.len == 0)
    endpoint.address = parley_text_of(bed->bound_at);
  bed->near.id = stream_connect(bed->streams, &endpoint, &events, &bed->near);
  ck_assert(!bed->near.open && !bed->near.closed);
}

/* Listens and connects, each with its endpoint's settings. */
static inline void join(struct bed *bed, parley_endpoint server, parley_endpoint client)
{
  if (server.address.len == 0)
    server.address = PARLEY_LIT("127.0.0.1:0");
  listen_at(bed, server);
  ck_assert_msg(bed->bound_status == PARLEY_OK, "%s", bed->bound_why);
  connect_to(bed, client);
  peer_until(&bed->loop, &bed->near.open);
  peer_until(&bed->loop, &bed->far.open);
}

static inline void until_got(struct bed *bed, struct end *end, size_t len)
{
  uint64_t deadline = peer_deadline();

  while (end->got.len < len && !peer_late(deadline) && !end->closed)
    peer_turn(&bed->loop, -1, 0, 10);
  ck_assert_msg(end->got.len >= len, "%zu of %zu: %s", end->got.len, len, end->reason);
}

static inline void say(struct end *end, const char *text)
{
  stream_write(end->bed->streams, end->id, parley_text_of(text));
}

static inline void bed_close(struct bed *bed)
{
  if (bed->streams != NULL)
    streams_close(&bed->streams, peer_flag, &bed->done);
  peer_until(&bed->loop, &bed->done);
  if (bed_border) {
    bed->done = false;
    bridge_check(&bed->bridge);
    streams_close(&bed->bridge.core, peer_flag, &bed->done);
    peer_until(&bed->loop, &bed->done);
  }
  dns_close(&bed->dns, peer_flag, &bed->dns_done);
  peer_until(&bed->loop, &bed->dns_done);
  egress_free(&bed->egress);
  ck_assert_int_le(bed->near.n_closed, 1);
  ck_assert_int_le(bed->far.n_closed, 1);
  buf_done(&bed->near.got);
  buf_done(&bed->far.got);
  peer_loop_end(&bed->loop);
  ck_assert_int_eq(fds_open(), bed->n_fds);
}
#endif
