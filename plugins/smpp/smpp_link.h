/* smpp_link.h - one bind of a channel: the socket under an smpp_session, that connects again by itself, sooner or later, until it is
 * told to leave. The pause doubles with each failure in a row, up to reconnect_max, times 0.5 to 1 at random. Owned by its pool,
 * which is told what happens. Thread: loop. Times: monotonic ms. */
#ifndef SMPP_LINK_H
#define SMPP_LINK_H
#include "smpp_options.h"
#include <parley/ext/stream.h>

struct smpp_link;
struct smpp_link_owner { /* arg: smpp_link.arg */
  void (*bound)(struct smpp_link *link);
  void (*failed)(struct smpp_link *link, const struct smpp_failure *failure);
  void (*answered)(struct smpp_link *link, void *ref, const struct smpp_answer *answer);
  void (*alive)(struct smpp_link *link);
  void (*received)(struct smpp_link *link, const struct smpp_head *head, const struct smpp_message *message);
  void (*after)(struct smpp_link *link);  /* something came in and has been seen to: there may be room again */
  void (*closed)(struct smpp_link *link); /* its connection is over: link->open is false */
};
struct smpp_link {
  const parley_host *host;
  const parley_stream *stream;
  const struct smpp_options *options;
  const struct smpp_link_owner *owner;
  void *arg;
  struct smpp_session session;
  uint64_t stream_id;
  uint32_t generation; /* of the connection: an answer for an older one is for nobody */
  bool open, leaving;
  bool denied;         /* the pool's: the centre refuses what it is for; it is bound anew when nothing is awaited */
  uint32_t failures;   /* in a row */
  int64_t retry_at_ms;
};
bool smpp_link_init(struct smpp_link *link, uint32_t command); /* its borrowed members are set; false: no memory */
void smpp_link_done(struct smpp_link *link);
void smpp_link_connect(struct smpp_link *link); /* now, unless it is open */
void smpp_link_sweep(struct smpp_link *link);   /* each second */
void smpp_link_leave(struct smpp_link *link);   /* for good */
bool smpp_link_bound(const struct smpp_link *link); /* and not denied */
bool smpp_link_sends(const struct smpp_link *link); /* of its kind, bound or not */
bool smpp_link_receives(const struct smpp_link *link);
#endif
