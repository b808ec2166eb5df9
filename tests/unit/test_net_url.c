#include "core/base/buf.h"
#include "core/base/text.h"
#include "core/net/egress.h"
#include "net_peer.h"
#include <stdio.h>

/* want: the normal form, or the code it is refused with; verdict: what egress says of it with nothing allowed. */
static const struct row {
  const char *text, *want, *verdict;
} rows[] = {
    {"http://shop.example", "http://shop.example/", "ok"},
    {"https://Shop.Example:443/a/b?c=d&e=%20", "https://shop.example/a/b?c=d&e=%20", "ok"},
    {"https://shop.example.:8443/?x", "https://shop.example:8443/?x", "ok"},
    {"https://shop.example?x=1", "https://shop.example/?x=1", "ok"},
    {"smtp://smtp.shop.example:587", "smtp://smtp.shop.example:587/", "ok"},
    {"smtps://mx", "smtps://mx/", "ok"},
    {"imaps://imap.shop.example:993", "imaps://imap.shop.example/", "ok"},
    {"smpp://smsc.example:2775", "smpp://smsc.example/", "ok"},
    {"smpps://smsc.example:2775", "smpps://smsc.example:2775/", "ok"},
    {"imap://mx", "imap://mx/", "ok"},
    {"https://8.8.8.8/", "https://8.8.8.8/", "ok"},
    {"https://[2606:4700::1111]/", "https://[2606:4700::1111]/", "ok"},
    /* B70 */
    {"http://127.0.0.1", "http://127.0.0.1/", "address_not_allowed"},
    {"http://0", "http://0.0.0.0/", "address_not_allowed"},
    {"http://127.1", "http://127.0.0.1/", "address_not_allowed"},
    {"http://0x7f000001", "http://127.0.0.1/", "address_not_allowed"},
    {"http://0X7F.1", "http://127.0.0.1/", "address_not_allowed"},
    {"http://2130706433", "http://127.0.0.1/", "address_not_allowed"},
    {"http://017700000001", "http://127.0.0.1/", "address_not_allowed"},
    {"http://127.0.0.1.", "http://127.0.0.1/", "address_not_allowed"},
    {"http://[::1]", "http://[::1]/", "address_not_allowed"},
    {"http://[::ffff:127.0.0.1]", "http://[::ffff:127.0.0.1]/", "address_not_allowed"},
    {"http://[::]", "http://[::]/", "address_not_allowed"},
    {"http://0.0.0.0", "http://0.0.0.0/", "address_not_allowed"},
    {"http://localhost", "http://localhost/", "address_not_allowed"},
    {"http://a.LocalHost", "http://a.localhost/", "address_not_allowed"},
    {"http://4294967296", "host_invalid", NULL},
    {"http://1.2.3.4.5", "host_invalid", NULL},
    {"http://1.2.3.256", "host_invalid", NULL},
    {"http://09.1.2.3", "host_invalid", NULL},
    {"http://a.09", "host_invalid", NULL},
    {"http://256.1.1.1", "host_invalid", NULL},
    /* B71 */
    {"http://169.254.169.254/latest", "http://169.254.169.254/latest", "address_not_allowed"},
    {"http://[fd00:ec2::254]/", "http://[fd00:ec2::254]/", "address_not_allowed"},
    {"http://metadata.google.internal/", "http://metadata.google.internal/", "address_not_allowed"},
    {"http://100.64.0.1/", "http://100.64.0.1/", "address_not_allowed"},
    {"http://10.1.2.3/", "http://10.1.2.3/", "address_not_allowed"},
    {"http://172.31.255.255/", "http://172.31.255.255/", "address_not_allowed"},
    {"http://192.168.1.1/", "http://192.168.1.1/", "address_not_allowed"},
    {"http://[fe80::1%25eth0]/", "host_invalid", NULL},
    {"http://[fe80::1]/", "http://[fe80::1]/", "address_not_allowed"},
    {"http://[64:ff9b::7f00:1]/", "http://[64:ff9b::7f00:1]/", "address_not_allowed"},
    {"http://224.0.0.1/", "http://224.0.0.1/", "address_not_allowed"},
    {"http://255.255.255.255/", "http://255.255.255.255/", "address_not_allowed"},
    /* B74 */
    {"file:///etc/passwd", "scheme_not_allowed", NULL},
    {"gopher://x/", "scheme_not_allowed", NULL},
    {"ftp://x/", "scheme_not_allowed", NULL},
    {"dict://x/", "scheme_not_allowed", NULL},
    {"javascript:alert(1)", "scheme_not_allowed", NULL},
    {"data:text/plain,x", "scheme_not_allowed", NULL},
    {"//host/", "url_invalid", NULL},
    {"http:/host", "url_invalid", NULL},
    {"http:host", "url_invalid", NULL},
    {"HTTP://Host/Path", "http://host/Path", "ok"},
    {"", "url_invalid", NULL},
    {"http://", "host_invalid", NULL},
    {"http:///x", "host_invalid", NULL},
    {"http://a b/", "url_invalid", NULL},
    {"http://a/b c", "url_invalid", NULL},
    {"http://a/#f", "url_invalid", NULL},
    {"http://a\\@b/", "url_invalid", NULL},
    {"http://user:pass@a/", "userinfo_not_allowed", NULL},
    {"http://a@127.0.0.1/", "userinfo_not_allowed", NULL},
    {"http://\xc3\xa4.example/", "url_invalid", NULL},
    {"http://a%2eb/", "host_invalid", NULL},
    {"http://a..b/", "host_invalid", NULL},
    {"http://.a/", "host_invalid", NULL},
    {"http://[::1", "host_invalid", NULL},
    {"http://[::1]x/", "host_invalid", NULL},
    {"http://[1.2.3.4]/", "host_invalid", NULL},
    {"http://::1/", "host_invalid", NULL},
    /* B77 */
    {"http://a:0/", "port_invalid", NULL},
    {"http://a:22/", "http://a:22/", "port_not_allowed"},
    {"http://a:25/", "http://a:25/", "port_not_allowed"},
    {"http://a:6379/", "http://a:6379/", "port_not_allowed"},
    {"smtp://a:25/", "smtp://a/", "ok"},
    {"http://a:65536/", "port_invalid", NULL},
    {"http://a:80a/", "port_invalid", NULL},
    {"http://a:-1/", "port_invalid", NULL},
    {"http://a:/", "port_invalid", NULL},
    {"http://a:+80/", "port_invalid", NULL},
};

static struct egress *egress_of(const char *allow, const char *ports)
{
  parley_text nets[8], ranges[8], bad, rest;
  size_t n_nets = 0, n_ranges = 0;
  struct egress *egress = NULL;

  for (rest = parley_text_of(allow); rest.len > 0;)
    nets[n_nets++] = text_cut(&rest, ' ');
  for (rest = parley_text_of(ports); rest.len > 0;)
    ranges[n_ranges++] = text_cut(&rest, ' ');
  if (egress_new(nets, n_nets, ranges, n_ranges, &egress, &bad) != PARLEY_OK)
    return NULL;
  return egress;
}

START_TEST(a_url_is_taken_or_refused_as_the_table_says)
{
  const struct row *row = &rows[_i];
  struct egress *egress = egress_of("", "");
  struct buf got = BUF_INIT(0);
  const char *why = "ok";
  struct url url;

  if (url_parse(parley_text_of(row->text), &url, &why) != PARLEY_OK) {
    buf_str(&got, why);
  } else {
    url_write(&got, &url);
    egress_url_check(egress, &url, &why);
    ck_assert_msg(row->verdict != NULL && strcmp(why, row->verdict) == 0, "%s: %s", row->text, why);
  }
  ck_assert_msg(strcmp(got.at, row->want) == 0, "%s: %s", row->text, got.at);
  buf_done(&got);
  egress_free(&egress);
}
END_TEST

START_TEST(a_host_too_long_is_never_cut)
{
  char text[600];
  const char *why = "";
  struct url url;

  /* B76: what libuv once cut to 0x7f000001 */
  snprintf(text, sizeof(text), "http://%0300d/", 0x7f000001);
  ck_assert_int_eq(url_parse(parley_text_of(text), &url, &why), PARLEY_INVALID);
  ck_assert_str_eq(why, "host_too_long");
  snprintf(text, sizeof(text), "http://%064d.example/", 1);
  ck_assert_int_eq(url_parse(parley_text_of(text), &url, &why), PARLEY_INVALID);
  ck_assert_str_eq(why, "host_too_long");
  snprintf(text, sizeof(text), "http://%063d.example/", 1);
  ck_assert_int_eq(url_parse(parley_text_of(text), &url, &why), PARLEY_OK);
  ck_assert_int_eq(url_parse((parley_text){"http://a\0b/", 11}, &url, &why), PARLEY_INVALID);
  ck_assert_str_eq(why, "url_invalid");
}
END_TEST

static const struct {
  const char *allow, *address;
  bool allowed;
} addresses[] = {
    {"", "1.1.1.1", true},
    {"", "0.1.2.3", false},
    {"", "9.255.255.255", true},
    {"", "11.0.0.0", true},
    {"", "100.63.255.255", true},
    {"", "100.127.255.255", false},
    {"", "100.128.0.0", true},
    {"", "172.15.0.1", true},
    {"", "172.32.0.0", true},
    {"", "192.0.0.8", false},
    {"", "192.0.2.1", false},
    {"", "192.88.99.1", false},
    {"", "198.17.255.255", true},
    {"", "198.18.0.1", false},
    {"", "198.19.255.255", false},
    {"", "198.51.100.7", false},
    {"", "203.0.113.7", false},
    {"", "223.255.255.255", true},
    {"", "239.1.1.1", false},
    {"", "240.0.0.1", false},
    {"", "::", false},
    {"", "::1", false},
    {"", "::7f00:1", false},
    {"", "::ffff:10.0.0.1", false},
    {"", "::ffff:8.8.8.8", true},
    {"", "64:ff9b::808:808", true},
    {"", "64:ff9b::a00:1", false},
    {"", "64:ff9b:1::808:808", false},
    {"", "100::1", false},
    {"", "2001::1", false},
    {"", "2001:db8::1", false},
    {"", "2001:4860:4860::8888", true},
    {"", "2002:7f00:1::", false},
    {"", "3fff:fff::1", false},
    {"", "3fff:1000::1", true},
    {"", "5f00::1", false},
    {"", "fc00::1", false},
    {"", "fdff::1", false},
    {"", "fe80::1", false},
    {"", "fec0::1", false},
    {"", "ff02::1", false},
    {"127.0.0.0/8 ::1", "127.9.9.9", true},
    {"127.0.0.0/8 ::1", "::1", true},
    {"127.0.0.0/8 ::1", "::ffff:127.0.0.1", true},
    {"127.0.0.0/8 ::1", "::2", false},
    {"127.0.0.0/8 ::1", "10.0.0.1", false},
    {"10.16.0.0/12", "10.31.255.255", true},
    {"10.16.0.0/12", "10.32.0.0", false},
    {"fd00:1::/32", "fd00:1:ffff::1", true},
    {"fd00:1::/32", "fd00:2::1", false},
    {"0.0.0.0/0 ::/0", "10.0.0.1", true},
    {"0.0.0.0/0 ::/0", "fe80::1", true},
};

START_TEST(an_address_is_allowed_or_not_as_the_table_says)
{
  struct egress *egress = egress_of(addresses[_i].allow, "");
  struct net_address address;

  ck_assert_ptr_nonnull(egress);
  ck_assert(net_address_parse(parley_text_of(addresses[_i].address), 443, &address));
  ck_assert_msg(egress_address_allowed(egress, &address.any) == addresses[_i].allowed, "%s", addresses[_i].address);
  egress_free(&egress);
}
END_TEST

START_TEST(a_bad_entry_of_the_allow_list_is_named)
{
  static const char *const bad[] = {"10.0.0.0/33", "10.0.0.1/8", "10.0.0",      "x",
                                    "::/129",      "10.0.0.0/",  "10.0.0.0/-1", "127.1"};
  static const char *const bad_ports[] = {"0", "65536", "80-", "90-80", "http", "-1"};

  for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
    ck_assert_msg(egress_of(bad[i], "") == NULL, "%s", bad[i]);
  for (size_t i = 0; i < sizeof(bad_ports) / sizeof(bad_ports[0]); i++)
    ck_assert_msg(egress_of("", bad_ports[i]) == NULL, "%s", bad_ports[i]);
}
END_TEST

START_TEST(ports_are_the_operators)
{
  struct egress *usual = egress_of("", ""), *own = egress_of("", "8000-8999 443");

  ck_assert(egress_http_port_allowed(usual, 80) && egress_http_port_allowed(usual, 8443) &&
            !egress_http_port_allowed(usual, 8080));
  ck_assert(egress_http_port_allowed(own, 8000) && egress_http_port_allowed(own, 8999) &&
            egress_http_port_allowed(own, 443));
  ck_assert(!egress_http_port_allowed(own, 80) && !egress_http_port_allowed(own, 9000));
  egress_free(&usual);
  egress_free(&own);
}
END_TEST

START_TEST(percent_escapes_are_decoded_strictly)
{
  static const struct {
    const char *text;
    bool form;
    const char *want; /* NULL: refused */
  } cases[] = {{"a%20b", false, "a b"},       {"a+b", false, "a+b"},  {"a+b%2B", true, "a b+"},
               {"%c3%A4", false, "\xc3\xa4"}, {"%", false, NULL},     {"%2", false, NULL},
               {"%2g", false, NULL},          {"a%00b", false, NULL}, {"", false, ""}};
  char got[32];

  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
    size_t len = url_decode(parley_text_of(cases[i].text), cases[i].form, got);

    if (cases[i].want == NULL)
      ck_assert_msg(len == SIZE_MAX, "%s", cases[i].text);
    else
      ck_assert_msg(len == strlen(cases[i].want) && memcmp(got, cases[i].want, len) == 0, "%s", cases[i].text);
  }
}
END_TEST

START_TEST(a_query_is_walked_pair_by_pair)
{
  parley_text rest = PARLEY_LIT("a=1&&b&c=x=y&=z"), name, value;
  struct buf got = BUF_INIT(0), coded = BUF_INIT(0);

  while (url_query_next(&rest, &name, &value))
    buf_printf(&got, "[%.*s|%.*s]", (int)name.len, name.at, (int)value.len, value.at);
  ck_assert_str_eq(got.at, "[a|1][b|][c|x=y][|z]");
  url_encode(&coded, (parley_text){"a b/\xc3~\0", 7});
  ck_assert_str_eq(coded.at, "a%20b%2F%C3~%00");
  buf_done(&got);
  buf_done(&coded);
}
END_TEST

START_TEST(addresses_are_read_and_written)
{
  static const char *const round[] = {"127.0.0.1:80", "[::1]:65535", "[2001:db8::1]:0"};
  static const char *const bad[] = {"127.0.0.1",  "::1:80",       "[::1]",    "127.0.0.1:65536",
                                    "127.0.0.1:", "localhost:80", "127.1:80", ":80"};
  struct net_address address;
  char text[NET_ADDRESS_TEXT_MAX];

  for (size_t i = 0; i < sizeof(round) / sizeof(round[0]); i++) {
    ck_assert(net_address_port_parse(parley_text_of(round[i]), &address));
    net_address_format(&address, true, text);
    ck_assert_str_eq(text, round[i]);
  }
  for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
    ck_assert_msg(!net_address_port_parse(parley_text_of(bad[i]), &address), "%s", bad[i]);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("net: URLs and egress");
  TCase *tcase = tcase_create("all");

  tcase_add_loop_test(tcase, a_url_is_taken_or_refused_as_the_table_says, 0, (int)(sizeof(rows) / sizeof(rows[0])));
  tcase_add_loop_test(tcase, an_address_is_allowed_or_not_as_the_table_says, 0,
                      (int)(sizeof(addresses) / sizeof(addresses[0])));
  tcase_add_test(tcase, a_host_too_long_is_never_cut);
  tcase_add_test(tcase, a_bad_entry_of_the_allow_list_is_named);
  tcase_add_test(tcase, ports_are_the_operators);
  tcase_add_test(tcase, percent_escapes_are_decoded_strictly);
  tcase_add_test(tcase, a_query_is_walked_pair_by_pair);
  tcase_add_test(tcase, addresses_are_read_and_written);
  suite_add_tcase(suite, tcase);
  return peer_main(suite);
}
