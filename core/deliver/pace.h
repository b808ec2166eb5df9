/* pace.h - how fast messages go to a destination that has said "slower" (THROTTLED): half as fast as it took them, down to a floor.
 * Each PACE_STEP_MS in which it takes some again make it faster, by a tenth; once it is at twice of what it had been, and nobody had
 * to wait for it for PACE_FREE_MS, the limit is gone.
 * What finds no place is told when to come again, behind those of its lane and of the more urgent ones, so that a backlog comes
 * back spread out and not all at once. Values only; times are handed in, monotonic ms. */
#ifndef CORE_DELIVER_PACE_H
#define CORE_DELIVER_PACE_H
#include <stdbool.h>
#include <stdint.h>

#define PACE_SPAN_MS 10000         /* the rate of what was taken is measured over so long */
#define PACE_STEP_MS 10000         /* grows at most once in so long */
#define PACE_STEP_SHARE 0.1        /* of the rate at which it was throttled, or above that of what it is now */
#define PACE_FREE_AT 2.0           /* times that rate, and ... */
#define PACE_FREE_MS 60000         /* ... nobody put off for so long: no limit any more */
#define PACE_FORGET_MS 3600000     /* or nobody went there for so long */
#define PACE_UNKNOWN_PER_S 20      /* throttled before anything was counted: as if it had taken so many */
#define PACE_BURST_MS 1000         /* what was not used of so long may go at once */
#define PACE_LANES 5
#define PACE_URGENT_MS 1000        /* so long after its time a more urgent one's place is left free */
#define PACE_PUT_OFF_MIN_MS 250    /* put off by whole steps of this: looked at together */
#define PACE_PUT_OFF_MAX_MS 300000 /* put off no further than this at once: by then it may be faster */

/* How many were taken of late. */
struct pace_meter { /* all 0: none */
  uint32_t taken;
  int64_t from_ms;
  double before_per_s; /* in the span before */
};
void pace_meter_add(struct pace_meter *meter, int64_t mono_ms);
double pace_meter_per_s(const struct pace_meter *meter, int64_t mono_ms);

struct pace { /* all 0: no limit */
  double rate_per_s; /* 0: no limit */
  double throttled_per_s; /* how fast it went when it was last throttled */
  double room; /* how many may go at once now */
  int64_t room_ms, grown_ms, put_off_ms, used_ms;
  int64_t queue_ms[PACE_LANES]; /* when the last of those put off comes again, by lane */
  int64_t own_ms[PACE_LANES];   /* when the last of the lane's own comes again */
  uint32_t n_beyond;            /* put off without a place in that queue */
  struct pace_meter meter;
};
/* It said "slower". all_per_s: what all destinations took, where it has no count of its own yet; floor_per_s: above 0. */
void pace_slower(struct pace *pace, double all_per_s, double floor_per_s, int64_t mono_ms);
/* Whether there is a limit, which somebody has met of late. */
bool pace_is_limited(const struct pace *pace, int64_t mono_ms);
/* It took one. */
void pace_taken(struct pace *pace, int64_t mono_ms);
/* Takes a place for one of this lane that goes now. false: it waits. A place is left for a more urgent one that was put off and is
 * about to come again. */
bool pace_take(struct pace *pace, uint32_t lane, int64_t mono_ms);
/* It did not go after all. */
void pace_give_back(struct pace *pace);
/* When one of this lane, for which there was no place, shall come again: behind from_ms. */
int64_t pace_put_off(struct pace *pace, uint32_t lane, int64_t from_ms);
#endif
