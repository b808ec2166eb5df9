/* write_consent.c - the consent ledger and the suppressions: rows are appended, never rewritten (a lifted suppression keeps
 * its row and says when). And what both say of a delivery that was let pass before. */
#include "write.h"
#include "core/base/text.h"

/* A fixed endpoint's address only tells it who is meant: nothing is sent there. */
static const char *address_stops(struct round *round, const struct life *life, const struct life_row *row)
{
  const struct policy_channel *channel = life->policy == NULL ? NULL : policy_find_channel(life->policy, row->channel);
  struct identity identity = {.kind = row->address_kind, .value = row->address, .raw = row->address};
  struct silent silent;

  if (round->store->n_suppressions == 0 || row->address.len == 0 || channel == NULL ||
      parley_text_is(channel->address_kind, "none"))
    return NULL;
  silent = address_silent(round->db, &round->store->hash_key, &identity, row->channel_kind, life->arena);
  if (silent.suppressed)
    return "address_suppressed";
  return silent.opted_out && (life->flags & MESSAGE_ANSWERS_KEYWORD) == 0 ? "opted_out" : NULL;
}

const char *consent_stops(struct round *round, struct life *life, size_t at)
{
  const struct life_row *row = &life->rows[at];
  const char *stops = address_stops(round, life, row);

  if (stops != NULL || life->class == CLASS_CRITICAL || (life->flags & MESSAGE_ANSWERS_KEYWORD) != 0)
    return stops;
  if (!life->consents_read)
    life->n_consents = consents_find(round->db, life_who(round, life), life->topic, life->arena, &life->consents);
  life->consents_read = true;
  return consent_check(life->class, life->topic, row->channel_kind, life->consents, life->n_consents) == CONSENT_PASS ? NULL
                                                                                                                 : "no_consent";
}

/* The newest entry that counts for this very topic and kind says so already. */
static bool consent_is_said(struct round *round, const struct customer_brief *customer, const struct consent *entry,
                            struct arena *arena)
{
  struct consent *consents;
  size_t n = consents_find(round->db, customer, entry->topic, arena, &consents);
  enum consent_verdict verdict = consent_check(CLASS_MARKETING, entry->topic, entry->channel_kind, consents, n);

  return verdict == (entry->granted ? CONSENT_PASS : CONSENT_WITHDRAWN);
}

static bool consent_is_answered(struct round *round, const struct customer_brief *customer, const struct store_consent *consent)
{
  struct stmt *get = db_sql(round->db, "SELECT 1 FROM consent WHERE customer=? AND topic=? AND channel_kind IN (?, '*')"
                                       " AND seq>? LIMIT 1");
  bool answered = false;
  id64 *aliases;
  size_t n = customer_aliases(round->db, customer, consent->op.arena, &aliases);

  for (size_t i = 0; i < n && !answered; i++) {
    bind_id(get, 1, aliases[i]);
    bind_text(get, 2, consent->entry.topic);
    bind_text(get, 3, consent->entry.channel_kind);
    bind_id(get, 4, consent->asked);
    answered = db_step(get);
    db_reset(get);
  }
  return answered;
}

parley_status write_consent(struct round *round, struct store_op *op)
{
  struct store_consent *consent = container_of(op, struct store_consent, op);
  const struct consent *entry = &consent->entry;
  struct stmt *put = db_sql(round->db, "INSERT INTO consent(seq, customer, topic, channel_kind, granted, at, source, proof)"
                                        " VALUES(?, ?, ?, ?, ?, ?, ?, ?)");
  struct customer_brief customer;
  struct buf *data = &round->scratch;
  int64_t at_ms = entry->at_ms != 0 ? entry->at_ms : consent->now_ms;
  uint64_t seq;

  round_lock_customer(round, consent->customer);
  if (!customer_find(round->db, consent->customer, op->arena, &customer))
    return PARLEY_NOT_FOUND;
  consent->repeated = consent->once && consent_is_said(round, &customer, entry, op->arena);
  consent->answered = consent->asked != 0 && consent_is_answered(round, &customer, consent);
  if (consent->repeated || consent->answered)
    return PARLEY_OK;
  buf_clear(data);
  buf_str(data, "{\"topic\":");
  buf_json_text(data, entry->topic);
  buf_str(data, ",\"channel_kind\":");
  buf_json_text(data, entry->channel_kind);
  buf_str(data, ",\"source\":");
  buf_json_text(data, entry->source);
  buf_char(data, '}');
  seq = round_event(round, entry->granted ? "consent.granted" : "consent.withdrawn", at_ms, customer.id, 0, 0, 0,
                    buf_as_text(data));
  bind_id(put, 1, seq);
  bind_id(put, 2, customer.id);
  bind_text(put, 3, entry->topic);
  bind_text(put, 4, entry->channel_kind);
  bind_int(put, 5, entry->granted);
  bind_int(put, 6, at_ms);
  bind_text(put, 7, entry->source);
  bind_text(put, 8, entry->proof);
  db_run(put);
  customer_flag(round, customer.id, CUSTOMER_HAS_CONSENT);
  if (!entry->granted)
    consent->n_whose = customer_aliases(round->db, &customer, op->arena, &consent->whose);
  return PARLEY_OK;
}

static void suppression_tell(struct round *round, const char *type, const struct identity *identity, const char *reason,
                             const struct bounced *from)
{
  struct buf *data = &round->scratch;

  buf_clear(data);
  buf_str(data, "{\"kind\":");
  buf_json_text(data, identity->kind);
  if (reason != NULL) {
    buf_str(data, ",\"reason\":");
    buf_json_str(data, reason);
  }
  if (from->code.len > 0) {
    buf_str(data, ",\"code\":");
    buf_json_text(data, from->code);
  }
  if (from->channel_kind.len > 0) {
    buf_str(data, ",\"channel_kind\":");
    buf_json_text(data, from->channel_kind);
  }
  buf_char(data, '}');
  round_event(round, type, from->at_ms, from->customer, 0, 0, from->message, buf_as_text(data));
}

static id64 owner_of(struct round *round, const struct identity *identity, struct arena *arena)
{
  struct identity_row row;

  return identity_find(round->db, &round->store->hash_key, identity, arena, &row) ? row.customer : 0;
}

static id64 suppression_insert(struct round *round, const struct identity *identity, parley_text reason,
                               const struct bounced *from)
{
  struct stmt *put = db_sql(round->db, "INSERT INTO suppression(id, h, kind, value, reason, at, removed, message, code, detail,"
                                        " channel_kind) VALUES(?, ?, ?, ?, ?, ?, 0, ?, ?, ?, ?)");
  id64 id = id_next(&round->store->ids);

  bind_id(put, 1, id);
  bind_id(put, 2, identity_hash(&round->store->hash_key, identity->kind, identity->value));
  bind_text(put, 3, identity->kind);
  bind_text(put, 4, identity->value);
  bind_text(put, 5, reason);
  bind_int(put, 6, from->at_ms);
  bind_id(put, 7, from->message);
  bind_text(put, 8, from->code.len > 0 ? from->code : TEXT_EMPTY);
  bind_text(put, 9, from->detail.len > 0 ? from->detail : TEXT_EMPTY);
  bind_text(put, 10, from->channel_kind.len > 0 ? from->channel_kind : TEXT_EMPTY);
  db_run(put);
  round->store->n_suppressions++;
  return id;
}

void suppression_add(struct round *round, const struct identity *identity, const char *reason, const struct bounced *from)
{
  if (suppression_find(round->db, &round->store->hash_key, identity->kind, identity->value))
    return;
  suppression_insert(round, identity, parley_text_of(reason), from);
  suppression_tell(round, "customer.suppressed", identity, reason, from);
}

/* --- STOP and START: of one address on one kind of channel ------------------------------------------------------------------ */

static void suppression_lift(struct round *round, parley_text kind, parley_text value, const struct bounced *from)
{
  struct stmt *lift = db_sql(round->db, "UPDATE suppression SET removed=?1 WHERE h=?2 AND removed=0 AND kind=?3 AND"
                                         " lower(value)=lower(?4) AND channel_kind=?5");

  bind_int(lift, 1, from->at_ms);
  bind_id(lift, 2, identity_hash(&round->store->hash_key, kind, value));
  bind_text(lift, 3, kind);
  bind_text(lift, 4, value);
  bind_text(lift, 5, from->channel_kind.len > 0 ? from->channel_kind : TEXT_EMPTY);
  db_run(lift);
}

static bool is_opted_out(struct round *round, const struct identity *identity, parley_text channel_kind, struct arena *arena)
{
  return address_silent(round->db, &round->store->hash_key, identity, channel_kind, arena).opted_out;
}

bool opt_out_add(struct round *round, const struct identity *identity, const struct bounced *from, struct arena *arena)
{
  if (is_opted_out(round, identity, from->channel_kind, arena))
    return false;
  suppression_insert(round, identity, PARLEY_LIT("opted_out"), from);
  suppression_tell(round, "customer.suppressed", identity, "opted_out", from);
  return true;
}

/* However the number is written: it was one telephone that said so. */
bool opt_out_lift(struct round *round, const struct identity *identity, const struct bounced *from, struct arena *arena)
{
  parley_text variants[IDENTITY_VARIANTS_MAX];
  size_t n;

  if (!is_opted_out(round, identity, from->channel_kind, arena))
    return false;
  n = identity_variants(identity, arena, variants);
  suppression_lift(round, identity->kind, identity->value, from);
  for (size_t i = 1; i < n; i++)
    suppression_lift(round, identity->kind, variants[i], from);
  suppression_tell(round, "customer.unsuppressed", identity, NULL, from);
  return true;
}

/* --- soft bounces: counted by the address's hash alone, so that the count says nobody's address ---------------------------- */

static uint64_t bounce_place(struct round *round, const struct identity *identity)
{
  return identity_hash(&round->store->hash_key, identity->kind, identity->value);
}

/* An earlier message that was taken after the last bounce and did not come back is the success that ends the row. */
void bounce_soft(struct round *round, const struct identity *identity, const struct bounced *from)
{
  struct stmt *put = db_sql(round->db, "INSERT INTO bounce(h, n, message, sent, at) VALUES(?, 1, ?, 0, ?) ON CONFLICT(h) DO UPDATE SET"
                                        " n=CASE WHEN bounce.sent<>0 AND bounce.sent<excluded.message THEN 1 ELSE bounce.n+1 END,"
                                        " message=excluded.message, sent=0, at=excluded.at");
  struct stmt *get = db_sql(round->db, "SELECT n FROM bounce WHERE h=?");
  int64_t n = 0;

  bind_id(put, 1, bounce_place(round, identity));
  bind_id(put, 2, from->message);
  bind_int(put, 3, round->now_ms);
  db_run(put);
  round->store->n_bounced++;
  bind_id(get, 1, bounce_place(round, identity));
  if (db_step(get))
    n = col_int(get, 0);
  db_reset(get);
  if (n < SOFT_BOUNCES_MAX)
    return;
  suppression_add(round, identity, "soft_bounce", from);
  bounce_over(round, identity);
}

void bounce_sent(struct round *round, const struct identity *identity, id64 message)
{
  struct stmt *put;

  if (round->store->n_bounced == 0)
    return;
  put = db_sql(round->db, "UPDATE bounce SET sent=?1 WHERE h=?2 AND sent=0 AND message<?1");
  bind_id(put, 1, message);
  bind_id(put, 2, bounce_place(round, identity));
  db_run(put);
}

void bounce_over(struct round *round, const struct identity *identity)
{
  struct stmt *drop;

  if (round->store->n_bounced == 0)
    return;
  drop = db_sql(round->db, "DELETE FROM bounce WHERE h=?");
  bind_id(drop, 1, bounce_place(round, identity));
  db_run(drop);
}

parley_status write_suppress(struct round *round, struct store_op *op)
{
  struct store_suppress *suppress = container_of(op, struct store_suppress, op);
  const struct identity *identity = &suppress->entry.identity;
  const struct hash_key *key = &round->store->hash_key;
  bool there = suppression_find(round->db, key, identity->kind, identity->value);
  struct bounced said = {.at_ms = suppress->entry.at_ms != 0 ? suppress->entry.at_ms : round->now_ms,
                         .customer = owner_of(round, identity, op->arena), .code = TEXT_EMPTY, .detail = suppress->entry.detail,
                         .channel_kind = suppress->entry.channel_kind};
  struct buf reason = BUF_INIT(256);

  switch (suppress->action) {
  case SUPPRESS_ADD:
    if (there)
      return PARLEY_OK;
    suppress->entry.id = suppression_insert(round, identity, suppress->entry.reason, &said);
    buf_text(&reason, suppress->entry.reason);
    suppression_tell(round, "customer.suppressed", identity, reason.at != NULL ? reason.at : "", &said);
    buf_done(&reason);
    return PARLEY_OK;
  case SUPPRESS_REMOVE:
    if (said.channel_kind.len > 0)
      return opt_out_lift(round, identity, &said, op->arena) ? PARLEY_OK : PARLEY_NOT_FOUND;
    if (!there)
      return PARLEY_NOT_FOUND;
    suppression_lift(round, identity->kind, identity->value, &said);
    suppression_tell(round, "customer.unsuppressed", identity, NULL, &said);
    bounce_over(round, identity);
    return PARLEY_OK;
  }
  return PARLEY_INVALID;
}
