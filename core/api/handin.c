/* What a channel hands in for somebody with an API key (ext/submit.h): the way of POST /v1/messages, without HTTP. */
#include "core/base/alloc.h"
#include "core/base/text.h"
#include "inside.h"
#include "submit.h"

#define HANDIN_TEXT_MAX 512

struct handin {
  struct api_request req; /* without an HTTP request: only what submission_read() and accept_hand_on() look at */
  struct store_accept op;
  struct accept_item one;
  uv_idle_t idle; /* an answer that must not come within the call */
  parley_done *done;
  void *arg;
  parley_status status;
  parley_text reason, value;
  bool repeated;
};

static struct handin *handin_new(struct api *api, parley_done *done, void *arg)
{
  struct arena *arena = arena_new();
  struct handin *handin = arena_alloc(arena, sizeof *handin);

  handin->req.api = api;
  handin->req.shared = &api->shared;
  handin->req.arena = arena;
  problems_init(&handin->req.problems, arena);
  handin->req.now_ms = api->shared.env->now_ms(api->shared.env);
  handin->req.conf = conf_ref(api->conf);
  handin->req.policy = policy_ref(api->policy);
  handin->done = done;
  handin->arg = arg;
  api->open++;
  return handin;
}

static void handin_end(struct handin *handin)
{
  const parley_result result = {.size = sizeof result,
                                .status = handin->status,
                                .retry_ms = parley_again(handin->status) ? 1000 : 0,
                                .count = handin->repeated,
                                .value = handin->value,
                                .reason = handin->reason};
  struct api *api = handin->req.api;
  struct arena *arena = handin->req.arena;

  handin->done(&result, handin->arg);
  json_decref(handin->req.json);
  conf_unref(&handin->req.conf);
  policy_unref(&handin->req.policy);
  arena_free(&arena);
  api->open--;
  api_maybe_closed(api);
}

static void handin_on_closed(uv_handle_t *handle)
{
  handin_end(handle->data);
}

static void handin_on_idle(uv_idle_t *idle)
{
  uv_close((uv_handle_t *)idle, handin_on_closed);
}

static void handin_later(struct handin *handin, parley_status status, parley_text reason)
{
  handin->status = status;
  handin->reason = arena_text(handin->req.arena, reason);
  uv_idle_init(handin->req.shared->loop, &handin->idle);
  handin->idle.data = handin;
  uv_idle_start(&handin->idle, handin_on_idle);
}

/* NULL: refused, and answered. */
static const struct auth_key *handin_key(struct handin *handin, parley_text secret, const struct net_address *peer)
{
  struct api *api = handin->req.api;
  const struct auth_key *key = api->closing ? NULL : auth_find(api->auth, secret);

  if (api->closing || (key == NULL && !api->started)) {
    handin_later(handin, PARLEY_BUSY, PARLEY_LIT("keys are still being read"));
  } else if (key == NULL) {
    api->refused++;
    if (peer != NULL && auth_wrong(api->auth, peer))
      handin_later(handin, PARLEY_BUSY, PARLEY_LIT("too many wrong keys from this address"));
    else
      handin_later(handin, PARLEY_DENIED, PARLEY_LIT("no such API key"));
  } else if (!scope_allows(key->scopes, SCOPE_MESSAGES_SEND)) {
    handin_later(handin, PARLEY_DENIED, PARLEY_LIT("this key lacks the scope messages:send"));
    key = NULL;
  }
  return key;
}

void api_login(struct api *api, parley_text secret, parley_text peer, parley_done *done, void *arg)
{
  struct handin *handin = handin_new(api, done, arg);
  struct net_address address;
  bool known = net_address_parse(peer, 0, &address);
  const struct auth_key *key = handin_key(handin, secret, known ? &address : NULL);

  if (key == NULL)
    return;
  handin->value = key->topic != NULL ? arena_text(handin->req.arena, parley_text_of(key->topic)) : TEXT_EMPTY;
  handin_later(handin, PARLEY_OK, TEXT_EMPTY);
}

/* --- A message ---------------------------------------------------------------------------------------------------- */

/* The first answer, word for word: {"id":"msg_...", */
static parley_text handin_replayed(struct handin *handin, parley_text answer)
{
  struct problems problems;
  json_t *json;
  parley_text id;

  problems_init(&problems, handin->req.arena);
  json = json_read(answer, &problems);
  id = arena_text(handin->req.arena, json_text(json_object_get(json, "id")));
  json_decref(json);
  return id;
}

static void handin_went(struct handin *handin)
{
  struct refusal refusal = accept_refusal(handin->one.result);
  char id[ID_TEXT_MAX];

  if (refusal.code != 0) {
    handin->status = PARLEY_REJECTED;
    handin->reason = parley_text_of(refusal.detail);
    return;
  }
  id_format("msg", handin->one.message, id);
  handin->value = arena_text(handin->req.arena, parley_text_of(id));
  handin->repeated = handin->one.result == ACCEPT_DUPLICATE_KEY;
}

static void handin_done(struct store_op *op)
{
  struct handin *handin = container_of(op, struct handin, op.op);

  handin->status = op->status;
  if (op->status == PARLEY_BUSY || op->status == PARLEY_CLOSED) {
    handin->status = op->status == PARLEY_BUSY ? PARLEY_BUSY : PARLEY_RETRY;
  } else if (op->replay == REPLAY_OTHER_BODY) {
    handin->status = PARLEY_INVALID;
    handin->reason = PARLEY_LIT("this was handed in before, with other content");
  } else if (op->replay == REPLAY_SAME) {
    handin->status = PARLEY_OK;
    handin->repeated = true;
    handin->value = handin_replayed(handin, op->answer);
  } else if (op->status == PARLEY_OK) {
    handin_went(handin);
  }
  accept_hand_on(&handin->req, &handin->op);
  arena_free(&op->arena);
  handin_end(handin);
}

static void handin_idem(struct handin *handin, parley_bytes json, parley_text topic, parley_text key)
{
  struct api_request *req = &handin->req;
  struct buf all = BUF_INIT(0);

  if (key.len == 0)
    return;
  buf_text(&all, topic);
  buf_char(&all, '\0');
  buf_text(&all, json);
  digester_sha256(req->api->digester, buf_as_text(&all), req->idem.body_sha256);
  buf_done(&all);
  req->idem.api_key = req->key.id;
  req->idem.route = PARLEY_LIT("handin"); /* apart from what the same key does over HTTP */
  req->idem.key = arena_text(req->arena, key);
  req->has_idem = true;
}

static bool idempotency_ok(parley_text key)
{
  for (size_t i = 0; i < key.len; i++)
    if (key.at[i] < 0x20 || key.at[i] > 0x7e)
      return false;
  return key.len <= API_IDEMPOTENCY_KEY_MAX;
}

/* The key's topic, or what the channel says, where the message names none. */
static parley_text handin_topic(struct handin *handin, const struct auth_key *key, parley_text otherwise)
{
  parley_text topic = key->topic != NULL ? parley_text_of(key->topic) : otherwise;

  if (json_object_get(handin->req.json, "topic") == NULL && topic.len > 0)
    json_object_set_new(handin->req.json, "topic", json_stringn(topic.at, topic.len));
  return topic;
}

static struct submission *handin_read(struct handin *handin, const struct auth_key *key, const parley_submission *said)
{
  struct api_request *req = &handin->req;
  parley_text topic;

  req->key = (struct api_key){.id = key->id,
                              .scopes = key->scopes,
                              .test = key->test,
                              .name = arena_text(req->arena, parley_text_of(key->name))};
  if (!idempotency_ok(said->idempotency_key)) {
    problem_add(&req->problems, TEXT_EMPTY, "bad_idempotency_key",
                "an idempotency key is printable ASCII of at most 255 bytes");
    return NULL;
  }
  req->json = json_read(said->json, &req->problems);
  if (req->json != NULL && !json_is_object(req->json))
    problem_add(&req->problems, TEXT_EMPTY, "bad_json", "a JSON object is needed");
  if (req->problems.count > 0)
    return NULL;
  topic = handin_topic(handin, key, said->topic);
  req->in =
      (struct json_in){.object = req->json, .pointer = TEXT_EMPTY, .arena = req->arena, .problems = &req->problems};
  handin_idem(handin, said->json, topic, said->idempotency_key);
  return submission_read(req, &req->in, said->json);
}

void api_handin(struct api *api, const parley_submission *said, parley_done *done, void *arg)
{
  struct handin *handin = handin_new(api, done, arg);
  const struct auth_key *key = handin_key(handin, said->key, NULL);

  if (key == NULL)
    return;
  handin->one.submission = handin_read(handin, key, said);
  if (handin->one.submission == NULL) {
    handin_later(handin, PARLEY_INVALID, text_sub(handin->req.problems.rows[0].detail, 0, HANDIN_TEXT_MAX));
    return;
  }
  api->requests++;
  handin->op.decide = decide;
  handin->op.n_items = 1;
  handin->op.items = &handin->one;
  handin->op.op.render = accept_render;
  api_submit(&handin->req, &handin->op.op, STORE_ACCEPT, handin_done);
}
