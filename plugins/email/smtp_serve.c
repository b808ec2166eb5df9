#include "smtp_serve.h"
#include "smtp_body.h"
#include "smtp_login.h"
#include "smtp_serve_wire.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
  OUT_MAX = 8192, /* replies that leave together */
  RECIPIENTS_STEP = 8
};

struct smtp_serve {
  const struct smtp_serve_config *config;
  const struct smtp_serve_owner *owner;
  void *arg;
  enum smtp_serve_state state;
  bool secured, greeted, logged_in, draining, skipping /* a line that is too long */, within_data;
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
  char out[OUT_MAX];
};

/* --- Saying ------------------------------------------------------------------------------------------------------- */
static void out_flush(struct smtp_serve *serve)
{
  size_t len = serve->out_len;

  serve->out_len = 0;
  if (len > 0 && serve->state != SMTP_SERVE_OVER)
    serve->owner->write((parley_bytes){serve->out, len}, serve->arg);
}

static void out_text(struct smtp_serve *serve, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void out_text(struct smtp_serve *serve, const char *format, ...)
{
  va_list args;
  int len;

  if (serve->out_len + SMTP_SERVE_TEXT_MAX + 64 > sizeof serve->out)
    out_flush(serve);
  va_start(args, format);
  len = vsnprintf(serve->out + serve->out_len, sizeof serve->out - serve->out_len, format, args);
  va_end(args);
  if (len > 0)
    serve->out_len += (size_t)len;
}

static void reply_out(struct smtp_serve *serve, const struct smtp_serve_reply *reply)
{
  char words[SMTP_SERVE_TEXT_MAX + 1];
  size_t n = reply->words.len < SMTP_SERVE_TEXT_MAX ? reply->words.len : SMTP_SERVE_TEXT_MAX;

  for (size_t i = 0; i < n; i++)
    words[i] = reply->words.at[i] >= ' ' && reply->words.at[i] < 0x7f ? reply->words.at[i] : '?';
  words[n] = '\0';
  if (reply->code / 100 == 3)
    out_text(serve, "%u %s\r\n", (unsigned)reply->code, words);
  else
    out_text(serve, "%u %u.%u.%u %s\r\n", (unsigned)reply->code, (unsigned)reply->code / 100, (unsigned)reply->subject,
             (unsigned)reply->detail, words);
}

static void say(struct smtp_serve *serve, uint32_t code, uint32_t subject, uint32_t detail, const char *words)
{
  const struct smtp_serve_reply reply = {
      .code = code, .subject = subject, .detail = detail, .words = parley_text_of(words)};

  reply_out(serve, &reply);
}

static void mail_forget(struct smtp_serve *serve)
{
  smtp_body_forget(&serve->body);
  serve->n_recipients = serve->n_asked = 0;
  serve->has_sender = serve->smtputf8 = serve->chunked = false;
}

/* Says it and ends the connection. */
static void leave(struct smtp_serve *serve, uint32_t code, uint32_t subject, uint32_t detail, const char *words)
{
  say(serve, code, subject, detail, words);
  out_flush(serve);
  serve->state = SMTP_SERVE_OVER;
  mail_forget(serve);
  serve->owner->close(false, serve->arg);
}

/* A refused command: too many end the connection. */
static void refuse(struct smtp_serve *serve, uint32_t code, uint32_t subject, uint32_t detail, const char *words)
{
  if (++serve->errors > SMTP_SERVE_ERRORS_MAX)
    leave(serve, 421, 7, 0, "too many errors");
  else
    say(serve, code, subject, detail, words);
}

static void ask_begin(struct smtp_serve *serve)
{
  serve->state = SMTP_SERVE_ASKING;
  out_flush(serve);
}

/* The owner has answered: go on where the asking began. Reading was stopped unless the answer comes within the
 * question. */
static void ask_end(struct smtp_serve *serve)
{
  serve->state = SMTP_SERVE_COMMANDS;
  serve->heard_ms = serve->owner->now_ms(serve->arg);
}

static void ask_went_on(struct smtp_serve *serve)
{
  if (serve->within_data)
    return;
  out_flush(serve);
  if (serve->state != SMTP_SERVE_OVER)
    serve->owner->reading(true, serve->arg);
}

/* --- Greeting and login ------------------------------------------------------------------------------------------- */
static bool is_lmtp(const struct smtp_serve *serve)
{
  return serve->config->protocol == SMTP_SERVE_LMTP;
}
static bool takes_logins(const struct smtp_serve *serve)
{
  return serve->config->protocol == SMTP_SERVE_SUBMISSION && (serve->secured || serve->config->clear_auth);
}

static void run_hello(struct smtp_serve *serve, enum smtp_verb verb, parley_text argument)
{
  parley_text host = serve->config->host;

  if (is_lmtp(serve) != (verb == SMTP_VERB_LHLO)) {
    refuse(serve, 500, 5, 1, is_lmtp(serve) ? "this is LMTP: say LHLO" : "this is SMTP: say EHLO");
    return;
  }
  if (argument.len == 0) {
    refuse(serve, 501, 5, 4, "say who you are: a host name");
    return;
  }
  mail_forget(serve);
  serve->greeted = true;
  if (verb == SMTP_VERB_HELO) {
    out_text(serve, "250 %.*s\r\n", (int)host.len, host.at);
    return;
  }
  out_text(serve,
           "250-%.*s\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-CHUNKING\r\n250-ENHANCEDSTATUSCODES\r\n",
           (int)host.len, host.at);
  if (serve->config->starttls && !serve->secured)
    out_text(serve, "250-STARTTLS\r\n");
  if (takes_logins(serve))
    out_text(serve, "250-AUTH PLAIN LOGIN\r\n");
  out_text(serve, "250 SIZE %llu\r\n", (unsigned long long)serve->config->mail_max);
}

static void run_starttls(struct smtp_serve *serve, parley_text argument)
{
  if (serve->secured) {
    refuse(serve, 503, 5, 1, "TLS stands already");
  } else if (!serve->config->starttls) {
    refuse(serve, 502, 5, 1, "no TLS here");
  } else if (argument.len > 0) {
    refuse(serve, 501, 5, 4, "STARTTLS takes no argument");
  } else {
    say(serve, 220, 0, 0, "go on");
    out_flush(serve);
    mail_forget(serve);
    serve->greeted = serve->logged_in = false;
    serve->state = SMTP_SERVE_SECURING;
    serve->owner->secure(0, serve->arg);
  }
}

static void login_end(struct smtp_serve *serve)
{
  smtp_login_end(&serve->login);
  if (serve->state == SMTP_SERVE_LOGIN)
    serve->state = SMTP_SERVE_COMMANDS;
}

static void login_line(struct smtp_serve *serve, parley_text line)
{
  parley_text user, password;

  switch (smtp_login_line(&serve->login, line, SMTP_SERVE_AUTH_LINE_MAX, &user, &password)) {
  case SMTP_LOGIN_WHOLE:
    ask_begin(serve);
    serve->owner->login(user, password, serve->arg);
    login_end(serve);
    break;
  case SMTP_LOGIN_ASKS:
    say(serve, 334, 0, 0, smtp_login_challenge(&serve->login));
    break;
  case SMTP_LOGIN_GIVEN_UP:
    login_end(serve);
    refuse(serve, 501, 7, 0, "given up");
    break;
  case SMTP_LOGIN_NO_BASE64:
    login_end(serve);
    refuse(serve, 501, 5, 2, "no base64");
    break;
  case SMTP_LOGIN_NO_PLAIN:
    login_end(serve);
    refuse(serve, 501, 5, 2, "PLAIN is: nothing, NUL, user, NUL, password");
    break;
  }
}

static void run_auth(struct smtp_serve *serve, parley_text argument)
{
  parley_text initial = argument, mechanism = smtp_word_cut(&initial);

  if (serve->config->protocol != SMTP_SERVE_SUBMISSION) {
    refuse(serve, 502, 5, 1, "no logins here");
  } else if (!takes_logins(serve)) {
    refuse(serve, 538, 7, 11, "a login needs TLS: STARTTLS first");
  } else if (!serve->greeted || serve->logged_in || serve->has_sender) {
    refuse(serve, 503, 5, 1, serve->logged_in ? "logged in already" : "not now");
  } else if (!smtp_word_is(mechanism, "PLAIN") && !smtp_word_is(mechanism, "LOGIN")) {
    refuse(serve, 504, 5, 4, "PLAIN or LOGIN");
  } else {
    serve->state = SMTP_SERVE_LOGIN;
    serve->login.step = smtp_word_is(mechanism, "PLAIN") ? SMTP_LOGIN_PLAIN : SMTP_LOGIN_USER;
    if (initial.len > 0)
      login_line(serve, parley_text_is(initial, "=") ? PARLEY_LIT("") : initial);
    else
      say(serve, 334, 0, 0, smtp_login_challenge(&serve->login));
  }
}

void smtp_serve_login(struct smtp_serve *serve, parley_status st)
{
  if (serve->state != SMTP_SERVE_ASKING)
    return;
  ask_end(serve);
  if (st == PARLEY_OK) {
    serve->logged_in = true;
    say(serve, 235, 7, 0, "welcome");
  } else if (parley_again(st)) {
    say(serve, 454, 7, 0, "logins cannot be checked just now");
  } else if (++serve->failed_logins >= SMTP_SERVE_LOGINS_MAX) {
    leave(serve, 421, 7, 0, "too many failed logins");
  } else {
    refuse(serve, 535, 7, 8, "no such key, or it may not send");
  }
  ask_went_on(serve);
}

/* --- The envelope ------------------------------------------------------------------------------------------------- */
static bool may_mail(struct smtp_serve *serve)
{
  if (serve->config->tls_needed && !serve->secured)
    refuse(serve, 530, 7, 0, "STARTTLS first");
  else if (!serve->greeted)
    refuse(serve, 503, 5, 1, is_lmtp(serve) ? "LHLO first" : "EHLO first");
  else if (serve->config->protocol == SMTP_SERVE_SUBMISSION && !serve->logged_in)
    refuse(serve, 530, 7, 0, "log in first: AUTH with an API key as password");
  else
    return true;
  return false;
}

static void run_mail(struct smtp_serve *serve, parley_text argument)
{
  struct smtp_mail_params params;
  struct smtp_path path;
  struct mail_address sender = {0};

  if (!may_mail(serve))
    return;
  if (serve->has_sender) {
    refuse(serve, 503, 5, 1, "one mail at a time: RSET first");
  } else if (!smtp_path_read(argument, "FROM:", &path)) {
    refuse(serve, 501, 5, 4, "MAIL FROM:<address>");
  } else if (!smtp_mail_params_read(path.params, &params)) {
    refuse(serve, 555, 5, 4, "SIZE, BODY=7BIT, BODY=8BITMIME and SMTPUTF8 are what MAIL may say");
  } else if (params.size > serve->config->mail_max) {
    refuse(serve, 552, 3, 4, "the mail is too large");
  } else if (path.text.len > 0 && mail_address_read(path.text, &sender) != PARLEY_OK) {
    refuse(serve, 553, 1, 7, "the sender is no address");
  } else if (sender.utf8 && !params.smtputf8) {
    refuse(serve, 553, 6, 7, "such an address needs SMTPUTF8");
  } else {
    serve->has_sender = true;
    serve->sender = sender;
    serve->smtputf8 = params.smtputf8;
    say(serve, 250, 1, 0, "ok");
  }
}

/* "postmaster" alone is the one address without a domain: RFC 5321 4.5.1. */
static bool recipient_read(const struct smtp_serve *serve, parley_text text, struct mail_address *ret)
{
  char full[MAIL_ADDRESS_MAX + 1];
  int len;

  if (!smtp_word_is(text, "POSTMASTER"))
    return mail_address_read(text, ret) == PARLEY_OK;
  len = snprintf(full, sizeof full, "postmaster@%.*s", (int)serve->config->host.len, serve->config->host.at);
  return len > 0 && (size_t)len < sizeof full && mail_address_read(parley_text_of(full), ret) == PARLEY_OK;
}

static void run_rcpt(struct smtp_serve *serve, parley_text argument)
{
  struct smtp_path path;

  if (!serve->has_sender) {
    refuse(serve, 503, 5, 1, "MAIL first");
  } else if (serve->chunked) {
    refuse(serve, 503, 5, 1, "the mail has begun");
  } else if (!smtp_path_read(argument, "TO:", &path)) {
    refuse(serve, 501, 5, 4, "RCPT TO:<address>");
  } else if (path.params.len > 0) {
    refuse(serve, 555, 5, 4, "RCPT takes nothing behind the address");
  } else if (!recipient_read(serve, path.text, &serve->asked)) {
    refuse(serve, 553, 1, 3, "the recipient is no address");
  } else if (serve->asked.utf8 && !serve->smtputf8) {
    refuse(serve, 553, 6, 7, "such an address needs SMTPUTF8");
  } else if (serve->n_recipients == SMTP_SERVE_RECIPIENTS_MAX) {
    say(serve, 452, 5, 3, "too many recipients: send the rest in another mail");
  } else {
    ask_begin(serve);
    serve->owner->recipient(mail_address_text(&serve->sender), &serve->asked, serve->n_asked++ == 0, serve->arg);
  }
}

static bool recipient_add(struct smtp_serve *serve)
{
  if (serve->n_recipients % RECIPIENTS_STEP == 0) {
    struct mail_address *more =
        realloc(serve->recipients, (serve->n_recipients + RECIPIENTS_STEP) * sizeof *serve->recipients);

    if (more == NULL)
      return false;
    serve->recipients = more;
  }
  serve->recipients[serve->n_recipients++] = serve->asked;
  return true;
}

void smtp_serve_recipient(struct smtp_serve *serve, const struct smtp_serve_reply *reply)
{
  if (serve->state != SMTP_SERVE_ASKING)
    return;
  ask_end(serve);
  if (reply->code / 100 == 2 && !recipient_add(serve))
    say(serve, 452, 3, 1, "no memory");
  else if (reply->code / 100 == 5 && ++serve->errors > SMTP_SERVE_ERRORS_MAX + SMTP_SERVE_RECIPIENTS_MAX)
    leave(serve, 421, 7, 0, "too many errors");
  else
    reply_out(serve, reply);
  ask_went_on(serve);
}

/* --- The mail's bytes --------------------------------------------------------------------------------------------- */
static void all_say(struct smtp_serve *serve, const struct smtp_serve_reply *reply)
{
  for (uint32_t i = 0; i < (is_lmtp(serve) ? serve->n_recipients : 1); i++)
    reply_out(serve, reply);
}

/* Its end was where only a lax reader sees one, or what is no mail for sure. */
static void mail_drop(struct smtp_serve *serve)
{
  const struct smtp_serve_reply reply = {
      .code = 550, .subject = 6, .words = PARLEY_LIT("lines of a mail end by CRLF alone")};

  all_say(serve, &reply);
  leave(serve, 421, 6, 0, "that was no end of a mail");
}

static void mail_hand_over(struct smtp_serve *serve)
{
  parley_text recipients[SMTP_SERVE_RECIPIENTS_MAX];
  struct smtp_serve_mail mail = {.return_path = mail_address_text(&serve->sender),
                                 .recipients = recipients,
                                 .n_recipients = serve->n_recipients,
                                 .smtputf8 = serve->smtputf8};

  for (uint32_t i = 0; i < serve->n_recipients; i++)
    recipients[i] = mail_address_text(&serve->recipients[i]);
  mail.raw = smtp_body_take(&serve->body, &mail.len);
  ask_begin(serve);
  serve->owner->mail(&mail, serve->arg);
}

static void mail_whole(struct smtp_serve *serve)
{
  static const struct smtp_serve_reply large = {
      .code = 552, .subject = 3, .detail = 4, .words = {"the mail is too large", 21}};
  static const struct smtp_serve_reply bare = {
      .code = 550, .subject = 6, .words = {"lines of a mail end by CRLF alone", 33}};
  static const struct smtp_serve_reply full = {.code = 452, .subject = 3, .detail = 1, .words = {"full: come again", 16}};

  serve->state = SMTP_SERVE_COMMANDS;
  if (!serve->body.too_large && !serve->body.no_room && !serve->body.bare) {
    mail_hand_over(serve);
    return;
  }
  all_say(serve, serve->body.too_large ? &large : serve->body.bare ? &bare : &full);
  mail_forget(serve);
}

static void run_data(struct smtp_serve *serve, parley_text argument)
{
  if (argument.len > 0) {
    refuse(serve, 501, 5, 4, "DATA takes no argument");
  } else if (serve->chunked) {
    refuse(serve, 503, 5, 1, "this mail comes by BDAT");
  } else if (serve->n_recipients == 0) {
    refuse(serve, 503, 5, 1, serve->has_sender ? "no recipient was taken" : "MAIL first");
  } else {
    say(serve, 354, 0, 0, "end by a dot alone in its line");
    serve->state = SMTP_SERVE_DATA;
    smtp_body_begin(&serve->body, serve->config->mail_max);
    serve->mail_began_ms = serve->owner->now_ms(serve->arg);
  }
}

static size_t data_bytes(struct smtp_serve *serve, parley_bytes bytes)
{
  size_t used;

  switch (smtp_body_data(&serve->body, bytes, &used)) {
  case SMTP_BODY_MORE: break;
  case SMTP_BODY_WHOLE: mail_whole(serve); break;
  case SMTP_BODY_BROKEN: mail_drop(serve); break;
  }
  return used;
}

/* --- BDAT (RFC 3030) ---------------------------------------------------------------------------------------------- */
static void chunk_done(struct smtp_serve *serve)
{
  bool refused = serve->chunk_refused, last = serve->chunk_last;

  serve->state = SMTP_SERVE_COMMANDS;
  if (refused) {
    refuse(serve, 503, 5, 1, "no recipient was taken");
    return;
  }
  if (!last) {
    say(serve, 250, 0, 0, "go on");
    return;
  }
  smtp_body_chunks_end(&serve->body);
  mail_whole(serve);
}

static void run_bdat(struct smtp_serve *serve, parley_text argument)
{
  uint64_t size;
  bool last;

  if (!smtp_bdat_read(argument, &size, &last)) {
    leave(serve, 501, 5, 4, "BDAT size [LAST]"); /* how many bytes to leave out nobody knows */
    return;
  }
  if (!serve->chunked) {
    serve->mail_began_ms = serve->owner->now_ms(serve->arg);
    smtp_body_begin(&serve->body, serve->config->mail_max);
  }
  serve->chunk_refused = serve->n_recipients == 0;
  serve->chunked = !serve->chunk_refused;
  serve->chunk_left = size;
  serve->chunk_last = last;
  serve->state = SMTP_SERVE_CHUNK;
  if (size == 0)
    chunk_done(serve);
}

static size_t chunk_bytes(struct smtp_serve *serve, parley_bytes bytes)
{
  size_t len = bytes.len < serve->chunk_left ? bytes.len : (size_t)serve->chunk_left;

  if (!serve->chunk_refused)
    smtp_body_chunk(&serve->body, (parley_bytes){bytes.at, len});
  serve->chunk_left -= len;
  if (serve->chunk_left == 0)
    chunk_done(serve);
  return len;
}

/* --- What became of it -------------------------------------------------------------------------------------------- */
/* One answer for all: whoever is told that it was kept looks after none of them any more. Those that were taken are known when they
 * come again. */
static const struct smtp_serve_reply *worst(const struct smtp_serve_reply *each, uint32_t n)
{
  const struct smtp_serve_reply *refused = NULL;

  for (uint32_t i = 0; i < n; i++) {
    if (each[i].code / 100 == 4)
      return &each[i];
    if (each[i].code / 100 == 5 && refused == NULL)
      refused = &each[i];
  }
  return refused != NULL ? refused : &each[0];
}

void smtp_serve_mail(struct smtp_serve *serve, const struct smtp_serve_reply *each, uint32_t n)
{
  if (serve->state != SMTP_SERVE_ASKING)
    return;
  ask_end(serve);
  if (is_lmtp(serve))
    for (uint32_t i = 0; i < n; i++)
      reply_out(serve, &each[i]);
  else
    reply_out(serve, worst(each, n));
  mail_forget(serve);
  if (serve->draining)
    leave(serve, 421, 3, 2, "closing: come again");
  ask_went_on(serve);
}

/* --- Lines -------------------------------------------------------------------------------------------------------- */
static void run(struct smtp_serve *serve, enum smtp_verb verb, parley_text argument)
{
  switch (verb) {
  case SMTP_VERB_EHLO:
  case SMTP_VERB_HELO:
  case SMTP_VERB_LHLO:
    run_hello(serve, verb, argument);
    break;
  case SMTP_VERB_STARTTLS:
    run_starttls(serve, argument);
    break;
  case SMTP_VERB_AUTH:
    run_auth(serve, argument);
    break;
  case SMTP_VERB_MAIL:
    run_mail(serve, argument);
    break;
  case SMTP_VERB_RCPT:
    run_rcpt(serve, argument);
    break;
  case SMTP_VERB_DATA:
    run_data(serve, argument);
    break;
  case SMTP_VERB_BDAT:
    run_bdat(serve, argument);
    break;
  case SMTP_VERB_RSET:
    mail_forget(serve);
    say(serve, 250, 0, 0, "ok");
    break;
  case SMTP_VERB_NOOP:
    say(serve, 250, 0, 0, "ok");
    break;
  case SMTP_VERB_HELP:
    say(serve, 214, 0, 0, "RFC 5321; this is Parley");
    break;
  case SMTP_VERB_QUIT:
    leave(serve, 221, 0, 0, "bye");
    break;
  case SMTP_VERB_VRFY:
  case SMTP_VERB_EXPN:
    refuse(serve, 502, 5, 1, "not here");
    break;
  case SMTP_VERB_NONE:
    refuse(serve, 500, 5, 2, "no such command");
    break;
  }
}

/* After these the client must wait: RFC 2920 3.1. */
static bool ends_group(enum smtp_verb verb)
{
  return verb == SMTP_VERB_EHLO || verb == SMTP_VERB_HELO || verb == SMTP_VERB_LHLO || verb == SMTP_VERB_STARTTLS ||
         verb == SMTP_VERB_AUTH || verb == SMTP_VERB_DATA;
}

static void command_line(struct smtp_serve *serve, parley_text line, bool followed)
{
  parley_text argument;
  enum smtp_verb verb;

  if (serve->draining && !serve->has_sender) {
    leave(serve, 421, 3, 2, "closing: come again");
    return;
  }
  verb = smtp_verb_read(line, &argument);
  if (followed && ends_group(verb))
    leave(serve, 503, 5, 1, "wait for the answer to this command");
  else
    run(serve, verb, argument);
}

static size_t line_max(const struct smtp_serve *serve)
{
  return serve->state == SMTP_SERVE_LOGIN || serve->config->protocol == SMTP_SERVE_SUBMISSION ? SMTP_SERVE_AUTH_LINE_MAX
                                                                                              : SMTP_SERVE_LINE_MAX;
}

static bool line_ok(const char *at, size_t len) /* with its CRLF */
{
  return len >= 2 && at[len - 2] == '\r' && memchr(at, '\r', len - 2) == NULL && memchr(at, '\0', len) == NULL;
}

static bool too_long(const struct smtp_serve *serve, const char *at, size_t len)
{
  bool auth = serve->state == SMTP_SERVE_LOGIN || (len > 5 && smtp_word_is((parley_text){at, 5}, "AUTH "));

  return len > (auth ? (size_t)SMTP_SERVE_AUTH_LINE_MAX : (size_t)SMTP_SERVE_LINE_MAX);
}

static void line_bad(struct smtp_serve *serve, const char *words)
{
  login_end(serve);
  refuse(serve, 500, 5, 2, words);
}

/* One line. Returns the bytes used; 0: it is not whole yet. */
static size_t line_bytes(struct smtp_serve *serve, parley_bytes bytes)
{
  const char *lf = memchr(bytes.at, '\n', bytes.len);
  size_t len = lf != NULL ? (size_t)(lf - bytes.at) + 1 : bytes.len;

  if (lf == NULL && !serve->skipping && len <= line_max(serve))
    return 0;
  if (lf == NULL) {
    serve->skipping = true;
    return len;
  }
  if (serve->skipping || too_long(serve, bytes.at, len)) {
    serve->skipping = false;
    line_bad(serve, "the line is too long");
  } else if (!line_ok(bytes.at, len)) {
    line_bad(serve, "a line ends by CRLF and has neither NUL nor CR");
  } else if (serve->state == SMTP_SERVE_LOGIN) {
    login_line(serve, (parley_text){bytes.at, len - 2});
  } else {
    command_line(serve, (parley_text){bytes.at, len - 2}, len < bytes.len);
  }
  return len;
}

/* --- Events ------------------------------------------------------------------------------------------------------- */
size_t smtp_serve_data(struct smtp_serve *serve, parley_bytes bytes)
{
  size_t i = 0, used = 1;

  if (serve->state == SMTP_SERVE_OVER)
    return bytes.len;
  serve->heard_ms = serve->owner->now_ms(serve->arg);
  serve->within_data = true;
  while (i < bytes.len && used > 0) {
    parley_bytes rest = {bytes.at + i, bytes.len - i};

    if (serve->state == SMTP_SERVE_DATA)
      used = data_bytes(serve, rest);
    else if (serve->state == SMTP_SERVE_CHUNK)
      used = chunk_bytes(serve, rest);
    else if (serve->state == SMTP_SERVE_COMMANDS || serve->state == SMTP_SERVE_LOGIN)
      used = line_bytes(serve, rest);
    else
      break;
    i += used;
  }
  serve->within_data = false;
  if (serve->state == SMTP_SERVE_OVER)
    return bytes.len;
  out_flush(serve);
  if (serve->state == SMTP_SERVE_ASKING)
    serve->owner->reading(false, serve->arg);
  return i;
}

void smtp_serve_opened(struct smtp_serve *serve, bool secured)
{
  bool again = serve->state == SMTP_SERVE_SECURING;

  serve->secured = secured;
  serve->heard_ms = serve->owner->now_ms(serve->arg);
  serve->state = SMTP_SERVE_COMMANDS;
  if (again)
    return;
  out_text(serve, "220 %.*s %s ready\r\n", (int)serve->config->host.len, serve->config->host.at,
           is_lmtp(serve) ? "LMTP" : "ESMTP");
  out_flush(serve);
}

void smtp_serve_closed(struct smtp_serve *serve)
{
  serve->state = SMTP_SERVE_OVER;
  mail_forget(serve);
}

void smtp_serve_sweep(struct smtp_serve *serve)
{
  int64_t now = serve->owner->now_ms(serve->arg);
  bool in_mail = serve->state == SMTP_SERVE_DATA || serve->state == SMTP_SERVE_CHUNK;

  if (serve->state == SMTP_SERVE_OVER || serve->state == SMTP_SERVE_ASKING)
    return;
  if (now - serve->heard_ms >= (in_mail ? SMTP_SERVE_BLOCK_MS : SMTP_SERVE_COMMAND_MS) ||
      (in_mail && now - serve->mail_began_ms >= SMTP_SERVE_MAIL_MS))
    leave(serve, 421, 4, 2, "too slow");
}

void smtp_serve_drain(struct smtp_serve *serve)
{
  serve->draining = true;
  if (serve->state == SMTP_SERVE_COMMANDS && !serve->has_sender)
    leave(serve, 421, 3, 2, "closing: come again");
}

enum smtp_serve_state smtp_serve_state(const struct smtp_serve *serve)
{
  return serve->state;
}

struct smtp_serve *smtp_serve_new(const struct smtp_serve_config *config, const struct smtp_serve_owner *owner,
                                  void *arg)
{
  struct smtp_serve *serve = calloc(1, sizeof *serve);

  if (serve == NULL)
    return NULL;
  serve->config = config;
  serve->owner = owner;
  serve->arg = arg;
  serve->body.ask = owner->room;
  serve->body.ask_arg = arg;
  serve->state = SMTP_SERVE_NEW;
  return serve;
}

void smtp_serve_free(struct smtp_serve **serve)
{
  if (*serve == NULL)
    return;
  mail_forget(*serve);
  smtp_login_end(&(*serve)->login);
  free((*serve)->recipients);
  free(*serve);
  *serve = NULL;
}
