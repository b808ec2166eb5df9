/* email.h - one e-mail address: checked against RFC 5321 section 4.1.2 (and 6531: UTF-8 in the local part), and made
 * canonical. No comments, no groups, no display names. Pure. Thread: any. */
#ifndef CORE_CUSTOMER_EMAIL_H
#define CORE_CUSTOMER_EMAIL_H
#include "core/base/arena.h"
#include <stdbool.h>

#define EMAIL_LOCAL_BYTES_MAX 64 /* RFC 5321 section 4.5.3.1 */
#define EMAIL_DOMAIN_BYTES_MAX 253
#define EMAIL_BYTES_MAX 254
#define EMAIL_RAW_BYTES_MAX 1200 /* before the domain is turned into A-labels */
/* The local part is kept, but for quotes that it does not need; the domain becomes lower case and A-labels (IDNA 2008,
 * UTS 46 non-transitional); an address literal its shortest form. Linear. The result lives in the arena. On failure false,
 * and *reterr_why says in words (static) what is wrong. */
bool email_normalise(parley_text raw, struct arena *arena, parley_text *ret, const char **reterr_why);
/* Where the '@' stands that parts local part and domain, in a normalised address; its length when there is none. */
size_t email_at(parley_text email);
#endif
