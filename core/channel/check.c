#include "check.h"
#include "channel.h"
#include "core/base/alloc.h"
#include "core/base/text.h"
#include "core/route/policy.h"
#include <parley/ext/check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct check {
  const struct conf *conf;
  struct plugin_source source;
  struct plugin **plugins; /* by channel; NULL: not loaded */
  struct buf *why;
  channel_options_seen *seen;
  void *seen_arg;
  bool good;
};

static struct plugin *check_plugin(struct check *check, const struct conf_channel *channel)
{
  const struct conf *conf = check->conf;
  struct buf reason = BUF_INIT(4096);
  struct plugin *plugin = NULL;

  if (plugin_load(channel->plugin.at, channel->isolation, &check->source, &plugin, &reason) != PARLEY_OK) {
    yaml_error(conf->file, channel->line, channel->col, check->why, "channels.%.*s: %s", TEXT_ARG(channel->name),
               reason.at);
    check->good = false;
  }
  buf_done(&reason);
  return plugin;
}

/* What a plugin says of its options beyond their types. */
struct check_fault {
  struct check *check;
  const struct conf_channel *channel;
};

struct fault_place { /* own: a file that was opened for it, or NULL */
  const struct yaml_file *file;
  struct yaml_file *own;
  const struct yaml_node *node;
};

/* { file: PATH }: the group stands there, as it did when it was read. */
static bool fault_elsewhere(struct fault_place *place)
{
  const struct yaml_node *path = place->node->count == 1 ? yaml_find(place->node, "file") : NULL;
  struct arena *arena;
  struct buf why = BUF_INIT(0);

  if (place->own != NULL || path == NULL || path->kind != YAML_IS_TEXT)
    return false;
  arena = arena_new();
  if (yaml_load(yaml_path(place->file, arena, path->text), &place->own, &why) == PARLEY_OK) {
    place->file = place->own;
    place->node = place->own->root;
  }
  buf_done(&why);
  arena_free(&arena);
  return place->own != NULL;
}

/* The deepest member that the words before the colon name: "gateway.send.url: ...". */
static void fault_find(struct fault_place *place, parley_text line)
{
  parley_text names = text_sub(line, 0, text_find(line, ':'));
  char name[128];

  while (place->node != NULL && names.len > 0) {
    parley_text one = text_cut(&names, '.');
    const struct yaml_node *next;

    snprintf(name, sizeof name, "%.*s", TEXT_ARG(text_sub(one, 0, sizeof name - 1)));
    next = yaml_find(place->node, name);
    if (next == NULL && fault_elsewhere(place))
      next = yaml_find(place->node, name);
    if (next == NULL)
      return;
    place->node = next;
  }
}

static void fault_said(parley_text line, void *arg)
{
  struct check_fault *fault = arg;
  const struct conf_channel *channel = fault->channel;
  struct fault_place place = {.file = fault->check->conf->file, .node = channel->options};

  fault_find(&place, line);
  yaml_error(place.file, place.node != NULL ? place.node->line : channel->line, place.node != NULL ? place.node->col : channel->col,
             fault->check->why, "channels.%.*s.options.%.*s", TEXT_ARG(channel->name), TEXT_ARG(line));
  yaml_file_free(&place.own);
  fault->check->good = false;
}

static void check_meaning(struct check *check, const struct conf_channel *channel, const struct plugin *plugin,
                          const parley_value *options)
{
  const parley_check *table = plugin->apart ? NULL : plugin_offer(plugin, PARLEY_CHECK);
  struct check_fault fault = {check, channel};

  if (table != NULL && PARLEY_HAS(parley_check, table, options))
    table->options(options, fault_said, &fault);
}

static void check_options(struct check *check, const struct conf_channel *channel, const struct plugin *plugin)
{
  struct arena *arena = arena_new();
  struct secrets secrets = {0};
  const parley_value *options;
  struct buf where = BUF_INIT(256);

  buf_printf(&where, "channels.%.*s.options", TEXT_ARG(channel->name));
  if (options_read(check->conf->file, channel->options, channel->line, channel->col, where.at, plugin->table->options,
                   arena, &secrets, &options, check->why) != PARLEY_OK)
    check->good = false;
  else {
    check_meaning(check, channel, plugin, options);
    if (check->seen != NULL)
      check->seen(channel, options, check->seen_arg);
  }
  buf_done(&where);
  secrets_done(&secrets);
  arena_free(&arena);
}

static void check_step(struct check *check, const struct conf_plan *plan, const struct conf_step *step)
{
  const struct plugin *plugin = check->plugins[step->channel - check->conf->channels];
  const parley_capabilities *caps;

  if (plugin == NULL)
    return;
  caps = plugin->table->capabilities;
  if (until_tellable((enum until)step->until, caps->receipts, caps->flags))
    return;
  yaml_error(check->conf->file, step->line, step->col, check->why,
             "plans.%.*s: channel '%.*s' gives no receipt that tells '%s'", TEXT_ARG(plan->name),
             TEXT_ARG(step->channel->name), until_name((enum until)step->until));
  check->good = false;
}

static void check_bridge(struct check *check, const struct conf_bridge *bridge)
{
  const struct conf *conf = check->conf;
  const struct plugin *plugin = check->plugins[conf_channel_find(conf, bridge->channel) - conf->channels];

  if (plugin == NULL || strcmp(plugin->table->capabilities->address_kind, "email") == 0)
    return;
  yaml_error(conf->file, bridge->line, bridge->col, check->why, "bridges.%.*s: channel '%.*s' sends no e-mail",
             TEXT_ARG(bridge->name), TEXT_ARG(bridge->channel));
  check->good = false;
}

static void check_all(struct check *check)
{
  const struct conf *conf = check->conf;

  for (size_t i = 0; i < conf->n_channels; i++) {
    check->plugins[i] = check_plugin(check, &conf->channels[i]);
    if (check->plugins[i] != NULL)
      check_options(check, &conf->channels[i], check->plugins[i]);
  }
  for (size_t i = 0; i < conf->n_plans; i++)
    for (size_t j = 0; j < conf->plans[i].n_steps; j++)
      check_step(check, &conf->plans[i], &conf->plans[i].steps[j]);
  for (size_t i = 0; i < conf->n_bridges; i++)
    check_bridge(check, &conf->bridges[i]);
  for (size_t i = 0; i < conf->n_channels; i++)
    plugin_unref(&check->plugins[i]);
}

parley_status channels_check(const struct conf *conf, channel_options_seen *seen, void *arg, struct buf *reterr_why)
{
  const char *tmp = getenv("TMPDIR");
  char run_dir[4096];
  struct plugin_home home;
  struct plugin_shelf shelf = {0};
  struct check check = {.conf = conf, .why = reterr_why, .seen = seen, .seen_arg = arg, .good = true};

  snprintf(run_dir, sizeof run_dir, "%s/parley-check-XXXXXX", tmp != NULL && tmp[0] == '/' ? tmp : "/tmp");
  if (mkdtemp(run_dir) == NULL) {
    buf_printf(reterr_why, "a folder %s cannot be made: %s", run_dir, strerror(errno));
    return PARLEY_FAILED;
  }
  plugin_home_find(&home);
  plugin_source_init(&check.source, conf, &home, run_dir, channel_extensions);
  check.source.shelf = &shelf;
  check.plugins = xcalloc(conf->n_channels + 1, sizeof(*check.plugins));
  check_all(&check);
  free(check.plugins);
  plugin_shelf_sweep(&shelf, true);
  rmdir(run_dir);
  return check.good ? PARLEY_OK : PARLEY_INVALID;
}
