/* envelope.h - how messages, customers, conversations, timeline entries and events look as JSON: one writer for API, webhook,
 * SSE and pull. Pure. */
#ifndef CORE_FEED_ENVELOPE_H
#define CORE_FEED_ENVELOPE_H
#include "core/store/store.h"

#define RECENT_BODY_BYTES_MAX 1024 /* of a text in `recent` */
/* {"id":"evt_...","type","timestamp","data":{"message","conversation","customer","recent":[...]} + the event's own facts}. */
void buf_event(struct buf *buf, const struct event_row *event);
void buf_timeline_entry(struct buf *buf, const struct timeline_row *row, size_t text_bytes_max);
void buf_message(struct buf *buf, const struct message_row *row, bool whole); /* whole: plan, deliveries, attempts, decision */
void buf_customer(struct buf *buf, const struct customer_row *row);
void buf_conversation(struct buf *buf, const struct conversation_row *row);
#endif
