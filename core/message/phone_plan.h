/* phone_plan.h - what parley-phone.so, a thin piece of C++ around libphonenumber, offers to the daemon: the numbering plans of all
 * countries. For C and for C++. It is loaded where the configuration names a country (core/channel/phone_load.h), and stays.
 * Thread: any. Owns nothing; `ret` is the caller's. */
#ifndef CORE_MESSAGE_PHONE_PLAN_H
#define CORE_MESSAGE_PHONE_PLAN_H
#include <stddef.h>

#define PHONE_ROOM 17 /* '+', 15 digits, NUL: E.164 */
#define PHONE_TABLE_SYMBOL "parley_phone_v1"

enum phone_verdict {
  PHONE_OK,
  PHONE_NO_NUMBER,     /* nothing that a number could be */
  PHONE_BAD_COUNTRY,   /* a calling code that no country has */
  PHONE_TOO_SHORT,
  PHONE_TOO_LONG,
  PHONE_BAD_LENGTH,
  PHONE_NO_AREA,       /* it can be dialled within its area alone */
  PHONE_EXTENSION,     /* "ext. 12": nothing can be sent to one */
};
/* country: two letters of ISO 3166-1, whose formats and prefixes count. ret is written with PHONE_OK alone. */
typedef enum phone_verdict phone_read_fn(const char *text, size_t bytes, const char *country, char ret[PHONE_ROOM]);
struct phone_table {
  int (*ready)(const char *country); /* reads in what it needs of the country's plan; 0: the country has none of its own */
  phone_read_fn *read;
};
#endif
