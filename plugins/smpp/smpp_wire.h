/* smpp_wire.h - SMPP 3.4 as bytes, no sockets: what an ESME writes and reads. A PDU is found in a stream by smpp_head_read(), and
 * read by the function of its kind; writing appends whole PDUs to a buffer, or marks it bad.
 * Owns no memory: every text and byte string that was read is borrowed from the PDU. Thread: any. Units: octets.
 * Strict: each C-octet string ends within its own limit, and what is wrong has the ESME_R* of its field; a parameter (TLV) that is
 * not known is skipped, one that is known counts once, has its length, and ends within the PDU. Sections are those of the SMPP
 * Protocol Specification v3.4, Issue 1.2. */
#ifndef SMPP_WIRE_H
#define SMPP_WIRE_H
#include <parley/plugin.h>
#include <stdbool.h>

enum {
  SMPP_HEAD_BYTES = 16,
  SMPP_PDU_MAX = 65536,   /* octets of one PDU, its head included */
  SMPP_TLVS_MAX = 100,    /* parameters of one PDU */
  SMPP_SHORT_MAX = 254,   /* octets of short_message */
  SMPP_SERVICE_MAX = 5,   /* characters, without the NUL, as all below */
  SMPP_ADDRESS_MAX = 20,
  SMPP_DATA_ADDRESS_MAX = 64, /* of data_sm */
  SMPP_SYSTEM_ID_MAX = 15,    /* of a bind_resp */
  SMPP_LOGIN_MAX = 64,        /* of what we log in with: centres take more than the 15, 8 and 12 of the standard */
  SMPP_RANGE_MAX = 40,
  SMPP_TIME_MAX = 16,
  SMPP_ID_MAX = 64
};
/* 5.1.2.1 */
enum {
  SMPP_BIND_RECEIVER = 0x01, SMPP_BIND_TRANSMITTER = 0x02, SMPP_QUERY_SM = 0x03, SMPP_SUBMIT_SM = 0x04, SMPP_DELIVER_SM = 0x05,
  SMPP_UNBIND = 0x06, SMPP_REPLACE_SM = 0x07, SMPP_CANCEL_SM = 0x08, SMPP_BIND_TRANSCEIVER = 0x09, SMPP_OUTBIND = 0x0b,
  SMPP_ENQUIRE_LINK = 0x15, SMPP_SUBMIT_MULTI = 0x21, SMPP_ALERT_NOTIFICATION = 0x102, SMPP_DATA_SM = 0x103
};
#define SMPP_RESPONSE UINT32_C(0x80000000) /* the bit of a response's command; alone: generic_nack */
#define SMPP_SEQUENCE_MAX UINT32_C(0x7fffffff)

/* --- Heads -------------------------------------------------------------------------------------------------------- */
struct smpp_head { uint32_t length, command, status, sequence; };
enum smpp_found {
  SMPP_FOUND_NOTHING, /* not all of it is there: come again with more */
  SMPP_FOUND_PDU,     /* bytes begin with one of head.length octets */
  SMPP_FOUND_BROKEN   /* its length cannot be: nothing behind it can be read either */
};
enum smpp_found smpp_head_read(parley_bytes bytes, struct smpp_head *ret);
bool smpp_command_known(uint32_t command); /* a request or a response of 3.4 */

/* --- Parameters --------------------------------------------------------------------------------------------------- */
/* 5.3.2: those that are understood; in `has` one bit each. */
enum smpp_tlv {
  SMPP_TLV_REFERENCE, SMPP_TLV_RECEIPTED_ID, SMPP_TLV_STATE, SMPP_TLV_NETWORK_ERROR, SMPP_TLV_PAYLOAD, SMPP_TLV_SAR_REFERENCE,
  SMPP_TLV_SAR_TOTAL, SMPP_TLV_SAR_INDEX, SMPP_TLV_MORE, SMPP_TLV_TTL, SMPP_TLV_STATUS_TEXT, SMPP_TLV_FAILURE_REASON,
  SMPP_TLV_INTERFACE, SMPP_TLVS
};
struct smpp_tlvs {
  uint32_t has;           /* 1 << SMPP_TLV_* */
  uint32_t unknown;       /* how many were skipped */
  uint32_t number[SMPP_TLVS]; /* of those that are numbers */
  parley_text receipted_id, status_text;
  parley_bytes payload, network_error; /* network_error: a type and two octets of code */
};
static inline bool smpp_has(const struct smpp_tlvs *tlvs, enum smpp_tlv tlv) { return (tlvs->has & PARLEY_BIT((uint32_t)tlv)) != 0; }

/* --- Bodies ------------------------------------------------------------------------------------------------------- */
enum { SMPP_TON_UNKNOWN = 0, SMPP_TON_INTERNATIONAL = 1, SMPP_TON_NETWORK = 3, SMPP_TON_NAME = 5 }; /* 5.2.5; alphanumeric: a name */
struct smpp_address { uint8_t ton, npi; parley_text value; };
struct smpp_message { /* submit_sm (4.4), deliver_sm (4.6), data_sm (4.7: no protocol, priority, times, nor short) */
  parley_text service;
  struct smpp_address source, destination;
  uint8_t esm_class, protocol, priority, registered, replace, coding, canned;
  parley_text schedule, validity; /* 7.1.1, or empty */
  parley_bytes text;              /* short_message; message_payload is in tlvs */
  struct smpp_tlvs tlvs;
};
struct smpp_bind { parley_text system_id, password, system_type, range; uint8_t ton, npi; }; /* 4.1; interface 0x34 */
struct smpp_response { /* of a bind (id: the centre's system_id), submit_sm, data_sm; without a body all is empty */
  parley_text id;
  struct smpp_tlvs tlvs;
};

/* All take a whole PDU, and return 0 (ESME_ROK) or the ESME_R* that says what is wrong with it. */
uint32_t smpp_message_read(parley_bytes pdu, struct smpp_message *ret);   /* by the head's command */
uint32_t smpp_response_read(parley_bytes pdu, struct smpp_response *ret); /* an id without its NUL is taken: what it names is out */

/* --- Writing ------------------------------------------------------------------------------------------------------ */
struct smpp_out { /* the caller's memory */
  char *at;
  size_t room, len; /* len: of whole PDUs */
};
/* All append one PDU. false: it has no room there, or a value is too long or holds a NUL; nothing was appended. */
/* enquire_link, unbind, their responses, generic_nack */
bool smpp_put_head(struct smpp_out *out, uint32_t command, uint32_t status, uint32_t sequence);
bool smpp_put_bind(struct smpp_out *out, uint32_t command, uint32_t sequence, const struct smpp_bind *bind);
bool smpp_put_message(struct smpp_out *out, uint32_t command, uint32_t sequence, const struct smpp_message *message);
bool smpp_put_response(struct smpp_out *out, uint32_t command, uint32_t status, uint32_t sequence, parley_text id);

/* --- Headers of user data ----------------------------------------------------------------------------------------- */
struct smpp_join { uint32_t reference, index, total, width; }; /* width: octets of the reference */
/* Takes the header (3GPP TS 23.040, 9.2.3.24) off *text, where esm_class says that one is there. One that does not end within the
 * text is none: the text stays whole. ret->total 0: it is no piece of a longer text, or names an impossible one (3 of 2).
 * *ret_ports: it is for an application's port, and no text for people. */
void smpp_header_take(uint8_t esm_class, parley_bytes *text, struct smpp_join *ret, bool *ret_ports);
enum { SMPP_JOIN_HEADER_MAX = 7 };
size_t smpp_header_write(const struct smpp_join *join, char to[SMPP_JOIN_HEADER_MAX]);
#endif
