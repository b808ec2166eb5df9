/* write_customer.c - a customer is made or changed by an upsert: members, attributes by merge-patch, identities. What would
 * make it say no is looked at before anything is written. */
#include "read.h"
#include "write.h"
#include "core/base/text.h"
#include <jansson.h>
#include <stdlib.h>

#define PATCH_DEPTH_MAX 32

struct put {
  struct store_customer_put *op;
  struct customer_brief customer; /* id 0: to be made */
  struct identity_row external;
  struct identity_row link[RECIPIENT_IDENTITIES_MAX];
};

static parley_status put_find(struct round *round, struct put *put)
{
  struct store_customer_put *op = put->op;
  struct arena *arena = op->op.arena;
  struct identity external = {.kind = PARLEY_LIT("external"), .value = op->external, .raw = op->external};
  bool there;

  if (op->id != 0)
    return customer_find(round->db, op->id, arena, &put->customer) ? PARLEY_OK : PARLEY_NOT_FOUND;
  if (op->external.len == 0)
    return PARLEY_INVALID;
  there = identity_find(round->db, &round->store->hash_key, &external, arena, &put->external);
  if (there)
    customer_find(round->db, put->external.customer, arena, &put->customer);
  return PARLEY_OK;
}

static parley_status put_conflict(struct put *put, const struct identity_row *row)
{
  struct buf text = BUF_INIT(IDENTITY_KIND_BYTES_MAX + IDENTITY_VALUE_BYTES_MAX + 2);

  buf_text(&text, row->identity.kind);
  buf_char(&text, ':');
  buf_text(&text, row->identity.value);
  put->op->conflict_owner = row->customer;
  put->op->conflict_identity = arena_text(put->op->op.arena, buf_as_text(&text));
  buf_done(&text);
  return PARLEY_REJECTED;
}

static parley_status put_check(struct round *round, struct put *put)
{
  struct store_customer_put *op = put->op;

  for (size_t i = 0; i < op->n_link; i++) {
    identity_find(round->db, &round->store->hash_key, &op->link[i], op->op.arena, &put->link[i]);
    if (put->link[i].customer != 0 && put->link[i].customer != put->customer.id)
      return put_conflict(put, &put->link[i]);
  }
  return PARLEY_OK;
}

/* RFC 7396. Steals nothing; *target is replaced where it must be. */
static json_t *merge_patch(json_t *target, json_t *patch, int depth)
{
  const char *name;
  json_t *value;

  if (!json_is_object(patch) || depth > PATCH_DEPTH_MAX)
    return json_incref(patch);
  target = json_is_object(target) ? json_incref(target) : json_object();
  json_object_foreach(patch, name, value) {
    if (json_is_null(value))
      json_object_del(target, name);
    else
      json_object_set_new(target, name, merge_patch(json_object_get(target, name), value, depth + 1));
  }
  return target;
}

static parley_text attributes_patched(parley_text now, parley_text patch, struct arena *arena)
{
  json_t *target = json_loadb(now.at, now.len, 0, NULL), *changes = json_loadb(patch.at, patch.len, 0, NULL);
  json_t *merged = merge_patch(target, changes, 0);
  char *text = json_is_object(merged) ? json_dumps(merged, JSON_COMPACT) : NULL;
  parley_text result = text != NULL ? arena_text(arena, parley_text_of(text)) : now;

  free(text);
  json_decref(merged);
  json_decref(target);
  json_decref(changes);
  return result;
}

static void attributes_write(struct round *round, id64 customer, parley_text patch, struct arena *arena)
{
  struct stmt *get = db_sql(round->db, "SELECT attributes FROM customer WHERE id=?");
  struct stmt *set = db_sql(round->db, "UPDATE customer SET attributes=? WHERE id=?");
  parley_text now = TEXT_EMPTY;

  bind_id(get, 1, customer);
  if (db_step(get))
    now = col_text(get, 0, arena);
  db_reset(get);
  bind_text(set, 1, attributes_patched(now, patch, arena));
  bind_id(set, 2, customer);
  db_run(set);
}

static void members_write(struct round *round, const struct store_customer_put *op, id64 customer)
{
  struct stmt *set = db_sql(
      round->db, "UPDATE customer SET updated=?2, name=CASE WHEN ?3<>0 THEN ?4 ELSE name END,"
                 " locale=CASE WHEN ?5<>0 THEN ?6 ELSE locale END, timezone=CASE WHEN ?7<>0 THEN ?8 ELSE timezone END,"
                 " tags=CASE WHEN ?9<>0 THEN ?10 ELSE tags END WHERE id=?1");

  bind_id(set, 1, customer);
  bind_int(set, 2, op->now_ms);
  bind_int(set, 3, op->name.set);
  bind_text(set, 4, op->name.value);
  bind_int(set, 5, op->locale.set);
  bind_text(set, 6, op->locale.value);
  bind_int(set, 7, op->timezone.set);
  bind_text(set, 8, op->timezone.value);
  bind_int(set, 9, op->tags.set);
  bind_text(set, 10, op->tags.value);
  db_run(set);
  if (op->attributes_patch.len > 0)
    attributes_write(round, customer, op->attributes_patch, op->op.arena);
}

/* Said again with a better warrant: verified stays verified. */
static void assurance_raise(struct round *round, const struct identity *identity, const struct identity_row *row)
{
  struct stmt *put = db_sql(round->db, "UPDATE identity SET assurance=? WHERE h=?");

  if (identity->assurance <= row->identity.assurance)
    return;
  bind_int(put, 1, identity->assurance);
  bind_id(put, 2, row->h);
  db_run(put);
}

static void links_write(struct round *round, struct put *put)
{
  struct store_customer_put *op = put->op;
  struct identity_row row;

  for (size_t i = 0; i < op->n_unlink; i++)
    if (identity_find(round->db, &round->store->hash_key, &op->unlink[i], op->op.arena, &row) && row.customer == put->customer.id)
      identity_unlink(round, &row, op->now_ms);
  for (size_t i = 0; i < op->n_link; i++) {
    /* looked for again: an unlink or a twin in the same request may have changed its place */
    bool there = identity_find(round->db, &round->store->hash_key, &op->link[i], op->op.arena, &row);

    if (there)
      assurance_raise(round, &op->link[i], &row);
    else
      identity_link(round, &op->link[i], op->link[i].assurance != 0 ? op->link[i].assurance : PARLEY_CLAIMED,
                    put->customer.id, op->now_ms, &row);
  }
}

parley_status write_customer_put(struct round *round, struct store_op *store_op)
{
  struct store_customer_put *op = container_of(store_op, struct store_customer_put, op);
  struct identity external = {.kind = PARLEY_LIT("external"), .value = op->external, .raw = op->external};
  struct put put = {.op = op};
  parley_status st = put_find(round, &put);
  struct customer_set set;

  if (st == PARLEY_OK)
    st = put_check(round, &put);
  if (st != PARLEY_OK)
    return st;
  op->created = put.customer.id == 0;
  if (op->created) {
    put.customer.id = customer_make(round, op->now_ms);
    identity_link(round, &external, PARLEY_CLAIMED, put.customer.id, op->now_ms, &put.external);
  }
  links_write(round, &put);
  members_write(round, op, put.customer.id);
  round_event(round, op->created ? "customer.created" : "customer.updated", op->now_ms, put.customer.id, 0, 0, 0,
              PARLEY_LIT("{}"));
  if (customer_set_get(round->db, put.customer.id, store_op->arena, &set))
    op->row = customer_get(round->db, &set, store_op->arena);
  return PARLEY_OK;
}
