/* smtp_serve_inside.h: the envelope, the mail's bytes and what became of it. */
#include "smtp_serve_inside.h"
#include "mail_word.h"
#include <stdio.h>
#include <stdlib.h>

enum { RECIPIENTS_STEP = 8 };

void smtp_serve_forget(struct smtp_serve *serve)
{
  smtp_body_forget(&serve->body);
  serve->n_recipients = serve->n_asked = 0;
  serve->has_sender = serve->smtputf8 = serve->chunked = false;
}

/* --- The envelope ------------------------------------------------------------------------------------------------- */
static bool may_mail(struct smtp_serve *serve)
{
  if (serve->config->tls_needed && !serve->secured)
    smtp_serve_refuse(serve, 530, 7, 0, "STARTTLS first");
  else if (!serve->greeted)
    smtp_serve_refuse(serve, 503, 5, 1, smtp_serve_is_lmtp(serve) ? "LHLO first" : "EHLO first");
  else if (serve->config->protocol == SMTP_SERVE_SUBMISSION && !serve->logged_in)
    smtp_serve_refuse(serve, 530, 7, 0, "log in first: AUTH with an API key as password");
  else
    return true;
  return false;
}

void smtp_serve_run_mail(struct smtp_serve *serve, parley_text argument)
{
  struct smtp_mail_params params;
  struct smtp_path path;
  struct mail_address sender = {0};

  if (!may_mail(serve))
    return;
  if (serve->has_sender) {
    smtp_serve_refuse(serve, 503, 5, 1, "one mail at a time: RSET first");
  } else if (!smtp_path_read(argument, "FROM:", &path)) {
    smtp_serve_refuse(serve, 501, 5, 4, "MAIL FROM:<address>");
  } else if (!smtp_mail_params_read(path.params, &params)) {
    smtp_serve_refuse(serve, 555, 5, 4, "SIZE, BODY=7BIT, BODY=8BITMIME and SMTPUTF8 are what MAIL may say");
  } else if (params.size > serve->config->mail_max) {
    smtp_serve_refuse(serve, 552, 3, 4, "the mail is too large");
  } else if (path.text.len > 0 && mail_address_read(path.text, &sender) != PARLEY_OK) {
    smtp_serve_refuse(serve, 553, 1, 7, "the sender is no address");
  } else if (sender.utf8 && !params.smtputf8) {
    smtp_serve_refuse(serve, 553, 6, 7, "such an address needs SMTPUTF8");
  } else {
    serve->has_sender = true;
    serve->sender = sender;
    serve->smtputf8 = params.smtputf8;
    smtp_serve_say(serve, 250, 1, 0, "ok");
  }
}

/* "postmaster" alone is the one address without a domain: RFC 5321 4.5.1. */
static bool recipient_read(const struct smtp_serve *serve, parley_text text, struct mail_address *ret)
{
  char full[MAIL_ADDRESS_MAX + 1];
  int len;

  if (!mail_word_is(text, "POSTMASTER"))
    return mail_address_read(text, ret) == PARLEY_OK;
  len = snprintf(full, sizeof full, "postmaster@%.*s", (int)serve->config->host.len, serve->config->host.at);
  return len > 0 && (size_t)len < sizeof full && mail_address_read(parley_text_of(full), ret) == PARLEY_OK;
}

void smtp_serve_run_rcpt(struct smtp_serve *serve, parley_text argument)
{
  struct smtp_path path;

  if (!serve->has_sender) {
    smtp_serve_refuse(serve, 503, 5, 1, "MAIL first");
  } else if (serve->chunked) {
    smtp_serve_refuse(serve, 503, 5, 1, "the mail has begun");
  } else if (!smtp_path_read(argument, "TO:", &path)) {
    smtp_serve_refuse(serve, 501, 5, 4, "RCPT TO:<address>");
  } else if (path.params.len > 0) {
    smtp_serve_refuse(serve, 555, 5, 4, "RCPT takes nothing behind the address");
  } else if (!recipient_read(serve, path.text, &serve->asked)) {
    smtp_serve_refuse(serve, 553, 1, 3, "the recipient is no address");
  } else if (serve->asked.utf8 && !serve->smtputf8) {
    smtp_serve_refuse(serve, 553, 6, 7, "such an address needs SMTPUTF8");
  } else if (serve->n_recipients == SMTP_SERVE_RECIPIENTS_MAX) {
    smtp_serve_say(serve, 452, 5, 3, "too many recipients: send the rest in another mail");
  } else {
    smtp_serve_ask(serve);
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
  smtp_serve_asked(serve);
  if (reply->code / 100 == 2 && !recipient_add(serve))
    smtp_serve_say(serve, 452, 3, 1, "no memory");
  else if (reply->code / 100 == 5 && ++serve->errors > SMTP_SERVE_ERRORS_MAX + SMTP_SERVE_RECIPIENTS_MAX)
    smtp_serve_leave(serve, 421, 7, 0, "too many errors");
  else
    smtp_serve_reply_add(serve, reply);
  smtp_serve_go_on(serve);
}

/* --- The mail's bytes --------------------------------------------------------------------------------------------- */
static void all_say(struct smtp_serve *serve, const struct smtp_serve_reply *reply)
{
  for (uint32_t i = 0; i < (smtp_serve_is_lmtp(serve) ? serve->n_recipients : 1); i++)
    smtp_serve_reply_add(serve, reply);
}

/* Its end was where only a lax reader sees one, or what is no mail for sure. */
static void mail_drop(struct smtp_serve *serve)
{
  const struct smtp_serve_reply reply = {
      .code = 550, .subject = 6, .words = PARLEY_LIT("lines of a mail end by CRLF alone")};

  all_say(serve, &reply);
  smtp_serve_leave(serve, 421, 6, 0, "that was no end of a mail");
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
  smtp_serve_ask(serve);
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
  smtp_serve_forget(serve);
}

void smtp_serve_run_data(struct smtp_serve *serve, parley_text argument)
{
  if (argument.len > 0) {
    smtp_serve_refuse(serve, 501, 5, 4, "DATA takes no argument");
  } else if (serve->chunked) {
    smtp_serve_refuse(serve, 503, 5, 1, "this mail comes by BDAT");
  } else if (serve->n_recipients == 0) {
    smtp_serve_refuse(serve, 503, 5, 1, serve->has_sender ? "no recipient was taken" : "MAIL first");
  } else {
    smtp_serve_say(serve, 354, 0, 0, "end by a dot alone in its line");
    serve->state = SMTP_SERVE_DATA;
    smtp_body_begin(&serve->body, serve->config->mail_max);
    serve->mail_began_ms = serve->owner->now_ms(serve->arg);
  }
}

size_t smtp_serve_data_bytes(struct smtp_serve *serve, parley_bytes bytes)
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
    smtp_serve_refuse(serve, 503, 5, 1, "no recipient was taken");
    return;
  }
  if (!last) {
    smtp_serve_say(serve, 250, 0, 0, "go on");
    return;
  }
  smtp_body_chunks_end(&serve->body);
  mail_whole(serve);
}

void smtp_serve_run_bdat(struct smtp_serve *serve, parley_text argument)
{
  uint64_t size;
  bool last;

  if (!smtp_bdat_read(argument, &size, &last)) {
    smtp_serve_leave(serve, 501, 5, 4, "BDAT size [LAST]"); /* how many bytes to leave out nobody knows */
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

size_t smtp_serve_chunk_bytes(struct smtp_serve *serve, parley_bytes bytes)
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
  smtp_serve_asked(serve);
  if (smtp_serve_is_lmtp(serve))
    for (uint32_t i = 0; i < n; i++)
      smtp_serve_reply_add(serve, &each[i]);
  else
    smtp_serve_reply_add(serve, worst(each, n));
  smtp_serve_forget(serve);
  if (serve->draining)
    smtp_serve_leave(serve, 421, 3, 2, "closing: come again");
  smtp_serve_go_on(serve);
}
