/* Cases: threads, secrets, and operations by chance. */
#include "core/base/alloc.h"
#include "core/base/text.h"
#include "core/deliver/deliver.h"
#include "inside.h"
#include <stdio.h>

#define THREAD_MESSAGES 20
#define OPERATIONS 400

/* --- Threads: the rules are watched in every function of the host; here is the occasion --------------------------- */

void kit_thread_loop(struct kit *kit)
{
  struct kit_host *host = kit_up(kit);

  for (int i = 0; i < THREAD_MESSAGES; i++) {
    kit_send(host);
    if (kit_foreign(kit))
      kit_real(kit, 10); /* so that threads of its own come to run */
  }
  kit_settle_wait(kit, DELIVER_SUBMIT_DEADLINE_MS);
  kit_down(&host);
}

void kit_thread_waits(struct kit *kit)
{
  struct kit_host *host;

  kit->answer_held = true;
  kit->peer = KIT_PEER_SILENT;
  host = kit_up(kit);
  for (int i = 0; i < 5; i++)
    kit_send(host);
  kit_step(kit, 1000);
  kit->answer_held = false;
  kit_down(&host);
}

/* --- Secrets: whatever the plugin says is looked through; here it has reason to complain -------------------------- */

static void wrong_turns(struct kit *kit, struct kit_host *host)
{
  static const struct kit_answer moods[] = {
      {.status = PARLEY_OK, .code = 401, .sent = 1, .body = {"{\"error\":\"bad credentials\"}", 27}, .type = {"application/json", 16}},
      {.status = PARLEY_OK, .code = 500, .sent = 1}, {.status = PARLEY_RETRY, .reason = "connect_failed: connection refused"},
      {.status = PARLEY_CLOSED, .sent = 1, .reason = "closed_before_answer"}, {.status = PARLEY_OK, .code = 404, .sent = 1}};
  static const enum kit_peer peers[] = {KIT_PEER_GARBAGE, KIT_PEER_CLOSE, KIT_PEER_REFUSE, KIT_PEER_TALK, KIT_PEER_SILENT};
  bool probes = PARLEY_HAS(parley_plugin, kit->plugin, probe) && kit->plugin->probe != NULL;

  for (size_t i = 0; i < COUNT_OF(moods); i++) {
    kit->answer = moods[i];
    kit->peer = peers[i];
    kit_send_wait(host);
    if (probes)
      kit_ask(host, false, NULL, NULL);
    kit_settle_wait(kit, DELIVER_SUBMIT_DEADLINE_MS);
  }
}

void kit_secret_shows(struct kit *kit)
{
  const struct kit_sample knock = {.method = PARLEY_LIT("POST"), .target = PARLEY_LIT("/in/kit"), .n_headers = 2,
                                   .headers = {{PARLEY_LIT("authorization"), PARLEY_LIT("Bearer x")},
                                               {PARLEY_LIT("webhook-signature"), PARLEY_LIT("v1,x")}},
                                   .body = PARLEY_LIT("{}")};
  struct kit_host *host;

  if (!kit_secrets_plant(kit))
    kit_skip(kit, "it has no secret options that could be planted");
  if (kit->n_secrets == 0)
    kit_skip(kit, "it has no secret options");
  host = kit_up(kit);
  wrong_turns(kit, host);
  if (kit_takes_calls(kit))
    kit_callback(host, &knock, true);
  kit_down(&host);
}

/* --- By chance ---------------------------------------------------------------------------------------------------- */

struct play {
  struct kit *kit;
  struct kit_host *host;
};

static void play_submit(struct play *play)
{
  for (uint32_t n = 1 + kit_below(play->kit, 5); n > 0; n--)
    kit_send(play->host);
}

static void play_step(struct play *play)
{
  static const uint32_t spans[] = {1, 100, 5000, 60000, 700000};

  kit_step(play->kit, kit_below(play->kit, spans[kit_below(play->kit, COUNT_OF(spans))]));
}

static void play_hold(struct play *play)
{
  play->kit->answer_held = !play->kit->answer_held;
  kit_run(play->kit);
}

static void play_call(struct play *play)
{
  static const struct kit_sample knock = {.method = {"POST", 4}, .target = {"/in/kit", 7}, .body = {"{}", 2}};
  const struct kit_sample *sample = play->kit->inbound_sample;

  if (kit_takes_calls(play->kit))
    kit_callback(play->host, sample != NULL && kit_below(play->kit, 2) == 0 ? sample : &knock, false);
}

static void play_says(struct play *play)
{
  static const parley_status says[] = {PARLEY_OK, PARLEY_OK, PARLEY_BUSY, PARLEY_RETRY, PARLEY_REJECTED, PARLEY_FAILED};
  struct kit *kit = play->kit;

  kit->says.held = kit_below(kit, 4) == 0;
  kit->says.status = says[kit_below(kit, COUNT_OF(says))];
  kit->work_busy = kit_below(kit, 6) == 0;
  kit->state_says = kit_below(kit, 6) == 0 ? PARLEY_BUSY : PARLEY_OK;
  kit->media_says = kit_below(kit, 6) == 0 ? PARLEY_RETRY : PARLEY_OK;
  if (!kit->says.held)
    kit_items_answer(kit, kit->says.status);
}

static void play_probe(struct play *play)
{
  const parley_plugin *plugin = play->kit->plugin;

  if (PARLEY_HAS(parley_plugin, plugin, probe) && plugin->probe != NULL)
    kit_ask(play->host, false, NULL, NULL);
}

static void play_query(struct play *play)
{
  const parley_plugin *plugin = play->kit->plugin;
  struct arena *arena = arena_new();

  if (PARLEY_HAS(parley_plugin, plugin, query) && plugin->query != NULL && plugin->submit != NULL && kit_room(play->host) > 0)
    kit_ask(play->host, true, kit_message_plain(play->host, arena), NULL);
  arena_free(&arena);
}

static void play_restart(struct play *play)
{
  if (kit_below(play->kit, 4) != 0)
    return; /* rarer than the rest */
  if (kit_below(play->kit, 2) == 0)
    kit_drain(play->host, kit_below(play->kit, 10000));
  kit_stop(play->host);
  kit_destroy(&play->host);
  play->host = kit_up(play->kit);
}

static void play_knock(struct play *play)
{
  kit_stream_knock(play->kit, 0, KIT_PEER_CLOSE + (enum kit_peer)kit_below(play->kit, 5));
}

static void play_forget(struct play *play)
{
  kit_tokens_sweep(play->host);
}

void kit_random_operations(struct kit *kit)
{
  static const struct { const char *name; void (*run)(struct play *); } operations[] = {
      {"submit", play_submit}, {"submit", play_submit}, {"step", play_step}, {"hold", play_hold}, {"callback", play_call},
      {"host says", play_says}, {"probe", play_probe}, {"query", play_query}, {"restart", play_restart}, {"knock", play_knock},
      {"sweep", play_forget}};
  struct play play = {.kit = kit, .host = kit_up(kit)};

  kit->answer_random = kit->peer_random = true;
  for (int i = 0; i < OPERATIONS; i++) {
    uint32_t n = kit_below(kit, COUNT_OF(operations));

    snprintf(kit->note->step, sizeof kit->note->step, "operation %d of %d: %s", i + 1, OPERATIONS, operations[n].name);
    operations[n].run(&play);
  }
  kit->answer_held = kit->says.held = false;
  kit_items_answer(kit, PARLEY_OK);
  kit_settle_wait(kit, DELIVER_SUBMIT_DEADLINE_MS);
  if (play.host->n_open > 0)
    kit_fail(kit, PROMISE_SETTLE_ALL, "%u tokens were never settled", play.host->n_open);
  kit_down(&play.host);
}
