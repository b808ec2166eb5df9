#include "http_head.h"
#include "core/base/text.h"
#include <string.h>

#define REQUEST_LINE_MAX (HTTP_TARGET_BYTES_MAX + HTTP_METHOD_BYTES_MAX + 16) /* bytes */

/* What a byte may be in a head. */
enum {
  B_BAD = 0,
  B_VALUE = 1 /* header values only */,
  B_TARGET = 2 /* a request target too */,
  B_TOKEN = 4,
  B_HOST = 8
};

static uint8_t byte_kind(unsigned char c)
{
  if (c == '\t' || c == ' ' || c >= 0x80)
    return B_VALUE;
  if (c < 0x20 || c == 0x7f)
    return B_BAD;
  if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'))
    return B_VALUE | B_TARGET | B_TOKEN | B_HOST;
  switch (c) {
  case '!':
  case '$':
  case '&':
  case '\'':
  case '*':
  case '+':
  case '-':
  case '.':
  case '_':
  case '~':
  case '%':
    return B_VALUE | B_TARGET | B_TOKEN | B_HOST; /* '$', '&' ... are sub-delims of a host */
  case '^':
  case '`':
  case '|':
    return B_VALUE | B_TOKEN;
  case '#':
    return B_VALUE | B_TOKEN;
  case '(':
  case ')':
  case ',':
  case ';':
  case '=':
    return B_VALUE | B_TARGET | B_HOST;
  case '"':
  case '<':
  case '>':
  case '\\':
  case '{':
  case '}':
    return B_VALUE;
  default: /* / : ? @ [ ] */
    return B_VALUE | B_TARGET;
  }
}

static bool all_of(parley_text text, uint8_t kind)
{
  for (size_t i = 0; i < text.len; i++)
    if ((byte_kind((unsigned char)text.at[i]) & kind) == 0)
      return false;
  return true;
}

static bool refuse(struct http_head *head, uint16_t code, const char *why)
{
  head->code = code;
  head->why = why;
  return false;
}

/* --- The request line ------------------------------------------------------------------------- */
static bool method_check(struct http_head *head, parley_text method)
{
  static const char *const known[] = {"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"};

  for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
    if (parley_text_is(method, known[i]))
      return true;
  if (method.len == 0 || method.len > HTTP_METHOD_BYTES_MAX || !all_of(method, B_TOKEN))
    return refuse(head, 400, "the method is not one");
  return refuse(head, 405, "this method is not offered");
}

static bool version_check(struct http_head *head, parley_text version)
{
  if (parley_text_is(version, "HTTP/1.1"))
    return true;
  if (parley_text_is(version, "HTTP/1.0")) {
    head->http_1_0 = true;
    return true;
  }
  if (version.len == 8 && memcmp(version.at, "HTTP/", 5) == 0 && version.at[6] == '.')
    return refuse(head, 505, "HTTP/1.1 is spoken here");
  return refuse(head, 400, "the request line is not METHOD TARGET HTTP/1.1");
}

static bool target_check(struct http_head *head, parley_text target, parley_text method)
{
  if (target.len > HTTP_TARGET_BYTES_MAX)
    return refuse(head, 414, "the target is too long");
  if (target.len == 0 || !all_of(target, B_TARGET))
    return refuse(head, 400, "the target has a byte that must be escaped");
  if (target.at[0] == '/')
    return true;
  if (parley_text_is(target, "*") && parley_text_is(method, "OPTIONS"))
    return true;
  if (target.len > 7 && (strncasecmp(target.at, "http://", 7) == 0 || strncasecmp(target.at, "https:/", 7) == 0))
    return true; /* its host is compared once Host is known */
  return refuse(head, 400, "the target does not begin with /");
}

static bool request_line(struct http_head *head, const char *bytes, parley_text line)
{
  parley_text rest = line, method, target;
  size_t gap = text_find(rest, ' ');

  method = text_sub(rest, 0, gap);
  rest = text_sub(rest, gap + 1, rest.len);
  gap = text_find(rest, ' ');
  target = text_sub(rest, 0, gap);
  if (gap == rest.len) /* also HTTP/0.9 */
    return refuse(head, 400, "the request line is not METHOD TARGET HTTP/1.1");
  if (!all_of(method, B_TOKEN))
    return refuse(head, 400, "the method is not one");
  if (!version_check(head, text_sub(rest, gap + 1, rest.len)) || !method_check(head, method) ||
      !target_check(head, target, method))
    return false;
  head->target = (uint32_t)(target.at - bytes);
  head->target_len = (uint32_t)target.len;
  return true;
}

/* --- Header lines ----------------------------------------------------------------------------- */
static bool host_header(struct http_head *head, const char *bytes, parley_text value)
{
  parley_text name = value;
  uint64_t port;

  if (head->has_host)
    return refuse(head, 400, "Host comes twice");
  if (value.len > 0 && value.at[0] == '[') {
    size_t end = text_find(value, ']');

    if (end == value.len || end < 3)
      return refuse(head, 400, "Host is not a host");
    for (size_t i = 1; i < end; i++)
      if (strchr("0123456789abcdefABCDEF:.", value.at[i]) == NULL)
        return refuse(head, 400, "Host is not a host");
    name = text_sub(value, end + 1, value.len);
    if (name.len > 0 && name.at[0] != ':')
      return refuse(head, 400, "Host is not a host");
  } else {
    size_t colon = text_find(value, ':');

    if (colon == 0 || !all_of(text_sub(value, 0, colon), B_HOST))
      return refuse(head, 400, "Host is not a host");
    name = text_sub(value, colon, value.len);
  }
  if (name.len > 1 && !text_to_uint(text_sub(name, 1, name.len), UINT16_MAX, &port))
    return refuse(head, 400, "Host is not a host");
  head->has_host = true;
  head->host = (uint32_t)(value.at - bytes);
  head->host_len = (uint32_t)value.len;
  return true;
}

static bool length_header(struct http_head *head, parley_text value)
{
  if (head->has_length)
    return refuse(head, 400, "Content-Length comes twice");
  if (head->chunked)
    return refuse(head, 400, "Content-Length and Transfer-Encoding come together");
  if (!text_to_uint(value, UINT64_MAX / 2, &head->length))
    return refuse(head, 400, "Content-Length is not a number");
  head->has_length = true;
  return true;
}

static bool encoding_header(struct http_head *head, parley_text value)
{
  if (head->chunked)
    return refuse(head, 400, "Transfer-Encoding comes twice");
  if (head->has_length)
    return refuse(head, 400, "Content-Length and Transfer-Encoding come together");
  if (head->http_1_0)
    return refuse(head, 400, "HTTP/1.0 has no Transfer-Encoding");
  if (!text_is_nocase(value, "chunked"))
    return refuse(head, 400, "no Transfer-Encoding but chunked is taken");
  head->chunked = true;
  return true;
}

static bool header_known(struct http_head *head, const char *bytes, parley_text name, parley_text value)
{
  switch (name.len) { /* by length first: most headers are none of these */
  case 4:
    return !text_is_nocase(name, "host") || host_header(head, bytes, value);
  case 6:
    if (text_is_nocase(name, "expect")) {
      if (head->expect_continue || !text_is_nocase(value, "100-continue"))
        return refuse(head, 417, "nothing but 100-continue can be expected");
      head->expect_continue = !head->http_1_0;
    }
    return true;
  case 14:
    return !text_is_nocase(name, "content-length") || length_header(head, value);
  case 16:
    if (text_is_nocase(name, "content-encoding") && !text_is_nocase(value, "identity"))
      head->encoded = true;
    return true;
  case 17:
    return !text_is_nocase(name, "transfer-encoding") || encoding_header(head, value);
  default:
    return true;
  }
}

static bool header_line(struct http_head *head, const char *bytes, parley_text line)
{
  size_t colon = text_find(line, ':');
  parley_text name = text_sub(line, 0, colon);

  if (line.at[0] == ' ' || line.at[0] == '\t')
    return refuse(head, 400, "a header line is folded");
  if (colon == line.len || name.len == 0 || !all_of(name, B_TOKEN))
    return refuse(head, 400, "a header line is not NAME: VALUE");
  if (++head->n_headers > HTTP_HEADERS_MAX)
    return refuse(head, 431, "there are too many headers");
  return header_known(head, bytes, name, text_trim(text_sub(line, colon + 1, line.len)));
}

/* --- The end of the head ---------------------------------------------------------------------- */
/* An absolute target must name the very host that Host names. */
static bool absolute_target_check(const struct http_head *head, const char *bytes)
{
  parley_text target = {bytes + head->target, head->target_len}, host = {bytes + head->host, head->host_len}, authority;

  if (target.at[0] == '/' || target.at[0] == '*')
    return true;
  authority = text_sub(target, text_find(target, ':') + 1, target.len);
  if (!text_starts(authority, "//"))
    return false;
  authority = text_sub(authority, 2, authority.len);
  for (size_t i = 0; i < authority.len; i++)
    if (authority.at[i] == '/' || authority.at[i] == '?')
      authority.len = i;
  return authority.len > 0 && head->has_host && text_eq_nocase(authority, host);
}

static bool head_finish(struct http_head *head, const char *bytes)
{
  if (!head->has_host && !head->http_1_0)
    return refuse(head, 400, "Host is missing");
  if (!absolute_target_check(head, bytes))
    return refuse(head, 400, "the target names another host");
  head->end = head->seen;
  return true;
}

/* One whole line without its CRLF. Sets end when it was the empty one. */
static bool line_take(struct http_head *head, const char *bytes, parley_text line)
{
  if (head->n_lines == 0 && line.len == 0 && head->start == 0) { /* one empty line before a request is forgiven */
    head->start = head->seen;
    return true;
  }
  if (head->n_lines++ == 0)
    return request_line(head, bytes, line);
  return line.len == 0 ? head_finish(head, bytes) : header_line(head, bytes, line);
}

/* Too long is told before the line is whole, so that a line without end is not waited for. */
static bool sizes_check(struct http_head *head)
{
  if (head->n_lines == 0 && head->seen - head->line > REQUEST_LINE_MAX)
    return refuse(head, 414, "the target is too long");
  if (head->seen - head->start > HTTP_HEAD_BYTES_MAX)
    return refuse(head, 431, "the head is too large");
  return true;
}

static bool first_byte_check(struct http_head *head, const char *bytes, size_t len)
{
  char c = len > head->start ? bytes[head->start] : 'G';

  if (head->n_lines > 0 || (c >= 'A' && c <= 'Z') || (head->start == 0 && c == '\r'))
    return true;
  return refuse(head, 400, "this is not HTTP");
}

/* A first line whose method already is too long for one. */
static bool method_length_check(struct http_head *head, const char *bytes)
{
  if (head->n_lines > 0 || head->seen - head->line <= HTTP_METHOD_BYTES_MAX)
    return true;
  if (memchr(bytes + head->line, ' ', HTTP_METHOD_BYTES_MAX + 1) != NULL)
    return true;
  return refuse(head, 400, "the method is not one");
}

/* A LF, or what follows a CR. */
static bool line_end_take(struct http_head *head, const char *bytes)
{
  bool after_cr = head->seen > head->line && bytes[head->seen - 1] == '\r';
  parley_text line = {bytes + head->line, head->seen - head->line - after_cr};

  if (after_cr != (bytes[head->seen++] == '\n'))
    return refuse(head, 400, after_cr ? "a CR stands alone" : "a LF stands alone");
  if (!method_length_check(head, bytes) || !line_take(head, bytes, line))
    return false;
  head->line = head->seen;
  return true;
}

/* The run of plain bytes up to `stop`, to a LF or to behind a CR. */
static bool run_take(struct http_head *head, const char *bytes, size_t stop)
{
  const unsigned char *at = (const unsigned char *)bytes;

  while (head->seen < stop && at[head->seen] != '\n' && (head->seen == head->line || at[head->seen - 1] != '\r')) {
    unsigned char c = at[head->seen];

    if ((c < 0x20 && c != '\t' && c != '\r') || c == 0x7f)
      return refuse(head, 400, "there is a control byte in the head");
    head->seen++;
  }
  return true;
}

/* How far to look before sizes are checked again: the same places however the bytes come in, so the verdict is the
 * same. */
static size_t scan_stop(const struct http_head *head, size_t len)
{
  size_t stop = head->start + HTTP_HEAD_BYTES_MAX + 1;

  if (head->n_lines == 0)
    stop =
        head->line + (head->seen - head->line <= HTTP_METHOD_BYTES_MAX ? HTTP_METHOD_BYTES_MAX : REQUEST_LINE_MAX) + 1;
  return stop < len ? stop : len;
}

enum http_head_state http_head_scan(struct http_head *head, const char *bytes, size_t len)
{
  while (head->seen < len) {
    size_t stop = scan_stop(head, len);

    if (!first_byte_check(head, bytes, len) || !run_take(head, bytes, stop))
      return HTTP_HEAD_REFUSED;
    if (head->seen < stop && !line_end_take(head, bytes))
      return HTTP_HEAD_REFUSED;
    if (head->end > 0)
      return HTTP_HEAD_DONE;
    if (!sizes_check(head) || !method_length_check(head, bytes))
      return HTTP_HEAD_REFUSED;
  }
  return HTTP_HEAD_MORE;
}
