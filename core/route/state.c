#include "state.h"

const char *delivery_state_name(enum delivery_state state)
{
  switch (state) {
  case DELIVERY_QUEUED: return "queued";
  case DELIVERY_SENDING: return "sending";
  case DELIVERY_UNKNOWN: return "unknown";
  case DELIVERY_SENT: return "sent";
  case DELIVERY_DELIVERED: return "delivered";
  case DELIVERY_READ: return "read";
  case DELIVERY_FAILED: return "failed";
  case DELIVERY_SKIPPED: return "skipped";
  case DELIVERY_EXPIRED: return "expired";
  case DELIVERY_CANCELLED: return "cancelled";
  case DELIVERY_PLANNED: return "planned";
  }
  return "unknown";
}

const char *message_state_name(enum message_state state)
{
  switch (state) {
  case MESSAGE_QUEUED: return "queued";
  case MESSAGE_SENDING: return "sending";
  case MESSAGE_SENT: return "sent";
  case MESSAGE_DELIVERED: return "delivered";
  case MESSAGE_READ: return "read";
  case MESSAGE_FAILED: return "failed";
  case MESSAGE_EXPIRED: return "expired";
  case MESSAGE_CANCELLED: return "cancelled";
  case MESSAGE_SUPPRESSED: return "suppressed";
  case MESSAGE_HELD: return "held";
  case MESSAGE_STATES: break;
  }
  return "unknown";
}

bool message_state_parse(parley_text word, enum message_state *ret)
{
  for (int state = 0; state < MESSAGE_STATES; state++) {
    if (parley_text_is(word, message_state_name((enum message_state)state))) {
      *ret = (enum message_state)state;
      return true;
    }
  }
  return false;
}

bool message_state_final(enum message_state state)
{
  switch (state) {
  case MESSAGE_QUEUED:
  case MESSAGE_SENDING:
  case MESSAGE_HELD:
  case MESSAGE_STATES:
    return false;
  case MESSAGE_SENT:
  case MESSAGE_DELIVERED:
  case MESSAGE_READ:
  case MESSAGE_FAILED:
  case MESSAGE_EXPIRED:
  case MESSAGE_CANCELLED:
  case MESSAGE_SUPPRESSED:
    return true;
  }
  return false;
}

/* How much a delivery's state says about its message: the largest wins. 0: it has ended, and says nothing while another
 * is open. */
static int state_rank(const struct delivery_facts *row)
{
  switch ((enum delivery_state)row->state) {
  case DELIVERY_READ: return 7;
  case DELIVERY_DELIVERED: return 6;
  case DELIVERY_SENT: return 5;
  case DELIVERY_UNKNOWN: return row->held ? 4 : 3;
  case DELIVERY_SENDING: return 3;
  case DELIVERY_QUEUED:
  case DELIVERY_PLANNED: return 2;
  case DELIVERY_FAILED:
  case DELIVERY_EXPIRED:
  case DELIVERY_SKIPPED:
  case DELIVERY_CANCELLED: return 1;
  }
  return 0;
}

static enum message_state state_of_ended(const struct delivery_facts *row)
{
  if (row->state == DELIVERY_EXPIRED)
    return MESSAGE_EXPIRED;
  if (row->state == DELIVERY_SKIPPED)
    return MESSAGE_SUPPRESSED;
  return row->state == DELIVERY_CANCELLED ? MESSAGE_CANCELLED : MESSAGE_FAILED;
}

enum message_state rows_fold(const struct delivery_facts *rows, size_t n_rows, enum message_state end)
{
  static const enum message_state by_rank[] = {MESSAGE_FAILED, MESSAGE_FAILED, MESSAGE_QUEUED, MESSAGE_SENDING,
                                               MESSAGE_HELD, MESSAGE_SENT, MESSAGE_DELIVERED, MESSAGE_READ};
  int best = 0;

  for (size_t i = 0; i < n_rows; i++) {
    int rank = state_rank(&rows[i]);

    if (rank > best)
      best = rank;
    if (rank == 1)
      end = state_of_ended(&rows[i]); /* the last one that ended has the word when none is better */
  }
  return best > 1 ? by_rank[best] : end;
}

enum message_state message_fold(const struct message_facts *message, enum message_state end)
{
  return rows_fold(message->deliveries, message->n_deliveries, end);
}

bool step_reached(const struct step_facts *step, uint32_t facts)
{
  switch (step->until) {
  case UNTIL_SENT: return (facts & (FACT_SENT | FACT_DELIVERED | FACT_READ | FACT_REPLIED)) != 0;
  case UNTIL_DELIVERED: return (facts & (FACT_DELIVERED | FACT_READ | FACT_REPLIED)) != 0;
  case UNTIL_READ: return (facts & (FACT_READ | FACT_REPLIED)) != 0;
  case UNTIL_REPLIED: return (facts & FACT_REPLIED) != 0;
  }
  return facts != 0 && facts != FACT_FAILED;
}

bool plan_reached(const struct message_facts *message, const struct delivery_facts *rows)
{
  for (size_t i = 0; i < message->n_deliveries; i++) {
    if (step_reached(&message->steps[rows[i].step], rows[i].facts))
      return true;
  }
  return false;
}

int plan_next(const struct message_facts *message, const struct delivery_facts *rows)
{
  size_t step = message->n_deliveries == 0 ? 0 : rows[message->n_deliveries - 1].step + 1;

  if (message->cancelled || time_is_over(message) || plan_reached(message, rows))
    return -1;
  for (; step < message->n_steps; step++) {
    if (message->steps[step].go)
      return (int)step;
  }
  return -1;
}

int64_t step_lapse_ms(const struct message_facts *message, const struct delivery_facts *row)
{
  int64_t within_ms = message->steps[row->step].within_ms;

  if (within_ms == 0)
    return 0;
  return (row->handed_ms != 0 ? row->handed_ms : row->started_ms) + within_ms;
}

static bool before_expiry(const struct message_facts *message, int64_t at_ms)
{
  return message->expires_ms == 0 || at_ms < message->expires_ms;
}

bool step_can_lapse(const struct message_facts *message, const struct delivery_facts *rows, size_t index)
{
  const struct delivery_facts *row = &rows[index];

  if (index + 1 != message->n_deliveries || step_lapse_ms(message, row) == 0)
    return false;
  switch ((enum delivery_state)row->state) {
  case DELIVERY_QUEUED:
    return !row->maybe_twice;
  case DELIVERY_SENT:
  case DELIVERY_DELIVERED:
  case DELIVERY_READ:
    return plan_next(message, rows) >= 0 &&
           before_expiry(message, step_lapse_ms(message, row)); /* false: reached, too */
  case DELIVERY_SENDING:
  case DELIVERY_UNKNOWN:
  case DELIVERY_FAILED:
  case DELIVERY_SKIPPED:
  case DELIVERY_EXPIRED:
  case DELIVERY_CANCELLED:
  case DELIVERY_PLANNED:
    return false;
  }
  return false;
}

static int64_t sooner(int64_t a_ms, int64_t b_ms) /* 0: never */
{
  if (a_ms == 0 || b_ms == 0)
    return a_ms + b_ms;
  return a_ms < b_ms ? a_ms : b_ms;
}

int64_t rows_wake_ms(const struct message_facts *message, const struct delivery_facts *rows)
{
  int64_t wake_ms = 0;

  for (size_t i = 0; i < message->n_deliveries; i++) {
    if (rows[i].state == DELIVERY_QUEUED || (rows[i].state == DELIVERY_UNKNOWN && !rows[i].held))
      wake_ms = sooner(wake_ms, message->expires_ms);
    if (step_can_lapse(message, rows, i))
      wake_ms = sooner(wake_ms, step_lapse_ms(message, &rows[i]));
  }
  return wake_ms;
}

int64_t message_wake_ms(const struct message_facts *message)
{
  return rows_wake_ms(message, message->deliveries);
}
