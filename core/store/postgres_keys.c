/* postgres_keys.c - what an op names that another op of the same round may name too: idempotency and business keys, identities,
 * what a provider calls a message. Whose customer it is is found later, and locked then (pg_lock). */
#include "postgres.h"
#include "core/base/text.h"
#include <stdlib.h>
#include <string.h>

_Static_assert(RECIPIENT_IDENTITIES_MAX * IDENTITY_VARIANTS_MAX + 4 <= PG_KEYS_MAX, "an op's keys must fit");

struct keys {
  const struct store_base *store;
  struct arena *arena;
  uint64_t *at;
  size_t n;
  bool overflow;
};

static void key_add(struct keys *keys, uint64_t key)
{
  if (keys->n == PG_KEYS_MAX)
    keys->overflow = true;
  else
    keys->at[keys->n++] = key != 0 ? key : 1;
}

/* kind keeps the keys of different things apart. */
static void key_text(struct keys *keys, char kind, parley_text text)
{
  uint64_t h;

  if (text.len == 0)
    return;
  h = hash64(&keys->store->hash_key, text);
  key_add(keys, hash_mix(h + (unsigned char)kind));
}

static void key_identity(struct keys *keys, const struct identity *identity)
{
  parley_text variants[IDENTITY_VARIANTS_MAX];
  size_t n = identity_variants(identity, keys->arena, variants);

  key_add(keys, identity_hash(&keys->store->hash_key, identity->kind, identity->value));
  for (size_t i = 1; i < n; i++)
    key_add(keys, identity_hash(&keys->store->hash_key, identity->kind, variants[i]));
}

static void key_recipient(struct keys *keys, const struct recipient *who)
{
  if (who->customer != 0)
    key_add(keys, who->customer);
  if (who->external.len > 0)
    key_add(keys, identity_hash(&keys->store->hash_key, PARLEY_LIT("external"), who->external));
  for (size_t i = 0; i < who->n_identities; i++)
    key_identity(keys, &who->identities[i]);
}

static void key_submission(struct keys *keys, const struct submission *submission)
{
  key_text(keys, 'k', submission->key);
  key_recipient(keys, &submission->to);
}

void pg_lock_submission(struct db *db, const struct submission *submission)
{
  uint64_t at[PG_KEYS_MAX];
  struct pg_db *own = pg_db_of(db);
  struct keys keys = {.store = &own->on->store->base, .arena = arena_new(), .at = at};

  key_submission(&keys, submission);
  pg_locks_take(own, at, keys.n);
  arena_free(&keys.arena);
}

/* Those of several items name too much for one op: each takes its own when it begins. */
static bool accept_keys(struct keys *keys, const struct store_accept *accept)
{
  if (accept->n_items != 1)
    return false;
  key_submission(keys, accept->items[0].submission);
  return true;
}

static bool inbound_keys(struct keys *keys, const struct store_inbound *in)
{
  key_text(keys, 's', in->event_id);
  key_text(keys, 'p', in->provider_id);
  key_text(keys, 'p', in->in_reply_to);
  key_text(keys, 'j', in->piece.key);
  key_recipient(keys, &in->from);
  return true;
}

static bool settle_keys(struct keys *keys, const struct store_settle *settle)
{
  for (size_t i = 0; i < settle->n_provider_ids; i++)
    key_text(keys, 'p', settle->provider_ids[i]);
  key_add(keys, settle->message);
  return true;
}

static bool receipt_keys(struct keys *keys, const struct store_receipt *receipt)
{
  key_text(keys, 'p', receipt->provider_id);
  if (receipt->message != 0)
    key_add(keys, receipt->message);
  return true;
}

static bool touchpoint_keys(struct keys *keys, const struct store_touchpoint *touch)
{
  key_text(keys, 't', touch->key);
  key_recipient(keys, &touch->who);
  return true;
}

bool pg_op_keys(const struct store_base *store, const struct store_op *op, uint64_t at[PG_KEYS_MAX], size_t *ret_n)
{
  struct keys keys = {.store = store, .arena = op->arena, .at = at};
  bool side_by_side = false;

  switch ((int)op->kind) {
  case STORE_ACCEPT:
    side_by_side = accept_keys(&keys, container_of(op, struct store_accept, op));
    break;
  case STORE_INBOUND:
    side_by_side = inbound_keys(&keys, container_of(op, struct store_inbound, op));
    break;
  case STORE_SETTLE:
    side_by_side = settle_keys(&keys, container_of(op, struct store_settle, op));
    break;
  case STORE_RECEIPT:
    side_by_side = receipt_keys(&keys, container_of(op, struct store_receipt, op));
    break;
  case STORE_TOUCHPOINT:
    side_by_side = touchpoint_keys(&keys, container_of(op, struct store_touchpoint, op));
    break;
  case STORE_FEED_MOVE:
    key_add(&keys, container_of(op, struct store_feed_move, op)->subscription);
    side_by_side = true;
    break;
  }
  if (op->idem != NULL)
    key_add(&keys, idem_hash(store, op));
  *ret_n = keys.n;
  return side_by_side && !keys.overflow;
}

static void ahead_recipient(struct pg_db *db, const struct store_base *store, const struct recipient *who)
{
  if (who->external.len > 0)
    pg_db_ahead(db, identity_get_sql, identity_hash(&store->hash_key, PARLEY_LIT("external"), who->external));
  else if (who->n_identities > 0)
    pg_db_ahead(db, identity_get_sql, identity_hash(&store->hash_key, who->identities[0].kind, who->identities[0].value));
}

void pg_op_ahead(struct pg_db *db, const struct store_base *store, const struct store_op *op)
{
  if (op->idem != NULL)
    pg_db_ahead(db, pg_answer_get_sql, idem_hash(store, op));
  switch ((int)op->kind) {
  case STORE_ACCEPT:
    ahead_recipient(db, store, &container_of(op, struct store_accept, op)->items[0].submission->to);
    break;
  case STORE_INBOUND:
    ahead_recipient(db, store, &container_of(op, struct store_inbound, op)->from);
    break;
  case STORE_TOUCHPOINT:
    ahead_recipient(db, store, &container_of(op, struct store_touchpoint, op)->who);
    break;
  }
}
