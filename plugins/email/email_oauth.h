/* email_oauth.h - the access token of a channel that logs in by OAuth 2.0: got with the refresh token (RFC 6749 section 6) over the
 * host's HTTP, kept in memory only, got anew before it expires, and once when the mail server refuses it. A refresh token that the
 * provider replaces (Microsoft does each time) is kept in the channel's durable state, under a hash of the configured one, so that
 * a new `parley channel login` wins over it.
 * Owns the token and its one request. The config is borrowed until free. Thread: loop. Neither callback comes within a call. */
#ifndef EMAIL_OAUTH_H
#define EMAIL_OAUTH_H
#include "sasl.h"

enum {
  EMAIL_OAUTH_TEXT_MAX = 4096,   /* bytes of a client's id, secret, refresh token or scope */
  EMAIL_OAUTH_ANSWER_MAX = 65536, /* bytes of the token endpoint's answer */
  EMAIL_OAUTH_TIMEOUT_MS = 20000,
  EMAIL_OAUTH_LIFE_MS = 3600000, /* of a token whose answer names none */
  EMAIL_OAUTH_EARLY_MS = 300000, /* so long before its end a new one is got, or a tenth of its life where that is less */
  EMAIL_OAUTH_AGAIN_MS = 30000,  /* asked again so much later, as long as the old one is good */
  EMAIL_OAUTH_WHY_MAX = 320
};
struct email_oauth_config {
  parley_text token_url, client_id, client_secret, refresh_token, scope; /* client_secret and scope may be empty */
};
struct email_oauth_owner {
  void (*got)(void *arg); /* there is a new token */
  /* There is none. for_good: the provider refuses; else try again later. why: one line, no secrets; borrowed for the call. */
  void (*failed)(bool for_good, parley_text why, void *arg);
};
struct email_oauth;
/* NULL: no memory. */
struct email_oauth *email_oauth_new(const parley_host *host, const struct email_oauth_config *config,
                                    const struct email_oauth_owner *owner, void *arg);
/* Nothing of it may be under way: what was, the host has ended. */
void email_oauth_free(struct email_oauth **oauth);
/* Whether there is a token that is good by the clock. Gets one when there is none, or when this one will end soon. */
bool email_oauth_ready(struct email_oauth *oauth);
parley_text email_oauth_token(const struct email_oauth *oauth, uint32_t *ret_generation);
/* The mail server has taken a token, or refused the one of this generation. true: another one is there or on its way. */
void email_oauth_accepted(struct email_oauth *oauth);
bool email_oauth_refused(struct email_oauth *oauth, uint32_t generation);
void email_oauth_stop(struct email_oauth *oauth); /* no callback after this */
#endif
