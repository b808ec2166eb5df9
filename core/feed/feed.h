/* feed.h - the event log to whoever subscribed: signed webhooks (Standard Webhooks 1.0), in order per customer, retried with
 * core/deliver's schedule and breaker, dead-lettered, replayable; and SSE readers that follow the log.
 * Owns subscriptions in force, what is in flight, the SSE readers. Thread: loop. Memory is bounded: FEED_IN_FLIGHT_MAX pushes and
 * FEED_WINDOW events a subscription; the rest is read from the log when there is room. */
#ifndef CORE_FEED_FEED_H
#define CORE_FEED_FEED_H
#include "core/deliver/retry.h"
#include "core/net/http_client.h"
#include "core/net/sse.h"
#include "core/store/store.h"

#define FEED_WINDOW 512
#define FEED_IN_FLIGHT_MAX 32          /* pushes at once, a subscription */
#define FEED_TIMEOUT_MS 15000
#define FEED_KEEP_TRYING_MS (5 * 86400000LL) /* then dead */
#define FEED_SSE_READERS_MAX 1000
#define FEED_TYPES_MAX 32
#define FEED_SECRETS_MAX 2             /* two during rotation */

struct feed;
struct feed_shared {
  uv_loop_t *loop;
  const struct env *env;
  const struct log *log;
  struct store *store;
  struct http_client *http;
  void (*disabled)(id64 subscription, void *arg); /* a receiver answered 410; NULL allowed. On the loop */
  void *arg;
};
/* Takes events within this process, in a webhook's place. body: the event's JSON, borrowed for the call. done(reply, done_arg) comes
 * once and never within the call, as from an HTTP client: 2xx is good; BUSY and CANCELLED count as not tried; all else as failed. */
struct feed_local {
  bool (*wants)(const struct event_row *row, void *arg); /* beside types and filter; NULL: all. A page of the log is being looked at */
  void (*take)(uint64_t event, parley_bytes body, http_client_done *done, void *done_arg, void *arg);
  void *arg;
};
struct subscription { /* as read from configuration or from the store's documents of kind "subscription" */
  id64 id;                 /* sub_...; configured ones get one on first sight, kept as a document by name */
  parley_text name, url;
  size_t n_secrets; parley_text secrets[FEED_SECRETS_MAX]; /* whsec_..., newest first */
  size_t n_types; parley_text types[FEED_TYPES_MAX];       /* empty: all */
  parley_text filter_channel, filter_topic;                /* empty: any */
  bool configured, disabled; /* disabled: after a 410, or by API */
  const struct feed_local *local; /* NULL: pushed to url, signed. Outlives the feed */
};
struct feed *feed_new(const struct feed_shared *shared);
void feed_close(struct feed **feed, uint32_t drain_ms, void (*closed)(void *arg), void *arg);
/* After a restore: what comes into the log is read and kept, nothing is pushed until an operator lets it go on. Streams go on. */
void feed_hold(struct feed *feed, bool held);
/* Adds or replaces by id; copied. A new one starts at the log's end, a known one where it was. */
void feed_subscribe(struct feed *feed, const struct subscription *subscription);
void feed_unsubscribe(struct feed *feed, id64 subscription);
/* The id of one without a document: from what it is and its name, so that its place in the log outlives a restart. */
id64 feed_id_of(const char *what, parley_text name);
/* Those that were there before are all told: what none of them has to get yet need not be kept for us. */
void feed_subscribed(struct feed *feed);
/* The store has committed events up to here. */
void feed_committed(struct feed *feed, uint64_t last_seq);
/* Pushes these events, or all dead ones (n = 0), of a subscription again. */
void feed_replay(struct feed *feed, id64 subscription, const uint64_t *seqs, size_t n);
/* One signed event of type "subscription.test" now, not from the log. done with the receiver's answer. */
void feed_test(struct feed *feed, id64 subscription, void (*done)(uint32_t code, parley_text reason, void *arg), void *arg);
/* Answers the request with an event stream from `after` on (0: from now). types: exact or "prefix.*". */
void feed_stream(struct feed *feed, struct http_request *request, uint64_t after, const parley_text *types, size_t n_types,
                 const parley_pair *headers, uint32_t n_headers);
struct feed_counters { uint64_t pushed, failed, dead, cut; uint32_t readers, in_flight, subscriptions; uint64_t lag_events; };
void feed_counters(const struct feed *feed, struct feed_counters *ret);
/* How one subscription is doing; false: it isn't known. last_error is borrowed until the next turn of the loop. */
struct feed_state {
  bool disabled;
  uint64_t cursor, waiting /* in memory */, pending /* for another try */, pushed, failed, dead /* since the start */;
  uint32_t in_flight, last_code;
  int64_t last_good_ms, last_bad_ms, open_for_ms /* the breaker; 0: closed */, lag_ms;
  parley_text last_error;
};
bool feed_state(const struct feed *feed, id64 subscription, struct feed_state *ret);
/* "message.received", "message.*", "*"; no types: all. */
bool event_type_matches(parley_text type, const parley_text *types, size_t n_types);
#endif
