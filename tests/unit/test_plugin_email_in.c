// sources: tests/support/plugin_host.c
/* The email plugin's listener: what the host says becomes what the client hears, and nothing is said before the commit.
 */
#include "tests/support/plugin_host.h"
#include <check.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static struct plugin_host *host;
static size_t client;

static void end(void)
{
  if (host != NULL)
    plugin_host_done(&host);
}

static void begin(const char *protocol)
{
  const char *const options[] = {"from",
                                 "Shop <orders@shop.example>",
                                 "helo",
                                 "mx.shop.example",
                                 "listen.address",
                                 "127.0.0.1:2424",
                                 "listen.domains",
                                 "shop.example",
                                 "listen.protocol",
                                 protocol,
                                 "authserv_id",
                                 "mx.shop.example",
                                 NULL};

  host = plugin_host_new("email");
  plugin_host_start(host, options);
  ck_assert_uint_eq(host->n_streams, 1);
  ck_assert(host->streams[0].listening);
  client = plugin_host_stream_accept(host, 0, "192.0.2.7:40000");
  plugin_host_run(host);
}

/* What the plugin left while it asked comes again, as the host does when reading is on. */
static void say(const char *text)
{
  size_t left = SIZE_MAX;

  plugin_host_stream_data(host, client, parley_text_of(text));
  plugin_host_run(host);
  while (host->streams[client].reading && !host->streams[client].closed && host->streams[client].unread.len > 0 &&
         host->streams[client].unread.len < left) {
    left = host->streams[client].unread.len;
    plugin_host_stream_data(host, client, PARLEY_LIT(""));
    plugin_host_run(host);
  }
}

/* What was heard since the last time. */
static const char *heard(void)
{
  static char text[4096];
  struct buf *written = &host->streams[client].written;
  size_t n = written->len < sizeof text - 1 ? written->len : sizeof text - 1;

  memcpy(text, written->at != NULL ? written->at : "", n);
  text[n] = '\0';
  buf_clear(written);
  return text;
}

static void envelope(void)
{
  say("LHLO client.example\r\n");
  say("MAIL FROM:<ana@example.org>\r\nRCPT TO:<support@shop.example>\r\nRCPT TO:<sales@shop.example>\r\nDATA\r\n");
  ck_assert_ptr_nonnull(strstr(heard(), "\r\n354 "));
}

#define MAIL "From: Ana <ana@example.org>\r\nSubject: Hello\r\nMessage-ID: <1@example.org>\r\n\r\nHi\r\n"

START_TEST(nothing_is_said_before_the_commit)
{
  const parley_inbound *in;

  begin("lmtp");
  envelope();
  host->hold = true;
  say(MAIL ".\r\n");
  ck_assert_str_eq(heard(), "");
  ck_assert_uint_eq(host->n_items, 2); /* the question at RCPT, and the mail */
  ck_assert(host->items[0].inbound->flags == PARLEY_ASK);
  in = host->items[1].inbound;
  ck_assert(parley_text_is(in->subject, "Hello") && parley_text_is(in->provider_id, "1@example.org"));
  ck_assert(parley_text_is(in->from[0]->value, "ana@example.org") && parley_text_is(in->from[0]->name, "Ana"));
  ck_assert(parley_text_is(in->parts[0]->text, "Hi"));
  ck_assert_uint_eq(in->raw->data.len, strlen(MAIL));
  plugin_host_item_done(host, 1, PARLEY_OK, "msg_1");
  plugin_host_run(host);
  ck_assert_str_eq(heard(), "250 2.0.0 kept\r\n250 2.0.0 kept\r\n");
}
END_TEST

static const struct {
  parley_status says;
  const char *heard;
} verdicts[] = {
    {PARLEY_BUSY, "452 4.3.1 "},      {PARLEY_RETRY, "451 4.3.0 "},    {PARLEY_TIMEOUT, "451 4.3.0 "},
    {PARLEY_CANCELLED, "451 4.3.0 "}, {PARLEY_REJECTED, "550 5.7.1 "}, {PARLEY_INVALID, "554 5.6.0 "},
    {PARLEY_NOT_FOUND, "550 5.1.1 "}, {PARLEY_FAILED, "550 5.0.0 "},
};

START_TEST(what_the_host_says_is_what_each_recipient_hears)
{
  const char *text, *second;

  begin("lmtp");
  envelope();
  host->says = verdicts[_i].says;
  say(MAIL ".\r\n");
  text = heard();
  ck_assert_int_eq(strncmp(text, verdicts[_i].heard, 10), 0);
  second = strchr(text, '\n') + 1;
  ck_assert_int_eq(strncmp(second, verdicts[_i].heard, 10), 0);
}
END_TEST

START_TEST(a_host_without_room_is_said_at_rcpt)
{
  begin("lmtp");
  host->says = PARLEY_BUSY;
  say("LHLO client.example\r\n");
  heard();
  say("MAIL FROM:<ana@example.org>\r\nRCPT TO:<support@shop.example>\r\n");
  ck_assert_ptr_nonnull(strstr(heard(), "452 4.3.1 "));
}
END_TEST

START_TEST(a_client_that_leaves_before_the_answer_is_no_trouble)
{
  begin("lmtp");
  envelope();
  host->hold = true;
  say(MAIL ".\r\n");
  plugin_host_stream_closed(host, client, PARLEY_CLOSED);
  plugin_host_run(host);
  plugin_host_item_done(host, 1, PARLEY_OK, "msg_1");
  plugin_host_run(host);
  client = plugin_host_stream_accept(host, 0, "192.0.2.7:40001");
  ck_assert_int_eq(strncmp(heard(), "220 ", 4), 0);
}
END_TEST

START_TEST(draining_ends_what_is_under_way_and_takes_nobody_new)
{
  begin("lmtp");
  envelope();
  plugin_host_drain(host, 10000);
  say(MAIL ".\r\n");
  ck_assert_str_eq(heard(), "250 2.0.0 kept\r\n250 2.0.0 kept\r\n421 4.3.2 closing: come again\r\n");
  ck_assert(host->streams[client].closed);
}
END_TEST

START_TEST(stopping_in_the_middle_leaves_nothing)
{
  begin("lmtp");
  envelope();
  host->hold = true;
  say(MAIL ".\r\n");
  plugin_host_stop(host); /* and plugin_host_done() finds nothing left */
}
END_TEST

static const struct {
  const char *recipient, *headers, *token;
  uint32_t flags;
  bool receipt;
} errands[] = {
    {"reply+abc@shop.example", "", "abc", 0, false},
    {"support@shop.example", "Auto-Submitted: auto-replied\r\n", "", PARLEY_AUTOMATIC, false},
    {"bounce+abc@shop.example", "", "abc", PARLEY_AUTOMATIC, false},
    {"LOG+ABC@shop.example", "To: eva@example.net\r\n", "abc", PARLEY_ECHO, false},
    {"unsubscribe+abc@shop.example", "", "abc", 0, true},
};

START_TEST(an_address_says_what_a_mail_is_for)
{
  struct buf text = BUF_INIT(0);
  const struct plugin_host_item *item;

  begin("lmtp");
  say("LHLO client.example\r\n");
  buf_printf(&text, "MAIL FROM:<ana@example.org>\r\nRCPT TO:<%s>\r\nDATA\r\n", errands[_i].recipient);
  say(text.at);
  buf_clear(&text);
  buf_printf(&text, "%s" MAIL ".\r\n", errands[_i].headers);
  say(text.at);
  ck_assert_ptr_nonnull(strstr(heard(), "250 2.0.0 kept"));
  item = &host->items[host->n_items - 1];
  ck_assert((item->receipt != NULL) == errands[_i].receipt);
  if (item->receipt != NULL) {
    ck_assert_uint_eq(item->receipt->kind, PARLEY_RECEIPT_UNSUBSCRIBED);
    ck_assert(parley_text_is(item->receipt->message_id, errands[_i].token));
  } else {
    ck_assert_uint_eq(item->inbound->flags, errands[_i].flags);
    ck_assert(parley_text_is(item->inbound->token, errands[_i].token));
    ck_assert(parley_text_is(item->inbound->from[0]->value,
                             errands[_i].flags & PARLEY_ECHO ? "eva@example.net" : "ana@example.org"));
  }
  buf_done(&text);
}
END_TEST

static const struct {
  const char *protocol, *from, *recipients[2], *mail, *heard;
} apart[] = {
    /* nobody wrote it, but who wants no more mail can be told from its address */
    {"lmtp", "", {"support@shop.example", "unsubscribe+abc@shop.example"}, "Subject: x\r\n\r\nHi\r\n", "554 5.6.0 \n250 2.0.0 \n"},
    /* a copy to file for nobody, beside a mail to us */
    {"lmtp", "ana@example.org", {"log+abc@shop.example", "support@shop.example"}, MAIL, "554 5.6.0 \n250 2.0.0 \n"},
    {"lmtp", "ana@example.org", {"log+abc@shop.example", "log+abd@shop.example"}, MAIL, "554 5.6.0 \n554 5.6.0 \n"},
    {"smtp", "ana@example.org", {"log+abc@shop.example", "support@shop.example"}, MAIL, "554 5.6.0 \n"},
};

START_TEST(a_recipient_for_whom_nothing_can_be_done_stands_alone)
{
  struct buf text = BUF_INIT(0), codes = BUF_INIT(0);
  bool all = strstr(apart[_i].heard, "250") == NULL && strcmp(apart[_i].protocol, "lmtp") == 0;

  begin(apart[_i].protocol);
  say(strcmp(apart[_i].protocol, "lmtp") == 0 ? "LHLO a\r\n" : "EHLO a\r\n");
  buf_printf(&text, "MAIL FROM:<%s>\r\nRCPT TO:<%s>\r\nRCPT TO:<%s>\r\nDATA\r\n", apart[_i].from, apart[_i].recipients[0],
             apart[_i].recipients[1]);
  say(text.at);
  heard();
  buf_clear(&text);
  buf_printf(&text, "%s.\r\n", apart[_i].mail);
  say(text.at);
  plugin_host_step(host, 1);
  plugin_host_run(host);
  for (const char *line = heard(); *line != '\0'; line = strchr(line, '\n') + 1)
    buf_printf(&codes, "%.10s\n", line);
  ck_assert_str_eq(codes.at, apart[_i].heard);
  ck_assert_uint_eq(host->n_items, all ? 1 : 2); /* the question at RCPT, and what could be done */
  buf_done(&text);
  buf_done(&codes);
}
END_TEST

static const struct {
  const char *headers;
  bool unverified;
} results[] = {
    {"", false},
    {"Authentication-Results: mx.shop.example; dmarc=pass header.from=example.org\r\n", false},
    {"Authentication-Results: mx.shop.example; spf=pass;\r\n dmarc=fail (p=none dis=none) header.from=example.org\r\n", true},
    {"Authentication-Results: MX.shop.example 1; DMARC / 1 = fail\r\n", false}, /* no such version syntax within blanks */
    {"Authentication-Results: (ours) \"mx.shop.example\" 1 ; dmarc/1 = (oh) FAIL\r\n", true},
    {"Authentication-Results: mx.shop.example; none\r\n", false},
    {"Authentication-Results: mx.other.example; dmarc=fail\r\n", false},
    {"Authentication-Results: mx.other.example; dmarc=fail\r\nAuthentication-Results: mx.shop.example; dmarc=pass\r\n", false},
    /* the topmost is our server's; what stands below came with the mail */
    {"Authentication-Results: mx.shop.example; dmarc=fail\r\nAuthentication-Results: mx.shop.example; dmarc=pass\r\n", true},
    {"Authentication-Results: mx.shop.example; dmarc=pass (; dmarc=fail)\r\n", false},
    {"Authentication-Results: mx.shop.example; spf=pass reason=\"; dmarc=fail\"\r\n", false},
    {"Authentication-Results: mx.shop.example; dmarc=failure\r\n", false},
    {"Authentication-Results: mx.shop.example; (unended dmarc=fail\r\n", false},
    {"Authentication-Results: mx.shop.example; x=\"unended\\\r\n", false},
};

START_TEST(what_our_mail_server_found_out_about_the_sender_is_told)
{
  const parley_inbound *in;
  struct buf text = BUF_INIT(0);
  bool unverified = false;

  begin("lmtp");
  envelope();
  buf_printf(&text, "%s" MAIL ".\r\n", results[_i].headers);
  say(text.at);
  in = host->items[1].inbound;
  for (uint32_t i = 0; i < in->n_fields; i++)
    unverified = unverified || parley_text_is(in->fields[i].name, "unverified");
  ck_assert_int_eq(unverified, results[_i].unverified);
  buf_done(&text);
}
END_TEST

START_TEST(one_mail_for_several_is_one_message)
{
  begin("smtp");
  say("EHLO client.example\r\n");
  heard();
  say("MAIL FROM:<ana@example.org>\r\nRCPT TO:<a@shop.example>\r\nRCPT TO:<b@shop.example>\r\nRCPT "
      "TO:<x@other.example>\r\nDATA\r\n");
  ck_assert_ptr_nonnull(strstr(heard(), "550 5.7.1 "));
  say(MAIL ".\r\n");
  ck_assert_str_eq(heard(), "250 2.0.0 kept\r\n");
  ck_assert_uint_eq(host->n_items, 2);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("plugin: email, in");
  TCase *tcase = tcase_create("in");
  SRunner *runner;
  int failed;

  tcase_add_checked_fixture(tcase, NULL, end);
  tcase_add_test(tcase, nothing_is_said_before_the_commit);
  tcase_add_loop_test(tcase, what_the_host_says_is_what_each_recipient_hears, 0, COUNT(verdicts));
  tcase_add_test(tcase, a_host_without_room_is_said_at_rcpt);
  tcase_add_test(tcase, a_client_that_leaves_before_the_answer_is_no_trouble);
  tcase_add_test(tcase, draining_ends_what_is_under_way_and_takes_nobody_new);
  tcase_add_test(tcase, stopping_in_the_middle_leaves_nothing);
  tcase_add_loop_test(tcase, an_address_says_what_a_mail_is_for, 0, COUNT(errands));
  tcase_add_loop_test(tcase, what_our_mail_server_found_out_about_the_sender_is_told, 0, COUNT(results));
  tcase_add_loop_test(tcase, a_recipient_for_whom_nothing_can_be_done_stands_alone, 0, COUNT(apart));
  tcase_add_test(tcase, one_mail_for_several_is_one_message);
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
