/* From the channels back to the store: what became of a message, what it says about the door it went through, and when to try
 * again. */
#include "core/base/alloc.h"
#include "core/base/text.h"
#include "line.h"
#include "retry.h"
#include <stdio.h>

static bool outcome_went(uint32_t result)
{
  return result == PARLEY_OUTCOME_ACCEPTED || result == PARLEY_OUTCOME_DELIVERED;
}

static void line_count(struct line *line, const struct outbound *out, uint32_t result)
{
  int64_t took = deliver_now(line->deliver) - out->claim.accepted_ms;
  size_t at = 0;

  line->counters.by_outcome[result <= PARLEY_OUTCOME_UNKNOWN ? result : 0]++;
  if (!outcome_went(result))
    return;
  while (at < DELIVER_BUCKETS && took > (int64_t)deliver_bucket_ms[at])
    at++;
  line->counters.latency[at]++;
  line->counters.latency_sum_ms += took > 0 ? (uint64_t)took : 0;
}

void line_due_at(struct line *line, enum lane lane, int64_t due_ms)
{
  int64_t wait_ms = due_ms - deliver_now(line->deliver);

  if (line->lanes[lane].due_ms == 0 || due_ms < line->lanes[lane].due_ms)
    line->lanes[lane].due_ms = due_ms;
  line_wake_at(line, deliver_mono(line->deliver) + (wait_ms > 0 ? wait_ms : 0));
}

/* Nothing else needs an operator so much: said once, by the message's id. */
static void outbound_tell_poison(const struct outbound *out)
{
  char id[ID_TEXT_MAX];

  if (!out->settle.died || out->settle.stale || out->claim.deaths + 1 < POISON_DEATHS ||
      out->settle.after != MESSAGE_HELD)
    return;
  id_format("msg", out->claim.message, id);
  log_line(out->deliver->shared.log, PARLEY_ERROR, "event=message_held why=poison msg=%s channel=%s deaths=%u", id,
           out->line->name, out->claim.deaths + 1);
}

static void deliver_on_settled(struct store_op *op)
{
  struct store_settle *settle = container_of(op, struct store_settle, op);
  struct outbound *out = container_of(settle, struct outbound, settle);
  struct deliver *deliver = out->deliver;
  struct line *line = out->line;
  enum lane lane = (enum lane)out->claim.lane;

  if (op->status != PARLEY_OK && op->status != PARLEY_NOT_FOUND && op->status != PARLEY_FAILED) {
    arena_free(&op->arena);
    list_push(&deliver->unsettled, &out->node); /* a full disk: offered again until it is taken */
    deliver_op_over(deliver);
    return;
  }
  if (settle->stale)
    line->counters.stale_results++;
  outbound_tell_poison(out);
  if (settle->outcome == PARLEY_OUTCOME_BAD_ADDRESS && !settle->stale) /* suppressed by now */
    deliver_reconsider(deliver, NULL, 0, &(struct identity){.kind = out->claim.address_kind, .value = out->claim.address});
  if (settle->next != NULL)
    deliver_take(deliver, settle->next);
  if (settle->retry_at_ms > 0 && settle->retry_at_ms < INT64_MAX) /* although it may count as sent by an earlier step */
    line_due_at(line, lane, settle->retry_at_ms);
  arena_free(&op->arena);
  outbound_free(out);
  line_place_free(line, lane);
  line_pump(line);
  deliver_op_over(deliver);
}

void outbound_store(struct outbound *out)
{
  out->deliver->ops++;
  store_submit(out->deliver->shared.store, &out->settle.op);
}

static void outbound_settle_fill(struct outbound *out)
{
  struct store_settle *settle = &out->settle;

  settle->op.kind = STORE_SETTLE;
  settle->op.done = deliver_on_settled;
  settle->message = out->claim.message;
  settle->step = out->claim.step;
  settle->token = out->claim.token;
  settle->policy = out->policy = policy_ref(out->deliver->policy);
  settle->started_ms = out->started_ms ? out->started_ms : deliver_now(out->deliver);
  settle->ended_ms = deliver_now(out->deliver);
  settle->degraded = out->degraded;
  settle->n_degraded = out->n_degraded;
}

/* What it says of the door. The test sink's is not the channel's; and a query that found nothing has not tried it. */
static void outbound_teach(const struct outbound *out, const parley_outcome *outcome)
{
  bool found_nothing = outcome->result == PARLEY_OUTCOME_RETRY || outcome->result == PARLEY_OUTCOME_UNKNOWN;

  if (out->claim.test)
    return;
  if (out->claim.query && found_nothing)
    line_untried(out->line, out->destination);
  else
    line_learn(out->line, out->destination, outcome);
}

void outbound_settle(struct outbound *out, const parley_outcome *outcome)
{
  struct store_settle *settle = &out->settle;
  bool died = outcome->result == PARLEY_OUTCOME_DIED;
  parley_text *ids = arena_alloc(out->arena, (outcome->n_ids + 1) * sizeof *ids);

  outbound_settle_fill(out);
  settle->handed = out->carrier != NULL;
  settle->outcome = died ? PARLEY_OUTCOME_UNKNOWN : outcome->result;
  settle->died = died && !out->shared;
  settle->code = arena_text(out->arena, outcome->code);
  settle->detail = arena_text(out->arena, outcome->detail);
  if (!outcome_went(settle->outcome)) /* chance comes from the kernel: not for each success */
    settle->retry_at_ms =
        settle->ended_ms + retry_pause_ms(out->claim.attempt, outcome->retry_ms, out->deliver->shared.env);
  for (uint32_t i = 0; i < outcome->n_ids; i++)
    ids[i] = arena_text(out->arena, outcome->ids[i]);
  settle->provider_ids = ids;
  settle->n_provider_ids = outcome->n_ids;
  outbound_teach(out, outcome);
  line_count(out->line, out, settle->outcome);
  if (settle->outcome == PARLEY_OUTCOME_UNKNOWN)
    out->line->counters.possible_duplicates++;
  out->line->counters.deaths += died;
  outbound_store(out);
}

void outbound_take_back(struct outbound *out, int64_t due_ms)
{
  list_remove(&out->node);
  line_close_lane(out->line, (enum lane)out->claim.lane); /* it waits in the store now: nothing may overtake it */
  outbound_settle_fill(out);
  out->settle.taken_back = true;
  out->settle.retry_at_ms = due_ms;
  outbound_store(out);
}

void deliver_settled(struct deliver *deliver, struct channel *channel, uint64_t token, const parley_outcome *outcome)
{
  struct outbound *out = map_take(&deliver->in_flight, token);
  bool was_down;

  if (out == NULL) {
    if (probe_settled(deliver, token, outcome) &&
        (outcome->result == PARLEY_OUTCOME_ACCEPTED || outcome->result == PARLEY_OUTCOME_DELIVERED))
      deliver_roomier(deliver, channel, true); /* it is well: no need to wait for the next look */
    deliver_maybe_gone(deliver);
    return;
  }
  out->line->counters.in_flight--;
  if (!out->claim.test)
    out->shared = !turns_settled(&out->line->turns, outbound_is_suspect(out), deliver_mono(deliver));
  was_down = out->line->down;
  outbound_settle(out, outcome);
  if (out->line->down && !was_down) { /* once, not for each that was on its way */
    log_line(deliver->shared.log, PARLEY_ERROR, "event=channel_down channel=%s code=\"%.*s\" detail=\"%.*s\"", out->line->name,
             TEXT_ARG(out->settle.code), TEXT_ARG(out->settle.detail));
    for (int lane = 0; lane < LANE_TEST; lane++)
      line_close_lane(out->line, (enum lane)lane);
  }
}

void deliver_roomier(struct deliver *deliver, struct channel *channel, bool well)
{
  struct line *line = line_find(deliver, parley_text_of(channel_name(channel)));

  if (line == NULL)
    return;
  if (line->down && well && channel == line->channel) { /* the test sink knows nothing of it */
    line->down = false;
    line_claim_all(line);
  }
  line_pump(line);
}
