/* The section `templates` of the configuration: a folder of files, one template each. */
#include "conf_read.h"
#include "core/base/text.h"
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The file's name without what says its kind. false: it is no template's. */
static bool name_of(const char *file, parley_text *ret)
{
  static const char *const endings[] = {".yaml", ".yml", ".json"};
  parley_text name = parley_text_of(file);

  for (size_t i = 0; i < 3 && name.len > 0 && name.at[0] != '.'; i++) {
    if (!text_ends(name, endings[i]))
      continue;
    *ret = text_sub(name, 0, name.len - strlen(endings[i]));
    return true;
  }
  return false;
}

static void template_add(struct conf_reader *r, const struct yaml_node *node, const char *dir, const char *file,
                         struct conf_template *to)
{
  struct buf path = BUF_INIT(4096), why = BUF_INIT(16384);
  struct yaml_file *read = NULL;
  parley_text name;

  name_of(file, &name);
  buf_printf(&path, "%s/%s", dir, file);
  to->name = arena_text(r->arena, name);
  if (!conf_name_ok(name))
    conf_error(r, node, "%s: a template's file has a name of a-z 0-9 _ . - and at most %d bytes", path.at, CONF_NAME_MAX);
  else if (yaml_load(path.at, &read, &why) != PARLEY_OK)
    conf_error(r, node, "the template %.*s cannot be read:\n%s", TEXT_ARG(name), why.at);
  to->file = read;
  buf_done(&path);
  buf_done(&why);
}

static int entry_is_template(const struct dirent *entry)
{
  parley_text name;

  return name_of(entry->d_name, &name);
}

static void names_twice(struct conf_reader *r, const struct yaml_node *node, const struct conf *conf)
{
  for (size_t i = 0; i < conf->n_templates; i++)
    for (size_t j = 0; j < i; j++)
      if (text_eq(conf->templates[i].name, conf->templates[j].name))
        conf_error(r, node, "there are two files of the template %.*s", TEXT_ARG(conf->templates[i].name));
}

void conf_read_templates(struct conf_reader *r, const struct yaml_node *node, const struct conf_field *field, void *to)
{
  static const struct conf_field fields[] = {{.name = "dir", .read = conf_read_path, .required = true, .example = "dir: templates"},
                                             {.name = NULL}};
  struct conf *conf = to;
  parley_text dir = TEXT_EMPTY;
  struct conf_template *all;
  struct dirent **entries = NULL;
  int n;

  (void)field;
  conf_read_mapping(r, node, fields, &dir);
  if (dir.len == 0)
    return;
  n = scandir(dir.at, &entries, entry_is_template, alphasort);
  if (n < 0) {
    conf_error(r, node, "the folder %s cannot be read: %s", dir.at, strerror(errno));
    return;
  }
  if (n > CONF_ITEMS_MAX)
    conf_error(r, node, "the folder %s has %d templates; %d are allowed", dir.at, n, CONF_ITEMS_MAX);
  all = arena_alloc(r->arena, ((size_t)n + 1) * sizeof *all);
  for (int i = 0; i < n; i++) {
    if (i < CONF_ITEMS_MAX)
      template_add(r, node, dir.at, entries[i]->d_name, &all[conf->n_templates++]);
    free(entries[i]);
  }
  free(entries);
  conf->templates = all;
  names_twice(r, node, conf);
}

void conf_templates_free(const struct conf *conf)
{
  for (size_t i = 0; i < conf->n_templates; i++) {
    struct yaml_file *file = (struct yaml_file *)(uintptr_t)conf->templates[i].file;

    yaml_file_free(&file);
  }
}
