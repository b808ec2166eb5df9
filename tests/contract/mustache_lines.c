/* mustache_lines - one JSON object a line in, {"template","data","partials"?,"kind"?}, one a line out: {"result"} or
 * {"error","line","column"}. For mustache.py, which compares. kind: text, line, escaped (default), html. */
#include "core/base/text.h"
#include "core/message/mustache.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool partial_find(parley_text name, parley_text *ret, void *arg)
{
  const json_t *found = json_object_getn(arg, name.at, name.len);

  if (!json_is_string(found))
    return false;
  *ret = (parley_text){json_string_value(found), json_string_length(found)};
  return true;
}

static enum mustache_kind kind_of(const char *word)
{
  return word == NULL               ? MUSTACHE_ESCAPED
         : strcmp(word, "text") == 0 ? MUSTACHE_TEXT
         : strcmp(word, "line") == 0 ? MUSTACHE_LINE
         : strcmp(word, "html") == 0 ? MUSTACHE_HTML
                                     : MUSTACHE_ESCAPED;
}

static json_t *answer(const json_t *asked)
{
  const json_t *source = json_object_get(asked, "template"), *data = json_object_get(asked, "data");
  enum mustache_kind kind = kind_of(json_string_value(json_object_get(asked, "kind")));
  struct mustache_partials partials = {
      .find = partial_find, .arg = json_object_get(asked, "partials"), .loose = kind == MUSTACHE_ESCAPED};
  struct buf out = BUF_INIT(0);
  struct mustache_error error = {.code = ""};
  struct mustache *made =
      mustache_read((parley_text){json_string_value(source), json_string_length(source)}, kind, &partials, &error);
  json_t *made_answer;

  if (made == NULL || mustache_render(made, &data, 1, &out, &error) != PARLEY_OK)
    made_answer = json_pack("{s:s, s:s, s:I, s:I}", "error", error.code, "why", error.why, "line", (json_int_t)error.line, "column",
                            (json_int_t)error.column);
  else
    made_answer = json_pack("{s:s%}", "result", out.at != NULL ? out.at : "", out.len);
  mustache_free(&made);
  buf_done(&out);
  return made_answer;
}

int main(void)
{
  char *line = NULL;
  size_t room = 0;

  while (getline(&line, &room, stdin) > 0) {
    json_t *asked = json_loads(line, JSON_DECODE_ANY, NULL), *made = answer(asked);

    json_dumpf(made, stdout, JSON_COMPACT);
    putchar('\n');
    fflush(stdout);
    json_decref(made);
    json_decref(asked);
  }
  free(line);
  return 0;
}
