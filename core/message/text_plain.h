/* text_plain.h - typographic characters and the plain ones that stand for them in a small alphabet: quotes, dashes, dots, spaces,
 * bullets, and what is not seen at all. Letters keep their accents. Pure. Thread: any.
 *
 * After Unicode's CLDR transform Latin-ASCII (release 41) where that has the character, but for guillemets, which it doubles, and low
 * double quotes, which it makes two commas; what it lacks as people type it. What nobody sees (format characters) becomes nothing. The
 * middle dot stays: in Catalan it is part of a word. */
#ifndef CORE_MESSAGE_TEXT_PLAIN_H
#define CORE_MESSAGE_TEXT_PLAIN_H
#include "core/base/arena.h"
#include <stdbool.h>

/* "" when it vanishes; NULL: it is no typographic character. */
const char *code_plain(uint32_t code);
/* False: the unit's alphabet has all of the text, or would not have it in plain characters either; *ret stays. */
bool text_plain(parley_text text, uint32_t unit, struct arena *arena, parley_text *ret);
#endif
