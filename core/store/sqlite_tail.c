/* sqlite_tail.c - what the accept transaction does not write at random places: the timelines, and the index of idempotency keys
 * (sqlite_idem.c). New entries stand in memory (the tail), and full tails go to their tables sorted, a slice in each round; the last
 * slice moves the table's mark in the same transaction. After a crash everything beyond the mark is read again from `answer`,
 * `message` and `event`. Thread: the writer's; tail_of_customer() is for the readers too, under a lock. */
#include "sqlite.h"
#include "core/base/text.h"
#include <stdlib.h>
#include <string.h>

#define TAIL_HEADS (2 * TAIL_ENTRIES) /* a power of two */
#define TAIL_NONE UINT32_MAX
#define SLICE_ROWS_MIN 64
#define SLICE_ROWS_MAX 2048
#define MERGE_FROM_ROWS 262144       /* of timeline_recent: so many fit the page cache */
#define MERGE_SLICE_ROWS_MIN 16 /* beside one for each new entry of either tail: done before recent is full again */

struct tail_entry { id64 customer; int64_t at; uint64_t seq; uint32_t kind; uint32_t next; };
struct tail_set {
  size_t n, room;
  struct tail_entry *entries;
  uint32_t heads[TAIL_HEADS];
};
struct timeline_tail {
  uv_mutex_t lock; /* active, sealed: the readers look in */
  struct tail_set *active, *sealed;
  struct tail_entry *sorted; /* of sealed */
  size_t n_sorted, written, written_before;
  int64_t n_recent; /* rows of timeline_recent, about */
  bool merging;
  struct tail_entry merged; /* the last key that was moved */
};

/* --- timeline ------------------------------------------------------------------------------------------------------------ */

static void set_reset(struct tail_set *set)
{
  set->n = 0;
  memset(set->heads, 0xff, sizeof(set->heads));
}

static struct tail_set *set_new(void)
{
  struct tail_set *set = xcalloc(1, sizeof(*set));

  set_reset(set);
  return set;
}

static void set_add(struct tail_set *set, const struct tail_entry *entry)
{
  uint32_t *head = &set->heads[hash_mix(entry->customer) & (TAIL_HEADS - 1)];

  if (set->n == set->room) {
    set->room = set->room == 0 ? TAIL_ENTRIES / 16 : set->room * 2;
    set->entries = xrealloc(set->entries, set->room * sizeof(*set->entries));
  }
  set->entries[set->n] = *entry;
  set->entries[set->n].next = *head;
  *head = (uint32_t)set->n++;
}

static size_t set_count(const struct tail_set *set, id64 customer, struct timeline_entry *to)
{
  size_t n = 0;

  for (uint32_t at = set->heads[hash_mix(customer) & (TAIL_HEADS - 1)]; at != TAIL_NONE; at = set->entries[at].next) {
    if (set->entries[at].customer != customer)
      continue;
    if (to != NULL)
      to[n] = (struct timeline_entry){set->entries[at].at, set->entries[at].seq, customer, set->entries[at].kind};
    n++;
  }
  return n;
}

size_t tail_of_customer(struct store_base *store, id64 customer, struct arena *arena, struct timeline_entry **ret)
{
  struct timeline_tail *tail = sqlite_of(store)->timeline;
  size_t n, n_active;

  uv_mutex_lock(&tail->lock);
  n_active = set_count(tail->active, customer, NULL);
  n = n_active + set_count(tail->sealed, customer, NULL);
  *ret = n > 0 ? arena_alloc(arena, n * sizeof(**ret)) : NULL;
  if (n > 0) {
    set_count(tail->active, customer, *ret);
    set_count(tail->sealed, customer, *ret + n_active);
  }
  uv_mutex_unlock(&tail->lock);
  return n;
}

void tail_add(struct round *round, const struct timeline_entry *entry)
{
  if (round->n_tail == round->tail_room) {
    round->tail_room = round->tail_room == 0 ? 64 : round->tail_room * 2;
    round->tail = xrealloc(round->tail, round->tail_room * sizeof(*round->tail));
  }
  round->tail[round->n_tail++] = *entry;
}

static int by_key(const void *left, const void *right)
{
  const struct tail_entry *a = left, *b = right;

  if (a->customer != b->customer)
    return a->customer < b->customer ? -1 : 1;
  if (a->at != b->at)
    return a->at < b->at ? -1 : 1;
  return a->seq < b->seq ? -1 : a->seq > b->seq;
}

static void timeline_seal(struct timeline_tail *tail)
{
  struct tail_set *full;

  uv_mutex_lock(&tail->lock);
  full = tail->active;
  tail->active = tail->sealed;
  tail->sealed = full;
  uv_mutex_unlock(&tail->lock);
  tail->sorted = xrealloc(tail->sorted, full->n * sizeof(*tail->sorted));
  memcpy(tail->sorted, full->entries, full->n * sizeof(*tail->sorted));
  tail->n_sorted = full->n;
  tail->written = 0;
  qsort(tail->sorted, tail->n_sorted, sizeof(*tail->sorted), by_key);
}

void mark_put(struct db *db, const char *name, uint64_t upto)
{
  struct stmt *put = db_sql(db, "INSERT OR REPLACE INTO mark(name, upto) VALUES(?, ?)");

  bind_str(put, 1, name);
  bind_id(put, 2, upto);
  db_run(put);
}

uint64_t tails_written_upto(struct round *round)
{
  struct stmt *get = db_sql(round->db, "SELECT upto FROM mark WHERE name='timeline'");
  uint64_t upto = db_step(get) ? col_id(get, 0) : 0;

  db_reset(get);
  return upto;
}

static void timeline_write(struct db *db, struct timeline_tail *tail, size_t rows)
{
  struct stmt *put = db_sql(db, "INSERT OR IGNORE INTO timeline_recent(customer, at, seq, kind) VALUES(?, ?, ?, ?)");
  uint64_t upto = 0;

  for (; rows > 0 && tail->written < tail->n_sorted; rows--, tail->written++) {
    const struct tail_entry *entry = &tail->sorted[tail->written];

    bind_id(put, 1, entry->customer);
    bind_int(put, 2, entry->at);
    bind_id(put, 3, entry->seq);
    bind_int(put, 4, entry->kind);
    db_run(put);
  }
  if (tail->written < tail->n_sorted)
    return;
  for (size_t i = 0; i < tail->n_sorted; i++)
    if (tail->sorted[i].seq > upto)
      upto = tail->sorted[i].seq;
  mark_put(db, "timeline", upto);
}

/* Moves the next rows of timeline_recent to timeline, in key order: the base is rewritten page by page, not row by row. Each
 * slice is a transaction of its own kind: a row is always in exactly one of the two. */
static void timeline_merge(struct db *db, struct timeline_tail *tail, size_t rows)
{
  struct stmt *last = db_sql(db, "SELECT customer, at, seq FROM timeline_recent WHERE (customer, at, seq) > (?, ?, ?)"
                                  " ORDER BY customer, at, seq LIMIT 1 OFFSET ?");
  struct stmt *copy = db_sql(db, "INSERT OR IGNORE INTO timeline SELECT * FROM timeline_recent WHERE (customer, at, seq) >"
                                  " (?, ?, ?) AND (customer, at, seq) <= (?, ?, ?) ORDER BY customer, at, seq");
  struct stmt *drop = db_sql(db, "DELETE FROM timeline_recent WHERE (customer, at, seq) > (?, ?, ?)"
                                  " AND (customer, at, seq) <= (?, ?, ?)");
  struct tail_entry to = {INT64_MAX, INT64_MAX, INT64_MAX, 0, 0};
  struct stmt *moves[] = {copy, drop};

  bind_id(last, 1, tail->merged.customer);
  bind_int(last, 2, tail->merged.at);
  bind_id(last, 3, tail->merged.seq);
  bind_int(last, 4, (int64_t)rows - 1);
  tail->merging = db_step(last);
  if (tail->merging)
    to = (struct tail_entry){col_id(last, 0), col_int(last, 1), col_id(last, 2), 0, 0};
  db_reset(last);
  for (size_t i = 0; i < COUNT_OF(moves); i++) {
    bind_id(moves[i], 1, tail->merged.customer);
    bind_int(moves[i], 2, tail->merged.at);
    bind_id(moves[i], 3, tail->merged.seq);
    bind_id(moves[i], 4, to.customer);
    bind_int(moves[i], 5, to.at);
    bind_id(moves[i], 6, to.seq);
    db_run(moves[i]);
  }
  tail->n_recent -= db_changes(db);
  tail->merged = to;
  if (!tail->merging)
    tail->merged = (struct tail_entry){0};
}

/* --- both, as the writer sees them -------------------------------------------------------------------------------------------- */

bool tails_pending(const struct sqlite_store *store)
{
  return store->timeline->active->n + store->timeline->n_sorted > 0 || idem_pending(store->idem);
}

bool tails_flushing(const struct sqlite_store *store)
{
  return store->timeline->n_sorted > 0 || idem_flushing(store->idem);
}

void tails_seal(struct sqlite_store *store, size_t from_entries)
{
  struct timeline_tail *timeline = store->timeline;

  if (timeline->n_sorted == 0 && timeline->active->n >= from_entries)
    timeline_seal(timeline);
  idem_seal(store, from_entries);
}

void tails_begin(struct sqlite_store *store)
{
  store->timeline->written_before = store->timeline->written;
  idem_begin(store->idem);
}

void tails_write(struct round *round, size_t n_new)
{
  struct timeline_tail *timeline = sqlite_of(round->store)->timeline;
  size_t rows = n_new + n_new / 2 + SLICE_ROWS_MIN, moved = n_new + MERGE_SLICE_ROWS_MIN;

  if (rows > SLICE_ROWS_MAX && n_new < SLICE_ROWS_MAX)
    rows = SLICE_ROWS_MAX;
  if (timeline->n_sorted > 0)
    timeline_write(round->db, timeline, rows);
  else if (timeline->merging || timeline->n_recent >= MERGE_FROM_ROWS)
    timeline_merge(round->db, timeline, moved);
  idem_write(round, rows, moved);
}

void tails_committed(struct round *round)
{
  struct timeline_tail *tail = sqlite_of(round->store)->timeline;

  uv_mutex_lock(&tail->lock);
  for (size_t i = 0; i < round->n_tail; i++)
    set_add(tail->active, &(struct tail_entry){round->tail[i].customer, round->tail[i].at_ms, round->tail[i].seq,
                                               round->tail[i].kind, TAIL_NONE});
  if (tail->n_sorted > 0 && tail->written == tail->n_sorted) {
    tail->n_recent += (int64_t)tail->n_sorted;
    set_reset(tail->sealed);
    tail->n_sorted = tail->written = 0;
  }
  uv_mutex_unlock(&tail->lock);
  idem_committed(sqlite_of(round->store)->idem);
}

void tails_undo(struct round *round)
{
  struct timeline_tail *timeline = sqlite_of(round->store)->timeline;

  timeline->written = timeline->written_before;
  timeline->merging = false;
  timeline->merged = (struct tail_entry){0};
  idem_undo(round);
}

/* --- start and end --------------------------------------------------------------------------------------------------------------- */

static void timeline_replay(struct db *db, struct timeline_tail *tail)
{
  struct stmt *list = db_prepare(
      db, PARLEY_LIT("WITH m(upto) AS (SELECT coalesce((SELECT upto FROM mark WHERE name='timeline'), 0))"
                     " SELECT customer, at, id AS seq, '' FROM message WHERE id > (SELECT upto FROM m)"
                     " UNION ALL SELECT customer, at, seq, type FROM event WHERE seq > (SELECT upto FROM m) ORDER BY seq"));

  while (list != NULL && db_step(list)) {
    parley_text type = col_peek(list, 3);
    struct tail_entry entry = {col_id(list, 0), col_int(list, 1), col_id(list, 2),
                               type.len == 0 ? TIMELINE_MESSAGE : TIMELINE_EVENT, TAIL_NONE};

    if (entry.customer != 0 && (type.len == 0 || event_on_timeline(type)))
      set_add(tail->active, &entry);
  }
  db_drop(list);
}

parley_status tails_open(struct sqlite_store *store)
{
  struct timeline_tail *timeline = xcalloc(1, sizeof(*timeline));
  struct db *db = &store->writer.base;

  store->timeline = timeline;
  uv_mutex_init(&timeline->lock);
  timeline->active = set_new();
  timeline->sealed = set_new();
  store->idem = idem_open(db);
  timeline_replay(db, timeline);
  timeline->n_recent = db_int_of(db, "SELECT count(*) FROM timeline_recent");
  return db->status;
}

void tails_settle(struct db *db)
{
  struct timeline_tail *tail = xcalloc(1, sizeof(*tail));
  struct stmt *put;

  tail->active = set_new();
  timeline_replay(db, tail);
  sqlite_exec(db, "BEGIN IMMEDIATE");
  put = db_sql(db, "INSERT OR IGNORE INTO timeline_recent(customer, at, seq, kind) VALUES(?, ?, ?, ?)");
  for (size_t i = 0; i < tail->active->n; i++) {
    bind_id(put, 1, tail->active->entries[i].customer);
    bind_int(put, 2, tail->active->entries[i].at);
    bind_id(put, 3, tail->active->entries[i].seq);
    bind_int(put, 4, tail->active->entries[i].kind);
    db_run(put);
  }
  mark_put(db, "timeline", newest_id(db));
  sqlite_exec(db, "COMMIT");
  free(tail->active->entries);
  free(tail->active);
  free(tail);
}

void tails_close(struct sqlite_store *store)
{
  if (store->timeline == NULL)
    return;
  idem_close(store->idem);
  uv_mutex_destroy(&store->timeline->lock);
  free(store->timeline->active->entries);
  free(store->timeline->sealed->entries);
  free(store->timeline->active);
  free(store->timeline->sealed);
  free(store->timeline->sorted);
  free(store->timeline);
}
