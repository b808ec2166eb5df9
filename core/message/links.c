#include "links.h"
#include "core/base/alloc.h"
#include "core/base/text.h"
#include <string.h>

static bool is_blank(char byte)
{
  return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r' || byte == '\f';
}

static bool is_letter(char byte)
{
  return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
}

static bool is_word(char byte)
{
  return is_letter(byte) || (byte >= '0' && byte <= '9') || (unsigned char)byte >= 0x80;
}

static bool word_at(parley_text in, size_t at, const char *word)
{
  return text_is_nocase(text_sub(in, at, strlen(word)), word);
}

/* --- Text --------------------------------------------------------------------------------------------------------- */

/* Without the marks that end a sentence or close a bracket that was opened before it. */
static size_t url_end(parley_text in, size_t from, size_t end)
{
  int open = 0;

  for (size_t i = from; i < end; i++)
    open += in.at[i] == '(' ? 1 : in.at[i] == ')' ? -1 : 0;
  while (end > from) {
    char last = in.at[end - 1];

    if (last == ')' && open < 0)
      open++;
    else if (strchr(".,;:!?'*_~]}", last) == NULL)
      break;
    end--;
  }
  return end;
}

static bool text_next(struct links *links, parley_text *ret)
{
  parley_text in = links->in;

  for (size_t at = links->at; at < in.len; at++) {
    size_t scheme = word_at(in, at, "https://") ? 8 : word_at(in, at, "http://") ? 7 : 0, end = at + scheme;

    if (scheme == 0 || (at > 0 && is_word(in.at[at - 1])))
      continue;
    while (end < in.len && (unsigned char)in.at[end] > ' ' && strchr("<>\"", in.at[end]) == NULL && in.at[end] != 0x7f)
      end++;
    links->at = end;
    end = url_end(in, at + scheme, end);
    if (end == at + scheme) {
      at = links->at - 1;
      continue;
    }
    *ret = text_sub(in, at, end - at);
    return true;
  }
  links->at = in.len;
  return false;
}

/* --- HTML --------------------------------------------------------------------------------------------------------- */

/* Behind the next `what`, or the end. */
static size_t behind(parley_text in, size_t at, const char *what)
{
  size_t found = text_find_text(text_sub(in, at, SIZE_MAX), parley_text_of(what));

  return found == SIZE_MAX ? in.len : at + found + strlen(what);
}

/* Behind the end tag of an element whose content is no HTML. */
static size_t behind_raw(parley_text in, size_t at, const char *name)
{
  for (; at < in.len; at++)
    if (in.at[at] == '<' && at + 1 < in.len && in.at[at + 1] == '/' && word_at(in, at + 2, name))
      return at + 2 + strlen(name);
  return in.len;
}

/* One attribute from *at on; false at the end of the tag, *at then behind it. */
static bool attribute_next(parley_text in, size_t *at, parley_text *ret_name, parley_text *ret_value)
{
  size_t pos = *at, from;
  char quote;

  while (pos < in.len && (is_blank(in.at[pos]) || in.at[pos] == '/'))
    pos++;
  if (pos >= in.len || in.at[pos] == '>') {
    *at = pos < in.len ? pos + 1 : pos;
    return false;
  }
  from = pos++; /* a name may begin with = */
  while (pos < in.len && !is_blank(in.at[pos]) && strchr("/>=", in.at[pos]) == NULL)
    pos++;
  *ret_name = text_sub(in, from, pos - from);
  *ret_value = TEXT_EMPTY;
  *at = pos;
  while (pos < in.len && is_blank(in.at[pos]))
    pos++;
  if (pos >= in.len || in.at[pos] != '=')
    return true;
  pos++;
  while (pos < in.len && is_blank(in.at[pos]))
    pos++;
  quote = pos < in.len && (in.at[pos] == '"' || in.at[pos] == '\'') ? in.at[pos++] : '\0';
  from = pos;
  while (pos < in.len && (quote != '\0' ? in.at[pos] != quote : !is_blank(in.at[pos]) && in.at[pos] != '>'))
    pos++;
  *ret_value = text_sub(in, from, pos - from);
  *at = pos < in.len && quote != '\0' ? pos + 1 : pos;
  return true;
}

/* The first href of a tag whose attributes begin at *at, which goes behind the tag. An empty one counts as none. */
static bool tag_href(parley_text in, size_t *at, parley_text *ret)
{
  parley_text name, value;
  bool found = false;

  while (attribute_next(in, at, &name, &value)) {
    if (found || value.len == 0 || !text_is_nocase(name, "href"))
      continue;
    *ret = value;
    found = true;
  }
  return found;
}

static bool html_next(struct links *links, parley_text *ret)
{
  static const char *const raw[] = {"script", "style", "title", "textarea"};
  parley_text in = links->in;
  size_t at = links->at;

  while (at < in.len) {
    size_t from = at + 1, end = from;
    parley_text name, ignored;

    if (in.at[at] != '<') {
      at++;
      continue;
    }
    if (word_at(in, at, "<!--")) {
      at = behind(in, at + 4, "-->");
      continue;
    }
    while (end < in.len && is_word(in.at[end]))
      end++;
    if (end == from || !is_letter(in.at[from])) {
      at++;
      continue;
    }
    name = text_sub(in, from, end - from);
    at = end;
    if (text_is_nocase(name, "a") || text_is_nocase(name, "area")) {
      links->at = at;
      if (tag_href(in, &links->at, ret))
        return true;
      at = links->at;
      continue;
    }
    tag_href(in, &at, &ignored); /* a < in its attributes begins no tag */
    for (size_t i = 0; i < COUNT_OF(raw); i++)
      if (text_is_nocase(name, raw[i]))
        at = behind_raw(in, at, raw[i]);
  }
  links->at = in.len;
  return false;
}

bool links_next(struct links *links, parley_text *ret_written)
{
  return links->html ? html_next(links, ret_written) : text_next(links, ret_written);
}

/* --- Targets ------------------------------------------------------------------------------------------------------ */

/* The references that stand in addresses; of the others a browser knows, none is a character that counts here. */
static const struct { const char *name; char byte; } references[] = {
    {"amp", '&'},   {"AMP", '&'},     {"lt", '<'},    {"gt", '>'},   {"quot", '"'},  {"apos", '\''}, {"colon", ':'},
    {"sol", '/'},   {"Tab", '\t'},    {"NewLine", '\n'}, {"period", '.'}, {"num", '#'}, {"quest", '?'}, {"equals", '='},
    {"lpar", '('},  {"rpar", ')'},    {"comma", ','}, {"semi", ';'}, {"excl", '!'},  {"percnt", '%'}, {"plus", '+'},
    {"bsol", '\\'}, {"lowbar", '_'}, {"commat", '@'}};

static int digit_of(char byte, uint32_t base)
{
  int value = byte >= '0' && byte <= '9' ? byte - '0' : is_letter(byte) ? (byte | 32) - 'a' + 10 : 99;

  return value < (int)base ? value : -1;
}

/* "&#106;", "&#x6a;", without the semicolon too. Returns how many bytes it has; 0: it is none. */
static size_t number_decode(parley_text at, struct buf *target)
{
  bool hex = at.len > 2 && (at.at[2] | 32) == 'x';
  size_t pos = hex ? 3 : 2;
  size_t from = pos;
  uint32_t code = 0;

  while (pos < at.len && digit_of(at.at[pos], hex ? 16 : 10) >= 0) {
    if (code <= 0x10ffff)
      code = code * (hex ? 16 : 10) + (uint32_t)digit_of(at.at[pos], hex ? 16 : 10);
    pos++;
  }
  if (pos == from)
    return 0;
  if (code == 0 || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
    code = 0xfffd;
  buf_utf8(target, code);
  return pos < at.len && at.at[pos] == ';' ? pos + 1 : pos;
}

static size_t reference_decode(parley_text at, struct buf *target)
{
  if (at.len > 1 && at.at[1] == '#')
    return number_decode(at, target);
  for (size_t i = 0; i < COUNT_OF(references); i++) {
    size_t len = strlen(references[i].name);

    if (at.len < len + 2 || memcmp(at.at + 1, references[i].name, len) != 0 || at.at[len + 1] != ';')
      continue;
    buf_char(target, references[i].byte);
    return len + 2;
  }
  return 0;
}

static void html_decode(parley_text written, struct buf *target)
{
  for (size_t at = 0; at < written.len;) {
    size_t used = written.at[at] == '&' ? reference_decode(text_sub(written, at, SIZE_MAX), target) : 0;

    if (used == 0)
      buf_char(target, written.at[at++]);
    at += used;
  }
}

/* The scheme before the first colon; empty: there is none. */
static parley_text scheme_of(parley_text target)
{
  size_t len = 0;

  while (len < target.len && (is_letter(target.at[len]) || (len > 0 && strchr("0123456789+-.", target.at[len]) != NULL)))
    len++;
  return len > 0 && len < target.len && target.at[len] == ':' ? text_sub(target, 0, len) : TEXT_EMPTY;
}

/* Behind "http:": two slashes and a host. */
static bool has_host(parley_text rest)
{
  return text_starts(rest, "//") && rest.len > 2 && strchr("/?#\\:@", rest.at[2]) == NULL;
}

static enum link_verdict target_judge(parley_text target)
{
  static const char *const bad[] = {"javascript", "data", "vbscript", "file", "blob"};
  parley_text scheme;

  if (text_has_control(target))
    return LINK_CONTROL;
  scheme = scheme_of(target);
  for (size_t i = 0; i < COUNT_OF(bad); i++)
    if (text_is_nocase(scheme, bad[i]))
      return LINK_SCHEME;
  if (!text_is_nocase(scheme, "http") && !text_is_nocase(scheme, "https"))
    return LINK_OTHER;
  if (!has_host(text_sub(target, scheme.len + 1, SIZE_MAX)))
    return LINK_SCHEME;
  return target.len > LINK_TARGET_BYTES_MAX ? LINK_LONG : LINK_WEB;
}

enum link_verdict link_target(parley_text written, bool html, struct buf *target)
{
  parley_text trimmed;

  buf_clear(target);
  if (html)
    html_decode(written, target);
  else
    buf_text(target, written);
  trimmed = text_trim(buf_as_text(target));
  if (trimmed.len == 0) {
    buf_clear(target);
    return LINK_OTHER;
  }
  buf_drop(target, (size_t)(trimmed.at - target->at));
  target->len = trimmed.len;
  target->at[target->len] = '\0';
  return target_judge(buf_as_text(target));
}

void buf_location(struct buf *buf, parley_text target)
{
  for (size_t i = 0; i < target.len; i++) {
    unsigned char byte = (unsigned char)target.at[i];

    if (byte <= ' ' || byte >= 0x7f || strchr("\"<>\\^`{|}", (char)byte) != NULL)
      buf_printf(buf, "%%%02X", byte);
    else
      buf_char(buf, (char)byte);
  }
}
