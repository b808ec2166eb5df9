/* Bodies of forms. The first byte chooses the type; fields are UTF-8, as many as may be, and never more than what came in.
 * Accept-Language goes the same way. */
#include "core/api/page_text.h"
#include "core/base/text.h"
#include "core/net/form.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static const parley_text types[] = {PARLEY_LIT("application/x-www-form-urlencoded"), PARLEY_LIT("multipart/form-data; boundary=b"),
                                      PARLEY_LIT("multipart/form-data; boundary=\"--\"")};
  struct arena *arena = arena_new();
  parley_text in, line;
  struct form form;
  enum lang lang = LANG_EN;
  size_t total = 0;

  if (size > 0) {
    in = (parley_text){(const char *)data + 1, size - 1};
    line = in;
    if (data[0] % 4 == 3)
      form_read(text_cut(&line, '\n'), line, arena, &form); /* its own type */
    else if (form_read(types[data[0] % 4], in, arena, &form))
      for (size_t i = 0; i < form.n; i++) {
        if (!text_utf8_ok(form.fields[i].name) || !text_utf8_ok(form.fields[i].value))
          abort();
        total += form.fields[i].name.len + form.fields[i].value.len;
      }
    if (total > size || form.n > FORM_FIELDS_MAX)
      abort();
    if (page_lang_accepted(in, &lang) && lang >= LANGS)
      abort();
  }
  arena_free(&arena);
  return 0;
}
