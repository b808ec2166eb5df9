/* mustache_read() and mustache_render(): the first byte is the kind and whether partials may be loose; what stands behind the first
 * NUL is a partial, p. Whatever the template, it ends: with an error that has a place, or with text. A value never becomes markup where
 * nothing is asked for raw, nor a control character in a line; what is rendered twice is the same. */
#include "core/base/text.h"
#include "core/message/mustache.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define must(condition) \
  do {                  \
    if (!(condition))   \
      abort();          \
  } while (0)

static bool partial_find(parley_text name, parley_text *ret, void *arg)
{
  *ret = *(const parley_text *)arg;
  return parley_text_is(name, "p");
}

static bool text_is_raw(parley_text text) /* {{{x}}} or {{&x}} may stand in it, or what is looked for */
{
  return text_find_text(text, PARLEY_LIT("zqz")) != SIZE_MAX || text_find(text, '&') < text.len ||
         text_find_text(text, PARLEY_LIT("{{{")) != SIZE_MAX || text_find(text, '=') < text.len;
}

static void rendered_check(parley_text source, parley_text partial, enum mustache_kind kind, parley_text out)
{
  if (kind == MUSTACHE_HTML && !text_is_raw(source) && !text_is_raw(partial))
    must(text_find_text(out, PARLEY_LIT("<zqz")) == SIZE_MAX);
  if (kind == MUSTACHE_LINE && !text_has_control(source) && !text_has_control(partial))
    must(!text_has_control(out));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static const char values[] = "{\"a\":[1,{\"b\":\"x\"},[2,null]],\"b\":\"<zqz\\\"'&\\r\\n\",\"c\":{\"a\":false,\"d\":{\"b\":1.5}},"
                               "\"s\":\"javascript:x\",\"n\":0,\"e\":\"\"}";
  parley_text source = {(const char *)data + 1, size > 0 ? size - 1 : 0}, partial;
  enum mustache_kind kind = size > 0 ? data[0] % (MUSTACHE_LINK + 1) : MUSTACHE_TEXT;
  struct mustache_partials partials = {.find = partial_find, .arg = &partial, .loose = size > 0 && (data[0] & 0x80) != 0};
  struct buf out = BUF_INIT(0), again = BUF_INIT(0);
  struct mustache_error error;
  struct mustache *made;
  json_t *json = json_loads(values, 0, NULL);
  const json_t *context = json;

  partial = source;
  source = text_cut(&partial, '\0');
  made = mustache_read(source, kind, &partials, &error);
  must((made == NULL) == (error.code[0] != '\0') && (made != NULL || (error.line > 0 && error.column > 0)));
  if (made != NULL && mustache_render(made, &context, 1, &out, &error) == PARLEY_OK) {
    rendered_check(source, partial, kind, buf_as_text(&out));
    must(mustache_render(made, &context, 1, &again, &error) == PARLEY_OK);
    must(text_eq(buf_as_text(&out), buf_as_text(&again)));
  } else {
    must(out.len == 0);
  }
  mustache_free(&made);
  buf_done(&out);
  buf_done(&again);
  json_decref(json);
  return 0;
}
