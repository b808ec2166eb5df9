/* email_backoff.h - how long to wait before a server that failed is asked again: doubled with each failure in a row. A value. */
#ifndef EMAIL_BACKOFF_H
#define EMAIL_BACKOFF_H
#include <stdint.h>

enum { EMAIL_BACKOFF_MIN_MS = 1000, EMAIL_BACKOFF_MAX_MS = 60000 };
uint32_t email_backoff_ms(uint32_t failures); /* in a row, 1 and up */
#endif
