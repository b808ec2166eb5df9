/* From an endpoint to an open stream: what its TLS needs, the socket that is asked for, and what comes of it. */
#include "core/base/text.h"
#include "stream_in.h"
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* --- TLS material ---------------------------------------------------------------------------- */
parley_status stream_tls_context(struct streams *owner, const parley_tls *tls, bool as_server, struct tls_context **ret,
                                 struct buf *why)
{
  uint32_t kind = tls->flags & (PARLEY_TLS_ANY_NAME | PARLEY_TLS_ANY_PEER);
  parley_status st;

  if (as_server)
    return tls_context_server(tls->cert_pem, tls->key_pem, ret, why);
  if (tls->ca_pem.len > 0 || tls->cert_pem.len > 0 || tls->key_pem.len > 0)
    return tls_context_client(tls->ca_pem, tls->cert_pem, tls->key_pem, tls->flags, ret, why);
  if (owner->usual_tls[kind] == NULL) { /* the system's authorities take long to read: once an owner */
    st = tls_context_client(TEXT_EMPTY, TEXT_EMPTY, TEXT_EMPTY, kind, &owner->usual_tls[kind], why);
    if (st != PARLEY_OK)
      return st;
  }
  *ret = tls_context_ref(owner->usual_tls[kind]);
  return PARLEY_OK;
}

bool stream_tls_prepare(struct stream *stream, const parley_tls *tls, bool as_server)
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

/* --- The socket ------------------------------------------------------------------------------ */
const char *stream_address_split(parley_text address, char to[URL_HOST_MAX + 1], uint16_t *ret_port)
{
  parley_text host;

  if (!net_host_port_split(address, &host, ret_port) || *ret_port == 0)
    return "address_invalid: not host:port";
  if (host.len > URL_HOST_MAX || memchr(host.at, '\0', host.len) != NULL)
    return "address_invalid: the host is too long";
  memcpy(to, host.at, host.len);
  to[host.len] = '\0';
  return NULL;
}

int stream_io_open(union stream_io *io, uv_loop_t *loop, int fd, bool *ret_is_unix)
{
  int family = AF_UNSPEC, err;
  socklen_t len = sizeof(family);

  getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &len);
  *ret_is_unix = family == AF_UNIX;
  if (*ret_is_unix) {
    uv_pipe_init(loop, &io->pipe, 0);
    err = uv_pipe_open(&io->pipe, fd);
  } else {
    uv_tcp_init(loop, &io->tcp);
    err = uv_tcp_open(&io->tcp, fd);
  }
  if (err != 0)
    close(fd);
  return err;
}

static void io_unopened_on_closed(uv_handle_t *handle)
{
  struct stream *stream = handle->data;

  stream->pending--;
  stream_settled(stream);
}

/* Takes the socket as the stream's own. */
static void socket_adopt(struct stream *stream, const struct stream_socket *socket)
{
  bool is_unix;
  int err = stream_io_open(&stream->io, stream->owner->loop, socket->fd, &is_unix);

  stream->io.handle.data = stream;
  stream->pending++;
  if (err != 0) {
    char reason[160];

    snprintf(reason, sizeof(reason), "connect_failed: %s", uv_strerror(err));
    uv_close(&stream->io.handle, io_unopened_on_closed);
    stream_end(stream, PARLEY_RETRY, reason);
    return;
  }
  stream->io_open = true;
  if (!is_unix)
    uv_tcp_nodelay(&stream->io.tcp, 1);
  net_address_port_parse(socket->address, &stream->peer);
  stream_opened(stream);
}

static void stream_on_socket(const struct stream_socket *socket, void *arg)
{
  struct stream *stream = arg;
  char reason[160];

  stream->ask_id = 0;
  stream->pending--;
  if (stream->state != STREAM_OVER && socket->status == PARLEY_OK && socket->fd >= 0) {
    socket_adopt(stream, socket);
    return;
  }
  if (socket->fd >= 0) /* too late: nobody wants it any more */
    close(socket->fd);
  if (stream->state == STREAM_OVER) {
    stream_settled(stream);
    return;
  }
  snprintf(reason, sizeof(reason), "%.*s", TEXT_ARG(socket->reason));
  stream_end(stream, socket->status == PARLEY_OK ? PARLEY_FAILED : socket->status,
             socket->reason.len > 0 ? reason : "connect_failed: no socket came");
}

static void socket_ask(struct stream *stream, parley_text address)
{
  const struct stream_connector *connector = stream->owner->connector;

  stream->state = STREAM_CONNECTING;
  stream->deadline_ms = streams_now(stream->owner) + stream->set.connect_ms;
  stream->pending++;
  stream->ask_id = connector->dial(connector, address, stream->set.connect_ms, stream_on_socket, stream);
}

uint64_t stream_connect(struct streams *owner, const parley_endpoint *endpoint, const parley_stream_events *events,
                        void *arg)
{
  struct stream_settings set = stream_settings_of(endpoint);
  struct stream *stream = stream_new(owner, &set, events, arg);
  uint16_t port = 0;
  const char *why = stream_address_split(endpoint->address, stream->host, &port);

  if (owner->n_open > STREAM_OPEN_MAX)
    stream_end(stream, PARLEY_BUSY, "busy: too many streams");
  else if (why != NULL)
    stream_end(stream, PARLEY_INVALID, why);
  else if (endpoint->tls == NULL || stream_tls_prepare(stream, endpoint->tls, false))
    socket_ask(stream, endpoint->address);
  return stream->id;
}
