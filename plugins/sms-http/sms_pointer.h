/* sms_pointer.h - JSON pointers (RFC 6901), and what stands where they point as text. No I/O. Thread: any. */
#ifndef SMS_POINTER_H
#define SMS_POINTER_H
#include "common/copy.h"
#include <jansson.h>

enum { SMS_POINTER_BYTES_MAX = 256, SMS_POINTER_STEPS_MAX = 16 };
/* NULL, or what is wrong with it (static). "" is the whole document. */
const char *sms_pointer_fault(parley_text pointer);
/* What it points at; NULL: nothing is there, or it is no pointer. Of lists only whole numbers without leading zeros are steps. */
json_t *sms_pointer_get(json_t *root, parley_text pointer);
/* A text as it is, a number, true or false as JSON writes it; empty for anything else, and where nothing is. In memory. */
parley_text sms_json_text(const json_t *value, struct copy *memory);
parley_text sms_pointer_text(json_t *root, parley_text pointer, struct copy *memory);
#endif
