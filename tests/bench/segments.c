/* segments - what it costs to fit a text of 1 KiB to an SMS channel: which alphabet, how long, cut into segments.
 *
 * Measured is fit_content() with its arena, as a delivery does it.
 *
 * usage: segments [-n TEXTS=100000]
 * One line of JSON: for each kind of text its segments, and the median of batches of 100 in microseconds of CPU. */
#include "bench.h"
#include "core/base/alloc.h"
#include "core/base/text.h"
#include "core/message/fit.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { TEXT_BYTES = 1024, BATCH = 100, BATCHES_MAX = 100000 };

#define SMS_TEXT(unit_, alone, joined)                                                                           \
  {                                                                                                              \
    .size = sizeof(parley_feature), .what = PARLEY_PART_TEXT, .level = PARLEY_LEVEL_NATIVE, .unit = (unit_),     \
    .length_max = (alone), .joined_max = (joined), .count_max = FIT_PARTS_MAX                                    \
  }
static const parley_feature gsm7 = SMS_TEXT(PARLEY_UNIT_GSM7, 160, 153), ucs2 = SMS_TEXT(PARLEY_UNIT_UTF16, 70, 67);
static const parley_feature *const features[] = {&gsm7, &ucs2, NULL};
static const parley_capabilities sms = {.size = sizeof sms, .flags = PARLEY_SIMPLIFY, .channel_kind = "sms", .features = features};

static const struct {
  const char *name, *words;
} kinds[] = {
    {"ascii", "Your order 1042 is on its way and will be with you on Friday before noon. "},
    {"gsm7", "\xc2\xbf" "Qu\xc3\xa9 tal? Your caf\xc3\xa9 cr\xc3\xa8me "
             "costs 12 \xe2\x82\xac [net]; a se\xc3\xb1or M\xc3\xbcller has it. "},
    {"simplified", "\xe2\x80\x9cIt\xe2\x80\x99s here\xe2\x80\x9d \xe2\x80\x93 your order is on its way\xe2\x80\xa6 "},
    {"ucs2", "\xd0\x97\xd0\xb0\xd0\xba\xd0\xb0\xd0\xb7 1042 \xd0\xb2 \xd0\xbf\xd1\x83\xd1\x82\xd0\xb8 \xf0\x9f\x9a\x9a. "},
};

static int by_size(const void *a, const void *b)
{
  double x = *(const double *)a, y = *(const double *)b;

  return (x > y) - (x < y);
}

static double cpu_us(void)
{
  struct timespec now;

  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static size_t fit_once(const struct content *content)
{
  struct arena *arena = arena_new();
  struct fitted fitted;
  const char *code;
  size_t n = 0;

  if (fit_content(content, &sms, arena, NULL, NULL, &fitted, &code) == PARLEY_OK)
    n = fitted.n_parts;
  arena_free(&arena);
  return n;
}

static void kind_measure(size_t kind, long n_texts, double *batches)
{
  struct buf text = BUF_INIT(0);
  struct content content = {.n_media = 0};
  long n_batches = n_texts / BATCH;
  size_t n_segments = 0;

  while (text.len < TEXT_BYTES)
    buf_str(&text, kinds[kind].words);
  content.text = text_sub(buf_as_text(&text), 0, text_utf8_cut(buf_as_text(&text), TEXT_BYTES));
  for (long i = 0; i < n_batches; i++) {
    double before = cpu_us();

    for (int j = 0; j < BATCH; j++)
      n_segments = fit_once(&content);
    batches[i] = (cpu_us() - before) / BATCH;
  }
  qsort(batches, (size_t)n_batches, sizeof *batches, by_size);
  printf("%s\"%s\": {\"segments\": %zu, \"us\": %.3f}", kind > 0 ? ", " : "", kinds[kind].name, n_segments, batches[n_batches / 2]);
  buf_done(&text);
}

int main(int argc, char **argv)
{
  long n = 100000;
  double *batches;

  for (int option; (option = getopt(argc, argv, "n:")) != -1;) {
    if (option != 'n')
      return 2;
    n = bench_number('n', optarg, BATCH, (long)BATCH * BATCHES_MAX);
  }
  batches = bench_alloc((size_t)(n / BATCH) * sizeof *batches);
  printf("{");
  for (size_t i = 0; i < COUNT_OF(kinds); i++)
    kind_measure(i, n, batches);
  printf("}\n");
  free(batches);
  return 0;
}
