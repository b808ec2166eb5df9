/* hosted.h - the far side of the process border: one channel inside of parley-plugin-host. It is a struct channel like parleyd's
 * own, with timers, watches, work and tokens of its own; whatever else the plugin asks of its host goes to parleyd as a frame
 * (border.h).
 *
 * Owns the channel, its link and the messages until their tokens have settled. Thread: loop; the plugin's log lines come from
 * any. */
#ifndef CORE_CHANNEL_HOSTED_H
#define CORE_CHANNEL_HOSTED_H
#include "core/border/border.h"
#include "channel.h"

struct hosted;
/* fd: of the link. sandbox: what is in force, one line, for parleyd to show; borrowed. plugin: loaded here; a reference is kept.
 * gone(arg) once, when parleyd has let go, or has asked to stop and everything is closed: nothing is left then. */
struct hosted *hosted_new(uv_loop_t *loop, const struct env *env, int fd, struct plugin *plugin, parley_text sandbox,
                          void (*gone)(void *arg), void *arg);
bool hosted_left_well(const struct hosted *hosted); /* gone, and everything of the plugin is closed */
void hosted_free(struct hosted **hosted);           /* only then */

/* Writes FACTS of the plugin, or REFUSED with why, to fd, blocking. */
parley_status hosted_describe(int fd, const parley_plugin *table, const char *why);
#endif
