/* Which conversation a message from outside belongs to, how an answer names it, and what bounces do to an address. */
#include "store_messages.h"

static struct fixture f;
static struct rules rules;

static void setup(void)
{
  fixture_init(&f);
  fixture_open(&f);
  rules_init(&rules, 100);
}

static void teardown(void)
{
  if (f.store != NULL)
    assert_adds_up(&f);
  rules_done(&rules);
  fixture_done(&f);
}

/* --- what is said to whom ---------------------------------------------------------------------------------------------------- */

static void mail_in(struct store_inbound *in, const char *from, const char *id)
{
  *in = (struct store_inbound){.channel = PARLEY_LIT("mail"),
                               .channel_kind = PARLEY_LIT("email"),
                               .event_id = parley_text_of(id),
                               .provider_id = parley_text_of(id),
                               .kind = PARLEY_KIND_CONTENT,
                               .at_ms = f.fake.now_ms,
                               .now_ms = f.fake.now_ms,
                               .body = PARLEY_LIT("{\"content\":{\"text\":\"hello\"}}")};
  in->from.n_identities = 1;
  in->from.identities[0] = (struct identity){PARLEY_LIT("email"), parley_text_of(from), parley_text_of(from), 0};
}

static void take(struct store_inbound *in)
{
  ck_assert_int_eq(fixture_run(&f, &in->op, STORE_INBOUND), PARLEY_OK);
  arena_free(&in->op.arena);
}

static void message_id_of(id64 message, char to[64])
{
  char id[ID_TEXT_MAX];

  id_format("msg", message, id);
  snprintf(to, 64, "%s@shop.example", id);
}

/* Sent, with its Message-ID; topic: the place in the rules. */
static id64 sent_of(const char *to, int topic, const char *campaign)
{
  struct submission *submission = submission_make(&f, &rules, "email", to, MAIL);
  struct accepted a;
  char id[64];

  submission->topic = &rules.policy->topics[topic];
  submission->campaign = parley_text_of(campaign);
  a = accept_one(&f, submission);
  message_id_of(a.message, id);
  settle_with(&f, &rules, a.message, 0, a.token, PARLEY_OUTCOME_ACCEPTED, id);
  return a.message;
}

static void wants_news(const char *who)
{
  struct accepted a = accept_to(&f, &rules, "email", who, MAIL);
  struct store_consent consent = {.customer = a.customer, .now_ms = f.fake.now_ms,
                                  .entry = {.topic = PARLEY_LIT("news"), .channel_kind = PARLEY_LIT("email"), .granted = true,
                                            .source = PARLEY_LIT("api")}};

  ck_assert_int_eq(fixture_run(&f, &consent.op, STORE_CONSENT), PARLEY_OK);
  arena_free(&consent.op.arena);
}

static void conversation_close(id64 conversation)
{
  struct store_conversation_put put = {.id = conversation, .now_ms = f.fake.now_ms, .state = {true, PARLEY_LIT("closed")}};

  ck_assert_int_eq(fixture_run(&f, &put.op, STORE_CONVERSATION_PUT), PARLEY_OK);
  arena_free(&put.op.arena);
}

static int64_t state_is(id64 conversation, const char *state)
{
  char sql[128];

  snprintf(sql, sizeof(sql), "SELECT count(*) FROM conversation WHERE id=%lld AND state='%s'", (long long)conversation, state);
  return fixture_sql(&f, sql);
}

/* --- which conversation ------------------------------------------------------------------------------------------------------ */

START_TEST(an_answer_opens_the_closed_conversation_of_what_it_answers)
{
  struct store_inbound first, again;
  parley_text references[] = {PARLEY_LIT("nobody@knows.example"), PARLEY_LIT("one@example.org")};

  mail_in(&first, "ana@example.org", "one@example.org");
  take(&first);
  conversation_close(first.conversation);
  mail_in(&again, "Ana@example.org", "two@example.org");
  again.references = references;
  again.n_references = 2;
  take(&again);
  ck_assert(again.conversation == first.conversation && !again.conversation_opened);
  ck_assert(again.answers == first.message);
  ck_assert_int_eq(state_is(first.conversation, "open"), 1);
}
END_TEST

START_TEST(of_references_the_last_one_that_is_ours_counts)
{
  struct store_inbound one, two, answer;
  parley_text references[] = {PARLEY_LIT("one@example.org"), PARLEY_LIT("two@example.org"), PARLEY_LIT("else@example.org")};

  mail_in(&one, "ana@example.org", "one@example.org");
  take(&one);
  conversation_close(one.conversation);
  mail_in(&two, "ana@example.org", "two@example.org");
  take(&two);
  ck_assert(two.conversation != one.conversation);
  conversation_close(two.conversation);
  mail_in(&answer, "ana@example.org", "three@example.org");
  answer.references = references;
  answer.n_references = 3;
  answer.in_reply_to = PARLEY_LIT("one@example.org");
  take(&answer);
  ck_assert(answer.conversation == two.conversation && answer.answers == two.message);
}
END_TEST

START_TEST(a_token_comes_before_references)
{
  struct store_inbound one, two, answer;
  parley_text references[] = {PARLEY_LIT("two@example.org")};

  mail_in(&one, "ana@example.org", "one@example.org");
  take(&one);
  conversation_close(one.conversation);
  mail_in(&two, "ana@example.org", "two@example.org");
  take(&two);
  conversation_close(two.conversation);
  mail_in(&answer, "ana@example.org", "three@example.org");
  answer.references = references;
  answer.n_references = 1;
  answer.token_message = one.message;
  take(&answer);
  ck_assert(answer.conversation == one.conversation && !answer.foreign);
}
END_TEST

START_TEST(while_another_one_is_open_an_answer_to_a_closed_one_joins_that)
{
  struct store_inbound one, two, answer;

  mail_in(&one, "ana@example.org", "one@example.org");
  take(&one);
  conversation_close(one.conversation);
  mail_in(&two, "ana@example.org", "two@example.org");
  take(&two);
  mail_in(&answer, "ana@example.org", "three@example.org");
  answer.in_reply_to = PARLEY_LIT("one@example.org");
  take(&answer);
  ck_assert(answer.conversation == two.conversation && answer.answers == one.message);
  ck_assert_int_eq(state_is(one.conversation, "closed"), 1);
}
END_TEST

START_TEST(a_token_from_a_strangers_address_is_not_appended_and_flagged)
{
  struct store_inbound one, thief;

  mail_in(&one, "ana@example.org", "one@example.org");
  take(&one);
  mail_in(&thief, "eve@example.net", "two@example.net");
  thief.token_message = one.message;
  take(&thief);
  ck_assert(thief.foreign && thief.customer != one.customer && thief.conversation != one.conversation);
  ck_assert(thief.conversation_opened && thief.answers == 0);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM message WHERE flags=64"), 1);
}
END_TEST

START_TEST(answers_of_several_to_one_newsletter_are_several_conversations_of_one_campaign)
{
  struct store_inbound ana, bob, eve;
  char to_ana[64], to_bob[64];

  wants_news("ana@example.org");
  wants_news("bob@example.org");
  message_id_of(sent_of("ana@example.org", 1, "spring"), to_ana);
  message_id_of(sent_of("bob@example.org", 1, "spring"), to_bob);
  mail_in(&ana, "ana@example.org", "a@example.org");
  ana.in_reply_to = parley_text_of(to_ana);
  take(&ana);
  mail_in(&bob, "bob@example.org", "b@example.org");
  bob.in_reply_to = parley_text_of(to_bob);
  take(&bob);
  mail_in(&eve, "eve@example.org", "e@example.org"); /* it was passed on to her */
  eve.in_reply_to = parley_text_of(to_ana);
  take(&eve);
  ck_assert(ana.conversation != bob.conversation && eve.conversation != ana.conversation && eve.conversation_opened);
  ck_assert(ana.answers != 0 && bob.answers != 0 && eve.answers == 0);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM message WHERE dir=1 AND campaign='spring'"), 3);
}
END_TEST

START_TEST(an_automatic_answer_is_filed_where_it_belongs_and_opens_nothing_again)
{
  struct store_inbound one, note;
  struct submission *submission = submission_make(&f, &rules, "email", "ana@example.org", MAIL);
  struct accepted a;
  struct taken next;
  int64_t next_ms;
  char id[64];

  mail_in(&one, "ana@example.org", "one@example.org");
  take(&one);
  submission->n_steps = 2;
  submission->steps[0].until = UNTIL_REPLIED;
  submission->steps[0].within_ms = 60000;
  submission->steps[1] = (struct policy_step){&rules.policy->channels[HOOK], UNTIL_SENT, 0};
  a = accept_one(&f, submission);
  message_id_of(a.message, id);
  settle_with(&f, &rules, a.message, 0, a.token, PARLEY_OUTCOME_ACCEPTED, id);
  conversation_close(one.conversation);
  mail_in(&note, "ana@example.org", "note@example.org");
  note.flags = PARLEY_AUTOMATIC;
  note.in_reply_to = parley_text_of(id);
  take(&note);
  ck_assert(note.conversation == one.conversation && note.answers == a.message);
  ck_assert_int_eq(state_is(one.conversation, "closed"), 1);
  env_fake_step(&f.fake, 120000);
  ck_assert_uint_eq(run_sweep(&f, &rules, &next, &next_ms), 1); /* nobody has answered: the next step begins */
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM delivery"), 2);
}
END_TEST

START_TEST(nobody_takes_the_name_of_a_message_of_ours)
{
  struct store_inbound thief, ana;
  char id[64];
  id64 sent = sent_of("ana@example.org", 0, "");
  struct store_receipt receipt;

  message_id_of(sent, id);
  mail_in(&thief, "eve@example.net", id);
  take(&thief);
  mail_in(&ana, "ana@example.org", "a@example.org");
  ana.in_reply_to = parley_text_of(id);
  take(&ana);
  ck_assert(ana.answers == sent && ana.conversation != thief.conversation);
  ck_assert_int_eq(receipt_of(&f, &rules, "mail", id, 0, PARLEY_RECEIPT_DELIVERED, &receipt), PARLEY_OK);
  ck_assert_int_eq(count_of(&f, MESSAGE_DELIVERED), 1);
}
END_TEST

START_TEST(nobody_takes_the_name_of_a_message_that_is_yet_to_come)
{
  struct store_inbound thief, ana;
  struct store_receipt receipt;
  id64 first = sent_of("ana@example.org", 0, ""), next, sent;
  char id[64];

  next = id_at(f.fake.now_ms + 1000) | (first & UINT64_C(0x3ff000)); /* of this node, then */
  for (id64 i = 0; i < 16; i++) {
    message_id_of(next + i, id);
    mail_in(&thief, "eve@example.net", id);
    take(&thief);
  }
  f.fake.now_ms += 1000;
  sent = sent_of("ana@example.org", 0, "");
  ck_assert(sent >= next && sent < next + 16);
  message_id_of(sent, id);
  mail_in(&ana, "ana@example.org", "a@example.org");
  ana.in_reply_to = parley_text_of(id);
  take(&ana);
  ck_assert(ana.answers == sent);
  ck_assert_int_eq(receipt_of(&f, &rules, "mail", id, 0, PARLEY_RECEIPT_DELIVERED, &receipt), PARLEY_OK);
  ck_assert_int_eq(count_of(&f, MESSAGE_DELIVERED), 1);
}
END_TEST

/* --- how an answer names it -------------------------------------------------------------------------------------------------- */

START_TEST(an_answer_names_the_conversation_so_far_and_other_news_do_not)
{
  struct store_inbound in;
  struct submission *answer;
  struct accept_item item;
  struct store_accept accept = {.decide = decide, .n_items = 1, .items = &item};
  char order[64];

  rules.policy->topics[0].class = CLASS_TRANSACTIONAL;
  message_id_of(sent_of("ana@example.org", 0, ""), order); /* before there was a conversation */
  mail_in(&in, "ana@example.org", "one@example.org");
  in.subject = PARLEY_LIT("Order 1042");
  in.in_reply_to = parley_text_of(order);
  take(&in);
  sent_of("ana@example.org", 0, "");
  rules.policy->topics[0].class = CLASS_CONVERSATION;
  answer = submission_make(&f, &rules, "email", "ana@example.org", MAIL);
  answer->conversation = in.conversation;
  item = (struct accept_item){.submission = answer};
  fixture_run(&f, &accept.op, STORE_ACCEPT);
  ck_assert_ptr_nonnull(item.claim);
  ck_assert_uint_eq(item.claim->n_thread, 2);
  ck_assert(parley_text_is(item.claim->thread[0], order) && parley_text_is(item.claim->thread[1], "one@example.org"));
  ck_assert(parley_text_is(item.claim->reply_to, "one@example.org"));
  ck_assert(parley_text_is(item.claim->subject, "Order 1042"));
  submission_free(&item.claim->submission);
  arena_free(&accept.op.arena);
  rules.policy->topics[0].class = CLASS_TRANSACTIONAL;
}
END_TEST

START_TEST(of_a_long_conversation_the_newest_are_named)
{
  struct store_inbound in;
  struct accept_item item;
  struct store_accept accept = {.decide = decide, .n_items = 1, .items = &item};
  char id[32];

  for (int i = 0; i < STORE_THREAD_MAX + 5; i++) {
    snprintf(id, sizeof(id), "n%d@example.org", i);
    mail_in(&in, "ana@example.org", id);
    take(&in);
  }
  rules.policy->topics[0].class = CLASS_CONVERSATION;
  item = (struct accept_item){.submission = submission_make(&f, &rules, "email", "ana@example.org", MAIL)};
  fixture_run(&f, &accept.op, STORE_ACCEPT);
  ck_assert_uint_eq(item.claim->n_thread, STORE_THREAD_MAX);
  ck_assert(parley_text_is(item.claim->thread[0], "n5@example.org"));
  ck_assert(parley_text_is(item.claim->thread[STORE_THREAD_MAX - 1], id) && parley_text_is(item.claim->reply_to, id));
  submission_free(&item.claim->submission);
  arena_free(&accept.op.arena);
}
END_TEST

/* --- bounces ----------------------------------------------------------------------------------------------------------------- */

static struct store_receipt bounce(id64 message, uint32_t outcome, const char *to)
{
  struct store_receipt op = {.channel = PARLEY_LIT("mail"), .message = message, .receipt = PARLEY_RECEIPT_FAILED, .outcome = outcome,
                             .at_ms = f.fake.now_ms, .code = PARLEY_LIT("5.1.1"), .detail = PARLEY_LIT("no such user"),
                             .provider_id = TEXT_EMPTY, .to = parley_text_of(to), .policy = rules.policy};

  ck_assert_int_eq(fixture_run(&f, &op.op, STORE_RECEIPT), PARLEY_OK);
  arena_free(&op.op.arena);
  return op;
}

START_TEST(a_late_hard_bounce_ends_what_was_sent_and_suppresses_at_once_with_its_proof)
{
  id64 sent = sent_of("ana@example.org", 0, "");
  struct store_suppressions ask = {.limit = 10};

  bounce(sent, PARLEY_OUTCOME_BAD_ADDRESS, "");
  ck_assert_int_eq(count_of(&f, MESSAGE_FAILED), 1);
  ck_assert_int_eq(accept_to(&f, &rules, "email", "ana@example.org", MAIL).state, MESSAGE_SUPPRESSED);
  ck_assert_int_eq(fixture_run(&f, &ask.op, STORE_SUPPRESSIONS), PARLEY_OK);
  ck_assert_uint_eq(ask.n, 1);
  ck_assert(ask.rows[0].message == sent && parley_text_is(ask.rows[0].code, "5.1.1"));
  ck_assert(parley_text_is(ask.rows[0].detail, "no such user") && parley_text_is(ask.rows[0].reason, "hard_bounce"));
  arena_free(&ask.op.arena);
}
END_TEST

START_TEST(five_soft_bounces_in_a_row_suppress)
{
  for (int i = 0; i < SOFT_BOUNCES_MAX; i++) {
    ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM suppression"), 0);
    bounce(sent_of("ana@example.org", 0, ""), PARLEY_OUTCOME_RETRY, "");
  }
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM suppression WHERE reason='soft_bounce' AND message<>0"), 1);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM bounce"), 0);
}
END_TEST

START_TEST(the_same_bounce_twice_counts_once)
{
  id64 sent = sent_of("ana@example.org", 0, "");

  ck_assert(!bounce(sent, PARLEY_OUTCOME_RETRY, "").repeated);
  ck_assert(bounce(sent, PARLEY_OUTCOME_RETRY, "").repeated);
  ck_assert_int_eq(fixture_sql(&f, "SELECT n FROM bounce"), 1);
}
END_TEST

START_TEST(a_success_between_begins_the_count_anew)
{
  for (int i = 0; i < SOFT_BOUNCES_MAX - 1; i++)
    bounce(sent_of("ana@example.org", 0, ""), PARLEY_OUTCOME_RETRY, "");
  sent_of("ana@example.org", 0, ""); /* it did not come back */
  bounce(sent_of("ana@example.org", 0, ""), PARLEY_OUTCOME_RETRY, "");
  ck_assert_int_eq(fixture_sql(&f, "SELECT n FROM bounce"), 1);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM suppression"), 0);
}
END_TEST

START_TEST(what_arrives_ends_the_count)
{
  struct store_receipt receipt;
  id64 sent;

  bounce(sent_of("ana@example.org", 0, ""), PARLEY_OUTCOME_RETRY, "");
  sent = sent_of("ana@example.org", 0, "");
  receipt_of(&f, &rules, "mail", "", sent, PARLEY_RECEIPT_DELIVERED, &receipt);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM bounce"), 0);
}
END_TEST

START_TEST(bounces_of_several_on_their_way_count_each)
{
  id64 sent[SOFT_BOUNCES_MAX];

  for (int i = 0; i < SOFT_BOUNCES_MAX; i++)
    sent[i] = sent_of("ana@example.org", 0, "");
  for (int i = 0; i < SOFT_BOUNCES_MAX; i++)
    bounce(sent[i], PARLEY_OUTCOME_RETRY, "");
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM suppression"), 1);
}
END_TEST

START_TEST(a_message_that_was_put_off_until_its_time_was_over_is_a_soft_bounce)
{
  struct accepted a = accept_to(&f, &rules, "email", "ana@example.org", MAIL);
  struct taken next;
  int64_t next_ms;

  settle(&f, &rules, &a, PARLEY_OUTCOME_RETRY);
  env_fake_step(&f.fake, 2 * 86400000);
  run_sweep(&f, &rules, &next, &next_ms);
  ck_assert_int_eq(count_of(&f, MESSAGE_EXPIRED), 1);
  ck_assert_int_eq(fixture_sql(&f, "SELECT n FROM bounce"), 1);
}
END_TEST

START_TEST(a_report_on_another_address_changes_nothing)
{
  id64 sent = sent_of("ana@example.org", 0, "");

  ck_assert(bounce(sent, PARLEY_OUTCOME_BAD_ADDRESS, "bob@example.org").repeated);
  ck_assert_int_eq(count_of(&f, MESSAGE_SENT), 1);
  ck_assert(!bounce(sent, PARLEY_OUTCOME_BAD_ADDRESS, "ANA@example.org").repeated);
  ck_assert_int_eq(count_of(&f, MESSAGE_FAILED), 1);
}
END_TEST

START_TEST(a_token_finds_its_message_from_another_channel_of_its_kind_and_a_bare_id_does_not)
{
  id64 sent = sent_of("ana@example.org", 0, "");
  struct store_receipt bare, proven;

  rules.policy->channels[2].channel_kind = PARLEY_LIT("email"); /* "chat" */
  ck_assert_int_eq(receipt_of(&f, &rules, "chat", "", sent, PARLEY_RECEIPT_DELIVERED, &bare), PARLEY_NOT_FOUND);
  for (int other = 0; other < 2; other++) {
    proven = (struct store_receipt){.channel = parley_text_of(other == 0 ? "sms" : "chat"), .message = sent, .proven = true,
                                    .receipt = PARLEY_RECEIPT_DELIVERED, .at_ms = f.fake.now_ms, .policy = rules.policy};
    ck_assert_int_eq(fixture_run(&f, &proven.op, STORE_RECEIPT), other == 0 ? PARLEY_NOT_FOUND : PARLEY_OK);
    arena_free(&proven.op.arena);
  }
  ck_assert_int_eq(count_of(&f, MESSAGE_DELIVERED), 1);
}
END_TEST

START_TEST(a_report_that_names_nothing_is_refused_and_not_parked)
{
  struct store_receipt receipt;

  ck_assert_int_eq(receipt_of(&f, &rules, "mail", "", 0, PARLEY_RECEIPT_FAILED, &receipt), PARLEY_REJECTED);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM park"), 0);
}
END_TEST

START_TEST(a_complaint_withdraws_the_topic_and_suppresses_and_a_lifted_one_leaves_a_trace)
{
  struct store_receipt receipt;
  struct store_suppress lift = {.action = SUPPRESS_REMOVE};
  struct store_suppressions ask = {.limit = 10, .lifted = true, .reason = PARLEY_LIT("complaint")};
  id64 sent = sent_of("ana@example.org", 0, "");

  receipt_of(&f, &rules, "mail", "", sent, PARLEY_RECEIPT_COMPLAINED, &receipt);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM suppression WHERE reason='complaint' AND removed=0"), 1);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM consent WHERE granted=0 AND source='complaint'"), 1);
  lift.entry.identity = (struct identity){PARLEY_LIT("email"), PARLEY_LIT("ana@example.org"), TEXT_EMPTY, 0};
  lift.entry.at_ms = f.fake.now_ms;
  ck_assert_int_eq(fixture_run(&f, &lift.op, STORE_SUPPRESS), PARLEY_OK);
  arena_free(&lift.op.arena);
  ck_assert_int_eq(fixture_run(&f, &ask.op, STORE_SUPPRESSIONS), PARLEY_OK);
  ck_assert(ask.n == 1 && ask.rows[0].message == sent && ask.rows[0].lifted_ms == f.fake.now_ms);
  arena_free(&ask.op.arena);
  ask = (struct store_suppressions){.limit = 10, .lifted = true, .reason = PARLEY_LIT("hard_bounce")};
  ck_assert_int_eq(fixture_run(&f, &ask.op, STORE_SUPPRESSIONS), PARLEY_OK);
  ck_assert_uint_eq(ask.n, 0);
  arena_free(&ask.op.arena);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM event WHERE type='customer.unsuppressed'"), 1);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("store_thread");
  TCase *tcase = tcase_create("all");
  SRunner *runner;
  int failed;

  tcase_add_checked_fixture(tcase, setup, teardown);
  tcase_set_timeout(tcase, 30);
  tcase_add_test(tcase, an_answer_opens_the_closed_conversation_of_what_it_answers);
  tcase_add_test(tcase, of_references_the_last_one_that_is_ours_counts);
  tcase_add_test(tcase, a_token_comes_before_references);
  tcase_add_test(tcase, while_another_one_is_open_an_answer_to_a_closed_one_joins_that);
  tcase_add_test(tcase, a_token_from_a_strangers_address_is_not_appended_and_flagged);
  tcase_add_test(tcase, answers_of_several_to_one_newsletter_are_several_conversations_of_one_campaign);
  tcase_add_test(tcase, an_automatic_answer_is_filed_where_it_belongs_and_opens_nothing_again);
  tcase_add_test(tcase, nobody_takes_the_name_of_a_message_of_ours);
  tcase_add_test(tcase, nobody_takes_the_name_of_a_message_that_is_yet_to_come);
  tcase_add_test(tcase, an_answer_names_the_conversation_so_far_and_other_news_do_not);
  tcase_add_test(tcase, of_a_long_conversation_the_newest_are_named);
  tcase_add_test(tcase, a_late_hard_bounce_ends_what_was_sent_and_suppresses_at_once_with_its_proof);
  tcase_add_test(tcase, five_soft_bounces_in_a_row_suppress);
  tcase_add_test(tcase, the_same_bounce_twice_counts_once);
  tcase_add_test(tcase, a_success_between_begins_the_count_anew);
  tcase_add_test(tcase, what_arrives_ends_the_count);
  tcase_add_test(tcase, bounces_of_several_on_their_way_count_each);
  tcase_add_test(tcase, a_message_that_was_put_off_until_its_time_was_over_is_a_soft_bounce);
  tcase_add_test(tcase, a_report_on_another_address_changes_nothing);
  tcase_add_test(tcase, a_token_finds_its_message_from_another_channel_of_its_kind_and_a_bare_id_does_not);
  tcase_add_test(tcase, a_report_that_names_nothing_is_refused_and_not_parked);
  tcase_add_test(tcase, a_complaint_withdraws_the_topic_and_suppresses_and_a_lifted_one_leaves_a_trace);
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
