/* mail_compose.h - a message into one RFC 5322 mail: text and HTML as multipart/alternative, media shown in the HTML by CID or
 * attached, headers encoded by RFC 2047 and 2231, all lines ended by CRLF, no line above 998 bytes. GMime does the writing.
 * The same message gives the same bytes in every attempt: the date is the message's, boundaries and Message-ID come from its id.
 * Bodies are 7-bit clean whatever the server offers; only an address that needs SMTPUTF8 makes 8-bit headers.
 * Thread: any, several at once. Headers are written by one function, which refuses control characters.
 *
 * Beside content: Auto-Submitted (RFC 3834) on all but a person's answer, List-Id (RFC 2919) and List-Unsubscribe (RFC 2369, 8058) on
 * what has them, Feedback-ID (Gmail), References, and the message's token in Reply-To, the mailto of List-Unsubscribe and
 * X-Parley-Ref, by which an answer or a complaint finds its message again. */
#ifndef EMAIL_MAIL_COMPOSE_H
#define EMAIL_MAIL_COMPOSE_H
#include "mail_address.h"

enum {
  MAIL_ID_MAX = 320, /* bytes of a Message-ID without its brackets */
  MAIL_TOKEN_MAX = 29 /* of parley_message.token */
};
struct mail_composer;
struct mail_composer *mail_composer_new(void); /* never NULL: GLib aborts when memory ends */
void mail_composer_free(struct mail_composer **composer);

struct mail_source { /* all borrowed for the call */
  const struct mail_mailbox *from;
  const struct mail_address *to;
  const parley_message *message;
  const parley_bytes *media; /* NULL, or n_parts of them: the content of parts that came without data */
  const struct mail_mailbox *reply; /* NULL: none. Answers come to its local part, "+" and the token */
  size_t headroom;                  /* bytes to be left free before the mail, for signatures */
  const char *const *without;       /* names of headers that the sender may give, but that are written elsewhere */
  size_t n_without;
};
struct mail {
  char *block; /* mail_done() frees it; the mail stands at its end */
  char *at;
  size_t len;
  bool eightbit;
  char id[MAIL_ID_MAX + 1]; /* the Message-ID without its brackets */
};
/* PARLEY_INVALID: nothing to send, or a subject or URL that no header can carry; *ret_why then says which (static). */
parley_status mail_compose(struct mail_composer *composer, const struct mail_source *source, struct mail *ret,
                           const char **ret_why);
void mail_done(struct mail *mail);
/* Puts the text before the mail, into what is left of the headroom. */
bool mail_prepend(struct mail *mail, parley_text text);
/* Date, and the time of its signatures: that of the first hand-over, so that each attempt has the same bytes. */
int64_t mail_date_ms(const parley_message *message);
/* The Message-ID that mail_compose() gives; to: MAIL_ID_MAX + 1 bytes. */
void mail_id_write(const struct mail_source *source, char *to);
#endif
