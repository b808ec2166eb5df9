/* round.c - one transaction for many ops: what write functions use of it, what runs an op, and what is told at its end. */
#include "write.h"
#include <stdlib.h>

#define RENDER_USUAL 384 /* bytes of an answer to one message with a plan of one or two steps */

/* --- pieces that write functions use ---------------------------------------------------------------------------------------- */

static void seat_keep(struct round *round, atomic_int *room)
{
  if (round->n_seats == round->seats_room) {
    round->seats_room = round->seats_room == 0 ? 64 : round->seats_room * 2;
    round->seats = xrealloc(round->seats, round->seats_room * sizeof(*round->seats));
  }
  round->seats[round->n_seats++] = room;
}

bool round_take_seat(struct round *round, atomic_int *room)
{
  int left = atomic_load_explicit(room, memory_order_relaxed);

  do {
    if (left <= 0)
      return false;
  } while (!atomic_compare_exchange_weak(room, &left, left - 1));
  seat_keep(round, room);
  return true;
}

bool event_on_timeline(parley_text type)
{
  return text_starts(type, "touchpoint.") || text_starts(type, "consent.") || parley_text_is(type, "conversation.note") ||
         parley_text_is(type, "customer.merged") || parley_text_is(type, "customer.unmerged") ||
         parley_text_is(type, "message.clicked") || parley_text_is(type, "message.opened");
}

void round_timeline(struct round *round, id64 customer, int64_t at_ms, uint64_t seq, uint32_t kind)
{
  round->store->ways->timeline_add(round, &(struct timeline_entry){at_ms, seq, customer, kind});
}

uint64_t round_event(struct round *round, const char *type, int64_t at_ms, id64 customer, id64 identity, id64 conversation,
                     id64 message, parley_text data)
{
  struct stmt *put = db_sql(round->db, "INSERT INTO event(seq, type, at, customer, identity, conversation, message, data)"
                                        " VALUES(?, ?, ?, ?, ?, ?, ?, ?)");
  uint64_t seq = round->store->ways->next_seq(round);
  parley_text name = parley_text_of(type);

  bind_id(put, 1, seq);
  bind_text(put, 2, name);
  bind_int(put, 3, at_ms);
  bind_id(put, 4, customer);
  bind_id(put, 5, identity);
  bind_id(put, 6, conversation);
  bind_id(put, 7, message);
  bind_text(put, 8, data);
  db_run(put);
  round->last_seq = seq;
  if (customer != 0 && event_on_timeline(name))
    round_timeline(round, customer, at_ms, seq, TIMELINE_EVENT);
  return seq;
}

void counters_write(struct round *round)
{
  struct stmt *put = db_sql(
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
  db_run(put);
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
      [STORE_RESTORED] = write_restored,
      [STORE_RESUME] = write_resume,
      [STORE_RETAIN] = write_retain,
      [STORE_JOIN_SWEEP] = write_join_sweep,
  };

  return (size_t)kind < COUNT_OF(writes) ? writes[kind] : NULL;
}

bool op_takes_in(enum store_kind kind)
{
  return kind == STORE_ACCEPT || kind == STORE_INBOUND || kind == STORE_TOUCHPOINT || kind == STORE_MEDIA_ADD;
}

static void op_render(struct round *round, struct store_op *op, uint64_t h)
{
  struct buf body = BUF_INIT(0);
  uint32_t code;

  buf_expect(&body, RENDER_USUAL);
  code = op->render(op, &body);
  op->answer_status = code;
  op->answer = arena_text(op->arena, buf_as_text(&body));
  buf_done(&body);
  if (code < 400)
    round->store->ways->idem_keep(round, op, h);
}

void op_run(struct round *round, struct store_op *op)
{
  write_fn *write = write_of(op->kind);
  uint64_t h = 0;

  op->status = PARLEY_INVALID;
  if (write == NULL)
    return;
  if (op->idem != NULL && round->store->ways->idem_replayed(round, op, &h)) {
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

void op_ended(struct store_op *op, parley_status commit)
{
  if (op->kind == STORE_ACCEPT)
    accept_ended(container_of(op, struct store_accept, op),
                 commit == PARLEY_OK && op->status == PARLEY_OK && op->replay == REPLAY_NO);
  if (commit == PARLEY_OK)
    return;
  op->status = commit;
  op_forget_claims(op);
}

/* --- parts --------------------------------------------------------------------------------------------------------------------- */

bool round_lock_customer(struct round *round, id64 customer)
{
  return round->store->ways->lock == NULL || round->store->ways->lock(round->db, customer);
}

static void counters_add(struct counters *to, const struct counters *from)
{
  to->accepted += from->accepted;
  to->inbound += from->inbound;
  to->duplicates += from->duplicates;
  to->other_body += from->other_body;
  for (int i = 0; i < MESSAGE_STATES; i++)
    to->by_state[i] += from->by_state[i];
}

void round_merge(struct round *round, struct round *part)
{
  counters_add(&round->delta, &part->delta);
  if (part->last_seq > round->last_seq)
    round->last_seq = part->last_seq;
  for (size_t i = 0; i < part->n_seats; i++)
    seat_keep(round, part->seats[i]);
  for (size_t i = 0; i < part->n_tail; i++)
    round->store->ways->timeline_add(round, &part->tail[i]);
  round->n_idem += part->n_idem;
  round_done(part);
}

struct split { struct round *round; void (*fn)(struct round *round, size_t i, void *arg); void *arg; };

static void part_run(struct db *db, size_t i, void *arg)
{
  struct split *parts = arg;
  struct round part = {.store = parts->round->store, .db = db, .now_ms = parts->round->now_ms};

  parts->fn(&part, i, parts->arg);
  round_merge(parts->round, &part);
}

void round_each(struct round *round, size_t n, void (*fn)(struct round *round, size_t i, void *arg), void *arg)
{
  struct split parts = {round, fn, arg};

  if (n != 1 && round->store->ways->lock != NULL) {
    db_each(round->db, n, part_run, &parts);
    return;
  }
  for (size_t i = 0; i < n; i++) /* in turn, or alone: it needs no part */
    fn(round, i, arg);
}

/* --- what is told once a round ------------------------------------------------------------------------------------------------ */

void round_give_seats_back(struct round *round)
{
  for (size_t i = 0; i < round->n_seats; i++)
    atomic_fetch_add(round->seats[i], 1);
  round->n_seats = 0;
}

void round_done(struct round *round)
{
  free(round->seats);
  free(round->tail);
  buf_done(&round->scratch);
}

void store_recount(struct store_base *store, struct db *db)
{
  store->n_suppressions = (uint64_t)db_int_of(db, "SELECT count(*) FROM suppression WHERE removed=0");
  park_counts_read(store, db);
  store->n_bounced = (uint64_t)db_int_of(db, "SELECT count(*) FROM (SELECT 1 FROM bounce LIMIT 1) AS one");
}

id64 newest_id(struct db *db)
{
  return (id64)db_int_of(db, "SELECT max(v) FROM (SELECT last_id AS v FROM counter UNION ALL SELECT max(id) FROM message"
                             " UNION ALL SELECT max(seq) FROM event UNION ALL SELECT max(id) FROM customer"
                             " UNION ALL SELECT max(id) FROM answer) AS newest");
}
