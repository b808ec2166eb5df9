#include "email_backoff.h"

uint32_t email_backoff_ms(uint32_t failures)
{
  uint32_t ms = EMAIL_BACKOFF_MIN_MS;

  for (uint32_t i = 1; i < failures && ms < EMAIL_BACKOFF_MAX_MS; i++)
    ms *= 2;
  return ms < EMAIL_BACKOFF_MAX_MS ? ms : EMAIL_BACKOFF_MAX_MS;
}
