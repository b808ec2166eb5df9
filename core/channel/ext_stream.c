/* parley.stream/1: the plugin's byte streams. Each event comes in a frame of ours (channel_enter). */
#include "core/base/alloc.h"
#include "instance.h"
#include <stdlib.h>

struct proxy { /* of one stream, or of one listener */
  struct channel *channel;
  const parley_stream_events *events;
  void *arg;
  parley_accepted *accepted; /* listener */
  parley_done *bound;
};

static void proxy_opened(const parley_peer *peer, void *arg)
{
  struct proxy *proxy = arg;

  channel_enter(proxy->channel);
  proxy->events->opened(peer, proxy->arg);
  channel_leave(proxy->channel, "opened");
}

static size_t proxy_data(parley_bytes bytes, void *arg)
{
  struct proxy *proxy = arg;
  struct channel *channel = proxy->channel;
  size_t used;

  channel_enter(channel);
  used = proxy->events->data(bytes, proxy->arg);
  channel_leave(channel, "data");
  return used;
}

static void proxy_writable(void *arg)
{
  struct proxy *proxy = arg;
  struct channel *channel = proxy->channel;

  if (proxy->events->writable == NULL)
    return;
  channel_enter(channel);
  proxy->events->writable(proxy->arg);
  channel_leave(channel, "writable");
}

static void proxy_closed(const parley_result *result, void *arg)
{
  struct proxy *proxy = arg;
  struct channel *channel = proxy->channel;

  channel_enter(channel);
  proxy->events->closed(result, proxy->arg);
  channel_leave(channel, "closed");
  free(proxy);
}

static const parley_stream_events proxy_events = {.size = sizeof proxy_events, .opened = proxy_opened, .data = proxy_data,
                                                  .writable = proxy_writable, .closed = proxy_closed};

static struct proxy *proxy_new(struct channel *channel, const parley_stream_events *events, void *arg)
{
  struct proxy *proxy = xcalloc(1, sizeof *proxy);

  proxy->channel = channel;
  proxy->events = events;
  proxy->arg = arg;
  return proxy;
}

struct refusal {
  struct deferred deferred;
  const parley_stream_events *events;
  void *arg;
};

static void refusal_run(struct channel *channel, struct deferred *deferred)
{
  struct refusal *refusal = container_of(deferred, struct refusal, deferred);
  parley_result result = {.size = sizeof result, .status = PARLEY_CANCELLED, .reason = PARLEY_LIT("the channel has stopped")};

  channel_enter(channel);
  refusal->events->closed(&result, refusal->arg);
  channel_leave(channel, "closed");
  free(refusal);
}

static uint64_t host_connect(const parley_host *host, const parley_endpoint *endpoint, const parley_stream_events *events,
                             void *arg)
{
  struct channel *channel = channel_of(host);

  if (channel->streams == NULL) {
    struct refusal *refusal = xcalloc(1, sizeof *refusal);

    *refusal = (struct refusal){.deferred = {.run = refusal_run}, .events = events, .arg = arg};
    channel_defer(channel, &refusal->deferred);
    return HANDLE_ID_BIT;
  }
  return stream_connect(channel->streams, endpoint, &proxy_events, proxy_new(channel, events, arg));
}

static void *listener_accepted(uint64_t stream, const parley_peer *peer, void *arg)
{
  struct proxy *listener = arg, *proxy;
  void *theirs;

  channel_enter(listener->channel);
  theirs = listener->accepted(stream, peer, listener->arg);
  channel_leave(listener->channel, "accepted");
  if (theirs == NULL)
    return NULL;
  proxy = proxy_new(listener->channel, listener->events, theirs);
  return proxy;
}

static void listener_bound(const parley_result *result, void *arg)
{
  struct proxy *listener = arg;

  if (listener->bound == NULL)
    return;
  channel_enter(listener->channel);
  listener->bound(result, listener->arg);
  channel_leave(listener->channel, "bound");
}

static uint64_t host_listen(const parley_host *host, const parley_endpoint *endpoint, const parley_stream_events *events,
                            parley_accepted *accepted, parley_done *bound, void *arg)
{
  struct channel *channel = channel_of(host);
  struct proxy *listener = arena_alloc(channel->arena, sizeof *listener); /* few, and as long as the channel */

  if (channel->streams == NULL) {
    channel_done_later(channel, bound, arg, PARLEY_CANCELLED, "the channel has stopped");
    return HANDLE_ID_BIT;
  }
  *listener = (struct proxy){channel, events, arg, accepted, bound};
  return stream_listen(channel->streams, endpoint, &proxy_events, listener_accepted, listener_bound, listener);
}

static uint64_t host_write(const parley_host *host, uint64_t stream, parley_bytes bytes)
{
  struct streams *streams = channel_of(host)->streams;

  return streams != NULL ? stream_write(streams, stream, bytes) : 0;
}

static void host_reading(const parley_host *host, uint64_t stream, uint32_t on)
{
  struct streams *streams = channel_of(host)->streams;

  if (streams != NULL)
    stream_reading(streams, stream, on);
}

static void host_secure(const parley_host *host, uint64_t stream, const parley_tls *tls, uint32_t as_server, uint64_t unused)
{
  struct streams *streams = channel_of(host)->streams;

  if (streams != NULL)
    stream_secure(streams, stream, tls, as_server, unused);
}

static void host_close(const parley_host *host, uint64_t stream, uint32_t now)
{
  struct streams *streams = channel_of(host)->streams;

  if (streams != NULL)
    stream_shut(streams, stream, now);
}

const parley_stream ext_stream = {.size = sizeof ext_stream, .connect = host_connect, .listen = host_listen, .write = host_write,
                                  .reading = host_reading, .secure = host_secure, .close = host_close};
