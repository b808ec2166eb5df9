/* marks.c - see marks.h. */
#include "marks.h"
#include "core/base/text.h"

parley_status mark_refuse_restoring(struct buf *reterr_why)
{
  buf_str(reterr_why, "store: a restore into this database is under way or was broken off: run parley store restore again, to its end");
  return PARLEY_FAILED;
}

parley_status marks_judge(bool copying, bool moved, bool restored, struct buf *reterr_why)
{
  if (copying)
    buf_str(reterr_why, "store: only a part of a copy is here: run parley store copy again, to its end");
  else if (moved && !restored)
    buf_str(reterr_why, "store: this store was copied to another one (parley store copy) and goes on there: two daemons would send the"
                        " same messages. To take this one up again all the same, start it once with parleyd --restored");
  return copying || (moved && !restored) ? PARLEY_FAILED : PARLEY_OK;
}

void mark_restored_write(struct buf *to, id64 upto, int64_t at_ms)
{
  buf_printf(to, "%llu %lld", (unsigned long long)upto, (long long)at_ms);
}

bool mark_restored_read(parley_text value, struct store_restored *ret)
{
  parley_text rest = value, upto = text_cut(&rest, ' ');
  uint64_t id, at_ms;

  if (!text_to_uint(upto, INT64_MAX, &id) || !text_to_uint(rest, INT64_MAX, &at_ms))
    return false;
  *ret = (struct store_restored){.at_ms = (int64_t)at_ms, .upto = id};
  return true;
}

static bool mark_there(struct db *db, const char *name)
{
  struct stmt *get = db_sql(db, "SELECT 1 FROM meta WHERE name=?");
  bool there;

  bind_str(get, 1, name);
  there = db_step(get);
  db_reset(get);
  return there;
}

parley_status marks_open(const struct store_base *store, struct db *db, struct buf *reterr_why)
{
  return marks_judge(mark_there(db, MARK_COPYING), mark_there(db, MARK_MOVED), store->config.restored, reterr_why);
}

static void restored_put(struct store_base *store, struct db *db, id64 newest)
{
  struct stmt *put = db_sql(db, "INSERT INTO meta(name, value) VALUES(?, ?)");
  struct stmt *drop = db_sql(db, "DELETE FROM meta WHERE name=?");
  struct buf value = BUF_INIT(MARK_BYTES_MAX);

  store->restored = (struct store_restored){.at_ms = store->env->now_ms(store->env), .upto = newest};
  mark_restored_write(&value, newest, store->restored.at_ms);
  bind_str(put, 1, MARK_RESTORED);
  bind_blob(put, 2, buf_as_text(&value));
  db_run(put);
  bind_str(drop, 1, MARK_MOVED);
  db_run(drop);
  buf_done(&value);
}

void restored_open(struct store_base *store, struct db *db, id64 newest)
{
  struct stmt *get = db_sql(db, "SELECT value FROM meta WHERE name=?");
  bool there = false;

  bind_str(get, 1, MARK_RESTORED);
  if (db_step(get)) {
    there = true;
    if (!mark_restored_read(col_peek(get, 0), &store->restored)) /* somebody has written there: the careful reading */
      store->restored = (struct store_restored){.at_ms = store->env->now_ms(store->env), .upto = newest};
  }
  db_reset(get);
  if (!there && store->config.restored)
    restored_put(store, db, newest);
}
