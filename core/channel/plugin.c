#include "plugin_in.h"
#include "option.h"
#include "core/base/alloc.h"
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PLUGIN_SYMBOL "parley_plugin_v1"
#define METRIC_WORD_BYTES_MAX 64

static bool plugin_offered(const char *const *offered, const char *id)
{
  for (; *offered != NULL; offered++)
    if (strcmp(*offered, id) == 0)
      return true;
  return false;
}

#define PLUGIN_BYTES_MIN (offsetof(parley_plugin, destroy) + sizeof(((parley_plugin *)0)->destroy))

/* As Prometheus has it. */
static bool metric_word_ok(const char *word)
{
  static const char allowed[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";

  return word != NULL && word[0] != '\0' && strlen(word) <= METRIC_WORD_BYTES_MAX && strspn(word, allowed) == strlen(word) &&
         strspn(word, "0123456789") == 0;
}

static bool metric_is_twice(const parley_metric *const *table, const parley_metric *metric)
{
  for (; *table != metric; table++)
    if (strcmp((*table)->name, metric->name) == 0)
      return true;
  return false;
}

static bool metrics_ok(const parley_metric *const *table, struct buf *why)
{
  static const char *const ours[] = {"misbehaved_total", "slow_calls_total", NULL}; /* core/api/metrics.c: parley_plugin_... */

  for (const parley_metric *const *row = table; row != NULL && *row != NULL; row++) {
    const parley_metric *metric = *row;
    const char *label = metric->label;

    if (!metric_word_ok(metric->name))
      buf_printf(why, "metric '%s' of the plugin's table: a name is made of letters, digits and _, begins with no digit and has at "
                      "most %d bytes", metric->name ? metric->name : "", METRIC_WORD_BYTES_MAX);
    else if (label != NULL && (!metric_word_ok(label) || strcmp(label, "channel") == 0))
      buf_printf(why, "metric '%s' of the plugin's table: its label '%s' is no such word, or 'channel', which the daemon adds",
                 metric->name, label);
    else if (metric->kind < PARLEY_COUNTER || metric->kind > PARLEY_HISTOGRAM)
      buf_printf(why, "metric '%s' of the plugin's table is of an unknown kind %u", metric->name, metric->kind);
    else if (plugin_offered(ours, metric->name) || metric_is_twice(table, metric))
      buf_printf(why, "metric '%s' of the plugin's table is there already", metric->name);
    else
      continue;
    return false;
  }
  return true;
}

parley_status plugin_check(const parley_plugin *table, const char *name, const char *const *offered, struct buf *why)
{
  if (table->size < PLUGIN_BYTES_MIN || table->abi_major != PARLEY_ABI_MAJOR) {
    buf_printf(why, "%s.so was built for plugin ABI %u; this daemon speaks %d.%d", name, table->abi_major, PARLEY_ABI_MAJOR,
               PARLEY_ABI_MINOR);
    return PARLEY_INVALID;
  }
  if (table->abi_minor_needed > PARLEY_ABI_MINOR) {
    buf_printf(why, "%s.so needs plugin ABI %d.%u; this daemon speaks %d.%d", name, PARLEY_ABI_MAJOR, table->abi_minor_needed,
               PARLEY_ABI_MAJOR, PARLEY_ABI_MINOR);
    return PARLEY_INVALID;
  }
  if (table->name == NULL || strcmp(table->name, name) != 0) {
    buf_printf(why, "%s.so calls itself '%s'; file and plugin must have the same name", name, table->name ? table->name : "");
    return PARLEY_INVALID;
  }
  if (table->create == NULL || table->start == NULL || table->destroy == NULL || table->capabilities == NULL ||
      table->capabilities->address_kind == NULL || table->capabilities->channel_kind == NULL) {
    buf_printf(why, "%s.so lacks a required member: create, start, destroy, capabilities with address_kind and channel_kind",
               name);
    return PARLEY_INVALID;
  }
  for (const char *const *id = table->requires_ids; id != NULL && *id != NULL; id++)
    if (!plugin_offered(offered, *id)) {
      buf_printf(why, "%s.so needs the extension %s, which this daemon does not offer", name, *id);
      return PARLEY_INVALID;
    }
  if (!option_table_ok(table->options, why) || !metrics_ok(table->metrics, why)) {
    buf_printf(why, " (%s.so)", name);
    return PARLEY_INVALID;
  }
  return PARLEY_OK;
}

parley_status plugin_link(struct plugin *plugin, const char *copy, const char *const *offered, struct buf *why)
{
  plugin->handle = dlopen(copy, RTLD_NOW | RTLD_LOCAL);
  if (plugin->handle == NULL) {
    buf_printf(why, "%s.so cannot be loaded: %s", plugin->name, dlerror());
    return PARLEY_INVALID;
  }
  plugin->table = dlsym(plugin->handle, PLUGIN_SYMBOL);
  if (plugin->table == NULL) {
    buf_printf(why, "%s.so exports no " PLUGIN_SYMBOL ": it is not a Parley plugin", plugin->name);
    return PARLEY_INVALID;
  }
  return plugin_check(plugin->table, plugin->name, offered, why);
}

struct plugin *plugin_new(const char *name, const char *path)
{
  struct plugin *plugin = xcalloc(1, sizeof *plugin);

  atomic_init(&plugin->refs, 1);
  plugin->name = xstrdup(name);
  plugin->path = xstrdup(path);
  plugin->fd = -1;
  return plugin;
}

parley_status plugin_open_fd(const char *name, int fd, const char *const *offered, struct plugin **ret, struct buf *reterr_why)
{
  char path[64];
  struct plugin *plugin;
  parley_status st;

  /* With our pid in it: a debugger that reads the name in its own /proc finds the symbols there. */
  snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)getpid(), fd);
  plugin = plugin_new(name, path);
  st = plugin_link(plugin, path, offered, reterr_why);
  if (st == PARLEY_OK)
    *ret = plugin;
  else
    plugin_unref(&plugin);
  return st;
}

struct plugin *plugin_ref(struct plugin *plugin)
{
  atomic_fetch_add(&plugin->refs, 1);
  return plugin;
}

void plugin_unref(struct plugin **plugin)
{
  struct plugin *gone = *plugin;

  *plugin = NULL;
  if (gone == NULL || atomic_fetch_sub(&gone->refs, 1) > 1)
    return;
  if (gone->fd >= 0)
    close(gone->fd);
  arena_free(&gone->facts);
  free(gone->name); /* the library stays mapped: see plugin.h */
  free(gone->path);
  free(gone);
}

const void *plugin_offer(const struct plugin *plugin, const char *id)
{
  for (const parley_extension *const *offer = plugin->table->offers; offer != NULL && *offer != NULL; offer++)
    if (strcmp((*offer)->id, id) == 0)
      return (*offer)->table;
  return NULL;
}
