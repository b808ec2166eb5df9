/* email_link.h - one connection to the mail server: the socket under an smtp_session, and the job it carries. What it is told to do
 * and what its fate means is its owner's (email_pool). Frees itself behind closed(), which comes once. Thread: loop. Times:
 * monotonic ms. */
#ifndef EMAIL_LINK_H
#define EMAIL_LINK_H
#include "email_job.h"
#include <parley/ext/stream.h>

struct email_link;
struct email_link_owner { /* as smtp_owner has them */
  void (*ready)(struct email_link *link);
  void (*done)(struct email_link *link, const struct smtp_result *result);
  void (*failed)(struct email_link *link, const struct smtp_result *result);
  void (*closed)(struct email_link *link); /* its memory goes behind this; the session is over */
  void (*after)(void *arg);                /* and it has gone */
};
struct email_link {
  struct email_link *next; /* the owner's, as all up to `host` */
  struct email_job *job;   /* what it carries; of a probe: the probe's token */
  int64_t idle_since_ms;
  uint32_t generation;     /* of the access token, when it was opened */
  bool probe, login;       /* login: not ready for the first time yet; of a probe never */
  const parley_host *host;
  const parley_stream *stream;
  const struct email_options *options;
  const struct email_link_owner *owner;
  void *arg;
  uint64_t stream_id;
  struct smtp_session session;
};
/* Opens it; all are borrowed and outlive it. NULL: no memory. */
struct email_link *email_link_open(const parley_host *host, const parley_stream *stream, const struct email_options *options,
                                   const struct email_link_owner *owner, void *arg);
bool email_link_idle(const struct email_link *link); /* a mail can be given to it */
bool email_link_works(const struct email_link *link); /* for mails, and has logged in at least once */
#endif
