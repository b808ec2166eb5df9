/* Cases: a channel that is replaced while it works, as a hot reload does it. */
#include "core/base/alloc.h"
#include "core/base/text.h"
#include "core/deliver/deliver.h"
#include "inside.h"
#include <stdio.h>

#define LOAD 20
#define RELOADS 30
#define DRAIN_MS 30000

static void drained(struct kit *kit, struct kit_host *host)
{
  kit_settle_wait(kit, DELIVER_SUBMIT_DEADLINE_MS);
  if (host->n_open > 0)
    kit_fail(kit, PROMISE_SETTLE_ALL, "%u tokens that were open at drain() were never settled", host->n_open);
}

void kit_reload_drain(struct kit *kit)
{
  struct kit_host *host;

  kit->answer_held = true;
  kit->peer = KIT_PEER_SILENT;
  host = kit_up(kit);
  for (int i = 0; i < LOAD; i++)
    kit_send(host);
  kit_drain(host, DRAIN_MS);
  kit->answer_held = false;
  drained(kit, host);
  kit_stop(host);
  kit_destroy(&host);
}

/* EXCLUSIVE: the old one stops before the new one starts. */
static struct kit_host *replace(struct kit *kit, struct kit_host *old)
{
  bool exclusive = (old->caps->flags & PARLEY_EXCLUSIVE) != 0;
  struct kit_host *fresh;

  if (exclusive) {
    kit_down(&old);
    return kit_up(kit);
  }
  fresh = kit_up(kit);
  for (int i = 0; i < LOAD / 2; i++) { /* the old one still works while the new one stands beside it */
    kit_send(old);
    kit_send(fresh);
  }
  kit_drain(old, DRAIN_MS);
  for (int i = 0; i < LOAD / 2; i++)
    kit_send(fresh);
  kit->answer_held = false;
  kit_settle_wait(kit, DRAIN_MS);
  kit_stop(old);
  kit_destroy(&old);
  return fresh;
}

void kit_reload_beside(struct kit *kit)
{
  struct kit_host *host;

  kit->answer_held = true;
  kit->peer = KIT_PEER_SILENT;
  host = kit_up(kit);
  for (int i = 0; i < LOAD; i++)
    kit_send(host);
  host = replace(kit, host);
  drained(kit, host);
  if (kit_room(host) > 0)
    kit_send_wait(host); /* the new one is not gone with the old one */
  kit_down(&host);
}

void kit_reload_often(struct kit *kit)
{
  struct kit_host *host = kit_up(kit);

  kit->answer_random = kit->peer_random = true;
  for (int i = 0; i < RELOADS; i++) {
    snprintf(kit->note->step, sizeof kit->note->step, "reload %d of %d", i + 1, RELOADS);
    kit->answer_held = kit_below(kit, 2) == 0;
    for (uint32_t n = kit_below(kit, LOAD); n > 0; n--)
      kit_send(host);
    host = replace(kit, host);
    kit->answer_held = false;
    if (kit_below(kit, 3) == 0)
      kit_step(kit, kit_below(kit, 60000));
  }
  drained(kit, host);
  kit_down(&host);
}
