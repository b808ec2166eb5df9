/* plugin.h - one loaded plugin: a private copy of its file, opened once, checked before anything of it runs.
 * Shared by the channels that use it (reference count); never closed before exit, since a library may have left threads or
 * thread-local destructors behind. Thread: loop. */
#ifndef CORE_CHANNEL_PLUGIN_H
#define CORE_CHANNEL_PLUGIN_H
#include "core/base/buf.h"

struct plugin {
  int refs;
  char *name;  /* as configured, = table->name */
  char *path;  /* where it was found */
  uint8_t sha256[32];
  void *handle;
  const parley_plugin *table;
};
/* Looks for NAME.so in dirs (each with a NUL behind it), in that order. Copies it into a folder (0700) that is made
 * in run_dir and gone again at once, opens the copy with RTLD_NOW |
 * RTLD_LOCAL, checks symbol, size, major, needed minor, required members, tables and requires_ids against `offered` (ends with
 * NULL). Refuses a file or folder that others may write. Blocking: at start and reload only. */
parley_status plugin_load(const char *name, const parley_text *dirs, size_t n_dirs, const char *run_dir, const char *const *offered,
                          struct plugin **ret, struct buf *reterr_why);
struct plugin *plugin_ref(struct plugin *plugin);
void plugin_unref(struct plugin **plugin);
/* The table that the plugin offers under this extension id, or NULL. */
const void *plugin_offer(const struct plugin *plugin, const char *id);
#endif
