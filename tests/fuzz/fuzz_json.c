/* json_read() against jansson's own reader: what we take, jansson takes too and reads the same; what jansson takes and
 * we do not is one of the things that json.h says we refuse. */
#include "core/base/text.h"
#include "core/message/json.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool ours_to_refuse(const char *code)
{
  return strcmp(code, "bad_number") == 0 || strcmp(code, "too_deep") == 0 || strcmp(code, "too_many_values") == 0 ||
         strcmp(code, "bad_encoding") == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  struct arena *arena = arena_new();
  struct problems problems;
  json_error_t error;
  json_t *ours, *theirs;

  problems_init(&problems, arena);
  ours = json_read((parley_bytes){(const char *)data, size}, &problems);
  theirs = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
  if ((ours == NULL) != (problems.count == 1))
    abort();
  if (ours != NULL && (theirs == NULL || !json_equal(ours, theirs)))
    abort();
  if (ours == NULL && theirs != NULL && !ours_to_refuse(problems.rows[0].code))
    abort();
  if (ours == NULL && !text_utf8_ok(problems.rows[0].detail))
    abort();
  json_decref(ours);
  json_decref(theirs);
  arena_free(&arena);
  return 0;
}
