#include "core/base/alloc.h"
#include "core/base/text.h"
#include "core/message/fit.h"
#include "core/message/fit_text.h"
#include "core/message/segments.h"
#include "core/message/text_plain.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct arena *arena;

static void set_up(void)
{
  arena = arena_new();
}

static void tear_down(void)
{
  arena_free(&arena);
}

#define NATIVE .level = PARLEY_LEVEL_NATIVE
#define CAPS(name, ...)                                                       \
  static const parley_feature *const name##_features[] = {__VA_ARGS__, NULL}; \
  static const parley_capabilities name = {.size = sizeof(name), .features = name##_features}

static const parley_feature gsm = {.size = sizeof(gsm),
                                   .what = PARLEY_PART_TEXT,
                                   NATIVE,
                                   .unit = PARLEY_UNIT_GSM7,
                                   .length_max = 160,
                                   .joined_max = 153,
                                   .count_max = 8};
static const parley_feature ucs = {.size = sizeof(ucs),
                                   .what = PARLEY_PART_TEXT,
                                   NATIVE,
                                   .unit = PARLEY_UNIT_UTF16,
                                   .length_max = 70,
                                   .joined_max = 67,
                                   .count_max = 8};
static const parley_feature audio_refused = {
    .size = sizeof(gsm), .what = PARLEY_PART_MEDIA, .level = PARLEY_LEVEL_REJECT, .types = "audio/... video/..."};
CAPS(sms, &gsm, &ucs, &audio_refused);

static const parley_feature mail_text = {
    .size = sizeof(gsm), .what = PARLEY_PART_TEXT, NATIVE, .unit = PARLEY_UNIT_BYTES};
static const parley_feature mail_html = {
    .size = sizeof(gsm), .what = PARLEY_PART_HTML, NATIVE, .unit = PARLEY_UNIT_BYTES};
static const parley_feature mail_subject = {
    .size = sizeof(gsm), .what = PARLEY_FEATURE_SUBJECT, NATIVE, .unit = PARLEY_UNIT_CODE_POINTS, .length_max = 20};
static const parley_feature mail_media = {
    .size = sizeof(gsm), .what = PARLEY_PART_MEDIA, NATIVE, .count_max = 32, .types = "*/*"};
CAPS(mail, &mail_text, &mail_html, &mail_subject, &mail_media);

static const parley_feature chat_text = {.size = sizeof(gsm),
                                         .what = PARLEY_PART_TEXT,
                                         NATIVE,
                                         .unit = PARLEY_UNIT_CODE_POINTS,
                                         .length_max = 20,
                                         .count_max = 4};
static const parley_feature chat_small = {.size = sizeof(gsm),
                                          .what = PARLEY_PART_MEDIA,
                                          NATIVE,
                                          .types = "image/jpeg image/png",
                                          .bytes_max = 1000,
                                          .count_max = 2,
                                          .unit = PARLEY_UNIT_UTF16,
                                          .length_max = 5};
static const parley_feature chat_audio = {.size = sizeof(gsm), .what = PARLEY_PART_MEDIA, NATIVE, .types = "audio/..."};
static const parley_feature chat_buttons = {.size = sizeof(gsm),
                                            .what = PARLEY_PART_BUTTONS,
                                            NATIVE,
                                            .count_max = 3,
                                            .unit = PARLEY_UNIT_CODE_POINTS,
                                            .length_max = 6};
static const parley_feature chat_place = {.size = sizeof(gsm), .what = PARLEY_PART_LOCATION, NATIVE};
static const parley_feature chat_no_subject = {
    .size = sizeof(gsm), .what = PARLEY_FEATURE_SUBJECT, .level = PARLEY_LEVEL_DROP};
CAPS(chat, &chat_text, &chat_small, &chat_audio, &chat_buttons, &chat_place, &chat_no_subject);

static const parley_capabilities bare = {.size = sizeof(bare)};

/* --- what a whole content becomes
 * ------------------------------------------------------------------------------------- */

static const char *const kind_names[] = {"", "text", "html", "media", "buttons", "location"};

/* "subject=S|text:...|html:...|media:TYPE:URL:CAPTION|location|buttons:N|degraded" */
static void fitted_show(struct buf *buf, const struct fitted *fitted)
{
  if (fitted->subject.len > 0)
    buf_printf(buf, "subject=%.*s|", TEXT_ARG(fitted->subject));
  for (size_t i = 0; i < fitted->n_parts; i++) {
    const parley_part *part = fitted->parts[i];

    ck_assert_uint_eq(part->size, sizeof(*part));
    buf_printf(buf, "%s:", kind_names[part->kind]);
    if (part->kind == PARLEY_PART_MEDIA)
      buf_printf(buf, "%.*s:%.*s:", TEXT_ARG(part->type), TEXT_ARG(part->url));
    if (part->kind == PARLEY_PART_BUTTONS)
      buf_printf(buf, "%u", part->n_buttons);
    buf_printf(buf, "%.*s|", TEXT_ARG(part->text));
  }
  for (size_t i = 0; i < fitted->n_degraded; i++)
    buf_printf(buf, "%s%s", i > 0 ? " " : "", fitted->degraded[i]);
}

static parley_text link_of(id64 media, struct arena *in, void *arg)
{
  (void)media;
  (void)arg;
  return arena_text(in, PARLEY_LIT("https://p/m"));
}

#define BUTTONS "\"buttons\":[{\"label\":\"Yes\"},{\"label\":\"Track\",\"url\":\"https://x.example/?a=1&b=2\"}]"
#define PLACE "\"location\":{\"latitude\":40.4168,\"longitude\":-3.7038,\"name\":\"Shop\"}"
#define MAP "https://www.openstreetmap.org/?mlat=40.4168&mlon=-3.7038"
#define PHOTO "{\"url\":\"https://x.example/a.png?v=1\",\"caption\":\"Photo\"}"
static const struct {
  const parley_capabilities *caps;
  const char *content, *want;
} wholes[] = {
    {&sms, "{\"text\":\"Hi\"}", "text:Hi|"},
    {&bare, "{\"text\":\"Hi\"}", "text:Hi|"},
    {&sms, "{\"subject\":\"Order\",\"text\":\"Hi\"}", "text:Order\n\nHi|subject_to_text"},
    {&chat, "{\"subject\":\"Order\",\"text\":\"Hi\"}", "text:Hi|subject_dropped"},
    {&sms, "{\"html\":\"<p>A</p><p>B &amp; C</p>\"}", "text:A\n\nB & C|html_to_text"},
    {&sms, "{\"text\":\"T\",\"html\":\"<p>H</p>\"}", "text:T|"},
    {&mail, "{\"subject\":\"S\",\"text\":\"T\",\"html\":\"<p>H</p>\"}", "subject=S|text:T|html:<p>H</p>|"},
    {&mail, "{\"html\":\"<p>H</p>\"}", "text:H|html:<p>H</p>|"},
    {&mail, "{\"text\":\"T\",\"subject\":\"Twenty letters and no more of them\"}",
     "subject=Twenty letters and|text:T|subject_cut"},
    {&mail, "{\"text\":\"T\",\"html\":\"<BODY a='1'>H</Body></html>\"," BUTTONS "}",
     "text:T\n\n1. Yes\n2. Track: https://x.example/?a=1&b=2|"
     "html:<BODY a='1'>H<p>1. Yes<br>2. <a "
     "href=\"https://x.example/?a=1&amp;b=2\">Track</a></p></Body></html>|buttons_to_text"},
    {&bare, "{\"subject\":\"S\",\"html\":\"H\"," PLACE "}",
     "text:S\n\nH\n\nShop\n" MAP "|html_to_text subject_to_text location_to_text"},
    {&chat, "{" PLACE "}", "location:|"},
    {&chat, "{\"text\":\"T\"," BUTTONS "}", "text:T|buttons:2|"},
    {&chat, "{\"text\":\"T\",\"buttons\":[{\"label\":\"Certain\"},{\"label\":\"No\"}]}",
     "text:T\n\n1. Certain\n2. No|buttons_to_text"},
    {&chat, "{\"text\":\"T\",\"buttons\":[{\"label\":\"A\"},{\"label\":\"B\"},{\"label\":\"C\"},{\"label\":\"D\"}]}",
     "text:T\n\n1. A\n2. B\n3. C\n|text:4. D|buttons_to_text text_split"},
    {&chat, "{\"text\":\"T\",\"media\":[" PHOTO "]}", "text:T|media:image/png:https://x.example/a.png?v=1:Photo|"},
    {&chat, "{\"media\":[{\"id\":\"med_01KAM2Z8Q3XWA\",\"type\":\"audio/ogg\"}]}", "media:audio/ogg:https://p/m:|"},
    {&chat, "{\"media\":[{\"url\":\"https://x.example/a.png\",\"caption\":\"A photo\"}]}",
     "text:A photo|media:image/png:https://x.example/a.png:|caption_to_text"},
    {&chat, "{\"media\":[" PHOTO "," PHOTO ",{\"url\":\"https://p/3.png\"}]}",
     "text:https://p/3.png|media:image/png:https://x.example/a.png?v=1:Photo|media:image/png:https://x.example/"
     "a.png?v=1:Photo|"
     "media_to_link"},
    {&chat, "{\"media\":[{\"url\":\"https://p/a.zip\"}]}", "text:https://p/a.zip|media_to_link"},
    {&bare, "{\"text\":\"T\",\"media\":[{\"id\":\"med_01KAM2Z8Q3XWA\",\"name\":\"a.pdf\"}]}",
     "text:T\n\na.pdf\nhttps://p/m|media_to_link"},
    {&sms, "{\"text\":\"T\",\"media\":[{\"url\":\"https://p/a.mp3\"}]}", "!media_not_supported"},
    {&sms,
     "{\"text\":\"T\",\"html\":\"<img "
     "src=cid:a>\",\"media\":[{\"url\":\"https://p/a\",\"name\":\"a\",\"inline\":true}]}",
     "text:T|media_dropped"},
    {&mail, "{\"html\":\"<img src=cid:a>x\",\"media\":[{\"url\":\"https://p/a\",\"name\":\"a\",\"inline\":true}]}",
     "text:x|html:<img src=cid:a>x|media:application/octet-stream:https://p/a:|"},
    {&mail, "{\"media\":[" PHOTO "]}", "media:image/png:https://x.example/a.png?v=1:Photo|"},
    {&sms, "{\"html\":\"<!-- nothing -->\"}", "!nothing_left"},
    {&chat,
     "{\"text\":\"This is a text of more than eighty characters, which four parts of twenty cannot hold at all.\"}",
     "!text_too_long"},
    {&chat, "{\"text\":\"One two three four five six seven\"}",
     "text:One two three four |text:five six seven|text_split"},
    {&chat, "{\"text\":\"One two three\\nfour five six\"}", "text:One two three\n|text:four five six|text_split"},
    {&chat, "{\"text\":\"aaaaaaaaaaaaaaaaaaaaaaaaa\"}", "text:aaaaaaaaaaaaaaaaaaaa|text:aaaaa|text_split"},
};

START_TEST(content_becomes_what_the_channel_carries)
{
  struct problems problems;
  struct json_in in;
  struct content content;
  struct fitted fitted;
  struct buf shown = BUF_INIT(0);
  const char *code = NULL;
  json_t *root;

  problems_init(&problems, arena);
  root = json_read(parley_text_of(wholes[_i].content), &problems);
  ck_assert(json_in_root(root, arena, &problems, &in) && content_read(&in, &content));
  if (fit_content(&content, wholes[_i].caps, arena, link_of, NULL, &fitted, &code) == PARLEY_OK)
    fitted_show(&shown, &fitted);
  else
    buf_printf(&shown, "!%s", code);
  ck_assert_str_eq(shown.at, wholes[_i].want);
  buf_done(&shown);
  json_decref(root);
}
END_TEST

START_TEST(a_page_that_gmail_clips_is_noted)
{
  static char page[CONTENT_CLIPPED_BYTES + 1];
  const struct content content = {.text = PARLEY_LIT("x"), .html = {page, sizeof page}};
  parley_capabilities caps = mail;
  struct fitted fitted;
  const char *code = NULL;

  memset(page, 'x', sizeof page);
  ck_assert_int_eq(fit_content(&content, &caps, arena, NULL, NULL, &fitted, &code), PARLEY_OK);
  ck_assert_uint_eq(fitted.n_degraded, 0); /* no e-mail channel */
  caps.channel_kind = "email";
  ck_assert_int_eq(fit_content(&content, &caps, arena, NULL, NULL, &fitted, &code), PARLEY_OK);
  ck_assert_uint_eq(fitted.n_degraded, 1);
  ck_assert_str_eq(fitted.degraded[0], "html_clipped");
}
END_TEST

START_TEST(media_that_is_too_large_goes_as_a_link)
{
  struct content_media media = {.id = 1, .type = PARLEY_LIT("image/png"), .total_bytes = 1001};
  struct content content = {.n_media = 1, .media = &media};
  struct fitted fitted;
  const char *code;

  ck_assert_int_eq(fit_content(&content, &chat, arena, link_of, NULL, &fitted, &code), PARLEY_OK);
  ck_assert_str_eq(fitted.degraded[0], "media_to_link");
  media.total_bytes = 1000;
  ck_assert_int_eq(fit_content(&content, &chat, arena, link_of, NULL, &fitted, &code), PARLEY_OK);
  ck_assert_uint_eq(fitted.n_degraded, 0);
  ck_assert_uint_eq(fitted.parts[0]->total_bytes, 1000);
  ck_assert(parley_text_is(fitted.parts[0]->media, "med_0000000000001"));
}
END_TEST

START_TEST(media_without_any_link_is_dropped)
{
  struct content_media media = {.id = 1, .type = PARLEY_LIT("image/png")};
  struct content content = {.text = PARLEY_LIT("T"), .n_media = 1, .media = &media};
  struct fitted fitted;
  const char *code;

  ck_assert_int_eq(fit_content(&content, &bare, arena, NULL, NULL, &fitted, &code), PARLEY_OK);
  ck_assert_uint_eq(fitted.n_parts, 1);
  ck_assert_str_eq(fitted.degraded[0], "media_dropped");
}
END_TEST

static const struct {
  uint32_t what;
  const char *code;
} refusals[] = {
    {PARLEY_PART_TEXT, "text_not_supported"},         {PARLEY_PART_HTML, NULL /* the text says the same */},
    {PARLEY_PART_MEDIA, "media_not_supported"},       {PARLEY_PART_BUTTONS, "buttons_not_supported"},
    {PARLEY_PART_LOCATION, "location_not_supported"}, {PARLEY_FEATURE_SUBJECT, "subject_not_supported"},
};

static struct content everything(struct content_media *media, struct content_button *button)
{
  *media = (struct content_media){.url = PARLEY_LIT("https://p/a.png")};
  *button = (struct content_button){.action = PARLEY_BUTTON_REPLY, .id = PARLEY_LIT("y"), .label = PARLEY_LIT("Yes")};
  return (struct content){.subject = PARLEY_LIT("S"),
                          .text = PARLEY_LIT("T"),
                          .html = PARLEY_LIT("<p>H</p>"),
                          .n_media = 1,
                          .media = media,
                          .n_buttons = 1,
                          .buttons = button,
                          .has_location = true};
}

START_TEST(what_a_channel_rejects_is_refused)
{
  struct content_media media;
  struct content_button button;
  struct content content = everything(&media, &button);
  const parley_feature no = {.size = sizeof(no), .what = refusals[_i].what, .level = PARLEY_LEVEL_REJECT};
  const parley_feature *const features[] = {&no, NULL};
  const parley_capabilities caps = {.size = sizeof(caps), .features = features};
  struct fitted fitted;
  const char *code = NULL;
  parley_status st = fit_content(&content, &caps, arena, NULL, NULL, &fitted, &code);

  ck_assert_int_eq(st, refusals[_i].code != NULL ? PARLEY_REJECTED : PARLEY_OK);
  if (refusals[_i].code != NULL)
    ck_assert_str_eq(code, refusals[_i].code);
  content.text = TEXT_EMPTY;
  if (refusals[_i].what == PARLEY_PART_HTML) {
    ck_assert_int_eq(fit_content(&content, &caps, arena, NULL, NULL, &fitted, &code), PARLEY_REJECTED);
    ck_assert_str_eq(code, "html_not_supported");
  }
}
END_TEST

START_TEST(what_a_channel_drops_is_noted)
{
  static const uint32_t whats[] = {PARLEY_PART_TEXT,    PARLEY_PART_HTML,     PARLEY_PART_MEDIA,
                                   PARLEY_PART_BUTTONS, PARLEY_PART_LOCATION, PARLEY_FEATURE_SUBJECT};
  static const char *const words[] = {"text_dropped",    "html_dropped",     "media_dropped",
                                      "buttons_dropped", "location_dropped", "subject_dropped"};
  struct content_media media;
  struct content_button button;
  struct content content = everything(&media, &button);
  parley_feature drop = {.size = sizeof(drop), .what = whats[_i], .level = PARLEY_LEVEL_DROP};
  const parley_feature *const features[] = {&drop, NULL};
  const parley_capabilities caps = {.size = sizeof(caps), .features = features};
  struct fitted fitted;
  const char *code = NULL;
  bool noted = false;

  if (whats[_i] == PARLEY_PART_HTML)
    content.text = TEXT_EMPTY;
  if (whats[_i] == PARLEY_PART_TEXT) { /* nothing is left then */
    ck_assert_int_eq(fit_content(&content, &caps, arena, NULL, NULL, &fitted, &code), PARLEY_REJECTED);
    ck_assert_str_eq(code, "nothing_left");
    return;
  }
  ck_assert_int_eq(fit_content(&content, &caps, arena, NULL, NULL, &fitted, &code), PARLEY_OK);
  for (size_t i = 0; i < fitted.n_degraded; i++)
    noted = noted || strcmp(fitted.degraded[i], words[_i]) == 0;
  ck_assert(noted);
}
END_TEST

/* --- segments of a text message
 * ---------------------------------------------------------------------------------------- */

#define EURO "\xe2\x82\xac"
#define SMILE "\xf0\x9f\x98\x80"
static json_t *vectors(void)
{
  json_error_t why;
  json_t *root = json_load_file(PARLEY_SOURCE_DIR "/tests/vectors/sms/segments.json", 0, &why);

  ck_assert_msg(root != NULL, "%s:%d: %s", why.source, why.line, why.text);
  return root;
}

/* [["a", 152], ["b", 1]] */
static void pieces_add(struct buf *to, const json_t *pieces)
{
  const json_t *piece;
  size_t i;

  json_array_foreach(pieces, i, piece)
    for (json_int_t n = json_integer_value(json_array_get(piece, 1)); n > 0; n--)
      buf_text(to, json_text(json_array_get(piece, 0)));
}

static void vector_check(const json_t *vector)
{
  const char *name = json_string_value(json_object_get(vector, "name"));
  const char *alphabet = json_string_value(json_object_get(vector, "alphabet"));
  const json_t *units = json_object_get(vector, "units");
  struct buf text = BUF_INIT(0), again = BUF_INIT(0);
  struct content content = {.n_media = 0};
  struct segments segments;
  struct fitted fitted;
  const char *code;

  pieces_add(&text, json_object_get(vector, "text"));
  content.text = buf_as_text(&text);
  ck_assert_int_eq(fit_content(&content, &sms, arena, NULL, NULL, &fitted, &code), PARLEY_OK);
  ck_assert_msg(fitted.n_parts == json_array_size(units), "%s: %zu parts", name, fitted.n_parts);
  for (size_t i = 0; i < fitted.n_parts; i++) {
    const parley_part *part = fitted.parts[i];
    size_t got = text_units(part->text, part->unit, SIZE_MAX);

    ck_assert_msg(strcmp(segments_alphabet(part->unit), alphabet) == 0, "%s: unit %u", name, part->unit);
    ck_assert_msg(got == (size_t)json_integer_value(json_array_get(units, i)), "%s: part %zu has %zu units", name, i, got);
    buf_text(&again, part->text);
  }
  ck_assert(text_eq(buf_as_text(&again), content.text)); /* nothing is lost */
  segments = segments_of(&fitted);
  ck_assert_msg(segments.count == fitted.n_parts && strcmp(segments_alphabet(segments.unit), alphabet) == 0, "%s", name);
  ck_assert_msg(segments_count(content.text, segments.unit) == fitted.n_parts, "%s: sent whole", name);
  buf_done(&text);
  buf_done(&again);
}

START_TEST(a_text_message_is_cut_as_phones_join_it)
{
  json_t *root = vectors(), *vector;
  size_t i;

  json_array_foreach(json_object_get(root, "cases"), i, vector)
    vector_check(vector);
  ck_assert_uint_gt(i, 30);
  json_decref(root);
}
END_TEST

static const struct {
  uint32_t unit, length_max, joined_max;
  const char *piece;
  size_t times, parts, last; /* last: units of the last part */
} edges[] = {
    {PARLEY_UNIT_GSM7, 160, 152, "a", 304, 2, 152}, /* a 16-bit reference */
    {PARLEY_UNIT_GSM7, 160, 152, "a", 305, 3, 1},
    {PARLEY_UNIT_GSM7, 160, 152, EURO, 81, 2, 10},   /* no half escape */
    {PARLEY_UNIT_UTF16, 70, 66, SMILE, 36, 2, 6},
    {PARLEY_UNIT_UTF16, 70, 66, "\xc5\xbe", 133, 3, 1},
    {PARLEY_UNIT_GSM7, 160, 153, "a", 64 * 153, 64, 153},
};

START_TEST(every_reference_has_its_own_edge)
{
  parley_feature feature = {.size = sizeof feature, .what = PARLEY_PART_TEXT, NATIVE, .unit = edges[_i].unit,
                            .length_max = edges[_i].length_max, .joined_max = edges[_i].joined_max, .count_max = FIT_PARTS_MAX};
  const parley_feature *const features[] = {&feature, NULL};
  const parley_capabilities caps = {.size = sizeof caps, .features = features};
  struct buf text = BUF_INIT(0);
  struct content content = {.n_media = 0};
  struct fitted fitted;
  const char *code = NULL;

  for (size_t i = 0; i < edges[_i].times; i++)
    buf_str(&text, edges[_i].piece);
  content.text = buf_as_text(&text);
  ck_assert_int_eq(fit_content(&content, &caps, arena, NULL, NULL, &fitted, &code), PARLEY_OK);
  ck_assert_uint_eq(fitted.n_parts, edges[_i].parts);
  ck_assert_uint_eq(text_units(fitted.parts[fitted.n_parts - 1]->text, edges[_i].unit, SIZE_MAX), edges[_i].last);
  buf_str(&text, edges[_i].piece);
  content.text = buf_as_text(&text);
  if (edges[_i].parts == FIT_PARTS_MAX) { /* one more does not fit into as many as there may be */
    ck_assert_int_eq(fit_content(&content, &caps, arena, NULL, NULL, &fitted, &code), PARLEY_REJECTED);
    ck_assert_str_eq(code, "text_too_long");
  }
  buf_done(&text);
}
END_TEST

START_TEST(one_part_may_be_longer_than_a_piece_of_several)
{
  const parley_feature one = {.size = sizeof one, .what = PARLEY_PART_TEXT, NATIVE, .unit = PARLEY_UNIT_GSM7, .length_max = 160,
                              .joined_max = 153};
  const parley_feature *const features[] = {&one, &ucs, NULL};
  const parley_capabilities caps = {.size = sizeof caps, .features = features};
  struct buf text = BUF_INIT(0);
  struct content content = {.n_media = 0};
  struct fitted fitted;
  const char *code = NULL;

  for (int i = 0; i < 160; i++)
    buf_char(&text, 'a');
  content.text = buf_as_text(&text);
  ck_assert_int_eq(fit_content(&content, &caps, arena, NULL, NULL, &fitted, &code), PARLEY_OK);
  ck_assert_uint_eq(fitted.n_parts, 1);
  text.len -= 3;
  buf_str(&text, "\xc5\xbe"); /* what stands behind the last piece counts for the alphabet */
  content.text = buf_as_text(&text);
  ck_assert_int_eq(fit_content(&content, &caps, arena, NULL, NULL, &fitted, &code), PARLEY_OK);
  ck_assert_uint_eq(fitted.n_parts, 3);
  ck_assert_uint_eq(fitted.parts[0]->unit, PARLEY_UNIT_UTF16);
  buf_done(&text);
}
END_TEST

START_TEST(a_text_of_a_hundred_thousand_letters_is_counted)
{
  enum { LETTERS = 100000 };
  struct buf text = BUF_INIT(0);
  struct content content = {.n_media = 0};
  struct fitted fitted;
  const char *code = NULL;

  for (int i = 0; i < LETTERS; i++)
    buf_char(&text, 'a');
  content.text = buf_as_text(&text);
  ck_assert_uint_eq(segments_count(content.text, PARLEY_UNIT_GSM7), (LETTERS + 152) / 153);
  ck_assert_uint_eq(segments_count(content.text, PARLEY_UNIT_UTF16), (LETTERS + 66) / 67);
  ck_assert_int_eq(fit_content(&content, &sms, arena, NULL, NULL, &fitted, &code), PARLEY_REJECTED);
  ck_assert_str_eq(code, "text_too_long");
  ck_assert_int_eq(fit_content(&content, &mail, arena, NULL, NULL, &fitted, &code), PARLEY_OK);
  ck_assert_uint_eq(segments_of(&fitted).count, (LETTERS + 152) / 153); /* a channel that sends it whole */
  buf_done(&text);
}
END_TEST

/* --- plain characters ---------------------------------------------------------------------------------------------- */

static const struct {
  const char *text, *want;
  uint32_t unit;
} plains[] = {
    {"\u201cIt\u2019s here\u201d \u2013 \u2026", "\"It's here\" - ...", PARLEY_UNIT_GSM7},
    {"\u2022 Caf\u00e9\u00a0\u20ac\u202f5", "- Caf\u00e9 \u20ac 5", PARLEY_UNIT_GSM7}, /* accents stay */
    {"so\u00adft\u200b\ufeff", "soft", PARLEY_UNIT_GSM7},
    {"it's", "it's", PARLEY_UNIT_GSM7},
    {"it\u2019s \u0107", "it\u2019s \u0107", PARLEY_UNIT_UTF16}, /* it would not fit all the same: nothing is touched */
    {"col\u00b7legi\u2026", "col\u00b7legi\u2026", PARLEY_UNIT_UTF16},
    {"\u200b\u00ad", "\u200b\u00ad", PARLEY_UNIT_UTF16}, /* nothing would be left */
};

START_TEST(typographic_characters_become_plain_where_that_helps)
{
  parley_capabilities caps = sms;
  const struct content content = {.text = parley_text_of(plains[_i].text)};
  bool changes = strcmp(plains[_i].text, plains[_i].want) != 0;
  struct fitted fitted;
  const char *code;

  ck_assert_int_eq(fit_content(&content, &caps, arena, NULL, NULL, &fitted, &code), PARLEY_OK);
  ck_assert(text_eq(fitted.parts[0]->text, content.text) && fitted.n_degraded == 0); /* not unless the channel says so */
  caps.flags = PARLEY_SIMPLIFY;
  ck_assert_int_eq(fit_content(&content, &caps, arena, NULL, NULL, &fitted, &code), PARLEY_OK);
  ck_assert_msg(parley_text_is(fitted.parts[0]->text, plains[_i].want), "%.*s", TEXT_ARG(fitted.parts[0]->text));
  ck_assert_uint_eq(fitted.parts[0]->unit, plains[_i].unit);
  ck_assert_uint_eq(fitted.n_degraded, changes);
  if (changes)
    ck_assert_str_eq(fitted.degraded[0], "text_simplified");
}
END_TEST

START_TEST(every_plain_character_is_in_the_small_alphabet)
{
  for (uint32_t code = 0; code <= 0x10ffff; code++) {
    const char *plain = code_plain(code);

    if (plain == NULL)
      continue;
    ck_assert_msg(text_unit_holds(parley_text_of(plain), PARLEY_UNIT_GSM7), "U+%04X", code);
    ck_assert_msg(code_units(code, PARLEY_UNIT_GSM7) == 0, "U+%04X is in it itself", code);
  }
}
END_TEST

START_TEST(the_alphabet_is_that_of_the_standard)
{
  FILE *file = fopen(PARLEY_SOURCE_DIR "/tests/vectors/sms/gsm0338.tsv", "r");
  uint32_t want[0x10000] = {0};
  char line[64];
  int n = 0;

  ck_assert_ptr_nonnull(file);
  while (fgets(line, sizeof line, file) != NULL) {
    unsigned long code;
    char *tab = strchr(line, '\t');

    if (line[0] == '#' || tab == NULL)
      continue;
    code = strtoul(tab + 3, NULL, 16); /* "1B65<tab>U+20AC" */
    want[code] = tab - line > 2 ? 2 : 1;
    n++;
  }
  fclose(file);
  ck_assert_int_ge(n, 137);
  want[0x1b] = 0; /* the escape itself is no character */
  for (uint32_t code = 0; code < COUNT_OF(want); code++)
    ck_assert_msg(code_units(code, PARLEY_UNIT_GSM7) == want[code], "U+%04X", code);
}
END_TEST

/* --- prices ---------------------------------------------------------------------------------------------------------- */

static const parley_price to_all = {.size = sizeof to_all, .micros = 100000, .prefix = "", .currency = "EUR"};
static const parley_price to_spain = {.size = sizeof to_spain, .micros = 75000, .prefix = "+34", .currency = "EUR"};
static const parley_price to_mobiles = {.size = sizeof to_mobiles, .micros = 1250001, .prefix = "+346", .currency = "USD"};
static const parley_price nonsense = {.size = sizeof nonsense, .micros = INT64_MAX, .prefix = "+3460", .currency = "EUR"};
static const struct {
  const char *address;
  size_t segments;
  const char *want;
} prices[] = {
    {"+34911222333", 3, "{\"alphabet\":\"gsm7\",\"segments\":3,\"cost\":{\"amount\":\"0.225\",\"currency\":\"EUR\","
                        "\"per_segment\":\"0.075\",\"prefix\":\"+34\"}}"},
    {"+34600111222", 2, "{\"alphabet\":\"gsm7\",\"segments\":2,\"cost\":{\"amount\":\"2.500002\",\"currency\":\"USD\","
                        "\"per_segment\":\"1.250001\",\"prefix\":\"+346\"}}"},
    {"+447700900000", 5, "{\"alphabet\":\"gsm7\",\"segments\":5,\"cost\":{\"amount\":\"0.50\",\"currency\":\"EUR\","
                         "\"per_segment\":\"0.10\",\"prefix\":\"\"}}"},
};

START_TEST(the_longest_prefix_says_what_it_costs)
{
  static const parley_price *const list[] = {&to_spain, &to_all, &nonsense, &to_mobiles, NULL};
  static const parley_price *const few[] = {&to_spain, NULL};
  parley_capabilities caps = {.size = sizeof caps, .prices = list};
  const struct segments segments = {PARLEY_UNIT_GSM7, prices[_i].segments};
  struct buf said = BUF_INIT(0);

  buf_char(&said, '{');
  buf_segments(&said, &segments, price_of(&caps, parley_text_of(prices[_i].address)));
  buf_char(&said, '}');
  ck_assert_str_eq(said.at, prices[_i].want);
  buf_done(&said);
  caps.prices = few;
  ck_assert_ptr_null(price_of(&caps, PARLEY_LIT("+447700900000")));
  caps.size = offsetof(parley_capabilities, prices); /* of a plugin built before 1.3 */
  ck_assert_ptr_null(price_of(&caps, PARLEY_LIT("+34600111222")));
}
END_TEST

START_TEST(a_text_that_no_alphabet_holds_is_refused)
{
  static const parley_feature *const features[] = {&gsm, NULL};
  static const parley_capabilities caps = {.size = sizeof(caps), .features = features};
  struct content content = {.text = PARLEY_LIT("\xd0\x96")};
  struct fitted fitted;
  const char *code;

  ck_assert_int_eq(fit_content(&content, &caps, arena, NULL, NULL, &fitted, &code), PARLEY_REJECTED);
  ck_assert_str_eq(code, "text_not_supported");
}
END_TEST

#define FAMILY \
  "\xf0\x9f\x91\xa8\xe2\x80\x8d\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x91\xa7\xe2\x80\x8d\xf0\x9f\x91\xa6" /* 11 units, 25 bytes */
#define SPAIN "\xf0\x9f\x87\xaa\xf0\x9f\x87\xb8"                                                           /* 4 units */
static const struct {
  const char *text;
  uint32_t unit;
  size_t max;
  bool alone; /* the piece is shown by itself */
  size_t want;
} cuts[] = {
    {"", PARLEY_UNIT_BYTES, 5, false, 0},
    {"abc", PARLEY_UNIT_BYTES, 0, false, 0},
    {"abc", PARLEY_UNIT_BYTES, 3, true, 3},
    {"abcd", PARLEY_UNIT_BYTES, 3, true, 3},
    {EURO EURO, PARLEY_UNIT_BYTES, 5, false, 3},
    {EURO, PARLEY_UNIT_BYTES, 2, false, 0},
    {EURO EURO, PARLEY_UNIT_CODE_POINTS, 1, false, 3},
    {SMILE SMILE, PARLEY_UNIT_UTF16, 3, false, 4},
    {SMILE, PARLEY_UNIT_UTF16, 1, false, 0},
    {"a\r\nb", PARLEY_UNIT_BYTES, 2, true, 1},
    {"a\r\nb", PARLEY_UNIT_BYTES, 2, false, 2},
    {FAMILY FAMILY, PARLEY_UNIT_UTF16, 13, true, 25},
    {FAMILY FAMILY, PARLEY_UNIT_UTF16, 13, false, 29},
    {"a" SPAIN SPAIN, PARLEY_UNIT_UTF16, 7, true, 9},
    {"e\xcc\x81\xcc\x81", PARLEY_UNIT_UTF16, 2, true, 3}, /* a tower of accents is cut */
    {"ae\xcc\x81", PARLEY_UNIT_UTF16, 2, true, 1},
    {"one two three", PARLEY_UNIT_BYTES, 9, true, 8},
    {"one two three", PARLEY_UNIT_BYTES, 9, false, 9},
    {"one\ntwo three", PARLEY_UNIT_BYTES, 7, true, 4},
    {"o n\neeeeeeeeeee", PARLEY_UNIT_BYTES, 12, true, 12}, /* the last word of the first half is too far back */
    {"one two   three", PARLEY_UNIT_BYTES, 9, true, 9},
};

START_TEST(text_is_cut_where_it_may_be)
{
  parley_text text = parley_text_of(cuts[_i].text);
  size_t end = 0, got;
  struct pieces pieces = {.ends = &end};

  ck_assert(text_pieces(text, cuts[_i].unit, cuts[_i].max, 1, &pieces));
  ck_assert_uint_eq(pieces.units, text_units(text_sub(text, 0, end), cuts[_i].unit, SIZE_MAX));
  ck_assert_uint_eq(pieces.whole, end == text.len);
  got = cuts[_i].alone ? text_units_cut(text, cuts[_i].unit, cuts[_i].max) : end;


  ck_assert_msg(got == cuts[_i].want, "'%s' to %zu: %zu", cuts[_i].text, cuts[_i].max, got);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("message: fitting content to a channel");
  TCase *tcase = tcase_create("all");
  SRunner *runner;
  int failed;

  tcase_add_checked_fixture(tcase, set_up, tear_down);
  tcase_add_loop_test(tcase, content_becomes_what_the_channel_carries, 0, COUNT_OF(wholes));
  tcase_add_test(tcase, media_that_is_too_large_goes_as_a_link);
  tcase_add_test(tcase, a_page_that_gmail_clips_is_noted);
  tcase_add_test(tcase, media_without_any_link_is_dropped);
  tcase_add_loop_test(tcase, what_a_channel_rejects_is_refused, 0, COUNT_OF(refusals));
  tcase_add_loop_test(tcase, what_a_channel_drops_is_noted, 0, 6);
  tcase_add_test(tcase, a_text_message_is_cut_as_phones_join_it);
  tcase_add_loop_test(tcase, every_reference_has_its_own_edge, 0, COUNT_OF(edges));
  tcase_add_test(tcase, one_part_may_be_longer_than_a_piece_of_several);
  tcase_add_test(tcase, a_text_of_a_hundred_thousand_letters_is_counted);
  tcase_add_loop_test(tcase, typographic_characters_become_plain_where_that_helps, 0, COUNT_OF(plains));
  tcase_add_test(tcase, every_plain_character_is_in_the_small_alphabet);
  tcase_add_test(tcase, the_alphabet_is_that_of_the_standard);
  tcase_add_loop_test(tcase, the_longest_prefix_says_what_it_costs, 0, COUNT_OF(prices));
  tcase_add_test(tcase, a_text_that_no_alphabet_holds_is_refused);
  tcase_add_loop_test(tcase, text_is_cut_where_it_may_be, 0, COUNT_OF(cuts));
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed > 0;
}
