#include "cidr.h"
#include "core/base/text.h"
#include <string.h>

bool cidr_has(const struct cidr *cidr, const uint8_t *bytes, uint8_t family_bytes)
{
  unsigned whole = cidr->bits / 8, rest = cidr->bits % 8;

  if (cidr->family_bytes != family_bytes || memcmp(cidr->bytes, bytes, whole) != 0)
    return false;
  return rest == 0 || (cidr->bytes[whole] ^ bytes[whole]) >> (8 - rest) == 0;
}

bool cidr_has_address(const struct cidr *cidr, const struct net_address *address)
{
  bool v6 = address->any.sa_family == AF_INET6;

  return cidr_has(cidr, v6 ? address->v6.sin6_addr.s6_addr : (const uint8_t *)&address->v4.sin_addr, v6 ? 16 : 4);
}

static bool host_bits_zero(const struct cidr *cidr)
{
  for (unsigned bit = cidr->bits; bit < cidr->family_bytes * 8u; bit++)
    if (cidr->bytes[bit / 8] & (0x80 >> bit % 8))
      return false;
  return true;
}

bool cidr_parse(parley_text text, struct cidr *ret)
{
  struct net_address address;
  parley_text host = text_sub(text, 0, text_find(text, '/'));
  uint64_t bits;

  if (!net_address_parse(host, 0, &address))
    return false;
  memset(ret, 0, sizeof(*ret));
  ret->family_bytes = address.any.sa_family == AF_INET6 ? 16 : 4;
  memcpy(ret->bytes, ret->family_bytes == 16 ? address.v6.sin6_addr.s6_addr : (uint8_t *)&address.v4.sin_addr,
         ret->family_bytes);
  bits = ret->family_bytes * 8u;
  if (host.len < text.len && !text_to_uint(text_sub(text, host.len + 1, text.len), bits, &bits))
    return false;
  ret->bits = (uint8_t)bits;
  return host_bits_zero(ret);
}
