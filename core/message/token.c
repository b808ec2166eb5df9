#include "token.h"
#include <openssl/crypto.h>
#include <string.h>

static const char alphabet[] = "0123456789abcdefghjkmnpqrstvwxyz";

static void token_mac(const uint8_t secret[SHA256_BYTES], enum token_kind kind, parley_bytes payload, uint8_t to[TOKEN_MAC_BYTES])
{
  char words[sizeof "token m " - 1 + TOKEN_PAYLOAD_MAX] = "token ";
  uint8_t mac[SHA256_BYTES];

  words[6] = (char)kind;
  words[7] = ' ';
  memcpy(words + 8, payload.at, payload.len);
  hmac_sha256((parley_bytes){(const char *)secret, SHA256_BYTES}, (parley_bytes){words, 8 + payload.len}, mac);
  memcpy(to, mac, TOKEN_MAC_BYTES);
}

static void buf_base32(struct buf *buf, const uint8_t *bytes, size_t len)
{
  uint32_t bits = 0, n = 0;

  for (size_t i = 0; i < len; i++) {
    bits = bits << 8 | bytes[i];
    for (n += 8; n >= 5; n -= 5)
      buf_char(buf, alphabet[bits >> (n - 5) & 31]);
  }
  if (n > 0)
    buf_char(buf, alphabet[bits << (5 - n) & 31]);
}

/* Strict: the alphabet, no more characters than the bytes need, unused bits clear. */
static bool base32_read(parley_text text, uint8_t *to, size_t room, size_t *ret_len)
{
  uint32_t bits = 0, n = 0;
  size_t len = 0;

  for (size_t i = 0; i < text.len; i++) {
    char c = text.at[i] >= 'A' && text.at[i] <= 'Z' ? (char)(text.at[i] | 32) : text.at[i];
    const char *found = c != '\0' ? strchr(alphabet, c) : NULL;

    if (found == NULL)
      return false;
    bits = bits << 5 | (uint32_t)(found - alphabet);
    n += 5;
    if (n < 8)
      continue;
    if (len == room)
      return false;
    n -= 8;
    to[len++] = (uint8_t)(bits >> n);
  }
  *ret_len = len;
  return n < 5 && (bits & ((1u << n) - 1)) == 0;
}

void buf_token(struct buf *buf, const uint8_t secret[SHA256_BYTES], enum token_kind kind, parley_bytes payload)
{
  uint8_t all[TOKEN_PAYLOAD_MAX + TOKEN_MAC_BYTES];

  memcpy(all, payload.at, payload.len);
  token_mac(secret, kind, payload, all + payload.len);
  buf_base32(buf, all, payload.len + TOKEN_MAC_BYTES);
}

bool token_read(const uint8_t secret[SHA256_BYTES], enum token_kind kind, parley_text text, struct token_payload *ret)
{
  uint8_t all[TOKEN_PAYLOAD_MAX + TOKEN_MAC_BYTES], mac[TOKEN_MAC_BYTES];
  size_t len;

  if (!base32_read(text, all, sizeof all, &len) || len < TOKEN_MAC_BYTES)
    return false;
  ret->len = len - TOKEN_MAC_BYTES;
  memcpy(ret->at, all, ret->len);
  token_mac(secret, kind, (parley_bytes){(const char *)ret->at, ret->len}, mac);
  return CRYPTO_memcmp(mac, all + ret->len, TOKEN_MAC_BYTES) == 0;
}

void buf_id_token(struct buf *buf, const uint8_t secret[SHA256_BYTES], enum token_kind kind, id64 id)
{
  char bytes[sizeof id];

  for (size_t i = 0; i < sizeof bytes; i++)
    bytes[i] = (char)(id >> (8 * (sizeof bytes - 1 - i)));
  buf_token(buf, secret, kind, (parley_bytes){bytes, sizeof bytes});
}

bool id_token_read(const uint8_t secret[SHA256_BYTES], enum token_kind kind, parley_text text, id64 *ret)
{
  struct token_payload payload;
  id64 id = 0;

  if (!token_read(secret, kind, text, &payload) || payload.len != sizeof id)
    return false;
  for (size_t i = 0; i < payload.len; i++)
    id = id << 8 | payload.at[i];
  *ret = id;
  return id != 0;
}
