/* email_send - how fast the email plugin alone sends: the real .so on real byte streams, no store, no daemon.
 *
 * usage: email_send -p PORT [-n MAILS=10000] [-b BODY_BYTES=1024] [-S SESSIONS=20] [-t required|opportunistic|off]
 *                   [-H HOST=127.0.0.1] [-u USER -w PASSWORD]
 * Prints {mails, outcomes by name, last_code, last_detail, rate, cpu_us_per_mail}; exit code 0: all were accepted. */
#include "bench.h"
#include "core/base/env.h"
#include "core/net/stream.h"
#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

enum { OPEN_MAX_TOKENS = 8192, TIMERS_MAX = 16, OPTIONS_MAX = 64, TEXT_MAX = 512, OUTCOMES = PARLEY_OUTCOME_UNKNOWN + 1 };
static const char *const outcome_names[OUTCOMES] = {NULL, "accepted", "delivered", "retry", "rejected", "bad_address",
                                                    "throttled", "channel_down", "unknown"};

struct mail {
  parley_message message;
  parley_identity to;
  parley_part part;
  const parley_part *parts[1];
  char id[32], address[64];
};
struct bench_timer {
  uv_timer_t timer;
  uint64_t id;
  parley_call *due;
  void *arg;
};
struct bench {
  parley_host host;
  uv_loop_t *loop;
  const parley_plugin *plugin;
  parley_channel *channel;
  struct dns *dns;
  struct egress *egress;
  struct streams *streams;
  uv_prepare_t feeder;
  struct mail mails[OPEN_MAX_TOKENS];
  struct bench_timer timers[TIMERS_MAX];
  uint64_t wanted, sent, settled, outcomes[OUTCOMES], next_id;
  const char *smtp, *tls, *user, *password;
  long sessions;
  char *body, code[TEXT_MAX], detail[TEXT_MAX];
  size_t body_bytes;
  int64_t first_us, last_us;
};

static struct bench *self(const parley_host *host)
{
  return host->impl;
}

/* --- The host ----------------------------------------------------------------------------------------------------- */
static int64_t h_now(const parley_host *host)
{
  (void)host;
  return env_system.now_ms(&env_system);
}

static int64_t h_mono(const parley_host *host)
{
  (void)host;
  return env_system.mono_ms(&env_system);
}

static void h_metric(const parley_host *host, const char *name, parley_text label, double value)
{
  (void)host, (void)name, (void)label, (void)value;
}

static void h_window(const parley_host *host, uint32_t in_flight)
{
  (void)host, (void)in_flight;
}

static void h_health(const parley_host *host, uint32_t level, parley_text cause, parley_text remedy)
{
  (void)host;
  fprintf(stderr, "health %u: %.*s (%.*s)\n", level, (int)cause.len, cause.at, (int)remedy.len, remedy.at);
}

static void timer_due(uv_timer_t *timer)
{
  struct bench_timer *at = timer->data;

  at->due(at->arg);
}

static uint64_t h_timer(const parley_host *host, uint32_t after_ms, uint32_t every_ms, parley_call *due, void *arg)
{
  struct bench *bench = self(host);
  size_t i = 0;

  while (i + 1 < TIMERS_MAX && bench->timers[i].id != 0)
    i++;
  bench->timers[i].id = ++bench->next_id;
  bench->timers[i].due = due;
  bench->timers[i].arg = arg;
  bench->timers[i].timer.data = &bench->timers[i];
  uv_timer_start(&bench->timers[i].timer, timer_due, after_ms, every_ms);
  return bench->timers[i].id;
}

static void h_cancel(const parley_host *host, uint64_t id)
{
  for (size_t i = 0; i < TIMERS_MAX; i++)
    if (self(host)->timers[i].id == id) {
      self(host)->timers[i].id = 0;
      uv_timer_stop(&self(host)->timers[i].timer);
    }
}

static void h_settle(const parley_host *host, uint64_t token, const parley_outcome *outcome)
{
  struct bench *bench = self(host);

  (void)token;
  bench->outcomes[outcome->result < OUTCOMES ? outcome->result : 0]++;
  snprintf(bench->code, sizeof bench->code, "%.*s", (int)outcome->code.len, outcome->code.at);
  snprintf(bench->detail, sizeof bench->detail, "%.*s", (int)outcome->detail.len, outcome->detail.at);
  if (++bench->settled == bench->wanted) {
    bench->last_us = bench_mono_us();
    uv_stop(bench->loop);
  }
}

static uint64_t s_connect(const parley_host *host, const parley_endpoint *to, const parley_stream_events *events,
                          void *arg)
{
  return stream_connect(self(host)->streams, to, events, arg);
}

static uint64_t s_write(const parley_host *host, uint64_t id, parley_bytes bytes)
{
  return stream_write(self(host)->streams, id, bytes);
}

static void s_reading(const parley_host *host, uint64_t id, uint32_t on)
{
  stream_reading(self(host)->streams, id, on);
}

static void s_secure(const parley_host *host, uint64_t id, const parley_tls *tls, uint32_t as_server, uint64_t unused)
{
  stream_secure(self(host)->streams, id, tls, as_server, unused);
}

static void s_close(const parley_host *host, uint64_t id, uint32_t now)
{
  stream_shut(self(host)->streams, id, now);
}

static const parley_stream stream_table = {.size = sizeof stream_table, .connect = s_connect, .write = s_write,
                                           .reading = s_reading, .secure = s_secure, .close = s_close};

static const void *h_extension(const parley_host *host, const char *id)
{
  (void)host;
  return strcmp(id, PARLEY_STREAM) == 0 ? &stream_table : NULL;
}

/* --- The load: as many open as the plugin takes ------------------------------------------------------------------- */
static const parley_message *mail_fill(struct bench *bench, uint64_t number)
{
  struct mail *mail = &bench->mails[number % OPEN_MAX_TOKENS];

  snprintf(mail->id, sizeof mail->id, "msg_%013llu", (unsigned long long)number);
  snprintf(mail->address, sizeof mail->address, "customer%llu@example.org", (unsigned long long)number);
  mail->part =
      (parley_part){.size = sizeof mail->part, .kind = PARLEY_PART_TEXT, .text = {bench->body, bench->body_bytes}};
  mail->parts[0] = &mail->part;
  mail->to =
      (parley_identity){.size = sizeof mail->to, .kind = PARLEY_LIT("email"), .value = parley_text_of(mail->address)};
  mail->message = (parley_message){.size = sizeof mail->message,
                                   .kind = PARLEY_KIND_CONTENT,
                                   .attempt = 1,
                                   .n_parts = 1,
                                   .accepted_ms = h_now(NULL),
                                   .id = parley_text_of(mail->id),
                                   .parts = mail->parts,
                                   .subject = PARLEY_LIT("Order 1042 is on its way"),
                                   .to = &mail->to};
  return &mail->message;
}

static void feed(uv_prepare_t *feeder)
{
  struct bench *bench = feeder->data;

  while (bench->sent < bench->wanted &&
         bench->plugin->submit(bench->channel, bench->sent + 1, mail_fill(bench, bench->sent + 1)) == PARLEY_OK)
    bench->sent++;
}

/* --- Start -------------------------------------------------------------------------------------------------------- */
static const char *option_text(const struct bench *bench, const char *name)
{
  const struct { const char *name, *text; } texts[] = {{"smtp", bench->smtp}, {"from", "Shop <orders@shop.example>"},
      {"tls", bench->tls}, {"user", bench->user}, {"password", bench->password}};

  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
    if (strcmp(name, texts[i].name) == 0)
      return texts[i].text;
  return NULL;
}

static parley_value value_of(const struct bench *bench, const parley_option *option)
{
  parley_value value = {.size = sizeof value, .name = parley_text_of(option->name)};
  const char *text = option_text(bench, option->name);

  if (text != NULL) {
    value.type = option->type;
    value.text = parley_text_of(text);
    while (option->choices != NULL && option->choices[value.number] != NULL &&
           strcmp(option->choices[value.number], text) != 0)
      value.number++;
  }
  if (strcmp(option->name, "sessions") == 0) {
    value.type = PARLEY_OPTION_INT;
    value.number = bench->sessions;
  }
  return value;
}

static void plugin_start(struct bench *bench)
{
  static parley_value values[OPTIONS_MAX];
  static const parley_value *items[OPTIONS_MAX];
  static parley_value root = {.size = sizeof root, .type = PARLEY_OPTION_GROUP, .items = items};
  void *so = dlopen(PARLEY_BUILD_DIR "/plugins/email.so", RTLD_NOW | RTLD_LOCAL);

  bench->plugin = so != NULL ? dlsym(so, "parley_plugin_v1") : NULL;
  if (bench->plugin == NULL) {
    fprintf(stderr, "%s\n", dlerror());
    exit(1);
  }
  for (; bench->plugin->options[root.n_items] != NULL && root.n_items < OPTIONS_MAX; root.n_items++) {
    values[root.n_items] = value_of(bench, bench->plugin->options[root.n_items]);
    items[root.n_items] = &values[root.n_items];
  }
  if (bench->plugin->create(&bench->host, &root, &bench->channel) != PARLEY_OK ||
      bench->plugin->start(bench->channel) != PARLEY_OK)
    exit(1);
}

static void net_start(struct bench *bench)
{
  const parley_text loopback[] = {PARLEY_LIT("127.0.0.0/8"), PARLEY_LIT("::1/128")};
  parley_text bad;

  if (dns_new(bench->loop, &env_system, NULL, &bench->dns) != PARLEY_OK ||
      egress_new(loopback, 2, NULL, 0, &bench->egress, &bad) != PARLEY_OK)
    exit(1);
  bench->streams = streams_new(bench->loop, &env_system, bench->dns, bench->egress, NULL);
  for (size_t i = 0; i < TIMERS_MAX; i++)
    uv_timer_init(bench->loop, &bench->timers[i].timer);
}

static double cpu_us(void)
{
  struct rusage usage;

  getrusage(RUSAGE_SELF, &usage);
  return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * US_PER_S +
         (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static void report(const struct bench *bench, double cpu)
{
  printf("{\"mails\":%llu", (unsigned long long)bench->wanted);
  for (size_t i = 1; i < OUTCOMES; i++)
    printf(",\"%s\":%llu", outcome_names[i], (unsigned long long)bench->outcomes[i]);
  printf(",\"last_code\":\"%s\",\"last_detail\":\"%s\",\"rate\":%.0f,\"cpu_us_per_mail\":%.1f}\n", bench->code,
         bench->detail, (double)bench->wanted * US_PER_S / (double)(bench->last_us - bench->first_us + 1),
         cpu / (double)bench->wanted);
}

static bool arguments_read(struct bench *bench, int argc, char **argv, char *smtp)
{
  const char *server = "127.0.0.1";
  long port = 2526;
  int c;

  while ((c = getopt(argc, argv, "p:n:b:S:t:H:u:w:")) != -1) {
    switch (c) {
    case 'p': port = bench_number('p', optarg, 1, UINT16_MAX); break;
    case 'n': bench->wanted = (uint64_t)bench_number('n', optarg, 1, 100000000); break;
    case 'b': bench->body_bytes = (size_t)bench_number('b', optarg, 1, 1000000); break;
    case 'S': bench->sessions = bench_number('S', optarg, 1, OPEN_MAX_TOKENS / 4); break;
    case 't': bench->tls = optarg; break;
    case 'H': server = optarg; break;
    case 'u': bench->user = optarg; break;
    case 'w': bench->password = optarg; break;
    default: return false;
    }
  }
  snprintf(smtp, TEXT_MAX, "smtp://%s:%ld", server, port);
  bench->smtp = smtp;
  return true;
}

int main(int argc, char **argv)
{
  struct bench *bench = calloc(1, sizeof *bench);
  char smtp[TEXT_MAX];
  double cpu;

  if (bench == NULL)
    return 1;
  bench->wanted = 10000;
  bench->body_bytes = 1024;
  bench->sessions = 20;
  if (!arguments_read(bench, argc, argv, smtp))
    return 2;
  bench->body = malloc(bench->body_bytes);
  for (size_t i = 0; bench->body != NULL && i < bench->body_bytes; i++)
    bench->body[i] = i % 70 == 69 ? '\n' : 'x';
  bench->loop = uv_default_loop();
  bench->host = (parley_host){.size = sizeof bench->host,
                              .abi_major = PARLEY_ABI_MAJOR,
                              .impl = bench,
                              .inline_max = 1 << 20,
                              .now_ms = h_now,
                              .mono_ms = h_mono,
                              .metric = h_metric,
                              .timer = h_timer,
                              .cancel = h_cancel,
                              .settle = h_settle,
                              .window = h_window,
                              .health = h_health,
                              .extension = h_extension};
  net_start(bench);
  plugin_start(bench);
  uv_prepare_init(bench->loop, &bench->feeder);
  bench->feeder.data = bench;
  bench->first_us = bench_mono_us();
  cpu = cpu_us();
  uv_prepare_start(&bench->feeder, feed);
  uv_run(bench->loop, UV_RUN_DEFAULT);
  report(bench, cpu_us() - cpu);
  return bench->outcomes[PARLEY_OUTCOME_ACCEPTED] == bench->wanted ? 0 : 1;
}
