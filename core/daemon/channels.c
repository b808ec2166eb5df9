/* The channels of one configuration: made, started, put to use and stopped together, so that a reload is all or
 * nothing. */
#include "core/base/alloc.h"
#include "core/base/text.h"
#include "daemon.h"
#include <stdlib.h>

/* --- What channels report, to the floors above
 * ------------------------------------------------------------------------------------- */

static void owner_settled(struct channel *channel, uint64_t token, const parley_outcome *outcome, void *arg)
{
  struct daemon *daemon = arg;

  deliver_settled(daemon->deliver, channel, token, outcome);
}

static void owner_roomier(struct channel *channel, void *arg)
{
  struct daemon *daemon = arg;

  deliver_roomier(daemon->deliver, channel);
}

static void owner_inbound(struct channel *channel, const parley_inbound *in, parley_done *done, void *done_arg,
                          void *arg)
{
  struct daemon *daemon = arg;

  inbound_take(daemon->inbound, channel, in, done, done_arg);
}

static void owner_receipt(struct channel *channel, const parley_receipt *receipt, parley_done *done, void *done_arg,
                          void *arg)
{
  struct daemon *daemon = arg;

  deliver_receipt(daemon->deliver, channel, receipt, done, done_arg);
}

static void owner_touchpoint(struct channel *channel, const parley_touchpoint *event, parley_done *done, void *done_arg,
                             void *arg)
{
  struct daemon *daemon = arg;

  inbound_touchpoint(daemon->inbound, channel, event, done, done_arg);
}

static void owner_timeline(struct channel *channel, const parley_query *query, parley_page_done *done, void *done_arg,
                           void *arg)
{
  struct daemon *daemon = arg;

  inbound_timeline(daemon->inbound, channel, query, done, done_arg);
}

static void owner_health(struct channel *channel, enum channel_state state, parley_text cause, parley_text remedy,
                         void *arg)
{
  struct daemon *daemon = arg;

  log_line(&daemon->log, state == CHANNEL_UP ? PARLEY_INFO : PARLEY_WARN,
           "event=channel_%s channel=%s cause=\"%.*s\" remedy=\"%.*s\"", channel_state_name(state),
           channel_name(channel), TEXT_ARG(cause), TEXT_ARG(remedy));
}

/* --- Making
 * ---------------------------------------------------------------------------------------------------------------------------
 */

static struct channel_shared daemon_channel_shared(struct daemon *daemon, const struct conf *conf)
{
  return (struct channel_shared){.loop = daemon->loop,
                                 .env = daemon->env,
                                 .log = &daemon->log,
                                 .store = daemon->store,
                                 .http = daemon->http,
                                 .dns = daemon->dns,
                                 .egress = daemon->egress,
                                 .public_url = conf->server.public_url,
                                 .version = PARLEY_LIT(PARLEY_VERSION)};
}

static struct channel_owner daemon_channel_owner(struct daemon *daemon)
{
  return (struct channel_owner){.settled = owner_settled,
                                .roomier = owner_roomier,
                                .inbound = owner_inbound,
                                .receipt = owner_receipt,
                                .touchpoint = owner_touchpoint,
                                .timeline = owner_timeline,
                                .health = owner_health,
                                .arg = daemon};
}

static parley_status daemon_plugin_load(struct daemon *daemon, const struct conf *conf, const char *name,
                                        struct plugin **ret, struct buf *why)
{
  return plugin_load(name, conf->plugin_dirs, conf->n_plugin_dirs, daemon->run_dir, channel_extensions, ret, why);
}

static parley_status pair_make(struct daemon *daemon, struct conf *conf, const struct conf_channel *wanted,
                               struct channel_pair *pair, struct buf *why)
{
  struct channel_shared shared = daemon_channel_shared(daemon, conf);
  struct channel_owner owner = daemon_channel_owner(daemon);
  struct conf_channel sink = {
      .name = wanted->name, .plugin = PARLEY_LIT("sink"), .line = wanted->line, .col = wanted->col};
  struct plugin *plugin = NULL;
  struct buf reason = BUF_INIT(4096);
  parley_status st = daemon_plugin_load(daemon, conf, wanted->plugin.at, &plugin, &reason);

  if (st != PARLEY_OK) {
    yaml_error(conf->file, wanted->line, wanted->col, why, "channels.%.*s: %s", TEXT_ARG(wanted->name), reason.at);
  } else {
    st = channel_new(&shared, &owner, conf, wanted, plugin, &pair->channel, why);
    if (st == PARLEY_OK && daemon->sink != NULL)
      st = channel_new(&shared, &owner, conf, &sink, daemon->sink, &pair->test_sink, why);
  }
  plugin_unref(&plugin);
  buf_done(&reason);
  return st;
}

parley_status channel_set_make(struct daemon *daemon, struct conf *conf, struct channel_set *ret,
                               struct buf *reterr_why)
{
  struct channel_set set = {.n = conf->n_channels, .pairs = xcalloc(conf->n_channels, sizeof *set.pairs)};
  struct buf no_sink = BUF_INIT(4096);
  parley_status st = PARLEY_OK;

  if (daemon->sink == NULL && daemon_plugin_load(daemon, conf, "sink", &daemon->sink, &no_sink) != PARLEY_OK)
    log_line(&daemon->log, PARLEY_WARN, "event=no_test_mode why=\"%s\"", no_sink.at);
  buf_done(&no_sink);
  for (size_t i = 0; i < set.n; i++) {
    parley_status one = pair_make(daemon, conf, &conf->channels[i], &set.pairs[i], reterr_why);

    st = one != PARLEY_OK ? PARLEY_INVALID : st;
  }
  if (st == PARLEY_OK)
    st = policy_build(conf, &set, daemon->deliver, &set.policy, reterr_why);
  if (st == PARLEY_OK)
    *ret = set;
  else
    channel_set_stop(daemon, &set, 0);
  return st;
}

parley_status channel_set_start(struct daemon *daemon, struct channel_set *set, struct buf *reterr_why)
{
  parley_status st = PARLEY_OK;

  for (size_t i = 0; i < set->n && st == PARLEY_OK; i++) {
    st = channel_start(set->pairs[i].channel, reterr_why);
    if (st == PARLEY_OK && set->pairs[i].test_sink != NULL)
      st = channel_start(set->pairs[i].test_sink, reterr_why);
  }
  (void)daemon;
  return st;
}

static double channel_rate(const struct conf_channel *channel)
{
  return channel->rate.count == 0 ? 0 : (double)channel->rate.count * 1000 / channel->rate.span_ms;
}

void channel_set_use(struct daemon *daemon, struct channel_set *set, struct conf *conf)
{
  struct channel_set old = daemon->set;

  deliver_set_policy(daemon->deliver, set->policy);
  for (size_t i = 0; i < set->n; i++)
    deliver_add_channel(daemon->deliver, set->pairs[i].channel, set->pairs[i].test_sink,
                        channel_rate(&conf->channels[i]));
  for (size_t i = 0; i < old.n; i++)
    if (channel_set_find(set, parley_text_of(channel_name(old.pairs[i].channel))) == NULL)
      deliver_remove_channel(daemon->deliver, channel_name(old.pairs[i].channel));
  daemon->set = *set;
  channel_set_stop(daemon, &old, conf->server.drain_ms);
}

static void daemon_on_channel_closed(void *arg)
{
  struct daemon *daemon = arg;

  daemon->open--;
}

static void channel_let_go(struct daemon *daemon, struct channel **channel, uint32_t within_ms)
{
  if (*channel == NULL)
    return;
  daemon->open++;
  channel_stop(channel, within_ms, daemon_on_channel_closed, daemon);
}

void channel_set_stop(struct daemon *daemon, struct channel_set *set, uint32_t within_ms)
{
  for (size_t i = 0; i < set->n; i++) {
    channel_let_go(daemon, &set->pairs[i].channel, within_ms);
    channel_let_go(daemon, &set->pairs[i].test_sink, within_ms);
  }
  policy_unref(&set->policy);
  free(set->pairs);
  *set = (struct channel_set){0};
}

struct channel_pair *channel_set_find(const struct channel_set *set, parley_text name)
{
  for (size_t i = 0; i < set->n; i++)
    if (set->pairs[i].channel != NULL && parley_text_is(name, channel_name(set->pairs[i].channel)))
      return &set->pairs[i];
  return NULL;
}
