/* link_check.h - may the clicks of this content be told? Only of links to http or https: of a topic with track: { clicks: true }, any
 * other that a browser would follow is refused before the message is accepted. Private to core/api. */
#ifndef CORE_API_LINK_CHECK_H
#define CORE_API_LINK_CHECK_H
#include "core/message/content.h"

/* With what stands for channels alone. pointer: of the content. false: bad_link, with the member and the link's number. */
bool links_check(struct problems *problems, parley_text pointer, const struct content *content);
#endif
