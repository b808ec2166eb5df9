/* template.h - a named template: what a message says, in several languages, with variants by channel kind, and the variables that
 * it asks for. Read once, from JSON; immutable then and shared by reference count. Texts are Mustache (mustache.h); its partials
 * are other templates, of which the same language, variant and member is taken. Values only: no store, no files. Thread: any, but
 * for the set, which has one owner.
 *
 * {"locales": {"en": {a content as of POST /v1/messages, with {{...}} in its texts, "channels" with variants included}, ...},
 *  "default_locale": "en" (may be left out when there is one locale),
 *  "variables": {"order.total": {"required": true, "type": "number", "description": "..."}}}
 */
#ifndef CORE_MESSAGE_TEMPLATE_H
#define CORE_MESSAGE_TEMPLATE_H
#include "content.h"
#include "mustache.h"

#define TEMPLATE_NAME_BYTES_MAX 64
#define TEMPLATE_BYTES_MAX ((size_t)512 << 10) /* of one template's JSON */
#define TEMPLATE_LOCALES_MAX 100
#define TEMPLATE_VARIABLES_MAX 200
#define TEMPLATES_MAX 1000
#define TEMPLATES_BYTES_MAX ((size_t)48 << 20) /* of all in memory, compiled */
#define TEMPLATE_REFERENCE_MAX (TEMPLATE_NAME_BYTES_MAX + 16) /* "order@3" */

struct template;
struct template_set {
  size_t n, bytes;
  struct template **all; /* by name; each a reference */
};

bool template_name_ok(parley_text name); /* [a-z0-9_.-]{1,64} */
/* json: borrowed, a reference is kept. others: where partials come from, NULL allowed; its template of this name is not looked at.
 * in->pointer stands before what problems point at. NULL: problems say why, with line and column in their words. */
struct template *template_read(const struct json_in *in, parley_text name, uint64_t version, int64_t at_ms,
                               const struct template_set *const *others, size_t n_others);
struct template *template_ref(struct template *template);
void template_unref(struct template **template); /* NULL inside is fine */

parley_text template_name(const struct template *template);
uint64_t template_version(const struct template *template); /* 0: of the configuration */
int64_t template_at_ms(const struct template *template);
const json_t *template_json(const struct template *template);
size_t template_bytes(const struct template *template); /* of memory, about */
size_t template_n_locales(const struct template *template);
bool template_uses_customer(const struct template *template); /* a value under this first name */
bool template_uses_events(const struct template *template);
bool template_contains(const struct template *template, parley_text partial);
void buf_template_reference(struct buf *buf, const struct template *template); /* order@3; of the configuration: order */

/* The nearest of its languages: "pt-BR", then "pt", then the default. wanted may be empty. */
parley_text template_locale(const struct template *template, parley_text wanted);
/* Whether data has what is declared: missing_variable and wrong_type with pointers below `pointer`. data NULL: nothing is given. */
bool template_check(const struct template *template, const json_t *data, parley_text pointer, struct problems *problems);

struct template_values {
  const json_t *data;   /* looked at first; NULL: none */
  const json_t *around; /* {"customer":...,"events":...}; NULL: none */
};
/* The content as JSON, one object. variant_wanted: NULL, or which of "channels" are made at all. false: one problem, at `pointer`,
 * and out is as it was. locale: as template_locale() gives it. {{unsubscribe_url}} and {{preferences_url}}, unless a value has the
 * name, stay in what is made until it is handed over, when each recipient's own links are known (content.h). */
bool template_render(const struct template *template, parley_text locale, const struct template_values *values,
                     bool (*variant_wanted)(parley_text variant, void *arg), void *arg, struct buf *out, parley_text pointer,
                     struct problems *problems);

struct template *template_set_find(const struct template_set *set, parley_text name); /* borrowed; NULL: none */
/* Takes the reference, for an older one of the name. */
void template_set_put(struct template_set *set, struct template *template);
void template_set_remove(struct template_set *set, parley_text name);
void template_set_done(struct template_set *set);
#endif
