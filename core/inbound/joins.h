/* joins.h - when the texts that wait for pieces are looked at: at the time of the one that is due first, and now and then, since
 * another node of the store may leave some behind. Owns its timer. Waits by the monotonic clock, which is set to the time of day once:
 * so a wall clock that jumps delivers nothing early and keeps nothing back. Thread: loop. Private to core/inbound. */
#ifndef CORE_INBOUND_JOINS_H
#define CORE_INBOUND_JOINS_H
#include "inbound.h"

#define JOINS_LOOK_MS 60000 /* now and then */
#define JOINS_UNSAID_WAIT_MS 60000 /* for the pieces of a text, until the configuration has said how long */
#define JOINS_AGAIN_MS 1000 /* after a sweep that the store could not do */

struct joins;
typedef void joins_heard_fn(const struct store_heard *heard, void *arg); /* of each message that a sweep has made */
/* Everything is borrowed and outlives the result. */
struct joins *joins_new(uv_loop_t *loop, const struct env *env, struct store *store, joins_heard_fn *heard, void *arg);
void joins_use(struct joins *joins, struct policy *policy); /* takes a reference */
int64_t joins_now(const struct joins *joins);               /* what due times are counted by */
void joins_at(struct joins *joins, int64_t due_ms);         /* something is due then; 0: at once */
/* After the sweep that is under way. */
void joins_close(struct joins **joins, void (*closed)(void *arg), void *arg);
#endif
