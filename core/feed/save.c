/* What a subscription keeps in the store: its cursor and the events that wait for another try, written together, so
 * that the cursor never passes an event that would be forgotten. */
#include "core/base/arena.h"
#include "core/base/text.h"
#include "feed_in.h"
#include <stdlib.h>

/* --- Loading ---------------------------------------------------------------------------------- */

struct load {
  struct store_feed_due due;
  struct feed_sub *sub;
};

/* The wall clock may have jumped while nobody looked: no wait is longer than the longest that we ever ordered. */
static int64_t load_pause_ms(const struct feed *feed, int64_t due_ms)
{
  int64_t pause_ms = due_ms - feed_now_ms(feed);

  return pause_ms < 0 ? 0 : pause_ms > RETRY_HINT_MS_MAX ? RETRY_HINT_MS_MAX : pause_ms;
}

static void load_row(struct feed_sub *sub, const struct feed_pending *row)
{
  struct item *item;

  if (map_get(&sub->items, row->seq) != NULL)
    return;
  item = item_new(sub, row->seq, row->customer);
  item->attempts = row->attempts;
  item->due_ms = row->due_ms;
  item->due_mono_ms = feed_mono_ms(sub->feed) + load_pause_ms(sub->feed, row->due_ms);
  item->last_error = xmemdup(row->last_error.at, row->last_error.len);
  item->stored = item->row = true;
  sub->n_stored++;
  queue_settle(item->queue, sub);
}

static void load_done(struct store_op *op);

static void load_page(struct feed_sub *sub, uint64_t after)
{
  struct load *load = xcalloc(1, sizeof(*load));

  load->sub = sub;
  load->due.subscription = sub->id;
  load->due.all = true;
  load->due.after = after;
  load->due.limit = FEED_LOAD_PAGE;
  sub->loading = true;
  feed_op(sub->feed, &load->due.op, STORE_FEED_DUE, load_done);
}

static void load_take(struct feed_sub *sub, const struct store_feed_due *due)
{
  for (size_t i = 0; i < due->n; i++)
    load_row(sub, &due->rows[i]);
  if (due->n == FEED_LOAD_PAGE) {
    load_page(sub, due->rows[due->n - 1].seq);
    return;
  }
  sub->follower.position = sub->saved = due->cursor;
  sub->loaded = true;
}

static void load_done(struct store_op *op)
{
  struct load *load = container_of(op, struct load, due.op);
  struct feed_sub *sub = load->sub;
  struct feed *feed = sub->feed;

  sub->loading = false;
  if (op->status == PARLEY_OK)
    load_take(sub, &load->due);
  else
    sub->read_again_ms = feed_mono_ms(feed) + FEED_BUSY_MS;
  feed_op_over(feed, op);
  free(load);
  sub_go(sub);
  sub_over(sub);
  feed_close_go(feed);
}

void sub_load(struct feed_sub *sub)
{
  if (sub->loading)
    return;
  if (sub->read_again_ms > feed_mono_ms(sub->feed)) {
    feed_wake_at(sub->feed, sub->read_again_ms);
    return;
  }
  load_page(sub, 0);
}

/* --- Saving ----------------------------------------------------------------------------------- */

struct move {
  struct store_feed_move move;
  struct feed_sub *sub;
  struct arena *arena;
  size_t n_items;
  struct item **items;
};

void sub_save_soon(struct feed_sub *sub, int64_t pause_ms)
{
  int64_t at_ms = feed_mono_ms(sub->feed) + pause_ms;

  if (at_ms < sub->save_at_ms)
    sub->save_at_ms = at_ms;
}

void sub_dirty(struct item *item)
{
  if (list_empty(&item->in_dirty))
    list_push(&item->sub->dirty, &item->in_dirty);
  sub_save_soon(item->sub, FEED_SAVE_MS);
}

uint64_t sub_cursor(const struct feed_sub *sub)
{
  if (list_empty(&sub->open))
    return sub->follower.position;
  return LIST_ITEM(sub->open.next, const struct item, in_open)->seq - 1;
}

int64_t sub_save_at_ms(const struct feed_sub *sub)
{
  if (sub->moving || !sub->loaded)
    return FEED_NEVER;
  return sub->save_again_ms != 0 ? sub->save_again_ms : sub->save_at_ms;
}

static void move_put(struct move *move, const struct item *item)
{
  struct store_feed_move *to = &move->move;

  if (item->state == ITEM_DONE) {
    to->drop[to->n_drop++] = item->seq;
    return;
  }
  to->put[to->n_put++] = (struct feed_pending){
      .seq = item->seq,
      .customer = item->customer,
      .attempts = item->attempts,
      .due_ms = item->due_ms,
      .dead = item->state == ITEM_DEAD,
      .last_error = item->last_error != NULL ? arena_text(move->arena, parley_text_of(item->last_error)) : TEXT_EMPTY};
}

static struct move *move_new(struct feed_sub *sub)
{
  struct move *move = xcalloc(1, sizeof(*move));
  size_t room = 0;

  for (const struct list *at = sub->dirty.next; at != &sub->dirty && room < FEED_MOVE_MAX; at = at->next)
    room++;
  move->sub = sub;
  move->arena = arena_new();
  move->items = arena_alloc(move->arena, (room + 1) * sizeof(struct item *));
  move->move.subscription = sub->id;
  move->move.put = arena_alloc(move->arena, (room + 1) * sizeof(*move->move.put));
  move->move.drop = arena_alloc(move->arena, (room + 1) * sizeof(*move->move.drop));
  while (move->n_items < room) {
    struct item *item = LIST_ITEM(list_pop(&sub->dirty), struct item, in_dirty);

    item->moving = true;
    move->items[move->n_items++] = item;
    move_put(move, item);
  }
  return move;
}

/* The item as the store has it now. What happened to it meanwhile has made it dirty again. */
static void item_moved(struct item *item, bool row)
{
  item->moving = false;
  item->row = row;
  if (list_empty(&item->in_dirty) && item->queue == NULL)
    item_free(item);
}

static void item_not_moved(struct item *item)
{
  item->moving = false;
  if (item->state == ITEM_DONE && !item->row)
    item_free(item);
  else
    sub_dirty(item);
}

static void move_take(struct move *move, parley_status status)
{
  struct feed_sub *sub = move->sub;
  const struct store_feed_move *moved = &move->move;
  size_t n_drop = 0;

  for (size_t i = 0; i < move->n_items; i++) {
    struct item *item = move->items[i];
    bool dropped = n_drop < moved->n_drop && moved->drop[n_drop] == item->seq;

    n_drop += dropped;
    if (status == PARLEY_OK && dropped && sub->replaying > 0)
      map_put(&sub->dropped, item->seq, sub);
    if (status == PARLEY_OK)
      item_moved(item, !dropped);
    else
      item_not_moved(item);
  }
  if (status == PARLEY_OK && moved->cursor != 0)
    sub->saved = moved->cursor;
}

static void move_done(struct store_op *op)
{
  struct move *move = container_of(op, struct move, move.op);
  struct feed_sub *sub = move->sub;
  struct feed *feed = sub->feed;

  sub->moving = false;
  move_take(move, op->status);
  sub->save_again_ms = 0;
  if (op->status != PARLEY_OK) {
    sub->save_again_ms = feed_mono_ms(feed) + FEED_STORE_RETRY_MS;
    sub_save_soon(sub, FEED_STORE_RETRY_MS);
  } else if (!list_empty(&sub->dirty)) {
    sub_save_soon(sub, FEED_SAVE_MS);
  }
  feed_op_over(feed, op);
  arena_free(&move->arena);
  free(move);
  sub_go(sub);
  if (sub->removed)
    sub_save(sub, true);
  sub_over(sub);
  feed_close_go(feed);
}

static bool save_is_due(const struct feed_sub *sub, bool all)
{
  int64_t now_ms = feed_mono_ms(sub->feed);

  if (sub->moving || !sub->loaded || sub->follower.position == 0)
    return false;
  if (sub->save_again_ms != 0) /* at the end it is not tried again: what was pushed and not noted is pushed twice */
    return !all && now_ms >= sub->save_again_ms;
  return all || now_ms >= sub->save_at_ms || sub->unsaved >= FEED_SAVE_EVENTS;
}

void sub_save(struct feed_sub *sub, bool all)
{
  struct move *move;
  uint64_t cursor = sub_cursor(sub);

  if (!save_is_due(sub, all))
    return;
  sub->save_at_ms = FEED_NEVER;
  sub->unsaved = 0;
  if (list_empty(&sub->dirty) && cursor == sub->saved) {
    sub->save_again_ms = 0;
    return;
  }
  move = move_new(sub);
  move->move.cursor = list_empty(&sub->dirty) ? cursor : 0; /* it may not pass what is not in this move */
  sub->moving = true;
  feed_op(sub->feed, &move->move.op, STORE_FEED_MOVE, move_done);
}
