/* Jumps of the wall clock. Due times in the store are of the wall clock, the waits they stand for are not: when it is set back,
 * they move with it. When it is set forward they come early, which only costs a try; expiry is the wall clock's. */
#include "core/base/alloc.h"
#include "line.h"
#include <stdlib.h>

struct clock_back {
  struct store_clock_back back;
  struct line *line;
};

static void clock_on_back(struct store_op *op)
{
  struct clock_back *call = container_of(op, struct clock_back, back.op);
  struct line *line = call->line;
  struct deliver *deliver = line->deliver;
  bool more = op->status == PARLEY_OK && call->back.n == STORE_CLAIM_MAX && !deliver->draining;

  arena_free(&op->arena);
  if (more) {
    store_submit(deliver->shared.store, op);
    return;
  }
  if (op->status == PARLEY_OK)
    line_claim(line, call->back.lane);
  free(call);
  deliver_op_over(deliver); /* last: it may be the end of all */
}

static void line_clock_back(struct line *line, enum lane lane, int64_t now_ms, int64_t by_ms)
{
  struct clock_back *call = xcalloc(1, sizeof *call);

  call->line = line;
  call->back.op.kind = STORE_CLOCK_BACK;
  call->back.op.done = clock_on_back;
  call->back.channel = parley_text_of(line->name);
  call->back.lane = lane;
  call->back.now_ms = now_ms;
  call->back.by_ms = by_ms;
  line->deliver->ops++;
  store_submit(line->deliver->shared.store, &call->back.op);
}

void deliver_watch_clock(struct deliver *deliver)
{
  const struct env *env = deliver->shared.env;
  int64_t now_ms = env->now_ms(env);
  int64_t lead_ms = now_ms - env->mono_ms(env);
  int64_t jump_ms = lead_ms - deliver->clock_lead_ms;

  if (jump_ms > -DELIVER_CLOCK_STEP_MS && jump_ms < DELIVER_CLOCK_STEP_MS)
    return; /* kept as it was: many small steps back add up to one */
  deliver->clock_lead_ms = lead_ms;
  log_line(deliver->shared.log, PARLEY_WARN, "event=clock_jumped by_ms=%lld", (long long)jump_ms);
  for (struct list *node = deliver->lines.next; jump_ms < 0 && node != &deliver->lines; node = node->next)
    for (int lane = 0; lane < LANES; lane++)
      line_clock_back(LIST_ITEM(node, struct line, node), (enum lane)lane, now_ms, -jump_ms);
}
