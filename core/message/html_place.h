/* html_place.h - in what place of an HTML document does the next byte stand, and how is a value written there. For templates: it
 * is fed the text between the values. Values only, no memory. Thread: any. Source: WHATWG HTML section 13.2.5, as far as it
 * tells text, tags, attributes, styles, scripts and comments apart. */
#ifndef CORE_MESSAGE_HTML_PLACE_H
#define CORE_MESSAGE_HTML_PLACE_H
#include "core/base/buf.h"

#define HTML_PLACE_NAME_MAX 24 /* bytes of a tag's or attribute's name that are looked at */
#define HTML_PLACE_LINK_MAX 64 /* bytes of a link's beginning that are looked at */

enum html_escape {
  HTML_ESCAPE_NONE,      /* as it is */
  HTML_ESCAPE_LINE,      /* control characters become one blank: for a subject */
  HTML_ESCAPE_TEXT,      /* & < > " ' */
  HTML_ESCAPE_URL,       /* a whole link or its beginning: only what no link may have is percent-encoded */
  HTML_ESCAPE_URL_PATH,  /* ... and ? # % */
  HTML_ESCAPE_URL_QUERY, /* all but letters, digits and - . _ ~ */
  HTML_ESCAPE_STYLE,     /* a CSS escape for all but letters, digits, blanks and # % , . - _ */
};
enum html_state {
  HTML_TEXT,
  HTML_TAG_OPEN,   /* behind < */
  HTML_TAG_NAME,
  HTML_TAG,        /* where an attribute may begin */
  HTML_TAG_BREAK,  /* likewise, but a blank has to come first */
  HTML_NAME,       /* of an attribute */
  HTML_NAME_AFTER, /* behind it: a = or the next one */
  HTML_VALUE,      /* behind the =: a quote is to come */
  HTML_DOUBLE,     /* in "..." */
  HTML_SINGLE,     /* in '...' */
  HTML_BARE,       /* in a value without quotes */
  HTML_MARKUP,     /* <!doctype ...>, <?...> */
  HTML_COMMENT,
  HTML_RAW,        /* in an element whose content is no markup: style, script, title, textarea */
};
enum html_attribute { HTML_ATTRIBUTE_PLAIN, HTML_ATTRIBUTE_LINK, HTML_ATTRIBUTE_STYLE, HTML_ATTRIBUTE_NEVER };

struct html_place {
  uint8_t state;     /* enum html_state */
  uint8_t attribute; /* enum html_attribute, in a value */
  bool closing;      /* the tag begins with </ */
  uint8_t matched;   /* bytes of what ends a comment or a raw element */
  uint8_t n_tag, n_name, n_link;
  bool link_long;    /* the link's text has more bytes than are kept */
  bool link_watched; /* the caller has been told that its scheme is open */
  char tag[HTML_PLACE_NAME_MAX], name[HTML_PLACE_NAME_MAX], link[HTML_PLACE_LINK_MAX];
};
/* Feeds one byte. false: a name follows without a blank on what a section left open. *ret_link_end: a watched link ended with it. */
bool html_place_byte(struct html_place *place, char byte, bool *ret_link_end);
/* How a value is written here; raw: it was asked for as it is. NULL, or why none may stand here. */
const char *html_place_value(const struct html_place *place, bool raw, enum html_escape *ret);
/* A tag of the template stands here. true, once for each link: its scheme isn't settled by the text so far, which has
 * *ret_back bytes; watch what comes out. */
bool html_place_link_opens(struct html_place *place, size_t *ret_back);
/* What a section leaves must be what it found, since it may be left out or repeated. false: it isn't. Else *place goes on. */
bool html_place_join(struct html_place *place, const struct html_place *found);
bool html_place_is_text(const struct html_place *place); /* between tags */

/* Appends the value as the place demands. */
void buf_html_value(struct buf *buf, parley_text value, enum html_escape escape);
/* The same of a link that stands by itself, outside of HTML: & stays &. Of the URL escapes only. */
void buf_link_value(struct buf *buf, parley_text value, enum html_escape escape);
/* Where a link by itself begins: as within href="...". */
struct html_place html_place_link(void);
/* Whether a link that values had a part in may be opened: it has no scheme, or http, https, mailto, tel, or cid (inline images). */
bool html_link_ok(parley_text link);
#endif
