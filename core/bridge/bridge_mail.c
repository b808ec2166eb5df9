#include "bridge_mail.h"
#include "core/base/clock.h"
#include "core/base/text.h"
#include "core/message/fit.h"
#include "core/message/media_link.h"

/* --- Reading the event -------------------------------------------------------------------------------------------- */

static parley_text member(const json_t *object, const char *name)
{
  return json_text(json_object_get(object, name));
}

/* One line of at most bytes_max bytes. */
static void buf_line(struct buf *buf, parley_text text, size_t bytes_max)
{
  size_t len = text_utf8_cut(text, bytes_max);

  for (size_t i = 0; i < len; i++)
    buf_char(buf, (unsigned char)text.at[i] < 0x20 || text.at[i] == 0x7f ? ' ' : text.at[i]);
  if (len < text.len)
    buf_str(buf, "…");
}

static parley_text first_line(parley_text text)
{
  parley_text rest = text_trim(text);

  return text_trim(text_cut(&rest, '\n'));
}

/* What a message says, as text. */
static parley_text content_words(const json_t *message, struct arena *arena)
{
  const json_t *content = json_object_get(message, "content");
  parley_text text = member(content, "text"), html = member(content, "html");

  if (text_trim(text).len == 0 && html.len > 0)
    text = html_to_text(html, arena);
  if (text_trim(text).len == 0)
    text = member(message, "payload");
  return text;
}

static const json_t *identity_of(const json_t *customer, parley_text id)
{
  const json_t *identities = json_object_get(customer, "identities");

  for (size_t i = 0; i < json_array_size(identities); i++)
    if (id.len > 0 && text_eq(member(json_array_get(identities, i), "id"), id))
      return json_array_get(identities, i);
  return NULL;
}

static parley_text person(const json_t *data)
{
  const json_t *customer = json_object_get(data, "customer");
  const json_t *identity = identity_of(customer, member(json_object_get(data, "message"), "identity"));
  parley_text name = member(customer, "name");

  if (name.len == 0)
    name = member(identity, "value");
  return name.len > 0 ? name : PARLEY_LIT("A customer");
}

/* The oldest message of the conversation that is known here: the title stays the same from mail to mail, and with it the thread. */
static const json_t *first_message(const json_t *data, parley_text conversation)
{
  const json_t *recent = json_object_get(data, "recent");

  for (size_t i = json_array_size(recent); i-- > 0;) {
    const json_t *message = json_object_get(json_array_get(recent, i), "message");

    if (message != NULL && text_eq(member(message, "conversation"), conversation))
      return message;
  }
  return json_object_get(data, "message");
}

static parley_text without_re(parley_text subject)
{
  while (subject.len >= 3 && text_is_nocase(text_sub(subject, 0, 3), "re:"))
    subject = text_trim(text_sub(subject, 3, SIZE_MAX));
  return subject;
}

static parley_text mail_subject(const json_t *data, struct arena *arena)
{
  const json_t *conversation = json_object_get(data, "conversation");
  const json_t *first = first_message(data, member(conversation, "id"));
  parley_text title = member(conversation, "subject"), kept;
  struct buf subject = BUF_INIT(0);

  if (title.len == 0)
    title = member(json_object_get(first, "content"), "subject");
  if (title.len == 0)
    title = first_line(content_words(first, arena));
  buf_line(&subject, person(data), BRIDGE_TITLE_BYTES_MAX);
  buf_str(&subject, ": ");
  buf_line(&subject, title.len > 0 ? without_re(title) : PARLEY_LIT("message"), BRIDGE_TITLE_BYTES_MAX);
  kept = arena_text(arena, buf_as_text(&subject));
  buf_done(&subject);
  return kept;
}

/* --- The body ----------------------------------------------------------------------------------------------------- */

static void buf_files(struct buf *buf, const json_t *message, const struct bridge_look *look)
{
  const json_t *media = json_object_get(json_object_get(message, "content"), "media");

  if (json_array_size(media) > 0)
    buf_str(buf, "\nFiles:\n");
  for (size_t i = 0; i < json_array_size(media); i++) {
    const json_t *file = json_array_get(media, i);
    parley_text name = member(file, "name"), url = member(file, "url");
    id64 id;

    buf_str(buf, "  ");
    buf_line(buf, name.len > 0 ? name : member(file, "type"), CONTENT_NAME_BYTES_MAX);
    buf_str(buf, "  ");
    if (id_parse("med", member(file, "id"), &id))
      buf_media_link(buf, look->public_url, look->secret, id, look->now_ms + BRIDGE_LINK_LIVES_MS);
    else
      buf_line(buf, url, CONTENT_CAPTION_BYTES_MAX);
    buf_char(buf, '\n');
  }
}

static void buf_location(struct buf *buf, const json_t *message)
{
  const json_t *location = json_object_get(json_object_get(message, "content"), "location");

  if (location == NULL)
    return;
  buf_printf(buf, "\nLocation: %.6f, %.6f  ", json_number_value(json_object_get(location, "latitude")),
             json_number_value(json_object_get(location, "longitude")));
  buf_line(buf, member(location, "name"), BRIDGE_TITLE_BYTES_MAX);
  buf_char(buf, '\n');
}

static void buf_earlier(struct buf *buf, const json_t *data, struct arena *arena)
{
  const json_t *recent = json_object_get(data, "recent");
  parley_text this_one = member(json_object_get(data, "message"), "id");
  size_t shown = 0;

  for (size_t i = 0; i < json_array_size(recent) && shown < BRIDGE_RECENT_MAX; i++) {
    const json_t *entry = json_array_get(recent, i), *message = json_object_get(entry, "message");

    if (message != NULL && text_eq(member(message, "id"), this_one))
      continue;
    if (shown++ == 0)
      buf_str(buf, "\nEarlier, newest first:\n");
    buf_printf(buf, "  %.16s  ", member(entry, "at").at);
    if (message == NULL) {
      buf_line(buf, member(entry, "type"), BRIDGE_RECENT_BYTES_MAX);
    } else {
      buf_str(buf, parley_text_is(member(message, "direction"), "in") ? "customer: " : "shop: ");
      buf_line(buf, text_trim(content_words(message, arena)), BRIDGE_RECENT_BYTES_MAX);
    }
    buf_char(buf, '\n');
  }
}

static void buf_about(struct buf *buf, const json_t *data)
{
  const json_t *customer = json_object_get(data, "customer"), *identities = json_object_get(customer, "identities");

  buf_str(buf, "\nCustomer: ");
  buf_line(buf, member(customer, "id"), ID_TEXT_MAX);
  for (size_t i = 0; i < json_array_size(identities); i++) {
    const json_t *identity = json_array_get(identities, i);

    buf_str(buf, ", ");
    buf_line(buf, member(identity, "kind"), IDENTITY_KIND_BYTES_MAX);
    buf_char(buf, ' ');
    buf_line(buf, member(identity, "value"), IDENTITY_VALUE_BYTES_MAX);
  }
  buf_str(buf, "\nConversation: ");
  buf_line(buf, member(json_object_get(data, "conversation"), "id"), ID_TEXT_MAX);
  buf_char(buf, '\n');
}

static void buf_words(struct buf *buf, parley_text words)
{
  size_t len = text_utf8_cut(words, BRIDGE_TEXT_BYTES_MAX);

  buf_add(buf, words.at, len);
  buf_str(buf, len < words.len ? "\n[cut here: the whole is in the conversation]\n" : "\n");
}

static parley_text message_text(const json_t *data, const struct bridge_look *look, struct arena *arena)
{
  const json_t *message = json_object_get(data, "message");
  struct buf text = BUF_INIT(0);
  parley_text kept;

  buf_str(&text, BRIDGE_LINE "\n\n");
  buf_line(&text, person(data), BRIDGE_TITLE_BYTES_MAX);
  buf_str(&text, " wrote (");
  buf_line(&text, member(message, "channel"), CONF_NAME_MAX);
  buf_str(&text, "):\n\n");
  buf_words(&text, content_words(message, arena));
  buf_location(&text, message);
  buf_files(&text, message, look);
  buf_str(&text, "\n--\nAn answer to this mail goes to the customer.\n");
  buf_earlier(&text, data, arena);
  buf_about(&text, data);
  kept = arena_text(arena, buf_as_text(&text));
  buf_done(&text);
  return kept;
}

static parley_text failure_text(const json_t *data, struct arena *arena)
{
  const json_t *message = json_object_get(data, "message");
  parley_text reason = member(message, "reason"), kept;
  struct buf text = BUF_INIT(0);

  buf_str(&text, BRIDGE_LINE "\n\nYour answer to ");
  buf_line(&text, person(data), BRIDGE_TITLE_BYTES_MAX);
  buf_str(&text, " was not delivered: ");
  buf_line(&text, member(json_object_get(data, "facts"), "status"), CONF_NAME_MAX);
  if (reason.len > 0) {
    buf_str(&text, ", ");
    buf_line(&text, reason, CONF_NAME_MAX);
  }
  buf_str(&text, ".\n\nYou wrote:\n\n");
  buf_words(&text, content_words(message, arena));
  buf_str(&text, "\nMessage: ");
  buf_line(&text, member(message, "id"), ID_TEXT_MAX);
  buf_about(&text, data);
  kept = arena_text(arena, buf_as_text(&text));
  buf_done(&text);
  return kept;
}

/* --- For this mailbox? -------------------------------------------------------------------------------------------- */

bool bridge_is_owner(const struct conf_bridge *bridge, parley_text address)
{
  for (size_t i = 0; i < bridge->n_owners; i++)
    if (text_eq_nocase(bridge->owners[i], address))
      return true;
  return false;
}

static bool is_wanted_channel(const struct conf_bridge *bridge, parley_text channel)
{
  for (size_t i = 0; i < bridge->n_only; i++)
    if (text_eq(bridge->only[i], channel))
      return true;
  return bridge->n_only == 0;
}

/* What the mailbox and its owners write themselves would come back to them. */
static bool is_from_desk(const json_t *data, const struct conf_bridge *bridge)
{
  const json_t *identity =
      identity_of(json_object_get(data, "customer"), member(json_object_get(data, "message"), "identity"));
  parley_text value = member(identity, "value");

  return parley_text_is(member(identity, "kind"), "email") &&
         (text_eq_nocase(value, bridge->to) || bridge_is_owner(bridge, value));
}

static bool is_customers_word(const json_t *data, const struct conf_bridge *bridge)
{
  static const char *const kinds[] = {"content", "postback", "form", "comment", "edit"};
  const json_t *message = json_object_get(data, "message");
  parley_text kind = member(message, "kind");
  bool said = false;

  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
    said |= parley_text_is(kind, kinds[i]);
  return said && !json_is_true(json_object_get(message, "automatic")) && !json_is_true(json_object_get(message, "echo")) &&
         is_wanted_channel(bridge, member(message, "channel")) && !is_from_desk(data, bridge);
}

static bool is_lost(const json_t *data)
{
  static const char *const ends[] = {"failed", "suppressed", "expired", "held"};
  parley_text status = member(json_object_get(data, "facts"), "status");
  bool lost = false;

  for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
    lost |= parley_text_is(status, ends[i]);
  return lost;
}

/* Whose message it is that was lost, by its key. */
static enum bridge_what lost_what(const json_t *data, const struct conf_bridge *bridge)
{
  parley_text key = member(json_object_get(data, "message"), "key");
  struct buf ours = BUF_INIT(256);
  bool of_bridge;

  buf_printf(&ours, "bridge:%.*s:", TEXT_ARG(bridge->name));
  of_bridge = text_starts(key, ours.at);
  key = text_sub(key, ours.len, SIZE_MAX);
  buf_done(&ours);
  if (!of_bridge || !is_lost(data))
    return BRIDGE_NOTHING;
  return text_starts(key, "answer:") && !text_ends(key, ":told") ? BRIDGE_FAILURE : BRIDGE_LOST;
}

void bridge_mail_read(const json_t *event, const struct bridge_look *look, struct arena *arena, struct bridge_mail *ret)
{
  const json_t *data = json_object_get(event, "data");
  parley_text type = member(event, "type");

  *ret = (struct bridge_mail){.what = BRIDGE_NOTHING};
  if (parley_text_is(type, "message.status"))
    ret->what = lost_what(data, look->conf);
  else if (parley_text_is(type, "message.received") && is_customers_word(data, look->conf))
    ret->what = BRIDGE_MESSAGE;
  if (ret->what == BRIDGE_NOTHING || ret->what == BRIDGE_LOST)
    return;
  if (!id_parse("cnv", member(json_object_get(data, "conversation"), "id"), &ret->conversation)) {
    ret->what = BRIDGE_NOTHING;
    return;
  }
  ret->text = ret->what == BRIDGE_MESSAGE ? message_text(data, look, arena) : failure_text(data, arena);
  ret->subject = mail_subject(data, arena);
}

/* --- The answer --------------------------------------------------------------------------------------------------- */

void buf_bridge_answer_key(struct buf *buf, parley_text bridge, id64 conversation, parley_text message_id)
{
  struct buf named = BUF_INIT(0);
  uint8_t digest[SHA256_BYTES];

  buf_id(&named, "cnv", conversation);
  buf_char(&named, '\n');
  buf_text(&named, message_id);
  sha256(buf_as_text(&named), digest);
  buf_done(&named);
  buf_printf(buf, "bridge:%.*s:answer:", TEXT_ARG(bridge));
  buf_hex(buf, digest, sizeof digest);
}

static bool is_quoted_line(parley_text line)
{
  return text_starts(text_trim(line), ">");
}

/* Whoever answers below or between what they quote means all that is not quoted. The address for answers stands above it ("Am 3.8.
 * schrieb Shop <reply+...>:", in more languages than anybody knows): its token is not the customer's to have. token: empty for none. */
static parley_text without_lines(parley_text text, bool quoted, parley_text token, struct arena *arena)
{
  struct buf kept = BUF_INIT(0);
  parley_text result;

  while (text.len > 0) {
    parley_text line = text_cut(&text, '\n');

    if ((quoted && is_quoted_line(line)) || (token.len > 0 && text_find_text(line, token) != SIZE_MAX))
      continue;
    buf_text(&kept, line);
    buf_char(&kept, '\n');
  }
  result = arena_text(arena, buf_as_text(&kept));
  buf_done(&kept);
  return result;
}

static parley_text without_our_mail(parley_text text, struct arena *arena)
{
  size_t at = text_find_text(text, PARLEY_LIT(BRIDGE_LINE));

  if (at == SIZE_MAX)
    return text;
  while (at > 0 && text.at[at - 1] != '\n')
    at--;
  return is_quoted_line(text_sub(text, at, SIZE_MAX)) ? without_lines(text, true, TEXT_EMPTY, arena) : text_sub(text, 0, at);
}

static parley_text parts_joined(const parley_inbound *in, uint32_t kind, struct arena *arena)
{
  struct buf all = BUF_INIT(CONTENT_INLINE_BYTES_MAX);
  parley_text kept;

  for (uint32_t i = 0; i < in->n_parts; i++) {
    const parley_part *part = in->parts[i];

    if (part->kind != kind || (part->flags & PARLEY_PART_QUOTED) != 0)
      continue;
    if (all.len > 0)
      buf_str(&all, kind == PARLEY_PART_TEXT ? "\n\n" : "");
    buf_text(&all, part->text);
  }
  kept = arena_text(arena, buf_as_text(&all));
  buf_done(&all);
  return kept;
}

parley_text bridge_answer_text(const parley_inbound *in, struct arena *arena)
{
  parley_text text = parts_joined(in, PARLEY_PART_TEXT, arena), html;
  parley_text token = PARLEY_HAS(parley_inbound, in, token) ? in->token : TEXT_EMPTY;

  if (text_trim(text).len == 0) {
    html = parts_joined(in, PARLEY_PART_HTML, arena);
    text = html.len > 0 ? html_to_text(html, arena) : TEXT_EMPTY;
  }
  return text_trim(without_lines(without_our_mail(text, arena), false, token, arena));
}

static bool is_file(const parley_part *part)
{
  return (part->kind == PARLEY_PART_MEDIA || part->kind == PARLEY_PART_CONTACT) && (part->media.len > 0 || part->url.len > 0);
}

static void buf_answer_files(struct buf *buf, const parley_inbound *in)
{
  buf_json_key(buf, "media");
  buf_char(buf, '[');
  for (uint32_t i = 0; i < in->n_parts; i++) {
    const parley_part *part = in->parts[i];

    if (!is_file(part))
      continue;
    buf_json_comma(buf);
    buf_char(buf, '{');
    buf_json_key(buf, part->media.len > 0 ? "id" : "url");
    buf_json_text(buf, part->media.len > 0 ? part->media : part->url);
    buf_json_key(buf, "type");
    buf_json_text(buf, part->type);
    if (part->name.len > 0) {
      buf_json_key(buf, "name");
      buf_json_text(buf, part->name);
    }
    buf_char(buf, '}');
  }
  buf_char(buf, ']');
}

static bool has_files(const parley_inbound *in)
{
  for (uint32_t i = 0; i < in->n_parts; i++)
    if (is_file(in->parts[i]))
      return true;
  return false;
}

bool buf_bridge_answer(struct buf *buf, const parley_inbound *in, struct arena *arena)
{
  parley_text text = bridge_answer_text(in, arena);
  bool files = has_files(in);

  buf_char(buf, '{');
  if (text.len > 0) {
    buf_json_key(buf, "text");
    buf_json_text(buf, text);
  }
  if (files)
    buf_answer_files(buf, in);
  buf_char(buf, '}');
  return text.len > 0 || files;
}
