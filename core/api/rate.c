#include "rate.h"
#include "core/base/alloc.h"
#include <stdlib.h>

#define SWEEP_MS 1000 /* a full table is looked through at most so often */

struct taken { int64_t until_ms; uint32_t count; };

static void rate_forget(struct rate *rate, int64_t now_ms)
{
  uint64_t keys[256];
  size_t n = COUNT_OF(keys);

  while (n == COUNT_OF(keys)) { /* the table may not change while it is walked */
    uint64_t key;
    void *value;
    size_t pos = 0;

    for (n = 0; n < COUNT_OF(keys) && map_next(&rate->seen, &pos, &key, &value);)
      if (((struct taken *)value)->until_ms <= now_ms)
        keys[n++] = key;
    for (size_t i = 0; i < n; i++)
      free(map_take(&rate->seen, keys[i]));
  }
  rate->swept_ms = now_ms;
}

void rate_done(struct rate *rate)
{
  rate_forget(rate, INT64_MAX);
  map_done(&rate->seen);
}

bool rate_take(struct rate *rate, uint64_t key, uint32_t count, uint32_t span_ms, int64_t now_ms)
{
  struct taken *taken = map_get(&rate->seen, key);

  if (span_ms == 0)
    return true;
  if (taken == NULL) {
    if (rate->seen.count >= RATE_KEYS_MAX && now_ms >= rate->swept_ms + SWEEP_MS)
      rate_forget(rate, now_ms);
    if (rate->seen.count >= RATE_KEYS_MAX)
      return false;
    taken = xcalloc(1, sizeof *taken);
    map_put(&rate->seen, key, taken);
  }
  if (taken->until_ms <= now_ms)
    *taken = (struct taken){.until_ms = now_ms + span_ms};
  return taken->count++ < count;
}
