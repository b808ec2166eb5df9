#include "cursor.h"
#include "core/base/text.h"
#include <openssl/crypto.h>
#include <string.h>

#define CURSOR_MAC_BYTES 12
#define CURSOR_BYTES_MAX (CURSOR_NUMBERS_MAX * 8 + CURSOR_MAC_BYTES)
#define CURSOR_PURPOSE "parley cursor 1" /* the store's secret signs other things too */

static void number_put(uint8_t to[8], uint64_t number)
{
  for (int i = 0; i < 8; i++)
    to[i] = (uint8_t)(number >> (56 - 8 * i));
}

static uint64_t number_get(const uint8_t from[8])
{
  uint64_t number = 0;

  for (int i = 0; i < 8; i++)
    number = number << 8 | from[i];
  return number;
}

/* The scope stands last and all before it is of known length, so that no two cursors share what is signed. */
static void cursor_mac(const uint8_t secret[SHA256_BYTES], parley_text scope, const uint8_t *numbers, size_t n,
                       uint8_t to[SHA256_BYTES])
{
  struct buf signed_bytes = BUF_INIT(0);

  buf_add(&signed_bytes, CURSOR_PURPOSE, sizeof(CURSOR_PURPOSE));
  buf_char(&signed_bytes, (char)n);
  buf_add(&signed_bytes, numbers, n * 8);
  buf_text(&signed_bytes, scope);
  hmac_sha256((parley_bytes){(const char *)secret, SHA256_BYTES}, buf_as_text(&signed_bytes), to);
  buf_done(&signed_bytes);
}

void cursor_write(struct buf *buf, const uint8_t secret[SHA256_BYTES], parley_text scope, const uint64_t *numbers,
                  size_t n)
{
  uint8_t bytes[CURSOR_BYTES_MAX], mac[SHA256_BYTES];
  size_t count = n < CURSOR_NUMBERS_MAX ? n : CURSOR_NUMBERS_MAX;

  for (size_t i = 0; i < count; i++)
    number_put(bytes + 8 * i, numbers[i]);
  cursor_mac(secret, scope, bytes, count, mac);
  memcpy(bytes + 8 * count, mac, CURSOR_MAC_BYTES);
  buf_base64url(buf, bytes, 8 * count + CURSOR_MAC_BYTES);
}

bool cursor_read(parley_text text, const uint8_t secret[SHA256_BYTES], parley_text scope, uint64_t *numbers, size_t n)
{
  uint8_t bytes[CURSOR_BYTES_MAX], mac[SHA256_BYTES];
  size_t len;

  if (n > CURSOR_NUMBERS_MAX || text.len > CURSOR_TEXT_MAX || !base64url_read(text, bytes, sizeof(bytes), &len) ||
      len != 8 * n + CURSOR_MAC_BYTES)
    return false;
  cursor_mac(secret, scope, bytes, n, mac);
  if (CRYPTO_memcmp(bytes + 8 * n, mac, CURSOR_MAC_BYTES) != 0)
    return false;
  for (size_t i = 0; i < n; i++)
    numbers[i] = number_get(bytes + 8 * i);
  return true;
}
