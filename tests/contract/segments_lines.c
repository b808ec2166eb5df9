/* segments_lines - our segments behind lines of JSON, for tests/contract/segments.py: {"text","simplify"} ->
 * {"alphabet","segments","units":[of each part],"texts":[...],"whole"} or {"error"}. whole: of a text that the provider cuts itself. */
#include "core/base/text.h"
#include "core/message/fit_text.h"
#include "core/message/segments.h"
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#define SMS_TEXT(unit_, alone, joined)                                                                       \
  {                                                                                                          \
    .size = sizeof(parley_feature), .what = PARLEY_PART_TEXT, .level = PARLEY_LEVEL_NATIVE, .unit = (unit_), \
    .length_max = (alone), .joined_max = (joined), .count_max = FIT_PARTS_MAX                                \
  }
static const parley_feature gsm7 = SMS_TEXT(PARLEY_UNIT_GSM7, 160, 153), ucs2 = SMS_TEXT(PARLEY_UNIT_UTF16, 70, 67);
static const parley_feature *const features[] = {&gsm7, &ucs2, NULL};

static json_t *answer_of(const struct fitted *fitted)
{
  struct segments segments = segments_of(fitted);
  json_t *units = json_array(), *texts = json_array();
  struct buf whole = BUF_INIT(0);
  json_t *answer;

  for (size_t i = 0; i < fitted->n_parts; i++) {
    parley_text text = fitted->parts[i]->text;

    json_array_append_new(units, json_integer((json_int_t)text_units(text, fitted->parts[i]->unit, SIZE_MAX)));
    json_array_append_new(texts, json_stringn(text.at, text.len));
    buf_text(&whole, text);
  }
  answer = json_pack("{s:s, s:i, s:o, s:o, s:i}", "alphabet", segments_alphabet(segments.unit), "segments", (int)segments.count,
                     "units", units, "texts", texts, "whole", (int)segments_count(buf_as_text(&whole), segments.unit));
  buf_done(&whole);
  return answer;
}

static json_t *asked(const json_t *question, struct arena *arena)
{
  const json_t *text = json_object_get(question, "text");
  const struct content content = {.text = {json_string_value(text), json_string_length(text)}};
  const parley_capabilities caps = {.size = sizeof caps, .features = features,
                                    .flags = json_is_true(json_object_get(question, "simplify")) ? PARLEY_SIMPLIFY : 0};
  struct fitted fitted;
  const char *code = "";

  if (fit_content(&content, &caps, arena, NULL, NULL, &fitted, &code) != PARLEY_OK)
    return json_pack("{s:s}", "error", code);
  return answer_of(&fitted);
}

int main(void)
{
  char *line = NULL;
  size_t room = 0;

  while (getline(&line, &room, stdin) > 0) {
    json_t *question = json_loads(line, 0, NULL), *answer;
    struct arena *arena = arena_new();

    answer = asked(question, arena);
    json_dumpf(answer, stdout, JSON_COMPACT);
    puts("");
    fflush(stdout);
    json_decref(answer);
    json_decref(question);
    arena_free(&arena);
  }
  free(line);
  return 0;
}
