/* postgres_round.c - writes: what waits goes into one transaction, at most STORE_ROUND_MAX ops. Ops that name different things run
 * side by side, each a fiber (postgres_keys.c); one that touches much runs alone, after all before it and before all behind it.
 *
 * In doubt  a connection that is lost after COMMIT was sent leaves open whether the round is in the database. Each round writes its
 *           number into our session's row; the next connection reads it there, and only then the ops are answered. */
#include "postgres.h"
#include "fresh.h"
#include "core/base/text.h"
#include <stdlib.h>
#include <string.h>

#define OPS_AT_ONCE_MAX 128  /* fibers of one round */
#define FULL_TELL_MS 10000

struct going { struct round *round; struct store_op *op; size_t n_keys; uint64_t keys[PG_KEYS_MAX]; };

/* --- what write functions use ------------------------------------------------------------------------------------------------ */

static void seq_waiters_wake(struct pg_store *store, struct pg_link *link)
{
  struct list *item;

  while ((item = list_pop(&store->seq_waits)) != NULL)
    pg_link_ready(link, LIST_ITEM(item, struct pg_waiter, link)->db);
}

/* The next slot of the counter's row, which stays locked until the commit: whoever has smaller numbers has committed before. A slot
 * is a millisecond of the ids' layout under a node number that no daemon has, so that numbers of events are those of no message and
 * stand in the order of time with them; when rounds are faster than the clock it runs ahead. */
static void seq_slot(struct db *db, void *arg)
{
  struct pg_store *store = arg;
  struct stmt *get = db_sql(db, "UPDATE seq SET last=greatest(last + 1, ?1) WHERE id=1 RETURNING last");
  int64_t now_ms = store->base.env->now_ms(store->base.env);

  bind_int(get, 1, now_ms > ID_EPOCH_MS ? now_ms - ID_EPOCH_MS : 0);
  if (db_step(get)) {
    store->seq_next = col_id(get, 0) << (ID_NODE_BITS + ID_COUNTER_BITS) | (uint64_t)PG_SEQ_NODE << ID_COUNTER_BITS;
    store->seq_end = store->seq_next + (UINT64_C(1) << ID_COUNTER_BITS);
  }
  db_reset(get);
  store->seq_asked = false;
  seq_waiters_wake(store, pg_db_of(db)->on);
}

/* A fiber of its own asks, so that nobody waits for it who has other things to ask. */
static void seq_ask(struct pg_store *store)
{
  if (store->seq_asked || store->seq_next < store->seq_end)
    return;
  store->seq_asked = true;
  pg_db_spawn(&store->conductor, seq_slot, store);
}

/* Whose customer it is is known: what is left are its rows and the round's numbers, which are asked for together. */
bool pg_lock(struct db *db, uint64_t key)
{
  bool first = pg_lock_first(pg_db_of(db), key);

  seq_ask(pg_db_of(db)->on->store);
  return first;
}

uint64_t pg_next_seq(struct round *round)
{
  struct pg_store *store = pg_of(round->store);
  struct pg_db *db = pg_db_of(round->db);

  while (store->seq_next == store->seq_end && round->db->status == PARLEY_OK) {
    struct pg_waiter waiter = {.db = db};

    seq_ask(store);
    if (!store->seq_asked)
      continue;
    list_push(&store->seq_waits, &waiter.link);
    pg_db_wait(db);
    list_remove(&waiter.link);
  }
  return store->seq_next < store->seq_end ? store->seq_next++ : store->seq_end;
}

/* --- ops ------------------------------------------------------------------------------------------------------------------------- */

static void op_main(struct db *db, void *arg)
{
  struct going *going = arg;
  struct round part = {.store = going->round->store, .db = db, .now_ms = going->round->now_ms};

  pg_locks_take(pg_db_of(db), going->keys, going->n_keys);
  pg_op_ahead(pg_db_of(db), going->round->store, going->op);
  op_run(&part, going->op);
  round_merge(going->round, &part);
  free(going);
}

static void op_go(struct round *round, struct store_op *op)
{
  struct pg_db *conductor = pg_db_of(round->db);
  struct going *going = xcalloc(1, sizeof(*going));

  if (!pg_op_keys(round->store, op, going->keys, &going->n_keys)) {
    free(going);
    pg_db_join(conductor, 0);
    op_run(round, op);
    pg_locks_drop(conductor);
    return;
  }
  going->round = round;
  going->op = op;
  pg_db_join(conductor, OPS_AT_ONCE_MAX - 1);
  pg_db_spawn(conductor, op_main, going);
}

/* --- the transaction ----------------------------------------------------------------------------------------------------------- */

/* See postgres_session.c. */
static uint64_t round_stamp(const struct pg_store *store)
{
  return store->session.turn << PG_TURN_SHIFT | store->round;
}

static void session_write(struct round *round, struct pg_store *store)
{
  struct stmt *put = db_sql(round->db, "UPDATE session SET round=?2, alive=" PG_NOW_MS " WHERE id=?1");

  bind_int(put, 1, store->base.session);
  bind_id(put, 2, round_stamp(store));
  db_run(put);
}

static void ops_finish(struct pg_store *store, struct list *ops, parley_status st)
{
  for (struct list *at = ops->next; at != ops; at = at->next)
    op_ended(LIST_ITEM(at, struct store_op, link), st);
  if (!list_empty(ops))
    store_finish(store->base.front, ops);
}

/* PostgreSQL 15, appendix A, class 53: no disk, no memory. */
static bool has_no_room(const struct pg_link *link)
{
  return strncmp(link->sqlstate, "53", 2) == 0;
}

/* It may be so for hours: a line of the log now and then. */
static void full_begin(struct pg_store *store, const struct round *round)
{
  int64_t mono_ms = store->base.env->mono_ms(store->base.env);

  if (store->full_told_ms == 0 || mono_ms - store->full_told_ms >= FULL_TELL_MS) {
    store->full_told_ms = mono_ms;
    log_line(store->base.log, PARLEY_ERROR, "event=store_full why=\"%s\"", round->db->why);
  }
  store->full_look_ms = mono_ms;
  store->full = true;
  pg_accepting(store, "the database has no room: its disk or memory is full");
}

static void round_failed(struct pg_store *store, struct round *round)
{
  if (has_no_room(&store->writer))
    full_begin(store, round);
  else
    log_line(store->base.log, PARLEY_ERROR, "event=store_round_failed again=%d why=\"%s\"",
             round->db->status == PARLEY_RETRY, round->db->why);
  round_give_seats_back(round);
  fresh_clear(store->base.fresh);
  store->base.gauges.failed_rounds++;
  round->last_seq = 0;
}

static void round_is_in(struct pg_store *store, int64_t alive_ms)
{
  store->session.confirmed = round_stamp(store);
  store->committed_ms = store->base.gauges.alive_ms = alive_ms;
  if (store->full) {
    store->full = false;
    pg_accepting(store, NULL);
  }
}

/* After an error before COMMIT, or of it: the connection is made fit for the next round, or is lost. */
static parley_status round_is_out(struct pg_store *store, struct round *round, parley_status st)
{
  struct pg_db *db = &store->conductor;

  round_failed(store, round);
  if (db->on->lost)
    return st;
  pg_rollback(db);
  store_recount(&store->base, &db->base);
  pg_link_sync(db->on);
  return st;
}

/* OK, or what becomes of every op; *ret_in_doubt: nobody knows. What the connection meets after the commit's answer is the next
 * round's affair. */
static parley_status round_commit(struct pg_store *store, struct round *round, int64_t alive_ms, bool *ret_in_doubt)
{
  struct pg_db *db = &store->conductor;

  *ret_in_doubt = false;
  if (db->base.status != PARLEY_OK)
    return round_is_out(store, round, db->base.status);
  pg_link_commit(db->on, db);
  pg_link_sync(db->on);
  pg_db_settle(db);
  switch (db->on->commit) {
  case COMMIT_IS_IN:
    round_is_in(store, alive_ms);
    return PARLEY_OK;
  case COMMIT_IS_OUT:
    return round_is_out(store, round, db->base.status != PARLEY_OK ? db->base.status : PARLEY_RETRY);
  case COMMIT_OPEN:
    break;
  }
  *ret_in_doubt = true;
  return PARLEY_RETRY;
}

static void round_told(struct pg_store *store, uint64_t last_seq, uint64_t begun, size_t n_ops)
{
  struct store_gauges *gauges = &store->base.gauges;
  uint64_t us = (uv_hrtime() - begun) / 1000;

  gauges->rounds++;
  gauges->ops += n_ops;
  gauges->round_trips = store->writer.n_trips;
  if (us > gauges->longest_round_us)
    gauges->longest_round_us = us;
  store_round_ended(store->base.front, gauges, last_seq);
}

/* What happens on almost every such op is an event. */
static bool any_is_news(const struct list *ops)
{
  for (const struct list *at = ops->next; at != ops; at = at->next)
    switch ((int)LIST_ITEM(at, struct store_op, link)->kind) {
    case STORE_ACCEPT:
    case STORE_SETTLE:
    case STORE_INBOUND:
    case STORE_RECEIPT:
    case STORE_TOUCHPOINT:
      return true;
    }
  return false;
}

static void round_run(struct pg_store *store, struct list *ops, size_t n_ops)
{
  struct round round = {.store = &store->base, .db = &store->conductor.base, .now_ms = store->base.env->now_ms(store->base.env)};
  uint64_t begun = uv_hrtime();
  int64_t alive_ms;
  parley_status st;
  bool in_doubt;

  store->seq_next = store->seq_end = 0;
  store->round++;
  pg_locks_new_round(&store->locks);
  pg_command(&store->conductor, "BEGIN");
  for (struct list *at = ops->next; at != ops; at = at->next)
    op_go(&round, LIST_ITEM(at, struct store_op, link));
  if (any_is_news(ops))
    seq_ask(store); /* behind their questions: the row is locked no longer than need be */
  pg_db_join(&store->conductor, 0);
  if (!store->full)
    expire_step(&round, n_ops);
  counters_write(&round);
  alive_ms = store->base.env->mono_ms(store->base.env);
  session_write(&round, store);
  st = round_commit(store, &round, alive_ms, &in_doubt);
  if (st == PARLEY_OK)
    retain_committed(&round);
  round_told(store, in_doubt ? 0 : round.last_seq, begun, n_ops);
  if (in_doubt)
    pg_doubt_keep(store, ops, &round);
  else
    ops_finish(store, ops, st);
  round_done(&round);
}

static void round_main(struct fiber *self, void *arg)
{
  struct pg_store *store = arg;
  struct list ops;
  size_t n;

  list_init(&ops);
  do {
    if (store->full)
      pg_refuse_takers(store);
    for (n = 0; n < STORE_ROUND_MAX && !list_empty(&store->waiting); n++)
      list_push(&ops, list_pop(&store->waiting));
    pg_db_use(&store->conductor, &store->writer, self);
    round_run(store, &ops, n);
    pg_db_leave(&store->conductor);
  } while (!store->writer.lost && !store->in_doubt && !list_empty(&store->waiting));
  store->in_round = false;
  if (store->base.retention.behind)
    pg_beat_soon(store);
  pg_closing_step(store);
}

void pg_round_try(struct pg_store *store)
{
  if (!list_empty(&store->waiting))
    pg_round_beat(store);
}

void pg_round_beat(struct pg_store *store)
{
  if (store->in_round || store->in_doubt || store->writer.conn == NULL || store->writer.lost)
    return;
  store->in_round = true;
  fiber_start(&store->fibers, round_main, store);
  pg_link_run(&store->writer);
}
