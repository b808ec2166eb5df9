/* A plugin that runs apart: parleyd opens nothing of it. Its bytes go into a sealed piece of memory, and a process of its own tells,
 * once, what its table says. */
#include "plugin_in.h"
#include "core/border/border.h"
#include "core/base/clock.h"
#include "core/base/text.h"
#include "remote.h"
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define DESCRIBE_FD_MIN 16 /* above the numbers that the process gets */

static int copy_seal(const char *name, parley_bytes bytes, struct buf *why)
{
  int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

  if (fd >= 0 && (write(fd, bytes.at, bytes.len) != (ssize_t)bytes.len ||
                  fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0)) {
    close(fd);
    fd = -1;
  }
  if (fd < 0)
    buf_printf(why, "no copy of %s.so can be made in memory: %s", name, strerror(errno));
  return fd;
}

/* --- The process that tells ----------------------------------------------------------------------------------------- */

static parley_status describe_spawn(const struct plugin *plugin, const char *program, int far_fd, pid_t *ret)
{
  char *args[] = {"parley-plugin-host", "--describe", plugin->name, NULL}, *env[REMOTE_ENV_MAX];
  struct buf room = BUF_INIT(65536);
  posix_spawn_file_actions_t actions;
  int link_fd = fcntl(far_fd, F_DUPFD_CLOEXEC, DESCRIBE_FD_MIN), so_fd = fcntl(plugin->fd, F_DUPFD_CLOEXEC, DESCRIBE_FD_MIN);
  int err = link_fd < 0 || so_fd < 0 ? errno : 0;

  remote_environment(env, &room);
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, link_fd, BORDER_FD);
  posix_spawn_file_actions_adddup2(&actions, so_fd, BORDER_PLUGIN_FD);
  if (err == 0)
    err = posix_spawn(ret, program, &actions, NULL, args, env);
  posix_spawn_file_actions_destroy(&actions);
  if (link_fd >= 0)
    close(link_fd);
  if (so_fd >= 0)
    close(so_fd);
  buf_done(&room);
  errno = err;
  return err == 0 ? PARLEY_OK : PARLEY_FAILED;
}

static int64_t now_ms(void)
{
  struct timespec now;

  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Reads until the process has closed its end, or the time is over. */
static parley_status describe_read(int fd, struct buf *frame)
{
  int64_t until = now_ms() + PLUGIN_DESCRIBE_MS;
  char block[16384];

  for (;;) {
    int64_t left = until - now_ms();
    struct pollfd poll_for = {.fd = fd, .events = POLLIN};
    ssize_t n;

    if (left <= 0)
      return PARLEY_TIMEOUT;
    if (poll(&poll_for, 1, (int)left) < 0 && errno != EINTR)
      return PARLEY_FAILED;
    n = recv(fd, block, sizeof block, MSG_DONTWAIT);
    if (n == 0)
      return frame->overflow ? PARLEY_INVALID : PARLEY_OK;
    if (n < 0 && errno != EAGAIN && errno != EINTR)
      return frame->len > 0 ? PARLEY_OK : PARLEY_CLOSED;
    if (n > 0)
      buf_add(frame, block, (size_t)n);
  }
}

static void describe_end(pid_t pid, parley_status st, const struct plugin *plugin, struct buf *why)
{
  int status = 0;

  kill(pid, SIGKILL); /* it has told, or never will */
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
    ;
  if (st == PARLEY_TIMEOUT)
    buf_printf(why, "%s.so cannot be loaded: its process did not tell what it holds within %d ms", plugin->name, PLUGIN_DESCRIBE_MS);
  else if (st != PARLEY_OK && WIFSIGNALED(status))
    buf_printf(why, "%s.so cannot be loaded: its process was ended by signal %d (%s) while loading it", plugin->name,
               WTERMSIG(status), strsignal(WTERMSIG(status)));
  else if (st != PARLEY_OK)
    buf_printf(why, "%s.so cannot be loaded: its process ended with exit code %d while loading it", plugin->name, WEXITSTATUS(status));
}

static parley_status describe(const struct plugin *plugin, const char *program, struct buf *frame, struct buf *why)
{
  int pair[2];
  pid_t pid = 0;
  parley_status st;

  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
    buf_printf(why, "no connection to a process for %s.so: %s", plugin->name, strerror(errno));
    return PARLEY_FAILED;
  }
  st = describe_spawn(plugin, program, pair[1], &pid);
  close(pair[1]);
  if (st != PARLEY_OK) {
    buf_printf(why, "%s cannot be started: %s", program, strerror(errno));
  } else {
    st = describe_read(pair[0], frame);
    if (st == PARLEY_OK && frame->len < FRAME_HEAD_BYTES)
      st = PARLEY_CLOSED;
    describe_end(pid, st, plugin, why);
  }
  close(pair[0]);
  return st;
}

/* --- What it told --------------------------------------------------------------------------------------------------- */

static parley_status facts_read(struct plugin *plugin, parley_bytes frame, struct buf *why)
{
  struct wire_in in = {.at = frame.at + FRAME_HEAD_BYTES, .left = frame.len - FRAME_HEAD_BYTES, .arena = plugin->facts};
  const struct plugin_facts *facts = NULL;
  const struct frame_words *refused;
  const parley_extension **offers;
  parley_plugin *table;
  uint16_t type;
  size_t n = 0;

  memcpy(&type, frame.at + 4, sizeof type);
  type = le16toh(type);
  if (type == FRAME_REFUSED && (refused = wire_get(&in, &abi_frame_words)) != NULL) {
    buf_text(why, text_sub(refused->one, 0, 1024));
    return PARLEY_INVALID;
  }
  if (type == FRAME_FACTS)
    facts = wire_get(&in, &abi_plugin_facts);
  if (facts == NULL) {
    buf_printf(why, "%s.so cannot be loaded: what its process told makes no sense", plugin->name);
    return PARLEY_INVALID;
  }
  while (facts->offers_ids != NULL && facts->offers_ids[n] != NULL)
    n++;
  offers = arena_alloc(plugin->facts, (n + 1) * sizeof *offers);
  table = arena_alloc(plugin->facts, sizeof *table);
  remote_table(facts, offers, table);
  plugin->table = table;
  return PARLEY_OK;
}

parley_status plugin_set_apart(struct plugin *plugin, parley_bytes bytes, const struct plugin_source *source, struct buf *why)
{
  struct buf frame = BUF_INIT(BORDER_FAR_BODY_MAX);
  parley_status st;

  if (source->host_program == NULL) {
    buf_printf(why, "%s.so is to run in a process of its own, but there is no parley-plugin-host beside this program", plugin->name);
    return PARLEY_INVALID;
  }
  plugin->fd = copy_seal(plugin->name, bytes, why);
  if (plugin->fd < 0)
    return PARLEY_FAILED;
  plugin->facts = arena_new();
  st = describe(plugin, source->host_program, &frame, why);
  if (st == PARLEY_OK)
    st = facts_read(plugin, buf_as_text(&frame), why);
  if (st == PARLEY_OK)
    st = plugin_check(plugin->table, plugin->name, source->offered, why);
  buf_done(&frame);
  return st == PARLEY_OK ? PARLEY_OK : PARLEY_INVALID;
}
