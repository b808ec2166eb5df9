// sources: plugins/smpp/smpp_wire.c plugins/smpp/smpp_status.c plugins/smpp/smpp_text.c plugins/common/gsm_text.c
/* What a message centre may send: nothing is read outside of a PDU, whatever is read stands within it, and what was read as a message
 * is written again as the same one. */
#include "smpp/smpp_status.h"
#include "smpp/smpp_text.h"
#include "smpp/smpp_wire.h"
#include <assert.h>
#include <stdlib.h>

static bool within(parley_text part, parley_bytes pdu)
{
  return part.len == 0 || (part.at >= pdu.at && part.at + part.len <= pdu.at + pdu.len);
}

static bool same(parley_text a, parley_text b) { return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0); }

static void check_text(const struct smpp_message *message, parley_bytes pdu)
{
  struct smpp_text text;

  smpp_text_read(message, GSM_DEFAULT, &text);
  assert(within(text.octets, pdu));
  assert(text.join.total == 0 || (text.join.index >= 1 && text.join.index <= text.join.total && text.join.total >= 2));
}

static void check_again(const struct smpp_message *message, uint32_t command)
{
  static char octets[SMPP_PDU_MAX];
  struct smpp_out out = {octets, sizeof octets, 0};
  struct smpp_message again;

  if (!smpp_put_message(&out, command, 1, message)) /* a string in a parameter may hold no NUL before its end */
    return;
  assert(smpp_message_read((parley_bytes){out.at, out.len}, &again) == SMPP_ROK);
  assert(again.tlvs.has == message->tlvs.has && same(again.text, message->text) && same(again.source.value, message->source.value));
  assert(same(again.tlvs.payload, message->tlvs.payload) && same(again.destination.value, message->destination.value));
}

static void check_pdu(parley_bytes pdu, const struct smpp_head *head)
{
  struct smpp_message message;
  struct smpp_response response;

  if (smpp_message_read(pdu, &message) == SMPP_ROK) {
    assert(within(message.text, pdu) && within(message.tlvs.payload, pdu) && within(message.tlvs.receipted_id, pdu));
    assert(message.service.len <= SMPP_SERVICE_MAX && message.validity.len <= SMPP_TIME_MAX);
    assert(message.source.value.len <= SMPP_DATA_ADDRESS_MAX && message.text.len <= SMPP_SHORT_MAX);
    check_text(&message, pdu);
    check_again(&message, head->command == SMPP_DATA_SM ? SMPP_DATA_SM : SMPP_DELIVER_SM);
  }
  if (smpp_response_read(pdu, &response) == SMPP_ROK)
    assert(within(response.id, pdu) && response.id.len <= SMPP_ID_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  parley_bytes bytes = {(const char *)data, size};
  struct smpp_head head;

  while (bytes.len > 0 && smpp_head_read(bytes, &head) == SMPP_FOUND_PDU) {
    char *pdu = malloc(head.length); /* of its own, so that a read beyond is seen */

    assert(pdu != NULL && head.length >= SMPP_HEAD_BYTES && head.length <= bytes.len);
    memcpy(pdu, bytes.at, head.length);
    check_pdu((parley_bytes){pdu, head.length}, &head);
    free(pdu);
    bytes.at += head.length;
    bytes.len -= head.length;
  }
  return 0;
}
