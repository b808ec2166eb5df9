/* fitting.h - what a message would be on the channels of its plan, told with the decision: of an SMS its alphabet, segments and cost.
 * Private to core/api. Thread: loop. */
#ifndef CORE_API_FITTING_H
#define CORE_API_FITTING_H
#include "request.h"
#include "core/message/content.h"

struct fitting {
  struct api_request *req;
  const struct content *content; /* NULL: it is read from the body, if somebody asks */
  parley_bytes body;             /* as the store has it; empty: kept no longer, nothing is told */
  json_t *json;                  /* what was read of it: the caller frees it behind */
  const struct policy_topic *topic; /* may be NULL */
  id64 message, customer; /* 0: none yet */
  int64_t expires_ms;
};
/* An explain_step_fn; arg: a struct fitting. The channel's capabilities are those in force now, and its prices. */
void buf_fitting(struct buf *buf, size_t index, const struct decided_step *step, void *arg);
#endif
