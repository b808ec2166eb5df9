/* email_server.h - a mail server as an option names it, smtp://host:port or imaps://[::1]: whom to connect to, at which port, and
 * whether TLS stands from the first byte. Values in, values out. Thread: any. */
#ifndef EMAIL_SERVER_H
#define EMAIL_SERVER_H
#include <parley/plugin.h>
#include <stdbool.h>

enum { EMAIL_HOST_MAX = 253 };
struct email_server {
  char name[EMAIL_HOST_MAX + 1];                    /* to connect to and to check the certificate against; no brackets */
  char address[EMAIL_HOST_MAX + sizeof "[]:65535"]; /* "host:port" */
  uint32_t port;
  bool implicit_tls;
};
struct email_server_schemes { const char *clear, *secure; uint32_t clear_port, secure_port; }; /* "smtp://", "smtps://" */
enum email_server_fault { EMAIL_SERVER_OK, EMAIL_SERVER_SCHEME, EMAIL_SERVER_LOGIN /* within the URL */, EMAIL_SERVER_ADDRESS };
enum email_server_fault email_server_read(parley_text url, const struct email_server_schemes *schemes, struct email_server *to);
bool email_server_is_loopback(const struct email_server *server);
#endif
