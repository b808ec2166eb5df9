#include "digest.h"
#include "base64.h"
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

static const EVP_MD *md_of(enum digest_hash hash)
{
  switch (hash) {
  case DIGEST_MD5:
    return EVP_md5();
  case DIGEST_SHA1:
    return EVP_sha1();
  case DIGEST_SHA256:
    return EVP_sha256();
  case DIGEST_SHA512:
    return EVP_sha512();
  }
  return EVP_sha256();
}

static size_t encode(const unsigned char *bytes, size_t n, enum digest_encoding encoding, char to[DIGEST_ROOM])
{
  static const char digits[] = "0123456789abcdef";

  if (encoding == DIGEST_BASE64)
    return base64_of_bytes((parley_bytes){(const char *)bytes, n}, to);
  for (size_t i = 0; i < n; i++) {
    to[2 * i] = digits[bytes[i] >> 4];
    to[2 * i + 1] = digits[bytes[i] & 15];
  }
  to[2 * n] = '\0';
  return 2 * n;
}

size_t digest_hmac(enum digest_hash hash, parley_text key, parley_bytes data, enum digest_encoding encoding, char to[DIGEST_ROOM])
{
  unsigned char mac[EVP_MAX_MD_SIZE];
  unsigned int len = 0;

  if (key.len > INT32_MAX ||
      HMAC(md_of(hash), key.len > 0 ? key.at : "", (int)key.len, (const unsigned char *)data.at, data.len, mac, &len) == NULL)
    return 0;
  return encode(mac, len, encoding, to);
}

size_t digest_of(enum digest_hash hash, parley_bytes data, enum digest_encoding encoding, char to[DIGEST_ROOM])
{
  unsigned char bytes[EVP_MAX_MD_SIZE];
  unsigned int len = 0;

  return EVP_Digest(data.at, data.len, bytes, &len, md_of(hash), NULL) == 1 ? encode(bytes, len, encoding, to) : 0;
}

bool digest_same(parley_text a, parley_text b)
{
  return a.len == b.len && a.len > 0 && CRYPTO_memcmp(a.at, b.at, a.len) == 0;
}

bool digest_same_hex(parley_text given, parley_text lower)
{
  char text[DIGEST_ROOM];

  if (given.len >= sizeof text)
    return false;
  for (size_t i = 0; i < given.len; i++)
    text[i] = (char)(given.at[i] >= 'A' && given.at[i] <= 'F' ? given.at[i] + ('a' - 'A') : given.at[i]);
  return digest_same((parley_text){text, given.len}, lower);
}

bool digest_secret_is(parley_text given, parley_text secret)
{
  char a[DIGEST_ROOM], b[DIGEST_ROOM];
  size_t a_len = digest_of(DIGEST_SHA256, given, DIGEST_HEX, a), b_len = digest_of(DIGEST_SHA256, secret, DIGEST_HEX, b);

  return secret.len > 0 && digest_same((parley_text){a, a_len}, (parley_text){b, b_len});
}
