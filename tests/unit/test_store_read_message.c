#include "store_rows.h"

#define BASE ((id64)1 << 40)
#define MINUTE 60000

static struct rows rows;

static void setup(void)
{
  rows_init(&rows);
  rows_customer(&rows, 100, 0);
  rows_identity(&rows, 7, 100, "email", "ana@example.org");
}

static void teardown(void)
{
  rows_done(&rows);
}

static struct store_message one;

static struct message_row *message(id64 id)
{
  one = (struct store_message){.id = id};
  return rows_read(&rows, &one.op, STORE_MESSAGE) == PARLEY_OK ? one.row : NULL;
}

START_TEST(a_message_comes_with_its_deliveries_folded)
{
  struct message_row *row;

  rows_message(&rows, BASE, 100, START_MS, DELIVERY_FAILED);
  rows_exec(
      &rows,
      "INSERT INTO delivery(message,step,id,customer,identity,conversation,channel,channel_kind,lane,state,facts,due,"
      "wake,expires,attempt,token,session,maybe_twice,ordered,started,attempt_started,address_kind,address,until,"
      "within,"
      "provider_id,degraded) VALUES(%llu,1,5,100,0,0,'sms','sms',2,%d,3,0,0,0,2,4,1,1,0,0,0,'phone','+34600',1,0,'sm',"
      "'[\"text_split\"]')",
      (unsigned long long)BASE, DELIVERY_DELIVERED);
  rows_open(&rows);
  row = message(BASE);
  ck_assert_ptr_nonnull(row);
  ck_assert_int_eq((int)row->state, MESSAGE_DELIVERED);
  ck_assert_uint_eq(row->n_deliveries, 2);
  ck_assert(row->possible_duplicate);
  ck_assert(parley_text_is(row->channel, "sms") && parley_text_is(row->provider_id, "sm"));
  ck_assert(parley_text_is(row->degraded, "[\"text_split\"]"));
  ck_assert_uint_eq(row->deliveries[1].facts.token, 4);
  ck_assert_uint_eq(row->deliveries[1].facts.facts, 3);
  ck_assert(parley_text_is(row->topic, "orders") && parley_text_is(row->decision, "{\"f\":0}"));
  ck_assert(text_find_text(row->body, PARLEY_LIT("order")) != SIZE_MAX);
  ck_assert_ptr_null(message(BASE + 1));
}
END_TEST

START_TEST(a_message_without_deliveries_is_as_it_was_decided)
{
  rows_message(&rows, BASE, 100, START_MS, DELIVERY_SENT);
  rows_exec(&rows, "DELETE FROM delivery; UPDATE message SET end_state=%d, reason='no_consent'", MESSAGE_SUPPRESSED);
  rows_open(&rows);
  ck_assert_int_eq((int)message(BASE)->state, MESSAGE_SUPPRESSED);
  ck_assert(parley_text_is(one.row->reason, "no_consent"));
}
END_TEST

START_TEST(attempts_come_in_order_with_the_open_one_last)
{
  rows_message(&rows, BASE, 100, START_MS, DELIVERY_SENDING);
  rows_exec(
      &rows,
      "UPDATE delivery SET attempt=3, token=3;"
      "INSERT INTO attempt VALUES(%llu,0,2,12,2,20,21,3,'451','later',''),(%llu,0,1,11,1,10,11,3,'450','busy','p')",
      (unsigned long long)BASE, (unsigned long long)BASE);
  rows_open(&rows);
  ck_assert_uint_eq(message(BASE)->n_attempts, 3);
  ck_assert_uint_eq(one.row->attempts[0].id, 11);
  ck_assert(parley_text_is(one.row->attempts[1].code, "451"));
  ck_assert_uint_eq(one.row->attempts[2].number, 3);
  ck_assert_uint_eq(one.row->attempts[2].outcome, 0);
}
END_TEST

START_TEST(a_body_that_stands_apart_is_found)
{
  rows_message(&rows, BASE, 100, START_MS, DELIVERY_SENT);
  rows_exec(&rows, "UPDATE message SET flags=%d, body=''; INSERT INTO body VALUES(%llu, 'far away')",
            MESSAGE_BODY_APART | MESSAGE_TEST, (unsigned long long)BASE);
  rows_open(&rows);
  ck_assert(parley_text_is(message(BASE)->body, "far away"));
  ck_assert(one.row->test);
}
END_TEST

START_TEST(an_inbound_message_keeps_its_marks)
{
  rows_inbound(&rows, BASE, 100, START_MS);
  rows_open(&rows);
  ck_assert(message(BASE)->inbound);
  ck_assert_uint_eq(one.row->flags, PARLEY_AUTOMATIC);
  ck_assert(parley_text_is(one.row->channel, "mail") && parley_text_is(one.row->provider_id, "q1099511627776"));
}
END_TEST

START_TEST(a_business_key_finds_its_message)
{
  uint64_t h = hash64(&rows.hash_key, PARLEY_LIT("order-1"));

  rows_message(&rows, BASE, 100, START_MS, DELIVERY_SENT);
  rows_exec(&rows, "INSERT INTO business_key VALUES(%lld,'a twin',5,0),(%lld,'order-1',%llu,0)", (long long)h,
            (long long)(h + 1), (unsigned long long)BASE);
  rows_open(&rows);
  one = (struct store_message){.key = PARLEY_LIT("order-1")};
  ck_assert_int_eq(rows_read(&rows, &one.op, STORE_MESSAGE), PARLEY_OK);
  ck_assert_uint_eq(one.row->id, BASE);
  one = (struct store_message){.key = PARLEY_LIT("order-2")};
  ck_assert_int_eq(rows_read(&rows, &one.op, STORE_MESSAGE), PARLEY_NOT_FOUND);
}
END_TEST

/* --- lists -------------------------------------------------------------------------------------------------------- */

/* Ten messages, a minute apart: even ones to customer 100, odd ones to 200; every third from the customer. */
static void ten_messages(void)
{
  rows_customer(&rows, 200, 0);
  rows_identity(&rows, 8, 200, "email", "bob@example.org");
  for (int i = 0; i < 10; i++) {
    id64 id = ((id64)(START_MS - ID_EPOCH_MS + i * MINUTE) << (ID_NODE_BITS + ID_COUNTER_BITS)) + 1,
         customer = i % 2 ? 200 : 100;

    if (i % 3 == 2)
      rows_inbound(&rows, id, customer, START_MS + i * MINUTE);
    else
      rows_message(&rows, id, customer, START_MS + i * MINUTE,
                   i == 4  ? DELIVERY_UNKNOWN
                   : i % 2 ? DELIVERY_FAILED
                           : DELIVERY_SENT);
  }
  rows_exec(&rows,
            "UPDATE delivery SET held=1 WHERE state=%d; UPDATE message SET topic='news' WHERE at=%lld;"
            "UPDATE delivery SET address='bob@example.org', identity=8 WHERE customer=200; UPDATE message SET "
            "identity=8 WHERE"
            " customer=200",
            DELIVERY_UNKNOWN, (long long)(START_MS + 6 * MINUTE));
}

static const struct list_row {
  const char *name;
  id64 customer;
  const char *to;
  int state, inbound;
  const char *topic, *channel;
  int64_t since_ms;
  const char *want; /* minutes, newest first */
} list_rows[] = {
    {"all", 0, NULL, -1, -1, "", "", 0, "9876543210"},
    {"one customer's", 100, NULL, -1, -1, "", "", 0, "86420"},
    {"to an address", 0, "bob@example.org", -1, -1, "", "", 0, "97531"},
    {"to an address that nobody has", 0, "eve@example.org", -1, -1, "", "", 0, ""},
    {"inbound", 0, NULL, -1, 1, "", "", 0, "852"},
    {"outbound of one", 200, NULL, -1, 0, "", "", 0, "9731"},
    {"held", 0, NULL, MESSAGE_HELD, -1, "", "", 0, "4"},
    {"held of one", 200, NULL, MESSAGE_HELD, -1, "", "", 0, ""},
    {"failed", 0, NULL, MESSAGE_FAILED, -1, "", "", 0, "9731"},
    {"sent of one", 100, NULL, MESSAGE_SENT, -1, "", "", 0, "60"},
    {"by topic", 0, NULL, -1, -1, "news", "", 0, "6"},
    {"by channel", 0, NULL, -1, -1, "", "sms", 0, ""},
    {"by channel, all", 0, NULL, -1, -1, "", "mail", 0, "9876543210"},
    {"since", 0, NULL, -1, -1, "", "", START_MS + 7 * MINUTE, "987"},
    {"since, of one", 100, NULL, -1, -1, "", "", START_MS + 3 * MINUTE, "864"},
};

START_TEST(lists_are_filtered_and_paged_newest_first)
{
  const struct list_row *row = &list_rows[_i];

  ten_messages();
  rows_written_behind(&rows, "timeline", ((id64)(START_MS - ID_EPOCH_MS + 3 * MINUTE) << 22) + 1);
  rows_open(&rows);
  for (size_t limit = 1; limit < 12; limit += 5) {
    struct buf got = BUF_INIT(0);
    struct store_messages ask;
    id64 before = 0;
    int pages = 0;

    do {
      ask = (struct store_messages){.customer = row->customer,
                                    .before = before,
                                    .state = row->state,
                                    .inbound = row->inbound,
                                    .topic = parley_text_of(row->topic),
                                    .channel = parley_text_of(row->channel),
                                    .since_ms = row->since_ms,
                                    .limit = limit};
      if (row->to != NULL)
        ask.to = (struct identity){.kind = PARLEY_LIT("email"), .value = parley_text_of(row->to)};
      ck_assert_int_eq(rows_read(&rows, &ask.op, STORE_MESSAGES), PARLEY_OK);
      for (size_t i = 0; i < ask.n; i++)
        buf_int(&got, (ask.rows[i].created_ms - START_MS) / MINUTE);
      before = ask.last;
    } while (ask.more && ++pages < 20);
    ck_assert_msg(text_eq(buf_as_text(&got), parley_text_of(row->want)), "%s, by %zu: %s", row->name, limit, got.at);
    buf_done(&got);
  }
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("store: reading messages");
  TCase *tcase = tcase_create("all");
  SRunner *runner;
  int failed;

  tcase_add_checked_fixture(tcase, setup, teardown);
  tcase_add_test(tcase, a_message_comes_with_its_deliveries_folded);
  tcase_add_test(tcase, a_message_without_deliveries_is_as_it_was_decided);
  tcase_add_test(tcase, attempts_come_in_order_with_the_open_one_last);
  tcase_add_test(tcase, a_body_that_stands_apart_is_found);
  tcase_add_test(tcase, an_inbound_message_keeps_its_marks);
  tcase_add_test(tcase, a_business_key_finds_its_message);
  tcase_add_loop_test(tcase, lists_are_filtered_and_paged_newest_first, 0, COUNT_OF(list_rows));
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed > 0;
}
