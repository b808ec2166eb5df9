/* read_customer.c - customers with all that is merged with them, conversations, suppressions. */
#include "read.h"
#include "core/base/text.h"
#include <stdlib.h>

#define SHOWN_IDENTITIES_MAX 256
#define SHOWN_CONSENTS_MAX 512

/* --- who ---------------------------------------------------------------------------------------------------------- */

bool customer_set_get(struct db *db, id64 customer, struct arena *arena, struct customer_set *ret)
{
  struct customer_brief brief;
  id64 head;

  if (customer == 0 || !customer_find(db, customer, arena, &brief))
    return false;
  ret->n = customer_aliases(db, &brief, arena, &ret->ids);
  head = brief.merged_into != 0 ? brief.merged_into : brief.id;
  for (size_t i = 1; i < ret->n; i++) {
    if (ret->ids[i] == head) {
      ret->ids[i] = ret->ids[0];
      ret->ids[0] = head;
    }
  }
  return true;
}

id64 customer_owner(struct reader *reader, const struct identity *identity, struct arena *arena)
{
  struct identity_row row;

  return identity_find(reader->db, &reader->store->hash_key, identity, arena, &row) ? row.customer : 0;
}

/* --- one customer ------------------------------------------------------------------------------------------------- */

static void identities_get(struct db *db, id64 customer, struct arena *arena, struct customer_row *row)
{
  struct stmt *get =
      db_sql(db, "SELECT i.id, i.customer, i.kind, i.value, i.raw, i.assurance, i.created, i.used, i.blocked"
                 " FROM customer_identity c JOIN identity i ON i.h=c.h WHERE c.customer=?");

  bind_id(get, 1, customer);
  while (row->n_identities < SHOWN_IDENTITIES_MAX && db_step(get))
    row->identities[row->n_identities++] =
        (struct stored_identity){.id = col_id(get, 0),
                                 .customer = col_id(get, 1),
                                 .identity = {.kind = col_text(get, 2, arena),
                                              .value = col_text(get, 3, arena),
                                              .raw = col_text(get, 4, arena),
                                              .assurance = (uint32_t)col_int(get, 5)},
                                 .created_ms = col_int(get, 6),
                                 .used_ms = col_int(get, 7),
                                 .blocked = col_int(get, 8) != 0};
  db_reset(get);
}

/* Of two customers that were merged the stricter word counts: a withdrawal over a grant, else the newer. */
static void consent_put(struct customer_row *row, const struct consent *entry)
{
  struct consent *other = NULL;

  for (size_t i = 0; i < row->n_consents && other == NULL; i++) {
    if (text_eq(row->consents[i].topic, entry->topic) && text_eq(row->consents[i].channel_kind, entry->channel_kind))
      other = &row->consents[i];
  }
  if (other == NULL && row->n_consents < SHOWN_CONSENTS_MAX)
    row->consents[row->n_consents++] = *entry;
  else if (other != NULL && (other->granted != entry->granted ? other->granted : other->at_ms < entry->at_ms))
    *other = *entry;
}

static void consents_get(struct db *db, id64 customer, struct arena *arena, struct customer_row *row)
{
  struct stmt *get =
      db_sql(db, "SELECT topic, channel_kind, granted, at, source, proof FROM consent WHERE customer=?1 AND seq IN"
                 " (SELECT max(seq) FROM consent WHERE customer=?1 GROUP BY topic, channel_kind)");

  bind_id(get, 1, customer);
  while (db_step(get))
    consent_put(row, &(struct consent){.topic = col_text(get, 0, arena),
                                       .channel_kind = col_text(get, 1, arena),
                                       .granted = col_int(get, 2) != 0,
                                       .at_ms = col_int(get, 3),
                                       .source = col_text(get, 4, arena),
                                       .proof = col_text(get, 5, arena)});
  db_reset(get);
}

static int64_t rows_of(const struct customer_set *set, struct stmt *count)
{
  int64_t n = 0;

  for (size_t i = 0; i < set->n; i++) {
    bind_id(count, 1, set->ids[i]);
    if (db_step(count))
      n += col_int(count, 0);
    db_reset(count);
  }
  return n;
}

static size_t room_for(int64_t rows, size_t max)
{
  return (size_t)rows < max ? (size_t)rows : max;
}

static void customer_parts_get(struct db *db, const struct customer_set *set, struct arena *arena,
                               struct customer_row *row)
{
  struct stmt *identities = db_sql(db, "SELECT count(*) FROM customer_identity WHERE customer=?");
  struct stmt *consents =
      db_sql(db, "SELECT count(*) FROM (SELECT 1 FROM consent WHERE customer=? GROUP BY topic, channel_kind) AS kinds");
  size_t room = room_for(rows_of(set, identities), SHOWN_IDENTITIES_MAX);

  row->identities = arena_alloc(arena, room * sizeof *row->identities);
  for (size_t i = 0; room > 0 && i < set->n; i++)
    identities_get(db, set->ids[i], arena, row);
  room = room_for(rows_of(set, consents), SHOWN_CONSENTS_MAX);
  row->consents = arena_alloc(arena, room * sizeof *row->consents);
  for (size_t i = 0; room > 0 && i < set->n; i++)
    consents_get(db, set->ids[i], arena, row);
}

struct customer_row *customer_get(struct db *db, const struct customer_set *set, struct arena *arena)
{
  struct stmt *get =
      db_sql(db, "SELECT merged_into, created, updated, name, locale, timezone, attributes, tags FROM customer"
                 " WHERE id=?");
  struct customer_row *row;

  bind_id(get, 1, set->ids[0]);
  if (!db_step(get))
    return NULL;
  row = arena_alloc(arena, sizeof *row);
  *row = (struct customer_row){.id = set->ids[0],
                               .merged_into = col_id(get, 0),
                               .created_ms = col_int(get, 1),
                               .updated_ms = col_int(get, 2),
                               .name = col_text(get, 3, arena),
                               .locale = col_text(get, 4, arena),
                               .timezone = col_text(get, 5, arena),
                               .attributes = col_text(get, 6, arena),
                               .tags = col_text(get, 7, arena)};
  db_reset(get);
  customer_parts_get(db, set, arena, row);
  return row;
}

parley_status read_customer(struct reader *reader, struct store_op *op)
{
  struct store_customer *ask = container_of(op, struct store_customer, op);
  struct identity external = {.kind = PARLEY_LIT("external"), .value = ask->external, .raw = ask->external};
  struct customer_set set;
  id64 customer = ask->id;

  read_begin(reader);
  if (customer == 0)
    customer = customer_owner(reader, ask->external.len > 0 ? &external : &ask->identity, op->arena);
  ask->row = customer_set_get(reader->db, customer, op->arena, &set) ? customer_get(reader->db, &set, op->arena) : NULL;
  read_end(reader);
  return ask->row != NULL ? PARLEY_OK : PARLEY_NOT_FOUND;
}

/* --- conversations ------------------------------------------------------------------------------------------------ */

#define CONVERSATION_COLUMNS                                                                                 \
  "id, customer, identity, state, assignee, tags, channel, channel_kind, subject, opened, updated, closed, " \
  "last_inbound, version"

static struct conversation_row conversation_fill(struct stmt *get, struct arena *arena)
{
  return (struct conversation_row){.id = col_id(get, 0),
                                   .customer = col_id(get, 1),
                                   .identity = col_id(get, 2),
                                   .state = col_text(get, 3, arena),
                                   .assignee = col_text(get, 4, arena),
                                   .tags = col_text(get, 5, arena),
                                   .channel = col_text(get, 6, arena),
                                   .channel_kind = col_text(get, 7, arena),
                                   .subject = col_text(get, 8, arena),
                                   .opened_ms = col_int(get, 9),
                                   .updated_ms = col_int(get, 10),
                                   .closed_ms = col_int(get, 11),
                                   .last_inbound_ms = col_int(get, 12),
                                   .version = col_int(get, 13)};
}

struct conversation_row *conversation_get(struct db *db, id64 id, struct arena *arena)
{
  struct stmt *get = db_sql(db, "SELECT " CONVERSATION_COLUMNS " FROM conversation WHERE id=?");
  struct conversation_row *row;

  bind_id(get, 1, id);
  if (!db_step(get))
    return NULL;
  row = arena_alloc(arena, sizeof *row);
  *row = conversation_fill(get, arena);
  db_reset(get);
  return row;
}

static void conversations_take(struct stmt *list, struct store_conversations *ask, size_t limit)
{
  while (db_step(list)) {
    if (ask->n == limit) {
      ask->more = true;
      break;
    }
    ask->rows[ask->n++] = conversation_fill(list, ask->op.arena);
  }
  db_reset(list);
}

/* By state or by assignee there is an index, so that only what is shown is read, but where both are asked for. */
static void conversations_of_all(struct db *db, struct store_conversations *ask, size_t limit)
{
  struct stmt *list;

  if (ask->assignee.len > 0) {
    list = db_sql(db, "SELECT " CONVERSATION_COLUMNS
                      " FROM conversation INDEXED BY conversation_assignee WHERE assignee=?2 AND"
                      " assignee<>'' AND id<?1 AND (?3='' OR state=?3) ORDER BY id DESC LIMIT ?4");
    bind_text(list, 2, ask->assignee);
  } else if (ask->state.len > 0) {
    list = db_sql(db, "SELECT " CONVERSATION_COLUMNS
                      " FROM conversation INDEXED BY conversation_state WHERE state=?3 AND id<?1"
                      " ORDER BY id DESC LIMIT ?4");
  } else {
    list = db_sql(db, "SELECT " CONVERSATION_COLUMNS " FROM conversation WHERE id<?1 ORDER BY id DESC LIMIT ?4");
  }
  bind_id(list, 1, ask->before != 0 ? ask->before : INT64_MAX);
  bind_text(list, 3, ask->state);
  bind_int(list, 4, (int64_t)limit + 1);
  conversations_take(list, ask, limit);
}

static int by_id_descending(const void *left, const void *right)
{
  id64 a = ((const struct conversation_row *)left)->id, b = ((const struct conversation_row *)right)->id;

  return a > b ? -1 : a < b;
}

/* The newest `limit` of each of the merged customers, then of all. */
static void conversations_of_customer(struct db *db, const struct customer_set *set, struct store_conversations *ask,
                                      size_t limit)
{
  struct stmt *list = db_sql(db, "SELECT " CONVERSATION_COLUMNS " FROM conversation WHERE customer=?5 AND id<?1 AND"
                                  " (?2='' OR assignee=?2) AND (?3='' OR state=?3) ORDER BY id DESC LIMIT ?4");
  size_t room = set->n * (limit + 1);

  ask->rows = arena_alloc(ask->op.arena, room * sizeof *ask->rows);
  for (size_t i = 0; i < set->n; i++) {
    bind_id(list, 1, ask->before != 0 ? ask->before : INT64_MAX);
    bind_text(list, 2, ask->assignee);
    bind_text(list, 3, ask->state);
    bind_int(list, 4, (int64_t)limit + 1);
    bind_id(list, 5, set->ids[i]);
    conversations_take(list, ask, room);
  }
  qsort(ask->rows, ask->n, sizeof *ask->rows, by_id_descending);
  ask->more = ask->n > limit;
  ask->n = ask->more ? limit : ask->n;
}

parley_status read_conversations(struct reader *reader, struct store_op *op)
{
  struct store_conversations *ask = container_of(op, struct store_conversations, op);
  size_t limit = read_limit(ask->limit);
  struct customer_set set;

  ask->n = 0;
  ask->more = false;
  read_begin(reader);
  if (ask->id != 0) {
    ask->rows = conversation_get(reader->db, ask->id, op->arena);
    ask->n = ask->rows != NULL;
  } else if (ask->customer != 0) {
    if (customer_set_get(reader->db, ask->customer, op->arena, &set))
      conversations_of_customer(reader->db, &set, ask, limit);
  } else {
    ask->rows = arena_alloc(op->arena, limit * sizeof *ask->rows);
    conversations_of_all(reader->db, ask, limit);
  }
  read_end(reader);
  return ask->id != 0 && ask->n == 0 ? PARLEY_NOT_FOUND : PARLEY_OK;
}

/* --- suppressions ------------------------------------------------------------------------------------------------- */

static struct suppression suppression_fill(struct stmt *get, struct arena *arena)
{
  struct suppression row = {.id = col_id(get, 0), .reason = col_text(get, 3, arena), .at_ms = col_int(get, 4),
                            .lifted_ms = col_int(get, 5), .message = col_id(get, 6), .code = col_text(get, 7, arena),
                            .detail = col_text(get, 8, arena), .channel_kind = col_text(get, 9, arena)};

  row.identity.kind = col_text(get, 1, arena);
  row.identity.value = row.identity.raw = col_text(get, 2, arena);
  return row;
}

static bool same_address(const struct identity *a, const struct identity *b)
{
  if (!text_eq(a->kind, b->kind))
    return false;
  return parley_text_is(a->kind, "email") ? text_eq_nocase(a->value, b->value) : text_eq(a->value, b->value);
}

#define SUPPRESSION_COLUMNS "SELECT id, kind, value, reason, at, removed, message, code, detail, channel_kind FROM suppression"

/* Lifted ones are looked at by few, and seldom: the table is read in its own order. */
static struct stmt *suppressions_of(struct db *db, bool one, bool lifted)
{
  if (lifted)
    return one ? db_sql(db, SUPPRESSION_COLUMNS " WHERE h=?2 AND removed>0 AND id<?1 ORDER BY id DESC")
               : db_sql(db, SUPPRESSION_COLUMNS " WHERE removed>0 AND id<?1 ORDER BY id DESC");
  return one ? db_sql(db, SUPPRESSION_COLUMNS " WHERE h=?2 AND removed=0 AND id<?1 ORDER BY id DESC")
             : db_sql(db, SUPPRESSION_COLUMNS " INDEXED BY suppression_live WHERE removed=0 AND id<?1 ORDER BY id DESC");
}

parley_status read_suppressions(struct reader *reader, struct store_op *op)
{
  struct store_suppressions *ask = container_of(op, struct store_suppressions, op);
  size_t limit = read_limit(ask->limit);
  bool one = ask->only.kind.len > 0;
  struct stmt *list = suppressions_of(reader->db, one, ask->lifted);

  ask->n = 0;
  ask->more = false;
  ask->rows = arena_alloc(op->arena, limit * sizeof *ask->rows);
  bind_id(list, 1, ask->before != 0 ? ask->before : INT64_MAX);
  if (one)
    bind_id(list, 2, identity_hash(&reader->store->hash_key, ask->only.kind, ask->only.value));
  while (!ask->more && db_step(list)) {
    struct suppression row = suppression_fill(list, op->arena);

    if (one && !same_address(&row.identity, &ask->only))
      continue; /* a twin of the same hash */
    if (ask->reason.len > 0 && !text_eq(row.reason, ask->reason))
      continue;
    if (ask->n < limit)
      ask->rows[ask->n++] = row;
    else
      ask->more = true;
  }
  db_reset(list);
  return PARLEY_OK;
}
