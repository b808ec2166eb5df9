#include "fit_text.h"
#include "core/base/text.h"
#include <stdint.h>

enum { CODE_CR = 0x0d, CODE_LF = 0x0a, CODE_ZWJ = 0x200d };

/* GSM 03.38: one septet of the default alphabet, two of the extension table, 0 for neither. */
static uint32_t gsm7_units(uint32_t code)
{
  static const uint16_t one[] = {0xa1,  0xa3,  0xa4,  0xa5,  0xa7,  0xbf,  0xc4,  0xc5,  0xc6, 0xc7,
                                 0xc9,  0xd1,  0xd6,  0xd8,  0xdc,  0xdf,  0xe0,  0xe4,  0xe5, 0xe6,
                                 0xe8,  0xe9,  0xec,  0xf1,  0xf2,  0xf6,  0xf8,  0xf9,  0xfc, 0x393,
                                 0x394, 0x398, 0x39b, 0x39e, 0x3a0, 0x3a3, 0x3a6, 0x3a8, 0x3a9};

  if (code < 0x80) {
    if (code == '[' || code == '\\' || code == ']' || code == '^' || code == '{' || code == '|' || code == '}' ||
        code == '~' || code == '\f')
      return 2;
    return (code >= ' ' && code != '`' && code != 0x7f) || code == CODE_LF || code == CODE_CR ? 1 : 0;
  }
  if (code == 0x20ac) /* the euro sign */
    return 2;
  for (size_t i = 0; i < sizeof(one) / sizeof(one[0]); i++)
    if (one[i] == code)
      return 1;
  return 0;
}

uint32_t code_units(uint32_t code, uint32_t unit)
{
  switch (unit) {
  case PARLEY_UNIT_BYTES:
    return code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  case PARLEY_UNIT_UTF16:
    return code < 0x10000 ? 1 : 2;
  case PARLEY_UNIT_GSM7:
    return gsm7_units(code);
  default: /* code points, and what a newer plugin may know */
    return 1;
  }
}

bool text_unit_holds(parley_text text, uint32_t unit)
{
  if (unit != PARLEY_UNIT_GSM7)
    return true;
  for (size_t pos = 0; pos < text.len;)
    if (gsm7_units(text_utf8_next(text, &pos)) == 0)
      return false;
  return true;
}

size_t text_units(parley_text text, uint32_t unit, size_t enough)
{
  size_t units = 0;

  if (unit == PARLEY_UNIT_BYTES)
    return text.len;
  for (size_t pos = 0; pos < text.len && units < enough;)
    units += code_units(text_utf8_next(text, &pos), unit);
  return units;
}

/* Code points that belong to what stands before them: marks, joiners, selectors, skin tones, tags. */
static bool code_extends(uint32_t code)
{
  static const struct {
    uint32_t from, to;
  } marks[] = {
      {0x300, 0x36f},     {0x483, 0x489},   {0x591, 0x5bd},   {0x610, 0x61a},   {0x64b, 0x65f},   {0x670, 0x670},
      {0x93a, 0x93c},     {0x93e, 0x94f},   {0x9bc, 0x9bc},   {0x9be, 0x9cd},   {0xa3c, 0xa4d},   {0xabc, 0xabc},
      {0xabe, 0xacd},     {0xb3c, 0xb3c},   {0xb3e, 0xb4d},   {0xbbe, 0xbcd},   {0xc3e, 0xc4d},   {0xcbe, 0xccd},
      {0xd3e, 0xd4d},     {0xe31, 0xe31},   {0xe34, 0xe3a},   {0xe47, 0xe4e},   {0x1160, 0x11ff}, {0x1ab0, 0x1aff},
      {0x1dc0, 0x1dff},   {0x200c, 0x200d}, {0x20d0, 0x20f0}, {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f}, {0x1f3fb, 0x1f3ff},
      {0xe0020, 0xe007f},
  };
  size_t low = 0, high = sizeof(marks) / sizeof(marks[0]);

  if (code < marks[0].from)
    return false;
  while (low < high) {
    size_t middle = (low + high) / 2;

    if (code > marks[middle].to)
      low = middle + 1;
    else
      high = middle;
  }
  return low < sizeof(marks) / sizeof(marks[0]) && code >= marks[low].from;
}

static bool code_is_flag(uint32_t code) /* half of a flag: a regional indicator */
{
  return code >= 0x1f1e6 && code <= 0x1f1ff;
}

/* A walk over the text that knows where a character seen as one ends. */
struct walk {
  uint32_t last;
  size_t flags; /* regional indicators in a row, up to `last` */
};

static bool walk_may_break(struct walk *walk, uint32_t next) /* between the last and the next */
{
  bool joined = code_extends(next) || walk->last == CODE_ZWJ || (walk->last == CODE_CR && next == CODE_LF) ||
                (code_is_flag(next) && walk->flags % 2 == 1);

  walk->flags = code_is_flag(next) ? walk->flags + 1 : 0;
  walk->last = next;
  return !joined;
}

/* Where a text may be cut, in bytes from its start; 0: nowhere so far. */
struct cuts {
  size_t code, character, word, line;
};

static size_t cuts_choose(const struct cuts *cuts, bool words)
{
  size_t hard = cuts->character > 0 ? cuts->character : cuts->code;

  if (words && cuts->line > hard / 2)
    return cuts->line;
  if (words && cuts->word > hard / 2)
    return cuts->word;
  return hard;
}

size_t text_units_cut(parley_text text, uint32_t unit, size_t units_max, bool words)
{
  struct cuts cuts = {.code = 0};
  struct walk walk = {.last = 0};
  size_t units = 0;

  for (size_t pos = 0; pos < text.len;) {
    size_t from = pos;
    uint32_t last = walk.last, code = text_utf8_next(text, &pos);

    if (from > 0)
      cuts.code = from;
    if (walk_may_break(&walk, code) && from > 0) {
      cuts.character = from;
      if (last == ' ' || last == '\t')
        cuts.word = from;
      else if (last == CODE_LF)
        cuts.line = cuts.word = from;
    }
    units += code_units(code, unit);
    if (units > units_max)
      return cuts_choose(&cuts, words);
  }
  return text.len;
}
