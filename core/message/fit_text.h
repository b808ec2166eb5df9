/* fit_text.h - measures text in a channel's unit and cuts it where it may be cut: never within a code point, a surrogate pair,
 * a GSM escape, or what a person sees as one character (in the main cases of UAX 29). Pure. Thread: any. */
#ifndef CORE_MESSAGE_FIT_TEXT_H
#define CORE_MESSAGE_FIT_TEXT_H
#include <parley/plugin.h>
#include <stdbool.h>

/* Units of one code point in a PARLEY_UNIT_*; 0 where the unit's alphabet lacks it. An unknown unit counts code points. */
uint32_t code_units(uint32_t code, uint32_t unit);
/* Does the unit's alphabet have all of the text? Only GSM7 ever says no. */
bool text_unit_holds(parley_text text, uint32_t unit);
/* Whole length in units; stops counting at `enough`. */
size_t text_units(parley_text text, uint32_t unit, size_t enough);
/* Bytes of the longest start of the text that has at most units_max units. words: rather behind a line or a word of its second
 * half. 0 only when the text is empty or its first code point is too long. */
size_t text_units_cut(parley_text text, uint32_t unit, size_t units_max, bool words);
#endif
