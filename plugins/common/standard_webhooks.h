/* standard_webhooks.h - signing and verifying by Standard Webhooks 1.0: HMAC-SHA256 over "<id>.<timestamp>.<body>", carried as
 * `webhook-id`, `webhook-timestamp` (whole seconds) and `webhook-signature: v1,<base64>` (several, parted by spaces).
 * Owns what its keys hold. Thread: any, one at a time for the same keys. Times: ms since 1970 unless named _s. */
#ifndef PLUGINS_COMMON_STANDARD_WEBHOOKS_H
#define PLUGINS_COMMON_STANDARD_WEBHOOKS_H
#include <parley/plugin.h>
#include <stdbool.h>

#define STANDARD_WEBHOOKS_KEY_BYTES_MIN 24
#define STANDARD_WEBHOOKS_KEY_BYTES_MAX 64
#define STANDARD_WEBHOOKS_KEYS_MAX 4              /* at once: two while a secret is rotated, and room */
#define STANDARD_WEBHOOKS_ID_BYTES_MAX 256        /* of the header webhook-id */
#define STANDARD_WEBHOOKS_SIGNATURE_BYTES_MAX 2048 /* of the header webhook-signature: what is longer is malformed */
#define STANDARD_WEBHOOKS_SIGNATURES_MAX 16       /* entries looked at in one header; more is malformed */
#define STANDARD_WEBHOOKS_TIMESTAMP_DIGITS_MAX 11 /* digits: until the year 5138 */
#define STANDARD_WEBHOOKS_ONE_BYTES 47            /* "v1," and 44 characters of base64 */
#define STANDARD_WEBHOOKS_HEADER_ROOM (STANDARD_WEBHOOKS_KEYS_MAX * (STANDARD_WEBHOOKS_ONE_BYTES + 1))

#define STANDARD_WEBHOOKS_ID "webhook-id"
#define STANDARD_WEBHOOKS_TIMESTAMP "webhook-timestamp"
#define STANDARD_WEBHOOKS_SIGNATURE "webhook-signature"

/* The secrets of one endpoint, decoded. Holds key bytes, and from its first use on OpenSSL's state for each: whoever has read
 * it ends it with standard_webhooks_keys_done(). */
struct standard_webhooks_key {
  size_t len;
  uint8_t bytes[STANDARD_WEBHOOKS_KEY_BYTES_MAX];
  struct evp_mac_ctx_st *mac; /* keyed, used again and again; NULL: not used yet */
};
struct standard_webhooks_keys {
  size_t count;
  struct standard_webhooks_key keys[STANDARD_WEBHOOKS_KEYS_MAX];
};
/* secrets: one "whsec_<base64 of 24-64 bytes>" or, during a rotation, several parted by spaces, newest first. false (wrong
 * prefix, base64 or length, none, too many) leaves *ret. */
bool standard_webhooks_keys_read(parley_text secrets, struct standard_webhooks_keys *ret);
void standard_webhooks_keys_done(struct standard_webhooks_keys *keys);

/* Writes the value of webhook-signature, one entry a key and a NUL behind; returns its length, 0 when HMAC itself failed. */
size_t standard_webhooks_sign(struct standard_webhooks_keys *keys, parley_text id, int64_t timestamp_s, parley_bytes body,
                              char to[STANDARD_WEBHOOKS_HEADER_ROOM]);

enum standard_webhooks_verdict {
  STANDARD_WEBHOOKS_GOOD,
  STANDARD_WEBHOOKS_MISSING,   /* one of the three headers is absent or empty */
  STANDARD_WEBHOOKS_MALFORMED, /* one of them is given twice, too long or not what it should be */
  STANDARD_WEBHOOKS_STALE,     /* the time is further from ours than the tolerance, either way */
  STANDARD_WEBHOOKS_MISMATCH   /* no v1 entry is ours */
};
/* headers: names in lower case, as they came. The time a mismatch takes says nothing about how near it was. Entries of other
 * versions (v1a) are passed over. */
enum standard_webhooks_verdict standard_webhooks_verify(struct standard_webhooks_keys *keys, const parley_pair *headers,
                                                        uint32_t n_headers, parley_bytes body, int64_t now_ms,
                                                        int64_t tolerance_ms);
/* A stable code: "missing", "malformed", "stale", "mismatch", and "good". */
const char *standard_webhooks_code(enum standard_webhooks_verdict verdict);
#endif
