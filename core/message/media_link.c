#include "media_link.h"
#include "core/base/text.h"
#include <stdio.h>

static void link_sign(const uint8_t secret[SHA256_BYTES], id64 media, int64_t expires_ms, struct buf *to)
{
  char words[64];
  uint8_t mac[SHA256_BYTES];
  int len = snprintf(words, sizeof words, "media %llu %lld", (unsigned long long)media, (long long)expires_ms);

  hmac_sha256((parley_bytes){(const char *)secret, SHA256_BYTES}, (parley_bytes){words, (size_t)len}, mac);
  buf_base64url(to, mac, MEDIA_MAC_BYTES);
}

void buf_media_link(struct buf *buf, parley_text public_url, const uint8_t secret[SHA256_BYTES], id64 media,
                    int64_t expires_ms)
{
  buf_text(buf, public_url);
  buf_str(buf, "/media/");
  buf_id(buf, "med", media);
  buf_printf(buf, "?e=%lld&s=", (long long)expires_ms);
  link_sign(secret, media, expires_ms, buf);
}

bool media_link_ok(const uint8_t secret[SHA256_BYTES], id64 media, int64_t expires_ms, parley_text given)
{
  struct buf wanted = BUF_INIT(64);
  bool ok;

  link_sign(secret, media, expires_ms, &wanted);
  ok = text_eq_secret(buf_as_text(&wanted), given);
  buf_done(&wanted);
  return ok;
}
