/* smpp_proof.h - receipts as proof: what was sent without an answer may be out, and SMPP has no key that makes sending it again
 * harmless. But a receipt brings our reference back (user_message_reference), and with the customer's number it says which part it is
 * of. Keeps the newest receipts, and lets a message wait for those of its parts. Owned by its channel. Thread: loop. */
#ifndef SMPP_PROOF_H
#define SMPP_PROOF_H
#include "smpp_job.h"

enum { SMPP_PROOFS_MAX = 512 /* receipts kept */, SMPP_PROOF_WAITERS_MAX = 1000 };
struct smpp_proof;
struct smpp_proof *smpp_proof_new(const parley_host *host, const struct smpp_options *options); /* NULL: no memory */
void smpp_proof_free(struct smpp_proof **proof);
/* A receipt with a reference: from this number, of the part that the host knows by id. */
void smpp_proof_note(struct smpp_proof *proof, uint32_t reference, parley_text number, const char *id);
/* Settles token with ACCEPTED when all parts are proved, now or within proof_wait; else with RETRY and the ids of those that are: only
 * the others are sent again. false: too many wait. The message lives until it is settled. */
bool smpp_proof_wait(struct smpp_proof *proof, uint64_t token, const parley_message *message);
#endif
