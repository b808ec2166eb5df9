/* parley.http/1: the plugin's requests on the shared client. Pieces are joined; what has to do with media in the store is in
 * ext_http_media.c. */
#include "core/base/alloc.h"
#include "instance.h"
#include <stdlib.h>

struct host_http {
  struct handle handle;
  uint64_t request; /* the client's id */
  parley_http_done *done;
  void *arg;
  bool cancelled;
};

void http_response_fill(parley_http_response *response, const struct http_reply *reply)
{
  *response = (parley_http_response){.size = sizeof *response, .status = reply->status, .code = reply->code,
                                     .sent = reply->sent, .retry_ms = reply->retry_ms, .n_headers = reply->n_headers,
                                     .total_bytes = reply->body.len, .headers = reply->headers, .body = reply->body,
                                     .reason = reply->reason};
  response->type = parley_header(reply->headers, reply->n_headers, "content-type");
}

static void host_http_done(const struct http_reply *reply, void *arg)
{
  struct host_http *call = arg;
  struct channel *channel = call->handle.channel;
  parley_http_response response;

  http_response_fill(&response, reply);
  if (!call->cancelled)
    handle_drop(&call->handle);
  channel_enter(channel);
  call->done(&response, call->arg);
  channel_leave(channel, "http");
  free(call);
  channel_call_over(channel);
}

static void host_http_cancel(struct handle *handle)
{
  struct host_http *call = container_of(handle, struct host_http, handle);

  handle_drop(handle);
  call->cancelled = true;
  http_client_cancel(handle->channel->shared.http, call->request);
}

uint64_t http_response_max(const parley_http_request *request)
{
  uint64_t most = request->response_max;

  if (most == 0)
    most = (request->flags & PARLEY_HTTP_SAVE) != 0 ? HTTP_MEDIA_BYTES_MAX : CHANNEL_INLINE_MAX;
  return most < HTTP_MEDIA_BYTES_MAX ? most : HTTP_MEDIA_BYTES_MAX;
}

static bool pieces_join(const parley_http_request *request, struct buf *to)
{
  for (uint32_t i = 0; i < request->n_pieces; i++)
    buf_text(to, request->pieces[i]->data);
  return !to->overflow;
}

static uint64_t host_http_request(const parley_host *host, const parley_http_request *request, parley_http_done *done, void *arg)
{
  struct channel *channel = channel_of(host);
  struct http_call call = {.method = request->method, .url = request->url, .headers = request->headers,
                           .n_headers = request->n_headers, .timeout_ms = request->timeout_ms, .body = request->body,
                           .response_max = http_response_max(request)};
  struct buf joined = BUF_INIT(HTTP_MEDIA_BYTES_MAX);
  struct host_http *out;

  if (channel->stop_said)
    return http_refuse(channel, done, arg, PARLEY_CANCELLED, "the channel has stopped");
  if (http_has_media(request))
    return http_media_request(channel, request, done, arg);
  if (!pieces_join(request, &joined)) {
    buf_done(&joined);
    return http_refuse(channel, done, arg, PARLEY_INVALID, "body_too_large: a request has at most 25 MiB");
  }
  if (request->n_pieces > 0)
    call.body = buf_as_text(&joined);
  out = xcalloc(1, sizeof *out);
  out->done = done;
  out->arg = arg;
  if (!handle_add(channel, &out->handle, HANDLE_HTTP, host_http_cancel)) {
    free(out);
    buf_done(&joined);
    return http_refuse(channel, done, arg, PARLEY_BUSY, "too many requests are open");
  }
  channel->host_calls++;
  out->request = http_client_request(channel->shared.http, &call, host_http_done, out);
  buf_done(&joined);
  return out->handle.id;
}

const parley_http ext_http = {.size = sizeof ext_http, .request = host_http_request};
