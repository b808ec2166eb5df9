#include "content.h"
#include "core/base/text.h"

static const struct content *override_find(const struct content *content, parley_text name)
{
  for (size_t i = 0; i < content->n_overrides; i++)
    if (text_eq(content->overrides[i].name, name))
      return content->overrides[i].content;
  return NULL;
}

struct content content_for(const struct content *content, parley_text channel, const char *channel_kind)
{
  const struct content *over = override_find(content, channel);
  struct content made = *content;

  if (over == NULL && channel_kind != NULL)
    over = override_find(content, parley_text_of(channel_kind));
  made.overrides = NULL;
  made.n_overrides = 0;
  if (over == NULL)
    return made;
  if (over->subject.at != NULL)
    made.subject = over->subject;
  if (over->text.at != NULL)
    made.text = over->text;
  if (over->html.at != NULL)
    made.html = over->html;
  if (over->media != NULL) {
    made.media = over->media;
    made.n_media = over->n_media;
  }
  if (over->buttons != NULL) {
    made.buttons = over->buttons;
    made.n_buttons = over->n_buttons;
  }
  if (over->has_location) {
    made.has_location = true;
    made.latitude = over->latitude;
    made.longitude = over->longitude;
    made.location_name = over->location_name;
    made.location_address = over->location_address;
  }
  made.headers = over->headers;
  made.n_headers = over->n_headers;
  return made;
}

void buf_content_headers(struct buf *buf, const struct content *content)
{
  buf_char(buf, '{');
  for (size_t i = 0; i < content->n_headers; i++) {
    buf_json_comma(buf);
    buf_json_text(buf, content->headers[i].name);
    buf_char(buf, ':');
    buf_json_text(buf, content->headers[i].value);
  }
  buf_char(buf, '}');
}

static void member_write(struct buf *buf, const char *key, parley_text value, size_t bytes_max)
{
  if (value.at == NULL)
    return;
  if (bytes_max > 0)
    value.len = text_utf8_cut(value, bytes_max);
  buf_json_key(buf, key);
  buf_json_text(buf, value);
}

static void member_write_filled(struct buf *buf, const char *key, parley_text value)
{
  if (value.len > 0)
    member_write(buf, key, value, 0);
}

static void media_write(struct buf *buf, const struct content_media *media)
{
  buf_char(buf, '{');
  if (media->id != 0) {
    buf_json_key(buf, "id");
    buf_json_id(buf, "med", media->id);
  }
  member_write_filled(buf, "url", media->url);
  member_write_filled(buf, "type", media->type);
  member_write_filled(buf, "name", media->name);
  member_write_filled(buf, "caption", media->caption);
  if (media->inline_cid) {
    buf_json_key(buf, "inline");
    buf_str(buf, "true");
  }
  buf_char(buf, '}');
}

static const char *button_target_key(uint32_t action)
{
  return action == PARLEY_BUTTON_URL ? "url" : "phone";
}

static void button_write(struct buf *buf, const struct content_button *button)
{
  buf_char(buf, '{');
  member_write(buf, "label", button->label, 0);
  if (button->action == PARLEY_BUTTON_REPLY)
    member_write_filled(buf, "id", button->id);
  else
    member_write_filled(buf, button_target_key(button->action), button->target);
  buf_char(buf, '}');
}

static void location_write(struct buf *buf, const struct content *content)
{
  buf_json_key(buf, "location");
  buf_printf(buf, "{\"latitude\":%.10g,\"longitude\":%.10g", content->latitude, content->longitude);
  member_write_filled(buf, "name", content->location_name);
  member_write_filled(buf, "address", content->location_address);
  buf_char(buf, '}');
}

static void members_write(struct buf *buf, const struct content *content, size_t text_bytes_max)
{
  member_write(buf, "subject", content->subject, 0);
  member_write(buf, "text", content->text, text_bytes_max);
  member_write(buf, "html", content->html, text_bytes_max);
  if (content->media != NULL) {
    buf_json_key(buf, "media");
    buf_char(buf, '[');
    for (size_t i = 0; i < content->n_media; i++) {
      buf_json_comma(buf);
      media_write(buf, &content->media[i]);
    }
    buf_char(buf, ']');
  }
  if (content->buttons != NULL) {
    buf_json_key(buf, "buttons");
    buf_char(buf, '[');
    for (size_t i = 0; i < content->n_buttons; i++) {
      buf_json_comma(buf);
      button_write(buf, &content->buttons[i]);
    }
    buf_char(buf, ']');
  }
  if (content->has_location)
    location_write(buf, content);
  if (content->n_headers > 0) {
    buf_json_key(buf, "headers");
    buf_content_headers(buf, content);
  }
}

void buf_content(struct buf *buf, const struct content *content, size_t text_bytes_max)
{
  buf_char(buf, '{');
  members_write(buf, content, text_bytes_max);
  if (content->n_overrides > 0) {
    buf_json_key(buf, "channels");
    buf_char(buf, '{');
    for (size_t i = 0; i < content->n_overrides; i++) {
      buf_json_comma(buf);
      buf_json_text(buf, content->overrides[i].name);
      buf_str(buf, ":{");
      members_write(buf, content->overrides[i].content, text_bytes_max);
      buf_char(buf, '}');
    }
    buf_char(buf, '}');
  }
  buf_char(buf, '}');
}
