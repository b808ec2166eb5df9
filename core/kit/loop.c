/* The order of things: events, posts, work, timers and watches of all channels of a case, on a clock that the kit moves. */
#include "core/base/alloc.h"
#include "core/base/text.h"
#include "inside.h"
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define SLOW_NS INT64_C(50000000) /* what the host logs and counts */
#define SLOW_CALLS_MIN 3 /* so often, and half of all calls of the kind: once is the machine's fault, not the plugin's */
#define WATCHES_MAX 64
#define PATIENCE_MS 1500 /* of real time, for a thread or a program that may be starting; less, the more often it was in vain */
#define PATIENCE_MS_MIN 20
#define PATIENCE_NAP_MS 10

/* --- Clock and chance --------------------------------------------------------------------------------------------- */

int64_t kit_real_ns(void)
{
  struct timespec now;

  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static int64_t used_ns(void) /* of the processor, by this thread */
{
  struct timespec used;

  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return used.tv_sec * INT64_C(1000000000) + used.tv_nsec;
}

/* How long this thread has waited for a processor so far: not the plugin's fault. */
static int64_t waited_ns(const struct kit *kit)
{
  char line[96] = "";
  unsigned long long run = 0, wait = 0;

  if (kit->schedstat_fd < 0 || pread(kit->schedstat_fd, line, sizeof line - 1, 0) <= 0 ||
      sscanf(line, "%llu %llu", &run, &wait) != 2)
    return 0;
  return (int64_t)wait;
}

uint64_t kit_random(struct kit *kit)
{
  uint64_t draw;

  kit->env.env.random(&kit->env.env, &draw, sizeof draw);
  return draw;
}

uint32_t kit_below(struct kit *kit, uint32_t n)
{
  return (uint32_t)((kit_random(kit) >> 32) * n >> 32);
}

uint32_t kit_mood(struct kit *kit, uint32_t n)
{
  return kit->in_turn ? kit->n_turns++ % n : kit_below(kit, n);
}

int64_t kit_mono(const struct kit *kit)
{
  return kit->env.env.mono_ms(&kit->env.env);
}

size_t kit_count(const char *folder)
{
  DIR *dir = opendir(folder);
  size_t count = 0;

  while (dir != NULL && readdir(dir) != NULL)
    count++;
  if (dir != NULL)
    closedir(dir);
  return count;
}

/* --- Calls of the plugin ------------------------------------------------------------------------------------------ */

void kit_enter(struct kit_host *host, const char *what)
{
  struct kit *kit = host->kit;

  if (kit->depth++ > 0)
    kit_fail(kit, PROMISE_REENTRY, "%s would be called within %s", what, kit->note->doing);
  snprintf(kit->note->doing, sizeof kit->note->doing, "%s", what);
  kit->entered = what;
  kit->entered_wait_ns = waited_ns(kit);
  kit->entered_used_ns = used_ns();
  kit->entered_ns = kit_real_ns();
  atomic_store(&kit->note->entered_ns, kit->entered_ns);
}

static void slow_count(struct kit *kit, int64_t spent_ns)
{
  struct kit_pace *pace = kit->paces;

  while (pace < kit->paces + COUNT_OF(kit->paces) - 1 && pace->what != NULL && strcmp(pace->what, kit->entered) != 0)
    pace++;
  pace->what = kit->entered;
  pace->calls++;
  pace->slow += spent_ns > SLOW_NS;
  if (spent_ns > SLOW_NS && pace->slow >= SLOW_CALLS_MIN && pace->slow * 2 >= pace->calls)
    kit_fail(kit, PROMISE_LOOP, "%s kept the loop for %lld ms, and so did %u of its %u calls", kit->entered,
             (long long)(spent_ns / 1000000), pace->slow, pace->calls);
}

void kit_leave(struct kit_host *host)
{
  struct kit *kit = host->kit;
  int64_t spent = kit_real_ns() - kit->entered_ns;

  kit->depth--;
  atomic_store(&kit->note->entered_ns, 0);
  if (spent > SLOW_NS) { /* a sanitizer makes code slow, and sleep no longer */
    int64_t used = used_ns() - kit->entered_used_ns;

    spent -= waited_ns(kit) - kit->entered_wait_ns + used - used / KIT_SLOWNESS;
  }
  slow_count(kit, spent);
  if (host->settling)
    kit_messages_end(host);
}

/* --- Events ------------------------------------------------------------------------------------------------------- */

void kit_later(struct kit_host *host, struct kit_event *event, void (*run)(struct kit_event *event))
{
  event->host = host;
  event->run = run;
  list_push(&host->kit->events, &event->node);
}

struct later_done {
  struct kit_event event;
  parley_done *done;
  void *arg;
  parley_status status;
  uint32_t count;
  struct kit_frame frame;
  parley_text value;
};

static void later_done_run(struct kit_event *event)
{
  struct later_done *later = container_of(event, struct later_done, event);
  parley_result *result = kit_frame_room(&later->frame, sizeof *result);

  *result = (parley_result){.size = sizeof *result, .status = later->status, .count = later->count, .value = later->value};
  if (later->status != PARLEY_OK)
    result->reason = kit_status_name(later->status);
  if (later->status == PARLEY_BUSY || later->status == PARLEY_RETRY)
    result->retry_ms = 5000;
  KIT_CALL(event->host, "done", later->done(result, later->arg));
  kit_frame_end(event->host->kit, &later->frame, "the result of a done() that has returned");
  free(later);
}

void kit_done_later(struct kit_host *host, parley_done *done, void *arg, parley_status status, parley_text value, uint32_t count)
{
  struct later_done *later;

  if (done == NULL)
    return;
  later = xcalloc(1, sizeof *later);
  *later = (struct later_done){.done = done, .arg = arg, .status = status, .count = count,
                               .frame = kit_frame_new(value.len + sizeof(parley_result) + 64)};
  later->value = kit_frame_text(&later->frame, value);
  kit_later(host, &later->event, later_done_run);
}

static bool events_run(struct kit *kit)
{
  struct list *node = list_pop(&kit->events);

  if (node == NULL)
    return false;
  LIST_ITEM(node, struct kit_event, node)->run(LIST_ITEM(node, struct kit_event, node));
  return true;
}

static bool posts_run(struct kit *kit)
{
  struct kit_post *post;
  uint64_t woken;

  pthread_mutex_lock(&kit->mutex);
  post = kit->posts;
  if (post != NULL) {
    kit->posts = post->next;
    if (kit->posts == NULL)
      kit->posts_end = &kit->posts;
  }
  pthread_mutex_unlock(&kit->mutex);
  while (read(kit->wake_fd, &woken, sizeof woken) > 0)
    continue;
  if (post == NULL)
    return false;
  KIT_CALL(post->host, "post", post->run(post->arg));
  free(post);
  return true;
}

/* --- Watches: real descriptors, looked at for up to so many ms ---------------------------------------------------- */

static short poll_events(uint32_t events)
{
  return (short)((events & PARLEY_READABLE ? POLLIN : 0) | (events & PARLEY_WRITABLE ? POLLOUT : 0) |
                 (events & PARLEY_HANGUP ? POLLRDHUP : 0));
}

static struct kit_watch *watch_by_id(struct kit *kit, uint64_t id)
{
  for (struct list *node = kit->watches.next; node != &kit->watches; node = node->next)
    if (LIST_ITEM(node, struct kit_watch, node)->id == id)
      return LIST_ITEM(node, struct kit_watch, node);
  return NULL;
}

static void watch_tell(struct kit_watch *watch, short seen)
{
  uint32_t said = (seen & POLLIN ? PARLEY_READABLE : 0u) | (seen & POLLOUT ? PARLEY_WRITABLE : 0u) |
                  (seen & (POLLHUP | POLLRDHUP | POLLERR | POLLNVAL) ? PARLEY_HANGUP : 0u);

  KIT_CALL(watch->host, "watch", watch->ready(said, watch->arg));
}

static bool watches_look(struct kit *kit, int ms)
{
  struct pollfd fds[WATCHES_MAX + 1] = {{.fd = kit->wake_fd, .events = POLLIN}};
  uint64_t ids[WATCHES_MAX + 1] = {0};
  nfds_t n = 1;
  bool did = false;

  if (list_empty(&kit->watches) && ms == 0)
    return false;
  for (struct list *node = kit->watches.next; node != &kit->watches && n <= WATCHES_MAX; node = node->next, n++) {
    const struct kit_watch *watch = LIST_ITEM(node, struct kit_watch, node);

    fds[n] = (struct pollfd){.fd = watch->fd, .events = poll_events(watch->events)};
    ids[n] = watch->id;
  }
  if (poll(fds, n, ms) <= 0)
    return false;
  did = fds[0].revents != 0;
  for (nfds_t i = 1; i < n; i++) {
    struct kit_watch *watch = fds[i].revents != 0 ? watch_by_id(kit, ids[i]) : NULL;

    if (watch != NULL) { /* else an earlier one ended it */
      watch_tell(watch, fds[i].revents);
      did = true;
    }
  }
  return did;
}

bool kit_foreign(struct kit *kit)
{
  return !list_empty(&kit->watches) || kit_count("/proc/self/task") > kit->n_threads;
}

bool kit_real(struct kit *kit, int ms)
{
  bool came = watches_look(kit, ms);

  kit_run(kit);
  return came;
}

bool kit_patient(struct kit *kit, int64_t *idle_ms)
{
  int64_t from = kit_real_ns();

  if (!kit_foreign(kit))
    return false;
  if (kit_real(kit, PATIENCE_NAP_MS)) {
    *idle_ms = 0;
    kit->patience_ms = PATIENCE_MS;
    return true;
  }
  *idle_ms += (kit_real_ns() - from) / 1000000;
  if (*idle_ms < kit->patience_ms)
    return true;
  kit->patience_ms = kit->patience_ms > PATIENCE_MS_MIN ? kit->patience_ms / 2 : PATIENCE_MS_MIN; /* it was in vain */
  return false;
}

/* --- Running ------------------------------------------------------------------------------------------------------ */

#define RUN_TURNS_MAX 1000000 /* a plugin that asks for ever and is answered for ever */

void kit_run(struct kit *kit)
{
  for (int turn = 0; turn < RUN_TURNS_MAX; turn++)
    if (!posts_run(kit) && !events_run(kit) && !kit_work_step(kit) && !kit_http_step(kit) && !kit_stream_step(kit) &&
        !watches_look(kit, 0))
      return;
  kit_fail(kit, PROMISE_LOOP, "it never comes to rest: a million things in a row without the clock moving");
}

static struct kit_timer *timer_first(struct kit *kit)
{
  struct kit_timer *first = NULL;

  for (struct list *node = kit->timers.next; node != &kit->timers; node = node->next) {
    struct kit_timer *timer = LIST_ITEM(node, struct kit_timer, node);

    if (first == NULL || timer->due_ms < first->due_ms)
      first = timer;
  }
  return first;
}

static void timer_fire(struct kit_timer *timer)
{
  struct kit_host *host = timer->host;
  parley_call *due = timer->due;
  void *arg = timer->arg;

  if (timer->every_ms > 0) {
    timer->due_ms += timer->every_ms;
    list_remove(&timer->node); /* behind others that are due at the same time */
    list_push(&host->kit->timers, &timer->node);
  } else {
    list_remove(&timer->node);
    free(timer);
  }
  KIT_CALL(host, "timer", due(arg));
}

static int64_t min_ms(int64_t a, int64_t b)
{
  return a < b ? a : b;
}

bool kit_step_next(struct kit *kit, int64_t until_ms)
{
  struct kit_timer *timer = timer_first(kit);
  int64_t due = min_ms(min_ms(kit_http_due(kit), kit_stream_due(kit)), timer != NULL ? timer->due_ms : INT64_MAX);
  int64_t to = min_ms(due, until_ms), now = kit_mono(kit);

  if (to > now)
    env_fake_step(&kit->env, to - now);
  if (due > until_ms)
    return false;
  if (timer != NULL && timer->due_ms <= due)
    timer_fire(timer);
  kit_run(kit);
  return true;
}

void kit_step(struct kit *kit, int64_t ms)
{
  int64_t until = kit_mono(kit) + ms;

  kit_run(kit);
  while (kit_step_next(kit, until))
    continue;
}

static uint32_t open_tokens(const struct kit *kit)
{
  uint32_t n = 0;

  for (const struct list *node = kit->hosts.next; node != &kit->hosts; node = node->next)
    n += LIST_ITEM(node, struct kit_host, node)->n_open;
  return n;
}

void kit_settle_wait(struct kit *kit, int64_t within_ms)
{
  int64_t until = kit_mono(kit) + within_ms, idle_ms = 0;

  kit_run(kit);
  while (open_tokens(kit) > 0 && kit_patient(kit, &idle_ms)) /* first what takes real time */
    continue;
  while (open_tokens(kit) > 0 && kit_step_next(kit, until))
    continue;
}

void kit_loop_init(struct kit *kit)
{
  struct list *const lists[] = {&kit->hosts, &kit->events, &kit->timers, &kit->watches, &kit->works, &kit->https, &kit->streams,
                                &kit->items, &kit->uploads, &kit->states};

  for (size_t i = 0; i < COUNT_OF(lists); i++)
    list_init(lists[i]);
  kit->loop = pthread_self();
  kit->posts_end = &kit->posts;
  kit->patience_ms = PATIENCE_MS;
  pthread_mutex_init(&kit->mutex, NULL);
  kit->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  kit->schedstat_fd = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
  if (kit->wake_fd < 0)
    abort();
  kit_work_init(kit);
  kit->n_threads = kit_count("/proc/self/task");
}
