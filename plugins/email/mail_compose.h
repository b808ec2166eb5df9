/* mail_compose.h - a message into one RFC 5322 mail: text and HTML as multipart/alternative, media shown in the HTML by CID or
 * attached, headers encoded by RFC 2047 and 2231, all lines ended by CRLF, no line above 998 bytes. GMime does the writing.
 * The same message gives the same bytes in every attempt: the date is the message's, boundaries and Message-ID come from its id.
 * Bodies are 7-bit clean whatever the server offers; only an address that needs SMTPUTF8 makes 8-bit headers.
 * Thread: any, several at once. Headers are written by one function, which refuses control characters. */
#ifndef EMAIL_MAIL_COMPOSE_H
#define EMAIL_MAIL_COMPOSE_H
#include "mail_address.h"

enum { MAIL_ID_MAX = 320 /* bytes of a Message-ID without its brackets */ };
struct mail_composer;
struct mail_composer *mail_composer_new(void); /* never NULL: GLib aborts when memory ends */
void mail_composer_free(struct mail_composer **composer);

struct mail_source { /* all borrowed for the call */
  const struct mail_mailbox *from;
  const struct mail_address *to;
  const parley_message *message;
  const parley_bytes *media; /* NULL, or n_parts of them: the content of parts that came without data */
};
struct mail {
  char *at; /* mail_done() frees it */
  size_t len;
  bool eightbit;
  char id[MAIL_ID_MAX + 1]; /* the Message-ID without its brackets */
};
/* PARLEY_INVALID: nothing to send, or a subject or URL that no header can carry; *ret_why then says which (static). */
parley_status mail_compose(struct mail_composer *composer, const struct mail_source *source, struct mail *ret,
                           const char **ret_why);
void mail_done(struct mail *mail);
/* The Message-ID that mail_compose() gives; to: MAIL_ID_MAX + 1 bytes. */
void mail_id_write(const struct mail_source *source, char *to);
#endif
