/* postgres_reader.c - reads: each op is one snapshot on one of PG_READERS connections, a fiber. */
#include "postgres.h"

static void op_finish(struct pg_store *store, struct store_op *op)
{
  struct list one;

  list_init(&one);
  list_push(&one, &op->link);
  store_finish(store->base.front, &one);
}

static void read_failed(struct pg_store *store, struct pg_reader *reader, struct store_op *op)
{
  op->status = reader->db.base.status;
  log_line(store->base.log, PARLEY_WARN, "event=store_read_failed kind=%d why=\"%s\"", (int)op->kind, reader->db.base.why);
  if (!reader->link.lost)
    pg_rollback(&reader->db);
}

static void reading_main(struct fiber *self, void *arg)
{
  struct pg_reader *reader = arg;
  struct pg_store *store = pg_of(reader->reader.store);
  struct pg_link *link = &reader->link;
  struct list *item;

  while (!link->lost && (item = list_pop(&store->reading)) != NULL) {
    struct store_op *op = LIST_ITEM(item, struct store_op, link);

    pg_db_use(&reader->db, link, self);
    pg_command(&reader->db, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
    read_run(&reader->reader, op);
    pg_command(&reader->db, "COMMIT");
    pg_link_sync(link);
    pg_db_settle(&reader->db);
    if (reader->db.base.status != PARLEY_OK)
      read_failed(store, reader, op);
    pg_db_leave(&reader->db);
    op_finish(store, op);
  }
  reader->busy = false;
  pg_closing_step(store);
}

void pg_read_try(struct pg_store *store)
{
  bool any = false;

  for (size_t i = 0; i < PG_READERS && !list_empty(&store->reading); i++) {
    struct pg_reader *reader = &store->readers[i];

    if (reader->link.conn == NULL || reader->link.lost)
      continue;
    any = true;
    if (reader->busy)
      continue;
    reader->busy = true;
    fiber_start(&store->fibers, reading_main, reader);
    pg_link_run(&reader->link);
  }
  while (!any && !list_empty(&store->reading)) {
    struct store_op *op = LIST_ITEM(list_pop(&store->reading), struct store_op, link);

    op->status = PARLEY_RETRY;
    op_finish(store, op);
  }
}
