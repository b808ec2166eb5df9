/* What the log must still keep for us: the store is told which subscriptions there are, and lets no event go that one of them has
 * not had. Thread: loop. */
#include "core/base/arena.h"
#include "feed_in.h"
#include <stdlib.h>

struct hold {
  struct store_retain retain;
  struct feed *feed;
  id64 ids[];
};

static void hold_done(struct store_op *op)
{
  struct hold *hold = container_of(op, struct hold, retain.op);
  struct feed *feed = hold->feed;

  feed->holding = false;
  if (op->status != PARLEY_OK) {
    feed->hold_due = true;
    feed->hold_again_ms = feed_mono_ms(feed) + FEED_STORE_RETRY_MS;
  }
  feed_op_over(feed, op);
  free(hold);
  feed_hold_go(feed);
  feed_close_go(feed);
}

void feed_hold_go(struct feed *feed)
{
  struct hold *hold;

  if (!feed->holds || !feed->hold_due || feed->holding || feed->closing)
    return;
  if (feed->hold_again_ms > feed_mono_ms(feed)) {
    feed_wake_at(feed, feed->hold_again_ms);
    return;
  }
  hold = xcalloc(1, sizeof(*hold) + feed->by_id.count * sizeof(hold->ids[0]));
  hold->feed = feed;
  hold->retain.holders = hold->ids;
  for (struct list *at = feed->subs.next; at != &feed->subs; at = at->next)
    if (!LIST_ITEM(at, struct feed_sub, link)->removed)
      hold->ids[hold->retain.n_holders++] = LIST_ITEM(at, struct feed_sub, link)->id;
  feed->holding = true;
  feed->hold_due = false;
  feed_op(feed, &hold->retain.op, STORE_RETAIN, hold_done);
}

void feed_subscribed(struct feed *feed)
{
  feed->holds = feed->hold_due = true;
  feed_hold_go(feed);
}
