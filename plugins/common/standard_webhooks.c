#include "standard_webhooks.h"
#include "base64.h"
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>

enum { MAC_BYTES = 32, MAC_TEXT = 44, KEY_TEXT_MAX = 88, TIMESTAMP_ROOM = 24 };
static const char secret_prefix[] = "whsec_";
static const char version_prefix[] = "v1,";

/* The next word of *rest, which moves behind it; empty at the end. */
static parley_text word_next(parley_text *rest)
{
  parley_text word;

  while (rest->len > 0 && *rest->at == ' ')
    rest->at++, rest->len--;
  word = (parley_text){rest->at, 0};
  while (word.len < rest->len && word.at[word.len] != ' ')
    word.len++;
  rest->at += word.len;
  rest->len -= word.len;
  return word;
}

static bool key_read(parley_text secret, struct standard_webhooks_key *to)
{
  const size_t prefix = sizeof secret_prefix - 1;
  char bytes[KEY_TEXT_MAX / 4 * 3];
  size_t len;

  if (secret.len <= prefix || secret.len > prefix + KEY_TEXT_MAX || memcmp(secret.at, secret_prefix, prefix) != 0)
    return false;
  if (!base64_to_bytes((parley_text){secret.at + prefix, secret.len - prefix}, bytes, &len) ||
      len < STANDARD_WEBHOOKS_KEY_BYTES_MIN || len > STANDARD_WEBHOOKS_KEY_BYTES_MAX)
    return false;
  to->len = len;
  memcpy(to->bytes, bytes, to->len);
  OPENSSL_cleanse(bytes, sizeof bytes);
  return true;
}

bool standard_webhooks_keys_read(parley_text secrets, struct standard_webhooks_keys *ret)
{
  struct standard_webhooks_keys keys = {.count = 0};
  bool good = true;

  for (parley_text word = word_next(&secrets); good && word.len > 0; word = word_next(&secrets)) {
    good = keys.count < STANDARD_WEBHOOKS_KEYS_MAX && key_read(word, &keys.keys[keys.count]);
    keys.count += good;
  }
  good = good && keys.count > 0;
  if (good)
    *ret = keys;
  OPENSSL_cleanse(&keys, sizeof keys);
  return good;
}

void standard_webhooks_keys_done(struct standard_webhooks_keys *keys)
{
  for (size_t i = 0; i < keys->count; i++)
    EVP_MAC_CTX_free(keys->keys[i].mac);
  OPENSSL_cleanse(keys, sizeof *keys);
}

/* Finding the algorithm and working the key in costs more than a message of a kilobyte: both are done once a key. */
static EVP_MAC_CTX *mac_new(const struct standard_webhooks_key *key)
{
  char digest[] = "SHA256";
  const OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                               OSSL_PARAM_construct_end()};
  EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
  EVP_MAC_CTX *mac = hmac != NULL ? EVP_MAC_CTX_new(hmac) : NULL;

  EVP_MAC_free(hmac);
  if (mac != NULL && EVP_MAC_init(mac, key->bytes, key->len, params) == 1)
    return mac;
  EVP_MAC_CTX_free(mac);
  return NULL;
}

static bool mac_begin(struct standard_webhooks_key *key)
{
  if (key->mac != NULL)
    return EVP_MAC_init(key->mac, NULL, 0, NULL) == 1; /* with the key it has */
  key->mac = mac_new(key);
  return key->mac != NULL;
}

static bool mac_make(struct standard_webhooks_key *key, parley_text id, parley_text timestamp, parley_bytes body,
                     uint8_t to[MAC_BYTES])
{
  size_t len = 0;

  return mac_begin(key) && EVP_MAC_update(key->mac, (const unsigned char *)id.at, id.len) == 1 &&
         EVP_MAC_update(key->mac, (const unsigned char *)".", 1) == 1 &&
         EVP_MAC_update(key->mac, (const unsigned char *)timestamp.at, timestamp.len) == 1 &&
         EVP_MAC_update(key->mac, (const unsigned char *)".", 1) == 1 &&
         (body.len == 0 || EVP_MAC_update(key->mac, (const unsigned char *)body.at, body.len) == 1) &&
         EVP_MAC_final(key->mac, to, &len, MAC_BYTES) == 1 && len == MAC_BYTES;
}

/* The base64 of the MAC by each key, in their order. */
static bool macs_make(struct standard_webhooks_keys *keys, parley_text id, parley_text timestamp, parley_bytes body,
                      char to[STANDARD_WEBHOOKS_KEYS_MAX][MAC_TEXT + 1])
{
  uint8_t bytes[MAC_BYTES];

  for (size_t i = 0; i < keys->count; i++) {
    if (!mac_make(&keys->keys[i], id, timestamp, body, bytes))
      return false;
    EVP_EncodeBlock((unsigned char *)to[i], bytes, MAC_BYTES);
  }
  return true;
}

size_t standard_webhooks_sign(struct standard_webhooks_keys *keys, parley_text id, int64_t timestamp_s,
                              parley_bytes body, char to[STANDARD_WEBHOOKS_HEADER_ROOM])
{
  char macs[STANDARD_WEBHOOKS_KEYS_MAX][MAC_TEXT + 1], timestamp[TIMESTAMP_ROOM];
  int digits = snprintf(timestamp, sizeof timestamp, "%lld", (long long)timestamp_s);
  size_t len = 0;

  if (!macs_make(keys, id, (parley_text){timestamp, (size_t)digits}, body, macs))
    return 0;
  for (size_t i = 0; i < keys->count; i++) {
    if (i > 0)
      to[len++] = ' ';
    memcpy(to + len, version_prefix, sizeof version_prefix - 1);
    len += sizeof version_prefix - 1;
    memcpy(to + len, macs[i], MAC_TEXT);
    len += MAC_TEXT;
  }
  to[len] = '\0';
  return len;
}

/* The one value of a header. MISSING: absent or empty; MALFORMED: there twice, or too long. */
static enum standard_webhooks_verdict header_one(const parley_pair *headers, uint32_t n, const char *name, size_t max,
                                                 parley_text *ret)
{
  const parley_pair *found = NULL;

  for (uint32_t i = 0; i < n; i++) {
    if (!parley_text_is(headers[i].name, name))
      continue;
    if (found != NULL)
      return STANDARD_WEBHOOKS_MALFORMED;
    found = &headers[i];
  }
  if (found == NULL || found->value.len == 0)
    return STANDARD_WEBHOOKS_MISSING;
  if (found->value.len > max)
    return STANDARD_WEBHOOKS_MALFORMED;
  *ret = found->value;
  return STANDARD_WEBHOOKS_GOOD;
}

static bool id_good(parley_text id) /* printable ASCII without blanks */
{
  for (size_t i = 0; i < id.len; i++)
    if (id.at[i] <= 0x20 || id.at[i] >= 0x7f)
      return false;
  return true;
}

static bool timestamp_read(parley_text text, int64_t *ret_s)
{
  int64_t seconds = 0;

  if (text.at[0] == '0')
    return false; /* one spelling only, for it is signed as text */
  for (size_t i = 0; i < text.len; i++) {
    if (text.at[i] < '0' || text.at[i] > '9')
      return false;
    seconds = seconds * 10 + (text.at[i] - '0');
  }
  *ret_s = seconds;
  return true;
}

/* Is one of the v1 entries one of ours? Every entry meets every key, so that time says nothing. */
static enum standard_webhooks_verdict signatures_check(parley_text header, size_t n_keys,
                                                       char macs[STANDARD_WEBHOOKS_KEYS_MAX][MAC_TEXT + 1])
{
  unsigned entries = 0, good = 0;

  for (parley_text entry = word_next(&header); entry.len > 0; entry = word_next(&header)) {
    if (++entries > STANDARD_WEBHOOKS_SIGNATURES_MAX || memchr(entry.at, ',', entry.len) == NULL)
      return STANDARD_WEBHOOKS_MALFORMED;
    if (entry.len != STANDARD_WEBHOOKS_ONE_BYTES || memcmp(entry.at, version_prefix, sizeof version_prefix - 1) != 0)
      continue; /* another version, or a v1 of another length: never ours */
    for (size_t i = 0; i < n_keys; i++)
      good |= CRYPTO_memcmp(entry.at + sizeof version_prefix - 1, macs[i], MAC_TEXT) == 0;
  }
  return entries == 0 ? STANDARD_WEBHOOKS_MISSING : good ? STANDARD_WEBHOOKS_GOOD : STANDARD_WEBHOOKS_MISMATCH;
}

enum standard_webhooks_verdict standard_webhooks_verify(struct standard_webhooks_keys *keys,
                                                        const parley_pair *headers, uint32_t n_headers,
                                                        parley_bytes body, int64_t now_ms, int64_t tolerance_ms)
{
  char macs[STANDARD_WEBHOOKS_KEYS_MAX][MAC_TEXT + 1];
  parley_text id, timestamp, signature;
  enum standard_webhooks_verdict verdict;
  int64_t sent_s, away_ms;

  verdict = header_one(headers, n_headers, STANDARD_WEBHOOKS_ID, STANDARD_WEBHOOKS_ID_BYTES_MAX, &id);
  if (verdict == STANDARD_WEBHOOKS_GOOD)
    verdict =
        header_one(headers, n_headers, STANDARD_WEBHOOKS_TIMESTAMP, STANDARD_WEBHOOKS_TIMESTAMP_DIGITS_MAX, &timestamp);
  if (verdict == STANDARD_WEBHOOKS_GOOD)
    verdict =
        header_one(headers, n_headers, STANDARD_WEBHOOKS_SIGNATURE, STANDARD_WEBHOOKS_SIGNATURE_BYTES_MAX, &signature);
  if (verdict != STANDARD_WEBHOOKS_GOOD)
    return verdict;
  if (!id_good(id) || !timestamp_read(timestamp, &sent_s))
    return STANDARD_WEBHOOKS_MALFORMED;
  away_ms = sent_s * 1000 > now_ms ? sent_s * 1000 - now_ms : now_ms - sent_s * 1000;
  if (away_ms > tolerance_ms)
    return STANDARD_WEBHOOKS_STALE;
  if (!macs_make(keys, id, timestamp, body, macs))
    return STANDARD_WEBHOOKS_MISMATCH;
  return signatures_check(signature, keys->count, macs);
}

const char *standard_webhooks_code(enum standard_webhooks_verdict verdict)
{
  switch (verdict) {
  case STANDARD_WEBHOOKS_GOOD: return "good";
  case STANDARD_WEBHOOKS_MISSING: return "missing";
  case STANDARD_WEBHOOKS_MALFORMED: return "malformed";
  case STANDARD_WEBHOOKS_STALE: return "stale";
  case STANDARD_WEBHOOKS_MISMATCH: return "mismatch";
  }
  return "mismatch";
}
