/* Templates by name: a sorted array, since there are few and they are looked up far more often than changed. */
#include "core/base/alloc.h"
#include "core/base/text.h"
#include "template.h"
#include <stdlib.h>
#include <string.h>

/* Where the name stands, or would. */
static size_t set_at(const struct template_set *set, parley_text name, bool *ret_there)
{
  size_t low = 0, high = set->n;

  while (low < high) {
    size_t middle = low + (high - low) / 2;

    if (text_cmp(template_name(set->all[middle]), name) < 0)
      low = middle + 1;
    else
      high = middle;
  }
  *ret_there = low < set->n && text_eq(template_name(set->all[low]), name);
  return low;
}

struct template *template_set_find(const struct template_set *set, parley_text name)
{
  bool there = false;
  size_t at = set != NULL ? set_at(set, name, &there) : 0;

  return there ? set->all[at] : NULL;
}

void template_set_put(struct template_set *set, struct template *template)
{
  bool there;
  size_t at = set_at(set, template_name(template), &there);

  if (there) {
    set->bytes -= template_bytes(set->all[at]);
    template_unref(&set->all[at]);
  } else {
    set->all = xrealloc(set->all, (set->n + 1) * sizeof *set->all);
    memmove(&set->all[at + 1], &set->all[at], (set->n - at) * sizeof *set->all);
    set->n++;
  }
  set->all[at] = template;
  set->bytes += template_bytes(template);
}

void template_set_remove(struct template_set *set, parley_text name)
{
  bool there;
  size_t at = set_at(set, name, &there);

  if (!there)
    return;
  set->bytes -= template_bytes(set->all[at]);
  template_unref(&set->all[at]);
  set->n--;
  memmove(&set->all[at], &set->all[at + 1], (set->n - at) * sizeof *set->all);
}

void template_set_done(struct template_set *set)
{
  for (size_t i = 0; i < set->n; i++)
    template_unref(&set->all[i]);
  free(set->all);
  *set = (struct template_set){.n = 0};
}
