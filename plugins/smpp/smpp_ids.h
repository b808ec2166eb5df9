/* smpp_ids.h - one message, two spellings of its id: many centres answer submit_sm with a hexadecimal id and write it in decimal
 * into the receipt, or the other way round, or with leading zeros. Here the spelling of a receipt is turned into that of the answer,
 * which is what the host knows a part by. By option, or learned: a receipt that fits what was sent lately in one spelling only says
 * which it is. Owned by its channel. Thread: loop. */
#ifndef SMPP_IDS_H
#define SMPP_IDS_H
#include "smpp_wire.h"

enum smpp_ids_mode { /* the choices of option message_ids, in their order */
  SMPP_IDS_AUTO,        /* learned; until then as NUMBER */
  SMPP_IDS_TEXT,        /* as they stand */
  SMPP_IDS_NUMBER,      /* the same base in both; zeros before it and capitals do not count */
  SMPP_IDS_HEX_DECIMAL, /* the answer hexadecimal, the receipt decimal */
  SMPP_IDS_DECIMAL_HEX
};
extern const char *const smpp_ids_words[]; /* "auto", "text", ...; ends with NULL */
enum { SMPP_ID_ROOM = 96, SMPP_IDS_RECENT = 4096 };

struct smpp_ids {
  enum smpp_ids_mode mode;    /* by option */
  enum smpp_ids_mode learned; /* AUTO: not yet */
  bool own_letters, receipt_letters;
  uint32_t n;                        /* ever noted */
  uint64_t recent[SMPP_IDS_RECENT];  /* hashes of the newest ids that answers brought; for AUTO */
};
/* The id of an answer, as the host is told it. */
void smpp_ids_own(struct smpp_ids *ids, parley_text id, char to[SMPP_ID_ROOM]);
/* The id of a receipt, as the answer spelt it. true: something was learned by it. */
bool smpp_ids_receipt(struct smpp_ids *ids, parley_text id, char to[SMPP_ID_ROOM]);
/* What one spelling is in the other base; false: it is no number of that base. */
bool smpp_id_rebase(parley_text digits, uint32_t from, uint32_t base, char to[SMPP_ID_ROOM]);
#endif
