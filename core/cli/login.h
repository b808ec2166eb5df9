/* login.h - `parley channel login NAME`: how an operator lets a channel into his mailbox by OAuth 2.0, once. Gets the refresh token
 * by the device authorization grant (RFC 8628) where the provider has it, else by an authorization code with PKCE (RFC 7636) that
 * comes back to a loopback address (RFC 8252), and writes it to the file that the channel's option oauth.refresh_token names.
 * One run, one thread, blocking: a person types meanwhile. Private to core/cli. */
#ifndef CORE_CLI_LOGIN_H
#define CORE_CLI_LOGIN_H
#include "command.h"
#include "core/base/arena.h"

#define LOGIN_WAIT_S 900          /* for the person, where the provider names no time */
#define LOGIN_INTERVAL_S 5        /* between two looks, where the provider names none (RFC 8628 section 3.2) */
#define LOGIN_SLOWER_S 5          /* more, each time that it says slow_down (section 3.5) */
#define LOGIN_TIMEOUT_MS 30000L   /* of one request to the provider */
#define LOGIN_ANSWER_MAX 65536    /* bytes of its answer */
#define LOGIN_REQUEST_MAX 16384   /* bytes of the browser's request */
#define LOGIN_TOKEN_MAX 4096      /* bytes of a refresh token: what the plugins take */

struct login { /* borrowed from the configuration and the command line */
  const char *channel;
  const char *token_url, *device_url, *auth_url; /* the last two: NULL when the provider has none */
  const char *client_id, *client_secret, *scope; /* client_secret, scope: "" when not given */
  const char *auth_more;     /* what this provider wants in the address beyond the RFC; "" */
  const char *redirect_host; /* "127.0.0.1" or "localhost": by which the provider lets a loopback address be called */
  long port;                 /* of the loopback listener; 0: a free one */
};

/* login_provider.c: POSTs the form to the provider. *ret_json is its answer, the caller's; false: none came, which is said. */
void login_form_add(struct buf *form, const char *name, const char *value); /* nothing when value is empty */
bool login_post(const char *url, const struct buf *form, json_t **ret_json);
/* Fills in what is known of the provider by its token_url; what stands there already stays. */
void login_provider_fill(struct login *login, struct arena *arena);
/* Whether secrets may go there: https, or http to this machine. */
bool login_url_ok(const char *url);
/* Says what the provider answered instead of a token. */
void login_refused(const json_t *answer);

/* Both: the token endpoint's answer, the caller's; NULL: there is none, which is said. */
json_t *login_by_device(const struct login *login);  /* login_device.c */
json_t *login_by_browser(const struct login *login); /* login_browser.c */
#endif
