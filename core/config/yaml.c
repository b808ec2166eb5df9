#include "yaml.h"
#include "core/base/alloc.h"
#include "core/base/text.h"
#include "file.h"
#include "yaml_variable.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <yaml.h>

struct reader {
  yaml_parser_t parser;
  struct yaml_file *file;
  struct buf *why;
  size_t nodes;
};

/* Children while their number is not known yet; in the arena. */
struct link {
  struct link *next;
  struct yaml_member member;
};

const char *yaml_kind_name(enum yaml_kind kind)
{
  switch (kind) {
  case YAML_IS_MAPPING:
    return "a mapping";
  case YAML_IS_SEQUENCE:
    return "a list";
  case YAML_IS_TEXT:
    return "a text";
  }
  return "nothing";
}

static parley_status node_read(struct reader *reader, const yaml_event_t *event, size_t depth, struct yaml_node **ret);

static uint32_t mark_line(yaml_mark_t mark)
{
  return (uint32_t)mark.line + 1;
}

static uint32_t mark_col(yaml_mark_t mark)
{
  return (uint32_t)mark.column + 1;
}

/* Lines and columns of a byte, for errors that come before the parser has its say. */
static void place_of(parley_text source, size_t offset, uint32_t *ret_line, uint32_t *ret_col)
{
  size_t start = 0;
  uint32_t line = 1;

  for (size_t i = 0; i < offset && i < source.len; i++) {
    if (source.at[i] == '\n' || (source.at[i] == '\r' && (i + 1 == source.len || source.at[i + 1] != '\n'))) {
      line++;
      start = i + 1;
    }
  }
  *ret_line = line;
  *ret_col = (uint32_t)text_utf8_count(text_sub(source, start, offset - start)) + 1;
}

static parley_status source_complain(const struct yaml_file *file, size_t offset, const char *what, struct buf *why)
{
  uint32_t line, col;

  place_of(file->source, offset, &line, &col);
  yaml_error(file, line, col, why, "%s", what);
  return PARLEY_INVALID;
}

/* UTF-8 without control characters but tab and line ends; without the rare line ends that only YAML 1.1 knows. */
static parley_status source_check(const struct yaml_file *file, struct buf *why)
{
  parley_text source = file->source;

  if (source.len > YAML_FILE_BYTES_MAX)
    return source_complain(file, 0, "the file is too large", why);
  for (size_t pos = 0; pos < source.len;) {
    size_t from = pos;
    uint32_t code = text_utf8_next(source, &pos);

    if (code == 0xfffd && pos - from == 1)
      return source_complain(file, from, "this is not UTF-8; is it a text file?", why);
    if ((code < 0x20 && code != '\t' && code != '\n' && code != '\r') || (code >= 0x7f && code < 0xa0))
      return source_complain(file, from, "a control character; is this a text file?", why);
    if (code == 0x2028 || code == 0x2029 || code == 0xfeff)
      return source_complain(file, from, "an invisible line or byte mark (U+2028, U+2029, U+FEFF); remove it", why);
  }
  return PARLEY_OK;
}

/* The two bytes around the place where the parser stopped; libyaml counts characters. NUL: none. */
static void bytes_around(parley_text source, size_t index, char *ret_before, char *ret_at)
{
  size_t pos = 0;

  *ret_before = '\0';
  for (; index > 0 && pos < source.len; index--) {
    *ret_before = source.at[pos];
    text_utf8_next(source, &pos);
  }
  *ret_at = pos < source.len ? source.at[pos] : '\0';
}

/* libyaml's words say little; the slip that people make most gets better. */
static parley_status parser_complain(struct reader *reader)
{
  const yaml_parser_t *parser = &reader->parser;
  const struct yaml_file *file = reader->file;
  yaml_mark_t mark = parser->problem_mark;
  const char *problem = parser->problem != NULL ? parser->problem : "this cannot be read";
  char before, at;

  if (parser->error == YAML_READER_ERROR)
    return source_complain(file, parser->problem_offset, problem, reader->why);
  if (parser->error == YAML_MEMORY_ERROR)
    abort();
  bytes_around(file->source, mark.index, &before, &at);
  if (at == '\t')
    yaml_error(file, mark_line(mark), mark_col(mark), reader->why, "a tab cannot indent; use spaces");
  else if (parser->context != NULL)
    yaml_error(file, mark_line(mark), mark_col(mark), reader->why, "%s (%s that began in line %u)", problem, parser->context,
               mark_line(parser->context_mark));
  else
    yaml_error(file, mark_line(mark), mark_col(mark), reader->why, "%s", problem);
  return PARLEY_INVALID;
}

static parley_status event_next(struct reader *reader, yaml_event_t *ret)
{
  if (!yaml_parser_parse(&reader->parser, ret))
    return parser_complain(reader);
  return PARLEY_OK;
}

static parley_status event_complain(struct reader *reader, const yaml_event_t *event, const char *what)
{
  yaml_error(reader->file, mark_line(event->start_mark), mark_col(event->start_mark), reader->why, "%s", what);
  return PARLEY_INVALID;
}

/* What the strict subset leaves out. */
static parley_status event_check(struct reader *reader, const yaml_event_t *event, size_t depth)
{
  const yaml_char_t *anchor = NULL, *tag = NULL;

  if (event->type == YAML_ALIAS_EVENT)
    return event_complain(reader, event, "aliases (*name) are not taken; write the value again");
  if (event->type == YAML_SCALAR_EVENT) {
    anchor = event->data.scalar.anchor;
    tag = event->data.scalar.tag;
  } else if (event->type == YAML_MAPPING_START_EVENT) {
    anchor = event->data.mapping_start.anchor;
    tag = event->data.mapping_start.tag;
  } else if (event->type == YAML_SEQUENCE_START_EVENT) {
    anchor = event->data.sequence_start.anchor;
    tag = event->data.sequence_start.tag;
  }
  if (anchor != NULL)
    return event_complain(reader, event, "anchors (&name) are not taken; write the value where it is used");
  if (tag != NULL)
    return event_complain(reader, event, "tags (!name) are not taken; the schema knows each value's type");
  if (depth > YAML_DEPTH_MAX)
    return event_complain(reader, event, "nested too deeply");
  if (++reader->nodes > YAML_NODES_MAX)
    return event_complain(reader, event, "the file has too many values");
  return PARLEY_OK;
}

/* Inside of { } and [ ] a plain `${NAME}` ends behind its dollar sign. */
static bool variable_is_cut(const struct reader *reader, const yaml_event_t *event)
{
  size_t dollars = 0, len = event->data.scalar.length;
  char before, at;

  while (dollars < len && event->data.scalar.value[len - 1 - dollars] == '$')
    dollars++;
  if (dollars % 2 == 0 || event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE) /* $$ is a dollar */
    return false;
  bytes_around(reader->file->source, event->end_mark.index, &before, &at);
  return before == '$' && at == '{';
}

static parley_status scalar_fill(struct reader *reader, const yaml_event_t *event, struct yaml_node *node)
{
  parley_text raw = {(const char *)event->data.scalar.value, event->data.scalar.length};
  struct buf text = BUF_INIT(YAML_VARIABLE_BYTES_MAX > raw.len ? YAML_VARIABLE_BYTES_MAX : raw.len), why = BUF_INIT(0);
  parley_status st;

  if (variable_is_cut(reader, event)) {
    yaml_error(reader->file, mark_line(event->end_mark), mark_col(event->end_mark) - 1, reader->why,
               "put quotes around \"${...}\" inside of { } and [ ]");
    return PARLEY_INVALID;
  }
  node->kind = YAML_IS_TEXT;
  node->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
  node->raw = arena_text(reader->file->arena, raw);
  if (memchr(raw.len > 0 ? raw.at : "", '\0', raw.len) != NULL) { /* "\0" in double quotes */
    buf_str(&why, "a text cannot hold a NUL");
    st = PARLEY_INVALID;
  } else {
    st = variables_fill(raw, reader->file->variable, &text, &why);
  }
  if (st == PARLEY_OK)
    node->text = arena_text(reader->file->arena, buf_as_text(&text));
  else
    event_complain(reader, event, why.at);
  if (text.at != NULL)
    explicit_bzero(text.at, text.room);
  buf_done(&text);
  buf_done(&why);
  return st;
}

/* event is the name's. */
static parley_status member_read(struct reader *reader, yaml_event_t *event, size_t depth, const struct link *before,
                                 struct yaml_member *member)
{
  yaml_event_t value;
  parley_status st = event_check(reader, event, depth);

  if (st != PARLEY_OK)
    return st;
  if (event->type != YAML_SCALAR_EVENT)
    return event_complain(reader, event, "a name must be a plain word");
  *member = (struct yaml_member){.line = mark_line(event->start_mark), .col = mark_col(event->start_mark)};
  member->name = (parley_text){(const char *)event->data.scalar.value, event->data.scalar.length};
  if (parley_text_is(member->name, "<<") && event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
    return event_complain(reader, event, "merge keys (<<) are not taken; write the members out");
  if (member->name.len == 0 || memchr(member->name.at, '\0', member->name.len) != NULL)
    return event_complain(reader, event, "a name must not be empty");
  for (; before != NULL; before = before->next) {
    if (!text_eq(before->member.name, member->name))
      continue;
    yaml_error(reader->file, member->line, member->col, reader->why, "'%.*s' stands twice; the first is in line %u",
               TEXT_ARG(text_sub(member->name, 0, 80)), before->member.line);
    return PARLEY_INVALID;
  }
  member->name = arena_text(reader->file->arena, member->name);
  st = event_next(reader, &value);
  if (st != PARLEY_OK)
    return st;
  st = node_read(reader, &value, depth, &member->value);
  yaml_event_delete(&value);
  return st;
}

/* Reads members or items up to the end of their container; *ret_links has the last one first. */
static parley_status children_read(struct reader *reader, struct yaml_node *node, size_t depth, struct link **ret_links)
{
  bool mapping = node->kind == YAML_IS_MAPPING;
  parley_status st;

  for (;;) {
    struct link *link;
    yaml_event_t event;

    st = event_next(reader, &event);
    if (st != PARLEY_OK)
      return st;
    if (event.type == (mapping ? YAML_MAPPING_END_EVENT : YAML_SEQUENCE_END_EVENT)) {
      yaml_event_delete(&event);
      return PARLEY_OK;
    }
    link = arena_alloc(reader->file->arena, sizeof(*link));
    if (node->count == YAML_ITEMS_MAX)
      st = event_complain(reader, &event, "too many entries");
    else if (mapping)
      st = member_read(reader, &event, depth, *ret_links, &link->member);
    else
      st = node_read(reader, &event, depth, &link->member.value);
    yaml_event_delete(&event);
    if (st != PARLEY_OK)
      return st;
    link->next = *ret_links;
    *ret_links = link;
    node->count++;
  }
}

static parley_status container_read(struct reader *reader, struct yaml_node *node, size_t depth)
{
  struct arena *arena = reader->file->arena;
  struct link *links = NULL;
  parley_status st = children_read(reader, node, depth + 1, &links);

  if (st != PARLEY_OK)
    return st;
  if (node->kind == YAML_IS_MAPPING)
    node->members = arena_alloc(arena, node->count * sizeof(*node->members));
  else
    node->items = arena_alloc(arena, node->count * sizeof(struct yaml_node *));
  for (size_t i = node->count; i > 0; i--, links = links->next) {
    if (node->kind == YAML_IS_MAPPING)
      node->members[i - 1] = links->member;
    else
      node->items[i - 1] = links->member.value;
  }
  return PARLEY_OK;
}

static parley_status node_read(struct reader *reader, const yaml_event_t *event, size_t depth, struct yaml_node **ret)
{
  struct yaml_node *node;
  parley_status st = event_check(reader, event, depth);

  if (st != PARLEY_OK)
    return st;
  node = arena_alloc(reader->file->arena, sizeof(*node));
  node->line = mark_line(event->start_mark);
  node->col = mark_col(event->start_mark);
  if (event->type == YAML_SCALAR_EVENT) {
    st = scalar_fill(reader, event, node);
  } else {
    node->kind = event->type == YAML_MAPPING_START_EVENT ? YAML_IS_MAPPING : YAML_IS_SEQUENCE;
    st = container_read(reader, node, depth);
  }
  if (st == PARLEY_OK)
    *ret = node;
  return st;
}

/* The document's root; events before it are the stream's and the document's start. */
static parley_status root_read(struct reader *reader, struct yaml_node **ret)
{
  yaml_event_t event;
  parley_status st = event_next(reader, &event); /* the stream's start */

  if (st != PARLEY_OK)
    return st;
  yaml_event_delete(&event);
  if ((st = event_next(reader, &event)) != PARLEY_OK)
    return st;
  if (event.type == YAML_STREAM_END_EVENT)
    st = source_complain(reader->file, 0, "the file is empty", reader->why);
  else if (event.data.document_start.version_directive != NULL ||
           event.data.document_start.tag_directives.start != event.data.document_start.tag_directives.end)
    st = event_complain(reader, &event, "directives (%...) are not taken");
  yaml_event_delete(&event);
  if (st != PARLEY_OK || (st = event_next(reader, &event)) != PARLEY_OK)
    return st;
  st = node_read(reader, &event, 1, ret);
  yaml_event_delete(&event);
  return st;
}

static parley_status end_read(struct reader *reader)
{
  yaml_event_t event;
  parley_status st = event_next(reader, &event); /* the document's end */

  if (st != PARLEY_OK)
    return st;
  yaml_event_delete(&event);
  if ((st = event_next(reader, &event)) != PARLEY_OK)
    return st;
  if (event.type != YAML_STREAM_END_EVENT)
    st = event_complain(reader, &event, "a second document; one file is one document");
  yaml_event_delete(&event);
  return st;
}

static parley_status file_parse(struct yaml_file *file, struct buf *why)
{
  struct reader reader = {.file = file, .why = why};
  struct yaml_node *root = NULL;
  parley_status st = source_check(file, why);

  if (st != PARLEY_OK)
    return st;
  if (!yaml_parser_initialize(&reader.parser))
    abort(); /* memory is gone */
  yaml_parser_set_encoding(&reader.parser, YAML_UTF8_ENCODING);
  yaml_parser_set_input_string(&reader.parser, (const unsigned char *)file->source.at, file->source.len);
  st = root_read(&reader, &root);
  if (st == PARLEY_OK)
    st = end_read(&reader);
  yaml_parser_delete(&reader.parser);
  if (st == PARLEY_OK && root->kind != YAML_IS_MAPPING) {
    yaml_error(file, root->line, root->col, why, "the file must be a mapping, such as `version: 1`, not %s",
               yaml_kind_name(root->kind));
    st = PARLEY_INVALID;
  }
  file->root = root;
  return st;
}

static const char *variable_of_environment(const char *name)
{
  return getenv(name);
}

static struct yaml_file *file_new(const char *path, parley_text source, yaml_variable *variable)
{
  struct arena *arena = arena_new();
  struct yaml_file *file = arena_alloc(arena, sizeof(*file));
  const char *slash = strrchr(path, '/');
  parley_text dir = slash == NULL ? PARLEY_LIT(".") : (parley_text){path, slash == path ? 1 : (size_t)(slash - path)};

  if (text_starts(source, "\xef\xbb\xbf"))
    source = text_sub(source, 3, SIZE_MAX); /* a byte order mark, as some editors write it */
  *file = (struct yaml_file){.path = arena_str(arena, path),
                             .dir = arena_text(arena, dir).at,
                             .source = arena_text(arena, source),
                             .variable = variable != NULL ? variable : variable_of_environment,
                             .arena = arena};
  return file;
}

parley_status yaml_parse(const char *path, parley_text source, yaml_variable *variable, struct yaml_file **ret,
                         struct buf *reterr_why)
{
  struct yaml_file *file = file_new(path, source, variable);
  parley_status st = file_parse(file, reterr_why);

  if (st == PARLEY_OK) {
    *ret = file;
    file = NULL;
  }
  yaml_file_free(&file);
  return st;
}

parley_status yaml_load(const char *path, struct yaml_file **ret, struct buf *reterr_why)
{
  struct buf source = BUF_INIT(YAML_FILE_BYTES_MAX), why = BUF_INIT(0);
  parley_status st = file_read(path, YAML_FILE_BYTES_MAX, S_IWOTH, &source, &why);

  if (st == PARLEY_OK)
    st = yaml_parse(path, buf_as_text(&source), NULL, ret, reterr_why);
  else
    buf_printf(reterr_why, "%s: error: %s\n", path, why.at);
  buf_done(&source);
  buf_done(&why);
  return st;
}

void yaml_file_free(struct yaml_file **file)
{
  struct arena *arena = *file != NULL ? (*file)->arena : NULL;

  arena_free(&arena);
  *file = NULL;
}

const struct yaml_node *yaml_find(const struct yaml_node *mapping, const char *name)
{
  if (mapping == NULL || mapping->kind != YAML_IS_MAPPING)
    return NULL;
  for (size_t i = 0; i < mapping->count; i++)
    if (parley_text_is(mapping->members[i].name, name))
      return mapping->members[i].value;
  return NULL;
}

char *yaml_path(const struct yaml_file *file, struct arena *arena, parley_text path)
{
  struct buf joined = BUF_INIT(0);
  char *copy;

  if (!text_starts(path, "/") && strcmp(file->dir, ".") != 0)
    buf_printf(&joined, "%s%s", file->dir, strcmp(file->dir, "/") == 0 ? "" : "/");
  buf_text(&joined, path);
  copy = arena_str(arena, joined.at != NULL ? joined.at : "");
  buf_done(&joined);
  return copy;
}
