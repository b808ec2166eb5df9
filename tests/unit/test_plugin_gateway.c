// sources: tests/support/plugin_host.c
// libraries: PkgConfig::OPENSSL
#include "core/base/alloc.h"
#include "core/base/text.h"
#include "tests/support/plugin_host.h"
#include <check.h>
#include <openssl/hmac.h>

#define SECRET "sixteen-bytes-at-least"
static const char *const options[] = {"url", "https://gateway.example/send", "secret", SECRET, NULL};
static struct plugin_host *h;
static struct plugin_host_message room;

static void setup(void)
{
  h = plugin_host_new("examples/gateway");
  plugin_host_start(h, options);
}

static void teardown(void)
{
  plugin_host_done(&h);
}

static void submit(uint64_t token, const char *text)
{
  ck_assert_int_eq(
      plugin_host_submit(h, token, plugin_host_text(&room, "msg_01KAM2Z8Q3XWA", "phone", "+34600111222", text)),
      PARLEY_OK);
}

/* --- Out
 * ------------------------------------------------------------------------------------------------------------------ */

START_TEST(a_message_is_posted_as_json_with_our_secret_and_its_id)
{
  submit(1, "Say \"hi\"\\\n\x01 Ñ");
  ck_assert_str_eq(h->https[0].url.at, "https://gateway.example/send");
  ck_assert_uint_eq(h->https[0].timeout_ms, 15000);
  ck_assert(parley_text_is(h->https[0].body, "{\"id\":\"msg_01KAM2Z8Q3XWA\",\"to\":\"+34600111222\","
                                             "\"text\":\"Say \\\"hi\\\"\\\\\\u000a\\u0001 Ñ\"}"));
  ck_assert(parley_text_is(parley_header(h->https[0].headers, h->https[0].n_headers, "authorization"), SECRET));
  ck_assert(parley_text_is(parley_header(h->https[0].headers, h->https[0].n_headers, "idempotency-key"),
                           "msg_01KAM2Z8Q3XWA"));
}
END_TEST

static const struct {
  uint32_t code, want;
} codes[] = {
    {200, PARLEY_OUTCOME_ACCEPTED},    {204, PARLEY_OUTCOME_ACCEPTED},     {301, PARLEY_OUTCOME_REJECTED},
    {400, PARLEY_OUTCOME_REJECTED},    {401, PARLEY_OUTCOME_CHANNEL_DOWN}, {403, PARLEY_OUTCOME_CHANNEL_DOWN},
    {404, PARLEY_OUTCOME_BAD_ADDRESS}, {408, PARLEY_OUTCOME_RETRY},        {410, PARLEY_OUTCOME_BAD_ADDRESS},
    {422, PARLEY_OUTCOME_REJECTED},    {425, PARLEY_OUTCOME_RETRY},        {429, PARLEY_OUTCOME_THROTTLED},
    {500, PARLEY_OUTCOME_RETRY},       {503, PARLEY_OUTCOME_RETRY},
};

START_TEST(the_gateways_code_says_what_became_of_it)
{
  const parley_outcome *outcome;

  submit(1, "hello");
  plugin_host_http_code(h, 0, codes[_i].code);
  ck_assert_uint_eq(plugin_host_result(h, 1), codes[_i].want);
  outcome = plugin_host_outcome(h, 1);
  ck_assert_uint_eq(outcome->n_ids, codes[_i].want == PARLEY_OUTCOME_ACCEPTED);
}
END_TEST

static const struct {
  parley_status status;
  uint32_t sent, want;
} silences[] = {
    {PARLEY_RETRY, 0, PARLEY_OUTCOME_RETRY},     {PARLEY_TIMEOUT, 0, PARLEY_OUTCOME_RETRY},
    {PARLEY_TIMEOUT, 1, PARLEY_OUTCOME_UNKNOWN}, {PARLEY_CLOSED, 1, PARLEY_OUTCOME_UNKNOWN},
    {PARLEY_CANCELLED, 1, PARLEY_OUTCOME_UNKNOWN},
    {PARLEY_BUSY, 0, PARLEY_OUTCOME_RETRY},      {PARLEY_DENIED, 0, PARLEY_OUTCOME_CHANNEL_DOWN},
};

START_TEST(without_an_answer_only_what_cannot_have_arrived_is_tried_again)
{
  parley_http_response response = {
      .size = sizeof response, .status = silences[_i].status, .sent = silences[_i].sent, .reason = PARLEY_LIT("why")};

  submit(1, "hello");
  plugin_host_http_reply(h, 0, &response);
  ck_assert_uint_eq(plugin_host_result(h, 1), silences[_i].want);
  ck_assert(parley_text_is(plugin_host_outcome(h, 1)->code, "no_answer"));
}
END_TEST

START_TEST(a_hint_of_the_gateway_is_passed_on)
{
  parley_http_response response = {
      .size = sizeof response, .status = PARLEY_OK, .code = 429, .sent = 1, .retry_ms = 7000};

  submit(1, "hello");
  plugin_host_http_reply(h, 0, &response);
  ck_assert_uint_eq(plugin_host_outcome(h, 1)->retry_ms, 7000);
  ck_assert(parley_text_is(plugin_host_outcome(h, 1)->code, "429"));
}
END_TEST

START_TEST(stopping_leaves_open_messages_to_the_host)
{
  submit(1, "hello");
  submit(2, "hello again");
  plugin_host_stop(h);
  ck_assert_uint_eq(plugin_host_result(h, 1), PARLEY_OUTCOME_UNKNOWN);
  ck_assert_uint_eq(plugin_host_result(h, 2), PARLEY_OUTCOME_UNKNOWN);
}
END_TEST

/* --- In
 * -------------------------------------------------------------------------------------------------------------------
 */

/* The gateway posts a form, signed with `key`; returns the call's number. */
static uint64_t posts(const char *form, const char *key)
{
  static char hex[65];
  unsigned char mac[32];
  parley_pair header = {PARLEY_LIT("x-signature"), {hex, 64}};

  HMAC(EVP_sha256(), key, (int)strlen(key), (const unsigned char *)form, strlen(form), mac, NULL);
  for (size_t i = 0; i < sizeof mac; i++)
    snprintf(hex + 2 * i, 3, "%02x", mac[i]);
  return plugin_host_http_call(h, "POST", "/", &header, 1, parley_text_of(form));
}

static uint32_t code_of(uint64_t call)
{
  const struct plugin_host_answer *answer = plugin_host_answer_of(h, call);

  return answer != NULL ? answer->code : 0;
}

START_TEST(an_answer_of_a_customer_is_acknowledged_after_the_commit_and_not_before)
{
  const parley_inbound *in;
  uint64_t call;

  h->hold = true;
  call = posts("kind=message&id=77&from=%2B34600111222&text=Yes+please%21+%C3%91", SECRET);
  ck_assert_uint_eq(code_of(call), 0);
  in = h->items[0].inbound;
  ck_assert(parley_text_is(in->event_id, "77") && parley_text_is(in->provider_id, "77"));
  ck_assert(parley_text_is(in->from[0]->kind, "phone") && parley_text_is(in->from[0]->value, "+34600111222"));
  ck_assert(parley_text_is(in->parts[0]->text, "Yes please! Ñ"));
  plugin_host_item_done(h, 0, PARLEY_OK, "msg_01KAM2Z8Q3XWB");
  ck_assert_uint_eq(code_of(call), 204);
}
END_TEST

static const struct {
  parley_status says;
  uint32_t retry_ms, code, want_retry_ms;
} verdicts[] = {
    {PARLEY_BUSY, 9000, 503, 9000},   {PARLEY_RETRY, 0, 503, 5000}, {PARLEY_TIMEOUT, 0, 503, 5000},
    {PARLEY_CANCELLED, 0, 503, 5000}, {PARLEY_INVALID, 0, 422, 0},  {PARLEY_REJECTED, 0, 422, 0},
};

START_TEST(what_the_host_says_becomes_the_answer)
{
  uint64_t call;

  h->says = verdicts[_i].says;
  h->says_retry_ms = verdicts[_i].retry_ms;
  call = posts("kind=message&id=77&from=%2B34600111222&text=Yes", SECRET);
  plugin_host_run(h);
  ck_assert_uint_eq(code_of(call), verdicts[_i].code);
  ck_assert_uint_eq(plugin_host_answer_of(h, call)->retry_ms, verdicts[_i].want_retry_ms);
}
END_TEST

static const struct {
  const char *form;
  uint32_t kind, outcome;
} receipts[] = {
    {"kind=receipt&id=msg_01KAM2Z8Q3XWA&status=sent", PARLEY_RECEIPT_SENT, 0},
    {"status=delivered&id=msg_01KAM2Z8Q3XWA&kind=receipt", PARLEY_RECEIPT_DELIVERED, 0},
    {"kind=receipt&id=msg_01KAM2Z8Q3XWA&status=failed", PARLEY_RECEIPT_FAILED, PARLEY_OUTCOME_REJECTED},
    {"kind=receipt&id=msg_01KAM2Z8Q3XWA&status=unknown_number", PARLEY_RECEIPT_FAILED, PARLEY_OUTCOME_BAD_ADDRESS},
};

START_TEST(a_receipt_names_our_message)
{
  uint64_t call = posts(receipts[_i].form, SECRET);

  plugin_host_run(h);
  ck_assert_uint_eq(code_of(call), 204);
  ck_assert_uint_eq(h->items[0].receipt->kind, receipts[_i].kind);
  ck_assert_uint_eq(h->items[0].receipt->outcome, receipts[_i].outcome);
  ck_assert(parley_text_is(h->items[0].receipt->message_id, "msg_01KAM2Z8Q3XWA"));
}
END_TEST

/* Signed, and yet nothing that can be stored. */
static const char *const broken[] = {
    "",
    "kind",
    "kind=",
    "kind=message",
    "kind=greeting&id=1",
    "kind=message&from=%2B34600111222&text=x",
    "kind=message&id=&from=%2B34600111222&text=x",
    "kind=message&id=1&text=x",
    "kind=message&id=1&from=%2B34600111222",
    "kind=message&id=1&from=%2B34600111222&text=%4",
    "kind=message&id=1&from=%2B34600111222&text=%zz",
    "kind=message&id=1&from=%2B34600111222&text=%",
    "kind=receipt&id=msg_01KAM2Z8Q3XWA",
    "kind=receipt&status=sent",
    "kind=receipt&id=msg_01KAM2Z8Q3XWA&status=lost",
    "xkind=message&id=1&from=a&text=b",
};

START_TEST(a_broken_form_is_refused_and_reaches_no_one)
{
  uint64_t call = posts(broken[_i], SECRET);

  plugin_host_run(h);
  ck_assert_uint_eq(code_of(call), 422);
  ck_assert_uint_eq(h->n_items, 0);
}
END_TEST

START_TEST(a_field_longer_than_its_room_is_refused_not_cut)
{
  char form[8000] = "kind=message&id=1&from=%2B34600111222&text=";
  size_t head = strlen(form);

  memset(form + head, 'x', 6400);
  ck_assert_uint_eq(code_of(posts(form, SECRET)), 204);
  ck_assert_uint_eq(h->items[0].inbound->parts[0]->text.len, 6400);
  form[head + 6400] = 'x';
  ck_assert_uint_eq(code_of(posts(form, SECRET)), 422);
}
END_TEST

START_TEST(without_our_signature_nothing_is_looked_at)
{
  const char *form = "kind=message&id=77&from=%2B34600111222&text=Yes";
  const parley_pair empty = {PARLEY_LIT("x-signature"), PARLEY_LIT("")};

  ck_assert_uint_eq(code_of(posts(form, "another-key-of-sixteen")), 401);
  ck_assert_uint_eq(code_of(plugin_host_http_call(h, "POST", "/", NULL, 0, parley_text_of(form))), 401);
  ck_assert_uint_eq(code_of(plugin_host_http_call(h, "POST", "/", &empty, 1, parley_text_of(form))), 401);
  ck_assert_uint_eq(h->n_items, 0);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("examples: a channel in one file");
  TCase *tcase = tcase_create("all");
  SRunner *runner;
  int failed;

  tcase_add_checked_fixture(tcase, setup, teardown);
  tcase_add_test(tcase, a_message_is_posted_as_json_with_our_secret_and_its_id);
  tcase_add_loop_test(tcase, the_gateways_code_says_what_became_of_it, 0, COUNT_OF(codes));
  tcase_add_loop_test(tcase, without_an_answer_only_what_cannot_have_arrived_is_tried_again, 0, COUNT_OF(silences));
  tcase_add_test(tcase, a_hint_of_the_gateway_is_passed_on);
  tcase_add_test(tcase, stopping_leaves_open_messages_to_the_host);
  tcase_add_test(tcase, an_answer_of_a_customer_is_acknowledged_after_the_commit_and_not_before);
  tcase_add_loop_test(tcase, what_the_host_says_becomes_the_answer, 0, COUNT_OF(verdicts));
  tcase_add_loop_test(tcase, a_receipt_names_our_message, 0, COUNT_OF(receipts));
  tcase_add_loop_test(tcase, a_broken_form_is_refused_and_reaches_no_one, 0, COUNT_OF(broken));
  tcase_add_test(tcase, a_field_longer_than_its_room_is_refused_not_cut);
  tcase_add_test(tcase, without_our_signature_nothing_is_looked_at);
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed > 0;
}
