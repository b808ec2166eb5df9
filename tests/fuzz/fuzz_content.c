/* content_read(), content_for(), fit_content(): the first bytes make a channel's capabilities, the rest is the JSON of
 * a content. Every text part is within its unit's length and valid; put together the parts are the whole text, nothing
 * lost. What is read is written back so that it is read again the same. */
#include "core/base/text.h"
#include "core/message/fit.h"
#include "core/message/fit_text.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define must(condition) \
  do {                  \
    if (!(condition))   \
      abort();          \
  } while (0)

enum { CAPS_BYTES = 8, FEATURES = 8 };
struct channel {
  parley_feature features[FEATURES];
  const parley_feature *list[FEATURES + 1];
  parley_capabilities caps;
};

static void channel_make(struct channel *channel, const uint8_t *seed)
{
  static const uint32_t whats[FEATURES] = {PARLEY_PART_TEXT,       PARLEY_PART_TEXT,    PARLEY_PART_HTML,
                                           PARLEY_PART_MEDIA,      PARLEY_PART_BUTTONS, PARLEY_PART_LOCATION,
                                           PARLEY_FEATURE_SUBJECT, PARLEY_PART_MEDIA};
  size_t n = 0;

  memset(channel, 0, sizeof(*channel));
  for (size_t i = 0; i < FEATURES; i++) {
    parley_feature *feature = &channel->features[n];

    if (seed[i] & 0x80)
      continue; /* not listed */
    *feature = (parley_feature){.size = sizeof(*feature),
                                .what = whats[i],
                                .level = 1 + (seed[i] & 3),
                                .count_max = seed[i] >> 4,
                                .unit = 1 + (seed[i] >> 2 & 3),
                                .length_max = seed[(i + 1) % FEATURES] % 80u,
                                .joined_max = seed[(i + 2) % FEATURES] % 3 == 0 ? seed[(i + 3) % FEATURES] % 60u : 0,
                                .types = whats[i] == PARLEY_PART_MEDIA ? "image/... application/pdf" : NULL};
    if (i == 1) /* the second TEXT takes what GSM7 cannot hold, or has another unit than the first */
      feature->unit = 1 + feature->unit % 4 == channel->features[0].unit ? feature->unit : 1 + feature->unit % 4;
    if (feature->joined_max > feature->length_max)
      feature->joined_max = feature->length_max;
    channel->list[n++] = feature;
  }
  channel->caps = (parley_capabilities){.size = sizeof(channel->caps), .features = channel->list};
}

static const parley_feature *feature_of(const struct channel *channel, const parley_part *part)
{
  for (size_t i = 0; channel->list[i] != NULL; i++)
    if (channel->list[i]->what == PARLEY_PART_TEXT && channel->list[i]->unit == part->unit)
      return channel->list[i];
  return NULL;
}

static void text_check(const struct channel *channel, const struct fitted *fitted, size_t n_texts, struct buf *all)
{
  for (size_t i = 0; i < n_texts; i++) {
    const parley_part *part = fitted->parts[i];
    const parley_feature *feature = feature_of(channel, part);
    size_t max = feature == NULL                          ? 0
                 : n_texts > 1 && feature->joined_max > 0 ? feature->joined_max
                                                          : feature->length_max;

    must(part->kind == PARLEY_PART_TEXT && part->text.len > 0 && text_utf8_ok(part->text));
    must(text_unit_holds(part->text, part->unit));
    must(max == 0 || text_units(part->text, part->unit, SIZE_MAX) <= max);
    buf_text(all, part->text);
  }
}

/* The same content for a channel without any limit tells what the text should be. */
static void fit_check(const struct content *content, const struct channel *channel, struct arena *arena)
{
  struct channel wide = *channel;
  struct fitted fitted, whole;
  struct buf all = BUF_INIT(0);
  const char *code = NULL;
  size_t n_texts = 0;

  if (fit_content(content, &channel->caps, arena, NULL, NULL, &fitted, &code) != PARLEY_OK) {
    must(code != NULL);
    return;
  }
  must(fitted.n_parts > 0 && fitted.n_parts <= FIT_PARTS_MAX && fitted.n_degraded <= FIT_DEGRADED_MAX);
  must(text_utf8_ok(fitted.subject));
  while (n_texts < fitted.n_parts && fitted.parts[n_texts]->kind == PARLEY_PART_TEXT)
    n_texts++;
  text_check(channel, &fitted, n_texts, &all);
  for (size_t i = 0; wide.list[i] != NULL; i++) {
    wide.list[i] = &wide.features[i];
    if (wide.features[i].what == PARLEY_PART_TEXT)
      wide.features[i].length_max = wide.features[i].joined_max = 0;
  }
  wide.caps.features = wide.list;
  must(fit_content(content, &wide.caps, arena, NULL, NULL, &whole, &code) == PARLEY_OK);
  if (n_texts > 0)
    must(whole.parts[0]->kind == PARLEY_PART_TEXT && text_eq(whole.parts[0]->text, buf_as_text(&all)));
  buf_done(&all);
}

static void written_check(const struct content *content, struct arena *arena)
{
  struct problems problems;
  struct json_in in;
  struct content again;
  struct buf one = BUF_INIT(0), two = BUF_INIT(0);
  json_t *root;

  problems_init(&problems, arena);
  buf_content(&one, content, 0);
  root = json_read(buf_as_text(&one), &problems);
  must(root != NULL && json_in_root(root, arena, &problems, &in) && content_read(&in, &again));
  buf_content(&two, &again, 0);
  must(text_eq(buf_as_text(&one), buf_as_text(&two)));
  buf_done(&one);
  buf_done(&two);
  json_decref(root);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  struct channel channel;
  struct arena *arena;
  struct problems problems;
  struct json_in in;
  struct content content;
  json_t *root;

  if (size < CAPS_BYTES)
    return 0;
  channel_make(&channel, data);
  arena = arena_new();
  problems_init(&problems, arena);
  root = json_read((parley_bytes){(const char *)data + CAPS_BYTES, size - CAPS_BYTES}, &problems);
  if (root != NULL && json_in_root(root, arena, &problems, &in) && content_read(&in, &content)) {
    written_check(&content, arena);
    content = content_for(&content, PARLEY_LIT("sms-eu"), "sms");
    fit_check(&content, &channel, arena);
  } else {
    must(problems.count > 0);
  }
  json_decref(root);
  arena_free(&arena);
  return 0;
}
