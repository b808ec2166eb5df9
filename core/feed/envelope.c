#include "envelope.h"
#include "core/base/text.h"
#include "member.h"
#include "slice.h"

static const char *assurance_name(uint32_t assurance)
{
  switch (assurance) {
  case PARLEY_OBSERVED:
    return "observed";
  case PARLEY_VERIFIED:
    return "verified";
  default:
    return "claimed"; /* PARLEY_CLAIMED, or a plugin's word that we don't know */
  }
}

/* --- Customers -------------------------------------------------------------------------------- */

static void identity(struct buf *buf, const struct stored_identity *row)
{
  BUF_LIT(buf, "{\"id\":");
  buf_json_id(buf, "idn", row->id);
  MEMBER_TEXT(buf, "kind", row->identity.kind);
  MEMBER_TEXT(buf, "value", row->identity.value);
  if (row->identity.raw.len > 0 && !text_eq(row->identity.raw, row->identity.value))
    MEMBER_TEXT(buf, "raw", row->identity.raw);
  BUF_LIT(buf, ",\"assurance\":");
  buf_json_str(buf, assurance_name(row->identity.assurance));
  MEMBER_TRUE_IF(buf, "blocked", row->blocked);
  MEMBER_TIME(buf, "created_at", row->created_ms);
  MEMBER_TIME(buf, "used_at", row->used_ms);
  buf_char(buf, '}');
}

static void consent(struct buf *buf, const struct consent *row)
{
  BUF_LIT(buf, "{\"topic\":");
  buf_json_text(buf, row->topic);
  MEMBER_TEXT(buf, "channel_kind", row->channel_kind);
  BUF_LIT(buf, ",\"granted\":");
  buf_str(buf, row->granted ? "true" : "false");
  MEMBER_TIME(buf, "at", row->at_ms);
  MEMBER_TEXT(buf, "source", row->source);
  MEMBER_TEXT_IF(buf, "proof", row->proof);
  buf_char(buf, '}');
}

void buf_customer(struct buf *buf, const struct customer_row *row)
{
  BUF_LIT(buf, "{\"id\":");
  buf_json_id(buf, "cus", row->id);
  if (row->merged_into != 0)
    MEMBER_ID(buf, "merged_into", "cus", row->merged_into);
  MEMBER_TEXT(buf, "name", row->name);
  MEMBER_TEXT(buf, "locale", row->locale);
  MEMBER_TEXT(buf, "timezone", row->timezone);
  MEMBER_JSON(buf, "attributes", row->attributes, "{}");
  MEMBER_JSON(buf, "tags", row->tags, "[]");
  BUF_LIT(buf, ",\"identities\":[");
  for (size_t i = 0; i < row->n_identities; i++) {
    buf_json_comma(buf);
    identity(buf, &row->identities[i]);
  }
  BUF_LIT(buf, "],\"consents\":[");
  for (size_t i = 0; i < row->n_consents; i++) {
    buf_json_comma(buf);
    consent(buf, &row->consents[i]);
  }
  buf_char(buf, ']');
  MEMBER_TIME(buf, "created_at", row->created_ms);
  MEMBER_TIME(buf, "updated_at", row->updated_ms);
  buf_char(buf, '}');
}

/* --- Conversations ---------------------------------------------------------------------------- */

void buf_conversation(struct buf *buf, const struct conversation_row *row)
{
  BUF_LIT(buf, "{\"id\":");
  buf_json_id(buf, "cnv", row->id);
  MEMBER_ID(buf, "customer", "cus", row->customer);
  MEMBER_ID(buf, "identity", "idn", row->identity);
  MEMBER_TEXT(buf, "state", row->state);
  MEMBER_TEXT(buf, "assignee", row->assignee);
  MEMBER_JSON(buf, "tags", row->tags, "[]");
  MEMBER_TEXT(buf, "channel", row->channel);
  MEMBER_TEXT(buf, "channel_kind", row->channel_kind);
  MEMBER_TEXT(buf, "subject", row->subject);
  MEMBER_TIME(buf, "opened_at", row->opened_ms);
  MEMBER_TIME(buf, "updated_at", row->updated_ms);
  MEMBER_TIME(buf, "last_inbound_at", row->last_inbound_ms);
  MEMBER_TIME(buf, "closed_at", row->closed_ms);
  BUF_LIT(buf, ",\"version\":");
  buf_int(buf, row->version);
  buf_char(buf, '}');
}

/* --- Timeline and events ---------------------------------------------------------------------- */

void buf_timeline_entry(struct buf *buf, const struct timeline_row *row, size_t text_bytes_max)
{
  bool message = row->message != NULL || parley_text_is(row->type, "message"); /* whose seq is its id */

  BUF_LIT(buf, "{\"type\":");
  buf_json_text(buf, row->type);
  MEMBER_TIME(buf, "at", row->at_ms);
  if (!message)
    MEMBER_ID(buf, "id", "evt", row->seq);
  MEMBER_ID(buf, "customer", "cus", row->customer);
  MEMBER_ID(buf, "identity", "idn", row->identity);
  if (row->message != NULL) {
    BUF_LIT(buf, ",\"message\":");
    buf_message_cut(buf, row->message, text_bytes_max);
  } else if (message) {
    BUF_LIT(buf, ",\"message\":{\"id\":");
    buf_json_id(buf, "msg", row->seq);
    buf_char(buf, '}');
  } else if (text_bytes_max > 0) {
    BUF_LIT(buf, ",\"data\":");
    buf_slice_cut_members(buf, row->data, text_bytes_max, NULL);
  } else {
    MEMBER_JSON(buf, "data", row->data, "{}");
  }
  buf_char(buf, '}');
}

static void recent(struct buf *buf, const struct event_row *event)
{
  BUF_LIT(buf, ",\"recent\":[");
  for (size_t i = 0; i < event->n_recent; i++) {
    buf_json_comma(buf);
    buf_timeline_entry(buf, &event->recent[i], RECENT_BODY_BYTES_MAX);
  }
  buf_char(buf, ']');
}

void buf_event(struct buf *buf, const struct event_row *event)
{
  BUF_LIT(buf, "{\"id\":");
  buf_json_id(buf, "evt", event->seq);
  MEMBER_TEXT(buf, "type", event->type);
  BUF_LIT(buf, ",\"timestamp\":");
  buf_json_time(buf, event->at_ms);
  BUF_LIT(buf, ",\"data\":{\"facts\":");
  member_json(buf, event->data, "{}");
  if (event->message != NULL) {
    BUF_LIT(buf, ",\"message\":");
    buf_message(buf, event->message);
  }
  if (event->conversation_row != NULL) {
    BUF_LIT(buf, ",\"conversation\":");
    buf_conversation(buf, event->conversation_row);
  }
  if (event->customer_row != NULL) {
    BUF_LIT(buf, ",\"customer\":");
    buf_customer(buf, event->customer_row);
    recent(buf, event);
  }
  BUF_LIT(buf, "}}");
}
