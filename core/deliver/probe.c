/* Probes: tokens that carry no message. Their outcome goes to whoever asked, and tells nothing about deliveries. */
#include "core/base/alloc.h"
#include "line.h"
#include <stdlib.h>

struct probe {
  deliver_probed *done;
  void *arg;
};

parley_status deliver_probe(struct deliver *deliver, struct channel *channel, deliver_probed *done, void *arg)
{
  uint64_t token = ++deliver->last_token;
  struct probe *probe;
  parley_status st;

  if (!channel_can_probe(channel))
    return PARLEY_NOT_FOUND;
  probe = xcalloc(1, sizeof *probe);
  probe->done = done;
  probe->arg = arg;
  map_put(&deliver->probes, token, probe); /* before: its settlement may come as soon as the plugin's call has returned */
  st = channel_probe(channel, token, DELIVER_PROBE_DEADLINE_MS);
  if (st != PARLEY_OK)
    free(map_take(&deliver->probes, token));
  return st;
}

bool probe_settled(struct deliver *deliver, uint64_t token, const parley_outcome *outcome)
{
  struct probe *probe = map_take(&deliver->probes, token);
  parley_outcome told = *outcome;

  if (probe == NULL)
    return false;
  if (told.result == PARLEY_OUTCOME_DIED)
    told.result = PARLEY_OUTCOME_UNKNOWN; /* who asked knows the plugins' words only; the code says it */
  probe->done(&told, probe->arg);
  free(probe);
  return true;
}
