/* email_health.h - how an e-mail channel is, in the host's words: whether mails can leave (up, down), what a provider holds against
 * their sender (degraded, for BLAME_MS after its last refusal), and, when sending has nothing worse to tell, how receiving is. Counts
 * failures in a row and says how long to wait after them. Owned by the channel. Thread: loop. Times: monotonic ms. */
#ifndef EMAIL_HEALTH_H
#define EMAIL_HEALTH_H
#include "email_backoff.h"
#include "smtp_session.h"

struct email_health {
  const parley_host *host;
  const char *login_remedy;     /* of a login by OAuth; NULL: by password */
  bool sends;                   /* the channel does; else receiving is all there is to tell */
  bool down;
  bool mails_refused;           /* for the channel's own fault: a login alone is no cure */
  uint32_t failures;            /* logins, or mails so refused, since one went well */
  int64_t backoff_until_ms;
  const char *blame;            /* the remedy that is shown; static; NULL: none */
  int64_t blame_until_ms;
  uint32_t in_level;            /* of receiving: PARLEY_DEGRADED, PARLEY_DOWN; else well */
  parley_text in_cause, in_remedy;
};
/* host and login_remedy are borrowed. */
void email_health_init(struct email_health *health, const parley_host *host, const char *login_remedy, bool sends);
void email_health_logged_in(struct email_health *health);
/* others_work: other connections stand, which do the work meanwhile. */
void email_health_login_failed(struct email_health *health, const struct smtp_result *result, bool others_work);
void email_health_mail_done(struct email_health *health, const struct smtp_result *result, parley_text domain);
/* cause and remedy stay until the next call. */
void email_health_receiving(struct email_health *health, uint32_t level, parley_text cause, parley_text remedy);
/* Until the server may be asked again; 0: now. */
uint32_t email_health_wait_ms(const struct email_health *health);
void email_health_sweep(struct email_health *health); /* each second, while there is blame */
/* What the server said, or why it said nothing: borrowed from the result, or static. */
parley_text email_result_words(const struct smtp_result *result);
#endif
