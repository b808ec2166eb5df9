/* The log and its followers: one read of what was just committed for all that are live, pages for those behind, the
 * timer, the way to an end. */
#include "core/base/arena.h"
#include "core/base/text.h"
#include "envelope.h"
#include "feed_in.h"
#include <stdlib.h>
#include <string.h>

int64_t feed_mono_ms(const struct feed *feed)
{
  return feed->shared.env->mono_ms(feed->shared.env);
}

int64_t feed_now_ms(const struct feed *feed)
{
  return feed->shared.env->now_ms(feed->shared.env);
}

/* --- Events and types ------------------------------------------------------------------------- */

struct feed_event *feed_event_new(const struct event_row *row)
{
  struct buf buf = BUF_INIT(0);
  struct feed_event *event = NULL;

  buf_event(&buf, row);
  if (!buf.overflow) {
    event = xcalloc(1, sizeof(*event) + buf.len + 1);
    event->refs = 1;
    event->seq = row->seq;
    event->customer = row->customer;
    event->len = buf.len;
    memcpy(event->at, buf.at, buf.len);
  }
  buf_done(&buf);
  return event;
}

struct feed_event *feed_event_ref(struct feed_event *event)
{
  event->refs++;
  return event;
}

void feed_event_unref(struct feed_event **event)
{
  if (*event != NULL && --(*event)->refs == 0)
    free(*event);
  *event = NULL;
}

bool event_type_matches(parley_text type, const parley_text *types, size_t n_types)
{
  for (size_t i = 0; i < n_types; i++) {
    parley_text wanted = types[i];

    if (parley_text_is(wanted, "*") || text_eq(type, wanted))
      return true;
    if (text_ends(wanted, ".*") && type.len >= wanted.len &&
        text_eq(text_sub(type, 0, wanted.len - 1), text_sub(wanted, 0, wanted.len - 1)))
      return true;
  }
  return n_types == 0;
}

/* --- Operations of the store ------------------------------------------------------------------ */

void feed_op(struct feed *feed, struct store_op *op, enum store_kind kind, void (*done)(struct store_op *op))
{
  op->kind = kind;
  op->done = done;
  feed->ops++;
  store_submit(feed->shared.store, op);
}

void feed_op_over(struct feed *feed, struct store_op *op)
{
  arena_free(&op->arena);
  feed->ops--;
}

/* --- The timer -------------------------------------------------------------------------------- */

static void on_timer(uv_timer_t *timer)
{
  struct feed *feed = container_of(timer, struct feed, timer);

  feed->timer_at_ms = FEED_NEVER;
  feed_tick(feed);
}

void feed_wake_at(struct feed *feed, int64_t mono_ms)
{
  int64_t now_ms = feed_mono_ms(feed);

  if (mono_ms >= feed->timer_at_ms || feed->finished)
    return;
  feed->timer_at_ms = mono_ms;
  uv_timer_start(&feed->timer, on_timer, mono_ms > now_ms ? (uint64_t)(mono_ms - now_ms) : 0, 0);
}

/* --- Followers -------------------------------------------------------------------------------- */

void follower_add(struct feed *feed, struct follower *follower)
{
  list_push(&feed->followers, &follower->link);
  follower->fresh = feed->reading_live;
  feed->types_changed = true;
}

void follower_drop(struct feed *feed, struct follower *follower)
{
  list_remove(&follower->link);
  feed->types_changed = true;
}

void follower_types_set(struct feed *feed, struct follower *follower, const parley_text *types, size_t n_types)
{
  follower->types = types;
  follower->n_types = n_types;
  for (size_t i = 0; i < n_types; i++)
    if (parley_text_is(types[i], "*"))
      follower->n_types = 0;
  follower->fresh = feed->reading_live;
  if (follower->fresh)
    follower->live = false;
  feed->types_changed = true;
}

bool follower_joins(struct feed *feed, struct follower *follower)
{
  if (!follower->live && feed->learned && follower->position >= feed->live_at &&
      !(follower->fresh && feed->reading_live))
    follower->live = true;
  return follower->live;
}

bool follower_offer(struct follower *follower, const struct event_row *row, struct feed_event **event)
{
  if (row->seq <= follower->position)
    return true;
  if (!follower->kind->take(follower, row, event))
    return false;
  follower->position = row->seq;
  return true;
}

static void followers_go(struct feed *feed)
{
  struct list *next;

  for (struct list *at = feed->followers.next; at != &feed->followers; at = next) {
    struct follower *follower = LIST_ITEM(at, struct follower, link);

    next = at->next;
    follower->kind->go(follower);
  }
}

/* What any of them wants, live or not: so that one can become live while a read is under way. */
static size_t types_gather(const struct feed *feed, parley_text *to)
{
  size_t n = 0;

  for (const struct list *at = feed->followers.next; at != &feed->followers; at = at->next) {
    const struct follower *follower = LIST_ITEM(at, const struct follower, link);

    if (follower->n_types == 0 || n + follower->n_types > FEED_TYPES_UNION_MAX)
      return 0;
    for (size_t i = 0; i < follower->n_types; i++)
      if (n == 0 || !event_type_matches(follower->types[i], to, n))
        to[n++] = follower->types[i];
  }
  return n;
}

static void types_refresh(struct feed *feed)
{
  parley_text gathered[FEED_TYPES_UNION_MAX], *types;

  if (!feed->types_changed)
    return;
  arena_free(&feed->types_arena);
  feed->types_arena = arena_new();
  feed->n_types = types_gather(feed, gathered);
  types = arena_alloc(feed->types_arena, (feed->n_types + 1) * sizeof(*types));
  for (size_t i = 0; i < feed->n_types; i++)
    types[i] = arena_text(feed->types_arena, gathered[i]);
  feed->types = types;
  feed->types_changed = false;
}

/* --- The live read ---------------------------------------------------------------------------- */

struct live_read {
  struct store_events events;
  struct feed *feed;
  uint64_t newest; /* when it began */
};

static void read_again(struct feed *feed)
{
  feed->again_ms = feed_mono_ms(feed) + FEED_BUSY_MS;
  feed_wake_at(feed, feed->again_ms);
}

static void live_event(struct feed *feed, const struct event_row *row)
{
  struct feed_event *event = NULL;
  struct list *next;

  for (struct list *at = feed->followers.next; at != &feed->followers; at = next) {
    struct follower *follower = LIST_ITEM(at, struct follower, link);

    next = at->next;
    if (follower->live && !follower_offer(follower, row, &event))
      follower->live = false;
  }
  feed_event_unref(&event);
}

static void live_end(struct feed *feed, uint64_t scanned_to)
{
  if (scanned_to > feed->live_at)
    feed->live_at = scanned_to;
  for (struct list *at = feed->followers.next; at != &feed->followers; at = at->next) {
    struct follower *follower = LIST_ITEM(at, struct follower, link);

    follower->fresh = false;
    if (follower->live && follower->position < scanned_to)
      follower->position = scanned_to;
  }
}

static void live_done(struct store_op *op)
{
  struct live_read *read = container_of(op, struct live_read, events.op);
  struct feed *feed = read->feed;
  struct store_events *events = &read->events;

  feed->reading_live = false;
  if (op->status != PARLEY_OK) {
    live_end(feed, 0);
    read_again(feed);
  } else if (!feed->closing) {
    for (size_t i = 0; i < events->n; i++)
      live_event(feed, &events->rows[i]);
    /* Nothing at all behind `after`: what was committed is no event that is still there. */
    live_end(feed, events->scanned_to > events->after ? events->scanned_to : read->newest);
  }
  feed_op_over(feed, op);
  free(read);
  feed_live_go(feed);
  followers_go(feed);
  feed_close_go(feed);
}

static bool any_live(const struct feed *feed)
{
  for (const struct list *at = feed->followers.next; at != &feed->followers; at = at->next)
    if (LIST_ITEM(at, const struct follower, link)->live)
      return true;
  return false;
}

void feed_live_go(struct feed *feed)
{
  struct live_read *read;

  if (feed->reading_live || feed->closing || !feed->learned || feed->again_ms != 0 || feed->newest <= feed->live_at)
    return;
  if (!any_live(feed)) {
    feed->live_at = feed->newest;
    return;
  }
  types_refresh(feed);
  read = xcalloc(1, sizeof(*read));
  read->feed = feed;
  read->newest = feed->newest;
  read->events.after = feed->live_at;
  read->events.limit = FEED_PAGE;
  read->events.with_context = true;
  read->events.types = feed->types;
  read->events.n_types = feed->n_types;
  feed->reading_live = true;
  feed_op(feed, &read->events.op, STORE_EVENTS, live_done);
}

void feed_hold(struct feed *feed, bool held)
{
  feed->held = held;
  for (struct list *node = feed->subs.next, *next; node != &feed->subs; node = next) {
    next = node->next;
    sub_go(LIST_ITEM(node, struct feed_sub, link));
  }
}

void feed_committed(struct feed *feed, uint64_t last_seq)
{
  if (last_seq > feed->newest)
    feed->newest = last_seq;
  feed_live_go(feed);
  if (!feed->reading_live)
    followers_go(feed);
}

/* --- Where the log ends, at the start --------------------------------------------------------- */

static void learn_done(struct store_op *op)
{
  struct live_read *read = container_of(op, struct live_read, events.op);
  struct feed *feed = read->feed;

  feed->learning = false;
  if (op->status == PARLEY_OK) {
    feed->learned = true;
    if (read->events.newest > feed->newest)
      feed->newest = read->events.newest;
    feed->live_at = feed->newest;
  } else {
    read_again(feed);
  }
  feed_op_over(feed, op);
  free(read);
  followers_go(feed);
  feed_close_go(feed);
}

static void learn(struct feed *feed)
{
  struct live_read *read;

  if (feed->learned || feed->learning || feed->closing)
    return;
  read = xcalloc(1, sizeof(*read));
  read->feed = feed;
  read->events.after = INT64_MAX;
  read->events.limit = 1;
  feed->learning = true;
  feed_op(feed, &read->events.op, STORE_EVENTS, learn_done);
}

/* --- The tick --------------------------------------------------------------------------------- */

void feed_tick(struct feed *feed)
{
  int64_t now_ms = feed_mono_ms(feed);
  struct list *next;

  if (feed->again_ms != 0 && now_ms >= feed->again_ms) {
    feed->again_ms = 0;
    learn(feed);
    feed_live_go(feed);
  }
  for (struct list *at = feed->subs.next; at != &feed->subs; at = next) {
    next = at->next;
    sub_go(LIST_ITEM(at, struct feed_sub, link));
  }
  feed_hold_go(feed);
  if (feed->again_ms != 0)
    feed_wake_at(feed, feed->again_ms);
  feed_close_go(feed);
}

/* --- Life ------------------------------------------------------------------------------------- */

struct feed *feed_new(const struct feed_shared *shared)
{
  struct feed *feed = xcalloc(1, sizeof(*feed));

  feed->shared = *shared;
  list_init(&feed->followers);
  list_init(&feed->subs);
  list_init(&feed->readers);
  feed->timer_at_ms = FEED_NEVER;
  feed->types_changed = true;
  uv_timer_init(shared->loop, &feed->timer);
  feed->sse = sse_set_new(shared->loop);
  learn(feed);
  return feed;
}

void feed_counters(const struct feed *feed, struct feed_counters *ret)
{
  *ret = feed->counters;
  ret->readers = feed->n_readers;
  for (const struct list *at = feed->subs.next; at != &feed->subs; at = at->next) {
    const struct feed_sub *sub = LIST_ITEM(at, const struct feed_sub, link);

    if (!sub->removed)
      ret->subscriptions++;
    ret->in_flight += sub->in_flight;
    ret->lag_events += sub->n_open + sub->n_stored;
  }
}

static void feed_on_closed(uv_handle_t *handle)
{
  struct feed *feed = container_of(handle, struct feed, timer);
  void (*closed)(void *) = feed->closed;
  void *arg = feed->closed_arg;
  struct list *at;

  while ((at = feed->subs.next) != &feed->subs)
    sub_free(LIST_ITEM(at, struct feed_sub, link));
  map_done(&feed->by_id);
  arena_free(&feed->types_arena);
  free(feed);
  if (closed != NULL)
    closed(arg);
}

static bool pushes_over(struct feed *feed)
{
  bool over = true;

  for (struct list *at = feed->subs.next; at != &feed->subs; at = at->next) {
    struct feed_sub *sub = LIST_ITEM(at, struct feed_sub, link);

    if (sub->in_flight > 0) {
      over = false;
      if (feed_mono_ms(feed) >= feed->drain_until_ms)
        push_cancel_all(sub);
      else
        feed_wake_at(feed, feed->drain_until_ms); /* again, where the timer came a little early */
    }
  }
  return over;
}

/* Pushes end, or are cut when the time is over; then what is known is saved; then all is freed. */
void feed_close_go(struct feed *feed)
{
  if (!feed->closing || feed->finished || !pushes_over(feed))
    return;
  for (struct list *at = feed->subs.next; at != &feed->subs; at = at->next)
    sub_save(LIST_ITEM(at, struct feed_sub, link), true);
  if (feed->ops > 0 || !feed->closed_sse || feed->n_readers > 0)
    return;
  feed->finished = true;
  uv_close((uv_handle_t *)&feed->timer, feed_on_closed);
}

void feed_close(struct feed **feed_ref, uint32_t drain_ms, void (*closed)(void *arg), void *arg)
{
  struct feed *feed = *feed_ref;

  *feed_ref = NULL;
  feed->closing = true;
  feed->closed = closed;
  feed->closed_arg = arg;
  feed->drain_until_ms = feed_mono_ms(feed) + drain_ms;
  readers_close(feed);
  feed_close_go(feed);
}
