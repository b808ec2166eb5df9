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
  if (set.backlog > STREAM_BACKLOG_MAX)
    set.backlog = STREAM_BACKLOG_MAX;
  return set;
}

/* --- One stream ------------------------------------------------------------------------------- */
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
  owner->n_open++;
  streams_tick(owner);
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
  owner->n_open--;
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

static void streams_soon(struct streams *owner)
{
  if (!uv_is_closing((uv_handle_t *)&owner->soon))
    uv_idle_start(&owner->soon, streams_on_soon);
}

void stream_dirty(struct stream *stream)
{
  if (!list_empty(&stream->dirty_node))
    return;
  list_push(&stream->owner->dirty, &stream->dirty_node);
  streams_soon(stream->owner);
}

void stream_due_add(struct streams *owner, struct stream_due *due, void (*run)(struct stream_due *due))
{
  due->run = run;
  list_push(&owner->due, &due->node);
  streams_soon(owner);
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

/* What is added meanwhile has its turn after this one. */
static void list_move(struct list *from, struct list *to)
{
  struct list *node;

  list_init(to);
  while ((node = list_pop(from)) != NULL)
    list_push(to, node);
}

static void streams_on_soon(uv_idle_t *idle)
{
  struct streams *owner = container_of(idle, struct streams, soon);
  struct list dirty, due;
  struct list *node;

  uv_idle_stop(idle);
  owner->held++;
  list_move(&owner->dirty, &dirty);
  list_move(&owner->due, &due);
  while ((node = list_pop(&dirty)) != NULL)
    stream_turn(LIST_ITEM(node, struct stream, dirty_node));
  while ((node = list_pop(&due)) != NULL) {
    struct stream_due *one = LIST_ITEM(node, struct stream_due, node);

    one->run(one);
  }
  owner->held--;
  streams_free_maybe(owner);
}

static void streams_on_timer(uv_timer_t *timer)
{
  struct streams *owner = container_of(timer, struct streams, timer);
  int64_t now_ms = streams_now(owner);

  /* A tick ends at most: nothing is freed, and nobody is told, here. */
  for (struct list *node = owner->streams.next; node != &owner->streams; node = node->next)
    stream_on_tick(LIST_ITEM(node, struct stream, node), now_ms);
  for (struct list *node = owner->dials.next; node != &owner->dials; node = node->next)
    stream_dial_on_tick(LIST_ITEM(node, struct stream_dial, node), now_ms);
  streams_estate_on_tick(owner, now_ms);
  if (list_empty(&owner->streams) && list_empty(&owner->dials) && list_empty(&owner->estate))
    uv_timer_stop(timer);
}

void streams_tick(struct streams *owner)
{
  if (!uv_is_active((uv_handle_t *)&owner->timer) && !owner->closing)
    uv_timer_start(&owner->timer, streams_on_timer, STREAM_TICK_MS, STREAM_TICK_MS);
}

/* --- The extension's functions ---------------------------------------------------------------- */
static struct stream *stream_find(struct streams *owner, uint64_t id)
{
  struct stream *stream = map_get(&owner->by_id, id);

  return stream != NULL && stream->kind == STREAM_KIND_STREAM && stream->state != STREAM_OVER ? stream : NULL;
}

bool stream_cancel(struct streams *owner, uint64_t id)
{
  void *found = map_get(&owner->by_id, id);

  if (found == NULL)
    return false;
  switch (*(const enum stream_kind *)found) {
  case STREAM_KIND_STREAM:
    stream_end(found, PARLEY_CANCELLED, "cancelled");
    break;
  case STREAM_KIND_LISTENER:
    stream_listener_close(found);
    break;
  case STREAM_KIND_DIAL:
    stream_dial_cancel(found);
    break;
  case STREAM_KIND_BIND:
    stream_bind_cancel(found);
    break;
  }
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
  else if (stream_tls_prepare(stream, tls, as_server != 0)) {
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
static uint64_t own_dial(const struct stream_connector *self, parley_text address, uint32_t connect_ms,
                         stream_socket_done *done, void *arg)
{
  return stream_dial(self->impl, address, connect_ms, done, arg);
}

static uint64_t own_listen(const struct stream_connector *self, parley_text address, uint32_t backlog,
                           stream_socket_done *done, void *arg)
{
  return stream_bind(self->impl, address, backlog, done, arg);
}

static void own_cancel(const struct stream_connector *self, uint64_t id)
{
  stream_cancel(self->impl, id);
}

struct streams *streams_new(uv_loop_t *loop, const struct env *env, struct dns *dns, const struct egress *egress,
                            const struct stream_connector *connector)
{
  struct streams *owner = xcalloc(1, sizeof(*owner));

  owner->loop = loop;
  owner->env = env;
  owner->dns = dns;
  owner->egress = egress;
  owner->own = (struct stream_connector){.dial = own_dial, .listen = own_listen, .cancel = own_cancel, .impl = owner};
  owner->connector = connector != NULL ? connector : &owner->own;
  list_init(&owner->streams);
  list_init(&owner->listeners);
  list_init(&owner->dials);
  list_init(&owner->binds);
  list_init(&owner->estate);
  list_init(&owner->dirty);
  list_init(&owner->due);
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

  if (!owner->closing || owner->held > 0 || owner->n_open + owner->n_dials + owner->n_binds > 0)
    return;
  if (!uv_is_closing((uv_handle_t *)&owner->timer)) { /* all is gone: now the handles may go */
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
  for (struct list *node = owner->dials.next; node != &owner->dials; node = node->next)
    stream_dial_cancel(LIST_ITEM(node, struct stream_dial, node)); /* somebody else's: ours are cancelled already */
  streams_bind_cancel_all(owner);
  streams_estate_end(owner);
  streams_free_maybe(owner);
}
