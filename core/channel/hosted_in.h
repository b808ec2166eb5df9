/* hosted_in.h - private to hosted*.c. */
#ifndef CORE_CHANNEL_HOSTED_IN_H
#define CORE_CHANNEL_HOSTED_IN_H
#include "hosted.h"
#include "instance.h"

struct hosted {
  uv_loop_t *loop;
  const struct env *env;
  struct log log;
  struct link *link;
  struct plugin *plugin;
  parley_text sandbox;
  struct channel *channel;     /* NULL: not made yet, or gone */
  struct arena *arena;         /* of CREATE: name, options */
  uv_timer_t metrics;
  uv_async_t lines_async;      /* log lines wait for the loop's thread */
  uv_mutex_t lines_mutex;
  struct list lines;
  size_t n_lines;
  struct map messages;         /* token -> struct hosted_message */
  struct list waiting;         /* those that the plugin did not take yet */
  bool offering;
  struct map calls;            /* id -> struct hosted_call */
  size_t calls_bytes;          /* of their frames */
  struct stream_connector connector;
  struct map sockets;          /* id -> struct hosted_socket: asked for by DIAL or LISTEN */
  uint64_t misbehaved;
  bool draining, over;
  void (*gone)(void *arg);
  void *arg;
};

static inline struct hosted *hosted_of(const parley_host *host) { return channel_of(host)->owner.arg; }

/* hosted.c */
/* false: too large */
bool hosted_send(struct hosted *hosted, enum frame_type type, uint64_t id, const struct abi_struct *shape, const void *from);
uint32_t hosted_health(const struct channel *channel); /* PARLEY_UP, DEGRADED, DOWN */
const void *hosted_read(const struct frame *frame, const struct abi_struct *shape, struct arena *arena); /* NULL: unreadable */
/* hosted_calls.c: what the plugin asks of parleyd, and its answers. */
extern const struct channel_services hosted_services;
extern const struct channel_owner hosted_owner; /* arg NULL */
void hosted_on_result(struct hosted *hosted, uint64_t id, const parley_result *result);
void hosted_on_page(struct hosted *hosted, uint64_t id, const parley_page *page);
void hosted_on_response(struct hosted *hosted, uint64_t id, const parley_http_response *response);
/* hosted_out.c: submits, and what becomes of them. */
void hosted_submit(struct hosted *hosted, enum frame_type type, const struct frame *frame);
void hosted_settled(struct channel *channel, uint64_t token, const parley_outcome *outcome, void *arg);
void hosted_offer_again(struct hosted *hosted);
void hosted_give_back(struct hosted *hosted); /* what the plugin never took: not out */
/* hosted_socket.c */
struct stream_connector hosted_connector(struct hosted *hosted);
void hosted_on_socket(struct hosted *hosted, uint64_t id, const struct frame_words *words);
#endif
