#include "core/base/alloc.h"
#include "core/base/text.h"
#include "core/message/fit.h"
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

#ifdef __SANITIZE_ADDRESS__
#define COST_MS_MAX 3000
#else
#define COST_MS_MAX 200 /* for a whole megabyte, the largest there is */
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

START_TEST(hostile_html_costs_no_more_than_its_length)
{
  struct arena *arena = arena_new();
  struct buf html = BUF_INIT(2 * CONTENT_INLINE_BYTES_MAX);
  struct timespec before, after;

  while (html.len < CONTENT_INLINE_BYTES_MAX)
    buf_str(&html, hostile[_i]);
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
  ck_assert(text_utf8_ok(html_to_text(buf_as_text(&html), arena)));
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
  ck_assert_int_lt((after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000, COST_MS_MAX);
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
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed > 0;
}
