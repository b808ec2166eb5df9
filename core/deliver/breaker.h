/* breaker.h - stops knocking at a closed door: one for each (channel, destination). Opens after BREAKER_FAILURES connect-like
 * failures in a row, or when half of at least BREAKER_SAMPLE outcomes of the last BREAKER_SPAN_MS failed; lets one probe
 * through after a growing gap (5-60 s). While it is open messages wait and burn no attempts. Values only; time is handed in. */
#ifndef CORE_DELIVER_BREAKER_H
#define CORE_DELIVER_BREAKER_H
#include <stdbool.h>
#include <stdint.h>

#define BREAKER_FAILURES 5
#define BREAKER_SAMPLE 20
#define BREAKER_SPAN_MS 30000
#define BREAKER_GAP_MIN_MS 5000
#define BREAKER_GAP_MAX_MS 60000

struct breaker {
  uint32_t in_row, good, bad, gap_ms;
  int64_t span_from_ms; /* monotonic */
  int64_t open_until_ms; /* 0: closed */
  bool probing;          /* the one probe is out */
};
/* May one go now? true in half-open state takes the probe's place. */
bool breaker_allows(struct breaker *breaker, int64_t mono_ms);
void breaker_good(struct breaker *breaker, int64_t mono_ms);
void breaker_bad(struct breaker *breaker, int64_t mono_ms);
/* A probe that never got out: its place is free again. */
void breaker_untried(struct breaker *breaker);
int64_t breaker_open_until_ms(const struct breaker *breaker); /* 0: closed */
#endif
