#include "core/base/buf.h"
#include "core/base/env.h"
#include "core/base/text.h"
#include "core/net/stream.h"
#include "net_cert.h"
#include "net_peer.h"
#include <stdio.h>
#include <sys/stat.h>

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
  char reason[200], subject[64], version[32];
  uint64_t unused;
};

struct bed {
  uv_loop_t loop;
  struct env_fake env;
  struct dns *dns;
  struct egress *egress;
  struct streams *streams;
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

static void on_opened(const parley_peer *peer, void *arg)
{
  struct end *end = arg;

  end->open = true;
  end->n_opened++;
  end->secured = peer->secured;
  snprintf(end->subject, sizeof(end->subject), "%.*s", TEXT_ARG(peer->tls_subject));
  snprintf(end->version, sizeof(end->version), "%.*s", TEXT_ARG(peer->tls_version));
}

static size_t on_data(parley_bytes bytes, void *arg)
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

static void on_writable(void *arg)
{
  ((struct end *)arg)->n_writable++;
}

static void on_closed(const parley_result *result, void *arg)
{
  struct end *end = arg;

  end->closed = true;
  end->n_closed++;
  end->status = result->status;
  snprintf(end->reason, sizeof(end->reason), "%.*s", TEXT_ARG(result->reason));
}

static const parley_stream_events events = {
    .size = sizeof(events), .opened = on_opened, .data = on_data, .writable = on_writable, .closed = on_closed};

static void *on_accepted(uint64_t stream, const parley_peer *peer, void *arg)
{
  struct bed *bed = arg;
  struct end *end = bed->next_accepted;

  (void)peer;
  if (end != NULL)
    end->id = stream;
  return end;
}

static void on_bound(const parley_result *result, void *arg)
{
  struct bed *bed = arg;

  bed->bound = true;
  bed->n_bound++;
  bed->bound_status = result->status;
  snprintf(bed->bound_at, sizeof(bed->bound_at), "%.*s", TEXT_ARG(result->value));
  snprintf(bed->bound_why, sizeof(bed->bound_why), "%.*s", TEXT_ARG(result->reason));
}

static void bed_open(struct bed *bed)
{
  static const parley_text allow[] = {PARLEY_LIT("127.0.0.0/8"), PARLEY_LIT("::1")};
  parley_text bad;

  memset(bed, 0, sizeof(*bed));
  ck_assert_int_eq(uv_loop_init(&bed->loop), 0);
  env_fake_init(&bed->env, 1);
  ck_assert_int_eq(dns_new(&bed->loop, &bed->env.env, "127.0.0.1:1", &bed->dns), PARLEY_OK);
  ck_assert_int_eq(egress_new(allow, 2, NULL, 0, &bed->egress, &bad), PARLEY_OK);
  bed->streams = streams_new(&bed->loop, &bed->env.env, bed->dns, bed->egress);
  bed->near.bed = bed->far.bed = bed;
  bed->next_accepted = &bed->far;
  net_cert_make(&bed->cert, "DNS:localhost,IP:127.0.0.1", 2);
  bed->server_tls = (parley_tls){
      .size = sizeof(parley_tls), .cert_pem = parley_text_of(bed->cert.cert), .key_pem = parley_text_of(bed->cert.key)};
  bed->client_tls = (parley_tls){.size = sizeof(parley_tls), .ca_pem = parley_text_of(bed->cert.cert)};
}

static void listen_at(struct bed *bed, parley_endpoint endpoint)
{
  endpoint.size = sizeof(endpoint);
  bed->bound = false;
  bed->listener = stream_listen(bed->streams, &endpoint, &events, on_accepted, on_bound, bed, NULL);
  ck_assert(!bed->bound);
  peer_until(&bed->loop, &bed->bound);
}

static void connect_to(struct bed *bed, parley_endpoint endpoint)
{
  endpoint.size = sizeof(endpoint);
  if (endpoint.address.len == 0)
    endpoint.address = parley_text_of(bed->bound_at);
  bed->near.id = stream_connect(bed->streams, &endpoint, &events, &bed->near);
  ck_assert(!bed->near.open && !bed->near.closed);
}

/* Listens and connects, each with its endpoint's settings. */
static void join(struct bed *bed, parley_endpoint server, parley_endpoint client)
{
  if (server.address.len == 0)
    server.address = PARLEY_LIT("127.0.0.1:0");
  listen_at(bed, server);
  ck_assert_msg(bed->bound_status == PARLEY_OK, "%s", bed->bound_why);
  connect_to(bed, client);
  peer_until(&bed->loop, &bed->near.open);
  peer_until(&bed->loop, &bed->far.open);
}

static void until_got(struct bed *bed, struct end *end, size_t len)
{
  uint64_t deadline = peer_deadline();

  while (end->got.len < len && !peer_late(deadline) && !end->closed)
    peer_turn(&bed->loop, -1, 0, 10);
  ck_assert_msg(end->got.len >= len, "%zu of %zu: %s", end->got.len, len, end->reason);
}

static void say(struct end *end, const char *text)
{
  stream_write(end->bed->streams, end->id, parley_text_of(text));
}

static void bed_close(struct bed *bed)
{
  if (bed->streams != NULL)
    streams_close(&bed->streams, peer_flag, &bed->done);
  peer_until(&bed->loop, &bed->done);
  dns_close(&bed->dns, peer_flag, &bed->dns_done);
  peer_until(&bed->loop, &bed->dns_done);
  egress_free(&bed->egress);
  ck_assert_int_le(bed->near.n_closed, 1);
  ck_assert_int_le(bed->far.n_closed, 1);
  buf_done(&bed->near.got);
  buf_done(&bed->far.got);
  peer_loop_end(&bed->loop);
}

START_TEST(bytes_go_both_ways_and_the_end_comes_once)
{
  struct bed bed;

  bed_open(&bed);
  join(&bed, (parley_endpoint){0}, (parley_endpoint){0});
  say(&bed.near, "hello ");
  say(&bed.near, "there");
  until_got(&bed, &bed.far, 11);
  ck_assert_str_eq(bed.far.got.at, "hello there");
  say(&bed.far, "hi");
  until_got(&bed, &bed.near, 2);
  ck_assert_int_ge(bed.near.n_writable, 1);
  stream_shut(bed.streams, bed.near.id, 0);
  peer_until(&bed.loop, &bed.near.closed);
  peer_until(&bed.loop, &bed.far.closed);
  ck_assert_int_eq(bed.near.status, PARLEY_OK);
  ck_assert_int_eq(bed.far.status, PARLEY_CLOSED);
  ck_assert_uint_eq(stream_write(bed.streams, bed.near.id, PARLEY_LIT("x")), 0); /* over: no effect */
  stream_shut(bed.streams, bed.near.id, 1);
  ck_assert(!stream_cancel(bed.streams, bed.near.id));
  bed_close(&bed);
}
END_TEST

START_TEST(what_is_not_used_stays_and_comes_again_with_more)
{
  struct bed bed;

  bed_open(&bed);
  join(&bed, (parley_endpoint){0}, (parley_endpoint){0});
  bed.far.use_nothing = true;
  say(&bed.near, "half a ");
  while (bed.far.n_data == 0)
    peer_turn(&bed.loop, -1, 0, 10);
  ck_assert_str_eq(bed.far.offered, "half a ");
  say(&bed.near, "line");
  while (strcmp(bed.far.offered, "half a line") != 0)
    peer_turn(&bed.loop, -1, 0, 10);
  bed.far.use_nothing = false;
  bed.far.use = 3; /* a parser that takes one word a call is called until it has all */
  say(&bed.near, "!");
  until_got(&bed, &bed.far, 12);
  ck_assert_str_eq(bed.far.got.at, "half a line!");
  bed_close(&bed);
}
END_TEST

START_TEST(bytes_that_nobody_uses_end_the_stream_at_read_max)
{
  struct bed bed;

  bed_open(&bed);
  join(&bed, (parley_endpoint){.read_max = 10}, (parley_endpoint){0});
  bed.far.use_nothing = true;
  say(&bed.near, "123456789");
  peer_settle(&bed.loop);
  ck_assert(!bed.far.closed);
  say(&bed.near, "0");
  peer_until(&bed.loop, &bed.far.closed);
  ck_assert_int_eq(bed.far.status, PARLEY_INVALID);
  bed_close(&bed);
}
END_TEST

START_TEST(reading_can_be_held_back)
{
  struct bed bed;
  char *much = calloc(1, 4 << 20);

  bed_open(&bed);
  join(&bed, (parley_endpoint){0}, (parley_endpoint){.write_high = 1 << 20});
  stream_reading(bed.streams, bed.far.id, 0);
  stream_write(bed.streams, bed.near.id, (parley_bytes){much, 4 << 20});
  peer_settle(&bed.loop);
  ck_assert_uint_eq(bed.far.got.len, 0);
  ck_assert_int_eq(bed.near.n_writable, 0);
  stream_reading(bed.streams, bed.far.id, 1);
  ck_assert_uint_eq(bed.far.got.len, 0); /* never within the call */
  until_got(&bed, &bed.far, 4 << 20);
  peer_settle(&bed.loop);
  ck_assert_int_eq(bed.near.n_writable, 1);
  free(much);
  bed_close(&bed);
}
END_TEST

START_TEST(writing_far_beyond_the_mark_ends_the_stream)
{
  struct bed bed;
  char much[1000] = "";

  bed_open(&bed);
  join(&bed, (parley_endpoint){0}, (parley_endpoint){.write_high = 1000});
  for (int i = 1; i <= 16; i++)
    ck_assert_uint_eq(stream_write(bed.streams, bed.near.id, (parley_bytes){much, 1000}), (uint64_t)i * 1000);
  stream_write(bed.streams, bed.near.id, (parley_bytes){much, 1});
  peer_until(&bed.loop, &bed.near.closed);
  ck_assert_int_eq(bed.near.status, PARLEY_BUSY);
  bed_close(&bed);
}
END_TEST

START_TEST(closing_after_the_flush_loses_nothing)
{
  struct bed bed;
  char *much = calloc(1, 3 << 20);

  bed_open(&bed);
  join(&bed, (parley_endpoint){0}, (parley_endpoint){0});
  stream_write(bed.streams, bed.near.id, (parley_bytes){much, 3 << 20});
  stream_shut(bed.streams, bed.near.id, 0);
  say(&bed.near, "ignored");
  until_got(&bed, &bed.far, 3 << 20);
  peer_until(&bed.loop, &bed.far.closed);
  ck_assert_uint_eq(bed.far.got.len, 3 << 20);
  free(much);
  bed_close(&bed);
}
END_TEST

START_TEST(a_peer_that_takes_nothing_is_left_after_five_seconds)
{
  struct bed bed;
  char *much = calloc(1, 4 << 20);

  bed_open(&bed);
  join(&bed, (parley_endpoint){0}, (parley_endpoint){.write_high = 1 << 20});
  stream_reading(bed.streams, bed.far.id, 0);
  stream_write(bed.streams, bed.near.id, (parley_bytes){much, 4 << 20});
  stream_write(bed.streams, bed.near.id, (parley_bytes){much, 4 << 20});
  stream_shut(bed.streams, bed.near.id, 0);
  peer_settle(&bed.loop);
  ck_assert(!bed.near.closed);
  env_fake_step(&bed.env, 5001);
  peer_until(&bed.loop, &bed.near.closed);
  ck_assert_int_eq(bed.near.status, PARLEY_TIMEOUT);
  free(much);
  bed_close(&bed);
}
END_TEST

START_TEST(tls_from_the_first_byte)
{
  struct bed bed;

  bed_open(&bed);
  listen_at(&bed, (parley_endpoint){.address = PARLEY_LIT("127.0.0.1:0"), .tls = &bed.server_tls});
  connect_to(&bed, (parley_endpoint){.tls = &bed.client_tls});
  say(&bed.near, "early"); /* waits for the handshake */
  peer_until(&bed.loop, &bed.near.open);
  until_got(&bed, &bed.far, 5);
  ck_assert_str_eq(bed.far.got.at, "early");
  ck_assert(bed.near.secured && bed.far.secured);
  ck_assert_str_eq(bed.near.subject, "CN=test");
  ck_assert_str_eq(bed.near.version, "TLSv1.3");
  stream_shut(bed.streams, bed.far.id, 0);
  peer_until(&bed.loop, &bed.near.closed);
  ck_assert_str_eq(bed.near.reason, "the peer closed");
  bed_close(&bed);
}
END_TEST

START_TEST(starttls_secures_both_sides_of_an_open_stream)
{
  struct bed bed;

  bed_open(&bed);
  join(&bed, (parley_endpoint){0}, (parley_endpoint){0});
  bed.far.tls_after = bed.far.tls_server = bed.near.tls_after = true;
  say(&bed.near, "please!");
  while ((bed.near.n_opened < 2 || bed.far.n_opened < 2) && !bed.near.closed && !bed.far.closed)
    peer_turn(&bed.loop, -1, 0, 10);
  ck_assert_msg(!bed.near.closed && !bed.far.closed, "%s / %s", bed.near.reason, bed.far.reason);
  ck_assert(bed.near.secured && bed.far.secured);
  buf_clear(&bed.far.got);
  say(&bed.near, "secret");
  until_got(&bed, &bed.far, 6);
  ck_assert_str_eq(bed.far.got.at, "secret");
  bed_close(&bed);
}
END_TEST

START_TEST(bytes_behind_starttls_are_an_injection)
{
  struct bed bed;

  bed_open(&bed);
  join(&bed, (parley_endpoint){0}, (parley_endpoint){0});
  bed.far.tls_after = bed.far.tls_server = true;
  say(&bed.near, "please!MAIL FROM");
  peer_until(&bed.loop, &bed.far.closed);
  ck_assert_int_eq(bed.far.status, PARLEY_INVALID);
  ck_assert_int_eq(bed.far.n_opened, 1);
  bed_close(&bed);
}
END_TEST

START_TEST(unused_bytes_told_to_secure_end_the_stream)
{
  struct bed bed;

  bed_open(&bed);
  join(&bed, (parley_endpoint){0}, (parley_endpoint){0});
  bed.far.tls_after = bed.far.tls_server = true;
  bed.far.unused = 4;
  say(&bed.near, "please!");
  peer_until(&bed.loop, &bed.far.closed);
  ck_assert_int_eq(bed.far.status, PARLEY_INVALID);
  bed_close(&bed);
}
END_TEST

static const struct {
  const char *server_name;
  uint32_t flags;
  bool trusted;
  const char *reason; /* NULL: it opens */
} tls_rows[] = {
    {"", 0, true, NULL},
    {"localhost", 0, true, NULL},
    {"other.example", 0, true, "tls_name_mismatch"},
    {"other.example", PARLEY_TLS_ANY_NAME, true, NULL},
    {"", 0, false, "tls_self_signed"},
    {"", PARLEY_TLS_ANY_NAME, false, "tls_self_signed"},
    {"", PARLEY_TLS_ANY_PEER, false, NULL},
};

START_TEST(a_certificate_is_checked_as_the_flags_say)
{
  struct bed bed;

  bed_open(&bed);
  bed.client_tls.server_name = parley_text_of(tls_rows[_i].server_name);
  bed.client_tls.flags = tls_rows[_i].flags;
  if (!tls_rows[_i].trusted)
    bed.client_tls.ca_pem = TEXT_EMPTY;
  listen_at(&bed, (parley_endpoint){.address = PARLEY_LIT("127.0.0.1:0"), .tls = &bed.server_tls});
  connect_to(&bed, (parley_endpoint){.tls = &bed.client_tls});
  if (tls_rows[_i].reason == NULL) {
    peer_until(&bed.loop, &bed.near.open);
  } else {
    peer_until(&bed.loop, &bed.near.closed);
    ck_assert_str_eq(bed.near.reason, tls_rows[_i].reason);
    ck_assert_int_eq(bed.near.n_opened, 0);
  }
  bed_close(&bed);
}
END_TEST

static const struct {
  const char *address;
  parley_status status;
  const char *reason;
} unreachable[] = {
    {"10.0.0.1:25", PARLEY_DENIED, "address_not_allowed"},
    {"169.254.169.254:80", PARLEY_DENIED, "address_not_allowed"},
    {"[::ffff:10.0.0.1]:25", PARLEY_DENIED, "address_not_allowed"},
    {"0x0a000001:25", PARLEY_DENIED, "address_not_allowed"},
    {"localhost", PARLEY_INVALID, "address_invalid: not host:port"},
    {"localhost:0", PARLEY_INVALID, "address_invalid: not host:port"},
    {"localhost:99999", PARLEY_INVALID, "address_invalid: not host:port"},
    {"1.2.3.999:25", PARLEY_NOT_FOUND, "name_not_found"},
    {"127.0.0.1:1", PARLEY_RETRY, "connect_failed: connection refused"},
};

START_TEST(what_cannot_be_connected_to_says_why)
{
  struct bed bed;

  bed_open(&bed);
  connect_to(&bed, (parley_endpoint){.address = parley_text_of(unreachable[_i].address)});
  peer_until(&bed.loop, &bed.near.closed);
  ck_assert_msg(bed.near.status == unreachable[_i].status, "%s: %d", unreachable[_i].address, bed.near.status);
  ck_assert_str_eq(bed.near.reason, unreachable[_i].reason);
  bed_close(&bed);
}
END_TEST

START_TEST(the_next_address_is_tried)
{
  struct bed bed;
  char address[64];

  bed_open(&bed);
  listen_at(&bed, (parley_endpoint){.address = PARLEY_LIT("127.0.0.1:0")});
  snprintf(address, sizeof(address), "localhost%s", strrchr(bed.bound_at, ':')); /* ::1 refuses */
  connect_to(&bed, (parley_endpoint){.address = parley_text_of(address)});
  peer_until(&bed.loop, &bed.near.open);
  bed_close(&bed);
}
END_TEST

START_TEST(a_handshake_that_does_not_come_times_out)
{
  struct bed bed;
  uint16_t port;
  int listener = peer_listen(&port);
  char address[32];

  bed_open(&bed);
  snprintf(address, sizeof(address), "127.0.0.1:%u", port);
  connect_to(&bed, (parley_endpoint){.address = parley_text_of(address), .tls = &bed.client_tls, .connect_ms = 700});
  peer_settle(&bed.loop);
  ck_assert(!bed.near.closed);
  env_fake_step(&bed.env, 701);
  peer_until(&bed.loop, &bed.near.closed);
  ck_assert_int_eq(bed.near.status, PARLEY_TIMEOUT);
  close(listener);
  bed_close(&bed);
}
END_TEST

START_TEST(an_idle_stream_times_out)
{
  struct bed bed;

  bed_open(&bed);
  join(&bed, (parley_endpoint){0}, (parley_endpoint){.idle_ms = 1000});
  env_fake_step(&bed.env, 900);
  say(&bed.far, "x");
  until_got(&bed, &bed.near, 1);
  env_fake_step(&bed.env, 900);
  peer_settle(&bed.loop);
  ck_assert(!bed.near.closed);
  env_fake_step(&bed.env, 101);
  peer_until(&bed.loop, &bed.near.closed);
  ck_assert_int_eq(bed.near.status, PARLEY_TIMEOUT);
  bed_close(&bed);
}
END_TEST

START_TEST(what_cannot_be_listened_on_says_why)
{
  static const struct {
    const char *address;
    parley_status status;
  } rows[] = {{"localhost:0", PARLEY_INVALID},
              {"192.0.2.1:0", PARLEY_INVALID},
              {"unix:relative", PARLEY_INVALID},
              {"unix:/nowhere/at/all", PARLEY_INVALID},
              {"", PARLEY_INVALID}};
  struct bed bed;
  char taken[200];

  bed_open(&bed);
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    listen_at(&bed, (parley_endpoint){.address = parley_text_of(rows[i].address)});
    ck_assert_msg(bed.bound_status == rows[i].status, "%s: %d", rows[i].address, bed.bound_status);
  }
  listen_at(&bed, (parley_endpoint){.address = PARLEY_LIT("127.0.0.1:0")});
  memcpy(taken, bed.bound_at, sizeof(taken));
  listen_at(&bed, (parley_endpoint){.address = parley_text_of(taken)});
  ck_assert_int_eq(bed.bound_status, PARLEY_BUSY);
  listen_at(&bed, (parley_endpoint){.address = PARLEY_LIT("127.0.0.1:0"), .tls = &bed.client_tls}); /* no key */
  ck_assert_int_eq(bed.bound_status, PARLEY_INVALID);
  bed_close(&bed);
}
END_TEST

START_TEST(a_listener_that_is_cancelled_takes_nobody_more)
{
  struct bed bed;

  bed_open(&bed);
  join(&bed, (parley_endpoint){0}, (parley_endpoint){0});
  ck_assert(stream_cancel(bed.streams, bed.listener));
  ck_assert(!stream_cancel(bed.streams, bed.listener));
  say(&bed.near, "still here");
  until_got(&bed, &bed.far, 10);
  ck_assert_int_eq(bed.n_bound, 1);
  bed.near.open = false;
  stream_listen(bed.streams, &(parley_endpoint){.size = sizeof(parley_endpoint), .address = PARLEY_LIT("127.0.0.1:0")},
                &events, on_accepted, on_bound, &bed, NULL);
  stream_cancel(bed.streams, bed.far.id + 100);
  bed_close(&bed); /* a listener not yet told is told CANCELLED */
  ck_assert_int_eq(bed.n_bound, 2);
  ck_assert_int_eq(bed.bound_status, PARLEY_CANCELLED);
}
END_TEST

START_TEST(a_refused_connection_is_closed_without_a_word)
{
  struct bed bed;

  bed_open(&bed);
  bed.next_accepted = NULL;
  listen_at(&bed, (parley_endpoint){.address = PARLEY_LIT("127.0.0.1:0")});
  connect_to(&bed, (parley_endpoint){0});
  peer_until(&bed.loop, &bed.near.closed);
  ck_assert_int_eq(bed.far.n_closed, 0);
  bed_close(&bed);
}
END_TEST

static int unix_connect(const char *path)
{
  struct sockaddr_un {
    sa_family_t family;
    char path[108];
  } at = {.family = AF_UNIX};
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

  snprintf(at.path, sizeof(at.path), "%s", path);
  ck_assert_int_eq(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
  fcntl(fd, F_SETFL, O_NONBLOCK);
  return fd;
}

START_TEST(unix_sockets_are_listened_on_and_stale_ones_taken_over)
{
  struct bed bed;
  char dir[] = "/tmp/parley-net-XXXXXX", address[64];
  struct stat about;
  int fd;

  ck_assert_ptr_nonnull(mkdtemp(dir));
  snprintf(address, sizeof(address), "unix:%s/s", dir);
  bed_open(&bed);
  for (int i = 0; i < 2; i++) { /* the second time over a file that nobody listens on */
    if (i == 1) {
      struct sockaddr at = {.sa_family = AF_UNIX};
      int stale = socket(AF_UNIX, SOCK_STREAM, 0);
      char raw[110] = {0};

      memcpy(raw, &at.sa_family, sizeof(at.sa_family));
      snprintf(raw + sizeof(at.sa_family), 100, "%s", address + 5);
      ck_assert_int_eq(bind(stale, (struct sockaddr *)(void *)raw, 110), 0);
      close(stale);
    }
    listen_at(&bed, (parley_endpoint){.address = parley_text_of(address)});
    ck_assert_msg(bed.bound_status == PARLEY_OK, "%s", bed.bound_why);
    ck_assert_str_eq(bed.bound_at, address);
    bed.far.open = bed.far.closed = false;
    fd = unix_connect(address + 5);
    peer_say(&bed.loop, fd, "hi");
    until_got(&bed, &bed.far, 2);
    close(fd);
    peer_until(&bed.loop, &bed.far.closed);
    bed.far.n_closed = 0;
    stream_cancel(bed.streams, bed.listener);
    ck_assert_int_ne(stat(address + 5, &about), 0); /* the file goes with the listener */
  }
  bed_close(&bed);
  rmdir(dir);
}
END_TEST

START_TEST(an_heir_takes_a_listening_socket_over_without_a_gap)
{
  struct bed bed;
  struct streams *older;
  parley_endpoint endpoint = {.size = sizeof(endpoint)};
  bool older_done = false;
  char address[200];
  int fd;

  bed_open(&bed);
  listen_at(&bed, (parley_endpoint){.address = PARLEY_LIT("127.0.0.1:0")});
  stream_cancel(bed.streams, bed.listener);
  memcpy(address, bed.bound_at, sizeof(address));
  endpoint.address = parley_text_of(address);
  listen_at(&bed, endpoint);
  older = bed.streams;
  bed.streams = streams_new(&bed.loop, &bed.env.env, bed.dns, bed.egress);
  bed.bound = false;
  stream_listen(bed.streams, &endpoint, &events, on_accepted, on_bound, &bed, older);
  peer_until(&bed.loop, &bed.bound);
  ck_assert_msg(bed.bound_status == PARLEY_OK, "%s", bed.bound_why);
  fd = peer_connect((uint16_t)atoi(strrchr(address, ':') + 1)); /* waits in the shared backlog */
  streams_close(&older, peer_flag, &older_done);
  peer_until(&bed.loop, &bed.far.open);
  close(fd);
  peer_until(&bed.loop, &older_done);
  bed_close(&bed);
}
END_TEST

START_TEST(closing_the_owner_tells_everyone)
{
  struct bed bed;

  bed_open(&bed);
  join(&bed, (parley_endpoint){0}, (parley_endpoint){0});
  stream_connect(bed.streams,
                 &(parley_endpoint){.size = sizeof(parley_endpoint), .address = PARLEY_LIT("name.invalid:25")}, &events,
                 &bed.near); /* still resolving */
  streams_close(&bed.streams, peer_flag, &bed.done);
  ck_assert_int_eq(bed.near.n_closed, 0);
  peer_until(&bed.loop, &bed.done);
  ck_assert_int_eq(bed.near.n_closed, 2);
  ck_assert_int_eq(bed.far.n_closed, 1);
  ck_assert_int_eq(bed.near.status, PARLEY_CANCELLED);
  bed.near.n_closed = 1;
  bed_close(&bed);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("net: streams");
  TCase *tcase = tcase_create("all");

  tcase_set_timeout(tcase, 30);
  tcase_add_test(tcase, bytes_go_both_ways_and_the_end_comes_once);
  tcase_add_test(tcase, what_is_not_used_stays_and_comes_again_with_more);
  tcase_add_test(tcase, bytes_that_nobody_uses_end_the_stream_at_read_max);
  tcase_add_test(tcase, reading_can_be_held_back);
  tcase_add_test(tcase, writing_far_beyond_the_mark_ends_the_stream);
  tcase_add_test(tcase, closing_after_the_flush_loses_nothing);
  tcase_add_test(tcase, a_peer_that_takes_nothing_is_left_after_five_seconds);
  tcase_add_test(tcase, tls_from_the_first_byte);
  tcase_add_test(tcase, starttls_secures_both_sides_of_an_open_stream);
  tcase_add_test(tcase, bytes_behind_starttls_are_an_injection);
  tcase_add_test(tcase, unused_bytes_told_to_secure_end_the_stream);
  tcase_add_loop_test(tcase, a_certificate_is_checked_as_the_flags_say, 0,
                      (int)(sizeof(tls_rows) / sizeof(tls_rows[0])));
  tcase_add_loop_test(tcase, what_cannot_be_connected_to_says_why, 0,
                      (int)(sizeof(unreachable) / sizeof(unreachable[0])));
  tcase_add_test(tcase, the_next_address_is_tried);
  tcase_add_test(tcase, a_handshake_that_does_not_come_times_out);
  tcase_add_test(tcase, an_idle_stream_times_out);
  tcase_add_test(tcase, what_cannot_be_listened_on_says_why);
  tcase_add_test(tcase, a_listener_that_is_cancelled_takes_nobody_more);
  tcase_add_test(tcase, a_refused_connection_is_closed_without_a_word);
  tcase_add_test(tcase, unix_sockets_are_listened_on_and_stale_ones_taken_over);
  tcase_add_test(tcase, an_heir_takes_a_listening_socket_over_without_a_gap);
  tcase_add_test(tcase, closing_the_owner_tells_everyone);
  suite_add_tcase(suite, tcase);
  return peer_main(suite);
}
