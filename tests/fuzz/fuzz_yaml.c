/* The configuration's text, from YAML to the checked whole. Property: either a tree or an error, never both; an error begins
 * with file, line and column within the text; nothing that a variable holds is shown. */
#include "core/base/text.h"
#include "core/config/conf.h"
#include <stdlib.h>
#include <string.h>

#define FILE_NAME "fuzz.yaml"
#define PLANTED "hunter2hunter2"

static const char *variable(const char *name)
{
  return strcmp(name, "KEY") == 0 ? PLANTED : strcmp(name, "NONE") == 0 ? NULL : "x";
}

static void demand(bool held)
{
  if (!held)
    abort();
}

static void error_check(parley_text why, parley_text source)
{
  parley_text rest = text_sub(why, strlen(FILE_NAME ":"), SIZE_MAX), number;
  uint64_t line, col;

  demand(text_starts(why, FILE_NAME ":"));
  number = text_cut(&rest, ':');
  demand(text_to_uint(number, source.len + 1, &line) && line >= 1);
  number = text_cut(&rest, ':');
  demand(text_to_uint(number, source.len + 2, &col) && col >= 1);
  demand(text_starts(rest, " error: "));
  demand(text_utf8_ok(why) || !text_utf8_ok(source));
}

static size_t node_count(const struct yaml_node *node, size_t depth)
{
  size_t count = 1;

  demand(depth <= YAML_DEPTH_MAX && node->line >= 1 && node->col >= 1);
  for (size_t i = 0; i < node->count; i++)
    count += node_count(node->kind == YAML_IS_MAPPING ? node->members[i].value : node->items[i], depth + 1);
  demand(node->kind != YAML_IS_TEXT || (node->count == 0 && node->text.at[node->text.len] == '\0'));
  return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  parley_text source = {(const char *)data, size};
  struct buf why = BUF_INIT(0);
  struct yaml_file *file = NULL;
  struct conf *conf = NULL;
  parley_status st = yaml_parse(FILE_NAME, source, variable, &file, &why);

  demand((st == PARLEY_OK) == (file != NULL) && (st == PARLEY_OK) == (why.len == 0));
  if (file != NULL)
    demand(node_count(file->root, 1) <= YAML_NODES_MAX);
  else
    error_check(buf_as_text(&why), source);
  yaml_file_free(&file);
  buf_clear(&why);
  st = conf_parse(FILE_NAME, source, variable, &conf, &why);
  demand((st == PARLEY_OK) == (conf != NULL) && (st == PARLEY_OK) == (why.len == 0));
  if (conf == NULL)
    error_check(buf_as_text(&why), source);
  if (text_find_text(source, PARLEY_LIT("hunter")) == SIZE_MAX)
    demand(text_find_text(buf_as_text(&why), PARLEY_LIT("hunter")) == SIZE_MAX);
  conf_unref(&conf);
  buf_done(&why);
  return 0;
}
