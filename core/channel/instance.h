/* instance.h - the inside of a channel, shared by channel.c (life), host.c (the host's plain functions) and ext_*.c (its
 * extensions). Private to this folder. */
#ifndef CORE_CHANNEL_INSTANCE_H
#define CORE_CHANNEL_INSTANCE_H
#include "channel.h"
#include "core/base/map.h"
#include <parley/ext/http-in.h>
#include <parley/ext/media.h>

#define CHANNEL_INLINE_MAX ((uint64_t)1 << 20)
#define CHANNEL_SLOW_MS 50            /* a plugin's call above is logged and counted */
#define CHANNEL_CALLS_MAX 1024        /* provider callbacks waiting for the plugin's answer */
#define CHANNEL_CALL_MS 30000         /* then answered 503 for it */
#define CHANNEL_HANDLES_MAX 65536     /* timers, watches, work and host calls open at once */
#define CHANNEL_METRICS_MAX 64
#define CHANNEL_UPLOADS_MAX 8         /* of 25 MiB at most each, in memory until the store has them */
#define MEDIA_WORD_BYTES_MAX 255      /* of its type, of its name */
#define HTTP_MEDIA_BYTES_MAX ((uint64_t)25 << 20) /* a body of parley.http/1, either way */
#define CHANNEL_HTTP_MEDIA_MAX 8      /* requests with media of the store under way: each holds such a body */
#define CHANNEL_HTTP_WAITING_MAX 256  /* more wait for a place, with at most inline_max of their own */
#define CHANNEL_SWEEP_MS 1000
#define CHANNEL_WINDOW_DEFAULT 64     /* tokens open at once when the plugin names no number */
#define CHANNEL_WINDOW_MAX 100000
#define HANDLE_ID_BIT (UINT64_C(1) << 63) /* our own ids; those of streams have it clear */

/* What a plugin may cancel by id. */
enum handle_kind { HANDLE_TIMER = 1, HANDLE_WATCH, HANDLE_WORK, HANDLE_HTTP, HANDLE_UPLOAD };
struct handle {
  struct channel *channel;
  enum handle_kind kind;
  uint64_t id;
  void (*cancel)(struct handle *handle); /* the plugin asked; or the channel stops */
};

struct token {
  uint64_t token;
  int64_t deadline_ms; /* monotonic */
  struct list node;
};
/* Carried out when the plugin's call has returned. */
struct deferred {
  struct list node;
  void (*run)(struct channel *channel, struct deferred *deferred); /* frees it */
};
struct posted {
  struct posted *next;
  parley_call *run;
  void *arg;
};
struct metric_value {
  const parley_metric *metric;
  char label[64];
  double value;
  uint64_t count;
};

struct channel {
  parley_host host; /* host.impl is the channel */
  struct channel_shared shared;
  struct channel_owner owner;
  struct arena *arena;
  struct secrets secrets;
  char *name;
  struct plugin *plugin;
  const parley_plugin *table;
  parley_channel *instance;
  const parley_value *options;
  const parley_capabilities *caps;
  uint32_t in_flight_conf; /* 0: as the plugin says */
  enum channel_state state;
  enum channel_step making, starting;
  struct buf cause, remedy;
  uint32_t window;
  struct map tokens;   /* token -> struct token */
  struct list waiting; /* struct token, oldest first */
  struct map handles;  /* id -> struct handle */
  struct map calls;    /* id -> struct call of ext_http_in.c */
  uint64_t last_id;
  uint32_t uploads;    /* of ext_media.c */
  struct list http_waiting; /* of ext_http_media.c */
  uint32_t n_http_waiting, http_media;
  struct streams *streams;
  int depth;             /* inside a call to the plugin */
  struct list deferred;
  bool flushing;
  uint64_t entered_ns;
  uv_timer_t sweep;
  uv_async_t async;
  uv_mutex_t mutex; /* guards posted, metrics */
  struct posted *posted, **posted_end;
  struct metric_value metrics[CHANNEL_METRICS_MAX];
  size_t n_metrics;
  struct channel_counters counters;
  /* stopping */
  bool started, stop_said, stop_asked, streams_gone, destroyed;
  int64_t stop_by_ms;
  int open_handles; /* libuv handles and streams not yet closed */
  uint32_t host_calls; /* requests to store, pool and HTTP whose completion is still to come */
  void (*closed)(void *arg);
  void *closed_arg;
};

static inline struct channel *channel_of(const parley_host *host) { return host->impl; }

/* Every call into the plugin stands between these two, on the loop. */
void channel_enter(struct channel *channel);
void channel_leave(struct channel *channel, const char *what);
void channel_defer(struct channel *channel, struct deferred *deferred);

/* Gives the handle an id and a place; false when there are too many. */
bool handle_add(struct channel *channel, struct handle *handle, enum handle_kind kind, void (*cancel)(struct handle *));
void handle_drop(struct handle *handle); /* forgets it; the memory is its owner's */

/* A plugin's done, called in its proper frame. */
void channel_done(struct channel *channel, parley_done *done, void *arg, parley_status status, uint32_t count,
                  parley_text value, const char *reason);
/* The same on a later turn of the loop. reason: static. */
void channel_done_later(struct channel *channel, parley_done *done, void *arg, parley_status status, const char *reason);
/* What a plugin says of a token: bounded, masked, clamped to the ABI's outcomes. */
void channel_settle(struct channel *channel, uint64_t token, const parley_outcome *outcome);
/* channel.c: the two halves of making one. */
struct channel *channel_alloc(const struct channel_shared *shared, const struct channel_owner *owner, parley_text name,
                              struct plugin *plugin, struct channel *older);
parley_status channel_create(struct channel *channel);
/* remote.c: create and start have ended in the plugin's process. */
void channel_made(struct channel *channel, parley_status status);
void channel_has_started(struct channel *channel, parley_status status);
/* host.c: what came together of a metric since it was last said; n observations. */
void channel_metric_add(struct channel *channel, const char *name, parley_text label, double amount, uint64_t n);
/* An open token whose process has died, which the plugin can no longer say: PARLEY_OUTCOME_DIED, code "plugin_died". */
void channel_settle_unknown(struct channel *channel, uint64_t token, const char *code); /* by us */
bool channel_token_drop(struct channel *channel, uint64_t token); /* false: it is not open */
void channel_settle_died(struct channel *channel, uint64_t token);
void channel_call_over(struct channel *channel); /* one of host_calls has completed */
void channel_misbehaved(struct channel *channel, const char *how);
/* Replaces every secret of the channel's options in the text by ***. */
void channel_mask(const struct channel *channel, parley_text text, struct buf *to);
/* The same, and then cut to whole code points: of a secret that is cut first, a piece would show. */
void channel_mask_cut(const struct channel *channel, parley_text text, size_t bytes_max, struct buf *to);
/* Once nothing is open any more, frees the channel. */
void channel_maybe_gone(struct channel *channel);

void host_init(struct channel *channel); /* host.c: fills channel->host */
extern const parley_http ext_http;
extern const parley_http_answers ext_http_answers;
extern const parley_stream ext_stream;
extern const parley_media ext_media;
extern const parley_submit ext_submit; /* host.c: by way of the owner, on either side of the border */
/* ext_media.c: done() of an id that stands for no upload, as create() gives one when there is no room. */
void media_upload_unknown(struct channel *channel, uint64_t id, parley_done *done, void *arg);
/* ext_http.c, ext_http_media.c */
bool http_has_media(const parley_http_request *request); /* pieces by id, or an answer to keep */
uint64_t http_media_request(struct channel *channel, const parley_http_request *request, parley_http_done *done, void *arg);
uint64_t http_refuse(struct channel *channel, parley_http_done *done, void *arg, parley_status status, const char *reason);
uint64_t http_response_max(const parley_http_request *request);
void http_response_fill(parley_http_response *response, const struct http_reply *reply); /* borrows the reply */
void ext_http_in_sweep(struct channel *channel, int64_t mono_ms); /* answers 503 where the plugin stayed silent */
void ext_http_in_end(struct channel *channel);                    /* answers 503 to all */
#endif
