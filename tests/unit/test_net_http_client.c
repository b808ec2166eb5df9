#include "core/base/alloc.h"
#include "core/base/buf.h"
#include "core/base/env.h"
#include "core/base/text.h"
#include "core/net/http_client.h"
#include "core/net/http_server.h"
#include "core/net/tls.h"
#include "net_cert.h"
#include "net_names.h"
#include "temp.h"
#include <stdio.h>

/* The client under test, our own server as a well-behaved peer, and plain sockets as bad ones. */
struct bed {
  uv_loop_t loop;
  struct env_fake env;
  struct net_names names;
  struct dns *dns;
  struct egress *egress;
  struct http_client *client;
  struct http_server *server;
  uint16_t port;
  int n_requests, n_done;
  struct http_request *kept;
  struct buf seen; /* the last request as the server saw it */
  bool client_closed, server_closed, dns_closed;
  /* the last reply */
  bool done;
  parley_status status;
  uint32_t code, retry_ms;
  bool sent;
  struct buf body, reason, headers;
};

static void bed_on_ready(struct http_request *request, void *arg)
{
  static const parley_pair headers[] = {{PARLEY_LIT("X-Mixed-Case"), PARLEY_LIT("Kept")},
                                        {PARLEY_LIT("Location"), PARLEY_LIT("http://127.0.0.1:1/")}};
  struct bed *bed = arg;
  parley_pair retry = {PARLEY_LIT("Retry-After"), http_header(request, "want-retry")};
  struct http_answer answer = {.code = 200, .headers = headers, .n_headers = 2, .body = request->body};

  bed->n_requests++;
  buf_clear(&bed->seen);
  buf_printf(&bed->seen, "%.*s %.*s\n", TEXT_ARG(request->method_name), TEXT_ARG(request->target));
  for (uint32_t i = 0; i < request->n_headers; i++)
    buf_printf(&bed->seen, "%.*s=%.*s\n", TEXT_ARG(request->headers[i].name), TEXT_ARG(request->headers[i].value));
  if (parley_text_is(request->path, "/later")) {
    bed->kept = request;
    return;
  }
  if (parley_text_is(request->path, "/moved"))
    answer.code = 302;
  if (retry.value.len > 0) {
    answer = (struct http_answer){.code = 429, .headers = &retry, .n_headers = 1};
  }
  http_answer(request, &answer);
}

static const struct http_handler bed_handler = {.ready = bed_on_ready};

static void bed_on_done(const struct http_reply *reply, void *arg)
{
  struct bed *bed = arg;

  bed->done = true;
  bed->n_done++;
  bed->status = reply->status;
  bed->code = reply->code;
  bed->sent = reply->sent;
  bed->retry_ms = reply->retry_ms;
  buf_clear(&bed->body);
  buf_text(&bed->body, reply->body);
  buf_clear(&bed->reason);
  buf_text(&bed->reason, reply->reason);
  buf_clear(&bed->headers);
  for (uint32_t i = 0; i < reply->n_headers; i++)
    buf_printf(&bed->headers, "%.*s=%.*s\n", TEXT_ARG(reply->headers[i].name), TEXT_ARG(reply->headers[i].value));
}

static void bed_open(struct bed *bed, bool loopback_allowed, struct http_client_conf conf)
{
  static const parley_text allow[] = {PARLEY_LIT("127.0.0.0/8"), PARLEY_LIT("::1")}, ports[] = {PARLEY_LIT("1-65535")};
  struct buf why = BUF_INIT(0);
  parley_text bad;

  memset(bed, 0, sizeof(*bed));
  ck_assert_int_eq(uv_loop_init(&bed->loop), 0);
  env_fake_init(&bed->env, INT64_C(1763764869000)); /* Fri, 21 Nov 2025 22:41:09 GMT */
  net_names_open(&bed->names, &bed->loop);
  ck_assert_int_eq(dns_new(&bed->loop, &bed->env.env, bed->names.servers, &bed->dns), PARLEY_OK);
  ck_assert_int_eq(egress_new(allow, loopback_allowed ? 2 : 0, ports, 1, &bed->egress, &bad), PARLEY_OK);
  ck_assert_int_eq(http_client_new(&bed->loop, &bed->env.env, bed->dns, bed->egress, &conf, &bed->client), PARLEY_OK);
  bed->server = http_server_new(&bed->loop, &bed->env.env, &(struct http_server_conf){0}, &bed_handler, bed);
  ck_assert_int_eq(http_server_listen(bed->server, PARLEY_LIT("127.0.0.1:0"), &bed->port, &why), PARLEY_OK);
}

static void bed_close(struct bed *bed)
{
  if (bed->client != NULL)
    http_client_close(&bed->client, peer_flag, &bed->client_closed);
  peer_until(&bed->loop, &bed->client_closed);
  http_server_close(&bed->server, peer_flag, &bed->server_closed);
  peer_until(&bed->loop, &bed->server_closed);
  dns_close(&bed->dns, peer_flag, &bed->dns_closed);
  peer_until(&bed->loop, &bed->dns_closed);
  egress_free(&bed->egress);
  buf_done(&bed->body);
  buf_done(&bed->reason);
  buf_done(&bed->headers);
  buf_done(&bed->seen);
  net_names_close(&bed->names, &bed->loop);
  peer_loop_end(&bed->loop);
}

static uint64_t start(struct bed *bed, struct http_call call, uint16_t port, const char *path)
{
  char url[300];
  uint64_t id;

  if (path[0] == '/')
    snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", port, path);
  else
    snprintf(url, sizeof(url), "%s", path);
  call.url = parley_text_of(url);
  bed->done = false;
  id = http_client_request(bed->client, &call, bed_on_done, bed);
  memset(url, 'x', sizeof(url)); /* copied whole */
  ck_assert(!bed->done);
  return id;
}

static void ask(struct bed *bed, struct http_call call, const char *path)
{
  start(bed, call, bed->port, path);
  peer_until(&bed->loop, &bed->done);
}

START_TEST(a_request_is_sent_as_given_and_its_answer_comes_back)
{
  static const parley_pair headers[] = {{PARLEY_LIT("X-One"), PARLEY_LIT("1")},
                                        {PARLEY_LIT("X-Empty"), PARLEY_LIT("")},
                                        {PARLEY_LIT("Content-Type"), PARLEY_LIT("application/json")}};
  struct bed bed;

  bed_open(&bed, true, (struct http_client_conf){.user_agent = "parley/test"});
  ask(&bed, (struct http_call){.headers = headers, .n_headers = 3, .body = PARLEY_LIT("{\"a\":1}")},
      "/hook/./a%20b?x=1&y");
  ck_assert_int_eq(bed.status, PARLEY_OK);
  ck_assert_uint_eq(bed.code, 200);
  ck_assert(bed.sent);
  ck_assert_str_eq(bed.body.at, "{\"a\":1}");
  ck_assert_ptr_nonnull(strstr(bed.headers.at, "x-mixed-case=Kept\n"));
  ck_assert_int_eq(strncmp(bed.seen.at, "POST /hook/./a%20b?x=1&y\n", 25), 0);
  ck_assert_ptr_nonnull(strstr(bed.seen.at, "x-one=1\n"));
  ck_assert_ptr_nonnull(strstr(bed.seen.at, "x-empty=\n"));
  ck_assert_ptr_nonnull(strstr(bed.seen.at, "content-type=application/json\n"));
  ck_assert_ptr_nonnull(strstr(bed.seen.at, "content-length=7\n"));
  ck_assert_ptr_nonnull(strstr(bed.seen.at, "user-agent=parley/test\n"));
  ck_assert_ptr_null(strstr(bed.seen.at, "expect"));
  bed_close(&bed);
}
END_TEST

START_TEST(methods_follow_each_other_on_one_connection)
{
  static const struct {
    const char *method, *body, *want;
  } rows[] = {{"", "", "GET /m\n"},          {"", "b", "POST /m\n"},         {"HEAD", "", "HEAD /m\n"},
              {"POST", "", "POST /m\n"},     {"PUT", "b", "PUT /m\n"},       {"GET", "", "GET /m\n"},
              {"DELETE", "", "DELETE /m\n"}, {"DELETE", "b", "DELETE /m\n"}, {"PATCH", "b", "PATCH /m\n"},
              {"HEAD", "", "HEAD /m\n"},     {"", "b", "POST /m\n"}};
  struct bed bed;

  bed_open(&bed, true, (struct http_client_conf){0});
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    ask(&bed, (struct http_call){.method = parley_text_of(rows[i].method), .body = parley_text_of(rows[i].body)}, "/m");
    ck_assert_int_eq(bed.status, PARLEY_OK);
    ck_assert_msg(strncmp(bed.seen.at, rows[i].want, strlen(rows[i].want)) == 0, "%zu: %s", i, bed.seen.at);
    ck_assert_msg(strcmp(bed.body.at ? bed.body.at : "", rows[i].body) == 0, "%zu: %s", i, bed.body.at);
  }
  ck_assert_uint_eq(http_client_counters(bed.client)->connections_opened, 1);
  bed_close(&bed);
}
END_TEST

/* One after the other all are carried by one transfer, which keeps what it can of the last: its URL, its memory. */
START_TEST(a_request_knows_nothing_of_the_one_before)
{
  static const parley_pair ours = {PARLEY_LIT("User-Agent"), PARLEY_LIT("ours/1")};
  static const struct {
    const char *path, *want;
    bool named;
    size_t bytes;
    uint64_t response_max;
    parley_status status;
  } rows[] = {{"/a?x=1", "POST /a?x=1\n", false, 10, 100, PARLEY_OK},
              {"/a?x=1", "POST /a?x=1\n", true, 60000, 65536, PARLEY_OK},
              {"/a?x=2", "POST /a?x=2\n", false, 200000, 0, PARLEY_OK},
              {"/a?x=2", "POST /a?x=2\n", false, 60000, 59999, PARLEY_INVALID},
              {"ftp://127.0.0.1/", NULL, false, 1, 0, PARLEY_INVALID},
              {"/a?x=2", "POST /a?x=2\n", false, 5000, 65536, PARLEY_OK},
              {"http://127.0.0.1:99999/", NULL, false, 1, 0, PARLEY_INVALID},
              {"", NULL, false, 1, 0, PARLEY_INVALID},
              {"/b", "POST /b\n", true, 1, 0, PARLEY_OK},
              {"/a?x=1", "POST /a?x=1\n", false, 0, 0, PARLEY_OK}};
  struct bed bed;

  bed_open(&bed, true, (struct http_client_conf){.user_agent = "parley/test"});
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    char *body = xcalloc(1, rows[i].bytes + 1);
    int n_before = bed.n_requests;

    memset(body, 'a' + (int)i, rows[i].bytes);
    ask(&bed,
        (struct http_call){.method = PARLEY_LIT("POST"), .headers = &ours, .n_headers = rows[i].named,
                           .body = {body, rows[i].bytes}, .response_max = rows[i].response_max},
        rows[i].path);
    ck_assert_msg(bed.status == rows[i].status, "%zu: %d", i, bed.status);
    ck_assert_int_eq(bed.n_requests - n_before, rows[i].want != NULL);
    if (rows[i].want != NULL) {
      ck_assert_msg(strncmp(bed.seen.at, rows[i].want, strlen(rows[i].want)) == 0, "%zu: %s", i, bed.seen.at);
      ck_assert_ptr_nonnull(strstr(bed.seen.at, rows[i].named ? "user-agent=ours/1\n" : "user-agent=parley/test\n"));
      ck_assert((strstr(bed.seen.at, "parley/test") == NULL) == rows[i].named);
    }
    if (rows[i].status == PARLEY_OK)
      ck_assert(bed.body.len == rows[i].bytes && memcmp(bed.body.at, body, bed.body.len) == 0);
    free(body);
  }
  bed_close(&bed);
}
END_TEST

START_TEST(a_url_that_was_asked_before_is_guarded_again)
{
  struct egress *none;
  parley_text bad;
  struct bed bed;

  bed_open(&bed, true, (struct http_client_conf){0});
  ck_assert_int_eq(egress_new(NULL, 0, NULL, 0, &none, &bad), PARLEY_OK);
  ask(&bed, (struct http_call){0}, "/a");
  ck_assert_int_eq(bed.status, PARLEY_OK);
  http_client_egress_set(bed.client, none);
  ask(&bed, (struct http_call){0}, "/a");
  ck_assert_int_eq(bed.status, PARLEY_DENIED);
  http_client_egress_set(bed.client, bed.egress);
  ask(&bed, (struct http_call){0}, "/a");
  ck_assert_int_eq(bed.status, PARLEY_OK);
  ck_assert_int_eq(bed.n_requests, 2);
  egress_free(&none);
  bed_close(&bed);
}
END_TEST

START_TEST(what_may_not_be_asked_is_refused_unsent)
{
  static const parley_pair bad[] = {{PARLEY_LIT("Host"), PARLEY_LIT("x")},
                                    {PARLEY_LIT("Content-Length"), PARLEY_LIT("1")},
                                    {PARLEY_LIT("X"), PARLEY_LIT("a\r\nY: b")},
                                    {PARLEY_LIT("X Y"), PARLEY_LIT("a")},
                                    {PARLEY_LIT(""), PARLEY_LIT("a")},
                                    {PARLEY_LIT("connection"), PARLEY_LIT("close")},
                                    {PARLEY_LIT("Transfer-Encoding"), PARLEY_LIT("chunked")}};
  static const struct {
    const char *url;
    parley_status status;
    const char *reason;
  } rows[] = {
      {"http://127.0.0.1:1/", PARLEY_DENIED, "address_not_allowed"},
      {"http://0x7f000001/", PARLEY_DENIED, "address_not_allowed"},
      {"http://[::ffff:127.0.0.1]/", PARLEY_DENIED, "address_not_allowed"},
      {"http://localhost/", PARLEY_DENIED, "address_not_allowed"},
      {"http://169.254.169.254/", PARLEY_DENIED, "address_not_allowed"},
      {"ftp://a/", PARLEY_INVALID, "scheme_not_allowed"},
      {"smtp://a/", PARLEY_INVALID, "scheme_not_allowed"},
      {"http://u:p@a/", PARLEY_INVALID, "userinfo_not_allowed"},
      {"http://a:0/", PARLEY_INVALID, "port_invalid"},
  };
  struct bed bed;

  bed_open(&bed, false, (struct http_client_conf){0});
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    ask(&bed, (struct http_call){0}, rows[i].url);
    ck_assert_msg(bed.status == rows[i].status && strcmp(bed.reason.at, rows[i].reason) == 0, "%s: %s", rows[i].url,
                  bed.reason.at);
    ck_assert(!bed.sent);
  }
  for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
    ask(&bed, (struct http_call){.headers = &bad[i], .n_headers = 1}, "http://8.8.8.8/");
    ck_assert_msg(bed.status == PARLEY_INVALID && strcmp(bed.reason.at, "header_invalid") == 0, "%zu: %s", i,
                  bed.reason.at);
  }
  ask(&bed, (struct http_call){.method = PARLEY_LIT("GET X")}, "http://8.8.8.8/");
  ck_assert_str_eq(bed.reason.at, "method_invalid");
  ck_assert_uint_eq(http_client_counters(bed.client)->connections_opened, 0);
  bed_close(&bed);
}
END_TEST

START_TEST(a_name_is_looked_up_once_and_guarded_by_its_address)
{
  struct bed bed;
  char url[64];

  bed_open(&bed, true, (struct http_client_conf){0});
  snprintf(url, sizeof(url), "http://localhost:%u/named", bed.port); /* by the hosts file */
  for (int i = 0; i < 3; i++) {
    ask(&bed, (struct http_call){0}, url);
    ck_assert_msg(bed.status == PARLEY_OK, "%s", bed.reason.at);
  }
  ck_assert_ptr_nonnull(strstr(bed.seen.at, "host=localhost:"));
  ck_assert_uint_le(http_client_counters(bed.client)->connections_opened, 2); /* ::1 may be tried first */
  bed_close(&bed);
}
END_TEST

START_TEST(a_name_that_means_a_private_address_is_refused_at_send_time)
{
  struct bed bed;

  bed_open(&bed, true, (struct http_client_conf){0});
  ask(&bed, (struct http_call){0}, "http://inside.example/");
  ck_assert_int_eq(bed.status, PARLEY_DENIED);
  ck_assert_int_eq(strncmp(bed.reason.at, "address_not_allowed", 19), 0);
  ask(&bed, (struct http_call){0}, "http://nowhere.example/");
  ck_assert_int_eq(bed.status, PARLEY_NOT_FOUND);
  ck_assert_uint_eq(http_client_counters(bed.client)->connections_opened, 0);
  bed_close(&bed);
}
END_TEST

START_TEST(the_socket_itself_is_guarded)
{
  struct bed bed;
  struct egress *narrow = NULL;
  parley_text bad;

  bed_open(&bed, true, (struct http_client_conf){0});
  ck_assert_int_eq(egress_new(NULL, 0, NULL, 0, &narrow, &bad), PARLEY_OK);
  start(&bed, (struct http_call){0}, bed.port, "/"); /* its URL was fine; the rules change before it connects */
  http_client_egress_set(bed.client, narrow);
  peer_until(&bed.loop, &bed.done);
  ck_assert_int_eq(bed.status, PARLEY_DENIED);
  ck_assert(!bed.sent);
  ck_assert_int_eq(bed.n_requests, 0);
  bed_close(&bed);
  egress_free(&narrow);
}
END_TEST

START_TEST(redirects_are_answers)
{
  struct bed bed;

  bed_open(&bed, true, (struct http_client_conf){0});
  ask(&bed, (struct http_call){0}, "/moved");
  ck_assert_int_eq(bed.status, PARLEY_OK);
  ck_assert_uint_eq(bed.code, 302);
  ck_assert_int_eq(bed.n_requests, 1);
  bed_close(&bed);
}
END_TEST

START_TEST(retry_after_is_read_and_clamped)
{
  static const struct {
    const char *value;
    uint32_t want_ms;
  } rows[] = {{"7", 7000},
              {"0", 1000},
              {"99999999", 86400000},
              {"999999999999999999999999", 86400000},
              {"-5", 0},
              {"soon", 0},
              {"Fri, 21 Nov 2025 22:42:09 GMT", 60000},
              {"Fri, 21 Nov 2025 22:41:08 GMT", 1000},
              {"Fri, 21 Nov 2099 22:41:08 GMT", 86400000}};
  struct bed bed;

  bed_open(&bed, true, (struct http_client_conf){0});
  for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
    parley_pair header = {PARLEY_LIT("Want-Retry"), parley_text_of(rows[i].value)};

    ask(&bed, (struct http_call){.headers = &header, .n_headers = 1}, "/r");
    ck_assert_msg(bed.code == 429 && bed.retry_ms == rows[i].want_ms, "%s: %u", rows[i].value, bed.retry_ms);
  }
  bed_close(&bed);
}
END_TEST

/* What a bad peer does with a connection, and what comes of it. */
static const struct bad_peer {
  const char *what, *answer; /* NULL: closes without a word */
  bool reads;                /* it takes the request before it closes or answers */
  parley_status status;
  const char *reason;
} bad_peers[] = {
    {"closes after the request", NULL, true, PARLEY_CLOSED, "closed_before_answer"},
    {"cut answer", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", true, PARLEY_CLOSED, "closed_before_answer"},
    {"not HTTP", "220 smtp.example ESMTP\r\n", true, PARLEY_RETRY, "not_http"},
    {"too large by length", "HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n%*", true, PARLEY_INVALID,
     "answer_too_large"},
};

START_TEST(a_bad_peer_ends_as_the_table_says)
{
  const struct bad_peer *row = &bad_peers[_i];
  struct bed bed;
  uint16_t port;
  char got[4096], *big = calloc(1, 3 << 20);
  int listener = peer_listen(&port), fd;

  bed_open(&bed, true, (struct http_client_conf){0});
  start(&bed, (struct http_call){.body = PARLEY_LIT("x")}, port, "/");
  fd = peer_accept(&bed.loop, listener);
  peer_read(&bed.loop, fd, got, sizeof(got), "\r\n\r\nx", NULL);
  if (row->answer != NULL)
    peer_send(&bed.loop, fd, row->answer, strlen(row->answer));
  if (row->answer != NULL && strstr(row->answer, "%*") != NULL)
    send(fd, big, 3 << 20, MSG_NOSIGNAL);
  for (int i = 0; i < 40 && !bed.done; i++) {
    if (row->answer != NULL && strstr(row->answer, "%*") != NULL)
      send(fd, big, 1 << 20, MSG_NOSIGNAL);
    else if (i == 0)
      shutdown(fd, SHUT_RDWR);
    peer_turn(&bed.loop, fd, POLLIN, 10);
  }
  ck_assert(bed.done);
  ck_assert_msg(bed.status == row->status && strncmp(bed.reason.at, row->reason, strlen(row->reason)) == 0, "%s: %d %s",
                row->what, bed.status, bed.reason.at);
  ck_assert(bed.sent);
  close(fd);
  close(listener);
  free(big);
  bed_close(&bed);
}
END_TEST

START_TEST(nobody_listening_is_unsent)
{
  struct bed bed;
  uint16_t port;
  int listener = peer_listen(&port);

  close(listener);
  bed_open(&bed, true, (struct http_client_conf){0});
  start(&bed, (struct http_call){.body = PARLEY_LIT("x")}, port, "/");
  peer_until(&bed.loop, &bed.done);
  ck_assert_int_eq(bed.status, PARLEY_RETRY);
  ck_assert_int_eq(strncmp(bed.reason.at, "connect_failed", 14), 0);
  ck_assert(!bed.sent);
  bed_close(&bed);
}
END_TEST

START_TEST(a_kept_connection_that_dies_does_not_send_twice)
{
  struct bed bed;
  uint16_t port;
  char got[4096];
  int listener = peer_listen(&port), fd;

  bed_open(&bed, true, (struct http_client_conf){0});
  start(&bed, (struct http_call){.body = PARLEY_LIT("one")}, port, "/");
  fd = peer_accept(&bed.loop, listener);
  peer_read(&bed.loop, fd, got, sizeof(got), "\r\n\r\none", NULL);
  peer_say(&bed.loop, fd, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  peer_until(&bed.loop, &bed.done);
  ck_assert_int_eq(bed.status, PARLEY_OK);
  start(&bed, (struct http_call){.body = PARLEY_LIT("two")}, port, "/");
  peer_read(&bed.loop, fd, got, sizeof(got), "\r\n\r\ntwo", NULL); /* the peer has it, and dies before it answers */
  close(fd);
  peer_until(&bed.loop, &bed.done);
  ck_assert_int_eq(bed.status, PARLEY_CLOSED);
  ck_assert(bed.sent);
  fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
  if (fd >= 0) { /* libcurl may have connected again: not a byte was sent */
    ck_assert_int_le(recv(fd, got, sizeof(got), 0), 0);
    close(fd);
  }
  close(listener);
  bed_close(&bed);
}
END_TEST

START_TEST(a_time_out_says_whether_it_was_sent)
{
  struct bed bed;

  bed_open(&bed, true, (struct http_client_conf){0});
  ask(&bed, (struct http_call){.timeout_ms = 50}, "/later");
  ck_assert_int_eq(bed.status, PARLEY_TIMEOUT);
  ck_assert(bed.sent);
  http_answer(bed.kept, &(struct http_answer){.code = 200});
  bed_close(&bed);
}
END_TEST

START_TEST(a_cancelled_request_ends_once)
{
  struct bed bed;
  uint64_t id;

  bed_open(&bed, true, (struct http_client_conf){0});
  id = start(&bed, (struct http_call){0}, bed.port, "/never-started");
  http_client_cancel(bed.client, id);
  ck_assert(!bed.done);
  peer_until(&bed.loop, &bed.done);
  ck_assert_int_eq(bed.status, PARLEY_CANCELLED);
  ck_assert(!bed.sent);
  id = start(&bed, (struct http_call){0}, bed.port, "/later");
  while (bed.kept == NULL)
    peer_turn(&bed.loop, -1, 0, 10);
  http_client_cancel(bed.client, id);
  http_client_cancel(bed.client, id);
  peer_until(&bed.loop, &bed.done);
  ck_assert(bed.sent);
  http_client_cancel(bed.client, id);
  peer_settle(&bed.loop);
  ck_assert_int_eq(bed.n_done, 2);
  ck_assert_int_eq(bed.n_requests, 1);
  http_answer(bed.kept, &(struct http_answer){.code = 200});
  ask(&bed, (struct http_call){0}, "/after");
  ck_assert_int_eq(bed.status, PARLEY_OK);
  bed_close(&bed);
}
END_TEST

START_TEST(closing_ends_what_is_under_way)
{
  struct bed bed;

  bed_open(&bed, true, (struct http_client_conf){0});
  start(&bed, (struct http_call){0}, bed.port, "/later");
  while (bed.kept == NULL)
    peer_turn(&bed.loop, -1, 0, 10);
  start(&bed, (struct http_call){0}, bed.port, "/x");
  start(&bed, (struct http_call){0}, bed.port, "http://name.invalid/");
  http_client_close(&bed.client, peer_flag, &bed.client_closed);
  ck_assert_int_eq(bed.n_done, 0);
  peer_until(&bed.loop, &bed.client_closed);
  ck_assert_int_eq(bed.n_done, 3);
  ck_assert_int_eq(bed.status, PARLEY_CANCELLED);
  http_answer(bed.kept, &(struct http_answer){.code = 200});
  bed_close(&bed);
}
END_TEST

START_TEST(beyond_its_limit_it_is_busy)
{
  struct bed bed;

  bed_open(&bed, true, (struct http_client_conf){.in_flight_max = 1});
  start(&bed, (struct http_call){0}, bed.port, "/later");
  start(&bed, (struct http_call){0}, bed.port, "/x");
  peer_until(&bed.loop, &bed.done);
  ck_assert_int_eq(bed.status, PARLEY_BUSY);
  while (bed.kept == NULL)
    peer_turn(&bed.loop, -1, 0, 10);
  http_answer(bed.kept, &(struct http_answer){.code = 200});
  bed.done = false;
  peer_until(&bed.loop, &bed.done);
  ck_assert_int_eq(bed.status, PARLEY_OK);
  bed_close(&bed);
}
END_TEST

static void count_done(const struct http_reply *reply, void *arg)
{
  *(int *)arg += reply->status == PARLEY_OK;
}

START_TEST(many_requests_share_their_connections)
{
  struct bed bed;
  char url[64];
  int done = 0;

  bed_open(&bed, true, (struct http_client_conf){0});
  snprintf(url, sizeof(url), "http://127.0.0.1:%u/m", bed.port);
  for (int round = 0; round < 10; round++) {
    for (int i = 0; i < 20; i++)
      http_client_request(bed.client, &(struct http_call){.url = parley_text_of(url), .body = PARLEY_LIT("b")},
                          count_done, &done);
    for (uint64_t deadline = peer_deadline(); done < (round + 1) * 20 && !peer_late(deadline);)
      peer_turn(&bed.loop, -1, 0, 10);
    ck_assert_int_eq(done, (round + 1) * 20);
  }
  ck_assert_uint_le(http_client_counters(bed.client)->connections_opened, 20);
  ck_assert_uint_eq(http_client_counters(bed.client)->in_flight, 0);
  bed_close(&bed);
}
END_TEST

static const struct {
  const char *names;
  int days;
  bool trusted;
  parley_status status;
  const char *reason;
} tls_rows[] = {
    {"IP:127.0.0.1", 2, true, PARLEY_OK, ""},
    {"IP:127.0.0.1", 2, false, PARLEY_RETRY, "tls_self_signed"},
    {"DNS:other.example", 2, true, PARLEY_RETRY, "tls_name_mismatch"},
    {"IP:127.0.0.1", -2, true, PARLEY_RETRY, "tls_expired"},
};

START_TEST(tls_is_verified)
{
  char path[80], url[64];
  int fd;
  struct net_cert cert;
  struct tls_context *context = NULL;
  struct bed bed;

  snprintf(path, sizeof(path), "%s/ca-XXXXXX", temp_root);
  fd = mkstemp(path);
  net_cert_make(&cert, tls_rows[_i].names, tls_rows[_i].days);
  ck_assert_int_eq(write(fd, cert.cert, strlen(cert.cert)), (ssize_t)strlen(cert.cert));
  close(fd);
  bed_open(&bed, true, (struct http_client_conf){.ca_file = tls_rows[_i].trusted ? path : NULL});
  ck_assert_int_eq(tls_context_server(parley_text_of(cert.cert), parley_text_of(cert.key), &context, NULL), PARLEY_OK);
  http_server_tls_set(bed.server, context);
  tls_context_unref(&context);
  snprintf(url, sizeof(url), "https://127.0.0.1:%u/tls", bed.port);
  for (int i = 0; i < 2; i++) {
    ask(&bed, (struct http_call){.body = PARLEY_LIT("secret")}, url);
    ck_assert_msg(bed.status == tls_rows[_i].status, "%d %s", bed.status, bed.reason.at);
    ck_assert_msg(strncmp(bed.reason.at ? bed.reason.at : "", tls_rows[_i].reason, strlen(tls_rows[_i].reason)) == 0,
                  "%s", bed.reason.at);
    ck_assert(bed.sent == (bed.status == PARLEY_OK));
  }
  unlink(path);
  bed_close(&bed);
}
END_TEST

START_TEST(a_request_without_an_answer_holds_up_no_other_to_the_same_host)
{
  struct bed bed;

  bed_open(&bed, true, (struct http_client_conf){0});
  start(&bed, (struct http_call){0}, bed.port, "/later"); /* the very first: nobody knows yet what this host speaks */
  ask(&bed, (struct http_call){0}, "/now");
  ck_assert_ptr_nonnull(bed.kept);
  ck_assert_int_eq(bed.n_requests, 2);
  ck_assert_uint_eq(bed.code, 200);
  http_answer(bed.kept, &(struct http_answer){.code = 204});
  bed_close(&bed);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("net: the HTTP client");
  TCase *tcase = tcase_create("all");

  tcase_set_timeout(tcase, 30);
  tcase_add_test(tcase, a_request_is_sent_as_given_and_its_answer_comes_back);
  tcase_add_test(tcase, methods_follow_each_other_on_one_connection);
  tcase_add_test(tcase, a_request_knows_nothing_of_the_one_before);
  tcase_add_test(tcase, a_url_that_was_asked_before_is_guarded_again);
  tcase_add_test(tcase, what_may_not_be_asked_is_refused_unsent);
  tcase_add_test(tcase, a_name_is_looked_up_once_and_guarded_by_its_address);
  tcase_add_test(tcase, a_name_that_means_a_private_address_is_refused_at_send_time);
  tcase_add_test(tcase, the_socket_itself_is_guarded);
  tcase_add_test(tcase, redirects_are_answers);
  tcase_add_test(tcase, retry_after_is_read_and_clamped);
  tcase_add_loop_test(tcase, a_bad_peer_ends_as_the_table_says, 0, (int)(sizeof(bad_peers) / sizeof(bad_peers[0])));
  tcase_add_test(tcase, nobody_listening_is_unsent);
  tcase_add_test(tcase, a_kept_connection_that_dies_does_not_send_twice);
  tcase_add_test(tcase, a_time_out_says_whether_it_was_sent);
  tcase_add_test(tcase, a_cancelled_request_ends_once);
  tcase_add_test(tcase, closing_ends_what_is_under_way);
  tcase_add_test(tcase, beyond_its_limit_it_is_busy);
  tcase_add_test(tcase, many_requests_share_their_connections);
  tcase_add_test(tcase, a_request_without_an_answer_holds_up_no_other_to_the_same_host);
  tcase_add_loop_test(tcase, tls_is_verified, 0, (int)(sizeof(tls_rows) / sizeof(tls_rows[0])));
  suite_add_tcase(suite, tcase);
  return peer_main(suite);
}
