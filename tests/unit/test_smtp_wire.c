// sources: plugins/email/smtp_wire.c plugins/email/sasl.c plugins/email/smtp_verdict.c plugins/email/mail_address.c
// libraries: PkgConfig::IDN
#include "email/mail_address.h"
#include "email/smtp_verdict.h"
#include "email/smtp_wire.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* --- Replies ------------------------------------------------------------------------------------------------------ */
static enum smtp_parsed parse_all(struct smtp_parser *parser, parley_bytes bytes, size_t *ret_used)
{
  enum smtp_parsed parsed = SMTP_PARSED_LINE;
  size_t at = 0, used;

  while (parsed == SMTP_PARSED_LINE) {
    parsed = smtp_parse(parser, (parley_bytes){bytes.at + at, bytes.len - at}, &used);
    at += used;
  }
  *ret_used = at;
  return parsed;
}

static const struct {
  const char *bytes;
  enum smtp_parsed want;
  uint32_t code, subject, detail;
  const char *text;
} replies[] = {
    {"250 2.1.5 fine\r\n", SMTP_PARSED_REPLY, 250, 1, 5, "fine"},
    {"250\r\n", SMTP_PARSED_REPLY, 250, 0, 0, ""},
    {"250-a\r\n250-b\r\n250 c\r\n", SMTP_PARSED_REPLY, 250, 0, 0, "a b c"},
    {"550-5.1.1 no such\r\n550 5.1.1 mailbox\r\n", SMTP_PARSED_REPLY, 550, 1, 1, "no such mailbox"},
    {"250 5.1.1 digits differ\r\n", SMTP_PARSED_REPLY, 250, 0, 0, "5.1.1 digits differ"},
    {"550 5.1.1234 x\r\n", SMTP_PARSED_REPLY, 550, 0, 0, "5.1.1234 x"},
    {"550 bell \a\r\n", SMTP_PARSED_REPLY, 550, 0, 0, "bell ?"},
    {"250 lf only\n", SMTP_PARSED_REPLY, 250, 0, 0, "lf only"},
    {"250 half", SMTP_PARSED_NOTHING, 0, 0, 0, ""},
    {"250-half\r\n", SMTP_PARSED_NOTHING, 0, 0, 0, ""},
    {"", SMTP_PARSED_NOTHING, 0, 0, 0, ""},
    {"250-a\r\n251 b\r\n", SMTP_PARSED_BROKEN, 0, 0, 0, ""},
    {"hello\r\n", SMTP_PARSED_BROKEN, 0, 0, 0, ""},
    {"199 low\r\n", SMTP_PARSED_BROKEN, 0, 0, 0, ""},
    {"600 high\r\n", SMTP_PARSED_BROKEN, 0, 0, 0, ""},
    {"260 no such second digit\r\n", SMTP_PARSED_BROKEN, 0, 0, 0, ""},
    {"250x\r\n", SMTP_PARSED_BROKEN, 0, 0, 0, ""},
    {"25\r\n", SMTP_PARSED_BROKEN, 0, 0, 0, ""},
    {"\r\n", SMTP_PARSED_BROKEN, 0, 0, 0, ""},
};

START_TEST(a_reply_is_read_strictly)
{
  struct smtp_parser parser = {0};
  size_t used;

  ck_assert_int_eq(parse_all(&parser, parley_text_of(replies[_i].bytes), &used), replies[_i].want);
  if (replies[_i].want != SMTP_PARSED_REPLY)
    return;
  ck_assert_uint_eq(used, strlen(replies[_i].bytes));
  ck_assert_uint_eq(parser.reply.code, replies[_i].code);
  ck_assert_uint_eq(parser.reply.enhanced.subject, replies[_i].subject);
  ck_assert_uint_eq(parser.reply.enhanced.detail, replies[_i].detail);
  ck_assert_str_eq(parser.reply.text, replies[_i].text);
}
END_TEST

START_TEST(a_reply_reads_the_same_byte_by_byte)
{
  static const char bytes[] = "250-one\r\n250-two\r\n250 2.0.0 three\r\n";
  struct smtp_parser parser = {0};
  enum smtp_parsed parsed = SMTP_PARSED_NOTHING;
  size_t begin = 0, used;

  for (size_t end = 1; end <= strlen(bytes); end++) {
    parsed = smtp_parse(&parser, (parley_bytes){bytes + begin, end - begin}, &used);
    begin += used;
  }
  ck_assert_int_eq(parsed, SMTP_PARSED_REPLY);
  ck_assert_str_eq(parser.reply.text, "one two three");
  ck_assert_uint_eq(parser.reply.n_lines, 3);
}
END_TEST

START_TEST(an_endless_line_and_endless_lines_are_cut_off)
{
  struct smtp_parser parser = {0};
  char line[SMTP_REPLY_LINE_MAX];
  size_t used;

  memset(line, 'x', sizeof line);
  memcpy(line, "250 ", 4);
  ck_assert_int_eq(smtp_parse(&parser, (parley_bytes){line, sizeof line - 1}, &used), SMTP_PARSED_NOTHING);
  ck_assert_int_eq(smtp_parse(&parser, (parley_bytes){line, sizeof line}, &used), SMTP_PARSED_BROKEN);
  parser = (struct smtp_parser){0};
  for (int i = 0; i < SMTP_REPLY_LINES_MAX; i++)
    ck_assert_int_eq(smtp_parse(&parser, PARLEY_LIT("250-again\r\n"), &used), SMTP_PARSED_LINE);
  ck_assert_int_eq(smtp_parse(&parser, PARLEY_LIT("250-again\r\n"), &used), SMTP_PARSED_BROKEN);
}
END_TEST

START_TEST(offers_are_read_in_any_case)
{
  static const char *const lines[] = {
      "PIPELINING", "size 1000",           "StartTLS",  "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES",
      "AUTH=LOGIN", "AUTH PLAIN CRAM-MD5", "X-UNKNOWN", "", "Chunking", "AUTH xoauth2 OAUTHBEARER"};
  struct smtp_offers o = {0};

  for (size_t i = 0; i < COUNT(lines); i++)
    smtp_offers_line(&o, parley_text_of(lines[i]));
  ck_assert(o.pipelining && o.size && o.starttls && o.eightbit && o.smtputf8 && o.enhanced && o.auth_plain &&
            o.auth_login && o.chunking && o.auth_xoauth2 && o.auth_oauthbearer);
  ck_assert_uint_eq(o.size_max, 1000);
  o = (struct smtp_offers){0};
  smtp_offers_line(&o, PARLEY_LIT("SIZE 99999999999999999999999999"));
  smtp_offers_line(&o, PARLEY_LIT("AUTH PLAINER"));
  ck_assert(o.size && o.size_max == 0 && !o.auth_plain);
}
END_TEST

/* --- Commands ----------------------------------------------------------------------------------------------------- */
START_TEST(commands_are_written_whole)
{
  struct smtp_commands out = {0};
  struct smtp_mail_flags flags = {.size = 1234, .eightbit = true, .smtputf8 = true};

  smtp_put_mail(&out, PARLEY_LIT("a@b.c"), &flags);
  smtp_put_rcpt(&out, PARLEY_LIT("ana@example.org"));
  smtp_put_word(&out, "DATA", PARLEY_LIT(""));
  smtp_put_auth_plain(&out, PARLEY_LIT("tim"), PARLEY_LIT("tanstaaftanstaaf")); /* RFC 4616's own example */
  smtp_put_base64(&out, PARLEY_LIT("f"));
  ck_assert(!out.bad);
  out.at[out.len] = '\0';
  ck_assert_str_eq(out.at, "MAIL FROM:<a@b.c> SIZE=1234 BODY=8BITMIME SMTPUTF8\r\nRCPT TO:<ana@example.org>\r\nDATA\r\n"
                           "AUTH PLAIN AHRpbQB0YW5zdGFhZnRhbnN0YWFm\r\nZg==\r\n");
}
END_TEST

static const struct {
  const char *value;
  size_t len;
} injections[] = {{"a@b\r\nDATA", 9}, {"a@b\nX", 5}, {"a@b\rX", 5}, {"a@b\0X", 5}, {"a@b> X=<c@d", 11}};

START_TEST(a_value_cannot_become_a_command)
{
  const parley_text value = {injections[_i].value, injections[_i].len};
  const struct smtp_mail_flags none = {0};
  struct smtp_commands out = {0};

  smtp_put_rcpt(&out, value);
  ck_assert(out.bad && out.len == 0);
  out.bad = false;
  smtp_put_mail(&out, value, &none);
  ck_assert(out.bad && out.len == 0);
  out.bad = false;
  smtp_put_word(&out, "EHLO", value);
  ck_assert(out.bad == (_i < 4));
}
END_TEST

START_TEST(commands_have_a_limit)
{
  struct smtp_commands out = {0};
  static char long_text[SMTP_COMMAND_LINE_MAX + 1];

  memset(long_text, 'a', sizeof long_text);
  smtp_put_word(&out, "EHLO", (parley_text){long_text, sizeof long_text});
  ck_assert(out.bad && out.len == 0);
  out.bad = false;
  for (int i = 0; i < SMTP_COMMANDS_MAX; i++)
    smtp_put_word(&out, "NOOP", PARLEY_LIT(""));
  ck_assert(out.bad && out.len <= SMTP_COMMANDS_MAX);
  out = (struct smtp_commands){0};
  smtp_put_auth_plain(&out, (parley_text){long_text, sizeof long_text}, PARLEY_LIT("x"));
  ck_assert(out.bad);
}
END_TEST

/* --- The mail ----------------------------------------------------------------------------------------------------- */
static const struct {
  const char *in, *want;
} stuffed[] = {
    {"hello", "hello\r\n.\r\n"},
    {"", ".\r\n"},
    {"a\r\nb\r\n", "a\r\nb\r\n.\r\n"},
    {"\r\n.\r\nMAIL FROM:<x>", "\r\n..\r\nMAIL FROM:<x>\r\n.\r\n"},
    {"\n.\n", "\r\n..\r\n.\r\n"},
    {"\r.\r", "\r\n..\r\n.\r\n"},
    {"\n.\r\n", "\r\n..\r\n.\r\n"},
    {"\r\n.\n", "\r\n..\r\n.\r\n"},
    {".", "..\r\n.\r\n"},
    {"a\r\r\nb", "a\r\n\r\nb\r\n.\r\n"},
    {"a\n\rb", "a\r\n\r\nb\r\n.\r\n"},
    {"..a\n.b", "...a\r\n..b\r\n.\r\n"},
};

static size_t stuff_in_pieces(parley_bytes in, size_t piece, char *out)
{
  struct smtp_stuffer stuffer = {0};
  size_t n = 0, used;

  for (size_t at = 0; at < in.len; at += used) {
    size_t len = in.len - at < piece ? in.len - at : piece;

    n += smtp_stuff(&stuffer, (parley_bytes){in.at + at, len}, out + n, SMTP_STUFF_ROOM_MIN, &used);
  }
  return n + smtp_stuff_end(&stuffer, out + n);
}

START_TEST(no_line_end_ends_the_mail)
{
  char out[256];

  for (size_t piece = 1; piece <= 8; piece++) {
    size_t n = stuff_in_pieces(parley_text_of(stuffed[_i].in), piece, out);

    out[n] = '\0';
    ck_assert_str_eq(out, stuffed[_i].want);
  }
}
END_TEST

/* Of each case above, and whatever stands in it: what the chunk's head says is what comes. */
START_TEST(a_chunk_has_the_size_that_was_said_and_no_dots)
{
  parley_bytes in = parley_text_of(stuffed[_i].in);
  struct smtp_stuffer stuffer = {.undotted = true};
  char out[4096];
  size_t used = 0, n = smtp_stuff(&stuffer, in, out, sizeof out, &used);

  ck_assert_uint_eq(used, in.len);
  n += smtp_stuff_end(&stuffer, out + n);
  ck_assert_uint_eq(n, smtp_stuffed_len(in));
  ck_assert(n == 0 || memcmp(out + n - 2, "\r\n", 2) == 0);
  for (size_t i = 0; i < n; i++)
    ck_assert(out[i] == '\n' ? i > 0 && out[i - 1] == '\r' : out[i] != '\r' || (i + 1 < n && out[i + 1] == '\n'));
}
END_TEST

/* --- Logging in by OAuth: the examples of RFC 7628 section 4.1 and of Google's description, with our host ---------------- */
START_TEST(a_bearer_line_is_as_the_rfc_and_google_write_it)
{
  struct sasl_bearer bearer = {.user = PARLEY_LIT("user@example.com"), .host = PARLEY_LIT("server.example.com"), .port = 143,
                               .token = PARLEY_LIT("vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==")};
  char line[SMTP_BEARER_LINE_MAX + 1];
  size_t len = smtp_bearer_write(&bearer, line);

  line[len] = '\0';
  ck_assert_str_eq(line, "AUTH OAUTHBEARER bixhPXVzZXJAZXhhbXBsZS5jb20sAWhvc3Q9c2VydmVyLmV4YW1wbGUuY29tAXBvcnQ9MTQzAWF1dGg9QmVhcmVyI"
                         "HZGOWRmdDRxbVRjMk52YjNSbGNrQmhiSFJoZG1semRHRXVZMjl0Q2c9PQEB\r\n"); /* as printed there */
  bearer = (struct sasl_bearer){.user = PARLEY_LIT("someuser@example.com"), .xoauth2 = true,
                                .token = PARLEY_LIT("ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg")};
  len = smtp_bearer_write(&bearer, line);
  line[len] = '\0';
  ck_assert_str_eq(line, "AUTH XOAUTH2 dXNlcj1zb21ldXNlckBleGFtcGxlLmNvbQFhdXRoPUJlYXJlciB5YTI5LnZGOWRmdDRxbVRjMk52YjNSbGNrQmhkSFJ"
                         "oZG1semRHRXVZMjl0Q2cBAQ==\r\n");
}
END_TEST

START_TEST(a_bearer_line_carries_no_command_of_its_own)
{
  static const char *const tokens[] = {"", "a b", "a\r\nMAIL", "a\001b", "t\xc3\xbcr"};
  static const char *const users[] = {"", "a\001auth=x", "a\r\nb", "a\x7f"};
  struct sasl_bearer bearer = {.user = PARLEY_LIT("tim"), .token = PARLEY_LIT("token"), .xoauth2 = true};
  char line[SMTP_BEARER_LINE_MAX + 1], *large = malloc(SASL_TOKEN_MAX + 1);

  ck_assert_uint_gt(smtp_bearer_write(&bearer, line), 0);
  for (size_t i = 0; i < COUNT(tokens); i++) {
    bearer.token = parley_text_of(tokens[i]);
    ck_assert_uint_eq(smtp_bearer_write(&bearer, line), 0);
  }
  bearer.token = PARLEY_LIT("token");
  for (size_t i = 0; i < COUNT(users); i++) {
    bearer.user = parley_text_of(users[i]);
    ck_assert_uint_eq(smtp_bearer_write(&bearer, line), 0);
  }
  ck_assert_ptr_nonnull(large);
  memset(large, 'x', SASL_TOKEN_MAX + 1);
  bearer = (struct sasl_bearer){.user = PARLEY_LIT("a,b=c"), .token = {large, SASL_TOKEN_MAX}, .host = PARLEY_LIT("mx")};
  ck_assert_uint_le(smtp_bearer_write(&bearer, line), SMTP_BEARER_LINE_MAX);
  ck_assert_uint_gt(smtp_bearer_write(&bearer, line), SASL_TOKEN_MAX);
  bearer.token.len++;
  ck_assert_uint_eq(smtp_bearer_write(&bearer, line), 0);
  free(large);
}
END_TEST

/* --- What a reply means ------------------------------------------------------------------------------------------- */
static const struct {
  enum smtp_stage stage;
  uint32_t code, subject, detail, outcome;
  bool by_domain;
} verdicts[] = {
    {SMTP_STAGE_DOT, 250, 0, 0, PARLEY_OUTCOME_ACCEPTED, true},
    {SMTP_STAGE_DOT, 251, 0, 0, PARLEY_OUTCOME_ACCEPTED, true},
    {SMTP_STAGE_DOT, 354, 0, 0, PARLEY_OUTCOME_UNKNOWN, true},
    {SMTP_STAGE_DOT, 421, 0, 0, PARLEY_OUTCOME_THROTTLED, true},
    {SMTP_STAGE_DOT, 451, 3, 0, PARLEY_OUTCOME_RETRY, true},
    {SMTP_STAGE_DOT, 452, 3, 1, PARLEY_OUTCOME_RETRY, true},
    {SMTP_STAGE_DOT, 552, 3, 4, PARLEY_OUTCOME_REJECTED, true},
    {SMTP_STAGE_DOT, 554, 7, 1, PARLEY_OUTCOME_REJECTED, true},
    {SMTP_STAGE_DOT, 550, 1, 1, PARLEY_OUTCOME_BAD_ADDRESS, true},
    {SMTP_STAGE_DOT, 552, 2, 2, PARLEY_OUTCOME_RETRY, true},
    {SMTP_STAGE_RCPT, 250, 1, 5, PARLEY_OUTCOME_RETRY, true}, /* asked only for refusals */
    {SMTP_STAGE_RCPT, 550, 1, 1, PARLEY_OUTCOME_BAD_ADDRESS, true},
    {SMTP_STAGE_RCPT, 550, 1, 10, PARLEY_OUTCOME_BAD_ADDRESS, true},
    {SMTP_STAGE_RCPT, 550, 1, 8, PARLEY_OUTCOME_REJECTED, true},
    {SMTP_STAGE_RCPT, 550, 7, 1, PARLEY_OUTCOME_REJECTED, true},
    {SMTP_STAGE_RCPT, 550, 0, 0, PARLEY_OUTCOME_REJECTED, true}, /* may be policy: one refusal suppresses nobody */
    {SMTP_STAGE_RCPT, 556, 0, 0, PARLEY_OUTCOME_BAD_ADDRESS, true},
    {SMTP_STAGE_RCPT, 552, 2, 2, PARLEY_OUTCOME_RETRY, true},
    {SMTP_STAGE_RCPT, 552, 0, 0, PARLEY_OUTCOME_RETRY, true},
    {SMTP_STAGE_RCPT, 450, 2, 0, PARLEY_OUTCOME_RETRY, true},
    {SMTP_STAGE_RCPT, 450, 7, 1, PARLEY_OUTCOME_THROTTLED, true},
    {SMTP_STAGE_RCPT, 451, 7, 1, PARLEY_OUTCOME_THROTTLED, true},
    {SMTP_STAGE_RCPT, 452, 7, 0, PARLEY_OUTCOME_THROTTLED, true},
    {SMTP_STAGE_RCPT, 421, 7, 0, PARLEY_OUTCOME_THROTTLED, true},
    {SMTP_STAGE_RCPT, 530, 7, 0, PARLEY_OUTCOME_CHANNEL_DOWN, true},
    {SMTP_STAGE_MAIL, 530, 7, 0, PARLEY_OUTCOME_CHANNEL_DOWN, false},
    {SMTP_STAGE_MAIL, 550, 1, 8, PARLEY_OUTCOME_CHANNEL_DOWN, false},
    {SMTP_STAGE_MAIL, 552, 3, 4, PARLEY_OUTCOME_REJECTED, false},
    {SMTP_STAGE_MAIL, 452, 3, 1, PARLEY_OUTCOME_RETRY, false},
    {SMTP_STAGE_MAIL, 421, 0, 0, PARLEY_OUTCOME_THROTTLED, false},
    {SMTP_STAGE_DATA, 554, 5, 1, PARLEY_OUTCOME_REJECTED, true},
    {SMTP_STAGE_DATA, 451, 0, 0, PARLEY_OUTCOME_RETRY, true},
    {SMTP_STAGE_GREETING, 421, 0, 0, PARLEY_OUTCOME_THROTTLED, false},
    {SMTP_STAGE_GREETING, 554, 0, 0, PARLEY_OUTCOME_CHANNEL_DOWN, false},
    {SMTP_STAGE_AUTH, 454, 7, 0, PARLEY_OUTCOME_THROTTLED, false},
    {SMTP_STAGE_AUTH, 535, 7, 8, PARLEY_OUTCOME_CHANNEL_DOWN, false},
    {SMTP_STAGE_AUTH, 534, 7, 9, PARLEY_OUTCOME_CHANNEL_DOWN, false},
    {SMTP_STAGE_AUTH, 504, 5, 4, PARLEY_OUTCOME_CHANNEL_DOWN, false},
    {SMTP_STAGE_AUTH, 432, 7, 12, PARLEY_OUTCOME_CHANNEL_DOWN, false},
    {SMTP_STAGE_STARTTLS, 454, 7, 0, PARLEY_OUTCOME_THROTTLED, false},
};

START_TEST(a_refusal_becomes_the_outcome_the_core_can_act_on)
{
  uint32_t code = verdicts[_i].code, subject = verdicts[_i].subject;
  struct smtp_enhanced enhanced = {subject || verdicts[_i].detail ? code / 100 : 0, subject, verdicts[_i].detail};
  struct smtp_verdict verdict = smtp_judge(verdicts[_i].stage, code, enhanced);

  ck_assert_uint_eq(verdict.outcome, verdicts[_i].outcome);
  ck_assert_int_eq(verdict.by_domain, verdicts[_i].by_domain);
  ck_assert_int_eq(verdict.retry_ms > 0, verdict.outcome == PARLEY_OUTCOME_THROTTLED);
}
END_TEST

/* Replies as providers say them: what the codes alone do not tell. */
static const struct {
  enum smtp_stage stage;
  const char *line;
  uint32_t outcome, retry_ms; /* retry_ms 0: not named */
  const char *remedy;         /* a word of it; NULL: none */
} said[] = {
    {SMTP_STAGE_DOT, "550 5.7.515 Access denied, sending domain shop.example does not meet the required authentication level.",
     PARLEY_OUTCOME_REJECTED, 0, "DMARC"},
    {SMTP_STAGE_DOT, "421 4.7.28 Gmail has detected an unusual rate of unsolicited mail. To protect our users",
     PARLEY_OUTCOME_THROTTLED,
     60000, "less"},
    {SMTP_STAGE_DOT, "550 5.7.26 Your email has been blocked because the sender is unauthenticated.", PARLEY_OUTCOME_REJECTED, 0,
     "SPF"},
    {SMTP_STAGE_DOT, "421 4.7.32 Your email has been rate limited because the From: header isn't aligned", PARLEY_OUTCOME_THROTTLED,
     60000, "domain of from"},
    {SMTP_STAGE_DOT, "550 5.7.25 The IP address sending this message does not have a PTR record",
     PARLEY_OUTCOME_REJECTED, 0, "reverse"},
    {SMTP_STAGE_MAIL, "421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume",
     PARLEY_OUTCOME_THROTTLED,
     60000, NULL},
    {SMTP_STAGE_RCPT, "421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume",
     PARLEY_OUTCOME_THROTTLED,
     60000, "less"},
    {SMTP_STAGE_DOT, "554 5.7.9 Message not accepted for policy reasons. See https://senders.yahooinc.com", PARLEY_OUTCOME_REJECTED, 0,
     "DMARC"},
    {SMTP_STAGE_RCPT, "451 4.7.500 Server busy. Please try again later from [192.0.2.1].", PARLEY_OUTCOME_THROTTLED, 60000, NULL},
    {SMTP_STAGE_RCPT, "451 Server busy, slow down", PARLEY_OUTCOME_THROTTLED, 60000, NULL},
    {SMTP_STAGE_RCPT, "450 4.2.0 ana@example.org: Recipient address rejected: Greylisted, try again in 300 seconds",
     PARLEY_OUTCOME_THROTTLED, 300000, NULL},
    {SMTP_STAGE_RCPT, "450 4.2.1 The user you are trying to contact is receiving mail at a rate that prevents additional messages",
     PARLEY_OUTCOME_RETRY, 0, NULL},
    {SMTP_STAGE_RCPT, "452 4.2.2 The email account that you tried to reach is over quota", PARLEY_OUTCOME_RETRY, 0, NULL},
    {SMTP_STAGE_RCPT, "452 4.5.3 Too many recipients", PARLEY_OUTCOME_THROTTLED, 60000, NULL},
    {SMTP_STAGE_RCPT, "450 4.4.5 congestion, retry in 2 min", PARLEY_OUTCOME_THROTTLED, 120000, NULL},
    {SMTP_STAGE_DOT, "451 4.3.0 wait 1 hour", PARLEY_OUTCOME_RETRY, 3600000, NULL},
    {SMTP_STAGE_DOT, "451 4.3.0 wait 99 hours", PARLEY_OUTCOME_RETRY, 0, NULL},
    {SMTP_STAGE_DOT, "454 too many messages", PARLEY_OUTCOME_THROTTLED, 60000, NULL},
    {SMTP_STAGE_RCPT, "550 5.4.1 Recipient address rejected: Access denied. [XX.outlook.com]", PARLEY_OUTCOME_BAD_ADDRESS, 0, NULL},
    {SMTP_STAGE_RCPT, "550 5.4.1 something else", PARLEY_OUTCOME_REJECTED, 0, NULL},
    {SMTP_STAGE_RCPT, "550 5.5.0 Requested action not taken: mailbox unavailable (S2017062302).", PARLEY_OUTCOME_BAD_ADDRESS, 0, NULL},
    {SMTP_STAGE_DOT, "554 delivery error: dd This user doesn't have a yahoo.com account (ana@yahoo.com)", PARLEY_OUTCOME_BAD_ADDRESS, 0,
     NULL},
    {SMTP_STAGE_RCPT, "550 No such user here", PARLEY_OUTCOME_BAD_ADDRESS, 0, NULL},
    {SMTP_STAGE_RCPT, "550 Sender domain rejected: unknown user", PARLEY_OUTCOME_REJECTED, 0, NULL},
    {SMTP_STAGE_RCPT, "550 5.7.1 User unknown or not allowed", PARLEY_OUTCOME_REJECTED, 0, NULL}, /* the code counts */
    {SMTP_STAGE_RCPT, "550 mailbox unavailable", PARLEY_OUTCOME_REJECTED, 0, NULL},  /* RFC 5321's words for policy as well */
    {SMTP_STAGE_RCPT, "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org",
     PARLEY_OUTCOME_REJECTED, 0,
     "block list"},
    {SMTP_STAGE_AUTH, "535 5.7.8 Username and Password not accepted", PARLEY_OUTCOME_CHANNEL_DOWN, 0, NULL},
    {SMTP_STAGE_MAIL, "550 5.7.13 User account disabled", PARLEY_OUTCOME_CHANNEL_DOWN, 0, NULL},
};

START_TEST(the_words_of_providers_are_understood)
{
  char line[512];
  struct smtp_parser parser = {0};
  struct smtp_verdict verdict;
  size_t used;

  snprintf(line, sizeof line, "%s\r\n", said[_i].line);
  ck_assert_int_eq(smtp_parse(&parser, parley_text_of(line), &used), SMTP_PARSED_REPLY);
  verdict = smtp_judge_reply(said[_i].stage, &parser.reply);
  ck_assert_uint_eq(verdict.outcome, said[_i].outcome);
  ck_assert_uint_eq(verdict.retry_ms, said[_i].retry_ms);
  ck_assert_int_eq(verdict.remedy != NULL, said[_i].remedy != NULL);
  if (said[_i].remedy != NULL)
    ck_assert_msg(strstr(verdict.remedy, said[_i].remedy) != NULL, "%s", verdict.remedy);
}
END_TEST

START_TEST(only_the_dot_can_accept_or_leave_it_open)
{
  for (uint32_t stage = SMTP_STAGE_CONNECT; stage <= SMTP_STAGE_QUIT; stage++)
    for (uint32_t code = 200; code < 600; code++) {
      uint32_t outcome = smtp_judge((enum smtp_stage)stage, code, (struct smtp_enhanced){0}).outcome;

      if (outcome == PARLEY_OUTCOME_ACCEPTED || outcome == PARLEY_OUTCOME_UNKNOWN)
        ck_assert_uint_eq(stage, SMTP_STAGE_DOT);
    }
}
END_TEST

/* --- Addresses ---------------------------------------------------------------------------------------------------- */
static const struct {
  const char *in, *want; /* want NULL: refused */
  bool utf8;
} addresses[] = {
    {"ana@Example.ORG", "ana@example.org", false},
    {"Ana.Maria+tag@example.org", "Ana.Maria+tag@example.org", false},
    {"user@bücher.example", "user@xn--bcher-kva.example", false},
    {"user@xn--bcher-kva.example", "user@xn--bcher-kva.example", false},
    {"user@faß.example", "user@xn--fa-hia.example", false},
    {"用户@例子.测试", "用户@xn--fsqu00a.xn--0zwm56d", true},
    {"\"quoted local\"@example.test", "\"quoted local\"@example.test", false},
    {"\"a\\\"@b\"@c.d", "\"a\\\"@b\"@c.d", false},
    {"user+tag@[192.0.2.1]", "user+tag@[192.0.2.1]", false},
    {"root@localhost", "root@localhost", false},
    {"(comment)a@b", NULL, false},
    {"<<a@b>>", NULL, false},
    {"x:a@b,c@d;", NULL, false},
    {"a b@c.d", NULL, false},
    {"a@b@c.d", NULL, false},
    {"a..b@c.d", NULL, false},
    {".a@c.d", NULL, false},
    {"a.@c.d", NULL, false},
    {"a@", NULL, false},
    {"@c.d", NULL, false},
    {"a", NULL, false},
    {"", NULL, false},
    {"a@c..d", NULL, false},
    {"a@c.d.", NULL, false},
    {"a@-c.d", NULL, false},
    {"a@ex_ample.test", NULL, false},
    {"a@xn--\x80.d", NULL, false},
    {"a@xn--zzzzzzzzzz-\xc3\xbc.d", NULL, false},
    {"a@c.d\r\nBcc: x@y", NULL, false},
    {"a\x80@c.d", NULL, false},
    {"\"a\r\n\"@c.d", NULL, false},
    {"\"<>\"@c.d", NULL, false},
    {"\"\"@c.d", NULL, false},
    {"a@[1.2.3.4> X]", NULL, false},
    {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa@c.d", NULL, false},
    {"a@aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.d", NULL, false},
};

START_TEST(an_address_is_one_exact_address_or_none)
{
  struct mail_address address;
  parley_status st = mail_address_read(parley_text_of(addresses[_i].in), &address);

  ck_assert_int_eq(st, addresses[_i].want != NULL ? PARLEY_OK : PARLEY_INVALID);
  if (addresses[_i].want == NULL)
    return;
  ck_assert_str_eq(address.text, addresses[_i].want);
  ck_assert_uint_eq(address.len, strlen(addresses[_i].want));
  ck_assert_int_eq(address.utf8, addresses[_i].utf8);
  ck_assert_ptr_eq(strrchr(address.text, '@') + 1, mail_address_domain(&address).at);
}
END_TEST

static const struct {
  const char *in, *name, *address;
} mailboxes[] = {
    {"Shop <orders@shop.example>", "Shop", "orders@shop.example"},
    {"orders@shop.example", "", "orders@shop.example"},
    {"<orders@shop.example>", "", "orders@shop.example"},
    {"\"Shop, \\\"Inc\\\"\" <a@b.c>", "Shop, \"Inc\"", "a@b.c"},
    {"  Tíenda  <a@b.c> ", "Tíenda", "a@b.c"},
    {"Shop <a@b.c> x", NULL, NULL},
    {"Shop a@b.c>", NULL, NULL},
    {"Shop <x> <a@b.c>", NULL, NULL},
    {"Shop\n <a@b.c>", NULL, NULL},
    {"", NULL, NULL},
};

START_TEST(a_mailbox_is_a_name_and_an_address)
{
  struct mail_mailbox mailbox;
  parley_status st = mail_mailbox_read(parley_text_of(mailboxes[_i].in), &mailbox);

  ck_assert_int_eq(st, mailboxes[_i].name != NULL ? PARLEY_OK : PARLEY_INVALID);
  if (mailboxes[_i].name == NULL)
    return;
  ck_assert_str_eq(mailbox.name, mailboxes[_i].name);
  ck_assert_str_eq(mailbox.address.text, mailboxes[_i].address);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("email: SMTP bytes");
  TCase *tcase = tcase_create("all");
  SRunner *runner;
  int failed;

  tcase_add_loop_test(tcase, a_reply_is_read_strictly, 0, COUNT(replies));
  tcase_add_test(tcase, a_reply_reads_the_same_byte_by_byte);
  tcase_add_test(tcase, an_endless_line_and_endless_lines_are_cut_off);
  tcase_add_test(tcase, offers_are_read_in_any_case);
  tcase_add_test(tcase, commands_are_written_whole);
  tcase_add_loop_test(tcase, a_value_cannot_become_a_command, 0, COUNT(injections));
  tcase_add_test(tcase, commands_have_a_limit);
  tcase_add_loop_test(tcase, no_line_end_ends_the_mail, 0, COUNT(stuffed));
  tcase_add_loop_test(tcase, a_chunk_has_the_size_that_was_said_and_no_dots, 0, COUNT(stuffed));
  tcase_add_test(tcase, a_bearer_line_is_as_the_rfc_and_google_write_it);
  tcase_add_test(tcase, a_bearer_line_carries_no_command_of_its_own);
  tcase_add_loop_test(tcase, the_words_of_providers_are_understood, 0, COUNT(said));
  tcase_add_loop_test(tcase, a_refusal_becomes_the_outcome_the_core_can_act_on, 0, COUNT(verdicts));
  tcase_add_test(tcase, only_the_dot_can_accept_or_leave_it_open);
  tcase_add_loop_test(tcase, an_address_is_one_exact_address_or_none, 0, COUNT(addresses));
  tcase_add_loop_test(tcase, a_mailbox_is_a_name_and_an_address, 0, COUNT(mailboxes));
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed > 0;
}
