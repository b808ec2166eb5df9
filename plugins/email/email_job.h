/* email_job.h - one submitted message on its way: its token, its address, its composed mail, and how it is settled.
 * Owns the composed bytes; the message is the host's until it is settled. Thread: loop. */
#ifndef EMAIL_JOB_H
#define EMAIL_JOB_H
#include "email_options.h"
#include "mail_compose.h"

#define EMAIL_STOPS "the channel stops"
struct email_fetch;
struct email_job {
  struct email_job *next; /* in the channel's queue */
  const parley_host *host;
  const parley_message *message; /* NULL: a probe */
  uint64_t token;
  int64_t taken_ms;   /* monotonic */
  uint32_t requeued;  /* times it was given to a connection that turned out to be gone */
  bool composed;
  bool large;         /* its media are fetched: counts among the few such mails in memory */
  struct email_fetch *fetch; /* under way */
  struct mail_address to;
  struct mail mail;
  struct smtp_job smtp;
  char return_path[MAIL_ADDRESS_MAX + 1]; /* with the message's token */
  void (*settles)(const struct email_job *job, void *arg); /* just before its token is settled, whoever does it; NULL: nobody asks */
  void *arg;
};
/* NULL: no memory. */
struct email_job *email_job_new(const parley_host *host, uint64_t token, const parley_message *message, int64_t mono_ms);
/* Whether email_job_compose() signs: then it takes a while, and belongs on the work pool. */
bool email_job_signs(const struct email_job *job, const struct email_options *options);
/* Composes it for this channel, and signs it, unless that has been done. media: NULL, or the content of each part that came without
 * its own.
 * PARLEY_INVALID: *ret_why (static); it can never be sent. Thread: any. */
parley_status email_job_compose(struct email_job *job, struct mail_composer *composer, const struct email_options *options,
                                const parley_bytes *media, const char **ret_why);
/* All settle the token, free the job and set *job to NULL. */
void email_job_settle(struct email_job **job, const struct smtp_result *result);
void email_job_end(struct email_job **job, uint32_t outcome, uint32_t retry_ms, parley_text detail);
void email_job_stop(struct email_job **job); /* untried: the channel stops */
/* "550 5.1.1", of a reply; to: EMAIL_CODE_MAX bytes. Empty when there was none. */
enum { EMAIL_CODE_MAX = 24 };
void email_code_write(const struct smtp_reply *reply, char *to);
#endif
