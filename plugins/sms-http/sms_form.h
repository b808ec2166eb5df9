/* sms_form.h - application/x-www-form-urlencoded, both ways: bodies and query strings. No I/O. Thread: any. */
#ifndef SMS_FORM_H
#define SMS_FORM_H
#include "common/copy.h"
#include "common/json.h"

enum { SMS_FIELDS_MAX = 256 /* in one body or query */ };
struct sms_fields {
  uint32_t n;
  parley_pair fields[SMS_FIELDS_MAX]; /* decoded, in the order they came; repeated names too */
};
/* Appends what text holds; names and values live in memory. NULL, or what is wrong (static): a % without two hex digits, a NUL, no
 * UTF-8, too many fields, no memory. */
const char *sms_form_read(parley_text text, struct copy *memory, struct sms_fields *to);
parley_text sms_field(const struct sms_fields *fields, const char *name); /* the first of this name; at NULL: there is none */
/* {"name":"value"}; of a name that is there several times, a list of its values. NULL: no memory. json_decref() it. */
json_t *sms_fields_object(const struct sms_fields *fields);

/* All but letters, digits and - . _ ~ as %XX (RFC 3986, 2.3), which a form's reader takes as well. */
void sms_percent_write(struct json_writer *to, parley_text text);
/* "&name=value", without the & at the start of a body or behind a '?'. */
void sms_form_write(struct json_writer *to, const char *name, parley_text value);
#endif
