/* address.h - one IP address with a port, as value and as text. Thread: any. Allocates nothing. */
#ifndef CORE_NET_ADDRESS_H
#define CORE_NET_ADDRESS_H
#include <netinet/in.h>
#include <parley/plugin.h>
#include <stdbool.h>

struct net_address { /* any.sa_family: AF_INET, AF_INET6, or 0 for none */
  union {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
  };
};
#define NET_ADDRESS_TEXT_MAX 56 /* "[ffff:...%4294967295]:65535" and a NUL */

/* false (and *ret as it was) for a family other than IPv4 and IPv6. */
bool net_address_of(const struct sockaddr *from, struct net_address *ret);
/* The address alone: dotted quad in its plain four-part form, or IPv6 without brackets and zone. */
bool net_address_parse(parley_text host, uint16_t port, struct net_address *ret);
/* "127.0.0.1:80", "[::1]:80". A host that is no address is refused: names are dns.h's. */
bool net_address_port_parse(parley_text text, struct net_address *ret);
/* Every spelling that inet_aton(3) knows: 127.1, 0x7f000001, 2130706433, 017700000001. */
bool net_address_numeric(parley_text host, uint16_t port, struct net_address *ret);
/* True when the last label is a number, decimal or hex: such a host is an IPv4 address or nothing. */
bool net_host_looks_numeric(parley_text host);
uint16_t net_address_port(const struct net_address *address);
void net_address_port_set(struct net_address *address, uint16_t port);
socklen_t net_address_size(const struct net_address *address);
bool net_address_loopback(const struct net_address *address);
/* Writes the address, with `with_port` as address:port, and a NUL; returns a view of `to`. */
parley_text net_address_format(const struct net_address *address, bool with_port, char to[NET_ADDRESS_TEXT_MAX]);
/* Cuts "host:port" or "[v6]:port"; the host comes back without brackets. false: no port, or not 0-65535. */
bool net_host_port_split(parley_text text, parley_text *ret_host, uint16_t *ret_port);
#endif
