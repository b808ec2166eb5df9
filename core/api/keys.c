/* /v1/keys: made, listed and revoked. A secret is shown once, in the answer that made it; the store has its SHA-256. */
#include "core/base/alloc.h"
#include "core/base/clock.h"
#include "core/base/text.h"
#include "core/message/token.h"
#include "inside.h"
#include <openssl/crypto.h>
#include <string.h>

#define KEY_RANDOM_CHARS 32 /* base62: 190 bits */
#define KEY_CHECK_CHARS 6   /* of the CRC-32 of all before it, so that a scanner can tell a key from noise */
#define KEY_SECRET_MAX 64
#define KEY_SCOPES_MAX 32
#define KEY_LIFE_MS_MIN 60000
#define KEY_LIFE_MS_MAX (10LL * 366 * 86400000)

static const char base62[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

static uint32_t crc32_of(const char *text, size_t len)
{
  uint32_t crc = UINT32_MAX;

  for (size_t i = 0; i < len; i++) {
    crc ^= (uint8_t)text[i];
    for (int bit = 0; bit < 8; bit++)
      crc = crc >> 1 ^ (UINT32_C(0xedb88320) & (0 - (crc & 1)));
  }
  return ~crc;
}

/* "prl_live_", 32 random characters, 6 of check; a NUL behind it. */
static void key_secret_make(const struct env *env, bool test, char to[KEY_SECRET_MAX])
{
  const char *prefix = test ? "prl_test_" : "prl_live_";
  size_t len = strlen(prefix), end = len + KEY_RANDOM_CHARS;
  uint32_t check;

  memcpy(to, prefix, len);
  while (len < end) {
    uint8_t byte;

    env->random(env, &byte, 1);
    if (byte < 248) /* 4 * 62: every character as likely */
      to[len++] = base62[byte % 62];
  }
  check = crc32_of(to, len);
  for (size_t i = 0; i < KEY_CHECK_CHARS; i++, check /= 62)
    to[end + KEY_CHECK_CHARS - 1 - i] = base62[check % 62];
  to[end + KEY_CHECK_CHARS] = '\0';
}

static char *text_copy(struct arena *arena, parley_text text)
{
  char *copy = arena_alloc(arena, text.len + 1);

  if (text.len > 0)
    memcpy(copy, text.at, text.len);
  return copy;
}

/* --- Documents ---------------------------------------------------------------------------------------------------- */

static void buf_scopes(struct buf *buf, uint32_t scopes)
{
  buf_char(buf, '[');
  for (uint32_t bit = 1; bit != 0 && scope_name(bit) != NULL; bit <<= 1)
    if ((scopes & bit) != 0) {
      buf_json_comma(buf);
      buf_json_str(buf, scope_name(bit));
    }
  buf_char(buf, ']');
}

static void buf_key_doc(struct buf *buf, const struct auth_key *key)
{
  buf_str(buf, "{\"sha256\":\"");
  buf_hex(buf, key->sha256, SHA256_BYTES);
  buf_str(buf, "\",\"scopes\":");
  buf_scopes(buf, key->scopes);
  buf_printf(buf, ",\"mode\":\"%s\",\"expires_ms\":%lld", key->test ? "test" : "live", (long long)key->expires_ms);
  if (key->topic != NULL) {
    buf_json_key(buf, "topic");
    buf_json_str(buf, key->topic);
  }
  buf_char(buf, '}');
}

void api_keys_changed(struct api *api, const struct doc *doc, bool removed)
{
  struct auth_key key = {.id = doc->id};
  struct arena *arena = arena_new();
  struct problems problems;
  json_t *json, *scope;
  size_t i, len = 0;
  uint32_t bit;

  problems_init(&problems, arena);
  json = removed ? NULL : json_read(doc->json, &problems);
  if (removed)
    auth_remove(api->auth, doc->id);
  json_array_foreach (json_object_get(json, "scopes"), i, scope)
    if (scope_parse(json_text(scope), &bit))
      key.scopes |= bit;
  key.name = text_copy(arena, doc->name);
  if (json_text(json_object_get(json, "topic")).len > 0)
    key.topic = text_copy(arena, json_text(json_object_get(json, "topic")));
  key.test = parley_text_is(json_text(json_object_get(json, "mode")), "test");
  key.expires_ms = json_integer_value(json_object_get(json, "expires_ms"));
  if (hex_read(json_text(json_object_get(json, "sha256")), key.sha256, sizeof key.sha256, &len) && len == SHA256_BYTES)
    auth_add(api->auth, &key);
  json_decref(json);
  arena_free(&arena);
}

/* --- Answers ------------------------------------------------------------------------------------------------------ */

/* What stands before the @ of the address that files a copy of mail sent elsewhere. */
static void buf_capture(struct buf *buf, struct api *api, id64 key)
{
  struct buf token = BUF_INIT(0);

  buf_str(&token, "log+");
  buf_id_token(&token, store_secret(api->shared.store), TOKEN_CAPTURE, key);
  buf_json_text(buf, buf_as_text(&token));
  buf_done(&token);
}

static void buf_key(struct buf *buf, struct api *api, const struct auth_key *key)
{
  buf_str(buf, "{\"id\":");
  buf_json_id(buf, "key", key->id);
  buf_json_key(buf, "name");
  buf_json_str(buf, key->name);
  buf_json_key(buf, "scopes");
  buf_scopes(buf, key->scopes);
  buf_json_key(buf, "mode");
  buf_json_str(buf, key->test ? "test" : "live");
  if (key->topic != NULL) {
    buf_json_key(buf, "topic");
    buf_json_str(buf, key->topic);
  }
  buf_json_key(buf, "capture");
  buf_capture(buf, api, key->id);
  buf_json_key(buf, "configured");
  buf_str(buf, key->configured ? "true" : "false");
  buf_json_key(buf, "created_at");
  buf_json_time(buf, key->configured ? 0 : id_time_ms(key->id));
  buf_json_key(buf, "expires_at");
  buf_json_time(buf, key->expires_ms);
}

void api_keys_list(struct api_request *req)
{
  struct buf body = BUF_INIT(0);
  const struct auth_key *key;

  buf_str(&body, "{\"items\":[");
  for (size_t i = 0; (key = auth_at(req->api->auth, i)) != NULL; i++) {
    buf_json_comma(&body);
    buf_key(&body, req->api, key);
    buf_char(&body, '}');
  }
  buf_str(&body, "],\"next\":null}");
  api_answer(req, 200, &body);
  buf_done(&body);
}

/* --- Making ------------------------------------------------------------------------------------------------------- */

struct key_change {
  struct api_request *req;
  struct store_doc_put op;
  struct auth_key key;
  char secret[KEY_SECRET_MAX];
};

static void buf_key_made(struct buf *buf, struct key_change *change, const char *secret)
{
  change->key.id = change->op.made_id;
  buf_key(buf, change->req->api, &change->key);
  buf_json_key(buf, "secret");
  if (secret != NULL)
    buf_json_str(buf, secret);
  else
    buf_str(buf, "null");
  buf_char(buf, '}');
}

/* What a replay of this request shows: the secret is shown once. */
static uint32_t key_render(struct store_op *op, struct buf *body)
{
  buf_key_made(body, container_of(op, struct key_change, op.op), NULL);
  return 201;
}

static void key_made(struct store_op *op)
{
  struct key_change *change = container_of(op, struct key_change, op.op);
  struct api_request *req = change->req;
  struct buf body = BUF_INIT(0);

  if (!api_went(req, op))
    return;
  arena_free(&op->arena);
  if (op->status == PARLEY_REJECTED) {
    api_problem(req, 409, "name_taken", "revoke it first, or take another name", "there is a key of this name");
    return;
  }
  buf_key_made(&body, change, change->secret);
  auth_add(req->api->auth, &change->key);
  OPENSSL_cleanse(change->secret, sizeof change->secret);
  api_answer(req, 201, &body);
  OPENSSL_cleanse(body.at, body.len);
  buf_done(&body);
}

static bool key_read_scopes(struct api_request *req, json_t *array, uint32_t *ret)
{
  bool ok = json_array_size(array) > 0;
  json_t *item;
  size_t i;

  if (!ok)
    json_in_problem(&req->in, "scopes", "missing", "scopes are needed: a list such as [\"messages:send\"]");
  json_array_foreach (array, i, item) {
    parley_text word = json_text(item);
    uint32_t bit;

    if (scope_parse(word, &bit)) {
      *ret |= bit;
      continue;
    }
    ok = false;
    problem_add(&req->problems, pointer_index(req->arena, PARLEY_LIT("/scopes"), i), "unknown_scope",
                "there is no such scope");
    if (text_nearest(word, scope_names()) != NULL)
      problem_hint(&req->problems, "did you mean '%s'?", text_nearest(word, scope_names()));
  }
  return ok;
}

static bool key_read_life(struct api_request *req, struct auth_key *key)
{
  int64_t life_ms = 0;

  if (!json_in_span(&req->in, "expires_in", KEY_LIFE_MS_MIN, KEY_LIFE_MS_MAX, &life_ms) ||
      !json_in_time(&req->in, "expires_at", &key->expires_ms))
    return false;
  if (life_ms > 0 && key->expires_ms > 0)
    return json_in_problem(&req->in, "expires_in", "bad_value", "give expires_in or expires_at, not both");
  if (key->expires_ms != 0 && key->expires_ms <= req->now_ms)
    return json_in_problem(&req->in, "expires_at", "bad_value", "expires_at is in the past");
  if (life_ms > 0)
    key->expires_ms = req->now_ms + life_ms;
  return true;
}

static bool key_read(struct api_request *req, struct auth_key *key)
{
  static const char *const fields[] = {"name", "scopes", "mode", "topic", "expires_in", "expires_at", NULL};
  parley_text name = TEXT_EMPTY, mode = PARLEY_LIT("live"), topic = TEXT_EMPTY;
  json_t *scopes = NULL;
  bool ok =
      JSON_IN_ALL(json_in_only(&req->in, fields), json_in_text(&req->in, "name", CONF_NAME_MAX, &name),
                  json_in_text(&req->in, "mode", 8, &mode), json_in_text(&req->in, "topic", CONF_NAME_MAX, &topic),
                  json_in_array(&req->in, "scopes", KEY_SCOPES_MAX, &scopes), key_read_life(req, key));

  if (ok && !conf_name_ok(name))
    ok = json_in_problem(&req->in, "name", name.len > 0 ? "bad_value" : "missing", "name is 1 to %d of a-z 0-9 _ . -",
                         CONF_NAME_MAX);
  if (!parley_text_is(mode, "live") && !parley_text_is(mode, "test"))
    ok = json_in_problem(&req->in, "mode", "bad_value", "mode is live or test");
  if (topic.len > 0 && policy_find_topic(req->policy, topic) == NULL)
    ok = json_in_problem(&req->in, "topic", "unknown_topic", "no topic of this name is configured");
  if (!ok || !key_read_scopes(req, scopes, &key->scopes))
    return false;
  key->test = parley_text_is(mode, "test");
  key->name = text_copy(req->arena, name);
  key->topic = topic.len > 0 ? text_copy(req->arena, topic) : NULL;
  return true;
}

void api_keys_add(struct api_request *req)
{
  struct key_change *change = arena_alloc(req->arena, sizeof *change);
  struct buf json = BUF_INIT(4096);

  change->req = req;
  if (!key_read(req, &change->key)) {
    api_problems(req);
    return;
  }
  if (conf_key_find(req->conf, parley_text_of(change->key.name)) != NULL) {
    api_problem(req, 409, "name_taken", "take another name", "the configuration has a key of this name");
    return;
  }
  key_secret_make(req->shared->env, change->key.test, change->secret);
  sha256(parley_text_of(change->secret), change->key.sha256);
  buf_key_doc(&json, &change->key);
  change->op.doc = (struct doc){.kind = PARLEY_LIT("key"),
                                .name = parley_text_of(change->key.name),
                                .json = arena_text(req->arena, buf_as_text(&json))};
  change->op.version = 0;
  change->op.op.render = key_render;
  buf_done(&json);
  api_submit(req, &change->op.op, STORE_DOC_PUT, key_made);
}

/* --- Revoking ----------------------------------------------------------------------------------------------------- */

static void key_removed(struct store_op *op)
{
  struct key_change *change = container_of(op, struct key_change, op.op);

  if (!api_went(change->req, op))
    return;
  arena_free(&op->arena);
  api_keys_changed(change->req->api, &(struct doc){.id = change->key.id}, true);
  api_answer_empty(change->req, 204);
}

void api_keys_remove(struct api_request *req)
{
  struct key_change *change = arena_alloc(req->arena, sizeof *change);
  const struct auth_key *key = NULL;
  id64 id;

  if (!api_param_id(req, 0, "key", &id))
    return;
  for (size_t i = 0; (key = auth_at(req->api->auth, i)) != NULL && key->id != id; i++)
    ;
  if (key == NULL) {
    api_problem(req, 404, "not_found", "", "no such key");
  } else if (key->configured) {
    api_problem(req, 409, "configured", "take it out of the configuration", "this key is the configuration's");
  } else {
    change->req = req;
    change->key.id = id;
    change->op.doc = (struct doc){.kind = PARLEY_LIT("key"), .name = arena_text(req->arena, parley_text_of(key->name))};
    change->op.version = -1;
    api_submit(req, &change->op.op, STORE_DOC_PUT, key_removed);
  }
}
