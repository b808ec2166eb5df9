/* smpp_pool.h - a channel's binds and the messages that wait for room in a window: keeps every bind up, gives each part to the bind
 * with the most room, settles what was answered or lost, and rests when the centre says "slower". While no bind can send, it takes no
 * message (window 0) and holds none: what had not left goes back. Owns its links and jobs. Thread: loop. Times: monotonic ms. */
#ifndef SMPP_POOL_H
#define SMPP_POOL_H
#include "smpp_job.h"
#include "smpp_link.h"

struct smpp_pool;
struct smpp_pool_config { /* borrowed, outlives it */
  const parley_host *host;
  const parley_stream *stream;
  const struct smpp_options *options;
  struct smpp_ids *ids;
  uint32_t in_flight; /* tokens while a bind can send */
};
struct smpp_pool_owner {
  /* deliver_sm or data_sm: smpp_pool_reply() with the same link and generation. */
  void (*received)(struct smpp_link *link, const struct smpp_head *head, const struct smpp_message *message, void *arg);
  void (*over)(void *arg); /* stopped, and the last connection is gone */
  void *arg;
};
struct smpp_pool *smpp_pool_new(const struct smpp_pool_config *config, const struct smpp_pool_owner *owner); /* NULL: no memory */
void smpp_pool_free(struct smpp_pool **pool); /* after the host has closed every stream */
void smpp_pool_start(struct smpp_pool *pool);
bool smpp_pool_takes(const struct smpp_pool *pool); /* false: nothing can be sent now, or enough is open */
void smpp_pool_add(struct smpp_pool *pool, struct smpp_job *job); /* only when it takes one; the job is the pool's */
/* Asks a bind that stands whether the centre is there, or binds now; settles the token. false: one is under way. */
bool smpp_pool_probe(struct smpp_pool *pool, uint64_t token);
bool smpp_pool_hears(const struct smpp_link *link, uint32_t generation); /* that connection still stands */
/* The answer to what was received(): nothing when that connection is gone. */
void smpp_pool_reply(struct smpp_link *link, uint32_t generation, uint32_t command, uint32_t sequence, uint32_t status);
void smpp_pool_drain(struct smpp_pool *pool); /* takes no message more */
/* Gives back what has not left; waits for answers a while, then takes its leave: over() follows. */
void smpp_pool_stop(struct smpp_pool *pool);
#endif
