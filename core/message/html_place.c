#include "html_place.h"
#include "core/base/text.h"
#include <string.h>

/* --- Bytes -------------------------------------------------------------------------------------------------------- */

static bool byte_is_blank(char byte)
{
  return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r' || byte == '\f';
}

static bool byte_is_plain(char byte) /* a letter or digit of ASCII */
{
  return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9');
}

static char byte_lower(char byte)
{
  return byte >= 'A' && byte <= 'Z' ? (char)(byte + ('a' - 'A')) : byte;
}

static void name_add(char *name, uint8_t *n, char byte)
{
  if (*n < HTML_PLACE_NAME_MAX)
    name[(*n)++] = byte_lower(byte);
}

static bool name_in(const char *name, size_t n, const char *const *words)
{
  parley_text text = {name, n};

  for (; *words != NULL; words++)
    if (parley_text_is(text, *words))
      return true;
  return false;
}

/* --- Links -------------------------------------------------------------------------------------------------------- */

static parley_text link_text(const struct html_place *place)
{
  size_t from = 0;

  while (from < place->n_link && (unsigned char)place->link[from] <= ' ')
    from++;
  return (parley_text){place->link + from, place->n_link - from};
}

/* What stands before the first : when no / ? # or & comes earlier. false: there is none. */
static bool link_scheme(parley_text link, parley_text *ret)
{
  for (size_t i = 0; i < link.len; i++) {
    if (link.at[i] == ':') {
      *ret = text_sub(link, 0, i);
      return true;
    }
    if (memchr("/?#&", link.at[i], 4) != NULL)
      return false;
  }
  return false;
}

static bool scheme_is(parley_text scheme, const char *const *words)
{
  for (; *words != NULL; words++)
    if (text_is_nocase(scheme, *words))
      return true;
  return false;
}

bool html_link_ok(parley_text link)
{
  static const char *const allowed[] = {"http", "https", "mailto", "tel", "cid", NULL};
  parley_text scheme;

  while (link.len > 0 && (unsigned char)link.at[0] <= ' ')
    link = text_sub(link, 1, SIZE_MAX);
  return !link_scheme(link, &scheme) || scheme_is(scheme, allowed);
}

static bool link_is_settled(const struct html_place *place)
{
  parley_text link = link_text(place);

  for (size_t i = 0; i < link.len; i++)
    if (memchr(":/?#", link.at[i], 4) != NULL)
      return true;
  return place->link_long;
}

/* Behind http:// or //, with nothing yet that ends the host. */
static bool link_host_is_open(const struct html_place *place)
{
  static const char *const hosted[] = {"http", "https", NULL};
  parley_text link = link_text(place), scheme;

  if (place->link_long)
    return false;
  if (link_scheme(link, &scheme)) {
    if (!scheme_is(scheme, hosted))
      return false;
    link = text_sub(link, scheme.len + 1, SIZE_MAX);
    if (link.len < 2)
      return true;
  }
  if (!text_starts(link, "//"))
    return false;
  for (size_t i = 2; i < link.len; i++)
    if (memchr("/?#", link.at[i], 3) != NULL)
      return false;
  return true;
}

static const char *link_value(const struct html_place *place, bool raw, enum html_escape *ret)
{
  static const char *const forbidden[] = {"javascript", "vbscript", "data", NULL};
  parley_text link = link_text(place), scheme;

  if (link_scheme(link, &scheme) && scheme_is(scheme, forbidden))
    return "a value may not stand in a script";
  if (link_host_is_open(place))
    return "a value may not stand in the host of a link: write the host out, or let the value be the whole link";
  *ret = HTML_ESCAPE_URL;
  if (raw)
    return NULL;
  if (place->link_long || text_find(link, '?') < link.len || text_find(link, '#') < link.len || text_find(link, '=') < link.len)
    *ret = HTML_ESCAPE_URL_QUERY;
  else if (link_is_settled(place))
    *ret = HTML_ESCAPE_URL_PATH;
  return NULL;
}

/* --- Feeding ------------------------------------------------------------------------------------------------------ */

static enum html_attribute attribute_of(const struct html_place *place)
{
  static const char *const links[] = {"href", "src", "action", "formaction", "background", "poster", "cite", "longdesc", "data",
                                      "xlink:href", "manifest", "usemap", "icon", NULL};
  static const char *const never[] = {"srcdoc", "srcset", "http-equiv", "ping", NULL};
  static const char *const meta[] = {"meta", NULL}, *const content[] = {"content", NULL}, *const style[] = {"style", NULL};

  if (name_in(place->name, place->n_name, links))
    return HTML_ATTRIBUTE_LINK;
  if (name_in(place->name, place->n_name, style))
    return HTML_ATTRIBUTE_STYLE;
  if (name_in(place->name, place->n_name, never) || (place->n_name > 2 && memcmp(place->name, "on", 2) == 0))
    return HTML_ATTRIBUTE_NEVER;
  if (name_in(place->tag, place->n_tag, meta) && name_in(place->name, place->n_name, content))
    return HTML_ATTRIBUTE_NEVER;
  return HTML_ATTRIBUTE_PLAIN;
}

static bool tag_is_raw(const struct html_place *place)
{
  static const char *const raw[] = {"style", "script", "title", "textarea", "xmp", "iframe", "noembed", "noframes", NULL};

  return name_in(place->tag, place->n_tag, raw);
}

static void tag_end(struct html_place *place)
{
  place->matched = 0;
  place->state = !place->closing && tag_is_raw(place) ? HTML_RAW : HTML_TEXT;
}

static void tag_open_byte(struct html_place *place, char byte)
{
  if (byte_is_plain(byte) && !(byte >= '0' && byte <= '9')) {
    place->n_tag = 0;
    name_add(place->tag, &place->n_tag, byte);
    place->state = HTML_TAG_NAME;
  } else if (byte == '/' && !place->closing) {
    place->closing = true;
  } else if (byte == '!' || byte == '?' || place->closing) {
    place->state = HTML_MARKUP;
    place->n_name = 0;
    name_add(place->name, &place->n_name, byte);
  } else if (byte != '<') {
    place->state = HTML_TEXT;
  }
}

/* In a tag, outside of values: blanks, slashes and the end mean the same everywhere. */
static void tag_byte(struct html_place *place, char byte)
{
  if (byte == '>') {
    tag_end(place);
  } else if (byte == '/') {
    place->state = HTML_TAG;
  } else if (byte_is_blank(byte)) {
    if (place->state != HTML_VALUE)
      place->state = place->state == HTML_NAME || place->state == HTML_NAME_AFTER ? HTML_NAME_AFTER : HTML_TAG;
  } else if (byte == '=' && (place->state == HTML_NAME || place->state == HTML_NAME_AFTER)) {
    place->state = HTML_VALUE;
  } else if (place->state == HTML_TAG_NAME) {
    name_add(place->tag, &place->n_tag, byte);
  } else {
    if (place->state != HTML_NAME)
      place->n_name = 0;
    name_add(place->name, &place->n_name, byte);
    place->state = HTML_NAME;
  }
}

static void value_begin(struct html_place *place, char byte)
{
  place->n_link = 0;
  place->link_long = place->link_watched = false;
  place->attribute = (uint8_t)attribute_of(place);
  place->state = byte == '"' ? HTML_DOUBLE : byte == '\'' ? HTML_SINGLE : HTML_BARE;
}

static void value_byte(struct html_place *place, char byte, bool *ret_link_end)
{
  if (byte == (place->state == HTML_DOUBLE ? '"' : '\'')) {
    *ret_link_end = place->link_watched;
    place->link_watched = false;
    place->state = HTML_TAG;
  } else if (place->n_link < HTML_PLACE_LINK_MAX) {
    place->link[place->n_link++] = byte;
  } else {
    place->link_long = true;
  }
}

/* <!-- is a comment, but for <!--[if ...]>, behind which some readers see markup. */
static void markup_byte(struct html_place *place, char byte)
{
  if (byte == '>') {
    place->state = HTML_TEXT;
    return;
  }
  name_add(place->name, &place->n_name, byte);
  if (place->n_name == 3 && memcmp(place->name, "!--", 3) == 0) {
    place->state = HTML_COMMENT;
    place->matched = 2;
    place->n_link = 0;
  }
}

static void comment_byte(struct html_place *place, char byte)
{
  if (byte == '[' && place->n_link == 0) {
    place->state = HTML_MARKUP;
    place->n_name = HTML_PLACE_NAME_MAX;
  } else if (byte == '>' && place->matched >= 2) {
    place->state = HTML_TEXT;
  } else if (byte == '-') {
    place->matched = place->matched < 2 ? (uint8_t)(place->matched + 1) : 2;
  } else {
    place->matched = 0;
  }
  place->n_link = 1;
}

static void raw_byte(struct html_place *place, char byte)
{
  size_t at = place->matched;

  if (at == 2u + place->n_tag && (byte == '>' || byte == '/' || byte_is_blank(byte))) {
    place->closing = true;
    place->state = HTML_TAG;
    tag_byte(place, byte);
  } else if ((at == 0 && byte == '<') || (at == 1 && byte == '/') ||
             (at >= 2 && at < 2u + place->n_tag && byte_lower(byte) == place->tag[at - 2])) {
    place->matched++;
  } else {
    place->matched = byte == '<';
  }
}

bool html_place_byte(struct html_place *place, char byte, bool *ret_link_end)
{
  *ret_link_end = false;
  switch ((enum html_state)place->state) {
  case HTML_TEXT:
    if (byte == '<') {
      place->state = HTML_TAG_OPEN;
      place->closing = false;
    }
    return true;
  case HTML_TAG_OPEN:
    tag_open_byte(place, byte);
    return true;
  case HTML_TAG_BREAK:
    if (byte != '>' && byte != '/' && !byte_is_blank(byte))
      return false;
    tag_byte(place, byte);
    return true;
  case HTML_VALUE:
    if (byte == '>' || byte_is_blank(byte))
      tag_byte(place, byte);
    else
      value_begin(place, byte);
    return true;
  case HTML_TAG_NAME:
  case HTML_TAG:
  case HTML_NAME:
  case HTML_NAME_AFTER:
    tag_byte(place, byte);
    return true;
  case HTML_DOUBLE:
  case HTML_SINGLE:
    value_byte(place, byte, ret_link_end);
    return true;
  case HTML_BARE:
    if (byte == '>')
      tag_end(place);
    else if (byte_is_blank(byte))
      place->state = HTML_TAG;
    return true;
  case HTML_MARKUP:
    markup_byte(place, byte);
    return true;
  case HTML_COMMENT:
    comment_byte(place, byte);
    return true;
  case HTML_RAW:
    raw_byte(place, byte);
    return true;
  }
  return true;
}

/* --- Values ------------------------------------------------------------------------------------------------------- */

static const char *raw_value(const struct html_place *place, enum html_escape *ret)
{
  static const char *const text[] = {"title", "textarea", NULL}, *const style[] = {"style", NULL};

  if (name_in(place->tag, place->n_tag, text))
    *ret = HTML_ESCAPE_TEXT;
  else if (name_in(place->tag, place->n_tag, style))
    *ret = HTML_ESCAPE_STYLE;
  else
    return "a value may not stand in a script";
  return NULL;
}

static const char *quoted_value(const struct html_place *place, bool raw, enum html_escape *ret)
{
  switch ((enum html_attribute)place->attribute) {
  case HTML_ATTRIBUTE_LINK:
    return link_value(place, raw, ret);
  case HTML_ATTRIBUTE_STYLE:
    *ret = HTML_ESCAPE_STYLE;
    return NULL;
  case HTML_ATTRIBUTE_NEVER:
    return "a value may not stand in this attribute: it is run, or read as markup";
  case HTML_ATTRIBUTE_PLAIN:
    break;
  }
  *ret = HTML_ESCAPE_TEXT;
  return NULL;
}

const char *html_place_value(const struct html_place *place, bool raw, enum html_escape *ret)
{
  switch ((enum html_state)place->state) {
  case HTML_TEXT:
    *ret = raw ? HTML_ESCAPE_NONE : HTML_ESCAPE_TEXT;
    return NULL;
  case HTML_COMMENT:
    *ret = HTML_ESCAPE_TEXT;
    return NULL;
  case HTML_DOUBLE:
  case HTML_SINGLE:
    return quoted_value(place, raw, ret);
  case HTML_RAW:
    return raw_value(place, ret);
  case HTML_VALUE:
  case HTML_BARE:
    return "put quotes round this attribute: without them a value could end it";
  case HTML_TAG_OPEN:
  case HTML_TAG_NAME:
  case HTML_TAG:
  case HTML_TAG_BREAK:
  case HTML_NAME:
  case HTML_NAME_AFTER:
  case HTML_MARKUP:
    break;
  }
  return "a value may stand in text and in quoted attributes, not where a tag or an attribute gets its name";
}

bool html_place_link_opens(struct html_place *place, size_t *ret_back)
{
  if ((place->state != HTML_DOUBLE && place->state != HTML_SINGLE) || place->attribute != HTML_ATTRIBUTE_LINK ||
      place->link_watched || link_is_settled(place))
    return false;
  place->link_watched = true;
  *ret_back = place->n_link;
  return true;
}

/* --- Sections ----------------------------------------------------------------------------------------------------- */

static bool name_same(const char *a, size_t n_a, const char *b, size_t n_b)
{
  return n_a == n_b && memcmp(a, b, n_a) == 0;
}

static bool state_is_between_attributes(uint8_t state)
{
  return state == HTML_TAG || state == HTML_TAG_BREAK || state == HTML_NAME_AFTER;
}

bool html_place_join(struct html_place *place, const struct html_place *found)
{
  bool same_tag = name_same(place->tag, place->n_tag, found->tag, found->n_tag) && place->closing == found->closing;
  bool in_tag = state_is_between_attributes(found->state) || found->state == HTML_TAG_NAME;

  if (found->state == HTML_TEXT)
    return place->state == HTML_TEXT;
  if (in_tag && same_tag && (state_is_between_attributes(place->state) || place->state == HTML_NAME)) {
    place->state = HTML_TAG_BREAK;
    return true;
  }
  if (place->state != found->state || !same_tag || place->matched != found->matched)
    return false;
  if (!name_same(place->name, place->n_name, found->name, found->n_name) || place->attribute != found->attribute)
    return false;
  if ((place->state == HTML_DOUBLE || place->state == HTML_SINGLE) && link_host_is_open(found))
    *place = *found;
  return true;
}

bool html_place_is_text(const struct html_place *place)
{
  return place->state == HTML_TEXT;
}

/* --- Writing ------------------------------------------------------------------------------------------------------ */

static parley_text reference_of(char byte)
{
  switch (byte) {
  case '&':
    return PARLEY_LIT("&amp;");
  case '<':
    return PARLEY_LIT("&lt;");
  case '>':
    return PARLEY_LIT("&gt;");
  case '"':
    return PARLEY_LIT("&quot;");
  default:
    return PARLEY_LIT("&#39;");
  }
}

static void buf_escaped(struct buf *buf, parley_text value)
{
  static const bool special[256] = {['&'] = true, ['<'] = true, ['>'] = true, ['"'] = true, ['\''] = true};

  for (size_t i = 0; i < value.len; i++) {
    size_t from = i;

    while (i < value.len && !special[(unsigned char)value.at[i]])
      i++;
    buf_add(buf, value.at + from, i - from);
    if (i < value.len)
      buf_text(buf, reference_of(value.at[i]));
  }
}

static void buf_line(struct buf *buf, parley_text value)
{
  bool blank = false;

  for (size_t i = 0; i < value.len; i++) {
    bool control = (unsigned char)value.at[i] < ' ' || value.at[i] == 0x7f;

    if (!control)
      buf_char(buf, value.at[i]);
    else if (!blank)
      buf_char(buf, ' ');
    blank = control;
  }
}

/* What may stand as it is: in a query, in a path, in a whole link. */
enum { STAYS_QUERY = 1, STAYS_PATH = 2, STAYS_LINK = 4 };
static const uint8_t url_bytes[256] = {
    ['a' ... 'z'] = 7, ['A' ... 'Z'] = 7, ['0' ... '9'] = 7, ['-'] = 7, ['.'] = 7, ['_'] = 7, ['~'] = 7, ['!'] = 6, ['$'] = 6,
    ['&'] = 6, ['('] = 6, [')'] = 6, ['*'] = 6, ['+'] = 6, [','] = 6, ['/'] = 6, [':'] = 6, [';'] = 6, ['='] = 6, ['@'] = 6,
    ['['] = 6, [']'] = 6, ['?'] = STAYS_LINK, ['#'] = STAYS_LINK, ['%'] = STAYS_LINK, [0x80 ... 0xff] = STAYS_LINK};

static uint8_t url_need(enum html_escape escape)
{
  return escape == HTML_ESCAPE_URL ? STAYS_LINK : escape == HTML_ESCAPE_URL_PATH ? STAYS_PATH : STAYS_QUERY;
}

static void buf_url(struct buf *buf, parley_text value, enum html_escape escape, bool html)
{
  static const char digits[] = "0123456789ABCDEF";
  uint8_t need = url_need(escape);

  for (size_t i = 0; i < value.len;) {
    size_t from = i;
    unsigned char byte;

    while (i < value.len && (url_bytes[(unsigned char)value.at[i]] & need) != 0 && !(html && value.at[i] == '&'))
      i++;
    buf_add(buf, value.at + from, i - from);
    if (i == value.len)
      break;
    byte = (unsigned char)value.at[i++];
    if ((url_bytes[byte] & need) != 0)
      buf_add(buf, "&amp;", 5);
    else
      buf_add(buf, (const char[]){'%', digits[byte >> 4], digits[byte & 15]}, 3);
  }
}

static void buf_style(struct buf *buf, parley_text value)
{
  for (size_t i = 0; i < value.len; i++) {
    char byte = value.at[i];

    if ((unsigned char)byte >= 0x80 || byte_is_plain(byte) || memchr(" #%,.-_", byte, 7) != NULL)
      buf_char(buf, byte);
    else
      buf_printf(buf, "\\%x ", (unsigned)(unsigned char)byte);
  }
}

void buf_html_value(struct buf *buf, parley_text value, enum html_escape escape)
{
  switch (escape) {
  case HTML_ESCAPE_NONE:
    buf_text(buf, value);
    break;
  case HTML_ESCAPE_LINE:
    buf_line(buf, value);
    break;
  case HTML_ESCAPE_TEXT:
    buf_escaped(buf, value);
    break;
  case HTML_ESCAPE_URL:
  case HTML_ESCAPE_URL_PATH:
  case HTML_ESCAPE_URL_QUERY:
    buf_url(buf, value, escape, true);
    break;
  case HTML_ESCAPE_STYLE:
    buf_style(buf, value);
    break;
  }
}

void buf_link_value(struct buf *buf, parley_text value, enum html_escape escape)
{
  buf_url(buf, value, escape, false);
}

struct html_place html_place_link(void)
{
  return (struct html_place){.state = HTML_DOUBLE, .attribute = HTML_ATTRIBUTE_LINK};
}
