/* /v1/subscriptions: who gets the feed. Kept as documents of kind "subscription" beside those of the configuration,
 * which are read-only here; the feed works with both. */
#include "core/base/alloc.h"
#include "core/base/clock.h"
#include "core/base/text.h"
#include "subscription.h"
#include <stdlib.h>

/* --- Those in force ----------------------------------------------------------------------------------------------- */

struct api_subscription *subscription_new(void)
{
  struct arena *arena = arena_new();
  struct api_subscription *made = arena_alloc(arena, sizeof *made);

  made->arena = arena;
  return made;
}

void subscription_free(struct api_subscription **subscription)
{
  struct arena *arena = *subscription != NULL ? (*subscription)->arena : NULL;

  *subscription = NULL;
  arena_free(&arena);
}

static size_t subscription_at(const struct api *api, id64 id)
{
  size_t at = 0;

  while (at < api->n_subscriptions && api->subscriptions[at]->sub.id != id)
    at++;
  return at;
}

struct api_subscription *subscription_find(const struct api *api, id64 id)
{
  size_t at = subscription_at(api, id);

  return at < api->n_subscriptions ? api->subscriptions[at] : NULL;
}

struct api_subscription *subscription_copy(const struct api_subscription *from)
{
  struct api_subscription *copy = subscription_new();
  struct arena *arena = copy->arena;
  struct subscription *sub = &copy->sub;

  *copy = *from;
  copy->arena = arena;
  sub->name = arena_text(arena, from->sub.name);
  sub->url = arena_text(arena, from->sub.url);
  sub->filter_channel = arena_text(arena, from->sub.filter_channel);
  sub->filter_topic = arena_text(arena, from->sub.filter_topic);
  for (size_t i = 0; i < sub->n_secrets; i++)
    sub->secrets[i] = arena_text(arena, from->sub.secrets[i]);
  for (size_t i = 0; i < sub->n_types; i++)
    sub->types[i] = arena_text(arena, from->sub.types[i]);
  return copy;
}

void subscription_put(struct api *api, struct api_subscription *made)
{
  size_t at = subscription_at(api, made->sub.id);

  if (at == api->n_subscriptions) {
    api->subscriptions = xrealloc(api->subscriptions, (at + 1) * sizeof *api->subscriptions);
    api->n_subscriptions++;
  } else {
    subscription_free(&api->subscriptions[at]);
  }
  api->subscriptions[at] = made;
  feed_subscribe(api->shared.feed, &made->sub);
}

static void subscription_drop(struct api *api, size_t at)
{
  feed_unsubscribe(api->shared.feed, api->subscriptions[at]->sub.id);
  subscription_free(&api->subscriptions[at]);
  api->subscriptions[at] = api->subscriptions[--api->n_subscriptions];
}

void subscription_remove(struct api *api, id64 id)
{
  size_t at = subscription_at(api, id);

  if (at < api->n_subscriptions)
    subscription_drop(api, at);
}

void api_subscriptions_free(struct api *api)
{
  for (size_t i = 0; i < api->n_subscriptions; i++)
    subscription_free(&api->subscriptions[i]);
  free(api->subscriptions);
}

/* Once its time is over the old secret neither signs nor stands anywhere. */
static void old_secret_drop(struct api_subscription *subscription, int64_t now_ms)
{
  if (subscription->old_until_ms == 0 || subscription->old_until_ms > now_ms)
    return;
  subscription->old_until_ms = 0;
  subscription->sub.n_secrets = 1;
  subscription->sub.secrets[1] = TEXT_EMPTY;
  subscription->unsaved = true;
}

void api_subscriptions_sweep(struct api *api)
{
  int64_t now_ms = api->shared.env->now_ms(api->shared.env);

  for (size_t i = 0; i < api->n_subscriptions; i++) {
    struct api_subscription *one = api->subscriptions[i];
    size_t secrets = one->sub.n_secrets;

    old_secret_drop(one, now_ms);
    if (one->sub.n_secrets < secrets)
      feed_subscribe(api->shared.feed, &one->sub);
    if (one->unsaved)
      subscription_save(api, one);
  }
}

/* --- Of the configuration ----------------------------------------------------------------------------------------- */

static parley_text filter_text(const struct yaml_node *filter, const char *name)
{
  const struct yaml_node *node = filter != NULL ? yaml_find(filter, name) : NULL;

  return node != NULL && node->kind == YAML_IS_TEXT ? node->text : TEXT_EMPTY;
}

static struct api_subscription *subscription_of_conf(const struct conf_subscription *conf)
{
  struct api_subscription from = {.sub = {.id = feed_id_of("subscription", conf->name),
                                          .name = conf->name,
                                          .url = conf->url,
                                          .n_secrets = 1,
                                          .secrets = {conf->secret},
                                          .filter_channel = filter_text(conf->filter, "channel"),
                                          .filter_topic = filter_text(conf->filter, "topic"),
                                          .configured = true}};

  for (; from.sub.n_types < conf->n_types && from.sub.n_types < FEED_TYPES_MAX; from.sub.n_types++)
    from.sub.types[from.sub.n_types] = conf->types[from.sub.n_types];
  for (size_t i = 0; i < conf->n_types; i++)
    if (parley_text_is(conf->types[i], "*"))
      from.sub.n_types = 0; /* no type is every type */
  return subscription_copy(&from);
}

void api_subscriptions_configure(struct api *api)
{
  for (size_t i = api->n_subscriptions; i-- > 0;)
    if (api->subscriptions[i]->sub.configured &&
        conf_subscription_find(api->conf, api->subscriptions[i]->sub.name) == NULL)
      subscription_drop(api, i);
  for (size_t i = 0; i < api->conf->n_subscriptions; i++)
    subscription_put(api, subscription_of_conf(&api->conf->subscriptions[i]));
}

/* --- Documents ---------------------------------------------------------------------------------------------------- */

static void buf_texts(struct buf *buf, const char *name, const parley_text *texts, size_t n)
{
  buf_json_key(buf, name);
  buf_char(buf, '[');
  for (size_t i = 0; i < n; i++) {
    buf_json_comma(buf);
    buf_json_text(buf, texts[i]);
  }
  buf_char(buf, ']');
}

static void buf_filter(struct buf *buf, const struct subscription *sub)
{
  buf_json_key(buf, "filter");
  buf_char(buf, '{');
  if (sub->filter_channel.len > 0) {
    buf_json_key(buf, "channel");
    buf_json_text(buf, sub->filter_channel);
  }
  if (sub->filter_topic.len > 0) {
    buf_json_key(buf, "topic");
    buf_json_text(buf, sub->filter_topic);
  }
  buf_char(buf, '}');
}

void buf_subscription_doc(struct buf *buf, const struct api_subscription *subscription)
{
  const struct subscription *sub = &subscription->sub;

  buf_str(buf, "{\"url\":");
  buf_json_text(buf, sub->url);
  buf_texts(buf, "secrets", sub->secrets, sub->n_secrets);
  buf_texts(buf, "types", sub->types, sub->n_types);
  buf_filter(buf, sub);
  buf_printf(buf, ",\"disabled\":%s,\"old_until_ms\":%lld,\"created_ms\":%lld}", sub->disabled ? "true" : "false",
             (long long)subscription->old_until_ms, (long long)subscription->created_ms);
}

static size_t read_texts(json_t *array, parley_text *to, size_t room)
{
  size_t n = 0;

  for (size_t i = 0; i < json_array_size(array) && n < room; i++)
    to[n++] = json_text(json_array_get(array, i));
  return n;
}

void api_subscriptions_loaded(struct api *api, const struct doc *doc)
{
  struct api_subscription from = {.sub = {.id = doc->id, .name = doc->name}};
  struct arena *arena = arena_new();
  struct problems problems;
  json_t *json, *filter;

  problems_init(&problems, arena);
  json = json_read(doc->json, &problems);
  if (json != NULL) {
    filter = json_object_get(json, "filter");
    from.sub.url = json_text(json_object_get(json, "url"));
    from.sub.n_secrets = read_texts(json_object_get(json, "secrets"), from.sub.secrets, FEED_SECRETS_MAX);
    from.sub.n_types = read_texts(json_object_get(json, "types"), from.sub.types, FEED_TYPES_MAX);
    from.sub.filter_channel = json_text(json_object_get(filter, "channel"));
    from.sub.filter_topic = json_text(json_object_get(filter, "topic"));
    from.sub.disabled = json_is_true(json_object_get(json, "disabled"));
    from.old_until_ms = json_integer_value(json_object_get(json, "old_until_ms"));
    from.created_ms = json_integer_value(json_object_get(json, "created_ms"));
    old_secret_drop(&from, api->shared.env->now_ms(api->shared.env));
    subscription_put(api, subscription_copy(&from));
  }
  json_decref(json);
  arena_free(&arena);
}

/* --- Looking ------------------------------------------------------------------------------------------------------ */

/* How it is doing: as the feed sees it now. */
static void buf_state(struct buf *buf, const struct feed *feed, id64 id)
{
  struct feed_state state;

  buf_json_key(buf, "state");
  if (!feed_state(feed, id, &state)) {
    buf_str(buf, "null");
    return;
  }
  buf_printf(buf, "{\"pushed\":%llu,\"failed\":%llu,\"dead\":%llu,\"waiting\":%llu,\"retrying\":%llu,\"in_flight\":%u",
             (unsigned long long)state.pushed, (unsigned long long)state.failed, (unsigned long long)state.dead,
             (unsigned long long)state.waiting, (unsigned long long)state.pending, state.in_flight);
  buf_printf(buf, ",\"lag_ms\":%lld,\"left_alone_ms\":%lld,\"last_status\":%u,\"last_error\":", (long long)state.lag_ms,
             (long long)state.open_for_ms, state.last_code);
  buf_json_text(buf, state.last_error);
  buf_json_key(buf, "last_good_at");
  buf_json_time(buf, state.last_good_ms);
  buf_json_key(buf, "last_bad_at");
  buf_json_time(buf, state.last_bad_ms);
  buf_char(buf, '}');
}

static void buf_subscription(struct buf *buf, const struct feed *feed, const struct api_subscription *subscription,
                             enum secret_shown secret)
{
  const struct subscription *sub = &subscription->sub;

  buf_str(buf, "{\"id\":");
  buf_json_id(buf, "sub", sub->id);
  buf_json_key(buf, "name");
  buf_json_text(buf, sub->name);
  buf_json_key(buf, "url");
  buf_json_text(buf, sub->url);
  buf_texts(buf, "types", sub->types, sub->n_types);
  buf_filter(buf, sub);
  buf_printf(buf, ",\"configured\":%s,\"disabled\":%s,\"created_at\":", sub->configured ? "true" : "false",
             sub->disabled ? "true" : "false");
  buf_json_time(buf, subscription->created_ms);
  buf_json_key(buf, "old_secret_until");
  buf_json_time(buf, subscription->old_until_ms);
  if (feed != NULL)
    buf_state(buf, feed, sub->id);
  if (secret != SECRET_LEFT_OUT) {
    buf_json_key(buf, "secret");
    if (secret == SECRET_SHOWN)
      buf_json_text(buf, sub->secrets[0]);
    else
      buf_str(buf, "null");
  }
  buf_char(buf, '}');
}

void subscription_answer(struct api_request *req, uint32_t code, const struct api_subscription *subscription,
                         enum secret_shown secret)
{
  struct buf body = BUF_INIT(0);

  buf_subscription(&body, req->shared->feed, subscription, secret);
  api_answer(req, code, &body);
  buf_done(&body);
}

void subscription_render(struct buf *buf, const struct api_subscription *subscription)
{
  buf_subscription(buf, NULL, subscription, SECRET_NULL); /* in the store's thread */
}

void api_subscriptions_list(struct api_request *req)
{
  struct buf body = BUF_INIT(0);

  buf_str(&body, "{\"items\":[");
  for (size_t i = 0; i < req->api->n_subscriptions; i++) {
    buf_json_comma(&body);
    buf_subscription(&body, req->shared->feed, req->api->subscriptions[i], SECRET_LEFT_OUT);
  }
  buf_str(&body, "],\"next\":null}");
  api_answer(req, 200, &body);
  buf_done(&body);
}

struct api_subscription *subscription_param(struct api_request *req)
{
  struct api_subscription *found;
  id64 id;

  if (!api_param_id(req, 0, "sub", &id))
    return NULL;
  found = subscription_find(req->api, id);
  if (found == NULL)
    api_problem(req, 404, "not_found", "GET /v1/subscriptions lists them", "no such subscription");
  return found;
}

void api_subscriptions_get(struct api_request *req)
{
  struct api_subscription *found = subscription_param(req);

  if (found != NULL)
    subscription_answer(req, 200, found, SECRET_LEFT_OUT);
}

/* --- What waits, and pushing it again ----------------------------------------------------------------------------- */

struct due {
  struct api_request *req;
  struct store_feed_due op;
};

static void buf_pending(struct buf *buf, const struct feed_pending *row)
{
  buf_str(buf, "{\"event\":");
  buf_json_id(buf, "evt", row->seq);
  buf_printf(buf, ",\"attempts\":%u,\"dead\":%s,\"due_at\":", row->attempts, row->dead ? "true" : "false");
  buf_json_time(buf, row->dead ? 0 : row->due_ms);
  buf_json_key(buf, "last_error");
  buf_json_text(buf, row->last_error);
  buf_char(buf, '}');
}

static void due_done(struct store_op *op)
{
  struct due *due = container_of(op, struct due, op.op);
  struct store_feed_due *rows = &due->op;
  struct buf body = BUF_INIT(0);

  if (!api_went(due->req, op))
    return;
  buf_str(&body, "{\"items\":[");
  for (size_t i = 0; i < rows->n; i++) {
    buf_json_comma(&body);
    buf_pending(&body, &rows->rows[i]);
  }
  buf_printf(&body, "],\"waiting\":%llu,\"dead\":%llu", (unsigned long long)rows->n_pending,
             (unsigned long long)rows->n_dead);
  api_next_cursor(due->req, &body, rows->n > 0 && rows->n == rows->limit,
                  rows->n > 0 ? &rows->rows[rows->n - 1].seq : NULL, 1);
  arena_free(&op->arena);
  api_answer(due->req, 200, &body);
  buf_done(&body);
}

void api_subscriptions_deliveries(struct api_request *req)
{
  struct due *due = arena_alloc(req->arena, sizeof *due);
  struct api_subscription *found;

  if (!api_query_bool(req, "dead", &due->op.dead) || !api_query_limit(req, &due->op.limit) ||
      !api_query_cursor(req, &due->op.after, 1)) {
    api_problems(req);
    return;
  }
  found = subscription_param(req);
  if (found == NULL)
    return;
  due->req = req;
  due->op.subscription = found->sub.id;
  due->op.all = true;
  api_look(req, &due->op.op, STORE_FEED_DUE, due_done);
}

static void test_done(uint32_t code, parley_text reason, void *arg)
{
  struct api_request *req = arg;
  struct buf body = BUF_INIT(0);

  buf_printf(&body, "{\"ok\":%s,\"status\":%u,\"reason\":", code >= 200 && code < 300 ? "true" : "false", code);
  buf_json_text(&body, reason);
  buf_char(&body, '}');
  api_answer(req, 200, &body);
  buf_done(&body);
}

void api_subscriptions_test(struct api_request *req)
{
  struct api_subscription *found = subscription_param(req);

  if (found != NULL)
    feed_test(req->shared->feed, found->sub.id, test_done, req);
}
