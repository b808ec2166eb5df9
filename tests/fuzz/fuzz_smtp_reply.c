// sources: plugins/email/smtp_wire.c plugins/email/sasl.c plugins/email/smtp_verdict.c plugins/email/mail_address.c
// libraries: PkgConfig::IDN
/* What a mail server may say, what an operator or a customer may be called, and what may stand in a body:
 * replies stay within their bounds and mean the same in any pieces; a command is one line; no body ends its mail. */
#include "email/mail_address.h"
#include "email/smtp_verdict.h"
#include <assert.h>
#include <stdlib.h>

enum { PIECE_MAX = 7 };

static void check_replies(parley_bytes bytes)
{
  struct smtp_parser whole = {0}, pieces = {0};
  struct smtp_offers offers = {0};
  size_t at = 0, begin = 0, used;
  enum smtp_parsed parsed = SMTP_PARSED_LINE, again = SMTP_PARSED_NOTHING;

  while (parsed == SMTP_PARSED_LINE) {
    parsed = smtp_parse(&whole, (parley_bytes){bytes.at + at, bytes.len - at}, &used);
    assert(used <= bytes.len - at && (used > 0 || parsed == SMTP_PARSED_NOTHING || parsed == SMTP_PARSED_BROKEN));
    at += used;
    if (parsed == SMTP_PARSED_LINE || parsed == SMTP_PARSED_REPLY)
      smtp_offers_line(&offers, whole.line);
  }
  assert(whole.reply.n_lines <= SMTP_REPLY_LINES_MAX && whole.reply.text_len <= SMTP_REPLY_TEXT_MAX);
  assert(whole.reply.text[whole.reply.text_len] == '\0');
  for (size_t end = 0; end <= bytes.len && again != SMTP_PARSED_REPLY && again != SMTP_PARSED_BROKEN; end++) {
    again = smtp_parse(&pieces, (parley_bytes){bytes.at + begin, end - begin}, &used);
    begin += used;
  }
  assert(parsed == again || (parsed == SMTP_PARSED_NOTHING && again == SMTP_PARSED_LINE));
  if (parsed != SMTP_PARSED_REPLY)
    return;
  assert(begin == at && whole.reply.code >= 200 && whole.reply.code < 600);
  assert(strcmp(whole.reply.text, pieces.reply.text) == 0);
  for (uint32_t stage = SMTP_STAGE_CONNECT; stage <= SMTP_STAGE_QUIT; stage++) {
    struct smtp_verdict verdict = smtp_judge((enum smtp_stage)stage, whole.reply.code, whole.reply.enhanced);
    struct smtp_verdict said = smtp_judge_reply((enum smtp_stage)stage, &whole.reply);

    assert(said.outcome != PARLEY_OUTCOME_ACCEPTED || (stage == SMTP_STAGE_DOT && whole.reply.code < 300));
    assert(said.outcome == verdict.outcome || whole.reply.code >= 400);
    assert(said.retry_ms <= SMTP_WAIT_MAX_MS && (said.outcome != PARLEY_OUTCOME_THROTTLED || said.retry_ms > 0));
    assert(said.remedy == NULL || whole.reply.code >= 400);
    assert(verdict.outcome != PARLEY_OUTCOME_ACCEPTED || (stage == SMTP_STAGE_DOT && whole.reply.code < 300));
    assert(verdict.outcome != PARLEY_OUTCOME_UNKNOWN || stage == SMTP_STAGE_DOT);
  }
}

static size_t lines_of(const struct smtp_commands *out)
{
  size_t n = 0;

  for (size_t i = 0; i < out->len; i++)
    n += out->at[i] == '\r' || out->at[i] == '\n' || out->at[i] == '\0';
  return n;
}

static void check_bearer(parley_bytes bytes)
{
  char line[SMTP_BEARER_LINE_MAX + 1];
  size_t half = bytes.len / 2;
  const struct sasl_bearer bearer = {.user = {bytes.at, half}, .token = {bytes.at + half, bytes.len - half}, .host = PARLEY_LIT("mx"),
                                     .xoauth2 = bytes.len % 2 == 0};
  size_t len = smtp_bearer_write(&bearer, line);

  assert(len <= sizeof line && (len == 0 || (memcmp(line + len - 2, "\r\n", 2) == 0 && memchr(line, '\r', len) == line + len - 2)));
}

static void check_commands(parley_bytes bytes)
{
  struct smtp_commands out = {0};
  struct mail_address address;
  struct mail_mailbox mailbox;

  smtp_put_word(&out, "EHLO", bytes);
  assert(out.bad ? out.len == 0 : lines_of(&out) == 2);
  out = (struct smtp_commands){0};
  smtp_put_auth_plain(&out, bytes, bytes);
  assert(out.bad ? out.len == 0 : lines_of(&out) == 2);
  check_bearer(bytes);
  if (mail_address_read(bytes, &address) == PARLEY_OK) {
    struct mail_address same;

    out = (struct smtp_commands){0};
    smtp_put_rcpt(&out, mail_address_text(&address));
    assert(!out.bad && lines_of(&out) == 2);
    assert(address.len == strlen(address.text) && address.len <= MAIL_ADDRESS_MAX);
    assert(mail_address_read(mail_address_text(&address), &same) == PARLEY_OK && strcmp(same.text, address.text) == 0);
  }
  if (mail_mailbox_read(bytes, &mailbox) == PARLEY_OK)
    assert(mail_text_ok(parley_text_of(mailbox.name)));
}

/* A chunk has the size that its head says, and the lines of the mail. */
static void check_chunk(parley_bytes bytes)
{
  struct smtp_stuffer stuffer = {.undotted = true};
  char *out = malloc(2 * bytes.len + 16);
  size_t used = 0, n;

  assert(out != NULL);
  n = smtp_stuff(&stuffer, bytes, out, 2 * bytes.len + 16, &used);
  assert(used == bytes.len);
  n += smtp_stuff_end(&stuffer, out + n);
  assert(n == smtp_stuffed_len(bytes) && n <= 2 * bytes.len + 2);
  assert(n == 0 || (n >= 2 && out[n - 2] == '\r' && out[n - 1] == '\n'));
  free(out);
}

/* Reads a stuffed mail as a server does: every line ends by CRLF, only the last is a lone dot. */
static void check_stuffing(parley_bytes bytes)
{
  struct smtp_stuffer stuffer = {0};
  char *out = malloc(2 * bytes.len + 16);
  size_t n = 0, used, line = 0;

  assert(out != NULL);
  for (size_t at = 0; at < bytes.len; at += used) {
    size_t piece = 1 + (size_t)(unsigned char)bytes.at[at] % PIECE_MAX;

    n += smtp_stuff(&stuffer, (parley_bytes){bytes.at + at, piece < bytes.len - at ? piece : bytes.len - at}, out + n,
                    SMTP_STUFF_ROOM_MIN, &used);
    assert(used > 0 && n <= 2 * bytes.len);
  }
  n += smtp_stuff_end(&stuffer, out + n);
  for (size_t i = 0; i < n; i++) {
    assert(out[i] != '\n' || (i > 0 && out[i - 1] == '\r'));
    assert(out[i] != '\r' || (i + 1 < n && out[i + 1] == '\n'));
    if (out[i] != '\n')
      continue;
    assert((i + 1 == n) == (i - line == 2 && out[line] == '.'));
    line = i + 1;
  }
  free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  const parley_bytes bytes = {(const char *)data, size};

  check_replies(bytes);
  check_commands(bytes);
  check_chunk(bytes);
  check_stuffing(bytes);
  return 0;
}
