#include "address.h"
#include "core/base/text.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

bool net_address_of(const struct sockaddr *from, struct net_address *ret)
{
  if (from->sa_family == AF_INET)
    memcpy(&ret->v4, from, sizeof(ret->v4));
  else if (from->sa_family == AF_INET6)
    memcpy(&ret->v6, from, sizeof(ret->v6));
  else
    return false;
  return true;
}

uint16_t net_address_port(const struct net_address *address)
{
  return ntohs(address->any.sa_family == AF_INET6 ? address->v6.sin6_port : address->v4.sin_port);
}

void net_address_port_set(struct net_address *address, uint16_t port)
{
  if (address->any.sa_family == AF_INET6)
    address->v6.sin6_port = htons(port);
  else
    address->v4.sin_port = htons(port);
}

socklen_t net_address_size(const struct net_address *address)
{
  return address->any.sa_family == AF_INET6 ? sizeof(address->v6) : sizeof(address->v4);
}

static void address_v4(struct net_address *to, uint32_t host_order, uint16_t port)
{
  memset(to, 0, sizeof(*to));
  to->v4.sin_family = AF_INET;
  to->v4.sin_addr.s_addr = htonl(host_order);
  to->v4.sin_port = htons(port);
}

bool net_address_parse(parley_text host, uint16_t port, struct net_address *ret)
{
  char text[INET6_ADDRSTRLEN];
  struct net_address made = {0};

  if (host.len == 0 || host.len >= sizeof(text) || memchr(host.at, '\0', host.len) != NULL)
    return false;
  memcpy(text, host.at, host.len);
  text[host.len] = '\0';
  if (inet_pton(AF_INET, text, &made.v4.sin_addr) == 1)
    made.any.sa_family = AF_INET;
  else if (inet_pton(AF_INET6, text, &made.v6.sin6_addr) == 1)
    made.any.sa_family = AF_INET6;
  else
    return false;
  net_address_port_set(&made, port);
  *ret = made;
  return true;
}

bool net_host_port_split(parley_text text, parley_text *ret_host, uint16_t *ret_port)
{
  parley_text host = text, port;
  uint64_t number;
  size_t colon = text.len;

  while (colon > 0 && text.at[colon - 1] != ':')
    colon--;
  if (colon == 0)
    return false;
  host = text_sub(text, 0, colon - 1);
  port = text_sub(text, colon, text.len);
  if (host.len >= 2 && host.at[0] == '[' && host.at[host.len - 1] == ']')
    host = text_sub(host, 1, host.len - 2);
  else if (text_find(host, ':') < host.len || text_find(host, '[') < host.len)
    return false;
  if (host.len == 0 || port.len > 5 || !text_to_uint(port, UINT16_MAX, &number))
    return false;
  *ret_host = host;
  *ret_port = (uint16_t)number;
  return true;
}

bool net_address_port_parse(parley_text text, struct net_address *ret)
{
  parley_text host;
  uint16_t port;

  return net_host_port_split(text, &host, &port) && net_address_parse(host, port, ret);
}

/* --- Numbers that are addresses --------------------------------------------------------------- */
/* One part as inet_aton(3) reads it: decimal, 0x hex, 0 octal. */
static bool part_parse(parley_text part, uint64_t *ret)
{
  unsigned base = 10;
  uint64_t value = 0;

  if (part.len > 1 && part.at[0] == '0') {
    base = part.at[1] == 'x' || part.at[1] == 'X' ? 16 : 8;
    part = text_sub(part, base == 16 ? 2 : 1, part.len);
  }
  if (part.len == 0 && base == 10)
    return false;
  for (size_t i = 0; i < part.len; i++) {
    char c = part.at[i];
    unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                     : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
                     : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A') + 10
                                            : 16;

    if (digit >= base || value > UINT32_MAX)
      return false;
    value = value * base + digit;
  }
  *ret = value;
  return value <= UINT32_MAX;
}

static parley_text without_last_dot(parley_text host)
{
  if (host.len > 0 && host.at[host.len - 1] == '.')
    host.len--;
  return host;
}

bool net_host_looks_numeric(parley_text host)
{
  size_t at;
  uint64_t ignored;

  host = without_last_dot(host);
  for (at = host.len; at > 0 && host.at[at - 1] != '.';)
    at--;
  host = text_sub(host, at, host.len);
  if (part_parse(host, &ignored))
    return true;
  for (size_t i = 0; i < host.len; i++) /* 09, 99999999999999: a number, if a bad one */
    if (host.at[i] < '0' || host.at[i] > '9')
      return false;
  return host.len > 0;
}

bool net_address_numeric(parley_text host, uint16_t port, struct net_address *ret)
{
  parley_text rest = without_last_dot(host);
  uint64_t value = 0, part;
  unsigned n = 0;

  if (rest.len == 0)
    return false;
  for (;;) {
    parley_text word = text_sub(rest, 0, text_find(rest, '.'));
    bool last = word.len == rest.len;

    if (!part_parse(word, &part) || ++n > 4 || (!last && part > 255))
      return false;
    if (last) {
      if (part >= (UINT64_C(1) << (8 * (5 - n))))
        return false;
      value = (value << (8 * (5 - n))) | part;
      break;
    }
    value = (value << 8) | part;
    rest = text_sub(rest, word.len + 1, rest.len);
  }
  address_v4(ret, (uint32_t)value, port);
  return true;
}

bool net_address_loopback(const struct net_address *address)
{
  const uint8_t *b = address->v6.sin6_addr.s6_addr;

  if (address->any.sa_family == AF_INET)
    return ntohl(address->v4.sin_addr.s_addr) >> 24 == 127;
  if (address->any.sa_family != AF_INET6)
    return false;
  return IN6_IS_ADDR_LOOPBACK(&address->v6.sin6_addr) || (IN6_IS_ADDR_V4MAPPED(&address->v6.sin6_addr) && b[12] == 127);
}

parley_text net_address_format(const struct net_address *address, bool with_port, char to[NET_ADDRESS_TEXT_MAX])
{
  char host[INET6_ADDRSTRLEN] = "";
  bool v6 = address->any.sa_family == AF_INET6;
  const void *bytes = v6 ? (const void *)&address->v6.sin6_addr : (const void *)&address->v4.sin_addr;
  int len;

  if (address->any.sa_family != 0)
    inet_ntop(address->any.sa_family, bytes, host, sizeof(host));
  if (with_port)
    len = snprintf(to, NET_ADDRESS_TEXT_MAX, v6 ? "[%s]:%u" : "%s:%u", host, net_address_port(address));
  else
    len = snprintf(to, NET_ADDRESS_TEXT_MAX, "%s", host);
  return (parley_text){to, (size_t)len};
}
