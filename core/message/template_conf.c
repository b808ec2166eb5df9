#include "template_conf.h"
#include "core/base/alloc.h"
#include "core/base/text.h"
#include <stdlib.h>
#include <string.h>

static json_t *json_of_yaml(const struct yaml_node *node, parley_text name);

static json_t *json_of_text(const struct yaml_node *node, parley_text name)
{
  bool flag;
  char *end;

  if (!node->quoted && conf_bool_parse(node, &flag))
    return json_boolean(flag);
  if (!node->quoted && (parley_text_is(name, "latitude") || parley_text_is(name, "longitude"))) {
    double number = strtod(node->text.at, &end);

    if (end != node->text.at && *end == '\0')
      return json_real(number);
  }
  return json_stringn(node->text.at, node->text.len);
}

static json_t *json_of_yaml(const struct yaml_node *node, parley_text name)
{
  json_t *made;

  switch (node->kind) {
  case YAML_IS_TEXT:
    return json_of_text(node, name);
  case YAML_IS_SEQUENCE:
    made = json_array();
    for (size_t i = 0; i < node->count; i++)
      json_array_append_new(made, json_of_yaml(node->items[i], name));
    return made;
  case YAML_IS_MAPPING:
    made = json_object();
    for (size_t i = 0; i < node->count; i++)
      json_object_setn_new(made, node->members[i].name.at, node->members[i].name.len,
                           json_of_yaml(node->members[i].value, node->members[i].name));
    return made;
  }
  return json_null();
}

json_t *template_json_of_yaml(const struct yaml_node *root)
{
  return json_of_yaml(root, TEXT_EMPTY);
}

/* Where a pointer leads, or how far it does. */
static const struct yaml_node *node_at(const struct yaml_node *node, parley_text pointer)
{
  text_cut(&pointer, '/');
  while (pointer.len > 0 && node->kind == YAML_IS_MAPPING) {
    parley_text part = text_cut(&pointer, '/');
    const struct yaml_node *below = NULL;

    for (size_t i = 0; i < node->count; i++)
      if (text_eq(node->members[i].name, part))
        below = node->members[i].value;
    if (below == NULL)
      break;
    node = below;
  }
  return node;
}

static void problems_tell(const struct yaml_file *file, const struct problems *problems, struct buf *why)
{
  for (size_t i = 0; i < problems->count; i++) {
    const struct problem *row = &problems->rows[i];
    const struct yaml_node *node = node_at(file->root, row->pointer);

    yaml_error(file, node->line, node->col, why, "%.*s: %.*s", TEXT_ARG(row->pointer), TEXT_ARG(row->detail));
  }
}

static struct template *file_read(const struct conf_template *from, json_t *json, const struct template_set *set, struct buf *why)
{
  struct arena *arena = arena_new();
  struct problems problems;
  struct json_in in = {.object = json, .pointer = TEXT_EMPTY, .arena = arena, .problems = &problems};
  struct template *made;

  problems_init(&problems, arena);
  made = template_read(&in, from->name, 0, 0, &set, 1);
  if (made == NULL && why != NULL)
    problems_tell(from->file, &problems, why);
  arena_free(&arena);
  return made;
}

/* One that contains others can be read once they are there. */
static size_t round_read(const struct conf *conf, json_t **json, struct template_set *set, struct buf *why)
{
  size_t read = 0;

  for (size_t i = 0; i < conf->n_templates; i++) {
    struct template *made = json[i] != NULL ? file_read(&conf->templates[i], json[i], set, why) : NULL;

    if (made == NULL)
      continue;
    template_set_put(set, made);
    json_decref(json[i]);
    json[i] = NULL;
    read++;
  }
  return read;
}

bool template_set_of_conf(const struct conf *conf, struct template_set *set, struct buf *why)
{
  json_t **json = xcalloc(conf->n_templates + 1, sizeof(json_t *));

  for (size_t i = 0; i < conf->n_templates; i++)
    json[i] = template_json_of_yaml(conf->templates[i].file->root);
  while (round_read(conf, json, set, NULL) > 0) {
  }
  if (set->n < conf->n_templates)
    round_read(conf, json, set, why);
  for (size_t i = 0; i < conf->n_templates; i++)
    json_decref(json[i]);
  free(json);
  return set->n == conf->n_templates;
}
