/* write_identity.c - customers come to be, and identities become theirs. What happens to an identity is kept in its log. */
#include "write.h"
#include "core/base/text.h"

id64 customer_make(struct round *round, int64_t now_ms)
{
  struct stmt *put = db_sql(round->db, "INSERT INTO customer(id, merged_into, created, updated, flags, conversation, name,"
                                        " locale, timezone, attributes, tags) VALUES(?, 0, ?, ?, 0, 0, '', '', '', '{}', '[]')");
  id64 id = id_next(&round->store->ids);

  bind_id(put, 1, id);
  bind_int(put, 2, now_ms);
  bind_int(put, 3, now_ms);
  db_run(put);
  return id;
}

void customer_flag(struct round *round, id64 customer, uint32_t flags)
{
  struct stmt *put = db_sql(round->db, "UPDATE customer SET flags=flags|?2 WHERE id=?1 AND (flags&?2)<>?2");

  bind_id(put, 1, customer);
  bind_int(put, 2, flags);
  db_run(put);
}

static void identity_log(struct round *round, const char *what, id64 customer, id64 identity, const struct identity *of,
                         int64_t now_ms)
{
  struct stmt *put = db_sql(round->db, "INSERT INTO identity_log(id, at, what, customer, identity, kind, value, message)"
                                        " VALUES(?, ?, ?, ?, ?, ?, ?, 0)");

  bind_id(put, 1, id_next(&round->store->ids));
  bind_int(put, 2, now_ms);
  bind_str(put, 3, what);
  bind_id(put, 4, customer);
  bind_id(put, 5, identity);
  bind_text(put, 6, of->kind);
  bind_text(put, 7, of->value);
  db_run(put);
}

static void identity_insert(struct round *round, const struct identity *identity, uint32_t assurance, int64_t now_ms,
                            const struct identity_row *at)
{
  struct stmt *put = db_sql(round->db, "INSERT INTO identity(h, id, customer, kind, value, raw, assurance, created,"
                                       " used, blocked) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, 0) ON CONFLICT(h) DO UPDATE SET"
                                       " id=excluded.id, customer=excluded.customer, kind=excluded.kind, value=excluded.value,"
                                       " raw=excluded.raw, assurance=excluded.assurance, created=excluded.created,"
                                       " used=excluded.used, blocked=0");

  bind_id(put, 1, at->h);
  bind_id(put, 2, at->id);
  bind_id(put, 3, at->customer);
  bind_text(put, 4, identity->kind);
  bind_text(put, 5, identity->value);
  bind_text(put, 6, identity->raw);
  bind_int(put, 7, assurance);
  bind_int(put, 8, now_ms);
  bind_int(put, 9, now_ms);
  db_run(put);
}

void identity_link(struct round *round, const struct identity *identity, uint32_t assurance, id64 customer, int64_t now_ms,
                   struct identity_row *at)
{
  struct stmt *own = db_sql(round->db, "INSERT INTO customer_identity(customer, h) VALUES(?, ?) ON CONFLICT DO NOTHING");

  if (at->id == 0)
    at->id = id_next(&round->store->ids);
  at->customer = customer;
  at->identity = *identity;
  at->identity.assurance = assurance;
  at->created_ms = at->used_ms = now_ms;
  identity_insert(round, identity, assurance, now_ms, at);
  bind_id(own, 1, customer);
  bind_id(own, 2, at->h);
  db_run(own);
  if (parley_text_is(identity->kind, "external"))
    customer_flag(round, customer, CUSTOMER_HAS_EXTERNAL);
  identity_log(round, "link", customer, at->id, identity, now_ms);
}

void identity_unlink(struct round *round, const struct identity_row *row, int64_t now_ms)
{
  struct stmt *drop = db_sql(round->db, "DELETE FROM customer_identity WHERE customer=? AND h=?");
  struct stmt *free_row = db_sql(round->db, "UPDATE identity SET customer=0 WHERE h=?");
  struct stmt *flag = db_sql(round->db, "UPDATE customer SET flags=flags&~? WHERE id=?");

  bind_id(drop, 1, row->customer);
  bind_id(drop, 2, row->h);
  db_run(drop);
  bind_id(free_row, 1, row->h);
  db_run(free_row);
  if (parley_text_is(row->identity.kind, "external")) {
    bind_int(flag, 1, CUSTOMER_HAS_EXTERNAL);
    bind_id(flag, 2, row->customer);
    db_run(flag);
  }
  identity_log(round, "unlink", row->customer, row->id, &row->identity, now_ms);
}

/* Two ways of writing one address within one request ("a@x" and "A@x") find the same free place: the second joins the first. */
static void link_one(struct round *round, const struct recipient *asked, struct who *who, size_t i, uint32_t assurance,
                     struct arena *arena, int64_t now_ms)
{
  struct identity_row *row = &who->found.rows[i];

  for (size_t j = 0; j < i; j++) {
    if (who->resolution.link[j] && who->found.rows[j].h == row->h) {
      identity_find(round->db, &round->store->hash_key, &asked->identities[i], arena, row);
      if (row->customer != 0)
        return;
    }
  }
  identity_link(round, &asked->identities[i], assurance, who->customer.id, now_ms, row);
}

static void who_link(struct round *round, const struct recipient *asked, struct who *who, bool inbound, struct arena *arena,
                     int64_t now_ms)
{
  struct identity external = {.kind = PARLEY_LIT("external"), .value = asked->external, .raw = asked->external};

  if (who->resolution.link_external) {
    identity_link(round, &external, PARLEY_CLAIMED, who->customer.id, now_ms, &who->found.external);
    who->customer.flags |= CUSTOMER_HAS_EXTERNAL;
  }
  for (size_t i = 0; i < asked->n_identities; i++) {
    uint32_t assurance = asked->identities[i].assurance;

    if (assurance == 0)
      assurance = inbound ? PARLEY_OBSERVED : PARLEY_CLAIMED;
    if (who->resolution.link[i])
      link_one(round, asked, who, i, assurance, arena, now_ms);
  }
}

/* The customer, when it came with one of its identities. */
static bool who_owns(const struct recipient *asked, const struct found *found, id64 customer, struct customer_brief *ret)
{
  const struct identity_row *row = found->external.owner.id == customer ? &found->external : NULL;

  for (size_t i = 0; row == NULL && i < asked->n_identities; i++)
    if (found->rows[i].owner.id == customer)
      row = &found->rows[i];
  if (row != NULL)
    *ret = row->owner;
  return row != NULL;
}

void who_resolve(struct round *round, const struct recipient *asked, struct arena *arena, int64_t now_ms, bool inbound,
                 struct who *ret)
{
  bool alone;

  *ret = (struct who){.result = ACCEPTED};
  recipient_find(round->db, &round->store->hash_key, asked, arena, &ret->found);
  ret->resolution = resolve_recipient(asked, &ret->found.own, inbound);
  switch (ret->resolution.verdict) {
  case RESOLVE_NO_CUSTOMER:
    ret->result = ACCEPT_NO_CUSTOMER;
    return;
  case RESOLVE_CONFLICT:
    ret->result = ACCEPT_CONFLICT;
    return;
  case RESOLVE_CREATE:
    ret->created = true;
    ret->customer.id = customer_make(round, now_ms);
    break;
  case RESOLVE_FOUND:
    alone = round_lock_customer(round, ret->resolution.customer);
    if (!(alone && who_owns(asked, &ret->found, ret->resolution.customer, &ret->customer)) &&
        !customer_find(round->db, ret->resolution.customer, arena, &ret->customer)) {
      ret->result = ACCEPT_NO_CUSTOMER;
      return;
    }
    break;
  }
  who_link(round, asked, ret, inbound, arena, now_ms);
  if (ret->created)
    round_event(round, "customer.created", now_ms, ret->customer.id, asked->n_identities > 0 ? ret->found.rows[0].id : 0, 0, 0,
                PARLEY_LIT("{}"));
}

void who_tell_conflicts(struct round *round, const struct recipient *asked, const struct who *who, int64_t at_ms)
{
  for (size_t i = 0; i < asked->n_identities; i++) {
    const struct identity_row *row = &who->found.rows[i];

    if (!who->resolution.foreign[i])
      continue;
    buf_clear(&round->scratch);
    buf_str(&round->scratch, "{\"kind\":");
    buf_json_text(&round->scratch, asked->identities[i].kind);
    buf_str(&round->scratch, ",\"owner\":");
    buf_json_id(&round->scratch, "cus", row->customer);
    buf_char(&round->scratch, '}');
    round_event(round, "customer.identity_conflict", at_ms, who->customer.id, row->id, 0, 0, buf_as_text(&round->scratch));
  }
}
