/* Cutting a text into SMS segments: the first byte chooses the width of the reference and whether typographic characters may become
 * plain. Put together the pieces are the text; none is too long, and all but the last would not take one code point more; an escape or
 * a surrogate pair is in one piece; and a provider that cuts it itself counts the same. */
#include "core/base/text.h"
#include "core/message/fit_text.h"
#include "core/message/segments.h"
#include "core/message/text_plain.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define must(condition) \
  do {                  \
    if (!(condition))   \
      abort();          \
  } while (0)

enum { WIDE = 1, SIMPLIFY = 2 };
#define SMS_TEXT(unit_, alone, joined)                                                                             \
  {                                                                                                                \
    .size = sizeof(parley_feature), .what = PARLEY_PART_TEXT, .level = PARLEY_LEVEL_NATIVE, .unit = (unit_),       \
    .length_max = (alone), .joined_max = (joined), .count_max = FIT_PARTS_MAX                                      \
  }
static const parley_feature narrow[] = {SMS_TEXT(PARLEY_UNIT_GSM7, 160, 153), SMS_TEXT(PARLEY_UNIT_UTF16, 70, 67)};
static const parley_feature wide[] = {SMS_TEXT(PARLEY_UNIT_GSM7, 160, 152), SMS_TEXT(PARLEY_UNIT_UTF16, 70, 66)};

static uint32_t first_units(parley_text text, uint32_t unit)
{
  size_t pos = 0;

  return code_units(text_utf8_next(text, &pos), unit);
}

static void parts_check(const struct fitted *fitted, const parley_feature features[2], struct buf *all)
{
  uint32_t unit = fitted->parts[0]->unit;
  const parley_feature *feature = &features[unit == PARLEY_UNIT_UTF16];

  for (size_t i = 0; i < fitted->n_parts; i++) {
    const parley_part *part = fitted->parts[i];
    size_t units = text_units(part->text, unit, SIZE_MAX), most = fitted->n_parts == 1 ? feature->length_max : feature->joined_max;

    must(part->kind == PARLEY_PART_TEXT && part->unit == unit && part->text.len > 0);
    must(text_utf8_ok(part->text) && text_unit_holds(part->text, unit) && units <= most);
    if (i + 1 < fitted->n_parts)
      must(units + first_units(fitted->parts[i + 1]->text, unit) > most);
    buf_text(all, part->text);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  const parley_text text = {(const char *)data + 1, size > 0 ? size - 1 : 0};
  const parley_feature *features;
  const parley_feature *list[3] = {NULL};
  parley_capabilities caps = {.size = sizeof caps, .features = list};
  const struct content content = {.text = text};
  struct buf all = BUF_INIT(0);
  struct segments segments;
  struct fitted fitted;
  const char *code = NULL;
  struct arena *arena;
  parley_text want = text;

  if (size < 2 || !text_utf8_ok(text))
    return 0;
  features = data[0] & WIDE ? wide : narrow;
  list[0] = &features[0];
  list[1] = &features[1];
  caps.flags = data[0] & SIMPLIFY ? PARLEY_SIMPLIFY : 0;
  arena = arena_new();
  if (fit_content(&content, &caps, arena, NULL, NULL, &fitted, &code) == PARLEY_OK) {
    parts_check(&fitted, features, &all);
    if (!text_eq(buf_as_text(&all), text))
      must((data[0] & SIMPLIFY) && text_plain(text, PARLEY_UNIT_GSM7, arena, &want) && text_eq(buf_as_text(&all), want));
    segments = segments_of(&fitted);
    must(segments.count == fitted.n_parts && segments.unit == fitted.parts[0]->unit);
    if (!(data[0] & WIDE))
      must(segments_count(want, segments.unit) == fitted.n_parts);
  } else {
    must(code != NULL);
  }
  buf_done(&all);
  arena_free(&arena);
  return 0;
}
