#include "set_build.h"
#include "core/base/alloc.h"
#include "core/base/text.h"
#include <stdlib.h>

struct set_build {
  struct daemon *daemon;
  uv_work_t work;
  char *path;
  struct conf *conf;
  char *only_plugin, *only_channel; /* empty: any */
  struct plugin **plugins;          /* by channel; NULL: kept, or not loaded */
  size_t n_plugins;
  struct channel_set set;
  struct phone_plan phones;
  enum set_phase phase;
  bool failed, cancelled, looking;
  struct buf why;
  set_built_fn *done;
  void *arg;
};

static bool build_chooses(const struct set_build *build, const struct conf_channel *channel)
{
  return (build->only_plugin[0] == '\0' || parley_text_is(channel->plugin, build->only_plugin)) &&
         (build->only_channel[0] == '\0' || parley_text_is(channel->name, build->only_channel));
}

static void build_end(struct set_build *build, parley_status status)
{
  struct daemon *daemon = build->daemon;
  struct set_built built = {.status = status, .phase = build->phase, .why = buf_as_text(&build->why), .conf = build->conf,
                            .phones = build->phones};

  daemon->build = NULL;
  if (status == PARLEY_OK)
    built.set = build->set;
  else
    channel_set_stop(daemon, &build->set, 0);
  for (size_t i = 0; i < build->n_plugins; i++)
    plugin_unref(&build->plugins[i]);
  plugin_shelf_sweep(&daemon->shelf, false); /* before done(), which may begin the next one: the shelf is the pool's then */
  build->done(&built, build->arg);
  free(build->plugins);
  free(build->path);
  free(build->only_plugin);
  free(build->only_channel);
  buf_done(&build->why);
  free(build);
}

/* --- Starting ------------------------------------------------------------------------------------------------------- */

static bool set_waits(const struct channel_set *set, enum channel_step (*step)(const struct channel *))
{
  for (size_t i = 0; i < set->n; i++)
    if (!set->pairs[i].kept && (step(set->pairs[i].channel) == CHANNEL_GOING ||
                                (set->pairs[i].test_sink != NULL && step(set->pairs[i].test_sink) == CHANNEL_GOING)))
      return true;
  return false;
}

static void start_say(struct set_build *build, const struct channel *channel)
{
  if (channel == NULL || channel_starting(channel) != CHANNEL_BROKE)
    return;
  build->failed = true;
  buf_printf(&build->why, "%schannel %s did not start: ", build->why.len > 0 ? "\n" : "", channel_name(channel));
  channel_say_why(channel, &build->why);
}

static void build_look_started(struct set_build *build)
{
  if (set_waits(&build->set, channel_starting))
    return;
  for (size_t i = 0; i < build->set.n; i++)
    if (!build->set.pairs[i].kept) {
      start_say(build, build->set.pairs[i].channel);
      start_say(build, build->set.pairs[i].test_sink);
    }
  build_end(build, build->failed ? PARLEY_FAILED : PARLEY_OK);
}

/* One that may not run beside its older self starts when that has gone: channel_set_use() sees to it. */
static bool pair_waits_its_turn(const struct set_build *build, const struct channel_pair *pair)
{
  const struct daemon *daemon = build->daemon;
  parley_text name = parley_text_of(channel_name(pair->channel));

  return (channel_caps(pair->channel)->flags & PARLEY_EXCLUSIVE) != 0 &&
         (channel_set_find(&daemon->set, name) != NULL || channel_is_leaving(daemon, name));
}

static void build_start(struct set_build *build)
{
  struct buf later = BUF_INIT(1024); /* start_say() says it of all alike */

  build->phase = SET_STARTING;
  for (size_t i = 0; i < build->set.n && !build->failed; i++) {
    struct channel_pair *pair = &build->set.pairs[i];

    if (pair->kept)
      continue;
    pair->late_start = pair_waits_its_turn(build, pair);
    if ((!pair->late_start && channel_start(pair->channel, &later) != PARLEY_OK) ||
        (pair->test_sink != NULL && channel_start(pair->test_sink, &later) != PARLEY_OK))
      build->failed = true;
  }
  buf_done(&later);
  build_look_started(build);
}

/* --- Making --------------------------------------------------------------------------------------------------------- */

static void make_say(struct set_build *build, const struct conf_channel *wanted, const struct channel *channel)
{
  if (channel == NULL || channel_making(channel) != CHANNEL_BROKE)
    return;
  build->failed = true;
  channel_say_unmade(channel, build->conf, wanted, &build->why);
}

static void build_look_made(struct set_build *build)
{
  if (set_waits(&build->set, channel_making))
    return;
  for (size_t i = 0; i < build->set.n; i++)
    if (!build->set.pairs[i].kept)
      make_say(build, &build->conf->channels[i], build->set.pairs[i].channel);
  if (build->failed ||
      policy_build(build->conf, &build->set, build->daemon->deliver, &build->set.policy, &build->why) != PARLEY_OK)
    build_end(build, PARLEY_INVALID);
  else
    build_start(build);
}

static void build_look(struct set_build *build)
{
  struct daemon *daemon = build->daemon;

  if (build->looking)
    return; /* a channel inside of this process has got on while it was made or started */
  build->looking = true;
  if (build->cancelled)
    build_end(build, PARLEY_CANCELLED);
  else if (build->phase == SET_MAKING)
    build_look_made(build);
  else if (build->phase == SET_STARTING)
    build_look_started(build);
  if (daemon->build == build) /* else it has ended, and is gone */
    build->looking = false;
}

static void build_make(struct set_build *build)
{
  struct daemon *daemon = build->daemon;
  const struct conf *conf = build->conf;

  build->phase = SET_MAKING;
  build->looking = true;
  build->set = (struct channel_set){.n = conf->n_channels, .pairs = xcalloc(conf->n_channels, sizeof *build->set.pairs)};
  for (size_t i = 0; i < conf->n_channels; i++) {
    struct channel_pair *pair = &build->set.pairs[i], *old;

    if (build->plugins[i] == NULL && (old = channel_set_find(&daemon->set, conf->channels[i].name)) != NULL) {
      *pair = *old;
      pair->kept = true;
    } else if (build->plugins[i] == NULL ||
               channel_pair_make(daemon, build->conf, &conf->channels[i], build->plugins[i], pair, &build->why) != PARLEY_OK) {
      build->failed = true;
    }
  }
  build->looking = false;
  if (build->failed)
    build_end(build, PARLEY_INVALID);
  else
    build_look(build);
}

/* --- Loading: in the pool, since files are read and processes asked ------------------------------------------------- */

static void build_load_one(struct set_build *build, size_t at, const struct plugin_source *source)
{
  const struct conf_channel *channel = &build->conf->channels[at];
  struct buf reason = BUF_INIT(4096);

  if (plugin_load(channel->plugin.at, channel->isolation, source, &build->plugins[at], &reason) != PARLEY_OK) {
    yaml_error(build->conf->file, channel->line, channel->col, &build->why, "channels.%.*s: %s", TEXT_ARG(channel->name), reason.at);
    build->failed = true;
  }
  buf_done(&reason);
}

static void build_load_sink(struct set_build *build, const struct plugin_source *source)
{
  struct daemon *daemon = build->daemon;
  struct buf reason = BUF_INIT(4096);

  if (daemon->sink == NULL && plugin_load("sink", CONF_INLINE, source, &daemon->sink, &reason) != PARLEY_OK)
    log_line(&daemon->log, PARLEY_WARN, "event=no_test_mode why=\"%s\"", reason.at);
  buf_done(&reason);
}

static void build_on_pool(uv_work_t *work)
{
  struct set_build *build = work->data;
  struct plugin_source source;

  if (build->path != NULL && conf_load(build->path, &build->conf, &build->why) != PARLEY_OK) {
    build->failed = true;
    return;
  }
  plugin_source_init(&source, build->conf, &build->daemon->home, build->daemon->run_dir, channel_extensions);
  source.shelf = &build->daemon->shelf;
  if (phone_plan_load(build->conf, &build->daemon->home, &build->phones, &build->why) != PARLEY_OK)
    build->failed = true;
  build->n_plugins = build->conf->n_channels;
  build->plugins = xcalloc(build->n_plugins, sizeof(struct plugin *));
  build_load_sink(build, &source);
  for (size_t i = 0; i < build->n_plugins; i++)
    if (build_chooses(build, &build->conf->channels[i]))
      build_load_one(build, i, &source);
}

static void build_on_loaded(uv_work_t *work, int status)
{
  struct set_build *build = work->data;

  if (status != 0 || build->cancelled)
    build_end(build, PARLEY_CANCELLED);
  else if (build->failed || !daemon_may_take(build->daemon, build->conf, &build->why))
    build_end(build, PARLEY_INVALID);
  else
    build_make(build);
}

parley_status set_build(struct daemon *daemon, const char *path, struct conf *conf, const struct set_choice *choice, set_built_fn *done,
                        void *arg)
{
  struct set_build *build;

  if (daemon->build != NULL)
    return PARLEY_BUSY;
  build = xcalloc(1, sizeof *build);
  build->daemon = daemon;
  build->path = path != NULL ? xstrdup(path) : NULL;
  build->conf = path != NULL ? NULL : conf_ref(conf);
  build->only_plugin = xmemdup(choice->plugin.at != NULL ? choice->plugin.at : "", choice->plugin.len);
  build->only_channel = xmemdup(choice->channel.at != NULL ? choice->channel.at : "", choice->channel.len);
  build->phase = SET_LOADING;
  build->why = BUF_INIT(65536);
  build->done = done;
  build->arg = arg;
  build->work.data = build;
  daemon->build = build;
  uv_queue_work(daemon->loop, &build->work, build_on_pool, build_on_loaded);
  return PARLEY_OK;
}

void set_build_progress(struct daemon *daemon)
{
  if (daemon->build != NULL)
    build_look(daemon->build);
}

void set_build_cancel(struct daemon *daemon)
{
  struct set_build *build = daemon->build;

  if (build == NULL)
    return;
  build->cancelled = true;
  if (build->phase == SET_LOADING)
    uv_cancel((uv_req_t *)&build->work); /* when it runs already, its end is waited for */
  else
    build_look(build);
}
