/* event_read.h - what the event webhooks of mail providers say, as receipts. Verified already: a Message-ID is believed here. Pure.
 * Thread: any. Fields that are absent, too long or of another type are as if not given; an event that names no mail of ours, or
 * that nobody needs (processed, deferred, accepted), is passed over. */
#ifndef EMAIL_EVENT_READ_H
#define EMAIL_EVENT_READ_H
#include "mail_report.h"
#include <jansson.h>

enum event_provider { EVENT_SES, EVENT_SENDGRID, EVENT_MAILGUN, EVENT_POSTMARK, EVENT_PROVIDERS };
extern const char *const event_provider_names[EVENT_PROVIDERS]; /* "ses", ... as in the path and the options */
enum { EVENT_MESSAGE_ID_MAX = 320, EVENT_LINK_MAX = 2000, EVENT_TRACE_MAX = 1024 };
#define EVENT_TRACE_NAME "parley" /* of what carries our token: a tag, a custom argument, metadata */

struct mail_event {
  uint32_t receipt, outcome; /* PARLEY_RECEIPT_*, PARLEY_OUTCOME_* of FAILED */
  int64_t at_ms;             /* 0: not said */
  char token[MAIL_REPORT_TOKEN + 1];
  char message_id[EVENT_MESSAGE_ID_MAX + 1];
  char to[MAIL_REPORT_ADDRESS_MAX + 1];
  char code[MAIL_STATUS_MAX];
  char detail[MAIL_REPORT_DETAIL_MAX + 1];
  char link[EVENT_LINK_MAX + 1];
};
/* root: the body; of SES the record within the SNS message. */
size_t event_count(enum event_provider provider, const json_t *root);
bool event_read(enum event_provider provider, const json_t *root, size_t index, struct mail_event *ret);
/* The name of the header by which a mail sent through that provider brings our token back. */
const char *event_trace_name(enum event_provider provider);
/* Its value, EVENT_TRACE_MAX bytes. own: what the sender gave for that header, which stays in it, or empty. PARLEY_NOT_FOUND: token is
 * none; PARLEY_INVALID: both cannot stand in one. */
parley_status event_trace_value(enum event_provider provider, parley_text token, parley_text own, char *value);
/* Borrows from event and *to. several: the provider speaks of several recipients at once. */
void event_receipt(const struct mail_event *event, bool several, parley_identity *to, parley_receipt *ret);
#endif
