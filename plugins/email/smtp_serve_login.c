/* smtp_serve_inside.h: AUTH (RFC 4954). */
#include "smtp_serve_inside.h"
#include "mail_word.h"

bool smtp_serve_takes_logins(const struct smtp_serve *serve)
{
  return serve->config->protocol == SMTP_SERVE_SUBMISSION && (serve->secured || serve->config->clear_auth);
}

void smtp_serve_login_end(struct smtp_serve *serve)
{
  smtp_login_end(&serve->login);
  if (serve->state == SMTP_SERVE_LOGIN)
    serve->state = SMTP_SERVE_COMMANDS;
}

void smtp_serve_login_line(struct smtp_serve *serve, parley_text line)
{
  parley_text user, password;

  switch (smtp_login_line(&serve->login, line, SMTP_SERVE_AUTH_LINE_MAX, &user, &password)) {
  case SMTP_LOGIN_WHOLE:
    smtp_serve_ask(serve);
    serve->owner->login(user, password, serve->arg);
    smtp_serve_login_end(serve);
    break;
  case SMTP_LOGIN_ASKS:
    smtp_serve_say(serve, 334, 0, 0, smtp_login_challenge(&serve->login));
    break;
  case SMTP_LOGIN_GIVEN_UP:
    smtp_serve_login_end(serve);
    smtp_serve_refuse(serve, 501, 7, 0, "given up");
    break;
  case SMTP_LOGIN_NO_BASE64:
    smtp_serve_login_end(serve);
    smtp_serve_refuse(serve, 501, 5, 2, "no base64");
    break;
  case SMTP_LOGIN_NO_PLAIN:
    smtp_serve_login_end(serve);
    smtp_serve_refuse(serve, 501, 5, 2, "PLAIN is: nothing, NUL, user, NUL, password");
    break;
  }
}

void smtp_serve_auth(struct smtp_serve *serve, parley_text argument)
{
  parley_text initial = argument, mechanism = smtp_word_cut(&initial);

  if (serve->config->protocol != SMTP_SERVE_SUBMISSION) {
    smtp_serve_refuse(serve, 502, 5, 1, "no logins here");
  } else if (!smtp_serve_takes_logins(serve)) {
    smtp_serve_refuse(serve, 538, 7, 11, "a login needs TLS: STARTTLS first");
  } else if (!serve->greeted || serve->logged_in || serve->has_sender) {
    smtp_serve_refuse(serve, 503, 5, 1, serve->logged_in ? "logged in already" : "not now");
  } else if (!mail_word_is(mechanism, "PLAIN") && !mail_word_is(mechanism, "LOGIN")) {
    smtp_serve_refuse(serve, 504, 5, 4, "PLAIN or LOGIN");
  } else {
    serve->state = SMTP_SERVE_LOGIN;
    serve->login.step = mail_word_is(mechanism, "PLAIN") ? SMTP_LOGIN_PLAIN : SMTP_LOGIN_USER;
    if (initial.len > 0)
      smtp_serve_login_line(serve, parley_text_is(initial, "=") ? PARLEY_LIT("") : initial);
    else
      smtp_serve_say(serve, 334, 0, 0, smtp_login_challenge(&serve->login));
  }
}

void smtp_serve_login(struct smtp_serve *serve, parley_status st)
{
  if (serve->state != SMTP_SERVE_ASKING)
    return;
  smtp_serve_asked(serve);
  if (st == PARLEY_OK) {
    serve->logged_in = true;
    smtp_serve_say(serve, 235, 7, 0, "welcome");
  } else if (parley_again(st)) {
    smtp_serve_say(serve, 454, 7, 0, "logins cannot be checked just now");
  } else if (++serve->failed_logins >= SMTP_SERVE_LOGINS_MAX) {
    smtp_serve_leave(serve, 421, 7, 0, "too many failed logins");
  } else {
    smtp_serve_refuse(serve, 535, 7, 8, "no such key, or it may not send");
  }
  smtp_serve_go_on(serve);
}
