/* line.h - one channel's lanes: what is held for it, when the next may go, and how much the store may hand over directly.
 * Owns the held claims, the rate's bucket, breakers and holds by destination. Thread: loop. Private to core/deliver. */
#ifndef CORE_DELIVER_LINE_H
#define CORE_DELIVER_LINE_H
#include "breaker.h"
#include "core/base/map.h"
#include "deliver.h"
#include "pace.h"
#include "turns.h"

/* One claimed delivery, from the claim to its stored outcome. Lives in its own arena. */
struct outbound {
  struct list node;      /* of lane or suspects while held; of deliver->unsettled while its outcome waits for the store */
  struct arena *arena;
  struct deliver *deliver;
  struct line *line;
  struct claim claim;
  struct channel *carrier; /* who has it in hand; NULL while held */
  bool shared;             /* a suspect, and others went while it was in hand: a death isn't its own */
  uint64_t token;
  int64_t started_ms;
  parley_text destination; /* "" or the mail domain, of a provider with several its first: what breakers and holds apply to */
  parley_message message;
  parley_identity to;
  parley_customer customer;
  const char *const *degraded;
  size_t n_degraded;
  json_t *json;
  id64 bridge; /* the conversation that a mail to a support mailbox is about; 0: it is no such mail */
  struct store_settle settle;
  struct policy *policy; /* the settle's reference */
};

/* Tried alone: its plugin's process has died with it in hand. */
static inline bool outbound_is_suspect(const struct outbound *out) { return out->claim.deaths > 0 && !out->claim.test; }

/* What is known of a destination: "" is the whole channel. */
struct hold {
  char *destination;
  struct breaker breaker;
  int64_t until_ms; /* monotonic: THROTTLED; 0: none */
  struct pace pace; /* of a destination: how fast after that */
};
_Static_assert((int)PACE_LANES == (int)LANES, "a queue for each lane");

struct lane_line {
  struct list held;   /* struct outbound */
  uint32_t n_held;    /* held and in flight */
  bool claiming;      /* a STORE_CLAIM is under way */
  bool closed;        /* older ones may wait in the store: nothing may be handed over directly */
  bool again;         /* claim once more when the one under way is done */
  int64_t due_ms;     /* wall clock: when the store's next is due; 0: none known */
};

struct line {
  struct list node;
  struct deliver *deliver;
  char *name;
  struct channel *channel, *test_sink;
  struct deliver_rates rates;
  double bucket;
  int64_t bucket_ms;
  bool paused, down, removed, probing;
  int64_t down_until_ms;
  char down_why[DELIVER_DOWN_WHY_MAX]; /* code and detail of the outcome */
  struct lane_room room;
  struct lane_line lanes[LANES];
  struct list suspects; /* struct outbound, held, by lane: have deaths, and are tried alone */
  struct turns turns;
  struct map holds; /* hash of destination -> struct hold */
  int64_t holds_clean_ms; /* when there are too many: not before */
  struct pace_meter meter; /* what all destinations took */
  uv_timer_t timer; /* next thing to look at */
  bool timer_open;
  struct deliver_counters counters;
};

struct deliver {
  struct deliver_shared shared;
  struct policy *policy;
  struct list lines;
  struct map in_flight; /* token -> struct outbound */
  struct map probes;    /* token -> struct probe */
  struct list unsettled; /* outcomes the store could not take yet */
  uint64_t last_token;
  struct hash_key hash_key;
  uv_timer_t sweep;
  bool started, draining, sweeping, orphans_done;
  struct deliver_hold hold;
  id64 marked_message; /* how far the marking has got */
  uint32_t marked_step;
  int64_t clock_lead_ms; /* wall clock less monotonic clock at the last look */
  uint32_t ops; /* store requests under way */
  uint32_t open_handles;
  void (*closed)(void *arg);
  void *closed_arg;
};

struct line *line_new(struct deliver *deliver, parley_text name);
void line_free(struct line *line); /* nothing is held any more */
struct line *line_find(const struct deliver *deliver, parley_text name);
uint32_t line_capacity(const struct line *line); /* of each lane */
bool line_may_go(const struct line *line, enum lane lane); /* not paused, down (but for LANE_TEST), removed, draining */
/* hold.c. The hold of a destination; NULL when there is none, and with `make` when there is no place for one more. */
struct hold *line_hold(struct line *line, parley_text destination, bool make);
/* 0: may go now (takes a half-open breaker's place, and one of its destination's); else the monotonic time to look again. */
int64_t line_blocked_until(struct line *line, const struct outbound *out);
/* It did not go after all: its places are free again. */
void line_untried(struct line *line, parley_text destination);
/* What an outcome says about the door it came through. */
void line_learn(struct line *line, parley_text destination, const parley_outcome *outcome);
void line_holds_count(const struct line *line, struct deliver_counters *ret);
void line_holds_done(struct line *line);
/* Takes one from the rate's bucket; else false and *ret_ms is when to look again (monotonic). */
bool line_rate_take(struct line *line, int64_t mono_ms, int64_t *ret_ms);
/* Claims what has become due and hands over what may go. Also called each second, so that a jump of the wall clock is noticed. */
void line_look(struct line *line);
/* Looks again not later than this (monotonic). */
void line_wake_at(struct line *line, int64_t mono_ms);
/* A place of the lane has become free: gives it to the store, or closes the lane when the store has run out. */
void line_place_free(struct line *line, enum lane lane);
void line_close_lane(struct line *line, enum lane lane);
void line_open_lane(struct line *line, enum lane lane);

/* deliver.c */
int64_t deliver_now(const struct deliver *deliver);  /* wall clock, ms */
int64_t deliver_mono(const struct deliver *deliver); /* monotonic, ms */
void deliver_handle_over(struct deliver *deliver);   /* one of open_handles is closed */
void deliver_maybe_gone(struct deliver *deliver);    /* ends a closing one once nothing is open */
/* handing.c */
void line_claim_all(struct line *line);
void line_pump(struct line *line);  /* hands over what may go */
void line_claim(struct line *line, enum lane lane); /* reads back from the store, if there is room */
/* outcome.c */
void outbound_settle(struct outbound *out, const parley_outcome *outcome);
void outbound_store(struct outbound *out); /* offers its outcome to the store */
void line_due_at(struct line *line, enum lane lane, int64_t due_ms);
void outbound_take_back(struct outbound *out, int64_t due_ms); /* due_ms: wall clock */
/* sweep.c */
void deliver_recover(struct deliver *deliver); /* what an earlier session left; the lanes open after it */
void sweep_on_timer(uv_timer_t *timer);
/* clock.c: a wall clock that was set back since the last look must not make waits longer. */
void deliver_watch_clock(struct deliver *deliver);
void deliver_op_over(struct deliver *deliver);
/* probe.c: the token was a probe's: its asker is told. */
bool probe_settled(struct deliver *deliver, uint64_t token, const parley_outcome *outcome);
/* outbound.c: makes the plugin's message out of the claim; PARLEY_REJECTED with a code when it cannot be carried. */
parley_status outbound_build(struct outbound *out, const parley_capabilities *caps, const char **ret_code);
/* outbound_links.c: the links of the topic's rules and of CONTENT_*_NAME, in text, html and buttons. Returns
 * parley_message.unsubscribe_url. */
parley_text outbound_links(struct outbound *out, const struct policy_topic *topic, const char *channel_kind, struct content *content);
struct outbound *outbound_new(struct line *line, const struct claim *claim);
void outbound_free(struct outbound *out);
#endif
