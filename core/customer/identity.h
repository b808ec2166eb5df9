/* identity.h - (kind, value) of one customer: normalisation, matching, masking. Pure. Thread: any. */
#ifndef CORE_CUSTOMER_IDENTITY_H
#define CORE_CUSTOMER_IDENTITY_H
#include "core/base/digest.h"
#include "core/base/id.h"
#include "core/base/problem.h"
#include "core/message/phone.h"

#define IDENTITY_KIND_BYTES_MAX 32
#define IDENTITY_VALUE_BYTES_MAX 320 /* an e-mail address: 64 + 1 + 255 */
#define IDENTITY_VARIANTS_MAX 3

struct identity {
  parley_text kind;  /* email phone sender external telegram whatsapp webchat push ...: [a-z][a-z0-9_]{0,31} */
  parley_text value; /* normalised: what is compared */
  parley_text raw;   /* as it was given */
  uint32_t assurance; /* PARLEY_CLAIMED, _OBSERVED, _VERIFIED */
};
bool identity_kind_ok(parley_text kind);
/* Where a phone number comes from, and so how what is no E.164 is read. */
enum phone_source {
  PHONE_GIVEN,  /* by a person or a program that wants to reach it: a number, in national format where there is a plan */
  PHONE_SOUGHT, /* likewise, of what may be stored already: 3 to 8 digits that are no number are a short code, which is kept as it is */
  /* By an SMS network, as the sender of a message. Short codes are never taken for national numbers, and what is no number at all
   * ("Parcels", a withheld one) becomes an identity of kind `sender`, to which nothing can be sent: a message is not lost for it. */
  PHONE_NETWORK,
};
struct phone_reading { /* NULL in its place: no plan, PHONE_GIVEN */
  const struct phone_plan *plan; /* borrowed; NULL: none */
  enum phone_source source;
};
/* email: one addr-spec (core/customer/email.h); phone: E.164 (core/message/phone.h); whatsapp: the same when it is a number,
 * the '+' given or not; external and others: trimmed, 1-255 bytes, no control bytes. Problem codes: bad_email, bad_phone,
 * bad_identity. Linear; a normalised value stays as it is. The result lives in the arena; assurance is CLAIMED. */
bool identity_normalise(const struct phone_reading *phones, parley_text kind, parley_text raw, struct arena *arena,
                        parley_text pointer, struct problems *problems, struct identity *ret);
/* The same identity? What the store asks of rows that share a hash: e-mail local parts without regard to case. */
bool identity_eq(parley_text kind, parley_text a, parley_text b);
/* The forms under which the same person may be known, itself first: AR 54/549, MX 52/521, BR with and without the mobile 9. */
size_t identity_variants(const struct identity *identity, struct arena *arena, parley_text to[IDENTITY_VARIANTS_MAX]);
/* Key of the identity in the store; e-mail local parts count in lower case here. Never 0. */
uint64_t identity_hash(const struct hash_key *key, parley_text kind, parley_text value);
/* "a***@example.org", "+34***22", "s***": for answers and logs of decisions. */
void buf_identity_masked(struct buf *buf, parley_text kind, parley_text value);
#endif
