#include "alloc.h"
#include <stdlib.h>
#include <string.h>

#define CLEARED_BY_HAND_MAX 4096 /* bytes */

static void *alloc_checked(void *got, size_t bytes)
{
  if (got == NULL && bytes > 0)
    abort(); /* a small allocation failed: nothing sensible can follow */
  return got;
}

void *xmalloc(size_t bytes)
{
  return alloc_checked(malloc(bytes ? bytes : 1), 1);
}

/* Small blocks by malloc(): glibc's calloc() passes by the thread's cache of freed blocks. */
void *xcalloc(size_t count, size_t bytes)
{
  size_t total;

  if (__builtin_mul_overflow(count, bytes, &total) || total > CLEARED_BY_HAND_MAX)
    return alloc_checked(calloc(count, bytes), 1);
  if (total == 0)
    total = 1;
  return memset(alloc_checked(malloc(total), 1), 0, total);
}

void *xrealloc(void *old, size_t bytes)
{
  return alloc_checked(realloc(old, bytes ? bytes : 1), 1);
}

void *xmemdup(const void *from, size_t len)
{
  char *copy = alloc_checked(malloc(len + 1), 1);

  if (len > 0)
    memcpy(copy, from, len);
  copy[len] = '\0';
  return copy;
}

char *xstrdup(const char *text)
{
  return xmemdup(text, strlen(text));
}
