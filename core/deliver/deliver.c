#include "deliver.h"
#include "core/base/alloc.h"
#include "core/base/text.h"
#include "line.h"
#include "retry.h"
#include <stdlib.h>
#include <string.h>

const uint32_t deliver_bucket_ms[DELIVER_BUCKETS] = {1, 2, 5, 10, 25, 50, 100, 250, 1000, 5000, 30000, 300000};

int64_t deliver_now(const struct deliver *deliver)
{
  return deliver->shared.env->now_ms(deliver->shared.env);
}

int64_t deliver_mono(const struct deliver *deliver)
{
  return deliver->shared.env->mono_ms(deliver->shared.env);
}

void deliver_op_over(struct deliver *deliver)
{
  deliver->ops--;
  deliver_maybe_gone(deliver);
}

struct deliver *deliver_new(const struct deliver_shared *shared)
{
  struct deliver *deliver = xcalloc(1, sizeof *deliver);

  deliver->shared = *shared;
  list_init(&deliver->lines);
  list_init(&deliver->unsettled);
  shared->env->random(shared->env, &deliver->hash_key, sizeof deliver->hash_key);
  uv_timer_init(shared->loop, &deliver->sweep);
  deliver->sweep.data = deliver;
  deliver->open_handles = 1;
  uv_timer_start(&deliver->sweep, sweep_on_timer, DELIVER_SWEEP_MS, DELIVER_SWEEP_MS);
  return deliver;
}

void deliver_start(struct deliver *deliver)
{
  deliver->started = true;
  deliver->clock_lead_ms = deliver_now(deliver) - deliver_mono(deliver);
  deliver_recover(deliver);
}

void deliver_set_policy(struct deliver *deliver, struct policy *policy)
{
  struct policy *old = deliver->policy;

  deliver->policy = policy_ref(policy);
  policy_unref(&old);
}

void deliver_add_channel(struct deliver *deliver, struct channel *channel, struct channel *test_sink,
                         const struct deliver_rates *rates)
{
  struct line *line = line_find(deliver, parley_text_of(channel_name(channel)));

  if (line == NULL)
    line = line_new(deliver, parley_text_of(channel_name(channel)));
  line->channel = channel;
  line->test_sink = test_sink;
  line->removed = false;
  line->down = false;
  if (line->rates.per_s != rates->per_s) {
    line->bucket = rates->per_s < 1 ? 1 : rates->per_s;
    line->bucket_ms = deliver_mono(deliver);
  }
  line->rates = *rates;
  if (deliver->started)
    line_claim_all(line);
  line_pump(line);
}

static void held_take_back(struct list *held, int64_t now_ms)
{
  while (!list_empty(held))
    outbound_take_back(LIST_ITEM(held->next, struct outbound, node), now_ms);
}

static void line_take_all_back(struct line *line)
{
  int64_t now = deliver_now(line->deliver);

  for (int lane = 0; lane < LANES; lane++) {
    line_close_lane(line, (enum lane)lane);
    held_take_back(&line->lanes[lane].held, now);
  }
  held_take_back(&line->suspects, now);
}

void deliver_remove_channel(struct deliver *deliver, const char *name)
{
  struct line *line = line_find(deliver, parley_text_of(name));

  if (line == NULL)
    return;
  line->removed = true;
  line->channel = line->test_sink = NULL;
  line_take_all_back(line);
}

struct lane_room *deliver_lane_room(struct deliver *deliver, const char *name)
{
  struct line *line = line_find(deliver, parley_text_of(name));

  if (line == NULL)
    line = line_new(deliver, parley_text_of(name));
  return &line->room;
}

void deliver_pause(struct deliver *deliver, parley_text name, bool paused)
{
  struct line *line = line_find(deliver, name);

  if (line == NULL || (line->paused == paused && !(line->down && !paused)))
    return;
  line->paused = paused;
  line->down = line->down && paused; /* who resumes it has mended it */
  if (paused)
    line_take_all_back(line);
  else
    line_claim_all(line);
}

bool deliver_paused(const struct deliver *deliver, parley_text name)
{
  const struct line *line = line_find(deliver, name);

  return line != NULL && line->paused;
}

void deliver_due(struct deliver *deliver, parley_text channel, enum lane lane, int64_t due_ms)
{
  struct line *line = line_find(deliver, channel);

  if (line != NULL)
    line_due_at(line, lane, due_ms);
}

void deliver_hold(struct deliver *deliver)
{
  deliver->hold = (struct deliver_hold){.held = true, .marking = true};
}

void deliver_release(struct deliver *deliver)
{
  deliver->hold.held = false;
  for (struct list *node = deliver->lines.next; node != &deliver->lines; node = node->next)
    line_claim_all(LIST_ITEM(node, struct line, node));
}

const struct deliver_hold *deliver_held(const struct deliver *deliver)
{
  return &deliver->hold;
}

void deliver_poke(struct deliver *deliver, parley_text channel)
{
  struct line *line = line_find(deliver, channel);

  if (line != NULL)
    line_claim_all(line);
}

struct reconsider { const id64 *customers; size_t n_customers; const struct identity *address; };

static bool outbound_is_meant(const struct outbound *out, const struct reconsider *by)
{
  for (size_t i = 0; i < by->n_customers; i++)
    if (out->claim.customer == by->customers[i])
      return true;
  return by->address != NULL && text_eq(out->claim.address_kind, by->address->kind) &&
         identity_eq(by->address->kind, out->claim.address, by->address->value);
}

static void held_reconsider(struct list *held, const struct reconsider *by, int64_t now_ms)
{
  for (struct list *node = held->next, *next; node != held; node = next) {
    struct outbound *out = LIST_ITEM(node, struct outbound, node);

    next = node->next;
    if (outbound_is_meant(out, by))
      outbound_take_back(out, now_ms);
  }
}

void deliver_reconsider(struct deliver *deliver, const id64 *customers, size_t n_customers, const struct identity *address)
{
  const struct reconsider by = {customers, n_customers, address};
  int64_t now = deliver_now(deliver);

  if (n_customers == 0 && address == NULL)
    return;
  for (struct list *node = deliver->lines.next; node != &deliver->lines; node = node->next) {
    struct line *line = LIST_ITEM(node, struct line, node);

    for (int lane = 0; lane < LANES; lane++)
      held_reconsider(&line->lanes[lane].held, &by, now);
    held_reconsider(&line->suspects, &by, now);
  }
}

void deliver_drain(struct deliver *deliver)
{
  deliver->draining = true;
  for (struct list *node = deliver->lines.next; node != &deliver->lines; node = node->next) {
    struct line *line = LIST_ITEM(node, struct line, node);

    line_take_all_back(line);
    line->channel = line->test_sink = NULL; /* they are stopped next, while outcomes of theirs are still being stored */
  }
}

void deliver_handle_over(struct deliver *deliver)
{
  void (*closed)(void *) = deliver->closed;
  void *arg = deliver->closed_arg;

  if (--deliver->open_handles > 0 || closed == NULL)
    return;
  map_done(&deliver->in_flight);
  map_done(&deliver->probes);
  policy_unref(&deliver->policy);
  free(deliver);
  closed(arg);
}

static void deliver_on_closed(uv_handle_t *handle)
{
  deliver_handle_over(handle->data);
}

void deliver_maybe_gone(struct deliver *deliver)
{
  if (deliver->closed == NULL || deliver->ops > 0 || deliver->in_flight.count > 0 || deliver->probes.count > 0 ||
      !list_empty(&deliver->unsettled) || uv_is_closing((uv_handle_t *)&deliver->sweep))
    return;
  for (struct list *node = deliver->lines.next, *next; node != &deliver->lines; node = next) {
    next = node->next;
    line_free(LIST_ITEM(node, struct line, node));
  }
  uv_close((uv_handle_t *)&deliver->sweep, deliver_on_closed);
}

void deliver_close(struct deliver **deliver, void (*closed)(void *arg), void *arg)
{
  struct deliver *gone = *deliver;

  *deliver = NULL;
  gone->draining = true;
  gone->closed = closed;
  gone->closed_arg = arg;
  deliver_maybe_gone(gone);
}

void deliver_counters(const struct deliver *deliver, parley_text channel, struct deliver_counters *ret)
{
  struct line *line = line_find(deliver, channel);

  memset(ret, 0, sizeof *ret);
  if (line == NULL)
    return;
  *ret = line->counters;
  ret->down = line->down;
  ret->down_why = line->down_why;
  for (int lane = 0; lane < LANES; lane++)
    ret->held += line->lanes[lane].n_held;
  ret->held -= ret->in_flight;
  line_holds_count(line, ret);
}
