#include "store_rows.h"

#define BASE ((id64)1 << 40)
#define DAY_MS INT64_C(86400000)

static struct rows rows;

static void setup(void)
{
  rows_init(&rows);
  rows_customer(&rows, 100, 0);
  rows_identity(&rows, 7, 100, "email", "ana@example.org");
  rows_customer(&rows, 200, 100); /* merged into 100 */
  rows_identity(&rows, 8, 200, "phone", "+34600111222");
  rows_customer(&rows, 300, 0);
}

static void teardown(void)
{
  rows_done(&rows);
}

/* Six entries, numbered by time; 2 and 3 happened at the same moment; 5 is a touchpoint; odd ones are customer 200's.
 * What is not on any timeline and what is another customer's stands between. */
static void six_entries(void)
{
  rows_message(&rows, BASE + 10, 100, START_MS, DELIVERY_SENT);
  rows_inbound(&rows, BASE + 20, 200, START_MS + 1);
  rows_message(&rows, BASE + 30, 100, START_MS + 2, DELIVERY_FAILED);
  rows_event(&rows, BASE + 35, "message.status", 100, BASE + 30, START_MS + 2);
  rows_message(&rows, BASE + 40, 200, START_MS + 2, DELIVERY_QUEUED);
  rows_message(&rows, BASE + 45, 300, START_MS + 3, DELIVERY_QUEUED);
  rows_message(&rows, BASE + 50, 100, START_MS + 4, DELIVERY_QUEUED);
  rows_event(&rows, BASE + 60, "touchpoint.checkout", 200, 0, START_MS + 5);
}

static struct store_timeline ask;

static void check_page(const char *name, const char *want)
{
  struct buf got = BUF_INIT(0);

  ck_assert_int_eq(rows_read(&rows, &ask.op, STORE_TIMELINE), PARLEY_OK);
  for (size_t i = 0; i < ask.n; i++)
    buf_int(&got, (int64_t)(ask.rows[i].seq - BASE) / 10);
  ck_assert_msg(text_eq(buf_as_text(&got), parley_text_of(want)), "%s: %s, not %s", name, got.at != NULL ? got.at : "",
                want);
  buf_done(&got);
}

/* How far the tail has gone to timeline and to timeline_recent: wherever an entry stands, it is read once. */
static const struct { uint64_t base, recent;
} behind[] = {
    {0, 0},         {BASE + 30, 0}, {0, BASE + 30},         {BASE + 20, BASE + 40},
    {BASE + 60, 0}, {0, BASE + 60}, {BASE + 10, BASE + 60},
};

START_TEST(a_timeline_is_the_same_wherever_its_entries_stand)
{
  six_entries();
  if (behind[_i].base != 0)
    rows_written_behind(&rows, "timeline", behind[_i].base);
  if (behind[_i].recent != 0)
    rows_written_behind(&rows, "timeline_recent", behind[_i].recent);
  rows_open(&rows);
  ask = (struct store_timeline){.customer = 100, .limit = 50, .bodies = true};
  check_page("newest first", "654321");
  ck_assert(!ask.more);
  ck_assert_uint_eq(ask.row->id, 100);
  ask = (struct store_timeline){.customer = 200, .limit = 50, .oldest_first = true};
  check_page("of the one merged, oldest first", "123456");
}
END_TEST

START_TEST(a_timeline_is_paged_both_ways)
{
  six_entries();
  rows_written_behind(&rows, "timeline", BASE + 20);
  rows_written_behind(&rows, "timeline_recent", BASE + 40);
  rows_open(&rows);
  for (int oldest = 0; oldest < 2; oldest++) {
    for (size_t limit = 1; limit < 8; limit++) {
      struct buf got = BUF_INIT(0);
      struct timeline_cursor after = {0};
      bool more = true;

      while (more) {
        ask = (struct store_timeline){.customer = 100, .limit = limit, .oldest_first = oldest, .after = after};
        ck_assert_int_eq(rows_read(&rows, &ask.op, STORE_TIMELINE), PARLEY_OK);
        ck_assert_uint_gt(ask.n, 0);
        for (size_t i = 0; i < ask.n; i++)
          buf_int(&got, (int64_t)(ask.rows[i].seq - BASE) / 10);
        after = (struct timeline_cursor){ask.rows[ask.n - 1].at_ms, ask.rows[ask.n - 1].seq};
        more = ask.more;
      }
      ck_assert_str_eq(got.at, oldest ? "123456" : "654321");
      buf_done(&got);
    }
  }
}
END_TEST

START_TEST(an_entry_that_is_in_the_tail_and_in_a_table_is_read_once)
{
  six_entries();
  if (rows.f.postgres)
    return; /* it has no tail */
  rows_exec(&rows, "INSERT INTO timeline_recent VALUES(100,%lld,%llu,1)", (long long)START_MS + 2,
            (unsigned long long)BASE + 30);
  rows_open(&rows);
  ask = (struct store_timeline){.customer = 100, .limit = 50};
  check_page("twins", "654321");
}
END_TEST

START_TEST(entries_show_their_message_or_their_events_data)
{
  six_entries();
  rows_open(&rows);
  ask = (struct store_timeline){
      .who = {.kind = PARLEY_LIT("email"), .value = PARLEY_LIT("ana@example.org")}, .limit = 50, .bodies = true};
  check_page("by address", "654321");
  ck_assert(parley_text_is(ask.rows[0].type, "touchpoint.checkout"));
  ck_assert_uint_eq(ask.rows[0].customer, 200);
  ck_assert(ask.rows[0].message == NULL && text_starts(ask.rows[0].data, "{\"n\":"));
  ck_assert(parley_text_is(ask.rows[1].type, "message.sent"));
  ck_assert_int_eq((int)ask.rows[3].message->state, MESSAGE_FAILED);
  ck_assert_uint_gt(ask.rows[3].message->body.len, 0);
  ck_assert(parley_text_is(ask.rows[4].type, "message.received"));
  ask = (struct store_timeline){.customer = 100, .limit = 50};
  check_page("narrow", "654321");
  ck_assert_ptr_null(ask.rows[1].message);
  ck_assert(parley_text_is(ask.rows[0].type, "event") && parley_text_is(ask.rows[1].type, "message"));
}
END_TEST

START_TEST(a_conversations_timeline_begins_thirty_days_before_it_opened)
{
  rows_message(&rows, BASE + 10, 100, START_MS - 31 * DAY_MS, DELIVERY_SENT);
  rows_message(&rows, BASE + 20, 100, START_MS - 29 * DAY_MS, DELIVERY_SENT);
  rows_inbound(&rows, BASE + 30, 100, START_MS);
  rows_exec(&rows, "INSERT INTO conversation VALUES(55,100,7,'open','','[]','mail','email','',%lld,0,0,0,1)",
            (long long)START_MS);
  rows_written_behind(&rows, "timeline", BASE + 20);
  rows_open(&rows);
  ask = (struct store_timeline){.conversation = 55, .limit = 50};
  check_page("newest first", "32");
  ask = (struct store_timeline){.conversation = 55, .limit = 50, .oldest_first = true};
  check_page("oldest first", "23");
  ask = (struct store_timeline){.conversation = 56, .limit = 50};
  ck_assert_int_eq(rows_read(&rows, &ask.op, STORE_TIMELINE), PARLEY_NOT_FOUND);
}
END_TEST

START_TEST(whoever_is_not_there_has_no_timeline)
{
  rows_open(&rows);
  ask = (struct store_timeline){.customer = 999, .limit = 50};
  ck_assert_int_eq(rows_read(&rows, &ask.op, STORE_TIMELINE), PARLEY_NOT_FOUND);
  ck_assert_ptr_null(ask.row);
  ask = (struct store_timeline){.who = {.kind = PARLEY_LIT("email"), .value = PARLEY_LIT("eve@example.org")},
                                .limit = 50};
  ck_assert_int_eq(rows_read(&rows, &ask.op, STORE_TIMELINE), PARLEY_NOT_FOUND);
  ask = (struct store_timeline){.customer = 300, .limit = 50};
  check_page("empty", "");
}
END_TEST

/* --- the log ------------------------------------------------------------------------------------------------------ */

static void check_events(struct store_events *events, const char *want)
{
  struct buf got = BUF_INIT(0);

  ck_assert_int_eq(rows_read(&rows, &events->op, STORE_EVENTS), PARLEY_OK);
  for (size_t i = 0; i < events->n; i++)
    buf_int(&got, (int64_t)(events->rows[i].seq - BASE));
  ck_assert_msg(text_eq(buf_as_text(&got), parley_text_of(want)), "%s, not %s", got.at != NULL ? got.at : "", want);
  buf_done(&got);
}

static void four_events(void)
{
  rows_message(&rows, BASE + 10, 100, START_MS, DELIVERY_SENT);
  rows_inbound(&rows, BASE + 20, 200, START_MS + 1);
  rows_exec(&rows, "INSERT INTO conversation VALUES(55,200,8,'open','','[]','mail','email','',%lld,0,0,0,1)",
            (long long)START_MS);
  rows_event(&rows, BASE + 1, "message.status", 100, BASE + 10, START_MS);
  rows_event(&rows, BASE + 2, "conversation.opened", 200, 0, START_MS);
  rows_event(&rows, BASE + 3, "channel.paused", 0, 0, START_MS);
  rows_event(&rows, BASE + 4, "message.received", 200, BASE + 20, START_MS);
  rows_exec(&rows, "UPDATE event SET conversation=55 WHERE customer=200");
}

START_TEST(events_are_paged_and_filtered_by_type)
{
  static const parley_text conversations[] = {PARLEY_LIT("conversation.*")}, two[] = {PARLEY_LIT("message.received"),
                                                                                      PARLEY_LIT("channel.paused")};
  static const parley_text none[] = {PARLEY_LIT("conversation"), PARLEY_LIT("message.receive"),
                                     PARLEY_LIT("messages.*")};
  struct store_events events = {.limit = 3};

  four_events();
  rows_open(&rows);
  check_events(&events, "123");
  ck_assert_uint_eq(events.scanned_to, BASE + 3);
  ck_assert_uint_eq(events.oldest, BASE + 1);
  ck_assert_uint_eq(events.newest, BASE + 4);
  events = (struct store_events){.limit = 3, .after = BASE + 3};
  check_events(&events, "4");
  events = (struct store_events){.limit = 3, .after = BASE + 4};
  check_events(&events, "");
  ck_assert_uint_eq(events.scanned_to, BASE + 4);
  events = (struct store_events){.limit = 9, .upto = BASE + 2};
  check_events(&events, "12");
  events = (struct store_events){.limit = 9, .n_types = 1, .types = conversations};
  check_events(&events, "2");
  ck_assert_uint_eq(events.scanned_to, BASE + 4); /* on beyond what did not pass */
  events = (struct store_events){.limit = 9, .n_types = 2, .types = two};
  check_events(&events, "34");
  events = (struct store_events){.limit = 9, .n_types = 3, .types = none};
  check_events(&events, "");
}
END_TEST

START_TEST(events_are_found_by_their_numbers)
{
  static const uint64_t only[] = {BASE + 4, BASE + 9, BASE + 1};
  struct store_events events = {.n_only = 3, .only = only};

  four_events();
  rows_open(&rows);
  check_events(&events, "41");
}
END_TEST

START_TEST(an_event_brings_its_message_conversation_customer_and_what_came_before)
{
  struct store_events events = {.limit = 9, .with_context = true};
  const struct event_row *row;

  four_events();
  rows_open(&rows);
  check_events(&events, "1234");
  row = &events.rows[3];
  ck_assert_uint_eq(row->message->id, BASE + 20);
  ck_assert_uint_eq(row->conversation_row->id, 55);
  ck_assert_uint_eq(row->customer_row->id, 100); /* the head of the merge */
  ck_assert_uint_eq(row->customer_row->n_identities, 2);
  ck_assert_uint_eq(row->n_recent, 2);
  ck_assert_uint_eq(row->recent[0].seq, BASE + 20);
  ck_assert_uint_gt(row->recent[1].message->body.len, 0);
  ck_assert_ptr_null(events.rows[2].customer_row);
  ck_assert_ptr_null(events.rows[1].message);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("store: reading timelines and the log");
  TCase *tcase = tcase_create("all");
  SRunner *runner;
  int failed;

  tcase_add_checked_fixture(tcase, setup, teardown);
  tcase_add_loop_test(tcase, a_timeline_is_the_same_wherever_its_entries_stand, 0, COUNT_OF(behind));
  tcase_add_test(tcase, a_timeline_is_paged_both_ways);
  tcase_add_test(tcase, an_entry_that_is_in_the_tail_and_in_a_table_is_read_once);
  tcase_add_test(tcase, entries_show_their_message_or_their_events_data);
  tcase_add_test(tcase, a_conversations_timeline_begins_thirty_days_before_it_opened);
  tcase_add_test(tcase, whoever_is_not_there_has_no_timeline);
  tcase_add_test(tcase, events_are_paged_and_filtered_by_type);
  tcase_add_test(tcase, events_are_found_by_their_numbers);
  tcase_add_test(tcase, an_event_brings_its_message_conversation_customer_and_what_came_before);
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed > 0;
}
