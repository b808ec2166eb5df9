/* sqlite_read.c - the reader threads: one queue, two connections, short transactions (an open one keeps the WAL from
 * starting anew). What each kind of read does stands in sqlite_read_*.c. */
#include "sqlite_read.h"

static parley_status read_nothing(struct reader *reader, struct store_op *op)
{
  (void)reader;
  (void)op;
  return PARLEY_INVALID;
}

static read_fn *read_of(enum store_kind kind)
{
  static read_fn *const reads[] = {
      [STORE_BACKUP] = read_backup,       [STORE_MESSAGE] = read_message,           [STORE_MESSAGES] = read_messages,
      [STORE_CUSTOMER] = read_customer,   [STORE_TIMELINE] = read_timeline,         [STORE_EVENTS] = read_events,
      [STORE_CONVERSATIONS] = read_conversations, [STORE_SUPPRESSIONS] = read_suppressions, [STORE_DOCS] = read_docs,
      [STORE_MEDIA] = read_media,         [STORE_FACTS] = read_facts,               [STORE_FEED_DUE] = read_feed_due,
      [STORE_STATS] = read_stats,
  };

  return (size_t)kind < COUNT_OF(reads) && reads[kind] != NULL ? reads[kind] : read_nothing;
}

void read_begin(struct reader *reader)
{
  db_run(reader->db, db_sql(reader->db, "BEGIN"));
}

void read_end(struct reader *reader)
{
  db_run(reader->db, db_sql(reader->db, "COMMIT"));
}

static void read_run(struct reader *reader, struct store_op *op)
{
  op->status = read_of(op->kind)(reader, op);
  if (reader->db->error != 0) {
    op->status = db_status(reader->db);
    log_line(reader->store->log, PARLEY_WARN, "event=store_read_failed kind=%d why=\"%s\"", (int)op->kind,
             reader->db->why);
    db_clear_error(reader->db);
    if (!sqlite3_get_autocommit(reader->db->handle))
      sqlite3_exec(reader->db->handle, "ROLLBACK", NULL, NULL, NULL);
  }
}

void sqlite_reader_main(void *arg)
{
  struct reader *reader = arg;
  struct sqlite_store *store = reader->store;
  struct list *item, one;

  list_init(&one);
  for (;;) {
    uv_mutex_lock(&store->read_lock);
    while (list_empty(&store->reading) && !store->read_closing)
      uv_cond_wait(&store->read_wake, &store->read_lock);
    item = list_pop(&store->reading);
    uv_mutex_unlock(&store->read_lock);
    if (item == NULL)
      return;
    read_run(reader, LIST_ITEM(item, struct store_op, link));
    list_push(&one, item);
    store_finish(store->front, &one);
  }
}
