#include "core/base/alloc.h"
#include "core/base/arena.h"
#include "core/base/text.h"
#include "core/route/reply.h"
#include <check.h>
#include <stdlib.h>

static struct policy *policy_of_three(void)
{
  struct policy *policy = policy_new();

  policy->n_channels = policy->n_topics = policy->n_plans = 1;
  policy->channels = arena_alloc(policy->arena, sizeof *policy->channels);
  policy->channels[0].name = arena_text(policy->arena, PARLEY_LIT("mail"));
  policy->topics = arena_alloc(policy->arena, sizeof *policy->topics);
  policy->topics[0].name = arena_text(policy->arena, PARLEY_LIT("orders"));
  policy->plans = arena_alloc(policy->arena, sizeof *policy->plans);
  policy->plans[0].name = arena_text(policy->arena, PARLEY_LIT("default"));
  return policy;
}

START_TEST(a_policy_lives_as_long_as_somebody_holds_it)
{
  struct policy *mine = policy_of_three(), *other = policy_ref(mine), *none = NULL;

  policy_unref(&mine);
  ck_assert_ptr_null(mine);
  ck_assert_ptr_eq(policy_find_channel(other, PARLEY_LIT("mail")), &other->channels[0]);
  ck_assert_ptr_eq(policy_find_topic(other, PARLEY_LIT("orders")), &other->topics[0]);
  ck_assert_ptr_eq(policy_find_plan(other, PARLEY_LIT("default")), &other->plans[0]);
  ck_assert_ptr_null(policy_find_channel(other, PARLEY_LIT("mai")));
  ck_assert_ptr_null(policy_find_topic(other, PARLEY_LIT("Orders")));
  ck_assert_ptr_null(policy_find_plan(other, PARLEY_LIT("")));
  policy_unref(&other);
  policy_unref(&none);
}
END_TEST

START_TEST(a_submission_gives_back_all_it_holds)
{
  struct arena *arena = arena_new();
  struct submission *submission = arena_alloc(arena, sizeof *submission);

  submission->arena = arena;
  submission->json = json_object();
  submission->policy = policy_of_three();
  submission_free(&submission);
  ck_assert_ptr_null(submission);
  submission_free(&submission);
}
END_TEST

START_TEST(the_stricter_of_topic_and_channel_rules_over_unknown)
{
  static const struct { enum on_unknown topic, channel; bool can_query; enum on_unknown want;
  } rows[] = {
      {UNKNOWN_DEFAULT, UNKNOWN_DEFAULT, false, UNKNOWN_RESEND},
      {UNKNOWN_DEFAULT, UNKNOWN_DEFAULT, true, UNKNOWN_QUERY},
      {UNKNOWN_RESEND, UNKNOWN_DEFAULT, true, UNKNOWN_RESEND},
      {UNKNOWN_RESEND, UNKNOWN_HOLD, true, UNKNOWN_HOLD},
      {UNKNOWN_HOLD, UNKNOWN_RESEND, false, UNKNOWN_HOLD},
      {UNKNOWN_QUERY, UNKNOWN_RESEND, true, UNKNOWN_QUERY},
      {UNKNOWN_DEFAULT, UNKNOWN_QUERY, false, UNKNOWN_RESEND},
  };
  struct policy_topic topic = {.on_unknown = rows[_i].topic};
  struct policy_channel channel = {.on_unknown = rows[_i].channel, .can_query = rows[_i].can_query};

  ck_assert_int_eq((int)policy_on_unknown(&topic, &channel), (int)rows[_i].want);
}
END_TEST

START_TEST(each_class_has_its_lane_and_its_time)
{
  static const struct { enum topic_class class; enum lane lane; int64_t minutes; } rows[] = {
      {CLASS_CRITICAL, LANE_CRITICAL, 5},
      {CLASS_CONVERSATION, LANE_CONVERSATION, 24 * 60},
      {CLASS_TRANSACTIONAL, LANE_TRANSACTIONAL, 24 * 60},
      {CLASS_MARKETING, LANE_MARKETING, 5 * 24 * 60},
  };

  ck_assert_int_eq((int)lane_of(rows[_i].class, false), (int)rows[_i].lane);
  ck_assert_int_eq((int)lane_of(rows[_i].class, true), (int)LANE_TEST);
  ck_assert_int_eq(topic_expires_ms(&(struct policy_topic){.class = rows[_i].class}), rows[_i].minutes * 60000);
  ck_assert_int_eq(topic_expires_ms(&(struct policy_topic){.class = rows[_i].class, .expires_in_ms = 7}), 7);
}
END_TEST

static const struct { const char *topic, *channel, *last; enum topic_class class; enum reply_verdict verdict; } replies[] = {
    {"", "", "mail", CLASS_CONVERSATION, REPLY_GOES},
    {"", "mail", "gone", CLASS_CONVERSATION, REPLY_GOES},
    {"orders", "", "mail", CLASS_TRANSACTIONAL, REPLY_GOES},
    {"", "", "mail", CLASS_TRANSACTIONAL, REPLY_NO_TOPIC},
    {"other", "", "mail", CLASS_CONVERSATION, REPLY_UNKNOWN_TOPIC},
    {"", "", "gone", CLASS_CONVERSATION, REPLY_NO_CHANNEL},
    {"", "gone", "mail", CLASS_CONVERSATION, REPLY_UNKNOWN_CHANNEL},
};

START_TEST(an_answer_goes_where_it_is_asked_to_else_where_the_customer_wrote_last)
{
  struct policy *policy = policy_of_three();
  struct submission *submission = submission_new(policy, 1000, 0);
  struct reply reply = {parley_text_of(replies[_i].topic), parley_text_of(replies[_i].channel), parley_text_of(replies[_i].last), 7, 8};

  policy->topics[0].class = replies[_i].class;
  policy->topics[0].expires_in_ms = 5000;
  ck_assert_int_eq((int)reply_address(&reply, submission), (int)replies[_i].verdict);
  ck_assert_uint_eq(submission->n_steps, replies[_i].verdict == REPLY_GOES);
  if (replies[_i].verdict == REPLY_GOES) {
    ck_assert_ptr_eq(submission->topic, &policy->topics[0]);
    ck_assert_ptr_eq(submission->steps[0].channel, &policy->channels[0]);
    ck_assert(submission->to.customer == 7 && submission->conversation == 8 && submission->expires_ms == 6000);
  }
  submission_free(&submission);
  policy_unref(&policy);
}
END_TEST

START_TEST(until_reads_back_its_name)
{
  enum until got = 0;

  for (enum until until = UNTIL_SENT; until <= UNTIL_REPLIED; until++) {
    ck_assert(until_parse(parley_text_of(until_name(until)), &got));
    ck_assert_int_eq((int)got, (int)until);
  }
  ck_assert(!until_parse(PARLEY_LIT("opened"), &got));
}
END_TEST

static const struct { enum until until; uint32_t receipts, flags; bool tellable; } tellings[] = {
    {UNTIL_SENT, 0, 0, true},
    {UNTIL_DELIVERED, 0, PARLEY_INBOUND, false},
    {UNTIL_DELIVERED, PARLEY_BIT(PARLEY_RECEIPT_DELIVERED), 0, true},
    {UNTIL_DELIVERED, PARLEY_BIT(PARLEY_RECEIPT_READ), 0, true}, /* who read it had it */
    {UNTIL_READ, PARLEY_BIT(PARLEY_RECEIPT_DELIVERED), 0, false},
    {UNTIL_READ, PARLEY_BIT(PARLEY_RECEIPT_READ), 0, true},
    {UNTIL_REPLIED, PARLEY_BIT(PARLEY_RECEIPT_READ), 0, false},
    {UNTIL_REPLIED, 0, PARLEY_INBOUND, true},
};

START_TEST(a_step_waits_only_for_what_its_channel_can_tell)
{
  ck_assert_int_eq(until_tellable(tellings[_i].until, tellings[_i].receipts, tellings[_i].flags), tellings[_i].tellable);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("route: policy and submission");
  TCase *tcase = tcase_create("all");
  SRunner *runner;
  int failed;

  tcase_add_test(tcase, a_policy_lives_as_long_as_somebody_holds_it);
  tcase_add_test(tcase, a_submission_gives_back_all_it_holds);
  tcase_add_loop_test(tcase, the_stricter_of_topic_and_channel_rules_over_unknown, 0, 7);
  tcase_add_loop_test(tcase, each_class_has_its_lane_and_its_time, 0, 4);
  tcase_add_loop_test(tcase, an_answer_goes_where_it_is_asked_to_else_where_the_customer_wrote_last, 0, COUNT_OF(replies));
  tcase_add_test(tcase, until_reads_back_its_name);
  tcase_add_loop_test(tcase, a_step_waits_only_for_what_its_channel_can_tell, 0, COUNT_OF(tellings));
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed > 0;
}
