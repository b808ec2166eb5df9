#include "email_queue.h"

void email_queue_init(struct email_queue *queue)
{
  *queue = (struct email_queue){.end = &queue->first};
}

void email_queue_push(struct email_queue *queue, struct email_job *job)
{
  job->next = NULL;
  *queue->end = job;
  queue->end = &job->next;
  queue->n++;
}

void email_queue_push_front(struct email_queue *queue, struct email_job *job)
{
  job->next = queue->first;
  if (queue->first == NULL)
    queue->end = &job->next;
  queue->first = job;
  queue->n++;
}

struct email_job *email_queue_pop(struct email_queue *queue)
{
  struct email_job *job = queue->first;

  if (job == NULL)
    return NULL;
  queue->first = job->next;
  if (queue->first == NULL)
    queue->end = &queue->first;
  queue->n--;
  return job;
}

void email_queue_flush(struct email_queue *queue, uint32_t outcome, uint32_t retry_ms, parley_text detail)
{
  for (struct email_job *job = email_queue_pop(queue); job != NULL; job = email_queue_pop(queue))
    email_job_end(&job, outcome, retry_ms, detail);
}

void email_queue_sweep(struct email_queue *queue, int64_t now_ms)
{
  while (queue->first != NULL && now_ms - queue->first->taken_ms >= EMAIL_QUEUE_WAIT_MS) {
    struct email_job *job = email_queue_pop(queue);

    email_job_end(&job, PARLEY_OUTCOME_THROTTLED, EMAIL_QUEUE_HOLD_MS, PARLEY_LIT("every connection is busy"));
  }
}
