/* sqlite_tail.c - what the accept transaction does not write at random places: the index of idempotency keys and the
 * timelines. New entries stand in memory (the tail), and full tails go to their tables sorted, a slice in each round; the last
 * slice moves the table's mark in the same transaction. After a crash everything beyond the mark is read again from `answer`,
 * `message` and `event`. Thread: the writer's; tail_of_customer() is for the readers too, under a lock. */
#include "sqlite_write.h"
#include "core/base/clock.h"
#include "core/base/text.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TAIL_HEADS (2 * TAIL_ENTRIES) /* a power of two */
#define TAIL_NONE UINT32_MAX
#define SLICE_ROWS_MIN 64
#define SLICE_ROWS_MAX 2048
#define DAY_MS INT64_C(86400000)
#define IDEM_DAYS_MAX 64
#define IDEM_TWINS_MAX 16            /* different keys of one 64-bit hash that are looked through */
#define IDEM_DROP_STEPS 256          /* an old day goes in so many pieces: no round waits for a whole table */
#define MERGE_FROM_ROWS 1000000      /* of timeline_recent */
#define MERGE_SLICE_ROWS_MIN 64
#define MERGE_PACE 2                 /* rows moved for each new one: sooner done than recent is full again */

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

struct idem_entry { uint64_t h; id64 answer; };
struct idem_day { int64_t day; sqlite3_stmt *find; };
struct idem_tail {
  struct map map; /* hash -> answer id; active and sealed */
  size_t n_active, active_room, n_sealed, written, written_before;
  struct idem_entry *active, *sealed;
  sqlite3_stmt *insert; /* into the sealed batch's day */
  size_t n_days;
  struct idem_day days[IDEM_DAYS_MAX]; /* newest first */
  uint32_t drop_step; /* of the oldest day, when it is past its time */
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

static size_t set_count(const struct tail_set *set, id64 customer, struct tail_entry *to)
{
  size_t n = 0;

  for (uint32_t at = set->heads[hash_mix(customer) & (TAIL_HEADS - 1)]; at != TAIL_NONE; at = set->entries[at].next) {
    if (set->entries[at].customer != customer)
      continue;
    if (to != NULL)
      to[n] = set->entries[at];
    n++;
  }
  return n;
}

size_t tail_of_customer(struct sqlite_store *store, id64 customer, struct arena *arena, struct tail_entry **ret)
{
  struct timeline_tail *tail = store->timeline;
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

void round_timeline(struct round *round, id64 customer, int64_t at_ms, uint64_t seq, uint32_t kind)
{
  if (round->n_tail == round->tail_room) {
    round->tail_room = round->tail_room == 0 ? 64 : round->tail_room * 2;
    round->tail = xrealloc(round->tail, round->tail_room * sizeof(*round->tail));
  }
  round->tail[round->n_tail++] = (struct tail_entry){customer, at_ms, seq, kind, TAIL_NONE};
}

bool event_on_timeline(parley_text type)
{
  return text_starts(type, "touchpoint.") || text_starts(type, "consent.") || parley_text_is(type, "conversation.note") ||
         parley_text_is(type, "customer.merged") || parley_text_is(type, "customer.unmerged");
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

static void mark_put(struct db *db, const char *name, uint64_t upto)
{
  sqlite3_stmt *put = db_sql(db, "INSERT OR REPLACE INTO mark(name, upto) VALUES(?, ?)");

  bind_str(put, 1, name);
  bind_id(put, 2, upto);
  db_run(db, put);
}

static void timeline_write(struct db *db, struct timeline_tail *tail, size_t rows)
{
  sqlite3_stmt *put = db_sql(db, "INSERT OR IGNORE INTO timeline_recent(customer, at, seq, kind) VALUES(?, ?, ?, ?)");
  uint64_t upto = 0;

  for (; rows > 0 && tail->written < tail->n_sorted; rows--, tail->written++) {
    const struct tail_entry *entry = &tail->sorted[tail->written];

    bind_id(put, 1, entry->customer);
    bind_int(put, 2, entry->at);
    bind_id(put, 3, entry->seq);
    bind_int(put, 4, entry->kind);
    db_run(db, put);
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
  sqlite3_stmt *last = db_sql(db, "SELECT customer, at, seq FROM timeline_recent WHERE (customer, at, seq) > (?, ?, ?)"
                                  " ORDER BY customer, at, seq LIMIT 1 OFFSET ?");
  sqlite3_stmt *copy = db_sql(db, "INSERT OR IGNORE INTO timeline SELECT * FROM timeline_recent WHERE (customer, at, seq) >"
                                  " (?, ?, ?) AND (customer, at, seq) <= (?, ?, ?) ORDER BY customer, at, seq");
  sqlite3_stmt *drop = db_sql(db, "DELETE FROM timeline_recent WHERE (customer, at, seq) > (?, ?, ?)"
                                  " AND (customer, at, seq) <= (?, ?, ?)");
  struct tail_entry to = {INT64_MAX, INT64_MAX, INT64_MAX, 0, 0};
  sqlite3_stmt *moves[] = {copy, drop};

  bind_id(last, 1, tail->merged.customer);
  bind_int(last, 2, tail->merged.at);
  bind_id(last, 3, tail->merged.seq);
  bind_int(last, 4, (int64_t)rows - 1);
  tail->merging = db_step(db, last);
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
    db_run(db, moves[i]);
  }
  tail->n_recent -= db_changes(db);
  tail->merged = to;
  if (!tail->merging)
    tail->merged = (struct tail_entry){0};
}

/* --- idempotency ------------------------------------------------------------------------------------------------------------ */

static uint64_t idem_hash(const struct sqlite_store *store, const struct store_idem *idem, struct arena *arena)
{
  size_t len = sizeof(idem->api_key) + idem->route.len + 1 + idem->key.len;
  char *bytes = arena_alloc(arena, len);
  uint64_t h;

  memcpy(bytes, &idem->api_key, sizeof(idem->api_key));
  memcpy(bytes + sizeof(idem->api_key), idem->route.at, idem->route.len);
  memcpy(bytes + len - idem->key.len, idem->key.at, idem->key.len);
  h = hash64(&store->hash_key, (parley_bytes){bytes, len});
  return h != 0 ? h : 1;
}

static id64 idem_lookup(struct db *db, struct idem_tail *tail, uint64_t h)
{
  id64 answer = (id64)(uintptr_t)map_get(&tail->map, h);

  for (size_t i = 0; answer == 0 && i < tail->n_days; i++) {
    sqlite3_stmt *find = tail->days[i].find;

    bind_id(find, 1, h);
    if (db_step(db, find))
      answer = col_id(find, 0);
    db_reset(find);
  }
  return answer;
}

/* Whether answer `id` is that of this very key; if so, what was answered. */
static bool idem_is(struct round *round, id64 id, struct store_op *op)
{
  const struct store_idem *idem = op->idem;
  sqlite3_stmt *get = db_sql(round->db, "SELECT api_key, route, key, body_hash, status, body FROM answer WHERE id=?");
  parley_bytes hash;
  bool same;

  bind_id(get, 1, id);
  if (!db_step(round->db, get))
    return false;
  same = col_id(get, 0) == idem->api_key && text_eq(col_peek(get, 1), idem->route) && text_eq(col_peek(get, 2), idem->key);
  if (same) {
    hash = col_peek(get, 3);
    op->replay = hash.len == SHA256_BYTES && memcmp(hash.at, idem->body_sha256, SHA256_BYTES) == 0 ? REPLAY_SAME
                                                                                                    : REPLAY_OTHER_BODY;
    op->answer_status = (uint32_t)col_int(get, 4);
    op->answer = col_text(get, 5, op->arena);
  }
  db_reset(get);
  return same;
}

bool idem_replayed(struct round *round, struct store_op *op, uint64_t *ret_h)
{
  uint64_t h = idem_hash(round->store, op->idem, op->arena);

  for (int i = 0; i < IDEM_TWINS_MAX; i++, h = h == UINT64_MAX ? 1 : h + 1) {
    id64 answer = idem_lookup(round->db, round->store->idem, h);

    if (answer == 0)
      break;
    if (idem_is(round, answer, op))
      return true;
  }
  *ret_h = h;
  return false;
}

void idem_keep(struct round *round, const struct store_op *op, uint64_t h)
{
  struct idem_tail *tail = round->store->idem;
  const struct store_idem *idem = op->idem;
  sqlite3_stmt *put = db_sql(round->db, "INSERT INTO answer(id, h, api_key, route, key, body_hash, status, body, at)"
                                        " VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)");
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
  db_run(round->db, put);
  if (tail->n_active == tail->active_room) {
    tail->active_room = tail->active_room == 0 ? TAIL_ENTRIES / 16 : tail->active_room * 2;
    tail->active = xrealloc(tail->active, tail->active_room * sizeof(*tail->active));
  }
  tail->active[tail->n_active++] = (struct idem_entry){h, id};
  map_put(&tail->map, h, (void *)(uintptr_t)id);
  round->n_idem++;
}

static int by_hash(const void *left, const void *right)
{
  int64_t a = (int64_t)((const struct idem_entry *)left)->h, b = (int64_t)((const struct idem_entry *)right)->h;

  return a < b ? -1 : a > b;
}

static void day_name(int64_t day, char to[24])
{
  struct buf text = BUF_INIT(64);

  buf_time(&text, day * DAY_MS); /* 2026-11-21T... */
  snprintf(to, 24, "idem_%.4s%.2s%.2s", text.at, text.at + 5, text.at + 8);
  buf_done(&text);
}

static sqlite3_stmt *day_prepare(struct db *db, const char *format, int64_t day)
{
  char name[24], sql[160];
  int len;

  day_name(day, name);
  len = snprintf(sql, sizeof(sql), format, name);
  return db_prepare(db, (parley_text){sql, (size_t)len});
}

static void day_add(struct db *db, struct idem_tail *tail, int64_t day)
{
  char name[24], sql[160];

  day_name(day, name);
  snprintf(sql, sizeof(sql), "CREATE TABLE IF NOT EXISTS %s(h INTEGER PRIMARY KEY, answer)", name);
  db_exec(db, sql);
  if (db->error != 0 || tail->n_days == IDEM_DAYS_MAX)
    return;
  memmove(&tail->days[1], &tail->days[0], tail->n_days * sizeof(tail->days[0]));
  tail->days[0] = (struct idem_day){day, day_prepare(db, "SELECT answer FROM %s WHERE h=?", day)};
  tail->n_days++;
}

/* Outside of a round: a table of a day that has just begun must not vanish with a rolled-back one. */
static void idem_seal(struct db *db, struct idem_tail *tail, int64_t now_ms)
{
  int64_t day = now_ms / DAY_MS;
  struct idem_entry *full = tail->active;

  if (tail->n_days == 0 || tail->days[0].day != day)
    day_add(db, tail, day);
  if (db->error != 0 || tail->n_days == 0)
    return;
  db_drop(tail->insert);
  tail->insert = day_prepare(db, "INSERT OR REPLACE INTO %s(h, answer) VALUES(?, ?)", tail->days[0].day);
  free(tail->sealed);
  tail->sealed = full;
  tail->n_sealed = tail->n_active;
  tail->written = 0;
  tail->active = NULL;
  tail->n_active = tail->active_room = 0;
  qsort(tail->sealed, tail->n_sealed, sizeof(*tail->sealed), by_hash);
}

static void idem_write(struct db *db, struct idem_tail *tail, size_t rows)
{
  id64 upto = 0;

  for (; rows > 0 && tail->written < tail->n_sealed; rows--, tail->written++) {
    bind_id(tail->insert, 1, tail->sealed[tail->written].h);
    bind_id(tail->insert, 2, tail->sealed[tail->written].answer);
    db_run(db, tail->insert);
  }
  if (tail->written < tail->n_sealed)
    return;
  for (size_t i = 0; i < tail->n_sealed; i++)
    if (tail->sealed[i].answer > upto)
      upto = tail->sealed[i].answer;
  mark_put(db, "idem", upto);
}

/* One piece of the oldest day, once no key in it must be kept; then the table itself, in a round of its own: if that is rolled
 * back, the table stays without being looked into, and is found again at the next start. */
static void idem_expire(struct db *db, struct idem_tail *tail, int64_t now_ms, int64_t keep_ms)
{
  struct idem_day *oldest = tail->n_days > 1 ? &tail->days[tail->n_days - 1] : NULL;
  char name[24], sql[160];

  if (oldest == NULL || (oldest->day + 1) * DAY_MS + keep_ms > now_ms)
    return;
  day_name(oldest->day, name);
  if (tail->drop_step < IDEM_DROP_STEPS) {
    int64_t below = (int64_t)((uint64_t)INT64_MIN + UINT64_MAX / IDEM_DROP_STEPS * (tail->drop_step + 1));

    snprintf(sql, sizeof(sql), "DELETE FROM %s WHERE h < %lld", name, (long long)below);
    tail->drop_step++;
  } else {
    db_drop(oldest->find);
    tail->n_days--;
    tail->drop_step = 0;
    snprintf(sql, sizeof(sql), "DROP TABLE %s", name);
  }
  db_exec(db, sql);
}

/* --- both, as the writer sees them -------------------------------------------------------------------------------------------- */

bool tails_pending(const struct sqlite_store *store)
{
  return store->timeline->active->n + store->timeline->n_sorted + store->idem->n_active + store->idem->n_sealed > 0;
}

bool tails_flushing(const struct sqlite_store *store)
{
  return store->timeline->n_sorted + store->idem->n_sealed > 0;
}

void tails_seal(struct sqlite_store *store, size_t from_entries)
{
  struct timeline_tail *timeline = store->timeline;
  struct idem_tail *idem = store->idem;

  if (timeline->n_sorted == 0 && timeline->active->n >= from_entries)
    timeline_seal(timeline);
  if (idem->n_sealed == 0 && idem->n_active >= from_entries)
    idem_seal(&store->writer, idem, store->env->now_ms(store->env));
}

void tails_begin(struct sqlite_store *store)
{
  store->timeline->written_before = store->timeline->written;
  store->idem->written_before = store->idem->written;
}

void tails_write(struct round *round, size_t n_new)
{
  struct timeline_tail *timeline = round->store->timeline;
  struct idem_tail *idem = round->store->idem;
  size_t rows = n_new + n_new / 2 + SLICE_ROWS_MIN;

  if (rows > SLICE_ROWS_MAX && n_new < SLICE_ROWS_MAX)
    rows = SLICE_ROWS_MAX;
  if (timeline->n_sorted > 0)
    timeline_write(round->db, timeline, rows);
  else if (timeline->merging || timeline->n_recent >= MERGE_FROM_ROWS)
    timeline_merge(round->db, timeline, n_new * MERGE_PACE + MERGE_SLICE_ROWS_MIN);
  if (idem->n_sealed > 0)
    idem_write(round->db, idem, rows);
}

static void timeline_committed(struct round *round, struct timeline_tail *tail)
{
  uv_mutex_lock(&tail->lock);
  for (size_t i = 0; i < round->n_tail; i++)
    set_add(tail->active, &round->tail[i]);
  if (tail->n_sorted > 0 && tail->written == tail->n_sorted) {
    tail->n_recent += (int64_t)tail->n_sorted;
    set_reset(tail->sealed);
    tail->n_sorted = tail->written = 0;
  }
  uv_mutex_unlock(&tail->lock);
}

void tails_committed(struct round *round)
{
  struct idem_tail *idem = round->store->idem;

  timeline_committed(round, round->store->timeline);
  if (idem->n_sealed > 0 && idem->written == idem->n_sealed) {
    for (size_t i = 0; i < idem->n_sealed; i++)
      map_take(&idem->map, idem->sealed[i].h);
    idem->n_sealed = idem->written = 0;
  }
}

void tails_undo(struct round *round)
{
  struct timeline_tail *timeline = round->store->timeline;
  struct idem_tail *idem = round->store->idem;

  timeline->written = timeline->written_before;
  timeline->merging = false;
  timeline->merged = (struct tail_entry){0};
  idem->written = idem->written_before;
  for (; round->n_idem > 0; round->n_idem--)
    map_take(&idem->map, idem->active[--idem->n_active].h);
}

void tails_expire(struct round *round)
{
  idem_expire(round->db, round->store->idem, round->now_ms, round->store->config.idempotency_keep_ms);
}

/* --- start and end --------------------------------------------------------------------------------------------------------------- */

static void days_load(struct db *db, struct idem_tail *tail)
{
  sqlite3_stmt *list = db_prepare(db, PARLEY_LIT("SELECT name FROM sqlite_schema WHERE type='table' AND name GLOB"
                                                 " 'idem_[0-9]*' ORDER BY name"));

  while (list != NULL && db_step(db, list)) {
    parley_text name = col_peek(list, 0);
    struct buf at = BUF_INIT(64);
    int64_t ms = 0;

    if (name.len != 13)
      continue;
    buf_printf(&at, "%.4s-%.2s-%.2sT00:00:00Z", name.at + 5, name.at + 9, name.at + 11);
    if (time_parse(buf_as_text(&at), &ms))
      day_add(db, tail, ms / DAY_MS);
    buf_done(&at);
  }
  db_drop(list);
}

static void idem_replay(struct db *db, struct idem_tail *tail)
{
  sqlite3_stmt *list = db_prepare(db, PARLEY_LIT("SELECT id, h FROM answer WHERE id > coalesce((SELECT upto FROM mark WHERE"
                                                 " name='idem'), 0) ORDER BY id"));

  while (list != NULL && db_step(db, list)) {
    if (tail->n_active == tail->active_room) {
      tail->active_room = tail->active_room == 0 ? TAIL_ENTRIES / 16 : tail->active_room * 2;
      tail->active = xrealloc(tail->active, tail->active_room * sizeof(*tail->active));
    }
    tail->active[tail->n_active++] = (struct idem_entry){col_id(list, 1), col_id(list, 0)};
    map_put(&tail->map, col_id(list, 1), (void *)(uintptr_t)col_id(list, 0));
  }
  db_drop(list);
}

static void timeline_replay(struct db *db, struct timeline_tail *tail)
{
  sqlite3_stmt *list = db_prepare(
      db, PARLEY_LIT("WITH m(upto) AS (SELECT coalesce((SELECT upto FROM mark WHERE name='timeline'), 0))"
                     " SELECT customer, at, id AS seq, '' FROM message WHERE id > (SELECT upto FROM m)"
                     " UNION ALL SELECT customer, at, seq, type FROM event WHERE seq > (SELECT upto FROM m) ORDER BY seq"));

  while (list != NULL && db_step(db, list)) {
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
  struct db *db = &store->writer;

  store->timeline = timeline;
  store->idem = xcalloc(1, sizeof(*store->idem));
  uv_mutex_init(&timeline->lock);
  timeline->active = set_new();
  timeline->sealed = set_new();
  days_load(db, store->idem);
  idem_replay(db, store->idem);
  timeline_replay(db, timeline);
  timeline->n_recent = db_int_of(db, "SELECT count(*) FROM timeline_recent");
  return db_status(db);
}

void tails_close(struct sqlite_store *store)
{
  if (store->timeline == NULL)
    return;
  for (size_t i = 0; i < store->idem->n_days; i++)
    db_drop(store->idem->days[i].find);
  db_drop(store->idem->insert);
  map_done(&store->idem->map);
  free(store->idem->active);
  free(store->idem->sealed);
  free(store->idem);
  uv_mutex_destroy(&store->timeline->lock);
  free(store->timeline->active->entries);
  free(store->timeline->sealed->entries);
  free(store->timeline->active);
  free(store->timeline->sealed);
  free(store->timeline->sorted);
  free(store->timeline);
}
