/* When texts that wait for pieces are looked at: by the monotonic clock, whatever the wall clock does. */
#include "core/inbound/joins.h"
#include "store_messages.h"

#define WAIT_MS 3600000

static struct fixture f;
static struct rules rules;
static struct joins *joins;
static int heard;
static bool gone;

static void on_heard(const struct store_heard *what, void *arg)
{
  ck_assert(arg == &f && what->message != 0);
  heard++;
}

static void on_gone(void *arg)
{
  *(bool *)arg = true;
}

static void setup(void)
{
  fixture_init(&f);
  fixture_open(&f);
  rules_init(&rules, 100);
  heard = 0;
  gone = false;
  joins = joins_new(&f.loop, &f.fake.env, f.store, on_heard, &f);
  joins_use(joins, rules.policy);
}

static void teardown(void)
{
  if (joins != NULL)
    joins_close(&joins, on_gone, &gone);
  uv_run(&f.loop, UV_RUN_DEFAULT);
  ck_assert(gone);
  rules_done(&rules);
  fixture_done(&f);
}

static void piece(uint32_t part, int64_t due_ms)
{
  struct store_inbound in = {.channel = PARLEY_LIT("sms"), .channel_kind = PARLEY_LIT("sms"), .kind = PARLEY_KIND_CONTENT,
                             .now_ms = f.fake.now_ms, .text = PARLEY_LIT("half"),
                             .body = PARLEY_LIT("{\"content\":{\"text\":\"half\"}}"),
                             .event_id = TEXT_EMPTY, .provider_id = TEXT_EMPTY, .in_reply_to = TEXT_EMPTY,
                             .piece = {.given = true, .part = part, .total = 3, .key = PARLEY_LIT("k"), .due_ms = due_ms}};

  in.from.n_identities = 1;
  in.from.identities[0] = (struct identity){PARLEY_LIT("phone"), PARLEY_LIT("+34600111222"), TEXT_EMPTY, PARLEY_OBSERVED};
  ck_assert_int_eq(fixture_run(&f, &in.op, STORE_INBOUND), PARLEY_OK);
  arena_free(&in.op.arena);
}

static void on_idle(uv_idle_t *idle)
{
  uv_close((uv_handle_t *)idle, NULL);
}

/* One turn of a loop that something else keeps alive: the timer alone does not. */
static void turn(void)
{
  static uv_idle_t alive;

  uv_idle_init(&f.loop, &alive);
  uv_idle_start(&alive, on_idle);
  uv_run(&f.loop, UV_RUN_NOWAIT);
}

/* The timer is of the loop's own clock, and due at once; the sweep then asks ours. */
static void look(void)
{
  joins_at(joins, 0);
  turn();
  uv_run(&f.loop, UV_RUN_DEFAULT); /* the store */
}

START_TEST(a_text_is_delivered_when_its_time_is_over_and_not_before)
{
  piece(1, joins_now(joins) + WAIT_MS);
  look();
  ck_assert_int_eq(heard, 0);
  env_fake_step(&f.fake, WAIT_MS - 1);
  look();
  ck_assert_int_eq(heard, 0);
  env_fake_step(&f.fake, 1);
  look();
  look();
  ck_assert_int_eq(heard, 1);
}
END_TEST

START_TEST(a_wall_clock_that_jumps_delivers_nothing_early_and_keeps_nothing_back)
{
  piece(1, joins_now(joins) + WAIT_MS);
  f.fake.now_ms += INT64_C(24) * WAIT_MS;
  look();
  ck_assert_int_eq(heard, 0);
  f.fake.now_ms -= INT64_C(48) * WAIT_MS;
  f.fake.mono_ms += WAIT_MS;
  look();
  ck_assert_int_eq(heard, 1);
}
END_TEST

START_TEST(it_closes_behind_the_sweep_that_is_under_way)
{
  piece(1, joins_now(joins));
  joins_at(joins, 0);
  turn();
  joins_close(&joins, on_gone, &gone);
  uv_run(&f.loop, UV_RUN_DEFAULT);
  ck_assert(gone);
  ck_assert_int_eq(heard, 1);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("inbound: waiting for pieces");
  TCase *tcase = tcase_create("all");
  SRunner *runner;
  int failed;

  tcase_add_checked_fixture(tcase, setup, teardown);
  tcase_add_test(tcase, a_text_is_delivered_when_its_time_is_over_and_not_before);
  tcase_add_test(tcase, a_wall_clock_that_jumps_delivers_nothing_early_and_keeps_nothing_back);
  tcase_add_test(tcase, it_closes_behind_the_sweep_that_is_under_way);
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed > 0;
}
