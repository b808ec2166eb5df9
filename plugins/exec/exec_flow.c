/* exec.h: bytes to and from the program. Nothing here waits: a full pipe fills the queue, a full queue says BUSY, and a
 * program that says more than is taken in is not read for a while, which stops it in turn. */
#include "exec.h"
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static void in_ready(uint32_t events, void *arg);
static void out_ready(uint32_t events, void *arg);
static void err_ready(uint32_t events, void *arg);

static void watch_end(parley_channel *ch, uint64_t *watch)
{
  if (*watch != 0)
    ch->host->cancel(ch->host, *watch);
  *watch = 0;
}

/* --- To the program ----------------------------------------------------------------------------------------------- */

static void queue_drop_first(parley_channel *ch)
{
  struct exec_bytes *first = ch->queue;

  ch->queue = first->next;
  if (ch->queue == NULL)
    ch->queue_end = &ch->queue;
  ch->queue_bytes -= first->len;
  free(first);
}

/* Nobody reads its standard input any more. */
static void in_lost(parley_channel *ch)
{
  ch->in_ended = true;
  watch_end(ch, &ch->watch_in);
  while (ch->queue != NULL)
    queue_drop_first(ch);
  exec_life_await(ch);
}

/* What the pipe takes of these bytes; in_ended is set when it takes none any more. */
static size_t pipe_write(parley_channel *ch, const char *at, size_t len)
{
  size_t used = 0;

  while (used < len) {
    ssize_t wrote = exec_child_write(&ch->child, at + used, len - used);

    if (wrote < 0 && errno == EINTR)
      continue;
    if (wrote < 0 && errno != EAGAIN)
      ch->in_ended = true;
    if (wrote <= 0)
      break;
    used += (size_t)wrote;
  }
  ch->written_bytes += used;
  return used;
}

static void queue_flush(parley_channel *ch)
{
  while (ch->queue != NULL && !ch->in_ended) {
    ch->queue->used += pipe_write(ch, ch->queue->at + ch->queue->used, ch->queue->len - ch->queue->used);
    if (ch->queue->used < ch->queue->len)
      break;
    queue_drop_first(ch);
  }
  if (ch->in_ended) {
    in_lost(ch);
    return;
  }
  if (ch->queue == NULL) {
    watch_end(ch, &ch->watch_in);
    if (ch->state == EXEC_ENDING && ch->stopping)
      exec_child_close_in(&ch->child); /* "stop" is through: the end of its input says it once more */
  } else if (ch->watch_in == 0) {
    ch->watch_in = ch->host->watch(ch->host, ch->child.in, PARLEY_WRITABLE, in_ready, ch);
  }
  if (ch->full && ch->queue_bytes <= EXEC_QUEUE_BYTES_MAX / 2) {
    ch->full = false;
    exec_window_tell(ch);
  }
}

static void in_ready(uint32_t events, void *arg)
{
  parley_channel *ch = arg;

  if (events & PARLEY_HANGUP)
    in_lost(ch);
  else
    queue_flush(ch);
  exec_look(ch);
}

bool exec_flow_say(parley_channel *ch)
{
  struct json_writer *w = &ch->writer;
  struct exec_bytes *rest;
  size_t used = 0;

  json_write_lit(w, "\n");
  if (w->failed || ch->in_ended || ch->child.in < 0)
    return false;
  ch->said_bytes += w->len;
  if (ch->queue == NULL)
    used = pipe_write(ch, w->at, w->len);
  if (used == w->len)
    return true;
  rest = malloc(sizeof *rest + w->len - used);
  if (rest == NULL) {
    if (used > 0) /* half a line went out: what follows would not be understood */
      exec_life_end(ch, "no memory for what it is to be told");
    ch->said_bytes -= used > 0 ? 0 : w->len;
    return used > 0;
  }
  *rest = (struct exec_bytes){.len = w->len - used};
  memcpy(rest->at, w->at + used, rest->len);
  *ch->queue_end = rest;
  ch->queue_end = &rest->next;
  ch->queue_bytes += rest->len;
  queue_flush(ch); /* sees to the watch, and to a pipe that has ended */
  return true;
}

/* --- From the program --------------------------------------------------------------------------------------------- */

/* More than we take in now: it waits, and the pipe fills. */
static bool out_paused(const parley_channel *ch)
{
  return ch->reports >= EXEC_REPORTS_MAX || ch->queue_bytes > EXEC_QUEUE_BYTES_MAX || ch->chatter >= EXEC_CHATTER_MAX;
}

static bool line_taken(parley_text line, bool too_long, void *arg)
{
  parley_channel *ch = arg;

  if (!ch->deaf)
    exec_take_line(ch, line, too_long);
  return !ch->deaf;
}

static bool words_taken(parley_text line, bool too_long, void *arg)
{
  (void)too_long;
  exec_take_words(arg, line);
  return true;
}

/* Reads once; returns the bytes, 0 when there are none now. *ended is set at the end of the stream. */
static size_t pipe_read(int fd, char *to, size_t room, bool *ended)
{
  ssize_t got;

  do
    got = read(fd, to, room);
  while (got < 0 && errno == EINTR);
  if (got == 0 || (got < 0 && errno != EAGAIN))
    *ended = true;
  return got > 0 ? (size_t)got : 0;
}

/* It can say no more. */
static void out_lost(parley_channel *ch)
{
  watch_end(ch, &ch->watch_out);
  exec_life_await(ch);
}

static size_t out_read(parley_channel *ch)
{
  char bytes[EXEC_READ_BYTES_MAX];
  size_t len = pipe_read(ch->child.out, bytes, sizeof bytes, &ch->out_ended);

  if (len > 0 && !ch->deaf && !exec_lines_feed(&ch->lines, (parley_bytes){bytes, len}, line_taken, ch))
    exec_life_end(ch, "no memory for what it says");
  return len;
}

static void out_ready(uint32_t events, void *arg)
{
  parley_channel *ch = arg;

  (void)events; /* the read says all */
  out_read(ch);
  if (ch->out_ended)
    out_lost(ch);
  else if (out_paused(ch))
    watch_end(ch, &ch->watch_out);
  exec_look(ch);
}

static size_t err_read(parley_channel *ch, bool *ended)
{
  char bytes[EXEC_READ_BYTES_MAX];
  size_t len = pipe_read(ch->child.err, bytes, sizeof bytes, ended);

  ch->stderr_bytes += len;
  if (len > 0)
    (void)exec_lines_feed(&ch->words, (parley_bytes){bytes, len}, words_taken, ch);
  return len;
}

static void err_ready(uint32_t events, void *arg)
{
  parley_channel *ch = arg;
  bool ended = false;

  (void)events;
  err_read(ch, &ended);
  if (ended || ch->stderr_bytes >= EXEC_STDERR_BYTES_MAX)
    watch_end(ch, &ch->watch_err);
  ch->stderr_ended = ended;
  exec_look(ch);
}

/* --- Its second, and its life ------------------------------------------------------------------------------------- */

bool exec_flow_may_log(parley_channel *ch)
{
  if (ch->logged < EXEC_LOG_LINES_MAX) {
    ch->logged++;
    return true;
  }
  ch->not_logged++;
  return false;
}

int64_t exec_flow_next(const parley_channel *ch)
{
  bool waits = ch->not_logged > 0 || ch->health.level != 0 || ch->chatter >= EXEC_CHATTER_MAX ||
               ch->stderr_bytes >= EXEC_STDERR_BYTES_MAX;

  return waits ? ch->second_ms + EXEC_SECOND_MS : 0;
}

static void second_begin(parley_channel *ch, int64_t now)
{
  if (ch->not_logged > 0)
    exec_log(ch, PARLEY_WARN, "event=program_lines_not_logged lines=%u", ch->not_logged);
  ch->second_ms = now;
  ch->chatter = ch->logged = ch->not_logged = 0;
  ch->stderr_bytes = 0;
  if (ch->health.level != 0)
    exec_take_health(ch);
}

void exec_flow_look(parley_channel *ch, int64_t now)
{
  if (now - ch->second_ms >= EXEC_SECOND_MS)
    second_begin(ch, now);
  if (ch->child.pid == 0 || ch->state == EXEC_GONE)
    return;
  if (ch->watch_out == 0 && !ch->out_ended && !out_paused(ch))
    ch->watch_out = ch->host->watch(ch->host, ch->child.out, PARLEY_READABLE, out_ready, ch);
  if (ch->watch_err == 0 && !ch->stderr_ended && ch->stderr_bytes < EXEC_STDERR_BYTES_MAX)
    ch->watch_err = ch->host->watch(ch->host, ch->child.err, PARLEY_READABLE, err_ready, ch);
}

void exec_flow_open(parley_channel *ch)
{
  ch->lines.max = ch->options.line_max;
  ch->words.max = EXEC_STDERR_LINE_MAX;
  ch->n_lines = ch->said_bytes = ch->written_bytes = 0;
  ch->deaf = ch->out_ended = ch->in_ended = ch->stderr_ended = false;
  ch->bad_lines = 0;
  exec_flow_look(ch, exec_now(ch));
}

void exec_flow_last(parley_channel *ch)
{
  bool ended = false;
  size_t total = 0;

  while (!ch->out_ended && total < EXEC_LAST_BYTES_MAX) {
    size_t len = out_read(ch);

    if (len == 0)
      break;
    total += len;
  }
  while (!ended && total < EXEC_LAST_BYTES_MAX * 2) {
    size_t len = err_read(ch, &ended);

    if (len == 0)
      break;
    total += len;
  }
  exec_lines_end(&ch->words, words_taken, ch);
}

void exec_flow_close(parley_channel *ch)
{
  watch_end(ch, &ch->watch_in);
  watch_end(ch, &ch->watch_out);
  watch_end(ch, &ch->watch_err);
  while (ch->queue != NULL)
    queue_drop_first(ch);
  exec_lines_clear(&ch->lines);
  exec_lines_clear(&ch->words);
  ch->full = false;
}
