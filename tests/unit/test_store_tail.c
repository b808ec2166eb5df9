/* stores: sqlite (what is kept in memory beside the file) */
#include "store_messages.h"
#include "core/base/clock.h"

#define BATCH 400
#define DAY_MS INT64_C(86400000)
#define KEYS 36000 /* more than two tails */

static struct fixture f;
static struct rules rules;

static void setup(void)
{
  fixture_init(&f);
  fixture_open(&f);
  rules_init(&rules, 0);
}

static void teardown(void)
{
  if (f.store != NULL)
    assert_adds_up(&f);
  rules_done(&rules);
  fixture_done(&f);
}

static uint32_t render_id(struct store_op *op, struct buf *body)
{
  struct store_accept *accept = container_of(op, struct store_accept, op);

  buf_json_id(body, "msg", accept->items[0].message);
  return 202;
}

struct keyed {
  struct store_accept accept;
  struct accept_item item;
  struct store_idem idem;
  char key[24], address[40];
};

/* Submits keys [from, to) at once, so that they share rounds; returns how many were replays. */
static int run_keys(int from, int to)
{
  struct keyed *all = calloc((size_t)(to - from), sizeof(*all));
  int replayed = 0;

  for (int i = from; i < to; i++) {
    struct keyed *keyed = &all[i - from];

    snprintf(keyed->key, sizeof(keyed->key), "key-%d", i);
    snprintf(keyed->address, sizeof(keyed->address), "c%d@example.org", i % 100);
    keyed->idem = (struct store_idem){.route = PARLEY_LIT("POST /v1/messages"), .key = parley_text_of(keyed->key)};
    keyed->item.submission = submission_make(&f, &rules, "email", keyed->address, MAIL);
    keyed->accept = (struct store_accept){.decide = decide, .n_items = 1, .items = &keyed->item};
    keyed->accept.op.kind = STORE_ACCEPT;
    keyed->accept.op.done = fixture_op_done;
    keyed->accept.op.idem = &keyed->idem;
    keyed->accept.op.render = render_id;
    store_submit(f.store, &keyed->accept.op);
  }
  uv_run(&f.loop, UV_RUN_DEFAULT);
  for (int i = from; i < to; i++) {
    struct accepted a = accepted_of(&all[i - from].accept);

    ck_assert_int_eq(a.status, PARLEY_OK);
    replayed += a.replay == REPLAY_SAME;
  }
  free(all);
  return replayed;
}

static size_t timeline_of(const char *address)
{
  struct store_timeline ask = {.limit = 1000, .who = {PARLEY_LIT("email"), parley_text_of(address), TEXT_EMPTY, 0}};
  size_t n;

  ck_assert_int_eq(fixture_run(&f, &ask.op, STORE_TIMELINE), PARLEY_OK);
  n = ask.n;
  for (size_t i = 1; i < n; i++)
    ck_assert(ask.rows[i - 1].at_ms > ask.rows[i].at_ms ||
              (ask.rows[i - 1].at_ms == ask.rows[i].at_ms && ask.rows[i - 1].seq > ask.rows[i].seq));
  arena_free(&ask.op.arena);
  return n;
}

static void run_batches(int from, int to, int replays_each)
{
  for (; from < to; from += BATCH)
    ck_assert_int_eq(run_keys(from, from + BATCH), replays_each);
}

static void fill(void)
{
  run_batches(0, KEYS, 0);
}

static const char *day_rows(int64_t at_ms)
{
  static char sql[64];
  struct buf day = BUF_INIT(64);

  buf_time(&day, at_ms);
  snprintf(sql, sizeof(sql), "SELECT count(*) FROM idem_%.4s%.2s%.2s", day.at, day.at + 5, day.at + 8);
  buf_done(&day);
  return sql;
}

START_TEST(full_tails_reach_their_tables_and_nothing_is_missed_meanwhile)
{
  fill();
  ck_assert_int_gt(fixture_sql(&f, "SELECT count(*) FROM timeline_recent"), 16000);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM mark"), 2);
  ck_assert_uint_eq(timeline_of("c7@example.org"), KEYS / 100);
  for (int from = 0; from < KEYS; from += KEYS / 9)
    ck_assert_int_eq(run_keys(from, from + BATCH), BATCH);
}
END_TEST

START_TEST(after_a_restart_keys_and_timelines_are_whole)
{
  fill();
  fixture_close(&f);
  fixture_open(&f);
  ck_assert_uint_eq(timeline_of("c7@example.org"), KEYS / 100);
  for (int from = 0; from < KEYS; from += KEYS / 9)
    ck_assert_int_eq(run_keys(from, from + BATCH), BATCH);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM message"), KEYS);
}
END_TEST

START_TEST(a_lost_batch_is_made_again_from_what_was_committed)
{
  fill();
  fixture_close(&f);
  /* as if the crash had come before the first batch was written: no marks, no rows */
  fixture_exec(&f, "DELETE FROM mark; DELETE FROM timeline_recent; DELETE FROM timeline");
  fixture_open(&f);
  ck_assert_uint_eq(timeline_of("c7@example.org"), KEYS / 100);
  ck_assert_int_eq(run_keys(0, BATCH), BATCH);
}
END_TEST

START_TEST(recent_entries_move_to_the_base_and_each_stands_in_one_place)
{
  fixture_close(&f);
  fixture_exec(&f, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<1000000)"
                   " INSERT INTO timeline_recent SELECT 1+i%1000, i, i, 2 FROM n"); /* more than is kept apart */
  fixture_open(&f);
  fill();
  ck_assert_int_gt(fixture_sql(&f, "SELECT count(*) FROM timeline"), 20000);
  ck_assert_int_eq(fixture_sql(&f, "SELECT (SELECT count(*) FROM timeline WHERE customer<=1000) +"
                                   " (SELECT count(*) FROM timeline_recent WHERE customer<=1000)"), 1000000);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM (SELECT customer, at, seq FROM timeline INTERSECT"
                                   " SELECT customer, at, seq FROM timeline_recent)"), 0);
  ck_assert_uint_eq(timeline_of("c7@example.org"), KEYS / 100);
}
END_TEST

/* As after hours of traffic: the next round begins to move the recent hashes to the day's table. */
static void recent_fill(int from)
{
  char sql[256];

  fixture_close(&f);
  snprintf(sql, sizeof(sql),
           "WITH RECURSIVE n(i) AS (SELECT %d UNION ALL SELECT i+1 FROM n WHERE i<%d) INSERT INTO idem_recent SELECT i, 1 FROM n",
           from, from + 270000);
  fixture_exec(&f, sql);
  fixture_open(&f);
}

START_TEST(hashes_move_to_the_table_of_the_day_and_are_found_all_the_while)
{
  recent_fill(1);
  fill();
  ck_assert_int_gt(fixture_sql(&f, day_rows(START_MS)), 10000);
  for (int from = 0; from < KEYS; from += KEYS / 9)
    ck_assert_int_eq(run_keys(from, from + BATCH), BATCH);
  fixture_close(&f);
  fixture_open(&f);
  for (int from = 0; from < KEYS; from += KEYS / 9)
    ck_assert_int_eq(run_keys(from, from + BATCH), BATCH);
}
END_TEST

/* The filter of keys reads the tables between rounds; when it has, it alone says which keys are new. */
START_TEST(keys_of_every_table_are_found_when_the_filter_has_read_them)
{
  recent_fill(1);
  fill();
  env_fake_step(&f.fake, DAY_MS);
  recent_fill(1000000);
  run_batches(KEYS, KEYS + 20000, 0); /* more than a tail, and a second day */
  ck_assert_int_gt(fixture_sql(&f, day_rows(START_MS + DAY_MS)), 1000);
  fixture_close(&f);
  fixture_open(&f);
  for (int round = 0; round < 400; round++)
    ck_assert_int_eq(run_keys(0, 1), 1);
  run_batches(0, KEYS + 20000, BATCH);
  run_batches(KEYS + 20000, KEYS + 24000, 0);
}
END_TEST

START_TEST(the_index_of_an_old_day_goes_piece_by_piece)
{
  const char *tables = "SELECT count(*) FROM sqlite_schema WHERE name GLOB 'idem_2*'";

  recent_fill(1);
  fill();
  ck_assert_int_eq(fixture_sql(&f, tables), 1);
  env_fake_step(&f.fake, DAY_MS);
  recent_fill(1000000);
  run_keys(KEYS, KEYS + 1);
  run_keys(KEYS + 1, KEYS + 2);
  ck_assert_int_eq(fixture_sql(&f, tables), 2);
  ck_assert_int_eq(run_keys(0, BATCH), BATCH);
  env_fake_step(&f.fake, 7 * DAY_MS);
  for (int i = 0; i < 300; i++) { /* one piece a second */
    env_fake_step(&f.fake, 1000);
    run_keys(3 * KEYS + i, 3 * KEYS + i + 1);
  }
  ck_assert_int_eq(fixture_sql(&f, tables), 1);
  ck_assert_int_eq(run_keys(3 * KEYS, 3 * KEYS + 300), 300);
}
END_TEST

START_TEST(an_inbound_message_that_happened_earlier_stands_at_its_time)
{
  struct store_inbound in = {.channel = PARLEY_LIT("chat"), .channel_kind = PARLEY_LIT("chat"), .event_id = PARLEY_LIT("e"),
                             .kind = PARLEY_KIND_CONTENT, .at_ms = f.fake.now_ms - 3600000, .now_ms = f.fake.now_ms,
                             .body = PARLEY_LIT("{}")};

  run_keys(0, 1);
  in.from.n_identities = 1;
  in.from.identities[0] = (struct identity){PARLEY_LIT("email"), PARLEY_LIT("c0@example.org"), TEXT_EMPTY, 0};
  ck_assert_int_eq(fixture_run(&f, &in.op, STORE_INBOUND), PARLEY_OK);
  arena_free(&in.op.arena);
  ck_assert_uint_eq(timeline_of("c0@example.org"), 2);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("store_tail");
  TCase *tcase = tcase_create("all");
  SRunner *runner;
  int failed;

  tcase_add_checked_fixture(tcase, setup, teardown);
  tcase_set_timeout(tcase, 300); /* under TSan on a busy machine */
  tcase_add_test(tcase, full_tails_reach_their_tables_and_nothing_is_missed_meanwhile);
  tcase_add_test(tcase, after_a_restart_keys_and_timelines_are_whole);
  tcase_add_test(tcase, a_lost_batch_is_made_again_from_what_was_committed);
  tcase_add_test(tcase, recent_entries_move_to_the_base_and_each_stands_in_one_place);
  tcase_add_test(tcase, hashes_move_to_the_table_of_the_day_and_are_found_all_the_while);
  tcase_add_test(tcase, keys_of_every_table_are_found_when_the_filter_has_read_them);
  tcase_add_test(tcase, the_index_of_an_old_day_goes_piece_by_piece);
  tcase_add_test(tcase, an_inbound_message_that_happened_earlier_stands_at_its_time);
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
