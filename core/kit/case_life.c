/* Cases: the life of a channel, and what it leaves behind. */
#include "core/base/alloc.h"
#include "core/base/text.h"
#include "inside.h"
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#define WARM_LIVES 30
#define LIVES 200
#define REFUSED_LIVES 100
#define REFUSED_TRIES 400
#define LEAK_BYTES_A_LIFE 16 /* the smallest piece of malloc(3), over all lives: less is noise */
#define ROUNDS 3
#define HOUR_MS 3600000
#define TRAFFIC_SEED 4
#define TRAFFIC_WARM_LIVES 10
#define TRAFFIC_LIVES 20
#define TRAFFIC_MESSAGES 20
#define STRANGE_SETS 6

void kit_life_plain(struct kit *kit)
{
  for (int i = 0; i < 2; i++) {
    struct kit_host *host = kit_up(kit);

    kit_step(kit, 60000);
    kit_down(&host);
  }
}

void kit_life_unstarted(struct kit *kit)
{
  for (int i = 0; i < 3; i++) {
    struct kit_host *host = NULL;
    parley_status st = kit_create(kit, NULL, &host);

    if (st != PARLEY_OK)
      kit_fail(kit, PROMISE_OPTIONS, "create() returned %.*s with the examples of its table", TEXT_ARG(kit_status_name(st)));
    kit_run(kit);
    kit_destroy(&host);
  }
}

/* --- Leaks -------------------------------------------------------------------------------------------------------- */

struct held { size_t fds, threads, bytes; };

static struct held held_now(struct kit *kit)
{
  return (struct held){kit_count("/proc/self/fd"), kit_count("/proc/self/task"), kit_heap(kit)};
}

/* Programs that it started are to be gone, and waited for. */
static void children_none(struct kit *kit, int lives, const char *what)
{
  siginfo_t one;

  for (int i = 0; i < 100; i++) {
    if (waitid(P_ALL, 0, &one, WEXITED | WNOHANG | WNOWAIT) != 0)
      return;
    kit_real(kit, 10);
  }
  kit_fail(kit, PROMISE_LEAK, "%d %s left processes behind", lives, what);
}

/* Descriptors, threads and processes are whole things; returns how many bytes of heap have become more. */
static size_t held_compare(struct kit *kit, struct held before, int lives, const char *what)
{
  struct held after = held_now(kit);

  for (int i = 0; i < 100 && after.threads > before.threads; i++) { /* a thread that has been joined is gone a moment later */
    kit_real(kit, 10);
    after.threads = kit_count("/proc/self/task");
  }
  if (after.fds > before.fds)
    kit_fail(kit, PROMISE_LEAK, "%d %s left %zu descriptors open", lives, what, after.fds - before.fds);
  if (after.threads > before.threads)
    kit_fail(kit, PROMISE_LEAK, "%d %s left %zu threads running", lives, what, after.threads - before.threads);
  children_none(kit, lives, what);
  return after.bytes > before.bytes ? after.bytes - before.bytes : 0;
}

/* A leak goes on: what grew once only was a cache that filled. */
static void lives_watch(struct kit *kit, void (*live)(struct kit *kit, const parley_value *options), const parley_value *options,
                        int warm, int lives, const char *what)
{
  size_t grown = 0;

  for (int i = 0; i < warm; i++)
    live(kit, options);
  for (int round = 0; round < ROUNDS; round++) {
    struct held before = held_now(kit);

    for (int i = 0; i < lives; i++)
      live(kit, options);
    grown = held_compare(kit, before, lives, what);
    if (grown < (size_t)lives * LEAK_BYTES_A_LIFE)
      return;
  }
  kit_fail(kit, PROMISE_LEAK, "%d %s left %zu bytes of heap, %zu each, and so each time", lives, what, grown, grown / (size_t)lives);
}

static void callback_try(struct kit_host *host)
{
  static const struct kit_sample sample = {.method = {"POST", 4}, .target = {"/in/kit", 7}, .n_headers = 1,
                                           .headers = {{{"content-type", 12}, {"application/json", 16}}}, .body = {"{}", 2}};

  if (kit_takes_calls(host->kit))
    kit_callback(host, &sample, true);
}

/* The same each time: one message settled, one open at the end, one callback. */
static void life_live(struct kit *kit, const parley_value *options)
{
  struct kit_host *host;

  (void)options;
  kit->env.seed = 1;
  kit->answer_held = false;
  kit->peer = kit_peer_good(kit);
  host = kit_up(kit);
  kit_send_wait(host);
  kit->answer_held = true;
  kit->peer = KIT_PEER_SILENT;
  kit_send(host);
  callback_try(host);
  kit_down(&host);
}

void kit_life_leaks(struct kit *kit)
{
  lives_watch(kit, life_live, NULL, WARM_LIVES, LIVES, "lives");
}

struct all_options { size_t n; const parley_option *at[128]; };

static void all_add(const parley_option *option, void *arg)
{
  struct all_options *all = arg;

  if (all->n < COUNT_OF(all->at))
    all->at[all->n++] = option;
}

/* --- Mixed fortune --------------------------------------------------------------------------------------------------- */

/* The same lots each time, whatever they are. */
static void traffic_live(struct kit *kit, const parley_value *options)
{
  struct kit_host *host = NULL;

  kit->env.seed = TRAFFIC_SEED;
  kit->answer_held = false;
  kit->answer_random = kit->peer_random = kit->in_turn = true;
  kit->n_turns = 0;
  if (kit->inbound_sample != NULL && kit->inbound_sample->date_ms != 0)
    kit->env.now_ms = kit->inbound_sample->date_ms; /* its signature is good for some minutes */
  if (kit_create(kit, options, &host) != PARLEY_OK)
    kit_fail(kit, PROMISE_CREATE, "create() refuses options that it has just taken: %s", kit->refusal);
  if (kit_start_try(host) == PARLEY_OK) {
    for (int i = 0; i < TRAFFIC_MESSAGES; i++)
      kit_send(host);
    callback_try(host);
    for (int i = 0; kit->inbound_sample != NULL && i < 2; i++) {
      kit->says.status = i == 0 ? PARLEY_OK : PARLEY_BUSY;
      kit_callback(host, kit->inbound_sample, false);
    }
    if (PARLEY_HAS(parley_plugin, kit->plugin, probe) && kit->plugin->probe != NULL)
      kit_ask(host, false, NULL, NULL);
    kit_step(kit, 20000);
    kit->answer_held = true;
    kit_send(host);
    kit_down(&host);
  } else {
    kit_destroy(&host);
  }
}

/* Options that nobody expects and create() takes; NULL: these were refused. */
static const parley_value *strange_options(struct kit *kit, const struct all_options *all)
{
  const parley_option *option = all->at[kit_below(kit, (uint32_t)all->n)];
  struct kit_plan plan = {.option = option, .yaml = kit_option_odd(kit, option, kit->arena)};
  struct buf why = BUF_INIT(4096);
  const parley_value *options = NULL;
  struct kit_host *host = NULL;

  if (plan.yaml == NULL || kit_options(kit, &plan, kit->arena, &options, &why) != PARLEY_OK)
    options = NULL;
  else if (kit_create(kit, options, &host) != PARLEY_OK)
    options = NULL;
  if (host != NULL)
    kit_destroy(&host);
  if (options != NULL)
    snprintf(kit->note->step, sizeof kit->note->step, "with %.30s: %.50s", option->name != NULL ? option->name : "", plan.yaml);
  buf_done(&why);
  return options;
}

void kit_life_traffic(struct kit *kit)
{
  struct all_options all = {0};
  uint64_t seed = kit->env.seed;

  lives_watch(kit, traffic_live, NULL, TRAFFIC_WARM_LIVES, TRAFFIC_LIVES, "lives of mixed fortune");
  kit_each_option(kit->plugin->options, all_add, &all);
  for (int tries = 0, done = 0; all.n > 0 && tries < 10 * STRANGE_SETS && done < STRANGE_SETS; tries++) {
    const parley_value *options;

    kit->env.seed = seed + (uint64_t)tries;
    options = strange_options(kit, &all);
    if (options == NULL)
      continue;
    lives_watch(kit, traffic_live, options, TRAFFIC_WARM_LIVES, TRAFFIC_LIVES, "lives with strange options");
    done++;
  }
}

/* --- A create() that fails ---------------------------------------------------------------------------------------- */

/* Options that the table lets through and create() refuses; NULL: none were found. */
static const parley_value *refused_find(struct kit *kit)
{
  struct all_options all = {0};

  kit_each_option(kit->plugin->options, all_add, &all);
  for (int i = 0; i < REFUSED_TRIES && all.n > 0; i++) {
    const parley_option *option = all.at[kit_below(kit, (uint32_t)all.n)];
    struct kit_plan plan = {.option = option, .yaml = kit_option_odd(kit, option, kit->arena), .all = i % 2 == 0};
    struct buf why = BUF_INIT(4096);
    const parley_value *options = NULL;
    struct kit_host *host = NULL;
    bool read = plan.yaml != NULL && kit_options(kit, &plan, kit->arena, &options, &why) == PARLEY_OK;

    buf_done(&why);
    if (read && kit_create(kit, options, &host) != PARLEY_OK)
      return options;
    if (host != NULL)
      kit_destroy(&host);
  }
  return NULL;
}

static void refused_live(struct kit *kit, const parley_value *options)
{
  struct kit_host *host = NULL;

  if (kit_create(kit, options, &host) == PARLEY_OK)
    kit_fail(kit, PROMISE_CREATE, "create() takes options that it has just refused");
  kit_run(kit);
}

void kit_life_refused(struct kit *kit)
{
  const parley_value *options = refused_find(kit);

  if (options == NULL)
    kit_skip(kit, "create() takes everything that its table allows");
  lives_watch(kit, refused_live, options, WARM_LIVES, REFUSED_LIVES, "failed create() calls");
}

/* --- After the end ------------------------------------------------------------------------------------------------ */

void kit_life_after(struct kit *kit)
{
  for (int i = 0; i < 3; i++) {
    struct kit_host *host = kit_up(kit);

    kit->answer_held = i == 1;
    kit_send(host);
    callback_try(host);
    kit_down(&host);
    kit->answer_held = false;
    kit_step(kit, HOUR_MS);
    if (kit_foreign(kit))
      kit_real(kit, 200); /* for threads that were not told */
  }
}
