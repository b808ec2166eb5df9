/* parley.stream/1 as the kit plays it: no sockets; at the other end a peer that closes, refuses, talks nonsense, keeps silent,
 * drips, or says what a file tells it to. */
#include "core/base/alloc.h"
#include "core/base/text.h"
#include "inside.h"
#include <stdlib.h>

#define STREAM_READ_MAX 65536 /* as the host's defaults */
#define STREAM_WRITE_HIGH ((uint64_t)256 << 10)
#define SPOKEN_MAX 64         /* pieces of nonsense, then the peer is tired of it */
#define DRIP_MS 5000
#define DRIPS_MAX 400         /* half an hour */
#define LINE_BYTES_MAX 4096

static struct kit_stream *stream_by_id(struct kit *kit, uint64_t id)
{
  for (struct list *node = kit->streams.next; node != &kit->streams; node = node->next)
    if (LIST_ITEM(node, struct kit_stream, node)->id == id)
      return LIST_ITEM(node, struct kit_stream, node);
  return NULL;
}

/* --- The end: closed() comes once, on a later turn ---------------------------------------------------------------- */

struct ended {
  struct kit_event event;
  struct kit_stream *stream;
  parley_status status;
  const char *reason;
};

static void stream_free(struct kit_stream *stream)
{
  buf_done(&stream->in);
  buf_done(&stream->out);
  free(stream);
}

static void ended_run(struct kit_event *event)
{
  struct ended *ended = container_of(event, struct ended, event);
  struct kit_stream *stream = ended->stream;

  KIT_CALL(stream->host, "closed",
           stream->events->closed(PARLEY_REF(parley_result, .status = ended->status, .reason = parley_text_of(ended->reason)),
                                  stream->arg));
  stream_free(stream);
  free(ended);
}

static void stream_over(struct kit_stream *stream, parley_status status, const char *reason)
{
  struct ended *ended;

  list_remove(&stream->node);
  stream->state = KIT_STREAM_OVER;
  if (stream->listening) {
    stream_free(stream);
    return;
  }
  ended = xcalloc(1, sizeof *ended);
  *ended = (struct ended){.stream = stream, .status = status, .reason = reason};
  kit_later(stream->host, &ended->event, ended_run);
}

/* --- What the plugin asks for ------------------------------------------------------------------------------------- */

enum kit_peer kit_peer_good(const struct kit *kit)
{
  return kit->peer_talk.len > 0 ? KIT_PEER_TALK : KIT_PEER_CLOSE;
}

static enum kit_peer peer_draw(struct kit *kit)
{
  static const enum kit_peer peers[] = {KIT_PEER_CLOSE, KIT_PEER_REFUSE, KIT_PEER_GARBAGE, KIT_PEER_SILENT, KIT_PEER_SLOW};
  uint32_t n = kit_mood(kit, COUNT_OF(peers) + 3);

  return n < COUNT_OF(peers) ? peers[n] : kit_peer_good(kit);
}

static struct kit_stream *stream_new(struct kit_host *host, const parley_endpoint *at, const parley_stream_events *events, void *arg)
{
  struct kit_stream *stream = xcalloc(1, sizeof *stream);
  struct kit *kit = host->kit;

  if (events->size < sizeof(uint64_t) || events->opened == NULL || events->data == NULL || events->closed == NULL)
    kit_fail(kit, PROMISE_STREAM, "its parley_stream_events lack opened, data or closed");
  stream->host = host;
  stream->id = ++kit->last_id;
  stream->state = KIT_STREAM_OPENING;
  stream->peer = kit->peer_random ? peer_draw(kit) : kit->peer;
  stream->reading = true;
  stream->idle_ms = at != NULL ? at->idle_ms : 0;
  stream->read_max = at != NULL && at->read_max > 0 ? at->read_max : STREAM_READ_MAX;
  stream->secured = at != NULL && at->tls != NULL;
  stream->moved_ms = stream->drip_ms = kit_mono(kit);
  stream->events = events;
  stream->arg = arg;
  stream->in = BUF_INIT(0);
  stream->out = BUF_INIT(0);
  list_push(&kit->streams, &stream->node);
  return stream;
}

static uint64_t stream_connect(const parley_host *to, const parley_endpoint *at, const parley_stream_events *events, void *arg)
{
  struct kit_host *host = to->impl;
  struct kit_stream *stream;

  kit_on_loop(host, "connect of parley.stream/1");
  if (at->address.len == 0)
    kit_fail(host->kit, PROMISE_STREAM, "connect() was given no address");
  stream = stream_new(host, at, events, arg);
  host->kit->n_connects++;
  if (host->state >= KIT_STOPPED)
    stream_over(stream, PARLEY_CANCELLED, "the channel has stopped");
  return stream->id;
}

static uint64_t stream_listen(const parley_host *to, const parley_endpoint *at, const parley_stream_events *events,
                              parley_accepted *accepted, parley_done *bound, void *arg)
{
  struct kit_host *host = to->impl;
  struct kit_stream *stream;

  kit_on_loop(host, "listen of parley.stream/1");
  if (host->state >= KIT_STOPPED) {
    kit_done_later(host, bound, arg, PARLEY_CANCELLED, TEXT_EMPTY, 0);
    return ++host->kit->last_id;
  }
  stream = stream_new(host, at, events, arg);
  stream->listening = true;
  stream->accepted = accepted;
  kit_done_later(host, bound, arg, PARLEY_OK, at->address, 0);
  return stream->id;
}

static void stream_carried(struct kit_host *host)
{
  for (struct list *node = host->tokens.next; node != &host->tokens; node = node->next)
    LIST_ITEM(node, struct kit_token, node)->carried = true; /* whose it was only the plugin knows */
}

static uint64_t stream_write(const parley_host *to, uint64_t id, parley_bytes bytes)
{
  struct kit_host *host = to->impl;
  struct kit_stream *stream = stream_by_id(host->kit, id);

  kit_on_loop(host, "write of parley.stream/1");
  if (stream == NULL || stream->host != host)
    return 0; /* over: no effect */
  buf_text(&stream->out, bytes);
  stream->moved_ms = kit_mono(host->kit);
  stream->wrote = true;
  if (kit_carries(host->kit, buf_as_text(&stream->out)))
    stream_carried(host);
  if (stream->out.len > 16 * STREAM_WRITE_HIGH)
    stream_over(stream, PARLEY_BUSY, "too much is waiting to be written");
  return stream->state == KIT_STREAM_OVER ? 0 : stream->out.len;
}

static void stream_reading(const parley_host *to, uint64_t id, uint32_t on)
{
  struct kit_host *host = to->impl;
  struct kit_stream *stream = stream_by_id(host->kit, id);

  kit_on_loop(host, "reading of parley.stream/1");
  if (stream != NULL) {
    stream->reading = on != 0;
    stream->offered = 0;
  }
}

static void stream_secure(const parley_host *to, uint64_t id, const parley_tls *tls, uint32_t as_server, uint64_t unused)
{
  struct kit_host *host = to->impl;
  struct kit_stream *stream = stream_by_id(host->kit, id);

  (void)tls, (void)as_server;
  kit_on_loop(host, "secure of parley.stream/1");
  if (stream == NULL)
    return;
  stream->secure_asked = true;
  if (unused > 0)
    stream_over(stream, PARLEY_INVALID, "bytes stood behind the command that asked for TLS");
}

static void stream_close(const parley_host *to, uint64_t id, uint32_t now)
{
  struct kit_host *host = to->impl;
  struct kit_stream *stream = stream_by_id(host->kit, id);

  (void)now;
  kit_on_loop(host, "close of parley.stream/1");
  if (stream != NULL)
    stream_over(stream, PARLEY_OK, "closed");
}

const parley_stream kit_stream_table = {.size = sizeof kit_stream_table, .connect = stream_connect, .listen = stream_listen,
                                        .write = stream_write, .reading = stream_reading, .secure = stream_secure,
                                        .close = stream_close};

/* --- The peer ----------------------------------------------------------------------------------------------------- */

static void peer_nonsense(struct kit *kit, struct kit_stream *stream)
{
  uint32_t n = 1 + kit_below(kit, 200);

  for (uint32_t i = 0; i < n; i++)
    buf_char(&stream->in, (char)kit_below(kit, 256));
  if (kit_below(kit, 2) == 0)
    buf_printf(&stream->in, "\r\n%u nonsense\r\n", kit_below(kit, 1000));
}

/* A line of the file is WORD ANSWER: when a line from the plugin begins with WORD, ANSWER is said. The word `open` stands for
 * the beginning; "\n" within an answer parts its lines. */
static void peer_say(struct kit_stream *stream, parley_text word)
{
  parley_text rest = stream->host->kit->peer_talk;

  while (rest.len > 0) {
    parley_text line = text_trim(text_cut(&rest, '\n'));
    parley_text first = text_cut(&line, ' ');

    if (first.len == 0 || first.at[0] == '#' || !text_eq_nocase(first, word))
      continue;
    while (line.len > 0) {
      size_t at = text_find_text(line, PARLEY_LIT("\\n"));
      parley_text piece = text_sub(line, 0, at == SIZE_MAX ? line.len : at);

      buf_text(&stream->in, piece);
      buf_str(&stream->in, "\r\n");
      line = text_sub(line, at == SIZE_MAX ? line.len : at + 2, SIZE_MAX);
    }
    return;
  }
}

static void peer_hear(struct kit_stream *stream)
{
  for (;;) {
    parley_text all = buf_as_text(&stream->out), line = text_sub(all, 0, text_find(all, '\n'));
    size_t whole = line.len + 1;
    parley_text word;

    if (line.len == all.len) {
      if (all.len > LINE_BYTES_MAX)
        buf_clear(&stream->out);
      return;
    }
    line = text_trim(line);
    word = text_cut(&line, ' ');
    peer_say(stream, text_sub(word, 0, text_find(word, ':')));
    buf_drop(&stream->out, whole);
  }
}

/* Does one thing at most; false: it waits. */
static bool peer_act(struct kit_stream *stream)
{
  struct kit *kit = stream->host->kit;
  size_t unread = stream->out.len;
  bool heard = unread > 0, greeted = stream->greeted;

  switch (stream->peer) {
  case KIT_PEER_CLOSE:
    stream_over(stream, PARLEY_CLOSED, "the peer closed");
    return true;
  case KIT_PEER_GARBAGE:
    if (stream->spoken > SPOKEN_MAX)
      stream_over(stream, PARLEY_CLOSED, "the peer closed");
    else if (!stream->greeted || heard)
      peer_nonsense(kit, stream);
    else
      return false;
    break;
  case KIT_PEER_SLOW:
    if (stream->spoken > DRIPS_MAX || stream->drip_ms > kit_mono(kit))
      return false;
    buf_char(&stream->in, "2 -x"[kit_below(kit, 4)]);
    stream->drip_ms = kit_mono(kit) + DRIP_MS;
    break;
  case KIT_PEER_TALK:
    if (stream->greeted && !heard)
      return false;
    if (!stream->greeted)
      peer_say(stream, PARLEY_LIT("open"));
    peer_hear(stream);
    stream->greeted = true;
    return !greeted || stream->out.len < unread; /* not a line yet, or none at all: a binary protocol has none */
  case KIT_PEER_CALLER:
    if (heard)
      buf_text(&kit->heard, buf_as_text(&stream->out));
    if (!stream->greeted)
      buf_text(&stream->in, kit->caller_talk);
    else if (!heard)
      return false;
    break;
  case KIT_PEER_REFUSE:
  case KIT_PEER_SILENT:
    return false;
  }
  stream->greeted = true;
  stream->spoken++;
  stream->moved_ms = kit_mono(kit);
  buf_clear(&stream->out);
  return true;
}

/* --- What happens by itself --------------------------------------------------------------------------------------- */

static void stream_opened(struct kit_stream *stream)
{
  const parley_peer peer = {.size = sizeof peer, .secured = stream->secured, .address = PARLEY_LIT("192.0.2.7:25")};

  if (stream->peer == KIT_PEER_REFUSE) {
    stream_over(stream, PARLEY_RETRY, "connect_failed: connection refused");
    return;
  }
  stream->state = KIT_STREAM_OPEN;
  KIT_CALL(stream->host, "opened", stream->events->opened(&peer, stream->arg));
}

bool kit_stream_knock(struct kit *kit, size_t n, enum kit_peer peer)
{
  const parley_peer caller = {.size = sizeof caller, .address = PARLEY_LIT("192.0.2.7:4711")};
  struct kit_stream *listener = NULL, *stream;

  for (struct list *node = kit->streams.next; node != &kit->streams && listener == NULL; node = node->next)
    if (LIST_ITEM(node, struct kit_stream, node)->listening && n-- == 0)
      listener = LIST_ITEM(node, struct kit_stream, node);
  if (listener == NULL)
    return false;
  stream = stream_new(listener->host, NULL, listener->events, NULL);
  stream->peer = peer;
  buf_clear(&kit->heard);
  KIT_CALL(listener->host, "accepted", stream->arg = listener->accepted(stream->id, &caller, listener->arg));
  if (stream->arg == NULL && stream->state != KIT_STREAM_OVER) { /* refused: no closed() */
    list_remove(&stream->node);
    stream_free(stream);
  }
  kit_run(kit);
  return true;
}

/* A copy of its own each time: a plugin that keeps a pointer is caught. What it leaves comes again with more. */
static bool stream_data(struct kit_stream *stream)
{
  struct kit *kit = stream->host->kit;
  uint64_t id = stream->id;
  size_t len = stream->in.len, used = 0;
  struct kit_frame frame = kit_frame_new(len);
  parley_bytes shown = kit_frame_text(&frame, buf_as_text(&stream->in));

  KIT_CALL(stream->host, "data", used = stream->events->data(shown, stream->arg));
  kit_frame_end(kit, &frame, "the bytes of a data() that has returned");
  if (used > len)
    kit_fail(kit, PROMISE_STREAM, "data() was given %zu bytes and returned %zu", len, used);
  stream = stream_by_id(kit, id);
  if (stream == NULL)
    return true; /* it was closed meanwhile */
  buf_drop(&stream->in, used);
  stream->offered = used == 0 ? stream->in.len : 0;
  if (used == 0 && stream->reading && stream->in.len >= stream->read_max) {
    stream_over(stream, PARLEY_INVALID, "what came fills read_max and none of it was used");
    return true;
  }
  return used > 0;
}

static bool stream_secured(struct kit_stream *stream)
{
  stream->secure_asked = false;
  if (stream->in.len > 0) {
    stream_over(stream, PARLEY_INVALID, "bytes stood behind the command that asked for TLS");
    return true;
  }
  stream->secured = true;
  stream_opened(stream);
  return true;
}

static bool stream_act(struct kit_stream *stream)
{
  struct kit *kit = stream->host->kit;

  if (stream->listening)
    return false;
  if (stream->state == KIT_STREAM_OPENING) {
    stream_opened(stream);
    return true;
  }
  if (stream->idle_ms > 0 && kit_mono(kit) - stream->moved_ms >= stream->idle_ms) {
    stream_over(stream, PARLEY_TIMEOUT, "nothing moved for idle_ms");
    return true;
  }
  if (stream->secure_asked)
    return stream_secured(stream);
  if (stream->wrote) {
    stream->wrote = false;
    if (stream->events->writable != NULL)
      KIT_CALL(stream->host, "writable", stream->events->writable(stream->arg));
    return true;
  }
  if (stream->in.len > stream->offered && stream->reading && stream_data(stream))
    return true;
  return peer_act(stream);
}

bool kit_stream_step(struct kit *kit)
{
  for (struct list *node = kit->streams.next; node != &kit->streams; node = node->next)
    if (stream_act(LIST_ITEM(node, struct kit_stream, node)))
      return true;
  return false;
}

int64_t kit_stream_due(const struct kit *kit)
{
  int64_t first = INT64_MAX, due;

  for (const struct list *node = kit->streams.next; node != &kit->streams; node = node->next) {
    const struct kit_stream *stream = LIST_ITEM(node, struct kit_stream, node);

    if (stream->listening)
      continue;
    due = stream->idle_ms > 0 ? stream->moved_ms + stream->idle_ms : INT64_MAX;
    if (stream->peer == KIT_PEER_SLOW && stream->spoken <= DRIPS_MAX && stream->drip_ms < due)
      due = stream->drip_ms;
    first = due < first ? due : first;
  }
  return first;
}

bool kit_stream_cancel(struct kit_host *host, uint64_t id)
{
  struct kit_stream *stream = stream_by_id(host->kit, id);

  if (stream == NULL || stream->host != host)
    return false;
  stream_over(stream, PARLEY_CANCELLED, "cancelled");
  return true;
}

void kit_stream_end(struct kit_host *host)
{
  for (struct list *node = host->kit->streams.next, *next; node != &host->kit->streams; node = next) {
    next = node->next;
    if (LIST_ITEM(node, struct kit_stream, node)->host == host)
      stream_over(LIST_ITEM(node, struct kit_stream, node), PARLEY_CANCELLED, "the channel has stopped");
  }
}
