/* border - what the process border adds to one message: from submit to settle of a channel of noop.so, inside of this process
 * and in one of its own, beside a bare libuv socketpair between two processes that carries as many bytes each way.
 *
 * usage: border [-n MESSAGES=20000] [-b BODY_BYTES=1024]
 * One message at a time. The three take turns, so that what else the machine does meets them alike. Prints
 * {messages, bare_us, inline_us, apart_us, added_us, ratio}: medians; ratio is added_us / bare_us. */
#include "bench.h"
#include "core/base/env.h"
#include "core/channel/channel.h"
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROUNDS 20
#define DEADLINE_MS 30000
#define BODY_MAX 65536
#define FRAME_MAX (BODY_MAX + 512)
#define MEMORY_BYTES ((uint64_t)512 << 20)
#define HANG_MS 5000
#define MESSAGE_BYTES 260 /* of a SUBMIT frame beside the body, about */

struct bench;
/* One way of asking and being answered. */
struct way {
  struct bench *bench;
  const char *name;
  void (*ask)(struct way *way); /* ends in way_answered(), within the call or later */
  struct histogram times_ns;
  uint64_t asked_ns, left; /* of this round */
  bool asking, more;       /* more: answered within its call */
  struct channel *channel;
};
struct bench {
  uv_loop_t loop;
  struct way bare, within, apart;
  uv_pipe_t pipe; /* bare */
  uv_write_t write;
  char frame[FRAME_MAX], answer[FRAME_MAX];
  size_t frame_bytes, answered_bytes;
  parley_message message;
  uint64_t token;
  long messages, body_bytes;
};

/* --- Asking again and again ------------------------------------------------------------------------------------------------- */

static void way_next(struct way *way)
{
  if (way->asking) { /* answered within its own call: no deeper */
    way->more = true;
    return;
  }
  way->asking = true;
  do {
    way->more = false;
    way->asked_ns = uv_hrtime();
    way->ask(way);
  } while (way->more);
  way->asking = false;
}

static void way_answered(struct way *way)
{
  histogram_add(&way->times_ns, (int64_t)(uv_hrtime() - way->asked_ns));
  if (--way->left > 0)
    way_next(way);
  else
    uv_stop(&way->bench->loop);
}

static void way_round(struct way *way)
{
  way->left = (uint64_t)(way->bench->messages / ROUNDS);
  way_next(way);
  while (way->left > 0)
    uv_run(&way->bench->loop, UV_RUN_DEFAULT);
}

/* --- The bare socketpair ---------------------------------------------------------------------------------------------------- */

static void bare_written(uv_write_t *write, int status)
{
  (void)write;
  if (status < 0)
    bench_die("bare: %s", uv_strerror(status));
}

static void bare_room(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
  struct bench *bench = handle->data;

  (void)suggested;
  *buf = uv_buf_init(bench->answer, sizeof bench->answer);
}

static void bare_send(struct bench *bench)
{
  uv_buf_t buf = uv_buf_init(bench->frame, (unsigned)bench->frame_bytes);
  int err = uv_write(&bench->write, (uv_stream_t *)&bench->pipe, &buf, 1, bare_written);

  if (err < 0)
    bench_die("bare: %s", uv_strerror(err));
}

static bool bare_whole(struct bench *bench, ssize_t n)
{
  if (n < 0)
    bench_die("bare: %s", uv_strerror((int)n));
  bench->answered_bytes += (size_t)n;
  if (bench->answered_bytes < bench->frame_bytes)
    return false;
  bench->answered_bytes = 0;
  return true;
}

static void bare_on_answer(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
  struct bench *bench = stream->data;

  (void)buf;
  if (bare_whole(bench, n))
    way_answered(&bench->bare);
}

static void echo_on_frame(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
  struct bench *bench = stream->data;

  (void)buf;
  if (n < 0)
    uv_stop(&bench->loop);
  else if (bare_whole(bench, n))
    bare_send(bench);
}

static void bare_open(struct bench *bench, int fd, uv_read_cb on_bytes)
{
  if (uv_pipe_init(&bench->loop, &bench->pipe, 0) != 0 || uv_pipe_open(&bench->pipe, fd) != 0)
    bench_die("the socketpair cannot be opened");
  bench->pipe.data = bench;
  uv_read_start((uv_stream_t *)&bench->pipe, bare_room, on_bytes);
}

static pid_t bare_start(struct bench *bench)
{
  int pair[2];
  pid_t pid;

  bench->frame_bytes = (size_t)bench->body_bytes + MESSAGE_BYTES;
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0 || (pid = fork()) < 0)
    bench_die("no process for the bare socketpair");
  close(pair[pid == 0 ? 0 : 1]);
  uv_loop_init(&bench->loop);
  bare_open(bench, pair[pid == 0 ? 1 : 0], pid == 0 ? echo_on_frame : bare_on_answer);
  if (pid == 0) {
    uv_run(&bench->loop, UV_RUN_DEFAULT);
    _exit(0);
  }
  return pid;
}

static void bare_ask(struct way *way)
{
  bare_send(way->bench);
}

/* --- The channels ----------------------------------------------------------------------------------------------------------- */

static void channel_ask(struct way *way)
{
  struct bench *bench = way->bench;

  if (channel_submit(way->channel, ++bench->token, &bench->message, DEADLINE_MS) != PARLEY_OK)
    bench_die("%s: a message was not taken", way->name);
}

static void on_settled(struct channel *channel, uint64_t token, const parley_outcome *outcome, void *arg)
{
  (void)channel, (void)token;
  if (outcome->result != PARLEY_OUTCOME_ACCEPTED)
    bench_die("%s: a message was not accepted", ((struct way *)arg)->name);
  way_answered(arg);
}

static void on_roomier(struct channel *channel, bool well, void *arg)
{
  (void)channel, (void)well, (void)arg;
}

static void on_health(struct channel *channel, enum channel_state state, parley_text cause, parley_text remedy, void *arg)
{
  (void)channel, (void)remedy;
  if (state != CHANNEL_UP)
    bench_die("%s: %.*s", ((struct way *)arg)->name, (int)cause.len, cause.at);
}

static void on_progress(struct channel *channel, void *arg)
{
  (void)channel;
  uv_stop(&((struct way *)arg)->bench->loop);
}

static struct plugin *noop_load(enum conf_isolation isolation)
{
  static struct plugin_home home;
  const parley_text dir = PARLEY_LIT(PARLEY_BUILD_DIR "/bench/plugins");
  struct plugin_source source = {.dirs = &dir, .n_dirs = 1, .run_dir = "/tmp", .host_program = home.host_program,
                                 .offered = channel_extensions};
  struct buf why = BUF_INIT(4096);
  struct plugin *plugin = NULL;

  snprintf(home.host_program, sizeof home.host_program, "%s", PARLEY_BUILD_DIR "/bin/parley-plugin-host");
  if (plugin_load("noop", isolation, &source, &plugin, &why) != PARLEY_OK)
    bench_die("%s", why.at);
  return plugin;
}

static void channel_begin(struct way *way, enum conf_isolation isolation)
{
  static const struct channel_apart apart = {PARLEY_BUILD_DIR "/bin/parley-plugin-host", MEMORY_BYTES, HANG_MS};
  static const parley_value no_options = {.size = sizeof no_options, .type = PARLEY_OPTION_GROUP};
  struct channel_shared shared = {.loop = &way->bench->loop, .env = &env_system, .services = &channel_services_own,
                                  .apart = apart};
  struct channel_owner owner = {.settled = on_settled, .roomier = on_roomier, .health = on_health, .progress = on_progress,
                                .arg = way};
  struct plugin *plugin = noop_load(isolation);
  struct buf why = BUF_INIT(1024);

  if (channel_new_with(&shared, &owner, way->name, 0, &no_options, plugin, &way->channel) != PARLEY_OK)
    bench_die("%s: no channel", way->name);
  while (channel_making(way->channel) == CHANNEL_GOING)
    uv_run(&way->bench->loop, UV_RUN_DEFAULT);
  if (channel_start(way->channel, &why) != PARLEY_OK)
    bench_die("%s", why.at);
  while (channel_starting(way->channel) == CHANNEL_GOING)
    uv_run(&way->bench->loop, UV_RUN_DEFAULT);
  plugin_unref(&plugin);
}

/* --- All -------------------------------------------------------------------------------------------------------------------- */

static void message_make(struct bench *bench)
{
  static char body[BODY_MAX];
  static parley_part part = {.size = sizeof part, .kind = PARLEY_PART_TEXT};
  static const parley_part *parts[] = {&part};
  static const parley_identity to = {.size = sizeof to, .kind = PARLEY_LIT("email"), .value = PARLEY_LIT("ana@example.org")};
  static const parley_customer customer = {.size = sizeof customer, .id = PARLEY_LIT("cus_01KAM2Z8Q3XWA"),
                                           .locale = PARLEY_LIT("es"), .timezone = PARLEY_LIT("Europe/Madrid")};

  memset(body, 'x', sizeof body);
  part.text = (parley_text){body, (size_t)bench->body_bytes};
  bench->message = (parley_message){.size = sizeof bench->message, .kind = PARLEY_KIND_CONTENT, .attempt = 1, .n_parts = 1,
                                    .accepted_ms = env_system.now_ms(&env_system), .id = PARLEY_LIT("msg_01KAM2Z8Q3XWA"),
                                    .topic = PARLEY_LIT("orders"), .subject = PARLEY_LIT("Order 1042"), .to = &to,
                                    .customer = &customer, .parts = parts};
}

static double way_median_us(const struct way *way)
{
  return histogram_quantile_us(&way->times_ns, 0.5) / 1000;
}

static void report(const struct bench *bench)
{
  double bare = way_median_us(&bench->bare), within = way_median_us(&bench->within), apart = way_median_us(&bench->apart);

  printf("{\"messages\":%ld,\"bare_us\":%.2f,\"inline_us\":%.2f,\"apart_us\":%.2f,\"added_us\":%.2f,\"ratio\":%.3f}\n",
         bench->messages, bare, within, apart, apart - within, (apart - within) / bare);
}

static void channel_gone(void *arg)
{
  (void)arg;
}

int main(int argc, char **argv)
{
  struct bench *bench = bench_alloc(sizeof *bench);
  pid_t echo;
  int c;

  memset(bench, 0, sizeof *bench);
  bench->messages = 20000;
  bench->body_bytes = 1024;
  while ((c = getopt(argc, argv, "n:b:")) != -1) {
    switch (c) {
    case 'n': bench->messages = bench_number('n', optarg, ROUNDS, 100000000); break;
    case 'b': bench->body_bytes = bench_number('b', optarg, 1, BODY_MAX); break;
    default: return 2;
    }
  }
  signal(SIGPIPE, SIG_IGN);
  echo = bare_start(bench);
  bench->bare = (struct way){.bench = bench, .name = "bare", .ask = bare_ask};
  bench->within = (struct way){.bench = bench, .name = "inline", .ask = channel_ask};
  bench->apart = (struct way){.bench = bench, .name = "apart", .ask = channel_ask};
  channel_begin(&bench->within, CONF_INLINE);
  channel_begin(&bench->apart, CONF_PROCESS);
  message_make(bench);
  for (int i = 0; i < ROUNDS; i++) {
    way_round(&bench->bare);
    way_round(&bench->within);
    way_round(&bench->apart);
  }
  report(bench);
  channel_stop(&bench->within.channel, 0, channel_gone, NULL);
  channel_stop(&bench->apart.channel, 0, channel_gone, NULL);
  uv_close((uv_handle_t *)&bench->pipe, NULL);
  uv_run(&bench->loop, UV_RUN_DEFAULT);
  waitpid(echo, NULL, 0);
  free(bench);
  return 0;
}
