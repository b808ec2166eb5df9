/* http_serve.h - a very small HTTP/1.1 server on libuv, for programs that measure: keep-alive always, Content-Length
 * bodies, one request at a time on a connection. It trusts its loopback clients.
 * Owns its connections, which live until both the peer and every holder let go. Thread: loop. */
#ifndef PARLEY_BENCH_HTTP_SERVE_H
#define PARLEY_BENCH_HTTP_SERVE_H

#include "bench.h"
#include <stdbool.h>
#include <uv.h>

struct http_serve_conn;

struct http_serve_request {
  struct slice method;
  struct slice path;
  struct slice head; /* request line and headers */
  struct slice body;
};

/* Answers with http_serve_reply before it returns, or holds the connection and answers later. The request's bytes are
 * gone when it returns. */
typedef void http_serve_cb(struct http_serve_conn *conn, const struct http_serve_request *request, void *arg);

struct http_serve {
  uv_tcp_t listener;
  http_serve_cb *on_request;
  void *arg;
};

/* Listens on 127.0.0.1:port; serve lives as long as the loop. Returns 0 or libuv's error. */
int http_serve_listen(struct http_serve *serve, uv_loop_t *loop, int port, http_serve_cb *on_request, void *arg);

/* Keeps conn for an answer after the callback has returned; http_serve_release gives it back and reads on. */
void http_serve_hold(struct http_serve_conn *conn);
void http_serve_release(struct http_serve_conn *conn);

/* Sends a whole answer, head and body; nothing when the peer has gone. */
void http_serve_reply(struct http_serve_conn *conn, const char *data, size_t size);
/* The same, with the head made here. */
void http_serve_answer(struct http_serve_conn *conn, int status, struct slice body);

#endif
