/* cursor.h - opaque, authenticated cursors and tickets: what a reader hands back to go on, bound to what it was made for.
 * base64url of the bytes and 12 bytes of HMAC-SHA256 under the store's secret. Pure. Used by core/api for every list. */
#ifndef CORE_FEED_CURSOR_H
#define CORE_FEED_CURSOR_H
#include "core/base/digest.h"

#define CURSOR_NUMBERS_MAX 3
#define CURSOR_TEXT_MAX 96
/* scope: what it is bound to ("events", or "messages?to=..&status=.."): another scope does not open it. */
void cursor_write(struct buf *buf, const uint8_t secret[SHA256_BYTES], parley_text scope, const uint64_t *numbers, size_t n);
/* false: not ours, tampered with, another scope, or not exactly n numbers. */
bool cursor_read(parley_text text, const uint8_t secret[SHA256_BYTES], parley_text scope, uint64_t *numbers, size_t n);
#endif
