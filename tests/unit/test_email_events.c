// sources: tests/support/plugin_host.c
// libraries: PkgConfig::OPENSSL
/* The event webhooks of mail providers, posted to the real plugin: signed here with keys of the test, as each provider's documents
 * say. tests/contract/mail_events.py has them signed by the providers' own libraries. */
#include "core/base/alloc.h"
#include "core/base/buf.h"
#include "core/base/text.h"
#include "tests/support/plugin_host.h"
#include <check.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

#define TOKEN "0123456789abcdefghjkmnpqrstvw"
#define ID "msg_01KAM2Z8Q3XWA@shop.example"
#define TOPIC "arn:aws:sns:eu-west-1:123456789012:mail"
#define CERTIFICATE "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0.pem"
#define NOW_S "1700000000"

static EVP_PKEY *ec, *rsa;
static char ec_public[256], certificate[4096];

/* --- Signing ------------------------------------------------------------------------------------------------------ */
static void base64(const unsigned char *bytes, size_t len, char *to)
{
  EVP_EncodeBlock((unsigned char *)to, bytes, (int)len);
}

static void signed_by(EVP_PKEY *key, const EVP_MD *digest, const char *text, size_t len, char to[1024])
{
  EVP_MD_CTX *context = EVP_MD_CTX_new();
  unsigned char signature[600];
  size_t n = sizeof signature;

  if (EVP_DigestSignInit(context, NULL, digest, NULL, key) != 1 ||
      EVP_DigestSign(context, signature, &n, (const unsigned char *)text, len) != 1)
    abort(); /* it runs outside of tests, too */
  base64(signature, n, to);
  EVP_MD_CTX_free(context);
}

static void certificate_make(EVP_PKEY *key, const char *name, char *to, size_t room)
{
  X509 *made = X509_new();
  BIO *bio = BIO_new(BIO_s_mem());
  int len;

  X509_set_version(made, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(made), 1);
  ASN1_TIME_set(X509_getm_notBefore(made), (time_t)(PLUGIN_HOST_NOW_MS / 1000 - 86400));
  ASN1_TIME_set(X509_getm_notAfter(made), (time_t)(PLUGIN_HOST_NOW_MS / 1000 + 86400));
  X509_NAME_add_entry_by_txt(X509_get_subject_name(made), "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
  X509_set_issuer_name(made, X509_get_subject_name(made));
  X509_set_pubkey(made, key);
  X509_sign(made, key, EVP_sha256());
  PEM_write_bio_X509(bio, made);
  len = BIO_read(bio, to, (int)room - 1);
  to[len > 0 ? len : 0] = '\0';
  BIO_free(bio);
  X509_free(made);
}

static void keys_make(void)
{
  unsigned char *der = NULL;
  int len;

  ec = EVP_EC_gen("P-256");
  rsa = EVP_RSA_gen(2048);
  len = i2d_PUBKEY(ec, &der);
  base64(der, (size_t)len, ec_public);
  OPENSSL_free(der);
  certificate_make(rsa, "sns.amazonaws.com", certificate, sizeof certificate);
}

/* --- The channel -------------------------------------------------------------------------------------------------- */
static const char *const options[] = {"smtp", "smtp://127.0.0.1:2525", "from", "Shop <orders@shop.example>", "tls", "off", "events.ses",
                                      TOPIC, "events.sendgrid", ec_public, "events.mailgun", "key-1", "events.postmark", "shop:secret",
                                      NULL};
static struct plugin_host *h;

static void setup(void)
{
  h = plugin_host_new("email");
  plugin_host_start(h, options);
}

static void teardown(void)
{
  plugin_host_done(&h);
}

static uint32_t code_of(uint64_t call)
{
  plugin_host_run(h);
  return plugin_host_answer_of(h, call) != NULL ? plugin_host_answer_of(h, call)->code : 0;
}

static uint32_t post(const char *path, const char *name, const char *value, const char *name2, const char *value2, const char *body)
{
  const parley_pair headers[] = {{parley_text_of(name), parley_text_of(value)}, {parley_text_of(name2), parley_text_of(value2)}};

  return code_of(plugin_host_http_call(h, "POST", path, headers, name2[0] != '\0' ? 2 : name[0] != '\0', parley_text_of(body)));
}

static const parley_receipt *receipt(size_t i)
{
  ck_assert_uint_gt(h->n_items, i);
  ck_assert_ptr_nonnull(h->items[i].receipt);
  return h->items[i].receipt;
}

/* --- SendGrid ----------------------------------------------------------------------------------------------------- */
static const char sendgrid_body[] =
    "[{\"event\":\"processed\",\"email\":\"ana@example.org\",\"timestamp\":1699999000,\"smtp-id\":\"<" ID ">\"},"
    "{\"event\":\"bounce\",\"type\":\"bounce\",\"status\":\"5.1.1\",\"reason\":\"550 5.1.1 no such user\","
    "\"email\":\"ana@example.org\",\"timestamp\":1699999000,\"smtp-id\":\"<" ID ">\",\"parley\":\"" TOKEN "\"},"
    "{\"event\":\"spamreport\",\"email\":\"bob@example.org\",\"timestamp\":1699999001,\"smtp-id\":\"<" ID ">\"}]";

static uint32_t sendgrid(const char *timestamp, const char *body, const char *posted)
{
  char signature[1024];
  struct buf text = BUF_INIT(0);

  buf_str(&text, timestamp);
  buf_str(&text, body);
  signed_by(ec, EVP_sha256(), text.at, text.len, signature);
  buf_done(&text);
  return post("/sendgrid", "x-twilio-email-event-webhook-signature", signature, "x-twilio-email-event-webhook-timestamp", timestamp,
              posted);
}

START_TEST(sendgrid_events_become_receipts)
{
  ck_assert_uint_eq(sendgrid(NOW_S, sendgrid_body, sendgrid_body), 200);
  ck_assert_uint_eq(h->n_items, 2);
  ck_assert(receipt(0)->kind == PARLEY_RECEIPT_FAILED && receipt(0)->outcome == PARLEY_OUTCOME_BAD_ADDRESS);
  ck_assert(parley_text_is(receipt(0)->message_id, TOKEN) && receipt(0)->at_ms == INT64_C(1699999000000));
  ck_assert(parley_text_is(receipt(0)->code, "5.1.1"));
  ck_assert(receipt(1)->kind == PARLEY_RECEIPT_COMPLAINED && parley_text_is(receipt(1)->provider_id, ID));
}
END_TEST

START_TEST(a_sendgrid_signature_that_does_not_hold_is_refused_and_nothing_is_told)
{
  ck_assert_uint_eq(sendgrid(NOW_S, sendgrid_body, "[]"), 401);
  ck_assert_uint_eq(sendgrid("1699999640", sendgrid_body, sendgrid_body), 401); /* 6 min old */
  ck_assert_uint_eq(sendgrid("1700000360", sendgrid_body, sendgrid_body), 401); /* 6 min ahead */
  ck_assert_uint_eq(sendgrid("1e9", sendgrid_body, sendgrid_body), 401);
  ck_assert_uint_eq(sendgrid("-5", sendgrid_body, sendgrid_body), 401);
  ck_assert_uint_eq(sendgrid("17000000000000000000", sendgrid_body, sendgrid_body), 401);
  ck_assert_uint_eq(post("/sendgrid", "", "", "", "", sendgrid_body), 401);
  ck_assert_uint_eq(post("/sendgrid", "x-twilio-email-event-webhook-signature", "AAAA", "x-twilio-email-event-webhook-timestamp", NOW_S,
                         sendgrid_body), 401);
  ck_assert_uint_eq(post("/sendgrid", "x-twilio-email-event-webhook-signature", "not base64!", "x-twilio-email-event-webhook-timestamp",
                         NOW_S, sendgrid_body), 401);
  ck_assert_uint_eq(h->n_items, 0);
}
END_TEST

START_TEST(what_the_store_cannot_take_now_is_asked_for_again)
{
  h->says = PARLEY_BUSY;
  h->says_retry_ms = 2000;
  ck_assert_uint_eq(sendgrid(NOW_S, sendgrid_body, sendgrid_body), 503);
  h->says = PARLEY_REJECTED; /* of a mail that is not ours: it would only come again */
  ck_assert_uint_eq(sendgrid(NOW_S, sendgrid_body, sendgrid_body), 200);
}
END_TEST

START_TEST(many_events_are_handed_over_a_few_at_a_time)
{
  struct buf body = BUF_INIT(0);

  buf_char(&body, '[');
  for (int i = 0; i < 1000; i++)
    buf_printf(&body, "%s{\"event\":\"delivered\",\"timestamp\":1699999000,\"smtp-id\":\"<m%d@shop.example>\"}", i > 0 ? "," : "", i);
  buf_str(&body, "]");
  ck_assert_uint_eq(sendgrid(NOW_S, body.at, body.at), 200);
  ck_assert_uint_eq(h->n_items, 1000);
  ck_assert(parley_text_is(receipt(999)->provider_id, "m999@shop.example"));
  buf_done(&body);
}
END_TEST

/* --- Mailgun ------------------------------------------------------------------------------------------------------ */
static uint32_t mailgun_signed(const char *key, const char *timestamp, const char *token, const char *event)
{
  unsigned char mac[32];
  unsigned int len = sizeof mac;
  char words[128], hex[65];
  struct buf body = BUF_INIT(0);
  uint32_t code;

  snprintf(words, sizeof words, "%s%s", timestamp, token);
  HMAC(EVP_sha256(), key, (int)strlen(key), (unsigned char *)words, strlen(words), mac, &len);
  for (size_t i = 0; i < sizeof mac; i++)
    snprintf(hex + 2 * i, 3, "%02x", mac[i]);
  buf_printf(&body, "{\"signature\":{\"timestamp\":\"%s\",\"token\":\"%s\",\"signature\":\"%s\"},\"event-data\":%s}", timestamp,
             token, hex, event);
  code = post("/mailgun", "content-type", "application/json", "", "", body.at);
  buf_done(&body);
  return code;
}

#define MAILGUN_MESSAGE "\"timestamp\":1699999000.5,\"message\":{\"headers\":{\"message-id\":\"" ID "\"}}"

START_TEST(mailgun_events_become_receipts_once)
{
  static const char failed[] = "{\"event\":\"failed\",\"severity\":\"permanent\",\"reason\":\"bounce\","
                               "\"delivery-status\":{\"code\":550,\"enhanced-code\":\"5.1.1\","
                               "\"message\":\"no such user\"}," MAILGUN_MESSAGE "}";
  static const char other[] = "{\"event\":\"complained\",\"user-variables\":{\"parley\":\"" TOKEN "\"}," MAILGUN_MESSAGE "}";
  static const char later[] = "{\"event\":\"failed\",\"severity\":\"temporary\"," MAILGUN_MESSAGE "}";

  ck_assert_uint_eq(mailgun_signed("key-1", NOW_S, "token-1", failed), 200);
  ck_assert_uint_eq(h->n_items, 1);
  ck_assert(receipt(0)->outcome == PARLEY_OUTCOME_BAD_ADDRESS && parley_text_is(receipt(0)->provider_id, ID));
  ck_assert(receipt(0)->at_ms == INT64_C(1699999000500));
  ck_assert_uint_eq(mailgun_signed("key-1", NOW_S, "token-1", other), 200); /* the signature covers the token, not the event */
  ck_assert_uint_eq(h->n_items, 1);
  ck_assert_uint_eq(mailgun_signed("key-1", NOW_S, "token-2", other), 200);
  ck_assert(receipt(1)->kind == PARLEY_RECEIPT_COMPLAINED && parley_text_is(receipt(1)->message_id, TOKEN));
  ck_assert_uint_eq(mailgun_signed("key-1", NOW_S, "token-3", later), 200);
  ck_assert_uint_eq(h->n_items, 2);
}
END_TEST

START_TEST(a_mailgun_event_that_was_not_stored_may_come_again)
{
  static const char delivered[] = "{\"event\":\"delivered\"," MAILGUN_MESSAGE "}";

  h->says = PARLEY_RETRY;
  ck_assert_uint_eq(mailgun_signed("key-1", NOW_S, "token-1", delivered), 503);
  h->says = PARLEY_OK;
  ck_assert_uint_eq(mailgun_signed("key-1", NOW_S, "token-1", delivered), 200);
  ck_assert_uint_eq(h->n_items, 2);
}
END_TEST

START_TEST(a_mailgun_signature_that_does_not_hold_is_refused)
{
  ck_assert_uint_eq(mailgun_signed("key-2", NOW_S, "token-1", "{}"), 401);
  ck_assert_uint_eq(mailgun_signed("key-1", "1699999640", "token-1", "{}"), 401);
  ck_assert_uint_eq(post("/mailgun", "", "", "", "", "{\"event-data\":{}}"), 401);
  ck_assert_uint_eq(post("/mailgun", "", "", "", "", "not json"), 422);
  ck_assert_uint_eq(h->n_items, 0);
}
END_TEST

/* --- Postmark ----------------------------------------------------------------------------------------------------- */
#define POSTMARK_BOUNCE "{\"RecordType\":\"Bounce\",\"Type\":\"HardBounce\",\"Email\":\"ana@example.org\"," \
                        "\"Details\":\"550 5.1.1 gone\",\"MessageID\":\"883953f4\"," \
                        "\"BouncedAt\":\"2023-11-14T22:13:20Z\",\"Metadata\":{\"parley\":\"" TOKEN "\"}}"

START_TEST(postmark_events_come_with_its_password)
{
  ck_assert_uint_eq(post("/postmark", "authorization", "Basic c2hvcDpzZWNyZXQ=", "", "", POSTMARK_BOUNCE), 200);
  ck_assert(receipt(0)->outcome == PARLEY_OUTCOME_BAD_ADDRESS && parley_text_is(receipt(0)->message_id, TOKEN));
  ck_assert(receipt(0)->at_ms == INT64_C(1700000000000) && parley_text_is(receipt(0)->code, "5.1.1"));
  ck_assert_uint_eq(post("/postmark", "authorization", "Basic c2hvcDpzZWNyZXI=", "", "", POSTMARK_BOUNCE), 401);
  ck_assert_uint_eq(post("/postmark", "authorization", "Bearer c2hvcDpzZWNyZXQ=", "", "", POSTMARK_BOUNCE), 401);
  ck_assert_uint_eq(post("/postmark", "", "", "", "", POSTMARK_BOUNCE), 401);
  ck_assert_uint_eq(h->n_items, 1);
}
END_TEST

static const struct { const char *body; uint32_t kind, outcome; } postmark_events[] = {
    {"{\"RecordType\":\"Delivery\",\"MessageID\":\"x\"}", PARLEY_RECEIPT_DELIVERED, 0},
    {"{\"RecordType\":\"SpamComplaint\",\"MessageID\":\"x\"}", PARLEY_RECEIPT_COMPLAINED, 0},
    {"{\"RecordType\":\"Open\",\"MessageID\":\"x\"}", PARLEY_RECEIPT_OPENED, 0},
    {"{\"RecordType\":\"Bounce\",\"Type\":\"SoftBounce\",\"MessageID\":\"x\"}", PARLEY_RECEIPT_FAILED, PARLEY_OUTCOME_RETRY},
    {"{\"RecordType\":\"Bounce\",\"Type\":\"SpamNotification\",\"MessageID\":\"x\"}", PARLEY_RECEIPT_FAILED, PARLEY_OUTCOME_REJECTED},
    {"{\"RecordType\":\"Bounce\",\"Type\":\"AutoResponder\",\"MessageID\":\"x\"}", 0, 0},
    {"{\"RecordType\":\"SubscriptionChange\",\"SuppressSending\":true,\"SuppressionReason\":\"ManualSuppression\",\"MessageID\":\"x\"}",
     PARLEY_RECEIPT_UNSUBSCRIBED, 0},
    {"{\"RecordType\":\"SubscriptionChange\",\"SuppressSending\":false,\"MessageID\":\"x\"}", 0, 0},
    {"{\"RecordType\":\"Delivery\"}", 0, 0},
    {"[]", 0, 0},
};

START_TEST(each_postmark_record_is_what_it_says)
{
  ck_assert_uint_eq(post("/postmark", "authorization", "Basic c2hvcDpzZWNyZXQ=", "", "", postmark_events[_i].body), 200);
  ck_assert_uint_eq(h->n_items, postmark_events[_i].kind != 0);
  if (postmark_events[_i].kind != 0)
    ck_assert(receipt(0)->kind == postmark_events[_i].kind && receipt(0)->outcome == postmark_events[_i].outcome);
}
END_TEST

/* --- SES over SNS ------------------------------------------------------------------------------------------------- */
static const char ses_bounce[] =
    "{\\\"eventType\\\":\\\"Bounce\\\",\\\"bounce\\\":{\\\"bounceType\\\":\\\"Permanent\\\",\\\"bounceSubType\\\":\\\"General\\\","
    "\\\"bouncedRecipients\\\":[{\\\"emailAddress\\\":\\\"ana@example.org\\\",\\\"status\\\":\\\"5.1.1\\\"}],"
    "\\\"timestamp\\\":\\\"2023-11-14T22:13:20.000Z\\\"},"
    "\\\"mail\\\":{\\\"messageId\\\":\\\"ses-1\\\",\\\"tags\\\":{\\\"parley\\\":[\\\"" TOKEN "\\\"]}}}";

static struct buf sns_signed(const char *type, const char *topic, const char *url, const EVP_MD *digest, const char *message_json,
                             const char *tail)
{
  struct buf text = BUF_INIT(0), body = BUF_INIT(0), plain = BUF_INIT(0);
  char signature[1024];
  bool control = strcmp(type, "Notification") != 0;

  for (const char *c = message_json; *c != '\0'; c++)
    if (*c != '\\')
      buf_char(&plain, *c);
  buf_printf(&text, "Message\n%.*s\nMessageId\nm-1\n", (int)plain.len, plain.at);
  if (control)
    buf_str(&text, "SubscribeURL\nhttps://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=t\n");
  buf_str(&text, "Timestamp\n2023-11-14T22:13:20.000Z\n");
  if (control)
    buf_str(&text, "Token\nt\n");
  buf_printf(&text, "TopicArn\n%s\nType\n%s\n", topic, type);
  signed_by(rsa, digest, text.at, text.len, signature);
  buf_printf(&body,
             "{\"Type\":\"%s\",\"MessageId\":\"m-1\",\"TopicArn\":\"%s\",\"Message\":\"%s\",\"Timestamp\":\"2023-11-14T22:13:20.000Z\","
             "\"SignatureVersion\":\"%s\",\"Signature\":\"%s\",\"SigningCertURL\":\"%s\"%s}",
             type, topic, message_json, digest == EVP_sha1() ? "1" : "2", signature, url, tail);
  buf_done(&text);
  buf_done(&plain);
  return body;
}

static uint64_t sns_posted(const char *type, const char *topic, const char *url, const EVP_MD *digest, const char *message_json,
                           const char *tail)
{
  struct buf body = sns_signed(type, topic, url, digest, message_json, tail);
  uint64_t call = plugin_host_http_call(h, "POST", "/ses", NULL, 0, parley_text_of(body.at));

  plugin_host_run(h);
  buf_done(&body);
  return call;
}

static void certificate_given(size_t request, const char *pem)
{
  plugin_host_http_reply(h, request, PARLEY_REF(parley_http_response, .code = 200, .sent = 1, .body = parley_text_of(pem)));
  plugin_host_run(h);
}

START_TEST(ses_events_come_over_sns_and_the_certificate_is_fetched_once)
{
  uint64_t first = sns_posted("Notification", TOPIC, CERTIFICATE, EVP_sha256(), ses_bounce, ""), second;

  ck_assert(h->n_https == 1 && parley_text_is(h->https[0].url, CERTIFICATE));
  ck_assert_uint_eq(code_of(first), 0);
  certificate_given(0, certificate);
  ck_assert_uint_eq(code_of(first), 200);
  ck_assert(receipt(0)->outcome == PARLEY_OUTCOME_BAD_ADDRESS && parley_text_is(receipt(0)->message_id, TOKEN));
  ck_assert(receipt(0)->at_ms == INT64_C(1700000000000));
  second = sns_posted("Notification", TOPIC, CERTIFICATE, EVP_sha1(), ses_bounce, "");
  ck_assert_uint_eq(code_of(second), 200);
  ck_assert(h->n_https == 1 && h->n_items == 2);
}
END_TEST

static const char sns_tail[] = ",\"Token\":\"t\",\"SubscribeURL\":"
                               "\"https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=t\"";

START_TEST(a_subscription_is_confirmed_at_snss_own_host)
{
  uint64_t call = sns_posted("SubscriptionConfirmation", TOPIC, CERTIFICATE, EVP_sha256(), "You have chosen", sns_tail);

  certificate_given(0, certificate);
  ck_assert(h->n_https == 2 && text_find_text(h->https[1].url, PARLEY_LIT("ConfirmSubscription")) != SIZE_MAX);
  plugin_host_http_code(h, 1, 200);
  ck_assert_uint_eq(code_of(call), 200);
  ck_assert_uint_eq(h->n_items, 0);
}
END_TEST

static const struct { const char *topic, *url; } strangers[] = {
    {"arn:aws:sns:eu-west-1:999999999999:mail", CERTIFICATE},
    {TOPIC, "https://sns.eu-west-1.amazonaws.com.evil.example/x.pem"},
    {TOPIC, "https://evil.example/https://sns.eu-west-1.amazonaws.com/x.pem"},
    {TOPIC, "http://sns.eu-west-1.amazonaws.com/x.pem"},
    {TOPIC, "https://sns.eu-west-1.amazonaws.com@evil.example/x.pem"},
    {TOPIC, "https://sns.eu-west-1.amazonaws.com/x.txt"},
    {TOPIC, "https://sns.eu-west-1.amazonaws.com/?a=/x.pem"},
    {TOPIC, "https://s3.eu-west-1.amazonaws.com/x.pem"},
};

START_TEST(a_stranger_is_refused_before_anything_is_fetched)
{
  ck_assert_uint_eq(code_of(sns_posted("Notification", strangers[_i].topic, strangers[_i].url, EVP_sha256(), ses_bounce, "")), 401);
  ck_assert(h->n_https == 0 && h->n_items == 0);
}
END_TEST

static const struct { const char *url, *name; uint32_t code; } regions[] = {
    {"https://sns.af-south-1.amazonaws.com/x.pem", "sns-signing.af-south-1.amazonaws.com", 200},
    {"https://sns.af-south-1.amazonaws.com/x.pem", "sns.af-south-1.amazonaws.com", 200},
    {"https://sns.cn-north-1.amazonaws.com.cn/x.pem", "sns-cn-north-1.amazonaws.com.cn", 200},
    {"https://sns.us-gov-east-1.amazonaws.com/x.pem", "sns-us-gov-west-1.amazonaws.com", 200},
    {"https://sns.eu-west-1.amazonaws.com/x.pem", "sns-us-gov-west-1.amazonaws.com", 401},
    {"https://sns.eu-west-1.amazonaws.com/x.pem", "sns-signing.af-south-1.amazonaws.com", 401},
    {"https://sns.eu-west-1.amazonaws.com/x.pem", "s3.eu-west-1.amazonaws.com", 401},
};

START_TEST(a_region_may_have_a_certificate_of_its_own_and_of_no_other)
{
  static char pem[4096];
  uint64_t call = sns_posted("Notification", TOPIC, regions[_i].url, EVP_sha256(), ses_bounce, "");

  certificate_make(rsa, regions[_i].name, pem, sizeof pem);
  certificate_given(0, pem);
  ck_assert_uint_eq(code_of(call), regions[_i].code);
}
END_TEST

START_TEST(a_certificate_of_somebody_else_or_a_broken_signature_is_refused)
{
  static char other[4096];
  uint64_t call = sns_posted("Notification", TOPIC, CERTIFICATE, EVP_sha256(), ses_bounce, "");

  certificate_make(rsa, "sns.example.org", other, sizeof other);
  certificate_given(0, other);
  ck_assert_uint_eq(code_of(call), 401);
  call = sns_posted("Notification", TOPIC, CERTIFICATE, EVP_sha256(), ses_bounce, ",\"Subject\":\"not signed\"");
  certificate_given(1, certificate);
  ck_assert_uint_eq(code_of(call), 401);
  call = sns_posted("Notification", TOPIC, "https://sns.eu-west-1.amazonaws.com/other.pem", EVP_sha256(), ses_bounce, "");
  plugin_host_http_code(h, 2, 500);
  ck_assert_uint_eq(code_of(call), 503);
  ck_assert_uint_eq(h->n_items, 0);
}
END_TEST

/* --- The rest ----------------------------------------------------------------------------------------------------- */
START_TEST(only_a_configured_provider_is_there_and_only_by_post)
{
  ck_assert_uint_eq(post("/", "", "", "", "", "{}"), 404);
  ck_assert_uint_eq(post("/sparkpost", "", "", "", "", "{}"), 404);
  ck_assert_uint_eq(post("/sendgrid/x", "", "", "", "", "{}"), 404);
  ck_assert_uint_eq(code_of(plugin_host_http_call(h, "GET", "/ses", NULL, 0, parley_text_of(""))), 405);
}
END_TEST

START_TEST(an_option_that_cannot_be_is_refused_at_the_start)
{
  static const char *const bad[][9] = {
      {"smtp", "smtp://127.0.0.1:2525", "from", "Shop <orders@shop.example>", "events.sendgrid", "AAAA", NULL},
      {"smtp", "smtp://127.0.0.1:2525", "from", "Shop <orders@shop.example>", "events.postmark", "nocolon", NULL},
      {"smtp", "smtp://127.0.0.1:2525", "from", "Shop <orders@shop.example>", "events.ses", "mail-topic", NULL}};

  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    struct plugin_host *other = plugin_host_new("email");

    ck_assert_int_eq(plugin_host_create(other, bad[i]), PARLEY_INVALID);
    ck_assert_uint_eq(text_find_text(other->health_cause, PARLEY_LIT("events.")), 0);
    plugin_host_done(&other);
  }
}
END_TEST

/* For tests/contract/mail_events.py: what we test with, to be judged by AWS's own validator. */
static void sns_print(const char *type, const char *message_json, const char *tail)
{
  struct buf body = sns_signed(type, TOPIC, CERTIFICATE, EVP_sha1(), message_json, tail);

  printf("{\"message\":%s,\"certificate\":\"", body.at);
  for (const char *c = certificate; *c != '\0'; c++)
    printf(*c == '\n' ? "\\n" : "%c", *c);
  printf("\"}\n");
  buf_done(&body);
}

int main(int argc, char **argv)
{
  Suite *suite = suite_create("email_events");
  TCase *tcase = tcase_create("all");
  SRunner *runner;
  int failed;

  keys_make();
  if (argc > 1 && strcmp(argv[1], "sns") == 0) {
    sns_print("Notification", ses_bounce, "");
    sns_print("SubscriptionConfirmation", "You have chosen", sns_tail);
    return EXIT_SUCCESS;
  }
  tcase_add_checked_fixture(tcase, setup, teardown);
  tcase_add_test(tcase, sendgrid_events_become_receipts);
  tcase_add_test(tcase, a_sendgrid_signature_that_does_not_hold_is_refused_and_nothing_is_told);
  tcase_add_test(tcase, what_the_store_cannot_take_now_is_asked_for_again);
  tcase_add_test(tcase, many_events_are_handed_over_a_few_at_a_time);
  tcase_add_test(tcase, mailgun_events_become_receipts_once);
  tcase_add_test(tcase, a_mailgun_event_that_was_not_stored_may_come_again);
  tcase_add_test(tcase, a_mailgun_signature_that_does_not_hold_is_refused);
  tcase_add_test(tcase, postmark_events_come_with_its_password);
  tcase_add_loop_test(tcase, each_postmark_record_is_what_it_says, 0, sizeof postmark_events / sizeof *postmark_events);
  tcase_add_test(tcase, ses_events_come_over_sns_and_the_certificate_is_fetched_once);
  tcase_add_test(tcase, a_subscription_is_confirmed_at_snss_own_host);
  tcase_add_loop_test(tcase, a_stranger_is_refused_before_anything_is_fetched, 0, sizeof strangers / sizeof *strangers);
  tcase_add_loop_test(tcase, a_region_may_have_a_certificate_of_its_own_and_of_no_other, 0, sizeof regions / sizeof *regions);
  tcase_add_test(tcase, a_certificate_of_somebody_else_or_a_broken_signature_is_refused);
  tcase_add_test(tcase, only_a_configured_provider_is_there_and_only_by_post);
  tcase_add_test(tcase, an_option_that_cannot_be_is_refused_at_the_start);
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  EVP_PKEY_free(ec);
  EVP_PKEY_free(rsa);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
