/* parley-plugin-host: one channel's plugin in a process of its own. parleyd starts it, with a socket as descriptor 3 and a
 * sealed copy of the .so as descriptor 4; it is of no use by hand.
 *
 *   parley-plugin-host CHANNEL PLUGIN MEMORY_BYTES sealed|spawns
 *   parley-plugin-host --describe PLUGIN           says what the plugin's table holds, and ends */
#include "core/base/env.h"
#include "core/base/text.h"
#include "core/channel/hosted.h"
#include "sandbox.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#define HOST_FILES 4096                             /* descriptors: sockets of the plugin's streams */
#define HOST_FILE_BYTES ((uint64_t)1 << 30)         /* of programs that the plugin starts; it itself writes no file */
#define HOST_DESCRIBE_BYTES ((uint64_t)256 << 20)   /* memory of a process that is only asked */

/* Who made our end of the link: parleyd, even if it has died since and another has become our parent. */
static pid_t maker_of_link(void)
{
  struct ucred maker = {0};
  socklen_t len = sizeof maker;

  return getsockopt(BORDER_FD, SOL_SOCKET, SO_PEERCRED, &maker, &len) == 0 ? maker.pid : 0;
}

/* Everything of the plugin runs behind this, its constructors included. *line is what is in force, for parleyd to show. */
static void confine(uint64_t memory_bytes, bool spawns, struct buf *line)
{
  static const int fds[] = {BORDER_FD, BORDER_PLUGIN_FD};
  struct sandbox_limits limits = {.memory_bytes = memory_bytes, .file_bytes = spawns ? HOST_FILE_BYTES : 0,
                                  .files = HOST_FILES, .spawns = spawns,
                                  .parent = maker_of_link(), .fds = fds, .n_fds = 2};
  struct sandbox_report report;

  sandbox_enter(&limits, &report);
  sandbox_report_format(&report, line);
}

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
  struct buf sandbox = BUF_INIT(1024);
  uint64_t memory_bytes;
  int code;

  signal(SIGPIPE, SIG_IGN);
  signal(SIGINT, SIG_IGN); /* the terminal's is for parleyd, which then asks us to leave */
  if (argc == 3 && strcmp(argv[1], "--describe") == 0) {
    confine(HOST_DESCRIBE_BYTES, false, &sandbox);
    buf_done(&sandbox);
    return describe(argv[2]);
  }
  if (argc != 5 || !text_to_uint(parley_text_of(argv[3]), UINT64_MAX, &memory_bytes)) {
    fprintf(stderr, "parley-plugin-host is started by parleyd: see `isolation: process` in parley.yaml\n");
    return EX_USAGE;
  }
  confine(memory_bytes, strcmp(argv[4], "spawns") == 0, &sandbox);
  code = serve(argv[2], buf_as_text(&sandbox));
  buf_done(&sandbox);
  return code;
}
