/* smpp_receipt.h - what a centre says became of a message: by parameters first (receipted_message_id, message_state,
 * network_error_code), and where one is missing by the text of SMPP v3.4, appendix B: `id:… sub:… dlvrd:… submit date:… done date:…
 * stat:… err:… text:…`, in whatever order and case, and however little of it is there. What stands behind `text:` is the customer's
 * own and is not read. Pure. Thread: any. */
#ifndef SMPP_RECEIPT_H
#define SMPP_RECEIPT_H
#include "smpp_wire.h"

enum { SMPP_RECEIPT_CODE_ROOM = 40, SMPP_RECEIPT_OFFSET_NONE = INT32_MIN, SMPP_ERRORS_MAX = 64 };
struct smpp_receipt_rules { /* an operator's */
  int32_t offset_minutes;  /* the centre's clock from UTC; OFFSET_NONE: its dates are not used */
  uint32_t n_bad_errors;   /* values of err: that mean that nobody has the number; borrowed */
  parley_text bad_errors[SMPP_ERRORS_MAX];
};
struct smpp_receipt {
  parley_text id;      /* as it stands; borrowed. Empty: it had none */
  uint32_t kind;       /* PARLEY_RECEIPT_*; 0: it says nothing that can be understood */
  uint32_t outcome;    /* of FAILED */
  int64_t at_ms;       /* 0: not said */
  const char *words;   /* for a person; static */
  char code[SMPP_RECEIPT_CODE_ROOM]; /* "UNDELIV 012", "UNDELIVERABLE gsm 1" */
};
/* Whether this is one: by esm_class, or (some centres leave that 0) by receipted_message_id together with the text's form. */
bool smpp_receipt_is(const struct smpp_message *message, parley_text text);
/* text: the message's, as UTF-8. */
void smpp_receipt_read(const struct smpp_message *message, parley_text text, const struct smpp_receipt_rules *rules,
                       struct smpp_receipt *ret);
/* "2611271842" or with seconds, of a clock so far from UTC; 0: it is none. */
int64_t smpp_receipt_time(parley_text digits, int32_t offset_minutes);
#endif
