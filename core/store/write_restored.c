/* write_restored.c - after a restore: nobody knows what became of the backup's deliveries since it was made. */
#include "core/base/text.h"
#include "marks.h"
#include "write.h"

#define SCAN_ROWS 4096 /* that one slice reads: most are final */

struct old { id64 message; uint32_t step, state, attempt; uint64_t token; int64_t started_ms; };

/* Nothing can become of it any more. One that is sent may have steps of its plan left. */
static bool is_over(uint32_t state)
{
  return state >= DELIVERY_READ;
}

/* By the primary key, whatever state they are in: no index has all that is not final, and so a round reads a bounded piece. Those
 * that are not; moves on. */
static size_t slice_read(struct round *round, struct store_restored_op *op, struct old *rows)
{
  struct stmt *get = db_sql(round->db, "SELECT message, step, state, attempt, token, attempt_started FROM delivery"
                                       " WHERE (message, step) > (?, ?) AND message<=? ORDER BY message, step LIMIT ?");
  size_t n = 0, n_read = 0;

  bind_id(get, 1, op->after_message);
  bind_int(get, 2, op->after_step);
  bind_id(get, 3, round->store->restored.upto);
  bind_int(get, 4, SCAN_ROWS);
  for (; n < STORE_RESTORED_MAX && db_step(get); n_read++) {
    rows[n] = (struct old){col_id(get, 0), (uint32_t)col_int(get, 1), (uint32_t)col_int(get, 2), (uint32_t)col_int(get, 3),
                           col_id(get, 4), col_int(get, 5)};
    op->after_message = rows[n].message;
    op->after_step = rows[n].step;
    n += !is_over(rows[n].state);
  }
  db_reset(get);
  op->over = n < STORE_RESTORED_MAX && n_read < SCAN_ROWS;
  return n;
}

struct marking { struct store_restored_op *op; const struct old *rows; bool *marked, *held; };

static void attempt_lost(struct round *round, const struct old *old)
{
  struct attempt_ended ended = {.message = old->message,
                                .step = old->step,
                                .number = old->attempt,
                                .outcome = PARLEY_OUTCOME_UNKNOWN,
                                .token = old->token,
                                .started_ms = old->started_ms,
                                .ended_ms = round->now_ms,
                                .code = PARLEY_LIT("restored"),
                                .detail = TEXT_EMPTY,
                                .provider_id = TEXT_EMPTY};

  attempt_put(round, &ended);
}

static void mark_one(struct round *round, size_t i, void *arg)
{
  struct marking *marking = arg;
  const struct old *old = &marking->rows[i];
  struct happened happened = {.what = HAPPEN_RESTORED};
  struct life loaded, *life = &loaded;
  int at;

  if (!life_load(round, old->message, marking->op->policy, round->now_ms, marking->op->op.arena, life))
    return;
  at = life_row_of(life, old->step);
  if (at < 0)
    return;
  happened.delivery = (size_t)at;
  if (life_advance(round, life, &happened, NULL).ignored)
    return;
  marking->marked[i] = true;
  marking->held[i] = life->facts[at].held;
  if (old->state == DELIVERY_SENDING)
    attempt_lost(round, old);
}

parley_status write_restored(struct round *round, struct store_op *op)
{
  struct store_restored_op *restored = container_of(op, struct store_restored_op, op);
  struct old *rows = arena_alloc(op->arena, (STORE_RESTORED_MAX + 1) * sizeof(*rows));
  struct marking marking = {restored, rows, arena_alloc(op->arena, STORE_RESTORED_MAX), arena_alloc(op->arena, STORE_RESTORED_MAX)};
  size_t n = slice_read(round, restored, rows);

  restored->n = restored->n_held = 0;
  round_each(round, n, mark_one, &marking);
  for (size_t i = 0; i < n; i++) {
    restored->n += marking.marked[i];
    restored->n_held += marking.held[i];
  }
  return PARLEY_OK;
}

parley_status write_resume(struct round *round, struct store_op *op)
{
  struct stmt *drop = db_sql(round->db, "DELETE FROM meta WHERE name=?");

  (void)op;
  bind_str(drop, 1, MARK_RESTORED);
  db_run(drop);
  return PARLEY_OK;
}
