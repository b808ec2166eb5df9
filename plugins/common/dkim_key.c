#include "dkim_key.h"
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdlib.h>

enum { ED25519_BYTES = 32, ED25519_BASE64 = 44 };

struct dkim_key {
  EVP_PKEY *pkey;
  EVP_PKEY_CTX *rsa; /* ready to sign; copied for each signature. NULL: Ed25519 */
};

/* --- Reading ------------------------------------------------------------------------------------------------------ */
static int no_passphrase(char *to, int room, int writing, void *arg)
{
  (void)to, (void)room, (void)writing, (void)arg;
  return -1;
}

static EVP_PKEY *pem_read(parley_text text)
{
  BIO *bio = text.len <= INT32_MAX ? BIO_new_mem_buf(text.at, (int)text.len) : NULL;
  EVP_PKEY *pkey = bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;

  BIO_free(bio);
  return pkey;
}

static EVP_PKEY *seed_read(parley_text text)
{
  unsigned char bytes[ED25519_BASE64 / 4 * 3];
  EVP_PKEY *pkey = NULL;

  if (text.len == ED25519_BASE64 && text.at[ED25519_BASE64 - 1] == '=' && text.at[ED25519_BASE64 - 2] != '=' &&
      EVP_DecodeBlock(bytes, (const unsigned char *)text.at, ED25519_BASE64) == (int)sizeof bytes)
    pkey = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, bytes, ED25519_BYTES);
  OPENSSL_cleanse(bytes, sizeof bytes);
  return pkey;
}

static parley_text trim(parley_text text)
{
  while (text.len > 0 && strchr(" \t\r\n", text.at[text.len - 1]) != NULL)
    text.len--;
  while (text.len > 0 && strchr(" \t\r\n", text.at[0]) != NULL)
    text.at++, text.len--;
  return text;
}

static EVP_PKEY_CTX *rsa_signer_new(EVP_PKEY *pkey)
{
  EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(pkey, NULL);

  if (ctx != NULL && EVP_PKEY_sign_init(ctx) == 1 && EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) == 1 &&
      EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) == 1)
    return ctx;
  EVP_PKEY_CTX_free(ctx);
  return NULL;
}

static const char *pkey_fault(const EVP_PKEY *pkey)
{
  if (pkey == NULL)
    return "is no private key: give a PEM file without a passphrase (openssl genpkey -algorithm RSA -pkeyopt "
           "rsa_keygen_bits:2048, or -algorithm ED25519)";
  if (EVP_PKEY_is_a(pkey, "ED25519"))
    return NULL;
  if (!EVP_PKEY_is_a(pkey, "RSA"))
    return "is neither an RSA nor an Ed25519 key";
  if (EVP_PKEY_get_bits(pkey) < DKIM_RSA_BITS_MIN)
    return "is an RSA key of fewer than 1024 bits, which no receiver believes; take 2048";
  if (EVP_PKEY_get_bits(pkey) > DKIM_RSA_BITS_MAX)
    return "is an RSA key of more than 4096 bits, which no DNS record holds; take 2048";
  return NULL;
}

parley_status dkim_key_read(parley_text text, struct dkim_key **ret, const char **ret_why)
{
  parley_text given = trim(text);
  EVP_PKEY *pkey = given.len > 0 && given.at[0] == '-' ? pem_read(given) : seed_read(given);
  const char *why = pkey_fault(pkey);
  struct dkim_key *key = why == NULL ? calloc(1, sizeof *key) : NULL;
  bool rsa = why == NULL && EVP_PKEY_is_a(pkey, "RSA");
  EVP_PKEY_CTX *signer = rsa ? rsa_signer_new(pkey) : NULL;

  if (key == NULL || (rsa && signer == NULL)) {
    *ret_why = why != NULL ? why : "cannot be used: no memory";
    EVP_PKEY_CTX_free(signer);
    EVP_PKEY_free(pkey);
    free(key);
    return PARLEY_INVALID;
  }
  *key = (struct dkim_key){.pkey = pkey, .rsa = signer};
  *ret = key;
  return PARLEY_OK;
}

void dkim_key_free(struct dkim_key **key)
{
  if (*key == NULL)
    return;
  EVP_PKEY_CTX_free((*key)->rsa);
  EVP_PKEY_free((*key)->pkey);
  free(*key);
  *key = NULL;
}

/* --- What it is --------------------------------------------------------------------------------------------------- */
const char *dkim_key_algorithm(const struct dkim_key *key)
{
  return key->rsa != NULL ? "rsa-sha256" : "ed25519-sha256";
}

const char *dkim_key_type(const struct dkim_key *key)
{
  return key->rsa != NULL ? "rsa" : "ed25519";
}

uint32_t dkim_key_bits(const struct dkim_key *key)
{
  return (uint32_t)EVP_PKEY_get_bits(key->pkey);
}

bool dkim_key_public(const struct dkim_key *key, char *to)
{
  unsigned char raw[ED25519_BYTES], *der = raw;
  size_t len = sizeof raw;
  bool good;

  if (key->rsa == NULL) {
    good = EVP_PKEY_get_raw_public_key(key->pkey, raw, &len) == 1;
  } else {
    int made;

    der = NULL;
    made = i2d_PUBKEY(key->pkey, &der); /* SubjectPublicKeyInfo, as all records have it */
    len = made > 0 ? (size_t)made : 0;
    good = made > 0 && len <= (DKIM_KEY_PUBLIC_MAX - 1) / 4 * 3;
  }
  if (good)
    EVP_EncodeBlock((unsigned char *)to, der, (int)len);
  if (key->rsa != NULL)
    OPENSSL_free(der);
  return good;
}

/* --- Signing ------------------------------------------------------------------------------------------------------ */
static size_t rsa_sign(const struct dkim_key *key, const unsigned char *hash, unsigned char *to)
{
  EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_dup(key->rsa);
  size_t len = DKIM_KEY_SIGNATURE_MAX;

  if (ctx == NULL || EVP_PKEY_sign(ctx, to, &len, hash, DKIM_HASH_BYTES) != 1)
    len = 0;
  EVP_PKEY_CTX_free(ctx);
  return len;
}

/* RFC 8463 3: what Ed25519 signs is the hash itself. */
static size_t ed25519_sign(const struct dkim_key *key, const unsigned char *hash, unsigned char *to)
{
  EVP_MD_CTX *ctx = EVP_MD_CTX_new();
  size_t len = DKIM_KEY_SIGNATURE_MAX;

  if (ctx == NULL || EVP_DigestSignInit(ctx, NULL, NULL, NULL, key->pkey) != 1 ||
      EVP_DigestSign(ctx, to, &len, hash, DKIM_HASH_BYTES) != 1)
    len = 0;
  EVP_MD_CTX_free(ctx);
  return len;
}

size_t dkim_key_sign(const struct dkim_key *key, const unsigned char hash[DKIM_HASH_BYTES], unsigned char *to)
{
  return key->rsa != NULL ? rsa_sign(key, hash, to) : ed25519_sign(key, hash, to);
}
