/* idem.c - an idempotency key as every driver's store has it: its hash, and the row of its answer. How the row is found by the hash
 * is the driver's (sqlite_idem.c, postgres_idem.c). */
#include "write.h"
#include "core/base/text.h"
#include <string.h>

uint64_t idem_hash(const struct store_base *store, const struct store_op *op)
{
  const struct store_idem *idem = op->idem;
  size_t len = sizeof(idem->api_key) + idem->route.len + 1 + idem->key.len;
  char *bytes = arena_alloc(op->arena, len);
  uint64_t h;

  memcpy(bytes, &idem->api_key, sizeof(idem->api_key));
  memcpy(bytes + sizeof(idem->api_key), idem->route.at, idem->route.len);
  memcpy(bytes + len - idem->key.len, idem->key.at, idem->key.len);
  h = hash64(&store->hash_key, (parley_bytes){bytes, len});
  return h != 0 ? h : 1;
}

uint64_t idem_next(uint64_t h)
{
  return h == UINT64_MAX ? 1 : h + 1;
}

bool idem_answer_is(struct stmt *row, struct store_op *op)
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

id64 idem_answer_put(struct round *round, const struct store_op *op, uint64_t h)
{
  struct stmt *put = db_sql(round->db, "INSERT INTO answer(id, h, api_key, route, key, body_hash, status, body, at)"
                                       " VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)");
  const struct store_idem *idem = op->idem;
  id64 id = id_next(&round->store->ids);

  bind_id(put, 1, id);
  bind_id(put, 2, h);
  bind_id(put, 3, idem->api_key);
  bind_text(put, 4, idem->route);
  bind_text(put, 5, idem->key);
  bind_blob(put, 6, (parley_bytes){(const char *)idem->body_sha256, SHA256_BYTES});
  bind_int(put, 7, op->answer_status);
  bind_text(put, 8, op->answer);
  bind_int(put, 9, round->now_ms);
  db_run(put);
  return id;
}
