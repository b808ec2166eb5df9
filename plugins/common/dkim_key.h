/* dkim_key.h - a private key for DKIM as an operator gives it, and its public half as DNS publishes it (RFC 6376 3.6.1, RFC 8463 4).
 * A key is PEM (PKCS #8, or PKCS #1 for RSA), or one line of base64: the 32 bytes of an Ed25519 key. RSA has 1024 to 4096 bits: less
 * is refused by every receiver, more fits no record. Owns the OpenSSL key. Thread: any; a read key may sign on several at once. */
#ifndef PLUGINS_COMMON_DKIM_KEY_H
#define PLUGINS_COMMON_DKIM_KEY_H
#include <parley/plugin.h>
#include <stdbool.h>

enum {
  DKIM_RSA_BITS_MIN = 1024,
  DKIM_RSA_BITS_GOOD = 2048, /* what providers ask for */
  DKIM_RSA_BITS_MAX = 4096,
  DKIM_KEY_SIGNATURE_MAX = DKIM_RSA_BITS_MAX / 8, /* bytes */
  DKIM_KEY_PUBLIC_MAX = 1024,                     /* characters of the p= tag, the NUL included */
  DKIM_HASH_BYTES = 32                            /* SHA-256 */
};
struct dkim_key;
/* PARLEY_INVALID: *ret_why says what is wrong with it (static, never the key). The text is not kept. */
parley_status dkim_key_read(parley_text text, struct dkim_key **ret, const char **ret_why);
void dkim_key_free(struct dkim_key **key);
const char *dkim_key_algorithm(const struct dkim_key *key); /* of the a= tag: "rsa-sha256", "ed25519-sha256" */
const char *dkim_key_type(const struct dkim_key *key);      /* of the k= tag: "rsa", "ed25519" */
uint32_t dkim_key_bits(const struct dkim_key *key);
/* What p= has to be, base64 without blanks. to: DKIM_KEY_PUBLIC_MAX bytes. false: no memory. */
bool dkim_key_public(const struct dkim_key *key, char *to);
/* Signs the SHA-256 of what is to be signed. to: DKIM_KEY_SIGNATURE_MAX bytes. Returns their number, 0 when OpenSSL fails. The same
 * hash gives the same bytes. */
size_t dkim_key_sign(const struct dkim_key *key, const unsigned char hash[DKIM_HASH_BYTES], unsigned char *to);
#endif
