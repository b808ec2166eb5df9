/* Events that are pushed once more because somebody asked for it: single ones from the log, or all that are dead. They
 * begin anew: no attempt counts, and the time that we keep trying runs from now. */
#include "core/base/arena.h"
#include "feed_in.h"
#include <stdlib.h>
#include <string.h>

#define REPLAY_PAGE 64

struct replay {
  union {
    struct store_op op;
    struct store_events events;
    struct store_feed_due due;
  } u;
  struct feed_sub *sub;
  size_t n, at;   /* of seqs */
  uint64_t *seqs; /* NULL: all dead ones */
};

static void replay_go(struct replay *replay, uint64_t after);

static void replay_over(struct replay *replay)
{
  struct feed_sub *sub = replay->sub;
  struct feed *feed = sub->feed;

  if (--sub->replaying == 0)
    map_done(&sub->dropped);
  free(replay->seqs);
  free(replay);
  sub_go(sub);
  sub_over(sub);
  feed_close_go(feed);
}

static void replay_one(struct feed_sub *sub, uint64_t seq, id64 customer)
{
  struct item *item = map_get(&sub->items, seq);

  if (item == NULL) {
    item = item_new(sub, seq, customer);
    item->row = true; /* a dead one has a row, and it must go when this one arrives */
    item_store(item);
  }
  item_revive(item);
}

static void replay_seqs_done(struct store_op *op)
{
  struct replay *replay = container_of(op, struct replay, u.op);
  struct feed_sub *sub = replay->sub;
  bool ok = op->status == PARLEY_OK && !sub->removed && !sub->feed->closing;

  for (size_t i = 0; ok && i < replay->u.events.n && sub->n_stored < FEED_STORED_MAX; i++)
    replay_one(sub, replay->u.events.rows[i].seq, replay->u.events.rows[i].customer);
  replay->at += replay->u.events.n_only;
  feed_op_over(sub->feed, op);
  if (ok && replay->at < replay->n)
    replay_go(replay, 0);
  else
    replay_over(replay);
}

/* What was read is dead no more: another replay has it, or has it delivered already. */
static bool row_is_old(const struct feed_sub *sub, uint64_t seq)
{
  const struct item *item = map_get(&sub->items, seq);

  return (item != NULL && item->state != ITEM_DEAD) || map_get(&sub->dropped, seq) != NULL;
}

static void replay_dead_done(struct store_op *op)
{
  struct replay *replay = container_of(op, struct replay, u.op);
  const struct store_feed_due *due = &replay->u.due;
  struct feed_sub *sub = replay->sub;
  bool more = op->status == PARLEY_OK && !sub->removed && !sub->feed->closing && due->n == REPLAY_PAGE;
  uint64_t last = due->n > 0 ? due->rows[due->n - 1].seq : 0;

  for (size_t i = 0; op->status == PARLEY_OK && i < due->n; i++) {
    if (sub->n_stored >= FEED_STORED_MAX)
      more = false; /* the rest stays dead, for another call */
    else if (!row_is_old(sub, due->rows[i].seq))
      replay_one(sub, due->rows[i].seq, due->rows[i].customer);
  }
  feed_op_over(sub->feed, op);
  if (more)
    replay_go(replay, last);
  else
    replay_over(replay);
}

static void replay_go(struct replay *replay, uint64_t after)
{
  struct feed *feed = replay->sub->feed;

  memset(&replay->u, 0, sizeof(replay->u));
  if (replay->seqs == NULL) {
    replay->u.due.subscription = replay->sub->id;
    replay->u.due.dead = true;
    replay->u.due.after = after;
    replay->u.due.limit = REPLAY_PAGE;
    feed_op(feed, &replay->u.op, STORE_FEED_DUE, replay_dead_done);
    return;
  }
  replay->u.events.only = replay->seqs + replay->at;
  replay->u.events.n_only = replay->n - replay->at < REPLAY_PAGE ? replay->n - replay->at : REPLAY_PAGE;
  feed_op(feed, &replay->u.op, STORE_EVENTS, replay_seqs_done);
}

void feed_replay(struct feed *feed, id64 subscription, const uint64_t *seqs, size_t n)
{
  struct feed_sub *sub = map_get(&feed->by_id, subscription);
  struct replay *replay;

  if (sub == NULL || feed->closing)
    return;
  replay = xcalloc(1, sizeof(*replay));
  replay->sub = sub;
  replay->n = n;
  if (n > 0)
    replay->seqs = xmemdup(seqs, n * sizeof(*seqs));
  sub->replaying++;
  replay_go(replay, 0);
}
