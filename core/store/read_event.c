/* read_event.c - pages of the log, plain or with what a support system needs to know beside each event. */
#include "read.h"
#include "core/base/text.h"

#define EVENT_COLUMNS "seq, type, at, customer, identity, conversation, message, data"

static bool type_wanted(const struct store_events *ask, parley_text type)
{
  for (size_t i = 0; i < ask->n_types; i++) {
    parley_text wanted = ask->types[i];

    if (text_ends(wanted, ".*") ? type.len >= wanted.len && text_eq(text_sub(type, 0, wanted.len - 1),
                                                                    text_sub(wanted, 0, wanted.len - 1))
                                : text_eq(type, wanted))
      return true;
  }
  return ask->n_types == 0;
}

static void event_fill(struct stmt *get, struct arena *arena, struct event_row *row)
{
  *row = (struct event_row){.seq = col_id(get, 0),
                            .type = col_text(get, 1, arena),
                            .at_ms = col_int(get, 2),
                            .customer = col_id(get, 3),
                            .identity = col_id(get, 4),
                            .conversation = col_id(get, 5),
                            .message_id = col_id(get, 6),
                            .data = col_text(get, 7, arena)};
}

/* --- pages -------------------------------------------------------------------------------------------------------- */

/* scanned_to: the last one looked at, so that a filter which lets little through still gets on. */
static void events_page(struct db *db, struct store_events *ask, size_t limit)
{
  struct stmt *list = db_sql(db, "SELECT " EVENT_COLUMNS " FROM event WHERE seq>?1 AND seq<=?2 ORDER BY seq LIMIT ?3");

  bind_id(list, 1, ask->after > ask->gone ? ask->after : ask->gone); /* a few before it may wait for a push */
  bind_id(list, 2, ask->upto != 0 ? ask->upto : INT64_MAX);
  bind_int(list, 3, READ_SCAN_MAX);
  while (ask->n < limit && db_step(list)) {
    ask->scanned_to = col_id(list, 0);
    if (type_wanted(ask, col_peek(list, 1)))
      event_fill(list, ask->op.arena, &ask->rows[ask->n++]);
  }
  db_reset(list);
}

static void event_one(struct db *db, size_t i, void *arg)
{
  struct stmt *get = db_sql(db, "SELECT " EVENT_COLUMNS " FROM event WHERE seq=?");
  struct store_events *ask = arg;

  bind_id(get, 1, ask->only[i]);
  if (db_step(get))
    event_fill(get, ask->op.arena, &ask->rows[i]);
  db_reset(get);
}

/* Those that are there, in the order asked for. */
static void events_only(struct db *db, struct store_events *ask, size_t limit)
{
  size_t n = ask->n_only < limit ? ask->n_only : limit;

  db_each(db, n, event_one, ask);
  for (size_t i = 0; i < n; i++)
    if (ask->rows[i].seq != 0)
      ask->rows[ask->n++] = ask->rows[i];
}

/* --- what stands beside an event ---------------------------------------------------------------------------------- */

struct context { /* of one customer that events of the page are about */
  id64 customer;
  struct customer_set set;
  struct timeline_tails tails;
  struct customer_row *row;
  size_t n_recent;
  struct timeline_row *recent;
};

static const struct context *context_find(const struct context *contexts, size_t n, id64 customer)
{
  for (size_t i = 0; i < n; i++) {
    if (contexts[i].customer == customer)
      return &contexts[i];
  }
  return NULL;
}

/* Before the snapshot in which they are read: the tails. */
static size_t contexts_open(struct reader *reader, struct store_events *ask, struct context *contexts)
{
  size_t n = 0;

  for (size_t i = 0; i < ask->n; i++) {
    struct context *at = &contexts[n];

    if (ask->rows[i].customer == 0 || context_find(contexts, n, ask->rows[i].customer) != NULL ||
        !customer_set_get(reader->db, ask->rows[i].customer, ask->op.arena, &at->set))
      continue;
    at->customer = ask->rows[i].customer;
    at->tails = timeline_tails_take(reader, &at->set, ask->op.arena);
    n++;
  }
  return n;
}

struct filling { struct reader *reader; struct store_events *ask; struct context *contexts; size_t n_contexts; };

static void context_fill(struct db *db, size_t i, void *arg)
{
  const struct filling *filling = arg;
  struct context *context = &filling->contexts[i];
  struct arena *arena = filling->ask->op.arena;
  struct timeline_ask ask = {.customers = &context->set, .from_ms = INT64_MIN, .limit = EVENTS_RECENT,
                             .recent = filling->reader->store->ways->timeline_recent};
  struct timeline_entry *entries;
  bool more;

  context->row = customer_get(db, &context->set, arena);
  context->n_recent = timeline_entries(db, &ask, &context->tails, arena, &entries, &more);
  context->recent = timeline_show_all(db, entries, context->n_recent, arena);
}

static void event_context(struct db *db, size_t i, void *arg)
{
  const struct filling *filling = arg;
  struct event_row *row = &filling->ask->rows[i];
  struct arena *arena = filling->ask->op.arena;
  const struct context *context = context_find(filling->contexts, filling->n_contexts, row->customer);

  if (row->message_id != 0)
    row->message = message_get(db, row->message_id, MESSAGE_SHOWN, arena);
  if (row->conversation != 0)
    row->conversation_row = conversation_get(db, row->conversation, arena);
  if (context == NULL)
    return;
  row->customer_row = context->row;
  row->n_recent = context->n_recent;
  row->recent = context->recent;
}

static void events_context(struct reader *reader, struct store_events *ask)
{
  struct context *contexts = arena_alloc(ask->op.arena, (ask->n + 1) * sizeof *contexts);
  struct filling filling = {reader, ask, contexts, contexts_open(reader, ask, contexts)};

  read_begin(reader);
  db_each(reader->db, filling.n_contexts, context_fill, &filling);
  db_each(reader->db, ask->n, event_context, &filling);
  read_end(reader);
}

/* Where the log begins and ends. */
static void events_ends(struct db *db, struct store_events *ask)
{
  struct stmt *gone = db_sql(db, "SELECT upto FROM expired WHERE name='event'"),
              *oldest = db_sql(db, "SELECT min(seq) FROM event WHERE seq>?"), *newest = db_sql(db, "SELECT max(seq) FROM event");

  ask->gone = db_step(gone) ? col_id(gone, 0) : 0;
  db_reset(gone);
  bind_id(oldest, 1, ask->gone);
  ask->oldest = ask->gone != 0 ? ask->gone : db_step(oldest) ? col_id(oldest, 0) : 0;
  db_reset(oldest);
  ask->newest = db_step(newest) ? col_id(newest, 0) : 0;
  db_reset(newest);
}

parley_status read_events(struct reader *reader, struct store_op *op)
{
  struct store_events *ask = container_of(op, struct store_events, op);
  size_t limit = read_limit(ask->n_only > 0 ? ask->n_only : ask->limit);

  ask->n = 0;
  ask->scanned_to = ask->after;
  ask->rows = arena_alloc(op->arena, limit * sizeof *ask->rows);
  read_begin(reader);
  events_ends(reader->db, ask);
  if (ask->n_only > 0)
    events_only(reader->db, ask, limit);
  else
    events_page(reader->db, ask, limit);
  read_end(reader);
  if (ask->with_context && ask->n > 0)
    events_context(reader, ask);
  return PARLEY_OK;
}
