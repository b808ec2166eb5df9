#include "filter.h"
#include "core/base/alloc.h"
#include "core/base/digest.h"
#include <stdlib.h>

#define PARTS_MAX 6
#define PART_KEYS_FIRST ((size_t)1 << 17)
#define KEYS_A_BLOCK 32 /* 16 bits each: one in some hundreds is taken for another */
#define BITS_A_KEY 7    /* of nine bits of the hash each */
#define BLOCK_WORDS 8

struct block {
  _Alignas(64) uint64_t words[BLOCK_WORDS];
};
struct filter {
  size_t n_parts, count, room; /* room: for keys, of all parts */
  struct block *parts[PARTS_MAX];
};
/* Which bits of a block are a key's. */
struct mask {
  uint64_t words[BLOCK_WORDS];
};

static size_t part_blocks(size_t part)
{
  return (PART_KEYS_FIRST << part) / KEYS_A_BLOCK;
}

static struct mask mask_of(uint64_t mixed)
{
  uint64_t bits = hash_mix(mixed);
  struct mask mask = {{0}};

  for (int i = 0; i < BITS_A_KEY; i++, bits >>= 9)
    mask.words[bits >> 6 & (BLOCK_WORDS - 1)] |= UINT64_C(1) << (bits & 63);
  return mask;
}

static struct block *block_of(const struct filter *filter, size_t part, uint64_t mixed)
{
  return &filter->parts[part][mixed & (part_blocks(part) - 1)];
}

struct filter *filter_new(void)
{
  return xcalloc(1, sizeof(struct filter));
}

void filter_free(struct filter **filter)
{
  if (*filter == NULL)
    return;
  for (size_t i = 0; i < (*filter)->n_parts; i++)
    free((*filter)->parts[i]);
  free(*filter);
  *filter = NULL;
}

static bool filter_grow(struct filter *filter)
{
  size_t bytes;
  struct block *part;

  if (filter->n_parts == PARTS_MAX)
    return false;
  bytes = part_blocks(filter->n_parts) * sizeof(*part);
  part = aligned_alloc(sizeof(*part), bytes);
  if (part == NULL)
    return false;
  for (size_t i = 0; i < part_blocks(filter->n_parts); i++)
    part[i] = (struct block){{0}};
  filter->parts[filter->n_parts] = part;
  filter->room += PART_KEYS_FIRST << filter->n_parts;
  filter->n_parts++;
  return true;
}

bool filter_add(struct filter *filter, uint64_t hash)
{
  uint64_t mixed = hash_mix(hash);
  struct mask mask = mask_of(mixed);
  struct block *block;

  if (filter->count == filter->room && !filter_grow(filter))
    return false;
  block = block_of(filter, filter->n_parts - 1, mixed);
  for (int i = 0; i < BLOCK_WORDS; i++)
    block->words[i] |= mask.words[i];
  filter->count++;
  return true;
}

bool filter_may_have(const struct filter *filter, uint64_t hash)
{
  uint64_t mixed = hash_mix(hash);
  struct mask mask = mask_of(mixed);

  for (size_t part = filter->n_parts; part-- > 0;) {
    const struct block *block = block_of(filter, part, mixed);
    uint64_t missing = 0;

    for (int i = 0; i < BLOCK_WORDS; i++)
      missing |= mask.words[i] & ~block->words[i];
    if (missing == 0)
      return true;
  }
  return false;
}

size_t filter_count(const struct filter *filter)
{
  return filter->count;
}
