/* link.h - one end of the socketpair between parleyd and a parley-plugin-host: frames with a length in front, both ways.
 *
 * A frame is u32 body length, u16 type, u16 zero, u64 id, body. What is sent leaves at the end of this turn of the loop, all frames
 * of the turn in one write. Descriptors travel from parleyd to the plugin's process only: parleyd reads without room for them, so
 * that the kernel drops any that a hostile process sends. Thread: loop. */
#ifndef CORE_BORDER_LINK_H
#define CORE_BORDER_LINK_H
#include "wire.h"
#include <uv.h>

#define FRAME_HEAD_BYTES 16
#define FRAME_BYTES_MAX ((uint32_t)32 << 20)  /* of one body: what the core sends, and a 25 MiB answer that a plugin asked for */
#define LINK_WAITING_MAX ((size_t)64 << 20)   /* unsent bytes; above, the other end counts as stuck */

struct frame {
  uint16_t type; /* enum frame_type of border.h */
  uint64_t id;
  parley_bytes body; /* until the handler returns */
};
struct link;
struct link_events {
  void (*frame)(const struct frame *frame, void *arg); /* may close the link */
  void (*broken)(const char *why, void *arg);          /* once; why: link_end_gone, or what the other end does wrong */
};
extern const char link_end_gone[]; /* the other end has gone; compare the pointer */
/* fd: connected and non-blocking; the link's from now on. in_max, out_max: bytes of a body that comes in, that goes out.
 * takes_fds: this is the plugin's end. loop and events are borrowed. */
struct link *link_new(uv_loop_t *loop, int fd, uint32_t in_max, uint32_t out_max, bool takes_fds, const struct link_events *events,
                      void *arg);
/* shape NULL: no body. false: the body is larger than out_max, nothing was sent. */
bool link_send(struct link *link, uint16_t type, uint64_t id, const struct abi_struct *shape, const void *from);
/* The same of what may be large: false also when there is no room for it right now. link_send() would take the other end for stuck. */
bool link_try(struct link *link, uint16_t type, uint64_t id, const struct abi_struct *shape, const void *from);
/* As link_send(), with a descriptor, which is the link's from now on. */
void link_send_fd(struct link *link, uint16_t type, uint64_t id, const struct abi_struct *shape, const void *from, int fd);
size_t link_waiting(const struct link *link); /* bytes not yet written */
int link_take_fd(struct link *link);          /* the oldest that came with a frame and was not yet taken; -1: none */
void link_flush(struct link *link);           /* writes what it can right now */
void link_drain(struct link *link);           /* reads what is there right now: the other end is known to have gone */
void link_close(struct link **link);          /* no event comes any more; memory goes with a later turn of the loop */
#endif
