/* vonage_jwt.h - the JSON Web Tokens (RFC 7519) of Vonage's Messages API: those we send, signed with an application's RSA key, and
 * those that come with webhooks, signed with the account's signature secret. Thread: any. */
#ifndef VONAGE_JWT_H
#define VONAGE_JWT_H
#include "common/copy.h"
#include <stdbool.h>

enum { VONAGE_JWT_BYTES_MAX = 4096, VONAGE_JWT_GOOD_S = 900 /* how long one of ours is good for */ };
struct evp_pkey_st *vonage_key_read(parley_text pem); /* NULL: it is no RSA key */
void vonage_key_free(struct evp_pkey_st **key);
/* Empty: no memory, or OpenSSL fails. id: another for each token. */
parley_text vonage_jwt_make(struct evp_pkey_st *key, parley_text application, parley_text id, int64_t now_s, struct copy *memory);
/* Signed by HS256 with this secret, and its payload_hash is that of the body. */
bool vonage_jwt_good(parley_text token, parley_text secret, parley_bytes body);
#endif
