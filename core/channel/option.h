/* option.h - a channel's options: the operator's YAML checked against the plugin's option table, defaults and secrets filled
 * in. Reads files of secrets and of groups, else pure. Thread: any. */
#ifndef CORE_CHANNEL_OPTION_H
#define CORE_CHANNEL_OPTION_H
#include "core/base/arena.h"
#include "core/config/conf.h"

#define OPTION_TEXT_BYTES_MAX 65536 /* of a text whose table names no other maximum */
#define OPTION_DEPTH_MAX 8

/* A group may stand in a file of its own: `gateway: { file: gateways/plivo.yaml }`, the path from the configuration's folder; what is
 * wrong in it is said with its own file, line and column.
 * node: the `options` subtree (NULL: none given). where: its name in messages ("channels.mail.options"). Errors are appended to
 * reterr_why as the configuration reader writes them (file:line:col), all of them, with the nearest name for an unknown one.
 * The tree lives in the arena, the values of secrets in `secrets`. */
parley_status options_read(const struct yaml_file *file, const struct yaml_node *node, uint32_t line, uint32_t col,
                           const char *where, const parley_option *const *table, struct arena *arena, struct secrets *secrets,
                           const parley_value **ret, struct buf *reterr_why);
/* Whether a plugin's table can be worked with at all: names, known types, choices and fields where the type needs them, at most
 * OPTION_DEPTH_MAX deep. It may come from another process. */
bool option_table_ok(const parley_option *const *table, struct buf *why);
/* Calls back once for every secret text that the options hold, for masking. */
void options_each_secret(const parley_value *options, const parley_option *const *table,
                         void (*secret)(parley_text value, void *arg), void *arg);
#endif
