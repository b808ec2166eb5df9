/* parley/ext/mailbox.h - "parley.mailbox/1": a channel that keeps what it was given, for people to look at. The plugin offers it,
 * the host shows it (`parley sink list`, GET /v1/channels/{name}/sink). What it holds is bounded and forgotten with the channel:
 * the message itself is in the host's store. */
#ifndef PARLEY_EXT_MAILBOX_H
#define PARLEY_EXT_MAILBOX_H
#include "../plugin.h"
#ifdef __cplusplus
extern "C" {
#endif
#define PARLEY_MAILBOX "parley.mailbox/1"

typedef struct parley_mail {
  uint32_t size, outcome;        /* what was settled for it: PARLEY_OUTCOME_ACCEPTED, DELIVERED or UNKNOWN */
  uint64_t number;               /* 1 is the first one it ever kept; never reused while the channel lives */
  int64_t at_ms;                 /* when it was kept */
  const parley_message *message; /* as submitted; attempt and resent tell copies of one message apart */
} parley_mail;

typedef struct parley_mail_query {
  uint32_t size, limit;   /* limit 0: only the counts */
  uint64_t before;        /* numbers below this one; 0: from the newest on */
  parley_text address;    /* only those to exactly this address; empty: all */
  parley_text message_id; /* only copies of this message; empty: all */
} parley_mail_query;

typedef struct parley_mail_page { /* lives until `done` returns */
  uint32_t size, n_mails;
  const parley_mail *const *mails; /* newest first */
  uint64_t next;                   /* `before` of the next page; 0: there is no more */
  uint64_t count, forgotten;       /* held now, whatever the query; given up so far, to stay within bounds */
} parley_mail_page;
typedef void parley_mail_done(const parley_mail_page *page, void *arg);

typedef struct parley_mailbox { /* the plugin's; all [loop], from create() until destroy() */
  uint64_t size;
  void (*list)(parley_channel *, const parley_mail_query *, parley_mail_done *done, void *arg); /* done: once, also from here */
  void (*clear)(parley_channel *); /* forgets all; numbers go on */
} parley_mailbox;
#ifdef __cplusplus
}
#endif
#endif
