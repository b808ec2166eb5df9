#include "phone_load.h"
#include "core/base/text.h"
#include <dlfcn.h>
#include <string.h>

/* NULL: *reterr_why says why. */
static const struct phone_table *table_load(const char *path, const char **reterr_why)
{
  const struct phone_table *table = NULL;
  void *object = NULL;

  *reterr_why = "parley-phone.so is not there: it belongs beside parleyd, or into lib/parley where that is installed";
  if (path[0] == '\0')
    return NULL;
  object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (object != NULL)
    table = dlsym(object, PHONE_TABLE_SYMBOL);
  if (table == NULL)
    *reterr_why = dlerror();
  return table;
}

parley_status phone_plan_load(const struct conf *conf, const struct plugin_home *home, struct phone_plan *ret, struct buf *reterr_why)
{
  const struct phone_table *table;
  struct phone_plan plan = {.read = NULL};
  const char *why;

  if (conf->country.len == 0) {
    *ret = plan;
    return PARLEY_OK;
  }
  table = table_load(home->phone_table, &why);
  memcpy(plan.country, conf->country.at, sizeof plan.country - 1);
  if (table == NULL) {
    yaml_error(conf->file, conf->country_line, conf->country_col, reterr_why, "defaults.country: %s", why);
    return PARLEY_INVALID;
  }
  if (!table->ready(plan.country)) {
    yaml_error(conf->file, conf->country_line, conf->country_col, reterr_why,
               "defaults.country: %s has no telephone numbers of its own", plan.country);
    return PARLEY_INVALID;
  }
  plan.read = table->read;
  *ret = plan;
  return PARLEY_OK;
}

parley_status phone_plan_check(const struct conf *conf, struct buf *reterr_why)
{
  struct plugin_home home;
  struct phone_plan plan;

  plugin_home_find(&home);
  return phone_plan_load(conf, &home, &plan, reterr_why);
}
