#include "html_scan.h"
#include "core/base/text.h"
#include <string.h>

#define LISTS_MAX 8           /* nested; deeper ones count with the eighth */
#define TAG_NAME_BYTES_MAX 16 /* no tag that we know has more */
#define LINK_SHOWN_BYTES_MAX 2048
enum tag_kind {
  TAG_OTHER,     /* no say in how text looks */
  TAG_BREAK,     /* br */
  TAG_RULE,      /* hr */
  TAG_LINE,      /* starts and ends a line */
  TAG_PARAGRAPH, /* a blank line before and behind */
  TAG_LIST,
  TAG_ITEM,
  TAG_CELL,
  TAG_PRE,
  TAG_LINK,
  TAG_IMAGE,
  TAG_RAW,  /* its content is no HTML and is not shown */
  TAG_SKIP, /* its content is not shown */
};
/* One row a tag would be a screen of its own. */
/* clang-format off */
static const struct {
  const char *name;
  enum tag_kind kind;
} tags[] = {
    {"a", TAG_LINK}, {"address", TAG_LINE}, {"article", TAG_LINE}, {"aside", TAG_LINE},
    {"blockquote", TAG_PARAGRAPH}, {"br", TAG_BREAK}, {"caption", TAG_LINE}, {"center", TAG_LINE}, {"dd", TAG_LINE},
    {"div", TAG_LINE}, {"dl", TAG_PARAGRAPH}, {"dt", TAG_LINE}, {"fieldset", TAG_LINE}, {"figcaption", TAG_LINE},
    {"figure", TAG_LINE}, {"footer", TAG_LINE}, {"form", TAG_LINE}, {"h1", TAG_PARAGRAPH}, {"h2", TAG_PARAGRAPH},
    {"h3", TAG_PARAGRAPH}, {"h4", TAG_PARAGRAPH}, {"h5", TAG_PARAGRAPH}, {"h6", TAG_PARAGRAPH},
    {"header", TAG_LINE}, {"hr", TAG_RULE}, {"iframe", TAG_RAW}, {"img", TAG_IMAGE}, {"li", TAG_ITEM},
    {"main", TAG_LINE}, {"math", TAG_SKIP}, {"nav", TAG_LINE}, {"noembed", TAG_RAW}, {"noframes", TAG_RAW},
    {"object", TAG_SKIP}, {"ol", TAG_LIST}, {"option", TAG_LINE}, {"p", TAG_PARAGRAPH}, {"pre", TAG_PRE},
    {"script", TAG_RAW}, {"section", TAG_LINE}, {"select", TAG_SKIP}, {"style", TAG_RAW}, {"svg", TAG_SKIP},
    {"table", TAG_PARAGRAPH}, {"tbody", TAG_LINE}, {"td", TAG_CELL}, {"template", TAG_SKIP}, {"textarea", TAG_RAW},
    {"tfoot", TAG_LINE}, {"th", TAG_CELL}, {"thead", TAG_LINE}, {"title", TAG_RAW}, {"tr", TAG_LINE},
    {"ul", TAG_LIST}, {"xmp", TAG_RAW},
};
/* clang-format on */

struct tag {
  enum tag_kind kind;
  char name[TAG_NAME_BYTES_MAX + 1]; /* lower case; empty when longer */
  bool closing, closed;              /* </name>; <name/> */
  parley_text href, alt;
};

struct scanner {
  parley_text html;
  size_t pos;
  struct buf out;                    /* text with character references */
  uint32_t breaks;                   /* line breaks owed before the next character: 0-2 */
  bool blank;                        /* a space owed likewise */
  uint32_t pre;                      /* depth of <pre> */
  char skip[TAG_NAME_BYTES_MAX + 1]; /* the element whose content is not shown; empty: none */
  uint32_t skip_depth;
  uint32_t lists;
  uint32_t item[LISTS_MAX]; /* number of the last item */
  size_t item_from;         /* where its text starts in out: no break goes between the mark and it */
  bool ordered[LISTS_MAX];
  bool cell;        /* a cell was seen in this row */
  parley_text link; /* href of the open <a>; NULL: none */
  size_t link_from; /* where its label starts in out */
};

/* --- writing ---------------------------------------------------------------------------------------------------------
 */

static char byte_at(const struct scanner *scanner, size_t pos)
{
  return pos < scanner->html.len ? scanner->html.at[pos] : '\0';
}

static void owed_pay(struct scanner *scanner)
{
  struct buf *out = &scanner->out;

  if (scanner->breaks > 0 && out->len > 0)
    buf_add(out, "\n\n", scanner->breaks);
  else if (scanner->blank && out->len > 0 && out->at[out->len - 1] != '\n' && out->at[out->len - 1] != ' ')
    buf_char(out, ' ');
  scanner->breaks = 0;
  scanner->blank = false;
}

static void breaks_owe(struct scanner *scanner, uint32_t breaks)
{
  if (scanner->breaks < breaks && scanner->out.len > scanner->item_from)
    scanner->breaks = breaks;
  scanner->blank = false;
  scanner->cell = false;
}

static bool byte_is_blank(char byte)
{
  return byte == ' ' || byte == '\n' || byte == '\t' || byte == '\r' || byte == '\f';
}

static void mark_write(struct scanner *scanner, char mark)
{
  buf_char(&scanner->out, MARK);
  buf_char(&scanner->out, mark);
}

static void byte_write(struct scanner *scanner, char byte)
{
  if (scanner->pre == 0 && byte_is_blank(byte)) {
    scanner->blank = true;
    return;
  }
  if ((unsigned char)byte < 0x20 && byte != '\n' && byte != '\t')
    return;
  owed_pay(scanner);
  if (byte == '<')
    mark_write(scanner, MARK_LESS);
  else
    buf_char(&scanner->out, byte);
}

/* How many bytes from here on are written as they stand: most of any text. */
static size_t plain_run(const struct scanner *scanner)
{
  const char *at = scanner->html.at;
  size_t end = scanner->pos;

  while (end < scanner->html.len && (unsigned char)at[end] > ' ' && at[end] != '<' && at[end] != '&')
    end++;
  return end - scanner->pos;
}

static void plain_write(struct scanner *scanner, size_t run)
{
  owed_pay(scanner);
  buf_add(&scanner->out, scanner->html.at + scanner->pos, run);
  scanner->pos += run;
}

/* An & that starts no reference is a name to nobody. */
static bool reference_starts(const struct scanner *scanner)
{
  char next = byte_at(scanner, scanner->pos + 1);

  return (next >= 'a' && next <= 'z') || (next >= 'A' && next <= 'Z') || next == '#';
}

static void words_write(struct scanner *scanner, parley_text words)
{
  for (size_t i = 0; i < words.len; i++)
    byte_write(scanner, words.at[i]);
}

/* An attribute's URL in text: only &amp; and numbers are references there ("?a=1&copy=2" has none). */
static void url_write(struct scanner *scanner, parley_text url)
{
  for (size_t i = 0; i < url.len; i++) {
    parley_text rest = text_sub(url, i, SIZE_MAX);

    if (url.at[i] == '&' && !text_starts(rest, "&amp;") && !text_starts(rest, "&#"))
      mark_write(scanner, MARK_AND);
    else if (url.at[i] == '<')
      mark_write(scanner, MARK_LESS);
    else if ((unsigned char)url.at[i] > ' ')
      buf_char(&scanner->out, url.at[i]);
  }
}

/* --- reading tags ----------------------------------------------------------------------------------------------------
 */

static bool byte_is_letter(char byte)
{
  return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
}

static void blanks_skip(struct scanner *scanner)
{
  while (scanner->pos < scanner->html.len &&
         (byte_is_blank(byte_at(scanner, scanner->pos)) || byte_at(scanner, scanner->pos) == '/'))
    scanner->pos++;
}

static parley_text value_read(struct scanner *scanner) /* behind the '=' of an attribute */
{
  char quote;
  size_t from;

  while (byte_is_blank(byte_at(scanner, scanner->pos)))
    scanner->pos++;
  quote = byte_at(scanner, scanner->pos);
  if (quote == '"' || quote == '\'') {
    parley_text value = text_sub(scanner->html, scanner->pos + 1, SIZE_MAX);

    value.len = text_find(value, quote);
    scanner->pos += value.len + 2;
    return value;
  }
  from = scanner->pos;
  while (scanner->pos < scanner->html.len && !byte_is_blank(byte_at(scanner, scanner->pos)) &&
         byte_at(scanner, scanner->pos) != '>')
    scanner->pos++;
  return text_sub(scanner->html, from, scanner->pos - from);
}

static void attribute_read(struct scanner *scanner, struct tag *tag)
{
  size_t from = scanner->pos++;
  parley_text name, value = TEXT_EMPTY;

  while (scanner->pos < scanner->html.len && !byte_is_blank(byte_at(scanner, scanner->pos)) &&
         strchr("/>=", byte_at(scanner, scanner->pos)) == NULL)
    scanner->pos++;
  name = text_sub(scanner->html, from, scanner->pos - from);
  while (byte_is_blank(byte_at(scanner, scanner->pos)))
    scanner->pos++;
  if (byte_at(scanner, scanner->pos) == '=') {
    scanner->pos++;
    value = value_read(scanner);
  }
  if (text_is_nocase(name, "href"))
    tag->href = text_trim(value);
  else if (text_is_nocase(name, "alt"))
    tag->alt = text_trim(value);
}

static enum tag_kind tag_kind_of(const char *name)
{
  size_t low = 0, high = sizeof(tags) / sizeof(tags[0]);

  while (low < high) {
    size_t middle = (low + high) / 2;
    int order = strcmp(name, tags[middle].name);

    if (order == 0)
      return tags[middle].kind;
    if (order < 0)
      high = middle;
    else
      low = middle + 1;
  }
  return TAG_OTHER;
}

/* pos on the first letter of the name; leaves it behind the '>'. */
static void tag_read(struct scanner *scanner, struct tag *tag)
{
  size_t len = 0;

  while (scanner->pos < scanner->html.len && !byte_is_blank(byte_at(scanner, scanner->pos)) &&
         strchr("/>", byte_at(scanner, scanner->pos)) == NULL) {
    char byte = byte_at(scanner, scanner->pos++);

    if (len < TAG_NAME_BYTES_MAX)
      tag->name[len] = byte >= 'A' && byte <= 'Z' ? (char)(byte | 0x20) : byte;
    len++;
  }
  tag->name[len <= TAG_NAME_BYTES_MAX ? len : 0] = '\0';
  tag->kind = tag_kind_of(tag->name);
  for (blanks_skip(scanner); scanner->pos < scanner->html.len && byte_at(scanner, scanner->pos) != '>';
       blanks_skip(scanner))
    attribute_read(scanner, tag);
  tag->closed = byte_at(scanner, scanner->pos - 1) == '/';
  scanner->pos++;
}

/* --- what tags do ----------------------------------------------------------------------------------------------------
 */

static void link_open(struct scanner *scanner, parley_text href)
{
  static const char *const shown[] = {"http://", "https://", "mailto:", "tel:"};

  scanner->link = (parley_text){NULL, 0};
  for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]) && href.len <= LINK_SHOWN_BYTES_MAX; i++)
    if (text_is_nocase(text_sub(href, 0, strlen(shown[i])), shown[i]))
      scanner->link = href;
  scanner->link_from = scanner->out.len;
}

/* " (url)" behind the label, unless the label says it already. */
static void link_close(struct scanner *scanner)
{
  parley_text href = scanner->link, label;
  size_t colon = text_find(href, ':');

  scanner->link = (parley_text){NULL, 0};
  if (href.len == 0)
    return;
  if (scanner->out.len < scanner->link_from)
    return;
  label = text_trim(text_sub(buf_as_text(&scanner->out), scanner->link_from, SIZE_MAX));
  if (text_is_nocase(text_sub(href, 0, colon), "mailto") || text_is_nocase(text_sub(href, 0, colon), "tel")) {
    href = text_sub(href, colon + 1, SIZE_MAX);
    href.len = text_find(href, '?');
  }
  if (text_eq_nocase(label, href) || href.len == 0)
    return;
  if (label.len > 0)
    buf_str(&scanner->out, " (");
  else
    owed_pay(scanner);
  url_write(scanner, href);
  if (label.len > 0)
    buf_char(&scanner->out, ')');
}

static void list_turn(struct scanner *scanner, const struct tag *tag)
{
  breaks_owe(scanner, scanner->lists > (tag->closing ? 1 : 0) ? 1 : 2);
  if (tag->closing) {
    scanner->lists -= scanner->lists > 0;
    return;
  }
  if (scanner->lists < LISTS_MAX) {
    scanner->item[scanner->lists] = 0;
    scanner->ordered[scanner->lists] = strcmp(tag->name, "ol") == 0;
    scanner->lists++;
  }
}

static void item_open(struct scanner *scanner)
{
  static const char indent[2 * LISTS_MAX] = "              ";
  size_t list = scanner->lists > 0 ? scanner->lists - 1 : 0;

  if (scanner->breaks == 0)
    scanner->breaks = 1;
  owed_pay(scanner);
  buf_add(&scanner->out, indent, 2 * list);
  if (scanner->lists > 0 && scanner->ordered[list]) {
    buf_uint(&scanner->out, ++scanner->item[list]);
    buf_str(&scanner->out, ". ");
  } else {
    buf_str(&scanner->out, "- ");
  }
  scanner->item_from = scanner->out.len;
}

static void cell_open(struct scanner *scanner)
{
  bool cell = scanner->cell;

  if (cell && scanner->breaks == 0 && scanner->out.len > 0) {
    buf_str(&scanner->out, "  ");
    scanner->blank = false;
  }
  scanner->cell = true;
}

/* Everything up to </name is no HTML. */
static void raw_skip(struct scanner *scanner, const char *name)
{
  size_t len = strlen(name);

  while (scanner->pos < scanner->html.len) {
    parley_text rest = text_sub(scanner->html, scanner->pos, SIZE_MAX);

    scanner->pos += text_find(rest, '<');
    if (byte_at(scanner, scanner->pos + 1) == '/' &&
        text_is_nocase(text_sub(scanner->html, scanner->pos + 2, len), name))
      return; /* the closing tag is read like any other, and does nothing */
    scanner->pos++;
  }
}

static void tag_open(struct scanner *scanner, const struct tag *tag)
{
  switch (tag->kind) {
  case TAG_OTHER:
    return;
  case TAG_BREAK:
    if (scanner->out.len > 0) {
      if (scanner->breaks == 0)
        scanner->breaks = 1;
      else if (scanner->breaks == 1)
        scanner->breaks = 2;
    }
    scanner->blank = false;
    return;
  case TAG_RULE:
    breaks_owe(scanner, 1);
    owed_pay(scanner);
    buf_str(&scanner->out, "---");
    breaks_owe(scanner, 1);
    return;
  case TAG_LINE:
    breaks_owe(scanner, 1);
    return;
  case TAG_PRE:
    scanner->pre++;
    breaks_owe(scanner, 2);
    return;
  case TAG_PARAGRAPH:
    breaks_owe(scanner, 2);
    return;
  case TAG_LIST:
    list_turn(scanner, tag);
    return;
  case TAG_ITEM:
    item_open(scanner);
    return;
  case TAG_CELL:
    cell_open(scanner);
    return;
  case TAG_LINK:
    link_close(scanner);
    link_open(scanner, tag->href);
    return;
  case TAG_IMAGE:
    words_write(scanner, tag->alt);
    return;
  case TAG_RAW:
    raw_skip(scanner, tag->name);
    return;
  case TAG_SKIP:
    if (!tag->closed) {
      memcpy(scanner->skip, tag->name, sizeof(scanner->skip));
      scanner->skip_depth = 1;
    }
    return;
  }
}

static void tag_close(struct scanner *scanner, const struct tag *tag)
{
  switch (tag->kind) {
  case TAG_OTHER:
  case TAG_BREAK:
  case TAG_RULE:
  case TAG_CELL:
  case TAG_IMAGE:
  case TAG_RAW:
  case TAG_SKIP:
    return;
  case TAG_LINE:
  case TAG_ITEM:
    breaks_owe(scanner, 1);
    return;
  case TAG_PRE:
    scanner->pre -= scanner->pre > 0;
    breaks_owe(scanner, 2);
    return;
  case TAG_PARAGRAPH:
    breaks_owe(scanner, 2);
    return;
  case TAG_LIST:
    list_turn(scanner, tag);
    return;
  case TAG_LINK:
    link_close(scanner);
    return;
  }
}

static void tag_act(struct scanner *scanner, const struct tag *tag)
{
  if (scanner->skip[0] == '\0') {
    if (tag->closing)
      tag_close(scanner, tag);
    else
      tag_open(scanner, tag);
    return;
  }
  if (strcmp(tag->name, scanner->skip) != 0)
    return;
  if (!tag->closed)
    scanner->skip_depth = tag->closing ? scanner->skip_depth - 1 : scanner->skip_depth + 1;
  if (scanner->skip_depth == 0)
    scanner->skip[0] = '\0';
}

/* --- the scan --------------------------------------------------------------------------------------------------------
 */

static void comment_skip(struct scanner *scanner) /* pos behind "<!" or "<?" or "</" */
{
  parley_text rest = text_sub(scanner->html, scanner->pos, SIZE_MAX), end = PARLEY_LIT(">");
  size_t found;

  if (text_starts(rest, "--")) {
    if (text_starts(rest, "-->") || text_starts(rest, "--->")) {
      scanner->pos += text_find(rest, '>') + 1;
      return;
    }
    end = PARLEY_LIT("-->");
  }
  found = text_find_text(rest, end);
  scanner->pos = found == SIZE_MAX ? scanner->html.len : scanner->pos + found + end.len;
}

static void markup_read(struct scanner *scanner) /* pos on '<' */
{
  struct tag tag = {.kind = TAG_OTHER};
  char next = byte_at(scanner, scanner->pos + 1);

  if (next == '!' || next == '?' || (next == '/' && !byte_is_letter(byte_at(scanner, scanner->pos + 2)))) {
    scanner->pos += 2;
    comment_skip(scanner);
  } else if (byte_is_letter(next) || next == '/') {
    tag.closing = next == '/';
    scanner->pos += tag.closing ? 2 : 1;
    tag_read(scanner, &tag);
    tag_act(scanner, &tag);
  } else {
    if (scanner->skip[0] == '\0')
      byte_write(scanner, '<');
    scanner->pos++;
  }
}

static void scanner_run(struct scanner *scanner)
{
  size_t run;

  while (scanner->pos < scanner->html.len) {
    if (scanner->html.at[scanner->pos] == '<') {
      markup_read(scanner);
    } else if (scanner->html.at[scanner->pos] == '&' && scanner->skip[0] == '\0' && !reference_starts(scanner)) {
      owed_pay(scanner);
      mark_write(scanner, MARK_AND);
      scanner->pos++;
    } else if (scanner->skip[0] != '\0') {
      scanner->pos++;
    } else if ((run = plain_run(scanner)) > 0) {
      plain_write(scanner, run);
    } else {
      byte_write(scanner, scanner->html.at[scanner->pos++]);
    }
  }
  link_close(scanner);
}

void html_scan(parley_text html, struct buf *out)
{
  struct scanner scanner = {.html = html, .out = BUF_INIT(out->max)};

  scanner_run(&scanner);
  buf_done(out);
  *out = scanner.out;
}
