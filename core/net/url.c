#include "url.h"
#include "core/base/buf.h"
#include "core/base/text.h"
#include <string.h>
#include <strings.h>

static const struct scheme {
  const char *name;
  enum url_scheme id;
  uint16_t port;
  bool tls;
} schemes[] = {
    {"http", URL_HTTP, 80, false},
    {"https", URL_HTTPS, 443, true},
    {"smtp", URL_SMTP, 25, false},
    {"smtps", URL_SMTPS, 465, true},
    {"imap", URL_IMAP, 143, false},
    {"imaps", URL_IMAPS, 993, true},
    {"smpp", URL_SMPP, 2775, false},
    {"smpps", URL_SMPPS, 3550, true},
};

static const struct scheme *scheme_find(enum url_scheme id)
{
  for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
    if (schemes[i].id == id)
      return &schemes[i];
  return &schemes[0];
}

bool url_tls(enum url_scheme scheme)
{
  return scheme_find(scheme)->tls;
}

static const char *scheme_take(parley_text *rest, struct url *url)
{
  size_t colon = text_find(*rest, ':');
  parley_text name = text_sub(*rest, 0, colon);

  if (colon == rest->len || name.len == 0)
    return "url_invalid";
  for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
    if (text_is_nocase(name, schemes[i].name)) {
      url->scheme = schemes[i].id;
      url->port = schemes[i].port;
      *rest = text_sub(*rest, colon + 1, rest->len);
      if (!text_starts(*rest, "//"))
        return "url_invalid";
      *rest = text_sub(*rest, 2, rest->len);
      return NULL;
    }
  return "scheme_not_allowed";
}

static const char *port_take(parley_text text, struct url *url)
{
  uint64_t port;

  if (text.len > 5 || !text_to_uint(text, UINT16_MAX, &port) || port == 0)
    return "port_invalid";
  url->port = (uint16_t)port;
  return NULL;
}

static bool name_byte(char c)
{
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

/* A name: labels of 1-63 letters, digits, '-' or '_', lowered into url->host. */
static const char *name_take(parley_text host, struct url *url)
{
  size_t label = 0;

  if (host.len > 1 && host.at[host.len - 1] == '.')
    host.len--;
  if (host.len > URL_HOST_MAX)
    return "host_too_long";
  for (size_t i = 0; i < host.len; i++) {
    char c = host.at[i];

    if (c >= 'A' && c <= 'Z')
      c = (char)(c | 0x20);
    if (c == '.' ? label == 0 : !name_byte(c))
      return "host_invalid";
    label = c == '.' ? 0 : label + 1;
    if (label > URL_LABEL_MAX)
      return "host_too_long";
    url->host[i] = c;
  }
  url->host[host.len] = '\0';
  return host.len == 0 || label == 0 ? "host_invalid" : NULL;
}

static const char *host_take(parley_text host, bool bracketed, struct url *url)
{
  char text[NET_ADDRESS_TEXT_MAX];

  if (bracketed) {
    url->v6 = url->numeric = true;
    if (!net_address_parse(host, 0, &url->address) || url->address.any.sa_family != AF_INET6)
      return "host_invalid";
  } else {
    const char *why = name_take(host, url);

    if (why != NULL)
      return why;
    if (!net_host_looks_numeric(host))
      return NULL;
    url->numeric = true;
    if (!net_address_numeric(host, 0, &url->address))
      return "host_invalid";
  }
  net_address_format(&url->address, false, text);
  memcpy(url->host, text, strlen(text) + 1);
  return NULL;
}

static const char *authority_take(parley_text authority, struct url *url)
{
  bool bracketed = authority.len > 0 && authority.at[0] == '[';
  parley_text host = authority, port = TEXT_EMPTY;
  const char *bad_host, *bad_port = NULL;
  size_t at;

  if (text_find(authority, '@') < authority.len)
    return "userinfo_not_allowed";
  if (bracketed) {
    at = text_find(authority, ']');
    if (at == authority.len)
      return "host_invalid";
    host = text_sub(authority, 1, at - 1);
    at++;
  } else {
    at = text_find(authority, ':');
    host = text_sub(authority, 0, at);
  }
  if (at < authority.len) {
    if (authority.at[at] != ':')
      return "host_invalid";
    port = text_sub(authority, at + 1, authority.len);
    bad_port = port_take(port, url);
  }
  bad_host = host_take(host, bracketed, url);
  if (url->numeric && bad_host == NULL)
    net_address_port_set(&url->address, url->port);
  return bad_host != NULL ? bad_host : bad_port;
}

static bool bytes_ok(parley_text text)
{
  for (size_t i = 0; i < text.len; i++)
    if (text.at[i] <= 0x20 || text.at[i] >= 0x7f || strchr("#\\\"<>^`{|}", text.at[i]) != NULL)
      return false;
  return text.len > 0;
}

parley_status url_parse(parley_text text, struct url *ret, const char **ret_why)
{
  struct url url = {0};
  parley_text rest = text;
  const char *why;
  size_t at = 0;

  if (text.len > URL_BYTES_MAX)
    why = "url_too_long";
  else if (!bytes_ok(text))
    why = "url_invalid";
  else
    why = scheme_take(&rest, &url);
  if (why == NULL) {
    while (at < rest.len && rest.at[at] != '/' && rest.at[at] != '?')
      at++;
    why = authority_take(text_sub(rest, 0, at), &url);
  }
  if (why != NULL) {
    *ret_why = why;
    return PARLEY_INVALID;
  }
  rest = text_sub(rest, at, rest.len);
  at = text_find(rest, '?');
  url.path = text_sub(rest, 0, at);
  url.query = text_sub(rest, at + 1, rest.len);
  if (url.path.len == 0)
    url.path = PARLEY_LIT("/");
  *ret = url;
  return PARLEY_OK;
}

void url_write(struct buf *buf, const struct url *url)
{
  const struct scheme *scheme = scheme_find(url->scheme);

  buf_printf(buf, url->v6 ? "%s://[%s]" : "%s://%s", scheme->name, url->host);
  if (url->port != scheme->port)
    buf_printf(buf, ":%u", url->port);
  buf_text(buf, url->path);
  if (url->query.len > 0) {
    buf_char(buf, '?');
    buf_text(buf, url->query);
  }
}

/* --- Percent encoding and queries ------------------------------------------------------------- */
static int hex_digit(char c)
{
  if (c >= '0' && c <= '9')
    return c - '0';
  if (c >= 'a' && c <= 'f')
    return c - 'a' + 10;
  if (c >= 'A' && c <= 'F')
    return c - 'A' + 10;
  return -1;
}

size_t url_decode(parley_text text, bool form, char *to)
{
  size_t len = 0;

  for (size_t i = 0; i < text.len; i++) {
    char c = text.at[i];

    if (c == '+' && form)
      c = ' ';
    if (c == '%') {
      int high = text.len - i > 2 ? hex_digit(text.at[i + 1]) : -1,
          low = text.len - i > 2 ? hex_digit(text.at[i + 2]) : -1;

      if (high < 0 || low < 0 || high + low == 0)
        return SIZE_MAX;
      c = (char)(high * 16 + low);
      i += 2;
    }
    to[len++] = c;
  }
  return len;
}

void url_encode(struct buf *buf, parley_text text)
{
  static const char hex[] = "0123456789ABCDEF";

  for (size_t i = 0; i < text.len; i++) {
    unsigned char c = (unsigned char)text.at[i];

    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
        (c != 0 && strchr("-._~", c) != NULL)) {
      buf_char(buf, (char)c);
    } else {
      buf_char(buf, '%');
      buf_char(buf, hex[c >> 4]);
      buf_char(buf, hex[c & 15]);
    }
  }
}

bool url_query_next(parley_text *rest, parley_text *ret_name, parley_text *ret_value)
{
  while (rest->len > 0) {
    parley_text pair = text_cut(rest, '&');
    size_t at = text_find(pair, '=');

    if (pair.len == 0)
      continue;
    *ret_name = text_sub(pair, 0, at);
    *ret_value = text_sub(pair, at + 1, pair.len);
    return true;
  }
  return false;
}
