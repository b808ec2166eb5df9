/* Sockets for the plugin's streams: asked of parleyd, which alone may resolve, connect and bind. */
#include "hosted_in.h"
#include "core/base/alloc.h"
#include <stdlib.h>
#include <unistd.h>

struct hosted_socket {
  struct hosted *hosted;
  uint64_t id;
  bool listens;
  stream_socket_done *done; /* NULL: answered */
  void *arg;
};

static uint64_t socket_ask(const struct stream_connector *self, enum frame_type type, parley_text address, uint32_t number,
                           stream_socket_done *done, void *arg)
{
  struct hosted *hosted = self->impl;
  struct hosted_socket *socket = xcalloc(1, sizeof *socket);

  *socket = (struct hosted_socket){.hosted = hosted, .id = ++hosted->channel->last_id, .listens = type == FRAME_LISTEN, .done = done,
                                   .arg = arg};
  map_put(&hosted->sockets, socket->id, socket);
  hosted_send(hosted, type, socket->id, &abi_frame_words, PARLEY_REF(struct frame_words, .one = address, .number = number));
  return socket->id;
}

static uint64_t socket_dial(const struct stream_connector *self, parley_text address, uint32_t connect_ms, stream_socket_done *done,
                            void *arg)
{
  return socket_ask(self, FRAME_DIAL, address, connect_ms, done, arg);
}

static uint64_t socket_listen(const struct stream_connector *self, parley_text address, uint32_t backlog, stream_socket_done *done,
                              void *arg)
{
  return socket_ask(self, FRAME_LISTEN, address, backlog, done, arg);
}

static void socket_cancel(const struct stream_connector *self, uint64_t id)
{
  struct hosted *hosted = self->impl;
  struct hosted_socket *socket = map_get(&hosted->sockets, id);

  if (socket == NULL)
    return;
  hosted_send(hosted, FRAME_CANCEL, id, NULL, NULL);
  if (socket->done != NULL)
    return; /* its answer still comes */
  map_take(&hosted->sockets, id);
  free(socket);
}

struct stream_connector hosted_connector(struct hosted *hosted)
{
  return (struct stream_connector){.dial = socket_dial, .listen = socket_listen, .cancel = socket_cancel, .impl = hosted};
}

void hosted_on_socket(struct hosted *hosted, uint64_t id, const struct frame_words *words)
{
  struct hosted_socket *socket = map_get(&hosted->sockets, id);
  struct stream_socket made = {.status = (parley_status)words->number, .fd = -1, .address = words->one, .reason = words->two};
  stream_socket_done *done;

  if (made.status == PARLEY_OK)
    made.fd = link_take_fd(hosted->link);
  if (made.status == PARLEY_OK && made.fd < 0)
    made.status = PARLEY_FAILED;
  if (socket == NULL || socket->done == NULL) {
    if (made.fd >= 0)
      close(made.fd);
    return;
  }
  done = socket->done;
  socket->done = NULL;
  if (made.status == PARLEY_OK && socket->listens) {
    done(&made, socket->arg); /* stays until it is cancelled */
    return;
  }
  map_take(&hosted->sockets, id);
  done(&made, socket->arg);
  free(socket);
}
