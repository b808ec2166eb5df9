/* smpp_options.h - what the operator wrote for an SMPP channel: the table of options and what they come to. Texts are borrowed from the
 * option tree, which lives until destroy(), or are this struct's own; the result points into itself and may not be copied.
 * Thread: loop. */
#ifndef SMPP_OPTIONS_H
#define SMPP_OPTIONS_H
#include "common/gsm_text.h"
#include "common/sms_options.h"
#include "smpp_ids.h"
#include "smpp_receipt.h"
#include "smpp_session.h"

enum { SMPP_HOST_MAX = 253, SMPP_BINDS_MAX = 32, SMPP_SEGMENTS_MAX = 64, SMPP_AUTO = -1, SMPP_WHY_ROOM = 256 };
enum smpp_bind_kind { SMPP_TRANSCEIVER, SMPP_SEPARATE, SMPP_TRANSMITTER, SMPP_RECEIVER };
enum smpp_joining { SMPP_UDH8, SMPP_UDH16, SMPP_SAR, SMPP_PAYLOAD };
enum smpp_validity { SMPP_VALIDITY_RELATIVE, SMPP_VALIDITY_ABSOLUTE, SMPP_VALIDITY_NONE };
struct smpp_options {
  char address[SMPP_HOST_MAX + sizeof "[]:65535"], host[SMPP_HOST_MAX + 1];
  bool tls;
  parley_text ca;
  struct smpp_config bind;
  enum smpp_bind_kind kind;
  uint32_t binds, reconnect_max_ms, throttle_pause_ms;
  struct sms_options sms;
  int32_t source_ton, source_npi, destination_ton, destination_npi; /* SMPP_AUTO: by what the number looks like */
  parley_text service;
  uint8_t registered;
  uint32_t command;         /* SMPP_SUBMIT_SM, SMPP_DATA_SM */
  int64_t validity_ms;      /* at most; 0: only the message's own expiry counts */
  enum smpp_validity validity;
  enum gsm_alphabet alphabet; /* of data coding 0, and of what is sent: GSM_DEFAULT, GSM_LATIN1; GSM_UCS2: all is sent as UCS-2 */
  enum smpp_joining joining;
  uint32_t segments;
  enum smpp_ids_mode ids;
  struct smpp_receipt_rules receipts;
  bool reference;           /* user_message_reference goes along */
  uint32_t proof_wait_ms;   /* how long a receipt is awaited that proves an unknown one; with reference */
  uint32_t join_wait_ms;
  char why[SMPP_WHY_ROOM];
};
extern const parley_option *const smpp_option_table[];
/* PARLEY_INVALID: to->why says which option and why; PARLEY_BUSY: no memory. Either way smpp_options_done() is due. */
parley_status smpp_options_read(const parley_value *options, struct smpp_options *to);
void smpp_options_done(struct smpp_options *options);
#endif
