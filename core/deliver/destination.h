/* destination.h - which mail domains are one and the same receiver: what one of a provider's domains says about how fast we may
 * come holds for all of them. Only domains whose provider runs them as one service; the rest are their own. Pure. Thread: any. */
#ifndef CORE_DELIVER_DESTINATION_H
#define CORE_DELIVER_DESTINATION_H
#include <parley/plugin.h>

/* "googlemail.com" -> "gmail.com" (static); any other is given back as it is. domain: lower case. */
parley_text destination_of(parley_text domain);
#endif
