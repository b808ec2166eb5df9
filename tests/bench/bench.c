#include "bench.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define EXIT_USAGE 2
#define STAMP_DIGITS_MAX 20

static size_t histogram_index(uint64_t us)
{
  uint64_t value = us;
  size_t power = 0;
  size_t index;

  while (value >= 2 * HISTOGRAM_STEPS) {
    value >>= 1;
    power++;
  }
  index = power * HISTOGRAM_STEPS + (size_t)value;
  return index < HISTOGRAM_BUCKETS ? index : HISTOGRAM_BUCKETS - 1;
}

static double histogram_value_us(size_t index)
{
  if (index < 2 * HISTOGRAM_STEPS)
    return (double)index;
  return (double)(index % HISTOGRAM_STEPS + HISTOGRAM_STEPS) * (double)(1ULL << (index / HISTOGRAM_STEPS - 1));
}

void histogram_add(struct histogram *histogram, int64_t us)
{
  uint64_t value = us > 0 ? (uint64_t)us : 0;

  histogram->buckets[histogram_index(value)]++;
  histogram->count++;
  if (value > histogram->max_us)
    histogram->max_us = value;
}

double histogram_quantile_us(const struct histogram *histogram, double quantile)
{
  uint64_t wanted = (uint64_t)((double)histogram->count * quantile);
  uint64_t seen = 0;

  for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
    seen += histogram->buckets[i];
    if (histogram->buckets[i] > 0 && (seen > wanted || seen == histogram->count))
      return histogram_value_us(i);
  }
  return 0;
}

static int64_t clock_us(clockid_t clock)
{
  struct timespec now;

  clock_gettime(clock, &now);
  return (int64_t)now.tv_sec * US_PER_S + now.tv_nsec / 1000;
}

int64_t bench_wall_us(void)
{
  return clock_us(CLOCK_REALTIME);
}

int64_t bench_mono_us(void)
{
  return clock_us(CLOCK_MONOTONIC);
}

uint64_t bench_random(uint64_t *state)
{
  uint64_t value = *state;

  value ^= value >> 12;
  value ^= value << 25;
  value ^= value >> 27;
  *state = value;
  return value * 0x2545F4914F6CDD1DULL;
}

uint64_t bench_seed(void)
{
  return ((uint64_t)bench_wall_us() << 16) ^ (uint64_t)getpid() ^ 1;
}

long bench_number(char option, const char *text, long min, long max)
{
  char *end = NULL;
  long value;

  errno = 0;
  value = strtol(text, &end, 10);
  if (errno != 0 || end == text || *end != '\0' || value < min || value > max)
    bench_die("-%c %s: want a whole number from %ld to %ld", option, text, min, max);
  return value;
}

void bench_digits(char *out, size_t width, uint64_t value)
{
  for (size_t i = width; i > 0; i--) {
    out[i - 1] = (char)('0' + value % 10);
    value /= 10;
  }
}

void *bench_alloc(size_t size)
{
  void *memory = calloc(1, size);

  if (memory == NULL)
    bench_die("out of memory");
  return memory;
}

void *bench_realloc(void *memory, size_t size)
{
  void *grown = realloc(memory, size);

  if (grown == NULL)
    bench_die("out of memory");
  return grown;
}

int64_t bench_stamp_us(struct slice body)
{
  const char *found = memmem(body.data, body.size, "\"ts\":", 5);
  size_t left;
  int64_t value = 0;

  if (found != NULL)
    found += 5;
  else if ((found = memmem(body.data, body.size, "ts=", 3)) != NULL)
    found += 3;
  else
    return 0;
  left = body.size - (size_t)(found - body.data);
  for (size_t i = 0; i < left && i < STAMP_DIGITS_MAX && found[i] >= '0' && found[i] <= '9'; i++)
    value = value * 10 + (found[i] - '0');
  return value;
}

void bench_die(const char *format, ...)
{
  va_list values;

  va_start(values, format);
  vfprintf(stderr, format, values);
  va_end(values);
  fputc('\n', stderr);
  exit(EXIT_USAGE);
}
