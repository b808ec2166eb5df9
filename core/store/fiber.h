/* fiber.h - a function that may stop in its middle and go on later, on the loop's thread: what an op of a database behind a
 * socket is, so that its steps read as they follow each other. Nothing else in core/ has fibers.
 *
 * Threads   the one that made it. A fiber runs inside fiber_start() or fiber_resume(), until it yields or ends.
 * Memory    a stack of FIBER_STACK_BYTES with a guard page below; what was not touched costs nothing. Stacks are kept for reuse. */
#ifndef CORE_STORE_FIBER_H
#define CORE_STORE_FIBER_H
#include "core/base/list.h"

#define FIBER_STACK_BYTES ((size_t)512 << 10)
#define FIBER_POOL_IDLE_MAX 160 /* stacks that are kept: those of a full round and of the readers; about 8 KiB each are in use */

struct fiber;
struct fiber_pool { struct list idle; size_t n_idle; };
void fiber_pool_init(struct fiber_pool *pool);
void fiber_pool_done(struct fiber_pool *pool); /* all have ended */
/* Runs fn(self, arg) at once. The fiber is given back to its pool when fn returns: nobody may resume it afterwards. */
void fiber_start(struct fiber_pool *pool, void (*fn)(struct fiber *self, void *arg), void *arg);
void fiber_yield(struct fiber *self);    /* inside: back to whoever started or resumed it */
void fiber_resume(struct fiber *fiber);  /* outside: one that has yielded */
#endif
