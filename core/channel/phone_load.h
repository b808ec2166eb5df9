/* phone_load.h - loads parley-phone.so (core/message/phone_plan.h) for a configuration that names a country: 10 MiB and some 30 ms,
 * which no other daemon pays. It stays until the process ends. Thread: any; blocks: the pool, or before there is a loop. */
#ifndef CORE_CHANNEL_PHONE_LOAD_H
#define CORE_CHANNEL_PHONE_LOAD_H
#include "core/config/conf.h"
#include "core/message/phone.h"
#include "plugin.h"

/* Without defaults.country: PARLEY_OK and no plan. PARLEY_INVALID: *reterr_why has lines for a person, *ret is as it was. */
parley_status phone_plan_load(const struct conf *conf, const struct plugin_home *home, struct phone_plan *ret, struct buf *reterr_why);
/* For `parleyd --check` and `parley config check`: would it load? */
parley_status phone_plan_check(const struct conf *conf, struct buf *reterr_why);
#endif
