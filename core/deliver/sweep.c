/* What time brings: orphans of an earlier session at the start; each second expiry, lapsed steps and outcomes that the store could
 * not take before. */
#include "core/base/alloc.h"
#include "line.h"
#include <stdlib.h>

struct sweep_op {
  union {
    struct store_op op;
    struct store_sweep sweep;
    struct store_orphans orphans;
    struct store_restored_op restored;
  } u;
  struct deliver *deliver;
  struct policy *policy;
};

#define SWEEP_LIMIT 256

static struct sweep_op *sweep_op_new(struct deliver *deliver, enum store_kind kind, void (*done)(struct store_op *))
{
  struct sweep_op *call = xcalloc(1, sizeof *call);

  call->deliver = deliver;
  call->policy = policy_ref(deliver->policy);
  call->u.op.kind = kind;
  call->u.op.done = done;
  deliver->ops++;
  return call;
}

static void sweep_op_free(struct sweep_op *call)
{
  arena_free(&call->u.op.arena);
  policy_unref(&call->policy);
  deliver_op_over(call->deliver);
  free(call);
}

static void deliver_sweep(struct deliver *deliver);

static void deliver_on_swept(struct store_op *op)
{
  struct sweep_op *call = container_of(op, struct sweep_op, u.op);
  struct deliver *deliver = call->deliver;
  bool more = op->status == PARLEY_OK && call->u.sweep.n == SWEEP_LIMIT;

  deliver->sweeping = false;
  if (op->status == PARLEY_OK)
    for (size_t i = 0; i < call->u.sweep.n_claims; i++)
      deliver_take(deliver, &call->u.sweep.claims[i]);
  sweep_op_free(call);
  if (more)
    deliver_sweep(deliver);
}

static void deliver_sweep(struct deliver *deliver)
{
  struct sweep_op *call;

  if (deliver->sweeping || deliver->draining || !deliver->orphans_done || deliver->hold.held)
    return;
  call = sweep_op_new(deliver, STORE_SWEEP, deliver_on_swept);
  call->u.sweep.policy = call->policy;
  call->u.sweep.now_ms = deliver_now(deliver);
  call->u.sweep.limit = SWEEP_LIMIT;
  deliver->sweeping = true;
  store_submit(deliver->shared.store, &call->u.op);
}


static void deliver_orphans(struct deliver *deliver);

static void deliver_on_recovered(struct store_op *op)
{
  struct sweep_op *call = container_of(op, struct sweep_op, u.op);
  struct deliver *deliver = call->deliver;
  bool more = op->status != PARLEY_OK || call->u.orphans.n == SWEEP_LIMIT;

  if (op->status == PARLEY_OK && call->u.orphans.n > 0)
    log_line(deliver->shared.log, PARLEY_WARN, "event=orphans_recovered count=%zu", call->u.orphans.n);
  if (more && !deliver->draining && op->status == PARLEY_OK) {
    deliver_orphans(deliver);
  } else if (op->status == PARLEY_OK) {
    deliver->orphans_done = true;
    for (struct list *node = deliver->lines.next; node != &deliver->lines; node = node->next)
      line_claim_all(LIST_ITEM(node, struct line, node));
  }
  sweep_op_free(call);
}

static void deliver_orphans(struct deliver *deliver)
{
  struct sweep_op *call = sweep_op_new(deliver, STORE_ORPHANS, deliver_on_recovered);

  call->u.orphans.policy = call->policy;
  call->u.orphans.limit = SWEEP_LIMIT;
  store_submit(deliver->shared.store, &call->u.op);
}

/* --- After a restore ---------------------------------------------------------------------------------------------------- */

static void deliver_on_marked(struct store_op *op)
{
  struct sweep_op *call = container_of(op, struct sweep_op, u.op);
  struct deliver *deliver = call->deliver;
  const struct store_restored_op *marked = &call->u.restored;
  bool fine = op->status == PARLEY_OK;

  if (fine) {
    deliver->hold.marked += marked->n;
    deliver->hold.for_operator += marked->n_held;
    deliver->marked_message = marked->after_message;
    deliver->marked_step = marked->after_step;
    deliver->hold.marking = !marked->over;
  }
  if (fine && marked->over)
    log_line(deliver->shared.log, PARLEY_WARN, "event=restored_marked possible_duplicates=%llu held=%llu",
             (unsigned long long)deliver->hold.marked, (unsigned long long)deliver->hold.for_operator);
  if (fine && !deliver->draining)
    deliver_recover(deliver);
  sweep_op_free(call);
}

static void deliver_mark(struct deliver *deliver)
{
  struct sweep_op *call = sweep_op_new(deliver, STORE_RESTORED, deliver_on_marked);

  call->u.restored.policy = call->policy;
  call->u.restored.after_message = deliver->marked_message;
  call->u.restored.after_step = deliver->marked_step;
  store_submit(deliver->shared.store, &call->u.op);
}

void deliver_recover(struct deliver *deliver)
{
  if (deliver->hold.marking)
    deliver_mark(deliver);
  else
    deliver_orphans(deliver);
}

static void deliver_look(struct deliver *deliver)
{
  int64_t mono = deliver_mono(deliver);

  for (struct list *node = deliver->lines.next; node != &deliver->lines; node = node->next) {
    struct line *line = LIST_ITEM(node, struct line, node);

    if (line->down && mono >= line->down_until_ms) {
      line->down = false; /* one message will tell */
      line_claim_all(line);
    }
    line_look(line);
  }
}

void sweep_on_timer(uv_timer_t *timer)
{
  struct deliver *deliver = timer->data;
  struct list *node, again;

  list_init(&again);
  while ((node = list_pop(&deliver->unsettled)) != NULL)
    list_push(&again, node);
  while ((node = list_pop(&again)) != NULL)
    outbound_store(LIST_ITEM(node, struct outbound, node));
  if (deliver->draining || !deliver->started)
    return;
  if (!deliver->orphans_done && deliver->ops == 0)
    deliver_recover(deliver); /* the store could not at the start */
  deliver_watch_clock(deliver);
  deliver_look(deliver);
  deliver_sweep(deliver);
}
