/* libcurl's sockets and clock on the loop, and the egress guard on every address it connects to. */
#include "core/base/alloc.h"
#include "core/base/env.h"
#include "http_client_in.h"
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void poll_on_closed(uv_handle_t *handle)
{
  struct client_poll *poll = container_of((uv_poll_t *)handle, struct client_poll, poll);
  struct http_client *client = poll->client;

  free(poll);
  client->handles--;
  client_free_maybe(client);
}

void client_poll_close(struct client_poll *poll)
{
  poll->client->polls[poll->fd] = NULL;
  uv_close((uv_handle_t *)&poll->poll, poll_on_closed); /* off epoll at once: the socket may be closed next */
}

static void poll_on_ready(uv_poll_t *handle, int status, int events)
{
  struct client_poll *poll = container_of(handle, struct client_poll, poll);
  struct http_client *client = poll->client;
  int mask = (events & UV_READABLE ? CURL_CSELECT_IN : 0) | (events & UV_WRITABLE ? CURL_CSELECT_OUT : 0), running;

  if (poll->want == 0) { /* an idle connection that the peer closed: libcurl sees it before it uses it again */
    uv_poll_stop(handle);
    poll->armed = 0;
    return;
  }
  curl_multi_socket_action(client->multi, poll->fd, status < 0 ? CURL_CSELECT_ERR : mask, &running);
  client_check(client);
}

static struct client_poll *poll_new(struct http_client *client, int fd, bool ours)
{
  struct client_poll *poll = xcalloc(1, sizeof(*poll));

  poll->client = client;
  poll->fd = fd;
  poll->ours = ours;
  if (uv_poll_init(client->loop, &poll->poll, fd) != 0) {
    free(poll);
    return NULL;
  }
  if ((size_t)fd >= client->n_polls) {
    size_t room = ((size_t)fd + 1) * 2;

    client->polls = xrealloc(client->polls, room * sizeof(*client->polls));
    memset(client->polls + client->n_polls, 0, (room - client->n_polls) * sizeof(*client->polls));
    client->n_polls = room;
  }
  client->polls[fd] = poll;
  client->handles++;
  return poll;
}

static struct client_poll *poll_find(struct http_client *client, int fd)
{
  return (size_t)fd < client->n_polls ? client->polls[fd] : NULL;
}

/* What is armed stays armed for reading when a request ends: the next one on this connection then costs no epoll_ctl.
 */
static void poll_let_go(struct client_poll *poll)
{
  poll->want = 0;
  if (!poll->ours) {
    client_poll_close(poll);
  } else if (poll->armed & UV_WRITABLE) {
    uv_poll_stop(&poll->poll);
    poll->armed = 0;
  }
}

static int client_on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socketp)
{
  struct http_client *client = arg;
  struct client_poll *poll = poll_find(client, fd);

  (void)easy;
  (void)socketp;
  if (what == CURL_POLL_REMOVE) {
    if (poll != NULL)
      poll_let_go(poll);
    return 0;
  }
  if (poll == NULL)
    poll = poll_new(client, fd, false);
  if (poll == NULL)
    return -1;
  poll->want = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
  if (poll->want != poll->armed && uv_poll_start(&poll->poll, poll->want, poll_on_ready) == 0)
    poll->armed = poll->want;
  return 0;
}

void client_kick(struct http_client *client)
{
  int running;

  client->kick = false;
  curl_multi_socket_action(client->multi, CURL_SOCKET_TIMEOUT, 0, &running);
  client_check(client);
}

static void client_on_timer(uv_timer_t *timer)
{
  client_kick(container_of(timer, struct http_client, timer));
}

static int client_on_timeout(CURLM *multi, long timeout_ms, void *arg)
{
  struct http_client *client = arg;

  (void)multi;
  uv_timer_stop(&client->timer);
  client->kick = timeout_ms == 0;
  if (timeout_ms < 0 || client->closing)
    return 0;
  if (timeout_ms == 0) /* "now": a timer of 0 that is set from its own callback would starve the loop's sockets */
    client_soon(client);
  else
    uv_timer_start(&client->timer, client_on_timer, (uint64_t)timeout_ms, 0);
  return 0;
}

/* The guard: whatever was resolved, pinned or redirected, only an allowed address gets a socket. */
static curl_socket_t client_socket_open(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
  struct transfer *transfer = arg;
  struct http_client *client = transfer->client;
  int fd;

  (void)purpose;
  if (!egress_address_allowed(client->egress, &address->addr)) {
    transfer->denied = true;
    return CURL_SOCKET_BAD;
  }
  fd = socket(address->family, address->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, address->protocol);
  if (fd < 0)
    return CURL_SOCKET_BAD;
  if (poll_new(client, fd, true) == NULL) {
    close(fd);
    return CURL_SOCKET_BAD;
  }
  client->counters.connections_opened++;
  client->counters.connections_open++;
  return fd;
}

static int client_socket_close(void *arg, curl_socket_t fd)
{
  struct http_client *client = arg;
  struct client_poll *poll = poll_find(client, fd);

  if (poll != NULL)
    client_poll_close(poll);
  client->counters.connections_open--;
  return close(fd);
}

/* libcurl sends a request again when a kept connection turns out to be closed. Whether the peer acted on the first one
 * nobody knows: only what may be repeated is; the rest ends as CLOSED and sent. */
static int client_before_send(void *arg, char *ip, char *local_ip, int port, int local_port)
{
  struct transfer *transfer = arg;

  (void)ip;
  (void)local_ip;
  (void)port;
  (void)local_port;
  transfer_pin_loaded(transfer);
  if (transfer->n_sends++ > 0 && !transfer->repeatable) {
    transfer->replayed = true;
    return CURL_PREREQFUNC_ABORT;
  }
  return CURL_PREREQFUNC_OK;
}

void client_easy_sockets(struct http_client *client, struct transfer *transfer)
{
  CURL *easy = transfer->easy;

  curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, client_socket_open);
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, transfer);
  curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, client_socket_close);
  curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, client); /* connections outlive transfers */
  curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, client_before_send);
  curl_easy_setopt(easy, CURLOPT_PREREQDATA, transfer);
}

parley_status client_multi_new(struct http_client *client)
{
  client->multi = curl_multi_init();
  if (client->multi == NULL)
    return PARLEY_FAILED;
  curl_multi_setopt(client->multi, CURLMOPT_SOCKETFUNCTION, client_on_socket);
  curl_multi_setopt(client->multi, CURLMOPT_SOCKETDATA, client);
  curl_multi_setopt(client->multi, CURLMOPT_TIMERFUNCTION, client_on_timeout);
  curl_multi_setopt(client->multi, CURLMOPT_TIMERDATA, client);
  curl_multi_setopt(client->multi, CURLMOPT_MAXCONNECTS, (long)client->conf.connections_max);
  return PARLEY_OK;
}

void client_check(struct http_client *client)
{
  CURLMsg *msg;
  int left;

  while ((msg = curl_multi_info_read(client->multi, &left)) != NULL) {
    struct transfer *transfer = NULL;
    CURLcode result = msg->data.result;

    if (msg->msg != CURLMSG_DONE)
      continue;
    curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &transfer);
    transfer_reply_fill(transfer, result);
    curl_multi_remove_handle(client->multi, transfer->easy);
    transfer_finish(transfer);
  }
  client_tell(client);
}
