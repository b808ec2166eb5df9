// sources: plugins/email/smtp_serve.c plugins/email/smtp_body.c plugins/email/smtp_login.c plugins/email/smtp_serve_wire.c
// sources: plugins/email/smtp_serve_login.c plugins/email/smtp_serve_mail.c plugins/email/sasl.c plugins/email/mail_address.c
// libraries: PkgConfig::IDN
/* Whatever a client sends, in whatever pieces: no mail has a bare CR or LF, every mail had its CRLF.CRLF or its BDAT
 * LAST, each is answered, the same bytes in other pieces give the same mails, and every reply is a line that begins by
 * its code. The first byte says protocol and pieces. */
#include "email/smtp_serve.h"
#include <assert.h>
#include <stdlib.h>

struct run {
  struct smtp_serve *serve;
  uint64_t mails_hash;
  uint32_t n_mails, n_answered;
  bool closed, asked_later;
  parley_bytes last;
};

static int64_t run_now(void *arg)
{
  (void)arg;
  return 1;
}

static void run_write(parley_bytes bytes, void *arg)
{
  struct run *run = arg;

  assert(!run->closed && bytes.len > 5 && bytes.at[bytes.len - 1] == '\n' && bytes.at[bytes.len - 2] == '\r');
  for (size_t i = 0; i < bytes.len; i++) {
    if (i == 0 || bytes.at[i - 1] == '\n')
      assert(bytes.at[i] >= '2' && bytes.at[i] <= '5' && (bytes.at[i + 3] == ' ' || bytes.at[i + 3] == '-'));
    assert(bytes.at[i] != '\r' || bytes.at[i + 1] == '\n');
  }
}

static void run_reading(bool on, void *arg)
{
  (void)on;
  (void)arg;
}

static void run_secure(size_t unused, void *arg)
{
  struct run *run = arg;

  assert(unused == 0);
  run->asked_later = true;
}

static void run_close(bool now, void *arg)
{
  struct run *run = arg;

  (void)now;
  run->closed = true;
}

static void run_login(parley_text user, parley_text password, void *arg)
{
  struct run *run = arg;

  assert(user.len > 0);
  smtp_serve_login(run->serve, password.len % 2 ? PARLEY_OK : PARLEY_DENIED);
}

static void run_recipient(parley_text from, const struct mail_address *to, bool first, void *arg)
{
  struct run *run = arg;

  (void)first;
  assert(from.len <= MAIL_ADDRESS_MAX && to->len > 0 && to->len <= MAIL_ADDRESS_MAX);
  smtp_serve_recipient(run->serve, &(struct smtp_serve_reply){.code = to->text[0] == 'x' ? 550 : 250});
}

static void run_mail(struct smtp_serve_mail *mail, void *arg)
{
  struct run *run = arg;
  struct smtp_serve_reply each[SMTP_SERVE_RECIPIENTS_MAX];

  assert(mail->n_recipients > 0 && mail->n_recipients <= SMTP_SERVE_RECIPIENTS_MAX && mail->len <= 10000);
  for (size_t i = 0; i < mail->len; i++) {
    assert((mail->raw[i] == '\n') == (i > 0 && mail->raw[i - 1] == '\r'));
    assert(mail->raw[i] != '\r' || i + 1 < mail->len);
    run->mails_hash = run->mails_hash * 1099511628211u + (unsigned char)mail->raw[i];
  }
  free(mail->raw);
  run->n_mails++;
  for (uint32_t i = 0; i < mail->n_recipients; i++)
    each[i] = (struct smtp_serve_reply){.code = i % 2 ? 452 : 250, .words = PARLEY_LIT("so\r\n")};
  smtp_serve_mail(run->serve, each, mail->n_recipients);
}

static const struct smtp_serve_owner owner = {.now_ms = run_now,
                                              .write = run_write,
                                              .reading = run_reading,
                                              .secure = run_secure,
                                              .close = run_close,
                                              .login = run_login,
                                              .recipient = run_recipient,
                                              .mail = run_mail};

static struct run run_all(const struct smtp_serve_config *config, parley_bytes bytes, size_t piece)
{
  struct run run = {.serve = smtp_serve_new(config, &owner, &run)};
  size_t used = 0, given = 0;

  smtp_serve_opened(run.serve, false);
  while (given < bytes.len && !run.closed) {
    given = given + piece < bytes.len ? given + piece : bytes.len;
    used += smtp_serve_data(run.serve, (parley_bytes){bytes.at + used, given - used});
    assert(used <= given);
    if (run.asked_later && !run.closed)
      smtp_serve_opened(run.serve, true);
    run.asked_later = false;
  }
  smtp_serve_closed(run.serve);
  smtp_serve_free(&run.serve);
  return run;
}

static uint32_t ends_in(parley_bytes bytes) /* how many mails there can be at most */
{
  uint32_t n = 0;

  for (size_t i = 0; i < bytes.len; i++)
    n += (i + 3 <= bytes.len && memcmp(bytes.at + i, ".\r\n", 3) == 0 && (i == 0 || bytes.at[i - 1] == '\n')) ||
         (i + 4 <= bytes.len && strncasecmp(bytes.at + i, "last", 4) == 0);
  return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  struct smtp_serve_config config = {.host = PARLEY_LIT("mx.example"), .mail_max = 10000};
  parley_bytes bytes = {(const char *)data + 1, size - 1};
  struct run whole, cut;

  if (size == 0 || size > 60000)
    return 0;
  config.protocol = (enum smtp_serve_protocol)(SMTP_SERVE_SMTP + data[0] % 3);
  config.starttls = (data[0] & 4) != 0;
  config.clear_auth = (data[0] & 8) != 0;
  whole = run_all(&config, bytes, size);
  assert(whole.n_mails <= ends_in(bytes));
  cut = run_all(&config, bytes, 1 + data[0] / 32);
  /* Commands that must wait for an answer can be told from impatient ones only when they come together. */
  assert(whole.closed || (cut.n_mails == whole.n_mails && cut.mails_hash == whole.mails_hash));
  return 0;
}
