/* The section `server` of the configuration. */
#include "conf_read.h"
#include "core/base/text.h"
#include "file.h"
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define PEM_BYTES_MAX ((size_t)1 << 20)
#define KEY_BYTES_MIN 8
#define KEY_BYTES_MAX 256
#define PORT_MAX 65535

static bool is_address(parley_text host, int family, unsigned char to[16])
{
  char text[INET6_ADDRSTRLEN + 1];

  if (host.len == 0 || host.len > INET6_ADDRSTRLEN)
    return false;
  memcpy(text, host.at, host.len);
  text[host.len] = '\0';
  return strlen(text) == host.len && inet_pton(family, text, to) == 1;
}

/* "127.0.0.1:8080" or "[::1]:8080". */
static bool listen_split(parley_text text, parley_text *ret_host, uint64_t *ret_port)
{
  unsigned char address[16];
  size_t colon = text.len;
  parley_text host;

  while (colon > 0 && text.at[colon - 1] != ':')
    colon--;
  if (colon == 0 || !text_to_uint(text_sub(text, colon, SIZE_MAX), UINT64_MAX, ret_port))
    return false;
  host = text_sub(text, 0, colon - 1);
  if (host.len > 2 && host.at[0] == '[' && host.at[host.len - 1] == ']') {
    host = text_sub(host, 1, host.len - 2);
    *ret_host = host;
    return is_address(host, AF_INET6, address);
  }
  *ret_host = host;
  return is_address(host, AF_INET, address);
}

static void read_listen(struct conf_reader *r, const struct yaml_node *node, const struct conf_field *field, void *to)
{
  struct conf_server *server = &r->conf->server;
  parley_text text = TEXT_EMPTY, host;
  uint64_t port;

  conf_read_text(r, node, field, &text);
  if (text.len == 0)
    return;
  if (!listen_split(text, &host, &port)) {
    conf_error(r, node, "%s is no address and port, such as 127.0.0.1:8080 or [::1]:8080", conf_shown(r, node));
  } else if (port > PORT_MAX) {
    conf_error(r, node, "port %llu is out of range: 0 to %d", (unsigned long long)port, PORT_MAX);
  } else {
    *(parley_text *)to = text;
    server->listen_host = arena_text(r->arena, host);
    server->listen_port = (uint16_t)port;
  }
}

static void read_cert(struct conf_reader *r, const struct yaml_node *node, const struct conf_field *field, void *to)
{
  struct buf pem = BUF_INIT(PEM_BYTES_MAX), why = BUF_INIT(0);
  struct conf_server *server = to;
  parley_text path = TEXT_EMPTY;

  conf_read_path(r, node, field, &path);
  if (path.len > 0 && file_read(path.at, PEM_BYTES_MAX, S_IWOTH, &pem, &why) != PARLEY_OK)
    conf_error(r, node, "%s: %s", conf_shown(r, node), why.at);
  else if (path.len > 0 && text_find_text(buf_as_text(&pem), PARLEY_LIT("-----BEGIN CERTIFICATE-----")) == SIZE_MAX)
    conf_error(r, node, "%s holds no certificate in PEM form", conf_shown(r, node));
  else if (path.len > 0) {
    server->tls_cert_path = path;
    server->tls_cert_pem = arena_text(r->arena, buf_as_text(&pem));
  }
  buf_done(&pem);
  buf_done(&why);
}

static void read_tls_key(struct conf_reader *r, const struct yaml_node *node, const struct conf_field *field, void *to)
{
  struct conf_server *server = to;
  struct buf dropped = BUF_INIT(0);

  (void)field;
  if (secret_read(r->file, node, r->path.at, SECRET_PEM, r->secrets, &server->tls_key_pem,
                  r->errors < CONF_ERRORS_MAX ? r->why : &dropped) != PARLEY_OK)
    r->errors++;
  buf_done(&dropped);
}

static void read_tls(struct conf_reader *r, const struct yaml_node *node, const struct conf_field *field, void *to)
{
  static const struct conf_field fields[] = {{.name = "cert", .read = read_cert, .required = true, .example = "cert: tls.crt"},
                                             {.name = "key", .read = read_tls_key, .required = true,
                                              .example = "key: { file: tls.key }"},
                                             {.name = NULL}};

  (void)field;
  conf_read_mapping(r, node, fields, to);
}

/* --- Keys ---------------------------------------------------------------------------------------------------------------- */

static void read_scopes(struct conf_reader *r, const struct yaml_node *node, const struct conf_field *field, void *to)
{
  uint32_t *scopes = to, bit;

  (void)field;
  if (node->kind != YAML_IS_SEQUENCE || node->count == 0) {
    conf_error(r, node, "must be a list such as [messages:send, messages:read] or [admin], not %s",
               node->kind == YAML_IS_SEQUENCE ? "an empty one" : conf_shown(r, node));
    return;
  }
  for (size_t i = 0; i < node->count; i++) {
    const struct yaml_node *item = node->items[i];
    const char *nearest;

    if (item->kind == YAML_IS_TEXT && scope_parse(item->text, &bit)) {
      *scopes |= bit;
      continue;
    }
    nearest = item->kind == YAML_IS_TEXT ? text_nearest(item->text, scope_names()) : NULL;
    conf_error(r, item, "%s is no scope%s%s%s", conf_shown(r, item), nearest ? ": did you mean '" : "", nearest ? nearest : "",
               nearest ? "'?" : "; such as messages:send, events:read or admin");
  }
}

static void read_key_secret(struct conf_reader *r, const struct yaml_node *node, const struct conf_field *field, void *to)
{
  parley_text secret = TEXT_EMPTY;

  conf_read_secret(r, node, field, &secret);
  if (secret.len == 0)
    return;
  if (secret.len < KEY_BYTES_MIN || secret.len > KEY_BYTES_MAX)
    conf_error(r, node, "a key's secret has %d to %d characters", KEY_BYTES_MIN, KEY_BYTES_MAX);
  for (size_t i = 0; i < secret.len; i++) {
    if (secret.at[i] > ' ' && secret.at[i] < 0x7f)
      continue;
    conf_error(r, node, "a key's secret has visible ASCII only, no spaces: it goes into a header");
    break;
  }
  *(parley_text *)to = secret;
}

static void read_mode(struct conf_reader *r, const struct yaml_node *node, const struct conf_field *field, void *to)
{
  int mode = 0;

  conf_read_choice(r, node, field, &mode);
  *(bool *)to = mode == 1;
}

static void key_item(struct conf_reader *r, const struct yaml_node *node, void *item)
{
  static const char *const modes[] = {"live", "test", NULL};
  static const struct conf_field fields[] = {
      {.name = "name", .read = conf_read_name, .offset = offsetof(struct conf_key, name), .required = true},
      {.name = "secret", .read = read_key_secret, .offset = offsetof(struct conf_key, secret), .required = true,
       .example = "secret: { env: PARLEY_KEY }"},
      {.name = "scopes", .read = read_scopes, .offset = offsetof(struct conf_key, scopes), .required = true,
       .example = "scopes: [admin]"},
      {.name = "mode", .read = read_mode, .offset = offsetof(struct conf_key, test), .words = modes},
      {.name = "topic", .read = conf_read_name, .offset = offsetof(struct conf_key, topic)},
      {.name = NULL}};

  conf_read_mapping(r, node, fields, item);
}

static void read_keys(struct conf_reader *r, const struct yaml_node *node, const struct conf_field *field, void *to)
{
  struct conf_server *server = to;

  (void)field;
  server->keys = conf_read_list(r, node, sizeof(*server->keys), key_item, &server->n_keys);
  for (size_t i = 0; i < server->n_keys; i++) {
    for (size_t j = 0; j < i; j++) {
      if (server->keys[i].name.len > 0 && text_eq(server->keys[i].name, server->keys[j].name))
        conf_error(r, node->items[i], "two keys have the name '%.*s'", TEXT_ARG(server->keys[i].name));
      if (server->keys[i].secret.len > 0 && text_eq(server->keys[i].secret, server->keys[j].secret))
        conf_error(r, node->items[i], "this key has the same secret as the key in line %u", node->items[j]->line);
    }
  }
}

/* --- Egress and origins -------------------------------------------------------------------------------------------------- */

/* Bits behind the prefix must be zero: "10.1.2.3/8" is more likely a slip than a net. */
static bool is_cidr(parley_text text)
{
  unsigned char address[16];
  parley_text bits = text, host = text_cut(&bits, '/');
  bool v4 = is_address(host, AF_INET, address), v6 = !v4 && is_address(host, AF_INET6, address);
  uint64_t all = v4 ? 32 : 128, count = all;

  if ((!v4 && !v6) || (host.len < text.len && !text_to_uint(bits, all, &count)))
    return false;
  for (uint64_t bit = count; bit < all; bit++)
    if ((address[bit / 8] & (0x80 >> bit % 8)) != 0)
      return false;
  return true;
}

static bool is_ports(parley_text text)
{
  parley_text last = text, first = text_cut(&last, '-');
  uint64_t from, to;

  if (!text_to_uint(first, PORT_MAX, &from) || from == 0)
    return false;
  return first.len == text.len || (text_to_uint(last, PORT_MAX, &to) && to >= from);
}

static bool is_origin(parley_text text)
{
  return conf_is_url(text, CONF_URL_ORIGIN);
}

static void read_allow(struct conf_reader *r, const struct yaml_node *node, const struct conf_field *field, void *to)
{
  struct conf_server *server = to;

  (void)field;
  server->egress_allow = conf_read_texts(r, node, is_cidr, "net such as 10.0.0.0/8 or ::1", &server->n_egress_allow);
}

static void read_proxies(struct conf_reader *r, const struct yaml_node *node, const struct conf_field *field, void *to)
{
  struct conf_server *server = to;

  (void)field;
  server->proxies = conf_read_texts(r, node, is_cidr, "net such as 10.0.0.0/8 or ::1", &server->n_proxies);
}

static void read_ports(struct conf_reader *r, const struct yaml_node *node, const struct conf_field *field, void *to)
{
  struct conf_server *server = to;

  (void)field;
  server->egress_ports = conf_read_texts(r, node, is_ports, "port (1 to 65535) or range such as 8000-9999", &server->n_egress_ports);
}

static void read_egress(struct conf_reader *r, const struct yaml_node *node, const struct conf_field *field, void *to)
{
  static const struct conf_field fields[] = {{.name = "allow", .read = read_allow},
                                             {.name = "ports", .read = read_ports},
                                             {.name = NULL}};

  (void)field;
  conf_read_mapping(r, node, fields, to);
}

static void read_origins(struct conf_reader *r, const struct yaml_node *node, const struct conf_field *field, void *to)
{
  struct conf_server *server = to;

  (void)field;
  server->origins = conf_read_texts(r, node, is_origin, "origin such as https://desk.example", &server->n_origins);
}

/* --- The section --------------------------------------------------------------------------------------------------------- */

#define LIMIT(member) .name = #member, .offset = offsetof(struct conf_limits, member)
#define LIMIT_MS(member) .name = #member, .offset = offsetof(struct conf_limits, member##_ms)
static void read_limits(struct conf_reader *r, const struct yaml_node *node, const struct conf_field *field, void *to)
{
  static const struct conf_field fields[] = {
      {LIMIT(body_bytes), .read = conf_read_size, .min = 1024, .max = INT64_C(1) << 30},
      {LIMIT(header_bytes), .read = conf_read_size32, .min = 1024, .max = 1 << 20},
      {LIMIT(headers), .read = conf_read_u32, .min = 10, .max = 1000},
      {LIMIT(connections), .read = conf_read_u32, .min = 1, .max = 1000000},
      {LIMIT(in_flight), .read = conf_read_u32, .min = 1, .max = 1000},
      {LIMIT_MS(header_timeout), .read = conf_read_span32, .min = 100, .max = 3600000},
      {LIMIT_MS(body_timeout), .read = conf_read_span32, .min = 100, .max = 3600000},
      {LIMIT_MS(idle_timeout), .read = conf_read_span32, .min = 100, .max = 86400000},
      {.name = NULL}};

  (void)field;
  conf_read_mapping(r, node, fields, to);
}

static const struct conf_server server_defaults = {
    .listen = {"127.0.0.1:8080", 14},
    .listen_host = {"127.0.0.1", 9},
    .listen_port = 8080,
    .tls_cert_path = {"", 0},
    .tls_cert_pem = {"", 0},
    .tls_key_pem = {"", 0},
    .public_url = {"", 0},
    .drain_ms = 10000,
    .limits = {.body_bytes = 10 << 20, .header_bytes = 16 << 10, .headers = 100, .connections = 10000, .in_flight = 32,
               .header_timeout_ms = 10000, .body_timeout_ms = 60000, .idle_timeout_ms = 75000},
};

void conf_read_server(struct conf_reader *r, const struct yaml_node *node, const struct conf_field *field, void *to)
{
  static const struct conf_field fields[] = {
      {.name = "listen", .read = read_listen, .offset = offsetof(struct conf_server, listen)},
      {.name = "tls", .read = read_tls},
      {.name = "public_url", .read = conf_read_url, .offset = offsetof(struct conf_server, public_url), .first = CONF_URL_BASE},
      {.name = "keys", .read = read_keys},
      {.name = "egress", .read = read_egress},
      {.name = "origins", .read = read_origins},
      {.name = "proxies", .read = read_proxies},
      {.name = "drain", .read = conf_read_span32, .offset = offsetof(struct conf_server, drain_ms), .max = 3600000},
      {.name = "limits", .read = read_limits, .offset = offsetof(struct conf_server, limits)},
      {.name = NULL}};

  (void)field;
  conf_read_mapping(r, node, fields, to);
}

void conf_server_default(struct conf_server *server)
{
  *server = server_defaults;
}

/* Where nothing is said of public_url, it is the address we listen on; "any address" is shown as localhost. */
void conf_server_finish(struct conf_reader *r)
{
  struct conf_server *server = &r->conf->server;
  const char *scheme = server->tls_cert_pem.len > 0 ? "https" : "http";
  struct buf url = BUF_INIT(0);

  if (server->public_url.len > 0) {
    while (server->public_url.at[server->public_url.len - 1] == '/')
      server->public_url.len--;
    server->public_url = arena_text(r->arena, server->public_url);
    return;
  }
  if (parley_text_is(server->listen_host, "0.0.0.0") || parley_text_is(server->listen_host, "::"))
    buf_printf(&url, "%s://localhost:%u", scheme, server->listen_port);
  else
    buf_printf(&url, "%s://%.*s", scheme, TEXT_ARG(server->listen));
  server->public_url = arena_text(r->arena, buf_as_text(&url));
  buf_done(&url);
}
