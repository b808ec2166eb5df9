/* postgres_db.c - struct db over a connection in pipeline mode: a question yields until its answer is here, a write is put down and
 * goes on. Bound texts are cleaned of what PostgreSQL's text type cannot hold (invalid UTF-8, NUL), the same when they are looked
 * up as when they are stored. */
#include "postgres.h"
#include "core/base/text.h"
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EACH_AT_ONCE_MAX 128 /* fibers of one db_each() */

static struct pg_stmt *own(struct stmt *stmt)
{
  return container_of(stmt, struct pg_stmt, base);
}

/* --- waiting ---------------------------------------------------------------------------------------------------------------- */

void pg_db_wait(struct pg_db *db)
{
  if (db->fiber == NULL) {
    pg_link_wait(db->on);
    return;
  }
  db->waits = true;
  fiber_yield(db->fiber);
}

void pg_db_settle(struct pg_db *db)
{
  while (db->n_open > 0 && !db->on->lost)
    pg_db_wait(db);
}

void pg_command(struct pg_db *db, const char *sql)
{
  if (db->base.status == PARLEY_OK)
    pg_link_command(db->on, sql, db);
}

void pg_rollback(struct pg_db *db)
{
  pg_link_sync(db->on); /* the server passes over everything until here */
  pg_link_clear(db->on);
  db->base.status = PARLEY_OK;
  pg_command(db, "ROLLBACK");
  pg_link_sync(db->on);
  pg_db_settle(db);
}

/* --- statements ---------------------------------------------------------------------------------------------------------------- */

static void kind_reset(struct stmt *base)
{
  struct pg_stmt *stmt = own(base);

  if (stmt->rows != NULL && --stmt->rows->refs == 0) {
    PQclear(stmt->rows->result);
    free(stmt->rows);
  }
  stmt->rows = NULL;
  stmt->stands = stmt->arrived = false;
}

static struct stmt *kind_sql(struct db *base, const char *literal)
{
  struct pg_db *db = pg_db_of(base);
  uint64_t key = (uint64_t)(uintptr_t)literal;
  struct pg_stmt *stmt = map_get(&db->statements, key);

  if (base->status != PARLEY_OK || db->on->lost)
    return NULL;
  if (stmt == NULL) {
    stmt = xcalloc(1, sizeof(*stmt));
    stmt->base.db = base;
    list_init(&stmt->link);
    map_put(&db->statements, key, stmt);
  }
  if (!stmt->ahead)
    kind_reset(&stmt->base);
  stmt->known = pg_link_known(db->on, literal);
  return &stmt->base;
}

static struct stmt *kind_prepare(struct db *base, parley_text sql)
{
  struct pg_stmt *stmt;

  if (base->status != PARLEY_OK)
    return NULL;
  stmt = xcalloc(1, sizeof(*stmt));
  stmt->base.db = base;
  list_init(&stmt->link);
  stmt->known = pg_known_new(sql);
  return &stmt->base;
}

static void stmt_free(struct pg_stmt *stmt)
{
  kind_reset(&stmt->base);
  for (int i = 0; i < PG_PARAMS_MAX; i++)
    buf_done(&stmt->params[i].clean);
  free(stmt);
}

static void kind_drop(struct stmt *base)
{
  pg_known_free(own(base)->known);
  stmt_free(own(base));
}

static void types_note(struct pg_stmt *stmt)
{
  for (int i = 0; i < stmt->known->text.n_params; i++)
    stmt->known->types[i] = stmt->params[i].type != 0 ? stmt->params[i].type : PG_INT8;
}

static void answer_wait(struct pg_db *db, struct pg_stmt *stmt)
{
  while (!stmt->arrived && !db->on->lost)
    pg_db_wait(db);
  list_remove(&stmt->link);
}

/* The answer to a question that was asked ahead, if it was this one. */
static bool ahead_take(struct pg_db *db, struct pg_stmt *stmt)
{
  uint64_t key;

  if (!stmt->ahead)
    return false;
  memcpy(&key, stmt->params[0].be, sizeof(key));
  answer_wait(db, stmt);
  stmt->ahead = false;
  db->n_ahead--;
  if (be64toh(key) == stmt->ahead_key)
    return true;
  kind_reset(&stmt->base);
  return false;
}

void pg_db_ahead(struct pg_db *db, const char *literal, uint64_t key)
{
  struct stmt *base = kind_sql(&db->base, literal);
  struct pg_stmt *stmt;

  if (base == NULL || own(base)->ahead)
    return;
  stmt = own(base);
  bind_id(base, 1, key);
  types_note(stmt);
  stmt->ahead = stmt->stands = true;
  db->n_ahead++;
  stmt->ahead_key = key;
  pg_gather_ask(db->on, stmt);
}

/* Answers that nobody has asked for: they come before the fiber may go. */
static void ahead_forget(struct pg_db *db)
{
  size_t pos = 0;
  uint64_t key;
  void *found;

  while (db->n_ahead > 0 && map_next(&db->statements, &pos, &key, &found)) {
    struct pg_stmt *stmt = found;

    if (!stmt->ahead)
      continue;
    answer_wait(db, stmt);
    stmt->ahead = false;
    db->n_ahead--;
    kind_reset(&stmt->base);
  }
}

static bool kind_step(struct stmt *base)
{
  struct pg_stmt *stmt = own(base);
  struct pg_db *db = pg_db_of(base->db);

  if (!ahead_take(db, stmt) && !stmt->stands) {
    if (db->base.status != PARLEY_OK || db->on->lost)
      return false;
    types_note(stmt);
    stmt->stands = true;
    pg_gather_ask(db->on, stmt);
    answer_wait(db, stmt);
  }
  stmt->at++;
  if (stmt->rows != NULL && stmt->at < stmt->end && db->base.status == PARLEY_OK)
    return true;
  kind_reset(base);
  return false;
}

static void kind_run(struct stmt *base)
{
  struct pg_stmt *stmt = own(base);
  struct pg_db *db = pg_db_of(base->db);

  if (db->base.status != PARLEY_OK)
    return;
  types_note(stmt);
  pg_gather_write(db->on, stmt, db);
}

static int64_t kind_changes(struct db *base)
{
  struct pg_db *db = pg_db_of(base);

  pg_db_settle(db);
  return base->status == PARLEY_OK ? db->changes : 0;
}

/* --- parameters and columns ------------------------------------------------------------------------------------------------------ */

static void kind_bind_int(struct stmt *base, int at, int64_t value)
{
  struct pg_param *param = &own(base)->params[at - 1];
  uint64_t be = htobe64((uint64_t)value);

  param->type = PG_INT8;
  memcpy(param->be, &be, sizeof(be));
}

static void kind_bind_bytes(struct stmt *base, int at, parley_bytes value, bool is_text)
{
  struct pg_param *param = &own(base)->params[at - 1];

  param->type = is_text ? PG_TEXT : PG_BYTEA;
  param->bytes = (parley_bytes){value.at != NULL ? value.at : "", value.len};
  if (!is_text || text_utf8_ok(param->bytes))
    return;
  buf_clear(&param->clean);
  buf_text_clean(&param->clean, param->bytes);
  param->bytes = buf_as_text(&param->clean);
}

static int64_t int_of(const char *bytes, int len)
{
  uint64_t value = 0;

  for (int i = 0; i < len; i++)
    value = value << 8 | (unsigned char)bytes[i];
  if (len == 4)
    return (int32_t)(uint32_t)value;
  return (int64_t)value;
}

static int64_t kind_col_int(struct stmt *base, int at)
{
  const struct pg_stmt *stmt = own(base);
  int col = at + stmt->first_col;

  if (PQgetisnull(stmt->rows->result, stmt->at, col))
    return 0;
  return int_of(PQgetvalue(stmt->rows->result, stmt->at, col), PQgetlength(stmt->rows->result, stmt->at, col));
}

static parley_bytes kind_col_bytes(struct stmt *base, int at)
{
  const struct pg_stmt *stmt = own(base);
  int col = at + stmt->first_col;

  return (parley_bytes){PQgetvalue(stmt->rows->result, stmt->at, col),
                        (size_t)PQgetlength(stmt->rows->result, stmt->at, col)};
}

/* --- who works on which connection --------------------------------------------------------------------------------------------- */

void pg_db_done(struct pg_db *db)
{
  size_t pos = 0;
  uint64_t key;
  void *stmt;

  while (map_next(&db->statements, &pos, &key, &stmt))
    stmt_free(stmt);
  map_done(&db->statements);
}

void pg_db_use(struct pg_db *db, struct pg_link *link, struct fiber *fiber)
{
  db->on = link;
  db->fiber = fiber;
  db->base.status = link->status;
  snprintf(db->base.why, sizeof(db->base.why), "%s", link->why);
  list_push(&link->dbs, &db->link);
}

void pg_db_leave(struct pg_db *db)
{
  list_remove(&db->link);
  db->on = NULL;
  db->fiber = NULL;
}

/* --- several at once ----------------------------------------------------------------------------------------------------------- */

struct child {
  struct pg_db db;
  void (*fn)(struct db *db, void *arg);
  void *arg;
};

static void child_main(struct fiber *self, void *arg)
{
  struct child *child = arg;
  struct pg_db *parent = child->db.parent;
  struct pg_link *link = parent->on;

  pg_db_use(&child->db, link, self);
  child->fn(&child->db.base, child->arg);
  ahead_forget(&child->db);
  pg_locks_drop(&child->db);
  pg_db_leave(&child->db);
  parent->n_children--;
  pg_link_ready(link, parent);
  list_push(&link->store->idle_children, &child->db.link);
}

void pg_db_spawn(struct pg_db *parent, void (*fn)(struct db *db, void *arg), void *arg)
{
  struct list *idle = list_pop(&parent->on->store->idle_children);
  struct child *child = idle != NULL ? LIST_ITEM(idle, struct child, db.link) : xcalloc(1, sizeof(*child));

  if (idle == NULL)
    pg_db_init(&child->db);
  child->db.parent = parent;
  child->fn = fn;
  child->arg = arg;
  parent->n_children++;
  fiber_start(&parent->on->store->fibers, child_main, child);
}

void pg_db_join(struct pg_db *parent, int n_left)
{
  while (parent->n_children > n_left)
    pg_db_wait(parent);
}

void pg_children_free(struct list *idle)
{
  struct list *item;

  while ((item = list_pop(idle)) != NULL) {
    struct child *child = LIST_ITEM(item, struct child, db.link);

    pg_db_done(&child->db);
    free(child);
  }
}

struct one_of { void (*fn)(struct db *db, size_t i, void *arg); void *arg; size_t i; };

static void one_main(struct db *db, void *arg)
{
  struct one_of one = *(struct one_of *)arg;

  free(arg);
  one.fn(db, one.i, one.arg);
}

static void kind_each(struct db *base, size_t n, void (*fn)(struct db *db, size_t i, void *arg), void *arg)
{
  struct pg_db *db = pg_db_of(base);

  for (size_t i = 0; i < n; i++) {
    struct one_of *one;

    if (n == 1 || db->fiber == NULL) {
      fn(base, i, arg);
      continue;
    }
    one = xcalloc(1, sizeof(*one));
    *one = (struct one_of){fn, arg, i};
    pg_db_join(db, EACH_AT_ONCE_MAX - 1);
    pg_db_spawn(db, one_main, one);
  }
  pg_db_join(db, 0);
}

static const struct db_kind postgres_kind = {.sql = kind_sql,
                                             .prepare = kind_prepare,
                                             .drop = kind_drop,
                                             .step = kind_step,
                                             .reset = kind_reset,
                                             .run = kind_run,
                                             .changes = kind_changes,
                                             .each = kind_each,
                                             .bind_int = kind_bind_int,
                                             .bind_bytes = kind_bind_bytes,
                                             .col_int = kind_col_int,
                                             .col_bytes = kind_col_bytes};

void pg_db_init(struct pg_db *db)
{
  *db = (struct pg_db){.base.kind = &postgres_kind};
  list_init(&db->link);
  list_init(&db->ready);
  list_init(&db->held);
}
