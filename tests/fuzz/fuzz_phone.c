// libraries: parley_phone
/* phone_normalise(): the first byte picks the country, or none. What comes out is '+' and 7 to 15 digits, stays as it is when it is
 * read again, with or without a plan, and a refusal has words. */
#include "core/base/text.h"
#include "core/message/phone.h"
#include <stdlib.h>
#include <string.h>

extern const struct phone_table parley_phone_v1;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool is)
{
  if (!is)
    abort();
}

static void number_check(parley_text number, const struct phone_plan *plan, struct arena *arena)
{
  const char *why, *hint;
  parley_text again;

  must(number.len >= 1 + PHONE_DIGITS_MIN && number.len <= 1 + PHONE_DIGITS_MAX && number.at[0] == '+' && number.at[1] != '0');
  for (size_t i = 1; i < number.len; i++)
    must(number.at[i] >= '0' && number.at[i] <= '9');
  must(phone_normalise(plan, number, arena, &again, &why, &hint) && text_eq(number, again));
  must(phone_normalise(NULL, number, arena, &again, &why, &hint) && text_eq(number, again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static const char *const countries[] = {"", "ES", "US", "AR", "BR", "MX", "DE", "IT", "JP", "CI", "GB", "NO"};
  const char *country = countries[size > 0 ? data[0] % (sizeof countries / sizeof countries[0]) : 0], *why = NULL, *hint;
  struct phone_plan plan = {.read = country[0] != '\0' ? parley_phone_v1.read : NULL};
  struct arena *arena = arena_new();
  parley_text number;

  memcpy(plan.country, country, strlen(country));
  if (phone_normalise(&plan, size > 0 ? (parley_text){(const char *)data + 1, size - 1} : TEXT_EMPTY, arena, &number, &why, &hint))
    number_check(number, &plan, arena);
  else
    must(why != NULL && why[0] != '\0');
  arena_free(&arena);
  return 0;
}
