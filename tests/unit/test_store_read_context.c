#include "core/route/decide.h"
#include "store_rows.h"

#define BASE ((id64)1 << 40)

static struct rows rows;

static void setup(void)
{
  rows_init(&rows);
  rows_customer(&rows, 100, 0);
  rows_identity(&rows, 7, 100, "email", "ana@example.org");
  rows_identity(&rows, 9, 100, "external", "shop-77");
  rows_customer(&rows, 200, 100);
  rows_identity(&rows, 8, 200, "phone", "+34600111222");
}

static void teardown(void)
{
  rows_done(&rows);
}

/* --- customers ---------------------------------------------------------------------------------------------------- */

START_TEST(a_customer_is_found_by_id_external_or_identity_and_shown_as_the_head)
{
  struct store_customer asks[] = {
      {.id = 100},
      {.id = 200},
      {.external = PARLEY_LIT("shop-77")},
      {.identity = {.kind = PARLEY_LIT("email"), .value = PARLEY_LIT("ana@example.org")}},
      {.identity = {.kind = PARLEY_LIT("phone"), .value = PARLEY_LIT("+34600111222")}},
  };

  rows_open(&rows);
  for (size_t i = 0; i < COUNT_OF(asks); i++) {
    ck_assert_int_eq(rows_read(&rows, &asks[i].op, STORE_CUSTOMER), PARLEY_OK);
    ck_assert_uint_eq(asks[i].row->id, 100);
    ck_assert_uint_eq(asks[i].row->n_identities, 3);
    ck_assert(parley_text_is(asks[i].row->name, "name 100"));
  }
}
END_TEST

START_TEST(a_customer_who_is_not_there_is_not_found)
{
  struct store_customer asks[] = {
      {.id = 999},
      {.external = PARLEY_LIT("shop-78")},
      {.identity = {.kind = PARLEY_LIT("email"), .value = PARLEY_LIT("eve@example.org")}},
      {.identity = {.kind = PARLEY_LIT("external"), .value = PARLEY_LIT("ana@example.org")}},
  };

  rows_open(&rows);
  for (size_t i = 0; i < COUNT_OF(asks); i++) {
    ck_assert_int_eq(rows_read(&rows, &asks[i].op, STORE_CUSTOMER), PARLEY_NOT_FOUND);
    ck_assert_ptr_null(asks[i].row);
  }
}
END_TEST

START_TEST(of_consents_the_newest_counts_and_over_a_merge_the_stricter)
{
  struct store_customer ask = {.id = 100};

  rows_exec(
      &rows,
      "INSERT INTO consent VALUES(1,100,'news','email',0,1,'api',''),(2,100,'news','email',1,2,'double_opt_in','p'),"
      "(3,100,'orders','sms',1,9,'api',''),(4,200,'orders','sms',0,5,'sms_stop','STOP')");
  rows_open(&rows);
  ck_assert_int_eq(rows_read(&rows, &ask.op, STORE_CUSTOMER), PARLEY_OK);
  ck_assert_uint_eq(ask.row->n_consents, 2);
  ck_assert(ask.row->consents[0].granted && parley_text_is(ask.row->consents[0].source, "double_opt_in"));
  ck_assert(!ask.row->consents[1].granted && parley_text_is(ask.row->consents[1].proof, "STOP"));
}
END_TEST

/* --- conversations, suppressions ---------------------------------------------------------------------------------- */

static const struct conversations_row {
  const char *name;
  id64 id, customer;
  const char *state, *assignee;
  const char *want;
} conversations_rows[] = {
    {"all", 0, 0, "", "", "987654321"},
    {"one", 4, 0, "", "", "4"},
    {"of a customer and the one merged", 0, 100, "", "", "964321"},
    {"by state", 0, 0, "open", "", "963"},
    {"by assignee", 0, 0, "", "eva", "8642"},
    {"by state and assignee", 0, 0, "open", "eva", "6"},
    {"of a customer by state and assignee", 0, 200, "closed", "eva", "42"},
    {"of nobody", 0, 999, "", "", ""},
};

START_TEST(conversations_are_filtered_and_paged_newest_first)
{
  const struct conversations_row *row = &conversations_rows[_i];

  rows_customer(&rows, 300, 0);
  for (int i = 1; i < 10; i++)
    rows_exec(&rows, "INSERT INTO conversation VALUES(%d,%d,7,'%s','%s','[]','mail','email','',%d,0,0,0,1)", i,
              i < 3             ? 100
              : i == 5 || i > 6 ? (i == 9 ? 100 : 300)
                                : 200,
              i % 3 == 0 ? "open" : "closed", i % 2 ? "" : "eva", i);
  rows_open(&rows);
  for (size_t limit = 1; limit < 12; limit += 3) {
    struct buf got = BUF_INIT(0);
    id64 before = 0;
    bool more = true;

    while (more) {
      struct store_conversations ask = {.id = row->id, .customer = row->customer, .before = before, .limit = limit,
                                        .state = parley_text_of(row->state), .assignee = parley_text_of(row->assignee)};

      ck_assert_int_eq(rows_read(&rows, &ask.op, STORE_CONVERSATIONS), PARLEY_OK);
      for (size_t i = 0; i < ask.n; i++)
        buf_uint(&got, ask.rows[i].id);
      more = ask.more;
      before = ask.n > 0 ? ask.rows[ask.n - 1].id : 0;
    }
    ck_assert_msg(text_eq(buf_as_text(&got), parley_text_of(row->want)), "%s, by %zu: %s", row->name, limit, got.at);
    buf_done(&got);
  }
}
END_TEST

START_TEST(a_conversation_that_is_not_there_is_not_found)
{
  struct store_conversations ask = {.id = 4};

  rows_open(&rows);
  ck_assert_int_eq(rows_read(&rows, &ask.op, STORE_CONVERSATIONS), PARLEY_NOT_FOUND);
}
END_TEST

static void suppression(id64 id, const char *value, int64_t removed)
{
  rows_exec(&rows, "INSERT INTO suppression(id,h,kind,value,reason,at,removed) VALUES(%llu,%lld,'email','%s','hard_bounce',5,%lld)",
            (unsigned long long)id,
            (long long)identity_hash(&rows.hash_key, PARLEY_LIT("email"), parley_text_of(value)), value,
            (long long)removed);
}

START_TEST(suppressions_in_force_are_listed_newest_first)
{
  struct store_suppressions ask = {.limit = 2};

  suppression(1, "a@example.org", 0);
  suppression(2, "b@example.org", 9);
  suppression(3, "c@example.org", 0);
  suppression(4, "d@example.org", 0);
  rows_open(&rows);
  ck_assert_int_eq(rows_read(&rows, &ask.op, STORE_SUPPRESSIONS), PARLEY_OK);
  ck_assert(ask.n == 2 && ask.more && ask.rows[0].id == 4 && ask.rows[1].id == 3);
  ask = (struct store_suppressions){.limit = 2, .before = 3};
  ck_assert_int_eq(rows_read(&rows, &ask.op, STORE_SUPPRESSIONS), PARLEY_OK);
  ck_assert(ask.n == 1 && !ask.more && ask.rows[0].id == 1);
  ck_assert(parley_text_is(ask.rows[0].reason, "hard_bounce") &&
            parley_text_is(ask.rows[0].identity.value, "a@example.org"));
  ask = (struct store_suppressions){.limit = 5,
                                    .only = {.kind = PARLEY_LIT("email"), .value = PARLEY_LIT("C@example.org")}};
  ck_assert_int_eq(rows_read(&rows, &ask.op, STORE_SUPPRESSIONS), PARLEY_OK);
  ck_assert(ask.n == 1 && ask.rows[0].id == 3);
  ask = (struct store_suppressions){.limit = 5,
                                    .only = {.kind = PARLEY_LIT("email"), .value = PARLEY_LIT("b@example.org")}};
  ck_assert_int_eq(rows_read(&rows, &ask.op, STORE_SUPPRESSIONS), PARLEY_OK);
  ck_assert_uint_eq(ask.n, 0);
}
END_TEST

/* --- small things ------------------------------------------------------------------------------------------------- */

START_TEST(documents_are_read_by_kind_and_name)
{
  struct store_docs ask = {.kind = PARLEY_LIT("key")};

  rows_exec(&rows,
            "INSERT INTO doc VALUES(1,'key','b',3,7,'{}'),(2,'key','a',1,8,'{\"x\":1}'),(3,'other','a',1,8,'[]')");
  rows_open(&rows);
  ck_assert_int_eq(rows_read(&rows, &ask.op, STORE_DOCS), PARLEY_OK);
  ck_assert(ask.n == 2 && ask.rows[0].id == 2 && ask.rows[1].version == 3);
  ask = (struct store_docs){.kind = PARLEY_LIT("key"), .name = PARLEY_LIT("a")};
  ck_assert_int_eq(rows_read(&rows, &ask.op, STORE_DOCS), PARLEY_OK);
  ck_assert(ask.n == 1 && parley_text_is(ask.rows[0].json, "{\"x\":1}"));
  ask = (struct store_docs){.kind = PARLEY_LIT("key"), .name = PARLEY_LIT("c")};
  ck_assert_int_eq(rows_read(&rows, &ask.op, STORE_DOCS), PARLEY_NOT_FOUND);
  ask = (struct store_docs){.kind = PARLEY_LIT("none")};
  ck_assert_int_eq(rows_read(&rows, &ask.op, STORE_DOCS), PARLEY_OK);
  ck_assert_uint_eq(ask.n, 0);
}
END_TEST

START_TEST(media_are_read_piece_by_piece)
{
  static const struct { uint64_t offset; size_t limit; const char *want; } pieces[] = {
      {0, 100, "0123456789"}, {0, 4, "0123"}, {8, 4, "89"}, {10, 4, ""}, {11, 4, ""}, {0, 0, ""}, {UINT64_MAX, 4, ""},
  };
  struct store_media ask = {.id = 2};

  rows_exec(&rows, "INSERT INTO media VALUES(1,'s','image/png','a.png',5,%s)",
            rows.f.postgres ? "'0123456789'" : "CAST('0123456789' AS BLOB)");
  rows_open(&rows);
  ck_assert_int_eq(rows_read(&rows, &ask.op, STORE_MEDIA), PARLEY_NOT_FOUND);
  for (size_t i = 0; i < COUNT_OF(pieces); i++) {
    ask = (struct store_media){.id = 1, .offset = pieces[i].offset, .limit = pieces[i].limit};
    ck_assert_int_eq(rows_read(&rows, &ask.op, STORE_MEDIA), PARLEY_OK);
    ck_assert(parley_text_is(ask.bytes, pieces[i].want));
    ck_assert_uint_eq(ask.total_bytes, 10);
    ck_assert(parley_text_is(ask.type, "image/png") && parley_text_is(ask.name, "a.png"));
  }
}
END_TEST

START_TEST(what_the_feed_still_owes_is_read_when_it_is_due)
{
  struct store_feed_due ask = {.subscription = 5, .now_ms = 20, .limit = 10};

  rows_exec(&rows, "INSERT INTO feed_cursor VALUES(5,77);"
                   "INSERT INTO feed_pending VALUES(5,1,100,2,20,0,'503'),(5,2,100,1,10,0,''),(5,3,100,9,21,0,''),"
                   "(5,4,100,9,1,1,'410'),(6,5,100,1,1,0,'')");
  rows_open(&rows);
  ck_assert_int_eq(rows_read(&rows, &ask.op, STORE_FEED_DUE), PARLEY_OK);
  ck_assert(ask.n == 2 && ask.rows[0].seq == 2 && ask.rows[1].seq == 1 &&
            parley_text_is(ask.rows[1].last_error, "503"));
  ck_assert(ask.cursor == 77 && ask.next_due_ms == 10 && ask.n_pending == 3 && ask.n_dead == 1);
  ask = (struct store_feed_due){.subscription = 5, .dead = true, .limit = 10};
  ck_assert_int_eq(rows_read(&rows, &ask.op, STORE_FEED_DUE), PARLEY_OK);
  ck_assert(ask.n == 1 && ask.rows[0].seq == 4 && ask.rows[0].dead);
  ask = (struct store_feed_due){.subscription = 9, .limit = 10};
  ck_assert_int_eq(rows_read(&rows, &ask.op, STORE_FEED_DUE), PARLEY_OK);
  ck_assert(ask.n == 0 && ask.cursor == 0 && ask.next_due_ms == 0);
}
END_TEST

START_TEST(figures_add_up_or_say_that_they_dont)
{
  struct store_stats ask = {0};

  rows_message(&rows, BASE, 100, 500, DELIVERY_QUEUED);
  rows_message(&rows, BASE + 2, 100, 300, DELIVERY_QUEUED);
  rows_message(&rows, BASE + 4, 100, 400, DELIVERY_QUEUED);
  rows_message(&rows, BASE + 6, 100, 100, DELIVERY_SENT);
  rows_exec(&rows, "UPDATE delivery SET channel='a' WHERE message=%llu; UPDATE delivery SET lane=0 WHERE due=400;"
                   "UPDATE counter SET accepted=4, s0=3, s2=1, inbound=2, duplicates=1, other_body=5;"
                   "INSERT INTO park VALUES(1,2,'mail','x',1,0,0,'','',0)",
            (unsigned long long)BASE);
  rows_event(&rows, BASE + 9, "message.status", 100, BASE, 1);
  rows_open(&rows);
  ck_assert_int_eq(rows_read(&rows, &ask.op, STORE_STATS), PARLEY_OK);
  ck_assert(ask.accepted == 4 && ask.by_state[MESSAGE_QUEUED] == 3 && ask.by_state[MESSAGE_SENT] == 1 && ask.adds_up);
  ck_assert(ask.inbound == 2 && ask.duplicates_marked == 1 && ask.inbound_other_body == 5 && ask.parked_receipts == 1);
  ck_assert_int_eq(ask.oldest_due_ms, 300);
  ck_assert_uint_eq(ask.newest_seq, BASE + 9);
  ck_assert_int_eq(ask.schema, STORE_SCHEMA_VERSION);
  ck_assert_uint_gt(ask.file_bytes, 4096);
  fixture_exec(&rows.f, "UPDATE counter SET s0=2");
  ck_assert_int_eq(rows_read(&rows, &ask.op, STORE_STATS), PARLEY_OK);
  ck_assert(!ask.adds_up);
}
END_TEST

/* --- explain ------------------------------------------------------------------------------------------------------ */

static struct lane_room room;
static const struct policy_channel mail = {.name = PARLEY_LIT("mail"), .channel_kind = PARLEY_LIT("email"),
                                           .address_kind = PARLEY_LIT("email"), .room = &room};
static const struct policy_topic orders = {.name = PARLEY_LIT("orders"), .class = CLASS_TRANSACTIONAL};

static struct store_facts explain(const char *external, const char *kind, const char *value)
{
  static struct submission submission;
  struct store_facts ask = {.submission = &submission, .decide = decide};

  submission = (struct submission){.topic = &orders, .n_steps = 1, .steps = {{.channel = &mail, .until = UNTIL_SENT}}};
  submission.to.external = parley_text_of(external);
  if (kind[0] != '\0')
    submission.to.identities[submission.to.n_identities++] =
        (struct identity){.kind = parley_text_of(kind), .value = parley_text_of(value), .raw = parley_text_of(value)};
  return ask;
}

START_TEST(a_decision_that_is_only_asked_about_writes_nothing)
{
  static const struct {
    const char *external, *kind, *value;
    enum accept_result result;
    id64 customer;
    const char *address;
  } cases[] = {
      {"", "email", "ana@example.org", ACCEPTED, 100, "ana@example.org"},
      {"shop-77", "", "", ACCEPTED, 100, "ana@example.org"},
      {"", "email", "new@example.org", ACCEPTED, 0, "new@example.org"},
      {"", "phone", "+34600111222", ACCEPTED, 200, "ana@example.org"},
  };

  rows_open(&rows);
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    struct store_facts ask = explain(cases[i].external, cases[i].kind, cases[i].value);

    ck_assert_int_eq(rows_read(&rows, &ask.op, STORE_FACTS), PARLEY_OK);
    ck_assert_int_eq((int)ask.result, (int)cases[i].result);
    ck_assert_uint_eq(ask.customer, cases[i].customer);
    ck_assert_int_eq(ask.decision->first, 0);
    ck_assert(parley_text_is(ask.decision->steps[0].address, cases[i].address));
  }
  ck_assert_int_eq(fixture_sql(&rows.f, "SELECT count(*) FROM customer"), 2);
}
END_TEST

START_TEST(explain_refuses_what_a_send_would_refuse)
{
  struct store_facts ask = explain("", "email", "ana@example.org");

  rows_customer(&rows, 300, 0);
  rows_identity(&rows, 10, 300, "phone", "+34600999888");
  rows_open(&rows);
  ask.submission->to.identities[ask.submission->to.n_identities++] =
      (struct identity){.kind = PARLEY_LIT("phone"), .value = PARLEY_LIT("+34600999888")};
  ck_assert_int_eq(rows_read(&rows, &ask.op, STORE_FACTS), PARLEY_OK);
  ck_assert_int_eq((int)ask.result, ACCEPT_CONFLICT);
  ck_assert_ptr_null(ask.decision);
  ask.submission->to = (struct recipient){.customer = 12345};
  ck_assert_int_eq(rows_read(&rows, &ask.op, STORE_FACTS), PARLEY_OK);
  ck_assert_int_eq((int)ask.result, ACCEPT_NO_CUSTOMER);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("store: reading customers and small things");
  TCase *tcase = tcase_create("all");
  SRunner *runner;
  int failed;

  tcase_add_checked_fixture(tcase, setup, teardown);
  tcase_add_test(tcase, a_customer_is_found_by_id_external_or_identity_and_shown_as_the_head);
  tcase_add_test(tcase, a_customer_who_is_not_there_is_not_found);
  tcase_add_test(tcase, of_consents_the_newest_counts_and_over_a_merge_the_stricter);
  tcase_add_loop_test(tcase, conversations_are_filtered_and_paged_newest_first, 0, COUNT_OF(conversations_rows));
  tcase_add_test(tcase, a_conversation_that_is_not_there_is_not_found);
  tcase_add_test(tcase, suppressions_in_force_are_listed_newest_first);
  tcase_add_test(tcase, documents_are_read_by_kind_and_name);
  tcase_add_test(tcase, media_are_read_piece_by_piece);
  tcase_add_test(tcase, what_the_feed_still_owes_is_read_when_it_is_due);
  tcase_add_test(tcase, figures_add_up_or_say_that_they_dont);
  tcase_add_test(tcase, a_decision_that_is_only_asked_about_writes_nothing);
  tcase_add_test(tcase, explain_refuses_what_a_send_would_refuse);
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed > 0;
}
