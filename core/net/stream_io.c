/* An open stream: bytes in, bytes out, TLS between, and its end. */
#include "core/base/alloc.h"
#include "core/base/env.h"
#include "stream_in.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static void stream_moved(struct stream *stream)
{
  stream->moved_ms = streams_now(stream->owner);
}

/* --- The end ---------------------------------------------------------------------------------- */
static void io_on_closed(uv_handle_t *handle)
{
  struct stream *stream = handle->data;

  stream->pending--;
  stream_settled(stream);
}

void stream_end(struct stream *stream, parley_status status, const char *reason)
{
  if (stream->state == STREAM_OVER)
    return;
  stream->state = STREAM_OVER;
  stream->end_status = status;
  snprintf(stream->end_reason, sizeof(stream->end_reason), "%s", reason);
  if (stream->ask_id != 0)
    stream->owner->connector->cancel(stream->owner->connector, stream->ask_id);
  stream->ask_id = 0;
  if (stream->io_open) {
    stream->io_open = false;
    uv_close(&stream->io.handle, io_on_closed);
  }
  stream_dirty(stream); /* with nothing pending the next turn tells */
}

/* --- Bytes out -------------------------------------------------------------------------------- */
static void io_on_written(uv_write_t *req, int status)
{
  struct stream_write *write = container_of(req, struct stream_write, write);
  struct stream *stream = write->stream;

  stream->write = NULL;
  free(write->bytes);
  free(write);
  if (stream->state == STREAM_OVER)
    return;
  if (status < 0) {
    stream_end(stream, PARLEY_CLOSED, "the connection broke");
    return;
  }
  stream_moved(stream);
  stream_flush(stream);
}

static void io_write_rest(struct stream *stream, size_t sent)
{
  struct stream_write *write = xcalloc(1, sizeof(*write));
  uv_buf_t piece;
  size_t len;

  write->stream = stream;
  write->bytes = buf_steal(&stream->raw, &len);
  write->len = len - sent;
  piece = uv_buf_init(write->bytes + sent, (unsigned)write->len);
  stream->write = write;
  if (uv_write(&write->write, &stream->io.stream, &piece, 1, io_on_written) == 0)
    return;
  stream->write = NULL;
  free(write->bytes);
  free(write);
  stream_end(stream, PARLEY_CLOSED, "the connection broke");
}

/* Moves what was written through TLS into raw. */
static void plain_encrypt(struct stream *stream)
{
  parley_bytes cipher;

  if (stream->tls == NULL)
    return;
  if (stream->plain.len > 0 && tls_ready(stream->tls)) {
    if (tls_write(stream->tls, buf_as_text(&stream->plain)) != PARLEY_OK) {
      stream_end(stream, PARLEY_CLOSED, tls_why(stream->tls));
      return;
    }
    buf_done(&stream->plain);
  }
  if (stream->state == STREAM_FLUSHING && stream->plain.len == 0)
    tls_shutdown(stream->tls);
  cipher = tls_output(stream->tls);
  buf_add(&stream->raw, cipher.at, cipher.len);
  tls_output_done(stream->tls, cipher.len);
}

static void flushed(struct stream *stream)
{
  if (stream->write != NULL || stream->raw.len > 0 || stream->plain.len > 0)
    return;
  if (stream->state == STREAM_FLUSHING) {
    stream_end(stream, PARLEY_OK, "closed");
    return;
  }
  if (stream->wrote && stream->state == STREAM_OPEN) {
    stream->wrote = false;
    if (stream->events->writable != NULL)
      stream->events->writable(stream->arg);
  }
}

void stream_flush(struct stream *stream)
{
  uv_buf_t piece;
  int n;

  if (stream->state < STREAM_SECURING || stream->state == STREAM_OVER || stream->write != NULL)
    return;
  plain_encrypt(stream);
  if (stream->state == STREAM_OVER)
    return;
  if (stream->raw.len > 0) {
    piece = uv_buf_init(stream->raw.at, (unsigned)stream->raw.len);
    n = uv_try_write(&stream->io.stream, &piece, 1);
    if (n < 0 && n != UV_EAGAIN) {
      stream_end(stream, PARLEY_CLOSED, "the connection broke");
      return;
    }
    if (n > 0)
      stream_moved(stream);
    if (n < 0 || (size_t)n < stream->raw.len)
      io_write_rest(stream, n > 0 ? (size_t)n : 0);
    else
      buf_done(&stream->raw);
  }
  if (stream->state != STREAM_OVER)
    flushed(stream);
}

/* --- TLS begins ------------------------------------------------------------------------------- */
static void opened_tell(struct stream *stream)
{
  char address[NET_ADDRESS_TEXT_MAX];
  struct buf subject = BUF_INIT(1024);
  parley_peer peer = {.size = sizeof(peer), .secured = stream->tls != NULL};

  peer.address = net_address_format(&stream->peer, true, address);
  if (stream->peer.any.sa_family == 0)
    peer.address = PARLEY_LIT("unix");
  if (stream->tls != NULL) {
    peer.tls_version = parley_text_of(tls_version(stream->tls));
    tls_subject(stream->tls, &subject);
    peer.tls_subject = buf_as_text(&subject);
  }
  stream->state = STREAM_OPEN;
  stream->deadline_ms = INT64_MAX;
  stream_moved(stream);
  stream->events->opened(&peer, stream->arg);
  buf_done(&subject);
}

/* Begins the handshake. It has the connect time again. */
static void tls_begin(struct stream *stream)
{
  stream->state = STREAM_SECURING;
  stream->deadline_ms = streams_now(stream->owner) + stream->set.connect_ms;
  stream->tls =
      stream->as_server ? tls_server_new(stream->context) : tls_client_new(stream->context, stream->server_name);
  tls_context_unref(&stream->context);
}

static void tls_step(struct stream *stream);

void stream_opened(struct stream *stream)
{
  if (stream->context != NULL) {
    tls_begin(stream);
    stream_io_reading(stream);
    tls_step(stream); /* a client speaks first */
    return;
  }
  opened_tell(stream);
  if (stream->state == STREAM_OVER)
    return;
  stream_io_reading(stream);
  stream_flush(stream);
}

/* secure() was called within data(): what came behind the command would be an injection. */
static void secure_begin(struct stream *stream)
{
  stream->secure_wanted = false;
  if (stream->in.len > 0) {
    stream_end(stream, PARLEY_INVALID, "bytes stood behind the command that asked for TLS");
    return;
  }
  tls_begin(stream);
  stream_io_reading(stream);
  tls_step(stream);
}

/* --- Bytes in --------------------------------------------------------------------------------- */
/* Offers `bytes`; returns how much was used, or `len` when the stream is over. */
static size_t data_offer(struct stream *stream, const char *bytes, size_t len)
{
  size_t used;

  stream->in_data = true;
  used = stream->events->data((parley_bytes){bytes, len}, stream->arg);
  stream->in_data = false;
  if (stream->state == STREAM_OVER)
    return len;
  return used < len ? used : len;
}

void stream_deliver(struct stream *stream)
{
  stream->must_deliver = false;
  while (stream->state == STREAM_OPEN && stream->reading && !stream->secure_wanted && stream->in.len > 0) {
    size_t used = data_offer(stream, stream->in.at, stream->in.len);

    if (stream->state == STREAM_OVER)
      return;
    if (used == 0)
      break;
    buf_drop(&stream->in, used);
  }
  if (stream->in.len == 0)
    buf_done(&stream->in);
  if (stream->state == STREAM_OPEN && stream->secure_wanted)
    secure_begin(stream);
  else if (stream->state == STREAM_OPEN && stream->reading && stream->in.len >= stream->set.read_max)
    stream_end(stream, PARLEY_INVALID, "what came fills read_max and none of it was used");
}

/* Plain bytes that just came. Straight from where they were read, when nothing is held before them. */
static void bytes_take(struct stream *stream, const char *bytes, size_t len)
{
  if (stream->state == STREAM_FLUSHING)
    return; /* close() was called: nobody wants them */
  if (stream->in.len == 0 && stream->state == STREAM_OPEN && stream->reading && !stream->secure_wanted) {
    size_t used = data_offer(stream, bytes, len);

    bytes += used;
    len -= used;
  }
  if (stream->state == STREAM_OVER)
    return;
  if (len > 0)
    buf_add(&stream->in, bytes, len);
  stream_deliver(stream);
}

static void tls_take(struct stream *stream)
{
  struct streams *owner = stream->owner;
  size_t len;

  while (stream->state != STREAM_OVER) {
    switch (tls_read(stream->tls, owner->plain, STREAM_SLAB_BYTES, &len)) {
    case TLS_READ_SOME:
      if (stream->state == STREAM_SECURING)
        opened_tell(stream);
      if (stream->state != STREAM_OVER)
        bytes_take(stream, owner->plain, len);
      continue;
    case TLS_READ_WAIT:
      if (stream->state == STREAM_SECURING && tls_ready(stream->tls))
        opened_tell(stream);
      return;
    case TLS_READ_END:
      stream_end(stream, PARLEY_CLOSED, "the peer closed");
      return;
    case TLS_READ_FAILED:
      stream_flush(stream); /* the alert */
      stream_end(stream, stream->state == STREAM_SECURING ? PARLEY_RETRY : PARLEY_CLOSED, tls_why(stream->tls));
      return;
    }
  }
}

static void tls_step(struct stream *stream)
{
  if (stream->owner->plain == NULL)
    stream->owner->plain = xrealloc(NULL, STREAM_SLAB_BYTES);
  tls_take(stream);
  if (stream->state != STREAM_OVER)
    stream_flush(stream);
}

static void io_on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
  struct stream *stream = handle->data;

  (void)suggested;
  if (stream->owner->slab == NULL)
    stream->owner->slab = xrealloc(NULL, STREAM_SLAB_BYTES);
  *buf = uv_buf_init(stream->owner->slab, STREAM_SLAB_BYTES);
}

static void io_on_read(uv_stream_t *io, ssize_t n, const uv_buf_t *buf)
{
  struct stream *stream = io->data;

  if (n == 0)
    return;
  if (n < 0) {
    if (stream->state == STREAM_SECURING)
      stream_end(stream, PARLEY_RETRY, "tls_failed: the peer closed within the handshake");
    else
      stream_end(stream, PARLEY_CLOSED, n == UV_EOF ? "the peer closed" : uv_strerror((int)n));
    return;
  }
  stream_moved(stream);
  if (stream->tls != NULL) {
    if (tls_input(stream->tls, (parley_bytes){buf->base, (size_t)n}) != PARLEY_OK)
      stream_end(stream, PARLEY_CLOSED, tls_why(stream->tls));
    else
      tls_take(stream);
  } else {
    bytes_take(stream, buf->base, (size_t)n);
  }
  if (stream->state == STREAM_OVER)
    return;
  stream_flush(stream);
  stream_io_reading(stream);
}

/* Reads while the plugin reads, while there is room, and always during a handshake. */
void stream_io_reading(struct stream *stream)
{
  bool want = stream->state == STREAM_SECURING || stream->state == STREAM_FLUSHING ||
              (stream->state == STREAM_OPEN && stream->reading && stream->in.len < stream->set.read_max);

  if (stream->state == STREAM_OVER || !stream->io_open || want == stream->uv_reading)
    return;
  stream->uv_reading = want;
  if (want)
    uv_read_start(&stream->io.stream, io_on_alloc, io_on_read);
  else
    uv_read_stop(&stream->io.stream);
}

void stream_on_tick(struct stream *stream, int64_t now_ms)
{
  if (stream->state == STREAM_OVER)
    return;
  if (stream->state == STREAM_FLUSHING && now_ms >= stream->flush_until_ms) {
    stream_end(stream, PARLEY_TIMEOUT, "what was written did not leave in time");
    return;
  }
  if (now_ms >= stream->deadline_ms)
    stream_end(stream, PARLEY_TIMEOUT,
               stream->state == STREAM_CONNECTING ? "timeout: not connected in time"
                                                  : "the TLS handshake took too long");
  else if (stream->state == STREAM_OPEN && stream->set.idle_ms > 0 && now_ms - stream->moved_ms >= stream->set.idle_ms)
    stream_end(stream, PARLEY_TIMEOUT, "nothing moved for idle_ms");
}
