/* postgres_lock.c - see postgres.h. */
#include "postgres.h"
#include <stdlib.h>

struct pg_lock {
  struct list link;    /* in its owner's `held` */
  struct list waiters; /* struct waiter */
  uint64_t key;
  struct pg_db *owner;
};
struct waiter { struct list link; struct pg_db *db; };

static struct pg_lock *lock_of(struct pg_db *db, uint64_t key)
{
  return map_get(&db->on->store->locks.map, key);
}

static void take(struct pg_db *db, uint64_t key)
{
  struct pg_lock *lock = xcalloc(1, sizeof(*lock));

  lock->key = key;
  lock->owner = db;
  list_init(&lock->waiters);
  list_push(&db->held, &lock->link);
  map_put(&db->on->store->locks.map, key, lock);
}

static void wait_for(struct pg_db *db, struct pg_lock *lock)
{
  struct waiter waiter = {.db = db};

  list_push(&lock->waiters, &waiter.link);
  pg_db_wait(db);
  list_remove(&waiter.link);
}

void pg_locks_take(struct pg_db *db, const uint64_t *keys, size_t n)
{
  for (size_t i = 0; i < n && !db->on->lost;) {
    struct pg_lock *lock = lock_of(db, keys[i]);

    if (lock == NULL || lock->owner == db) {
      i++;
    } else {
      wait_for(db, lock);
      i = 0; /* another may have been taken meanwhile */
    }
  }
  for (size_t i = 0; i < n; i++)
    if (lock_of(db, keys[i]) == NULL)
      take(db, keys[i]);
}

bool pg_lock_first(struct pg_db *db, uint64_t key)
{
  struct pg_locks *locks = &db->on->store->locks;
  bool first;

  pg_locks_take(db, &key, 1);
  first = map_get(&locks->had, key) == NULL;
  if (first)
    map_put(&locks->had, key, locks);
  return first;
}

void pg_locks_new_round(struct pg_locks *locks)
{
  map_done(&locks->had);
}

void pg_locks_drop(struct pg_db *db)
{
  struct list *item, *waits;

  while ((item = list_pop(&db->held)) != NULL) {
    struct pg_lock *lock = LIST_ITEM(item, struct pg_lock, link);

    map_take(&db->on->store->locks.map, lock->key);
    while ((waits = list_pop(&lock->waiters)) != NULL)
      pg_link_ready(db->on, LIST_ITEM(waits, struct waiter, link)->db);
    free(lock);
  }
}
