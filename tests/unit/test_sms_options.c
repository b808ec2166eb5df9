#include "core/base/alloc.h"
#include "core/base/text.h"
#include "core/channel/option.h"
#include "plugins/common/sms_options.h"
#include <check.h>

/* The operator's YAML through the host's own reader, as in the daemon. */
static const parley_option *const table[] = {&sms_option_from, &sms_option_senders, &sms_option_simplify, &sms_option_prices, NULL};
static struct yaml_file *file;
static struct arena *arena;
static struct secrets secrets;
static struct sms_options options;

static const char *no_variable(const char *name)
{
  (void)name;
  return NULL;
}

static parley_status read_yaml(const char *yaml)
{
  struct buf why = BUF_INIT(0);
  const parley_value *values = NULL;
  parley_status st;

  arena = arena_new();
  ck_assert_msg(yaml_parse("x.yaml", parley_text_of(yaml), no_variable, &file, &why) == PARLEY_OK, "%s", why.at);
  st = options_read(file, file->root, 1, 1, "channels.sms.options", table, arena, &secrets, &values, &why);
  ck_assert_msg(st == PARLEY_OK, "%s", why.at);
  st = sms_options_read(values, &options);
  buf_done(&why);
  yaml_file_free(&file); /* nothing of it is borrowed */
  arena_free(&arena);
  return st;
}

static void teardown(void)
{
  sms_options_done(&options);
}

static const struct { const char *text; enum sms_sender_kind kind; } senders[] = {
    {"+34600111222", SMS_SENDER_NUMBER}, {"+1234567", SMS_SENDER_NUMBER}, {"+123456789012345", SMS_SENDER_NUMBER},
    {"212", SMS_SENDER_SHORT_CODE}, {"21212", SMS_SENDER_SHORT_CODE}, {"12345678", SMS_SENDER_SHORT_CODE},
    {"A", SMS_SENDER_NAME}, {"Shop & Co", SMS_SENDER_NAME}, {"Shop-Madrid", SMS_SENDER_NAME}, {"24h", SMS_SENDER_NAME},
    {"+shop", SMS_SENDER_NAME}};
START_TEST(a_sender_is_a_number_a_short_code_or_a_name)
{
  struct sms_sender sender;
  const char *why = NULL;

  ck_assert_msg(sms_sender_read(parley_text_of(senders[_i].text), &sender, &why), "%s", why);
  ck_assert_int_eq(sender.kind, senders[_i].kind);
  ck_assert_str_eq(sender.text, senders[_i].text);
  ck_assert_uint_eq(sender.len, strlen(senders[_i].text));
}
END_TEST

static const struct { const char *text, *words; } no_senders[] = {
    {"", "empty"}, {"12", "3 to 8 digits"}, {"123456789", "+34600111222"}, {"34600111222", "+34600111222"},
    {"+123456", "7 to 15 digits"}, {"+1234567890123456", "7 to 15 digits"}, {"+0600111222", "7 to 15 digits"},
    {"+34 600 111 222", "7 to 15 digits"}, {"Shop-Madrid1", "11 characters"}, {"Caf\xc3\xa9", "letters"}, {"Shop!", "letters"},
    {" Shop", "no space"}, {"Shop ", "no space"}, {"Sh\nop", "letters"}, {"---", "a letter"}};
START_TEST(what_is_no_sender_is_refused_with_the_rule)
{
  struct sms_sender sender = {.kind = SMS_SENDER_NONE};
  const char *why = NULL;

  ck_assert(!sms_sender_read(parley_text_of(no_senders[_i].text), &sender, &why));
  ck_assert_msg(strstr(why, no_senders[_i].words) != NULL, "%s", why);
  ck_assert_int_eq(sender.kind, SMS_SENDER_NONE);
}
END_TEST

START_TEST(nothing_given_is_no_sender_no_price_and_no_simplifying)
{
  parley_capabilities caps = {.size = sizeof caps};

  ck_assert_int_eq(read_yaml("{}"), PARLEY_OK);
  ck_assert_int_eq(sms_sender_for(&options, PARLEY_LIT("+34600111222"))->kind, SMS_SENDER_NONE);
  sms_options_capable(&options, &caps);
  ck_assert(caps.flags == 0 && caps.prices == NULL);
}
END_TEST

static const struct { const char *to, *want; } ways[] = {
    {"+34600111222", "Shop"}, {"+34612111222", "+34611000111"}, {"+12025550143", "+12025550100"}, {"+447700900123", "21212"},
    {"+3", "21212"}, {"+34", "Shop"}, {"34600111222", "21212"}, {"34", "21212"}, {"", "21212"}, {"+", "21212"}};
START_TEST(the_longest_prefix_says_who_a_message_is_from)
{
  ck_assert_int_eq(read_yaml("from: 21212\nsenders: { 34: Shop, \"+34612\": \"+34611000111\", 1: \"+12025550100\" }"), PARLEY_OK);
  ck_assert_str_eq(sms_sender_for(&options, parley_text_of(ways[_i].to))->text, ways[_i].want);
}
END_TEST

START_TEST(prices_and_simplify_go_into_the_capabilities)
{
  parley_capabilities caps = {.size = sizeof caps, .flags = PARLEY_INBOUND};

  ck_assert_int_eq(read_yaml("simplify: true\nprices:\n - { prefix: 34, price: 0.075, currency: EUR }\n"
                             " - { prefix: \"+346\", price: \"1\", currency: EUR }\n - { price: 0.000001, currency: USD }\n"
                             " - { prefix: 1, price: 1000000, currency: USD }\n"),
                   PARLEY_OK);
  sms_options_capable(&options, &caps);
  ck_assert_uint_eq(caps.flags, PARLEY_INBOUND | PARLEY_SIMPLIFY);
  ck_assert(caps.prices[0]->micros == 75000 && strcmp(caps.prices[0]->prefix, "+34") == 0);
  ck_assert(caps.prices[1]->micros == 1000000 && strcmp(caps.prices[1]->prefix, "+346") == 0);
  ck_assert(caps.prices[2]->micros == 1 && strcmp(caps.prices[2]->prefix, "") == 0);
  ck_assert_str_eq(caps.prices[2]->currency, "USD");
  ck_assert_int_eq(caps.prices[3]->micros, INT64_C(1000000000000));
  ck_assert_ptr_null(caps.prices[4]);
}
END_TEST

static const struct { const char *yaml, *words; } wrong[] = {
    {"from: 34600111222", "from: '34600111222' is no sender: "},
    {"senders: { ES: Shop }", "senders: 'ES': a prefix is a country calling code"},
    {"senders: { 0034: Shop }", "senders: '0034': "},
    {"senders: { \"+\": Shop }", "senders: '+': "},
    {"senders: { 1234567890123456: Shop }", "senders: '1234567890123456': "},
    {"senders: { 34: Shop, \"+34\": Shop }", "senders: 34 is there twice"},
    {"senders: { 34: Shop!, 1: Shop }", "senders: 34: 'Shop!' is no sender: "},
    {"prices: [ { prefix: ES, price: 1, currency: EUR } ]", "prices: prefix 'ES': "},
    {"prices: [ { price: 0.0000001, currency: EUR } ]", "prices: '0.0000001' is no price"},
    {"prices: [ { price: \"0,075\", currency: EUR } ]", "prices: '0,075' is no price"},
    {"prices: [ { price: 1., currency: EUR } ]", "prices: '1.' is no price"},
    {"prices: [ { price: .5, currency: EUR } ]", "prices: '.5' is no price"},
    {"prices: [ { price: -1, currency: EUR } ]", "prices: '-1' is no price"},
    {"prices: [ { price: 1000000.1, currency: EUR } ]", "prices: '1000000.1' is no price"},
    {"prices: [ { price: 99999999, currency: EUR } ]", "prices: '99999999' is no price"},
    {"prices: [ { price: 1, currency: eur } ]", "prices: 'eur' is no currency"},
    {"prices: [ { price: 1, currency: EUR }, { price: 2, currency: EUR } ]", "prices: one without a prefix is there twice"},
    {"prices: [ { prefix: 34, price: 1, currency: EUR }, { prefix: +34, price: 2, currency: EUR } ]", "prices: +34 is there twice"},
};
START_TEST(what_is_wrong_is_said_with_its_option_and_the_rule)
{
  ck_assert_int_eq(read_yaml(wrong[_i].yaml), PARLEY_INVALID);
  ck_assert_msg(strstr(options.why, wrong[_i].words) == options.why, "%s", options.why);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("plugins/common/sms_options");
  TCase *tcase = tcase_create("all");
  SRunner *runner = srunner_create(suite);
  int failed;

  tcase_add_checked_fixture(tcase, NULL, teardown);
  tcase_add_loop_test(tcase, a_sender_is_a_number_a_short_code_or_a_name, 0, COUNT_OF(senders));
  tcase_add_loop_test(tcase, what_is_no_sender_is_refused_with_the_rule, 0, COUNT_OF(no_senders));
  tcase_add_test(tcase, nothing_given_is_no_sender_no_price_and_no_simplifying);
  tcase_add_loop_test(tcase, the_longest_prefix_says_who_a_message_is_from, 0, COUNT_OF(ways));
  tcase_add_test(tcase, prices_and_simplify_go_into_the_capabilities);
  tcase_add_loop_test(tcase, what_is_wrong_is_said_with_its_option_and_the_rule, 0, COUNT_OF(wrong));
  suite_add_tcase(suite, tcase);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed > 0;
}
