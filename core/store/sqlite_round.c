/* sqlite_round.c - the writer thread: what waits goes into one transaction, at most STORE_ROUND_MAX ops, in the order
 * submitted; one commit, one flush, then the answers. */
#include "sqlite.h"
#include "fresh.h"
#include <string.h>

#define IDLE_FLUSH_MS 5000    /* tails are written out after so long without a write */
#define IDLE_SLICE_MS 20      /* between two slices then */
#define IDLE_ROWS 1024
#define FULL_WAIT_MS 100      /* between two looks while the disk is full */
#define NS_PER_MS UINT64_C(1000000)

/* --- one round ------------------------------------------------------------------------------------------------------------------ */

static void round_begin(struct round *round, struct sqlite_store *store)
{
  *round = (struct round){.store = &store->base, .db = &store->writer.base, .now_ms = store->base.env->now_ms(store->base.env)};
  tails_begin(store);
  db_run(db_sql(round->db, "BEGIN IMMEDIATE"));
}

static void round_rolled_back(struct round *round, parley_status status)
{
  struct sqlite_store *store = sqlite_of(round->store);

  log_line(store->base.log, store->full ? PARLEY_DEBUG : PARLEY_ERROR, "event=store_round_failed again=%d why=\"%s\"",
           status == PARLEY_RETRY, round->db->why);
  sqlite_clear_error(round->db);
  if (!sqlite3_get_autocommit(sqlite_handle(round->db)))
    sqlite3_exec(sqlite_handle(round->db), "ROLLBACK", NULL, NULL, NULL);
  tails_undo(round);
  fresh_clear(store->base.fresh);
  sqlite_recount(store);
  round_give_seats_back(round);
  store->base.gauges.failed_rounds++;
  round->last_seq = 0;
}

static bool code_is_fatal(int code)
{
  return (code & 0xff) == SQLITE_IOERR || (code & 0xff) == SQLITE_CORRUPT || (code & 0xff) == SQLITE_NOTADB;
}

/* OK, or what becomes of every op of the round. */
static parley_status round_commit(struct round *round)
{
  struct sqlite_store *store = sqlite_of(round->store);
  parley_status st;
  int code;

  if (round->db->status == PARLEY_OK)
    db_run(db_sql(round->db, "COMMIT"));
  st = round->db->status;
  code = sqlite_error(round->db);
  if (st == PARLEY_OK) {
    tails_committed(round);
    retain_committed(round);
    return st;
  }
  round_rolled_back(round, st);
  if (st == PARLEY_FAILED && code_is_fatal(code)) {
    store_break(store);
  } else if (st == PARLEY_RETRY && (code & 0xff) != SQLITE_BUSY) {
    store_full_begin(store);
  }
  return st;
}

/* Takes the ops out that cannot be tried now. Returns how many are left. */
static size_t refuse(struct sqlite_store *store, struct list *ops)
{
  bool broken = atomic_load(&store->broken);
  struct list *at = ops->next, refused;
  size_t left = 0;

  list_init(&refused);
  while (at != ops) {
    struct store_op *op = LIST_ITEM(at, struct store_op, link);

    at = at->next;
    if (!broken && !(store->full && op_takes_in(op->kind))) {
      left++;
      continue;
    }
    list_remove(&op->link);
    list_push(&refused, &op->link);
    op_ended(op, broken ? PARLEY_FAILED : PARLEY_RETRY);
  }
  if (!list_empty(&refused))
    store_finish(store->base.front, &refused);
  return left;
}

/* behind: rows of the tails to write at least. */
static void round_run(struct sqlite_store *store, struct list *ops, size_t n_ops, size_t behind)
{
  uint64_t begun = uv_hrtime();
  struct round round;
  parley_status st = PARLEY_FAILED;

  if (n_ops > 0 && (store->full || atomic_load(&store->broken))) {
    n_ops = refuse(store, ops);
    if (n_ops == 0)
      return;
  }
  round_begin(&round, store);
  for (struct list *at = ops->next; at != ops; at = at->next)
    op_run(&round, LIST_ITEM(at, struct store_op, link));
  if (!store->full) {
    tails_write(&round, behind + round.n_tail + round.n_idem);
    expire_step(&round, n_ops);
  }
  counters_write(&round);
  st = round_commit(&round);
  for (struct list *at = ops->next; at != ops; at = at->next)
    op_ended(LIST_ITEM(at, struct store_op, link), st);
  store->base.gauges.rounds++;
  store->base.gauges.ops += n_ops;
  begun = (uv_hrtime() - begun) / 1000;
  if (begun > store->base.gauges.longest_round_us)
    store->base.gauges.longest_round_us = begun;
  store_round_ended(store->base.front, &store->base.gauges, round.last_seq);
  if (!list_empty(ops))
    store_finish(store->base.front, ops);
  round_done(&round);
}

static void housekeep(struct sqlite_store *store)
{
  store_full_probe(store);
  tails_seal(store, TAIL_ENTRIES);
  checkpoint_step(store);
}

/* Nothing came for a while: the tails go to their tables, so that a start has less to read again. */
static void idle_flush(struct sqlite_store *store)
{
  struct list none;

  list_init(&none);
  tails_seal(store, 1);
  round_run(store, &none, 0, IDLE_ROWS);
}

/* So much is past its time that the rounds of those who write do not get through with it. */
static void idle_expire(struct sqlite_store *store)
{
  struct list none;

  list_init(&none);
  round_run(store, &none, 0, 0);
}

/* How long nobody need come before something is done; 0: for ever. */
static uint64_t idle_ms(const struct sqlite_store *store)
{
  if (store->full)
    return FULL_WAIT_MS;
  if (atomic_load(&store->broken))
    return tails_pending(store) ? IDLE_FLUSH_MS : 0;
  if (store->base.retention.behind)
    return expire_wait_ms(&store->base);
  return tails_flushing(store) ? IDLE_SLICE_MS : tails_pending(store) ? IDLE_FLUSH_MS : 0;
}

/* Waits for work. Returns how many ops were moved to `ops`; 0: time is up, or *closing. */
static size_t take(struct sqlite_store *store, struct list *ops, bool *closing)
{
  uint64_t wait_ms = idle_ms(store);
  size_t n = 0;

  uv_mutex_lock(&store->write_lock);
  while (list_empty(&store->waiting) && !store->closing) {
    if (wait_ms == 0)
      uv_cond_wait(&store->write_wake, &store->write_lock);
    else if (uv_cond_timedwait(&store->write_wake, &store->write_lock, wait_ms * NS_PER_MS) != 0)
      break;
  }
  for (; n < STORE_ROUND_MAX && !list_empty(&store->waiting); n++)
    list_push(ops, list_pop(&store->waiting));
  *closing = store->closing;
  uv_mutex_unlock(&store->write_lock);
  return n;
}

static void others_stop(struct sqlite_store *store)
{
  uv_mutex_lock(&store->read_lock);
  store->read_closing = true;
  uv_cond_broadcast(&store->read_wake);
  uv_mutex_unlock(&store->read_lock);
  uv_mutex_lock(&store->checkpoint_lock);
  store->checkpoint_closing = true;
  uv_cond_signal(&store->checkpoint_wake);
  uv_mutex_unlock(&store->checkpoint_lock);
  for (size_t i = 0; i < SQLITE_READERS; i++)
    uv_thread_join(&store->reader_threads[i]);
  uv_thread_join(&store->checkpoint_thread);
}

void sqlite_writer_main(void *arg)
{
  struct sqlite_store *store = arg;
  struct list ops;
  bool closing = false;
  size_t n;

  list_init(&ops);
  checkpoint_init(store);
  for (;;) {
    n = take(store, &ops, &closing);
    if (n > 0)
      round_run(store, &ops, n, 0);
    else if (closing)
      break;
    else if (store->base.retention.behind && !store->full && !atomic_load(&store->broken))
      idle_expire(store);
    else if (tails_pending(store) && !store->full && !atomic_load(&store->broken))
      idle_flush(store);
    housekeep(store);
  }
  others_stop(store);
  checkpoint_truncate(store);
  store_closed(store->base.front);
}
