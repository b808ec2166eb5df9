/* No read walks a table that grows: every statement that the readers have prepared is explained by SQLite itself. Always on
 * SQLite: it is about that planner. */
#include "core/base/alloc.h"
#include "core/store/sqlite.h"
#include "core/route/decide.h"
#include "store_rows.h"

#define BASE ((id64)1 << 40)

static struct rows rows;
static struct lane_room room;
static struct sqlite_store look; /* a reader of our own, whose statements can be looked at */
static struct reader reader;

static void look_open(void)
{
  struct buf why = BUF_INIT(1024);
  int flags = SQLITE_OPEN_READWRITE;

  look.base.ways = &sqlite_ways;
  look.base.env = &rows.f.fake.env;
  look.base.hash_key = rows.hash_key;
  look.path = rows.f.path;
  ck_assert_msg(sqlite_db_open(&look.writer, rows.f.path, NULL, flags, &why) == PARLEY_OK, "%s", why.at);
  ck_assert_msg(sqlite_db_open(&look.readers[0], rows.f.path, NULL, flags, &why) == PARLEY_OK, "%s", why.at);
  sqlite_db_tune(&look.readers[0].base, READER_CACHE_KIB);
  ck_assert_int_eq(tails_open(&look), PARLEY_OK);
  reader = (struct reader){.store = &look.base, .db = &look.readers[0].base};
  buf_done(&why);
}

static parley_status look_read(struct store_op *op, enum store_kind kind)
{
  op->kind = kind;
  op->arena = arena_new();
  read_run(&reader, op);
  ck_assert_msg(reader.db->status == PARLEY_OK, "%s", reader.db->why);
  ck_assert_int_ne(sqlite3_get_autocommit(sqlite_handle(reader.db)), 0);
  for (sqlite3_stmt *at = sqlite3_next_stmt(sqlite_handle(reader.db), NULL); at != NULL;
       at = sqlite3_next_stmt(sqlite_handle(reader.db), at))
    ck_assert_msg(!sqlite3_stmt_busy(at), "still open: %s", sqlite3_sql(at));
  arena_free(&op->arena);
  return op->status;
}

static void setup(void)
{
  rows_init(&rows);
  rows_customer(&rows, 100, 0);
  rows_customer(&rows, 200, 100);
  rows_identity(&rows, 7, 100, "email", "ana@example.org");
  rows_identity(&rows, 8, 200, "external", "shop-77");
  rows_exec(
      &rows,
      "UPDATE customer SET flags=flags|%d; INSERT INTO suppression VALUES(1,2,'email','x@example.org','manual',3,0,0,'','','');"
      "INSERT INTO consent VALUES(1,100,'orders','email',1,2,'api','')",
      CUSTOMER_HAS_CONSENT | CUSTOMER_HAS_EXTERNAL);
  for (id64 i = 0; i < 4; i++)
    rows_message(&rows, BASE + i * 10, 100, START_MS, DELIVERY_SENDING);
  rows_exec(&rows, "UPDATE message SET flags=%d", MESSAGE_BODY_APART);
  rows_event(&rows, BASE + 100, "touchpoint.checkout", 100, BASE, START_MS);
  rows_exec(&rows, "INSERT INTO conversation VALUES(55,100,7,'open','eva','[]','mail','email','',5,0,0,0,1);"
                   "INSERT INTO media VALUES(1,'s','t','n',5,x'00'); UPDATE event SET conversation=55");
  look_open();
}

static void teardown(void)
{
  tails_close(&look);
  sqlite_db_close(&look.readers[0]);
  sqlite_db_close(&look.writer);
  rows_done(&rows);
}

static void read_all_messages(void)
{
  static const struct identity ana = {.kind = PARLEY_LIT("email"), .value = PARLEY_LIT("ana@example.org")};
  struct store_message ones[] = {{.id = BASE}, {.key = PARLEY_LIT("k")}};
  struct store_messages lists[] = {
      {.state = -1, .inbound = -1, .limit = 9}, {.state = MESSAGE_HELD, .inbound = -1, .limit = 9},
      {.state = MESSAGE_SENT, .inbound = 0, .limit = 9, .customer = 100, .before = BASE + 20},
      {.state = -1, .inbound = -1, .limit = 9, .to = ana},
  };

  for (size_t i = 0; i < COUNT_OF(ones); i++)
    look_read(&ones[i].op, STORE_MESSAGE);
  for (size_t i = 0; i < COUNT_OF(lists); i++)
    look_read(&lists[i].op, STORE_MESSAGES);
}

static void read_all_timelines(void)
{
  static const uint64_t only[] = {BASE + 100};
  struct store_timeline timelines[] = {{.customer = 100, .limit = 9, .bodies = true},
                                       {.conversation = 55, .limit = 9, .oldest_first = true}};
  struct store_events events[] = {{.limit = 9, .with_context = true}, {.n_only = 1, .only = only}};

  for (size_t i = 0; i < COUNT_OF(timelines); i++)
    ck_assert_int_eq(look_read(&timelines[i].op, STORE_TIMELINE), PARLEY_OK);
  for (size_t i = 0; i < COUNT_OF(events); i++)
    ck_assert_int_eq(look_read(&events[i].op, STORE_EVENTS), PARLEY_OK);
}

static void read_all_context(void)
{
  struct store_customer customer = {.id = 100};
  struct store_conversations conversations[] = {{.id = 55},
                                                {.customer = 100, .limit = 9},
                                                {.limit = 9},
                                                {.state = PARLEY_LIT("open"), .limit = 9},
                                                {.assignee = PARLEY_LIT("eva"), .limit = 9}};
  struct store_suppressions suppressions[] = {
      {.limit = 9}, {.limit = 9, .only = {.kind = PARLEY_LIT("email"), .value = PARLEY_LIT("x")}}};

  look_read(&customer.op, STORE_CUSTOMER);
  for (size_t i = 0; i < COUNT_OF(conversations); i++)
    look_read(&conversations[i].op, STORE_CONVERSATIONS);
  for (size_t i = 0; i < COUNT_OF(suppressions); i++)
    look_read(&suppressions[i].op, STORE_SUPPRESSIONS);
}

static void read_all_small(void)
{
  static const struct policy_channel sms = {.name = PARLEY_LIT("sms"), .channel_kind = PARLEY_LIT("sms"),
                                            .address_kind = PARLEY_LIT("phone"), .room = &room};
  static const struct policy_topic orders = {.name = PARLEY_LIT("orders"), .class = CLASS_TRANSACTIONAL};
  struct submission submission = {.topic = &orders, .n_steps = 1, .steps = {{.channel = &sms, .until = UNTIL_SENT}}};
  struct store_docs docs[] = {{.kind = PARLEY_LIT("k")}, {.kind = PARLEY_LIT("k"), .name = PARLEY_LIT("n")}};
  struct store_media media = {.id = 1, .limit = 9};
  struct store_feed_due due = {.subscription = 5, .limit = 9};
  struct store_stats stats = {0};
  struct store_facts facts = {.submission = &submission, .decide = decide};

  submission.to.external = PARLEY_LIT("shop-77");
  for (size_t i = 0; i < COUNT_OF(docs); i++)
    look_read(&docs[i].op, STORE_DOCS);
  look_read(&media.op, STORE_MEDIA);
  look_read(&due.op, STORE_FEED_DUE);
  look_read(&stats.op, STORE_STATS);
  look_read(&facts.op, STORE_FACTS);
}

/* What may be walked or sorted, since a LIMIT or one customer bounds it. */
static bool step_allowed(const char *sql, const char *step)
{
  static const struct { const char *sql, *step; } allowed[] = {
      {"SELECT 1 FROM park LIMIT", "SCAN few"},
      {"SELECT 1 FROM park LIMIT", "SCAN park"},              /* a bounded count */
      {"FROM (SELECT channel FROM park", "SCAN old"},         /* so many of the oldest, by channel */
      {"FROM (SELECT channel FROM park", "USE TEMP B-TREE FOR GROUP BY"},
      {"pragma_user_version", "SCAN pragma_user_version"},    /* one row */
      {"FROM consent WHERE customer", "SCAN (subquery"},
      {"FROM attempt WHERE message", "SCAN newest"},       /* one message's newest attempts, turned round */
      {"FROM attempt WHERE message", "USE TEMP B-TREE FOR ORDER BY"},
      {"FROM consent WHERE customer", "USE TEMP B-TREE"},     /* one customer's ledger */
      {"SELECT count(*) FROM (SELECT 1", "SCAN "},   /* of what is bounded within */
      {"SELECT DISTINCT message FROM delivery INDEXED BY delivery_held", "USE TEMP B-TREE FOR DISTINCT"},
  };

  if (strncmp(step, "SCAN", 4) != 0 && strstr(step, "TEMP B-TREE") == NULL)
    return true;
  for (size_t i = 0; i < COUNT_OF(allowed); i++) {
    if (strstr(sql, allowed[i].sql) != NULL && strncmp(step, allowed[i].step, strlen(allowed[i].step)) == 0)
      return true;
  }
  return false;
}

static void check_plan(const char *sql)
{
  struct buf explain = BUF_INIT(0);
  sqlite3_stmt *stmt = NULL;

  buf_printf(&explain, "EXPLAIN QUERY PLAN %s", sql);
  ck_assert_int_eq(sqlite3_prepare_v2(look.writer.handle, explain.at, -1, &stmt, NULL), SQLITE_OK);
  while (sqlite3_step(stmt) == SQLITE_ROW) {
    const char *step = (const char *)sqlite3_column_text(stmt, 3);

    ck_assert_msg(step_allowed(sql, step), "%s: %s", step, sql);
  }
  sqlite3_finalize(stmt);
  buf_done(&explain);
}

START_TEST(no_read_walks_a_table_that_grows)
{
  sqlite3 *db = sqlite_handle(reader.db);
  int n = 0;

  read_all_messages();
  read_all_timelines();
  read_all_context();
  read_all_small();
  for (sqlite3_stmt *at = sqlite3_next_stmt(db, NULL); at != NULL; at = sqlite3_next_stmt(db, at), n++) {
    if (strncmp(sqlite3_sql(at), "SELECT", 6) == 0)
      check_plan(sqlite3_sql(at));
  }
  ck_assert_int_gt(n, 45); /* all of them were met */
}
END_TEST

/* Of many old messages none is looked for in all deliveries. */
START_TEST(nothing_that_goes_with_time_is_looked_for_by_a_walk)
{
  static const struct store_keep keep = {1, 1, 1, 1};
  struct round round = {.store = &look.base, .db = &look.writer.base, .now_ms = INT64_MAX / 2};
  id64 holder = 5;
  sqlite3 *db = sqlite_handle(round.db);
  int n = 0;

  rows_exec(&rows, "INSERT INTO feed_cursor VALUES(5,%lld); INSERT INTO raw VALUES(1,'x'); INSERT INTO late VALUES(1)",
            (long long)INT64_MAX);
  look.base.retention = (struct retention){.keep = keep, .holders_known = true, .n_holders = 1, .holders = &holder};
  mark_put(round.db, "timeline", INT64_MAX);
  expire_step(&round, 0);
  ck_assert_msg(round.db->status == PARLEY_OK, "%s", round.db->why);
  for (sqlite3_stmt *at = sqlite3_next_stmt(db, NULL); at != NULL; at = sqlite3_next_stmt(db, at), n++)
    if (strncmp(sqlite3_sql(at), "INSERT", 6) != 0)
      check_plan(sqlite3_sql(at));
  ck_assert_int_gt(n, 20);
  ck_assert_int_gt(round.delta.expired[KEEP_EVENTS], 0);
  round_done(&round);
}
END_TEST

START_TEST(a_walk_would_be_noticed)
{
  ck_assert(!step_allowed("SELECT * FROM message WHERE topic=?", "SCAN message"));
  ck_assert(!step_allowed("SELECT * FROM event WHERE type=? ORDER BY at", "USE TEMP B-TREE FOR ORDER BY"));
  ck_assert(step_allowed("SELECT id FROM message WHERE id=?", "SEARCH message USING INTEGER PRIMARY KEY (rowid=?)"));
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("store: how reads find their rows");
  TCase *tcase = tcase_create("all");
  SRunner *runner;
  int failed;

  unsetenv("PARLEY_TEST_STORE");
  tcase_add_checked_fixture(tcase, setup, teardown);
  tcase_add_test(tcase, no_read_walks_a_table_that_grows);
  tcase_add_test(tcase, nothing_that_goes_with_time_is_looked_for_by_a_walk);
  tcase_add_test(tcase, a_walk_would_be_noticed);
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed > 0;
}
