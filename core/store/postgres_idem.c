/* postgres_idem.c - idempotency keys on PostgreSQL: the answer's own row, found by its hash, in the transaction: so that a twin on
 * another node meets the unique index and not a private memory. */
#include "postgres.h"

const char pg_answer_get_sql[] = "SELECT " IDEM_ANSWER_COLUMNS " FROM answer WHERE h=?";

bool pg_idem_replayed(struct round *round, struct store_op *op, uint64_t *ret_h)
{
  struct stmt *get = db_sql(round->db, pg_answer_get_sql);
  uint64_t h = idem_hash(round->store, op);
  bool same = false;

  for (int i = 0; i < IDEM_TWINS_MAX && !same; i++, h = idem_next(h)) {
    bind_id(get, 1, h);
    if (!db_step(get))
      break;
    same = idem_answer_is(get, op);
    db_reset(get);
  }
  *ret_h = h;
  return same;
}

void pg_idem_keep(struct round *round, const struct store_op *op, uint64_t h)
{
  idem_answer_put(round, op, h);
}
