/* smpp_health.h - how an SMPP channel is, in the host's words. Well: one bind that sends and one that receives, as far as the option
 * bind wants either; after trouble with one of several binds, all of them. Down: none does its work, and the centre refuses for good
 * or three tries in a row came to nothing; degraded: others do it meanwhile. Tells each change once. Owned by the pool.
 * Thread: loop. */
#ifndef SMPP_HEALTH_H
#define SMPP_HEALTH_H
#include "smpp_options.h"

struct smpp_strength { uint32_t links, bound, sending, receiving; }; /* links: all there should be; the others: bound now */
struct smpp_health {
  const parley_host *host;
  const struct smpp_options *options;
  uint32_t level; /* as the host was told */
  bool quiet;     /* the channel stops: nothing is told any more */
};
/* host and options are borrowed. */
void smpp_health_init(struct smpp_health *health, const parley_host *host, const struct smpp_options *options);
void smpp_health_bound(struct smpp_health *health, struct smpp_strength strength);
/* A bind came to nothing, `failures` times in a row now. */
void smpp_health_failed(struct smpp_health *health, const struct smpp_failure *failure, uint32_t failures,
                        struct smpp_strength strength);
/* code: the command_status by which the centre denied a bind what it is for. */
void smpp_health_denied(struct smpp_health *health, uint32_t code);
#endif
