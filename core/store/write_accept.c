/* write_accept.c - takes messages in: whose it is, what is known, decide(), rows, and the first claim, all in one
 * transaction, so that two racing senders neither make one customer twice nor use one key twice. */
#include "write.h"
#include "fresh.h"
#include "core/base/text.h"

#define BUSINESS_KEY_KEEP_MS (INT64_C(30) * 86400000)
#define BUSINESS_KEY_TWINS_MAX 16

/* --- business keys ------------------------------------------------------------------------------------------------------------ */

id64 business_key_find(struct round *round, parley_text key, int64_t now_ms, uint64_t *ret_h)
{
  struct stmt *get = db_sql(round->db, "SELECT key, message, at FROM business_key WHERE h=?");
  uint64_t h = hash64(&round->store->hash_key, key);
  id64 message = 0;

  for (int i = 0; i < BUSINESS_KEY_TWINS_MAX; i++, h++) {
    bool same;

    bind_id(get, 1, h);
    if (!db_step(get))
      break;
    same = text_eq(col_peek(get, 0), key);
    if (same && col_int(get, 2) + BUSINESS_KEY_KEEP_MS > now_ms)
      message = col_id(get, 1);
    db_reset(get);
    if (same)
      break;
  }
  *ret_h = h;
  return message;
}

static void business_key_put(struct round *round, uint64_t h, parley_text key, id64 message, int64_t now_ms)
{
  struct stmt *put = db_sql(round->db, "INSERT INTO business_key(h, key, message, at) VALUES(?, ?, ?, ?) ON CONFLICT(h)"
                                       " DO UPDATE SET key=excluded.key, message=excluded.message, at=excluded.at");

  bind_id(put, 1, h);
  bind_text(put, 2, key);
  bind_id(put, 3, message);
  bind_int(put, 4, now_ms);
  db_run(put);
}

/* The row stays, so that a twin behind it is still found. */
void business_key_free(struct round *round, parley_text key, id64 message)
{
  struct stmt *put = db_sql(round->db, "UPDATE business_key SET message=0 WHERE h=? AND message=?");
  uint64_t h;

  business_key_find(round, key, round->now_ms, &h);
  bind_id(put, 1, h);
  bind_id(put, 2, message);
  db_run(put);
}

static void item_duplicate(struct round *round, struct accept_item *item, id64 first, struct arena *arena)
{
  struct stmt *get = db_sql(round->db, "SELECT decision FROM message WHERE id=?");
  struct life loaded, *life = &loaded;

  item->result = ACCEPT_DUPLICATE_KEY;
  item->message = first;
  if (!life_load(round, first, NULL, round->now_ms, arena, life))
    return;
  item->customer = life->customer;
  item->conversation = life->conversation;
  item->created_ms = life->created_ms;
  item->state = life_state(life);
  bind_id(get, 1, first);
  if (db_step(get))
    item->decision_json = col_text(get, 0, arena);
  db_reset(get);
}

/* --- one message ----------------------------------------------------------------------------------------------------------------- */

void body_insert(struct round *round, id64 message, parley_bytes body)
{
  struct stmt *put = db_sql(round->db, "INSERT INTO body(message, bytes) VALUES(?, ?)");

  bind_id(put, 1, message);
  bind_blob(put, 2, body);
  db_run(put);
}

static int end_state_of(const struct decision *decision)
{
  enum message_state state = MESSAGE_FAILED;

  if (decision->first >= 0)
    return -1;
  message_state_parse(parley_text_of(decision->end), &state);
  return (int)state;
}

static uint32_t steps_that_go(const struct decision *decision)
{
  uint32_t n = 0;

  for (size_t i = 0; i < decision->n_steps; i++)
    n += decision->steps[i].verdict == STEP_GO;
  return n;
}

static bool body_is_apart(const struct submission *submission)
{
  return submission->body.len > BODY_INLINE_MAX;
}

static uint32_t message_flags(const struct submission *submission)
{
  return (submission->test ? MESSAGE_TEST : 0u) | (body_is_apart(submission) ? MESSAGE_BODY_APART : 0u) |
         (submission->answers_keyword ? MESSAGE_ANSWERS_KEYWORD : 0u);
}

static void message_insert(struct round *round, const struct submission *submission, const struct accept_item *item)
{
  struct stmt *put = db_sql(
      round->db, "INSERT INTO message(id, dir, kind, customer, identity, conversation, api_key, created, at, expires, not_before,"
                 " flags, class, n_steps, n_go, end_state, topic, key, campaign, channel, channel_kind, provider_id,"
                 " in_reply_to, reason, decision, body)"
                 " VALUES(?,0,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,'','','','',?,?,?)");
  const struct decision *decision = item->decision;
  bool apart = body_is_apart(submission);

  buf_clear(&round->scratch);
  decision_write(&round->scratch, decision);
  bind_id(put, 1, item->message);
  bind_int(put, 2, PARLEY_KIND_CONTENT);
  bind_id(put, 3, item->customer);
  bind_id(put, 4, decision->identity);
  bind_id(put, 5, item->conversation);
  bind_id(put, 6, submission->api_key);
  bind_int(put, 7, submission->now_ms);
  bind_int(put, 8, submission->now_ms);
  bind_int(put, 9, submission->expires_ms);
  bind_int(put, 10, submission->not_before_ms);
  bind_int(put, 11, message_flags(submission));
  bind_int(put, 12, submission->topic->class);
  bind_int(put, 13, (int64_t)decision->n_steps);
  bind_int(put, 14, steps_that_go(decision));
  bind_int(put, 15, end_state_of(decision));
  bind_text(put, 16, submission->topic->name);
  bind_text(put, 17, submission->key);
  bind_text(put, 18, submission->campaign);
  bind_str(put, 19, decision->reason);
  bind_blob(put, 20, (parley_bytes)buf_as_text(&round->scratch));
  bind_blob(put, 21, apart ? (parley_bytes){"", 0} : submission->body);
  db_run(put);
  if (apart)
    body_insert(round, item->message, submission->body);
}

static struct claim *claim_of(const struct submission *submission, const struct accept_item *item, id64 delivery,
                              const struct customer_brief *customer, struct arena *arena)
{
  const struct decided_step *step = &item->decision->steps[item->decision->first];
  struct claim *claim = arena_alloc(arena, sizeof(*claim));

  *claim = (struct claim){.message = item->message,
                          .delivery = delivery,
                          .customer = item->customer,
                          .identity = step->identity,
                          .conversation = item->conversation,
                          .step = (uint32_t)item->decision->first,
                          .attempt = 1,
                          .lane = lane_of(submission->topic->class, submission->test),
                          .token = 1,
                          .test = submission->test,
                          .accepted_ms = submission->now_ms,
                          .expires_ms = submission->expires_ms,
                          .topic = submission->topic->name,
                          .channel = step->channel,
                          .address_kind = step->address_kind,
                          .address = step->address,
                          .customer_name = customer->name,
                          .locale = customer->locale,
                          .timezone = customer->timezone,
                          .reply_to = TEXT_EMPTY,
                          .subject = TEXT_EMPTY};
  return claim;
}

/* The wake time of a first delivery that waits: expiry, or the end of `within` where another step follows. */
static int64_t first_wake_ms(const struct submission *submission, const struct decision *decision, int64_t due_ms)
{
  struct step_facts steps[PLAN_STEPS_MAX] = {0};
  struct delivery_facts row = {.step = (uint32_t)decision->first, .started_ms = due_ms, .due_ms = due_ms};
  struct message_facts message = {.now_ms = submission->now_ms,
                                  .expires_ms = submission->expires_ms,
                                  .n_steps = decision->n_steps,
                                  .n_deliveries = 1,
                                  .steps = steps,
                                  .deliveries = &row};

  for (size_t i = 0; i < decision->n_steps; i++) {
    steps[i].until = decision->steps[i].until;
    steps[i].within_ms = decision->steps[i].within_ms;
    steps[i].go = decision->steps[i].verdict == STEP_GO;
  }
  return message_wake_ms(&message);
}

/* What the outcome of the first attempt will ask for. With more steps it would ask for the decision, too. */
static void item_keep_fresh(struct round *round, const struct submission *submission, const struct accept_item *item,
                            const struct begin *begin, id64 delivery)
{
  const struct decided_step *decided = begin->decided;

  if (steps_that_go(item->decision) != 1)
    return;
  fresh_put(round->store->fresh,
            &(struct fresh_message){.id = item->message,
                                    .customer = item->customer,
                                    .identity = item->decision->identity,
                                    .conversation = item->conversation,
                                    .api_key = submission->api_key,
                                    .created_ms = submission->now_ms,
                                    .expires_ms = submission->expires_ms,
                                    .flags = message_flags(submission),
                                    .n_steps = (uint32_t)item->decision->n_steps,
                                    .class = submission->topic->class,
                                    .topic = submission->topic->name,
                                    .key = submission->key,
                                    .facts = {.step = begin->step,
                                              .state = DELIVERY_SENDING,
                                              .attempt = 1,
                                              .token = 1,
                                              .started_ms = begin->due_ms,
                                              .due_ms = begin->due_ms},
                                    .row = {.id = delivery,
                                            .identity = decided->identity,
                                            .channel = decided->channel,
                                            .channel_kind = decided->channel_kind,
                                            .address_kind = decided->address_kind,
                                            .address = decided->address,
                                            .provider_id = TEXT_EMPTY,
                                            .provider_ids = TEXT_EMPTY,
                                            .degraded = TEXT_EMPTY,
                                            .reason = TEXT_EMPTY,
                                            .part_code = TEXT_EMPTY},
                                    .step = {.until = decided->until, .within_ms = decided->within_ms, .go = true}});
}

static void item_begin(struct round *round, const struct submission *submission, struct accept_item *item,
                       const struct customer_brief *customer, struct arena *arena)
{
  const struct decision *decision = item->decision;
  int64_t now_ms = submission->now_ms;
  int64_t due_ms = submission->not_before_ms > now_ms ? submission->not_before_ms : now_ms;
  struct begin begin = {.message = item->message,
                        .customer = item->customer,
                        .conversation = item->conversation,
                        .step = (uint32_t)decision->first,
                        .decided = &decision->steps[decision->first],
                        .channel = submission->steps[decision->first].channel,
                        .lane = lane_of(submission->topic->class, submission->test),
                        .now_ms = now_ms,
                        .due_ms = due_ms,
                        .expires_ms = submission->expires_ms,
                        .wake_ms = first_wake_ms(submission, decision, due_ms)};
  id64 delivery;

  item->state = MESSAGE_QUEUED;
  if (!delivery_begin(round, &begin, &delivery))
    return;
  item->state = MESSAGE_SENDING;
  item->claim = claim_of(submission, item, delivery, customer, arena);
  thread_load(round, arena, item->claim);
  item_keep_fresh(round, submission, item, &begin, delivery);
}

static void item_tell(struct round *round, const struct submission *submission, const struct accept_item *item)
{
  struct buf *data = &round->scratch;
  enum message_state state = item->state == MESSAGE_SENDING ? MESSAGE_QUEUED : item->state;

  buf_clear(data);
  buf_str(data, "{\"status\":");
  buf_json_str(data, message_state_name(state));
  if (item->decision->reason != NULL) {
    buf_str(data, ",\"reason\":");
    buf_json_str(data, item->decision->reason);
  }
  buf_char(data, '}');
  round_event(round, "message.status", submission->now_ms, item->customer, item->decision->identity, item->conversation,
              item->message, buf_as_text(data));
}

static void item_decide(struct round *round, const struct store_accept *accept, struct accept_item *item, struct who *who,
                        struct arena *arena)
{
  const struct submission *submission = item->submission;
  struct facts facts;

  facts_load(round->db, &round->store->hash_key, round->store->n_suppressions > 0, submission, &who->found, &who->resolution,
             &who->customer, arena, &facts);
  facts.created = who->created;
  if (submission->conversation != 0)
    facts.conversation = submission->conversation;
  item->decision = arena_alloc(arena, sizeof(*item->decision));
  accept->decide(submission, &facts, arena, item->decision);
  item->conversation = facts.conversation;
}

static void item_accept(struct round *round, const struct store_accept *accept, struct accept_item *item)
{
  const struct submission *submission = item->submission;
  struct arena *arena = accept->op.arena;
  struct who who;
  id64 first, conversation_owner;
  uint64_t key_h = 0;

  if (submission->key.len > 0) {
    first = business_key_find(round, submission->key, submission->now_ms, &key_h);
    if (first != 0) {
      item_duplicate(round, item, first, arena);
      return;
    }
  }
  item->result = ACCEPT_NO_CONVERSATION;
  if (submission->conversation != 0 && !conversation_find(round, submission->conversation, &conversation_owner))
    return;
  who_resolve(round, &submission->to, arena, submission->now_ms, false, &who);
  item->result = who.result;
  if (who.result != ACCEPTED)
    return;
  item->customer = who.customer.id;
  item->message = id_next(&round->store->ids);
  item->created_ms = submission->now_ms;
  item_decide(round, accept, item, &who, arena);
  message_insert(round, submission, item);
  if (submission->key.len > 0)
    business_key_put(round, key_h, submission->key, item->message, submission->now_ms);
  if (item->decision->first >= 0)
    item_begin(round, submission, item, &who.customer, arena);
  else
    item->state = (enum message_state)end_state_of(item->decision);
  item_tell(round, submission, item);
  who_tell_conflicts(round, &submission->to, &who, submission->now_ms);
  round_timeline(round, item->customer, submission->now_ms, item->message, TIMELINE_MESSAGE);
  round->delta.accepted++;
  round->delta.by_state[item->state]++;
}

void accept_own(struct round *round, decide_fn *by, struct accept_item *item, struct arena *arena)
{
  struct store_accept accept = {.op = {.arena = arena}, .decide = by, .n_items = 1, .items = item};

  item_accept(round, &accept, item);
}

static void one_accept(struct round *round, size_t i, void *arg)
{
  struct store_accept *accept = arg;
  struct accept_item *item = &accept->items[i];

  *item = (struct accept_item){.submission = item->submission};
  if (round->store->ways->lock_submission != NULL)
    round->store->ways->lock_submission(round->db, item->submission);
  item_accept(round, accept, item);
}

parley_status write_accept(struct round *round, struct store_op *op)
{
  struct store_accept *accept = container_of(op, struct store_accept, op);

  round_each(round, accept->n_items, one_accept, accept);
  return PARLEY_OK;
}

void accept_ended(struct store_accept *accept, bool committed)
{
  for (size_t i = 0; i < accept->n_items; i++) {
    struct accept_item *item = &accept->items[i];

    if (!committed) {
      item->claim = NULL;
    } else if (item->claim != NULL) {
      item->claim->submission = item->submission;
      item->submission = NULL;
    }
  }
}
