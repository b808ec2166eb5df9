/* logic.h - what the store's logic shares, whatever the driver: the base of every driver's store, what a driver does in its own
 * way, and the facts that writes and reads are made of. Private to core/store.
 *
 * The logic (write_*.c, read_*.c, facts.c, round.c, expire.c) knows no driver: it has a `struct db`, and the base. */
#ifndef CORE_STORE_LOGIC_H
#define CORE_STORE_LOGIC_H
#include "db.h"
#include "driver.h"
#include "core/base/map.h"
#include "core/base/digest.h"

#define STORE_SCHEMA_VERSION 6 /* what a version means is the same for every driver */
#define BODY_INLINE_MAX 16384 /* bytes; a longer body stands in table `body` */

/* message.flags */
enum { MESSAGE_TEST = 1, MESSAGE_BODY_APART = 2, MESSAGE_AUTOMATIC = 4, MESSAGE_ECHO = 8, MESSAGE_RAW_APART = 16,
       MESSAGE_BODY_EXPIRED = 32 /* body and decision are kept no longer */,
       MESSAGE_FOREIGN = 64 /* in: its token names a message to somebody else */,
       MESSAGE_PARTIAL = 128 /* in: pieces of it are missing, or it is a piece that could not be joined */,
       MESSAGE_REVIEW = 256 /* in: its wording may mean that they want no more */,
       MESSAGE_STOP = 512, MESSAGE_START = 1024, MESSAGE_HELP = 2048 /* in: it is this keyword */,
       MESSAGE_ANSWERS_KEYWORD = 4096 /* out: goes to its address although that is opted out */ };
/* customer.flags: what need not be looked for */
enum { CUSTOMER_HAS_CONSENT = 1, CUSTOMER_HAS_EXTERNAL = 2, CUSTOMER_HAS_ALIAS = 4 };
enum { DIR_OUT = 0, DIR_IN = 1 };
enum { TIMELINE_MESSAGE = 1, TIMELINE_EVENT = 2 }; /* timeline.kind; seq is a message's id or an event's seq */

/* PostgreSQL's table seq counts slots of event numbers: seq.last is a number shifted by so many bits (postgres_round.c). */
#define SEQ_SLOT_BITS "22"
_Static_assert(ID_NODE_BITS + ID_COUNTER_BITS == 22, "SEQ_SLOT_BITS");

/* By its place, with its owner. A driver behind a socket may ask it ahead, by this very text. */
extern const char identity_get_sql[]; /* const: SQL */
/* What to do where its schema is not ours. */
static inline const char *schema_remedy(int64_t schema)
{
  return schema < STORE_SCHEMA_VERSION ? "start this version's parleyd on it first" : "use the parley of its own parleyd";
}

struct round;
struct fresh;
struct timeline_entry { int64_t at_ms; uint64_t seq; id64 customer; uint32_t kind; };

/* --- the base of every driver's store --------------------------------------------------------------------------------------- */

struct store_base;
#define SPACE_TABLES_MAX 64
struct space { /* read_space.c: what each reader has found out, for a while */
  bool known;
  int64_t at_ms; /* mono */
  uint64_t free_bytes, total_bytes; /* total: where the driver asks the server for it */
  int64_t oldest_ms[STORE_KEEP_KINDS];
  size_t n;
  struct { char name[32]; uint64_t bytes, rows; } tables[SPACE_TABLES_MAX];
};
void space_add(struct space *space, parley_text table, uint64_t bytes, uint64_t rows); /* to what is known of it */
struct reader { struct store_base *store; struct db *db; struct space space; };
/* Runs one read op. A function takes the timeline's tails first where it needs them, then read_begin(), its SELECTs, read_end().
 * Status: OK, NOT_FOUND, INVALID; a broken connection overrides it. op->arena is made already. */
typedef parley_status read_fn(struct reader *reader, struct store_op *op);

struct store_ways { /* what each driver does in its own way */
  uint64_t (*next_seq)(struct round *round); /* of an event; rising in the order of commits */
  void (*timeline_add)(struct round *round, const struct timeline_entry *entry);
  /* Entries of one customer that no table may hold yet, in no order; some may stand in the tables as well. Taken BEFORE the read
   * transaction begins, then what is double is dropped: so nothing committed is missed. NULL: all are in the tables. */
  size_t (*timeline_tail)(struct store_base *store, id64 customer, struct arena *arena, struct timeline_entry **ret);
  bool timeline_recent; /* entries stand in two tables, timeline_recent and timeline */
  /* True: op has the first one's answer. *ret_h: its place, for idem_keep(). */
  bool (*idem_replayed)(struct round *round, struct store_op *op, uint64_t *ret_h);
  void (*idem_keep)(struct round *round, const struct store_op *op, uint64_t h);
  void (*idem_expire)(struct round *round); /* one small piece of an index that is past its time; NULL: there is none */
  /* All events up to here stand in the tables that are written behind: nobody will read them again for those. NULL: they always do. */
  uint64_t (*written_upto)(struct round *round);
  bool update_keeps_room; /* a row that gets shorter leaves its room unused: it is taken out and put back */
  bool shared; /* others write to the store as well: what is kept of it in memory is asked for again */
  /* PostgreSQL: fibers of one round take turns on what both might change; NULL: ops run one after the other. True: in this round
   * nobody had it before. Else whoever has read something before it was locked reads it again. */
  bool (*lock)(struct db *db, uint64_t key);
  void (*lock_submission)(struct db *db, const struct submission *submission); /* all that it names, before it is looked up */
  bool op_is_snapshot; /* a read op is one snapshot from its begin: read_begin() has nothing to do */
  read_fn *backup;
  /* The piece that was asked for, of a row that is there. */
  parley_status (*media_piece)(struct reader *reader, struct store_media *ask);
  void (*sizes)(struct reader *reader, struct store_stats *ask); /* file_bytes, wal_bytes, schema */
  void (*space)(struct reader *reader, struct space *space);     /* tables, free_bytes: in a few ms, whatever their size */
};

struct retention { /* retain.c; the writer's own */
  struct store_keep keep;
  int64_t due_ms, late_ms, op_ms; /* mono: when to look next; at what was passed over; when an op came */
  bool behind; /* there is more to go: a round is wanted even without ops */
  bool holders_known;
  size_t n_holders;
  id64 *holders;
  uint64_t raw_at, attempt_at, late_body_at, late_event_at; /* where each walk stands */
};
struct store_base {
  const struct store_ways *ways;
  struct store *front;
  const struct env *env;
  const struct log *log;
  struct store_config config;
  uint8_t secret[32];
  struct hash_key hash_key;
  int64_t session; /* of this opening; deliveries SENDING under another are orphans */
  struct id_source ids;
  struct store_gauges gauges;
  struct store_restored restored; /* as it was opened */
  uint64_t n_suppressions, n_bounced; /* 0: nobody is looked up */
  struct map parked; /* hash of a channel's name: how many receipts are parked, as a pointer; see write_receipt.c */
  int64_t expire_ms, expire_at[4];   /* mono: when to look for what is past its time; where in each table */
  struct retention retention;
  struct fresh *fresh; /* fresh.h */
};

/* --- facts.c: whose it is and what is known of them; used by accept and, writing nothing, by explain ------------------------- */

struct customer_brief { id64 id, merged_into, conversation; uint32_t flags; parley_text name, locale, timezone; };
struct identity_row {
  uint64_t h; /* its place; of none: where it would go */
  id64 id;    /* 0: there is no such row */
  id64 customer; /* 0: nobody's */
  struct identity identity;
  struct customer_brief owner; /* id 0: nobody */
  int64_t created_ms, used_ms;
  bool blocked;
};
/* The columns of a customer `c` as others join it, and what they say from column `at` on. */
#define CUSTOMER_BRIEF "c.merged_into, c.flags, c.conversation, c.name, c.locale, c.timezone"
struct customer_brief customer_brief_of(struct stmt *row, int at, id64 id, struct arena *arena);
struct found { /* what a recipient's parts are in the store */
  struct ownership own;
  struct identity_row external, rows[RECIPIENT_IDENTITIES_MAX];
};
/* The first columns of whoever reads begun deliveries, as what route moves. */
#define DELIVERY_FACTS "step, state, facts, attempt, token, held, maybe_twice, handed, started, due, deaths"
enum { DELIVERY_FACTS_COLUMNS = 11 };
struct delivery_facts delivery_facts_of(struct stmt *row, int from); /* from: its first column */
#define PARTS_COLUMNS "parts, part_delivered, part_read, part_failed"
struct parts parts_of(struct stmt *row, int first); /* first: of those columns */
/* By kind and value, then by its national variants. False: nobody has it, ret->h is its place (ret->id may still be there). */
bool identity_find(struct db *db, const struct hash_key *key, const struct identity *wanted, struct arena *arena,
                   struct identity_row *ret);
bool customer_find(struct db *db, id64 id, struct arena *arena, struct customer_brief *ret);
/* The customer and all that are merged with it, itself first. */
size_t customer_aliases(struct db *db, const struct customer_brief *customer, struct arena *arena, id64 **ret);
/* The ledger's newest entries of one topic, for each channel kind and each customer of the alias set: what consent_check() asks. */
enum { FACTS_CONSENTS_MAX = 64 };
/* Whether it may have said anything, and whether what it has said stands under other customers as well. */
static inline bool customer_has_consents(const struct customer_brief *customer)
{
  return (customer->flags & (CUSTOMER_HAS_CONSENT | CUSTOMER_HAS_ALIAS)) != 0 || customer->merged_into != 0;
}
static inline bool customer_is_alone(const struct customer_brief *customer)
{
  return customer->merged_into == 0 && !(customer->flags & CUSTOMER_HAS_ALIAS);
}
size_t consents_find(struct db *db, const struct customer_brief *customer, parley_text topic, struct arena *arena,
                     struct consent **ret);
bool suppression_find(struct db *db, const struct hash_key *key, parley_text kind, parley_text value); /* in force, of all kinds */
/* What keeps this address from getting anything on this kind of channel, in one look. opted_out: the telephone, however its number is
 * written, has said STOP there. */
struct silent { bool suppressed, opted_out; };
struct silent address_silent(struct db *db, const struct hash_key *key, const struct identity *identity, parley_text channel_kind,
                             struct arena *arena);
void recipient_find(struct db *db, const struct hash_key *key, const struct recipient *asked, struct arena *arena,
                    struct found *ret);
/* facts for decide(); customer->id 0: one that would be made. suppressions: whether there are any at all. */
void facts_load(struct db *db, const struct hash_key *key, bool suppressions, const struct submission *submission,
                const struct found *found, const struct resolution *resolution, const struct customer_brief *customer,
                struct arena *arena, struct facts *ret);
#endif
