/* mail_fields.h - lines of "Name: value" as reports have them (RFC 3464 2.1.2, RFC 5965 3, RFC 5322 2.2 of an attached header):
 * folded lines joined, groups ended by an empty line. What is no field is passed over. Values are cleaned: UTF-8, no control
 * characters, no white space at the ends, cut at MAIL_FIELD_MAX. Pure. Thread: any. Linear. */
#ifndef EMAIL_MAIL_FIELDS_H
#define EMAIL_MAIL_FIELDS_H
#include <parley/plugin.h>
#include <stdbool.h>

enum { MAIL_FIELD_MAX = 1000 /* bytes of a value */ };
struct mail_field {
  parley_text name; /* as it stands in the text */
  size_t len;
  char value[MAIL_FIELD_MAX + 1];
};
enum mail_field_step { MAIL_FIELD = 1, MAIL_FIELD_GROUP_END, MAIL_FIELDS_END };

/* Moves *rest behind what it found. Empty groups are passed over; the last group has its end, too, when it ends with the text. */
struct mail_fields { parley_text rest; bool in_group; };
enum mail_field_step mail_field_next(struct mail_fields *fields, struct mail_field *ret);
bool mail_field_is(const struct mail_field *field, const char *name); /* whatever the case */
/* Any text into a value, cleaned as above; to: room bytes, NUL included. Returns its length. */
size_t mail_value_clean(parley_text text, char *to, size_t room);
#endif
