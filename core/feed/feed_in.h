/* feed_in.h - what the files of core/feed share. Private to core/feed. Thread: loop.
 *
 * A follower is whoever reads the log: a subscription or an SSE reader. Those that have read all of it are live: one read of what
 * was just committed, one envelope an event, serves them all. The others read pages of their own until they are live.
 *
 * A subscription sorts what it takes from the log by customer into queues. Only the first item of a queue is ever being pushed.
 * An item is open, held in memory with its envelope, and the cursor stays before it; or stored: a row of feed_pending has it or
 * is about to, its envelope is read again when its time comes, and the cursor passes it. */
#ifndef CORE_FEED_FEED_IN_H
#define CORE_FEED_FEED_IN_H
#include "core/base/list.h"
#include "core/base/map.h"
#include "core/deliver/breaker.h"
#include "feed.h"
#include "plugins/common/standard_webhooks.h"

#define FEED_WINDOW_BYTES ((size_t)4 << 20) /* of envelopes held open for one subscription; above, reading stops */
#define FEED_STORED_MAX 32768               /* events of one subscription that wait for another try; above, reading stops */
#define FEED_PAGE 64                        /* events of one read */
#define FEED_LOAD_PAGE 1000
#define FEED_ROWS_MAX 16                    /* stored events that are read again at once, and held, for one subscription */
#define FEED_MOVE_MAX 512                   /* rows of one STORE_FEED_MOVE */
#define FEED_SAVE_MS 200
#define FEED_SAVE_EVENTS 100
#define FEED_SAVE_IDLE_MS 5000 /* when events only passed by */
#define FEED_BUSY_MS 100       /* the store or the HTTP client is full: again after */
#define FEED_STORE_RETRY_MS 1000
#define FEED_TYPES_UNION_MAX 128 /* more, and live reads take all types */
#define FEED_ERROR_BYTES_MAX 160
#define FEED_NO_CUSTOMER UINT64_MAX /* the queue of events that are about nobody */
#define FEED_NEVER INT64_MAX
#define FEED_CURSOR_ROOM 32
#define SSE_PAGE 32
#define SSE_LOW_BYTES ((size_t)64 << 10)  /* below, a reader that catches up gets more */

/* One event as it is sent, shared by all who send it. */
struct feed_event {
  uint32_t refs;
  uint64_t seq;
  id64 customer;
  char cursor[FEED_CURSOR_ROOM]; /* for SSE; "" until a reader asks */
  size_t len;
  char at[];
};
struct feed_event *feed_event_new(const struct event_row *row); /* one reference; NULL: larger than any buffer may be */
struct feed_event *feed_event_ref(struct feed_event *event);
void feed_event_unref(struct feed_event **event);

struct follower;
struct follower_kind {
  /* false: no room; it is no longer live and reads on by itself. *event: NULL until the first follower needs it. */
  bool (*take)(struct follower *follower, const struct event_row *row, struct feed_event **event);
  void (*go)(struct follower *follower); /* reads on, if it can and must */
};
struct follower {
  struct list link; /* in feed->followers */
  const struct follower_kind *kind;
  uint64_t position; /* all up to here has been taken */
  size_t n_types;    /* 0: all */
  const parley_text *types;
  bool live;
  bool fresh; /* came while a live read was under way that didn't know its types */
};

enum item_state { ITEM_WAITING, ITEM_READING, ITEM_IN_FLIGHT, ITEM_DONE, ITEM_DEAD };
struct queue { /* one customer's events of one subscription */
  uint64_t customer;
  struct list items; /* in order of seq */
  struct list link;  /* in sub->ready, sub->unread or sub->waiting */
  bool busy;         /* one of its items is being read or pushed */
};
struct item {
  struct list in_queue, in_open, in_dirty;
  struct feed_sub *sub;
  struct queue *queue;        /* NULL when DONE or DEAD */
  struct feed_event *event; /* NULL: only the log has it */
  uint64_t seq, call;
  id64 customer;
  uint32_t attempts;
  int64_t due_mono_ms, due_ms, keep_from_ms;
  enum item_state state;
  bool stored, row, moving; /* row: feed_pending has it; moving: the move under way is about it */
  char *last_error;
};

/* What a subscription is set to; replaced as a whole. A read that uses its types holds a reference. */
struct sub_conf {
  uint32_t refs;
  struct arena *arena;
  struct subscription set;
  struct standard_webhooks_keys keys;
  bool keyed;
};
struct sub_conf *sub_conf_new(const struct subscription *from);
struct sub_conf *sub_conf_ref(struct sub_conf *conf);
void sub_conf_unref(struct sub_conf **conf);

struct feed_sub {
  struct list link;
  struct feed *feed;
  id64 id;
  struct sub_conf *conf;
  struct follower follower;
  bool loaded, loading, removed, off; /* off: disabled */
  bool reading, reading_rows, moving;
  uint32_t replaying;
  struct map dropped;      /* by seq: rows that went while a replay was reading them */
  uint64_t start;          /* of a new one: the log's end when it came; 0: not known yet */
  struct list open, dirty, ready, unread, waiting;
  struct map queues, items; /* by customer, by seq */
  size_t n_open, open_bytes, n_stored, n_rows_held;
  uint32_t in_flight;
  struct breaker breaker;
  int64_t held_until_ms;   /* the receiver's Retry-After, or a full HTTP client; monotonic */
  int64_t next_due_ms;     /* of `waiting`; monotonic */
  int64_t read_again_ms;   /* after a refusal of the store; 0: none */
  uint64_t saved;          /* the cursor as the store has it */
  uint32_t unsaved;        /* events that came to an end since */
  int64_t save_at_ms;      /* monotonic; FEED_NEVER */
  int64_t save_again_ms;   /* the store refused; 0: it did not */
  uint64_t pushed, failed, dead;
  uint32_t last_code;
  int64_t last_good_ms, last_bad_ms;
  char last_error[FEED_ERROR_BYTES_MAX];
};

struct feed {
  struct feed_shared shared;
  struct list followers, subs, readers;
  struct map by_id;
  struct sse_set *sse;
  uv_timer_t timer;
  int64_t timer_at_ms; /* monotonic; FEED_NEVER: not running */
  uint64_t newest, live_at;
  bool learned, learning, reading_live, closing, closed_sse, finished;
  bool held; /* nothing is pushed */
  int64_t again_ms; /* of a live or learning read that was refused; 0: none */
  bool holds, hold_due, holding; /* hold.c: all subscriptions are known; the store must be told; it is being told */
  int64_t hold_again_ms;         /* it refused */
  bool types_changed;
  struct arena *types_arena;
  size_t n_types;
  const parley_text *types;
  int64_t drain_until_ms;
  uint32_t ops; /* of the store, and tests under way */
  uint32_t n_readers, n_subs;
  struct feed_counters counters;
  void (*closed)(void *arg);
  void *closed_arg;
};

/* --- feed.c: the log -------------------------------------------------------------------------- */
int64_t feed_mono_ms(const struct feed *feed);
int64_t feed_now_ms(const struct feed *feed);
void feed_wake_at(struct feed *feed, int64_t mono_ms);
void feed_tick(struct feed *feed); /* what its timer does: for tests whose clock is their own */
void feed_op(struct feed *feed, struct store_op *op, enum store_kind kind, void (*done)(struct store_op *op));
void feed_op_over(struct feed *feed, struct store_op *op); /* frees its arena; the caller goes on, and ends with feed_close_go() */
void feed_live_go(struct feed *feed);
void follower_add(struct feed *feed, struct follower *follower);
void follower_drop(struct feed *feed, struct follower *follower);
void follower_types_set(struct feed *feed, struct follower *follower, const parley_text *types, size_t n_types);
bool follower_joins(struct feed *feed, struct follower *follower); /* true: it has read all there is and is live now */
/* One event of a page of its own: takes it and moves on. false: no room. */
bool follower_offer(struct follower *follower, const struct event_row *row, struct feed_event **event);
void feed_close_go(struct feed *feed);

/* --- subscription.c --------------------------------------------------------------------------- */
void sub_go(struct feed_sub *sub); /* starts all that can start now */
void sub_over(struct feed_sub *sub); /* frees a removed one when nothing is under way any more */
void sub_free(struct feed_sub *sub);
void sub_disable(struct feed_sub *sub, const char *why);

/* --- hold.c ----------------------------------------------------------------------------------- */
void feed_hold_go(struct feed *feed); /* after a subscription came or went: hold_due */

/* --- reading.c -------------------------------------------------------------------------------- */
bool sub_take(struct feed_sub *sub, const struct event_row *row, struct feed_event **event); /* as follower_kind.take */
void sub_read_log(struct feed_sub *sub);
void sub_read_rows(struct feed_sub *sub); /* events again whose time for another try has come */

/* --- queue.c ---------------------------------------------------------------------------------- */
struct item *item_new(struct feed_sub *sub, uint64_t seq, id64 customer);
void item_open(struct item *item, struct feed_event *event); /* takes the reference */
void item_store(struct item *item);                          /* out of memory, into feed_pending */
void item_ended(struct item *item, enum item_state state);   /* DONE or DEAD */
void item_failed(struct item *item, const char *why, uint32_t hint_ms);
void item_back(struct item *item, int64_t due_mono_ms); /* not tried after all */
void item_revive(struct item *item);                    /* a replay: from the start, now */
void item_free(struct item *item);
void queue_settle(struct queue *queue, struct feed_sub *sub);
bool queue_is_blocked(const struct queue *queue); /* its first has failed: what comes after is stored */
struct queue *sub_queue(struct feed_sub *sub, id64 customer);
void sub_promote(struct feed_sub *sub); /* queues whose time has come */
void sub_empty(struct feed_sub *sub);   /* frees all items and queues */

/* --- save.c ----------------------------------------------------------------------------------- */
void sub_load(struct feed_sub *sub);
void sub_dirty(struct item *item);
uint64_t sub_cursor(const struct feed_sub *sub);
int64_t sub_save_at_ms(const struct feed_sub *sub); /* when it must be saved; FEED_NEVER */
void sub_save_soon(struct feed_sub *sub, int64_t pause_ms);
void sub_save(struct feed_sub *sub, bool all);      /* what is due; all: whatever there is */

/* --- push.c ----------------------------------------------------------------------------------- */
void push_start(struct item *item);
void push_cancel_all(struct feed_sub *sub);

/* --- stream.c --------------------------------------------------------------------------------- */
void readers_close(struct feed *feed);
#endif
