/* What is kept for a time only: nothing before its time, nothing that is not final, and what is shown afterwards is honest. */
#include "store_rows.h"

#define DAY_MS INT64_C(86400000)
#define DAYS(n) ((n) * DAY_MS)
#define TURN_MS 61000 /* so long after, everything is looked at again */
#define SUB 77

static struct rows rows;
static const struct store_keep keep_default = {DAYS(365), DAYS(30), DAYS(365), DAYS(90)};

static id64 id_of(int64_t age_days, unsigned n)
{
  return ((id64)(START_MS - DAYS(age_days) - ID_EPOCH_MS) << (ID_NODE_BITS + ID_COUNTER_BITS)) + n;
}

static void setup(void)
{
  rows_init(&rows);
}

static void teardown(void)
{
  rows_done(&rows);
}

static void round_run(const struct store_keep *keep, const id64 *holders, size_t n)
{
  struct store_retain retain = {.keep = keep, .holders = holders, .n_holders = n};

  rows.f.fake.mono_ms += TURN_MS;
  ck_assert_int_eq(fixture_run(&rows.f, &retain.op, STORE_RETAIN), PARLEY_OK);
  arena_free(&retain.op.arena);
}

/* Rounds, as any write brings one about, some time after the last. Two: the store's own may have come before the first. */
static void turn(const struct store_keep *keep, const id64 *holders, size_t n)
{
  round_run(keep, holders, n);
  round_run(NULL, NULL, 0);
}

static void turns(int n)
{
  for (int i = 0; i < n; i++)
    turn(NULL, NULL, 0);
}

static int64_t count(const char *table)
{
  char sql[64];

  snprintf(sql, sizeof(sql), "SELECT count(*) FROM %s", table);
  return fixture_sql(&rows.f, sql);
}

/* Opened as after a long time: all that stands in the tables is written behind. */
static void open_all(const id64 *holders, size_t n)
{
  rows_written_behind(&rows, "timeline_recent", id_of(0, 0));
  rows_open(&rows);
  turn(&keep_default, holders, n);
}

/* --- bodies ------------------------------------------------------------------------------------------------------------------- */

static const struct {
  const char *what;
  int64_t age_days;
  int inbound;
  enum delivery_state state;
  int held;
  int n_go;
  int64_t expires_days, not_before_days; /* ago; -1: none, or in the future */
  bool gone;
} bodies[] = {
    {"sent and over", 366, 0, DELIVERY_SENT, 0, 1, 365, -1, true},
    {"delivered", 400, 0, DELIVERY_DELIVERED, 0, 1, 399, -1, true},
    {"failed", 400, 0, DELIVERY_FAILED, 0, 1, 399, -1, true},
    {"cancelled", 400, 0, DELIVERY_CANCELLED, 0, 1, 399, -1, true},
    {"what came in", 400, 1, DELIVERY_SENT, 0, 0, -1, -1, true},
    {"younger", 364, 0, DELIVERY_SENT, 0, 1, 363, -1, false},
    {"what came in, younger", 364, 1, DELIVERY_SENT, 0, 0, -1, -1, false},
    {"queued", 400, 0, DELIVERY_QUEUED, 0, 1, -1, -1, false},
    {"sending", 400, 0, DELIVERY_SENDING, 0, 1, -1, -1, false},
    {"held for a decision", 400, 0, DELIVERY_UNKNOWN, 1, 1, 399, -1, false},
    {"asked about", 400, 0, DELIVERY_UNKNOWN, 0, 1, 399, -1, false},
    {"planned", 400, 0, DELIVERY_PLANNED, 0, 1, 399, -1, false},
    {"sent, and another step may follow", 400, 0, DELIVERY_SENT, 0, 2, -1, -1, false},
    {"sent, its other step over", 400, 0, DELIVERY_SENT, 0, 2, 399, -1, true},
    {"sent, without an expiry and another step", 400, 0, DELIVERY_SENT, 0, 1, -1, -1, true},
    {"sent late, as it was to be", 400, 0, DELIVERY_SENT, 0, 1, 9, 10, false},
    {"sent late, long ago", 600, 0, DELIVERY_SENT, 0, 1, 399, 400, true},
};

static void body_put(size_t i, const char *body, int flags)
{
  id64 id = id_of(bodies[i].age_days, (unsigned)i + 1);
  int64_t at_ms = START_MS - DAYS(bodies[i].age_days);

  rows_exec(&rows,
            "INSERT INTO message VALUES(%llu,%d,1,5,7,0,9,%lld,%lld,%lld,%lld,%d,3,1,%d,-1,'orders','k','c','mail','email','p','r',"
            "'why','{\"f\":0}','%s')",
            (unsigned long long)id, bodies[i].inbound ? DIR_IN : DIR_OUT, (long long)at_ms, (long long)at_ms,
            (long long)(bodies[i].expires_days < 0 ? 0 : START_MS - DAYS(bodies[i].expires_days)),
            (long long)(bodies[i].not_before_days < 0 ? 0 : START_MS - DAYS(bodies[i].not_before_days)), flags, bodies[i].n_go, body);
  if (bodies[i].inbound)
    return;
  rows_exec(&rows,
            "INSERT INTO delivery(message,step,id,customer,identity,conversation,channel,channel_kind,lane,state,held,due,wake,expires,"
            "attempt,token,session,ordered,started,attempt_started,address_kind,address,until,within)"
            " VALUES(%llu,0,%llu,5,7,0,'mail','email',2,%d,%d,9,0,0,1,1,99,0,1,1,'email','ana@example.org',1,0)",
            (unsigned long long)id, (unsigned long long)id + 1000, (int)bodies[i].state, bodies[i].held);
}

static struct message_row *shown(id64 id)
{
  struct store_message ask = {.id = id};

  ck_assert_int_eq(rows_read(&rows, &ask.op, STORE_MESSAGE), PARLEY_OK);
  return ask.row;
}

START_TEST(a_body_goes_when_its_time_is_over_and_its_message_is_final)
{
  const struct message_row *row;

  rows_customer(&rows, 5, 0);
  body_put((size_t)_i, "{\"content\":{}}", 0);
  open_all(NULL, 0);
  turns(2);
  row = shown(id_of(bodies[_i].age_days, (unsigned)_i + 1));
  ck_assert_msg(row->body_expired == bodies[_i].gone, "%s", bodies[_i].what);
  ck_assert_msg((row->body.len == 0) == bodies[_i].gone, "%s", bodies[_i].what);
  ck_assert_msg((row->decision.len == 0) == bodies[_i].gone, "%s", bodies[_i].what);
  ck_assert_int_eq(row->at_ms, START_MS - DAYS(bodies[_i].age_days));
  ck_assert(parley_text_is(row->topic, "orders") && parley_text_is(row->campaign, "c"));
  ck_assert(bodies[_i].inbound || parley_text_is(row->key, "k"));
  ck_assert_uint_eq(row->identity, 7);
}
END_TEST

START_TEST(what_was_passed_over_goes_when_it_has_become_final)
{
  id64 held = id_of(400, 10);

  body_put(9, "x", 0); /* held */
  body_put(0, "x", 0);
  open_all(NULL, 0);
  turns(2);
  ck_assert_int_eq(count("late"), 1);
  ck_assert(!shown(held)->body_expired);
  fixture_exec(&rows.f, "UPDATE delivery SET state=3, held=0");
  turns(1);
  ck_assert(shown(held)->body_expired);
  ck_assert_int_eq(count("late"), 0);
}
END_TEST

START_TEST(a_long_body_goes_from_its_own_table)
{
  body_put(0, "", MESSAGE_BODY_APART);
  rows_exec(&rows, "INSERT INTO body VALUES(%llu,'long')", (unsigned long long)id_of(366, 1));
  open_all(NULL, 0);
  ck_assert_int_eq(count("body"), 0);
  ck_assert(shown(id_of(366, 1))->body_expired);
}
END_TEST

/* Many of them, in slices; the rows are all there afterwards, and so is the order of the log. */
START_TEST(a_thousand_bodies_go_in_slices_and_leave_their_room)
{
  char body[1800];
  int64_t before;

  memset(body, 'x', sizeof(body) - 1);
  body[sizeof(body) - 1] = '\0';
  for (unsigned n = 0; n < 10; n++)
    rows_exec(&rows, "INSERT INTO message VALUES(%llu,1,1,5,7,0,9,1,1,0,0,0,3,0,0,3,'orders','','','mail','email','p','','','','%s')",
              (unsigned long long)id_of(400, n + 1), body);
  for (unsigned more = 10; more < 1000; more *= 2)
    rows_exec(&rows, "INSERT INTO message SELECT id+%u,dir,kind,customer,identity,conversation,api_key,created,at,expires,not_before,"
                     "flags,class,n_steps,n_go,end_state,topic,key,campaign,channel,channel_kind,provider_id,in_reply_to,reason,"
                     "decision,body FROM message", more);
  before = rows.f.postgres ? 0 : fixture_sql(&rows.f, "SELECT freelist_count FROM pragma_freelist_count");
  open_all(NULL, 0);
  turns(60);
  ck_assert_int_eq(count("message"), 1280);
  ck_assert_int_eq(fixture_sql(&rows.f, "SELECT count(*) FROM message WHERE flags=32"), 1280);
  if (!rows.f.postgres)
    ck_assert_int_gt(fixture_sql(&rows.f, "SELECT freelist_count FROM pragma_freelist_count"), before + 400);
}
END_TEST

/* --- raw envelopes and attempts ------------------------------------------------------------------------------------------------ */

START_TEST(raw_envelopes_go_by_age)
{
  static const struct { int64_t age_days; bool gone; } raws[] = {{500, true}, {31, true}, {29, false}, {0, false}};

  for (unsigned i = 0; i < 4; i++)
    rows_exec(&rows, "INSERT INTO raw VALUES(%llu,'{}')", (unsigned long long)id_of(raws[i].age_days, 1));
  open_all(NULL, 0);
  for (unsigned i = 0; i < 4; i++) {
    char sql[96];

    snprintf(sql, sizeof(sql), "SELECT count(*) FROM raw WHERE message=%llu", (unsigned long long)id_of(raws[i].age_days, 1));
    ck_assert_int_eq(fixture_sql(&rows.f, sql), !raws[i].gone);
  }
}
END_TEST

static void attempt_put(id64 message, int64_t age_days, unsigned token)
{
  rows_exec(&rows, "INSERT INTO attempt VALUES(%llu,0,%u,%llu,%u,1,2,1,'','','')", (unsigned long long)message, token,
            (unsigned long long)id_of(age_days, 900 + token), token);
}

START_TEST(attempts_go_by_age_once_their_message_is_final)
{
  const struct message_row *row;

  body_put(1, "x", 0); /* delivered, 400 days */
  attempt_put(id_of(400, 2), 400, 1);
  body_put(9, "x", 0); /* held */
  attempt_put(id_of(400, 10), 400, 1);
  body_put(16, "x", 0); /* sent late: one of its attempts is young */
  attempt_put(id_of(600, 17), 400, 1);
  attempt_put(id_of(600, 17), 89, 2);
  open_all(NULL, 0);
  ck_assert_int_eq(count("attempt"), 2);
  row = shown(id_of(400, 2));
  ck_assert(row->attempts_expired && row->n_attempts == 0);
  row = shown(id_of(400, 10));
  ck_assert(!row->attempts_expired && row->n_attempts == 1);
  row = shown(id_of(600, 17));
  ck_assert(!row->attempts_expired && row->n_attempts == 1);
}
END_TEST

START_TEST(a_message_that_never_had_attempts_says_nothing_of_them)
{
  body_put(1, "x", 0);
  attempt_put(id_of(400, 2), 400, 1);
  body_put(3, "x", 0); /* cancelled before anything was tried */
  fixture_exec(&rows.f, "UPDATE delivery SET attempt=0 WHERE state=9");
  open_all(NULL, 0);
  ck_assert(shown(id_of(400, 2))->attempts_expired);
  ck_assert(!shown(id_of(400, 4))->attempts_expired);
}
END_TEST

/* --- events -------------------------------------------------------------------------------------------------------------------- */

static const id64 holder[] = {SUB};

static void events_put(void)
{
  rows_customer(&rows, 5, 0);
  rows_event(&rows, id_of(500, 1), "message.status", 5, 0, 1);
  rows_event(&rows, id_of(500, 2), "touchpoint.visit", 5, 0, START_MS - DAYS(500));
  rows_event(&rows, id_of(400, 1), "touchpoint.call", 5, 0, START_MS - DAYS(400));
  rows_event(&rows, id_of(366, 1), "message.received", 5, 0, 1);
  rows_event(&rows, id_of(100, 1), "touchpoint.visit", 5, 0, START_MS - DAYS(100));
  rows_event(&rows, id_of(1, 1), "message.status", 5, 0, 1);
}

static void cursor_put(id64 subscription, uint64_t cursor)
{
  rows_exec(&rows, "INSERT INTO feed_cursor VALUES(%llu,%llu)", (unsigned long long)subscription, (unsigned long long)cursor);
}

static void pending_put(id64 subscription, uint64_t seq, int dead)
{
  rows_exec(&rows, "INSERT INTO feed_pending VALUES(%llu,%llu,5,1,1,%d,'')", (unsigned long long)subscription, (unsigned long long)seq,
            dead);
}

static struct store_events log_from(uint64_t after)
{
  struct store_events ask = {.after = after, .limit = 100};

  ck_assert_int_eq(rows_read(&rows, &ask.op, STORE_EVENTS), PARLEY_OK);
  return ask;
}

static size_t timeline_entries_of(id64 customer)
{
  struct store_timeline ask = {.customer = customer, .limit = 100, .bodies = true};

  ck_assert_int_eq(rows_read(&rows, &ask.op, STORE_TIMELINE), PARLEY_OK);
  for (size_t i = 0; i < ask.n; i++)
    ck_assert(!parley_text_is(ask.rows[i].type, "event")); /* one that has lost its event */
  return ask.n;
}

START_TEST(events_go_by_age_and_a_reader_is_told_where_the_log_begins)
{
  struct store_events log;

  events_put();
  cursor_put(SUB, id_of(0, 0));
  open_all(holder, 1);
  log = log_from(0);
  ck_assert_uint_eq(log.n, 2);
  ck_assert_uint_eq(log.rows[0].seq, id_of(100, 1));
  ck_assert_uint_eq(log.gone, id_of(366, 1));
  ck_assert_uint_eq(log.oldest, id_of(366, 1)); /* who has had that one has missed nothing */
  ck_assert_uint_eq(timeline_entries_of(5), 1);
}
END_TEST

START_TEST(no_event_goes_before_the_subscriptions_are_known)
{
  events_put();
  rows_written_behind(&rows, "timeline", id_of(0, 0));
  rows_open(&rows);
  turn(&keep_default, NULL, 0);
  turns(2);
  ck_assert_int_eq(count("event"), 6);
  ck_assert_uint_eq(log_from(0).gone, 0);
  turn(NULL, holder, 0);
  ck_assert_int_eq(count("event"), 2);
}
END_TEST

START_TEST(what_a_subscription_has_not_had_stays)
{
  events_put();
  cursor_put(SUB, id_of(500, 2));
  cursor_put(99, 1); /* of one that was taken away */
  open_all(holder, 1);
  turns(2);
  ck_assert_int_eq(count("event"), 4);
  ck_assert_uint_eq(log_from(0).oldest, id_of(500, 2));
  rows_exec(&rows, "UPDATE feed_cursor SET cursor=%llu WHERE subscription=%d", (unsigned long long)id_of(400, 1), SUB);
  turns(1);
  ck_assert_int_eq(count("event"), 3);
}
END_TEST

START_TEST(an_event_that_waits_for_another_push_stays_alone)
{
  struct store_events only, log;
  uint64_t seq = id_of(400, 1);

  events_put();
  cursor_put(SUB, id_of(0, 0));
  pending_put(SUB, seq, _i);                /* waiting, or dead */
  pending_put(99, id_of(500, 1), _i);       /* nobody's */
  open_all(holder, 1);
  turns(2);
  ck_assert_int_eq(count("event"), 3);
  log = log_from(0);
  ck_assert_uint_eq(log.rows[0].seq, id_of(100, 1)); /* the log has a hole before: it begins behind it */
  only = (struct store_events){.only = &seq, .n_only = 1};
  ck_assert_int_eq(rows_read(&rows, &only.op, STORE_EVENTS), PARLEY_OK);
  ck_assert_uint_eq(only.n, 1);
  ck_assert_uint_eq(timeline_entries_of(5), 2);
  fixture_exec(&rows.f, "DELETE FROM feed_pending WHERE subscription=77");
  turns(1);
  ck_assert_int_eq(count("event"), 2);
  ck_assert_uint_eq(timeline_entries_of(5), 1);
}
END_TEST

/* What a start reads again into memory. */
START_TEST(an_event_that_is_not_written_behind_yet_stays)
{
  if (rows.f.postgres)
    return;
  events_put();
  cursor_put(SUB, id_of(0, 0));
  rows_written_behind(&rows, "timeline", id_of(500, 2));
  rows_open(&rows);
  turn(&keep_default, holder, 1);
  ck_assert_int_eq(count("event"), 4);
  ck_assert_uint_eq(timeline_entries_of(5), 2);
}
END_TEST

START_TEST(a_log_of_many_slices_goes_and_the_rest_is_whole)
{
  events_put();
  for (unsigned more = 1; more < 2000; more *= 2)
    rows_exec(&rows, "INSERT INTO event SELECT seq+%u, type, at+%u, customer, identity, conversation, message, data FROM event WHERE"
                     " seq>=%llu AND seq<%llu", more, more, (unsigned long long)id_of(400, 1), (unsigned long long)id_of(400, 3000));
  pending_put(SUB, id_of(400, 700), 1);
  cursor_put(SUB, id_of(0, 0));
  open_all(holder, 1);
  turns(30);
  ck_assert_int_eq(count("event"), 3);
  ck_assert_uint_eq(timeline_entries_of(5), 2);
}
END_TEST

/* --- the times ----------------------------------------------------------------------------------------------------------------- */

static const struct { struct store_keep keep; int raw, attempts, events, bodies; } times[] = {
    {{0, 0, 0, 0}, 1, 1, 6, 1},
    {{DAYS(365), 0, 0, 0}, 1, 1, 6, 0},
    {{0, DAYS(30), 0, 0}, 0, 1, 6, 1},
    {{0, 0, DAYS(30), 0}, 1, 1, 1, 1},
    {{0, 0, 0, DAYS(90)}, 1, 0, 6, 1},
    {{DAYS(401), DAYS(401), DAYS(501), DAYS(401)}, 1, 1, 6, 1},
};

START_TEST(each_kind_has_its_time_and_forever_is_forever)
{
  events_put();
  body_put(1, "x", 0);
  attempt_put(id_of(400, 2), 400, 1);
  rows_exec(&rows, "INSERT INTO raw VALUES(%llu,'{}')", (unsigned long long)id_of(400, 2));
  rows_written_behind(&rows, "timeline", id_of(0, 0));
  rows_open(&rows);
  turn(&times[_i].keep, holder, 0);
  turns(2);
  ck_assert_int_eq(count("raw"), times[_i].raw);
  ck_assert_int_eq(count("attempt"), times[_i].attempts);
  ck_assert_int_eq(count("event"), times[_i].events);
  ck_assert_int_eq(shown(id_of(400, 2))->body.len > 0, times[_i].bodies);
}
END_TEST

START_TEST(a_changed_time_counts_from_then_on)
{
  static const struct store_keep shorter = {DAYS(30), DAYS(1), DAYS(30), DAYS(1)};
  struct store_gauges gauges;

  events_put();
  body_put(5, "x", 0); /* 364 days */
  open_all(holder, 0);
  turns(1);
  ck_assert(!shown(id_of(364, 6))->body_expired);
  turn(&shorter, NULL, 0);
  ck_assert(shown(id_of(364, 6))->body_expired);
  ck_assert_int_eq(count("event"), 1);
  store_gauges(rows.f.store, &gauges);
  ck_assert_uint_eq(gauges.expired[KEEP_BODIES], 1);
  ck_assert_uint_eq(gauges.expired[KEEP_EVENTS], 5);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("store_retention");
  TCase *tests = tcase_create("retention");
  SRunner *runner;
  int failed;

  tcase_add_checked_fixture(tests, setup, teardown);
  tcase_add_loop_test(tests, a_body_goes_when_its_time_is_over_and_its_message_is_final, 0, COUNT_OF(bodies));
  tcase_add_test(tests, what_was_passed_over_goes_when_it_has_become_final);
  tcase_add_test(tests, a_long_body_goes_from_its_own_table);
  tcase_add_test(tests, a_thousand_bodies_go_in_slices_and_leave_their_room);
  tcase_add_test(tests, raw_envelopes_go_by_age);
  tcase_add_test(tests, attempts_go_by_age_once_their_message_is_final);
  tcase_add_test(tests, a_message_that_never_had_attempts_says_nothing_of_them);
  tcase_add_test(tests, events_go_by_age_and_a_reader_is_told_where_the_log_begins);
  tcase_add_test(tests, no_event_goes_before_the_subscriptions_are_known);
  tcase_add_test(tests, what_a_subscription_has_not_had_stays);
  tcase_add_loop_test(tests, an_event_that_waits_for_another_push_stays_alone, 0, 2);
  tcase_add_test(tests, an_event_that_is_not_written_behind_yet_stays);
  tcase_add_test(tests, a_log_of_many_slices_goes_and_the_rest_is_whole);
  tcase_add_loop_test(tests, each_kind_has_its_time_and_forever_is_forever, 0, COUNT_OF(times));
  tcase_add_test(tests, a_changed_time_counts_from_then_on);
  suite_add_tcase(suite, tests);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_ENV);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed == 0 ? 0 : 1;
}
