#include "sms_time.h"

enum {
  TIME_BYTES_MAX = 40,
  DATE_LEN = 10,
  SHORT_LEN = 10,
  SHORT_SECONDS_LEN = 12,
  SECONDS_LEN = 10,
  MILLIS_LEN = 13,
  MS_A_SECOND = 1000
};

static bool digits_only(parley_text text)
{
  for (size_t i = 0; i < text.len; i++)
    if (text.at[i] < '0' || text.at[i] > '9')
      return false;
  return text.len > 0;
}

static int64_t number_of(parley_text digits)
{
  int64_t value = 0;

  for (size_t i = 0; i < digits.len; i++)
    value = value * 10 + (digits.at[i] - '0');
  return value;
}

/* Ten digits are seconds since 1970 or a centre's time: those begin with 1 until 2033, these with 2. */
static bool digits_read(parley_text text, int64_t *ret_ms)
{
  if ((text.len == SHORT_LEN && text.at[0] == '2') || text.len == SHORT_SECONDS_LEN)
    return smsc_time_read(text, ret_ms);
  if (text.len != SECONDS_LEN && text.len != MILLIS_LEN)
    return false;
  *ret_ms = number_of(text) * (text.len == SECONDS_LEN ? MS_A_SECOND : 1);
  return true;
}

bool sms_time_read(parley_text text, int64_t *ret_ms)
{
  char full[TIME_BYTES_MAX + 2];
  size_t len = text.len;
  bool zone = false;

  if (digits_only(text))
    return digits_read(text, ret_ms);
  if (len <= DATE_LEN || len > TIME_BYTES_MAX - 2)
    return false;
  memcpy(full, text.at, len);
  if (full[DATE_LEN] == ' ')
    full[DATE_LEN] = 'T';
  for (size_t i = DATE_LEN; i < len; i++)
    zone |= full[i] == 'Z' || full[i] == 'z' || full[i] == '+' || full[i] == '-';
  if (!zone)
    full[len++] = 'Z';
  if (len > 5 && (full[len - 5] == '+' || full[len - 5] == '-') && digits_only((parley_text){full + len - 4, 4})) {
    memmove(full + len - 1, full + len - 2, 2);
    full[len - 2] = ':';
    len++;
  }
  return rfc3339_read((parley_text){full, len}, ret_ms);
}
