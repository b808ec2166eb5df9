/* Reading while the store is at work: whoever was told that something is stored finds it, wherever it stands meanwhile.
 */
#include "core/base/alloc.h"
#include "store_messages.h"

#define MESSAGES 36000 /* more than two tails: entries are sealed, written out and dropped while we read */
#define CUSTOMERS 60
#define IN_FLIGHT 700
#define READ_EVERY 150
#define SEEN_MAX 1000

static struct fixture f;
static struct rules rules;

static void setup(void)
{
  fixture_init(&f);
  rules_init(&rules, 0);
  fixture_open(&f);
}

static void teardown(void)
{
  fixture_done(&f);
  rules_done(&rules);
}

struct work;
struct arrival { struct store_inbound op; struct work *work; size_t number; char event[24]; };
struct look { struct store_timeline op; struct work *work; size_t expected; };
struct work {
  size_t submitted, done, looks;
  size_t stored[CUSTOMERS]; /* acknowledged */
  char addresses[CUSTOMERS][32];
  struct arrival arrivals[IN_FLIGHT];
};

static struct identity address_of(struct work *work, size_t customer)
{
  parley_text value = parley_text_of(work->addresses[customer]);

  return (struct identity){.kind = PARLEY_LIT("email"), .value = value, .raw = value};
}

static void on_looked(struct store_op *op)
{
  struct look *look = (struct look *)op;
  const struct store_timeline *line = &look->op;

  ck_assert_int_eq(op->status, PARLEY_OK);
  ck_assert_msg(line->n >= look->expected, "%zu were acknowledged, %zu are seen", look->expected, line->n);
  for (size_t i = 1; i < line->n; i++) /* in order, none twice */
    ck_assert(line->rows[i - 1].at_ms < line->rows[i].at_ms ||
              (line->rows[i - 1].at_ms == line->rows[i].at_ms && line->rows[i - 1].seq < line->rows[i].seq));
  look->work->looks++;
  arena_free(&op->arena);
  free(look);
}

static void look_at(struct work *work, size_t customer)
{
  struct look *look = xcalloc(1, sizeof *look);

  look->work = work;
  look->expected = work->stored[customer];
  look->op.op.kind = STORE_TIMELINE;
  look->op.op.done = on_looked;
  look->op.who = address_of(work, customer);
  look->op.oldest_first = true;
  look->op.limit = SEEN_MAX;
  store_submit(f.store, &look->op.op);
}

static void arrival_submit(struct arrival *arrival);

static void on_arrived(struct store_op *op)
{
  struct arrival *arrival = (struct arrival *)op;
  struct work *work = arrival->work;
  size_t customer = arrival->number % CUSTOMERS;

  ck_assert_int_eq(op->status, PARLEY_OK);
  arena_free(&op->arena);
  work->stored[customer]++;
  if (++work->done % READ_EVERY == 0)
    look_at(work, customer);
  if (work->submitted < MESSAGES)
    arrival_submit(arrival);
}

static void arrival_submit(struct arrival *arrival)
{
  struct work *work = arrival->work;
  struct store_inbound *in = &arrival->op;

  memset(in, 0, sizeof *in);
  arrival->number = work->submitted++;
  snprintf(arrival->event, sizeof arrival->event, "e%zu", arrival->number);
  in->op.kind = STORE_INBOUND;
  in->op.done = on_arrived;
  in->channel = PARLEY_LIT("mail");
  in->channel_kind = PARLEY_LIT("email");
  in->event_id = parley_text_of(arrival->event);
  in->from.n_identities = 1;
  in->from.identities[0] = address_of(work, arrival->number % CUSTOMERS);
  in->kind = PARLEY_KIND_CONTENT;
  in->at_ms = START_MS + (int64_t)(arrival->number * 7919 % 1000); /* providers' times are in no order */
  in->now_ms = f.fake.now_ms;
  in->topic = TEXT_EMPTY;
  in->body = PARLEY_LIT("{\"content\":{\"text\":\"hello\"}}");
  store_submit(f.store, &in->op);
}

START_TEST(what_was_acknowledged_is_seen_while_tails_go_to_their_tables)
{
  struct work *work = xcalloc(1, sizeof *work);

  for (size_t i = 0; i < CUSTOMERS; i++)
    snprintf(work->addresses[i], sizeof work->addresses[i], "c%zu@example.org", i);
  for (size_t i = 0; i < IN_FLIGHT; i++) {
    work->arrivals[i].work = work;
    arrival_submit(&work->arrivals[i]);
  }
  uv_run(&f.loop, UV_RUN_DEFAULT);
  ck_assert_uint_eq(work->done, MESSAGES);
  ck_assert_uint_eq(work->looks, MESSAGES / READ_EVERY);
  if (!f.postgres) /* where all stand in their table at once */
    ck_assert_int_gt(fixture_sql(&f, "SELECT count(*) FROM timeline_recent"), 16384); /* tails did move */
  for (size_t i = 0; i < CUSTOMERS; i++)
    look_at(work, i);
  uv_run(&f.loop, UV_RUN_DEFAULT);
  fixture_close(&f);
  fixture_open(&f); /* and after a start, when the tail has been read again */
  for (size_t i = 0; i < CUSTOMERS; i++)
    look_at(work, i);
  uv_run(&f.loop, UV_RUN_DEFAULT);
  ck_assert_uint_eq(work->looks, MESSAGES / READ_EVERY + 2 * CUSTOMERS);
  free(work);
}
END_TEST

/* One accepted message through every read, by the front door. */
START_TEST(a_message_that_was_accepted_is_found_by_every_door)
{
  struct submission *submission = submission_make(&f, &rules, "email", "ana@example.org", MAIL);
  struct accepted sent;
  struct store_message message = {0};
  struct store_messages list = {.state = MESSAGE_QUEUED, .inbound = -1, .limit = 10};
  struct store_timeline line = {.limit = 10, .bodies = true};
  struct store_events events = {.limit = 10, .with_context = true};
  struct store_stats stats = {0};

  submission->key = PARLEY_LIT("order-7");
  sent = accept_one(&f, submission);
  ck_assert_int_eq((int)sent.result, ACCEPTED);
  message.key = PARLEY_LIT("order-7");
  ck_assert_int_eq(fixture_run(&f, &message.op, STORE_MESSAGE), PARLEY_OK);
  ck_assert_uint_eq(message.row->id, sent.message);
  ck_assert_int_eq((int)message.row->state, MESSAGE_QUEUED);
  ck_assert(parley_text_is(message.row->channel, "mail") && message.row->n_deliveries == 1);
  ck_assert_int_eq(fixture_run(&f, &list.op, STORE_MESSAGES), PARLEY_OK);
  ck_assert(list.n == 1 && list.rows[0].id == sent.message);
  line.customer = sent.customer;
  ck_assert_int_eq(fixture_run(&f, &line.op, STORE_TIMELINE), PARLEY_OK);
  ck_assert(line.n == 1 && line.rows[0].message->id == sent.message && line.rows[0].message->body.len > 0);
  ck_assert_int_eq(fixture_run(&f, &events.op, STORE_EVENTS), PARLEY_OK);
  ck_assert_uint_ge(events.n, 1);
  ck_assert_uint_eq(events.rows[0].recent[0].seq, sent.message);
  ck_assert_int_eq(fixture_run(&f, &stats.op, STORE_STATS), PARLEY_OK);
  ck_assert(stats.accepted == 1 && stats.by_state[MESSAGE_QUEUED] == 1 && stats.adds_up &&
            stats.oldest_due_ms == START_MS);
  arena_free(&message.op.arena);
  arena_free(&list.op.arena);
  arena_free(&line.op.arena);
  arena_free(&events.op.arena);
  arena_free(&stats.op.arena);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("store: reading while it works");
  TCase *tcase = tcase_create("all");
  SRunner *runner;
  int failed;

  tcase_set_timeout(tcase, 60);
  tcase_add_checked_fixture(tcase, setup, teardown);
  tcase_add_test(tcase, what_was_acknowledged_is_seen_while_tails_go_to_their_tables);
  tcase_add_test(tcase, a_message_that_was_accepted_is_found_by_every_door);
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed > 0;
}
