/* STOP, START and HELP take effect with the message that says them: for the telephone that said so, on that kind of channel. */
#include "store_messages.h"

static struct fixture f;
static struct rules rules;
static struct keywords keywords;

static void setup(void)
{
  fixture_init(&f);
  fixture_open(&f);
  rules_init(&rules, 0); /* without room all waits in the store */
  keywords = (struct keywords){.name = PARLEY_LIT("Shop"), .locale = PARLEY_LIT("en"), .answers = true, .help_every_ms = 600000};
  rules.policy->channels[SMS].keywords = &keywords;
}

static void teardown(void)
{
  assert_adds_up(&f);
  rules_done(&rules);
  fixture_done(&f);
}

static int said;

static struct store_inbound say_on(int channel, const char *from, const char *text, uint32_t flags)
{
  struct store_inbound in = {.channel = rules.policy->channels[channel].name,
                             .channel_kind = rules.policy->channels[channel].channel_kind,
                             .kind = PARLEY_KIND_CONTENT, .flags = flags, .at_ms = f.fake.now_ms, .now_ms = f.fake.now_ms,
                             .policy = rules.policy, .decide = decide, .text = parley_text_of(text),
                             .body = PARLEY_LIT("{\"content\":{\"text\":\"as it was said\"}}")};
  char id[16];

  snprintf(id, sizeof id, "in-%d", ++said);
  in.event_id = in.provider_id = parley_text_of(id);
  in.from.n_identities = 1;
  in.from.identities[0] = (struct identity){PARLEY_LIT("phone"), parley_text_of(from), parley_text_of(from), PARLEY_OBSERVED};
  ck_assert_int_eq(fixture_run(&f, &in.op, STORE_INBOUND), PARLEY_OK);
  arena_free(&in.op.arena);
  env_fake_step(&f.fake, 1);
  return in;
}

static struct store_inbound say(const char *from, const char *text)
{
  return say_on(SMS, from, text, 0);
}

static enum message_state send_to(const char *phone, int topic)
{
  struct submission *submission = submission_make(&f, &rules, "phone", phone, SMS);

  submission->topic = &rules.policy->topics[topic];
  return accept_one(&f, submission).state;
}

static size_t claimed(enum lane lane)
{
  struct store_claim claim = {.channel = &rules.policy->channels[SMS], .policy = rules.policy, .lane = lane, .limit = 10,
                              .now_ms = f.fake.now_ms};

  ck_assert_int_eq(fixture_run(&f, &claim.op, STORE_CLAIM), PARLEY_OK);
  arena_free(&claim.op.arena);
  return claim.n_claims;
}

static int64_t answers(void)
{
  return fixture_sql(&f, "SELECT count(*) FROM message WHERE dir=0 AND topic='keywords'");
}

#define ANA "+34600111222"

START_TEST(stop_ends_every_class_and_start_gives_it_back)
{
  struct store_inbound in;

  ck_assert_int_eq(send_to(ANA, 0), MESSAGE_QUEUED);
  in = say(ANA, "Stop!");
  ck_assert(in.heard.keyword == KEYWORD_STOP && in.heard.changed && in.heard.answered);
  ck_assert_int_eq(send_to(ANA, 0), MESSAGE_SUPPRESSED); /* transactional */
  ck_assert_int_eq(send_to(ANA, 3), MESSAGE_SUPPRESSED); /* critical */
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM message WHERE reason='opted_out'"), 2);
  in = say(ANA, "START");
  ck_assert(in.heard.keyword == KEYWORD_START && in.heard.changed && in.heard.answered);
  ck_assert_int_eq(send_to(ANA, 0), MESSAGE_QUEUED);
  ck_assert_int_eq(send_to(ANA, 1), MESSAGE_SUPPRESSED); /* a newsletter that nobody granted is not granted by it */
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM message WHERE reason='no_consent'"), 1);
}
END_TEST

START_TEST(the_ledger_has_the_words_as_proof)
{
  say(ANA, " st\xc3\xb3p. ");
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM consent WHERE topic='*' AND channel_kind='sms' AND granted=0 AND"
                                   " source='sms_stop' AND proof LIKE '{\"message\":\"msg_%\"channel\":\"sms\",\"address\":"
                                   "\"phone:+34600111222\",\"text\":\" st\xc3\xb3p. \"}'"), 1);
  say(ANA, "stop"); /* nothing new */
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM consent"), 1);
  say(ANA, "unstop");
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM consent WHERE granted=1 AND source='sms_start'"), 1);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM event WHERE type IN ('customer.suppressed', 'customer.unsuppressed') AND data"
                                   " LIKE '%\"channel_kind\":\"sms\"%'"), 2);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM suppression WHERE reason='opted_out' AND removed>0"), 1);
}
END_TEST

START_TEST(what_waits_is_not_sent_any_more_but_for_the_answer)
{
  ck_assert_int_eq(send_to(ANA, 0), MESSAGE_QUEUED);
  ck_assert_int_eq(send_to("+34600333444", 0), MESSAGE_QUEUED);
  say(ANA, "STOP");
  ck_assert_uint_eq(claimed(LANE_TRANSACTIONAL), 1);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM delivery WHERE state=7 AND reason='opted_out'"), 1);
  ck_assert_uint_eq(claimed(LANE_CRITICAL), 1);
  ck_assert_int_eq(answers(), 1);
}
END_TEST

START_TEST(an_answer_that_cannot_leave_within_five_minutes_does_not)
{
  say(ANA, "STOP");
  env_fake_step(&f.fake, 5 * 60000);
  ck_assert_uint_eq(claimed(LANE_CRITICAL), 0);
  ck_assert_int_eq(count_of(&f, MESSAGE_EXPIRED), 1);
}
END_TEST

/* What a text with a gap would say as a whole nobody knows; a piece that belongs to none is all that there will be. */
START_TEST(a_fragment_of_a_text_is_no_keyword_and_what_may_mean_stop_is_flagged)
{
  static const struct { const char *text, *bad; enum keyword means; bool review; } fragments[] = {
      {"stop", NULL, KEYWORD_NONE, true},
      {"END", NULL, KEYWORD_NONE, true},
      {"info", NULL, KEYWORD_NONE, false},
      {"start", NULL, KEYWORD_NONE, false},
      {"please stop texting me", NULL, KEYWORD_NONE, true},
      {"STOP", "invalid", KEYWORD_STOP, false},
  };

  for (size_t i = 0; i < sizeof fragments / sizeof *fragments; i++) {
    struct store_inbound in = {.channel = PARLEY_LIT("sms"), .channel_kind = PARLEY_LIT("sms"), .kind = PARLEY_KIND_CONTENT,
                               .at_ms = f.fake.now_ms, .now_ms = f.fake.now_ms, .policy = rules.policy, .decide = decide,
                               .text = parley_text_of(fragments[i].text), .body = PARLEY_LIT("{\"content\":{\"text\":\"x\"}}"),
                               .piece = {.given = true, .bad = fragments[i].bad, .part = 1, .total = 2, .key = PARLEY_LIT("k"),
                                         .due_ms = f.fake.now_ms}};
    struct store_join_sweep op = {.policy = rules.policy, .decide = decide, .due_ms = f.fake.now_ms, .now_ms = f.fake.now_ms};
    struct store_heard heard;

    in.from.n_identities = 1;
    in.from.identities[0] = (struct identity){PARLEY_LIT("phone"), PARLEY_LIT(ANA), PARLEY_LIT(ANA), PARLEY_OBSERVED};
    ck_assert_int_eq(fixture_run(&f, &in.op, STORE_INBOUND), PARLEY_OK);
    heard = in.heard;
    if (fragments[i].bad == NULL) { /* its time is over at once, and nothing but it has come */
      ck_assert_int_eq(fixture_run(&f, &op.op, STORE_JOIN_SWEEP), PARLEY_OK);
      ck_assert_uint_eq(op.n, 1);
      heard = op.heard[0];
      arena_free(&op.op.arena);
    }
    arena_free(&in.op.arena);
    ck_assert_msg(heard.keyword == fragments[i].means && heard.review == fragments[i].review, "'%s'", fragments[i].text);
    env_fake_step(&f.fake, 2 * JOIN_REMEMBER_MS);
  }
}
END_TEST

START_TEST(repeated_stops_are_confirmed_once)
{
  for (int i = 0; i < 5; i++)
    say(ANA, i % 2 == 0 ? "STOP" : "cancel");
  ck_assert_int_eq(answers(), 1);
  say(ANA, "START");
  say(ANA, "START");
  ck_assert_int_eq(answers(), 2);
  for (int i = 0; i < 10; i++) /* a robot at the other end */
    say(ANA, i % 2 == 0 ? "STOP" : "START");
  ck_assert_int_eq(answers(), 2);
  env_fake_step(&f.fake, KEYWORD_ANSWER_EVERY_MS);
  say(ANA, "STOP");
  ck_assert_int_eq(answers(), 3);
}
END_TEST

START_TEST(start_of_somebody_who_said_no_stop_is_a_message_as_any)
{
  struct store_inbound in = say(ANA, "START");

  ck_assert(in.heard.keyword == KEYWORD_START && !in.heard.changed && !in.heard.answered);
  ck_assert_int_eq(answers(), 0);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM consent"), 0);
}
END_TEST

/* Whoever writes under a name has no number that an answer could go to: nothing is made that can only fail. */
START_TEST(who_has_no_address_here_gets_no_answer)
{
  struct store_inbound in = {.channel = PARLEY_LIT("sms"), .channel_kind = PARLEY_LIT("sms"), .kind = PARLEY_KIND_CONTENT,
                             .at_ms = f.fake.now_ms, .now_ms = f.fake.now_ms, .policy = rules.policy, .decide = decide,
                             .body = PARLEY_LIT("{\"content\":{\"text\":\"x\"}}")};
  static const struct { const char *text; enum keyword means; } words[] = {{"STOP", KEYWORD_STOP}, {"HELP", KEYWORD_HELP}};

  in.from.n_identities = 1;
  in.from.identities[0] = (struct identity){PARLEY_LIT("sms_name"), PARLEY_LIT("Parcels"), PARLEY_LIT("Parcels"), PARLEY_OBSERVED};
  for (size_t i = 0; i < 2; i++) {
    in.text = parley_text_of(words[i].text);
    ck_assert_int_eq(fixture_run(&f, &in.op, STORE_INBOUND), PARLEY_OK);
    arena_free(&in.op.arena);
    ck_assert(in.heard.keyword == words[i].means && !in.heard.answered);
  }
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM message WHERE dir=0"), 0);
}
END_TEST

START_TEST(help_is_answered_now_and_then)
{
  ck_assert(say(ANA, "HELP").heard.answered);
  ck_assert(!say(ANA, "info").heard.answered);
  ck_assert(say("+34600333444", "help").heard.answered);
  env_fake_step(&f.fake, keywords.help_every_ms);
  ck_assert(say(ANA, "Help?").heard.answered);
  say(ANA, "STOP");
  env_fake_step(&f.fake, keywords.help_every_ms);
  ck_assert(say(ANA, "HELP").heard.answered); /* whoever asks is told, also then */
}
END_TEST

START_TEST(a_robot_and_a_provider_that_answers_itself_get_no_answer)
{
  struct store_inbound in = say_on(SMS, ANA, "STOP", PARLEY_AUTOMATIC);

  ck_assert(in.heard.changed && !in.heard.answered);
  keywords.answers = false;
  in = say("+34600333444", "STOP");
  ck_assert(in.heard.changed && !in.heard.answered);
  in = say_on(SMS, "+34600555666", "STOP", PARLEY_ECHO); /* we said it, to them */
  ck_assert(in.heard.keyword == KEYWORD_NONE && !in.heard.changed);
  ck_assert_int_eq(answers(), 0);
}
END_TEST

START_TEST(it_is_the_telephone_that_said_so_and_no_other_of_the_customer)
{
  struct store_customer_put put = {
      .now_ms = f.fake.now_ms, .external = PARLEY_LIT("shop-77"), .attributes_patch = TEXT_EMPTY, .n_link = 2};
  struct submission *submission;

  put.link[0] = (struct identity){PARLEY_LIT("phone"), PARLEY_LIT(ANA), PARLEY_LIT(ANA), 0};
  put.link[1] = (struct identity){PARLEY_LIT("phone"), PARLEY_LIT("+34600333444"), PARLEY_LIT("+34600333444"), 0};
  ck_assert_int_eq(fixture_run(&f, &put.op, STORE_CUSTOMER_PUT), PARLEY_OK);
  arena_free(&put.op.arena);
  say(ANA, "STOP");
  ck_assert_int_eq(send_to(ANA, 0), MESSAGE_SUPPRESSED);
  ck_assert_int_eq(send_to("+34600333444", 0), MESSAGE_QUEUED);
  submission = submission_make(&f, &rules, NULL, NULL, SMS); /* to the customer: then the other one is taken */
  submission->to.external = PARLEY_LIT("shop-77");
  ck_assert_int_eq(accept_one(&f, submission).state, MESSAGE_QUEUED);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM delivery WHERE address='+34600333444'"), 2);
}
END_TEST

START_TEST(a_number_written_otherwise_is_the_same_telephone)
{
  say("+5491155551234", "STOP");
  ck_assert_int_eq(send_to("+541155551234", 0), MESSAGE_SUPPRESSED);
  say("+541155551234", "START");
  ck_assert_int_eq(send_to("+5491155551234", 0), MESSAGE_QUEUED);
}
END_TEST

START_TEST(another_kind_of_channel_to_the_same_number_goes_on)
{
  struct submission *submission = submission_make(&f, &rules, "phone", ANA, CHAT);

  rules.policy->channels[CHAT].address_kind = PARLEY_LIT("phone");
  say(ANA, "STOP");
  ck_assert_int_eq(accept_one(&f, submission).state, MESSAGE_QUEUED);
}
END_TEST

START_TEST(a_channel_that_does_not_listen_takes_it_as_words)
{
  struct store_inbound in = say_on(CHAT, ANA, "STOP", 0);

  ck_assert(in.heard.keyword == KEYWORD_NONE && !in.heard.changed && in.conversation_opened);
  in = say(ANA, "stop by tomorrow?");
  ck_assert(in.heard.keyword == KEYWORD_NONE && !in.heard.review);
  ck_assert_int_eq(send_to(ANA, 0), MESSAGE_QUEUED);
}
END_TEST

START_TEST(stop_opens_no_conversation_and_help_does)
{
  ck_assert(say(ANA, "STOP").conversation == 0);
  ck_assert(say(ANA, "HELP").conversation_opened);
}
END_TEST

START_TEST(another_wording_is_flagged_and_changes_nothing)
{
  struct store_inbound in = say(ANA, "please stop texting me");

  ck_assert(in.heard.review && in.heard.keyword == KEYWORD_NONE && in.conversation_opened);
  ck_assert_int_eq(send_to(ANA, 0), MESSAGE_QUEUED);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM event WHERE type='consent.review' AND data LIKE"
                                   " '{\"channel\":\"sms\",\"channel_kind\":\"sms\",\"may_mean\":\"opt_out\"}'"), 1);
  ck_assert_int_eq(fixture_sql(&f, "SELECT flags FROM message WHERE dir=1"), 256);
}
END_TEST

static parley_status lift(const char *phone, const char *kind)
{
  struct store_suppress op = {.action = SUPPRESS_REMOVE};

  op.entry.identity = (struct identity){PARLEY_LIT("phone"), parley_text_of(phone), parley_text_of(phone), 0};
  op.entry.channel_kind = parley_text_of(kind);
  fixture_run(&f, &op.op, STORE_SUPPRESS);
  arena_free(&op.op.arena);
  return op.op.status;
}

START_TEST(who_lifts_a_bounce_does_not_lift_a_stop)
{
  struct store_suppress bounced = {.action = SUPPRESS_ADD};

  say(ANA, "STOP");
  ck_assert_int_eq(lift(ANA, ""), PARLEY_NOT_FOUND);
  bounced.entry.identity = (struct identity){PARLEY_LIT("phone"), PARLEY_LIT(ANA), TEXT_EMPTY, 0};
  bounced.entry.reason = PARLEY_LIT("manual");
  bounced.entry.channel_kind = TEXT_EMPTY;
  ck_assert_int_eq(fixture_run(&f, &bounced.op, STORE_SUPPRESS), PARLEY_OK);
  arena_free(&bounced.op.arena);
  ck_assert_int_eq(lift(ANA, ""), PARLEY_OK);
  ck_assert_int_eq(send_to(ANA, 0), MESSAGE_SUPPRESSED);
  ck_assert_int_eq(lift(ANA, "sms"), PARLEY_OK); /* said on purpose */
  ck_assert_int_eq(send_to(ANA, 0), MESSAGE_QUEUED);
}
END_TEST

START_TEST(the_same_stop_delivered_twice_counts_once)
{
  said = 0;
  say(ANA, "STOP");
  say(ANA, "START");
  said = 0;
  ck_assert(say(ANA, "STOP").duplicate);
  ck_assert_int_eq(send_to(ANA, 0), MESSAGE_QUEUED);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("store: keywords");
  TCase *tcase = tcase_create("all");
  SRunner *runner;
  int failed;

  tcase_add_checked_fixture(tcase, setup, teardown);
  tcase_add_test(tcase, stop_ends_every_class_and_start_gives_it_back);
  tcase_add_test(tcase, the_ledger_has_the_words_as_proof);
  tcase_add_test(tcase, what_waits_is_not_sent_any_more_but_for_the_answer);
  tcase_add_test(tcase, an_answer_that_cannot_leave_within_five_minutes_does_not);
  tcase_add_test(tcase, a_fragment_of_a_text_is_no_keyword_and_what_may_mean_stop_is_flagged);
  tcase_add_test(tcase, repeated_stops_are_confirmed_once);
  tcase_add_test(tcase, start_of_somebody_who_said_no_stop_is_a_message_as_any);
  tcase_add_test(tcase, who_has_no_address_here_gets_no_answer);
  tcase_add_test(tcase, help_is_answered_now_and_then);
  tcase_add_test(tcase, a_robot_and_a_provider_that_answers_itself_get_no_answer);
  tcase_add_test(tcase, it_is_the_telephone_that_said_so_and_no_other_of_the_customer);
  tcase_add_test(tcase, a_number_written_otherwise_is_the_same_telephone);
  tcase_add_test(tcase, another_kind_of_channel_to_the_same_number_goes_on);
  tcase_add_test(tcase, a_channel_that_does_not_listen_takes_it_as_words);
  tcase_add_test(tcase, stop_opens_no_conversation_and_help_does);
  tcase_add_test(tcase, another_wording_is_flagged_and_changes_nothing);
  tcase_add_test(tcase, who_lifts_a_bounce_does_not_lift_a_stop);
  tcase_add_test(tcase, the_same_stop_delivered_twice_counts_once);
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed > 0;
}
