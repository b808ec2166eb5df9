/* smtp_sink - a fast SMTP sink for benches: libuv, one thread, loopback only, pipelining.
 *
 * usage: smtp_sink -p PORT [-d DATA_DELAY_MS=0] [-e ERRORS_PERMILLE=0] [-E CODE=451] [-n MAILS]
 * Counts mails by their end of DATA. A mail with ts=<us> in it feeds the latency from then to now.
 * SIGUSR1 prints {count, errors, bytes, sessions, first_us, last_us, rate, p50_us, p99_us, max_us} and begins anew;
 * SIGTERM, or the MAILS-th good mail, prints it and ends. */
#include "bench.h"
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>
#include <uv.h>

#define READ_ROOM_MIN 16384
#define BUFFER_START 32768
#define REPLY_ROOM 8192
#define BACKLOG 4096

struct sink {
  uv_loop_t *loop;
  uv_tcp_t listener;
  uv_signal_t report_signal;
  uv_signal_t stop_signal;
  int delay_ms;
  int errors_permille;
  int error_code;
  uint64_t random;
  uint64_t count_max; /* 0: no end */
  uint64_t count;
  uint64_t errors;
  uint64_t bytes;
  uint64_t sessions;
  int64_t first_us;
  int64_t last_us;
  struct histogram latency;
};

struct session {
  struct sink *sink;
  uv_tcp_t tcp;
  uv_timer_t timer;
  char *buffer;
  size_t size;
  size_t capacity;
  size_t scanned; /* of a mail that isn't whole yet: searched up to here */
  bool in_data;
  bool waiting; /* for the delay before the answer to DATA */
  bool closing;
  int open_handles;
  int code; /* what the mail gets: 250 or the error */
  char reply[REPLY_ROOM];
  size_t reply_size;
};

static void session_parse(struct session *session);

static void sink_report(const struct sink *sink)
{
  double seconds = (double)(sink->last_us - sink->first_us) / US_PER_S;

  printf("{\"count\":%llu,\"errors\":%llu,\"bytes\":%llu,\"sessions\":%llu,\"first_us\":%lld,\"last_us\":%lld,\"rate\":"
         "%.1f,"
         "\"p50_us\":%.0f,\"p99_us\":%.0f,\"max_us\":%llu}\n",
         (unsigned long long)sink->count, (unsigned long long)sink->errors, (unsigned long long)sink->bytes,
         (unsigned long long)sink->sessions, (long long)sink->first_us, (long long)sink->last_us,
         seconds > 0 ? (double)sink->count / seconds : 0, histogram_quantile_us(&sink->latency, 0.5),
         histogram_quantile_us(&sink->latency, 0.99), (unsigned long long)sink->latency.max_us);
  fflush(stdout);
}

static void on_report(uv_signal_t *handle, int number)
{
  struct sink *sink = handle->data;

  (void)number;
  sink_report(sink);
  sink->count = sink->errors = sink->bytes = sink->sessions = 0;
  sink->first_us = sink->last_us = 0;
  memset(&sink->latency, 0, sizeof sink->latency);
}

static void sink_end_when_full(const struct sink *sink)
{
  if (sink->count_max == 0 || sink->count < sink->count_max)
    return;
  sink_report(sink);
  _exit(0);
}

static void on_stop(uv_signal_t *handle, int number)
{
  (void)number;
  sink_report(handle->data);
  _exit(0);
}

static void on_closed(uv_handle_t *handle)
{
  struct session *session = handle->data;

  if (--session->open_handles > 0)
    return;
  free(session->buffer);
  free(session);
}

static void session_close(struct session *session)
{
  if (session->closing)
    return;
  session->closing = true;
  session->open_handles = 2;
  uv_close((uv_handle_t *)&session->tcp, on_closed);
  uv_close((uv_handle_t *)&session->timer, on_closed);
}

static void session_flush(struct session *session)
{
  uv_buf_t reply = uv_buf_init(session->reply, (unsigned)session->reply_size);

  if (session->reply_size > 0 && uv_try_write((uv_stream_t *)&session->tcp, &reply, 1) < 0)
    session_close(session);
  session->reply_size = 0;
}

static void session_say(struct session *session, const char *text)
{
  size_t size = strlen(text);

  if (session->reply_size + size > REPLY_ROOM)
    session_flush(session);
  memcpy(session->reply + session->reply_size, text, size);
  session->reply_size += size;
}

static void session_answer_mail(struct session *session)
{
  char text[64];

  if (session->code == 250) {
    session_say(session, "250 2.0.0 Ok: queued\r\n");
    return;
  }
  snprintf(text, sizeof text, "%d %d.3.0 the sink says no\r\n", session->code, session->code / 100);
  session_say(session, text);
}

static void on_delayed(uv_timer_t *timer)
{
  struct session *session = timer->data;

  session->waiting = false;
  session_answer_mail(session);
  session_parse(session);
}

static void sink_count(struct session *session, struct slice mail)
{
  struct sink *sink = session->sink;
  int64_t now_us = bench_wall_us();
  int64_t stamp_us = bench_stamp_us(mail);

  session->code = 250;
  if (sink->errors_permille > 0 && (int)(bench_random(&sink->random) % 1000) < sink->errors_permille) {
    session->code = sink->error_code;
    sink->errors++;
    return;
  }
  if (sink->count == 0)
    sink->first_us = now_us;
  sink->last_us = now_us;
  sink->count++;
  sink->bytes += mail.size;
  if (stamp_us > 0)
    histogram_add(&sink->latency, now_us - stamp_us);
}

/* Takes the mail from `at` on when its end is there; returns where to go on, or 0. */
static size_t session_take_mail(struct session *session, size_t at)
{
  static const char end[] = "\r\n.\r\n";
  const char *start = session->buffer + at;
  size_t size = session->size - at;
  size_t from = session->scanned > at + 4 ? session->scanned - 4 - at : 0;
  const char *found;
  size_t mail_size;

  if (size >= 3 && memcmp(start, ".\r\n", 3) == 0) {
    mail_size = 0;
    found = start - 2; /* the line end of DATA itself */
  } else {
    found = memmem(start + from, size - from, end, sizeof end - 1);
    if (found == NULL) {
      session->scanned = session->size;
      return 0;
    }
    mail_size = (size_t)(found - start);
  }
  sink_count(session, (struct slice){start, mail_size});
  session->in_data = false;
  session->scanned = 0;
  if (session->sink->delay_ms > 0) {
    session->waiting = true;
    uv_timer_start(&session->timer, on_delayed, (uint64_t)session->sink->delay_ms, 0);
  } else {
    session_answer_mail(session);
  }
  return (size_t)(found + sizeof end - 1 - session->buffer);
}

static void session_command(struct session *session, const char *line)
{
  if (strncasecmp(line, "EHLO", 4) == 0) {
    session_say(session,
                "250-sink\r\n250-PIPELINING\r\n250-SIZE 104857600\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES\r\n");
  } else if (strncasecmp(line, "DATA", 4) == 0) {
    session_say(session, "354 go\r\n");
    session->in_data = true;
    session->scanned = 0;
  } else if (strncasecmp(line, "QUIT", 4) == 0) {
    session_say(session, "221 2.0.0 bye\r\n");
    session_flush(session);
    session_close(session);
  } else {
    session_say(session, "250 2.0.0 Ok\r\n");
  }
}

static void session_parse(struct session *session)
{
  size_t at = 0;

  while (!session->waiting && !session->closing && at < session->size) {
    if (session->in_data) {
      size_t next = session_take_mail(session, at);

      if (next == 0)
        break;
      at = next;
    } else {
      const char *line = session->buffer + at;
      const char *end = memchr(line, '\n', session->size - at);

      if (end == NULL)
        break;
      at = (size_t)(end + 1 - session->buffer);
      session_command(session, line);
    }
  }
  if (session->closing)
    return;
  memmove(session->buffer, session->buffer + at, session->size - at);
  session->size -= at;
  session->scanned = session->scanned > at ? session->scanned - at : 0;
  session_flush(session);
  sink_end_when_full(session->sink);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
  struct session *session = handle->data;

  (void)suggested;
  if (session->capacity - session->size < READ_ROOM_MIN) {
    session->capacity = session->capacity == 0 ? BUFFER_START : session->capacity * 2;
    session->buffer = bench_realloc(session->buffer, session->capacity);
  }
  *out = uv_buf_init(session->buffer + session->size, (unsigned)(session->capacity - session->size));
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer)
{
  struct session *session = stream->data;

  (void)buffer;
  if (size < 0) {
    session_close(session);
    return;
  }
  session->size += (size_t)size;
  session_parse(session);
}

static void on_connection(uv_stream_t *listener, int status)
{
  struct sink *sink = listener->data;
  struct session *session;

  if (status < 0)
    return;
  session = bench_alloc(sizeof *session);
  session->sink = sink;
  session->tcp.data = session->timer.data = session;
  uv_tcp_init(sink->loop, &session->tcp);
  uv_timer_init(sink->loop, &session->timer);
  if (uv_accept(listener, (uv_stream_t *)&session->tcp) != 0) {
    session_close(session);
    return;
  }
  sink->sessions++;
  uv_tcp_nodelay(&session->tcp, 1);
  session_say(session, "220 sink ESMTP\r\n");
  session_flush(session);
  if (!session->closing)
    uv_read_start((uv_stream_t *)&session->tcp, on_alloc, on_read);
}

static void sink_start(struct sink *sink, int port)
{
  struct sockaddr_in address;
  int error;

  uv_ip4_addr("127.0.0.1", port, &address);
  uv_tcp_init(sink->loop, &sink->listener);
  sink->listener.data = sink->report_signal.data = sink->stop_signal.data = sink;
  error = uv_tcp_bind(&sink->listener, (const struct sockaddr *)&address, 0);
  if (error == 0)
    error = uv_listen((uv_stream_t *)&sink->listener, BACKLOG, on_connection);
  if (error != 0)
    bench_die("port %d: %s", port, uv_strerror(error));
  uv_signal_init(sink->loop, &sink->report_signal);
  uv_signal_start(&sink->report_signal, on_report, SIGUSR1);
  uv_signal_init(sink->loop, &sink->stop_signal);
  uv_signal_start(&sink->stop_signal, on_stop, SIGTERM);
}

int main(int argc, char **argv)
{
  struct sink *sink = bench_alloc(sizeof *sink);
  int port = 0;
  int option;

  sink->error_code = 451;
  while ((option = getopt(argc, argv, "p:d:e:E:n:")) > 0) {
    if (option == 'p')
      port = (int)bench_number('p', optarg, 1, 65535);
    else if (option == 'd')
      sink->delay_ms = (int)bench_number('d', optarg, 0, 3600000);
    else if (option == 'e')
      sink->errors_permille = (int)bench_number('e', optarg, 0, 1000);
    else if (option == 'E')
      sink->error_code = (int)bench_number('E', optarg, 400, 599);
    else if (option == 'n')
      sink->count_max = (uint64_t)bench_number('n', optarg, 1, 1000000000);
    else
      return 2;
  }
  if (port == 0)
    bench_die("usage: smtp_sink -p PORT [-d DATA_DELAY_MS] [-e ERRORS_PERMILLE] [-E CODE] [-n MAILS]");
  sink->loop = uv_default_loop();
  sink->random = bench_seed();
  signal(SIGPIPE, SIG_IGN);
  sink_start(sink, port);
  return uv_run(sink->loop, UV_RUN_DEFAULT);
}
