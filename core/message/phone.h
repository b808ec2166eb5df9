/* phone.h - telephone numbers: from what people, programs and SMS networks write to E.164. Pure. Thread: any.
 *
 * What begins with '+' is read here, in a microsecond. What only a country's numbering plan can tell (national formats, 00 and 011,
 * letters) is asked of the plan, where the configuration names a country; that takes some 50 us. A number
 * is taken when its length is possible; whether its range is in use is the provider's to say, whose tables are newer than ours. */
#ifndef CORE_MESSAGE_PHONE_H
#define CORE_MESSAGE_PHONE_H
#include "core/base/arena.h"
#include "phone_plan.h"
#include <stdbool.h>

#define PHONE_DIGITS_MIN 7 /* Tokelau has no more */
#define PHONE_DIGITS_MAX 15 /* E.164 */
#define PHONE_RAW_BYTES_MAX 128 /* what is written otherwise is looked at no further */
#define PHONE_SHORT_MIN 3 /* digits of a short code */
#define PHONE_SHORT_MAX 8

struct phone_plan { /* of a country; read NULL: none, numbers begin with '+' */
  char country[3];
  phone_read_fn *read;
};
/* E.164 with '+'. Taken: "+34 600-11.12(22)", digits of any script, "tel:+34600111222;isub=1" (RFC 3966); with a plan what it knows.
 * plan: NULL is none. The result lives in the arena and stays as it is when it is read again. On failure false, and *reterr_why says
 * in words (static) what is wrong, *reterr_hint what could be done, if anything. */
bool phone_normalise(const struct phone_plan *plan, parley_text raw, struct arena *arena, parley_text *ret, const char **reterr_why,
                     const char **reterr_hint);
/* 3 to 8 digits and nothing else: a number of one network, or of one country's networks, that nobody dials from abroad. */
bool phone_is_short_code(parley_text text);
#endif
