// sources: plugins/sms-http/sms_settings.c plugins/sms-http/sms_provider.c plugins/sms-http/sms_form.c
// sources: plugins/sms-http/sms_pointer.c plugins/sms-http/sms_time.c plugins/sms-http/twilio.c plugins/sms-http/vonage.c
// sources: plugins/sms-http/vonage_messages.c plugins/sms-http/vonage_jwt.c
// libraries: PkgConfig::OPENSSL
// sources: plugins/sms-http/gateway.c plugins/sms-http/gateway_out.c plugins/sms-http/gateway_in.c plugins/sms-http/gateway_verify.c
// sources: plugins/sms-http/gateway_options.c plugins/sms-http/gateway_table.c plugins/sms-http/gateway_template.c
// sources: plugins/sms-http/gateway_check.c
/* Gateways by description: what is refused in one, the requests it makes, what answers and callbacks mean to it. */
#include "plugins/sms-http/gateway_options.h"
#include "sms_bed.h"
#include <stdio.h>

const parley_capabilities sms_capabilities = {.size = sizeof sms_capabilities}; /* the plugin's own file has it */

#define ACCOUNT "provider: gateway\naccount: acc\nsecret: { env: S }\ncallback_secret: { env: C }\nfrom: \"+12025550143\"\n"
#define SEND "  send: { url: \"https://gw.example/send\", json: '{\"to\": \"{{to}}\", \"text\": \"{{text}}\"}' }\n"
#define SIGNED "  signature: { kind: token, header: X-Token }\n"

static const struct sms_piece piece = {.to = PARLEY_LIT("+34600111222"),
                                       .from = PARLEY_LIT("+12025550143"),
                                       .text = PARLEY_LIT("a\"b\\c\n&=+ \xe2\x82\xac"),
                                       .id = PARLEY_LIT("msg_1"),
                                       .callback = PARLEY_LIT("https://p.example/in/sms/receipts"),
                                       .expires_s = 60};

/* --- Pointers: RFC 6901, section 5 ----------------------------------------------------------------------------------- */
static const char document[] =
    "{\"foo\":[\"bar\",\"baz\"],\"\":0,\"a/b\":1,\"c%d\":2,\"e^f\":3,\"g|h\":4,\"i\\\\j\":5,\"k\\\"l\":6,\" \":7,"
    "\"m~n\":8,\"t\":true,\"n\":null,\"r\":1.5,\"o\":{\"0\":\"zero\"}}";
static const struct {
  const char *pointer, *text;
} pointers[] = {{"/foo/0", "bar"}, {"/foo/1", "baz"}, {"/", "0"},      {"/a~1b", "1"},
                {"/c%d", "2"},     {"/e^f", "3"},     {"/g|h", "4"},   {"/i\\j", "5"},
                {"/k\"l", "6"},    {"/ ", "7"},       {"/m~0n", "8"},  {"/t", "true"},
                {"/r", "1.5"},     {"/o/0", "zero"},  {"", ""},        {"/foo", ""},
                {"/foo/2", ""},    {"/foo/-", ""},    {"/foo/00", ""}, {"/foo/01", ""},
                {"/foo/0/x", ""},  {"/n", ""},        {"/absent", ""}, {"/foo/99999999999999999999", ""},
                {"foo", ""},       {"/a~2b", ""},     {"/foo/", ""}};
START_TEST(a_json_pointer_points_where_rfc_6901_says)
{
  json_t *root = json_loads(document, 0, NULL);
  struct copy *memory = copy_new();

  BED_IS(sms_pointer_text(root, parley_text_of(pointers[_i].pointer), memory), pointers[_i].text);
  copy_free(&memory);
  json_decref(root);
}
END_TEST

/* --- Descriptions ---------------------------------------------------------------------------------------------------- */
static const struct {
  const char *yaml, *words;
} wrong[] = {
    {"gateway:\n  answer: { id: /id }\n", "options.gateway.send"},
    {"gateway:\n  send: { url: \"ftp://gw.example\", json: '{\"a\":\"{{to}}{{text}}\"}' }\n",
     "gateway.send.url: it begins with https://"},
    {"gateway:\n  send: { url: \"https://gw.example/{{two}}\", form: { a: \"{{to}}{{text}}\" } }\n",
     "gateway.send.url: {{two}} is unknown"},
    {"gateway:\n  send: { url: \"https://gw.example\", form: { a: \"{{text}}\" } }\n", "{{to}} or {{to_digits}} stands nowhere"},
    {"gateway:\n  send: { url: \"https://gw.example\", form: { a: \"{{to}}\" } }\n", "{{text}} stands nowhere"},
    {"gateway:\n  send: { url: \"https://gw.example\", form: { a: \"{{to}{{text}}\" } }\n",
     "gateway.send.form.a: {{to}{{text}} is unknown"},
    {"gateway:\n  send: { url: \"https://gw.example\", form: { a: \"{{to}}{{text\" } }\n", "gateway.send.form.a: {{ has no }}"},
    {"gateway:\n  send: { url: \"https://gw.example\", json: '{\"a\": {{to}}, \"b\": \"{{text}}\"}' }\n", "write \"{{to}}\""},
    {"gateway:\n  send: { url: \"https://gw.example\", json: '{\"a\": \"{{media}} {{to}} {{text}}\"}' }\n",
     "is a list: write it without quotes"},
    {"gateway:\n  send: { url: \"https://gw.example\", json: '{\"a\": \"{{to}}\", \"b\": \"{{text}}\",}' }\n", "it is no JSON"},
    {"gateway:\n  send: { url: \"https://gw.example\", json: '{\"a\": \"{{to}}\", \"a\": \"{{text}}\"}' }\n", "it is no JSON"},
    {"gateway:\n  send: { url: \"https://gw.example\", method: GET, form: { a: \"{{to}}{{text}}\" } }\n", "GET has no body"},
    {"gateway:\n  send: { url: \"https://gw.example\", json: '{\"a\":\"{{to}}{{text}}\"}', form: { a: b } }\n",
     "either json or form"},
    {"gateway:\n  send: { url: \"https://gw.example\", auth: { kind: query }, form: { a: \"{{to}}{{text}}\" } }\n",
     "gateway.send.auth.name"},
    {"gateway:\n" SEND "  answer: { id: id }\n", "gateway.answer.id: a JSON pointer begins with /"},
    {"gateway:\n" SEND "  answer: { id: /a~b }\n", "gateway.answer.id: in a JSON pointer ~0"},
    {"gateway:\n" SEND "  answer: { outcome: /a }\n", "gateway.answer.outcomes: outcome says where"},
    {"gateway:\n" SEND "  answer: { outcomes: { a: accepted } }\n", "gateway.answer.outcomes"},
    {"gateway:\n" SEND "  answer: { codes: { a: accepted } }\n", "gateway.answer.codes"},
    {"gateway:\n" SEND "  answer: { http: { 4x: rejected } }\n", "HTTP codes are written like 402"},
    {"gateway:\n" SEND "  answer: { http: { 402: broke } }\n", "'broke' is unknown; allowed: accepted, retry"},
    {"gateway:\n" SEND "  receipts: { id: /id, status: /s, statuses: { a: sent } }\n", "gateway.signature: whoever knows"},
    {"gateway:\n" SEND SIGNED "  receipts: { status: /s, statuses: { a: sent } }\n", "gateway.receipts.id: it or reference"},
    {"gateway:\n" SEND SIGNED "  receipts: { id: /id, status: /s }\n", "gateway.receipts.status"},
    {"gateway:\n" SEND SIGNED "  inbound: { id: /id, from: /f }\n", "gateway.inbound: id, from and text"},
    {"gateway:\n" SEND SIGNED "  inbound: { id: /id, from: /f, text: /t, segment: { part: /p } }\n", "gateway.inbound.segment"},
    {"gateway:\n" SEND SIGNED "  inbound: { id: /id, from: /f, text: /t, when: { type: mo } }\n",
     "gateway.inbound.when: a JSON pointer"},
    {"gateway:\n" SEND "  signature: { kind: token }\n", "either header or query"},
    {"gateway:\n" SEND "  signature: { kind: token, header: a, query: b }\n", "either header or query"},
    {"gateway:\n" SEND "  signature: { kind: hmac, header: a, over: \"{{bodi}}\" }\n", "{{bodi}} is unknown; allowed: body, url"},
    {"gateway:\n" SEND "  signature: { kind: hmac, header: a, over: \"{{header.}}\" }\n", "{{header.}} is unknown"},
    {"gateway:\n" SEND "  check: { url: \"gw.example\" }\n", "gateway.check.url"},
    {"gateway:\n" SEND "  check: { url: \"https://gw.example/a b\" }\n", "gateway.check.url: a URL has no spaces"},
    {"gateway:\n  send: { url: \"https:///x\", form: { a: \"{{to}}{{text}}\" } }\n", "gateway.send.url: it has no host"},
    {"gateway:\n  send: { url: \"https://gw.example/\\r\\n\", form: { a: \"{{to}}{{text}}\" } }\n",
     "gateway.send.url: a URL has no spaces"},
    {"gateway:\n  send: { url: \"https://{{to_digits}}.example/\", form: { a: \"{{to}}{{text}}\" } }\n",
     "only {{account}} and {{user}}"},
    {"gateway:\n  send: { url: \"https://gw.example{{ text }}\", form: { a: \"{{to}}\" } }\n", "only {{account}} and {{user}}"},
    {"gateway:\n  send: { url: \"https://me:secret@gw.example/\", form: { a: \"{{to}}{{text}}\" } }\n",
     "stand in options of their own"},
    {"gateway:\n  send: { url: \"https://gw_1.example/\", form: { a: \"{{to}}{{text}}\" } }\n", "its host has letters"},
    {"gateway:\n  send: { url: \"https://gw.example\", headers: { \"X Y\": a }, form: { a: \"{{to}}{{text}}\" } }\n",
     "gateway.send.headers: a header's name has"},
    {"gateway:\n  send: { url: \"https://gw.example\", headers: { Content-Length: 5 }, form: { a: \"{{to}}{{text}}\" } }\n",
     "gateway.send.headers: host, content-length"},
    {"gateway:\n  send: { url: \"https://gw.example\", headers: { X-A: \"a\\r\\nB: c\" }, form: { a: \"{{to}}{{text}}\" } }\n",
     "gateway.send.headers.X-A: no line end"},
    {"gateway:\n  send: { url: \"https://gw.example\", auth: { kind: header, name: \"X:\" }, form: { a: \"{{to}}{{text}}\" } }\n",
     "gateway.send.auth.name: a header's name has"},
    {"gateway:\n  send: { url: \"https://gw.example\", auth: { kind: header, prefix: \"a\\nb\" }, form: { a: \"{{to}}{{text}}\" } }\n",
     "gateway.send.auth.prefix: no line end"},
    {"gateway:\n" SEND "  reply: { type: \"text/plain\\r\\nSet-Cookie: a\" }\n", "gateway.reply.type: no line end"},
    {"gateway:\n" SEND "  signature: { kind: token, header: \"x token\" }\n", "gateway.signature.header: a header's name has"},
    {"gateway:\n" SEND "  signature: { kind: hmac, header: a, over: \"always the same\" }\n",
     "gateway.signature.over: it covers nothing"},
    {"gateway:\n" SEND "  signature: { kind: hmac, header: a, over: \"{{method}}{{header.x-time}}\" }\n", "it covers nothing"},
    {"gateway:\n" SEND "  sent: { a: b }\n", "unknown key 'sent': did you mean 'send'?"},
    {"mms: true\ngateway:\n" SEND, "mms: the gateway's description has no {{media}}"},
};
START_TEST(a_description_that_makes_no_sense_is_refused_with_its_member)
{
  char yaml[2048];

  snprintf(yaml, sizeof yaml, ACCOUNT "%s", wrong[_i].yaml);
  ck_assert_int_eq(bed_try(yaml), PARLEY_INVALID);
  ck_assert_msg(strstr(bed.why.at, wrong[_i].words) != NULL, "%s", bed.why.at);
}
END_TEST

static const char *const described[] = {"plivo", "infobip", "sinch", "46elks"};
START_TEST(the_descriptions_that_come_with_parley_are_good)
{
  char yaml[512];

  snprintf(yaml, sizeof yaml, ACCOUNT "gateway: { file: gateways/%s.yaml }\n", described[_i]);
  bed_open(yaml);
  ck_assert_uint_ge(bed.settings.capable.n_features, 2);
  ck_assert((bed.settings.capable.receipts & PARLEY_BIT(PARLEY_RECEIPT_DELIVERED)) != 0);
}
END_TEST

/* --- Requests ------------------------------------------------------------------------------------------------------- */
static const struct {
  const char *send, *url, *body, *header, *value;
} requests[] = {
    {"{ url: \"https://gw.example/{{account}}/x%20y\", form: { t: \"{{text}}\", to: \"{{to}}\" } }", "https://gw.example/acc/x%20y",
     "t=a%22b%5Cc%0A%26%3D%2B%20%E2%82%AC&to=%2B34600111222", "authorization", "Basic YWNjOjEyMzQ1"},
    {"{ url: \"https://gw.example/{{text}}\", form: { to: \"{{to}}\" } }", "https://gw.example/a%22b%5Cc%0A%26%3D%2B%20%E2%82%AC",
     "to=%2B34600111222", "content-type", "application/x-www-form-urlencoded"},
    {"{ url: \"https://gw.example\", json: '{ \"a\": [\"{{to_digits}}\"], \"b\": {\"c\": \"<{{text}}>\"} }', auth: { kind: bearer } "
     "}",
     "https://gw.example", "{\"a\":[\"34600111222\"],\"b\":{\"c\":\"<a\\\"b\\\\c\\n&=+ \xe2\x82\xac>\"}}", "authorization",
     "Bearer 12345"},
    {"{ url: \"https://gw.example\", json: '{ \"a\": \"{{to}}\", \"b\": \"{{text}}\", \"m\": {{media}}, \"e\": {\"f\": \"\"} }' }",
     "https://gw.example", "{\"a\":\"+34600111222\",\"b\":\"a\\\"b\\\\c\\n&=+ \xe2\x82\xac\"}", "content-type", "application/json"},
    {"{ url: \"https://gw.example/s\", method: GET, query: { to: \"{{to}}\", t: \"{{text}}\", m: \"{{media}}\" }, auth: { kind: "
     "query, name: key } }",
     "https://gw.example/s?to=%2B34600111222&t=a%22b%5Cc%0A%26%3D%2B%20%E2%82%AC&key=12345", "", "x", ""},
    {"{ url: \"https://gw.example/s?v=1\", method: GET, query: { to: \"{{to}}\", t: \"{{text}}\" }, auth: { kind: header, name: "
     "X-Key, prefix: \"k:\" } }",
     "https://gw.example/s?v=1&to=%2B34600111222&t=a%22b%5Cc%0A%26%3D%2B%20%E2%82%AC", "", "X-Key", "k:12345"},
    {"{ url: \"https://gw.example\", headers: { X-Id: \"{{id}}-{{expires_s}}\" }, form: { a: \"{{to}}{{text}}\" }, auth: { kind: "
     "none } }",
     "https://gw.example", "a=%2B34600111222a%22b%5Cc%0A%26%3D%2B%20%E2%82%AC", "X-Id", "msg_1-60"}};
START_TEST(a_request_is_made_as_described_each_value_escaped_for_its_place)
{
  char yaml[2048];

  snprintf(yaml, sizeof yaml, ACCOUNT "gateway:\n  send: %s\n", requests[_i].send);
  bed_open(yaml);
  ck_assert(bed_request(&piece));
  BED_IS(bed.request.url, requests[_i].url);
  BED_IS(json_writer_text(&bed.body), requests[_i].body);
  BED_IS(bed_header(requests[_i].header), requests[_i].value);
}
END_TEST

START_TEST(a_line_end_does_not_get_into_a_header)
{
  bed_open(ACCOUNT "gateway:\n  send: { url: \"https://gw.example\", headers: { X-Text: \"{{text}}\" }, form: { a: \"{{to}}\" } }\n");
  ck_assert(!bed_request(&piece));
}
END_TEST

START_TEST(files_are_a_list_in_json_and_repeated_fields_in_a_form)
{
  struct sms_piece two = piece;

  two.n_media = 2;
  two.media[0] = PARLEY_LIT("https://p/1");
  two.media[1] = PARLEY_LIT("https://p/2");
  bed_open(ACCOUNT "mms: true\ngateway:\n  send: { url: \"https://gw.example\", form: { a: \"{{to}}{{text}}\", m: \"{{media}}\", k: "
                   "\"{{kind}}\" } }\n");
  ck_assert(bed_request(&two));
  BED_IS(json_writer_text(&bed.body),
         "a=%2B34600111222a%22b%5Cc%0A%26%3D%2B%20%E2%82%AC&m=https%3A%2F%2Fp%2F1&m=https%3A%2F%2Fp%2F2&k=mms");
}
END_TEST

/* --- Answers --------------------------------------------------------------------------------------------------------- */
#define ANSWER                                                                                                                      \
  "gateway:\n" SEND "  answer:\n    id: /id\n    outcome: /status\n    outcomes: { ok: accepted, later: retry, full: throttled }\n" \
  "    code: /error\n    codes: { E1: bad_address, E2: channel_down }\n    detail: /why\n    retry_after: /wait\n"                  \
  "    http: { 402: channel_down, 5xx: unknown, 503: retry }\n"
static const struct {
  uint32_t code;
  const char *body;
  uint32_t result, n_ids, retry_ms;
  const char *says;
} answers[] = {{200, "{\"id\":\"A\",\"status\":\"ok\"}", PARLEY_OUTCOME_ACCEPTED, 1, 0, "200"},
               {200, "{\"id\":7,\"status\":\"ok\"}", PARLEY_OUTCOME_ACCEPTED, 1, 0, "200"},
               {200, "{\"status\":\"ok\"}", PARLEY_OUTCOME_ACCEPTED, 0, 0, "200"},
               {200, "{\"id\":\"A\"}", PARLEY_OUTCOME_ACCEPTED, 1, 0, "200"},
               {200, "{\"status\":\"nonsense\"}", PARLEY_OUTCOME_REJECTED, 0, 0, "200"},
               {200, "{\"status\":\"later\",\"wait\":3}", PARLEY_OUTCOME_RETRY, 0, 3000, "200"},
               {200, "{\"status\":\"full\",\"wait\":\"90000\"}", PARLEY_OUTCOME_THROTTLED, 0, 86400000, "200"},
               {200, "{\"status\":\"bad\",\"error\":\"E1\",\"why\":\"no such number\"}", PARLEY_OUTCOME_BAD_ADDRESS, 0, 0, "E1"},
               {400, "{\"error\":\"E2\"}", PARLEY_OUTCOME_CHANNEL_DOWN, 0, 0, "E2"},
               {400, "{\"error\":\"E3\"}", PARLEY_OUTCOME_REJECTED, 0, 0, "E3"},
               {402, "", PARLEY_OUTCOME_CHANNEL_DOWN, 0, 0, "402"},
               {500, "<html>", PARLEY_OUTCOME_UNKNOWN, 0, 0, "500"},
               {503, "{}", PARLEY_OUTCOME_RETRY, 0, 0, "503"},
               {429, "{}", PARLEY_OUTCOME_THROTTLED, 0, 0, "429"},
               {401, "{}", PARLEY_OUTCOME_CHANNEL_DOWN, 0, 0, "401"}};
START_TEST(an_answer_means_what_the_description_says)
{
  bed_open(ACCOUNT ANSWER);
  bed_answer(answers[_i].code, answers[_i].body);
  ck_assert_uint_eq(bed.sent.result, answers[_i].result);
  ck_assert_uint_eq(bed.sent.n_ids, answers[_i].n_ids);
  ck_assert_uint_eq(bed.sent.retry_ms, answers[_i].retry_ms);
  ck_assert_str_eq(bed.sent.code, answers[_i].says);
}
END_TEST

static const struct {
  const char *body;
  uint32_t result, n_ids;
} lists[] = {{"{\"all\":[{\"id\":\"A\",\"s\":\"0\"},{\"id\":\"B\",\"s\":0}]}", PARLEY_OUTCOME_ACCEPTED, 2},
             {"{\"all\":[{\"id\":\"A\",\"s\":\"0\"},{\"s\":\"1\"}]}", PARLEY_OUTCOME_REJECTED, 2},
             {"{\"all\":[{\"s\":\"1\"},{\"s\":\"1\"}]}", PARLEY_OUTCOME_THROTTLED, 0},
             {"{\"all\":[]}", PARLEY_OUTCOME_ACCEPTED, 0},
             {"{}", PARLEY_OUTCOME_ACCEPTED, 0}};
START_TEST(an_answer_for_each_segment_is_an_id_for_each)
{
  bed_open(ACCOUNT "gateway:\n" SEND "  answer: { each: /all, id: /id, outcome: /s, outcomes: { 0: accepted, 1: throttled } }\n");
  bed_answer(200, lists[_i].body);
  ck_assert_uint_eq(bed.sent.result, lists[_i].result);
  ck_assert_uint_eq(bed.sent.n_ids, lists[_i].n_ids);
}
END_TEST

/* --- Signatures ------------------------------------------------------------------------------------------------------ */
#define INBOUND "  inbound: { id: /id, from: /from, text: /text }\n"
static const struct {
  const char *signature, *header, *value;
  enum sms_verdict verdict;
} tokens[] = {{"{ kind: token, header: X-Token }", "x-token", BED_CALLBACK_SECRET, SMS_GOOD},
              {"{ kind: token, header: X-Token, prefix: \"Bearer \" }", "x-token", "Bearer " BED_CALLBACK_SECRET, SMS_GOOD},
              {"{ kind: token, header: X-Token, prefix: \"Bearer \" }", "x-token", BED_CALLBACK_SECRET, SMS_MALFORMED},
              {"{ kind: token, header: X-Token }", "x-token", "user:pass wor", SMS_MISMATCH},
              {"{ kind: token, header: X-Token }", "x-other", BED_CALLBACK_SECRET, SMS_MISSING},
              {"{ kind: token, query: t }", "x", "x", SMS_GOOD},
              {"{ kind: token, query: u }", "x", "x", SMS_MISSING},
              {"{ kind: basic }", "authorization", "Basic dXNlcjpwYXNzIHdvcmQ=", SMS_GOOD},
              {"{ kind: basic }", "authorization", "basic dXNlcjpwYXNzIHdvcmQ=", SMS_GOOD},
              {"{ kind: basic }", "authorization", "Basic dXNlcjpwYXNzIHdvcmQ", SMS_MALFORMED},
              {"{ kind: basic }", "authorization", "Basic dXNlcjpwYXNz", SMS_MISMATCH},
              {"{ kind: basic }", "authorization", "Bearer dXNlcjpwYXNzIHdvcmQ=", SMS_MALFORMED},
              {"{ kind: basic }", "x", "x", SMS_MISSING}};
START_TEST(a_shared_secret_is_looked_for_where_the_description_says)
{
  const parley_pair header = {parley_text_of(tokens[_i].header), parley_text_of(tokens[_i].value)};
  const parley_http_call call = {.size = sizeof call,
                                 .method = PARLEY_LIT("POST"),
                                 .path = PARLEY_LIT("/"),
                                 .query = PARLEY_LIT("t=user%3Apass+word"),
                                 .url = PARLEY_LIT("https://p/in/sms"),
                                 .headers = &header,
                                 .n_headers = 1,
                                 .body = PARLEY_LIT("{}")};
  char yaml[1024];

  snprintf(yaml, sizeof yaml, ACCOUNT "gateway:\n" SEND INBOUND "  signature: %s\n", tokens[_i].signature);
  bed_open(yaml);
  ck_assert_str_eq(sms_verdict_code(bed_verify(&call)), sms_verdict_code(tokens[_i].verdict));
}
END_TEST

static const struct {
  const char *signature, *over, *body, *type, *time;
  enum digest_hash hash;
  enum digest_encoding encoding;
  enum sms_verdict verdict;
} macs[] = {
    {"{ kind: hmac, header: X-S }", "{\"a\":1}", "{\"a\":1}", "application/json", "", DIGEST_SHA256, DIGEST_HEX, SMS_GOOD},
    {"{ kind: hmac, header: X-S, hash: sha1, encoding: base64 }", "{}", "{}", "application/json", "", DIGEST_SHA1, DIGEST_BASE64,
     SMS_GOOD},
    {"{ kind: hmac, header: X-S, hash: sha512 }", "{}", "{}", "application/json", "", DIGEST_SHA512, DIGEST_HEX, SMS_GOOD},
    {"{ kind: hmac, header: X-S, hash: sha1 }", "{}", "{}", "application/json", "", DIGEST_SHA256, DIGEST_HEX, SMS_MISMATCH},
    {"{ kind: hmac, header: X-S, over: \"{{method}} {{url}}\\n{{path}}|{{query}}|{{header.X-T}}\" }",
     "POST https://p/in/sms?q=1\n/|q=1|1700000000", "{}", "application/json", "1700000000", DIGEST_SHA256, DIGEST_HEX, SMS_GOOD},
    {"{ kind: hmac, header: X-S, over: \"{{field.b}}-{{field.a}}-{{field.none}}\" }", "2-1-", "a=1&b=2",
     "application/x-www-form-urlencoded", "", DIGEST_SHA256, DIGEST_HEX, SMS_GOOD},
    {"{ kind: hmac, header: X-S, over: \"{{header.x-t}}.{{body}}\", timestamp: X-T }", "1700000299.{}", "{}", "application/json",
     "1700000299", DIGEST_SHA256, DIGEST_HEX, SMS_GOOD},
    {"{ kind: hmac, header: X-S, over: \"{{header.x-t}}.{{body}}\", timestamp: X-T }", "1700000301.{}", "{}", "application/json",
     "1700000301", DIGEST_SHA256, DIGEST_HEX, SMS_STALE},
    {"{ kind: hmac, header: X-S, over: \"{{header.x-t}}.{{body}}\", timestamp: X-T, tolerance: 1h }", "2023-11-14T21:20:00Z.{}", "{}",
     "application/json", "2023-11-14T21:20:00Z", DIGEST_SHA256, DIGEST_HEX, SMS_GOOD},
    {"{ kind: hmac, header: X-S, timestamp: X-T }", "{}", "{}", "application/json", "", DIGEST_SHA256, DIGEST_HEX, SMS_MISSING},
    {"{ kind: hmac, header: X-S, timestamp: X-T }", "{}", "{}", "application/json", "noon", DIGEST_SHA256, DIGEST_HEX, SMS_MALFORMED},
    {"{ kind: hmac, header: X-S, prefix: \"sha256=\" }", "{}", "{}", "application/json", "", DIGEST_SHA256, DIGEST_HEX, SMS_MALFORMED}};
START_TEST(a_keyed_hash_covers_what_the_description_says)
{
  char yaml[1024], made[DIGEST_ROOM];
  size_t len = digest_hmac(macs[_i].hash, PARLEY_LIT(BED_CALLBACK_SECRET), parley_text_of(macs[_i].over), macs[_i].encoding, made);
  const parley_pair headers[] = {{PARLEY_LIT("content-type"), parley_text_of(macs[_i].type)},
                                 {PARLEY_LIT("x-s"), {made, len}},
                                 {PARLEY_LIT("x-t"), parley_text_of(macs[_i].time)}};
  const parley_http_call call = {.size = sizeof call,
                                 .method = PARLEY_LIT("POST"),
                                 .path = PARLEY_LIT("/"),
                                 .query = PARLEY_LIT("q=1"),
                                 .url = PARLEY_LIT("https://p/in/sms?q=1"),
                                 .headers = headers,
                                 .n_headers = 3,
                                 .body = parley_text_of(macs[_i].body)};

  snprintf(yaml, sizeof yaml, ACCOUNT "gateway:\n" SEND INBOUND "  signature: %s\n", macs[_i].signature);
  bed_open(yaml);
  ck_assert_str_eq(sms_verdict_code(bed_verify(&call)), sms_verdict_code(macs[_i].verdict));
}
END_TEST

START_TEST(without_a_signature_nothing_is_taken_in)
{
  const parley_http_call call = {.size = sizeof call,
                                 .method = PARLEY_LIT("POST"),
                                 .path = PARLEY_LIT("/"),
                                 .body = PARLEY_LIT("{}")};

  bed_open(ACCOUNT "gateway:\n" SEND);
  ck_assert_int_eq(bed_verify(&call), SMS_MISSING);
}
END_TEST

static const struct {
  const char *signature, *url;
} callbacks[] = {{"{ kind: token, query: t }", "https://p.example/in/sms/receipts?t=user%3Apass%20word"},
                 {"{ kind: basic }", "https://user:pass%20word@p.example/in/sms/receipts"},
                 {"{ kind: hmac, header: X-S }", "https://p.example/in/sms/receipts"}};
START_TEST(the_callbacks_url_has_what_shows_that_it_is_the_gateways)
{
  char yaml[1024];
  json_t *root;

  snprintf(yaml, sizeof yaml,
           ACCOUNT
           "gateway:\n  send: { url: \"https://gw.example\", json: '{\"a\":\"{{to}}{{text}}\",\"u\":\"{{callback}}\"}' }\n" INBOUND
           "  signature: %s\n",
           callbacks[_i].signature);
  bed_open(yaml);
  ck_assert(bed_request(&piece));
  root = json_loadb(bed.body.at, bed.body.len, 0, NULL);
  ck_assert_str_eq(json_string_value(json_object_get(root, "u")), callbacks[_i].url);
  json_decref(root);
}
END_TEST

/* --- In -------------------------------------------------------------------------------------------------------------- */
#define BOTH                                                                                                                      \
  "gateway:\n" SEND SIGNED "  receipts: { when: { /kind: dlr }, id: /id, reference: /ref, status: /s, code: /e, time: /t,\n"      \
  "    statuses: { 1: delivered, 2: failed, 3: nothing, \"*\": sent }, codes: { 11: bad_address, 12: retry } }\n"                 \
  "  inbound: { when: { /kind: mo }, id: /id, from: /from, to: /to, text: /text, media: /files, media_url: /u, media_type: /y,\n" \
  "    segment: { reference: /r, part: /p, total: /n } }\n"
static const struct {
  const char *body;
  uint32_t n, unknown, silent, kind, outcome;
  const char *id, *message;
} events[] = {{"{\"kind\":\"dlr\",\"id\":\"A\",\"s\":1}", 1, 0, 0, PARLEY_RECEIPT_DELIVERED, 0, "A", ""},
              {"{\"kind\":\"dlr\",\"id\":\"A\",\"s\":\"2\",\"e\":11}", 1, 0, 0, PARLEY_RECEIPT_FAILED, PARLEY_OUTCOME_BAD_ADDRESS,
               "A", ""},
              {"{\"kind\":\"dlr\",\"id\":\"A\",\"s\":\"2\",\"e\":12}", 1, 0, 0, PARLEY_RECEIPT_FAILED, PARLEY_OUTCOME_RETRY, "A", ""},
              {"{\"kind\":\"dlr\",\"id\":\"A\",\"s\":\"2\"}", 1, 0, 0, PARLEY_RECEIPT_FAILED, PARLEY_OUTCOME_REJECTED, "A", ""},
              {"{\"kind\":\"dlr\",\"ref\":\"msg_1\",\"s\":\"9\"}", 1, 0, 0, PARLEY_RECEIPT_SENT, 0, "", "msg_1"},
              {"{\"kind\":\"dlr\",\"id\":\"A\",\"s\":3}", 0, 0, 1, 0, 0, "", ""},
              {"{\"kind\":\"dlr\",\"s\":1}", 0, 1, 0, 0, 0, "", ""},
              {"{\"kind\":\"other\",\"id\":\"A\",\"s\":1}", 0, 1, 0, 0, 0, "", ""},
              {"[]", 0, 1, 0, 0, 0, "", ""},
              {"\"text\"", 0, 0, 0, 0, 0, "", ""}};
START_TEST(a_receipt_is_what_the_description_says)
{
  const parley_pair json = {PARLEY_LIT("content-type"), PARLEY_LIT("application/json")};
  const parley_http_call call = {.size = sizeof call,
                                 .method = PARLEY_LIT("POST"),
                                 .path = PARLEY_LIT("/"),
                                 .headers = &json,
                                 .n_headers = 1,
                                 .body = parley_text_of(events[_i].body)};

  bed_open(ACCOUNT BOTH);
  bed_read(&call);
  ck_assert_uint_eq(bed.taken.n, events[_i].n);
  ck_assert_uint_eq(bed.taken.n_silent, events[_i].silent);
  if (bed.taken.fault == NULL)
    ck_assert_uint_eq(bed.taken.n_unknown, events[_i].unknown);
  if (events[_i].n == 0)
    return;
  ck_assert_uint_eq(bed.taken.items[0]->receipt.kind, events[_i].kind);
  ck_assert_uint_eq(bed.taken.items[0]->receipt.outcome, events[_i].outcome);
  BED_IS(bed.taken.items[0]->receipt.provider_id, events[_i].id);
  BED_IS(bed.taken.items[0]->receipt.message_id, events[_i].message);
}
END_TEST

START_TEST(a_message_in_is_what_the_description_says)
{
  const parley_pair json = {PARLEY_LIT("content-type"), PARLEY_LIT("application/json")};
  const parley_http_call call = {
      .size = sizeof call,
      .method = PARLEY_LIT("POST"),
      .path = PARLEY_LIT("/receipts"),
      .headers = &json,
      .n_headers = 1,
      .body = PARLEY_LIT("{\"kind\":\"mo\",\"id\":\"A\",\"from\":\"34600111222\",\"to\":21212,\"text\":\"x\",\"r\":7,\"p\":1,\"n\":2,"
                         "\"files\":[{\"u\":\"https://gw/1\",\"y\":\"image/png\"},{\"u\":\"no url\"},{\"u\":\"https://gw/2\"}]}")};
  const parley_inbound *in;

  bed_open(ACCOUNT BOTH);
  bed_read(&call);
  ck_assert_uint_eq(bed.taken.n, 1);
  in = &bed.taken.items[0]->inbound;
  BED_IS(in->from[0]->value, "+34600111222");
  BED_IS(in->to[0]->value, "21212");
  ck_assert_uint_eq(in->n_parts, 3);
  BED_IS(in->parts[1]->type, "image/png");
  BED_IS(in->parts[2]->url, "https://gw/2");
  BED_IS(in->segment->key, "+34600111222 21212 7 2");
}
END_TEST

/* Among others a bad entry is left out and counted: were all refused, they would come again for ever, or never. */
static const struct { const char *body; uint32_t n, unknown; bool refused; } batches[] = {
    {"{\"all\":[{\"id\":\"A\",\"from\":\"34600111222\",\"text\":\"x\"},{\"id\":\"B\",\"text\":\"nobody's\"},"
     "{\"id\":\"C\",\"from\":\"34600111222\",\"text\":\"y\"}]}", 2, 1, false},
    {"{\"all\":[{\"id\":\"B\",\"text\":\"nobody's\"},7,null,{\"id\":\"A\",\"from\":\"34600111222\",\"text\":\"x\"}]}", 1, 3, false},
    {"{\"all\":[{\"id\":\"B\",\"text\":\"nobody's\"}]}", 0, 1, true},
    {"{\"all\":[{\"id\":\"B\",\"text\":\"nobody's\"},{\"id\":\"C\"}]}", 0, 2, true},
};
START_TEST(a_bad_entry_of_a_list_does_not_hold_up_the_others)
{
  const parley_pair json = {PARLEY_LIT("content-type"), PARLEY_LIT("application/json")};
  const parley_http_call call = {.size = sizeof call, .method = PARLEY_LIT("POST"), .path = PARLEY_LIT("/"), .headers = &json,
                                 .n_headers = 1, .body = parley_text_of(batches[_i].body)};

  bed_open(ACCOUNT "gateway:\n" SEND SIGNED "  inbound: { each: /all, id: /id, from: /from, text: /text }\n");
  bed_read(&call);
  ck_assert_uint_eq(bed.taken.n, batches[_i].n);
  ck_assert_uint_eq(bed.taken.n_unknown, batches[_i].unknown);
  ck_assert_int_eq(bed.taken.fault != NULL, batches[_i].refused);
}
END_TEST

START_TEST(a_list_has_a_bounded_number_of_entries)
{
  const parley_pair json = {PARLEY_LIT("content-type"), PARLEY_LIT("application/json")};
  parley_http_call call = {
      .size = sizeof call, .method = PARLEY_LIT("POST"), .path = PARLEY_LIT("/receipts"), .headers = &json, .n_headers = 1};
  struct json_writer body = {0};

  bed_open(ACCOUNT "gateway:\n" SEND SIGNED "  receipts: { each: /all, id: \"\", status: \"\", statuses: { \"*\": sent } }\n");
  for (size_t n = SMS_ITEMS_MAX; n <= SMS_ITEMS_MAX + 1; n++) {
    json_writer_clear(&body);
    json_write_lit(&body, "{\"all\":[");
    for (size_t i = 0; i < n; i++) {
      json_write_comma(&body);
      json_write_int(&body, (int64_t)i);
    }
    json_write_lit(&body, "]}");
    call.body = json_writer_text(&body);
    bed_read(&call);
    ck_assert_int_eq(bed.taken.fault != NULL, n > SMS_ITEMS_MAX);
    ck_assert_uint_eq(bed.taken.n, n > SMS_ITEMS_MAX ? 0 : n);
  }
  json_writer_done(&body);
}
END_TEST

static TCase *case_of(const char *name)
{
  TCase *tcase = tcase_create(name);

  tcase_add_checked_fixture(tcase, NULL, bed_teardown);
  return tcase;
}

static TCase *case_out(void)
{
  TCase *tcase = case_of("out");

  tcase_add_loop_test(tcase, a_json_pointer_points_where_rfc_6901_says, 0, COUNT_OF(pointers));
  tcase_add_loop_test(tcase, a_description_that_makes_no_sense_is_refused_with_its_member, 0, COUNT_OF(wrong));
  tcase_add_loop_test(tcase, the_descriptions_that_come_with_parley_are_good, 0, COUNT_OF(described));
  tcase_add_loop_test(tcase, a_request_is_made_as_described_each_value_escaped_for_its_place, 0, COUNT_OF(requests));
  tcase_add_test(tcase, a_line_end_does_not_get_into_a_header);
  tcase_add_test(tcase, files_are_a_list_in_json_and_repeated_fields_in_a_form);
  tcase_add_loop_test(tcase, an_answer_means_what_the_description_says, 0, COUNT_OF(answers));
  tcase_add_loop_test(tcase, an_answer_for_each_segment_is_an_id_for_each, 0, COUNT_OF(lists));
  return tcase;
}

static TCase *case_in(void)
{
  TCase *tcase = case_of("in");

  tcase_add_loop_test(tcase, a_shared_secret_is_looked_for_where_the_description_says, 0, COUNT_OF(tokens));
  tcase_add_loop_test(tcase, a_keyed_hash_covers_what_the_description_says, 0, COUNT_OF(macs));
  tcase_add_test(tcase, without_a_signature_nothing_is_taken_in);
  tcase_add_loop_test(tcase, the_callbacks_url_has_what_shows_that_it_is_the_gateways, 0, COUNT_OF(callbacks));
  tcase_add_loop_test(tcase, a_receipt_is_what_the_description_says, 0, COUNT_OF(events));
  tcase_add_test(tcase, a_message_in_is_what_the_description_says);
  tcase_add_loop_test(tcase, a_bad_entry_of_a_list_does_not_hold_up_the_others, 0, COUNT_OF(batches));
  tcase_add_test(tcase, a_list_has_a_bounded_number_of_entries);
  return tcase;
}

int main(void)
{
  Suite *suite = suite_create("plugins/sms-http gateway");
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
