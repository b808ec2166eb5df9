/* channel.h - one configured instance of a plugin, and the host that the plugin sees (`parley_host`).
 *
 * Owns      the plugin's instance, its options, timers, watches, work, streams, HTTP calls and everything it has open.
 * Thread    loop; of the host only log, metric, now_ms, mono_ms, random and post may be called on other threads.
 * Re-entry  none: what a plugin reports inside a call of ours is carried out when that call has returned; our callbacks to the
 *           owner below come in that order, never inside a plugin's call.
 * Life      channel_new -> channel_start -> ... -> channel_stop -> closed(). A plugin that misbehaves (settles twice, unknown
 *           token, call on a stopped channel) is counted and logged, never fatal. */
#ifndef CORE_CHANNEL_CHANNEL_H
#define CORE_CHANNEL_CHANNEL_H
#include "core/channel/option.h"
#include "core/channel/plugin.h"
#include "core/net/http_client.h"
#include "core/net/http_server.h"
#include "core/net/stream.h"
#include "core/store/store.h"
#include <parley/ext/http-in.h>
#include <parley/ext/media.h>
#include <parley/ext/stream.h>
#include <parley/ext/submit.h>

enum channel_state { CHANNEL_NEW = 1, CHANNEL_UP, CHANNEL_DEGRADED, CHANNEL_DOWN, CHANNEL_STOPPING, CHANNEL_FAILED };
const char *channel_state_name(enum channel_state state);

/* How far making or starting has come: at once for a plugin inside of this process, later for one in a process of its own. */
enum channel_step { CHANNEL_IDLE = 0, CHANNEL_GOING, CHANNEL_DONE, CHANNEL_BROKE };

struct channel;
/* What the floors above want to hear. All on the loop; texts end with the call. */
struct channel_owner {
  void (*settled)(struct channel *channel, uint64_t token, const parley_outcome *outcome, void *arg);
  void (*roomier)(struct channel *channel, bool well, void *arg); /* offer again. well: it says it is up; else its window opened */
  void (*window)(struct channel *channel, uint32_t in_flight, void *arg); /* NULL, or told of each window() */
  /* done(result, done_arg) exactly once, after the commit. */
  void (*inbound)(struct channel *channel, const parley_inbound *in, parley_done *done, void *done_arg, void *arg);
  void (*receipt)(struct channel *channel, const parley_receipt *receipt, parley_done *done, void *done_arg, void *arg);
  void (*touchpoint)(struct channel *channel, const parley_touchpoint *event, parley_done *done, void *done_arg, void *arg);
  void (*timeline)(struct channel *channel, const parley_query *query, parley_page_done *done, void *done_arg, void *arg);
  /* ext/submit.h; both NULL: nothing is handed in here */
  void (*login)(struct channel *channel, parley_text key, parley_text peer, parley_done *done, void *done_arg, void *arg);
  void (*submit)(struct channel *channel, const parley_submission *submission, parley_done *done, void *done_arg, void *arg);
  void (*health)(struct channel *channel, enum channel_state state, parley_text cause, parley_text remedy, void *arg);
  void (*progress)(struct channel *channel, void *arg); /* channel_making() or channel_starting() was GOING and is no more */
  void *arg;
};
/* What stands behind the host's services, with the ABI's own signatures: in parleyd its store, HTTP client and sockets
 * (channel_services_own), in parley-plugin-host frames to parleyd. All const. */
struct channel_services {
  void (*state_get)(const parley_host *, parley_text key, parley_done *done, void *arg);
  void (*state_put)(const parley_host *, parley_text key, parley_bytes value, parley_done *done, void *arg);
  const parley_http *http;
  const parley_http_answers *http_answers;
  const parley_stream *stream;
  const parley_media *media;
  void (*sweep)(struct channel *channel, int64_t mono_ms); /* once a second; NULL allowed */
  void (*end)(struct channel *channel);                    /* the plugin has taken its leave; NULL allowed */
};
extern const struct channel_services channel_services_own;

/* What plugins in processes of their own need. Borrowed. */
struct channel_apart {
  const char *host_program; /* path of parley-plugin-host */
  uint64_t memory_bytes;    /* of one process; above, it is killed */
  uint32_t hang_ms;         /* without an answer for so long, it is killed */
};

/* What all channels of a daemon share; borrowed, outlives them. */
struct channel_shared {
  uv_loop_t *loop;
  const struct env *env;
  const struct log *log;
  const struct channel_services *services;
  struct channel_apart apart; /* of this configuration: channels of an older one keep theirs */
  struct store *store;
  struct http_client *http;
  struct dns *dns;
  const struct egress *egress;
  const struct stream_connector *connector; /* NULL: sockets of our own */
  parley_text public_url, version;
};
extern const char *const channel_extensions[]; /* what the host offers; ends with NULL: for plugin_load() */
/* Makes the instance (plugin->create); nothing runs yet. PARLEY_INVALID: *reterr_why says which option and why. In a process of its
 * own channel_making() is GOING until owner.progress(); BROKE: channel_cause() says why.
 * older: NULL, or the running instance of the same channel, borrowed for the call: the addresses it listens on go over to this
 * one, which may listen there while the older one does, and for STREAM_HEIR_MS after it has stopped. */
parley_status channel_new(const struct channel_shared *shared, const struct channel_owner *owner, const struct conf *conf,
                          const struct conf_channel *wanted, struct plugin *plugin, struct channel *older, struct channel **ret,
                          struct buf *reterr_why);
/* The same with options that are read already, borrowed until closed(): in parley-plugin-host. */
parley_status channel_new_with(const struct channel_shared *shared, const struct channel_owner *owner, const char *name,
                               uint32_t in_flight, const parley_value *options, struct plugin *plugin, struct channel **ret);
/* Only once it is made. In a process of its own channel_starting() is GOING until owner.progress(). */
parley_status channel_start(struct channel *channel, struct buf *reterr_why);
enum channel_step channel_making(const struct channel *channel);
enum channel_step channel_starting(const struct channel *channel);
/* Nothing more is submitted; what is open has within_ms to settle, then is settled UNKNOWN; streams, timers, calls end.
 * closed(arg) once, on the loop, when all memory is gone. Sets *channel to NULL at once. */
void channel_stop(struct channel **channel, uint32_t within_ms, void (*closed)(void *arg), void *arg);

const char *channel_name(const struct channel *channel);
const struct plugin *channel_plugin(const struct channel *channel);
const parley_capabilities *channel_caps(const struct channel *channel); /* as narrowed by its options */
enum channel_state channel_state(const struct channel *channel);
parley_text channel_cause(const struct channel *channel);  /* of DOWN and DEGRADED; may be empty */
parley_text channel_remedy(const struct channel *channel);
/* BROKE while it was made: as an error of its line in the configuration. */
void channel_say_unmade(const struct channel *channel, const struct conf *conf, const struct conf_channel *wanted, struct buf *why);
void channel_say_why(const struct channel *channel, struct buf *to); /* both, for a person; or that there was no reason given */

/* Free places right now: min(window(), in_flight) less what is open; 0 unless UP or DEGRADED. */
uint32_t channel_free(const struct channel *channel);
/* PARLEY_OK: taken, settled() follows within deadline_ms at the latest (then as UNKNOWN; as DIED when the plugin's
 * process dies). The message lives until settled().
 * PARLEY_BUSY: not taken. Anything else: PARLEY_RETRY. Tokens are the caller's, never 0, never reused. */
parley_status channel_submit(struct channel *channel, uint64_t token, const parley_message *message, uint32_t deadline_ms);
bool channel_can_query(const struct channel *channel);
parley_status channel_query(struct channel *channel, uint64_t token, const parley_message *message, uint32_t deadline_ms);
bool channel_can_probe(const struct channel *channel);
parley_status channel_probe(struct channel *channel, uint64_t token, uint32_t deadline_ms);

/* A request to /in/<channel>/...: answered through http_answer(), now or later; 503 when not started or draining, 404 when the
 * plugin takes no callbacks. public_url: the configured one with path and query of this request. */
void channel_http_in(struct channel *channel, struct http_request *request);

/* What a mailbox plugin holds (ext/mailbox.h); NULL when it offers none. */
const void *channel_offer(const struct channel *channel, const char *extension);
parley_channel *channel_instance(struct channel *channel);

/* Where the plugin runs. */
struct channel_process {
  bool apart;         /* in a process of its own; else the rest is empty */
  int pid;            /* 0: none runs right now */
  uint32_t deaths;    /* since the channel was made */
  uint64_t rss_bytes; /* as of the last heartbeat */
  parley_text sandbox, last_death; /* what is in force; why it died last */
};
void channel_process(const struct channel *channel, struct channel_process *ret);

/* The plugin's own metrics, one call a label: value is a gauge's, a counter's sum or a histogram's sum, count how many
 * observations.
 * take: only what came since the last time, and begin anew. seen() must not call the channel. */
typedef void channel_metric_seen(const parley_metric *metric, parley_text label, double value, uint64_t count, void *arg);
void channel_metrics_each(struct channel *channel, bool take, channel_metric_seen *seen, void *arg);

struct channel_counters { uint64_t submitted, settled, late, misbehaved, inbound, receipts, slow_calls; uint32_t open; };
void channel_counters(const struct channel *channel, struct channel_counters *ret);
#endif
