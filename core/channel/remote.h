/* remote.h - the near side of the process border: a plugin whose channels live in processes of their own. To channel.c it is a
 * plugin like any other (`parley_plugin`, functions included); behind each call stands a frame (border.h).
 *
 * Owns a process a channel: starts it, asks it each second whether it is alive, kills it when it hangs, lies, floods or grows,
 * and starts it again with growing pauses (REMOTE_PAUSE_*). What it held is settled by channel_settle_died(), its open callbacks
 * are answered 503, other channels notice nothing. Thread: loop. */
#ifndef CORE_CHANNEL_REMOTE_H
#define CORE_CHANNEL_REMOTE_H
#include "core/border/border.h"
#include "channel.h"

#define REMOTE_PAUSE_MIN_MS 100   /* before the first new start; doubles with each death */
#define REMOTE_PAUSE_MAX_MS 30000
#define REMOTE_WELL_MS 60000      /* alive for so long: the pauses begin anew */
#define REMOTE_LEAVE_MS 2000      /* for a process that was asked to go, then it is killed */
#define REMOTE_WAITING_MAX ((size_t)8 << 20) /* bytes not yet taken by the process; above, nothing more is submitted */
#define REMOTE_SOCKETS_MAX 2048   /* on their way, or listening */
#define REMOTE_UPLOADS_MAX 64     /* ids that the process has named */

/* The functions of a plugin with these facts; lists and texts are borrowed from the facts, which outlive it. offers: room for as
 * many as facts->offers_ids has, and the NULL. */
void remote_table(const struct plugin_facts *facts, const parley_extension **offers, parley_plugin *ret);

/* What of our own environment a plugin's process may see: where certificates, programs and time zones are, and how a sanitizer
 * reports. NULL at its end; the texts are in room. */
#define REMOTE_ENV_MAX 12
void remote_environment(char *env[REMOTE_ENV_MAX], struct buf *room);

#endif
