/* envelope.h - how messages, customers, conversations, timeline entries and events look as JSON: one writer for API, webhook,
 * SSE and pull. What may be absent is null, or left out where that says the same. Pure. Thread: any. */
#ifndef CORE_FEED_ENVELOPE_H
#define CORE_FEED_ENVELOPE_H
#include "core/store/store.h"

#define RECENT_BODY_BYTES_MAX 1024 /* of a text in `recent` */
/* {"id":"evt_...","type","timestamp","data":{"facts":{the event's own},"message","conversation","customer","recent":[...]}};
 * the last four only with context, as far as the event has them. */
void buf_event(struct buf *buf, const struct event_row *event);
/* {"type","at","customer","identity","message":{...}} or {"id":"evt_...","type","at","customer","identity","data":{...}}.
 * text_bytes_max: of each text (0: no cut); overrides per channel and what else is long are left out when cutting. */
void buf_timeline_entry(struct buf *buf, const struct timeline_row *row, size_t text_bytes_max);
/* content is the one that was asked for, in its own words. */
void buf_message(struct buf *buf, const struct message_row *row);
/* ... with plan, deliveries, attempts, decision. more: as of buf_explain(), for the decision. */
void buf_message_whole(struct buf *buf, const struct message_row *row, explain_step_fn *more, void *arg);
void buf_message_cut(struct buf *buf, const struct message_row *row, size_t text_bytes_max); /* for lists */
void buf_customer(struct buf *buf, const struct customer_row *row);
void buf_conversation(struct buf *buf, const struct conversation_row *row);
#endif
