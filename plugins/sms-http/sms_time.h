/* sms_time.h - the times that providers write. No I/O. Thread: any. */
#ifndef SMS_TIME_H
#define SMS_TIME_H
#include "common/json.h"

/* "2026-11-27T18:53:45.123Z", the same with a space for the T, with an offset of four digits (+0100), or without any, which is
 * UTC; whole seconds (ten digits) or milliseconds (thirteen) since 1970; YYMMDDhhmm and YYMMDDhhmmss, as SMSCs write it. false
 * leaves *ret_ms. */
bool sms_time_read(parley_text text, int64_t *ret_ms);
#endif
