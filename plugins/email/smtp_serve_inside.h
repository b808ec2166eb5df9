/* smtp_serve_inside.h - one connection of smtp_serve, for its own files: smtp_serve.c hears commands and bytes and says what is said,
 * smtp_serve_login.c has AUTH, smtp_serve_mail.c the envelope, the mail and its verdict. Contract: smtp_serve.h. */
#ifndef EMAIL_SMTP_SERVE_INSIDE_H
#define EMAIL_SMTP_SERVE_INSIDE_H
#include "smtp_body.h"
#include "smtp_login.h"
#include "smtp_serve.h"
#include "smtp_serve_wire.h"

enum { SMTP_SERVE_OUT_MAX = 8192 /* bytes of replies that leave together */ };
struct smtp_serve {
  const struct smtp_serve_config *config;
  const struct smtp_serve_owner *owner;
  void *arg;
  enum smtp_serve_state state;
  bool secured, greeted, logged_in, draining, skipping /* a line that is too long */, within_data;
  bool paused; /* until the owner has answered */
  uint32_t errors, failed_logins;
  int64_t heard_ms, mail_began_ms;
  struct smtp_login login;
  /* the mail under way */
  bool has_sender, smtputf8, chunked, chunk_last, chunk_refused;
  struct mail_address sender; /* len 0: null */
  struct mail_address *recipients;
  uint32_t n_recipients, n_asked;
  struct mail_address asked; /* the recipient that the owner looks at */
  struct smtp_body body;
  uint64_t chunk_left;
  size_t out_len;
  char out[SMTP_SERVE_OUT_MAX];
};

/* --- Saying: replies leave together, with flush ------------------------------------------------------------------- */
void smtp_serve_flush(struct smtp_serve *serve);
void smtp_serve_reply_add(struct smtp_serve *serve, const struct smtp_serve_reply *reply);
void smtp_serve_say(struct smtp_serve *serve, uint32_t code, uint32_t subject, uint32_t detail, const char *words);
/* Says it and ends the connection. */
void smtp_serve_leave(struct smtp_serve *serve, uint32_t code, uint32_t subject, uint32_t detail, const char *words);
/* A refused command: too many end the connection. */
void smtp_serve_refuse(struct smtp_serve *serve, uint32_t code, uint32_t subject, uint32_t detail, const char *words);
/* The owner is asked next; it has answered; what it was asked for is said: go on where the asking began. */
void smtp_serve_ask(struct smtp_serve *serve);
void smtp_serve_asked(struct smtp_serve *serve);
void smtp_serve_go_on(struct smtp_serve *serve);
bool smtp_serve_is_lmtp(const struct smtp_serve *serve);

/* --- AUTH --------------------------------------------------------------------------------------------------------- */
bool smtp_serve_takes_logins(const struct smtp_serve *serve); /* as the connection is now */
void smtp_serve_auth(struct smtp_serve *serve, parley_text argument);
void smtp_serve_login_line(struct smtp_serve *serve, parley_text line);
void smtp_serve_login_end(struct smtp_serve *serve); /* whatever became of it */

/* --- The mail ----------------------------------------------------------------------------------------------------- */
void smtp_serve_run_mail(struct smtp_serve *serve, parley_text argument);
void smtp_serve_run_rcpt(struct smtp_serve *serve, parley_text argument);
void smtp_serve_run_data(struct smtp_serve *serve, parley_text argument);
void smtp_serve_run_bdat(struct smtp_serve *serve, parley_text argument);
/* Both return the bytes used. */
size_t smtp_serve_data_bytes(struct smtp_serve *serve, parley_bytes bytes);
size_t smtp_serve_chunk_bytes(struct smtp_serve *serve, parley_bytes bytes);
void smtp_serve_forget(struct smtp_serve *serve); /* the mail under way */
#endif
