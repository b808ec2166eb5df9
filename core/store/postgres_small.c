/* postgres_small.c - what only PostgreSQL does so: timelines in their table at once, one piece of a blob, sizes. */
#include "postgres.h"

void pg_timeline_add(struct round *round, const struct timeline_entry *entry)
{
  struct stmt *put = db_sql(round->db, "INSERT INTO timeline(customer, at, seq, kind) VALUES(?, ?, ?, ?)");

  bind_id(put, 1, entry->customer);
  bind_int(put, 2, entry->at_ms);
  bind_id(put, 3, entry->seq);
  bind_int(put, 4, entry->kind);
  db_run(put);
}

/* Stored without compression (SET STORAGE EXTERNAL), so that the server reads the piece alone. */
parley_status pg_media_piece(struct reader *reader, struct store_media *ask)
{
  struct stmt *get = db_sql(reader->db, "SELECT octet_length(bytes), substring(bytes FROM ?2::int + 1 FOR ?3::int) FROM media"
                                        " WHERE id=?1");

  bind_id(get, 1, ask->id);
  bind_int(get, 2, (int64_t)(ask->offset < INT32_MAX - 1 ? ask->offset : INT32_MAX - 1));
  bind_int(get, 3, (int64_t)(ask->limit < INT32_MAX / 2 ? ask->limit : INT32_MAX / 2));
  if (!db_step(get))
    return PARLEY_FAILED;
  ask->total_bytes = (uint64_t)col_int(get, 0);
  ask->bytes = col_text(get, 1, ask->op.arena);
  db_reset(get);
  return PARLEY_OK;
}

void pg_sizes(struct reader *reader, struct store_stats *ask)
{
  ask->schema = db_int_of(reader->db, "SELECT version FROM parley_schema");
  ask->file_bytes = reader->space.total_bytes;
  ask->wal_bytes = 0; /* the server's own affair */
}

/* Rows: what the last ANALYZE has found, or the statistics since. The server looks at each file of the database. */
void pg_space(struct reader *reader, struct space *space)
{
  struct stmt *list = db_sql(reader->db, "SELECT relname::text, pg_total_relation_size(oid), greatest(reltuples::bigint,"
                                         " coalesce(pg_stat_get_live_tuples(oid), 0), 0) FROM pg_class WHERE relkind='r' AND"
                                         " relnamespace=current_schema()::regnamespace");

  while (db_step(list))
    space_add(space, col_peek(list, 0), (uint64_t)col_int(list, 1), (uint64_t)col_int(list, 2));
  db_reset(list);
  space->total_bytes = (uint64_t)db_int_of(reader->db, "SELECT pg_database_size(current_database())");
}

/* A copy is made by the server's own tools: see docs/operations.md. */
parley_status pg_backup(struct reader *reader, struct store_op *op)
{
  (void)reader;
  (void)op;
  return PARLEY_DENIED;
}
