#include "core/net/http_head.h"
#include "net_peer.h"

#define H "Host: a.example\r\n"
#define TE "Transfer-Encoding: "
static const struct row {
  const char *what, *head;
  int code; /* 0: taken */
} rows[] = {
    {"plain", "GET / HTTP/1.1\r\n" H "\r\n", 0},
    {"one empty line before it", "\r\nGET / HTTP/1.1\r\n" H "\r\n", 0},
    {"two empty lines before it", "\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n", 400},
    {"HTTP/1.0 without host", "GET / HTTP/1.0\r\n\r\n", 0},
    {"value with tab and 8 bit", "GET / HTTP/1.1\r\n" H "X: a\tb\xc3\xa4\r\n\r\n", 0},
    {"empty value", "GET / HTTP/1.1\r\n" H "X:\r\n\r\n", 0},
    {"OPTIONS *", "OPTIONS * HTTP/1.1\r\n" H "\r\n", 0},
    {"GET *", "GET * HTTP/1.1\r\n" H "\r\n", 400},
    {"absolute target, same host", "GET http://a.example/x HTTP/1.1\r\n" H "\r\n", 0},
    {"B14 absolute target, other host", "GET http://b.example/x HTTP/1.1\r\n" H "\r\n", 400},
    {"absolute target with user", "GET http://u@a.example/x HTTP/1.1\r\n" H "\r\n", 400},
    {"target is no path", "GET a.example HTTP/1.1\r\n" H "\r\n", 400},
    {"target with a fragment", "GET /#x HTTP/1.1\r\n" H "\r\n", 400},
    {"target with 8 bit", "GET /\xc3\xa4 HTTP/1.1\r\n" H "\r\n", 400},
    {"B5 length and chunked", "POST / HTTP/1.1\r\n" H "Content-Length: 3\r\n" TE "chunked\r\n\r\n", 400},
    {"B5 chunked and length", "POST / HTTP/1.1\r\n" H TE "chunked\r\nContent-Length: 3\r\n\r\n", 400},
    {"B7 chunked in any case", "POST / HTTP/1.1\r\n" H TE "Chunked\r\n\r\n", 0},
    {"B7 xchunked", "POST / HTTP/1.1\r\n" H TE "xchunked\r\n\r\n", 400},
    {"B7 chunked, identity", "POST / HTTP/1.1\r\n" H TE "chunked, identity\r\n\r\n", 400},
    {"B7 chunked twice", "POST / HTTP/1.1\r\n" H TE "chunked\r\n" TE "chunked\r\n\r\n", 400},
    {"B7 folded", "POST / HTTP/1.1\r\n" H TE "\r\n chunked\r\n\r\n", 400},
    {"B7 chunked in HTTP/1.0", "POST / HTTP/1.0\r\n" H TE "chunked\r\n\r\n", 400},
    {"B7 chunked and a vertical tab", "POST / HTTP/1.1\r\n" H TE "chunked\x0b\r\n\r\n", 400},
    {"B8 bare LF", "GET / HTTP/1.1\n" H "\r\n", 400},
    {"B8 bare LF in a header", "GET / HTTP/1.1\r\n" H "X: a\nY: b\r\n\r\n", 400},
    {"B8 bare LF ends the head", "GET / HTTP/1.1\r\n" H "\n", 400},
    {"B8 bare CR", "GET / HTTP/1.1\r\n" H "X: a\rb\r\n\r\n", 400},
    {"B8 lone CR after an empty value", "GET / HTTP/1.1\r\n" H "X:\rTransfer-Encoding: chunked\r\n\r\n", 400},
    {"B8 space before colon", "POST / HTTP/1.1\r\n" H "Content-Length : 3\r\n\r\n", 400},
    {"B8 space begins a header", "GET / HTTP/1.1\r\n" H " X: a\r\n\r\n", 400},
    {"B8 header name with a control byte", "GET / HTTP/1.1\r\n" H "X\x01: a\r\n\r\n", 400},
    {"B8 DEL in a value", "GET / HTTP/1.1\r\n" H "X: \x7f\r\n\r\n", 400},
    {"header without a colon", "GET / HTTP/1.1\r\n" H "X\r\n\r\n", 400},
    {"header without a name", "GET / HTTP/1.1\r\n" H ": a\r\n\r\n", 400},
    {"two equal lengths", "POST / HTTP/1.1\r\n" H "Content-Length: 3\r\nContent-Length: 3\r\n\r\n", 400},
    {"length +3", "POST / HTTP/1.1\r\n" H "Content-Length: +3\r\n\r\n", 400},
    {"length 3, 3", "POST / HTTP/1.1\r\n" H "Content-Length: 3, 3\r\n\r\n", 400},
    {"length 3x", "POST / HTTP/1.1\r\n" H "Content-Length: 3x\r\n\r\n", 400},
    {"length -1", "POST / HTTP/1.1\r\n" H "Content-Length: -1\r\n\r\n", 400},
    {"length empty", "POST / HTTP/1.1\r\n" H "Content-Length:\r\n\r\n", 400},
    {"length 2^64 and more", "POST / HTTP/1.1\r\n" H "Content-Length: 18446744073709551617\r\n\r\n", 400},
    {"B13 HTTP/0.9", "GET /\r\n", 400},
    {"B13 HTTP/1.2", "GET / HTTP/1.2\r\n" H "\r\n", 505},
    {"B13 preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
    {"version in small letters", "GET / http/1.1\r\n" H "\r\n", 400},
    {"two spaces", "GET  / HTTP/1.1\r\n" H "\r\n", 400},
    {"space at the end of the line", "GET / HTTP/1.1 \r\n" H "\r\n", 400},
    {"B13 bytes of TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400},
    {"B14 no host", "GET / HTTP/1.1\r\nX: a\r\n\r\n", 400},
    {"B14 two hosts", "GET / HTTP/1.1\r\n" H H "\r\n", 400},
    {"B14 host with a space", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400},
    {"host empty", "GET / HTTP/1.1\r\nHost:\r\n\r\n", 400},
    {"host with a slash", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400},
    {"host with user", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400},
    {"host with a port", "GET / HTTP/1.1\r\nHost: a:8080\r\n\r\n", 0},
    {"host with a bad port", "GET / HTTP/1.1\r\nHost: a:80a\r\n\r\n", 400},
    {"host with a port too large", "GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n", 400},
    {"host is IPv6", "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", 0},
    {"host is half of IPv6", "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", 400},
    {"B16 TRACE", "TRACE / HTTP/1.1\r\n" H "\r\n", 405},
    {"B16 CONNECT", "CONNECT a:443 HTTP/1.1\r\n" H "\r\n", 405},
    {"B16 made-up method", "FROBNICATE / HTTP/1.1\r\n" H "\r\n", 405},
    {"method with a comma", "GE,T / HTTP/1.1\r\n" H "\r\n", 400},
    {"method in small letters", "get / HTTP/1.1\r\n" H "\r\n", 400},
    {"B17 another expectation", "POST / HTTP/1.1\r\n" H "Expect: 200-maybe\r\n\r\n", 417},
    {"B17 100-continue", "POST / HTTP/1.1\r\n" H "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\n", 0},
    {"B20 Range, Upgrade and X-Forwarded-For",
     "GET / HTTP/1.1\r\n" H "Range: bytes=0-1\r\nUpgrade: h2c\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n", 0},
};

static int verdict(enum http_head_state state, const struct http_head *head)
{
  return state == HTTP_HEAD_REFUSED ? head->code : state == HTTP_HEAD_DONE ? 0 : -1;
}

START_TEST(a_head_is_taken_or_refused_as_the_table_says)
{
  const struct row *row = &rows[_i];
  struct http_head head = {0};
  int got = verdict(http_head_scan(&head, row->head, strlen(row->head)), &head);

  ck_assert_msg(got == row->code, "%s: %d, not %d (%s)", row->what, got, row->code, head.why ? head.why : "");
}
END_TEST

START_TEST(a_head_fed_byte_by_byte_gets_the_same_verdict)
{
  const struct row *row = &rows[_i];
  struct http_head whole = {0}, parts = {0};
  enum http_head_state got = HTTP_HEAD_MORE, want = http_head_scan(&whole, row->head, strlen(row->head));

  for (size_t i = 1; got == HTTP_HEAD_MORE && i <= strlen(row->head); i++) {
    char *copy = malloc(i); /* so that a look behind the end is seen */

    memcpy(copy, row->head, i);
    got = http_head_scan(&parts, copy, i);
    free(copy);
  }
  ck_assert_msg(got == want && whole.code == parts.code && whole.end == parts.end, "%s: %d %d", row->what, got,
                parts.code);
}
END_TEST

/* Feeds `before`, then `n` times `what`, in pieces; returns the code it was refused with and sets how far it got. */
static int refused_after(const char *before, const char *what, size_t n, size_t *ret_len)
{
  struct http_head head = {0};
  size_t len = strlen(before), step = strlen(what);
  char *bytes = malloc(len + n * step);
  enum http_head_state state = HTTP_HEAD_MORE;

  memcpy(bytes, before, len);
  for (size_t i = 0; i < n && state == HTTP_HEAD_MORE; i++) {
    memcpy(bytes + len, what, step);
    len += step;
    state = http_head_scan(&head, bytes, len);
  }
  free(bytes);
  *ret_len = len;
  return verdict(state, &head);
}

START_TEST(what_is_too_long_is_refused_before_it_ends)
{
  size_t len;

  ck_assert_int_eq(refused_after("GET /", "x", 20000, &len), 414);
  ck_assert_uint_le(len, 8300);
  ck_assert_int_eq(refused_after("GET / HTTP/1.1\r\nHost: a\r\nX: ", "y", 20000, &len), 431);
  ck_assert_uint_le(len, 16400);
  ck_assert_int_eq(refused_after("GET / HTTP/1.1\r\nHost: a\r\n", "X: y\r\n", 200, &len), 431);
  ck_assert_uint_le(len, 700);
  ck_assert_int_eq(refused_after("", "M", 5000, &len), 400);
  ck_assert_uint_le(len, 40);
}
END_TEST

START_TEST(a_hundred_headers_are_taken)
{
  char bytes[4096] = "GET / HTTP/1.1\r\nHost: a\r\n";
  struct http_head head = {0};

  for (int i = 0; i < 99; i++)
    strcat(bytes, "X: y\r\n");
  strcat(bytes, "\r\nnext");
  ck_assert_int_eq(http_head_scan(&head, bytes, strlen(bytes)), HTTP_HEAD_DONE);
  ck_assert_uint_eq(head.n_headers, 100);
  ck_assert_str_eq(bytes + head.end, "next");
}
END_TEST

START_TEST(what_frames_the_message_is_reported)
{
  static const char text[] =
      "\r\nPUT /a?b HTTP/1.1\r\nHost:  x:1 \r\nContent-Length: 0012\r\nexpect: 100-continue\r\n\r\n";
  struct http_head head = {0};

  ck_assert_int_eq(http_head_scan(&head, text, sizeof(text) - 1), HTTP_HEAD_DONE);
  ck_assert_uint_eq(head.start, 2);
  ck_assert_uint_eq(head.end, sizeof(text) - 1);
  ck_assert_uint_eq(head.length, 12);
  ck_assert(head.has_length && head.expect_continue && !head.chunked && !head.http_1_0);
  ck_assert_uint_eq(head.target_len, 4);
  ck_assert_uint_eq(head.host_len, 3);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("net: the strict look at a head");
  TCase *tcase = tcase_create("all");

  tcase_add_loop_test(tcase, a_head_is_taken_or_refused_as_the_table_says, 0, (int)(sizeof(rows) / sizeof(rows[0])));
  tcase_add_loop_test(tcase, a_head_fed_byte_by_byte_gets_the_same_verdict, 0, (int)(sizeof(rows) / sizeof(rows[0])));
  tcase_add_test(tcase, what_is_too_long_is_refused_before_it_ends);
  tcase_add_test(tcase, a_hundred_headers_are_taken);
  tcase_add_test(tcase, what_frames_the_message_is_reported);
  suite_add_tcase(suite, tcase);
  return peer_main(suite);
}
