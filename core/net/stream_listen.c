/* A listener: the socket that is asked for, and the streams that are accepted on it. */
#include "core/base/alloc.h"
#include "core/base/text.h"
#include "stream_in.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* --- Accepting ------------------------------------------------------------------------------- */
static void refused_on_closed(uv_handle_t *handle)
{
  struct stream *stream = handle->data;

  stream->events = NULL; /* nobody to tell */
  stream->pending--;
  stream_settled(stream);
}

static void accept_drop(struct stream *stream)
{
  stream->state = STREAM_OVER;
  stream->io_open = false;
  stream->accepted = false;
  uv_close(&stream->io.handle, refused_on_closed);
}

static void accept_peer(struct stream *stream, bool is_unix)
{
  struct sockaddr_storage from;
  int len = sizeof(from);

  if (!is_unix && uv_tcp_getpeername(&stream->io.tcp, (struct sockaddr *)&from, &len) == 0)
    net_address_of((struct sockaddr *)&from, &stream->peer);
}

static void accept_hand_over(struct stream_listener *listener, struct stream *stream)
{
  char address[NET_ADDRESS_TEXT_MAX];
  parley_peer peer = {.size = sizeof(peer)};

  peer.address = listener->is_unix ? PARLEY_LIT("unix") : net_address_format(&stream->peer, true, address);
  if (listener->context != NULL)
    stream->context = tls_context_ref(listener->context);
  stream->as_server = true;
  stream->state = STREAM_SECURING; /* bytes written from within accepted() wait for opened() */
  stream->arg = listener->accepted(stream->id, &peer, listener->arg);
  if (stream->arg == NULL && stream->state == STREAM_OVER)
    stream->events = NULL; /* ended and refused within the call: nobody to tell */
  if (stream->state == STREAM_OVER)
    return;
  if (stream->arg == NULL) {
    accept_drop(stream);
    return;
  }
  stream->accepted = true;
  stream_opened(stream);
}

static void listener_on_connection(uv_stream_t *io, int status)
{
  struct stream_listener *listener = io->data;
  struct streams *owner = listener->owner;
  struct stream *stream;

  if (status < 0)
    return;
  stream = stream_new(owner, &listener->set, listener->events, NULL);
  if (listener->is_unix)
    uv_pipe_init(owner->loop, &stream->io.pipe, 0);
  else
    uv_tcp_init(owner->loop, &stream->io.tcp);
  stream->io.handle.data = stream;
  stream->io_open = true;
  stream->pending = 1;
  if (uv_accept(io, &stream->io.stream) != 0 || owner->n_open > STREAM_OPEN_MAX) {
    accept_drop(stream);
    return;
  }
  if (!listener->is_unix)
    uv_tcp_nodelay(&stream->io.tcp, 1);
  accept_peer(stream, listener->is_unix);
  accept_hand_over(listener, stream);
}

/* --- Told, and freed ------------------------------------------------------------------------- */
static void listener_tell(struct stream_listener *listener)
{
  parley_result result = {.size = sizeof(result), .status = listener->status};

  if (listener->told)
    return;
  listener->told = true;
  if (listener->status == PARLEY_OK)
    result.value = parley_text_of(listener->bound_at);
  else
    result.reason = parley_text_of(listener->why);
  if (listener->bound != NULL)
    listener->bound(&result, listener->arg);
}

/* Something pending has ended. */
static void listener_settled(struct stream_listener *listener)
{
  struct streams *owner = listener->owner;

  if (listener->pending > 0 || !listener->over)
    return;
  list_remove(&listener->due.node);
  listener_tell(listener); /* in case it ended before it was told */
  tls_context_unref(&listener->context);
  free(listener);
  owner->n_open--;
  streams_free_maybe(owner);
}

static void listener_on_due(struct stream_due *due)
{
  listener_settled(LIST_ITEM(due, struct stream_listener, due));
}

static void listener_on_closed(uv_handle_t *handle)
{
  struct stream_listener *listener = handle->data;

  listener->pending--;
  listener_settled(listener);
}

void stream_listener_close(struct stream_listener *listener)
{
  const struct stream_connector *connector = listener->owner->connector;

  if (listener->over)
    return;
  listener->over = true;
  list_remove(&listener->node);
  map_take(&listener->owner->by_id, listener->id);
  if (!listener->told && listener->status == PARLEY_OK) {
    listener->status = PARLEY_CANCELLED;
    snprintf(listener->why, sizeof(listener->why), "cancelled");
  }
  if (listener->io_open)
    uv_close(&listener->io.handle, listener_on_closed);
  listener->io_open = false;
  if (listener->ask_id != 0)
    connector->cancel(connector, listener->ask_id);
  listener->ask_id = 0;
  if (listener->pending == 0)
    stream_due_add(listener->owner, &listener->due, listener_on_due);
}

/* --- The socket ------------------------------------------------------------------------------ */
static void listener_fail(struct stream_listener *listener, parley_status status, parley_text why)
{
  listener->status = status;
  snprintf(listener->why, sizeof(listener->why), "%.*s", TEXT_ARG(why));
  stream_listener_close(listener); /* which tells */
}

static void socket_adopt(struct stream_listener *listener, const struct stream_socket *socket)
{
  int err = stream_io_open(&listener->io, listener->owner->loop, socket->fd, &listener->is_unix);

  listener->io.handle.data = listener;
  listener->io_open = true;
  listener->pending++;
  if (err == 0) /* it listens already: this names who accepts */
    err = uv_listen(&listener->io.stream, (int)listener->set.backlog, listener_on_connection);
  if (err != 0) {
    listener_fail(listener, PARLEY_FAILED, parley_text_of(uv_strerror(err)));
    return;
  }
  snprintf(listener->bound_at, sizeof(listener->bound_at), "%.*s", TEXT_ARG(socket->address));
  listener_tell(listener);
}

static void listener_on_socket(const struct stream_socket *socket, void *arg)
{
  struct stream_listener *listener = arg;

  listener->pending--;
  if (!listener->over && socket->status == PARLEY_OK && socket->fd >= 0) {
    socket_adopt(listener, socket);
    return;
  }
  if (socket->fd >= 0) /* too late: nobody wants it any more */
    close(socket->fd);
  if (listener->over) {
    listener_settled(listener);
    return;
  }
  if (socket->status != PARLEY_OK)
    listener->ask_id = 0; /* nothing to cancel */
  listener_fail(listener, socket->status == PARLEY_OK ? PARLEY_FAILED : socket->status, socket->reason);
}

static bool listener_prepare(struct stream_listener *listener, const parley_endpoint *endpoint)
{
  struct buf why = BUF_INIT(sizeof(listener->why) - 1);
  parley_status st = PARLEY_OK;

  if (listener->owner->n_open > STREAM_OPEN_MAX) {
    st = PARLEY_BUSY;
    buf_str(&why, "busy: too many streams");
  } else if (endpoint->tls != NULL) {
    st = stream_tls_context(listener->owner, endpoint->tls, true, &listener->context, &why);
  }
  if (st != PARLEY_OK)
    listener_fail(listener, st, why.len > 0 ? buf_as_text(&why) : PARLEY_LIT("tls"));
  buf_done(&why);
  return st == PARLEY_OK;
}

uint64_t stream_listen(struct streams *owner, const parley_endpoint *endpoint, const parley_stream_events *events,
                       parley_accepted *accepted, parley_done *bound, void *arg)
{
  const struct stream_connector *connector = owner->connector;
  struct stream_listener *listener = xcalloc(1, sizeof(*listener));

  listener->kind = STREAM_KIND_LISTENER;
  listener->owner = owner;
  listener->id = ++owner->last_id;
  listener->events = events;
  listener->accepted = accepted;
  listener->bound = bound;
  listener->arg = arg;
  listener->set = stream_settings_of(endpoint);
  list_init(&listener->due.node);
  list_push(&owner->listeners, &listener->node);
  map_put(&owner->by_id, listener->id, listener);
  owner->n_open++;
  if (listener_prepare(listener, endpoint)) {
    listener->pending++;
    listener->ask_id =
        connector->listen(connector, endpoint->address, listener->set.backlog, listener_on_socket, listener);
  }
  return listener->id;
}
