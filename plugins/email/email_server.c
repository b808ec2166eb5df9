#include "email_server.h"
#include "mail_address.h"
#include <stdio.h>

static bool port_read(parley_text text, uint32_t *ret)
{
  uint32_t port = 0;

  if (text.len == 0 || text.len > 5)
    return false;
  for (size_t i = 0; i < text.len; i++) {
    if (text.at[i] < '0' || text.at[i] > '9')
      return false;
    port = port * 10 + (uint32_t)(text.at[i] - '0');
  }
  *ret = port;
  return port > 0 && port <= UINT16_MAX;
}

static bool scheme_cut(parley_text *url, const char *scheme)
{
  size_t len = strlen(scheme);

  if (url->len < len || memcmp(url->at, scheme, len) != 0)
    return false;
  url->at += len;
  url->len -= len;
  return true;
}

static bool host_ok(parley_text host, bool bracketed)
{
  for (size_t i = 0; bracketed && i < host.len; i++)
    if (strchr("0123456789abcdefABCDEF:.", host.at[i]) == NULL)
      return false;
  return host.len > 0 && host.len <= EMAIL_HOST_MAX;
}

/* "host", "host:port" or "[::1]:port" */
static bool address_read(parley_text rest, uint32_t port, struct email_server *to)
{
  bool bracketed = rest.len > 0 && rest.at[0] == '[';
  const char *end = rest.len > 0 ? memchr(rest.at, bracketed ? ']' : ':', rest.len) : NULL;
  size_t host_end = end != NULL ? (size_t)(end - rest.at) : rest.len, after = host_end + (bracketed && end != NULL),
         len;
  parley_text host = {rest.at + bracketed, host_end - bracketed};

  if ((bracketed && end == NULL) || !host_ok(host, bracketed))
    return false;
  if (after < rest.len &&
      (rest.at[after] != ':' || !port_read((parley_text){rest.at + after + 1, rest.len - after - 1}, &port)))
    return false;
  if (bracketed)
    snprintf(to->name, sizeof to->name, "%.*s", (int)host.len, host.at);
  else if (mail_domain_read(host, to->name, sizeof to->name, &len) != PARLEY_OK)
    return false;
  to->port = port;
  snprintf(to->address, sizeof to->address, bracketed ? "[%s]:%u" : "%s:%u", to->name, (unsigned)port);
  return true;
}

enum email_server_fault email_server_read(parley_text url, const struct email_server_schemes *schemes, struct email_server *to)
{
  to->implicit_tls = scheme_cut(&url, schemes->secure);
  if (!to->implicit_tls && !scheme_cut(&url, schemes->clear))
    return EMAIL_SERVER_SCHEME;
  if (url.len > 0 && url.at[url.len - 1] == '/')
    url.len--;
  if (url.len > 0 && memchr(url.at, '@', url.len) != NULL)
    return EMAIL_SERVER_LOGIN;
  return address_read(url, to->implicit_tls ? schemes->secure_port : schemes->clear_port, to) ? EMAIL_SERVER_OK : EMAIL_SERVER_ADDRESS;
}

bool email_server_is_loopback(const struct email_server *server)
{
  return strcmp(server->name, "localhost") == 0 || strcmp(server->name, "::1") == 0 || strncmp(server->name, "127.", 4) == 0;
}
