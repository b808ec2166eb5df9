/* stores: sqlite (its faults are those of a file) */
#include "fault_vfs.h"
#include "store_messages.h"

#define FAULTS_MAX 400 /* more writes than any of these ops makes */

static struct fixture f;
static struct rules rules;

static void setup(void)
{
  fault_install();
  fixture_init(&f);
  fixture_open(&f);
  rules_init(&rules, 100);
}

static void teardown(void)
{
  fault_off();
  if (f.store != NULL)
    assert_adds_up(&f);
  rules_done(&rules);
  fixture_done(&f);
}

static struct store_gauges gauges(void)
{
  struct store_gauges now;

  store_gauges(f.store, &now);
  return now;
}

static int room_left(void)
{
  return atomic_load(&rules.rooms[MAIL].room[LANE_TRANSACTIONAL]);
}

/* The writer looks at the disk again when it has something to do or a moment has passed; ops that it refuses meanwhile are the
 * moments. */
static struct accepted accept_until_taken(void)
{
  struct accepted a;

  do {
    env_fake_step(&f.fake, 1000);
    a = accept_to(&f, &rules, "email", "ana@example.org", MAIL);
  } while (a.status == PARLEY_RETRY);
  return a;
}

START_TEST(a_full_disk_refuses_what_comes_in_and_heals_by_itself)
{
  struct accepted in_flight = accept_to(&f, &rules, "email", "ana@example.org", MAIL), a;
  int room = room_left();

  atomic_store(&fault.write_code, SQLITE_FULL);
  atomic_store(&fault.stays, true);
  atomic_store(&fault.until_write, 0);
  a = accept_to(&f, &rules, "email", "bea@example.org", MAIL);
  ck_assert_int_eq(a.status, PARLEY_RETRY);
  ck_assert(!a.claimed);
  ck_assert_int_eq(room_left(), room);
  ck_assert(!gauges().accepting && gauges().why_not != NULL);
  ck_assert_int_eq(settle(&f, &rules, &in_flight, PARLEY_OUTCOME_ACCEPTED).status, PARLEY_RETRY);
  ck_assert_int_eq(accept_to(&f, &rules, "email", "bea@example.org", MAIL).status, PARLEY_RETRY);
  fault_off();
  ck_assert_int_eq(settle(&f, &rules, &in_flight, PARLEY_OUTCOME_ACCEPTED).after, MESSAGE_SENT);
  ck_assert_int_eq(accept_until_taken().result, ACCEPTED);
  ck_assert(gauges().accepting);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM message"), 2);
  ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM customer"), 1);
}
END_TEST

START_TEST(a_failed_flush_is_never_tried_again)
{
  struct accepted a;

  accept_to(&f, &rules, "email", "ana@example.org", MAIL);
  atomic_store(&fault.sync_code, SQLITE_IOERR_FSYNC);
  atomic_store(&fault.until_sync, 1);
  a = accept_to(&f, &rules, "email", "bea@example.org", MAIL);
  ck_assert_int_eq(a.status, PARLEY_FAILED);
  ck_assert(!gauges().accepting && gauges().broken);
  ck_assert_int_eq(accept_to(&f, &rules, "email", "bea@example.org", MAIL).status, PARLEY_FAILED);
  fixture_close(&f);
  fixture_open(&f);
  ck_assert_int_eq(accept_to(&f, &rules, "email", "bea@example.org", MAIL).status, PARLEY_OK);
}
END_TEST

static uint32_t render_id(struct store_op *op, struct buf *body)
{
  struct store_accept *accept = container_of(op, struct store_accept, op);

  buf_json_id(body, "msg", accept->items[0].message);
  return 202;
}

#define LARGE_BYTES 400000 /* more than one write to the WAL takes */

static struct accepted accept_keyed(const char *key)
{
  struct store_idem idem = {.route = PARLEY_LIT("POST /v1/messages"), .key = parley_text_of(key)};
  struct accept_item item = {.submission = submission_make(&f, &rules, "email", "ana@example.org", MAIL)};
  struct store_accept accept = {.decide = decide, .n_items = 1, .items = &item};

  item.submission->body = (parley_bytes){arena_alloc(item.submission->arena, LARGE_BYTES), LARGE_BYTES};
  accept.op.idem = &idem;
  accept.op.render = render_id;
  fixture_run(&f, &accept.op, STORE_ACCEPT);
  return accepted_of(&accept);
}

/* Fails the n-th write, n = 1, 2, 3 ... until the op needs fewer: what was acknowledged is there, what was refused is not. */
START_TEST(whichever_write_fails_the_answer_is_true)
{
  int64_t stored = 0;
  int n;

  for (n = 1; n < FAULTS_MAX; n++) {
    struct accepted a;
    char key[16];

    snprintf(key, sizeof(key), "k%d", n);
    atomic_store(&fault.write_code, SQLITE_FULL);
    atomic_store(&fault.until_write, n);
    a = accept_keyed(key);
    if (atomic_load(&fault.until_write) >= 0)
      break;
    fault_off();
    ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM message"), stored + (a.status == PARLEY_OK));
    while (a.status != PARLEY_OK) {
      env_fake_step(&f.fake, 1000);
      a = accept_keyed(key);
    }
    ck_assert_int_eq(a.replay, REPLAY_NO);
    stored++;
    ck_assert_int_eq(fixture_sql(&f, "SELECT count(*) FROM message"), stored);
    ck_assert_int_eq(accept_keyed(key).replay, REPLAY_SAME);
    assert_adds_up(&f);
  }
  ck_assert_int_lt(n, FAULTS_MAX);
  ck_assert_int_gt(n, 2);
}
END_TEST

START_TEST(the_pages_of_a_small_commit_are_written_at_once)
{
  const int many = 1000;

  accept_to(&f, &rules, "email", "ana@example.org", MAIL); /* the first one also begins the WAL */
  atomic_store(&fault.until_write, many);
  ck_assert_int_eq(accept_to(&f, &rules, "email", "bea@example.org", MAIL).status, PARLEY_OK);
  ck_assert_int_eq(many - atomic_load(&fault.until_write), 1);
}
END_TEST

START_TEST(a_file_that_cannot_be_set_up_is_no_store)
{
  struct buf why = BUF_INIT(1024);
  struct store *other = NULL;
  int n;

  fixture_close(&f);
  for (n = 1; n < FAULTS_MAX; n++) {
    parley_status st;

    snprintf(f.path, sizeof(f.path), "%s/new%d.db", f.dir, n);
    atomic_store(&fault.write_code, SQLITE_FULL);
    atomic_store(&fault.until_write, n);
    st = fixture_try_open(&f, &other, &why);
    if (atomic_load(&fault.until_write) >= 0)
      break;
    fault_off();
    ck_assert_int_eq(st, PARLEY_FAILED);
    ck_assert_uint_gt(why.len, 0);
    buf_clear(&why);
    ck_assert_int_eq(fixture_try_open(&f, &other, &why), PARLEY_OK); /* and the next start makes it good */
    f.store = other;
    fixture_close(&f);
  }
  fault_off();
  f.store = other;
  ck_assert_int_lt(n, FAULTS_MAX);
  buf_done(&why);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("store_fault");
  TCase *tcase = tcase_create("all");
  SRunner *runner;
  int failed;

  tcase_add_checked_fixture(tcase, setup, teardown);
  tcase_set_timeout(tcase, 60);
  tcase_add_test(tcase, a_full_disk_refuses_what_comes_in_and_heals_by_itself);
  tcase_add_test(tcase, a_failed_flush_is_never_tried_again);
  tcase_add_test(tcase, whichever_write_fails_the_answer_is_true);
  tcase_add_test(tcase, the_pages_of_a_small_commit_are_written_at_once);
  tcase_add_test(tcase, a_file_that_cannot_be_set_up_is_no_store);
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
