#include "env.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

static int64_t clock_ms(clockid_t clock)
{
  struct timespec now;

  clock_gettime(clock, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int64_t system_now_ms(const struct env *env)
{
  (void)env;
  return clock_ms(CLOCK_REALTIME);
}

static int64_t system_mono_ms(const struct env *env)
{
  (void)env;
  return clock_ms(CLOCK_MONOTONIC);
}

static void system_random(const struct env *env, void *to, size_t len)
{
  (void)env;
  for (size_t done = 0; done < len;) {
    ssize_t got = getrandom((char *)to + done, len - done, 0);

    if (got < 0 && errno != EINTR)
      abort(); /* keys and ids from a broken source would be worse than no daemon */
    if (got > 0)
      done += (size_t)got;
  }
}

const struct env env_system = {.now_ms = system_now_ms, .mono_ms = system_mono_ms, .random = system_random};

static int64_t fake_now_ms(const struct env *env)
{
  const struct env_fake *fake = env->impl;

  return __atomic_load_n(&fake->now_ms, __ATOMIC_RELAXED);
}

static int64_t fake_mono_ms(const struct env *env)
{
  const struct env_fake *fake = env->impl;

  return __atomic_load_n(&fake->mono_ms, __ATOMIC_RELAXED);
}

/* A counter run through a mixer (SplitMix64): each draw is independent of the thread it is made on. */
static uint64_t fake_draw(struct env_fake *fake)
{
  uint64_t z = __atomic_add_fetch(&fake->seed, UINT64_C(0x9e3779b97f4a7c15), __ATOMIC_RELAXED);

  z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
  return z ^ z >> 31;
}

static void fake_random(const struct env *env, void *to, size_t len)
{
  for (size_t done = 0; done < len;) {
    uint64_t draw = fake_draw(env->impl);
    size_t part = len - done < sizeof(draw) ? len - done : sizeof(draw);

    memcpy((char *)to + done, &draw, part);
    done += part;
  }
}

void env_fake_init(struct env_fake *fake, int64_t now_ms)
{
  *fake = (struct env_fake){.now_ms = now_ms, .mono_ms = 1000000};
  fake->env = (struct env){.now_ms = fake_now_ms, .mono_ms = fake_mono_ms, .random = fake_random, .impl = fake};
}

void env_fake_step(struct env_fake *fake, int64_t ms)
{
  __atomic_add_fetch(&fake->now_ms, ms, __ATOMIC_RELAXED);
  __atomic_add_fetch(&fake->mono_ms, ms, __ATOMIC_RELAXED);
}

double env_random_unit(const struct env *env)
{
  uint64_t draw;

  env->random(env, &draw, sizeof(draw));
  return (double)(draw >> 11) / (double)(UINT64_C(1) << 53);
}
