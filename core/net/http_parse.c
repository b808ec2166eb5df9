/* From bytes to requests: the strict look at the head, then llhttp for spans, lengths and chunks. */
#include "core/base/alloc.h"
#include "core/base/env.h"
#include "core/base/text.h"
#include "http_conn.h"
#include <string.h>

/* --- llhttp's callbacks. The head lies in the request's own memory and is handed over whole, so each span is too. ---
 */
static int on_url(llhttp_t *parser, const char *at, size_t len)
{
  struct http_req *req = ((struct http_conn *)parser->data)->current;

  if (req->pub.target.len == 0)
    req->pub.target.at = at;
  req->pub.target.len += len;
  return 0;
}

static int on_field(llhttp_t *parser, const char *at, size_t len)
{
  struct http_conn *conn = parser->data;
  struct http_req *req = conn->current;

  if (conn->input != HTTP_INPUT_HEAD || req->pub.n_headers == conn->head.n_headers) {
    conn->fault = 400; /* trailers are not taken */
    return HPE_USER;
  }
  req->headers[req->pub.n_headers++] = (parley_pair){{at, len}, {at, 0}};
  return 0;
}

static int on_value(llhttp_t *parser, const char *at, size_t len)
{
  struct http_req *req = ((struct http_conn *)parser->data)->current;
  parley_text *value = &req->headers[req->pub.n_headers - 1].value;

  if (value->len == 0)
    value->at = at;
  value->len += len;
  return 0;
}

static int on_headers_complete(llhttp_t *parser)
{
  struct http_conn *conn = parser->data;

  parser->upgrade = 0; /* no other protocol is offered here: the header is ignored */
  conn->keep_alive = llhttp_should_keep_alive(parser);
  return 0;
}

static int on_extension(llhttp_t *parser, const char *at, size_t len)
{
  struct http_conn *conn = parser->data;

  (void)at;
  if (conn->current != NULL && (conn->current->extension_bytes += (uint32_t)len) > HTTP_CHUNK_EXTENSIONS_MAX) {
    conn->fault = 400;
    return HPE_USER;
  }
  return 0;
}

static void body_keep(struct http_req *req, const char *at, size_t len)
{
  if (req->inline_room > 0) {
    memcpy(req->inline_body + req->body_bytes, at, len); /* Content-Length fits: llhttp gives no more than that */
    return;
  }
  req->grown.max = req->pub.body_max + 1;
  buf_add(&req->grown, at, len);
}

static int on_body(llhttp_t *parser, const char *at, size_t len)
{
  struct http_conn *conn = parser->data;
  struct http_req *req = conn->current;

  if (req == NULL) {
    conn->skip_bytes += len;
    return 0;
  }
  if (len > req->pub.body_max - req->body_bytes) {
    conn->fault = 413;
    return HPE_USER;
  }
  if (!req->pub.streamed)
    body_keep(req, at, len);
  req->body_bytes += len;
  if (conn->deadline_ms != HTTP_NEVER_MS)
    conn->deadline_ms += (int64_t)(len * 1000 / HTTP_BODY_BYTES_PER_S);
  if (req->pub.streamed)
    conn->server->handler->piece(&req->pub, (parley_bytes){at, len}, conn->server->arg);
  return 0;
}

static int on_complete(llhttp_t *parser)
{
  ((struct http_conn *)parser->data)->message_done = true;
  return HPE_PAUSED;
}

static const llhttp_settings_t parse_settings = {
    .on_url = on_url,
    .on_header_field = on_field,
    .on_header_value = on_value,
    .on_headers_complete = on_headers_complete,
    .on_chunk_extension_name = on_extension,
    .on_chunk_extension_value = on_extension,
    .on_body = on_body,
    .on_message_complete = on_complete,
};

/* --- The head --------------------------------------------------------------------------------- */
static void names_lower(struct http_req *req)
{
  for (uint32_t i = 0; i < req->pub.n_headers; i++) {
    char *name = (char *)(uintptr_t)req->headers[i].name.at; /* in the request's own memory */

    for (size_t k = 0; k < req->headers[i].name.len; k++)
      if (name[k] >= 'A' && name[k] <= 'Z')
        name[k] = (char)(name[k] | 0x20);
    req->headers[i].value = text_trim(req->headers[i].value);
  }
}

static void target_split(struct http_request *pub)
{
  parley_text rest = pub->target;
  size_t at;

  if (rest.len > 0 && rest.at[0] != '/' && rest.at[0] != '*') { /* absolute: its host has been compared */
    size_t slashes = text_find(rest, ':') + 3;

    rest = text_sub(rest, slashes, rest.len);
    for (at = 0; at < rest.len && rest.at[at] != '/' && rest.at[at] != '?';)
      at++;
    rest = text_sub(rest, at, rest.len);
    pub->target = rest.len > 0 ? rest : (parley_text){"/", 1};
    rest = pub->target;
  }
  at = text_find(rest, '?');
  pub->path = text_sub(rest, 0, at);
  if (pub->path.len == 0)
    pub->path = (parley_text){"/", 1};
  pub->query = text_sub(rest, at + 1, rest.len);
}

static bool method_of(uint8_t method, enum http_method *ret)
{
  static const struct {
    uint8_t from;
    enum http_method to;
  } methods[] = {{HTTP_GET, HTTP_M_GET},        {HTTP_POST, HTTP_M_POST},     {HTTP_PUT, HTTP_M_PUT},
                 {HTTP_PATCH, HTTP_M_PATCH},    {HTTP_DELETE, HTTP_M_DELETE}, {HTTP_HEAD, HTTP_M_HEAD},
                 {HTTP_OPTIONS, HTTP_M_OPTIONS}};

  for (size_t i = 0; i < COUNT_OF(methods); i++)
    if (methods[i].from == method) {
      *ret = methods[i].to;
      return true;
    }
  return false;
}

static parley_text method_text(enum http_method method)
{
  switch (method) {
  case HTTP_M_GET:
    return PARLEY_LIT("GET");
  case HTTP_M_HEAD:
    return PARLEY_LIT("HEAD");
  case HTTP_M_POST:
    return PARLEY_LIT("POST");
  case HTTP_M_PUT:
    return PARLEY_LIT("PUT");
  case HTTP_M_PATCH:
    return PARLEY_LIT("PATCH");
  case HTTP_M_DELETE:
    return PARLEY_LIT("DELETE");
  case HTTP_M_OPTIONS:
    return PARLEY_LIT("OPTIONS");
  }
  return TEXT_EMPTY;
}

/* Runs llhttp over the copied head and fills the public part. false: it found fault where the scan had not. */
static bool head_fill(struct http_conn *conn, struct http_req *req, char *head, size_t len)
{
  llhttp_errno_t err;

  llhttp_init(&conn->parser, HTTP_REQUEST, &parse_settings);
  conn->parser.data = conn;
  conn->message_done = false;
  err = llhttp_execute(&conn->parser, head, len);
  if (err != HPE_OK && !(err == HPE_PAUSED && conn->message_done))
    return false;
  if (!method_of(llhttp_get_method(&conn->parser), &req->pub.method))
    return false;
  req->pub.method_name = method_text(req->pub.method);
  names_lower(req);
  target_split(&req->pub);
  req->pub.headers = req->headers;
  req->pub.has_length = conn->head.has_length;
  req->pub.length = conn->head.length;
  req->keep_alive = conn->keep_alive;
  req->http_1_0 = conn->head.http_1_0;
  req->expects = conn->head.expect_continue && !conn->message_done;
  return true;
}

/* What the server itself refuses once the handler has named its limits; false when it did. */
static bool limits_check(struct http_conn *conn, struct http_req *req)
{
  if (conn->head.encoded && !conn->message_done) {
    http_parse_refuse(conn, 415, "no Content-Encoding is offered");
    return false;
  }
  if (req->pub.has_length && req->pub.length > req->pub.body_max) {
    http_parse_refuse(conn, 413, "the body is too large");
    return false;
  }
  return true;
}

/* The message is whole: the next bytes are the next head. */
static void message_finish(struct http_conn *conn)
{
  struct http_req *req = conn->current;

  conn->current = NULL;
  conn->head = (struct http_head){0};
  if (conn->input != HTTP_INPUT_OVER) /* an answer may have ended it already */
    conn->input = conn->keep_alive ? HTTP_INPUT_HEAD : HTTP_INPUT_OVER;
  conn->deadline_ms = HTTP_NEVER_MS;
  http_conn_dirty(conn);
  if (req == NULL) /* its answer went out before its body was in */
    return;
  req->whole = true;
  req->expects = false;
  if (req->grown.len > 0)
    req->pub.body = buf_as_text(&req->grown);
  else
    req->pub.body = (parley_bytes){req->inline_body, req->inline_room > 0 ? (size_t)req->body_bytes : 0};
  conn->server->handler->ready(&req->pub, conn->server->arg);
}

static void head_hand_over(struct http_conn *conn, struct http_req *req)
{
  struct http_server *server = conn->server;

  req->handed = true;
  if (server->handler->head != NULL)
    server->handler->head(&req->pub, server->arg);
  if (conn->dead)
    return;
  if (conn->current == req && !limits_check(conn, req))
    return;
  if (conn->message_done) {
    message_finish(conn);
    return;
  }
  if (conn->current == req && conn->first == req)
    http_reply_advance(conn, false); /* tells a client that waits for it to go on */
}

static size_t head_take(struct http_conn *conn, const char *bytes, size_t len)
{
  struct http_req *req;
  size_t head_len, body_room = 0;
  char *copy;

  if (conn->head.seen == 0)
    conn->deadline_ms = http_conn_now(conn) + conn->server->conf.head_ms;
  switch (http_head_scan(&conn->head, bytes, len)) {
  case HTTP_HEAD_MORE:
    return 0;
  case HTTP_HEAD_REFUSED:
    http_parse_refuse(conn, conn->head.code, conn->head.why);
    return len;
  case HTTP_HEAD_DONE:
    break;
  }
  head_len = conn->head.end - conn->head.start;
  if (conn->head.has_length && conn->head.length <= HTTP_BODY_INLINE_MAX)
    body_room = (size_t)conn->head.length;
  req = http_req_new(conn, conn->head.n_headers, head_len, body_room);
  copy = (char *)&req->headers[conn->head.n_headers];
  memcpy(copy, bytes + conn->head.start, head_len);
  http_req_push(conn, req);
  conn->current = req;
  if (!head_fill(conn, req, copy, head_len)) {
    http_parse_refuse(conn, 400, "the request is malformed");
    return len;
  }
  conn->server->counters.requests++;
  conn->input = HTTP_INPUT_BODY;
  conn->skip_bytes = 0;
  conn->deadline_ms = http_conn_now(conn) + conn->server->conf.body_ms;
  head_len = conn->head.end;
  head_hand_over(conn, req);
  return head_len;
}

/* --- The body --------------------------------------------------------------------------------- */
static size_t body_take(struct http_conn *conn, const char *bytes, size_t len)
{
  llhttp_errno_t err;

  if (conn->current != NULL)
    conn->current->expects = false; /* it has not waited */
  err = llhttp_execute(&conn->parser, bytes, len);
  if (conn->dead)
    return len;
  if (err == HPE_OK) {
    if (conn->input == HTTP_INPUT_SKIP && conn->skip_bytes > HTTP_BODY_DRAIN_MAX)
      http_parse_refuse(conn, 413, "the body is too large");
    return len;
  }
  if (err == HPE_PAUSED && conn->message_done) {
    size_t used = (size_t)(llhttp_get_error_pos(&conn->parser) - bytes);

    message_finish(conn);
    return used;
  }
  if (conn->input != HTTP_INPUT_OVER)
    http_parse_refuse(conn, conn->fault ? conn->fault : 400,
                      conn->fault == 413 ? "the body is too large" : "the body is malformed");
  return len;
}

/* --- All together ----------------------------------------------------------------------------- */
bool http_parse_open(const struct http_conn *conn)
{
  if (conn->dead || conn->closing_after || conn->cut)
    return false;
  switch (conn->input) {
  case HTTP_INPUT_HEAD:
    if (conn->server->draining && conn->first != NULL)
      return false;
    return conn->queued < HTTP_IN_FLIGHT_MAX && conn->out.len < HTTP_WRITE_HIGH_BYTES;
  case HTTP_INPUT_BODY:
    return conn->current == NULL || !conn->current->paused;
  case HTTP_INPUT_SKIP:
    return true;
  case HTTP_INPUT_OVER: /* read to see the end, and dropped */
    return conn->lingering || conn->first == NULL || conn->first->events != NULL;
  }
  return false;
}

size_t http_parse(struct http_conn *conn, const char *bytes, size_t len)
{
  size_t used = 0;

  while (used < len && http_parse_open(conn)) {
    size_t step = 0;

    switch (conn->input) {
    case HTTP_INPUT_HEAD:
      step = head_take(conn, bytes + used, len - used);
      break;
    case HTTP_INPUT_BODY:
    case HTTP_INPUT_SKIP:
      step = body_take(conn, bytes + used, len - used);
      break;
    case HTTP_INPUT_OVER:
      step = len - used;
      break;
    }
    if (step == 0)
      break;
    used += step;
  }
  return conn->dead ? len : used;
}

static const char *problem_code_of(uint16_t code)
{
  switch (code) {
  case 405:
    return "method_not_allowed";
  case 408:
    return "request_timeout";
  case 413:
    return "body_too_large";
  case 414:
    return "target_too_long";
  case 415:
    return "encoding_not_offered";
  case 417:
    return "expectation_failed";
  case 431:
    return "head_too_large";
  case 505:
    return "version_not_supported";
  default:
    return "malformed_request";
  }
}

void http_parse_refuse(struct http_conn *conn, uint16_t code, const char *why)
{
  struct http_req *req = conn->current;

  conn->current = NULL;
  conn->fault = 0;
  conn->input = HTTP_INPUT_OVER;
  conn->deadline_ms = HTTP_NEVER_MS;
  conn->linger = true;
  conn->server->counters.malformed += code != 408;
  if (req != NULL && req->handed && conn->server->handler->left != NULL)
    conn->server->handler->left(&req->pub, conn->server->arg);
  if (req == NULL) {
    req = http_req_new(conn, 0, 0, 0);
    http_req_push(conn, req);
  }
  http_reply_problem(req, code, problem_code_of(code), why, true);
}
