#include "sms_sign.h"
#include "common/base64.h"
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

static const EVP_MD *digest_of(enum sms_hash hash)
{
  switch (hash) {
  case SMS_MD5:
    return EVP_md5();
  case SMS_SHA1:
    return EVP_sha1();
  case SMS_SHA256:
    return EVP_sha256();
  case SMS_SHA512:
    return EVP_sha512();
  }
  return EVP_sha256();
}

const char *sms_verdict_code(enum sms_verdict verdict)
{
  switch (verdict) {
  case SMS_GOOD:
    return "good";
  case SMS_MISSING:
    return "missing";
  case SMS_MALFORMED:
    return "malformed";
  case SMS_STALE:
    return "stale";
  case SMS_MISMATCH:
    return "mismatch";
  }
  return "mismatch";
}

static size_t encode(const unsigned char *bytes, size_t n, enum sms_encoding encoding, char to[SMS_SIGNATURE_ROOM])
{
  static const char digits[] = "0123456789abcdef";

  if (encoding == SMS_BASE64)
    return base64_of_bytes((parley_bytes){(const char *)bytes, n}, to);
  for (size_t i = 0; i < n; i++) {
    to[2 * i] = digits[bytes[i] >> 4];
    to[2 * i + 1] = digits[bytes[i] & 15];
  }
  to[2 * n] = '\0';
  return 2 * n;
}

size_t sms_hmac(enum sms_hash hash, parley_text key, parley_bytes data, enum sms_encoding encoding, char to[SMS_SIGNATURE_ROOM])
{
  unsigned char mac[EVP_MAX_MD_SIZE];
  unsigned int len = 0;

  if (key.len > INT32_MAX ||
      HMAC(digest_of(hash), key.len > 0 ? key.at : "", (int)key.len, (const unsigned char *)data.at, data.len, mac, &len) == NULL)
    return 0;
  return encode(mac, len, encoding, to);
}

size_t sms_digest(enum sms_hash hash, parley_bytes data, enum sms_encoding encoding, char to[SMS_SIGNATURE_ROOM])
{
  unsigned char bytes[EVP_MAX_MD_SIZE];
  unsigned int len = 0;

  return EVP_Digest(data.at, data.len, bytes, &len, digest_of(hash), NULL) == 1 ? encode(bytes, len, encoding, to) : 0;
}

bool sms_same(parley_text a, parley_text b)
{
  return a.len == b.len && a.len > 0 && CRYPTO_memcmp(a.at, b.at, a.len) == 0;
}

bool sms_same_hex(parley_text given, parley_text lower)
{
  char text[SMS_SIGNATURE_ROOM];

  if (given.len >= sizeof text)
    return false;
  for (size_t i = 0; i < given.len; i++)
    text[i] = (char)(given.at[i] >= 'A' && given.at[i] <= 'F' ? given.at[i] + ('a' - 'A') : given.at[i]);
  return sms_same((parley_text){text, given.len}, lower);
}

bool sms_secret_is(parley_text given, parley_text secret)
{
  char a[SMS_SIGNATURE_ROOM], b[SMS_SIGNATURE_ROOM];
  size_t a_len = sms_digest(SMS_SHA256, given, SMS_HEX, a), b_len = sms_digest(SMS_SHA256, secret, SMS_HEX, b);

  return secret.len > 0 && sms_same((parley_text){a, a_len}, (parley_text){b, b_len});
}
