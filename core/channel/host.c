/* The host's plain functions, as include/parley/plugin.h promises them. */
#include "core/base/alloc.h"
#include "core/base/text.h"
#include "instance.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define METRIC_LABEL_BYTES_MAX 63
#define HEALTH_TEXT_MAX 200 /* bytes of cause and of remedy */

/* --- Handles -------------------------------------------------------------------------------------------------------------- */

bool handle_add(struct channel *channel, struct handle *handle, enum handle_kind kind, void (*cancel)(struct handle *))
{
  if (channel->handles.count >= CHANNEL_HANDLES_MAX)
    return false;
  handle->channel = channel;
  handle->kind = kind;
  handle->cancel = cancel;
  handle->id = HANDLE_ID_BIT | ++channel->last_id;
  map_put(&channel->handles, handle->id, handle);
  return true;
}

void handle_drop(struct handle *handle)
{
  map_take(&handle->channel->handles, handle->id);
}

static void host_cancel(const parley_host *host, uint64_t id)
{
  struct channel *channel = channel_of(host);
  struct handle *handle = map_get(&channel->handles, id);

  if (handle != NULL)
    handle->cancel(handle);
  else if (channel->streams != NULL && (id & HANDLE_ID_BIT) == 0)
    stream_cancel(channel->streams, id);
}

/* --- Completions ---------------------------------------------------------------------------------------------------------- */

void channel_done(struct channel *channel, parley_done *done, void *arg, parley_status status, uint32_t count,
                  parley_text value, const char *reason)
{
  parley_result result = {.size = sizeof result, .status = status, .count = count, .value = value,
                          .reason = parley_text_of(reason)};

  if (status == PARLEY_BUSY || status == PARLEY_RETRY)
    result.retry_ms = 5000;
  if (done == NULL)
    return;
  channel_enter(channel);
  done(&result, arg);
  channel_leave(channel, "done");
}

struct later {
  struct deferred deferred;
  parley_done *done;
  void *arg;
  parley_status status;
  const char *reason;
};

static void later_run(struct channel *channel, struct deferred *deferred)
{
  struct later *later = container_of(deferred, struct later, deferred);

  channel_done(channel, later->done, later->arg, later->status, 0, TEXT_EMPTY, later->reason);
  free(later);
}

void channel_done_later(struct channel *channel, parley_done *done, void *arg, parley_status status, const char *reason)
{
  struct later *later = xcalloc(1, sizeof *later);

  *later = (struct later){.deferred = {.run = later_run}, .done = done, .arg = arg, .status = status, .reason = reason};
  channel_defer(channel, &later->deferred);
}

struct http_refusal {
  struct deferred deferred;
  parley_http_done *done;
  void *arg;
  parley_status status;
  const char *reason;
};

static void http_refusal_run(struct channel *channel, struct deferred *deferred)
{
  struct http_refusal *refusal = container_of(deferred, struct http_refusal, deferred);
  parley_http_response response = {.size = sizeof response, .status = refusal->status, .reason = parley_text_of(refusal->reason)};

  channel_enter(channel);
  refusal->done(&response, refusal->arg);
  channel_leave(channel, "http");
  free(refusal);
}

uint64_t http_refuse(struct channel *channel, parley_http_done *done, void *arg, parley_status status, const char *reason)
{
  struct http_refusal *refusal = xcalloc(1, sizeof *refusal);

  *refusal = (struct http_refusal){.deferred = {.run = http_refusal_run}, .done = done, .arg = arg, .status = status, .reason = reason};
  channel_defer(channel, &refusal->deferred);
  return HANDLE_ID_BIT;
}

/* --- Clock, chance, words ------------------------------------------------------------------------------------------------- */

static int64_t host_now_ms(const parley_host *host)
{
  const struct env *env = channel_of(host)->shared.env;

  return env->now_ms(env);
}

static int64_t host_mono_ms(const parley_host *host)
{
  const struct env *env = channel_of(host)->shared.env;

  return env->mono_ms(env);
}

static void host_random(const parley_host *host, void *to, size_t len)
{
  const struct env *env = channel_of(host)->shared.env;

  env->random(env, to, len);
}

static void host_log(const parley_host *host, uint32_t level, parley_text line)
{
  const struct channel *channel = channel_of(host);
  struct buf masked = BUF_INIT(LOG_PLUGIN_LINE_MAX);

  channel_mask_cut(channel, line, LOG_PLUGIN_LINE_MAX, &masked);
  log_plugin(channel->shared.log, level, channel->name, buf_as_text(&masked));
  buf_done(&masked);
}

static void host_trace(const parley_host *host, uint64_t token, parley_text line)
{
  (void)token;
  host_log(host, PARLEY_DEBUG, line);
}

static const parley_metric *metric_find(const struct channel *channel, const char *name)
{
  for (const parley_metric *const *row = channel->table->metrics; row != NULL && *row != NULL; row++)
    if (strcmp((*row)->name, name) == 0)
      return *row;
  return NULL;
}

static struct metric_value *metric_place(struct channel *channel, const parley_metric *metric, const char *label)
{
  struct metric_value *value;

  for (size_t i = 0; i < channel->n_metrics; i++)
    if (channel->metrics[i].metric == metric && strcmp(channel->metrics[i].label, label) == 0)
      return &channel->metrics[i];
  if (channel->n_metrics == CHANNEL_METRICS_MAX)
    return NULL;
  value = &channel->metrics[channel->n_metrics++];
  value->metric = metric;
  snprintf(value->label, sizeof value->label, "%s", label);
  return value;
}

void channel_metric_add(struct channel *channel, const char *name, parley_text label, double amount, uint64_t n)
{
  const parley_metric *metric = metric_find(channel, name);
  char word[METRIC_LABEL_BYTES_MAX + 1];
  struct metric_value *value;

  if (metric == NULL || label.len > METRIC_LABEL_BYTES_MAX || !text_utf8_ok(label) || !isfinite(amount) ||
      (metric->kind == PARLEY_COUNTER && amount < 0))
    return;
  snprintf(word, sizeof word, "%.*s", TEXT_ARG(label));
  uv_mutex_lock(&channel->mutex);
  value = metric_place(channel, metric, word);
  if (value != NULL) {
    value->value = metric->kind == PARLEY_GAUGE ? amount : value->value + amount;
    value->count += n;
  }
  uv_mutex_unlock(&channel->mutex);
}

static void host_metric(const parley_host *host, const char *name, parley_text label, double amount)
{
  channel_metric_add(channel_of(host), name, label, amount, 1);
}

void channel_metrics_each(struct channel *channel, bool take, channel_metric_seen *seen, void *arg)
{
  uv_mutex_lock(&channel->mutex);
  for (size_t i = 0; i < channel->n_metrics; i++) {
    struct metric_value *value = &channel->metrics[i];

    if (take && value->count == 0)
      continue;
    seen(value->metric, parley_text_of(value->label), value->value, value->count, arg);
    if (take) {
      value->count = 0;
      value->value = value->metric->kind == PARLEY_GAUGE ? value->value : 0;
    }
  }
  uv_mutex_unlock(&channel->mutex);
}

static void host_post(const parley_host *host, parley_call *run, void *arg)
{
  struct channel *channel = channel_of(host);
  struct posted *posted = xcalloc(1, sizeof *posted);

  posted->run = run;
  posted->arg = arg;
  uv_mutex_lock(&channel->mutex);
  *channel->posted_end = posted;
  channel->posted_end = &posted->next;
  uv_mutex_unlock(&channel->mutex);
  uv_async_send(&channel->async);
}

/* --- Timers, watches, work ------------------------------------------------------------------------------------------------- */

struct host_timer {
  struct handle handle;
  uv_timer_t timer;
  parley_call *due;
  void *arg;
};

static void host_timer_closed(uv_handle_t *handle)
{
  struct host_timer *timer = handle->data;
  struct channel *channel = timer->handle.channel;

  free(timer);
  channel->open_handles--;
  channel_maybe_gone(channel);
}

static void host_timer_cancel(struct handle *handle)
{
  struct host_timer *timer = container_of(handle, struct host_timer, handle);

  handle_drop(handle);
  uv_close((uv_handle_t *)&timer->timer, host_timer_closed);
}

static void host_timer_due(uv_timer_t *uv)
{
  struct host_timer *timer = uv->data;
  struct channel *channel = timer->handle.channel;
  parley_call *due = timer->due;
  void *arg = timer->arg;

  if (uv_timer_get_repeat(uv) == 0)
    host_timer_cancel(&timer->handle);
  channel_enter(channel);
  due(arg);
  channel_leave(channel, "timer");
}

static uint64_t host_timer(const parley_host *host, uint32_t after_ms, uint32_t every_ms, parley_call *due, void *arg)
{
  struct channel *channel = channel_of(host);
  struct host_timer *timer = xcalloc(1, sizeof *timer);

  if (channel->destroyed || !handle_add(channel, &timer->handle, HANDLE_TIMER, host_timer_cancel)) {
    channel_misbehaved(channel, "too_many_timers");
    free(timer);
    return HANDLE_ID_BIT; /* an id that is never given out: cancel() has no effect */
  }
  timer->due = due;
  timer->arg = arg;
  timer->timer.data = timer;
  uv_timer_init(channel->shared.loop, &timer->timer);
  uv_timer_start(&timer->timer, host_timer_due, after_ms, every_ms);
  uv_unref((uv_handle_t *)&timer->timer); /* a plugin's timer alone keeps no daemon alive */
  channel->open_handles++;
  return timer->handle.id;
}

struct host_watch {
  struct handle handle;
  uv_poll_t poll;
  parley_ready *ready;
  void *arg;
};

static void host_watch_closed(uv_handle_t *handle)
{
  struct host_watch *watch = handle->data;
  struct channel *channel = watch->handle.channel;

  free(watch);
  channel->open_handles--;
  channel_maybe_gone(channel);
}

static void host_watch_cancel(struct handle *handle)
{
  struct host_watch *watch = container_of(handle, struct host_watch, handle);

  handle_drop(handle);
  uv_close((uv_handle_t *)&watch->poll, host_watch_closed);
}

static void host_watch_ready(uv_poll_t *poll, int status, int events)
{
  struct host_watch *watch = poll->data;
  struct channel *channel = watch->handle.channel;
  uint32_t said = (events & UV_READABLE ? PARLEY_READABLE : 0u) | (events & UV_WRITABLE ? PARLEY_WRITABLE : 0u) |
                  (status < 0 || (events & UV_DISCONNECT) ? PARLEY_HANGUP : 0u);

  channel_enter(channel);
  watch->ready(said, watch->arg);
  channel_leave(channel, "watch");
}

static uint64_t host_watch(const parley_host *host, int32_t fd, uint32_t events, parley_ready *ready, void *arg)
{
  struct channel *channel = channel_of(host);
  struct host_watch *watch = xcalloc(1, sizeof *watch);
  int wanted = (events & PARLEY_READABLE ? UV_READABLE : 0) | (events & PARLEY_WRITABLE ? UV_WRITABLE : 0) |
               (events & PARLEY_HANGUP ? UV_DISCONNECT : 0);

  if (channel->destroyed || uv_poll_init(channel->shared.loop, &watch->poll, fd) != 0 ||
      !handle_add(channel, &watch->handle, HANDLE_WATCH, host_watch_cancel)) {
    channel_misbehaved(channel, "bad_watch");
    free(watch);
    return HANDLE_ID_BIT;
  }
  watch->ready = ready;
  watch->arg = arg;
  watch->poll.data = watch;
  uv_poll_start(&watch->poll, wanted, host_watch_ready);
  channel->open_handles++;
  return watch->handle.id;
}

struct host_work {
  struct handle handle;
  uv_work_t work;
  parley_call *blocking;
  parley_done *done;
  void *arg;
  bool cancelled;
};

static void host_work_run(uv_work_t *work)
{
  struct host_work *job = work->data;

  job->blocking(job->arg);
}

static void host_work_over(uv_work_t *work, int status)
{
  struct host_work *job = work->data;
  struct channel *channel = job->handle.channel;

  if (!job->cancelled)
    handle_drop(&job->handle);
  channel_done(channel, job->done, job->arg, status != 0 || job->cancelled ? PARLEY_CANCELLED : PARLEY_OK, 0, TEXT_EMPTY, NULL);
  free(job);
  channel_call_over(channel);
}

static void host_work_cancel(struct handle *handle)
{
  struct host_work *job = container_of(handle, struct host_work, handle);

  handle_drop(handle);
  job->cancelled = true; /* when it runs already, its end is waited for */
  uv_cancel((uv_req_t *)&job->work);
}

static uint64_t host_work(const parley_host *host, parley_call *blocking, parley_done *done, void *arg)
{
  struct channel *channel = channel_of(host);
  struct host_work *job = xcalloc(1, sizeof *job);

  if (channel->stop_said || !handle_add(channel, &job->handle, HANDLE_WORK, host_work_cancel)) {
    free(job);
    channel_done_later(channel, done, arg, PARLEY_BUSY, "the host is full");
    return HANDLE_ID_BIT;
  }
  job->blocking = blocking;
  job->done = done;
  job->arg = arg;
  job->work.data = job;
  channel->host_calls++;
  uv_queue_work(channel->shared.loop, &job->work, host_work_run, host_work_over);
  return job->handle.id;
}

/* --- Out: settle, window, health ------------------------------------------------------------------------------------------- */

static void host_settle(const parley_host *host, uint64_t token, const parley_outcome *outcome)
{
  channel_settle(channel_of(host), token, outcome);
}

struct roomier {
  struct deferred deferred;
  bool well;
};

static void roomier_run(struct channel *channel, struct deferred *deferred)
{
  struct roomier *roomier = container_of(deferred, struct roomier, deferred);

  if (!channel->stop_asked)
    channel->owner.roomier(channel, roomier->well, channel->owner.arg);
  free(roomier);
}

static void channel_say_roomier(struct channel *channel, bool well)
{
  struct roomier *roomier = xcalloc(1, sizeof *roomier);

  roomier->deferred.run = roomier_run;
  roomier->well = well;
  channel_defer(channel, &roomier->deferred);
}

static void host_window(const parley_host *host, uint32_t in_flight)
{
  struct channel *channel = channel_of(host);
  bool wider = in_flight > channel->window;

  if (channel->in_flight_conf > 0 && in_flight > channel->in_flight_conf)
    in_flight = channel->in_flight_conf;
  channel->window = in_flight;
  if (channel->owner.window != NULL)
    channel->owner.window(channel, in_flight, channel->owner.arg);
  if (wider)
    channel_say_roomier(channel, false);
}

struct health_change {
  struct deferred deferred;
  enum channel_state state;
};

static void health_run(struct channel *channel, struct deferred *deferred)
{
  struct health_change *change = container_of(deferred, struct health_change, deferred);

  if (!channel->stop_asked)
    channel->owner.health(channel, change->state, channel_cause(channel), channel_remedy(channel), channel->owner.arg);
  free(change);
}

static void host_health(const parley_host *host, uint32_t level, parley_text cause, parley_text remedy)
{
  struct channel *channel = channel_of(host);
  enum channel_state before = channel->state;
  struct health_change *change;

  buf_clear(&channel->cause);
  buf_clear(&channel->remedy);
  if (level != PARLEY_UP) {
    channel_mask_cut(channel, cause, HEALTH_TEXT_MAX, &channel->cause);
    channel_mask_cut(channel, remedy, HEALTH_TEXT_MAX, &channel->remedy);
  }
  if (before != CHANNEL_UP && before != CHANNEL_DEGRADED && before != CHANNEL_DOWN)
    return; /* not started, or on its way out: the words are kept for whoever asks */
  channel->state = level == PARLEY_UP ? CHANNEL_UP : level == PARLEY_DEGRADED ? CHANNEL_DEGRADED : CHANNEL_DOWN;
  if (level == PARLEY_UP)
    channel_say_roomier(channel, true); /* an outcome may have paused it, whatever its state says */
  if (channel->state == before)
    return;
  change = xcalloc(1, sizeof *change);
  change->deferred.run = health_run;
  change->state = channel->state;
  channel_defer(channel, &change->deferred);
  if (before == CHANNEL_DOWN && level == PARLEY_DEGRADED)
    channel_say_roomier(channel, true);
}

/* --- In: handed to the floors above, which answer after the commit ---------------------------------------------------------- */

/* Keeps the channel until the answer has come, and puts the plugin's done into its frame. */
struct owner_call {
  struct channel *channel;
  parley_done *done;
  parley_page_done *page_done;
  void *arg;
};

static struct owner_call *owner_call_new(struct channel *channel, parley_done *done, parley_page_done *page_done, void *arg)
{
  struct owner_call *call = xcalloc(1, sizeof *call);

  *call = (struct owner_call){channel, done, page_done, arg};
  channel->host_calls++;
  return call;
}

static void owner_call_done(const parley_result *result, void *arg)
{
  struct owner_call *call = arg;
  struct channel *channel = call->channel;

  if (call->done != NULL) {
    channel_enter(channel);
    call->done(result, call->arg);
    channel_leave(channel, "done");
  }
  free(call);
  channel_call_over(channel);
}

static void owner_page_done(const parley_page *page, void *arg)
{
  struct owner_call *call = arg;
  struct channel *channel = call->channel;

  channel_enter(channel);
  call->page_done(page, call->arg);
  channel_leave(channel, "timeline");
  free(call);
  channel_call_over(channel);
}

static bool channel_takes_in(struct channel *channel, parley_done *done, void *arg)
{
  if (!channel->stop_said)
    return true;
  channel_done_later(channel, done, arg, PARLEY_CANCELLED, "the channel has stopped");
  return false;
}

static void host_inbound(const parley_host *host, const parley_inbound *in, parley_done *done, void *arg)
{
  struct channel *channel = channel_of(host);

  if (!channel_takes_in(channel, done, arg))
    return;
  channel->counters.inbound++;
  channel->owner.inbound(channel, in, owner_call_done, owner_call_new(channel, done, NULL, arg), channel->owner.arg);
}

static void host_receipt(const parley_host *host, const parley_receipt *receipt, parley_done *done, void *arg)
{
  struct channel *channel = channel_of(host);

  if (!channel_takes_in(channel, done, arg))
    return;
  channel->counters.receipts++;
  channel->owner.receipt(channel, receipt, owner_call_done, owner_call_new(channel, done, NULL, arg), channel->owner.arg);
}

static void host_event(const parley_host *host, const parley_touchpoint *event, parley_done *done, void *arg)
{
  struct channel *channel = channel_of(host);

  if (channel_takes_in(channel, done, arg))
    channel->owner.touchpoint(channel, event, owner_call_done, owner_call_new(channel, done, NULL, arg), channel->owner.arg);
}

static void host_timeline(const parley_host *host, const parley_query *query, parley_page_done *done, void *arg)
{
  struct channel *channel = channel_of(host);

  channel->owner.timeline(channel, query, owner_page_done, owner_call_new(channel, NULL, done, arg), channel->owner.arg);
}

/* --- parley.submit/1 ------------------------------------------------------------------------------------------------- */

static void host_login(const parley_host *host, parley_text key, parley_text peer, parley_done *done, void *arg)
{
  struct channel *channel = channel_of(host);

  if (channel->owner.login == NULL)
    channel_done_later(channel, done, arg, PARLEY_DENIED, "nothing can be handed in here");
  else if (channel_takes_in(channel, done, arg))
    channel->owner.login(channel, key, peer, owner_call_done, owner_call_new(channel, done, NULL, arg), channel->owner.arg);
}

static void host_submit(const parley_host *host, const parley_submission *submission, parley_done *done, void *arg)
{
  struct channel *channel = channel_of(host);

  if (channel->owner.submit == NULL)
    channel_done_later(channel, done, arg, PARLEY_DENIED, "nothing can be handed in here");
  else if (channel_takes_in(channel, done, arg))
    channel->owner.submit(channel, submission, owner_call_done, owner_call_new(channel, done, NULL, arg), channel->owner.arg);
}

const parley_submit ext_submit = {.size = sizeof ext_submit, .login = host_login, .submit = host_submit};

static const void *host_extension(const parley_host *host, const char *id)
{
  const struct channel_services *services = channel_of(host)->shared.services;

  if (strcmp(id, PARLEY_HTTP) == 0)
    return services->http;
  if (strcmp(id, PARLEY_HTTP_IN) == 0)
    return services->http_answers;
  if (strcmp(id, PARLEY_STREAM) == 0)
    return services->stream;
  if (strcmp(id, PARLEY_SUBMIT) == 0)
    return &ext_submit;
  return strcmp(id, PARLEY_MEDIA) == 0 ? services->media : NULL;
}

void host_init(struct channel *channel)
{
  struct buf url = BUF_INIT(8192);

  buf_printf(&url, "%.*s/in/%s", TEXT_ARG(channel->shared.public_url), channel->name);
  channel->host = (parley_host){
      .size = sizeof(parley_host), .abi_major = PARLEY_ABI_MAJOR, .abi_minor = PARLEY_ABI_MINOR, .impl = channel,
      .inline_max = CHANNEL_INLINE_MAX, .version = channel->shared.version, .channel = parley_text_of(channel->name),
      .public_url = arena_text(channel->arena, buf_as_text(&url)),
      .now_ms = host_now_ms, .mono_ms = host_mono_ms, .random = host_random, .log = host_log, .metric = host_metric,
      .post = host_post, .timer = host_timer, .watch = host_watch, .work = host_work, .cancel = host_cancel,
      .settle = host_settle, .window = host_window, .trace = host_trace, .inbound = host_inbound, .receipt = host_receipt,
      .event = host_event, .timeline = host_timeline, .state_get = channel->shared.services->state_get,
      .state_put = channel->shared.services->state_put, .health = host_health, .extension = host_extension,
  };
  buf_done(&url);
}
