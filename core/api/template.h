/* template.h - the templates in force: those of the configuration, which the policy has, and those made by API, which the api
 * owns and keeps as documents of the store. Private to core/api.
 *
 * Documents: kind "template", {"version","at_ms","template"}, the one in force; kind "template.history",
 * {"last","versions":[{"version","at_ms","template"},... newest first]}, which outlives a removal so that a number is never given
 * twice. Changes run one after the other. */
#ifndef CORE_API_TEMPLATE_H
#define CORE_API_TEMPLATE_H
#include "inside.h"

#define TEMPLATE_VERSIONS_MAX 20                       /* kept of one template */
#define TEMPLATE_HISTORY_BYTES_MAX ((size_t)2 << 20) /* ... and together */
#define TEMPLATE_CHANGES_MAX 1000                      /* waiting for their turn; beyond: 503 */
#define TEMPLATE_EVENTS_MAX 30                         /* entries of the timeline that {{events.last...}} looks at */

/* The configuration's before those made by API. Borrowed; NULL: none. */
struct template *api_template_find(struct api_request *req, parley_text name);
/* Adds unknown_template, with the nearest name. */
void api_template_unknown(struct api_request *req, parley_text pointer, parley_text name);
#endif
