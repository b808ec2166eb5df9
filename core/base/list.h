/* list.h - an intrusive doubly linked list: embed a struct list in the item, and one as the head. One thread. */
#ifndef CORE_BASE_LIST_H
#define CORE_BASE_LIST_H
#include "alloc.h"
#include <stdbool.h>

struct list { struct list *next, *prev; };
#define LIST_ITEM(node, type, member) container_of(node, type, member)

static inline void list_init(struct list *head) { head->next = head->prev = head; }
static inline bool list_empty(const struct list *head) { return head->next == head; }
static inline void list_insert_before(struct list *at, struct list *item)
{
  item->prev = at->prev;
  item->next = at;
  at->prev->next = item;
  at->prev = item;
}
static inline void list_push(struct list *head, struct list *item) { list_insert_before(head, item); } /* at the end */
static inline void list_remove(struct list *item) /* leaves it linked to itself: removing twice is harmless */
{
  item->prev->next = item->next;
  item->next->prev = item->prev;
  list_init(item);
}
static inline struct list *list_pop(struct list *head) /* the first, or NULL */
{
  struct list *item = head->next;

  if (item == head)
    return NULL;
  list_remove(item);
  return item;
}
#endif
