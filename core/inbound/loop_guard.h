/* loop_guard.h - counts what comes from each address within an hour, and says when it is too much. In memory only, of this node:
 * a loop is fast. Owns its table of fixed size; when that is full, the address that has been quiet longest makes room. Pure but for
 * its own state. Thread: loop. Times: mono ms. */
#ifndef CORE_INBOUND_LOOP_GUARD_H
#define CORE_INBOUND_LOOP_GUARD_H
#include "core/base/text.h"

struct loop_guard;
struct loop_guard *loop_guard_new(uint32_t per_hour, size_t addresses_max); /* both above 0 */
void loop_guard_free(struct loop_guard **guard);
/* Counts one more of this address on this channel; true: it is one too many. E-mail addresses come without regard to case. */
bool loop_guard_over(struct loop_guard *guard, parley_text channel, parley_text address, int64_t mono_ms);
#endif
