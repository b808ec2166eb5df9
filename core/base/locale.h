/* locale.h - is this a language tag, is this a time zone: for values that a person or a program wrote down. Owns nothing.
 * Thread: any; timezone_ok() looks at a file. */
#ifndef CORE_BASE_LOCALE_H
#define CORE_BASE_LOCALE_H
#include "text.h"

#define LOCALE_BYTES_MAX 64
#define TIMEZONE_BYTES_MAX 64

/* The shape of BCP 47: "es", "pt-BR", "zh-Hant-TW", "en-GB-oxendict", "de-DE-u-co-phonebk". Whether its parts are registered
 * isn't looked up. */
bool locale_ok(parley_text text);
/* A name of the IANA database as the machine has it, case and all: "Europe/Madrid", "UTC". On a machine without tzdata any name
 * of that shape is taken: nobody can tell. */
bool timezone_ok(parley_text text);
#endif
