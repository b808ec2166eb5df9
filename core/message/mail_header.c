#include "mail_header.h"
#include "content.h"
#include "core/base/alloc.h"
#include "core/base/text.h"

static bool name_ok(parley_text name) /* RFC 5322 3.6.8: printable ASCII but the colon */
{
  for (size_t i = 0; i < name.len; i++)
    if (name.at[i] <= ' ' || name.at[i] >= 0x7f || name.at[i] == ':')
      return false;
  return name.len > 0 && name.len <= MAIL_HEADER_NAME_BYTES_MAX;
}

static bool name_begins(parley_text name, const char *begin)
{
  size_t len = strlen(begin);

  return name.len > len && text_is_nocase(text_sub(name, 0, len), begin);
}

static bool name_allowed(parley_text name)
{
  static const char *const allowed[] = {"Comments",    "Keywords",    "Organization", "Importance", "Priority",     "Sensitivity",
                                        "Feedback-ID", "List-Help",   "List-Owner",   "List-Archive", "List-Subscribe"};
  /* What servers and loop guards believe: a bounce, a copy's way, a filter's verdict; and by which SendGrid, SparkPost and Mandrill
   * send to others as well, whom nobody has decided about. */
  static const char *const reserved[] = {"X-Parley-", "X-Loop",      "X-Failed-Recipients", "X-Original-",    "X-Envelope-",
                                         "X-Auto-",   "X-Autoreply", "X-Spam-",             "X-Delivered-To", "X-SMTPAPI",
                                         "X-MSYS-API", "X-MC-BccAddress"};

  for (size_t i = 0; i < COUNT_OF(allowed); i++)
    if (text_is_nocase(name, allowed[i]))
      return true;
  for (size_t i = 0; i < COUNT_OF(reserved); i++)
    if (text_is_nocase(name, reserved[i]) || name_begins(name, reserved[i]))
      return false;
  return name_begins(name, "X-");
}

bool mail_header_ok(parley_text name, parley_text value, const char **ret_code, const char **ret_why)
{
  *ret_code = "bad_header";
  if (!name_ok(name)) {
    *ret_why = "a header's name has 1 to 76 visible ASCII characters and no colon";
    return false;
  }
  if (!name_allowed(name)) {
    *ret_code = "header_not_allowed";
    *ret_why = "this header is not a sender's to give";
    return false;
  }
  if (text_has_control(value)) {
    *ret_code = "header_injection";
    *ret_why = "a header may not have line breaks or control characters";
    return false;
  }
  if (text_trim(value).len == 0 || value.len > CONTENT_HEADER_BYTES_MAX) {
    *ret_why = "a header's value has 1 to 900 bytes";
    return false;
  }
  return true;
}
