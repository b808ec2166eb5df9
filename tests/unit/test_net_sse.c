#include "core/base/buf.h"
#include "core/base/env.h"
#include "core/net/sse.h"
#include "net_peer.h"

static const struct {
  const char *id, *event, *data, *want;
} frames[] = {
    {"", "", "x", "data: x\n\n"},
    {"7", "message.received", "{}", "id: 7\nevent: message.received\ndata: {}\n\n"},
    {"", "", "a\nb", "data: a\ndata: b\n\n"},
    {"", "", "a\r\nb\rc\n", "data: a\ndata: b\ndata: c\ndata: \n\n"},
    {"", "", "", "data: \n\n"},
    {"1\ndata: evil", "e\revil: 1", "", "id: 1\nevent: e\ndata: \n\n"},
};

START_TEST(an_event_is_framed_as_the_table_says)
{
  struct buf got = BUF_INIT(0);

  sse_write(&got, parley_text_of(frames[_i].id), parley_text_of(frames[_i].event), parley_text_of(frames[_i].data));
  ck_assert_str_eq(got.at, frames[_i].want);
  buf_done(&got);
}
END_TEST

struct site {
  uv_loop_t loop;
  struct env_fake env;
  struct http_server *server;
  struct sse_set *set;
  struct sse *sse;
  uint16_t port;
  int n_closed, n_writable;
  bool server_closed, set_closed;
};

static void on_writable(void *arg)
{
  ((struct site *)arg)->n_writable++;
}
static void on_closed(void *arg)
{
  ((struct site *)arg)->n_closed++;
  ((struct site *)arg)->sse = NULL;
}
static const struct sse_events events = {.writable = on_writable, .closed = on_closed};

static void on_ready(struct http_request *request, void *arg)
{
  static const parley_pair cors = {PARLEY_LIT("Access-Control-Allow-Origin"), PARLEY_LIT("https://a.example")};
  struct site *site = arg;

  site->sse = sse_begin(site->set, request, &cors, 1, &events, site);
}
static const struct http_handler handler = {.ready = on_ready};

static int site_open(struct site *site, char *got, size_t room)
{
  struct buf why = BUF_INIT(0);
  int fd, small = 4096;

  memset(site, 0, sizeof(*site));
  ck_assert_int_eq(uv_loop_init(&site->loop), 0);
  env_fake_init(&site->env, 1);
  site->set = sse_set_new(&site->loop);
  site->server = http_server_new(&site->loop, &site->env.env, &(struct http_server_conf){0}, &handler, site);
  ck_assert_int_eq(http_server_listen(site->server, PARLEY_LIT("127.0.0.1:0"), &site->port, &why), PARLEY_OK);
  fd = peer_connect(site->port);
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
  peer_say(&site->loop, fd, "GET /v1/events HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n");
  peer_read(&site->loop, fd, got, room, "retry: 2000\n\n", NULL);
  return fd;
}

static void site_close(struct site *site)
{
  if (site->set != NULL)
    sse_set_close(&site->set, peer_flag, &site->set_closed);
  peer_until(&site->loop, &site->set_closed);
  http_server_close(&site->server, peer_flag, &site->server_closed);
  peer_until(&site->loop, &site->server_closed);
  ck_assert_int_eq(site->n_closed, 1);
  peer_loop_end(&site->loop);
}

START_TEST(a_stream_begins_with_retry_and_is_pinged)
{
  struct site site;
  char got[4096];
  int fd = site_open(&site, got, sizeof(got));

  ck_assert_ptr_nonnull(strstr(got, "Content-Type: text/event-stream\r\n"));
  ck_assert_ptr_nonnull(strstr(got, "Access-Control-Allow-Origin: https://a.example\r\n"));
  ck_assert(sse_send(site.sse, PARLEY_LIT("c1"), PARLEY_LIT("message.received"), PARLEY_LIT("{\"a\":1}")));
  peer_read(&site.loop, fd, got, sizeof(got), "{\"a\":1}\n\n", NULL);
  ck_assert_ptr_nonnull(strstr(got, "id: c1\nevent: message.received\ndata: "));
  sse_set_ping(site.set);
  peer_read(&site.loop, fd, got, sizeof(got), ": ping\n\n", NULL);
  sse_set_close(&site.set, peer_flag, &site.set_closed);
  peer_read(&site.loop, fd, got, sizeof(got), "0\r\n\r\n", NULL);
  ck_assert_ptr_nonnull(strstr(got, "0\r\n\r\n"));
  close(fd);
  site_close(&site);
}
END_TEST

START_TEST(a_reader_a_mebibyte_behind_is_cut)
{
  struct site site;
  char got[4096], *data = malloc(1 << 16);
  int fd = site_open(&site, got, sizeof(got)), sent = 0;

  memset(data, 'd', 1 << 16);
  while (sent < 1000 && sse_send(site.sse, PARLEY_LIT("c"), PARLEY_LIT("e"), (parley_text){data, 1 << 16})) {
    sent++;
    peer_turn(&site.loop, -1, 0, 0);
  }
  ck_assert_int_ge(sent, 16); /* what the kernel holds comes on top */
  ck_assert_int_lt(sent, 1000);
  ck_assert_int_eq(site.n_closed, 0);
  peer_settle(&site.loop);
  ck_assert_int_eq(site.n_closed, 1);
  close(fd);
  free(data);
  site_close(&site);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("net: server-sent events");
  TCase *tcase = tcase_create("all");

  tcase_set_timeout(tcase, 30);
  tcase_add_loop_test(tcase, an_event_is_framed_as_the_table_says, 0, (int)(sizeof(frames) / sizeof(frames[0])));
  tcase_add_test(tcase, a_stream_begins_with_retry_and_is_pinged);
  tcase_add_test(tcase, a_reader_a_mebibyte_behind_is_cut);
  suite_add_tcase(suite, tcase);
  return peer_main(suite);
}
