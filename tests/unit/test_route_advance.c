#include "core/base/alloc.h"
#include "core/route/advance.h"
#include <check.h>
#include <stdlib.h>
#include <string.h>

#define NOW INT64_C(1000000)
#define EXPIRES (NOW + 60000)
#define RETRY_AT (NOW + 5000)

/* A message of up to three steps; the last delivery is the one that something happens to. */
struct fixture {
  struct message_facts message;
  struct step_facts steps[3];
  struct delivery_facts rows[3];
};

static void fixture_init(struct fixture *f, size_t n_steps, size_t n_rows, enum delivery_state state)
{
  *f = (struct fixture){.message = {.now_ms = NOW, .expires_ms = EXPIRES, .n_steps = n_steps, .n_deliveries = n_rows}};
  f->message.steps = f->steps;
  f->message.deliveries = f->rows;
  for (size_t i = 0; i < n_steps; i++)
    f->steps[i] = (struct step_facts){.until = UNTIL_SENT, .go = true, .on_unknown = UNKNOWN_RESEND};
  for (size_t i = 0; i < n_rows; i++)
    f->rows[i] = (struct delivery_facts){.step = (uint32_t)i, .state = DELIVERY_CANCELLED, .attempt = 1, .token = 7,
                                         .handed_ms = NOW - 1000, .started_ms = NOW - 2000};
  if (n_rows > 0)
    f->rows[n_rows - 1].state = state;
}

static struct advanced happen(const struct fixture *f, enum happening what, uint32_t outcome)
{
  struct happened happened = {.what = what, .delivery = f->message.n_deliveries - 1, .outcome = outcome, .token = 7,
                              .retry_at_ms = RETRY_AT};

  return advance(&f->message, &happened);
}

static struct advanced receipt(const struct fixture *f, uint32_t fact)
{
  struct happened happened = {.what = HAPPEN_RECEIPT, .delivery = f->message.n_deliveries - 1, .fact = fact};

  return advance(&f->message, &happened);
}

static const struct delivery_facts *now_of(const struct fixture *f, const struct advanced *advanced, size_t row)
{
  for (size_t i = 0; i < advanced->n_changes; i++) {
    if (advanced->changes[i].delivery == row)
      return &advanced->changes[i].to;
  }
  return &f->rows[row];
}

/* --- Outcomes of the one open attempt of a plan of two steps ------------------------------------------------------ */

static const struct outcome_row {
  const char *name;
  uint32_t outcome;
  enum on_unknown on_unknown;
  bool can_query;
  enum delivery_state state;
  enum message_state message;
  int begin_step;
  uint32_t attempt;
  uint64_t token;
  bool maybe_twice, held, query, suppress;
  int64_t due_ms;
  const char *reason;
} outcome_rows[] = {
    {.name = "accepted",
     .outcome = PARLEY_OUTCOME_ACCEPTED,
     .state = DELIVERY_SENT,
     .message = MESSAGE_SENT,
     .begin_step = -1,
     .attempt = 1,
     .token = 7},
    {.name = "delivered",
     .outcome = PARLEY_OUTCOME_DELIVERED,
     .state = DELIVERY_DELIVERED,
     .message = MESSAGE_DELIVERED,
     .begin_step = -1,
     .attempt = 1,
     .token = 7},
    {.name = "retry",
     .outcome = PARLEY_OUTCOME_RETRY,
     .state = DELIVERY_QUEUED,
     .message = MESSAGE_QUEUED,
     .begin_step = -1,
     .attempt = 1,
     .token = 7,
     .due_ms = RETRY_AT},
    {.name = "rejected: next step",
     .outcome = PARLEY_OUTCOME_REJECTED,
     .state = DELIVERY_FAILED,
     .message = MESSAGE_QUEUED,
     .begin_step = 1,
     .attempt = 1,
     .token = 7},
    {.name = "bad address: next step, suppressed",
     .outcome = PARLEY_OUTCOME_BAD_ADDRESS,
     .state = DELIVERY_FAILED,
     .message = MESSAGE_QUEUED,
     .begin_step = 1,
     .attempt = 1,
     .token = 7,
     .suppress = true},
    {.name = "throttled costs no attempt",
     .outcome = PARLEY_OUTCOME_THROTTLED,
     .state = DELIVERY_QUEUED,
     .message = MESSAGE_QUEUED,
     .begin_step = -1,
     .attempt = 0,
     .token = 7,
     .due_ms = RETRY_AT},
    {.name = "channel down costs no attempt",
     .outcome = PARLEY_OUTCOME_CHANNEL_DOWN,
     .state = DELIVERY_QUEUED,
     .message = MESSAGE_QUEUED,
     .begin_step = -1,
     .attempt = 0,
     .token = 7,
     .due_ms = RETRY_AT},
    {.name = "taken back costs no attempt",
     .outcome = 0,
     .state = DELIVERY_QUEUED,
     .message = MESSAGE_QUEUED,
     .begin_step = -1,
     .attempt = 0,
     .token = 7,
     .due_ms = RETRY_AT},
    {.name = "unknown, resend",
     .outcome = PARLEY_OUTCOME_UNKNOWN,
     .on_unknown = UNKNOWN_RESEND,
     .state = DELIVERY_QUEUED,
     .message = MESSAGE_QUEUED,
     .begin_step = -1,
     .attempt = 1,
     .token = 8,
     .maybe_twice = true,
     .due_ms = RETRY_AT},
    {.name = "unknown, query",
     .outcome = PARLEY_OUTCOME_UNKNOWN,
     .on_unknown = UNKNOWN_QUERY,
     .can_query = true,
     .state = DELIVERY_UNKNOWN,
     .message = MESSAGE_SENDING,
     .begin_step = -1,
     .attempt = 1,
     .token = 8,
     .maybe_twice = true,
     .query = true,
     .due_ms = RETRY_AT},
    {.name = "unknown, query where there is none",
     .outcome = PARLEY_OUTCOME_UNKNOWN,
     .on_unknown = UNKNOWN_QUERY,
     .state = DELIVERY_QUEUED,
     .message = MESSAGE_QUEUED,
     .begin_step = -1,
     .attempt = 1,
     .token = 8,
     .maybe_twice = true,
     .due_ms = RETRY_AT},
    {.name = "unknown, default",
     .outcome = PARLEY_OUTCOME_UNKNOWN,
     .on_unknown = UNKNOWN_DEFAULT,
     .can_query = true,
     .state = DELIVERY_UNKNOWN,
     .message = MESSAGE_SENDING,
     .begin_step = -1,
     .attempt = 1,
     .token = 8,
     .maybe_twice = true,
     .query = true,
     .due_ms = RETRY_AT},
    {.name = "unknown, hold",
     .outcome = PARLEY_OUTCOME_UNKNOWN,
     .on_unknown = UNKNOWN_HOLD,
     .state = DELIVERY_UNKNOWN,
     .message = MESSAGE_HELD,
     .begin_step = -1,
     .attempt = 1,
     .token = 8,
     .maybe_twice = true,
     .held = true,
     .reason = "unknown_outcome"},
    {.name = "an outcome of a later ABI is unknown",
     .outcome = 77,
     .on_unknown = UNKNOWN_HOLD,
     .state = DELIVERY_UNKNOWN,
     .message = MESSAGE_HELD,
     .begin_step = -1,
     .attempt = 1,
     .token = 8,
     .maybe_twice = true,
     .held = true,
     .reason = "unknown_outcome"},
};

static void check_reason(const char *got, const char *want)
{
  if (want == NULL)
    ck_assert_ptr_null(got);
  else
    ck_assert_str_eq(got, want);
}

START_TEST(each_outcome_of_an_open_attempt_leads_where_the_contract_says)
{
  const struct outcome_row *want = &outcome_rows[_i];
  struct fixture f;
  struct advanced got;
  const struct delivery_facts *row;

  fixture_init(&f, 2, 1, DELIVERY_SENDING);
  f.steps[0].on_unknown = want->on_unknown != UNKNOWN_DEFAULT || want->can_query ? want->on_unknown : UNKNOWN_RESEND;
  f.steps[0].can_query = want->can_query;
  got = happen(&f, HAPPEN_OUTCOME, want->outcome);
  row = now_of(&f, &got, 0);
  ck_assert_msg(!got.ignored && got.before == MESSAGE_SENDING, "%s", want->name);
  ck_assert_msg(row->state == want->state, "%s: %s", want->name, delivery_state_name(row->state));
  ck_assert_msg(got.after == want->message, "%s: %s", want->name, message_state_name(got.after));
  ck_assert_msg(got.begin_step == want->begin_step, "%s: begins %d", want->name, got.begin_step);
  ck_assert_msg(row->attempt == want->attempt && row->token == want->token, "%s: attempt or token", want->name);
  ck_assert_msg(row->maybe_twice == want->maybe_twice && row->held == want->held, "%s: flags", want->name);
  ck_assert_msg(got.query == want->query && got.suppress_address == want->suppress, "%s: query, suppress", want->name);
  ck_assert_msg(row->due_ms == want->due_ms, "%s: due", want->name);
  check_reason(got.reason, want->reason);
}
END_TEST

START_TEST(an_orphan_is_unknown_with_its_token_raised_whatever_the_policy)
{
  static const enum on_unknown policies[] = {UNKNOWN_RESEND, UNKNOWN_QUERY, UNKNOWN_HOLD};
  static const enum delivery_state states[] = {DELIVERY_QUEUED, DELIVERY_UNKNOWN, DELIVERY_UNKNOWN};
  struct fixture f;
  struct advanced got;

  fixture_init(&f, 2, 1, DELIVERY_SENDING);
  f.steps[0].on_unknown = policies[_i];
  f.steps[0].can_query = true;
  got = happen(&f, HAPPEN_ORPHAN, 0);
  ck_assert_int_eq((int)got.changes[0].to.state, (int)states[_i]);
  ck_assert_uint_eq(got.changes[0].to.token, 8);
  ck_assert(got.changes[0].to.maybe_twice);
  ck_assert_int_eq(got.changes[0].to.held, policies[_i] == UNKNOWN_HOLD);
  ck_assert_int_eq(got.begin_step, -1);
}
END_TEST

/* --- A backup was restored ---------------------------------------------------------------------------------------- */

static const struct restored_row {
  const char *name;
  enum delivery_state was;
  bool held, maybe_twice, cancelled; /* as it was */
  int64_t due_ms, now_ms;
  bool ignored;
  enum delivery_state state;
  bool held_now;
  uint64_t token;
  enum message_state message;
  const char *reason;
} restored_rows[] = {
    {"due", DELIVERY_QUEUED, false, false, false, NOW, NOW, false, DELIVERY_UNKNOWN, true, 8, MESSAGE_HELD, "restored"},
    {"due, a resend", DELIVERY_QUEUED, false, true, false, NOW - 1, NOW, false, DELIVERY_UNKNOWN, true, 8, MESSAGE_HELD, "restored"},
    {"not due", DELIVERY_QUEUED, false, false, false, NOW + 1, NOW, false, DELIVERY_QUEUED, false, 7, MESSAGE_QUEUED, NULL},
    {"not due, marked before", DELIVERY_QUEUED, false, true, false, NOW + 1, NOW, true, DELIVERY_QUEUED, false, 7,
     MESSAGE_QUEUED, NULL},
    {"too late", DELIVERY_QUEUED, false, false, false, NOW, EXPIRES, false, DELIVERY_EXPIRED, false, 8, MESSAGE_EXPIRED, "expired"},
    {"on its way", DELIVERY_SENDING, false, false, false, 0, NOW, false, DELIVERY_UNKNOWN, true, 8, MESSAGE_HELD, "restored"},
    {"on its way, too late", DELIVERY_SENDING, false, false, false, 0, EXPIRES, false, DELIVERY_UNKNOWN, true, 8,
     MESSAGE_HELD, "restored"},
    {"on its way, cancelled", DELIVERY_SENDING, false, false, true, 0, NOW, false, DELIVERY_CANCELLED, false, 8,
     MESSAGE_CANCELLED, NULL},
    {"asked about", DELIVERY_UNKNOWN, false, true, false, 0, NOW, false, DELIVERY_UNKNOWN, true, 8, MESSAGE_HELD, "restored"},
    {"an operator's already", DELIVERY_UNKNOWN, true, true, false, 0, NOW, true, DELIVERY_UNKNOWN, true, 7, MESSAGE_HELD, NULL},
    {"sent", DELIVERY_SENT, false, false, false, 0, NOW, true, DELIVERY_SENT, false, 7, MESSAGE_SENT, NULL},
    {"failed", DELIVERY_FAILED, false, false, false, 0, NOW, true, DELIVERY_FAILED, false, 7, MESSAGE_FAILED, NULL},
};

/* Whatever the policy says about what is unknown. */
START_TEST(what_a_backup_had_not_ended_is_an_operators_but_for_what_was_not_due)
{
  static const enum on_unknown policies[] = {UNKNOWN_DEFAULT, UNKNOWN_RESEND, UNKNOWN_QUERY, UNKNOWN_HOLD};
  const struct restored_row *want = &restored_rows[_i];
  const struct delivery_facts *row;
  struct fixture f;
  struct advanced got;

  for (size_t i = 0; i < COUNT_OF(policies); i++) {
    fixture_init(&f, 1, 1, want->was);
    f.steps[0] = (struct step_facts){.until = UNTIL_SENT, .go = true, .on_unknown = policies[i], .can_query = true};
    f.rows[0].held = want->held;
    f.rows[0].maybe_twice = want->maybe_twice;
    f.rows[0].due_ms = want->due_ms;
    f.rows[0].facts = want->was == DELIVERY_SENT ? FACT_SENT : 0;
    f.message.cancelled = want->cancelled;
    f.message.now_ms = want->now_ms;
    got = happen(&f, HAPPEN_RESTORED, 0);
    row = now_of(&f, &got, 0);
    ck_assert_msg(got.ignored == want->ignored, "%s: ignored", want->name);
    ck_assert_msg(row->state == want->state && row->held == want->held_now, "%s: state", want->name);
    ck_assert_msg(row->token == want->token, "%s: token", want->name);
    ck_assert_msg(got.ignored || row->maybe_twice, "%s: marked", want->name);
    ck_assert_msg(got.after == want->message, "%s: message", want->name);
    check_reason(got.reason, want->reason);
  }
}
END_TEST

START_TEST(what_is_sent_with_a_step_left_is_marked_and_goes_on)
{
  struct fixture f;
  struct advanced got;

  fixture_init(&f, 2, 1, DELIVERY_SENT);
  f.rows[0].facts = FACT_SENT;
  f.steps[0].until = UNTIL_DELIVERED;
  f.steps[0].within_ms = 1000;
  got = happen(&f, HAPPEN_RESTORED, 0);
  ck_assert(!got.ignored && now_of(&f, &got, 0)->maybe_twice);
  ck_assert_int_eq((int)now_of(&f, &got, 0)->state, DELIVERY_SENT);
  ck_assert_int_eq(got.begin_step, -1);
  f.rows[0].maybe_twice = true;
  ck_assert(happen(&f, HAPPEN_RESTORED, 0).ignored);
}
END_TEST

/* --- Deaths of the plugin's process ------------------------------------------------------------------------------- */

static const struct death_row {
  const char *name;
  enum on_unknown on_unknown;
  bool can_query, cancelled, late; /* late: its time is over */
  uint32_t outcome, had, deaths;
  enum delivery_state state;
  enum message_state message;
  const char *reason;
} death_rows[] = {
    {"first, resend", UNKNOWN_RESEND, false, false, false, PARLEY_OUTCOME_UNKNOWN, 0, 1, DELIVERY_QUEUED,
     MESSAGE_QUEUED, NULL},
    {"second, resend", UNKNOWN_RESEND, false, false, false, PARLEY_OUTCOME_UNKNOWN, 1, 2, DELIVERY_QUEUED,
     MESSAGE_QUEUED, NULL},
    {"third, resend", UNKNOWN_RESEND, false, false, false, PARLEY_OUTCOME_UNKNOWN, 2, 3, DELIVERY_UNKNOWN, MESSAGE_HELD,
     "poison"},
    {"first, query", UNKNOWN_QUERY, true, false, false, PARLEY_OUTCOME_UNKNOWN, 0, 1, DELIVERY_UNKNOWN, MESSAGE_SENDING,
     NULL},
    {"third, query", UNKNOWN_QUERY, true, false, false, PARLEY_OUTCOME_UNKNOWN, 2, 3, DELIVERY_UNKNOWN, MESSAGE_HELD,
     "poison"},
    {"first, hold", UNKNOWN_HOLD, false, false, false, PARLEY_OUTCOME_UNKNOWN, 0, 1, DELIVERY_UNKNOWN, MESSAGE_HELD,
     "unknown_outcome"},
    {"third, hold", UNKNOWN_HOLD, false, false, false, PARLEY_OUTCOME_UNKNOWN, 2, 3, DELIVERY_UNKNOWN, MESSAGE_HELD,
     "poison"},
    {"third, cancelled", UNKNOWN_RESEND, false, true, false, PARLEY_OUTCOME_UNKNOWN, 2, 3, DELIVERY_CANCELLED,
     MESSAGE_CANCELLED, NULL},
    {"second, too late", UNKNOWN_RESEND, false, false, true, PARLEY_OUTCOME_UNKNOWN, 1, 2, DELIVERY_EXPIRED,
     MESSAGE_EXPIRED, "expired"},
    {"third, too late", UNKNOWN_RESEND, false, false, true, PARLEY_OUTCOME_UNKNOWN, 2, 3, DELIVERY_UNKNOWN,
     MESSAGE_HELD, "poison"},
    {"it said so before it died", UNKNOWN_RESEND, false, false, false, PARLEY_OUTCOME_ACCEPTED, 2, 2, DELIVERY_SENT,
     MESSAGE_SENT, NULL},
};

START_TEST(what_dies_with_its_plugin_is_unknown_by_policy_and_the_third_time_poison)
{
  const struct death_row *want = &death_rows[_i];
  struct happened happened = {
      .what = HAPPEN_OUTCOME, .outcome = want->outcome, .died = true, .token = 7, .retry_at_ms = RETRY_AT};
  struct fixture f;
  struct advanced got;
  const struct delivery_facts *row;

  fixture_init(&f, 2, 1, DELIVERY_SENDING);
  f.steps[0].on_unknown = want->on_unknown;
  f.steps[0].can_query = want->can_query;
  f.message.cancelled = want->cancelled;
  f.message.now_ms = want->late ? EXPIRES : NOW;
  f.rows[0].deaths = want->had;
  got = advance(&f.message, &happened);
  row = now_of(&f, &got, 0);
  ck_assert_msg(row->deaths == want->deaths, "%s: %u deaths", want->name, row->deaths);
  ck_assert_msg(row->state == want->state, "%s: %s", want->name, delivery_state_name(row->state));
  ck_assert_msg(got.after == want->message, "%s: %s", want->name, message_state_name(got.after));
  ck_assert_msg(row->held == (want->message == MESSAGE_HELD), "%s: held", want->name);
  ck_assert_msg(got.query == (want->message == MESSAGE_SENDING), "%s: query", want->name);
  ck_assert_int_eq(got.begin_step, -1);
  if (want->outcome == PARLEY_OUTCOME_UNKNOWN)
    ck_assert_msg(row->maybe_twice && row->token == 8, "%s: mark, token", want->name);
  check_reason(got.reason, want->reason);
}
END_TEST

/* Whatever happens without a death leaves the count alone; of a stale token there is none. */
START_TEST(only_a_death_of_the_present_attempt_counts)
{
  static const uint32_t outcomes[] = {PARLEY_OUTCOME_RETRY, PARLEY_OUTCOME_UNKNOWN, PARLEY_OUTCOME_THROTTLED, 0};
  struct happened stale = {.what = HAPPEN_OUTCOME, .outcome = PARLEY_OUTCOME_UNKNOWN, .died = true, .token = 6};
  struct fixture f;
  struct advanced got;

  fixture_init(&f, 1, 1, DELIVERY_SENDING);
  f.rows[0].deaths = 2;
  for (size_t i = 0; i < COUNT_OF(outcomes); i++) {
    got = happen(&f, HAPPEN_OUTCOME, outcomes[i]);
    ck_assert_uint_eq(now_of(&f, &got, 0)->deaths, 2);
    ck_assert_int_eq(got.after, MESSAGE_QUEUED);
  }
  got = happen(&f, HAPPEN_ORPHAN, 0); /* the daemon itself died: that blames nobody */
  ck_assert_uint_eq(now_of(&f, &got, 0)->deaths, 2);
  ck_assert(advance(&f.message, &stale).ignored);
}
END_TEST

START_TEST(an_operator_resolves_poison_and_resend_counts_anew)
{
  static const struct {
    enum happening as;
    uint32_t had, deaths;
    enum message_state after;
  } rows[] = {
      {HAPPEN_RESOLVE_RESEND, 3, 0, MESSAGE_QUEUED},
      {HAPPEN_RESOLVE_RESEND, 2, 2, MESSAGE_QUEUED},
      {HAPPEN_RESOLVE_DISCARD, 3, 3, MESSAGE_FAILED},
      {HAPPEN_RESOLVE_SENT, 3, 3, MESSAGE_SENT},
  };
  struct fixture f;
  struct advanced got;

  fixture_init(&f, 2, 1, DELIVERY_UNKNOWN);
  f.rows[0].held = true;
  f.rows[0].deaths = rows[_i].had;
  got = happen(&f, rows[_i].as, 0);
  ck_assert_int_eq(got.after, rows[_i].after);
  ck_assert_uint_eq(got.changes[0].to.deaths, rows[_i].deaths);
  ck_assert(!got.changes[0].to.held);
  ck_assert_int_eq(got.begin_step, -1);
}
END_TEST

/* --- Tokens ------------------------------------------------------------------------------------------------------- */

static const struct stale_row {
  enum delivery_state state;
  uint32_t outcome;
  bool counts;
} stale_rows[] = {
    {DELIVERY_QUEUED, PARLEY_OUTCOME_ACCEPTED, true},   {DELIVERY_QUEUED, PARLEY_OUTCOME_DELIVERED, true},
    {DELIVERY_UNKNOWN, PARLEY_OUTCOME_ACCEPTED, true},  {DELIVERY_QUEUED, PARLEY_OUTCOME_REJECTED, false},
    {DELIVERY_QUEUED, PARLEY_OUTCOME_RETRY, false},     {DELIVERY_QUEUED, PARLEY_OUTCOME_UNKNOWN, false},
    {DELIVERY_SENDING, PARLEY_OUTCOME_ACCEPTED, false}, {DELIVERY_SENDING, PARLEY_OUTCOME_REJECTED, false},
    {DELIVERY_SENDING, PARLEY_OUTCOME_RETRY, false},    {DELIVERY_UNKNOWN, PARLEY_OUTCOME_RETRY, false},
    {DELIVERY_FAILED, PARLEY_OUTCOME_ACCEPTED, false},  {DELIVERY_CANCELLED, PARLEY_OUTCOME_ACCEPTED, false},
};

START_TEST(of_a_stale_token_only_a_late_success_counts_and_only_while_nobody_else_sends)
{
  const struct stale_row *row = &stale_rows[_i];
  struct happened happened = {.what = HAPPEN_OUTCOME, .outcome = row->outcome, .token = 6, .retry_at_ms = RETRY_AT};
  struct fixture f;
  struct advanced got;

  fixture_init(&f, 2, 1, row->state);
  f.rows[0].maybe_twice = true;
  got = advance(&f.message, &happened);
  ck_assert_int_eq(got.ignored, !row->counts);
  ck_assert_uint_eq(got.n_changes, row->counts ? 1 : 0);
  if (row->counts)
    ck_assert(got.after == MESSAGE_SENT || got.after == MESSAGE_DELIVERED);
  else
    ck_assert_int_eq(got.before, got.after);
}
END_TEST

START_TEST(a_second_word_on_a_settled_attempt_changes_nothing)
{
  struct fixture f;

  fixture_init(&f, 2, 1, DELIVERY_SENT);
  f.rows[0].facts = FACT_SENT;
  ck_assert(happen(&f, HAPPEN_OUTCOME, PARLEY_OUTCOME_ACCEPTED).ignored);
  ck_assert(happen(&f, HAPPEN_OUTCOME, PARLEY_OUTCOME_REJECTED).ignored);
  ck_assert(happen(&f, HAPPEN_OUTCOME, PARLEY_OUTCOME_RETRY).ignored);
  ck_assert(happen(&f, HAPPEN_ORPHAN, 0).ignored);
  ck_assert(happen(&f, HAPPEN_RESOLVE_RESEND, 0).ignored);
}
END_TEST

/* --- Expiry ------------------------------------------------------------------------------------------------------- */

START_TEST(after_its_expiry_nothing_is_tried_again)
{
  static const uint32_t outcomes[] = {PARLEY_OUTCOME_RETRY, PARLEY_OUTCOME_THROTTLED, PARLEY_OUTCOME_CHANNEL_DOWN,
                                      PARLEY_OUTCOME_UNKNOWN, 0};
  struct fixture f;
  struct advanced got;

  fixture_init(&f, 2, 1, DELIVERY_SENDING);
  f.message.now_ms = EXPIRES;
  got = happen(&f, HAPPEN_OUTCOME, outcomes[_i]);
  ck_assert_int_eq(got.after, MESSAGE_EXPIRED);
  ck_assert_str_eq(got.reason, "expired");
  ck_assert_int_eq(got.begin_step, -1);
  ck_assert_int_eq(got.wake_ms, 0);
}
END_TEST

START_TEST(expiry_ends_what_waits_and_leaves_the_rest)
{
  static const struct { enum delivery_state state; bool held; enum message_state after; } rows[] = {
      {DELIVERY_QUEUED, false, MESSAGE_EXPIRED}, {DELIVERY_UNKNOWN, false, MESSAGE_EXPIRED},
      {DELIVERY_UNKNOWN, true, MESSAGE_HELD},    {DELIVERY_SENDING, false, MESSAGE_SENDING},
      {DELIVERY_SENT, false, MESSAGE_SENT},      {DELIVERY_FAILED, false, MESSAGE_FAILED},
  };
  struct fixture f;
  struct advanced got;

  fixture_init(&f, 1, 1, rows[_i].state);
  f.rows[0].held = rows[_i].held;
  f.message.now_ms = EXPIRES - 1;
  ck_assert(happen(&f, HAPPEN_EXPIRE, 0).ignored); /* too early */
  f.message.now_ms = EXPIRES;
  got = happen(&f, HAPPEN_EXPIRE, 0);
  ck_assert_int_eq(got.after, rows[_i].after);
  ck_assert_int_eq(got.ignored, got.before == got.after);
  ck_assert_int_eq(got.wake_ms, 0);
}
END_TEST

START_TEST(a_retry_beyond_the_expiry_hands_on_to_the_next_step_while_there_is_time)
{
  struct fixture f;
  struct advanced got;

  fixture_init(&f, 2, 1, DELIVERY_SENDING);
  f.message.expires_ms = RETRY_AT;
  got = happen(&f, HAPPEN_OUTCOME, PARLEY_OUTCOME_RETRY);
  ck_assert_int_eq(got.begin_step, 1);
  ck_assert_int_eq(got.after, MESSAGE_QUEUED);
  f.message.n_steps = 1; /* without one it waits for its end */
  got = happen(&f, HAPPEN_OUTCOME, PARLEY_OUTCOME_RETRY);
  ck_assert_int_eq(got.begin_step, -1);
  ck_assert_int_eq((int)got.changes[0].to.state, DELIVERY_QUEUED);
  ck_assert_int_eq(got.wake_ms, RETRY_AT);
}
END_TEST

/* --- A rule that has changed -------------------------------------------------------------------------------------- */

static const struct stop_row {
  const char *name;
  enum delivery_state state;
  bool maybe_twice;
  size_t n_steps;
  bool acts;
  int begin_step;
  enum message_state after;
  const char *reason;
} stop_rows[] = {
    {"it waits", DELIVERY_QUEUED, false, 1, true, -1, MESSAGE_SUPPRESSED, "no_consent"},
    {"the next step may go", DELIVERY_QUEUED, false, 2, true, 1, MESSAGE_QUEUED, NULL},
    {"it may be out: nothing more", DELIVERY_QUEUED, true, 2, true, -1, MESSAGE_SUPPRESSED, "no_consent"},
    {"it is being sent", DELIVERY_SENDING, false, 2, false, -1, MESSAGE_SENDING, NULL},
    {"it is sent", DELIVERY_SENT, false, 2, false, -1, MESSAGE_SENT, NULL},
    {"it is asked about", DELIVERY_UNKNOWN, true, 2, false, -1, MESSAGE_SENDING, NULL},
};

START_TEST(what_a_rule_has_come_to_forbid_is_not_sent_and_the_plan_goes_on)
{
  const struct stop_row *row = &stop_rows[_i];
  struct happened stop = {.what = HAPPEN_STOPPED, .reason = "no_consent"};
  struct fixture f;
  struct advanced got;

  fixture_init(&f, row->n_steps, 1, row->state);
  f.rows[0].maybe_twice = row->maybe_twice;
  got = advance(&f.message, &stop);
  ck_assert_msg(got.ignored == !row->acts, "%s", row->name);
  ck_assert_msg(now_of(&f, &got, 0)->state == (row->acts ? DELIVERY_SKIPPED : row->state), "%s", row->name);
  ck_assert_msg(got.begin_step == row->begin_step, "%s", row->name);
  ck_assert_msg(got.after == row->after, "%s", row->name);
  ck_assert_msg((got.reason == NULL) == (row->reason == NULL), "%s", row->name);
  ck_assert(row->reason == NULL || strcmp(got.reason, row->reason) == 0);
}
END_TEST

START_TEST(a_late_failure_does_not_undo_a_stop_but_a_late_success_counts)
{
  struct fixture f;

  fixture_init(&f, 1, 1, DELIVERY_SKIPPED);
  ck_assert_int_eq(receipt(&f, FACT_FAILED).after, MESSAGE_SUPPRESSED);
  ck_assert_int_eq(receipt(&f, FACT_DELIVERED).after, MESSAGE_DELIVERED);
}
END_TEST

/* --- The end of `within` ------------------------------------------------------------------------------------------ */

static const struct lapse_row {
  const char *name;
  enum delivery_state state;
  uint32_t facts;
  enum until until;
  bool maybe_twice;
  size_t n_steps;
  bool acts;
  enum delivery_state becomes;
  int begin_step;
  enum message_state after;
} lapse_rows[] = {
    {"pending tries are cancelled", DELIVERY_QUEUED, 0, UNTIL_SENT, false, 2, true, DELIVERY_CANCELLED, 1,
     MESSAGE_QUEUED},
    {"the last step has expired", DELIVERY_QUEUED, 0, UNTIL_SENT, false, 1, true, DELIVERY_EXPIRED, -1,
     MESSAGE_EXPIRED},
    {"sent was what it should", DELIVERY_SENT, FACT_SENT, UNTIL_SENT, false, 2, false, DELIVERY_SENT, -1, MESSAGE_SENT},
    {"sent but not delivered", DELIVERY_SENT, FACT_SENT, UNTIL_DELIVERED, false, 2, true, DELIVERY_SENT, 1,
     MESSAGE_SENT},
    {"delivered but not read", DELIVERY_DELIVERED, FACT_SENT | FACT_DELIVERED, UNTIL_READ, false, 2, true,
     DELIVERY_DELIVERED, 1, MESSAGE_DELIVERED},
    {"delivered", DELIVERY_DELIVERED, FACT_SENT | FACT_DELIVERED, UNTIL_DELIVERED, false, 2, false, DELIVERY_DELIVERED,
     -1, MESSAGE_DELIVERED},
    {"read but not replied", DELIVERY_READ, FACT_SENT | FACT_READ, UNTIL_REPLIED, false, 2, true, DELIVERY_READ, 1,
     MESSAGE_READ},
    {"replied", DELIVERY_READ, FACT_READ | FACT_REPLIED, UNTIL_REPLIED, false, 2, false, DELIVERY_READ, -1,
     MESSAGE_READ},
    {"not delivered, no step left", DELIVERY_SENT, FACT_SENT, UNTIL_DELIVERED, false, 1, false, DELIVERY_SENT, -1,
     MESSAGE_SENT},
    {"in flight", DELIVERY_SENDING, 0, UNTIL_SENT, false, 2, false, DELIVERY_SENDING, -1, MESSAGE_SENDING},
    {"unknown", DELIVERY_UNKNOWN, 0, UNTIL_SENT, true, 2, false, DELIVERY_UNKNOWN, -1, MESSAGE_SENDING},
    {"may be out", DELIVERY_QUEUED, 0, UNTIL_SENT, true, 2, false, DELIVERY_QUEUED, -1, MESSAGE_QUEUED},
    {"failed", DELIVERY_FAILED, FACT_FAILED, UNTIL_SENT, false, 1, false, DELIVERY_FAILED, -1, MESSAGE_FAILED},
};

START_TEST(the_end_of_within_starts_the_next_step_unless_the_last_may_be_out)
{
  const struct lapse_row *row = &lapse_rows[_i];
  struct fixture f;
  struct advanced got;

  fixture_init(&f, row->n_steps, 1, row->state);
  f.steps[0].until = row->until;
  f.steps[0].within_ms = 1000; /* from the hand-over, a second ago */
  f.rows[0].facts = row->facts;
  f.rows[0].maybe_twice = row->maybe_twice;
  got = happen(&f, HAPPEN_LAPSE, 0);
  ck_assert_msg(got.ignored == !row->acts, "%s", row->name);
  ck_assert_msg(now_of(&f, &got, 0)->state == row->becomes, "%s", row->name);
  ck_assert_msg(got.begin_step == row->begin_step, "%s", row->name);
  ck_assert_msg(got.after == row->after, "%s: %s", row->name, message_state_name(got.after));
  f.message.now_ms = NOW - 1;
  ck_assert_msg(happen(&f, HAPPEN_LAPSE, 0).ignored, "%s: too early", row->name);
}
END_TEST

START_TEST(within_runs_from_the_start_where_nothing_was_handed_over)
{
  struct fixture f;

  fixture_init(&f, 2, 1, DELIVERY_QUEUED);
  f.rows[0].handed_ms = 0;
  f.steps[0].within_ms = 2000;
  ck_assert_int_eq(message_wake_ms(&f.message), NOW);
  ck_assert_int_eq(happen(&f, HAPPEN_LAPSE, 0).begin_step, 1);
}
END_TEST

START_TEST(a_definite_word_after_within_hands_on_at_once)
{
  static const struct { uint32_t outcome; bool maybe_twice; int begin_step;
  } rows[] = {
      {PARLEY_OUTCOME_RETRY, false, 1},
      {PARLEY_OUTCOME_RETRY, true, 1},
      {PARLEY_OUTCOME_REJECTED, true, 1},
      {PARLEY_OUTCOME_THROTTLED, false, 1},
      {PARLEY_OUTCOME_CHANNEL_DOWN, false, 1},
      {PARLEY_OUTCOME_THROTTLED, true, -1},
      {PARLEY_OUTCOME_UNKNOWN, false, -1},
      {0, false, 1},
      {0, true, -1},
  };
  struct fixture f;
  struct advanced got;

  fixture_init(&f, 2, 1, DELIVERY_SENDING);
  f.steps[0].within_ms = 500;
  f.rows[0].maybe_twice = rows[_i].maybe_twice;
  got = happen(&f, HAPPEN_OUTCOME, rows[_i].outcome);
  ck_assert_int_eq(got.begin_step, rows[_i].begin_step);
  ck_assert_int_eq(got.after, MESSAGE_QUEUED);
}
END_TEST

START_TEST(a_step_that_cannot_go_is_passed_over)
{
  struct fixture f;
  struct advanced got;

  fixture_init(&f, 3, 1, DELIVERY_SENDING);
  f.steps[1].go = false;
  ck_assert_int_eq(happen(&f, HAPPEN_OUTCOME, PARLEY_OUTCOME_REJECTED).begin_step, 2);
  f.steps[2].go = false;
  got = happen(&f, HAPPEN_OUTCOME, PARLEY_OUTCOME_REJECTED);
  ck_assert_int_eq(got.begin_step, -1);
  ck_assert_int_eq(got.after, MESSAGE_FAILED);
  ck_assert_str_eq(got.reason, "rejected");
}
END_TEST

/* --- Receipts ----------------------------------------------------------------------------------------------------- */

START_TEST(a_late_receipt_of_an_older_step_is_recorded_and_sends_nothing)
{
  struct happened happened = {.what = HAPPEN_RECEIPT, .delivery = 0, .fact = FACT_FAILED};
  struct fixture f;
  struct advanced got;

  fixture_init(&f, 3, 2, DELIVERY_SENDING);
  f.steps[0].until = UNTIL_DELIVERED;
  f.rows[0].state = DELIVERY_SENT;
  f.rows[0].facts = FACT_SENT;
  got = advance(&f.message, &happened);
  ck_assert_int_eq((int)got.changes[0].to.state, DELIVERY_FAILED);
  ck_assert_int_eq(got.begin_step, -1);
  ck_assert_int_eq(got.after, MESSAGE_SENDING);
}
END_TEST

START_TEST(a_late_receipt_that_reaches_the_plan_cancels_what_still_waits)
{
  struct happened happened = {.what = HAPPEN_RECEIPT, .delivery = 0, .fact = FACT_DELIVERED};
  struct fixture f;
  struct advanced got;

  fixture_init(&f, 3, 2, DELIVERY_QUEUED);
  f.steps[0].until = UNTIL_DELIVERED;
  f.rows[0].state = DELIVERY_SENT;
  f.rows[0].facts = FACT_SENT;
  got = advance(&f.message, &happened);
  ck_assert_uint_eq(got.n_changes, 2);
  ck_assert_int_eq((int)got.changes[1].to.state, DELIVERY_CANCELLED);
  ck_assert_int_eq(got.after, MESSAGE_DELIVERED);
  ck_assert_int_eq(got.wake_ms, 0);
}
END_TEST

START_TEST(a_failed_receipt_starts_the_next_step_while_the_plan_is_not_reached)
{
  struct fixture f;

  fixture_init(&f, 2, 1, DELIVERY_SENT);
  f.rows[0].facts = FACT_SENT;
  f.steps[0].until = UNTIL_DELIVERED;
  ck_assert_int_eq(receipt(&f, FACT_FAILED).begin_step, 1);
  f.steps[0].until = UNTIL_SENT; /* reached already: recorded, no more */
  ck_assert_int_eq(receipt(&f, FACT_FAILED).begin_step, -1);
  ck_assert_int_eq(receipt(&f, FACT_FAILED).after, MESSAGE_FAILED);
}
END_TEST

START_TEST(a_receipt_settles_unknown_and_held)
{
  struct fixture f;
  struct advanced got;

  fixture_init(&f, 2, 1, DELIVERY_UNKNOWN);
  f.rows[0].held = f.rows[0].maybe_twice = true;
  ck_assert_int_eq(message_fold(&f.message, MESSAGE_FAILED), MESSAGE_HELD);
  got = receipt(&f, FACT_SENT);
  ck_assert_int_eq(got.after, MESSAGE_SENT);
  ck_assert(!got.changes[0].to.held);
  got = receipt(&f, FACT_FAILED); /* definite */
  ck_assert_int_eq(got.begin_step, 1);
  ck_assert_int_eq(got.after, MESSAGE_QUEUED);
}
END_TEST

START_TEST(a_receipt_for_what_was_never_handed_over_is_ignored)
{
  struct fixture f;

  fixture_init(&f, 1, 1, DELIVERY_QUEUED);
  f.rows[0].attempt = 0;
  ck_assert(receipt(&f, FACT_DELIVERED).ignored);
  f.rows[0].attempt = 1;
  ck_assert_int_eq(receipt(&f, FACT_DELIVERED).after, MESSAGE_DELIVERED);
}
END_TEST

START_TEST(the_same_receipt_twice_is_ignored)
{
  struct fixture f;

  fixture_init(&f, 1, 1, DELIVERY_DELIVERED);
  f.rows[0].facts = FACT_SENT | FACT_DELIVERED;
  ck_assert(receipt(&f, FACT_DELIVERED).ignored);
  ck_assert(receipt(&f, FACT_SENT).ignored);
  ck_assert(!receipt(&f, FACT_READ).ignored);
}
END_TEST

/* What happens to one delivery in every order: the row, the message and the next step are the same at the end. */
static void apply_all(struct fixture *f, const uint32_t *order, size_t n, struct delivery_facts *ret_row,
                      int *ret_begun)
{
  *ret_begun = -1;
  for (size_t i = 0; i < n; i++) {
    struct advanced got = order[i] == 0 ? happen(f, HAPPEN_OUTCOME, PARLEY_OUTCOME_ACCEPTED) : receipt(f, order[i]);

    f->rows[0] = *now_of(f, &got, 0);
    if (got.begin_step >= 0)
      *ret_begun = got.begin_step;
  }
  *ret_row = f->rows[0];
}

static bool next_permutation(uint32_t *order, size_t n)
{
  size_t i = n - 1, j = n - 1;

  while (i > 0 && order[i - 1] >= order[i])
    i--;
  if (i == 0)
    return false;
  while (order[j] <= order[i - 1])
    j--;
  uint32_t swap = order[i - 1];
  order[i - 1] = order[j];
  order[j] = swap;
  for (j = n - 1; i < j; i++, j--) {
    swap = order[i];
    order[i] = order[j];
    order[j] = swap;
  }
  return true;
}

START_TEST(receipts_fold_to_the_same_in_every_order)
{
  static const uint32_t all[] = {0, FACT_SENT, FACT_DELIVERED, FACT_READ, FACT_FAILED};

  for (unsigned set = 1; set < 1u << COUNT_OF(all); set++) {
    uint32_t order[COUNT_OF(all)];
    struct delivery_facts first, row;
    size_t n = 0;
    bool begun_first = true;
    int begun;

    for (size_t i = 0; i < COUNT_OF(all); i++) {
      if (set >> i & 1)
        order[n++] = all[i];
    }
    do {
      struct fixture f;

      fixture_init(&f, 1, 1, set & 1 ? DELIVERY_SENDING : (enum delivery_state)_i); /* 0 in the set settles it */
      f.steps[0].until = UNTIL_DELIVERED;
      apply_all(&f, order, n, &row, &begun);
      if (begun_first)
        first = row;
      begun_first = false;
      ck_assert_uint_eq(row.state, first.state);
      ck_assert_uint_eq(row.facts, first.facts);
    } while (next_permutation(order, n));
  }
}
END_TEST

/* --- Cancel, resolve ---------------------------------------------------------------------------------------------- */

static const struct cancel_row {
  const char *name;
  enum delivery_state state;
  enum until until;
  size_t n_steps;
  bool ignored, too_late;
  enum message_state after;
} cancel_rows[] = {
    {"waiting", DELIVERY_QUEUED, UNTIL_SENT, 2, false, false, MESSAGE_CANCELLED},
    {"in flight", DELIVERY_SENDING, UNTIL_SENT, 2, false, false, MESSAGE_SENDING},
    {"unknown", DELIVERY_UNKNOWN, UNTIL_SENT, 2, false, false, MESSAGE_CANCELLED},
    {"sent", DELIVERY_SENT, UNTIL_SENT, 2, true, true, MESSAGE_SENT},
    {"sent, a step may follow", DELIVERY_SENT, UNTIL_DELIVERED, 2, false, true, MESSAGE_SENT},
    {"sent, none may follow", DELIVERY_SENT, UNTIL_DELIVERED, 1, true, true, MESSAGE_SENT},
    {"failed", DELIVERY_FAILED, UNTIL_SENT, 1, true, false, MESSAGE_FAILED},
    {"expired", DELIVERY_EXPIRED, UNTIL_SENT, 1, true, false, MESSAGE_EXPIRED},
};

START_TEST(a_cancel_stops_what_has_not_begun_and_says_when_it_is_too_late)
{
  const struct cancel_row *row = &cancel_rows[_i];
  struct fixture f;
  struct advanced got;

  fixture_init(&f, row->n_steps, 1, row->state);
  f.steps[0].until = row->until;
  f.steps[0].within_ms = 500;
  f.rows[0].facts = row->state == DELIVERY_SENT ? FACT_SENT : 0;
  got = happen(&f, HAPPEN_CANCEL, 0);
  ck_assert_msg(got.ignored == row->ignored && got.too_late == row->too_late, "%s", row->name);
  ck_assert_msg(got.after == row->after && got.begin_step == -1, "%s: %s", row->name, message_state_name(got.after));
  ck_assert_msg(got.wake_ms == 0, "%s", row->name);
  f.message.cancelled = true;
  ck_assert_msg(happen(&f, HAPPEN_CANCEL, 0).ignored, "%s: twice", row->name);
}
END_TEST

START_TEST(a_cancelled_message_in_flight_is_not_tried_again)
{
  static const struct { uint32_t outcome; enum on_unknown on_unknown; enum message_state after;
  } rows[] = {
      {PARLEY_OUTCOME_RETRY, UNKNOWN_RESEND, MESSAGE_CANCELLED},
      {PARLEY_OUTCOME_THROTTLED, UNKNOWN_RESEND, MESSAGE_CANCELLED},
      {PARLEY_OUTCOME_UNKNOWN, UNKNOWN_RESEND, MESSAGE_CANCELLED},
      {PARLEY_OUTCOME_UNKNOWN, UNKNOWN_HOLD, MESSAGE_CANCELLED},
      {PARLEY_OUTCOME_REJECTED, UNKNOWN_RESEND, MESSAGE_FAILED},
      {PARLEY_OUTCOME_ACCEPTED, UNKNOWN_RESEND, MESSAGE_SENT},
  };
  struct fixture f;
  struct advanced got;

  fixture_init(&f, 2, 1, DELIVERY_SENDING);
  f.message.cancelled = true;
  f.steps[0].on_unknown = rows[_i].on_unknown;
  got = happen(&f, HAPPEN_OUTCOME, rows[_i].outcome);
  ck_assert_int_eq(got.after, rows[_i].after);
  ck_assert_int_eq(got.begin_step, -1);
}
END_TEST

START_TEST(an_operator_resolves_what_is_held_or_unknown)
{
  static const struct { enum happening as; enum message_state after; const char *reason; } rows[] = {
      {HAPPEN_RESOLVE_RESEND, MESSAGE_QUEUED, NULL},
      {HAPPEN_RESOLVE_DISCARD, MESSAGE_FAILED, "discarded"},
      {HAPPEN_RESOLVE_SENT, MESSAGE_SENT, NULL},
  };
  struct fixture f;
  struct advanced got;

  for (int held = 0; held < 2; held++) {
    fixture_init(&f, 2, 1, DELIVERY_UNKNOWN);
    f.rows[0].held = held;
    got = happen(&f, rows[_i].as, 0);
    ck_assert_int_eq(got.after, rows[_i].after);
    ck_assert_int_eq(got.begin_step, -1);
    ck_assert(!got.changes[0].to.held);
    check_reason(got.reason, rows[_i].reason);
  }
}
END_TEST

START_TEST(what_may_be_out_is_asked_about_again_when_the_question_never_left)
{
  struct fixture f;
  struct advanced got;

  fixture_init(&f, 1, 1, DELIVERY_SENDING);
  f.rows[0].maybe_twice = true;
  f.steps[0].on_unknown = UNKNOWN_QUERY;
  f.steps[0].can_query = true;
  got = happen(&f, HAPPEN_OUTCOME, PARLEY_OUTCOME_CHANNEL_DOWN);
  ck_assert(got.query);
  ck_assert_int_eq((int)got.changes[0].to.state, DELIVERY_UNKNOWN);
  got = happen(&f, HAPPEN_OUTCOME, PARLEY_OUTCOME_RETRY); /* the answer: it isn't out */
  ck_assert(!got.query);
  ck_assert_int_eq((int)got.changes[0].to.state, DELIVERY_QUEUED);
}
END_TEST

/* --- Fold, wake, names -------------------------------------------------------------------------------------------- */

static const struct fold_row {
  enum delivery_state a, b, c;
  bool held;
  enum message_state want;
} fold_rows[] = {
    {DELIVERY_READ, DELIVERY_DELIVERED, DELIVERY_QUEUED, false, MESSAGE_READ},
    {DELIVERY_SENT, DELIVERY_DELIVERED, DELIVERY_FAILED, false, MESSAGE_DELIVERED},
    {DELIVERY_SENT, DELIVERY_UNKNOWN, DELIVERY_SENDING, true, MESSAGE_SENT},
    {DELIVERY_CANCELLED, DELIVERY_UNKNOWN, DELIVERY_SENDING, true, MESSAGE_HELD},
    {DELIVERY_CANCELLED, DELIVERY_UNKNOWN, DELIVERY_QUEUED, false, MESSAGE_SENDING},
    {DELIVERY_FAILED, DELIVERY_SENDING, DELIVERY_PLANNED, false, MESSAGE_SENDING},
    {DELIVERY_FAILED, DELIVERY_QUEUED, DELIVERY_SKIPPED, false, MESSAGE_QUEUED},
    {DELIVERY_FAILED, DELIVERY_SKIPPED, DELIVERY_PLANNED, false, MESSAGE_QUEUED},
    {DELIVERY_FAILED, DELIVERY_CANCELLED, DELIVERY_EXPIRED, false, MESSAGE_EXPIRED},
    {DELIVERY_EXPIRED, DELIVERY_CANCELLED, DELIVERY_FAILED, false, MESSAGE_FAILED},
    {DELIVERY_FAILED, DELIVERY_FAILED, DELIVERY_CANCELLED, false, MESSAGE_CANCELLED},
    {DELIVERY_FAILED, DELIVERY_SKIPPED, DELIVERY_SKIPPED, false, MESSAGE_SUPPRESSED},
    {DELIVERY_SKIPPED, DELIVERY_FAILED, DELIVERY_CANCELLED, false, MESSAGE_CANCELLED},
    {DELIVERY_SKIPPED, DELIVERY_SKIPPED, DELIVERY_SKIPPED, false, MESSAGE_SUPPRESSED},
};

START_TEST(a_message_is_its_best_delivery_or_ends_as_the_last_one_ended)
{
  const struct fold_row *row = &fold_rows[_i];
  struct fixture f;

  fixture_init(&f, 3, 3, row->c);
  f.rows[0].state = row->a;
  f.rows[1].state = row->b;
  f.rows[1].held = row->held;
  ck_assert_int_eq(message_fold(&f.message, MESSAGE_SUPPRESSED), row->want);
}
END_TEST

START_TEST(a_message_without_deliveries_is_as_it_was_decided)
{
  struct message_facts none = {.now_ms = NOW};

  ck_assert_int_eq(message_fold(&none, MESSAGE_SUPPRESSED), MESSAGE_SUPPRESSED);
  ck_assert_int_eq(message_wake_ms(&none), 0);
}
END_TEST

START_TEST(a_message_wakes_when_something_can_be_done)
{
  static const struct {
    enum delivery_state state;
    enum until until;
    bool maybe_twice, held;
    int64_t within_ms, want;
  } rows[] = {
      {DELIVERY_QUEUED, UNTIL_SENT, false, false, 0, EXPIRES},
      {DELIVERY_QUEUED, UNTIL_SENT, false, false, 5000, NOW + 4000},
      {DELIVERY_QUEUED, UNTIL_SENT, true, false, 5000, EXPIRES},
      {DELIVERY_QUEUED, UNTIL_SENT, false, false, 900000, EXPIRES},
      {DELIVERY_SENDING, UNTIL_SENT, false, false, 5000, 0},
      {DELIVERY_UNKNOWN, UNTIL_SENT, true, false, 5000, EXPIRES},
      {DELIVERY_UNKNOWN, UNTIL_SENT, true, true, 5000, 0},
      {DELIVERY_SENT, UNTIL_SENT, false, false, 5000, 0},
      {DELIVERY_SENT, UNTIL_DELIVERED, false, false, 5000, NOW + 4000},
      {DELIVERY_SENT, UNTIL_DELIVERED, false, false, 900000, 0},
      {DELIVERY_FAILED, UNTIL_SENT, false, false, 5000, 0},
  };
  struct fixture f;

  fixture_init(&f, 2, 1, rows[_i].state);
  f.steps[0].until = rows[_i].until;
  f.steps[0].within_ms = rows[_i].within_ms;
  f.rows[0].maybe_twice = rows[_i].maybe_twice;
  f.rows[0].held = rows[_i].held;
  f.rows[0].facts = rows[_i].state == DELIVERY_SENT ? FACT_SENT : 0;
  ck_assert_int_eq(message_wake_ms(&f.message), rows[_i].want);
}
END_TEST

START_TEST(names_of_states_read_back)
{
  for (int i = 0; i < MESSAGE_STATES; i++) {
    enum message_state state = MESSAGE_STATES;

    ck_assert(message_state_parse(parley_text_of(message_state_name((enum message_state)i)), &state));
    ck_assert_int_eq((int)state, i);
  }
  enum message_state untouched = MESSAGE_HELD;
  ck_assert(!message_state_parse(parley_text_of("accepted"), &untouched) && untouched == MESSAGE_HELD);
  ck_assert_str_eq(delivery_state_name(DELIVERY_PLANNED), "planned");
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("route: advance");
  TCase *tcase = tcase_create("all");
  SRunner *runner;
  int failed;

  tcase_add_loop_test(tcase, each_outcome_of_an_open_attempt_leads_where_the_contract_says, 0, COUNT_OF(outcome_rows));
  tcase_add_loop_test(tcase, an_orphan_is_unknown_with_its_token_raised_whatever_the_policy, 0, 3);
  tcase_add_loop_test(tcase, what_a_backup_had_not_ended_is_an_operators_but_for_what_was_not_due, 0, COUNT_OF(restored_rows));
  tcase_add_test(tcase, what_is_sent_with_a_step_left_is_marked_and_goes_on);
  tcase_add_loop_test(tcase, what_dies_with_its_plugin_is_unknown_by_policy_and_the_third_time_poison, 0,
                      COUNT_OF(death_rows));
  tcase_add_test(tcase, only_a_death_of_the_present_attempt_counts);
  tcase_add_loop_test(tcase, an_operator_resolves_poison_and_resend_counts_anew, 0, 4);
  tcase_add_loop_test(tcase, of_a_stale_token_only_a_late_success_counts_and_only_while_nobody_else_sends, 0,
                      COUNT_OF(stale_rows));
  tcase_add_test(tcase, a_second_word_on_a_settled_attempt_changes_nothing);
  tcase_add_loop_test(tcase, after_its_expiry_nothing_is_tried_again, 0, 5);
  tcase_add_loop_test(tcase, expiry_ends_what_waits_and_leaves_the_rest, 0, 6);
  tcase_add_test(tcase, a_retry_beyond_the_expiry_hands_on_to_the_next_step_while_there_is_time);
  tcase_add_loop_test(tcase, the_end_of_within_starts_the_next_step_unless_the_last_may_be_out, 0,
                      COUNT_OF(lapse_rows));
  tcase_add_test(tcase, within_runs_from_the_start_where_nothing_was_handed_over);
  tcase_add_loop_test(tcase, a_definite_word_after_within_hands_on_at_once, 0, 9);
  tcase_add_test(tcase, a_step_that_cannot_go_is_passed_over);
  tcase_add_test(tcase, a_late_receipt_of_an_older_step_is_recorded_and_sends_nothing);
  tcase_add_test(tcase, a_late_receipt_that_reaches_the_plan_cancels_what_still_waits);
  tcase_add_test(tcase, a_failed_receipt_starts_the_next_step_while_the_plan_is_not_reached);
  tcase_add_test(tcase, a_receipt_settles_unknown_and_held);
  tcase_add_test(tcase, a_receipt_for_what_was_never_handed_over_is_ignored);
  tcase_add_test(tcase, the_same_receipt_twice_is_ignored);
  tcase_add_loop_test(tcase, receipts_fold_to_the_same_in_every_order, 0, DELIVERY_PLANNED);
  tcase_add_loop_test(tcase, a_cancel_stops_what_has_not_begun_and_says_when_it_is_too_late, 0, COUNT_OF(cancel_rows));
  tcase_add_loop_test(tcase, a_cancelled_message_in_flight_is_not_tried_again, 0, 6);
  tcase_add_loop_test(tcase, an_operator_resolves_what_is_held_or_unknown, 0, 3);
  tcase_add_test(tcase, what_may_be_out_is_asked_about_again_when_the_question_never_left);
  tcase_add_loop_test(tcase, what_a_rule_has_come_to_forbid_is_not_sent_and_the_plan_goes_on, 0, COUNT_OF(stop_rows));
  tcase_add_test(tcase, a_late_failure_does_not_undo_a_stop_but_a_late_success_counts);
  tcase_add_loop_test(tcase, a_message_is_its_best_delivery_or_ends_as_the_last_one_ended, 0, COUNT_OF(fold_rows));
  tcase_add_test(tcase, a_message_without_deliveries_is_as_it_was_decided);
  tcase_add_loop_test(tcase, a_message_wakes_when_something_can_be_done, 0, 11);
  tcase_add_test(tcase, names_of_states_read_back);
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed > 0;
}
