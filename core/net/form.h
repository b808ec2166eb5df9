/* form.h - what a browser's form posts, as fields: application/x-www-form-urlencoded (WHATWG URL 5.1) and multipart/form-data
 * (RFC 7578). Pure; linear; fields lie in the arena. Thread: any. */
#ifndef CORE_NET_FORM_H
#define CORE_NET_FORM_H
#include "core/base/arena.h"
#include <stdbool.h>

#define FORM_FIELDS_MAX 1024
#define FORM_BOUNDARY_BYTES_MAX 70 /* RFC 2046 5.1.1 */

struct form_field { parley_text name, value; };
struct form {
  size_t n;
  struct form_field *fields; /* in their order, repeated ones too */
};
/* type: the Content-Type. False: neither of the two, not well formed, not UTF-8, a NUL in it, or too many fields. No body is no
 * field. What a file has is left out. */
bool form_read(parley_text type, parley_bytes body, struct arena *arena, struct form *ret);
parley_text form_value(const struct form *form, const char *name); /* of the first; empty when there is none */
#endif
