#include "rate.h"
#include "core/base/alloc.h"
#include <stdlib.h>

struct taken {
  struct list node;
  uint64_t key;
  int64_t until_ms;
  uint32_t count;
};

void rate_init(struct rate *rate, size_t keys_max)
{
  *rate = (struct rate){.keys_max = keys_max};
  list_init(&rate->oldest);
}

static void rate_forget_oldest(struct rate *rate)
{
  struct taken *taken = LIST_ITEM(list_pop(&rate->oldest), struct taken, node);

  map_take(&rate->seen, taken->key);
  free(taken);
}

void rate_done(struct rate *rate)
{
  while (!list_empty(&rate->oldest))
    rate_forget_oldest(rate);
  map_done(&rate->seen);
}

static struct taken *rate_remember(struct rate *rate, uint64_t key)
{
  struct taken *taken = xcalloc(1, sizeof *taken);

  if (rate->seen.count >= rate->keys_max)
    rate_forget_oldest(rate);
  taken->key = key;
  list_init(&taken->node);
  map_put(&rate->seen, key, taken);
  return taken;
}

bool rate_take(struct rate *rate, uint64_t key, uint32_t count, uint32_t span_ms, int64_t now_ms)
{
  struct taken *taken;

  if (span_ms == 0)
    return true;
  taken = map_get(&rate->seen, key);
  if (taken == NULL)
    taken = rate_remember(rate, key);
  if (taken->until_ms <= now_ms) {
    taken->until_ms = now_ms + span_ms;
    taken->count = 0;
    list_remove(&taken->node);
    list_push(&rate->oldest, &taken->node);
  }
  return taken->count++ < count;
}
