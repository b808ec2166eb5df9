/* What a callback holds, as the description says: receipts and messages, one or a list. */
#include "gateway.h"
#include "sms_time.h"

static parley_text text_at(const struct gateway_pointer *pointer, json_t *item, struct copy *memory)
{
  return pointer->given ? sms_pointer_text(item, pointer->text, memory) : PARLEY_LIT("");
}

static bool matches(const struct gateway_event *event, json_t *item, struct copy *memory)
{
  for (uint32_t i = 0; i < event->when.n; i++) {
    parley_text text = sms_pointer_text(item, event->when.conditions[i].name, memory), want = event->when.conditions[i].value;

    if (text.len != want.len || (want.len > 0 && memcmp(text.at, want.at, want.len) != 0))
      return false;
  }
  return event->given && item != NULL &&
         (text_at(&event->id, item, memory).len > 0 || text_at(&event->reference, item, memory).len > 0);
}

static void receipt_take(const struct gateway_event *event, json_t *item, struct sms_taken *to)
{
  parley_text status = text_at(&event->status, item, to->memory), code = text_at(&event->code, item, to->memory);
  parley_text id = text_at(&event->id, item, to->memory), own = text_at(&event->reference, item, to->memory);
  parley_text detail = text_at(&event->detail, item, to->memory);
  uint32_t kind = gateway_row_find(&event->statuses, status), outcome = gateway_row_find(&event->codes, code);
  struct sms_item *made;

  to->n_unknown += kind == 0;
  to->n_silent += kind == GATEWAY_RECEIPT_NOTHING;
  if (kind == 0 || kind == GATEWAY_RECEIPT_NOTHING)
    return;
  made = sms_receipt_add(to, kind, id.len > 0 ? id : own);
  if (made == NULL)
    return;
  if (id.len == 0) {
    made->receipt.provider_id = PARLEY_LIT("");
    made->receipt.message_id = own;
  }
  sms_time_read(text_at(&event->time, item, to->memory), &made->receipt.at_ms);
  if (kind != PARLEY_RECEIPT_FAILED)
    return;
  made->receipt.code = code.len < SMS_CODE_ROOM ? code : PARLEY_LIT("");
  made->receipt.detail = detail.len < SMS_DETAIL_ROOM ? detail : PARLEY_LIT("");
  if (outcome != 0)
    made->receipt.outcome = outcome;
}

static void media_take(const struct gateway_event *event, json_t *item, struct sms_item *made, struct sms_taken *to)
{
  json_t *media = event->media.given ? sms_pointer_get(item, event->media.text) : NULL;

  if (json_is_string(media) && json_string_length(media) > 0)
    sms_media_add(to, made, sms_json_text(media, to->memory), PARLEY_LIT(""));
  for (size_t i = 0; i < json_array_size(media) && i < SMS_MEDIA_MAX; i++) {
    json_t *one = json_array_get(media, i);

    sms_media_add(to, made, event->media_url.given ? text_at(&event->media_url, one, to->memory) : sms_json_text(one, to->memory),
                  text_at(&event->media_type, one, to->memory));
  }
}

static void inbound_take(const struct gateway_event *event, json_t *item, struct sms_taken *to)
{
  parley_text total = text_at(&event->segment_total, item, to->memory);
  struct sms_item *made = sms_inbound_add(to, text_at(&event->from, item, to->memory), text_at(&event->to, item, to->memory),
                                          text_at(&event->text, item, to->memory), text_at(&event->id, item, to->memory));

  if (made == NULL)
    return;
  sms_time_read(text_at(&event->time, item, to->memory), &made->inbound.at_ms);
  media_take(event, item, made, to);
  if (total.len > 0 && !parley_text_is(total, "0") && !parley_text_is(total, "1") &&
      !sms_segment_set(to, made, text_at(&event->segment_reference, item, to->memory),
                       text_at(&event->segment_part, item, to->memory), total))
    to->n_unknown++; /* a piece of nothing: taken as it is */
}

static void item_take(const struct gateway_description *is, bool receipts_first, json_t *receipt, json_t *message,
                      struct sms_taken *to)
{
  bool is_receipt = matches(&is->receipts, receipt, to->memory), is_message = matches(&is->inbound, message, to->memory);

  if (is_receipt && (receipts_first || !is_message))
    receipt_take(&is->receipts, receipt, to);
  else if (is_message)
    inbound_take(&is->inbound, message, to);
  else
    to->n_unknown++;
}

/* The list that `each` points at; NULL: there is none, and the callback is one item by itself. */
static json_t *list_of(const struct gateway_event *event, json_t *root)
{
  json_t *list = event->given && event->each.given ? sms_pointer_get(root, event->each.text) : NULL;

  return json_is_array(list) ? list : NULL;
}

void gateway_read(const void *self, const parley_http_call *call, struct sms_taken *to)
{
  const struct gateway *gateway = self;
  const struct gateway_description *is = gateway->is;
  bool receipts_first = parley_text_is(call->path, SMS_RECEIPTS_PATH);
  json_t *root = sms_call_read(call, to), *receipts = list_of(&is->receipts, root), *messages = list_of(&is->inbound, root);
  const char *fault = NULL;
  size_t n = json_array_size(receipts) > json_array_size(messages) ? json_array_size(receipts) : json_array_size(messages);

  to->type = is->reply_type;
  to->body = is->reply_body;
  if (to->fault != NULL)
    return;
  if (n > SMS_ITEMS_MAX) {
    to->fault = "it has too many entries";
    return;
  }
  for (size_t i = 0; i < n; i++) {
    item_take(is, receipts_first, json_array_get(receipts, i), json_array_get(messages, i), to);
    to->n_unknown += to->fault != NULL;
    fault = to->fault != NULL ? to->fault : fault;
    to->fault = NULL;
  }
  if (to->n == 0 && to->n_silent == 0) /* else the others must not come again for one that is bad, nor be lost with it */
    to->fault = fault;
  if (receipts == NULL && messages == NULL)
    item_take(is, receipts_first, is->receipts.each.given ? NULL : root, is->inbound.each.given ? NULL : root, to);
}
