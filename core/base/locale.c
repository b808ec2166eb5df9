#include "locale.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --- Locales -------------------------------------------------------------------------------------------------------- */

static bool byte_is_letter(char byte)
{
  return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
}

static bool byte_is_digit(char byte)
{
  return byte >= '0' && byte <= '9';
}

static bool subtag_is_letters(parley_text subtag, size_t least, size_t most)
{
  for (size_t i = 0; i < subtag.len; i++)
    if (!byte_is_letter(subtag.at[i]))
      return false;
  return subtag.len >= least && subtag.len <= most;
}

static bool subtag_is_plain(parley_text subtag, size_t least, size_t most)
{
  for (size_t i = 0; i < subtag.len; i++)
    if (!byte_is_letter(subtag.at[i]) && !byte_is_digit(subtag.at[i]))
      return false;
  return subtag.len >= least && subtag.len <= most;
}

static bool subtag_is_region(parley_text subtag)
{
  return subtag_is_letters(subtag, 2, 2) || (subtag.len == 3 && byte_is_digit(subtag.at[0]) && byte_is_digit(subtag.at[1]) &&
                                             byte_is_digit(subtag.at[2]));
}

static bool subtag_is_variant(parley_text subtag)
{
  return subtag_is_plain(subtag, 5, 8) || (subtag_is_plain(subtag, 4, 4) && byte_is_digit(subtag.at[0]));
}

/* "u-co-phonebk", "x-shop": a letter of its own and at least one subtag behind it, to the end of the tag. */
static bool extensions_ok(parley_text subtag, parley_text rest)
{
  bool is_private = false;

  while (subtag_is_plain(subtag, 1, 1)) {
    is_private |= subtag.at[0] == 'x' || subtag.at[0] == 'X';
    subtag = text_cut(&rest, '-');
    if (!subtag_is_plain(subtag, is_private ? 1 : 2, 8))
      return false;
    while (subtag_is_plain(subtag, is_private ? 1 : 2, 8))
      subtag = text_cut(&rest, '-');
  }
  return subtag.len == 0 && rest.len == 0;
}

bool locale_ok(parley_text text)
{
  parley_text rest = text, subtag = text_cut(&rest, '-');

  if (text.len > LOCALE_BYTES_MAX || text_ends(text, "-") || !subtag_is_letters(subtag, 2, 3))
    return false;
  subtag = text_cut(&rest, '-');
  for (int i = 0; i < 3 && subtag_is_letters(subtag, 3, 3); i++)
    subtag = text_cut(&rest, '-');
  if (subtag_is_letters(subtag, 4, 4))
    subtag = text_cut(&rest, '-');
  if (subtag_is_region(subtag))
    subtag = text_cut(&rest, '-');
  while (subtag_is_variant(subtag))
    subtag = text_cut(&rest, '-');
  return extensions_ok(subtag, rest);
}

/* --- Time zones ----------------------------------------------------------------------------------------------------- */

#define ZONES "/usr/share/zoneinfo"
#define ZONE_MAGIC "TZif" /* what a compiled zone begins with: RFC 8536 */

/* In that folder, but no names of the database: other builds of the same zones, and links of this machine. */
static const char *const not_zones[] = {"posix/", "right/", "posixrules", "localtime"};

/* Parts of letters, digits, _ + and -, with one / between them: no dot, so no way out of the folder. */
static bool zone_shape_ok(parley_text text)
{
  char before = '/';

  for (size_t i = 0; i < text.len; i++) {
    char byte = text.at[i];

    if (byte == '/' ? before == '/' : !byte_is_letter(byte) && !byte_is_digit(byte) && memchr("_+-", byte, 3) == NULL)
      return false;
    before = byte;
  }
  for (size_t i = 0; i < sizeof(not_zones) / sizeof(not_zones[0]); i++)
    if (text_starts(text, not_zones[i]))
      return false;
  return before != '/' && text.len <= TIMEZONE_BYTES_MAX;
}

bool timezone_ok(parley_text text)
{
  char path[sizeof(ZONES) + 1 + TIMEZONE_BYTES_MAX] = ZONES "/", magic[sizeof(ZONE_MAGIC) - 1];
  bool is_zone;
  int fd;

  if (!zone_shape_ok(text) || parley_text_is(text, "UTC") || access(ZONES, F_OK) != 0)
    return zone_shape_ok(text);
  memcpy(path + sizeof(ZONES), text.at, text.len);
  fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  is_zone = fd >= 0 && read(fd, magic, sizeof(magic)) == (ssize_t)sizeof(magic) && memcmp(magic, ZONE_MAGIC, sizeof(magic)) == 0;
  if (fd >= 0)
    close(fd);
  return is_zone;
}

/* --- Countries ------------------------------------------------------------------------------------------------------ */

#define COUNTRIES ZONES "/iso3166.tab" /* lines "ES<tab>Spain", and comments */

/* "Spain", "Congo (Dem. Rep.)" and what stands before the bracket, in any case of letters. */
static bool country_is_named(parley_text its, parley_text name)
{
  parley_text rest = text_sub(its, name.len, SIZE_MAX);

  return text_eq_nocase(text_sub(its, 0, name.len), name) && (rest.len == 0 || text_starts(rest, " ("));
}

/* By code, or when that is empty by name. ret: "ES (Spain)". */
static bool country_look(parley_text code, parley_text name, char ret[COUNTRY_MEANT_MAX])
{
  FILE *file = fopen(COUNTRIES, "re");
  char *line = NULL;
  size_t room = 0;
  bool found = false;

  while (!found && file != NULL && getline(&line, &room, file) > 0) {
    parley_text its = text_trim(parley_text_of(line)), its_code = text_cut(&its, '\t');

    found = its_code.len == 2 && its.len > 0 &&
            (code.len > 0 ? text_eq(code, its_code) : country_is_named(its, name));
    if (found)
      snprintf(ret, COUNTRY_MEANT_MAX, "%.*s (%.*s)", TEXT_ARG(its_code), TEXT_ARG(its));
  }
  free(line);
  if (file != NULL)
    fclose(file);
  return found;
}

bool country_ok(parley_text text)
{
  char named[COUNTRY_MEANT_MAX];

  for (size_t i = 0; i < text.len; i++)
    if (text.at[i] < 'A' || text.at[i] > 'Z')
      return false;
  return text.len == 2 && (access(COUNTRIES, F_OK) != 0 || country_look(text, TEXT_EMPTY, named));
}

bool country_meant(parley_text text, char ret[COUNTRY_MEANT_MAX])
{
  static const struct {
    const char *word, *code;
  } others[] = {{"UK", "GB"}, {"United Kingdom", "GB"}, {"EL", "GR"}, {"USA", "US"}};
  char upper[2];

  for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
    if (text_is_nocase(text, others[i].word))
      return country_look(parley_text_of(others[i].code), TEXT_EMPTY, ret);
  if (text.len == 2 && byte_is_letter(text.at[0]) && byte_is_letter(text.at[1])) {
    upper[0] = (char)(text.at[0] & ~0x20);
    upper[1] = (char)(text.at[1] & ~0x20);
    return country_look((parley_text){upper, 2}, TEXT_EMPTY, ret);
  }
  return text.len >= 4 && country_look(TEXT_EMPTY, text, ret);
}
