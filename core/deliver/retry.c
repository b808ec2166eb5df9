#include "retry.h"
#include "core/base/alloc.h"

static const int64_t retry_schedule_ms[] = {5000, 30000, 120000, 600000, 1800000, 3600000, 7200000, 14400000, 28800000};

#define RETRY_HINT_MS_MIN 1000

int64_t retry_pause_ms(uint32_t attempt, uint32_t hint_ms, const struct env *env)
{
  size_t at = attempt > 0 ? attempt - 1 : 0;

  if (hint_ms > 0)
    return hint_ms < RETRY_HINT_MS_MIN ? RETRY_HINT_MS_MIN : hint_ms > RETRY_HINT_MS_MAX ? RETRY_HINT_MS_MAX : hint_ms;
  if (at >= COUNT_OF(retry_schedule_ms))
    at = COUNT_OF(retry_schedule_ms) - 1;
  return (int64_t)((double)retry_schedule_ms[at] * (0.5 + env_random_unit(env) / 2));
}
