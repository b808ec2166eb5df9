#include "smtp_serve_inside.h"
#include "mail_word.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* --- Saying ------------------------------------------------------------------------------------------------------- */
void smtp_serve_flush(struct smtp_serve *serve)
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
    smtp_serve_flush(serve);
  va_start(args, format);
  len = vsnprintf(serve->out + serve->out_len, sizeof serve->out - serve->out_len, format, args);
  va_end(args);
  if (len > 0)
    serve->out_len += (size_t)len;
}

void smtp_serve_reply_add(struct smtp_serve *serve, const struct smtp_serve_reply *reply)
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

void smtp_serve_say(struct smtp_serve *serve, uint32_t code, uint32_t subject, uint32_t detail, const char *words)
{
  const struct smtp_serve_reply reply = {
      .code = code, .subject = subject, .detail = detail, .words = parley_text_of(words)};

  smtp_serve_reply_add(serve, &reply);
}

/* Says it and ends the connection. */
void smtp_serve_leave(struct smtp_serve *serve, uint32_t code, uint32_t subject, uint32_t detail, const char *words)
{
  smtp_serve_say(serve, code, subject, detail, words);
  smtp_serve_flush(serve);
  serve->state = SMTP_SERVE_OVER;
  smtp_serve_forget(serve);
  serve->owner->close(false, serve->arg);
}

/* A refused command: too many end the connection. */
void smtp_serve_refuse(struct smtp_serve *serve, uint32_t code, uint32_t subject, uint32_t detail, const char *words)
{
  if (++serve->errors > SMTP_SERVE_ERRORS_MAX)
    smtp_serve_leave(serve, 421, 7, 0, "too many errors");
  else
    smtp_serve_say(serve, code, subject, detail, words);
}

void smtp_serve_ask(struct smtp_serve *serve)
{
  serve->state = SMTP_SERVE_ASKING;
}

/* The owner has answered: go on where the asking began. */
void smtp_serve_asked(struct smtp_serve *serve)
{
  serve->state = SMTP_SERVE_COMMANDS;
  serve->heard_ms = serve->owner->now_ms(serve->arg);
}

void smtp_serve_go_on(struct smtp_serve *serve)
{
  if (serve->within_data)
    return;
  smtp_serve_flush(serve);
  if (serve->state == SMTP_SERVE_OVER || !serve->paused)
    return;
  serve->paused = false;
  serve->owner->reading(true, serve->arg);
}

bool smtp_serve_is_lmtp(const struct smtp_serve *serve)
{
  return serve->config->protocol == SMTP_SERVE_LMTP;
}

/* --- Greeting ----------------------------------------------------------------------------------------------------- */
static void run_hello(struct smtp_serve *serve, enum smtp_verb verb, parley_text argument)
{
  parley_text host = serve->config->host;

  if (smtp_serve_is_lmtp(serve) != (verb == SMTP_VERB_LHLO)) {
    smtp_serve_refuse(serve, 500, 5, 1, smtp_serve_is_lmtp(serve) ? "this is LMTP: say LHLO" : "this is SMTP: say EHLO");
    return;
  }
  if (argument.len == 0) {
    smtp_serve_refuse(serve, 501, 5, 4, "say who you are: a host name");
    return;
  }
  smtp_serve_forget(serve);
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
  if (smtp_serve_takes_logins(serve))
    out_text(serve, "250-AUTH PLAIN LOGIN\r\n");
  out_text(serve, "250 SIZE %llu\r\n", (unsigned long long)serve->config->mail_max);
}

static void run_starttls(struct smtp_serve *serve, parley_text argument)
{
  if (serve->secured) {
    smtp_serve_refuse(serve, 503, 5, 1, "TLS stands already");
  } else if (!serve->config->starttls) {
    smtp_serve_refuse(serve, 502, 5, 1, "no TLS here");
  } else if (argument.len > 0) {
    smtp_serve_refuse(serve, 501, 5, 4, "STARTTLS takes no argument");
  } else {
    smtp_serve_say(serve, 220, 0, 0, "go on");
    smtp_serve_flush(serve);
    smtp_serve_forget(serve);
    serve->greeted = serve->logged_in = false;
    serve->state = SMTP_SERVE_SECURING;
    serve->owner->secure(0, serve->arg);
  }
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
    smtp_serve_auth(serve, argument);
    break;
  case SMTP_VERB_MAIL:
    smtp_serve_run_mail(serve, argument);
    break;
  case SMTP_VERB_RCPT:
    smtp_serve_run_rcpt(serve, argument);
    break;
  case SMTP_VERB_DATA:
    smtp_serve_run_data(serve, argument);
    break;
  case SMTP_VERB_BDAT:
    smtp_serve_run_bdat(serve, argument);
    break;
  case SMTP_VERB_RSET:
    smtp_serve_forget(serve);
    smtp_serve_say(serve, 250, 0, 0, "ok");
    break;
  case SMTP_VERB_NOOP:
    smtp_serve_say(serve, 250, 0, 0, "ok");
    break;
  case SMTP_VERB_HELP:
    smtp_serve_say(serve, 214, 0, 0, "RFC 5321; this is Parley");
    break;
  case SMTP_VERB_QUIT:
    smtp_serve_leave(serve, 221, 0, 0, "bye");
    break;
  case SMTP_VERB_VRFY:
  case SMTP_VERB_EXPN:
    smtp_serve_refuse(serve, 502, 5, 1, "not here");
    break;
  case SMTP_VERB_NONE:
    smtp_serve_refuse(serve, 500, 5, 2, "no such command");
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
    smtp_serve_leave(serve, 421, 3, 2, "closing: come again");
    return;
  }
  verb = smtp_verb_read(line, &argument);
  if (followed && ends_group(verb))
    smtp_serve_leave(serve, 503, 5, 1, "wait for the answer to this command");
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
  bool auth = serve->state == SMTP_SERVE_LOGIN || (len > 5 && mail_word_is((parley_text){at, 5}, "AUTH "));

  return len > (auth ? (size_t)SMTP_SERVE_AUTH_LINE_MAX : (size_t)SMTP_SERVE_LINE_MAX);
}

static void line_bad(struct smtp_serve *serve, const char *words)
{
  smtp_serve_login_end(serve);
  smtp_serve_refuse(serve, 500, 5, 2, words);
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
    smtp_serve_login_line(serve, (parley_text){bytes.at, len - 2});
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
      used = smtp_serve_data_bytes(serve, rest);
    else if (serve->state == SMTP_SERVE_CHUNK)
      used = smtp_serve_chunk_bytes(serve, rest);
    else if (serve->state == SMTP_SERVE_COMMANDS || serve->state == SMTP_SERVE_LOGIN)
      used = line_bytes(serve, rest);
    else
      break;
    i += used;
  }
  serve->within_data = false;
  if (serve->state == SMTP_SERVE_OVER)
    return bytes.len;
  smtp_serve_flush(serve);
  if (serve->state == SMTP_SERVE_ASKING && i < bytes.len) { /* most clients wait for their answer, and need no pause */
    serve->paused = true;
    serve->owner->reading(false, serve->arg);
  }
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
           smtp_serve_is_lmtp(serve) ? "LMTP" : "ESMTP");
  smtp_serve_flush(serve);
}

void smtp_serve_closed(struct smtp_serve *serve)
{
  serve->state = SMTP_SERVE_OVER;
  smtp_serve_forget(serve);
}

void smtp_serve_sweep(struct smtp_serve *serve)
{
  int64_t now = serve->owner->now_ms(serve->arg);
  bool in_mail = serve->state == SMTP_SERVE_DATA || serve->state == SMTP_SERVE_CHUNK;

  if (serve->state == SMTP_SERVE_OVER || serve->state == SMTP_SERVE_ASKING)
    return;
  if (now - serve->heard_ms >= (in_mail ? SMTP_SERVE_BLOCK_MS : SMTP_SERVE_COMMAND_MS) ||
      (in_mail && now - serve->mail_began_ms >= SMTP_SERVE_MAIL_MS))
    smtp_serve_leave(serve, 421, 4, 2, "too slow");
}

void smtp_serve_drain(struct smtp_serve *serve)
{
  serve->draining = true;
  if (serve->state == SMTP_SERVE_COMMANDS && !serve->has_sender)
    smtp_serve_leave(serve, 421, 3, 2, "closing: come again");
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
  smtp_serve_forget(*serve);
  smtp_login_end(&(*serve)->login);
  free((*serve)->recipients);
  free(*serve);
  *serve = NULL;
}
