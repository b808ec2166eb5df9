/* email_options.h - what the operator wrote for an e-mail channel: the table of options and what they come to.
 * Texts are borrowed from the option tree, which lives until destroy(), or are this struct's own. Thread: loop; read by any. */
#ifndef EMAIL_OPTIONS_H
#define EMAIL_OPTIONS_H
#include "email_listen.h"
#include "email_oauth.h"
#include "email_sender.h"
#include "event_read.h"
#include "imap.h"
#include "smtp_session.h"

enum { EMAIL_SESSIONS_MAX = 1000, EMAIL_HOST_MAX = 253, EMAIL_TOKEN_LEN = 29 /* parley_message.token */ };
struct email_options {
  struct email_senders senders;
  struct mail_address return_path; /* len 0: none, the address of from is */
  struct email_oauth_config oauth; /* with smtp.bearer */
  struct smtp_config smtp;
  struct email_accept_options accept;
  struct imap_options imap;
  bool sends;         /* smtp was given: else it takes in only */
  bool implicit_tls;  /* smtps: TLS from the first byte */
  uint32_t sessions;
  char server[EMAIL_HOST_MAX + 1];                   /* to connect to and to check the certificate against; no brackets */
  char address[EMAIL_HOST_MAX + sizeof "[]:65535"];  /* "host:port" */
  char helo[EMAIL_HOST_MAX + 3];
  bool traces[EVENT_PROVIDERS]; /* each mail has a header that this provider's events bring back */
};
extern const parley_option *const email_option_table[];
/* PARLEY_INVALID: *ret_why says which option and why (static, or within `to`). Either way email_options_done() is due. The result
 * points into itself: it may not be copied. */
parley_status email_options_read(const parley_value *options, struct email_options *to, const char **ret_why);
/* "host", "host:port" or "[::1]:port" into server, address and smtp.port. */
bool email_server_read(parley_text rest, uint32_t port, struct email_options *to);
bool email_server_is_loopback(const char *server);
void email_options_done(struct email_options *options);
#endif
