// sources: tests/support/plugin_host.c
// libraries: PkgConfig::OPENSSL
/* The real .so in a host that the test plays: order, ids, what is answered when, and what is left at a stop. */
#include "core/base/alloc.h"
#include "core/base/text.h"
#include "plugins/common/digest.h"
#include "tests/support/plugin_host.h"
#include <check.h>
#include <stdio.h>

#define MSG "msg_01KAM2Z8Q3XWA"
#define TOKEN "12345"
static const char *const options[] = {"provider", "twilio", "account", "AC1", "secret", TOKEN, "from", "+15005550006", NULL};
static struct plugin_host *h;

static void setup(void)
{
  h = plugin_host_new("sms-http");
}

static void teardown(void)
{
  plugin_host_done(&h);
}

static void answer(size_t index, uint32_t code, const char *body, uint32_t retry_ms)
{
  plugin_host_http_reply(h, index,
                         &(parley_http_response){.size = sizeof(parley_http_response),
                                                 .code = code,
                                                 .sent = 1,
                                                 .retry_ms = retry_ms,
                                                 .body = parley_text_of(body)});
}

/* A message of several TEXT parts; out: how many of them went out before. */
static parley_message *message_of(uint32_t n_texts, uint32_t n_out)
{
  static parley_part parts[4];
  static const parley_part *list[4];
  static parley_identity to;
  static parley_message msg;

  to = (parley_identity){.size = sizeof to, .kind = PARLEY_LIT("phone"), .value = PARLEY_LIT("+34600111222")};
  for (uint32_t i = 0; i < n_texts; i++) {
    parts[i] = (parley_part){.size = sizeof parts[i],
                             .kind = PARLEY_PART_TEXT,
                             .unit = PARLEY_UNIT_GSM7,
                             .text = parley_text_of(&"abcd"[i])};
    parts[i].text.len = 1;
    parts[i].provider_id = i < n_out ? PARLEY_LIT("SMold") : (parley_text){NULL, 0};
    list[i] = &parts[i];
  }
  msg = (parley_message){.size = sizeof msg,
                         .kind = PARLEY_KIND_CONTENT,
                         .id = PARLEY_LIT(MSG),
                         .to = &to,
                         .parts = list,
                         .n_parts = n_texts,
                         .expires_ms = PLUGIN_HOST_NOW_MS + 60000};
  return &msg;
}

/* --- Out ------------------------------------------------------------------------------------------------------------ */
START_TEST(pieces_go_one_after_the_other_and_each_has_its_id)
{
  const parley_outcome *outcome;

  plugin_host_start(h, options);
  ck_assert_int_eq(plugin_host_submit(h, 1, message_of(3, 0)), PARLEY_OK);
  for (size_t i = 0; i < 3; i++) {
    char body[64];

    ck_assert_uint_eq(h->n_https, i + 1);
    ck_assert_uint_eq(h->https[i].token, 1);
    snprintf(body, sizeof body, "{\"sid\":\"SM%zu\"}", i);
    answer(i, 201, body, 0);
  }
  outcome = plugin_host_outcome(h, 1);
  ck_assert_uint_eq(outcome->result, PARLEY_OUTCOME_ACCEPTED);
  ck_assert_uint_eq(outcome->n_ids, 3);
  ck_assert(parley_text_is(outcome->ids[0], "SM0") && parley_text_is(outcome->ids[2], "SM2"));
}
END_TEST

START_TEST(a_piece_that_is_refused_leaves_the_ids_of_those_before)
{
  const parley_outcome *outcome;

  plugin_host_start(h, options);
  plugin_host_submit(h, 1, message_of(3, 1));
  answer(0, 201, "{\"sid\":\"SM1\"}", 0);
  ck_assert_uint_eq(h->n_https, 2);
  answer(1, 429, "{\"code\":20429}", 7000);
  outcome = plugin_host_outcome(h, 1);
  ck_assert_uint_eq(outcome->result, PARLEY_OUTCOME_THROTTLED);
  ck_assert_uint_eq(outcome->retry_ms, 7000);
  ck_assert(parley_text_is(outcome->ids[0], "SMold") && parley_text_is(outcome->ids[1], "SM1"));
  ck_assert_uint_eq(outcome->ids[2].len, 0);
}
END_TEST

static const struct {
  parley_status status;
  uint32_t sent, want;
} silences[] = {{PARLEY_TIMEOUT, 1, PARLEY_OUTCOME_UNKNOWN}, {PARLEY_TIMEOUT, 0, PARLEY_OUTCOME_RETRY},
                {PARLEY_CLOSED, 1, PARLEY_OUTCOME_UNKNOWN},  {PARLEY_RETRY, 0, PARLEY_OUTCOME_RETRY},
                {PARLEY_BUSY, 0, PARLEY_OUTCOME_RETRY},      {PARLEY_DENIED, 0, PARLEY_OUTCOME_CHANNEL_DOWN}};
START_TEST(without_an_answer_it_counts_whether_anything_had_left)
{
  plugin_host_start(h, options);
  plugin_host_submit(h, 1, message_of(1, 0));
  plugin_host_http_reply(
      h, 0, &(parley_http_response){.size = sizeof(parley_http_response), .status = silences[_i].status, .sent = silences[_i].sent});
  ck_assert_uint_eq(plugin_host_result(h, 1), silences[_i].want);
}
END_TEST

START_TEST(a_stop_with_open_requests_settles_nothing_twice)
{
  plugin_host_start(h, options);
  for (uint64_t token = 1; token <= 3; token++)
    plugin_host_submit(h, token, message_of(2, 0));
  answer(0, 201, "{\"sid\":\"SM1\"}", 0);
  plugin_host_drain(h, 1000);
  plugin_host_stop(h);
  ck_assert_uint_eq(plugin_host_result(h, 1), PARLEY_OUTCOME_UNKNOWN);
  ck_assert_uint_eq(plugin_host_result(h, 3), PARLEY_OUTCOME_UNKNOWN);
}
END_TEST

START_TEST(media_without_a_url_is_rejected_without_a_request)
{
  static const parley_part media = {.size = sizeof media,
                                    .kind = PARLEY_PART_MEDIA,
                                    .type = PARLEY_LIT("image/png"),
                                    .media = PARLEY_LIT("med_x")};
  static const parley_part *const list[] = {&media};
  parley_message msg = *message_of(1, 0);

  msg.parts = list;
  plugin_host_start(h, options);
  plugin_host_submit(h, 1, &msg);
  ck_assert_uint_eq(plugin_host_result(h, 1), PARLEY_OUTCOME_REJECTED);
  ck_assert_uint_eq(h->n_https, 0);
}
END_TEST

static const struct {
  uint32_t code, want;
  const char *words;
} probes[] = {{200, PARLEY_OUTCOME_ACCEPTED, "takes the credentials"}, {401, PARLEY_OUTCOME_CHANNEL_DOWN, "refuses the credentials"},
              {404, PARLEY_OUTCOME_CHANNEL_DOWN, "no such account"},   {429, PARLEY_OUTCOME_THROTTLED, "wait"},
              {500, PARLEY_OUTCOME_RETRY, "not as expected"},          {302, PARLEY_OUTCOME_RETRY, "not as expected"}};
START_TEST(a_check_says_what_is_wrong_with_the_credentials)
{
  plugin_host_start(h, options);
  plugin_host_probe(h, 1);
  ck_assert(parley_text_is(h->https[0].method, "GET"));
  answer(0, probes[_i].code, "{}", 0);
  ck_assert_uint_eq(plugin_host_result(h, 1), probes[_i].want);
  ck_assert(text_find_text(plugin_host_outcome(h, 1)->detail, parley_text_of(probes[_i].words)) != SIZE_MAX);
}
END_TEST

/* --- In ------------------------------------------------------------------------------------------------------------- */
#define BODY "Body=hi&From=%2B34600111222&MessageSid=SM1&To=%2B15005550006"
#define SIGNED "BodyhiFrom+34600111222MessageSidSM1To+15005550006"
#define MEDIA_BODY                                                                                                             \
  "Body=hi&From=%2B34600111222&MediaUrl0=https%3A%2F%2Fapi.twilio.com%2Fm%2F0&MediaUrl1=https%3A%2F%2Fapi.twilio.com%2Fm%2F1&" \
  "MessageSid=SM1&NumMedia=2"
#define MEDIA_SIGNED \
  "BodyhiFrom+34600111222MediaUrl0https://api.twilio.com/m/0MediaUrl1https://api.twilio.com/m/1MessageSidSM1NumMedia2"

static uint64_t call(const char *body, const char *signed_text)
{
  char text[1024], signature[DIGEST_ROOM];
  int len = snprintf(text, sizeof text, "%.*s%s", TEXT_ARG(h->host.public_url), signed_text);
  size_t made = digest_hmac(DIGEST_SHA1, PARLEY_LIT(TOKEN), (parley_text){text, (size_t)len}, DIGEST_BASE64, signature);
  const parley_pair headers[] = {{PARLEY_LIT("content-type"), PARLEY_LIT("application/x-www-form-urlencoded")},
                                 {PARLEY_LIT("x-twilio-signature"), {signature, made}}};

  return plugin_host_http_call(h, "POST", "/", headers, 2, parley_text_of(body));
}

static const struct {
  parley_status says;
  uint32_t want;
} verdicts[] = {{PARLEY_OK, 200},       {PARLEY_BUSY, 503},    {PARLEY_RETRY, 503},
                {PARLEY_REJECTED, 422}, {PARLEY_INVALID, 422}, {PARLEY_FAILED, 503}};
START_TEST(a_message_is_answered_once_it_is_committed)
{
  uint64_t id;

  plugin_host_start(h, options);
  h->hold = true;
  id = call(BODY, SIGNED);
  ck_assert_ptr_null(plugin_host_answer_of(h, id));
  ck_assert_uint_eq(h->n_items, 1);
  plugin_host_item_done(h, 0, verdicts[_i].says, "msg_1");
  ck_assert_uint_eq(plugin_host_answer_of(h, id)->code, verdicts[_i].want);
  if (verdicts[_i].want == 503)
    ck_assert_uint_gt(plugin_host_answer_of(h, id)->retry_ms, 0);
}
END_TEST

START_TEST(files_are_fetched_before_the_message_is_handed_over)
{
  uint64_t id;

  plugin_host_start(h, options);
  id = call(MEDIA_BODY, MEDIA_SIGNED);
  ck_assert_uint_eq(h->n_https, 2);
  ck_assert_uint_eq(h->n_items, 0);
  ck_assert_uint_eq(h->https[0].flags, PARLEY_HTTP_SAVE);
  plugin_host_http_reply(h, 1,
                         &(parley_http_response){.size = sizeof(parley_http_response),
                                                 .code = 200,
                                                 .media = PARLEY_LIT("med_1"),
                                                 .type = PARLEY_LIT("image/gif"),
                                                 .total_bytes = 5});
  ck_assert_uint_eq(h->n_items, 0);
  answer(0, 404, "", 0);
  ck_assert_uint_eq(h->n_items, 1);
  ck_assert_uint_eq(h->items[0].inbound->n_parts, 3);
  ck_assert(parley_text_is(h->items[0].inbound->parts[1]->url, "https://api.twilio.com/m/0"));
  ck_assert(parley_text_is(h->items[0].inbound->parts[2]->media, "med_1") && h->items[0].inbound->parts[2]->url.len == 0);
  ck_assert(parley_text_is(h->items[0].inbound->parts[2]->type, "image/gif"));
  plugin_host_run(h);
  ck_assert_uint_eq(plugin_host_answer_of(h, id)->code, 200);
}
END_TEST

START_TEST(a_file_is_not_looked_for_without_end)
{
  const parley_pair location = {PARLEY_LIT("location"), PARLEY_LIT("https://api.twilio.com/again")};
  const parley_http_response again = {.size = sizeof again, .code = 302, .headers = &location, .n_headers = 1};
  size_t n = 0;

  plugin_host_start(h, options);
  call("Body=hi&From=%2B34600111222&MediaUrl0=https%3A%2F%2Fapi.twilio.com%2Fm%2F0&MessageSid=SM1&NumMedia=1",
       "BodyhiFrom+34600111222MediaUrl0https://api.twilio.com/m/0MessageSidSM1NumMedia1");
  for (; h->n_items == 0 && n < 20; n++)
    plugin_host_http_reply(h, n, &again);
  ck_assert_uint_eq(n, 4); /* the first, and three redirects */
  ck_assert(parley_text_is(h->items[0].inbound->parts[1]->url, "https://api.twilio.com/m/0"));
}
END_TEST

START_TEST(too_many_callbacks_at_once_are_asked_to_come_again)
{
  uint64_t last = 0;

  plugin_host_start(h, options);
  h->hold = true;
  for (int i = 0; i < 257; i++)
    last = call(BODY, SIGNED);
  ck_assert_uint_eq(h->n_items, 256);
  ck_assert_uint_eq(plugin_host_answer_of(h, last)->code, 503);
}
END_TEST

START_TEST(a_stop_with_files_on_their_way_leaks_and_answers_nothing)
{
  plugin_host_start(h, options);
  call(MEDIA_BODY, MEDIA_SIGNED);
  plugin_host_stop(h);
  ck_assert_uint_eq(h->n_items, 0);
  ck_assert_uint_eq(h->n_answers, 0);
}
END_TEST

static const struct {
  const char *method;
  uint32_t code;
} methods[] = {{"PUT", 405}, {"HEAD", 405}, {"DELETE", 405}, {"GET", 401}, {"POST", 401}};
START_TEST(what_is_not_signed_is_told_so)
{
  const struct plugin_host_answer *got;

  plugin_host_start(h, options);
  got = plugin_host_answer_of(h, plugin_host_http_call(h, methods[_i].method, "/receipts", NULL, 0, PARLEY_LIT(BODY)));
  ck_assert_uint_eq(got->code, methods[_i].code);
  ck_assert_uint_eq(h->n_items, 0);
}
END_TEST

START_TEST(a_signed_form_that_is_none_is_422)
{
  plugin_host_start(h, options);
  ck_assert_uint_eq(
      plugin_host_answer_of(h, call("Body=hi&From=%2B34600111222&MessageSid=", "BodyhiFrom+34600111222MessageSid"))->code,
      200); /* nothing in it */
  ck_assert_uint_eq(plugin_host_answer_of(h, call("MessageStatus=sent", "MessageStatussent"))->code, 422);
}
END_TEST

static TCase *case_of(const char *name)
{
  TCase *tcase = tcase_create(name);

  tcase_add_checked_fixture(tcase, setup, teardown);
  return tcase;
}

int main(void)
{
  Suite *suite = suite_create("plugins/sms-http");
  TCase *out = case_of("out"), *in = case_of("in");
  SRunner *runner = srunner_create(suite);
  int failed;

  tcase_add_test(out, pieces_go_one_after_the_other_and_each_has_its_id);
  tcase_add_test(out, a_piece_that_is_refused_leaves_the_ids_of_those_before);
  tcase_add_loop_test(out, without_an_answer_it_counts_whether_anything_had_left, 0, COUNT_OF(silences));
  tcase_add_test(out, a_stop_with_open_requests_settles_nothing_twice);
  tcase_add_test(out, media_without_a_url_is_rejected_without_a_request);
  tcase_add_loop_test(out, a_check_says_what_is_wrong_with_the_credentials, 0, COUNT_OF(probes));
  tcase_add_loop_test(in, a_message_is_answered_once_it_is_committed, 0, COUNT_OF(verdicts));
  tcase_add_test(in, files_are_fetched_before_the_message_is_handed_over);
  tcase_add_test(in, a_file_is_not_looked_for_without_end);
  tcase_add_test(in, too_many_callbacks_at_once_are_asked_to_come_again);
  tcase_add_test(in, a_stop_with_files_on_their_way_leaks_and_answers_nothing);
  tcase_add_loop_test(in, what_is_not_signed_is_told_so, 0, COUNT_OF(methods));
  tcase_add_test(in, a_signed_form_that_is_none_is_422);
  suite_add_tcase(suite, out);
  suite_add_tcase(suite, in);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed > 0;
}
