/* db.h - one connection to a database as the store's logic sees it: statements prepared once, bound, stepped; the same calls and
 * the same SQL texts for every driver. Private to core/store.
 *
 * Threads   a connection belongs to one thread (sqlite_db.c) or to one fiber of the loop's (postgres_db.c).
 * Errors    are sticky: the first error of a connection stays in db->status and db->why, every later call does nothing and says
 *           "no row". The writer's round looks once, before its commit; a reader once, at the end of its op.
 * Texts     '' and 0 stand for "not given"; no column but a blob is ever NULL.
 * SQL       is written so that both dialects read it: parameters as ? or ?1, ON CONFLICT instead of OR REPLACE, every subquery
 *           of a FROM with a name, integers as truth values compared with <>0. "INDEXED BY name" is for SQLite's planner alone;
 *           PostgreSQL is not shown it. */
#ifndef CORE_STORE_DB_H
#define CORE_STORE_DB_H
#include "core/base/arena.h"
#include "core/base/text.h"

struct db;
struct stmt { struct db *db; };
struct db_kind {
  struct stmt *(*sql)(struct db *db, const char *literal);
  struct stmt *(*prepare)(struct db *db, parley_text sql);
  void (*drop)(struct stmt *stmt);
  bool (*step)(struct stmt *stmt);
  void (*reset)(struct stmt *stmt);
  void (*run)(struct stmt *stmt);
  int64_t (*changes)(struct db *db);
  void (*each)(struct db *db, size_t n, void (*fn)(struct db *db, size_t i, void *arg), void *arg);
  void (*bind_int)(struct stmt *stmt, int at, int64_t value);
  void (*bind_bytes)(struct stmt *stmt, int at, parley_bytes value, bool is_text);
  int64_t (*col_int)(struct stmt *stmt, int at);
  parley_bytes (*col_bytes)(struct stmt *stmt, int at);
};
struct db {
  const struct db_kind *kind;
  parley_status status; /* OK; RETRY: full, locked, not to be reached, it heals by itself; FAILED: damage, a failed flush */
  char why[200];        /* of the first error, with the statement's beginning */
};

/* The prepared statement of this text (a literal), reset. NULL only with db->status set; every call below takes NULL. */
static inline struct stmt *db_sql(struct db *db, const char *literal)
{
  return db->kind->sql(db, literal);
}

/* One built at run time: the caller gives it back with db_drop(). A question, unless only SQLite runs it: elsewhere the answer to a
 * write comes later, to a statement that is gone. */
static inline struct stmt *db_prepare(struct db *db, parley_text sql)
{
  return db->kind->prepare(db, sql);
}

static inline void db_drop(struct stmt *stmt)
{
  if (stmt != NULL)
    stmt->db->kind->drop(stmt);
}

/* True: a row stands. False: the end, or an error, and it is reset. */
static inline bool db_step(struct stmt *stmt)
{
  return stmt != NULL && stmt->db->kind->step(stmt);
}

/* After an early leave: an open statement holds its snapshot. */
static inline void db_reset(struct stmt *stmt)
{
  if (stmt != NULL)
    stmt->db->kind->reset(stmt);
}

/* INSERT, UPDATE, DELETE: to the end, and reset. May be held back until somebody looks, or the round ends. */
static inline void db_run(struct stmt *stmt)
{
  if (stmt != NULL)
    stmt->db->kind->run(stmt);
}

/* Rows of the last db_run(). */
static inline int64_t db_changes(struct db *db)
{
  return db->kind->changes(db);
}

/* fn for 0 .. n-1, in that order or all at once, each with a struct db to itself; back when all are done. They may touch
 * nothing of each other. */
static inline void db_each(struct db *db, size_t n, void (*fn)(struct db *db, size_t i, void *arg), void *arg)
{
  db->kind->each(db, n, fn, arg);
}

/* at: from 1; what is bound is borrowed until the statement is run or reset. */
static inline void bind_int(struct stmt *stmt, int at, int64_t value)
{
  if (stmt != NULL)
    stmt->db->kind->bind_int(stmt, at, value);
}

static inline void bind_id(struct stmt *stmt, int at, uint64_t value)
{
  bind_int(stmt, at, (int64_t)value);
}

static inline void bind_text(struct stmt *stmt, int at, parley_text value)
{
  if (stmt != NULL)
    stmt->db->kind->bind_bytes(stmt, at, value, true);
}

static inline void bind_str(struct stmt *stmt, int at, const char *value) /* NULL: '' */
{
  bind_text(stmt, at, parley_text_of(value));
}

static inline void bind_blob(struct stmt *stmt, int at, parley_bytes value)
{
  if (stmt != NULL)
    stmt->db->kind->bind_bytes(stmt, at, value, false);
}

/* at: from 0. */
static inline int64_t col_int(struct stmt *stmt, int at)
{
  return stmt->db->kind->col_int(stmt, at);
}

static inline uint64_t col_id(struct stmt *stmt, int at)
{
  return (uint64_t)col_int(stmt, at);
}

static inline parley_text col_peek(struct stmt *stmt, int at) /* borrowed until the next step */
{
  return stmt->db->kind->col_bytes(stmt, at);
}

static inline parley_text col_text(struct stmt *stmt, int at, struct arena *arena) /* text or blob, copied */
{
  parley_text text = col_peek(stmt, at);

  return text.len > 0 ? arena_text(arena, text) : (parley_text){"", 0};
}

/* First column of the first row, not cached; 0 without one. */
int64_t db_int_of(struct db *db, const char *sql);
#endif
