/* copy_sqlite.c - SQLite's side of a copy. What it writes behind is no table of the other side: timelines stand in two tables and
 * beyond a mark, and are one list here; the index of idempotency keys is made anew from the answers. */
#include "sqlite.h"
#include "copy_end.h"
#include "core/base/clock.h"
#include "core/base/text.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROW_BYTES_MAX ((size_t)512 << 20)
#define SQL_BYTES_MAX 16384

struct sqlite_end {
  struct copy_end base;
  struct sqlite_db db;
  char *path;
  int lock_fd;
  const struct env *env;
  bool source, answers_ready;
  const struct copy_table *table; /* of the open piece */
  sqlite3_stmt *insert;
};

static struct sqlite_end *own(struct copy_end *end)
{
  return container_of(end, struct sqlite_end, base);
}

static parley_status fail(struct sqlite_end *end, struct buf *why)
{
  buf_printf(why, "store: %s: %s", end->path, end->db.base.status != PARLEY_OK ? end->db.base.why : sqlite3_errmsg(end->db.handle));
  return PARLEY_FAILED;
}

static parley_status run(struct sqlite_end *end, const char *sql, struct buf *why)
{
  sqlite_exec(&end->db.base, sql);
  return end->db.base.status == PARLEY_OK ? PARLEY_OK : fail(end, why);
}

static bool exists(struct sqlite_end *end, const char *sql, const char *word)
{
  struct stmt *get = db_prepare(&end->db.base, parley_text_of(sql));
  bool found;

  bind_str(get, 1, word);
  found = db_step(get);
  db_reset(get);
  db_drop(get);
  return found;
}

/* --- opening ---------------------------------------------------------------------------------------------------------------------- */

static void end_close(struct copy_end *base)
{
  struct sqlite_end *end = own(base);

  sqlite3_finalize(end->insert);
  if (end->db.handle != NULL)
    sqlite_db_close(&end->db);
  if (end->lock_fd >= 0)
    close(end->lock_fd);
  free(end->path);
  free(end);
}

/* A sort that is larger than memory goes to the disk. A target is worth nothing before finish(), which flushes it. */
static void tune(struct sqlite_end *end)
{
  sqlite_exec(&end->db.base, end->source ? "PRAGMA temp_store=FILE"
                                         : "PRAGMA temp_store=FILE; PRAGMA synchronous=NORMAL; PRAGMA wal_autocheckpoint=8192;");
}

static parley_status open_checked(struct sqlite_end *end, struct buf *why)
{
  struct db *db = &end->db.base;
  parley_status st = sqlite_db_open(&end->db, end->path, NULL, SQLITE_OPEN_READWRITE, why);

  if (st == PARLEY_OK)
    st = schema_open(db, end->env, why);
  if (st != PARLEY_OK)
    return st;
  if (db_int_of(db, "PRAGMA user_version") != STORE_SCHEMA_VERSION) {
    buf_printf(why, "store: %s is of a newer schema than this program's: copy it with that version", end->path);
    return PARLEY_FAILED;
  }
  if (end->source && exists(end, "SELECT 1 FROM meta WHERE name=?", MARK_COPYING))
    return copy_refuse_half(why);
  tune(end);
  if (end->source)
    tails_settle(db);
  return db->status == PARLEY_OK ? PARLEY_OK : fail(end, why);
}

static parley_status end_open(const struct store_place *place, bool target, const struct env *env, struct copy_end **ret,
                              struct buf *why)
{
  struct sqlite_end *end = xcalloc(1, sizeof(*end));
  parley_status st = PARLEY_FAILED;

  sqlite_init();
  end->base.kind = &copy_end_sqlite;
  end->path = sqlite_path_resolve(place->path);
  end->env = env;
  end->source = !target;
  end->lock_fd = -1;
  if (!target && access(end->path, F_OK) != 0) {
    buf_printf(why, "store: there is no file %s", end->path);
  } else {
    end->lock_fd = sqlite_lock(end->path, why);
    if (end->lock_fd >= 0 && target)
      sqlite_file_make(end->path);
    if (end->lock_fd >= 0)
      st = open_checked(end, why);
  }
  if (st == PARLEY_OK)
    *ret = &end->base;
  else
    end_close(&end->base);
  return st;
}

/* --- tables ---------------------------------------------------------------------------------------------------------------------- */

static bool is_own_table(parley_text name)
{
  static const char *const names[] = {"meta", "mark", "timeline_recent", COPY_PROGRESS_TABLE};

  for (size_t i = 0; i < COUNT_OF(names); i++)
    if (parley_text_is(name, names[i]))
      return true;
  return text_starts(name, "idem_") || text_starts(name, "sqlite_");
}

static const struct copy_table *table_find(const struct copy_plan *plan, parley_text name)
{
  for (size_t i = 0; i < plan->n; i++)
    if (parley_text_is(name, plan->tables[i].name))
      return &plan->tables[i];
  return NULL;
}

static parley_status columns_fit(struct sqlite_end *end, const struct copy_table *table, struct buf *why)
{
  struct stmt *get = db_prepare(&end->db.base, PARLEY_LIT("SELECT count(*) FROM pragma_table_info(?1)"));
  int64_t n = 0;
  bool fit = true;

  bind_str(get, 1, table->name);
  if (db_step(get))
    n = col_int(get, 0);
  db_reset(get);
  db_drop(get);
  get = db_prepare(&end->db.base, PARLEY_LIT("SELECT 1 FROM pragma_table_info(?1) WHERE name=?2"));
  for (size_t i = 0; i < table->n && fit; i++) {
    bind_str(get, 1, table->name);
    bind_str(get, 2, table->columns[i].name);
    fit = db_step(get);
    db_reset(get);
  }
  db_drop(get);
  if (fit && n == (int64_t)table->n)
    return PARLEY_OK;
  buf_printf(why, "store copy: table %s has other columns in SQLite than in PostgreSQL: this is a bug of this version", table->name);
  return PARLEY_FAILED;
}

static parley_status end_fits(struct copy_end *base, const struct copy_plan *plan, struct buf *why)
{
  struct sqlite_end *end = own(base);
  struct stmt *list = db_prepare(&end->db.base, PARLEY_LIT("SELECT name FROM sqlite_schema WHERE type='table'"));
  parley_status st = PARLEY_OK;

  while (st == PARLEY_OK && db_step(list)) {
    parley_text name = col_peek(list, 0);

    if (is_own_table(name) || table_find(plan, name) != NULL)
      continue;
    buf_printf(why, "store copy: nobody knows how table %.*s is carried over: this is a bug of this version", TEXT_ARG(name));
    st = PARLEY_FAILED;
  }
  db_reset(list);
  db_drop(list);
  for (size_t i = 0; i < plan->n && st == PARLEY_OK; i++)
    st = columns_fit(end, &plan->tables[i], why);
  return st;
}

static void add_columns(struct buf *sql, const struct copy_table *table)
{
  for (size_t i = 0; i < table->n; i++)
    buf_printf(sql, "%s%s", i > 0 ? ", " : "", table->columns[i].name);
}

static void add_key(struct buf *sql, const struct copy_table *table)
{
  for (size_t i = 0; i < table->n_key; i++)
    buf_printf(sql, "%s%s", i > 0 ? ", " : "", table->columns[table->key[i]].name);
}

/* --- reading ---------------------------------------------------------------------------------------------------------------------- */

static void add_select(struct buf *sql, const struct copy_table *table, const char *name, const struct copy_position *after)
{
  buf_str(sql, "SELECT ");
  add_columns(sql, table);
  buf_printf(sql, " FROM %s", name);
  if (!after->begun)
    return;
  buf_str(sql, " WHERE (");
  add_key(sql, table);
  buf_str(sql, ") > (");
  for (size_t i = 0; i < table->n_key; i++)
    buf_printf(sql, "%s%lld", i > 0 ? ", " : "", (long long)after->key[i]);
  buf_char(sql, ')');
}

/* An old answer may still stand when its key was used again: the other side has room for the newest only. */
static void answers_prepare(struct sqlite_end *end)
{
  if (!end->answers_ready)
    sqlite_exec(&end->db.base, "CREATE TEMP TABLE older AS SELECT id FROM (SELECT id, row_number() OVER (PARTITION BY h ORDER BY id"
                               " DESC) AS n FROM answer) WHERE n > 1;"
                               "CREATE UNIQUE INDEX temp.older_id ON older(id)");
  end->answers_ready = true;
}

static void read_sql(struct sqlite_end *end, const struct copy_table *table, const struct copy_position *after, struct buf *sql)
{
  add_select(sql, table, table->name, after);
  if (strcmp(table->name, "timeline") == 0) {
    buf_str(sql, " UNION ");
    add_select(sql, table, "timeline_recent", after);
  } else if (strcmp(table->name, "answer") == 0) {
    answers_prepare(end);
    buf_printf(sql, " %s NOT EXISTS (SELECT 1 FROM temp.older WHERE older.id=answer.id)", after->begun ? "AND" : "WHERE");
  }
  buf_str(sql, " ORDER BY ");
  add_key(sql, table);
}

static parley_bytes column_bytes(sqlite3_stmt *get, int at)
{
  const void *bytes = sqlite3_column_blob(get, at);

  return (parley_bytes){bytes != NULL ? bytes : "", (size_t)sqlite3_column_bytes(get, at)};
}

static void row_make(struct buf *row, const struct copy_table *table, sqlite3_stmt *get)
{
  buf_clear(row);
  copy_row_begin(row, table->n);
  for (size_t i = 0; i < table->n; i++) {
    int at = (int)i;

    if (sqlite3_column_type(get, at) == SQLITE_NULL)
      copy_row_null(row);
    else if (table->columns[i].type == PG_INT8)
      copy_row_int(row, sqlite3_column_int64(get, at));
    else if (table->columns[i].type == PG_TEXT)
      copy_row_text(row, column_bytes(get, at));
    else
      copy_row_bytes(row, column_bytes(get, at));
  }
}

/* PARLEY_CANCELLED: the taker has had enough, and knows why. */
static parley_status rows_read(struct sqlite_end *end, const struct copy_table *table, sqlite3_stmt *get, copy_row_fn *fn, void *arg,
                               struct buf *why)
{
  struct buf row = BUF_INIT(ROW_BYTES_MAX);
  struct copy_field fields[COPY_COLUMNS_MAX];
  parley_status st = PARLEY_OK;
  int rc;

  while (st == PARLEY_OK && (rc = sqlite3_step(get)) != SQLITE_DONE) {
    parley_bytes rest, whole;

    if (rc != SQLITE_ROW) {
      st = fail(end, why);
      break;
    }
    row_make(&row, table, get);
    rest = buf_as_text(&row);
    if (row.overflow || copy_row_next(&rest, table->n, fields, &whole) != COPY_ROW) {
      buf_printf(why, "store copy: a row of table %s is larger than %zu MiB", table->name, ROW_BYTES_MAX >> 20);
      st = PARLEY_FAILED;
    } else if (!fn(whole, fields, arg)) {
      st = PARLEY_CANCELLED;
    }
  }
  buf_done(&row);
  return st;
}

static parley_status end_read(struct copy_end *base, const struct copy_table *table, const struct copy_position *after, copy_row_fn *fn,
                              void *arg, struct buf *why)
{
  struct sqlite_end *end = own(base);
  struct buf sql = BUF_INIT(SQL_BYTES_MAX);
  sqlite3_stmt *get = NULL;
  parley_status st;

  read_sql(end, table, after, &sql);
  if (end->db.base.status != PARLEY_OK || sqlite3_prepare_v2(end->db.handle, sql.at, (int)sql.len, &get, NULL) != SQLITE_OK)
    st = fail(end, why);
  else
    st = rows_read(end, table, get, fn, arg, why);
  sqlite3_finalize(get);
  buf_done(&sql);
  return st;
}

/* --- as the source ------------------------------------------------------------------------------------------------------------- */

static void meta_take(struct sqlite_end *end, struct copy_facts *facts)
{
  struct stmt *list = db_prepare(&end->db.base, PARLEY_LIT("SELECT name, value FROM meta ORDER BY name"));

  while (db_step(list))
    copy_meta_take(facts, col_peek(list, 0), col_peek(list, 1));
  db_drop(list);
}

static parley_status end_facts(struct copy_end *base, struct copy_facts *ret, struct buf *why)
{
  struct sqlite_end *end = own(base);
  struct db *db = &end->db.base;
  struct buf all = BUF_INIT(65536);
  struct stmt *get = db_prepare(db, PARLEY_LIT(COPY_STATE_SQL("(SELECT value FROM meta WHERE name='session')")));

  meta_take(end, ret);
  for (int i = 0; i < COPY_STATE_COLUMNS && get != NULL; i++) {
    if (i == 0 && !db_step(get))
      break;
    buf_printf(&all, "%lld ", (long long)col_int(get, i));
  }
  db_reset(get);
  db_drop(get);
  copy_state_write(ret, buf_as_text(&all));
  ret->session = db_int_of(db, "SELECT value FROM meta WHERE name='session'");
  ret->newest = (int64_t)newest_id(db);
  buf_done(&all);
  return db->status == PARLEY_OK ? PARLEY_OK : fail(end, why);
}

static void meta_put(struct sqlite_end *end, const char *name, parley_bytes value)
{
  struct stmt *put = db_sql(&end->db.base, "INSERT OR REPLACE INTO meta(name, value) VALUES(?, ?)");

  bind_str(put, 1, name);
  bind_blob(put, 2, value);
  db_run(put);
}

static parley_status end_moved(struct copy_end *base, struct buf *why)
{
  struct sqlite_end *end = own(base);
  struct buf when = BUF_INIT(64);

  buf_time(&when, end->env->now_ms(end->env));
  meta_put(end, MARK_MOVED, buf_as_text(&when));
  buf_done(&when);
  return run(end, "PRAGMA wal_checkpoint(TRUNCATE)", why);
}

/* --- as the target ------------------------------------------------------------------------------------------------------------- */

static const char progress_make[] = "DELETE FROM " COPY_SEEDED_TABLE ";"
                                    "CREATE TABLE " COPY_PROGRESS_TABLE
                                    "(name TEXT PRIMARY KEY, done, begun, n_rows, sum, k0, k1, k2, k3) WITHOUT ROWID";

static parley_status refuse_full(struct sqlite_end *end, const struct copy_plan *plan, struct buf *why)
{
  char sql[COPY_NAME_BYTES_MAX + 64];

  for (size_t i = 0; i < plan->n; i++) {
    snprintf(sql, sizeof(sql), "SELECT EXISTS (SELECT 1 FROM %s)", plan->tables[i].name);
    if (strcmp(plan->tables[i].name, COPY_SEEDED_TABLE) != 0 && db_int_of(&end->db.base, sql) != 0)
      return copy_refuse_full(end->path, plan->tables[i].name, why);
  }
  return PARLEY_OK;
}

static void tables_clear(struct sqlite_end *end, const struct copy_plan *plan)
{
  char sql[COPY_NAME_BYTES_MAX + 32];

  for (size_t i = 0; i < plan->n; i++) {
    snprintf(sql, sizeof(sql), "DELETE FROM %s", plan->tables[i].name);
    sqlite_exec(&end->db.base, sql);
  }
  sqlite_exec(&end->db.base, "DROP TABLE " COPY_PROGRESS_TABLE);
}

static bool state_is(struct sqlite_end *end, const char *mark, const char *state, bool *ret_there)
{
  struct stmt *get = db_sql(&end->db.base, "SELECT value FROM meta WHERE name=?");
  bool same;

  bind_str(get, 1, mark);
  *ret_there = db_step(get);
  same = *ret_there && parley_text_is(col_peek(get, 0), state);
  db_reset(get);
  return same;
}

static parley_status end_begin(struct copy_end *base, const struct copy_plan *plan, struct copy_facts *facts, struct buf *why)
{
  struct sqlite_end *end = own(base);
  bool there;
  parley_status st = PARLEY_OK;

  facts->done = facts->moved && state_is(end, MARK_COPIED, facts->state, &there);
  if (facts->done || state_is(end, MARK_COPYING, facts->state, &there))
    return PARLEY_OK;
  if (facts->moved)
    return copy_refuse_moved(why);
  if (!there)
    st = refuse_full(end, plan, why);
  if (st != PARLEY_OK)
    return st;
  sqlite_exec(&end->db.base, "BEGIN IMMEDIATE");
  if (there)
    tables_clear(end, plan);
  sqlite_exec(&end->db.base, progress_make);
  meta_put(end, MARK_COPYING, parley_text_of(facts->state));
  return run(end, "COMMIT", why);
}

static parley_status end_position(struct copy_end *base, const struct copy_table *table, struct copy_position *ret, struct buf *why)
{
  struct sqlite_end *end = own(base);
  struct stmt *get = db_prepare(&end->db.base, PARLEY_LIT("SELECT done, begun, n_rows, sum, k0, k1, k2, k3 FROM " COPY_PROGRESS_TABLE
                                                          " WHERE name=?"));

  *ret = (struct copy_position){0};
  bind_str(get, 1, table->name);
  if (db_step(get)) {
    ret->done = col_int(get, 0) != 0;
    ret->begun = col_int(get, 1) != 0;
    ret->rows = col_id(get, 2);
    if (col_peek(get, 3).len == sizeof(ret->sum))
      memcpy(ret->sum, col_peek(get, 3).at, sizeof(ret->sum));
    for (int i = 0; i < COPY_KEY_MAX; i++)
      ret->key[i] = col_int(get, 4 + i);
  }
  db_reset(get);
  db_drop(get);
  return end->db.base.status == PARLEY_OK ? PARLEY_OK : fail(end, why);
}

static parley_status insert_prepare(struct sqlite_end *end, const struct copy_table *table, struct buf *why)
{
  struct buf sql = BUF_INIT(SQL_BYTES_MAX);
  int rc;

  buf_printf(&sql, "INSERT INTO %s(", table->name);
  add_columns(&sql, table);
  buf_str(&sql, ") VALUES(");
  for (size_t i = 0; i < table->n; i++)
    buf_str(&sql, i > 0 ? ", ?" : "?");
  buf_char(&sql, ')');
  sqlite3_finalize(end->insert);
  end->insert = NULL;
  rc = sqlite3_prepare_v2(end->db.handle, sql.at, (int)sql.len, &end->insert, NULL);
  buf_done(&sql);
  end->table = table;
  return rc == SQLITE_OK ? PARLEY_OK : fail(end, why);
}

static parley_status end_piece_open(struct copy_end *base, const struct copy_table *table, struct buf *why)
{
  struct sqlite_end *end = own(base);

  if (end->table != table && insert_prepare(end, table, why) != PARLEY_OK)
    return PARLEY_FAILED;
  return run(end, "BEGIN IMMEDIATE", why);
}

static void field_bind(sqlite3_stmt *put, int at, enum pg_type type, const struct copy_field *field)
{
  int64_t value = 0;

  if (field->null)
    sqlite3_bind_null(put, at);
  else if (type == PG_INT8 && copy_field_int(field, &value))
    sqlite3_bind_int64(put, at, value);
  else if (type == PG_TEXT)
    sqlite3_bind_text64(put, at, field->bytes.at, field->bytes.len, SQLITE_STATIC, SQLITE_UTF8);
  else
    sqlite3_bind_blob64(put, at, field->bytes.at, field->bytes.len, SQLITE_STATIC);
}

static parley_status end_piece_row(struct copy_end *base, parley_bytes row, const struct copy_field *fields, struct buf *why)
{
  struct sqlite_end *end = own(base);
  int rc;

  (void)row;
  for (size_t i = 0; i < end->table->n; i++)
    field_bind(end->insert, (int)i + 1, end->table->columns[i].type, &fields[i]);
  rc = sqlite3_step(end->insert);
  sqlite3_reset(end->insert);
  return rc == SQLITE_DONE ? PARLEY_OK : fail(end, why);
}

static parley_status end_piece_close(struct copy_end *base, const struct copy_position *position, struct buf *why)
{
  struct sqlite_end *end = own(base);
  struct stmt *put = db_sql(&end->db.base, "INSERT OR REPLACE INTO " COPY_PROGRESS_TABLE
                                           "(name, done, begun, n_rows, sum, k0, k1, k2, k3) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)");

  bind_str(put, 1, end->table->name);
  bind_int(put, 2, position->done);
  bind_int(put, 3, position->begun);
  bind_id(put, 4, position->rows);
  bind_blob(put, 5, (parley_bytes){(const char *)position->sum, sizeof(position->sum)});
  for (int i = 0; i < COPY_KEY_MAX; i++)
    bind_int(put, 6 + i, position->key[i]);
  db_run(put);
  return run(end, "COMMIT", why);
}

static parley_status end_finish(struct copy_end *base, const struct copy_facts *facts, struct buf *why)
{
  struct sqlite_end *end = own(base);
  struct db *db = &end->db.base;
  struct stmt *session = db_sql(db, "UPDATE meta SET value=? WHERE name='session'");
  struct stmt *counter = db_sql(db, "UPDATE counter SET last_id=max(last_id, ?) WHERE id=1");

  sqlite_exec(db, "PRAGMA synchronous=FULL; BEGIN IMMEDIATE; INSERT OR REPLACE INTO idem_recent SELECT h, id FROM answer ORDER BY h");
  for (size_t i = 0; i < facts->n_meta; i++)
    meta_put(end, facts->meta[i].name, (parley_bytes){facts->meta[i].value, facts->meta[i].len});
  meta_put(end, MARK_COPIED, parley_text_of(facts->state));
  bind_int(session, 1, facts->session);
  db_run(session);
  bind_int(counter, 1, facts->newest);
  db_run(counter);
  mark_put(db, "timeline", (uint64_t)facts->newest);
  mark_put(db, "idem", (uint64_t)facts->newest);
  sqlite_exec(db, "DROP TABLE " COPY_PROGRESS_TABLE "; DELETE FROM meta WHERE name='" MARK_COPYING "'; COMMIT");
  return run(end, "PRAGMA wal_checkpoint(TRUNCATE)", why);
}

const struct copy_end_kind copy_end_sqlite = {.open = end_open,
                                              .close = end_close,
                                              .plan = NULL,
                                              .fits = end_fits,
                                              .read = end_read,
                                              .facts = end_facts,
                                              .moved = end_moved,
                                              .begin = end_begin,
                                              .position = end_position,
                                              .piece_open = end_piece_open,
                                              .piece_row = end_piece_row,
                                              .piece_close = end_piece_close,
                                              .finish = end_finish};
