#include "segments.h"
#include "core/base/text.h"
#include "fit_text.h"
#include <inttypes.h>

#define PRICE_MICROS_MAX (INT64_C(1000000) * 1000000) /* a million for one text is no price */

enum { GSM7_ALONE = 160, GSM7_JOINED = 153, UCS2_ALONE = 70, UCS2_JOINED = 67, MICROS = 1000000, MICROS_DIGITS = 6, CENTS_DIGITS = 2 };

size_t segments_count(parley_text text, uint32_t unit)
{
  size_t alone = unit == PARLEY_UNIT_GSM7 ? GSM7_ALONE : UCS2_ALONE, joined = unit == PARLEY_UNIT_GSM7 ? GSM7_JOINED : UCS2_JOINED;
  struct pieces pieces = {.ends = NULL};

  if (text_units(text, unit, alone + 1) <= alone)
    return 1;
  return text_pieces(text, unit, joined, SIZE_MAX, &pieces) ? pieces.n : 0;
}

static uint32_t part_unit(const parley_part *part)
{
  if (part->unit == PARLEY_UNIT_GSM7 || part->unit == PARLEY_UNIT_UTF16)
    return part->unit;
  return text_unit_holds(part->text, PARLEY_UNIT_GSM7) ? PARLEY_UNIT_GSM7 : PARLEY_UNIT_UTF16;
}

struct segments segments_of(const struct fitted *fitted)
{
  struct segments segments = {.unit = PARLEY_UNIT_GSM7};

  for (size_t i = 0; i < fitted->n_parts; i++) {
    const parley_part *part = fitted->parts[i];
    uint32_t unit;

    if (part->kind != PARLEY_PART_TEXT)
      continue;
    unit = part_unit(part);
    segments.count += segments_count(part->text, unit);
    if (unit == PARLEY_UNIT_UTF16)
      segments.unit = unit;
  }
  return segments;
}

const char *segments_alphabet(uint32_t unit)
{
  return unit == PARLEY_UNIT_GSM7 ? "gsm7" : "ucs2";
}

const parley_price *price_of(const parley_capabilities *caps, parley_text address)
{
  const parley_price *best = NULL;
  size_t best_len = 0;

  if (!PARLEY_HAS(parley_capabilities, caps, prices) || caps->prices == NULL)
    return NULL;
  for (const parley_price *const *each = caps->prices; *each != NULL; each++) {
    parley_text prefix = parley_text_of((*each)->prefix);

    if ((*each)->micros < 0 || (*each)->micros > PRICE_MICROS_MAX)
      continue;
    if (text_starts(address, (*each)->prefix != NULL ? (*each)->prefix : "") && (best == NULL || prefix.len > best_len)) {
      best = *each;
      best_len = prefix.len;
    }
  }
  return best;
}

/* "0.225", "1.50": at least two digits behind the point, six at most. */
static void buf_micros(struct buf *buf, const char *key, int64_t micros)
{
  int64_t rest = micros % MICROS;
  int digits = MICROS_DIGITS;

  while (digits > CENTS_DIGITS && rest % 10 == 0) {
    rest /= 10;
    digits--;
  }
  buf_json_key(buf, key);
  buf_printf(buf, "\"%" PRId64 ".%0*" PRId64 "\"", micros / MICROS, digits, rest);
}

void buf_segments(struct buf *buf, const struct segments *segments, const parley_price *price)
{
  if (segments->count == 0)
    return;
  buf_json_key(buf, "alphabet");
  buf_json_str(buf, segments_alphabet(segments->unit));
  buf_json_key(buf, "segments");
  buf_uint(buf, segments->count);
  if (price == NULL)
    return;
  buf_json_key(buf, "cost");
  buf_char(buf, '{');
  buf_micros(buf, "amount", price->micros * (int64_t)segments->count);
  buf_json_key(buf, "currency");
  buf_json_str(buf, price->currency != NULL ? price->currency : "");
  buf_micros(buf, "per_segment", price->micros);
  buf_json_key(buf, "prefix");
  buf_json_str(buf, price->prefix != NULL ? price->prefix : "");
  buf_char(buf, '}');
}
