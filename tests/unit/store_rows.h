/* store_rows.h - rows put into a store by hand, and read by its own reads: for tests of core/store's read half that don't want to
 * send messages first. Rows are put while no store is open. */
#ifndef TESTS_STORE_ROWS_H
#define TESTS_STORE_ROWS_H
#include "core/store/read.h"
#include "store_fixture.h"
#include <stdarg.h>

struct rows {
  struct fixture f;
  struct hash_key hash_key;
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

/* A new store; its hash key is known from here on. */
static inline void rows_init(struct rows *rows)
{
  memset(rows, 0, sizeof(*rows));
  fixture_init(&rows->f);
  fixture_open(&rows->f);
  fixture_close(&rows->f);
  fixture_hash_key(&rows->f, &rows->hash_key);
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
  uint64_t h = identity_hash(&rows->hash_key, parley_text_of(kind), parley_text_of(value));

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

  if (rows->f.postgres)
    return; /* nothing is written behind there, see rows_open() */
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
  if (rows->f.postgres)
    rows_exec(rows, "INSERT INTO timeline SELECT customer, at, id, 1 FROM message ON CONFLICT DO NOTHING; INSERT INTO timeline"
                    " SELECT customer, at, seq, 2 FROM event WHERE customer>0 AND type LIKE 'touchpoint.%%' ON CONFLICT DO NOTHING");
  fixture_open(&rows->f);
}

static inline parley_status rows_read(struct rows *rows, struct store_op *op, enum store_kind kind)
{
  parley_status st;

  arena_free(&rows->arena);
  st = fixture_run(&rows->f, op, kind);
  rows->arena = op->arena;
  return st;
}

static inline void rows_done(struct rows *rows)
{
  arena_free(&rows->arena);
  fixture_done(&rows->f);
}
#endif
