/* Media, location and buttons of a content: parts where the channel can carry them, else text behind the text. */
#include "core/base/alloc.h"
#include "core/base/text.h"
#include "fit_inner.h"
#include <stdio.h>
#include <string.h>

#define FIT_FEATURES_MAX 32 /* MEDIA entries whose parts are counted; those beyond share one count */
#define MAP_LINK "https://www.openstreetmap.org/?mlat=%.9g&mlon=%.9g"

/* --- which entry of the capabilities
 * ---------------------------------------------------------------------------------- */

/* "image/png", with "image/..." and "*" + "/" + "*" in a feature's list of types. */
static bool type_matches(parley_text type, parley_text pattern)
{
  if (parley_text_is(pattern, "*") || parley_text_is(pattern, "*/*") || parley_text_is(pattern, "..."))
    return true;
  if (text_ends(pattern, "/...") || text_ends(pattern, "/*")) {
    size_t slash = text_find(pattern, '/');

    return text_eq_nocase(text_sub(type, 0, slash + 1), text_sub(pattern, 0, slash + 1));
  }
  return text_eq_nocase(type, pattern);
}

static bool types_hold(const char *types, parley_text type)
{
  parley_text rest = parley_text_of(types);

  if (text_trim(rest).len == 0)
    return true;
  while (rest.len > 0)
    if (type_matches(type, text_cut(&rest, ' ')))
      return true;
  return false;
}

/* What the type is when nobody said: by the end of the name, or of the link. */
static parley_text media_type(const struct content_media *media)
{
  static const struct {
    const char *end, *type;
  } ends[] = {
      {".jpg", "image/jpeg"},      {".jpeg", "image/jpeg"},   {".png", "image/png"},  {".gif", "image/gif"},
      {".webp", "image/webp"},     {".mp4", "video/mp4"},     {".mp3", "audio/mpeg"}, {".ogg", "audio/ogg"},
      {".pdf", "application/pdf"}, {".ics", "text/calendar"}, {".vcf", "text/vcard"}, {".txt", "text/plain"},
  };
  parley_text name = media->name.len > 0 ? media->name : text_sub(media->url, 0, text_find(media->url, '?'));

  if (media->type.len > 0)
    return media->type;
  for (size_t i = 0; i < COUNT_OF(ends); i++) {
    size_t len = strlen(ends[i].end);

    if (name.len > len && text_is_nocase(text_sub(name, name.len - len, len), ends[i].end))
      return parley_text_of(ends[i].type);
  }
  return PARLEY_LIT("application/octet-stream");
}

/* The entry for one more media part of this type and size; used: parts per entry so far. NULL: FALLBACK. */
static const parley_feature *media_feature(const struct fit *fit, parley_text type, uint64_t bytes,
                                           uint32_t used[FIT_FEATURES_MAX])
{
  size_t i = 0;

  for (const parley_feature *const *each = fit->caps->features; each != NULL && *each != NULL; each++) {
    const parley_feature *feature = *each;
    uint32_t *count = &used[i];

    if (feature->what != PARLEY_PART_MEDIA)
      continue;
    i += i + 1 < FIT_FEATURES_MAX;
    if (!types_hold(feature->types, type))
      continue;
    if (feature->level != PARLEY_LEVEL_NATIVE)
      return feature;
    if (feature->bytes_max > 0 && bytes > feature->bytes_max)
      continue;
    if (*count >= (feature->count_max > 0 ? feature->count_max : 1))
      continue;
    (*count)++;
    return feature;
  }
  return NULL;
}

/* --- what falls back -------------------------------------------------------------------------------------------------
 */

static void html_add_link(struct buf *buf, parley_text href, parley_text label)
{
  buf_str(buf, "<a href=\"");
  buf_html_text(buf, href);
  buf_str(buf, "\">");
  buf_html_text(buf, label);
  buf_str(buf, "</a>");
}

static void tail_start(struct fit *fit) /* of one paragraph */
{
  if (fit->tail.len > 0)
    buf_str(&fit->tail, "\n\n");
  buf_str(&fit->html_tail, "<p>");
}

static void tail_line(struct fit *fit) /* of a line within it */
{
  buf_char(&fit->tail, '\n');
  buf_str(&fit->html_tail, "<br>");
}

static void tail_end(struct fit *fit)
{
  buf_str(&fit->html_tail, "</p>");
}

static void tail_words(struct fit *fit, parley_text words)
{
  buf_text(&fit->tail, words);
  buf_html_text(&fit->html_tail, words);
}

static void tail_link(struct fit *fit, parley_text href)
{
  buf_text(&fit->tail, href);
  html_add_link(&fit->html_tail, href, href);
}

static void buttons_to_text(struct fit *fit)
{
  tail_start(fit);
  for (size_t i = 0; i < fit->content->n_buttons; i++) {
    const struct content_button *button = &fit->content->buttons[i];

    if (i > 0)
      tail_line(fit);
    buf_printf(&fit->tail, "%zu. ", i + 1);
    buf_printf(&fit->html_tail, "%zu. ", i + 1);
    buf_text(&fit->tail, button->label);
    if (button->action == PARLEY_BUTTON_URL)
      html_add_link(&fit->html_tail, button->target, button->label);
    else
      buf_html_text(&fit->html_tail, button->label);
    if (button->action != PARLEY_BUTTON_REPLY) {
      buf_str(&fit->tail, ": ");
      buf_text(&fit->tail, button->target);
    }
    if (button->action == PARLEY_BUTTON_CALL) {
      buf_str(&fit->html_tail, ": ");
      buf_html_text(&fit->html_tail, button->target);
    }
  }
  tail_end(fit);
}

static void location_to_text(struct fit *fit)
{
  const struct content *content = fit->content;
  char link[sizeof(MAP_LINK) + 32];
  int len = snprintf(link, sizeof(link), MAP_LINK, content->latitude, content->longitude);

  tail_start(fit);
  if (content->location_name.len > 0) {
    tail_words(fit, content->location_name);
    tail_line(fit);
  }
  if (content->location_address.len > 0) {
    tail_words(fit, content->location_address);
    tail_line(fit);
  }
  tail_link(fit, (parley_text){link, (size_t)len});
  tail_end(fit);
}

static void media_to_link(struct fit *fit, const struct content_media *media, parley_text url)
{
  parley_text words = media->caption.len > 0 ? media->caption : media->name;

  tail_start(fit);
  if (words.len > 0) {
    tail_words(fit, words);
    tail_line(fit);
  }
  tail_link(fit, url);
  tail_end(fit);
}

/* --- media, location, buttons ----------------------------------------------------------------------------------------
 */

static parley_text media_link(const struct fit *fit, const struct content_media *media)
{
  if (media->id == 0)
    return media->url;
  return fit->media_url != NULL ? fit->media_url(media->id, fit->arena, fit->arg) : TEXT_EMPTY;
}

static bool media_add(struct fit *fit, const struct content_media *media, parley_text type,
                      const parley_feature *feature)
{
  parley_part *part = fit_part_add(fit, PARLEY_PART_MEDIA);
  char id[ID_TEXT_MAX];

  if (part == NULL)
    return false;
  part->type = type;
  part->name = media->name;
  part->text = media->caption;
  part->total_bytes = media->total_bytes;
  part->flags = media->inline_cid ? PARLEY_PART_INLINE : 0;
  part->url = media_link(fit, media);
  if (media->id != 0) {
    id_format("med", media->id, id);
    part->media = arena_text(fit->arena, parley_text_of(id));
  }
  if (!fit_within(feature, part->text)) {
    part->text = TEXT_EMPTY;
    tail_start(fit);
    tail_words(fit, media->caption);
    tail_end(fit);
    fit_degrade(fit, "caption_to_text");
  }
  return true;
}

static bool media_fit(struct fit *fit, const struct content_media *media, uint32_t used[FIT_FEATURES_MAX])
{
  parley_text type = media_type(media), url;
  const parley_feature *feature;

  if (media->inline_cid && !fit->html_carried) {
    fit_degrade(fit, "media_dropped"); /* a picture of a page that does not go out */
    return true;
  }
  feature = media_feature(fit, type, media->total_bytes, used);
  if (fit_level(feature) == PARLEY_LEVEL_REJECT)
    return fit_refuse(fit, "media_not_supported");
  if (fit_level(feature) == PARLEY_LEVEL_NATIVE && media_add(fit, media, type, feature))
    return true;
  url = media_link(fit, media);
  if (fit_level(feature) == PARLEY_LEVEL_DROP || url.len == 0) {
    fit_degrade(fit, "media_dropped");
    return true;
  }
  media_to_link(fit, media, url);
  fit_degrade(fit, "media_to_link");
  return true;
}

static bool location_fit(struct fit *fit)
{
  uint32_t level = fit_level(fit_feature(fit, PARLEY_PART_LOCATION));
  parley_part *part = NULL;

  if (level == PARLEY_LEVEL_REJECT)
    return fit_refuse(fit, "location_not_supported");
  if (level == PARLEY_LEVEL_DROP) {
    fit_degrade(fit, "location_dropped");
    return true;
  }
  if (level == PARLEY_LEVEL_NATIVE)
    part = fit_part_add(fit, PARLEY_PART_LOCATION);
  if (part == NULL) {
    location_to_text(fit);
    fit_degrade(fit, "location_to_text");
    return true;
  }
  part->latitude = fit->content->latitude;
  part->longitude = fit->content->longitude;
  part->name = fit->content->location_name;
  part->text = fit->content->location_address;
  return true;
}

static bool buttons_native(const struct fit *fit, const parley_feature *feature)
{
  if (fit_level(feature) != PARLEY_LEVEL_NATIVE)
    return false;
  if (feature->count_max > 0 && fit->content->n_buttons > feature->count_max)
    return false;
  for (size_t i = 0; i < fit->content->n_buttons; i++)
    if (!fit_within(feature, fit->content->buttons[i].label))
      return false;
  return true;
}

static bool buttons_add(struct fit *fit)
{
  size_t count = fit->content->n_buttons;
  parley_part *part = fit_part_add(fit, PARLEY_PART_BUTTONS);
  const parley_button **list;

  if (part == NULL)
    return false;
  list = arena_alloc(fit->arena, count * sizeof(*list));
  for (size_t i = 0; i < count; i++) {
    const struct content_button *from = &fit->content->buttons[i];
    parley_button *button = arena_alloc(fit->arena, sizeof(*button));

    *button = (parley_button){
        .size = sizeof(*button), .action = from->action, .id = from->id, .label = from->label, .target = from->target};
    list[i] = button;
  }
  part->buttons = list;
  part->n_buttons = (uint32_t)count;
  return true;
}

static bool buttons_fit(struct fit *fit)
{
  const parley_feature *feature = fit_feature(fit, PARLEY_PART_BUTTONS);

  if (fit_level(feature) == PARLEY_LEVEL_REJECT)
    return fit_refuse(fit, "buttons_not_supported");
  if (fit_level(feature) == PARLEY_LEVEL_DROP) {
    fit_degrade(fit, "buttons_dropped");
    return true;
  }
  if (buttons_native(fit, feature) && buttons_add(fit))
    return true;
  buttons_to_text(fit);
  fit_degrade(fit, "buttons_to_text");
  return true;
}

bool fit_extra(struct fit *fit)
{
  uint32_t used[FIT_FEATURES_MAX] = {0};

  for (size_t i = 0; i < fit->content->n_media; i++)
    if (!media_fit(fit, &fit->content->media[i], used))
      return false;
  if (fit->content->has_location && !location_fit(fit))
    return false;
  return fit->content->n_buttons == 0 || buttons_fit(fit);
}
