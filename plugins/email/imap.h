/* imap.h - a hosted mailbox that a channel takes its mail from: the socket under imap_session, reconnecting, and the durable place up
 * to which mail was taken. Each mail goes to mail_take; the place moves when that says committed, so that nothing is lost; what is
 * fetched a second time (a crash before, or a mailbox that was numbered anew) is told by its Message-ID and content, so that nothing
 * is taken twice. A mail that can never be taken is passed over, told and counted, and stays where it is.
 *
 * Met for the first time, a mailbox gives its unread mail, and then whatever arrives. Numbered anew (UIDVALIDITY), it is looked through
 * from two days before the newest mail that was taken.
 * Owns its connection and the mail that is being fetched: one at a time, beside IMAP_TAKING_BYTES of those that were handed over.
 * Thread: loop. */
#ifndef EMAIL_IMAP_H
#define EMAIL_IMAP_H
#include "email_oauth.h"
#include "email_server.h"
#include "imap_session.h"
#include "mail_take.h"
#include <parley/ext/stream.h>

enum {
  IMAP_BATCH_MAX = 50,          /* mails between two moves of the place */
  IMAP_TAKING_MAX = 8,          /* mails handed over and not yet committed */
  IMAP_TAKING_BYTES = 8 << 20,  /* with so many bytes of them no other mail is begun */
  IMAP_LIST_MAX = 20000,        /* UIDs asked for at once in a large mailbox */
  IMAP_REFUSED_MAX = 3,         /* times the server refuses to give a mail before it is passed over */
  IMAP_LOST_MAX = 10,           /* connections lost over one mail before it is passed over */
  IMAP_AGAIN_MAX = 20          /* times one mail cannot be taken while others can, likewise */
};
struct imap_options { /* texts are the option tree's, or its own: it may not be copied */
  bool on;
  struct imap_config session;
  struct email_server server;
};
extern const parley_option email_option_imap;
/* user and password: the channel's, for a mailbox without its own. oauth: the channel logs in by it. NULL, or what is wrong. */
const char *imap_options_read(const parley_value *options, parley_text user, parley_text password, bool oauth,
                              struct imap_options *to);

struct imap_parts { /* all borrowed, outlive it */
  const parley_host *host;
  const parley_stream *stream;
  struct mail_taker *taker;
  const struct imap_options *options;
  struct email_oauth *oauth; /* with session.bearer */
  /* PARLEY_UP, or DOWN or DEGRADED with cause and remedy: when it changes. */
  void (*health)(uint32_t level, parley_text cause, parley_text remedy, void *arg);
  void *arg;
};
struct imap;
/* NULL: no memory. Begins at once. */
struct imap *imap_new(const struct imap_parts *parts);
/* The access token is there, or cannot be had. */
void imap_token_got(struct imap *imap);
void imap_token_failed(struct imap *imap, bool for_good, parley_text why);
/* What is being taken is finished; nothing else is begun. */
void imap_drain(struct imap *imap);
/* Ends the connection; then over(arg), once, maybe from here. */
void imap_stop(struct imap *imap, parley_call *over, void *arg);
/* PARLEY_UP, or what is wrong. 0: it has not been logged in yet. */
uint32_t imap_level(const struct imap *imap, parley_text *ret_cause);
/* After the host has completed every call. */
void imap_free(struct imap **imap);
#endif
