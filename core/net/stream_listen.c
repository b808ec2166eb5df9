/* Listening on TCP and unix sockets, accepting, and handing a listening socket on to an heir. */
#include "core/base/alloc.h"
#include "core/base/env.h"
#include "core/base/text.h"
#include "stream_in.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* --- Accepting -------------------------------------------------------------------------------- */
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
  if (uv_accept(io, &stream->io.stream) != 0 || owner->count > STREAM_OPEN_MAX) {
    accept_drop(stream);
    return;
  }
  if (!listener->is_unix)
    uv_tcp_nodelay(&stream->io.tcp, 1);
  accept_peer(stream, listener->is_unix);
  accept_hand_over(listener, stream);
}

/* --- Binding ---------------------------------------------------------------------------------- */
static parley_status errno_status(int err)
{
  if (err == EADDRINUSE)
    return PARLEY_BUSY;
  return err == EACCES || err == EPERM ? PARLEY_DENIED : PARLEY_INVALID;
}

/* A socket file that nobody listens on any more, of a daemon that was killed, may go. */
static void unix_remove_stale(const struct sockaddr_un *at)
{
  struct stat about;
  int fd;

  if (lstat(at->sun_path, &about) != 0 || !S_ISSOCK(about.st_mode))
    return;
  fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd >= 0 && connect(fd, (const struct sockaddr *)at, sizeof(*at)) != 0 && errno == ECONNREFUSED)
    unlink(at->sun_path);
  if (fd >= 0)
    close(fd);
}

static int unix_open(const char *path, int *ret_fd)
{
  struct sockaddr_un at = {.sun_family = AF_UNIX};
  int fd, err;

  if (strlen(path) >= sizeof(at.sun_path) || path[0] != '/')
    return EINVAL;
  memcpy(at.sun_path, path, strlen(path) + 1);
  unix_remove_stale(&at);
  fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0)
    return errno;
  if (bind(fd, (struct sockaddr *)&at, sizeof(at)) != 0) {
    err = errno;
    close(fd);
    return err;
  }
  *ret_fd = fd;
  return 0;
}

static int tcp_open(const struct net_address *at, int *ret_fd)
{
  int fd = socket(at->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1, err;

  if (fd < 0)
    return errno;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (bind(fd, &at->any, net_address_size(at)) != 0) {
    err = errno;
    close(fd);
    return err;
  }
  *ret_fd = fd;
  return 0;
}

/* The socket of the older instance's listener on the same address, shared. */
static int heir_open(struct stream_listener *listener, struct streams *heir_of, int *ret_fd)
{
  for (struct list *node = heir_of->listeners.next; node != &heir_of->listeners; node = node->next) {
    struct stream_listener *old = LIST_ITEM(node, struct stream_listener, node);
    uv_os_fd_t fd;

    if (!old->io_open || strcmp(old->address, listener->address) != 0 || uv_fileno(&old->io.handle, &fd) != 0)
      continue;
    *ret_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (*ret_fd < 0)
      return errno;
    old->inherited = true;
    return 0;
  }
  return ENOENT;
}

static parley_status fd_open(struct stream_listener *listener, struct streams *heir_of, int *ret_fd)
{
  struct net_address at;
  int err = heir_of != NULL ? heir_open(listener, heir_of, ret_fd) : ENOENT;

  if (err == 0)
    return PARLEY_OK;
  if (listener->is_unix)
    err = unix_open(listener->address + 5, ret_fd);
  else if (net_address_port_parse(parley_text_of(listener->address), &at))
    err = tcp_open(&at, ret_fd);
  else
    err = EINVAL;
  if (err == 0)
    return PARLEY_OK;
  snprintf(listener->why, sizeof(listener->why), "%s: %s", listener->address, uv_strerror(-err));
  return errno_status(err);
}

static void bound_at_fill(struct stream_listener *listener)
{
  struct sockaddr_storage at;
  struct net_address address;
  int len = sizeof(at);
  char text[NET_ADDRESS_TEXT_MAX];

  snprintf(listener->bound_at, sizeof(listener->bound_at), "%s", listener->address);
  if (listener->is_unix || uv_tcp_getsockname(&listener->io.tcp, (struct sockaddr *)&at, &len) != 0)
    return;
  if (net_address_of((struct sockaddr *)&at, &address)) {
    net_address_format(&address, true, text);
    snprintf(listener->bound_at, sizeof(listener->bound_at), "%s", text);
  }
}

static parley_status listener_open(struct stream_listener *listener, struct streams *heir_of)
{
  struct streams *owner = listener->owner;
  int fd = -1, err;
  parley_status st = fd_open(listener, heir_of, &fd);

  if (st != PARLEY_OK)
    return st;
  if (listener->is_unix) {
    uv_pipe_init(owner->loop, &listener->io.pipe, 0);
    err = uv_pipe_open(&listener->io.pipe, fd);
  } else {
    uv_tcp_init(owner->loop, &listener->io.tcp);
    err = uv_tcp_open(&listener->io.tcp, fd);
  }
  listener->io.handle.data = listener;
  listener->io_open = true;
  if (err != 0)
    close(fd);
  else
    err = uv_listen(&listener->io.stream, (int)listener->set.backlog, listener_on_connection);
  if (err == 0) {
    bound_at_fill(listener);
    return PARLEY_OK;
  }
  snprintf(listener->why, sizeof(listener->why), "%s: %s", listener->address, uv_strerror(err));
  return errno_status(-err);
}

static parley_status listener_prepare(struct stream_listener *listener, const parley_endpoint *endpoint)
{
  struct buf why = BUF_INIT(sizeof(listener->why) - 1);
  parley_status st = PARLEY_OK;

  if (endpoint->address.len >= sizeof(listener->address) || endpoint->address.len == 0)
    return PARLEY_INVALID;
  memcpy(listener->address, endpoint->address.at, endpoint->address.len);
  listener->is_unix = text_starts(endpoint->address, "unix:");
  if (endpoint->tls != NULL)
    st = stream_tls_context(listener->owner, endpoint->tls, true, &listener->context, &why);
  if (st != PARLEY_OK)
    snprintf(listener->why, sizeof(listener->why), "%s", why.len > 0 ? why.at : "tls");
  buf_done(&why);
  return st;
}

uint64_t stream_listen(struct streams *owner, const parley_endpoint *endpoint, const parley_stream_events *events,
                       parley_accepted *accepted, parley_done *bound, void *arg, struct streams *heir_of)
{
  struct stream_listener *listener = xcalloc(1, sizeof(*listener));

  listener->kind = STREAM_KIND_LISTENER;
  listener->owner = owner;
  listener->id = ++owner->last_id;
  listener->events = events;
  listener->accepted = accepted;
  listener->bound = bound;
  listener->arg = arg;
  listener->set = stream_settings_of(endpoint);
  list_push(&owner->listeners, &listener->node);
  map_put(&owner->by_id, listener->id, listener);
  owner->count++;
  listener->status = listener_prepare(listener, endpoint);
  if (listener->status == PARLEY_OK)
    listener->status = listener_open(listener, heir_of);
  stream_soon(owner); /* bound() comes on the next turn */
  return listener->id;
}

/* --- Ending ----------------------------------------------------------------------------------- */
void stream_listener_free(struct stream_listener *listener)
{
  struct streams *owner = listener->owner;

  tls_context_unref(&listener->context);
  free(listener);
  owner->count--;
  streams_free_maybe(owner);
}

static void listener_on_closed(uv_handle_t *handle)
{
  struct stream_listener *listener = handle->data;

  stream_listener_tell(listener); /* in case it was cancelled before it was told */
  stream_listener_free(listener);
}

void stream_listener_close(struct stream_listener *listener)
{
  if (listener->over)
    return;
  listener->over = true;
  list_remove(&listener->node);
  map_take(&listener->owner->by_id, listener->id);
  if (!listener->told && listener->status == PARLEY_OK) {
    listener->status = PARLEY_CANCELLED;
    snprintf(listener->why, sizeof(listener->why), "cancelled");
  }
  if (listener->is_unix && listener->io_open && !listener->inherited)
    unlink(listener->address + 5);
  if (listener->io_open) {
    listener->io_open = false;
    uv_close(&listener->io.handle, listener_on_closed);
    return;
  }
  list_push(&listener->owner->ended, &listener->node); /* nothing to close: the next turn frees it */
  stream_soon(listener->owner);
}

void stream_listener_tell(struct stream_listener *listener)
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
