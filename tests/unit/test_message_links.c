/* Links in text and html, and the tokens of the links that strangers open. */
#include "core/base/alloc.h"
#include "core/base/text.h"
#include "core/message/links.h"
#include "core/message/web_link.h"
#include <check.h>
#include <stdlib.h>
#include <string.h>

static const struct found_row {
  bool html;
  const char *in, *want; /* each link as it is written, a line each */
} found_rows[] = {
    {false, "see https://shop.example/a, or (http://b.example/c).", "https://shop.example/a\nhttp://b.example/c\n"},
    {false, "HTTPS://A.example/x?y=1&z=(2) end", "HTTPS://A.example/x?y=1&z=(2)\n"},
    {false, "<https://a.example/> \"http://b.example\"", "https://a.example/\nhttp://b.example\n"},
    {false, "xhttp://no.example https:// http://... mailto:a@b.c shttps://no.example", ""},
    {false, "https://a.example/\xc3\xa9t\xc3\xa9\nhttps://b.example!", "https://a.example/\xc3\xa9t\xc3\xa9\nhttps://b.example\n"},
    {true, "<a href=\"https://a.example/?x=1&amp;y=2\">a</a><A HREF='b'>b</A>", "https://a.example/?x=1&amp;y=2\nb\n"},
    {true, "<a class=x href = https://a.example/p/q>a</a> https://text.example", "https://a.example/p/q\n"},
    {true, "<area alt='>' href='https://map.example'><abbr href=no><a>none</a>", "https://map.example\n"},
    {true, "<!-- <a href=c> --><style>a[href=d]{}</style><script>'<a href=e>'</script><a href=f>", "f\n"},
    {true, "<a href='' href=second><a href=1 href=2>", "second\n1\n"},
    {true, "<img alt=\"<a href='no'>\" src=x><p title='<a href=no>'><a href=yes>", "yes\n"},
    {true, "<a href=\"open", "open\n"},
    {true, "< a href=no><1a href=no></a href=no><a/href=yes/>", "yes/\n"},
};

START_TEST(links_are_found_in_their_order)
{
  const struct found_row *row = &found_rows[_i];
  struct links links = links_of(parley_text_of(row->in), row->html);
  struct buf got = BUF_INIT(0);
  parley_text written;

  while (links_next(&links, &written)) {
    ck_assert(written.at >= row->in && written.at + written.len <= row->in + strlen(row->in));
    buf_text(&got, written);
    buf_char(&got, '\n');
  }
  ck_assert_msg(parley_text_is(buf_as_text(&got), row->want), "%s: %s", row->in, got.len > 0 ? got.at : "none");
  buf_done(&got);
}
END_TEST

static const struct target_row {
  const char *written;
  enum link_verdict want;
  const char *target; /* NULL: not looked at */
} target_rows[] = {
    {"https://shop.example/a?b=1&amp;c=2#d", LINK_WEB, "https://shop.example/a?b=1&c=2#d"},
    {" HTTP://shop.example \n", LINK_WEB, "HTTP://shop.example"},
    {"https://x.example/?a=1&copy=2&#x26;d&#38e", LINK_WEB, "https://x.example/?a=1&copy=2&d&e"},
    {"mailto:ana@example.org", LINK_OTHER, NULL},
    {"tel:+34600111222", LINK_OTHER, NULL},
    {"#top", LINK_OTHER, NULL},
    {"/relative?to=http://x", LINK_OTHER, NULL},
    {"//host.example/x", LINK_OTHER, NULL},
    {"shop-app://cart", LINK_OTHER, NULL},
    {"", LINK_OTHER, ""},
    {"{{unsubscribe_url}}", LINK_OTHER, NULL},
    {"javascript:alert(1)", LINK_SCHEME, NULL},
    {" JaVaScRiPt&colon;alert(1)", LINK_SCHEME, NULL},
    {"&#106avascript:alert(1)", LINK_SCHEME, "javascript:alert(1)"},
    {"&#x6A;avascript:alert(1)", LINK_SCHEME, NULL},
    {"data:text/html,<script>", LINK_SCHEME, NULL},
    {"vbscript:x", LINK_SCHEME, NULL},
    {"file:///etc/passwd", LINK_SCHEME, NULL},
    {"http:host.example", LINK_SCHEME, NULL},
    {"https:///path", LINK_SCHEME, NULL},
    {"https://x.example/\r\nSet-Cookie: a=b", LINK_CONTROL, NULL},
    {"https://x.example/&#13;&#10;X: y", LINK_CONTROL, NULL},
    {"java\tscript:alert(1)", LINK_CONTROL, NULL},
    {"java&Tab;script:alert(1)", LINK_CONTROL, NULL},
};

START_TEST(a_target_is_what_a_browser_would_open_or_it_is_refused)
{
  const struct target_row *row = &target_rows[_i];
  struct buf target = BUF_INIT(0);

  ck_assert_msg(link_target(parley_text_of(row->written), true, &target) == row->want, "%s", row->written);
  ck_assert_msg(row->target == NULL || parley_text_is(buf_as_text(&target), row->target), "%s: %s", row->written, target.at);
  buf_done(&target);
}
END_TEST

START_TEST(a_target_has_at_most_2048_bytes)
{
  struct buf written = BUF_INIT(0), target = BUF_INIT(0);

  buf_str(&written, "https://x.example/");
  while (written.len < LINK_TARGET_BYTES_MAX)
    buf_char(&written, 'a');
  ck_assert_int_eq(link_target(buf_as_text(&written), false, &target), LINK_WEB);
  buf_char(&written, 'a');
  ck_assert_int_eq(link_target(buf_as_text(&written), false, &target), LINK_LONG);
  buf_done(&written);
  buf_done(&target);
}
END_TEST

START_TEST(a_location_is_ascii_and_one_line)
{
  struct buf location = BUF_INIT(0);

  buf_location(&location, PARLEY_LIT("https://x.example/\xc3\xa9 \"<>\r\n%20?a=b&c[]=d"));
  ck_assert_str_eq(location.at, "https://x.example/%C3%A9%20%22%3C%3E%0D%0A%20?a=b&c[]=d");
  buf_done(&location);
}
END_TEST

/* --- Tokens ------------------------------------------------------------------------------------------------------- */

static const uint8_t secret[SHA256_BYTES] = {7}, other[SHA256_BYTES] = {8};
#define BASE PARLEY_LIT("https://p.example")

static parley_text token_of(struct buf *link, const char *before)
{
  ck_assert(text_starts(buf_as_text(link), before));
  return text_sub(buf_as_text(link), strlen(before), SIZE_MAX);
}

START_TEST(what_a_link_names_comes_back)
{
  static const char topic[] = "a-topic-whose-name-is-as-long-as-any-may-be-that-is-64-bytes-yes";
  struct web_unsubscribe unsubscribe = {1, 2, 3, PARLEY_LIT("sms"), {topic, sizeof topic - 1}}, got_unsubscribe;
  struct web_preferences preferences = {4, 0}, got_preferences;
  struct web_confirm confirm = {5, 6, 1790000000000, PARLEY_LIT("email"), {topic, sizeof topic - 1}}, got_confirm;
  struct web_place place = {7, 255, 65535, WEB_IN_BUTTON}, got;
  struct buf links[5] = {BUF_INIT(0), BUF_INIT(0), BUF_INIT(0), BUF_INIT(0), BUF_INIT(0)};
  struct token_payload payload, payload_2;

  ck_assert_uint_eq(sizeof topic - 1, WEB_TOPIC_BYTES_MAX);
  buf_unsubscribe_link(&links[0], BASE, secret, &unsubscribe);
  buf_preferences_link(&links[1], BASE, secret, &preferences);
  buf_confirm_link(&links[2], BASE, secret, &confirm);
  buf_click_link(&links[3], BASE, secret, &place);
  buf_open_link(&links[4], BASE, secret, &place);
  ck_assert(web_unsubscribe_read(secret, token_of(&links[0], "https://p.example/u/"), &payload, &got_unsubscribe));
  ck_assert(got_unsubscribe.customer == 1 && got_unsubscribe.identity == 2 && got_unsubscribe.message == 3);
  ck_assert(parley_text_is(got_unsubscribe.kind, "sms") && parley_text_is(got_unsubscribe.topic, topic));
  ck_assert(web_preferences_read(secret, token_of(&links[1], "https://p.example/p/"), &got_preferences));
  ck_assert(got_preferences.customer == 4 && got_preferences.identity == 0);
  ck_assert(web_confirm_read(secret, token_of(&links[2], "https://p.example/d/"), &payload_2, &got_confirm));
  ck_assert(got_confirm.customer == 5 && got_confirm.asked == 6 && got_confirm.expires_ms == 1790000000000);
  ck_assert(parley_text_is(got_confirm.kind, "email") && parley_text_is(got_confirm.topic, topic));
  ck_assert(web_click_read(secret, token_of(&links[3], "https://p.example/c/"), &got));
  ck_assert(got.message == 7 && got.step == 255 && got.nth == 65535 && got.where == WEB_IN_BUTTON);
  ck_assert(web_open_read(secret, token_of(&links[4], "https://p.example/o/"), &got));
  ck_assert(got.message == 7 && got.step == 255);
  ck_assert(!web_click_read(other, token_of(&links[3], "https://p.example/c/"), &got));
  ck_assert(!web_open_read(secret, token_of(&links[3], "https://p.example/c/"), &got));
  ck_assert(!web_preferences_read(secret, token_of(&links[0], "https://p.example/u/"), &got_preferences));
  for (int i = 0; i < 5; i++)
    buf_done(&links[i]);
}
END_TEST

static const struct made_row { /* payloads that were never made: what another version might make */
  enum token_kind kind;
  const char *bytes;
  size_t len;
} made_rows[] = {
    {TOKEN_UNSUBSCRIBE, "", 0},
    {TOKEN_UNSUBSCRIBE, "\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0\3\1", 25},      /* no topic */
    {TOKEN_UNSUBSCRIBE, "\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0\3\x7fx", 26},   /* no such kind */
    {TOKEN_UNSUBSCRIBE, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0\3\1x", 26},     /* nobody */
    {TOKEN_PREFERENCES, "\0\0\0\0\0\0\0\1", 8},
    {TOKEN_PREFERENCES, "\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\2\0", 17},
    {TOKEN_CLICK, "\0\0\0\0\0\0\0\1\0\0\0", 11},
    {TOKEN_CLICK, "\0\0\0\0\0\0\0\1\0\4\0\0", 12}, /* nowhere */
    {TOKEN_OPEN, "\0\0\0\0\0\0\0\0\0", 9},
};

START_TEST(a_payload_that_does_not_fit_is_refused)
{
  const struct made_row *row = &made_rows[_i];
  struct buf token = BUF_INIT(0);
  struct token_payload payload;
  struct web_unsubscribe unsubscribe;
  struct web_preferences preferences;
  struct web_place place;

  buf_token(&token, secret, row->kind, (parley_bytes){row->bytes, row->len});
  ck_assert(!web_unsubscribe_read(secret, buf_as_text(&token), &payload, &unsubscribe));
  ck_assert(!web_preferences_read(secret, buf_as_text(&token), &preferences));
  ck_assert(!web_click_read(secret, buf_as_text(&token), &place));
  ck_assert(!web_open_read(secret, buf_as_text(&token), &place));
  buf_done(&token);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("message: links");
  TCase *tcase = tcase_create("all");
  SRunner *runner;
  int failed;

  tcase_add_loop_test(tcase, links_are_found_in_their_order, 0, COUNT_OF(found_rows));
  tcase_add_loop_test(tcase, a_target_is_what_a_browser_would_open_or_it_is_refused, 0, COUNT_OF(target_rows));
  tcase_add_test(tcase, a_target_has_at_most_2048_bytes);
  tcase_add_test(tcase, a_location_is_ascii_and_one_line);
  tcase_add_test(tcase, what_a_link_names_comes_back);
  tcase_add_loop_test(tcase, a_payload_that_does_not_fit_is_refused, 0, COUNT_OF(made_rows));
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed > 0;
}
