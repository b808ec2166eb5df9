/* bench.h - what the bench programs share: clocks, random numbers, a latency histogram, option values.
 * Owns nothing. Thread: any, a histogram and a random state belong to one thread each. Times: microseconds. */
#ifndef PARLEY_BENCH_H
#define PARLEY_BENCH_H

#include <stddef.h>
#include <stdint.h>

#define US_PER_S 1000000
#define US_PER_MS 1000

struct slice {
  const char *data;
  size_t size;
};

/* Log-linear: 64 buckets to a power of two, so that a quantile is off by less than 2 %. */
#define HISTOGRAM_STEPS 64
#define HISTOGRAM_BUCKETS (40 * HISTOGRAM_STEPS)

struct histogram {
  uint64_t count;
  uint64_t max_us;
  uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *histogram, int64_t us);
double histogram_quantile_us(const struct histogram *histogram, double quantile);

int64_t bench_wall_us(void);
int64_t bench_mono_us(void);

/* xorshift64*; *state starts as anything but 0. */
uint64_t bench_random(uint64_t *state);
/* A state that differs from run to run. */
uint64_t bench_seed(void);

/* The value of an option; ends the program with exit code 2 when it is no whole number from min to max. */
long bench_number(char option, const char *text, long min, long max);
/* Writes value with leading zeros into exactly `width` bytes at out, no NUL. */
void bench_digits(char *out, size_t width, uint64_t value);
/* memory, or the end of the program. */
void *bench_alloc(size_t size);
void *bench_realloc(void *memory, size_t size);
/* Where a body says when its message was made: "ts=<us>" or "\"ts\":<us>"; 0 when it doesn't. */
int64_t bench_stamp_us(struct slice body);
_Noreturn void bench_die(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
