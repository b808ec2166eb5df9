/* bridge_in.h - what the files of core/bridge share. Private to core/bridge. Thread: loop. */
#ifndef CORE_BRIDGE_BRIDGE_IN_H
#define CORE_BRIDGE_BRIDGE_IN_H
#include "bridge_mail.h"
#include "core/route/reply.h"

#define BRIDGE_TALKS 1024 /* conversations whose answers are counted at once; two that share a place forget each other */
#define BRIDGE_HOUR_MS 3600000

struct bridge_box { /* one bridge, by name; lives as long as struct bridge, configured or not */
  struct list node;
  struct bridge *bridge;
  char *name;
  id64 subscription, customer; /* customer: that the mailbox is; 0: not known yet */
  bool subscribed;
  struct feed_local local;
};
struct bridge_talk { id64 conversation; int64_t since_ms /* mono */; uint32_t answers; };
struct bridge {
  struct bridge_shared shared;
  struct conf *conf;
  struct policy *policy;
  struct list boxes;
  struct bridge_counters counters;
  struct bridge_talk talks[BRIDGE_TALKS];
  uv_idle_t idle; /* ends of errands that must not come within the call that began them */
  struct list later;
  uint32_t open; /* errands */
  bool closing, closing_idle;
  void (*closed)(void *arg);
  void *closed_arg;
};

/* One mail or answer on its way in. In an arena of its own; ends with errand_end(). */
struct errand {
  union {
    struct store_op op;
    struct store_customer who;
    struct store_customer_put put;
    struct store_conversations talk;
    struct store_note note;
    struct store_accept accept;
  } u;
  struct list node;
  struct bridge *bridge;
  struct bridge_box *box;
  struct arena *arena;
  struct conf *conf; /* references, while it lives */
  struct policy *policy;
  const struct conf_bridge *set; /* of conf; NULL: none */
  struct accept_item item;
  id64 conversation;
  struct bridge_mail mail; /* to the mailbox */
  parley_text key;
  /* How it ends: for the feed, or for the plugin that brought an answer. */
  http_client_done *done;
  void *done_arg;
  struct report_call *call;
  const struct store_inbound *read;
  parley_text content; /* of the answer, as JSON */
  parley_status status;
  id64 message;
  bool repeated, tells; /* tells: of an answer that could not be handed in */
  parley_text reason;
};

/* --- bridge.c --------------------------------------------------------------------------------- */
struct errand *errand_new(struct bridge *bridge);
/* Tells whoever waits, and frees it; on the next turn of the loop. status: OK, BUSY (nothing was done; again), REJECTED, FAILED. */
void errand_end(struct errand *errand, parley_status status, const char *reason);
void errand_submit(struct errand *errand, enum store_kind kind, void (*done)(struct store_op *op));
/* After a store op: true: go on with OK, NOT_FOUND or REJECTED. false: it has ended with BUSY. */
bool errand_went(struct errand *errand);
struct bridge_box *bridge_box_find(const struct bridge *bridge, parley_text name); /* NULL: none */
struct errand_words { /* what is handed in */
  parley_text content /* JSON */, key;
  struct reply reply;
  id64 bridge;         /* a mail about this conversation; 0: an answer within it */
  parley_text address; /* e-mail; empty: the customer's */
  int64_t lives_ms;    /* 0: as the topic says */
};
/* The way of every message: choke point, rows, claim. Ends the errand. A verdict other than REPLY_GOES: it has no way, and goes on. */
enum reply_verdict errand_accept(struct errand *errand, const struct errand_words *words);
/* errand->mail goes to the mailbox of errand->set, with errand->key. */
void errand_mail(struct errand *errand);

/* --- bridge_out.c: from the feed -------------------------------------------------------------- */
bool bridge_out_wants(const struct event_row *row, void *arg);
void bridge_out_take(uint64_t event, parley_bytes body, http_client_done *done, void *done_arg, void *arg); /* arg: the box */
#endif
