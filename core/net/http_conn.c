/* A connection: its socket, its deadlines, its bytes in and out. */
#include "http_conn.h"
#include "core/base/alloc.h"
#include "core/base/env.h"
#include "tls.h"
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

int64_t http_conn_now(const struct http_conn *conn)
{
  return conn->server->env->mono_ms(conn->server->env);
}

bool http_conn_idle(const struct http_conn *conn)
{
  return conn->first == NULL && conn->write == NULL && conn->out.len == 0 && conn->in.len == 0 &&
         conn->input == HTTP_INPUT_HEAD;
}

void http_conn_dirty(struct http_conn *conn)
{
  if (conn->dead || !list_empty(&conn->dirty_node))
    return;
  list_push(&conn->server->dirty, &conn->dirty_node);
  http_server_flush_soon(conn->server);
}

/* --- The end ---------------------------------------------------------------------------------- */
static void conn_on_closed(uv_handle_t *handle)
{
  struct http_conn *conn = container_of((uv_tcp_t *)handle, struct http_conn, tcp);
  struct http_server *server = conn->server;

  buf_done(&conn->in);
  buf_done(&conn->out);
  tls_free(&conn->tls);
  free(conn);
  server->handles--;
  server->counters.open--;
  http_server_flush_soon(server); /* a drain may be over */
  http_server_free_maybe(server);
}

void http_conn_close(struct http_conn *conn)
{
  if (conn->dead)
    return;
  conn->dead = true;
  list_remove(&conn->node);
  list_remove(&conn->dirty_node);
  http_reply_abandon(conn);
  uv_close((uv_handle_t *)&conn->tcp, conn_on_closed);
}

/* All is said. A client that may still be sending gets time to read it: closing at once would reset the connection. */
static void conn_finish(struct http_conn *conn)
{
  uv_os_fd_t fd;

  if (conn->lingering)
    return;
  if (!conn->linger || conn->eof || uv_fileno((uv_handle_t *)&conn->tcp, &fd) != 0) {
    http_conn_close(conn);
    return;
  }
  http_reply_abandon(conn);
  shutdown(fd, SHUT_WR);
  conn->lingering = true;
  conn->closing_after = false;
  conn->input = HTTP_INPUT_OVER;
  conn->deadline_ms = http_conn_now(conn) + HTTP_LINGER_MS;
  http_conn_reading(conn);
}

/* --- Bytes out -------------------------------------------------------------------------------- */
static void conn_on_written(uv_write_t *req, int status)
{
  struct http_write *write = container_of(req, struct http_write, write);
  struct http_conn *conn = write->conn;

  conn->write = NULL;
  conn->server->counters.bytes_out += status == 0 ? write->len : 0;
  free(write->bytes);
  free(write);
  if (conn->dead)
    return;
  if (status < 0)
    http_conn_close(conn);
  else
    http_conn_dirty(conn);
}

/* Takes `bytes` (heap) and sends what stands from `from` on. */
static bool conn_send_later(struct http_conn *conn, char *bytes, size_t from, size_t len)
{
  struct http_write *write = xcalloc(1, sizeof(*write));
  uv_buf_t piece = uv_buf_init(bytes + from, (unsigned)(len - from));

  write->conn = conn;
  write->bytes = bytes;
  write->len = len - from;
  conn->write = write;
  conn->write_since_ms = http_conn_now(conn);
  conn->write_seen = write->len;
  if (uv_write(&write->write, (uv_stream_t *)&conn->tcp, &piece, 1, conn_on_written) == 0)
    return true;
  conn->write = NULL;
  free(bytes);
  free(write);
  http_conn_close(conn);
  return false;
}

/* How many of these bytes the kernel took at once; closes the connection when it is broken. */
static bool conn_send_now(struct http_conn *conn, const char *bytes, size_t len, size_t *ret_sent)
{
  uv_buf_t piece = uv_buf_init((char *)(uintptr_t)bytes, (unsigned)len);
  int n = uv_try_write((uv_stream_t *)&conn->tcp, &piece, 1);

  if (n < 0 && n != UV_EAGAIN) {
    http_conn_close(conn);
    return false;
  }
  *ret_sent = n > 0 ? (size_t)n : 0;
  conn->server->counters.bytes_out += *ret_sent;
  conn->wrote = true;
  return true;
}

static bool conn_send_plain(struct http_conn *conn)
{
  size_t len = conn->out.len, sent;

  if (len == 0)
    return true;
  if (!conn_send_now(conn, conn->out.at, len, &sent))
    return false;
  if (sent == len) {
    buf_done(&conn->out);
    return true;
  }
  return conn_send_later(conn, buf_steal(&conn->out, &len), sent, len);
}

static bool conn_send_tls(struct http_conn *conn)
{
  parley_bytes cipher;
  size_t sent;

  if (conn->out.len > 0 && tls_ready(conn->tls)) {
    if (tls_write(conn->tls, buf_as_text(&conn->out)) != PARLEY_OK) {
      http_conn_close(conn);
      return false;
    }
    buf_done(&conn->out);
  }
  if (conn->closing_after && conn->out.len == 0)
    tls_shutdown(conn->tls);
  cipher = tls_output(conn->tls);
  if (cipher.len == 0)
    return true;
  if (!conn_send_now(conn, cipher.at, cipher.len, &sent))
    return false;
  if (sent < cipher.len && !conn_send_later(conn, xmemdup(cipher.at + sent, cipher.len - sent), 0, cipher.len - sent))
    return false;
  tls_output_done(conn->tls, cipher.len);
  return true;
}

static bool conn_send(struct http_conn *conn)
{
  if (conn->write != NULL)
    return true;
  return conn->tls != NULL ? conn_send_tls(conn) : conn_send_plain(conn);
}

/* --- Bytes in --------------------------------------------------------------------------------- */
static void conn_on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
  struct http_conn *conn = container_of((uv_tcp_t *)handle, struct http_conn, tcp);

  (void)suggested;
  *buf = uv_buf_init(conn->server->slab, HTTP_READ_SLAB_BYTES);
}

static void conn_parse_kept(struct http_conn *conn)
{
  size_t used;

  if (conn->in.len == 0 || !http_parse_open(conn))
    return;
  used = http_parse(conn, conn->in.at, conn->in.len);
  if (used >= conn->in.len)
    buf_done(&conn->in);
  else
    buf_drop(&conn->in, used);
}

static void conn_take(struct http_conn *conn, const char *bytes, size_t len)
{
  if (conn->in.len == 0) {
    size_t used = http_parse(conn, bytes, len);

    bytes += used;
    len -= used;
    if (len == 0)
      return;
  }
  if (conn->dead)
    return;
  buf_add(&conn->in, bytes, len);
  if (conn->in.overflow)
    http_conn_close(conn);
  else
    conn_parse_kept(conn);
}

static void conn_on_end(struct http_conn *conn)
{
  conn->eof = true;
  if (conn->first == NULL || conn->current != NULL || conn->lingering || conn->first->events != NULL) {
    http_conn_close(conn);
    return;
  }
  conn->input = HTTP_INPUT_OVER; /* half closed: what was asked is answered, then it ends */
  http_conn_reading(conn);
}

static void conn_take_tls(struct http_conn *conn, const char *bytes, size_t len)
{
  struct http_server *server = conn->server;
  size_t got;

  if (server->plain == NULL)
    server->plain = xrealloc(NULL, HTTP_READ_SLAB_BYTES);
  if (tls_input(conn->tls, (parley_bytes){bytes, len}) != PARLEY_OK) {
    http_conn_close(conn);
    return;
  }
  while (!conn->dead) {
    switch (tls_read(conn->tls, server->plain, HTTP_READ_SLAB_BYTES, &got)) {
    case TLS_READ_SOME:
      conn_take(conn, server->plain, got);
      continue;
    case TLS_READ_WAIT:
      http_conn_dirty(conn);
      return;
    case TLS_READ_END:
      conn_on_end(conn);
      return;
    case TLS_READ_FAILED:
      conn_send(conn); /* the alert */
      http_conn_close(conn);
      return;
    }
  }
}

static void conn_on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
  struct http_conn *conn = container_of((uv_tcp_t *)stream, struct http_conn, tcp);

  if (n == 0)
    return;
  if (n == UV_EOF) {
    conn_on_end(conn);
    return;
  }
  if (n < 0) {
    http_conn_close(conn);
    return;
  }
  conn->server->counters.bytes_in += (uint64_t)n;
  if (conn->lingering)
    return;
  if (conn->tls != NULL)
    conn_take_tls(conn, buf->base, (size_t)n);
  else
    conn_take(conn, buf->base, (size_t)n);
  if (!conn->dead)
    http_conn_reading(conn);
}

void http_conn_reading(struct http_conn *conn)
{
  size_t waiting = conn->out.len + (conn->write != NULL ? conn->write->len : 0);
  bool want = !conn->eof && http_parse_open(conn) && waiting < HTTP_WRITE_HIGH_BYTES;

  if (conn->dead || want == conn->reading)
    return;
  conn->reading = want;
  if (want)
    uv_read_start((uv_stream_t *)&conn->tcp, conn_on_alloc, conn_on_read);
  else
    uv_read_stop((uv_stream_t *)&conn->tcp);
}

/* --- Between the turns ------------------------------------------------------------------------ */
static void conn_tell_writable(struct http_conn *conn)
{
  struct http_req *req = conn->first;

  if (!conn->wrote || conn->write != NULL || conn->out.len > 0)
    return;
  conn->wrote = false;
  if (req != NULL && req->events != NULL && !req->ended && req->events->writable != NULL)
    req->events->writable(req->events_arg);
}

static bool conn_all_said(const struct http_conn *conn)
{
  if (conn->write != NULL || conn->out.len > 0)
    return false;
  return conn->closing_after ||
         (conn->first == NULL && (conn->eof || (conn->server->draining && http_conn_idle(conn))));
}

void http_conn_flush(struct http_conn *conn)
{
  if (conn->dead)
    return;
  http_reply_advance(conn, true);
  if (conn->cut) {
    http_conn_close(conn);
    return;
  }
  if (conn->dead || !conn_send(conn))
    return;
  conn_tell_writable(conn);
  if (!conn->dead)
    conn_parse_kept(conn);
  if (conn->dead)
    return;
  if (conn_all_said(conn)) {
    conn_finish(conn);
    return;
  }
  if (http_conn_idle(conn) && conn->deadline_ms == HTTP_NEVER_MS)
    conn->deadline_ms = http_conn_now(conn) + conn->server->conf.idle_ms;
  http_conn_reading(conn);
}

static bool conn_write_stalled(struct http_conn *conn, int64_t now_ms)
{
  size_t queued = uv_stream_get_write_queue_size((uv_stream_t *)&conn->tcp);

  if (conn->write == NULL)
    return false;
  if (queued != conn->write_seen) {
    conn->write_seen = queued;
    conn->write_since_ms = now_ms;
  }
  return now_ms - conn->write_since_ms >= conn->server->conf.write_ms;
}

void http_conn_sweep(struct http_conn *conn, int64_t now_ms)
{
  if (conn_write_stalled(conn, now_ms)) {
    conn->server->counters.timeouts++;
    http_conn_close(conn);
    return;
  }
  if (now_ms < conn->deadline_ms)
    return;
  conn->server->counters.timeouts++;
  if (conn->current == NULL && (conn->input != HTTP_INPUT_HEAD || conn->in.len == 0)) {
    http_conn_close(conn); /* idle, lingering, or a body that is only dropped */
    return;
  }
  http_parse_refuse(conn, 408, "the request took too long");
}

/* --- The beginning ---------------------------------------------------------------------------- */
static void conn_refuse_full(struct http_conn *conn)
{
  static const char full[] =
      "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 1\r\nConnection: close\r\n\r\n";
  uv_buf_t piece = uv_buf_init((char *)(uintptr_t)full, sizeof(full) - 1);

  conn->server->counters.refused_full++;
  if (conn->tls == NULL)
    uv_try_write((uv_stream_t *)&conn->tcp, &piece, 1);
  http_conn_close(conn);
}

static void conn_peer_read(struct http_conn *conn)
{
  struct sockaddr_storage peer;
  int len = sizeof(peer);

  if (uv_tcp_getpeername(&conn->tcp, (struct sockaddr *)&peer, &len) == 0)
    net_address_of((const struct sockaddr *)&peer, &conn->peer);
}

void http_conn_accept(struct http_listener *listener)
{
  struct http_server *server = listener->server;
  struct http_conn *conn = xcalloc(1, sizeof(*conn));

  conn->server = server;
  list_init(&conn->dirty_node);
  list_push(&server->conns, &conn->node);
  conn->in = BUF_INIT(HTTP_INPUT_MAX);
  conn->out = BUF_INIT(HTTP_OUTPUT_MAX);
  server->handles++;
  server->counters.open++;
  server->counters.accepted++;
  uv_tcp_init(server->loop, &conn->tcp);
  if (uv_accept((uv_stream_t *)&listener->tcp, (uv_stream_t *)&conn->tcp) != 0) {
    http_conn_close(conn);
    return;
  }
  if (server->tls != NULL)
    conn->tls = tls_server_new(server->tls);
  if (server->counters.open > server->conf.connections_max) {
    conn_refuse_full(conn);
    return;
  }
  conn_peer_read(conn);
  uv_tcp_nodelay(&conn->tcp, 1);
  conn->deadline_ms = http_conn_now(conn) + (conn->tls != NULL ? server->conf.head_ms : server->conf.idle_ms);
  http_conn_reading(conn);
}
