/* links.h - the links in what a message says: finds them in text and html in the order they stand, tells which of them a browser
 * would follow over the web, and gives their targets. Linear in the input, no recursion. Pure. Thread: any.
 *
 * In html: href of <a> and <area>, outside of comments, script, style, title and textarea. In text: http:// and https:// at the
 * begin of a word, up to a blank, a quote or an angle bracket, without the punctuation that closes a sentence. */
#ifndef CORE_MESSAGE_LINKS_H
#define CORE_MESSAGE_LINKS_H
#include "core/base/buf.h"

#define LINK_TARGET_BYTES_MAX 2048 /* also said in the words of bad_link */

struct links { /* a walk over them */
  parley_text in;
  bool html;
  size_t at;
};
static inline struct links links_of(parley_text in, bool html) { return (struct links){.in = in, .html = html, .at = 0}; }
/* The next one, as it is written, within links->in; false: no more. */
bool links_next(struct links *links, parley_text *ret_written);

enum link_verdict {
  LINK_WEB = 1, /* an absolute http or https URL */
  LINK_OTHER,   /* within the page, relative, mailto:, tel:, an app's own scheme: nothing that we could be asked to open */
  LINK_SCHEME,  /* javascript:, data:, vbscript:, file:, or http: without a host: no link that a message should carry */
  LINK_CONTROL, /* a control character in it, such as CR or LF */
  LINK_LONG,    /* above LINK_TARGET_BYTES_MAX */
};
/* target: gets what is written, without blanks around it, and of html with character references decoded. */
enum link_verdict link_target(parley_text written, bool html, struct buf *target);
/* As a Location header may have it: all but the bytes of RFC 3986 percent-encoded. */
void buf_location(struct buf *buf, parley_text target);
#endif
