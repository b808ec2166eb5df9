/* segments.h - what a fitted text is as SMS: its alphabet, the segments that the network carries it in, and what the channel says that
 * they cost. By 3GPP TS 23.038 and TS 23.040 section 9.2.3.24.1: 160 septets or 70 UTF-16 units alone, 153 or 67 of several. Pure.
 * Thread: any. */
#ifndef CORE_MESSAGE_SEGMENTS_H
#define CORE_MESSAGE_SEGMENTS_H
#include "fit.h"

struct segments {
  uint32_t unit; /* PARLEY_UNIT_GSM7, or PARLEY_UNIT_UTF16 for UCS-2 */
  size_t count;  /* of all TEXT parts: one each where the channel cuts, else what each part will be cut into; 0: there is no text */
};
struct segments segments_of(const struct fitted *fitted);
/* unit: one of the two above, whose alphabet has the text. */
size_t segments_count(parley_text text, uint32_t unit);
const char *segments_alphabet(uint32_t unit); /* "gsm7" "ucs2" */
/* The entry with the longest prefix of the address; NULL: none. */
const parley_price *price_of(const parley_capabilities *caps, parley_text address);
/* "alphabet":"gsm7","segments":3,"cost":{"amount":"0.225","currency":"EUR","per_segment":"0.075","prefix":"+34"}: members of an object
 * that may have some already. No cost where the channel says none; nothing at all without text. */
void buf_segments(struct buf *buf, const struct segments *segments, const parley_price *price);
#endif
