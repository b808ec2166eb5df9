/* What is heard of an attempt: bounded and masked, and carried out when the plugin's call has returned. */
#include "core/base/alloc.h"
#include "core/base/text.h"
#include "instance.h"

/* --- Masking ------------------------------------------------------------------------------------------------------------- */

#define MASK_READ_MAX 16384 /* what stands behind in a longer text is dropped */
#define MASK_BYTES_MIN 6 /* shorter values would hit ordinary words */

struct masking {
  parley_text rest;
  size_t at;
  parley_text hit;
};

static void mask_look(parley_text value, void *arg)
{
  struct masking *masking = arg;
  size_t at = value.len < MASK_BYTES_MIN ? SIZE_MAX : text_find_text(masking->rest, value);

  if (at < masking->at) {
    masking->at = at;
    masking->hit = value;
  }
}

void channel_mask(const struct channel *channel, parley_text text, struct buf *to)
{
  struct masking masking = {.rest = text};

  while (channel->options != NULL) {
    masking.at = SIZE_MAX;
    options_each_secret(channel->options, channel->table->options, mask_look, &masking);
    if (masking.at == SIZE_MAX)
      break;
    buf_text(to, text_sub(masking.rest, 0, masking.at));
    buf_str(to, "***");
    masking.rest = text_sub(masking.rest, masking.at + masking.hit.len, SIZE_MAX);
  }
  buf_text(to, masking.rest);
}

void channel_mask_cut(const struct channel *channel, parley_text text, size_t bytes_max, struct buf *to)
{
  struct buf masked = BUF_INIT(MASK_READ_MAX);
  parley_text whole;

  if (text.len == 0) /* as most codes and details are */
    return;
  channel_mask(channel, text_sub(text, 0, MASK_READ_MAX), &masked);
  whole = buf_as_text(&masked);
  buf_text(to, text_sub(whole, 0, text_utf8_cut(whole, bytes_max)));
  buf_done(&masked);
}

/* --- Settlements ------------------------------------------------------------------------------------------------------- */

#define SETTLE_IDS_MAX 256
#define SETTLEMENT_BYTES 256 /* code, detail and one id: enough for most */
#define SETTLE_TEXT_MAX 512

struct settlement {
  struct deferred deferred;
  uint64_t token;
  parley_outcome outcome;
  struct arena *arena;
};

static void settlement_run(struct channel *channel, struct deferred *deferred)
{
  struct settlement *settlement = container_of(deferred, struct settlement, deferred);
  struct arena *arena = settlement->arena; /* it lies in it as well */

  if (channel_token_drop(channel, settlement->token)) {
    channel->counters.settled++;
    channel->owner.settled(channel, settlement->token, &settlement->outcome, channel->owner.arg);
  } else {
    channel->counters.late++;
    channel_misbehaved(channel, "settled_twice_or_late");
  }
  arena_free(&arena);
}

static parley_text settlement_text(const struct channel *channel, struct settlement *settlement, parley_text text)
{
  struct buf masked = BUF_INIT(SETTLE_TEXT_MAX);
  parley_text kept;

  if (text.len == 0)
    return TEXT_EMPTY;
  channel_mask_cut(channel, text, SETTLE_TEXT_MAX, &masked);
  kept = arena_text(settlement->arena, buf_as_text(&masked));
  buf_done(&masked);
  kept.len = text_utf8_ok(kept) ? kept.len : 0;
  return kept;
}

static struct settlement *settlement_new(uint64_t token, uint32_t result)
{
  struct arena *arena = arena_new_for(sizeof(struct settlement) + SETTLEMENT_BYTES);
  struct settlement *settlement = arena_alloc(arena, sizeof *settlement);

  settlement->arena = arena;
  settlement->token = token;
  settlement->deferred.run = settlement_run;
  settlement->outcome = (parley_outcome){.size = sizeof(parley_outcome), .result = result};
  return settlement;
}

void channel_settle(struct channel *channel, uint64_t token, const parley_outcome *outcome)
{
  struct settlement *settlement = settlement_new(token, PARLEY_OUTCOME_UNKNOWN);
  uint32_t n_ids = outcome->n_ids < SETTLE_IDS_MAX ? outcome->n_ids : SETTLE_IDS_MAX;
  parley_text *ids;

  settlement->outcome.retry_ms = outcome->retry_ms;
  settlement->outcome.n_ids = n_ids;
  if (outcome->result >= PARLEY_OUTCOME_ACCEPTED && outcome->result <= PARLEY_OUTCOME_DIED)
    settlement->outcome.result = outcome->result;
  ids = arena_alloc(settlement->arena, (n_ids ? n_ids : 1) * sizeof *ids);
  for (uint32_t i = 0; i < n_ids; i++)
    ids[i] = arena_text(settlement->arena, text_sub(outcome->ids[i], 0, SETTLE_TEXT_MAX));
  settlement->outcome.ids = ids;
  settlement->outcome.code = settlement_text(channel, settlement, outcome->code);
  settlement->outcome.detail = settlement_text(channel, settlement, outcome->detail);
  if (PARLEY_HAS(parley_outcome, outcome, destination))
    settlement->outcome.destination = arena_text(settlement->arena, text_sub(outcome->destination, 0, 255));
  channel_defer(channel, &settlement->deferred);
}

void channel_settle_died(struct channel *channel, uint64_t token)
{
  struct settlement *settlement = settlement_new(token, PARLEY_OUTCOME_DIED);

  settlement->outcome.code = PARLEY_LIT("plugin_died");
  channel_defer(channel, &settlement->deferred);
}

void channel_settle_unknown(struct channel *channel, uint64_t token, const char *code)
{
  channel_settle(channel, token,
                 PARLEY_REF(parley_outcome, .result = PARLEY_OUTCOME_UNKNOWN, .code = parley_text_of(code)));
}
