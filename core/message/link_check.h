/* link_check.h - may the clicks of this content be told? Only of links to http or https: of a topic with track: { clicks: true }, any
 * other that a browser would follow is refused before the message is accepted. Pure. Thread: any. */
#ifndef CORE_MESSAGE_LINK_CHECK_H
#define CORE_MESSAGE_LINK_CHECK_H
#include "content.h"

/* With what stands for channels alone. pointer: of the content. false: bad_link, with the member and the link's number. */
bool links_check(struct problems *problems, parley_text pointer, const struct content *content);
#endif
