/* smtp_verdict.h - what an SMTP reply means for a message: from (stage, code, enhanced code of RFC 3463 and 5248) to the ABI's
 * outcomes by one table; what only a reply's words tell, by a second one; and what an operator should do when a provider refuses
 * all mail of this sender (Gmail's, Yahoo's and Microsoft's rules for bulk senders), by a third. Values in, values out. Thread: any. */
#ifndef EMAIL_SMTP_VERDICT_H
#define EMAIL_SMTP_VERDICT_H
#include "smtp_wire.h"

/* Which command a reply answers. */
enum smtp_stage {
  SMTP_STAGE_CONNECT = 1, /* no reply yet: the connection itself */
  SMTP_STAGE_GREETING,
  SMTP_STAGE_EHLO,
  SMTP_STAGE_HELO,
  SMTP_STAGE_STARTTLS,
  SMTP_STAGE_AUTH,
  SMTP_STAGE_MAIL,
  SMTP_STAGE_RCPT,
  SMTP_STAGE_DATA,
  SMTP_STAGE_DOT,      /* the mail is out, its final dot included */
  SMTP_STAGE_VOID_DOT, /* the dot of an empty mail whose recipient had been refused */
  SMTP_STAGE_RSET,
  SMTP_STAGE_QUIT
};
const char *smtp_stage_name(enum smtp_stage stage); /* "RCPT"; static */

struct smtp_verdict {
  uint32_t outcome;   /* PARLEY_OUTCOME_* */
  uint32_t retry_ms;  /* THROTTLED: how long to hold; RETRY: when the reply names a time; else 0 */
  bool by_domain;     /* it concerns the recipient's domain, not the whole channel */
  const char *remedy; /* static: this provider finds fault with the sender, and this is what to do; else NULL */
};
enum { SMTP_WAIT_MAX_MS = 3600000 }; /* a longer one that a reply names is not believed */
/* "try again in 5 minutes": the time that a reply's words name, in ms; 0: none. */
uint32_t smtp_wait_named(parley_text words);
/* For every stage and every code 200 to 599. 2yz at the dot is ACCEPTED, a code that cannot stand there is UNKNOWN at the dot
 * and RETRY before it: nothing is out before the dot. */
struct smtp_verdict smtp_judge(enum smtp_stage stage, uint32_t code, struct smtp_enhanced enhanced);
/* The same of a whole reply, its words included. */
struct smtp_verdict smtp_judge_reply(enum smtp_stage stage, const struct smtp_reply *reply);
#endif
