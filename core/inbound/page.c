#include "page.h"
#include "core/base/alloc.h"
#include "core/base/text.h"
#include <stdio.h>
#include <stdlib.h>

struct page_call {
  struct store_timeline op;
  struct arena *arena;
  parley_text channel; /* this_channel: only its entries */
  bool bad_cursor;     /* told when the read is over: never within the call */
  parley_page_done *done;
  void *done_arg;
  page_over_fn *over;
  void *arg;
};

/* --- Timeline rows as the ABI's events ---------------------------------------------------------------------------- */

static parley_text page_id(struct arena *arena, const char *prefix, id64 id)
{
  char text[ID_TEXT_MAX];

  if (id == 0)
    return TEXT_EMPTY;
  id_format(prefix, id, text);
  return arena_text(arena, parley_text_of(text));
}

static parley_text page_body_text(parley_bytes body, struct arena *arena)
{
  struct problems problems;
  json_t *json;
  parley_text text;

  problems_init(&problems, arena);
  json = json_read(body, &problems);
  text = arena_text(arena, json_text(json_object_get(json_object_get(json, "content"), "text")));
  json_decref(json);
  return text;
}

static const parley_event *page_event(const struct timeline_row *row, struct arena *arena)
{
  parley_event *event = arena_alloc(arena, sizeof *event);
  const struct message_row *message = row->message;
  parley_part *part = arena_alloc(arena, sizeof *part);
  const parley_part **parts = arena_alloc(arena, sizeof *parts);

  *event = (parley_event){
      .size = sizeof *event, .at_ms = row->at_ms, .id = page_id(arena, "evt", row->seq), .type = row->type};
  if (message == NULL)
    return event;
  *part = (parley_part){.size = sizeof *part, .kind = PARLEY_PART_TEXT, .text = page_body_text(message->body, arena)};
  parts[0] = part;
  event->inbound = message->inbound;
  event->channel = message->channel;
  event->message_id = page_id(arena, "msg", message->id);
  event->provider_id = message->provider_id;
  event->state = parley_text_of(message->inbound ? "received" : message_state_name(message->state));
  event->n_parts = part->text.len > 0;
  event->parts = parts;
  return event;
}

static const parley_event *const *page_events(const struct store_timeline *timeline, parley_text only_channel, struct arena *arena,
                                              uint64_t *ret_n, const parley_customer **ret_customer)
{
  const parley_event **events = arena_alloc(arena, (timeline->n + 1) * sizeof *events);
  parley_customer *customer = arena_alloc(arena, sizeof *customer);

  *ret_n = 0;
  for (size_t i = 0; i < timeline->n; i++) {
    const struct message_row *message = timeline->rows[i].message;

    if (only_channel.len > 0 && (message == NULL || !text_eq(message->channel, only_channel)))
      continue;
    events[(*ret_n)++] = page_event(&timeline->rows[i], arena);
  }
  if (timeline->row != NULL) {
    *customer = (parley_customer){.size = sizeof *customer,
                                  .id = page_id(arena, "cus", timeline->row->id),
                                  .name = timeline->row->name,
                                  .locale = timeline->row->locale,
                                  .timezone = timeline->row->timezone};
    *ret_customer = customer;
  }
  return events;
}

/* "<ms>.<seq>" of the last entry that was read, whether or not it was shown. */
static parley_text cursor_make(const struct store_timeline *timeline, struct arena *arena)
{
  const struct timeline_row *last = timeline->n > 0 ? &timeline->rows[timeline->n - 1] : NULL;
  char text[48];

  if (last == NULL || !timeline->more)
    return TEXT_EMPTY;
  snprintf(text, sizeof text, "%lld.%llu", (long long)last->at_ms, (unsigned long long)last->seq);
  return arena_text(arena, parley_text_of(text));
}

/* Empty is the beginning; false: none of ours. */
static bool cursor_read(parley_text cursor, struct timeline_cursor *ret)
{
  parley_text seq = cursor, at = text_cut(&seq, '.');
  struct timeline_cursor read = {0};

  if (cursor.len > 0 && (!text_to_int(at, 0, INT64_MAX, &read.at_ms) || !text_to_uint(seq, UINT64_MAX, &read.seq)))
    return false;
  *ret = read;
  return true;
}

/* --- Reading ------------------------------------------------------------------------------------------------------ */

static void page_on_read(struct store_op *op)
{
  struct page_call *call = container_of(op, struct page_call, op.op);
  parley_page page = {.size = sizeof page, .status = call->bad_cursor ? PARLEY_INVALID : op->status};
  page_over_fn *over = call->over;
  void *arg = call->arg;

  if (page.status == PARLEY_OK) {
    page.events = page_events(&call->op, call->channel, call->arena, &page.n_events, &page.customer);
    page.cursor = cursor_make(&call->op, call->arena);
  }
  call->done(&page, call->done_arg);
  arena_free(&op->arena);
  arena_free(&call->arena);
  free(call);
  over(arg); /* last: the callee may free what we borrowed */
}

void page_read(struct store *store, const struct page_asked *asked, parley_page_done *done, void *done_arg, page_over_fn *over,
               void *arg)
{
  struct page_call *call = xcalloc(1, sizeof *call);
  const parley_query *query = asked->query;
  struct problems problems;

  call->arena = arena_new();
  call->done = done;
  call->done_arg = done_arg;
  call->over = over;
  call->arg = arg;
  problems_init(&problems, call->arena);
  if (query->this_channel != 0)
    call->channel = arena_text(call->arena, asked->channel);
  if (!id_parse("cus", query->customer_id, &call->op.customer))
    call->op.customer = 0;
  if (!id_parse("cnv", query->conversation_id, &call->op.conversation))
    call->op.conversation = 0;
  if (query->who != NULL)
    identity_normalise(&asked->phones, query->who->kind, query->who->value, call->arena, TEXT_EMPTY, &problems, &call->op.who);
  call->bad_cursor = !cursor_read(query->cursor, &call->op.after);
  call->op.oldest_first = query->oldest_first != 0;
  call->op.bodies = true;
  call->op.limit = query->limit > 0 && query->limit <= PAGE_EVENTS_MAX ? query->limit : PAGE_EVENTS_DEFAULT;
  call->op.op.kind = STORE_TIMELINE;
  call->op.op.done = page_on_read;
  store_submit(store, &call->op.op);
}
