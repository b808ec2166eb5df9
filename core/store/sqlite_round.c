/* sqlite_round.c - the writer thread: what waits goes into one transaction, at most STORE_ROUND_MAX ops, in the order
 * submitted; one commit, one flush, then the answers. */
#include "sqlite_write.h"
#include <stdlib.h>
#include <string.h>

#define IDLE_FLUSH_MS 5000    /* tails are written out after so long without a write */
#define IDLE_SLICE_MS 20      /* between two slices then */
#define IDLE_ROWS 1024
#define FULL_WAIT_MS 100      /* between two looks while the disk is full */
#define NS_PER_MS UINT64_C(1000000)

/* --- pieces that write functions use ---------------------------------------------------------------------------------------- */

bool round_take_seat(struct round *round, atomic_int *room)
{
  int left = atomic_load_explicit(room, memory_order_relaxed);

  do {
    if (left <= 0)
      return false;
  } while (!atomic_compare_exchange_weak(room, &left, left - 1));
  if (round->n_seats == round->seats_room) {
    round->seats_room = round->seats_room == 0 ? 64 : round->seats_room * 2;
    round->seats = xrealloc(round->seats, round->seats_room * sizeof(*round->seats));
  }
  round->seats[round->n_seats++] = room;
  return true;
}

uint64_t round_event(struct round *round, const char *type, int64_t at_ms, id64 customer, id64 identity, id64 conversation,
                     id64 message, parley_text data)
{
  sqlite3_stmt *put = db_sql(round->db, "INSERT INTO event(seq, type, at, customer, identity, conversation, message, data)"
                                        " VALUES(?, ?, ?, ?, ?, ?, ?, ?)");
  uint64_t seq = id_next(&round->store->ids);
  parley_text name = parley_text_of(type);

  bind_id(put, 1, seq);
  bind_text(put, 2, name);
  bind_int(put, 3, at_ms);
  bind_id(put, 4, customer);
  bind_id(put, 5, identity);
  bind_id(put, 6, conversation);
  bind_id(put, 7, message);
  bind_text(put, 8, data);
  db_run(round->db, put);
  round->last_seq = seq;
  if (customer != 0 && event_on_timeline(name))
    round_timeline(round, customer, at_ms, seq, TIMELINE_EVENT);
  return seq;
}

static void counters_write(struct round *round)
{
  sqlite3_stmt *put = db_sql(
      round->db, "UPDATE counter SET last_id=?1, accepted=accepted+?2, s0=s0+?3, s1=s1+?4, s2=s2+?5, s3=s3+?6, s4=s4+?7,"
                 " s5=s5+?8, s6=s6+?9, s7=s7+?10, s8=s8+?11, s9=s9+?12, inbound=inbound+?13, duplicates=duplicates+?14,"
                 " other_body=other_body+?15 WHERE id=1");
  const struct counters *delta = &round->delta;

  bind_id(put, 1, round->store->ids.last);
  bind_int(put, 2, delta->accepted);
  for (int i = 0; i < MESSAGE_STATES; i++)
    bind_int(put, 3 + i, delta->by_state[i]);
  bind_int(put, 13, delta->inbound);
  bind_int(put, 14, delta->duplicates);
  bind_int(put, 15, delta->other_body);
  db_run(round->db, put);
}

/* --- one op ------------------------------------------------------------------------------------------------------------------ */

static write_fn *write_of(enum store_kind kind)
{
  static write_fn *const writes[] = {
      [STORE_ACCEPT] = write_accept,
      [STORE_CLAIM] = write_claim,
      [STORE_SETTLE] = write_settle,
      [STORE_RECEIPT] = write_receipt,
      [STORE_ORPHANS] = write_orphans,
      [STORE_SWEEP] = write_sweep,
      [STORE_CANCEL] = write_cancel,
      [STORE_RESOLVE] = write_resolve,
      [STORE_INBOUND] = write_inbound,
      [STORE_CUSTOMER_PUT] = write_customer_put,
      [STORE_TOUCHPOINT] = write_touchpoint,
      [STORE_CONVERSATION_PUT] = write_conversation_put,
      [STORE_NOTE] = write_note,
      [STORE_CONSENT] = write_consent,
      [STORE_SUPPRESS] = write_suppress,
      [STORE_DOC_PUT] = write_doc_put,
      [STORE_MEDIA_ADD] = write_media_add,
      [STORE_FEED_MOVE] = write_feed_move,
      [STORE_CLOCK_BACK] = write_clock_back,
  };

  return (size_t)kind < COUNT_OF(writes) ? writes[kind] : NULL;
}

/* What a full disk stops: taking in more. Sending and its results go on as long as they can be written. */
static bool takes_in(enum store_kind kind)
{
  return kind == STORE_ACCEPT || kind == STORE_INBOUND || kind == STORE_TOUCHPOINT || kind == STORE_MEDIA_ADD;
}

static void op_render(struct round *round, struct store_op *op, uint64_t h)
{
  struct buf body = BUF_INIT(0);
  uint32_t code = op->render(op, &body);

  op->answer_status = code;
  op->answer = arena_text(op->arena, buf_as_text(&body));
  buf_done(&body);
  if (code < 400)
    idem_keep(round, op, h);
}

static void op_run(struct round *round, struct store_op *op)
{
  write_fn *write = write_of(op->kind);
  uint64_t h = 0;

  op->status = PARLEY_INVALID;
  if (write == NULL)
    return;
  if (op->idem != NULL && idem_replayed(round, op, &h)) {
    op->status = PARLEY_OK;
    return;
  }
  op->status = write(round, op);
  if (op->idem != NULL && op->status == PARLEY_OK)
    op_render(round, op, h);
}

/* What a rolled-back round had claimed is nobody's. */
static void op_forget_claims(struct store_op *op)
{
  switch ((int)op->kind) {
  case STORE_CLAIM:
    container_of(op, struct store_claim, op)->n_claims = 0;
    break;
  case STORE_SWEEP:
    container_of(op, struct store_sweep, op)->n_claims = 0;
    break;
  case STORE_SETTLE:
    container_of(op, struct store_settle, op)->next = NULL;
    break;
  case STORE_RECEIPT:
    container_of(op, struct store_receipt, op)->next = NULL;
    break;
  }
}

static void op_ended(struct store_op *op, parley_status commit)
{
  if (op->kind == STORE_ACCEPT)
    accept_ended(container_of(op, struct store_accept, op),
                 commit == PARLEY_OK && op->status == PARLEY_OK && op->replay == REPLAY_NO);
  if (commit == PARLEY_OK)
    return;
  op->status = commit;
  op_forget_claims(op);
}

/* --- one round ------------------------------------------------------------------------------------------------------------------ */

static void round_begin(struct round *round, struct sqlite_store *store)
{
  *round = (struct round){.store = store, .db = &store->writer, .now_ms = store->env->now_ms(store->env)};
  tails_begin(store);
  db_run(round->db, db_sql(round->db, "BEGIN IMMEDIATE"));
}

static void round_done(struct round *round)
{
  free(round->seats);
  free(round->tail);
  buf_done(&round->scratch);
}

static void round_rolled_back(struct round *round, parley_status status)
{
  struct sqlite_store *store = round->store;

  log_line(store->log, store->full ? PARLEY_DEBUG : PARLEY_ERROR, "event=store_round_failed again=%d why=\"%s\"",
           status == PARLEY_RETRY, round->db->why);
  db_clear_error(round->db);
  if (!sqlite3_get_autocommit(round->db->handle))
    sqlite3_exec(round->db->handle, "ROLLBACK", NULL, NULL, NULL);
  tails_undo(round);
  store_recount(store);
  for (size_t i = 0; i < round->n_seats; i++)
    atomic_fetch_add(round->seats[i], 1);
  store->gauges.failed_rounds++;
  round->last_seq = 0;
}

static bool code_is_fatal(int code)
{
  return (code & 0xff) == SQLITE_IOERR || (code & 0xff) == SQLITE_CORRUPT || (code & 0xff) == SQLITE_NOTADB;
}

/* OK, or what becomes of every op of the round. */
static parley_status round_commit(struct round *round)
{
  struct sqlite_store *store = round->store;
  parley_status st;
  int code;

  if (round->db->error == 0)
    db_run(round->db, db_sql(round->db, "COMMIT"));
  st = db_status(round->db);
  code = round->db->error;
  if (st == PARLEY_OK) {
    tails_committed(round);
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
    if (!broken && !(store->full && takes_in(op->kind))) {
      left++;
      continue;
    }
    list_remove(&op->link);
    list_push(&refused, &op->link);
    op_ended(op, broken ? PARLEY_FAILED : PARLEY_RETRY);
  }
  if (!list_empty(&refused))
    store_finish(store->front, &refused);
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
    expire_step(&round);
  }
  counters_write(&round);
  st = round_commit(&round);
  for (struct list *at = ops->next; at != ops; at = at->next)
    op_ended(LIST_ITEM(at, struct store_op, link), st);
  store->gauges.rounds++;
  store->gauges.ops += n_ops;
  begun = (uv_hrtime() - begun) / 1000;
  if (begun > store->gauges.longest_round_us)
    store->gauges.longest_round_us = begun;
  store_round_ended(store->front, &store->gauges, round.last_seq);
  if (!list_empty(ops))
    store_finish(store->front, ops);
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

/* Waits for work. Returns how many ops were moved to `ops`; 0: time is up, or *closing. */
static size_t take(struct sqlite_store *store, struct list *ops, bool *closing)
{
  uint64_t wait_ns = (store->full ? FULL_WAIT_MS : tails_flushing(store) ? IDLE_SLICE_MS : IDLE_FLUSH_MS) * NS_PER_MS;
  bool timed = store->full || tails_pending(store);
  size_t n = 0;

  uv_mutex_lock(&store->write_lock);
  while (list_empty(&store->waiting) && !store->closing) {
    if (!timed)
      uv_cond_wait(&store->write_wake, &store->write_lock);
    else if (uv_cond_timedwait(&store->write_wake, &store->write_lock, wait_ns) != 0)
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
    else if (tails_pending(store) && !store->full && !atomic_load(&store->broken))
      idle_flush(store);
    housekeep(store);
  }
  others_stop(store);
  checkpoint_truncate(store);
  store_closed(store->front);
}
