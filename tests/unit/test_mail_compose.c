// sources: plugins/email/mail_compose.c plugins/email/mail_head.c plugins/email/mail_address.c
// libraries: PkgConfig::GMIME PkgConfig::IDN
#include "email/mail_compose.h"
#include <check.h>
#include <gmime/gmime.h>
#include <stdio.h>
#include <stdlib.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define TOKEN "0123456789abcdefghjkmnpqrstv0"
#define REPLY_TOKEN "0123456789abcdefghjkmnpqrstv1"
#define LEAVE_TOKEN "0123456789abcdefghjkmnpqrstv2"
enum { HEADROOM = 100 };

static struct mail_composer *composer;
static struct mail_mailbox from, reply;
static bool with_reply;
static struct mail_address to;

static void begin(void)
{
  composer = mail_composer_new();
  ck_assert_int_eq(mail_mailbox_read(PARLEY_LIT("Tíenda, S.A. <orders@shop.example>"), &from), PARLEY_OK);
  ck_assert_int_eq(mail_address_read(PARLEY_LIT("ana@example.org"), &to), PARLEY_OK);
  ck_assert_int_eq(mail_mailbox_read(PARLEY_LIT("reply@in.shop.example"), &reply), PARLEY_OK);
  with_reply = false;
}

static void end(void)
{
  mail_composer_free(&composer);
}

#define PART(...) PARLEY_REF(parley_part, __VA_ARGS__)
static const parley_part text_part = {.size = sizeof text_part, .kind = PARLEY_PART_TEXT, .text = {"Hello Ana", 9}};
static const parley_part html_part = {.size = sizeof html_part, .kind = PARLEY_PART_HTML, .text = {"<p>Hello</p>", 12}};

static parley_message message_of(const parley_part *const *parts, uint32_t n)
{
  return (parley_message){.size = sizeof(parley_message),
                          .kind = PARLEY_KIND_CONTENT,
                          .id = PARLEY_LIT("msg_01KAM2Z8Q3XWA"),
                          .subject = PARLEY_LIT("Order 1042"),
                          .accepted_ms = INT64_C(1600000000123),
                          .handed_ms = INT64_C(1700000000123),
                          .n_parts = n,
                          .parts = parts};
}

static parley_status compose(const parley_message *message, struct mail *mail)
{
  const struct mail_source source = {
      .from = &from, .to = &to, .message = message, .reply = with_reply ? &reply : NULL, .headroom = HEADROOM};
  const char *why = NULL;
  parley_status st = mail_compose(composer, &source, mail, &why);

  ck_assert(st == PARLEY_OK || why != NULL);
  return st;
}

static bool has(const struct mail *mail, const char *words)
{
  return memmem(mail->at, mail->len, words, strlen(words)) != NULL;
}

/* Read back by a parser: the mail's structure as "mixed(alternative(plain html) octet-stream)". */
static void shape(GMimeObject *object, char *to_text, size_t room)
{
  size_t n = strlen(to_text);

  snprintf(to_text + n, room - n, "%s%s", n > 0 && to_text[n - 1] != '(' ? " " : "",
           g_mime_content_type_get_media_subtype(g_mime_object_get_content_type(object)));
  if (!GMIME_IS_MULTIPART(object))
    return;
  n = strlen(to_text);
  snprintf(to_text + n, room - n, "(");
  for (int i = 0; i < g_mime_multipart_get_count(GMIME_MULTIPART(object)); i++)
    shape(g_mime_multipart_get_part(GMIME_MULTIPART(object), i), to_text, room);
  n = strlen(to_text);
  snprintf(to_text + n, room - n, ")");
}

static GMimeMessage *read_back(const struct mail *mail)
{
  GMimeStream *stream = g_mime_stream_mem_new_with_buffer(mail->at, mail->len);
  GMimeParser *parser = g_mime_parser_new_with_stream(stream);
  GMimeMessage *read = g_mime_parser_construct_message(parser, NULL);

  g_object_unref(parser);
  g_object_unref(stream);
  ck_assert_ptr_nonnull(read);
  return read;
}

static void assert_shape(const struct mail *mail, const char *want)
{
  GMimeMessage *read = read_back(mail);
  char got[256] = "";

  shape(g_mime_message_get_mime_part(read), got, sizeof got);
  ck_assert_str_eq(got, want);
  g_object_unref(read);
}

START_TEST(text_alone_is_one_plain_part)
{
  const parley_part *parts[] = {&text_part};
  parley_message message = message_of(parts, 1);
  struct mail mail;

  ck_assert_int_eq(compose(&message, &mail), PARLEY_OK);
  assert_shape(&mail, "plain");
  ck_assert(has(&mail, "\r\nContent-Transfer-Encoding: 7bit\r\n\r\nHello Ana"));
  ck_assert(has(&mail, "\r\nSubject: Order 1042\r\n"));
  ck_assert(has(&mail, "\r\nTo: ana@example.org\r\n"));
  ck_assert(has(&mail, "\r\nDate: Tue, 14 Nov 2023 22:13:20 +0000\r\n"));
  ck_assert(has(&mail, "\r\nMessage-Id: <msg_01KAM2Z8Q3XWA@shop.example>\r\n"));
  ck_assert_str_eq(mail.id, "msg_01KAM2Z8Q3XWA@shop.example");
  ck_assert(!mail.eightbit);
  mail_done(&mail);
}
END_TEST

START_TEST(the_parts_stand_in_the_tree_where_readers_expect_them)
{
  const parley_part *logo =
      PART(.kind = PARLEY_PART_MEDIA, .flags = PARLEY_PART_INLINE, .type = PARLEY_LIT("image/png"),
           .name = PARLEY_LIT("logo.png"), .data = PARLEY_LIT("PNG"));
  const parley_part *bill = PART(.kind = PARLEY_PART_MEDIA, .type = PARLEY_LIT("application/pdf"),
                                 .name = PARLEY_LIT("factura nº 1.pdf"), .data = PARLEY_LIT("%PDF"));
  const parley_part *mail_in =
      PART(.kind = PARLEY_PART_MEDIA, .type = PARLEY_LIT("message/rfc822"), .data = PARLEY_LIT("x"));
  const struct {
    const parley_part *parts[4];
    uint32_t n;
    const char *want;
  } cases[] = {
      {{&text_part, &html_part}, 2, "alternative(plain html)"},
      {{&html_part}, 1, "html"},
      {{&html_part, logo}, 2, "related(html png)"},
      {{&text_part, bill}, 2, "mixed(plain pdf)"},
      {{bill}, 1, "mixed(pdf)"},
      {{&text_part, logo}, 2, "mixed(plain png)"},
      {{mail_in}, 1, "mixed(octet-stream)"},
      {{&text_part, &html_part, logo, bill}, 4, "mixed(alternative(plain related(html png)) pdf)"},
  };

  for (size_t i = 0; i < COUNT(cases); i++) {
    parley_message message = message_of(cases[i].parts, cases[i].n);
    struct mail mail;

    ck_assert_int_eq(compose(&message, &mail), PARLEY_OK);
    assert_shape(&mail, cases[i].want);
    if (i + 1 == COUNT(cases)) {
      ck_assert(has(&mail, "Content-Id: <logo.png>\r\n"));
      ck_assert(has(&mail, "filename*=")); /* RFC 2231 */
    }
    mail_done(&mail);
  }
}
END_TEST

START_TEST(two_attempts_have_the_same_bytes)
{
  const parley_part *parts[] = {&text_part, &html_part};
  parley_message message = message_of(parts, 2);
  struct mail first, second;

  ck_assert_int_eq(compose(&message, &first), PARLEY_OK);
  message.attempt = 2;
  message.resent = 1;
  ck_assert_int_eq(compose(&message, &second), PARLEY_OK);
  ck_assert_uint_eq(first.len, second.len);
  ck_assert_mem_eq(first.at, second.at, first.len);
  mail_done(&first);
  mail_done(&second);
}
END_TEST

static const char *const bodies[] = {
    "plain",
    "lone\nlf",
    "lone\rcr",
    "both\r\n\n\r",
    "año ñandú\n.\n",
    "привет мир",
    "tab\t\x01 control",
    ".\r\n.\r\n",
    "--=_msg_01KAM2Z8Q3XWA_1--\n",
    "From me",
    "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"};

/* The words come back as they were, but for their line ends; lines end by CRLF and stay short; nothing is 8-bit. */
START_TEST(any_text_comes_back_whole)
{
  char text[2048] = "";
  const parley_part *parts[] = {PART(.kind = PARLEY_PART_TEXT, .text = {text, 0}), &html_part};
  parley_part body = *parts[0];
  struct mail mail;
  size_t line = 0;

  for (int repeat = _i + 1 == COUNT(bodies) ? 15 : 1; repeat > 0; repeat--)
    strncat(text, bodies[_i], sizeof text - strlen(text) - 1);
  body.text.len = strlen(text);
  parts[0] = &body;
  for (uint32_t n = 1; n <= 2; n++) {
    parley_message message = message_of(parts, n);

    ck_assert_int_eq(compose(&message, &mail), PARLEY_OK);
    ck_assert(!mail.eightbit);
    for (size_t i = 0; i < mail.len; i++) {
      ck_assert(mail.at[i] != '\n' || mail.at[i - 1] == '\r');
      ck_assert(mail.at[i] != '\r' || (i + 1 < mail.len && mail.at[i + 1] == '\n'));
      line = mail.at[i] == '\n' ? 0 : line + 1;
      ck_assert_uint_le(line, 999);
    }
    if (n == 2)
      assert_shape(&mail, "alternative(plain html)");
    mail_done(&mail);
  }
}
END_TEST

static const struct {
  const char *subject;
  parley_status want;
} subjects[] = {
    {"Hi\r\nBcc: x@y", PARLEY_INVALID}, {"Hi\nthere", PARLEY_INVALID}, {"bad utf8 \xff", PARLEY_INVALID},
    {"plain", PARLEY_OK},               {"", PARLEY_OK},               {"Pedido – confirmación 📦", PARLEY_OK},
    {"=?utf-8?q?Bcc:=0A?=", PARLEY_OK},
};

START_TEST(a_subject_is_one_header)
{
  const parley_part *parts[] = {&text_part};
  parley_message message = message_of(parts, 1);
  GMimeMessage *read;
  struct mail mail;

  message.subject = parley_text_of(subjects[_i].subject);
  ck_assert_int_eq(compose(&message, &mail), subjects[_i].want);
  if (subjects[_i].want != PARLEY_OK)
    return;
  ck_assert(!has(&mail, "\nBcc:"));
  read = read_back(&mail);
  if (strchr(subjects[_i].subject, '=') == NULL && message.subject.len > 0)
    ck_assert_str_eq(g_mime_message_get_subject(read), subjects[_i].subject);
  g_object_unref(read);
  mail_done(&mail);
}
END_TEST

START_TEST(a_name_that_no_header_can_carry_is_left_out)
{
  const parley_part *parts[] = {&text_part};
  parley_message message = message_of(parts, 1);
  const parley_identity who = {.size = sizeof who, .name = PARLEY_LIT("Ana\r\nBcc: x@y")};
  struct mail mail;

  message.to = &who;
  ck_assert_int_eq(compose(&message, &mail), PARLEY_OK);
  ck_assert(!has(&mail, "Bcc"));
  mail_done(&mail);
}
END_TEST

START_TEST(the_recipient_is_greeted_by_name)
{
  const parley_part *parts[] = {&text_part};
  const parley_customer customer = {.size = sizeof customer, .name = PARLEY_LIT("Ana Diaz")};
  const parley_identity who = {.size = sizeof who, .name = PARLEY_LIT("Ana at work")};
  parley_message message = message_of(parts, 1);
  struct mail mail;

  message.customer = &customer;
  ck_assert_int_eq(compose(&message, &mail), PARLEY_OK);
  ck_assert(has(&mail, "\r\nTo: Ana Diaz <ana@example.org>\r\n"));
  mail_done(&mail);
  message.to = &who;
  ck_assert_int_eq(compose(&message, &mail), PARLEY_OK);
  ck_assert(has(&mail, "\r\nTo: Ana at work <ana@example.org>\r\n"));
  mail_done(&mail);
}
END_TEST

START_TEST(unsubscribe_and_thread_headers_are_exact)
{
  const parley_text thread[] = {PARLEY_LIT("a@b"), PARLEY_LIT("no id"), PARLEY_LIT("c@d")};
  const parley_part *parts[] = {&text_part};
  parley_message message = message_of(parts, 1);
  struct mail mail;

  message.unsubscribe_url =
      PARLEY_LIT("https://shop.example/u/0123456789012345678901234567890123456789012345678901234567890123456789");
  message.thread = thread;
  message.n_thread = 3;
  message.reply_to = PARLEY_LIT("c@d");
  message.reply_address = PARLEY_LIT("reply+x@shop.example");
  ck_assert_int_eq(compose(&message, &mail), PARLEY_OK);
  ck_assert(has(
      &mail, "\r\nList-Unsubscribe: <https://shop.example/u/01234567890123456789012345678901234567890123456789012345678"
             "90123456789>\r\n"));
  ck_assert(has(&mail, "\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"));
  ck_assert(has(&mail, "\r\nIn-Reply-To: <c@d>\r\nReferences: <a@b> <c@d>\r\n"));
  ck_assert(has(&mail, "\r\nReply-To: reply+x@shop.example\r\n"));
  mail_done(&mail);
  message.unsubscribe_url = PARLEY_LIT("https://shop.example/\r\nBcc: x");
  ck_assert_int_eq(compose(&message, &mail), PARLEY_INVALID);
}
END_TEST

START_TEST(the_date_of_a_host_that_tells_no_hand_over_is_that_of_the_accept)
{
  const parley_part *parts[] = {&text_part};
  parley_message message = message_of(parts, 1);
  struct mail mail;

  message.size = offsetof(parley_message, handed_ms);
  ck_assert_int_eq(compose(&message, &mail), PARLEY_OK);
  ck_assert(has(&mail, "\r\nDate: Sun, 13 Sep 2020 12:26:40 +0000\r\n"));
  mail_done(&mail);
}
END_TEST

START_TEST(the_token_stands_wherever_something_may_come_back)
{
  const parley_part *parts[] = {&text_part};
  parley_message message = message_of(parts, 1);
  struct mail mail;

  message.token = PARLEY_LIT(TOKEN);
  message.reply_token = PARLEY_LIT(REPLY_TOKEN);
  message.unsubscribe_token = PARLEY_LIT(LEAVE_TOKEN);
  message.unsubscribe_url = PARLEY_LIT("https://shop.example/u/1");
  ck_assert_int_eq(compose(&message, &mail), PARLEY_OK);
  ck_assert(has(&mail, "\r\nX-Parley-Ref: " TOKEN "\r\n") && !has(&mail, "Reply-To") && !has(&mail, "mailto:"));
  mail_done(&mail);
  with_reply = true;
  ck_assert_int_eq(compose(&message, &mail), PARLEY_OK);
  ck_assert(has(&mail, "<reply+" REPLY_TOKEN "@in.shop.example>"));
  ck_assert(has(
      &mail, "\r\nList-Unsubscribe: <https://shop.example/u/1>,\r\n <mailto:unsubscribe+" LEAVE_TOKEN "@in.shop.example>\r\n"));
  mail_done(&mail);
  message.token = message.reply_token = message.unsubscribe_token = PARLEY_LIT("a\r\nb");
  ck_assert_int_eq(compose(&message, &mail), PARLEY_OK);
  ck_assert(!has(&mail, "X-Parley-Ref") && !has(&mail, "Reply-To") && !has(&mail, "mailto:"));
  mail_done(&mail);
  message.token = PARLEY_LIT(TOKEN);
  message.size = offsetof(parley_message, reply_token); /* an older host: one token for all */
  ck_assert_int_eq(compose(&message, &mail), PARLEY_OK);
  ck_assert(has(&mail, "<reply+" TOKEN "@in.shop.example>") && has(&mail, "<mailto:unsubscribe+" TOKEN "@in.shop.example>"));
  mail_done(&mail);
  message.size = offsetof(parley_message, token); /* the oldest: none */
  ck_assert_int_eq(compose(&message, &mail), PARLEY_OK);
  ck_assert(!has(&mail, "X-Parley-Ref") && !has(&mail, "Reply-To") && !has(&mail, "mailto:"));
  mail_done(&mail);
}
END_TEST

static const struct {
  uint32_t class;
  const char *automatic, *list, *feedback;
} kinds[] = {
    {0, "\r\nAuto-Submitted: auto-generated\r\n", NULL, "\r\nFeedback-ID: news-y-m-s:other:shop-example\r\n"},
    {PARLEY_CLASS_CRITICAL, "Auto-Submitted: auto-generated", NULL, ":critical:"},
    {PARLEY_CLASS_CONVERSATION, NULL, NULL, NULL},
    {PARLEY_CLASS_TRANSACTIONAL, "Auto-Submitted: auto-generated", NULL, ":transactional:"},
    {PARLEY_CLASS_MARKETING, "Auto-Submitted: auto-generated", "\r\nList-Id: <news-y-m-s.shop.example>\r\n", ":marketing:"},
    {99, "Auto-Submitted: auto-generated", NULL, ":other:"},
};

START_TEST(a_mail_says_of_what_kind_it_is)
{
  const parley_part *parts[] = {&text_part};
  parley_message message = message_of(parts, 1);
  struct mail mail;

  message.topic = PARLEY_LIT("news.y m/s");
  message.topic_class = kinds[_i].class;
  ck_assert_int_eq(compose(&message, &mail), PARLEY_OK);
  ck_assert(kinds[_i].automatic != NULL ? has(&mail, kinds[_i].automatic) : !has(&mail, "Auto-Submitted"));
  ck_assert(kinds[_i].list != NULL ? has(&mail, kinds[_i].list) : !has(&mail, "List-Id"));
  ck_assert(kinds[_i].feedback != NULL ? has(&mail, kinds[_i].feedback) : !has(&mail, "Feedback-ID"));
  mail_done(&mail);
}
END_TEST

static const struct {
  const char *json, *want; /* NULL: refused */
} own[] = {
    {"{\"headers\":{\"X-Campaign\":\"spring\",\"Keywords\":\"año\"}}", "\r\nX-Campaign: spring\r\nKeywords: =?"},
    {"{\"headers\":{\"feedback-id\":\"mine\"}}", "\r\nfeedback-id: mine\r\n"},
    {"{\"headers\":{}}", "\r\nSubject: Order 1042\r\n"},
    {"{\"silent\":true}", "\r\nSubject: Order 1042\r\n"},
    {"{\"headers\":{\"X-A\":\"a\\r\\nBcc: x@y\"}}", NULL},
    {"{\"headers\":{\"Bcc\":\"x@y\"}}", NULL},
    {"{\"headers\":{\"Content-Type\":\"text/html\"}}", NULL},
    {"{\"headers\":{\"From\":\"x@y\"}}", NULL},
    {"{\"headers\":{\"X A\":\"x\"}}", NULL},
    {"{\"headers\":{\"X-A\":7}}", NULL},
    {"{\"headers\":", NULL},
};

START_TEST(headers_of_the_sender_stand_beside_ours)
{
  const parley_part *parts[] = {&text_part};
  parley_message message = message_of(parts, 1);
  struct mail mail;

  message.topic = PARLEY_LIT("orders");
  message.override_json = parley_text_of(own[_i].json);
  ck_assert_int_eq(compose(&message, &mail), own[_i].want != NULL ? PARLEY_OK : PARLEY_INVALID);
  if (own[_i].want == NULL)
    return;
  ck_assert(has(&mail, own[_i].want));
  ck_assert_int_eq(has(&mail, "feedback-id: mine"), !has(&mail, "Feedback-ID: orders"));
  mail_done(&mail);
}
END_TEST

START_TEST(what_is_put_before_a_mail_has_just_its_headroom)
{
  const parley_part *parts[] = {&text_part};
  parley_message message = message_of(parts, 1);
  char line[HEADROOM + 1];
  struct mail mail;

  memset(line, 'x', sizeof line);
  ck_assert_int_eq(compose(&message, &mail), PARLEY_OK);
  ck_assert(!mail_prepend(&mail, (parley_text){line, sizeof line}));
  ck_assert(mail_prepend(&mail, (parley_text){line, 60}) && mail_prepend(&mail, (parley_text){line, 40}));
  ck_assert(!mail_prepend(&mail, (parley_text){line, 1}));
  ck_assert(memcmp(mail.at, line, HEADROOM) == 0 && memcmp(mail.at + HEADROOM, "From: ", 6) == 0);
  mail_done(&mail);
}
END_TEST

START_TEST(without_an_answer_in_sight_the_newest_of_the_thread_is_meant)
{
  const parley_text thread[] = {PARLEY_LIT("a@b"), PARLEY_LIT("c@d")};
  const parley_part *parts[] = {&text_part};
  parley_message message = message_of(parts, 1);
  struct mail mail;

  message.thread = thread;
  message.n_thread = 2;
  ck_assert_int_eq(compose(&message, &mail), PARLEY_OK);
  ck_assert(has(&mail, "\r\nIn-Reply-To: <c@d>\r\nReferences: <a@b> <c@d>\r\n"));
  mail_done(&mail);
}
END_TEST

START_TEST(a_utf8_address_makes_eightbit_headers)
{
  const parley_part *parts[] = {&text_part};
  parley_message message = message_of(parts, 1);
  struct mail mail;

  ck_assert_int_eq(mail_address_read(PARLEY_LIT("用户@例子.测试"), &to), PARLEY_OK);
  ck_assert_int_eq(compose(&message, &mail), PARLEY_OK);
  ck_assert(mail.eightbit && has(&mail, "用户@xn--fsqu00a.xn--0zwm56d"));
  mail_done(&mail);
}
END_TEST

START_TEST(nothing_to_say_is_refused)
{
  parley_message message = message_of(NULL, 0);
  struct mail mail;

  ck_assert_int_eq(compose(&message, &mail), PARLEY_INVALID);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("email: composing");
  TCase *tcase = tcase_create("all");
  SRunner *runner;
  int failed;

  tcase_add_checked_fixture(tcase, begin, end);
  tcase_add_test(tcase, text_alone_is_one_plain_part);
  tcase_add_test(tcase, the_parts_stand_in_the_tree_where_readers_expect_them);
  tcase_add_test(tcase, two_attempts_have_the_same_bytes);
  tcase_add_loop_test(tcase, any_text_comes_back_whole, 0, COUNT(bodies));
  tcase_add_loop_test(tcase, a_subject_is_one_header, 0, COUNT(subjects));
  tcase_add_test(tcase, a_name_that_no_header_can_carry_is_left_out);
  tcase_add_test(tcase, the_recipient_is_greeted_by_name);
  tcase_add_test(tcase, unsubscribe_and_thread_headers_are_exact);
  tcase_add_test(tcase, the_date_of_a_host_that_tells_no_hand_over_is_that_of_the_accept);
  tcase_add_test(tcase, the_token_stands_wherever_something_may_come_back);
  tcase_add_loop_test(tcase, a_mail_says_of_what_kind_it_is, 0, COUNT(kinds));
  tcase_add_loop_test(tcase, headers_of_the_sender_stand_beside_ours, 0, COUNT(own));
  tcase_add_test(tcase, what_is_put_before_a_mail_has_just_its_headroom);
  tcase_add_test(tcase, without_an_answer_in_sight_the_newest_of_the_thread_is_meant);
  tcase_add_test(tcase, a_utf8_address_makes_eightbit_headers);
  tcase_add_test(tcase, nothing_to_say_is_refused);
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed > 0;
}
