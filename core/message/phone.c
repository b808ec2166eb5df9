#include "phone.h"
#include "core/base/buf.h"
#include "core/base/text.h"
#include <string.h>

#define EXAMPLE "it must start with '+' and the country code, as +34600111222"
#define COUNTRY_HINT "defaults.country in the configuration (such as ES) gives national formats and letters a meaning"

static bool byte_is_digit(char byte)
{
  return byte >= '0' && byte <= '9';
}

static bool byte_is_letter(char byte)
{
  return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
}

static bool text_has_digit(parley_text text)
{
  for (size_t i = 0; i < text.len; i++)
    if (byte_is_digit(text.at[i]))
      return true;
  return false;
}

bool phone_is_short_code(parley_text text)
{
  for (size_t i = 0; i < text.len; i++)
    if (!byte_is_digit(text.at[i]))
      return false;
  return text.len >= PHONE_SHORT_MIN && text.len <= PHONE_SHORT_MAX;
}

/* --- What is seen alike becomes alike ------------------------------------------------------------------------------- */

/* What telephones put around a number that is copied: marks of direction and joints, none of them seen. */
static bool code_is_unseen(uint32_t code)
{
  return code == 0xad || (code >= 0x200b && code <= 0x200f) || (code >= 0x202a && code <= 0x202e) ||
         (code >= 0x2060 && code <= 0x2069) || code == 0xfeff;
}

/* The digit 0 of each script that has digits of its own; nine more follow it. */
static const uint16_t zeros[] = {0x660,  0x6f0,  0x7c0,  0x966,  0x9e6,  0xa66,  0xae6,  0xb66,  0xbe6,  0xc66,  0xce6,  0xd66,
                                 0xde6,  0xe50,  0xed0,  0xf20,  0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90,
                                 0x1b50, 0x1bb0, 0x1c40, 0x1c50, 0xa620, 0xa8d0, 0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0};

/* 0: it has no twin in ASCII. */
static char code_plain(uint32_t code)
{
  for (size_t i = 0; code >= 0x80 && i < sizeof zeros / sizeof zeros[0]; i++)
    if (code >= zeros[i] && code <= zeros[i] + 9U)
      return (char)('0' + (code - zeros[i]));
  if (code < 0x80)
    return (char)code;
  if (code >= 0xff01 && code <= 0xff5e) /* full width */
    return (char)(code - 0xff01 + '!');
  if (code == 0xa0 || (code >= 0x2000 && code <= 0x200a) || code == 0x202f || code == 0x3000)
    return ' ';
  return (code >= 0x2010 && code <= 0x2015) || code == 0x2212 ? '-' : 0;
}

static void buf_plain(struct buf *buf, parley_text text)
{
  for (size_t i = 0; i < text.len;) {
    size_t from = i;
    uint32_t code = text_utf8_next(text, &i);
    char plain = code_plain(code);

    if (plain != 0)
      buf_char(buf, plain);
    else if (!code_is_unseen(code))
      buf_text(buf, text_sub(text, from, i - from));
  }
}

/* --- '+' and digits ------------------------------------------------------------------------------------------------- */

static bool byte_is_separator(char byte)
{
  return byte == ' ' || byte == '-' || byte == '.' || byte == '(' || byte == ')';
}

enum strict { STRICT_OK, STRICT_OTHER /* a plan may know better */, STRICT_BAD };

static enum strict strict_read(parley_text number, char ret[PHONE_ROOM], const char **reterr_why)
{
  size_t len = 1;

  if (!text_starts(number, "+")) {
    *reterr_why = EXAMPLE;
    return STRICT_OTHER;
  }
  if (text_find_text(number, PARLEY_LIT("(0)")) != SIZE_MAX) {
    *reterr_why = "leave out the (0): it is not dialled from abroad";
    return STRICT_OTHER;
  }
  ret[0] = '+';
  for (size_t i = 1; i < number.len; i++) {
    char byte = number.at[i];

    if (byte_is_separator(byte))
      continue;
    if (!byte_is_digit(byte)) {
      *reterr_why = "only digits and the separators space - . ( ) may follow the '+'";
      return STRICT_OTHER;
    }
    if (len == PHONE_ROOM - 1) {
      *reterr_why = "it has more than 15 digits";
      return STRICT_BAD;
    }
    ret[len++] = byte;
  }
  ret[len] = '\0';
  *reterr_why = "it needs a country code and at least 7 digits in all";
  return len - 1 >= PHONE_DIGITS_MIN && ret[1] != '0' ? STRICT_OK : STRICT_BAD;
}

/* --- tel: (RFC 3966) ------------------------------------------------------------------------------------------------ */

/* Cuts "tel:" and the parameters off; what they say of an ISDN terminal is of no use here. */
static bool tel_cut(parley_text *number, bool has_plan, const char **reterr_why)
{
  parley_text rest, parameter;

  if (!text_is_nocase(text_sub(*number, 0, 4), "tel:"))
    return true;
  rest = text_sub(*number, 4, SIZE_MAX);
  *number = text_cut(&rest, ';');
  while (rest.len > 0) {
    parameter = text_cut(&rest, ';');
    parameter.len = text_find(parameter, '=');
    if (text_is_nocase(parameter, "ext")) {
      *reterr_why = "it has an extension, to which nothing can be sent: write the number alone";
      return false;
    }
    if (text_is_nocase(parameter, "phone-context") && !text_starts(*number, "+")) {
      *reterr_why = has_plan ? "a local number of a phone-context is not taken: write it as +34600111222" : EXAMPLE;
      return false;
    }
  }
  return true;
}

/* --- What a plan knows ---------------------------------------------------------------------------------------------- */

/* A plan's reader looks for a number in a text; here a text is a number, or it is refused. Letters stand for digits ("FLOWERS")
 * when they are a word, at least three of them. */
static bool text_is_all_number(parley_text text)
{
  size_t letters = 0;

  for (size_t i = 0; i < text.len; i++) {
    char byte = text.at[i];

    letters += byte_is_letter(byte);
    if (!byte_is_digit(byte) && !byte_is_letter(byte) && !byte_is_separator(byte) &&
        byte != '/' && byte != '~' /* "8~10": a second dial tone is waited for */ && (byte != '+' || i > 0))
      return false;
  }
  return !byte_is_letter(text.at[0]) && (letters == 0 || letters >= 3);
}

static const char *verdict_words(enum phone_verdict verdict)
{
  switch (verdict) {
  case PHONE_TOO_SHORT:
    return "it is too short for a number of its country";
  case PHONE_TOO_LONG:
    return "it is too long for a number of its country";
  case PHONE_BAD_LENGTH:
    return "no number of its country has so many digits";
  case PHONE_NO_AREA:
    return "its area code is missing";
  case PHONE_BAD_COUNTRY:
    return "no country has this code; write it with '+' and the country code, as +34600111222";
  case PHONE_EXTENSION:
    return "it has an extension, to which nothing can be sent: write the number alone";
  case PHONE_OK:
  case PHONE_NO_NUMBER:
    break;
  }
  return "it is no telephone number; write it with '+' and the country code, as +34600111222";
}

static bool plan_ask(const struct phone_plan *plan, parley_text number, char ret[PHONE_ROOM], const char **reterr_why)
{
  char read[PHONE_ROOM];
  enum phone_verdict verdict = plan->read(number.at, number.len, plan->country, read);

  if (verdict == PHONE_OK && !text_is_all_number(number))
    verdict = PHONE_NO_NUMBER;
  if (verdict == PHONE_OK && strict_read(parley_text_of(read), ret, reterr_why) != STRICT_OK)
    verdict = PHONE_TOO_SHORT; /* some countries have numbers that are shorter than what we take for one */
  *reterr_why = verdict_words(verdict);
  return verdict == PHONE_OK;
}

/* --- The whole ------------------------------------------------------------------------------------------------------ */

static bool plain_read(const struct phone_plan *plan, parley_text number, char ret[PHONE_ROOM], const char **reterr_why,
                       const char **reterr_hint)
{
  bool has_plan = plan != NULL && plan->read != NULL;
  enum strict strict;

  if (!tel_cut(&number, has_plan, reterr_why))
    return false;
  strict = strict_read(number, ret, reterr_why);
  if (strict != STRICT_OTHER)
    return strict == STRICT_OK;
  if (has_plan && number.len > 0)
    return plan_ask(plan, number, ret, reterr_why);
  if (text_has_digit(number))
    *reterr_hint = COUNTRY_HINT;
  return false;
}

bool phone_normalise(const struct phone_plan *plan, parley_text raw, struct arena *arena, parley_text *ret, const char **reterr_why,
                     const char **reterr_hint)
{
  struct buf plain = BUF_INIT(PHONE_RAW_BYTES_MAX);
  parley_text number = text_trim(raw);
  char read[PHONE_ROOM];
  bool good;

  *reterr_hint = NULL;
  if (number.len > PHONE_RAW_BYTES_MAX || !text_utf8_ok(number)) {
    *reterr_why = number.len > PHONE_RAW_BYTES_MAX ? "it is longer than 128 bytes" : "it is not UTF-8";
    return false;
  }
  if (strict_read(number, read, reterr_why) != STRICT_OK) {
    buf_plain(&plain, number);
    good = plain_read(plan, text_trim(buf_as_text(&plain)), read, reterr_why, reterr_hint);
    buf_done(&plain);
    if (!good)
      return false;
  }
  *ret = arena_text(arena, parley_text_of(read));
  return true;
}
