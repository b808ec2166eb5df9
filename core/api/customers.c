/* /v1/customers: put (a merge-patch), get, find by identity, the timeline, and the consents of one. */
#include "core/base/alloc.h"
#include "core/base/clock.h"
#include "core/base/locale.h"
#include "core/base/text.h"
#include "core/feed/envelope.h"
#include "confirm.h"
#include "inside.h"
#include <string.h>

#define CUSTOMER_NAME_BYTES_MAX 255
#define CUSTOMER_ATTRIBUTES_BYTES_MAX ((size_t)65536)
#define CONSENT_PROOF_BYTES_MAX 2048
#define CONSENT_WORD_BYTES_MAX 64
#define CONSENT_AHEAD_MS_MAX 300000 /* what a sender's clock may be ahead */

struct person {
  struct api_request *req;
  void (*then)(struct person *person, const struct customer_row *row); /* of a look before a write */
  union {
    struct store_op op;
    struct store_customer one;
    struct store_timeline timeline;
  } u;
  struct store_customer_put put;
  struct store_consent consent;
};

static struct person *person_new(struct api_request *req)
{
  struct person *person = arena_alloc(req->arena, sizeof *person);

  person->req = req;
  return person;
}

static void customer_not_found(struct api_request *req)
{
  api_problem(req, 404, "customer_not_found", "", "no such customer");
}

/* --- Get and find ------------------------------------------------------------------------------------------------- */

static void got(struct store_op *op)
{
  struct person *person = container_of(op, struct person, u.op);
  struct buf body = BUF_INIT(0);

  if (!api_went(person->req, op))
    return;
  if (op->status != PARLEY_OK || person->u.one.row == NULL) {
    arena_free(&op->arena);
    customer_not_found(person->req);
    return;
  }
  buf_customer(&body, person->u.one.row);
  arena_free(&op->arena);
  api_answer(person->req, 200, &body);
  buf_done(&body);
}

void api_customers_get(struct api_request *req)
{
  struct person *person = person_new(req);

  if (api_param_customer(req, 0, &person->u.one.id, &person->u.one.external))
    api_look(req, &person->u.op, STORE_CUSTOMER, got);
}

static void found(struct store_op *op)
{
  struct person *person = container_of(op, struct person, u.op);
  struct buf body = BUF_INIT(0);

  if (!api_went(person->req, op))
    return;
  buf_str(&body, "{\"items\":[");
  if (op->status == PARLEY_OK && person->u.one.row != NULL)
    buf_customer(&body, person->u.one.row);
  buf_str(&body, "],\"next\":null}");
  arena_free(&op->arena);
  api_answer(person->req, 200, &body);
  buf_done(&body);
}

void api_customers_find(struct api_request *req)
{
  struct person *person = person_new(req);
  uint64_t none = 0;
  size_t limit;
  bool given;

  if (!api_query_identity(req, "identity", &person->u.one.identity, &given) || !api_query_limit(req, &limit) ||
      !api_query_cursor(req, &none, 1)) {
    api_problems(req);
    return;
  }
  if (!given)
    api_problem(req, 422, "missing", "?identity=email:ana@example.org",
                "identity is needed: a kind, a colon and a value");
  else
    api_look(req, &person->u.op, STORE_CUSTOMER, found);
}

/* --- The timeline ------------------------------------------------------------------------------------------------- */

static void timeline_done(struct store_op *op)
{
  struct person *person = container_of(op, struct person, u.op);
  struct store_timeline *timeline = &person->u.timeline;
  struct buf body = BUF_INIT(0);

  if (!api_went(person->req, op))
    return;
  if (op->status != PARLEY_OK) {
    arena_free(&op->arena);
    customer_not_found(person->req);
    return;
  }
  buf_char(&body, '{');
  api_timeline_items(person->req, &body, timeline);
  arena_free(&op->arena);
  api_answer(person->req, 200, &body);
  buf_done(&body);
}

void api_timeline_items(struct api_request *req, struct buf *body, const struct store_timeline *timeline)
{
  uint64_t at[2] = {0, 0};

  buf_json_key(body, "items");
  buf_char(body, '[');
  for (size_t i = 0; i < timeline->n; i++) {
    buf_json_comma(body);
    buf_timeline_entry(body, &timeline->rows[i], 0);
  }
  buf_char(body, ']');
  if (timeline->n > 0) {
    at[0] = (uint64_t)timeline->rows[timeline->n - 1].at_ms;
    at[1] = timeline->rows[timeline->n - 1].seq;
  }
  api_next_cursor(req, body, timeline->more, at, 2);
}

bool api_timeline_query(struct api_request *req, struct store_timeline *timeline)
{
  uint64_t at[2] = {0, 0};

  if (!api_query_limit(req, &timeline->limit) || !api_query_cursor(req, at, 2))
    return false;
  timeline->after = (struct timeline_cursor){(int64_t)at[0], at[1]};
  timeline->bodies = true;
  return true;
}

void api_customers_timeline(struct api_request *req)
{
  struct person *person = person_new(req);
  struct store_timeline *timeline = &person->u.timeline;
  parley_text order = PARLEY_LIT("newest"), external;

  if (!api_timeline_query(req, timeline) || !api_query_text(req, "order", 16, &order)) {
    api_problems(req);
    return;
  }
  timeline->oldest_first = parley_text_is(order, "oldest");
  if (!timeline->oldest_first && !parley_text_is(order, "newest")) {
    api_problem(req, 422, "bad_query", "", "order is newest or oldest: which entries come first");
    return;
  }
  if (!api_param_customer(req, 0, &timeline->customer, &external))
    return;
  if (external.len > 0)
    timeline->who = (struct identity){.kind = PARLEY_LIT("external"), .value = external, .raw = external};
  api_look(req, &person->u.op, STORE_TIMELINE, timeline_done);
}

/* --- Put ---------------------------------------------------------------------------------------------------------- */

/* A member that is set, or with null emptied. */
static bool read_set(const struct json_in *in, const char *name, size_t bytes_max, bool *set, parley_text *value)
{
  json_t *member = json_object_get(in->object, name);

  *value = TEXT_EMPTY;
  *set = member != NULL;
  if (!json_in_text(in, name, bytes_max, value))
    return false;
  return !text_has_control(*value) || json_in_problem(in, name, "bad_value", "%s has no control characters", name);
}

static bool read_locale(const struct json_in *in, struct store_customer_put *put)
{
  if (!read_set(in, "locale", LOCALE_BYTES_MAX, &put->locale.set, &put->locale.value))
    return false;
  return put->locale.value.len == 0 || locale_ok(put->locale.value) ||
         json_in_problem(in, "locale", "bad_locale", "locale is a language tag such as es, pt-BR or zh-Hant-TW (BCP 47)");
}

static bool read_timezone(const struct json_in *in, struct store_customer_put *put)
{
  if (!read_set(in, "timezone", TIMEZONE_BYTES_MAX, &put->timezone.set, &put->timezone.value))
    return false;
  return put->timezone.value.len == 0 || timezone_ok(put->timezone.value) ||
         json_in_problem(in, "timezone", "bad_timezone",
                         "timezone is a name of the IANA database such as Europe/Madrid or UTC, upper and lower case as there");
}

static bool read_attributes(struct api_request *req, struct store_customer_put *put)
{
  struct json_in in;
  struct buf json = BUF_INIT(0);
  bool ok = json_in_object(&req->in, "attributes", &in);

  if (!ok || in.object == NULL)
    return ok;
  buf_json_value(&json, in.object);
  put->attributes_patch = arena_text(req->arena, buf_as_text(&json));
  if (json.len > CUSTOMER_ATTRIBUTES_BYTES_MAX)
    ok = json_in_problem(&req->in, "attributes", "too_long", "attributes have at most %zu bytes",
                         CUSTOMER_ATTRIBUTES_BYTES_MAX);
  buf_done(&json);
  return ok;
}

static bool link_one(struct api_request *req, struct store_customer_put *put, const char *kind, parley_text pointer,
                     const json_t *value)
{
  if (!json_is_string(value)) {
    problem_add(&req->problems, pointer, "wrong_type",
                "an identity is text, a list of texts, or null to unlink the kind");
    return false;
  }
  if (put->n_link == RECIPIENT_IDENTITIES_MAX) {
    problem_add(&req->problems, pointer, "too_many_items", "%d identities are allowed", RECIPIENT_IDENTITIES_MAX);
    return false;
  }
  return identity_normalise(API_PHONES(req, PHONE_SOUGHT), parley_text_of(kind), json_text(value), req->arena,
                            pointer, &req->problems, &put->link[put->n_link]) &&
         ++put->n_link > 0;
}

/* {"email":"a@b"} links, {"email":["a@b","c@d"]} links both, {"phone":null} unlinks all of the kind. */
static bool read_identities(struct api_request *req, struct store_customer_put *put, bool *ret_nulls)
{
  struct json_in in;
  const char *kind;
  json_t *value;
  bool ok = json_in_object(&req->in, "identities", &in);

  *ret_nulls = false;
  json_object_foreach (ok ? in.object : NULL, kind, value) {
    parley_text at = pointer_member(req->arena, in.pointer, parley_text_of(kind));

    if (strcmp(kind, "external") == 0) {
      problem_add(&req->problems, at, "read_only", "an external key is set by PUT /v1/customers/external:KEY");
      ok = false;
    }
    *ret_nulls |= json_is_null(value);
    if (json_is_array(value)) {
      for (size_t i = 0; i < json_array_size(value); i++)
        ok &= link_one(req, put, kind, pointer_index(req->arena, at, i), json_array_get(value, i));
    } else if (!json_is_null(value)) {
      ok &= link_one(req, put, kind, at, value);
    }
  }
  return ok;
}

static void put_done(struct store_op *op)
{
  struct person *person = container_of(op, struct person, put.op);
  struct api_request *req = person->req;
  struct buf body = BUF_INIT(0);

  if (!api_went(req, op))
    return;
  if (op->status == PARLEY_REJECTED) {
    parley_text which = arena_text(req->arena, person->put.conflict_identity);

    arena_free(&op->arena);
    api_problem(req, 409, "identity_conflict", "unlink it there first", "%.*s belongs to another customer",
                TEXT_ARG(which));
    return;
  }
  if (op->status != PARLEY_OK || person->put.row == NULL) {
    arena_free(&op->arena);
    customer_not_found(req);
    return;
  }
  buf_customer(&body, person->put.row);
  arena_free(&op->arena);
  api_answer(req, person->put.created ? 201 : 200, &body);
  buf_done(&body);
}

static bool kind_is_null(const struct api_request *req, parley_text kind)
{
  return json_is_null(json_object_getn(json_object_get(req->json, "identities"), kind.at, kind.len));
}

/* What of the customer's identities has a kind that was set to null. */
static void put_unlink(struct person *person, const struct customer_row *row)
{
  struct store_customer_put *put = &person->put;
  struct arena *arena = person->req->arena;

  for (size_t i = 0; row != NULL && i < row->n_identities && put->n_unlink < RECIPIENT_IDENTITIES_MAX; i++) {
    const struct identity *from = &row->identities[i].identity;

    if (kind_is_null(person->req, from->kind))
      put->unlink[put->n_unlink++] = (struct identity){.kind = arena_text(arena, from->kind),
                                                       .value = arena_text(arena, from->value),
                                                       .raw = arena_text(arena, from->value),
                                                       .assurance = from->assurance};
  }
  api_submit(person->req, &put->op, STORE_CUSTOMER_PUT, put_done);
}

static void look_done(struct store_op *op)
{
  struct person *person = container_of(op, struct person, u.op);
  struct arena *results = op->arena;

  if (!api_went(person->req, op))
    return;
  person->then(person, op->status == PARLEY_OK ? person->u.one.row : NULL);
  arena_free(&results); /* the op may be gone with its req */
}

/* Looks the customer up; then(person, row) goes on, row NULL: there is none. The row lives until then returns. */
static void person_look(struct person *person, id64 id, parley_text external,
                        void (*then)(struct person *, const struct customer_row *))
{
  person->u.one.id = id;
  person->u.one.external = external;
  person->then = then;
  api_look(person->req, &person->u.op, STORE_CUSTOMER, look_done);
}

void api_customers_put(struct api_request *req)
{
  static const char *const fields[] = {"name", "locale", "timezone", "attributes", "tags", "identities", NULL};
  struct person *person = person_new(req);
  struct store_customer_put *put = &person->put;
  const struct json_in *in = &req->in;
  bool nulls;
  bool ok = JSON_IN_ALL(json_in_only(in, fields),
                        read_set(in, "name", CUSTOMER_NAME_BYTES_MAX, &put->name.set, &put->name.value),
                        read_locale(in, put), read_timezone(in, put),
                        api_read_tags(req, &put->tags.set, &put->tags.value), read_attributes(req, put),
                        read_identities(req, put, &nulls));

  if (!ok) {
    api_problems(req);
    return;
  }
  if (!api_param_customer(req, 0, &put->id, &put->external))
    return;
  put->now_ms = req->now_ms;
  if (nulls)
    person_look(person, put->id, put->external, put_unlink);
  else
    api_submit(req, &put->op, STORE_CUSTOMER_PUT, put_done);
}

/* --- Consents ----------------------------------------------------------------------------------------------------- */

static void buf_consent(struct buf *buf, const struct consent *consent)
{
  buf_str(buf, "{\"topic\":");
  buf_json_text(buf, consent->topic);
  buf_json_key(buf, "channel_kind");
  buf_json_text(buf, consent->channel_kind);
  buf_printf(buf, ",\"granted\":%s,\"at\":", consent->granted ? "true" : "false");
  buf_json_time(buf, consent->at_ms);
  buf_json_key(buf, "source");
  buf_json_text(buf, consent->source);
  buf_json_key(buf, "proof");
  buf_json_text(buf, consent->proof);
  buf_char(buf, '}');
}

static void consents_show(struct person *person, const struct customer_row *row)
{
  struct buf body = BUF_INIT(0);

  if (row == NULL) {
    customer_not_found(person->req);
    return;
  }
  buf_str(&body, "{\"items\":[");
  for (size_t i = 0; i < row->n_consents; i++) {
    buf_json_comma(&body);
    buf_consent(&body, &row->consents[i]);
  }
  buf_str(&body, "],\"next\":null}");
  api_answer(person->req, 200, &body);
  buf_done(&body);
}

void api_consents_list(struct api_request *req)
{
  struct person *person = person_new(req);
  parley_text external;
  id64 id;

  if (api_param_customer(req, 0, &id, &external))
    person_look(person, id, external, consents_show);
}

static void consent_done(struct store_op *op)
{
  struct person *person = container_of(op, struct person, consent.op);
  struct buf body = BUF_INIT(0);

  if (!api_went(person->req, op))
    return;
  deliver_reconsider(person->req->shared->deliver, person->consent.whose, person->consent.n_whose, NULL);
  arena_free(&op->arena);
  if (op->status != PARLEY_OK) {
    customer_not_found(person->req);
    return;
  }
  buf_consent(&body, &person->consent.entry);
  api_answer(person->req, 200, &body);
  buf_done(&body);
}

/* --- Double opt-in: the customer is asked first ------------------------------------------------------------------- */

static void asked(struct api_request *req, const struct confirm_ask *ask, id64 message, bool repeated)
{
  struct consent none = {.topic = ask->topic->name, .channel_kind = ask->channel->channel_kind, .at_ms = req->now_ms,
                         .source = PARLEY_LIT("confirmation"), .proof = TEXT_EMPTY};
  struct buf body = BUF_INIT(0);

  if (message == 0) {
    customer_not_found(req);
    return;
  }
  buf_consent(&body, &none);
  body.len--; /* its closing brace */
  buf_json_key(&body, "confirmation");
  buf_json_id(&body, "msg", message);
  buf_printf(&body, ",\"repeated\":%s}", repeated ? "true" : "false");
  api_answer(req, 202, &body);
  buf_done(&body);
}

/* Verified before others, then the one used last. */
static const struct stored_identity *identity_of(const struct customer_row *row, parley_text kind)
{
  const struct stored_identity *best = NULL;

  for (size_t i = 0; i < row->n_identities; i++) {
    const struct stored_identity *each = &row->identities[i];

    if (each->blocked || !text_eq(each->identity.kind, kind))
      continue;
    if (best == NULL || each->identity.assurance > best->identity.assurance ||
        (each->identity.assurance == best->identity.assurance && each->used_ms > best->used_ms))
      best = each;
  }
  return best;
}

/* The first channel of the kind that reaches the customer. False: there is none. */
static bool ask_route(struct api_request *req, const struct customer_row *row, parley_text kind, struct confirm_ask *ask)
{
  const struct policy *policy = req->policy;

  for (size_t i = 0; i < policy->n_channels; i++) {
    const struct policy_channel *channel = &policy->channels[i];
    const struct stored_identity *found = text_eq(channel->channel_kind, kind) ? identity_of(row, channel->address_kind) : NULL;

    if (found == NULL)
      continue;
    ask->channel = channel;
    ask->who = (struct identity){.kind = arena_text(req->arena, found->identity.kind),
                                 .value = arena_text(req->arena, found->identity.value),
                                 .raw = arena_text(req->arena, found->identity.value)};
    return true;
  }
  return false;
}

static parley_text ask_proof(const struct api_request *req, const struct consent *entry)
{
  struct buf proof = BUF_INIT(0);
  parley_text text;

  buf_str(&proof, "{\"key\":");
  buf_json_text(&proof, req->key.name);
  buf_json_key(&proof, "source");
  buf_json_text(&proof, entry->source);
  buf_json_key(&proof, "proof");
  buf_json_text(&proof, entry->proof);
  buf_client(&proof, req);
  buf_char(&proof, '}');
  text = arena_text(req->arena, buf_as_text(&proof));
  buf_done(&proof);
  return text;
}

static void consent_ask(struct person *person, const struct customer_row *row)
{
  struct api_request *req = person->req;
  const struct consent *entry = &person->consent.entry;
  struct confirm_ask *ask = arena_alloc(req->arena, sizeof *ask);

  if (row == NULL) {
    customer_not_found(req);
    return;
  }
  if (!ask_route(req, row, entry->channel_kind, ask)) {
    api_problem(req, 422, "no_address", "link one first, or configure a channel of this kind",
                "no channel of the kind %.*s can reach this customer", TEXT_ARG(entry->channel_kind));
    return;
  }
  ask->customer = row->id;
  ask->topic = policy_find_topic(req->policy, entry->topic);
  ask->lang = page_lang(req, row->locale);
  ask->proof = ask_proof(req, entry);
  ask->test = req->key.test;
  confirm_send(req, ask, asked);
}

/* --- Said outright ------------------------------------------------------------------------------------------------ */

static void consent_put(struct person *person, const struct customer_row *row)
{
  if (row == NULL) {
    customer_not_found(person->req);
    return;
  }
  person->consent.customer = row->id;
  person->consent.now_ms = person->req->now_ms;
  api_submit(person->req, &person->consent.op, STORE_CONSENT, consent_done);
}

/* What can be asked: a grant, of one kind, from now on. */
static bool confirm_ok(const struct json_in *in, const struct consent *entry)
{
  if (!entry->granted)
    return json_in_problem(in, "confirm", "bad_value", "only a grant can be confirmed: a withdrawal holds at once");
  if (json_object_get(in->object, "at") != NULL)
    return json_in_problem(in, "at", "bad_value", "with confirm, the time is when the customer confirms");
  return !parley_text_is(entry->channel_kind, "*") ||
         json_in_problem(in, "confirm", "bad_value", "say which kind of channel: one confirmation is for one of them");
}

static bool consent_read(struct api_request *req, struct consent *entry, bool *ret_confirm)
{
  static const char *const fields[] = {"granted", "at", "source", "proof", "confirm", NULL};
  static const char *const kinds[] = {"*", "email", "sms", "chat", "push", "voice", "webhook", NULL};
  const struct json_in *in = &req->in;
  size_t kind = 0;

  *entry = (struct consent){.topic = req->params[1],
                            .channel_kind = req->params[2],
                            .at_ms = req->now_ms,
                            .source = PARLEY_LIT("api"),
                            .proof = TEXT_EMPTY};
  *ret_confirm = false;
  if (!JSON_IN_ALL(json_in_only(in, fields), json_in_bool(in, "granted", &entry->granted), json_in_bool(in, "confirm", ret_confirm),
                   json_in_time(in, "at", &entry->at_ms),
                   json_in_text(in, "source", CONSENT_WORD_BYTES_MAX, &entry->source),
                   json_in_text(in, "proof", CONSENT_PROOF_BYTES_MAX, &entry->proof)))
    return false;
  if (!json_is_boolean(json_object_get(req->json, "granted")))
    return json_in_problem(in, "granted", "missing", "granted is needed: true or false");
  if (entry->at_ms > req->now_ms + CONSENT_AHEAD_MS_MAX)
    return json_in_problem(in, "at", "bad_value", "at is in the future");
  if (*ret_confirm && !confirm_ok(in, entry))
    return false;
  while (kinds[kind] != NULL && !parley_text_is(entry->channel_kind, kinds[kind]))
    kind++;
  if (kinds[kind] == NULL)
    problem_add(&req->problems, TEXT_EMPTY, "unknown_kind",
                "a channel kind is email, sms, chat, push, voice, webhook or * for all");
  else if (policy_find_topic(req->policy, entry->topic) == NULL)
    problem_add(&req->problems, TEXT_EMPTY, "unknown_topic", "no topic of this name is configured");
  return req->problems.count == 0;
}

void api_consents_put(struct api_request *req)
{
  struct person *person = person_new(req);
  parley_text external;
  bool confirm;
  id64 id;

  if (!consent_read(req, &person->consent.entry, &confirm))
    api_problems(req);
  else if (api_param_customer(req, 0, &id, &external))
    person_look(person, id, external, confirm ? consent_ask : consent_put);
}
