#include "locale.h"
#include <fcntl.h>
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
