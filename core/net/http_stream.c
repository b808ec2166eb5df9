/* Streamed answers: server-sent events, downloads. */
#include "core/base/alloc.h"
#include "core/base/env.h"
#include "http_conn.h"
#include <assert.h>

void http_reply_leave(struct http_req *req)
{
  const struct http_stream_events *events = req->events;
  void *arg = req->events_arg;
  struct http_server *server = req->server;

  server->counters.streams--;
  server->requests++; /* holds the server while the callback runs */
  http_req_free(req);
  events->closed(arg);
  server->requests--;
  http_server_free_maybe(server);
}

void http_stream_begin(struct http_request *request, const struct http_answer *answer, uint64_t total,
                       const struct http_stream_events *events, void *arg)
{
  struct http_req *req = http_req_of(request);
  struct buf *out;

  assert(!req->answered && req->events == NULL && events->closed != NULL);
  req->events = events;
  req->events_arg = arg;
  req->server->counters.streams++;
  http_count_answer(req->server, answer->code);
  if (req->conn == NULL) { /* the client has left: the next turn says so */
    http_server_orphan(req);
    return;
  }
  http_req_settle_input(req, answer->close || (req->http_1_0 && total == HTTP_LENGTH_UNKNOWN));
  out = http_req_out(req);
  http_req_head_write(req, out, answer);
  req->chunked = total == HTTP_LENGTH_UNKNOWN && !req->http_1_0 && http_code_has_body(answer->code);
  if (req->chunked)
    buf_str(out, "Transfer-Encoding: chunked\r\n\r\n");
  else if (total != HTTP_LENGTH_UNKNOWN)
    http_length_write(out, total);
  else
    buf_add(out, "\r\n", 2);
  http_conn_dirty(req->conn);
}

size_t http_stream_waiting(const struct http_request *request)
{
  const struct http_req *req = http_req_of(request);

  if (req->conn == NULL)
    return 0;
  if (req->conn->first != req)
    return req->reply.len;
  return req->conn->out.len + (req->conn->write != NULL ? req->conn->write->len : 0);
}

size_t http_stream_write(struct http_request *request, parley_bytes bytes)
{
  struct http_req *req = http_req_of(request);
  struct buf *out;

  if (req->conn == NULL || req->ended || bytes.len == 0 || request->method == HTTP_M_HEAD)
    return http_stream_waiting(request);
  out = http_req_out(req);
  if (req->chunked)
    buf_printf(out, "%zx\r\n", bytes.len);
  buf_text(out, bytes);
  if (req->chunked)
    buf_add(out, "\r\n", 2);
  if (out->overflow)
    req->conn->cut = true;
  http_conn_dirty(req->conn);
  return http_stream_waiting(request);
}

void http_stream_end(struct http_request *request)
{
  struct http_req *req = http_req_of(request);

  if (req->ended || req->conn == NULL)
    return;
  if (req->chunked && request->method != HTTP_M_HEAD)
    buf_str(http_req_out(req), "0\r\n\r\n");
  req->ended = true;
  http_conn_dirty(req->conn);
}

void http_stream_cut(struct http_request *request)
{
  struct http_req *req = http_req_of(request);

  if (req->conn == NULL)
    return;
  req->conn->cut = true;
  http_conn_dirty(req->conn);
}
