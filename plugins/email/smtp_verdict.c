#include "smtp_verdict.h"

enum { HOLD_MS = 60000 }; /* THROTTLED: the server names no time, so a minute */

#define STAGE(name) (UINT32_C(1) << SMTP_STAGE_##name)
enum { ANY_CODE = 1000 };

/* Of a row: the stages, the codes from..to, the enhanced subject and detail (ANY_CODE: whatever, also none at all). */
struct row {
  uint32_t stages, from, to, subject, detail, outcome;
};

#define LOGIN (STAGE(GREETING) | STAGE(EHLO) | STAGE(HELO) | STAGE(STARTTLS) | STAGE(AUTH))
#define TO_ONE (STAGE(RCPT) | STAGE(DOT)) /* what the server says of the one recipient */
#define EVERYWHERE UINT32_MAX

/* The first row that fits counts. */
static const struct row rows[] = {
    {STAGE(DOT), 200, 299, ANY_CODE, ANY_CODE, PARLEY_OUTCOME_ACCEPTED},
    {EVERYWHERE, 530, 530, ANY_CODE, ANY_CODE, PARLEY_OUTCOME_CHANNEL_DOWN}, /* it wants us to log in first */
    {EVERYWHERE, 534, 535, ANY_CODE, ANY_CODE, PARLEY_OUTCOME_CHANNEL_DOWN}, /* mechanism too weak, wrong password */
    {EVERYWHERE, 538, 538, ANY_CODE, ANY_CODE, PARLEY_OUTCOME_CHANNEL_DOWN}, /* it wants TLS first */
    {STAGE(AUTH), 432, 432, ANY_CODE, ANY_CODE, PARLEY_OUTCOME_CHANNEL_DOWN}, /* a new password must be chosen */
    {LOGIN, 400, 499, ANY_CODE, ANY_CODE, PARLEY_OUTCOME_THROTTLED}, /* 421 busy, 454 login not now */
    {LOGIN, 500, 599, ANY_CODE, ANY_CODE, PARLEY_OUTCOME_CHANNEL_DOWN},
    {EVERYWHERE, 421, 421, ANY_CODE, ANY_CODE, PARLEY_OUTCOME_THROTTLED}, /* the server takes its leave */
    {EVERYWHERE, 400, 499, 7, ANY_CODE, PARLEY_OUTCOME_THROTTLED},        /* policy: rates, grey lists */
    {EVERYWHERE, 400, 499, ANY_CODE, ANY_CODE, PARLEY_OUTCOME_RETRY},
    {STAGE(MAIL), 500, 599, 1, 7, PARLEY_OUTCOME_CHANNEL_DOWN}, /* our own address is refused: every mail would be */
    {STAGE(MAIL), 500, 599, 1, 8, PARLEY_OUTCOME_CHANNEL_DOWN},
    {TO_ONE, 500, 599, 1, 7, PARLEY_OUTCOME_REJECTED}, /* of the sender: the recipient's address is not to blame */
    {TO_ONE, 500, 599, 1, 8, PARLEY_OUTCOME_REJECTED},
    {TO_ONE, 500, 599, 1, ANY_CODE, PARLEY_OUTCOME_BAD_ADDRESS},
    {TO_ONE, 500, 599, 2, 1, PARLEY_OUTCOME_BAD_ADDRESS}, /* mailbox disabled */
    {TO_ONE, 500, 599, 2, 2, PARLEY_OUTCOME_RETRY},       /* full: RFC 3463 calls it a persistent transient failure */
    {STAGE(RCPT), 552, 552, 0, 0, PARLEY_OUTCOME_RETRY},  /* without more words: RFC 5321 4.5.3.1.10, as 452 */
    {STAGE(RCPT), 556, 556, ANY_CODE, ANY_CODE, PARLEY_OUTCOME_BAD_ADDRESS}, /* RFC 7504: the domain takes no mail */
    {EVERYWHERE, 500, 599, ANY_CODE, ANY_CODE, PARLEY_OUTCOME_REJECTED},
    {STAGE(DOT), 0, ANY_CODE, ANY_CODE, ANY_CODE, PARLEY_OUTCOME_UNKNOWN},
    {EVERYWHERE, 0, ANY_CODE, ANY_CODE, ANY_CODE, PARLEY_OUTCOME_RETRY},
};

static bool row_fits(const struct row *row, enum smtp_stage stage, uint32_t code, struct smtp_enhanced enhanced)
{
  return (row->stages & UINT32_C(1) << stage) != 0 && code >= row->from && code <= row->to &&
         (row->subject == ANY_CODE || row->subject == enhanced.subject) &&
         (row->detail == ANY_CODE || row->detail == enhanced.detail);
}

struct smtp_verdict smtp_judge(enum smtp_stage stage, uint32_t code, struct smtp_enhanced enhanced)
{
  struct smtp_verdict verdict = {.outcome = PARLEY_OUTCOME_RETRY};
  size_t i = 0;

  while (i < sizeof rows / sizeof *rows && !row_fits(&rows[i], stage, code, enhanced))
    i++;
  if (i < sizeof rows / sizeof *rows)
    verdict.outcome = rows[i].outcome;
  verdict.by_domain = stage == SMTP_STAGE_RCPT || stage == SMTP_STAGE_DATA || stage == SMTP_STAGE_DOT;
  verdict.retry_ms = verdict.outcome == PARLEY_OUTCOME_THROTTLED ? HOLD_MS : 0;
  return verdict;
}

const char *smtp_stage_name(enum smtp_stage stage)
{
  switch (stage) {
  case SMTP_STAGE_CONNECT: return "connect";
  case SMTP_STAGE_GREETING: return "greeting";
  case SMTP_STAGE_EHLO: return "EHLO";
  case SMTP_STAGE_HELO: return "HELO";
  case SMTP_STAGE_STARTTLS: return "STARTTLS";
  case SMTP_STAGE_AUTH: return "AUTH";
  case SMTP_STAGE_MAIL: return "MAIL";
  case SMTP_STAGE_RCPT: return "RCPT";
  case SMTP_STAGE_DATA: return "DATA";
  case SMTP_STAGE_DOT: return "mail";
  case SMTP_STAGE_VOID_DOT: return "dot";
  case SMTP_STAGE_RSET: return "RSET";
  case SMTP_STAGE_QUIT: return "QUIT";
  }
  return "?";
}
