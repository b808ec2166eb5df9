/* sqlite_write.h - what the writer's files share: a round, and the steps of which writes are made. Private to core/store.
 * Thread: the writer. A write function returns OK, REJECTED, NOT_FOUND or INVALID after it has written nothing or all; what
 * SQLite says meanwhile is looked at once, by the round. */
#ifndef CORE_STORE_SQLITE_WRITE_H
#define CORE_STORE_SQLITE_WRITE_H
#include "sqlite.h"

/* --- sqlite_round.c -------------------------------------------------------------------------------------------------------- */

struct counters { int64_t accepted, by_state[MESSAGE_STATES], inbound, duplicates, other_body; };
struct round {
  struct sqlite_store *store;
  struct db *db;
  int64_t now_ms; /* wall clock when it began */
  struct counters delta;
  uint64_t last_seq; /* newest event of the round; 0: none */
  size_t n_seats, seats_room;
  atomic_int **seats; /* places in lanes that the round took: given back when it fails */
  size_t n_tail, tail_room;
  struct tail_entry *tail; /* published after the commit */
  size_t n_idem;           /* put into the idem tail */
  struct buf scratch;      /* of whoever runs; cleared before use */
};
bool round_take_seat(struct round *round, atomic_int *room); /* false: the lane is full */
uint64_t round_event(struct round *round, const char *type, int64_t at_ms, id64 customer, id64 identity, id64 conversation,
                     id64 message, parley_text data); /* returns its seq */

typedef parley_status write_fn(struct round *round, struct store_op *op);
write_fn write_accept, write_claim, write_settle, write_receipt, write_orphans, write_sweep, write_cancel, write_resolve,
    write_inbound, write_customer_put, write_consent, write_suppress, write_touchpoint, write_conversation_put, write_note,
    write_doc_put, write_media_add, write_feed_move;
/* Called after the commit, or with committed == false after a roll-back, for kinds that hand memory over. */
void accept_ended(struct store_accept *accept, bool committed);

/* --- sqlite_tail.c ----------------------------------------------------------------------------------------------------------- */

void round_timeline(struct round *round, id64 customer, int64_t at_ms, uint64_t seq, uint32_t kind);
bool event_on_timeline(parley_text type);
bool idem_replayed(struct round *round, struct store_op *op, uint64_t *ret_h); /* true: op has the first one's answer */
void idem_keep(struct round *round, const struct store_op *op, uint64_t h);
bool tails_pending(const struct sqlite_store *store);
bool tails_flushing(const struct sqlite_store *store); /* a batch is on its way to its table */
void tails_seal(struct sqlite_store *store, size_t from_entries); /* outside of a round */
void tails_write(struct round *round, size_t n_new);
void tails_committed(struct round *round);
void tails_undo(struct round *round);
void tails_expire(struct sqlite_store *store); /* outside of a round: one small piece of what is past its time */

#endif
