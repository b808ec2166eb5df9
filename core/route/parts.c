#include "parts.h"

static uint64_t all_of(const struct parts *parts)
{
  return parts->n >= PARTS_MAX ? UINT64_MAX : (UINT64_C(1) << parts->n) - 1;
}

bool parts_learn(struct parts *parts, int part, uint32_t receipt)
{
  struct parts was = *parts;
  uint64_t bits;

  if (parts->n < 2 || part >= (int)parts->n || part >= PARTS_MAX)
    return false;
  bits = part < 0 ? all_of(parts) : UINT64_C(1) << part;
  if (receipt == PARLEY_RECEIPT_READ)
    parts->read |= bits;
  if (receipt == PARLEY_RECEIPT_READ || receipt == PARLEY_RECEIPT_DELIVERED)
    parts->delivered |= bits;
  if (receipt == PARLEY_RECEIPT_FAILED)
    parts->failed |= bits;
  return parts->delivered != was.delivered || parts->read != was.read || parts->failed != was.failed;
}

uint32_t parts_fact(const struct parts *parts)
{
  uint64_t all = all_of(parts);

  if (parts->n < 2)
    return 0;
  if ((parts->delivered & all) == all)
    return (parts->read & all) == all ? FACT_READ : FACT_DELIVERED;
  return ((parts->delivered | parts->failed) & all) == all ? FACT_FAILED : 0;
}

uint32_t parts_delivered(const struct parts *parts)
{
  uint32_t n = 0;

  for (uint64_t rest = parts->delivered & all_of(parts); rest != 0; rest &= rest - 1)
    n++;
  return n;
}

bool parts_partial(const struct parts *parts)
{
  uint64_t all = all_of(parts);

  return parts->n >= 2 && ((parts->delivered | parts->failed) & all) != 0 && (parts->delivered & all) != all;
}

enum delivery_state part_state(const struct parts *parts, uint32_t part)
{
  uint64_t bit = part < PARTS_MAX ? UINT64_C(1) << part : 0;

  if (parts->read & bit)
    return DELIVERY_READ;
  if (parts->delivered & bit)
    return DELIVERY_DELIVERED;
  return parts->failed & bit ? DELIVERY_FAILED : DELIVERY_SENT;
}
