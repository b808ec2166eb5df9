#include "fault_vfs.h"
#include "feed_bed.h"

#define DESK 7
#define OTHER 8

static struct bed *bed;

static void set_up(void)
{
  fault_install();
  bed = bed_new();
}

static void tear_down(void)
{
  fault_off();
  bed_free(bed);
}

static const struct feed_sub *sub_of(id64 id)
{
  return map_get(&bed->feed->by_id, id);
}

static int64_t rows(bool dead)
{
  return fixture_sql(&bed->f, dead ? "SELECT count(*) FROM feed_pending WHERE dead=1"
                                   : "SELECT count(*) FROM feed_pending WHERE dead=0");
}

START_TEST(an_event_is_pushed_signed_with_what_is_known_of_the_customer)
{
  bed_customer(bed, "ana");
  bed_subscribe(bed, DESK, 'a');
  bed_happen(bed, "ana");
  bed_until(bed, bed->n_got == 1 && bed_state(bed, DESK).pushed == 1);
  ck_assert(bed->got[0].verified);
  ck_assert_str_eq(bed->got[0].type, "touchpoint.visit");
  ck_assert_str_eq(bed->got[0].customer, "ana");
  ck_assert_int_eq(bed->got[0].number, 0);
}
END_TEST

START_TEST(a_new_subscription_begins_at_the_end_of_the_log)
{
  bed_customer(bed, "ana");
  bed_happen(bed, "ana");
  bed_happen(bed, "ana");
  bed_subscribe(bed, DESK, 'a');
  bed_happen(bed, "ana");
  bed_until(bed, bed_state(bed, DESK).pushed == 1);
  peer_settle(&bed->f.loop);
  ck_assert_uint_eq(bed->n_got, 1);
  ck_assert_int_eq(bed->got[0].number, 2);
}
END_TEST

START_TEST(events_of_one_customer_arrive_in_order_one_at_a_time)
{
  int64_t last = -1;

  bed_customer(bed, "ana");
  bed_customer(bed, "ben");
  bed_subscribe(bed, DESK, 'a');
  bed->places[0].hold = true;
  for (int i = 0; i < 10; i++) {
    bed_happen(bed, "ana");
    bed_happen(bed, "ben");
  }
  for (int i = 0; i < 10; i++) {
    bed_until(bed, bed->n_held == 2); /* one of each, never two of one */
    peer_settle(&bed->f.loop);
    ck_assert_uint_eq(bed->n_held, 2);
    bed_let_go(bed, 200);
  }
  bed_until(bed, bed_state(bed, DESK).pushed == 20);
  for (size_t i = 0; i < bed->n_got; i++) {
    if (strcmp(bed->got[i].customer, "ana") != 0)
      continue;
    ck_assert_int_gt(bed->got[i].number, last);
    last = bed->got[i].number;
  }
}
END_TEST

START_TEST(a_failed_event_is_tried_again_under_the_same_id_and_holds_only_its_customer)
{
  bed_customer(bed, "ana");
  bed_customer(bed, "ben");
  bed->places[0] = (struct place){.bad_customer = "ana", .bad_customer_code = 500, .bad_times = 1};
  bed_subscribe(bed, DESK, 'a');
  bed_happen(bed, "ana");
  bed_happen(bed, "ana");
  bed_happen(bed, "ben");
  bed_until(bed, bed_count(bed, "/a", "ben") == 1 && bed_state(bed, DESK).pushed == 1);
  ck_assert_uint_eq(bed_count(bed, "/a", "ana"), 1);
  ck_assert_uint_eq(bed_state(bed, DESK).pending, 2);
  bed_step(bed, FEED_SAVE_MS);
  bed_until(bed, rows(false) == 2); /* both in the store, the second behind the first */
  bed_step(bed, 1000);
  ck_assert_uint_eq(bed_count(bed, "/a", "ana"), 1);
  bed_step(bed, 5000);
  bed_until(bed, bed_state(bed, DESK).pushed == 3);
  ck_assert_uint_eq(bed_count(bed, "/a", "ana"), 3);
  ck_assert_str_eq(bed->got[0].id, bed->got[bed->n_got - 2].id);
  ck_assert_int_lt(bed->got[bed->n_got - 2].number, bed->got[bed->n_got - 1].number);
  bed_step(bed, FEED_SAVE_MS);
  bed_until(bed, rows(false) == 0);
}
END_TEST

START_TEST(what_comes_while_a_customer_is_held_back_waits_its_turn)
{
  bed_customer(bed, "ana");
  bed->places[0] = (struct place){.bad_customer = "ana", .bad_customer_code = 503, .bad_times = 2};
  bed_subscribe(bed, DESK, 'a');
  bed_happen(bed, "ana");
  bed_until(bed, bed_state(bed, DESK).failed == 1);
  bed_happen(bed, "ana");
  bed_happen(bed, "ana");
  bed_until(bed, bed_state(bed, DESK).pending == 3);
  bed_step(bed, 5000);
  bed_until(bed, bed_state(bed, DESK).failed == 2);
  bed_step(bed, 30000);
  bed_until(bed, bed_state(bed, DESK).pushed == 3);
  ck_assert_uint_eq(bed->n_got, 5);
  for (int i = 0; i < 3; i++)
    ck_assert_int_eq(bed->got[i].number, 0);
  ck_assert_int_eq(bed->got[3].number, 1);
  ck_assert_int_eq(bed->got[4].number, 2);
}
END_TEST

START_TEST(after_five_days_an_event_is_dead_kept_and_may_be_replayed)
{
  uint64_t seq;

  bed_customer(bed, "ana");
  bed->places[0].code = 500;
  bed_subscribe(bed, DESK, 'a');
  seq = bed_happen(bed, "ana");
  bed_until(bed, bed_state(bed, DESK).failed == 1);
  env_fake_step(&bed->f.fake, FEED_KEEP_TRYING_MS);
  bed_happen(bed, "ana");
  bed_step(bed, 0);
  bed_until(bed, bed_state(bed, DESK).dead == 1 &&
                     bed_state(bed, DESK).failed >= 3); /* the next one has its own five days */
  bed_step(bed, FEED_SAVE_MS);
  bed_until(bed, rows(true) == 1 && rows(false) == 1);
  bed->places[0].code = 200;
  feed_replay(bed->feed, DESK, NULL, 0);
  bed_until(bed, bed_state(bed, DESK).pushed >= 1);
  bed_step(bed, 60000);
  bed_until(bed, bed_state(bed, DESK).pushed == 2);
  bed_step(bed, FEED_SAVE_MS);
  bed_until(bed, rows(true) == 0 && rows(false) == 0);
  ck_assert_uint_ne(seq, 0);
}
END_TEST

/* One event, pushed in vain until it is dead and stored as such. */
static uint64_t dead_event(void)
{
  uint64_t seq;

  bed_customer(bed, "ana");
  bed->places[0].code = 500;
  bed_subscribe(bed, DESK, 'a');
  seq = bed_happen(bed, "ana");
  bed_until(bed, bed_state(bed, DESK).failed == 1);
  env_fake_step(&bed->f.fake, FEED_KEEP_TRYING_MS);
  bed_step(bed, 0);
  bed_until(bed, bed_state(bed, DESK).dead == 1);
  bed_step(bed, FEED_SAVE_MS);
  bed_until(bed, rows(true) == 1);
  bed->places[0].code = 200;
  return seq;
}

START_TEST(an_event_that_one_replay_has_delivered_is_not_dead_for_the_next)
{
  uint64_t seq = dead_event();
  size_t got = bed->n_got;

  feed_replay(bed->feed, DESK, &seq, 1);
  bed_until(bed, bed_state(bed, DESK).pushed == 1); /* its row is still there: it is dropped with the next save */
  ck_assert_int_eq(rows(true) + rows(false), 1);
  feed_replay(bed->feed, DESK, NULL, 0);
  bed_until(bed, map_get(&bed->feed->by_id, DESK) != NULL && ((struct feed_sub *)map_get(&bed->feed->by_id, DESK))->replaying == 0);
  bed_step(bed, FEED_SAVE_MS);
  bed_until(bed, rows(true) == 0 && rows(false) == 0);
  ck_assert_uint_eq(bed->n_got, got + 1);
}
END_TEST

START_TEST(two_replays_at_once_push_an_event_once)
{
  uint64_t seq = dead_event();
  size_t got = bed->n_got;

  feed_replay(bed->feed, DESK, &seq, 1);
  feed_replay(bed->feed, DESK, NULL, 0);
  feed_replay(bed->feed, DESK, NULL, 0);
  bed_until(bed, bed_state(bed, DESK).pushed == 1);
  bed_step(bed, FEED_SAVE_MS);
  bed_until(bed, rows(true) == 0 && rows(false) == 0);
  ck_assert_uint_eq(bed->n_got, got + 1);
}
END_TEST

START_TEST(a_replayed_event_that_fails_again_begins_anew)
{
  bed_customer(bed, "ana");
  bed->places[0].code = 500;
  bed_subscribe(bed, DESK, 'a');
  bed_happen(bed, "ana");
  bed_until(bed, bed_state(bed, DESK).failed == 1);
  bed_step(bed, FEED_KEEP_TRYING_MS);
  bed_until(bed, bed_state(bed, DESK).dead == 1);
  bed_step(bed, FEED_SAVE_MS);
  bed_until(bed, rows(true) == 1);
  feed_replay(bed->feed, DESK, NULL, 0);
  bed_until(bed, bed_state(bed, DESK).failed == 3);
  bed_step(bed, FEED_SAVE_MS);
  bed_until(bed, rows(true) == 0 && rows(false) == 1);
  ck_assert_uint_eq(bed_state(bed, DESK).dead, 1);
}
END_TEST

START_TEST(single_events_can_be_replayed_though_they_had_arrived)
{
  uint64_t seqs[2];

  bed_customer(bed, "ana");
  bed_subscribe(bed, DESK, 'a');
  seqs[0] = bed_happen(bed, "ana");
  bed_happen(bed, "ana");
  bed_until(bed, bed_state(bed, DESK).pushed == 2);
  seqs[1] = 12345; /* of nothing */
  feed_replay(bed->feed, DESK, seqs, 2);
  bed_until(bed, bed_state(bed, DESK).pushed == 3);
  ck_assert_str_eq(bed->got[2].id, bed->got[0].id);
  bed_step(bed, FEED_SAVE_MS);
  bed_until(bed, rows(false) == 0);
}
END_TEST

START_TEST(gone_disables_the_subscription_and_loses_nothing)
{
  char url[64];
  struct subscription set = bed_sub(bed, DESK, 'a', url);

  bed_customer(bed, "ana");
  bed->places[0].code = 410;
  bed_subscribe(bed, DESK, 'a');
  bed_happen(bed, "ana");
  bed_until(bed, bed->disabled == DESK);
  bed_happen(bed, "ana");
  bed_step(bed, 60000);
  ck_assert_uint_eq(bed->n_got, 1);
  ck_assert(bed_state(bed, DESK).disabled);
  bed->places[0].code = 200;
  feed_subscribe(bed->feed, &set); /* somebody enables it again */
  bed_until(bed, bed_state(bed, DESK).pushed == 2);
  ck_assert_str_eq(bed->got[0].id, bed->got[1].id);
}
END_TEST

static const struct {
  uint32_t code;
  const char *retry_after;
  int64_t not_before_ms, by_ms;
} answers[] = {
    {301, NULL, 2000, 5000},
    {302, "1", 900, 1000},
    {400, NULL, 2000, 5000},
    {404, NULL, 2000, 5000},
    {500, "7", 6900, 7000},
    {429, "60", 59000, 60000},
    {503, "99999999999", 86300000, 86400000},
    {503, "-5", 900, 5000},
    {429, "Thu, 01 Jan 1970 00:00:00 GMT", 900, 5000},
};

START_TEST(what_is_no_2xx_is_tried_again_when_the_receiver_says_within_limits)
{
  bed_customer(bed, "ana");
  bed->places[0].code = answers[_i].code;
  bed->places[0].retry_after = answers[_i].retry_after;
  bed_subscribe(bed, DESK, 'a');
  bed_happen(bed, "ana");
  bed_until(bed, bed_state(bed, DESK).failed == 1);
  bed->places[0] = (struct place){0};
  bed_step(bed, answers[_i].not_before_ms);
  ck_assert_uint_eq(bed->n_got, 1);
  bed_step(bed, answers[_i].by_ms - answers[_i].not_before_ms);
  bed_until(bed, bed_state(bed, DESK).pushed == 1);
}
END_TEST

START_TEST(a_200_with_a_retry_after_is_a_success)
{
  bed_customer(bed, "ana");
  bed->places[0].retry_after = "99999999999";
  bed_subscribe(bed, DESK, 'a');
  bed_happen(bed, "ana");
  bed_happen(bed, "ana");
  bed_until(bed, bed_state(bed, DESK).pushed == 2);
}
END_TEST

START_TEST(who_asks_for_quiet_is_left_alone_as_a_whole)
{
  bed_customer(bed, "ana");
  bed_customer(bed, "ben");
  bed->places[0] = (struct place){.code = 429, .retry_after = "60"};
  bed_subscribe(bed, DESK, 'a');
  bed_happen(bed, "ana");
  bed_until(bed, bed_state(bed, DESK).failed == 1);
  bed_happen(bed, "ben");
  bed_step(bed, 30000);
  ck_assert_uint_eq(bed->n_got, 1);
  bed->places[0] = (struct place){0};
  bed_step(bed, 30000);
  bed_until(bed, bed_state(bed, DESK).pushed == 2);
}
END_TEST

/* --- Within the process ----------------------------------------------------------------------- */

struct taker { /* one event at a time in hand */
  struct feed_local local;
  uint64_t events[8];
  size_t n;
  http_client_done *done;
  void *done_arg;
  bool picky; /* wants none */
};

static void taker_take(uint64_t event, parley_bytes body, http_client_done *done, void *done_arg, void *arg)
{
  struct taker *taker = arg;

  ck_assert(body.len > 0 && body.at[0] == '{');
  ck_assert_uint_lt(taker->n, COUNT_OF(taker->events));
  taker->events[taker->n++] = event;
  taker->done = done;
  taker->done_arg = done_arg;
}

static bool taker_wants(const struct event_row *row, void *arg)
{
  (void)row;
  return !((struct taker *)arg)->picky;
}

static void taker_answer(struct taker *taker, parley_status status, uint32_t code)
{
  http_client_done *done = taker->done;

  taker->done = NULL;
  done(&(struct http_reply){.status = status, .code = code}, taker->done_arg);
}

static void taker_subscribe(struct taker *taker)
{
  struct subscription set = {.id = DESK, .name = PARLEY_LIT("desk"), .url = TEXT_EMPTY, .local = &taker->local};

  *taker = (struct taker){.local = {.wants = taker_wants, .take = taker_take, .arg = taker}};
  set.n_types = 1;
  set.types[0] = PARLEY_LIT("touchpoint.*");
  feed_subscribe(bed->feed, &set);
  bed_until(bed, bed_sub_ready(bed, DESK));
}

START_TEST(what_is_taken_within_the_process_is_held_tried_again_and_ordered_like_a_push)
{
  struct taker taker;
  uint64_t first, second;

  bed_customer(bed, "ana");
  taker_subscribe(&taker);
  first = bed_happen(bed, "ana");
  second = bed_happen(bed, "ana");
  bed_until(bed, taker.n == 1);
  taker_answer(&taker, PARLEY_BUSY, 0); /* not tried: it comes at once, and costs nothing */
  bed_step(bed, FEED_BUSY_MS);
  bed_until(bed, taker.n == 2);
  ck_assert_uint_eq(bed_state(bed, DESK).failed, 0);
  taker_answer(&taker, PARLEY_OK, 500);
  ck_assert_uint_eq(bed_state(bed, DESK).failed, 1);
  bed_step(bed, 6000);
  bed_until(bed, taker.n == 3);
  taker_answer(&taker, PARLEY_OK, 200);
  bed_step(bed, 6000); /* the other one waits in the store meanwhile */
  bed_until(bed, taker.n == 4);
  taker_answer(&taker, PARLEY_OK, 200);
  ck_assert(taker.events[0] == first && taker.events[1] == first && taker.events[2] == first && taker.events[3] == second);
  taker.picky = true;
  bed_happen(bed, "ana");
  bed_until(bed, bed_state(bed, DESK).waiting == 0 && bed_state(bed, DESK).cursor > second);
  ck_assert_uint_eq(taker.n, 4);
}
END_TEST

START_TEST(what_is_in_hand_within_the_process_when_the_feed_ends_is_waited_for)
{
  struct taker taker;

  bed_customer(bed, "ana");
  taker_subscribe(&taker);
  bed_happen(bed, "ana");
  bed_until(bed, taker.n == 1);
  bed->closed = false;
  feed_close(&bed->feed, 0, peer_flag, &bed->closed);
  peer_settle(&bed->f.loop);
  ck_assert(!bed->closed);
  taker_answer(&taker, PARLEY_OK, 200);
  peer_until(&bed->f.loop, &bed->closed);
}
END_TEST

START_TEST(during_a_rotation_both_secrets_sign)
{
  static const char *const secrets[] = {SECRET_ONE, SECRET_TWO};
  char url[64];
  struct subscription set = bed_sub(bed, DESK, 'a', url);

  set.n_secrets = 2;
  set.secrets[0] = parley_text_of(secrets[1]);
  set.secrets[1] = parley_text_of(secrets[0]);
  bed_customer(bed, "ana");
  feed_subscribe(bed->feed, &set);
  bed_until(bed, bed_sub_ready(bed, DESK));
  bed_happen(bed, "ana");
  bed_until(bed, bed_state(bed, DESK).pushed == 1);
  ck_assert_uint_eq(strlen(bed->got[0].signature), 2 * STANDARD_WEBHOOKS_ONE_BYTES + 1);
  ck_assert(bed->got[0].verified); /* by the older one */
  set.n_secrets = 1;
  feed_subscribe(bed->feed, &set);
  bed_happen(bed, "ana");
  bed_until(bed, bed_state(bed, DESK).pushed == 2);
  ck_assert(!bed->got[1].verified);
}
END_TEST

START_TEST(a_hung_receiver_fills_a_window_and_no_more_and_harms_nobody_else)
{
  static char names[FEED_WINDOW * 2 + FEED_PAGE][12];
  const int n = FEED_WINDOW + FEED_PAGE;

  for (int i = 0; i < n; i++) {
    snprintf(names[i], sizeof(names[i]), "c%d", i);
    bed_customer(bed, names[i]);
  }
  bed->places[0].hold = true;
  bed_subscribe(bed, DESK, 'a');
  bed_subscribe(bed, OTHER, 'b');
  for (int i = 0; i < n; i++)
    bed_happen(bed, names[i]);
  bed_until(bed, bed_state(bed, OTHER).pushed == (uint64_t)n);
  ck_assert_uint_eq(bed_state(bed, DESK).in_flight, FEED_IN_FLIGHT_MAX);
  ck_assert_uint_eq(bed->n_held, FEED_IN_FLIGHT_MAX);
  ck_assert_uint_le(bed_state(bed, DESK).waiting, FEED_WINDOW);
  bed->places[0].hold = false; /* it wakes up: everything arrives, once */
  bed_let_go(bed, 200);
  bed_until(bed, bed_state(bed, DESK).pushed == (uint64_t)n);
  ck_assert_uint_eq(bed_count(bed, "/a", NULL), (size_t)n);
}
END_TEST

START_TEST(a_closed_door_is_not_knocked_at_by_everyone)
{
  char name[8];
  size_t knocked;

  for (int i = 0; i < 40; i++) {
    snprintf(name, sizeof(name), "c%d", i);
    bed_customer(bed, name);
  }
  bed->places[0].code = 500;
  bed_subscribe(bed, DESK, 'a');
  for (int i = 0; i < 40; i++) {
    snprintf(name, sizeof(name), "c%d", i);
    bed_happen(bed, name);
    peer_settle(&bed->f.loop);
  }
  knocked = bed->n_got;
  ck_assert_uint_eq(knocked, BREAKER_FAILURES);
  ck_assert_int_gt(bed_state(bed, DESK).open_for_ms, 0);
  bed_step(bed, BREAKER_GAP_MIN_MS);
  bed_until(bed, bed->n_got == knocked + 1); /* the probe, alone */
  peer_settle(&bed->f.loop);
  ck_assert_uint_eq(bed->n_got, knocked + 1);
  bed->places[0].code = 200;
  bed_step(bed, BREAKER_GAP_MAX_MS);
  bed_until(bed, bed_state(bed, DESK).pushed == 40);
}
END_TEST

START_TEST(after_a_restart_it_goes_on_where_it_was)
{
  bed_customer(bed, "ana");
  bed_customer(bed, "ben");
  bed->places[0] = (struct place){.bad_customer = "ana", .bad_customer_code = 500, .bad_times = 1};
  bed_subscribe(bed, DESK, 'a');
  bed_happen(bed, "ana");
  bed_happen(bed, "ben");
  bed_until(bed, bed_state(bed, DESK).pushed == 1 && bed_state(bed, DESK).failed == 1);
  bed_feed_close(bed, 0);
  bed_happen(bed, "ben"); /* while nobody pushes */
  bed_happen(bed, "ana");
  bed_feed_open(bed);
  bed_subscribe(bed, DESK, 'a');
  bed_until(bed, bed_state(bed, DESK).pushed == 1);
  ck_assert_int_eq(bed->got[2].number, 2);
  ck_assert_uint_eq(bed_state(bed, DESK).pending, 2);
  bed_step(bed, 5000);
  bed_until(bed, bed_state(bed, DESK).pushed == 3);
  ck_assert_uint_eq(bed->n_got, 5);
  ck_assert_str_eq(bed->got[3].id, bed->got[0].id);
  ck_assert_int_eq(bed->got[4].number, 3);
}
END_TEST

START_TEST(a_push_that_is_cut_by_the_end_comes_again_after_it)
{
  bed_customer(bed, "ana");
  bed_subscribe(bed, DESK, 'a');
  bed->places[0].hold = true;
  bed_happen(bed, "ana");
  bed_until(bed, bed->n_held == 1);
  bed_feed_close(bed, 0);
  bed_let_go(bed, 200);
  bed->places[0].hold = false;
  bed_feed_open(bed);
  bed_subscribe(bed, DESK, 'a');
  bed_until(bed, bed_state(bed, DESK).pushed == 1);
  ck_assert_uint_eq(bed->n_got, 2);
  ck_assert_str_eq(bed->got[0].id, bed->got[1].id);
}
END_TEST

START_TEST(an_end_with_time_lets_pushes_settle)
{
  bool closed = false;

  bed_customer(bed, "ana");
  bed_subscribe(bed, DESK, 'a');
  bed->places[0].hold = true;
  bed_happen(bed, "ana");
  bed_until(bed, bed->n_held == 1);
  feed_close(&bed->feed, 10000, peer_flag, &closed);
  peer_settle(&bed->f.loop);
  ck_assert(!closed);
  bed_let_go(bed, 200);
  peer_until(&bed->f.loop, &closed);
  bed->places[0].hold = false;
  bed_feed_open(bed);
  bed_subscribe(bed, DESK, 'a');
  peer_settle(&bed->f.loop);
  ck_assert_uint_eq(bed->n_got, 1);
}
END_TEST

START_TEST(an_end_whose_time_is_over_cuts_pushes)
{
  struct feed *feed = bed->feed;
  bool closed = false;

  bed_customer(bed, "ana");
  bed_subscribe(bed, DESK, 'a');
  bed->places[0].hold = true;
  bed_happen(bed, "ana");
  bed_until(bed, bed->n_held == 1);
  feed_close(&bed->feed, 10000, peer_flag, &closed);
  env_fake_step(&bed->f.fake, 9999);
  feed_tick(feed);
  peer_settle(&bed->f.loop);
  ck_assert(!closed);
  env_fake_step(&bed->f.fake, 1);
  feed_tick(feed);
  peer_until(&bed->f.loop, &closed);
}
END_TEST

START_TEST(a_full_disk_keeps_what_is_owed_in_memory_until_it_can_be_saved)
{
  bed_customer(bed, "ana");
  bed->places[0].code = 500;
  bed_subscribe(bed, DESK, 'a');
  bed_happen(bed, "ana");
  bed_until(bed, bed_state(bed, DESK).failed == 1);
  atomic_store(&fault.write_code, SQLITE_FULL);
  atomic_store(&fault.stays, true);
  atomic_store(&fault.until_write, 0);
  bed_step(bed, FEED_SAVE_MS);
  bed_until(bed, sub_of(DESK)->save_again_ms != 0);
  ck_assert_uint_eq(bed_state(bed, DESK).pending, 1);
  ck_assert_int_eq(rows(false), 0);
  fault_off();
  bed_step(bed, FEED_STORE_RETRY_MS);
  bed_until(bed, rows(false) == 1 && sub_of(DESK)->save_again_ms == 0);
  bed->places[0].code = 200;
  bed_step(bed, 5000);
  bed_until(bed, bed_state(bed, DESK).pushed == 1);
}
END_TEST

START_TEST(only_what_passes_types_and_filters_is_pushed)
{
  char url[64], other_url[64];
  struct subscription set = bed_sub(bed, DESK, 'a', url), other = bed_sub(bed, OTHER, 'b', other_url);
  struct store_touchpoint touch = {.type = PARLEY_LIT("visit"),
                                   .channel = PARLEY_LIT("mail"),
                                   .now_ms = bed->f.fake.now_ms,
                                   .who.external = PARLEY_LIT("ana")};

  bed_customer(bed, "ana");
  set.filter_channel = PARLEY_LIT("mail");
  other.types[0] = PARLEY_LIT("customer.created");
  feed_subscribe(bed->feed, &set);
  feed_subscribe(bed->feed, &other);
  bed_until(bed, bed_sub_ready(bed, DESK) && bed_sub_ready(bed, OTHER));
  bed_happen(bed, "ana");
  bed_customer(bed, "ben");
  bed_run(bed, &touch.op, STORE_TOUCHPOINT);
  arena_free(&touch.op.arena);
  bed_until(bed, bed_state(bed, DESK).pushed == 1 && bed_state(bed, OTHER).pushed == 1);
  peer_settle(&bed->f.loop);
  ck_assert_uint_eq(bed->n_got, 2);
  ck_assert_uint_eq(bed_count(bed, "/b", "ben"), 1);
}
END_TEST

START_TEST(events_about_nobody_keep_their_order_too)
{
  bed_subscribe(bed, DESK, 'a');
  for (int i = 0; i < 5; i++) {
    char url[64];
    struct subscription set = bed_sub(bed, DESK, 'a', url);
    struct store_doc_put put = {
        .doc = {.kind = PARLEY_LIT("channel"), .name = PARLEY_LIT("mail"), .json = PARLEY_LIT("{}")},
        .version = -1,
        .event_type = i % 2 == 0 ? "channel.paused" : "channel.resumed",
        .event_data = PARLEY_LIT("{}")};

    set.types[0] = PARLEY_LIT("channel.*");
    if (i == 0) {
      feed_subscribe(bed->feed, &set);
      bed->places[0].hold = true;
    }
    bed_run(bed, &put.op, STORE_DOC_PUT);
    arena_free(&put.op.arena);
  }
  bed_until(bed, bed->n_held == 1);
  peer_settle(&bed->f.loop);
  ck_assert_uint_eq(bed->n_held, 1);
  bed->places[0].hold = false;
  bed_let_go(bed, 200);
  bed_until(bed, bed_state(bed, DESK).pushed == 5);
  for (size_t i = 0; i < 5; i++)
    ck_assert_str_eq(bed->got[i].type, i % 2 == 0 ? "channel.paused" : "channel.resumed");
}
END_TEST

START_TEST(a_subscription_that_goes_takes_its_pushes_along)
{
  bed_customer(bed, "ana");
  bed_subscribe(bed, DESK, 'a');
  bed->places[0].hold = true;
  bed_happen(bed, "ana");
  bed_until(bed, bed->n_held == 1);
  feed_unsubscribe(bed->feed, DESK);
  bed_until(bed, list_empty(&bed->feed->subs));
  bed_happen(bed, "ana");
  peer_settle(&bed->f.loop);
  ck_assert_uint_eq(bed->n_got, 1);
}
END_TEST

struct tested {
  bool done;
  uint32_t code;
  char reason[64];
};

static void on_tested(uint32_t code, parley_text reason, void *arg)
{
  struct tested *tested = arg;

  tested->done = true;
  tested->code = code;
  bed_copy(tested->reason, sizeof(tested->reason), reason);
}

START_TEST(a_test_event_shows_what_the_receiver_says)
{
  struct tested tested = {0};

  bed_subscribe(bed, DESK, 'a');
  feed_test(bed->feed, DESK, on_tested, &tested);
  ck_assert(!tested.done);
  peer_until(&bed->f.loop, &tested.done);
  ck_assert_uint_eq(tested.code, 200);
  ck_assert_str_eq(tested.reason, "");
  ck_assert_str_eq(bed->got[0].type, "subscription.test");
  ck_assert(bed->got[0].verified);
  bed->places[0].code = 503;
  tested.done = false;
  feed_test(bed->feed, DESK, on_tested, &tested);
  peer_until(&bed->f.loop, &tested.done);
  ck_assert_uint_eq(tested.code, 503);
  ck_assert_str_eq(tested.reason, "http_503: Service Unavailable");
  tested.done = false;
  feed_test(bed->feed, 99, on_tested, &tested);
  peer_until(&bed->f.loop, &tested.done);
  ck_assert_uint_eq(tested.code, 0);
  ck_assert(strncmp(tested.reason, "unknown_subscription", 20) == 0);
}
END_TEST

static const struct {
  const char *type;
  const char *types[2];
  bool want;
} matches[] = {
    {"message.received", {NULL}, true},
    {"message.received", {"message.received"}, true},
    {"message.received", {"message.status", "message.received"}, true},
    {"message.received", {"message.*"}, true},
    {"message.received", {"*"}, true},
    {"message.received", {"message.rec"}, false},
    {"message", {"message.*"}, false},
    {"messages.received", {"message.*"}, false},
    {"consent.granted", {"message.*", "customer.*"}, false},
};

START_TEST(types_match_exactly_or_by_family)
{
  parley_text types[2];
  size_t n = 0;

  while (n < 2 && matches[_i].types[n] != NULL) {
    types[n] = parley_text_of(matches[_i].types[n]);
    n++;
  }
  ck_assert_int_eq(event_type_matches(parley_text_of(matches[_i].type), types, n), matches[_i].want);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("feed push");
  TCase *tcase = tcase_create("push"), *pure = tcase_create("pure");

  tcase_add_checked_fixture(tcase, set_up, tear_down);
  tcase_set_timeout(tcase, 60);
  tcase_add_test(tcase, an_event_is_pushed_signed_with_what_is_known_of_the_customer);
  tcase_add_test(tcase, a_new_subscription_begins_at_the_end_of_the_log);
  tcase_add_test(tcase, events_of_one_customer_arrive_in_order_one_at_a_time);
  tcase_add_test(tcase, a_failed_event_is_tried_again_under_the_same_id_and_holds_only_its_customer);
  tcase_add_test(tcase, what_comes_while_a_customer_is_held_back_waits_its_turn);
  tcase_add_test(tcase, after_five_days_an_event_is_dead_kept_and_may_be_replayed);
  tcase_add_test(tcase, an_event_that_one_replay_has_delivered_is_not_dead_for_the_next);
  tcase_add_test(tcase, two_replays_at_once_push_an_event_once);
  tcase_add_test(tcase, a_replayed_event_that_fails_again_begins_anew);
  tcase_add_test(tcase, single_events_can_be_replayed_though_they_had_arrived);
  tcase_add_test(tcase, gone_disables_the_subscription_and_loses_nothing);
  tcase_add_loop_test(tcase, what_is_no_2xx_is_tried_again_when_the_receiver_says_within_limits, 0, COUNT_OF(answers));
  tcase_add_test(tcase, a_200_with_a_retry_after_is_a_success);
  tcase_add_test(tcase, who_asks_for_quiet_is_left_alone_as_a_whole);
  tcase_add_test(tcase, during_a_rotation_both_secrets_sign);
  tcase_add_test(tcase, a_hung_receiver_fills_a_window_and_no_more_and_harms_nobody_else);
  tcase_add_test(tcase, a_closed_door_is_not_knocked_at_by_everyone);
  tcase_add_test(tcase, after_a_restart_it_goes_on_where_it_was);
  tcase_add_test(tcase, a_push_that_is_cut_by_the_end_comes_again_after_it);
  tcase_add_test(tcase, an_end_with_time_lets_pushes_settle);
  tcase_add_test(tcase, an_end_whose_time_is_over_cuts_pushes);
  tcase_add_test(tcase, a_full_disk_keeps_what_is_owed_in_memory_until_it_can_be_saved);
  tcase_add_test(tcase, only_what_passes_types_and_filters_is_pushed);
  tcase_add_test(tcase, events_about_nobody_keep_their_order_too);
  tcase_add_test(tcase, a_subscription_that_goes_takes_its_pushes_along);
  tcase_add_test(tcase, a_test_event_shows_what_the_receiver_says);
  tcase_add_loop_test(pure, types_match_exactly_or_by_family, 0, COUNT_OF(matches));
  tcase_add_test(tcase, what_is_taken_within_the_process_is_held_tried_again_and_ordered_like_a_push);
  tcase_add_test(tcase, what_is_in_hand_within_the_process_when_the_feed_ends_is_waited_for);
  suite_add_tcase(suite, tcase);
  suite_add_tcase(suite, pure);
  return peer_main(suite);
}
