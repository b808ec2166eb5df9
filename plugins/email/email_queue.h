/* email_queue.h - jobs that wait their turn, first in first out. Owns those it holds; may not be copied. Thread: loop. */
#ifndef EMAIL_QUEUE_H
#define EMAIL_QUEUE_H
#include "email_job.h"

enum {
  EMAIL_QUEUE_WAIT_MS = 60000, /* longer than this no message waits here */
  EMAIL_QUEUE_HOLD_MS = 5000   /* hold for one that did */
};
struct email_queue {
  struct email_job *first, **end;
  uint32_t n;
};
void email_queue_init(struct email_queue *queue);
void email_queue_push(struct email_queue *queue, struct email_job *job);
void email_queue_push_front(struct email_queue *queue, struct email_job *job);
struct email_job *email_queue_pop(struct email_queue *queue); /* NULL: empty */
/* Ends all of them, untried. */
void email_queue_flush(struct email_queue *queue, uint32_t outcome, uint32_t retry_ms, parley_text detail);
/* Ends those that have waited too long. now_ms: monotonic. */
void email_queue_sweep(struct email_queue *queue, int64_t now_ms);
#endif
