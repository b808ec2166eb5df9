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

/* --- inbound --------------------------------------------------------------------------------------------------------------- */

static void inbound_init(struct store_inbound *in, const char *address, const char *event_id, const char *text)
{
  *in = (struct store_inbound){.channel = PARLEY_LIT("chat"),
                               .channel_kind = PARLEY_LIT("chat"),
                               .event_id = parley_text_of(event_id),
                               .provider_id = parley_text_of(event_id),
                               .kind = PARLEY_KIND_CONTENT,
                               .at_ms = f.fake.now_ms - 1000,
                               .now_ms = f.fake.now_ms,
                               .body = parley_text_of(text),
                               .raw = PARLEY_LIT("{\"raw\":1}")};
  in->from.n_identities = 1;
  in->from.identities[0] = (struct identity){PARLEY_LIT("telegram"), parley_text_of(address), parley_text_of(address), 0};
  sha256(parley_text_of(text), in->body_sha256);
}

static parley_status inbound_run(struct store_inbound *in)
{
  parley_status st = fixture_run(&f, &in->op, STORE_INBOUND);

  arena_free(&in->op.arena);
  return st;
}

/* What the second has read of its customer with its address is of before the first one. */
START_TEST(two_addresses_of_one_customer_heard_in_one_round_are_one_conversation)
{
  struct store_inbound in[2];

  for (int i = 0; i < 2; i++) {
    inbound_init(&in[i], i == 0 ? "1001" : "1002", i == 0 ? "e1" : "e2", "{\"content\":{\"text\":\"hello\"}}");
    ck_assert_int_eq(inbound_run(&in[i]), PARLEY_OK);
  }
  fixture_sql(&f, "UPDATE identity SET customer=(SELECT customer FROM identity WHERE value='1001')");
  fixture_sql(&f, "UPDATE customer SET conversation=0");
  fixture_sql(&f, "DELETE FROM conversation");
  for (int i = 0; i < 2; i++) {
    inbound_init(&in[i], i == 0 ? "1001" : "1002", i == 0 ? "e3" : "e4", "{\"content\":{\"text\":\"again\"}}");
    in[i].op.kind = STORE_INBOUND;
    in[i].op.done = fixture_op_done;
    store_submit(f.store, &in[i].op);
  }
  uv_run(&f.loop, UV_RUN_DEFAULT);
  for (int i = 0; i < 2; i++) {
    ck_assert_int_eq(in[i].op.status, PARLEY_OK);
    arena_free(&in[i].op.arena);
  }
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM conversation"), 1);
  ck_assert(in[0].conversation == in[1].conversation && in[0].customer == in[1].customer);
}
END_TEST

START_TEST(the_first_inbound_message_makes_a_customer_and_opens_a_conversation)
{
  struct store_inbound in, again;

  inbound_init(&in, "1001", "e1", "{\"content\":{\"text\":\"hello\"}}");
  ck_assert_int_eq(inbound_run(&in), PARLEY_OK);
  ck_assert(in.customer_created && in.conversation_opened && !in.duplicate);
  inbound_init(&again, "1001", "e2", "{\"content\":{\"text\":\"more\"}}");
  ck_assert_int_eq(inbound_run(&again), PARLEY_OK);
  ck_assert(!again.customer_created && !again.conversation_opened);
  ck_assert(again.customer == in.customer && again.conversation == in.conversation);
  ck_assert_int_eq(fixture_sql(&f, "SELECT inbound FROM counter"), 2);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM event WHERE type='message.received'"), 2);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM event WHERE type='conversation.opened'"), 1);
  ck_assert_int_eq(fixture_sql(&f, "SELECT assurance FROM identity"), PARLEY_OBSERVED);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM raw"), 2);
}
END_TEST

START_TEST(the_same_event_twice_is_one_message_and_another_body_is_counted)
{
  struct store_inbound in, same, other;

  inbound_init(&in, "1001", "e1", "one");
  inbound_init(&same, "1001", "e1", "one");
  inbound_init(&other, "1001", "e1", "two");
  ck_assert_int_eq(inbound_run(&in), PARLEY_OK);
  ck_assert_int_eq(inbound_run(&same), PARLEY_OK);
  ck_assert(same.duplicate && !same.other_body && same.message == in.message && same.conversation == in.conversation);
  ck_assert_int_eq(inbound_run(&other), PARLEY_OK);
  ck_assert(other.duplicate && other.other_body && other.message == in.message);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM message"), 1);
  ck_assert_int_eq(fixture_sql(&f, "SELECT other_body FROM counter"), 1);
}
END_TEST

START_TEST(the_same_id_on_another_channel_is_another_message)
{
  struct store_inbound in, other;

  inbound_init(&in, "1001", "e1", "one");
  inbound_init(&other, "1001", "e1", "one");
  other.channel = PARLEY_LIT("hook");
  ck_assert_int_eq(inbound_run(&in), PARLEY_OK);
  ck_assert_int_eq(inbound_run(&other), PARLEY_OK);
  ck_assert(!other.duplicate && other.message != in.message);
}
END_TEST

START_TEST(an_automatic_answer_opens_no_conversation)
{
  struct store_inbound in;

  inbound_init(&in, "1001", "e1", "out of office");
  in.flags = PARLEY_AUTOMATIC;
  ck_assert_int_eq(inbound_run(&in), PARLEY_OK);
  ck_assert(!in.conversation_opened && in.conversation == 0);
}
END_TEST

/* The provider says that `was` is `is` now, as core/inbound puts it: the old one first. */
static parley_status moves(const char *was, const char *is, const char *event_id, struct store_inbound *in)
{
  inbound_init(in, was, event_id, "{\"content\":{},\"kind\":\"moved\"}");
  in->kind = PARLEY_KIND_MOVED;
  in->from.identities[in->from.n_identities++] =
      (struct identity){PARLEY_LIT("telegram"), parley_text_of(is), parley_text_of(is), 0};
  return inbound_run(in);
}

START_TEST(an_address_that_moved_takes_its_owner_and_the_open_conversation_along)
{
  struct store_inbound in, moved, later, old;

  inbound_init(&in, "1001", "e1", "hello");
  inbound_run(&in);
  ck_assert_int_eq(moves("1001", "2002", "e2", &moved), PARLEY_OK);
  ck_assert(moved.customer == in.customer && moved.conversation == in.conversation && !moved.conversation_opened);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM identity WHERE customer<>0"), 1);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM conversation c JOIN identity i ON i.id=c.identity WHERE i.value='2002'"), 1);
  inbound_init(&later, "2002", "e3", "it is me");
  inbound_run(&later);
  ck_assert(later.customer == in.customer && later.conversation == in.conversation);
  inbound_init(&old, "1001", "e4", "whoever has the number now");
  inbound_run(&old);
  ck_assert(old.customer != in.customer);
}
END_TEST

START_TEST(an_address_that_moved_to_somebody_elses_moves_nothing_and_is_told)
{
  struct store_inbound first, second, moved;

  inbound_init(&first, "1001", "e1", "hello");
  inbound_run(&first);
  inbound_init(&second, "2002", "e2", "hello");
  inbound_run(&second);
  ck_assert_int_eq(moves("1001", "2002", "e3", &moved), PARLEY_OK);
  ck_assert(moved.customer == first.customer);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM identity WHERE customer<>0"), 2);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM event WHERE type='customer.identity_conflict'"), 1);
}
END_TEST

START_TEST(an_address_that_moved_to_itself_or_from_nobody_keeps_the_new_one)
{
  struct store_inbound moved;

  ck_assert_int_eq(moves("1001", "2002", "e1", &moved), PARLEY_OK);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM identity WHERE customer<>0 AND value='2002'"), 1);
  ck_assert_int_eq(moves("2002", "2002", "e2", &moved), PARLEY_OK);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM identity WHERE customer<>0"), 1);
}
END_TEST

START_TEST(a_reply_joins_the_open_conversation_and_a_closed_one_is_followed_by_a_new_one)
{
  struct store_conversation_put put = {.now_ms = f.fake.now_ms};
  struct store_inbound in, later;
  struct submission *submission;
  char sql[96];

  inbound_init(&in, "1001", "e1", "hello");
  inbound_run(&in);
  submission = submission_make(&f, &rules, "telegram", "1001", CHAT);
  accept_one(&f, submission);
  snprintf(sql, sizeof(sql), "SELECT count(*) FROM message WHERE dir=0 AND conversation=%lld", (long long)in.conversation);
  ck_assert_int_eq(fixture_sql(&f, sql), 1);
  put.id = in.conversation;
  put.state.set = true;
  put.state.value = PARLEY_LIT("closed");
  ck_assert_int_eq(fixture_run(&f, &put.op, STORE_CONVERSATION_PUT), PARLEY_OK);
  ck_assert(parley_text_is(put.row->state, "closed"));
  arena_free(&put.op.arena);
  inbound_init(&later, "1001", "e2", "again");
  inbound_run(&later);
  ck_assert(later.conversation_opened && later.conversation != in.conversation);
  put.state.value = PARLEY_LIT("open");
  ck_assert_int_eq(fixture_run(&f, &put.op, STORE_CONVERSATION_PUT), PARLEY_REJECTED);
  arena_free(&put.op.arena);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM conversation WHERE state<>'closed'"), 1);
}
END_TEST

START_TEST(a_snoozed_conversation_wakes_when_the_customer_writes)
{
  struct store_conversation_put put = {.now_ms = f.fake.now_ms};
  struct store_inbound in;

  inbound_init(&in, "1001", "e1", "hello");
  inbound_run(&in);
  put.id = in.conversation;
  put.state.set = true;
  put.state.value = PARLEY_LIT("snoozed");
  put.assignee.set = true;
  put.assignee.value = PARLEY_LIT("eve");
  ck_assert_int_eq(fixture_run(&f, &put.op, STORE_CONVERSATION_PUT), PARLEY_OK);
  arena_free(&put.op.arena);
  inbound_init(&in, "1001", "e2", "hello?");
  inbound_run(&in);
  ck_assert_int_eq(fixture_sql(&f, "SELECT state='open' AND assignee='eve' FROM conversation"), 1);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM event WHERE type='conversation.updated'"), 2);
}
END_TEST

START_TEST(a_reply_to_ours_stops_the_plan_that_waited_for_it)
{
  struct submission *submission = submission_make(&f, &rules, "telegram", "1001", CHAT);
  struct store_inbound in;
  struct accepted a;
  struct taken next;
  int64_t next_ms;

  submission->n_steps = 2;
  submission->steps[0].until = UNTIL_REPLIED;
  submission->steps[0].within_ms = 60000;
  submission->steps[1] = (struct policy_step){&rules.policy->channels[HOOK], UNTIL_SENT, 0};
  a = accept_one(&f, submission);
  settle_with(&f, &rules, a.message, 0, a.token, PARLEY_OUTCOME_ACCEPTED, "tg-9");
  inbound_init(&in, "1001", "e1", "yes please");
  in.in_reply_to = PARLEY_LIT("tg-9");
  inbound_run(&in);
  env_fake_step(&f.fake, 120000);
  ck_assert_uint_eq(run_sweep(&f, &rules, &next, &next_ms), 0);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM delivery"), 1);
}
END_TEST

START_TEST(a_time_far_ahead_is_taken_for_ours)
{
  struct store_inbound in;

  inbound_init(&in, "1001", "e1", "hello");
  in.at_ms = f.fake.now_ms + 86400000;
  inbound_run(&in);
  ck_assert_int_eq(fixture_sql(&f, "SELECT at FROM message"), f.fake.now_ms);
}
END_TEST

/* --- touchpoints and notes ---------------------------------------------------------------------------------------------------- */

START_TEST(a_touchpoint_stands_once_in_the_log)
{
  struct store_touchpoint touch = {.type = PARLEY_LIT("checkout"), .key = PARLEY_LIT("o-1"), .data = PARLEY_LIT("{\"total\":5}"),
                                   .stage = PARLEY_LIT("during"), .at_ms = f.fake.now_ms, .now_ms = f.fake.now_ms};
  uint64_t first;

  touch.who.external = PARLEY_LIT("shop-77");
  ck_assert_int_eq(fixture_run(&f, &touch.op, STORE_TOUCHPOINT), PARLEY_OK);
  arena_free(&touch.op.arena);
  ck_assert_int_eq(touch.result, ACCEPTED);
  first = touch.seq;
  ck_assert_int_eq(fixture_run(&f, &touch.op, STORE_TOUCHPOINT), PARLEY_OK);
  arena_free(&touch.op.arena);
  ck_assert(touch.duplicate && touch.seq == first);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM event WHERE type='touchpoint.checkout'"), 1);
  ck_assert_int_eq(fixture_sql(&f, f.postgres ? "SELECT data::json->'data'->>'total' FROM event WHERE type LIKE 'touchpoint%'"
                                              : "SELECT json_extract(data, '$.data.total') FROM event WHERE type LIKE"
                                                " 'touchpoint%'"), 5);
}
END_TEST

START_TEST(a_note_needs_its_conversation)
{
  struct store_note note = {.text = PARLEY_LIT("call back"), .by = PARLEY_LIT("eve"), .now_ms = f.fake.now_ms};
  struct store_inbound in;

  note.conversation = 77;
  ck_assert_int_eq(fixture_run(&f, &note.op, STORE_NOTE), PARLEY_NOT_FOUND);
  arena_free(&note.op.arena);
  inbound_init(&in, "1001", "e1", "hello");
  inbound_run(&in);
  note.conversation = in.conversation;
  ck_assert_int_eq(fixture_run(&f, &note.op, STORE_NOTE), PARLEY_OK);
  arena_free(&note.op.arena);
  ck_assert(note.seq != 0);
}
END_TEST

/* --- customers ------------------------------------------------------------------------------------------------------------------ */

static parley_status put_run(struct store_customer_put *put)
{
  put->now_ms = f.fake.now_ms;
  return fixture_run(&f, &put->op, STORE_CUSTOMER_PUT);
}

START_TEST(an_upsert_makes_a_customer_and_then_changes_only_what_is_said)
{
  struct store_customer_put put = {.external = PARLEY_LIT("shop-77")};

  put.name.set = true;
  put.name.value = PARLEY_LIT("Ana");
  put.attributes_patch = PARLEY_LIT("{\"size\":\"m\",\"old\":1,\"deep\":{\"a\":1,\"b\":2}}");
  put.n_link = 1;
  put.link[0] = (struct identity){PARLEY_LIT("email"), PARLEY_LIT("ana@example.org"), PARLEY_LIT("Ana@Example.org"), 0};
  ck_assert_int_eq(put_run(&put), PARLEY_OK);
  ck_assert(put.created && put.row->n_identities == 2);
  arena_free(&put.op.arena);
  put.name.set = false;
  put.n_link = 0;
  put.attributes_patch = PARLEY_LIT("{\"old\":null,\"deep\":{\"b\":null,\"c\":3}}");
  ck_assert_int_eq(put_run(&put), PARLEY_OK);
  ck_assert(!put.created);
  ck_assert(parley_text_is(put.row->name, "Ana"));
  ck_assert_msg(parley_text_is(put.row->attributes, "{\"size\":\"m\",\"deep\":{\"a\":1,\"c\":3}}"), "%.*s",
                TEXT_ARG(put.row->attributes));
  arena_free(&put.op.arena);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM customer"), 1);
}
END_TEST

START_TEST(an_identity_of_somebody_else_refuses_the_whole_upsert)
{
  struct store_customer_put put = {.external = PARLEY_LIT("shop-77")};
  struct accepted a = accept_to(&f, &rules, "email", "ana@example.org", MAIL);

  put.n_link = 2;
  put.link[0] = (struct identity){PARLEY_LIT("phone"), PARLEY_LIT("+34600111222"), TEXT_EMPTY, 0};
  put.link[1] = (struct identity){PARLEY_LIT("email"), PARLEY_LIT("ana@example.org"), TEXT_EMPTY, 0};
  ck_assert_int_eq(put_run(&put), PARLEY_REJECTED);
  ck_assert(put.conflict_owner == a.customer);
  ck_assert(parley_text_is(put.conflict_identity, "email:ana@example.org"));
  arena_free(&put.op.arena);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM customer"), 1);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM identity"), 1);
}
END_TEST

START_TEST(an_unlinked_identity_is_free_for_the_next_one)
{
  struct store_customer_put put = {0}, other = {.external = PARLEY_LIT("shop-78")};
  struct accepted a = accept_to(&f, &rules, "email", "ana@example.org", MAIL);
  id64 next;

  put.id = a.customer;
  put.n_unlink = 1;
  put.unlink[0] = (struct identity){PARLEY_LIT("email"), PARLEY_LIT("ana@example.org"), TEXT_EMPTY, 0};
  ck_assert_int_eq(put_run(&put), PARLEY_OK);
  ck_assert_uint_eq(put.row->n_identities, 0);
  arena_free(&put.op.arena);
  other.n_link = 1;
  other.link[0] = put.unlink[0];
  ck_assert_int_eq(put_run(&other), PARLEY_OK);
  ck_assert_uint_eq(other.row->n_identities, 2);
  next = other.row->id;
  arena_free(&other.op.arena);
  ck_assert(accept_to(&f, &rules, "email", "ana@example.org", MAIL).customer == next);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM identity_log"), 4);
}
END_TEST

START_TEST(a_second_external_makes_a_second_customer)
{
  struct submission *submission = submission_make(&f, &rules, "email", "ana@example.org", MAIL);
  struct accepted first, second;

  submission->to.external = PARLEY_LIT("shop-77");
  first = accept_one(&f, submission);
  submission = submission_make(&f, &rules, "email", "ana@example.org", MAIL);
  submission->to.external = PARLEY_LIT("shop-78");
  second = accept_one(&f, submission);
  ck_assert(second.result == ACCEPTED && second.customer != first.customer);
  ck_assert_int_eq(second.state, MESSAGE_SENDING);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM event WHERE type='customer.identity_conflict'"), 1);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM identity WHERE kind='email'"), 1);
}
END_TEST

START_TEST(an_argentine_mobile_is_found_with_and_without_its_nine)
{
  struct accepted a = accept_to(&f, &rules, "phone", "+5491123456789", SMS);

  ck_assert(accept_to(&f, &rules, "phone", "+541123456789", SMS).customer == a.customer);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM customer"), 1);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("store_customer");
  TCase *tcase = tcase_create("all");
  SRunner *runner;
  int failed;

  tcase_add_checked_fixture(tcase, setup, teardown);
  tcase_set_timeout(tcase, 30);
  tcase_add_test(tcase, two_addresses_of_one_customer_heard_in_one_round_are_one_conversation);
  tcase_add_test(tcase, the_first_inbound_message_makes_a_customer_and_opens_a_conversation);
  tcase_add_test(tcase, the_same_event_twice_is_one_message_and_another_body_is_counted);
  tcase_add_test(tcase, the_same_id_on_another_channel_is_another_message);
  tcase_add_test(tcase, an_automatic_answer_opens_no_conversation);
  tcase_add_test(tcase, an_address_that_moved_takes_its_owner_and_the_open_conversation_along);
  tcase_add_test(tcase, an_address_that_moved_to_somebody_elses_moves_nothing_and_is_told);
  tcase_add_test(tcase, an_address_that_moved_to_itself_or_from_nobody_keeps_the_new_one);
  tcase_add_test(tcase, a_reply_joins_the_open_conversation_and_a_closed_one_is_followed_by_a_new_one);
  tcase_add_test(tcase, a_snoozed_conversation_wakes_when_the_customer_writes);
  tcase_add_test(tcase, a_reply_to_ours_stops_the_plan_that_waited_for_it);
  tcase_add_test(tcase, a_time_far_ahead_is_taken_for_ours);
  tcase_add_test(tcase, a_touchpoint_stands_once_in_the_log);
  tcase_add_test(tcase, a_note_needs_its_conversation);
  tcase_add_test(tcase, an_upsert_makes_a_customer_and_then_changes_only_what_is_said);
  tcase_add_test(tcase, an_identity_of_somebody_else_refuses_the_whole_upsert);
  tcase_add_test(tcase, an_unlinked_identity_is_free_for_the_next_one);
  tcase_add_test(tcase, a_second_external_makes_a_second_customer);
  tcase_add_test(tcase, an_argentine_mobile_is_found_with_and_without_its_nine);
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
