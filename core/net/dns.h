/* dns.h - host names to addresses by c-ares on the loop: /etc/hosts, then A and AAAA; and the TXT records of a
 * name. Owns its sockets and one timer.
 * Thread: loop. Nothing here filters: the caller asks egress.h about each address. */
#ifndef CORE_NET_DNS_H
#define CORE_NET_DNS_H
#include "address.h"
#include <uv.h>

struct dns;
struct env;
#define DNS_ADDRESSES_MAX 16 /* of one answer; more are left out */
#define DNS_TEXTS_MAX 64     /* TXT records of one answer; more are left out */
#define DNS_TEXT_BYTES_MAX 8192 /* of one of them; what is longer is left out */
#define DNS_WAITING_MAX 4096 /* look-ups under way; above: PARLEY_BUSY */

struct dns_answer {
  parley_status status; /* OK; NOT_FOUND: no such name or no address; TIMEOUT; RETRY: servers failed; BUSY; CANCELLED */
  const char *why;      /* static, for a person */
  const struct net_address *addresses; /* in the order to try; borrowed for the call */
  size_t n_addresses;
  const parley_text *texts; /* of dns_texts(): a record each, its strings joined, any bytes; borrowed for the call */
  size_t n_texts;
  uint32_t ttl_s; /* the smallest, 0 when unknown (hosts file, numeric) */
};
typedef void dns_done(const struct dns_answer *answer, void *arg);

/* servers: NULL for the system's (/etc/resolv.conf), else "127.0.0.1:5353,..." PARLEY_FAILED: c-ares would not start.
 */
parley_status dns_new(uv_loop_t *loop, const struct env *env, const char *servers, struct dns **ret);
/* done comes exactly once and never within this call; a numeric host is answered on the next turn. Returns an id, never
 * 0. */
uint64_t dns_resolve(struct dns *dns, const char *host, uint16_t port, uint32_t timeout_ms, dns_done *done, void *arg);
/* As dns_resolve(), for the TXT records of a name; NOT_FOUND: there is none. */
uint64_t dns_texts(struct dns *dns, const char *name, uint32_t timeout_ms, dns_done *done, void *arg);
void dns_cancel(struct dns *dns, uint64_t id); /* done comes soon, with CANCELLED; an id that is over: no effect */
/* Look-ups under way end CANCELLED; closed(arg) runs once, when the memory is gone. */
void dns_close(struct dns **dns, void (*closed)(void *arg), void *arg);
#endif
