/* state.h - what advance.c and the fold share: how deliveries fold into their message, when a step of the plan is
 * reached, which step may come next, and when a message must be looked at again. Pure. Private to core/route. Thread:
 * any. */
#ifndef CORE_ROUTE_STATE_H
#define CORE_ROUTE_STATE_H
#include "advance.h"

enum message_state rows_fold(const struct delivery_facts *rows, size_t n_rows, enum message_state end);
/* rows: as message->deliveries, perhaps changed already; message->n_deliveries of them. */
bool step_reached(const struct step_facts *step, uint32_t facts);
bool plan_reached(const struct message_facts *message, const struct delivery_facts *rows);
/* The step to begin after those begun; -1: none, or the message is cancelled, expired or has reached what it should. */
int plan_next(const struct message_facts *message, const struct delivery_facts *rows);
int64_t step_lapse_ms(const struct message_facts *message, const struct delivery_facts *row); /* 0: never */
/* Whether the end of `within` would do something now: the newest step waits, and certainly isn't out, or is out without
 * having reached what it should and another step is left. What may be out unseen is waited for: never another provider
 * from unknown. */
bool step_can_lapse(const struct message_facts *message, const struct delivery_facts *rows, size_t index);
int64_t rows_wake_ms(const struct message_facts *message, const struct delivery_facts *rows);

static inline bool time_is_over(const struct message_facts *message)
{
  return message->expires_ms != 0 && message->now_ms >= message->expires_ms;
}
#endif
