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
    {EVERYWHERE, 400, 499, 3, 2, PARLEY_OUTCOME_THROTTLED},               /* it takes no mail at present */
    {EVERYWHERE, 400, 499, 4, 5, PARLEY_OUTCOME_THROTTLED},               /* it has too much to do */
    {EVERYWHERE, 400, 499, 5, 3, PARLEY_OUTCOME_THROTTLED},               /* too many recipients: of one mail we have one */
    {EVERYWHERE, 454, 454, 0, 0, PARLEY_OUTCOME_THROTTLED},
    {EVERYWHERE, 400, 499, ANY_CODE, ANY_CODE, PARLEY_OUTCOME_RETRY},
    {STAGE(MAIL), 500, 599, 1, 7, PARLEY_OUTCOME_CHANNEL_DOWN}, /* our own address is refused: every mail would be */
    {STAGE(MAIL), 500, 599, 1, 8, PARLEY_OUTCOME_CHANNEL_DOWN},
    {STAGE(MAIL), 500, 599, 7, 8, PARLEY_OUTCOME_CHANNEL_DOWN},  /* RFC 4954: the login is not good enough, ... */
    {STAGE(MAIL), 500, 599, 7, 9, PARLEY_OUTCOME_CHANNEL_DOWN},
    {STAGE(MAIL), 500, 599, 7, 11, PARLEY_OUTCOME_CHANNEL_DOWN}, /* ... TLS is wanted, ... */
    {STAGE(MAIL), 500, 599, 7, 13, PARLEY_OUTCOME_CHANNEL_DOWN}, /* ... the account is disabled, ... */
    {STAGE(MAIL), 500, 599, 7, 14, PARLEY_OUTCOME_CHANNEL_DOWN}, /* ... or lacks a trust relationship */
    {TO_ONE, 500, 599, 1, 7, PARLEY_OUTCOME_REJECTED}, /* of the sender: the recipient's address is not to blame */
    {TO_ONE, 500, 599, 1, 8, PARLEY_OUTCOME_REJECTED},
    {TO_ONE, 500, 599, 1, 9, PARLEY_OUTCOME_REJECTED}, /* RFC 5248: it would go on to a server that cannot take it */
    {TO_ONE, 500, 599, 1, ANY_CODE, PARLEY_OUTCOME_BAD_ADDRESS},
    {TO_ONE, 500, 599, 2, 1, PARLEY_OUTCOME_BAD_ADDRESS}, /* mailbox disabled */
    {TO_ONE, 500, 599, 2, 2, PARLEY_OUTCOME_RETRY},       /* full: RFC 3463 calls it a persistent transient failure */
    {TO_ONE, 500, 599, 2, 4, PARLEY_OUTCOME_BAD_ADDRESS}, /* a list that cannot be expanded */
    {TO_ONE, 500, 599, 3, 1, PARLEY_OUTCOME_RETRY},       /* the system is full: as a mailbox */
    {TO_ONE, 500, 599, 7, 17, PARLEY_OUTCOME_BAD_ADDRESS}, /* RFC 7293: it belongs to somebody else now, ... */
    {TO_ONE, 500, 599, 7, 18, PARLEY_OUTCOME_BAD_ADDRESS}, /* ... and so does the domain */
    {STAGE(RCPT), 552, 552, 0, 0, PARLEY_OUTCOME_RETRY},   /* without more words: RFC 5321 4.5.3.1.10, as 452 */
    {STAGE(RCPT), 556, 556, ANY_CODE, ANY_CODE, PARLEY_OUTCOME_BAD_ADDRESS}, /* RFC 7504: the domain takes no mail */
    {EVERYWHERE, 500, 599, ANY_CODE, ANY_CODE, PARLEY_OUTCOME_REJECTED},
    {STAGE(DOT), 0, ANY_CODE, ANY_CODE, ANY_CODE, PARLEY_OUTCOME_UNKNOWN},
    {EVERYWHERE, 0, ANY_CODE, ANY_CODE, ANY_CODE, PARLEY_OUTCOME_RETRY},
};

/* What the words say where the codes do not: lower case; any of `words`, each ended by NUL, the last by another. */
struct words_row {
  struct row row;
  const char *words;
};
#define AFTER_LOGIN (STAGE(MAIL) | STAGE(RCPT) | STAGE(DATA) | STAGE(DOT))
#define RATE_WORDS                                                                                                     \
  "rate limit\0rate-limit\0ratelimit\0unusual rate\0sending rate\0rate exceeded\0too many messages\0too many connections\0" \
  "too many concurrent\0too many emails\0too many mails\0too much mail\0throttl\0deferred due to\0unexpected volume\0"   \
  "slow down\0server busy\0server is busy\0server too busy\0greylist\0graylist\0grey list\0gray list\0quota of messages\0"   \
  "permanently deferred\0" /* Yahoo's [TS03], with a 421 all the same */
#define NOBODY_WORDS                                                                                                       \
  "user unknown\0unknown user\0no such user\0user not found\0no such recipient\0recipient unknown\0unknown recipient\0"      \
  "recipient not found\0no such mailbox\0mailbox not found\0mailbox does not exist\0account does not exist\0"              \
  "user does not exist\0user doesn't exist\0user doesn't have a\0no mailbox here\0invalid recipient\0"                  \
  "invalid mailbox\0address does not exist\0recipient does not exist\0"

static const struct words_row words_rows[] = {
    /* Gmail's 4.2.1: the recipient gets too much, from everybody; his neighbours are well. */
    {{TO_ONE, 400, 499, 2, 1, PARLEY_OUTCOME_RETRY}, "mail at a rate\0mail too quickly\0"},
    {{AFTER_LOGIN, 450, 452, ANY_CODE, ANY_CODE, PARLEY_OUTCOME_THROTTLED}, RATE_WORDS},
    {{AFTER_LOGIN, 454, 454, ANY_CODE, ANY_CODE, PARLEY_OUTCOME_THROTTLED}, RATE_WORDS},
    /* Exchange Online: its directory knows nobody of that name. */
    {{TO_ONE, 550, 550, 4, 1, PARLEY_OUTCOME_BAD_ADDRESS}, "recipient address rejected: access denied\0"},
    {{TO_ONE, 550, 550, 5, 0, PARLEY_OUTCOME_BAD_ADDRESS}, "requested action not taken: mailbox unavailable\0"}, /* Outlook.com */
    {{TO_ONE, 554, 554, ANY_CODE, ANY_CODE, PARLEY_OUTCOME_BAD_ADDRESS}, "delivery error: dd this user doesn't have a\0"}, /* Yahoo */
    /* A code that says nothing (none, x.0.0, x.5.0): words that can mean one thing only. */
    {{TO_ONE, 500, 599, 0, 0, PARLEY_OUTCOME_REJECTED}, "sender\0"},
    {{TO_ONE, 550, 553, 0, 0, PARLEY_OUTCOME_BAD_ADDRESS}, NOBODY_WORDS},
    {{TO_ONE, 550, 553, 5, 0, PARLEY_OUTCOME_BAD_ADDRESS}, NOBODY_WORDS},
};

/* A provider's fault with the sender, whatever became of this mail: all that goes there has it. First digit: any. */
struct remedy_row {
  uint32_t from, to, subject, detail;
  const char *words; /* as above; NULL: the code says it */
  const char *remedy;
};
#define AUTHENTICATE "publish SPF, DKIM and DMARC (at least p=none) for the domain of from, aligned with it: parley doctor"
#define RATE "send less to this provider at a time, and look at its postmaster pages for complaints"
static const struct remedy_row remedy_rows[] = {
    {400, 599, 7, 515, NULL, AUTHENTICATE},                      /* Microsoft, since May 2025 */
    {400, 599, 7, 20, NULL, "sign with DKIM: parley doctor"},    /* RFC 7372 */
    {400, 599, 7, 21, NULL, "sign with DKIM: parley doctor"},
    {400, 599, 7, 22, NULL, "sign with DKIM for the domain of from: parley doctor"},
    {400, 599, 7, 23, "ptr\0reverse dns\0", "give the sending server's address a reverse DNS name that leads back to it"}, /* Gmail */
    {400, 599, 7, 23, NULL, "let the SPF record of the sender's domain allow your mail server: parley doctor"},
    {400, 599, 7, 24, NULL, "mend the SPF record of the sender's domain: parley doctor"},
    {400, 599, 7, 25, NULL, "give the sending server's address a reverse DNS name that leads back to it"},
    {400, 599, 7, 26, NULL, AUTHENTICATE},
    {400, 599, 7, 27, "null mx\0", "the domain of from must be able to take mail: give it an MX record"}, /* RFC 7505 */
    {400, 599, 7, 27, NULL, "let the SPF record of the sender's domain allow your mail server: parley doctor"}, /* Gmail */
    {400, 599, 7, 28, NULL, RATE},
    {400, 599, 7, 29, "tls\0", "let your mail server use TLS towards this provider"}, /* Gmail */
    {400, 599, 7, 30, "dkim\0", "sign with DKIM for the domain of from: parley doctor"}, /* Gmail; RFC 8689: REQUIRETLS */
    {400, 599, 7, 31, NULL, AUTHENTICATE}, /* Gmail, as the next two */
    {400, 599, 7, 32, NULL, "sign with the domain of from, or send from a subdomain of it: parley doctor"},
    {400, 599, 7, 40, NULL, AUTHENTICATE},
    {400, 599, 7, 9, "policy reasons\0dmarc\0", AUTHENTICATE}, /* Yahoo */
    {400, 499, ANY_CODE, ANY_CODE, "[ts03]\0[ts04]\0[tss04]\0[tss05]\0unexpected volume\0", RATE}, /* Yahoo */
    {400, 599, ANY_CODE, ANY_CODE, "dmarc policy\0does not pass dmarc\0unauthenticated email\0", AUTHENTICATE},
    {500, 599, ANY_CODE, ANY_CODE, "spamhaus\0block list\0blocklist\0blacklist\0", "the sending server's address is on a block "
     "list: ask its operator, and ask for its removal there"},
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

/* --- Words -------------------------------------------------------------------------------------------------------- */
static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c; }

/* Where `word` (lower case) stands in text, in any case; SIZE_MAX: nowhere. */
static size_t word_find(parley_text text, const char *word)
{
  size_t len = strlen(word);

  for (size_t at = 0; at + len <= text.len; at++) {
    size_t i = 0;

    while (i < len && lower(text.at[at + i]) == word[i])
      i++;
    if (i == len)
      return at;
  }
  return SIZE_MAX;
}

static bool any_word(parley_text text, const char *words)
{
  for (; *words != '\0'; words += strlen(words) + 1)
    if (word_find(text, words) != SIZE_MAX)
      return true;
  return false;
}

/* "90 seconds", "5 min", "1 hour" at the front of text, in ms; 0: nothing of the kind. */
static uint32_t span_read(parley_text text)
{
  static const struct { const char *unit; uint32_t ms; } units[] = {{"s", 1000}, {"m", 60000}, {"h", 3600000}};
  uint64_t number = 0;
  size_t at = 0;

  while (at < text.len && at < 6 && text.at[at] >= '0' && text.at[at] <= '9')
    number = number * 10 + (uint64_t)(text.at[at++] - '0');
  if (at == 0 || at >= text.len)
    return 0;
  at += text.at[at] == ' ' || text.at[at] == '-';
  for (size_t i = 0; i < sizeof units / sizeof *units && at < text.len; i++)
    if (lower(text.at[at]) == units[i].unit[0])
      return number * units[i].ms <= SMTP_WAIT_MAX_MS ? (uint32_t)(number * units[i].ms) : 0;
  return 0;
}

uint32_t smtp_wait_named(parley_text words)
{
  static const char *const fronts[] = {"again in ", "retry in ", "again after ", "retry after ", "wait ", "retry-after: "};

  for (size_t i = 0; i < sizeof fronts / sizeof *fronts; i++) {
    size_t at = word_find(words, fronts[i]);
    size_t begin = at != SIZE_MAX ? at + strlen(fronts[i]) : words.len;
    uint32_t ms = span_read((parley_text){words.at + begin, words.len - begin});

    if (ms > 0)
      return ms;
  }
  return 0;
}

static const char *remedy_of(const struct smtp_reply *reply, parley_text words)
{
  for (size_t i = 0; i < sizeof remedy_rows / sizeof *remedy_rows; i++) {
    const struct remedy_row *row = &remedy_rows[i];

    if (reply->code >= row->from && reply->code <= row->to &&
        (row->subject == ANY_CODE || (row->subject == reply->enhanced.subject && row->detail == reply->enhanced.detail)) &&
        (row->words == NULL || any_word(words, row->words)))
      return row->remedy;
  }
  return NULL;
}

struct smtp_verdict smtp_judge_reply(enum smtp_stage stage, const struct smtp_reply *reply)
{
  struct smtp_verdict verdict = smtp_judge(stage, reply->code, reply->enhanced);
  const parley_text words = {reply->text, reply->text_len};
  uint32_t named_ms;

  if (reply->code < 400)
    return verdict;
  for (size_t i = 0; i < sizeof words_rows / sizeof *words_rows; i++)
    if (row_fits(&words_rows[i].row, stage, reply->code, reply->enhanced) && any_word(words, words_rows[i].words)) {
      verdict.outcome = words_rows[i].row.outcome;
      break;
    }
  named_ms = reply->code < 500 ? smtp_wait_named(words) : 0;
  if (verdict.outcome == PARLEY_OUTCOME_THROTTLED || verdict.outcome == PARLEY_OUTCOME_RETRY)
    verdict.retry_ms = named_ms > 0 ? named_ms : verdict.outcome == PARLEY_OUTCOME_THROTTLED ? HOLD_MS : 0;
  else
    verdict.retry_ms = 0;
  if ((STAGE(RCPT) | STAGE(DATA) | STAGE(DOT)) & UINT32_C(1) << stage)
    verdict.remedy = remedy_of(reply, words);
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
