/* plugin_in.h - private to plugin*.c. */
#ifndef CORE_CHANNEL_PLUGIN_IN_H
#define CORE_CHANNEL_PLUGIN_IN_H
#include "plugin.h"

struct plugin *plugin_new(const char *name, const char *path);
/* Opens the file under this very name and checks its table. */
parley_status plugin_link(struct plugin *plugin, const char *path, const char *const *offered, struct buf *why);
/* plugin_apart.c: a sealed copy of the bytes, and what a process tells of it. Fills fd, facts and table. */
parley_status plugin_set_apart(struct plugin *plugin, parley_bytes bytes, const struct plugin_source *source, struct buf *why);
#endif
