#include "stream.h"
#include "core/base/alloc.h"
#include "core/base/env.h"
#include "core/base/text.h"
#include "stream_in.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int64_t streams_now(const struct streams *owner)
{
  return owner->env->mono_ms(owner->env);
}

struct stream_settings stream_settings_of(const parley_endpoint *endpoint)
{
  struct stream_settings set = {
      .connect_ms = endpoint->connect_ms > 0 ? endpoint->connect_ms : STREAM_CONNECT_MS,
      .idle_ms = endpoint->idle_ms,
      .backlog = endpoint->backlog > 0 ? endpoint->backlog : STREAM_BACKLOG,
      .read_max = endpoint->read_max > 0 ? endpoint->read_max : STREAM_READ_MAX,
      .write_high = endpoint->write_high > 0 ? endpoint->write_high : STREAM_WRITE_HIGH,
  };

  if (set.read_max > STREAM_READ_MAX_MAX)
    set.read_max = STREAM_READ_MAX_MAX;
  if (set.write_high > STREAM_READ_MAX_MAX)
    set.write_high = STREAM_READ_MAX_MAX;
  if (set.backlog > 4096)
    set.backlog = 4096;
  return set;
}

/* --- One stream ------------------------------------------------------------------------------- */
static void streams_on_timer(uv_timer_t *timer);

struct stream *stream_new(struct streams *owner, const struct stream_settings *set, const parley_stream_events *events,
                          void *arg)
{
  struct stream *stream = xcalloc(1, sizeof(*stream));

  stream->kind = STREAM_KIND_STREAM;
  stream->owner = owner;
  stream->id = ++owner->last_id;
  stream->set = *set;
  stream->events = events;
  stream->arg = arg;
  stream->reading = true;
  stream->in = BUF_INIT(set->read_max + 2 * STREAM_SLAB_BYTES);
  stream->plain = BUF_INIT((set->write_high + 1) * (STREAM_WRITE_CUT + 1) + STREAM_SLAB_BYTES);
  stream->raw = BUF_INIT(stream->plain.max * 2);
  stream->deadline_ms = INT64_MAX;
  list_init(&stream->dirty_node);
  list_push(&owner->streams, &stream->node);
  map_put(&owner->by_id, stream->id, stream);
  owner->count++;
  if (!uv_is_active((uv_handle_t *)&owner->timer) && !owner->closing)
    uv_timer_start(&owner->timer, streams_on_timer, STREAM_TICK_MS, STREAM_TICK_MS);
  return stream;
}

static void stream_free(struct stream *stream)
{
  struct streams *owner = stream->owner;

  list_remove(&stream->node);
  list_remove(&stream->dirty_node);
  map_take(&owner->by_id, stream->id);
  tls_free(&stream->tls);
  tls_context_unref(&stream->context);
  buf_done(&stream->in);
  buf_done(&stream->plain);
  buf_done(&stream->raw);
  free(stream);
  owner->count--;
  streams_free_maybe(owner);
}

void stream_settled(struct stream *stream)
{
  parley_result result = {.size = sizeof(result), .status = stream->end_status};

  if (stream->pending > 0 || stream->state != STREAM_OVER)
    return;
  list_remove(&stream->dirty_node);
  map_take(&stream->owner->by_id, stream->id); /* from within closed() the stream is gone already */
  result.reason = parley_text_of(stream->end_reason);
  if (stream->events != NULL)
    stream->events->closed(&result, stream->arg);
  stream_free(stream);
}

/* --- Later: what was asked for within a call is done on the next turn ------------------------- */
static void streams_on_soon(uv_idle_t *idle);

void stream_soon(struct streams *owner)
{
  if (!uv_is_closing((uv_handle_t *)&owner->soon))
    uv_idle_start(&owner->soon, streams_on_soon);
}

void stream_dirty(struct stream *stream)
{
  if (!list_empty(&stream->dirty_node))
    return;
  list_push(&stream->owner->dirty, &stream->dirty_node);
  stream_soon(stream->owner);
}

static void stream_turn(struct stream *stream)
{
  if (stream->state == STREAM_OVER) {
    stream_settled(stream);
    return;
  }
  if (stream->must_deliver)
    stream_deliver(stream);
  if (stream->state == STREAM_OVER)
    return;
  stream_flush(stream);
  stream_io_reading(stream);
}

static void dirty_turn(struct streams *owner)
{
  struct list work;
  struct list *node;

  list_init(&work);
  while ((node = list_pop(&owner->dirty)) != NULL)
    list_push(&work, node);
  while ((node = list_pop(&work)) != NULL)
    stream_turn(LIST_ITEM(node, struct stream, dirty_node));
}

static struct stream_listener *listener_untold(struct streams *owner)
{
  for (struct list *node = owner->listeners.next; node != &owner->listeners; node = node->next)
    if (!LIST_ITEM(node, struct stream_listener, node)->told)
      return LIST_ITEM(node, struct stream_listener, node);
  return NULL;
}

static void listeners_turn(struct streams *owner)
{
  struct stream_listener *listener;
  struct list *node;

  while ((listener = listener_untold(owner)) != NULL) {
    bool failed = listener->status != PARLEY_OK;

    stream_listener_tell(listener); /* which may cancel it */
    if (failed)
      stream_listener_close(listener);
  }
  while ((node = list_pop(&owner->ended)) != NULL) {
    listener = LIST_ITEM(node, struct stream_listener, node);
    stream_listener_tell(listener);
    stream_listener_free(listener);
  }
}

static void streams_on_soon(uv_idle_t *idle)
{
  struct streams *owner = container_of(idle, struct streams, soon);

  uv_idle_stop(idle);
  owner->count++; /* holds the owner while callbacks run */
  dirty_turn(owner);
  listeners_turn(owner);
  owner->count--;
  streams_free_maybe(owner);
}

static void streams_on_timer(uv_timer_t *timer)
{
  struct streams *owner = container_of(timer, struct streams, timer);
  int64_t now_ms = streams_now(owner);

  for (struct list *node = owner->streams.next; node != &owner->streams; node = node->next)
    stream_on_tick(LIST_ITEM(node, struct stream, node), now_ms); /* ends them at most: nothing is freed here */
  if (list_empty(&owner->streams))
    uv_timer_stop(timer);
}

/* --- The extension's functions ---------------------------------------------------------------- */
static struct stream *stream_find(struct streams *owner, uint64_t id)
{
  struct stream *stream = map_get(&owner->by_id, id);

  return stream != NULL && stream->kind == STREAM_KIND_STREAM && stream->state != STREAM_OVER ? stream : NULL;
}

/* The host part of an address, or why not. */
static const char *address_split(struct stream *stream, parley_text address, uint16_t *ret_port)
{
  parley_text host;

  if (!net_host_port_split(address, &host, ret_port) || *ret_port == 0)
    return "address_invalid: not host:port";
  if (host.len > URL_HOST_MAX || memchr(host.at, '\0', host.len) != NULL)
    return "address_invalid: the host is too long";
  memcpy(stream->host, host.at, host.len);
  stream->host[host.len] = '\0';
  return NULL;
}

/* What the TLS of a stream needs, kept until its handshake. false: the stream has been ended. */
static bool tls_prepare(struct stream *stream, const parley_tls *tls, bool as_server)
{
  struct buf why = BUF_INIT(sizeof(stream->end_reason) - 1);
  parley_text name = tls->server_name.len > 0 ? tls->server_name : parley_text_of(stream->host);
  parley_status st = PARLEY_INVALID;

  stream->as_server = as_server;
  if (name.len < sizeof(stream->server_name)) {
    memcpy(stream->server_name, name.at, name.len);
    stream->server_name[name.len] = '\0';
    st = stream_tls_context(stream->owner, tls, as_server, &stream->context, &why);
  }
  if (st != PARLEY_OK) {
    char reason[160];

    snprintf(reason, sizeof(reason), "tls_material: %s", why.len > 0 ? why.at : "the server name is too long");
    stream_end(stream, PARLEY_INVALID, reason);
  }
  buf_done(&why);
  return st == PARLEY_OK;
}

uint64_t stream_connect(struct streams *owner, const parley_endpoint *endpoint, const parley_stream_events *events,
                        void *arg)
{
  struct stream_settings set = stream_settings_of(endpoint);
  struct stream *stream = stream_new(owner, &set, events, arg);
  uint16_t port = 0;
  const char *why = address_split(stream, endpoint->address, &port);

  if (owner->count > STREAM_OPEN_MAX)
    stream_end(stream, PARLEY_BUSY, "busy: too many streams");
  else if (why != NULL)
    stream_end(stream, PARLEY_INVALID, why);
  else if (endpoint->tls == NULL || tls_prepare(stream, endpoint->tls, false))
    stream_resolve(stream, port);
  return stream->id;
}

bool stream_cancel(struct streams *owner, uint64_t id)
{
  struct stream *stream = map_get(&owner->by_id, id);

  if (stream == NULL)
    return false;
  if (stream->kind == STREAM_KIND_LISTENER)
    stream_listener_close((struct stream_listener *)(void *)stream);
  else
    stream_end(stream, PARLEY_CANCELLED, "cancelled");
  return true;
}

static uint64_t stream_waiting(const struct stream *stream)
{
  return stream->plain.len + stream->raw.len + (stream->write != NULL ? stream->write->len : 0);
}

uint64_t stream_write(struct streams *owner, uint64_t id, parley_bytes bytes)
{
  struct stream *stream = stream_find(owner, id);
  uint64_t waiting;

  if (stream == NULL || stream->state == STREAM_FLUSHING)
    return 0;
  waiting = stream_waiting(stream);
  if (waiting + bytes.len > stream->set.write_high * STREAM_WRITE_CUT) {
    stream_end(stream, PARLEY_BUSY, "too much was written and has not left");
    return waiting;
  }
  /* Before TLS is asked for the bytes are plain ones; with a handshake to come they wait for it. */
  buf_text(stream->tls != NULL || stream->context != NULL ? &stream->plain : &stream->raw, bytes);
  stream->wrote = true;
  stream_dirty(stream);
  return waiting + bytes.len;
}

void stream_reading(struct streams *owner, uint64_t id, uint32_t on)
{
  struct stream *stream = stream_find(owner, id);

  if (stream == NULL || stream->reading == (on != 0))
    return;
  stream->reading = on != 0;
  stream->must_deliver = stream->reading;
  stream_dirty(stream);
}

void stream_secure(struct streams *owner, uint64_t id, const parley_tls *tls, uint32_t as_server, uint64_t unused)
{
  struct stream *stream = stream_find(owner, id);

  if (stream == NULL)
    return;
  if (stream->tls != NULL || stream->context != NULL || stream->state != STREAM_OPEN)
    stream_end(stream, PARLEY_INVALID, "secure() on a stream that is secured, or not open");
  else if (unused > 0)
    stream_end(stream, PARLEY_INVALID, "bytes stood behind the command that asked for TLS");
  else if (tls_prepare(stream, tls, as_server != 0)) {
    stream->secure_wanted = true;
    if (!stream->in_data) { /* else it begins when data() returns */
      stream->must_deliver = true;
      stream_dirty(stream);
    }
  }
}

void stream_shut(struct streams *owner, uint64_t id, uint32_t now)
{
  struct stream *stream = stream_find(owner, id);

  if (stream == NULL || stream->state == STREAM_FLUSHING)
    return;
  if (now || stream->state != STREAM_OPEN) {
    stream_end(stream, PARLEY_OK, "closed");
    return;
  }
  stream->state = STREAM_FLUSHING;
  stream->flush_until_ms = streams_now(owner) + STREAM_FLUSH_MS;
  buf_done(&stream->in);
  stream_dirty(stream);
}

/* --- The owner -------------------------------------------------------------------------------- */
struct streams *streams_new(uv_loop_t *loop, const struct env *env, struct dns *dns, const struct egress *egress)
{
  struct streams *owner = xcalloc(1, sizeof(*owner));

  owner->loop = loop;
  owner->env = env;
  owner->dns = dns;
  owner->egress = egress;
  list_init(&owner->streams);
  list_init(&owner->listeners);
  list_init(&owner->ended);
  list_init(&owner->dirty);
  owner->slab = xrealloc(NULL, STREAM_SLAB_BYTES);
  uv_timer_init(loop, &owner->timer);
  uv_idle_init(loop, &owner->soon);
  owner->handles = 2;
  return owner;
}

static void handle_on_closed(uv_handle_t *handle)
{
  struct streams *owner = handle->type == UV_TIMER ? container_of((uv_timer_t *)handle, struct streams, timer)
                                                   : container_of((uv_idle_t *)handle, struct streams, soon);

  owner->handles--;
  streams_free_maybe(owner);
}

void streams_free_maybe(struct streams *owner)
{
  void (*closed)(void *) = owner->closed;
  void *arg = owner->closed_arg;

  if (!owner->closing || owner->count > 0)
    return;
  if (!uv_is_closing((uv_handle_t *)&owner->timer)) { /* all streams are gone: now the handles may go */
    uv_close((uv_handle_t *)&owner->timer, handle_on_closed);
    uv_close((uv_handle_t *)&owner->soon, handle_on_closed);
  }
  if (owner->handles > 0)
    return;
  for (size_t i = 0; i < STREAM_TLS_KINDS; i++)
    tls_context_unref(&owner->usual_tls[i]);
  map_done(&owner->by_id);
  free(owner->slab);
  free(owner->plain);
  free(owner);
  closed(arg);
}

void streams_close(struct streams **ret_owner, void (*closed)(void *arg), void *arg)
{
  struct streams *owner = *ret_owner;

  *ret_owner = NULL;
  owner->closing = true;
  owner->closed = closed;
  owner->closed_arg = arg;
  for (struct list *node = owner->streams.next; node != &owner->streams; node = node->next)
    stream_end(LIST_ITEM(node, struct stream, node), PARLEY_CANCELLED, "cancelled");
  while (!list_empty(&owner->listeners))
    stream_listener_close(LIST_ITEM(owner->listeners.next, struct stream_listener, node));
  streams_free_maybe(owner);
}
