#include "fit_text.h"
#include "core/base/text.h"
#include <stdint.h>
#include <string.h>

enum { CODE_CR = 0x0d, CODE_LF = 0x0a, CODE_ZWJ = 0x200d };

/* GSM 03.38, 3GPP TS 23.038 section 6.2.1: septets of each code point up to U+00FF, one row of sixteen a line. */
static const char gsm7_latin[] = "0000000000102100" /* LF FF CR */
                                 "0000000000000000"
                                 "1111111111111111" /* to / */
                                 "1111111111111111" /* 0-9 */
                                 "1111111111111111" /* @ A-O */
                                 "1111111111122221" /* P-Z, [ \\ ] ^ of the extension table, _ */
                                 "0111111111111111" /* no ` */
                                 "1111111111122220" /* { | } ~ */
                                 "0000000000000000"
                                 "0000000000000000"
                                 "0101110100000000" /* inverted !, pound, currency, yen, section */
                                 "0000000000000001" /* inverted ? */
                                 "0000111101000000" /* A umlaut, A ring, AE, C cedilla, E acute */
                                 "0100001010001001" /* N tilde, O umlaut, O stroke, U umlaut, sharp s */
                                 "1000111011001000" /* a grave, a umlaut, a ring, ae, e grave, e acute, i grave */
                                 "0110001011001000" /* n tilde, o grave, o umlaut, o stroke, u grave, u umlaut */;

/* One septet of the default alphabet, two of the extension table, 0 for neither. */
static inline uint32_t gsm7_units(uint32_t code)
{
  if (code < sizeof(gsm7_latin) - 1)
    return (uint32_t)(gsm7_latin[code] - '0');
  switch (code) {
  case 0x393: case 0x394: case 0x398: case 0x39b: case 0x39e: /* the Greek capitals that don't look Latin */
  case 0x3a0: case 0x3a3: case 0x3a6: case 0x3a8: case 0x3a9:
    return 1;
  case 0x20ac: /* the euro sign */
    return 2;
  default:
    return 0;
  }
}

static bool is_tail(char byte) /* of a code point */
{
  return ((unsigned char)byte & 0xc0) == 0x80;
}

/* text_utf8_next(), with most of all texts at once: ASCII, and what takes two or three bytes and can't be overlong or a surrogate. */
static inline uint32_t code_next(parley_text text, size_t *pos)
{
  const char *at = text.at + *pos;
  uint32_t first = (unsigned char)at[0], code;
  size_t left = text.len - *pos, rare = *pos; /* a copy: the caller's may stay in a register */

  if (first < 0x80) {
    *pos += 1;
    return first;
  }
  if (first >= 0xc2 && first < 0xe0 && left >= 2 && is_tail(at[1])) {
    *pos += 2;
    return (first & 0x1f) << 6 | ((unsigned char)at[1] & 0x3f);
  }
  if (first > 0xe0 && first < 0xed && left >= 3 && is_tail(at[1]) && is_tail(at[2])) {
    *pos += 3;
    return (first & 0x0f) << 12 | ((uint32_t)(unsigned char)at[1] & 0x3f) << 6 | ((unsigned char)at[2] & 0x3f);
  }
  code = text_utf8_next(text, &rare);
  *pos = rare;
  return code;
}

static inline uint32_t units_of(uint32_t code, uint32_t unit)
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

uint32_t code_units(uint32_t code, uint32_t unit)
{
  return units_of(code, unit);
}

enum { EIGHT = 8 };

/* Are the next eight bytes eight code points of one unit each? Most are. */
static inline bool is_eight(parley_text text, size_t pos, uint32_t unit)
{
  const unsigned char *at = (const unsigned char *)text.at + pos;
  uint64_t word;

  if (text.len - pos < sizeof word)
    return false;
  memcpy(&word, at, sizeof word);
  if ((word & UINT64_C(0x8080808080808080)) != 0)
    return false;
  return unit != PARLEY_UNIT_GSM7 ||
         (gsm7_latin[at[0]] & gsm7_latin[at[1]] & gsm7_latin[at[2]] & gsm7_latin[at[3]] & gsm7_latin[at[4]] & gsm7_latin[at[5]] &
          gsm7_latin[at[6]] & gsm7_latin[at[7]]) == '1'; /* a '0' or a '2' leaves '0' of it */
}

/* One code point; true: behind it the next eight are worth a look, as they are not before what has just stopped them. */
static inline bool step(parley_text text, size_t *pos, uint32_t unit, size_t *ret_units)
{
  uint32_t code = code_next(text, pos);

  *ret_units = units_of(code, unit);
  return code >= 0x80 || (unit == PARLEY_UNIT_GSM7 && *ret_units != 1);
}

size_t text_unit_span(parley_text text, uint32_t unit)
{
  size_t pos = 0, units, from;
  bool look = true;

  if (unit != PARLEY_UNIT_GSM7)
    return text.len;
  while (pos < text.len) {
    if (look && is_eight(text, pos, PARLEY_UNIT_GSM7)) {
      pos += EIGHT;
      continue;
    }
    from = pos;
    look = step(text, &pos, PARLEY_UNIT_GSM7, &units);
    if (units == 0)
      return from;
  }
  return pos;
}

bool text_unit_holds(parley_text text, uint32_t unit)
{
  return text_unit_span(text, unit) == text.len;
}

/* The walks below are made for each unit apart: the compiler then knows it in their loop. */
static inline size_t units_count(parley_text text, uint32_t unit, size_t enough)
{
  size_t units = 0, one;
  bool look = true;

  for (size_t pos = 0; pos < text.len && units < enough;) {
    if (look && is_eight(text, pos, unit)) {
      pos += EIGHT;
      units += EIGHT;
      continue;
    }
    look = step(text, &pos, unit, &one);
    units += one;
  }
  return units;
}

size_t text_units(parley_text text, uint32_t unit, size_t enough)
{
  switch (unit) {
  case PARLEY_UNIT_BYTES:
    return text.len;
  case PARLEY_UNIT_GSM7:
    return units_count(text, PARLEY_UNIT_GSM7, enough);
  case PARLEY_UNIT_UTF16:
    return units_count(text, PARLEY_UNIT_UTF16, enough);
  default:
    return units_count(text, unit, enough);
  }
}

/* One piece from *pos on, which goes behind it: its units. False: the alphabet lacks a code point. */
static inline bool piece_fill(parley_text text, uint32_t unit, size_t units_max, size_t *pos, size_t *ret_units)
{
  size_t units = 0, at = *pos, one, from;
  bool look = true;

  while (at < text.len) {
    if (look && units + EIGHT <= units_max && is_eight(text, at, unit)) {
      at += EIGHT;
      units += EIGHT;
      continue;
    }
    from = at;
    look = step(text, &at, unit, &one);
    if (one == 0)
      return false;
    if (units + one > units_max) {
      at = from;
      break;
    }
    units += one;
  }
  *pos = at;
  *ret_units = units;
  return true;
}

/* Each unit apart, as above. */
static bool piece_next(parley_text text, uint32_t unit, size_t units_max, size_t *pos, size_t *ret_units)
{
  switch (unit) {
  case PARLEY_UNIT_GSM7:
    return piece_fill(text, PARLEY_UNIT_GSM7, units_max, pos, ret_units);
  case PARLEY_UNIT_UTF16:
    return piece_fill(text, PARLEY_UNIT_UTF16, units_max, pos, ret_units);
  default:
    return piece_fill(text, unit, units_max, pos, ret_units);
  }
}

bool text_pieces(parley_text text, uint32_t unit, size_t units_max, size_t n_max, struct pieces *ret)
{
  size_t n = 0, all = 0, pos = 0, units, from;

  for (; pos < text.len && n < n_max; n++) {
    from = pos;
    if (!piece_next(text, unit, units_max, &pos, &units))
      return false;
    if (pos == from)
      break; /* one code point is too long already */
    all += units;
    if (ret->ends != NULL)
      ret->ends[n] = pos;
  }
  ret->n = n;
  ret->units = all;
  ret->whole = pos == text.len;
  return ret->whole || text_unit_holds(text_sub(text, pos, SIZE_MAX), unit);
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

static size_t cuts_choose(const struct cuts *cuts)
{
  size_t hard = cuts->character > 0 ? cuts->character : cuts->code;

  if (cuts->line > hard / 2)
    return cuts->line;
  return cuts->word > hard / 2 ? cuts->word : hard;
}

size_t text_units_cut(parley_text text, uint32_t unit, size_t units_max)
{
  struct cuts cuts = {.code = 0};
  struct walk walk = {.last = 0};
  size_t units = 0;

  for (size_t pos = 0; pos < text.len;) {
    size_t from = pos;
    uint32_t last = walk.last, code = code_next(text, &pos);

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
      return cuts_choose(&cuts);
  }
  return text.len;
}
