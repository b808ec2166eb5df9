/* smtp_serve.h - the receiving side of one SMTP (RFC 5321), LMTP (RFC 2033) or submission (RFC 6409) connection as a state machine,
 * without its socket: stream events in; replies, STARTTLS and close out. PIPELINING, SIZE, 8BITMIME, SMTPUTF8, CHUNKING,
 * ENHANCEDSTATUSCODES; no VRFY, no EXPN.
 *
 * A mail ends by CRLF.CRLF or BDAT LAST alone. A bare CR or LF within it refuses the mail (550 5.6.0); where a laxer reader would see
 * its end, the connection ends as well: two mails never come out of one. What stands behind a command that must be the last of
 * its group (EHLO, STARTTLS, AUTH, DATA) ends the connection (503 5.5.1).
 *
 * The owner is asked about logins, recipients and mails, and answers now or later; what comes meanwhile stays with the stream, and
 * stops it from reading. A mail is answered with what the owner's verdicts say: one reply a recipient in LMTP, one in all else.
 * Owned by its owner, who calls smtp_serve_closed() when the stream is over. Thread: loop. Times: monotonic ms. */
#ifndef EMAIL_SMTP_SERVE_H
#define EMAIL_SMTP_SERVE_H
#include "mail_address.h"

enum {
  SMTP_SERVE_LINE_MAX = 2048,      /* bytes of a command, its CRLF included (12,288 of an AUTH answer: RFC 4954) */
  SMTP_SERVE_AUTH_LINE_MAX = 12288,
  SMTP_SERVE_RECIPIENTS_MAX = 100, /* of one mail */
  SMTP_SERVE_ERRORS_MAX = 20,      /* refused commands of one connection */
  SMTP_SERVE_LOGINS_MAX = 3,       /* failed logins of one connection */
  SMTP_SERVE_COMMAND_MS = 300000,  /* for the next command; RFC 5321 4.5.3.2.7 */
  SMTP_SERVE_BLOCK_MS = 180000,    /* for the next piece of a mail */
  SMTP_SERVE_MAIL_MS = 1800000,    /* for a whole mail */
  SMTP_SERVE_TEXT_MAX = 400        /* bytes of a reply's words */
};
enum smtp_serve_protocol { SMTP_SERVE_SMTP = 1, SMTP_SERVE_LMTP, SMTP_SERVE_SUBMISSION };
struct smtp_serve_config { /* borrowed, the same for every connection of a listener */
  enum smtp_serve_protocol protocol;
  parley_text host;       /* the name in the greeting */
  uint64_t mail_max;      /* bytes */
  bool starttls;          /* TLS can be had */
  bool clear_auth;        /* logins are taken without TLS: only on loopback */
  bool tls_needed;        /* no mail without TLS (530 5.7.0) */
};
/* A reply: code, enhanced status (5, 1, 1) and words. */
struct smtp_serve_reply { uint32_t code, subject, detail; parley_text words; };
struct smtp_serve_mail { /* borrowed for the call, but for `raw`, which becomes the owner's: free() it */
  parley_text return_path; /* empty: null sender */
  const parley_text *recipients; /* those that were taken */
  uint32_t n_recipients;
  bool smtputf8;
  char *raw;
  size_t len;
};
struct smtp_serve_owner {
  int64_t (*now_ms)(void *arg);
  void (*write)(parley_bytes bytes, void *arg);
  void (*reading)(bool on, void *arg);      /* whether more bytes are wanted */
  void (*secure)(size_t unused, void *arg); /* start TLS as server; opened() comes again */
  void (*close)(bool now, void *arg);
  /* A mail under way holds so many bytes instead of so many before. False: not so many more just now (452 4.3.1 at its end); fewer are
   * always granted. NULL: as many as mail_max. */
  bool (*room)(size_t before, size_t after, void *arg);
  /* Each is answered once by the function of the same name below, from within or later. The texts end with the call. */
  void (*login)(parley_text user, parley_text password, void *arg);      /* submission */
  void (*recipient)(parley_text from, const struct mail_address *to, bool first, void *arg); /* first: of this mail */
  void (*mail)(struct smtp_serve_mail *mail, void *arg);
};
enum smtp_serve_state { SMTP_SERVE_NEW, SMTP_SERVE_COMMANDS, SMTP_SERVE_LOGIN /* steps of AUTH */, SMTP_SERVE_DATA, SMTP_SERVE_CHUNK,
                        SMTP_SERVE_ASKING /* the owner */, SMTP_SERVE_SECURING, SMTP_SERVE_OVER };
struct smtp_serve;
/* NULL: no memory. */
struct smtp_serve *smtp_serve_new(const struct smtp_serve_config *config, const struct smtp_serve_owner *owner, void *arg);
void smtp_serve_free(struct smtp_serve **serve);
/* The stream's events. data() returns what it used. */
void smtp_serve_opened(struct smtp_serve *serve, bool secured);
size_t smtp_serve_data(struct smtp_serve *serve, parley_bytes bytes);
void smtp_serve_closed(struct smtp_serve *serve); /* an answer that comes later has no effect */
/* Call now and then: ends what is past its deadline (421 4.4.2). */
void smtp_serve_sweep(struct smtp_serve *serve);
/* No new mail (421 4.3.2 at the next command); one under way is finished. */
void smtp_serve_drain(struct smtp_serve *serve);
enum smtp_serve_state smtp_serve_state(const struct smtp_serve *serve);

/* The owner's answers. PARLEY_OK, DENIED (535), BUSY and RETRY (454). */
void smtp_serve_login(struct smtp_serve *serve, parley_status st);
void smtp_serve_recipient(struct smtp_serve *serve, const struct smtp_serve_reply *reply); /* 250 takes it */
/* each: one for each recipient of the mail, in their order. SMTP and submission: the first that asks for another try, else the
 * first refusal, else the first. */
void smtp_serve_mail(struct smtp_serve *serve, const struct smtp_serve_reply *each, uint32_t n);
#endif
