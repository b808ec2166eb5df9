#include "core/base/env.h"
#include "core/net/dns.h"
#include "net_names.h"

/* A name server of a few lines: answers A and AAAA for good.example, NXDOMAIN for the rest, nothing for silent.example.
 */
struct names {
  uv_loop_t loop;
  struct env_fake env;
  struct dns *dns;
  struct net_names server;
  bool closed, done;
  parley_status status;
  char found[256];
  int n_done;
};

static void names_open(struct names *names)
{
  memset(names, 0, sizeof(*names));
  ck_assert_int_eq(uv_loop_init(&names->loop), 0);
  env_fake_init(&names->env, 1);
  net_names_open(&names->server, &names->loop);
  ck_assert_int_eq(dns_new(&names->loop, &names->env.env, names->server.servers, &names->dns), PARLEY_OK);
}

static void names_on_done(const struct dns_answer *answer, void *arg)
{
  struct names *names = arg;
  char text[NET_ADDRESS_TEXT_MAX];

  names->done = true;
  names->n_done++;
  names->status = answer->status;
  names->found[0] = '\0';
  for (size_t i = 0; i < answer->n_addresses; i++) {
    net_address_format(&answer->addresses[i], true, text);
    strcat(strcat(names->found, text), " ");
  }
  for (size_t i = 0; i < answer->n_texts; i++)
    strcat(strncat(names->found, answer->texts[i].at, answer->texts[i].len), "|");
}

static void names_close(struct names *names)
{
  if (names->dns != NULL) {
    dns_close(&names->dns, peer_flag, &names->closed);
    peer_until(&names->loop, &names->closed);
  }
  net_names_close(&names->server, &names->loop);
  peer_loop_end(&names->loop);
}

static void ask(struct names *names, const char *host)
{
  names->done = false;
  dns_resolve(names->dns, host, 443, 5000, names_on_done, names);
  ck_assert(!names->done); /* never within the call */
  peer_until(&names->loop, &names->done);
}

START_TEST(a_name_gives_all_its_addresses)
{
  struct names names;

  names_open(&names);
  ask(&names, "good.example");
  ck_assert_int_eq(names.status, PARLEY_OK);
  ck_assert_ptr_nonnull(strstr(names.found, "192.0.2.7:443 "));
  ck_assert_ptr_nonnull(strstr(names.found, "[2001:db8::9]:443 "));
  names_close(&names);
}
END_TEST

START_TEST(a_name_gives_its_texts_with_their_strings_joined)
{
  struct names names;
  static const struct {
    const char *name, *found;
    parley_status status;
  } cases[] = {{"good.example", "v=spf1|x|", PARLEY_OK},
               {"inside.example", "", PARLEY_NOT_FOUND},
               {"none.example", "", PARLEY_NOT_FOUND},
               {"", "", PARLEY_NOT_FOUND}};

  names_open(&names);
  for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
    names.done = false;
    dns_texts(names.dns, cases[i].name, 5000, names_on_done, &names);
    ck_assert(!names.done);
    peer_until(&names.loop, &names.done);
    ck_assert_int_eq(names.status, cases[i].status);
    ck_assert_str_eq(names.found, cases[i].found);
  }
  names.done = false;
  dns_cancel(names.dns, dns_texts(names.dns, "silent.example", 5000, names_on_done, &names));
  peer_until(&names.loop, &names.done);
  ck_assert_int_eq(names.status, PARLEY_CANCELLED);
  dns_texts(names.dns, "silent.example", 5000, names_on_done, &names); /* closed while it is under way */
  names_close(&names);
  ck_assert_int_eq(names.status, PARLEY_CANCELLED);
}
END_TEST

START_TEST(what_is_no_name_is_answered_without_asking)
{
  static const struct {
    const char *host;
    parley_status status;
    const char *found;
  } cases[] = {{"192.0.2.1", PARLEY_OK, "192.0.2.1:443 "},
               {"::1", PARLEY_OK, "[::1]:443 "},
               {"127.1", PARLEY_OK, "127.0.0.1:443 "},
               {"1.2.3.999", PARLEY_NOT_FOUND, ""},
               {"", PARLEY_NOT_FOUND, ""}};
  struct names names;

  names_open(&names);
  for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
    ask(&names, cases[i].host);
    ck_assert_int_eq(names.status, cases[i].status);
    ck_assert_str_eq(names.found, cases[i].found);
  }
  ask(&names, "localhost");
  ck_assert_ptr_nonnull(strstr(names.found, "127.0.0.1:443"));
  ck_assert_int_eq(names.server.n_asked, 0);
  names_close(&names);
}
END_TEST

START_TEST(a_name_that_is_not_there_is_not_found)
{
  struct names names;

  names_open(&names);
  ask(&names, "bad.example");
  ck_assert_int_eq(names.status, PARLEY_NOT_FOUND);
  names_close(&names);
}
END_TEST

START_TEST(a_silent_server_ends_at_the_deadline)
{
  struct names names;

  names_open(&names);
  dns_resolve(names.dns, "silent.example", 443, 1000, names_on_done, &names);
  peer_settle(&names.loop);
  ck_assert(!names.done);
  env_fake_step(&names.env, 1001);
  peer_until(&names.loop, &names.done);
  ck_assert_int_eq(names.status, PARLEY_TIMEOUT);
  names_close(&names);
  ck_assert_int_eq(names.n_done, 1);
}
END_TEST

START_TEST(a_cancelled_look_up_is_answered_once)
{
  struct names names;
  uint64_t id;

  names_open(&names);
  id = dns_resolve(names.dns, "silent.example", 443, 1000, names_on_done, &names);
  peer_settle(&names.loop);
  dns_cancel(names.dns, id);
  dns_cancel(names.dns, id);
  ck_assert(!names.done);
  peer_until(&names.loop, &names.done);
  ck_assert_int_eq(names.status, PARLEY_CANCELLED);
  dns_cancel(names.dns, id);
  names_close(&names);
  ck_assert_int_eq(names.n_done, 1);
}
END_TEST

START_TEST(closing_answers_what_is_under_way)
{
  struct names names;

  names_open(&names);
  dns_resolve(names.dns, "silent.example", 443, 1000, names_on_done, &names);
  dns_resolve(names.dns, "192.0.2.1", 443, 1000, names_on_done, &names);
  dns_close(&names.dns, peer_flag, &names.closed);
  ck_assert_int_eq(names.n_done, 0);
  peer_until(&names.loop, &names.closed);
  ck_assert_int_eq(names.n_done, 2);
  names_close(&names);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("net: names");
  TCase *tcase = tcase_create("all");

  tcase_add_test(tcase, a_name_gives_all_its_addresses);
  tcase_add_test(tcase, a_name_gives_its_texts_with_their_strings_joined);
  tcase_add_test(tcase, what_is_no_name_is_answered_without_asking);
  tcase_add_test(tcase, a_name_that_is_not_there_is_not_found);
  tcase_add_test(tcase, a_silent_server_ends_at_the_deadline);
  tcase_add_test(tcase, a_cancelled_look_up_is_answered_once);
  tcase_add_test(tcase, closing_answers_what_is_under_way);
  suite_add_tcase(suite, tcase);
  return peer_main(suite);
}
