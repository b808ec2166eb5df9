// What core/message/phone_plan.h asks for, out of libphonenumber. The only C++ of the daemon, and a shared object of its own: linked
// in, the library and what it needs (protobuf, ICU, abseil) would cost every daemon 6 MiB and 6 ms at the start, used 10 MiB and 30 ms.
#include "core/message/phone_plan.h"
#include <cstring>
#include <phonenumbers/phonenumberutil.h>
#include <string>

using i18n::phonenumbers::PhoneNumber;
using i18n::phonenumbers::PhoneNumberUtil;

static enum phone_verdict length_verdict(const PhoneNumberUtil &util, const PhoneNumber &number)
{
  switch (util.IsPossibleNumberWithReason(number)) {
  case PhoneNumberUtil::IS_POSSIBLE:
    return PHONE_OK;
  case PhoneNumberUtil::IS_POSSIBLE_LOCAL_ONLY:
    return PHONE_NO_AREA;
  case PhoneNumberUtil::INVALID_COUNTRY_CODE:
    return PHONE_BAD_COUNTRY;
  case PhoneNumberUtil::TOO_SHORT:
    return PHONE_TOO_SHORT;
  case PhoneNumberUtil::INVALID_LENGTH:
    return PHONE_BAD_LENGTH;
  case PhoneNumberUtil::TOO_LONG:
    break;
  }
  return PHONE_TOO_LONG;
}

static enum phone_verdict error_verdict(PhoneNumberUtil::ErrorType error)
{
  switch (error) {
  case PhoneNumberUtil::INVALID_COUNTRY_CODE_ERROR:
    return PHONE_BAD_COUNTRY;
  case PhoneNumberUtil::TOO_SHORT_AFTER_IDD:
  case PhoneNumberUtil::TOO_SHORT_NSN:
    return PHONE_TOO_SHORT;
  case PhoneNumberUtil::TOO_LONG_NSN:
    return PHONE_TOO_LONG;
  case PhoneNumberUtil::NO_PARSING_ERROR:
  case PhoneNumberUtil::NOT_A_NUMBER:
    break;
  }
  return PHONE_NO_NUMBER;
}

static enum phone_verdict table_read(const char *text, size_t bytes, const char *country, char ret[PHONE_ROOM])
{
  const PhoneNumberUtil &util = *PhoneNumberUtil::GetInstance();
  PhoneNumber number;
  std::string e164;
  PhoneNumberUtil::ErrorType error = util.Parse(std::string(text, bytes), country, &number);
  enum phone_verdict verdict = error == PhoneNumberUtil::NO_PARSING_ERROR ? length_verdict(util, number) : error_verdict(error);

  if (verdict == PHONE_OK && number.has_extension())
    verdict = PHONE_EXTENSION;
  if (verdict != PHONE_OK)
    return verdict;
  util.Format(number, PhoneNumberUtil::E164, &e164);
  if (e164.size() >= PHONE_ROOM)
    return PHONE_TOO_LONG;
  std::memcpy(ret, e164.c_str(), e164.size() + 1);
  return PHONE_OK;
}

static int table_ready(const char *country)
{
  const PhoneNumberUtil &util = *PhoneNumberUtil::GetInstance();
  PhoneNumber example;
  std::string written;
  char ret[PHONE_ROOM];

  if (util.GetCountryCodeForRegion(country) == 0)
    return 0;
  util.GetExampleNumber(country, &example);
  util.Format(example, PhoneNumberUtil::NATIONAL, &written);
  table_read(written.c_str(), written.size(), country, ret); // its patterns are compiled now, not with the first customer's number
  return 1;
}

extern "C" __attribute__((visibility("default"))) const struct phone_table parley_phone_v1 = {table_ready, table_read};
