/* An event as a mail to the support mailbox, and an owner's mail as an answer. */
#include "core/base/alloc.h"
#include "core/base/text.h"
#include "core/bridge/bridge_mail.h"
#include <check.h>
#include <string.h>

static const parley_text owners[] = {{"owner@shop.example", 18}, {"Ana@shop.example", 16}};
static const parley_text only_chat[] = {{"chat", 4}};
static const uint8_t secret[SHA256_BYTES] = {7};

#define CONVERSATION "cnv_01KAM2Z8Q3XWA"
#define WHO                                                                                                            \
  "\"customer\":{\"id\":\"cus_01KAM2Z8Q3XWA\",\"name\":\"Ana\",\"identities\":[{\"id\":\"idn_01KAM2Z8Q3XWA\","                \
  "\"kind\":\"%s\",\"value\":\"%s\"}]}"
#define TALK "\"conversation\":{\"id\":\"" CONVERSATION "\",\"subject\":null}"
#define WORDS                                                                                                          \
  "\"id\":\"msg_01KAM2Z8Q3XWB\",\"direction\":\"in\",\"kind\":\"content\",\"channel\":\"chat\","                               \
  "\"identity\":\"idn_01KAM2Z8Q3XWA\",\"conversation\":\"" CONVERSATION "\""

static struct bridge_mail mail_of(struct arena *arena, const struct conf_bridge *conf, const char *json)
{
  struct bridge_look look = {
      .conf = conf, .public_url = PARLEY_LIT("https://shop.example"), .secret = secret, .now_ms = INT64_C(1700000000000)};
  struct bridge_mail mail;
  struct problems problems;
  json_t *event;

  problems_init(&problems, arena);
  event = json_read(parley_text_of(json), &problems);
  ck_assert_msg(event != NULL, "%s", problems.count > 0 ? problems.rows[0].detail.at : "");
  bridge_mail_read(event, &look, arena, &mail);
  json_decref(event);
  return mail;
}

static struct conf_bridge desk(void)
{
  return (struct conf_bridge){.name = PARLEY_LIT("desk"), .channel = PARLEY_LIT("mail"), .topic = TEXT_EMPTY,
                              .to = PARLEY_LIT("support@shop.example"), .n_owners = 2, .owners = owners};
}

static struct bridge_mail received(struct arena *arena, const struct conf_bridge *conf, const char *kind, const char *value,
                                   const char *message, const char *recent)
{
  struct buf json = BUF_INIT(0);
  struct bridge_mail mail;

  buf_str(&json, "{\"type\":\"message.received\",\"data\":{\"facts\":{},\"message\":{" WORDS ",");
  buf_str(&json, message);
  buf_str(&json, "}," TALK ",");
  buf_printf(&json, WHO, kind, value);
  buf_str(&json, ",\"recent\":[");
  buf_str(&json, recent);
  buf_str(&json, "]}}");
  mail = mail_of(arena, conf, json.at);
  buf_done(&json);
  return mail;
}

static void has(parley_text text, const char *words)
{
  ck_assert_msg(text_find_text(text, parley_text_of(words)) != SIZE_MAX, "no '%s' in: %.*s", words, TEXT_ARG(text));
}

START_TEST(a_customers_words_become_a_mail)
{
  struct arena *arena = arena_new();
  struct conf_bridge conf = desk();
  struct bridge_mail mail = received(
      arena, &conf, "phone", "+34600111222",
      "\"content\":{\"text\":\"And now?\\nStill here\",\"media\":[{\"id\":\"med_01KAM2Z8Q3XWA\",\"name\":\"a.png\"}]}",
      "{\"type\":\"message.received\",\"at\":\"2023-11-14T22:13:20.000Z\",\"message\":{\"id\":\"msg_01KAM2Z8Q3XWB\","
      "\"direction\":\"in\",\"conversation\":\"" CONVERSATION "\",\"content\":{\"text\":\"And now?\"}}},"
      "{\"type\":\"touchpoint.checkout\",\"at\":\"2023-11-14T22:13:19.000Z\",\"data\":{}},"
      "{\"type\":\"message.received\",\"at\":\"2023-11-14T22:13:18.000Z\",\"message\":{\"id\":\"msg_01KAM2Z8Q3XW0\","
      "\"direction\":\"in\",\"conversation\":\"" CONVERSATION "\","
      "\"content\":{\"subject\":\"Re: RE: The\\tlamp\",\"text\":\"first\"}}}");

  ck_assert_int_eq(mail.what, BRIDGE_MESSAGE);
  ck_assert(mail.conversation != 0);
  ck_assert_str_eq(mail.subject.at, "Ana: The lamp"); /* the conversation's first: the same in every mail, or the thread breaks */
  has(mail.text, "Ana wrote (chat):\n\nAnd now?\nStill here\n");
  has(mail.text, "a.png  https://shop.example/media/med_01KAM2Z8Q3XWA?e=");
  has(mail.text, "2023-11-14T22:13  touchpoint.checkout");
  has(mail.text, "2023-11-14T22:13  customer: first");
  has(mail.text, "phone +34600111222");
  ck_assert(text_starts(mail.text, BRIDGE_LINE));
  arena_free(&arena);
}
END_TEST

static const struct {
  const char *kind, *value, *message;
  bool wanted;
} words[] = {
    {"phone", "+34600111222", "\"content\":{\"text\":\"x\"}", true},
    {"email", "ana@example.org", "\"content\":{\"html\":\"<p>x</p>\"}", true},
    {"email", "SUPPORT@shop.example", "\"content\":{\"text\":\"x\"}", false},
    {"email", "ana@Shop.example", "\"content\":{\"text\":\"x\"}", false},
    {"webchat", "owner@shop.example", "\"content\":{\"text\":\"x\"}", true}, /* a name there, no address */
    {"phone", "+34600111222", "\"content\":{\"text\":\"x\"},\"automatic\":true", false},
    {"phone", "+34600111222", "\"content\":{\"text\":\"x\"},\"echo\":true", false},
};

START_TEST(what_is_bridged)
{
  struct arena *arena = arena_new();
  struct conf_bridge conf = desk();

  ck_assert_int_eq(received(arena, &conf, words[_i].kind, words[_i].value, words[_i].message, "").what == BRIDGE_MESSAGE,
                   words[_i].wanted);
  arena_free(&arena);
}
END_TEST

START_TEST(only_the_channels_that_are_named)
{
  struct arena *arena = arena_new();
  struct conf_bridge conf = desk();

  conf.n_only = 1;
  conf.only = only_chat;
  ck_assert_int_eq(received(arena, &conf, "phone", "+34", "\"content\":{\"text\":\"x\"}", "").what, BRIDGE_MESSAGE);
  conf.only = owners;
  ck_assert_int_eq(received(arena, &conf, "phone", "+34", "\"content\":{\"text\":\"x\"}", "").what, BRIDGE_NOTHING);
  arena_free(&arena);
}
END_TEST

static struct bridge_mail status_of(struct arena *arena, const char *status, const char *key)
{
  struct conf_bridge conf = desk();
  struct buf json = BUF_INIT(0);
  struct bridge_mail mail;

  buf_printf(&json, "{\"type\":\"message.status\",\"data\":{\"facts\":{\"status\":\"%s\"},\"message\":{\"id\":\"msg_01KAM2Z8Q3XWB\","
                    "\"direction\":\"out\",\"reason\":\"no_route\",\"key\":\"%s\",\"content\":{\"text\":\"It is coming\"}}," TALK ",",
             status, key);
  buf_printf(&json, WHO, "phone", "+34600111222");
  buf_str(&json, ",\"recent\":[]}}");
  mail = mail_of(arena, &conf, json.at);
  buf_done(&json);
  return mail;
}

START_TEST(a_lost_answer_is_told_and_nothing_else_that_goes_out)
{
  struct arena *arena = arena_new();
  struct bridge_mail mail = status_of(arena, "failed", "bridge:desk:answer:00ff");

  ck_assert_int_eq(mail.what, BRIDGE_FAILURE);
  has(mail.text, "Your answer to Ana was not delivered: failed, no_route.");
  has(mail.text, "It is coming");
  ck_assert_int_eq(status_of(arena, "sent", "bridge:desk:answer:00ff").what, BRIDGE_NOTHING);
  ck_assert_int_eq(status_of(arena, "failed", "bridge:other:answer:00ff").what, BRIDGE_NOTHING);
  ck_assert_int_eq(status_of(arena, "failed", "bridge:desk:evt_01KAM2Z8Q3XWA").what, BRIDGE_LOST);
  ck_assert_int_eq(status_of(arena, "failed", "bridge:desk:answer:00ff:told").what, BRIDGE_LOST); /* told again it would be for ever */
  ck_assert_int_eq(status_of(arena, "failed", "order-1042").what, BRIDGE_NOTHING);
  ck_assert_int_eq(mail_of(arena, &(struct conf_bridge){.name = PARLEY_LIT("desk")}, "{\"type\":7,\"data\":[]}").what, BRIDGE_NOTHING);
  arena_free(&arena);
}
END_TEST

static const struct {
  const char *first, *second;
  uint32_t first_kind, second_flags;
  const char *want;
} answers[] = {
    {"It is coming.\r\n", "> Where is it?", PARLEY_PART_TEXT, PARLEY_PART_QUOTED, "It is coming."},
    {"One", "Two", PARLEY_PART_TEXT, 0, "One\n\nTwo"},
    {"Yes.\n\n> " BRIDGE_LINE "\n> Ana wrote", "", PARLEY_PART_TEXT, PARLEY_PART_QUOTED, "Yes."},
    {"Between:\n> " BRIDGE_LINE "\n > Ana wrote\nand below\n>\n", "x", PARLEY_PART_TEXT, PARLEY_PART_QUOTED, "Between:\nand below"},
    {BRIDGE_LINE "\nbelow", "x", PARLEY_PART_TEXT, PARLEY_PART_QUOTED, ""},
    {"Yes.\n\nKlo 10 Shop <reply+0123token@x>\nkirjoitti:\n> " BRIDGE_LINE "\n> Ana wrote", "", PARLEY_PART_TEXT, PARLEY_PART_QUOTED,
     "Yes.\n\nkirjoitti:"},
    {"Yes.\nLähettäjä: reply+0123token@x\n" BRIDGE_LINE "\nAna wrote", "", PARLEY_PART_TEXT, PARLEY_PART_QUOTED, "Yes."},
    {"<p>Yes.</p>Klo 10 reply+0123token@x", "> x", PARLEY_PART_HTML, PARLEY_PART_QUOTED, "Yes."},
    {"<p>In <b>HTML</b></p>", "> x", PARLEY_PART_HTML, PARLEY_PART_QUOTED, "In HTML"},
};

START_TEST(an_answer_is_what_the_owner_wrote)
{
  struct arena *arena = arena_new();
  const parley_part first = {.size = sizeof first, .kind = answers[_i].first_kind, .text = parley_text_of(answers[_i].first)},
                    second = {.size = sizeof second, .kind = PARLEY_PART_TEXT, .flags = answers[_i].second_flags,
                              .text = parley_text_of(answers[_i].second)};
  const parley_part *parts[] = {&first, &second};
  parley_inbound in = {.size = sizeof in, .n_parts = 2, .parts = parts, .token = PARLEY_LIT("0123token")};
  struct buf content = BUF_INIT(0);

  ck_assert_str_eq(arena_text(arena, bridge_answer_text(&in, arena)).at, answers[_i].want);
  ck_assert_int_eq(buf_bridge_answer(&content, &in, arena), answers[_i].want[0] != '\0');
  buf_done(&content);
  arena_free(&arena);
}
END_TEST

START_TEST(a_key_is_one_answers_alone)
{
  struct buf a = BUF_INIT(0), b = BUF_INIT(0);

  buf_bridge_answer_key(&a, PARLEY_LIT("desk"), 7, PARLEY_LIT("<a@x>"));
  buf_bridge_answer_key(&b, PARLEY_LIT("desk"), 7, PARLEY_LIT("<a@x>"));
  ck_assert_str_eq(a.at, b.at);
  buf_clear(&b);
  buf_bridge_answer_key(&b, PARLEY_LIT("desk"), 8, PARLEY_LIT("<a@x>")); /* the same mail to two conversations */
  ck_assert_str_ne(a.at, b.at);
  ck_assert(text_starts(buf_as_text(&a), "bridge:desk:answer:"));
  buf_done(&a);
  buf_done(&b);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("bridge_mail");
  TCase *tcase = tcase_create("all");
  SRunner *runner;
  int failed;

  tcase_add_test(tcase, a_customers_words_become_a_mail);
  tcase_add_loop_test(tcase, what_is_bridged, 0, COUNT_OF(words));
  tcase_add_test(tcase, only_the_channels_that_are_named);
  tcase_add_test(tcase, a_lost_answer_is_told_and_nothing_else_that_goes_out);
  tcase_add_loop_test(tcase, an_answer_is_what_the_owner_wrote, 0, COUNT_OF(answers));
  tcase_add_test(tcase, a_key_is_one_answers_alone);
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? 0 : 1;
}
