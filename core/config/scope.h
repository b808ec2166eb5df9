/* scope.h - what an API key may do. Thread: any. */
#ifndef CORE_CONFIG_SCOPE_H
#define CORE_CONFIG_SCOPE_H
#include <parley/plugin.h>
#include <stdbool.h>

enum scope { /* one bit each; a key holds a set of them */
  SCOPE_MESSAGES_SEND = 1 << 0, SCOPE_MESSAGES_READ = 1 << 1,
  SCOPE_CUSTOMERS_READ = 1 << 2, SCOPE_CUSTOMERS_WRITE = 1 << 3, SCOPE_CUSTOMERS_ERASE = 1 << 4,
  SCOPE_EVENTS_READ = 1 << 5, SCOPE_EVENTS_WRITE = 1 << 6,
  SCOPE_INBOX_READ = 1 << 7, SCOPE_INBOX_REPLY = 1 << 8,
  SCOPE_SUBSCRIPTIONS_WRITE = 1 << 9, SCOPE_CAMPAIGNS_WRITE = 1 << 10, SCOPE_TEMPLATES_WRITE = 1 << 11,
  SCOPE_CHANNELS_ADMIN = 1 << 12, SCOPE_METRICS_READ = 1 << 13,
  SCOPE_ADMIN = 1 << 14 /* all of them */
};
bool scope_parse(parley_text word, uint32_t *ret); /* "messages:send" -> its bit */
const char *scope_name(uint32_t bit);              /* static; NULL: no such bit */
const char *const *scope_names(void);              /* in the order of the bits, ends with NULL */
bool scope_allows(uint32_t held, uint32_t needed); /* admin allows all */
#endif
