#include "pace.h"
#include <string.h>

enum { SECOND_MS = 1000, SPREAD = 50 };

/* --- How many were taken ------------------------------------------------------------------------------------------------- */

void pace_meter_add(struct pace_meter *meter, int64_t mono_ms)
{
  int64_t span = mono_ms - meter->from_ms;

  if (meter->from_ms == 0 || span >= 2 * PACE_SPAN_MS) { /* nothing for a whole span */
    *meter = (struct pace_meter){.from_ms = mono_ms};
  } else if (span >= PACE_SPAN_MS) {
    meter->before_per_s = (double)meter->taken * SECOND_MS / (double)span;
    meter->taken = 0;
    meter->from_ms = mono_ms;
  }
  meter->taken++;
}

double pace_meter_per_s(const struct pace_meter *meter, int64_t mono_ms)
{
  int64_t span = mono_ms - meter->from_ms;
  double now_per_s = (double)meter->taken * SECOND_MS / (double)(span < SECOND_MS ? SECOND_MS : span);

  if (meter->from_ms == 0)
    return 0;
  return span < PACE_SPAN_MS && meter->before_per_s > now_per_s ? meter->before_per_s : now_per_s;
}

/* --- The limit ----------------------------------------------------------------------------------------------------------- */

/* What it took since it last said so; else what it was let have; else, for want of its own count, what all took. */
static double pace_went_per_s(const struct pace *pace, double all_per_s, int64_t mono_ms)
{
  double limit = pace->rate_per_s > 0 ? pace->rate_per_s : all_per_s > 0 ? all_per_s : PACE_UNKNOWN_PER_S;
  double own = pace_meter_per_s(&pace->meter, mono_ms);

  return pace->meter.taken > 0 && own < limit ? own : limit;
}

void pace_slower(struct pace *pace, double all_per_s, double floor_per_s, int64_t mono_ms)
{
  double from = pace_went_per_s(pace, all_per_s, mono_ms);

  pace->throttled_per_s = from < floor_per_s ? floor_per_s : from;
  pace->rate_per_s = pace->throttled_per_s / 2 < floor_per_s ? floor_per_s : pace->throttled_per_s / 2;
  pace->room = 1;
  pace->room_ms = pace->grown_ms = pace->put_off_ms = pace->used_ms = mono_ms;
  pace->meter = (struct pace_meter){0};
  memset(pace->own_ms, 0, sizeof pace->own_ms);
  memset(pace->queue_ms, 0, sizeof pace->queue_ms); /* those put off were put off for another rate */
}

void pace_taken(struct pace *pace, int64_t mono_ms)
{
  pace_meter_add(&pace->meter, mono_ms);
  pace->used_ms = mono_ms;
  if (pace->rate_per_s <= 0 || mono_ms - pace->grown_ms < PACE_STEP_MS)
    return;
  pace->grown_ms = mono_ms;
  pace->rate_per_s += (pace->rate_per_s > pace->throttled_per_s ? pace->rate_per_s : pace->throttled_per_s) * PACE_STEP_SHARE;
  if (pace->rate_per_s >= pace->throttled_per_s * PACE_FREE_AT && mono_ms - pace->put_off_ms >= PACE_FREE_MS)
    pace->rate_per_s = 0;
}

bool pace_is_limited(const struct pace *pace, int64_t mono_ms)
{
  return pace->rate_per_s > 0 && mono_ms - pace->used_ms < PACE_FORGET_MS;
}

static double pace_room_max(const struct pace *pace)
{
  double most = pace->rate_per_s * PACE_BURST_MS / SECOND_MS;

  return most < 1 ? 1 : most;
}

static bool urgent_comes(const struct pace *pace, uint32_t lane, int64_t mono_ms)
{
  for (uint32_t i = 0; i < lane && i < PACE_LANES; i++)
    if (pace->own_ms[i] != 0 && mono_ms < pace->own_ms[i] + PACE_URGENT_MS)
      return true;
  return false;
}

bool pace_take(struct pace *pace, uint32_t lane, int64_t mono_ms)
{
  if (!pace_is_limited(pace, mono_ms)) {
    pace->rate_per_s = 0;
    return true;
  }
  pace->used_ms = mono_ms;
  if (mono_ms > pace->room_ms) {
    pace->room += (double)(mono_ms - pace->room_ms) / SECOND_MS * pace->rate_per_s;
    pace->room_ms = mono_ms;
  }
  if (pace->room > pace_room_max(pace))
    pace->room = pace_room_max(pace);
  if (pace->room < 1 || (pace->room < 2 && urgent_comes(pace, lane, mono_ms))) {
    pace->put_off_ms = mono_ms;
    return false;
  }
  pace->room -= 1;
  return true;
}

void pace_give_back(struct pace *pace)
{
  if (pace->rate_per_s > 0)
    pace->room += 1;
}

/* --- Who waits ----------------------------------------------------------------------------------------------------------- */

int64_t pace_put_off(struct pace *pace, uint32_t lane, int64_t from_ms)
{
  uint32_t place = lane < PACE_LANES ? lane : PACE_LANES - 1;
  int64_t latest = from_ms + PACE_PUT_OFF_MAX_MS, *queue = &pace->queue_ms[place];
  int64_t at = *queue > from_ms ? *queue : from_ms;

  if (pace->rate_per_s > 0)
    at += 1 + (int64_t)(SECOND_MS / pace->rate_per_s);
  if (at > latest) /* the queue is longer than that: they look again over a span, not in one moment */
    at = latest - PACE_PUT_OFF_MAX_MS / 2 / SPREAD * (pace->n_beyond++ % SPREAD);
  else
    for (; queue < pace->queue_ms + PACE_LANES; queue++) /* the less urgent come behind it */
      *queue = *queue > at ? *queue : at;
  at += PACE_PUT_OFF_MIN_MS - at % PACE_PUT_OFF_MIN_MS;
  pace->own_ms[place] = at > pace->own_ms[place] ? at : pace->own_ms[place];
  return at;
}
