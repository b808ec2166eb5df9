/* deliver.h - takes claimed deliveries to their channels: lanes, rates, order, breakers, retries, deadlines, outcomes.
 * Owns the lanes of every channel and what is in flight. Thread: loop. Memory is bounded: at most LANE_HELD_MAX claims of a
 * lane are held, the rest stays in the store and is read back when there is room. */
#ifndef CORE_DELIVER_DELIVER_H
#define CORE_DELIVER_DELIVER_H
#include "core/channel/channel.h"
#include "core/message/fit.h"

#define LANE_HELD_MIN 256  /* claims in memory for each channel and lane: twice the channel's window, ... */
#define LANE_HELD_MAX 1024 /* ... between these */
#define LANE_CLAIM_MAX 256 /* read back from the store at once */
#define LANE_SUSPECTS_MAX 64 /* held of those that are tried alone, see turns.h */
#define DELIVER_SUBMIT_DEADLINE_MS 660000 /* a token not settled by then is UNKNOWN: RFC 5321 4.5.3.2.6's 10 min and one more */
#define DELIVER_PROBE_DEADLINE_MS 30000
#define DELIVER_THROTTLE_MS 30000 /* a provider's "slow down" without a time */
#define DELIVER_DOWN_MS 60000     /* CHANNEL_DOWN: looked at again so much later, or when the channel says that it is up */
#define DELIVER_DOWN_WHY_MAX 320  /* bytes kept of why */
#define DELIVER_SUSPECT_MS 10000  /* a suspect beyond LANE_SUSPECTS_MAX is due again so much later */
#define DELIVER_SWEEP_MS 1000     /* how often expiry and lapsed `within` are looked at */
#define DELIVER_RESTORE_MS 1000   /* an outcome that the store could not take is offered again so much later */
#define DELIVER_CLOCK_STEP_MS 1000 /* a wall clock that moved more than this beside the monotonic one has jumped */
#define DELIVER_HOLDS_MAX 4096    /* destinations of one channel with a breaker or a hold */
#define DELIVER_HOLDS_CLEAN_MS 5000 /* when there are so many, those that are well are forgotten, at most once in so long */
#define DELIVER_FLOOR_PER_S 0.1   /* a destination that says "slower" is slowed no further than this: 6 a minute */

struct deliver;
struct deliver_shared {
  uv_loop_t *loop;
  const struct env *env;
  const struct log *log;
  struct store *store;
};
struct deliver *deliver_new(const struct deliver_shared *shared);
/* From now on nothing is claimed or handed over; what is held goes back to the store unharmed. Outcomes are still taken. The
 * channels are not looked at any more: they may be stopped. */
void deliver_drain(struct deliver *deliver);
/* Once nothing is in flight (the channels have been stopped) and every outcome is stored, frees all. closed(arg) on the loop. */
void deliver_close(struct deliver **deliver, void (*closed)(void *arg), void *arg);

/* The rules in force from now on; takes a reference. Channels named in it must have been added. */
void deliver_set_policy(struct deliver *deliver, struct policy *policy);
struct deliver_rates { double per_s /* of the channel; 0: no limit */, floor_per_s /* of a destination that throttles, see pace.h */; };
/* A channel, or a newer instance under the same name (the older one gets no more; its tokens are still taken when they settle).
 * test_sink: carries the messages of test keys under this channel's name. Both borrowed. */
void deliver_add_channel(struct deliver *deliver, struct channel *channel, struct channel *test_sink,
                         const struct deliver_rates *rates);
void deliver_remove_channel(struct deliver *deliver, const char *name);
struct lane_room *deliver_lane_room(struct deliver *deliver, const char *name); /* for policy_channel.room */
/* Paused by an operator: nothing is claimed or sent until resumed; accepting goes on. */
void deliver_pause(struct deliver *deliver, parley_text name, bool paused);
bool deliver_paused(const struct deliver *deliver, parley_text name);
/* After a restore: every delivery of the backup that may have gone out since is marked, then nothing is claimed or handed over on any
 * channel, nothing expires and no step of a plan begins, until an operator lets it go on. Set before deliver_start(). */
struct deliver_hold { bool held, marking /* that is not over */; uint64_t marked, for_operator /* of them: wait for a decision */; };
void deliver_hold(struct deliver *deliver);
void deliver_release(struct deliver *deliver); /* not while marking */
const struct deliver_hold *deliver_held(const struct deliver *deliver);
/* Reads due work from the store: at start, after a reload. */
void deliver_start(struct deliver *deliver);

/* A claim that came out of an accept, a settle, a receipt or a sweep. Copies it; takes over its submission. */
void deliver_take(struct deliver *deliver, const struct claim *claim);
/* The store has a message for this channel and lane that is due at due_ms (wall clock). */
void deliver_due(struct deliver *deliver, parley_text channel, enum lane lane, int64_t due_ms);
/* Something became due on this channel sooner than deliver knows (a resolve, a cancel's successor, a message with room 0). */
void deliver_poke(struct deliver *deliver, parley_text channel);
/* A consent was withdrawn, an address suppressed: what is held for these customers, or for this address (NULL: none), goes back to
 * the store, where consent and suppressions are looked at again before it is claimed. What a channel has in hand goes on. */
void deliver_reconsider(struct deliver *deliver, const id64 *customers, size_t n_customers, const struct identity *address);

/* What a message would be on this channel as it is now, which is what outbound_build() makes of it: nothing is sent. Its texts lie in
 * the arena; *ret_caps lives until the loop goes on. NOT_FOUND: no such channel; REJECTED: it cannot be carried, *reterr_code says why,
 * as fit_content() does. */
struct deliver_fitting {
  parley_text channel;
  const struct content *content;
  const struct policy_topic *topic; /* NULL: gone from the configuration */
  id64 message, customer, identity; /* what links name; 0: not known, a link is as long all the same */
  uint32_t step;
  int64_t expires_ms;
};
parley_status deliver_fit(struct deliver *deliver, const struct deliver_fitting *asked, struct arena *arena, struct fitted *ret,
                          const parley_capabilities **ret_caps, const char **reterr_code);
/* Logs in at the provider, sends nothing (`parley channel check`). PARLEY_OK: done comes once, perhaps before the return, with the
 * plugin's outcome, UNKNOWN at the latest after DELIVER_PROBE_DEADLINE_MS. NOT_FOUND: this plugin cannot; else: not now. */
typedef void deliver_probed(const parley_outcome *outcome, void *arg);
parley_status deliver_probe(struct deliver *deliver, struct channel *channel, deliver_probed *done, void *arg);

/* For struct channel_owner. */
void deliver_settled(struct deliver *deliver, struct channel *channel, uint64_t token, const parley_outcome *outcome);
void deliver_roomier(struct deliver *deliver, struct channel *channel, bool well);
void deliver_receipt(struct deliver *deliver, struct channel *channel, const parley_receipt *receipt, parley_done *done, void *arg);

/* Log-linear milliseconds; le[] bounds in DELIVER_BUCKETS_MS. */
#define DELIVER_BUCKETS 12
extern const uint32_t deliver_bucket_ms[DELIVER_BUCKETS];
struct deliver_counters {
  uint64_t attempts, by_outcome[9 /* PARLEY_OUTCOME_* */], possible_duplicates, stale_results;
  uint64_t deaths; /* attempts that were in the plugin's process when it died; in by_outcome they are UNKNOWN */
  uint64_t latency[DELIVER_BUCKETS + 1]; /* accepted -> settled ACCEPTED or DELIVERED */
  uint64_t latency_sum_ms;
  uint64_t throttled_answers; /* that named a destination */
  uint32_t held, in_flight, breakers_open, throttled /* destinations that are held, or gone to slowly */;
  bool down;            /* an outcome said CHANNEL_DOWN: nothing goes out until it is checked again or says that it is up */
  const char *down_why; /* of down: the outcome's code and detail; until the next outcome */
};
void deliver_counters(const struct deliver *deliver, parley_text channel, struct deliver_counters *ret);
/* Destinations that said "slower": held for so long yet, and how fast after that (0: as fast as any). Returns how many of them are
 * in `to`; the names until the loop goes on. */
struct deliver_throttle { const char *destination; double rate_per_s; int64_t held_ms; };
size_t deliver_throttled(const struct deliver *deliver, parley_text channel, struct deliver_throttle *to, size_t n_max);
#endif
