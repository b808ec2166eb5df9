/* note.h - the page that a case's child shares with the kit: where it was when it died or hung, and which memory of the host had
 * ended already, or was not to be written. Written by the child, read by the kit after its end; of a hang, meanwhile. */
#ifndef CORE_KIT_NOTE_H
#define CORE_KIT_NOTE_H
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KIT_NOTE_REGIONS 4096 /* the newest ended pieces of memory; older ones are given back */
#define KIT_NOTE_DOING 96
#define KIT_REPORT_FD 900 /* in the child: where a result goes; fixed, so that a signal handler needs no state */

struct kit_region {
  uintptr_t at;
  size_t bytes;
  bool open;      /* it may be looked at, and not be written */
  char label[64]; /* "the message of token 3, which had settled" */
};
struct kit_note {
  atomic_int_fast64_t entered_ns; /* monotonic; 0: not in the plugin */
  char doing[KIT_NOTE_DOING];     /* "submit" */
  char step[KIT_NOTE_DOING];      /* of a random sequence: which one */
  uint32_t n_regions;             /* ever; the place is this modulo KIT_NOTE_REGIONS */
  struct kit_region regions[KIT_NOTE_REGIONS];
};
#endif
