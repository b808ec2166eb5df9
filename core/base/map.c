#include "map.h"
#include "alloc.h"
#include "digest.h"
#include <assert.h>
#include <stdlib.h>

#define MAP_ROOM_FIRST 16 /* slots; a power of two, as every later size */

struct map_slot {
  uint64_t key; /* 0: free */
  void *value;
};

void map_done(struct map *map)
{
  free(map->slots);
  *map = (struct map){0};
}

static size_t map_home(const struct map *map, uint64_t key)
{
  return hash_mix(key) & (map->room - 1);
}

/* The slot that holds the key, or the free one where it would stand. room > 0. */
static struct map_slot *map_find(const struct map *map, uint64_t key)
{
  size_t i = map_home(map, key);

  while (map->slots[i].key != 0 && map->slots[i].key != key)
    i = (i + 1) & (map->room - 1);
  return &map->slots[i];
}

static void map_resize(struct map *map, size_t room)
{
  struct map old = *map;

  map->slots = xcalloc(room, sizeof(*map->slots));
  map->room = room;
  for (size_t i = 0; i < old.room; i++)
    if (old.slots[i].key != 0)
      *map_find(map, old.slots[i].key) = old.slots[i];
  free(old.slots);
}

void *map_get(const struct map *map, uint64_t key)
{
  return map->count > 0 && key != 0 ? map_find(map, key)->value : NULL;
}

void map_put(struct map *map, uint64_t key, void *value)
{
  struct map_slot *slot;

  assert(key != 0 && value != NULL);
  if ((map->count + 1) * 4 > map->room * 3)
    map_resize(map, map->room > 0 ? map->room * 2 : MAP_ROOM_FIRST);
  slot = map_find(map, key);
  map->count += slot->key == 0;
  *slot = (struct map_slot){key, value};
}

/* Closes the hole by moving up whatever may stand nearer to its home, so that no tombstones gather. */
static void map_close_hole(struct map *map, size_t hole)
{
  size_t mask = map->room - 1;

  for (size_t i = (hole + 1) & mask; map->slots[i].key != 0; i = (i + 1) & mask) {
    size_t home = map_home(map, map->slots[i].key);

    if (((i - home) & mask) >= ((i - hole) & mask)) {
      map->slots[hole] = map->slots[i];
      hole = i;
    }
  }
  map->slots[hole] = (struct map_slot){0};
}

void *map_take(struct map *map, uint64_t key)
{
  struct map_slot *slot;
  void *value;

  if (map->count == 0 || key == 0)
    return NULL;
  slot = map_find(map, key);
  value = slot->value;
  if (slot->key == 0)
    return NULL;
  map_close_hole(map, (size_t)(slot - map->slots));
  map->count--;
  if (map->room > MAP_ROOM_FIRST && map->count * 8 < map->room)
    map_resize(map, map->room / 2); /* memory follows the load down again */
  return value;
}

bool map_next(const struct map *map, size_t *pos, uint64_t *ret_key, void **ret_value)
{
  while (*pos < map->room) {
    const struct map_slot *slot = &map->slots[(*pos)++];

    if (slot->key == 0)
      continue;
    if (ret_key != NULL)
      *ret_key = slot->key;
    *ret_value = slot->value;
    return true;
  }
  return false;
}
