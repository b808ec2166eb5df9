/* env.h - clock and randomness as a struct of functions, so that a test hands in its own. Made in main(), passed down.
 * Thread: any; the functions are thread-safe. */
#ifndef CORE_BASE_ENV_H
#define CORE_BASE_ENV_H
#include <stddef.h>
#include <stdint.h>

struct env {
  int64_t (*now_ms)(const struct env *);  /* wall clock, ms since 1970 UTC: for what is stored or shown */
  int64_t (*mono_ms)(const struct env *); /* monotonic: for waits and spans */
  void (*random)(const struct env *, void *to, size_t len); /* cryptographic */
  void *impl;
};
extern const struct env env_system; /* const: the real clocks and getrandom(2) */

/* A clock that a test moves. env.impl points at it. random is a seeded sequence. */
struct env_fake {
  struct env env;
  int64_t now_ms, mono_ms;
  uint64_t seed;
};
void env_fake_init(struct env_fake *fake, int64_t now_ms);
void env_fake_step(struct env_fake *fake, int64_t ms); /* moves both clocks */
double env_random_unit(const struct env *env);         /* [0, 1) */
#endif
