#include "egress.h"
#include "cidr.h"
#include "core/base/alloc.h"
#include "core/base/text.h"
#include <stdlib.h>
#include <string.h>

struct port_range {
  uint16_t first, last;
};

struct egress {
  struct cidr *allow;
  size_t n_allow;
  struct port_range *ports;
  size_t n_ports;
};

/* IANA's special-purpose registries: what is not globally reachable, and what is nobody's to connect to. */
static const struct cidr special_v4[] = {
    {{0}, 4, 8},             /* this network */
    {{10}, 4, 8},            /* private */
    {{100, 64}, 4, 10},      /* carrier-grade NAT */
    {{127}, 4, 8},           /* loopback */
    {{169, 254}, 4, 16},     /* link-local, cloud metadata */
    {{172, 16}, 4, 12},      /* private */
    {{192, 0, 0}, 4, 24},    /* protocol assignments */
    {{192, 0, 2}, 4, 24},    /* documentation */
    {{192, 88, 99}, 4, 24},  /* 6to4 relays, withdrawn */
    {{192, 168}, 4, 16},     /* private */
    {{198, 18}, 4, 15},      /* benchmarking */
    {{198, 51, 100}, 4, 24}, /* documentation */
    {{203, 0, 113}, 4, 24},  /* documentation */
    {{224}, 4, 4},           /* multicast */
    {{240}, 4, 4},           /* reserved, broadcast */
};
static const struct cidr global_v6 = {{0x20}, 16, 3}; /* 2000::/3: nothing outside of it is global unicast */
static const struct cidr special_v6[] = {
    {{0x20, 0x01}, 16, 23},             /* protocol assignments: Teredo, ORCHID, benchmarking */
    {{0x20, 0x01, 0x0d, 0xb8}, 16, 32}, /* documentation */
    {{0x20, 0x02}, 16, 16},             /* 6to4 */
    {{0x3f, 0xff}, 16, 20},             /* documentation */
};
static const struct cidr mapped_v4 = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 16, 96};
static const struct cidr nat64 = {{0x00, 0x64, 0xff, 0x9b}, 16, 96};

static bool any_has(const struct cidr *list, size_t n, const uint8_t *bytes, uint8_t family_bytes)
{
  for (size_t i = 0; i < n; i++)
    if (cidr_has(&list[i], bytes, family_bytes))
      return true;
  return false;
}

static bool v4_allowed(const struct egress *egress, const uint8_t *bytes)
{
  return any_has(egress->allow, egress->n_allow, bytes, 4) || !any_has(special_v4, COUNT_OF(special_v4), bytes, 4);
}

static bool v6_allowed(const struct egress *egress, const uint8_t *bytes)
{
  if (cidr_has(&mapped_v4, bytes, 16) || cidr_has(&nat64, bytes, 16))
    return v4_allowed(egress, bytes + 12);
  if (any_has(egress->allow, egress->n_allow, bytes, 16))
    return true;
  return cidr_has(&global_v6, bytes, 16) && !any_has(special_v6, COUNT_OF(special_v6), bytes, 16);
}

bool egress_address_allowed(const struct egress *egress, const struct sockaddr *address)
{
  struct net_address at;

  if (!net_address_of(address, &at)) /* a unix socket, say */
    return false;
  if (at.any.sa_family == AF_INET6)
    return v6_allowed(egress, at.v6.sin6_addr.s6_addr);
  return v4_allowed(egress, (const uint8_t *)&at.v4.sin_addr);
}

bool egress_http_port_allowed(const struct egress *egress, uint16_t port)
{
  for (size_t i = 0; i < egress->n_ports; i++)
    if (port >= egress->ports[i].first && port <= egress->ports[i].last)
      return true;
  return false;
}

/* Names that never mean a public address. */
static bool name_allowed(const struct egress *egress, const char *host)
{
  parley_text name = parley_text_of(host);
  struct net_address stands_for;

  if (parley_text_is(name, "localhost") || text_ends(name, ".localhost"))
    net_address_parse(PARLEY_LIT("127.0.0.1"), 0, &stands_for);
  else if (parley_text_is(name, "metadata.google.internal"))
    net_address_parse(PARLEY_LIT("169.254.169.254"), 0, &stands_for);
  else
    return true;
  return egress_address_allowed(egress, &stands_for.any);
}

parley_status egress_url_check(const struct egress *egress, const struct url *url, const char **ret_why)
{
  bool http = url->scheme == URL_HTTP || url->scheme == URL_HTTPS;

  if (url->numeric ? !egress_address_allowed(egress, &url->address.any) : !name_allowed(egress, url->host)) {
    *ret_why = "address_not_allowed";
    return PARLEY_DENIED;
  }
  if (http && !egress_http_port_allowed(egress, url->port)) {
    *ret_why = "port_not_allowed";
    return PARLEY_DENIED;
  }
  return PARLEY_OK;
}

/* --- Making one ------------------------------------------------------------------------------- */
static bool ports_parse(parley_text text, struct port_range *ret)
{
  size_t dash = text_find(text, '-');
  uint64_t first, last;

  if (!text_to_uint(text_sub(text, 0, dash), UINT16_MAX, &first) || first == 0)
    return false;
  last = first;
  if (dash < text.len && (!text_to_uint(text_sub(text, dash + 1, text.len), UINT16_MAX, &last) || last < first))
    return false;
  *ret = (struct port_range){(uint16_t)first, (uint16_t)last};
  return true;
}

static void ports_default(struct egress *egress)
{
  static const uint16_t usual[] = {80, 443, 8443};

  egress->n_ports = COUNT_OF(usual);
  for (size_t i = 0; i < COUNT_OF(usual); i++)
    egress->ports[i] = (struct port_range){usual[i], usual[i]};
}

parley_status egress_new(const parley_text *allow, size_t n_allow, const parley_text *ports, size_t n_ports,
                         struct egress **ret, parley_text *ret_bad)
{
  struct egress *egress = xcalloc(1, sizeof(*egress));

  egress->allow = xcalloc(n_allow, sizeof(*egress->allow));
  egress->ports = xcalloc(n_ports + 3, sizeof(*egress->ports));
  for (; egress->n_allow < n_allow; egress->n_allow++)
    if (!cidr_parse(allow[egress->n_allow], &egress->allow[egress->n_allow])) {
      *ret_bad = allow[egress->n_allow];
      goto fail;
    }
  for (; egress->n_ports < n_ports; egress->n_ports++)
    if (!ports_parse(ports[egress->n_ports], &egress->ports[egress->n_ports])) {
      *ret_bad = ports[egress->n_ports];
      goto fail;
    }
  if (n_ports == 0)
    ports_default(egress);
  *ret = egress;
  return PARLEY_OK;
fail:
  egress_free(&egress);
  return PARLEY_INVALID;
}

void egress_free(struct egress **egress)
{
  if (*egress != NULL) {
    free((*egress)->allow);
    free((*egress)->ports);
  }
  free(*egress);
  *egress = NULL;
}

void egress_replace(struct egress *to, struct egress **from)
{
  struct egress old = *to;

  *to = **from;
  **from = old;
  egress_free(from);
}
