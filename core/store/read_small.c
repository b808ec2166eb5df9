/* read_small.c - documents, media, the feed's bookkeeping, figures, and a decision that is only asked about. */
#include "read.h"
#include "core/base/text.h"

#define DOCS_MAX 10000      /* of one kind */
#define COUNT_MAX 100000    /* beyond that a count stops: it is for people */
#define LANES_SEEN_MAX 4096 /* (channel, lane) pairs whose oldest is looked for */

/* --- documents ---------------------------------------------------------------------------------------------------- */

static void docs_fill(struct stmt *list, size_t room, struct store_docs *ask)
{
  struct arena *arena = ask->op.arena;

  ask->rows = arena_alloc(arena, room * sizeof *ask->rows);
  while (ask->n < room && db_step(list))
    ask->rows[ask->n++] = (struct doc){.id = col_id(list, 0),
                                       .kind = col_text(list, 1, arena),
                                       .name = col_text(list, 2, arena),
                                       .version = col_int(list, 3),
                                       .at_ms = col_int(list, 4),
                                       .json = col_text(list, 5, arena)};
  db_reset(list);
}

static size_t docs_count(struct db *db, parley_text kind)
{
  struct stmt *count = db_sql(db, "SELECT count(*) FROM doc WHERE kind=?");
  int64_t n;

  bind_text(count, 1, kind);
  n = db_step(count) ? col_int(count, 0) : 0;
  db_reset(count);
  return n < DOCS_MAX ? (size_t)n : DOCS_MAX;
}

parley_status read_docs(struct reader *reader, struct store_op *op)
{
  struct store_docs *ask = container_of(op, struct store_docs, op);
  bool one = ask->name.len > 0;
  struct stmt *list =
      one ? db_sql(reader->db, "SELECT id, kind, name, version, at, json FROM doc WHERE kind=?1 AND name=?2")
          : db_sql(reader->db, "SELECT id, kind, name, version, at, json FROM doc WHERE kind=?1 ORDER BY name");

  ask->n = 0;
  read_begin(reader);
  bind_text(list, 1, ask->kind);
  if (one)
    bind_text(list, 2, ask->name);
  docs_fill(list, one ? 1 : docs_count(reader->db, ask->kind), ask);
  read_end(reader);
  return one && ask->n == 0 ? PARLEY_NOT_FOUND : PARLEY_OK;
}

/* --- media: only the piece that was asked for is read ------------------------------------------------------------- */

parley_status read_media(struct reader *reader, struct store_op *op)
{
  struct store_media *ask = container_of(op, struct store_media, op);
  struct stmt *get = db_sql(reader->db, "SELECT type, name FROM media WHERE id=?");
  parley_status st = PARLEY_NOT_FOUND;

  read_begin(reader);
  bind_id(get, 1, ask->id);
  if (db_step(get)) {
    ask->type = col_text(get, 0, op->arena);
    ask->name = col_text(get, 1, op->arena);
    db_reset(get);
    st = reader->store->ways->media_piece(reader, ask);
  }
  read_end(reader);
  return st;
}

/* --- the feed ----------------------------------------------------------------------------------------------------- */

static uint64_t pending_count(struct db *db, id64 subscription, bool dead)
{
  struct stmt *count =
      db_sql(db, "SELECT count(*) FROM (SELECT 1 FROM feed_pending WHERE subscription=? AND dead=? LIMIT ?) AS few");
  uint64_t n;

  bind_id(count, 1, subscription);
  bind_int(count, 2, dead);
  bind_int(count, 3, COUNT_MAX);
  n = db_step(count) ? col_id(count, 0) : 0;
  db_reset(count);
  return n;
}

#define PENDING_COLUMNS "seq, customer, attempts, due, dead, last_error"

static void pending_list(struct db *db, struct store_feed_due *ask, size_t limit)
{
  bool by_seq = ask->dead || ask->all;
  /* The plus keeps the index on due out of it: the table itself is in order of (subscription, seq). */
  struct stmt *list = by_seq
                           ? db_sql(db, "SELECT " PENDING_COLUMNS " FROM feed_pending WHERE subscription=?1"
                                        " AND +dead=?2 AND seq>?3 ORDER BY seq LIMIT ?4")
                           : db_sql(db, "SELECT " PENDING_COLUMNS " FROM feed_pending WHERE subscription=?1"
                                        " AND dead=?2 AND due<=?3 ORDER BY due LIMIT ?4");

  bind_id(list, 1, ask->subscription);
  bind_int(list, 2, ask->dead);
  if (by_seq)
    bind_id(list, 3, ask->after);
  else
    bind_int(list, 3, ask->now_ms);
  bind_int(list, 4, (int64_t)limit);
  while (ask->n < limit && db_step(list))
    ask->rows[ask->n++] = (struct feed_pending){.seq = col_id(list, 0),
                                                .customer = col_id(list, 1),
                                                .attempts = (uint32_t)col_int(list, 2),
                                                .due_ms = col_int(list, 3),
                                                .dead = col_int(list, 4) != 0,
                                                .last_error = col_text(list, 5, ask->op.arena)};
  db_reset(list);
}

static int64_t one_int(struct stmt *get, id64 key)
{
  int64_t value;

  bind_id(get, 1, key);
  value = db_step(get) ? col_int(get, 0) : 0;
  db_reset(get);
  return value;
}

parley_status read_feed_due(struct reader *reader, struct store_op *op)
{
  struct store_feed_due *ask = container_of(op, struct store_feed_due, op);
  size_t limit = read_limit(ask->limit);
  struct db *db = reader->db;

  ask->n = 0;
  ask->rows = arena_alloc(op->arena, limit * sizeof *ask->rows);
  read_begin(reader);
  pending_list(db, ask, limit);
  ask->cursor =
      (uint64_t)one_int(db_sql(db, "SELECT cursor FROM feed_cursor WHERE subscription=?"), ask->subscription);
  ask->next_due_ms =
      one_int(db_sql(db, "SELECT min(due) FROM feed_pending WHERE subscription=? AND dead=0"), ask->subscription);
  ask->n_pending = pending_count(db, ask->subscription, false);
  ask->n_dead = pending_count(db, ask->subscription, true);
  read_end(reader);
  return PARLEY_OK;
}

/* --- figures ------------------------------------------------------------------------------------------------------ */

static void counters_get(struct db *db, struct store_stats *ask)
{
  struct stmt *get =
      db_sql(db, "SELECT accepted, inbound, duplicates, other_body, s0, s1, s2, s3, s4, s5, s6, s7, s8, s9 FROM"
                 " counter WHERE id=1");
  uint64_t sum = 0;

  if (!db_step(get))
    return;
  ask->accepted = col_id(get, 0);
  ask->inbound = col_id(get, 1);
  ask->duplicates_marked = col_id(get, 2);
  ask->inbound_other_body = col_id(get, 3);
  for (int i = 0; i < MESSAGE_STATES; i++) {
    ask->by_state[i] = col_id(get, 4 + i);
    sum += ask->by_state[i];
  }
  db_reset(get);
  ask->adds_up = sum == ask->accepted;
}

/* The index is by channel, lane, due: its first row of each (channel, lane) has the oldest of that lane. */
static int64_t oldest_due(struct db *db, struct arena *arena)
{
  struct stmt *next =
      db_sql(db, "SELECT channel, lane, due FROM delivery INDEXED BY delivery_due WHERE (state=0 OR query=1) AND"
                 " (channel, lane)>(?, ?) ORDER BY channel, lane, due LIMIT 1");
  parley_text channel = TEXT_EMPTY;
  int64_t lane = -1, oldest_ms = 0;
  bool more = true;

  for (int i = 0; more && i < LANES_SEEN_MAX; i++) {
    bind_text(next, 1, channel);
    bind_int(next, 2, lane);
    more = db_step(next);
    if (more) {
      channel = col_text(next, 0, arena);
      lane = col_int(next, 1);
      oldest_ms = oldest_ms == 0 || col_int(next, 2) < oldest_ms ? col_int(next, 2) : oldest_ms;
    }
    db_reset(next);
  }
  return oldest_ms;
}

parley_status read_stats(struct reader *reader, struct store_op *op)
{
  struct store_stats *ask = container_of(op, struct store_stats, op);
  struct db *db = reader->db;
  struct stmt *parked = db_sql(db, "SELECT count(*) FROM (SELECT 1 FROM park LIMIT ?1) AS few");

  read_begin(reader);
  counters_get(db, ask);
  ask->oldest_due_ms = oldest_due(db, op->arena);
  ask->parked_receipts = (uint64_t)one_int(parked, COUNT_MAX);
  ask->newest_seq = (uint64_t)db_int_of(db, "SELECT max(seq) FROM event");
  space_get(reader, ask);
  reader->store->ways->sizes(reader, ask);
  read_end(reader);
  return PARLEY_OK;
}

/* --- explain ------------------------------------------------------------------------------------------------------ */

static void facts_decide(struct reader *reader, struct store_facts *ask, const struct found *found,
                         const struct resolution *resolution)
{
  struct customer_brief customer = {0};
  struct arena *arena = ask->op.arena;
  struct facts facts;

  if (resolution->verdict == RESOLVE_FOUND && !customer_find(reader->db, resolution->customer, arena, &customer))
    return;
  ask->result = ACCEPTED;
  ask->customer = customer.id;
  facts_load(reader->db, &reader->store->hash_key, true, ask->submission, found, resolution, &customer, arena, &facts);
  ask->decision = arena_alloc(arena, sizeof *ask->decision);
  ask->decide(ask->submission, &facts, arena, ask->decision);
}

parley_status read_facts(struct reader *reader, struct store_op *op)
{
  struct store_facts *ask = container_of(op, struct store_facts, op);
  struct found *found = arena_alloc(op->arena, sizeof *found);
  struct resolution resolution;

  ask->decision = NULL;
  ask->customer = 0;
  ask->result = ACCEPT_NO_CUSTOMER;
  read_begin(reader);
  recipient_find(reader->db, &reader->store->hash_key, &ask->submission->to, op->arena, found);
  resolution = resolve_recipient(&ask->submission->to, &found->own, false);
  if (resolution.verdict == RESOLVE_CONFLICT)
    ask->result = ACCEPT_CONFLICT;
  else if (resolution.verdict != RESOLVE_NO_CUSTOMER)
    facts_decide(reader, ask, found, &resolution);
  read_end(reader);
  return PARLEY_OK;
}
