/* store.h - everything durable, behind one asynchronous door. The only folder that knows SQL; this header knows none.
 *
 * Threads   Every function here is called on the loop and calls back on the loop. The pure functions handed in (decide, render)
 *           run wherever the driver works: they touch nothing but their arguments.
 * Requests  A caller embeds a `struct store_op` at the start of its own request, fills it in, store_submit()s it and gets
 *           done(op) exactly once, with op->status. Inputs are borrowed until then; results live in op->arena, which the
 *           caller frees. PARLEY_OK of a write means: committed and flushed.
 * Errors    OK; NOT_FOUND; REJECTED (the rules say no, see the op); BUSY (queue full: 503); RETRY (disk full, locked: 503, it
 *           heals by itself); FAILED (the store must be closed and reopened: after a failed fsync nothing is believed).
 * Groups    Writes of one turn of the loop, and all that wait while a commit runs, go into the next commit, in the order
 *           submitted, at most STORE_ROUND_MAX. A failed commit fails all of its ops and undoes whatever was kept in memory
 *           for them.
 * Ids       are given by the store (rising, never below the last persisted). Event seq = event id, given at commit order. */
#ifndef CORE_STORE_STORE_H
#define CORE_STORE_STORE_H
#include "core/base/list.h"
#include "core/base/log.h"
#include "core/route/advance.h"
#include "core/route/decide.h"
#include "core/route/parts.h"
#include <uv.h>

#define STORE_ROUND_MAX 512    /* write ops in one commit */
#define STORE_QUEUE_MAX 16384  /* write ops waiting; beyond: BUSY */
#define STORE_READ_QUEUE_MAX 4096
#define STORE_CLAIM_MAX 1024  /* rows of one claim, sweep or orphans op */
#define STORE_RESTORED_MAX 256 /* of one restored op: it runs while messages are accepted */

/* For how long; 0: forever. What is not final stays whatever its age: the body of a message that may still be sent, an event that
 * a receiver has not had. */
enum { KEEP_BODIES, KEEP_RAW, KEEP_EVENTS, KEEP_ATTEMPTS, STORE_KEEP_KINDS };
struct store_keep { int64_t bodies_ms, raw_ms, events_ms, attempts_ms; };
struct store;
struct store_config {
  const char *driver, *path; /* "sqlite": the file */
  uint32_t node;             /* 0-1023, part of ids */
  int64_t idempotency_keep_ms; /* 7 days at least */
  void (*committed)(uint64_t last_seq, void *arg); /* on the loop after each commit that added events; NULL allowed */
  void *arg;
  const char *url; /* "postgres": a libpq connection URI or string; with several hosts the one that may be written is taken */
  bool restored; /* what is opened may be older than what has happened since: mark it as restored, see store_restored() */
  struct store_keep keep;
};
/* Blocking: called at start only. Opens or creates, migrates, recovers (also starts a new session: deliveries that an earlier
 * one left SENDING come back through STORE_ORPHANS). FAILED with a clear line for: a second daemon on the same file, a schema
 * whose readable_from is newer than ours, a foreign file, a read-only one, a damaged page. */
parley_status store_open(const struct store_config *config, uv_loop_t *loop, const struct env *env, const struct log *log,
                         struct store **ret, struct buf *reterr_why);
/* Blocking, apart from any opening: whether `config` names a store that can be (a URL that libpq reads) and, with `connect`, whether
 * its server answers, takes writes and fits. Nothing is made. FAILED: why, and what to do. A file is always OK. */
parley_status store_reach(const struct store_config *config, bool connect, struct buf *reterr_why);
/* Finishes what was submitted, checkpoints, closes. closed(arg) on the loop, last. Sets *store to NULL at once. */
void store_close(struct store **store, void (*closed)(void *arg), void *arg);

enum store_kind {
  /* writes */
  STORE_ACCEPT = 1, STORE_CLAIM, STORE_SETTLE, STORE_RECEIPT, STORE_ORPHANS, STORE_SWEEP, STORE_CANCEL, STORE_RESOLVE,
  STORE_INBOUND, STORE_CUSTOMER_PUT, STORE_CONSENT, STORE_SUPPRESS, STORE_TOUCHPOINT, STORE_CONVERSATION_PUT, STORE_NOTE,
  STORE_DOC_PUT, STORE_MEDIA_ADD, STORE_FEED_MOVE, STORE_CLOCK_BACK, STORE_RESTORED, STORE_RESUME, STORE_RETAIN,
  STORE_JOIN_SWEEP, STORE_BACKUP,
  /* reads: never wait behind a flush */
  STORE_MESSAGE, STORE_MESSAGES, STORE_CUSTOMER, STORE_TIMELINE, STORE_EVENTS, STORE_CONVERSATIONS, STORE_SUPPRESSIONS,
  STORE_DOCS, STORE_MEDIA, STORE_FACTS, STORE_FEED_DUE, STORE_STATS,
};

/* One POST with an Idempotency-Key. Looked up before the write, in its transaction; on a hit nothing is written. */
struct store_idem {
  id64 api_key;
  parley_text route, key;         /* "POST /v1/messages" */
  uint8_t body_sha256[SHA256_BYTES];
};
enum store_replay { REPLAY_NO, REPLAY_SAME /* answer_status, answer hold the first one's */, REPLAY_OTHER_BODY };

struct store_op {
  enum store_kind kind;
  void (*done)(struct store_op *op); /* on the loop, once */
  parley_status status;
  struct arena *arena;               /* results; made by store_submit(), freed by the caller */
  const struct store_idem *idem;     /* writes: NULL or as above */
  /* With idem: makes the answer that is stored with the write, from the op's results; returns its HTTP code. Answers of 400 and
   * above are not stored. Runs inside the transaction. */
  uint32_t (*render)(struct store_op *op, struct buf *body);
  enum store_replay replay;          /* out */
  uint32_t answer_status;            /* out, with idem: the first or the replayed answer */
  parley_text answer;
  struct list link;                  /* the driver's */
  int64_t queued_ms;
};
void store_submit(struct store *store, struct store_op *op);

/* --- Out: accept, claim, settle ------------------------------------------------------------------------------------- */

/* A delivery handed to core/deliver: its attempt is written and flushed. */
struct claim {
  id64 message, delivery, customer, identity, conversation;
  uint32_t step, attempt, lane;
  uint64_t token;
  uint32_t deaths;   /* how often the plugin's process died with it in hand: above 0 it is handed over alone */
  bool resent;       /* an earlier attempt may have gone out */
  bool query;        /* ask the plugin what became of it; send nothing */
  bool test;
  int64_t accepted_ms, expires_ms;
  int64_t handed_ms;           /* when it was first given to the plugin, in an earlier attempt; 0: never */
  parley_text topic, channel;
  parley_text address_kind, address;
  parley_text customer_name, locale, timezone;
  parley_bytes body;           /* the message's JSON as stored; empty when submission is set */
  struct submission *submission; /* straight from accept: owned by the claim's receiver now; NULL when read back */
  size_t n_provider_ids;       /* of parts that went out in earlier attempts */
  parley_text *provider_ids;
  size_t n_thread;             /* of an answer: what its conversation's messages are called on this channel, oldest first */
  parley_text *thread;
  parley_text reply_to;        /* of them, the customer's last one */
  parley_text subject;         /* of that conversation, without "Re:"; empty: it has none */
};
#define STORE_THREAD_MAX 20    /* newest provider ids of a conversation that an answer names */

enum accept_result { ACCEPTED = 1, ACCEPT_DUPLICATE_KEY /* `message` is the first one's */, ACCEPT_NO_CUSTOMER, ACCEPT_CONFLICT,
                     ACCEPT_NO_CONVERSATION };
struct accept_item {
  struct submission *submission;  /* in; the caller's again at done, unless claim took it (then NULL) */
  enum accept_result result;      /* out from here; texts in op.arena */
  id64 message, customer, conversation;
  int64_t created_ms;
  enum message_state state;
  struct decision *decision;      /* for the answer */
  parley_bytes decision_json;     /* of a DUPLICATE_KEY's first message */
  struct claim *claim;            /* NULL: it waits in the store */
};
struct store_accept {
  struct store_op op; /* STORE_ACCEPT; done with OK although single items were refused */
  decide_fn *decide;
  size_t n_items;
  struct accept_item *items;
};

/* Claims what is due on one channel and lane: state SENDING, token and attempt raised, flushed. Expired ones are ended instead.
 * On an ORDERED channel only the oldest open delivery of each customer is taken. */
struct store_claim {
  struct store_op op;
  const struct policy_channel *channel;
  struct policy *policy; /* a reference held by the caller until done */
  enum lane lane;
  size_t limit;
  int64_t now_ms;
  size_t n_claims; /* out */
  struct claim *claims;
  int64_t next_due_ms; /* out: when the next one is due, 0: none waits. <= now: more are due already */
};

struct store_settle {
  struct store_op op;
  id64 message;
  uint32_t step;
  uint64_t token;
  uint32_t outcome; /* PARLEY_OUTCOME_*; 0 with `taken_back`: not handed over after all (channel gone, shutting down): as it
                       was before the claim, costs no attempt */
  bool taken_back;
  bool died;        /* with UNKNOWN: the plugin's process died with it in hand */
  bool handed;      /* it had been given to the plugin */
  int64_t started_ms, ended_ms, retry_at_ms;
  parley_text code, detail;
  size_t n_provider_ids;      /* beyond PARTS_MAX none counts */
  const parley_text *provider_ids;
  const char *const *degraded; /* fit's words; n_degraded */
  size_t n_degraded;
  struct policy *policy;
  bool stale;                 /* out: the token was no longer ours */
  enum message_state before, after; /* out */
  struct claim *next;         /* out: the next step of the plan, claimed at once; NULL: none or it waits */
};

/* A provider's receipt. By message id, or by provider id on this channel; an id nobody knows yet is parked for 24 h and joined
 * when the attempt settles. A provider's id never crosses channels. */
struct store_receipt {
  struct store_op op;
  parley_text channel, provider_id;
  id64 message; /* 0: by provider_id */
  bool proven;  /* it was named by our own token: then it may have come to another channel of the same kind than sent it */
  uint32_t receipt; /* PARLEY_RECEIPT_* */
  uint32_t outcome; /* of FAILED */
  int64_t at_ms;
  parley_text code, detail;
  parley_text to; /* the address that it is about; of another one than the delivery's it changes nothing. Empty: the delivery's */
  parley_text link, agent; /* of OPENED and CLICKED: what was opened, and with what program */
  bool machine;            /* no person did */
  bool parked, repeated;   /* out */
  size_t n_whose;          /* out, as in store_consent */
  id64 *whose;
  struct policy *policy;
  struct claim *next;
};

/* What a dead session left SENDING, and what was not settled in time: token raised, unknown by policy. Called until n is 0. */
struct store_orphans { struct store_op op; struct policy *policy; size_t limit; size_t n; };
/* The wall clock was set back by by_ms: waits of this channel and lane, but for those until a time of day, move with it. One
 * slice of STORE_CLAIM_MAX in order of due; n: how many it had. Submit it again as it is while n is STORE_CLAIM_MAX. */
struct store_clock_back { struct store_op op; parley_text channel; enum lane lane; int64_t now_ms, by_ms, after_due_ms;
                          id64 after_message; uint32_t after_step; size_t n; };
/* After a restore, before anything else is done about deliveries: what was not final may have gone out since the backup was made.
 * One slice, of at most STORE_RESTORED_MAX that are not final, behind after_message and after_step and up to the newest message
 * that the backup has; submit it again as it is until `over`. n: how many it marked; of them n_held are for an operator to decide. */
struct store_restored_op { struct store_op op; struct policy *policy; id64 after_message; uint32_t after_step; size_t n, n_held;
                           bool over; };
/* An operator's word: sending may go on. */
struct store_resume { struct store_op op; };
/* Expiry and lapsed `within`: up to limit rows whose wake time is past. */
struct store_sweep { struct store_op op; struct policy *policy; int64_t now_ms; size_t limit; size_t n; int64_t next_ms;
                     size_t n_claims; struct claim *claims; };
struct store_cancel { struct store_op op; id64 message; parley_text key /* or by business key */; struct policy *policy;
                      bool too_late; enum message_state after; };
struct store_resolve { struct store_op op; id64 message; enum happening as; struct policy *policy; enum message_state after; };

/* --- In ---------------------------------------------------------------------------------------------------------------- */

/* A piece of a longer text. It is kept, and its message is made with the last one, or when due_ms has come. */
#define JOIN_PARTS_MAX 255           /* of one text: what a concatenation header can count */
#define JOIN_PIECE_BYTES_MAX 2048    /* of text in a piece; a longer one is a message by itself */
#define JOIN_CHANNEL_OPEN_MAX 1000   /* texts of one channel that wait for pieces; beyond, the oldest is delivered as it is */
#define JOIN_OPEN_MAX 4000           /* of all channels */
#define JOIN_REMEMBER_MS 3600000     /* so long after its message was made a piece is known again: as the same twice, or as late */
#define JOIN_SWEEP_MAX 64            /* texts of one sweep */
struct store_piece {
  bool given;           /* false: it is whole */
  uint32_t part, total; /* part: from 1 */
  parley_text key;      /* with channel and sender: of which text */
  int64_t due_ms;       /* by a clock of the caller's that store_join_sweep has, too */
  const char *bad;      /* why it cannot be joined: then it is a message by itself. NULL: it can */
};
/* What else has come of a message, for whoever sends: an answer of ours waits on its channel; an address may be written to no more. */
struct store_heard {
  id64 message;
  enum keyword keyword;
  bool changed, answered, review; /* changed: it had not said so already */
  parley_text channel;
  struct identity address; /* that said so, when changed */
};

struct store_inbound {
  struct store_op op;
  parley_text channel, channel_kind, event_id, provider_id;
  struct recipient from;          /* external and identities, resolved by the inbound rules; linked as observed */
  uint8_t body_sha256[SHA256_BYTES]; /* of what was signed: the same id with another body keeps the first and is counted */
  uint32_t kind, flags;           /* PARLEY_KIND_*, PARLEY_AUTOMATIC ... */
  int64_t at_ms, now_ms;
  parley_text topic;              /* "" : support's conversation */
  parley_text subject;            /* of the conversation that it may open, without "Re:"; "": none */
  parley_bytes body;              /* {"content":{...},"fields":{...}} as it is stored */
  parley_bytes raw;               /* the provider's envelope; a large one is media: its med_ id */
  /* Which message it answers, in the order they are asked: named by a token that only we can make; provider ids, the last one
   * first; msg_ or provider id, "" for none. Somebody else's message threads nothing. */
  struct store_piece piece;
  parley_text text;      /* of its content: keywords are looked for in it */
  struct policy *policy; /* held by the caller until done; NULL: no keywords */
  decide_fn *decide;     /* of answers to keywords */
  id64 token_message;
  size_t n_references;
  const parley_text *references;
  parley_text in_reply_to;
  id64 message, customer, conversation; /* out */
  id64 answers;                         /* out: the message it answers, 0: none */
  bool duplicate, other_body, customer_created, conversation_opened, foreign; /* foreign: the token's message was not to them */
  bool waits;     /* out: a piece is kept, and its message is not made yet: `message` and `customer` are 0 */
  id64 joining;   /* out: of a piece: the text that it belongs to */
  bool partial;   /* out: it is not all that they wrote */
  bool crowded;   /* out: a text is due at once, since there are too many */
  struct store_heard heard; /* out */
};
/* Texts whose time is over become messages of what is there. next_due_ms: of those that wait on, 0: there are none. */
struct store_join_sweep { struct store_op op; struct policy *policy; decide_fn *decide; int64_t due_ms /* up to this time */, now_ms;
                          size_t n; struct store_heard *heard; int64_t next_due_ms; };

/* --- Customer context ---------------------------------------------------------------------------------------------------- */

struct stored_identity { id64 id; id64 customer; struct identity identity; int64_t created_ms, used_ms; bool blocked; };
struct customer_row {
  id64 id, merged_into;
  int64_t created_ms, updated_ms;
  parley_text name, locale, timezone, attributes /* JSON object */, tags /* JSON array */;
  size_t n_identities;
  struct stored_identity *identities;
  size_t n_consents;
  struct consent *consents; /* newest for each (topic, channel kind) */
};
/* Upsert by id, or by external (made when absent). Members not `set_` stay. attributes: merge-patch (RFC 7396) JSON, or empty. */
struct store_customer_put {
  struct store_op op;
  id64 id;
  parley_text external;
  struct { bool set; parley_text value; } name, locale, timezone, tags;
  parley_text attributes_patch;
  size_t n_link, n_unlink;
  struct identity link[RECIPIENT_IDENTITIES_MAX], unlink[RECIPIENT_IDENTITIES_MAX];
  int64_t now_ms;
  bool created;                  /* out */
  id64 conflict_owner;           /* out, REJECTED: an identity to link is somebody else's */
  parley_text conflict_identity; /* "email:ana@example.org" */
  struct customer_row *row;
};
/* once: what the ledger says already is not written again. asked: of a consent that was asked for, the seq of the event that says so
 * (0: it was not): a newer entry about the same has answered it, and nothing is written. */
struct store_consent {
  struct store_op op;
  id64 customer;
  struct consent entry;
  int64_t now_ms;
  bool once;
  uint64_t asked;
  bool repeated, answered; /* out */
  size_t n_whose; /* out: the customer under all its ids, where something was withdrawn: for deliver_reconsider() */
  id64 *whose;
};
enum suppress_action { SUPPRESS_ADD = 1, SUPPRESS_REMOVE };
#define SOFT_BOUNCES_MAX 5 /* one after the other, and nothing taken between: the address is suppressed */
struct suppression { struct identity identity; parley_text reason /* hard_bounce soft_bounce complaint opted_out manual ... */;
                     parley_text channel_kind; /* of what was said by STOP: on this kind alone. Empty: on every kind */
                     int64_t at_ms; id64 id;
                     id64 message; parley_text code, detail; /* what it came from: 0 and empty where a person said so */
                     int64_t lifted_ms; /* 0: in force */ };
struct store_suppress { struct store_op op; enum suppress_action action; struct suppression entry; };
/* POST /v1/events and the plugins' `event`: one timeline entry. The customer is resolved as for a message. */
struct store_touchpoint {
  struct store_op op;
  struct recipient who;
  parley_text type, channel, key /* the same event twice: second is found */, data /* JSON object */, stage;
  const char *event; /* NULL: touchpoint.<type> with what is given; else an event of our own, with data as it stands */
  int64_t at_ms, now_ms;
  uint64_t seq; id64 customer; bool duplicate; /* out */
  enum accept_result result;                   /* ACCEPTED, ACCEPT_NO_CUSTOMER, ACCEPT_CONFLICT */
};

/* --- Conversations ------------------------------------------------------------------------------------------------------- */

struct conversation_row {
  id64 id, customer, identity;
  parley_text state /* open pending snoozed closed */, assignee, tags /* JSON array */, channel /* last used by the customer */,
      channel_kind, subject;
  int64_t opened_ms, updated_ms, closed_ms, last_inbound_ms;
  int64_t version;
};
struct store_conversation_put { struct store_op op; id64 id; struct { bool set; parley_text value; } state, assignee, tags;
                                parley_text by; int64_t now_ms; struct conversation_row *row; };
struct store_note { struct store_op op; id64 conversation; parley_text text, by; int64_t now_ms; uint64_t seq; };

/* --- Documents: small things of low volume (subscriptions, API keys, paused channels, plugin state), by (kind, name) ----- */

struct doc { parley_text kind, name, json; int64_t version, at_ms; id64 id; };
/* version: -1 any, 0 must not exist, else must be that one (REJECTED). json empty: remove. */
struct store_doc_put { struct store_op op; struct doc doc; int64_t version; id64 made_id /* out, when doc.id was 0 */;
                       const char *event_type; /* NULL, or an event to append: "channel.paused" */ parley_text event_data; };

/* --- Media: content-addressed ------------------------------------------------------------------------------------------------ */

struct store_media_add { struct store_op op; parley_text type, name; parley_bytes bytes; uint8_t sha256[SHA256_BYTES]; id64 id;
                         bool existed; };

/* --- The feed's bookkeeping ---------------------------------------------------------------------------------------------------- */

/* Events of one subscription that could not be pushed at once; the cursor moves past them. */
struct feed_pending { uint64_t seq; id64 customer; uint32_t attempts; int64_t due_ms; bool dead; parley_text last_error; };
struct store_feed_move { struct store_op op; id64 subscription; uint64_t cursor; /* 0: stays */
                         size_t n_put, n_drop; struct feed_pending *put; uint64_t *drop; };

/* What is kept, from now on. keep: NULL leaves the times as they are. holders: NULL leaves them; else the subscriptions whose cursor
 * and pending events hold the log's events back. Until they are known no event goes. */
struct store_retain { struct store_op op; const struct store_keep *keep; size_t n_holders; const id64 *holders; };

/* Online copy of the whole store to a file that must not exist yet. DENIED: this driver's is made from outside (pg_dump). */
struct store_backup { struct store_op op; const char *path; uint64_t bytes; };

/* --- Reads --------------------------------------------------------------------------------------------------------------------- */

struct attempt_row { id64 id; uint32_t step, number; int64_t started_ms, ended_ms; uint32_t outcome /* 0: open */;
                     parley_text code, detail, provider_id; };
struct delivery_row { id64 id; struct delivery_facts facts; parley_text channel, channel_kind, address_kind, address; id64 identity;
                      parley_text provider_id, provider_ids /* JSON array, of several parts; or empty */;
                      struct parts parts; parley_text part_code; /* of a part that failed */ };
struct message_row {
  id64 id, customer, identity, conversation, api_key;
  bool inbound, test, possible_duplicate;
  uint32_t kind, flags;
  int64_t created_ms, at_ms, expires_ms, not_before_ms;
  enum message_state state;
  parley_text reason, topic, channel, channel_kind, key, campaign, provider_id, in_reply_to;
  parley_bytes body, decision; /* JSON as stored */
  bool foreign; /* in: it names, by its token, a message to somebody else */
  bool partial, review; /* in: pieces are missing; its wording may mean STOP */
  enum keyword keyword; /* in: the whole message is this one */
  bool body_expired, attempts_expired; /* they were there, and are kept no longer; of a whole message, see STORE_MESSAGE */
  parley_text degraded;        /* JSON array */
  size_t n_deliveries, n_attempts;
  struct delivery_row *deliveries;
  struct attempt_row *attempts;
};
struct store_message { struct store_op op; id64 id; parley_text key; struct message_row *row; };
/* Newest first; cursor: `last` of the page before, 0: from the newest. A rare filter may give a short or empty page with `more`. */
struct store_messages {
  struct store_op op;
  id64 customer, before; struct identity to; /* kind empty: any */
  int state; /* enum message_state or -1 */ int inbound; /* -1 both */
  parley_text topic, channel; int64_t since_ms; size_t limit;
  size_t n; struct message_row *rows; bool more; id64 last;
};
/* By id, external, or identity. merged: the row of the head comes back. */
struct store_customer { struct store_op op; id64 id; parley_text external; struct identity identity; struct customer_row *row; };

/* One timeline entry: a message with its folded status (type "message.received" or "message.sent"), or an event of another
 * kind. Without `bodies` it is narrow: no message, no data, and type is "message" or "event". */
struct timeline_row { int64_t at_ms; uint64_t seq; parley_text type; id64 customer, identity; struct message_row *message;
                      parley_text data; };
struct timeline_cursor { int64_t at_ms; uint64_t seq; }; /* both 0: from the end asked for */
struct store_timeline {
  struct store_op op;
  id64 customer;           /* or: */
  struct identity who;
  id64 conversation;       /* or: that conversation's customer, from 30 days before it opened */
  bool oldest_first, bodies;
  size_t limit;
  struct timeline_cursor after;
  size_t n; struct timeline_row *rows; bool more;
  struct customer_row *row; /* with NOT_FOUND: NULL */
};

/* The log. types: exact or "conversation.*"; empty list: all. */
struct event_row {
  uint64_t seq; parley_text type; int64_t at_ms; id64 customer, identity, conversation, message_id;
  parley_text data;                    /* JSON object of small facts */
  struct message_row *message;         /* with_context */
  struct conversation_row *conversation_row;
  struct customer_row *customer_row;
  size_t n_recent; struct timeline_row *recent; /* with_context: the 20 newest, newest first, as of now */
};
#define EVENTS_RECENT 20
struct store_events {
  struct store_op op;
  uint64_t after, upto /* 0: to the end */; size_t limit; size_t n_types; const parley_text *types; bool with_context;
  size_t n_only; const uint64_t *only; /* or: just these seqs */
  size_t n; struct event_row *rows; uint64_t scanned_to /* the cursor to go on from */, newest,
      oldest /* a cursor before it has missed something */, gone /* the newest that is no more, 0: none; pages begin behind it */;
};
struct store_conversations { struct store_op op; id64 id, customer, before; parley_text state, assignee; size_t limit;
                             size_t n; struct conversation_row *rows; bool more; };
/* In force; with `lifted` those that were lifted. reason: empty for any. */
struct store_suppressions { struct store_op op; struct identity only; parley_text reason; bool lifted; id64 before;
                            size_t limit; size_t n;
                            struct suppression *rows; bool more; };
struct store_docs { struct store_op op; parley_text kind, name /* empty: all of the kind */; size_t n; struct doc *rows; };
struct store_media { struct store_op op; id64 id; uint64_t offset; size_t limit; parley_text type, name; parley_bytes bytes;
                     uint64_t total_bytes; };
/* The decision for a message that is not sent (POST /v1/explain): facts and decide, nothing written. */
struct store_facts { struct store_op op; struct submission *submission; decide_fn *decide; enum accept_result result;
                     struct decision *decision; id64 customer; };
/* Those due, the longest overdue first. Or, whatever their time and in order of seq beyond `after`: the dead, or with `all` those
 * that are not. */
struct store_feed_due { struct store_op op; id64 subscription; int64_t now_ms; bool dead, all; uint64_t after; size_t limit; size_t n;
                        struct feed_pending *rows; int64_t next_due_ms; uint64_t cursor; uint64_t n_pending, n_dead; };
struct store_table { parley_text name; uint64_t bytes /* with its indexes */, rows; };
struct store_stats {
  struct store_op op;
  uint64_t accepted, by_state[MESSAGE_STATES], inbound, duplicates_marked, parked_receipts, inbound_other_body;
  bool adds_up; /* accepted == sum(by_state) */
  int64_t oldest_due_ms;
  uint64_t file_bytes, wal_bytes, newest_seq;
  int64_t schema;
  /* About, and up to a minute old: */
  size_t n_tables; struct store_table *tables;
  uint64_t free_bytes; /* within file_bytes: room for what comes */
  int64_t oldest_ms[STORE_KEEP_KINDS]; /* of what is kept for a time; 0: there is none */
};
/* Counters kept in memory, readable at any time on the loop. */
#define STORE_LEASE_MS 30000 /* after so long without a commit a node's work may be taken over: it stops sending at half of it */
struct store_gauges { uint64_t rounds, ops, longest_round_us, waiting, failed_rounds, round_trips;
                      uint64_t expired[STORE_KEEP_KINDS]; /* rows that were not kept any longer, since the start */
                      bool accepting; const char *why_not;
                      int64_t alive_ms; /* mono: the newest proof that our lease goes on; 0: it does as long as we live */
                      bool broken; /* a flush failed: nothing is believed until the store is opened anew */ };
void store_gauges(const struct store *store, struct store_gauges *ret);
/* False: the last word from the database is half a lease old. What was claimed may soon be another's: nothing more is handed over
 * until it is back. Always true of a store that is in this process. */
bool store_may_send(const struct store *store);
/* A backup was restored, at at_ms (0: none was), or somebody said so, and nobody has said yet that sending may go on (STORE_RESUME).
 * As it was when the store was opened. upto: the newest id that was in it then. */
struct store_restored { int64_t at_ms; id64 upto; };
const struct store_restored *store_restored(const struct store *store);
/* The secret that signs cursors, links and tickets of this store: 32 bytes, made with it. */
const uint8_t *store_secret(const struct store *store);
#endif
