/* receipts - how fast receipts fold: messages of three parts each, delivered by a receipt for every part, all in random order.
 *
 * usage: receipts -p FILE|DATABASE [-n RECEIPTS=100000] [-f IN_FLIGHT=256] [-e]
 * The messages are accepted first, and settled as well unless -e: then the answers to the attempts come at random among the receipts,
 * so that half of these are earlier and wait for theirs. One line of JSON: seconds from the first receipt to the last commit, what the
 * process held before in MiB and how much more it held at most, and how many messages ended delivered. */
#include "bench.h"
#include "core/base/arena.h"
#include "core/base/env.h"
#include "core/base/text.h"
#include "core/store/store.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PARTS = 3, IN_FLIGHT_MAX = 1024, LOOK_EVERY = 1000 };

struct sent { id64 message; uint64_t token; };
struct slot { /* one op in flight */
  union {
    struct store_op op;
    struct store_accept accept;
    struct store_settle settle;
    struct store_receipt receipt;
  } u;
  struct accept_item item;
  struct bench *bench;
  uint32_t doing; /* which message, or entry of turns */
  char ids[PARTS][32];
  parley_text texts[PARTS];
};
struct bench {
  uv_loop_t loop;
  struct store *store;
  struct policy *policy;
  struct lane_room room;
  struct slot slots[IN_FLIGHT_MAX];
  uint32_t n_messages, n_turns, begun, done, failed;
  struct sent *sent;
  uint32_t *turns; /* message * (PARTS + 1) + part; part PARTS: its attempt is answered */
  void (*next)(struct slot *slot);
  double most_mib;
};

static double rss_mib(void)
{
  FILE *file = fopen("/proc/self/statm", "r");
  unsigned long pages = 0;

  if (file == NULL || fscanf(file, "%*u %lu", &pages) != 1)
    bench_die("/proc/self/statm cannot be read");
  fclose(file);
  return (double)pages * (double)sysconf(_SC_PAGESIZE) / (1 << 20);
}

static struct policy *policy_make(struct lane_room *room)
{
  struct policy *policy = policy_new();

  policy->n_channels = policy->n_topics = 1;
  policy->channels = arena_alloc(policy->arena, sizeof *policy->channels);
  policy->topics = arena_alloc(policy->arena, sizeof *policy->topics);
  for (int lane = 0; lane < LANES; lane++)
    atomic_init(&room->room[lane], INT32_MAX / 2);
  *policy->channels = (struct policy_channel){.name = PARLEY_LIT("sms"), .channel_kind = PARLEY_LIT("sms"),
                                              .address_kind = PARLEY_LIT("phone"),
                                              .receipts = PARLEY_BIT(PARLEY_RECEIPT_DELIVERED), .room = room};
  *policy->topics = (struct policy_topic){.name = PARLEY_LIT("orders"), .class = CLASS_TRANSACTIONAL};
  return policy;
}

static struct submission *submission_make(struct bench *bench, uint32_t number)
{
  struct arena *arena = arena_new();
  struct submission *submission = arena_alloc(arena, sizeof *submission);
  char address[32];

  snprintf(address, sizeof address, "+346%08u", number);
  submission->arena = arena;
  submission->policy = policy_ref(bench->policy);
  submission->topic = bench->policy->topics;
  submission->n_steps = 1;
  submission->steps[0] = (struct policy_step){bench->policy->channels, UNTIL_SENT, 0};
  submission->body = PARLEY_LIT("{\"content\":{\"text\":\"hello\"}}");
  submission->now_ms = env_system.now_ms(&env_system);
  submission->expires_ms = submission->now_ms + 86400000;
  submission->to.n_identities = 1;
  submission->to.identities[0] = (struct identity){PARLEY_LIT("phone"), arena_text(arena, parley_text_of(address)),
                                                   arena_text(arena, parley_text_of(address)), 0};
  return submission;
}

static void ended(struct slot *slot)
{
  struct bench *bench = slot->bench;
  double mib;

  bench->failed += slot->u.op.status != PARLEY_OK;
  arena_free(&slot->u.op.arena);
  if (++bench->done % LOOK_EVERY == 0 && (mib = rss_mib()) > bench->most_mib)
    bench->most_mib = mib;
  bench->next(slot);
}

static void submit(struct slot *slot, enum store_kind kind, void (*done)(struct store_op *op))
{
  slot->u.op.kind = kind;
  slot->u.op.done = done;
  store_submit(slot->bench->store, &slot->u.op);
}

static void on_done(struct store_op *op)
{
  ended(container_of(op, struct slot, u.op));
}

/* --- accept --- */

static void on_accepted(struct store_op *op)
{
  struct slot *slot = container_of(op, struct slot, u.op);
  struct claim *claim = slot->item.claim;

  if (claim == NULL)
    bench_die("a message was not claimed");
  slot->bench->sent[slot->doing] = (struct sent){claim->message, claim->token};
  submission_free(&claim->submission);
  ended(slot);
}

static void accept_next(struct slot *slot)
{
  struct bench *bench = slot->bench;

  if (bench->begun == bench->n_messages)
    return;
  slot->doing = bench->begun++;
  slot->item = (struct accept_item){.submission = submission_make(bench, slot->doing)};
  slot->u.accept = (struct store_accept){.decide = decide, .n_items = 1, .items = &slot->item};
  submit(slot, STORE_ACCEPT, on_accepted);
}

/* --- settle, receipt --- */

static void ids_make(struct slot *slot, uint32_t message)
{
  for (int i = 0; i < PARTS; i++) {
    snprintf(slot->ids[i], sizeof slot->ids[i], "part-%u-%d", message, i);
    slot->texts[i] = parley_text_of(slot->ids[i]);
  }
}

static void turn_next(struct slot *slot)
{
  struct bench *bench = slot->bench;
  int64_t now_ms = env_system.now_ms(&env_system);
  uint32_t message, part;

  if (bench->begun == bench->n_turns)
    return;
  message = bench->turns[bench->begun] / (PARTS + 1);
  part = bench->turns[bench->begun++] % (PARTS + 1);
  ids_make(slot, message);
  if (part < PARTS) {
    slot->u.receipt = (struct store_receipt){.channel = PARLEY_LIT("sms"), .provider_id = slot->texts[part],
                                             .receipt = PARLEY_RECEIPT_DELIVERED, .at_ms = now_ms, .policy = bench->policy};
    submit(slot, STORE_RECEIPT, on_done);
    return;
  }
  slot->u.settle = (struct store_settle){.message = bench->sent[message].message, .token = bench->sent[message].token, .handed = true,
                                         .outcome = PARLEY_OUTCOME_ACCEPTED, .started_ms = now_ms, .ended_ms = now_ms,
                                         .n_provider_ids = PARTS, .provider_ids = slot->texts, .policy = bench->policy};
  submit(slot, STORE_SETTLE, on_done);
}

/* Those of parts from..to of every message, shuffled. */
static void turns_make(struct bench *bench, uint32_t from, uint32_t to, uint64_t *random)
{
  bench->n_turns = 0;
  for (uint32_t message = 0; message < bench->n_messages; message++)
    for (uint32_t part = from; part <= to; part++)
      bench->turns[bench->n_turns++] = message * (PARTS + 1) + part;
  for (uint32_t i = bench->n_turns - 1; i > 0; i--) {
    uint32_t j = (uint32_t)(bench_random(random) % (i + 1)), swap = bench->turns[i];

    bench->turns[i] = bench->turns[j];
    bench->turns[j] = swap;
  }
}

static double run(struct bench *bench, long in_flight, void (*next)(struct slot *slot))
{
  int64_t before_us = bench_mono_us();

  bench->begun = bench->done = 0;
  bench->next = next;
  for (long i = 0; i < in_flight; i++) {
    bench->slots[i].bench = bench;
    next(&bench->slots[i]);
  }
  uv_run(&bench->loop, UV_RUN_DEFAULT);
  return (double)(bench_mono_us() - before_us) / US_PER_S;
}

static void on_stats(struct store_op *op)
{
  (void)op;
}

static uint64_t delivered(struct bench *bench)
{
  struct store_stats stats = {.op = {.kind = STORE_STATS, .done = on_stats}};
  uint64_t n;

  store_submit(bench->store, &stats.op);
  uv_run(&bench->loop, UV_RUN_DEFAULT);
  n = stats.by_state[MESSAGE_DELIVERED];
  arena_free(&stats.op.arena);
  return n;
}

/* A file, or a PostgreSQL database: "postgres://..." or "host=... dbname=...". */
static struct store_config config_of(const char *where)
{
  struct store_config config = {.driver = "sqlite", .node = 1, .path = where, .idempotency_keep_ms = INT64_C(604800000)};

  if (strncmp(where, "postgres", 8) == 0 || strncmp(where, "host=", 5) == 0) {
    config.driver = "postgres";
    config.url = where;
  }
  return config;
}

static void measure(struct bench *bench, long in_flight, bool early)
{
  uint64_t random = bench_seed();
  double before_mib, wall_s;

  run(bench, in_flight, accept_next);
  if (!early) {
    turns_make(bench, PARTS, PARTS, &random);
    run(bench, in_flight, turn_next);
  }
  turns_make(bench, 0, early ? PARTS : PARTS - 1, &random);
  before_mib = bench->most_mib = rss_mib();
  wall_s = run(bench, in_flight, turn_next);
  printf("{\"receipts\": %u, \"early\": %s, \"s\": %.2f, \"rss_mib\": %.1f, \"grown_mib\": %.1f, \"failed\": %u, \"messages\": %u, "
         "\"delivered\": %llu}\n",
         bench->n_messages * PARTS, early ? "true" : "false", wall_s, before_mib, bench->most_mib - before_mib, bench->failed,
         bench->n_messages, (unsigned long long)delivered(bench));
}

int main(int argc, char **argv)
{
  struct bench *bench = bench_alloc(sizeof *bench);
  struct buf why = BUF_INIT(1024);
  const char *where = NULL;
  long in_flight = 256, n = 100000;
  struct store_config config;
  bool early = false;

  for (int option; (option = getopt(argc, argv, "p:n:f:e")) != -1;) {
    if (option == 'p')
      where = optarg;
    else if (option == 'n')
      n = bench_number('n', optarg, PARTS, 100000000);
    else if (option == 'f')
      in_flight = bench_number('f', optarg, 1, IN_FLIGHT_MAX);
    else if (option == 'e')
      early = true;
    else
      return 2;
  }
  if (where == NULL)
    bench_die("usage: receipts -p FILE|DATABASE [-n RECEIPTS] [-f IN_FLIGHT] [-e]");
  memset(bench, 0, sizeof *bench);
  bench->n_messages = (uint32_t)((n + PARTS - 1) / PARTS);
  bench->sent = bench_alloc(bench->n_messages * sizeof *bench->sent);
  bench->turns = bench_alloc(bench->n_messages * (PARTS + 1) * sizeof *bench->turns);
  uv_loop_init(&bench->loop);
  bench->policy = policy_make(&bench->room);
  config = config_of(where);
  if (store_open(&config, &bench->loop, &env_system, NULL, &bench->store, &why) != PARLEY_OK)
    bench_die("%s", why.at);
  measure(bench, in_flight, early);
  store_close(&bench->store, NULL, NULL);
  uv_run(&bench->loop, UV_RUN_DEFAULT);
  policy_unref(&bench->policy);
  uv_loop_close(&bench->loop);
  free(bench->turns);
  free(bench->sent);
  free(bench);
  buf_done(&why);
  return 0;
}
