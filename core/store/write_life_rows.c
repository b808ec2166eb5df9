/* write_life_rows.c - one message with its begun deliveries, between its rows and struct life: read, and written back where it
 * differs from them. */
#include "fresh.h"
#include "core/base/text.h"

/* --- reading --------------------------------------------------------------------------------------------------------------------- */

#define MESSAGE_COLUMNS \
  "m.dir, m.customer, m.identity, m.conversation, api_key, m.created, m.expires, m.flags, class, n_steps, n_go, end_state, m.topic," \
  " key, CASE WHEN n_go>1 THEN decision END"
#define ROW_COLUMNS \
  DELIVERY_FACTS ", d.id, d.identity, d.channel, d.channel_kind, address_kind, address, d.provider_id, provider_ids, degraded," \
  " d.reason, outcome, " PARTS_COLUMNS ", part_code, wake, query, cancelled, until, within"
enum { CUSTOMER_AT = 15, BODY_AT = CUSTOMER_AT + 6, CONSENT_AT, ROW_AT = CONSENT_AT + 5 };

struct read_back { parley_bytes decision; uint32_t n_steps; }; /* of the message */

static bool message_of(struct stmt *get, struct life *life, struct read_back *ret)
{
  if (col_int(get, 0) != DIR_OUT)
    return false;
  life->customer = col_id(get, 1);
  life->identity = col_id(get, 2);
  life->conversation = col_id(get, 3);
  life->api_key = col_id(get, 4);
  life->created_ms = col_int(get, 5);
  life->expires_ms = col_int(get, 6);
  life->flags = (uint32_t)col_int(get, 7);
  life->class = (enum topic_class)col_int(get, 8);
  ret->n_steps = (uint32_t)col_int(get, 9);
  life->n_go = (uint32_t)col_int(get, 10);
  life->end_state = (int)col_int(get, 11);
  life->topic = col_text(get, 12, life->arena);
  life->key = col_text(get, 13, life->arena);
  if (life->n_go > 1)
    ret->decision = col_text(get, 14, life->arena);
  return true;
}

static bool message_read(struct round *round, struct life *life, struct read_back *ret)
{
  struct stmt *get = db_sql(round->db, "SELECT " MESSAGE_COLUMNS " FROM message m WHERE id=?");
  bool there;

  bind_id(get, 1, life->id);
  if (!db_step(get))
    return false;
  there = message_of(get, life, ret);
  db_reset(get);
  return there;
}

static void row_of(struct stmt *get, int from, struct life *life)
{
  int at = from + DELIVERY_FACTS_COLUMNS;
  size_t i = life->message.n_deliveries++;
  struct delivery_facts *facts = &life->facts[i];

  *facts = delivery_facts_of(get, from);
  life->rows[i] = (struct life_row){.id = col_id(get, at),
                                    .identity = col_id(get, at + 1),
                                    .channel = col_text(get, at + 2, life->arena),
                                    .channel_kind = col_text(get, at + 3, life->arena),
                                    .address_kind = col_text(get, at + 4, life->arena),
                                    .address = col_text(get, at + 5, life->arena),
                                    .provider_id = col_text(get, at + 6, life->arena),
                                    .provider_ids = col_text(get, at + 7, life->arena),
                                    .degraded = col_text(get, at + 8, life->arena),
                                    .reason = col_text(get, at + 9, life->arena),
                                    .outcome = (uint32_t)col_int(get, at + 10),
                                    .parts = parts_of(get, at + 11),
                                    .part_code = col_text(get, at + 15, life->arena),
                                    .wake_ms = col_int(get, at + 16),
                                    .query = col_int(get, at + 17) != 0};
  life->message.cancelled |= col_int(get, at + 18) != 0;
  life->steps[facts->step].until = (enum until)col_int(get, at + 19);
  life->steps[facts->step].within_ms = col_int(get, at + 20);
  life->steps[facts->step].go = true;
}

static void rows_read(struct round *round, struct life *life)
{
  struct stmt *get = db_sql(round->db, "SELECT " ROW_COLUMNS " FROM delivery d WHERE message=? ORDER BY step");

  life->message.n_deliveries = 0;
  life->message.cancelled = false;
  bind_id(get, 1, life->id);
  while (life->message.n_deliveries < PLAN_STEPS_MAX && db_step(get))
    row_of(get, 0, life);
  db_reset(get);
}

/* The message, its customer with what they have said about its topic, and its deliveries, of which there is one at least: what was
 * claimed has begun. Of the ledger's rows each delivery is there once, of a customer that never said anything no row is looked for. */
static const char all_sql[] =
    "SELECT " MESSAGE_COLUMNS ", " CUSTOMER_BRIEF ", m.body, k.seq, k.channel_kind, k.granted, k.at, k.source, " ROW_COLUMNS
    " FROM message m JOIN delivery d ON d.message=m.id JOIN customer c ON c.id=m.customer"
    " LEFT JOIN consent k ON k.customer=CASE WHEN (c.flags&1)<>0 THEN m.customer END AND k.topic=m.topic AND k.seq IN"
    " (SELECT max(seq) FROM consent WHERE customer=m.customer AND topic=m.topic GROUP BY channel_kind)"
    " WHERE m.id=? ORDER BY d.step, k.seq";
_Static_assert(CUSTOMER_HAS_CONSENT == 1, "as in all_sql");

static void consent_take(struct stmt *get, struct life *life)
{
  if (col_id(get, CONSENT_AT) == 0 || life->n_consents == FACTS_CONSENTS_MAX)
    return;
  if (life->consents == NULL)
    life->consents = arena_alloc(life->arena, FACTS_CONSENTS_MAX * sizeof(*life->consents));
  life->consents[life->n_consents++] = (struct consent){.topic = life->topic,
                                                        .channel_kind = col_text(get, CONSENT_AT + 1, life->arena),
                                                        .granted = col_int(get, CONSENT_AT + 2) != 0,
                                                        .at_ms = col_int(get, CONSENT_AT + 3),
                                                        .source = col_text(get, CONSENT_AT + 4, life->arena)};
}

static void all_rows_read(struct stmt *get, struct life *life)
{
  size_t n;
  uint32_t step;

  do {
    n = life->message.n_deliveries;
    step = (uint32_t)col_int(get, ROW_AT);
    if (n == 0 || life->facts[n - 1].step != step)
      row_of(get, ROW_AT, life);
    if (life->message.n_deliveries == 1)
      consent_take(get, life);
  } while (life->message.n_deliveries < PLAN_STEPS_MAX && db_step(get));
}

static bool all_read(struct round *round, struct life *life, struct read_back *ret)
{
  struct stmt *get = db_sql(round->db, all_sql);

  bind_id(get, 1, life->id);
  if (!db_step(get))
    return false;
  if (!message_of(get, life, ret)) {
    db_reset(get);
    return false;
  }
  life->who = customer_brief_of(get, CUSTOMER_AT, life->customer, life->arena);
  life->consents_read = customer_is_alone(&life->who);
  life->body = col_text(get, BODY_AT, life->arena);
  all_rows_read(get, life);
  db_reset(get);
  return true;
}

/* The steps not begun yet, as they were decided; with one sendable step only its own row says all that counts. */
static void steps_of_decision(struct life *life, parley_bytes json)
{
  struct decision *decision;

  if (json.len == 0)
    return;
  decision = arena_alloc(life->arena, sizeof(*decision));
  if (!decision_read(json, life->arena, decision))
    return;
  life->decision = decision;
  for (size_t i = 0; i < decision->n_steps && i < life->message.n_steps; i++) {
    life->steps[i].until = decision->steps[i].until;
    life->steps[i].within_ms = decision->steps[i].within_ms;
    life->steps[i].go = decision->steps[i].verdict == STEP_GO;
  }
}

static struct life_rest rest_of(const struct life *life, size_t at)
{
  const struct delivery_facts *facts = &life->facts[at];
  const struct life_row *row = &life->rows[at];

  return (struct life_rest){.due_ms = facts->due_ms,
                            .wake_ms = row->wake_ms,
                            .token = facts->token,
                            .parts = row->parts,
                            .attempt = facts->attempt,
                            .deaths = facts->deaths,
                            .held = facts->held,
                            .maybe_twice = facts->maybe_twice,
                            .cancelled = life->message.cancelled,
                            .query = row->query,
                            .provider_ids = row->provider_ids,
                            .degraded = row->degraded,
                            .reason = row->reason,
                            .part_code = row->part_code};
}

static bool rest_is_stored(const struct life *life, size_t at)
{
  const struct life_rest now = rest_of(life, at), *was = &life->stored[at];

  return now.due_ms == was->due_ms && now.wake_ms == was->wake_ms && now.token == was->token &&
         now.parts.delivered == was->parts.delivered && now.parts.read == was->parts.read &&
         now.parts.failed == was->parts.failed && now.attempt == was->attempt && text_eq(now.part_code, was->part_code) &&
         now.deaths == was->deaths && now.held == was->held && now.maybe_twice == was->maybe_twice &&
         now.cancelled == was->cancelled && now.query == was->query && text_eq(now.provider_ids, was->provider_ids) &&
         text_eq(now.degraded, was->degraded) && text_eq(now.reason, was->reason);
}

static void steps_of_policy(struct life *life)
{
  static const struct policy_topic any_topic = {.on_unknown = UNKNOWN_DEFAULT};
  const struct policy_topic *topic = life->policy == NULL ? NULL : policy_find_topic(life->policy, life->topic);

  for (size_t i = 0; i < life->message.n_deliveries && life->policy != NULL; i++) {
    const struct policy_channel *channel = policy_find_channel(life->policy, life->rows[i].channel);
    struct step_facts *step = &life->steps[life->facts[i].step];

    if (channel == NULL)
      continue;
    step->can_query = channel->can_query;
    step->on_unknown = policy_on_unknown(topic != NULL ? topic : &any_topic, channel);
  }
}

static uint32_t life_of_fresh(const struct fresh_message *fresh, struct life *life)
{
  life->customer = fresh->customer;
  life->identity = fresh->identity;
  life->conversation = fresh->conversation;
  life->api_key = fresh->api_key;
  life->created_ms = fresh->created_ms;
  life->expires_ms = fresh->expires_ms;
  life->flags = fresh->flags;
  life->class = fresh->class;
  life->n_go = 1;
  life->end_state = -1;
  life->topic = fresh->topic;
  life->key = fresh->key;
  return fresh->n_steps;
}

static void row_of_fresh(const struct fresh_message *fresh, struct life *life)
{
  life->message.n_deliveries = 1;
  life->facts[0] = fresh->facts;
  life->rows[0] = fresh->row;
  life->steps[fresh->facts.step] = fresh->step;
}

/* Nobody else has changed it since: what may befall a delivery that is SENDING raises its token, or shows here. */
static bool fresh_stands(struct round *round, const struct fresh_message *fresh)
{
  struct stmt *get = db_sql(round->db, "SELECT 1 FROM delivery WHERE message=? AND step=? AND token=? AND state=1 AND facts=0 AND"
                                       " cancelled=0 AND held=0 AND part_delivered=0 AND part_read=0 AND part_failed=0");
  bool stands;

  if (!round->store->ways->shared)
    return true;
  bind_id(get, 1, fresh->id);
  bind_int(get, 2, fresh->facts.step);
  bind_id(get, 3, fresh->facts.token);
  stands = db_step(get);
  db_reset(get);
  return stands;
}

void life_keep_fresh(struct round *round, const struct life *life)
{
  const struct delivery_facts *facts = &life->facts[0];
  const struct life_row *row = &life->rows[0];

  if (life->n_go != 1 || life->message.n_deliveries != 1 || facts->facts != 0 || facts->held || life->message.cancelled ||
      row->parts.delivered != 0 || row->parts.read != 0 || row->parts.failed != 0)
    return;
  fresh_put(round->store->fresh, &(struct fresh_message){.id = life->id,
                                                         .customer = life->customer,
                                                         .identity = life->identity,
                                                         .conversation = life->conversation,
                                                         .api_key = life->api_key,
                                                         .created_ms = life->created_ms,
                                                         .expires_ms = life->expires_ms,
                                                         .flags = life->flags,
                                                         .n_steps = (uint32_t)life->message.n_steps,
                                                         .class = life->class,
                                                         .topic = life->topic,
                                                         .key = life->key,
                                                         .facts = *facts,
                                                         .row = *row,
                                                         .step = life->steps[facts->step]});
}

static void life_init(struct life *life, id64 message, const struct policy *policy, int64_t now_ms, struct arena *arena)
{
  *life = (struct life){.id = message, .policy = policy, .arena = arena};
  life->message = (struct message_facts){.now_ms = now_ms, .steps = life->steps, .deliveries = life->facts};
  for (size_t i = 0; i < PLAN_STEPS_MAX; i++)
    life->steps[i].until = UNTIL_SENT;
}

/* Behind the lock: the message never changes; what else was read before it is read again if it may have changed. */
static void life_lock(struct round *round, struct life *life, const struct fresh_message *fresh)
{
  bool stands = round_lock_customer(round, life->customer);

  if (fresh != NULL && fresh_stands(round, fresh)) {
    row_of_fresh(fresh, life);
    return;
  }
  if (!stands) {
    life->who = (struct customer_brief){0};
    life->consents_read = false;
  }
  if (!stands || life->message.n_deliveries == 0)
    rows_read(round, life);
}

static bool load(struct round *round, struct life *life, bool all)
{
  struct read_back message = {{"", 0}, 0};
  struct fresh_message fresh;
  bool is_fresh = fresh_take(round->store->fresh, life->id, life->arena, &fresh);

  if (is_fresh)
    message.n_steps = life_of_fresh(&fresh, life);
  else if (!(all ? all_read(round, life, &message) : message_read(round, life, &message)))
    return false;
  life_lock(round, life, is_fresh ? &fresh : NULL);
  life->message.expires_ms = life->expires_ms;
  life->message.n_steps = message.n_steps < PLAN_STEPS_MAX ? message.n_steps : PLAN_STEPS_MAX;
  for (size_t i = 0; i < life->message.n_deliveries; i++)
    life->stored[i] = rest_of(life, i);
  steps_of_decision(life, message.decision);
  steps_of_policy(life);
  return true;
}

bool life_load(struct round *round, id64 message, const struct policy *policy, int64_t now_ms, struct arena *arena,
               struct life *ret)
{
  life_init(ret, message, policy, now_ms, arena);
  return load(round, ret, false);
}

bool life_load_to_claim(struct round *round, id64 message, const struct policy *policy, int64_t now_ms, struct arena *arena,
                        struct life *ret)
{
  life_init(ret, message, policy, now_ms, arena);
  return load(round, ret, true);
}

/* --- writing --------------------------------------------------------------------------------------------------------------------- */

/* What most outcomes change, and nothing more: each column named here or an index made of it costs. */
static void row_write_outcome(struct round *round, const struct life *life, size_t at)
{
  struct stmt *put = db_sql(round->db, "UPDATE delivery SET state=?, facts=?, handed=?, outcome=?, parts=?, provider_id=?"
                                       " WHERE message=? AND step=?");

  bind_int(put, 1, life->facts[at].state);
  bind_int(put, 2, life->facts[at].facts);
  bind_int(put, 3, life->facts[at].handed_ms);
  bind_int(put, 4, life->rows[at].outcome);
  bind_int(put, 5, life->rows[at].parts.n);
  bind_text(put, 6, life->rows[at].provider_id);
  bind_id(put, 7, life->id);
  bind_int(put, 8, life->facts[at].step);
  db_run(put);
}

static void row_write(struct round *round, const struct life *life, size_t at)
{
  struct stmt *put = db_sql(
      round->db,
      "UPDATE delivery SET state=?, facts=?, due=?, wake=?, attempt=?, token=?, held=?, maybe_twice=?, cancelled=?,"
      " query=?, handed=?, outcome=?, parts=?, part_delivered=?, part_read=?, part_failed=?, part_code=?,"
      " provider_id=?, provider_ids=?, degraded=?, reason=?, deaths=? WHERE message=? AND step=?");
  const struct delivery_facts *facts = &life->facts[at];
  const struct life_row *row = &life->rows[at];

  bind_int(put, 1, facts->state);
  bind_int(put, 2, facts->facts);
  bind_int(put, 3, facts->due_ms);
  bind_int(put, 4, row->wake_ms);
  bind_int(put, 5, facts->attempt);
  bind_id(put, 6, facts->token);
  bind_int(put, 7, facts->held);
  bind_int(put, 8, facts->maybe_twice);
  bind_int(put, 9, life->message.cancelled);
  bind_int(put, 10, row->query);
  bind_int(put, 11, facts->handed_ms);
  bind_int(put, 12, row->outcome);
  bind_int(put, 13, row->parts.n);
  bind_id(put, 14, row->parts.delivered);
  bind_id(put, 15, row->parts.read);
  bind_id(put, 16, row->parts.failed);
  bind_text(put, 17, row->part_code);
  bind_text(put, 18, row->provider_id);
  bind_text(put, 19, row->provider_ids);
  bind_text(put, 20, row->degraded);
  bind_text(put, 21, row->reason);
  bind_int(put, 22, facts->deaths);
  bind_id(put, 23, life->id);
  bind_int(put, 24, facts->step);
  db_run(put);
}

void life_write_parts(struct round *round, struct life *life, size_t at)
{
  struct stmt *put = db_sql(round->db, "UPDATE delivery SET part_delivered=?, part_read=?, part_failed=?, part_code=?"
                                       " WHERE message=? AND step=?");
  const struct life_row *row = &life->rows[at];

  bind_id(put, 1, row->parts.delivered);
  bind_id(put, 2, row->parts.read);
  bind_id(put, 3, row->parts.failed);
  bind_text(put, 4, row->part_code);
  bind_id(put, 5, life->id);
  bind_int(put, 6, life->facts[at].step);
  db_run(put);
  life->stored[at].parts = row->parts;
  life->stored[at].part_code = row->part_code;
}

void life_write(struct round *round, struct life *life)
{
  for (size_t i = 0; i < life->message.n_deliveries; i++) {
    if (!life->rows[i].changed)
      continue;
    life->rows[i].changed = false;
    if (rest_is_stored(life, i)) {
      row_write_outcome(round, life, i);
      continue;
    }
    row_write(round, life, i);
    life->stored[i] = rest_of(life, i);
  }
}
