// sources: tests/support/plugin_host.c
/* The email plugin's access tokens: when they are asked for, which mechanism carries them, and what ends badly. The mail server and the
 * token endpoint are played here, answer by answer. */
#include "tests/support/plugin_host.h"
#include <check.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define XOAUTH2 "250-mx\r\n250 AUTH PLAIN XOAUTH2 OAUTHBEARER\r\n"

static struct plugin_host *host;
static struct plugin_host_message messages[8];

static const char *const options[] = {"smtp", "smtp://127.0.0.1:2525", "from", "a@shop.example", "user", "a@shop.example",
                                      "sessions", "1", "oauth.token_url", "https://login.example/token", "oauth.client_id", "client",
                                      "oauth.refresh_token", "refresh-0", NULL};

static void begin(void)
{
  host = plugin_host_new("email");
  plugin_host_start(host, options);
}

static void end(void)
{
  plugin_host_done(&host);
}

static void submit(uint64_t token)
{
  ck_assert_int_eq(plugin_host_submit(host, token, plugin_host_text(&messages[token], "msg_1", "email", "ana@example.org", "hello")),
                   PARLEY_OK);
  plugin_host_run(host);
}

static void endpoint_says(size_t request, uint32_t code, const char *body)
{
  ck_assert_uint_eq(host->n_https, request + 1);
  plugin_host_http_reply(host, request, &(parley_http_response){.size = sizeof(parley_http_response), .code = code, .sent = 1,
                                                                .body = parley_text_of(body)});
  plugin_host_run(host);
}

static void server_says(size_t stream, const char *line)
{
  plugin_host_stream_data(host, stream, parley_text_of(line));
  plugin_host_run(host);
}

static bool server_got(size_t stream, const char *words)
{
  return memmem(host->streams[stream].written.at, host->streams[stream].written.len, words, strlen(words)) != NULL;
}

static void login_begins(size_t stream, const char *offers)
{
  ck_assert_uint_eq(host->n_streams, stream + 1);
  plugin_host_stream_opened(host, stream);
  plugin_host_run(host);
  server_says(stream, "220 mx\r\n");
  server_says(stream, offers);
}

START_TEST(nothing_connects_before_there_is_a_token)
{
  submit(1);
  ck_assert_uint_eq(host->n_streams, 0);
  ck_assert_uint_eq(host->n_https, 1);
  ck_assert(parley_text_is(host->https[0].method, "POST"));
  ck_assert(parley_text_is(host->https[0].url, "https://login.example/token"));
  ck_assert(parley_text_is(host->https[0].body, "grant_type=refresh_token&client_id=client&refresh_token=refresh-0"));
  submit(2);
  ck_assert_uint_eq(host->n_https, 1); /* one request for all */
  endpoint_says(0, 200, "{\"access_token\":\"at-1\",\"expires_in\":3600}");
  login_begins(0, XOAUTH2);
  ck_assert(server_got(0, "AUTH XOAUTH2 dXNlcj1hQHNob3AuZXhhbXBsZQFhdXRoPUJlYXJlciBhdC0xAQE=\r\n"));
  server_says(0, "235 2.7.0 ok\r\n");
  ck_assert(server_got(0, "MAIL FROM:<a@shop.example>"));
  plugin_host_stream_closed(host, 0, PARLEY_CLOSED);
}
END_TEST

static const struct {
  const char *offers, *auth, *taken_note;
} mechanisms[] = {
    {XOAUTH2, "AUTH XOAUTH2 ", "\r\n\r\n"},
    {"250-mx\r\n250 AUTH OAUTHBEARER\r\n", "AUTH OAUTHBEARER ", "\r\nAQ==\r\n"},
};

START_TEST(a_refused_token_is_replaced_once_then_the_channel_is_down)
{
  submit(1);
  endpoint_says(0, 200, "{\"access_token\":\"at-1\",\"expires_in\":3600}");
  login_begins(0, mechanisms[_i].offers);
  ck_assert(server_got(0, mechanisms[_i].auth));
  server_says(0, "334 eyJzdGF0dXMiOiI0MDEifQ==\r\n");
  ck_assert(server_got(0, mechanisms[_i].taken_note));
  server_says(0, "535 5.7.8 token is no good\r\n");
  plugin_host_stream_closed(host, 0, PARLEY_CLOSED);
  plugin_host_run(host);
  ck_assert_uint_eq(plugin_host_result(host, 1), 0); /* nobody has noticed */
  endpoint_says(1, 200, "{\"access_token\":\"at-2\",\"expires_in\":3600}");
  login_begins(1, mechanisms[_i].offers);
  server_says(1, "535 5.7.8 nor is this one\r\n");
  plugin_host_stream_closed(host, 1, PARLEY_CLOSED);
  plugin_host_run(host);
  ck_assert_uint_eq(plugin_host_result(host, 1), PARLEY_OUTCOME_CHANNEL_DOWN);
  ck_assert_uint_eq(host->health, PARLEY_DOWN);
  ck_assert(parley_text_is(host->health_cause, "nor is this one"));
  ck_assert(memmem(host->health_remedy.at, host->health_remedy.len, "parley channel login", 20) != NULL);
}
END_TEST

START_TEST(a_token_is_renewed_before_its_end_and_the_old_one_serves_meanwhile)
{
  submit(1);
  endpoint_says(0, 200, "{\"access_token\":\"at-1\",\"expires_in\":3600}");
  login_begins(0, XOAUTH2);
  plugin_host_stream_closed(host, 0, PARLEY_CLOSED); /* the job goes back into the queue's front, or is throttled: see below */
  plugin_host_run(host);
  plugin_host_step(host, 3600000 - 240000); /* within five minutes of its end */
  submit(2);
  ck_assert_uint_eq(host->n_https, 2);
  ck_assert_uint_ge(host->n_streams, 2); /* by the old one */
  endpoint_says(1, 500, "");             /* not now: there is time */
  ck_assert_uint_ne(host->health, PARLEY_DOWN);
}
END_TEST

static const struct {
  uint32_t code;
  const char *body;
  bool for_good;
  const char *cause;
} answers[] = {
    {400, "{\"error\":\"invalid_grant\",\"error_description\":\"expired\\r\\nx\"}", true, "invalid_grant): expired??x"},
    {401, "{\"error\":\"invalid_client\"}", true, "401 invalid_client"},
    {403, "<html>", true, "403"},
    {200, "{}", true, "no access token"},
    {200, "{\"access_token\":7}", true, "no access token"},
    {200, "not JSON", true, "200"},
    {302, "", true, "302"},
    {500, "", false, ""},
    {429, "{\"error\":\"slow\"}", false, ""},
    {400, "{\"error\":\"temporarily_unavailable\"}", false, ""},
};

START_TEST(what_the_endpoint_says_is_for_good_or_for_now)
{
  submit(1);
  endpoint_says(0, answers[_i].code, answers[_i].body);
  ck_assert_uint_eq(plugin_host_result(host, 1), answers[_i].for_good ? PARLEY_OUTCOME_CHANNEL_DOWN : PARLEY_OUTCOME_THROTTLED);
  ck_assert_int_eq(host->health == PARLEY_DOWN, answers[_i].for_good);
  if (answers[_i].for_good)
    ck_assert_msg(memmem(host->health_cause.at, host->health_cause.len, answers[_i].cause, strlen(answers[_i].cause)) != NULL, "%.*s",
                  (int)host->health_cause.len, host->health_cause.at);
  plugin_host_step(host, 61000); /* it asks again, and a good answer opens the door */
  if (answers[_i].for_good)
    ck_assert_uint_ge(host->n_https, 2);
}
END_TEST

START_TEST(a_refresh_token_that_is_replaced_is_kept_and_used)
{
  submit(1);
  endpoint_says(0, 200, "{\"access_token\":\"at-1\",\"expires_in\":3600,\"refresh_token\":\"refresh+1\"}");
  ck_assert_uint_eq(host->n_states, 1);
  ck_assert(memmem(host->states[0].value.at, host->states[0].value.len, " refresh+1", 10) != NULL);
  ck_assert(memmem(host->states[0].value.at, host->states[0].value.len, "refresh-0", 9) == NULL); /* its hash alone */
  login_begins(0, XOAUTH2);
  server_says(0, "535 5.7.8 no\r\n");
  ck_assert_uint_eq(host->n_https, 2);
  ck_assert(memmem(host->https[1].body.at, host->https[1].body.len, "refresh_token=refresh%2B1", 25) != NULL);
  plugin_host_stream_closed(host, 0, PARLEY_CLOSED);
}
END_TEST

START_TEST(a_probe_waits_for_the_token_too)
{
  ck_assert_int_eq(plugin_host_probe(host, 1), PARLEY_OK);
  plugin_host_run(host);
  endpoint_says(0, 400, "{\"error\":\"invalid_grant\"}");
  ck_assert_uint_eq(plugin_host_result(host, 1), PARLEY_OUTCOME_CHANNEL_DOWN);
}
END_TEST

START_TEST(a_stop_while_asking_ends_all)
{
  submit(1);
  ck_assert_int_eq(plugin_host_probe(host, 2), PARLEY_OK);
  plugin_host_run(host);
  plugin_host_stop(host);
  ck_assert_uint_eq(plugin_host_result(host, 1), PARLEY_OUTCOME_THROTTLED);
  ck_assert_uint_eq(plugin_host_result(host, 2), PARLEY_OUTCOME_RETRY);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("plugin: email, OAuth");
  TCase *tcase = tcase_create("all");
  SRunner *runner;
  int failed;

  tcase_add_checked_fixture(tcase, begin, end);
  tcase_add_test(tcase, nothing_connects_before_there_is_a_token);
  tcase_add_loop_test(tcase, a_refused_token_is_replaced_once_then_the_channel_is_down, 0, COUNT(mechanisms));
  tcase_add_test(tcase, a_token_is_renewed_before_its_end_and_the_old_one_serves_meanwhile);
  tcase_add_loop_test(tcase, what_the_endpoint_says_is_for_good_or_for_now, 0, COUNT(answers));
  tcase_add_test(tcase, a_refresh_token_that_is_replaced_is_kept_and_used);
  tcase_add_test(tcase, a_probe_waits_for_the_token_too);
  tcase_add_test(tcase, a_stop_while_asking_ends_all);
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed > 0;
}
