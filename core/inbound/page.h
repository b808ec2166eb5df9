/* page.h - a page of a customer's timeline, as a plugin sees it: asked of the store, told as values of the ABI. Thread: loop.
 * Private to core/inbound. */
#ifndef CORE_INBOUND_PAGE_H
#define CORE_INBOUND_PAGE_H
#include "inbound.h"

#define PAGE_EVENTS_DEFAULT 20
#define PAGE_EVENTS_MAX 100

struct page_asked { /* for the call */
  struct phone_reading phones; /* how the network of the asking channel writes numbers */
  parley_text channel;         /* the asking one */
  const parley_query *query;
};
typedef void page_over_fn(void *arg);
/* done: once, never within the call; behind it over(arg), when nothing of this is left. INVALID: a cursor that is none of ours. */
void page_read(struct store *store, const struct page_asked *asked, parley_page_done *done, void *done_arg, page_over_fn *over,
               void *arg);
#endif
