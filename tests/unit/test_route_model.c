/* An explicit-state check of the delivery protocol over the real advance(): one message with a plan of up to two steps,
 * two senders, a provider that keeps count, and all that may go wrong within small budgets: crashes, freezes past the
 * lease, lost replies, deaths of the plugin's process, refusals, receipts, a cancel, an operator's word, time. Every
 * order of events is walked. What must hold:
 *   twice     a provider gets a message a second time only in the three named windows, and then it is marked
 *   over      no next step while the last one may be out unseen, or has reached what it should
 *   lost      no message ends unsent that is called sent, none that is out is called anything else without a mark
 *   stuck     when nothing can happen any more, the message has ended or an operator holds it
 *   busy      a wake time that has come leads to a change
 *   poison    what has killed its plugin's process too often is not tried again without an operator's word
 *   fold      what advance() says of message and wake time is what the stored rows say */
#include "core/base/alloc.h"
#include "core/route/advance.h"
#include <check.h>
#include <stdlib.h>
#include <string.h>

#define STEPS_MAX 2
#define SENDERS 2
#define TIME_FIRST 10
#define TIME_LAST 13
#define EXPIRES 12
#define CLAIMS_MAX 5 /* of one delivery: its token stays below */

enum place { AT_IDLE, AT_CLAIMED, AT_WIRE, AT_REPLY /* an outcome in hand */ };
enum broken {
  BROKEN_NOT,
  BROKEN_TOKEN_KEPT,
  BROKEN_STALE_BELIEVED,
  BROKEN_NO_WRITE_AHEAD,
  BROKEN_KINDS,
  BROKEN_DEATHS_FORGOTTEN
};

struct sender {
  uint8_t at, row, token, query, outcome, took, frozen;
};
struct row {
  uint8_t state, facts, attempt, token, held, maybe_twice, handed, started, deaths;
  uint8_t died;                           /* since an operator last said to send it again */
  uint8_t taken, windows, failed_receipt; /* what the provider knows, and how often a named window was hit */
};
struct world {
  struct row rows[STEPS_MAX];
  struct sender senders[SENDERS];
  uint8_t n_rows, now, cancelled, word_sent;
  uint8_t crashes, freezes, losses, deaths, refusals, receipts, cancels, words;
};
struct setting {
  size_t n_steps;
  enum until until;
  enum on_unknown on_unknown;
  int64_t within;
  uint8_t crashes, freezes, losses, deaths, refusals, receipts, cancels, words;
  enum broken broken;
};
struct check {
  const struct setting *setting;
  struct step_facts steps[STEPS_MAX];
  struct world now;
  struct world *worlds; /* seen, and the queue of those to visit: walked in order */
  size_t n, room, at, moves; /* moves: worlds that the present one leads to */
  uint32_t *slots;
  size_t n_slots;
  size_t twice, over, lost, stuck, busy, poison, fold, ends;
  size_t poisoned; /* worlds in which one is held as poison: the rule was put to the test */
};

/* --- The set of worlds -------------------------------------------------------------------------------------------- */

static size_t world_hash(const struct world *world)
{
  const uint8_t *bytes = (const uint8_t *)world;
  uint64_t hash = UINT64_C(0xcbf29ce484222325);

  for (size_t i = 0; i < sizeof *world; i++)
    hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
  return (size_t)(hash ^ hash >> 29);
}

static void set_grow(struct check *check)
{
  free(check->slots);
  check->n_slots = check->n_slots == 0 ? 1024 : check->n_slots * 2;
  check->slots = xcalloc(check->n_slots, sizeof *check->slots);
  for (size_t i = 0; i < check->n; i++) {
    size_t slot = world_hash(&check->worlds[i]) & (check->n_slots - 1);

    while (check->slots[slot] != 0)
      slot = (slot + 1) & (check->n_slots - 1);
    check->slots[slot] = (uint32_t)i + 1;
  }
}

static void visit(struct check *check, const struct world *world)
{
  size_t slot;

  if (memcmp(world, &check->now, sizeof *world) != 0)
    check->moves++;
  if (check->n * 2 >= check->n_slots)
    set_grow(check);
  slot = world_hash(world) & (check->n_slots - 1);
  while (check->slots[slot] != 0) {
    if (memcmp(&check->worlds[check->slots[slot] - 1], world, sizeof *world) == 0)
      return;
    slot = (slot + 1) & (check->n_slots - 1);
  }
  if (check->n == check->room) {
    check->room = check->room == 0 ? 1024 : check->room * 2;
    check->worlds = xrealloc(check->worlds, check->room * sizeof *check->worlds);
  }
  check->worlds[check->n++] = *world;
  check->slots[slot] = (uint32_t)check->n;
}

/* --- Between the model and advance() ------------------------------------------------------------------------------ */

static void facts_of(const struct check *check, const struct world *world, struct delivery_facts rows[STEPS_MAX],
                     struct message_facts *ret)
{
  for (size_t i = 0; i < world->n_rows; i++) {
    const struct row *row = &world->rows[i];

    rows[i] = (struct delivery_facts){.step = (uint32_t)i,
                                      .state = row->state,
                                      .facts = row->facts,
                                      .attempt = row->attempt,
                                      .token = row->token,
                                      .held = row->held,
                                      .maybe_twice = row->maybe_twice,
                                      .deaths = row->deaths,
                                      .handed_ms = row->handed,
                                      .started_ms = row->started};
  }
  *ret = (struct message_facts){.now_ms = world->now, .expires_ms = EXPIRES, .n_steps = check->setting->n_steps,
                                .n_deliveries = world->n_rows, .steps = check->steps, .deliveries = rows,
                                .cancelled = world->cancelled};
}

static void row_begin(struct world *world)
{
  world->rows[world->n_rows++] = (struct row){.state = DELIVERY_QUEUED, .started = world->now};
}

static bool may_be_out(const struct row *row)
{
  return row->state == DELIVERY_UNKNOWN || row->state == DELIVERY_SENDING || row->state == DELIVERY_QUEUED;
}

static void check_fold(struct check *check, const struct world *world, const struct advanced *advanced)
{
  struct delivery_facts rows[STEPS_MAX];
  struct message_facts message;

  facts_of(check, world, rows, &message);
  if (message_fold(&message, MESSAGE_FAILED) != advanced->after || message_wake_ms(&message) != advanced->wake_ms)
    check->fold++;
}

/* Runs the real function and writes what it says, as the store does. true: something changed. */
static bool happen(struct check *check, struct world *world, const struct happened *happened)
{
  struct delivery_facts rows[STEPS_MAX];
  struct message_facts message;
  struct advanced got;

  facts_of(check, world, rows, &message);
  got = advance(&message, happened);
  for (size_t i = 0; i < got.n_changes; i++) {
    struct row *row = &world->rows[got.changes[i].delivery];
    const struct delivery_facts *to = &got.changes[i].to;

    row->state = (uint8_t)to->state;
    row->facts = (uint8_t)to->facts;
    row->attempt = (uint8_t)to->attempt;
    row->token = check->setting->broken == BROKEN_TOKEN_KEPT ? row->token : (uint8_t)to->token;
    row->held = to->held;
    row->maybe_twice = to->maybe_twice;
    row->deaths = check->setting->broken == BROKEN_DEATHS_FORGOTTEN ? 0 : (uint8_t)to->deaths;
  }
  if (happened->what == HAPPEN_CANCEL && !got.ignored)
    world->cancelled = 1;
  if (got.begin_step >= 0) {
    if (may_be_out(&world->rows[world->n_rows - 1]) || got.begin_step != world->n_rows)
      check->over++;
    row_begin(world);
  }
  check_fold(check, world, &got);
  return !got.ignored;
}

static void happen_and_visit(struct check *check, struct world world, const struct happened *happened)
{
  happen(check, &world, happened);
  visit(check, &world);
}

/* --- Senders ------------------------------------------------------------------------------------------------------ */

static void try_claim(struct check *check, const struct world *from, size_t sender)
{
  for (size_t i = 0; i < from->n_rows; i++) {
    const struct row *row = &from->rows[i];
    bool query = row->state == DELIVERY_UNKNOWN && !row->held;
    struct world to = *from;
    struct row *claimed = &to.rows[i];

    if ((row->state != DELIVERY_QUEUED && !query) || row->token >= CLAIMS_MAX || from->now >= EXPIRES)
      continue;
    claimed->token++;
    claimed->attempt++;
    if (check->setting->broken != BROKEN_NO_WRITE_AHEAD)
      claimed->state = DELIVERY_SENDING;
    if (claimed->handed == 0)
      claimed->handed = from->now;
    to.senders[sender] = (struct sender){.at = AT_CLAIMED, .row = (uint8_t)i, .token = claimed->token, .query = query};
    visit(check, &to);
  }
}

static void reply(struct check *check, struct world to, size_t sender, uint32_t outcome, bool took)
{
  struct sender *at = &to.senders[sender];

  at->at = AT_REPLY;
  at->outcome = (uint8_t)outcome;
  at->took = took;
  if (took && to.rows[at->row].taken < 4)
    to.rows[at->row].taken++;
  if (took && (at->frozen || outcome == PARLEY_OUTCOME_UNKNOWN))
    to.rows[at->row].windows++; /* W3, W2 */
  visit(check, &to);
}

static void try_wire(struct check *check, const struct world *from, size_t sender)
{
  const struct sender *at = &from->senders[sender];
  struct world to = *from;

  if (at->query) {
    reply(check, to, sender, from->rows[at->row].taken > 0 ? PARLEY_OUTCOME_ACCEPTED : PARLEY_OUTCOME_RETRY, false);
  } else {
    reply(check, to, sender, PARLEY_OUTCOME_ACCEPTED, true);
    if (from->refusals > 0) {
      to.refusals--;
      reply(check, to, sender, PARLEY_OUTCOME_RETRY, false);
      reply(check, to, sender, PARLEY_OUTCOME_REJECTED, false);
      reply(check, to, sender, PARLEY_OUTCOME_CHANNEL_DOWN, false);
      to = *from;
    }
  }
  if (from->losses > 0) {
    to.losses--;
    reply(check, to, sender, PARLEY_OUTCOME_UNKNOWN, false);
    if (!at->query) /* to the sender it looks the same whether it arrived or not */
      reply(check, to, sender, PARLEY_OUTCOME_UNKNOWN, true);
  }
}

static void try_settle(struct check *check, const struct world *from, size_t sender)
{
  const struct sender *at = &from->senders[sender];
  struct world to = *from;
  struct happened happened = {.what = HAPPEN_OUTCOME, .delivery = at->row, .outcome = at->outcome, .token = at->token};

  if (check->setting->broken == BROKEN_STALE_BELIEVED)
    happened.token = from->rows[at->row].token;
  if (check->setting->broken == BROKEN_NO_WRITE_AHEAD && to.rows[at->row].state == DELIVERY_QUEUED)
    to.rows[at->row].state = DELIVERY_SENDING;
  to.senders[sender] = (struct sender){0};
  happen_and_visit(check, to, &happened);
}

static void try_orphan(struct check *check, const struct world *from)
{
  for (size_t i = 0; i < from->n_rows; i++) {
    struct happened happened = {.what = HAPPEN_ORPHAN, .delivery = i};
    struct world to = *from;
    struct sender *holder = NULL;

    if (from->rows[i].state != DELIVERY_SENDING)
      continue;
    for (size_t s = 0; s < SENDERS; s++) {
      if (to.senders[s].at != AT_IDLE && to.senders[s].row == i && to.senders[s].token == from->rows[i].token)
        holder = &to.senders[s];
    }
    if (holder != NULL) { /* it lives, but was frozen past its lease */
      if (from->freezes == 0)
        continue;
      to.freezes--;
      holder->frozen = holder->at != AT_CLAIMED; /* before the last look at the lease it is no excuse */
      if (holder->took && holder->outcome != PARLEY_OUTCOME_UNKNOWN)
        to.rows[i].windows++; /* W1: the reply is there, and nobody has read it */
    }
    happen_and_visit(check, to, &happened);
  }
}

/* The plugin's process dies with it in hand, and the daemon lives to tell. */
static void try_death(struct check *check, const struct world *from, size_t sender)
{
  const struct sender *at = &from->senders[sender];
  struct happened happened = {
      .what = HAPPEN_OUTCOME, .delivery = at->row, .outcome = PARLEY_OUTCOME_UNKNOWN, .died = true, .token = at->token};
  struct world to = *from;

  to.deaths--;
  if (at->took && at->outcome != PARLEY_OUTCOME_UNKNOWN && !at->frozen)
    to.rows[at->row].windows++; /* W2: the reply died with it */
  if (to.rows[at->row].token == at->token && to.rows[at->row].state == DELIVERY_SENDING)
    to.rows[at->row].died++;
  to.senders[sender] = (struct sender){0};
  happen_and_visit(check, to, &happened);
}

static void try_sender(struct check *check, const struct world *from, size_t sender)
{
  const struct sender *at = &from->senders[sender];
  struct world to = *from;

  switch ((enum place)at->at) {
  case AT_IDLE:
    try_claim(check, from, sender);
    return;
  case AT_CLAIMED: /* the last look at the lease before the first byte */
    to.senders[sender].at = AT_WIRE;
    if (from->rows[at->row].token != at->token)
      to.senders[sender] = (struct sender){0};
    visit(check, &to);
    break;
  case AT_WIRE:
    try_wire(check, from, sender);
    break;
  case AT_REPLY:
    try_settle(check, from, sender);
    break;
  }
  if (from->deaths > 0 && at->at != AT_CLAIMED)
    try_death(check, from, sender);
  if (from->crashes > 0) {
    to = *from;
    to.crashes--;
    if (at->took && at->outcome != PARLEY_OUTCOME_UNKNOWN && !at->frozen)
      to.rows[at->row].windows++; /* W1 */
    to.senders[sender] = (struct sender){0};
    visit(check, &to);
  }
}

/* --- The world around --------------------------------------------------------------------------------------------- */

static void try_receipts(struct check *check, const struct world *from)
{
  static const uint32_t facts[] = {FACT_SENT, FACT_DELIVERED, FACT_FAILED};

  for (size_t i = 0; from->receipts > 0 && i < from->n_rows; i++) {
    for (size_t f = 0; from->rows[i].taken > 0 && f < COUNT_OF(facts); f++) {
      struct happened happened = {.what = HAPPEN_RECEIPT, .delivery = i, .fact = facts[f]};
      struct world to = *from;

      to.receipts--;
      to.rows[i].failed_receipt |= facts[f] == FACT_FAILED;
      happen_and_visit(check, to, &happened);
    }
  }
}

static void try_people(struct check *check, const struct world *from)
{
  static const enum happening words[] = {HAPPEN_RESOLVE_RESEND, HAPPEN_RESOLVE_DISCARD, HAPPEN_RESOLVE_SENT};
  struct happened cancel = {.what = HAPPEN_CANCEL};
  struct world to = *from;

  if (from->cancels > 0) {
    to.cancels--;
    happen_and_visit(check, to, &cancel);
  }
  for (size_t i = 0; from->words > 0 && i < from->n_rows; i++) {
    for (size_t w = 0; from->rows[i].held && w < COUNT_OF(words); w++) {
      struct happened happened = {.what = words[w], .delivery = i};

      to = *from;
      to.words--;
      to.word_sent |= words[w] == HAPPEN_RESOLVE_SENT;
      to.rows[i].windows =
          (uint8_t)(to.rows[i].windows + (words[w] == HAPPEN_RESOLVE_RESEND)); /* on the operator's word */
      if (words[w] == HAPPEN_RESOLVE_RESEND && to.rows[i].died >= POISON_DEATHS)
        to.rows[i].died = 0;
      happen_and_visit(check, to, &happened);
    }
  }
}

static void try_time(struct check *check, const struct world *from)
{
  struct delivery_facts rows[STEPS_MAX];
  struct message_facts message;
  struct world to = *from;
  struct happened expire = {.what = HAPPEN_EXPIRE}, lapse = {.what = HAPPEN_LAPSE, .delivery = from->n_rows - 1u};
  int64_t wake_ms;

  facts_of(check, from, rows, &message);
  wake_ms = message_wake_ms(&message);
  if (wake_ms != 0 && wake_ms <= from->now) { /* the sweep */
    if (!happen(check, &to, &expire) && !happen(check, &to, &lapse))
      check->busy++;
    visit(check, &to);
  }
  if (from->now < TIME_LAST) {
    to = *from;
    to.now++;
    visit(check, &to);
  }
}

/* --- What must hold ----------------------------------------------------------------------------------------------- */

static bool is_success(enum message_state state)
{
  return state == MESSAGE_SENT || state == MESSAGE_DELIVERED || state == MESSAGE_READ;
}

static void check_rows(struct check *check, const struct world *world, enum message_state state)
{
  bool taken = false;

  for (size_t i = 0; i < world->n_rows; i++) {
    const struct row *row = &world->rows[i];
    bool open = may_be_out(row);

    taken |= row->taken > 0;
    if (row->died >= POISON_DEATHS && (row->state == DELIVERY_QUEUED || row->state == DELIVERY_SENDING ||
                                       (row->state == DELIVERY_UNKNOWN && !row->held)))
      check->poison++;
    check->poisoned += row->died >= POISON_DEATHS && row->held;
    if (row->taken > 1 && (row->taken > 1 + row->windows || !row->maybe_twice))
      check->twice++;
    if (row->taken > 0 && i + 1 < world->n_rows && check->setting->until == UNTIL_SENT &&
        !(row->windows > 0 && row->maybe_twice))
      check->over++;
    if (row->taken > 0 && !open && row->state != DELIVERY_SENT && row->state != DELIVERY_DELIVERED &&
        !row->maybe_twice && !row->failed_receipt)
      check->lost++;
  }
  if (is_success(state) && !taken && !world->word_sent)
    check->lost++;
}

static void check_world(struct check *check, const struct world *world, bool nothing_more)
{
  struct delivery_facts rows[STEPS_MAX];
  struct message_facts message;
  enum message_state state;

  facts_of(check, world, rows, &message);
  state = message_fold(&message, MESSAGE_FAILED);
  check_rows(check, world, state);
  if (nothing_more) {
    check->ends++;
    if (!message_state_final(state) && state != MESSAGE_HELD)
      check->stuck++;
  }
}

static void model_run(struct check *check)
{
  const struct setting *s = check->setting;
  struct world first = {.now = TIME_FIRST,
                        .crashes = s->crashes,
                        .freezes = s->freezes,
                        .losses = s->losses,
                        .deaths = s->deaths,
                        .refusals = s->refusals,
                        .receipts = s->receipts,
                        .cancels = s->cancels,
                        .words = s->words};

  for (size_t i = 0; i < s->n_steps; i++)
    check->steps[i] = (struct step_facts){.until = s->until,
                                          .within_ms = s->within,
                                          .go = true,
                                          .on_unknown = s->on_unknown,
                                          .can_query = s->on_unknown == UNKNOWN_QUERY};
  row_begin(&first);
  visit(check, &first);
  for (check->at = 0; check->at < check->n; check->at++) {
    struct world world = check->now = check->worlds[check->at];

    check->moves = 0;
    for (size_t sender = 0; sender < SENDERS; sender++)
      try_sender(check, &world, sender);
    try_orphan(check, &world);
    try_receipts(check, &world);
    try_people(check, &world);
    try_time(check, &world);
    check_world(check, &world, check->moves == 0);
  }
}

static void check_done(struct check *check)
{
  free(check->worlds);
  free(check->slots);
}

static const struct setting settings[] = {
    {.n_steps = 1,
     .until = UNTIL_SENT,
     .on_unknown = UNKNOWN_RESEND,
     .crashes = 2,
     .freezes = 1,
     .losses = 1,
     .refusals = 1},
    {.n_steps = 1,
     .until = UNTIL_SENT,
     .on_unknown = UNKNOWN_QUERY,
     .crashes = 1,
     .freezes = 1,
     .losses = 1,
     .refusals = 1},
    {.n_steps = 1,
     .until = UNTIL_SENT,
     .on_unknown = UNKNOWN_HOLD,
     .crashes = 1,
     .freezes = 1,
     .losses = 1,
     .words = 1,
     .cancels = 1},
    {.n_steps = 2,
     .until = UNTIL_SENT,
     .on_unknown = UNKNOWN_RESEND,
     .within = 1,
     .crashes = 1,
     .freezes = 1,
     .losses = 1,
     .refusals = 1},
    {.n_steps = 2,
     .until = UNTIL_SENT,
     .on_unknown = UNKNOWN_QUERY,
     .within = 1,
     .crashes = 1,
     .losses = 1,
     .refusals = 2},
    {.n_steps = 2,
     .until = UNTIL_SENT,
     .on_unknown = UNKNOWN_HOLD,
     .within = 1,
     .crashes = 1,
     .losses = 1,
     .refusals = 1,
     .words = 1,
     .cancels = 1},
    {.n_steps = 2,
     .until = UNTIL_DELIVERED,
     .on_unknown = UNKNOWN_RESEND,
     .within = 1,
     .crashes = 1,
     .refusals = 1,
     .receipts = 2},
    {.n_steps = 2,
     .until = UNTIL_DELIVERED,
     .on_unknown = UNKNOWN_QUERY,
     .within = 1,
     .losses = 1,
     .refusals = 1,
     .receipts = 1,
     .cancels = 1},
    {.n_steps = 1,
     .until = UNTIL_SENT,
     .on_unknown = UNKNOWN_RESEND,
     .deaths = 3,
     .crashes = 1,
     .freezes = 1,
     .words = 1},
    {.n_steps = 1, .until = UNTIL_SENT, .on_unknown = UNKNOWN_QUERY, .deaths = 3, .losses = 1, .words = 1},
    {.n_steps = 1, .until = UNTIL_SENT, .on_unknown = UNKNOWN_HOLD, .deaths = 3, .losses = 1, .words = 4, .cancels = 1},
    {.n_steps = 2,
     .until = UNTIL_SENT,
     .on_unknown = UNKNOWN_RESEND,
     .within = 1,
     .deaths = 3,
     .refusals = 1,
     .cancels = 1},
};

START_TEST(in_every_order_of_faults_nothing_is_lost_stuck_or_sent_twice_unmarked)
{
  struct check check = {.setting = &settings[_i]};

  model_run(&check);
  ck_assert_msg(check.n > 1000 && check.ends > 0, "only %zu worlds, %zu ends", check.n, check.ends);
  ck_assert_uint_eq(check.twice, 0);
  ck_assert_uint_eq(check.over, 0);
  ck_assert_uint_eq(check.lost, 0);
  ck_assert_uint_eq(check.stuck, 0);
  ck_assert_uint_eq(check.busy, 0);
  ck_assert_uint_eq(check.poison, 0);
  ck_assert_int_eq(check.poisoned > 0, check.setting->deaths >= POISON_DEATHS);
  ck_assert_uint_eq(check.fold, 0);
  check_done(&check);
}
END_TEST

/* The check has teeth: each rule that the caller breaks shows as duplicates. */
START_TEST(a_broken_caller_is_found_out)
{
  struct setting broken = settings[0];
  struct check check = {.setting = &broken};

  broken.broken = (enum broken)_i;
  model_run(&check);
  ck_assert_uint_gt(check.twice + check.lost, 0);
  check_done(&check);
}
END_TEST

START_TEST(a_caller_that_forgets_deaths_is_found_out)
{
  struct setting broken = {
      .n_steps = 1, .until = UNTIL_SENT, .on_unknown = UNKNOWN_RESEND, .deaths = 3, .broken = BROKEN_DEATHS_FORGOTTEN};
  struct check check = {.setting = &broken};

  model_run(&check);
  ck_assert_uint_gt(check.poison, 0);
  check_done(&check);
}
END_TEST

int main(void)
{
  Suite *suite = suite_create("route: the delivery protocol, exhaustively");
  TCase *tcase = tcase_create("all");
  SRunner *runner;
  int failed;

  tcase_set_timeout(tcase, 60);
  tcase_add_loop_test(tcase, in_every_order_of_faults_nothing_is_lost_stuck_or_sent_twice_unmarked, 0,
                      COUNT_OF(settings));
  tcase_add_loop_test(tcase, a_broken_caller_is_found_out, BROKEN_TOKEN_KEPT, BROKEN_KINDS);
  tcase_add_test(tcase, a_caller_that_forgets_deaths_is_found_out);
  suite_add_tcase(suite, tcase);
  runner = srunner_create(suite);
  srunner_run_all(runner, CK_NORMAL);
  failed = srunner_ntests_failed(runner);
  srunner_free(runner);
  return failed > 0;
}
