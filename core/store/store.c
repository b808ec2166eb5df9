/* store.c - the front of every driver: limits, who writes and who reads, and completion on the loop. */
#include "driver.h"
#include "core/base/arena.h"
#include "core/base/text.h"
#include <assert.h>
#include <stdlib.h>

#define ACCEPT_BYTES 2048 /* of the results of one message */

struct store {
  const struct store_driver *driver;
  void *impl;
  const struct env *env;
  struct store_config config;
  uv_async_t wake;
  uv_prepare_t turn_end;
  struct list gathered; /* writes of this turn of the loop */
  uint32_t open_handles;
  size_t n_writes, n_reads; /* submitted and not done; loop only */
  bool closing;
  void (*closed)(void *arg);
  void *closed_arg;

  uv_mutex_t lock; /* guards what follows */
  struct list finished;
  struct store_gauges gauges;
  uint64_t last_seq; /* newest one not told to committed() yet */
  bool driver_closed, broken;
};

static bool is_read(enum store_kind kind)
{
  return kind >= STORE_MESSAGE || kind == STORE_BACKUP;
}

static void op_done(struct store *store, struct store_op *op)
{
  if (is_read(op->kind))
    store->n_reads--;
  else
    store->n_writes--;
  op->done(op);
}

static void on_handle_closed(uv_handle_t *handle) /* the only place that frees a store which was open */
{
  struct store *store = handle->data;
  void (*closed)(void *) = store->closed;
  void *arg = store->closed_arg;

  if (--store->open_handles > 0)
    return;
  store->driver->free(store->impl);
  uv_mutex_destroy(&store->lock);
  free(store);
  if (closed != NULL)
    closed(arg);
}

static void on_wake(uv_async_t *handle)
{
  struct store *store = container_of(handle, struct store, wake);
  struct list *item, ready;
  uint64_t last_seq;
  bool driver_closed;

  list_init(&ready);
  uv_mutex_lock(&store->lock);
  while ((item = list_pop(&store->finished)) != NULL)
    list_push(&ready, item);
  last_seq = store->last_seq;
  store->last_seq = 0;
  driver_closed = store->driver_closed;
  uv_mutex_unlock(&store->lock);

  while ((item = list_pop(&ready)) != NULL)
    op_done(store, LIST_ITEM(item, struct store_op, link));
  if (last_seq != 0 && store->config.committed != NULL && !store->closing)
    store->config.committed(last_seq, store->config.arg);
  if (driver_closed && !uv_is_closing((uv_handle_t *)handle)) {
    uv_close((uv_handle_t *)handle, on_handle_closed);
    uv_close((uv_handle_t *)&store->turn_end, on_handle_closed);
  } else if (store->n_writes + store->n_reads == 0 && !store->closing)
    uv_unref((uv_handle_t *)handle);
}

/* What one turn of the loop has submitted goes to the driver together: the first op alone would begin a round of its own. */
static void writes_hand_over(struct store *store)
{
  struct list *item;

  if (list_empty(&store->gathered))
    return;
  while ((item = list_pop(&store->gathered)) != NULL)
    store->driver->write(store->impl, LIST_ITEM(item, struct store_op, link));
  if (store->driver->written != NULL)
    store->driver->written(store->impl);
}

static void on_turn_end(uv_prepare_t *handle)
{
  writes_hand_over(container_of(handle, struct store, turn_end));
}

const struct store_driver *store_driver_find(const char *name)
{
  static const struct store_driver *const drivers[] = {&store_driver_sqlite, &store_driver_postgres};

  for (size_t i = 0; i < COUNT_OF(drivers); i++)
    if (parley_text_is(parley_text_of(name), drivers[i]->name))
      return drivers[i];
  return NULL;
}

parley_status store_reach(const struct store_config *config, bool connect, struct buf *reterr_why)
{
  const struct store_driver *driver = store_driver_find(config->driver);

  return driver == NULL || driver->reach == NULL ? PARLEY_OK : driver->reach(config, connect, reterr_why);
}

parley_status store_open(const struct store_config *config, uv_loop_t *loop, const struct env *env, const struct log *log,
                         struct store **ret, struct buf *reterr_why)
{
  struct store *store = xcalloc(1, sizeof(*store));
  parley_status st = PARLEY_INVALID;

  store->env = env;
  store->config = *config;
  store->gauges.accepting = true;
  list_init(&store->finished);
  list_init(&store->gathered);
  store->driver = store_driver_find(config->driver);
  if (store->driver == NULL) {
    buf_printf(reterr_why, "store: there is no driver '%s'", config->driver);
    free(store);
    return st;
  }
  uv_mutex_init(&store->lock);
  st = store->driver->open(config, loop, env, log, store, &store->impl, reterr_why);
  if (st != PARLEY_OK) {
    uv_mutex_destroy(&store->lock);
    free(store);
    return st;
  }
  uv_async_init(loop, &store->wake, on_wake); /* nothing wakes us before the first op */
  uv_unref((uv_handle_t *)&store->wake);      /* open ops keep the loop alive, an idle store does not */
  uv_prepare_init(loop, &store->turn_end);
  uv_prepare_start(&store->turn_end, on_turn_end);
  uv_unref((uv_handle_t *)&store->turn_end);
  store->wake.data = store->turn_end.data = store;
  store->open_handles = 2;
  *ret = store;
  return PARLEY_OK;
}

static void op_refuse(struct store *store, struct store_op *op, parley_status status)
{
  struct list refused;

  op->status = status;
  list_init(&refused);
  list_push(&refused, &op->link);
  store_finish(store, &refused);
}

void store_submit(struct store *store, struct store_op *op)
{
  size_t *n = is_read(op->kind) ? &store->n_reads : &store->n_writes;
  size_t limit = is_read(op->kind) ? STORE_READ_QUEUE_MAX : STORE_QUEUE_MAX;

  op->status = PARLEY_OK;
  /* Here, so that the thread that frees it made it: allocators like that. */
  op->arena = op->kind == STORE_ACCEPT ? arena_new_for(ACCEPT_BYTES) : arena_new();
  op->replay = REPLAY_NO;
  op->queued_ms = store->env->mono_ms(store->env);
  list_init(&op->link);
  uv_ref((uv_handle_t *)&store->wake);
  if (++*n > limit)
    op_refuse(store, op, PARLEY_BUSY);
  else if (store->closing)
    op_refuse(store, op, PARLEY_RETRY);
  else if (is_read(op->kind))
    store->driver->read(store->impl, op);
  else
    list_push(&store->gathered, &op->link);
}

void store_close(struct store **store, void (*closed)(void *arg), void *arg)
{
  struct store *closing = *store;

  *store = NULL;
  assert(!closing->closing);
  closing->closing = true;
  closing->closed = closed;
  closing->closed_arg = arg;
  uv_ref((uv_handle_t *)&closing->wake);
  writes_hand_over(closing);
  closing->driver->close(closing->impl);
}

void store_finish(struct store *front, struct list *ops)
{
  struct list *item;

  uv_mutex_lock(&front->lock);
  while ((item = list_pop(ops)) != NULL)
    list_push(&front->finished, item);
  uv_mutex_unlock(&front->lock);
  uv_async_send(&front->wake);
}

void store_round_ended(struct store *front, const struct store_gauges *gauges, uint64_t last_seq)
{
  uv_mutex_lock(&front->lock);
  front->gauges = *gauges;
  if (last_seq != 0)
    front->last_seq = last_seq;
  uv_mutex_unlock(&front->lock);
}

void store_broke(struct store *front)
{
  uv_mutex_lock(&front->lock);
  front->broken = true;
  uv_mutex_unlock(&front->lock);
}

void store_closed(struct store *front)
{
  uv_mutex_lock(&front->lock);
  front->driver_closed = true;
  uv_async_send(&front->wake); /* under the lock: the loop may free the front as soon as it has seen the flag */
  uv_mutex_unlock(&front->lock);
}

void store_gauges(const struct store *store, struct store_gauges *ret)
{
  struct store *open = (struct store *)(uintptr_t)store; /* only to lock it */

  uv_mutex_lock(&open->lock);
  *ret = store->gauges;
  ret->broken = store->broken;
  uv_mutex_unlock(&open->lock);
  if (ret->broken) {
    ret->accepting = false;
    ret->why_not = "the disk failed; the store must be opened anew";
  }
  ret->waiting = store->n_writes;
}

bool store_may_send(const struct store *store)
{
  struct store_gauges gauges;

  if (!store->driver->leased)
    return true;
  store_gauges(store, &gauges);
  return store->env->mono_ms(store->env) - gauges.alive_ms < STORE_LEASE_MS / 2;
}

const uint8_t *store_secret(const struct store *store)
{
  return store->driver->secret(store->impl);
}

const struct store_restored *store_restored(const struct store *store)
{
  return store->driver->restored(store->impl);
}
