/* net_names.h - a name server of a few lines for tests: A and AAAA for good.example, and two TXT, the first of two
 * strings; the A 10.0.0.1 for inside.example, nothing at all for silent.example, NXDOMAIN for the rest. */
#ifndef TESTS_UNIT_NET_NAMES_H
#define TESTS_UNIT_NET_NAMES_H
#include "net_peer.h"
#include <stdio.h>

struct net_names {
  uv_poll_t poll;
  int fd, n_asked;
  char servers[32]; /* for dns_new() */
};

/* The first question's name; returns where the question ends. */
static inline size_t net_names_question(const unsigned char *packet, size_t len, char *to)
{
  size_t at = 12, n = 0;

  while (at < len && packet[at] != 0) {
    memcpy(to + n, packet + at + 1, packet[at]);
    n += packet[at];
    to[n++] = '.';
    at += 1u + packet[at];
  }
  to[n > 0 ? n - 1 : 0] = '\0';
  return at + 1 + 4;
}

/* Writes the answer behind the question of `len` bytes; returns the new length. */
static inline size_t net_names_answer(unsigned char *packet, size_t len, const char *name)
{
  static const unsigned char a[] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 7};
  static const unsigned char inside[] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 10, 0, 0, 1};
  static const unsigned char aaaa[] = {0xc0, 12,   0, 28, 0, 1, 0, 0, 0, 30, 0, 16, 0x20, 1,
                                       0xd,  0xb8, 0, 0,  0, 0, 0, 0, 0, 0,  0, 0,  0,    9};
  static const unsigned char texts[] = {0xc0, 12, 0, 16, 0, 1, 0, 0, 0, 60, 0, 8, 4, 'v', '=', 's', 'p', 2, 'f', '1',
                                        0xc0, 12, 0, 16, 0, 1, 0, 0, 0, 60, 0, 2, 1, 'x'};
  bool six = packet[len - 3] == 28, text = packet[len - 3] == 16;
  bool good = strcmp(name, "good.example") == 0, in = strcmp(name, "inside.example") == 0;

  packet[2] = 0x84; /* an answer, authoritative */
  packet[3] = good || in ? 0x80 : 0x83;
  memset(packet + 6, 0, 6);
  if (!good && (!in || six || text))
    return len;
  if (text) {
    packet[7] = 2;
    memcpy(packet + len, texts, sizeof(texts));
    return len + sizeof(texts);
  }
  packet[7] = 1;
  if (six)
    memcpy(packet + len, aaaa, sizeof(aaaa));
  else
    memcpy(packet + len, good ? a : inside, sizeof(a));
  return len + (six ? sizeof(aaaa) : sizeof(a));
}

static inline void net_names_on_packet(uv_poll_t *poll, int status, int events)
{
  struct net_names *names = poll->data;
  unsigned char packet[600];
  char name[300];
  struct sockaddr_in from;
  socklen_t from_len = sizeof(from);
  ssize_t n = recvfrom(names->fd, packet, 512, 0, (struct sockaddr *)&from, &from_len);
  size_t len;

  (void)status;
  (void)events;
  if (n < 17)
    return;
  names->n_asked++;
  len = net_names_question(packet, (size_t)n, name);
  if (strcmp(name, "silent.example") == 0)
    return;
  len = net_names_answer(packet, len, name);
  sendto(names->fd, packet, len, 0, (struct sockaddr *)&from, from_len);
}

static inline void net_names_open(struct net_names *names, uv_loop_t *loop)
{
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof(at);

  names->n_asked = 0;
  names->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  ck_assert_int_eq(bind(names->fd, (struct sockaddr *)&at, sizeof(at)), 0);
  getsockname(names->fd, (struct sockaddr *)&at, &len);
  uv_poll_init(loop, &names->poll, names->fd);
  names->poll.data = names;
  uv_poll_start(&names->poll, UV_READABLE, net_names_on_packet);
  snprintf(names->servers, sizeof(names->servers), "127.0.0.1:%u", ntohs(at.sin_port));
}

static inline void net_names_close(struct net_names *names, uv_loop_t *loop)
{
  uv_close((uv_handle_t *)&names->poll, NULL);
  uv_run(loop, UV_RUN_NOWAIT);
  close(names->fd);
}
#endif
