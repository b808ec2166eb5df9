#include "gateway_check.h"
#include <stdbool.h>
#include <string.h>
#include <strings.h>

static bool starts(parley_text text, const char *with)
{
  size_t len = strlen(with);

  return text.len >= len && memcmp(text.at, with, len) == 0;
}

static parley_text rest_of(parley_text text, size_t from)
{
  return (parley_text){text.at + from, text.len - from};
}

static bool is_control(char c)
{
  return (unsigned char)c < 0x20 || c == 0x7f;
}

static bool is_host_byte(char c)
{
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c != '\0' && strchr("-.:[]", c) != NULL);
}

/* What stands between {{ and }}, which takes *ret_len bytes; empty: no name begins here. */
static parley_text name_at(parley_text text, size_t *ret_len)
{
  size_t from = 2, to;

  *ret_len = 0;
  if (!starts(text, "{{"))
    return (parley_text){text.at, 0};
  while (from < text.len && text.at[from] == ' ')
    from++;
  for (to = from; to + 1 < text.len && !(text.at[to] == '}' && text.at[to + 1] == '}');)
    to++;
  *ret_len = to + 2 < text.len ? to + 2 : text.len;
  while (to > from && text.at[to - 1] == ' ')
    to--;
  return (parley_text){text.at + from, to - from};
}

/* host: behind the scheme; it ends with the path. */
static const char *host_fault(parley_text host)
{
  size_t at = 0, named;

  for (; at < host.len && strchr("/?#", host.at[at]) == NULL; at += named > 0 ? named : 1) {
    parley_text name = name_at(rest_of(host, at), &named);

    if (named > 0 && !parley_text_is(name, "account") && !parley_text_is(name, "user"))
      return "of names only {{account}} and {{user}} may stand in its host: our secret goes there";
    if (named == 0 && host.at[at] == '@')
      return "user and password stand in options of their own, not in the URL";
    if (named == 0 && !is_host_byte(host.at[at]))
      return "its host has letters, digits, - and . only, and perhaps a port";
  }
  return at == 0 ? "it has no host" : NULL;
}

const char *gateway_url_fault(parley_text url)
{
  bool tls = starts(url, "https://"), plain = starts(url, "http://");

  if (!tls && !plain)
    return "it begins with https:// (or http://)";
  for (size_t i = 0, named; i < url.len; i += named > 0 ? named : 1) {
    name_at(rest_of(url, i), &named);
    if (named == 0 && (url.at[i] == ' ' || is_control(url.at[i])))
      return "a URL has no spaces and control bytes: a space is written %20";
  }
  return host_fault(rest_of(url, tls ? 8 : 7));
}

const char *gateway_header_name_fault(const char *name)
{
  static const char *const ours[] = {"host", "content-length", "connection", "transfer-encoding", "expect", "te", "upgrade"};

  for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
    if (strcasecmp(name, ours[i]) == 0)
      return "host, content-length, connection, transfer-encoding, expect, te and upgrade are HTTP's own";
  for (const char *c = name; *c != '\0'; c++)
    if (*c <= ' ' || *c >= 0x7f || strchr("()<>@,;:\\\"/[]?={}", *c) != NULL)
      return "a header's name has letters, digits and - _ . only";
  return name[0] == '\0' ? "a header has a name" : NULL;
}

const char *gateway_header_value_fault(parley_text value)
{
  for (size_t i = 0; i < value.len; i++)
    if (is_control(value.at[i]))
      return "no line end or other control byte may stand in a header";
  return NULL;
}

const char *gateway_over_fault(parley_text over)
{
  for (size_t i = 0, named; i < over.len; i += named > 0 ? named : 1) {
    parley_text name = name_at(rest_of(over, i), &named);

    if (parley_text_is(name, "body") || parley_text_is(name, "query") || parley_text_is(name, "url") || starts(name, "field."))
      return NULL;
  }
  return "it covers nothing that is sent: {{body}}, {{query}}, {{url}} or {{field.NAME}} stands in it";
}
