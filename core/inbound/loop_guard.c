#include "loop_guard.h"
#include "core/base/alloc.h"
#include "core/base/digest.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define HOUR_MS 3600000

struct counted { /* one address; its bucket runs empty within an hour */
  uint8_t who[SHA256_BYTES];
  int64_t at_ms; /* 0: free */
  double level;
};
struct loop_guard {
  uint32_t per_hour;
  size_t n_max, n;
  struct counted *rows;
};

struct loop_guard *loop_guard_new(uint32_t per_hour, size_t addresses_max)
{
  struct loop_guard *guard = xcalloc(1, sizeof *guard);

  guard->per_hour = per_hour;
  guard->n_max = addresses_max;
  guard->rows = xcalloc(addresses_max, sizeof *guard->rows);
  return guard;
}

void loop_guard_free(struct loop_guard **guard)
{
  if (*guard != NULL)
    free((*guard)->rows);
  free(*guard);
  *guard = NULL;
}

static void who_hash(parley_text channel, parley_text address, uint8_t ret[SHA256_BYTES])
{
  struct buf text = BUF_INIT(0);

  buf_text(&text, channel);
  buf_char(&text, '\0');
  for (size_t i = 0; i < address.len; i++)
    buf_char(&text, (char)tolower((unsigned char)address.at[i]));
  sha256((parley_bytes)buf_as_text(&text), ret);
  buf_done(&text);
}

static struct counted *row_of(struct loop_guard *guard, const uint8_t who[SHA256_BYTES])
{
  struct counted *oldest = &guard->rows[0];

  for (size_t i = 0; i < guard->n; i++) {
    if (memcmp(guard->rows[i].who, who, SHA256_BYTES) == 0)
      return &guard->rows[i];
    if (guard->rows[i].at_ms < oldest->at_ms)
      oldest = &guard->rows[i];
  }
  if (guard->n < guard->n_max)
    oldest = &guard->rows[guard->n++];
  *oldest = (struct counted){.at_ms = 0};
  memcpy(oldest->who, who, SHA256_BYTES);
  return oldest;
}

bool loop_guard_over(struct loop_guard *guard, parley_text channel, parley_text address, int64_t mono_ms)
{
  uint8_t who[SHA256_BYTES];
  struct counted *row;

  who_hash(channel, address, who);
  row = row_of(guard, who);
  row->level -= (double)(mono_ms - row->at_ms) * guard->per_hour / HOUR_MS;
  if (row->level < 0)
    row->level = 0;
  row->at_ms = mono_ms;
  if (row->level + 1 > guard->per_hour)
    return true;
  row->level++;
  return false;
}
