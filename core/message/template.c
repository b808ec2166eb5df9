#include "template.h"
#include "core/base/alloc.h"
#include "core/base/locale.h"
#include "core/base/text.h"
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define DESCRIPTION_BYTES_MAX 500
#define VARIABLE_NAME_BYTES_MAX 255

enum variable_type { VARIABLE_ANY, VARIABLE_TEXT, VARIABLE_NUMBER, VARIABLE_BOOLEAN, VARIABLE_LIST, VARIABLE_OBJECT };
static const char *const type_names[] = {"any", "text", "number", "boolean", "list", "object", NULL};

struct piece { /* of a content's JSON: bytes as they are, then one rendered text */
  parley_text json;
  struct mustache *mustache; /* NULL: the bytes alone */
  const char *member;        /* "html", for messages */
};
struct pieces {
  size_t n, room;
  struct piece *all;
};
struct variant {
  parley_text name;
  struct pieces pieces;
};
struct language {
  parley_text tag;
  struct pieces pieces; /* the members but for "channels", without the object's braces */
  size_t n_variants;
  struct variant *variants;
};
struct variable {
  parley_text name;
  bool required;
  enum variable_type type;
};
struct template {
  atomic_int refs;
  struct arena *arena;
  json_t *json;
  parley_text name, default_locale;
  uint64_t version;
  int64_t at_ms;
  size_t n_languages, n_variables, bytes;
  struct language *languages;
  struct variable *variables;
  bool uses_customer, uses_events;
  json_t *links; /* what stands for our own links; NULL: it has none. Shared by threads that only look */
};

/* --- Names -------------------------------------------------------------------------------------------------------- */

bool template_name_ok(parley_text name)
{
  for (size_t i = 0; i < name.len; i++) {
    char byte = name.at[i];

    if ((byte < 'a' || byte > 'z') && (byte < '0' || byte > '9') && byte != '-' && byte != '_' && byte != '.')
      return false;
  }
  return name.len > 0 && name.len <= TEMPLATE_NAME_BYTES_MAX;
}

parley_text template_name(const struct template *template)
{
  return template->name;
}

uint64_t template_version(const struct template *template)
{
  return template->version;
}

int64_t template_at_ms(const struct template *template)
{
  return template->at_ms;
}

const json_t *template_json(const struct template *template)
{
  return template->json;
}

size_t template_bytes(const struct template *template)
{
  return template->bytes;
}

size_t template_n_locales(const struct template *template)
{
  return template->n_languages;
}

void buf_template_reference(struct buf *buf, const struct template *template)
{
  buf_text(buf, template->name);
  if (template->version == 0)
    return;
  buf_char(buf, '@');
  buf_uint(buf, template->version);
}

/* --- Life --------------------------------------------------------------------------------------------------------- */

struct template *template_ref(struct template *template)
{
  atomic_fetch_add(&template->refs, 1);
  return template;
}

static void pieces_done(struct pieces *pieces)
{
  for (size_t i = 0; i < pieces->n; i++)
    mustache_free(&pieces->all[i].mustache);
  free(pieces->all);
}

void template_unref(struct template **template)
{
  struct template *mine = *template;
  struct arena *arena;

  *template = NULL;
  if (mine == NULL || atomic_fetch_sub(&mine->refs, 1) > 1)
    return;
  for (size_t i = 0; i < mine->n_languages; i++) {
    pieces_done(&mine->languages[i].pieces);
    for (size_t j = 0; j < mine->languages[i].n_variants; j++)
      pieces_done(&mine->languages[i].variants[j].pieces);
  }
  json_decref(mine->json);
  json_decref(mine->links);
  arena = mine->arena;
  arena_free(&arena);
}

/* --- Languages ---------------------------------------------------------------------------------------------------- */

static const struct language *language_exact(const struct template *template, parley_text tag)
{
  for (size_t i = 0; i < template->n_languages; i++)
    if (text_eq_nocase(template->languages[i].tag, tag))
      return &template->languages[i];
  return NULL;
}

static parley_text tag_shorter(parley_text tag)
{
  size_t len = tag.len;

  while (len > 0 && tag.at[len - 1] != '-')
    len--;
  return text_sub(tag, 0, len > 0 ? len - 1 : 0);
}

static const struct language *language_nearest(const struct template *template, parley_text wanted)
{
  const struct language *found = NULL;

  for (; wanted.len > 0 && found == NULL; wanted = tag_shorter(wanted))
    found = language_exact(template, wanted);
  return found != NULL ? found : language_exact(template, template->default_locale);
}

parley_text template_locale(const struct template *template, parley_text wanted)
{
  return language_nearest(template, wanted)->tag;
}

/* --- Partials ----------------------------------------------------------------------------------------------------- */

struct scope { /* where the text stands whose partials are looked for */
  const struct template *self; /* half read: its json is there */
  const struct template_set *const *others;
  size_t n_others;
  parley_text locale, variant;
  const char *member;
};

static const json_t *locale_of_json(const json_t *json, parley_text wanted)
{
  const json_t *locales = json_object_get(json, "locales"), *found = NULL;
  const json_t *fallback = json_object_get(json, "default_locale");

  for (; wanted.len > 0 && found == NULL; wanted = tag_shorter(wanted))
    found = json_object_getn(locales, wanted.at, wanted.len);
  if (found == NULL && fallback != NULL)
    found = json_object_get(locales, json_string_value(fallback));
  if (found == NULL)
    found = json_object_iter_value(json_object_iter((json_t *)(uintptr_t)locales));
  return found;
}

static bool member_of(const json_t *content, const struct scope *scope, const char *member, parley_text *ret)
{
  const json_t *variant = json_object_getn(json_object_get(content, "channels"), scope->variant.at, scope->variant.len);
  const json_t *found = json_object_get(variant, member);

  if (found == NULL)
    found = json_object_get(content, member);
  if (!json_is_string(found))
    return false;
  *ret = json_text(found);
  return true;
}

static bool partial_find(parley_text name, parley_text *ret, void *arg)
{
  const struct scope *scope = arg;
  const json_t *json = text_eq(name, scope->self->name) ? scope->self->json : NULL, *content;
  bool in_text = strcmp(scope->member, "html") != 0;

  for (size_t i = 0; json == NULL && i < scope->n_others; i++) {
    const struct template *other = template_set_find(scope->others[i], name);

    json = other != NULL ? other->json : NULL;
  }
  content = json != NULL ? locale_of_json(json, scope->locale) : NULL;
  if (content == NULL)
    return false;
  return member_of(content, scope, scope->member, ret) || (in_text && member_of(content, scope, "text", ret));
}

/* --- Compiling a content ------------------------------------------------------------------------------------------ */

struct compiling {
  struct template *made;
  struct scope scope;
  struct problems *problems;
  struct pieces *to;
  struct buf json; /* bytes since the last text */
};

static void piece_add(struct compiling *compiling, struct mustache *mustache, const char *member)
{
  struct pieces *to = compiling->to;

  if (to->n == to->room) {
    to->room = to->room > 0 ? to->room * 2 : 8;
    to->all = xrealloc(to->all, to->room * sizeof *to->all);
  }
  to->all[to->n++] = (struct piece){.json = arena_text(compiling->made->arena, buf_as_text(&compiling->json)),
                                    .mustache = mustache, .member = arena_str(compiling->made->arena, member)};
  if (mustache != NULL)
    compiling->made->bytes += mustache_bytes(mustache);
  buf_clear(&compiling->json);
}

static enum mustache_kind kind_of(const char *member)
{
  return strcmp(member, "html") == 0                                        ? MUSTACHE_HTML
         : strcmp(member, "text") == 0 || strcmp(member, "caption") == 0 ? MUSTACHE_TEXT
         : strcmp(member, "url") == 0                                       ? MUSTACHE_LINK
                                                                            : MUSTACHE_LINE;
}

static bool text_is_template(parley_text text)
{
  return text_find_text(text, PARLEY_LIT("{{")) != SIZE_MAX;
}

static bool string_compile(struct compiling *compiling, parley_text pointer, const char *member, const json_t *value)
{
  struct mustache_partials partials = {.find = partial_find, .arg = &compiling->scope};
  struct mustache_error error;
  struct mustache *mustache;

  if (!text_is_template(json_text(value))) {
    buf_json_value(&compiling->json, value);
    return true;
  }
  compiling->scope.member = member;
  mustache = mustache_read(json_text(value), kind_of(member), &partials, &error);
  if (mustache != NULL) {
    piece_add(compiling, mustache, member);
    return true;
  }
  if (error.partial[0] != '\0')
    problem_add(compiling->problems, pointer, error.code, "in the partial %s, line %zu, column %zu: %s", error.partial, error.line,
                error.column, error.why);
  else
    problem_add(compiling->problems, pointer, error.code, "line %zu, column %zu: %s", error.line, error.column, error.why);
  return false;
}

static bool value_compile(struct compiling *compiling, parley_text pointer, const char *member, const json_t *value);

static bool members_compile(struct compiling *compiling, parley_text pointer, const json_t *object)
{
  struct arena *arena = compiling->problems->arena;
  const char *name;
  json_t *value;
  bool good = true;

  json_object_foreach((json_t *)(uintptr_t)object, name, value)
  {
    if (strcmp(name, "channels") == 0)
      continue;
    buf_json_comma(&compiling->json);
    if (compiling->json.len == 0 && compiling->to->n > 0)
      buf_char(&compiling->json, ',');
    buf_json_str(&compiling->json, name);
    buf_char(&compiling->json, ':');
    good = value_compile(compiling, pointer_member(arena, pointer, parley_text_of(name)), name, value) && good;
  }
  return good;
}

static bool items_compile(struct compiling *compiling, parley_text pointer, const char *member, const json_t *array)
{
  bool good = true;

  for (size_t i = 0; i < json_array_size(array); i++) {
    if (i > 0)
      buf_char(&compiling->json, ',');
    good = value_compile(compiling, pointer_index(compiling->problems->arena, pointer, i), member, json_array_get(array, i)) && good;
  }
  return good;
}

static bool value_compile(struct compiling *compiling, parley_text pointer, const char *member, const json_t *value)
{
  bool good;

  if (json_is_string(value))
    return string_compile(compiling, pointer, member, value);
  if (json_is_object(value)) {
    buf_char(&compiling->json, '{');
    good = members_compile(compiling, pointer, value);
    buf_char(&compiling->json, '}');
    return good;
  }
  if (json_is_array(value)) {
    buf_char(&compiling->json, '[');
    good = items_compile(compiling, pointer, member, value);
    buf_char(&compiling->json, ']');
    return good;
  }
  buf_json_value(&compiling->json, value);
  return true;
}

static bool content_compile(struct compiling *compiling, struct pieces *to, parley_text pointer, const json_t *content)
{
  bool good;

  compiling->to = to;
  good = members_compile(compiling, pointer, content);
  if (compiling->json.len > 0)
    piece_add(compiling, NULL, "");
  return good;
}

/* --- Reading ------------------------------------------------------------------------------------------------------ */

/* What could stand for a text of which only the template is known, so that a content's own rules can be asked. */
static const char *sample_of(const char *member)
{
  return strcmp(member, "url") == 0     ? "https://shop.example/"
         : strcmp(member, "phone") == 0 ? "+34600111222"
         : strcmp(member, "type") == 0  ? "image/png"
                                        : "x";
}

static json_t *sample_make(const char *member, const json_t *value)
{
  json_t *made, *item;
  const char *name;
  size_t i;

  if (json_is_object(value)) {
    made = json_object();
    json_object_foreach((json_t *)(uintptr_t)value, name, item) json_object_set_new(made, name, sample_make(name, item));
    return made;
  }
  if (json_is_array(value)) {
    made = json_array();
    json_array_foreach(value, i, item) json_array_append_new(made, sample_make(member, item));
    return made;
  }
  if (json_is_string(value) && text_is_template(json_text(value)))
    return json_string(sample_of(member));
  return json_incref((json_t *)(uintptr_t)value);
}

static bool content_check(const struct json_in *in)
{
  json_t *sample = sample_make("", in->object);
  struct json_in sampled = *in;
  struct content content;
  bool good;

  sampled.object = sample;
  good = content_read(&sampled, &content);
  json_decref(sample);
  return good;
}

static bool language_compile(struct compiling *compiling, const struct json_in *in, struct language *language)
{
  const json_t *channels = json_object_get(in->object, "channels");
  parley_text at = pointer_member(in->arena, in->pointer, PARLEY_LIT("channels"));
  bool good = content_compile(compiling, &language->pieces, in->pointer, in->object);
  const char *name;
  json_t *content;

  language->variants = arena_alloc(compiling->made->arena, (json_object_size(channels) + 1) * sizeof *language->variants);
  json_object_foreach((json_t *)(uintptr_t)channels, name, content)
  {
    struct variant *variant = &language->variants[language->n_variants++];

    variant->name = arena_text(compiling->made->arena, parley_text_of(name));
    compiling->scope.variant = variant->name;
    good = content_compile(compiling, &variant->pieces, pointer_member(in->arena, at, variant->name), content) && good;
  }
  compiling->scope.variant = TEXT_EMPTY;
  return good;
}

static bool language_read(struct compiling *compiling, const struct json_in *locales, const char *tag, json_t *content)
{
  struct template *made = compiling->made;
  struct json_in in = *locales;
  struct language *language;

  in.pointer = pointer_member(in.arena, in.pointer, parley_text_of(tag));
  in.object = content;
  if (!locale_ok(parley_text_of(tag))) {
    problem_add(in.problems, in.pointer, "bad_locale", "a language tag is needed, such as en or pt-BR");
    return false;
  }
  if (!json_is_object(content)) {
    problem_add(in.problems, in.pointer, "wrong_type", "an object is needed: {\"subject\", \"text\", \"html\"}");
    return false;
  }
  if (!content_check(&in))
    return false;
  language = &made->languages[made->n_languages++];
  language->tag = compiling->scope.locale = arena_text(made->arena, parley_text_of(tag));
  return language_compile(compiling, &in, language);
}

static bool default_read(const struct json_in *in, struct template *made)
{
  parley_text tag = TEXT_EMPTY;

  if (!json_in_text(in, "default_locale", LOCALE_BYTES_MAX, &tag))
    return false;
  if (tag.len == 0 && made->n_languages > 1)
    return json_in_problem(in, "default_locale", "missing", "with several locales one is the default_locale");
  made->default_locale = tag.len > 0 ? arena_text(made->arena, tag) : made->languages[0].tag;
  if (language_exact(made, made->default_locale) == NULL)
    return json_in_problem(in, "default_locale", "bad_value", "default_locale is one of the locales");
  return true;
}

static bool languages_read(struct compiling *compiling, const struct json_in *in)
{
  struct template *made = compiling->made;
  struct json_in locales;
  const char *tag;
  json_t *content;
  bool good = json_in_object(in, "locales", &locales);

  if (!good)
    return false;
  if (json_object_size(locales.object) == 0)
    return json_in_problem(in, "locales", "missing", "at least one locale is needed: {\"en\": {\"text\": ...}}");
  if (json_object_size(locales.object) > TEMPLATE_LOCALES_MAX)
    return json_in_problem(in, "locales", "too_many_items", "%d locales are allowed", TEMPLATE_LOCALES_MAX);
  made->languages = arena_alloc(made->arena, json_object_size(locales.object) * sizeof *made->languages);
  json_object_foreach(locales.object, tag, content) good = language_read(compiling, &locales, tag, content) && good;
  return good && default_read(in, made);
}

static bool variable_type_read(const struct json_in *in, struct variable *variable)
{
  parley_text type = TEXT_EMPTY;

  if (!json_in_text(in, "type", 16, &type))
    return false;
  for (size_t i = 0; type_names[i] != NULL; i++)
    if (parley_text_is(type, type_names[i]))
      variable->type = (enum variable_type)i;
  if (type.len > 0 && variable->type == VARIABLE_ANY && !parley_text_is(type, "any"))
    return json_in_problem(in, "type", "bad_value", "type is text, number, boolean, list, object or any");
  return true;
}

static bool variable_read(const struct json_in *variables, const char *name, json_t *value, struct template *made)
{
  static const char *const fields[] = {"required", "type", "description", NULL};
  struct variable *variable = &made->variables[made->n_variables++];
  parley_text description, text = parley_text_of(name);
  struct json_in in = *variables;

  in.pointer = pointer_member(in.arena, in.pointer, text);
  in.object = value;
  *variable = (struct variable){.name = arena_text(made->arena, text), .required = true};
  if (text.len == 0 || text.len > VARIABLE_NAME_BYTES_MAX || text.at[0] == '.' || text_ends(text, ".") ||
      text_find_text(text, PARLEY_LIT("..")) != SIZE_MAX || !json_is_object(value)) {
    problem_add(in.problems, in.pointer, "bad_value", "a variable has a name such as order.total, and {\"required\", \"type\"}");
    return false;
  }
  return JSON_IN_ALL(json_in_only(&in, fields), json_in_bool(&in, "required", &variable->required), variable_type_read(&in, variable),
                     json_in_text(&in, "description", DESCRIPTION_BYTES_MAX, &description));
}

static bool variables_read(const struct json_in *in, struct template *made)
{
  struct json_in variables;
  const char *name;
  json_t *value;
  bool good = json_in_object(in, "variables", &variables);

  if (!good || variables.object == NULL)
    return good;
  if (json_object_size(variables.object) > TEMPLATE_VARIABLES_MAX)
    return json_in_problem(in, "variables", "too_many_items", "%d variables are allowed", TEMPLATE_VARIABLES_MAX);
  made->variables = arena_alloc(made->arena, (json_object_size(variables.object) + 1) * sizeof *made->variables);
  json_object_foreach(variables.object, name, value) good = variable_read(&variables, name, value, made) && good;
  return good;
}

static void template_look(struct template *made);

struct template *template_read(const struct json_in *in, parley_text name, uint64_t version, int64_t at_ms,
                               const struct template_set *const *others, size_t n_others)
{
  static const char *const fields[] = {"locales", "default_locale", "variables", NULL};
  struct arena *arena = arena_new();
  struct template *made = arena_alloc(arena, sizeof *made);
  struct compiling compiling = {.made = made, .problems = in->problems, .json = BUF_INIT(0),
                                .scope = {.self = made, .others = others, .n_others = n_others, .variant = TEXT_EMPTY}};
  bool good;

  made->arena = arena;
  made->refs = 1;
  made->json = json_incref(in->object);
  made->name = arena_text(arena, name);
  made->version = version;
  made->at_ms = at_ms;
  good = json_in_only(in, fields);
  good = variables_read(in, made) && good;
  good = languages_read(&compiling, in) && good;
  buf_done(&compiling.json);
  made->bytes += arena_bytes(arena);
  if (good)
    template_look(made);
  else
    template_unref(&made);
  return made;
}

/* --- What it needs ------------------------------------------------------------------------------------------------ */

struct asking {
  const char *name;
  parley_text partial;
};

static bool pieces_ask(const struct pieces *pieces, const struct asking *asking)
{
  for (size_t i = 0; i < pieces->n; i++) {
    const struct mustache *mustache = pieces->all[i].mustache;
    const char *partial;

    if (mustache == NULL)
      continue;
    if (asking->name != NULL && mustache_uses(mustache, asking->name))
      return true;
    for (size_t j = 0; asking->name == NULL && (partial = mustache_partial(mustache, j)) != NULL; j++)
      if (parley_text_is(asking->partial, partial))
        return true;
  }
  return false;
}

static bool template_ask(const struct template *template, const struct asking *asking)
{
  for (size_t i = 0; i < template->n_languages; i++) {
    const struct language *language = &template->languages[i];

    if (pieces_ask(&language->pieces, asking))
      return true;
    for (size_t j = 0; j < language->n_variants; j++)
      if (pieces_ask(&language->variants[j].pieces, asking))
        return true;
  }
  return false;
}

bool template_uses_customer(const struct template *template)
{
  return template->uses_customer;
}

bool template_uses_events(const struct template *template)
{
  return template->uses_events;
}

static void template_look(struct template *made)
{
  made->uses_customer = template_ask(made, &(struct asking){.name = "customer"});
  made->uses_events = template_ask(made, &(struct asking){.name = "events"});
  if (template_ask(made, &(struct asking){.name = "unsubscribe_url"}) ||
      template_ask(made, &(struct asking){.name = "preferences_url"}))
    made->links = json_pack("{s:s, s:s}", "unsubscribe_url", CONTENT_UNSUBSCRIBE_NAME, "preferences_url", CONTENT_PREFERENCES_NAME);
}

bool template_contains(const struct template *template, parley_text partial)
{
  return template_ask(template, &(struct asking){.partial = partial});
}

static bool type_fits(enum variable_type type, const json_t *value)
{
  switch (type) {
  case VARIABLE_ANY:
    return true;
  case VARIABLE_TEXT:
    return json_is_string(value);
  case VARIABLE_NUMBER:
    return json_is_number(value);
  case VARIABLE_BOOLEAN:
    return json_is_boolean(value);
  case VARIABLE_LIST:
    return json_is_array(value);
  case VARIABLE_OBJECT:
    return json_is_object(value);
  }
  return false;
}

static bool variable_check(const struct template *template, const struct variable *variable, const json_t *data, parley_text pointer,
                           struct problems *problems)
{
  parley_text rest = variable->name;

  while (rest.len > 0) {
    parley_text part = text_cut(&rest, '.');

    pointer = pointer_member(problems->arena, pointer, part);
    data = json_object_getn(data, part.at, part.len);
  }
  if (data == NULL || json_is_null(data)) {
    if (variable->required)
      problem_add(problems, pointer, "missing_variable", "the template %.*s needs '%.*s'", TEXT_ARG(template->name),
                  TEXT_ARG(variable->name));
    return !variable->required;
  }
  if (type_fits(variable->type, data))
    return true;
  problem_add(problems, pointer, "wrong_type", "the template %.*s needs '%.*s' as %s %s", TEXT_ARG(template->name),
              TEXT_ARG(variable->name), variable->type == VARIABLE_OBJECT ? "an" : "a", type_names[variable->type]);
  return false;
}

bool template_check(const struct template *template, const json_t *data, parley_text pointer, struct problems *problems)
{
  bool good = true;

  for (size_t i = 0; i < template->n_variables; i++)
    good = variable_check(template, &template->variables[i], data, pointer, problems) && good;
  return good;
}

/* --- Rendering ---------------------------------------------------------------------------------------------------- */

struct writing {
  const struct template *template;
  const struct language *language;
  const json_t *contexts[3];
  size_t n_contexts;
  struct buf text, *out;
  parley_text pointer;
  struct problems *problems;
};

static bool pieces_write(struct writing *writing, const struct pieces *pieces)
{
  struct mustache_error error;

  for (size_t i = 0; i < pieces->n; i++) {
    const struct piece *piece = &pieces->all[i];

    buf_text(writing->out, piece->json);
    if (piece->mustache == NULL)
      continue;
    buf_clear(&writing->text);
    if (mustache_render(piece->mustache, writing->contexts, writing->n_contexts, &writing->text, &error) != PARLEY_OK) {
      problem_add(writing->problems, writing->pointer, error.code, "%.*s, locale %.*s, %s, %s%s%sline %zu, column %zu: %s",
                  TEXT_ARG(writing->template->name), TEXT_ARG(writing->language->tag), piece->member,
                  error.partial[0] != '\0' ? "in the partial " : "", error.partial, error.partial[0] != '\0' ? ", " : "", error.line,
                  error.column, error.why);
      return false;
    }
    buf_json_text(writing->out, buf_as_text(&writing->text));
  }
  return true;
}

static bool variants_write(struct writing *writing, bool (*wanted)(parley_text variant, void *arg), void *arg)
{
  const char *before = ",\"channels\":{";
  bool any = false;

  if (writing->language->pieces.n == 0)
    before++;
  for (size_t i = 0; i < writing->language->n_variants; i++) {
    const struct variant *variant = &writing->language->variants[i];

    if (wanted != NULL && !wanted(variant->name, arg))
      continue;
    buf_str(writing->out, any ? "," : before);
    any = true;
    buf_json_text(writing->out, variant->name);
    buf_str(writing->out, ":{");
    if (!pieces_write(writing, &variant->pieces))
      return false;
    buf_char(writing->out, '}');
  }
  if (any)
    buf_char(writing->out, '}');
  return true;
}

bool template_render(const struct template *template, parley_text locale, const struct template_values *values,
                     bool (*variant_wanted)(parley_text variant, void *arg), void *arg, struct buf *out, parley_text pointer,
                     struct problems *problems)
{
  struct writing writing = {.template = template, .language = language_nearest(template, locale), .text = BUF_INIT(0), .out = out,
                            .pointer = pointer, .problems = problems};
  size_t begin = out->len;
  bool good;

  if (template->links != NULL)
    writing.contexts[writing.n_contexts++] = template->links;
  if (values->around != NULL)
    writing.contexts[writing.n_contexts++] = values->around;
  if (values->data != NULL)
    writing.contexts[writing.n_contexts++] = values->data;
  buf_char(out, '{');
  good = pieces_write(&writing, &writing.language->pieces) && variants_write(&writing, variant_wanted, arg);
  buf_char(out, '}');
  buf_done(&writing.text);
  if (good)
    return true;
  out->len = begin;
  return false;
}
