/* email_options.h - what the operator wrote for an e-mail channel: the table of options and what they come to.
 * Texts are borrowed from the option tree, which lives until destroy(), or are this struct's own. Thread: loop; read by any. */
#ifndef EMAIL_OPTIONS_H
#define EMAIL_OPTIONS_H
#include "email_listen.h"
#include "email_oauth.h"
#include "email_sender.h"
#include "email_server.h"
#include "event_read.h"
#include "imap.h"
#include "smtp_session.h"

enum { EMAIL_SESSIONS_MAX = 1000, EMAIL_TOKEN_LEN = 29 /* parley_message.token */ };
struct email_options {
  struct email_senders senders;
  struct mail_address return_path; /* len 0: none, the address of from is */
  struct email_oauth_config oauth; /* with smtp.bearer */
  struct smtp_config smtp;
  struct email_accept_options accept;
  struct imap_options imap;
  bool sends;         /* smtp was given: else it takes in only */
  uint32_t sessions;
  struct email_server server;
  char helo[EMAIL_HOST_MAX + 3];
  parley_text authserv_id; /* whose Authentication-Results are believed; empty: nobody's */
  bool traces[EVENT_PROVIDERS]; /* each mail has a header that this provider's events bring back */
};
extern const parley_option *const email_option_table[];
/* PARLEY_INVALID: *ret_why says which option and why (static, or within `to`). Either way email_options_done() is due. The result
 * points into itself: it may not be copied. */
parley_status email_options_read(const parley_value *options, struct email_options *to, const char **ret_why);
void email_options_done(struct email_options *options);
#endif
