/* arena.h - memory of one message or one answer: allocated piece by piece, freed at once. Thread: whoever owns it. */
#ifndef CORE_BASE_ARENA_H
#define CORE_BASE_ARENA_H
#include <parley/plugin.h>

struct arena;
struct arena *arena_new(void);
struct arena *arena_new_for(size_t bytes); /* whose first `bytes` come with it, in one block */
void arena_free(struct arena **arena);             /* NULL inside is fine */
void *arena_alloc(struct arena *arena, size_t bytes); /* zeroed, aligned for any type; aborts when memory is gone */
parley_text arena_text(struct arena *arena, parley_text text); /* a copy, NUL behind it */
char *arena_str(struct arena *arena, const char *text);
size_t arena_bytes(const struct arena *arena); /* all it holds from the heap */
#endif
