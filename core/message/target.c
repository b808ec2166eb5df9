#include "target.h"
#include "core/base/text.h"

bool phone_normalise(parley_text raw, struct arena *arena, parley_text *ret, const char **reterr_why)
{
  char digits[1 + PHONE_DIGITS_MAX];
  size_t len = 1;
  parley_text number = text_trim(raw);

  if (number.len == 0 || number.at[0] != '+') {
    *reterr_why = "it must start with '+' and the country code, as +34600111222";
    return false;
  }
  if (text_find_text(number, PARLEY_LIT("(0)")) != SIZE_MAX) {
    *reterr_why = "leave out the (0): it is not dialled from abroad";
    return false;
  }
  digits[0] = '+';
  for (size_t i = 1; i < number.len; i++) {
    char byte = number.at[i];

    if (byte == ' ' || byte == '-' || byte == '.' || byte == '(' || byte == ')')
      continue;
    if (byte < '0' || byte > '9') {
      *reterr_why = "only digits and the separators space - . ( ) may follow the '+'";
      return false;
    }
    if (len == sizeof(digits)) {
      *reterr_why = "it has more than 15 digits";
      return false;
    }
    digits[len++] = byte;
  }
  if (len - 1 < PHONE_DIGITS_MIN || digits[1] == '0') {
    *reterr_why = "it needs a country code and at least 7 digits in all";
    return false;
  }
  *ret = arena_text(arena, (parley_text){digits, len});
  return true;
}

bool link_ok(parley_text url, bool https_only)
{
  size_t colon = text_find(url, ':');
  parley_text scheme = text_sub(url, 0, colon), host = text_sub(url, colon + 3, SIZE_MAX);

  if (url.len > LINK_BYTES_MAX || text_has_control(url) || text_find(url, ' ') < url.len ||
      text_find(url, '\\') < url.len)
    return false;
  if (!text_is_nocase(scheme, "https") && (https_only || !text_is_nocase(scheme, "http")))
    return false;
  if (!parley_text_is(text_sub(url, colon, 3), "://"))
    return false;
  host.len = text_find(host, '/');
  host.len = text_find(host, '?');
  host.len = text_find(host, '#');
  return host.len > 0 && host.at[0] != ':' && text_find(host, '@') == host.len;
}
