/* /v1/events: touchpoints in; the log out, as pages or as a stream; tickets for browsers, whose EventSource sends no
 * header. */
#include "core/base/alloc.h"
#include "core/base/clock.h"
#include "core/base/text.h"
#include "core/feed/cursor.h"
#include "core/feed/envelope.h"
#include "inside.h"

#define EVENT_KEY_BYTES_MAX 255
#define EVENT_TYPE_BYTES_MAX 64
#define EVENT_DATA_BYTES_MAX ((size_t)65536)
#define EVENT_AHEAD_MS_MAX (24 * 3600000LL) /* a shop's clock may be wrong by its zone, not by more */
#define TICKET_MS (12 * 3600000LL)
#define TYPES_TEXT_MAX 2048

#define EVENTS_SCOPE PARLEY_LIT("events") /* of every event cursor: it fits every filter */
#define TICKET_SCOPE PARLEY_LIT("ticket")

/* --- In: a touchpoint --------------------------------------------------------------------------------------------- */

struct touch {
  struct api_request *req;
  struct store_touchpoint op;
};

static uint32_t touch_render(struct store_op *op, struct buf *body)
{
  struct store_touchpoint *touch = container_of(op, struct store_touchpoint, op);

  if (touch->result != ACCEPTED) {
    buf_str(body, "{}");
    return 409;
  }
  buf_str(body, "{\"id\":");
  buf_json_id(body, "evt", touch->seq);
  buf_json_key(body, "customer");
  buf_json_id(body, "cus", touch->customer);
  buf_printf(body, ",\"duplicate\":%s}", touch->duplicate ? "true" : "false");
  return touch->duplicate ? 200 : 201;
}

static void touch_done(struct store_op *op)
{
  struct touch *touch = container_of(op, struct touch, op.op);
  enum accept_result result = touch->op.result;

  if (!api_went(touch->req, op))
    return;
  if (result == ACCEPTED) {
    api_answer_op(touch->req, op);
    return;
  }
  arena_free(&op->arena);
  if (result == ACCEPT_CONFLICT)
    api_problem(touch->req, 409, "identity_conflict", "say which one by customer or external",
                "the identities in `to` belong to different customers");
  else
    api_problem(touch->req, 404, "customer_not_found", "", "the customer does not exist");
}

static bool type_ok(parley_text type)
{
  for (size_t i = 0; i < type.len; i++) {
    char byte = type.at[i];

    if ((byte < 'a' || byte > 'z') && (byte < '0' || byte > '9') && byte != '.' && byte != '_' && byte != '-')
      return false;
  }
  return type.len > 0;
}

static bool read_data(struct api_request *req, parley_text *ret)
{
  struct json_in in;
  struct buf json = BUF_INIT(0);
  bool ok = json_in_object(&req->in, "data", &in);

  *ret = PARLEY_LIT("{}");
  if (!ok || in.object == NULL)
    return ok;
  buf_json_value(&json, in.object);
  *ret = arena_text(req->arena, buf_as_text(&json));
  if (json.len > EVENT_DATA_BYTES_MAX)
    ok = json_in_problem(&req->in, "data", "too_long", "data has at most %zu bytes", EVENT_DATA_BYTES_MAX);
  buf_done(&json);
  return ok;
}

/* "to" as in a message, or short: "customer": "cus_...". */
static bool read_who(struct api_request *req, struct recipient *who)
{
  parley_text customer = TEXT_EMPTY;
  struct json_in to;

  if (!json_in_object(&req->in, "to", &to) || !json_in_text(&req->in, "customer", 32, &customer))
    return false;
  if ((to.object != NULL) == (customer.len > 0))
    return json_in_problem(&req->in, "to", "missing_recipient",
                           "give either to, as in a message, or customer, a cus_ id");
  if (to.object != NULL)
    return recipient_read(&to, API_PHONES(req, PHONE_GIVEN), who);
  return id_parse("cus", customer, &who->customer) ||
         json_in_problem(&req->in, "customer", "bad_id", "this is no id of a customer (cus_ and 13 characters)");
}

static bool read_stage(struct api_request *req, parley_text *ret)
{
  if (!json_in_text(&req->in, "stage", 16, ret))
    return false;
  return ret->len == 0 || parley_text_is(*ret, "before") || parley_text_is(*ret, "during") ||
         parley_text_is(*ret, "after") ||
         json_in_problem(&req->in, "stage", "bad_value", "stage is before, during or after: of the purchase");
}

static bool touch_read(struct api_request *req, struct store_touchpoint *touch)
{
  static const char *const fields[] = {"to", "customer", "type", "at", "data", "stage", "key", NULL};
  const struct json_in *in = &req->in;
  bool ok = JSON_IN_ALL(json_in_only(in, fields), read_who(req, &touch->who),
                        json_in_text(in, "type", EVENT_TYPE_BYTES_MAX, &touch->type),
                        json_in_time(in, "at", &touch->at_ms), read_data(req, &touch->data),
                        read_stage(req, &touch->stage), json_in_text(in, "key", EVENT_KEY_BYTES_MAX, &touch->key));

  if (!type_ok(touch->type))
    ok = json_in_problem(in, "type", touch->type.len > 0 ? "bad_value" : "missing",
                         "type is 1 to %d of a-z 0-9 . _ -, as checkout or call.ended", EVENT_TYPE_BYTES_MAX);
  if (text_has_control(touch->key))
    ok = json_in_problem(in, "key", "bad_value", "key has no control characters");
  if (touch->at_ms > req->now_ms + EVENT_AHEAD_MS_MAX)
    ok = json_in_problem(in, "at", "bad_value", "at is in the future");
  return ok;
}

void api_events_add(struct api_request *req)
{
  struct touch *touch = arena_alloc(req->arena, sizeof *touch);

  touch->req = req;
  touch->op.at_ms = touch->op.now_ms = req->now_ms;
  touch->op.channel = touch->op.type = touch->op.key = touch->op.stage = TEXT_EMPTY;
  touch->op.op.render = touch_render;
  if (touch_read(req, &touch->op))
    api_submit(req, &touch->op.op, STORE_TOUCHPOINT, touch_done);
  else
    api_problems(req);
}

/* --- Tickets ------------------------------------------------------------------------------------------------------ */

void api_events_ticket(struct api_request *req)
{
  static const char *const fields[] = {NULL};
  uint64_t numbers[2] = {(uint64_t)(req->now_ms + TICKET_MS), req->key.id};
  struct buf body = BUF_INIT(0), ticket = BUF_INIT(CURSOR_TEXT_MAX + 1);

  if (!json_in_only(&req->in, fields)) {
    api_problems(req);
    return;
  }
  cursor_write(&ticket, store_secret(req->shared->store), TICKET_SCOPE, numbers, 2);
  buf_str(&body, "{\"ticket\":");
  buf_json_text(&body, buf_as_text(&ticket));
  buf_json_key(&body, "expires_at");
  buf_json_time(&body, (int64_t)numbers[0]);
  buf_json_key(&body, "url");
  buf_char(&body, '"');
  buf_text(&body, req->conf->server.public_url);
  buf_str(&body, "/v1/events?ticket=");
  buf_text(&body, buf_as_text(&ticket));
  buf_str(&body, "\"}");
  api_answer(req, 201, &body);
  buf_done(&ticket);
  buf_done(&body);
}

/* A ticket is worth what its key is worth now. */
static bool ticket_ok(struct api_request *req, parley_text ticket)
{
  uint64_t numbers[2];
  const struct auth_key *key;

  if (ticket.len == 0 || !cursor_read(ticket, store_secret(req->shared->store), TICKET_SCOPE, numbers, 2) ||
      (int64_t)numbers[0] <= req->now_ms)
    return false;
  for (size_t i = 0; (key = auth_at(req->api->auth, i)) != NULL; i++)
    if (key->id == numbers[1])
      return scope_allows(key->scopes, SCOPE_EVENTS_READ) && (key->expires_ms == 0 || key->expires_ms > req->now_ms);
  return false;
}

/* --- Out ---------------------------------------------------------------------------------------------------------- */

struct reading {
  struct api_request *req;
  struct store_events op;
  bool stream;
  parley_text types[FEED_TYPES_MAX];
  parley_pair headers[2]; /* CORS */
  uint32_t n_headers;
};

/* Pages of the origins in server.origins may read the answer. */
static void read_origin(struct reading *reading)
{
  parley_text origin = http_header(reading->req->http, "origin");
  const struct conf_server *server = &reading->req->conf->server;

  for (size_t i = 0; origin.len > 0 && i < server->n_origins; i++)
    if (text_eq(origin, server->origins[i])) {
      reading->headers[0] = (parley_pair){PARLEY_LIT("Access-Control-Allow-Origin"), server->origins[i]};
      reading->headers[1] = (parley_pair){PARLEY_LIT("Vary"), PARLEY_LIT("Origin")};
      reading->n_headers = 2;
    }
}

static bool read_after(struct api_request *req, uint64_t *ret)
{
  parley_text after = TEXT_EMPTY, last = http_header(req->http, "last-event-id");

  if (!api_query_text(req, "after", CURSOR_TEXT_MAX, &after))
    return false;
  if (last.len > 0)
    after = last; /* what a reader that comes back has seen last */
  if (after.len == 0 || id_parse("evt", after, ret) ||
      (after.len <= CURSOR_TEXT_MAX && cursor_read(after, store_secret(req->shared->store), EVENTS_SCOPE, ret, 1)))
    return true;
  problem_add(&req->problems, PARLEY_LIT("?after"), "bad_cursor", "after is an evt_ id or a cursor of the event log");
  return false;
}

static bool read_types(struct reading *reading)
{
  struct api_request *req = reading->req;
  parley_text all = TEXT_EMPTY;
  bool every = false;

  if (!api_query_text(req, "types", TYPES_TEXT_MAX, &all))
    return false;
  while (all.len > 0) {
    parley_text type = text_trim(text_cut(&all, ','));

    if (!conf_event_type_ok(type) || reading->op.n_types == FEED_TYPES_MAX) {
      problem_add(&req->problems, PARLEY_LIT("?types"), "bad_query",
                  "types: at most %d, with commas between, as message.received,message.*", FEED_TYPES_MAX);
      return false;
    }
    reading->types[reading->op.n_types++] = type;
    every |= parley_text_is(type, "*");
  }
  if (every)
    reading->op.n_types = 0; /* no type is every type */
  reading->op.types = reading->types;
  return true;
}

static void events_expired(struct reading *reading)
{
  api_problem(reading->req, 410, "cursor_expired", "begin again without `after`",
              "what came after this cursor is no longer kept");
}

static bool is_expired(const struct reading *reading)
{
  return reading->op.after != 0 && reading->op.oldest != 0 && reading->op.after < reading->op.oldest;
}

/* The stream goes on by itself; it owes the answer from here on. */
static void stream_checked(struct store_op *op)
{
  struct reading *reading = container_of(op, struct reading, op.op);
  struct api_request *req = reading->req;

  if (!api_went(req, op))
    return;
  arena_free(&op->arena);
  if (is_expired(reading)) {
    events_expired(reading);
    return;
  }
  feed_stream(req->shared->feed, req->http, reading->op.after, reading->types, reading->op.n_types, reading->headers,
              reading->n_headers);
  api_request_free(req);
}

static void page_done(struct store_op *op)
{
  struct reading *reading = container_of(op, struct reading, op.op);
  struct store_events *events = &reading->op;
  struct buf body = BUF_INIT(0);

  if (!api_went(reading->req, op))
    return;
  if (is_expired(reading)) {
    arena_free(&op->arena);
    events_expired(reading);
    return;
  }
  buf_str(&body, "{\"items\":[");
  for (size_t i = 0; i < events->n; i++) {
    buf_json_comma(&body);
    buf_event(&body, &events->rows[i]);
  }
  buf_str(&body, "],\"cursor\":\"");
  cursor_write(&body, store_secret(reading->req->shared->store), EVENTS_SCOPE, &events->scanned_to, 1);
  buf_str(&body, "\",\"next\":");
  if (events->scanned_to < events->newest) {
    buf_char(&body, '"');
    cursor_write(&body, store_secret(reading->req->shared->store), EVENTS_SCOPE, &events->scanned_to, 1);
    buf_str(&body, "\"}");
  } else {
    buf_str(&body, "null}");
  }
  arena_free(&op->arena);
  api_answer_with(reading->req, &(struct http_answer){.code = 200,
                                                      .type = PARLEY_LIT("application/json"),
                                                      .headers = reading->headers,
                                                      .n_headers = reading->n_headers,
                                                      .body = buf_as_text(&body)});
  buf_done(&body);
}

static bool wants_stream(const struct api_request *req)
{
  parley_text accept = http_header(req->http, "accept");

  return req->http->method == HTTP_M_GET && text_find_text(accept, PARLEY_LIT("text/event-stream")) != SIZE_MAX;
}

void api_events_list(struct api_request *req)
{
  struct reading *reading = arena_alloc(req->arena, sizeof *reading);
  parley_text ticket = TEXT_EMPTY;

  reading->req = req;
  reading->stream = wants_stream(req);
  if (req->key.id == 0 && !(api_query_text(req, "ticket", CURSOR_TEXT_MAX, &ticket) && ticket_ok(req, ticket))) {
    api_refuse_key(req);
    return;
  }
  if (!read_after(req, &reading->op.after) || !read_types(reading) || !api_query_limit(req, &reading->op.limit)) {
    api_problems(req);
    return;
  }
  read_origin(reading);
  if (reading->stream)
    reading->op.limit = 1; /* only whether the cursor is still good */
  else
    reading->op.with_context = true;
  api_look(req, &reading->op.op, STORE_EVENTS, reading->stream ? stream_checked : page_done);
}
