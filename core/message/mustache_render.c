/* The renderer: walks the steps with a stack of values. */
#include "core/base/alloc.h"
#include "core/base/text.h"
#include "mustache_in.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONTEXTS_MAX (2 * MUSTACHE_DEPTH_MAX + 8)
#define NUMBER_BYTES 32

struct rendering {
  const struct mustache *mustache;
  struct buf *out;
  struct mustache_error *error;
  size_t n_contexts, steps, begin, link_begin;
  uint32_t depth, block;
  parley_text blanks; /* what a partial's tag had before it in its line: goes before each of the partial's lines */
  const json_t *contexts[CONTEXTS_MAX];
};

__attribute__((format(printf, 4, 5))) static bool fail(struct rendering *rendering, const struct mustache_step *step, const char *code,
                                                       const char *format, ...)
{
  va_list args;

  rendering->error->code = code;
  mustache_error_at(&rendering->mustache->blocks[rendering->block], step->offset, rendering->error);
  va_start(args, format);
  vsnprintf(rendering->error->why, sizeof rendering->error->why, format, args);
  va_end(args);
  return false;
}

/* --- Values ------------------------------------------------------------------------------------------------------- */

/* The first part is looked for from the innermost value on, the rest below what was found. NULL: there is none. */
static const json_t *value_find(const struct rendering *rendering, const struct mustache_name *name)
{
  const json_t *found = NULL;

  if (name->n == 0)
    return rendering->contexts[rendering->n_contexts - 1];
  for (size_t i = rendering->n_contexts; found == NULL && i > 0; i--)
    found = json_object_get(rendering->contexts[i - 1], name->parts[0]);
  for (size_t i = 1; found != NULL && i < name->n; i++)
    found = json_object_get(found, name->parts[i]);
  return found;
}

static bool value_says_no(const json_t *value)
{
  switch (value == NULL ? JSON_NULL : json_typeof(value)) {
  case JSON_NULL:
  case JSON_FALSE:
    return true;
  case JSON_TRUE:
  case JSON_OBJECT:
    return false;
  case JSON_ARRAY:
    return json_array_size(value) == 0;
  case JSON_STRING:
    return json_string_length(value) == 0;
  case JSON_INTEGER:
    return json_integer_value(value) == 0;
  case JSON_REAL:
    return !(json_real_value(value) < 0 || json_real_value(value) > 0);
  }
  return true;
}

/* The shortest decimal that means this number. */
static parley_text real_text(double value, char to[NUMBER_BYTES])
{
  int len = 0;

  for (int digits = 15; digits <= 17; digits++) {
    len = snprintf(to, NUMBER_BYTES, "%.*g", digits, value);
    if (strtod(to, NULL) <= value && strtod(to, NULL) >= value)
      break;
  }
  return (parley_text){to, len > 0 ? (size_t)len : 0};
}

/* false: it is a list or an object, which has no text. */
static bool value_text(const json_t *value, char scratch[NUMBER_BYTES], parley_text *ret)
{
  *ret = TEXT_EMPTY;
  if (value == NULL)
    return true;
  switch (json_typeof(value)) {
  case JSON_NULL:
    return true;
  case JSON_TRUE:
    *ret = PARLEY_LIT("true");
    return true;
  case JSON_FALSE:
    *ret = PARLEY_LIT("false");
    return true;
  case JSON_STRING:
    *ret = (parley_text){json_string_value(value), json_string_length(value)};
    return true;
  case JSON_INTEGER:
    *ret = (parley_text){scratch, (size_t)snprintf(scratch, NUMBER_BYTES, "%" JSON_INTEGER_FORMAT, json_integer_value(value))};
    return true;
  case JSON_REAL:
    *ret = real_text(json_real_value(value), scratch);
    return true;
  case JSON_ARRAY:
  case JSON_OBJECT:
    break;
  }
  return false;
}

/* To be filled in later: in a text, an attribute or a link, where these bytes mean nothing else. */
static bool value_is_its_tag(const struct mustache_name *name, parley_text text, enum html_escape escape)
{
  return text.len > 4 && text_starts(text, "{{") && parley_text_is(text_sub(text, 2, text.len - 4), name->whole) &&
         text_ends(text, "}}") && escape != HTML_ESCAPE_STYLE && escape != HTML_ESCAPE_LINE;
}

static bool value_write(struct rendering *rendering, const struct mustache_step *step)
{
  const struct mustache_name *name = &rendering->mustache->names[step->name];
  const json_t *value = value_find(rendering, name);
  char scratch[NUMBER_BYTES];
  parley_text text;

  if (!value_text(value, scratch, &text))
    return fail(rendering, step, "wrong_type", "'%.60s' is %s: it has no text of its own. A section, {{#%.60s}}, goes into it",
                name->whole, json_is_array(value) ? "a list" : "an object", name->whole);
  if (value_is_its_tag(name, text, (enum html_escape)step->escape))
    buf_text(rendering->out, text);
  else if (rendering->mustache->kind == MUSTACHE_LINK)
    buf_link_value(rendering->out, text, (enum html_escape)step->escape);
  else
    buf_html_value(rendering->out, text, (enum html_escape)step->escape);
  return true;
}

/* --- Steps -------------------------------------------------------------------------------------------------------- */

static bool steps_run(struct rendering *rendering, uint32_t from, uint32_t end);

/* Before every line that has something in it. */
static void text_write(struct rendering *rendering, const struct mustache_step *step)
{
  parley_text rest = step->text;
  bool start = step->line_start;

  if (rendering->blanks.len == 0) {
    buf_text(rendering->out, rest);
    return;
  }
  if (rest.len == 0 && start)
    buf_text(rendering->out, rendering->blanks);
  while (rest.len > 0) {
    size_t line = text_find(rest, '\n');

    line += line < rest.len;
    if (start && rest.at[0] != '\n')
      buf_text(rendering->out, rendering->blanks);
    buf_add(rendering->out, rest.at, line);
    rest = text_sub(rest, line, SIZE_MAX);
    start = true;
  }
}

static bool too_deep(struct rendering *rendering, const struct mustache_step *step)
{
  return fail(rendering, step, "limit", "sections and partials stand in one another at most %d deep", 2 * MUSTACHE_DEPTH_MAX);
}

static bool body_run(struct rendering *rendering, const json_t *value, uint32_t at)
{
  const struct mustache_step *step = &rendering->mustache->steps[at];
  bool good;

  if (rendering->n_contexts == CONTEXTS_MAX || rendering->depth == 2 * MUSTACHE_DEPTH_MAX)
    return too_deep(rendering, step);
  rendering->contexts[rendering->n_contexts++] = value;
  rendering->depth++;
  good = steps_run(rendering, at + 1, step->end);
  rendering->depth--;
  rendering->n_contexts--;
  return good;
}

static bool step_count(struct rendering *rendering, const struct mustache_step *step)
{
  if (++rendering->steps > MUSTACHE_STEPS_MAX)
    return fail(rendering, step, "limit", "a rendering has at most %d steps", MUSTACHE_STEPS_MAX);
  if (rendering->out->len - rendering->begin > MUSTACHE_OUTPUT_BYTES_MAX)
    return fail(rendering, step, "limit", "a rendering has at most %zu bytes", MUSTACHE_OUTPUT_BYTES_MAX);
  if (rendering->out->overflow)
    return fail(rendering, step, "limit", "a rendering has at most %zu bytes", rendering->out->max);
  return true;
}

static bool inverted_run(struct rendering *rendering, uint32_t at)
{
  const struct mustache_step *step = &rendering->mustache->steps[at];
  bool good;

  if (!value_says_no(value_find(rendering, &rendering->mustache->names[step->name])))
    return true;
  if (rendering->depth == 2 * MUSTACHE_DEPTH_MAX)
    return too_deep(rendering, step);
  rendering->depth++;
  good = steps_run(rendering, at + 1, step->end);
  rendering->depth--;
  return good;
}

static bool section_run(struct rendering *rendering, uint32_t at)
{
  const struct mustache_step *step = &rendering->mustache->steps[at];
  const json_t *value = value_find(rendering, &rendering->mustache->names[step->name]);

  if (value_says_no(value))
    return true;
  if (!json_is_array(value))
    return body_run(rendering, value, at);
  for (size_t i = 0; i < json_array_size(value); i++)
    if (!step_count(rendering, step) || !body_run(rendering, json_array_get(value, i), at))
      return false;
  return true;
}

/* The blanks of a partial within a partial stand behind those of the outer one. */
static bool partial_run(struct rendering *rendering, const struct mustache_step *step)
{
  const struct mustache_block *block = &rendering->mustache->blocks[step->name];
  parley_text outer = rendering->blanks;
  uint32_t from = rendering->block;
  struct buf blanks = BUF_INIT(0);
  bool good;

  if (rendering->depth == 2 * MUSTACHE_DEPTH_MAX)
    return too_deep(rendering, step);
  if (step->alone && outer.len + step->text.len > 0) {
    buf_text(&blanks, outer);
    buf_text(&blanks, step->text);
  }
  rendering->blanks = buf_as_text(&blanks);
  rendering->block = step->name;
  rendering->depth++;
  good = steps_run(rendering, block->first, block->end);
  rendering->depth--;
  rendering->block = from;
  rendering->blanks = outer;
  buf_done(&blanks);
  return good;
}

static bool link_look(struct rendering *rendering, const struct mustache_step *step)
{
  parley_text link = text_sub(buf_as_text(rendering->out), rendering->link_begin, SIZE_MAX);

  if (html_link_ok(link))
    return true;
  return fail(rendering, step, "unsafe_link", "a value makes this link something else than http, https, mailto or tel");
}

static bool step_run(struct rendering *rendering, uint32_t at)
{
  const struct mustache_step *step = &rendering->mustache->steps[at];

  if (step->line_start && step->kind != STEP_TEXT)
    buf_text(rendering->out, rendering->blanks);
  switch ((enum step_kind)step->kind) {
  case STEP_TEXT:
    text_write(rendering, step);
    return true;
  case STEP_VALUE:
    return value_write(rendering, step);
  case STEP_SECTION:
    return section_run(rendering, at);
  case STEP_INVERTED:
    return inverted_run(rendering, at);
  case STEP_PARTIAL:
    return partial_run(rendering, step);
  case STEP_LINK:
    rendering->link_begin = rendering->out->len > step->text.len ? rendering->out->len - step->text.len : 0;
    return true;
  case STEP_LINK_END:
    return link_look(rendering, step);
  }
  return true;
}

static bool steps_run(struct rendering *rendering, uint32_t from, uint32_t end)
{
  const struct mustache_step *steps = rendering->mustache->steps;

  for (uint32_t i = from; i < end;) {
    if (!step_count(rendering, &steps[i]) || !step_run(rendering, i))
      return false;
    i = steps[i].kind == STEP_SECTION || steps[i].kind == STEP_INVERTED ? steps[i].end : i + 1;
  }
  return true;
}

parley_status mustache_render(const struct mustache *mustache, const json_t *const *contexts, size_t n_contexts, struct buf *out,
                              struct mustache_error *reterr)
{
  struct rendering rendering = {.mustache = mustache, .out = out, .error = reterr, .begin = out->len, .blanks = TEXT_EMPTY};
  const struct mustache_block *whole = &mustache->blocks[0];
  bool good;

  *reterr = (struct mustache_error){.code = "", .line = 0};
  for (size_t i = 0; i < n_contexts && i < COUNT_OF(rendering.contexts) - 2 * MUSTACHE_DEPTH_MAX; i++)
    rendering.contexts[rendering.n_contexts++] = contexts[i];
  if (rendering.n_contexts == 0)
    rendering.contexts[rendering.n_contexts++] = NULL;
  buf_expect(out, whole->source.len);
  good = steps_run(&rendering, whole->first, whole->end) &&
         (whole->end == whole->first || step_count(&rendering, &mustache->steps[whole->end - 1]));
  if (good)
    return PARLEY_OK;
  out->len = rendering.begin;
  out->overflow = false;
  if (out->at != NULL)
    out->at[out->len] = '\0';
  return PARLEY_REJECTED;
}
