#include "clock.h"
#include "text.h"

#define MS_PER_DAY INT64_C(86400000)
#define TIME_MS_MAX INT64_C(253402300799999) /* 9999-12-31T23:59:59.999Z */

struct civil {
  int64_t year, month, day; /* month and day from 1 */
};

static bool year_is_leap(int64_t year)
{
  return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int64_t month_days(int64_t year, int64_t month)
{
  static const int8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

  return days[month - 1] + (month == 2 && year_is_leap(year));
}

/* Days from 1970-01-01 to the first day of the year; year >= 1. */
static int64_t year_start(int64_t year)
{
  int64_t before = year - 1;

  return before * 365 + before / 4 - before / 100 + before / 400 - 719162;
}

static int64_t civil_days(struct civil civil)
{
  int64_t days = year_start(civil.year) + civil.day - 1;

  for (int64_t month = 1; month < civil.month; month++)
    days += month_days(civil.year, month);
  return days;
}

static struct civil civil_of(int64_t days) /* days >= 0 */
{
  struct civil civil = {.month = 1};

  civil.year = 1970 + days * 400 / 146097; /* at most one off */
  if (year_start(civil.year) > days)
    civil.year--;
  if (year_start(civil.year + 1) <= days)
    civil.year++;
  days -= year_start(civil.year);
  while (days >= month_days(civil.year, civil.month))
    days -= month_days(civil.year, civil.month++);
  civil.day = days + 1;
  return civil;
}

static void digits_put(char *to, int64_t value, size_t count)
{
  while (count-- > 0) {
    to[count] = (char)('0' + value % 10);
    value /= 10;
  }
}

void buf_time(struct buf *buf, int64_t ms)
{
  char text[] = "0000-00-00T00:00:00.000Z";
  int64_t clamped = ms < 0 ? 0 : ms > TIME_MS_MAX ? TIME_MS_MAX : ms;
  int64_t of_day = clamped % MS_PER_DAY;
  struct civil civil = civil_of(clamped / MS_PER_DAY);

  digits_put(text, civil.year, 4);
  digits_put(text + 5, civil.month, 2);
  digits_put(text + 8, civil.day, 2);
  digits_put(text + 11, of_day / 3600000, 2);
  digits_put(text + 14, of_day / 60000 % 60, 2);
  digits_put(text + 17, of_day / 1000 % 60, 2);
  digits_put(text + 20, of_day % 1000, 3);
  buf_add(buf, text, sizeof(text) - 1);
}

void buf_json_time(struct buf *buf, int64_t ms)
{
  if (ms == 0) {
    buf_str(buf, "null");
    return;
  }
  buf_char(buf, '"');
  buf_time(buf, ms);
  buf_char(buf, '"');
}

/* Takes exactly `count` digits and then `after` (0: nothing) off the front. */
static bool digits_take(parley_text *rest, size_t count, char after, int64_t min, int64_t max, int64_t *ret)
{
  if (!text_to_int(text_sub(*rest, 0, count), min, max, ret) || rest->len < count || rest->at[0] == '-')
    return false;
  *rest = text_sub(*rest, count, SIZE_MAX);
  if (after == '\0')
    return true;
  if (rest->len == 0 || rest->at[0] != after)
    return false;
  *rest = text_sub(*rest, 1, SIZE_MAX);
  return true;
}

/* ".482" to 9 digits, cut to ms. Nothing there: 0. */
static bool fraction_take(parley_text *rest, int64_t *ret_ms)
{
  int64_t ms = 0, unit = 100;
  size_t digits = 0;

  *ret_ms = 0;
  if (rest->len == 0 || rest->at[0] != '.')
    return true;
  *rest = text_sub(*rest, 1, SIZE_MAX);
  for (; digits < rest->len && rest->at[digits] >= '0' && rest->at[digits] <= '9'; digits++, unit /= 10)
    ms += (rest->at[digits] - '0') * unit;
  *rest = text_sub(*rest, digits, SIZE_MAX);
  *ret_ms = ms;
  return digits >= 1 && digits <= 9;
}

/* "Z" or "+02:00", and nothing behind it. */
static bool offset_take(parley_text *rest, int64_t *ret_minutes)
{
  int64_t hours, minutes;
  bool west;

  *ret_minutes = 0;
  if (rest->len == 1)
    return rest->at[0] == 'Z' || rest->at[0] == 'z';
  if (rest->len != 6 || (rest->at[0] != '+' && rest->at[0] != '-'))
    return false;
  west = rest->at[0] == '-';
  *rest = text_sub(*rest, 1, SIZE_MAX);
  if (!digits_take(rest, 2, ':', 0, 23, &hours) || !digits_take(rest, 2, '\0', 0, 59, &minutes))
    return false;
  *ret_minutes = (hours * 60 + minutes) * (west ? -1 : 1);
  return true;
}

bool time_parse(parley_text text, int64_t *ret_ms)
{
  struct civil civil;
  int64_t hour, minute, second, ms, offset, when;
  bool ok = digits_take(&text, 4, '-', 1, 9999, &civil.year) && digits_take(&text, 2, '-', 1, 12, &civil.month) &&
            digits_take(&text, 2, '\0', 1, 31, &civil.day) && civil.day <= month_days(civil.year, civil.month);

  if (!ok || text.len == 0 || (text.at[0] != 'T' && text.at[0] != 't'))
    return false;
  text = text_sub(text, 1, SIZE_MAX);
  if (!digits_take(&text, 2, ':', 0, 23, &hour) || !digits_take(&text, 2, ':', 0, 59, &minute) ||
      !digits_take(&text, 2, '\0', 0, 60, &second) || !fraction_take(&text, &ms) || !offset_take(&text, &offset))
    return false;
  if (second == 60)
    second = 59;
  when = civil_days(civil) * MS_PER_DAY + ((hour * 60 + minute - offset) * 60 + second) * 1000 + ms;
  if (when < 0 || when > TIME_MS_MAX)
    return false;
  *ret_ms = when;
  return true;
}

/* The largest unit first. */
static const struct {
  char name[3];
  int64_t ms;
} span_units[] = {{"d", MS_PER_DAY}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};

bool span_parse(parley_text text, int64_t *ret_ms)
{
  size_t digits = 0;
  int64_t count, ms;

  while (digits < text.len && text.at[digits] >= '0' && text.at[digits] <= '9')
    digits++;
  if (!text_to_int(text_sub(text, 0, digits), 0, INT64_MAX, &count))
    return false;
  for (size_t i = 0; i < sizeof(span_units) / sizeof(span_units[0]); i++) {
    if (!parley_text_is(text_sub(text, digits, SIZE_MAX), span_units[i].name))
      continue;
    if (__builtin_mul_overflow(count, span_units[i].ms, &ms))
      return false;
    *ret_ms = ms;
    return true;
  }
  return false;
}

void buf_span(struct buf *buf, int64_t ms)
{
  size_t unit = ms == 0 ? 3 : 0; /* nothing is "0s" */

  while (ms % span_units[unit].ms != 0)
    unit++;
  buf_int(buf, ms / span_units[unit].ms);
  buf_str(buf, span_units[unit].name);
}
