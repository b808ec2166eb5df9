/* smtp_script.h - an SMTP server for tests that says what the test tells it to, however wrong: the peer of stream_host.h.
 * What it says to a command is a text of whole lines; "!" at its end closes the connection, "" says nothing. Keeps the mails. */
#ifndef TESTS_SUPPORT_SMTP_SCRIPT_H
#define TESTS_SUPPORT_SMTP_SCRIPT_H
#include "tests/support/stream_host.h"

enum { SMTP_SCRIPT_MAILS_MAX = 20000, SMTP_SCRIPT_LOG_MAX = 65536 };

struct smtp_script {
  /* NULL: what an agreeable server says. */
  const char *greeting, *ehlo, *ehlo_secured, *helo, *starttls, *auth, *auth_user, *auth_password, *mail, *rcpt, *data, *dot, *rset,
      *quit;
  uint32_t refuse_rcpt_first; /* so many RCPTs are refused before `rcpt` counts */
  const char *auth_again;     /* said to what follows a 334 that `auth` says; NULL: as auth_password */
  const char *early;          /* said in the middle of a mail, once half of it is here; NULL: nothing */
  struct { char *at; size_t len; } mails[SMTP_SCRIPT_MAILS_MAX]; /* without the dots, lines as they came */
  uint32_t n_mails, n_conns, n_rcpt;
  char log[SMTP_SCRIPT_LOG_MAX]; /* commands, one a line, those of all connections */
  size_t log_len;
};
struct smtp_script *smtp_script_new(void);
void smtp_script_free(struct smtp_script **script);
struct stream_peer smtp_script_peer(struct smtp_script *script);
/* How often a command with this beginning came. */
uint32_t smtp_script_count(const struct smtp_script *script, const char *command);
#endif
