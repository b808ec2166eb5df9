/* html_scan.h - the first half of html_to_text(): reads tags, and writes what they mean as lines, marks and blanks. Linear in
 * the input and without recursion, whatever the nesting. For html_text.c alone. Thread: any. */
#ifndef CORE_MESSAGE_HTML_SCAN_H
#define CORE_MESSAGE_HTML_SCAN_H
#include "core/base/buf.h"

/* In the run of text a < or an & that is meant as such is a form feed and a letter: libgumbo shall see no tag, and no
 * more references than there are. Of the other control characters none is written but line break and tab. */
#define MARK '\f'
#define MARK_LESS 'L'
#define MARK_AND 'A'

/* One run of text with character references still in it. */
void html_scan(parley_text html, struct buf *out);
#endif
