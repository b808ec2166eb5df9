/* What is known of a channel's destinations: breakers, holds after THROTTLED, and how fast those are gone to afterwards. */
#include "core/base/alloc.h"
#include "core/base/text.h"
#include "destination.h"
#include "line.h"
#include <stdio.h>
#include <stdlib.h>

static uint64_t hold_key(const struct line *line, parley_text destination)
{
  uint64_t key = hash64(&line->deliver->hash_key, destination);

  return key ? key : 1;
}

static void hold_free(struct hold *hold)
{
  free(hold->destination);
  free(hold);
}

/* Nothing that would be missed: it is as if it had never been heard of. */
static bool hold_is_idle(const struct hold *hold, int64_t mono_ms)
{
  return hold->until_ms <= mono_ms && !pace_is_limited(&hold->pace, mono_ms) && hold->breaker.open_until_ms == 0 &&
         hold->breaker.in_row == 0;
}

static void holds_clean(struct line *line, int64_t mono_ms)
{
  struct map kept = {0};
  uint64_t key;
  void *value;

  for (size_t pos = 0; map_next(&line->holds, &pos, &key, &value);) {
    if (hold_is_idle(value, mono_ms))
      hold_free(value);
    else
      map_put(&kept, key, value);
  }
  map_done(&line->holds);
  line->holds = kept;
}

void line_holds_done(struct line *line)
{
  uint64_t key;
  void *value;

  for (size_t pos = 0; map_next(&line->holds, &pos, &key, &value);)
    hold_free(value);
  map_done(&line->holds);
}

struct hold *line_hold(struct line *line, parley_text destination, bool make)
{
  uint64_t key = hold_key(line, destination);
  struct hold *hold = map_get(&line->holds, key);
  int64_t mono_ms;

  if (hold != NULL || !make)
    return hold;
  mono_ms = deliver_mono(line->deliver);
  if (line->holds.count >= DELIVER_HOLDS_MAX && mono_ms >= line->holds_clean_ms) {
    line->holds_clean_ms = mono_ms + DELIVER_HOLDS_CLEAN_MS;
    holds_clean(line, mono_ms);
  }
  if (line->holds.count >= DELIVER_HOLDS_MAX)
    return NULL;
  hold = xcalloc(1, sizeof *hold);
  hold->destination = xmemdup(destination.at, destination.len);
  map_put(&line->holds, key, hold);
  return hold;
}

/* --- May one go? --------------------------------------------------------------------------------------------------------- */

static int64_t hold_until(struct hold *hold, enum lane lane, int64_t mono_ms)
{
  if (hold == NULL)
    return 0;
  if (hold->until_ms > mono_ms)
    return hold->pace.rate_per_s > 0 ? pace_put_off(&hold->pace, lane, hold->until_ms) : hold->until_ms;
  if (!breaker_allows(&hold->breaker, mono_ms))
    return hold->breaker.open_until_ms > mono_ms ? hold->breaker.open_until_ms : mono_ms + BREAKER_GAP_MIN_MS;
  if (pace_take(&hold->pace, lane, mono_ms))
    return 0;
  breaker_untried(&hold->breaker);
  return pace_put_off(&hold->pace, lane, mono_ms);
}

static void hold_untried(struct hold *hold)
{
  if (hold == NULL)
    return;
  breaker_untried(&hold->breaker);
  pace_give_back(&hold->pace);
}

int64_t line_blocked_until(struct line *line, const struct outbound *out)
{
  enum lane lane = (enum lane)out->claim.lane;
  int64_t mono_ms, until;

  if (line->holds.count == 0)
    return 0;
  mono_ms = deliver_mono(line->deliver);
  until = hold_until(line_hold(line, TEXT_EMPTY, false), lane, mono_ms);
  if (until != 0 || out->destination.len == 0)
    return until;
  until = hold_until(line_hold(line, out->destination, false), lane, mono_ms);
  if (until != 0)
    hold_untried(line_hold(line, TEXT_EMPTY, false));
  return until;
}

void line_untried(struct line *line, parley_text destination)
{
  if (line->holds.count == 0)
    return;
  hold_untried(line_hold(line, TEXT_EMPTY, false));
  if (destination.len > 0)
    hold_untried(line_hold(line, destination, false));
}

/* --- What an outcome says about the door it came through ----------------------------------------------------------------- */

/* An answer to what was under way when the hold began says nothing new about the rate, but may name a longer time. A whole channel
 * is not slowed afterwards: its own rate, window and sessions are the operator's and the plugin's. */
static void hold_throttled(struct line *line, struct hold *hold, uint32_t pause_ms, int64_t mono_ms)
{
  double all_per_s = pace_meter_per_s(&line->meter, mono_ms);

  if (hold->until_ms <= mono_ms && hold->destination[0] != '\0')
    pace_slower(&hold->pace, all_per_s, line->rates.floor_per_s, mono_ms);
  if (mono_ms + pause_ms > hold->until_ms)
    hold->until_ms = mono_ms + pause_ms;
  hold->pace.used_ms = hold->until_ms; /* its hour begins when it may be gone to again */
}

static void line_throttled(struct line *line, parley_text where, const parley_outcome *outcome, int64_t mono_ms)
{
  uint32_t pause_ms = outcome->retry_ms > 0 ? outcome->retry_ms : DELIVER_THROTTLE_MS;
  struct hold *hold = line_hold(line, where, true);

  if (hold != NULL)
    hold_throttled(line, hold, pause_ms, mono_ms);
  line->counters.throttled_answers += where.len > 0;
  line_wake_at(line, mono_ms + pause_ms);
}

static void line_went_down(struct line *line, const parley_outcome *outcome, int64_t mono_ms)
{
  line->down = true;
  snprintf(line->down_why, sizeof line->down_why, "%.*s%s%.*s", TEXT_ARG(outcome->code),
           outcome->code.len > 0 && outcome->detail.len > 0 ? ": " : "", TEXT_ARG(outcome->detail));
  line->down_until_ms = mono_ms + DELIVER_DOWN_MS;
}

static void hold_good(struct hold *hold, bool taken, int64_t mono_ms)
{
  if (hold == NULL)
    return;
  breaker_good(&hold->breaker, mono_ms);
  if (taken)
    pace_taken(&hold->pace, mono_ms);
}

/* An answer about this message: the door is open. */
static void line_went_well(struct line *line, parley_text destination, uint32_t result, int64_t mono_ms)
{
  bool taken = result == PARLEY_OUTCOME_ACCEPTED || result == PARLEY_OUTCOME_DELIVERED;

  if (taken)
    pace_meter_add(&line->meter, mono_ms);
  if (line->holds.count == 0)
    return;
  hold_good(line_hold(line, TEXT_EMPTY, false), taken, mono_ms);
  if (destination.len > 0)
    hold_good(line_hold(line, destination, false), taken, mono_ms);
}

void line_learn(struct line *line, parley_text destination, const parley_outcome *outcome)
{
  int64_t mono_ms = deliver_mono(line->deliver);
  parley_text where = outcome->destination.len > 0 ? destination_of(outcome->destination) : TEXT_EMPTY;
  struct hold *hold;

  switch (outcome->result) {
  case PARLEY_OUTCOME_THROTTLED: line_throttled(line, where, outcome, mono_ms); break;
  case PARLEY_OUTCOME_CHANNEL_DOWN: line_went_down(line, outcome, mono_ms); break;
  case PARLEY_OUTCOME_DIED: /* nothing about the door: the channel's own health stops the line */
    line_untried(line, destination);
    break;
  case PARLEY_OUTCOME_RETRY:
  case PARLEY_OUTCOME_UNKNOWN:
    hold = line_hold(line, where, true);
    if (hold != NULL)
      breaker_bad(&hold->breaker, mono_ms);
    break;
  default: line_went_well(line, destination, outcome->result, mono_ms); break;
  }
}

/* --- For people ---------------------------------------------------------------------------------------------------------- */

void line_holds_count(const struct line *line, struct deliver_counters *ret)
{
  int64_t mono_ms = deliver_mono(line->deliver);
  uint64_t key;
  void *value;

  for (size_t pos = 0; map_next(&line->holds, &pos, &key, &value);) {
    const struct hold *hold = value;

    ret->breakers_open += breaker_open_until_ms(&hold->breaker) > mono_ms;
    ret->throttled += hold->destination[0] != '\0' && (hold->until_ms > mono_ms || pace_is_limited(&hold->pace, mono_ms));
  }
}

size_t deliver_throttled(const struct deliver *deliver, parley_text channel, struct deliver_throttle *to, size_t n_max)
{
  const struct line *line = line_find(deliver, channel);
  int64_t mono_ms = deliver_mono(deliver);
  size_t n = 0;
  uint64_t key;
  void *value;

  for (size_t pos = 0; line != NULL && n < n_max && map_next(&line->holds, &pos, &key, &value);) {
    const struct hold *hold = value;

    if (hold->destination[0] != '\0' && (hold->until_ms > mono_ms || pace_is_limited(&hold->pace, mono_ms)))
      to[n++] = (struct deliver_throttle){.destination = hold->destination, .rate_per_s = hold->pace.rate_per_s,
                                          .held_ms = hold->until_ms > mono_ms ? hold->until_ms - mono_ms : 0};
  }
  return n;
}
