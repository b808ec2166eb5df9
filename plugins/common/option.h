/* option.h - the value of one option by its name, or what stands for one that is not given. Pure. Thread: any. */
#ifndef PLUGINS_COMMON_OPTION_H
#define PLUGINS_COMMON_OPTION_H
#include <parley/plugin.h>
#include <stdbool.h>

static inline bool option_given(const parley_value *value) { return value != NULL && value->type != 0; }

static inline parley_text option_text(const parley_value *group, const char *name) /* empty: not given */
{
  const parley_value *value = parley_find(group, name);

  return option_given(value) ? value->text : PARLEY_LIT("");
}

static inline int64_t option_number(const parley_value *group, const char *name, int64_t otherwise)
{
  const parley_value *value = parley_find(group, name);

  return option_given(value) ? value->number : otherwise;
}
#endif
