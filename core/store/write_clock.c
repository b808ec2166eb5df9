/* write_clock.c - the wall clock was set back: what waits for a span of time waits no longer than it would have. */
#include "write.h"
#include "core/base/text.h"

struct waiting { int64_t due_ms; id64 message; uint32_t step; };

/* What its sender or quiet hours put off until a time of day, and was never tried, goes by the new clock. */
#define SPAN_WHERE \
  " FROM delivery d WHERE channel=?1 AND lane=?2 AND (state=0 OR query=1) AND due>?3 AND (due, message, step)>(?4, ?5, ?6)" \
  " AND (attempt>0 OR due<>(SELECT not_before FROM message m WHERE m.id=d.message))"

static size_t waiting_read(struct round *round, const struct store_clock_back *back, struct waiting *waiting, size_t limit)
{
  struct stmt *get = db_sql(round->db, "SELECT due, message, step" SPAN_WHERE " ORDER BY due, message, step LIMIT ?7");
  size_t n = 0;

  bind_text(get, 1, back->channel);
  bind_int(get, 2, back->lane);
  bind_int(get, 3, back->now_ms);
  bind_int(get, 4, back->after_due_ms);
  bind_id(get, 5, back->after_message);
  bind_int(get, 6, back->after_step);
  bind_int(get, 7, (int64_t)limit);
  while (n < limit && db_step(get))
    waiting[n++] = (struct waiting){col_int(get, 0), col_id(get, 1), (uint32_t)col_int(get, 2)};
  db_reset(get);
  return n;
}

parley_status write_clock_back(struct round *round, struct store_op *op)
{
  struct store_clock_back *back = container_of(op, struct store_clock_back, op);
  struct stmt *put = db_sql(round->db, "UPDATE delivery SET due=due-? WHERE message=? AND step=?");
  struct waiting *waiting = arena_alloc(op->arena, STORE_CLAIM_MAX * sizeof(*waiting));

  back->n = waiting_read(round, back, waiting, STORE_CLAIM_MAX);
  for (size_t i = 0; i < back->n; i++) {
    bind_int(put, 1, back->by_ms);
    bind_id(put, 2, waiting[i].message);
    bind_int(put, 3, waiting[i].step);
    db_run(put);
  }
  if (back->n == 0)
    return PARLEY_OK;
  back->after_due_ms = waiting[back->n - 1].due_ms;
  back->after_message = waiting[back->n - 1].message;
  back->after_step = waiting[back->n - 1].step;
  return PARLEY_OK;
}
