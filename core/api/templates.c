/* /v1/templates: looking at them and trying them out. How they change stands in template_change.c. */
#include "core/base/clock.h"
#include "core/base/text.h"
#include "template_change.h"
#include <stdlib.h>

/* --- Those in force ----------------------------------------------------------------------------------------------- */

struct template *api_template_find(struct api_request *req, parley_text name)
{
  struct template *found = template_set_find(req->policy->templates, name);

  return found != NULL ? found : template_set_find(&req->api->templates, name);
}

static size_t names_add(const char **names, size_t n, size_t room, const struct template_set *set)
{
  for (size_t i = 0; set != NULL && i < set->n && n < room; i++)
    names[n++] = template_name(set->all[i]).at;
  return n;
}

void api_template_unknown(struct api_request *req, parley_text pointer, parley_text name)
{
  size_t room = 1 + (req->policy->templates != NULL ? req->policy->templates->n : 0) + req->api->templates.n, n;
  const char **names = arena_alloc(req->arena, room * sizeof *names), *near;

  if (!req->api->started) {
    problem_add(&req->problems, pointer, "starting", "the templates made by API are still being read");
    return;
  }
  n = names_add(names, 0, room - 1, req->policy->templates);
  names_add(names, n, room - 1, &req->api->templates);
  near = text_nearest(name, names);
  problem_add(&req->problems, pointer, "unknown_template", "there is no template of this name");
  if (near != NULL)
    problem_hint(&req->problems, "did you mean '%s'?", near);
  else
    problem_hint(&req->problems, "GET /v1/templates lists them");
}

/* Those of the configuration come first in every look, so one of their names hides what was made by API. */
size_t template_others(struct api *api, const struct template_set *candidate, const struct template_set *ret[3])
{
  size_t n = 0;

  if (api->policy->templates != NULL)
    ret[n++] = api->policy->templates;
  if (candidate != NULL)
    ret[n++] = candidate;
  ret[n++] = &api->templates;
  return n;
}

struct template *template_again(struct api *api, const struct template *old, const struct template_set *candidate,
                                struct problems *problems)
{
  const struct template_set *others[3];
  struct json_in in = {.object = (json_t *)(uintptr_t)template_json(old), .pointer = TEXT_EMPTY, .arena = problems->arena,
                       .problems = problems};

  return template_read(&in, template_name(old), template_version(old), template_at_ms(old), others,
                       template_others(api, candidate, others));
}

/* --- Documents ---------------------------------------------------------------------------------------------------- */

void api_templates_loaded(struct api *api, const struct doc *doc)
{
  struct arena *arena = arena_new();
  struct problems problems;
  json_t *json;

  problems_init(&problems, arena);
  json = json_read(doc->json, &problems);
  if (json != NULL) {
    json_object_set_new(json, "name", json_stringn(doc->name.at, doc->name.len));
    if (api->templates_read == NULL)
      api->templates_read = json_array();
    json_array_append_new(api->templates_read, json);
  }
  arena_free(&arena);
}

static struct template *document_read(struct api *api, const json_t *doc, struct problems *problems)
{
  const struct template_set *others[3];
  struct json_in in = {.object = json_object_get(doc, "template"), .pointer = TEXT_EMPTY, .arena = problems->arena,
                       .problems = problems};

  return template_read(&in, json_text(json_object_get(doc, "name")),
                       (uint64_t)json_integer_value(json_object_get(doc, "version")),
                       json_integer_value(json_object_get(doc, "at_ms")), others, template_others(api, NULL, others));
}

static void template_tell(struct api *api, parley_text name, const struct problems *problems)
{
  const struct problem *first = &problems->rows[0];

  log_line(api->shared.log, PARLEY_WARN, "event=template_unusable template=%.*s at=%.*s why=\"%.*s\"", TEXT_ARG(name),
           TEXT_ARG(first->pointer), TEXT_ARG(first->detail));
}

/* One that contains others can be read once they are there: as many rounds as they stand in one another. */
static void documents_read(struct api *api)
{
  bool more = true;

  while (more && json_array_size(api->templates_read) > 0) {
    more = false;
    for (size_t i = json_array_size(api->templates_read); i-- > 0;) {
      struct arena *arena = arena_new();
      struct problems problems;
      struct template *made;

      problems_init(&problems, arena);
      made = document_read(api, json_array_get(api->templates_read, i), &problems);
      if (made != NULL) {
        template_set_put(&api->templates, made);
        json_array_remove(api->templates_read, i);
        more = true;
      }
      arena_free(&arena);
    }
  }
}

static size_t unread_at(const struct api *api, parley_text name)
{
  size_t at = 0;

  while (at < json_array_size(api->templates_read) &&
         !text_eq(name, json_text(json_object_get(json_array_get(api->templates_read, at), "name"))))
    at++;
  return at;
}

bool template_is_unread(const struct api *api, parley_text name)
{
  return unread_at(api, name) < json_array_size(api->templates_read);
}

void template_unread_drop(struct api *api, parley_text name)
{
  if (template_is_unread(api, name))
    json_array_remove(api->templates_read, unread_at(api, name));
}

void template_unread_retry(struct api *api)
{
  documents_read(api);
}

/* What is left lacks something: it is told, and tried again when the configuration changes. */
static void documents_tell(struct api *api)
{
  for (size_t i = 0; i < json_array_size(api->templates_read); i++) {
    const json_t *doc = json_array_get(api->templates_read, i);
    struct arena *arena = arena_new();
    struct problems problems;

    problems_init(&problems, arena);
    document_read(api, doc, &problems);
    template_tell(api, json_text(json_object_get(doc, "name")), &problems);
    arena_free(&arena);
  }
}

void api_templates_link(struct api *api)
{
  for (size_t i = 0; i < api->templates.n; i++) {
    struct arena *arena = arena_new();
    struct problems problems;
    struct template *made;

    problems_init(&problems, arena);
    made = template_again(api, api->templates.all[i], NULL, &problems);
    if (made != NULL)
      template_set_put(&api->templates, made);
    else
      template_tell(api, template_name(api->templates.all[i]), &problems);
    arena_free(&arena);
  }
  documents_read(api);
  documents_tell(api);
}

/* --- Looking ------------------------------------------------------------------------------------------------------ */

static void buf_template(struct buf *buf, const struct template *template, bool configured, bool source)
{
  const char *tag;
  json_t *content;

  buf_str(buf, "{\"name\":");
  buf_json_text(buf, template_name(template));
  buf_printf(buf, ",\"version\":%llu,\"configured\":%s,\"updated_at\":", (unsigned long long)template_version(template),
             configured ? "true" : "false");
  buf_json_time(buf, template_at_ms(template));
  buf_json_key(buf, "locales");
  buf_char(buf, '[');
  json_object_foreach(json_object_get(template_json(template), "locales"), tag, content)
  {
    buf_json_comma(buf);
    buf_json_str(buf, tag);
  }
  buf_str(buf, "],\"default_locale\":");
  buf_json_text(buf, template_locale(template, TEXT_EMPTY));
  if (source) {
    buf_json_key(buf, "template");
    buf_json_value(buf, template_json(template));
  }
  buf_char(buf, '}');
}

void template_answer(struct api_request *req, const struct template *template)
{
  struct buf body = BUF_INIT(0);

  buf_template(&body, template, template_set_find(req->policy->templates, template_name(template)) == template, true);
  api_answer(req, 200, &body);
  buf_done(&body);
}

void api_templates_list(struct api_request *req)
{
  const struct template_set *configured = req->policy->templates, *made = &req->api->templates;
  struct buf body = BUF_INIT(0);

  buf_str(&body, "{\"items\":[");
  for (size_t i = 0; configured != NULL && i < configured->n; i++) {
    buf_json_comma(&body);
    buf_template(&body, configured->all[i], true, false);
  }
  for (size_t i = 0; i < made->n; i++) {
    if (template_set_find(configured, template_name(made->all[i])) != NULL)
      continue;
    buf_json_comma(&body);
    buf_template(&body, made->all[i], false, false);
  }
  buf_str(&body, "],\"next\":null}");
  api_answer(req, 200, &body);
  buf_done(&body);
}

struct template *template_param(struct api_request *req)
{
  struct template *found = api_template_find(req, req->params[0]);

  if (found == NULL && !req->api->started)
    api_problem(req, 503, "starting", "try again", "the templates made by API are still being read");
  else if (found == NULL)
    api_problem(req, 404, "not_found", "GET /v1/templates lists them", "no such template");
  return found;
}

struct history {
  struct api_request *req;
  struct store_docs op;
  uint64_t version;
};

static void buf_version(struct buf *buf, parley_text name, const json_t *version, bool source)
{
  buf_str(buf, "{\"name\":");
  buf_json_text(buf, name);
  buf_printf(buf, ",\"version\":%lld,\"updated_at\":", (long long)json_integer_value(json_object_get(version, "version")));
  buf_json_time(buf, json_integer_value(json_object_get(version, "at_ms")));
  if (source) {
    buf_json_key(buf, "template");
    buf_json_value(buf, json_object_get(version, "template"));
  }
  buf_char(buf, '}');
}

static void history_answer(struct history *history, const json_t *versions)
{
  struct api_request *req = history->req;
  struct buf body = BUF_INIT(0);
  const json_t *version;
  size_t i;

  if (history->version == 0)
    buf_str(&body, "{\"items\":[");
  json_array_foreach(versions, i, version)
  {
    bool wanted = (uint64_t)json_integer_value(json_object_get(version, "version")) == history->version;

    if (history->version != 0 && !wanted)
      continue;
    buf_json_comma(&body);
    buf_version(&body, req->params[0], version, history->version != 0);
  }
  if (history->version == 0)
    buf_str(&body, "],\"next\":null}");
  if (body.len == 0)
    api_problem(req, 404, "not_found", "GET /v1/templates/{name}/versions lists those that are kept", "no such version");
  else
    api_answer(req, 200, &body);
  buf_done(&body);
}

static void history_done(struct store_op *op)
{
  struct history *history = container_of(op, struct history, op.op);
  struct api_request *req = history->req;
  struct arena *results;
  json_t *json;

  if (!api_went(req, op))
    return;
  results = op->arena; /* the op goes with the req */
  json = op->status == PARLEY_OK && history->op.n > 0 ? json_read(history->op.rows[0].json, &req->problems) : NULL;
  history_answer(history, json_object_get(json, "versions"));
  json_decref(json);
  arena_free(&results);
}

static void history_look(struct api_request *req, uint64_t version)
{
  struct history *history = arena_alloc(req->arena, sizeof *history);

  history->req = req;
  history->version = version;
  history->op.kind = PARLEY_LIT("template.history");
  history->op.name = req->params[0];
  api_look(req, &history->op.op, STORE_DOCS, history_done);
}

void api_templates_get(struct api_request *req)
{
  parley_text text = TEXT_EMPTY;
  struct template *found;
  uint64_t version = 0;

  if (!api_query_text(req, "version", 20, &text) || (text.len > 0 && !text_to_uint(text, INT64_MAX, &version))) {
    api_problem(req, 422, "bad_query", "", "version is a number");
    return;
  }
  found = template_param(req);
  if (found == NULL)
    return;
  if (text.len == 0 || version == template_version(found))
    template_answer(req, found);
  else
    history_look(req, version != 0 ? version : UINT64_MAX);
}

void api_templates_versions(struct api_request *req)
{
  if (template_param(req) != NULL)
    history_look(req, 0);
}

/* --- Trying it out ------------------------------------------------------------------------------------------------ */

struct trial {
  parley_text locale, channel, channel_kind;
  struct json_in data;
};

static bool trial_read(struct api_request *req, const struct template *template, struct trial *trial)
{
  static const char *const fields[] = {"data", "locale", "channel", "channel_kind", NULL};

  if (req->in.object == NULL)
    return template_check(template, NULL, PARLEY_LIT("/data"), &req->problems);
  return JSON_IN_ALL(json_in_only(&req->in, fields), json_in_object(&req->in, "data", &trial->data),
                     json_in_text(&req->in, "locale", LOCALE_BYTES_MAX, &trial->locale),
                     json_in_text(&req->in, "channel", 64, &trial->channel),
                     json_in_text(&req->in, "channel_kind", 64, &trial->channel_kind)) &&
         template_check(template, trial->data.object, PARLEY_LIT("/data"), &req->problems);
}

static bool trial_wanted(parley_text variant, void *arg)
{
  const struct trial *trial = arg;

  return trial->channel.len + trial->channel_kind.len == 0 || text_eq(variant, trial->channel) ||
         text_eq(variant, trial->channel_kind);
}

/* What came out is read as a message's content is, so that a trial refuses what a message would. */
static bool trial_content(struct api_request *req, const struct trial *trial, parley_text bytes, struct buf *body)
{
  struct json_in in = {.pointer = PARLEY_LIT("/template"), .arena = req->arena, .problems = &req->problems};
  struct content content;
  bool good;

  in.object = json_read(bytes, &req->problems);
  good = in.object != NULL && content_read(&in, &content);
  if (good && trial->channel.len + trial->channel_kind.len > 0)
    content = content_for(&content, trial->channel, arena_text(req->arena, trial->channel_kind).at);
  if (good)
    buf_content(body, &content, 0);
  json_decref(in.object);
  return good;
}

/* Whose links would they be? Of nobody, of a message that is not sent: they look like links of ours, and open nothing. */
static json_t *trial_links(struct api_request *req)
{
  static const struct { const char *name, *path; } links[] = {{"unsubscribe_url", "/u/example"}, {"preferences_url", "/p/example"}};
  json_t *around = json_object();

  for (size_t i = 0; i < COUNT_OF(links); i++) {
    struct buf link = BUF_INIT(0);

    buf_text(&link, req->conf->server.public_url);
    buf_str(&link, links[i].path);
    json_object_set_new(around, links[i].name, json_stringn(link.at, link.len));
    buf_done(&link);
  }
  return around;
}

void api_templates_render(struct api_request *req)
{
  struct trial trial = {.locale = TEXT_EMPTY, .channel = TEXT_EMPTY, .channel_kind = TEXT_EMPTY};
  struct template *template = template_param(req);
  struct template_values values = {NULL, NULL};
  struct buf made = BUF_INIT(0), body = BUF_INIT(0);
  json_t *links;
  bool good;

  if (template == NULL)
    return;
  good = trial_read(req, template, &trial);
  values = (struct template_values){.data = trial.data.object, .around = links = trial_links(req)};
  trial.locale = template_locale(template, trial.locale);
  good = good && template_render(template, trial.locale, &values, trial_wanted, &trial, &made, PARLEY_LIT("/template"), &req->problems);
  buf_str(&body, "{\"template\":\"");
  buf_template_reference(&body, template);
  buf_str(&body, "\",\"locale\":");
  buf_json_text(&body, trial.locale);
  buf_json_key(&body, "content");
  good = good && trial_content(req, &trial, buf_as_text(&made), &body);
  buf_char(&body, '}');
  if (good)
    api_answer(req, 200, &body);
  else
    api_problems(req);
  json_decref(links);
  buf_done(&made);
  buf_done(&body);
}
