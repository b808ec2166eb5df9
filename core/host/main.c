/* parley-plugin-host: one channel's plugin in a process of its own. parleyd starts it, with a socket as descriptor 3 and a
 * sealed copy of
 * the .so as descriptor 4; it is of no use by hand.
 *
 *   parley-plugin-host CHANNEL PLUGIN MEMORY_BYTES sealed|spawns
 *   parley-plugin-host --describe PLUGIN           says what the plugin's table holds, and ends */
#include "core/base/env.h"
#include "core/base/text.h"
#include "core/channel/hosted.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

static int describe(const char *name)
{
  struct buf why = BUF_INIT(4096);
  struct plugin *plugin = NULL;
  parley_status st = plugin_open_fd(name, BORDER_PLUGIN_FD, channel_extensions, &plugin, &why);

  st = hosted_describe(BORDER_FD, st == PARLEY_OK ? plugin->table : NULL, why.len > 0 ? why.at : "");
  buf_done(&why);
  plugin_unref(&plugin);
  return st == PARLEY_OK ? EX_OK : EX_SOFTWARE;
}

static void on_gone(void *arg)
{
  uv_stop(arg);
}

static int serve(const char *name, parley_text sandbox)
{
  uv_loop_t loop;
  struct buf why = BUF_INIT(4096);
  struct plugin *plugin = NULL;
  struct hosted *hosted;

  if (plugin_open_fd(name, BORDER_PLUGIN_FD, channel_extensions, &plugin, &why) != PARLEY_OK) {
    hosted_describe(BORDER_FD, NULL, why.at);
    buf_done(&why);
    return EX_SOFTWARE;
  }
  uv_loop_init(&loop);
  hosted = hosted_new(&loop, &env_system, BORDER_FD, plugin, sandbox, on_gone, &loop);
  plugin_unref(&plugin);
  uv_run(&loop, UV_RUN_DEFAULT);
  if (!hosted_left_well(hosted))
    _exit(EX_UNAVAILABLE); /* parleyd has gone: nothing of the plugin's is to be tidied up */
  hosted_free(&hosted);
  uv_loop_close(&loop);
  buf_done(&why);
  return EX_OK;
}

int main(int argc, char **argv)
{
  signal(SIGPIPE, SIG_IGN);
  signal(SIGINT, SIG_IGN); /* the terminal's is for parleyd, which then asks us to leave */
  if (argc == 3 && strcmp(argv[1], "--describe") == 0)
    return describe(argv[2]);
  if (argc != 5) {
    fprintf(stderr, "parley-plugin-host is started by parleyd: see `isolation: process` in parley.yaml\n");
    return EX_USAGE;
  }
  return serve(argv[2], PARLEY_LIT("none"));
}
