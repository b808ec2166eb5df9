/* cidr.h - a net of addresses, "10.0.0.0/8". Values. Thread: any. */
#ifndef CORE_NET_CIDR_H
#define CORE_NET_CIDR_H
#include "address.h"

struct cidr {
  uint8_t bytes[16];
  uint8_t family_bytes; /* 4 or 16 */
  uint8_t bits;
};
/* An address alone is its own net. Bits beyond the prefix must be zero: "10.1.2.3/8" is more likely a slip than a net. */
bool cidr_parse(parley_text text, struct cidr *ret);
bool cidr_has(const struct cidr *cidr, const uint8_t *bytes, uint8_t family_bytes);
bool cidr_has_address(const struct cidr *cidr, const struct net_address *address);
#endif
