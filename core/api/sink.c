/* GET /v1/channels/{name}/sink: what a channel that keeps its messages, or the test mode of any other, was given. */
#include "core/base/clock.h"
#include "core/base/text.h"
#include "inside.h"
#include <parley/ext/mailbox.h>

#define SINK_TEXT_BYTES_MAX ((size_t)65536) /* shown of one part */

static const char *part_kind_name(uint32_t kind)
{
  switch (kind) {
  case PARLEY_PART_TEXT:
    return "text";
  case PARLEY_PART_HTML:
    return "html";
  case PARLEY_PART_MEDIA:
    return "media";
  case PARLEY_PART_BUTTONS:
    return "buttons";
  case PARLEY_PART_LOCATION:
    return "location";
  case PARLEY_PART_CONTACT:
    return "contact";
  case PARLEY_PART_TEMPLATE:
    return "template";
  default:
    return "other";
  }
}

static void buf_some(struct buf *buf, const char *name, parley_text value)
{
  if (value.len == 0)
    return;
  buf_json_key(buf, name);
  buf_json_text(buf, text_sub(value, 0, text_utf8_cut(value, SINK_TEXT_BYTES_MAX)));
}

static void buf_buttons(struct buf *buf, const parley_part *part)
{
  buf_json_key(buf, "buttons");
  buf_char(buf, '[');
  for (uint32_t i = 0; i < part->n_buttons; i++) {
    buf_json_comma(buf);
    buf_str(buf, "{\"label\":");
    buf_json_text(buf, part->buttons[i]->label);
    buf_some(buf, "id", part->buttons[i]->id);
    buf_some(buf, "target", part->buttons[i]->target);
    buf_char(buf, '}');
  }
  buf_char(buf, ']');
}

static void buf_part(struct buf *buf, const parley_part *part)
{
  buf_json_comma(buf);
  buf_str(buf, "{\"kind\":");
  buf_json_str(buf, part_kind_name(part->kind));
  buf_some(buf, "text", part->text);
  buf_some(buf, "type", part->type);
  buf_some(buf, "name", part->name);
  buf_some(buf, "media", part->media);
  buf_some(buf, "url", part->url);
  if (part->kind == PARLEY_PART_MEDIA) {
    buf_json_key(buf, "bytes");
    buf_uint(buf, part->total_bytes);
  }
  if (part->kind == PARLEY_PART_LOCATION)
    buf_printf(buf, ",\"latitude\":%.7g,\"longitude\":%.7g", part->latitude, part->longitude);
  if (part->n_buttons > 0)
    buf_buttons(buf, part);
  buf_char(buf, '}');
}

static void buf_mail(struct buf *buf, const parley_mail *mail)
{
  const parley_message *message = mail->message;

  buf_printf(buf, "{\"number\":%llu,\"at\":", (unsigned long long)mail->number);
  buf_json_time(buf, mail->at_ms);
  buf_json_key(buf, "outcome");
  buf_json_str(buf, api_outcome_name(mail->outcome));
  buf_json_key(buf, "message");
  buf_json_text(buf, message->id);
  buf_printf(buf, ",\"attempt\":%u,\"resent\":%s", message->attempt, message->resent ? "true" : "false");
  buf_some(buf, "topic", message->topic);
  buf_some(buf, "conversation", message->conversation_id);
  buf_some(buf, "unsubscribe_url", message->unsubscribe_url);
  buf_json_key(buf, "to");
  if (message->to != NULL) {
    buf_str(buf, "{\"kind\":");
    buf_json_text(buf, message->to->kind);
    buf_json_key(buf, "value");
    buf_json_text(buf, message->to->value);
    buf_char(buf, '}');
  } else {
    buf_str(buf, "null");
  }
  buf_some(buf, "subject", message->subject);
  buf_json_key(buf, "parts");
  buf_char(buf, '[');
  for (uint32_t i = 0; i < message->n_parts; i++)
    buf_part(buf, message->parts[i]);
  buf_str(buf, "]}");
}

static void sink_done(const parley_mail_page *page, void *arg)
{
  struct api_request *req = arg;
  struct buf body = BUF_INIT(0);
  uint64_t next = page->next;

  buf_str(&body, "{\"items\":[");
  for (uint32_t i = 0; i < page->n_mails; i++) {
    buf_json_comma(&body);
    buf_mail(&body, page->mails[i]);
  }
  buf_printf(&body, "],\"count\":%llu,\"forgotten\":%llu", (unsigned long long)page->count,
             (unsigned long long)page->forgotten);
  api_next_cursor(req, &body, next != 0, &next, 1);
  api_answer(req, 200, &body);
  buf_done(&body);
}

/* The channel's own mailbox, else that of its test mode; `test`: the latter in any case. */
static struct channel *sink_of(struct api_request *req, bool test)
{
  struct channel *channel = req->shared->channel(req->params[0], req->shared->arg);

  if (channel == NULL) {
    api_problem(req, 404, "not_found", "GET /v1/channels lists them", "no channel of this name is configured");
    return NULL;
  }
  if (!test && channel_offer(channel, PARLEY_MAILBOX) != NULL)
    return channel;
  channel = req->shared->test_sink(req->params[0], req->shared->arg);
  if (channel != NULL && channel_offer(channel, PARLEY_MAILBOX) != NULL)
    return channel;
  api_problem(req, 404, "no_sink", "put the sink plugin into one of plugins.dirs",
              "this channel keeps nothing to look at");
  return NULL;
}

void api_channels_sink(struct api_request *req)
{
  parley_mail_query query = {.size = sizeof query};
  parley_text address = TEXT_EMPTY, message = TEXT_EMPTY;
  struct channel *channel;
  uint64_t before = 0;
  size_t limit;
  bool test = false;

  if (!(api_query_limit(req, &limit) && api_query_cursor(req, &before, 1) && api_query_bool(req, "test", &test) &&
        api_query_text(req, "address", IDENTITY_VALUE_BYTES_MAX, &address) &&
        api_query_text(req, "message", ID_TEXT_MAX, &message))) {
    api_problems(req);
    return;
  }
  channel = sink_of(req, test);
  if (channel == NULL)
    return;
  query.limit = (uint32_t)limit;
  query.before = before;
  query.address = address;
  query.message_id = message;
  ((const parley_mailbox *)channel_offer(channel, PARLEY_MAILBOX))
      ->list(channel_instance(channel), &query, sink_done, req);
}
