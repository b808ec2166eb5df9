/* Answers and problems: RFC 9457 with a stable code, JSON-pointer errors[] and a hint. */
#include "core/base/alloc.h"
#include "core/base/text.h"
#include "inside.h"

#define PROBLEM_BYTES_MAX 65536
#define RETRY_AFTER_S 1

void api_answer_with(struct api_request *req, const struct http_answer *answer)
{
  struct http_request *http = req->http;
  char id[ID_TEXT_MAX];
  parley_pair headers[8];
  struct http_answer full = *answer;
  uint32_t n = answer->n_headers < 6 ? answer->n_headers : 6;

  id_format("req", req->request_id, id);
  for (uint32_t i = 0; i < n; i++)
    headers[i] = answer->headers[i];
  headers[n++] = (parley_pair){PARLEY_LIT("X-Request-Id"), parley_text_of(id)};
  headers[n++] = (parley_pair){PARLEY_LIT("Cache-Control"), PARLEY_LIT("no-store")};
  full.headers = headers;
  full.n_headers = n;
  http_answer(http, &full);
  api_request_free(req);
}

void api_answer(struct api_request *req, uint32_t code, const struct buf *json)
{
  api_answer_with(
      req, &(struct http_answer){.code = code, .type = PARLEY_LIT("application/json"), .body = buf_as_text(json)});
}

void api_answer_empty(struct api_request *req, uint32_t code)
{
  api_answer_with(req, &(struct http_answer){.code = code});
}

static void problem_begin(struct api_request *req, struct buf *body, uint32_t code, const char *problem)
{
  buf_printf(body, "{\"type\":\"urn:parley:problem:%s\",\"title\":\"%s\",\"status\":%u,\"code\":\"%s\"", problem,
             http_reason(code), code, problem);
  buf_json_key(body, "request_id");
  buf_json_id(body, "req", req->request_id);
}

static void problem_send(struct api_request *req, uint32_t code, struct buf *body)
{
  parley_pair challenge = {PARLEY_LIT("WWW-Authenticate"), PARLEY_LIT("Bearer realm=\"parley\"")};

  buf_char(body, '}');
  api_answer_with(req,
                  &(struct http_answer){.code = code,
                                        .type = PARLEY_LIT("application/problem+json"),
                                        .retry_after_s = code == 429 || code == 503 || code == 409 ? RETRY_AFTER_S : 0,
                                        .headers = &challenge,
                                        .n_headers = code == 401 ? 1 : 0,
                                        .body = buf_as_text(body)});
  buf_done(body);
}

void api_problem(struct api_request *req, uint32_t code, const char *problem, const char *hint, const char *detail, ...)
{
  struct buf body = BUF_INIT(PROBLEM_BYTES_MAX), words = BUF_INIT(4096);
  va_list args;

  va_start(args, detail);
  buf_vprintf(&words, detail, args);
  va_end(args);
  problem_begin(req, &body, code, problem);
  buf_json_key(&body, "detail");
  buf_json_text(&body, buf_as_text(&words));
  if (hint[0] != '\0') {
    buf_json_key(&body, "hint");
    buf_json_str(&body, hint);
  }
  buf_done(&words);
  problem_send(req, code, &body);
}

void api_problem_method(struct api_request *req, parley_text allow)
{
  struct buf body = BUF_INIT(PROBLEM_BYTES_MAX);
  parley_pair header = {PARLEY_LIT("Allow"), allow};

  problem_begin(req, &body, 405, "method_not_allowed");
  buf_json_key(&body, "detail");
  buf_json_str(&body, "this path has other methods; the header Allow lists them");
  buf_char(&body, '}');
  api_answer_with(req, &(struct http_answer){.code = 405,
                                             .type = PARLEY_LIT("application/problem+json"),
                                             .headers = &header,
                                             .n_headers = 1,
                                             .body = buf_as_text(&body)});
  buf_done(&body);
}

static uint32_t problems_code(const struct problem *first)
{
  static const struct {
    const char *code;
    uint32_t http;
  } others[] = {
      {"bad_encoding", 400}, {"duplicate_key", 400}, {"too_deep", 400},          {"bad_number", 400},
      {"bad_json", 400},     {"bad_cursor", 400},    {"content_too_large", 413}, {"too_many_values", 400},
      {"starting", 503},
  };

  for (size_t i = 0; i < COUNT_OF(others); i++)
    if (parley_text_is(parley_text_of(first->code), others[i].code))
      return others[i].http;
  return 422;
}

void api_problems(struct api_request *req)
{
  struct buf body = BUF_INIT(PROBLEM_BYTES_MAX);
  const struct problem *first = &req->problems.rows[0];
  uint32_t code = problems_code(first);

  problem_begin(req, &body, code, first->code);
  buf_json_key(&body, "detail");
  buf_json_text(&body, first->detail);
  if (first->hint.len > 0) {
    buf_json_key(&body, "hint");
    buf_json_text(&body, first->hint);
  }
  buf_json_key(&body, "errors");
  buf_char(&body, '[');
  for (size_t i = 0; i < req->problems.count; i++) {
    const struct problem *row = &req->problems.rows[i];

    buf_json_comma(&body);
    buf_str(&body, "{\"pointer\":");
    buf_json_text(&body, row->pointer);
    buf_json_key(&body, "code");
    buf_json_str(&body, row->code);
    buf_json_key(&body, "detail");
    buf_json_text(&body, row->detail);
    if (row->hint.len > 0) {
      buf_json_key(&body, "hint");
      buf_json_text(&body, row->hint);
    }
    buf_char(&body, '}');
  }
  buf_char(&body, ']');
  problem_send(req, code, &body);
}

/* --- What a store op came to -------------------------------------------------------------------------------------- */

static void api_replay(struct api_request *req, struct store_op *op)
{
  parley_pair mark = {PARLEY_LIT("Idempotency-Replayed"), PARLEY_LIT("true")};
  struct arena *results = op->arena; /* the op goes with the req */

  api_answer_with(req, &(struct http_answer){.code = op->answer_status,
                                             .type = PARLEY_LIT("application/json"),
                                             .headers = &mark,
                                             .n_headers = 1,
                                             .body = op->answer});
  arena_free(&results);
}

bool api_went(struct api_request *req, struct store_op *op)
{
  if (op->replay == REPLAY_SAME) {
    api_replay(req, op);
    return false;
  }
  if (op->replay == REPLAY_OTHER_BODY) {
    arena_free(&op->arena);
    api_problem(req, 422, "key_reused", "send the same body again, or use a new key",
                "this Idempotency-Key was used with another body");
    return false;
  }
  if (op->status == PARLEY_OK || op->status == PARLEY_NOT_FOUND || op->status == PARLEY_REJECTED)
    return true;
  arena_free(&op->arena);
  api_store_problem(req, op->status);
  return false;
}

void api_store_problem(struct api_request *req, parley_status status)
{
  if (status == PARLEY_BUSY)
    api_problem(req, 503, "store_busy", "try again", "the store has too much to do; nothing was stored");
  else if (status == PARLEY_CLOSED)
    api_problem(req, 503, "store_in_doubt", "try again with the same Idempotency-Key",
                "the store was lost while it committed, and this process ends: whether this was stored is not known here");
  else
    api_problem(req, 503, "store_unavailable", "try again", "the store cannot do this now; nothing was changed");
}

void api_answer_op(struct api_request *req, struct store_op *op)
{
  struct arena *results = op->arena; /* the op goes with the req */
  struct buf body = BUF_INIT(0);

  if (op->answer.len > 0) {
    api_answer_with(req, &(struct http_answer){
                             .code = op->answer_status, .type = PARLEY_LIT("application/json"), .body = op->answer});
  } else {
    uint32_t code = op->render(op, &body);

    api_answer(req, code, &body);
  }
  buf_done(&body);
  arena_free(&results);
}

void api_submit(struct api_request *req, struct store_op *op, enum store_kind kind, void (*done)(struct store_op *))
{
  op->kind = kind;
  op->done = done;
  op->idem = req->has_idem ? &req->idem : NULL;
  store_submit(req->shared->store, op);
}

void api_look(struct api_request *req, struct store_op *op, enum store_kind kind, void (*done)(struct store_op *))
{
  op->kind = kind;
  op->done = done;
  op->idem = NULL;
  store_submit(req->shared->store, op);
}
