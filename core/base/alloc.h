/* alloc.h - small fixed allocations that abort when memory is gone. A size from outside meets a named limit first. Thread: any. */
#ifndef CORE_BASE_ALLOC_H
#define CORE_BASE_ALLOC_H
#include <stddef.h>

#define container_of(ptr, type, member) ((type *)((char *)(ptr) - offsetof(type, member)))
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

void *xmalloc(size_t bytes); /* not cleared */
void *xcalloc(size_t count, size_t bytes);
void *xrealloc(void *old, size_t bytes);
void *xmemdup(const void *from, size_t len); /* adds a NUL behind the copy */
char *xstrdup(const char *text);
#endif
