/* locale.h - is this a language tag, a time zone, a country: for values that a person or a program wrote down. Owns nothing.
 * Thread: any; timezone_ok() and the countries look at files of tzdata. */
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
/* A country of ISO 3166-1 by its two capital letters, "ES"; without tzdata any two. */
bool country_ok(parley_text text);
/* What somebody may have meant who wrote "es", "Spain" or "UK": "ES (Spain)". false: no idea. */
#define COUNTRY_MEANT_MAX 128
bool country_meant(parley_text text, char ret[COUNTRY_MEANT_MAX]);
#endif
