#include "smpp_text.h"

enum { GROUP_COMPRESSED = 0x20, CLASS_EIGHT_BIT = 0x04 };

/* false: bytes. */
static bool alphabet_of(uint8_t coding, enum gsm_alphabet fallback, enum gsm_alphabet *ret)
{
  static const enum gsm_alphabet general[] = {GSM_DEFAULT, GSM_DEFAULT, GSM_UCS2, GSM_DEFAULT};

  *ret = GSM_DEFAULT;
  switch (coding) {
  case 0: *ret = fallback; return true;
  case 1: *ret = GSM_ASCII; return true;
  case 3: *ret = GSM_LATIN1; return true;
  case 6: *ret = GSM_CYRILLIC; return true;
  case 7: *ret = GSM_HEBREW; return true;
  case 8: *ret = GSM_UCS2; return true;
  default: break;
  }
  if (coding >= 0x10 && coding < 0x40) { /* general data coding, with a message class */
    *ret = general[coding >> 2 & 3];
    return (coding & GROUP_COMPRESSED) == 0 && (coding >> 2 & 3) != 1;
  }
  if (coding >= 0xe0 && coding < 0xf0)
    *ret = GSM_UCS2;
  return (coding >= 0xc0 && coding < 0xf0) || (coding >= 0xf0 && (coding & CLASS_EIGHT_BIT) == 0);
}

static void sar_read(const struct smpp_tlvs *tlvs, struct smpp_join *ret)
{
  uint32_t total = tlvs->number[SMPP_TLV_SAR_TOTAL], index = tlvs->number[SMPP_TLV_SAR_INDEX];

  if (!smpp_has(tlvs, SMPP_TLV_SAR_REFERENCE) || index == 0 || index > total)
    return;
  *ret = (struct smpp_join){.reference = tlvs->number[SMPP_TLV_SAR_REFERENCE], .index = index, .total = total, .width = 2};
}

void smpp_text_read(const struct smpp_message *message, enum gsm_alphabet fallback, struct smpp_text *ret)
{
  bool ports;

  *ret = (struct smpp_text){.octets = message->text};
  if (message->text.len == 0 && smpp_has(&message->tlvs, SMPP_TLV_PAYLOAD))
    ret->octets = message->tlvs.payload;
  smpp_header_take(message->esm_class, &ret->octets, &ret->join, &ports);
  if (ret->join.total == 0)
    sar_read(&message->tlvs, &ret->join);
  if (ret->join.total == 1)
    ret->join = (struct smpp_join){0};
  ret->binary = !alphabet_of(message->coding, fallback, &ret->alphabet) || ports;
}
