#include "link.h"
#include "core/base/alloc.h"
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define LINK_READ_BYTES 65536
#define LINK_READS_MAX 16 /* before the loop gets its turn */
#define LINK_TURN_NS 2000000 /* of CPU, spent on what the other end says; the rest of it waits for the next turn of the loop */
#define LINK_TURN_FRAMES 16  /* small ones, between two looks at that clock */
#define LINK_SMALL_BYTES 4096
#define LINK_FDS_MAX 64   /* received and not yet taken */
#define LINK_FDS_OUT_MAX 512 /* on their way to a process that does not read; above, it counts as stuck */
#define LINK_DRAINS_MAX 64 /* turns, of a process that has died: nobody who means well leaves more behind */

const char link_end_gone[] = "the other end has gone";

/* A descriptor leaves with the byte at `at`, counted from the link's first. */
struct outgoing_fd { uint64_t at; int fd; };

struct link {
  const struct link_events *events;
  void *arg;
  int fd;
  uint32_t in_max, out_max;
  bool takes_fds, broken, closing;
  uv_poll_t poll;
  uv_prepare_t prepare; /* runs while there is something to send */
  int polled; /* events that poll waits for: to ask for the same again would cost two system calls */
  uv_idle_t idle;       /* runs while frames that have come wait for their turn */
  bool more;            /* so it is */
  uint64_t turn_ns;     /* when this turn ends; 0: the clock was not looked at yet */
  int handles;
  struct buf in, out;
  size_t out_from;   /* bytes of `out` that have left */
  uint64_t sent, read; /* bytes ever written; and ever read */
  struct outgoing_fd *fds_out;
  size_t n_fds_out;
  int fds_in[LINK_FDS_MAX];
  size_t n_fds_in;
};

static void link_on_poll(uv_poll_t *poll, int status, int events);

static void link_break(struct link *link, const char *why)
{
  if (link->broken)
    return;
  link->broken = true;
  uv_poll_stop(&link->poll);
  uv_prepare_stop(&link->prepare);
  uv_idle_stop(&link->idle);
  link->events->broken(why, link->arg);
}

/* --- Out ----------------------------------------------------------------------------------------------------------------- */

/* One sendmsg: up to the next descriptor's byte, which begins a message of its own. */
static ssize_t link_write_some(struct link *link)
{
  size_t left = link->out.len - link->out_from;
  char control[CMSG_SPACE(sizeof(int))] = {0};
  struct iovec piece = {link->out.at + link->out_from, left};
  struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
  const struct outgoing_fd *next = link->n_fds_out > 0 ? &link->fds_out[0] : NULL;

  if (next != NULL && next->at > link->sent && next->at - link->sent < piece.iov_len)
    piece.iov_len = (size_t)(next->at - link->sent);
  if (next != NULL && next->at == link->sent) {
    struct cmsghdr *head;

    if (link->n_fds_out > 1 && link->fds_out[1].at - link->sent < piece.iov_len)
      piece.iov_len = (size_t)(link->fds_out[1].at - link->sent);
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(head), &next->fd, sizeof(int));
  }
  return sendmsg(link->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void link_wrote(struct link *link, size_t n)
{
  if (link->n_fds_out > 0 && link->fds_out[0].at == link->sent) {
    close(link->fds_out[0].fd);
    memmove(link->fds_out, link->fds_out + 1, --link->n_fds_out * sizeof *link->fds_out);
  }
  link->sent += n;
  link->out_from += n;
  if (link->out_from == link->out.len) {
    link->out_from = 0;
    if (link->out.room > LINK_READ_BYTES)
      buf_done(&link->out);
    else
      buf_clear(&link->out);
  }
}

static void link_poll_for(struct link *link, int events)
{
  if (link->broken || link->closing || link->polled == events)
    return;
  uv_poll_start(&link->poll, events, link_on_poll);
  link->polled = events;
}

void link_flush(struct link *link)
{
  if (link->broken || link->closing)
    return;
  uv_prepare_stop(&link->prepare);
  while (link->out.len > link->out_from) {
    ssize_t n = link_write_some(link);

    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      link_poll_for(link, UV_READABLE | UV_WRITABLE);
      return;
    }
    if (n < 0)
      break; /* the end is read in its turn, behind what came before it */
    link_wrote(link, (size_t)n);
  }
  link_poll_for(link, UV_READABLE);
}

static void link_on_prepare(uv_prepare_t *prepare)
{
  link_flush(prepare->data);
}

static void link_compact(struct link *link)
{
  if (link->out_from > link->out.len / 2) {
    buf_drop(&link->out, link->out_from);
    link->out_from = 0;
  }
}

static void frame_head_set(char *at, uint32_t len, uint16_t type, uint64_t id)
{
  len = htole32(len);
  type = htole16(type);
  id = htole64(id);
  memcpy(at, &len, sizeof len);
  memcpy(at + 4, &type, sizeof type);
  memcpy(at + 8, &id, sizeof id);
}

/* Where the bytes of this frame may end, within what may wait at all. */
static size_t link_room_end(const struct link *link, size_t head_at)
{
  size_t end = head_at + FRAME_HEAD_BYTES + link->out_max;

  return end < LINK_WAITING_MAX ? end : LINK_WAITING_MAX;
}

/* BUSY: there is no room for it behind what waits; INVALID: larger than out_max. Nothing of it is left then. */
static parley_status link_put(struct link *link, uint16_t type, uint64_t id, const struct abi_struct *shape, const void *from)
{
  size_t head_at;
  parley_status st;

  link_compact(link);
  head_at = link->out.len;
  link->out.max = link_room_end(link, head_at);
  buf_add(&link->out, (char[FRAME_HEAD_BYTES]){0}, FRAME_HEAD_BYTES);
  if (shape != NULL)
    wire_put(&link->out, shape, from);
  st = !link->out.overflow ? PARLEY_OK : link->out.max < LINK_WAITING_MAX ? PARLEY_INVALID : PARLEY_BUSY;
  if (st != PARLEY_OK) {
    link->out.len = head_at;
    link->out.overflow = false;
    return st;
  }
  frame_head_set(link->out.at + head_at, (uint32_t)(link->out.len - head_at - FRAME_HEAD_BYTES), type, id);
  uv_prepare_start(&link->prepare, link_on_prepare);
  return PARLEY_OK;
}

bool link_send(struct link *link, uint16_t type, uint64_t id, const struct abi_struct *shape, const void *from)
{
  parley_status st = link->broken || link->closing ? PARLEY_OK : link_put(link, type, id, shape, from);

  if (st == PARLEY_BUSY)
    link_break(link, "the other end does not read");
  return st != PARLEY_INVALID;
}

bool link_try(struct link *link, uint16_t type, uint64_t id, const struct abi_struct *shape, const void *from)
{
  return link->broken || link->closing || link_put(link, type, id, shape, from) == PARLEY_OK;
}

void link_send_fd(struct link *link, uint16_t type, uint64_t id, const struct abi_struct *shape, const void *from, int fd)
{
  if (link->n_fds_out == LINK_FDS_OUT_MAX)
    link_flush(link);
  if (link->broken || link->closing || link->n_fds_out == LINK_FDS_OUT_MAX) {
    close(fd);
    if (!link->closing)
      link_break(link, "the other end does not read");
    return;
  }
  if (link->fds_out == NULL)
    link->fds_out = xcalloc(LINK_FDS_OUT_MAX, sizeof *link->fds_out);
  link->fds_out[link->n_fds_out++] = (struct outgoing_fd){link->sent + link_waiting(link), fd};
  link_send(link, type, id, shape, from);
}

size_t link_waiting(const struct link *link)
{
  return link->out.len - link->out_from;
}

/* --- In ------------------------------------------------------------------------------------------------------------------ */

static void link_keep_fds(struct link *link, struct msghdr *message)
{
  for (struct cmsghdr *head = CMSG_FIRSTHDR(message); head != NULL; head = CMSG_NXTHDR(message, head)) {
    size_t n = head->cmsg_type == SCM_RIGHTS ? (head->cmsg_len - CMSG_LEN(0)) / sizeof(int) : 0;

    for (size_t i = 0; i < n; i++) {
      int fd;

      memcpy(&fd, CMSG_DATA(head) + i * sizeof fd, sizeof fd);
      if (link->n_fds_in < LINK_FDS_MAX)
        link->fds_in[link->n_fds_in++] = fd;
      else
        close(fd);
    }
  }
}

static ssize_t link_read_some(struct link *link, char *to, size_t room)
{
  char control[CMSG_SPACE(sizeof(int) * LINK_FDS_MAX)];
  struct iovec piece = {to, room};
  struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
  ssize_t n;

  if (link->takes_fds) {
    message.msg_control = control;
    message.msg_controllen = sizeof control;
  }
  n = recvmsg(link->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (n > 0 && link->takes_fds)
    link_keep_fds(link, &message);
  return n;
}

/* Of this thread: what the machine does meanwhile is not the other end's fault. */
static uint64_t cpu_ns(void)
{
  struct timespec now;

  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* The turn is counted from the first look on, so that one of a few small frames looks at no clock at all: that is a system call. */
static bool link_turn_over(struct link *link)
{
  uint64_t now = cpu_ns();

  if (link->turn_ns == 0)
    link->turn_ns = now + LINK_TURN_NS;
  return now >= link->turn_ns;
}

/* Hands over each whole frame at `at`; returns how many bytes were used, or SIZE_MAX when the link is no more. With link->more, whole
 * frames are left. */
static size_t link_take_frames(struct link *link, const char *at, size_t len)
{
  size_t used = 0;

  for (unsigned n = 1; len - used >= FRAME_HEAD_BYTES; n++) {
    struct frame frame;
    uint32_t body;

    memcpy(&body, at + used, sizeof body);
    memcpy(&frame.type, at + used + 4, sizeof frame.type);
    memcpy(&frame.id, at + used + 8, sizeof frame.id);
    body = le32toh(body);
    if (body > link->in_max) {
      link_break(link, "a frame is too large");
      return SIZE_MAX;
    }
    if (len - used - FRAME_HEAD_BYTES < body)
      break;
    if ((n % LINK_TURN_FRAMES == 0 || body > LINK_SMALL_BYTES) && link_turn_over(link)) {
      link->more = true;
      break;
    }
    frame.type = le16toh(frame.type);
    frame.id = le64toh(frame.id);
    frame.body = (parley_bytes){at + used + FRAME_HEAD_BYTES, body};
    link->events->frame(&frame, link->arg);
    if (link->closing || link->broken)
      return SIZE_MAX;
    used += FRAME_HEAD_BYTES + body;
  }
  return used;
}

/* false: nothing more is to be read now. */
static bool link_got(struct link *link, const char *bytes, size_t len)
{
  size_t used;

  if (link->in.len == 0) {
    used = link_take_frames(link, bytes, len);
    if (used == SIZE_MAX)
      return false;
    buf_add(&link->in, bytes + used, len - used);
    return !link->more;
  }
  buf_add(&link->in, bytes, len);
  used = link_take_frames(link, link->in.at, link->in.len);
  if (used == SIZE_MAX)
    return false;
  buf_drop(&link->in, used);
  if (link->in.len == 0)
    buf_done(&link->in);
  return !link->more;
}

static void link_read_turn(struct link *link)
{
  char slab[LINK_READ_BYTES];

  link->turn_ns = 0;
  if (link->more) {
    link->more = false;
    if (!link_got(link, "", 0)) /* what is left of the turn before */
      return;
  }
  for (int i = 0; i < LINK_READS_MAX && !link->broken && !link->closing; i++) {
    ssize_t n = link_read_some(link, slab, sizeof slab);

    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
      return;
    if (n <= 0) {
      link_break(link, link_end_gone);
      return;
    }
    link->read += (size_t)n;
    if (!link_got(link, slab, (size_t)n) || (size_t)n < sizeof slab)
      return;
  }
}

static void link_on_idle(uv_idle_t *idle);

static void link_read(struct link *link)
{
  link_read_turn(link);
  if (link->broken || link->closing)
    return;
  if (link->more)
    uv_idle_start(&link->idle, link_on_idle);
  else
    uv_idle_stop(&link->idle);
}

static void link_gone(struct link *link);

static void link_on_idle(uv_idle_t *idle)
{
  struct link *link = idle->data;

  link->handles++; /* the handler may close the link */
  link_read(link);
  link_gone(link);
}

void link_drain(struct link *link)
{
  uint64_t before = UINT64_MAX;

  link->handles++; /* the handler may close the link */
  for (int i = 0; i < LINK_DRAINS_MAX && !link->broken && !link->closing && (link->more || link->read != before); i++) {
    before = link->read;
    link_read(link);
  }
  link_gone(link);
}

static void link_gone(struct link *link)
{
  if (--link->handles > 0)
    return;
  buf_done(&link->in);
  buf_done(&link->out);
  free(link->fds_out);
  free(link);
}

static void link_on_closed(uv_handle_t *handle)
{
  link_gone(handle->data);
}

static void link_on_poll(uv_poll_t *poll, int status, int events)
{
  struct link *link = poll->data;

  link->handles++; /* the handler may close the link */
  if (events & UV_WRITABLE)
    link_flush(link);
  if (!link->more && (status < 0 || (events & (UV_READABLE | UV_DISCONNECT)) != 0))
    link_read(link);
  link_gone(link);
}

/* --- Life ---------------------------------------------------------------------------------------------------------------- */

struct link *link_new(uv_loop_t *loop, int fd, uint32_t in_max, uint32_t out_max, bool takes_fds, const struct link_events *events,
                      void *arg)
{
  struct link *link = xcalloc(1, sizeof *link);

  link->events = events;
  link->arg = arg;
  link->fd = fd;
  link->in_max = in_max;
  link->out_max = out_max;
  link->takes_fds = takes_fds;
  link->in = BUF_INIT((size_t)FRAME_BYTES_MAX + FRAME_HEAD_BYTES + LINK_READ_BYTES);
  link->out = BUF_INIT(LINK_WAITING_MAX);
  uv_poll_init(loop, &link->poll, fd);
  uv_prepare_init(loop, &link->prepare);
  uv_idle_init(loop, &link->idle);
  link->poll.data = link->prepare.data = link->idle.data = link;
  link->handles = 3;
  link_poll_for(link, UV_READABLE);
  return link;
}

int link_take_fd(struct link *link)
{
  int fd;

  if (link->n_fds_in == 0)
    return -1;
  fd = link->fds_in[0];
  memmove(link->fds_in, link->fds_in + 1, --link->n_fds_in * sizeof *link->fds_in);
  return fd;
}

void link_close(struct link **link)
{
  struct link *gone = *link;

  *link = NULL;
  if (gone == NULL)
    return;
  gone->closing = true;
  for (size_t i = 0; i < gone->n_fds_out; i++)
    close(gone->fds_out[i].fd);
  for (size_t i = 0; i < gone->n_fds_in; i++)
    close(gone->fds_in[i]);
  uv_poll_stop(&gone->poll);
  close(gone->fd);
  uv_close((uv_handle_t *)&gone->poll, link_on_closed);
  uv_close((uv_handle_t *)&gone->prepare, link_on_closed);
  uv_close((uv_handle_t *)&gone->idle, link_on_closed);
}
