/* mail_header.h - the headers that a sender may give a mail beside those that Parley writes: X-... (X-Parley-... and those that tell
 * mail servers what is no sender's to say excepted) and a few that steer nothing but readers and statistics. Values only. */
#ifndef CORE_MESSAGE_MAIL_HEADER_H
#define CORE_MESSAGE_MAIL_HEADER_H
#include <parley/plugin.h>
#include <stdbool.h>

#define MAIL_HEADER_NAME_BYTES_MAX 76
#define MAIL_HEADERS_ALLOWED                                                                                           \
  "allowed are X-..., Comments, Keywords, Organization, Importance, Priority, Sensitivity, Feedback-ID, List-Help, "    \
  "List-Owner, List-Archive and List-Subscribe"

/* false: *ret_code is bad_header (no name of RFC 5322, an empty or too long value), header_not_allowed or header_injection; *ret_why
 * says it to a person. Both static. */
bool mail_header_ok(parley_text name, parley_text value, const char **ret_code, const char **ret_why);
#endif
