/* The reader of "content": JSON from a stranger becomes a struct content. */
#include "content.h"
#include "core/base/text.h"
#include "mail_header.h"
#include "phone.h"
#include "target.h"
#include <string.h>

static bool text_is_blank(parley_text text)
{
  for (size_t i = 0; i < text.len; i++)
    if ((unsigned char)text.at[i] > ' ' && text.at[i] != 0x7f)
      return false;
  return true;
}

/* A short text that ends up in a header, a list or a label: no control characters. */
static bool line_read(const struct json_in *in, const char *name, size_t bytes_max, parley_text *ret)
{
  if (!json_in_text(in, name, bytes_max, ret))
    return false;
  if (text_has_control(*ret))
    return json_in_problem(in, name, "control_character", "%s may not have line breaks or control characters", name);
  return true;
}

static bool subject_read(const struct json_in *in, parley_text *ret)
{
  if (!json_in_text(in, "subject", CONTENT_SUBJECT_BYTES_MAX, ret))
    return false;
  if (text_has_control(*ret))
    return json_in_problem(in, "subject", "header_injection",
                           "the subject may not have line breaks or control characters");
  return true;
}

/* --- media -----------------------------------------------------------------------------------------------------------
 */

static bool type_ok(parley_text type) /* RFC 2045: token "/" token, parameters left out */
{
  size_t slashes = 0;

  for (size_t i = 0; i < type.len; i++) {
    char byte = type.at[i];

    if (byte == '/')
      slashes += i == 0 || i + 1 == type.len ? 2 : 1;
    else if (byte <= ' ' || byte >= 0x7f || strchr("()<>@,;:\\\"[]?=", byte) != NULL)
      return false;
  }
  return slashes == 1;
}

static parley_text name_clean(parley_text name) /* never a path */
{
  for (size_t i = name.len; i > 0; i--)
    if (name.at[i - 1] == '/' || name.at[i - 1] == '\\')
      return text_sub(name, i, SIZE_MAX);
  return name;
}

static bool media_source_read(const struct json_in *in, struct content_media *media)
{
  parley_text id = TEXT_EMPTY;

  if (!json_in_text(in, "id", CONTENT_NAME_BYTES_MAX, &id) || !json_in_text(in, "url", LINK_BYTES_MAX, &media->url))
    return false;
  if ((id.len > 0) == (media->url.len > 0)) {
    problem_add(in->problems, in->pointer, "bad_media", "give either id (of POST /v1/media) or url");
    return false;
  }
  if (id.len > 0 && !id_parse("med", id, &media->id))
    return json_in_problem(in, "id", "bad_id", "this is no id of media (med_ and 13 characters)");
  if (media->url.len > 0 && !link_ok(media->url, true))
    return json_in_problem(in, "url", "bad_url", "a link to media starts with https:// and a host");
  return true;
}

static bool media_read(const struct json_in *in, struct content_media *media)
{
  static const char *const names[] = {"id", "url", "type", "name", "caption", "inline", NULL};

  if (!json_in_only(in, names) || !media_source_read(in, media))
    return false;
  if (!line_read(in, "type", CONTENT_NAME_BYTES_MAX, &media->type) ||
      !line_read(in, "name", CONTENT_NAME_BYTES_MAX, &media->name) ||
      !json_in_text(in, "caption", CONTENT_CAPTION_BYTES_MAX, &media->caption) ||
      !json_in_bool(in, "inline", &media->inline_cid))
    return false;
  if (media->type.len > 0 && !type_ok(media->type))
    return json_in_problem(in, "type", "bad_type", "a type reads as image/png");
  media->name = name_clean(media->name);
  if (media->inline_cid && media->name.len == 0)
    return json_in_problem(in, "inline", "bad_media", "what is shown within the html needs a name: cid:name");
  return true;
}

/* --- buttons ---------------------------------------------------------------------------------------------------------
 */

static bool content_is_own_link(parley_text url)
{
  return parley_text_is(url, CONTENT_UNSUBSCRIBE_NAME) || parley_text_is(url, CONTENT_PREFERENCES_NAME);
}

static bool button_target_read(const struct json_in *in, struct content_button *button)
{
  parley_text url = TEXT_EMPTY, phone = TEXT_EMPTY;
  const char *why, *hint;

  if (!line_read(in, "id", CONTENT_NAME_BYTES_MAX, &button->id) || !json_in_text(in, "url", LINK_BYTES_MAX, &url) ||
      !json_in_text(in, "phone", CONTENT_NAME_BYTES_MAX, &phone))
    return false;
  if ((button->id.len > 0) + (url.len > 0) + (phone.len > 0) > 1) {
    problem_add(in->problems, in->pointer, "bad_button", "a button has one of id, url and phone");
    return false;
  }
  if (url.len > 0 && !content_is_own_link(url) && !link_ok(url, false))
    return json_in_problem(in, "url", "bad_url", "a link starts with https:// or http:// and a host");
  if (phone.len > 0 && !phone_normalise(NULL, phone, in->arena, &phone, &why, &hint))
    return json_in_problem(in, "phone", "bad_phone", "this phone is not usable: %s", why);
  button->action = url.len > 0 ? PARLEY_BUTTON_URL : phone.len > 0 ? PARLEY_BUTTON_CALL : PARLEY_BUTTON_REPLY;
  button->target = url.len > 0 ? url : phone;
  return true;
}

static bool button_read(const struct json_in *in, struct content_button *button)
{
  static const char *const names[] = {"label", "id", "url", "phone", NULL};

  if (!json_in_only(in, names) || !line_read(in, "label", CONTENT_LABEL_BYTES_MAX, &button->label))
    return false;
  if (text_is_blank(button->label))
    return json_in_problem(in, "label", "bad_button", "a button needs a label");
  if (!button_target_read(in, button))
    return false;
  if (button->action == PARLEY_BUTTON_REPLY && button->id.len == 0)
    button->id = button->label;
  return true;
}

/* --- lists, location, overrides
 * --------------------------------------------------------------------------------------- */

static bool element_in(const struct json_in *in, const char *name, json_t *list, size_t index, struct json_in *ret)
{
  *ret = *in;
  ret->pointer = pointer_index(in->arena, pointer_member(in->arena, in->pointer, parley_text_of(name)), index);
  ret->object = json_array_get(list, index);
  if (json_is_object(ret->object))
    return true;
  problem_add(in->problems, ret->pointer, "wrong_type", "each of %s must be an object", name);
  return false;
}

static bool media_list_read(const struct json_in *in, struct content *content)
{
  json_t *list = NULL;
  struct json_in element;
  bool good = json_in_array(in, "media", CONTENT_MEDIA_MAX, &list);

  if (!good || list == NULL)
    return good;
  content->n_media = json_array_size(list);
  content->media = arena_alloc(in->arena, (content->n_media + 1) * sizeof(*content->media));
  for (size_t i = 0; i < content->n_media; i++)
    good = element_in(in, "media", list, i, &element) && media_read(&element, &content->media[i]) && good;
  return good;
}

static bool button_list_read(const struct json_in *in, struct content *content)
{
  json_t *list = NULL;
  struct json_in element;
  bool good = json_in_array(in, "buttons", CONTENT_BUTTONS_MAX, &list);

  if (!good || list == NULL)
    return good;
  content->n_buttons = json_array_size(list);
  content->buttons = arena_alloc(in->arena, (content->n_buttons + 1) * sizeof(*content->buttons));
  for (size_t i = 0; i < content->n_buttons; i++)
    good = element_in(in, "buttons", list, i, &element) && button_read(&element, &content->buttons[i]) && good;
  return good;
}

static bool location_read(const struct json_in *in, struct content *content)
{
  static const char *const names[] = {"latitude", "longitude", "name", "address", NULL};
  const double unset = 1000; /* no latitude, no longitude */
  struct json_in place;
  double latitude = unset, longitude = unset;

  if (!json_in_object(in, "location", &place))
    return false;
  if (place.object == NULL)
    return true;
  if (!json_in_only(&place, names) || !json_in_number(&place, "latitude", -90, 90, &latitude) ||
      !json_in_number(&place, "longitude", -180, 180, &longitude) ||
      !line_read(&place, "name", CONTENT_NAME_BYTES_MAX, &content->location_name) ||
      !line_read(&place, "address", CONTENT_NAME_BYTES_MAX, &content->location_address))
    return false;
  if (latitude == unset || longitude == unset) {
    problem_add(in->problems, place.pointer, "bad_location", "a location needs latitude and longitude");
    return false;
  }
  content->has_location = true;
  content->latitude = latitude;
  content->longitude = longitude;
  return true;
}

/* All members but "channels". */
static bool members_read(const struct json_in *in, struct content *content)
{
  bool good = subject_read(in, &content->subject);

  good = json_in_text(in, "text", SIZE_MAX, &content->text) && good;
  good = json_in_text(in, "html", SIZE_MAX, &content->html) && good;
  if (content->text.len + content->html.len > CONTENT_INLINE_BYTES_MAX) {
    problem_add(in->problems, in->pointer, "content_too_large",
                "text and html have %zu bytes; %zu are allowed together", content->text.len + content->html.len,
                CONTENT_INLINE_BYTES_MAX);
    good = false;
  }
  good = media_list_read(in, content) && good;
  good = button_list_read(in, content) && good;
  return location_read(in, content) && good;
}

static bool content_says_something(const struct content *content)
{
  for (size_t i = 0; i < content->n_overrides; i++)
    if (content_says_something(content->overrides[i].content))
      return true;
  return !text_is_blank(content->text) || !text_is_blank(content->html) || content->n_media > 0 ||
         content->has_location;
}

static bool override_name_ok(parley_text name)
{
  for (size_t i = 0; i < name.len; i++) {
    char byte = name.at[i];

    if ((byte < 'a' || byte > 'z') && (byte < '0' || byte > '9') && byte != '-' && byte != '_' && byte != '.')
      return false;
  }
  return name.len > 0 && name.len <= CONTENT_NAME_BYTES_MAX;
}

static bool header_read(const struct json_in *in, const char *name, json_t *value, struct content_header *ret)
{
  const char *code, *why;

  *ret = (struct content_header){.name = parley_text_of(name), .value = json_text(value)};
  if (!json_is_string(value))
    return json_in_problem(in, name, "wrong_type", "a header's value is a text");
  if (mail_header_ok(ret->name, ret->value, &code, &why))
    return true;
  json_in_problem(in, name, code, "%s", why);
  if (strcmp(code, "header_not_allowed") == 0)
    problem_hint(in->problems, MAIL_HEADERS_ALLOWED);
  return false;
}

static bool headers_read(const struct json_in *in, struct content *content)
{
  struct json_in headers;
  const char *name;
  json_t *value;
  bool good = json_in_object(in, "headers", &headers);

  if (!good || headers.object == NULL)
    return good;
  if (json_object_size(headers.object) > CONTENT_HEADERS_MAX)
    return json_in_problem(in, "headers", "too_many_items", "%d headers are allowed", CONTENT_HEADERS_MAX);
  content->headers = arena_alloc(in->arena, (json_object_size(headers.object) + 1) * sizeof(*content->headers));
  json_object_foreach(headers.object, name, value)
  {
    good = header_read(&headers, name, value, &content->headers[content->n_headers]) && good;
    for (size_t i = 0; i < content->n_headers; i++)
      if (text_eq_nocase(content->headers[i].name, parley_text_of(name)))
        good = json_in_problem(&headers, name, "duplicate_header", "this header stands here twice");
    content->n_headers++;
  }
  return good;
}

static bool override_read(const struct json_in *in, const char *name, json_t *value, struct content_override *ret)
{
  static const char *const names[] = {"subject", "text", "html", "media", "buttons", "location", "headers", NULL};
  struct json_in members = *in;

  ret->name = parley_text_of(name);
  if (!override_name_ok(ret->name)) {
    problem_add(in->problems, in->pointer, "unknown_channel",
                "each of channels has the name of a channel or of its kind");
    return false;
  }
  members.pointer = pointer_member(in->arena, in->pointer, ret->name);
  members.object = value;
  if (!json_is_object(value)) {
    problem_add(in->problems, members.pointer, "wrong_type", "the content for %s must be an object", name);
    return false;
  }
  ret->content = arena_alloc(in->arena, sizeof(*ret->content));
  return json_in_only(&members, names) && members_read(&members, ret->content) && headers_read(&members, ret->content);
}

static bool overrides_read(const struct json_in *in, struct content *content)
{
  struct json_in channels;
  const char *name;
  json_t *value;
  bool good = json_in_object(in, "channels", &channels);

  if (!good || channels.object == NULL)
    return good;
  if (json_object_size(channels.object) > CONTENT_OVERRIDES_MAX)
    return json_in_problem(in, "channels", "too_many_items", "%d channels are allowed", CONTENT_OVERRIDES_MAX);
  content->overrides = arena_alloc(in->arena, (json_object_size(channels.object) + 1) * sizeof(*content->overrides));
  json_object_foreach(channels.object, name, value)
  {
    if (override_read(&channels, name, value, &content->overrides[content->n_overrides]))
      content->n_overrides++;
    else
      good = false;
  }
  return good;
}

bool content_read(const struct json_in *in, struct content *ret)
{
  static const char *const names[] = {"subject", "text", "html", "media", "buttons", "location", "channels", NULL};
  struct content content = {.n_media = 0};
  bool good = json_in_only(in, names);

  good = members_read(in, &content) && good;
  good = overrides_read(in, &content) && good;
  if (!good)
    return false;
  if (!content_says_something(&content)) {
    problem_add(in->problems, in->pointer, "empty_content", "there is nothing to send");
    problem_hint(in->problems, "give text, html, media or location");
    return false;
  }
  *ret = content;
  return true;
}
