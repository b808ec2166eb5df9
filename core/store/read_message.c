/* read_message.c - messages with their deliveries, folded; one by id or business key, and lists. */
#include "read.h"
#include "core/base/text.h"
#include <string.h>

#define BUSINESS_KEY_TWINS_MAX 16
#define LIST_CHUNK 200 /* entries of a customer's timeline that are looked at together */

size_t read_limit(size_t asked)
{
  if (asked == 0)
    return 1;
  return asked < READ_LIMIT_MAX ? asked : READ_LIMIT_MAX;
}

/* --- one message -------------------------------------------------------------------------------------------------- */

#define NARROW_COLUMNS                                                                                                    \
  "dir, kind, customer, identity, conversation, api_key, created, at, expires, not_before, flags, end_state, topic, key," \
  " campaign, channel, channel_kind, provider_id, in_reply_to, reason"

static int message_fill(struct stmt *get, struct arena *arena, struct message_row *row, uint32_t *ret_flags)
{
  *ret_flags = (uint32_t)col_int(get, 10);
  row->inbound = col_int(get, 0) == DIR_IN;
  row->kind = (uint32_t)col_int(get, 1);
  row->customer = col_id(get, 2);
  row->identity = col_id(get, 3);
  row->conversation = col_id(get, 4);
  row->api_key = col_id(get, 5);
  row->created_ms = col_int(get, 6);
  row->at_ms = col_int(get, 7);
  row->expires_ms = col_int(get, 8);
  row->not_before_ms = col_int(get, 9);
  row->topic = col_text(get, 12, arena);
  row->key = col_text(get, 13, arena);
  row->campaign = col_text(get, 14, arena);
  row->channel = col_text(get, 15, arena);
  row->channel_kind = col_text(get, 16, arena);
  row->provider_id = col_text(get, 17, arena);
  row->in_reply_to = col_text(get, 18, arena);
  row->reason = col_text(get, 19, arena);
  row->test = (*ret_flags & MESSAGE_TEST) != 0;
  row->body_expired = (*ret_flags & MESSAGE_BODY_EXPIRED) != 0;
  row->flags =
      ((*ret_flags & MESSAGE_AUTOMATIC) ? PARLEY_AUTOMATIC : 0u) | ((*ret_flags & MESSAGE_ECHO) ? PARLEY_ECHO : 0u);
  row->foreign = (*ret_flags & MESSAGE_FOREIGN) != 0;
  row->partial = (*ret_flags & MESSAGE_PARTIAL) != 0;
  row->review = (*ret_flags & MESSAGE_REVIEW) != 0;
  row->keyword = (*ret_flags & MESSAGE_STOP)    ? KEYWORD_STOP
                 : (*ret_flags & MESSAGE_START) ? KEYWORD_START
                 : (*ret_flags & MESSAGE_HELP)  ? KEYWORD_HELP
                                                : KEYWORD_NONE;
  return (int)col_int(get, 11);
}

static parley_bytes body_apart(struct db *db, id64 message, struct arena *arena)
{
  struct stmt *get = db_sql(db, "SELECT bytes FROM body WHERE message=?");
  parley_bytes body = {"", 0};

  bind_id(get, 1, message);
  if (db_step(get))
    body = col_text(get, 0, arena);
  db_reset(get);
  return body;
}

struct deliveries { /* of one message */
  size_t n;
  struct delivery_row rows[PLAN_STEPS_MAX];
  struct delivery_facts facts[PLAN_STEPS_MAX];
  parley_text channel_kinds[PLAN_STEPS_MAX], degraded[PLAN_STEPS_MAX], reasons[PLAN_STEPS_MAX];
  int64_t attempt_started_ms[PLAN_STEPS_MAX];
};

static void delivery_fill(struct stmt *get, struct arena *arena, struct deliveries *all)
{
  enum { AT = DELIVERY_FACTS_COLUMNS };
  size_t at = all->n++;

  all->facts[at] = delivery_facts_of(get, 0);
  all->rows[at] = (struct delivery_row){.facts = all->facts[at],
                                        .id = col_id(get, AT),
                                        .identity = col_id(get, AT + 1),
                                        .channel = col_text(get, AT + 2, arena),
                                        .address_kind = col_text(get, AT + 3, arena),
                                        .address = col_text(get, AT + 4, arena),
                                        .provider_id = col_text(get, AT + 5, arena),
                                        .provider_ids = col_text(get, AT + 10, arena),
                                        .parts = parts_of(get, AT + 11),
                                        .part_code = col_text(get, AT + 15, arena)};
  all->degraded[at] = col_text(get, AT + 6, arena);
  all->reasons[at] = col_text(get, AT + 7, arena);
  all->rows[at].channel_kind = all->channel_kinds[at] = col_text(get, AT + 8, arena);
  all->attempt_started_ms[at] = col_int(get, AT + 9);
}

static void deliveries_get(struct db *db, id64 message, struct arena *arena, struct deliveries *ret)
{
  struct stmt *get = db_sql(db, "SELECT " DELIVERY_FACTS ", id, identity, channel, address_kind, address, provider_id, degraded,"
                                " reason, channel_kind, attempt_started, provider_ids, " PARTS_COLUMNS ", part_code"
                                " FROM delivery WHERE message=? ORDER BY step");

  ret->n = 0;
  bind_id(get, 1, message);
  while (ret->n < PLAN_STEPS_MAX && db_step(get))
    delivery_fill(get, arena, ret);
  db_reset(get);
}

static enum message_state state_of(enum delivery_state state)
{
  switch (state) {
  case DELIVERY_SENT: return MESSAGE_SENT;
  case DELIVERY_DELIVERED: return MESSAGE_DELIVERED;
  case DELIVERY_READ: return MESSAGE_READ;
  case DELIVERY_QUEUED:
  case DELIVERY_SENDING:
  case DELIVERY_UNKNOWN:
  case DELIVERY_FAILED:
  case DELIVERY_SKIPPED:
  case DELIVERY_EXPIRED:
  case DELIVERY_CANCELLED:
  case DELIVERY_PLANNED: break;
  }
  return MESSAGE_STATES;
}

/* The delivery that speaks for the message: the one it got its state from, else the newest. */
static size_t speaker_of(const struct deliveries *all, enum message_state state)
{
  for (size_t i = 0; i < all->n; i++) {
    if (state_of((enum delivery_state)all->facts[i].state) == state)
      return i;
  }
  return all->n - 1;
}

static void message_fold_rows(const struct deliveries *all, enum message_state end, struct arena *arena,
                              struct message_row *row)
{
  struct message_facts facts = {.n_deliveries = all->n, .deliveries = all->facts};
  size_t speaker;

  row->state = message_fold(&facts, end);
  row->degraded = PARLEY_LIT("[]");
  if (all->n == 0)
    return;
  speaker = speaker_of(all, row->state);
  row->channel = all->rows[speaker].channel;
  row->channel_kind = all->channel_kinds[speaker];
  row->provider_id = all->rows[speaker].provider_id;
  if (all->degraded[speaker].len > 0)
    row->degraded = all->degraded[speaker];
  if (row->state == MESSAGE_FAILED || row->state == MESSAGE_EXPIRED || row->state == MESSAGE_HELD ||
      row->state == MESSAGE_SUPPRESSED)
    row->reason = all->reasons[speaker];
  for (size_t i = 0; i < all->n; i++)
    row->possible_duplicate |= all->facts[i].maybe_twice;
  row->n_deliveries = all->n;
  row->deliveries = arena_alloc(arena, all->n * sizeof *row->deliveries);
  memcpy(row->deliveries, all->rows, all->n * sizeof *row->deliveries);
}

static void attempt_add(struct message_row *row, size_t room, const struct attempt_row *attempt)
{
  if (row->n_attempts < room)
    row->attempts[row->n_attempts++] = *attempt;
}

#define ATTEMPTS_SHOWN_MAX 200 /* of one message; the newest */

static bool attempts_were(struct db *db, const struct deliveries *all, id64 message)
{
  struct stmt *upto = db_sql(db, "SELECT upto FROM expired WHERE name='attempt'");
  bool were = false;

  for (size_t i = 0; i < all->n; i++)
    were |= all->facts[i].attempt > (all->facts[i].state == DELIVERY_SENDING);
  were = were && db_step(upto) && message <= col_id(upto, 0);
  db_reset(upto);
  return were;
}

/* Those that ended, and for a delivery that is being sent the one that is open. */
static void attempts_get(struct db *db, const struct deliveries *all, struct arena *arena, struct message_row *row)
{
  struct stmt *get =
      db_sql(db, "SELECT * FROM (SELECT step, token, id, number, started, ended, outcome, code, detail, provider_id"
                 " FROM attempt WHERE message=?1 ORDER BY step DESC, token DESC LIMIT ?2) AS newest ORDER BY step, token");
  const size_t room = ATTEMPTS_SHOWN_MAX + PLAN_STEPS_MAX;

  row->attempts = arena_alloc(arena, room * sizeof *row->attempts);
  bind_id(get, 1, row->id);
  bind_int(get, 2, ATTEMPTS_SHOWN_MAX);
  while (db_step(get))
    attempt_add(row, room, &(struct attempt_row){.step = (uint32_t)col_int(get, 0),
                                                 .id = col_id(get, 2),
                                                 .number = (uint32_t)col_int(get, 3),
                                                 .started_ms = col_int(get, 4),
                                                 .ended_ms = col_int(get, 5),
                                                 .outcome = (uint32_t)col_int(get, 6),
                                                 .code = col_text(get, 7, arena),
                                                 .detail = col_text(get, 8, arena),
                                                 .provider_id = col_text(get, 9, arena)});
  db_reset(get);
  row->attempts_expired = row->n_attempts == 0 && attempts_were(db, all, row->id);
  for (size_t i = 0; i < all->n; i++) {
    if (all->facts[i].state == DELIVERY_SENDING)
      attempt_add(row, room, &(struct attempt_row){.step = all->facts[i].step, .number = all->facts[i].attempt,
                                                   .started_ms = all->attempt_started_ms[i]});
  }
}

struct message_row *message_get(struct db *db, id64 id, enum message_detail detail, struct arena *arena)
{
  struct stmt *get = detail == MESSAGE_NARROW
                          ? db_sql(db, "SELECT " NARROW_COLUMNS " FROM message WHERE id=?")
                          : db_sql(db, "SELECT " NARROW_COLUMNS ", decision, body FROM message WHERE id=?");
  struct message_row *row;
  struct deliveries all;
  uint32_t flags;
  int end;

  bind_id(get, 1, id);
  if (!db_step(get))
    return NULL;
  row = arena_alloc(arena, sizeof *row);
  row->id = id;
  end = message_fill(get, arena, row, &flags);
  if (detail != MESSAGE_NARROW) {
    row->decision = col_text(get, 20, arena);
    row->body = col_text(get, 21, arena);
  }
  db_reset(get);
  if (detail != MESSAGE_NARROW && (flags & MESSAGE_BODY_APART))
    row->body = body_apart(db, id, arena);
  if (row->inbound) {
    row->state = MESSAGE_DELIVERED; /* to us */
    row->degraded = PARLEY_LIT("[]");
    return row;
  }
  deliveries_get(db, id, arena, &all);
  message_fold_rows(&all, end >= 0 ? (enum message_state)end : MESSAGE_QUEUED, arena, row);
  if (detail == MESSAGE_WHOLE)
    attempts_get(db, &all, arena, row);
  return row;
}

static id64 message_of_key(struct reader *reader, parley_text key)
{
  struct stmt *get = db_sql(reader->db, "SELECT key, message FROM business_key WHERE h=?");
  uint64_t h = hash64(&reader->store->hash_key, key);

  for (int i = 0; i < BUSINESS_KEY_TWINS_MAX; i++, h++) {
    id64 message;
    bool same;

    bind_id(get, 1, h);
    if (!db_step(get))
      break;
    same = text_eq(col_peek(get, 0), key);
    message = col_id(get, 1);
    db_reset(get);
    if (same)
      return message;
  }
  return 0;
}

parley_status read_message(struct reader *reader, struct store_op *op)
{
  struct store_message *ask = container_of(op, struct store_message, op);
  id64 id = ask->id;

  read_begin(reader);
  if (id == 0 && ask->key.len > 0)
    id = message_of_key(reader, ask->key);
  ask->row = id != 0 ? message_get(reader->db, id, MESSAGE_WHOLE, op->arena) : NULL;
  read_end(reader);
  return ask->row != NULL ? PARLEY_OK : PARLEY_NOT_FOUND;
}

/* --- lists -------------------------------------------------------------------------------------------------------- */

struct listing {
  struct reader *reader;
  struct store_messages *ask;
  size_t limit, scanned;
  id64 oldest;    /* not below this id: since_ms */
  id64 identity;  /* of `to`; 0: none */
};

static bool row_has_channel(const struct message_row *row, parley_text channel)
{
  for (size_t i = 0; i < row->n_deliveries; i++) {
    if (text_eq(row->deliveries[i].channel, channel))
      return true;
  }
  return text_eq(row->channel, channel);
}

static bool row_is_to(const struct listing *list, const struct message_row *row)
{
  const struct identity *to = &list->ask->to;

  for (size_t i = 0; i < row->n_deliveries; i++) {
    const struct delivery_row *delivery = &row->deliveries[i];

    if (delivery->identity != 0 ? delivery->identity == list->identity
                                : text_eq(delivery->address_kind, to->kind) && text_eq(delivery->address, to->value))
      return true;
  }
  return row->identity == list->identity;
}

static bool row_passes(const struct listing *list, const struct message_row *row)
{
  const struct store_messages *ask = list->ask;

  return row != NULL && row->id >= list->oldest &&
         (ask->state < 0 || (!row->inbound && (int)row->state == ask->state)) &&
         (ask->inbound < 0 || row->inbound == (ask->inbound != 0)) &&
         (ask->topic.len == 0 || text_eq(row->topic, ask->topic)) &&
         (ask->channel.len == 0 || row_has_channel(row, ask->channel)) &&
         (ask->to.kind.len == 0 || row_is_to(list, row));
}

static bool list_filters(const struct store_messages *ask)
{
  return ask->state >= 0 || ask->inbound >= 0 || ask->topic.len > 0 || ask->channel.len > 0 || ask->to.kind.len > 0 ||
         ask->since_ms > 0;
}

/* What does not pass leaves nothing behind in the op's arena. */
static bool id_passes(const struct listing *list, id64 id)
{
  struct arena *scratch;
  bool passes;

  if (!list_filters(list->ask))
    return true;
  scratch = arena_new();
  passes = row_passes(list, message_get(list->reader->db, id, MESSAGE_NARROW, scratch));
  arena_free(&scratch);
  return passes;
}

/* Looks at one message. false: enough; then ask->more is set, since others wait. */
static bool list_look(struct listing *list, id64 id)
{
  struct store_messages *ask = list->ask;
  struct message_row *row;

  if (ask->n == list->limit || list->scanned == READ_SCAN_MAX) {
    ask->more = true;
    return false;
  }
  list->scanned++;
  ask->last = id;
  row = id_passes(list, id) ? message_get(list->reader->db, id, MESSAGE_SHOWN, ask->op.arena) : NULL;
  if (row != NULL)
    ask->rows[ask->n++] = *row;
  return true;
}

/* Of held messages there is an index; the others are walked by id, newest first, without touching what the filter on
 * the row itself leaves out. */
static void list_all(struct listing *list)
{
  const struct store_messages *ask = list->ask;
  struct db *db = list->reader->db;
  bool held = ask->state == MESSAGE_HELD;
  struct stmt *next = held ? db_sql(db, "SELECT DISTINCT message FROM delivery INDEXED BY delivery_held WHERE held=1 "
                                         "AND message<?1 AND message>=?2"
                                         " ORDER BY message DESC")
                            : db_sql(db, "SELECT id, dir, topic FROM message WHERE id<?1 AND id>=?2 ORDER BY id DESC");
  bool go = true;

  bind_id(next, 1, ask->before != 0 ? ask->before : INT64_MAX);
  bind_id(next, 2, list->oldest);
  while (go && db_step(next)) {
    bool skip = !held && ((ask->inbound >= 0 && col_int(next, 1) != ask->inbound) ||
                          (ask->topic.len > 0 && !text_eq(col_peek(next, 2), ask->topic)));

    if (!skip) {
      go = list_look(list, col_id(next, 0));
    } else if (list->scanned == READ_SCAN_MAX) {
      list->ask->more = true;
      go = false;
    } else {
      list->scanned++;
      list->ask->last = col_id(next, 0);
    }
  }
  db_reset(next);
}

/* One customer's: along the timeline, whose order is that of time, then id. */
static void list_of_customer(struct listing *list, const struct customer_set *customers,
                             const struct timeline_tails *tails)
{
  struct store_messages *ask = list->ask;
  struct db *db = list->reader->db;
  struct timeline_ask page = {.customers = customers, .from_ms = ask->since_ms, .limit = LIST_CHUNK,
                              .recent = list->reader->store->ways->timeline_recent};
  struct timeline_entry *entries;
  bool more = true, go = true;
  size_t n;

  if (ask->before != 0) {
    struct stmt *at = db_sql(db, "SELECT at FROM message WHERE id=?");

    bind_id(at, 1, ask->before);
    page.after = (struct timeline_cursor){db_step(at) ? col_int(at, 0) : id_time_ms(ask->before), ask->before};
    db_reset(at);
  }
  while (more && go) {
    n = timeline_entries(db, &page, tails, ask->op.arena, &entries, &more);
    for (size_t i = 0; i < n && go; i++)
      go = entries[i].kind != TIMELINE_MESSAGE || list_look(list, entries[i].seq);
    if (n > 0)
      page.after = (struct timeline_cursor){entries[n - 1].at_ms, entries[n - 1].seq};
  }
}

static id64 identity_id(struct reader *reader, const struct identity *identity, struct arena *arena)
{
  struct identity_row row;

  return identity_find(reader->db, &reader->store->hash_key, identity, arena, &row) ? row.id : 0;
}

parley_status read_messages(struct reader *reader, struct store_op *op)
{
  struct store_messages *ask = container_of(op, struct store_messages, op);
  struct listing list = {.reader = reader, .ask = ask, .limit = read_limit(ask->limit)};
  struct customer_set customers = {0};
  struct timeline_tails tails;
  id64 customer = ask->customer;

  ask->rows = arena_alloc(op->arena, list.limit * sizeof *ask->rows);
  list.oldest = id_at(ask->since_ms);
  if (ask->to.kind.len > 0) {
    list.identity = identity_id(reader, &ask->to, op->arena);
    if (customer == 0)
      customer = customer_owner(reader, &ask->to, op->arena);
    if (customer == 0)
      return PARLEY_OK;
  }
  if (customer == 0) {
    read_begin(reader);
    list_all(&list);
    read_end(reader);
    return PARLEY_OK;
  }
  if (!customer_set_get(reader->db, customer, op->arena, &customers))
    return PARLEY_OK;
  tails = timeline_tails_take(reader, &customers, op->arena);
  read_begin(reader);
  list_of_customer(&list, &customers, &tails);
  read_end(reader);
  return PARLEY_OK;
}
