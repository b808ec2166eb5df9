/* postgres_idem.c - idempotency keys on PostgreSQL: the answer's own row, found by its hash, in the transaction: so that a twin on
 * another node meets the unique index and not a private memory. */
#include "postgres.h"
#include "core/base/text.h"
#include <string.h>

#define IDEM_TWINS_MAX 16 /* different keys of one 64-bit hash that are looked through */

const char pg_answer_get_sql[] = "SELECT api_key, route, key, body_hash, status, body FROM answer WHERE h=?";

uint64_t pg_idem_hash(const struct store_base *store, const struct store_op *op)
{
  const struct store_idem *idem = op->idem;
  size_t len = sizeof(idem->api_key) + idem->route.len + 1 + idem->key.len;
  char *bytes = arena_alloc(op->arena, len);

  memcpy(bytes, &idem->api_key, sizeof(idem->api_key));
  memcpy(bytes + sizeof(idem->api_key), idem->route.at, idem->route.len);
  memcpy(bytes + len - idem->key.len, idem->key.at, idem->key.len);
  return hash64(&store->hash_key, (parley_bytes){bytes, len});
}

/* Whether the row is that of this very key; if so, what was answered. */
static bool row_is(struct stmt *row, struct store_op *op)
{
  const struct store_idem *idem = op->idem;
  parley_bytes hash = col_peek(row, 3);

  if (col_id(row, 0) != idem->api_key || !text_eq(col_peek(row, 1), idem->route) || !text_eq(col_peek(row, 2), idem->key))
    return false;
  op->replay = hash.len == SHA256_BYTES && memcmp(hash.at, idem->body_sha256, SHA256_BYTES) == 0 ? REPLAY_SAME
                                                                                                  : REPLAY_OTHER_BODY;
  op->answer_status = (uint32_t)col_int(row, 4);
  op->answer = col_text(row, 5, op->arena);
  return true;
}

bool pg_idem_replayed(struct round *round, struct store_op *op, uint64_t *ret_h)
{
  struct stmt *get = db_sql(round->db, pg_answer_get_sql);
  uint64_t h = pg_idem_hash(round->store, op);
  bool same = false;

  for (int i = 0; i < IDEM_TWINS_MAX && !same; i++, h++) {
    bind_id(get, 1, h);
    if (!db_step(get))
      break;
    same = row_is(get, op);
    db_reset(get);
  }
  *ret_h = h;
  return same;
}

void pg_idem_keep(struct round *round, const struct store_op *op, uint64_t h)
{
  struct stmt *put = db_sql(round->db, "INSERT INTO answer(id, h, api_key, route, key, body_hash, status, body, at)"
                                       " VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)");
  const struct store_idem *idem = op->idem;

  bind_id(put, 1, id_next(&round->store->ids));
  bind_id(put, 2, h);
  bind_id(put, 3, idem->api_key);
  bind_text(put, 4, idem->route);
  bind_text(put, 5, idem->key);
  bind_blob(put, 6, (parley_bytes){(const char *)idem->body_sha256, SHA256_BYTES});
  bind_int(put, 7, op->answer_status);
  bind_text(put, 8, op->answer);
  bind_int(put, 9, round->now_ms);
  db_run(put);
  round->n_idem++;
}

/* The answers themselves are taken out by expire.c; there is no index beside them. */
void pg_idem_expire(struct round *round)
{
  (void)round;
}
