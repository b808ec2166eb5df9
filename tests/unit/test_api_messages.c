#include "api_fixture.h"
#include "core/channel/instance.h"
#include "core/deliver/line.h"

static struct api_fixture f;

static void setup(void)
{
  api_fixture_init(&f);
}

static void teardown(void)
{
  api_fixture_done(&f);
}

/* --- Messages and idempotency ------------------------------------------------------------------------------------- */

START_TEST(a_message_is_accepted_sent_and_shown)
{
  const char *id;
  uint64_t deadline = peer_deadline();

  ask(&f, "POST", "/v1/messages", simple_message);
  ck_assert_code(&f, 202);
  ck_assert_str_eq(said_text(&f, "status"), "accepted");
  ck_assert_str_eq(said_text(&f, "plan.0.to"), "a***@example.org");
  id = keep(0, "id");
  do
    ask_at(&f, "GET", NULL, "/v1/messages/%s", id);
  while (strcmp(said_text(&f, "status"), "sent") != 0 && !peer_late(deadline));
  ck_assert_str_eq(said_text(&f, "status"), "sent");
  ck_assert_str_eq(said_text(&f, "deliveries.0.channel"), "mail");
  ck_assert_str_eq(said_text(&f, "attempts.0.outcome"), "accepted");
  ask(&f, "GET", "/v1/channels/mail/sink", NULL);
  ck_assert_code(&f, 200);
  ck_assert_str_eq(said_text(&f, "items.0.message"), id);
  ck_assert_str_eq(said_text(&f, "items.0.to.value"), "ana@example.org");
  ck_assert_int_eq(said_int(&f, "count"), 1);
  ask(&f, "GET", "/v1/messages?to=email:ana@example.org", NULL);
  ck_assert_uint_eq(said_count(&f, "items"), 1);
}
END_TEST

START_TEST(the_same_key_and_body_get_the_first_answer_again)
{
  const char *id;

  ask_keyed(&f, "/v1/messages", "k1", simple_message);
  ck_assert_code(&f, 202);
  id = keep(0, "id");
  keepf(1, "%s", f.body);
  ask_keyed(&f, "/v1/messages", "k1", simple_message);
  ck_assert_code(&f, 202);
  ck_assert_str_eq(f.body, kept[1]);
  ck_assert_ptr_nonnull(strstr(f.answer, "Idempotency-Replayed: true"));
  ask(&f, "GET", "/v1/messages", NULL);
  ck_assert_uint_eq(said_count(&f, "items"), 1);
  ck_assert_str_eq(said_text(&f, "items.0.id"), id);
}
END_TEST

START_TEST(the_same_key_with_another_body_is_refused)
{
  ask_keyed(&f, "/v1/messages", "k1", simple_message);
  ask_keyed(&f, "/v1/messages", "k1",
            "{\"to\":{\"email\":\"bo@example.org\"},\"topic\":\"orders\",\"content\":{\"text\":\"Another.\"}}");
  ck_assert_problem(&f, 422, "key_reused");
}
END_TEST

START_TEST(another_api_key_has_keys_of_its_own)
{
  ask_keyed(&f, "/v1/messages", "k1", simple_message);
  ask_raw(&f, "POST", "/v1/messages", TESTER, "Idempotency-Key: k1\r\n", simple_message, strlen(simple_message));
  ck_assert_code(&f, 202);
  ck_assert_ptr_null(strstr(f.answer, "Idempotency-Replayed"));
}
END_TEST

START_TEST(a_refusal_is_not_remembered)
{
  ask_keyed(&f, "/v1/messages", "k1",
            "{\"to\":{\"customer\":\"cus_0000000000001\"},\"topic\":\"orders\",\"content\":{\"text\":\"x\"}}");
  ck_assert_problem(&f, 404, "customer_not_found");
  ask_keyed(&f, "/v1/messages", "k1", simple_message);
  ck_assert_code(&f, 202);
}
END_TEST

START_TEST(a_key_whose_request_is_still_running_is_409)
{
  struct buf twice = BUF_INIT(0);
  char *answer = malloc(ANSWER_MAX);
  int fd = peer_connect(f.port);

  for (int i = 0; i < 2; i++)
    buf_printf(&twice,
               "POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " ADMIN
               "\r\nIdempotency-Key: k1\r\nContent-Length: %zu\r\n%s\r\n%s",
               strlen(simple_message), i == 1 ? "Connection: close\r\n" : "", simple_message);
  peer_send(&f.loop, fd, twice.at, twice.len);
  peer_read(&f.loop, fd, answer, ANSWER_MAX, NULL, NULL);
  ck_assert_ptr_nonnull(strstr(answer, "HTTP/1.1 202"));
  ck_assert_ptr_nonnull(strstr(answer, "HTTP/1.1 409"));
  ck_assert_ptr_nonnull(strstr(answer, "request_running"));
  ck_assert_ptr_nonnull(strstr(answer, "Retry-After: 1"));
  close(fd);
  free(answer);
  buf_done(&twice);
}
END_TEST

static const struct {
  const char *key;
  bool ok;
} keys[] = {{"a", true}, {"\"quoted\"", true}, {"", false}, {"t\303\251", false}};

START_TEST(an_idempotency_key_is_printable_ascii)
{
  ask_keyed(&f, "/v1/messages", keys[_i].key, simple_message);
  if (keys[_i].ok)
    ck_assert_code(&f, 202);
  else
    ck_assert_problem(&f, 422, "bad_idempotency_key");
}
END_TEST

START_TEST(a_business_key_makes_one_message_of_two)
{
  static const char keyed[] =
      "{\"to\":{\"email\":\"ana@example.org\"},\"topic\":\"orders\",\"key\":\"order-1\",\"content\":{\"text\":\"x\"}}";

  ask(&f, "POST", "/v1/messages", keyed);
  ck_assert_code(&f, 202);
  keep(0, "id");
  ask(&f, "POST", "/v1/messages", keyed);
  ck_assert_code(&f, 200);
  ck_assert_str_eq(said_text(&f, "id"), kept[0]);
  ck_assert_int_eq(json_is_true(said(&f, "duplicate")), 1);
}
END_TEST

START_TEST(what_is_not_sent_is_cancelled_by_its_key_which_is_then_free)
{
  static const char keyed[] =
      "{\"to\":{\"email\":\"ana@example.org\"},\"topic\":\"orders\",\"key\":\"a/1\",\"content\":{\"text\":\"x\"}}";

  ask(&f, "POST", "/v1/channels/mail/pause", NULL);
  ask(&f, "POST", "/v1/messages", keyed);
  keep(0, "id");
  ask_at(&f, "POST", "{\"as\":\"resend\"}", "/v1/messages/%s/resolve", kept[0]);
  ck_assert_problem(&f, 409, "not_held");
  ask(&f, "POST", "/v1/messages/key:a%2F1/cancel", NULL);
  ck_assert_code(&f, 200);
  ck_assert_str_eq(said_text(&f, "id"), kept[0]);
  ck_assert_int_eq(json_is_true(said(&f, "cancelled")), 1);
  ask(&f, "POST", "/v1/messages", keyed);
  ck_assert_code(&f, 202);
  ask_at(&f, "POST", NULL, "/v1/messages/%s/cancel", said_text(&f, "id"));
  ck_assert_str_eq(said_text(&f, "status"), "cancelled");
}
END_TEST

START_TEST(a_batch_has_one_result_an_item)
{
  ask(&f, "POST", "/v1/messages/batch",
      "{\"items\":[{\"to\":{\"email\":\"ana@example.org\"},\"topic\":\"orders\",\"content\":{\"text\":\"x\"}},"
      "{\"to\":{\"email\":\"nobody\"},\"topic\":\"orders\",\"content\":{\"text\":\"x\"}},"
      "{\"to\":{\"email\":\"bo@example.org\"},\"topic\":\"orders\",\"content\":{\"text\":\"x\"}}]}");
  ck_assert_code(&f, 200);
  ck_assert_uint_eq(said_count(&f, "items"), 3);
  ck_assert_int_eq(said_int(&f, "items.0.status"), 202);
  ck_assert_int_eq(said_int(&f, "items.1.status"), 422);
  ck_assert_str_eq(said_text(&f, "items.1.code"), "bad_email");
  ck_assert_int_eq(said_int(&f, "items.2.status"), 202);
}
END_TEST

START_TEST(explain_decides_and_stores_nothing)
{
  ask(&f, "POST", "/v1/explain",
      "{\"to\":{\"email\":\"ana@example.org\"},\"topic\":\"newsletter\",\"content\":{\"text\":\"x\"}}");
  ck_assert_code(&f, 200);
  ck_assert_str_eq(said_text(&f, "verdict"), "suppressed");
  ck_assert_str_eq(said_text(&f, "reason"), "no_consent");
  ask(&f, "GET", "/v1/messages", NULL);
  ck_assert_uint_eq(said_count(&f, "items"), 0);
}
END_TEST

START_TEST(a_list_goes_on_by_its_cursor_and_a_cursor_fits_only_its_filter)
{
  for (int i = 0; i < 3; i++)
    ask(&f, "POST", "/v1/messages", simple_message);
  ask(&f, "GET", "/v1/messages?topic=orders&limit=2", NULL);
  ck_assert_uint_eq(said_count(&f, "items"), 2);
  keep(0, "next");
  keep(1, "items.1.id");
  ask_at(&f, "GET", NULL, "/v1/messages?topic=orders&limit=2&cursor=%s", kept[0]);
  ck_assert_code(&f, 200);
  ck_assert_uint_eq(said_count(&f, "items"), 1);
  ck_assert_str_ne(said_text(&f, "items.0.id"), kept[1]);
  ck_assert_int_eq(json_is_null(said(&f, "next")), 1);
  ask_at(&f, "GET", NULL, "/v1/messages?topic=newsletter&cursor=%s", kept[0]);
  ck_assert_problem(&f, 400, "bad_cursor");
}
END_TEST

static void sent_by_test_key(void)
{
  uint64_t deadline = peer_deadline();

  ask_raw(&f, "POST", "/v1/messages", TESTER, "", simple_message, strlen(simple_message));
  ck_assert_code(&f, 202);
  do
    ask(&f, "GET", "/v1/channels/mail/sink?test=true", NULL);
  while (said_int(&f, "count") == 0 && !peer_late(deadline));
  ck_assert_int_eq(said_int(&f, "count"), 1);
}

START_TEST(a_test_key_reaches_the_test_sink_only)
{
  sent_by_test_key();
  ask(&f, "GET", "/v1/channels/mail/sink", NULL);
  ck_assert_int_eq(said_int(&f, "count"), 0);
}
END_TEST

static void real_message_waits(void)
{
  ask(&f, "POST", "/v1/messages", simple_message);
  ck_assert_code(&f, 202);
  ask(&f, "GET", "/v1/channels/mail/sink", NULL);
  ck_assert_int_eq(said_int(&f, "count"), 0);
}

START_TEST(a_test_message_does_not_wait_for_a_channel_that_is_down)
{
  f.channels[0]->host.health(&f.channels[0]->host, PARLEY_DOWN, PARLEY_LIT("no login"), TEXT_EMPTY);
  real_message_waits();
  sent_by_test_key();
}
END_TEST

START_TEST(a_test_message_does_not_wait_for_a_channel_whose_outcomes_said_down)
{
  struct line *line = line_find(f.deliver, PARLEY_LIT("mail"));

  line->down = true;
  line->down_until_ms = INT64_MAX;
  real_message_waits();
  sent_by_test_key();
  ck_assert(line->down); /* what the sink did says nothing about it */
}
END_TEST

START_TEST(a_test_message_does_not_wait_for_a_breaker_or_a_rate)
{
  struct line *line = line_find(f.deliver, PARLEY_LIT("mail"));

  line->rates.per_s = 0.001;
  line->bucket = 0;
  line->bucket_ms = f.env->mono_ms(f.env);
  line_learn(line, TEXT_EMPTY,
             PARLEY_REF(parley_outcome, .result = PARLEY_OUTCOME_THROTTLED, .retry_ms = 3600000));
  real_message_waits();
  sent_by_test_key();
}
END_TEST

/* --- Keys --------------------------------------------------------------------------------------------------------- */

static const char new_key[] = "{\"name\":\"till\",\"scopes\":[\"messages:read\"]}";

START_TEST(a_key_works_is_shown_once_and_outlives_a_restart_until_revoked)
{
  ask(&f, "POST", "/v1/keys", new_key);
  ck_assert_code(&f, 201);
  keep(0, "secret");
  keep(1, "id");
  ck_assert_uint_eq(strlen(kept[0]), 9 + 32 + 6);
  ck_assert_int_eq(strncmp(kept[0], "prl_live_", 9), 0);
  ask(&f, "GET", "/v1/keys", NULL);
  ck_assert_ptr_null(strstr(f.body, kept[0]));
  ck_assert_uint_eq(said_count(&f, "items"), 4);
  api_fixture_down(&f);
  api_fixture_up(&f);
  ck_assert_int_eq(ask_raw(&f, "GET", "/v1/topics", kept[0], "", NULL, 0), 200);
  ck_assert_int_eq(ask_raw(&f, "GET", "/v1/keys", kept[0], "", NULL, 0), 403);
  ck_assert_int_eq(ask_at(&f, "DELETE", NULL, "/v1/keys/%s", kept[1]), 204);
  ck_assert_int_eq(ask_raw(&f, "GET", "/v1/topics", kept[0], "", NULL, 0), 401);
  api_fixture_down(&f);
  api_fixture_up(&f);
  ck_assert_int_eq(ask_raw(&f, "GET", "/v1/topics", kept[0], "", NULL, 0), 401);
}
END_TEST

START_TEST(a_replay_of_a_made_key_has_no_secret)
{
  ask_keyed(&f, "/v1/keys", "k1", new_key);
  ck_assert_code(&f, 201);
  ck_assert_int_eq(json_is_string(said(&f, "secret")), 1);
  keep(0, "id");
  ask_keyed(&f, "/v1/keys", "k1", new_key);
  ck_assert_code(&f, 201);
  ck_assert_int_eq(json_is_null(said(&f, "secret")), 1);
  ck_assert_str_eq(said_text(&f, "id"), kept[0]);
}
END_TEST

START_TEST(names_of_keys_are_unique_and_configured_ones_are_read_only)
{
  ask(&f, "POST", "/v1/keys", new_key);
  ask(&f, "POST", "/v1/keys", new_key);
  ck_assert_problem(&f, 409, "name_taken");
  ask(&f, "POST", "/v1/keys", "{\"name\":\"admin\",\"scopes\":[\"admin\"]}");
  ck_assert_problem(&f, 409, "name_taken");
  ask(&f, "GET", "/v1/keys", NULL);
  ck_assert_int_eq(json_is_true(said(&f, "items.0.configured")), 1);
  keep(0, "items.0.id");
  ask_at(&f, "DELETE", NULL, "/v1/keys/%s", kept[0]);
  ck_assert_problem(&f, 409, "configured");
}
END_TEST

START_TEST(a_key_ends_when_its_time_is_over)
{
  ask(&f, "POST", "/v1/keys", "{\"name\":\"till\",\"scopes\":[\"messages:read\"],\"expires_in\":\"10m\"}");
  ck_assert_code(&f, 201);
  keep(0, "secret");
  ck_assert_int_eq(ask_raw(&f, "GET", "/v1/topics", kept[0], "", NULL, 0), 200);
  env_fake_step(&f.fake, 600000);
  ck_assert_int_eq(ask_raw(&f, "GET", "/v1/topics", kept[0], "", NULL, 0), 401);
}
END_TEST

int main(void)
{
  const TTest *const tests[] = {
      a_message_is_accepted_sent_and_shown,
      the_same_key_and_body_get_the_first_answer_again,
      the_same_key_with_another_body_is_refused,
      another_api_key_has_keys_of_its_own,
      a_refusal_is_not_remembered,
      a_key_whose_request_is_still_running_is_409,
      a_business_key_makes_one_message_of_two,
      what_is_not_sent_is_cancelled_by_its_key_which_is_then_free,
      a_batch_has_one_result_an_item,
      explain_decides_and_stores_nothing,
      a_list_goes_on_by_its_cursor_and_a_cursor_fits_only_its_filter,
      a_test_key_reaches_the_test_sink_only,
      a_test_message_does_not_wait_for_a_channel_that_is_down,
      a_test_message_does_not_wait_for_a_channel_whose_outcomes_said_down,
      a_test_message_does_not_wait_for_a_breaker_or_a_rate,
      a_key_works_is_shown_once_and_outlives_a_restart_until_revoked,
      a_replay_of_a_made_key_has_no_secret,
      names_of_keys_are_unique_and_configured_ones_are_read_only,
      a_key_ends_when_its_time_is_over,
  };
  Suite *suite = suite_create("api_messages");
  TCase *cases = tcase_create("messages");

  tcase_set_timeout(cases, 30);
  tcase_add_checked_fixture(cases, setup, teardown);
  for (size_t i = 0; i < COUNT_OF(tests); i++)
    tcase_add_test(cases, tests[i]);
  tcase_add_loop_test(cases, an_idempotency_key_is_printable_ascii, 0, (int)COUNT_OF(keys));
  suite_add_tcase(suite, cases);
  return peer_main(suite);
}
