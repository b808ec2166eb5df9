/* write.h - what the writes share: a round, and the steps of which writes are made. Private to core/store.
 * A write function returns OK, REJECTED, NOT_FOUND or INVALID after it has written nothing or all; what the database says
 * meanwhile is looked at once, by the round. */
#ifndef CORE_STORE_WRITE_H
#define CORE_STORE_WRITE_H
#include "logic.h"

/* --- round.c: one transaction for many ops ------------------------------------------------------------------------------------ */

struct counters { int64_t accepted, by_state[MESSAGE_STATES], inbound, duplicates, other_body, expired[STORE_KEEP_KINDS]; };
struct round {
  struct store_base *store;
  struct db *db;
  int64_t now_ms; /* wall clock when it began */
  struct counters delta;
  uint64_t last_seq; /* newest event of the round; 0: none */
  size_t n_seats, seats_room;
  atomic_int **seats; /* places in lanes that the round took: given back when it fails */
  size_t n_tail, tail_room;
  struct timeline_entry *tail; /* sqlite: published after the commit */
  size_t n_idem;               /* sqlite: keys that its tail took */
  struct buf scratch;          /* of whoever runs; cleared before use */
};
bool round_take_seat(struct round *round, atomic_int *room); /* false: the lane is full */
uint64_t round_event(struct round *round, const char *type, int64_t at_ms, id64 customer, id64 identity, id64 conversation,
                     id64 message, parley_text data); /* returns its seq */
void round_timeline(struct round *round, id64 customer, int64_t at_ms, uint64_t seq, uint32_t kind);
bool event_on_timeline(parley_text type);
/* Runs one op: its idempotency key, the write itself, the answer that is kept with it. Sets op->status. */
void op_run(struct round *round, struct store_op *op);
bool op_takes_in(enum store_kind kind); /* what a store that cannot be written refuses first */
/* The round of the op has been committed, or not: then its status is that of the commit, and what it had claimed is nobody's. */
void op_ended(struct store_op *op, parley_status commit);
void counters_write(struct round *round);
void round_merge(struct round *round, struct round *part); /* what a part of it did; the part is done */
/* fn for 0 .. n-1, each with a part of the round to itself, all at once where the driver can. */
void round_each(struct round *round, size_t n, void (*fn)(struct round *round, size_t i, void *arg), void *arg);
/* Before what is theirs is changed. False: what was read before may have changed meanwhile, and is read again. */
bool round_lock_customer(struct round *round, id64 customer);
void round_give_seats_back(struct round *round);
void round_done(struct round *round);
void park_counts_read(struct store_base *store, struct db *db);
void park_expire(struct round *round, int64_t before_ms, int64_t limit); /* the oldest */
void store_recount(struct store_base *store, struct db *db); /* what is counted in memory, at a start and after a roll-back */
/* Newest of all ids: a node's source must start above it, wherever the clock stands. */
id64 newest_id(struct db *db);

typedef parley_status write_fn(struct round *round, struct store_op *op);
write_fn write_accept, write_claim, write_settle, write_receipt, write_orphans, write_sweep, write_cancel, write_resolve,
    write_inbound, write_customer_put, write_consent, write_suppress, write_touchpoint, write_conversation_put, write_note,
    write_doc_put, write_media_add, write_feed_move, write_clock_back, write_restored,
    write_resume, write_retain, write_join_sweep;
/* After the commit the claims take over their submissions; without it there are no claims. */
void accept_ended(struct store_accept *accept, bool committed);

/* --- write_identity.c: customers come to be, identities become theirs ------------------------------------------------------- */

struct who { /* whose message it is, once that is settled and written */
  enum accept_result result;
  bool created;
  struct customer_brief customer;
  struct found found;             /* rows of links that were made are filled in */
  struct resolution resolution;
};
/* Resolves, then creates and links what the rules say. Writes nothing unless result is ACCEPTED. */
void who_resolve(struct round *round, const struct recipient *asked, struct arena *arena, int64_t now_ms, bool inbound,
                 struct who *ret);
/* The event for each identity that was somebody else's. */
void who_tell_conflicts(struct round *round, const struct recipient *asked, const struct who *who, int64_t at_ms);
id64 customer_make(struct round *round, int64_t now_ms);
/* at: as identity_find() left it. Fills in at->id and at->customer. */
void identity_link(struct round *round, const struct identity *identity, uint32_t assurance, id64 customer, int64_t now_ms,
                   struct identity_row *at);
void identity_unlink(struct round *round, const struct identity_row *row, int64_t now_ms);
void customer_flag(struct round *round, id64 customer, uint32_t flags);

/* --- write_life.c: one message and its begun deliveries, moved by advance(); write_life_rows.c: life_load(), life_write() --------- */

struct life_row { /* beside delivery_facts */
  id64 id, identity;
  parley_text channel, channel_kind, address_kind, address;
  parley_text provider_id, provider_ids, degraded, reason; /* ids, degraded: JSON arrays or empty */
  parley_text part_code; /* of a part that failed: what its receipt's code was */
  uint32_t outcome;
  struct parts parts; /* n: how many provider ids it has, 0: none yet */
  int64_t wake_ms;
  bool query, changed; /* changed: differs from the file */
};
struct life_rest { /* of a delivery's row: what an outcome alone leaves as it is */
  int64_t due_ms, wake_ms;
  uint64_t token;
  struct parts parts; /* but for n */
  uint32_t attempt, deaths;
  bool held, maybe_twice, cancelled, query;
  parley_text provider_ids, degraded, reason, part_code;
};
struct life {
  id64 id, customer, identity, conversation, api_key;
  int64_t created_ms, expires_ms;
  uint32_t flags;
  enum topic_class class;
  parley_text topic, key;
  parley_text code, detail;            /* of what happened: shown in the event; '' */
  uint32_t n_go;
  int end_state;                       /* enum message_state of one without deliveries, else -1 */
  struct customer_brief who;           /* life_who() reads it */
  struct consent *consents;            /* what they have said of its topic; where consents_read */
  size_t n_consents;
  bool consents_read;
  parley_bytes body;                   /* of the message's own row; '' unless it was loaded to be claimed */
  struct decision *decision;           /* NULL: one sendable step only, not read */
  const struct policy *policy;         /* may be NULL: nothing can be begun then */
  struct arena *arena;
  struct life_row rows[PLAN_STEPS_MAX];
  struct life_rest stored[PLAN_STEPS_MAX]; /* of rows, as they stand in the store */
  struct delivery_facts facts[PLAN_STEPS_MAX];
  struct step_facts steps[PLAN_STEPS_MAX];
  struct message_facts message;
};
bool life_load(struct round *round, id64 message, const struct policy *policy, int64_t now_ms, struct arena *arena,
               struct life *ret);
/* The same by one question, with what life_claim() wants beside. */
bool life_load_to_claim(struct round *round, id64 message, const struct policy *policy, int64_t now_ms, struct arena *arena,
                        struct life *ret);
/* What was just claimed need not be read back. */
void life_keep_fresh(struct round *round, const struct life *life);
enum message_state life_state(const struct life *life);
/* Runs advance() and writes what came of it: rows, counters, event, suppression, the next step. next: gets the next step's claim
 * when it was claimed at once; NULL: it waits in the store. */
struct advanced life_advance(struct round *round, struct life *life, const struct happened *happened, struct claim **next);
const struct customer_brief *life_who(struct round *round, struct life *life); /* its customer, as of now */
/* It waits and may not go, by the word of consent_stops(): the plan goes on without it. */
struct advanced life_stop(struct round *round, struct life *life, size_t row, const char *why, struct claim **next);
/* Marks the row SENDING under our session, with the next attempt and token, and fills the claim. */
void life_claim(struct round *round, struct life *life, size_t row, int64_t now_ms, struct claim *ret);
/* The oldest waiting delivery of this customer on an ordered channel, now that the one before it has ended; NULL: none, or no
 * seat. */
struct claim *life_claim_next_ordered(struct round *round, const struct life *ended, size_t row);
void life_write(struct round *round, struct life *life); /* rows marked `changed` by others than life_advance() */
void life_write_parts(struct round *round, struct life *life, size_t row); /* what was said of its parts, and nothing more */
int life_row_of(const struct life *life, uint32_t step);          /* -1: not begun */
int life_row_of_channel(const struct life *life, parley_text channel); /* the newest; -1: none */

struct begin { /* a step of a plan that starts */
  id64 message, customer, conversation;
  uint32_t step;
  const struct decided_step *decided;
  const struct policy_channel *channel; /* NULL: gone from the configuration; then it waits */
  enum lane lane;
  int64_t now_ms, due_ms, expires_ms, wake_ms; /* wake_ms: while it waits */
};
/* Inserts the delivery. True: SENDING, attempt 1, a seat taken; *ret_id its dlv_ id. */
bool delivery_begin(struct round *round, const struct begin *begin, id64 *ret_id);

/* --- write_settle.c --- */

struct attempt_ended { /* one attempt that is over */
  id64 message;
  uint32_t step, number, outcome;
  uint64_t token;
  int64_t started_ms, ended_ms;
  parley_text code, detail, provider_id;
  bool late; /* the attempt was not open any more: it may have a row already */
};
void attempt_put(struct round *round, const struct attempt_ended *ended);

/* --- write_receipt.c --- */

struct receipt { uint32_t kind, outcome; int64_t at_ms; parley_text code, detail, link, agent; /* kind: PARLEY_RECEIPT_* */
                 bool machine; size_t n_whose; id64 *whose; /* the last two: out */ };
/* part: index of the part meant, -1: all. Of several parts the delivery is what parts_fact() says. False: nothing new. */
bool receipt_apply(struct round *round, struct life *life, size_t row, int part, struct receipt *receipt,
                   struct claim **next);
/* After an attempt: its provider ids become known, and what came early is joined. */
void receipts_join(struct round *round, struct life *life, size_t row, const parley_text *ids, size_t n_ids, struct claim **next);
/* Our own msg_ id is known without. */
void provider_ref_put(struct round *round, parley_text channel, parley_text id, id64 message, uint32_t step, int part);
/* It names a message of ours by itself, though perhaps one that is not made yet: nobody else's to have. */
bool provider_ref_is_ours(parley_text id);
/* Whose message a provider id is; false: nobody's. */
bool provider_ref_find(struct round *round, parley_text channel, parley_text id, id64 *ret_message, uint32_t *ret_step,
                       int *ret_part);

/* --- write_accept.c -------------------------------------------------------------------------------------------------------------- */

/* The message a business key stands for; 0: none. *ret_h: its place. */
id64 business_key_find(struct round *round, parley_text key, int64_t now_ms, uint64_t *ret_h);
void business_key_free(struct round *round, parley_text key, id64 message);
void body_insert(struct round *round, id64 message, parley_bytes body); /* of one that is too long for its row */

/* A message of ours, that nobody asked for by a request: its way is the same, but it waits in the store until it is claimed. */
void accept_own(struct round *round, decide_fn *by, struct accept_item *item, struct arena *arena);

/* --- write_inbound.c --- */

struct seen { /* key of something that may come twice */
  uint64_t h;
  id64 id; /* what it became; 0: new */
  int64_t at_ms;
  bool other_body;
  parley_text what;
};
/* kind, channel and the sender's own key. sha256: of what was signed, or NULL. */
struct seen seen_find(struct round *round, const char *kind, parley_text channel, parley_text key, const uint8_t *sha256,
                      struct arena *arena);
void seen_put(struct round *round, const struct seen *seen, id64 id, const uint8_t *sha256);
/* One that nobody has brought before: customer, conversation, row, event, and what it asks for by keyword. */
parley_status inbound_make(struct round *round, struct store_inbound *in);
/* What the channel calls it; nothing where that is another message's name already. */
void inbound_named(struct round *round, parley_text channel, parley_text provider_id, id64 message);

/* --- write_join.c, write_joined.c: texts that come in pieces --- */

/* Keeps it, and makes the message if it was the last one. */
parley_status piece_take(struct round *round, struct store_inbound *in);
/* The message that a piece is in, which was seen as `id`: of the message, or of the text. 0: it waits, or is not known any more. */
id64 piece_message(struct round *round, const struct store_inbound *in, id64 id);
/* It becomes a message by itself, and says so. */
parley_status piece_alone(struct round *round, struct store_inbound *in, const char *why);

/* Of texts whose message was made so long ago that nobody sends a piece again; what waits for pieces never ends here. */
void joined_expire(struct round *round, size_t limit);

/* --- write_keyword.c: STOP, START, HELP --- */

void keyword_hear(struct store_inbound *in); /* what it is: in->heard, before its row is written */
void keyword_do(struct round *round, struct store_inbound *in, id64 identity); /* and what follows, after that */

/* --- write_conversation.c --- */

bool conversation_find(struct round *round, id64 id, id64 *ret_customer);
id64 conversation_open(struct round *round, const struct conversation_row *row);
/* The customer has written: last channel and address; pending and snoozed become open. */
void conversation_heard(struct round *round, id64 id, id64 identity, parley_text channel, parley_text channel_kind,
                        int64_t now_ms, struct arena *arena);
/* The customer has answered in one that was closed, and has no other open one. */
void conversation_reopen(struct round *round, id64 id, int64_t now_ms, struct arena *arena);
/* What a message of the conversation is called on its channel; read back for an answer. */
void thread_put(struct round *round, id64 conversation, id64 message, parley_text channel, parley_text provider_id, bool inbound);
void thread_load(struct round *round, struct arena *arena, struct claim *claim);

/* --- write_consent.c ------------------------------------------------------------------------------------------------------------- */

/* What decide() let pass may be forbidden by now: asked again of each delivery that is read back to be handed over. NULL: it may
 * go; else why not, as in HAPPEN_STOPPED. */
const char *consent_stops(struct round *round, struct life *life, size_t row);
struct bounced { int64_t at_ms; id64 customer, message; parley_text code, detail, channel_kind; }; /* what a suppression comes from */
void suppression_add(struct round *round, const struct identity *identity, const char *reason, const struct bounced *from);
/* An address has said STOP on a kind of channel, and START. False: it had said so already. */
bool opt_out_add(struct round *round, const struct identity *identity, const struct bounced *from, struct arena *arena);
bool opt_out_lift(struct round *round, const struct identity *identity, const struct bounced *from, struct arena *arena);
/* One that may pass. The SOFT_BOUNCES_MAX-th in a row suppresses the address. */
void bounce_soft(struct round *round, const struct identity *identity, const struct bounced *from);
void bounce_sent(struct round *round, const struct identity *identity, id64 message); /* taken by the provider */
void bounce_over(struct round *round, const struct identity *identity);               /* something has arrived there */

/* --- idem.c: an idempotency key and its answer ------------------------------------------------------------------------------- */

#define IDEM_TWINS_MAX 16 /* different keys of one 64-bit hash that are looked through */
#define IDEM_ANSWER_COLUMNS "api_key, route, key, body_hash, status, body"
uint64_t idem_hash(const struct store_base *store, const struct store_op *op); /* never 0 */
uint64_t idem_next(uint64_t h);                                                /* the place of a twin */
/* row: of IDEM_ANSWER_COLUMNS. True: it is this very key's, and op has what was answered. */
bool idem_answer_is(struct stmt *row, struct store_op *op);
id64 idem_answer_put(struct round *round, const struct store_op *op, uint64_t h);

/* --- expire.c, retain.c -------------------------------------------------------------------------------------------------------- */

/* A slice of each table: now and then, and more often while it is behind. */
void expire_step(struct round *round, size_t n_ops);
uint64_t expire_wait_ms(const struct store_base *store); /* while behind: until its next turn, 1 at least */
bool retain_slice(struct round *round); /* true: there is more that is past its time */
void retain_late(struct round *round, int64_t mono_ms);
void retain_committed(struct round *round); /* what it has let go is gone */
void retain_done(struct store_base *store);

#endif
