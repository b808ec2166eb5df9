/* email_pool.h - a channel's connections to its mail server, and the mails that wait for one: opens as many as there is work for
 * (option sessions at most), gives each the next mail, closes them when they idle, knocks while the server lets nobody in, and logs
 * in for a probe. A mail is composed, unless it is already, when a connection is there, and settled with what the server said.
 * Owns its links, the jobs that wait and the probes. Tells email_health what it meets. Thread: loop. */
#ifndef EMAIL_POOL_H
#define EMAIL_POOL_H
#include "email_health.h"
#include "email_link.h"
#include "email_queue.h"

struct email_pool_config { /* all borrowed, outlive it */
  const parley_host *host;
  const parley_stream *stream;
  struct mail_composer *composer;
  const struct email_options *options;
  struct email_oauth *oauth; /* NULL: a password, or no login */
  struct email_health *health;
};
struct email_pool_owner {
  void (*settled)(void *arg); /* a server has answered a mail, which is settled */
  void (*ticks)(void *arg);   /* email_pool_sweep() is wanted each second from now on, as long as it is busy */
  void (*over)(void *arg);    /* stopped, and a connection more is gone */
  void *arg;
};
struct email_pool;
/* NULL: no memory. */
struct email_pool *email_pool_new(const struct email_pool_config *config, const struct email_pool_owner *owner);
void email_pool_free(struct email_pool **pool); /* after the host has closed every stream */
/* The job becomes the pool's. */
void email_pool_add(struct email_pool *pool, struct email_job *job);
/* Logs in for this job, whose token is settled with what came of it. false: no memory, it stays the caller's. */
bool email_pool_probe(struct email_pool *pool, struct email_job *probe);
/* The access token is there, or cannot be had. */
void email_pool_token_got(struct email_pool *pool);
void email_pool_token_failed(struct email_pool *pool, bool for_good, parley_text why);
void email_pool_sweep(struct email_pool *pool);
bool email_pool_busy(const struct email_pool *pool);
/* No new connection but for what waits; who has nothing to do takes leave. */
void email_pool_drain(struct email_pool *pool);
/* Gives back what waits; what is under way is finished. */
void email_pool_stop(struct email_pool *pool);
bool email_pool_is_over(const struct email_pool *pool); /* no connection is left */
#endif
