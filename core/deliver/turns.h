/* turns.h - shares a line between its suspects and all others. A suspect is a message that was in its plugin's process
 * when that died: it is handed over only when nothing else is in flight, and nothing follows until it has settled, so
 * that a further death is its own. Values only; times are handed in, monotonic ms.
 *
 * Suspects go first, yet neither side starves. While others wait they get, after each suspect, as long as that one has
 * kept them waiting. A line that doesn't run down within the patience is given back to the others for as long, and the
 * patience doubles, up to where all that was in flight must have settled. A suspect that is in hand for TURNS_ALONE_MS
 * shares the line from then on: a message that hangs must not stop all others. A death after that may be another's, and
 * doesn't count against the suspect. */
#ifndef CORE_DELIVER_TURNS_H
#define CORE_DELIVER_TURNS_H
#include <stdbool.h>
#include <stdint.h>

#define TURNS_ALONE_MS 30000
#define TURNS_PATIENCE_MIN_MS 5000
#define TURNS_PATIENCE_MAX_MS 720000 /* above the deadline of a token, DELIVER_SUBMIT_DEADLINE_MS */

enum turn { TURN_OTHERS = 1, TURN_SUSPECT, TURN_NOBODY };
struct turns {          /* all 0: nothing was suspect yet */
  bool running_down;    /* for a suspect, since since_ms */
  bool in_hand, shared; /* a suspect is in hand since hand_ms; others went while it was */
  uint32_t in_flight;   /* in the plugin's hands, with the suspect */
  int64_t since_ms, hand_ms, others_until_ms;
  int64_t patience_ms; /* 0: the least */
};

/* Whose message may be handed over now, when a suspect and others are held that may go. *ret_look_ms: when the answer
 * changes by itself; 0: not by time. */
enum turn turns_next(struct turns *turns, bool suspect, bool others, int64_t mono_ms, int64_t *ret_look_ms);
/* One is being handed over; the answer to turns_next() allowed it. */
void turns_went(struct turns *turns, bool suspect, int64_t mono_ms);
/* It was not taken after all. */
void turns_untaken(struct turns *turns, bool suspect);
/* It has settled. false: a suspect that was not alone all the time. */
bool turns_settled(struct turns *turns, bool suspect, int64_t mono_ms);
#endif
