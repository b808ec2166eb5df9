/* mail_bounce.h - what a mail that came back says of its address: nobody is there, nobody is there for now, or this mail was not
 * wanted. By the enhanced status code (RFC 3463), and where that says nothing by the words beside it. Agrees with smtp_verdict.h on
 * what both can see. Pure. Thread: any. */
#ifndef EMAIL_MAIL_BOUNCE_H
#define EMAIL_MAIL_BOUNCE_H
#include <parley/plugin.h>
#include <stdbool.h>

struct mail_status { uint32_t class, subject, detail; }; /* class 0: none */
enum { MAIL_STATUS_MAX = 12 /* "5.999.999" and NUL */ };

/* The first "5.1.1" in a text, which stands apart from other digits and dots. */
bool mail_status_read(parley_text text, struct mail_status *ret);
/* to: MAIL_STATUS_MAX bytes. Empty when there is none. */
void mail_status_write(struct mail_status status, char *to);
/* PARLEY_OUTCOME_BAD_ADDRESS, _RETRY (a soft bounce) or _REJECTED. words: the server's, in any case and language; may be empty. */
uint32_t mail_bounce_outcome(struct mail_status status, parley_text words);
#endif
