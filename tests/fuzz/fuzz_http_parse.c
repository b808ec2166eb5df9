/* A connection's bytes, whole and in pieces, become the same requests and the same answers, byte by byte; no body
 * passes its limit; and everything that was opened is closed in the end. */
#include "core/base/env.h"
#include "core/base/list.h"
#include "core/net/http_conn.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define BODY_MAX 300

struct seen {
  size_t n_ready, n_left, body_bytes, piece_bytes;
  struct buf out;
};

static void must(bool holds)
{
  if (!holds)
    abort();
}

static void on_head(struct http_request *request, void *arg)
{
  (void)arg;
  request->streamed = request->path.len > 1 && request->path.at[1] == 's';
  if (request->path.len > 3)
    http_answer_problem(request, 401, "unauthorized", "");
}

static void on_piece(struct http_request *request, parley_bytes piece, void *arg)
{
  ((struct seen *)arg)->piece_bytes += piece.len;
  must(request->streamed);
}

static void on_ready(struct http_request *request, void *arg)
{
  struct seen *seen = arg;

  must(request->body.len <= BODY_MAX);
  must(request->path.len > 0);
  seen->n_ready++;
  seen->body_bytes += request->body.len;
  http_answer(request, &(struct http_answer){.code = 200, .body = request->body, .type = http_header(request, "x")});
}

static void on_left(struct http_request *request, void *arg)
{
  (void)request;
  ((struct seen *)arg)->n_left++;
}

static const struct http_handler handler = {.head = on_head, .piece = on_piece, .ready = on_ready, .left = on_left};

static void on_closed(void *arg)
{
  *(bool *)arg = true;
}

/* As http_conn.c keeps what was not used, but without a socket behind it. */
static void feed(struct http_conn *conn, const char *bytes, size_t len)
{
  size_t used;

  buf_add(&conn->in, bytes, len);
  used = http_parse(conn, conn->in.at, conn->in.len);
  must(used <= conn->in.len);
  buf_drop(&conn->in, used);
}

static void talk(const char *bytes, size_t size, size_t step, struct seen *seen)
{
  struct env_fake env;
  uv_loop_t loop;
  struct http_server *server;
  struct http_conn *conn;
  bool closed = false;

  env_fake_init(&env, 1);
  must(uv_loop_init(&loop) == 0);
  server = http_server_new(&loop, &env.env, &(struct http_server_conf){.body_max = BODY_MAX}, &handler, seen);
  conn = calloc(1, sizeof(*conn));
  conn->server = server;
  list_init(&conn->dirty_node);
  list_push(&server->conns, &conn->node);
  server->handles++;
  server->counters.open++;
  uv_tcp_init(&loop, &conn->tcp);
  for (size_t at = 0; at < size; at += step)
    feed(conn, bytes + at, size - at < step ? size - at : step);
  buf_add(&seen->out, conn->out.at, conn->out.len);
  http_server_close(&server, on_closed, &closed);
  uv_run(&loop, UV_RUN_DEFAULT);
  must(closed && uv_loop_close(&loop) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  struct seen whole = {.out = BUF_INIT(0)}, parts = {.out = BUF_INIT(0)};
  size_t step = size > 0 ? 1u + data[size - 1] % 13u : 1;

  talk((const char *)data, size, size > 0 ? size : 1, &whole);
  talk((const char *)data, size, step, &parts);
  must(whole.n_ready == parts.n_ready && whole.body_bytes == parts.body_bytes &&
       whole.piece_bytes == parts.piece_bytes);
  must(whole.out.len == parts.out.len &&
       (whole.out.len == 0 || memcmp(whole.out.at, parts.out.at, whole.out.len) == 0));
  buf_done(&whole.out);
  buf_done(&parts.out);
  return 0;
}
