// libraries: parley_phone
/* phone_lines - lines "COUNTRY<tab>NUMBER" in, one line out for each: E.164, or "!" and why it is refused. For phone_numbers.py. */
#include "core/base/text.h"
#include "core/message/phone.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const struct phone_table parley_phone_v1;

static void answer(parley_text line)
{
  struct phone_plan plan = {.read = parley_phone_v1.read};
  parley_text country = text_cut(&line, '\t'), number;
  struct arena *arena = arena_new();
  const char *why, *hint;

  memcpy(plan.country, country.at, country.len < sizeof plan.country ? country.len : 0);
  if (phone_normalise(&plan, line, arena, &number, &why, &hint))
    puts(number.at);
  else
    printf("!%s\n", why);
  arena_free(&arena);
}

int main(void)
{
  char *line = NULL;
  size_t room = 0;

  while (getline(&line, &room, stdin) > 0) {
    parley_text text = parley_text_of(line);

    text.len -= text_ends(text, "\n");
    answer(text);
  }
  free(line);
  return 0;
}
