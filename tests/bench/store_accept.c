/* store_accept - what accepting costs inside the store: messages with an Idempotency-Key, 90 % to customers it knows,
 * claimed at once, and settled as sent when asked.
 *
 * usage: store_accept -p FILE [-n MESSAGES=200000] [-k KNOWN=100000] [-f IN_FLIGHT=32] [-s] [-o]
 * Fills the store with KNOWN customers first; -o: FILE is one that an earlier run has filled. IN_FLIGHT ops wait at any
 * time, so that a round holds about half of them. One line of JSON; CPU in microseconds a message, of the whole process
 * and without the loop thread. */
#include "core/base/arena.h"
#include "core/base/env.h"
#include "core/base/text.h"
#include "core/store/store.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define IN_FLIGHT_MAX 1024
#define BODY_BYTES 1024
#define KEEP_MS INT64_C(604800000)

struct bench;
struct slot {
  struct store_accept accept;
  struct accept_item item;
  struct store_idem idem;
  struct store_settle settle;
  char address[64], key[40];
  struct bench *bench;
};
struct bench {
  uv_loop_t loop;
  struct store *store;
  struct policy *policy;
  struct lane_room room;
  struct slot slots[IN_FLIGHT_MAX];
  uint64_t n, known, submitted, done, failed, random;
  bool filling, settles, filled;
  char body[BODY_BYTES];
};

static uint64_t random_next(struct bench *bench)
{
  bench->random ^= bench->random << 13;
  bench->random ^= bench->random >> 7;
  bench->random ^= bench->random << 17;
  return bench->random;
}

static double cpu_us(int who)
{
  struct rusage use;

  getrusage(who, &use);
  return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) * 1e6 +
         (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec);
}

static struct policy *policy_make(struct lane_room *room)
{
  struct policy *policy = policy_new();

  policy->n_channels = policy->n_topics = 1;
  policy->channels = arena_alloc(policy->arena, sizeof(*policy->channels));
  policy->topics = arena_alloc(policy->arena, sizeof(*policy->topics));
  for (int lane = 0; lane < LANES; lane++)
    atomic_init(&room->room[lane], INT32_MAX / 2);
  *policy->channels = (struct policy_channel){.name = parley_text_of("mail"),
                                              .channel_kind = parley_text_of("email"),
                                              .address_kind = parley_text_of("email"),
                                              .room = room};
  *policy->topics = (struct policy_topic){.name = parley_text_of("orders"), .class = CLASS_TRANSACTIONAL};
  return policy;
}

static struct submission *submission_make(struct bench *bench, struct slot *slot)
{
  struct arena *arena = arena_new();
  struct submission *submission = arena_alloc(arena, sizeof(*submission));
  bool known = bench->filling || random_next(bench) % 10 != 0;
  uint64_t number = bench->filling ? bench->submitted : known ? random_next(bench) % bench->known : random_next(bench);

  snprintf(slot->address, sizeof(slot->address), "%s%012llu@customers.example", known ? "c" : "n",
           (unsigned long long)number);
  submission->arena = arena;
  submission->policy = policy_ref(bench->policy);
  submission->topic = bench->policy->topics;
  submission->n_steps = 1;
  submission->steps[0] = (struct policy_step){bench->policy->channels, UNTIL_SENT, 0};
  submission->body = (parley_bytes){bench->body, BODY_BYTES};
  submission->now_ms = env_system.now_ms(&env_system);
  submission->expires_ms = submission->now_ms + 86400000;
  submission->to.n_identities = 1;
  submission->to.identities[0] =
      (struct identity){parley_text_of("email"), parley_text_of(slot->address), parley_text_of(slot->address), 0};
  return submission;
}

static uint32_t render(struct store_op *op, struct buf *body)
{
  struct store_accept *accept = container_of(op, struct store_accept, op);

  buf_str(body, "{\"id\":");
  buf_json_id(body, "msg", accept->items[0].message);
  buf_str(body, ",\"status\":\"accepted\",\"customer\":");
  buf_json_id(body, "cus", accept->items[0].customer);
  buf_str(body, ",\"plan\":");
  buf_plan(body, accept->items[0].decision);
  buf_char(body, '}');
  return 202;
}

static void slot_accept(struct slot *slot);

static void on_settled(struct store_op *op)
{
  struct slot *slot = container_of(op, struct slot, settle.op);

  slot->bench->failed += op->status != PARLEY_OK;
  arena_free(&op->arena);
  slot->bench->done++;
  slot_accept(slot);
}

static void on_accepted(struct store_op *op)
{
  struct slot *slot = container_of(op, struct slot, accept.op);
  struct bench *bench = slot->bench;
  struct claim *claim = slot->item.claim;

  bench->failed += op->status != PARLEY_OK || claim == NULL;
  if (claim != NULL && bench->settles && !bench->filling) {
    slot->settle = (struct store_settle){.message = claim->message,
                                         .token = claim->token,
                                         .handed = true,
                                         .outcome = PARLEY_OUTCOME_ACCEPTED,
                                         .started_ms = claim->accepted_ms,
                                         .ended_ms = claim->accepted_ms,
                                         .policy = bench->policy};
    slot->settle.op.kind = STORE_SETTLE;
    slot->settle.op.done = on_settled;
  }
  if (claim != NULL)
    submission_free(&claim->submission);
  submission_free(&slot->item.submission);
  arena_free(&op->arena);
  if (bench->settles && !bench->filling) {
    store_submit(bench->store, &slot->settle.op);
    return;
  }
  bench->done++;
  slot_accept(slot);
}

static void slot_accept(struct slot *slot)
{
  struct bench *bench = slot->bench;

  if (bench->submitted == (bench->filling ? bench->known : bench->n))
    return;
  slot->item = (struct accept_item){.submission = submission_make(bench, slot)};
  slot->accept = (struct store_accept){.decide = decide, .n_items = 1, .items = &slot->item};
  slot->accept.op.kind = STORE_ACCEPT;
  slot->accept.op.done = on_accepted;
  if (!bench->filling) {
    snprintf(slot->key, sizeof(slot->key), "%016llx%016llx", (unsigned long long)random_next(bench),
             (unsigned long long)random_next(bench));
    slot->idem = (struct store_idem){
        .api_key = 1, .route = parley_text_of("POST /v1/messages"), .key = parley_text_of(slot->key)};
    slot->accept.op.idem = &slot->idem;
    slot->accept.op.render = render;
  }
  bench->submitted++;
  store_submit(bench->store, &slot->accept.op);
}

static double run(struct bench *bench, unsigned in_flight)
{
  uint64_t begun = uv_hrtime();

  bench->submitted = bench->done = 0;
  for (unsigned i = 0; i < in_flight; i++) {
    bench->slots[i].bench = bench;
    slot_accept(&bench->slots[i]);
  }
  uv_run(&bench->loop, UV_RUN_DEFAULT);
  return (double)(uv_hrtime() - begun) / 1e9;
}

int main(int argc, char **argv)
{
  struct bench *bench = calloc(1, sizeof(*bench));
  struct store_config config = {.driver = "sqlite", .node = 1, .idempotency_keep_ms = KEEP_MS};
  struct store_gauges gauges, before;
  struct buf why = BUF_INIT(1024);
  unsigned in_flight = 32;
  double wall_s, all_us, loop_us;
  int option;

  bench->n = 200000;
  bench->known = 100000;
  bench->random = 88172645463325252u ^ uv_hrtime();
  memset(bench->body, 'x', sizeof(bench->body));
  while ((option = getopt(argc, argv, "p:n:k:f:so")) != -1) {
    if (option == 'p')
      config.path = optarg;
    else if (option == 'n')
      bench->n = strtoull(optarg, NULL, 10);
    else if (option == 'k')
      bench->known = strtoull(optarg, NULL, 10);
    else if (option == 'f')
      in_flight = (unsigned)strtoul(optarg, NULL, 10);
    else if (option == 's')
      bench->settles = true;
    else if (option == 'o')
      bench->filled = true;
  }
  if (config.path == NULL || in_flight == 0 || in_flight > IN_FLIGHT_MAX || bench->known == 0) {
    fprintf(stderr, "usage: store_accept -p FILE [-n MESSAGES] [-k KNOWN] [-f IN_FLIGHT] [-s] [-o]\n");
    return 64;
  }
  uv_loop_init(&bench->loop);
  bench->policy = policy_make(&bench->room);
  if (store_open(&config, &bench->loop, &env_system, NULL, &bench->store, &why) != PARLEY_OK) {
    fprintf(stderr, "%s\n", why.at);
    return 1;
  }
  bench->filling = true;
  if (!bench->filled)
    run(bench, 512);
  bench->filling = false;
  store_gauges(bench->store, &before);
  all_us = cpu_us(RUSAGE_SELF);
  loop_us = cpu_us(RUSAGE_THREAD);
  wall_s = run(bench, in_flight);
  all_us = cpu_us(RUSAGE_SELF) - all_us;
  loop_us = cpu_us(RUSAGE_THREAD) - loop_us;
  store_gauges(bench->store, &gauges);
  printf("{\"messages\":%llu,\"failed\":%llu,\"per_s\":%.0f,\"cpu_us\":%.1f,\"store_cpu_us\":%.1f,\"ops_a_round\":%.1f,"
         "\"longest_round_us\":%llu}\n",
         (unsigned long long)bench->done, (unsigned long long)bench->failed, (double)bench->n / wall_s,
         all_us / (double)bench->n, (all_us - loop_us) / (double)bench->n,
         (double)(gauges.ops - before.ops) / (double)(gauges.rounds - before.rounds),
         (unsigned long long)gauges.longest_round_us);
  store_close(&bench->store, NULL, NULL);
  uv_run(&bench->loop, UV_RUN_DEFAULT);
  policy_unref(&bench->policy);
  uv_loop_close(&bench->loop);
  free(bench);
  buf_done(&why);
  return 0;
}
