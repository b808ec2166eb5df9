/* html_reference.h - the middle of html_to_text(): character references become characters. Linear in the text: libgumbo, which
 * knows the names, is asked once for each name and HTML_NAMES_MAX times at most. For html_text.c alone. Thread: any. */
#ifndef CORE_MESSAGE_HTML_REFERENCE_H
#define CORE_MESSAGE_HTML_REFERENCE_H
#include "core/base/buf.h"

#define HTML_NAMES_MAX 4096 /* HTML has 2231; more different ones in one text stay as they are written */

void html_references_decode(struct buf *text);
#endif
