/* /v1/messages: accept (one, or a batch), look, list, cancel, resolve; /v1/explain. */
#include "core/base/alloc.h"
#include "core/base/clock.h"
#include "core/base/text.h"
#include "core/feed/envelope.h"
#include "compose.h"
#include "fitting.h"
#include "submit.h"

#define BATCH_ITEMS_MAX 500

/* --- Accept ------------------------------------------------------------------------------------------------------- */

static void buf_warnings(struct buf *buf, const struct decision *decision)
{
  if (decision->n_warnings == 0)
    return;
  buf_json_key(buf, "warnings");
  buf_char(buf, '[');
  for (size_t i = 0; i < decision->n_warnings; i++) {
    buf_json_comma(buf);
    buf_str(buf, "{\"code\":");
    buf_json_str(buf, decision->warnings[i].code);
    buf_json_key(buf, "detail");
    buf_json_text(buf, decision->warnings[i].detail);
    buf_char(buf, '}');
  }
  buf_char(buf, ']');
}

void buf_accepted(struct buf *buf, const struct accept_item *item)
{
  const struct decision *decision = item->decision;

  buf_str(buf, "{\"id\":");
  buf_json_id(buf, "msg", item->message);
  buf_json_key(buf, "status");
  buf_json_str(buf, decision->end != NULL && decision->first < 0 ? decision->end : "accepted");
  if (decision->first < 0 && decision->reason != NULL) {
    buf_json_key(buf, "reason");
    buf_json_str(buf, decision->reason);
  }
  buf_json_key(buf, "customer");
  buf_json_id(buf, "cus", item->customer);
  if (item->conversation != 0) {
    buf_json_key(buf, "conversation");
    buf_json_id(buf, "cnv", item->conversation);
  }
  buf_json_key(buf, "plan");
  buf_plan(buf, decision);
  buf_warnings(buf, decision);
  if (item->result == ACCEPT_DUPLICATE_KEY)
    buf_str(buf, ",\"duplicate\":true");
  buf_char(buf, '}');
}

struct refusal accept_refusal(enum accept_result result)
{
  switch (result) {
  case ACCEPT_NO_CUSTOMER:
    return (struct refusal){404, "customer_not_found", "the customer in `to` does not exist"};
  case ACCEPT_CONFLICT:
    return (struct refusal){
        409, "identity_conflict",
        "the identities in `to` belong to different customers; say which one by customer or external"};
  case ACCEPT_NO_CONVERSATION:
    return (struct refusal){404, "conversation_not_found", "no such conversation"};
  case ACCEPTED:
  case ACCEPT_DUPLICATE_KEY:
    break;
  }
  return (struct refusal){0, "", ""};
}

static void buf_refusal(struct buf *buf, struct refusal refusal)
{
  buf_printf(buf, "{\"status\":%u,\"code\":\"%s\"", refusal.code, refusal.problem);
  buf_json_key(buf, "detail");
  buf_json_str(buf, refusal.detail);
  buf_char(buf, '}');
}

struct accept {
  struct api_request *req;
  struct store_accept op;
  struct accept_item one;
  void (*then)(struct api_request *req, const struct accept_item *item, void *arg); /* NULL: it is answered as POST /v1/messages */
  void *arg;
  json_t *array; /* batch */
  struct submission **submissions; /* batch: by index; NULL: refused */
  struct {
    uint32_t code;
    parley_text body;
  } * refused; /* batch: items that never came to the store, by index */
};

/* A duplicate shows the first message's decision, which comes as it was stored. */
static void accept_read_first(struct accept_item *item, struct arena *arena)
{
  if (item->decision != NULL || item->result != ACCEPT_DUPLICATE_KEY)
    return;
  item->decision = arena_alloc(arena, sizeof *item->decision);
  item->decision->first = -1;
  if (!decision_read(item->decision_json, arena, item->decision))
    *item->decision = (struct decision){.first = -1};
}

uint32_t accept_render(struct store_op *op, struct buf *body)
{
  struct store_accept *accept = container_of(op, struct store_accept, op);
  struct accept_item *item = &accept->items[0];
  struct refusal refusal = accept_refusal(item->result);

  accept_read_first(item, op->arena);

  if (refusal.code != 0) {
    buf_refusal(body, refusal);
    return refusal.code;
  }
  buf_accepted(body, item);
  return item->result == ACCEPT_DUPLICATE_KEY ? 200 : 202;
}

/* Nobody would look for what was put off until a time of day. */
static void accept_tell_due(struct api_request *req, const struct store_accept *accept, const struct accept_item *item)
{
  const struct submission *submission = item->submission;

  if (accept->op.status != PARLEY_OK || accept->op.replay != REPLAY_NO || item->result != ACCEPTED ||
      item->state != MESSAGE_QUEUED || submission->not_before_ms <= submission->now_ms || item->decision->first < 0)
    return;
  deliver_due(req->shared->deliver, item->decision->steps[item->decision->first].channel,
              lane_of(submission->topic->class, submission->test), submission->not_before_ms);
}

/* What was claimed in the accept's own transaction goes on from memory; the rest of the submissions are ours to free.
 */
void accept_hand_on(struct api_request *req, struct store_accept *accept)
{
  for (size_t i = 0; i < accept->n_items; i++) {
    struct accept_item *item = &accept->items[i];

    if (accept->op.status == PARLEY_OK && item->claim != NULL) {
      deliver_take(req->shared->deliver, item->claim);
      item->submission = NULL;
    } else {
      accept_tell_due(req, accept, item);
      submission_free(&item->submission);
    }
  }
}

static void accept_done(struct store_op *op)
{
  struct accept *accept = container_of(op, struct accept, op.op);
  struct api_request *req = accept->req;
  bool went = op->status == PARLEY_OK && op->replay == REPLAY_NO;
  struct refusal refusal = went ? accept_refusal(accept->one.result) : (struct refusal){0, "", ""};
  struct buf body = BUF_INIT(0);

  if (went && refusal.code == 0 && op->answer.len == 0)
    op->answer_status = accept_render(op, &body); /* now: the decision points into the submission, which goes on */
  accept_hand_on(req, &accept->op);
  if (!api_went(req, op)) {
    buf_done(&body);
    return;
  }
  if (refusal.code == 0 && body.len == 0) {
    api_answer_op(req, op);
    return;
  }
  arena_free(&op->arena);
  if (refusal.code != 0)
    api_problem(req, refusal.code, refusal.problem, "", "%s", refusal.detail);
  else
    api_answer(req, accept->op.op.answer_status, &body);
  buf_done(&body);
}

static void accept_then_done(struct store_op *op)
{
  struct accept *accept = container_of(op, struct accept, op.op);
  struct arena *results = op->arena;

  accept_hand_on(accept->req, &accept->op);
  if (!api_went(accept->req, op))
    return;
  accept->then(accept->req, &accept->one, accept->arg);
  arena_free(&results);
}

void api_accept_then(struct api_request *req, struct submission *submission,
                     void (*then)(struct api_request *req, const struct accept_item *item, void *arg), void *arg)
{
  struct accept *accept = arena_alloc(req->arena, sizeof *accept);

  accept->req = req;
  accept->then = then;
  accept->arg = arg;
  accept->one.submission = submission;
  accept->op.decide = decide;
  accept->op.n_items = 1;
  accept->op.items = &accept->one;
  api_look(req, &accept->op.op, STORE_ACCEPT, accept_then_done);
}

void api_accept(struct api_request *req, struct submission *submission)
{
  struct accept *accept = arena_alloc(req->arena, sizeof *accept);

  accept->req = req;
  accept->one.submission = submission;
  accept->op.decide = decide;
  accept->op.n_items = 1;
  accept->op.items = &accept->one;
  accept->op.op.render = accept_render;
  api_submit(req, &accept->op.op, STORE_ACCEPT, accept_done);
}

/* One whose content a template makes. */
static void send_refused(struct api_request *req, size_t at, void *arg)
{
  (void)req;
  (void)at;
  (void)arg; /* told once all is done: the answer ends the request */
}

static void send_composed(struct api_request *req, parley_status status, void *arg)
{
  struct submission **submission = arg;

  if (req->problems.count > 0) {
    api_problems(req);
  } else if (status != PARLEY_OK) {
    submission_free(submission);
    api_store_problem(req, status);
  } else {
    api_accept(req, *submission);
  }
}

static void send_compose(struct api_request *req, struct submission *submission)
{
  static const struct compose_calls calls = {.refused = send_refused, .done = send_composed};
  struct submission **kept = arena_alloc(req->arena, sizeof(struct submission *));

  *kept = submission;
  compose(req, kept, 1, false, &calls, kept);
}

void api_messages_send(struct api_request *req)
{
  struct submission *submission = submission_read(req, &req->in, req->http->body);

  if (submission == NULL)
    api_problems(req);
  else if (submission->template == NULL)
    api_accept(req, submission);
  else
    send_compose(req, submission);
}

/* --- A batch: one result an item, in order ------------------------------------------------------------------------ */

static void batch_item(struct buf *body, const struct accept *accept, size_t at, size_t *next)
{
  struct accept_item *item;
  struct refusal refusal;

  buf_json_comma(body);
  if (accept->refused[at].code != 0) {
    buf_text(body, accept->refused[at].body);
    return;
  }
  item = &accept->op.items[(*next)++];
  accept_read_first(item, accept->op.op.arena);
  refusal = accept_refusal(item->result);
  if (refusal.code != 0) {
    buf_refusal(body, refusal);
    return;
  }
  buf_printf(body, "{\"status\":%d,\"message\":", item->result == ACCEPT_DUPLICATE_KEY ? 200 : 202);
  buf_accepted(body, item);
  buf_char(body, '}');
}

static uint32_t batch_render(struct store_op *op, struct buf *body)
{
  struct accept *accept = container_of(op, struct accept, op.op);
  size_t next = 0;

  buf_str(body, "{\"items\":[");
  for (size_t i = 0; i < json_array_size(accept->array); i++)
    batch_item(body, accept, i, &next);
  buf_str(body, "]}");
  return 200;
}

static void batch_done(struct store_op *op)
{
  struct accept *accept = container_of(op, struct accept, op.op);
  struct api_request *req = accept->req;
  struct buf body = BUF_INIT(0);
  bool went = op->replay == REPLAY_NO && op->status == PARLEY_OK;

  if (went && op->answer.len == 0) {
    batch_render(op, &body); /* before the submissions go: decisions and items point into them */
    op->answer_status = 200;
    accept_hand_on(req, &accept->op);
    arena_free(&op->arena);
    api_answer(req, 200, &body);
    buf_done(&body);
    return;
  }
  accept_hand_on(req, &accept->op);
  if (api_went(req, op))
    api_answer_op(req, op);
}

/* The item's own problems become its result; the rest of the batch goes on. */
static void batch_refuse(struct api_request *req, struct accept *accept, size_t at)
{
  const struct problem *first = &req->problems.rows[0];
  struct buf body = BUF_INIT(8192);

  buf_printf(&body, "{\"status\":422,\"code\":\"%s\"", first->code);
  buf_json_key(&body, "detail");
  buf_json_text(&body, first->detail);
  buf_json_key(&body, "pointer");
  buf_json_text(&body, first->pointer);
  if (first->hint.len > 0) {
    buf_json_key(&body, "hint");
    buf_json_text(&body, first->hint);
  }
  buf_char(&body, '}');
  accept->refused[at].code = 422;
  accept->refused[at].body = arena_text(req->arena, buf_as_text(&body));
  buf_done(&body);
  problems_init(&req->problems, req->arena);
}

static void batch_read_item(struct api_request *req, struct accept *accept, size_t at)
{
  json_t *item = json_array_get(accept->array, at);
  struct json_in in = {.object = item,
                       .pointer = pointer_index(req->arena, PARLEY_LIT("/items"), at),
                       .arena = req->arena,
                       .problems = &req->problems};
  struct submission *submission = NULL;
  struct buf body = BUF_INIT(0);

  if (json_is_object(item)) {
    buf_json_value(&body, item);
    submission = submission_read(req, &in, buf_as_text(&body));
    buf_done(&body);
  } else {
    problem_add(&req->problems, in.pointer, "bad_type", "a message is a JSON object");
  }
  accept->submissions[at] = submission;
  if (submission == NULL)
    batch_refuse(req, accept, at);
}

static void batch_refused(struct api_request *req, size_t at, void *arg)
{
  batch_refuse(req, arg, at);
}

static void batch_composed(struct api_request *req, parley_status status, void *arg)
{
  struct accept *accept = arg;
  size_t n = json_array_size(accept->array);

  for (size_t i = 0; i < n; i++) {
    if (status != PARLEY_OK)
      submission_free(&accept->submissions[i]);
    else if (accept->submissions[i] != NULL)
      accept->op.items[accept->op.n_items++].submission = accept->submissions[i];
  }
  if (status != PARLEY_OK)
    api_store_problem(req, status);
  else
    api_submit(req, &accept->op.op, STORE_ACCEPT, batch_done);
}

void api_messages_batch(struct api_request *req)
{
  static const char *const fields[] = {"items", NULL};
  static const struct compose_calls calls = {.refused = batch_refused, .done = batch_composed};
  struct accept *accept = arena_alloc(req->arena, sizeof *accept);
  size_t n;

  accept->req = req;
  if (!json_in_only(&req->in, fields) || !json_in_array(&req->in, "items", BATCH_ITEMS_MAX, &accept->array)) {
    api_problems(req);
    return;
  }
  n = json_array_size(accept->array);
  if (n == 0) {
    api_problem(req, 422, "empty", "", "items needs 1 to %d messages", BATCH_ITEMS_MAX);
    return;
  }
  accept->refused = arena_alloc(req->arena, n * sizeof *accept->refused);
  accept->op.items = arena_alloc(req->arena, n * sizeof *accept->op.items);
  accept->submissions = arena_alloc(req->arena, n * sizeof(struct submission *));
  for (size_t i = 0; i < n; i++)
    batch_read_item(req, accept, i);
  accept->op.decide = decide;
  accept->op.op.render = batch_render;
  compose(req, accept->submissions, n, true, &calls, accept);
}

/* --- Looking ------------------------------------------------------------------------------------------------------ */

struct look {
  struct api_request *req;
  union {
    struct store_op op;
    struct store_message one;
    struct store_messages many;
    struct store_facts facts;
  } u;
};

static void get_done(struct store_op *op)
{
  struct look *look = container_of(op, struct look, u.op);
  const struct message_row *row = look->u.one.row;
  struct buf body = BUF_INIT(0);
  struct fitting fitting;

  if (!api_went(look->req, op))
    return;
  if (op->status != PARLEY_OK) {
    arena_free(&op->arena);
    api_problem(look->req, 404, "not_found", "", "no such message");
    return;
  }
  fitting = (struct fitting){.req = look->req,
                             .body = row->body,
                             .topic = policy_find_topic(look->req->policy, row->topic),
                             .message = row->id,
                             .customer = row->customer,
                             .expires_ms = row->expires_ms};
  buf_message_whole(&body, row, buf_fitting, &fitting);
  json_decref(fitting.json);
  arena_free(&op->arena);
  api_answer(look->req, 200, &body);
  buf_done(&body);
}

static void message_show(struct api_request *req, id64 id)
{
  struct look *look = arena_alloc(req->arena, sizeof *look);

  look->req = req;
  look->u.one.id = id;
  req->has_idem = false; /* a read */
  api_submit(req, &look->u.op, STORE_MESSAGE, get_done);
}

void api_messages_get(struct api_request *req)
{
  id64 id;

  if (api_param_id(req, 0, "msg", &id))
    message_show(req, id);
}

static void list_done(struct store_op *op)
{
  struct look *look = container_of(op, struct look, u.op);
  struct store_messages *many = &look->u.many;
  struct buf body = BUF_INIT(0);
  uint64_t last;

  if (!api_went(look->req, op))
    return;
  buf_str(&body, "{\"items\":[");
  for (size_t i = 0; i < many->n; i++) {
    buf_json_comma(&body);
    buf_message(&body, &many->rows[i]);
  }
  buf_char(&body, ']');
  last = many->last; /* a page may be shorter than what was looked at */
  api_next_cursor(look->req, &body, many->more, &last, 1);
  arena_free(&op->arena);
  api_answer(look->req, 200, &body);
  buf_done(&body);
}

static bool list_filter(struct api_request *req, struct store_messages *many)
{
  parley_text status = TEXT_EMPTY, since = TEXT_EMPTY, direction = TEXT_EMPTY, customer = TEXT_EMPTY;
  enum message_state state;
  bool given;

  many->state = many->inbound = -1;
  if (!(api_query_text(req, "status", 32, &status) && api_query_text(req, "since", 64, &since) &&
        api_query_text(req, "topic", 64, &many->topic) && api_query_text(req, "channel", 64, &many->channel) &&
        api_query_text(req, "direction", 8, &direction) && api_query_text(req, "customer", 32, &customer) &&
        api_query_identity(req, "to", &many->to, &given) && api_query_limit(req, &many->limit) &&
        api_query_cursor(req, &many->before, 1)))
    return false;
  if (status.len > 0 && !message_state_parse(status, &state))
    problem_add(&req->problems, PARLEY_LIT("?status"), "bad_query",
                "status is queued, sending, sent, delivered, read, failed, expired, cancelled, suppressed or held");
  else if (status.len > 0)
    many->state = (int)state;
  if (since.len > 0 && !time_parse(since, &many->since_ms))
    problem_add(&req->problems, PARLEY_LIT("?since"), "bad_query", "since is a time such as 2026-11-21T22:01:09Z");
  if (direction.len > 0 && !parley_text_is(direction, "in") && !parley_text_is(direction, "out"))
    problem_add(&req->problems, PARLEY_LIT("?direction"), "bad_query", "direction is in or out");
  else if (direction.len > 0)
    many->inbound = parley_text_is(direction, "in");
  if (customer.len > 0 && !id_parse("cus", customer, &many->customer))
    problem_add(&req->problems, PARLEY_LIT("?customer"), "bad_query", "customer is a cus_ id");
  return req->problems.count == 0;
}

void api_messages_list(struct api_request *req)
{
  struct look *look = arena_alloc(req->arena, sizeof *look);

  look->req = req;
  if (!list_filter(req, &look->u.many))
    api_problems(req);
  else
    api_submit(req, &look->u.op, STORE_MESSAGES, list_done);
}

static void explain_done(struct store_op *op)
{
  struct look *look = container_of(op, struct look, u.op);
  struct store_facts *facts = &look->u.facts;
  struct refusal refusal = accept_refusal(facts->result);
  struct buf body = BUF_INIT(0);

  if (op->status == PARLEY_OK && refusal.code == 0) { /* before the submission goes: the decision points into it */
    const struct submission *submission = facts->submission;
    struct fitting fitting = {.req = look->req, .content = &submission->content, .topic = submission->topic,
                              .customer = facts->customer, .expires_ms = submission->expires_ms};

    buf_explain(&body, facts->decision, buf_fitting, &fitting);
  }
  submission_free(&facts->submission);
  if (!api_went(look->req, op)) {
    buf_done(&body);
    return;
  }
  arena_free(&op->arena);
  if (refusal.code != 0)
    api_problem(look->req, refusal.code, refusal.problem, "", "%s", refusal.detail);
  else
    api_answer(look->req, 200, &body);
  buf_done(&body);
}

static void explain_composed(struct api_request *req, parley_status status, void *arg)
{
  struct look *look = arg;

  if (req->problems.count > 0) {
    api_problems(req);
  } else if (status != PARLEY_OK) {
    submission_free(&look->u.facts.submission);
    api_store_problem(req, status);
  } else {
    api_submit(req, &look->u.op, STORE_FACTS, explain_done);
  }
}

/* A template is rendered first, as it would be for sending: what it says has its length. */
void api_explain(struct api_request *req)
{
  static const struct compose_calls calls = {.refused = send_refused, .done = explain_composed};
  struct look *look = arena_alloc(req->arena, sizeof *look);
  struct store_facts *facts = &look->u.facts;

  look->req = req;
  facts->submission = submission_read(req, &req->in, req->http->body);
  facts->decide = decide;
  if (facts->submission == NULL)
    api_problems(req);
  else if (facts->submission->template == NULL)
    api_submit(req, &look->u.op, STORE_FACTS, explain_done);
  else
    compose(req, &facts->submission, 1, false, &calls, look);
}

/* --- Changing ----------------------------------------------------------------------------------------------------- */

struct change {
  struct api_request *req;
  union {
    struct store_op op;
    struct store_cancel cancel;
    struct store_resolve resolve;
  } u;
};

static void cancel_done(struct store_op *op)
{
  struct change *change = container_of(op, struct change, u.op);
  struct store_cancel *cancel = &change->u.cancel;
  struct buf body = BUF_INIT(0);

  if (!api_went(change->req, op))
    return;
  if (op->status == PARLEY_NOT_FOUND) {
    arena_free(&op->arena);
    api_problem(change->req, 404, "not_found", "", "no such message");
    return;
  }
  buf_str(&body, "{\"id\":");
  buf_json_id(&body, "msg", cancel->message);
  buf_json_key(&body, "status");
  buf_json_str(&body, message_state_name(cancel->after));
  buf_printf(&body, ",\"cancelled\":%s,\"too_late\":%s}", cancel->after == MESSAGE_CANCELLED ? "true" : "false",
             cancel->too_late ? "true" : "false");
  arena_free(&op->arena);
  api_answer(change->req, 200, &body);
  buf_done(&body);
}

static void cancel_submit(struct api_request *req, id64 id, parley_text key)
{
  struct change *change = arena_alloc(req->arena, sizeof *change);

  change->req = req;
  change->u.cancel.message = id;
  change->u.cancel.key = key;
  change->u.cancel.policy = req->policy;
  api_submit(req, &change->u.op, STORE_CANCEL, cancel_done);
}

void api_messages_cancel(struct api_request *req)
{
  id64 id;

  if (api_param_id(req, 0, "msg", &id))
    cancel_submit(req, id, TEXT_EMPTY);
}

void api_messages_cancel_key(struct api_request *req)
{
  if (req->params[0].len == 0 || req->params[0].len > MESSAGE_KEY_BYTES_MAX)
    api_problem(req, 404, "not_found", "", "no such key");
  else
    cancel_submit(req, 0, req->params[0]);
}

static void resolve_done(struct store_op *op)
{
  struct change *change = container_of(op, struct change, u.op);
  struct api_request *req = change->req;
  id64 id = change->u.resolve.message;

  if (!api_went(req, op))
    return;
  arena_free(&op->arena);
  if (op->status == PARLEY_NOT_FOUND) {
    api_problem(req, 404, "not_found", "", "no such message");
  } else if (op->status == PARLEY_REJECTED) {
    api_problem(req, 409, "not_held", "", "the message is neither held nor unknown: there is nothing to resolve");
  } else {
    for (size_t i = 0; i < req->policy->n_channels; i++)
      deliver_poke(req->shared->deliver, req->policy->channels[i].name);
    message_show(req, id);
  }
}

void api_messages_resolve(struct api_request *req)
{
  static const char *const fields[] = {"as", NULL};
  struct change *change = arena_alloc(req->arena, sizeof *change);
  parley_text as = TEXT_EMPTY;

  change->req = req;
  if (!json_in_only(&req->in, fields) || !json_in_text(&req->in, "as", 16, &as)) {
    api_problems(req);
    return;
  }
  if (parley_text_is(as, "resend")) {
    change->u.resolve.as = HAPPEN_RESOLVE_RESEND;
  } else if (parley_text_is(as, "discard")) {
    change->u.resolve.as = HAPPEN_RESOLVE_DISCARD;
  } else if (parley_text_is(as, "sent")) {
    change->u.resolve.as = HAPPEN_RESOLVE_SENT;
  } else {
    api_problem(req, 422, "bad_value", "", "as is resend, discard or sent");
    return;
  }
  change->u.resolve.policy = req->policy;
  if (api_param_id(req, 0, "msg", &change->u.resolve.message))
    api_submit(req, &change->u.op, STORE_RESOLVE, resolve_done);
}
