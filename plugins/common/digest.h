/* digest.h - keyed hashes, hashes and comparing them, as providers sign their callbacks. Thread: any. Comparing takes as long
 * whatever the difference; only lengths show. */
#ifndef PLUGINS_COMMON_DIGEST_H
#define PLUGINS_COMMON_DIGEST_H
#include <parley/plugin.h>
#include <stdbool.h>

#define DIGEST_ROOM 132 /* SHA-512 in hex, and a NUL */

enum digest_hash { DIGEST_MD5, DIGEST_SHA1, DIGEST_SHA256, DIGEST_SHA512 };
enum digest_encoding { DIGEST_HEX, DIGEST_BASE64 };

/* Each writes text with a NUL behind and returns its length; 0: OpenSSL fails. Hex is in lower case. */
size_t digest_hmac(enum digest_hash hash, parley_text key, parley_bytes data, enum digest_encoding encoding, char to[DIGEST_ROOM]);
size_t digest_of(enum digest_hash hash, parley_bytes data, enum digest_encoding encoding, char to[DIGEST_ROOM]);
bool digest_same(parley_text a, parley_text b);
bool digest_same_hex(parley_text given, parley_text lower); /* given in either case */
/* Of secrets of any length: neither length nor first difference shows. */
bool digest_secret_is(parley_text given, parley_text secret);
#endif
