/* Cases: what becomes of a token. The rules themselves are watched in settle(), in every case. */
#include "core/base/alloc.h"
#include "core/base/text.h"
#include "core/deliver/deliver.h"
#include "inside.h"
#include <stdio.h>

#define MESSAGES 60
#define OPEN_AT_STOP 8
#define HOUR_MS 3600000

static void all_settled(struct kit *kit, struct kit_host *host)
{
  kit_settle_wait(kit, DELIVER_SUBMIT_DEADLINE_MS);
  for (struct list *node = host->tokens.next; node != &host->tokens; node = node->next)
    if (!LIST_ITEM(node, struct kit_token, node)->settled)
      kit_fail(kit, PROMISE_SETTLE_ALL, "token %llu was taken and not settled after %d min",
               (unsigned long long)LIST_ITEM(node, struct kit_token, node)->token, DELIVER_SUBMIT_DEADLINE_MS / 60000);
}

void kit_settle_once(struct kit *kit)
{
  struct kit_host *host = kit_up(kit);
  int timers = 0;

  kit->answer_random = kit->peer_random = true;
  for (int i = 0; i < MESSAGES; i++) {
    snprintf(kit->note->step, sizeof kit->note->step, "message %d of %d", i + 1, MESSAGES);
    kit_send(host);
    if (kit_below(kit, 3) == 0)
      kit_step(kit, kit_below(kit, 20000));
  }
  all_settled(kit, host);
  kit_step(kit, HOUR_MS); /* for a second settling of what was settled */
  for (const struct list *node = kit->timers.next; node != &kit->timers; node = node->next)
    timers++;
  if (timers >= MESSAGES / 2)
    kit_fail(kit, PROMISE_LEAK, "%d timers still run an hour after the last of %d messages was settled", timers, MESSAGES);
  kit_down(&host);
}

void kit_settle_stop(struct kit *kit)
{
  for (int round = 0; round < 3; round++) {
    struct kit_host *host;

    kit->answer_held = true;
    kit->peer = KIT_PEER_SILENT;
    host = kit_up(kit);
    for (int i = 0; i < OPEN_AT_STOP; i++)
      kit_send(host);
    if (round == 1)
      kit_drain(host, 0);
    if (round == 2)
      kit_step(kit, 1000);
    kit_stop(host); /* answers what is open with CANCELLED */
    kit_destroy(&host);
    kit_step(kit, HOUR_MS);
  }
}

/* Nothing can have gone out: the host carried no byte of it. */
static void none_taken(struct kit *kit, struct kit_host *host, const char *why)
{
  if (kit->n_requests + kit->n_connects == 0)
    return; /* it needs nobody */
  for (struct list *node = host->tokens.next; node != &host->tokens; node = node->next) {
    const struct kit_token *token = LIST_ITEM(node, struct kit_token, node);

    if (token->settled && (token->result == PARLEY_OUTCOME_ACCEPTED || token->result == PARLEY_OUTCOME_DELIVERED))
      kit_fail(kit, PROMISE_COMPLETION, "token %llu was settled %s, though every done() said %s",
               (unsigned long long)token->token, kit_outcome_name(token->result), why);
  }
}

void kit_settle_busy(struct kit *kit)
{
  struct kit_host *host = kit_up(kit);

  kit->answer = (struct kit_answer){.status = PARLEY_BUSY, .reason = "the host is full"};
  kit->peer = KIT_PEER_REFUSE;
  kit->work_busy = true;
  kit->state_says = kit->media_says = kit->says.status = PARLEY_BUSY;
  for (int i = 0; i < OPEN_AT_STOP; i++)
    kit_send(host);
  all_settled(kit, host);
  none_taken(kit, host, "PARLEY_BUSY");
  kit_down(&host);
}

void kit_settle_cancelled(struct kit *kit)
{
  struct kit_host *host = kit_up(kit);

  kit->answer = (struct kit_answer){.status = PARLEY_CANCELLED, .sent = 1, .reason = "cancelled"};
  kit->peer = KIT_PEER_CLOSE;
  kit->state_says = kit->media_says = kit->says.status = PARLEY_CANCELLED;
  for (int i = 0; i < OPEN_AT_STOP; i++)
    kit_send(host);
  all_settled(kit, host);
  none_taken(kit, host, "PARLEY_CANCELLED");
  kit_down(&host);
}

/* The message's memory is closed as soon as its token has settled: whoever still looks dies of it. */
void kit_settle_after(struct kit *kit)
{
  struct kit_host *host = kit_up(kit);

  for (int i = 0; i < OPEN_AT_STOP; i++)
    kit_send_wait(host);
  kit_step(kit, HOUR_MS);
  kit->answer_random = kit->peer_random = true;
  for (int i = 0; i < OPEN_AT_STOP; i++)
    kit_send(host);
  all_settled(kit, host);
  kit_step(kit, HOUR_MS);
  kit_down(&host);
}

/* --- Probe and query ---------------------------------------------------------------------------------------------- */

void kit_settle_probe(struct kit *kit)
{
  const parley_plugin *plugin = kit->plugin;
  struct kit_host *host;

  if (!PARLEY_HAS(parley_plugin, plugin, probe) || plugin->probe == NULL)
    kit_skip(kit, "it has no probe");
  host = kit_up(kit);
  for (int i = 0; i < OPEN_AT_STOP; i++) {
    kit->answer_random = kit->peer_random = i > 0;
    kit_ask(host, false, NULL, NULL);
    if (i % 2 == 0)
      all_settled(kit, host);
  }
  all_settled(kit, host);
  kit->answer_held = true;
  kit->peer = KIT_PEER_SILENT;
  kit->peer_random = false;
  kit_ask(host, false, NULL, NULL); /* open at the stop */
  kit_down(&host);
}

void kit_settle_query(struct kit *kit)
{
  const parley_plugin *plugin = kit->plugin;
  struct arena *arena = arena_new();
  struct kit_host *host;

  if (!PARLEY_HAS(parley_plugin, plugin, query) || plugin->query == NULL)
    kit_skip(kit, "it has no query");
  host = kit_up(kit);
  for (int i = 0; i < OPEN_AT_STOP; i++) {
    kit->answer_random = kit->peer_random = i > 0;
    kit_ask(host, true, kit_message_plain(host, arena), NULL);
  }
  all_settled(kit, host);
  kit_down(&host);
  arena_free(&arena);
}
