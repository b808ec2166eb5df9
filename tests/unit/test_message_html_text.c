#include "core/base/alloc.h"
#include "core/base/text.h"
#include "core/message/fit.h"
#include "core/message/html_reference.h"
#include <check.h>
#include <time.h>

static const struct {
  const char *html, *want;
} cases[] = {
    {"", ""},
    {"plain", "plain"},
    {"  a \n\t b  ", "a b"},
    {"<p>One</p><p>Two</p>", "One\n\nTwo"},
    {"<p>One<p>Two", "One\n\nTwo"},
    {"a<br>b<br/>c<br><br>d", "a\nb\nc\n\nd"},
    {"<div>a</div><div>b</div>c", "a\nb\nc"},
    {"<div><div><div>a</div></div></div>b", "a\nb"},
    {"<h1>Title</h1>text<hr>more", "Title\n\ntext\n---\nmore"},
    {"Hello <b>World</b>, <i>you</i>!", "Hello World, you!"},
    {"<B>x</B><SCRIPT>if (a < b) alert('</p>')</SCRIPT>y", "xy"},
    {"a<style>p { color: red }</style>b<!-- no --><!---->c<!-- > -->d", "abcd"},
    {"<!DOCTYPE html><html><head><title>T</title><meta charset=utf-8></head><body>B</body></html>", "B"},
    {"<script>never closed <p>x", ""},
    {"<!-- never closed <p>x", ""},
    {"<p never closed", ""},
    {"a<svg><text>drawn</text></svg>b<svg/>c", "abc"},
    {"<select><option>1<option>2</select>x", "x"},
    {"<template><p>t</p><template>u</template></template>x", "x"},
    {"<ul><li>one</li><li>two</li></ul>after", "- one\n- two\n\nafter"},
    {"<ol><li>one<li>two<ul><li>deep</ul><li>three</ol>", "1. one\n2. two\n  - deep\n3. three"},
    {"<ul><li><p>one</p></li><li><p>two</p></li></ul>", "- one\n\n- two"},
    {"<li>loose", "- loose"},
    {"<table><tr><td>Item</td><td>Price</td></tr><tr><td>Tea</td> <td>3</td></tr></table>x",
     "Item  Price\nTea  3\n\nx"},
    {"<a href=\"https://x.example/a?b=1&amp;c=2\">Track</a>", "Track (https://x.example/a?b=1&c=2)"},
    {"<a href='https://x.example/?a=1&copy=2'>T</a>", "T (https://x.example/?a=1&copy=2)"},
    {"<a href=https://x.example/>https://x.example/</a>", "https://x.example/"},
    {"<a href=\"mailto:ana@x.example?subject=x\">ana@x.example</a>", "ana@x.example"},
    {"<a href=\"mailto:ana@x.example\">write</a>", "write (ana@x.example)"},
    {"<a href=\"#top\">up</a> <a href=\"javascript:alert(1)\">run</a>", "up run"},
    {"<a name=x>here</a>", "here"},
    {"<a href=\"https://a.example\">a<a href=\"https://b.example\">b", "a (https://a.example)b (https://b.example)"},
    {"<img src=x alt=\"A &amp; B\">", "A & B"},
    {"<img alt='a > b'>c", "a > bc"},
    {"Tom &amp; Jerry &lt;3 &euro;5 &#x41;&#66; &hellip; &nosuch; & x", "Tom & Jerry <3 \xe2\x82\xac"
                                                                        "5 AB \xe2\x80\xa6 &nosuch; & x"},
    {"&lt;script&gt;", "<script>"},
    {"< &amp; x", "< & x"},
    {"&", "&"},
    {"A&#12;x&#12;B\x01\x02\x0c", "AxB"},
    {"1 < 2 and 3 <4 <", "1 < 2 and 3 <4 <"},
    {"a&nbsp;b &zwj;&shy;c\xe2\x80\x8b"
     "d",
     "a b \xe2\x80\x8d"
     "cd"},
    {"<pre>a\n  b\n</pre>c", "a\n  b\n\nc"},
    {"<p>a</p>\n\n\n<br><br><br><p>b</p>", "a\n\nb"},
    {"caf\xc3\xa9 \xf0\x9f\x98\x80", "caf\xc3\xa9 \xf0\x9f\x98\x80"},
    {"bad \xff byte", "bad  byte"},
    {"caf&eacute;s caf&eacutes &notit; &notin; &AMP &Amp;", "caf\xc3\xa9s caf\xc3\xa9s \xc2\xacit; \xe2\x88\x89 & &Amp;"},
    {"&nGt; &CounterClockwiseContourIntegral; &CounterClockwiseContourIntegral",
     "\xe2\x89\xab\xe2\x83\x92 \xe2\x88\xb3 &CounterClockwiseContourIntegral"},
    {"&amp;lt; &ampabcdefghijklmnopqrstuvwxyz0123456789;", "&lt; &abcdefghijklmnopqrstuvwxyz0123456789;"},
    {"&#65;&#x42;&#X43;&#68 &#x80;&#146;&#129;", "ABCD \xe2\x82\xac\xe2\x80\x99\xc2\x81"},
    {"&# &#; &#x; &#xg &#12x", "&# &#; &#x; &#xg x"},
    {"a&#0;b&#xd800;c&#x110000;d&#99999999999999999999;e&#x10ffff;", "abcde\xf4\x8f\xbf\xbf"},
    {"&#128512;&#20013;", "\xf0\x9f\x98\x80\xe4\xb8\xad"},
    {"</p></div></a></ul>x", "x"},
    {"<a-very-long-name-of-a-tag>x</a-very-long-name-of-a-tag>", "x"},
    {"<p/class=x>a<p\n\tid='>'>b", "a\n\nb"},
};

START_TEST(html_becomes_readable_text)
{
  struct arena *arena = arena_new();
  parley_text text = html_to_text(parley_text_of(cases[_i].html), arena);

  ck_assert_msg(parley_text_is(text, cases[_i].want), "'%.*s' is not '%s'", TEXT_ARG(text), cases[_i].want);
  arena_free(&arena);
}
END_TEST

/* A whole megabyte is the largest there is. The bound of the loop's turn is for what users run; a build for debugging gets ten
 * times of that and more: it is there to find what grows with the square. */
#if defined(__SANITIZE_ADDRESS__) || !defined(__OPTIMIZE__)
#define COST_MS_MAX 2000
#else
#define COST_MS_MAX 50
#endif
static const char *const hostile[] = {
    "<div>",
    "<b id=1><p>",
    "<a href=\"https://x.example\">",
    "<table><tr><td>",
    "<ul><li>",
    "</p>",
    "<",
    "<!--",
    "<script>",
    "<svg>",
    "&amp;",
    "&",
    "&CounterClockwiseContourIntegral",
    "<a <a <a",
    "<p a='",
    "<ol><li>x",
    "<xmp></",
    "&#1114112;",
    "<br>",
    "\xff",
    "<pre> </pre>",
};

static int64_t cpu_ms(void)
{
  struct timespec now;

  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int64_t cost_ms(parley_text html)
{
  struct arena *arena = arena_new();
  int64_t before_ms = cpu_ms(), after_ms;

  ck_assert(text_utf8_ok(html_to_text(html, arena)));
  after_ms = cpu_ms();
  arena_free(&arena);
  return after_ms - before_ms;
}

START_TEST(hostile_html_costs_no_more_than_its_length)
{
  struct buf html = BUF_INIT(2 * CONTENT_INLINE_BYTES_MAX);

  while (html.len < CONTENT_INLINE_BYTES_MAX)
    buf_str(&html, hostile[_i]);
  ck_assert_int_lt(cost_ms(buf_as_text(&html)), COST_MS_MAX);
  buf_done(&html);
}
END_TEST

/* Each name is another one, so that none is remembered; the first are decoded, the rest is left as it is. */
START_TEST(names_that_never_repeat_cost_no_more_either)
{
  struct buf html = BUF_INIT(2 * CONTENT_INLINE_BYTES_MAX);

  for (int i = 0; html.len < CONTENT_INLINE_BYTES_MAX; i++)
    buf_printf(&html, "&lt%d", i);
  ck_assert_int_lt(cost_ms(buf_as_text(&html)), COST_MS_MAX);
  buf_done(&html);
}
END_TEST

START_TEST(the_first_names_are_decoded_and_the_rest_stays)
{
  struct arena *arena = arena_new();
  struct buf html = BUF_INIT(0);
  parley_text text;

  for (int i = 0; i < HTML_NAMES_MAX + 10; i++)
    buf_printf(&html, "&lt%d ", i);
  text = html_to_text(buf_as_text(&html), arena);
  ck_assert(text_starts(text, "<0 <1 <2 "));
  ck_assert(text_find_text(text, PARLEY_LIT(" <4095 &lt4096 ")) != SIZE_MAX);
  ck_assert(text_ends(text, "&lt4105"));
  buf_done(&html);
  arena_free(&arena);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("message: html to text");
  TCase *tcase = tcase_create("all");
  SRunner *runner;
  int failed;

  tcase_set_timeout(tcase, 60);
  tcase_add_loop_test(tcase, html_becomes_readable_text, 0, COUNT_OF(cases));
  tcase_add_loop_test(tcase, hostile_html_costs_no_more_than_its_length, 0, COUNT_OF(hostile));
  tcase_add_test(tcase, names_that_never_repeat_cost_no_more_either);
  tcase_add_test(tcase, the_first_names_are_decoded_and_the_rest_stays);
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed > 0;
}
