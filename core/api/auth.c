#include "auth.h"
#include "core/base/alloc.h"
#include "core/base/map.h"
#include "core/base/text.h"
#include <stdlib.h>
#include <string.h>

struct wrong {
  uint32_t count;
  int64_t from_ms;
};
struct auth {
  const struct env *env;
  struct digester *digester;
  struct hash_key hash_key;
  struct auth_key **keys;
  size_t n_keys;
  struct map by_digest; /* the digest's first 8 bytes -> struct auth_key */
  struct map wrong;     /* hash of an address -> struct wrong */
};

struct auth *auth_new(const struct env *env)
{
  struct auth *auth = xcalloc(1, sizeof *auth);

  auth->env = env;
  auth->digester = digester_new();
  env->random(env, &auth->hash_key, sizeof auth->hash_key);
  return auth;
}

static void auth_forget_wrong(struct auth *auth)
{
  uint64_t key;
  void *value;

  for (size_t pos = 0; map_next(&auth->wrong, &pos, &key, &value);)
    free(value);
  map_done(&auth->wrong);
  auth->wrong = (struct map){0};
}

static uint64_t auth_slot(const uint8_t digest[SHA256_BYTES])
{
  uint64_t slot;

  memcpy(&slot, digest, sizeof slot);
  return slot ? slot : 1;
}

static void auth_drop(struct auth *auth, size_t index)
{
  struct auth_key *key = auth->keys[index];

  map_take(&auth->by_digest, auth_slot(key->sha256));
  auth->keys[index] = auth->keys[--auth->n_keys];
  free(key->name);
  free(key->topic);
  free(key);
}

void auth_free(struct auth **auth)
{
  struct auth *gone = *auth;

  *auth = NULL;
  if (gone == NULL)
    return;
  while (gone->n_keys > 0)
    auth_drop(gone, 0);
  auth_forget_wrong(gone);
  map_done(&gone->by_digest);
  digester_free(&gone->digester);
  free(gone->keys);
  free(gone);
}

void auth_remove(struct auth *auth, id64 id)
{
  for (size_t i = 0; i < auth->n_keys; i++)
    if (auth->keys[i]->id == id) {
      auth_drop(auth, i);
      return;
    }
}

void auth_add(struct auth *auth, const struct auth_key *key)
{
  struct auth_key *copy;

  auth_remove(auth, key->id);
  if (auth->n_keys >= AUTH_KEYS_MAX || map_get(&auth->by_digest, auth_slot(key->sha256)) != NULL)
    return;
  copy = xmemdup(key, sizeof *key);
  copy->name = xstrdup(key->name);
  copy->topic = key->topic != NULL ? xstrdup(key->topic) : NULL;
  auth->keys = xrealloc(auth->keys, (auth->n_keys + 1) * sizeof *auth->keys);
  auth->keys[auth->n_keys++] = copy;
  map_put(&auth->by_digest, auth_slot(copy->sha256), copy);
}

/* A configured key has no document: its id comes from its name, so that idempotency records outlive a restart. */
static id64 auth_id_of_name(parley_text name)
{
  uint8_t digest[SHA256_BYTES];

  sha256(name, digest);
  return auth_slot(digest) & INT64_MAX;
}

void auth_configure(struct auth *auth, const struct conf *conf)
{
  for (size_t i = auth->n_keys; i-- > 0;)
    if (auth->keys[i]->configured)
      auth_drop(auth, i);
  for (size_t i = 0; i < conf->server.n_keys; i++) {
    const struct conf_key *from = &conf->server.keys[i];
    struct auth_key key = {.id = auth_id_of_name(from->name),
                           .name = (char *)from->name.at,
                           .topic = from->topic.len > 0 ? (char *)from->topic.at : NULL,
                           .scopes = from->scopes,
                           .test = from->test,
                           .configured = true};

    sha256(from->secret, key.sha256);
    auth_add(auth, &key);
  }
}

const struct auth_key *auth_check(struct auth *auth, parley_text authorization)
{
  parley_text secret = authorization;
  parley_text scheme = text_cut(&secret, ' ');

  return text_is_nocase(scheme, "Bearer") ? auth_find(auth, secret) : NULL;
}

const struct auth_key *auth_find(struct auth *auth, parley_text secret)
{
  uint8_t digest[SHA256_BYTES];
  const struct auth_key *key;

  if (secret.len == 0 || secret.len > AUTH_KEY_BYTES_MAX)
    return NULL;
  digester_sha256(auth->digester, secret, digest);
  key = map_get(&auth->by_digest, auth_slot(digest));
  if (key == NULL || !text_eq_secret((parley_text){(const char *)digest, SHA256_BYTES},
                                     (parley_text){(const char *)key->sha256, SHA256_BYTES}))
    return NULL;
  if (key->expires_ms > 0 && key->expires_ms <= auth->env->now_ms(auth->env))
    return NULL;
  return key;
}

bool auth_wrong(struct auth *auth, const struct net_address *peer)
{
  parley_bytes bytes = {(const char *)&peer->v4.sin_addr, sizeof peer->v4.sin_addr};
  int64_t now = auth->env->mono_ms(auth->env);
  struct wrong *wrong;
  uint64_t key;

  if (peer->any.sa_family == AF_INET6)
    bytes = (parley_bytes){(const char *)&peer->v6.sin6_addr, 8}; /* one customer's network */
  key = hash64(&auth->hash_key, bytes) | 1;
  wrong = map_get(&auth->wrong, key);
  if (wrong == NULL) {
    if (auth->wrong.count >= AUTH_ADDRESSES_MAX)
      auth_forget_wrong(auth);
    wrong = xcalloc(1, sizeof *wrong);
    wrong->from_ms = now;
    map_put(&auth->wrong, key, wrong);
  }
  if (now - wrong->from_ms > AUTH_WRONG_SPAN_MS)
    *wrong = (struct wrong){.from_ms = now};
  return ++wrong->count > AUTH_WRONG_MAX;
}

const struct auth_key *auth_at(const struct auth *auth, size_t index)
{
  return index < auth->n_keys ? auth->keys[index] : NULL;
}
