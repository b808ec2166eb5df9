/* exec.h: the program's life. It is started when the channel is, and again after each end, with growing pauses; what it
 * is ended for, and how it ended, is the channel's health. Its end settles what it had in its hands: what it never read
 * may be tried again, what it read is unknown. */
#include "exec.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

static const char remedy[] = "it is started again by itself; what it wrote to its standard error is in the log";

static void down_tell(parley_channel *ch)
{
  ch->down = true;
  ch->host->health(ch->host, PARLEY_DOWN, parley_text_of(ch->cause), parley_text_of(remedy));
  exec_window_tell(ch);
}

/* --- What the end means for what it had ------------------------------------------------------------------------------
 */

static void sends_settle(parley_channel *ch, uint64_t unread)
{
  uint64_t read_bytes = ch->written_bytes - (unread < ch->written_bytes ? unread : ch->written_bytes);

  while (ch->sends != NULL) {
    struct exec_send *send = ch->sends;

    if (send->is_probe) {
      exec_settle_as(ch, send, PARLEY_OUTCOME_CHANNEL_DOWN, "program_ended", ch->cause);
    } else if (send->begins_at >= read_bytes) {
      exec_settle_as(ch, send, PARLEY_OUTCOME_RETRY, "program_ended", "it ended before it read the message");
    } else {
      exec_settle_as(ch, send, ch->stopping ? PARLEY_OUTCOME_UNKNOWN : PARLEY_OUTCOME_DIED, "program_ended", ch->cause);
    }
  }
}

/* "exit 3: Traceback ...", "ended by signal 9 (Killed)". */
static void cause_make(parley_channel *ch, const struct exec_end *end)
{
  char how[EXEC_WHY_ROOM];
  bool words = ch->last_words[0] != '\0';

  if (end->failed_errno != 0)
    snprintf(how, sizeof how, "%.80s cannot be run: %s: %.60s", ch->path, end->failed, strerror(end->failed_errno));
  else if (ch->why[0] != '\0')
    snprintf(how, sizeof how, "killed: %.180s", ch->why);
  else if (end->signal != 0)
    snprintf(how, sizeof how, "ended by signal %d (%s)", end->signal, strsignal(end->signal));
  else
    snprintf(how, sizeof how, "exit %d", end->code);
  snprintf(ch->cause, sizeof ch->cause, "%.*s%s%.*s", words ? EXEC_WHY_ROOM / 2 : EXEC_WHY_ROOM - 1, how,
           words ? ": " : "", EXEC_WHY_ROOM / 2 - 4, ch->last_words);
}

/* --- The end -------------------------------------------------------------------------------------------------------
 */

static void pause_begin(parley_channel *ch, int64_t now)
{
  bool lived = ch->ready_ms != 0 && now - ch->ready_ms >= (int64_t)ch->options.restart_max_ms;

  if (ch->pause_ms == 0 || lived)
    ch->pause_ms = ch->options.restart_min_ms;
  else
    ch->pause_ms = ch->pause_ms < ch->options.restart_max_ms / 2 ? ch->pause_ms * 2 : ch->options.restart_max_ms;
  ch->restart_at_ms = now + ch->pause_ms;
}

static void stop_finish(parley_channel *ch)
{
  parley_call *done = ch->stop_done;

  ch->state = EXEC_GONE;
  ch->stop_done = NULL;
  if (ch->timer != 0)
    ch->host->cancel(ch->host, ch->timer);
  ch->timer = 0;
  if (done != NULL)
    done(ch->stop_arg);
}

static void life_over(parley_channel *ch, const struct exec_end *end)
{
  int64_t now = exec_now(ch);
  uint64_t unread;

  ch->host->cancel(ch->host, ch->watch_end);
  ch->watch_end = 0;
  exec_flow_last(ch);
  unread = exec_child_unread(&ch->child);
  exec_flow_close(ch);
  exec_child_done(&ch->child);
  cause_make(ch, end);
  exec_log(ch, ch->stopping ? PARLEY_INFO : PARLEY_ERROR, "event=program_ended why=\"%s\" lived_ms=%lld in_hand=%u",
           ch->stopping ? "stopped" : ch->cause, (long long)(now - ch->started_ms), ch->n_messages);
  ch->state = EXEC_OFF;
  ch->force_at_ms = 0;
  ch->health.level = 0;
  sends_settle(ch, unread);
  ch->n_given_up = 0;
  if (ch->stopping) {
    stop_finish(ch);
    return;
  }
  pause_begin(ch, now);
  down_tell(ch);
}

static void end_ready(uint32_t events, void *arg)
{
  parley_channel *ch = arg;
  struct exec_end end;

  (void)events;
  if (!exec_child_ended(&ch->child, &end))
    return;
  life_over(ch, &end);
  if (ch->state != EXEC_GONE)
    exec_look(ch);
}

/* Gives it until then, and a signal. */
static void force_at(parley_channel *ch, int64_t at_ms, int number)
{
  ch->force_at_ms = at_ms;
  ch->force_signal = number;
  exec_wake(ch, at_ms);
}

void exec_life_await(parley_channel *ch)
{
  if (ch->state == EXEC_STARTING || ch->state == EXEC_RUNNING)
    ch->state = EXEC_ENDING;
  exec_window_tell(ch);
  if (ch->force_at_ms == 0)
    force_at(ch, exec_now(ch) + ch->options.kill_after_ms, SIGTERM);
}

void exec_life_end(parley_channel *ch, const char *why)
{
  if (ch->child.pid == 0 || ch->why[0] != '\0')
    return;
  snprintf(ch->why, sizeof ch->why, "%s", why);
  ch->state = EXEC_ENDING;
  exec_window_tell(ch);
  exec_child_signal(&ch->child, SIGTERM);
  force_at(ch, exec_now(ch) + ch->options.kill_after_ms, SIGKILL);
}

void exec_life_stop(parley_channel *ch)
{
  ch->stopping = true;
  if (ch->child.pid == 0) {
    stop_finish(ch);
    return;
  }
  ch->state = EXEC_ENDING;
  exec_word_write(&ch->writer, "stop");
  if (!exec_flow_say(ch) || ch->queue == NULL)
    exec_child_close_in(&ch->child);
  exec_life_await(ch);
}

/* --- The start ------------------------------------------------------------------------------------------------------
 */

static void hello_say(parley_channel *ch)
{
  struct exec_hello hello = {.channel = ch->host->channel,
                             .host = ch->host->version,
                             .address_kind = parley_text_of(ch->options.capabilities.address_kind),
                             .channel_kind = parley_text_of(ch->options.capabilities.channel_kind),
                             .in_flight = ch->options.capabilities.in_flight,
                             .timeout_ms = ch->options.timeout_ms,
                             .line_max = ch->options.line_max};

  exec_hello_write(&ch->writer, &hello);
  (void)exec_flow_say(ch); /* a program that has ended at once is told of by its pidfd */
}

void exec_life_start(parley_channel *ch)
{
  struct exec_start start = {
      .path = ch->path, .argv = ch->options.argv, .envp = ch->options.envp, .memory_bytes = ch->options.memory_bytes};
  int64_t now = exec_now(ch);

  ch->restart_at_ms = ch->ready_ms = 0;
  if (exec_child_start(&start, &ch->child) != PARLEY_OK) {
    snprintf(ch->cause, sizeof ch->cause, "it cannot be started: %s", strerror(errno));
    pause_begin(ch, now);
    down_tell(ch);
    return;
  }
  ch->life++;
  ch->host->metric(ch->host, "exec_starts", (parley_text){NULL, 0}, 1);
  ch->state = EXEC_STARTING;
  ch->started_ms = now;
  ch->force_at_ms = 0;
  ch->why[0] = ch->last_words[0] = '\0';
  ch->window = ch->options.capabilities.in_flight;
  ch->first_token = 0;
  ch->watch_end = ch->host->watch(ch->host, ch->child.pidfd, PARLEY_READABLE, end_ready, ch);
  exec_flow_open(ch);
  hello_say(ch);
  exec_wake(ch, exec_life_next(ch));
}

void exec_life_ready(parley_channel *ch)
{
  if (ch->state != EXEC_STARTING)
    return;
  ch->state = EXEC_RUNNING;
  ch->ready_ms = exec_now(ch);
  exec_log(ch, PARLEY_INFO, "event=program_ready pid=%d took_ms=%lld", (int)ch->child.pid,
           (long long)(ch->ready_ms - ch->started_ms));
  if (ch->down) {
    ch->down = false;
    ch->host->health(ch->host, PARLEY_UP, (parley_text){NULL, 0}, (parley_text){NULL, 0});
  }
  exec_window_tell(ch);
}

/* --- What is due ----------------------------------------------------------------------------------------------------
 */

static void force(parley_channel *ch, int64_t now)
{
  if (ch->why[0] == '\0')
    snprintf(ch->why, sizeof ch->why, "%s",
             ch->stopping ? "it did not end when it was told to"
                          : "it closed its standard input or output, and went on");
  if (ch->force_signal == 0) { /* not even SIGKILL has ended it yet: what it holds waits no longer for that */
    ch->force_at_ms = 0;
    snprintf(ch->cause, sizeof ch->cause, "it cannot be ended: %.160s", ch->why);
    sends_settle(ch, 0);
    if (ch->stopping)
      stop_finish(ch); /* destroy() tries once more */
    else
      down_tell(ch);
    return;
  }
  exec_child_signal(&ch->child, ch->force_signal);
  force_at(ch, now + ch->options.kill_after_ms, ch->force_signal == SIGTERM ? SIGKILL : 0);
}

void exec_life_look(parley_channel *ch, int64_t now)
{
  if (ch->state == EXEC_OFF && ch->restart_at_ms != 0 && now >= ch->restart_at_ms)
    exec_life_start(ch);
  else if (ch->state == EXEC_STARTING && now >= ch->started_ms + ch->options.timeout_ms)
    exec_life_end(ch, "it did not say ready in time");
  else if (ch->force_at_ms != 0 && now >= ch->force_at_ms)
    force(ch, now);
}

int64_t exec_life_next(const parley_channel *ch)
{
  if (ch->state == EXEC_OFF)
    return ch->restart_at_ms;
  if (ch->state == EXEC_STARTING)
    return ch->started_ms + ch->options.timeout_ms;
  return ch->force_at_ms;
}
