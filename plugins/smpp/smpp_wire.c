#include "smpp_wire.h"
#include "smpp_status.h"

enum { INTERFACE_VERSION = 0x34, ESM_HEADER = 0x40, IE_JOIN8 = 0x00, IE_JOIN16 = 0x08, IE_PORT8 = 0x04, IE_PORT16 = 0x05 };

static uint32_t u16_at(const unsigned char *at) { return (uint32_t)at[0] << 8 | at[1]; }
static uint32_t u32_at(const unsigned char *at) { return u16_at(at) << 16 | u16_at(at + 2); }

/* --- Heads -------------------------------------------------------------------------------------------------------- */
enum smpp_found smpp_head_read(parley_bytes bytes, struct smpp_head *ret)
{
  const unsigned char *at = (const unsigned char *)bytes.at;
  uint32_t length = bytes.len >= 4 ? u32_at(at) : 0;

  *ret = (struct smpp_head){.length = length};
  if (bytes.len < 4)
    return SMPP_FOUND_NOTHING;
  if (bytes.len >= SMPP_HEAD_BYTES)
    *ret = (struct smpp_head){length, u32_at(at + 4), u32_at(at + 8), u32_at(at + 12)};
  if (length < SMPP_HEAD_BYTES || length > SMPP_PDU_MAX)
    return SMPP_FOUND_BROKEN;
  return bytes.len < length ? SMPP_FOUND_NOTHING : SMPP_FOUND_PDU;
}

bool smpp_command_known(uint32_t command)
{
  switch (command & ~SMPP_RESPONSE) {
  case SMPP_BIND_RECEIVER:
  case SMPP_BIND_TRANSMITTER:
  case SMPP_QUERY_SM:
  case SMPP_SUBMIT_SM:
  case SMPP_DELIVER_SM:
  case SMPP_UNBIND:
  case SMPP_REPLACE_SM:
  case SMPP_CANCEL_SM:
  case SMPP_BIND_TRANSCEIVER:
  case SMPP_ENQUIRE_LINK:
  case SMPP_SUBMIT_MULTI:
  case SMPP_DATA_SM: return true;
  case SMPP_OUTBIND:
  case SMPP_ALERT_NOTIFICATION: return (command & SMPP_RESPONSE) == 0;
  case 0: return command == SMPP_RESPONSE; /* generic_nack */
  default: return false;
  }
}

/* --- Reading ------------------------------------------------------------------------------------------------------ */
struct reader {
  const unsigned char *at;
  size_t left;
  uint32_t status; /* the first fault; nothing is read behind it */
};

static struct reader reader_of(parley_bytes pdu)
{
  return (struct reader){(const unsigned char *)pdu.at + SMPP_HEAD_BYTES, pdu.len - SMPP_HEAD_BYTES, SMPP_ROK};
}

static bool reader_fail(struct reader *in, uint32_t status)
{
  if (in->status == SMPP_ROK)
    in->status = status;
  return false;
}

static uint8_t octet_take(struct reader *in)
{
  if (in->status != SMPP_ROK || (in->left == 0 && !reader_fail(in, SMPP_RINVCMDLEN)))
    return 0;
  in->left--;
  return *in->at++;
}

/* max: characters without the NUL. */
static parley_text string_take(struct reader *in, size_t max, uint32_t fault)
{
  size_t room = in->left < max + 1 ? in->left : max + 1;
  const unsigned char *end = in->status == SMPP_ROK && room > 0 ? memchr(in->at, '\0', room) : NULL;
  parley_text text = {(const char *)in->at, 0};

  if (end == NULL) {
    reader_fail(in, fault);
    return text;
  }
  text.len = (size_t)(end - in->at);
  in->at += text.len + 1;
  in->left -= text.len + 1;
  return text;
}

static parley_bytes bytes_take(struct reader *in, size_t len, uint32_t fault)
{
  parley_bytes bytes = {(const char *)in->at, 0};

  if (in->status != SMPP_ROK || (len > in->left && !reader_fail(in, fault)))
    return bytes;
  bytes.len = len;
  in->at += len;
  in->left -= len;
  return bytes;
}

static struct smpp_address address_take(struct reader *in, size_t max, uint32_t fault)
{
  struct smpp_address address = {.ton = octet_take(in)};

  address.npi = octet_take(in);
  address.value = string_take(in, max, fault);
  return address;
}

/* --- Parameters --------------------------------------------------------------------------------------------------- */
enum tlv_shape { SHAPE_NUMBER, SHAPE_STRING, SHAPE_OCTETS };
static const struct { uint16_t tag; uint8_t shape; uint16_t min, max; } known_tlvs[SMPP_TLVS] = { /* min, max: octets of the value */
    [SMPP_TLV_REFERENCE] = {0x0204, SHAPE_NUMBER, 2, 2},    [SMPP_TLV_RECEIPTED_ID] = {0x001e, SHAPE_STRING, 1, SMPP_ID_MAX + 1},
    [SMPP_TLV_STATE] = {0x0427, SHAPE_NUMBER, 1, 1},        [SMPP_TLV_NETWORK_ERROR] = {0x0423, SHAPE_OCTETS, 3, 3},
    [SMPP_TLV_PAYLOAD] = {0x0424, SHAPE_OCTETS, 0, 65535},  [SMPP_TLV_SAR_REFERENCE] = {0x020c, SHAPE_NUMBER, 2, 2},
    [SMPP_TLV_SAR_TOTAL] = {0x020e, SHAPE_NUMBER, 1, 1},    [SMPP_TLV_SAR_INDEX] = {0x020f, SHAPE_NUMBER, 1, 1},
    [SMPP_TLV_MORE] = {0x0426, SHAPE_NUMBER, 1, 1},         [SMPP_TLV_TTL] = {0x0017, SHAPE_NUMBER, 4, 4},
    [SMPP_TLV_STATUS_TEXT] = {0x001d, SHAPE_STRING, 1, 256}, [SMPP_TLV_FAILURE_REASON] = {0x0425, SHAPE_NUMBER, 1, 1},
    [SMPP_TLV_INTERFACE] = {0x0210, SHAPE_NUMBER, 1, 1},
};

static int tlv_of(uint32_t tag)
{
  for (int i = 0; i < SMPP_TLVS; i++)
    if (known_tlvs[i].tag == tag)
      return i;
  return -1;
}

static uint32_t number_of(parley_bytes value)
{
  uint32_t number = 0;

  for (size_t i = 0; i < value.len; i++)
    number = number << 8 | (unsigned char)value.at[i];
  return number;
}

/* Many centres leave the NUL of a string out: its length says where it ends all the same. */
static parley_text string_of(parley_bytes value)
{
  const char *end = memchr(value.at, '\0', value.len);

  return (parley_text){value.at, end != NULL ? (size_t)(end - value.at) : value.len};
}

static void tlv_keep(struct smpp_tlvs *to, enum smpp_tlv tlv, parley_bytes value)
{
  to->has |= PARLEY_BIT((uint32_t)tlv);
  if (known_tlvs[tlv].shape == SHAPE_NUMBER)
    to->number[tlv] = number_of(value);
  else if (tlv == SMPP_TLV_RECEIPTED_ID)
    to->receipted_id = string_of(value);
  else if (tlv == SMPP_TLV_STATUS_TEXT)
    to->status_text = string_of(value);
  else if (tlv == SMPP_TLV_NETWORK_ERROR)
    to->network_error = value;
  else
    to->payload = value;
}

static void tlv_take(struct reader *in, struct smpp_tlvs *to)
{
  parley_bytes head = bytes_take(in, 4, SMPP_RINVOPTPARSTREAM), value;
  int tlv;

  if (in->status != SMPP_ROK)
    return;
  tlv = tlv_of(u16_at((const unsigned char *)head.at));
  value = bytes_take(in, u16_at((const unsigned char *)head.at + 2), SMPP_RINVOPTPARSTREAM);
  if (in->status != SMPP_ROK)
    return;
  if (tlv < 0)
    to->unknown++;
  else if (smpp_has(to, (enum smpp_tlv)tlv))
    reader_fail(in, SMPP_RINVOPTPARSTREAM);
  else if (value.len < known_tlvs[tlv].min || value.len > known_tlvs[tlv].max)
    reader_fail(in, SMPP_RINVPARLEN);
  else
    tlv_keep(to, (enum smpp_tlv)tlv, value);
}

static void tlvs_take(struct reader *in, struct smpp_tlvs *to)
{
  *to = (struct smpp_tlvs){0};
  for (int n = 0; in->left > 0 && in->status == SMPP_ROK; n++) {
    if (n == SMPP_TLVS_MAX)
      reader_fail(in, SMPP_RINVOPTPARSTREAM);
    else
      tlv_take(in, to);
  }
}

/* --- Bodies ------------------------------------------------------------------------------------------------------- */
static uint32_t command_of(parley_bytes pdu) { return u32_at((const unsigned char *)pdu.at + 4); }

static void short_take(struct reader *in, struct smpp_message *to)
{
  to->protocol = octet_take(in);
  to->priority = octet_take(in);
  to->schedule = string_take(in, SMPP_TIME_MAX, SMPP_RINVSCHED);
  to->validity = string_take(in, SMPP_TIME_MAX, SMPP_RINVEXPIRY);
  to->registered = octet_take(in);
  to->replace = octet_take(in);
  to->coding = octet_take(in);
  to->canned = octet_take(in);
}

uint32_t smpp_message_read(parley_bytes pdu, struct smpp_message *ret)
{
  struct reader in = reader_of(pdu);
  bool data = command_of(pdu) == SMPP_DATA_SM;
  size_t address_max = data ? SMPP_DATA_ADDRESS_MAX : SMPP_ADDRESS_MAX;

  *ret = (struct smpp_message){.service = string_take(&in, SMPP_SERVICE_MAX, SMPP_RINVSERTYP)};
  ret->source = address_take(&in, address_max, SMPP_RINVSRCADR);
  ret->destination = address_take(&in, address_max, SMPP_RINVDSTADR);
  ret->esm_class = octet_take(&in);
  if (data) {
    ret->registered = octet_take(&in);
    ret->coding = octet_take(&in);
  } else {
    size_t len;

    short_take(&in, ret);
    len = octet_take(&in);
    ret->text = bytes_take(&in, len, SMPP_RINVMSGLEN);
    if (len > SMPP_SHORT_MAX)
      reader_fail(&in, SMPP_RINVMSGLEN);
  }
  tlvs_take(&in, &ret->tlvs);
  return in.status;
}

/* A centre that leaves the id's NUL out has the message all the same. */
static parley_text id_take(struct reader *in, size_t max)
{
  bool bare = in->left > 0 && in->left <= max && memchr(in->at, '\0', in->left) == NULL;

  return bare ? bytes_take(in, in->left, SMPP_RINVMSGID) : string_take(in, max, SMPP_RINVMSGID);
}

uint32_t smpp_response_read(parley_bytes pdu, struct smpp_response *ret)
{
  struct reader in = reader_of(pdu);
  uint32_t command = command_of(pdu) & ~SMPP_RESPONSE;

  *ret = (struct smpp_response){0};
  if (in.left == 0)
    return SMPP_ROK;
  switch (command) {
  case SMPP_BIND_RECEIVER:
  case SMPP_BIND_TRANSMITTER:
  case SMPP_BIND_TRANSCEIVER: ret->id = string_take(&in, SMPP_SYSTEM_ID_MAX, SMPP_RINVSYSID); break;
  case SMPP_SUBMIT_SM:
  case SMPP_DATA_SM: ret->id = id_take(&in, SMPP_ID_MAX); break;
  default: return SMPP_ROK; /* the others' bodies say nothing */
  }
  tlvs_take(&in, &ret->tlvs);
  return in.status;
}

/* --- Writing ------------------------------------------------------------------------------------------------------ */
struct writer { struct smpp_out *out; size_t len; bool bad; };

static void octets_put(struct writer *to, const void *octets, size_t len)
{
  if (to->bad || len > to->out->room - to->len) {
    to->bad = true;
    return;
  }
  if (len > 0)
    memcpy(to->out->at + to->len, octets, len);
  to->len += len;
}

static void octet_put(struct writer *to, uint32_t octet) { octets_put(to, &(unsigned char){(unsigned char)octet}, 1); }

static void u16_put(struct writer *to, uint32_t number)
{
  octet_put(to, number >> 8);
  octet_put(to, number);
}

static void u32_put(struct writer *to, uint32_t number)
{
  u16_put(to, number >> 16);
  u16_put(to, number);
}

static void string_put(struct writer *to, parley_text text, size_t max)
{
  if (text.len > max || (text.len > 0 && memchr(text.at, '\0', text.len) != NULL))
    to->bad = true;
  octets_put(to, text.at, text.len);
  octet_put(to, 0);
}

static void address_put(struct writer *to, const struct smpp_address *address, size_t max)
{
  octet_put(to, address->ton);
  octet_put(to, address->npi);
  string_put(to, address->value, max);
}

static struct writer pdu_begin(struct smpp_out *out, uint32_t command, uint32_t status, uint32_t sequence)
{
  struct writer to = {.out = out, .len = out->len};

  u32_put(&to, 0);
  u32_put(&to, command);
  u32_put(&to, status);
  u32_put(&to, sequence);
  return to;
}

static bool pdu_end(struct writer *to)
{
  size_t end = to->len, length = end - to->out->len;

  if (to->bad || length > SMPP_PDU_MAX)
    return false;
  to->len = to->out->len;
  u32_put(to, (uint32_t)length);
  to->out->len = end;
  return true;
}

bool smpp_put_head(struct smpp_out *out, uint32_t command, uint32_t status, uint32_t sequence)
{
  struct writer to = pdu_begin(out, command, status, sequence);

  return pdu_end(&to);
}

bool smpp_put_bind(struct smpp_out *out, uint32_t command, uint32_t sequence, const struct smpp_bind *bind)
{
  struct writer to = pdu_begin(out, command, SMPP_ROK, sequence);

  string_put(&to, bind->system_id, SMPP_LOGIN_MAX);
  string_put(&to, bind->password, SMPP_LOGIN_MAX);
  string_put(&to, bind->system_type, SMPP_LOGIN_MAX);
  octet_put(&to, INTERFACE_VERSION);
  octet_put(&to, bind->ton);
  octet_put(&to, bind->npi);
  string_put(&to, bind->range, SMPP_RANGE_MAX);
  return pdu_end(&to);
}

static void tlv_put(struct writer *to, enum smpp_tlv tlv, const struct smpp_tlvs *tlvs)
{
  parley_bytes value = tlv == SMPP_TLV_RECEIPTED_ID ? tlvs->receipted_id : tlv == SMPP_TLV_STATUS_TEXT ? tlvs->status_text
                       : tlv == SMPP_TLV_NETWORK_ERROR ? tlvs->network_error : tlvs->payload;
  size_t len = known_tlvs[tlv].shape == SHAPE_NUMBER ? known_tlvs[tlv].max : value.len + (known_tlvs[tlv].shape == SHAPE_STRING);

  to->bad |= len > known_tlvs[tlv].max || len < known_tlvs[tlv].min;
  u16_put(to, known_tlvs[tlv].tag);
  u16_put(to, (uint32_t)len);
  if (known_tlvs[tlv].shape == SHAPE_NUMBER)
    for (size_t i = len; i-- > 0;)
      octet_put(to, tlvs->number[tlv] >> (8 * i));
  else if (known_tlvs[tlv].shape == SHAPE_STRING)
    string_put(to, value, known_tlvs[tlv].max - 1);
  else
    octets_put(to, value.at, value.len);
}

static void short_put(struct writer *to, const struct smpp_message *message)
{
  octet_put(to, message->protocol);
  octet_put(to, message->priority);
  string_put(to, message->schedule, SMPP_TIME_MAX);
  string_put(to, message->validity, SMPP_TIME_MAX);
  octet_put(to, message->registered);
  octet_put(to, message->replace);
  octet_put(to, message->coding);
  octet_put(to, message->canned);
  to->bad |= message->text.len > SMPP_SHORT_MAX;
  octet_put(to, (uint32_t)message->text.len);
  octets_put(to, message->text.at, message->text.len);
}

bool smpp_put_message(struct smpp_out *out, uint32_t command, uint32_t sequence, const struct smpp_message *message)
{
  struct writer to = pdu_begin(out, command, SMPP_ROK, sequence);
  bool data = command == SMPP_DATA_SM;
  size_t address_max = data ? SMPP_DATA_ADDRESS_MAX : SMPP_ADDRESS_MAX;

  string_put(&to, message->service, SMPP_SERVICE_MAX);
  address_put(&to, &message->source, address_max);
  address_put(&to, &message->destination, address_max);
  octet_put(&to, message->esm_class);
  if (data) {
    octet_put(&to, message->registered);
    octet_put(&to, message->coding);
  } else {
    short_put(&to, message);
  }
  for (int tlv = 0; tlv < SMPP_TLVS; tlv++)
    if (smpp_has(&message->tlvs, (enum smpp_tlv)tlv))
      tlv_put(&to, (enum smpp_tlv)tlv, &message->tlvs);
  return pdu_end(&to);
}

bool smpp_put_response(struct smpp_out *out, uint32_t command, uint32_t status, uint32_t sequence, parley_text id)
{
  struct writer to = pdu_begin(out, command | SMPP_RESPONSE, status, sequence);

  string_put(&to, id, SMPP_ID_MAX);
  return pdu_end(&to);
}

/* --- Headers of user data ----------------------------------------------------------------------------------------- */
static void element_take(uint8_t name, const unsigned char *at, size_t len, struct smpp_join *ret, bool *ret_ports)
{
  uint32_t width = name == IE_JOIN8 && len == 3 ? 1 : name == IE_JOIN16 && len == 4 ? 2 : 0;

  *ret_ports |= (name == IE_PORT8 && len == 2) || (name == IE_PORT16 && len == 4);
  if (width == 0 || at[width] == 0 || at[width + 1] == 0 || at[width + 1] > at[width])
    return;
  *ret = (struct smpp_join){.reference = width == 1 ? at[0] : u16_at(at), .total = at[width], .index = at[width + 1], .width = width};
}

void smpp_header_take(uint8_t esm_class, parley_bytes *text, struct smpp_join *ret, bool *ret_ports)
{
  const unsigned char *at = (const unsigned char *)text->at;
  size_t end = text->len > 0 ? (size_t)at[0] + 1 : 0;

  *ret = (struct smpp_join){0};
  *ret_ports = false;
  if ((esm_class & ESM_HEADER) == 0 || end == 0 || end > text->len)
    return;
  for (size_t i = 1; i + 2 <= end && i + 2 + at[i + 1] <= end; i += 2 + (size_t)at[i + 1])
    element_take(at[i], at + i + 2, at[i + 1], ret, ret_ports);
  text->at += end;
  text->len -= end;
}

size_t smpp_header_write(const struct smpp_join *join, char to[SMPP_JOIN_HEADER_MAX])
{
  bool wide = join->width == 2;
  size_t n = 0;

  to[n++] = (char)(wide ? 6 : 5);
  to[n++] = (char)(wide ? IE_JOIN16 : IE_JOIN8);
  to[n++] = (char)(wide ? 4 : 3);
  if (wide)
    to[n++] = (char)(join->reference >> 8);
  to[n++] = (char)join->reference;
  to[n++] = (char)join->total;
  to[n++] = (char)join->index;
  return n;
}
