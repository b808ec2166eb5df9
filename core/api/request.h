/* request.h - one HTTP request on its way through a resource's handler. Private to core/api.
 *
 * The life: api.c matches the route, checks key and scope, reads the body as JSON and calls route->handle(req). The
 * handler answers at once (api_answer*, api_problem*) or submits a store op that it embeds in its own struct and
 * answers in its done. Answering frees the req, its arena and its JSON: nothing of it may be touched afterwards.
 * Thread: loop. */
#ifndef CORE_API_REQUEST_H
#define CORE_API_REQUEST_H
#include "api.h"
#include "core/config/conf.h"
#include "core/message/json.h"

#define API_PARAMS_MAX 3
#define API_BODY_BYTES_MAX ((uint64_t)10 << 20)
#define API_MEDIA_BYTES_MAX ((uint64_t)25 << 20)
#define API_INLINE_BYTES_MAX ((uint64_t)1 << 20)
#define API_IDEMPOTENCY_KEY_MAX 255
#define API_LIMIT_DEFAULT 50
#define API_LIMIT_MAX 200

struct api_key { /* who asks */
  id64 id;       /* key_...; configured ones: derived from their name */
  parley_text name;
  uint32_t scopes;
  bool test;
};

/* How phone numbers of a request are read. */
#define API_PHONES(req, source) (&(struct phone_reading){(req)->shared->phones, (source)})

struct api_request {
  struct api *api;
  const struct api_shared *shared;
  struct http_request *http;
  const struct route *route;
  struct arena *arena;
  struct problems problems;
  struct api_key key;                 /* texts in the arena */
  parley_text params[API_PARAMS_MAX]; /* what stood for {id} ..., percent-decoded */
  json_t *json;                       /* NULL: no body was sent */
  struct json_in in;                  /* its root */
  struct conf *conf;                  /* references, for as long as the req lives */
  struct policy *policy;
  int64_t now_ms;
  id64 request_id;
  bool has_idem;
  struct store_idem idem;   /* of has_idem: give op.idem = &req->idem */
  uint64_t idem_flight;     /* its place among those running; 0: none */
  struct api_request *next; /* the api's free use */
};

enum {
  ROUTE_IDEMPOTENT = 1 /* takes Idempotency-Key */,
  ROUTE_RAW_BODY = 2 /* not JSON */,
  ROUTE_OPEN = 4 /* no key */,
  ROUTE_NO_BODY = 8,
  ROUTE_BODY_OPTIONAL = 16,
  ROUTE_KEY_ELSEWHERE = 32 /* a ticket, or loopback, may stand for the key: the handler looks */,
  ROUTE_PAGE = 64 /* a person's browser: answers, refusals too, are text/html; bodies are forms */
};
struct route {
  enum http_method method;
  const char *path; /* "/v1/messages/{id}/cancel"; the last may be "{rest...}" */
  uint32_t scope;   /* SCOPE_*; 0 with ROUTE_OPEN */
  uint32_t flags;
  uint64_t body_max; /* bytes; 0: API_BODY_BYTES_MAX */
  void (*handle)(struct api_request *req);
  /* for OpenAPI: */
  const char *operation; /* "sendMessage" */
  const char *summary;
  const char *request;      /* schema's name in openapi.c, or NULL */
  const char *response;     /* schema's name, or NULL: no body */
  uint32_t code;            /* of success */
  const char *const *query; /* names of query parameters, ends with NULL; NULL: none allowed */
};
extern const struct route api_routes[]; /* ends with path NULL; routes.c */

/* --- Answering: each ends the req --------------------------------------------------------------------------------- */
void api_answer(struct api_request *req, uint32_t code, const struct buf *json); /* application/json */
void api_answer_empty(struct api_request *req, uint32_t code);
void api_answer_with(struct api_request *req, const struct http_answer *answer);
/* One problem. detail: printf rules; hint "" for none. */
void api_problem(struct api_request *req, uint32_t code, const char *problem, const char *hint, const char *detail, ...)
    __attribute__((format(printf, 5, 6)));
/* 405; allow: the path's methods, such as "GET, POST". */
void api_problem_method(struct api_request *req, parley_text allow);
/* What is in req->problems, as 422 (or 400 and 413 where the first row's code calls for it). */
void api_problems(struct api_request *req);
/* A write's result: replays and reused keys, BUSY, RETRY, FAILED are answered here; true: OK, NOT_FOUND or REJECTED: go
 * on. */
bool api_went(struct api_request *req, struct store_op *op);
/* 503: why the store could not, with a status that api_went() would answer. */
void api_store_problem(struct api_request *req, parley_status status);
/* Answers with what op->render makes, or made in the transaction. */
void api_answer_op(struct api_request *req, struct store_op *op);

/* --- Reading ------------------------------------------------------------------------------------------------------ */
/* The query's value, decoded; false: a problem was added. Absent: *ret as it was. */
bool api_query_text(struct api_request *req, const char *name, size_t bytes_max, parley_text *ret);
bool api_query_limit(struct api_request *req, size_t *ret); /* 1-200, default 50 */
bool api_query_bool(struct api_request *req, const char *name, bool *ret);
/* "cursor": of this route with this query but for cursor and limit. Absent: numbers stay as they were. */
bool api_query_cursor(struct api_request *req, uint64_t *numbers, size_t n);
void api_next_cursor(struct api_request *req, struct buf *body, bool more, const uint64_t *numbers,
                     size_t n); /* "next":...} */
/* params[index] as an id; else 404 not_found is answered and false comes back. */
bool api_param_id(struct api_request *req, size_t index, const char *prefix, id64 *ret);
/* A customer reference in a path: cus_... or external:KEY. */
bool api_param_customer(struct api_request *req, size_t index, id64 *ret_id, parley_text *ret_external);
/* "tags" of the body, for customers and conversations alike, as a JSON array; null or absent: "[]". false: a problem. */
#define API_TAGS_MAX 100
#define API_TAG_BYTES_MAX 64
bool api_read_tags(struct api_request *req, bool *ret_set, parley_text *ret);
/* "email:ana@example.org" in a query. */
bool api_query_identity(struct api_request *req, const char *name, struct identity *ret, bool *ret_given);

/* A handler's own struct begins with one of these, so that its op finds the way back:
 *   struct cancel { struct api_request *req; struct store_cancel op; };   arena_alloc(req->arena, ...)
 * Fills kind, done, idem (when the request has one) and submits. */
void api_submit(struct api_request *req, struct store_op *op, enum store_kind kind, void (*done)(struct store_op *));
/* The same for a read, or for a write that is not what an Idempotency-Key of this request stands for. */
void api_look(struct api_request *req, struct store_op *op, enum store_kind kind, void (*done)(struct store_op *));

/* keys.c: a document of kind "key" was made, read at the start, or removed. */
void api_keys_changed(struct api *api, const struct doc *doc, bool removed);
/* messages.c: hands it to the store and answers as POST /v1/messages does. */
void api_accept(struct api_request *req, struct submission *submission);
/* Hands it to the store and goes on: `then` owes the answer; item is read-only and ends with the call, and of it message, result and
 * state may be looked at. Where the store could not, it is answered and `then` is not called. */
void api_accept_then(struct api_request *req, struct submission *submission,
                     void (*then)(struct api_request *req, const struct accept_item *item, void *arg), void *arg);
/* Of a store_accept of one message: its answer; why it was refused (code 0: it was not), and what is left to do with it afterwards:
 * its submission is gone then. */
struct refusal { uint32_t code; const char *problem, *detail; };
uint32_t accept_render(struct store_op *op, struct buf *body);
struct refusal accept_refusal(enum accept_result result);
void accept_hand_on(struct api_request *req, struct store_accept *accept);
/* The answer of an accepted message; also what a replay and a duplicate show. */
void buf_accepted(struct buf *buf, const struct accept_item *item);

/* customers.c: "items":[...],"next":...} of a timeline's page; limit, cursor and bodies from the query. */
void api_timeline_items(struct api_request *req, struct buf *body, const struct store_timeline *timeline);
bool api_timeline_query(struct api_request *req, struct store_timeline *timeline);
/* channels.c */
const char *api_outcome_name(uint32_t outcome);                            /* "accepted" ... of PARLEY_OUTCOME_* */
struct channel **api_channels_all(struct api_request *req, size_t *ret_n); /* in the arena */

/* Handlers, one file a resource. */
void api_messages_send(struct api_request *req);
void api_messages_batch(struct api_request *req);
void api_messages_get(struct api_request *req);
void api_messages_list(struct api_request *req);
void api_messages_cancel(struct api_request *req);
void api_messages_cancel_key(struct api_request *req);
void api_messages_resolve(struct api_request *req);
void api_explain(struct api_request *req);
void api_media_add(struct api_request *req);
void api_media_get(struct api_request *req);
void api_media_link(struct api_request *req);
void api_customers_put(struct api_request *req);
void api_customers_get(struct api_request *req);
void api_customers_find(struct api_request *req);
void api_customers_timeline(struct api_request *req);
void api_consents_put(struct api_request *req);
void api_consents_list(struct api_request *req);
void api_unsubscribe_page(struct api_request *req);
void api_unsubscribe(struct api_request *req);
void api_preferences_page(struct api_request *req);
void api_preferences_save(struct api_request *req);
void api_confirm_page(struct api_request *req);
void api_confirm(struct api_request *req);
void api_signup_page(struct api_request *req);
void api_signup(struct api_request *req);
void api_click(struct api_request *req);
void api_open(struct api_request *req);
void api_suppressions_list(struct api_request *req);
void api_suppressions_add(struct api_request *req);
void api_suppressions_remove(struct api_request *req);
void api_events_add(struct api_request *req);
void api_events_list(struct api_request *req);
void api_events_ticket(struct api_request *req);
void api_conversations_list(struct api_request *req);
void api_conversations_get(struct api_request *req);
void api_conversations_patch(struct api_request *req);
void api_conversations_reply(struct api_request *req);
void api_conversations_note(struct api_request *req);
void api_subscriptions_list(struct api_request *req);
void api_subscriptions_add(struct api_request *req);
void api_subscriptions_get(struct api_request *req);
void api_subscriptions_patch(struct api_request *req);
void api_subscriptions_remove(struct api_request *req);
void api_subscriptions_deliveries(struct api_request *req);
void api_subscriptions_replay(struct api_request *req);
void api_subscriptions_rotate(struct api_request *req);
void api_subscriptions_test(struct api_request *req);
void api_channels_list(struct api_request *req);
void api_channels_get(struct api_request *req);
void api_channels_check(struct api_request *req);
void api_channels_pause(struct api_request *req);
void api_channels_resume(struct api_request *req);
void api_channels_reload(struct api_request *req);
void api_plugins_reload(struct api_request *req);
void api_channels_sink(struct api_request *req);
void api_plugins_list(struct api_request *req);
void api_topics_list(struct api_request *req);
void api_templates_list(struct api_request *req);
void api_templates_get(struct api_request *req);
void api_templates_versions(struct api_request *req);
void api_templates_render(struct api_request *req);
void api_templates_put(struct api_request *req);
void api_templates_remove(struct api_request *req);
void api_keys_list(struct api_request *req);
void api_keys_add(struct api_request *req);
void api_keys_remove(struct api_request *req);
void api_store_backup(struct api_request *req);
void api_store_resume(struct api_request *req);
void api_in(struct api_request *req);
void api_health(struct api_request *req);
void api_ready(struct api_request *req);
void api_metrics(struct api_request *req);
void api_openapi(struct api_request *req);
#endif
