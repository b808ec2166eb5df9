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

static int exec_with(struct parley_channel *remote, uv_exit_cb on_exit, int far_fd)
{
  struct channel *channel = remote->channel;
  const struct plugin *plugin = channel->plugin;
  char memory[24], *env[REMOTE_ENV_MAX];
  struct buf room = BUF_INIT(65536);
  bool spawns = (channel->table->capabilities->flags & PARLEY_SPAWNS) != 0;
  char *args[] = {"parley-plugin-host", channel->name, plugin->name, memory, spawns ? "spawns" : "sealed", NULL};
  uv_stdio_container_t fds[] = {{.flags = UV_IGNORE},
                                {.flags = UV_IGNORE},
                                {.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = remote_stderr_new(remote)},
                                {.flags = UV_INHERIT_FD, .data.fd = far_fd},
                                {.flags = UV_INHERIT_FD, .data.fd = plugin->fd}};
  uv_process_options_t options = {.exit_cb = on_exit, .file = channel->shared.apart->host_program, .args = args, .env = env,
                                  .stdio = fds, .stdio_count = sizeof fds / sizeof *fds};
  int err;

  snprintf(memory, sizeof memory, "%llu", (unsigned long long)channel->shared.apart->memory_bytes);
  remote_environment(env, &room);
  remote->process.data = remote;
  remote->process_open = true; /* whatever uv_spawn() says: the handle is to be closed */
  remote->handles++;
  err = uv_spawn(channel->shared.loop, &remote->process, &options);
  buf_done(&room);
  if (err == 0)
    remote_stderr_read(remote);
  else
    remote_stderr_forget(remote);
  return err;
}

int remote_exec(struct parley_channel *remote, uv_exit_cb on_exit, int *ret_fd)
{
  int pair[2], err;

  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0)
    return -errno;
  err = exec_with(remote, on_exit, pair[1]);
  close(pair[1]);
  if (err == 0)
    *ret_fd = pair[0];
  else
    close(pair[0]);
  return err;
}
