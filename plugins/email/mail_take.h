/* mail_take.h - one received mail on its way to the host, whatever brought it (LMTP, SMTP, IMAP): parses it (large ones on the work
 * pool), uploads what is larger than inline_max, and makes of it what its recipients say:
 *   log+<token>@          an inbound with PARLEY_ECHO, which the host files as sent to the customer; nothing is sent
 *   unsubscribe+<token>@  receipt UNSUBSCRIBED, message_id = the token
 *   bounce+<token>@, or a report   the report hook; what it does not take comes in as an automatic message
 *   anything else         an inbound message, with the token of a reply+<token>@ if there is one; the raw mail beside it
 * done() comes once, never within mail_take(), after the commit: one verdict for each recipient, in their order.
 * Bounded: MAIL_TAKE_OPEN_MAX mails and MAIL_TAKE_BYTES_MAX bytes at once; beyond, the verdict is PARLEY_BUSY.
 * Owned by the channel. Thread: loop. */
#ifndef EMAIL_MAIL_TAKE_H
#define EMAIL_MAIL_TAKE_H
#include "mail_parse.h"
#include <parley/ext/media.h>

enum { MAIL_TAKE_OPEN_MAX = 256, MAIL_TAKE_BYTES_MAX = 128 << 20, MAIL_TAKE_INLINE_PARSE_MAX = 128 << 10 };

struct mail_envelope { /* borrowed for the call */
  bool known;                   /* the transport told return_path and recipients; false (IMAP): the headers do, one verdict */
  parley_text return_path;      /* empty: null sender */
  const parley_text *recipients;
  uint32_t n_recipients;
  parley_text source_id; /* names this mail at its source for good ("uidvalidity.uid"); empty: Message-ID and content do */
  int64_t at_ms;         /* when the source got it; 0: its Date */
};
struct mail_verdict {
  parley_status status; /* PARLEY_OK: committed; BUSY, RETRY: again later; REJECTED, INVALID, NOT_FOUND: never */
  bool repeated;        /* it had been taken before; nothing new was stored */
};
/* each: n verdicts; reason: for a person, of the first one that is not OK. Both until it returns. */
typedef void mail_taken(const struct mail_verdict *each, uint32_t n, parley_text reason, void *arg);

/* The hook for delivery reports and complaints (mail_report.h). token: of the address it came to, or empty. true: it tells of a
 * message of ours, its receipts are on their way to the host, and done() comes once, never within the call, with the verdict on the
 * whole (OK: committed). false: nothing was done, the mail is taken in as an automatic message. message (a GMimeMessage) is not used
 * after the call. */
typedef bool mail_take_report(const parley_host *host, void *message, parley_text token, parley_done *done, void *arg);

struct mail_taker;
struct mail_taker_config {
  const parley_host *host;   /* borrowed, outlives the taker */
  const parley_media *media; /* NULL: files larger than inline_max are left to the raw mail */
  mail_take_report *report;  /* NULL: none */
  parley_text authserv_id;   /* whose word on the sender counts (mail_auth.h); empty: nobody's. Borrowed as well */
};
struct mail_taker *mail_taker_new(const struct mail_taker_config *config); /* NULL: no memory */
/* Copies raw and the envelope. */
void mail_take(struct mail_taker *taker, const struct mail_envelope *envelope, parley_bytes raw, mail_taken *done, void *arg);
/* As mail_take(); raw was made by malloc and becomes the taker's, whatever happens. */
void mail_take_owned(struct mail_taker *taker, const struct mail_envelope *envelope, char *raw, size_t len, mail_taken *done,
                     void *arg);
uint32_t mail_taker_open(const struct mail_taker *taker);
/* Before destroy(), after the host has completed every call: frees the taker. */
void mail_taker_free(struct mail_taker **taker);
#endif
