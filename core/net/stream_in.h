/* stream_in.h - private to stream*.c: what an owner, a stream, a listener and a socket for somebody else are made of.
 *
 * A stream and a listener ask the owner's connector for their socket. The connector of an owner that may make its own
 * is `own`, which dials and binds as for anybody else. */
#ifndef CORE_NET_STREAM_IN_H
#define CORE_NET_STREAM_IN_H
#include "core/base/buf.h"
#include "core/base/list.h"
#include "core/base/map.h"
#include "stream.h"
#include "tls.h"

#define STREAM_TICK_MS 100 /* how exact time-outs are */
#define STREAM_SLAB_BYTES 65536
#define STREAM_ADDRESS_MAX 320 /* bytes of an endpoint's address */
#define STREAM_TRY_MIN_MS 1000 /* a connection attempt gets its share of what is left, but this at least */
#define STREAM_TLS_KINDS 4     /* client contexts without material of their own: by their two flags */

struct streams {
  uv_loop_t *loop;
  const struct env *env;
  struct dns *dns;
  const struct egress *egress;
  const struct stream_connector *connector;
  struct stream_connector own;
  uv_timer_t timer; /* runs while there is a stream, a dial or something to inherit */
  uv_idle_t soon;   /* runs while a stream is dirty or something is due */
  struct map by_id;
  struct list streams, listeners, dials, binds, estate;
  struct list dirty; /* streams */
  struct list due;   /* struct stream_due */
  size_t handles;
  size_t n_open;           /* streams and listeners not yet freed */
  size_t n_dials, n_binds; /* not yet freed */
  unsigned held;           /* while callbacks run */
  uint64_t last_id;
  char *slab, *plain;
  struct tls_context *usual_tls[STREAM_TLS_KINDS];
  bool closing;
  void (*closed)(void *arg);
  void *closed_arg;
};

union stream_io {
  uv_handle_t handle;
  uv_stream_t stream;
  uv_tcp_t tcp;
  uv_pipe_t pipe;
};

enum stream_state { STREAM_CONNECTING, STREAM_SECURING, STREAM_OPEN, STREAM_FLUSHING, STREAM_OVER };

/* All ids come from one row, so that one map finds everything: each begins with its kind. */
enum stream_kind { STREAM_KIND_STREAM = 1, STREAM_KIND_LISTENER, STREAM_KIND_DIAL, STREAM_KIND_BIND };

struct stream_due { /* run once on the next turn, unless it was removed before */
  struct list node;
  void (*run)(struct stream_due *due);
};

struct stream_settings { /* an endpoint, defaults filled in */
  uint32_t connect_ms, idle_ms, backlog;
  uint64_t read_max, write_high;
};

struct stream {
  enum stream_kind kind;
  enum stream_state state;
  struct streams *owner;
  uint64_t id;
  const parley_stream_events *events;
  void *arg;
  struct list node, dirty_node;
  struct stream_settings set;
  union stream_io io;
  uint64_t ask_id;            /* of the connector, until its answer */
  struct stream_write *write; /* under way */
  struct tls *tls;
  struct tls_context *context; /* of the handshake to come */
  char host[URL_HOST_MAX + 1], server_name[URL_HOST_MAX + 1];
  struct buf in;    /* plain bytes not yet used */
  struct buf plain; /* written, and waiting for TLS */
  struct buf raw;   /* for the socket */
  struct net_address peer;
  int64_t deadline_ms, moved_ms, flush_until_ms;
  unsigned pending; /* handle, socket asked for: what must end before closed() */
  bool io_open, reading, uv_reading, as_server, accepted, in_data, must_deliver, wrote, secure_wanted, eof;
  parley_status end_status;
  char end_reason[160];
};

struct stream_write {
  uv_write_t write;
  struct stream *stream;
  char *bytes;
  size_t len;
};

struct stream_listener {
  enum stream_kind kind;
  struct streams *owner;
  uint64_t id;
  union stream_io io;
  struct list node;
  struct stream_due due;
  const parley_stream_events *events;
  parley_accepted *accepted;
  parley_done *bound;
  void *arg;
  struct stream_settings set;
  struct tls_context *context;
  uint64_t ask_id;  /* of the connector, until its refusal or our cancel */
  unsigned pending; /* handle, socket asked for: what must end before it is freed */
  bool told, io_open, over, is_unix;
  parley_status status;
  char bound_at[STREAM_ADDRESS_MAX];
  char why[STREAM_ADDRESS_MAX + 160];
};

/* A socket on its way to somebody's peer. */
struct stream_dial {
  enum stream_kind kind;
  struct streams *owner;
  uint64_t id;
  struct list node;
  struct stream_due due;
  stream_socket_done *done;
  void *arg;
  char host[URL_HOST_MAX + 1];
  uint64_t dns_id;
  struct net_address addresses[DNS_ADDRESSES_MAX], peer;
  size_t n_addresses, at_address;
  uv_poll_t poll; /* of fd, while it connects */
  int fd;
  bool polling, over;
  int64_t until_ms, try_until_ms;
  unsigned pending; /* look-up, poll: what must end before the answer */
  parley_status status;
  char reason[160];
};

/* stream.c */
struct stream *stream_new(struct streams *owner, const struct stream_settings *set, const parley_stream_events *events,
                          void *arg);
void stream_dirty(struct stream *stream);
void stream_due_add(struct streams *owner, struct stream_due *due, void (*run)(struct stream_due *due));
void stream_settled(struct stream *stream); /* something pending has ended: tells and frees when it was the last */
void streams_tick(struct streams *owner);   /* the timer runs from now on */
void streams_free_maybe(struct streams *owner);
int64_t streams_now(const struct streams *owner);
struct stream_settings stream_settings_of(const parley_endpoint *endpoint);

/* stream_io.c */
void stream_opened(struct stream *stream); /* connected or accepted: TLS or the first event is next */
void stream_end(struct stream *stream, parley_status status, const char *reason); /* closed() follows, later */
void stream_flush(struct stream *stream);
void stream_deliver(struct stream *stream); /* what is held, while it is wanted */
void stream_io_reading(struct stream *stream);
void stream_on_tick(struct stream *stream, int64_t now_ms);

/* stream_connect.c */
/* Opens the handle on a socket of either kind; on failure the socket is closed too. *io is the handle all the same. */
int stream_io_open(union stream_io *io, uv_loop_t *loop, int fd, bool *ret_is_unix);
parley_status stream_tls_context(struct streams *owner, const parley_tls *tls, bool as_server, struct tls_context **ret,
                                 struct buf *why);
/* What the TLS of a stream needs, kept until its handshake. false: the stream has been ended. */
bool stream_tls_prepare(struct stream *stream, const parley_tls *tls, bool as_server);
/* The host part of an address and its port, or why not. */
const char *stream_address_split(parley_text address, char to[URL_HOST_MAX + 1], uint16_t *ret_port);

/* stream_listen.c */
void stream_listener_close(struct stream_listener *listener);

/* stream_dial.c */
void stream_dial_on_tick(struct stream_dial *dial, int64_t now_ms);
void stream_dial_cancel(struct stream_dial *dial);

/* stream_bind.c */
struct stream_bind;
void stream_bind_cancel(struct stream_bind *bind);
void streams_bind_cancel_all(struct streams *owner);
void streams_estate_on_tick(struct streams *owner, int64_t now_ms);
void streams_estate_end(struct streams *owner);
#endif
