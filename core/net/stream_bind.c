/* Listening sockets for somebody, and their way from one owner to its heir. A seat is such a socket with its address;
 * owners share it, and whoever is the last to let go closes it and removes its file. */
#include "core/base/alloc.h"
#include "core/base/text.h"
#include "stream_in.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define UNIX_SCHEME "unix:"
#define UNIX_SCHEME_LEN (sizeof(UNIX_SCHEME) - 1)

struct stream_seat {
  unsigned refs;
  unsigned binds;  /* those of the refs that listen, and not merely inherit */
  int64_t left_ms; /* when the last of them went */
  int fd;          /* kept; those who accept have duplicates */
  bool is_unix;
  char address[STREAM_ADDRESS_MAX]; /* as it was asked for */
  char bound_at[STREAM_ADDRESS_MAX];
};

struct stream_bind {
  enum stream_kind kind;
  struct streams *owner;
  uint64_t id;
  struct list node;
  struct stream_due due;
  struct stream_seat *seat; /* NULL: it failed, or was cancelled */
  stream_socket_done *done;
  void *arg;
  bool answered;
  parley_status status;
  char why[STREAM_ADDRESS_MAX + 160];
};

struct heirloom { /* of an estate: an older one's seat that nobody has asked for yet */
  struct list node;
  struct stream_seat *seat;
  int64_t since_ms;
};

/* --- Seats ----------------------------------------------------------------------------------- */
static struct stream_seat *seat_ref(struct stream_seat *seat)
{
  seat->refs++;
  return seat;
}

static void seat_unref(struct stream_seat **ret_seat)
{
  struct stream_seat *seat = *ret_seat;

  *ret_seat = NULL;
  if (seat == NULL || --seat->refs > 0)
    return;
  close(seat->fd);
  if (seat->is_unix)
    unlink(seat->address + UNIX_SCHEME_LEN);
  free(seat);
}

/* A socket file that nobody listens on any more, of a daemon that was killed, may go. */
static void unix_remove_stale(const struct sockaddr_un *at)
{
  struct stat about;
  int fd;

  if (lstat(at->sun_path, &about) != 0 || !S_ISSOCK(about.st_mode))
    return;
  fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd >= 0 && connect(fd, (const struct sockaddr *)at, sizeof(*at)) != 0 && errno == ECONNREFUSED)
    unlink(at->sun_path);
  if (fd >= 0)
    close(fd);
}

/* 0: *ret_fd listens at the address; else errno. */
static int socket_listen(const struct sockaddr *at, socklen_t len, uint32_t backlog, int *ret_fd)
{
  int fd = socket(at->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1, err = 0;

  if (fd < 0)
    return errno;
  if (at->sa_family != AF_UNIX)
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (bind(fd, at, len) != 0 || listen(fd, (int)backlog) != 0)
    err = errno;
  if (err != 0)
    close(fd);
  else
    *ret_fd = fd;
  return err;
}

static int unix_open(const char *path, uint32_t backlog, int *ret_fd)
{
  struct sockaddr_un at = {.sun_family = AF_UNIX};

  if (strlen(path) >= sizeof(at.sun_path))
    return ENAMETOOLONG;
  if (path[0] != '/')
    return EINVAL;
  memcpy(at.sun_path, path, strlen(path) + 1);
  unix_remove_stale(&at);
  return socket_listen((struct sockaddr *)&at, sizeof(at), backlog, ret_fd);
}

static void bound_at_fill(struct stream_seat *seat)
{
  struct sockaddr_storage at;
  struct net_address address;
  socklen_t len = sizeof(at);
  char text[NET_ADDRESS_TEXT_MAX];

  snprintf(seat->bound_at, sizeof(seat->bound_at), "%s", seat->address);
  if (seat->is_unix || getsockname(seat->fd, (struct sockaddr *)&at, &len) != 0)
    return;
  if (net_address_of((struct sockaddr *)&at, &address)) {
    net_address_format(&address, true, text);
    snprintf(seat->bound_at, sizeof(seat->bound_at), "%s", text);
  }
}

/* 0, or errno. address: one spelling for each, as address_take leaves it. */
static int seat_new(const char *address, uint32_t backlog, struct stream_seat **ret)
{
  struct stream_seat *seat = xcalloc(1, sizeof(*seat));
  struct net_address at;
  int err = EINVAL;

  seat->refs = 1;
  seat->is_unix = text_starts(parley_text_of(address), UNIX_SCHEME);
  snprintf(seat->address, sizeof(seat->address), "%s", address);
  if (seat->is_unix)
    err = unix_open(address + UNIX_SCHEME_LEN, backlog, &seat->fd);
  else if (net_address_port_parse(parley_text_of(address), &at))
    err = socket_listen(&at.any, net_address_size(&at), backlog, &seat->fd);
  if (err != 0) {
    free(seat);
    return err;
  }
  bound_at_fill(seat);
  *ret = seat;
  return 0;
}

static void bind_sit(struct stream_bind *bind, struct stream_seat *seat)
{
  bind->seat = seat;
  seat->binds++;
}

static void bind_rise(struct stream_bind *bind)
{
  if (bind->seat != NULL && --bind->seat->binds == 0)
    bind->seat->left_ms = streams_now(bind->owner);
  seat_unref(&bind->seat);
}

/* --- What was inherited ---------------------------------------------------------------------- */
static void heirloom_free(struct heirloom *heirloom)
{
  list_remove(&heirloom->node);
  seat_unref(&heirloom->seat);
  free(heirloom);
}

static struct stream_seat *estate_claim(struct streams *owner, const char *address)
{
  for (struct list *node = owner->estate.next; node != &owner->estate; node = node->next) {
    struct heirloom *heirloom = LIST_ITEM(node, struct heirloom, node);
    struct stream_seat *seat = heirloom->seat;

    if (strcmp(seat->address, address) != 0 && strcmp(seat->bound_at, address) != 0)
      continue;
    seat_ref(seat);
    heirloom_free(heirloom);
    return seat;
  }
  return NULL;
}

static void estate_add(struct streams *heir, struct stream_seat *seat)
{
  struct heirloom *heirloom;

  for (struct list *node = heir->estate.next; node != &heir->estate; node = node->next) {
    heirloom = LIST_ITEM(node, struct heirloom, node);
    if (heirloom->seat == seat) {
      heirloom->since_ms = streams_now(heir);
      return;
    }
  }
  heirloom = xcalloc(1, sizeof(*heirloom));
  heirloom->seat = seat_ref(seat);
  heirloom->since_ms = streams_now(heir);
  list_push(&heir->estate, &heirloom->node);
  streams_tick(heir);
}

void streams_inherit(struct streams *heir, struct streams *older)
{
  for (struct list *node = older->binds.next; node != &older->binds; node = node->next) {
    struct stream_bind *bind = LIST_ITEM(node, struct stream_bind, node);

    if (bind->seat != NULL)
      estate_add(heir, bind->seat);
  }
  for (struct list *node = older->estate.next; node != &older->estate && heir != older; node = node->next)
    estate_add(heir, LIST_ITEM(node, struct heirloom, node)->seat);
}

static bool heirloom_is_stale(const struct heirloom *heirloom, int64_t now_ms)
{
  const struct stream_seat *seat = heirloom->seat;
  int64_t since_ms = seat->left_ms > heirloom->since_ms ? seat->left_ms : heirloom->since_ms;

  return seat->binds == 0 && now_ms - since_ms >= STREAM_HEIR_MS;
}

void streams_estate_on_tick(struct streams *owner, int64_t now_ms)
{
  for (struct list *node = owner->estate.next, *next; node != &owner->estate; node = next) {
    next = node->next;
    if (heirloom_is_stale(LIST_ITEM(node, struct heirloom, node), now_ms))
      heirloom_free(LIST_ITEM(node, struct heirloom, node));
  }
}

void streams_estate_end(struct streams *owner)
{
  while (!list_empty(&owner->estate))
    heirloom_free(LIST_ITEM(owner->estate.next, struct heirloom, node));
}

/* --- Binding --------------------------------------------------------------------------------- */
static parley_status errno_status(int err)
{
  switch (err) {
  case EADDRINUSE:
  case EMFILE:
  case ENFILE:
  case ENOBUFS:
  case ENOMEM:
    return PARLEY_BUSY;
  case EACCES:
  case EPERM:
    return PARLEY_DENIED;
  default:
    return PARLEY_INVALID;
  }
}

static parley_status bind_fail(struct stream_bind *bind, const char *address, int err)
{
  snprintf(bind->why, sizeof(bind->why), "%s: %s", address,
           err == EINVAL ? "neither address:port nor unix:/path" : uv_strerror(-err));
  return errno_status(err);
}

/* One spelling for each address, so that an heir finds it. */
static bool address_take(parley_text address, char to[STREAM_ADDRESS_MAX])
{
  struct net_address at;
  char text[NET_ADDRESS_TEXT_MAX];

  if (address.len == 0 || address.len >= STREAM_ADDRESS_MAX || memchr(address.at, '\0', address.len) != NULL)
    return false;
  memcpy(to, address.at, address.len);
  to[address.len] = '\0';
  if (!text_starts(address, UNIX_SCHEME) && net_address_port_parse(address, &at)) {
    net_address_format(&at, true, text);
    snprintf(to, STREAM_ADDRESS_MAX, "%s", text);
  }
  return true;
}

static parley_status bind_open(struct stream_bind *bind, parley_text asked, uint32_t backlog)
{
  char address[STREAM_ADDRESS_MAX];
  struct stream_seat *seat;
  int err = 0;

  if (bind->owner->n_binds > STREAM_BINDS_MAX) {
    snprintf(bind->why, sizeof(bind->why), "busy: more than %d listening sockets", STREAM_BINDS_MAX);
    return PARLEY_BUSY;
  }
  if (!address_take(asked, address)) {
    snprintf(bind->why, sizeof(bind->why), "address_invalid: empty, or longer than %d bytes", STREAM_ADDRESS_MAX - 1);
    return PARLEY_INVALID;
  }
  seat = estate_claim(bind->owner, address);
  if (seat != NULL)
    listen(seat->fd, (int)backlog); /* listens already: a backlog may change */
  else
    err = seat_new(address, backlog, &seat);
  if (err != 0)
    return bind_fail(bind, address, err);
  bind_sit(bind, seat);
  return PARLEY_OK;
}

static void bind_free(struct stream_bind *bind)
{
  struct streams *owner = bind->owner;

  list_remove(&bind->node);
  list_remove(&bind->due.node);
  map_take(&owner->by_id, bind->id);
  bind_rise(bind);
  free(bind);
  owner->n_binds--;
  streams_free_maybe(owner);
}

static void bind_on_due(struct stream_due *due)
{
  struct stream_bind *bind = LIST_ITEM(due, struct stream_bind, due);
  struct stream_socket socket = {.fd = -1};
  char address[STREAM_ADDRESS_MAX];

  bind->answered = true;
  if (bind->status == PARLEY_OK) {
    socket.fd = fcntl(bind->seat->fd, F_DUPFD_CLOEXEC, 0);
    if (socket.fd < 0)
      bind->status = bind_fail(bind, bind->seat->address, errno);
  }
  socket.status = bind->status;
  if (bind->status == PARLEY_OK) {
    memcpy(address, bind->seat->bound_at, sizeof(address)); /* within done() the bind may be cancelled */
    socket.address = parley_text_of(address);
    bind->done(&socket, bind->arg);
    return;
  }
  list_remove(&bind->node); /* within done() it is gone already */
  map_take(&bind->owner->by_id, bind->id);
  socket.reason = parley_text_of(bind->why);
  bind->done(&socket, bind->arg);
  bind_free(bind);
}

uint64_t stream_bind(struct streams *owner, parley_text address, uint32_t backlog, stream_socket_done *done, void *arg)
{
  struct stream_bind *bind = xcalloc(1, sizeof(*bind));

  bind->kind = STREAM_KIND_BIND;
  bind->owner = owner;
  bind->id = ++owner->last_id;
  bind->done = done;
  bind->arg = arg;
  list_push(&owner->binds, &bind->node);
  map_put(&owner->by_id, bind->id, bind);
  owner->n_binds++;
  if (backlog == 0 || backlog > STREAM_BACKLOG_MAX)
    backlog = backlog == 0 ? STREAM_BACKLOG : STREAM_BACKLOG_MAX;
  bind->status = bind_open(bind, address, backlog);
  stream_due_add(owner, &bind->due, bind_on_due);
  return bind->id;
}

/* --- The end --------------------------------------------------------------------------------- */
void stream_bind_cancel(struct stream_bind *bind)
{
  if (bind->answered) {
    bind_free(bind);
    return;
  }
  list_remove(&bind->node);
  map_take(&bind->owner->by_id, bind->id);
  bind_rise(bind);
  if (bind->status == PARLEY_OK)
    snprintf(bind->why, sizeof(bind->why), "cancelled");
  bind->status = bind->status == PARLEY_OK ? PARLEY_CANCELLED : bind->status;
}

void streams_bind_cancel_all(struct streams *owner)
{
  while (!list_empty(&owner->binds))
    stream_bind_cancel(LIST_ITEM(owner->binds.next, struct stream_bind, node));
}
