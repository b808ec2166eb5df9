#include "digest.h"
#include "alloc.h"
#include "text.h"
#include <endian.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char alphabet_url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void sha256(parley_bytes data, uint8_t to[SHA256_BYTES])
{
  if (EVP_Digest(data.len > 0 ? data.at : "", data.len, to, NULL, EVP_sha256(), NULL) != 1)
    abort(); /* OpenSSL without SHA-256: nothing sensible can follow */
}

struct digester {
  EVP_MD *md;
  EVP_MD_CTX *ctx;
};

struct digester *digester_new(void)
{
  struct digester *digester = xcalloc(1, sizeof(*digester));

  digester->md = EVP_MD_fetch(NULL, "SHA256", NULL);
  digester->ctx = EVP_MD_CTX_new();
  if (digester->md == NULL || digester->ctx == NULL)
    abort();
  return digester;
}

void digester_free(struct digester **digester)
{
  if (*digester == NULL)
    return;
  EVP_MD_CTX_free((*digester)->ctx);
  EVP_MD_free((*digester)->md);
  free(*digester);
  *digester = NULL;
}

void digester_sha256(struct digester *digester, parley_bytes data, uint8_t to[SHA256_BYTES])
{
  if (EVP_DigestInit_ex2(digester->ctx, digester->md, NULL) != 1 ||
      EVP_DigestUpdate(digester->ctx, data.len > 0 ? data.at : "", data.len) != 1 ||
      EVP_DigestFinal_ex(digester->ctx, to, NULL) != 1)
    abort();
}

void hmac_sha256(parley_bytes key, parley_bytes data, uint8_t to[SHA256_BYTES])
{
  if (key.len > INT32_MAX || HMAC(EVP_sha256(), key.len > 0 ? key.at : "", (int)key.len,
                                  (const unsigned char *)(data.len > 0 ? data.at : ""), data.len, to, NULL) == NULL)
    abort();
}

static uint64_t rotate_left(uint64_t value, int bits)
{
  return value << bits | value >> (64 - bits);
}

static uint64_t little_read(const char *at, size_t len) /* len < 8 */
{
  uint64_t value = 0;

  for (size_t i = 0; i < len; i++)
    value |= (uint64_t)(unsigned char)at[i] << (8 * i);
  return value;
}

static void sip_rounds(uint64_t v[4], int count)
{
  while (count-- > 0) {
    v[0] += v[1];
    v[2] += v[3];
    v[1] = rotate_left(v[1], 13) ^ v[0];
    v[3] = rotate_left(v[3], 16) ^ v[2];
    v[0] = rotate_left(v[0], 32) + v[3];
    v[2] += v[1];
    v[1] = rotate_left(v[1], 17) ^ v[2];
    v[3] = rotate_left(v[3], 21) ^ v[0];
    v[2] = rotate_left(v[2], 32);
  }
}

uint64_t hash64(const struct hash_key *key, parley_bytes data)
{
  uint64_t v[4] = {key->a ^ UINT64_C(0x736f6d6570736575), key->b ^ UINT64_C(0x646f72616e646f6d),
                   key->a ^ UINT64_C(0x6c7967656e657261), key->b ^ UINT64_C(0x7465646279746573)};
  size_t whole = data.len / 8 * 8;
  uint64_t word;

  for (size_t i = 0; i < whole; i += 8) {
    memcpy(&word, data.at + i, sizeof(word));
    word = le64toh(word);
    v[3] ^= word;
    sip_rounds(v, 2);
    v[0] ^= word;
  }
  word = (uint64_t)data.len << 56 | (data.len > whole ? little_read(data.at + whole, data.len - whole) : 0);
  v[3] ^= word;
  sip_rounds(v, 2);
  v[0] ^= word;
  v[2] ^= 0xff;
  sip_rounds(v, 4);
  return v[0] ^ v[1] ^ v[2] ^ v[3];
}

uint64_t hash_mix(uint64_t value)
{
  value ^= value >> 32;
  value *= UINT64_C(0xd6e8feb86659fd93);
  value ^= value >> 32;
  value *= UINT64_C(0xd6e8feb86659fd93);
  return value ^ value >> 32;
}

void buf_hex(struct buf *buf, const void *bytes, size_t len)
{
  static const char digits[] = "0123456789abcdef";
  const uint8_t *at = bytes;

  for (size_t i = 0; i < len; i++) {
    char pair[2] = {digits[at[i] >> 4], digits[at[i] & 15]};

    buf_add(buf, pair, 2);
  }
}

static void base64_write(struct buf *buf, const uint8_t *at, size_t len, const char *digits, bool pad)
{
  for (size_t i = 0; i < len; i += 3) {
    size_t left = len - i < 3 ? len - i : 3;
    uint32_t group = (uint32_t)at[i] << 16 | (left > 1 ? (uint32_t)at[i + 1] << 8 : 0) | (left > 2 ? at[i + 2] : 0u);
    char four[4] = {digits[group >> 18], digits[group >> 12 & 63], digits[group >> 6 & 63], digits[group & 63]};

    if (left < 3 && pad)
      memset(four + left + 1, '=', 3 - left);
    buf_add(buf, four, pad ? 4 : left + 1);
  }
}

void buf_base64(struct buf *buf, const void *bytes, size_t len)
{
  base64_write(buf, bytes, len, alphabet, true);
}

void buf_base64url(struct buf *buf, const void *bytes, size_t len)
{
  base64_write(buf, bytes, len, alphabet_url, false);
}

/* 0-63, or -1. plus and slash: what stands for 62 and 63. */
static int base64_digit(char byte, char plus, char slash)
{
  if (byte >= 'A' && byte <= 'Z')
    return byte - 'A';
  if (byte >= 'a' && byte <= 'z')
    return byte - 'a' + 26;
  if (byte >= '0' && byte <= '9')
    return byte - '0' + 52;
  return byte == plus ? 62 : byte == slash ? 63 : -1;
}

/* text has no padding. Unused bits of the last digit must be clear, so that each value has one spelling. */
static bool base64_digits_read(parley_text text, const char *digits, uint8_t *to, size_t room, size_t *ret_len)
{
  size_t len = text.len / 4 * 3 + (text.len % 4 > 0 ? text.len % 4 - 1 : 0), out = 0;
  uint32_t bits = 0;
  int held = 0;

  if (text.len % 4 == 1 || len > room)
    return false;
  for (size_t i = 0; i < text.len; i++) {
    int digit = base64_digit(text.at[i], digits[62], digits[63]);

    if (digit < 0)
      return false;
    bits = (bits << 6 | (uint32_t)digit) & 0xffff;
    held += 6;
    if (held >= 8) {
      held -= 8;
      to[out++] = (uint8_t)(bits >> held);
    }
  }
  if ((bits & ((1u << held) - 1)) != 0)
    return false;
  *ret_len = out;
  return true;
}

bool base64_read(parley_text text, uint8_t *to, size_t room, size_t *ret_len)
{
  size_t pad = text_ends(text, "==") ? 2 : text_ends(text, "=") ? 1 : 0;

  if (text.len % 4 != 0)
    return false;
  return base64_digits_read(text_sub(text, 0, text.len - pad), alphabet, to, room, ret_len);
}

bool base64url_read(parley_text text, uint8_t *to, size_t room, size_t *ret_len)
{
  return base64_digits_read(text, alphabet_url, to, room, ret_len);
}

static int hex_digit(char byte)
{
  if (byte >= '0' && byte <= '9')
    return byte - '0';
  if (byte >= 'a' && byte <= 'f')
    return byte - 'a' + 10;
  if (byte >= 'A' && byte <= 'F')
    return byte - 'A' + 10;
  return -1;
}

bool hex_read(parley_text text, uint8_t *to, size_t room, size_t *ret_len)
{
  if (text.len % 2 != 0 || text.len / 2 > room)
    return false;
  for (size_t i = 0; i < text.len; i += 2) {
    int high = hex_digit(text.at[i]), low = hex_digit(text.at[i + 1]);

    if (high < 0 || low < 0)
      return false;
    to[i / 2] = (uint8_t)(high << 4 | low);
  }
  *ret_len = text.len / 2;
  return true;
}
