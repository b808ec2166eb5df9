/* store_read - what reading costs inside the store: a customer by address with the last 50 timeline entries, and the
 * same with every entry's body.
 *
 * usage: store_read -p FILE [-n CUSTOMERS=20000] [-e ENTRIES=20] [-r READS=20000]
 * Fills a new store with ENTRIES inbound messages for each of CUSTOMERS, in turn, and then reads random customers one
 * at a time. A read crosses to a reader thread and back; what an empty read costs is measured too and taken off, so
 * that what is printed is the store's own time. One line of JSON, times in microseconds. */
#include "bench.h"
#include "core/base/arena.h"
#include "core/base/env.h"
#include "core/base/text.h"
#include "core/store/store.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define IN_FLIGHT 1024
#define TIMELINE_LIMIT 50
#define BODY_BYTES 400
#define ADDRESS_MAX 64
#define IDEMPOTENCY_KEEP_MS INT64_C(604800000)
#define DAY_MS INT64_C(86400000)

struct bench;

struct arrival {
  struct store_inbound op; /* first: the store gives back its address */
  struct bench *bench;
  char address[ADDRESS_MAX];
  char event_id[ADDRESS_MAX];
};

struct bench {
  uv_loop_t loop;
  struct store *store;
  uint64_t customers;
  uint64_t entries;
  uint64_t reads;
  uint64_t submitted;
  uint64_t failed;
  uint64_t random;
  char body[BODY_BYTES + 64];
  size_t body_bytes;
  int64_t started_ms;
  struct histogram empty;
  struct histogram timeline;
  struct histogram bodies;
  uint64_t rows;
};

static parley_text text_of(const char *string)
{
  return parley_text_of(string);
}

static struct identity email_identity(char *address, uint64_t number)
{
  snprintf(address, ADDRESS_MAX, "c%08llu@customers.example", (unsigned long long)number);
  return (struct identity){.kind = text_of("email"), .value = text_of(address), .raw = text_of(address)};
}

static void arrival_submit(struct arrival *arrival);

static void on_arrived(struct store_op *op)
{
  struct arrival *arrival = (struct arrival *)op;

  if (op->status != PARLEY_OK)
    arrival->bench->failed++;
  arena_free(&op->arena);
  if (arrival->bench->submitted < arrival->bench->customers * arrival->bench->entries)
    arrival_submit(arrival);
}

static void arrival_submit(struct arrival *arrival)
{
  struct bench *bench = arrival->bench;
  uint64_t number = bench->submitted++;
  struct store_inbound *in = &arrival->op;

  memset(in, 0, sizeof *in);
  snprintf(arrival->event_id, sizeof arrival->event_id, "event-%llu", (unsigned long long)number);
  in->op.kind = STORE_INBOUND;
  in->op.done = on_arrived;
  in->channel = text_of("hook");
  in->channel_kind = text_of("webhook");
  in->event_id = text_of(arrival->event_id);
  in->from.n_identities = 1;
  in->from.identities[0] = email_identity(arrival->address, number % bench->customers);
  memcpy(in->body_sha256, &number, sizeof number);
  in->kind = PARLEY_KIND_CONTENT;
  in->at_ms = bench->started_ms - DAY_MS + (int64_t)(number / bench->customers) * 1000;
  in->now_ms = in->at_ms;
  in->topic = text_of("support");
  in->body = (parley_bytes){bench->body, bench->body_bytes};
  in->raw = in->body;
  store_submit(bench->store, &in->op);
}

static void bench_fill(struct bench *bench)
{
  struct arrival *arrivals = bench_alloc(IN_FLIGHT * sizeof *arrivals);

  for (size_t i = 0; i < IN_FLIGHT && bench->submitted < bench->customers * bench->entries; i++) {
    arrivals[i].bench = bench;
    arrival_submit(&arrivals[i]);
  }
  uv_run(&bench->loop, UV_RUN_DEFAULT);
  free(arrivals);
  if (bench->failed > 0)
    bench_die("%llu of the messages were not stored", (unsigned long long)bench->failed);
}

static void on_read(struct store_op *op)
{
  (void)op;
}

/* One read to its end; returns how long it took. */
static int64_t read_once(struct bench *bench, struct store_op *op, enum store_kind kind)
{
  int64_t started_us = bench_mono_us();

  op->kind = kind;
  op->done = on_read;
  store_submit(bench->store, op);
  uv_run(&bench->loop, UV_RUN_DEFAULT);
  return bench_mono_us() - started_us;
}

static void read_empty(struct bench *bench)
{
  struct store_docs docs = {.kind = text_of("none"), .name = text_of("none")};

  histogram_add(&bench->empty, read_once(bench, &docs.op, STORE_DOCS));
  arena_free(&docs.op.arena);
}

static void read_timeline(struct bench *bench, bool bodies, struct histogram *histogram)
{
  char address[ADDRESS_MAX];
  struct store_timeline timeline = {.limit = TIMELINE_LIMIT, .bodies = bodies};

  timeline.who = email_identity(address, bench_random(&bench->random) % bench->customers);
  histogram_add(histogram, read_once(bench, &timeline.op, STORE_TIMELINE));
  if (timeline.op.status != PARLEY_OK || timeline.n == 0)
    bench_die("a timeline of %s is empty (status %d)", address, (int)timeline.op.status);
  bench->rows += timeline.n;
  arena_free(&timeline.op.arena);
}

static void bench_read(struct bench *bench)
{
  for (uint64_t i = 0; i < bench->reads / 4; i++) /* warm */
    read_timeline(bench, true, &(struct histogram){0});
  bench->rows = 0;
  for (uint64_t i = 0; i < bench->reads; i++) {
    read_empty(bench);
    read_timeline(bench, false, &bench->timeline);
    read_timeline(bench, true, &bench->bodies);
  }
}

static void bench_print(const struct bench *bench)
{
  double empty_us = histogram_quantile_us(&bench->empty, 0.5);
  double timeline_us = histogram_quantile_us(&bench->timeline, 0.5) - empty_us;
  double bodies_us = histogram_quantile_us(&bench->bodies, 0.5) - empty_us;
  double rows = (double)bench->rows / (2.0 * (double)bench->reads);

  printf("{\"customers\":%llu,\"entries\":%llu,\"rows\":%.1f,\"hop_us\":%.0f,\"timeline_us\":%.1f,\"timeline_p99_us\":%"
         ".0f,"
         "\"bodies_us\":%.1f,\"body_us\":%.2f}\n",
         (unsigned long long)bench->customers, (unsigned long long)(bench->customers * bench->entries), rows, empty_us,
         timeline_us, histogram_quantile_us(&bench->timeline, 0.99) - empty_us, bodies_us,
         (bodies_us - timeline_us) / rows);
}

static void bench_open(struct bench *bench, const char *path)
{
  struct store_config config = {
      .driver = "sqlite", .path = path, .node = 1, .idempotency_keep_ms = IDEMPOTENCY_KEEP_MS};
  struct buf why = BUF_INIT(4096);

  uv_loop_init(&bench->loop);
  if (store_open(&config, &bench->loop, &env_system, NULL, &bench->store, &why) != PARLEY_OK)
    bench_die("%s: %.*s", path, (int)why.len, why.at);
  buf_done(&why);
}

int main(int argc, char **argv)
{
  struct bench *bench = bench_alloc(sizeof *bench);
  const char *path = NULL;
  int size;
  int option;

  bench->customers = 20000;
  bench->entries = 20;
  bench->reads = 20000;
  bench->random = bench_seed();
  bench->started_ms = bench_wall_us() / US_PER_MS;
  while ((option = getopt(argc, argv, "p:n:e:r:")) > 0) {
    if (option == 'p')
      path = optarg;
    else if (option == 'n')
      bench->customers = (uint64_t)bench_number('n', optarg, 1, 100000000);
    else if (option == 'e')
      bench->entries = (uint64_t)bench_number('e', optarg, 1, 10000);
    else if (option == 'r')
      bench->reads = (uint64_t)bench_number('r', optarg, 1, 100000000);
    else
      return 2;
  }
  if (path == NULL)
    bench_die("usage: store_read -p FILE [-n CUSTOMERS] [-e ENTRIES] [-r READS]");
  size = snprintf(bench->body, sizeof bench->body, "{\"content\":{\"text\":\"%0*d\"}}", BODY_BYTES, 0);
  bench->body_bytes = (size_t)size;
  bench_open(bench, path);
  bench_fill(bench);
  bench_read(bench);
  bench_print(bench);
  store_close(&bench->store, NULL, NULL);
  uv_run(&bench->loop, UV_RUN_DEFAULT);
  return 0;
}
