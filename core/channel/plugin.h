/* plugin.h - one loaded plugin: a private copy of its file, checked before anything of it runs.
 *
 * Inside of this process the copy is opened once and never closed before exit, since a library may have left threads or
 * thread-local destructors behind. Apart, nothing of it runs here: a parley-plugin-host tells what its table says, and each
 * channel gets a process. Shared by the channels that use it (reference count). A file that is replaced later disturbs nobody. */
#ifndef CORE_CHANNEL_PLUGIN_H
#define CORE_CHANNEL_PLUGIN_H
#include "core/base/arena.h"
#include "core/base/buf.h"
#include "core/config/conf.h"
#include <limits.h>
#include <stdatomic.h>

#define PLUGIN_DESCRIBE_MS 10000 /* for a process to tell what its plugin holds */

struct plugin {
  atomic_int refs;
  char *name;  /* as configured, = table->name */
  char *path;  /* where it was found */
  uint8_t sha256[32];
  bool apart;
  int fd;      /* apart: the sealed copy; else -1 */
  void *handle; /* of dlopen(); apart: NULL */
  const parley_plugin *table; /* apart: its functions are remote.c's */
  struct arena *facts; /* apart: what the table points at */
};
/* The plugins that are loaded: a file seen before, by its hash, is not loaded again. Used by one loading at a time. */
struct plugin_shelf {
  struct plugin **plugins;
  size_t n;
};
struct plugin_source {
  const parley_text *dirs;     /* each with a NUL behind it; searched in this order for NAME.so */
  size_t n_dirs;
  const char *run_dir;         /* where a folder (0700) for the copy is made, and gone again at once */
  const char *own_dir;         /* plugins of it run inside of the daemon unless the channel says otherwise; NULL: all do */
  const char *host_program;    /* parley-plugin-host; NULL: no plugin can run apart */
  const char *const *offered;  /* extensions; ends with NULL */
  struct plugin_shelf *shelf;  /* NULL: always loaded anew */
};
/* plugin_home.c */
struct plugin_home { char own_dir[PATH_MAX], host_program[PATH_MAX], phone_table[PATH_MAX]; }; /* empty: not there */
void plugin_home_find(struct plugin_home *ret);
void plugin_source_init(struct plugin_source *source, const struct conf *conf, const struct plugin_home *home, const char *run_dir,
                        const char *const *offered); /* all borrowed */

/* Checks who may write file and folder, its machine, then symbol, size, major, needed minor, required members, tables and
 * requires_ids.
 * Blocking (apart: up to PLUGIN_DESCRIBE_MS): never on the loop of a running daemon. Thread: any, one at a time. */
parley_status plugin_load(const char *name, enum conf_isolation isolation, const struct plugin_source *source, struct plugin **ret,
                          struct buf *reterr_why);
/* In parley-plugin-host: opens the copy that parleyd has checked and handed over. */
parley_status plugin_open_fd(const char *name, int fd, const char *const *offered, struct plugin **ret, struct buf *reterr_why);
struct plugin *plugin_ref(struct plugin *plugin);
void plugin_unref(struct plugin **plugin);
/* Lets go of plugins that run apart and that no channel uses any more; all of them: at the end. */
void plugin_shelf_sweep(struct plugin_shelf *shelf, bool all);
/* Everything but the functions' behaviour: what may be asked of a table without running it. */
parley_status plugin_check(const parley_plugin *table, const char *name, const char *const *offered, struct buf *reterr_why);
/* The table that the plugin offers under this extension id, or NULL. */
const void *plugin_offer(const struct plugin *plugin, const char *id);
#endif
