/* daemon.h - parleyd as a whole: makes the floors, hands them to each other, reloads and takes its leave. One of it a process.
 * Thread: loop. Private to core/daemon. */
#ifndef CORE_DAEMON_DAEMON_H
#define CORE_DAEMON_DAEMON_H
#include "core/api/api.h"
#include "core/base/list.h"
#include "core/bridge/bridge.h"
#include "core/channel/phone_load.h"
#include "core/config/conf.h"

#define DAEMON_STOP_MS 5000 /* for the feed: pushes on their way may still be answered */

struct channel_pair { /* a channel and the sink that carries its test messages */
  struct channel *channel, *test_sink;
  bool kept;       /* while a set is built: taken over from the running one */
  bool late_start; /* it may not run beside its older self: started when that has gone (PARLEY_EXCLUSIVE), and still to be */
};
struct channel_set { /* all channels of one configuration, sorted by name */
  size_t n;
  struct channel_pair *pairs;
  struct policy *policy;
};

struct daemon {
  uv_loop_t *loop;
  const struct env *env;
  struct log log;
  const char *conf_path;
  struct conf *conf;
  const char *run_dir; /* of the environment */
  struct egress *egress;
  struct dns *dns;
  struct http_client *http;
  struct store *store;
  struct deliver *deliver;
  struct inbound *inbound;
  struct feed *feed;
  struct bridge *bridge;
  struct api *api;
  struct http_server *server;
  struct channel_set set;
  struct plugin_home home;
  struct plugin_shelf shelf;
  struct phone_plan phones; /* of the configuration in force */
  struct set_build *build; /* a set being built; NULL: none */
  bool reload_again;       /* SIGHUP came meanwhile */
  struct plugin *sink; /* carries test messages; NULL: no sink.so was found */
  uv_signal_t hup, term, interrupt;
  uv_timer_t deadline, watch;
  uint16_t port;
  bool ready, stopping;
  int64_t stop_until_ms; /* mono: how long it waits for a store that takes nothing; when stopping */
  bool restored; /* asked for: what the store holds may be older than what has happened since */
  struct list leaving; /* channels told to stop that have not gone yet */
  int exit_code;
};

/* Makes everything and begins to serve. On failure *reterr_why has a line for a person and the result is a sysexits code. */
int daemon_start(struct daemon *daemon, struct buf *reterr_why);
void daemon_stop(struct daemon *daemon); /* drain, then everything closes and the loop runs dry */

/* daemon.c: whether a running daemon can change over to this configuration; asked before anything of it is made. */
bool daemon_may_take(const struct daemon *daemon, const struct conf *next, struct buf *why);

/* channels.c: makes (and starts nothing of) one channel and its test sink. PARLEY_INVALID: why says what. */
parley_status channel_pair_make(struct daemon *daemon, struct conf *conf, const struct conf_channel *wanted, struct plugin *plugin,
                                struct channel_pair *pair, struct buf *why);
/* From now on, for new work; the old set but for its kept pairs is drained and stopped. */
void channel_set_use(struct daemon *daemon, struct channel_set *set, struct conf *conf);
void channel_set_stop(struct daemon *daemon, struct channel_set *set, uint32_t within_ms); /* kept pairs go on */
bool channel_is_leaving(const struct daemon *daemon, parley_text name); /* one of that name was told to stop and has not gone yet */
struct channel_pair *channel_set_find(const struct channel_set *set, parley_text name);
/* policy_build.c: the choke point's rules out of conf and the channels' capabilities. */
parley_status policy_build(const struct conf *conf, const struct channel_set *set, struct deliver *deliver, struct policy **ret,
                           struct buf *reterr_why);
#endif
