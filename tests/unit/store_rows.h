/* store_rows.h - rows put into a store's file by hand, and a reader of its own to look at them: for tests of
 * core/store's read half that don't want to send messages first. Rows are put while no store has the file open. */
#ifndef TESTS_STORE_ROWS_H
#define TESTS_STORE_ROWS_H
#include "core/store/sqlite_read.h"
#include "store_fixture.h"
#include <stdarg.h>

struct rows {
  struct fixture f;
  struct sqlite_store store; /* only what readers use */
  struct reader reader;
  struct arena *arena; /* of the last op: freed by the next */
};

static inline void rows_exec(struct rows *rows, const char *format, ...) __attribute__((format(printf, 2, 3)));
static inline void rows_exec(struct rows *rows, const char *format, ...)
{
  struct buf sql = BUF_INIT(0);
  va_list args;

  va_start(args, format);
  buf_vprintf(&sql, format, args);
  va_end(args);
  fixture_exec(&rows->f, sql.at);
  buf_done(&sql);
}

/* A new file; its hash key is known from here on. */
static inline void rows_init(struct rows *rows)
{
  sqlite3 *db = NULL;
  sqlite3_stmt *stmt = NULL;

  memset(rows, 0, sizeof(*rows));
  fixture_init(&rows->f);
  fixture_open(&rows->f);
  fixture_close(&rows->f);
  ck_assert_int_eq(sqlite3_open(rows->f.path, &db), SQLITE_OK);
  ck_assert_int_eq(sqlite3_prepare_v2(db, "SELECT value FROM meta WHERE name='hash_key'", -1, &stmt, NULL), SQLITE_OK);
  ck_assert_int_eq(sqlite3_step(stmt), SQLITE_ROW);
  memcpy(&rows->store.hash_key, sqlite3_column_blob(stmt, 0), sizeof(rows->store.hash_key));
  sqlite3_finalize(stmt);
  sqlite3_close(db);
}

static inline void rows_customer(struct rows *rows, id64 id, id64 merged_into)
{
  rows_exec(rows, "INSERT INTO customer VALUES(%llu,%llu,%lld,0,0,0,'name %llu','es','Europe/Madrid','{}','[]')",
            (unsigned long long)id, (unsigned long long)merged_into, (long long)START_MS, (unsigned long long)id);
  if (merged_into != 0)
    rows_exec(rows, "UPDATE customer SET flags=flags|%d WHERE id=%llu", CUSTOMER_HAS_ALIAS,
              (unsigned long long)merged_into);
}

static inline void rows_identity(struct rows *rows, id64 id, id64 customer, const char *kind, const char *value)
{
  uint64_t h = identity_hash(&rows->store.hash_key, parley_text_of(kind), parley_text_of(value));

  rows_exec(rows, "INSERT INTO identity VALUES(%lld,%llu,%llu,'%s','%s','%s',%d,1,2,0)", (long long)h,
            (unsigned long long)id, (unsigned long long)customer, kind, value, value, PARLEY_OBSERVED);
  rows_exec(rows, "INSERT INTO customer_identity VALUES(%llu,%lld)", (unsigned long long)customer, (long long)h);
}

/* An outbound message of topic `orders` with one delivery in this state on channel `mail`. */
static inline void rows_message(struct rows *rows, id64 id, id64 customer, int64_t at_ms, enum delivery_state state)
{
  unsigned long long i = id, c = customer;

  rows_exec(rows,
            "INSERT INTO message VALUES(%llu,%d,1,%llu,7,0,9,%lld,%lld,%lld,0,0,3,1,1,-1,'orders','','','','','','','',"
            "'{\"f\":0}','{\"content\":{\"text\":\"order %llu\"}}')",
            i, DIR_OUT, c, (long long)at_ms, (long long)at_ms, (long long)at_ms + 86400000, i);
  rows_exec(rows,
            "INSERT INTO "
            "delivery(message,step,id,customer,identity,conversation,channel,channel_kind,lane,state,due,wake,expires,"
            "attempt,token,session,held,ordered,started,attempt_started,address_kind,address,until,within,provider_id)"
            " VALUES(%llu,0,%llu,%llu,7,0,'mail','email',2,%d,%lld,0,0,1,1,1,0,0,%lld,%lld,'email','ana@example.org',1,"
            "0,'p%llu')",
            i, i + 1, c, (int)state, (long long)at_ms, (long long)at_ms, (long long)at_ms, i);
}

static inline void rows_inbound(struct rows *rows, id64 id, id64 customer, int64_t at_ms)
{
  rows_exec(rows,
            "INSERT INTO message "
            "VALUES(%llu,%d,1,%llu,7,0,0,%lld,%lld,0,0,%d,2,0,0,-1,'','','','mail','email','q%llu','','','',"
            "'{\"content\":{\"text\":\"hello\"}}')",
            (unsigned long long)id, DIR_IN, (unsigned long long)customer, (long long)at_ms, (long long)at_ms,
            MESSAGE_AUTOMATIC, (unsigned long long)id);
}

static inline void rows_event(struct rows *rows, uint64_t seq, const char *type, id64 customer, id64 message,
                              int64_t at_ms)
{
  rows_exec(rows, "INSERT INTO event VALUES(%llu,'%s',%lld,%llu,7,0,%llu,'{\"n\":%llu}')", (unsigned long long)seq,
            type, (long long)at_ms, (unsigned long long)customer, (unsigned long long)message, (unsigned long long)seq);
}

/* Everything up to this id has gone from the tail to the table named. */
static inline void rows_written_behind(struct rows *rows, const char *table, uint64_t upto)
{
  unsigned long long to = upto;

  rows_exec(rows,
            "INSERT INTO %s SELECT customer, at, id, 1 FROM message WHERE id<=%llu AND id>coalesce((SELECT upto FROM "
            "mark WHERE"
            " name='timeline'),0);"
            "INSERT INTO %s SELECT customer, at, seq, 2 FROM event WHERE seq<=%llu AND customer>0 AND type LIKE "
            "'touchpoint.%%' AND"
            " seq>coalesce((SELECT upto FROM mark WHERE name='timeline'),0);"
            "INSERT OR REPLACE INTO mark VALUES('timeline',%llu)",
            table, to, table, to, to);
}

/* From here on the rows are read; what lies beyond the mark stands in the tail. */
static inline void rows_open(struct rows *rows)
{
  struct buf why = BUF_INIT(1024);
  int flags = SQLITE_OPEN_READWRITE;

  rows->store.env = &rows->f.fake.env;
  rows->store.path = rows->f.path;
  ck_assert_msg(db_open(&rows->store.writer, rows->f.path, NULL, flags, &why) == PARLEY_OK, "%s", why.at);
  ck_assert_msg(db_open(&rows->store.readers[0], rows->f.path, NULL, flags, &why) == PARLEY_OK, "%s", why.at);
  db_tune(&rows->store.readers[0], READER_CACHE_KIB);
  ck_assert_int_eq(tails_open(&rows->store), PARLEY_OK);
  rows->reader = (struct reader){&rows->store, &rows->store.readers[0]};
  buf_done(&why);
}

static inline parley_status rows_read(struct rows *rows, struct store_op *op, read_fn *read)
{
  arena_free(&rows->arena);
  op->arena = rows->arena = arena_new();
  op->status = read(&rows->reader, op);
  ck_assert_msg(rows->reader.db->error == 0, "%s", rows->reader.db->why);
  ck_assert_int_ne(sqlite3_get_autocommit(rows->reader.db->handle), 0);
  for (sqlite3_stmt *at = sqlite3_next_stmt(rows->reader.db->handle, NULL); at != NULL;
       at = sqlite3_next_stmt(rows->reader.db->handle, at))
    ck_assert_msg(!sqlite3_stmt_busy(at), "still open: %s", sqlite3_sql(at));
  return op->status;
}

static inline void rows_done(struct rows *rows)
{
  arena_free(&rows->arena);
  tails_close(&rows->store);
  db_close(&rows->store.readers[0]);
  db_close(&rows->store.writer);
  fixture_done(&rows->f);
}
#endif
