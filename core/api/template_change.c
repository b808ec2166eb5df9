/* PUT and DELETE of a template: one change after the other, so that each sees what the one before made. A change is checked with
 * all templates that contain the changed one, then written, then in force. */
#include "core/base/clock.h"
#include "core/base/text.h"
#include "template_change.h"
#include <stdlib.h>

struct change {
  struct list node;
  struct api_request *req;
  bool removes;
  uint64_t version;
  parley_text history_json, json;
  struct template *made;
  struct template_set again; /* those that contain it, read with the new one */
  union {
    struct store_op op;
    struct store_docs docs;
    struct store_doc_put put;
  } u;
};

static void change_start(struct change *change);

/* After its answer: the next one's turn. */
static void change_over(struct api *api, struct change *change)
{
  template_unref(&change->made);
  template_set_done(&change->again);
  list_remove(&change->node);
  api->n_template_changes--;
}

static void change_next(struct api *api)
{
  if (!list_empty(&api->template_changes))
    change_start(LIST_ITEM(api->template_changes.next, struct change, node));
}

static void change_refuse(struct change *change)
{
  struct api_request *req = change->req;
  struct api *api = req->api;

  change_over(api, change);
  change_next(api);
  api_problems(req); /* last: the request and the change in its arena go, and with them perhaps the api */
}

/* --- Writing ------------------------------------------------------------------------------------------------------ */

static void change_apply(struct change *change)
{
  struct api *api = change->req->api;

  template_unread_drop(api, change->req->params[0]);
  if (change->removes) {
    template_set_remove(&api->templates, change->req->params[0]);
    return;
  }
  template_set_put(&api->templates, template_ref(change->made));
  for (size_t i = 0; i < change->again.n; i++)
    template_set_put(&api->templates, template_ref(change->again.all[i]));
  template_unread_retry(api);
}

static void change_answer(struct change *change, bool wrote)
{
  struct api_request *req = change->req;
  struct template *made = change->made != NULL ? template_ref(change->made) : NULL;
  struct api *api = req->api;
  bool removes = change->removes;

  if (wrote)
    change_apply(change);
  change_over(api, change);
  change_next(api);
  if (removes)
    api_answer_empty(req, 204);
  else
    template_answer(req, made);
  template_unref(&made);
}

static bool change_wrote(struct change *change)
{
  struct api_request *req = change->req;
  struct api *api = req->api;
  parley_status status = change->u.op.status;

  arena_free(&change->u.op.arena);
  if (status == PARLEY_OK || (status == PARLEY_NOT_FOUND && change->removes))
    return true;
  change_over(api, change);
  change_next(api);
  api_store_problem(req, status);
  return false;
}

static void current_written(struct store_op *op)
{
  struct change *change = container_of(op, struct change, u.op);

  if (change_wrote(change))
    change_answer(change, true);
}

static void doc_write(struct change *change, const char *kind, parley_text json, void (*done)(struct store_op *op))
{
  change->u.put = (struct store_doc_put){
      .doc = {.kind = parley_text_of(kind), .name = change->req->params[0], .json = json}, .version = -1};
  api_look(change->req, &change->u.op, STORE_DOC_PUT, done);
}

static void history_written(struct store_op *op)
{
  struct change *change = container_of(op, struct change, u.op);

  if (change_wrote(change))
    doc_write(change, "template", change->json, current_written);
}

/* --- The history -------------------------------------------------------------------------------------------------- */

static json_t *version_json(const struct change *change)
{
  return json_pack("{s:I, s:I, s:O}", "version", (json_int_t)change->version, "at_ms", (json_int_t)change->req->now_ms, "template",
                   change->req->json);
}

/* The newest first, as many and as much as is kept. */
static json_t *versions_kept(json_t *versions)
{
  struct buf size = BUF_INIT(0);
  size_t i = 0;

  while (i < json_array_size(versions) && i < TEMPLATE_VERSIONS_MAX && size.len < TEMPLATE_HISTORY_BYTES_MAX) {
    buf_json_value(&size, json_array_get(versions, i));
    i++;
  }
  if (i > 1 && size.len > TEMPLATE_HISTORY_BYTES_MAX)
    i--;
  while (json_array_size(versions) > i)
    json_array_remove(versions, i);
  buf_done(&size);
  return versions;
}

static parley_text json_kept(struct arena *arena, json_t *json)
{
  struct buf buf = BUF_INIT(0);
  parley_text kept;

  buf_json_value(&buf, json);
  kept = arena_text(arena, buf_as_text(&buf));
  buf_done(&buf);
  json_decref(json);
  return kept;
}

static void history_make(struct change *change, const json_t *history)
{
  json_t *versions = json_array(), *old = json_object_get(history, "versions");
  struct arena *arena = change->req->arena;

  change->json = TEXT_EMPTY;
  if (!change->removes) {
    change->json = json_kept(arena, version_json(change));
    json_array_append_new(versions, version_json(change));
    json_array_extend(versions, old);
  }
  change->history_json = json_kept(arena, json_pack("{s:I, s:o}", "last", (json_int_t)change->version, "versions",
                                                    versions_kept(versions)));
}

/* --- Checking ----------------------------------------------------------------------------------------------------- */

static bool contained_check(struct change *change)
{
  struct api_request *req = change->req;
  struct template_set candidate = {.n = 0};
  struct problems problems;
  bool good = true;

  template_set_put(&candidate, template_ref(change->made));
  for (size_t i = 0; good && i < req->api->templates.n; i++) {
    const struct template *other = req->api->templates.all[i];
    struct template *again;

    if (!template_contains(other, req->params[0]) || text_eq(template_name(other), req->params[0]))
      continue;
    problems_init(&problems, req->arena);
    again = template_again(req->api, other, &candidate, &problems);
    good = again != NULL;
    if (good)
      template_set_put(&change->again, again);
    else
      problem_add(&req->problems, TEXT_EMPTY, problems.rows[0].code,
                  "the template %.*s contains this one and would not work: %.*s: %.*s",
                  TEXT_ARG(template_name(other)), TEXT_ARG(problems.rows[0].pointer), TEXT_ARG(problems.rows[0].detail));
  }
  template_set_done(&candidate);
  return good;
}

static bool put_fits(struct change *change)
{
  struct api_request *req = change->req;
  const struct template_set *set = &req->api->templates;
  bool there = template_set_find(set, req->params[0]) != NULL;

  if (!there && set->n >= TEMPLATES_MAX)
    problem_add(&req->problems, TEXT_EMPTY, "too_many_templates", "there are %d templates, as many as are allowed", TEMPLATES_MAX);
  else if (set->bytes + template_bytes(change->made) > TEMPLATES_BYTES_MAX)
    problem_add(&req->problems, TEXT_EMPTY, "too_many_templates", "all templates together take at most %zu bytes of memory",
                TEMPLATES_BYTES_MAX);
  return req->problems.count == 0;
}

/* false: the answer is on its way. */
static bool put_check(struct change *change)
{
  struct api_request *req = change->req;
  const struct template *now = template_set_find(&req->api->templates, req->params[0]);
  const struct template_set *others[3];

  if (now != NULL && json_equal(template_json(now), req->json)) {
    change->made = template_ref((struct template *)(uintptr_t)now);
    change_answer(change, false);
    return false;
  }
  change->made = template_read(&req->in, req->params[0], change->version, req->now_ms, others,
                               template_others(req->api, NULL, others));
  if (change->made != NULL && put_fits(change) && contained_check(change))
    return true;
  change_refuse(change);
  return false;
}

static bool remove_check(struct change *change)
{
  struct api_request *req = change->req;
  const struct template_set *set = &req->api->templates;
  parley_text user = TEXT_EMPTY;
  struct api *api = req->api;
  bool there = template_set_find(set, req->params[0]) != NULL || template_is_unread(api, req->params[0]);

  for (size_t i = 0; i < set->n; i++)
    if (!text_eq(template_name(set->all[i]), req->params[0]) && template_contains(set->all[i], req->params[0]))
      user = arena_text(req->arena, template_name(set->all[i]));
  if (there && user.len == 0)
    return true;
  change_over(api, change);
  change_next(api);
  if (!there)
    api_problem(req, 404, "not_found", "GET /v1/templates lists them", "no such template");
  else
    api_problem(req, 409, "template_in_use", "change that one first", "the template %.*s contains this one", TEXT_ARG(user));
  return false;
}

static void history_read(struct store_op *op)
{
  struct change *change = container_of(op, struct change, u.op);
  struct api_request *req = change->req;
  const struct store_docs *docs = &change->u.docs;
  json_t *history = op->status == PARLEY_OK && docs->n > 0 ? json_read(docs->rows[0].json, &req->problems) : NULL;
  parley_status status = op->status == PARLEY_NOT_FOUND ? PARLEY_OK : op->status;
  struct api *api = req->api;

  problems_init(&req->problems, req->arena);
  arena_free(&op->arena);
  if (status != PARLEY_OK) {
    change_over(api, change);
    change_next(api);
    api_store_problem(req, status);
    return;
  }
  change->version = (uint64_t)json_integer_value(json_object_get(history, "last")) + !change->removes;
  if (change->removes ? remove_check(change) : put_check(change)) {
    history_make(change, history);
    doc_write(change, "template.history", change->history_json, history_written);
  }
  json_decref(history);
}

/* --- The queue ---------------------------------------------------------------------------------------------------- */

static void change_start(struct change *change)
{
  change->u.docs = (struct store_docs){.kind = PARLEY_LIT("template.history"), .name = change->req->params[0]};
  api_look(change->req, &change->u.op, STORE_DOCS, history_read);
}

static void change_add(struct api_request *req, bool removes)
{
  struct api *api = req->api;
  struct change *change;

  if (template_set_find(req->policy->templates, req->params[0]) != NULL) {
    api_problem(req, 409, "configured", "change its file and reload", "this template is defined by the configuration");
    return;
  }
  if (!api->started || api->n_template_changes >= TEMPLATE_CHANGES_MAX) {
    api_problem(req, 503, "busy", "try again", "too many changes of templates are under way");
    return;
  }
  change = arena_alloc(req->arena, sizeof *change);
  change->req = req;
  change->removes = removes;
  list_push(&api->template_changes, &change->node);
  if (++api->n_template_changes == 1)
    change_start(change);
}

void api_templates_put(struct api_request *req)
{
  if (template_name_ok(req->params[0]))
    change_add(req, false);
  else
    api_problem(req, 422, "bad_name", "", "a template's name has 1 to %d of a-z 0-9 . _ -", TEMPLATE_NAME_BYTES_MAX);
}

void api_templates_remove(struct api_request *req)
{
  change_add(req, true);
}
