/* exec.c - the channel that a program of any language is: it reads JSON lines on its standard input and writes some on
 * its standard output. Owns the program, its pipes, and the tokens in its hands. Thread: loop. README.md has the lines.
 */
#include "exec.h"
#include <stdarg.h>
#include <stdlib.h>

enum { LOG_ROOM = 1400 };

int64_t exec_now(const parley_channel *ch)
{
  return ch->host->mono_ms(ch->host);
}

void exec_log(parley_channel *ch, uint32_t level, const char *format, ...)
{
  char line[LOG_ROOM];
  va_list args;
  int len;

  va_start(args, format);
  len = vsnprintf(line, sizeof line, format, args);
  va_end(args);
  if (len > 0)
    ch->host->log(ch->host, level, (parley_text){line, (size_t)len < sizeof line ? (size_t)len : sizeof line - 1});
}

/* --- Settlements -------------------------------------------------------------------------------------------------- */

struct exec_send *exec_send_find(const parley_channel *ch, uint64_t token)
{
  struct exec_send *send = ch->sends; /* programs settle the oldest first, mostly */

  while (send != NULL && send->token != token)
    send = send->next;
  return send;
}

static void send_drop(parley_channel *ch, struct exec_send *send)
{
  struct exec_send **at = &ch->sends;

  while (*at != send)
    at = &(*at)->next;
  *at = send->next;
  if (send->next == NULL)
    ch->sends_end = at;
  ch->n_messages -= !send->is_probe;
  free(send);
}

void exec_settle(parley_channel *ch, struct exec_send *send, const parley_outcome *outcome)
{
  ch->host->settle(ch->host, send->token, outcome);
  send_drop(ch, send);
  exec_window_tell(ch);
}

void exec_settle_as(parley_channel *ch, struct exec_send *send, uint32_t result, const char *code, const char *detail)
{
  exec_settle(
      ch, send,
      PARLEY_REF(parley_outcome, .result = result, .code = parley_text_of(code), .detail = parley_text_of(detail)));
}

/* --- What is due -------------------------------------------------------------------------------------------------- */

/* One that was not settled in time. Silence since it was given means that the program hangs; a program that talks has
 * lost this one alone. */
static void send_late(parley_channel *ch, struct exec_send *send)
{
  if (send->is_probe) {
    exec_settle_as(ch, send, PARLEY_OUTCOME_RETRY, "no_answer", "the program does not answer a probe");
  } else if (send->begins_at >= ch->written_bytes) {
    exec_life_end(ch, "it does not read its standard input");
  } else if (ch->n_lines == send->n_lines) {
    exec_life_end(ch, "it hangs: nothing was heard of it since it was given a message");
  } else {
    ch->n_given_up++;
    exec_settle_as(ch, send, PARLEY_OUTCOME_UNKNOWN, "not_settled_in_time",
                   "the program did not say what became of it");
  }
}

/* Returns when the next one is due, 0: none. */
static int64_t sends_look(parley_channel *ch, int64_t now)
{
  struct exec_send *next;
  int64_t first = 0;

  for (struct exec_send *send = ch->sends; send != NULL && ch->state != EXEC_ENDING; send = next) {
    next = send->next;
    if (send->due_ms <= now)
      send_late(ch, send);
    else if (first == 0 || send->due_ms < first)
      first = send->due_ms;
  }
  return first;
}

static void timer_due(void *arg)
{
  parley_channel *ch = arg;

  ch->timer = 0;
  exec_wake(ch, sends_look(ch, exec_now(ch)));
  exec_look(ch);
}

void exec_wake(parley_channel *ch, int64_t at_ms)
{
  int64_t now = exec_now(ch);

  if (ch->state == EXEC_GONE || at_ms == 0 || (ch->timer != 0 && ch->timer_ms <= at_ms))
    return;
  if (ch->timer != 0)
    ch->host->cancel(ch->host, ch->timer);
  ch->timer_ms = at_ms;
  ch->timer = ch->host->timer(ch->host, at_ms > now ? (uint32_t)(at_ms - now) : 0, 0, timer_due, ch);
}

void exec_look(parley_channel *ch)
{
  int64_t now = exec_now(ch);

  exec_flow_look(ch, now);
  exec_life_look(ch, now);
  exec_wake(ch, exec_flow_next(ch));
  exec_wake(ch, exec_life_next(ch));
}

/* --- Out ---------------------------------------------------------------------------------------------------------- */

void exec_window_tell(parley_channel *ch)
{
  uint32_t window = ch->state != EXEC_RUNNING || ch->full ? 0 : ch->window;

  if (window == ch->window_said)
    return;
  ch->window_said = window;
  ch->host->window(ch->host, window);
}

/* The line in ch->writer is given to the program under this token. */
static parley_status token_give(parley_channel *ch, uint64_t token, bool is_probe, uint32_t within_ms)
{
  struct exec_send *send = malloc(sizeof *send);
  int64_t now = exec_now(ch);

  if (send == NULL)
    return PARLEY_BUSY;
  *send = (struct exec_send){
      .token = token, .begins_at = ch->said_bytes, .n_lines = ch->n_lines, .due_ms = now + within_ms, .is_probe = is_probe};
  if (!exec_flow_say(ch)) {
    free(send);
    return PARLEY_BUSY;
  }
  *ch->sends_end = send;
  ch->sends_end = &send->next;
  ch->n_messages += !is_probe;
  ch->last_token = token;
  if (ch->first_token == 0)
    ch->first_token = token;
  exec_wake(ch, send->due_ms);
  return PARLEY_OK;
}

static parley_status exec_submit(parley_channel *ch, uint64_t token, const parley_message *msg)
{
  parley_status st;

  if (ch->state != EXEC_RUNNING)
    return PARLEY_BUSY;
  st = exec_send_write(&ch->writer, token, msg);
  if (st == PARLEY_REJECTED) {
    ch->host->settle(ch->host, token,
                     PARLEY_REF(parley_outcome, .result = PARLEY_OUTCOME_REJECTED,
                                .code = PARLEY_LIT("media_unavailable"),
                                .detail = PARLEY_LIT("a media part has neither bytes nor a URL")));
    return PARLEY_OK;
  }
  if (st == PARLEY_OK && ch->queue != NULL && ch->queue_bytes + ch->writer.len > EXEC_QUEUE_BYTES_MAX) {
    ch->full = true; /* the window opens again when half of it is written */
    exec_window_tell(ch);
    return PARLEY_BUSY;
  }
  return st == PARLEY_OK ? token_give(ch, token, false, ch->options.timeout_ms) : st;
}

static parley_status exec_probe(parley_channel *ch, uint64_t token)
{
  uint32_t within_ms = ch->options.timeout_ms < EXEC_PROBE_MS ? ch->options.timeout_ms : EXEC_PROBE_MS;
  const char *why = ch->cause[0] != '\0' ? ch->cause : "the program has not said ready yet";

  if (ch->state != EXEC_RUNNING) {
    ch->host->settle(ch->host, token,
                     PARLEY_REF(parley_outcome, .result = PARLEY_OUTCOME_CHANNEL_DOWN, .code = PARLEY_LIT("not_ready"),
                                .detail = parley_text_of(why)));
    return PARLEY_OK;
  }
  exec_probe_write(&ch->writer, token);
  return token_give(ch, token, true, within_ms);
}

/* --- Life --------------------------------------------------------------------------------------------------------- */

static void exec_destroy(parley_channel *ch)
{
  ch->watch_in = ch->watch_out = ch->watch_err = 0; /* the host has ended them, and the timer */
  exec_child_done(&ch->child);
  exec_flow_close(ch);
  while (ch->sends != NULL)
    send_drop(ch, ch->sends);
  json_writer_done(&ch->writer);
  exec_options_done(&ch->options);
  free(ch);
}

static parley_status exec_create(const parley_host *host, const parley_value *options, parley_channel **ret)
{
  parley_channel *ch = calloc(1, sizeof *ch);
  char why[EXEC_WHY_ROOM] = "no memory";
  parley_status st;

  if (ch == NULL)
    return PARLEY_BUSY;
  ch->host = host;
  ch->child = exec_child_none;
  ch->queue_end = &ch->queue;
  ch->sends_end = &ch->sends;
  ch->window_said = UINT32_MAX;
  st = exec_options_read(options, &ch->options, why);
  if (st != PARLEY_OK) {
    host->health(host, PARLEY_DOWN, parley_text_of(why), (parley_text){NULL, 0});
    exec_destroy(ch);
    return st;
  }
  *ret = ch;
  return PARLEY_OK;
}

/* Whether there is such a program shows here; whether it can be run, and works, is the channel's health. */
static parley_status exec_start(parley_channel *ch)
{
  const char *name = ch->options.argv[0], *path = exec_options_variable(&ch->options, "PATH");

  if (!exec_child_find(name, path, ch->path, sizeof ch->path)) {
    snprintf(ch->cause, sizeof ch->cause, "command: no program %.80s that may be run%s", name,
             name[0] == '/' ? "" : " in PATH");
    ch->host->health(ch->host, PARLEY_DOWN, parley_text_of(ch->cause),
                     PARLEY_LIT("give its absolute path, or see that it is in the daemon's PATH, and executable"));
    return PARLEY_NOT_FOUND;
  }
  exec_window_tell(ch); /* none until it is ready */
  exec_life_start(ch);
  exec_look(ch);
  return PARLEY_OK;
}

static void exec_drain(parley_channel *ch, uint32_t within_ms)
{
  (void)within_ms;
  if (ch->state != EXEC_RUNNING)
    return;
  exec_word_write(&ch->writer, "drain");
  (void)exec_flow_say(ch);
}

static void exec_stop(parley_channel *ch, parley_call *done, void *arg)
{
  ch->stop_done = done;
  ch->stop_arg = arg;
  exec_life_stop(ch);
}

static const parley_capabilities *exec_capable(parley_channel *ch)
{
  return &ch->options.capabilities;
}

static const parley_metric *const exec_metrics[] = {
    PARLEY_REF(parley_metric, .kind = PARLEY_COUNTER, .name = "exec_bad_lines",
               .help = "Lines of the program that could not be understood"),
    PARLEY_REF(parley_metric, .kind = PARLEY_COUNTER, .name = "exec_starts", .help = "Starts of the program"),
    NULL,
};

const parley_plugin parley_plugin_v1 = {
    .size = sizeof parley_plugin_v1,
    .abi_major = PARLEY_ABI_MAJOR,
    .abi_minor = PARLEY_ABI_MINOR,
    .name = "exec",
    .version = "1.0.0",
    .summary = "a program of any language as a channel, by JSON lines on its standard input and output",
    .options = exec_option_table,
    .capabilities = &exec_capabilities,
    .metrics = exec_metrics,
    .create = exec_create,
    .start = exec_start,
    .submit = exec_submit,
    .drain = exec_drain,
    .stop = exec_stop,
    .destroy = exec_destroy,
    .capable = exec_capable,
    .probe = exec_probe,
};
