/* The reader: a template's source, and that of its partials, becomes steps. */
#include "core/base/alloc.h"
#include "core/base/arena.h"
#include "core/base/text.h"
#include "mustache_in.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DELIMITER_BYTES_MAX 32

struct open_section {
  uint32_t step;
  struct html_place place;
};
struct reading {
  struct mustache *made;
  const struct mustache_partials *partials;
  struct mustache_error *error;
  size_t block, pos, source_bytes;
  parley_text source, open, close;
  struct html_place place;
  size_t n_sections;
  struct open_section sections[MUSTACHE_DEPTH_MAX];
};
struct tag {
  size_t at, end; /* from the first brace to behind the last */
  char type;      /* # ^ / ! > = & { or 0 */
  parley_text word;
};

/* --- Errors ------------------------------------------------------------------------------------------------------- */

void mustache_error_at(const struct mustache_block *block, size_t offset, struct mustache_error *ret)
{
  size_t line = 1, from = 0, len;

  for (size_t i = 0; i < offset && i < block->source.len; i++) {
    if (block->source.at[i] == '\n') {
      line++;
      from = i + 1;
    }
  }
  ret->line = line;
  ret->column = 1 + text_utf8_count(text_sub(block->source, from, offset - from));
  len = block->name.len < sizeof ret->partial - 1 ? block->name.len : sizeof ret->partial - 1;
  memcpy(ret->partial, block->name.at != NULL ? block->name.at : "", len);
  ret->partial[len] = '\0';
}

__attribute__((format(printf, 4, 5))) static bool fail(struct reading *reading, size_t offset, const char *code, const char *format,
                                                       ...)
{
  va_list args;

  reading->error->code = code;
  mustache_error_at(&reading->made->blocks[reading->block], offset, reading->error);
  va_start(args, format);
  vsnprintf(reading->error->why, sizeof reading->error->why, format, args);
  va_end(args);
  return false;
}

/* For "%.*s" of what somebody wrote. */
static int shown(parley_text word)
{
  return (int)text_utf8_cut(word, 60);
}

/* --- Steps and names ---------------------------------------------------------------------------------------------- */

static struct mustache_step *step_add(struct reading *reading, enum step_kind kind, size_t offset)
{
  struct mustache *made = reading->made;
  struct mustache_step *step;

  if (made->n_steps == made->room_steps) {
    made->room_steps = made->room_steps > 0 ? made->room_steps * 2 : 32;
    made->steps = xrealloc(made->steps, made->room_steps * sizeof *made->steps);
  }
  step = &made->steps[made->n_steps++];
  *step = (struct mustache_step){.kind = (uint8_t)kind, .offset = (uint32_t)offset, .text = TEXT_EMPTY};
  return step;
}

static bool word_is_blank_free(parley_text word)
{
  for (size_t i = 0; i < word.len; i++)
    if ((unsigned char)word.at[i] <= ' ')
      return false;
  return word.len > 0;
}

static void name_split(struct arena *arena, parley_text word, struct mustache_name *name)
{
  if (parley_text_is(word, "."))
    return;
  name->parts = arena_alloc(arena, MUSTACHE_PARTS_MAX * sizeof *name->parts);
  for (size_t i = 0; name->n < MUSTACHE_PARTS_MAX && i <= word.len;) {
    size_t end = i + text_find(text_sub(word, i, SIZE_MAX), '.');

    name->parts[name->n++] = arena_text(arena, text_sub(word, i, end - i)).at;
    i = end + 1;
  }
}

static bool name_ok(parley_text word)
{
  size_t parts = 1, run = 0;

  if (parley_text_is(word, "."))
    return true;
  for (size_t i = 0; i < word.len; i++) {
    if (word.at[i] == '.' && run == 0)
      return false;
    parts += word.at[i] == '.';
    run = word.at[i] == '.' ? 0 : run + 1;
  }
  return run > 0 && parts <= MUSTACHE_PARTS_MAX;
}

static bool name_add(struct reading *reading, const struct tag *tag, uint32_t *ret)
{
  struct mustache *made = reading->made;

  if (tag->word.len > 0 && (tag->word.at[0] == '$' || tag->word.at[0] == '<') && tag->type == 0)
    return fail(reading, tag->at, "template_syntax",
                "blocks and parents ({{$...}} {{<...}}) are not offered: use a partial, {{>name}}");
  if (!word_is_blank_free(tag->word) || tag->word.len > MUSTACHE_NAME_BYTES_MAX || !name_ok(tag->word))
    return fail(reading, tag->at, "template_syntax",
                tag->word.len > 0 ? "'%.*s' is no name: one word, or words with a dot between them"
                                  : "a name is missing in this tag%.*s",
                shown(tag->word), tag->word.at);
  for (size_t i = 0; i < made->n_names; i++) {
    if (parley_text_is(tag->word, made->names[i].whole)) {
      *ret = (uint32_t)i;
      return true;
    }
  }
  if (made->n_names == made->room_names) {
    made->room_names = made->room_names > 0 ? made->room_names * 2 : 16;
    made->names = xrealloc(made->names, made->room_names * sizeof *made->names);
  }
  made->names[made->n_names] = (struct mustache_name){.whole = arena_text(made->arena, tag->word).at};
  name_split(made->arena, tag->word, &made->names[made->n_names]);
  *ret = (uint32_t)made->n_names++;
  return true;
}

/* --- Text --------------------------------------------------------------------------------------------------------- */

static bool kind_has_places(enum mustache_kind kind)
{
  return kind == MUSTACHE_HTML || kind == MUSTACHE_LINK;
}

/* Through the document's eyes: where a watched link ends, a step stands between. */
static bool text_add(struct reading *reading, size_t from, size_t end)
{
  size_t begin = from;

  for (size_t i = from; kind_has_places(reading->made->kind) && i < end; i++) {
    bool link_end = false;

    if (!html_place_byte(&reading->place, reading->source.at[i], &link_end))
      return fail(reading, i, "unsafe_place", "put a blank between the attributes here: a section before it may be left out");
    if (!link_end)
      continue;
    if (i > begin) {
      struct mustache_step *step = step_add(reading, STEP_TEXT, begin);

      step->text = text_sub(reading->source, begin, i - begin);
      step->line_start = begin == 0 || reading->source.at[begin - 1] == '\n';
      begin = i;
    }
    step_add(reading, STEP_LINK_END, i);
  }
  if (end > begin) {
    struct mustache_step *step = step_add(reading, STEP_TEXT, begin);

    step->text = text_sub(reading->source, begin, end - begin);
    step->line_start = begin == 0 || reading->source.at[begin - 1] == '\n';
  }
  return true;
}

/* --- Tags --------------------------------------------------------------------------------------------------------- */

static bool tag_find(struct reading *reading, struct tag *ret, bool *ret_found)
{
  parley_text rest = text_sub(reading->source, reading->pos, SIZE_MAX);
  size_t at = text_find_text(rest, reading->open), end;
  parley_text inside;
  bool triple;

  *ret_found = at != SIZE_MAX;
  if (!*ret_found)
    return true;
  *ret = (struct tag){.at = reading->pos + at};
  inside = text_sub(rest, at + reading->open.len, SIZE_MAX);
  if (inside.len > 0 && memchr("#^/!>=&{", inside.at[0], 8) != NULL) {
    ret->type = inside.at[0];
    inside = text_sub(inside, 1, SIZE_MAX);
  }
  triple = ret->type == '{';
  if (triple || ret->type == '=') {
    char closing[DELIMITER_BYTES_MAX + 2] = {triple ? '}' : '='};

    memcpy(closing + 1, reading->close.at, reading->close.len);
    end = text_find_text(inside, (parley_text){closing, reading->close.len + 1});
  } else {
    end = text_find_text(inside, reading->close);
  }
  if (end == SIZE_MAX)
    return fail(reading, ret->at, "template_syntax", "this tag is not closed: %.*s%.*s is missing", triple ? 1 : ret->type == '=',
                triple ? "}" : "=", TEXT_ARG(reading->close));
  ret->word = text_trim(text_sub(inside, 0, end));
  ret->end = (size_t)(inside.at - reading->source.at) + end + reading->close.len + (triple || ret->type == '=');
  return true;
}

static bool byte_is_gap(char byte)
{
  return byte == ' ' || byte == '\t';
}

/* Where its line begins and ends when nothing else stands in it. */
static bool tag_is_alone(const struct reading *reading, const struct tag *tag, size_t *ret_from, size_t *ret_end)
{
  parley_text source = reading->source;
  size_t from = tag->at, end = tag->end;

  if (tag->type == 0 || tag->type == '&' || tag->type == '{')
    return false;
  while (from > 0 && byte_is_gap(source.at[from - 1]))
    from--;
  while (end < source.len && byte_is_gap(source.at[end]))
    end++;
  if (from > 0 && source.at[from - 1] != '\n')
    return false;
  if (end < source.len && source.at[end] == '\r' && end + 1 < source.len && source.at[end + 1] == '\n')
    end++;
  if (end < source.len && source.at[end] != '\n')
    return false;
  *ret_from = from;
  *ret_end = end < source.len ? end + 1 : end;
  return true;
}

static bool value_add(struct reading *reading, const struct tag *tag)
{
  bool raw = tag->type == '&' || tag->type == '{';
  enum html_escape escape = raw ? HTML_ESCAPE_NONE : HTML_ESCAPE_TEXT;
  const char *why = NULL;
  struct mustache_step *step;
  uint32_t name;

  if (!name_add(reading, tag, &name))
    return false;
  switch (reading->made->kind) {
  case MUSTACHE_TEXT:
    escape = HTML_ESCAPE_NONE;
    break;
  case MUSTACHE_LINE:
    escape = HTML_ESCAPE_LINE;
    break;
  case MUSTACHE_ESCAPED:
    break;
  case MUSTACHE_HTML:
  case MUSTACHE_LINK:
    why = html_place_value(&reading->place, raw, &escape);
    break;
  }
  if (why != NULL)
    return fail(reading, tag->at, "unsafe_place", "%s", why);
  step = step_add(reading, STEP_VALUE, tag->at);
  step->name = name;
  step->escape = (uint8_t)escape;
  step->line_start = tag->at == 0 || reading->source.at[tag->at - 1] == '\n';
  return true;
}

static bool section_open(struct reading *reading, const struct tag *tag)
{
  struct open_section *open = &reading->sections[reading->n_sections];
  struct mustache_step *step;
  uint32_t name;

  if (reading->n_sections == MUSTACHE_DEPTH_MAX)
    return fail(reading, tag->at, "limit", "sections stand in one another at most %d deep", MUSTACHE_DEPTH_MAX);
  if (!name_add(reading, tag, &name))
    return false;
  *open = (struct open_section){.step = (uint32_t)reading->made->n_steps, .place = reading->place};
  reading->n_sections++;
  step = step_add(reading, tag->type == '#' ? STEP_SECTION : STEP_INVERTED, tag->at);
  step->name = name;
  return true;
}

static bool section_close(struct reading *reading, const struct tag *tag)
{
  struct open_section *open;
  struct mustache_step *step;
  const char *name;

  if (reading->n_sections == 0)
    return fail(reading, tag->at, "template_syntax", "no section is open that '%.*s' could close", shown(tag->word), tag->word.at);
  open = &reading->sections[--reading->n_sections];
  step = &reading->made->steps[open->step];
  name = reading->made->names[step->name].whole;
  if (!parley_text_is(tag->word, name))
    return fail(reading, tag->at, "template_syntax", "the open section is '%.60s', this would close '%.*s'", name, shown(tag->word),
                tag->word.at);
  if (kind_has_places(reading->made->kind) && !html_place_join(&reading->place, &open->place))
    return fail(reading, tag->at, "unsafe_place",
                "the section '%.60s' must end in the place where it begins: in text, or within the same tag and attribute", name);
  step->end = (uint32_t)reading->made->n_steps;
  return true;
}

static bool block_find(struct reading *reading, const struct tag *tag, uint32_t *ret)
{
  struct mustache *made = reading->made;
  const struct mustache_partials *partials = reading->partials;
  parley_text source = TEXT_EMPTY;
  bool found;

  for (size_t i = 1; i < made->n_blocks; i++) {
    if (text_eq(made->blocks[i].name, tag->word)) {
      *ret = (uint32_t)i;
      return true;
    }
  }
  found = partials != NULL && partials->find != NULL && partials->find(tag->word, &source, partials->arg);
  if (!found && (partials == NULL || !partials->loose))
    return fail(reading, tag->at, "unknown_partial", "there is no template '%.*s' that could stand here", shown(tag->word),
                tag->word.at);
  reading->source_bytes += source.len;
  if (made->n_blocks > MUSTACHE_PARTIALS_MAX || reading->source_bytes > MUSTACHE_SOURCE_BYTES_MAX)
    return fail(reading, tag->at, "limit", "a template has at most %d partials, and with them at most %zu bytes",
                MUSTACHE_PARTIALS_MAX, MUSTACHE_SOURCE_BYTES_MAX);
  *ret = (uint32_t)made->n_blocks;
  made->blocks[made->n_blocks++] = (struct mustache_block){.name = arena_text(made->arena, tag->word),
                                                           .source = arena_text(made->arena, source)};
  return true;
}

static bool partial_add(struct reading *reading, const struct tag *tag, bool alone, size_t line_from)
{
  struct mustache_step *step;
  uint32_t block = 0;

  if (tag->word.len > 0 && tag->word.at[0] == '*')
    return fail(reading, tag->at, "template_syntax", "a partial's name is written out: dynamic names are not offered");
  if (!word_is_blank_free(tag->word) || tag->word.len > MUSTACHE_NAME_BYTES_MAX)
    return fail(reading, tag->at, "template_syntax", "a partial has the name of a template");
  if (kind_has_places(reading->made->kind) && !html_place_is_text(&reading->place))
    return fail(reading, tag->at, "unsafe_place", "a partial stands between tags, not within one");
  if (!block_find(reading, tag, &block))
    return false;
  step = step_add(reading, STEP_PARTIAL, tag->at);
  step->name = block;
  step->alone = alone;
  step->line_start = !alone && (tag->at == 0 || reading->source.at[tag->at - 1] == '\n');
  step->text = alone ? text_sub(reading->source, line_from, tag->at - line_from) : TEXT_EMPTY;
  return true;
}

static bool delimiter_ok(parley_text delimiter)
{
  return word_is_blank_free(delimiter) && delimiter.len <= DELIMITER_BYTES_MAX && text_find(delimiter, '=') == delimiter.len;
}

static bool delimiters_set(struct reading *reading, const struct tag *tag)
{
  size_t gap = 0;

  while (gap < tag->word.len && (unsigned char)tag->word.at[gap] > ' ')
    gap++;
  reading->open = text_sub(tag->word, 0, gap);
  reading->close = text_trim(text_sub(tag->word, gap, SIZE_MAX));
  if (!delimiter_ok(reading->open) || !delimiter_ok(reading->close))
    return fail(reading, tag->at, "template_syntax", "delimiters are two words of at most %d bytes without =, as in {{=<%% %%>=}}",
                DELIMITER_BYTES_MAX);
  return true;
}

static bool tag_take(struct reading *reading, const struct tag *tag, bool alone, size_t line_from)
{
  size_t back;

  if (reading->made->kind == MUSTACHE_HTML && tag->type != '!' && tag->type != '=' &&
      html_place_link_opens(&reading->place, &back))
    step_add(reading, STEP_LINK, tag->at)->text.len = back;
  switch (tag->type) {
  case '!':
    return true;
  case '=':
    return delimiters_set(reading, tag);
  case '#':
  case '^':
    return section_open(reading, tag);
  case '/':
    return section_close(reading, tag);
  case '>':
    return partial_add(reading, tag, alone, line_from);
  default:
    return value_add(reading, tag);
  }
}

/* A tag that makes no step of its own stands first in its line, and not alone: the partial's blanks still go before the line. */
static void line_begin(struct reading *reading, const struct tag *tag)
{
  if (reading->block == 0 || (tag->at > 0 && reading->source.at[tag->at - 1] != '\n') || tag->type == 0 || tag->type == '&' ||
      tag->type == '{' || tag->type == '>')
    return;
  step_add(reading, STEP_TEXT, tag->at)->line_start = true;
}

static bool tag_next(struct reading *reading, bool *ret_more)
{
  size_t line_from = 0, line_end = 0;
  struct tag tag;
  bool found, alone;

  *ret_more = false;
  if (!tag_find(reading, &tag, &found))
    return false;
  if (!found)
    return text_add(reading, reading->pos, reading->source.len);
  alone = tag_is_alone(reading, &tag, &line_from, &line_end);
  if (!text_add(reading, reading->pos, alone ? line_from : tag.at))
    return false;
  if (!alone)
    line_begin(reading, &tag);
  reading->pos = alone ? line_end : tag.end;
  *ret_more = true;
  return tag_take(reading, &tag, alone, line_from);
}

/* --- Blocks ------------------------------------------------------------------------------------------------------- */

static bool block_end(struct reading *reading)
{
  const struct mustache *made = reading->made;

  if (reading->n_sections > 0) {
    const struct mustache_step *open = &made->steps[reading->sections[reading->n_sections - 1].step];

    return fail(reading, open->offset, "template_syntax", "the section '%.60s' is not closed", made->names[open->name].whole);
  }
  if (made->kind == MUSTACHE_HTML && !html_place_is_text(&reading->place))
    return fail(reading, reading->source.len, "unsafe_place", "the html ends within a tag, a comment, a style or a script");
  return true;
}

static bool block_read(struct reading *reading, size_t index)
{
  struct mustache_block *block = &reading->made->blocks[index];
  bool more = true;

  reading->block = index;
  reading->pos = 0;
  reading->source = block->source;
  reading->open = PARLEY_LIT("{{");
  reading->close = PARLEY_LIT("}}");
  reading->place = reading->made->kind == MUSTACHE_LINK ? html_place_link() : (struct html_place){.state = HTML_TEXT};
  reading->n_sections = 0;
  block->first = (uint32_t)reading->made->n_steps;
  while (more)
    if (!tag_next(reading, &more))
      return false;
  reading->made->blocks[index].end = (uint32_t)reading->made->n_steps;
  return block_end(reading);
}

/* Visits what a block calls: one that is met again below itself would never end. */
static bool block_is_finite(struct reading *reading, size_t index, uint8_t *seen, size_t depth)
{
  struct mustache *made = reading->made;

  seen[index] = 1;
  for (uint32_t i = made->blocks[index].first; i < made->blocks[index].end; i++) {
    const struct mustache_step *step = &made->steps[i];

    if (step->kind != STEP_PARTIAL || seen[step->name] == 2)
      continue;
    reading->block = index;
    if (seen[step->name] == 1)
      return fail(reading, step->offset, "cycle", "the template '%.60s' would contain itself", made->blocks[step->name].name.at);
    if (depth == MUSTACHE_DEPTH_MAX)
      return fail(reading, step->offset, "limit", "partials stand in one another at most %d deep", MUSTACHE_DEPTH_MAX);
    if (!block_is_finite(reading, step->name, seen, depth + 1))
      return false;
  }
  seen[index] = 2;
  return true;
}

static bool blocks_read(struct reading *reading)
{
  uint8_t seen[MUSTACHE_PARTIALS_MAX + 1] = {0};

  for (size_t i = 0; i < reading->made->n_blocks; i++)
    if (!block_read(reading, i))
      return false;
  return (reading->partials != NULL && reading->partials->loose) || block_is_finite(reading, 0, seen, 0);
}

/* --- Life --------------------------------------------------------------------------------------------------------- */

struct mustache *mustache_read(parley_text source, enum mustache_kind kind, const struct mustache_partials *partials,
                               struct mustache_error *reterr)
{
  struct mustache *made = xcalloc(1, sizeof *made);
  struct reading *reading = xcalloc(1, sizeof *reading);
  bool good;

  *reterr = (struct mustache_error){.code = "", .line = 0};
  made->arena = arena_new();
  made->kind = kind;
  made->n_blocks = 1;
  *reading = (struct reading){.made = made, .partials = partials, .error = reterr, .source_bytes = source.len};
  if (source.len > MUSTACHE_SOURCE_BYTES_MAX) {
    good = fail(reading, 0, "limit", "a template has at most %zu bytes", MUSTACHE_SOURCE_BYTES_MAX);
  } else {
    made->blocks[0].name = TEXT_EMPTY;
    made->blocks[0].source = arena_text(made->arena, source);
    good = blocks_read(reading);
  }
  free(reading);
  if (!good)
    mustache_free(&made);
  return made;
}

void mustache_free(struct mustache **mustache)
{
  struct mustache *gone = *mustache;

  *mustache = NULL;
  if (gone == NULL)
    return;
  arena_free(&gone->arena);
  free(gone->steps);
  free(gone->names);
  free(gone);
}

bool mustache_uses(const struct mustache *mustache, const char *name)
{
  for (size_t i = 0; i < mustache->n_names; i++)
    if (mustache->names[i].n > 0 && strcmp(mustache->names[i].parts[0], name) == 0)
      return true;
  return false;
}

const char *mustache_partial(const struct mustache *mustache, size_t index)
{
  return index + 1 < mustache->n_blocks ? mustache->blocks[index + 1].name.at : NULL;
}

size_t mustache_bytes(const struct mustache *mustache)
{
  return sizeof *mustache + arena_bytes(mustache->arena) + mustache->room_steps * sizeof *mustache->steps +
         mustache->room_names * sizeof *mustache->names;
}
