/* smtp_verdict.h - what an SMTP reply means for a message: one table from (stage, code, enhanced code) to the ABI's outcomes.
 * Values in, values out. Thread: any. */
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
  uint32_t retry_ms;  /* THROTTLED: how long to hold; else 0 */
  bool by_domain;     /* it concerns the recipient's domain, not the whole channel */
};
/* For every stage and every code 200 to 599. 2yz at the dot is ACCEPTED, a code that cannot stand there is UNKNOWN at the dot
 * and RETRY before it: nothing is out before the dot. */
struct smtp_verdict smtp_judge(enum smtp_stage stage, uint32_t code, struct smtp_enhanced enhanced);
#endif
