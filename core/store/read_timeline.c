/* read_timeline.c - a customer's timeline: what stands in memory (the tail), timeline_recent and timeline, over
 * all that are merged together. The tail is taken before the snapshot of the tables: what leaves it meanwhile is in
 * them. */
#include "read.h"
#include <stdlib.h>
#include <string.h>

#define CONVERSATION_BEFORE_MS (INT64_C(30) * 86400000) /* what is shown of the time before it opened */

struct timeline_tails timeline_tails_take(struct reader *reader, const struct customer_set *customers,
                                          struct arena *arena)
{
  struct timeline_tails tails = {0};

  for (size_t i = 0; reader->store->ways->timeline_tail != NULL && i < customers->n; i++) {
    struct timeline_entry *of_one, *entries;
    size_t n = reader->store->ways->timeline_tail(reader->store, customers->ids[i], arena, &of_one);

    if (n == 0)
      continue;
    entries = arena_alloc(arena, (tails.n + n) * sizeof *entries);
    if (tails.n > 0)
      memcpy(entries, tails.entries, tails.n * sizeof *entries);
    memcpy(entries + tails.n, of_one, n * sizeof *entries);
    tails.entries = entries;
    tails.n += n;
  }
  return tails;
}

/* --- entries in order --------------------------------------------------------------------------------------------- */

static bool key_before(int64_t a_at_ms, uint64_t a_seq, int64_t b_at_ms, uint64_t b_seq)
{
  return a_at_ms != b_at_ms ? a_at_ms < b_at_ms : a_seq < b_seq;
}

static int oldest_first(const void *left, const void *right)
{
  const struct timeline_entry *a = left, *b = right;

  if (key_before(a->at_ms, a->seq, b->at_ms, b->seq))
    return -1;
  return key_before(b->at_ms, b->seq, a->at_ms, a->seq);
}

static int newest_first(const void *left, const void *right)
{
  return oldest_first(right, left);
}

struct gathering {
  const struct timeline_ask *ask;
  struct timeline_cursor from; /* beyond this one, in the order asked for */
  size_t n, room;
  bool sorted; /* it comes from one source, which was in order */
  struct timeline_entry *entries;
};

static bool within(const struct gathering *all, const struct timeline_entry *entry)
{
  if (entry->at_ms < all->ask->from_ms)
    return false;
  if (all->ask->oldest_first)
    return key_before(all->from.at_ms, all->from.seq, entry->at_ms, entry->seq);
  return key_before(entry->at_ms, entry->seq, all->from.at_ms, all->from.seq);
}

static void gather_table(struct gathering *all, struct stmt *list, id64 customer)
{
  size_t before = all->n;

  bind_id(list, 1, customer);
  bind_int(list, 2, all->from.at_ms);
  bind_id(list, 3, all->from.seq);
  bind_int(list, 4, (int64_t)all->ask->limit + 1);
  if (!all->ask->oldest_first)
    bind_int(list, 5, all->ask->from_ms);
  while (all->n < all->room && db_step(list))
    all->entries[all->n++] =
        (struct timeline_entry){col_int(list, 0), col_id(list, 1), customer, (uint32_t)col_int(list, 2)};
  db_reset(list);
  if (before > 0 && all->n > before)
    all->sorted = false;
}

static void gather_tails(struct gathering *all, const struct timeline_tails *tails)
{
  for (size_t i = 0; i < tails->n; i++) {
    if (!within(all, &tails->entries[i]))
      continue;
    all->entries[all->n++] = tails->entries[i];
    all->sorted = false;
  }
}

/* Both tables hold (customer, at, seq) in key order; a page is one short walk in each. */
static void gather(struct db *db, struct gathering *all)
{
  const struct customer_set *customers = all->ask->customers;
  struct stmt *base, *recent = NULL;

  if (all->ask->oldest_first) {
    base = db_sql(
        db, "SELECT at, seq, kind FROM timeline WHERE customer=?1 AND (at, seq)>(?2, ?3) ORDER BY at, seq LIMIT ?4");
    recent =
        db_sql(db, "SELECT at, seq, kind FROM timeline_recent WHERE customer=?1 AND (at, seq)>(?2, ?3) ORDER BY at, seq"
                   " LIMIT ?4");
  } else {
    base = db_sql(db, "SELECT at, seq, kind FROM timeline WHERE customer=?1 AND (at, seq)<(?2, ?3) AND at>=?5"
                      " ORDER BY at DESC, seq DESC LIMIT ?4");
    recent = db_sql(db, "SELECT at, seq, kind FROM timeline_recent WHERE customer=?1 AND (at, seq)<(?2, ?3) AND at>=?5"
                        " ORDER BY at DESC, seq DESC LIMIT ?4");
  }
  for (size_t i = 0; i < customers->n; i++) {
    if (all->ask->recent)
      gather_table(all, recent, customers->ids[i]);
    gather_table(all, base, customers->ids[i]);
  }
}

static struct timeline_cursor cursor_of(const struct timeline_ask *ask)
{
  if (!ask->oldest_first)
    return ask->after.at_ms != 0 || ask->after.seq != 0 ? ask->after : (struct timeline_cursor){INT64_MAX, INT64_MAX};
  if ((ask->after.at_ms != 0 || ask->after.seq != 0) && ask->after.at_ms >= ask->from_ms)
    return ask->after;
  return (struct timeline_cursor){ask->from_ms, 0};
}

/* What stands in the tail and already in a table as well is dropped once. */
static size_t drop_twins(struct timeline_entry *entries, size_t n)
{
  size_t kept = 0;

  for (size_t i = 0; i < n; i++) {
    if (kept == 0 || entries[kept - 1].seq != entries[i].seq || entries[kept - 1].at_ms != entries[i].at_ms)
      entries[kept++] = entries[i];
  }
  return kept;
}

size_t timeline_entries(struct db *db, const struct timeline_ask *ask, const struct timeline_tails *tails,
                        struct arena *arena, struct timeline_entry **ret, bool *ret_more)
{
  struct gathering all = {.ask = ask, .from = cursor_of(ask), .sorted = true};

  all.room = 2 * ask->customers->n * (ask->limit + 1) + tails->n;
  all.entries = arena_alloc(arena, all.room * sizeof *all.entries);
  gather(db, &all);
  gather_tails(&all, tails);
  if (!all.sorted) {
    qsort(all.entries, all.n, sizeof *all.entries, ask->oldest_first ? oldest_first : newest_first);
    all.n = drop_twins(all.entries, all.n);
  }
  *ret = all.entries;
  *ret_more = all.n > ask->limit;
  return *ret_more ? ask->limit : all.n;
}

/* --- entries as they are shown ------------------------------------------------------------------------------------ */

static void event_show(struct db *db, const struct timeline_entry *entry, struct arena *arena, struct timeline_row *ret)
{
  struct stmt *get = db_sql(db, "SELECT type, identity, data FROM event WHERE seq=?");

  bind_id(get, 1, entry->seq);
  if (!db_step(get))
    return;
  ret->type = col_text(get, 0, arena);
  ret->identity = col_id(get, 1);
  ret->data = col_text(get, 2, arena);
  db_reset(get);
}

static void entry_narrow(const struct timeline_entry *entry, struct timeline_row *ret)
{
  *ret = (struct timeline_row){.at_ms = entry->at_ms, .seq = entry->seq, .customer = entry->customer, .data = {"", 0},
                               .type = entry->kind == TIMELINE_MESSAGE ? PARLEY_LIT("message") : PARLEY_LIT("event")};
}

static void timeline_show(struct db *db, const struct timeline_entry *entry, struct arena *arena, struct timeline_row *ret)
{
  entry_narrow(entry, ret);
  if (entry->kind != TIMELINE_MESSAGE) {
    event_show(db, entry, arena, ret);
    return;
  }
  ret->message = message_get(db, entry->seq, MESSAGE_SHOWN, arena);
  if (ret->message == NULL)
    return;
  ret->type = ret->message->inbound ? PARLEY_LIT("message.received") : PARLEY_LIT("message.sent");
  ret->identity = ret->message->identity;
}

struct showing { const struct timeline_entry *entries; struct arena *arena; struct timeline_row *rows; };

static void show_one(struct db *db, size_t i, void *arg)
{
  struct showing *showing = arg;

  timeline_show(db, &showing->entries[i], showing->arena, &showing->rows[i]);
}

struct timeline_row *timeline_show_all(struct db *db, const struct timeline_entry *entries, size_t n, struct arena *arena)
{
  struct timeline_row *rows = arena_alloc(arena, n * sizeof *rows);

  db_each(db, n, show_one, &(struct showing){entries, arena, rows});
  return rows;
}

static struct timeline_row *narrow_all(const struct timeline_entry *entries, size_t n, struct arena *arena)
{
  struct timeline_row *rows = arena_alloc(arena, n * sizeof *rows);

  for (size_t i = 0; i < n; i++)
    entry_narrow(&entries[i], &rows[i]);
  return rows;
}

/* --- the op ------------------------------------------------------------------------------------------------------- */

static id64 asked_customer(struct reader *reader, const struct store_timeline *ask, int64_t *ret_from_ms)
{
  struct conversation_row *conversation;

  if (ask->customer != 0)
    return ask->customer;
  if (ask->conversation == 0)
    return customer_owner(reader, &ask->who, ask->op.arena);
  conversation = conversation_get(reader->db, ask->conversation, ask->op.arena);
  if (conversation == NULL)
    return 0;
  *ret_from_ms = conversation->opened_ms - CONVERSATION_BEFORE_MS;
  return conversation->customer;
}

parley_status read_timeline(struct reader *reader, struct store_op *op)
{
  struct store_timeline *ask = container_of(op, struct store_timeline, op);
  struct customer_set customers;
  struct timeline_ask page = {.customers = &customers, .oldest_first = ask->oldest_first, .from_ms = INT64_MIN,
                              .after = ask->after, .limit = read_limit(ask->limit), .recent = reader->store->ways->timeline_recent};
  struct timeline_entry *entries;
  struct timeline_tails tails;

  ask->n = 0;
  ask->row = NULL;
  if (!customer_set_get(reader->db, asked_customer(reader, ask, &page.from_ms), op->arena, &customers))
    return PARLEY_NOT_FOUND;
  tails = timeline_tails_take(reader, &customers, op->arena);
  read_begin(reader);
  ask->row = customer_get(reader->db, &customers, op->arena);
  ask->n = timeline_entries(reader->db, &page, &tails, op->arena, &entries, &ask->more);
  ask->rows = ask->bodies ? timeline_show_all(reader->db, entries, ask->n, op->arena) : narrow_all(entries, ask->n, op->arena);
  read_end(reader);
  return PARLEY_OK;
}
