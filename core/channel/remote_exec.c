/* A new process, and what of ours it gets to see. */
#include "remote_in.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

void remote_environment(char *env[REMOTE_ENV_MAX], struct buf *room)
{
  static const char *const names[] = {"TZ", "LANG", "SSL_CERT_FILE", "SSL_CERT_DIR", "PARLEY_CA_FILE", "ASAN_OPTIONS", "UBSAN_OPTIONS",
                                      "LSAN_OPTIONS", "TSAN_OPTIONS", "PATH", NULL};
  size_t at[REMOTE_ENV_MAX], n = 0;

  for (size_t i = 0; names[i] != NULL; i++) {
    const char *value = getenv(names[i]);

    if (value == NULL)
      continue;
    at[n++] = room->len;
    buf_printf(room, "%s=%s", names[i], value);
    buf_char(room, '\0');
  }
  for (size_t i = 0; i < n; i++)
    env[i] = room->at + at[i];
  env[n] = NULL;
}

static int exec_with(struct parley_channel *remote, process_exited *exited, int far_fd, int stderr_fd)
{
  struct channel *channel = remote->channel;
  const struct plugin *plugin = channel->plugin;
  char memory[24], *env[REMOTE_ENV_MAX];
  struct buf room = BUF_INIT(65536);
  bool spawns = (channel->table->capabilities->flags & PARLEY_SPAWNS) != 0;
  char *args[] = {"parley-plugin-host", channel->name, plugin->name, memory, spawns ? "spawns" : "sealed", NULL};
  int fds[] = {-1, -1, stderr_fd, far_fd, plugin->fd}, err;

  snprintf(memory, sizeof memory, "%llu", (unsigned long long)channel->shared.apart.memory_bytes);
  remote_environment(env, &room);
  remote->process.data = remote;
  err = process_spawn(channel->shared.loop, &remote->process, channel->shared.apart.host_program, args, env, fds,
                      sizeof fds / sizeof *fds, exited);
  buf_done(&room);
  return err;
}

int remote_exec(struct parley_channel *remote, process_exited *exited, int *ret_fd)
{
  int pair[2], stderr_fd, err = remote_stderr_open(remote, &stderr_fd);

  if (err != 0)
    return err;
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0) {
    err = -errno;
    close(stderr_fd);
    return err;
  }
  err = exec_with(remote, exited, pair[1], stderr_fd);
  close(stderr_fd);
  close(pair[1]);
  if (err == 0)
    *ret_fd = pair[0];
  else
    close(pair[0]);
  return err;
}
