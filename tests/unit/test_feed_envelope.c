#include "core/base/alloc.h"
#include "core/base/text.h"
#include "core/feed/envelope.h"
#include "core/feed/slice.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AT_MS INT64_C(1700000000123)
#define AT_TEXT "2023-11-14T22:13:20.123Z"
#define ID UINT64_C(0x0123456789ab)

/* What was written, read back by the strict reader; the caller decrefs. */
static json_t *parsed(struct buf *buf)
{
  struct arena *arena = arena_new();
  struct problems problems;
  json_t *json;

  problems_init(&problems, arena);
  json = json_read(buf_as_text(buf), &problems);
  ck_assert_msg(json != NULL, "%s: %.*s", problems.count > 0 ? problems.rows[0].code : "", TEXT_ARG(buf_as_text(buf)));
  arena_free(&arena);
  buf_done(buf);
  return json;
}

/* The value at "data/recent/0/message"; a missing one fails. */
static const json_t *at(const json_t *json, const char *path)
{
  parley_text rest = parley_text_of(path);

  while (rest.len > 0) {
    parley_text name = text_cut(&rest, '/');
    char key[64];

    snprintf(key, sizeof(key), "%.*s", TEXT_ARG(name));
    json = json_is_array(json) ? json_array_get(json, (size_t)strtoul(key, NULL, 10)) : json_object_get(json, key);
    ck_assert_msg(json != NULL, "%s: no %s", path, key);
  }
  return json;
}

static bool has(const json_t *json, const char *key)
{
  return json_object_get(json, key) != NULL;
}

#define ck_text_at(json, path, want) ck_assert_str_eq(json_string_value(at(json, path)), want)
#define ck_null_at(json, path) ck_assert(json_is_null(at(json, path)))

static const char *id_text(const char *prefix, id64 id)
{
  static char text[ID_TEXT_MAX];

  id_format(prefix, id, text);
  return text;
}

static struct message_row inbound(const char *body)
{
  return (struct message_row){.id = ID,
                              .customer = ID + 1,
                              .identity = ID + 2,
                              .conversation = ID + 3,
                              .inbound = true,
                              .kind = PARLEY_KIND_CONTENT,
                              .created_ms = AT_MS,
                              .at_ms = AT_MS,
                              .state = MESSAGE_DELIVERED,
                              .channel = PARLEY_LIT("hook"),
                              .channel_kind = PARLEY_LIT("webhook"),
                              .body = parley_text_of(body)};
}

static struct message_row outbound(const char *body)
{
  return (struct message_row){.id = ID,
                              .customer = ID + 1,
                              .created_ms = AT_MS,
                              .state = MESSAGE_SENT,
                              .topic = PARLEY_LIT("orders"),
                              .channel = PARLEY_LIT("mail"),
                              .body = parley_text_of(body)};
}

static json_t *message(const struct message_row *row, bool whole)
{
  struct buf buf = BUF_INIT(0);

  if (whole)
    buf_message_whole(&buf, row, NULL, NULL);
  else
    buf_message(&buf, row);
  return parsed(&buf);
}

/* --- Messages --------------------------------------------------------------------------------- */

START_TEST(an_inbound_message_is_received_and_shows_what_was_said)
{
  struct message_row row = inbound("{\"content\":{\"text\":\"Where is it?\"}}");
  json_t *json = message(&row, false);

  ck_text_at(json, "id", id_text("msg", ID));
  ck_text_at(json, "direction", "in");
  ck_text_at(json, "status", "received");
  ck_text_at(json, "kind", "content");
  ck_text_at(json, "customer", id_text("cus", ID + 1));
  ck_text_at(json, "identity", id_text("idn", ID + 2));
  ck_text_at(json, "conversation", id_text("cnv", ID + 3));
  ck_text_at(json, "channel", "hook");
  ck_text_at(json, "channel_kind", "webhook");
  ck_text_at(json, "created_at", AT_TEXT);
  ck_text_at(json, "content/text", "Where is it?");
  ck_null_at(json, "topic");
  ck_assert(!has(json, "payload"));
  json_decref(json);
}
END_TEST

START_TEST(a_postback_shows_its_payload_target_and_fields)
{
  struct message_row row = inbound(
      "{\"content\":{},\"kind\":\"form\",\"payload\":\"yes\",\"target\":\"msg_1\",\"fields\":{\"a\":\"\\u00e9\"}}");
  json_t *json;

  row.kind = PARLEY_KIND_FORM;
  row.flags = PARLEY_AUTOMATIC;
  json = message(&row, false);
  ck_text_at(json, "kind", "form");
  ck_text_at(json, "payload", "yes");
  ck_text_at(json, "target", "msg_1");
  ck_text_at(json, "fields/a", "\xc3\xa9");
  ck_assert(json_is_true(at(json, "automatic")));
  json_decref(json);
}
END_TEST

static const struct {
  const char *body, *want;
} bodies[] = {
    {"{\"to\":{\"email\":\"a@example.org\"},\"content\":{\"text\":\"hello\"},\"topic\":\"orders\"}", "hello"},
    {" {\n  \"to\": {\"content\": 1},\n  \"content\" : {\"text\" : \"hello\"} }\n", "hello"},
    {"{\"\\u0063onten\\u0074\":{\"text\":\"hello\"}}", "hello"},
    {"{\"data\":[\"}\",{\"content\":\"\\\"{\"}],\"content\":{\"text\":\"he\\\"llo\"}}", "he\"llo"},
    {"{\"content\":{\"text\":\"\\ud83d\\ude00 \\\\\"}}", "\xf0\x9f\x98\x80 \\"},
};

START_TEST(content_is_found_in_whatever_was_posted)
{
  struct message_row row = outbound(bodies[_i].body);
  json_t *json = message(&row, false);

  ck_text_at(json, "content/text", bodies[_i].want);
  ck_text_at(json, "direction", "out");
  ck_text_at(json, "status", "sent");
  ck_assert(json_is_false(at(json, "possible_duplicate")));
  ck_assert_uint_eq(json_array_size(at(json, "degraded")), 0);
  json_decref(json);
}
END_TEST

static const char *const no_contents[] = {"",
                                          "{}",
                                          "[]",
                                          "null",
                                          "{\"content\":\"text\"}",
                                          "{\"content\"",
                                          "{\"content\":",
                                          "{\"x\":{",
                                          "{\"x\":\"",
                                          "{\"x\":\"\\",
                                          "{\"content\"}",
                                          "\"content\""};

START_TEST(a_body_without_content_gives_null)
{
  struct message_row row = outbound(no_contents[_i]);
  json_t *json = message(&row, false);

  ck_null_at(json, "content");
  json_decref(json);
}
END_TEST

static parley_text decision_json(struct buf *buf)
{
  struct decision decision = {.first = 1, .n_steps = 2, .consent_rule = NULL};

  decision.steps[0] = (struct decided_step){.channel = PARLEY_LIT("sms"),
                                            .channel_kind = PARLEY_LIT("sms"),
                                            .verdict = STEP_NO_ADDRESS,
                                            .until = UNTIL_SENT,
                                            .address_kind = PARLEY_LIT("phone"),
                                            .address = TEXT_EMPTY};
  decision.steps[1] = (struct decided_step){.channel = PARLEY_LIT("mail"),
                                            .channel_kind = PARLEY_LIT("email"),
                                            .verdict = STEP_GO,
                                            .until = UNTIL_DELIVERED,
                                            .within_ms = 600000,
                                            .address_kind = PARLEY_LIT("email"),
                                            .address = PARLEY_LIT("ana@example.org")};
  decision_write(buf, &decision);
  return buf_as_text(buf);
}

static void more_members(struct buf *buf, size_t index, const struct decided_step *step, void *arg)
{
  ck_assert(step->channel.len > 0);
  buf_json_key(buf, arg);
  buf_uint(buf, index);
}

START_TEST(a_delivery_in_parts_shows_each_of_them)
{
  struct buf decision = BUF_INIT(0), buf = BUF_INIT(0);
  struct delivery_row delivery = {.id = ID + 9,
                                  .facts = {.state = DELIVERY_FAILED, .attempt = 1},
                                  .channel = PARLEY_LIT("sms"),
                                  .provider_ids = PARLEY_LIT("[\"p-1\",\"p-2\",\"p-3\",\"\"]"),
                                  .parts = {.n = 4, .delivered = 5, .read = 4, .failed = 2},
                                  .part_code = PARLEY_LIT("27")};
  struct message_row row = outbound("{\"content\":{\"text\":\"hello\"}}");
  json_t *json;

  row.decision = decision_json(&decision);
  row.n_deliveries = 1;
  row.deliveries = &delivery;
  buf_message_whole(&buf, &row, more_members, "place");
  json = parsed(&buf);
  ck_text_at(json, "deliveries/0/parts/0/provider_id", "p-1");
  ck_text_at(json, "deliveries/0/parts/0/status", "delivered");
  ck_text_at(json, "deliveries/0/parts/1/status", "failed");
  ck_text_at(json, "deliveries/0/parts/2/status", "read");
  ck_text_at(json, "deliveries/0/parts/3/status", "queued");
  ck_null_at(json, "deliveries/0/parts/3/provider_id");
  ck_text_at(json, "deliveries/0/partial", "2/4");
  ck_text_at(json, "deliveries/0/code", "27");
  ck_assert_int_eq(json_integer_value(at(json, "decision/plan/1/place")), 1);
  ck_assert(!has(json, "plan/1/place"));
  json_decref(json);
  delivery.parts = (struct parts){.n = 1};
  json = message(&row, true);
  ck_assert(!has(json, "deliveries/0/parts") && !has(json, "deliveries/0/partial"));
  json_decref(json);
  buf_done(&decision);
}
END_TEST

START_TEST(a_whole_message_has_plan_deliveries_attempts_and_decision)
{
  struct buf decision = BUF_INIT(0);
  struct delivery_row delivery = {.id = ID + 9,
                                  .facts = {.step = 1, .state = DELIVERY_SENT, .attempt = 2, .maybe_twice = true},
                                  .channel = PARLEY_LIT("mail"),
                                  .address_kind = PARLEY_LIT("email"),
                                  .address = PARLEY_LIT("ana@example.org")};
  struct attempt_row attempts[] = {{.id = ID + 10,
                                    .step = 1,
                                    .number = 1,
                                    .started_ms = AT_MS,
                                    .ended_ms = AT_MS,
                                    .outcome = PARLEY_OUTCOME_UNKNOWN,
                                    .code = PARLEY_LIT("lost")},
                                   {.step = 1, .number = 2, .started_ms = AT_MS}};
  struct message_row row = outbound("{\"content\":{\"text\":\"hello\"}}");
  json_t *json;

  row.decision = decision_json(&decision);
  row.n_deliveries = 1;
  row.deliveries = &delivery;
  row.n_attempts = 2;
  row.attempts = attempts;
  row.possible_duplicate = true;
  row.degraded = PARLEY_LIT("[\"html_to_text\"]");
  json = message(&row, true);
  ck_text_at(json, "plan/0/verdict", "no_address");
  ck_text_at(json, "plan/1/channel", "mail");
  ck_text_at(json, "plan/1/within", "10m");
  ck_text_at(json, "decision/verdict", "send");
  ck_text_at(json, "deliveries/0/status", "sent");
  ck_text_at(json, "deliveries/0/to", "a***@example.org");
  ck_assert_int_eq(json_integer_value(at(json, "deliveries/0/attempts")), 2);
  ck_text_at(json, "attempts/0/outcome", "unknown");
  ck_text_at(json, "attempts/0/code", "lost");
  ck_text_at(json, "attempts/1/outcome", "open");
  ck_null_at(json, "attempts/1/ended_at");
  ck_text_at(json, "degraded/0", "html_to_text");
  ck_assert(json_is_true(at(json, "possible_duplicate")));
  json_decref(json);
  buf_done(&decision);
}
END_TEST

START_TEST(a_message_without_a_readable_decision_is_shown_all_the_same)
{
  struct message_row row = outbound("{\"content\":{\"text\":\"hello\"}}");
  json_t *json;

  row.decision = PARLEY_LIT("{oops");
  json = message(&row, true);
  ck_null_at(json, "decision");
  ck_assert_uint_eq(json_array_size(at(json, "plan")), 0);
  json_decref(json);
}
END_TEST

/* --- Cutting ---------------------------------------------------------------------------------- */

static const struct {
  const char *text;
  size_t max;
  const char *want;
} cuts[] = {
    {"\"\"", 4, ""},
    {"\"abcd\"", 4, "abcd"},
    {"\"abcde\"", 4, "abcd"},
    {"\"abc\\n\\n\"", 4, "abc\n"},
    {"\"\\u0041\\u0042\\u0043\\u0044\"", 4, "ABCD"},
    {"\"\\u0041\\u0042\\u0043\\u0044\\u0045\"", 4, "ABCD"},
    {"\"a\\u00e9\\u00e9b\"", 4, "a\xc3\xa9"},
    {"\"ab\\u20acc\"", 4, "ab"},
    {"\"a\\u20acb\"", 4, "a\xe2\x82\xac"},
    {"\"a\\ud83d\\ude00b\"", 4, "a"},
    {"\"\\ud83d\\ude00b\"", 4, "\xf0\x9f\x98\x80"},
    {"\"ab\xe2\x82\xac\"", 4, "ab"},
    {"\"abc\\\\d\"", 4, "abc\\"},
    {"\"abc\\\"d\"", 4, "abc\""},
};

START_TEST(a_text_is_cut_between_characters)
{
  struct buf buf = BUF_INIT(0);
  json_t *json;

  buf_char(&buf, '[');
  buf_slice_cut(&buf, parley_text_of(cuts[_i].text), cuts[_i].max);
  buf_char(&buf, ']');
  json = parsed(&buf);
  ck_text_at(json, "0", cuts[_i].want);
  json_decref(json);
}
END_TEST

START_TEST(recent_holds_at_most_a_kilobyte_of_a_text)
{
  struct buf body = BUF_INIT(0), buf = BUF_INIT(0);
  struct message_row row = outbound("");
  struct timeline_row entry = {
      .at_ms = AT_MS, .seq = ID, .type = PARLEY_LIT("message.sent"), .customer = ID + 1, .message = &row};
  json_t *json;

  buf_str(&body, "{\"content\":{\"subject\":\"Order\",\"text\":\"");
  for (int i = 0; i < 5000; i++)
    buf_str(&body, "\xc3\xa9");
  buf_str(&body, "\",\"channels\":{\"sms\":{\"text\":\"short\"}},\"media\":[{\"id\":\"med_1\"}]}}");
  row.body = buf_as_text(&body);
  buf_timeline_entry(&buf, &entry, RECENT_BODY_BYTES_MAX);
  json = parsed(&buf);
  ck_assert_uint_eq(json_string_length(at(json, "message/content/text")), RECENT_BODY_BYTES_MAX);
  ck_assert(json_is_true(at(json, "message/content/cut")));
  ck_text_at(json, "message/content/subject", "Order");
  ck_text_at(json, "message/content/media/0/id", "med_1");
  ck_assert(!has(at(json, "message/content"), "channels"));
  json_decref(json);
  buf_timeline_entry(&buf, &entry, 0);
  json = parsed(&buf);
  ck_assert_uint_eq(json_string_length(at(json, "message/content/text")), 10000);
  ck_text_at(json, "message/content/channels/sms/text", "short");
  json_decref(json);
  buf_done(&body);
}
END_TEST

/* --- Everything else -------------------------------------------------------------------------- */

START_TEST(timeline_entries_without_a_message_show_their_data)
{
  struct timeline_row entry = {.at_ms = AT_MS,
                               .seq = ID,
                               .type = PARLEY_LIT("touchpoint.checkout"),
                               .customer = ID + 1,
                               .data = PARLEY_LIT("{\"total\":12}")};
  struct buf buf = BUF_INIT(0);
  json_t *json;

  buf_timeline_entry(&buf, &entry, 0);
  json = parsed(&buf);
  ck_text_at(json, "id", id_text("evt", ID));
  ck_text_at(json, "at", AT_TEXT);
  ck_assert_int_eq(json_integer_value(at(json, "data/total")), 12);
  ck_assert(!has(json, "message"));
  json_decref(json);
}
END_TEST

START_TEST(recent_leaves_out_what_is_long_in_a_touchpoint)
{
  struct buf data = BUF_INIT(0), buf = BUF_INIT(0);
  struct timeline_row entry = {.at_ms = AT_MS, .seq = ID, .type = PARLEY_LIT("touchpoint.checkout")};
  json_t *json;

  buf_str(&data, "{\"stage\":\"during\",\"data\":{\"list\":[0");
  for (int i = 0; i < 5000; i++)
    buf_str(&data, ",1");
  buf_str(&data, "]}}");
  entry.data = buf_as_text(&data);
  buf_timeline_entry(&buf, &entry, RECENT_BODY_BYTES_MAX);
  ck_assert_uint_lt(buf.len, 300);
  json = parsed(&buf);
  ck_text_at(json, "data/stage", "during");
  ck_assert(json_is_true(at(json, "data/cut")));
  json_decref(json);
  buf_done(&data);
}
END_TEST

START_TEST(a_customer_shows_identities_consents_and_attributes)
{
  struct stored_identity identities[] = {{.id = ID,
                                          .identity = {.kind = PARLEY_LIT("email"),
                                                       .value = PARLEY_LIT("Ana@example.org"),
                                                       .raw = PARLEY_LIT("Ana@EXAMPLE.org"),
                                                       .assurance = PARLEY_VERIFIED}},
                                         {.id = ID + 1,
                                          .identity = {.kind = PARLEY_LIT("external"),
                                                       .value = PARLEY_LIT("shop-77"),
                                                       .raw = PARLEY_LIT("shop-77"),
                                                       .assurance = PARLEY_CLAIMED},
                                          .blocked = true}};
  struct consent consents[] = {{.topic = PARLEY_LIT("newsletter"),
                                .channel_kind = PARLEY_LIT("*"),
                                .granted = true,
                                .at_ms = AT_MS,
                                .source = PARLEY_LIT("api")}};
  struct customer_row row = {.id = ID,
                             .created_ms = AT_MS,
                             .name = PARLEY_LIT("Ana \"A\""),
                             .attributes = PARLEY_LIT("{\"vip\":true}"),
                             .tags = PARLEY_LIT("[\"a\"]"),
                             .n_identities = 2,
                             .identities = identities,
                             .n_consents = 1,
                             .consents = consents};
  struct buf buf = BUF_INIT(0);
  json_t *json;

  buf_customer(&buf, &row);
  json = parsed(&buf);
  ck_text_at(json, "name", "Ana \"A\"");
  ck_null_at(json, "locale");
  ck_assert(json_is_true(at(json, "attributes/vip")));
  ck_text_at(json, "tags/0", "a");
  ck_text_at(json, "identities/0/assurance", "verified");
  ck_text_at(json, "identities/0/raw", "Ana@EXAMPLE.org");
  ck_assert(!has(at(json, "identities/1"), "raw"));
  ck_assert(json_is_true(at(json, "identities/1/blocked")));
  ck_text_at(json, "consents/0/source", "api");
  ck_assert(json_is_true(at(json, "consents/0/granted")));
  json_decref(json);
}
END_TEST

START_TEST(a_bare_customer_has_empty_lists_not_nulls)
{
  struct customer_row row = {.id = ID};
  struct buf buf = BUF_INIT(0);
  json_t *json;

  buf_customer(&buf, &row);
  json = parsed(&buf);
  ck_assert(json_is_object(at(json, "attributes")));
  ck_assert(json_is_array(at(json, "tags")) && json_is_array(at(json, "identities")) &&
            json_is_array(at(json, "consents")));
  json_decref(json);
}
END_TEST

START_TEST(an_event_carries_its_facts_and_the_context_beside_them)
{
  struct message_row said = inbound("{\"content\":{\"text\":\"Where is order 1042?\"}}");
  struct message_row order = outbound("{\"content\":{\"text\":\"Order 1042 is on its way\"}}");
  struct timeline_row entries[] = {
      {.at_ms = AT_MS, .seq = ID, .type = PARLEY_LIT("message.received"), .message = &said},
      {.at_ms = AT_MS, .seq = ID, .type = PARLEY_LIT("message.sent"), .message = &order}};
  struct conversation_row conversation = {
      .id = ID + 3, .customer = ID + 1, .state = PARLEY_LIT("open"), .opened_ms = AT_MS, .version = 4};
  struct customer_row customer = {.id = ID + 1, .name = PARLEY_LIT("Ana")};
  struct event_row event = {.seq = ID + 5,
                            .type = PARLEY_LIT("message.received"),
                            .at_ms = AT_MS,
                            .data = PARLEY_LIT("{\"message\":1}"),
                            .message = &said,
                            .conversation_row = &conversation,
                            .customer_row = &customer,
                            .n_recent = 2,
                            .recent = entries};
  struct buf buf = BUF_INIT(0);
  json_t *json;

  buf_event(&buf, &event);
  json = parsed(&buf);
  ck_text_at(json, "id", id_text("evt", ID + 5));
  ck_text_at(json, "type", "message.received");
  ck_text_at(json, "timestamp", AT_TEXT);
  ck_assert_int_eq(json_integer_value(at(json, "data/facts/message")), 1);
  ck_text_at(json, "data/message/content/text", "Where is order 1042?");
  ck_text_at(json, "data/conversation/state", "open");
  ck_assert_int_eq(json_integer_value(at(json, "data/conversation/version")), 4);
  ck_text_at(json, "data/customer/name", "Ana");
  ck_text_at(json, "data/recent/1/message/content/text", "Order 1042 is on its way");
  json_decref(json);
}
END_TEST

START_TEST(an_event_without_context_has_facts_alone)
{
  struct event_row event = {.seq = ID, .type = PARLEY_LIT("channel.paused"), .at_ms = AT_MS};
  struct buf buf = BUF_INIT(0);
  json_t *json;

  buf_event(&buf, &event);
  json = parsed(&buf);
  ck_assert_uint_eq(json_object_size(at(json, "data")), 1);
  ck_assert(json_is_object(at(json, "data/facts")));
  json_decref(json);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("feed envelope");
  TCase *tcase = tcase_create("envelope");
  SRunner *runner = srunner_create(suite);
  int failed;

  tcase_add_test(tcase, an_inbound_message_is_received_and_shows_what_was_said);
  tcase_add_test(tcase, a_postback_shows_its_payload_target_and_fields);
  tcase_add_loop_test(tcase, content_is_found_in_whatever_was_posted, 0, COUNT_OF(bodies));
  tcase_add_loop_test(tcase, a_body_without_content_gives_null, 0, COUNT_OF(no_contents));
  tcase_add_test(tcase, a_delivery_in_parts_shows_each_of_them);
  tcase_add_test(tcase, a_whole_message_has_plan_deliveries_attempts_and_decision);
  tcase_add_test(tcase, a_message_without_a_readable_decision_is_shown_all_the_same);
  tcase_add_loop_test(tcase, a_text_is_cut_between_characters, 0, COUNT_OF(cuts));
  tcase_add_test(tcase, recent_holds_at_most_a_kilobyte_of_a_text);
  tcase_add_test(tcase, timeline_entries_without_a_message_show_their_data);
  tcase_add_test(tcase, recent_leaves_out_what_is_long_in_a_touchpoint);
  tcase_add_test(tcase, a_customer_shows_identities_consents_and_attributes);
  tcase_add_test(tcase, a_bare_customer_has_empty_lists_not_nulls);
  tcase_add_test(tcase, an_event_carries_its_facts_and_the_context_beside_them);
  tcase_add_test(tcase, an_event_without_context_has_facts_alone);
  suite_add_tcase(suite, tcase);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
