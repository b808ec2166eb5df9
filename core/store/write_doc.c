/* write_doc.c - small things: documents by (kind, name), media by content, the feed's bookkeeping. */
#include "write.h"

static void doc_event(struct round *round, const struct store_doc_put *put)
{
  if (put->event_type != NULL)
    round_event(round, put->event_type, round->now_ms, 0, 0, 0, 0, put->event_data);
}

static parley_status doc_remove(struct round *round, struct store_doc_put *put, id64 id)
{
  struct stmt *drop = db_sql(round->db, "DELETE FROM doc WHERE id=?");

  if (id == 0)
    return PARLEY_NOT_FOUND;
  bind_id(drop, 1, id);
  db_run(drop);
  doc_event(round, put);
  return PARLEY_OK;
}

parley_status write_doc_put(struct round *round, struct store_op *op)
{
  struct store_doc_put *put = container_of(op, struct store_doc_put, op);
  struct stmt *get = db_sql(round->db, "SELECT id, version FROM doc WHERE kind=? AND name=?");
  struct stmt *write = db_sql(round->db, "INSERT INTO doc(id, kind, name, version, at, json) VALUES(?, ?, ?, ?, ?, ?)"
                                          " ON CONFLICT(kind, name) DO UPDATE SET version=excluded.version, at=excluded.at,"
                                          " json=excluded.json");
  int64_t version = 0;
  id64 id = 0;

  bind_text(get, 1, put->doc.kind);
  bind_text(get, 2, put->doc.name);
  if (db_step(get)) {
    id = col_id(get, 0);
    version = col_int(get, 1);
  }
  db_reset(get);
  if (put->version >= 0 && put->version != version)
    return PARLEY_REJECTED;
  if (put->doc.json.len == 0)
    return doc_remove(round, put, id);
  if (id == 0)
    id = put->doc.id != 0 ? put->doc.id : id_next(&round->store->ids);
  bind_id(write, 1, id);
  bind_text(write, 2, put->doc.kind);
  bind_text(write, 3, put->doc.name);
  bind_int(write, 4, version + 1);
  bind_int(write, 5, round->now_ms);
  bind_text(write, 6, put->doc.json);
  db_run(write);
  put->made_id = id;
  doc_event(round, put);
  return PARLEY_OK;
}

parley_status write_media_add(struct round *round, struct store_op *op)
{
  struct store_media_add *add = container_of(op, struct store_media_add, op);
  struct stmt *get = db_sql(round->db, "SELECT id FROM media WHERE sha256=?");
  struct stmt *put = db_sql(round->db, "INSERT INTO media(id, sha256, type, name, at, bytes) VALUES(?, ?, ?, ?, ?, ?)");
  parley_bytes sha = {(const char *)add->sha256, SHA256_BYTES};

  bind_blob(get, 1, sha);
  add->existed = db_step(get);
  add->id = add->existed ? col_id(get, 0) : id_next(&round->store->ids);
  db_reset(get);
  if (add->existed)
    return PARLEY_OK;
  bind_id(put, 1, add->id);
  bind_blob(put, 2, sha);
  bind_text(put, 3, add->type);
  bind_text(put, 4, add->name);
  bind_int(put, 5, round->now_ms);
  bind_blob(put, 6, add->bytes);
  db_run(put);
  return PARLEY_OK;
}

static void pending_put(struct round *round, id64 subscription, const struct feed_pending *pending)
{
  struct stmt *put = db_sql(round->db, "INSERT INTO feed_pending(subscription, seq, customer, attempts, due, dead,"
                                       " last_error) VALUES(?, ?, ?, ?, ?, ?, ?) ON CONFLICT(subscription, seq) DO UPDATE SET"
                                       " customer=excluded.customer, attempts=excluded.attempts, due=excluded.due,"
                                       " dead=excluded.dead, last_error=excluded.last_error");

  bind_id(put, 1, subscription);
  bind_id(put, 2, pending->seq);
  bind_id(put, 3, pending->customer);
  bind_int(put, 4, pending->attempts);
  bind_int(put, 5, pending->due_ms);
  bind_int(put, 6, pending->dead);
  bind_text(put, 7, pending->last_error);
  db_run(put);
}

parley_status write_feed_move(struct round *round, struct store_op *op)
{
  struct store_feed_move *move = container_of(op, struct store_feed_move, op);
  struct stmt *cursor = db_sql(round->db, "INSERT INTO feed_cursor(subscription, cursor) VALUES(?, ?)"
                                          " ON CONFLICT(subscription) DO UPDATE SET cursor=excluded.cursor");
  struct stmt *drop = db_sql(round->db, "DELETE FROM feed_pending WHERE subscription=? AND seq=?");

  if (move->cursor != 0) {
    bind_id(cursor, 1, move->subscription);
    bind_id(cursor, 2, move->cursor);
    db_run(cursor);
  }
  for (size_t i = 0; i < move->n_drop; i++) {
    bind_id(drop, 1, move->subscription);
    bind_id(drop, 2, move->drop[i]);
    db_run(drop);
  }
  for (size_t i = 0; i < move->n_put; i++)
    pending_put(round, move->subscription, &move->put[i]);
  return PARLEY_OK;
}
