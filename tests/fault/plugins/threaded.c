/* A plugin that does everything right with a thread and a pipe of its own: the thread takes texts from a queue, takes its time
 * with each, and tells by post() or through the pipe, which the loop watches. The conformance kit must find nothing in it,
 * though much of what happens takes real time. */
#include <parley/plugin.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { WORK_MS = 2, GIVE_UP_MS = 30000 };

struct job {
  struct job *next;
  parley_channel *ch;
  uint64_t token, timer;
  int over; /* its token has been settled */
};
struct parley_channel {
  const parley_host *host;
  pthread_t thread;
  pthread_mutex_t mutex;
  pthread_cond_t more;
  struct job *todo, *done; /* guarded */
  int ending;              /* guarded */
  int pipe[2];
  uint32_t turn;
  parley_call *stopped;
  void *stopped_arg;
  uint32_t n_open;
};

static void job_settle(struct job *job, uint32_t result)
{
  parley_channel *ch = job->ch;

  if (job->over)
    return;
  job->over = 1;
  ch->host->cancel(ch->host, job->timer);
  if (ch->stopped == NULL)
    ch->host->settle(ch->host, job->token, PARLEY_REF(parley_outcome, .result = result));
}

static void job_end(struct job *job)
{
  parley_channel *ch = job->ch;

  job_settle(job, PARLEY_OUTCOME_DELIVERED);
  free(job);
  if (--ch->n_open == 0 && ch->stopped != NULL)
    ch->stopped(ch->stopped_arg);
}

static void job_late(void *arg) /* the thread has it all the same, and ends it */
{
  job_settle(arg, PARLEY_OUTCOME_UNKNOWN);
}

static void job_posted(void *arg)
{
  job_end(arg);
}

static void pipe_ready(uint32_t events, void *arg)
{
  parley_channel *ch = arg;
  char byte;

  (void)events;
  while (read(ch->pipe[0], &byte, 1) == 1) {
    struct job *job;

    pthread_mutex_lock(&ch->mutex);
    job = ch->done;
    ch->done = job->next;
    pthread_mutex_unlock(&ch->mutex);
    job_end(job);
  }
}

/* On the thread: every other one by post(), the others through the pipe. */
static void job_tell(parley_channel *ch, struct job *job)
{
  if (ch->turn++ % 2 == 0) {
    ch->host->post(ch->host, job_posted, job);
    return;
  }
  pthread_mutex_lock(&ch->mutex);
  job->next = ch->done;
  ch->done = job;
  pthread_mutex_unlock(&ch->mutex);
  if (write(ch->pipe[1], "x", 1) != 1)
    abort();
}

static void *thread_main(void *arg)
{
  parley_channel *ch = arg;
  const struct timespec span = {0, WORK_MS * 1000000L};

  pthread_mutex_lock(&ch->mutex);
  for (;;) {
    struct job *job = ch->todo;

    if (job == NULL && ch->ending)
      break;
    if (job == NULL) {
      pthread_cond_wait(&ch->more, &ch->mutex);
      continue;
    }
    ch->todo = job->next;
    pthread_mutex_unlock(&ch->mutex);
    nanosleep(&span, NULL);
    job_tell(ch, job);
    pthread_mutex_lock(&ch->mutex);
  }
  pthread_mutex_unlock(&ch->mutex);
  return NULL;
}

static parley_status threaded_create(const parley_host *host, const parley_value *options, parley_channel **ret)
{
  parley_channel *ch = calloc(1, sizeof *ch);

  (void)options;
  if (ch == NULL || pipe2(ch->pipe, O_CLOEXEC | O_NONBLOCK) != 0) {
    free(ch);
    return PARLEY_BUSY;
  }
  ch->host = host;
  pthread_mutex_init(&ch->mutex, NULL);
  pthread_cond_init(&ch->more, NULL);
  if (pthread_create(&ch->thread, NULL, thread_main, ch) != 0)
    abort();
  *ret = ch;
  return PARLEY_OK;
}

static parley_status threaded_start(parley_channel *ch)
{
  ch->host->watch(ch->host, ch->pipe[0], PARLEY_READABLE, pipe_ready, ch);
  return PARLEY_OK;
}

static parley_status threaded_submit(parley_channel *ch, uint64_t token, const parley_message *message)
{
  struct job *job = calloc(1, sizeof *job);

  (void)message;
  if (job == NULL)
    return PARLEY_BUSY;
  *job = (struct job){.ch = ch, .token = token};
  job->timer = ch->host->timer(ch->host, GIVE_UP_MS, 0, job_late, job);
  ch->n_open++;
  pthread_mutex_lock(&ch->mutex);
  job->next = ch->todo;
  ch->todo = job;
  pthread_cond_signal(&ch->more);
  pthread_mutex_unlock(&ch->mutex);
  return PARLEY_OK;
}

static void threaded_stop(parley_channel *ch, parley_call *done, void *arg)
{
  ch->stopped = done;
  ch->stopped_arg = arg;
  if (ch->n_open == 0)
    done(arg);
}

static void threaded_destroy(parley_channel *ch)
{
  pthread_mutex_lock(&ch->mutex);
  ch->ending = 1;
  pthread_cond_signal(&ch->more);
  pthread_mutex_unlock(&ch->mutex);
  pthread_join(ch->thread, NULL);
  pthread_cond_destroy(&ch->more);
  pthread_mutex_destroy(&ch->mutex);
  close(ch->pipe[0]);
  close(ch->pipe[1]);
  free(ch);
}

static const parley_capabilities capabilities = {
    .size = sizeof capabilities, .in_flight = 16, .address_kind = "phone", .channel_kind = "sms",
    .features = PARLEY_LIST(parley_feature,
                            PARLEY_REF(parley_feature, .what = PARLEY_PART_TEXT, .level = PARLEY_LEVEL_NATIVE,
                                       .unit = PARLEY_UNIT_GSM7, .length_max = 160, .joined_max = 153, .count_max = 5),
                            PARLEY_REF(parley_feature, .what = PARLEY_PART_TEXT, .level = PARLEY_LEVEL_NATIVE,
                                       .unit = PARLEY_UNIT_UTF16, .length_max = 70, .joined_max = 67, .count_max = 5),
                            NULL),
};
const parley_plugin parley_plugin_v1 = {
    .size = sizeof parley_plugin_v1, .abi_major = PARLEY_ABI_MAJOR, .abi_minor = PARLEY_ABI_MINOR, .name = "threaded",
    .version = "1.0.0", .summary = "has a thread and a pipe of its own, and breaks no promise", .capabilities = &capabilities,
    .create = threaded_create, .start = threaded_start, .submit = threaded_submit, .stop = threaded_stop,
    .destroy = threaded_destroy,
};
