/* webhook_wire.h, the way out: the posted JSON, and what the answer to it means. */
#include "webhook_wire.h"
#include <stdio.h>

/* --- The body ---------------------------------------------------------------------------------------------------- */

static void message_write(struct json_writer *w, const parley_message *msg)
{
  json_write_name(w, "message");
  json_write_lit(w, "{");
  json_write_member(w, "id", msg->id);
  json_write_member(w, "topic", msg->topic);
  json_write_member(w, "conversation", msg->conversation_id);
  json_write_member(w, "in_reply_to", msg->reply_to);
  json_write_name(w, "accepted_at");
  json_write_time(w, msg->accepted_ms);
  if (msg->expires_ms > 0) {
    json_write_name(w, "expires_at");
    json_write_time(w, msg->expires_ms);
  }
  json_write_member(w, "unsubscribe_url", msg->unsubscribe_url);
  json_write_lit(w, "}");
}

/* All parts of one kind as one text, a line between them. */
static void texts_write(struct json_writer *w, const char *name, const parley_message *msg, uint32_t kind)
{
  bool open = false;

  for (uint32_t i = 0; i < msg->n_parts; i++) {
    if (msg->parts[i]->kind != kind)
      continue;
    if (!open)
      json_write_name(w, name);
    json_write_lit(w, open ? "\\n" : "\"");
    json_write_chars(w, msg->parts[i]->text);
    open = true;
  }
  if (open)
    json_write_lit(w, "\"");
}

static parley_status media_write(struct json_writer *w, const parley_part *part)
{
  if (part->url.len == 0 && part->data.len == 0)
    return PARLEY_REJECTED;
  json_write_comma(w);
  json_write_lit(w, "{");
  if (part->url.len > 0) {
    json_write_member(w, "url", part->url);
  } else {
    json_write_name(w, "data");
    json_write_base64(w, part->data);
  }
  json_write_member(w, "type", part->type);
  json_write_member(w, "name", part->name);
  json_write_member(w, "caption", part->text);
  if (part->flags & PARLEY_PART_INLINE) {
    json_write_name(w, "inline");
    json_write_lit(w, "true");
  }
  json_write_lit(w, "}");
  return PARLEY_OK;
}

/* {"label","id"|"url"|"phone"}, as the API takes them. */
static void buttons_write(struct json_writer *w, const parley_part *part)
{
  static const char *const targets[] = {
      [PARLEY_BUTTON_REPLY] = "id", [PARLEY_BUTTON_URL] = "url", [PARLEY_BUTTON_CALL] = "phone"};

  for (uint32_t i = 0; i < part->n_buttons; i++) {
    const parley_button *button = part->buttons[i];

    if (button->action == 0 || button->action > PARLEY_BUTTON_CALL)
      continue; /* a kind of button newer than this plugin */
    json_write_comma(w);
    json_write_lit(w, "{");
    json_write_member(w, "label", button->label);
    json_write_member(w, targets[button->action], button->action == PARLEY_BUTTON_REPLY ? button->id : button->target);
    json_write_lit(w, "}");
  }
}

static void location_write(struct json_writer *w, const parley_part *part)
{
  json_write_name(w, "location");
  json_write_lit(w, "{");
  json_write_name(w, "latitude");
  json_write_number(w, part->latitude);
  json_write_name(w, "longitude");
  json_write_number(w, part->longitude);
  json_write_member(w, "name", part->name);
  json_write_member(w, "address", part->text);
  json_write_lit(w, "}");
}

static uint32_t parts_count(const parley_message *msg, uint32_t kind)
{
  uint32_t count = 0;

  for (uint32_t i = 0; i < msg->n_parts; i++)
    count += msg->parts[i]->kind == kind;
  return count;
}

/* The members that are lists or objects: each is opened once, and filled from all parts of its kind. */
static parley_status parts_write(struct json_writer *w, const parley_message *msg)
{
  parley_status st = PARLEY_OK;

  if (parts_count(msg, PARLEY_PART_MEDIA) > 0) {
    json_write_name(w, "media");
    json_write_lit(w, "[");
    for (uint32_t i = 0; i < msg->n_parts && st == PARLEY_OK; i++)
      if (msg->parts[i]->kind == PARLEY_PART_MEDIA)
        st = media_write(w, msg->parts[i]);
    json_write_lit(w, "]");
  }
  if (parts_count(msg, PARLEY_PART_BUTTONS) > 0) {
    json_write_name(w, "buttons");
    json_write_lit(w, "[");
    for (uint32_t i = 0; i < msg->n_parts; i++)
      if (msg->parts[i]->kind == PARLEY_PART_BUTTONS)
        buttons_write(w, msg->parts[i]);
    json_write_lit(w, "]");
  }
  for (uint32_t i = 0; i < msg->n_parts; i++)
    if (msg->parts[i]->kind == PARLEY_PART_LOCATION) {
      location_write(w, msg->parts[i]);
      break; /* capabilities allow one */
    }
  return st;
}

static parley_status content_write(struct json_writer *w, const parley_message *msg)
{
  parley_status st;

  json_write_name(w, "content");
  json_write_lit(w, "{");
  json_write_member(w, "subject", msg->subject);
  texts_write(w, "text", msg, PARLEY_PART_TEXT);
  texts_write(w, "html", msg, PARLEY_PART_HTML);
  st = parts_write(w, msg);
  if (msg->override_json.len > 0) { /* what the sender gave for this channel alone, already JSON */
    json_write_name(w, "override");
    json_write_raw(w, msg->override_json);
  }
  json_write_lit(w, "}");
  return st;
}

parley_status webhook_body_write(struct json_writer *w, const parley_message *msg)
{
  parley_status st;

  json_writer_clear(w);
  json_write_lit(w, "{\"type\":\"message.send\",\"timestamp\":");
  json_write_time(w, msg->accepted_ms);
  json_write_lit(w, ",\"data\":{");
  message_write(w, msg);
  json_write_to(w, msg->to);
  st = content_write(w, msg);
  json_write_customer(w, msg->customer);
  json_write_lit(w, "}}");
  return w->failed ? PARLEY_BUSY : st;
}

/* --- What the answer means --------------------------------------------------------------------------------------- */

/* The receiver has spoken: its code decides. Only what may succeed later is tried again. */
static uint32_t result_of_code(uint32_t code)
{
  switch (code) {
  case 401:
  case 403:
    return PARLEY_OUTCOME_CHANNEL_DOWN;
  case 408:
  case 409:
  case 425:
    return PARLEY_OUTCOME_RETRY;
  case 429:
    return PARLEY_OUTCOME_THROTTLED;
  default:
    break;
  }
  if (code >= 200 && code < 300)
    return PARLEY_OUTCOME_ACCEPTED;
  if (code >= 300 && code < 500)
    return PARLEY_OUTCOME_REJECTED;
  if (code >= 500 && code < 600)
    return PARLEY_OUTCOME_RETRY;
  return PARLEY_OUTCOME_UNKNOWN; /* no HTTP code: it may have understood us all the same */
}

/* No answer: may the receiver have acted? */
static uint32_t result_of_silence(const parley_http_response *response)
{
  if (response->status == PARLEY_DENIED)
    return PARLEY_OUTCOME_REJECTED;
  return response->sent ? PARLEY_OUTCOME_UNKNOWN : PARLEY_OUTCOME_RETRY;
}

/* The reason begins with a word for programs, as in "tls_expired: certificate has expired". */
static parley_text code_of_silence(const parley_http_response *response)
{
  size_t len = 0;

  if (response->status == PARLEY_DENIED)
    return PARLEY_LIT("address_not_allowed");
  while (len < response->reason.len && response->reason.at[len] != ':' && response->reason.at[len] != ' ')
    len++;
  if (len == 0 || (len < response->reason.len && response->reason.at[len] != ':'))
    return PARLEY_LIT("no_answer");
  return (parley_text){response->reason.at, len};
}

void webhook_outcome_make(const parley_http_response *response, struct webhook_outcome *to)
{
  /* An answer whose body is larger than we care for (INVALID) has been given all the same, and its code counts. */
  bool answered = response->status == PARLEY_OK || (response->status == PARLEY_INVALID && response->code >= 100);
  parley_outcome *outcome = &to->outcome;

  *outcome = (parley_outcome){.size = sizeof *outcome, .retry_ms = response->retry_ms, .detail = response->reason};
  if (!answered) {
    outcome->result = result_of_silence(response);
    outcome->code = code_of_silence(response);
    return;
  }
  outcome->result = result_of_code(response->code);
  if (response->code >= 300 && response->code < 400) {
    outcome->code = PARLEY_LIT("redirect_not_followed");
    return;
  }
  outcome->code = (parley_text){to->code, (size_t)snprintf(to->code, sizeof to->code, "%u", response->code)};
}
