/* /v1/suppressions: addresses that nothing is sent to, of whatever class. */
#include "core/base/alloc.h"
#include "core/base/clock.h"
#include "core/base/text.h"
#include "core/feed/envelope.h"
#include "inside.h"
#include <string.h>

#define REASON_BYTES_MAX 64
#define DETAIL_BYTES_MAX 512
#define CHANNEL_KIND_BYTES_MAX 32

struct suppress {
  struct api_request *req;
  union {
    struct store_op op;
    struct store_suppress one;
    struct store_suppressions many;
  } u;
};

static void buf_suppression(struct buf *buf, const struct suppression *row)
{
  struct buf identity = BUF_INIT(0);

  buf_text(&identity, row->identity.kind);
  buf_char(&identity, ':');
  buf_text(&identity, row->identity.value);
  buf_str(buf, "{\"identity\":");
  buf_json_text(buf, buf_as_text(&identity));
  buf_json_key(buf, "reason");
  buf_json_text(buf, row->reason);
  if (row->channel_kind.len > 0) {
    buf_json_key(buf, "channel_kind");
    buf_json_text(buf, row->channel_kind);
  }
  buf_json_key(buf, "at");
  buf_json_time(buf, row->at_ms);
  if (row->message != 0) {
    buf_json_key(buf, "message");
    buf_json_id(buf, "msg", row->message);
  }
  if (row->code.len > 0) {
    buf_json_key(buf, "code");
    buf_json_text(buf, row->code);
  }
  if (row->detail.len > 0) {
    buf_json_key(buf, "detail");
    buf_json_text(buf, row->detail);
  }
  if (row->lifted_ms != 0) {
    buf_json_key(buf, "lifted_at");
    buf_json_time(buf, row->lifted_ms);
  }
  buf_char(buf, '}');
  buf_done(&identity);
}

static void list_done(struct store_op *op)
{
  struct suppress *suppress = container_of(op, struct suppress, u.op);
  struct store_suppressions *many = &suppress->u.many;
  struct buf body = BUF_INIT(0);
  uint64_t last;

  if (!api_went(suppress->req, op))
    return;
  buf_str(&body, "{\"items\":[");
  for (size_t i = 0; i < many->n; i++) {
    buf_json_comma(&body);
    buf_suppression(&body, &many->rows[i]);
  }
  buf_char(&body, ']');
  last = many->n > 0 ? many->rows[many->n - 1].id : 0;
  api_next_cursor(suppress->req, &body, many->more, &last, 1);
  arena_free(&op->arena);
  api_answer(suppress->req, 200, &body);
  buf_done(&body);
}

void api_suppressions_list(struct api_request *req)
{
  struct suppress *suppress = arena_alloc(req->arena, sizeof *suppress);
  struct store_suppressions *many = &suppress->u.many;
  bool given;

  suppress->req = req;
  if (!(api_query_identity(req, "identity", &many->only, &given) &&
        api_query_text(req, "reason", REASON_BYTES_MAX, &many->reason) && api_query_bool(req, "lifted", &many->lifted) &&
        api_query_limit(req, &many->limit) &&
        api_query_cursor(req, &many->before, 1)))
    api_problems(req);
  else
    api_look(req, &suppress->u.op, STORE_SUPPRESSIONS, list_done);
}

static uint32_t add_render(struct store_op *op, struct buf *body)
{
  buf_suppression(body, &container_of(op, struct suppress, u.op)->u.one.entry);
  return 201;
}

static void add_done(struct store_op *op)
{
  struct suppress *suppress = container_of(op, struct suppress, u.op);

  if (!api_went(suppress->req, op))
    return;
  deliver_reconsider(suppress->req->shared->deliver, NULL, 0, &suppress->u.one.entry.identity);
  api_answer_op(suppress->req, op);
}

void api_suppressions_add(struct api_request *req)
{
  static const char *const fields[] = {"identity", "reason", "detail", NULL};
  struct suppress *suppress = arena_alloc(req->arena, sizeof *suppress);
  struct suppression *entry = &suppress->u.one.entry;
  parley_text identity = TEXT_EMPTY, reason = PARLEY_LIT("manual"), detail = TEXT_EMPTY, kind;
  bool ok =
      JSON_IN_ALL(json_in_only(&req->in, fields),
                  json_in_text(&req->in, "identity", IDENTITY_VALUE_BYTES_MAX + IDENTITY_KIND_BYTES_MAX + 1, &identity),
                  json_in_text(&req->in, "reason", REASON_BYTES_MAX, &reason),
                  json_in_text(&req->in, "detail", DETAIL_BYTES_MAX, &detail));

  suppress->req = req;
  if (ok && identity.len == 0)
    ok = json_in_problem(&req->in, "identity", "missing",
                         "identity is needed: a kind, a colon and a value, as email:ana@example.org");
  kind = text_cut(&identity, ':');
  if (!ok ||
      !identity_normalise(API_PHONES(req, PHONE_SOUGHT), kind, identity, req->arena, PARLEY_LIT("/identity"),
                          &req->problems, &entry->identity)) {
    api_problems(req);
    return;
  }
  entry->reason = reason;
  entry->detail = detail;
  entry->at_ms = req->now_ms;
  suppress->u.one.action = SUPPRESS_ADD;
  suppress->u.op.render = add_render;
  api_submit(req, &suppress->u.op, STORE_SUPPRESS, add_done);
}

static void remove_done(struct store_op *op)
{
  struct suppress *suppress = container_of(op, struct suppress, u.op);

  if (!api_went(suppress->req, op))
    return;
  arena_free(&op->arena);
  if (op->status == PARLEY_OK)
    api_answer_empty(suppress->req, 204);
  else
    api_problem(suppress->req, 404, "not_found",
                suppress->u.one.entry.channel_kind.len > 0 ? "" : "one that has said STOP has a channel_kind: name it as well",
                "this address is not suppressed");
}

void api_suppressions_remove(struct api_request *req)
{
  struct suppress *suppress = arena_alloc(req->arena, sizeof *suppress);
  parley_text value = req->params[0];
  parley_text kind = text_cut(&value, ':');

  suppress->req = req;
  if (!identity_normalise(API_PHONES(req, PHONE_SOUGHT), kind, value, req->arena, TEXT_EMPTY, &req->problems,
                          &suppress->u.one.entry.identity)) {
    api_problems(req);
    return;
  }
  if (!api_query_text(req, "channel_kind", CHANNEL_KIND_BYTES_MAX, &suppress->u.one.entry.channel_kind)) {
    api_problems(req);
    return;
  }
  suppress->u.one.entry.at_ms = req->now_ms;
  suppress->u.one.action = SUPPRESS_REMOVE;
  api_submit(req, &suppress->u.op, STORE_SUPPRESS, remove_done);
}
