/* doctor.h - parley doctor in parts: how it says things, and what DNS says of the domains that mail is sent from. Private to
 * core/cli. */
#ifndef CORE_CLI_DOCTOR_H
#define CORE_CLI_DOCTOR_H
#include "command.h"
#include "core/config/conf.h"

struct doctor {
  int failed, warned;
};
/* One line: verdict is ok, note, warn or fail; what it is about; words by printf rules. */
void said(struct doctor *doctor, const char *verdict, const char *what, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* doctor_mail.c: SPF, DKIM and DMARC of each domain that an e-mail channel sends from. It collects what channels say (their keys as
 * well, until it is freed), then asks DNS, one name after another, and waits. */
struct doctor_mail;
struct doctor_mail *doctor_mail_new(void);
void doctor_mail_see(const struct conf_channel *channel, const parley_value *options, void *mail); /* a channel_options_seen */
/* dns: the server to ask, "127.0.0.1:5353"; NULL: the system's. */
void doctor_mail_check(struct doctor_mail *mail, struct doctor *doctor, const struct conf *conf, const char *dns);
void doctor_mail_free(struct doctor_mail **mail);
#endif
