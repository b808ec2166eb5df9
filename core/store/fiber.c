/* fiber.c - fibers by ucontext (POSIX.1-2001 makecontext, swapcontext); the sanitizers are told of each switch. */
#include "fiber.h"
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>
#if defined(__SANITIZE_ADDRESS__)
#define FIBER_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FIBER_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define FIBER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define FIBER_TSAN 1
#endif
#endif
#ifdef FIBER_ASAN
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef FIBER_TSAN
#include <sanitizer/tsan_interface.h>
#endif

struct fiber {
  struct list link; /* idle */
  struct fiber_pool *pool;
  ucontext_t self, outside;
  void (*fn)(struct fiber *self, void *arg);
  void *arg;
  char *stack; /* the guard page is below it */
  bool ended;
#ifdef FIBER_ASAN
  void *self_fake, *outside_fake;
  const void *outside_bottom;
  size_t outside_bytes;
#endif
#ifdef FIBER_TSAN
  void *tsan, *outside_tsan;
#endif
};

static size_t guard_bytes(void)
{
  return (size_t)sysconf(_SC_PAGESIZE);
}

static void go_in(struct fiber *fiber)
{
#ifdef FIBER_ASAN
  __sanitizer_start_switch_fiber(&fiber->outside_fake, fiber->stack, FIBER_STACK_BYTES);
#endif
#ifdef FIBER_TSAN
  fiber->outside_tsan = __tsan_get_current_fiber();
  __tsan_switch_to_fiber(fiber->tsan, 0);
#endif
  swapcontext(&fiber->outside, &fiber->self);
#ifdef FIBER_ASAN
  __sanitizer_finish_switch_fiber(fiber->outside_fake, NULL, NULL);
#endif
}

static void arrived_inside(struct fiber *fiber)
{
#ifdef FIBER_ASAN
  __sanitizer_finish_switch_fiber(fiber->self_fake, &fiber->outside_bottom, &fiber->outside_bytes);
#else
  (void)fiber;
#endif
}

void fiber_yield(struct fiber *self)
{
#ifdef FIBER_ASAN
  __sanitizer_start_switch_fiber(&self->self_fake, self->outside_bottom, self->outside_bytes);
#endif
#ifdef FIBER_TSAN
  __tsan_switch_to_fiber(self->outside_tsan, 0);
#endif
  swapcontext(&self->self, &self->outside);
  arrived_inside(self);
}

/* makecontext() hands over ints: the pointer comes in two halves. */
static void fiber_main(unsigned high, unsigned low)
{
  struct fiber *self = (struct fiber *)(uintptr_t)((uint64_t)high << 32 | low);

  arrived_inside(self);
  for (;;) {
    self->fn(self, self->arg);
    self->ended = true;
    fiber_yield(self); /* until it is started anew */
  }
}

static struct fiber *fiber_new(struct fiber_pool *pool)
{
  struct fiber *fiber = xcalloc(1, sizeof(*fiber));
  uint64_t at = (uint64_t)(uintptr_t)fiber;
  char *map = mmap(NULL, FIBER_STACK_BYTES + guard_bytes(), PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);

  if (map == MAP_FAILED || mprotect(map, guard_bytes(), PROT_NONE) != 0)
    abort(); /* as for any other memory that is not to be had */
  fiber->pool = pool;
  fiber->stack = map + guard_bytes();
  getcontext(&fiber->self);
  fiber->self.uc_stack.ss_sp = fiber->stack;
  fiber->self.uc_stack.ss_size = FIBER_STACK_BYTES;
  fiber->self.uc_link = NULL;
#ifdef FIBER_TSAN
  fiber->tsan = __tsan_create_fiber(0);
#endif
  makecontext(&fiber->self, (void (*)(void))(uintptr_t)fiber_main, 2, (unsigned)(at >> 32), (unsigned)at);
  return fiber;
}

static void fiber_free(struct fiber *fiber)
{
#ifdef FIBER_TSAN
  __tsan_destroy_fiber(fiber->tsan);
#endif
  munmap(fiber->stack - guard_bytes(), FIBER_STACK_BYTES + guard_bytes());
  free(fiber);
}

void fiber_resume(struct fiber *fiber)
{
  struct fiber_pool *pool = fiber->pool;

  go_in(fiber);
  if (!fiber->ended)
    return;
  if (pool->n_idle == FIBER_POOL_IDLE_MAX) {
    fiber_free(fiber);
    return;
  }
  pool->n_idle++;
  list_insert_before(pool->idle.next, &fiber->link); /* the warmest stack goes first */
}

void fiber_start(struct fiber_pool *pool, void (*fn)(struct fiber *self, void *arg), void *arg)
{
  struct list *idle = list_pop(&pool->idle);
  struct fiber *fiber = idle != NULL ? LIST_ITEM(idle, struct fiber, link) : fiber_new(pool);

  pool->n_idle -= idle != NULL;
  fiber->fn = fn;
  fiber->arg = arg;
  fiber->ended = false;
  fiber_resume(fiber);
}

void fiber_pool_init(struct fiber_pool *pool)
{
  list_init(&pool->idle);
  pool->n_idle = 0;
}

void fiber_pool_done(struct fiber_pool *pool)
{
  struct list *item;

  while ((item = list_pop(&pool->idle)) != NULL)
    fiber_free(LIST_ITEM(item, struct fiber, link));
  pool->n_idle = 0;
}
