/* check.h - all that a configuration says of channels, held against their plugins without making any: is the plugin there and
 * fit to be loaded, are its options right (one that runs in here and offers parley.check is asked, too), can its receipts tell
 * what plans wait for. For `parleyd --check` and `parley config check`; what only a running channel knows, its create() says at
 * the start. Thread: main; blocks. */
#ifndef CORE_CHANNEL_CHECK_H
#define CORE_CHANNEL_CHECK_H
#include "core/config/conf.h"

/* Of a channel whose options are right; they go with the call. */
typedef void channel_options_seen(const struct conf_channel *channel, const parley_value *options, void *arg);
/* seen: NULL, or told of each channel's options, secrets filled in.
 * PARLEY_INVALID: every fault is in *reterr_why, with file, line and column. */
parley_status channels_check(const struct conf *conf, channel_options_seen *seen, void *arg, struct buf *reterr_why);
#endif
