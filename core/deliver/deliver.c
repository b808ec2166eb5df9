#include "deliver.h"
#include "core/base/alloc.h"
#include "core/base/text.h"
#include "line.h"
#include "retry.h"
#include <stdlib.h>
#include <string.h>

const uint32_t deliver_bucket_ms[DELIVER_BUCKETS] = {1, 2, 5, 10, 25, 50, 100, 250, 1000, 5000, 30000, 300000};

static int64_t deliver_now(const struct deliver *deliver)
{
  return deliver->shared.env->now_ms(deliver->shared.env);
}

static int64_t deliver_mono(const struct deliver *deliver)
{
  return deliver->shared.env->mono_ms(deliver->shared.env);
}

static void deliver_maybe_gone(struct deliver *deliver);

void deliver_op_over(struct deliver *deliver)
{
  deliver->ops--;
  deliver_maybe_gone(deliver);
}

/* --- Reading back from the store
 * -------------------------------------------------------------------------------------------- */

struct claim_op {
  struct store_claim claim;
  struct line *line;
  struct deliver *deliver;
  struct policy *policy;
};

static void line_claimed(struct line *line, struct store_claim *claim)
{
  struct lane_line *state = &line->lanes[claim->lane];
  int64_t now = deliver_now(line->deliver);

  for (size_t i = 0; i < claim->n_claims; i++)
    deliver_take(line->deliver, &claim->claims[i]);
  state->due_ms = claim->next_due_ms;
  if (claim->next_due_ms > now)
    line_wake_at(line, deliver_mono(line->deliver) + (claim->next_due_ms - now));
  if ((claim->next_due_ms > 0 && claim->next_due_ms <= now) || claim->n_claims == claim->limit) {
    state->again = state->n_held < line_capacity(line) / 2;
  } else if (state->closed && line_may_go(line)) {
    line_open_lane(line, claim->lane);
    state->again = true; /* what was queued between that look and this opening */
  }
}

/* The store could not; the timer tries again. */
static void line_look_again(struct line *line, enum lane lane)
{
  line->lanes[lane].due_ms = deliver_now(line->deliver);
  line_wake_at(line, deliver_mono(line->deliver) + DELIVER_RESTORE_MS);
}

static void line_on_claimed(struct store_op *op)
{
  struct claim_op *call = container_of(op, struct claim_op, claim.op);
  struct line *line = call->line;
  enum lane lane = call->claim.lane;
  struct deliver *deliver = call->deliver;

  line->lanes[lane].claiming = false;
  if (op->status == PARLEY_OK)
    line_claimed(line, &call->claim);
  else
    line_look_again(line, lane);
  arena_free(&op->arena);
  policy_unref(&call->policy);
  free(call);
  if (line->lanes[lane].again) {
    line->lanes[lane].again = false;
    line_claim(line, lane);
  }
  line_pump(line);
  deliver_op_over(deliver);
}

void line_claim(struct line *line, enum lane lane)
{
  struct lane_line *state = &line->lanes[lane];
  struct deliver *deliver = line->deliver;
  uint32_t capacity = line_capacity(line);
  const struct policy_channel *rules = policy_find_channel(deliver->policy, parley_text_of(line->name));
  struct claim_op *call;

  if (!line_may_go(line) || rules == NULL || state->n_held >= capacity)
    return;
  if (state->claiming) {
    state->again = true;
    return;
  }
  call = xcalloc(1, sizeof *call);
  call->line = line;
  call->deliver = deliver;
  call->policy = policy_ref(deliver->policy);
  call->claim.op.kind = STORE_CLAIM;
  call->claim.op.done = line_on_claimed;
  call->claim.channel = rules;
  call->claim.policy = call->policy;
  call->claim.lane = lane;
  call->claim.limit = capacity - state->n_held < LANE_CLAIM_MAX ? capacity - state->n_held : LANE_CLAIM_MAX;
  call->claim.now_ms = deliver_now(deliver);
  state->claiming = true;
  deliver->ops++;
  store_submit(deliver->shared.store, &call->claim.op);
}

static void line_claim_all(struct line *line)
{
  for (int lane = 0; lane < LANES; lane++)
    line_claim(line, (enum lane)lane);
}

/* --- Taking and handing over
 * -------------------------------------------------------------------------------------------------- */

void deliver_take(struct deliver *deliver, const struct claim *claim)
{
  struct line *line = line_find(deliver, claim->channel);
  struct outbound *out;

  if (line == NULL) {
    line = line_new(deliver, claim->channel);
    line->removed = true; /* configured away: it goes back to the store */
  }
  out = outbound_new(line, claim);
  line->lanes[claim->lane].n_held++;
  if (!line_may_go(line)) {
    outbound_take_back(out, deliver_now(deliver));
    return;
  }
  list_push(&line->lanes[claim->lane].held, &out->node);
  line_pump(line);
}

static struct channel *outbound_carrier(const struct outbound *out)
{
  return out->claim.test ? out->line->test_sink : out->line->channel;
}

static void outbound_settle_own(struct outbound *out, uint32_t result, const char *code)
{
  outbound_settle(out, PARLEY_REF(parley_outcome, .result = result, .code = parley_text_of(code)));
}

/* false: the channel has no room; the message stays held. */
static bool outbound_hand_over(struct outbound *out)
{
  struct deliver *deliver = out->deliver;
  struct channel *carrier = outbound_carrier(out);
  const char *code = NULL;
  parley_status st;

  if (carrier == NULL) {
    outbound_settle_own(out, PARLEY_OUTCOME_REJECTED, "no_test_sink");
    return true;
  }
  if (channel_free(carrier) == 0)
    return false;
  if (out->message.size == 0 && outbound_build(out, channel_caps(out->line->channel), &code) != PARLEY_OK) {
    out->message.size = 0;
    outbound_settle_own(out, PARLEY_OUTCOME_REJECTED, code);
    return true;
  }
  out->token = ++deliver->last_token;
  out->started_ms = deliver_now(deliver);
  out->carrier = carrier;
  map_put(&deliver->in_flight, out->token, out);
  out->line->counters.in_flight++;
  if (out->claim.query && channel_can_query(carrier))
    st = channel_query(carrier, out->token, &out->message, DELIVER_SUBMIT_DEADLINE_MS);
  else
    st = channel_submit(carrier, out->token, &out->message, DELIVER_SUBMIT_DEADLINE_MS);
  if (st == PARLEY_OK) {
    out->line->counters.attempts++;
    return true;
  }
  map_take(&deliver->in_flight, out->token);
  out->line->counters.in_flight--;
  out->carrier = NULL;
  if (st == PARLEY_BUSY)
    return false;
  outbound_settle_own(out, PARLEY_OUTCOME_RETRY, "not_taken");
  return true;
}

/* The next that may go, by lane; what is blocked by its destination goes back to the store until then. */
static struct outbound *line_next(struct line *line)
{
  int64_t now = deliver_now(line->deliver);

  for (int lane = 0; lane < LANES; lane++) {
    struct list *node;

    while ((node = line->lanes[lane].held.next) != &line->lanes[lane].held) {
      struct outbound *out = LIST_ITEM(node, struct outbound, node);
      int64_t until;

      if (out->claim.expires_ms > 0 && out->claim.expires_ms <= now) {
        outbound_take_back(out, now); /* the sweep ends it */
        continue;
      }
      until = line_blocked_until(line, out->destination);
      if (until == 0)
        return out;
      outbound_take_back(out, now + (until - deliver_mono(line->deliver)));
    }
  }
  return NULL;
}

void line_pump(struct line *line)
{
  int64_t later_ms = 0;
  struct outbound *out;

  while (line_may_go(line) && channel_free(line->channel) > 0 && (out = line_next(line)) != NULL) {
    if (!line_rate_take(line, deliver_mono(line->deliver), &later_ms)) {
      line_untried(line, out->destination);
      line_wake_at(line, later_ms);
      return;
    }
    list_remove(&out->node);
    if (!outbound_hand_over(out)) {
      line_untried(line, out->destination);
      list_insert_before(line->lanes[out->claim.lane].held.next, &out->node); /* still the first */
      return;
    }
  }
}

/* --- Outcomes
 * -------------------------------------------------------------------------------------------------------------------
 */

static void hold_good(struct line *line, parley_text destination, int64_t mono_ms)
{
  struct hold *hold = line_hold(line, destination, false);

  if (hold != NULL)
    breaker_good(&hold->breaker, mono_ms);
}

/* What an outcome says about the door it came through. */
static void line_learn(struct line *line, parley_text destination, const parley_outcome *outcome)
{
  int64_t mono = deliver_mono(line->deliver);
  uint32_t pause_ms = outcome->retry_ms > 0 ? outcome->retry_ms : DELIVER_THROTTLE_MS;
  parley_text where = outcome->destination.len > 0 ? outcome->destination : TEXT_EMPTY;
  struct hold *hold;

  switch (outcome->result) {
  case PARLEY_OUTCOME_THROTTLED:
    hold = line_hold(line, where, true);
    if (hold != NULL)
      hold->until_ms = mono + pause_ms;
    line_wake_at(line, mono + pause_ms);
    break;
  case PARLEY_OUTCOME_CHANNEL_DOWN:
    line->down = true;
    line->down_until_ms = mono + DELIVER_DOWN_MS;
    break;
  case PARLEY_OUTCOME_RETRY:
  case PARLEY_OUTCOME_UNKNOWN:
    hold = line_hold(line, where, true);
    if (hold != NULL)
      breaker_bad(&hold->breaker, mono);
    break;
  default: /* an answer about this message: the door is open */
    hold_good(line, TEXT_EMPTY, mono);
    if (destination.len > 0)
      hold_good(line, destination, mono);
    break;
  }
}

static void line_count(struct line *line, const struct outbound *out, uint32_t result)
{
  int64_t took = deliver_now(line->deliver) - out->claim.accepted_ms;
  size_t at = 0;

  line->counters.by_outcome[result <= PARLEY_OUTCOME_UNKNOWN ? result : 0]++;
  if (result != PARLEY_OUTCOME_ACCEPTED && result != PARLEY_OUTCOME_DELIVERED)
    return;
  while (at < DELIVER_BUCKETS && took > (int64_t)deliver_bucket_ms[at])
    at++;
  line->counters.latency[at]++;
  line->counters.latency_sum_ms += took > 0 ? (uint64_t)took : 0;
}

/* The message may count as sent by an earlier step while this one waits for its next try. */
static bool settle_may_wait(const struct store_settle *settle)
{
  bool went = settle->outcome == PARLEY_OUTCOME_ACCEPTED || settle->outcome == PARLEY_OUTCOME_DELIVERED;

  return settle->taken_back || !went || settle->after == MESSAGE_QUEUED;
}

static void line_due_at(struct line *line, enum lane lane, int64_t due_ms)
{
  int64_t wait_ms = due_ms - deliver_now(line->deliver);

  if (line->lanes[lane].due_ms == 0 || due_ms < line->lanes[lane].due_ms)
    line->lanes[lane].due_ms = due_ms;
  line_wake_at(line, deliver_mono(line->deliver) + (wait_ms > 0 ? wait_ms : 0));
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
  if (settle->next != NULL)
    deliver_take(deliver, settle->next);
  if (settle_may_wait(settle) && settle->retry_at_ms > 0 && settle->retry_at_ms < INT64_MAX)
    line_due_at(line, lane, settle->retry_at_ms);
  arena_free(&op->arena);
  outbound_free(out);
  line_place_free(line, lane);
  line_pump(line);
  deliver_op_over(deliver);
}

static void outbound_store(struct outbound *out)
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

void outbound_settle(struct outbound *out, const parley_outcome *outcome)
{
  struct store_settle *settle = &out->settle;
  parley_text *ids = arena_alloc(out->arena, (outcome->n_ids + 1) * sizeof *ids);

  outbound_settle_fill(out);
  settle->handed = out->carrier != NULL;
  settle->outcome = outcome->result;
  settle->code = arena_text(out->arena, outcome->code);
  settle->detail = arena_text(out->arena, outcome->detail);
  settle->retry_at_ms =
      settle->ended_ms + retry_pause_ms(out->claim.attempt, outcome->retry_ms, out->deliver->shared.env);
  for (uint32_t i = 0; i < outcome->n_ids; i++)
    ids[i] = arena_text(out->arena, outcome->ids[i]);
  settle->provider_ids = ids;
  settle->n_provider_ids = outcome->n_ids;
  line_learn(out->line, out->destination, outcome);
  line_count(out->line, out, outcome->result);
  if (outcome->result == PARLEY_OUTCOME_UNKNOWN)
    out->line->counters.possible_duplicates++;
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

  (void)channel;
  if (out == NULL) {
    probe_settled(deliver, token, outcome);
    deliver_maybe_gone(deliver);
    return;
  }
  out->line->counters.in_flight--;
  outbound_settle(out, outcome);
  if (outcome->result == PARLEY_OUTCOME_CHANNEL_DOWN) {
    log_line(deliver->shared.log, PARLEY_ERROR, "event=channel_down channel=%s code=%.*s", out->line->name,
             TEXT_ARG(out->settle.code));
    for (int lane = 0; lane < LANES; lane++)
      line_close_lane(out->line, (enum lane)lane);
  }
}

void deliver_roomier(struct deliver *deliver, struct channel *channel)
{
  struct line *line = line_find(deliver, parley_text_of(channel_name(channel)));

  if (line == NULL)
    return;
  if (line->down) {
    line->down = false;
    line_claim_all(line);
  }
  line_pump(line);
}

/* --- Receipts
 * ---------------------------------------------------------------------------------------------------------------------
 */

struct receipt_op {
  struct store_receipt receipt;
  struct deliver *deliver;
  struct arena *arena;
  struct policy *policy;
  parley_done *done;
  void *arg;
};

/* It named a message that is not here, or one of another channel: parked by that name, as any early receipt. */
static void receipt_park(struct receipt_op *call)
{
  struct store_receipt *op = &call->receipt;
  char id[ID_TEXT_MAX];

  id_format("msg", op->message, id);
  log_line(call->deliver->shared.log, PARLEY_WARN, "event=receipt_orphan channel=%.*s msg=%s", TEXT_ARG(op->channel),
           id);
  op->provider_id = arena_text(call->arena, parley_text_of(id));
  op->message = 0;
  arena_free(&op->op.arena);
  store_submit(call->deliver->shared.store, &op->op);
}

static void deliver_on_receipt(struct store_op *op)
{
  struct receipt_op *call = container_of(op, struct receipt_op, receipt.op);
  parley_result result = {.size = sizeof result, .status = op->status, .count = call->receipt.repeated};

  if (op->status == PARLEY_NOT_FOUND && call->receipt.message != 0 && call->receipt.provider_id.len == 0) {
    receipt_park(call);
    return;
  }
  if (op->status == PARLEY_BUSY || op->status == PARLEY_RETRY)
    result.retry_ms = DELIVER_RESTORE_MS;
  if (call->receipt.next != NULL)
    deliver_take(call->deliver, call->receipt.next);
  call->done(&result, call->arg);
  arena_free(&op->arena);
  arena_free(&call->arena);
  policy_unref(&call->policy);
  deliver_op_over(call->deliver);
  free(call);
}

void deliver_receipt(struct deliver *deliver, struct channel *channel, const parley_receipt *receipt, parley_done *done,
                     void *arg)
{
  struct receipt_op *call = xcalloc(1, sizeof *call);
  struct store_receipt *op = &call->receipt;
  int64_t now = deliver_now(deliver);

  call->deliver = deliver;
  call->arena = arena_new();
  call->policy = policy_ref(deliver->policy);
  call->done = done;
  call->arg = arg;
  op->op.kind = STORE_RECEIPT;
  op->op.done = deliver_on_receipt;
  op->policy = call->policy;
  op->channel = arena_text(call->arena, parley_text_of(channel_name(channel)));
  op->provider_id = arena_text(call->arena, receipt->provider_id);
  op->receipt = receipt->kind;
  op->outcome = receipt->outcome;
  op->at_ms = receipt->at_ms > 0 && receipt->at_ms < now ? receipt->at_ms : now;
  op->code = arena_text(call->arena, text_sub(receipt->code, 0, 255));
  op->detail = arena_text(call->arena, text_sub(receipt->detail, 0, 512));
  if (!id_parse("msg", receipt->message_id, &op->message))
    op->message = 0;
  deliver->ops++;
  store_submit(deliver->shared.store, &op->op);
}

/* --- Expiry, lapses, orphans: once a second, and at the start
 * ---------------------------------------------------------------------- */

struct sweep_op {
  union {
    struct store_op op;
    struct store_sweep sweep;
    struct store_orphans orphans;
  } u;
  struct deliver *deliver;
  struct policy *policy;
};

#define SWEEP_LIMIT 256

static struct sweep_op *sweep_op_new(struct deliver *deliver, enum store_kind kind, void (*done)(struct store_op *))
{
  struct sweep_op *call = xcalloc(1, sizeof *call);

  call->deliver = deliver;
  call->policy = policy_ref(deliver->policy);
  call->u.op.kind = kind;
  call->u.op.done = done;
  deliver->ops++;
  return call;
}

static void sweep_op_free(struct sweep_op *call)
{
  arena_free(&call->u.op.arena);
  policy_unref(&call->policy);
  deliver_op_over(call->deliver);
  free(call);
}

static void deliver_sweep(struct deliver *deliver);

static void deliver_on_swept(struct store_op *op)
{
  struct sweep_op *call = container_of(op, struct sweep_op, u.op);
  struct deliver *deliver = call->deliver;
  bool more = op->status == PARLEY_OK && call->u.sweep.n == SWEEP_LIMIT;

  deliver->sweeping = false;
  if (op->status == PARLEY_OK)
    for (size_t i = 0; i < call->u.sweep.n_claims; i++)
      deliver_take(deliver, &call->u.sweep.claims[i]);
  sweep_op_free(call);
  if (more)
    deliver_sweep(deliver);
}

static void deliver_sweep(struct deliver *deliver)
{
  struct sweep_op *call;

  if (deliver->sweeping || deliver->draining || !deliver->orphans_done)
    return;
  call = sweep_op_new(deliver, STORE_SWEEP, deliver_on_swept);
  call->u.sweep.policy = call->policy;
  call->u.sweep.now_ms = deliver_now(deliver);
  call->u.sweep.limit = SWEEP_LIMIT;
  deliver->sweeping = true;
  store_submit(deliver->shared.store, &call->u.op);
}

static void deliver_recover(struct deliver *deliver);

static void deliver_on_recovered(struct store_op *op)
{
  struct sweep_op *call = container_of(op, struct sweep_op, u.op);
  struct deliver *deliver = call->deliver;
  bool more = op->status != PARLEY_OK || call->u.orphans.n == SWEEP_LIMIT;

  if (op->status == PARLEY_OK && call->u.orphans.n > 0)
    log_line(deliver->shared.log, PARLEY_WARN, "event=orphans_recovered count=%zu", call->u.orphans.n);
  if (more && !deliver->draining && op->status == PARLEY_OK) {
    deliver_recover(deliver);
  } else if (op->status == PARLEY_OK) {
    deliver->orphans_done = true;
    for (struct list *node = deliver->lines.next; node != &deliver->lines; node = node->next)
      line_claim_all(LIST_ITEM(node, struct line, node));
  }
  sweep_op_free(call);
}

static void deliver_recover(struct deliver *deliver)
{
  struct sweep_op *call = sweep_op_new(deliver, STORE_ORPHANS, deliver_on_recovered);

  call->u.orphans.policy = call->policy;
  call->u.orphans.limit = SWEEP_LIMIT;
  store_submit(deliver->shared.store, &call->u.op);
}

static void deliver_look(struct deliver *deliver)
{
  int64_t mono = deliver_mono(deliver);

  for (struct list *node = deliver->lines.next; node != &deliver->lines; node = node->next) {
    struct line *line = LIST_ITEM(node, struct line, node);

    if (line->down && mono >= line->down_until_ms) {
      line->down = false; /* one message will tell */
      line_claim_all(line);
    }
    line_look(line);
  }
}

static void deliver_on_sweep(uv_timer_t *timer)
{
  struct deliver *deliver = timer->data;
  struct list *node, again;

  list_init(&again);
  while ((node = list_pop(&deliver->unsettled)) != NULL)
    list_push(&again, node);
  while ((node = list_pop(&again)) != NULL)
    outbound_store(LIST_ITEM(node, struct outbound, node));
  if (deliver->draining || !deliver->started)
    return;
  if (!deliver->orphans_done && deliver->ops == 0)
    deliver_recover(deliver); /* the store could not at the start */
  deliver_watch_clock(deliver);
  deliver_look(deliver);
  deliver_sweep(deliver);
}

/* --- Life
 * ---------------------------------------------------------------------------------------------------------------------------
 */

struct deliver *deliver_new(const struct deliver_shared *shared)
{
  struct deliver *deliver = xcalloc(1, sizeof *deliver);

  deliver->shared = *shared;
  list_init(&deliver->lines);
  list_init(&deliver->unsettled);
  shared->env->random(shared->env, &deliver->hash_key, sizeof deliver->hash_key);
  uv_timer_init(shared->loop, &deliver->sweep);
  deliver->sweep.data = deliver;
  deliver->open_handles = 1;
  uv_timer_start(&deliver->sweep, deliver_on_sweep, DELIVER_SWEEP_MS, DELIVER_SWEEP_MS);
  return deliver;
}

void deliver_start(struct deliver *deliver)
{
  deliver->started = true;
  deliver->clock_lead_ms = deliver_now(deliver) - deliver_mono(deliver);
  deliver_recover(deliver);
}

void deliver_set_policy(struct deliver *deliver, struct policy *policy)
{
  struct policy *old = deliver->policy;

  deliver->policy = policy_ref(policy);
  policy_unref(&old);
}

void deliver_add_channel(struct deliver *deliver, struct channel *channel, struct channel *test_sink, double rate_per_s)
{
  struct line *line = line_find(deliver, parley_text_of(channel_name(channel)));

  if (line == NULL)
    line = line_new(deliver, parley_text_of(channel_name(channel)));
  line->channel = channel;
  line->test_sink = test_sink;
  line->removed = false;
  line->down = false;
  if (line->rate_per_s != rate_per_s) {
    line->rate_per_s = rate_per_s;
    line->bucket = rate_per_s < 1 ? 1 : rate_per_s;
    line->bucket_ms = deliver_mono(deliver);
  }
  if (deliver->started)
    line_claim_all(line);
  line_pump(line);
}

static void line_take_all_back(struct line *line)
{
  int64_t now = deliver_now(line->deliver);

  for (int lane = 0; lane < LANES; lane++) {
    line_close_lane(line, (enum lane)lane);
    while (!list_empty(&line->lanes[lane].held))
      outbound_take_back(LIST_ITEM(line->lanes[lane].held.next, struct outbound, node), now);
  }
}

void deliver_remove_channel(struct deliver *deliver, const char *name)
{
  struct line *line = line_find(deliver, parley_text_of(name));

  if (line == NULL)
    return;
  line->removed = true;
  line->channel = line->test_sink = NULL;
  line_take_all_back(line);
}

struct lane_room *deliver_lane_room(struct deliver *deliver, const char *name)
{
  struct line *line = line_find(deliver, parley_text_of(name));

  if (line == NULL)
    line = line_new(deliver, parley_text_of(name));
  return &line->room;
}

void deliver_pause(struct deliver *deliver, parley_text name, bool paused)
{
  struct line *line = line_find(deliver, name);

  if (line == NULL || line->paused == paused)
    return;
  line->paused = paused;
  if (paused)
    line_take_all_back(line);
  else
    line_claim_all(line);
}

bool deliver_paused(const struct deliver *deliver, parley_text name)
{
  const struct line *line = line_find(deliver, name);

  return line != NULL && line->paused;
}

void deliver_due(struct deliver *deliver, parley_text channel, enum lane lane, int64_t due_ms)
{
  struct line *line = line_find(deliver, channel);

  if (line != NULL)
    line_due_at(line, lane, due_ms);
}

void deliver_poke(struct deliver *deliver, parley_text channel)
{
  struct line *line = line_find(deliver, channel);

  if (line != NULL)
    line_claim_all(line);
}

void deliver_drain(struct deliver *deliver)
{
  deliver->draining = true;
  for (struct list *node = deliver->lines.next; node != &deliver->lines; node = node->next) {
    struct line *line = LIST_ITEM(node, struct line, node);

    line_take_all_back(line);
    line->channel = line->test_sink = NULL; /* they are stopped next, while outcomes of theirs are still being stored */
  }
}

void deliver_handle_over(struct deliver *deliver)
{
  void (*closed)(void *) = deliver->closed;
  void *arg = deliver->closed_arg;

  if (--deliver->open_handles > 0 || closed == NULL)
    return;
  map_done(&deliver->in_flight);
  map_done(&deliver->probes);
  policy_unref(&deliver->policy);
  free(deliver);
  closed(arg);
}

static void deliver_on_closed(uv_handle_t *handle)
{
  deliver_handle_over(handle->data);
}

static void deliver_maybe_gone(struct deliver *deliver)
{
  if (deliver->closed == NULL || deliver->ops > 0 || deliver->in_flight.count > 0 || deliver->probes.count > 0 ||
      !list_empty(&deliver->unsettled) || uv_is_closing((uv_handle_t *)&deliver->sweep))
    return;
  for (struct list *node = deliver->lines.next, *next; node != &deliver->lines; node = next) {
    next = node->next;
    line_free(LIST_ITEM(node, struct line, node));
  }
  uv_close((uv_handle_t *)&deliver->sweep, deliver_on_closed);
}

void deliver_close(struct deliver **deliver, void (*closed)(void *arg), void *arg)
{
  struct deliver *gone = *deliver;

  *deliver = NULL;
  gone->draining = true;
  gone->closed = closed;
  gone->closed_arg = arg;
  deliver_maybe_gone(gone);
}

void deliver_counters(const struct deliver *deliver, parley_text channel, struct deliver_counters *ret)
{
  struct line *line = line_find(deliver, channel);
  int64_t mono = deliver_mono(deliver);
  uint64_t key;
  void *value;

  memset(ret, 0, sizeof *ret);
  if (line == NULL)
    return;
  *ret = line->counters;
  for (int lane = 0; lane < LANES; lane++)
    ret->held += line->lanes[lane].n_held;
  ret->held -= ret->in_flight;
  for (size_t pos = 0; map_next(&line->holds, &pos, &key, &value);)
    ret->breakers_open += breaker_open_until_ms(&((struct hold *)value)->breaker) > mono;
}
