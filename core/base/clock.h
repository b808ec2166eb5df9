/* clock.h - times as people write them: RFC 3339 and spans ("10m"). Thread: any. */
#ifndef CORE_BASE_CLOCK_H
#define CORE_BASE_CLOCK_H
#include "buf.h"

/* "2026-11-21T22:01:09.482Z", always UTC, always ms. */
void buf_time(struct buf *buf, int64_t ms);
void buf_json_time(struct buf *buf, int64_t ms); /* quoted; null when 0 */
/* RFC 3339 with Z or an offset, fraction to 9 digits (cut to ms), leap second read as :59. Years 1970-9999. false leaves *ret. */
bool time_parse(parley_text text, int64_t *ret_ms);
/* Digits and one of ms s m h d ("250ms" "30s" "10m" "2h" "7d"); no unit or two of them is refused. false leaves *ret. */
bool span_parse(parley_text text, int64_t *ret_ms);
void buf_span(struct buf *buf, int64_t ms); /* in the largest unit that divides it */
#endif
