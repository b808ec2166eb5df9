/* option.h - a channel's options: the operator's YAML checked against the plugin's option table, defaults and secrets filled
 * in. Pure but for reading secrets. Thread: any. */
#ifndef CORE_CHANNEL_OPTION_H
#define CORE_CHANNEL_OPTION_H
#include "core/base/arena.h"
#include "core/config/conf.h"

/* node: the `options` subtree (NULL: none given). file_dir: secrets' and paths' base. Problems are appended to reterr_why as the
 * configuration reader writes them (file:line:col). The values live in the arena; secrets in it are wiped by options_wipe. */
parley_status options_read(const struct conf *conf, const struct conf_channel *channel, const parley_option *const *table,
                           struct arena *arena, const parley_value **ret, struct buf *reterr_why);
/* Every secret text that options hold, for masking: calls back once for each. */
void options_each_secret(const parley_value *options, const parley_option *const *table,
                         void (*secret)(parley_text value, void *arg), void *arg);
#endif
