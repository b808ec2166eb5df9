#include "breaker.h"

bool breaker_allows(struct breaker *breaker, int64_t mono_ms)
{
  if (breaker->open_until_ms == 0)
    return true;
  if (mono_ms < breaker->open_until_ms || breaker->probing)
    return false;
  breaker->probing = true;
  return true;
}

static void breaker_span(struct breaker *breaker, int64_t mono_ms)
{
  if (mono_ms - breaker->span_from_ms < BREAKER_SPAN_MS)
    return;
  breaker->span_from_ms = mono_ms;
  breaker->good = breaker->bad = 0;
}

void breaker_good(struct breaker *breaker, int64_t mono_ms)
{
  breaker_span(breaker, mono_ms);
  breaker->good++;
  breaker->in_row = 0;
  breaker->probing = false;
  if (breaker->open_until_ms == 0)
    return;
  breaker->open_until_ms = 0; /* the door is open again */
  breaker->gap_ms = 0;
  breaker->bad = 0;
}

void breaker_bad(struct breaker *breaker, int64_t mono_ms)
{
  bool was_open = breaker->open_until_ms != 0;
  bool half;

  breaker_span(breaker, mono_ms);
  breaker->bad++;
  breaker->in_row++;
  breaker->probing = false;
  half = breaker->good + breaker->bad >= BREAKER_SAMPLE && breaker->bad * 2 >= breaker->good + breaker->bad;
  if (!was_open && breaker->in_row < BREAKER_FAILURES && !half)
    return;
  if (was_open && mono_ms < breaker->open_until_ms)
    return; /* an answer to what was under way when it opened */
  breaker->gap_ms = breaker->gap_ms == 0 ? BREAKER_GAP_MIN_MS : breaker->gap_ms * 2;
  if (breaker->gap_ms > BREAKER_GAP_MAX_MS)
    breaker->gap_ms = BREAKER_GAP_MAX_MS;
  breaker->open_until_ms = mono_ms + breaker->gap_ms;
}

void breaker_untried(struct breaker *breaker)
{
  breaker->probing = false;
}

int64_t breaker_open_until_ms(const struct breaker *breaker)
{
  return breaker->open_until_ms;
}
