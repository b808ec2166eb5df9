/* fit_text.h - measures text in a channel's unit and cuts it where it may be cut: never within a code point, and so never within
 * a surrogate pair or a GSM escape. Pure. Thread: any. */
#ifndef CORE_MESSAGE_FIT_TEXT_H
#define CORE_MESSAGE_FIT_TEXT_H
#include <parley/plugin.h>
#include <stdbool.h>

/* Units of one code point in a PARLEY_UNIT_*; 0 where the unit's alphabet lacks it. An unknown unit counts code points. */
uint32_t code_units(uint32_t code, uint32_t unit);
/* Bytes of the longest start of the text that the unit's alphabet has. */
size_t text_unit_span(parley_text text, uint32_t unit);
/* Does the unit's alphabet have all of the text? Only GSM7 ever says no. */
bool text_unit_holds(parley_text text, uint32_t unit);
/* Whole length in units; stops counting at `enough` or a few units behind it. */
size_t text_units(parley_text text, uint32_t unit, size_t enough);
/* A text in pieces that the receiver joins again: each filled to the last unit, so that what a person sees as one character may come
 * in two of them. */
struct pieces {
  size_t *ends; /* the caller's room, or NULL: in bytes from the start of the text, where each piece ends */
  size_t n, units; /* how many, and what they have together */
  bool whole;      /* all of the text is in them: not with more pieces than n_max, or a code point larger than one */
};
/* False: the unit's alphabet lacks a code point. ret->ends: room for n_max, the rest is filled in. */
bool text_pieces(parley_text text, uint32_t unit, size_t units_max, size_t n_max, struct pieces *ret);
/* A piece that stands alone: bytes of the longest start of the text that has at most units_max units, but rather behind a line or a
 * word of the second half, and never within what a person sees as one character (in the main cases of UAX 29), unless nothing else is
 * left. 0 only when the text is empty or its first code point is too long. */
size_t text_units_cut(parley_text text, uint32_t unit, size_t units_max);
#endif
