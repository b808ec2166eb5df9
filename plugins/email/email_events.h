/* email_events.h - the event webhooks of mail providers, at /in/<channel>/{ses,sendgrid,mailgun,postmark}: verified
 * (event_verify.h), read (event_read.h), given to the host as receipts and answered once all of them are committed. Owns its calls
 * until they are answered, and SNS's keys. Thread: loop. Bounded: EMAIL_EVENTS_OPEN_MAX calls, EMAIL_EVENTS_AHEAD_MAX receipts of
 * each at once.
 *
 * Answers: 200; 401 (the signature does not hold; nothing is stored); 404 (not a provider, or none of the options); 405; 422 (no JSON);
 * 503 with Retry-After (send it again). What a provider says of mails that are not ours is 200, too: it would only come again. */
#ifndef EMAIL_EVENTS_H
#define EMAIL_EVENTS_H
#include "event_read.h"
#include <parley/ext/http-in.h>

enum { EMAIL_EVENTS_OPEN_MAX = 256, EMAIL_EVENTS_AHEAD_MAX = 64, EMAIL_EVENTS_TOKENS_MAX = 1024, EMAIL_EVENTS_KEYS_MAX = 4 };
extern const parley_option *const email_events_fields[]; /* of the option `events`, a group */

struct email_events;
/* options: the group. PARLEY_INVALID: *ret_why (static) says which and why. */
parley_status email_events_new(const parley_host *host, const parley_value *options, struct email_events **ret, const char **ret_why);
bool email_events_any(const struct email_events *events);
bool email_events_has(const struct email_events *events, enum event_provider provider);
void email_events_called(struct email_events *events, uint64_t call, const parley_http_call *request);
void email_events_stop(struct email_events *events); /* nothing more is answered */
void email_events_free(struct email_events **events); /* after the host has completed every call */
#endif
