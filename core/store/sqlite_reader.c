/* sqlite_reader.c - the reader threads: one queue, two connections, short transactions (an open one keeps the WAL from
 * starting anew). What each kind of read does stands in read_*.c. */
#include "sqlite.h"

static void reader_run(struct reader *reader, struct store_op *op)
{
  read_run(reader, op);
  if (reader->db->status != PARLEY_OK) {
    op->status = reader->db->status;
    log_line(reader->store->log, PARLEY_WARN, "event=store_read_failed kind=%d why=\"%s\"", (int)op->kind,
             reader->db->why);
    sqlite_clear_error(reader->db);
    if (!sqlite3_get_autocommit(sqlite_handle(reader->db)))
      sqlite3_exec(sqlite_handle(reader->db), "ROLLBACK", NULL, NULL, NULL);
  }
}

void sqlite_reader_main(void *arg)
{
  struct reader *reader = arg;
  struct sqlite_store *store = sqlite_of(reader->store);
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
    reader_run(reader, LIST_ITEM(item, struct store_op, link));
    list_push(&one, item);
    store_finish(store->base.front, &one);
  }
}
