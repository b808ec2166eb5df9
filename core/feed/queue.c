/* Items in their queues: the order of one customer's events, and what becomes of it when one of them fails. */
#include "feed_in.h"
#include <stdlib.h>
#include <string.h>

/* --- Queues ----------------------------------------------------------------------------------- */

static uint64_t queue_key(id64 customer)
{
  return customer != 0 ? customer : FEED_NO_CUSTOMER;
}

struct queue *sub_queue(struct feed_sub *sub, id64 customer)
{
  struct queue *queue = map_get(&sub->queues, queue_key(customer));

  if (queue != NULL)
    return queue;
  queue = xcalloc(1, sizeof(*queue));
  queue->customer = queue_key(customer);
  list_init(&queue->items);
  list_init(&queue->link);
  map_put(&sub->queues, queue->customer, queue);
  return queue;
}

bool queue_is_blocked(const struct queue *queue)
{
  return !list_empty(&queue->items) && LIST_ITEM(queue->items.next, const struct item, in_queue)->stored;
}

/* Where it belongs now. An empty one is freed. */
void queue_settle(struct queue *queue, struct feed_sub *sub)
{
  const struct item *first;

  list_remove(&queue->link);
  if (list_empty(&queue->items)) {
    map_take(&sub->queues, queue->customer);
    free(queue);
    return;
  }
  if (queue->busy)
    return;
  first = LIST_ITEM(queue->items.next, const struct item, in_queue);
  if (first->due_mono_ms > feed_mono_ms(sub->feed)) {
    list_push(&sub->waiting, &queue->link);
    if (first->due_mono_ms < sub->next_due_ms)
      sub->next_due_ms = first->due_mono_ms;
  } else {
    list_push(first->event != NULL ? &sub->ready : &sub->unread, &queue->link);
  }
}

void sub_promote(struct feed_sub *sub)
{
  struct list waited, *at;

  if (feed_mono_ms(sub->feed) < sub->next_due_ms)
    return;
  list_init(&waited);
  while ((at = list_pop(&sub->waiting)) != NULL)
    list_push(&waited, at);
  sub->next_due_ms = FEED_NEVER;
  while ((at = list_pop(&waited)) != NULL)
    queue_settle(LIST_ITEM(at, struct queue, link), sub);
}

/* By seq; what comes from the log comes last. */
static void queue_insert(struct queue *queue, struct item *item)
{
  struct list *after = queue->items.prev;

  while (after != &queue->items && LIST_ITEM(after, struct item, in_queue)->seq > item->seq)
    after = after->prev;
  list_insert_before(after->next, &item->in_queue);
  item->queue = queue;
}

/* --- Items ------------------------------------------------------------------------------------ */

struct item *item_new(struct feed_sub *sub, uint64_t seq, id64 customer)
{
  struct item *item = xcalloc(1, sizeof(*item));

  item->sub = sub;
  item->seq = seq;
  item->customer = customer;
  item->due_mono_ms = feed_mono_ms(sub->feed);
  item->due_ms = feed_now_ms(sub->feed);
  list_init(&item->in_open);
  list_init(&item->in_dirty);
  list_init(&item->in_queue);
  map_put(&sub->items, seq, item);
  queue_insert(sub_queue(sub, customer), item);
  return item;
}

void item_open(struct item *item, struct feed_event *event)
{
  struct feed_sub *sub = item->sub;

  item->event = event;
  list_push(&sub->open, &item->in_open);
  sub->n_open++;
  sub->open_bytes += event->len;
}

/* Lets go of the envelope, and of its place in the window. */
static void item_close(struct item *item)
{
  struct feed_sub *sub = item->sub;

  if (!list_empty(&item->in_open)) {
    list_remove(&item->in_open);
    sub->n_open--;
    sub->open_bytes -= item->event->len;
  } else if (item->event != NULL) {
    sub->n_rows_held--;
  }
  feed_event_unref(&item->event);
}

void item_store(struct item *item)
{
  item_close(item);
  if (!item->stored) {
    item->stored = true;
    item->sub->n_stored++;
  }
  sub_dirty(item);
}

void item_free(struct item *item)
{
  list_remove(&item->in_dirty);
  map_take(&item->sub->items, item->seq);
  free(item->last_error);
  free(item);
}

static void item_rest(struct item *item)
{
  if (item->state == ITEM_READING || item->state == ITEM_IN_FLIGHT)
    item->queue->busy = false;
  item->state = ITEM_WAITING;
}

void item_back(struct item *item, int64_t due_mono_ms)
{
  item_rest(item);
  item->due_mono_ms = due_mono_ms;
  queue_settle(item->queue, item->sub);
}

void item_ended(struct item *item, enum item_state state)
{
  struct feed_sub *sub = item->sub;
  struct queue *queue = item->queue;

  item_rest(item);
  item->state = state;
  item_close(item);
  if (item->stored)
    sub->n_stored--;
  item->stored = false;
  item->queue = NULL;
  list_remove(&item->in_queue);
  sub->unsaved++;
  sub_save_soon(sub, FEED_SAVE_MS);
  if (state == ITEM_DEAD || item->row || item->moving)
    sub_dirty(item);
  else
    item_free(item);
  queue_settle(queue, sub);
}

static bool item_is_over(const struct item *item)
{
  int64_t from_ms = id_time_ms(item->seq);

  if (item->keep_from_ms > from_ms)
    from_ms = item->keep_from_ms;
  return feed_now_ms(item->sub->feed) - from_ms >= FEED_KEEP_TRYING_MS;
}

/* The event and all that the same customer has behind it leave the memory: the cursor passes them, others go on. */
static void queue_store(struct queue *queue)
{
  for (struct list *at = queue->items.next; at != &queue->items; at = at->next) {
    struct item *item = LIST_ITEM(at, struct item, in_queue);

    if (!item->stored)
      item_store(item);
  }
}

void item_failed(struct item *item, const char *why, uint32_t hint_ms)
{
  struct feed_sub *sub = item->sub;
  int64_t pause_ms;

  item->attempts++;
  free(item->last_error);
  item->last_error = xstrdup(why);
  if (item_is_over(item)) {
    sub->dead++;
    sub->feed->counters.dead++;
    item_ended(item, ITEM_DEAD);
    return;
  }
  pause_ms = retry_pause_ms(item->attempts, hint_ms, sub->feed->shared.env);
  item->due_ms = feed_now_ms(sub->feed) + pause_ms;
  item_store(item);
  queue_store(item->queue);
  item_back(item, feed_mono_ms(sub->feed) + pause_ms);
}

void item_revive(struct item *item)
{
  struct feed_sub *sub = item->sub;

  if (item->state == ITEM_READING || item->state == ITEM_IN_FLIGHT)
    return;
  item->attempts = 0;
  item->keep_from_ms = item->due_ms = feed_now_ms(sub->feed);
  if (item->queue == NULL) {
    item->state = ITEM_WAITING;
    queue_insert(sub_queue(sub, item->customer), item);
    item_store(item);
  } else if (item->stored) {
    sub_dirty(item);
  }
  item_back(item, feed_mono_ms(sub->feed));
}

void sub_empty(struct feed_sub *sub)
{
  uint64_t key;
  void *value;

  for (size_t pos = 0; map_next(&sub->items, &pos, &key, &value);) {
    struct item *item = value;

    feed_event_unref(&item->event);
    free(item->last_error);
    free(item);
  }
  map_done(&sub->items);
  for (size_t pos = 0; map_next(&sub->queues, &pos, &key, &value);)
    free(value);
  map_done(&sub->queues);
}
