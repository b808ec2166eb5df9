/* Changes of /v1/subscriptions: add, patch, remove, rotate, replay. What the configuration defines is read-only. */
#include "core/base/alloc.h"
#include "core/base/text.h"
#include "core/feed/cursor.h"
#include "core/message/target.h"
#include "core/net/url.h"
#include "subscription.h"
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#define SECRET_BYTES 32
#define SECRET_TEXT_MAX 128
#define REPLAY_EVENTS_MAX 1000 /* in one request */

struct change {
  struct api_request *req;
  struct store_doc_put op;
  struct api_subscription *made; /* ours until it is stored */
  uint32_t code;
  enum secret_shown secret;
};

/* --- Reading ------------------------------------------------------------------------------------------------------ */

static parley_text secret_make(struct api_request *req, struct arena *arena)
{
  uint8_t bytes[SECRET_BYTES];
  struct buf text = BUF_INIT(SECRET_TEXT_MAX);
  parley_text kept;

  req->shared->env->random(req->shared->env, bytes, sizeof bytes);
  buf_str(&text, "whsec_");
  buf_base64(&text, bytes, sizeof bytes);
  kept = arena_text(arena, buf_as_text(&text));
  OPENSSL_cleanse(bytes, sizeof bytes);
  OPENSSL_cleanse(text.at, text.len);
  buf_done(&text);
  return kept;
}

/* A secret of the caller's, or a new one. */
static bool read_secret(struct api_request *req, struct arena *arena, parley_text *ret)
{
  parley_text secret = TEXT_EMPTY;

  if (!json_in_text(&req->in, "secret", SECRET_TEXT_MAX, &secret))
    return false;
  if (secret.len > 0 && !conf_signing_secret_ok(secret))
    return json_in_problem(&req->in, "secret", "bad_secret",
                           "secret is whsec_ and the base64 of 24 to 64 bytes; leave it out for a new one");
  *ret = secret.len > 0 ? arena_text(arena, secret) : secret_make(req, arena);
  return true;
}

static bool read_url(struct api_request *req, struct api_subscription *made)
{
  parley_text text = TEXT_EMPTY;
  struct buf plain = BUF_INIT(URL_BYTES_MAX + 64);
  const char *why = "";
  struct url url;

  if (!json_in_text(&req->in, "url", LINK_BYTES_MAX, &text))
    return false;
  if (text.len == 0)
    return made->sub.url.len > 0 ||
           json_in_problem(&req->in, "url", "missing", "url is needed: where the events are sent to");
  if (url_parse(text, &url, &why) != PARLEY_OK)
    return json_in_problem(&req->in, "url", why, "this is no usable URL: https://host/path");
  if (url.scheme != URL_HTTP && url.scheme != URL_HTTPS)
    return json_in_problem(&req->in, "url", "scheme_not_allowed", "only https and http are pushed to");
  if (egress_url_check(req->shared->egress, &url, &why) != PARLEY_OK) {
    json_in_problem(&req->in, "url", why, "this address or port may not be connected to");
    problem_hint(&req->problems, "the operator allows more in server.egress");
    return false;
  }
  url_write(&plain, &url);
  made->sub.url = arena_text(made->arena, buf_as_text(&plain));
  buf_done(&plain);
  return true;
}

static bool read_types(struct api_request *req, struct api_subscription *made)
{
  json_t *array = NULL, *item;
  bool ok = true, all = false;
  size_t i;

  if (!json_in_array(&req->in, "types", FEED_TYPES_MAX, &array))
    return false;
  if (array == NULL)
    return true;
  made->sub.n_types = 0;
  json_array_foreach(array, i, item)
  {
    all |= parley_text_is(json_text(item), "*");
    if (conf_event_type_ok(json_text(item))) {
      made->sub.types[made->sub.n_types++] = arena_text(made->arena, json_text(item));
      continue;
    }
    problem_add(&req->problems, pointer_index(req->arena, PARLEY_LIT("/types"), i), "unknown_type",
                "a type is such as message.received, message.* or *");
    ok = false;
  }
  if (all)
    made->sub.n_types = 0; /* no type is every type */
  return ok;
}

static bool filter_name(struct api_request *req, const struct json_in *in, const char *name, bool known,
                        parley_text value)
{
  (void)req;
  return value.len == 0 || known || json_in_problem(in, name, "unknown_name", "no %s of this name is configured", name);
}

static bool read_filter(struct api_request *req, struct api_subscription *made)
{
  static const char *const fields[] = {"channel", "topic", NULL};
  struct json_in in;
  parley_text channel = TEXT_EMPTY, topic = TEXT_EMPTY;

  if (!json_in_object(&req->in, "filter", &in))
    return false;
  if (in.object == NULL)
    return true;
  if (!JSON_IN_ALL(json_in_only(&in, fields), json_in_text(&in, "channel", CONF_NAME_MAX, &channel),
                   json_in_text(&in, "topic", CONF_NAME_MAX, &topic)))
    return false;
  if (!filter_name(req, &in, "channel", policy_find_channel(req->policy, channel) != NULL, channel) ||
      !filter_name(req, &in, "topic", policy_find_topic(req->policy, topic) != NULL, topic))
    return false;
  made->sub.filter_channel = arena_text(made->arena, channel);
  made->sub.filter_topic = arena_text(made->arena, topic);
  return true;
}

static bool read_common(struct api_request *req, struct api_subscription *made)
{
  return JSON_IN_ALL(read_url(req, made), read_types(req, made), read_filter(req, made),
                     json_in_bool(&req->in, "disabled", &made->sub.disabled));
}

/* --- Storing ------------------------------------------------------------------------------------------------------ */

static uint32_t change_render(struct store_op *op, struct buf *body)
{
  struct change *change = container_of(op, struct change, op.op);

  change->made->sub.id = change->op.made_id;
  subscription_render(body, change->made);
  return change->code;
}

static void change_done(struct store_op *op)
{
  struct change *change = container_of(op, struct change, op.op);
  struct api_subscription *made = change->made;
  struct api_request *req = change->req;

  req->api->n_changing--;
  if (op->status != PARLEY_OK || op->replay != REPLAY_NO)
    subscription_free(&made);
  if (!api_went(req, op))
    return;
  arena_free(&op->arena);
  if (op->status != PARLEY_OK) {
    api_problem(req, 409, "name_taken", "take another name", "there is a subscription of this name");
    return;
  }
  made->sub.id = change->op.made_id;
  subscription_put(req->api, made);
  subscription_answer(req, change->code, made, change->secret);
}

static void change_submit(struct change *change, int64_t version)
{
  struct api_request *req = change->req;
  struct buf json = BUF_INIT(0);

  buf_subscription_doc(&json, change->made);
  change->op.doc = (struct doc){.kind = PARLEY_LIT("subscription"),
                                .name = change->made->sub.name,
                                .json = arena_text(req->arena, buf_as_text(&json))};
  buf_done(&json);
  change->op.version = version;
  change->op.op.render = change_render;
  req->api->n_changing++;
  api_submit(req, &change->op.op, STORE_DOC_PUT, change_done);
}

static void change_refuse(struct change *change)
{
  subscription_free(&change->made);
  api_problems(change->req);
}

static bool read_name(struct api_request *req, struct api_subscription *made)
{
  struct buf name = BUF_INIT(CONF_NAME_MAX);
  parley_text given = TEXT_EMPTY;
  uint8_t bytes[8];

  if (!json_in_text(&req->in, "name", CONF_NAME_MAX, &given))
    return false;
  if (given.len > 0 && !conf_name_ok(given))
    return json_in_problem(&req->in, "name", "bad_value", "name is 1 to %d of a-z 0-9 _ . -", CONF_NAME_MAX);
  if (conf_subscription_find(req->conf, given) != NULL)
    return json_in_problem(&req->in, "name", "name_taken", "the configuration has a subscription of this name");
  req->shared->env->random(req->shared->env, bytes, sizeof bytes);
  buf_str(&name, "hook-");
  buf_hex(&name, bytes, sizeof bytes);
  made->sub.name = arena_text(made->arena, given.len > 0 ? given : buf_as_text(&name));
  buf_done(&name);
  return true;
}

void api_subscriptions_add(struct api_request *req)
{
  static const char *const fields[] = {"name", "url", "secret", "types", "filter", "disabled", NULL};
  struct change *change = arena_alloc(req->arena, sizeof *change);
  struct api_subscription *made = subscription_new();

  change->req = req;
  change->made = made;
  change->code = 201;
  change->secret = SECRET_SHOWN;
  made->created_ms = req->now_ms;
  made->sub.n_secrets = 1;
  if (!JSON_IN_ALL(json_in_only(&req->in, fields), read_name(req, made), read_common(req, made),
                   read_secret(req, made->arena, &made->sub.secrets[0]))) {
    change_refuse(change);
  } else if (req->api->n_subscriptions >= API_SUBSCRIPTIONS_MAX) {
    subscription_free(&change->made);
    api_problem(req, 409, "too_many", "remove some", "%d subscriptions are allowed", API_SUBSCRIPTIONS_MAX);
  } else {
    change_submit(change, 0);
  }
}

/* The subscription in the path for a change, or NULL: answered. */
static struct api_subscription *changeable(struct api_request *req)
{
  struct api_subscription *found = subscription_param(req);

  if (found == NULL || !found->sub.configured)
    return found;
  api_problem(req, 409, "configured", "change it in the configuration", "this subscription is the configuration's");
  return NULL;
}

static struct change *change_of(struct api_request *req, const struct api_subscription *found)
{
  struct change *change = arena_alloc(req->arena, sizeof *change);

  change->req = req;
  change->made = subscription_copy(found);
  change->made->unsaved = false; /* it is written whole */
  change->code = 200;
  return change;
}

void api_subscriptions_patch(struct api_request *req)
{
  static const char *const fields[] = {"url", "types", "filter", "disabled", NULL};
  struct api_subscription *found = changeable(req);
  struct change *change;

  if (found == NULL)
    return;
  change = change_of(req, found);
  if (JSON_IN_ALL(json_in_only(&req->in, fields), read_common(req, change->made)))
    change_submit(change, -1);
  else
    change_refuse(change);
}

void api_subscriptions_rotate(struct api_request *req)
{
  static const char *const fields[] = {"secret", NULL};
  struct api_subscription *found = changeable(req);
  struct change *change;
  struct subscription *sub;

  if (found == NULL)
    return;
  change = change_of(req, found);
  sub = &change->made->sub;
  sub->secrets[1] = sub->secrets[0];
  sub->n_secrets = 2;
  change->made->old_until_ms = req->now_ms + SUBSCRIPTION_OLD_SECRET_MS;
  change->secret = SECRET_SHOWN;
  if (JSON_IN_ALL(json_in_only(&req->in, fields), read_secret(req, change->made->arena, &sub->secrets[0])))
    change_submit(change, -1);
  else
    change_refuse(change);
}

static void removed(struct store_op *op)
{
  struct change *change = container_of(op, struct change, op.op);
  id64 id;

  change->req->api->n_changing--;
  if (!api_went(change->req, op))
    return;
  arena_free(&op->arena);
  if (id_parse("sub", change->req->params[0], &id))
    subscription_remove(change->req->api, id);
  api_answer_empty(change->req, 204);
}

void api_subscriptions_remove(struct api_request *req)
{
  struct change *change = arena_alloc(req->arena, sizeof *change);
  struct api_subscription *found = changeable(req);

  if (found == NULL)
    return;
  change->req = req;
  change->op.doc = (struct doc){.kind = PARLEY_LIT("subscription"), .name = arena_text(req->arena, found->sub.name)};
  change->op.version = -1;
  req->api->n_changing++;
  api_submit(req, &change->op.op, STORE_DOC_PUT, removed);
}

/* --- Changes that nobody asked for: a receiver that wants no more, a secret whose time is over ----------------------- */

struct save {
  struct api *api;
  id64 subscription;
  struct arena *arena;
  struct store_doc_put op;
};

static void saved(struct store_op *op)
{
  struct save *save = container_of(op, struct save, op.op);
  struct api *api = save->api;
  struct api_subscription *found = subscription_find(api, save->subscription);

  if (op->status != PARLEY_OK) {
    log_line(api->shared.log, PARLEY_WARN, "event=subscription_not_stored what=\"it will be tried again\"");
    if (found != NULL)
      found->unsaved = true;
  }
  arena_free(&op->arena);
  arena_free(&save->arena);
  free(save);
  api->open--;
  api_maybe_closed(api);
}

void subscription_save(struct api *api, struct api_subscription *subscription)
{
  struct buf json = BUF_INIT(0);
  struct save *save;

  subscription->unsaved = !subscription->sub.configured;
  if (!subscription->unsaved || api->n_changing > 0 || api->closing)
    return;
  subscription->unsaved = false;
  save = xcalloc(1, sizeof *save);
  save->api = api;
  save->arena = arena_new();
  save->subscription = subscription->sub.id;
  buf_subscription_doc(&json, subscription);
  save->op.doc = (struct doc){.kind = PARLEY_LIT("subscription"),
                              .name = arena_text(save->arena, subscription->sub.name),
                              .json = arena_text(save->arena, buf_as_text(&json))};
  buf_done(&json);
  save->op.version = -1;
  save->op.op.kind = STORE_DOC_PUT;
  save->op.op.done = saved;
  api->open++;
  store_submit(api->shared.store, &save->op.op);
}

void api_subscription_disabled(struct api *api, id64 subscription)
{
  struct api_subscription *found = subscription_find(api, subscription);

  if (found == NULL || found->sub.disabled)
    return;
  found->sub.disabled = true;
  subscription_save(api, found);
}

/* --- Replay ------------------------------------------------------------------------------------------------------- */

struct replay {
  struct api_request *req;
  id64 subscription;
  struct store_events range;
};

static void replay_answer(struct api_request *req, size_t n, uint64_t next)
{
  struct buf body = BUF_INIT(0);

  buf_printf(&body, "{\"queued\":%zu,\"next\":", n);
  buf_json_id(&body, "evt", next);
  buf_char(&body, '}');
  api_answer(req, 202, &body);
  buf_done(&body);
}

static void replay_range_done(struct store_op *op)
{
  struct replay *replay = container_of(op, struct replay, range.op);
  struct store_events *range = &replay->range;
  uint64_t *seqs, next = range->scanned_to, last = range->newest;
  size_t n = range->n;

  if (!api_went(replay->req, op))
    return;
  seqs = arena_alloc(replay->req->arena, (n + 1) * sizeof *seqs);
  for (size_t i = 0; i < n; i++)
    seqs[i] = range->rows[i].seq;
  if (range->upto != 0 && range->upto < last)
    last = range->upto;
  if (next >= last)
    next = 0;
  arena_free(&op->arena);
  if (n > 0)
    feed_replay(replay->req->shared->feed, replay->subscription, seqs, n);
  replay_answer(replay->req, n, next);
}

static void replay_events(struct api_request *req, id64 subscription, json_t *array)
{
  size_t n = json_array_size(array);
  uint64_t *seqs = arena_alloc(req->arena, (n + 1) * sizeof *seqs);

  for (size_t i = 0; i < n; i++)
    if (!id_parse("evt", json_text(json_array_get(array, i)), &seqs[i]))
      problem_add(&req->problems, pointer_index(req->arena, PARLEY_LIT("/events"), i), "bad_id", "events are evt_ ids");
  if (n == 0)
    json_in_problem(&req->in, "events", "empty", "name at least one event, or leave `events` out for all dead ones");
  if (req->problems.count > 0) {
    api_problems(req);
    return;
  }
  feed_replay(req->shared->feed, subscription, seqs, n);
  replay_answer(req, n, 0);
}

static bool replay_bound(struct api_request *req, const char *name, uint64_t *ret)
{
  parley_text text = TEXT_EMPTY;

  if (!json_in_text(&req->in, name, CURSOR_TEXT_MAX, &text))
    return false;
  return text.len == 0 || id_parse("evt", text, ret) ||
         cursor_read(text, store_secret(req->shared->store), PARLEY_LIT("events"), ret, 1) ||
         json_in_problem(&req->in, name, "bad_cursor", "%s is an evt_ id or a cursor of GET /v1/events", name);
}

/* Copied: the subscription may be gone before the store has looked. */
static void replay_types(struct replay *replay, const struct subscription *sub)
{
  struct arena *arena = replay->req->arena;
  parley_text *types = arena_alloc(arena, (sub->n_types + 1) * sizeof *types);

  for (size_t i = 0; i < sub->n_types; i++)
    types[i] = arena_text(arena, sub->types[i]);
  replay->range.types = types;
  replay->range.n_types = sub->n_types;
}

void api_subscriptions_replay(struct api_request *req)
{
  static const char *const fields[] = {"events", "after", "upto", NULL};
  struct replay *replay = arena_alloc(req->arena, sizeof *replay);
  struct api_subscription *found = subscription_param(req);
  json_t *events = NULL;

  if (found == NULL)
    return;
  if (!JSON_IN_ALL(json_in_only(&req->in, fields), json_in_array(&req->in, "events", REPLAY_EVENTS_MAX, &events),
                   replay_bound(req, "after", &replay->range.after), replay_bound(req, "upto", &replay->range.upto))) {
    api_problems(req);
    return;
  }
  if (events != NULL) {
    replay_events(req, found->sub.id, events);
  } else if (replay->range.after == 0 && replay->range.upto == 0) {
    feed_replay(req->shared->feed, found->sub.id, NULL, 0);
    replay_answer(req, 0, 0);
  } else {
    replay->req = req;
    replay->subscription = found->sub.id;
    replay->range.limit = REPLAY_EVENTS_MAX;
    replay_types(replay, &found->sub);
    api_look(req, &replay->range.op, STORE_EVENTS, replay_range_done);
  }
}
