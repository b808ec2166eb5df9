/* The channels of one configuration: what they report, how they are made, put to use and stopped. */
#include "core/base/alloc.h"
#include "core/base/text.h"
#include "set_build.h"
#include <stdlib.h>

/* --- What channels report, to the floors above ------------------------------------------------------------------------- */

static void owner_settled(struct channel *channel, uint64_t token, const parley_outcome *outcome, void *arg)
{
  struct daemon *daemon = arg;

  deliver_settled(daemon->deliver, channel, token, outcome);
}

static void owner_roomier(struct channel *channel, bool well, void *arg)
{
  struct daemon *daemon = arg;

  deliver_roomier(daemon->deliver, channel, well);
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

static void owner_login(struct channel *channel, parley_text key, parley_text peer, parley_done *done, void *done_arg, void *arg)
{
  struct daemon *daemon = arg;

  (void)channel;
  api_login(daemon->api, key, peer, done, done_arg);
}

static void owner_submit(struct channel *channel, const parley_submission *submission, parley_done *done, void *done_arg, void *arg)
{
  struct daemon *daemon = arg;

  (void)channel;
  api_handin(daemon->api, submission, done, done_arg);
}

static void owner_health(struct channel *channel, enum channel_state state, parley_text cause, parley_text remedy,
                         void *arg)
{
  struct daemon *daemon = arg;

  log_line(&daemon->log, state == CHANNEL_UP ? PARLEY_INFO : PARLEY_WARN,
           "event=channel_%s channel=%s cause=\"%.*s\" remedy=\"%.*s\"", channel_state_name(state),
           channel_name(channel), TEXT_ARG(cause), TEXT_ARG(remedy));
}

/* One in use that had waited for its older self to go: nobody else is told. */
static void started_in_turn(struct daemon *daemon, struct channel *channel)
{
  if (channel_starting(channel) == CHANNEL_BROKE)
    log_line(&daemon->log, PARLEY_ERROR, "event=channel_not_started channel=%s why=\"%.*s\"", channel_name(channel),
             TEXT_ARG(channel_cause(channel)));
  else
    deliver_roomier(daemon->deliver, channel, true);
}

static void owner_progress(struct channel *channel, void *arg)
{
  struct daemon *daemon = arg;
  struct channel_pair *pair = channel_set_find(&daemon->set, parley_text_of(channel_name(channel)));

  if (pair != NULL && pair->channel == channel)
    started_in_turn(daemon, channel);
  else
    set_build_progress(daemon);
}

/* --- Making -------------------------------------------------------------------------------------------------------------- */

static struct channel_shared daemon_channel_shared(struct daemon *daemon, const struct conf *conf)
{
  return (struct channel_shared){.services = &channel_services_own,
                                 .apart = {.host_program = daemon->home.host_program,
                                           .memory_bytes = conf->plugin_memory_bytes,
                                           .hang_ms = conf->plugin_hang_ms},
                                 .loop = daemon->loop,
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
                                .login = owner_login,
                                .submit = owner_submit,
                                .health = owner_health,
                                .progress = owner_progress,
                                .arg = daemon};
}

parley_status channel_pair_make(struct daemon *daemon, struct conf *conf, const struct conf_channel *wanted, struct plugin *plugin,
                                struct channel_pair *pair, struct buf *why)
{
  struct channel_shared shared = daemon_channel_shared(daemon, conf);
  struct channel_owner owner = daemon_channel_owner(daemon);
  struct conf_channel sink = {
      .name = wanted->name, .plugin = PARLEY_LIT("sink"), .line = wanted->line, .col = wanted->col};
  const struct channel_pair *running = channel_set_find(&daemon->set, wanted->name);
  struct channel_pair older = running != NULL ? *running : (struct channel_pair){0};
  parley_status st = channel_new(&shared, &owner, conf, wanted, plugin, older.channel, &pair->channel, why);

  if (st == PARLEY_OK && daemon->sink != NULL)
    st = channel_new(&shared, &owner, conf, &sink, daemon->sink, older.test_sink, &pair->test_sink, why);
  return st;
}

/* --- Leaving, and taking turns ----------------------------------------------------------------------------------------- */

struct leaver { /* a channel that is told to stop, until it has gone */
  struct list node;
  struct daemon *daemon;
  char *name; /* NULL: a test sink */
};

bool channel_is_leaving(const struct daemon *daemon, parley_text name)
{
  for (const struct list *node = daemon->leaving.next; node != &daemon->leaving; node = node->next) {
    const struct leaver *leaver = LIST_ITEM(node, struct leaver, node);

    if (leaver->name != NULL && parley_text_is(name, leaver->name))
      return true;
  }
  return false;
}

/* One that may not run beside its older self starts when the last of that name has gone. */
static void pair_start_in_turn(struct daemon *daemon, struct channel_pair *pair)
{
  struct buf why = BUF_INIT(1024);
  struct channel *channel = pair->channel;

  if (!pair->late_start || daemon->stopping || channel_is_leaving(daemon, parley_text_of(channel_name(channel))))
    return;
  pair->late_start = false;
  if (channel_start(channel, &why) == PARLEY_OK)
    deliver_roomier(daemon->deliver, channel, true);
  else
    log_line(&daemon->log, PARLEY_ERROR, "event=channel_not_started channel=%s why=\"%s\"", channel_name(channel), why.at);
  buf_done(&why);
}

static void leaver_on_gone(void *arg)
{
  struct leaver *leaver = arg;
  struct daemon *daemon = leaver->daemon;
  struct channel_pair *pair = leaver->name != NULL ? channel_set_find(&daemon->set, parley_text_of(leaver->name)) : NULL;

  list_remove(&leaver->node);
  free(leaver->name);
  free(leaver);
  if (pair != NULL)
    pair_start_in_turn(daemon, pair);
}

static struct leaver *leaver_new(struct daemon *daemon, const char *name)
{
  struct leaver *leaver = xcalloc(1, sizeof *leaver);

  leaver->daemon = daemon;
  leaver->name = name != NULL ? xstrdup(name) : NULL;
  list_push(&daemon->leaving, &leaver->node);
  return leaver;
}

void channel_set_stop(struct daemon *daemon, struct channel_set *set, uint32_t within_ms)
{
  for (size_t i = 0; i < set->n; i++) {
    struct channel_pair *pair = &set->pairs[i];

    if (pair->kept)
      continue;
    if (pair->channel != NULL)
      channel_stop(&pair->channel, within_ms, leaver_on_gone, leaver_new(daemon, channel_name(pair->channel)));
    if (pair->test_sink != NULL)
      channel_stop(&pair->test_sink, within_ms, leaver_on_gone, leaver_new(daemon, NULL));
  }
  policy_unref(&set->policy);
  free(set->pairs);
  *set = (struct channel_set){0};
}

/* --- Putting to use -------------------------------------------------------------------------------------------------- */

static double rate_per_s(const struct conf_rate *rate)
{
  return rate->count == 0 ? 0 : (double)rate->count * 1000 / rate->span_ms;
}

static struct deliver_rates channel_rates(const struct conf_channel *channel)
{
  double floor_per_s = rate_per_s(&channel->rate_floor);

  return (struct deliver_rates){.per_s = rate_per_s(&channel->rate),
                                .floor_per_s = floor_per_s > 0 ? floor_per_s : DELIVER_FLOOR_PER_S};
}

static void set_retire(struct daemon *daemon, struct channel_set *old, uint32_t drain_ms)
{
  for (size_t i = 0; i < old->n; i++) {
    struct channel_pair *pair = &old->pairs[i];
    struct channel_pair *new = channel_set_find(&daemon->set, parley_text_of(channel_name(pair->channel)));

    pair->kept = new != NULL && new->channel == pair->channel;
    if (new == NULL)
      deliver_remove_channel(daemon->deliver, channel_name(pair->channel));
  }
  channel_set_stop(daemon, old, drain_ms);
}

void channel_set_use(struct daemon *daemon, struct channel_set *set, struct conf *conf)
{
  struct channel_set old = daemon->set;

  deliver_set_policy(daemon->deliver, set->policy);
  daemon->set = *set;
  for (size_t i = 0; i < set->n; i++)
    if (!set->pairs[i].kept) {
      const struct deliver_rates rates = channel_rates(&conf->channels[i]);

      deliver_add_channel(daemon->deliver, set->pairs[i].channel, set->pairs[i].test_sink, &rates);
    }
  set_retire(daemon, &old, conf->server.drain_ms);
  for (size_t i = 0; i < daemon->set.n; i++) {
    daemon->set.pairs[i].kept = false;
    pair_start_in_turn(daemon, &daemon->set.pairs[i]);
  }
}

struct channel_pair *channel_set_find(const struct channel_set *set, parley_text name)
{
  for (size_t i = 0; i < set->n; i++)
    if (set->pairs[i].channel != NULL && parley_text_is(name, channel_name(set->pairs[i].channel)))
      return &set->pairs[i];
  return NULL;
}
