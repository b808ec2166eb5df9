#include "arena.h"
#include "alloc.h"
#include <stdlib.h>
#include <string.h>

#define ARENA_FIRST 1024         /* bytes, of an arena with its first chunk: within what malloc keeps for each thread */
#define ARENA_CHUNK_MAX 65536    /* each chunk doubles the last up to this */
#define ARENA_ALIGN _Alignof(max_align_t)

struct chunk {
  struct chunk *next;
  size_t room, used;
  _Alignas(max_align_t) char bytes[]; /* cleared piece by piece: most of a chunk is never touched */
};

struct arena {
  struct chunk *chunks; /* the one in use first */
  size_t bytes;
  struct chunk first; /* last: its bytes follow */
};

static size_t aligned(size_t bytes)
{
  return (bytes + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
}

static struct chunk *arena_grow(struct arena *arena, size_t room)
{
  struct chunk *chunk = xmalloc(sizeof(*chunk) + room);

  chunk->next = NULL;
  chunk->room = room;
  chunk->used = 0;
  arena->bytes += sizeof(*chunk) + room;
  return chunk;
}

struct arena *arena_new_for(size_t bytes)
{
  size_t room = aligned(bytes), all = sizeof(struct arena) + room;
  struct arena *arena = xmalloc(all);

  arena->bytes = all;
  arena->chunks = &arena->first;
  arena->first.next = NULL;
  arena->first.room = room;
  arena->first.used = 0;
  return arena;
}

struct arena *arena_new(void)
{
  return arena_new_for(ARENA_FIRST - sizeof(struct arena));
}

void arena_free(struct arena **arena)
{
  if (*arena == NULL)
    return;
  for (struct chunk *chunk = (*arena)->chunks, *next; chunk != NULL; chunk = next) {
    next = chunk->next;
    if (chunk != &(*arena)->first)
      free(chunk);
  }
  free(*arena);
  *arena = NULL;
}

static void *arena_take(struct arena *arena, size_t bytes) /* not cleared */
{
  struct chunk *chunk = arena->chunks;
  size_t need;
  void *at;

  if (bytes > SIZE_MAX / 2)
    abort(); /* no limit was applied to it: our own bug */
  need = aligned(bytes);
  if (need > chunk->room - chunk->used && need > ARENA_CHUNK_MAX / 2) { /* a chunk of its own, behind the one in use */
    struct chunk *own = arena_grow(arena, need);

    own->used = need;
    own->next = chunk->next;
    chunk->next = own;
    return own->bytes;
  }
  if (need > chunk->room - chunk->used) {
    size_t room = chunk->room * 2 < ARENA_CHUNK_MAX ? chunk->room * 2 : ARENA_CHUNK_MAX;

    arena->chunks = arena_grow(arena, room > need ? room : need);
    arena->chunks->next = chunk;
    chunk = arena->chunks;
  }
  at = chunk->bytes + chunk->used;
  chunk->used += need;
  return at;
}

void *arena_alloc(struct arena *arena, size_t bytes)
{
  return memset(arena_take(arena, bytes), 0, bytes);
}

parley_text arena_text(struct arena *arena, parley_text text)
{
  char *copy = arena_take(arena, text.len + 1);

  if (text.len > 0)
    memcpy(copy, text.at, text.len);
  copy[text.len] = '\0';
  return (parley_text){copy, text.len};
}

char *arena_str(struct arena *arena, const char *text)
{
  size_t len = strlen(text);

  return memcpy(arena_take(arena, len + 1), text, len + 1);
}

size_t arena_bytes(const struct arena *arena)
{
  return arena->bytes;
}
