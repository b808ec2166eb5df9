/* write_life.c - one message with its begun deliveries, moved by route's advance(). Everything that happens to a message after it
 * was accepted goes through life_advance(), so that counters, events and wake times agree. */
#include "write.h"
#include "core/base/text.h"
#include <jansson.h>

enum message_state life_state(const struct life *life)
{
  return message_fold(&life->message, life->end_state >= 0 ? (enum message_state)life->end_state : MESSAGE_FAILED);
}

int life_row_of(const struct life *life, uint32_t step)
{
  for (size_t i = 0; i < life->message.n_deliveries; i++)
    if (life->facts[i].step == step)
      return (int)i;
  return -1;
}

int life_row_of_channel(const struct life *life, parley_text channel)
{
  for (size_t i = life->message.n_deliveries; i > 0; i--)
    if (text_eq(life->rows[i - 1].channel, channel))
      return (int)i - 1;
  return -1;
}

/* --- claims ---------------------------------------------------------------------------------------------------------------------- */

static void claim_provider_ids(struct life *life, const struct life_row *row, struct claim *ret)
{
  json_t *list = row->provider_ids.len == 0 ? NULL : json_loadb(row->provider_ids.at, row->provider_ids.len, 0, NULL);
  size_t n = json_array_size(list);

  if (n > 0) {
    ret->provider_ids = arena_alloc(life->arena, n * sizeof(*ret->provider_ids));
    ret->n_provider_ids = n;
  }
  for (size_t i = 0; i < n; i++) {
    const char *id = json_string_value(json_array_get(list, i));

    ret->provider_ids[i] = arena_text(life->arena, parley_text_of(id != NULL ? id : ""));
  }
  json_decref(list);
}

static void claim_body(struct round *round, struct life *life, struct claim *ret)
{
  struct stmt *inside = db_sql(round->db, "SELECT body FROM message WHERE id=?");
  struct stmt *apart = db_sql(round->db, "SELECT bytes FROM body WHERE message=?");
  struct stmt *get = life->flags & MESSAGE_BODY_APART ? apart : inside;

  if (life->body.len > 0) {
    ret->body = life->body;
    return;
  }
  bind_id(get, 1, life->id);
  if (db_step(get))
    ret->body = col_text(get, 0, life->arena);
  db_reset(get);
}

const struct customer_brief *life_who(struct round *round, struct life *life)
{
  if (life->who.id == 0 && !customer_find(round->db, life->customer, life->arena, &life->who))
    life->who = (struct customer_brief){.id = life->customer};
  return &life->who;
}

static void claim_fill(struct round *round, struct life *life, size_t at, struct claim *ret)
{
  const struct delivery_facts *facts = &life->facts[at];
  const struct life_row *row = &life->rows[at];
  const struct customer_brief customer = *life_who(round, life);

  *ret = (struct claim){.message = life->id,
                        .delivery = row->id,
                        .customer = life->customer,
                        .identity = row->identity,
                        .conversation = life->conversation,
                        .step = facts->step,
                        .attempt = facts->attempt,
                        .lane = lane_of(life->class, (life->flags & MESSAGE_TEST) != 0),
                        .token = facts->token,
                        .deaths = facts->deaths,
                        .resent = facts->maybe_twice,
                        .test = (life->flags & MESSAGE_TEST) != 0,
                        .accepted_ms = life->created_ms,
                        .expires_ms = life->expires_ms,
                        .handed_ms = facts->handed_ms,
                        .topic = life->topic,
                        .channel = row->channel,
                        .address_kind = row->address_kind,
                        .address = row->address,
                        .customer_name = customer.name,
                        .locale = customer.locale,
                        .timezone = customer.timezone};
  claim_body(round, life, ret);
  claim_provider_ids(life, row, ret);
  thread_load(round, life->arena, ret);
}

/* State, attempt, token and session; the attempt that is open is this row. */
static void row_claim(struct round *round, struct life *life, size_t at, int64_t now_ms)
{
  struct stmt *put =
      db_sql(round->db, "UPDATE delivery SET state=1, attempt=?, token=?, session=?, attempt_started=?, query=0,"
                        " wake=0 WHERE message=? AND step=?");
  struct delivery_facts *facts = &life->facts[at];
  struct life_rest *stored = &life->stored[at];

  facts->state = DELIVERY_SENDING;
  stored->attempt = ++facts->attempt;
  stored->token = ++facts->token;
  stored->query = life->rows[at].query = false;
  stored->wake_ms = life->rows[at].wake_ms = 0;
  bind_int(put, 1, facts->attempt);
  bind_id(put, 2, facts->token);
  bind_int(put, 3, round->store->session);
  bind_int(put, 4, now_ms);
  bind_id(put, 5, life->id);
  bind_int(put, 6, facts->step);
  db_run(put);
}

static void count_move(struct round *round, enum message_state before, enum message_state after)
{
  round->delta.by_state[before]--;
  round->delta.by_state[after]++;
}

void life_claim(struct round *round, struct life *life, size_t at, int64_t now_ms, struct claim *ret)
{
  enum message_state before = life_state(life);
  bool query = life->rows[at].query;

  row_claim(round, life, at, now_ms);
  count_move(round, before, life_state(life));
  claim_fill(round, life, at, ret);
  ret->query = query;
  life_keep_fresh(round, life);
}

/* --- a step begins --------------------------------------------------------------------------------------------------------------- */

/* On an ordered channel a message goes at once only when nothing of that customer is open there. */
static bool channel_is_free(struct round *round, const struct begin *begin)
{
  struct stmt *get =
      db_sql(round->db, "SELECT 1 FROM delivery WHERE channel=? AND customer=? AND ordered=1 AND state<3"
                        " AND held=0 AND (lane=?3)=(?4=?3) LIMIT 1");
  bool open;

  if (!(begin->channel->flags & PARLEY_ORDERED))
    return true;
  bind_text(get, 1, begin->channel->name);
  bind_id(get, 2, begin->customer);
  bind_int(get, 3, LANE_TEST);
  bind_int(get, 4, begin->lane);
  open = db_step(get);
  db_reset(get);
  return !open;
}

bool delivery_begin(struct round *round, const struct begin *begin, id64 *ret_id)
{
  struct stmt *put = db_sql(
      round->db,
      "INSERT INTO delivery(message, step, id, customer, identity, conversation, channel, channel_kind, lane, state,"
      " due, wake, expires, attempt, token, session, ordered, started, attempt_started, address_kind, address,"
      " until, within) VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)");
  const struct decided_step *decided = begin->decided;
  bool now = begin->channel != NULL && begin->channel->room != NULL && begin->due_ms <= begin->now_ms &&
             channel_is_free(round, begin) && round_take_seat(round, &begin->channel->room->room[begin->lane]);

  *ret_id = id_next(&round->store->ids);
  bind_id(put, 1, begin->message);
  bind_int(put, 2, begin->step);
  bind_id(put, 3, *ret_id);
  bind_id(put, 4, begin->customer);
  bind_id(put, 5, decided->identity);
  bind_id(put, 6, begin->conversation);
  bind_text(put, 7, decided->channel);
  bind_text(put, 8, decided->channel_kind);
  bind_int(put, 9, begin->lane);
  bind_int(put, 10, now ? DELIVERY_SENDING : DELIVERY_QUEUED);
  bind_int(put, 11, begin->due_ms);
  bind_int(put, 12, now ? 0 : begin->wake_ms);
  bind_int(put, 13, begin->expires_ms);
  bind_int(put, 14, now);
  bind_int(put, 15, now);
  bind_int(put, 16, now ? round->store->session : 0);
  bind_int(put, 17, begin->channel != NULL && (begin->channel->flags & PARLEY_ORDERED) != 0);
  bind_int(put, 18, begin->due_ms);
  bind_int(put, 19, now ? begin->now_ms : 0);
  bind_text(put, 20, decided->address_kind);
  bind_text(put, 21, decided->address);
  bind_int(put, 22, decided->until);
  bind_int(put, 23, decided->within_ms);
  db_run(put);
  return now;
}

/* The next step of the plan: a row of its own, behind the others. The word of consent_stops(), and then it waits. */
static const char *life_begin(struct round *round, struct life *life, uint32_t step, struct claim **next)
{
  const struct decided_step *decided = &life->decision->steps[step];
  int64_t now_ms = life->message.now_ms;
  struct begin begin = {.message = life->id,
                        .customer = life->customer,
                        .conversation = life->conversation,
                        .step = step,
                        .decided = decided,
                        .channel = life->policy != NULL ? policy_find_channel(life->policy, decided->channel) : NULL,
                        .lane = lane_of(life->class, (life->flags & MESSAGE_TEST) != 0),
                        .now_ms = now_ms,
                        .due_ms = now_ms,
                        .expires_ms = life->expires_ms};
  struct policy_channel waits;
  size_t at = life->message.n_deliveries++;
  const char *stops;
  bool now;
  id64 id;

  life->rows[at] = (struct life_row){.identity = decided->identity,
                                     .channel = decided->channel,
                                     .channel_kind = decided->channel_kind,
                                     .address_kind = decided->address_kind,
                                     .address = decided->address};
  stops = consent_stops(round, life, at);
  if ((next == NULL || stops != NULL) && begin.channel != NULL) { /* nobody would take the claim */
    waits = *begin.channel;
    waits.room = NULL;
    begin.channel = &waits;
  }
  now = delivery_begin(round, &begin, &id);
  life->facts[at] = (struct delivery_facts){.step = step,
                                            .state = now ? DELIVERY_SENDING : DELIVERY_QUEUED,
                                            .attempt = now,
                                            .token = now,
                                            .started_ms = now_ms,
                                            .due_ms = now_ms};
  life->rows[at].id = id;
  if (!now)
    return stops;
  *next = arena_alloc(life->arena, sizeof(**next));
  claim_fill(round, life, at, *next);
  return NULL;
}

/* --- what happened --------------------------------------------------------------------------------------------------------------- */

struct claim *life_claim_next_ordered(struct round *round, const struct life *ended, size_t row)
{
  struct stmt *get =
      db_sql(round->db, "SELECT message, step, state, due, lane, query FROM delivery WHERE channel=? AND"
                        " customer=? AND ordered=1 AND state<3 AND held=0 AND (lane=?3)=(?4=?3)"
                        " ORDER BY message, step LIMIT 1");
  const struct policy_channel *channel =
      ended->policy == NULL ? NULL : policy_find_channel(ended->policy, ended->rows[row].channel);
  struct life loaded, *life = &loaded;
  struct claim *claim;
  bool ready;
  id64 message;
  uint32_t step, lane;
  size_t at;

  if (channel == NULL || channel->room == NULL || !(channel->flags & PARLEY_ORDERED))
    return NULL;
  bind_text(get, 1, channel->name);
  bind_id(get, 2, ended->customer);
  bind_int(get, 3, LANE_TEST);
  bind_int(get, 4, lane_of(ended->class, (ended->flags & MESSAGE_TEST) != 0));
  if (!db_step(get))
    return NULL;
  message = col_id(get, 0);
  step = (uint32_t)col_int(get, 1);
  lane = (uint32_t)col_int(get, 4);
  ready = (col_int(get, 2) == DELIVERY_QUEUED || col_int(get, 5) != 0) && col_int(get, 3) <= ended->message.now_ms;
  db_reset(get);

  if (!ready || !life_load_to_claim(round, message, ended->policy, ended->message.now_ms, ended->arena, life))
    return NULL;
  at = (size_t)life_row_of(life, step);
  if (!life->rows[at].query && consent_stops(round, life, at) != NULL) { /* the sweep ends it, and goes on to the next */
    life->rows[at].wake_ms = ended->message.now_ms;
    life->rows[at].changed = true;
    life_write(round, life);
    return NULL;
  }
  if ((life->expires_ms != 0 && life->expires_ms <= ended->message.now_ms) ||
      !round_take_seat(round, &channel->room->room[lane]))
    return NULL;
  claim = arena_alloc(ended->arena, sizeof(*claim));
  life_claim(round, life, at, ended->message.now_ms, claim);
  return claim;
}

static void life_change(struct life *life, const struct happened *happened, const struct advanced *adv)
{
  for (size_t i = 0; i < adv->n_changes; i++) {
    size_t at = adv->changes[i].delivery;

    life->facts[at] = adv->changes[i].to;
    life->rows[at].query = adv->query && at == happened->delivery && adv->changes[i].to.state == DELIVERY_UNKNOWN;
    life->rows[at].changed = true;
    if (adv->reason != NULL)
      life->rows[at].reason = parley_text_of(adv->reason);
  }
  if (happened->what != HAPPEN_CANCEL)
    return;
  life->message.cancelled = true;
  for (size_t i = 0; i < life->message.n_deliveries; i++)
    life->rows[i].changed = true;
}

/* The wake time is the message's; it stands in its newest row. */
static void life_wake(struct life *life)
{
  size_t n = life->message.n_deliveries;
  int64_t wake_ms = message_wake_ms(&life->message);

  for (size_t i = 0; i < n; i++) {
    int64_t wanted_ms = i + 1 == n ? wake_ms : 0;

    if (life->rows[i].wake_ms == wanted_ms)
      continue;
    life->rows[i].wake_ms = wanted_ms;
    life->rows[i].changed = true;
  }
}

/* Going to and fro between queued and sending is nobody's news. */
static bool is_news(enum message_state after)
{
  return after != MESSAGE_SENDING && after != MESSAGE_QUEUED;
}

static bool maybe_twice(const struct life *life)
{
  for (size_t i = 0; i < life->message.n_deliveries; i++)
    if (life->facts[i].maybe_twice)
      return true;
  return false;
}

static void life_tell(struct round *round, const struct life *life, const struct happened *happened,
                      enum message_state after, const char *reason)
{
  struct buf *data = &round->scratch;

  buf_clear(data);
  buf_str(data, "{\"status\":");
  buf_json_str(data, message_state_name(after));
  if (happened->what != HAPPEN_CANCEL && happened->what != HAPPEN_EXPIRE &&
      happened->delivery < life->message.n_deliveries) {
    buf_str(data, ",\"channel\":");
    buf_json_text(data, life->rows[happened->delivery].channel);
  }
  if (reason != NULL) {
    buf_str(data, ",\"reason\":");
    buf_json_str(data, reason);
  }
  if (life->code.len > 0) {
    buf_str(data, ",\"code\":");
    buf_json_text(data, life->code);
  }
  if (happened->what == HAPPEN_RECEIPT && life->detail.len > 0) {
    buf_str(data, ",\"detail\":");
    buf_json_text(data, life->detail);
  }
  if (maybe_twice(life))
    buf_str(data, ",\"possible_duplicate\":true");
  buf_char(data, '}');
  round_event(round, "message.status", life->message.now_ms, life->customer, life->identity, life->conversation,
              life->id, buf_as_text(data));
}

/* What the outcome of an attempt says of its address. */
static void address_note(struct round *round, const struct life *life, const struct happened *happened, bool hard)
{
  const struct life_row *row = &life->rows[happened->delivery];
  struct identity identity = {.kind = row->address_kind, .value = row->address, .raw = row->address};
  struct bounced from = {life->message.now_ms, life->customer, life->id, life->code, life->detail, TEXT_EMPTY};

  if (row->address.len == 0)
    return;
  if (hard)
    suppression_add(round, &identity, "hard_bounce", &from);
  else if (happened->what == HAPPEN_OUTCOME && happened->outcome == PARLEY_OUTCOME_DELIVERED)
    bounce_over(round, &identity);
  else if (happened->what == HAPPEN_OUTCOME && happened->outcome == PARLEY_OUTCOME_ACCEPTED)
    bounce_sent(round, &identity, life->id);
}

/* Its time is over, and what stood in the way to the last was told as one that may pass: a soft bounce at SMTP time. */
static void addresses_expired(struct round *round, const struct life *life)
{
  struct bounced from = {life->message.now_ms, life->customer, life->id, PARLEY_LIT("expired"), TEXT_EMPTY, TEXT_EMPTY};

  for (size_t i = 0; i < life->message.n_deliveries; i++) {
    const struct life_row *row = &life->rows[i];
    struct identity identity = {.kind = row->address_kind, .value = row->address, .raw = row->address};

    if (life->facts[i].state == DELIVERY_EXPIRED && row->outcome == PARLEY_OUTCOME_RETRY && row->address.len > 0)
      bounce_soft(round, &identity, &from);
  }
}

/* The message is in another state than before. */
static void life_turned(struct round *round, const struct life *life, const struct happened *happened,
                        const struct advanced *adv)
{
  count_move(round, adv->before, adv->after);
  if (adv->after == MESSAGE_CANCELLED && life->key.len > 0)
    business_key_free(round, life->key, life->id);
  if (is_news(adv->after))
    life_tell(round, life, happened, adv->after, adv->reason);
}

struct advanced life_stop(struct round *round, struct life *life, size_t row, const char *why, struct claim **next)
{
  return life_advance(round, life, &(struct happened){.what = HAPPEN_STOPPED, .delivery = row, .reason = why}, next);
}

struct advanced life_advance(struct round *round, struct life *life, const struct happened *happened,
                             struct claim **next)
{
  enum message_state before = life_state(life), after;
  bool was_maybe_twice = maybe_twice(life);
  const char *stops = NULL;
  struct advanced adv;

  if (life->message.n_deliveries == 0) { /* it ended when it was accepted */
    adv = (struct advanced){.ignored = true, .begin_step = -1, .before = before, .after = before};
    return adv;
  }
  adv = advance(&life->message, happened);
  if (adv.ignored)
    return adv;
  life_change(life, happened, &adv);
  if (adv.begin_step >= 0 && life->decision != NULL)
    stops = life_begin(round, life, (uint32_t)adv.begin_step, next);
  life_wake(life);
  life_write(round, life);
  adv.before = before;
  after = adv.after = life_state(life);
  round->delta.duplicates += !was_maybe_twice && maybe_twice(life);
  if (happened->what == HAPPEN_OUTCOME)
    address_note(round, life, happened, adv.suppress_address);
  else if (happened->what == HAPPEN_EXPIRE)
    addresses_expired(round, life);
  if (before != after)
    life_turned(round, life, happened, &adv);
  if (stops != NULL)
    life_stop(round, life, life->message.n_deliveries - 1, stops, next);
  return adv;
}
