/* template_change.h - what templates.c, which shows templates, and template_change.c, which changes them, share. Private to
 * core/api. */
#ifndef CORE_API_TEMPLATE_CHANGE_H
#define CORE_API_TEMPLATE_CHANGE_H
#include "core/base/locale.h"
#include "template.h"

/* Where partials come from: the configuration's, the candidate's (NULL: none), those made by API. Returns how many. */
size_t template_others(struct api *api, const struct template_set *candidate, const struct template_set *ret[3]);
/* The same template once more, with the partials that there are now. NULL: problems say why. */
struct template *template_again(struct api *api, const struct template *old, const struct template_set *candidate,
                                struct problems *problems);
/* Documents that cannot be read now, since they lack something: is there one of this name, and away with it. */
bool template_is_unread(const struct api *api, parley_text name);
void template_unread_drop(struct api *api, parley_text name);
void template_unread_retry(struct api *api); /* now that there is another template */
struct template *template_param(struct api_request *req); /* {name}; NULL: 404 is answered */
void template_answer(struct api_request *req, const struct template *template);
#endif
