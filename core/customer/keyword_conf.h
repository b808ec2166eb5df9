/* keyword_conf.h - what each channel listens to, out of the configuration: words and texts of the channel before those of all. A word
 * means one thing. Thread: any. */
#ifndef CORE_CUSTOMER_KEYWORD_CONF_H
#define CORE_CUSTOMER_KEYWORD_CONF_H
#include "core/config/conf.h"
#include "keyword.h"

/* Whether the words of all, and those of each channel that is named, can be told apart; whatever channels there are. false: why has an
 * error for each that cannot, with line and column. */
bool keywords_check(const struct conf *conf, struct buf *why);
/* Does the channel listen? One that the configuration does not name does if it is of kind sms. */
bool keywords_listen(const struct conf *conf, parley_text channel, parley_text channel_kind);
/* Of a configuration that keywords_check() is content with. Lives in the arena, and borrows nothing else. */
const struct keywords *keywords_of_conf(const struct conf *conf, parley_text channel, struct arena *arena);
#endif
