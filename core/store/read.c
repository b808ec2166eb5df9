/* read.c - what each kind of read does, by its table; each is one snapshot. */
#include "read.h"

static parley_status read_nothing(struct reader *reader, struct store_op *op)
{
  (void)reader;
  (void)op;
  return PARLEY_INVALID;
}

static parley_status read_backup(struct reader *reader, struct store_op *op)
{
  return reader->store->ways->backup(reader, op);
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
  if (!reader->store->ways->op_is_snapshot)
    db_run(db_sql(reader->db, "BEGIN"));
}

void read_end(struct reader *reader)
{
  if (!reader->store->ways->op_is_snapshot)
    db_run(db_sql(reader->db, "COMMIT"));
}

void read_run(struct reader *reader, struct store_op *op)
{
  op->status = read_of(op->kind)(reader, op);
}
