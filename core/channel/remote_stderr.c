/* What a plugin's process writes to its stderr: lines of the log under the channel's name, masked and bounded like those that the
 * plugin hands in. Read until the process and all it started have closed it, so that the last words of one that aborts are heard. */
#include "remote_in.h"
#include "core/base/alloc.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define STDERR_LINE_MAX 512
#define STDERR_READ_BYTES 4096

struct remote_stderr {
  uv_pipe_t pipe;
  struct parley_channel *remote; /* NULL: nobody listens any more */
  struct buf line;
  char block[STDERR_READ_BYTES];
};

static void stderr_say(struct remote_stderr *from)
{
  struct parley_channel *remote = from->remote;
  struct buf line = BUF_INIT(STDERR_LINE_MAX * 4);
  char safe[STDERR_LINE_MAX];

  if (from->line.len > 0 && remote != NULL && remote_line_allowed(remote)) {
    buf_printf(&line, "event=plugin_stderr text=%s", log_safe(safe, sizeof safe, buf_as_text(&from->line)));
    remote->host->log(remote->host, PARLEY_WARN, buf_as_text(&line));
  }
  buf_done(&line);
  buf_clear(&from->line);
}

static void stderr_take(struct remote_stderr *from, parley_text bytes)
{
  for (size_t i = 0; i < bytes.len; i++) {
    if (bytes.at[i] != '\n')
      buf_char(&from->line, bytes.at[i]); /* beyond its room, a line is cut */
    else
      stderr_say(from);
  }
}

static void stderr_on_closed(uv_handle_t *handle)
{
  struct remote_stderr *from = handle->data;

  buf_done(&from->line);
  free(from);
}

static void stderr_end(struct remote_stderr *from)
{
  if (from->remote != NULL && from->remote->stderr_of == from)
    from->remote->stderr_of = NULL;
  from->remote = NULL;
  if (!uv_is_closing((uv_handle_t *)&from->pipe))
    uv_close((uv_handle_t *)&from->pipe, stderr_on_closed);
}

static void stderr_on_room(uv_handle_t *handle, size_t wanted, uv_buf_t *ret)
{
  struct remote_stderr *from = handle->data;

  (void)wanted;
  *ret = uv_buf_init(from->block, sizeof from->block);
}

static void stderr_on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *block)
{
  struct remote_stderr *from = stream->data;

  if (n > 0) {
    stderr_take(from, (parley_text){block->base, (size_t)n});
    return;
  }
  if (n < 0) {
    stderr_say(from);
    stderr_end(from);
  }
}

int remote_stderr_open(struct parley_channel *remote, int *ret_fd)
{
  struct remote_stderr *from;
  int pair[2], err;

  remote_stderr_forget(remote); /* of a process before this one */
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
    return -errno;
  from = xcalloc(1, sizeof *from);
  from->remote = remote;
  from->line = BUF_INIT(STDERR_LINE_MAX);
  uv_pipe_init(remote->channel->shared.loop, &from->pipe, 0);
  from->pipe.data = from;
  remote->stderr_of = from;
  err = uv_pipe_open(&from->pipe, pair[0]); /* our end alone does not block */
  if (err == 0)
    err = uv_read_start((uv_stream_t *)&from->pipe, stderr_on_room, stderr_on_read);
  if (err != 0) {
    remote_stderr_forget(remote);
    close(pair[1]);
    return err;
  }
  uv_unref((uv_handle_t *)&from->pipe);
  *ret_fd = pair[1];
  return 0;
}

void remote_stderr_forget(struct parley_channel *remote)
{
  if (remote->stderr_of != NULL)
    stderr_end(remote->stderr_of);
}
