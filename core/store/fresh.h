/* fresh.h - what accept or a claim has just written of messages that are with their channel, kept so that the first thing that
 * happens to one need not be read back. One a store. Owns copies. Thread: the writer's.
 *
 * A message stands here from its claim until life_load() takes it, once, or FRESH_MAX newer ones have come, or a round fails:
 * while its one begun delivery is SENDING under our session, and no receipt has come. Whoever changes a row of `message` or
 * `delivery` by another way than life_load() sees to it that it can't be one of those. Where others write as well (ways->shared)
 * life_load() asks whether the delivery still stands so; the message itself never changes. Private to core/store. */
#ifndef CORE_STORE_FRESH_H
#define CORE_STORE_FRESH_H
#include "write.h"

#define FRESH_MAX 4096 /* messages; beyond, the oldest is read back like any other */

struct fresh_message { /* as message_read() and row_read() would have it, of a plan with one sendable step */
  id64 id, customer, identity, conversation, api_key;
  int64_t created_ms, expires_ms;
  uint32_t flags, n_steps;
  enum topic_class class;
  parley_text topic, key;
  struct delivery_facts facts;
  struct life_row row;
  struct step_facts step;
};
struct fresh;
struct fresh *fresh_new(void);
void fresh_free(struct fresh **fresh);
void fresh_clear(struct fresh *fresh); /* a round was rolled back: nobody knows which of them are written */
void fresh_put(struct fresh *fresh, const struct fresh_message *message); /* copied; it stands here no second time */
/* Texts in the arena. False: not here. */
bool fresh_take(struct fresh *fresh, id64 message, struct arena *arena, struct fresh_message *ret);
#endif
