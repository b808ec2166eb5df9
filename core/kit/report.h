/* report.h - results as a person reads them, line by line as they come, or as one JSON object. Thread: main. */
#ifndef CORE_KIT_REPORT_H
#define CORE_KIT_REPORT_H
#include "core/base/buf.h"
#include "kit.h"

struct kit_result {
  const char *name;
  char verdict; /* P passed, F failed, S skipped */
  const char *promise; /* of a failure: the sentence that was broken */
  struct buf promise_room;
  struct buf seen;  /* what was seen instead; of a skip, why */
  struct buf words; /* what the child had written to stderr */
  int64_t ms;
};
struct report {
  const struct kit_wish *wish;
  uint64_t seed;
  unsigned passed, failed, skipped;
  struct buf json; /* the cases so far */
};
void report_begin(struct report *report, const struct kit_wish *wish, uint64_t seed);
void report_add(struct report *report, const struct kit_result *result);
int report_end(struct report *report); /* KIT_PASSED or KIT_FAILED */
void kit_result_done(struct kit_result *result);
#endif
