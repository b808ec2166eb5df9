/* parley/ext/submit.h - "parley.submit/1" (ABI 1.2): a way in for messages that somebody hands to the channel instead of the HTTP API
 * (mail submission, a queue). The host offers it. What is accepted is a message like any other: resolved, decided, sent by its plan,
 * not necessarily over this channel. The host checks the API key each time, so that one that is revoked is of no use from then on. */
#ifndef PARLEY_EXT_SUBMIT_H
#define PARLEY_EXT_SUBMIT_H
#include "../plugin.h"
#ifdef __cplusplus
extern "C" {
#endif
#define PARLEY_SUBMIT "parley.submit/1"

typedef struct parley_submission {
  uint32_t size, reserved;
  parley_text key;   /* the API key's secret, as its owner wrote it */
  parley_bytes json; /* the body of POST /v1/messages; "topic" may be left out: the key's own counts then, else the one below */
  parley_text topic; /* empty: none */
  parley_text idempotency_key; /* 1-255 printable ASCII, within this API key; empty: none */
} parley_submission;

typedef struct parley_submit { /* all [loop] */
  uint64_t size;
  /* May this key hand in messages (scope messages:send)? OK, value: the key's own topic or empty. DENIED: no. peer: who asks, whose
   * wrong keys are counted: BUSY for a while beyond the limit. */
  void (*login)(const parley_host *, parley_text key, parley_text peer, parley_done *done, void *arg);
  /* Committed when `done` says OK; value: its msg_ id, count: 1 = handed in before, nothing new was stored. DENIED: the key;
   * INVALID, REJECTED: never, reason says why; BUSY, RETRY: again later. */
  void (*submit)(const parley_host *, const parley_submission *, parley_done *done, void *arg);
} parley_submit;
#ifdef __cplusplus
}
#endif
#endif
