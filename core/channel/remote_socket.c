/* Sockets for a plugin's process: parleyd resolves, asks egress and connects, or binds, and passes what came of it on. Buffers and TLS
 * live over there. */
#include "remote_in.h"
#include "core/base/alloc.h"
#include <stdlib.h>
#include <unistd.h>

/* One that was asked for; a listening one stays until it is cancelled, so that an heir finds it. */
struct remote_socket {
  struct parley_channel *remote;
  uint64_t id, near_id;
  uint32_t generation;
  bool listens, answered;
};

static void socket_forget(struct remote_socket *socket)
{
  if (socket->generation == socket->remote->generation)
    map_take(&socket->remote->sockets, socket->id);
  free(socket);
}

static void socket_on_done(const struct stream_socket *made, void *arg)
{
  struct remote_socket *socket = arg;
  struct parley_channel *remote = socket->remote;
  struct frame_words words = {.size = sizeof words, .number = (uint32_t)made->status, .one = made->address, .two = made->reason};
  bool asked = socket->generation == remote->generation && remote->link != NULL;

  socket->answered = true;
  if (made->status == PARLEY_OK && asked)
    link_send_fd(remote->link, FRAME_SOCKET, socket->id, &abi_frame_words, &words, made->fd);
  else if (made->status == PARLEY_OK)
    close(made->fd);
  else if (asked)
    link_send(remote->link, FRAME_SOCKET, socket->id, &abi_frame_words, &words);
  if (made->status != PARLEY_OK || !socket->listens)
    socket_forget(socket);
}

/* NULL: nothing is to be asked, and the process has its answer or is no more. */
static struct remote_socket *socket_new(struct parley_channel *remote, uint64_t id, bool listens)
{
  struct remote_socket *socket;

  if (remote->channel->streams == NULL) { /* the channel has stopped: the process may be about to learn it */
    link_send(remote->link, FRAME_SOCKET, id, &abi_frame_words,
              PARLEY_REF(struct frame_words, .number = (uint32_t)PARLEY_CANCELLED, .two = PARLEY_LIT("the channel has stopped")));
    return NULL;
  }
  if (id == 0 || map_get(&remote->sockets, id) != NULL || map_get(&remote->calls, id) != NULL ||
      remote->sockets.count >= REMOTE_SOCKETS_MAX) {
    remote_kill(remote, "its process used the number of an open socket, or asked for too many");
    return NULL;
  }
  socket = xcalloc(1, sizeof *socket);
  *socket = (struct remote_socket){.remote = remote, .id = id, .generation = remote->generation, .listens = listens};
  map_put(&remote->sockets, id, socket);
  return socket;
}

void remote_dial(struct parley_channel *remote, uint64_t id, const struct frame_words *words)
{
  struct remote_socket *socket = socket_new(remote, id, false);

  if (socket != NULL) /* the answer never comes within the call */
    socket->near_id = stream_dial(remote->channel->streams, words->one, words->number, socket_on_done, socket);
}

void remote_listen(struct parley_channel *remote, uint64_t id, const struct frame_words *words)
{
  struct remote_socket *socket = socket_new(remote, id, true);

  if (socket != NULL)
    socket->near_id = stream_bind(remote->channel->streams, words->one, words->number, socket_on_done, socket);
}

/* A socket not yet made is answered all the same, and forgotten then. */
static void socket_cancel(struct remote_socket *socket)
{
  struct streams *streams = socket->remote->channel->streams;
  uint64_t near_id = socket->near_id;

  if (socket->answered)
    socket_forget(socket);
  if (streams != NULL)
    stream_cancel(streams, near_id);
}

bool remote_socket_cancel(struct parley_channel *remote, uint64_t id)
{
  struct remote_socket *socket = map_get(&remote->sockets, id);

  if (socket != NULL)
    socket_cancel(socket);
  return socket != NULL;
}

void remote_sockets_drop(struct parley_channel *remote)
{
  uint64_t id;
  void *value;

  if (remote->channel->streams != NULL && remote->begun && !remote->stopped)
    streams_inherit(remote->channel->streams, remote->channel->streams); /* for the process that is started next */
  for (size_t pos = 0; map_next(&remote->sockets, &pos, &id, &value); pos = 0) {
    struct remote_socket *socket = map_take(&remote->sockets, id);

    socket->generation = remote->generation - 1;
    socket_cancel(socket);
  }
}
