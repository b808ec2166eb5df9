/* One message as JSON. Its content is never parsed: what the sender wrote is found in the stored body and copied. */
#include "core/base/arena.h"
#include "core/base/text.h"
#include "core/inbound/report.h"
#include "envelope.h"
#include "member.h"
#include "slice.h"
#include <jansson.h>

static const char *outcome_name(uint32_t outcome)
{
  static const char *const names[] = {"open",        "accepted",  "delivered",    "retry",  "rejected",
                                      "bad_address", "throttled", "channel_down", "unknown"};

  return outcome < COUNT_OF(names) ? names[outcome] : "unknown";
}

/* --- Content ---------------------------------------------------------------------------------- */

/* What an inbound message says beside its content; whole: with the quotation that stood beneath it. */
static void said(struct buf *buf, parley_text body, bool whole)
{
  parley_text payload = slice_member(body, "payload"), target = slice_member(body, "target"), segments = slice_member(body, "segments"),
              fields = slice_member(body, "fields"), quoted = whole ? slice_member(body, "quoted") : TEXT_EMPTY;

  if (payload.len > 0)
    MEMBER_JSON(buf, "payload", payload, "null");
  if (target.len > 0)
    MEMBER_JSON(buf, "target", target, "null");
  if (fields.len > 0)
    MEMBER_JSON(buf, "fields", fields, "null");
  if (quoted.len > 0)
    MEMBER_JSON(buf, "quoted", quoted, "null");
  if (segments.len > 0)
    MEMBER_JSON(buf, "segments", segments, "null");
}

/* Which template made it: core/api writes that first, so most bodies are left after one look. */
static void made_of(struct buf *buf, parley_text body)
{
  if (!text_starts(body, "{\"template\":\""))
    return;
  MEMBER_TEXT_IF(buf, "template", slice_word(body, "template"));
  MEMBER_TEXT_IF(buf, "locale", slice_word(body, "locale"));
}

static void content(struct buf *buf, const struct message_row *row, size_t text_bytes_max)
{
  parley_text body = row->body, found = slice_member(body, "content");

  BUF_LIT(buf, ",\"content\":");
  if (found.len == 0 || found.at[0] != '{')
    BUF_LIT(buf, "null");
  else if (text_bytes_max > 0)
    buf_slice_cut_members(buf, found, text_bytes_max, "channels");
  else
    buf_text(buf, found);
  MEMBER_TRUE_IF(buf, "body_expired", row->body_expired);
  if (row->inbound)
    said(buf, body, text_bytes_max == 0);
}

/* --- Head ------------------------------------------------------------------------------------- */

static void inbound_head(struct buf *buf, const struct message_row *row)
{
  const char *name = report_kind_name(row->kind);
  parley_text kind = row->body_expired && name != NULL ? parley_text_of(name)
                     : row->kind != PARLEY_KIND_CONTENT ? slice_word(row->body, "kind")
                                                        : TEXT_EMPTY;

  if ((row->flags & PARLEY_ECHO) != 0) /* ours, sent by another tool */
    BUF_LIT(buf, ",\"direction\":\"out\",\"status\":\"sent\",\"kind\":");
  else
    BUF_LIT(buf, ",\"direction\":\"in\",\"status\":\"received\",\"kind\":");
  buf_json_text(buf, kind.len > 0 ? kind : PARLEY_LIT("content"));
  MEMBER_TRUE_IF(buf, "automatic", (row->flags & PARLEY_AUTOMATIC) != 0);
  MEMBER_TRUE_IF(buf, "echo", (row->flags & PARLEY_ECHO) != 0);
  MEMBER_TRUE_IF(buf, "foreign_reply", row->foreign);
  MEMBER_TRUE_IF(buf, "partial", row->partial);
  if (row->keyword != KEYWORD_NONE)
    MEMBER_TEXT(buf, "keyword", parley_text_of(keyword_name(row->keyword)));
  if (row->review)
    MEMBER_TEXT(buf, "review", PARLEY_LIT("opt_out"));
  MEMBER_TEXT_IF(buf, "campaign", row->campaign);
}

static void outbound_head(struct buf *buf, const struct message_row *row)
{
  BUF_LIT(buf, ",\"direction\":\"out\",\"status\":");
  buf_json_str(buf, message_state_name(row->state));
  MEMBER_TEXT_IF(buf, "reason", row->reason);
  BUF_LIT(buf, ",\"possible_duplicate\":");
  buf_str(buf, row->possible_duplicate ? "true" : "false");
  MEMBER_JSON(buf, "degraded", row->degraded, "[]");
  MEMBER_TIME_IF(buf, "not_before", row->not_before_ms);
  MEMBER_TIME_IF(buf, "expires_at", row->expires_ms);
  MEMBER_TEXT_IF(buf, "key", row->key);
  MEMBER_TEXT_IF(buf, "campaign", row->campaign);
}

static void message_open(struct buf *buf, const struct message_row *row, size_t text_bytes_max)
{
  BUF_LIT(buf, "{\"id\":");
  buf_json_id(buf, "msg", row->id);
  if (row->inbound)
    inbound_head(buf, row);
  else
    outbound_head(buf, row);
  MEMBER_TRUE_IF(buf, "test", row->test);
  MEMBER_ID(buf, "customer", "cus", row->customer);
  MEMBER_ID(buf, "identity", "idn", row->identity);
  MEMBER_ID(buf, "conversation", "cnv", row->conversation);
  MEMBER_TEXT(buf, "topic", row->topic);
  MEMBER_TEXT(buf, "channel", row->channel);
  MEMBER_TEXT(buf, "channel_kind", row->channel_kind);
  MEMBER_TIME(buf, "created_at", row->created_ms);
  MEMBER_TIME(buf, "at", row->at_ms != 0 ? row->at_ms : row->created_ms);
  MEMBER_TEXT_IF(buf, "provider_id", row->provider_id);
  MEMBER_TEXT_IF(buf, "in_reply_to", row->in_reply_to);
  if (!row->inbound)
    made_of(buf, row->body);
  content(buf, row, text_bytes_max);
}

/* --- Whole ------------------------------------------------------------------------------------ */

/* One that is not out yet has no id. */
static enum delivery_state part_status(const struct delivery_row *row, uint32_t part, const char *id)
{
  enum delivery_state state = part_state(&row->parts, part);

  return state == DELIVERY_SENT && (id == NULL || id[0] == '\0') ? DELIVERY_QUEUED : state;
}

/* What each part is called by the provider, and what that said of it. */
static void parts(struct buf *buf, const struct delivery_row *row)
{
  json_t *ids = json_loadb(row->provider_ids.at, row->provider_ids.len, 0, NULL);

  BUF_LIT(buf, ",\"parts\":[");
  for (uint32_t i = 0; i < row->parts.n; i++) {
    const char *id = json_string_value(json_array_get(ids, i));

    buf_json_comma(buf);
    BUF_LIT(buf, "{\"provider_id\":");
    member_text(buf, parley_text_of(id));
    BUF_LIT(buf, ",\"status\":");
    buf_json_str(buf, delivery_state_name(part_status(row, i, id)));
    buf_char(buf, '}');
  }
  buf_char(buf, ']');
  json_decref(ids);
  if (parts_partial(&row->parts))
    buf_printf(buf, ",\"partial\":\"%u/%u\"", parts_delivered(&row->parts), row->parts.n);
  MEMBER_TEXT_IF(buf, "code", row->part_code);
}

static void delivery(struct buf *buf, const struct delivery_row *row)
{
  BUF_LIT(buf, "{\"id\":");
  buf_json_id(buf, "dlv", row->id);
  BUF_LIT(buf, ",\"step\":");
  buf_uint(buf, row->facts.step);
  MEMBER_TEXT(buf, "channel", row->channel);
  BUF_LIT(buf, ",\"status\":");
  buf_json_str(buf, delivery_state_name((enum delivery_state)row->facts.state));
  if (row->address.len > 0) {
    struct buf masked = BUF_INIT(IDENTITY_VALUE_BYTES_MAX);

    buf_identity_masked(&masked, row->address_kind, row->address);
    MEMBER_TEXT(buf, "to", buf_as_text(&masked));
    buf_done(&masked);
  }
  MEMBER_ID(buf, "identity", "idn", row->identity);
  BUF_LIT(buf, ",\"attempts\":");
  buf_uint(buf, row->facts.attempt);
  MEMBER_TRUE_IF(buf, "held", row->facts.held);
  MEMBER_TRUE_IF(buf, "possible_duplicate", row->facts.maybe_twice);
  if (row->facts.deaths > 0) {
    BUF_LIT(buf, ",\"deaths\":");
    buf_uint(buf, row->facts.deaths);
  }
  MEMBER_TEXT(buf, "provider_id", row->provider_id);
  if (row->parts.n >= 2)
    parts(buf, row);
  MEMBER_TIME(buf, "started_at", row->facts.started_ms);
  MEMBER_TIME(buf, "handed_at", row->facts.handed_ms);
  if (row->facts.state == DELIVERY_QUEUED)
    MEMBER_TIME(buf, "due_at", row->facts.due_ms);
  buf_char(buf, '}');
}

static void attempt(struct buf *buf, const struct attempt_row *row)
{
  BUF_LIT(buf, "{\"id\":");
  buf_json_id(buf, "att", row->id);
  BUF_LIT(buf, ",\"step\":");
  buf_uint(buf, row->step);
  BUF_LIT(buf, ",\"number\":");
  buf_uint(buf, row->number);
  BUF_LIT(buf, ",\"outcome\":");
  buf_json_str(buf, outcome_name(row->outcome));
  MEMBER_TEXT_IF(buf, "code", row->code);
  MEMBER_TEXT_IF(buf, "detail", row->detail);
  MEMBER_TEXT_IF(buf, "provider_id", row->provider_id);
  MEMBER_TIME(buf, "started_at", row->started_ms);
  MEMBER_TIME(buf, "ended_at", row->ended_ms);
  buf_char(buf, '}');
}

static void plan_and_decision(struct buf *buf, const struct message_row *row, explain_step_fn *more, void *arg)
{
  struct arena *arena = arena_new();
  struct decision decision;
  bool known = decision_read(row->decision, arena, &decision);

  BUF_LIT(buf, ",\"plan\":");
  if (known)
    buf_plan(buf, &decision);
  else
    BUF_LIT(buf, "[]");
  BUF_LIT(buf, ",\"decision\":");
  if (known)
    buf_explain(buf, &decision, more, arg);
  else
    BUF_LIT(buf, "null");
  arena_free(&arena);
}

static void message_rest(struct buf *buf, const struct message_row *row, explain_step_fn *more, void *arg)
{
  plan_and_decision(buf, row, more, arg);
  BUF_LIT(buf, ",\"deliveries\":[");
  for (size_t i = 0; i < row->n_deliveries; i++) {
    buf_json_comma(buf);
    delivery(buf, &row->deliveries[i]);
  }
  BUF_LIT(buf, "],\"attempts\":[");
  for (size_t i = 0; i < row->n_attempts; i++) {
    buf_json_comma(buf);
    attempt(buf, &row->attempts[i]);
  }
  buf_char(buf, ']');
  MEMBER_TRUE_IF(buf, "attempts_expired", row->attempts_expired);
}

void buf_message(struct buf *buf, const struct message_row *row)
{
  message_open(buf, row, 0);
  buf_char(buf, '}');
}

void buf_message_whole(struct buf *buf, const struct message_row *row, explain_step_fn *more, void *arg)
{
  message_open(buf, row, 0);
  if (!row->inbound)
    message_rest(buf, row, more, arg);
  buf_char(buf, '}');
}

void buf_message_cut(struct buf *buf, const struct message_row *row, size_t text_bytes_max)
{
  message_open(buf, row, text_bytes_max);
  buf_char(buf, '}');
}
