/* Blocking work of a plugin: on a thread that is not the loop's, one piece after the other, so that a seed repeats it. And what
 * both threads hold of the heap. */
#include "core/base/alloc.h"
#include "core/base/text.h"
#include "inside.h"
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct kit_worker {
  pthread_t thread;
  pthread_mutex_t mutex;
  pthread_cond_t changed;
  parley_call *job;
  void *arg;
};

static void *worker_main(void *arg)
{
  struct kit_worker *worker = arg;

  pthread_mutex_lock(&worker->mutex);
  for (;;) {
    while (worker->job == NULL)
      pthread_cond_wait(&worker->changed, &worker->mutex);
    pthread_mutex_unlock(&worker->mutex);
    worker->job(worker->arg);
    pthread_mutex_lock(&worker->mutex);
    worker->job = NULL;
    pthread_cond_signal(&worker->changed);
  }
  return NULL;
}

static void worker_do(struct kit *kit, parley_call *job, void *arg)
{
  struct kit_worker *worker = kit->worker;

  snprintf(kit->note->doing, sizeof kit->note->doing, "blocking work");
  atomic_store(&kit->note->entered_ns, kit_real_ns());
  pthread_mutex_lock(&worker->mutex);
  worker->job = job;
  worker->arg = arg;
  pthread_cond_signal(&worker->changed);
  while (worker->job != NULL)
    pthread_cond_wait(&worker->changed, &worker->mutex);
  pthread_mutex_unlock(&worker->mutex);
  atomic_store(&kit->note->entered_ns, 0);
}

bool kit_work_step(struct kit *kit)
{
  struct list *node = list_pop(&kit->works);
  struct kit_work *work;

  if (node == NULL)
    return false;
  work = LIST_ITEM(node, struct kit_work, node);
  worker_do(kit, work->blocking, work->arg);
  kit_done_later(work->host, work->done, work->arg, PARLEY_OK, TEXT_EMPTY, 0);
  free(work);
  return true;
}

void kit_work_init(struct kit *kit)
{
  kit->worker = xcalloc(1, sizeof *kit->worker);
  pthread_mutex_init(&kit->worker->mutex, NULL);
  pthread_cond_init(&kit->worker->changed, NULL);
  if (pthread_create(&kit->worker->thread, NULL, worker_main, kit->worker) != 0)
    abort();
}

/* --- Heap: what is in use, to the byte ---------------------------------------------------------------------------- */

#define TCACHE_BINS 64 /* of glibc: freed pieces that each thread keeps for itself, and that count as in use */
#define TCACHE_PIECES 7
#define TCACHE_STEP 16

struct pieces { void *at[TCACHE_BINS * TCACHE_PIECES]; };

/* Takes all that the thread's cache can hold of each size: then it is empty, whatever it was, and what it held counts once. */
static void pieces_take(void *arg)
{
  struct pieces *pieces = arg;

  for (size_t i = 0; i < COUNT_OF(pieces->at); i++)
    pieces->at[i] = malloc(TCACHE_STEP * (i / TCACHE_PIECES) + TCACHE_STEP + TCACHE_STEP / 2);
}

static void pieces_give(void *arg)
{
  struct pieces *pieces = arg;

  for (size_t i = 0; i < COUNT_OF(pieces->at); i++)
    free(pieces->at[i]);
}

extern size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

size_t kit_heap(struct kit *kit)
{
  struct pieces ours, workers;
  struct mallinfo2 info;

  if (__sanitizer_get_current_allocated_bytes != NULL)
    return __sanitizer_get_current_allocated_bytes();
  worker_do(kit, pieces_take, &workers);
  pieces_take(&ours);
  info = mallinfo2();
  pieces_give(&ours);
  worker_do(kit, pieces_give, &workers);
  return info.uordblks + info.hblkhd;
}
