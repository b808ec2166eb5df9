#include "core/base/alloc.h"
#include "core/base/text.h"
#include "core/message/content.h"
#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct arena *arena;
static struct problems problems;
static json_t *root;

static void set_up(void)
{
  arena = arena_new();
  problems_init(&problems, arena);
  root = NULL;
}

static void tear_down(void)
{
  json_decref(root);
  arena_free(&arena);
}

#define ck_text_eq(text, want) ck_assert_msg(parley_text_is(text, want), "'%.*s' is not '%s'", TEXT_ARG(text), want)

static bool read(const char *body, struct content *ret)
{
  struct json_in in;

  root = json_read(parley_text_of(body), &problems);
  ck_assert_msg(root != NULL, "%s", body);
  ck_assert(json_in_root(root, arena, &problems, &in));
  return content_read(&in, ret);
}

#define WHOLE                                                                                               \
  "{\"subject\":\"Order 1042\",\"text\":\"Thank you\",\"html\":\"<p>Thank you</p>\","                       \
  "\"media\":[{\"id\":\"med_01KAM2Z8Q3XWA\",\"type\":\"image/png\",\"name\":\"a.png\",\"caption\":\"A\","   \
  "\"inline\":true},{\"url\":\"https://shop.example/b.pdf\"}],"                                             \
  "\"buttons\":[{\"label\":\"Yes\",\"id\":\"y\"},{\"label\":\"Track\",\"url\":\"https://shop.example/t\"}," \
  "{\"label\":\"Call\",\"phone\":\"+34600111222\"}],"                                                       \
  "\"location\":{\"latitude\":40.4168,\"longitude\":-3.7038,\"name\":\"Shop\",\"address\":\"Gran Via 1\"}," \
  "\"channels\":{\"sms\":{\"text\":\"Thanks\"},\"mail-2\":{\"subject\":\"S\",\"media\":[],"                               \
  "\"headers\":{\"X-Campaign\":\"spring\",\"feedback-id\":\"a:b\"}}}}"

START_TEST(content_is_read_and_written_back)
{
  struct content content;
  struct buf buf = BUF_INIT(0);

  ck_assert(read(WHOLE, &content));
  ck_text_eq(content.subject, "Order 1042");
  ck_assert_uint_eq(content.n_media, 2);
  ck_assert_uint_ne(content.media[0].id, 0);
  ck_assert(content.media[0].inline_cid && !content.media[1].inline_cid);
  ck_assert_uint_eq(content.n_buttons, 3);
  ck_assert_uint_eq(content.buttons[1].action, PARLEY_BUTTON_URL);
  ck_text_eq(content.buttons[2].target, "+34600111222");
  ck_assert(content.has_location && content.latitude == 40.4168 && content.longitude == -3.7038);
  ck_assert_uint_eq(content.n_overrides, 2);
  buf_content(&buf, &content, 0);
  ck_assert_str_eq(buf.at, WHOLE);
  buf_done(&buf);
}
END_TEST

#define OWN(headers) "{\"text\":\"x\",\"channels\":{\"mail\":{\"headers\":{" headers "}}}}"

START_TEST(what_is_written_is_cut_at_whole_code_points)
{
  struct content content;
  struct buf buf = BUF_INIT(0);

  ck_assert(read("{\"text\":\"ab\xc3\xa9"
                 "cd\",\"html\":\"<p>x</p>\"}",
                 &content));
  buf_content(&buf, &content, 3);
  ck_assert_str_eq(buf.at, "{\"text\":\"ab\",\"html\":\"<p>\"}");
  buf_done(&buf);
}
END_TEST

static const struct {
  const char *body, *pointer, *code;
} bad[] = {
    {"{}", "", "empty_content"},
    {"{\"text\":\"\"}", "", "empty_content"},
    {"{\"text\":\" \\r\\n\\t\\u0001\\u007f\"}", "", "empty_content"},
    {"{\"subject\":\"Hi\"}", "", "empty_content"},
    {"{\"buttons\":[{\"label\":\"Yes\"}]}", "", "empty_content"},
    {"{\"media\":[]}", "", "empty_content"},
    {"{\"channels\":{\"sms\":{\"subject\":\"x\"}}}", "", "empty_content"},
    {"{\"text\":\"x\",\"subject\":\"Hi\\r\\nBcc: x@y\"}", "/subject", "header_injection"},
    {"{\"text\":\"x\",\"subject\":\"Hi\\nX\"}", "/subject", "header_injection"},
    {"{\"text\":\"x\",\"subject\":\"Hi\\u0007\"}", "/subject", "header_injection"},
    {"{\"text\":7}", "/text", "wrong_type"},
    {"{\"text\":\"x\",\"txt\":\"y\"}", "/txt", "unknown_field"},
    {"{\"text\":\"x\",\"media\":{}}", "/media", "wrong_type"},
    {"{\"text\":\"x\",\"media\":[7]}", "/media/0", "wrong_type"},
    {"{\"text\":\"x\",\"media\":[{}]}", "/media/0", "bad_media"},
    {"{\"media\":[{\"id\":\"med_01KAM2Z8Q3XWA\",\"url\":\"https://x.example/\"}]}", "/media/0", "bad_media"},
    {"{\"media\":[{\"id\":\"msg_01KAM2Z8Q3XWA\"}]}", "/media/0/id", "bad_id"},
    {"{\"media\":[{\"url\":\"http://x.example/\"}]}", "/media/0/url", "bad_url"},
    {"{\"media\":[{\"url\":\"file:///etc/passwd\"}]}", "/media/0/url", "bad_url"},
    {"{\"media\":[{\"url\":\"https://u:p@x.example/\"}]}", "/media/0/url", "bad_url"},
    {"{\"media\":[{\"url\":\"https:///x\"}]}", "/media/0/url", "bad_url"},
    {"{\"media\":[{\"url\":\"https://x.example/a b\"}]}", "/media/0/url", "bad_url"},
    {"{\"media\":[{\"url\":\"https://x.example/\",\"type\":\"png\"}]}", "/media/0/type", "bad_type"},
    {"{\"media\":[{\"url\":\"https://x.example/\",\"type\":\"image/png; a=b\"}]}", "/media/0/type", "bad_type"},
    {"{\"media\":[{\"url\":\"https://x.example/\",\"name\":\"a\\nb\"}]}", "/media/0/name", "control_character"},
    {"{\"media\":[{\"url\":\"https://x.example/\",\"inline\":true}]}", "/media/0/inline", "bad_media"},
    {"{\"media\":[{\"url\":\"https://x.example/\",\"size\":1}]}", "/media/0/size", "unknown_field"},
    {"{\"text\":\"x\",\"buttons\":[{\"label\":\" \"}]}", "/buttons/0/label", "bad_button"},
    {"{\"text\":\"x\",\"buttons\":[{\"id\":\"a\"}]}", "/buttons/0/label", "bad_button"},
    {"{\"text\":\"x\",\"buttons\":[{\"label\":\"A\",\"id\":\"a\",\"url\":\"https://x.example\"}]}", "/buttons/0",
     "bad_button"},
    {"{\"text\":\"x\",\"buttons\":[{\"label\":\"A\",\"url\":\"javascript:alert(1)\"}]}", "/buttons/0/url", "bad_url"},
    {"{\"text\":\"x\",\"buttons\":[{\"label\":\"A\",\"url\":\"//host\"}]}", "/buttons/0/url", "bad_url"},
    {"{\"text\":\"x\",\"buttons\":[{\"label\":\"A\",\"url\":\"http:/host\"}]}", "/buttons/0/url", "bad_url"},
    {"{\"text\":\"x\",\"buttons\":[{\"label\":\"A\",\"phone\":\"600\"}]}", "/buttons/0/phone", "bad_phone"},
    {"{\"text\":\"x\",\"buttons\":[1,2,3,4,5,6,7,8,9,10,11]}", "/buttons", "too_many_items"},
    {"{\"location\":{\"latitude\":1}}", "/location", "bad_location"},
    {"{\"location\":{\"latitude\":91,\"longitude\":0}}", "/location/latitude", "out_of_range"},
    {"{\"location\":{\"latitude\":\"1\",\"longitude\":0}}", "/location/latitude", "wrong_type"},
    {"{\"text\":\"x\",\"channels\":{\"sms\":7}}", "/channels/sms", "wrong_type"},
    {"{\"text\":\"x\",\"channels\":{\"SMS\":{}}}", "/channels", "unknown_channel"},
    {"{\"text\":\"x\",\"channels\":{\"sms\":{\"channels\":{}}}}", "/channels/sms/channels", "unknown_field"},
    {"{\"text\":\"x\",\"channels\":{\"sms\":{\"subject\":\"a\\nb\"}}}", "/channels/sms/subject", "header_injection"},
    {"{\"text\":\"x\",\"headers\":{}}", "/headers", "unknown_field"},
    {OWN("\"X: y\":\"z\""), "/channels/mail/headers/X: y", "bad_header"},
    {OWN("\"\":\"z\""), "/channels/mail/headers/", "bad_header"},
    {OWN("\"X y\":\"z\""), "/channels/mail/headers/X y", "bad_header"},
    {OWN("\"X-\\u00fc\":\"z\""), "/channels/mail/headers/X-ü", "bad_header"},
    {OWN("\"X-A\":\"\""), "/channels/mail/headers/X-A", "bad_header"},
    {OWN("\"X-A\":7"), "/channels/mail/headers/X-A", "wrong_type"},
    {OWN("\"X-A\":\"a\\r\\nBcc: x@y\""), "/channels/mail/headers/X-A", "header_injection"},
    {OWN("\"Bcc\":\"x@y\""), "/channels/mail/headers/Bcc", "header_not_allowed"},
    {OWN("\"content-length\":\"1\""), "/channels/mail/headers/content-length", "header_not_allowed"},
    {OWN("\"Received\":\"x\""), "/channels/mail/headers/Received", "header_not_allowed"},
    {OWN("\"DKIM-Signature\":\"x\""), "/channels/mail/headers/DKIM-Signature", "header_not_allowed"},
    {OWN("\"Precedence\":\"bulk\""), "/channels/mail/headers/Precedence", "header_not_allowed"},
    {OWN("\"From\":\"x@y\""), "/channels/mail/headers/From", "header_not_allowed"},
    {OWN("\"X-Parley-Ref\":\"x\""), "/channels/mail/headers/X-Parley-Ref", "header_not_allowed"},
    {OWN("\"X-\":\"x\""), "/channels/mail/headers/X-", "header_not_allowed"},
    {OWN("\"X-A\":\"1\",\"x-a\":\"2\""), "/channels/mail/headers/x-a", "duplicate_header"},
};

START_TEST(bad_content_is_refused_at_its_place)
{
  struct content content;

  ck_assert_msg(!read(bad[_i].body, &content), "%s", bad[_i].body);
  ck_assert_uint_eq(problems.count, 1);
  ck_text_eq(problems.rows[0].pointer, bad[_i].pointer);
  ck_assert_str_eq(problems.rows[0].code, bad[_i].code);
}
END_TEST

/* text, html: bytes of them */
static const struct {
  size_t subject, text, html;
  const char *code;
} sizes[] = {
    {998, 1, 0, NULL},           {999, 1, 0, "too_long"},
    {0, (1 << 20), 0, NULL},     {0, (1 << 20) + 1, 0, "content_too_large"},
    {0, 1 << 19, 1 << 19, NULL}, {0, 1 << 19, (1 << 19) + 1, "content_too_large"},
    {9900000, 1, 0, "too_long"},
};

static void filled(struct buf *buf, const char *key, size_t bytes)
{
  if (bytes == 0)
    return;
  buf_json_key(buf, key);
  buf_char(buf, '"');
  for (size_t i = 0; i < bytes; i++)
    buf_char(buf, 'a');
  buf_char(buf, '"');
}

START_TEST(sizes_are_bounded)
{
  struct content content;
  struct buf buf = BUF_INIT(0);

  buf_char(&buf, '{');
  filled(&buf, "subject", sizes[_i].subject);
  filled(&buf, "text", sizes[_i].text);
  filled(&buf, "html", sizes[_i].html);
  buf_char(&buf, '}');
  ck_assert(read(buf.at, &content) == (sizes[_i].code == NULL));
  if (sizes[_i].code != NULL)
    ck_assert_str_eq(problems.rows[0].code, sizes[_i].code);
  buf_done(&buf);
}
END_TEST

static const struct {
  const char *given, *want;
} names[] = {
    {"../../etc/cron.d/x", "x"}, {"..\\\\x", "x"}, {"C:\\\\x.png", "x.png"}, {"/abs", "abs"},
    {"a.png", "a.png"},          {"a/", ""},
};

START_TEST(the_name_of_a_file_is_never_a_path)
{
  struct content content;
  char body[256];

  snprintf(body, sizeof(body), "{\"media\":[{\"url\":\"https://x.example/\",\"name\":\"%s\"}]}", names[_i].given);
  ck_assert(read(body, &content));
  ck_text_eq(content.media[0].name, names[_i].want);
}
END_TEST

START_TEST(a_button_with_a_label_alone_answers_with_it)
{
  struct content content;

  ck_assert(read("{\"text\":\"Come?\",\"buttons\":[{\"label\":\"Yes\"}]}", &content));
  ck_assert_uint_eq(content.buttons[0].action, PARLEY_BUTTON_REPLY);
  ck_text_eq(content.buttons[0].id, "Yes");
}
END_TEST

static const struct {
  const char *channel, *kind, *want;
} overrides[] = {
    {"sms-eu", "sms", "{\"subject\":\"S\",\"text\":\"for sms-eu\",\"html\":\"H\"}"},
    {"sms-us", "sms", "{\"subject\":\"S\",\"text\":\"for sms\",\"html\":\"\"}"},
    {"mail", "email", "{\"subject\":\"S\",\"text\":\"T\",\"html\":\"H\"}"},
    {"tg", "chat",
     "{\"subject\":\"S\",\"text\":\"T\",\"html\":\"H\",\"buttons\":[{\"label\":\"A\",\"id\":\"A\"}],"
     "\"location\":{\"latitude\":1,\"longitude\":2}}"},
};

START_TEST(an_override_lies_over_the_rest_member_by_member)
{
  struct content content, made;
  struct buf buf = BUF_INIT(0);

  ck_assert(read(
      "{\"subject\":\"S\",\"text\":\"T\",\"html\":\"H\",\"channels\":{\"sms\":{\"text\":\"for sms\",\"html\":\"\"},"
      "\"sms-eu\":{\"text\":\"for sms-eu\"},"
      "\"chat\":{\"buttons\":[{\"label\":\"A\"}],\"location\":{\"latitude\":1,\"longitude\":2}}}}",
      &content));
  made = content_for(&content, parley_text_of(overrides[_i].channel), overrides[_i].kind);
  buf_content(&buf, &made, 0);
  ck_assert_str_eq(buf.at, overrides[_i].want);
  buf_done(&buf);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("message: content");
  TCase *tcase = tcase_create("all");
  SRunner *runner;
  int failed;

  tcase_add_checked_fixture(tcase, set_up, tear_down);
  tcase_add_test(tcase, content_is_read_and_written_back);
  tcase_add_test(tcase, what_is_written_is_cut_at_whole_code_points);
  tcase_add_loop_test(tcase, bad_content_is_refused_at_its_place, 0, COUNT_OF(bad));
  tcase_add_loop_test(tcase, sizes_are_bounded, 0, COUNT_OF(sizes));
  tcase_add_loop_test(tcase, the_name_of_a_file_is_never_a_path, 0, COUNT_OF(names));
  tcase_add_test(tcase, a_button_with_a_label_alone_answers_with_it);
  tcase_add_loop_test(tcase, an_override_lies_over_the_rest_member_by_member, 0, COUNT_OF(overrides));
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed > 0;
}
