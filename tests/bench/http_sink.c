/* http_sink - a fast webhook receiver for benches: libuv, one thread, loopback only.
 *
 * usage: http_sink -p PORT [-P PORTS=1] [-d DELAY_MS=0] [-i INDEX] [-e ERRORS_PERMILLE=0] [-E STATUS=503]
 *   -P N   listens on N ports from PORT on, each with counters of its own
 *   -i I   only the I-th port (from 0) has the delay
 * Counts the POSTs it answers well. A body with ts=<us> or "ts":<us> feeds the latency from then to now.
 * GET /stats answers {count, errors, bytes, first_us, last_us, rate, p50_us, p99_us, max_us} of its port, GET /reset
 * the same and begins anew. SIGTERM ends it. */
#include "http_serve.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PORTS_MAX 64
#define STATS_MAX 512
#define ALL_PORTS (-1)

struct sink;

struct sink_port {
  struct sink *sink;
  struct http_serve serve;
  bool delayed;
  uint64_t count;
  uint64_t errors;
  uint64_t bytes;
  int64_t first_us;
  int64_t last_us;
  struct histogram latency;
};

struct sink {
  uv_loop_t *loop;
  uv_signal_t stop;
  int delay_ms;
  int delayed_index;
  int errors_permille;
  int error_status;
  int port;
  int ports;
  uint64_t random;
  struct sink_port *each;
};

struct late_answer {
  uv_timer_t timer;
  struct http_serve_conn *conn;
  int status;
};

static const struct slice empty_object = {"{}", 2};

static void answer_stats(struct http_serve_conn *conn, struct sink_port *port, bool reset)
{
  char text[STATS_MAX];
  double seconds = (double)(port->last_us - port->first_us) / US_PER_S;
  int size = snprintf(text, sizeof text,
                      "{\"count\":%llu,\"errors\":%llu,\"bytes\":%llu,\"first_us\":%lld,\"last_us\":%lld,\"rate\":%.1f,"
                      "\"p50_us\":%.0f,\"p99_us\":%.0f,\"max_us\":%llu}\n",
                      (unsigned long long)port->count, (unsigned long long)port->errors,
                      (unsigned long long)port->bytes, (long long)port->first_us, (long long)port->last_us,
                      seconds > 0 ? (double)port->count / seconds : 0, histogram_quantile_us(&port->latency, 0.5),
                      histogram_quantile_us(&port->latency, 0.99), (unsigned long long)port->latency.max_us);

  if (reset) {
    port->count = port->errors = port->bytes = 0;
    port->first_us = port->last_us = 0;
    memset(&port->latency, 0, sizeof port->latency);
  }
  http_serve_answer(conn, 200, (struct slice){text, (size_t)size});
}

static void on_late_closed(uv_handle_t *handle)
{
  free(handle->data);
}

static void on_late(uv_timer_t *timer)
{
  struct late_answer *late = timer->data;

  http_serve_answer(late->conn, late->status, empty_object);
  http_serve_release(late->conn);
  uv_close((uv_handle_t *)timer, on_late_closed);
}

static void answer_later(struct sink *sink, struct http_serve_conn *conn, int status)
{
  struct late_answer *late = bench_alloc(sizeof *late);

  late->conn = conn;
  late->status = status;
  late->timer.data = late;
  http_serve_hold(conn);
  uv_timer_init(sink->loop, &late->timer);
  uv_timer_start(&late->timer, on_late, (uint64_t)sink->delay_ms, 0);
}

static int count_request(struct sink_port *port, struct slice body)
{
  struct sink *sink = port->sink;
  int64_t now_us = bench_wall_us();
  int64_t stamp_us = bench_stamp_us(body);

  if (sink->errors_permille > 0 && (int)(bench_random(&sink->random) % 1000) < sink->errors_permille) {
    port->errors++;
    return sink->error_status;
  }
  if (port->count == 0)
    port->first_us = now_us;
  port->last_us = now_us;
  port->count++;
  port->bytes += body.size;
  if (stamp_us > 0)
    histogram_add(&port->latency, now_us - stamp_us);
  return 200;
}

static bool path_is(const struct http_serve_request *request, const char *path)
{
  return request->path.size == strlen(path) && memcmp(request->path.data, path, request->path.size) == 0;
}

static void on_request(struct http_serve_conn *conn, const struct http_serve_request *request, void *arg)
{
  struct sink_port *port = arg;
  int status;

  if (request->method.size == 3 && memcmp(request->method.data, "GET", 3) == 0) {
    answer_stats(conn, port, path_is(request, "/reset"));
    return;
  }
  status = count_request(port, request->body);
  if (port->delayed)
    answer_later(port->sink, conn, status);
  else
    http_serve_answer(conn, status, empty_object);
}

static void on_stop(uv_signal_t *handle, int number)
{
  (void)handle;
  (void)number;
  _exit(0);
}

static void sink_start(struct sink *sink)
{
  sink->each = bench_alloc((size_t)sink->ports * sizeof *sink->each);
  for (int i = 0; i < sink->ports; i++) {
    struct sink_port *port = &sink->each[i];
    int error;

    port->sink = sink;
    port->delayed = sink->delay_ms > 0 && (sink->delayed_index == ALL_PORTS || sink->delayed_index == i);
    error = http_serve_listen(&port->serve, sink->loop, sink->port + i, on_request, port);
    if (error != 0)
      bench_die("port %d: %s", sink->port + i, uv_strerror(error));
  }
  uv_signal_init(sink->loop, &sink->stop);
  uv_signal_start(&sink->stop, on_stop, SIGTERM);
}

int main(int argc, char **argv)
{
  struct sink sink = {.loop = uv_default_loop(), .delayed_index = ALL_PORTS, .error_status = 503, .ports = 1};
  int option;

  while ((option = getopt(argc, argv, "p:P:d:i:e:E:")) > 0) {
    if (option == 'p')
      sink.port = (int)bench_number('p', optarg, 1, 65535);
    else if (option == 'P')
      sink.ports = (int)bench_number('P', optarg, 1, PORTS_MAX);
    else if (option == 'd')
      sink.delay_ms = (int)bench_number('d', optarg, 0, 3600000);
    else if (option == 'i')
      sink.delayed_index = (int)bench_number('i', optarg, 0, PORTS_MAX - 1);
    else if (option == 'e')
      sink.errors_permille = (int)bench_number('e', optarg, 0, 1000);
    else if (option == 'E')
      sink.error_status = (int)bench_number('E', optarg, 200, 599);
    else
      return 2;
  }
  if (sink.port == 0)
    bench_die("usage: http_sink -p PORT [-P PORTS] [-d DELAY_MS] [-i INDEX] [-e ERRORS_PERMILLE] [-E STATUS]");
  sink.random = bench_seed();
  signal(SIGPIPE, SIG_IGN);
  sink_start(&sink);
  return uv_run(sink.loop, UV_RUN_DEFAULT);
}
