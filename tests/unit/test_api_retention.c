/* What the API shows of what is kept no longer. */
#include "api_fixture.h"
#include <sqlite3.h>

#define DAY_MS INT64_C(86400000)

static struct api_fixture f;

static void setup(void)
{
  api_fixture_init(&f);
}

static void teardown(void)
{
  api_fixture_done(&f);
}

static void on_retained(struct store_op *op)
{
  ck_assert_int_eq(op->status, PARLEY_OK);
  arena_free(&op->arena);
  op->kind = 0;
}

static void round_run(int64_t keep_ms)
{
  struct store_keep keep = {keep_ms, keep_ms, keep_ms, keep_ms};
  struct store_retain op = {.op = {.kind = STORE_RETAIN, .done = on_retained}, .keep = &keep};
  uint64_t deadline = peer_deadline();

  env_fake_step(&f.fake, 61000);
  store_submit(f.store, &op.op);
  while (op.op.kind != 0 && !peer_late(deadline))
    peer_turn(&f.loop, -1, 0, 20);
  ck_assert_int_eq(op.op.kind, 0);
}

/* What is past its time goes with the round of any write that comes a moment later. */
static void retain(int64_t keep_ms)
{
  round_run(keep_ms);
  round_run(keep_ms);
}

/* Days later; meanwhile all is written behind, and the subscription has got what there was. */
static void days_pass(int days)
{
  static const char behind[] =
      "INSERT OR IGNORE INTO timeline SELECT customer, at, id, 1 FROM message;"
      "INSERT OR IGNORE INTO timeline SELECT customer, at, seq, 2 FROM event WHERE type LIKE 'touchpoint.%';"
      "INSERT OR REPLACE INTO mark VALUES('timeline', (SELECT max(seq) FROM event));"
      "UPDATE feed_cursor SET cursor=(SELECT max(seq) FROM event); DELETE FROM feed_pending";
  sqlite3 *db = NULL;

  api_fixture_down(&f);
  ck_assert_int_eq(sqlite3_open(f.path, &db), SQLITE_OK);
  ck_assert_int_eq(sqlite3_exec(db, behind, NULL, NULL, NULL), SQLITE_OK);
  sqlite3_close(db);
  env_fake_step(&f.fake, days * DAY_MS);
  api_fixture_up(&f);
}

static void status_wait(const char *id, const char *status)
{
  uint64_t deadline = peer_deadline();

  do {
    ask_at(&f, "GET", NULL, "/v1/messages/%s", id);
    ck_assert_code(&f, 200);
  } while (strcmp(said_text(&f, "status"), status) != 0 && !peer_late(deadline));
  ck_assert_str_eq(said_text(&f, "status"), status);
}

START_TEST(a_message_says_that_its_body_and_attempts_are_kept_no_longer)
{
  ask(&f, "POST", "/v1/messages",
      "{\"to\":{\"email\":\"ana@example.org\"},\"topic\":\"orders\",\"content\":{\"text\":\"On its way\"}}");
  ck_assert_code(&f, 202);
  keep(0, "id");
  keep(1, "customer");
  status_wait(kept[0], "sent");
  ck_assert_ptr_null(said(&f, "body_expired"));
  ck_assert_uint_eq(said_count(&f, "attempts"), 1);
  days_pass(40);
  retain(30 * DAY_MS);
  ask_at(&f, "GET", NULL, "/v1/messages/%s", kept[0]);
  ck_assert_code(&f, 200);
  ck_assert_str_eq(said_text(&f, "status"), "sent");
  ck_assert_msg(json_is_true(said(&f, "body_expired")) && json_is_true(said(&f, "attempts_expired")), "%s", f.body);
  ck_assert(json_is_null(said(&f, "content")) && json_is_null(said(&f, "decision")));
  ck_assert_uint_eq(said_count(&f, "plan"), 0);
  ck_assert_uint_eq(said_count(&f, "attempts"), 0);
  ck_assert_uint_eq(said_count(&f, "deliveries"), 1);
  ck_assert_int_eq(said_int(&f, "deliveries.0.attempts"), 1);
  ask_at(&f, "GET", NULL, "/v1/customers/%s/timeline", kept[1]);
  ck_assert_uint_eq(said_count(&f, "items"), 1);
  ck_assert(json_is_true(said(&f, "items.0.message.body_expired")));
}
END_TEST

START_TEST(a_cursor_whose_events_are_gone_is_410_and_a_newer_one_goes_on)
{
  ask(&f, "POST", "/v1/events", "{\"to\":{\"external\":\"a\"},\"type\":\"one\"}");
  keep(0, "id");
  ask(&f, "POST", "/v1/events", "{\"to\":{\"external\":\"a\"},\"type\":\"two\"}");
  keep(1, "id");
  keep(2, "customer");
  ask(&f, "GET", "/v1/events?types=touchpoint.*&limit=1", NULL);
  keep(3, "cursor");
  days_pass(40);
  ask(&f, "POST", "/v1/events", "{\"to\":{\"external\":\"a\"},\"type\":\"three\"}");
  retain(30 * DAY_MS);
  ask_at(&f, "GET", NULL, "/v1/events?after=%s", kept[3]);
  ck_assert_problem(&f, 410, "cursor_expired");
  ask_at(&f, "GET", NULL, "/v1/events?after=%s", kept[0]);
  ck_assert_problem(&f, 410, "cursor_expired");
  ask_raw(&f, "GET", "/v1/events?after=evt_0000000000001", ADMIN, "Accept: text/event-stream\r\n", NULL, 0);
  ck_assert_problem(&f, 410, "cursor_expired");
  ask_at(&f, "GET", NULL, "/v1/events?after=%s", kept[1]); /* the newest of the old: nothing was missed */
  ck_assert_code(&f, 200);
  ck_assert_uint_eq(said_count(&f, "items"), 1);
  ask(&f, "GET", "/v1/events", NULL);
  ck_assert_str_eq(said_text(&f, "items.0.type"), "touchpoint.three");
  ask_at(&f, "GET", NULL, "/v1/customers/%s/timeline", kept[2]);
  ck_assert_uint_eq(said_count(&f, "items"), 1);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("api_retention");
  TCase *tests = tcase_create("retention");
  SRunner *runner;
  int failed;

  tcase_add_checked_fixture(tests, setup, teardown);
  tcase_add_test(tests, a_message_says_that_its_body_and_attempts_are_kept_no_longer);
  tcase_add_test(tests, a_cursor_whose_events_are_gone_is_410_and_a_newer_one_goes_on);
  suite_add_tcase(suite, tests);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_ENV);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? 0 : 1;
}
