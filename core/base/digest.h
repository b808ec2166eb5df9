/* digest.h - hashes, HMAC, base64 and hex, over OpenSSL. Thread: any. */
#ifndef CORE_BASE_DIGEST_H
#define CORE_BASE_DIGEST_H
#include "buf.h"

#define SHA256_BYTES 32
void sha256(parley_bytes data, uint8_t to[SHA256_BYTES]);
/* The same for who takes one digest after the other: what OpenSSL looks up and makes for each is kept. Thread: its owner's. */
struct digester;
struct digester *digester_new(void);
void digester_free(struct digester **digester);
void digester_sha256(struct digester *digester, parley_bytes data, uint8_t to[SHA256_BYTES]);
void hmac_sha256(parley_bytes key, parley_bytes data, uint8_t to[SHA256_BYTES]);
/* Keyed 64-bit hash (SipHash-2-4) for tables whose keys come from outside. */
struct hash_key { uint64_t a, b; };
uint64_t hash64(const struct hash_key *key, parley_bytes data);
/* FNV-like mix of a number, for tables keyed by our own ids. */
uint64_t hash_mix(uint64_t value);

void buf_hex(struct buf *buf, const void *bytes, size_t len);
void buf_base64(struct buf *buf, const void *bytes, size_t len);    /* standard, padded */
void buf_base64url(struct buf *buf, const void *bytes, size_t len); /* URL-safe, no padding */
/* Strict: length, alphabet, padding and unused bits. false leaves *ret_len. room: bytes at `to`. */
bool base64_read(parley_text text, uint8_t *to, size_t room, size_t *ret_len);
bool base64url_read(parley_text text, uint8_t *to, size_t room, size_t *ret_len);
bool hex_read(parley_text text, uint8_t *to, size_t room, size_t *ret_len);
#endif
