#include "core/base/buf.h"
#include "core/base/env.h"
#include "core/base/text.h"
#include "core/net/http_server.h"
#include "net_peer.h"
#include <stdio.h>

#define KEPT_MAX 300

/* A server whose handler does what the path says. */
struct site {
  uv_loop_t loop;
  struct env_fake env;
  struct http_server *server;
  uint16_t port;
  struct http_request *kept[KEPT_MAX]; /* of /later, in the order they came */
  int n_kept, n_ready, n_left, n_head, n_closed, n_writable;
  size_t streamed;
  bool drained, closed;
  struct http_request *stream, *held;
};

static void stream_on_writable(void *arg)
{
  ((struct site *)arg)->n_writable++;
}
static void stream_on_closed(void *arg)
{
  ((struct site *)arg)->n_closed++;
  ((struct site *)arg)->stream = NULL;
}
static const struct http_stream_events stream_events = {.writable = stream_on_writable, .closed = stream_on_closed};

static bool path_is(const struct http_request *request, const char *path)
{
  return parley_text_is(request->path, path);
}

static void on_head(struct http_request *request, void *arg)
{
  struct site *site = arg;

  site->n_head++;
  if (path_is(request, "/small"))
    request->body_max = 10;
  if (path_is(request, "/media") || path_is(request, "/held"))
    request->streamed = true;
  if (path_is(request, "/refuse"))
    http_answer_problem(request, 401, "unauthorized", "");
}

static void on_piece(struct http_request *request, parley_bytes piece, void *arg)
{
  struct site *site = arg;

  site->streamed += piece.len;
  if (path_is(request, "/held") && site->held == NULL) {
    site->held = request;
    http_body_pause(request, true);
  }
  if (text_find(piece, '!') < piece.len)
    http_answer_problem(request, 422, "bad_piece", "no exclamation marks");
}

static void on_ready(struct http_request *request, void *arg)
{
  struct site *site = arg;

  site->n_ready++;
  if (path_is(request, "/later")) {
    site->kept[site->n_kept++] = request;
  } else if (path_is(request, "/stream")) {
    site->stream = request;
    http_stream_begin(request, &(struct http_answer){.code = 200, .type = PARLEY_LIT("text/plain")},
                      HTTP_LENGTH_UNKNOWN, &stream_events, site);
  } else if (path_is(request, "/x")) {
    http_answer(request, &(struct http_answer){
                             .code = 200, .type = PARLEY_LIT("text/plain"), .body = http_header(request, "x")});
  } else {
    http_answer(request, &(struct http_answer){.code = 200, .type = PARLEY_LIT("text/plain"), .body = request->body});
  }
}

static void on_left(struct http_request *request, void *arg)
{
  (void)request;
  ((struct site *)arg)->n_left++;
}

static const struct http_handler handler = {.head = on_head, .piece = on_piece, .ready = on_ready, .left = on_left};

static void site_open(struct site *site, struct http_server_conf conf)
{
  struct buf why = BUF_INIT(0);

  memset(site, 0, sizeof(*site));
  ck_assert_int_eq(uv_loop_init(&site->loop), 0);
  env_fake_init(&site->env, INT64_C(1763764869482));
  site->server = http_server_new(&site->loop, &site->env.env, &conf, &handler, site);
  ck_assert_msg(http_server_listen(site->server, PARLEY_LIT("127.0.0.1:0"), &site->port, &why) == PARLEY_OK, "%s",
                why.at);
  buf_done(&why);
}

static void answer_kept(struct site *site, int at, const char *body)
{
  http_answer(site->kept[at], &(struct http_answer){.code = 202, .body = parley_text_of(body)});
}

static void site_close(struct site *site)
{
  http_server_close(&site->server, peer_flag, &site->closed);
  peer_until(&site->loop, &site->closed);
  peer_loop_end(&site->loop);
}

/* Sends a request and returns the status of the answer; the answer itself stands in `to`. */
static int ask_fd(struct site *site, int fd, const char *request, char *to, size_t room)
{
  peer_say(&site->loop, fd, request);
  peer_read(&site->loop, fd, to, room, "\r\n\r\n", NULL);
  return strncmp(to, "HTTP/1.1 ", 9) == 0 ? atoi(to + 9) : 0;
}

static int ask(struct site *site, const char *request, char *to, size_t room, bool *ret_end)
{
  int fd = peer_connect(site->port), code;
  char rest[4096];

  code = ask_fd(site, fd, request, to, room);
  shutdown(fd, SHUT_WR);
  peer_read(&site->loop, fd, rest, sizeof(rest), NULL, ret_end);
  close(fd);
  peer_settle(&site->loop);
  return code;
}

START_TEST(an_answer_echoes_its_request)
{
  struct site site;
  char got[4096];
  int fd;

  site_open(&site, (struct http_server_conf){0});
  fd = peer_connect(site.port);
  ck_assert_int_eq(
      ask_fd(&site, fd, "POST /echo?a=1 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", got, sizeof(got)), 200);
  ck_assert_ptr_nonnull(strstr(got, "\r\nDate: Fri, 21 Nov 2025 22:41:09 GMT\r\n"));
  ck_assert_ptr_nonnull(strstr(got, "\r\nContent-Length: 5\r\n\r\nhello"));
  ck_assert_ptr_null(strstr(got, "Connection:"));
  /* the same connection again: header names in any case, blanks around the value cut */
  ck_assert_int_eq(ask_fd(&site, fd, "GET /x HTTP/1.1\r\nhOST: x\r\nX:  \t yes \t\r\n\r\n", got, sizeof(got)), 200);
  ck_assert_ptr_nonnull(strstr(got, "\r\n\r\nyes"));
  ck_assert_int_eq(ask_fd(&site, fd, "HEAD /x HTTP/1.1\r\nHost: x\r\nX: yes\r\n\r\n", got, sizeof(got)), 200);
  ck_assert_ptr_nonnull(strstr(got, "Content-Length: 3\r\n\r\n"));
  ck_assert_str_eq(strstr(got, "\r\n\r\n"), "\r\n\r\n");
  close(fd);
  site_close(&site);
}
END_TEST

START_TEST(a_request_fed_byte_by_byte_is_answered_once)
{
  static const char text[] = "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                             "3\r\nabc\r\n2;e=1\r\nde\r\n0\r\n\r\nGET /x HTTP/1.1\r\nHost: x\r\nX: z\r\n\r\n";
  struct site site;
  char got[4096];
  int fd;

  site_open(&site, (struct http_server_conf){0});
  fd = peer_connect(site.port);
  for (size_t i = 0; i + 1 < sizeof(text); i++)
    peer_send(&site.loop, fd, text + i, 1);
  peer_read(&site.loop, fd, got, sizeof(got), "\r\n\r\nz", NULL);
  ck_assert_ptr_nonnull(strstr(got, "\r\n\r\nabcdeHTTP/1.1 200 OK"));
  ck_assert_int_eq(site.n_ready, 2);
  close(fd);
  site_close(&site);
}
END_TEST

/* What the server refuses, and whether the connection ends after it. */
static const struct refusal {
  const char *what, *request;
  int code;
  bool ends;
} refusals[] = {
    {"B5", "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400,
     true},
    {"B8 bare LF", "GET /echo HTTP/1.1\nHost: x\n\n", 400, true},
    {"B13 bytes of TLS", "\x16\x03\x01\x02", 400, true},
    {"B13 HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, true},
    {"B14 no host", "GET /echo HTTP/1.1\r\n\r\n", 400, true},
    {"B16 TRACE", "TRACE /echo HTTP/1.1\r\nHost: x\r\n\r\n", 405, true},
    {"B17 maybe", "POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 200-maybe\r\nContent-Length: 1\r\n\r\n", 417, true},
    {"B17 large", "POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2147483648\r\n\r\n", 413,
     true},
    {"length over the limit", "POST /small HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\nhello world", 413, true},
    {"chunks over the limit",
     "POST /small HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n12345678\r\n8\r\n12345678\r\n", 413,
     true},
    {"B19 gzip", "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc", 415, true},
    {"chunk size is no number", "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", 400,
     true},
    {"chunk without CRLF", "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabXX0\r\n\r\n",
     400, true},
    {"chunk of 2^64", "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000000\r\n", 400,
     true},
    {"trailers", "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n\r\n", 400, true},
    {"refused by the handler", "POST /refuse HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", 401,
     true /* by our EOF */},
    {"refused within the body", "POST /media HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc!", 422, true},
    {"B20 upgrade is ignored", "GET /x HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nX: 1\r\n\r\n", 200,
     true},
    {"close is said", "GET /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 200, true},
};

START_TEST(a_bad_request_is_refused_as_the_table_says)
{
  const struct refusal *row = &refusals[_i];
  struct site site;
  char got[4096];
  bool end;
  int code;

  site_open(&site, (struct http_server_conf){0});
  code = ask(&site, row->request, got, sizeof(got), &end);
  ck_assert_msg(code == row->code, "%s: %d, not %d", row->what, code, row->code);
  ck_assert_msg(end == row->ends, "%s: end %d", row->what, end);
  if (code == 405)
    ck_assert_ptr_nonnull(strstr(got, "\r\nAllow: GET, HEAD, POST"));
  if (code >= 400)
    ck_assert_ptr_nonnull(strstr(got, "Content-Type: application/problem+json\r\n"));
  ck_assert_uint_eq(http_server_counters(site.server)->open, 0);
  site_close(&site);
}
END_TEST

START_TEST(after_a_small_refused_body_the_connection_goes_on)
{
  struct site site;
  char got[4096];
  int fd;

  site_open(&site, (struct http_server_conf){0});
  fd = peer_connect(site.port);
  ck_assert_int_eq(
      ask_fd(&site, fd, "POST /refuse HTTP/1.1\r\nHost: x\r\nContent-Length: 30\r\n\r\nGET /x HTTP", got, sizeof(got)),
      401);
  peer_say(&site.loop, fd, "0123456789012345678");
  ck_assert_int_eq(ask_fd(&site, fd, "GET /x HTTP/1.1\r\nHost: x\r\nX: after\r\n\r\n", got, sizeof(got)), 200);
  ck_assert_ptr_nonnull(strstr(got, "\r\n\r\nafter"));
  ck_assert_int_eq(site.n_left, 0);
  close(fd);
  site_close(&site);
}
END_TEST

START_TEST(a_request_inside_a_body_is_body)
{
  struct site site;
  char got[4096];

  site_open(&site, (struct http_server_conf){0});
  ck_assert_int_eq(
      ask(&site, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 32\r\n\r\nGET /later HTTP/1.1\r\nHost: x\r\n\r\n",
          got, sizeof(got), NULL),
      200);
  ck_assert_ptr_nonnull(strstr(got, "\r\n\r\nGET /later"));
  ck_assert_int_eq(site.n_ready, 1);
  site_close(&site);
}
END_TEST

START_TEST(the_body_waits_for_100_continue)
{
  struct site site;
  char got[4096];
  int fd;

  site_open(&site, (struct http_server_conf){0});
  fd = peer_connect(site.port);
  peer_say(&site.loop, fd, "POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  peer_read(&site.loop, fd, got, sizeof(got), "\r\n\r\n", NULL);
  ck_assert_str_eq(got, "HTTP/1.1 100 Continue\r\n\r\n");
  peer_say(&site.loop, fd, "hi");
  peer_read(&site.loop, fd, got, sizeof(got), "\r\n\r\nhi", NULL);
  ck_assert_ptr_nonnull(strstr(got, "HTTP/1.1 200 OK"));
  /* behind an unanswered request the 100 waits for its turn */
  peer_say(&site.loop, fd,
           "GET /later HTTP/1.1\r\nHost: x\r\n\r\nPOST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
           "Content-Length: 2\r\n\r\n");
  peer_settle(&site.loop);
  ck_assert_int_eq(recv(fd, got, sizeof(got), 0), -1);
  answer_kept(&site, 0, "first");
  peer_read(&site.loop, fd, got, sizeof(got), "Continue\r\n\r\n", NULL);
  ck_assert_ptr_nonnull(strstr(got, "\r\n\r\nfirstHTTP/1.1 100 Continue"));
  close(fd);
  site_close(&site);
}
END_TEST

START_TEST(pipelined_requests_are_answered_in_order_and_32_at_a_time)
{
  struct site site;
  struct buf all = BUF_INIT(0);
  char *got = malloc(200000), *at;
  int fd, done = 0;

  site_open(&site, (struct http_server_conf){0});
  fd = peer_connect(site.port);
  for (int i = 0; i < 200; i++)
    buf_str(&all, i % 3 == 2 ? "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody"
                             : "GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
  peer_send(&site.loop, fd, all.at, all.len);
  peer_settle(&site.loop);
  ck_assert_int_le(site.n_ready, HTTP_IN_FLIGHT_MAX);
  while (done < site.n_kept) { /* each answer makes room for the next; the newest first, to see that order is kept */
    int newest = site.n_kept;

    for (int i = newest - 1; i >= done; i--) {
      char body[32];

      snprintf(body, sizeof(body), "later-%03d", i);
      answer_kept(&site, i, body);
    }
    done = newest;
    peer_settle(&site.loop);
    ck_assert_int_le(site.n_kept - done, HTTP_IN_FLIGHT_MAX);
  }
  shutdown(fd, SHUT_WR);
  peer_read(&site.loop, fd, got, 200000, NULL, NULL);
  at = got;
  for (int i = 0, later = 0; i < 200; i++) {
    char want[32] = "body";

    if (i % 3 != 2)
      snprintf(want, sizeof(want), "later-%03d", later++);
    at = strstr(at, "\r\n\r\n");
    ck_assert_ptr_nonnull(at);
    at += 4;
    ck_assert_msg(strncmp(at, want, strlen(want)) == 0, "answer %d is not %s", i, want);
  }
  ck_assert_int_eq(site.n_ready, 200);
  close(fd);
  free(got);
  buf_done(&all);
  site_close(&site);
}
END_TEST

START_TEST(a_half_closed_client_still_gets_its_answer)
{
  struct site site;
  char got[4096];
  bool end;
  int fd;

  site_open(&site, (struct http_server_conf){0});
  fd = peer_connect(site.port);
  peer_say(&site.loop, fd, "GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
  shutdown(fd, SHUT_WR);
  peer_settle(&site.loop);
  ck_assert_int_eq(site.n_kept, 1);
  ck_assert(!site.kept[0]->gone);
  answer_kept(&site, 0, "here");
  peer_read(&site.loop, fd, got, sizeof(got), NULL, &end);
  ck_assert_ptr_nonnull(strstr(got, "\r\n\r\nhere"));
  ck_assert(end);
  close(fd);
  site_close(&site);
}
END_TEST

START_TEST(a_request_outlives_a_client_that_left)
{
  struct site site;
  struct linger reset = {.l_onoff = 1};
  int fd;

  site_open(&site, (struct http_server_conf){0});
  fd = peer_connect(site.port);
  peer_say(&site.loop, fd,
           "GET /later HTTP/1.1\r\nHost: x\r\nX: kept\r\n\r\nPOST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: "
           "9\r\n\r\nabc");
  peer_settle(&site.loop);
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
  close(fd);
  peer_settle(&site.loop);
  ck_assert(site.kept[0]->gone);
  ck_assert(parley_text_is(http_header(site.kept[0], "x"), "kept"));
  ck_assert_int_eq(site.n_left, 1); /* the half-told one */
  ck_assert_uint_eq(http_server_counters(site.server)->open, 0);
  http_server_close(&site.server, peer_flag, &site.closed);
  peer_settle(&site.loop);
  ck_assert(!site.closed); /* it waits for what is owed */
  answer_kept(&site, 0, "too late");
  peer_until(&site.loop, &site.closed);
  peer_loop_end(&site.loop);
}
END_TEST

START_TEST(slow_clients_meet_their_deadlines)
{
  static const struct {
    const char *sent;
    int64_t late_ms;
    int code; /* 0: closed without a word */
  } slow[] = {
      {"", 75000, 0},
      {"GET /echo HTTP/1.1\r\nHo", 10000, 408},
      {"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc", 60000, 408},
      {"GET /x HTTP/1.1\r\nHost: x\r\nX: 1\r\n\r\n", 75000, 200},
  };
  struct site site;
  char got[4096];
  bool end;
  int fd;

  site_open(&site, (struct http_server_conf){0});
  fd = peer_connect(site.port);
  peer_say(&site.loop, fd, slow[_i].sent);
  peer_settle(&site.loop);
  env_fake_step(&site.env, slow[_i].late_ms - 1);
  http_server_sweep(site.server);
  peer_settle(&site.loop);
  ck_assert_uint_eq(http_server_counters(site.server)->open, 1);
  env_fake_step(&site.env, 2);
  http_server_sweep(site.server);
  peer_settle(&site.loop);
  env_fake_step(&site.env, 2000); /* lingering ends too */
  http_server_sweep(site.server);
  peer_read(&site.loop, fd, got, sizeof(got), NULL, &end);
  ck_assert(end);
  peer_settle(&site.loop);
  ck_assert_int_eq(slow[_i].code, got[0] ? atoi(got + 9) : 0);
  ck_assert_uint_eq(http_server_counters(site.server)->open, 0);
  close(fd);
  site_close(&site);
}
END_TEST

START_TEST(beyond_the_cap_a_connection_is_told_to_come_back)
{
  struct site site;
  char got[4096];
  int first, second;
  bool end;

  site_open(&site, (struct http_server_conf){.connections_max = 1});
  first = peer_connect(site.port);
  peer_settle(&site.loop);
  second = peer_connect(site.port);
  peer_read(&site.loop, second, got, sizeof(got), NULL, &end);
  ck_assert_ptr_nonnull(strstr(got, "503 Service Unavailable\r\n"));
  ck_assert(end);
  close(second);
  ck_assert_int_eq(ask_fd(&site, first, "GET /x HTTP/1.1\r\nHost: x\r\nX: 1\r\n\r\n", got, sizeof(got)), 200);
  close(first);
  site_close(&site);
}
END_TEST

START_TEST(a_big_refused_body_does_not_hide_the_answer)
{
  struct site site;
  char *body = calloc(1, 8 << 20), got[4096];
  int fd;

  site_open(&site, (struct http_server_conf){.body_max = 1000});
  fd = peer_connect(site.port);
  peer_say(&site.loop, fd, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 8388608\r\n\r\n");
  peer_send(&site.loop, fd, body, 8 << 20);
  peer_read(&site.loop, fd, got, sizeof(got), "body_too_large", NULL);
  ck_assert_ptr_nonnull(strstr(got, "413 Content Too Large"));
  close(fd);
  free(body);
  site_close(&site);
}
END_TEST

START_TEST(a_streamed_body_comes_in_pieces)
{
  struct site site;
  char *body = malloc(1 << 20), got[4096];
  size_t before;
  int fd;

  memset(body, 'm', 1 << 20);
  site_open(&site, (struct http_server_conf){0});
  fd = peer_connect(site.port);
  peer_say(&site.loop, fd, "POST /media HTTP/1.1\r\nHost: x\r\nContent-Length: 1048576\r\n\r\n");
  peer_send(&site.loop, fd, body, 1 << 20);
  peer_read(&site.loop, fd, got, sizeof(got), "\r\n\r\n", NULL);
  ck_assert_uint_eq(site.streamed, 1 << 20);
  ck_assert_int_eq(site.n_ready, 1);
  before = site.streamed;
  ck_assert_int_eq(
      ask_fd(&site, fd, "POST /media HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", got, sizeof(got)), 200);
  ck_assert_uint_eq(site.streamed - before, 3);
  close(fd);
  free(body);
  site_close(&site);
}
END_TEST

START_TEST(a_streamed_body_can_be_held_back)
{
  struct site site;
  char *body = calloc(1, 4 << 20), got[4096];
  size_t held;
  int fd;

  site_open(&site, (struct http_server_conf){0});
  fd = peer_connect(site.port);
  peer_say(&site.loop, fd, "POST /held HTTP/1.1\r\nHost: x\r\nContent-Length: 4194304\r\n\r\n");
  for (held = 0; held < 4 << 20;) { /* as much as goes while nobody takes it */
    ssize_t n = send(fd, body + held, (4 << 20) - held, MSG_NOSIGNAL);

    peer_turn(&site.loop, -1, 0, 2);
    if (n < 0)
      break;
    held += (size_t)n;
  }
  env_fake_step(&site.env, 1000000); /* the wait is ours: no deadline runs */
  http_server_sweep(site.server);
  peer_settle(&site.loop);
  ck_assert_ptr_nonnull(site.held);
  ck_assert_uint_le(site.streamed, HTTP_READ_SLAB_BYTES);
  http_body_pause(site.held, false);
  peer_send(&site.loop, fd, body + held, (4 << 20) - held);
  peer_read(&site.loop, fd, got, sizeof(got), "\r\n\r\n", NULL);
  ck_assert_uint_eq(site.streamed, 4 << 20);
  close(fd);
  free(body);
  site_close(&site);
}
END_TEST

START_TEST(a_stream_begun_after_its_client_left_is_closed_once)
{
  struct site site;
  struct linger reset = {.l_onoff = 1};
  int fd;

  site_open(&site, (struct http_server_conf){0});
  fd = peer_connect(site.port);
  peer_say(&site.loop, fd, "GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
  peer_settle(&site.loop);
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
  close(fd);
  peer_settle(&site.loop);
  http_stream_begin(site.kept[0], &(struct http_answer){.code = 200}, HTTP_LENGTH_UNKNOWN, &stream_events, &site);
  http_stream_write(site.kept[0], PARLEY_LIT("x"));
  ck_assert_int_eq(site.n_closed, 0);
  peer_settle(&site.loop);
  ck_assert_int_eq(site.n_closed, 1);
  site_close(&site);
}
END_TEST

START_TEST(a_stream_reports_what_waits_and_ends)
{
  struct site site;
  char got[8192];
  int fd;

  site_open(&site, (struct http_server_conf){0});
  fd = peer_connect(site.port);
  ck_assert_int_eq(ask_fd(&site, fd, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n", got, sizeof(got)), 200);
  ck_assert_ptr_nonnull(strstr(got, "Transfer-Encoding: chunked\r\n"));
  ck_assert_uint_gt(http_stream_write(site.stream, PARLEY_LIT("data: 1\n\n")), 0);
  peer_read(&site.loop, fd, got, sizeof(got), "\n\n\r\n", NULL);
  ck_assert_str_eq(got, "9\r\ndata: 1\n\n\r\n");
  ck_assert_uint_eq(http_stream_waiting(site.stream), 0);
  ck_assert_int_ge(site.n_writable, 1);
  peer_say(&site.loop, fd, "GET /x HTTP/1.1\r\nHost: x\r\nX: next\r\n\r\n"); /* waits behind the stream */
  http_stream_end(site.stream);
  ck_assert_int_eq(site.n_closed, 0);
  peer_read(&site.loop, fd, got, sizeof(got), "next", NULL);
  ck_assert_int_eq(strncmp(got, "0\r\n\r\nHTTP/1.1 200 OK", 20), 0);
  ck_assert_int_eq(site.n_closed, 1);
  close(fd);
  site_close(&site);
}
END_TEST

START_TEST(a_stream_whose_reader_leaves_is_closed_once)
{
  struct site site;
  char got[8192];
  int fd;

  site_open(&site, (struct http_server_conf){0});
  fd = peer_connect(site.port);
  ck_assert_int_eq(ask_fd(&site, fd, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n", got, sizeof(got)), 200);
  close(fd);
  peer_settle(&site.loop);
  ck_assert_int_eq(site.n_closed, 1);
  fd = peer_connect(site.port);
  ck_assert_int_eq(ask_fd(&site, fd, "GET /stream HTTP/1.0\r\n\r\n", got, sizeof(got)), 200);
  ck_assert_ptr_null(strstr(got, "chunked"));
  http_stream_cut(site.stream);
  ck_assert_int_eq(site.n_closed, 1); /* never within the call */
  peer_settle(&site.loop);
  ck_assert_int_eq(site.n_closed, 2);
  close(fd);
  site_close(&site);
}
END_TEST

START_TEST(a_slow_reader_stops_reading_from_it_and_stalls_out)
{
  struct site site;
  char *big = malloc(8 << 20), got[8192];
  int fd, small = 4096;

  memset(big, 'b', 8 << 20);
  site_open(&site, (struct http_server_conf){0});
  fd = peer_connect(site.port);
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
  peer_say(&site.loop, fd, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
  peer_settle(&site.loop);
  ck_assert_uint_gt(http_stream_write(site.stream, (parley_bytes){big, 8 << 20}), HTTP_STREAM_CUT_BYTES);
  peer_settle(&site.loop);
  ck_assert_uint_gt(http_stream_waiting(site.stream), 0);
  env_fake_step(&site.env, 1000);
  http_server_sweep(site.server);
  env_fake_step(&site.env, 60000);
  http_server_sweep(site.server);
  ck_assert_int_eq(site.n_closed, 1);
  ck_assert_uint_eq(http_server_counters(site.server)->timeouts, 1);
  (void)got;
  close(fd);
  free(big);
  site_close(&site);
}
END_TEST

START_TEST(draining_finishes_what_was_taken_and_nothing_else)
{
  struct site site;
  char got[8192];
  int idle, busy, stream;
  bool end;

  site_open(&site, (struct http_server_conf){0});
  idle = peer_connect(site.port);
  busy = peer_connect(site.port);
  stream = peer_connect(site.port);
  peer_say(&site.loop, busy, "GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
  peer_say(&site.loop, stream, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
  peer_settle(&site.loop);
  http_server_drain(site.server, peer_flag, &site.drained);
  peer_read(&site.loop, idle, got, sizeof(got), NULL, &end);
  ck_assert(end);
  peer_read(&site.loop, stream, got, sizeof(got), NULL, &end);
  ck_assert_ptr_nonnull(strstr(got, "\r\n0\r\n\r\n"));
  ck_assert(!site.drained);
  answer_kept(&site, 0, "last");
  peer_read(&site.loop, busy, got, sizeof(got), NULL, &end);
  ck_assert_ptr_nonnull(strstr(got, "Connection: close\r\n"));
  ck_assert_ptr_nonnull(strstr(got, "\r\n\r\nlast"));
  ck_assert(end);
  peer_until(&site.loop, &site.drained);
  close(idle);
  close(busy);
  close(stream);
  site_close(&site);
}
END_TEST

START_TEST(a_handlers_header_cannot_break_the_framing)
{
  static const parley_pair headers[] = {{PARLEY_LIT("X-Good"), PARLEY_LIT("1")},
                                        {PARLEY_LIT("X-Bad"), PARLEY_LIT("1\r\nX-Evil: 2")},
                                        {PARLEY_LIT("Content-Length"), PARLEY_LIT("9")}};
  struct site site;
  char got[8192];
  int fd;

  site_open(&site, (struct http_server_conf){0});
  fd = peer_connect(site.port);
  peer_say(&site.loop, fd, "GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
  peer_settle(&site.loop);
  http_answer(site.kept[0], &(struct http_answer){.code = 429, .retry_after_s = 7, .headers = headers, .n_headers = 3});
  peer_read(&site.loop, fd, got, sizeof(got), "\r\n\r\n", NULL);
  ck_assert_ptr_nonnull(strstr(got, "429 Too Many Requests\r\n"));
  ck_assert_ptr_nonnull(strstr(got, "\r\nRetry-After: 7\r\nX-Good: 1\r\nContent-Length: 0\r\n\r\n"));
  close(fd);
  site_close(&site);
}
END_TEST

START_TEST(an_address_that_cannot_be_listened_on_says_why)
{
  struct site site;
  struct buf why = BUF_INIT(0);
  char taken[32];
  uint16_t port = 0;

  site_open(&site, (struct http_server_conf){0});
  snprintf(taken, sizeof(taken), "127.0.0.1:%u", site.port);
  ck_assert_int_eq(http_server_listen(site.server, parley_text_of(taken), &port, &why), PARLEY_BUSY);
  ck_assert_ptr_nonnull(strstr(why.at, "in use"));
  ck_assert_int_eq(http_server_listen(site.server, PARLEY_LIT("localhost"), &port, &why), PARLEY_INVALID);
  ck_assert_int_eq(http_server_listen(site.server, PARLEY_LIT("192.0.2.1:0"), &port, &why), PARLEY_INVALID);
  ck_assert_uint_eq(port, 0);
  buf_done(&why);
  site_close(&site);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("net: the HTTP server");
  TCase *tcase = tcase_create("all");

  tcase_set_timeout(tcase, 30);
  tcase_add_test(tcase, an_answer_echoes_its_request);
  tcase_add_test(tcase, a_request_fed_byte_by_byte_is_answered_once);
  tcase_add_loop_test(tcase, a_bad_request_is_refused_as_the_table_says, 0,
                      (int)(sizeof(refusals) / sizeof(refusals[0])));
  tcase_add_test(tcase, after_a_small_refused_body_the_connection_goes_on);
  tcase_add_test(tcase, a_request_inside_a_body_is_body);
  tcase_add_test(tcase, the_body_waits_for_100_continue);
  tcase_add_test(tcase, pipelined_requests_are_answered_in_order_and_32_at_a_time);
  tcase_add_test(tcase, a_half_closed_client_still_gets_its_answer);
  tcase_add_test(tcase, a_request_outlives_a_client_that_left);
  tcase_add_loop_test(tcase, slow_clients_meet_their_deadlines, 0, 4);
  tcase_add_test(tcase, beyond_the_cap_a_connection_is_told_to_come_back);
  tcase_add_test(tcase, a_big_refused_body_does_not_hide_the_answer);
  tcase_add_test(tcase, a_streamed_body_comes_in_pieces);
  tcase_add_test(tcase, a_streamed_body_can_be_held_back);
  tcase_add_test(tcase, a_stream_begun_after_its_client_left_is_closed_once);
  tcase_add_test(tcase, a_stream_reports_what_waits_and_ends);
  tcase_add_test(tcase, a_stream_whose_reader_leaves_is_closed_once);
  tcase_add_test(tcase, a_slow_reader_stops_reading_from_it_and_stalls_out);
  tcase_add_test(tcase, draining_finishes_what_was_taken_and_nothing_else);
  tcase_add_test(tcase, a_handlers_header_cannot_break_the_framing);
  tcase_add_test(tcase, an_address_that_cannot_be_listened_on_says_why);
  suite_add_tcase(suite, tcase);
  return peer_main(suite);
}
