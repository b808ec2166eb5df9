/* A connected socket for somebody: the name, each of its addresses under the egress rules, and the deadlines. The
 * socket is watched until it is connected, and never read from. */
#include "core/base/alloc.h"
#include "core/base/text.h"
#include "stream_in.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define NOT_ALLOWED "address_not_allowed: it is not public, and server.egress.allow names no net that it is in"

/* --- The answer ------------------------------------------------------------------------------ */
static void dial_answer(struct stream_dial *dial)
{
  struct streams *owner = dial->owner;
  struct stream_socket socket = {.status = dial->status, .fd = dial->fd};
  char address[NET_ADDRESS_TEXT_MAX];

  if (dial->status == PARLEY_OK)
    socket.address = net_address_format(&dial->peer, true, address);
  else
    socket.reason = parley_text_of(dial->reason);
  list_remove(&dial->node);
  list_remove(&dial->due.node);
  map_take(&owner->by_id, dial->id);
  dial->done(&socket, dial->arg);
  free(dial);
  owner->n_dials--;
  streams_free_maybe(owner);
}

static void dial_on_due(struct stream_due *due)
{
  dial_answer(LIST_ITEM(due, struct stream_dial, due));
}

static void socket_close(struct stream_dial *dial)
{
  if (dial->fd >= 0)
    close(dial->fd);
  dial->fd = -1;
}

static void poll_on_closed(uv_handle_t *handle);

static void poll_stop(struct stream_dial *dial)
{
  if (!dial->polling)
    return;
  dial->polling = false;
  uv_close((uv_handle_t *)&dial->poll, poll_on_closed); /* from here on the loop does not know the socket */
}

/* The answer follows, later. */
static void dial_end(struct stream_dial *dial, parley_status status, const char *reason)
{
  dial->over = true;
  dial->status = status;
  if (reason != dial->reason) /* a failed attempt has left its word there */
    snprintf(dial->reason, sizeof(dial->reason), "%s", reason);
  poll_stop(dial);
  if (status != PARLEY_OK)
    socket_close(dial);
  if (dial->dns_id != 0)
    dns_cancel(dial->owner->dns, dial->dns_id);
  if (dial->pending == 0)
    stream_due_add(dial->owner, &dial->due, dial_on_due);
}

void stream_dial_cancel(struct stream_dial *dial)
{
  if (!dial->over) {
    dial_end(dial, PARLEY_CANCELLED, "cancelled");
  } else if (dial->status == PARLEY_OK) { /* connected, and not yet told */
    socket_close(dial);
    dial->status = PARLEY_CANCELLED;
    snprintf(dial->reason, sizeof(dial->reason), "cancelled");
  }
}

/* --- One address after the other ------------------------------------------------------------- */
static void dial_next(struct stream_dial *dial);

static void poll_on_closed(uv_handle_t *handle)
{
  struct stream_dial *dial = handle->data;

  dial->pending--;
  if (dial->over)
    dial_answer(dial);
  else
    dial_next(dial);
}

/* This address did not answer: its socket goes, and then the next one is tried. */
static void try_fail(struct stream_dial *dial, const char *why)
{
  snprintf(dial->reason, sizeof(dial->reason), "connect_failed: %s", why);
  poll_stop(dial);
  socket_close(dial);
}

static void try_on_writable(uv_poll_t *poll, int status, int events)
{
  struct stream_dial *dial = poll->data;
  int err = 0;
  socklen_t len = sizeof(err);

  (void)events;
  if (getsockopt(dial->fd, SOL_SOCKET, SO_ERROR, &err, &len) != 0)
    err = errno;
  if (err != 0 || status < 0)
    try_fail(dial, uv_strerror(err != 0 ? -err : status));
  else
    dial_end(dial, PARLEY_OK, "");
}

static void try_deadline(struct stream_dial *dial)
{
  int64_t now_ms = streams_now(dial->owner);
  int64_t share_ms = (dial->until_ms - now_ms) / (int64_t)(dial->n_addresses - dial->at_address + 1);

  dial->try_until_ms = now_ms + (share_ms > STREAM_TRY_MIN_MS ? share_ms : STREAM_TRY_MIN_MS);
}

/* Begins to connect; 0, or why not. */
static int try_begin(struct stream_dial *dial)
{
  int err;

  dial->fd = socket(dial->peer.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (dial->fd < 0)
    return -errno;
  if (connect(dial->fd, &dial->peer.any, net_address_size(&dial->peer)) != 0 && errno != EINPROGRESS && errno != EINTR)
    return -errno;
  err = uv_poll_init(dial->owner->loop, &dial->poll, dial->fd);
  if (err != 0)
    return err;
  dial->poll.data = dial;
  dial->polling = true;
  dial->pending++;
  try_deadline(dial);
  return uv_poll_start(&dial->poll, UV_WRITABLE, try_on_writable);
}

static void dial_next(struct stream_dial *dial)
{
  int err;

  while (dial->at_address < dial->n_addresses) {
    dial->peer = dial->addresses[dial->at_address++];
    if (!egress_address_allowed(dial->owner->egress, &dial->peer.any)) /* once more, on the very address */
      continue;
    err = try_begin(dial);
    if (err != 0)
      try_fail(dial, uv_strerror(err));
    if (dial->pending > 0)
      return; /* goes on when the poll has ended */
  }
  if (dial->reason[0] == '\0')
    dial_end(dial, PARLEY_DENIED, NOT_ALLOWED); /* the rules have changed meanwhile */
  else
    dial_end(dial, PARLEY_RETRY, dial->reason);
}

/* --- The name -------------------------------------------------------------------------------- */
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
  struct stream_dial *dial = arg;

  dial->dns_id = 0;
  dial->pending--;
  if (dial->over) {
    dial_answer(dial);
    return;
  }
  if (answer->status != PARLEY_OK) {
    dial_end(dial, answer->status, name_why(answer->status));
    return;
  }
  for (size_t i = 0; i < answer->n_addresses; i++)
    if (egress_address_allowed(dial->owner->egress, &answer->addresses[i].any))
      dial->addresses[dial->n_addresses++] = answer->addresses[i];
  if (dial->n_addresses == 0)
    dial_end(dial, PARLEY_DENIED, NOT_ALLOWED);
  else
    dial_next(dial);
}

static void dial_resolve(struct stream_dial *dial, uint16_t port, uint32_t connect_ms)
{
  dial->until_ms = streams_now(dial->owner) + connect_ms;
  dial->try_until_ms = dial->until_ms;
  dial->pending++;
  dial->dns_id = dns_resolve(dial->owner->dns, dial->host, port, connect_ms, name_on_answer, dial);
}

uint64_t stream_dial(struct streams *owner, parley_text address, uint32_t connect_ms, stream_socket_done *done,
                     void *arg)
{
  struct stream_dial *dial = xcalloc(1, sizeof(*dial));
  uint16_t port = 0;
  const char *why = stream_address_split(address, dial->host, &port);

  dial->kind = STREAM_KIND_DIAL;
  dial->owner = owner;
  dial->id = ++owner->last_id;
  dial->done = done;
  dial->arg = arg;
  dial->fd = -1;
  list_init(&dial->due.node);
  list_push(&owner->dials, &dial->node);
  map_put(&owner->by_id, dial->id, dial);
  owner->n_dials++;
  streams_tick(owner);
  if (owner->n_dials > STREAM_DIALS_MAX)
    dial_end(dial, PARLEY_BUSY, "busy: too many connections are being made");
  else if (why != NULL)
    dial_end(dial, PARLEY_INVALID, why);
  else
    dial_resolve(dial, port, connect_ms > 0 ? connect_ms : STREAM_CONNECT_MS);
  return dial->id;
}

void stream_dial_on_tick(struct stream_dial *dial, int64_t now_ms)
{
  if (dial->over)
    return;
  if (now_ms >= dial->until_ms)
    dial_end(dial, PARLEY_TIMEOUT, "timeout: not connected in time");
  else if (dial->polling && now_ms >= dial->try_until_ms)
    try_fail(dial, "no answer in time");
}
