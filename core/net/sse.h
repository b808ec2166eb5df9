/* sse.h - server-sent events on an HTTP stream: framing, a ping each 15 s, and the cut of readers that fall behind.
 * Owns one timer for all its streams. Thread: loop. */
#ifndef CORE_NET_SSE_H
#define CORE_NET_SSE_H
#include "http_server.h"

#define SSE_PING_MS 15000
#define SSE_RETRY_MS 2000

struct sse_set;
struct sse;
/* loop is borrowed and outlives the set. */
struct sse_set *sse_set_new(uv_loop_t *loop);
/* Ends every stream; closed(arg) runs once, when the set's memory is gone. */
void sse_set_close(struct sse_set **set, void (*closed)(void *arg), void *arg);
void sse_set_ping(struct sse_set *set); /* what its timer does */

struct sse_events {            /* static */
  void (*writable)(void *arg); /* NULL allowed. All has left: room for more */
  void (*closed)(void *arg);   /* exactly once, never within a call here; the handle is gone after it */
};
/* Answers the request with 200 text/event-stream and `retry: 2000`. headers: more of them, e.g. for CORS. */
struct sse *sse_begin(struct sse_set *set, struct http_request *request, const parley_pair *headers, uint32_t n_headers,
                      const struct sse_events *events, void *arg);
/* id and event may be empty; line ends in data become further data: lines. Returns false when the reader was more than
 * HTTP_STREAM_CUT_BYTES behind: it is cut, closed() follows. */
bool sse_send(struct sse *sse, parley_text id, parley_text event, parley_text data);
size_t sse_waiting(const struct sse *sse); /* bytes */
void sse_end(struct sse *sse);
struct buf;
void sse_write(struct buf *buf, parley_text id, parley_text event, parley_text data); /* one framed event */
#endif
