/* write_receipt.c - what providers report: by message id, or by a provider id that an attempt brought back. A report
 * that is earlier than the answer to the attempt is parked for a day, and joined when the attempt settles. */
#include "core/base/text.h"
#include "write.h"

#define TWINS_MAX 16
#define PARKED_MAX 100000 /* of one channel: beyond, its provider has to come again */

static uint64_t ref_hash(struct round *round, parley_text channel, parley_text id)
{
  buf_clear(&round->scratch);
  buf_text(&round->scratch, channel);
  buf_char(&round->scratch, '\0');
  buf_text(&round->scratch, id);
  return hash64(&round->store->hash_key, buf_as_text(&round->scratch));
}

/* The place of an id: *ret_there says whether it is known. The statement stands on its row then. */
static struct stmt *ref_seek(struct round *round, parley_text channel, parley_text id, uint64_t *ret_h)
{
  struct stmt *get = db_sql(round->db, "SELECT channel, provider_id, message, step, part FROM provider_ref WHERE h=?");

  *ret_h = ref_hash(round, channel, id);
  for (int i = 0; i < TWINS_MAX; i++, (*ret_h)++) {
    bind_id(get, 1, *ret_h);
    if (!db_step(get))
      return NULL;
    if (text_eq(col_peek(get, 0), channel) && text_eq(col_peek(get, 1), id))
      return get;
    db_reset(get);
  }
  return NULL;
}

/* "msg_...", or the left side of a mail's Message-ID. */
static bool own_parse(parley_text id, id64 *ret)
{
  return id_parse("msg", text_cut(&id, '@'), ret);
}

bool provider_ref_is_ours(parley_text id)
{
  id64 named;

  return own_parse(id, &named);
}

/* Many channels hand our own id on: it needs no row, since it names its message and the channel its step. */
static bool own_find(struct round *round, parley_text channel, parley_text id, id64 *ret_message, uint32_t *ret_step)
{
  struct stmt *get = db_sql(round->db, "SELECT step FROM delivery WHERE message=? AND channel=? ORDER BY step DESC LIMIT 1");
  id64 message;

  if (!own_parse(id, &message))
    return false;
  bind_id(get, 1, message);
  bind_text(get, 2, channel);
  if (!db_step(get))
    return false;
  *ret_message = message;
  *ret_step = (uint32_t)col_int(get, 0);
  db_reset(get);
  return true;
}

static bool is_own(parley_text id, id64 message)
{
  id64 named;

  return own_parse(id, &named) && named == message;
}

bool provider_ref_find(struct round *round, parley_text channel, parley_text id, id64 *ret_message, uint32_t *ret_step,
                       int *ret_part)
{
  uint64_t h;
  struct stmt *row = ref_seek(round, channel, id, &h);

  *ret_part = -1;
  if (row == NULL)
    return own_find(round, channel, id, ret_message, ret_step);
  *ret_message = col_id(row, 2);
  *ret_step = (uint32_t)col_int(row, 3);
  *ret_part = (int)col_int(row, 4);
  db_reset(row);
  return true;
}

void provider_ref_put(struct round *round, parley_text channel, parley_text id, id64 message, uint32_t step, int part)
{
  struct stmt *put =
      db_sql(round->db, "INSERT INTO provider_ref(h, channel, provider_id, message, step, part)"
                        " VALUES(?, ?, ?, ?, ?, ?) ON CONFLICT(h) DO UPDATE SET channel=excluded.channel,"
                        " provider_id=excluded.provider_id, message=excluded.message, step=excluded.step,"
                        " part=excluded.part");
  uint64_t h;

  if (part < 0 && is_own(id, message))
    return;
  db_reset(ref_seek(round, channel, id, &h));
  bind_id(put, 1, h);
  bind_text(put, 2, channel);
  bind_text(put, 3, id);
  bind_id(put, 4, message);
  bind_int(put, 5, step);
  bind_int(put, 6, part);
  db_run(put);
}

/* --- applying one
 * ------------------------------------------------------------------------------------------------------------------ */

static uint32_t fact_of(uint32_t kind)
{
  switch (kind) {
  case PARLEY_RECEIPT_SENT:
    return FACT_SENT;
  case PARLEY_RECEIPT_DELIVERED:
    return FACT_DELIVERED;
  case PARLEY_RECEIPT_READ:
    return FACT_READ;
  case PARLEY_RECEIPT_FAILED:
    return FACT_FAILED;
  }
  return 0;
}

static void receipt_event(struct round *round, const struct life *life, size_t at, const char *type,
                          const struct receipt *receipt)
{
  struct buf *data = &round->scratch;

  buf_clear(data);
  buf_str(data, "{\"channel\":");
  buf_json_text(data, life->rows[at].channel);
  if (receipt->link.len > 0) {
    buf_json_key(data, "link");
    buf_json_text(data, receipt->link);
  }
  if (receipt->agent.len > 0) {
    buf_json_key(data, "agent");
    buf_json_text(data, receipt->agent);
  }
  if (receipt->machine)
    buf_str(data, ",\"machine\":true");
  buf_char(data, '}');
  round_event(round, type, receipt->at_ms, life->customer, life->rows[at].identity, life->conversation, life->id,
              buf_as_text(data));
}

static void proof_member(struct buf *proof, const char *key, parley_text value)
{
  if (value.len == 0)
    return;
  buf_json_key(proof, key);
  buf_json_text(proof, value);
}

/* {"message":"msg_...","channel":"mail","code":"..","detail":".."}: what the provider said of which message. */
static parley_text proof_of(const struct life *life, size_t at, const struct receipt *receipt)
{
  struct buf proof = BUF_INIT(0);
  parley_text text;

  buf_str(&proof, "{\"message\":");
  buf_json_id(&proof, "msg", life->id);
  proof_member(&proof, "channel", life->rows[at].channel);
  proof_member(&proof, "code", receipt->code);
  proof_member(&proof, "detail", receipt->detail);
  buf_char(&proof, '}');
  text = arena_text(life->arena, buf_as_text(&proof));
  buf_done(&proof);
  return text;
}

/* Once: providers repeat what they report. */
static void consent_withdraw(struct round *round, const struct life *life, size_t at, const char *source,
                             struct receipt *receipt)
{
  struct store_consent consent = {.customer = life->customer, .now_ms = receipt->at_ms, .once = true};

  consent.op.arena = life->arena;
  consent.entry = (struct consent){.topic = life->topic,
                                   .channel_kind = life->rows[at].channel_kind,
                                   .at_ms = receipt->at_ms,
                                   .source = parley_text_of(source),
                                   .proof = proof_of(life, at, receipt)};
  write_consent(round, &consent.op);
  receipt->n_whose = consent.n_whose;
  receipt->whose = consent.whose;
}

/* By which way: a mail to the List-Unsubscribe address is said to be one, in code or detail; else the provider has done it for them. */
static const char *unsubscribed_by(const struct receipt *receipt)
{
  return parley_text_is(receipt->code, "mailto") || parley_text_is(receipt->detail, "mailto") ? "mailto" : "provider";
}

static void address_suppress(struct round *round, const struct life *life, size_t at, const char *reason,
                             const struct receipt *receipt)
{
  struct identity identity = {.kind = life->rows[at].address_kind, .value = life->rows[at].address};
  struct bounced from = {receipt->at_ms, life->customer, life->id, receipt->code, receipt->detail, TEXT_EMPTY};

  if (identity.value.len > 0)
    suppression_add(round, &identity, reason, &from);
}

/* What a receipt says of the address: nobody is there, nobody is there for now, or something has arrived. */
static void address_note(struct round *round, const struct life *life, size_t at, const struct receipt *receipt)
{
  struct identity identity = {.kind = life->rows[at].address_kind, .value = life->rows[at].address};
  struct bounced from = {receipt->at_ms, life->customer, life->id, receipt->code, receipt->detail, TEXT_EMPTY};

  if (identity.value.len == 0)
    return;
  if (receipt->kind == PARLEY_RECEIPT_DELIVERED || receipt->kind == PARLEY_RECEIPT_READ)
    bounce_over(round, &identity);
  else if (receipt->kind == PARLEY_RECEIPT_FAILED && receipt->outcome == PARLEY_OUTCOME_BAD_ADDRESS)
    suppression_add(round, &identity, "hard_bounce", &from);
  else if (receipt->kind == PARLEY_RECEIPT_FAILED && receipt->outcome == PARLEY_OUTCOME_RETRY)
    bounce_soft(round, &identity, &from);
}

/* What says nothing about the delivery itself. */
static bool receipt_note(struct round *round, const struct life *life, size_t at, struct receipt *receipt)
{
  switch (receipt->kind) {
  case PARLEY_RECEIPT_OPENED:
    receipt_event(round, life, at, "message.opened", receipt);
    break;
  case PARLEY_RECEIPT_CLICKED:
    receipt_event(round, life, at, "message.clicked", receipt);
    break;
  case PARLEY_RECEIPT_UNSUBSCRIBED:
    consent_withdraw(round, life, at, unsubscribed_by(receipt), receipt);
    break;
  case PARLEY_RECEIPT_COMPLAINED:
    consent_withdraw(round, life, at, "complaint", receipt);
    address_suppress(round, life, at, "complaint", receipt);
    break;
  }
  return true;
}

/* "partial 2/3: what the provider said": two of three parts have arrived, and nothing more is awaited. */
static parley_text partial_detail(const struct parts *parts, parley_text detail, struct arena *arena)
{
  struct buf said = BUF_INIT(0);
  parley_text kept;

  buf_printf(&said, "partial %u/%u", parts_delivered(parts), parts->n);
  if (detail.len > 0) {
    buf_str(&said, ": ");
    buf_text(&said, detail);
  }
  kept = arena_text(arena, buf_as_text(&said));
  buf_done(&said);
  return kept;
}

/* What one part's receipt makes of all of them. False: it says nothing new. *ret_fact 0: the others are awaited. What it says of
 * the address counts at once, but a failure beside a part that arrived doesn't. */
static bool part_learn(struct round *round, struct life *life, size_t at, int part, struct receipt *receipt, uint32_t *ret_fact)
{
  struct life_row *row = &life->rows[at];
  bool failed = receipt->kind == PARLEY_RECEIPT_FAILED;

  if (!parts_learn(&row->parts, part, receipt->kind))
    return false;
  if (failed)
    row->part_code = receipt->code;
  life_write_parts(round, life, at);
  *ret_fact = parts_fact(&row->parts);
  if (!failed || (parts_delivered(&row->parts) == 0 && (*ret_fact != 0 || receipt->outcome == PARLEY_OUTCOME_BAD_ADDRESS)))
    address_note(round, life, at, receipt);
  if (*ret_fact == FACT_FAILED && parts_delivered(&row->parts) > 0) {
    receipt->detail = partial_detail(&row->parts, failed ? receipt->detail : TEXT_EMPTY, life->arena);
    receipt->code = row->part_code;
  }
  return true;
}

bool receipt_apply(struct round *round, struct life *life, size_t row, int part, struct receipt *receipt,
                   struct claim **next)
{
  struct happened happened = {.what = HAPPEN_RECEIPT, .delivery = row, .fact = fact_of(receipt->kind)};
  bool of_part = part >= 0 && life->rows[row].parts.n >= 2, news = false;
  struct advanced adv;

  if (happened.fact == 0)
    return receipt_note(round, life, row, receipt);
  if (of_part)
    news = part_learn(round, life, row, part, receipt, &happened.fact);
  if (of_part && (!news || happened.fact == 0))
    return news;
  if (!of_part && parts_learn(&life->rows[row].parts, -1, receipt->kind)) /* it names none of them: all are meant */
    life_write_parts(round, life, row);
  life->code = receipt->code;
  life->detail = receipt->detail;
  adv = life_advance(round, life, &happened, next);
  if (!adv.ignored && !of_part)
    address_note(round, life, row, receipt);
  life_write(round, life);
  return news || !adv.ignored;
}

/* --- parking
 * -----------------------------------------------------------------------------------------------------------------------
 */

/* Counted by channel: what names nothing of ours takes no place from another channel's. */
static uint64_t parked_of(const struct store_base *store, parley_text channel)
{
  return (uint64_t)(uintptr_t)map_get(&store->parked, hash64(&store->hash_key, channel));
}

static void parked_add(struct store_base *store, parley_text channel, int64_t n)
{
  uint64_t key = hash64(&store->hash_key, channel);
  int64_t now = (int64_t)(uintptr_t)map_get(&store->parked, key) + n;

  if (now > 0)
    map_put(&store->parked, key, (void *)(uintptr_t)now);
  else
    map_take(&store->parked, key);
}

void park_counts_read(struct store_base *store, struct db *db)
{
  struct stmt *list = db_sql(db, "SELECT channel, count(*) FROM park GROUP BY channel");

  map_done(&store->parked);
  while (db_step(list))
    parked_add(store, col_peek(list, 0), col_int(list, 1));
  db_reset(list);
}

#define PARK_OLDEST " FROM park WHERE id<?1 ORDER BY id LIMIT ?2"

void park_expire(struct round *round, int64_t before_ms, int64_t limit)
{
  struct stmt *list = db_sql(round->db, "SELECT channel, count(*) FROM (SELECT channel" PARK_OLDEST ") AS old GROUP BY channel");
  struct stmt *drop = db_sql(round->db, "DELETE FROM park WHERE id IN (SELECT id" PARK_OLDEST ")");
  bool any = false;

  if (round->store->parked.count == 0)
    return;
  bind_id(list, 1, id_at(before_ms));
  bind_int(list, 2, limit);
  while (db_step(list)) {
    parked_add(round->store, col_peek(list, 0), -col_int(list, 1));
    any = true;
  }
  db_reset(list);
  if (!any)
    return;
  bind_id(drop, 1, id_at(before_ms));
  bind_int(drop, 2, limit);
  db_run(drop);
}

static void park_put(struct round *round, const struct store_receipt *receipt)
{
  struct stmt *put =
      db_sql(round->db, "INSERT INTO park(id, h, channel, provider_id, receipt, outcome, at, code, detail, parked)"
                        " VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");

  bind_id(put, 1, id_next(&round->store->ids));
  bind_id(put, 2, ref_hash(round, receipt->channel, receipt->provider_id));
  bind_text(put, 3, receipt->channel);
  bind_text(put, 4, receipt->provider_id);
  bind_int(put, 5, receipt->receipt);
  bind_int(put, 6, receipt->outcome);
  bind_int(put, 7, receipt->at_ms);
  bind_text(put, 8, receipt->code);
  bind_text(put, 9, receipt->detail);
  bind_int(put, 10, round->now_ms);
  db_run(put);
  parked_add(round->store, receipt->channel, 1);
}

/* The oldest parked receipt of this id, taken out. */
static bool park_take(struct round *round, const struct life_row *row, parley_text id, struct arena *arena,
                      struct receipt *ret)
{
  struct stmt *get =
      db_sql(round->db, "SELECT id, receipt, outcome, at, code, detail FROM park WHERE h=? AND channel=? AND"
                        " provider_id=? ORDER BY id LIMIT 1");
  struct stmt *drop = db_sql(round->db, "DELETE FROM park WHERE id=?");
  id64 parked;

  bind_id(get, 1, ref_hash(round, row->channel, id));
  bind_text(get, 2, row->channel);
  bind_text(get, 3, id);
  if (!db_step(get))
    return false;
  parked = col_id(get, 0);
  *ret = (struct receipt){.kind = (uint32_t)col_int(get, 1),
                          .outcome = (uint32_t)col_int(get, 2),
                          .at_ms = col_int(get, 3),
                          .code = col_text(get, 4, arena),
                          .detail = col_text(get, 5, arena)};
  db_reset(get);
  bind_id(drop, 1, parked);
  db_run(drop);
  parked_add(round->store, row->channel, -1);
  return true;
}

static bool channel_reports(const struct life *life, size_t row)
{
  const struct policy_channel *channel =
      life->policy == NULL ? NULL : policy_find_channel(life->policy, life->rows[row].channel);

  return channel == NULL || channel->receipts != 0 || (channel->flags & PARLEY_INBOUND) != 0;
}

void receipts_join(struct round *round, struct life *life, size_t row, const parley_text *ids, size_t n_ids,
                   struct claim **next)
{
  struct receipt receipt;

  if (!channel_reports(life, row))
    return;
  for (size_t i = 0; i < n_ids; i++)
    if (ids[i].len > 0)
      provider_ref_put(round, life->rows[row].channel, ids[i], life->id, life->facts[row].step,
                       n_ids > 1 ? (int)i : -1);
  if (parked_of(round->store, life->rows[row].channel) == 0)
    return;
  for (size_t i = 0; i < n_ids; i++)
    while (ids[i].len > 0 && park_take(round, &life->rows[row], ids[i], life->arena, &receipt))
      receipt_apply(round, life, row, n_ids > 1 ? (int)i : -1, &receipt, *next == NULL ? next : NULL);
}

/* A report may be about several addresses, and ours is one of them. */
static bool is_about(const struct store_receipt *receipt, const struct life_row *row)
{
  if (receipt->to.len == 0)
    return true;
  return parley_text_is(row->address_kind, "email") ? text_eq_nocase(receipt->to, row->address) : text_eq(receipt->to, row->address);
}

/* Of several channels that send mail, one takes in what comes back to all of them. */
static int row_of_kind(const struct life *life, parley_text channel)
{
  const struct policy_channel *heard = life->policy == NULL ? NULL : policy_find_channel(life->policy, channel);

  for (size_t i = life->message.n_deliveries; heard != NULL && i > 0; i--)
    if (text_eq(life->rows[i - 1].channel_kind, heard->channel_kind))
      return (int)i - 1;
  return -1;
}

parley_status write_receipt(struct round *round, struct store_op *op)
{
  struct store_receipt *receipt = container_of(op, struct store_receipt, op);
  struct receipt what = {.kind = receipt->receipt,
                         .outcome = receipt->outcome,
                         .at_ms = receipt->at_ms != 0 ? receipt->at_ms : round->now_ms,
                         .code = receipt->code,
                         .detail = receipt->detail,
                         .link = receipt->link,
                         .agent = receipt->agent,
                         .machine = receipt->machine};
  struct life loaded, *life = &loaded;
  id64 message = receipt->message;
  uint32_t step = 0;
  int part = -1, row;
  bool by_id = receipt->provider_id.len > 0 &&
               provider_ref_find(round, receipt->channel, receipt->provider_id, &message, &step, &part);

  if (!by_id && receipt->message == 0 && receipt->provider_id.len == 0)
    return PARLEY_REJECTED; /* it names nothing, or by a token that we never made: what could it be joined with later? */
  if (!by_id && receipt->message == 0) {
    if (parked_of(round->store, receipt->channel) >= PARKED_MAX)
      return PARLEY_RETRY;
    park_put(round, receipt);
    receipt->parked = true;
    return PARLEY_OK;
  }
  if (!life_load(round, message, receipt->policy, round->now_ms, op->arena, life))
    return PARLEY_NOT_FOUND;
  row = by_id ? life_row_of(life, step) : life_row_of_channel(life, receipt->channel);
  if (row < 0 && !by_id && receipt->proven)
    row = row_of_kind(life, receipt->channel);
  if (row < 0)
    return PARLEY_NOT_FOUND;
  receipt->repeated = true;
  if (!is_about(receipt, &life->rows[row]))
    return PARLEY_OK;
  receipt->repeated = !receipt_apply(round, life, (size_t)row, part, &what, &receipt->next);
  receipt->n_whose = what.n_whose;
  receipt->whose = what.whose;
  if (receipt->next == NULL)
    receipt->next = life_claim_next_ordered(round, life, (size_t)row);
  return PARLEY_OK;
}
