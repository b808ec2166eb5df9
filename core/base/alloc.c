#include "alloc.h"
#include <stdlib.h>
#include <string.h>

static void *alloc_checked(void *got, size_t bytes)
{
  if (got == NULL && bytes > 0)
    abort(); /* a small allocation failed: nothing sensible can follow */
  return got;
}

void *xcalloc(size_t count, size_t bytes)
{
  return alloc_checked(calloc(count ? count : 1, bytes ? bytes : 1), 1);
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
