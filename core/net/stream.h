/* stream.h - byte streams over TCP and TLS, out and in: what stands behind parley.stream/1, whose words and rules hold
 * here (include/parley/ext/stream.h). Owns sockets, buffers and TLS sessions. Thread: loop. */
#ifndef CORE_NET_STREAM_H
#define CORE_NET_STREAM_H
#include "dns.h"
#include "egress.h"
#include <parley/ext/stream.h>

struct streams; /* all the streams of one owner (a channel instance) */
#define STREAM_CONNECT_MS 30000
#define STREAM_READ_MAX 65536
#define STREAM_READ_MAX_MAX (16u << 20)
#define STREAM_WRITE_HIGH 262144
#define STREAM_WRITE_CUT 16  /* times write_high: closed with BUSY */
#define STREAM_FLUSH_MS 5000 /* for what was written, after close */
#define STREAM_BACKLOG 128
#define STREAM_OPEN_MAX 4096 /* streams and listeners of one owner; above: BUSY */

/* loop, env, dns and egress are borrowed and outlive the result. */
struct streams *streams_new(uv_loop_t *loop, const struct env *env, struct dns *dns, const struct egress *egress);
/* Closes all: each stream gets closed() with CANCELLED, each listener ends; then closed(arg), when the memory is gone.
 */
void streams_close(struct streams **streams, void (*closed)(void *arg), void *arg);

/* As the extension's functions of the same name. Events never come within the call that caused them. Ids are never 0.
 */
uint64_t stream_connect(struct streams *streams, const parley_endpoint *endpoint, const parley_stream_events *events,
                        void *arg);
/* heir_of: NULL, or the streams of this channel's older instance: where it listens on the same address, the socket is
 * shared with it, so that no connection is refused while the one takes over from the other. */
uint64_t stream_listen(struct streams *streams, const parley_endpoint *endpoint, const parley_stream_events *events,
                       parley_accepted *accepted, parley_done *bound, void *arg, struct streams *heir_of);
bool stream_cancel(struct streams *streams,
                   uint64_t id); /* stops listening, or closes a stream now; false: no such id */
uint64_t stream_write(struct streams *streams, uint64_t id, parley_bytes bytes);
void stream_reading(struct streams *streams, uint64_t id, uint32_t on);
void stream_secure(struct streams *streams, uint64_t id, const parley_tls *tls, uint32_t as_server, uint64_t unused);
void stream_shut(struct streams *streams, uint64_t id, uint32_t now); /* the extension's close() */
#endif
