/* base64.h - base64 as RFC 4648 section 4 has it, one spelling only, over OpenSSL. Pure. Thread: any. */
#ifndef PLUGINS_COMMON_BASE64_H
#define PLUGINS_COMMON_BASE64_H
#include <parley/plugin.h>
#include <stdbool.h>

enum { BASE64_BYTES_MAX = 1 << 30 }; /* of either side */
#define BASE64_ROOM(bytes) (((bytes) + 2) / 3 * 4 + 1) /* for the text of so many bytes, its NUL included */

/* to: 3 bytes for every 4 of text. false: it is none (blanks, no padding, stray bits); what stands in `to` then is anything. */
bool base64_to_bytes(parley_text text, char *to, size_t *ret_len);
/* to: BASE64_ROOM(bytes.len). Returns the text's length; 0 as well for more than can be. */
size_t base64_of_bytes(parley_bytes bytes, char *to);
#endif
