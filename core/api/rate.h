/* rate.h - how often something may happen within a time, by a key that comes from outside. Owns a bounded table of what happened
 * lately; forgets it with the process. When it is full the oldest leaves, so that a flood of keys makes it forget, and refuses nobody
 * else. Thread: loop. Times: monotonic ms. */
#ifndef CORE_API_RATE_H
#define CORE_API_RATE_H
#include "core/base/list.h"
#include "core/base/map.h"

#define RATE_KEYS_MAX 65536 /* 64 bytes each */

struct rate {
  struct map seen;
  struct list oldest; /* first: what began longest ago */
  size_t keys_max;
};
void rate_init(struct rate *rate, size_t keys_max);
void rate_done(struct rate *rate);
/* Counts one more of key (not 0) and says whether it is within `count` in span_ms, from its first on. span_ms 0: always true. One key
 * always comes with the same span. */
bool rate_take(struct rate *rate, uint64_t key, uint32_t count, uint32_t span_ms, int64_t now_ms);
#endif
