/* Times of json.h, RFC 3339 and those of message centres: a calendar without the C library's time zone state. */
#include "json.h"

enum { DATE_TIME_BYTES = 19, SMSC_PAIRS_MIN = 5, SMSC_PAIRS_MAX = 6, FRACTION_DIGITS_MAX = 9, MINUTE_MS = 60000 };

/* Days since 1970-01-01 of a Gregorian date; years begin in March, so that a leap day comes last. */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
  int64_t y = month <= 2 ? year - 1 : year, era = y / 400, of_era = y - era * 400;
  int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

  return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static bool number_read(parley_text text, size_t at, size_t len, int64_t min, int64_t max, int64_t *ret)
{
  int64_t value = 0;

  if (at + len > text.len)
    return false;
  for (size_t i = at; i < at + len; i++) {
    if (text.at[i] < '0' || text.at[i] > '9')
      return false;
    value = value * 10 + (text.at[i] - '0');
  }
  if (value < min || value > max)
    return false;
  *ret = value;
  return true;
}

/* ".482": its ms; *at moves behind it. */
static bool fraction_read(parley_text text, size_t *at, int64_t *ret_ms)
{
  size_t digits = 0;
  int64_t ms = 0;

  if (*at >= text.len || text.at[*at] != '.')
    return true;
  for (++*at; *at < text.len && text.at[*at] >= '0' && text.at[*at] <= '9'; ++*at, digits++)
    if (digits < 3)
      ms = ms * 10 + (text.at[*at] - '0');
  for (size_t i = digits; i < 3; i++)
    ms *= 10;
  *ret_ms = ms;
  return digits >= 1 && digits <= FRACTION_DIGITS_MAX;
}

/* "Z" or "+02:00" at the very end, in ms east of UTC. */
static bool offset_read(parley_text text, size_t at, int64_t *ret_ms)
{
  int64_t hours, minutes;

  if (at + 1 == text.len && (text.at[at] == 'Z' || text.at[at] == 'z')) {
    *ret_ms = 0;
    return true;
  }
  if (at + 6 != text.len || (text.at[at] != '+' && text.at[at] != '-') || text.at[at + 3] != ':' ||
      !number_read(text, at + 1, 2, 0, 23, &hours) || !number_read(text, at + 4, 2, 0, 59, &minutes))
    return false;
  *ret_ms = (text.at[at] == '-' ? -1 : 1) * (hours * 60 + minutes) * MINUTE_MS;
  return true;
}

static int64_t month_days(int64_t year, int64_t month)
{
  return month == 12 ? 31 : days_of(year, month + 1, 1) - days_of(year, month, 1);
}

bool rfc3339_read(parley_text text, int64_t *ret_ms)
{
  int64_t year, month, day, hour, minute, second, ms = 0, offset_ms = 0, all_ms;
  size_t at = DATE_TIME_BYTES;

  if (!number_read(text, 0, 4, 1970, 9999, &year) || !number_read(text, 5, 2, 1, 12, &month) ||
      !number_read(text, 8, 2, 1, 31, &day) || !number_read(text, 11, 2, 0, 23, &hour) ||
      !number_read(text, 14, 2, 0, 59, &minute) || !number_read(text, 17, 2, 0, 60, &second))
    return false;
  if (text.at[4] != '-' || text.at[7] != '-' || (text.at[10] != 'T' && text.at[10] != 't' && text.at[10] != ' ') ||
      text.at[13] != ':' || text.at[16] != ':' || day > month_days(year, month))
    return false;
  if (!fraction_read(text, &at, &ms) || !offset_read(text, at, &offset_ms))
    return false;
  if (second == 60)
    second = 59; /* a leap second */
  all_ms = ((days_of(year, month, day) * 24 + hour) * 60 + minute) * MINUTE_MS + second * 1000 + ms - offset_ms;
  if (all_ms < 0)
    return false;
  *ret_ms = all_ms;
  return true;
}

static char *number_write(char *to, unsigned value, int digits)
{
  for (int i = digits; i > 0; i--, value /= 10)
    to[i - 1] = (char)('0' + value % 10);
  return to + digits;
}

static char *part_write(char *to, unsigned value, int digits, char behind)
{
  to = number_write(to, value, digits);
  *to = behind;
  return to + 1;
}

/* By hand: each message carries some, and the C library's formats cost ten times as much. */
void rfc3339_write(int64_t ms, char to[RFC3339_ROOM])
{
  const int64_t last_ms = INT64_C(253402300799999); /* the end of the year 9999 */
  int64_t all = ms < 0 ? 0 : ms > last_ms ? last_ms : ms, days = all / 86400000, of_day = all % 86400000;
  int64_t shifted = days + 719468, era = shifted / 146097, of_era = shifted % 146097;
  int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
  int64_t of_year = of_era - (365 * year + year / 4 - year / 100), march = (5 * of_year + 2) / 153;
  unsigned month = (unsigned)(march < 10 ? march + 3 : march - 9),
           day = (unsigned)(of_year - (153 * march + 2) / 5 + 1);
  unsigned second = (unsigned)(of_day / 1000);

  to = part_write(to, (unsigned)(year + era * 400 + (month <= 2)), 4, '-');
  to = part_write(to, month, 2, '-');
  to = part_write(to, day, 2, 'T');
  to = part_write(to, second / 3600, 2, ':');
  to = part_write(to, second / 60 % 60, 2, ':');
  to = part_write(to, second % 60, 2, '.');
  to = part_write(to, (unsigned)(of_day % 1000), 3, 'Z');
  *to = '\0';
}

static const uint8_t smsc_pairs[SMSC_PAIRS_MAX] = {2, 5, 8, 11, 14, 17}; /* where YY MM DD hh mm ss stand in RFC 3339 */

bool smsc_time_read(parley_text digits, int64_t *ret_ms)
{
  char full[] = "20YY-MM-DDThh:mm:00Z";

  if (digits.len != 2 * SMSC_PAIRS_MIN && digits.len != 2 * SMSC_PAIRS_MAX)
    return false;
  for (size_t i = 0; i < digits.len / 2; i++)
    memcpy(full + smsc_pairs[i], digits.at + 2 * i, 2);
  return rfc3339_read(parley_text_of(full), ret_ms);
}

void smsc_time_write(int64_t ms, char to[SMSC_TIME_ROOM])
{
  char full[RFC3339_ROOM];

  rfc3339_write(ms, full);
  for (size_t i = 0; i < SMSC_PAIRS_MAX; i++)
    memcpy(to + 2 * i, full + smsc_pairs[i], 2);
  to[2 * SMSC_PAIRS_MAX] = '\0';
}
