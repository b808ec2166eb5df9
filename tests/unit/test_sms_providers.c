// sources: plugins/sms-http/sms_settings.c plugins/sms-http/sms_provider.c plugins/sms-http/sms_form.c
// sources: plugins/sms-http/sms_pointer.c plugins/sms-http/sms_time.c plugins/sms-http/twilio.c plugins/sms-http/vonage.c
// sources: plugins/sms-http/vonage_messages.c plugins/sms-http/vonage_jwt.c
// libraries: PkgConfig::OPENSSL
// sources: plugins/sms-http/gateway.c plugins/sms-http/gateway_out.c plugins/sms-http/gateway_in.c plugins/sms-http/gateway_verify.c
// sources: plugins/sms-http/gateway_options.c plugins/sms-http/gateway_table.c plugins/sms-http/gateway_template.c
// sources: plugins/sms-http/gateway_check.c
/* Twilio's and Vonage's bytes: requests, answers, signatures, callbacks. */
#include "plugins/sms-http/sms_time.h"
#include "sms_bed.h"
#include <stdio.h>

const parley_capabilities sms_capabilities = {.size = sizeof sms_capabilities,
                                              .flags = PARLEY_INBOUND}; /* the plugin's own file has it */

#define TWILIO "provider: twilio\naccount: AC1\nsecret: { env: S }\nfrom: \"+15005550006\"\n"
#define VONAGE "provider: vonage\naccount: key\nsecret: { env: S }\nfrom: Shop\n"

static parley_http_call call_of(const char *method, const char *url, const parley_pair *headers, uint32_t n, const char *body)
{
  const char *query = strchr(url, '?');

  return (parley_http_call){.size = sizeof(parley_http_call),
                            .method = parley_text_of(method),
                            .path = PARLEY_LIT("/"),
                            .url = parley_text_of(url),
                            .query = parley_text_of(query != NULL ? query + 1 : ""),
                            .headers = headers,
                            .n_headers = n,
                            .body = parley_text_of(body)};
}

/* --- Forms, pointers, times ---------------------------------------------------------------------------------------- */
static const struct {
  const char *text, *json, *fault;
} forms[] = {{"", "{}", NULL},
             {"a=1&b=%2B34+6&a=2", "{\"a\":[\"1\",\"2\"],\"b\":\"+34 6\"}", NULL},
             {"a&=x&&b=", "{\"a\":\"\",\"\":\"x\",\"b\":\"\"}", NULL},
             {"a=1&a=2&a=3", "{\"a\":[\"1\",\"2\",\"3\"]}", NULL},
             {"t=%E2%82%AC", "{\"t\":\"\xe2\x82\xac\"}", NULL},
             {"a=%4", NULL, "hexadecimal"},
             {"a=%", NULL, "hexadecimal"},
             {"a=%zz", NULL, "hexadecimal"},
             {"a%00=1", NULL, "NUL"},
             {"a=%ff", NULL, "UTF-8"},
             {"a=%ED%A0%80", NULL, "UTF-8"}};
START_TEST(a_form_is_read_or_refused)
{
  struct copy *memory = copy_new();
  struct sms_fields fields = {.n = 0};
  const char *fault = sms_form_read(parley_text_of(forms[_i].text), memory, &fields);
  json_t *object = fault == NULL ? sms_fields_object(&fields) : NULL;
  char *text = object != NULL ? json_dumps(object, JSON_COMPACT) : NULL;

  if (forms[_i].fault == NULL)
    ck_assert_str_eq(text, forms[_i].json);
  else
    ck_assert_msg(fault != NULL && strstr(fault, forms[_i].fault) != NULL, "%s", fault);
  free(text);
  json_decref(object);
  copy_free(&memory);
}
END_TEST

START_TEST(a_form_has_a_bounded_number_of_fields)
{
  struct copy *memory = copy_new();
  struct sms_fields fields = {.n = 0};
  char text[2 * (SMS_FIELDS_MAX + 1) + 1];

  for (size_t i = 0; i <= SMS_FIELDS_MAX; i++)
    memcpy(text + 2 * i, "a&", 3);
  ck_assert_ptr_null(sms_form_read((parley_text){text, 2 * SMS_FIELDS_MAX}, memory, &fields));
  fields.n = 0;
  ck_assert_str_eq(sms_form_read(parley_text_of(text), memory, &fields), "it has too many fields");
  copy_free(&memory);
}
END_TEST

static const struct {
  const char *text;
  int64_t ms;
} times[] = {{"2023-11-14T22:13:20Z", 1700000000000},
             {"2023-11-14T22:13:20.5Z", 1700000000500},
             {"2023-11-14 22:13:20", 1700000000000},
             {"2023-11-14T23:13:20.000+0100", 1700000000000},
             {"2023-11-14T17:13:20-05:00", 1700000000000},
             {"2023-11-14T22:13:20.123456", 1700000000123},
             {"1700000000", 1700000000000},
             {"1700000000123", 1700000000123},
             {"2311142213", 1699999980000},
             {"231114221320", 1700000000000},
             {"", 0},
             {"yesterday", 0},
             {"2023-11-14", 0},
             {"17000", 0},
             {"2023-13-14T22:13:20Z", 0},
             {"9999999999999999999999", 0},
             {"2023-11-14T22:13:20.000+01000000000000000000000000", 0}};
START_TEST(providers_times_are_read)
{
  int64_t ms = 0;

  ck_assert_int_eq(sms_time_read(parley_text_of(times[_i].text), &ms), times[_i].ms != 0);
  ck_assert_int_eq(ms, times[_i].ms);
}
END_TEST

/* --- Twilio out ---------------------------------------------------------------------------------------------------- */
START_TEST(twilio_gets_a_form_with_basic_auth)
{
  const struct sms_piece piece = {.to = PARLEY_LIT("+34600111222"),
                                  .from = PARLEY_LIT("+15005550006"),
                                  .text = PARLEY_LIT("a&b=\xc3\xb1 +"),
                                  .callback = PARLEY_LIT("https://p.example/in/sms/receipts"),
                                  .expires_s = 300,
                                  .n_media = 2,
                                  .media = {PARLEY_LIT("https://p.example/m/1"), PARLEY_LIT("https://p.example/m/2")}};

  bed_open(TWILIO "messaging_service: MG1\n");
  ck_assert(bed_request(&piece));
  BED_IS(bed.request.method, "POST");
  BED_IS(bed.request.url, "https://api.twilio.com/2010-04-01/Accounts/AC1/Messages.json");
  BED_IS(bed_header("authorization"), "Basic QUMxOjEyMzQ1");
  BED_IS(json_writer_text(&bed.body),
         "To=%2B34600111222&StatusCallback=https%3A%2F%2Fp.example%2Fin%2Fsms%2Freceipts&ValidityPeriod=300&From=%2B15005550006&"
         "MessagingServiceSid=MG1&Body=a%26b%3D%C3%B1%20%2B&MediaUrl=https%3A%2F%2Fp.example%2Fm%2F1&MediaUrl=https%3A%2F%2Fp."
         "example%2Fm%2F2");
}
END_TEST

START_TEST(twilio_at_another_base_url_with_an_api_key)
{
  const struct sms_piece piece = {.to = PARLEY_LIT("+1"), .from = PARLEY_LIT("+2"), .text = PARLEY_LIT("x"), .expires_s = 90000};

  bed_open(TWILIO "user: SK1\nbase_url: http://127.0.0.1:9/\n");
  ck_assert(bed_request(&piece));
  BED_IS(bed.request.url, "http://127.0.0.1:9/2010-04-01/Accounts/AC1/Messages.json");
  BED_IS(bed_header("authorization"), "Basic U0sxOjEyMzQ1");
  BED_IS(json_writer_text(&bed.body), "To=%2B1&From=%2B2&Body=x");
}
END_TEST

static const struct {
  uint32_t code;
  const char *body;
  uint32_t result;
  const char *says, *id;
} twilio_answers[] = {{201, "{\"sid\":\"SM1\",\"status\":\"queued\"}", PARLEY_OUTCOME_ACCEPTED, "201", "SM1"},
                      {201, "not json", PARLEY_OUTCOME_ACCEPTED, "201", NULL},
                      {400, "{\"code\":21211,\"message\":\"no\"}", PARLEY_OUTCOME_BAD_ADDRESS, "21211", NULL},
                      {400, "{\"code\":21610,\"message\":\"no\"}", PARLEY_OUTCOME_BAD_ADDRESS, "21610", NULL},
                      {400, "{\"code\":21614,\"message\":\"no\"}", PARLEY_OUTCOME_BAD_ADDRESS, "21614", NULL},
                      {400, "{\"code\":21606,\"message\":\"no\"}", PARLEY_OUTCOME_REJECTED, "21606", NULL},
                      {400, "{\"code\":21617}", PARLEY_OUTCOME_REJECTED, "21617", NULL},
                      {400, "{}", PARLEY_OUTCOME_REJECTED, "400", NULL},
                      {401, "{\"code\":20003}", PARLEY_OUTCOME_CHANNEL_DOWN, "20003", NULL},
                      {403, "", PARLEY_OUTCOME_CHANNEL_DOWN, "403", NULL},
                      {404, "{\"code\":20404}", PARLEY_OUTCOME_CHANNEL_DOWN, "20404", NULL},
                      {404, "<html>", PARLEY_OUTCOME_CHANNEL_DOWN, "404", NULL},
                      {429, "{\"code\":20429}", PARLEY_OUTCOME_THROTTLED, "20429", NULL},
                      {400, "{\"code\":21611}", PARLEY_OUTCOME_THROTTLED, "21611", NULL},
                      {500, "{\"code\":20500}", PARLEY_OUTCOME_RETRY, "20500", NULL},
                      {503, "", PARLEY_OUTCOME_RETRY, "503", NULL},
                      {502, "", PARLEY_OUTCOME_UNKNOWN, "502", NULL},
                      {504, "", PARLEY_OUTCOME_UNKNOWN, "504", NULL},
                      {302, "", PARLEY_OUTCOME_REJECTED, "302", NULL}};
START_TEST(twilios_answer_means_one_outcome)
{
  bed_open(TWILIO);
  bed_answer(twilio_answers[_i].code, twilio_answers[_i].body);
  ck_assert_uint_eq(bed.sent.result, twilio_answers[_i].result);
  ck_assert_str_eq(bed.sent.code, twilio_answers[_i].says);
  ck_assert_uint_eq(bed.sent.n_ids, twilio_answers[_i].id != NULL);
  if (twilio_answers[_i].id != NULL)
    BED_IS(bed.sent.ids[0], twilio_answers[_i].id);
}
END_TEST

/* --- Twilio in ----------------------------------------------------------------------------------------------------- */
/* The example of Twilio's own documents, with its Auth Token 12345. */
#define EXAMPLE_URL "https://mycompany.com/myapp.php?foo=1&bar=2"
#define EXAMPLE_BODY "CallSid=CA1234567890ABCDE&Caller=%2B14158675309&Digits=1234&From=%2B14158675309&To=%2B18005551212"
#define EXAMPLE_SIGNATURE "RSOYDt4T1cUTdK1PDd93/VVr8B8="
#define FORM                                                                                   \
  {                                                                                            \
    PARLEY_LIT("content-type"), PARLEY_LIT("application/x-www-form-urlencoded; charset=UTF-8") \
  }

static const struct {
  const char *url, *body, *signature;
  enum sms_verdict verdict;
} signatures[] = {{EXAMPLE_URL, EXAMPLE_BODY, EXAMPLE_SIGNATURE, SMS_GOOD},
                  {EXAMPLE_URL, "To=%2B18005551212&From=%2B14158675309&Digits=1234&Caller=%2B14158675309&CallSid=CA1234567890ABCDE",
                   EXAMPLE_SIGNATURE, SMS_GOOD},
                  {"https://mycompany.com:443/myapp.php?foo=1&bar=2", EXAMPLE_BODY, EXAMPLE_SIGNATURE, SMS_GOOD},
                  {"http://mycompany.com/myapp.php?foo=1&bar=2", EXAMPLE_BODY, EXAMPLE_SIGNATURE, SMS_MISMATCH},
                  {"https://mycompany.com/myapp.php?foo=1&bar=3", EXAMPLE_BODY, EXAMPLE_SIGNATURE, SMS_MISMATCH},
                  {EXAMPLE_URL, EXAMPLE_BODY "&x=", EXAMPLE_SIGNATURE, SMS_MISMATCH},
                  {EXAMPLE_URL, "CallSid=CA1234567890ABCDE", EXAMPLE_SIGNATURE, SMS_MISMATCH},
                  {EXAMPLE_URL, EXAMPLE_BODY, "RSOYDt4T1cUTdK1PDd93/VVr8B9=", SMS_MISMATCH},
                  {EXAMPLE_URL, EXAMPLE_BODY, "L/OH", SMS_MISMATCH},
                  {EXAMPLE_URL, EXAMPLE_BODY, "", SMS_MISSING},
                  {EXAMPLE_URL, EXAMPLE_BODY "&x=%f", EXAMPLE_SIGNATURE, SMS_MALFORMED}};
START_TEST(twilios_signature_covers_the_url_and_every_field)
{
  const parley_pair headers[] = {FORM, {PARLEY_LIT("x-twilio-signature"), parley_text_of(signatures[_i].signature)}};
  parley_http_call call = call_of("POST", signatures[_i].url, headers, 2, signatures[_i].body);

  bed_open(TWILIO);
  ck_assert_str_eq(sms_verdict_code(bed_verify(&call)), sms_verdict_code(signatures[_i].verdict));
}
END_TEST

START_TEST(a_json_body_is_covered_by_its_hash_in_the_url)
{
  char url[256] = "https://p.example/in/sms?bodySHA256=", hash[DIGEST_ROOM], signature[DIGEST_ROOM];
  const char *body = "{\"MessageSid\":\"SM1\",\"From\":\"+34600111222\",\"Body\":\"hi\"}";
  parley_pair headers[] = {{PARLEY_LIT("content-type"), PARLEY_LIT("application/json")},
                           {PARLEY_LIT("x-twilio-signature"), {NULL, 0}}};
  parley_http_call call;

  bed_open(TWILIO);
  digest_of(DIGEST_SHA256, parley_text_of(body), DIGEST_HEX, hash);
  snprintf(url + strlen(url), sizeof url - strlen(url), "%s", hash);
  digest_hmac(DIGEST_SHA1, PARLEY_LIT(BED_SECRET), parley_text_of(url), DIGEST_BASE64, signature);
  headers[1].value = parley_text_of(signature);
  call = call_of("POST", url, headers, 2, body);
  ck_assert_int_eq(bed_verify(&call), SMS_GOOD);
  bed_read(&call);
  ck_assert_uint_eq(bed.taken.n, 1);
  call.body = PARLEY_LIT("{}");
  ck_assert_int_eq(bed_verify(&call), SMS_MALFORMED);
}
END_TEST

static const struct {
  const char *body;
  uint32_t kind, outcome, n, unknown, silent;
  const char *fault;
} statuses[] = {
    {"MessageSid=SM1&MessageStatus=sent", PARLEY_RECEIPT_SENT, 0, 1, 0, 0, NULL},
    {"MessageSid=SM1&MessageStatus=delivered&From=%2B1&To=%2B2", PARLEY_RECEIPT_DELIVERED, 0, 1, 0, 0, NULL},
    {"MessageSid=SM1&MessageStatus=read", PARLEY_RECEIPT_READ, 0, 1, 0, 0, NULL},
    {"MessageSid=SM1&MessageStatus=undelivered&ErrorCode=30003", PARLEY_RECEIPT_FAILED, PARLEY_OUTCOME_RETRY, 1, 0, 0, NULL},
    {"MessageSid=SM1&MessageStatus=undelivered&ErrorCode=30005", PARLEY_RECEIPT_FAILED, PARLEY_OUTCOME_BAD_ADDRESS, 1, 0, 0, NULL},
    {"MessageSid=SM1&MessageStatus=failed&ErrorCode=30007", PARLEY_RECEIPT_FAILED, PARLEY_OUTCOME_REJECTED, 1, 0, 0, NULL},
    {"MessageSid=SM1&MessageStatus=queued", 0, 0, 0, 0, 1, NULL},
    {"MessageSid=SM1&MessageStatus=accepted", 0, 0, 0, 0, 1, NULL},
    {"MessageSid=SM1&MessageStatus=teleported", 0, 0, 0, 1, 0, NULL},
    {"CallSid=CA1", 0, 0, 0, 1, 0, NULL},
    {"MessageSid=SM1&MessageStatus=received&From=whatsapp%3A%2B34600111222", 0, 0, 0, 1, 0, NULL},
    {"MessageStatus=delivered", 0, 0, 0, 0, 0, "names no message"}};
START_TEST(a_status_callback_is_a_receipt_or_counted)
{
  const parley_pair headers[] = {FORM};
  parley_http_call call = call_of("POST", "https://p.example/in/sms/receipts", headers, 1, statuses[_i].body);

  bed_open(TWILIO);
  bed_read(&call);
  ck_assert_uint_eq(bed.taken.n, statuses[_i].n);
  ck_assert_uint_eq(bed.taken.n_unknown, statuses[_i].unknown);
  ck_assert_uint_eq(bed.taken.n_silent, statuses[_i].silent);
  ck_assert_int_eq(bed.taken.fault != NULL, statuses[_i].fault != NULL);
  if (statuses[_i].n == 1) {
    ck_assert(bed.taken.items[0]->is_receipt);
    ck_assert_uint_eq(bed.taken.items[0]->receipt.kind, statuses[_i].kind);
    ck_assert_uint_eq(bed.taken.items[0]->receipt.outcome, statuses[_i].outcome);
    BED_IS(bed.taken.items[0]->receipt.provider_id, "SM1");
  }
}
END_TEST

START_TEST(a_message_with_files_comes_in_whole)
{
  const parley_pair headers[] = {FORM};
  parley_http_call call =
      call_of("POST", "https://p.example/in/sms", headers, 1,
              "MessageSid=MM1&From=%2B34600111222&To=%2B15005550006&Body=look&NumMedia=2&OptOutType=STOP&SmsStatus=received&"
              "MediaUrl0=https%3A%2F%2Fapi.twilio.com%2Fm%2F0&MediaContentType0=image%2Fjpeg&MediaUrl1=file%3A%2F%2F%2Fetc");
  const parley_inbound *in;

  bed_open(TWILIO);
  bed_read(&call);
  ck_assert_uint_eq(bed.taken.n, 1);
  in = &bed.taken.items[0]->inbound;
  BED_IS(in->event_id, "MM1");
  BED_IS(in->from[0]->value, "+34600111222");
  BED_IS(in->to[0]->value, "+15005550006");
  ck_assert_uint_eq(in->n_parts, 2);
  BED_IS(in->parts[0]->text, "look");
  BED_IS(in->parts[1]->url, "https://api.twilio.com/m/0");
  BED_IS(in->parts[1]->type, "image/jpeg");
  ck_assert_uint_eq(bed.taken.n_unknown, 1); /* file: is no URL to fetch */
  BED_IS(in->fields[0].value, "STOP");
  BED_IS(bed.taken.type, "text/xml");
}
END_TEST

static const struct {
  const char *url;
  bool auth;
} fetches[] = {{"https://api.twilio.com/2010-04-01/x", true},
               {"https://api.twilio.com.evil.example/x", false},
               {"https://media.twiliocdn.com/x", false},
               {"http://api.twilio.com/x", false},
               {"https://api.twilio.com", false}};
START_TEST(only_twilio_itself_sees_the_credentials)
{
  bed_open(TWILIO);
  bed.request = (struct sms_request){.memory = bed.memory, .body = &bed.body};
  bed.settings.provider->fetch(bed.settings.self, parley_text_of(fetches[_i].url), &bed.request);
  ck_assert_int_eq(bed_header("authorization").len > 0, fetches[_i].auth);
}
END_TEST

/* --- Vonage -------------------------------------------------------------------------------------------------------- */
START_TEST(vonage_gets_json_with_digits_only)
{
  const struct sms_piece piece = {.to = PARLEY_LIT("+34600111222"),
                                  .from = PARLEY_LIT("Shop"),
                                  .text = PARLEY_LIT("\"\xe2\x82\xac\""),
                                  .unicode = true,
                                  .id = PARLEY_LIT("msg_1"),
                                  .callback = PARLEY_LIT("https://p.example/r"),
                                  .expires_s = 5};

  bed_open(VONAGE);
  ck_assert(bed_request(&piece));
  BED_IS(bed.request.url, "https://rest.nexmo.com/sms/json");
  BED_IS(json_writer_text(&bed.body),
         "{\"to\":\"34600111222\",\"from\":\"Shop\",\"text\":\"\\\"\xe2\x82\xac\\\"\",\"type\":\"unicode\","
         "\"client-ref\":\"msg_1\",\"callback\":\"https://p.example/r\",\"ttl\":20000}");
}
END_TEST

static const struct {
  uint32_t code;
  const char *body;
  uint32_t result, n_ids;
  const char *says;
} vonage_answers[] = {{200, "{\"message-count\":\"1\",\"messages\":[{\"status\":\"0\",\"message-id\":\"A\"}]}",
                       PARLEY_OUTCOME_ACCEPTED, 1, "200"},
                      {200, "{\"messages\":[{\"status\":\"0\",\"message-id\":\"A\"},{\"status\":\"0\",\"message-id\":\"B\"}]}",
                       PARLEY_OUTCOME_ACCEPTED, 2, "200"},
                      {200, "{\"messages\":[{\"status\":\"0\",\"message-id\":\"A\"},{\"status\":\"1\"}]}", PARLEY_OUTCOME_REJECTED, 2,
                       "1"},
                      {200, "{\"messages\":[{\"status\":\"1\",\"error-text\":\"slow\"}]}", PARLEY_OUTCOME_THROTTLED, 0, "1"},
                      {200, "{\"messages\":[{\"status\":\"4\"}]}", PARLEY_OUTCOME_CHANNEL_DOWN, 0, "4"},
                      {200, "{\"messages\":[{\"status\":\"9\"}]}", PARLEY_OUTCOME_CHANNEL_DOWN, 0, "9"},
                      {200, "{\"messages\":[{\"status\":\"5\"}]}", PARLEY_OUTCOME_RETRY, 0, "5"},
                      {200, "{\"messages\":[{\"status\":\"7\"}]}", PARLEY_OUTCOME_BAD_ADDRESS, 0, "7"},
                      {200, "{\"messages\":[{\"status\":\"15\"}]}", PARLEY_OUTCOME_REJECTED, 0, "15"},
                      {200, "{\"messages\":[{}]}", PARLEY_OUTCOME_REJECTED, 0, ""},
                      {200, "gibberish", PARLEY_OUTCOME_ACCEPTED, 0, "200"},
                      {401, "{}", PARLEY_OUTCOME_CHANNEL_DOWN, 0, "401"},
                      {429, "", PARLEY_OUTCOME_THROTTLED, 0, "429"}};
START_TEST(vonages_answer_has_a_verdict_for_each_segment)
{
  bed_open(VONAGE);
  bed_answer(vonage_answers[_i].code, vonage_answers[_i].body);
  ck_assert_uint_eq(bed.sent.result, vonage_answers[_i].result);
  ck_assert_uint_eq(bed.sent.n_ids, vonage_answers[_i].n_ids);
  ck_assert_str_eq(bed.sent.code, vonage_answers[_i].says);
}
END_TEST

#define SIGNED_TEXT "&messageId=1A&msisdn=34600111222&text=a_b_c&timestamp=1700000000&to=Shop"
static const struct {
  const char *option;
  enum digest_hash hash;
} vonage_methods[] = {{"md5hash", DIGEST_MD5}, {"md5", DIGEST_MD5}, {"sha1", DIGEST_SHA1}, {"sha256", DIGEST_SHA256},
                      {"sha512", DIGEST_SHA512}};
START_TEST(vonages_signature_holds_over_query_form_and_json)
{
  static const char *const query = "messageId=1A&msisdn=34600111222&text=a%26b%3Dc&timestamp=1700000000&to=Shop&sig=";
  const parley_pair form[] = {FORM}, json[] = {{PARLEY_LIT("content-type"), PARLEY_LIT("application/json")}};
  char yaml[256], text[512], body[512], sig[DIGEST_ROOM], url[512];
  parley_http_call call;

  snprintf(yaml, sizeof yaml, VONAGE "callback_secret: { env: C }\nsignature: %s\n", vonage_methods[_i].option);
  bed_open(yaml);
  snprintf(text, sizeof text, SIGNED_TEXT "%s", _i == 0 ? BED_CALLBACK_SECRET : "");
  if (_i == 0)
    digest_of(DIGEST_MD5, parley_text_of(text), DIGEST_HEX, sig);
  else
    digest_hmac(vonage_methods[_i].hash, PARLEY_LIT(BED_CALLBACK_SECRET), parley_text_of(text), DIGEST_HEX, sig);
  snprintf(url, sizeof url, "https://p.example/in/sms?%s%s", query, sig);
  call = call_of("GET", url, NULL, 0, "");
  ck_assert_int_eq(bed_verify(&call), SMS_GOOD);
  snprintf(body, sizeof body, "%s%s", query, sig);
  call = call_of("POST", "https://p.example/in/sms", form, 1, body);
  ck_assert_int_eq(bed_verify(&call), SMS_GOOD);
  snprintf(
      body, sizeof body,
      "{\"to\":\"Shop\",\"messageId\":\"1A\",\"msisdn\":\"34600111222\",\"text\":\"a&b=c\",\"timestamp\":1700000000,\"sig\":\"%s\"}",
      sig);
  call = call_of("POST", "https://p.example/in/sms", json, 1, body);
  ck_assert_int_eq(bed_verify(&call), SMS_GOOD);
  bed_read(&call);
  ck_assert_uint_eq(bed.taken.n, 1);
  BED_IS(bed.taken.items[0]->from.value, "+34600111222");
  body[strlen(body) - 3] ^= 1;
  ck_assert_int_eq(bed_verify(&call), SMS_MISMATCH);
}
END_TEST

START_TEST(without_a_signature_secret_vonage_is_not_believed)
{
  parley_http_call call = call_of("GET", "https://p.example/in/sms?messageId=1&msisdn=3&text=a&sig=00", NULL, 0, "");

  bed_open(VONAGE);
  ck_assert_int_eq(bed_verify(&call), SMS_MISSING);
}
END_TEST

static const struct {
  const char *query;
  uint32_t kind, outcome, n, unknown;
  int64_t at_ms;
} vonage_receipts[] = {
    {"messageId=1A&msisdn=34600111222&to=Shop&status=delivered&err-code=0&message-timestamp=2023-11-14+22%3A13%3A20",
     PARLEY_RECEIPT_DELIVERED, 0, 1, 0, BED_NOW_MS},
    {"messageId=1A&status=buffered", PARLEY_RECEIPT_SENT, 0, 1, 0, 0},
    {"messageId=1A&status=failed&err-code=2", PARLEY_RECEIPT_FAILED, PARLEY_OUTCOME_RETRY, 1, 0, 0},
    {"messageId=1A&status=failed&err-code=9", PARLEY_RECEIPT_FAILED, PARLEY_OUTCOME_BAD_ADDRESS, 1, 0, 0},
    {"messageId=1A&status=expired", PARLEY_RECEIPT_FAILED, PARLEY_OUTCOME_REJECTED, 1, 0, 0},
    {"messageId=1A&status=unknown", 0, 0, 0, 0, 0},
    {"messageId=1A&status=eaten", 0, 0, 0, 1, 0},
    {"hello=1", 0, 0, 0, 1, 0},
    {"messageId=1A&msisdn=34600111222&to=Shop&type=binary&data=00", 0, 0, 0, 1, 0}};
START_TEST(vonages_receipts_are_read_or_counted)
{
  char url[512];
  parley_http_call call;

  snprintf(url, sizeof url, "https://p.example/in/sms?%s", vonage_receipts[_i].query);
  call = call_of("GET", url, NULL, 0, "");
  bed_open(VONAGE);
  bed_read(&call);
  ck_assert_ptr_null(bed.taken.fault);
  ck_assert_uint_eq(bed.taken.n, vonage_receipts[_i].n);
  ck_assert_uint_eq(bed.taken.n_unknown, vonage_receipts[_i].unknown);
  if (bed.taken.n == 1) {
    ck_assert_uint_eq(bed.taken.items[0]->receipt.kind, vonage_receipts[_i].kind);
    ck_assert_uint_eq(bed.taken.items[0]->receipt.outcome, vonage_receipts[_i].outcome);
    ck_assert_int_eq(bed.taken.items[0]->receipt.at_ms, vonage_receipts[_i].at_ms);
  }
}
END_TEST

static const struct {
  const char *concat;
  uint32_t index, total, unknown;
} concats[] = {{"concat=true&concat-ref=54&concat-part=2&concat-total=3", 2, 3, 0},
               {"concat=false", 0, 0, 0},
               {"concat=true&concat-ref=54&concat-part=0&concat-total=3", 0, 0, 1},
               {"concat=true&concat-ref=54&concat-part=4&concat-total=3", 0, 0, 1},
               {"concat=true&concat-ref=&concat-part=1&concat-total=3", 0, 0, 1},
               {"concat=true&concat-ref=5&concat-part=1&concat-total=999", 0, 0, 1},
               {"concat=true&concat-ref=5&concat-part=x&concat-total=2", 0, 0, 1}};
START_TEST(a_piece_of_a_text_says_which_it_is)
{
  char url[512];
  parley_http_call call;
  const parley_segment *segment;

  snprintf(url, sizeof url, "https://p.example/?messageId=1&msisdn=34600111222&to=21212&text=x&type=text&%s", concats[_i].concat);
  call = call_of("GET", url, NULL, 0, "");
  bed_open(VONAGE);
  bed_read(&call);
  ck_assert_uint_eq(bed.taken.n, 1);
  ck_assert_uint_eq(bed.taken.n_unknown, concats[_i].unknown);
  segment = bed.taken.items[0]->inbound.segment;
  ck_assert_int_eq(segment != NULL, concats[_i].total > 0);
  if (segment != NULL) {
    ck_assert(segment->index == concats[_i].index && segment->total == concats[_i].total);
    BED_IS(segment->key, "+34600111222 21212 54 3");
  }
}
END_TEST

/* --- Vonage's Messages API ------------------------------------------------------------------------------------------- */
#define MESSAGES "provider: vonage\napi: messages\naccount: key\nsecret: { env: S }\nfrom: Shop\n"

START_TEST(the_messages_api_gets_a_text_or_a_picture_with_a_caption)
{
  struct sms_piece piece = {.to = PARLEY_LIT("+34600111222"),
                            .from = PARLEY_LIT("Shop"),
                            .text = PARLEY_LIT("hi"),
                            .id = PARLEY_LIT("msg_1"),
                            .callback = PARLEY_LIT("https://p.example/r"),
                            .expires_s = 300};

  bed_open(MESSAGES "mms: true\n");
  ck_assert(bed_request(&piece));
  BED_IS(bed.request.url, "https://api.nexmo.com/v1/messages");
  BED_IS(bed_header("authorization"), "Basic a2V5OjEyMzQ1");
  BED_IS(json_writer_text(&bed.body),
         "{\"to\":\"34600111222\",\"from\":\"Shop\",\"channel\":\"sms\",\"message_type\":\"text\",\"text\":\"hi\","
         "\"sms\":{\"encoding_type\":\"text\"},\"client_ref\":\"msg_1\",\"webhook_url\":\"https://p.example/r\","
         "\"webhook_version\":\"v1\",\"ttl\":300}");
  piece = (struct sms_piece){.to = PARLEY_LIT("+1"), .text = PARLEY_LIT("hi"), .n_media = 1, .media = {PARLEY_LIT("https://p/m")}};
  ck_assert(bed_request(&piece));
  BED_IS(json_writer_text(&bed.body),
         "{\"to\":\"1\",\"channel\":\"mms\",\"message_type\":\"image\",\"image\":{\"url\":\"https://p/m\",\"caption\":\"hi\"}}");
}
END_TEST

#define ERROR(n) "{\"type\":\"https://developer.vonage.com/api-errors/messages#" n "\",\"detail\":\"in words\"}"
static const struct {
  uint32_t code;
  const char *body;
  uint32_t result, n_ids;
  const char *says;
} messages_answers[] = {{202, "{\"message_uuid\":\"A\"}", PARLEY_OUTCOME_ACCEPTED, 1, "202"},
                        {202, "{}", PARLEY_OUTCOME_ACCEPTED, 0, "202"},
                        {422, ERROR("1120"), PARLEY_OUTCOME_REJECTED, 0, "1120"},
                        {422, ERROR("1170"), PARLEY_OUTCOME_BAD_ADDRESS, 0, "1170"},
                        {422, ERROR("1070"), PARLEY_OUTCOME_CHANNEL_DOWN, 0, "1070"},
                        {402, ERROR("low-balance"), PARLEY_OUTCOME_CHANNEL_DOWN, 0, "low-balance"},
                        {401, ERROR("unauthorized"), PARLEY_OUTCOME_CHANNEL_DOWN, 0, "unauthorized"},
                        {429, ERROR("throttled"), PARLEY_OUTCOME_THROTTLED, 0, "throttled"},
                        {500, "", PARLEY_OUTCOME_RETRY, 0, "500"}};
START_TEST(the_messages_apis_answer_means_one_outcome)
{
  bed_open(MESSAGES);
  bed_answer(messages_answers[_i].code, messages_answers[_i].body);
  ck_assert_uint_eq(bed.sent.result, messages_answers[_i].result);
  ck_assert_uint_eq(bed.sent.n_ids, messages_answers[_i].n_ids);
  ck_assert_str_eq(bed.sent.code, messages_answers[_i].says);
}
END_TEST

static const struct {
  const char *body;
  uint32_t n, unknown, kind, outcome, n_parts;
} messages_events[] = {
    {"{\"message_uuid\":\"A\",\"status\":\"submitted\",\"timestamp\":\"2023-11-14T22:13:20Z\"}", 1, 0, PARLEY_RECEIPT_SENT, 0, 0},
    {"{\"message_uuid\":\"A\",\"status\":\"delivered\",\"timestamp\":\"2023-11-14T22:13:20Z\"}", 1, 0, PARLEY_RECEIPT_DELIVERED, 0,
     0},
    {"{\"message_uuid\":\"A\",\"status\":\"undeliverable\",\"timestamp\":\"2023-11-14T22:13:20Z\",\"error\":" ERROR("1180") "}", 1, 0,
     PARLEY_RECEIPT_FAILED, PARLEY_OUTCOME_RETRY, 0},
    {"{\"message_uuid\":\"A\",\"status\":\"rejected\",\"timestamp\":\"2023-11-14T22:13:20Z\",\"error\":" ERROR("1000") "}", 1, 0,
     PARLEY_RECEIPT_FAILED, PARLEY_OUTCOME_REJECTED, 0},
    {"{\"message_uuid\":\"A\",\"status\":\"eaten\"}", 0, 1, 0, 0, 0},
    {"{\"message_uuid\":\"A\",\"channel\":\"whatsapp\",\"message_type\":\"text\",\"from\":\"34600111222\",\"text\":\"x\"}", 0, 1, 0,
     0, 0},
    {"{\"message_uuid\":\"A\",\"channel\":\"sms\",\"message_type\":\"text\",\"from\":\"34600111222\",\"to\":\"1\",\"text\":\"x\"}", 1,
     0, 0, 0, 1},
    {"{\"message_uuid\":\"A\",\"channel\":\"mms\",\"message_type\":\"image\",\"from\":\"34600111222\",\"to\":\"1\","
     "\"image\":{\"url\":\"https://a/b.jpg\",\"caption\":\"look\"}}",
     1, 0, 0, 0, 2}};
START_TEST(the_messages_apis_webhooks_are_read_or_counted)
{
  const parley_pair json = {PARLEY_LIT("content-type"), PARLEY_LIT("application/json")};
  parley_http_call call = call_of("POST", "https://p.example/in/sms", &json, 1, messages_events[_i].body);

  bed_open(MESSAGES);
  bed_read(&call);
  ck_assert_ptr_null(bed.taken.fault);
  ck_assert_uint_eq(bed.taken.n, messages_events[_i].n);
  ck_assert_uint_eq(bed.taken.n_unknown, messages_events[_i].unknown);
  if (bed.taken.n == 0)
    return;
  ck_assert_uint_eq(bed.taken.items[0]->receipt.kind, messages_events[_i].kind);
  ck_assert_uint_eq(bed.taken.items[0]->receipt.outcome, messages_events[_i].outcome);
  ck_assert_uint_eq(bed.taken.items[0]->inbound.n_parts, messages_events[_i].n_parts);
  if (messages_events[_i].kind != 0)
    ck_assert_int_eq(bed.taken.items[0]->receipt.at_ms, BED_NOW_MS);
}
END_TEST

static const struct {
  const char *yaml, *words;
} refused[] = {{"provider: twilio\nsecret: { env: S }\nfrom: Shop\n", "options.account is required"},
               {"provider: twilio\naccount: AC1\nfrom: Shop\n", "options.secret is required"},
               {"provider: twilio\naccount: AC1\nsecret: { env: S }\nfrom: 34600111222\n", "from: '34600111222' is no sender"},
               {MESSAGES "application: a\n", "private_key: with application"},
               {MESSAGES "private_key: { env: S }\n", "application: with private_key"},
               {MESSAGES "application: a\nprivate_key: { env: S }\n", "private_key: it is no RSA key"},
               {"provider: gateway\naccount: k\nsecret: { env: S }\n", "gateway: provider gateway needs its description"},
               {"provider: twillio\n", "unknown; allowed: twilio, vonage, gateway"}};
START_TEST(options_that_make_no_sense_are_refused_by_name)
{
  ck_assert_int_eq(bed_try(refused[_i].yaml), PARLEY_INVALID);
  ck_assert_msg(strstr(bed.why.at, refused[_i].words) != NULL, "%s", bed.why.at);
}
END_TEST

static TCase *case_of(const char *name)
{
  TCase *tcase = tcase_create(name);

  tcase_add_checked_fixture(tcase, NULL, bed_teardown);
  return tcase;
}

static TCase *case_bytes(void)
{
  TCase *tcase = case_of("bytes");

  tcase_add_loop_test(tcase, a_form_is_read_or_refused, 0, COUNT_OF(forms));
  tcase_add_test(tcase, a_form_has_a_bounded_number_of_fields);
  tcase_add_loop_test(tcase, providers_times_are_read, 0, COUNT_OF(times));
  tcase_add_loop_test(tcase, options_that_make_no_sense_are_refused_by_name, 0, COUNT_OF(refused));
  return tcase;
}

static TCase *case_twilio(void)
{
  TCase *tcase = case_of("twilio");

  tcase_add_test(tcase, twilio_gets_a_form_with_basic_auth);
  tcase_add_test(tcase, twilio_at_another_base_url_with_an_api_key);
  tcase_add_loop_test(tcase, twilios_answer_means_one_outcome, 0, COUNT_OF(twilio_answers));
  tcase_add_loop_test(tcase, twilios_signature_covers_the_url_and_every_field, 0, COUNT_OF(signatures));
  tcase_add_test(tcase, a_json_body_is_covered_by_its_hash_in_the_url);
  tcase_add_loop_test(tcase, a_status_callback_is_a_receipt_or_counted, 0, COUNT_OF(statuses));
  tcase_add_test(tcase, a_message_with_files_comes_in_whole);
  tcase_add_loop_test(tcase, only_twilio_itself_sees_the_credentials, 0, COUNT_OF(fetches));
  return tcase;
}

static TCase *case_vonage(void)
{
  TCase *tcase = case_of("vonage");

  tcase_add_test(tcase, vonage_gets_json_with_digits_only);
  tcase_add_loop_test(tcase, vonages_answer_has_a_verdict_for_each_segment, 0, COUNT_OF(vonage_answers));
  tcase_add_loop_test(tcase, vonages_signature_holds_over_query_form_and_json, 0, COUNT_OF(vonage_methods));
  tcase_add_test(tcase, without_a_signature_secret_vonage_is_not_believed);
  tcase_add_loop_test(tcase, vonages_receipts_are_read_or_counted, 0, COUNT_OF(vonage_receipts));
  tcase_add_loop_test(tcase, a_piece_of_a_text_says_which_it_is, 0, COUNT_OF(concats));
  tcase_add_test(tcase, the_messages_api_gets_a_text_or_a_picture_with_a_caption);
  tcase_add_loop_test(tcase, the_messages_apis_answer_means_one_outcome, 0, COUNT_OF(messages_answers));
  tcase_add_loop_test(tcase, the_messages_apis_webhooks_are_read_or_counted, 0, COUNT_OF(messages_events));
  return tcase;
}

int main(void)
{
  Suite *suite = suite_create("plugins/sms-http providers");
  SRunner *runner;
  int failed;

  suite_add_tcase(suite, case_bytes());
  suite_add_tcase(suite, case_twilio());
  suite_add_tcase(suite, case_vonage());
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed > 0;
}
