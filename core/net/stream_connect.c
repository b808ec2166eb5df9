/* From an endpoint to an open socket: the name, each of its addresses under the egress rules, and the TLS material. */
#include "core/base/alloc.h"
#include "core/base/env.h"
#include "core/base/text.h"
#include "stream_in.h"
#include <stdio.h>
#include <string.h>

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

static void connect_next(struct stream *stream);

static void try_on_closed(uv_handle_t *handle)
{
  struct stream *stream = handle->data;

  stream->pending--;
  if (stream->state == STREAM_OVER)
    stream_settled(stream);
  else
    connect_next(stream);
}

/* This address did not answer: its socket goes, and then the next one is tried. */
static void try_fail(struct stream *stream, const char *why)
{
  snprintf(stream->end_reason, sizeof(stream->end_reason), "connect_failed: %s", why);
  stream->io_open = false;
  uv_close(&stream->io.handle, try_on_closed);
}

static void try_on_connected(uv_connect_t *req, int status)
{
  struct stream *stream = container_of(req, struct stream, connect);

  if (stream->state == STREAM_OVER || !stream->io_open)
    return; /* its socket is closing already */
  if (status < 0) {
    try_fail(stream, uv_strerror(status));
    return;
  }
  uv_tcp_nodelay(&stream->io.tcp, 1);
  stream_opened(stream);
}

static void try_deadline(struct stream *stream)
{
  int64_t left_ms = stream->flush_until_ms - streams_now(stream->owner);
  int64_t share_ms = left_ms / (int64_t)(stream->n_addresses - stream->at_address + 1);

  stream->deadline_ms = streams_now(stream->owner) + (share_ms > STREAM_TRY_MIN_MS ? share_ms : STREAM_TRY_MIN_MS);
}

static void connect_next(struct stream *stream)
{
  struct streams *owner = stream->owner;
  int err;

  while (stream->at_address < stream->n_addresses) {
    stream->peer = stream->addresses[stream->at_address++];
    if (!egress_address_allowed(owner->egress, &stream->peer.any)) /* once more, on the very address */
      continue;
    uv_tcp_init(owner->loop, &stream->io.tcp);
    stream->io.handle.data = stream;
    stream->io_open = true;
    stream->pending++;
    try_deadline(stream);
    err = uv_tcp_connect(&stream->connect, &stream->io.tcp, &stream->peer.any, try_on_connected);
    if (err != 0)
      try_fail(stream, uv_strerror(err));
    return;
  }
  stream_end(stream, PARLEY_RETRY, stream->end_reason);
}

static const char *name_why(parley_status status)
{
  switch (status) {
  case PARLEY_NOT_FOUND:
    return "name_not_found";
  case PARLEY_TIMEOUT:
    return "timeout: the name was not resolved in time";
  case PARLEY_BUSY:
    return "busy: too many look-ups";
  default:
    return "name_not_resolved";
  }
}

static void name_on_answer(const struct dns_answer *answer, void *arg)
{
  struct stream *stream = arg;

  stream->dns_id = 0;
  stream->pending--;
  if (stream->state == STREAM_OVER) {
    stream_settled(stream);
    return;
  }
  if (answer->status != PARLEY_OK) {
    stream_end(stream, answer->status, name_why(answer->status));
    return;
  }
  for (size_t i = 0; i < answer->n_addresses; i++)
    if (egress_address_allowed(stream->owner->egress, &answer->addresses[i].any))
      stream->addresses[stream->n_addresses++] = answer->addresses[i];
  if (stream->n_addresses == 0) {
    stream_end(stream, PARLEY_DENIED, "address_not_allowed");
    return;
  }
  stream->state = STREAM_CONNECTING;
  connect_next(stream);
}

void stream_resolve(struct stream *stream, uint16_t port)
{
  stream->state = STREAM_NAMING;
  stream->flush_until_ms =
      streams_now(stream->owner) + stream->set.connect_ms; /* until connected: the whole deadline */
  stream->deadline_ms = stream->flush_until_ms;
  stream->pending++;
  stream->dns_id = dns_resolve(stream->owner->dns, stream->host, port, stream->set.connect_ms, name_on_answer, stream);
}

void stream_connect_on_tick(struct stream *stream, int64_t now_ms)
{
  if (now_ms >= stream->flush_until_ms)
    stream_end(stream, PARLEY_TIMEOUT, "timeout: not connected in time");
  else if (stream->state == STREAM_CONNECTING && stream->io_open && now_ms >= stream->deadline_ms)
    try_fail(stream, "no answer in time");
}
