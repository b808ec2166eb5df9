/* parley.http/1 where media stands in the store: pieces by id are read from there before the request goes out, and with
 * PARLEY_HTTP_SAVE the body of a 2xx answer is stored before the plugin hears of it. Bodies of up to 25 MiB are held meanwhile, so
 * only CHANNEL_HTTP_MEDIA_MAX of a channel are under way; the next ones wait for a place, within their own time. */
#include "core/base/alloc.h"
#include "core/base/text.h"
#include "instance.h"
#include <stdlib.h>

struct media_http {
  struct deferred deferred; /* its end, where the plugin's call that caused it must return first */
  struct handle handle;
  struct list node; /* of channel->http_waiting */
  struct arena *arena;
  struct http_call call; /* copied, but for its body */
  bool save, started, cancelled;
  int64_t deadline_ms; /* monotonic */
  uint32_t n_pieces, at;
  parley_part *pieces; /* copied: media or data of each */
  uint64_t offset;     /* in the piece that is being read */
  struct buf body;     /* of the request, later of the answer */
  uint64_t request;    /* the client's id; 0: not under way */
  union {
    struct store_op op;
    struct store_media read;
    struct store_media_add add;
  } u;
  uv_work_t work;
  char media[ID_TEXT_MAX];
  parley_http_response response;
  parley_http_done *done;
  void *arg;
};

static const char too_large[] = "body_too_large: a request has at most 25 MiB";
static void media_http_next(struct channel *channel);

/* --- The end ---------------------------------------------------------------------------------------------------------- */

static void media_http_end(struct media_http *http)
{
  struct channel *channel = http->handle.channel;

  if (!http->cancelled)
    handle_drop(&http->handle);
  channel->http_media -= http->started;
  channel_enter(channel);
  http->done(&http->response, http->arg);
  channel_leave(channel, "http");
  buf_done(&http->body);
  arena_free(&http->arena);
  free(http);
  media_http_next(channel);
  channel_call_over(channel);
}

static void media_http_fail(struct media_http *http, parley_status status, const char *reason)
{
  uint32_t sent = http->response.sent;

  http->response = (parley_http_response){.size = sizeof http->response, .status = status, .sent = sent,
                                          .reason = parley_text_of(reason)};
  if (http->cancelled) {
    http->response.status = PARLEY_CANCELLED;
    http->response.reason = PARLEY_LIT("cancelled");
  }
  media_http_end(http);
}

static void media_http_dropped(struct channel *channel, struct deferred *deferred)
{
  (void)channel;
  media_http_fail(container_of(deferred, struct media_http, deferred), PARLEY_CANCELLED, NULL);
}

/* What is under way in the store or the pool ends there, and then sees that nobody wants it. */
static void media_http_cancel(struct handle *handle)
{
  struct media_http *http = container_of(handle, struct media_http, handle);

  handle_drop(handle);
  http->cancelled = true;
  if (http->request != 0) {
    http_client_cancel(handle->channel->shared.http, http->request);
  } else if (!http->started) {
    list_remove(&http->node);
    handle->channel->n_http_waiting--;
    http->deferred.run = media_http_dropped;
    channel_defer(handle->channel, &http->deferred);
  }
}

/* --- The answer ------------------------------------------------------------------------------------------------------- */

static void answer_saved(struct store_op *op)
{
  struct media_http *http = container_of(op, struct media_http, u.op);
  id64 id = http->u.add.id;

  arena_free(&op->arena);
  if (op->status != PARLEY_OK || http->cancelled) {
    media_http_fail(http, op->status == PARLEY_BUSY ? PARLEY_BUSY : PARLEY_RETRY, "media_not_stored: the store could not take it");
    return;
  }
  id_format("med", id, http->media);
  http->response.media = parley_text_of(http->media);
  media_http_end(http);
}

static void answer_hash(uv_work_t *work)
{
  struct media_http *http = container_of(work, struct media_http, work);

  sha256(buf_as_text(&http->body), http->u.add.sha256);
}

static void answer_hashed(uv_work_t *work, int status)
{
  struct media_http *http = container_of(work, struct media_http, work);

  (void)status; /* pool work of ours is never cancelled */
  http->u.op.kind = STORE_MEDIA_ADD;
  http->u.op.done = answer_saved;
  http->u.add.type = text_sub(http->response.type, 0, MEDIA_WORD_BYTES_MAX);
  http->u.add.bytes = buf_as_text(&http->body);
  store_submit(http->handle.channel->shared.store, &http->u.op);
}

static void answer_copy(struct media_http *http, const struct http_reply *reply)
{
  parley_http_response *response = &http->response;
  parley_pair *headers = arena_alloc(http->arena, (reply->n_headers + 1) * sizeof *headers);

  for (uint32_t i = 0; i < reply->n_headers; i++)
    headers[i] = (parley_pair){arena_text(http->arena, reply->headers[i].name), arena_text(http->arena, reply->headers[i].value)};
  response->headers = headers;
  response->reason = TEXT_EMPTY;
  response->body = TEXT_EMPTY;
  http->body = BUF_INIT(HTTP_MEDIA_BYTES_MAX);
  buf_text(&http->body, reply->body);
}

static void media_http_answered(const struct http_reply *reply, void *arg)
{
  struct media_http *http = arg;

  http->request = 0;
  http_response_fill(&http->response, reply);
  if (!http->save || http->cancelled || reply->status != PARLEY_OK || reply->code / 100 != 2 || reply->body.len == 0) {
    media_http_end(http);
    return;
  }
  answer_copy(http, reply);
  http->response.type = parley_header(http->response.headers, http->response.n_headers, "content-type");
  if (http->response.type.len == 0)
    http->response.type = PARLEY_LIT("application/octet-stream");
  http->u.add = (struct store_media_add){.name = TEXT_EMPTY};
  uv_queue_work(http->handle.channel->shared.loop, &http->work, answer_hash, answer_hashed);
}

/* --- The request ------------------------------------------------------------------------------------------------------ */

static void media_http_ask(struct media_http *http)
{
  struct channel *channel = http->handle.channel;
  int64_t left_ms = http->deadline_ms - channel->shared.env->mono_ms(channel->shared.env);

  if (left_ms <= 0 || http->body.overflow) {
    media_http_fail(http, http->body.overflow ? PARLEY_INVALID : PARLEY_TIMEOUT, http->body.overflow ? too_large : "timeout");
    return;
  }
  http->call.timeout_ms = (uint32_t)left_ms;
  http->call.body = buf_as_text(&http->body);
  http->request = http_client_request(channel->shared.http, &http->call, media_http_answered, http);
  buf_done(&http->body);
}

static void media_http_read(struct media_http *http);

static void piece_read(struct store_op *op)
{
  struct media_http *http = container_of(op, struct media_http, u.op);
  const struct store_media *read = &http->u.read;
  parley_status st = op->status;

  if (st == PARLEY_OK && read->total_bytes - http->offset > HTTP_MEDIA_BYTES_MAX - http->body.len)
    st = PARLEY_REJECTED;
  if (st == PARLEY_OK)
    buf_text(&http->body, read->bytes);
  http->offset += read->bytes.len;
  if (read->bytes.len == 0 || http->offset >= read->total_bytes) {
    http->offset = 0;
    http->at++;
  }
  arena_free(&op->arena);
  if (http->cancelled)
    media_http_fail(http, PARLEY_CANCELLED, NULL);
  else if (st == PARLEY_NOT_FOUND)
    media_http_fail(http, PARLEY_INVALID, "media_unknown: there is no media of this id");
  else if (st == PARLEY_REJECTED)
    media_http_fail(http, PARLEY_INVALID, too_large);
  else if (st != PARLEY_OK)
    media_http_fail(http, PARLEY_RETRY, "media_not_read: the store could not");
  else
    media_http_read(http);
}

/* Goes on until something is to be waited for. */
static void media_http_read(struct media_http *http)
{
  for (; http->at < http->n_pieces && http->pieces[http->at].media.len == 0; http->at++)
    buf_text(&http->body, http->pieces[http->at].data);
  if (http->at == http->n_pieces) {
    media_http_ask(http);
    return;
  }
  http->u.read = (struct store_media){.op = {.kind = STORE_MEDIA, .done = piece_read}, .offset = http->offset,
                                      .limit = CHANNEL_INLINE_MAX};
  id_parse("med", http->pieces[http->at].media, &http->u.read.id); /* else 0, which is none */
  store_submit(http->handle.channel->shared.store, &http->u.op);
}

static void media_http_begin(struct channel *channel, struct deferred *deferred)
{
  struct media_http *http = container_of(deferred, struct media_http, deferred);

  (void)channel;
  if (http->cancelled)
    media_http_fail(http, PARLEY_CANCELLED, NULL);
  else
    media_http_read(http);
}

static void media_http_next(struct channel *channel)
{
  while (!channel->stop_said && channel->http_media < CHANNEL_HTTP_MEDIA_MAX && !list_empty(&channel->http_waiting)) {
    struct media_http *http = LIST_ITEM(list_pop(&channel->http_waiting), struct media_http, node);

    channel->http_media++;
    channel->n_http_waiting--;
    http->started = true;
    http->deferred.run = media_http_begin;
    channel_defer(channel, &http->deferred);
  }
}

/* --- Taking it in ----------------------------------------------------------------------------------------------------- */

bool http_has_media(const parley_http_request *request)
{
  for (uint32_t i = 0; i < request->n_pieces; i++)
    if (request->pieces[i]->media.len > 0)
      return true;
  return (request->flags & PARLEY_HTTP_SAVE) != 0;
}

/* Body and pieces alike; false: more than a plugin may hold in its hands. */
static bool pieces_copy(struct media_http *http, const parley_http_request *request)
{
  parley_part body = {.size = sizeof body, .data = request->body};
  const parley_part *only = &body, *const *from = request->n_pieces > 0 ? request->pieces : &only;
  uint64_t bytes = 0;

  http->n_pieces = request->n_pieces > 0 ? request->n_pieces : 1;
  http->pieces = arena_alloc(http->arena, http->n_pieces * sizeof *http->pieces);
  for (uint32_t i = 0; i < http->n_pieces; i++) {
    http->pieces[i].media = arena_text(http->arena, from[i]->media);
    bytes += http->pieces[i].media.len;
    if (http->pieces[i].media.len == 0 && (bytes += from[i]->data.len) <= CHANNEL_INLINE_MAX)
      http->pieces[i].data = arena_text(http->arena, from[i]->data);
  }
  return bytes <= CHANNEL_INLINE_MAX;
}

static void call_copy(struct media_http *http, const parley_http_request *request)
{
  parley_pair *headers = arena_alloc(http->arena, (request->n_headers + 1) * sizeof *headers);

  for (uint32_t i = 0; i < request->n_headers; i++)
    headers[i] = (parley_pair){arena_text(http->arena, request->headers[i].name), arena_text(http->arena, request->headers[i].value)};
  http->call = (struct http_call){.method = arena_text(http->arena, request->method), .url = arena_text(http->arena, request->url),
                                  .headers = headers, .n_headers = request->n_headers,
                                  .response_max = http_response_max(request)};
}

static void media_http_free(struct media_http *http)
{
  arena_free(&http->arena);
  free(http);
}

uint64_t http_media_request(struct channel *channel, const parley_http_request *request, parley_http_done *done, void *arg)
{
  const struct env *env = channel->shared.env;
  struct media_http *http;

  if (channel->n_http_waiting == CHANNEL_HTTP_WAITING_MAX)
    return http_refuse(channel, done, arg, PARLEY_BUSY, "too many requests with media are waiting");
  http = xcalloc(1, sizeof *http);
  http->arena = arena_new();
  http->body = BUF_INIT(HTTP_MEDIA_BYTES_MAX);
  http->save = (request->flags & PARLEY_HTTP_SAVE) != 0;
  http->deadline_ms = env->mono_ms(env) + (request->timeout_ms > 0 ? request->timeout_ms : HTTP_CLIENT_TIMEOUT_MS);
  http->done = done;
  http->arg = arg;
  call_copy(http, request);
  if (!pieces_copy(http, request)) {
    media_http_free(http);
    return http_refuse(channel, done, arg, PARLEY_INVALID, "body_too_large: larger content than inline_max goes by its media id");
  }
  if (!handle_add(channel, &http->handle, HANDLE_HTTP, media_http_cancel)) {
    media_http_free(http);
    return http_refuse(channel, done, arg, PARLEY_BUSY, "too many requests are open");
  }
  channel->host_calls++;
  channel->n_http_waiting++;
  list_push(&channel->http_waiting, &http->node);
  media_http_next(channel);
  return http->handle.id;
}
