/* mustache.h - templates of the Mustache specification (interpolation, sections, inverted sections, comments, delimiters,
 * partials), read once and rendered many times. Values come as jansson trees. No code and no files: nothing but the values and
 * the partials that it is given reaches a rendering. Its optional modules (inheritance, dynamic names, lambdas) are not offered.
 * Thread: any; one that was read is immutable, so several threads may render it at once. Owns all it points at; values are
 * borrowed. Memory and time of both halves are bounded by what stands below. Falsy: null, false, 0, "", [] and what is missing.
 * A value that is its own tag, "{{x}}" for {{x}}, stands as it is, also as a link: whoever has the text next puts the value there. */
#ifndef CORE_MESSAGE_MUSTACHE_H
#define CORE_MESSAGE_MUSTACHE_H
#include "core/base/buf.h"
#include <jansson.h>

#define MUSTACHE_DEPTH_MAX 64          /* sections in one another; partials in one another; both while rendering */
#define MUSTACHE_STEPS_MAX 1000000     /* of one rendering: texts, values, rounds of a section, calls of a partial */
#define MUSTACHE_OUTPUT_BYTES_MAX ((size_t)10 << 20)
#define MUSTACHE_SOURCE_BYTES_MAX ((size_t)1 << 20) /* of a template with its partials */
#define MUSTACHE_PARTIALS_MAX 64       /* different ones of one template */
#define MUSTACHE_PARTS_MAX 16          /* of a dotted name */
#define MUSTACHE_NAME_BYTES_MAX 255
#define MUSTACHE_WHY_BYTES 200

enum mustache_kind {
  MUSTACHE_TEXT,    /* {{x}} as it is */
  MUSTACHE_LINE,    /* a subject: control characters of a value become one blank */
  MUSTACHE_ESCAPED, /* {{x}} with & < > " ' escaped, as the specification has it */
  /* {{x}} escaped for the place it lands in: text, a quoted attribute, a link, a style. Refused when read: a value in a script, in
   * an event's attribute, in the name of a tag or attribute, outside of quotes, in a link's host; a section or partial that doesn't
   * end where it began. Refused when rendered: a link that a value gives another scheme than http, https, mailto or tel. {{{x}}}
   * is raw in text; within an attribute it is still kept within the attribute. */
  MUSTACHE_HTML,
  MUSTACHE_LINK, /* a link by itself, of a button or a medium: values are percent-encoded for where they stand in it */
};

/* What is wrong with a template, or with rendering it. */
struct mustache_error {
  const char *code; /* static: template_syntax limit cycle unknown_partial unsafe_place unsafe_link wrong_type */
  size_t line, column; /* from 1, in code points */
  char partial[MUSTACHE_NAME_BYTES_MAX + 1]; /* where it stands; "": in the template itself */
  char why[MUSTACHE_WHY_BYTES];
};

/* Where partials come from while a template is read. */
struct mustache_partials {
  bool (*find)(parley_text name, parley_text *ret, void *arg); /* NULL: there are none. *ret is borrowed until read */
  void *arg;
  bool loose; /* as the specification has it: an unknown one is empty, one may call itself. Else both are refused */
};

struct mustache;
/* NULL: *reterr says why. partials may be NULL. */
struct mustache *mustache_read(parley_text source, enum mustache_kind kind, const struct mustache_partials *partials,
                               struct mustache_error *reterr);
void mustache_free(struct mustache **mustache);
/* Whether a value or section looks under this first name: "customer". */
bool mustache_uses(const struct mustache *mustache, const char *name);
/* The names of the partials within it, at any depth: NULL behind the last one. */
const char *mustache_partial(const struct mustache *mustache, size_t index);
size_t mustache_bytes(const struct mustache *mustache); /* all it holds */

/* Appends to out. contexts: the outermost first; names are looked for from the last one on. REJECTED: *reterr says why, and out
 * is as it was. */
parley_status mustache_render(const struct mustache *mustache, const json_t *const *contexts, size_t n_contexts, struct buf *out,
                              struct mustache_error *reterr);
#endif
