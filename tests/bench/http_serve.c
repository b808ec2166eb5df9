#include "http_serve.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define READ_ROOM_MIN 16384
#define BUFFER_START 32768
#define BACKLOG 4096
#define ANSWER_MAX 4096

struct http_serve_conn {
  uv_tcp_t tcp;
  struct http_serve *serve;
  char *buffer;
  size_t begin; /* what is not parsed yet lies from begin to end */
  size_t end;
  size_t capacity;
  int holders;
  bool busy; /* a request waits for its answer */
  bool closing;
};

struct pending_write {
  uv_write_t write;
  char bytes[];
};

static void conn_parse(struct http_serve_conn *conn);

static void conn_unref(struct http_serve_conn *conn)
{
  if (--conn->holders > 0)
    return;
  free(conn->buffer);
  free(conn);
}

static void conn_on_closed(uv_handle_t *handle)
{
  conn_unref(handle->data);
}

static void conn_close(struct http_serve_conn *conn)
{
  if (conn->closing)
    return;
  conn->closing = true;
  uv_close((uv_handle_t *)&conn->tcp, conn_on_closed);
}

static void on_written(uv_write_t *write, int status)
{
  (void)status;
  free(write->data);
}

/* What the socket didn't take at once. */
static void conn_write_rest(struct http_serve_conn *conn, const char *data, size_t size)
{
  struct pending_write *pending = bench_alloc(sizeof *pending + size);
  uv_buf_t rest;

  memcpy(pending->bytes, data, size);
  pending->write.data = pending;
  rest = uv_buf_init(pending->bytes, (unsigned)size);
  uv_write(&pending->write, (uv_stream_t *)&conn->tcp, &rest, 1, on_written);
}

void http_serve_reply(struct http_serve_conn *conn, const char *data, size_t size)
{
  uv_buf_t whole = uv_buf_init((char *)(uintptr_t)data, (unsigned)size);
  int written;

  conn->busy = false;
  if (conn->closing)
    return;
  written = uv_try_write((uv_stream_t *)&conn->tcp, &whole, 1);
  if (written == UV_EAGAIN)
    written = 0;
  if (written < 0)
    conn_close(conn);
  else if ((size_t)written < size)
    conn_write_rest(conn, data + written, size - (size_t)written);
}

void http_serve_answer(struct http_serve_conn *conn, int status, struct slice body)
{
  char answer[ANSWER_MAX];
  int size = snprintf(answer, sizeof answer,
                      "HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%.*s", status,
                      body.size, (int)body.size, body.data);

  if (size < 0 || (size_t)size >= sizeof answer)
    bench_die("an answer of %zu bytes is too long", body.size);
  http_serve_reply(conn, answer, (size_t)size);
}

void http_serve_hold(struct http_serve_conn *conn)
{
  conn->holders++;
}

void http_serve_release(struct http_serve_conn *conn)
{
  if (!conn->closing)
    conn_parse(conn);
  conn_unref(conn);
}

static void conn_make_room(struct http_serve_conn *conn, size_t room)
{
  if (conn->begin == conn->end)
    conn->begin = conn->end = 0;
  if (conn->capacity - conn->end >= room)
    return;
  if (conn->begin > 0) {
    memmove(conn->buffer, conn->buffer + conn->begin, conn->end - conn->begin);
    conn->end -= conn->begin;
    conn->begin = 0;
  }
  if (conn->capacity - conn->end >= room)
    return;
  conn->capacity = conn->capacity == 0 ? BUFFER_START : conn->capacity * 2;
  while (conn->capacity - conn->end < room)
    conn->capacity *= 2;
  conn->buffer = bench_realloc(conn->buffer, conn->capacity);
}

static void conn_on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
  struct http_serve_conn *conn = handle->data;

  (void)suggested;
  conn_make_room(conn, READ_ROOM_MIN);
  *out = uv_buf_init(conn->buffer + conn->end, (unsigned)(conn->capacity - conn->end));
}

static size_t content_length(struct slice head)
{
  static const char name[] = "\ncontent-length:";
  size_t name_size = sizeof name - 1;

  for (size_t i = 0; i + name_size < head.size; i++)
    if (head.data[i] == '\n' && strncasecmp(head.data + i, name, name_size) == 0)
      return strtoul(head.data + i + name_size, NULL, 10);
  return 0;
}

static void request_line(struct http_serve_request *request)
{
  const char *end = memchr(request->head.data, '\r', request->head.size);
  const char *space = memchr(request->head.data, ' ', (size_t)(end - request->head.data));
  const char *second;

  if (space == NULL)
    return;
  request->method = (struct slice){request->head.data, (size_t)(space - request->head.data)};
  second = memchr(space + 1, ' ', (size_t)(end - space - 1));
  if (second != NULL)
    request->path = (struct slice){space + 1, (size_t)(second - space - 1)};
}

/* Hands out the next whole request; false when more bytes are needed. */
static bool conn_parse_one(struct http_serve_conn *conn)
{
  struct http_serve_request request = {.method = {"", 0}, .path = {"", 0}};
  const char *start = conn->buffer + conn->begin;
  size_t have = conn->end - conn->begin;
  const char *blank = memmem(start, have, "\r\n\r\n", 4);
  size_t head_size;

  if (blank == NULL)
    return false;
  head_size = (size_t)(blank - start) + 4;
  request.head = (struct slice){start, head_size - 2};
  request.body = (struct slice){blank + 4, content_length(request.head)};
  if (have < head_size + request.body.size) {
    conn_make_room(conn, head_size + request.body.size - have);
    return false;
  }
  request_line(&request);
  conn->begin += head_size + request.body.size;
  conn->busy = true;
  conn->serve->on_request(conn, &request, conn->serve->arg);
  return true;
}

static void conn_parse(struct http_serve_conn *conn)
{
  while (!conn->busy && !conn->closing && conn->begin < conn->end && conn_parse_one(conn))
    ;
}

static void conn_on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer)
{
  struct http_serve_conn *conn = stream->data;

  (void)buffer;
  if (size < 0) {
    conn_close(conn);
    return;
  }
  conn->end += (size_t)size;
  conn_parse(conn);
}

static void serve_on_connection(uv_stream_t *listener, int status)
{
  struct http_serve_conn *conn;

  if (status < 0)
    return;
  conn = bench_alloc(sizeof *conn);
  conn->serve = listener->data;
  conn->holders = 1;
  conn->tcp.data = conn;
  uv_tcp_init(listener->loop, &conn->tcp);
  if (uv_accept(listener, (uv_stream_t *)&conn->tcp) != 0) {
    conn_close(conn);
    return;
  }
  uv_tcp_nodelay(&conn->tcp, 1);
  uv_read_start((uv_stream_t *)&conn->tcp, conn_on_alloc, conn_on_read);
}

int http_serve_listen(struct http_serve *serve, uv_loop_t *loop, int port, http_serve_cb *on_request, void *arg)
{
  struct sockaddr_in address;
  int error;

  serve->on_request = on_request;
  serve->arg = arg;
  serve->listener.data = serve;
  uv_ip4_addr("127.0.0.1", port, &address);
  uv_tcp_init(loop, &serve->listener);
  error = uv_tcp_bind(&serve->listener, (const struct sockaddr *)&address, 0);
  if (error == 0)
    error = uv_listen((uv_stream_t *)&serve->listener, BACKLOG, serve_on_connection);
  return error;
}
