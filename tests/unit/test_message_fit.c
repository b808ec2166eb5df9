#include "core/base/alloc.h"
#include "core/base/text.h"
#include "core/message/fit.h"
#include "core/message/fit_text.h"
#include <check.h>
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
#define FAMILY                                                                                                       \
  "\xf0\x9f\x91\xa8\xe2\x80\x8d\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x91\xa7\xe2\x80\x8d\xf0\x9f\x91\xa6" /* 11 units \
                                                                                                          */
#define SPAIN "\xf0\x9f\x87\xaa\xf0\x9f\x87\xb8"                                                         /* 4 units */
static const struct {
  const char *what, *head, *unit;
  int times;
  const char *tail;
  uint32_t want_unit;
  size_t parts, units[3]; /* of each part, in its unit */
} segments[] = {
    {"a160", "", "a", 160, "", PARLEY_UNIT_GSM7, 1, {160}},
    {"a161", "", "a", 161, "", PARLEY_UNIT_GSM7, 2, {153, 8}},
    {"a306", "", "a", 306, "", PARLEY_UNIT_GSM7, 2, {153, 153}},
    {"a307", "", "a", 307, "", PARLEY_UNIT_GSM7, 3, {153, 153, 1}},
    {"euro80", "", EURO, 80, "", PARLEY_UNIT_GSM7, 1, {160}},
    {"euro81: no escape is cut", "", EURO, 81, "", PARLEY_UNIT_GSM7, 2, {152, 10}},
    {"escape on the edge", "", "a", 152, EURO "aaaaaaaaaaaaaaaaaaaa", PARLEY_UNIT_GSM7, 2, {152, 22}},
    {"extension table", "", "[\\]^{|}~", 1, EURO "\f", PARLEY_UNIT_GSM7, 1, {20}},
    {"tab", "", "a\t", 1, "", PARLEY_UNIT_UTF16, 1, {2}},
    {"backtick", "", "`", 1, "", PARLEY_UNIT_UTF16, 1, {1}},
    {"crlf", "", "a\r\nb", 1, "", PARLEY_UNIT_GSM7, 1, {4}},
    {"greek",
     "",
     "\xce\x93\xce\x94\xce\x98\xce\x9b\xce\x9e\xce\xa0\xce\xa3\xce\xa6\xce\xa8\xce\xa9",
     1,
     "",
     PARLEY_UNIT_GSM7,
     1,
     {10}},
    {"greek that is Latin by look", "", "\xce\x91", 1, "", PARLEY_UNIT_UTF16, 1, {1}},
    {"upper c cedilla", "", "\xc3\x87", 1, "", PARLEY_UNIT_GSM7, 1, {1}},
    {"lower c cedilla", "", "\xc3\xa7", 1, "", PARLEY_UNIT_UTF16, 1, {1}},
    {"latin of Europe",
     "",
     "\xc3\xa8\xc3\xa9\xc3\xb9\xc3\xac\xc3\xb2\xc3\x98\xc3\xb8\xc3\x85\xc3\xa5\xc3\x86\xc3\xa6\xc3\x9f\xc3\x89",
     1,
     "\xc3\x84\xc3\x96\xc3\x91\xc3\x9c\xc2\xa7\xc2\xbf\xc3\xa4\xc3\xb6\xc3\xb1\xc3\xbc\xc3\xa0\xc2\xa1\xc2\xa3\xc2\xa5"
     "\xc2\xa4_@$",
     PARLEY_UNIT_GSM7,
     1,
     {31}},
    {"ucs70", "", "\xd0\x96", 70, "", PARLEY_UNIT_UTF16, 1, {70}},
    {"ucs71", "", "\xd0\x96", 71, "", PARLEY_UNIT_UTF16, 2, {67, 4}},
    {"ucs135", "", "\xd0\x96", 135, "", PARLEY_UNIT_UTF16, 3, {67, 67, 1}},
    {"emoji35", "", SMILE, 35, "", PARLEY_UNIT_UTF16, 1, {70}},
    {"emoji36: no surrogate pair is cut", "", SMILE, 36, "", PARLEY_UNIT_UTF16, 2, {66, 6}},
    {"families stay together", "", FAMILY, 10, "", PARLEY_UNIT_UTF16, 2, {66, 44}},
    {"flags stay together", "a", SPAIN, 20, "", PARLEY_UNIT_UTF16, 2, {65, 16}},
    {"an accent stays with its letter",
     "",
     "\xd0\x96",
     66,
     "e\xcc\x81\xd0\x96\xd0\x96\xd0\x96",
     PARLEY_UNIT_UTF16,
     2,
     {66, 5}},
    {"but a tower of accents is cut", "e", "\xcc\x81", 80, "", PARLEY_UNIT_UTF16, 2, {67, 14}},
};

START_TEST(a_text_message_is_cut_as_phones_join_it)
{
  struct buf text = BUF_INIT(0), again = BUF_INIT(0);
  struct content content = {.n_media = 0};
  struct fitted fitted;
  const char *code;

  buf_str(&text, segments[_i].head);
  for (int i = 0; i < segments[_i].times; i++)
    buf_str(&text, segments[_i].unit);
  buf_str(&text, segments[_i].tail);
  content.text = buf_as_text(&text);
  ck_assert_int_eq(fit_content(&content, &sms, arena, NULL, NULL, &fitted, &code), PARLEY_OK);
  ck_assert_msg(fitted.n_parts == segments[_i].parts, "%s: %zu parts", segments[_i].what, fitted.n_parts);
  for (size_t i = 0; i < fitted.n_parts; i++) {
    const parley_part *part = fitted.parts[i];
    size_t units = text_units(part->text, part->unit, SIZE_MAX);

    ck_assert_msg(part->unit == segments[_i].want_unit, "%s: unit %u", segments[_i].what, part->unit);
    ck_assert_msg(units == segments[_i].units[i], "%s: part %zu has %zu units", segments[_i].what, i, units);
    buf_text(&again, part->text);
  }
  ck_assert(text_eq(buf_as_text(&again), content.text)); /* nothing is lost */
  buf_done(&text);
  buf_done(&again);
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

static const struct {
  const char *text;
  uint32_t unit;
  size_t max;
  bool words;
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
    {"a\r\nb", PARLEY_UNIT_BYTES, 2, false, 1},
    {"one two three", PARLEY_UNIT_BYTES, 9, true, 8},
    {"one two three", PARLEY_UNIT_BYTES, 9, false, 9},
    {"one\ntwo three", PARLEY_UNIT_BYTES, 7, true, 4},
    {"o n\neeeeeeeeeee", PARLEY_UNIT_BYTES, 12, true, 12}, /* the last word of the first half is too far back */
    {"one two   three", PARLEY_UNIT_BYTES, 9, true, 9},
};

START_TEST(text_is_cut_where_it_may_be)
{
  size_t got = text_units_cut(parley_text_of(cuts[_i].text), cuts[_i].unit, cuts[_i].max, cuts[_i].words);

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
  tcase_add_loop_test(tcase, a_text_message_is_cut_as_phones_join_it, 0, COUNT_OF(segments));
  tcase_add_test(tcase, a_text_that_no_alphabet_holds_is_refused);
  tcase_add_loop_test(tcase, text_is_cut_where_it_may_be, 0, COUNT_OF(cuts));
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed > 0;
}
