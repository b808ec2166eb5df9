/* target.h - what a message may point at: telephone numbers and links. Pure. Thread: any. */
#ifndef CORE_MESSAGE_TARGET_H
#define CORE_MESSAGE_TARGET_H
#include "core/base/arena.h"
#include <stdbool.h>

#define PHONE_DIGITS_MIN 7 /* Tokelau has no more */
#define PHONE_DIGITS_MAX 15 /* E.164 */
#define LINK_BYTES_MAX 2048
/* E.164 with '+'; the separators " -.()" are dropped, anything else is refused. The result lives in the arena. On failure
 * false, and *reterr_why says in words (static) what is wrong. */
bool phone_normalise(parley_text raw, struct arena *arena, parley_text *ret, const char **reterr_why);
/* An absolute link, http or https (https_only: the latter alone), without user name, spaces and control bytes. */
bool link_ok(parley_text url, bool https_only);
#endif
