/* A channel and its host: the life of it, and the host's plain functions. */
#include "core/base/alloc.h"
#include "core/base/text.h"
#include "core/channel/option.h"
#include "inside.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WINDOW_DEFAULT 64      /* as the host's, for a plugin that names none */
#define METRIC_LABEL_BYTES_MAX 63
#define LEAVING_NAP_MS 2      /* for threads of the plugin, after destroy */
#define LEAVING_NAPS 10
#define OPENING_STEPS 10
#define OPENING_STEP_MS 1000

static struct kit_host *host_of(const parley_host *host) { return host->impl; }

bool kit_on_loop(struct kit_host *host, const char *function)
{
  if (pthread_equal(pthread_self(), host->kit->loop))
    return true;
  kit_fail(host->kit, PROMISE_THREAD, "host->%s was called on another thread than the loop's", function);
}

/* --- Clock, chance, words ----------------------------------------------------------------------------------------- */

static int64_t host_now_ms(const parley_host *host)
{
  const struct env *env = &host_of(host)->kit->env.env;

  return env->now_ms(env);
}

static int64_t host_mono_ms(const parley_host *host)
{
  const struct env *env = &host_of(host)->kit->env.env;

  return env->mono_ms(env);
}

static void host_random(const parley_host *host, void *to, size_t len)
{
  const struct env *env = &host_of(host)->kit->env.env;

  env->random(env, to, len);
}

static void host_log(const parley_host *host, uint32_t level, parley_text line)
{
  struct kit *kit = host_of(host)->kit;

  if (level < PARLEY_DEBUG || level > PARLEY_ERROR)
    kit_fail(kit, PROMISE_BODY, "log has a level of %u; there are PARLEY_DEBUG (1) to PARLEY_ERROR (4)", level);
  kit_words_scan(kit, "a log line", line);
  if (text_find(line, '\n') < line.len)
    kit_fail(kit, PROMISE_BODY, "a log line is several lines: \"%.*s\"", TEXT_ARG(text_sub(line, 0, 200)));
}

static void host_trace(const parley_host *host, uint64_t token, parley_text line)
{
  (void)token;
  kit_on_loop(host_of(host), "trace");
  kit_secret_scan(host_of(host)->kit, "a trace", line);
}

static void host_metric(const parley_host *host, const char *name, parley_text label, double value)
{
  struct kit *kit = host_of(host)->kit;

  (void)value;
  kit_words_scan(kit, "a metric's label", label);
  if (label.len > METRIC_LABEL_BYTES_MAX)
    kit_fail(kit, PROMISE_METRIC, "the metric %s has a label of %zu bytes; the host keeps %d", name, label.len,
             METRIC_LABEL_BYTES_MAX);
  for (const parley_metric *const *row = kit->plugin->metrics; row != NULL && *row != NULL; row++)
    if (strcmp((*row)->name, name) == 0)
      return;
  kit_fail(kit, PROMISE_METRIC, "the metric %s does not stand in the plugin's table", name);
}

static void host_post(const parley_host *host, parley_call *run, void *arg)
{
  struct kit_host *to = host_of(host);
  struct kit_post *post = xcalloc(1, sizeof *post);
  const uint64_t one = 1;

  *post = (struct kit_post){.host = to, .run = run, .arg = arg};
  pthread_mutex_lock(&to->kit->mutex);
  *to->kit->posts_end = post;
  to->kit->posts_end = &post->next;
  pthread_mutex_unlock(&to->kit->mutex);
  if (write(to->kit->wake_fd, &one, sizeof one) < 0)
    return; /* full: the loop is awake in any case */
}

static void host_window(const parley_host *host, uint32_t in_flight)
{
  kit_on_loop(host_of(host), "window");
  host_of(host)->window = in_flight;
}

static void host_health(const parley_host *host, uint32_t level, parley_text cause, parley_text remedy)
{
  struct kit_host *to = host_of(host);

  kit_on_loop(to, "health");
  if (level < PARLEY_UP || level > PARLEY_DOWN)
    kit_fail(to->kit, PROMISE_STATUS, "health has a level of %u; there are PARLEY_UP, PARLEY_DEGRADED and PARLEY_DOWN", level);
  kit_words_scan(to->kit, "a cause of health()", cause);
  kit_words_scan(to->kit, "a remedy of health()", remedy);
  to->health = level;
  snprintf(to->cause, sizeof to->cause, "%.*s", TEXT_ARG(level != PARLEY_UP ? text_sub(cause, 0, sizeof to->cause - 1) : TEXT_EMPTY));
}

/* --- Timers, watches, work ---------------------------------------------------------------------------------------- */

static uint64_t host_timer(const parley_host *host, uint32_t after_ms, uint32_t every_ms, parley_call *due, void *arg)
{
  struct kit_host *to = host_of(host);
  struct kit_timer *timer = xcalloc(1, sizeof *timer);

  kit_on_loop(to, "timer");
  *timer = (struct kit_timer){.host = to, .id = ++to->kit->last_id, .due_ms = kit_mono(to->kit) + after_ms, .every_ms = every_ms,
                              .due = due, .arg = arg};
  list_push(&to->kit->timers, &timer->node);
  return timer->id;
}

static uint64_t host_watch(const parley_host *host, int32_t fd, uint32_t events, parley_ready *ready, void *arg)
{
  struct kit_host *to = host_of(host);
  struct kit_watch *watch = xcalloc(1, sizeof *watch);

  kit_on_loop(to, "watch");
  if (fcntl(fd, F_GETFD) < 0)
    kit_fail(to->kit, PROMISE_ALIVE, "host->watch was given %d, which is no open descriptor", fd);
  *watch = (struct kit_watch){.host = to, .id = ++to->kit->last_id, .fd = fd, .events = events, .ready = ready, .arg = arg};
  list_push(&to->kit->watches, &watch->node);
  return watch->id;
}

static uint64_t host_work(const parley_host *host, parley_call *blocking, parley_done *done, void *arg)
{
  struct kit_host *to = host_of(host);
  struct kit_work *work;

  kit_on_loop(to, "work");
  if (to->kit->work_busy || to->state >= KIT_STOPPED) {
    kit_done_later(to, done, arg, to->state >= KIT_STOPPED ? PARLEY_CANCELLED : PARLEY_BUSY, TEXT_EMPTY, 0);
    return ++to->kit->last_id;
  }
  work = xcalloc(1, sizeof *work);
  *work = (struct kit_work){.host = to, .id = ++to->kit->last_id, .blocking = blocking, .done = done, .arg = arg};
  list_push(&to->kit->works, &work->node);
  return work->id;
}

/* Work that has not begun; what runs is waited for. */
static bool work_cancel(struct kit_host *host, uint64_t id)
{
  for (struct list *node = host->kit->works.next; node != &host->kit->works; node = node->next) {
    struct kit_work *work = LIST_ITEM(node, struct kit_work, node);

    if (work->host != host || (id != 0 && work->id != id))
      continue;
    list_remove(&work->node);
    kit_done_later(host, work->done, work->arg, PARLEY_CANCELLED, TEXT_EMPTY, 0);
    free(work);
    return true;
  }
  return false;
}

static bool timer_cancel(struct kit_host *host, uint64_t id) /* id 0: any */
{
  for (struct list *node = host->kit->timers.next; node != &host->kit->timers; node = node->next) {
    struct kit_timer *timer = LIST_ITEM(node, struct kit_timer, node);

    if (timer->host != host || (id != 0 && timer->id != id))
      continue;
    list_remove(&timer->node);
    free(timer);
    return true;
  }
  return false;
}

static bool watch_cancel(struct kit_host *host, uint64_t id)
{
  for (struct list *node = host->kit->watches.next; node != &host->kit->watches; node = node->next) {
    struct kit_watch *watch = LIST_ITEM(node, struct kit_watch, node);

    if (watch->host != host || (id != 0 && watch->id != id))
      continue;
    list_remove(&watch->node);
    free(watch);
    return true;
  }
  return false;
}

static void host_cancel(const parley_host *host, uint64_t id)
{
  struct kit_host *to = host_of(host);

  kit_on_loop(to, "cancel");
  if (id != 0 && !timer_cancel(to, id) && !watch_cancel(to, id) && !work_cancel(to, id) && !kit_http_cancel(to, id) &&
      !kit_upload_cancel(to, id))
    kit_stream_cancel(to, id); /* an id that is over has no effect */
}

const void *kit_extension(const parley_host *host, const char *id)
{
  static const struct { const char *id; const void *table; } all[] = {
      {PARLEY_HTTP, &kit_http_table}, {PARLEY_HTTP_IN, &kit_answers_table}, {PARLEY_STREAM, &kit_stream_table},
      {PARLEY_MEDIA, &kit_media_table}, {PARLEY_SUBMIT, &kit_submit_table}};

  if (host != NULL)
    kit_on_loop(host_of(host), "extension");
  for (size_t i = 0; i < COUNT_OF(all); i++)
    if (strcmp(all[i].id, id) == 0)
      return all[i].table;
  return NULL;
}

bool kit_uses(const struct kit *kit, const char *extension)
{
  for (const char *const *id = kit->plugin->requires_ids; id != NULL && *id != NULL; id++)
    if (strcmp(*id, extension) == 0)
      return true;
  return false;
}

/* --- Life --------------------------------------------------------------------------------------------------------- */

#define HOST_TEXTS_BYTES 256

static struct kit_host *host_new(struct kit *kit, const parley_value *options)
{
  struct kit_host *host = xcalloc(1, sizeof *host);
  parley_host *shown;

  host->kit = kit;
  host->frame = kit_frame_new(sizeof *shown + HOST_TEXTS_BYTES);
  host->options_frame = kit_frame_new(kit_options_bytes(options) + sizeof(max_align_t));
  host->options = kit_options_copy(&host->options_frame, options);
  host->window = UINT32_MAX;
  list_init(&host->tokens);
  list_init(&host->calls);
  shown = host->host = kit_frame_room(&host->frame, sizeof *shown);
  *shown = (parley_host){
      .size = sizeof *shown, .abi_major = PARLEY_ABI_MAJOR, .abi_minor = PARLEY_ABI_MINOR, .impl = host,
      .inline_max = KIT_INLINE_MAX, .now_ms = host_now_ms, .mono_ms = host_mono_ms, .random = host_random, .log = host_log,
      .metric = host_metric, .post = host_post, .timer = host_timer, .watch = host_watch, .work = host_work,
      .cancel = host_cancel, .settle = kit_settle, .window = host_window, .trace = host_trace, .health = host_health,
      .extension = kit_extension};
  kit_host_in_init(shown);
  shown->version = kit_frame_text(&host->frame, PARLEY_LIT("1.0"));
  shown->channel = kit_frame_text(&host->frame, PARLEY_LIT("kit"));
  shown->public_url = kit_frame_text(&host->frame, PARLEY_LIT("https://parley.example/in/kit"));
  kit_frame_seal(kit, &host->frame, "the host's own parley_host");
  kit_frame_seal(kit, &host->options_frame, "its options, which are the host's");
  return host;
}

static void posts_drop(struct kit_host *host)
{
  struct kit *kit = host->kit;

  pthread_mutex_lock(&kit->mutex);
  for (struct kit_post **at = &kit->posts; *at != NULL;) {
    struct kit_post *post = *at;

    if (post->host != host) {
      at = &post->next;
      continue;
    }
    *at = post->next;
    free(post);
  }
  for (kit->posts_end = &kit->posts; *kit->posts_end != NULL;)
    kit->posts_end = &(*kit->posts_end)->next;
  pthread_mutex_unlock(&kit->mutex);
}

static void host_free(struct kit_host *host, const char *when)
{
  for (struct list *node; (node = list_pop(&host->calls)) != NULL;)
    free(LIST_ITEM(node, struct kit_call, node));
  kit_tokens_sweep(host);
  posts_drop(host);
  while (timer_cancel(host, 0) || watch_cancel(host, 0))
    continue;
  kit_frame_end(host->kit, &host->options_frame, "the options of a channel, after %s", when);
  kit_frame_end(host->kit, &host->frame, "the parley_host of a channel, after %s", when);
  free(host);
}

static void create_refused(struct kit_host *host, parley_status st, bool touched)
{
  struct kit *kit = host->kit;

  if (st > 0 || st < PARLEY_CANCELLED)
    kit_fail(kit, PROMISE_STATUS, "create() returned %d", st);
  if (touched)
    kit_fail(kit, PROMISE_CREATE, "create() returned %.*s, and changed *ret all the same", TEXT_ARG(kit_status_name(st)));
  if (host->cause[0] == '\0' && st != PARLEY_BUSY)
    kit_fail(kit, PROMISE_CREATE, "create() returned %.*s, and health() had given no cause", TEXT_ARG(kit_status_name(st)));
  snprintf(kit->refusal, sizeof kit->refusal, "%s", host->cause);
  host_free(host, "a create() that failed");
}

parley_status kit_create(struct kit *kit, const parley_value *options, struct kit_host **ret)
{
  struct kit_host *host;
  parley_channel *const before = (parley_channel *)(void *)kit;
  parley_channel *channel = before;
  parley_status st = PARLEY_FAILED;

  if (kit->options == NULL && options == NULL)
    kit_options_default(kit);
  host = host_new(kit, options != NULL ? options : kit->options);
  KIT_CALL(host, "create", st = kit->plugin->create(host->host, host->options, &channel));
  if (st != PARLEY_OK) {
    create_refused(host, st, channel != before);
    return st;
  }
  if (channel == before || channel == NULL)
    kit_fail(kit, PROMISE_CREATE, "create() returned PARLEY_OK and made no channel");
  host->channel = channel;
  host->state = KIT_MADE;
  list_push(&kit->hosts, &host->node);
  host->caps = kit->plugin->capabilities;
  if (PARLEY_HAS(parley_plugin, kit->plugin, capable) && kit->plugin->capable != NULL)
    KIT_CALL(host, "capable", host->caps = kit->plugin->capable(channel));
  if (host->caps == NULL)
    kit_fail(kit, PROMISE_TABLE, "capable() returned NULL");
  kit_capabilities_check(kit, host->caps);
  *ret = host;
  return PARLEY_OK;
}

/* The plugin has taken its leave, or never came: the host ends what is open. */
static void host_end_open(struct kit_host *host)
{
  for (struct list *node = host->tokens.next; node != &host->tokens; node = node->next)
    LIST_ITEM(node, struct kit_token, node)->settled = true;
  host->n_open = 0;
  kit_tokens_sweep(host);
  while (timer_cancel(host, 0) || watch_cancel(host, 0) || work_cancel(host, 0))
    continue;
  kit_http_end(host);
  kit_items_end(host);
  kit_media_end(host);
  kit_stream_end(host);
  kit_run(host->kit);
  while (work_cancel(host, 0) || timer_cancel(host, 0) || watch_cancel(host, 0))
    kit_run(host->kit);
}

parley_status kit_start_try(struct kit_host *host)
{
  parley_status st = PARLEY_FAILED;
  int64_t idle_ms = 0;

  host->state = KIT_STARTED;
  host->health = PARLEY_UP;
  KIT_CALL(host, "start", st = host->kit->plugin->start(host->channel));
  if (st != PARLEY_OK) {
    host->state = KIT_MADE; /* a failed start leaves destroy */
    host_end_open(host);
    return st;
  }
  if (host->window == UINT32_MAX)
    host->window = host->caps->in_flight > 0 ? host->caps->in_flight : WINDOW_DEFAULT;
  kit_run(host->kit);
  while (host->window == 0 && kit_patient(host->kit, &idle_ms)) /* until it has logged in, or its program is ready */
    continue;
  for (int i = 0; i < OPENING_STEPS && host->window == 0; i++)
    kit_step(host->kit, OPENING_STEP_MS);
  return st;
}

void kit_start(struct kit_host *host)
{
  parley_status st = kit_start_try(host);

  if (st != PARLEY_OK)
    kit_fail(host->kit, PROMISE_START, "start() returned %.*s with the options of the examples, and nothing of it was tried yet",
             TEXT_ARG(kit_status_name(st)));
}

struct kit_host *kit_up(struct kit *kit)
{
  struct kit_host *host = NULL;
  parley_status st = kit_create(kit, NULL, &host);

  if (st != PARLEY_OK)
    kit_fail(kit, PROMISE_OPTIONS, "create() returned %.*s with the options of the table's examples and defaults",
             TEXT_ARG(kit_status_name(st)));
  kit_start(host);
  return host;
}

void kit_drain(struct kit_host *host, uint32_t within_ms)
{
  host->state = KIT_DRAINING;
  if (host->kit->plugin->drain != NULL)
    KIT_CALL(host, "drain", host->kit->plugin->drain(host->channel, within_ms));
  kit_run(host->kit);
}

static void on_stop_said(void *arg)
{
  struct kit_host *host = host_of(arg);

  kit_on_loop(host, "done of stop");
  if (host->state == KIT_STOPPED)
    kit_fail(host->kit, PROMISE_STOP, "stop's done() came a second time");
  host->state = KIT_STOPPED;
}

void kit_stop(struct kit_host *host)
{
  struct kit *kit = host->kit;
  int64_t until = kit_mono(kit) + KIT_STOP_MS, idle_ms = 0;

  host->state = KIT_STOPPING;
  if (kit->plugin->stop != NULL)
    KIT_CALL(host, "stop", kit->plugin->stop(host->channel, on_stop_said, host->host));
  else
    host->state = KIT_STOPPED;
  kit_run(kit);
  while (host->state != KIT_STOPPED && kit_patient(kit, &idle_ms))
    continue;
  while (host->state != KIT_STOPPED && kit_step_next(kit, until))
    continue;
  if (host->state != KIT_STOPPED)
    kit_fail(kit, PROMISE_STOP, "stop's done() had not come after %d s", KIT_STOP_MS / 1000);
  host_end_open(host);
}

void kit_destroy(struct kit_host **host)
{
  struct kit_host *gone = *host;
  struct kit *kit = gone->kit;
  size_t threads = kit_count("/proc/self/task");

  *host = NULL;
  KIT_CALL(gone, "destroy", kit->plugin->destroy(gone->channel));
  gone->state = KIT_GONE;
  list_remove(&gone->node);
  for (int i = 0; i < LEAVING_NAPS && threads > kit->n_threads && kit_count("/proc/self/task") >= threads; i++)
    kit_real(kit, LEAVING_NAP_MS); /* what was not told to end may still use the host */
  host_free(gone, "destroy()");
}

void kit_down(struct kit_host **host)
{
  kit_drain(*host, KIT_STOP_MS);
  kit_settle_wait((*host)->kit, KIT_STOP_MS);
  kit_stop(*host);
  kit_destroy(host);
}
