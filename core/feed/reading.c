/* What a subscription reads: the log, page by page while it is behind, and single events again that are to be tried
 * again. */
#include "core/base/text.h"
#include "feed_in.h"
#include "slice.h"
#include <stdlib.h>

/* --- Taking an event -------------------------------------------------------------------------- */

static parley_text row_channel(const struct event_row *row)
{
  parley_text channel = slice_word(row->data, "channel"); /* of the delivery that it is about */

  if (channel.len == 0 && row->message != NULL)
    channel = row->message->channel;
  if (channel.len == 0 && row->conversation_row != NULL)
    channel = row->conversation_row->channel;
  return channel;
}

static parley_text row_topic(const struct event_row *row)
{
  if (row->message != NULL)
    return row->message->topic;
  return slice_word(row->data, "topic");
}

static bool sub_wants(const struct feed_sub *sub, const struct event_row *row)
{
  const struct subscription *set = &sub->conf->set;
  const struct feed_local *local = set->local;

  return event_type_matches(row->type, sub->follower.types, sub->follower.n_types) &&
         (set->filter_channel.len == 0 || text_eq(row_channel(row), set->filter_channel)) &&
         (set->filter_topic.len == 0 || text_eq(row_topic(row), set->filter_topic)) &&
         (local == NULL || local->wants == NULL || local->wants(row, local->arg));
}

static bool sub_has_room(const struct feed_sub *sub)
{
  return sub->n_open < FEED_WINDOW && sub->open_bytes < FEED_WINDOW_BYTES && sub->n_stored < FEED_STORED_MAX;
}

bool sub_take(struct feed_sub *sub, const struct event_row *row, struct feed_event **event)
{
  struct item *item;
  bool blocked;

  if (sub->off || sub->removed || !sub_has_room(sub))
    return false;
  if (!sub_wants(sub, row) || map_get(&sub->items, row->seq) != NULL)
    return true;
  if (*event == NULL)
    *event = feed_event_new(row);
  blocked = queue_is_blocked(sub_queue(sub, row->customer));
  item = item_new(sub, row->seq, row->customer);
  if (blocked || *event == NULL)
    item_store(item);
  else
    item_open(item, feed_event_ref(*event));
  queue_settle(item->queue, sub);
  return true;
}

/* --- Pages of the log ------------------------------------------------------------------------- */

struct sub_read {
  struct store_events events;
  struct feed_sub *sub;
  struct sub_conf *conf; /* whose types are read by */
  uint64_t newest;       /* when it began */
  uint64_t seqs[FEED_ROWS_MAX];
};

static struct sub_read *sub_read_new(struct feed_sub *sub)
{
  struct sub_read *read = xcalloc(1, sizeof(*read));

  read->sub = sub;
  read->conf = sub_conf_ref(sub->conf);
  read->newest = sub->feed->newest;
  read->events.with_context = true;
  return read;
}

/* The end of each read: what it brought has been looked at. */
static void sub_read_over(struct sub_read *read)
{
  struct feed_sub *sub = read->sub;
  struct feed *feed = sub->feed;

  feed_op_over(feed, &read->events.op);
  sub_conf_unref(&read->conf);
  free(read);
  sub_go(sub);
  sub_over(sub);
  feed_close_go(feed);
}

/* One that was taken away for so long holds nothing back meanwhile. */
static void page_tell_missed(const struct feed_sub *sub, const struct store_events *events)
{
  char id[ID_TEXT_MAX];

  if (events->gone <= events->after)
    return;
  id_format("sub", sub->id, id);
  log_line(sub->feed->shared.log, PARLEY_WARN, "event=subscription_missed subscription=%s why=\"events after its cursor are kept no"
                                               " longer\"", id);
}

static void page_take(struct feed_sub *sub, const struct sub_read *read)
{
  const struct store_events *events = &read->events;
  bool room = true;

  page_tell_missed(sub, events);

  for (size_t i = 0; i < events->n && room; i++) {
    struct feed_event *event = NULL;

    room = follower_offer(&sub->follower, &events->rows[i], &event);
    feed_event_unref(&event);
  }
  if (!room)
    return;
  if (events->scanned_to > sub->follower.position)
    sub->follower.position = events->scanned_to;
  else if (events->n == 0 && read->newest > sub->follower.position)
    sub->follower.position = read->newest; /* what was committed up to then is no event that is still there */
}

static void page_done(struct store_op *op)
{
  struct sub_read *read = container_of(op, struct sub_read, events.op);
  struct feed_sub *sub = read->sub;

  sub->reading = false;
  if (op->status != PARLEY_OK)
    sub->read_again_ms = feed_mono_ms(sub->feed) + FEED_BUSY_MS;
  else if (!sub->feed->closing && !sub->removed && read->conf == sub->conf) /* else its types are not ours any more */
    page_take(sub, read);
  sub_read_over(read);
}

static bool sub_waits_for_store(struct feed_sub *sub)
{
  if (sub->read_again_ms > feed_mono_ms(sub->feed)) {
    feed_wake_at(sub->feed, sub->read_again_ms);
    return true;
  }
  sub->read_again_ms = 0;
  return false;
}

void sub_read_log(struct feed_sub *sub)
{
  struct sub_read *read;

  if (sub->reading || sub->follower.live || sub->n_open > FEED_WINDOW / 2 || !sub_has_room(sub) ||
      sub_waits_for_store(sub) || follower_joins(sub->feed, &sub->follower) ||
      sub->follower.position >= sub->feed->newest)
    return;
  read = sub_read_new(sub);
  read->events.after = sub->follower.position;
  read->events.limit = FEED_PAGE;
  read->events.types = sub->follower.types;
  read->events.n_types = sub->follower.n_types;
  sub->reading = true;
  feed_op(sub->feed, &read->events.op, STORE_EVENTS, page_done);
}

/* --- Single events again ---------------------------------------------------------------------- */

static void row_take(struct feed_sub *sub, const struct event_row *row)
{
  struct item *item = map_get(&sub->items, row->seq);

  if (item == NULL || item->state != ITEM_READING)
    return;
  item->event = feed_event_new(row);
  if (item->event == NULL)
    return; /* row_finish() ends it */
  sub->n_rows_held++;
  item_back(item, feed_mono_ms(sub->feed));
}

/* What was asked for and didn't come: the store was busy, or the event is gone from the log for good. */
static void row_finish(struct feed_sub *sub, uint64_t seq, parley_status status)
{
  struct item *item = map_get(&sub->items, seq);

  if (item == NULL || item->state != ITEM_READING)
    return;
  if (status != PARLEY_OK)
    item_back(item, feed_mono_ms(sub->feed) + FEED_BUSY_MS);
  else
    item_ended(item, ITEM_DONE);
}

static void rows_done(struct store_op *op)
{
  struct sub_read *read = container_of(op, struct sub_read, events.op);
  struct feed_sub *sub = read->sub;

  sub->reading_rows = false;
  for (size_t i = 0; op->status == PARLEY_OK && i < read->events.n; i++)
    row_take(sub, &read->events.rows[i]);
  for (size_t i = 0; i < read->events.n_only; i++)
    row_finish(sub, read->seqs[i], op->status);
  sub_read_over(read);
}

void sub_read_rows(struct feed_sub *sub)
{
  struct sub_read *read;

  if (sub->reading_rows || list_empty(&sub->unread) || sub->n_rows_held >= FEED_ROWS_MAX || sub->off ||
      breaker_open_until_ms(&sub->breaker) > feed_mono_ms(sub->feed) || sub->held_until_ms > feed_mono_ms(sub->feed))
    return;
  read = sub_read_new(sub);
  while (read->events.n_only < FEED_ROWS_MAX - sub->n_rows_held && !list_empty(&sub->unread)) {
    struct queue *queue = LIST_ITEM(list_pop(&sub->unread), struct queue, link);
    struct item *item = LIST_ITEM(queue->items.next, struct item, in_queue);

    queue->busy = true;
    item->state = ITEM_READING;
    read->seqs[read->events.n_only++] = item->seq;
  }
  read->events.only = read->seqs;
  sub->reading_rows = true;
  feed_op(sub->feed, &read->events.op, STORE_EVENTS, rows_done);
}
