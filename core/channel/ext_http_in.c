/* parley.http-in/1: providers' callbacks to /in/<channel>/..., and the plugin's answers to them. */
#include "core/base/alloc.h"
#include "core/base/text.h"
#include "instance.h"
#include <stdlib.h>

struct call {
  uint64_t id;
  struct http_request *request;
  int64_t deadline_ms;
};

static void call_busy(struct http_request *request)
{
  http_answer(request, &(struct http_answer){.code = 503,
                                             .retry_after_s = 5,
                                             .type = PARLEY_LIT("application/problem+json"),
                                             .body = PARLEY_LIT("{\"status\":503,\"code\":\"channel_busy\"}")});
}

/* "/in/hook/a/b" -> "/a/b"; "/in/hook" -> "/". */
static parley_text call_path(const struct channel *channel, parley_text path)
{
  parley_text rest = text_sub(path, sizeof "/in/" - 1 + parley_text_of(channel->name).len, SIZE_MAX);

  return rest.len > 0 ? rest : PARLEY_LIT("/");
}

void channel_http_in(struct channel *channel, struct http_request *request)
{
  const parley_http_in *table = plugin_offer(channel->plugin, PARLEY_HTTP_IN);
  char peer[NET_ADDRESS_TEXT_MAX];
  struct buf url = BUF_INIT(16384);
  parley_http_call said;
  struct call *call;

  if (table == NULL) {
    http_answer_problem(request, 404, "no_callbacks", "this channel takes no callbacks");
    return;
  }
  if (!channel->started || channel->stop_asked || channel->calls.count >= CHANNEL_CALLS_MAX) {
    call_busy(request);
    return;
  }
  call = xcalloc(1, sizeof *call);
  call->id = ++channel->last_id;
  call->request = request;
  call->deadline_ms = channel->shared.env->mono_ms(channel->shared.env) + CHANNEL_CALL_MS;
  map_put(&channel->calls, call->id, call);
  buf_text(&url, channel->shared.public_url);
  buf_text(&url, request->target);
  said = (parley_http_call){.size = sizeof said,
                            .n_headers = request->n_headers,
                            .method = request->method_name,
                            .path = call_path(channel, request->path),
                            .query = request->query,
                            .url = buf_as_text(&url),
                            .peer = net_address_format(http_peer(request), false, peer),
                            .headers = request->headers,
                            .body = request->body};
  channel_enter(channel);
  table->called(channel->instance, call->id, &said);
  channel_leave(channel, "called");
  buf_done(&url);
}

static void host_answer(const parley_host *host, uint64_t id, const parley_http_answer *answer)
{
  struct channel *channel = channel_of(host);
  struct call *call = map_take(&channel->calls, id);

  if (call == NULL)
    return; /* answered, timed out or never asked: no effect */
  http_answer(call->request,
              &(struct http_answer){.code = answer->code >= 200 && answer->code < 600 ? answer->code : 500,
                                    .retry_after_s = (answer->retry_ms + 999) / 1000,
                                    .type = answer->type,
                                    .headers = answer->headers,
                                    .n_headers = answer->n_headers,
                                    .body = answer->body});
  free(call);
}

static void calls_answer(struct channel *channel, int64_t before_ms)
{
  uint64_t id;
  void *value;

  for (size_t pos = 0; map_next(&channel->calls, &pos, &id, &value);) {
    struct call *call = value;

    if (call->deadline_ms > before_ms)
      continue;
    map_take(&channel->calls, id);
    call_busy(call->request);
    free(call);
    pos = 0; /* the table has changed */
  }
}

void ext_http_in_sweep(struct channel *channel, int64_t mono_ms)
{
  if (channel->calls.count > 0)
    calls_answer(channel, mono_ms);
}

void ext_http_in_end(struct channel *channel)
{
  calls_answer(channel, INT64_MAX);
}

const parley_http_answers ext_http_answers = {.size = sizeof ext_http_answers, .answer = host_answer};
