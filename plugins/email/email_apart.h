/* email_apart.h - mails that are not made on the loop, on their way to the pool of connections: those whose media are fetched, of which
 * EMAIL_LARGE_MAX at once are in memory until they are settled while the others wait, and small ones that are signed. email_fetch makes
 * each. Owns the jobs meanwhile. Thread: loop. */
#ifndef EMAIL_APART_H
#define EMAIL_APART_H
#include "email_fetch.h"
#include "email_queue.h"

enum { EMAIL_LARGE_MAX = 2 };
struct email_apart_config { /* all borrowed, outlive it */
  const parley_host *host;
  const parley_media *media; /* NULL: the host has none */
  struct mail_composer *composer;
  const struct email_options *options;
};
struct email_apart_owner {
  void (*composed)(struct email_job *job, void *arg); /* ready to send: the owner's again */
  void (*over)(void *arg); /* stopped, and one more that was under way is gone */
  void *arg;
};
struct email_apart;
/* NULL: no memory. */
struct email_apart *email_apart_new(const struct email_apart_config *config, const struct email_apart_owner *owner);
void email_apart_free(struct email_apart **apart);
/* false: it is neither, and stays the caller's. */
bool email_apart_take(struct email_apart *apart, struct email_job *job);
/* A job that it has had is settled. */
void email_apart_settled(struct email_apart *apart, const struct email_job *job);
/* Begins those there is room for again. */
void email_apart_pump(struct email_apart *apart);
void email_apart_sweep(struct email_apart *apart); /* each second, while one waits */
bool email_apart_busy(const struct email_apart *apart); /* one waits */
/* Gives back what waits and what is being read; what the pool is at work on, when it is done with it. */
void email_apart_stop(struct email_apart *apart);
bool email_apart_is_over(const struct email_apart *apart); /* nothing is under way */
#endif
