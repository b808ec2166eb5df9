/* egress.h - which addresses the daemon may connect to: the public ones and the operator's allow list. Immutable once
 * made. Thread: any. Checked twice: when a URL is taken in, and on the very address that a socket connects to. */
#ifndef CORE_NET_EGRESS_H
#define CORE_NET_EGRESS_H
#include "url.h"

struct egress;
/* allow: CIDRs ("10.0.0.0/8", "::1/128"; an address alone is its own net). ports: "443", "8000-9999", for HTTP only.
 * n_ports 0: 80, 443, 8443. PARLEY_INVALID: *ret_bad is the entry that is wrong (borrowed), *ret as it was. */
parley_status egress_new(const parley_text *allow, size_t n_allow, const parley_text *ports, size_t n_ports,
                         struct egress **ret, parley_text *ret_bad);
void egress_free(struct egress **egress);
/* Moves the rules of *from into `to`, so that whoever holds `to` has them at once; *from is freed and NULL. Loop only. */
void egress_replace(struct egress *to, struct egress **from);

/* The address itself, whatever its port: public, or within the allow list. IPv6 forms that carry an IPv4 address
 * (mapped, NAT64) count as that one; 6to4 and Teredo are not public. */
bool egress_address_allowed(const struct egress *egress, const struct sockaddr *address);
bool egress_http_port_allowed(const struct egress *egress, uint16_t port);
/* What can be said of a URL before its name is resolved. PARLEY_DENIED: *ret_why is static: address_not_allowed,
 * port_not_allowed (http and https only). */
parley_status egress_url_check(const struct egress *egress, const struct url *url, const char **ret_why);
#endif
