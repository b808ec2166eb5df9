/* Messages that were in a plugin's process when it died, from the API to the channel and back: each is tried alone, and
 * the one that kills it is held. The process is this test: it keeps what is submitted to "mail", and dies when told. */
#include "api_fixture.h"
#include "core/channel/instance.h"
#include "core/deliver/breaker.h"
#include "core/deliver/turns.h"

#define BATCH_MAX 100

static struct api_fixture f;
static struct {
  parley_plugin table;
  size_t n; /* in hand */
  struct {
    uint64_t token;
    char id[ID_TEXT_MAX];
  } in_hand[BATCH_MAX];
} process;

static parley_status process_submit(parley_channel *ch, uint64_t token, const parley_message *message)
{
  (void)ch;
  ck_assert_uint_lt(process.n, BATCH_MAX);
  process.in_hand[process.n].token = token;
  snprintf(process.in_hand[process.n].id, ID_TEXT_MAX, "%.*s", TEXT_ARG(message->id));
  process.n++;
  return PARLEY_OK;
}

/* Stands in for the fixture's channel from now on. */
static void process_start(uint32_t window)
{
  process.table = *f.channels[0]->table;
  process.table.submit = process_submit;
  process.n = 0;
  f.channels[0]->table = &process.table;
  f.channels[0]->window = window;
}

static void setup(void)
{
  api_fixture_init(&f);
  process_start(BATCH_MAX);
}

static void teardown(void)
{
  api_fixture_done(&f);
}

static void process_die(void)
{
  for (size_t i = 0; i < process.n; i++)
    channel_settle_died(f.channels[0], process.in_hand[i].token);
  process.n = 0;
}

static size_t process_find(const char *id)
{
  for (size_t i = 0; i < process.n; i++) {
    if (strcmp(process.in_hand[i].id, id) == 0)
      return i;
  }
  ck_abort_msg("%s is not in hand", id);
  return 0;
}

static void process_accept(const char *id)
{
  size_t at = process_find(id);
  uint64_t token = process.in_hand[at].token;

  process.in_hand[at] = process.in_hand[--process.n];
  channel_settle(f.channels[0], token, PARLEY_REF(parley_outcome, .result = PARLEY_OUTCOME_ACCEPTED));
}

static void wait_in_hand(size_t n)
{
  uint64_t deadline = peer_deadline();

  while (process.n != n && !peer_late(deadline))
    peer_turn(&f.loop, -1, 0, 20);
  ck_assert_uint_eq(process.n, n);
  peer_settle(&f.loop); /* and no more comes */
  ck_assert_uint_eq(process.n, n);
}

/* Until every outcome is stored. */
static void wait_stored(void)
{
  struct deliver_counters counters;
  uint64_t deadline = peer_deadline();

  do {
    peer_turn(&f.loop, -1, 0, 20);
    deliver_counters(f.deliver, PARLEY_LIT("mail"), &counters);
  } while (counters.held + counters.in_flight > 0 && !peer_late(deadline));
  ck_assert_uint_eq(counters.held + counters.in_flight, 0);
}

static void later(int64_t ms)
{
  env_fake_step(&f.fake, ms);
  deliver_poke(f.deliver, PARLEY_LIT("mail"));
}

static const char *send_to(int at, const char *address)
{
  char body[512];

  snprintf(body, sizeof body, "{\"to\":{\"email\":\"%s\"},\"topic\":\"orders\",\"content\":{\"text\":\"x\"}}", address);
  ask(&f, "POST", "/v1/messages", body);
  ck_assert_code(&f, 202);
  return keep(at, "id");
}

static void look(const char *id)
{
  ask_at(&f, "GET", NULL, "/v1/messages/%s", id);
  ck_assert_code(&f, 200);
}

static void assert_deaths(const char *id, int deaths)
{
  look(id);
  ck_assert_msg(said_int(&f, "deliveries.0.deaths") == deaths, "%s: %s", id, f.body);
}

/* --- One of many kills it ----------------------------------------------------------------------------------------- */

static struct {
  size_t n;
  char ids[BATCH_MAX][ID_TEXT_MAX];
} batch;

static void batch_send(size_t n)
{
  struct buf body = BUF_INIT(0);
  char path[48];

  buf_str(&body, "{\"items\":[");
  for (size_t i = 0; i < n; i++)
    buf_printf(&body, "%s{\"to\":{\"email\":\"m%zu@example.org\"},\"topic\":\"orders\",\"content\":{\"text\":\"x\"}}",
               i > 0 ? "," : "", i);
  buf_str(&body, "]}");
  ask(&f, "POST", "/v1/messages/batch", body.at);
  ck_assert_code(&f, 200);
  buf_done(&body);
  batch.n = n;
  for (size_t i = 0; i < n; i++) {
    snprintf(path, sizeof path, "items.%zu.message.id", i);
    snprintf(batch.ids[i], ID_TEXT_MAX, "%s", said_text(&f, path));
    ck_assert_int_eq(strncmp(batch.ids[i], "msg_", 4), 0);
  }
}

static void restart(uint32_t window)
{
  api_fixture_down(&f);
  api_fixture_up(&f);
  process_start(window);
}

/* Lets the process do its work: it dies of `killer`, takes all others. Returns when nothing has come for five minutes
 * of its clock; *ret_deaths: how often it died. Never holds more than one. */
static void process_work(const char *killer, size_t restart_after, uint32_t window, unsigned *ret_deaths)
{
  size_t done = 0;

  *ret_deaths = 0;
  for (int idle = 0; idle < 60;) {
    for (int i = 0; i < 5 && process.n == 0; i++)
      peer_turn(&f.loop, -1, 0, 2);
    if (process.n == 0) {
      later(5000);
      idle++;
      continue;
    }
    peer_settle(&f.loop);
    ck_assert_uint_eq(process.n, 1);
    idle = 0;
    if (strcmp(process.in_hand[0].id, killer) != 0) {
      process_accept(process.in_hand[0].id);
    } else {
      process_die();
      ++*ret_deaths;
    }
    if (++done == restart_after)
      restart(window);
  }
}

static void assert_mass_death(size_t n)
{
  struct deliver_counters counters;
  char line[80];

  deliver_counters(f.deliver, PARLEY_LIT("mail"), &counters);
  ck_assert_uint_eq(counters.deaths, n);
  ck_assert_uint_eq(counters.possible_duplicates, n);
  ck_assert_uint_eq(counters.by_outcome[PARLEY_OUTCOME_UNKNOWN], n);
  ck_assert_uint_eq(counters.breakers_open, 0); /* the endpoint has done nothing wrong */
  snprintf(line, sizeof line, "parley_attempts_died_total{channel=\"mail\"} %zu\n", n);
  ask(&f, "GET", "/metrics", NULL);
  ck_assert_ptr_nonnull(strstr(f.body, line));
}

static const struct {
  size_t n, killer, restart_after;
} mass[] = {{64, 17, 30}, {64, 0, 1}, {LANE_SUSPECTS_MAX + 36, LANE_SUSPECTS_MAX + 20, 50}};

START_TEST(the_one_that_kills_it_is_held_after_three_deaths_and_the_others_are_sent_with_one)
{
  size_t n = mass[_i].n, killer = mass[_i].killer;
  unsigned deaths;

  batch_send(n);
  wait_in_hand(n);
  process_die();
  wait_stored();
  assert_mass_death(n);
  process_work(batch.ids[killer], mass[_i].restart_after, (uint32_t)n, &deaths);
  ck_assert_uint_eq(1 + deaths, POISON_DEATHS);
  for (size_t i = 0; i < n; i++) {
    assert_deaths(batch.ids[i], i == killer ? POISON_DEATHS : 1);
    ck_assert_str_eq(said_text(&f, "status"), i == killer ? "held" : "sent");
    ck_assert_int_eq(json_is_true(said(&f, "possible_duplicate")), 1);
    ck_assert_ptr_null(strstr(f.body, "\"restarted\"")); /* what was held went back in good order */
  }
  look(batch.ids[killer]);
  ck_assert_str_eq(said_text(&f, "reason"), "poison");
  ck_assert_str_eq(said_text(&f, "attempts.0.outcome"), "unknown");
  ck_assert_str_eq(said_text(&f, "attempts.0.code"), "plugin_died");
  ask_at(&f, "POST", "{\"as\":\"resend\"}", "/v1/messages/%s/resolve", batch.ids[killer]);
  ck_assert_code(&f, 200);
  wait_in_hand(1);
  process_accept(batch.ids[killer]);
  wait_stored();
  look(batch.ids[killer]);
  ck_assert_str_eq(said_text(&f, "status"), "sent");
  ck_assert_ptr_null(said(&f, "deliveries.0.deaths"));
}
END_TEST

/* --- Beside others ------------------------------------------------------------------------------------------------ */

/* One suspect, due. */
static const char *suspect_make(void)
{
  const char *id = send_to(0, "ana@example.org");

  wait_in_hand(1);
  process_die();
  wait_stored();
  return id;
}

START_TEST(a_suspect_goes_when_the_line_is_empty_and_nothing_follows_until_it_has_settled)
{
  const char *suspect = suspect_make(), *b = send_to(1, "b@example.org"), *c = send_to(2, "c@example.org"), *d;

  wait_in_hand(2); /* others flow until it is due */
  later(5000);
  wait_in_hand(2);
  d = send_to(3, "d@example.org");
  wait_in_hand(2); /* and wait for it then */
  process_accept(b);
  wait_in_hand(1);
  process_accept(c);
  wait_in_hand(1);
  process_find(suspect);
  process_accept(suspect);
  wait_in_hand(1);
  process_accept(d);
  wait_stored();
  assert_deaths(suspect, 1);
}
END_TEST

START_TEST(a_line_that_does_not_run_down_flows_again)
{
  const char *suspect = suspect_make(), *hung = send_to(1, "b@example.org"), *d;

  wait_in_hand(1);
  later(5000);
  d = send_to(2, "d@example.org");
  wait_in_hand(1);
  later(TURNS_PATIENCE_MIN_MS);
  wait_in_hand(2);
  process_accept(d);
  process_accept(hung);
  wait_in_hand(1);
  process_accept(suspect);
  wait_stored();
}
END_TEST

START_TEST(a_suspect_that_hangs_shares_the_line_and_is_not_blamed_for_what_dies_then)
{
  const char *suspect = suspect_make(), *d;

  later(5000);
  wait_in_hand(1);
  d = send_to(1, "d@example.org");
  wait_in_hand(1);
  later(TURNS_ALONE_MS);
  wait_in_hand(2);
  process_die();
  wait_stored();
  assert_deaths(suspect, 1);
  assert_deaths(d, 1);
}
END_TEST

START_TEST(a_test_message_neither_waits_for_a_suspect_nor_takes_its_blame)
{
  const char *suspect = suspect_make();
  uint64_t deadline = peer_deadline();

  later(5000);
  wait_in_hand(1);
  ask_raw(&f, "POST", "/v1/messages", TESTER, "", simple_message, strlen(simple_message));
  ck_assert_code(&f, 202);
  do
    ask(&f, "GET", "/v1/channels/mail/sink?test=true", NULL);
  while (said_int(&f, "count") == 0 && !peer_late(deadline));
  ck_assert_int_eq(said_int(&f, "count"), 1);
  process_find(suspect);
  process_die();
  wait_stored();
  assert_deaths(suspect, 2);
}
END_TEST

START_TEST(a_breakers_probe_that_dies_leaves_its_place_free)
{
  struct deliver_counters counters;
  uint64_t token;

  batch_send(BREAKER_FAILURES);
  wait_in_hand(BREAKER_FAILURES);
  while (process.n > 0) {
    token = process.in_hand[--process.n].token;
    channel_settle(f.channels[0], token, PARLEY_REF(parley_outcome, .result = PARLEY_OUTCOME_RETRY));
  }
  wait_stored();
  later(BREAKER_GAP_MIN_MS);
  wait_in_hand(1); /* the probe */
  process_die();
  wait_stored();
  later(BREAKER_GAP_MIN_MS);
  wait_in_hand(1);
  process_accept(process.in_hand[0].id);
  deliver_counters(f.deliver, PARLEY_LIT("mail"), &counters);
  ck_assert_uint_eq(counters.breakers_open, 0);
}
END_TEST

/* Of one customer, oldest first: m0 m1 m2; beside them o of another. All that is in hand dies once; with _i 1, m0 kills
 * it until it is held. */
START_TEST(an_ordered_channel_keeps_its_order)
{
  const char *m[3], *o, *went[4];
  size_t n_went = 0, next = (size_t)_i;

  f.policy->channels[0].flags |= PARLEY_ORDERED;
  for (int i = 0; i < 3; i++)
    m[i] = send_to(i, "ana@example.org");
  o = send_to(3, "bo@example.org");
  wait_in_hand(2);
  process_die();
  wait_stored();
  for (int i = 0; i < 200 && n_went < 4u - next; i++) {
    later(5000);
    for (int k = 0; k < 5 && process.n == 0; k++)
      peer_turn(&f.loop, -1, 0, 2);
    peer_settle(&f.loop);
    if (process.n == 0)
      continue;
    if (_i == 1 && strcmp(process.in_hand[0].id, m[0]) == 0) {
      ck_assert_uint_eq(process.n, 1);
      process_die();
      continue;
    }
    for (size_t k = 0; k < 4; k++) {
      const char *id = k < 3 ? m[k] : o;

      if (process.n > 0 && strcmp(process.in_hand[0].id, id) == 0) {
        went[n_went++] = id;
        process_accept(id);
        break;
      }
    }
  }
  ck_assert_uint_eq(n_went, 4u - next);
  for (size_t i = 0; i < n_went; i++) {
    if (went[i] == o)
      continue;
    ck_assert_str_eq(went[i], m[next]);
    next++;
  }
  wait_stored();
  assert_deaths(m[0], _i == 1 ? POISON_DEATHS : 1);
  assert_deaths(o, 1);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("deliver: poison");
  TCase *tcase = tcase_create("all");

  tcase_add_checked_fixture(tcase, setup, teardown);
  tcase_set_timeout(tcase, 120);
  tcase_add_loop_test(tcase, the_one_that_kills_it_is_held_after_three_deaths_and_the_others_are_sent_with_one, 0,
                      COUNT_OF(mass));
  tcase_add_test(tcase, a_suspect_goes_when_the_line_is_empty_and_nothing_follows_until_it_has_settled);
  tcase_add_test(tcase, a_line_that_does_not_run_down_flows_again);
  tcase_add_test(tcase, a_suspect_that_hangs_shares_the_line_and_is_not_blamed_for_what_dies_then);
  tcase_add_test(tcase, a_test_message_neither_waits_for_a_suspect_nor_takes_its_blame);
  tcase_add_test(tcase, a_breakers_probe_that_dies_leaves_its_place_free);
  tcase_add_loop_test(tcase, an_ordered_channel_keeps_its_order, 0, 2);
  suite_add_tcase(suite, tcase);
  return peer_main(suite);
}
