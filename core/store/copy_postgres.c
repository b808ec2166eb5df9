/* copy_postgres.c - PostgreSQL's side of a copy: its catalogue says which tables and columns there are; rows come and go by binary
 * COPY (libpq 15, 34.10). */
#include "postgres.h"
#include "copy_end.h"
#include "core/base/clock.h"
#include "core/base/text.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SQL_BYTES_MAX 16384
#define SEND_BYTES 65536 /* rows gathered for one PQputCopyData() */
#define SEND_BYTES_MAX ((size_t)1 << 30)
#define OWN_TABLES "'meta', 'session', 'seq', 'parley_schema', '" COPY_PROGRESS_TABLE "'"

struct pg_end {
  struct copy_end base;
  PGconn *conn;
  const struct env *env;
  const struct copy_table *table; /* of the open piece */
  struct buf out;
};

static struct pg_end *own(struct copy_end *end)
{
  return container_of(end, struct pg_end, base);
}

static parley_status run(struct pg_end *end, const char *sql, struct buf *why)
{
  return pg_run(end->conn, sql) ? PARLEY_OK : pg_say(end->conn, why);
}

/* --- opening ---------------------------------------------------------------------------------------------------------------------- */

static void end_close(struct copy_end *base)
{
  struct pg_end *end = own(base);

  if (end->conn != NULL)
    PQfinish(end->conn);
  buf_done(&end->out);
  free(end);
}

static bool has_store(struct pg_end *end)
{
  return pg_number(end->conn, "SELECT count(*) FROM pg_class WHERE oid=to_regclass('parley_schema')", 0) == 1;
}

/* A target that is empty gets our tables, of an older version ours. */
static parley_status schema_make(struct pg_end *end, struct buf *why)
{
  struct pg_store *store = xcalloc(1, sizeof(*store)); /* as much of one as pg_schema_open() looks at */
  parley_status st;

  store->base.env = end->env;
  st = pg_schema_open(end->conn, store, why);
  free(store);
  return st;
}

static parley_status source_check(struct pg_end *end, struct buf *why)
{
  if (!has_store(end)) {
    buf_str(why, "store copy: there is no store in the source's database");
    return PARLEY_FAILED;
  }
  if (pg_number(end->conn, "SELECT count(*) FROM meta WHERE name='" MARK_COPYING "'", 0) != 0)
    return copy_refuse_half(why);
  return PARLEY_OK;
}

static parley_status open_checked(struct pg_end *end, bool target, struct buf *why)
{
  parley_status st = pg_lock_alone(end->conn, why);

  if (st == PARLEY_OK)
    st = run(end, "SET statement_timeout=0; SET lock_timeout=20000; SET idle_in_transaction_session_timeout=0", why);
  if (st == PARLEY_OK && !target)
    st = source_check(end, why);
  if (st == PARLEY_OK)
    st = schema_make(end, why);
  if (st == PARLEY_OK && pg_number(end->conn, "SELECT version FROM parley_schema", 0) != STORE_SCHEMA_VERSION) {
    buf_str(why, "store copy: the database is of a newer schema than this program's: copy with that version");
    st = PARLEY_FAILED;
  }
  if (st == PARLEY_OK && target) /* finish() waits for all of it */
    st = run(end, "SET synchronous_commit=off", why);
  return st;
}

static parley_status end_open(const struct store_place *place, bool target, const struct env *env, struct copy_end **ret,
                              struct buf *why)
{
  struct pg_end *end = xcalloc(1, sizeof(*end));
  parley_status st = PARLEY_FAILED;

  end->base.kind = &copy_end_postgres;
  end->env = env;
  end->out = (struct buf)BUF_INIT(SEND_BYTES_MAX);
  end->conn = pg_connect(place->url, why);
  if (end->conn != NULL)
    st = open_checked(end, target, why);
  if (st == PARLEY_OK)
    *ret = &end->base;
  else
    end_close(&end->base);
  return st;
}

/* --- tables ---------------------------------------------------------------------------------------------------------------------- */

static const char plan_sql[] =
    "SELECT c.relname, a.attname, a.atttypid::int, coalesce(array_position(i.indkey::int2[], a.attnum), -1)"
    " FROM pg_class c JOIN pg_attribute a ON a.attrelid=c.oid AND a.attnum>0 AND NOT a.attisdropped"
    " LEFT JOIN pg_index i ON i.indrelid=c.oid AND i.indisprimary"
    " WHERE c.relnamespace=current_schema()::regnamespace AND c.relkind='r' AND c.relname NOT IN (" OWN_TABLES ")"
    " ORDER BY c.relname COLLATE \"C\", a.attnum";

static parley_status plan_bug(const char *table, const char *column, struct buf *why)
{
  buf_printf(why, "store copy: nobody knows how %s.%s is carried over: this is a bug of this version", table, column);
  return PARLEY_FAILED;
}

static bool column_add(struct copy_plan *plan, PGresult *rows, int at)
{
  const char *name = PQgetvalue(rows, at, 0);
  long type = strtol(PQgetvalue(rows, at, 2), NULL, 10), key = strtol(PQgetvalue(rows, at, 3), NULL, 10);
  struct copy_table *table = plan->n > 0 ? &plan->tables[plan->n - 1] : NULL;

  if (table == NULL || strcmp(table->name, name) != 0) {
    if (plan->n == COPY_TABLES_MAX)
      return false;
    table = &plan->tables[plan->n++];
    snprintf(table->name, sizeof(table->name), "%s", name);
  }
  if (table->n == COPY_COLUMNS_MAX || (type != PG_INT8 && type != PG_TEXT && type != PG_BYTEA))
    return false;
  if (key >= 0) {
    if (key >= COPY_KEY_MAX)
      return false;
    table->whole |= type != PG_INT8;
    table->key[key] = table->n;
    table->n_key++;
  }
  snprintf(table->columns[table->n].name, sizeof(table->columns[0].name), "%s", PQgetvalue(rows, at, 1));
  table->columns[table->n++].type = (enum pg_type)type;
  return true;
}

static parley_status end_plan(struct copy_end *base, struct copy_plan *ret, struct buf *why)
{
  struct pg_end *end = own(base);
  PGresult *rows = PQexec(end->conn, plan_sql);
  parley_status st = PQresultStatus(rows) == PGRES_TUPLES_OK ? PARLEY_OK : pg_say(end->conn, why);

  *ret = (struct copy_plan){0};
  for (int i = 0; st == PARLEY_OK && i < PQntuples(rows); i++)
    if (!column_add(ret, rows, i))
      st = plan_bug(PQgetvalue(rows, i, 0), PQgetvalue(rows, i, 1), why);
  for (size_t i = 0; st == PARLEY_OK && i < ret->n; i++)
    if (ret->tables[i].n_key == 0)
      st = plan_bug(ret->tables[i].name, "(no key)", why);
  PQclear(rows);
  return st;
}

static parley_status end_fits(struct copy_end *end, const struct copy_plan *plan, struct buf *why)
{
  (void)end;
  (void)plan;
  (void)why;
  return PARLEY_OK; /* the plan is of PostgreSQL's making */
}

static void add_columns(struct buf *sql, const struct copy_table *table)
{
  for (size_t i = 0; i < table->n; i++)
    buf_printf(sql, "%s\"%s\"", i > 0 ? ", " : "", table->columns[i].name);
}

static void add_key(struct buf *sql, const struct copy_table *table)
{
  for (size_t i = 0; i < table->n_key; i++)
    buf_printf(sql, "%s\"%s\"%s", i > 0 ? ", " : "", table->columns[table->key[i]].name,
               table->columns[table->key[i]].type == PG_TEXT ? " COLLATE \"C\"" : "");
}

/* --- reading ---------------------------------------------------------------------------------------------------------------------- */

static void read_sql(const struct copy_table *table, const struct copy_position *after, struct buf *sql)
{
  buf_str(sql, "COPY (SELECT ");
  add_columns(sql, table);
  buf_printf(sql, " FROM \"%s\"", table->name);
  if (after->begun) {
    buf_str(sql, " WHERE (");
    add_key(sql, table);
    buf_str(sql, ") > (");
    for (size_t i = 0; i < table->n_key; i++)
      buf_printf(sql, "%s%lld", i > 0 ? ", " : "", (long long)after->key[i]);
    buf_char(sql, ')');
  }
  buf_str(sql, " ORDER BY ");
  add_key(sql, table);
  buf_str(sql, ") TO STDOUT (FORMAT binary)");
}

struct reading {
  const struct copy_table *table;
  copy_row_fn *fn;
  void *arg;
  bool head_seen;
};

/* What one message holds: whole rows, before the first the head. */
static parley_status message_read(struct reading *reading, parley_bytes rest, struct buf *why)
{
  struct copy_field fields[COPY_COLUMNS_MAX];
  parley_bytes row;
  enum copy_found found;

  if (!reading->head_seen && !copy_head_take(&rest)) {
    buf_str(why, "store copy: the database speaks another COPY format than PostgreSQL's");
    return PARLEY_FAILED;
  }
  reading->head_seen = true;
  while ((found = copy_row_next(&rest, reading->table->n, fields, &row)) == COPY_ROW)
    if (!reading->fn(row, fields, reading->arg))
      return PARLEY_CANCELLED;
  if (found == COPY_END)
    return PARLEY_OK;
  buf_printf(why, "store copy: a row of table %s cannot be read", reading->table->name);
  return PARLEY_FAILED;
}

static parley_status rows_read(struct pg_end *end, struct reading *reading, struct buf *why)
{
  parley_status st = PARLEY_OK;
  PGresult *result;
  char *bytes = NULL;
  int len;

  while (st == PARLEY_OK && (len = PQgetCopyData(end->conn, &bytes, 0)) > 0) {
    st = message_read(reading, (parley_bytes){bytes, (size_t)len}, why);
    PQfreemem(bytes);
  }
  if (st != PARLEY_OK)
    return st; /* in the middle of it: nothing more is asked of this connection */
  while ((result = PQgetResult(end->conn)) != NULL) {
    if (PQresultStatus(result) != PGRES_COMMAND_OK && st == PARLEY_OK)
      st = pg_say(end->conn, why);
    PQclear(result);
  }
  return st;
}

static parley_status end_read(struct copy_end *base, const struct copy_table *table, const struct copy_position *after, copy_row_fn *fn,
                              void *arg, struct buf *why)
{
  struct pg_end *end = own(base);
  struct reading reading = {.table = table, .fn = fn, .arg = arg};
  struct buf sql = BUF_INIT(SQL_BYTES_MAX);
  PGresult *result;
  parley_status st;

  read_sql(table, after, &sql);
  result = PQexec(end->conn, sql.at);
  st = PQresultStatus(result) == PGRES_COPY_OUT ? PARLEY_OK : pg_say(end->conn, why);
  PQclear(result);
  if (st == PARLEY_OK)
    st = rows_read(end, &reading, why);
  buf_done(&sql);
  return st;
}

/* --- as the source ------------------------------------------------------------------------------------------------------------- */

static parley_status meta_take(struct pg_end *end, struct copy_facts *facts, struct buf *why)
{
  PGresult *rows = PQexecParams(end->conn, "SELECT name, value FROM meta ORDER BY name COLLATE \"C\"", 0, NULL, NULL, NULL, NULL, 1);

  if (PQresultStatus(rows) != PGRES_TUPLES_OK) {
    PQclear(rows);
    return pg_say(end->conn, why);
  }
  for (int i = 0; i < PQntuples(rows); i++)
    copy_meta_take(facts, parley_text_of(PQgetvalue(rows, i, 0)),
                   (parley_bytes){PQgetvalue(rows, i, 1), (size_t)PQgetlength(rows, i, 1)});
  PQclear(rows);
  return PARLEY_OK;
}

/* All events of the counter's slot are below the next slot (postgres_round.c). */
static const char newest_sql[] = "SELECT greatest(((SELECT last FROM seq WHERE id=1) + 1) << " SEQ_SLOT_BITS ","
                                 " (SELECT last_id FROM counter WHERE id=1), (SELECT max(id) FROM message), (SELECT max(id) FROM"
                                 " answer))";

static parley_status end_facts(struct copy_end *base, struct copy_facts *ret, struct buf *why)
{
  struct pg_end *end = own(base);
  struct buf all = BUF_INIT(4096);
  PGresult *row = PQexec(end->conn, COPY_STATE_SQL("(SELECT max(id) FROM session)"));
  parley_status st = PQresultStatus(row) == PGRES_TUPLES_OK && PQntuples(row) == 1 ? PARLEY_OK : pg_say(end->conn, why);

  for (int i = 0; st == PARLEY_OK && i < COPY_STATE_COLUMNS; i++)
    buf_printf(&all, "%s ", PQgetvalue(row, 0, i));
  PQclear(row);
  if (st == PARLEY_OK)
    st = meta_take(end, ret, why);
  copy_state_write(ret, buf_as_text(&all));
  ret->session = pg_number(end->conn, "SELECT max(id) FROM session", 0);
  ret->newest = pg_number(end->conn, newest_sql, 0);
  buf_done(&all);
  return st;
}

static parley_status end_moved(struct copy_end *base, struct buf *why)
{
  struct pg_end *end = own(base);
  struct buf when = BUF_INIT(64);
  bool fine;

  buf_time(&when, end->env->now_ms(end->env));
  fine = pg_meta_put(end->conn, MARK_MOVED, when.at, when.len);
  buf_done(&when);
  return fine ? PARLEY_OK : pg_say(end->conn, why);
}

/* --- as the target ------------------------------------------------------------------------------------------------------------- */

static const char progress_make[] = "DELETE FROM " COPY_SEEDED_TABLE "; CREATE TABLE " COPY_PROGRESS_TABLE
                                    "(name text PRIMARY KEY, done bigint, begun bigint, n_rows bigint, sum bytea, k0 bigint,"
                                    " k1 bigint, k2 bigint, k3 bigint)";

static parley_status refuse_full(struct pg_end *end, const struct copy_plan *plan, struct buf *why)
{
  char sql[COPY_NAME_BYTES_MAX + 64];

  for (size_t i = 0; i < plan->n; i++) {
    snprintf(sql, sizeof(sql), "SELECT EXISTS (SELECT 1 FROM \"%s\")::int", plan->tables[i].name);
    if (strcmp(plan->tables[i].name, COPY_SEEDED_TABLE) != 0 && pg_number(end->conn, sql, 1) != 0)
      return copy_refuse_full("database", plan->tables[i].name, why);
  }
  return PARLEY_OK;
}

static bool tables_clear(struct pg_end *end, const struct copy_plan *plan)
{
  char sql[COPY_NAME_BYTES_MAX + 32];
  bool fine = true;

  for (size_t i = 0; i < plan->n && fine; i++) {
    snprintf(sql, sizeof(sql), "TRUNCATE \"%s\"", plan->tables[i].name);
    fine = pg_run(end->conn, sql);
  }
  return fine && pg_run(end->conn, "DROP TABLE " COPY_PROGRESS_TABLE);
}

static parley_status end_begin(struct copy_end *base, const struct copy_plan *plan, struct copy_facts *facts, struct buf *why)
{
  struct pg_end *end = own(base);
  char state[sizeof(facts->state)];
  parley_status st = PARLEY_OK;
  bool there;

  facts->done = facts->moved && pg_meta_text(end->conn, MARK_COPIED, state, sizeof(state)) && strcmp(state, facts->state) == 0;
  if (facts->done)
    return PARLEY_OK;
  there = pg_meta_text(end->conn, MARK_COPYING, state, sizeof(state));
  if (there && strcmp(state, facts->state) == 0)
    return PARLEY_OK;
  if (facts->moved)
    return copy_refuse_moved(why);
  if (!there)
    st = refuse_full(end, plan, why);
  if (st != PARLEY_OK)
    return st;
  if (pg_run(end->conn, "BEGIN") && (!there || tables_clear(end, plan)) && pg_run(end->conn, progress_make) &&
      pg_meta_put(end->conn, MARK_COPYING, facts->state, strlen(facts->state)) && pg_run(end->conn, "COMMIT"))
    return PARLEY_OK;
  return pg_say(end->conn, why);
}

static int64_t value_int(PGresult *row, int at)
{
  return strtoll(PQgetvalue(row, 0, at), NULL, 10);
}

static parley_status end_position(struct copy_end *base, const struct copy_table *table, struct copy_position *ret, struct buf *why)
{
  struct pg_end *end = own(base);
  const char *values[] = {table->name};
  PGresult *row = PQexecParams(end->conn, "SELECT done, begun, n_rows, encode(sum, 'hex'), k0, k1, k2, k3 FROM " COPY_PROGRESS_TABLE
                                          " WHERE name=$1", 1, NULL, values, NULL, NULL, 0);
  parley_status st = PQresultStatus(row) == PGRES_TUPLES_OK ? PARLEY_OK : pg_say(end->conn, why);
  size_t len;

  *ret = (struct copy_position){0};
  if (st == PARLEY_OK && PQntuples(row) == 1) {
    ret->done = value_int(row, 0) != 0;
    ret->begun = value_int(row, 1) != 0;
    ret->rows = (uint64_t)value_int(row, 2);
    hex_read(parley_text_of(PQgetvalue(row, 0, 3)), ret->sum, sizeof(ret->sum), &len);
    for (int i = 0; i < COPY_KEY_MAX; i++)
      ret->key[i] = value_int(row, 4 + i);
  }
  PQclear(row);
  return st;
}

static parley_status end_piece_open(struct copy_end *base, const struct copy_table *table, struct buf *why)
{
  struct pg_end *end = own(base);
  struct buf sql = BUF_INIT(SQL_BYTES_MAX);
  PGresult *result = NULL;
  bool fine;

  end->table = table;
  buf_printf(&sql, "COPY \"%s\"(", table->name);
  add_columns(&sql, table);
  buf_str(&sql, ") FROM STDIN (FORMAT binary)");
  fine = pg_run(end->conn, "BEGIN");
  if (fine)
    result = PQexec(end->conn, sql.at);
  fine = fine && PQresultStatus(result) == PGRES_COPY_IN;
  PQclear(result);
  buf_done(&sql);
  buf_clear(&end->out);
  copy_head_write(&end->out);
  return fine ? PARLEY_OK : pg_say(end->conn, why);
}

static bool out_send(struct pg_end *end)
{
  bool fine = !end->out.overflow && PQputCopyData(end->conn, end->out.at, (int)end->out.len) == 1;

  buf_clear(&end->out);
  return fine;
}

static parley_status end_piece_row(struct copy_end *base, parley_bytes row, const struct copy_field *fields, struct buf *why)
{
  struct pg_end *end = own(base);

  (void)fields;
  buf_add(&end->out, row.at, row.len);
  return end->out.len < SEND_BYTES || out_send(end) ? PARLEY_OK : pg_say(end->conn, why);
}

/* What the server says of the rows. */
static bool rows_end(struct pg_end *end)
{
  PGresult *result;
  bool fine;

  copy_end_write(&end->out);
  fine = out_send(end) && PQputCopyEnd(end->conn, NULL) == 1;
  while (fine && (result = PQgetResult(end->conn)) != NULL) {
    fine = PQresultStatus(result) == PGRES_COMMAND_OK;
    PQclear(result);
  }
  return fine;
}

static bool position_put(struct pg_end *end, const struct copy_position *position)
{
  struct buf sql = BUF_INIT(SQL_BYTES_MAX);
  bool fine;

  buf_printf(&sql, "INSERT INTO " COPY_PROGRESS_TABLE " VALUES('%s', %d, %d, %llu, '\\x", end->table->name, position->done,
             position->begun, (unsigned long long)position->rows);
  buf_hex(&sql, position->sum, sizeof(position->sum));
  buf_str(&sql, "'");
  for (int i = 0; i < COPY_KEY_MAX; i++)
    buf_printf(&sql, ", %lld", (long long)position->key[i]);
  buf_str(&sql, ") ON CONFLICT(name) DO UPDATE SET done=excluded.done, begun=excluded.begun, n_rows=excluded.n_rows, sum=excluded.sum,"
                " k0=excluded.k0, k1=excluded.k1, k2=excluded.k2, k3=excluded.k3");
  fine = pg_run(end->conn, sql.at);
  buf_done(&sql);
  return fine;
}

static parley_status end_piece_close(struct copy_end *base, const struct copy_position *position, struct buf *why)
{
  struct pg_end *end = own(base);

  return rows_end(end) && position_put(end, position) && pg_run(end->conn, "COMMIT") ? PARLEY_OK : pg_say(end->conn, why);
}

static bool beside_put(struct pg_end *end, const struct copy_facts *facts)
{
  char sql[512];
  bool fine = pg_meta_put(end->conn, MARK_COPIED, facts->state, strlen(facts->state));

  for (size_t i = 0; i < facts->n_meta && fine; i++)
    fine = pg_meta_put(end->conn, facts->meta[i].name, facts->meta[i].value, facts->meta[i].len);
  snprintf(sql, sizeof(sql), "UPDATE seq SET last=greatest(last, %lld >> " SEQ_SLOT_BITS ") WHERE id=1;"
                             " INSERT INTO session(id, node, started, alive, round) VALUES(%lld, 0, " PG_NOW_MS ", " PG_NOW_MS ", 0)"
                             " ON CONFLICT DO NOTHING",
           (long long)facts->newest, (long long)facts->session);
  return fine && pg_run(end->conn, sql);
}

/* Statistics first: the plans of the first minutes are made with them. */
static parley_status end_finish(struct copy_end *base, const struct copy_facts *facts, struct buf *why)
{
  struct pg_end *end = own(base);

  if (pg_run(end->conn, "ANALYZE; SET synchronous_commit=on") && pg_run(end->conn, "BEGIN") && beside_put(end, facts) &&
      pg_run(end->conn, "DROP TABLE " COPY_PROGRESS_TABLE "; DELETE FROM meta WHERE name='" MARK_COPYING "'") &&
      pg_run(end->conn, "COMMIT"))
    return PARLEY_OK;
  return pg_say(end->conn, why);
}

const struct copy_end_kind copy_end_postgres = {.open = end_open,
                                                .close = end_close,
                                                .plan = end_plan,
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
