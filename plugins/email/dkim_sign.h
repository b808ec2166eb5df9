/* dkim_sign.h - one DKIM-Signature (RFC 6376, RFC 8463) for a mail as it stands: CRLF at every line's end. relaxed/relaxed. What is
 * signed are exactly the bytes that leave: nothing between here and the wire may change one, dot stuffing apart, which the other
 * side undoes. Values in, values out; the same mail, key and time give the same field. Thread: any; costs a private-key
 * operation, so never the loop. */
#ifndef EMAIL_DKIM_SIGN_H
#define EMAIL_DKIM_SIGN_H
#include <common/dkim_key.h>

enum {
  DKIM_FIELDS_MAX = 96,    /* header fields that are signed; a mail with more is not */
  DKIM_SELECTOR_MAX = 63,
  DKIM_FIELD_ROOM = 6144   /* bytes of one DKIM-Signature at most: a 4096-bit key and DKIM_FIELDS_MAX names */
};
struct dkim_signer { /* borrowed for the call */
  const struct dkim_key *key;
  parley_text domain, selector;
};
/* The SHA-256 of the body, canonicalized: what stands behind the first empty line. false: OpenSSL fails. */
bool dkim_body_hash(parley_bytes body, unsigned char hash[DKIM_HASH_BYTES]);
/* Where the body begins, behind the empty line; mail.len when there is none. */
size_t dkim_body_at(parley_bytes mail);
/* Writes the whole field with its CRLF, to be put before the mail. to: DKIM_FIELD_ROOM bytes. Returns its length; 0: too many fields,
 * or OpenSSL fails. h= names each field there is (of From, To, Subject, Date, Reply-To, Content-Type and the unsubscribe fields one
 * more, and the first four even where there is none: nobody can add a second one). */
size_t dkim_sign(const struct dkim_signer *signer, parley_bytes mail, const unsigned char body_hash[DKIM_HASH_BYTES],
                 int64_t at_ms, char *to);
/* The step below, for a field and an h= of somebody else's making: the signature over the named fields of head, each name the next
 * one from below, and over `field` ("DKIM-Signature: ... b=", no line end). to: DKIM_KEY_SIGNATURE_MAX bytes; 0: as above. */
size_t dkim_sign_named(const struct dkim_key *key, parley_bytes head, const parley_text *names, size_t n_names,
                       parley_text field, unsigned char *to);
#endif
