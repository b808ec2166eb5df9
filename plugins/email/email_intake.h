/* email_intake.h - what an e-mail channel takes in, and by which way: the listener for other mail servers, the one for our own
 * software, the hosted mailbox, and mail_take, which all but submission hand their mails to. Owns them. Thread: loop. */
#ifndef EMAIL_INTAKE_H
#define EMAIL_INTAKE_H
#include "email_health.h"
#include "email_job.h"

struct email_intake_config { /* all borrowed, outlive it */
  const parley_host *host;
  const parley_stream *stream;
  const parley_media *media;  /* NULL: the host has none */
  struct email_options *options;
  struct email_oauth *oauth;  /* NULL: by password */
  struct email_health *health;
};
struct email_intake;
/* NULL: no memory. Takes nothing in before start(). */
struct email_intake *email_intake_new(const struct email_intake_config *config);
/* PARLEY_INVALID: told as health; PARLEY_BUSY: no memory. */
parley_status email_intake_start(struct email_intake *intake);
/* Settles a probe of a channel that takes in only. */
void email_intake_probe(struct email_intake *intake, struct email_job **job);
void email_intake_token_got(struct email_intake *intake);
void email_intake_token_failed(struct email_intake *intake, bool for_good, parley_text why);
/* Takes no new mail; who is in the middle of one may end it. */
void email_intake_drain(struct email_intake *intake);
/* Then over(arg), once, maybe from here; listeners end with the host's streams. */
void email_intake_stop(struct email_intake *intake, parley_call *over, void *arg);
/* After the host has closed every stream and completed every call. */
void email_intake_free(struct email_intake **intake);
#endif
