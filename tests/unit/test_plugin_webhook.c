// sources: tests/support/plugin_host.c
#include "core/base/alloc.h"
#include "core/base/buf.h"
#include "core/base/text.h"
#include "plugins/common/standard_webhooks.h"
#include "tests/support/plugin_host.h"
#include <check.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#define SECRET "whsec_cGFybGV5LWV4YW1wbGUtc2VjcmV0LW9mLTMyLWI="
#define OLD_SECRET "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define MSG "msg_01KAM2Z8Q3XWA"
static const char *const options[] = {"url", "https://shop.example/out", "secret", SECRET, NULL};

static struct plugin_host *webhook_started(void)
{
  struct plugin_host *h = plugin_host_new("webhook");

  plugin_host_start(h, options);
  return h;
}

/* --- Life -------------------------------------------------------------------------------------------------------- */

START_TEST(a_secret_that_is_none_is_refused_with_a_remedy)
{
  static const char *const bad[] = {"url", "https://shop.example/out", "secret", "correct-horse", NULL};
  struct plugin_host *h = plugin_host_new("webhook");

  ck_assert_int_eq(plugin_host_create(h, bad), PARLEY_INVALID);
  ck_assert_uint_eq(h->health, PARLEY_DOWN);
  ck_assert_uint_gt(h->health_remedy.len, 0);
  ck_assert_uint_eq(text_find_text(h->health_cause, PARLEY_LIT("correct-horse")), SIZE_MAX);
  plugin_host_done(&h);
}
END_TEST

START_TEST(in_flight_narrows_what_the_channel_can_hold)
{
  static const char *const few[] = {"url", "https://shop.example/out", "secret", SECRET, "in_flight", "3", NULL};
  struct plugin_host *h = plugin_host_new("webhook");

  ck_assert_uint_eq(h->plugin->capabilities->in_flight, 64);
  plugin_host_start(h, few);
  ck_assert_uint_eq(h->plugin->capable(h->channel)->in_flight, 3);
  ck_assert_str_eq(h->plugin->capable(h->channel)->address_kind, "none");
  plugin_host_done(&h);
}
END_TEST

START_TEST(stopping_with_open_requests_settles_nothing_twice)
{
  struct plugin_host *h = webhook_started();
  struct plugin_host_message room;

  for (uint64_t token = 1; token <= 5; token++)
    plugin_host_submit(h, token, plugin_host_text(&room, MSG, "external", "shop-77", "hello"));
  plugin_host_http_code(h, 2, 204);
  plugin_host_drain(h, 1000);
  plugin_host_stop(h);
  ck_assert_uint_eq(h->n_settles, 5);
  ck_assert_uint_eq(plugin_host_result(h, 3), PARLEY_OUTCOME_ACCEPTED);
  ck_assert_uint_eq(plugin_host_result(h, 5), PARLEY_OUTCOME_UNKNOWN);
  plugin_host_done(&h);
}
END_TEST

/* --- Out --------------------------------------------------------------------------------------------------------- */

static json_t *posted(const struct plugin_host *h, size_t index)
{
  json_t *root = json_loadb(h->https[index].body.at, h->https[index].body.len, JSON_REJECT_DUPLICATES, NULL);

  ck_assert_ptr_nonnull(root);
  return root;
}

START_TEST(a_message_is_posted_signed_under_its_own_id)
{
  struct plugin_host *h = webhook_started();
  struct standard_webhooks_keys keys;
  struct plugin_host_message room;
  const struct plugin_host_http *http = &h->https[0];

  plugin_host_submit(h, 7, plugin_host_text(&room, MSG, "external", "shop-77", "Your \"order\"\n\xc3\xa9"));
  ck_assert(parley_text_is(http->method, "POST") && parley_text_is(http->url, "https://shop.example/out"));
  ck_assert(http->token == 7 && http->timeout_ms == 15000);
  ck_assert(parley_text_is(parley_header(http->headers, http->n_headers, "webhook-id"), MSG));
  ck_assert(parley_text_is(parley_header(http->headers, http->n_headers, "webhook-timestamp"), "1700000000"));
  ck_assert(parley_text_is(parley_header(http->headers, http->n_headers, "content-type"), "application/json"));
  ck_assert(standard_webhooks_keys_read(PARLEY_LIT(SECRET), &keys));
  ck_assert_int_eq(standard_webhooks_verify(&keys, http->headers, http->n_headers, http->body, h->now_ms, 0),
                   STANDARD_WEBHOOKS_GOOD);
  standard_webhooks_keys_done(&keys);
  plugin_host_http_code(h, 0, 200);
  ck_assert_uint_eq(plugin_host_result(h, 7), PARLEY_OUTCOME_ACCEPTED);
  ck_assert(parley_text_is(plugin_host_outcome(h, 7)->ids[0], MSG));
  plugin_host_done(&h);
}
END_TEST

START_TEST(while_rotating_both_secrets_sign)
{
  static const char *const two[] = {"url", "https://shop.example/out", "secret", SECRET " " OLD_SECRET, NULL};
  struct plugin_host *h = plugin_host_new("webhook");
  struct standard_webhooks_keys keys;
  struct plugin_host_message room;

  plugin_host_start(h, two);
  plugin_host_submit(h, 1, plugin_host_text(&room, MSG, "external", "shop-77", "hello"));
  ck_assert(standard_webhooks_keys_read(PARLEY_LIT(OLD_SECRET), &keys));
  ck_assert_int_eq(
      standard_webhooks_verify(&keys, h->https[0].headers, h->https[0].n_headers, h->https[0].body, h->now_ms, 0),
      STANDARD_WEBHOOKS_GOOD);
  standard_webhooks_keys_done(&keys);
  plugin_host_done(&h);
}
END_TEST

START_TEST(the_body_has_message_to_content_and_customer)
{
  struct plugin_host *h = webhook_started();
  struct plugin_host_message room;
  const char *text = NULL, *id = NULL, *to = NULL, *customer = NULL, *type = NULL, *timestamp = NULL;
  json_t *root;

  plugin_host_submit(h, 1, plugin_host_text(&room, MSG, "external", "shop-77", "Your \"order\"\n\xc3\xa9\x01"));
  root = posted(h, 0);
  ck_assert_int_eq(json_unpack(root, "{s:s, s:s, s:{s:{s:s}, s:{s:s}, s:{s:s}, s:{s:s}} !}", "type", &type, "timestamp",
                               &timestamp, "data", "message", "id", &id, "to", "external", &to, "content", "text",
                               &text, "customer", "id", &customer),
                   0);
  ck_assert_str_eq(type, "message.send");
  ck_assert_str_eq(timestamp, "2023-11-14T22:13:19.000Z");
  ck_assert_str_eq(id, MSG);
  ck_assert_str_eq(to, "shop-77");
  ck_assert_str_eq(text, "Your \"order\"\n\xc3\xa9\x01");
  ck_assert_str_eq(customer, "cus_01KAM2Z8Q3XWA");
  json_decref(root);
  plugin_host_done(&h);
}
END_TEST

START_TEST(every_kind_of_part_is_carried)
{
  static const parley_button reply = {
      .size = sizeof reply, .action = PARLEY_BUTTON_REPLY, .id = PARLEY_LIT("yes"), .label = PARLEY_LIT("Yes")};
  static const parley_button url = {.size = sizeof url,
                                    .action = PARLEY_BUTTON_URL,
                                    .label = PARLEY_LIT("Track"),
                                    .target = PARLEY_LIT("https://shop.example/t")};
  static const parley_button *const buttons[] = {&reply, &url};
  static const parley_part parts[] = {
      {.size = sizeof parts[0], .kind = PARLEY_PART_TEXT, .text = PARLEY_LIT("one")},
      {.size = sizeof parts[0], .kind = PARLEY_PART_HTML, .text = PARLEY_LIT("<p>one</p>")},
      {.size = sizeof parts[0], .kind = PARLEY_PART_TEXT, .text = PARLEY_LIT("two")},
      {.size = sizeof parts[0],
       .kind = PARLEY_PART_MEDIA,
       .type = PARLEY_LIT("text/plain"),
       .name = PARLEY_LIT("a.txt"),
       .data = PARLEY_LIT("hello")},
      {.size = sizeof parts[0],
       .kind = PARLEY_PART_MEDIA,
       .type = PARLEY_LIT("image/png"),
       .url = PARLEY_LIT("https://parley.example/m/1")},
      {.size = sizeof parts[0], .kind = PARLEY_PART_BUTTONS, .buttons = buttons, .n_buttons = 2},
      {.size = sizeof parts[0],
       .kind = PARLEY_PART_LOCATION,
       .latitude = 40.4168,
       .longitude = -3.7038,
       .name = PARLEY_LIT("Sol")}};
  static const parley_part *const list[] = {&parts[0], &parts[1], &parts[2], &parts[3],
                                            &parts[4], &parts[5], &parts[6]};
  struct plugin_host *h = webhook_started();
  parley_message msg = {.size = sizeof msg,
                        .kind = PARLEY_KIND_CONTENT,
                        .id = PARLEY_LIT(MSG),
                        .subject = PARLEY_LIT("Order"),
                        .parts = list,
                        .n_parts = 7};
  static const char want[] =
      "\"to\":null,\"content\":{\"subject\":\"Order\",\"text\":\"one\\ntwo\",\"html\":\"<p>one</p>\","
      "\"media\":[{\"data\":\"aGVsbG8=\",\"type\":\"text/plain\",\"name\":\"a.txt\"},"
      "{\"url\":\"https://parley.example/m/1\",\"type\":\"image/png\"}],"
      "\"buttons\":[{\"label\":\"Yes\",\"id\":\"yes\"},{\"label\":\"Track\",\"url\":\"https://shop.example/t\"}],"
      "\"location\":{\"latitude\":40.4168,\"longitude\":-3.7038,\"name\":\"Sol\"}},\"customer\":null}}";

  plugin_host_submit(h, 1, &msg);
  ck_assert_msg(text_find_text(h->https[0].body, parley_text_of(want)) != SIZE_MAX, "%.*s", TEXT_ARG(h->https[0].body));
  json_decref(posted(h, 0));
  plugin_host_done(&h);
}
END_TEST

/* Each byte that needs an escape and each that doesn't, at every distance from the one before. */
START_TEST(whatever_the_text_holds_its_json_says_the_same)
{
  struct plugin_host *h = webhook_started();
  struct plugin_host_message room;
  struct buf text = BUF_INIT(0);
  const json_t *content;
  json_t *root;

  for (int i = 0; i < _i; i++)
    buf_char(&text, 'x');
  for (int c = 1; c < 0x80; c++) {
    buf_char(&text, (char)c);
    for (int i = 0; i < c % 11; i++)
      buf_str(&text, "\xc3\xa9");
  }
  plugin_host_submit(h, 1, plugin_host_text(&room, MSG, "external", "shop-77", text.at));
  for (size_t i = 0; i < h->https[0].body.len; i++)
    ck_assert(h->https[0].body.at[i] < 0 || (h->https[0].body.at[i] >= ' ' && h->https[0].body.at[i] != 0x7f));
  root = posted(h, 0);
  content = json_object_get(json_object_get(root, "data"), "content");
  ck_assert_str_eq(json_string_value(json_object_get(content, "text")), text.at);
  json_decref(root);
  buf_done(&text);
  plugin_host_done(&h);
}
END_TEST

START_TEST(a_message_to_no_address_names_the_customer_alone)
{
  struct plugin_host *h = webhook_started();
  struct plugin_host_message room;

  plugin_host_submit(h, 1, plugin_host_text(&room, MSG, "none", "", "hello"));
  ck_assert(text_find_text(h->https[0].body, PARLEY_LIT("\"to\":null")) != SIZE_MAX);
  ck_assert(text_find_text(h->https[0].body, PARLEY_LIT("\"customer\":{\"id\":\"cus_")) != SIZE_MAX);
  plugin_host_done(&h);
}
END_TEST

START_TEST(media_without_bytes_or_url_is_rejected_without_a_request)
{
  static const parley_part media = {
      .size = sizeof media, .kind = PARLEY_PART_MEDIA, .type = PARLEY_LIT("image/png"), .media = PARLEY_LIT("med_x")};
  static const parley_part *const list[] = {&media};
  parley_message msg = {
      .size = sizeof msg, .kind = PARLEY_KIND_CONTENT, .id = PARLEY_LIT(MSG), .parts = list, .n_parts = 1};
  struct plugin_host *h = webhook_started();

  plugin_host_submit(h, 1, &msg);
  ck_assert_uint_eq(plugin_host_result(h, 1), PARLEY_OUTCOME_REJECTED);
  ck_assert_uint_eq(h->n_https, 0);
  plugin_host_done(&h);
}
END_TEST

static const struct { parley_status status; uint32_t code, sent, retry_ms, want; const char *want_code; } outcomes[] = {
    {PARLEY_OK, 200, 1, 0, PARLEY_OUTCOME_ACCEPTED, "200"},
    {PARLEY_OK, 202, 1, 0, PARLEY_OUTCOME_ACCEPTED, "202"},
    {PARLEY_OK, 204, 1, 0, PARLEY_OUTCOME_ACCEPTED, "204"},
    {PARLEY_OK, 301, 1, 0, PARLEY_OUTCOME_REJECTED, "redirect_not_followed"},
    {PARLEY_OK, 307, 1, 0, PARLEY_OUTCOME_REJECTED, "redirect_not_followed"},
    {PARLEY_OK, 400, 1, 0, PARLEY_OUTCOME_REJECTED, "400"},
    {PARLEY_OK, 401, 1, 0, PARLEY_OUTCOME_CHANNEL_DOWN, "401"},
    {PARLEY_OK, 403, 1, 0, PARLEY_OUTCOME_CHANNEL_DOWN, "403"},
    {PARLEY_OK, 404, 1, 0, PARLEY_OUTCOME_REJECTED, "404"},
    {PARLEY_OK, 408, 1, 0, PARLEY_OUTCOME_RETRY, "408"},
    {PARLEY_OK, 409, 1, 0, PARLEY_OUTCOME_RETRY, "409"},
    {PARLEY_OK, 410, 1, 0, PARLEY_OUTCOME_REJECTED, "410"},
    {PARLEY_OK, 422, 1, 0, PARLEY_OUTCOME_REJECTED, "422"},
    {PARLEY_OK, 425, 1, 0, PARLEY_OUTCOME_RETRY, "425"},
    {PARLEY_OK, 429, 1, 30000, PARLEY_OUTCOME_THROTTLED, "429"},
    {PARLEY_OK, 500, 1, 0, PARLEY_OUTCOME_RETRY, "500"},
    {PARLEY_OK, 503, 1, 60000, PARLEY_OUTCOME_RETRY, "503"},
    {PARLEY_OK, 999, 1, 0, PARLEY_OUTCOME_UNKNOWN, "999"},
    {PARLEY_INVALID, 200, 1, 0, PARLEY_OUTCOME_ACCEPTED, "200"}, /* its body was too large for us */
    {PARLEY_TIMEOUT, 0, 1, 0, PARLEY_OUTCOME_UNKNOWN, "no_answer"},
    {PARLEY_TIMEOUT, 0, 0, 0, PARLEY_OUTCOME_RETRY, "no_answer"},
    {PARLEY_CLOSED, 0, 1, 0, PARLEY_OUTCOME_UNKNOWN, "no_answer"},
    {PARLEY_RETRY, 0, 0, 0, PARLEY_OUTCOME_RETRY, "no_answer"},
    {PARLEY_BUSY, 0, 0, 0, PARLEY_OUTCOME_RETRY, "no_answer"},
    {PARLEY_FAILED, 0, 0, 0, PARLEY_OUTCOME_RETRY, "no_answer"},
    {PARLEY_CANCELLED, 0, 1, 0, PARLEY_OUTCOME_UNKNOWN, "no_answer"},
    {PARLEY_DENIED, 0, 0, 0, PARLEY_OUTCOME_REJECTED, "address_not_allowed"},
};

START_TEST(an_http_result_means_one_outcome)
{
  struct plugin_host *h = webhook_started();
  struct plugin_host_message room;

  plugin_host_submit(h, 1, plugin_host_text(&room, MSG, "external", "shop-77", "hello"));
  ck_assert_uint_eq(h->n_settles, 0);
  plugin_host_http_reply(h, 0,
                         PARLEY_REF(parley_http_response, .status = outcomes[_i].status, .code = outcomes[_i].code,
                                    .sent = outcomes[_i].sent, .retry_ms = outcomes[_i].retry_ms));
  ck_assert_uint_eq(h->n_settles, 1);
  ck_assert_uint_eq(plugin_host_result(h, 1), outcomes[_i].want);
  ck_assert_uint_eq(plugin_host_outcome(h, 1)->retry_ms, outcomes[_i].retry_ms);
  ck_assert_msg(parley_text_is(plugin_host_outcome(h, 1)->code, outcomes[_i].want_code), "%.*s",
                TEXT_ARG(plugin_host_outcome(h, 1)->code));
  plugin_host_done(&h);
}
END_TEST

static const struct { parley_status status; uint32_t code, sent, want; } probes[] = {
    {PARLEY_OK, 200, 1, PARLEY_OUTCOME_ACCEPTED}, {PARLEY_OK, 405, 1, PARLEY_OUTCOME_ACCEPTED},
    {PARLEY_OK, 401, 1, PARLEY_OUTCOME_ACCEPTED}, {PARLEY_OK, 302, 1, PARLEY_OUTCOME_REJECTED},
    {PARLEY_OK, 502, 1, PARLEY_OUTCOME_RETRY},    {PARLEY_TIMEOUT, 0, 1, PARLEY_OUTCOME_RETRY},
    {PARLEY_DENIED, 0, 0, PARLEY_OUTCOME_REJECTED},
};

START_TEST(a_probe_asks_with_head_and_sends_no_message)
{
  struct plugin_host *h = webhook_started();

  ck_assert_int_eq(plugin_host_probe(h, 1), PARLEY_OK);
  ck_assert(parley_text_is(h->https[0].method, "HEAD") && h->https[0].body.len == 0);
  plugin_host_http_reply(h, 0, PARLEY_REF(parley_http_response, .status = probes[_i].status, .code = probes[_i].code,
                                          .sent = probes[_i].sent));
  ck_assert_uint_eq(plugin_host_result(h, 1), probes[_i].want);
  plugin_host_done(&h);
}
END_TEST

/* --- In ---------------------------------------------------------------------------------------------------------- */

static const struct plugin_host_answer *post_signed_by(struct plugin_host *h, const char *secret, parley_text body)
{
  struct standard_webhooks_keys keys;
  char seconds[24], signature[STANDARD_WEBHOOKS_HEADER_ROOM];
  size_t len;

  ck_assert(standard_webhooks_keys_read(parley_text_of(secret), &keys));
  len = standard_webhooks_sign(&keys, PARLEY_LIT("e1"), h->now_ms / 1000, body, signature);
  standard_webhooks_keys_done(&keys);
  snprintf(seconds, sizeof seconds, "%lld", (long long)(h->now_ms / 1000));
  const parley_pair headers[] = {{PARLEY_LIT("webhook-id"), PARLEY_LIT("e1")},
                                 {PARLEY_LIT("webhook-timestamp"), parley_text_of(seconds)},
                                 {PARLEY_LIT("webhook-signature"), {signature, len}}};
  return plugin_host_answer_of(h, plugin_host_http_call(h, "POST", "/", headers, 3, body));
}

static const struct plugin_host_answer *post(struct plugin_host *h, const char *body)
{
  return post_signed_by(h, SECRET, parley_text_of(body));
}

#define HELLO                                                                                                      \
  "{\"type\":\"message\",\"id\":\"e1\",\"from\":{\"email\":\"ana@example.org\",\"external\":\"shop-77\",\"name\":" \
  "\"Ana\"},"                                                                                                      \
  "\"text\":\"Where is order 1042?\",\"in_reply_to\":\"" MSG "\"}"

START_TEST(a_message_comes_in_and_is_answered_after_the_commit)
{
  struct plugin_host *h = webhook_started();
  const parley_inbound *in;

  h->hold = true;
  ck_assert_ptr_null(post(h, HELLO)); /* not committed yet: no answer */
  ck_assert_uint_eq(h->n_items, 1);
  in = h->items[0].inbound;
  ck_assert(in->kind == PARLEY_KIND_CONTENT && in->n_parts == 1 && in->n_from == 2);
  ck_assert(parley_text_is(in->event_id, "e1") && parley_text_is(in->provider_id, "e1") &&
            parley_text_is(in->reply_to, MSG));
  ck_assert(parley_text_is(in->parts[0]->text, "Where is order 1042?"));
  ck_assert(parley_text_is(in->from[0]->kind, "email") && parley_text_is(in->from[0]->value, "ana@example.org"));
  ck_assert(parley_text_is(in->from[0]->name, "Ana") && parley_text_is(in->from[1]->kind, "external"));
  plugin_host_item_done(h, 0, PARLEY_OK, "msg_01KAM2Z8Q3XWB");
  ck_assert_uint_eq(h->n_answers, 1);
  ck_assert_uint_eq(h->answers[0].code, 200);
  ck_assert(parley_text_is(h->answers[0].body, "{\"id\":\"msg_01KAM2Z8Q3XWB\",\"duplicate\":false}"));
  ck_assert(parley_text_is(h->answers[0].type, "application/json"));
  plugin_host_done(&h);
}
END_TEST

START_TEST(a_repeated_id_is_answered_as_a_duplicate)
{
  struct plugin_host *h = webhook_started();

  h->says_count = 1;
  ck_assert(parley_text_is(post(h, HELLO)->body, "{\"id\":\"msg_01KAM2Z8Q3XWA\",\"duplicate\":true}"));
  plugin_host_done(&h);
}
END_TEST

START_TEST(a_thousand_copies_get_a_thousand_answers)
{
  struct plugin_host *h = webhook_started();

  h->hold = true;
  for (size_t i = 0; i < 1000; i++)
    post(h, HELLO);
  ck_assert_uint_eq(h->n_items, 1000);
  ck_assert_uint_eq(h->n_answers, 0);
  for (size_t i = 1000; i-- > 0;) { /* the store may finish them in any order */
    h->says_count = i > 0;
    plugin_host_item_done(h, i, PARLEY_OK, MSG);
  }
  ck_assert_uint_eq(h->n_answers, 1000);
  for (size_t i = 0; i < 1000; i++)
    ck_assert_uint_eq(h->answers[i].code, 200);
  plugin_host_done(&h);
}
END_TEST

static const struct { parley_status says; uint32_t retry_ms, want, want_retry_ms; } verdicts[] = {
    {PARLEY_OK, 0, 200, 0},          {PARLEY_BUSY, 0, 503, 5000},   {PARLEY_RETRY, 2000, 503, 2000},
    {PARLEY_TIMEOUT, 0, 503, 5000},  {PARLEY_CLOSED, 0, 503, 5000}, {PARLEY_CANCELLED, 0, 503, 5000},
    {PARLEY_REJECTED, 0, 422, 0},    {PARLEY_INVALID, 0, 422, 0},   {PARLEY_FAILED, 0, 500, 0},
};

START_TEST(what_the_host_says_decides_the_answer)
{
  static const char receipt[] =
      "{\"type\":\"receipt\",\"message\":\"" MSG "\",\"status\":\"read\",\"at\":\"2023-11-14T22:13:20Z\"}";
  struct plugin_host *h = webhook_started();
  const struct plugin_host_answer *answer;

  h->says = verdicts[_i].says;
  h->says_retry_ms = verdicts[_i].retry_ms;
  for (int kind = 0; kind < 2; kind++) {
    answer = post(h, kind == 0 ? HELLO : receipt);
    ck_assert_uint_eq(answer->code, verdicts[_i].want);
    ck_assert_uint_eq(answer->retry_ms, verdicts[_i].want_retry_ms);
    ck_assert(parley_text_is(answer->type, verdicts[_i].want == 200 ? "application/json" : "application/problem+json"));
  }
  plugin_host_done(&h);
}
END_TEST

static const struct { const char *status; uint32_t kind, outcome; } receipts[] = {
    {"sent", PARLEY_RECEIPT_SENT, 0},
    {"delivered", PARLEY_RECEIPT_DELIVERED, 0},
    {"read", PARLEY_RECEIPT_READ, 0},
    {"failed", PARLEY_RECEIPT_FAILED, PARLEY_OUTCOME_REJECTED},
};

START_TEST(a_receipt_names_the_message_and_what_became_of_it)
{
  struct plugin_host *h = webhook_started();
  char body[256];

  snprintf(body, sizeof body,
           "{\"type\":\"receipt\",\"message\":\"" MSG
           "\",\"status\":\"%s\",\"at\":\"2023-11-14T23:13:20.5+01:00\",\"code\":\"x9\"}",
           receipts[_i].status);
  ck_assert(parley_text_is(post(h, body)->body, "{\"id\":\"" MSG "\",\"duplicate\":false}"));
  ck_assert_uint_eq(h->items[0].receipt->kind, receipts[_i].kind);
  ck_assert_uint_eq(h->items[0].receipt->outcome, receipts[_i].outcome);
  ck_assert_int_eq(h->items[0].receipt->at_ms, PLUGIN_HOST_NOW_MS + 500);
  ck_assert(parley_text_is(h->items[0].receipt->message_id, MSG) && parley_text_is(h->items[0].receipt->code, "x9"));
  plugin_host_done(&h);
}
END_TEST

#define FROM "\"from\":{\"email\":\"a@b.example\"}"
#define ID "\"id\":\"e1\","
static const struct { const char *body, *pointer, *code;
} invalid[] = {
    {"", "", "bad_json"},
    {"nothing", "", "bad_json"},
    {"[]", "", "wrong_type"},
    {"{" ID FROM ",\"text\":\"a\"} {}", "", "bad_json"},
    {"{" ID FROM ",\"text\":\"a\",}", "", "bad_json"},
    {"\xef\xbb\xbf{" ID FROM ",\"text\":\"a\"}", "", "bad_json"},
    {"{" ID FROM ",\"text\":\"\xc0\xaf\"}", "", "bad_encoding"},
    {"{" ID FROM ",\"text\":\"\\ud800\"}", "", "bad_json"},
    {"{" ID FROM ",\"text\":\"a\\u0000b\"}", "", "bad_json"},
    {"{" ID ID FROM ",\"text\":\"a\"}", "", "duplicate_key"},
    {"{\"a\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}", "", "too_deep"},
    {"{\"type\":\"call\"," ID FROM ",\"text\":\"a\"}", "/type", "bad_choice"},
    {"{" FROM ",\"text\":\"a\"}", "/id", "required"},
    {"{\"id\":7," FROM ",\"text\":\"a\"}", "/id", "wrong_type"},
    {"{\"id\":\"\"," FROM ",\"text\":\"a\"}", "/id", "too_short"},
    {"{" ID "\"text\":\"a\"}", "/from", "required"},
    {"{" ID "\"from\":\"ana\",\"text\":\"a\"}", "/from", "wrong_type"},
    {"{" ID "\"from\":{},\"text\":\"a\"}", "/from", "required"},
    {"{" ID "\"from\":{\"name\":\"Ana\"},\"text\":\"a\"}", "/from", "required"},
    {"{" ID "\"from\":{\"E-Mail!\":\"a@b.example\"},\"text\":\"a\"}", "/from/E-Mail!", "unknown_field"},
    {"{" ID "\"from\":{\"a/b~\":\"x\"},\"text\":\"a\"}", "/from/a~1b~0", "unknown_field"},
    {"{" ID "\"from\":{\"email\":5},\"text\":\"a\"}", "/from/email", "wrong_type"},
    {"{" ID "\"from\":{\"a\":\"1\",\"b\":\"1\",\"c\":\"1\",\"d\":\"1\",\"e\":\"1\",\"f\":\"1\",\"g\":\"1\",\"h\":\"1\","
            "\"i\":\"1\"},\"text\":\"a\"}",
     "/from", "too_many"},
    {"{" ID FROM "}", "/text", "required"},
    {"{" ID FROM ",\"content\":{}}", "/text", "required"},
    {"{" ID FROM ",\"text\":\"\"}", "/text", "too_short"},
    {"{" ID FROM ",\"text\":{\"a\":1}}", "/text", "wrong_type"},
    {"{" ID FROM ",\"txt\":\"a\"}", "/txt", "unknown_field"},
    {"{" ID FROM ",\"text\":\"a\",\"content\":{\"text\":\"b\"}}", "/text", "invalid"},
    {"{" ID FROM ",\"content\":[]}", "/content", "wrong_type"},
    {"{" ID FROM ",\"content\":{\"text\":\"a\",\"buttons\":[]}}", "/content/buttons", "unknown_field"},
    {"{" ID FROM ",\"content\":{\"media\":{}}}", "/content/media", "wrong_type"},
    {"{" ID FROM ",\"content\":{\"media\":[1,2,3,4,5,6,7,8,9,10,11]}}", "/content/media", "too_many"},
    {"{" ID FROM ",\"content\":{\"media\":[1]}}", "/content/media/0", "wrong_type"},
    {"{" ID FROM ",\"content\":{\"media\":[{\"type\":\"image/png\"}]}}", "/content/media/0", "invalid"},
    {"{" ID FROM ",\"content\":{\"media\":[{\"type\":\"image/png\",\"url\":\"file:///etc/passwd\"}]}}",
     "/content/media/0/url", "bad_url"},
    {"{" ID FROM ",\"content\":{\"media\":[{\"type\":\"image/png\",\"url\":\"https://a b\"}]}}", "/content/media/0/url",
     "bad_url"},
    {"{" ID FROM ",\"content\":{\"media\":[{\"type\":\"image/png\",\"data\":\"***=\"}]}}", "/content/media/0/data",
     "bad_base64"},
    {"{" ID FROM ",\"content\":{\"media\":[{\"type\":\"image/png\",\"data\":\"aGVsbG8\"}]}}", "/content/media/0/data",
     "bad_base64"},
    {"{" ID FROM ",\"content\":{\"location\":{\"latitude\":91,\"longitude\":0}}}", "/content/location/latitude",
     "out_of_range"},
    {"{" ID FROM ",\"content\":{\"location\":{\"latitude\":1}}}", "/content/location/longitude", "required"},
    {"{" ID FROM ",\"text\":\"a\",\"at\":\"yesterday\"}", "/at", "bad_time"},
    {"{\"type\":\"receipt\",\"message\":\"" MSG "\",\"status\":\"delivered\"}", "/at", "required"},
    {"{\"type\":\"receipt\",\"message\":\"" MSG "\",\"status\":\"lost\",\"at\":\"2023-11-14T22:13:20Z\"}", "/status",
     "bad_choice"},
    {"{\"type\":\"receipt\",\"message\":\"msg_1\",\"status\":\"read\",\"at\":\"2023-11-14T22:13:20Z\"}", "/message",
     "bad_id"},
    {"{\"type\":\"receipt\",\"message\":\"" MSG "\",\"status\":\"read\",\"at\":\"2023-02-29T22:13:20Z\"}", "/at",
     "bad_time"},
    {"{\"type\":\"receipt\",\"message\":\"" MSG "\",\"status\":\"read\",\"at\":\"2023-11-14T22:13:20Z\",\"id\":\"1\"}",
     "/id", "unknown_field"},
};

START_TEST(a_bad_body_is_422_with_a_pointer_and_reaches_no_one)
{
  struct plugin_host *h = webhook_started();
  const struct plugin_host_answer *answer = post(h, invalid[_i].body);
  const char *pointer = NULL, *code = NULL;
  json_t *problem = json_loadb(answer->body.at, answer->body.len, 0, NULL);

  ck_assert_uint_eq(answer->code, 422);
  ck_assert(parley_text_is(answer->type, "application/problem+json"));
  ck_assert_int_eq(json_unpack(problem, "{s:[{s:s, s:s}]}", "errors", "pointer", &pointer, "code", &code), 0);
  ck_assert_str_eq(pointer, invalid[_i].pointer);
  ck_assert_str_eq(code, invalid[_i].code);
  ck_assert_uint_eq(h->n_items, 0);
  json_decref(problem);
  plugin_host_done(&h);
}
END_TEST

START_TEST(content_of_every_kind_comes_in)
{
  static const char body[] =
      "{" ID FROM ",\"content\":{\"subject\":\"Hi\",\"text\":\"a\",\"html\":\"<b>a</b>\",\"media\":["
      "{\"data\":\"aGVsbG8=\",\"type\":\"text/plain\",\"name\":\"../a.txt\",\"caption\":\"c\"},"
      "{\"url\":\"http://169.254.169.254/\",\"type\":\"image/png\"}],"
      "\"location\":{\"latitude\":40.5,\"longitude\":-3,\"address\":\"Sol 1\"}},\"at\":\"2023-11-14T22:13:20Z\"}";
  struct plugin_host *h = webhook_started();
  const parley_inbound *in;

  ck_assert_uint_eq(post(h, body)->code, 200);
  in = h->items[0].inbound;
  ck_assert(in->n_parts == 5 && parley_text_is(in->subject, "Hi") && in->at_ms == PLUGIN_HOST_NOW_MS);
  ck_assert(in->parts[0]->kind == PARLEY_PART_TEXT && in->parts[1]->kind == PARLEY_PART_HTML);
  ck_assert(parley_text_is(in->parts[2]->data, "hello") && in->parts[2]->total_bytes == 5);
  ck_assert(parley_text_is(in->parts[2]->text, "c") && parley_text_is(in->parts[3]->url, "http://169.254.169.254/"));
  ck_assert(in->parts[4]->latitude > 40.4 && parley_text_is(in->parts[4]->text, "Sol 1"));
  ck_assert_uint_eq(h->n_https, 0); /* what a stranger names is never fetched */
  plugin_host_done(&h);
}
END_TEST

START_TEST(a_pressed_button_comes_in_as_its_id)
{
  struct plugin_host *h = webhook_started();

  ck_assert_uint_eq(post(h, "{" ID FROM ",\"postback\":\"yes\",\"text\":\"Yes\"}")->code, 200);
  ck_assert_uint_eq(h->items[0].inbound->kind, PARLEY_KIND_POSTBACK);
  ck_assert(parley_text_is(h->items[0].inbound->payload, "yes"));
  plugin_host_done(&h);
}
END_TEST

/* id, timestamp, signature as sent; NULL: left out, "=": the right one. */
static const struct { const char *id, *timestamp, *signature, *secret, *code; } unsigned_calls[] = {
    {"=", "=", NULL, SECRET, "missing"},
    {NULL, "=", "=", SECRET, "missing"},
    {"=", NULL, "=", SECRET, "missing"},
    {"=", "=", "", SECRET, "missing"},
    {"=", "=", "v1,AAAA", SECRET, "mismatch"},
    {"=", "=", "v1,!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!", SECRET, "mismatch"},
    {"=", "=", "sha1=757107ea0eb2509fc211221cce984b8a37570b6d", SECRET, "malformed"},
    {"=", "=", "none", SECRET, "malformed"},
    {"=", "=", "=", OLD_SECRET, "mismatch"}, /* right, for another channel's secret */
    {"e2", "=", "=", SECRET, "mismatch"},
    {"=", "1699999640", "=", SECRET, "stale"}, /* six minutes old */
    {"=", "1700000360", "=", SECRET, "stale"}, /* six minutes ahead */
    {"=", "1700000001", "=", SECRET, "mismatch"},
    {"=", "1e9", "=", SECRET, "malformed"},
    {"=", "-5", "=", SECRET, "malformed"},
    {"=", "17000000001700000000", "=", SECRET, "malformed"},
};

static uint32_t header_add(parley_pair *headers, uint32_t n, const char *name, const char *given, const char *right)
{
  if (given != NULL)
    headers[n++] = (parley_pair){parley_text_of(name), parley_text_of(strcmp(given, "=") == 0 ? right : given)};
  return n;
}

START_TEST(without_a_good_signature_the_answer_is_401_and_nothing_is_stored)
{
  struct plugin_host *h = webhook_started();
  struct standard_webhooks_keys keys;
  char signature[STANDARD_WEBHOOKS_HEADER_ROOM], want[64];
  parley_pair headers[3];
  const struct plugin_host_answer *answer;
  uint32_t n;

  ck_assert(standard_webhooks_keys_read(parley_text_of(unsigned_calls[_i].secret), &keys));
  standard_webhooks_sign(&keys, PARLEY_LIT("e1"), PLUGIN_HOST_NOW_MS / 1000, PARLEY_LIT(HELLO), signature);
  standard_webhooks_keys_done(&keys);
  n = header_add(headers, 0, "webhook-id", unsigned_calls[_i].id, "e1");
  n = header_add(headers, n, "webhook-timestamp", unsigned_calls[_i].timestamp, "1700000000");
  n = header_add(headers, n, "webhook-signature", unsigned_calls[_i].signature, signature);
  answer = plugin_host_answer_of(h, plugin_host_http_call(h, "POST", "/", headers, n, PARLEY_LIT(HELLO)));
  ck_assert_uint_eq(answer->code, 401);
  snprintf(want, sizeof want, "\"code\":\"%s\"", unsigned_calls[_i].code);
  ck_assert_msg(text_find_text(answer->body, parley_text_of(want)) != SIZE_MAX, "%.*s", TEXT_ARG(answer->body));
  ck_assert_uint_eq(h->n_items, 0);
  plugin_host_done(&h);
}
END_TEST

static const struct { const char *method, *path; uint32_t code;
} others[] = {
    {"GET", "/", 405},   {"HEAD", "/", 405},      {"PUT", "/", 405},
    {"TRACE", "/", 405}, {"POST", "/other", 404}, {"POST", "//", 404},
};

START_TEST(only_post_to_the_channel_itself_is_taken)
{
  struct plugin_host *h = webhook_started();
  const struct plugin_host_answer *answer = plugin_host_answer_of(
      h, plugin_host_http_call(h, others[_i].method, others[_i].path, NULL, 0, PARLEY_LIT(HELLO)));

  ck_assert_uint_eq(answer->code, others[_i].code);
  if (answer->code == 405)
    ck_assert(parley_text_is(parley_header(answer->headers, answer->n_headers, "allow"), "POST"));
  plugin_host_done(&h);
}
END_TEST

START_TEST(a_body_above_inline_max_is_413)
{
  struct plugin_host *h = webhook_started();
  size_t len = (size_t)h->host.inline_max + 1;
  char *body = xcalloc(1, len);

  memset(body, ' ', len);
  ck_assert_uint_eq(post_signed_by(h, SECRET, (parley_text){body, len})->code, 413);
  free(body);
  plugin_host_done(&h);
}
END_TEST

static TCase *case_out(void)
{
  TCase *tcase = tcase_create("out");

  tcase_add_test(tcase, a_secret_that_is_none_is_refused_with_a_remedy);
  tcase_add_test(tcase, in_flight_narrows_what_the_channel_can_hold);
  tcase_add_test(tcase, stopping_with_open_requests_settles_nothing_twice);
  tcase_add_test(tcase, a_message_is_posted_signed_under_its_own_id);
  tcase_add_test(tcase, while_rotating_both_secrets_sign);
  tcase_add_test(tcase, the_body_has_message_to_content_and_customer);
  tcase_add_test(tcase, every_kind_of_part_is_carried);
  tcase_add_loop_test(tcase, whatever_the_text_holds_its_json_says_the_same, 0, 8);
  tcase_add_test(tcase, a_message_to_no_address_names_the_customer_alone);
  tcase_add_test(tcase, media_without_bytes_or_url_is_rejected_without_a_request);
  tcase_add_loop_test(tcase, an_http_result_means_one_outcome, 0, COUNT_OF(outcomes));
  tcase_add_loop_test(tcase, a_probe_asks_with_head_and_sends_no_message, 0, COUNT_OF(probes));
  return tcase;
}

static TCase *case_in(void)
{
  TCase *tcase = tcase_create("in");

  tcase_add_test(tcase, a_message_comes_in_and_is_answered_after_the_commit);
  tcase_add_test(tcase, a_repeated_id_is_answered_as_a_duplicate);
  tcase_add_test(tcase, a_thousand_copies_get_a_thousand_answers);
  tcase_add_loop_test(tcase, what_the_host_says_decides_the_answer, 0, COUNT_OF(verdicts));
  tcase_add_loop_test(tcase, a_receipt_names_the_message_and_what_became_of_it, 0, COUNT_OF(receipts));
  tcase_add_loop_test(tcase, a_bad_body_is_422_with_a_pointer_and_reaches_no_one, 0, COUNT_OF(invalid));
  tcase_add_test(tcase, content_of_every_kind_comes_in);
  tcase_add_test(tcase, a_pressed_button_comes_in_as_its_id);
  tcase_add_loop_test(tcase, without_a_good_signature_the_answer_is_401_and_nothing_is_stored, 0,
                      COUNT_OF(unsigned_calls));
  tcase_add_loop_test(tcase, only_post_to_the_channel_itself_is_taken, 0, COUNT_OF(others));
  tcase_add_test(tcase, a_body_above_inline_max_is_413);
  return tcase;
}

int main(void)
{
  Suite *suite = suite_create("plugins/webhook");
  SRunner *runner;
  int failed;

  suite_add_tcase(suite, case_out());
  suite_add_tcase(suite, case_in());
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed > 0;
}
