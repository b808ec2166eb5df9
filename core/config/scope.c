#include "scope.h"
#include <stddef.h>

static const char *const names[] = {"messages:send", "messages:read", "customers:read", "customers:write", "customers:erase",
                                    "events:read", "events:write", "inbox:read", "inbox:reply", "subscriptions:write",
                                    "campaigns:write", "templates:write", "channels:admin", "metrics:read", "admin", NULL};

bool scope_parse(parley_text word, uint32_t *ret)
{
  for (uint32_t i = 0; names[i] != NULL; i++) {
    if (!parley_text_is(word, names[i]))
      continue;
    *ret = UINT32_C(1) << i;
    return true;
  }
  return false;
}

const char *scope_name(uint32_t bit)
{
  for (uint32_t i = 0; names[i] != NULL; i++)
    if (bit == UINT32_C(1) << i)
      return names[i];
  return NULL;
}

const char *const *scope_names(void)
{
  return names;
}

bool scope_allows(uint32_t held, uint32_t needed)
{
  return (held & SCOPE_ADMIN) != 0 || (held & needed) == needed;
}
