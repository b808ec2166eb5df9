/* write_conversation.c - the thread with one customer over all channels: at most one is open, and the customer's row says
 * which. */
#include "read.h"
#include "write.h"
#include "core/base/text.h"

bool conversation_find(struct round *round, id64 id, id64 *ret_customer)
{
  struct stmt *get = db_sql(round->db, "SELECT customer FROM conversation WHERE id=?");
  bool there;

  bind_id(get, 1, id);
  there = db_step(get);
  if (there)
    *ret_customer = col_id(get, 0);
  db_reset(get);
  return there;
}

static void customer_open_set(struct round *round, id64 customer, id64 conversation)
{
  struct stmt *put = db_sql(round->db, "UPDATE customer SET conversation=? WHERE id=?");

  bind_id(put, 1, conversation);
  bind_id(put, 2, customer);
  db_run(put);
}

id64 conversation_open(struct round *round, const struct conversation_row *row)
{
  struct stmt *put = db_sql(round->db, "INSERT INTO conversation(id, customer, identity, state, assignee, tags, channel,"
                                        " channel_kind, subject, opened, updated, closed, last_inbound, version)"
                                        " VALUES(?, ?, ?, 'open', '', '[]', ?, ?, ?, ?, ?, 0, ?, 1)");
  id64 id = id_next(&round->store->ids);

  bind_id(put, 1, id);
  bind_id(put, 2, row->customer);
  bind_id(put, 3, row->identity);
  bind_text(put, 4, row->channel);
  bind_text(put, 5, row->channel_kind);
  bind_text(put, 6, row->subject);
  bind_int(put, 7, row->opened_ms);
  bind_int(put, 8, row->opened_ms);
  bind_int(put, 9, row->last_inbound_ms);
  db_run(put);
  customer_open_set(round, row->customer, id);
  buf_clear(&round->scratch);
  buf_str(&round->scratch, "{\"state\":\"open\",\"channel\":");
  buf_json_text(&round->scratch, row->channel);
  buf_char(&round->scratch, '}');
  round_event(round, "conversation.opened", row->opened_ms, row->customer, row->identity, id, 0, buf_as_text(&round->scratch));
  return id;
}

static void tell_updated(struct round *round, const struct conversation_row *row, parley_text by, int64_t now_ms)
{
  struct buf *data = &round->scratch;

  buf_clear(data);
  buf_str(data, "{\"state\":");
  buf_json_text(data, row->state);
  buf_str(data, ",\"assignee\":");
  buf_json_text(data, row->assignee);
  if (by.len > 0) {
    buf_str(data, ",\"by\":");
    buf_json_text(data, by);
  }
  buf_char(data, '}');
  round_event(round, "conversation.updated", now_ms, row->customer, row->identity, row->id, 0, buf_as_text(data));
}

void conversation_heard(struct round *round, id64 id, id64 identity, parley_text channel, parley_text channel_kind,
                        int64_t now_ms, struct arena *arena)
{
  struct stmt *put = db_sql(round->db, "UPDATE conversation SET identity=?, channel=?, channel_kind=?, updated=?, last_inbound=?,"
                                        " version=version+1, state='open' WHERE id=?");
  struct conversation_row *row = conversation_get(round->db, id, arena);

  if (row == NULL)
    return;
  bind_id(put, 1, identity);
  bind_text(put, 2, channel);
  bind_text(put, 3, channel_kind);
  bind_int(put, 4, now_ms);
  bind_int(put, 5, now_ms);
  bind_id(put, 6, id);
  db_run(put);
  if (parley_text_is(row->state, "open"))
    return;
  row->state = PARLEY_LIT("open"); /* it was pending or snoozed: the customer has written */
  tell_updated(round, row, TEXT_EMPTY, now_ms);
}

void conversation_reopen(struct round *round, id64 id, int64_t now_ms, struct arena *arena)
{
  struct stmt *put = db_sql(round->db, "UPDATE conversation SET state='open', closed=0, updated=?, version=version+1 WHERE id=?");
  struct conversation_row *row = conversation_get(round->db, id, arena);

  if (row == NULL)
    return;
  bind_int(put, 1, now_ms);
  bind_id(put, 2, id);
  db_run(put);
  customer_open_set(round, row->customer, id);
  row->state = PARLEY_LIT("open");
  tell_updated(round, row, TEXT_EMPTY, now_ms);
}

/* --- what its messages are called --------------------------------------------------------------------------------------------- */

void thread_put(struct round *round, id64 conversation, id64 message, parley_text channel, parley_text provider_id, bool inbound)
{
  struct stmt *put = db_sql(round->db, "INSERT INTO thread(conversation, message, channel, provider_id, inbound) VALUES(?, ?, ?, ?, ?)"
                                        " ON CONFLICT DO NOTHING");

  if (conversation == 0 || provider_id.len == 0)
    return;
  bind_id(put, 1, conversation);
  bind_id(put, 2, message);
  bind_text(put, 3, channel);
  bind_text(put, 4, provider_id);
  bind_int(put, 5, inbound);
  db_run(put);
}

void thread_load(struct round *round, struct arena *arena, struct claim *claim)
{
  struct stmt *get = db_sql(round->db, "SELECT provider_id, inbound, (SELECT subject FROM conversation WHERE id=thread.conversation)"
                                        " FROM thread WHERE conversation=? AND channel=? AND message<?"
                                        " ORDER BY message DESC LIMIT ?");
  parley_text *ids;
  size_t n = 0;

  claim->n_thread = 0;
  claim->reply_to = claim->subject = TEXT_EMPTY;
  if (claim->conversation == 0 || claim->lane != LANE_CONVERSATION)
    return;
  ids = arena_alloc(arena, STORE_THREAD_MAX * sizeof(*ids));
  bind_id(get, 1, claim->conversation);
  bind_text(get, 2, claim->channel);
  bind_id(get, 3, claim->message);
  bind_int(get, 4, STORE_THREAD_MAX);
  while (n < STORE_THREAD_MAX && db_step(get)) {
    ids[STORE_THREAD_MAX - ++n] = col_text(get, 0, arena);
    if (claim->reply_to.len == 0 && col_int(get, 1) != 0)
      claim->reply_to = ids[STORE_THREAD_MAX - n];
    if (n == 1) /* of what was never said on this channel there is nothing to repeat */
      claim->subject = col_text(get, 2, arena);
  }
  db_reset(get);
  claim->n_thread = n;
  claim->thread = ids + STORE_THREAD_MAX - n;
}

static void conversation_write(struct round *round, const struct conversation_row *row)
{
  struct stmt *put = db_sql(round->db, "UPDATE conversation SET state=?, assignee=?, tags=?, updated=?, closed=?, version=?"
                                        " WHERE id=?");

  bind_text(put, 1, row->state);
  bind_text(put, 2, row->assignee);
  bind_text(put, 3, row->tags);
  bind_int(put, 4, row->updated_ms);
  bind_int(put, 5, row->closed_ms);
  bind_int(put, 6, row->version);
  bind_id(put, 7, row->id);
  db_run(put);
}

/* Opening a closed one again is refused while the customer has another open one: at most one is. */
static bool state_change(struct round *round, struct conversation_row *row, parley_text state, struct arena *arena)
{
  bool was_closed = parley_text_is(row->state, "closed"), closes = parley_text_is(state, "closed");
  struct customer_brief customer;

  if (was_closed && !closes) {
    if (customer_find(round->db, row->customer, arena, &customer) && customer.conversation != 0)
      return false;
    customer_open_set(round, row->customer, row->id);
    row->closed_ms = 0;
  } else if (!was_closed && closes) {
    customer_open_set(round, row->customer, 0);
    row->closed_ms = row->updated_ms;
  }
  row->state = arena_text(arena, state);
  return true;
}

parley_status write_conversation_put(struct round *round, struct store_op *op)
{
  struct store_conversation_put *put = container_of(op, struct store_conversation_put, op);
  struct conversation_row *row = conversation_get(round->db, put->id, op->arena);

  if (row == NULL)
    return PARLEY_NOT_FOUND;
  put->row = row;
  row->updated_ms = put->now_ms;
  if (put->state.set && !state_change(round, row, put->state.value, op->arena))
    return PARLEY_REJECTED;
  if (put->assignee.set)
    row->assignee = arena_text(op->arena, put->assignee.value);
  if (put->tags.set)
    row->tags = arena_text(op->arena, put->tags.value);
  row->version++;
  conversation_write(round, row);
  tell_updated(round, row, put->by, put->now_ms);
  return PARLEY_OK;
}

parley_status write_note(struct round *round, struct store_op *op)
{
  struct store_note *note = container_of(op, struct store_note, op);
  struct buf *data = &round->scratch;
  id64 customer;

  if (!conversation_find(round, note->conversation, &customer))
    return PARLEY_NOT_FOUND;
  buf_clear(data);
  buf_str(data, "{\"text\":");
  buf_json_text(data, note->text);
  buf_str(data, ",\"by\":");
  buf_json_text(data, note->by);
  buf_char(data, '}');
  note->seq = round_event(round, "conversation.note", note->now_ms, customer, 0, note->conversation, 0, buf_as_text(data));
  return PARLEY_OK;
}
