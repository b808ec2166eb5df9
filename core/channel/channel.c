#include "core/base/alloc.h"
#include "core/base/text.h"
#include "instance.h"
#include <stdlib.h>

const char *const channel_extensions[] = {PARLEY_HTTP, PARLEY_HTTP_IN, PARLEY_STREAM, PARLEY_MEDIA, PARLEY_SUBMIT, NULL};

const char *channel_state_name(enum channel_state state)
{
  switch (state) {
  case CHANNEL_NEW:
    return "new";
  case CHANNEL_UP:
    return "up";
  case CHANNEL_DEGRADED:
    return "degraded";
  case CHANNEL_DOWN:
    return "down";
  case CHANNEL_STOPPING:
    return "stopping";
  case CHANNEL_FAILED:
    return "failed";
  }
  return "";
}

/* --- Frames ---------------------------------------------------------------------------------------------------------- */

void channel_enter(struct channel *channel)
{
  if (channel->depth++ == 0)
    channel->entered_ns = uv_hrtime();
}

static void channel_flush(struct channel *channel)
{
  struct list *node;

  if (channel->flushing)
    return; /* the outer loop takes what is added */
  channel->flushing = true;
  while (channel->depth == 0 && (node = list_pop(&channel->deferred)) != NULL) {
    struct deferred *deferred = LIST_ITEM(node, struct deferred, node);

    deferred->run(channel, deferred);
  }
  channel->flushing = false;
}

void channel_leave(struct channel *channel, const char *what)
{
  uint64_t spent_ms;

  if (--channel->depth > 0)
    return;
  spent_ms = (uv_hrtime() - channel->entered_ns) / 1000000;
  if (spent_ms > CHANNEL_SLOW_MS) {
    channel->counters.slow_calls++;
    log_line(channel->shared.log, PARLEY_WARN, "event=slow_call channel=%s call=%s took_ms=%llu", channel->name, what,
             (unsigned long long)spent_ms);
  }
  channel_flush(channel);
}

void channel_defer(struct channel *channel, struct deferred *deferred)
{
  list_push(&channel->deferred, &deferred->node);
  if (channel->depth == 0)
    channel_flush(channel);
}

void channel_misbehaved(struct channel *channel, const char *how)
{
  channel->counters.misbehaved++;
  log_line(channel->shared.log, PARLEY_WARN, "event=plugin_misbehaved channel=%s how=%s", channel->name, how);
}

/* --- Tokens ------------------------------------------------------------------------------------------------------------ */

static bool channel_running(const struct channel *channel)
{
  return channel->state == CHANNEL_UP || channel->state == CHANNEL_DEGRADED;
}

uint32_t channel_free(const struct channel *channel)
{
  if (!channel_running(channel) || channel->stop_asked || channel->window <= channel->counters.open)
    return 0;
  return channel->window - channel->counters.open;
}

static struct token *token_add(struct channel *channel, uint64_t number, uint32_t deadline_ms)
{
  struct token *token = xcalloc(1, sizeof *token);

  token->token = number;
  token->deadline_ms = channel->shared.env->mono_ms(channel->shared.env) + deadline_ms;
  map_put(&channel->tokens, number, token);
  list_push(&channel->waiting, &token->node);
  channel->counters.open++;
  return token;
}

bool channel_token_drop(struct channel *channel, uint64_t number)
{
  struct token *token = map_take(&channel->tokens, number);

  if (token == NULL)
    return false;
  list_remove(&token->node);
  free(token);
  channel->counters.open--;
  return true;
}

typedef parley_status token_call(parley_channel *, uint64_t token, const parley_message *);

static parley_status channel_hand(struct channel *channel, token_call *call, uint64_t token, const parley_message *message,
                                  uint32_t deadline_ms, const char *what)
{
  parley_status st;

  token_add(channel, token, deadline_ms);
  channel_enter(channel);
  st = call(channel->instance, token, message);
  if (st != PARLEY_OK)
    channel_token_drop(channel, token); /* before deferred settlements of it are looked at */
  channel_leave(channel, what);
  if (st == PARLEY_OK)
    channel->counters.submitted++;
  return st == PARLEY_OK || st == PARLEY_BUSY ? st : PARLEY_RETRY;
}

parley_status channel_submit(struct channel *channel, uint64_t token, const parley_message *message, uint32_t deadline_ms)
{
  if (channel_free(channel) == 0 || channel->table->submit == NULL)
    return PARLEY_BUSY;
  return channel_hand(channel, channel->table->submit, token, message, deadline_ms, "submit");
}

#define TABLE_HAS(channel, member) \
  (PARLEY_HAS(parley_plugin, (channel)->table, member) && (channel)->table->member != NULL)

bool channel_can_query(const struct channel *channel)
{
  return TABLE_HAS(channel, query);
}

parley_status channel_query(struct channel *channel, uint64_t token, const parley_message *message, uint32_t deadline_ms)
{
  if (channel_free(channel) == 0 || !channel_can_query(channel))
    return PARLEY_BUSY;
  return channel_hand(channel, channel->table->query, token, message, deadline_ms, "query");
}

bool channel_can_probe(const struct channel *channel)
{
  return TABLE_HAS(channel, probe);
}

parley_status channel_probe(struct channel *channel, uint64_t token, uint32_t deadline_ms)
{
  parley_status st;

  if (!channel_can_probe(channel) || channel->stop_asked || !channel->started)
    return PARLEY_BUSY;
  token_add(channel, token, deadline_ms);
  channel_enter(channel);
  st = channel->table->probe(channel->instance, token);
  if (st != PARLEY_OK)
    channel_token_drop(channel, token);
  channel_leave(channel, "probe");
  return st;
}

/* --- Time ---------------------------------------------------------------------------------------------------------------- */

static void channel_sweep(struct channel *channel)
{
  int64_t now = channel->shared.env->mono_ms(channel->shared.env);
  struct list *node, *next;

  for (node = channel->waiting.next; node != &channel->waiting; node = next) {
    struct token *token = LIST_ITEM(node, struct token, node);

    next = node->next;
    if (token->deadline_ms <= now)
      channel_settle_unknown(channel, token->token, "not_settled_in_time");
  }
  if (channel->shared.services->sweep != NULL)
    channel->shared.services->sweep(channel, now);
}

/* --- Life ---------------------------------------------------------------------------------------------------------------- */

static void channel_on_sweep(uv_timer_t *timer)
{
  channel_sweep(timer->data);
}

static void channel_on_async(uv_async_t *async)
{
  struct channel *channel = async->data;
  struct posted *posted;

  uv_mutex_lock(&channel->mutex);
  posted = channel->posted;
  channel->posted = NULL;
  channel->posted_end = &channel->posted;
  uv_mutex_unlock(&channel->mutex);
  while (posted != NULL) {
    struct posted *next = posted->next;

    channel_enter(channel);
    posted->run(posted->arg);
    channel_leave(channel, "post");
    free(posted);
    posted = next;
  }
}

static void channel_handles_open(struct channel *channel)
{
  uv_timer_init(channel->shared.loop, &channel->sweep);
  uv_async_init(channel->shared.loop, &channel->async, channel_on_async);
  channel->sweep.data = channel->async.data = channel;
  uv_unref((uv_handle_t *)&channel->sweep);
  uv_unref((uv_handle_t *)&channel->async);
  channel->open_handles = 3; /* with the streams */
  channel->streams = streams_new(channel->shared.loop, channel->shared.env, channel->shared.dns, channel->shared.egress,
                                 channel->shared.connector);
  uv_mutex_init(&channel->mutex);
  channel->posted_end = &channel->posted;
}

static void channel_narrow(struct channel *channel)
{
  uint32_t window;

  channel->caps = channel->table->capabilities;
  if (TABLE_HAS(channel, capable)) {
    channel_enter(channel);
    channel->caps = channel->table->capable(channel->instance);
    channel_leave(channel, "capable");
  }
  window = channel->caps->in_flight ? channel->caps->in_flight : CHANNEL_WINDOW_DEFAULT;
  if (channel->in_flight_conf > 0 && channel->in_flight_conf < window)
    window = channel->in_flight_conf;
  if (channel->window == 0)
    channel->window = window;
}

parley_status channel_create(struct channel *channel)
{
  parley_status st;

  channel_enter(channel);
  st = channel->table->create(&channel->host, channel->options, &channel->instance);
  channel_leave(channel, "create");
  if (st == PARLEY_OK && channel->instance != NULL && channel->making != CHANNEL_BROKE) {
    if (channel->making == CHANNEL_IDLE)
      channel_made(channel, PARLEY_OK);
    return PARLEY_OK;
  }
  if (channel->making == CHANNEL_IDLE)
    channel->instance = NULL;
  return st == PARLEY_OK ? PARLEY_FAILED : st;
}

void channel_made(struct channel *channel, parley_status status)
{
  bool told = channel->making == CHANNEL_GOING && channel->depth == 0;

  channel->making = status == PARLEY_OK ? CHANNEL_DONE : CHANNEL_BROKE;
  if (status == PARLEY_OK)
    channel_narrow(channel);
  if (told && !channel->stop_asked)
    channel->owner.progress(channel, channel->owner.arg);
}

struct channel *channel_alloc(const struct channel_shared *shared, const struct channel_owner *owner, parley_text name,
                              struct plugin *plugin, struct channel *older)
{
  struct channel *channel = xcalloc(1, sizeof *channel);

  channel->shared = *shared;
  channel->owner = *owner;
  channel->arena = arena_new();
  channel->plugin = plugin_ref(plugin);
  channel->table = plugin->table;
  channel->name = xmemdup(name.at, name.len);
  channel->state = CHANNEL_NEW;
  channel->cause = channel->remedy = BUF_INIT(1024);
  list_init(&channel->waiting);
  list_init(&channel->deferred);
  list_init(&channel->http_waiting);
  channel_handles_open(channel);
  if (older != NULL && older->streams != NULL)
    streams_inherit(channel->streams, older->streams);
  host_init(channel);
  return channel;
}

parley_status channel_new_with(const struct channel_shared *shared, const struct channel_owner *owner, const char *name,
                               uint32_t in_flight, const parley_value *options, struct plugin *plugin, struct channel **ret)
{
  struct channel *channel = channel_alloc(shared, owner, parley_text_of(name), plugin, NULL);

  channel->in_flight_conf = in_flight;
  channel->options = options;
  *ret = channel; /* a failed one, too: its owner reads the cause, and stops it */
  return channel_create(channel);
}

/* --- Start --------------------------------------------------------------------------------------------------------------- */

void channel_has_started(struct channel *channel, parley_status status)
{
  bool told = channel->starting == CHANNEL_GOING && channel->depth == 0;

  channel->starting = status == PARLEY_OK ? CHANNEL_DONE : CHANNEL_BROKE;
  if (channel->stop_asked)
    return; /* it leaves, whatever the plugin says: state and timer are the stop's */
  if (status == PARLEY_OK) {
    channel->started = true;
    channel->state = CHANNEL_UP;
    uv_timer_start(&channel->sweep, channel_on_sweep, CHANNEL_SWEEP_MS, CHANNEL_SWEEP_MS);
  } else {
    channel->state = CHANNEL_FAILED;
  }
  if (told)
    channel->owner.progress(channel, channel->owner.arg);
}

parley_status channel_start(struct channel *channel, struct buf *reterr_why)
{
  parley_status st;

  if (channel->making == CHANNEL_DONE)
    channel->state = CHANNEL_UP; /* health() within start() may say otherwise */
  channel_enter(channel);
  st = channel->table->start(channel->instance);
  channel_leave(channel, "start");
  if (st != PARLEY_OK) {
    channel_has_started(channel, st);
    buf_printf(reterr_why, "channel %s did not start: ", channel->name);
    channel_say_why(channel, reterr_why);
    return st;
  }
  if (channel->starting == CHANNEL_GOING) {
    channel->state = CHANNEL_NEW;
    return PARLEY_OK;
  }
  channel->starting = CHANNEL_DONE;
  channel->started = true;
  uv_timer_start(&channel->sweep, channel_on_sweep, CHANNEL_SWEEP_MS, CHANNEL_SWEEP_MS);
  return PARLEY_OK;
}

/* --- The end: drain, stop, cancel what is open, destroy, free ---------------------------------------------------------- */

void channel_maybe_gone(struct channel *channel)
{
  void (*closed)(void *) = channel->closed;
  void *arg = channel->closed_arg;

  if (!channel->destroyed || channel->open_handles > 0 || channel->depth > 0)
    return;
  uv_mutex_destroy(&channel->mutex);
  map_done(&channel->tokens);
  map_done(&channel->handles);
  map_done(&channel->calls);
  buf_done(&channel->cause);
  buf_done(&channel->remedy);
  secrets_done(&channel->secrets);
  arena_free(&channel->arena);
  plugin_unref(&channel->plugin);
  free(channel->name);
  free(channel);
  closed(arg);
}

static void channel_on_handle_closed(uv_handle_t *handle)
{
  struct channel *channel = handle->data;

  channel->open_handles--;
  channel_maybe_gone(channel);
}

static void channel_destroy(struct channel *channel)
{
  if (channel->destroyed || channel->host_calls > 0 || !channel->streams_gone)
    return; /* what has still to be told needs the instance */
  if (channel->instance != NULL) {
    channel->depth++; /* what destroy() reports is dropped with the rest */
    channel->table->destroy(channel->instance);
    channel->depth--;
  }
  channel->destroyed = true;
  while (channel->posted != NULL) {
    struct posted *posted = channel->posted;

    channel->posted = posted->next;
    free(posted);
  }
  uv_close((uv_handle_t *)&channel->sweep, channel_on_handle_closed);
  uv_close((uv_handle_t *)&channel->async, channel_on_handle_closed);
}

static void channel_on_streams_closed(void *arg)
{
  struct channel *channel = arg;

  channel->open_handles--;
  channel->streams_gone = true;
  channel_destroy(channel);
  channel_maybe_gone(channel);
}

void channel_call_over(struct channel *channel)
{
  channel->host_calls--;
  channel_destroy(channel);
}

/* The plugin has taken its leave: nothing of it may be believed any more. */
static void channel_cut(struct channel *channel)
{
  uint64_t id;
  void *value;

  if (channel->streams == NULL)
    return;
  for (struct list *node = channel->waiting.next, *next; node != &channel->waiting; node = next) {
    next = node->next;
    channel_settle_unknown(channel, LIST_ITEM(node, struct token, node)->token, "channel_stopped");
  }
  if (channel->shared.services->end != NULL)
    channel->shared.services->end(channel);
  for (size_t pos = 0; map_next(&channel->handles, &pos, &id, &value); pos = 0)
    ((struct handle *)value)->cancel(value); /* each drops itself from the table */
  streams_close(&channel->streams, channel_on_streams_closed, channel);
}

static void channel_on_stop_said(void *arg)
{
  struct channel *channel = arg;

  if (channel->stop_said)
    return;
  channel->stop_said = true;
  if (channel->depth == 0)
    channel_cut(channel);
}

static void channel_say_stop(struct channel *channel)
{
  if (channel->instance == NULL || !channel->started || channel->table->stop == NULL) {
    channel_on_stop_said(channel);
    return;
  }
  channel_enter(channel);
  channel->table->stop(channel->instance, channel_on_stop_said, channel);
  channel_leave(channel, "stop");
  if (channel->stop_said)
    channel_cut(channel);
}

#define CHANNEL_STOP_MS 5000 /* for the plugin to say done() after stop() */

static void channel_on_draining(uv_timer_t *timer)
{
  struct channel *channel = timer->data;
  int64_t now = channel->shared.env->mono_ms(channel->shared.env);

  channel_sweep(channel);
  if (channel->state == CHANNEL_STOPPING && (channel->counters.open == 0 || now >= channel->stop_by_ms)) {
    channel->state = CHANNEL_FAILED; /* nothing goes in or out any more */
    channel->stop_by_ms = now + CHANNEL_STOP_MS;
    channel_say_stop(channel);
  } else if (channel->stop_said) {
    channel_cut(channel); /* done() came inside of a later call to the plugin, such as a stream's end */
  } else if (channel->state == CHANNEL_FAILED && now >= channel->stop_by_ms) {
    channel_misbehaved(channel, "stop_never_done");
    channel_on_stop_said(channel);
  }
}

#define CHANNEL_DRAIN_LOOK_MS 10

void channel_stop(struct channel **channel, uint32_t within_ms, void (*closed)(void *arg), void *arg)
{
  struct channel *gone = *channel;

  *channel = NULL;
  gone->closed = closed;
  gone->closed_arg = arg;
  gone->stop_asked = true;
  gone->state = CHANNEL_STOPPING;
  gone->stop_by_ms = gone->shared.env->mono_ms(gone->shared.env) + within_ms;
  if (gone->started && TABLE_HAS(gone, drain)) { /* of a process of its own, too: it may be dead, and says so itself */
    channel_enter(gone);
    gone->table->drain(gone->instance, within_ms);
    channel_leave(gone, "drain");
  }
  uv_ref((uv_handle_t *)&gone->sweep);
  uv_timer_start(&gone->sweep, channel_on_draining, 0, CHANNEL_DRAIN_LOOK_MS);
}

/* --- Looking ------------------------------------------------------------------------------------------------------------- */

const char *channel_name(const struct channel *channel) { return channel->name; }
const struct plugin *channel_plugin(const struct channel *channel) { return channel->plugin; }
const parley_capabilities *channel_caps(const struct channel *channel) { return channel->caps; }
enum channel_state channel_state(const struct channel *channel) { return channel->state; }
enum channel_step channel_making(const struct channel *channel) { return channel->making; }
enum channel_step channel_starting(const struct channel *channel) { return channel->starting; }
parley_text channel_cause(const struct channel *channel) { return buf_as_text(&channel->cause); }
parley_text channel_remedy(const struct channel *channel) { return buf_as_text(&channel->remedy); }
parley_channel *channel_instance(struct channel *channel) { return channel->instance; }

void channel_say_why(const struct channel *channel, struct buf *to)
{
  buf_str(to, channel->cause.len > 0 ? channel->cause.at : "the plugin gave no reason");
  if (channel->remedy.len > 0)
    buf_printf(to, "; %s", channel->remedy.at);
}

const void *channel_offer(const struct channel *channel, const char *extension)
{
  return plugin_offer(channel->plugin, extension);
}

void channel_counters(const struct channel *channel, struct channel_counters *ret)
{
  *ret = channel->counters;
}
