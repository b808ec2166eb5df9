// sources: plugins/smpp/smpp_wire.c plugins/smpp/smpp_status.c
// libraries: PkgConfig::SMPP34
/* smpp_oracle - our SMPP codec against libsmpp34, which knows nothing of it: random PDUs that we write are unpacked there, and what
 * it packs again is read here. usage: smpp_oracle [COUNT [SEED]]. Prints `ok - name`, or `not ok - name: what differs` and exits
 * with 1. */
#include "smpp/smpp_status.h"
#include "smpp/smpp_wire.h"
#include <arpa/inet.h>
#include <libsmpp34/smpp34.h>
#include <libsmpp34/smpp34_structs.h> /* before its params, which need it */
#include <libsmpp34/smpp34_params.h>
#include <stdio.h>
#include <stdlib.h>

enum { PDU_ROOM = 4096, STRUCT_ROOM = 1 << 20, COUNT_DEFAULT = 20000, PAYLOAD_MAX = 1000, VALUE_ROOM = 1024,
       SMALL = 8 /* PDUs without a message */ };

static uint64_t state;
static char room[8][VALUE_ROOM];
static unsigned char theirs[STRUCT_ROOM]; /* whatever PDU it unpacks: the largest of its structs has room */

static uint32_t chance(uint32_t below)
{
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return (uint32_t)(state >> 20) % below;
}

static parley_text text_made(int at, const char *alphabet, size_t max)
{
  size_t len = chance((uint32_t)max + 1);

  for (size_t i = 0; i < len; i++)
    room[at][i] = alphabet[chance((uint32_t)strlen(alphabet))];
  return (parley_text){room[at], len};
}

static parley_bytes bytes_made(int at, size_t max)
{
  size_t len = chance((uint32_t)max + 1);

  for (size_t i = 0; i < len; i++)
    room[at][i] = (char)chance(256);
  return (parley_bytes){room[at], len};
}

static struct smpp_message message_made(bool data)
{
  static const char digits[] = "0123456789", letters[] = "abcXYZ019";
  struct smpp_message message = {
      .service = text_made(0, letters, 5), .source = {(uint8_t)chance(7), 1, text_made(1, digits, 20)},
      .destination = {1, 1, text_made(2, digits, 20)}, .esm_class = chance(2) ? 0x40 : 0, .registered = (uint8_t)chance(3),
      .coding = chance(2) ? 8 : 0};

  if (data) {
    message.tlvs.has = PARLEY_BIT(SMPP_TLV_PAYLOAD) | PARLEY_BIT(SMPP_TLV_TTL);
    message.tlvs.number[SMPP_TLV_TTL] = chance(1 << 30);
    message.tlvs.payload = bytes_made(3, PAYLOAD_MAX);
  } else {
    message.priority = (uint8_t)chance(4);
    message.validity = chance(2) ? PARLEY_LIT("000000000500000R") : PARLEY_LIT("");
    message.text = bytes_made(3, 253); /* the 254 of the standard are one too many for it */
  }
  if (chance(2)) {
    message.tlvs.has |= PARLEY_BIT(SMPP_TLV_REFERENCE);
    message.tlvs.number[SMPP_TLV_REFERENCE] = chance(65536);
  }
  if (chance(3) == 0) {
    message.tlvs.has |= PARLEY_BIT(SMPP_TLV_SAR_REFERENCE) | PARLEY_BIT(SMPP_TLV_SAR_TOTAL) | PARLEY_BIT(SMPP_TLV_SAR_INDEX);
    message.tlvs.number[SMPP_TLV_SAR_REFERENCE] = chance(65536);
    message.tlvs.number[SMPP_TLV_SAR_TOTAL] = 1 + chance(255);
    message.tlvs.number[SMPP_TLV_SAR_INDEX] = 1 + chance(255);
  }
  return message;
}

static bool text_same(parley_text a, parley_text b) { return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0); }
static bool is(parley_text a, const unsigned char *b) { return parley_text_is(a, (const char *)b); }

static bool message_same(const struct smpp_message *a, const struct smpp_message *b)
{
  bool same = text_same(a->service, b->service) && text_same(a->source.value, b->source.value) &&
              text_same(a->destination.value, b->destination.value) && a->esm_class == b->esm_class && a->coding == b->coding &&
              a->registered == b->registered && a->priority == b->priority && text_same(a->validity, b->validity) &&
              text_same(a->text, b->text) && text_same(a->tlvs.payload, b->tlvs.payload) && a->tlvs.has == b->tlvs.has;

  for (int i = 0; i < SMPP_TLVS && same; i++)
    same = a->tlvs.number[i] == b->tlvs.number[i];
  return same;
}

/* What it found in our PDU, field by field where it has them. */
static bool submit_understood(const struct smpp_message *message)
{
  const struct submit_sm_t *sm = (const void *)theirs;

  return is(message->service, sm->service_type) && is(message->source.value, sm->source_addr) &&
         sm->source_addr_ton == message->source.ton && is(message->destination.value, sm->destination_addr) &&
         sm->esm_class == message->esm_class && sm->data_coding == message->coding &&
         is(message->validity, sm->validity_period) && sm->sm_length == message->text.len &&
         (message->text.len == 0 || memcmp(sm->short_message, message->text.at, message->text.len) == 0);
}

static const char *there_and_back(bool data)
{
  static char octets[PDU_ROOM], again[PDU_ROOM];
  const struct smpp_message message = message_made(data);
  struct smpp_out out = {octets, sizeof octets, 0};
  struct smpp_message read;
  int len = 0;

  if (!smpp_put_message(&out, data ? SMPP_DATA_SM : SMPP_SUBMIT_SM, 1 + chance(1 << 30), &message))
    return "we could not write it";
  memset(theirs, 0, sizeof(struct submit_sm_t) + sizeof(struct data_sm_t));
  if (smpp34_unpack2(theirs, (const uint8_t *)octets, (int)out.len) != 0)
    return smpp34_strerror;
  if (!data && !submit_understood(&message))
    return "it found something else in it";
  if (smpp34_pack2((uint8_t *)again, sizeof again, &len, theirs) != 0)
    return smpp34_strerror;
  if (smpp_message_read((parley_bytes){again, (size_t)len}, &read) != SMPP_ROK)
    return "what it wrote was refused here";
  if (!message_same(&message, &read))
    return "what it wrote is another message";
  destroy_tlv(data ? ((struct data_sm_t *)(void *)theirs)->tlv : ((struct submit_sm_t *)(void *)theirs)->tlv);
  return NULL;
}

/* The PDUs without a message: it reads them, and writes the same octets. */
static const char *small_there_and_back(int which)
{
  static char octets[PDU_ROOM], again[PDU_ROOM];
  struct smpp_out out = {octets, sizeof octets, 0};
  const struct smpp_bind bind = {PARLEY_LIT("shop"), PARLEY_LIT("s3cret08"), PARLEY_LIT("VMA"), PARLEY_LIT("^34"), 1, 1};
  int len = 0;
  bool made = which == 0   ? smpp_put_bind(&out, SMPP_BIND_TRANSCEIVER, 1, &bind)
              : which == 1 ? smpp_put_bind(&out, SMPP_BIND_RECEIVER, 2, &bind)
              : which == 2 ? smpp_put_bind(&out, SMPP_BIND_TRANSMITTER, 3, &bind)
              : which == 3 ? smpp_put_head(&out, SMPP_UNBIND, 0, 4)
              : which == 4 ? smpp_put_head(&out, SMPP_ENQUIRE_LINK, 0, 5)
              : which == 5 ? smpp_put_head(&out, SMPP_ENQUIRE_LINK | SMPP_RESPONSE, 0, 6)
              : which == 6 ? smpp_put_head(&out, SMPP_RESPONSE, SMPP_RINVCMDID, 7)
                           : smpp_put_response(&out, SMPP_DELIVER_SM, SMPP_RX_T_APPN, 8, PARLEY_LIT(""));

  if (!made)
    return "we could not write it";
  memset(theirs, 0, PDU_ROOM);
  if (smpp34_unpack2(theirs, (const uint8_t *)octets, (int)out.len) != 0 ||
      smpp34_pack2((uint8_t *)again, sizeof again, &len, theirs) != 0)
    return smpp34_strerror;
  return (size_t)len == out.len && memcmp(octets, again, out.len) == 0 ? NULL : "it wrote other octets";
}

static int tell(const char *name, const char *fault)
{
  if (fault == NULL)
    printf("ok - %s\n", name);
  else
    printf("not ok - %s: %s\n", name, fault);
  return fault != NULL;
}

int main(int argc, char **argv)
{
  long count = argc > 1 ? strtol(argv[1], NULL, 10) : COUNT_DEFAULT;
  const char *fault = NULL, *of_data = NULL, *of_small = NULL;

  state = argc > 2 ? strtoull(argv[2], NULL, 10) | 1 : UINT64_C(20261127);
  for (long i = 0; i < count && fault == NULL; i++)
    fault = there_and_back(false);
  if (fault != NULL) /* libsmpp34 has one text of errors */
    return tell("submit_sm of ours is what libsmpp34 reads, and its is what we read", fault);
  for (long i = 0; i < count && of_data == NULL; i++)
    of_data = there_and_back(true);
  for (int i = 0; i < SMALL && of_small == NULL; i++)
    of_small = small_there_and_back(i);
  return tell("submit_sm of ours is what libsmpp34 reads, and its is what we read", fault) +
             tell("data_sm of ours is what libsmpp34 reads, and its is what we read", of_data) +
             tell("the other PDUs of ours are those of libsmpp34, octet by octet", of_small) ==
         0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
