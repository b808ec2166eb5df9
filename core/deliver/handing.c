/* From the store to the channels: claims are read back when there is room, held by lane, and handed over as rate, breakers and
 * the channel's window allow. */
#include "core/base/alloc.h"
#include "line.h"
#include <stdlib.h>

/* --- Reading back from the store ---------------------------------------------------------------------------------------- */

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
  } else if (state->closed && line_may_go(line, claim->lane)) {
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

  if (!line_may_go(line, lane) || rules == NULL || state->n_held >= capacity)
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

void line_claim_all(struct line *line)
{
  for (int lane = 0; lane < LANES; lane++)
    line_claim(line, (enum lane)lane);
}

/* --- Taking and handing over -------------------------------------------------------------------------------------------- */

static struct list *outbound_home(const struct outbound *out)
{
  return outbound_is_suspect(out) ? &out->line->suspects : &out->line->lanes[out->claim.lane].held;
}

/* Behind those of its lane. false: there are enough of them, others need the room. */
static bool suspect_hold(struct outbound *out)
{
  struct list *suspects = &out->line->suspects, *before = suspects->next;
  size_t n = 0;

  for (; before != suspects && LIST_ITEM(before, struct outbound, node)->claim.lane <= out->claim.lane;
       before = before->next)
    n += LIST_ITEM(before, struct outbound, node)->claim.lane == out->claim.lane;
  if (n >= LANE_SUSPECTS_MAX)
    return false;
  list_insert_before(before, &out->node);
  return true;
}

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
  if (!line_may_go(line, (enum lane)claim->lane)) {
    outbound_take_back(out, deliver_now(deliver));
    return;
  }
  if (!outbound_is_suspect(out)) {
    list_push(outbound_home(out), &out->node);
  } else if (!suspect_hold(out)) {
    outbound_take_back(out, deliver_now(deliver) + DELIVER_SUSPECT_MS);
    return;
  }
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
  out->message.handed_ms = out->claim.handed_ms != 0 ? out->claim.handed_ms : out->started_ms;
  out->carrier = carrier;
  map_put(&deliver->in_flight, out->token, out);
  out->line->counters.in_flight++;
  if (!out->claim.test) /* the sink is not in the channel's process; before: it may settle within the call */
    turns_went(&out->line->turns, outbound_is_suspect(out), deliver_mono(deliver));
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
  if (!out->claim.test)
    turns_untaken(&out->line->turns, outbound_is_suspect(out));
  out->carrier = NULL;
  if (st == PARLEY_BUSY)
    return false;
  outbound_settle_own(out, PARLEY_OUTCOME_RETRY, "not_taken");
  return true;
}

/* The first that has not expired. */
static struct outbound *held_first(struct line *line, struct list *held)
{
  int64_t now;

  if (list_empty(held)) /* most are: it is asked some ten times a message, and the clock has its price */
    return NULL;
  now = deliver_now(line->deliver);
  while (!list_empty(held)) {
    struct outbound *out = LIST_ITEM(held->next, struct outbound, node);

    if (out->claim.expires_ms == 0 || out->claim.expires_ms > now)
      return out;
    outbound_take_back(out, now); /* the sweep ends it */
  }
  return NULL;
}

/* The first that may go; what is blocked by its destination goes back to the store until then. */
static struct outbound *held_next(struct line *line, struct list *held)
{
  struct outbound *out;

  while ((out = held_first(line, held)) != NULL) {
    int64_t until = line_blocked_until(line, out);

    if (until == 0)
      return out;
    outbound_take_back(out, deliver_now(line->deliver) + (until - deliver_mono(line->deliver)));
  }
  return NULL;
}

static bool line_holds_others(const struct line *line)
{
  for (int lane = 0; lane < LANE_TEST; lane++) {
    if (!list_empty(&line->lanes[lane].held))
      return true;
  }
  return false;
}

/* Whose turn it is, with the suspect that would go; NULL: none may. */
static enum turn line_turn(struct line *line, struct outbound **ret_suspect)
{
  struct outbound *suspect = held_next(line, &line->suspects);
  int64_t look_ms;
  enum turn turn =
      turns_next(&line->turns, suspect != NULL, line_holds_others(line), deliver_mono(line->deliver), &look_ms);

  if (look_ms > 0)
    line_wake_at(line, look_ms);
  if (suspect != NULL && turn != TURN_SUSPECT)
    line_untried(line, suspect->destination);
  *ret_suspect = suspect;
  return turn;
}

/* The next that may go: a suspect in its turn, else by lane. */
static struct outbound *line_next(struct line *line)
{
  struct outbound *out = NULL;
  enum turn turn = line_turn(line, &out);

  if (turn != TURN_OTHERS)
    return turn == TURN_SUSPECT ? out : NULL;
  out = NULL;
  for (int lane = 0; lane < LANE_TEST && out == NULL; lane++)
    out = held_next(line, &line->lanes[lane].held);
  return out;
}

/* The sink carries them: neither the channel's state and room nor its rate, breakers and suspects are asked. */
static void line_pump_tests(struct line *line)
{
  struct list *held = &line->lanes[LANE_TEST].held;
  struct outbound *out;

  while (line_may_go(line, LANE_TEST) && (out = held_first(line, held)) != NULL) {
    list_remove(&out->node);
    if (!outbound_hand_over(out)) {
      list_insert_before(held->next, &out->node); /* still the first */
      return;
    }
  }
}

void line_pump(struct line *line)
{
  int64_t later_ms = 0;
  struct outbound *out;

  if (!store_may_send(line->deliver->shared.store)) {
    line_wake_at(line, deliver_mono(line->deliver) + DELIVER_RESTORE_MS);
    return;
  }
  line_pump_tests(line);
  while (line_may_go(line, LANE_CRITICAL) && channel_free(line->channel) > 0 && (out = line_next(line)) != NULL) {
    if (!line_rate_take(line, deliver_mono(line->deliver), &later_ms)) {
      line_untried(line, out->destination);
      line_wake_at(line, later_ms);
      return;
    }
    list_remove(&out->node);
    if (!outbound_hand_over(out)) {
      line_untried(line, out->destination);
      list_insert_before(outbound_home(out)->next, &out->node); /* still the first */
      return;
    }
  }
}
