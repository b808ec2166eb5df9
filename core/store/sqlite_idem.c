/* sqlite_idem.c - idempotency keys: the answer is stored with its write, and found again by a hash. New hashes stand in memory
 * (the tail, see sqlite_tail.c), go sorted to idem_recent, and when that has grown, in the order of the hashes to the table of
 * the day, which is dropped when no key in it must be kept. Nearly every key is new: a filter of those in the tables spares it
 * the look into each. Thread: the writer's. */
#include "sqlite.h"
#include "filter.h"
#include "core/base/clock.h"
#include "core/base/text.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DAY_MS INT64_C(86400000)
#define IDEM_DAYS_MAX 64
#define IDEM_DROP_STEPS 256         /* an old day goes in so many pieces: no round waits for a whole table */
#define IDEM_MERGE_FROM_ROWS 262144 /* of idem_recent: so many fit the page cache */
#define FILL_ROWS 2048              /* read into the filter between two rounds */
#define FILL_KEYS_MAX (FILTER_KEYS_MAX / 2) /* with more there is no filter: it would soon be full again */

struct idem_entry { uint64_t h; id64 answer; };
struct idem_day { int64_t day; struct stmt *find; };
/* How far the filter has read. Rows move from idem_recent to the day's table alone, so that reading in this order meets each
 * key that was there when it began; what came later is added as it comes. */
struct idem_fill { bool done, recent_done; int64_t day, from; };
struct idem_tail {
  struct filter *filter; /* of what the tables hold, or more; NULL: they hold too much. May be asked when filling is done */
  struct idem_fill fill;
  struct map map; /* hash -> answer id; active and sealed */
  size_t n_active, active_room, n_sealed, written, written_before;
  struct idem_entry *active, *sealed;
  int64_t n_recent; /* rows of idem_recent, about */
  bool merging;
  struct stmt *merge;          /* into the day in which it began */
  int64_t from, from_before;    /* the next hash to be moved */
  size_t n_days;
  struct idem_day days[IDEM_DAYS_MAX]; /* newest first */
  uint32_t drop_step; /* of the oldest day, when it is past its time */
};

static id64 idem_lookup(struct db *db, struct idem_tail *tail, uint64_t h)
{
  id64 answer = (id64)(uintptr_t)map_get(&tail->map, h);

  if (answer == 0 && tail->filter != NULL && tail->fill.done && !filter_may_have(tail->filter, h))
    return 0;
  for (size_t i = 0; answer == 0 && i <= tail->n_days; i++) {
    struct stmt *find = i == 0 ? db_sql(db, "SELECT answer FROM idem_recent WHERE h=?") : tail->days[i - 1].find;

    bind_id(find, 1, h);
    if (db_step(find))
      answer = col_id(find, 0);
    db_reset(find);
  }
  return answer;
}

static bool idem_is(struct round *round, id64 id, struct store_op *op)
{
  struct stmt *get = db_sql(round->db, "SELECT " IDEM_ANSWER_COLUMNS " FROM answer WHERE id=?");
  bool same;

  bind_id(get, 1, id);
  same = db_step(get) && idem_answer_is(get, op);
  db_reset(get);
  return same;
}

bool idem_replayed(struct round *round, struct store_op *op, uint64_t *ret_h)
{
  uint64_t h = idem_hash(round->store, op);

  for (int i = 0; i < IDEM_TWINS_MAX; i++, h = idem_next(h)) {
    id64 answer = idem_lookup(round->db, sqlite_of(round->store)->idem, h);

    if (answer == 0)
      break;
    if (idem_is(round, answer, op))
      return true;
  }
  *ret_h = h;
  return false;
}

static void day_name(int64_t day, char to[24])
{
  struct buf text = BUF_INIT(64);

  buf_time(&text, day * DAY_MS); /* 2026-11-21T... */
  snprintf(to, 24, "idem_%.4s%.2s%.2s", text.at, text.at + 5, text.at + 8);
  buf_done(&text);
}

static struct stmt *day_prepare(struct db *db, const char *format, int64_t day)
{
  char name[24], sql[160];
  int len;

  day_name(day, name);
  len = snprintf(sql, sizeof(sql), format, name);
  return db_prepare(db, (parley_text){sql, (size_t)len});
}

/* --- the filter ------------------------------------------------------------------------------------------------------------------ */

static void fill_begin(struct idem_tail *tail);

/* One that is full by now is made anew out of the tables, which hold less; one that is full before it is whole is given up. */
static void fill_add(struct idem_tail *tail, uint64_t h)
{
  if (tail->filter == NULL || filter_add(tail->filter, h))
    return;
  if (tail->fill.done)
    fill_begin(tail);
  else
    filter_free(&tail->filter);
}

static void fill_begin(struct idem_tail *tail)
{
  size_t pos = 0;
  uint64_t h;
  void *answer;

  filter_free(&tail->filter);
  tail->filter = filter_new();
  tail->fill = (struct idem_fill){.day = INT64_MIN, .from = INT64_MIN};
  while (map_next(&tail->map, &pos, &h, &answer))
    fill_add(tail, h);
}

/* The next rows of the table whose turn it is; NULL: all have been read. */
static struct stmt *fill_rows(struct db *db, struct idem_tail *tail)
{
  struct idem_fill *fill = &tail->fill;

  if (!fill->recent_done)
    return db_prepare(db, PARLEY_LIT("SELECT h FROM idem_recent WHERE h>=? ORDER BY h LIMIT ?"));
  for (size_t i = tail->n_days; i-- > 0;) {
    if (tail->days[i].day < fill->day)
      continue;
    if (tail->days[i].day > fill->day)
      fill->from = INT64_MIN;
    fill->day = tail->days[i].day;
    return day_prepare(db, "SELECT h FROM %s WHERE h>=? ORDER BY h LIMIT ?", fill->day);
  }
  fill->done = true;
  return NULL;
}

static void fill_table_done(struct idem_fill *fill)
{
  fill->day = fill->recent_done ? fill->day + 1 : INT64_MIN;
  fill->recent_done = true;
  fill->from = INT64_MIN;
}

/* Between two rounds, never inside of one: what a round moves may yet be rolled back. */
static void fill_step(struct db *db, struct idem_tail *tail)
{
  struct stmt *rows = tail->filter != NULL && !tail->fill.done ? fill_rows(db, tail) : NULL;
  int64_t last = INT64_MIN;
  size_t n = 0;

  if (rows == NULL)
    return;
  bind_int(rows, 1, tail->fill.from);
  bind_int(rows, 2, FILL_ROWS);
  for (; db_step(rows); n++) {
    last = col_int(rows, 0);
    fill_add(tail, (uint64_t)last);
  }
  db_drop(rows);
  if (db->status != PARLEY_OK)
    return; /* the next round tells of it, and the same rows are read again */
  if (n < FILL_ROWS || last == INT64_MAX)
    fill_table_done(&tail->fill);
  else
    tail->fill.from = last + 1;
  if (tail->filter != NULL && filter_count(tail->filter) > FILL_KEYS_MAX)
    filter_free(&tail->filter);
}

void idem_keep(struct round *round, const struct store_op *op, uint64_t h)
{
  struct idem_tail *tail = sqlite_of(round->store)->idem;
  id64 id = idem_answer_put(round, op, h);

  if (tail->n_active == tail->active_room) {
    tail->active_room = tail->active_room == 0 ? TAIL_ENTRIES / 16 : tail->active_room * 2;
    tail->active = xrealloc(tail->active, tail->active_room * sizeof(*tail->active));
  }
  tail->active[tail->n_active++] = (struct idem_entry){h, id};
  map_put(&tail->map, h, (void *)(uintptr_t)id);
  fill_add(tail, h);
  round->n_idem++;
}

static int by_hash(const void *left, const void *right)
{
  int64_t a = (int64_t)((const struct idem_entry *)left)->h, b = (int64_t)((const struct idem_entry *)right)->h;

  return a < b ? -1 : a > b;
}

static void day_add(struct db *db, struct idem_tail *tail, int64_t day)
{
  char name[24], sql[160];

  day_name(day, name);
  snprintf(sql, sizeof(sql), "CREATE TABLE IF NOT EXISTS %s(h INTEGER PRIMARY KEY, answer)", name);
  sqlite_exec(db, sql);
  if (db->status != PARLEY_OK || tail->n_days == IDEM_DAYS_MAX)
    return;
  memmove(&tail->days[1], &tail->days[0], tail->n_days * sizeof(tail->days[0]));
  tail->days[0] = (struct idem_day){day, day_prepare(db, "SELECT answer FROM %s WHERE h=?", day)};
  tail->n_days++;
}

/* Outside of a round: a table of a day that has just begun must not vanish with a rolled-back one. */
static void merge_start(struct db *db, struct idem_tail *tail, int64_t day)
{
  if (tail->n_days == 0 || tail->days[0].day < day)
    day_add(db, tail, day);
  if (db->status != PARLEY_OK || tail->n_days == 0)
    return;
  db_drop(tail->merge);
  tail->merge = day_prepare(db, "INSERT OR REPLACE INTO %s SELECT h, answer FROM idem_recent WHERE h>=? AND h<=? ORDER BY h",
                            tail->days[0].day);
  tail->merging = tail->merge != NULL;
  tail->from = INT64_MIN;
}

void idem_seal(struct sqlite_store *store, size_t from_entries)
{
  struct idem_tail *tail = store->idem;

  fill_step(&store->writer.base, tail);
  if (!tail->merging && tail->n_recent >= IDEM_MERGE_FROM_ROWS)
    merge_start(&store->writer.base, tail, store->base.env->now_ms(store->base.env) / DAY_MS);
  if (tail->n_sealed > 0 || tail->n_active < from_entries)
    return;
  free(tail->sealed);
  tail->sealed = tail->active;
  tail->n_sealed = tail->n_active;
  tail->written = 0;
  tail->active = NULL;
  tail->n_active = tail->active_room = 0;
  qsort(tail->sealed, tail->n_sealed, sizeof(*tail->sealed), by_hash);
}

static void recent_write(struct db *db, struct idem_tail *tail, size_t rows)
{
  struct stmt *put = db_sql(db, "INSERT OR REPLACE INTO idem_recent(h, answer) VALUES(?, ?)");
  id64 upto = 0;

  for (; rows > 0 && tail->written < tail->n_sealed; rows--, tail->written++) {
    bind_id(put, 1, tail->sealed[tail->written].h);
    bind_id(put, 2, tail->sealed[tail->written].answer);
    db_run(put);
  }
  if (tail->written < tail->n_sealed)
    return;
  for (size_t i = 0; i < tail->n_sealed; i++)
    if (tail->sealed[i].answer > upto)
      upto = tail->sealed[i].answer;
  mark_put(db, "idem", upto);
}

/* The next rows of idem_recent go to the day's table, in the order of their hashes: its pages are written one by one, not one
 * for each row. A row is always in exactly one of the two. */
static void recent_merge(struct db *db, struct idem_tail *tail, size_t rows)
{
  struct stmt *last = db_sql(db, "SELECT h FROM idem_recent WHERE h>=? ORDER BY h LIMIT 1 OFFSET ?");
  struct stmt *drop = db_sql(db, "DELETE FROM idem_recent WHERE h>=? AND h<=?");
  struct stmt *moves[] = {tail->merge, drop};
  int64_t to = INT64_MAX;

  bind_int(last, 1, tail->from);
  bind_int(last, 2, (int64_t)rows - 1);
  if (db_step(last))
    to = col_int(last, 0);
  db_reset(last);
  for (size_t i = 0; i < COUNT_OF(moves); i++) {
    bind_int(moves[i], 1, tail->from);
    bind_int(moves[i], 2, to);
    db_run(moves[i]);
  }
  tail->n_recent -= db_changes(db);
  tail->merging = to != INT64_MAX;
  tail->from = tail->merging ? to + 1 : INT64_MIN;
}

void idem_write(struct round *round, size_t rows, size_t moved)
{
  struct idem_tail *tail = sqlite_of(round->store)->idem;

  if (tail->n_sealed > 0)
    recent_write(round->db, tail, rows);
  else if (tail->merging)
    recent_merge(round->db, tail, moved);
}

/* One piece of the oldest day, once no key in it must be kept; then the table itself, in a round of its own: if that is rolled
 * back, the table stays without being looked into, and is found again at the next start. */
void idem_expire(struct round *round)
{
  struct idem_tail *tail = sqlite_of(round->store)->idem;
  struct idem_day *oldest = tail->n_days > 1 ? &tail->days[tail->n_days - 1] : NULL;
  char name[24], sql[160];

  if (oldest == NULL || (oldest->day + 1) * DAY_MS + round->store->config.idempotency_keep_ms > round->now_ms)
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
  sqlite_exec(round->db, sql);
}

/* --- as the tails see it ------------------------------------------------------------------------------------------------------ */

bool idem_pending(const struct idem_tail *tail)
{
  return tail->n_active + tail->n_sealed > 0;
}

bool idem_flushing(const struct idem_tail *tail)
{
  return tail->n_sealed > 0;
}

void idem_begin(struct idem_tail *tail)
{
  tail->written_before = tail->written;
  tail->from_before = tail->from;
}

void idem_committed(struct idem_tail *tail)
{
  if (tail->n_sealed == 0 || tail->written < tail->n_sealed)
    return;
  for (size_t i = 0; i < tail->n_sealed; i++)
    map_take(&tail->map, tail->sealed[i].h);
  tail->n_recent += (int64_t)tail->n_sealed;
  tail->n_sealed = tail->written = 0;
}

void idem_undo(struct round *round)
{
  struct idem_tail *tail = sqlite_of(round->store)->idem;

  tail->written = tail->written_before;
  if (tail->from != tail->from_before) {
    tail->from = tail->from_before;
    tail->merging = true;
  }
  for (; round->n_idem > 0; round->n_idem--)
    map_take(&tail->map, tail->active[--tail->n_active].h);
}

/* --- start and end --------------------------------------------------------------------------------------------------------------- */

static void days_load(struct db *db, struct idem_tail *tail)
{
  struct stmt *list = db_prepare(db, PARLEY_LIT("SELECT name FROM sqlite_schema WHERE type='table' AND name GLOB"
                                                 " 'idem_[0-9]*' ORDER BY name"));

  while (list != NULL && db_step(list)) {
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
  struct stmt *list = db_prepare(db, PARLEY_LIT("SELECT id, h FROM answer WHERE id > coalesce((SELECT upto FROM mark WHERE"
                                                 " name='idem'), 0) ORDER BY id"));

  while (list != NULL && db_step(list)) {
    if (tail->n_active == tail->active_room) {
      tail->active_room = tail->active_room == 0 ? TAIL_ENTRIES / 16 : tail->active_room * 2;
      tail->active = xrealloc(tail->active, tail->active_room * sizeof(*tail->active));
    }
    tail->active[tail->n_active++] = (struct idem_entry){col_id(list, 1), col_id(list, 0)};
    map_put(&tail->map, col_id(list, 1), (void *)(uintptr_t)col_id(list, 0));
  }
  db_drop(list);
}

struct idem_tail *idem_open(struct db *db)
{
  struct idem_tail *tail = xcalloc(1, sizeof(*tail));

  tail->from = tail->from_before = INT64_MIN;
  days_load(db, tail);
  idem_replay(db, tail);
  tail->n_recent = db_int_of(db, "SELECT count(*) FROM idem_recent");
  fill_begin(tail);
  return tail;
}

void idem_close(struct idem_tail *tail)
{
  for (size_t i = 0; i < tail->n_days; i++)
    db_drop(tail->days[i].find);
  db_drop(tail->merge);
  map_done(&tail->map);
  filter_free(&tail->filter);
  free(tail->active);
  free(tail->sealed);
  free(tail);
}
