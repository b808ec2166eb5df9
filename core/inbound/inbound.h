/* inbound.h - from a plugin's report to a committed message: checks it, turns it into what the store keeps, resolves the
 * customer, threads it into the conversation (in the store's transaction) and only then answers the plugin's `done`. Content that a
 * plugin hands in itself is kept as media before (keep.h).
 * Thread: loop. Bounded: INBOUND_OPEN_MAX reports wait for their commit, beyond that the plugin hears BUSY. */
#ifndef CORE_INBOUND_INBOUND_H
#define CORE_INBOUND_INBOUND_H
#include "core/deliver/deliver.h"

#define INBOUND_OPEN_MAX 4096
#define INBOUND_BODY_BYTES_MAX ((size_t)1 << 20) /* of the stored JSON; larger content is media */

#define INBOUND_AUTOMATIC_PER_HOUR 20            /* vacation notes and robots' answers of one address; more is a loop: refused */
#define INBOUND_LOOP_ADDRESSES 1024              /* addresses whose automatic messages are counted at once */

struct inbound;
struct inbound_counters {
  uint64_t received, duplicates, other_body, refused, busy, touchpoints, loops;
  uint64_t pieces, partial;             /* kept; messages that are not all that was written */
  uint64_t keywords[KEYWORDS], reviews; /* heard; wordings that a person should look at */
};
struct inbound *inbound_new(uv_loop_t *loop, const struct env *env, const struct log *log, struct store *store);
/* Gives phone numbers in national format a meaning; the plan is borrowed, and may change. Without this call there is none. */
void inbound_phones(struct inbound *inbound, const struct phone_plan *phones);
void inbound_close(struct inbound **inbound, void (*closed)(void *arg), void *arg); /* after the last open one is answered */
/* The rules in force from now on, and for how long the pieces of a text are waited for: as long as the channel says, join_wait_ms where
 * it does not, never longer than join_wait_max_ms. Takes a reference. Before it nobody listens to keywords. Answers to them go out by
 * `deliver`, which outlives inbound. */
struct inbound_rules { struct deliver *deliver; uint32_t join_wait_ms, join_wait_max_ms; };
void inbound_configure(struct inbound *inbound, struct policy *policy, const struct inbound_rules *rules);
/* Texts that waited for pieces when the last process ended are looked at from now on. */
void inbound_start(struct inbound *inbound);
/* done: PARLEY_OK with value = msg_ id (of a piece that waits for others: empty) and count = 1 for a repeated event_id; INVALID (reason
 * says what); REJECTED: an automatic message beyond INBOUND_AUTOMATIC_PER_HOUR, which somebody's robot and ours may be throwing to each
 * other; BUSY, RETRY. Several `to` get the same verdict. Never within the call. */
void inbound_take(struct inbound *inbound, struct channel *channel, const parley_inbound *in, parley_done *done, void *arg);
void inbound_touchpoint(struct inbound *inbound, struct channel *channel, const parley_touchpoint *event, parley_done *done,
                        void *arg);
/* An ECHO with a token comes from a capture address (TOKEN_CAPTURE of an API key): refused unless allowed(key) says that the key is in
 * force. Without this call none is. */
void inbound_captures(struct inbound *inbound, bool (*allowed)(id64 key, void *arg), void *arg);
/* The plugin's view of a customer's timeline. */
void inbound_timeline(struct inbound *inbound, struct channel *channel, const parley_query *query, parley_page_done *done,
                      void *arg);
/* An answer to a mail about a conversation (TOKEN_BRIDGE) is no customer's message: it goes to whoever has said that it takes them,
 * and is stored nowhere here. Without one such answers are refused. read: as it would have been stored, lives until answered. */
struct report_call;
struct inbound_answer { id64 conversation; const parley_inbound *in /* for the call */; const struct store_inbound *read; };
typedef void inbound_answer_fn(struct report_call *call, const struct inbound_answer *answer, void *arg);
void inbound_answers(struct inbound *inbound, inbound_answer_fn *taker, void *arg);
/* Once for each call; tells the plugin later. message: what it became, 0: nothing. reason is copied. */
void inbound_answered(struct report_call *call, parley_status status, id64 message, bool repeated, parley_text reason);
const struct inbound_counters *inbound_counters(const struct inbound *inbound);
#endif
