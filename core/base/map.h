/* map.h - a hash table from a 64-bit key (an id, a hash64) to a pointer. One thread. Key 0 is not allowed. */
#ifndef CORE_BASE_MAP_H
#define CORE_BASE_MAP_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct map {
  struct map_slot *slots;
  size_t count, room;
};
void map_done(struct map *map); /* the values are the caller's */
void *map_get(const struct map *map, uint64_t key); /* NULL when absent */
void map_put(struct map *map, uint64_t key, void *value); /* replaces; value is not NULL */
void *map_take(struct map *map, uint64_t key);             /* removes and returns, or NULL */
/* Walks in no order: start with *pos = 0; false at the end. The table may not change meanwhile. */
bool map_next(const struct map *map, size_t *pos, uint64_t *ret_key, void **ret_value);
#endif
