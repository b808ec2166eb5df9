/* html_to_text(): whatever comes in, UTF-8 comes out, no longer than a few times the input, without control characters
 * but line breaks and tabs, and without blank lines in a row. */
#include "core/base/text.h"
#include "core/message/fit.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  struct arena *arena = arena_new();
  parley_text text = html_to_text((parley_text){(const char *)data, size}, arena);

  if (!text_utf8_ok(text) || text.len > 8 * size + 8 || text_find_text(text, PARLEY_LIT("\n\n\n")) != SIZE_MAX)
    abort();
  for (size_t i = 0; i < text.len; i++)
    if ((unsigned char)text.at[i] < 0x20 && text.at[i] != '\n' && text.at[i] != '\t')
      abort();
  if (text.len > 0 && (text.at[0] == '\n' || text.at[text.len - 1] == '\n'))
    abort();
  arena_free(&arena);
  return 0;
}
