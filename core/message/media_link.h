/* media_link.h - the signed, expiring link under which a stranger may open one stored file: <public_url>/media/med_...?e=&s=,
 * s being 16 bytes of HMAC-SHA256 over id and expiry under the store's secret. Pure. Thread: any. */
#ifndef CORE_MESSAGE_MEDIA_LINK_H
#define CORE_MESSAGE_MEDIA_LINK_H
#include "core/base/digest.h"
#include "core/base/id.h"

#define MEDIA_MAC_BYTES 16

void buf_media_link(struct buf *buf, parley_text public_url, const uint8_t secret[SHA256_BYTES], id64 media,
                    int64_t expires_ms);
/* Whether `given` signs this id and expiry; in constant time. Whether the expiry is past is the caller's to ask. */
bool media_link_ok(const uint8_t secret[SHA256_BYTES], id64 media, int64_t expires_ms, parley_text given);
#endif
