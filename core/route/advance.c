#include "state.h"
#include "core/base/alloc.h"
#include <assert.h>

_Static_assert(PLAN_STEPS_MAX <= ADVANCE_CHANGES_MAX, "every delivery of a message may change at once");

/* One call of advance(): the rows as they become. */
struct turn {
  const struct message_facts *message;
  const struct happened *happened;
  struct delivery_facts rows[ADVANCE_CHANGES_MAX];
  bool changed[ADVANCE_CHANGES_MAX];
  struct advanced out;
};

static struct delivery_facts *turn_row(struct turn *turn)
{
  return &turn->rows[turn->happened->delivery];
}

static void row_set(struct turn *turn, size_t index, enum delivery_state state)
{
  struct delivery_facts *row = &turn->rows[index];

  row->state = state;
  if (state != DELIVERY_UNKNOWN)
    row->held = false;
  turn->changed[index] = true;
}

static void turn_set(struct turn *turn, enum delivery_state state)
{
  row_set(turn, turn->happened->delivery, state);
}

static void turn_ignore(struct turn *turn)
{
  turn->out.ignored = true;
}

static bool turn_is_newest(const struct turn *turn)
{
  return turn->happened->delivery + 1 == turn->message->n_deliveries;
}

/* Only the newest step hands on to the next one: whatever becomes of an older one later sends nothing. */
static bool turn_begin_next(struct turn *turn)
{
  if (!turn_is_newest(turn))
    return false;
  turn->out.begin_step = plan_next(turn->message, turn->rows);
  return turn->out.begin_step >= 0;
}

static void turn_fail(struct turn *turn, const char *reason)
{
  turn_set(turn, DELIVERY_FAILED);
  turn->out.reason = reason;
  turn_begin_next(turn);
}

static void turn_expire(struct turn *turn, const char *reason)
{
  turn_set(turn, DELIVERY_EXPIRED);
  turn->out.reason = reason;
}

/* What the facts say, over what the delivery was otherwise. A failure alone neither undoes an end of our own
 * (cancelled, expired, skipped) nor settles an attempt that is still open. */
static enum delivery_state facts_state(const struct delivery_facts *row)
{
  enum delivery_state state = (enum delivery_state)row->state;
  bool failure_counts = state != DELIVERY_SENDING && state != DELIVERY_CANCELLED && state != DELIVERY_EXPIRED &&
                        state != DELIVERY_SKIPPED;

  if (row->facts & FACT_READ)
    return DELIVERY_READ;
  if (row->facts & FACT_DELIVERED)
    return DELIVERY_DELIVERED;
  if ((row->facts & FACT_FAILED) && (failure_counts || (row->facts & FACT_SENT)))
    return DELIVERY_FAILED;
  return row->facts & FACT_SENT ? DELIVERY_SENT : state;
}

/* Once one step has reached what it should, the steps that still wait are not sent any more. */
static void turn_drop_waiting(struct turn *turn)
{
  if (!plan_reached(turn->message, turn->rows))
    return;
  for (size_t i = 0; i < turn->message->n_deliveries; i++) {
    if (turn->rows[i].state == DELIVERY_QUEUED)
      row_set(turn, i, DELIVERY_CANCELLED);
  }
}

static void turn_learn(struct turn *turn, uint32_t facts, const char *reason)
{
  struct delivery_facts *row = turn_row(turn);
  enum delivery_state was = (enum delivery_state)row->state, is;

  if ((row->facts | facts) == row->facts && facts_state(row) == was) {
    turn_ignore(turn); /* said before */
    return;
  }
  row->facts |= facts;
  is = facts_state(row);
  turn_set(turn, is);
  if (is == DELIVERY_FAILED && was != DELIVERY_FAILED) {
    turn->out.reason = reason;
    turn_begin_next(turn);
  }
  turn_drop_waiting(turn);
}

/* --- Not out: again later, or no more ----------------------------------------------------------------------------- */

static bool turn_has_lapsed(const struct turn *turn, const struct delivery_facts *row)
{
  int64_t lapse_ms = step_lapse_ms(turn->message, row);

  return lapse_ms != 0 && turn->message->now_ms >= lapse_ms;
}

static int64_t turn_due_ms(const struct turn *turn)
{
  int64_t now_ms = turn->message->now_ms;

  return turn->happened->retry_at_ms > now_ms ? turn->happened->retry_at_ms : now_ms;
}

static bool turn_wants_more(const struct turn *turn)
{
  const struct delivery_facts *row = &turn->rows[turn->happened->delivery];

  return (row->facts & FACT_FAILED) == 0 && !turn->message->cancelled && !plan_reached(turn->message, turn->rows);
}

/* Ends that come before another try of any kind. */
static bool turn_ends(struct turn *turn)
{
  if ((turn_row(turn)->facts & FACT_FAILED) != 0)
    turn_fail(turn, "receipt_failed");
  else if (!turn_wants_more(turn))
    turn_set(turn, DELIVERY_CANCELLED);
  else if (time_is_over(turn->message))
    turn_expire(turn, "expired");
  else
    return false;
  return true;
}

/* `within` is over and the step waits: its tries are cancelled, the next step starts; without one it has expired. */
static void turn_lapse(struct turn *turn)
{
  if (turn_begin_next(turn))
    turn_set(turn, DELIVERY_CANCELLED);
  else
    turn_expire(turn, "within_over");
}

static void turn_queue(struct turn *turn)
{
  turn_set(turn, DELIVERY_QUEUED);
  turn_row(turn)->due_ms = turn_due_ms(turn);
}

static void turn_retry(struct turn *turn)
{
  const struct message_facts *message = turn->message;

  if (turn_ends(turn))
    return;
  if (turn_is_newest(turn) && turn_has_lapsed(turn, turn_row(turn)))
    turn_lapse(turn);
  else if (message->expires_ms != 0 && turn_due_ms(turn) >= message->expires_ms && turn_begin_next(turn))
    turn_set(turn, DELIVERY_FAILED); /* no try is left for it, but time for the next step */
  else
    turn_queue(turn);
}

static bool turn_may_query(const struct turn *turn, const struct delivery_facts *row)
{
  const struct step_facts *step = &turn->message->steps[row->step];

  return step->can_query && (step->on_unknown == UNKNOWN_QUERY || step->on_unknown == UNKNOWN_DEFAULT);
}

static void turn_ask(struct turn *turn)
{
  turn_set(turn, DELIVERY_UNKNOWN);
  turn_row(turn)->due_ms = turn_due_ms(turn);
  turn->out.query = true;
}

/* Throttled, channel down, taken back: nothing left the house, so the attempt is given back. What went before may be
 * out all the same: where the plugin can say so, it is asked again before anything is sent. */
static void turn_take_back(struct turn *turn)
{
  struct delivery_facts *row = turn_row(turn);

  if (row->attempt > 0)
    row->attempt--;
  if (turn_ends(turn))
    return;
  if (row->maybe_twice && turn_may_query(turn, row))
    turn_ask(turn);
  else if (!row->maybe_twice && turn_is_newest(turn) && turn_has_lapsed(turn, row))
    turn_lapse(turn);
  else
    turn_queue(turn);
}

/* Nobody can know whether the provider has it. The token rises first: whoever held it isn't believed any more. What has
 * killed its plugin's process too often is held whatever the policy. */
static void turn_unknown(struct turn *turn)
{
  struct delivery_facts *row = turn_row(turn);
  const struct step_facts *step = &turn->message->steps[row->step];
  bool poison;

  row->token++;
  row->maybe_twice = true;
  row->deaths += turn->happened->died;
  poison = turn->happened->died && row->deaths >= POISON_DEATHS;
  if ((poison || step->on_unknown == UNKNOWN_HOLD) && turn_wants_more(turn)) {
    turn_set(turn, DELIVERY_UNKNOWN);
    row->held = true;
    turn->out.reason = poison ? "poison" : "unknown_outcome";
  } else if (turn_ends(turn)) {
    return;
  } else if (turn_may_query(turn, row)) {
    turn_ask(turn);
  } else {
    turn_queue(turn);
  }
}

/* --- What happened ------------------------------------------------------------------------------------------------ */

static void on_success(struct turn *turn, uint32_t facts)
{
  struct delivery_facts *row = turn_row(turn);
  bool mine = turn->happened->token == row->token;
  bool waits = row->state == DELIVERY_QUEUED || row->state == DELIVERY_UNKNOWN;

  if (!mine && !waits)
    turn_ignore(turn);
  else
    turn_learn(turn, facts, "receipt_failed"); /* a failure that came before the success it follows */
}

static void on_outcome(struct turn *turn)
{
  uint32_t outcome = turn->happened->outcome;
  struct delivery_facts *row = turn_row(turn);

  if (outcome == PARLEY_OUTCOME_ACCEPTED || outcome == PARLEY_OUTCOME_DELIVERED) {
    on_success(turn, outcome == PARLEY_OUTCOME_ACCEPTED ? FACT_SENT : FACT_SENT | FACT_DELIVERED);
    return;
  }
  if (turn->happened->token != row->token || row->state != DELIVERY_SENDING) {
    turn_ignore(turn);
    return;
  }
  switch (outcome) {
  case PARLEY_OUTCOME_RETRY:
    turn_retry(turn);
    break;
  case PARLEY_OUTCOME_REJECTED:
  case PARLEY_OUTCOME_BAD_ADDRESS:
    row->facts |= FACT_FAILED;
    turn->out.suppress_address = outcome == PARLEY_OUTCOME_BAD_ADDRESS;
    turn_fail(turn, outcome == PARLEY_OUTCOME_BAD_ADDRESS ? "bad_address" : "rejected");
    break;
  case 0:
  case PARLEY_OUTCOME_THROTTLED:
  case PARLEY_OUTCOME_CHANNEL_DOWN:
    turn_take_back(turn);
    break;
  default: /* PARLEY_OUTCOME_UNKNOWN, and what a plugin of another age may say */
    turn_unknown(turn);
    break;
  }
}

/* What was never handed over cannot have a receipt: that one is about something else. */
static void on_receipt(struct turn *turn)
{
  struct delivery_facts *row = turn_row(turn);

  if (row->attempt == 0 && !row->maybe_twice && row->facts == 0)
    turn_ignore(turn);
  else
    turn_learn(turn, turn->happened->fact, "receipt_failed");
}

static void on_orphan(struct turn *turn)
{
  if (turn_row(turn)->state == DELIVERY_SENDING)
    turn_unknown(turn);
  else
    turn_ignore(turn);
}

/* What was due may have gone out after the backup was made, and nobody knows: an operator decides. What was not due yet has not: it
 * keeps its time. All of it is marked; what is too late to send by now has nothing left to decide. */
static void on_restored(struct turn *turn)
{
  struct delivery_facts *row = turn_row(turn);
  bool waits = row->state == DELIVERY_QUEUED;
  bool steps_left = row->state <= DELIVERY_DELIVERED && turn_is_newest(turn) && !plan_reached(turn->message, turn->rows) &&
                    plan_next(turn->message, turn->rows) >= 0;

  if (row->held || (row->state > DELIVERY_UNKNOWN && (!steps_left || row->maybe_twice)) ||
      (waits && row->maybe_twice && row->due_ms > turn->message->now_ms)) {
    turn_ignore(turn);
    return;
  }
  row->maybe_twice = true;
  turn_set(turn, (enum delivery_state)row->state);
  if (row->state > DELIVERY_UNKNOWN || (waits && row->due_ms > turn->message->now_ms))
    return;
  row->token++;
  if ((waits || !turn_wants_more(turn)) && turn_ends(turn))
    return;
  turn_set(turn, DELIVERY_UNKNOWN);
  row->held = true;
  turn->out.reason = "restored";
}

static void on_lapse(struct turn *turn)
{
  size_t index = turn->happened->delivery;
  struct delivery_facts *row = turn_row(turn);

  if (!turn_has_lapsed(turn, row) || !step_can_lapse(turn->message, turn->rows, index))
    turn_ignore(turn);
  else if (row->state == DELIVERY_QUEUED)
    turn_lapse(turn);
  else
    turn_begin_next(turn);
}

/* All that waits ends. What is in flight ends when it settles; what an operator holds stays his when time runs out. */
static void turn_end_waiting(struct turn *turn, enum delivery_state end)
{
  for (size_t i = 0; i < turn->message->n_deliveries; i++) {
    const struct delivery_facts *row = &turn->rows[i];
    bool waits =
        row->state == DELIVERY_QUEUED || (row->state == DELIVERY_UNKNOWN && (!row->held || end == DELIVERY_CANCELLED));

    if (waits)
      row_set(turn, i, end);
  }
}

static bool turn_has_change(const struct turn *turn)
{
  for (size_t i = 0; i < turn->message->n_deliveries; i++) {
    if (turn->changed[i])
      return true;
  }
  return false;
}

static void on_expire(struct turn *turn)
{
  if (time_is_over(turn->message))
    turn_end_waiting(turn, DELIVERY_EXPIRED);
  turn->out.reason = "expired";
  turn->out.ignored = !turn_has_change(turn);
}

static void on_cancel(struct turn *turn)
{
  const struct message_facts *message = turn->message;
  bool drops_steps = false;

  if (message->cancelled) {
    turn_ignore(turn);
    return;
  }
  for (size_t i = 0; i < message->n_deliveries; i++) {
    const struct delivery_facts *row = &turn->rows[i];

    if (row->state == DELIVERY_SENDING)
      drops_steps = true; /* it may fail yet: then no more tries and no next step */
    if (row->state == DELIVERY_SENT || row->state == DELIVERY_DELIVERED || row->state == DELIVERY_READ) {
      turn->out.too_late = true;
      drops_steps |= plan_next(message, turn->rows) >= 0;
    }
  }
  turn_end_waiting(turn, DELIVERY_CANCELLED);
  turn->out.ignored = !drops_steps && !turn_has_change(turn);
}

static void on_resolve(struct turn *turn)
{
  if (turn_row(turn)->state != DELIVERY_UNKNOWN) {
    turn_ignore(turn);
    return;
  }
  if (turn->happened->what == HAPPEN_RESOLVE_SENT) {
    turn_learn(turn, FACT_SENT, NULL);
  } else if (turn->happened->what == HAPPEN_RESOLVE_DISCARD) {
    turn_set(turn, DELIVERY_FAILED); /* it may be out: no next step */
    turn->out.reason = "discarded";
  } else if (!turn_ends(turn)) {
    if (turn_row(turn)->deaths >= POISON_DEATHS)
      turn_row(turn)->deaths = 0; /* on the operator's word it is counted anew */
    turn_queue(turn);
  }
}

/* What may be out unseen is waited for all the same: never another provider from unknown. */
static void on_stopped(struct turn *turn)
{
  if (turn_row(turn)->state != DELIVERY_QUEUED) {
    turn_ignore(turn);
    return;
  }
  turn_set(turn, DELIVERY_SKIPPED);
  turn->out.reason = turn->happened->reason;
  if (!turn_row(turn)->maybe_twice)
    turn_begin_next(turn);
}

static void turn_run(struct turn *turn)
{
  switch (turn->happened->what) {
  case HAPPEN_OUTCOME: on_outcome(turn); break;
  case HAPPEN_RECEIPT: on_receipt(turn); break;
  case HAPPEN_ORPHAN: on_orphan(turn); break;
  case HAPPEN_EXPIRE: on_expire(turn); break;
  case HAPPEN_LAPSE: on_lapse(turn); break;
  case HAPPEN_RESTORED: on_restored(turn); break;
  case HAPPEN_STOPPED: on_stopped(turn); break;
  case HAPPEN_CANCEL: on_cancel(turn); break;
  case HAPPEN_RESOLVE_RESEND:
  case HAPPEN_RESOLVE_DISCARD:
  case HAPPEN_RESOLVE_SENT: on_resolve(turn); break;
  }
}

/* The message as it is when a cancel has been remembered. */
static struct message_facts turn_message(const struct turn *turn)
{
  struct message_facts message = *turn->message;

  if (turn->happened->what == HAPPEN_CANCEL && !turn->out.ignored)
    message.cancelled = true;
  return message;
}

static void turn_finish(struct turn *turn)
{
  struct message_facts message = turn_message(turn);
  struct advanced *out = &turn->out;

  for (size_t i = 0; i < message.n_deliveries; i++) {
    if (turn->changed[i]) {
      out->changes[out->n_changes].delivery = i;
      out->changes[out->n_changes++].to = turn->rows[i];
    }
  }
  if (out->begin_step >= 0) { /* it counts from now on */
    assert(message.n_deliveries < PLAN_STEPS_MAX);
    turn->rows[message.n_deliveries++] = (struct delivery_facts){.step = (uint32_t)out->begin_step,
                                                                 .state = DELIVERY_QUEUED,
                                                                 .started_ms = message.now_ms,
                                                                 .due_ms = message.now_ms};
  }
  out->after = rows_fold(turn->rows, message.n_deliveries, MESSAGE_FAILED);
  out->wake_ms = rows_wake_ms(&message, turn->rows);
  if (out->after != MESSAGE_FAILED && out->after != MESSAGE_EXPIRED && out->after != MESSAGE_HELD &&
      out->after != MESSAGE_SUPPRESSED)
    out->reason = NULL;
}

struct advanced advance(const struct message_facts *message, const struct happened *happened)
{
  struct turn turn = {.message = message, .happened = happened, .out = {.begin_step = -1}};
  bool of_all = happened->what == HAPPEN_CANCEL || happened->what == HAPPEN_EXPIRE;

  assert(message->n_deliveries <= ADVANCE_CHANGES_MAX);
  for (size_t i = 0; i < message->n_deliveries; i++)
    turn.rows[i] = message->deliveries[i];
  turn.out.before = message_fold(message, MESSAGE_FAILED);
  if (!of_all && happened->delivery >= message->n_deliveries)
    turn_ignore(&turn);
  else
    turn_run(&turn);
  turn_finish(&turn);
  return turn.out;
}
