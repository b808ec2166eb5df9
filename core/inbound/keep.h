/* keep.h - what a plugin hands in with a message (parley_part.data of MEDIA and CONTACT) becomes media of the store first, by content;
 * then comes the message, which names it. What is stored and never named (a power cut between the two) is found again by its content
 * when the provider comes again. Hashed in the pool. Private to core/inbound. Thread: loop.
 *
 * Bounded: KEEP_PART_BYTES_MAX a part, CONTENT_MEDIA_MAX parts a message (no message names more), KEEP_BYTES_MAX of all that are under
 * way. */
#ifndef CORE_INBOUND_KEEP_H
#define CORE_INBOUND_KEEP_H
#include "inbound.h"

#define KEEP_PART_BYTES_MAX ((size_t)1 << 20) /* parley_host.inline_max */
#define KEEP_BYTES_MAX ((size_t)64 << 20)     /* beyond, the plugin hears BUSY */

struct keeper { uv_loop_t *loop; struct store *store; size_t bytes; /* under way */ };

bool keep_is_needed(const parley_inbound *in);
/* in: as it was, but that parts whose content is kept have media and a type instead of data; lives for the call. NULL: reason. */
typedef void keep_done(parley_status status, const parley_inbound *in, parley_text reason, void *arg);
/* OK: done comes once, never within the call, with OK or BUSY. BUSY, INVALID: it does not; *reterr_why says why. in is copied; keeper
 * is borrowed until done. */
parley_status keep_take(struct keeper *keeper, const parley_inbound *in, keep_done *done, void *arg, const char **reterr_why);
#endif
