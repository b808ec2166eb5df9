#include "option.h"
#include "core/base/alloc.h"
#include "core/base/clock.h"
#include "core/base/text.h"
#include "core/net/url.h"

struct reading {
  const struct yaml_file *file;
  struct arena *arena;
  struct secrets *secrets;
  struct buf *why;
  bool bad;
};
struct place { /* what an error points at: a node, or the line above a missing one */
  const struct yaml_node *node;
  uint32_t line, col;
  const char *where;
};

static void value_fill(struct reading *reading, const parley_option *option, struct place place, parley_value *value, int depth);

static const char *where_member(struct reading *reading, const char *where, const char *name)
{
  struct buf full = BUF_INIT(1024);
  char *kept;

  buf_printf(&full, "%s.%s", where, name);
  kept = arena_str(reading->arena, full.at ? full.at : "");
  buf_done(&full);
  return kept;
}

#define OPTION_ERROR(reading, place, ...)                                                                              \
  do {                                                                                                                 \
    (reading)->bad = true;                                                                                             \
    yaml_error((reading)->file, (place).line, (place).col, (reading)->why, __VA_ARGS__);                               \
  } while (0)

static void value_check_range(struct reading *reading, const parley_option *option, const struct place *place, int64_t number,
                              const char *what)
{
  if (option->min == 0 && option->max == 0)
    return;
  if (number < option->min || number > option->max)
    OPTION_ERROR(reading, *place, "%s: %s must be between %lld and %lld", place->where, what, (long long)option->min,
                 (long long)option->max);
}

static void value_choice(struct reading *reading, const parley_option *option, const struct place *place, parley_value *value)
{
  struct buf all = BUF_INIT(1024);

  for (int64_t i = 0; option->choices[i] != NULL; i++) {
    if (parley_text_is(value->text, option->choices[i])) {
      value->number = i;
      buf_done(&all);
      return;
    }
    buf_printf(&all, "%s%s", i ? ", " : "", option->choices[i]);
  }
  OPTION_ERROR(reading, *place, "%s: '%.*s' is unknown; allowed: %s", place->where, TEXT_ARG(value->text), all.at);
  buf_done(&all);
}

static void value_url(struct reading *reading, const struct place *place, const parley_value *value)
{
  struct url url;
  const char *why = NULL;

  if (url_parse(value->text, &url, &why) != PARLEY_OK)
    OPTION_ERROR(reading, *place, "%s: not a URL: %s", place->where, why);
}

/* A text as it stands in the file (or the table's default) into the option's own type. */
static void value_scalar(struct reading *reading, const parley_option *option, const struct place *place, parley_value *value)
{
  uint64_t bytes = 0;
  bool ok = true;

  switch (option->type) {
  case PARLEY_OPTION_INT:
    ok = text_to_int(value->text, INT64_MIN, INT64_MAX, &value->number);
    if (!ok)
      OPTION_ERROR(reading, *place, "%s: a whole number is needed", place->where);
    break;
  case PARLEY_OPTION_BOOL:
    ok = parley_text_is(value->text, "true") || parley_text_is(value->text, "false");
    value->number = parley_text_is(value->text, "true");
    if (!ok)
      OPTION_ERROR(reading, *place, "%s: true or false is needed", place->where);
    break;
  case PARLEY_OPTION_DURATION:
    ok = span_parse(value->text, &value->number);
    if (!ok)
      OPTION_ERROR(reading, *place, "%s: a time with its unit is needed: 250ms 30s 10m 2h 7d", place->where);
    break;
  case PARLEY_OPTION_SIZE:
    ok = conf_size_parse(value->text, &bytes) && bytes <= INT64_MAX;
    value->number = (int64_t)bytes;
    if (!ok)
      OPTION_ERROR(reading, *place, "%s: a size is needed: 4096, 16K, 25M or 1G", place->where);
    break;
  case PARLEY_OPTION_CHOICE:
    value_choice(reading, option, place, value);
    return;
  case PARLEY_OPTION_URL:
    value_url(reading, place, value);
    return;
  default: /* TEXT */
    value_check_range(reading, option, place, (int64_t)value->text.len, "its length in bytes");
    return;
  }
  if (ok)
    value_check_range(reading, option, place, value->number, "the value");
}

static void value_text(struct reading *reading, const parley_option *option, const struct place *place, parley_value *value)
{
  if ((option->flags & PARLEY_SECRET) != 0) {
    if (secret_read(reading->file, place->node, place->where, SECRET_LINE_OR_PEM, reading->secrets, &value->text, reading->why) !=
        PARLEY_OK)
      reading->bad = true;
    else
      value_scalar(reading, option, place, value);
    return;
  }
  if (place->node->kind != YAML_IS_TEXT) {
    OPTION_ERROR(reading, *place, "%s: a single value is needed, not %s", place->where, yaml_kind_name(place->node->kind));
    return;
  }
  if (place->node->text.len > OPTION_TEXT_BYTES_MAX) {
    OPTION_ERROR(reading, *place, "%s: at most %d bytes", place->where, OPTION_TEXT_BYTES_MAX);
    return;
  }
  value->text = arena_text(reading->arena, place->node->text);
  value_scalar(reading, option, place, value);
}

static const parley_option *option_find(const parley_option *const *table, parley_text name)
{
  for (; table != NULL && *table != NULL; table++)
    if (parley_text_is(name, (*table)->name))
      return *table;
  return NULL;
}

static void group_unknown(struct reading *reading, const parley_option *const *table, const struct yaml_member *member,
                          const char *where)
{
  const char *names[64];
  size_t n = 0;
  const char *near;
  struct place place = {NULL, member->line, member->col, where};

  for (; table != NULL && table[n] != NULL && n + 1 < COUNT_OF(names); n++)
    names[n] = table[n]->name;
  names[n] = NULL;
  near = text_nearest(member->name, names);
  if (near != NULL)
    OPTION_ERROR(reading, place, "unknown key '%.*s': did you mean '%s'?", TEXT_ARG(member->name), near);
  else
    OPTION_ERROR(reading, place, "unknown key '%.*s' in %s", TEXT_ARG(member->name), where);
}

static void value_missing(struct reading *reading, const parley_option *option, const struct place *place, parley_value *value)
{
  if (option->default_text != NULL) {
    value->text = parley_text_of(option->default_text);
    value_scalar(reading, option, place, value);
  } else if ((option->flags & PARLEY_REQUIRED) != 0) {
    OPTION_ERROR(reading, *place, "%s is required: %s", place->where, option->doc ? option->doc : option->name);
  } else {
    value->type = 0;
  }
}

static void value_group(struct reading *reading, const parley_option *const *table, struct place place, parley_value *group,
                        int depth)
{
  size_t n = 0;
  parley_value *values;
  const parley_value **items;

  if (place.node != NULL && place.node->kind != YAML_IS_MAPPING) {
    OPTION_ERROR(reading, place, "%s: a mapping of options is needed", place.where);
    return;
  }
  for (size_t i = 0; place.node != NULL && i < place.node->count; i++)
    if (option_find(table, place.node->members[i].name) == NULL)
      group_unknown(reading, table, &place.node->members[i], place.where);
  while (table != NULL && table[n] != NULL)
    n++;
  values = arena_alloc(reading->arena, n * sizeof *values);
  items = arena_alloc(reading->arena, n * sizeof *items);
  for (size_t i = 0; i < n; i++) {
    const struct yaml_node *node = place.node ? yaml_find(place.node, table[i]->name) : NULL;
    struct place at = {node, node ? node->line : place.line, node ? node->col : place.col,
                       where_member(reading, place.where, table[i]->name)};

    value_fill(reading, table[i], at, &values[i], depth + 1);
    items[i] = &values[i];
  }
  group->n_items = n;
  group->items = items;
}

/* { file: PATH }, where the group has no member of that name: it stands in a file of its own. NULL: it stands here. */
static const struct yaml_node *group_elsewhere(const parley_option *option, const struct yaml_node *node)
{
  bool refers = node != NULL && node->kind == YAML_IS_MAPPING && node->count == 1 && parley_text_is(node->members[0].name, "file");

  return refers && option_find(option->fields, node->members[0].name) == NULL ? node->members[0].value : NULL;
}

static void value_group_file(struct reading *reading, const parley_option *option, struct place place, const struct yaml_node *path,
                             parley_value *group, int depth)
{
  struct reading within = *reading;
  struct yaml_file *file = NULL;

  if (path->kind != YAML_IS_TEXT || path->text.len == 0) {
    place.node = path;
    OPTION_ERROR(reading, place, "%s: file needs a path", place.where);
    return;
  }
  if (yaml_load(yaml_path(reading->file, reading->arena, path->text), &file, reading->why) != PARLEY_OK) {
    OPTION_ERROR(reading, place, "%s: its file cannot be read", place.where);
    return;
  }
  within.file = file;
  place = (struct place){file->root, file->root->line, file->root->col, place.where};
  value_group(&within, option->fields, place, group, depth);
  reading->bad |= within.bad;
  yaml_file_free(&file); /* the arena has copies of all that counts */
}

/* LIST: nodes one after the other; MAP: members, each with its key as name. One declared element serves all. */
static void value_several(struct reading *reading, const parley_option *option, struct place place, parley_value *value, int depth)
{
  bool map = option->type == PARLEY_OPTION_MAP;
  size_t n = place.node->count;
  parley_value *values = arena_alloc(reading->arena, n * sizeof *values);
  const parley_value **items = arena_alloc(reading->arena, n * sizeof *items);

  if (place.node->kind != (map ? YAML_IS_MAPPING : YAML_IS_SEQUENCE)) {
    OPTION_ERROR(reading, place, "%s: %s is needed", place.where, map ? "a mapping" : "a list");
    return;
  }
  value_check_range(reading, option, &place, (int64_t)n, "how many there are");
  for (size_t i = 0; i < n; i++) {
    const struct yaml_node *node = map ? place.node->members[i].value : place.node->items[i];
    struct place at = {node, node->line, node->col, place.where};

    value_fill(reading, option->fields[0], at, &values[i], depth + 1);
    if (map)
      values[i].name = arena_text(reading->arena, place.node->members[i].name);
    items[i] = &values[i];
  }
  value->n_items = n;
  value->items = items;
}

static void value_fill(struct reading *reading, const parley_option *option, struct place place, parley_value *value, int depth)
{
  const struct yaml_node *elsewhere = option->type == PARLEY_OPTION_GROUP ? group_elsewhere(option, place.node) : NULL;

  value->size = sizeof *value;
  value->type = option->type;
  value->name = parley_text_of(option->name);
  if (depth > OPTION_DEPTH_MAX)
    OPTION_ERROR(reading, place, "%s: nested too deep", place.where);
  else if (elsewhere != NULL)
    value_group_file(reading, option, place, elsewhere, value, depth);
  else if (option->type == PARLEY_OPTION_GROUP && (place.node != NULL || (option->flags & PARLEY_REQUIRED) != 0))
    value_group(reading, option->fields, place, value, depth);
  else if (place.node == NULL)
    value_missing(reading, option, &place, value);
  else if (option->type == PARLEY_OPTION_LIST || option->type == PARLEY_OPTION_MAP)
    value_several(reading, option, place, value, depth);
  else
    value_text(reading, option, &place, value);
}

parley_status options_read(const struct yaml_file *file, const struct yaml_node *node, uint32_t line, uint32_t col,
                           const char *where, const parley_option *const *table, struct arena *arena, struct secrets *secrets,
                           const parley_value **ret, struct buf *reterr_why)
{
  struct reading reading = {file, arena, secrets, reterr_why, false};
  struct place place = {node, node ? node->line : line, node ? node->col : col, where};
  parley_value *root = arena_alloc(arena, sizeof *root);

  root->size = sizeof *root;
  root->type = PARLEY_OPTION_GROUP;
  value_group(&reading, table, place, root, 0);
  if (reading.bad)
    return PARLEY_INVALID;
  *ret = root;
  return PARLEY_OK;
}

static void value_each_secret(const parley_value *value, const parley_option *option,
                              void (*secret)(parley_text value, void *arg), void *arg)
{
  if (value->type == 0)
    return;
  if ((option->flags & PARLEY_SECRET) != 0 && value->text.len > 0)
    secret(value->text, arg);
  if (option->type == PARLEY_OPTION_GROUP)
    options_each_secret(value, option->fields, secret, arg);
  else if (option->type == PARLEY_OPTION_LIST || option->type == PARLEY_OPTION_MAP)
    for (uint64_t i = 0; i < value->n_items; i++)
      value_each_secret(value->items[i], option->fields[0], secret, arg);
}

void options_each_secret(const parley_value *options, const parley_option *const *table,
                         void (*secret)(parley_text value, void *arg), void *arg)
{
  for (uint64_t i = 0; table != NULL && table[i] != NULL && i < options->n_items; i++)
    value_each_secret(options->items[i], table[i], secret, arg);
}
