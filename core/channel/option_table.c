/* Whether a plugin's option table can be worked with at all. */
#include "option.h"

/* named: its options are found by their names; the one of a list or map serves for all elements. */
static bool table_ok(const parley_option *const *table, bool named, uint32_t depth, struct buf *why);

static bool option_ok(const parley_option *option, bool named, uint32_t depth, struct buf *why)
{
  bool is_group = option->type == PARLEY_OPTION_GROUP;
  bool needs_fields = is_group || option->type == PARLEY_OPTION_LIST || option->type == PARLEY_OPTION_MAP;

  if (option->size < offsetof(parley_option, fields) + sizeof option->fields)
    buf_str(why, "an option of the plugin's table is shorter than ABI 1.0 has it");
  else if (named && (option->name == NULL || option->name[0] == '\0'))
    buf_str(why, "an option of the plugin's table has no name");
  else if (option->type < PARLEY_OPTION_TEXT || option->type > PARLEY_OPTION_MAP)
    buf_printf(why, "option '%s' of the plugin's table is of an unknown type %u", option->name ? option->name : "", option->type);
  else if (option->type == PARLEY_OPTION_CHOICE && (option->choices == NULL || option->choices[0] == NULL))
    buf_printf(why, "option '%s' of the plugin's table is a choice without choices", option->name ? option->name : "");
  else if (needs_fields && (option->fields == NULL || option->fields[0] == NULL))
    buf_printf(why, "option '%s' of the plugin's table has no fields", option->name ? option->name : "");
  else
    return !needs_fields || table_ok(option->fields, is_group, depth + 1, why);
  return false;
}

static bool table_ok(const parley_option *const *table, bool named, uint32_t depth, struct buf *why)
{
  if (depth >= OPTION_DEPTH_MAX) {
    buf_str(why, "the plugin's option table is nested too deeply");
    return false;
  }
  for (; table != NULL && *table != NULL; table++)
    if (!option_ok(*table, named, depth, why))
      return false;
  return true;
}

bool option_table_ok(const parley_option *const *table, struct buf *why)
{
  return table_ok(table, true, 0, why);
}
