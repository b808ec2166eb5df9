/* From a process's first answer to its death: what it held is settled, what it asked for is dropped, and the next one is due. */
#include "remote_in.h"
#include "core/base/alloc.h"
#include "core/base/text.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int64_t remote_now(const struct parley_channel *remote)
{
  const struct env *env = remote->channel->shared.env;

  return env->mono_ms(env);
}

void remote_set(struct parley_channel *remote, enum remote_state state)
{
  remote->state = state;
  remote->state_beats = 0;
  if (remote->channel != NULL)
    remote->since_ms = remote_now(remote);
}

/* --- The end of a process ------------------------------------------------------------------------------------------------ */

static void remote_spawn(struct parley_channel *remote);

static void remote_free_maybe(struct parley_channel *remote)
{
  if (remote->channel != NULL || remote->handles > 0)
    return;
  map_done(&remote->calls);
  map_done(&remote->uploads);
  map_done(&remote->sockets);
  map_done(&remote->asks);
  buf_done(&remote->sandbox);
  buf_done(&remote->why);
  buf_done(&remote->last_death);
  buf_done(&remote->late_cause);
  buf_done(&remote->late_remedy);
  arena_free(&remote->caps_arena);
  free(remote);
}

static void remote_on_handle_closed(uv_handle_t *handle)
{
  struct parley_channel *remote = handle->data;

  remote->handles--;
  remote_free_maybe(remote);
}

static void remote_settle_all(struct parley_channel *remote)
{
  struct channel *channel = remote->channel;
  struct list *node, *next;

  for (node = channel->waiting.next; node != &channel->waiting; node = next) {
    next = node->next;
    channel_settle_died(channel, LIST_ITEM(node, struct token, node)->token);
  }
}

/* The words for the operator; the process has gone, or is as good as gone. */
static void remote_say_dead(struct parley_channel *remote)
{
  struct channel *channel = remote->channel;
  char remedy[120];

  snprintf(remedy, sizeof remedy, "its process is started again in %u ms; what it wrote to its stderr is in the log", remote->pause_ms);
  channel->host.health(&channel->host, PARLEY_DOWN, buf_as_text(&remote->why), parley_text_of(remedy));
}

/* One that never was up is not tried again: whoever waits for it is told, and gives it up. */
static bool remote_goes_on(const struct parley_channel *remote)
{
  return remote->was_up && !remote->drained && !remote->stopped && remote->stop_done == NULL;
}

static void remote_on_pause(uv_timer_t *timer)
{
  struct parley_channel *remote = timer->data;

  if (remote->channel == NULL)
    process_kill(&remote->process);
  else if (!remote->process_open && remote_goes_on(remote))
    remote_spawn(remote);
}

static void remote_rest(struct parley_channel *remote)
{
  if (remote_goes_on(remote))
    uv_timer_start(&remote->pause, remote_on_pause, remote->pause_ms, 0);
}

static uint32_t pause_next(uint32_t pause_ms)
{
  if (pause_ms < REMOTE_PAUSE_MIN_MS)
    return REMOTE_PAUSE_MIN_MS;
  return pause_ms * 2 > REMOTE_PAUSE_MAX_MS ? REMOTE_PAUSE_MAX_MS : pause_ms * 2;
}

/* It never was up: whoever waits for the channel is told. */
static void remote_never_up(struct parley_channel *remote, enum remote_state was)
{
  struct channel *channel = remote->channel;

  channel->host.health(&channel->host, PARLEY_DOWN, buf_as_text(&remote->why), TEXT_EMPTY);
  if (was <= REMOTE_CREATED && channel->making == CHANNEL_GOING)
    channel_made(channel, PARLEY_FAILED);
  else
    channel_has_started(channel, PARLEY_FAILED);
}

/* Everything of this process ends here, whoever noticed first. */
static void remote_lost(struct parley_channel *remote, const char *why)
{
  enum remote_state was = remote->state;

  if (was == REMOTE_DEAD)
    return;
  if (remote->why.len == 0)
    buf_str(&remote->why, why);
  if (was == REMOTE_RUNNING && remote_now(remote) - remote->since_ms >= REMOTE_WELL_MS)
    remote->pause_ms = 0;
  remote->pause_ms = pause_next(remote->pause_ms);
  remote_set(remote, REMOTE_DEAD);
  remote->generation++;
  remote->unanswered = 0;
  link_close(&remote->link);
  if (remote->process_runs)
    process_kill(&remote->process);
  remote_calls_drop(remote);
  remote_sockets_drop(remote);
  if (remote->stopped || remote->stop_done != NULL) {
    remote_stopped(remote);
    return;
  }
  remote->deaths++;
  buf_clear(&remote->last_death);
  buf_text(&remote->last_death, buf_as_text(&remote->why));
  if (remote->was_up)
    remote_say_dead(remote);
  else
    remote_never_up(remote, was);
  remote_settle_all(remote);
  if (remote->channel->shared.services->end != NULL)
    remote->channel->shared.services->end(remote->channel);
}

void remote_kill(struct parley_channel *remote, const char *why)
{
  if (remote->state == REMOTE_DEAD)
    return;
  log_line(remote->channel->shared.log, PARLEY_ERROR, "event=plugin_killed channel=%s pid=%d why=\"%s\"", remote->channel->name,
           remote->process.pid, why);
  remote_lost(remote, why);
}

void remote_strike(struct parley_channel *remote, const char *how)
{
  remote->second.strikes++;
  if (remote->second.strikes == 1)
    channel_misbehaved(remote->channel, how);
  else
    remote->channel->counters.misbehaved++;
  if (remote->second.strikes > BORDER_STRIKES_PER_S)
    remote_kill(remote, "its process says what makes no sense, again and again");
}

static void remote_on_broken(const char *why, void *arg)
{
  struct parley_channel *remote = arg;

  if (remote->process_runs && why != link_end_gone)
    remote_kill(remote, why);
  else
    link_close(&remote->link); /* it is dying: how it ended is known when it has, or is about to be told by remote_on_exit() */
}

static void remote_describe_end(struct parley_channel *remote, int err, int64_t code, int signal)
{
  if (remote->why.len > 0)
    return;
  if (err != 0)
    buf_printf(&remote->why, "%s cannot be started: %s", remote->channel->shared.apart.host_program, uv_strerror(err));
  else if (signal != 0)
    buf_printf(&remote->why, "its process was ended by signal %d (%s)", signal, strsignal(signal));
  else
    buf_printf(&remote->why, "its process ended by itself with exit code %lld", (long long)code);
}

static void remote_on_process_closed(struct process *process)
{
  struct parley_channel *remote = process->data;

  remote->process_open = false;
  remote->handles--;
  if (remote->channel == NULL)
    remote_free_maybe(remote);
  else
    remote_rest(remote);
}

static void remote_on_exit(struct process *process, int err, int64_t code, int signal)
{
  struct parley_channel *remote = process->data;

  remote->process_runs = false;
  if (remote->channel != NULL) {
    if (remote->link != NULL)
      link_drain(remote->link); /* what it said before it died counts; may break the link, and then all is told there */
    remote_describe_end(remote, err, code, signal);
    if (remote->state != REMOTE_DEAD && !remote->stopped && remote->stop_done == NULL)
      log_line(remote->channel->shared.log, PARLEY_ERROR, "event=plugin_died channel=%s pid=%d why=\"%s\"", remote->channel->name,
               process->pid, remote->why.at);
    remote_lost(remote, remote->why.at);
  } else {
    uv_close((uv_handle_t *)&remote->pause, remote_on_handle_closed);
  }
  process_close(process, remote_on_process_closed);
}

/* --- The beginning of a process -------------------------------------------------------------------------------------------- */

static const struct link_events remote_events = {.frame = remote_frame, .broken = remote_on_broken};

static int64_t log_level(const struct log *log)
{
  return log != NULL ? log->level : PARLEY_ERROR + 1;
}

static void remote_send_create(struct parley_channel *remote)
{
  const struct channel *channel = remote->channel;

  link_send(remote->link, FRAME_CREATE, 0, &abi_frame_words,
            PARLEY_REF(struct frame_words, .number = channel->in_flight_conf, .amount = log_level(channel->shared.log),
                       .one = parley_text_of(channel->name), .two = channel->shared.public_url, .three = channel->shared.version,
                       .options = channel->options));
}

static void remote_spawn(struct parley_channel *remote)
{
  struct channel *channel = remote->channel;
  int fd, err;

  buf_clear(&remote->why);
  remote_second_begin(remote);
  err = remote_exec(remote, remote_on_exit, &fd);
  remote_set(remote, REMOTE_CREATING);
  if (err != 0) {
    remote_describe_end(remote, err, 0, 0);
    remote_lost(remote, remote->why.at);
    remote_rest(remote);
    return;
  }
  remote->process_open = true;
  remote->handles++;
  remote->process_runs = true; /* or is about to */
  remote->link = link_new(channel->shared.loop, fd, BORDER_FAR_BODY_MAX, FRAME_BYTES_MAX, false, &remote_events, remote);
  remote_send_create(remote);
}

/* --- Its answers ------------------------------------------------------------------------------------------------------------ */

void remote_start_made(struct parley_channel *remote)
{
  if (remote->state != REMOTE_CREATED || !remote->begun || remote->drained || remote->link == NULL)
    return;
  remote_set(remote, REMOTE_STARTING);
  link_send(remote->link, FRAME_START, 0, NULL, NULL);
}

static void remote_keep_caps(struct parley_channel *remote, const parley_capabilities *caps)
{
  struct buf bytes = BUF_INIT(BORDER_FAR_BODY_MAX);
  struct wire_in in;

  if (caps == NULL || remote->caps != NULL || caps->address_kind == NULL || caps->channel_kind == NULL)
    return; /* those of the first process count: policies and plans stand on them */
  wire_put(&bytes, &abi_capabilities, caps);
  remote->caps_arena = arena_new();
  in = (struct wire_in){.at = bytes.at, .left = bytes.len, .arena = remote->caps_arena};
  remote->caps = wire_get(&in, &abi_capabilities);
  buf_done(&bytes);
}

static void remote_say(struct parley_channel *remote, const struct frame_words *words, const char *fallback)
{
  buf_clear(&remote->why);
  if (words->one.len > 0)
    buf_text(&remote->why, text_sub(words->one, 0, 200));
  else
    buf_str(&remote->why, fallback);
  if (words->two.len > 0) {
    buf_str(&remote->why, "; ");
    buf_text(&remote->why, text_sub(words->two, 0, 200));
  }
}

/* As the plugin says, within what is sensible and what the operator allows. */
static uint32_t remote_window(const struct channel *channel, int64_t said)
{
  uint32_t window = said > 0 && said <= CHANNEL_WINDOW_MAX ? (uint32_t)said : CHANNEL_WINDOW_DEFAULT;

  return channel->in_flight_conf > 0 && channel->in_flight_conf < window ? channel->in_flight_conf : window;
}

void remote_created(struct parley_channel *remote, const struct frame_words *words)
{
  struct channel *channel = remote->channel;

  if (remote->state != REMOTE_CREATING) {
    remote_strike(remote, "created_twice");
    return;
  }
  if (words->number != 0) {
    channel->host.health(&channel->host, PARLEY_DOWN, words->one, words->two);
    remote_say(remote, words, "the plugin gave no reason");
    remote_lost(remote, "create failed");
    return;
  }
  remote_keep_caps(remote, words->capabilities);
  buf_clear(&remote->sandbox);
  buf_text(&remote->sandbox, text_sub(words->three, 0, 200));
  channel->window = remote_window(channel, words->amount);
  remote_set(remote, REMOTE_CREATED);
  if (channel->making == CHANNEL_GOING)
    channel_made(channel, PARLEY_OK);
  remote_start_made(remote);
}

void remote_started(struct parley_channel *remote, const struct frame_words *words)
{
  struct channel *channel = remote->channel;

  if (remote->state != REMOTE_STARTING) {
    remote_strike(remote, "started_twice");
    return;
  }
  if (words->number != 0) {
    remote_say(remote, words, "the plugin gave no reason");
    remote_lost(remote, "start failed");
    return;
  }
  remote_set(remote, REMOTE_RUNNING);
  if (!remote->was_up) {
    remote->was_up = true;
    channel_has_started(channel, PARLEY_OK);
  } else {
    log_line(channel->shared.log, PARLEY_INFO, "event=plugin_back channel=%s pid=%d", channel->name, remote->process.pid);
  }
  channel->host.health(&channel->host, (uint32_t)words->amount, words->one, words->two);
}

void remote_stopped(struct parley_channel *remote)
{
  parley_call *done = remote->stop_done;

  remote->stopped = true;
  remote->stop_done = NULL;
  if (done != NULL)
    done(remote->stop_arg);
}

/* --- The channel's own beginning and end ---------------------------------------------------------------------------------- */

parley_status remote_create(const parley_host *host, const parley_value *options, parley_channel **ret)
{
  struct channel *channel = channel_of(host);
  struct parley_channel *remote = xcalloc(1, sizeof *remote);

  (void)options; /* the channel has them */
  remote->channel = channel;
  remote->host = host;
  remote->state = REMOTE_DEAD;
  remote->sandbox = remote->why = remote->last_death = remote->late_cause = remote->late_remedy = BUF_INIT(1024);
  uv_timer_init(channel->shared.loop, &remote->beat);
  uv_timer_init(channel->shared.loop, &remote->pause);
  remote->beat.data = remote->pause.data = remote;
  uv_unref((uv_handle_t *)&remote->beat);
  uv_unref((uv_handle_t *)&remote->pause);
  remote->handles = 2;
  channel->making = CHANNEL_GOING;
  uv_timer_start(&remote->beat, remote_on_beat, BORDER_BEAT_MS, BORDER_BEAT_MS);
  *ret = remote;
  channel->instance = remote;
  remote_spawn(remote);
  return PARLEY_OK;
}

void remote_destroy(parley_channel *remote)
{
  bool left_well = remote->stopped && remote->state != REMOTE_DEAD;

  remote->generation++;
  remote_calls_drop(remote);
  remote_sockets_drop(remote);
  remote_stderr_forget(remote);
  remote->channel = NULL;
  remote->host = NULL;
  remote->state = REMOTE_DEAD;
  if (remote->link != NULL)
    link_flush(remote->link);
  link_close(&remote->link);
  if (remote->process_runs && !left_well)
    process_kill(&remote->process);
  if (remote->process_open)
    process_ref(&remote->process);
  uv_timer_stop(&remote->pause);
  if (remote->process_runs && left_well)
    uv_timer_start(&remote->pause, remote_on_pause, REMOTE_LEAVE_MS, 0);
  uv_close((uv_handle_t *)&remote->beat, remote_on_handle_closed);
  if (!remote->process_runs)
    uv_close((uv_handle_t *)&remote->pause, remote_on_handle_closed);
}
