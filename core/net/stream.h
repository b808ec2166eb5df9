/* stream.h - byte streams over TCP and TLS, out and in: what stands behind parley.stream/1, whose words and rules hold
 * here (include/parley/ext/stream.h). Owns sockets, buffers and TLS sessions. Thread: loop.
 *
 * Both sides of the process border use it. A process that may make its own sockets gives no connector. One that may not
 * gives a connector, and whoever may (stream_dial, stream_bind) makes them for it. */
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
#define STREAM_BACKLOG_MAX 4096
#define STREAM_OPEN_MAX 4096  /* streams and listeners of one owner; above: BUSY */
#define STREAM_DIALS_MAX 1024 /* sockets of one owner on their way to a peer; above: BUSY */
#define STREAM_BINDS_MAX 256  /* listening sockets of one owner; above: BUSY */
#define STREAM_HEIR_MS 10000  /* a socket that nobody listens on waits so long for an heir to ask for it */

/* --- Sockets, asked for and answered --------------------------------------------------------- */

/* The answer. Whatever the status, it comes exactly once, never within the call that asked or cancelled. */
struct stream_socket {
  parley_status status;
  int fd;              /* OK: non-blocking, close-on-exec, the callee's to close; else -1 */
  parley_text address; /* OK: the peer's, or where it is bound: "127.0.0.1:25", "unix:/path"; ends with the call */
  parley_text reason;  /* not OK: why; ends with the call */
};
typedef void stream_socket_done(const struct stream_socket *socket, void *arg);

/* Where sockets come from. Ids are never 0, and those of dial and listen differ. */
struct stream_connector {
  /* Answered with a connected socket. connect_ms is more than 0, and spans the name and all its addresses. */
  uint64_t (*dial)(const struct stream_connector *self, parley_text address, uint32_t connect_ms,
                   stream_socket_done *done, void *arg);
  /* Answered with a socket that listens. backlog is more than 0. */
  uint64_t (*listen)(const struct stream_connector *self, parley_text address, uint32_t backlog,
                     stream_socket_done *done, void *arg);
  /* Once an id at most. Before its answer: that soon comes all the same, CANCELLED or with a socket, which is then
   * closed unused. After it, and only for one that listens: the socket is not accepted on any more. Each listen that
   * was answered OK is cancelled in the end. */
  void (*cancel)(const struct stream_connector *self, uint64_t id);
  void *impl;
};

/* Makes a socket for somebody else: resolves, asks egress about each address, tries one after the other until
 * connect_ms (0: 30 s) is over. Nothing is ever read from it or written to it here. */
uint64_t stream_dial(struct streams *streams, parley_text address, uint32_t connect_ms, stream_socket_done *done,
                     void *arg);
/* Binds and listens within the call; backlog 0: 128. The socket is kept, beside the one that is handed out, for an
 * heir, until stream_cancel(id), which also removes the file of a "unix:" address when no heir has it. */
uint64_t stream_bind(struct streams *streams, parley_text address, uint32_t backlog, stream_socket_done *done,
                     void *arg);

/* --- The owner ------------------------------------------------------------------------------- */

/* loop, env, dns, egress and connector are borrowed and outlive the result. connector: NULL for sockets of our own;
 * else dns and egress may be NULL, and there is no stream_dial and no stream_bind. */
struct streams *streams_new(uv_loop_t *loop, const struct env *env, struct dns *dns, const struct egress *egress,
                            const struct stream_connector *connector);
/* What `older` listens on now, handed out or not, is there for the heir as well: the first that listens on the same
 * address gets the same socket, so that no connection is refused while the one takes over from the other. Whichever is
 * the last to let go closes it. older may end at once, and may be the heir itself: then for a process that is started
 * again. What is not asked for within STREAM_HEIR_MS after the last one has stopped listening is let go. */
void streams_inherit(struct streams *heir, struct streams *older);
/* Closes all: each stream gets closed() with CANCELLED, each listener ends, each socket asked for is answered
 * CANCELLED; then closed(arg), when the memory is gone. */
void streams_close(struct streams **streams, void (*closed)(void *arg), void *arg);

/* --- The extension's functions --------------------------------------------------------------- */

/* As those of the same name. Events never come within the call that caused them. Ids are never 0. */
uint64_t stream_connect(struct streams *streams, const parley_endpoint *endpoint, const parley_stream_events *events,
                        void *arg);
uint64_t stream_listen(struct streams *streams, const parley_endpoint *endpoint, const parley_stream_events *events,
                       parley_accepted *accepted, parley_done *bound, void *arg);
/* Stops listening, closes a stream now, ends what stream_dial or stream_bind began. false: no such id. */
bool stream_cancel(struct streams *streams, uint64_t id);
uint64_t stream_write(struct streams *streams, uint64_t id, parley_bytes bytes);
void stream_reading(struct streams *streams, uint64_t id, uint32_t on);
void stream_secure(struct streams *streams, uint64_t id, const parley_tls *tls, uint32_t as_server, uint64_t unused);
void stream_shut(struct streams *streams, uint64_t id, uint32_t now); /* the extension's close() */
#endif
