/* join.h - a text that comes in pieces, as its row says, and the message that its pieces become. Private to core/store: write_join.c
 * keeps the pieces, write_joined.c makes the message. */
#ifndef CORE_STORE_JOIN_H
#define CORE_STORE_JOIN_H
#include "write.h"

struct joining {
  id64 id, message;
  uint64_t h;
  int64_t done_ms;
  uint32_t total;
  parley_text what, channel, channel_kind, sender, why;
};

/* Of what is there, in its order, with a mark where pieces are missing. in: policy, decide, now_ms, op.arena; what comes out of it
 * stands there, too. why: in case that some are missing. NOT_FOUND: there are none. */
parley_status joining_deliver(struct round *round, const struct joining *joining, const char *why, struct store_inbound *in);
parley_text sender_write(const struct recipient *from, struct arena *arena); /* as joining.sender has it */
#endif
