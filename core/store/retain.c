/* retain.c - what is kept for a time only: bodies with their decisions, raw envelopes, events, attempts. A slice of each at a time,
 * within ordinary rounds; how far it has got stands in table `expired`, so that nobody is told of a whole log where a piece is gone.
 *
 * What is not final is passed over: a message that may still be sent (table `late` remembers it), an event that a receiver of the
 * feed has not had. It is looked at again once a minute. */
#include "write.h"
#include "core/base/text.h"
#include <stdlib.h>
#include <string.h>

#define SLICE_ROWS 64 /* of events, attempts, raw envelopes */
#define STRIP_ROWS 32 /* messages that lose their body */
#define LATE_ROWS 64   /* of what was passed over, once in LATE_EVERY_MS */
#define LATE_EVERY_MS 60000

/* Nothing of it will be sent any more: what came in; else no delivery is open, and no step can begin, since there is none left or the
 * message's time is over. ?1: now. (The plus: else SQLite sees numbers compared with what has no type, and leaves the index out.) */
#define MESSAGE_IS_FINAL                                                                                                          \
  "(m.dir=1 OR ((m.n_go<2 OR (m.expires>0 AND m.expires<?1)) AND NOT EXISTS (SELECT 1 FROM delivery d WHERE d.message=+m.id AND" \
  " (d.state<3 OR d.state=10))))"

static id64 horizon_of(const struct round *round, int64_t keep_ms)
{
  return keep_ms > 0 ? id_at(round->now_ms - keep_ms) : 0;
}

static uint64_t upto_get(struct round *round, const char *name)
{
  struct stmt *get = db_sql(round->db, "SELECT upto FROM expired WHERE name=?");
  uint64_t upto;

  bind_str(get, 1, name);
  upto = db_step(get) ? col_id(get, 0) : 0;
  db_reset(get);
  return upto;
}

static void upto_put(struct round *round, const char *name, uint64_t upto)
{
  struct stmt *put = db_sql(round->db, "INSERT INTO expired(name, upto) VALUES(?, ?) ON CONFLICT(name) DO UPDATE SET"
                                       " upto=excluded.upto");

  bind_str(put, 1, name);
  bind_id(put, 2, upto);
  db_run(put);
}

/* --- bodies -------------------------------------------------------------------------------------------------------------------- */

enum { NARROW_INTS = 16, NARROW_TEXTS = 8, AT_ID = 0, AT_NOT_BEFORE = 10, AT_FLAGS = 11 };
#define NARROW_COLUMNS                                                                                                       \
  "id, dir, kind, customer, identity, conversation, api_key, created, at, expires, not_before, flags, class, n_steps, n_go," \
  " end_state, topic, key, campaign, channel, channel_kind, provider_id, in_reply_to, reason"
struct narrow { /* a row of message without what is long */
  int64_t ints[NARROW_INTS];
  parley_text texts[NARROW_TEXTS];
  bool final;
};

static size_t narrow_read(struct round *round, id64 after, id64 below, size_t limit, struct arena *arena, struct narrow *rows)
{
  struct stmt *get = db_sql(round->db, "SELECT " NARROW_COLUMNS ", CASE WHEN " MESSAGE_IS_FINAL " THEN 1 ELSE 0 END FROM message m"
                                       " WHERE id>?2 AND id<?3 ORDER BY id LIMIT ?4");
  size_t n = 0;

  bind_int(get, 1, round->now_ms);
  bind_id(get, 2, after);
  bind_id(get, 3, below);
  bind_int(get, 4, (int64_t)limit);
  for (; n < limit && db_step(get); n++) {
    for (int i = 0; i < NARROW_INTS; i++)
      rows[n].ints[i] = col_int(get, i);
    for (int i = 0; i < NARROW_TEXTS; i++)
      rows[n].texts[i] = col_text(get, NARROW_INTS + i, arena);
    rows[n].final = col_int(get, NARROW_INTS + NARROW_TEXTS) != 0;
  }
  db_reset(get);
  return n;
}

/* Taken out and put back: so pages that have become half empty are joined. */
static void row_rewrite(struct round *round, const struct narrow *row)
{
  struct stmt *drop = db_sql(round->db, "DELETE FROM message WHERE id=?");
  struct stmt *put = db_sql(round->db, "INSERT INTO message(" NARROW_COLUMNS ", decision, body)"
                                       " VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)");

  bind_int(drop, 1, row->ints[AT_ID]);
  db_run(drop);
  for (int i = 0; i < NARROW_INTS; i++)
    bind_int(put, 1 + i, row->ints[i]);
  for (int i = 0; i < NARROW_TEXTS; i++)
    bind_text(put, 1 + NARROW_INTS + i, row->texts[i]);
  for (int i = 1; i < 3; i++)
    bind_blob(put, NARROW_INTS + NARROW_TEXTS + i, (parley_bytes){"", 0});
  db_run(put);
}

static void row_update(struct round *round, const struct narrow *row)
{
  struct stmt *put = db_sql(round->db, "UPDATE message SET flags=?, decision=?, body=? WHERE id=?");

  bind_int(put, 1, row->ints[AT_FLAGS]);
  bind_blob(put, 2, (parley_bytes){"", 0});
  bind_blob(put, 3, (parley_bytes){"", 0});
  bind_int(put, 4, row->ints[AT_ID]);
  db_run(put);
}

static void body_drop(struct round *round, struct narrow *row)
{
  struct stmt *apart = db_sql(round->db, "DELETE FROM body WHERE message=?");

  if (row->ints[AT_FLAGS] & MESSAGE_BODY_EXPIRED)
    return;
  if (row->ints[AT_FLAGS] & MESSAGE_BODY_APART) {
    bind_int(apart, 1, row->ints[AT_ID]);
    db_run(apart);
  }
  row->ints[AT_FLAGS] = (row->ints[AT_FLAGS] & ~MESSAGE_BODY_APART) | MESSAGE_BODY_EXPIRED;
  if (round->store->ways->update_keeps_room)
    row_rewrite(round, row);
  else
    row_update(round, row);
  round->delta.expired[KEEP_BODIES]++;
}

/* Of a message that was to be sent later, its time counts from then. */
static bool body_may_go(const struct round *round, const struct narrow *row)
{
  return row->final && row->ints[AT_NOT_BEFORE] < round->now_ms - round->store->retention.keep.bodies_ms;
}

static void late_put(struct round *round, int64_t message)
{
  struct stmt *put = db_sql(round->db, "INSERT INTO late(message) VALUES(?) ON CONFLICT DO NOTHING");

  bind_int(put, 1, message);
  db_run(put);
}

static bool bodies_slice(struct round *round)
{
  id64 below = horizon_of(round, round->store->retention.keep.bodies_ms);
  struct narrow rows[STRIP_ROWS];
  struct arena *arena;
  size_t n;

  if (below == 0)
    return false;
  arena = arena_new();
  n = narrow_read(round, upto_get(round, "body"), below, STRIP_ROWS, arena, rows);
  for (size_t i = 0; i < n; i++) {
    if (body_may_go(round, &rows[i]))
      body_drop(round, &rows[i]);
    else
      late_put(round, rows[i].ints[AT_ID]);
  }
  if (n > 0)
    upto_put(round, "body", (uint64_t)rows[n - 1].ints[AT_ID]);
  arena_free(&arena);
  return n == STRIP_ROWS;
}

static size_t late_read(struct round *round, id64 late[LATE_ROWS])
{
  struct stmt *get = db_sql(round->db, "SELECT message FROM late WHERE message>? ORDER BY message LIMIT ?");
  size_t n = 0;

  bind_id(get, 1, round->store->retention.late_body_at);
  bind_int(get, 2, LATE_ROWS);
  while (n < LATE_ROWS && db_step(get))
    late[n++] = col_id(get, 0);
  db_reset(get);
  round->store->retention.late_body_at = n == LATE_ROWS ? late[n - 1] : 0;
  return n;
}

static void bodies_late(struct round *round)
{
  id64 below = horizon_of(round, round->store->retention.keep.bodies_ms), late[LATE_ROWS];
  struct stmt *drop = db_sql(round->db, "DELETE FROM late WHERE message=?");
  struct arena *arena = arena_new();
  size_t n = below != 0 ? late_read(round, late) : 0;
  struct narrow row;

  for (size_t i = 0; i < n; i++) {
    bool there = narrow_read(round, late[i] - 1, late[i] + 1, 1, arena, &row) == 1;

    if (there && (late[i] >= below || !body_may_go(round, &row)))
      continue;
    if (there)
      body_drop(round, &row);
    bind_id(drop, 1, late[i]);
    db_run(drop);
  }
  arena_free(&arena);
}

/* --- raw envelopes and attempts ------------------------------------------------------------------------------------------------ */

/* The end of a slice of SLICE_ROWS rows behind `after`. False: it is the last one, and goes to `below`. */
static bool slice_end(struct stmt *next, id64 after, id64 below, uint64_t *ret_to)
{
  bool full;

  bind_id(next, 1, after);
  bind_id(next, 2, below);
  bind_int(next, 3, SLICE_ROWS - 1);
  full = db_step(next);
  *ret_to = full ? col_id(next, 0) : below - 1;
  db_reset(next);
  return full;
}

static bool raw_slice(struct round *round)
{
  struct retention *retention = &round->store->retention;
  struct stmt *next = db_sql(round->db, "SELECT message FROM raw WHERE message>? AND message<? ORDER BY message LIMIT 1 OFFSET ?");
  struct stmt *drop = db_sql(round->db, "DELETE FROM raw WHERE message>? AND message<=?");
  id64 below = horizon_of(round, retention->keep.raw_ms);
  uint64_t to;
  bool full;

  if (below <= retention->raw_at + 1)
    return false;
  full = slice_end(next, retention->raw_at, below, &to);
  bind_id(drop, 1, retention->raw_at);
  bind_id(drop, 2, to);
  db_run(drop);
  round->delta.expired[KEEP_RAW] += db_changes(round->db);
  retention->raw_at = to;
  return full;
}

/* Of a message that goes on for long, its early attempts go first. */
static bool attempts_slice(struct round *round)
{
  struct retention *retention = &round->store->retention;
  struct stmt *next =
      db_sql(round->db, "SELECT message FROM attempt WHERE message>? AND message<? ORDER BY message LIMIT 1 OFFSET ?");
  struct stmt *drop = db_sql(round->db, "DELETE FROM attempt WHERE message>?2 AND message<=?3 AND id<?4 AND EXISTS (SELECT 1 FROM"
                                        " message m WHERE m.id=attempt.message AND " MESSAGE_IS_FINAL ")");
  id64 below = horizon_of(round, retention->keep.attempts_ms);
  uint64_t to;
  int64_t n;
  bool full;

  if (below <= retention->attempt_at + 1)
    return false;
  full = slice_end(next, retention->attempt_at, below, &to);
  bind_int(drop, 1, round->now_ms);
  bind_id(drop, 2, retention->attempt_at);
  bind_id(drop, 3, to);
  bind_id(drop, 4, below);
  db_run(drop);
  n = db_changes(round->db);
  round->delta.expired[KEEP_ATTEMPTS] += n;
  if (n > 0 && to > upto_get(round, "attempt"))
    upto_put(round, "attempt", to);
  retention->attempt_at = to;
  return full;
}

/* --- events -------------------------------------------------------------------------------------------------------------------- */

struct old_event { uint64_t seq; int64_t at_ms; id64 customer; /* 0: on no timeline */ };

static size_t events_read(struct round *round, uint64_t after, uint64_t upto, size_t limit, struct old_event *events)
{
  struct stmt *get = db_sql(round->db, "SELECT seq, at, customer, type FROM event WHERE seq>?1 AND seq<=?2 ORDER BY seq LIMIT ?3");
  size_t n = 0;

  bind_id(get, 1, after);
  bind_id(get, 2, upto);
  bind_int(get, 3, (int64_t)limit);
  for (; n < limit && db_step(get); n++)
    events[n] = (struct old_event){col_id(get, 0), col_int(get, 1), event_on_timeline(col_peek(get, 3)) ? col_id(get, 2) : 0};
  db_reset(get);
  return n;
}

/* The end of what all holders have had. */
static uint64_t holders_had(struct round *round, uint64_t upto)
{
  const struct retention *retention = &round->store->retention;
  struct stmt *get = db_sql(round->db, "SELECT cursor FROM feed_cursor WHERE subscription=?");

  for (size_t i = 0; i < retention->n_holders; i++) {
    bind_id(get, 1, retention->holders[i]);
    if (db_step(get) && col_id(get, 0) < upto)
      upto = col_id(get, 0);
    db_reset(get);
  }
  return upto;
}

static void held_mark(struct round *round, id64 holder, struct old_event *events, size_t n, bool *held)
{
  struct stmt *get = db_sql(round->db, "SELECT seq FROM feed_pending WHERE subscription=? AND seq>=? AND seq<=? ORDER BY seq");
  size_t i = 0;

  bind_id(get, 1, holder);
  bind_id(get, 2, events[0].seq);
  bind_id(get, 3, events[n - 1].seq);
  while (db_step(get)) {
    while (i < n && events[i].seq < col_id(get, 0))
      i++;
    if (i < n && events[i].seq == col_id(get, 0))
      held[i] = true;
  }
  db_reset(get);
}

static void timeline_drop(struct round *round, const struct old_event *event)
{
  struct stmt *base = db_sql(round->db, "DELETE FROM timeline WHERE customer=? AND at=? AND seq=?"), *recent = NULL;

  if (round->store->ways->timeline_recent)
    recent = db_sql(round->db, "DELETE FROM timeline_recent WHERE customer=? AND at=? AND seq=?");
  for (int i = 0; i < 2; i++) {
    struct stmt *drop = i == 0 ? base : recent;

    bind_id(drop, 1, event->customer);
    bind_int(drop, 2, event->at_ms);
    bind_id(drop, 3, event->seq);
    db_run(drop);
  }
}

static void range_drop(struct round *round, const struct old_event *events, size_t n)
{
  struct stmt *drop = db_sql(round->db, "DELETE FROM event WHERE seq>=? AND seq<=?");

  if (n == 0)
    return;
  for (size_t i = 0; i < n; i++)
    if (events[i].customer != 0)
      timeline_drop(round, &events[i]);
  bind_id(drop, 1, events[0].seq);
  bind_id(drop, 2, events[n - 1].seq);
  db_run(drop);
  round->delta.expired[KEEP_EVENTS] += (int64_t)n;
}

/* Whole ranges between those that a holder still has before it. */
static void events_drop(struct round *round, struct old_event *events, size_t n)
{
  const struct retention *retention = &round->store->retention;
  bool held[SLICE_ROWS] = {false};
  size_t from = 0;

  for (size_t i = 0; n > 0 && i < retention->n_holders; i++)
    held_mark(round, retention->holders[i], events, n, held);
  for (size_t i = 0; i <= n; i++) {
    if (i < n && !held[i])
      continue;
    range_drop(round, events + from, i - from);
    from = i + 1;
  }
}

static bool events_slice(struct round *round)
{
  struct old_event events[SLICE_ROWS];
  const struct store_ways *ways = round->store->ways;
  id64 below = horizon_of(round, round->store->retention.keep.events_ms);
  uint64_t upto, done;
  size_t n;

  if (below == 0 || !round->store->retention.holders_known)
    return false;
  done = upto_get(round, "event");
  upto = below - 1;
  if (ways->written_upto != NULL && ways->written_upto(round) < upto)
    upto = ways->written_upto(round);
  upto = holders_had(round, upto);
  n = upto > done ? events_read(round, done, upto, SLICE_ROWS, events) : 0;
  if (n == 0)
    return false;
  events_drop(round, events, n);
  upto_put(round, "event", events[n - 1].seq);
  return n == SLICE_ROWS;
}

static void events_late(struct round *round)
{
  struct retention *retention = &round->store->retention;
  struct old_event events[LATE_ROWS];
  uint64_t done = retention->keep.events_ms > 0 && retention->holders_known ? upto_get(round, "event") : 0;
  size_t n = done > 0 ? events_read(round, retention->late_event_at, done, LATE_ROWS, events) : 0;

  retention->late_event_at = n == LATE_ROWS ? events[n - 1].seq : 0;
  events_drop(round, events, n);
}

/* --- all of them --------------------------------------------------------------------------------------------------------------- */

bool retain_slice(struct round *round)
{
  bool more = bodies_slice(round);

  more |= raw_slice(round);
  more |= attempts_slice(round);
  more |= events_slice(round);
  return more;
}

void retain_late(struct round *round, int64_t mono_ms)
{
  struct retention *retention = &round->store->retention;

  if (mono_ms < retention->late_ms)
    return;
  retention->late_ms = mono_ms + LATE_EVERY_MS;
  retention->raw_at = retention->attempt_at = 0; /* from the beginning again: attempts of what has become final meanwhile */
  bodies_late(round);
  events_late(round);
}

parley_status write_retain(struct round *round, struct store_op *op)
{
  const struct store_retain *retain = container_of(op, struct store_retain, op);
  struct retention *retention = &round->store->retention;

  if (retain->keep != NULL)
    retention->keep = *retain->keep;
  if (retain->holders == NULL)
    return PARLEY_OK;
  free(retention->holders);
  retention->holders = xcalloc(retain->n_holders + 1, sizeof(*retention->holders));
  memcpy(retention->holders, retain->holders, retain->n_holders * sizeof(*retention->holders));
  retention->n_holders = retain->n_holders;
  retention->holders_known = true;
  return PARLEY_OK;
}

void retain_committed(struct round *round)
{
  for (int i = 0; i < STORE_KEEP_KINDS; i++)
    round->store->gauges.expired[i] += (uint64_t)round->delta.expired[i];
}

void retain_done(struct store_base *store)
{
  free(store->retention.holders);
}
