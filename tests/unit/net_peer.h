/* net_peer.h - the other side for tests of core/net: plain sockets on loopback, driven together with the loop under
 * test, and the way every such test ends. Nothing sleeps: it waits for bytes, and PEER_WAIT_MS is only a bound for what
 * never comes. */
#ifndef TESTS_UNIT_NET_PEER_H
#define TESTS_UNIT_NET_PEER_H
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#define PEER_WAIT_MS 40000 /* a deadline, not a measure: sanitizers on a busy machine are slow */

static inline int peer_connect(uint16_t port)
{
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

  ck_assert_int_ge(fd, 0);
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  ck_assert_int_eq(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
  fcntl(fd, F_SETFL, O_NONBLOCK);
  return fd;
}

/* A listener of the test's own; *ret_port is where. */
static inline int peer_listen(uint16_t *ret_port)
{
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof(at);
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

  ck_assert_int_ge(fd, 0);
  ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
  ck_assert_int_eq(listen(fd, 64), 0);
  ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&at, &len), 0);
  *ret_port = ntohs(at.sin_port);
  return fd;
}

/* Turns the loop, waiting at most `ms` for something to happen on it or on fd (-1: none). */
static inline void peer_turn(uv_loop_t *loop, int fd, short events, int ms)
{
  struct pollfd fds[2] = {{.fd = uv_backend_fd(loop), .events = POLLIN}, {.fd = fd, .events = events}};
  int wait_ms;

  uv_run(loop, UV_RUN_NOWAIT);
  wait_ms = uv_backend_timeout(loop);
  if (wait_ms < 0 || wait_ms > ms)
    wait_ms = ms;
  poll(fds, 2, wait_ms);
  uv_run(loop, UV_RUN_NOWAIT);
}

static inline uint64_t peer_deadline(void)
{
  return uv_hrtime() / 1000000 + PEER_WAIT_MS;
}
static inline bool peer_late(uint64_t deadline)
{
  return uv_hrtime() / 1000000 > deadline;
}

/* Turns the loop until *flag is set. */
static inline void peer_until(uv_loop_t *loop, const bool *flag)
{
  uint64_t deadline = peer_deadline();

  while (!*(const volatile bool *)flag && !peer_late(deadline))
    peer_turn(loop, -1, 0, 20);
  ck_assert_msg(*flag, "what was waited for did not come");
}

/* Turns the loop while nothing is expected to happen. */
static inline void peer_settle(uv_loop_t *loop)
{
  for (int i = 0; i < 5; i++)
    peer_turn(loop, -1, 0, 2);
}

static inline void peer_send(uv_loop_t *loop, int fd, const char *bytes, size_t len)
{
  uint64_t deadline = peer_deadline();

  while (len > 0 && !peer_late(deadline)) {
    ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);

    if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
      return; /* refused before all was sent: the answer tells */
    if (n > 0) {
      bytes += n;
      len -= (size_t)n;
    }
    peer_turn(loop, len > 0 ? fd : -1, POLLOUT, len > 0 ? 20 : 0);
  }
  ck_assert_uint_eq(len, 0);
}
static inline void peer_say(uv_loop_t *loop, int fd, const char *text)
{
  peer_send(loop, fd, text, strlen(text));
}

/* Reads until `until` stands in what came (NULL: until the end), at most room - 1 bytes; NUL-terminated. Returns how
 * many. *ret_end, when given: the peer has closed. */
static inline size_t peer_read(uv_loop_t *loop, int fd, char *to, size_t room, const char *until, bool *ret_end)
{
  uint64_t deadline = peer_deadline();
  size_t len = 0;

  to[0] = '\0';
  if (ret_end != NULL)
    *ret_end = false;
  while (!peer_late(deadline) && len + 1 < room) {
    ssize_t n = recv(fd, to + len, room - 1 - len, 0);

    if (n > 0) {
      len += (size_t)n;
      to[len] = '\0';
    }
    if (until != NULL && strstr(to, until) != NULL)
      return len;
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
      if (ret_end != NULL)
        *ret_end = true;
      return len;
    }
    if (n < 0)
      peer_turn(loop, fd, POLLIN, 20);
  }
  return len;
}

static inline int peer_accept(uv_loop_t *loop, int listener)
{
  uint64_t deadline = peer_deadline();
  int fd = -1;

  while (fd < 0 && !peer_late(deadline)) {
    peer_turn(loop, listener, POLLIN, 20);
    fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
  }
  ck_assert_int_ge(fd, 0);
  return fd;
}

static inline void peer_flag(void *flag) /* a closed() callback */
{
  *(bool *)flag = true;
}

/* Every test ends like the program does. */
static inline void peer_loop_end(uv_loop_t *loop)
{
  ck_assert_int_eq(uv_run(loop, UV_RUN_DEFAULT), 0);
  ck_assert_int_eq(uv_loop_close(loop), 0);
}

static inline int peer_main(Suite *suite)
{
  SRunner *runner = srunner_create(suite);
  int failed;

  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed > 0;
}
#endif
