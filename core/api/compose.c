#include "compose.h"
#include "compose_values.h"
#include "core/base/text.h"
#include "core/message/link_check.h"
#include "template.h"

#define COMPOSE_BODY_BYTES_MAX ((size_t)4 << 20) /* of what a template makes, as JSON; the content's own limit is below */
#define COMPOSE_BATCH_BYTES_MAX ((size_t)16 << 20) /* of what the templates of one batch make together */

struct composing { /* one message, while its customer is looked up */
  struct compose *compose;
  size_t at, tries;
  json_t *around;
  union {
    struct store_op op;
    struct store_customer customer;
    struct store_timeline timeline;
  } u;
};
struct compose {
  struct api_request *req;
  struct submission **submissions;
  size_t n, left; /* left: looked up still */
  size_t made_bytes;
  bool batch, started;
  const struct compose_calls *calls;
  void *arg;
  parley_status status;
  struct composing *all;
};

static void compose_look_over(struct compose *compose)
{
  if (compose->left == 0 && compose->started)
    compose->calls->done(compose->req, compose->status, compose->arg);
}

/* --- Making the content ------------------------------------------------------------------------------------------- */

static bool variant_wanted(parley_text variant, void *arg)
{
  const struct submission *submission = arg;

  for (size_t i = 0; i < submission->n_steps; i++)
    if (text_eq(variant, submission->steps[i].channel->name) || text_eq(variant, submission->steps[i].channel->channel_kind))
      return true;
  return false;
}

/* What is stored: the message as it was sent, with the content for the template's values. */
static void body_begin(struct buf *body, const struct submission *submission, parley_text locale)
{
  const char *name;
  json_t *value;

  buf_str(body, "{\"template\":\"");
  buf_template_reference(body, submission->template);
  buf_str(body, "\",\"locale\":");
  buf_json_text(body, locale);
  json_object_foreach(submission->json, name, value)
  {
    if (parley_text_is(PARLEY_LIT("template"), name) || parley_text_is(PARLEY_LIT("locale"), name) ||
        parley_text_is(PARLEY_LIT("data"), name))
      continue;
    buf_json_key(body, name);
    buf_json_value(body, value);
  }
  buf_json_key(body, "content");
}

/* The values go, what they made stays: a message that waits in memory holds its text once as JSON, once as bytes. */
static void submission_complete(struct submission *submission, parley_text body, json_t *content)
{
  json_object_del(submission->json, "data");
  submission->data = NULL;
  submission->json = json_pack("[o, o]", submission->json, content);
  submission->body = arena_text(submission->arena, body);
  template_unref(&submission->template);
}

static bool content_take(struct api_request *req, struct submission *submission, parley_text bytes, parley_text pointer,
                         json_t **ret)
{
  struct json_in in = {.pointer = pointer, .arena = submission->arena, .problems = &req->problems};

  in.object = *ret = json_read(bytes, &req->problems);
  if (in.object != NULL && content_read(&in, &submission->content) &&
      (!submission->topic->track_clicks || links_check(&req->problems, pointer, &submission->content)))
    return true;
  json_decref(in.object);
  return false;
}

/* A batch is small, what it makes may not be: 500 items wait in memory together until they are stored. */
static bool batch_fits(struct compose *compose, size_t bytes, parley_text pointer)
{
  compose->made_bytes += bytes;
  if (!compose->batch || compose->made_bytes <= COMPOSE_BATCH_BYTES_MAX)
    return true;
  compose->made_bytes -= bytes;
  problem_add(&compose->req->problems, pointer, "batch_too_large",
              "what the templates of this batch make together has more than %zu bytes: send fewer at a time", COMPOSE_BATCH_BYTES_MAX);
  return false;
}

static bool submission_make(struct compose *compose, struct submission *submission, parley_text pointer, const json_t *around,
                            parley_text locale)
{
  struct api_request *req = compose->req;
  struct template_values values = {.data = submission->data, .around = around};
  parley_text below = pointer_member(req->arena, pointer, PARLEY_LIT("template"));
  struct buf body = BUF_INIT(COMPOSE_BODY_BYTES_MAX);
  json_t *content = NULL;
  size_t begin;
  bool good;

  locale = template_locale(submission->template, locale);
  body_begin(&body, submission, locale);
  begin = body.len;
  good = template_render(submission->template, locale, &values, variant_wanted, submission, &body, below, &req->problems);
  if (good && body.overflow) {
    problem_add(&req->problems, below, "content_too_large", "the content has more than %zu bytes", body.max);
    good = false;
  }
  good = good && batch_fits(compose, body.len, below) &&
         content_take(req, submission, (parley_text){body.at + begin, body.len - begin}, below, &content);
  buf_char(&body, '}');
  if (good)
    submission_complete(submission, buf_as_text(&body), content);
  buf_done(&body);
  return good;
}

static void composing_make(struct composing *composing)
{
  struct compose *compose = composing->compose;
  struct api_request *req = compose->req;
  struct submission **submission = &compose->submissions[composing->at];
  parley_text pointer = compose->batch ? pointer_index(req->arena, PARLEY_LIT("/items"), composing->at) : TEXT_EMPTY;
  parley_text locale = (*submission)->locale;

  if (locale.len == 0)
    locale = json_text(json_object_get(json_object_get(composing->around, "customer"), "locale"));
  if (!submission_make(compose, *submission, pointer, composing->around, locale)) {
    compose->calls->refused(req, composing->at, compose->arg);
    submission_free(submission);
  }
  json_decref(composing->around);
}

/* --- Looking up --------------------------------------------------------------------------------------------------- */

static void composing_over(struct composing *composing, parley_status status)
{
  struct compose *compose = composing->compose;

  if (status != PARLEY_OK) {
    compose->status = status;
    json_decref(composing->around);
  } else {
    composing_make(composing);
  }
  compose->left--;
  compose_look_over(compose);
}

static void timeline_done(struct store_op *op)
{
  struct composing *composing = container_of(op, struct composing, u.op);
  const struct store_timeline *timeline = &composing->u.timeline;
  parley_status status = op->status == PARLEY_NOT_FOUND ? PARLEY_OK : op->status;
  json_t *last = json_object();

  for (size_t i = 0; op->status == PARLEY_OK && i < timeline->n; i++)
    values_add_event(last, &timeline->rows[i], composing->compose->req->arena);
  json_object_set_new(composing->around, "events", json_pack("{s:o}", "last", last));
  arena_free(&op->arena);
  composing_over(composing, status);
}

static bool customer_try(struct composing *composing);

/* Somebody who has an external of their own is not the one with another external: the message makes a new customer. */
static bool customer_is_other(const struct recipient *to, const struct customer_row *row)
{
  for (size_t i = 0; to->external.len > 0 && i < row->n_identities; i++)
    if (parley_text_is(row->identities[i].identity.kind, "external") &&
        !text_eq(row->identities[i].identity.value, to->external))
      return true;
  return false;
}

static void customer_done(struct store_op *op)
{
  struct composing *composing = container_of(op, struct composing, u.op);
  struct api_request *req = composing->compose->req;
  const struct submission *submission = composing->compose->submissions[composing->at];
  const struct customer_row *row = op->status == PARLEY_OK ? composing->u.customer.row : NULL;
  parley_status status = op->status == PARLEY_NOT_FOUND ? PARLEY_OK : op->status;
  bool found = row != NULL && !customer_is_other(&submission->to, row);
  id64 id = row != NULL ? row->id : 0;

  if (found)
    composing->around = json_pack("{s:o}", "customer", values_of_customer(row, req->arena));
  arena_free(&op->arena);
  if (status == PARLEY_OK && !found && customer_try(composing))
    return;
  if (found && template_uses_events(submission->template)) {
    composing->u.timeline = (struct store_timeline){.customer = id, .bodies = true, .limit = TEMPLATE_EVENTS_MAX};
    api_look(req, &composing->u.op, STORE_TIMELINE, timeline_done);
    return;
  }
  composing_over(composing, status);
}

/* In the order in which the recipient is resolved. false: nobody is left to look for. */
static bool customer_try(struct composing *composing)
{
  const struct recipient *to = &composing->compose->submissions[composing->at]->to;
  struct store_customer *ask = &composing->u.customer;
  size_t at = composing->tries++;

  *ask = (struct store_customer){.external = TEXT_EMPTY};
  if (at == 0 && to->customer != 0)
    ask->id = to->customer;
  else if (at == 0 && to->external.len > 0)
    ask->external = to->external;
  else if (at == 0)
    at = composing->tries++;
  if (at > 0 && (to->customer != 0 || at > to->n_identities))
    return false;
  if (at > 0)
    ask->identity = to->identities[at - 1];
  api_look(composing->compose->req, &ask->op, STORE_CUSTOMER, customer_done);
  return true;
}

static bool customer_is_needed(const struct submission *submission)
{
  return template_uses_customer(submission->template) || template_uses_events(submission->template) ||
         (submission->locale.len == 0 && template_n_locales(submission->template) > 1);
}

void compose(struct api_request *req, struct submission **submissions, size_t n, bool batch, const struct compose_calls *calls,
             void *arg)
{
  struct compose *compose = arena_alloc(req->arena, sizeof *compose);

  *compose = (struct compose){.req = req, .submissions = submissions, .n = n, .batch = batch, .calls = calls, .arg = arg,
                              .status = PARLEY_OK, .all = arena_alloc(req->arena, n * sizeof *compose->all)};
  for (size_t i = 0; i < n; i++) {
    struct composing *composing = &compose->all[i];

    composing->compose = compose;
    composing->at = i;
    if (submissions[i] == NULL || submissions[i]->template == NULL)
      continue;
    if (!customer_is_needed(submissions[i]))
      composing_make(composing);
    else if (customer_try(composing))
      compose->left++;
    else
      composing_make(composing);
  }
  compose->started = true;
  compose_look_over(compose);
}
