/* sink_box.h - the mailbox itself: copies of messages, newest kept, oldest forgotten beyond a number and a sum of bytes. No host,
 * no clock. Thread: loop. Times: ms since 1970. */
#ifndef PLUGINS_SINK_SINK_BOX_H
#define PLUGINS_SINK_SINK_BOX_H
#include "common/copy.h"
#include <parley/ext/mailbox.h>

#define SINK_BOX_BYTES_MAX ((size_t)64 << 20) /* of all copies together; one larger message is still kept, alone */
#define SINK_BOX_PAGE_MAX 200                 /* mails in one page */

struct sink_box;
struct sink_box *sink_box_new(size_t keep); /* keep: at least 1. NULL: no memory */
void sink_box_free(struct sink_box **box);
/* PARLEY_BUSY: no memory, nothing was kept. */
parley_status sink_box_add(struct sink_box *box, const parley_message *message, uint32_t outcome, int64_t at_ms);
void sink_box_clear(struct sink_box *box);
/* Fills the page; its mails live until the box changes. mails: room for the pointers. */
void sink_box_list(const struct sink_box *box, const parley_mail_query *query, const parley_mail *mails[SINK_BOX_PAGE_MAX],
                   parley_mail_page *page);
#endif
