/* From answers to bytes: serialising, the order of pipelined answers, streams. */
#include "core/base/alloc.h"
#include "core/base/env.h"
#include "core/base/text.h"
#include "http_conn.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define HTTP_ANSWER_HEAD_USUAL 256 /* bytes: most heads have no more */

struct http_req *http_req_of(const struct http_request *pub)
{
  return container_of((struct http_request *)(uintptr_t)pub, struct http_req, pub);
}

/* --- Requests --------------------------------------------------------------------------------- */
struct http_req *http_req_new(struct http_conn *conn, uint32_t n_headers, size_t head_bytes, size_t body_bytes)
{
  struct http_req *req = xrealloc(NULL, sizeof(*req) + n_headers * sizeof(parley_pair) + head_bytes + body_bytes + 1);

  memset(req, 0, sizeof(*req));
  req->inline_body = (char *)&req->headers[n_headers] + head_bytes;
  req->inline_body[body_bytes] = '\0';
  req->inline_room = (uint32_t)body_bytes;
  req->pub.body_max = conn->server->conf.body_max;
  req->pub.headers = req->headers;
  req->reply = BUF_INIT(HTTP_OUTPUT_MAX);
  req->server = conn->server;
  req->conn = conn;
  req->peer = conn->peer;
  req->secure = conn->tls != NULL;
  conn->server->requests++;
  return req;
}

void http_req_free(struct http_req *req)
{
  struct http_server *server = req->server;

  buf_done(&req->reply);
  buf_done(&req->grown);
  free(req);
  server->requests--;
  http_server_free_maybe(server);
}

void http_req_push(struct http_conn *conn, struct http_req *req)
{
  if (conn->last != NULL)
    conn->last->next = req;
  else
    conn->first = req;
  conn->last = req;
  conn->queued++;
}

static void req_pop(struct http_conn *conn)
{
  struct http_req *req = conn->first;

  conn->first = req->next;
  if (conn->first == NULL)
    conn->last = NULL;
  conn->queued--;
  if (req->close)
    conn->closing_after = true;
}

/* Where this request's answer is written now. */
struct buf *http_req_out(struct http_req *req)
{
  return req->conn->first == req ? &req->conn->out : &req->reply;
}

/* --- Order ------------------------------------------------------------------------------------ */
static void continue_send(struct http_conn *conn)
{
  struct http_req *req = conn->first;

  if (!req->expects || req->continued || req->answered || req != conn->current)
    return;
  req->continued = true;
  req->expects = false;
  buf_str(&conn->out, "HTTP/1.1 100 Continue\r\n\r\n");
  http_conn_dirty(conn);
}

void http_reply_advance(struct http_conn *conn, bool streams)
{
  while (conn->first != NULL && !conn->dead && !conn->closing_after) {
    struct http_req *req = conn->first;

    buf_add(&conn->out, req->reply.at, req->reply.len);
    buf_clear(&req->reply);
    if (req->events != NULL ? !(req->ended && streams) : !req->answered)
      break;
    req_pop(conn);
    if (req->events != NULL)
      http_reply_leave(req);
    else
      http_req_free(req);
  }
  if (conn->first != NULL && !conn->dead && !conn->closing_after)
    continue_send(conn);
}

void http_reply_abandon(struct http_conn *conn)
{
  const struct http_handler *handler = conn->server->handler;

  while (conn->first != NULL) {
    struct http_req *req = conn->first;

    req_pop(conn);
    req->next = NULL;
    if (req->events != NULL) {
      http_reply_leave(req);
    } else if (req->answered) {
      http_req_free(req);
    } else if (!req->whole) {
      if (req->handed && handler->left != NULL)
        handler->left(&req->pub, conn->server->arg);
      http_req_free(req);
    } else {
      req->conn = NULL;
      req->pub.gone = true;
      conn->server->counters.gone++;
    }
  }
  conn->current = NULL;
}

/* --- Serialising ------------------------------------------------------------------------------ */
const char *http_reason(uint32_t code)
{
  switch (code) {
#define HTTP_REASON(number, name, text) \
  case number:                          \
    return text;
    HTTP_REASON(200, OK, "OK")
    HTTP_REASON(201, CREATED, "Created")
    HTTP_REASON(202, ACCEPTED, "Accepted")
    HTTP_REASON(204, NO_CONTENT, "No Content")
    HTTP_REASON(206, PARTIAL, "Partial Content")
    HTTP_REASON(301, MOVED, "Moved Permanently")
    HTTP_REASON(302, FOUND, "Found")
    HTTP_REASON(303, SEE_OTHER, "See Other")
    HTTP_REASON(304, NOT_MODIFIED, "Not Modified")
    HTTP_REASON(307, TEMPORARY, "Temporary Redirect")
    HTTP_REASON(308, PERMANENT, "Permanent Redirect")
    HTTP_REASON(400, BAD, "Bad Request")
    HTTP_REASON(401, UNAUTHORIZED, "Unauthorized")
    HTTP_REASON(403, FORBIDDEN, "Forbidden")
    HTTP_REASON(404, NOT_FOUND, "Not Found")
    HTTP_REASON(405, METHOD, "Method Not Allowed")
    HTTP_REASON(406, ACCEPTABLE, "Not Acceptable")
    HTTP_REASON(408, TIMEOUT, "Request Timeout")
    HTTP_REASON(409, CONFLICT, "Conflict")
    HTTP_REASON(410, GONE, "Gone")
    HTTP_REASON(411, LENGTH, "Length Required")
    HTTP_REASON(412, PRECONDITION, "Precondition Failed")
    HTTP_REASON(413, LARGE, "Content Too Large")
    HTTP_REASON(414, LONG, "URI Too Long")
    HTTP_REASON(415, MEDIA, "Unsupported Media Type")
    HTTP_REASON(417, EXPECTATION, "Expectation Failed")
    HTTP_REASON(421, MISDIRECTED, "Misdirected Request")
    HTTP_REASON(422, CONTENT, "Unprocessable Content")
    HTTP_REASON(429, MANY, "Too Many Requests")
    HTTP_REASON(431, FIELDS, "Request Header Fields Too Large")
    HTTP_REASON(500, INTERNAL, "Internal Server Error")
    HTTP_REASON(501, IMPLEMENTED, "Not Implemented")
    HTTP_REASON(502, GATEWAY, "Bad Gateway")
    HTTP_REASON(503, UNAVAILABLE, "Service Unavailable")
    HTTP_REASON(504, GATEWAY_TIMEOUT, "Gateway Timeout")
    HTTP_REASON(505, VERSION, "HTTP Version Not Supported")
    HTTP_REASON(507, STORAGE, "Insufficient Storage")
#undef HTTP_REASON
  default:
    return "Status";
  }
}

const char *http_server_date(struct http_server *server)
{
  int64_t now_s = server->env->now_ms(server->env) / 1000;
  time_t when = (time_t)now_s;
  struct tm parts;

  if (now_s == server->date_s && server->date[0] != '\0')
    return server->date;
  server->date_s = now_s;
  if (gmtime_r(&when, &parts) == NULL ||
      strftime(server->date, sizeof(server->date), "%a, %d %b %Y %H:%M:%S GMT", &parts) == 0)
    server->date[0] = '\0'; /* the locale is always C here: nobody calls setlocale() */
  return server->date;
}

static void header_add(struct buf *out, const char *name, parley_text value)
{
  buf_str(out, name);
  buf_text(out, value);
  buf_add(out, "\r\n", 2);
}

/* A header from a handler, which may have it from a plugin, cannot break the framing: such a one is left out. */
static bool header_ours_to_send(const parley_pair *header)
{
  static const char *const framing[] = {"content-length", "transfer-encoding", "connection", "date", "keep-alive"};

  if (header->name.len == 0 || text_has_control(header->name) || text_has_control(header->value) ||
      text_find(header->name, ':') < header->name.len || text_find(header->name, ' ') < header->name.len)
    return false;
  for (size_t i = 0; i < COUNT_OF(framing); i++)
    if (text_is_nocase(header->name, framing[i]))
      return false;
  return true;
}

void http_req_head_write(struct http_req *req, struct buf *out, const struct http_answer *answer)
{
  buf_str(out, "HTTP/1.1 ");
  buf_uint(out, answer->code);
  buf_char(out, ' ');
  buf_str(out, http_reason(answer->code));
  buf_str(out, "\r\nDate: ");
  buf_str(out, http_server_date(req->server));
  buf_add(out, "\r\n", 2);
  if (answer->type.len > 0 && !text_has_control(answer->type))
    header_add(out, "Content-Type: ", answer->type);
  if (answer->retry_after_s > 0) {
    buf_str(out, "Retry-After: ");
    buf_uint(out, answer->retry_after_s);
    buf_add(out, "\r\n", 2);
  }
  for (uint32_t i = 0; i < answer->n_headers; i++) {
    if (!header_ours_to_send(&answer->headers[i]))
      continue;
    buf_text(out, answer->headers[i].name);
    buf_add(out, ": ", 2);
    header_add(out, "", answer->headers[i].value);
  }
  if (req->close)
    buf_str(out, "Connection: close\r\n");
  else if (req->http_1_0)
    buf_str(out, "Connection: keep-alive\r\n");
}

void http_length_write(struct buf *out, uint64_t length)
{
  buf_str(out, "Content-Length: ");
  buf_uint(out, length);
  buf_add(out, "\r\n\r\n", 4);
}

bool http_code_has_body(uint32_t code)
{
  return code != 204 && code != 304;
}

void http_count_answer(struct http_server *server, uint32_t code)
{
  if (code / 100 < COUNT_OF(server->counters.answers))
    server->counters.answers[code / 100]++;
}

/* --- Answering -------------------------------------------------------------------------------- */
/* The answer is given before the body is in: is what is still to come short enough to be read and dropped? */
static bool body_droppable(const struct http_req *req)
{
  return req->pub.has_length && !req->expects && req->pub.length - req->body_bytes <= HTTP_BODY_DRAIN_MAX;
}

/* Decides whether the connection goes on, and what becomes of the body that is still coming. */
void http_req_settle_input(struct http_req *req, bool close)
{
  struct http_conn *conn = req->conn;

  req->close = req->close || close || !req->keep_alive;
  if (conn->server->draining && conn->last == req)
    req->close = true;
  if (conn->current == req) {
    conn->current = NULL;
    if (conn->message_done)
      ; /* a request without a body, answered from head() */
    else if (!req->close && body_droppable(req))
      conn->input = HTTP_INPUT_SKIP;
    else
      req->close = conn->linger = true;
  }
  if (req->close)
    conn->input = HTTP_INPUT_OVER;
}

void http_answer(struct http_request *request, const struct http_answer *answer)
{
  struct http_req *req = http_req_of(request);
  struct http_conn *conn = req->conn;
  struct buf *out;

  assert(!req->answered && req->events == NULL);
  req->answered = true;
  http_count_answer(req->server, answer->code);
  if (conn == NULL) {
    http_req_free(req);
    return;
  }
  http_req_settle_input(req, answer->close);
  out = http_req_out(req);
  buf_expect(out, HTTP_ANSWER_HEAD_USUAL + answer->body.len);
  http_req_head_write(req, out, answer);
  if (!http_code_has_body(answer->code))
    buf_add(out, "\r\n", 2);
  else
    http_length_write(out, answer->body.len);
  if (http_code_has_body(answer->code) && request->method != HTTP_M_HEAD)
    buf_add(out, answer->body.at, answer->body.len);
  if (out->overflow)
    conn->cut = true;
  http_reply_advance(conn, false);
  http_conn_dirty(conn);
}

static void problem_write(struct buf *body, uint32_t code, const char *problem_code, const char *detail)
{
  buf_str(body, "{\"type\":\"about:blank\",\"title\":");
  buf_json_str(body, http_reason(code));
  buf_str(body, ",\"status\":");
  buf_uint(body, code);
  buf_str(body, ",\"code\":");
  buf_json_str(body, problem_code);
  if (detail[0] != '\0') {
    buf_str(body, ",\"detail\":");
    buf_json_str(body, detail);
  }
  buf_char(body, '}');
}

static void problem_answer(struct http_request *request, const struct http_answer *like, const char *problem_code,
                           const char *detail)
{
  struct buf body = BUF_INIT(0);
  struct http_answer answer = *like;

  problem_write(&body, like->code, problem_code, detail);
  answer.type = PARLEY_LIT("application/problem+json");
  answer.body = buf_as_text(&body);
  http_answer(request, &answer);
  buf_done(&body);
}

void http_answer_problem(struct http_request *request, uint32_t code, const char *problem_code, const char *detail)
{
  problem_answer(request, &(struct http_answer){.code = code}, problem_code, detail);
}

void http_reply_problem(struct http_req *req, uint16_t code, const char *problem_code, const char *detail, bool close)
{
  static const parley_pair allow = {PARLEY_LIT("Allow"), PARLEY_LIT("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")};

  problem_answer(&req->pub,
                 &(struct http_answer){.code = code, .close = close, .headers = &allow, .n_headers = code == 405},
                 problem_code, detail);
}

/* --- Reading a request ------------------------------------------------------------------------ */
parley_text http_header(const struct http_request *request, const char *name)
{
  size_t len = strlen(name);

  for (uint32_t i = 0; i < request->n_headers; i++)
    if (request->headers[i].name.len == len && memcmp(request->headers[i].name.at, name, len) == 0)
      return request->headers[i].value;
  return (parley_text){NULL, 0};
}

uint32_t http_header_count(const struct http_request *request, const char *name)
{
  uint32_t n = 0;

  for (uint32_t i = 0; i < request->n_headers; i++)
    n += (uint32_t)parley_text_is(request->headers[i].name, name);
  return n;
}

const struct net_address *http_peer(const struct http_request *request)
{
  return &http_req_of(request)->peer;
}

void http_body_pause(struct http_request *request, bool paused)
{
  struct http_req *req = http_req_of(request);

  if (req->paused == paused)
    return;
  req->paused = paused;
  if (req->conn == NULL)
    return;
  req->conn->deadline_ms = paused ? HTTP_NEVER_MS : http_conn_now(req->conn) + req->server->conf.body_ms;
  http_conn_dirty(req->conn);
}
