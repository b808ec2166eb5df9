/* Texts that come in pieces: joined once, whatever the order, whatever is missing, whatever dies between. */
#include "core/base/digest.h"
#include "store_messages.h"

static struct fixture f;
static struct rules rules;

#define WAIT_MS 60000

static void setup(void)
{
  fixture_init(&f);
  fixture_open(&f);
  rules_init(&rules, 100);
}

static void teardown(void)
{
  fixture_close(&f);
  rules_done(&rules);
  fixture_done(&f);
}

struct say { const char *from, *key; uint32_t part, total; const char *text, *id; };

static struct store_inbound said(const struct say *say)
{
  struct store_inbound in = {.channel = PARLEY_LIT("sms"), .channel_kind = PARLEY_LIT("sms"), .kind = PARLEY_KIND_CONTENT,
                             .at_ms = f.fake.now_ms, .now_ms = f.fake.now_ms, .policy = rules.policy, .decide = decide,
                             .event_id = parley_text_of(say->id), .provider_id = parley_text_of(say->id),
                             .text = parley_text_of(say->text)};
  static char bodies[512][256];
  static int next;
  char *body = bodies[next++ % 512];

  snprintf(body, 256, "{\"content\":{\"text\":\"%s\"}}", say->text);
  in.body = parley_text_of(body);
  in.raw = parley_text_of(say->text);
  sha256(in.raw, in.body_sha256);
  in.from.n_identities = 1;
  in.from.identities[0] = (struct identity){PARLEY_LIT("phone"), parley_text_of(say->from), parley_text_of(say->from), PARLEY_OBSERVED};
  if (say->key != NULL)
    in.piece = (struct store_piece){.given = true, .part = say->part, .total = say->total, .key = parley_text_of(say->key),
                                    .due_ms = f.fake.now_ms + WAIT_MS};
  return in;
}

static struct store_inbound take(const char *from, const char *key, uint32_t part, uint32_t total, const char *text, const char *id)
{
  struct store_inbound in = said(&(struct say){from, key, part, total, text, id});

  ck_assert_int_eq(fixture_run(&f, &in.op, STORE_INBOUND), PARLEY_OK);
  arena_free(&in.op.arena);
  env_fake_step(&f.fake, 1);
  return in;
}

static struct store_join_sweep sweep(void)
{
  struct store_join_sweep op = {.policy = rules.policy, .decide = decide, .due_ms = f.fake.now_ms, .now_ms = f.fake.now_ms};

  ck_assert_int_eq(fixture_run(&f, &op.op, STORE_JOIN_SWEEP), PARLEY_OK);
  arena_free(&op.op.arena);
  return op;
}

static int64_t messages(void)
{
  return fixture_sql(&f, "SELECT count(*) FROM message");
}

static void assert_body(id64 message, const char *body)
{
  char sql[768];

  snprintf(sql, sizeof sql, f.postgres ? "SELECT (convert_from(body,'UTF8')='%s')::int FROM message WHERE id=%lld"
                                       : "SELECT CAST(body AS TEXT)='%s' FROM message WHERE id=%lld", body, (long long)message);
  if (fixture_sql(&f, sql) == 1)
    return;
  fprintf(stderr, "expected: %s\n", body);
  ck_abort_msg("another body");
}

/* --- whole ------------------------------------------------------------------------------------------------------------------- */

static const struct { int order[3]; } orders[] = {{{1, 2, 3}}, {{1, 3, 2}}, {{2, 1, 3}}, {{2, 3, 1}}, {{3, 1, 2}}, {{3, 2, 1}}};

START_TEST(pieces_join_in_any_order_to_one_message_and_one_event)
{
  static const char *const texts[] = {"", "one ", "two ", "three"}, *const ids[] = {"", "i1", "i2", "i3"};
  struct store_inbound in;

  for (int i = 0; i < 3; i++) {
    int part = orders[_i].order[i];

    in = take("+34600111222", "k7", (uint32_t)part, 3, texts[part], ids[part]);
    ck_assert_int_eq(in.waits, i < 2);
    ck_assert_int_eq(in.message != 0, i == 2);
  }
  ck_assert(!in.partial && in.customer != 0);
  ck_assert_int_eq(messages(), 1);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM event WHERE type='message.received'"), 1);
  assert_body(in.message, "{\"content\":{\"text\":\"one two three\"},\"segments\":{\"total\":3}}");
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM message WHERE provider_id='i1' AND flags=0"), 1);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM provider_ref"), 3);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM piece WHERE text<>''"), 0);
}
END_TEST

START_TEST(texts_of_two_people_with_one_key_are_two)
{
  struct store_inbound a, b;

  take("+34600111222", "k7", 1, 2, "a1 ", "1");
  take("+34600333444", "k7", 2, 2, "b2", "2");
  take("+34600333444", "k7", 1, 3, "c1", "5"); /* and of another total */
  b = take("+34600333444", "k7", 1, 2, "b1 ", "3");
  a = take("+34600111222", "k7", 2, 2, "a2", "4");
  assert_body(a.message, "{\"content\":{\"text\":\"a1 a2\"},\"segments\":{\"total\":2}}");
  assert_body(b.message, "{\"content\":{\"text\":\"b1 b2\"},\"segments\":{\"total\":2}}");
  ck_assert(a.customer != b.customer);
  ck_assert_int_eq(messages(), 2);
}
END_TEST

START_TEST(the_first_of_two_pieces_of_one_number_wins)
{
  struct store_inbound in;

  take("+34600111222", "k", 1, 2, "first ", "1");
  in = take("+34600111222", "k", 1, 2, "first ", "1"); /* the same event */
  ck_assert(in.duplicate && in.waits && !in.other_body && in.message == 0);
  in = take("+34600111222", "k", 1, 2, "first ", ""); /* the same again, without a name */
  ck_assert(in.duplicate && in.waits && !in.other_body);
  in = take("+34600111222", "k", 1, 2, "other ", "9"); /* no words are lost */
  ck_assert(!in.duplicate && in.partial && !in.waits);
  assert_body(in.message, "{\"content\":{\"text\":\"other \"},\"segments\":{\"part\":1,\"total\":2,\"why\":\"twice\"}}");
  in = take("+34600111222", "k", 2, 2, "second", "2");
  ck_assert(!in.duplicate && !in.waits);
  assert_body(in.message, "{\"content\":{\"text\":\"first second\"},\"segments\":{\"total\":2}}");
}
END_TEST

START_TEST(a_piece_that_comes_again_afterwards_names_the_message)
{
  struct store_inbound made, in;

  take("+34600111222", "k", 1, 2, "one ", "1");
  made = take("+34600111222", "k", 2, 2, "two", "2");
  in = take("+34600111222", "k", 1, 2, "one ", "1");
  ck_assert(in.duplicate && in.message == made.message && in.customer == made.customer);
  in = take("+34600111222", "k", 2, 2, "two", "2");
  ck_assert(in.duplicate && in.message == made.message);
  in = take("+34600111222", "k", 1, 2, "one ", ""); /* without a name of its own: by its words */
  ck_assert(in.duplicate && in.message == made.message && !in.waits);
  ck_assert_int_eq(messages(), 1);
  env_fake_step(&f.fake, JOIN_REMEMBER_MS);
  take("+34600999888", NULL, 0, 0, "something else", "x"); /* a round, in which what is past its time goes */
  env_fake_step(&f.fake, 2000);
  take("+34600999888", NULL, 0, 0, "something else", "y");
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM joining"), 0);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM piece"), 0);
  in = take("+34600111222", "k", 1, 2, "one ", "1");
  ck_assert(in.duplicate && in.message == made.message);
}
END_TEST

START_TEST(a_handset_counts_round_and_the_same_key_is_another_text)
{
  struct store_inbound in;

  take("+34600111222", "k", 1, 2, "one ", "1");
  take("+34600111222", "k", 2, 2, "two", "2");
  in = take("+34600111222", "k", 1, 2, "three ", "3");
  ck_assert(!in.duplicate && in.waits);
  in = take("+34600111222", "k", 2, 2, "four", "4");
  assert_body(in.message, "{\"content\":{\"text\":\"three four\"},\"segments\":{\"total\":2}}");
  ck_assert_int_eq(messages(), 2);
}
END_TEST

START_TEST(a_text_of_255_pieces_is_joined)
{
  struct store_inbound in = {.partial = true};
  char text[8], id[8];

  for (uint32_t part = JOIN_PARTS_MAX; part > 0; part--) {
    snprintf(text, sizeof text, "%u,", part);
    snprintf(id, sizeof id, "i%u", part);
    in = take("+34600111222", "k", part, JOIN_PARTS_MAX, text, id);
  }
  ck_assert(!in.partial && in.message != 0);
  ck_assert_int_eq(messages(), 1);
}
END_TEST

/* --- not whole --------------------------------------------------------------------------------------------------------------- */

static const struct {
  uint32_t parts[3];
  const char *body;
} gaps[] = {
    {{1, 3, 0},
     "{\"content\":{\"text\":\"<1>[\xe2\x80\xa6]<3>[\xe2\x80\xa6]\"},\"segments\":{\"total\":4,\"missing\":[2,4],"
     "\"why\":\"timed_out\"}}"},
    {{2, 0, 0},
     "{\"content\":{\"text\":\"[\xe2\x80\xa6]<2>[\xe2\x80\xa6]\"},\"segments\":{\"total\":4,\"missing\":[1,3,4],"
     "\"why\":\"timed_out\"}}"},
    {{4, 2, 1},
     "{\"content\":{\"text\":\"<1><2>[\xe2\x80\xa6]<4>\"},\"segments\":{\"total\":4,\"missing\":[3],"
     "\"why\":\"timed_out\"}}"},
};

START_TEST(when_its_time_is_over_what_is_there_is_delivered_with_marks_for_the_rest)
{
  struct store_join_sweep op;
  char text[16], id[16];

  for (int i = 0; i < 3 && gaps[_i].parts[i] != 0; i++) {
    snprintf(text, sizeof text, "<%u>", gaps[_i].parts[i]);
    snprintf(id, sizeof id, "i%u", gaps[_i].parts[i]);
    take("+34600111222", "k", gaps[_i].parts[i], 4, text, id);
  }
  op = sweep();
  ck_assert_uint_eq(op.n, 0);
  ck_assert_int_eq(op.next_due_ms, START_MS + WAIT_MS);
  env_fake_step(&f.fake, WAIT_MS);
  op = sweep();
  ck_assert_uint_eq(op.n, 1);
  ck_assert_int_eq(op.next_due_ms, 0);
  ck_assert_uint_eq(sweep().n, 0); /* once */
  ck_assert_int_eq(messages(), 1);
  assert_body((id64)fixture_sql(&f, "SELECT id FROM message"), gaps[_i].body);
  ck_assert_int_eq(fixture_sql(&f, "SELECT flags FROM message"), 128);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM event WHERE type='message.received' AND data LIKE '%\"partial\":true%'"), 1);
}
END_TEST

START_TEST(a_piece_that_is_late_is_a_message_of_its_own)
{
  struct store_inbound in;

  take("+34600111222", "k", 1, 2, "one", "1");
  env_fake_step(&f.fake, WAIT_MS);
  ck_assert_uint_eq(sweep().n, 1);
  in = take("+34600111222", "k", 2, 2, "two", "2");
  ck_assert(!in.waits && in.partial && in.message != 0);
  assert_body(in.message, "{\"content\":{\"text\":\"two\"},\"segments\":{\"part\":2,\"total\":2,\"why\":\"late\"}}");
  in = take("+34600111222", "k", 2, 2, "two", "2");
  ck_assert(in.duplicate);
  ck_assert_int_eq(messages(), 2);
}
END_TEST

START_TEST(one_that_cannot_be_joined_is_a_message_of_its_own)
{
  struct store_inbound in = said(&(struct say){"+34600111222", "k", 3, 2, "odd", "1"});

  in.piece.bad = "invalid";
  ck_assert_int_eq(fixture_run(&f, &in.op, STORE_INBOUND), PARLEY_OK);
  arena_free(&in.op.arena);
  ck_assert(in.partial && !in.waits);
  assert_body(in.message, "{\"content\":{\"text\":\"odd\"},\"segments\":{\"part\":3,\"total\":2,\"why\":\"invalid\"}}");
}
END_TEST

/* --- bounds and accidents ---------------------------------------------------------------------------------------------------- */

/* Rows are put by hand: a thousand customers take a while. */
START_TEST(of_too_many_the_oldest_is_delivered_as_it_is)
{
  struct store_join_sweep op;
  struct store_inbound in;

  take("+34600111222", "oldest", 1, 2, "one", "1");
  fixture_close(&f);
  fixture_exec(&f, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<999) INSERT INTO joining(id, h, what, channel,"
                   " channel_kind, sender, total, due, opened, done, message, why) SELECT 9000000000000000000+i, i,"
                   " CAST('x' AS bytea), 'sms', 'sms', '{}', 2, 9000000000000000, 1, 0, 0, '' FROM n");
  fixture_open(&f);
  in = take("+34600111222", "newest", 1, 2, "two", "2");
  ck_assert(in.waits && in.crowded);
  op = sweep();
  ck_assert_uint_eq(op.n, 1);
  assert_body((id64)fixture_sql(&f, "SELECT id FROM message"),
              "{\"content\":{\"text\":\"one[\xe2\x80\xa6]\"},\"segments\":{\"total\":2,\"missing\":[2],\"why\":\"too_many\"}}");
  in = take("+34600111222", "k", 1, 2, "other channels have room", "3");
  ck_assert(in.crowded);
}
END_TEST

/* Transactions at once may let in more than there is room for: those that follow take more away than they bring. */
START_TEST(more_than_too_many_become_fewer)
{
  fixture_close(&f);
  fixture_exec(&f, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<1100) INSERT INTO joining(id, h, what,"
                   " channel, channel_kind, sender, total, due, opened, done, message, why) SELECT 1000+i, i,"
                   " CAST('x' AS bytea), 'sms', 'sms', '{}', 2, 9000000000000000, 1, 0, 0, '' FROM n");
  fixture_open(&f);
  ck_assert(take("+34600111222", "k", 1, 2, "one", "1").crowded);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM joining WHERE due=0 AND id<=1000+102"), 2); /* of the oldest */
  for (int i = 0; i < 120; i++) {
    char from[16];

    snprintf(from, sizeof from, "+34600111%03d", i);
    take(from, "k", 1, 2, "one", "");
  }
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM joining WHERE done=0 AND due>0"), JOIN_CHANNEL_OPEN_MAX);
}
END_TEST

/* One that cannot be delivered is put off, and does not keep the others waiting for the next look. */
START_TEST(what_is_due_at_once_is_looked_at_again_at_once)
{
  struct store_join_sweep op;

  fixture_close(&f);
  fixture_exec(&f, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<100) INSERT INTO joining(id, h, what, channel,"
                   " channel_kind, sender, total, due, opened, done, message, why) SELECT 1000+i, i,"
                   " CAST('x' AS bytea), 'sms', 'sms', '{}', 2, 0, 1, 0, 0, 'too_many' FROM n"); /* without a piece: none can be */
  fixture_open(&f);
  op = sweep();
  ck_assert(op.n == 0 && op.next_due_ms == 1);
  op = sweep();
  ck_assert(op.n == 0 && op.next_due_ms > f.fake.now_ms);
}
END_TEST

START_TEST(a_restart_between_pieces_loses_nothing)
{
  struct store_inbound in;

  take("+34600111222", "k", 2, 2, "two", "2");
  fixture_close(&f);
  fixture_open(&f);
  in = take("+34600111222", "k", 1, 2, "one ", "1");
  assert_body(in.message, "{\"content\":{\"text\":\"one two\"},\"segments\":{\"total\":2}}");
  take("+34600111222", "l", 1, 2, "half", "3");
  fixture_close(&f);
  fixture_open(&f);
  env_fake_step(&f.fake, WAIT_MS);
  ck_assert_uint_eq(sweep().n, 1);
  ck_assert_int_eq(messages(), 2);
}
END_TEST

/* One round has several: the pieces of one text, and of others. */
START_TEST(pieces_that_come_at_once_join)
{
  enum { TEXTS = 20, PARTS = 3 };
  static struct store_inbound in[TEXTS * PARTS];
  char from[TEXTS][16], ids[TEXTS * PARTS][8];

  for (int i = 0; i < TEXTS * PARTS; i++) {
    int text = i % TEXTS, part = i / TEXTS;

    snprintf(from[text], sizeof from[text], "+346001112%02d", text);
    snprintf(ids[i], sizeof ids[i], "i%d", i);
    in[i] = said(&(struct say){from[text], "k", (uint32_t)part + 1, PARTS, part == 0 ? "a" : part == 1 ? "b" : "c", ids[i]});
    in[i].op.kind = STORE_INBOUND;
    in[i].op.done = fixture_op_done;
    store_submit(f.store, &in[i].op);
  }
  uv_run(&f.loop, UV_RUN_DEFAULT);
  for (int i = 0; i < TEXTS * PARTS; i++) {
    ck_assert_int_eq(in[i].op.status, PARLEY_OK);
    arena_free(&in[i].op.arena);
  }
  ck_assert_int_eq(messages(), TEXTS);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM message WHERE flags=0"), TEXTS);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM customer"), TEXTS);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("store: texts in pieces");
  TCase *tcase = tcase_create("all");
  SRunner *runner;
  int failed;

  tcase_add_checked_fixture(tcase, setup, teardown);
  tcase_add_loop_test(tcase, pieces_join_in_any_order_to_one_message_and_one_event, 0, (int)COUNT_OF(orders));
  tcase_add_test(tcase, texts_of_two_people_with_one_key_are_two);
  tcase_add_test(tcase, the_first_of_two_pieces_of_one_number_wins);
  tcase_add_test(tcase, a_piece_that_comes_again_afterwards_names_the_message);
  tcase_add_test(tcase, a_handset_counts_round_and_the_same_key_is_another_text);
  tcase_add_test(tcase, a_text_of_255_pieces_is_joined);
  tcase_add_loop_test(tcase, when_its_time_is_over_what_is_there_is_delivered_with_marks_for_the_rest, 0, (int)COUNT_OF(gaps));
  tcase_add_test(tcase, a_piece_that_is_late_is_a_message_of_its_own);
  tcase_add_test(tcase, one_that_cannot_be_joined_is_a_message_of_its_own);
  tcase_add_test(tcase, of_too_many_the_oldest_is_delivered_as_it_is);
  tcase_add_test(tcase, more_than_too_many_become_fewer);
  tcase_add_test(tcase, what_is_due_at_once_is_looked_at_again_at_once);
  tcase_add_test(tcase, a_restart_between_pieces_loses_nothing);
  tcase_add_test(tcase, pieces_that_come_at_once_join);
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed > 0;
}
