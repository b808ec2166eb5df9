/* /v1/conversations: list, get with the timeline, state, assignee and tags, replies and notes. */
#include "core/base/alloc.h"
#include "core/base/text.h"
#include "core/feed/envelope.h"
#include "submit.h"

#define NOTE_BYTES_MAX ((size_t)65536)
#define ASSIGNEE_BYTES_MAX 255

struct talk {
  struct api_request *req;
  void (*then)(struct talk *talk, const struct conversation_row *row);
  id64 id;
  parley_text head; /* "conversation": {...} as it was read before the timeline */
  union {
    struct store_op op;
    struct store_conversations many;
    struct store_timeline timeline;
    struct store_conversation_put put;
    struct store_note note;
  } u;
};

static struct talk *talk_new(struct api_request *req)
{
  struct talk *talk = arena_alloc(req->arena, sizeof *talk);

  talk->req = req;
  return talk;
}

static void conversation_not_found(struct api_request *req)
{
  api_problem(req, 404, "not_found", "", "no such conversation");
}

static bool state_ok(parley_text state)
{
  return parley_text_is(state, "open") || parley_text_is(state, "pending") || parley_text_is(state, "snoozed") ||
         parley_text_is(state, "closed");
}

/* --- List --------------------------------------------------------------------------------------------------------- */

static void list_done(struct store_op *op)
{
  struct talk *talk = container_of(op, struct talk, u.op);
  struct store_conversations *many = &talk->u.many;
  struct buf body = BUF_INIT(0);
  uint64_t last;

  if (!api_went(talk->req, op))
    return;
  buf_str(&body, "{\"items\":[");
  for (size_t i = 0; i < many->n; i++) {
    buf_json_comma(&body);
    buf_conversation(&body, &many->rows[i]);
  }
  buf_char(&body, ']');
  last = many->n > 0 ? many->rows[many->n - 1].id : 0;
  api_next_cursor(talk->req, &body, many->more, &last, 1);
  arena_free(&op->arena);
  api_answer(talk->req, 200, &body);
  buf_done(&body);
}

void api_conversations_list(struct api_request *req)
{
  struct talk *talk = talk_new(req);
  struct store_conversations *many = &talk->u.many;
  parley_text customer = TEXT_EMPTY;

  if (!(api_query_text(req, "state", 16, &many->state) &&
        api_query_text(req, "assignee", ASSIGNEE_BYTES_MAX, &many->assignee) &&
        api_query_text(req, "customer", 32, &customer) && api_query_limit(req, &many->limit) &&
        api_query_cursor(req, &many->before, 1))) {
    api_problems(req);
    return;
  }
  if (many->state.len > 0 && !state_ok(many->state))
    problem_add(&req->problems, PARLEY_LIT("?state"), "bad_query", "state is open, pending, snoozed or closed");
  if (customer.len > 0 && !id_parse("cus", customer, &many->customer))
    problem_add(&req->problems, PARLEY_LIT("?customer"), "bad_query", "customer is a cus_ id");
  if (req->problems.count > 0)
    api_problems(req);
  else
    api_look(req, &talk->u.op, STORE_CONVERSATIONS, list_done);
}

/* --- One: the row first, then what is done with it ---------------------------------------------------------------- */

static void look_done(struct store_op *op)
{
  struct talk *talk = container_of(op, struct talk, u.op);
  struct arena *results = op->arena;

  if (!api_went(talk->req, op))
    return;
  if (op->status == PARLEY_OK && talk->u.many.n > 0)
    talk->then(talk, &talk->u.many.rows[0]);
  else
    conversation_not_found(talk->req);
  arena_free(&results); /* the op may be gone with its req */
}

/* then(talk, row): the row lives until it returns. */
static void talk_look(struct talk *talk, void (*then)(struct talk *, const struct conversation_row *))
{
  talk->then = then;
  talk->u.many = (struct store_conversations){.id = talk->id, .limit = 1};
  api_look(talk->req, &talk->u.op, STORE_CONVERSATIONS, look_done);
}

static void timeline_done(struct store_op *op)
{
  struct talk *talk = container_of(op, struct talk, u.op);
  struct buf body = BUF_INIT(0);

  if (!api_went(talk->req, op))
    return;
  if (op->status != PARLEY_OK) {
    arena_free(&op->arena);
    conversation_not_found(talk->req);
    return;
  }
  buf_str(&body, "{\"conversation\":");
  buf_text(&body, talk->head);
  api_timeline_items(talk->req, &body, &talk->u.timeline);
  arena_free(&op->arena);
  api_answer(talk->req, 200, &body);
  buf_done(&body);
}

static void get_found(struct talk *talk, const struct conversation_row *row)
{
  struct api_request *req = talk->req;
  struct buf head = BUF_INIT(0);

  buf_conversation(&head, row);
  talk->head = arena_text(req->arena, buf_as_text(&head));
  buf_done(&head);
  talk->u.timeline = (struct store_timeline){.conversation = talk->id};
  if (api_timeline_query(req, &talk->u.timeline))
    api_look(req, &talk->u.op, STORE_TIMELINE, timeline_done);
  else
    api_problems(req);
}

void api_conversations_get(struct api_request *req)
{
  struct talk *talk = talk_new(req);

  if (api_param_id(req, 0, "cnv", &talk->id))
    talk_look(talk, get_found);
}

/* --- Patch -------------------------------------------------------------------------------------------------------- */

static void patch_done(struct store_op *op)
{
  struct talk *talk = container_of(op, struct talk, u.op);
  struct buf body = BUF_INIT(0);

  if (!api_went(talk->req, op))
    return;
  if (op->status == PARLEY_REJECTED) {
    arena_free(&op->arena);
    api_problem(talk->req, 409, "another_is_open", "close that one first",
                "the customer has another open conversation");
    return;
  }
  if (op->status != PARLEY_OK || talk->u.put.row == NULL) {
    arena_free(&op->arena);
    conversation_not_found(talk->req);
    return;
  }
  buf_conversation(&body, talk->u.put.row);
  arena_free(&op->arena);
  api_answer(talk->req, 200, &body);
  buf_done(&body);
}

static bool patch_read(struct api_request *req, struct store_conversation_put *put)
{
  static const char *const fields[] = {"state", "assignee", "tags", NULL};
  const struct json_in *in = &req->in;
  bool ok;

  put->state.value = put->assignee.value = TEXT_EMPTY;
  ok = JSON_IN_ALL(json_in_only(in, fields), json_in_text(in, "state", 16, &put->state.value),
                   json_in_text(in, "assignee", ASSIGNEE_BYTES_MAX, &put->assignee.value),
                   api_read_tags(req, &put->tags.set, &put->tags.value));
  put->state.set = put->state.value.len > 0;
  put->assignee.set = json_object_get(req->json, "assignee") != NULL; /* null: nobody */
  if (json_object_get(req->json, "state") != NULL && !state_ok(put->state.value))
    ok = json_in_problem(in, "state", "bad_value", "state is open, pending, snoozed or closed");
  if (text_has_control(put->assignee.value))
    ok = json_in_problem(in, "assignee", "bad_value", "assignee has no control characters");
  return ok;
}

void api_conversations_patch(struct api_request *req)
{
  struct talk *talk = talk_new(req);

  if (!patch_read(req, &talk->u.put)) {
    api_problems(req);
    return;
  }
  talk->u.put.by = req->key.name;
  talk->u.put.now_ms = req->now_ms;
  if (api_param_id(req, 0, "cnv", &talk->u.put.id))
    api_submit(req, &talk->u.op, STORE_CONVERSATION_PUT, patch_done);
}

/* --- Notes -------------------------------------------------------------------------------------------------------- */

static uint32_t note_render(struct store_op *op, struct buf *body)
{
  struct store_note *note = container_of(op, struct store_note, op);

  buf_str(body, "{\"id\":");
  buf_json_id(body, "evt", note->seq);
  buf_json_key(body, "conversation");
  buf_json_id(body, "cnv", note->conversation);
  buf_char(body, '}');
  return 201;
}

static void note_done(struct store_op *op)
{
  struct talk *talk = container_of(op, struct talk, u.op);

  if (!api_went(talk->req, op))
    return;
  if (op->status == PARLEY_OK) {
    api_answer_op(talk->req, op);
    return;
  }
  arena_free(&op->arena);
  conversation_not_found(talk->req);
}

void api_conversations_note(struct api_request *req)
{
  static const char *const fields[] = {"text", NULL};
  struct talk *talk = talk_new(req);
  struct store_note *note = &talk->u.note;

  note->text = TEXT_EMPTY;
  if (!JSON_IN_ALL(json_in_only(&req->in, fields), json_in_text(&req->in, "text", NOTE_BYTES_MAX, &note->text))) {
    api_problems(req);
    return;
  }
  if (note->text.len == 0) {
    json_in_problem(&req->in, "text", "missing", "text is needed: what the note says");
    api_problems(req);
    return;
  }
  note->by = req->key.name;
  note->now_ms = req->now_ms;
  note->op.render = note_render;
  if (api_param_id(req, 0, "cnv", &note->conversation))
    api_submit(req, &talk->u.op, STORE_NOTE, note_done);
}

/* --- Replies ------------------------------------------------------------------------------------------------------ */

static void reply_found(struct talk *talk, const struct conversation_row *row)
{
  struct reply reply = {.topic = TEXT_EMPTY, .channel = TEXT_EMPTY, .last_channel = row->channel, .customer = row->customer,
                        .conversation = row->id};
  struct submission *submission = submission_reply(talk->req, &talk->req->in, &reply);

  if (submission == NULL)
    api_problems(talk->req);
  else
    api_accept(talk->req, submission);
}

void api_conversations_reply(struct api_request *req)
{
  struct talk *talk = talk_new(req);

  if (api_param_id(req, 0, "cnv", &talk->id))
    talk_look(talk, reply_found);
}
