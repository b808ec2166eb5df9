/* sasl.h - what logs in to a mail server, whichever protocol carries it: PLAIN (RFC 4616), XOAUTH2 (Google's and Microsoft's) and
 * OAUTHBEARER (RFC 7628), each as its one response in base64, and PLAIN as our own server reads it. Pure. Thread: any. */
#ifndef EMAIL_SASL_H
#define EMAIL_SASL_H
#include <parley/plugin.h>
#include <stdbool.h>

enum {
  SASL_CREDENTIALS_MAX = 1024, /* bytes of user and password together */
  SASL_TOKEN_MAX = 8192,       /* bytes of an OAuth access token */
  SASL_RESPONSE_MAX = 12268    /* bytes of any response in base64: what RFC 4954 section 4 leaves beside "AUTH OAUTHBEARER " */
};
struct sasl_bearer {
  parley_text user, token, host;
  uint32_t port;
  bool xoauth2; /* else OAUTHBEARER */
};
/* Each writes the response in base64; to: SASL_RESPONSE_MAX + 1 bytes. Returns its length; 0: a value is missing (of PLAIN both may
 * be empty), too long, or holds a character that cannot stand there. */
size_t sasl_plain_write(parley_text user, parley_text password, char *to);
size_t sasl_bearer_write(const struct sasl_bearer *bearer, char *to);
const char *sasl_bearer_name(const struct sasl_bearer *bearer); /* the mechanism's */
/* The bytes of a response to PLAIN: authzid NUL authcid NUL password. The texts are borrowed from them. */
bool sasl_plain_read(parley_bytes bytes, parley_text *ret_user, parley_text *ret_password);
#endif
