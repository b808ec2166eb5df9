/* auth.h - API keys in force: configured ones and those made by API. Only SHA-256 digests are kept; a key is found by
 * its digest and compared in constant time. Wrong keys are counted by address: AUTH_WRONG_MAX a minute, then 429.
 * Thread: loop. */
#ifndef CORE_API_AUTH_H
#define CORE_API_AUTH_H
#include "core/base/digest.h"
#include "core/base/id.h"
#include "core/config/conf.h"
#include "core/net/address.h"

#define AUTH_KEY_BYTES_MAX 256
#define AUTH_KEYS_MAX 10000
#define AUTH_WRONG_MAX 100 /* an address, a minute */
#define AUTH_WRONG_SPAN_MS 60000
#define AUTH_ADDRESSES_MAX 4096 /* remembered at once; when full, all are forgotten */

struct auth;
struct auth_key {
  id64 id;
  char *name;
  uint8_t sha256[SHA256_BYTES];
  uint32_t scopes;
  char *topic;        /* of what is handed in without one; NULL: none */
  bool test, configured;
  int64_t expires_ms; /* 0: never */
};
struct auth *auth_new(const struct env *env);
void auth_free(struct auth **auth);
void auth_configure(struct auth *auth, const struct conf *conf); /* replaces the configured ones */
void auth_add(struct auth *auth, const struct auth_key *key);    /* copied; replaces by id */
void auth_remove(struct auth *auth, id64 id);
/* The key for "Bearer ...", or NULL. */
const struct auth_key *auth_check(struct auth *auth, parley_text authorization);
/* The same for the secret alone. */
const struct auth_key *auth_find(struct auth *auth, parley_text secret);
/* Counts a wrong key; true: this address has had its share. */
bool auth_wrong(struct auth *auth, const struct net_address *peer);
const struct auth_key *auth_at(const struct auth *auth, size_t index); /* NULL behind the last */
#endif
