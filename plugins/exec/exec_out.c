/* exec_wire.h, the way out: the lines that a program reads. */
#include "exec_wire.h"
#include <stdio.h>

enum { TOKEN_ROOM = 24 };

static void type_write(struct json_writer *w, const char *type)
{
  json_writer_clear(w);
  json_write_lit(w, "{");
  json_write_member(w, "type", parley_text_of(type));
}

static void number_write(struct json_writer *w, const char *name, int64_t number)
{
  json_write_name(w, name);
  json_write_int(w, number);
}

static void flag_write(struct json_writer *w, const char *name, bool on)
{
  json_write_name(w, name);
  json_write_lit(w, on ? "true" : "false");
}

static void time_write(struct json_writer *w, const char *name, int64_t ms)
{
  if (ms == 0)
    return;
  json_write_name(w, name);
  json_write_time(w, ms);
}

static void token_write(struct json_writer *w, uint64_t token)
{
  char text[TOKEN_ROOM];

  snprintf(text, sizeof text, "%llu", (unsigned long long)token);
  json_write_member(w, "token", parley_text_of(text));
}

static void seconds_write(struct json_writer *w, const char *name, uint32_t ms)
{
  json_write_name(w, name);
  json_write_number(w, (double)ms / EXEC_MS_A_SECOND);
}

void exec_hello_write(struct json_writer *w, const struct exec_hello *hello)
{
  type_write(w, "hello");
  number_write(w, "version", EXEC_VERSION);
  json_write_member(w, "channel", hello->channel);
  json_write_member(w, "host", hello->host);
  json_write_name(w, "options");
  json_write_lit(w, "{");
  json_write_member(w, "address_kind", hello->address_kind);
  json_write_member(w, "channel_kind", hello->channel_kind);
  number_write(w, "in_flight", hello->in_flight);
  seconds_write(w, "timeout", hello->timeout_ms);
  number_write(w, "max_line", (int64_t)hello->line_max);
  json_write_lit(w, "}}");
}

void exec_probe_write(struct json_writer *w, uint64_t token)
{
  type_write(w, "probe");
  token_write(w, token);
  json_write_lit(w, "}");
}

void exec_word_write(struct json_writer *w, const char *type)
{
  type_write(w, type);
  json_write_lit(w, "}");
}

/* What a program shall do: all is well, come again, or leave it. */
static const char *done_status(parley_status status)
{
  if (status == PARLEY_OK)
    return "ok";
  if (parley_again(status))
    return "busy";
  return status == PARLEY_INVALID     ? "invalid"
         : status == PARLEY_NOT_FOUND ? "not_found"
         : status == PARLEY_FAILED    ? "failed"
                                      : "rejected";
}

void exec_done_write(struct json_writer *w, parley_text id, const parley_result *result)
{
  type_write(w, "done");
  json_write_member(w, "id", id);
  json_write_member(w, "status", parley_text_of(done_status(result->status)));
  if (result->status == PARLEY_OK) {
    json_write_member(w, "message", result->value);
    if (result->count == 1)
      flag_write(w, "duplicate", true);
  } else if (result->retry_ms > 0) {
    seconds_write(w, "retry_after", result->retry_ms);
  }
  json_write_member(w, "reason", result->reason);
  json_write_lit(w, "}");
}

/* --- A message ---------------------------------------------------------------------------------------------------- */

static void fields_write(struct json_writer *w, const parley_pair *fields, uint32_t n)
{
  if (n == 0)
    return;
  json_write_name(w, "fields");
  json_write_lit(w, "{");
  for (uint32_t i = 0; i < n; i++) {
    json_write_comma(w);
    json_write_text(w, fields[i].name);
    json_write_lit(w, ":");
    json_write_text(w, fields[i].value);
  }
  json_write_lit(w, "}");
}

static void buttons_write(struct json_writer *w, const parley_part *part)
{
  static const char *const targets[] = {
      [PARLEY_BUTTON_REPLY] = "id", [PARLEY_BUTTON_URL] = "url", [PARLEY_BUTTON_CALL] = "phone"};

  json_write_name(w, "buttons");
  json_write_lit(w, "[");
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
  json_write_lit(w, "]");
}

static void media_write(struct json_writer *w, const parley_part *part)
{
  if (part->url.len > 0) {
    json_write_member(w, "url", part->url);
  } else {
    json_write_name(w, "data");
    json_write_base64(w, part->data);
  }
  json_write_member(w, "media_type", part->type);
  json_write_member(w, "name", part->name);
  json_write_member(w, "caption", part->text);
  if (part->flags & PARLEY_PART_INLINE)
    flag_write(w, "inline", true);
}

static void location_write(struct json_writer *w, const parley_part *part)
{
  json_write_name(w, "latitude");
  json_write_number(w, part->latitude);
  json_write_name(w, "longitude");
  json_write_number(w, part->longitude);
  json_write_member(w, "name", part->name);
  json_write_member(w, "address", part->text);
}

static const char *part_name(uint32_t kind)
{
  static const char *const names[] = {
      [PARLEY_PART_TEXT] = "text",        [PARLEY_PART_HTML] = "html",         [PARLEY_PART_MEDIA] = "media",
      [PARLEY_PART_BUTTONS] = "buttons",  [PARLEY_PART_LOCATION] = "location", [PARLEY_PART_CONTACT] = "contact",
      [PARLEY_PART_TEMPLATE] = "template"};

  return kind > 0 && kind < sizeof names / sizeof *names ? names[kind] : "unknown";
}

static void part_write(struct json_writer *w, const parley_part *part)
{
  json_write_comma(w);
  json_write_lit(w, "{");
  json_write_member(w, "kind", parley_text_of(part_name(part->kind)));
  json_write_member(w, "provider_id", part->provider_id);
  if (part->kind == PARLEY_PART_TEXT || part->kind == PARLEY_PART_HTML) {
    json_write_member(w, "text", part->text);
  } else if (part->kind == PARLEY_PART_MEDIA) {
    media_write(w, part);
  } else if (part->kind == PARLEY_PART_BUTTONS) {
    buttons_write(w, part);
  } else if (part->kind == PARLEY_PART_LOCATION) {
    location_write(w, part);
  } else if (part->kind == PARLEY_PART_CONTACT) {
    json_write_name(w, "data");
    json_write_base64(w, part->data);
  } else {
    json_write_member(w, "name", part->name);
    fields_write(w, part->fields, part->n_fields);
  }
  json_write_lit(w, "}");
}

/* All parts of one kind as one text, a line between them; returns how many there are. */
static uint32_t texts_write(struct json_writer *w, const char *name, const parley_message *msg, uint32_t kind)
{
  uint32_t count = 0;

  for (uint32_t i = 0; i < msg->n_parts; i++) {
    if (msg->parts[i]->kind != kind)
      continue;
    if (count == 0)
      json_write_name(w, name);
    json_write_lit(w, count++ == 0 ? "\"" : "\\n");
    json_write_chars(w, msg->parts[i]->text);
  }
  if (count > 0)
    json_write_lit(w, "\"");
  return count;
}

/* `text` and `html` are enough for most; `parts` has all of them, in order, when there is more to a message than these
 * two. */
static parley_status content_write(struct json_writer *w, const parley_message *msg)
{
  uint32_t texts = texts_write(w, "text", msg, PARLEY_PART_TEXT);
  uint32_t htmls = texts_write(w, "html", msg, PARLEY_PART_HTML);

  if (texts <= 1 && htmls <= 1 && texts + htmls == msg->n_parts)
    return PARLEY_OK;
  json_write_name(w, "parts");
  json_write_lit(w, "[");
  for (uint32_t i = 0; i < msg->n_parts; i++) {
    const parley_part *part = msg->parts[i];

    if (part->kind == PARLEY_PART_MEDIA && part->url.len == 0 && part->data.len == 0)
      return PARLEY_REJECTED;
    part_write(w, part);
  }
  json_write_lit(w, "]");
  return PARLEY_OK;
}

static void thread_write(struct json_writer *w, const parley_message *msg)
{
  if (msg->n_thread == 0)
    return;
  json_write_name(w, "thread");
  json_write_lit(w, "[");
  for (uint32_t i = 0; i < msg->n_thread; i++) {
    json_write_comma(w);
    json_write_text(w, msg->thread[i]);
  }
  json_write_lit(w, "]");
}

/* What the sender gave for this channel alone: JSON already, but its line ends would be ours. */
static void override_write(struct json_writer *w, parley_text json)
{
  if (json.len == 0)
    return;
  json_write_name(w, "override");
  for (size_t i = 0, begin = 0; i <= json.len; i++) {
    if (i < json.len && json.at[i] != '\n' && json.at[i] != '\r')
      continue;
    json_write_raw(w, (parley_text){json.at + begin, i - begin});
    if (i < json.len)
      json_write_lit(w, " ");
    begin = i + 1;
  }
}

static const char *kind_name(uint32_t kind)
{
  switch (kind) {
  case PARLEY_KIND_EDIT:
    return "edit";
  case PARLEY_KIND_DELETE:
    return "delete";
  case PARLEY_KIND_REACTION:
    return "reaction";
  case PARLEY_KIND_TYPING:
    return "typing";
  case PARLEY_KIND_READ:
    return "read";
  default:
    return NULL; /* content */
  }
}

/* How urgent: NULL when the host does not say. */
static const char *class_name(uint32_t topic_class)
{
  static const char *const names[] = {
      NULL, [PARLEY_CLASS_CRITICAL] = "critical", [PARLEY_CLASS_CONVERSATION] = "conversation",
      [PARLEY_CLASS_TRANSACTIONAL] = "transactional", [PARLEY_CLASS_MARKETING] = "marketing"};

  return topic_class < sizeof names / sizeof *names ? names[topic_class] : NULL;
}

static parley_status message_write(struct json_writer *w, const parley_message *msg)
{
  parley_status st;

  json_write_name(w, "message");
  json_write_lit(w, "{");
  json_write_member(w, "id", msg->id);
  json_write_member(w, "kind", parley_text_of(kind_name(msg->kind)));
  json_write_member(w, "topic", msg->topic);
  json_write_member(w, "class", parley_text_of(class_name(msg->topic_class)));
  json_write_to(w, msg->to);
  json_write_member(w, "subject", msg->subject);
  st = content_write(w, msg);
  if (msg->customer != NULL)
    json_write_customer(w, msg->customer);
  json_write_member(w, "conversation", msg->conversation_id);
  json_write_member(w, "reply_to", msg->reply_to);
  json_write_member(w, "target", msg->target);
  json_write_member(w, "payload", msg->payload);
  fields_write(w, msg->fields, msg->n_fields);
  thread_write(w, msg);
  json_write_member(w, "reply_address", msg->reply_address);
  json_write_member(w, "unsubscribe_url", msg->unsubscribe_url);
  json_write_member(w, "traceparent", msg->traceparent);
  override_write(w, msg->override_json);
  time_write(w, "accepted", msg->accepted_ms);
  json_write_member(w, "token", PARLEY_HAS(parley_message, msg, token) ? msg->token : PARLEY_LIT(""));
  json_write_member(w, "reply_token", PARLEY_HAS(parley_message, msg, reply_token) ? msg->reply_token : PARLEY_LIT(""));
  json_write_lit(w, "}");
  return st;
}

parley_status exec_send_write(struct json_writer *w, uint64_t token, const parley_message *msg)
{
  parley_status st;

  type_write(w, "send");
  token_write(w, token);
  number_write(w, "attempt", msg->attempt);
  flag_write(w, "resent", msg->resent != 0);
  st = message_write(w, msg);
  time_write(w, "expires", msg->expires_ms);
  json_write_lit(w, "}");
  return w->failed ? PARLEY_BUSY : st;
}
