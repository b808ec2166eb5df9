/* smpp_text.h - what a customer wrote, out of a deliver_sm or data_sm: the text by its data coding (SMPP v3.4, 5.2.19, with the coding
 * groups and message classes of 3GPP TS 23.038), or bytes; and which piece of a longer text it is, by header or by SAR parameters.
 * Pure. Thread: any. */
#ifndef SMPP_TEXT_H
#define SMPP_TEXT_H
#include "common/gsm_text.h"
#include "smpp_wire.h"

struct smpp_text {
  bool binary;          /* bytes, no text: for an application, or in an alphabet that is not known here */
  enum gsm_alphabet alphabet;
  parley_bytes octets;  /* without the header; borrowed from the PDU */
  struct smpp_join join; /* total 0: it stands alone */
};
/* fallback: the centre's default alphabet (data coding 0). */
void smpp_text_read(const struct smpp_message *message, enum gsm_alphabet fallback, struct smpp_text *ret);
#endif
