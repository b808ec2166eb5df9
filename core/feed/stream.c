/* SSE readers: pages of the log until they have caught up, as fast as they take them; then what is committed, as it
 * comes. */
#include "core/base/arena.h"
#include "core/base/text.h"
#include "cursor.h"
#include "feed_in.h"
#include <stdlib.h>
#include <string.h>

struct reader {
  struct list link; /* in feed->readers */
  struct feed *feed;
  struct follower follower;
  struct arena *arena; /* its types */
  struct sse *sse;     /* NULL: it has left */
  bool from_now, reading, cut;
};

struct reader_read {
  struct store_events events;
  struct reader *reader;
  uint64_t newest; /* when it began */
};

static void reader_over(struct reader *reader)
{
  struct feed *feed = reader->feed;

  if (reader->sse != NULL || reader->reading)
    return;
  follower_drop(feed, &reader->follower);
  list_remove(&reader->link);
  feed->n_readers--;
  arena_free(&reader->arena);
  free(reader);
  feed_close_go(feed);
}

static parley_text event_cursor(const struct feed *feed, struct feed_event *event)
{
  if (event->cursor[0] == '\0') {
    struct buf cursor = BUF_INIT(FEED_CURSOR_ROOM - 1);

    cursor_write(&cursor, store_secret(feed->shared.store), PARLEY_LIT("events"), &event->seq, 1);
    memcpy(event->cursor, cursor.at, cursor.len);
    buf_done(&cursor);
  }
  return parley_text_of(event->cursor);
}

/* More than this, and sse_send() would cut it. Line ends in the JSON become fields, hence twice its length. */
static bool reader_has_room(const struct reader *reader, const struct feed_event *event)
{
  size_t waiting = sse_waiting(reader->sse);

  return waiting == 0 || waiting + 2 * event->len < HTTP_STREAM_CUT_BYTES;
}

/* false: it is too far behind. While it catches up it is read on for when it has taken what waits; a live one is cut.
 */
static bool reader_take(struct follower *follower, const struct event_row *row, struct feed_event **event)
{
  struct reader *reader = container_of(follower, struct reader, follower);

  if (reader->sse == NULL || reader->cut)
    return false;
  if (!event_type_matches(row->type, follower->types, follower->n_types))
    return true;
  if (*event == NULL)
    *event = feed_event_new(row);
  if (*event == NULL)
    return true; /* larger than anything may be */
  if (!follower->live && !reader_has_room(reader, *event))
    return false;
  if (sse_send(reader->sse, event_cursor(reader->feed, *event), row->type, (parley_text){(*event)->at, (*event)->len}))
    return true;
  reader->cut = true;
  reader->feed->counters.cut++;
  return false;
}

/* --- Pages ------------------------------------------------------------------------------------ */

static void page_take(struct reader *reader, const struct reader_read *read)
{
  const struct store_events *events = &read->events;
  struct follower *follower = &reader->follower;
  bool room = true;

  for (size_t i = 0; i < events->n && room; i++) {
    struct feed_event *event = NULL;

    room = follower_offer(follower, &events->rows[i], &event);
    feed_event_unref(&event);
  }
  if (!room)
    return;
  if (events->scanned_to > follower->position)
    follower->position = events->scanned_to;
  else if (events->n == 0 && read->newest > follower->position)
    follower->position = read->newest;
}

static void reader_go(struct follower *follower);

static void page_done(struct store_op *op)
{
  struct reader_read *read = container_of(op, struct reader_read, events.op);
  struct reader *reader = read->reader;
  bool refused = op->status != PARLEY_OK;

  reader->reading = false;
  if (!refused && reader->sse != NULL)
    page_take(reader, read);
  feed_op_over(reader->feed, op);
  free(read);
  if (refused && reader->sse != NULL)
    sse_end(reader->sse); /* it comes back, with its cursor, after the `retry:` it was told */
  else
    reader_go(&reader->follower);
  reader_over(reader);
}

static void reader_go(struct follower *follower)
{
  struct reader *reader = container_of(follower, struct reader, follower);
  struct feed *feed = reader->feed;
  struct reader_read *read;

  if (reader->sse == NULL || reader->cut || reader->reading || follower->live || feed->closing || !feed->learned)
    return;
  if (reader->from_now)
    follower->position = feed->newest;
  reader->from_now = false;
  if (follower_joins(feed, follower) || follower->position >= feed->newest || sse_waiting(reader->sse) > SSE_LOW_BYTES)
    return;
  read = xcalloc(1, sizeof(*read));
  read->reader = reader;
  read->newest = feed->newest;
  read->events.after = follower->position;
  read->events.limit = SSE_PAGE;
  read->events.with_context = true;
  read->events.types = follower->types;
  read->events.n_types = follower->n_types;
  reader->reading = true;
  feed_op(feed, &read->events.op, STORE_EVENTS, page_done);
}

static const struct follower_kind reader_follower = {.take = reader_take, .go = reader_go};

/* --- Coming and going ------------------------------------------------------------------------- */

static void on_writable(void *arg)
{
  struct reader *reader = arg;

  reader_go(&reader->follower);
}

static void on_closed(void *arg)
{
  struct reader *reader = arg;

  reader->sse = NULL;
  reader->follower.live = false;
  reader_over(reader);
}

static const struct sse_events reader_events = {.writable = on_writable, .closed = on_closed};

void feed_stream(struct feed *feed, struct http_request *request, uint64_t after, const parley_text *types,
                 size_t n_types, const parley_pair *headers, uint32_t n_headers)
{
  struct reader *reader;
  parley_text *copies;

  if (feed->closing || feed->n_readers >= FEED_SSE_READERS_MAX) {
    http_answer_problem(request, 503, "too_many_readers", "all places for event streams are taken");
    return;
  }
  reader = xcalloc(1, sizeof(*reader));
  reader->feed = feed;
  reader->arena = arena_new();
  copies = arena_alloc(reader->arena, (n_types + 1) * sizeof(*copies));
  for (size_t i = 0; i < n_types; i++)
    copies[i] = arena_text(reader->arena, types[i]);
  reader->follower.kind = &reader_follower;
  reader->follower.position = after != 0 ? after : feed->newest;
  reader->from_now = after == 0 && !feed->learned;
  list_push(&feed->readers, &reader->link);
  feed->n_readers++;
  reader->sse = sse_begin(feed->sse, request, headers, n_headers, &reader_events, reader);
  follower_add(feed, &reader->follower);
  follower_types_set(feed, &reader->follower, copies, n_types);
  reader_go(&reader->follower);
}

static void streams_closed(void *arg)
{
  struct feed *feed = arg;

  feed->closed_sse = true;
  feed_close_go(feed);
}

void readers_close(struct feed *feed)
{
  sse_set_close(&feed->sse, streams_closed, feed);
}
