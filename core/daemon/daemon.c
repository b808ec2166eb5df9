#include "set_build.h"
#include "core/base/alloc.h"
#include "core/base/text.h"
#include "core/net/tls.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <sysexits.h>
#include <unistd.h>

#define IDEMPOTENCY_KEEP_MS (8LL * 86400000)

static void daemon_next_close(struct daemon *daemon);

/* --- What the api asks -------------------------------------------------------------------------------------------------- */

static struct channel *api_channel(parley_text name, void *arg)
{
  struct daemon *daemon = arg;
  struct channel_pair *pair = channel_set_find(&daemon->set, name);

  return pair != NULL ? pair->channel : NULL;
}

static struct channel *api_test_sink(parley_text name, void *arg)
{
  struct daemon *daemon = arg;
  struct channel_pair *pair = channel_set_find(&daemon->set, name);

  return pair != NULL ? pair->test_sink : NULL;
}

static size_t api_channels(struct channel **to, size_t room, void *arg)
{
  struct daemon *daemon = arg;

  for (size_t i = 0; i < daemon->set.n && i < room; i++)
    to[i] = daemon->set.pairs[i].channel;
  return daemon->set.n;
}

static bool api_is_ready(const char **why_not, void *arg)
{
  struct daemon *daemon = arg;
  struct store_gauges gauges;

  *why_not = daemon->stopping ? "stopping" : "starting";
  if (!daemon->ready || daemon->stopping)
    return false;
  store_gauges(daemon->store, &gauges);
  *why_not = gauges.why_not != NULL ? gauges.why_not : "the store does not accept";
  return gauges.accepting;
}

static void daemon_on_committed(uint64_t last_seq, void *arg)
{
  struct daemon *daemon = arg;

  if (daemon->feed != NULL)
    feed_committed(daemon->feed, last_seq);
}

/* --- Start -------------------------------------------------------------------------------------------------------------- */

static bool may_load_from(const char *folder)
{
  struct statvfs disk;

  return folder != NULL && (statvfs(folder, &disk) != 0 || (disk.f_flag & ST_NOEXEC) == 0);
}

/* Copies of plugins are loaded from systemd's runtime directory or from where temporary files go: not from beside the store, whose
 * disk may be full when we start. Debian mounts /run, and with it the runtime directory, with noexec: nothing loads from there. */
static const char *daemon_run_dir(void)
{
  const char *runtime = getenv("RUNTIME_DIRECTORY"), *temporary = getenv("TMPDIR");

  return may_load_from(runtime) ? runtime : temporary != NULL ? temporary : "/tmp";
}

static int daemon_make_net(struct daemon *daemon, struct buf *why)
{
  const struct conf_server *server = &daemon->conf->server;
  struct http_client_conf client = {.ca_file = getenv("PARLEY_CA_FILE"), .user_agent = "Parley/" PARLEY_VERSION};
  parley_text bad = TEXT_EMPTY;

  if (egress_new(server->egress_allow, server->n_egress_allow, server->egress_ports, server->n_egress_ports,
                 &daemon->egress, &bad) != PARLEY_OK) {
    buf_printf(why, "server.egress: '%.*s' is neither a CIDR nor a port range", TEXT_ARG(bad));
    return EX_CONFIG;
  }
  if (dns_new(daemon->loop, daemon->env, NULL, &daemon->dns) != PARLEY_OK ||
      http_client_new(daemon->loop, daemon->env, daemon->dns, daemon->egress, &client, &daemon->http) != PARLEY_OK) {
    buf_str(why, "c-ares or libcurl did not start");
    return EX_SOFTWARE;
  }
  return EX_OK;
}

static struct store_keep daemon_keep(const struct conf *conf)
{
  const struct conf_keep *keep = &conf->store.keep;

  return (struct store_keep){keep->bodies_ms, keep->raw_ms, keep->events_ms, keep->attempts_ms};
}

static int daemon_make_store(struct daemon *daemon, struct buf *why)
{
  struct store_config config = {.driver = daemon->conf->store.driver == CONF_POSTGRES ? "postgres" : "sqlite",
                                .path = daemon->conf->store.path.at,
                                .node = 0,
                                .idempotency_keep_ms = IDEMPOTENCY_KEEP_MS,
                                .committed = daemon_on_committed,
                                .arg = daemon,
                                .restored = daemon->restored,
                                .url = daemon->conf->store.url.at,
                                .keep = daemon_keep(daemon->conf)};

  return store_open(&config, daemon->loop, daemon->env, &daemon->log, &daemon->store, why) == PARLEY_OK
             ? EX_OK
             : EX_UNAVAILABLE;
}

static void daemon_on_disabled(id64 subscription, void *arg)
{
  struct daemon *daemon = arg;

  if (daemon->api != NULL)
    api_subscription_disabled(daemon->api, subscription);
}

static parley_status api_reload(parley_text plugin, parley_text channel,
                                void (*done)(parley_status status, parley_text why, void *done_arg), void *done_arg, void *arg);

static void daemon_make_bridge(struct daemon *daemon)
{
  struct bridge_shared bridge = {.loop = daemon->loop,
                                 .env = daemon->env,
                                 .log = &daemon->log,
                                 .store = daemon->store,
                                 .deliver = daemon->deliver,
                                 .feed = daemon->feed};

  daemon->bridge = bridge_new(&bridge);
  inbound_answers(daemon->inbound, bridge_take_answer, daemon->bridge);
}

static void daemon_make_floors(struct daemon *daemon)
{
  struct deliver_shared deliver = {daemon->loop, daemon->env, &daemon->log, daemon->store};
  struct feed_shared feed = {.loop = daemon->loop,
                             .env = daemon->env,
                             .log = &daemon->log,
                             .store = daemon->store,
                             .http = daemon->http,
                             .disabled = daemon_on_disabled,
                             .arg = daemon};
  struct api_shared api = {.loop = daemon->loop,
                           .env = daemon->env,
                           .log = &daemon->log,
                           .store = daemon->store,
                           .http = daemon->http,
                           .egress = daemon->egress,
                           .version = PARLEY_VERSION,
                           .phones = &daemon->phones,
                           .channel = api_channel,
                           .test_sink = api_test_sink,
                           .channels = api_channels,
                           .reload = api_reload,
                           .ready = api_is_ready,
                           .arg = daemon};

  daemon->deliver = deliver_new(&deliver);
  daemon->inbound = inbound_new(daemon->loop, daemon->env, &daemon->log, daemon->store);
  inbound_phones(daemon->inbound, &daemon->phones);
  daemon->feed = feed_new(&feed);
  daemon_make_bridge(daemon);
  api.bridge = daemon->bridge;
  api.deliver = daemon->deliver;
  api.inbound = daemon->inbound;
  api.feed = daemon->feed;
  daemon->api = api_new(&api);
}

/* What the store holds may have gone on elsewhere: nothing leaves the house until somebody says so. */
static void daemon_hold(struct daemon *daemon)
{
  if (store_restored(daemon->store)->at_ms == 0)
    return;
  deliver_hold(daemon->deliver);
  feed_hold(daemon->feed, true);
  log_line(&daemon->log, PARLEY_WARN, "event=paused why=\"a backup was restored\" then=\"nothing is sent or pushed until: parley store"
                                      " resume\"");
}

static void inbound_use(struct daemon *daemon, const struct conf *conf)
{
  struct inbound_rules rules = {daemon->deliver, conf->inbound.join_wait_ms, conf->inbound.join_wait_max_ms};

  inbound_configure(daemon->inbound, daemon->set.policy, &rules);
}

static int daemon_listen(struct daemon *daemon, struct buf *why)
{
  const struct conf_server *server = &daemon->conf->server;
  struct http_server_conf limits = {.connections_max = server->limits.connections,
                                    .head_ms = server->limits.header_timeout_ms,
                                    .body_ms = server->limits.body_timeout_ms,
                                    .idle_ms = server->limits.idle_timeout_ms,
                                    .body_max = server->limits.body_bytes};
  struct tls_context *tls = NULL;

  daemon->server = http_server_new(daemon->loop, daemon->env, &limits, &api_handler, daemon->api);
  api_set_server(daemon->api, daemon->server);
  if (server->tls_key_pem.len > 0) {
    if (tls_context_server(server->tls_cert_pem, server->tls_key_pem, &tls, why) != PARLEY_OK)
      return EX_CONFIG;
    http_server_tls_set(daemon->server, tls);
    tls_context_unref(&tls);
  }
  return http_server_listen(daemon->server, server->listen, &daemon->port, why) == PARLEY_OK ? EX_OK : EX_UNAVAILABLE;
}

static void daemon_on_loaded(parley_status status, void *arg)
{
  struct daemon *daemon = arg;

  if (status != PARLEY_OK) {
    log_line(&daemon->log, PARLEY_ERROR,
             "event=start_failed why=\"keys and subscriptions cannot be read from the store\"");
    daemon->exit_code = EX_UNAVAILABLE;
    daemon_stop(daemon);
    return;
  }
  deliver_start(daemon->deliver);
  inbound_start(daemon->inbound);
  daemon->ready = true;
  log_line(&daemon->log, PARLEY_INFO, "event=ready port=%u channels=%zu version=" PARLEY_VERSION, daemon->port,
           daemon->set.n);
}

static void daemon_fail(struct daemon *daemon, int code, parley_text why)
{
  daemon->exit_code = code;
  fprintf(stderr, "parleyd: %.*s\n", TEXT_ARG(why.len > 0 ? why : PARLEY_LIT("could not start")));
  daemon_stop(daemon);
}

static void daemon_on_first_set(const struct set_built *built, void *arg)
{
  struct daemon *daemon = arg;
  struct conf *conf = built->conf; /* the same that is in force */
  struct channel_set set = built->set;
  struct buf why = BUF_INIT(65536);
  int code;

  conf_unref(&conf);
  if (built->status != PARLEY_OK) {
    if (built->status != PARLEY_CANCELLED)
      daemon_fail(daemon, built->phase == SET_STARTING ? EX_UNAVAILABLE : EX_CONFIG, built->why);
    buf_done(&why);
    return;
  }
  daemon->phones = built->phones;
  channel_set_use(daemon, &set, daemon->conf);
  inbound_use(daemon, daemon->conf);
  api_configure(daemon->api, daemon->conf, daemon->set.policy);
  bridge_configure(daemon->bridge, daemon->conf, daemon->set.policy);
  code = daemon_listen(daemon, &why);
  if (code == EX_OK)
    api_start(daemon->api, daemon_on_loaded, daemon);
  else
    daemon_fail(daemon, code, buf_as_text(&why));
  buf_done(&why);
}

#define RELOAD_WHAT_MAX 160

/* --- Reload: everything is checked and started beside the old; any failure leaves the old as it runs -------------------- */

bool daemon_may_take(const struct daemon *daemon, const struct conf *next, struct buf *why)
{
  if (!text_eq(daemon->conf->server.listen, next->server.listen))
    buf_str(why, "server.listen changed: that needs a restart");
  else if (daemon->conf->store.driver != next->store.driver || !text_eq(daemon->conf->store.path, next->store.path) ||
           !text_eq(daemon->conf->store.url, next->store.url))
    buf_str(why, "store changed: that needs a restart");
  return why->len == 0;
}

/* Replaces what the running configuration made outside of the channels. */
static parley_status reload_net(struct daemon *daemon, const struct conf *next, struct buf *why)
{
  const struct conf_server *server = &next->server;
  struct egress *egress = NULL;
  struct tls_context *tls = NULL;
  parley_text bad = TEXT_EMPTY;

  if (server->tls_key_pem.len > 0 &&
      tls_context_server(server->tls_cert_pem, server->tls_key_pem, &tls, why) != PARLEY_OK)
    return PARLEY_INVALID;
  if (egress_new(server->egress_allow, server->n_egress_allow, server->egress_ports, server->n_egress_ports, &egress,
                 &bad) != PARLEY_OK) {
    tls_context_unref(&tls);
    buf_printf(why, "server.egress: '%.*s' is neither a CIDR nor a port range", TEXT_ARG(bad));
    return PARLEY_INVALID;
  }
  http_server_tls_set(daemon->server, tls);
  tls_context_unref(&tls);
  egress_replace(daemon->egress, &egress);
  return PARLEY_OK;
}

struct reload {
  struct daemon *daemon;
  char what[RELOAD_WHAT_MAX]; /* for the log */
  void (*done)(parley_status status, parley_text why, void *arg);
  void *arg;
};

struct keeping {
  struct store_retain retain;
  struct store_keep keep;
};

static void keep_done(struct store_op *op)
{
  arena_free(&op->arena);
  free(container_of(op, struct keeping, retain.op));
}

/* Waits like any write where the store cannot be reached just now. */
static void keep_use(struct daemon *daemon, const struct conf *next)
{
  struct keeping *keeping = xcalloc(1, sizeof *keeping);

  keeping->keep = daemon_keep(next);
  keeping->retain = (struct store_retain){.op = {.kind = STORE_RETAIN, .done = keep_done}, .keep = &keeping->keep};
  store_submit(daemon->store, &keeping->retain.op);
}

static parley_status reload_use(struct daemon *daemon, const struct set_built *built, struct channel_set *set, struct buf *why)
{
  struct conf *next = built->conf;
  parley_status st = PARLEY_OK;

  if (next != daemon->conf)
    st = reload_net(daemon, next, why);
  if (st != PARLEY_OK) {
    channel_set_stop(daemon, set, 0);
    return st;
  }
  daemon->phones = built->phones;
  channel_set_use(daemon, set, next);
  inbound_use(daemon, next);
  api_configure(daemon->api, next, daemon->set.policy);
  bridge_configure(daemon->bridge, next, daemon->set.policy);
  keep_use(daemon, next);
  daemon->log.level = next->log.level;
  daemon->log.json = next->log.json;
  conf_unref(&daemon->conf);
  daemon->conf = conf_ref(next);
  return PARLEY_OK;
}

static void reload_from_file(struct daemon *daemon);

static void reload_log(const struct reload *reload, parley_status status, parley_text why)
{
  struct daemon *daemon = reload->daemon;
  char safe[1024];

  if (status == PARLEY_OK)
    log_line(&daemon->log, PARLEY_INFO, "event=reloaded what=%s channels=%zu", reload->what, daemon->set.n);
  else if (status != PARLEY_CANCELLED)
    log_line(&daemon->log, PARLEY_ERROR, "event=reload_refused what=%s then=\"the running one goes on\" why=%s", reload->what,
             log_safe(safe, sizeof safe, why));
}

static void reload_on_built(const struct set_built *built, void *arg)
{
  struct reload *reload = arg;
  struct daemon *daemon = reload->daemon;
  struct conf *next = built->conf;
  struct channel_set set = built->set;
  struct buf why = BUF_INIT(65536);
  parley_status st = built->status;

  buf_text(&why, built->why);
  if (st == PARLEY_OK && daemon->stopping) {
    channel_set_stop(daemon, &set, 0);
    st = PARLEY_CANCELLED;
  } else if (st == PARLEY_OK) {
    st = reload_use(daemon, built, &set, &why);
  }
  conf_unref(&next);
  reload_log(reload, st, buf_as_text(&why));
  reload->done(st, buf_as_text(&why), reload->arg);
  buf_done(&why);
  free(reload);
  if (daemon->reload_again && !daemon->stopping) {
    daemon->reload_again = false;
    reload_from_file(daemon);
  }
}

static parley_status daemon_reload(struct daemon *daemon, const char *path, const struct set_choice *choice,
                                   void (*done)(parley_status status, parley_text why, void *arg), void *arg)
{
  struct reload *reload;
  parley_status st;

  if (!daemon->ready || daemon->stopping)
    return PARLEY_BUSY;
  reload = xcalloc(1, sizeof *reload);
  *reload = (struct reload){.daemon = daemon, .done = done, .arg = arg};
  snprintf(reload->what, sizeof reload->what, "%s%.*s%.*s",
           choice->plugin.len > 0 ? "plugin:" : choice->channel.len > 0 ? "channel:" : "configuration", TEXT_ARG(choice->plugin),
           TEXT_ARG(choice->channel));
  st = set_build(daemon, path, daemon->conf, choice, reload_on_built, reload);
  if (st != PARLEY_OK)
    free(reload);
  return st;
}

static void reload_on_hup(parley_status status, parley_text why, void *arg)
{
  struct daemon *daemon = arg;

  /* For whoever reads the log as it comes: the places, with a caret under each. One line of JSON has them already. */
  if (status != PARLEY_OK && status != PARLEY_CANCELLED && !daemon->log.json)
    fprintf(stderr, "%.*s\n", TEXT_ARG(why));
}

static void reload_from_file(struct daemon *daemon)
{
  if (daemon_reload(daemon, daemon->conf_path, &(struct set_choice){0}, reload_on_hup, daemon) != PARLEY_OK)
    daemon->reload_again = true; /* once more when the one under way has ended */
}

static void daemon_on_hup(uv_signal_t *signal, int number)
{
  struct daemon *daemon = signal->data;

  (void)number;
  if (daemon->ready && !daemon->stopping)
    reload_from_file(daemon);
}

/* What the api asks: plugins of one name, or one channel, anew. */
static parley_status api_reload(parley_text plugin, parley_text channel,
                                void (*done)(parley_status status, parley_text why, void *done_arg), void *done_arg, void *arg)
{
  struct set_choice choice = {.plugin = plugin, .channel = channel};

  return daemon_reload(arg, NULL, &choice, done, done_arg);
}

static void daemon_on_term(uv_signal_t *signal, int number)
{
  (void)number;
  daemon_stop(signal->data);
}

#define DAEMON_WATCH_MS 250
#define DAEMON_STORE_WAIT_MS 5000 /* beyond the drain, for a store that takes nothing to come back */

/* What nothing can be stored for ends like a machine that is switched off: that is always safe, waiting for ever is no end.
 * After a failed flush the kernel may have dropped what it was given: nothing may be retried on this file. Whoever
 * supervises us starts us again, and the log tells what was committed. */
static void daemon_on_watch(uv_timer_t *timer)
{
  struct daemon *daemon = timer->data;
  struct store_gauges gauges;

  if (daemon->store == NULL)
    return;
  store_gauges(daemon->store, &gauges);
  if (daemon->stopping && !gauges.accepting && daemon->env->mono_ms(daemon->env) > daemon->stop_until_ms) {
    log_line(&daemon->log, PARLEY_ERROR, "event=stopped_without_store why=\"%s\" what=\"outcomes that could not be stored are"
                                         " unknown at the next start\"", gauges.why_not);
    _exit(EX_TEMPFAIL);
  }
  if (!gauges.broken)
    return;
  log_line(&daemon->log, PARLEY_ERROR, "event=store_broken what=\"the process ends and recovers at its next start\"");
  _exit(EX_IOERR);
}

static void daemon_signals(struct daemon *daemon)
{
  uv_signal_init(daemon->loop, &daemon->hup);
  uv_signal_init(daemon->loop, &daemon->term);
  uv_signal_init(daemon->loop, &daemon->interrupt);
  uv_timer_init(daemon->loop, &daemon->deadline);
  uv_timer_init(daemon->loop, &daemon->watch);
  daemon->hup.data = daemon->term.data = daemon->interrupt.data = daemon->deadline.data = daemon->watch.data = daemon;
  uv_timer_start(&daemon->watch, daemon_on_watch, DAEMON_WATCH_MS, DAEMON_WATCH_MS);
  uv_signal_start(&daemon->hup, daemon_on_hup, SIGHUP);
  uv_signal_start(&daemon->term, daemon_on_term, SIGTERM);
  uv_signal_start(&daemon->interrupt, daemon_on_term, SIGINT);
}

int daemon_start(struct daemon *daemon, struct buf *reterr_why)
{
  int code;

  list_init(&daemon->leaving);
  daemon->run_dir = daemon_run_dir();
  plugin_home_find(&daemon->home);
  daemon_signals(daemon);
  code = daemon_make_net(daemon, reterr_why);
  if (code == EX_OK)
    code = daemon_make_store(daemon, reterr_why);
  if (code != EX_OK)
    return code;
  daemon_make_floors(daemon);
  daemon_hold(daemon);
  set_build(daemon, NULL, daemon->conf, &(struct set_choice){0}, daemon_on_first_set, daemon);
  return EX_OK; /* the rest follows when the channels stand, or the process ends with why they do not */
}

/* --- The end: stop taking in, drain the channels, then close floor by floor from the top -------------------------------- */

static void daemon_on_closed(void *arg)
{
  daemon_next_close(arg);
}

static void daemon_close_handles(struct daemon *daemon)
{
  uv_close((uv_handle_t *)&daemon->hup, NULL);
  uv_close((uv_handle_t *)&daemon->term, NULL);
  uv_close((uv_handle_t *)&daemon->interrupt, NULL);
  uv_close((uv_handle_t *)&daemon->deadline, NULL);
  uv_close((uv_handle_t *)&daemon->watch, NULL);
}

/* Closes the topmost floor that still stands; each tells when it is gone. */
static void daemon_next_close(struct daemon *daemon)
{
  if (daemon->server != NULL)
    http_server_close(&daemon->server, daemon_on_closed, daemon);
  else if (daemon->api != NULL)
    api_close(&daemon->api, daemon_on_closed, daemon);
  else if (daemon->feed != NULL)
    feed_close(&daemon->feed, DAEMON_STOP_MS, daemon_on_closed, daemon);
  else if (daemon->inbound != NULL)
    inbound_close(&daemon->inbound, daemon_on_closed, daemon);
  else if (daemon->bridge != NULL)
    bridge_close(&daemon->bridge, daemon_on_closed, daemon);
  else if (daemon->deliver != NULL)
    deliver_close(&daemon->deliver, daemon_on_closed, daemon);
  else if (daemon->store != NULL)
    store_close(&daemon->store, daemon_on_closed, daemon);
  else if (daemon->http != NULL)
    http_client_close(&daemon->http, daemon_on_closed, daemon);
  else if (daemon->dns != NULL)
    dns_close(&daemon->dns, daemon_on_closed, daemon);
  else
    daemon_close_handles(daemon);
}

static void daemon_on_drained(void *arg)
{
  (void)arg; /* the server is closed in its turn all the same */
}

#define DAEMON_LOOK_MS 10

static void daemon_on_looking(uv_timer_t *timer)
{
  struct daemon *daemon = timer->data;

  if (!list_empty(&daemon->leaving) || daemon->build != NULL)
    return; /* channels bound their own farewell */
  uv_timer_stop(timer);
  daemon_next_close(daemon);
}

void daemon_stop(struct daemon *daemon)
{
  if (daemon->stopping)
    return;
  daemon->stopping = true;
  daemon->stop_until_ms = daemon->env->mono_ms(daemon->env) + daemon->conf->server.drain_ms + DAEMON_STORE_WAIT_MS;
  log_line(&daemon->log, PARLEY_INFO, "event=stopping drain_ms=%u", daemon->conf->server.drain_ms);
  if (daemon->server != NULL)
    http_server_drain(daemon->server, daemon_on_drained, daemon);
  if (daemon->deliver != NULL)
    deliver_drain(daemon->deliver);
  set_build_cancel(daemon);
  channel_set_stop(daemon, &daemon->set, daemon->conf->server.drain_ms);
  uv_timer_start(&daemon->deadline, daemon_on_looking, 0, DAEMON_LOOK_MS);
}
