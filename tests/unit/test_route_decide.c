#include "core/base/alloc.h"
#include "core/base/arena.h"
#include "core/base/text.h"
#include "core/route/decide.h"
#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct lane_room room;
static struct policy_channel mail, sms, hook;
static struct policy_topic orders, codes, news;
static struct facts_identity identities[4];
static struct consent consents[2];
static struct submission submission;
static struct facts facts;
static struct arena *arena;

static void setup(void)
{
  arena = arena_new();
  mail = (struct policy_channel){.name = PARLEY_LIT("mail"), .channel_kind = PARLEY_LIT("email"),
                                 .address_kind = PARLEY_LIT("email"), .room = &room};
  sms = (struct policy_channel){.name = PARLEY_LIT("sms-eu"), .channel_kind = PARLEY_LIT("sms"),
                                .address_kind = PARLEY_LIT("phone"), .room = &room};
  hook = (struct policy_channel){.name = PARLEY_LIT("hook"), .channel_kind = PARLEY_LIT("webhook"),
                                 .address_kind = PARLEY_LIT("none"), .room = &room};
  orders = (struct policy_topic){.name = PARLEY_LIT("orders"), .class = CLASS_TRANSACTIONAL};
  codes = (struct policy_topic){.name = PARLEY_LIT("codes"), .class = CLASS_CRITICAL};
  news = (struct policy_topic){.name = PARLEY_LIT("news"), .class = CLASS_MARKETING};
  submission = (struct submission){.topic = &orders};
  facts = (struct facts){.customer = 5, .identities = identities, .consents = consents};
}

static void teardown(void)
{
  arena_free(&arena);
}

static void plan_add(const struct policy_channel *channel, enum until until, int64_t within_ms)
{
  submission.steps[submission.n_steps++] = (struct policy_step){channel, until, within_ms};
}

static struct facts_identity *identity_add(const char *kind, const char *value)
{
  struct facts_identity *added = &identities[facts.n_identities++];

  *added = (struct facts_identity){.id = 100 + facts.n_identities,
                                   .identity = {.kind = parley_text_of(kind), .value = parley_text_of(value),
                                                .assurance = PARLEY_CLAIMED}};
  return added;
}

static void consent_add(const char *topic, const char *kind, bool granted)
{
  consents[facts.n_consents++] = (struct consent){.topic = parley_text_of(topic), .channel_kind = parley_text_of(kind),
                                                  .granted = granted, .at_ms = 10};
}

static struct decision decided(void)
{
  struct decision decision;

  decide(&submission, &facts, arena, &decision);
  return decision;
}

START_TEST(the_first_step_with_an_address_goes)
{
  struct decision got;

  plan_add(&sms, UNTIL_SENT, 60000);
  plan_add(&mail, UNTIL_SENT, 0);
  plan_add(&hook, UNTIL_SENT, 0);
  identity_add("email", "ana@example.org");
  got = decided();
  ck_assert_int_eq(got.first, 1);
  ck_assert_uint_eq(got.n_steps, 3);
  ck_assert_int_eq((int)got.steps[0].verdict, STEP_NO_ADDRESS);
  ck_assert_int_eq((int)got.steps[1].verdict, STEP_GO);
  ck_assert(parley_text_is(got.steps[1].address, "ana@example.org"));
  ck_assert_int_eq((int)got.steps[2].verdict, STEP_GO); /* a fixed endpoint needs none */
  ck_assert(got.steps[2].fixed);
  ck_assert_uint_eq(got.identity, 101);
  ck_assert_ptr_null(got.end);
}
END_TEST

START_TEST(of_a_customers_own_addresses_the_verified_then_the_last_used_is_taken)
{
  plan_add(&mail, UNTIL_SENT, 0);
  identity_add("email", "old@example.org")->used_ms = 1;
  identity_add("email", "new@example.org")->used_ms = 9;
  identity_add("email", "mid@example.org")->used_ms = 5;
  ck_assert(parley_text_is(decided().steps[0].address, "new@example.org"));
  identities[2].identity.assurance = PARLEY_VERIFIED;
  ck_assert(parley_text_is(decided().steps[0].address, "mid@example.org"));
  identities[2].blocked = true;
  identities[1].suppressed = true;
  ck_assert(parley_text_is(decided().steps[0].address, "old@example.org"));
}
END_TEST

START_TEST(a_named_address_is_the_one_that_is_meant)
{
  struct facts_identity *named;

  plan_add(&mail, UNTIL_SENT, 0);
  identity_add("email", "verified@example.org")->identity.assurance = PARLEY_VERIFIED;
  named = identity_add("email", "named@example.org");
  named->named = true;
  ck_assert(parley_text_is(decided().steps[0].address, "named@example.org"));
  named->suppressed = true; /* then no other one either */
  ck_assert_int_eq((int)decided().steps[0].verdict, STEP_SUPPRESSED);
  ck_assert_str_eq(decided().reason, "address_suppressed");
}
END_TEST

START_TEST(a_foreign_address_is_used_with_a_warning_and_not_filed_under)
{
  struct facts_identity *foreign;
  struct decision got;

  plan_add(&mail, UNTIL_SENT, 0);
  identity_add("external", "shop-77")->named = true;
  foreign = identity_add("email", "other@example.org");
  foreign->named = foreign->foreign = true;
  got = decided();
  ck_assert_int_eq(got.first, 0);
  ck_assert_uint_eq(got.steps[0].identity, 0);
  ck_assert_uint_eq(got.identity, 101);
  ck_assert_uint_eq(got.n_warnings, 1);
  ck_assert_str_eq(got.warnings[0].code, "identity_conflict");
  ck_assert_ptr_null(strstr(got.warnings[0].detail.at, "other@"));
}
END_TEST

static const struct end_row {
  const char *name;
  const struct policy_topic *topic;
  bool address, suppressed, consent, granted;
  int first;
  const char *end, *reason, *rule;
} end_rows[] = {
    {"no address", &orders, false, false, false, false, -1, "failed", "no_route", NULL},
    {"suppressed", &orders, true, true, false, false, -1, "suppressed", "address_suppressed", NULL},
    {"suppressed stops critical too", &codes, true, true, false, false, -1, "suppressed", "address_suppressed", NULL},
    {"withdrawn", &orders, true, false, true, false, -1, "suppressed", "no_consent", "withdrawn"},
    {"critical passes what is withdrawn", &codes, true, false, true, false, 0, NULL, NULL, "class critical passes"},
    {"marketing without a grant", &news, true, false, false, false, -1, "suppressed", "no_consent",
     "class marketing needs a grant: none given"},
    {"marketing with a grant", &news, true, false, true, true, 0, NULL, NULL, "class marketing needs a grant: granted"},
    {"transactional", &orders, true, false, false, false, 0, NULL, NULL, "class transactional goes unless withdrawn"},
};

static void check_str(const char *name, const char *got, const char *want)
{
  ck_assert_msg((got == NULL) == (want == NULL), "%s: '%s', not '%s'", name, got ? got : "", want ? want : "");
  if (want != NULL)
    ck_assert_msg(strcmp(got, want) == 0, "%s: '%s', not '%s'", name, got, want);
}

START_TEST(what_stops_the_last_step_says_how_it_ends)
{
  const struct end_row *row = &end_rows[_i];
  struct decision got;

  plan_add(&mail, UNTIL_SENT, 0);
  submission.topic = row->topic;
  if (row->address)
    identity_add("email", "ana@example.org")->suppressed = row->suppressed;
  if (row->consent)
    consent_add(row->topic->name.at, "email", row->granted);
  got = decided();
  ck_assert_msg(got.first == row->first, "%s", row->name);
  check_str(row->name, got.end, row->end);
  check_str(row->name, got.reason, row->reason);
  check_str(row->name, got.consent_rule, row->rule);
}
END_TEST

START_TEST(a_page_that_gmail_clips_is_told)
{
  static char page[CONTENT_CLIPPED_BYTES + 1];

  memset(page, 'x', sizeof page);
  submission.content.html = (parley_text){page, sizeof page - 1};
  plan_add(&sms, UNTIL_SENT, 0);
  plan_add(&mail, UNTIL_SENT, 0);
  ck_assert_uint_eq(decided().n_warnings, 0);
  submission.content.html.len++;
  ck_assert_uint_eq(decided().n_warnings, 1);
  ck_assert_str_eq(decided().warnings[0].code, "html_clipped");
  ck_assert(parley_text_is(decided().warnings[0].detail,
                           "mail: the html has 104449 bytes; Gmail shows the first 104448 and hides the rest"));
}
END_TEST

START_TEST(only_the_last_step_has_the_word_on_the_end)
{
  plan_add(&mail, UNTIL_SENT, 0);
  plan_add(&sms, UNTIL_SENT, 0);
  identity_add("email", "ana@example.org")->suppressed = true;
  ck_assert_str_eq(decided().end, "failed");
  ck_assert_str_eq(decided().reason, "no_route");
  submission.steps[0].channel = &sms;
  submission.steps[1].channel = &mail;
  ck_assert_str_eq(decided().end, "suppressed");
  ck_assert_str_eq(decided().reason, "address_suppressed");
}
END_TEST

/* --- STOP ---------------------------------------------------------------------------------------------------------- */

static void opted_out(struct facts_identity *identity, const char *kind)
{
  identity->opted_out[identity->n_opted_out++] = parley_text_of(kind);
}

START_TEST(an_address_that_said_stop_gets_nothing_of_any_class_on_that_kind)
{
  const struct policy_topic *const topics[] = {&orders, &codes, &news};

  plan_add(&sms, UNTIL_SENT, 0);
  opted_out(identity_add("phone", "+34600111222"), "sms");
  consent_add("news", "sms", true);
  for (size_t i = 0; i < COUNT_OF(topics); i++) {
    submission.topic = topics[i];
    ck_assert_int_eq(decided().first, -1);
    ck_assert_str_eq(decided().end, "suppressed");
    ck_assert_str_eq(decided().reason, "opted_out");
  }
  sms.channel_kind = PARLEY_LIT("voice");
  submission.topic = &orders;
  ck_assert_int_eq(decided().first, 0);
}
END_TEST

START_TEST(the_plan_goes_on_to_another_kind_and_to_another_telephone)
{
  plan_add(&sms, UNTIL_SENT, 0);
  plan_add(&mail, UNTIL_SENT, 0);
  opted_out(identity_add("phone", "+34600111222"), "sms");
  identity_add("email", "ana@example.org");
  ck_assert_int_eq(decided().first, 1);
  ck_assert_int_eq((int)decided().steps[0].verdict, STEP_OPTED_OUT);
  identity_add("phone", "+34600333444");
  ck_assert_int_eq(decided().first, 0);
  ck_assert(parley_text_is(decided().steps[0].address, "+34600333444"));
  identities[0].named = true; /* this one and no other */
  ck_assert_int_eq((int)decided().steps[0].verdict, STEP_OPTED_OUT);
}
END_TEST

START_TEST(an_answer_to_a_keyword_goes_there_all_the_same_but_to_no_bounced_address)
{
  plan_add(&sms, UNTIL_SENT, 0);
  opted_out(identity_add("phone", "+34600111222"), "sms");
  submission.topic = &news;
  submission.answers_keyword = true;
  ck_assert_int_eq(decided().first, 0);
  ck_assert_str_eq(decided().consent_rule, "answers what was asked by keyword");
  identities[0].suppressed = true;
  ck_assert_str_eq(decided().reason, "address_suppressed");
}
END_TEST

START_TEST(explain_says_that_they_opted_out)
{
  struct buf json = BUF_INIT(0);
  struct decision got;

  plan_add(&sms, UNTIL_SENT, 0);
  opted_out(identity_add("phone", "+34600111222"), "sms");
  got = decided();
  buf_explain(&json, &got, NULL, NULL);
  ck_assert_ptr_nonnull(strstr(json.at, "{\"verdict\":\"suppressed\",\"reason\":\"opted_out\""));
  ck_assert_ptr_nonnull(strstr(json.at, "{\"rule\":\"suppression\",\"step\":0,\"channel\":\"sms-eu\",\"verdict\":\"opted_out\"}"));
  buf_done(&json);
}
END_TEST

/* --- As JSON ------------------------------------------------------------------------------------------------------ */

static void check_same(const struct decision *a, const struct decision *b)
{
  ck_assert_int_eq(a->first, b->first);
  ck_assert_uint_eq(a->identity, b->identity);
  ck_assert_uint_eq(a->n_steps, b->n_steps);
  ck_assert_uint_eq(a->n_warnings, b->n_warnings);
  check_str("end", b->end, a->end);
  check_str("reason", b->reason, a->reason);
  check_str("consent", b->consent_rule, a->consent_rule);
  for (size_t i = 0; i < a->n_steps; i++) {
    const struct decided_step *x = &a->steps[i], *y = &b->steps[i];

    ck_assert(text_eq(x->channel, y->channel) && text_eq(x->channel_kind, y->channel_kind));
    ck_assert(text_eq(x->address_kind, y->address_kind) && text_eq(x->address, y->address));
    ck_assert(x->verdict == y->verdict && x->until == y->until && x->within_ms == y->within_ms &&
              x->identity == y->identity);
  }
  for (size_t i = 0; i < a->n_warnings; i++) {
    ck_assert_str_eq(a->warnings[i].code, b->warnings[i].code);
    ck_assert(text_eq(a->warnings[i].detail, b->warnings[i].detail));
  }
}

static void check_round_trip(const struct decision *decision)
{
  struct buf json = BUF_INIT(0);
  struct decision back;

  decision_write(&json, decision);
  ck_assert_msg(decision_read(buf_as_text(&json), arena, &back), "%s", json.at);
  check_same(decision, &back);
  for (size_t cut = 0; cut < json.len; cut++) { /* no prefix of it is a decision */
    struct decision untouched;

    ck_assert(!decision_read((parley_bytes){json.at, cut}, arena, &untouched));
  }
  buf_done(&json);
}

START_TEST(a_decision_reads_back_as_it_was_written)
{
  struct decision got;

  plan_add(&mail, UNTIL_DELIVERED, 600000);
  plan_add(&sms, UNTIL_READ, 0);
  plan_add(&hook, UNTIL_SENT, 0);
  got = decided();
  check_round_trip(&got);
  identity_add("email", "a\"\\\n\x01 b\xc3\xa9@example.org")->id = INT64_MAX;
  identity_add("phone", "+34600111222")->named = true;
  identities[1].foreign = true;
  got = decided();
  check_round_trip(&got);
  submission.topic = &news;
  got = decided();
  ck_assert_str_eq(got.reason, "no_consent");
  check_round_trip(&got);
  opted_out(&identities[1], "sms");
  got = decided();
  ck_assert_int_eq((int)got.steps[1].verdict, STEP_OPTED_OUT);
  check_round_trip(&got);
  submission.n_steps = 0;
  got = decided();
  check_round_trip(&got);
}
END_TEST

START_TEST(what_is_no_decision_is_refused)
{
  static const char *const bad[] = {"",
                                    "{",
                                    "[]",
                                    "{}x",
                                    "{\"f\":9,\"s\":[]}",
                                    "{\"f\":0,\"s\":[]}",
                                    "{\"f\":-2,\"s\":[]}",
                                    "{\"f\":-1,\"z\":1}",
                                    "{\"f\":-1,\"s\":[{\"v\":9}]}",
                                    "{\"f\":-1,\"e\":\"other\"}",
                                    "{\"f\":-1,\"s\":[{\"c\":\"\\u00e9\"}]}",
                                    "{\"f\":-1,\"s\":[{\"u\":0}]}",
                                    "{\"f\":-1,\"s\":[{},{},{},{},{},{},{},{},{}]}",
                                    "{\"f\":-1,,\"s\":[]}"};
  struct decision got = {.first = 77};

  ck_assert(!decision_read(parley_text_of(bad[_i]), arena, &got));
  ck_assert_int_eq(got.first, 77);
}
END_TEST

START_TEST(the_plan_is_shown_with_addresses_masked)
{
  struct buf json = BUF_INIT(0);
  struct decision got;

  plan_add(&mail, UNTIL_SENT, 600000);
  plan_add(&sms, UNTIL_SENT, 0);
  plan_add(&hook, UNTIL_SENT, 0);
  identity_add("email", "ana@example.org");
  got = decided();
  buf_plan(&json, &got);
  ck_assert_str_eq(json.at, "[{\"channel\":\"mail\",\"to\":\"a***@example.org\",\"until\":\"sent\",\"within\":\"10m\"},"
                            "{\"channel\":\"sms-eu\",\"until\":\"sent\",\"verdict\":\"no_address\"},"
                            "{\"channel\":\"hook\",\"until\":\"sent\"}]");
  buf_done(&json);
}
END_TEST

START_TEST(explain_names_every_rule_that_was_asked_in_order)
{
  struct buf json = BUF_INIT(0);
  struct decision got;

  plan_add(&sms, UNTIL_SENT, 0);
  plan_add(&mail, UNTIL_SENT, 0);
  submission.topic = &news;
  identity_add("email", "ana@example.org");
  got = decided();
  buf_explain(&json, &got, NULL, NULL);
  ck_assert_str_eq(json.at, "{\"verdict\":\"suppressed\",\"reason\":\"no_consent\",\"first_step\":null,"
                            "\"consent\":\"class marketing needs a grant: none given\",\"rules\":["
                            "{\"rule\":\"address\",\"step\":0,\"channel\":\"sms-eu\",\"verdict\":\"no_address\"},"
                            "{\"rule\":\"address\",\"step\":1,\"channel\":\"mail\",\"verdict\":\"found\"},"
                            "{\"rule\":\"suppression\",\"step\":1,\"channel\":\"mail\",\"verdict\":\"pass\"},"
                            "{\"rule\":\"consent\",\"step\":1,\"channel\":\"mail\",\"verdict\":\"no_consent\"}],"
                            "\"plan\":[{\"channel\":\"sms-eu\",\"until\":\"sent\",\"verdict\":\"no_address\"},"
                            "{\"channel\":\"mail\",\"to\":\"a***@example.org\",\"until\":\"sent\",\"verdict\":\"no_"
                            "consent\"}],\"warnings\":[]}");
  buf_done(&json);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("route: decide");
  TCase *tcase = tcase_create("all");
  SRunner *runner;
  int failed;

  tcase_add_checked_fixture(tcase, setup, teardown);
  tcase_add_test(tcase, the_first_step_with_an_address_goes);
  tcase_add_test(tcase, of_a_customers_own_addresses_the_verified_then_the_last_used_is_taken);
  tcase_add_test(tcase, a_named_address_is_the_one_that_is_meant);
  tcase_add_test(tcase, a_foreign_address_is_used_with_a_warning_and_not_filed_under);
  tcase_add_test(tcase, a_page_that_gmail_clips_is_told);
  tcase_add_test(tcase, an_address_that_said_stop_gets_nothing_of_any_class_on_that_kind);
  tcase_add_test(tcase, the_plan_goes_on_to_another_kind_and_to_another_telephone);
  tcase_add_test(tcase, an_answer_to_a_keyword_goes_there_all_the_same_but_to_no_bounced_address);
  tcase_add_test(tcase, explain_says_that_they_opted_out);
  tcase_add_loop_test(tcase, what_stops_the_last_step_says_how_it_ends, 0, COUNT_OF(end_rows));
  tcase_add_test(tcase, only_the_last_step_has_the_word_on_the_end);
  tcase_add_test(tcase, a_decision_reads_back_as_it_was_written);
  tcase_add_loop_test(tcase, what_is_no_decision_is_refused, 0, 14);
  tcase_add_test(tcase, the_plan_is_shown_with_addresses_masked);
  tcase_add_test(tcase, explain_names_every_rule_that_was_asked_in_order);
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed > 0;
}
