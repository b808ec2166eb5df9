/* retry.h - when to try again: the schedule of design section 5. Pure. Also used by core/feed. */
#ifndef CORE_DELIVER_RETRY_H
#define CORE_DELIVER_RETRY_H
#include "core/base/env.h"

#define RETRY_HINT_MS_MAX 86400000 /* a provider's hint is held between 1 s and 24 h */
/* attempt: how many have been made (1 = the first failed). 5 s, 30 s, 2 m, 10 m, 30 m, 1 h, 2 h, 4 h, 8 h..., each times 0.5-1.0
 * at random; hint_ms > 0 wins. */
int64_t retry_pause_ms(uint32_t attempt, uint32_t hint_ms, const struct env *env);
#endif
