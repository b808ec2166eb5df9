/* stream_in.h - private to stream*.c: what an owner, a stream and a listener are made of. */
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
  uv_timer_t timer; /* runs while there is a stream */
  uv_idle_t soon;   /* runs while a stream is dirty */
  struct map by_id;
  struct list streams, listeners, dirty;
  struct list ended;     /* listeners without a handle, to be freed on the next turn */
  size_t handles, count; /* count: streams and listeners not yet freed */
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

enum stream_state { STREAM_NAMING, STREAM_CONNECTING, STREAM_SECURING, STREAM_OPEN, STREAM_FLUSHING, STREAM_OVER };

/* Ids of streams and listeners come from one row, so that one map finds both: each begins with its kind. */
enum stream_kind { STREAM_KIND_STREAM = 1, STREAM_KIND_LISTENER };

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
  uv_connect_t connect;
  struct stream_write *write; /* under way */
  struct tls *tls;
  struct tls_context *context; /* of the handshake to come */
  char host[URL_HOST_MAX + 1], server_name[URL_HOST_MAX + 1];
  struct buf in;    /* plain bytes not yet used */
  struct buf plain; /* written, and waiting for TLS */
  struct buf raw;   /* for the socket */
  uint64_t dns_id;
  struct net_address addresses[DNS_ADDRESSES_MAX], peer;
  size_t n_addresses, at_address;
  int64_t deadline_ms, moved_ms, flush_until_ms;
  unsigned pending; /* handle, look-up: what must end before closed() */
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
  const parley_stream_events *events;
  parley_accepted *accepted;
  parley_done *bound;
  void *arg;
  struct stream_settings set;
  struct tls_context *context;
  char address[STREAM_ADDRESS_MAX]; /* as it was asked for */
  char bound_at[STREAM_ADDRESS_MAX];
  bool told, io_open, over, is_unix, inherited; /* inherited: an heir shares the socket, its path stays */
  parley_status status;
  char why[STREAM_ADDRESS_MAX + 160];
};

/* stream.c */
struct stream *stream_new(struct streams *owner, const struct stream_settings *set, const parley_stream_events *events,
                          void *arg);
void stream_dirty(struct stream *stream);
void stream_soon(struct streams *owner);
void stream_settled(struct stream *stream); /* something pending has ended: tells and frees when it was the last */
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
void stream_resolve(struct stream *stream, uint16_t port);
void stream_connect_on_tick(struct stream *stream, int64_t now_ms);
parley_status stream_tls_context(struct streams *owner, const parley_tls *tls, bool as_server, struct tls_context **ret,
                                 struct buf *why);

/* stream_listen.c */
void stream_listener_close(struct stream_listener *listener);
void stream_listener_free(struct stream_listener *listener);
void stream_listener_tell(struct stream_listener *listener); /* bound() */
#endif
