/* sms_sign.h - keyed hashes, hashes and comparing them, as providers sign their callbacks. Thread: any. Comparing takes as long
 * whatever the difference; only lengths show. */
#ifndef SMS_SIGN_H
#define SMS_SIGN_H
#include <parley/plugin.h>
#include <stdbool.h>

#define SMS_SIGNATURE_ROOM 132 /* SHA-512 in hex, and a NUL */

enum sms_hash { SMS_MD5, SMS_SHA1, SMS_SHA256, SMS_SHA512 };
enum sms_encoding { SMS_HEX, SMS_BASE64 };
/* What became of a callback's signature; sms_verdict_code() is a stable word for logs and answers. */
enum sms_verdict { SMS_GOOD, SMS_MISSING, SMS_MALFORMED, SMS_STALE, SMS_MISMATCH };
const char *sms_verdict_code(enum sms_verdict verdict);

/* Each writes text with a NUL behind and returns its length; 0: OpenSSL fails. Hex is in lower case. */
size_t sms_hmac(enum sms_hash hash, parley_text key, parley_bytes data, enum sms_encoding encoding, char to[SMS_SIGNATURE_ROOM]);
size_t sms_digest(enum sms_hash hash, parley_bytes data, enum sms_encoding encoding, char to[SMS_SIGNATURE_ROOM]);
bool sms_same(parley_text a, parley_text b);
bool sms_same_hex(parley_text given, parley_text lower); /* given in either case */
/* Of secrets of any length: neither length nor first difference shows. */
bool sms_secret_is(parley_text given, parley_text secret);
#endif
