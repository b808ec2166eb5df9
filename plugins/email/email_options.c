#include "email_options.h"
#include "email_events.h"
#include "common/option.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { PORT_SMTP = 587, PORT_SMTPS = 465, TIMEOUT_MIN_MS = 1000, TIMEOUT_MAX_MS = 3600000, TEXT_MAX = 1000 };
enum { TLS_CHOICE_REQUIRED, TLS_CHOICE_OPPORTUNISTIC, TLS_CHOICE_OFF };

static const char *const tls_choices[] = {"required", "opportunistic", "off", NULL};

static const parley_option *const oauth_fields[] = {
    PARLEY_REF(parley_option, .name = "token_url", .type = PARLEY_OPTION_URL, .flags = PARLEY_REQUIRED,
               .doc = "the provider's token endpoint", .example = "https://oauth2.googleapis.com/token"),
    PARLEY_REF(parley_option, .name = "client_id", .type = PARLEY_OPTION_TEXT, .flags = PARLEY_REQUIRED, .min = 1,
               .max = EMAIL_OAUTH_TEXT_MAX, .doc = "of the application that you registered there", .example = "1234.apps.example"),
    PARLEY_REF(parley_option, .name = "client_secret", .type = PARLEY_OPTION_TEXT, .flags = PARLEY_SECRET,
               .max = EMAIL_OAUTH_TEXT_MAX, .doc = "its secret, where it has one", .example = "client-secret"),
    PARLEY_REF(parley_option, .name = "refresh_token", .type = PARLEY_OPTION_TEXT, .flags = PARLEY_REQUIRED | PARLEY_SECRET,
               .min = 1, .max = EMAIL_OAUTH_TEXT_MAX, .doc = "a file that parley channel login writes", .example = "refresh-token"),
    PARLEY_REF(parley_option, .name = "scope", .type = PARLEY_OPTION_TEXT, .max = EMAIL_OAUTH_TEXT_MAX,
               .doc = "what is asked for; default: what the login was for", .example = "https://mail.google.com/"),
    NULL,
};

const parley_option *const email_option_table[] = {
    PARLEY_REF(parley_option, .name = "smtp", .type = PARLEY_OPTION_URL,
               .doc = "the mail server to send through: smtp://host:port, or smtps:// for TLS from the first byte; default: "
                      "this machine's own, 127.0.0.1:25, or none where the channel takes mail in",
               .example = "smtp://127.0.0.1:2525"),
    PARLEY_REF(parley_option, .name = "from", .type = PARLEY_OPTION_TEXT, .flags = PARLEY_REQUIRED, .min = 1,
               .max = TEXT_MAX, .doc = "the sender as customers see it", .example = "Shop <orders@shop.example>"),
    &email_option_senders,
    &email_option_reply,
    &email_option_dkim,
    PARLEY_REF(parley_option, .name = "user", .type = PARLEY_OPTION_TEXT, .max = TEXT_MAX,
               .doc = "to log in with; leave it out where the server wants no login", .example = "orders@shop.example"),
    PARLEY_REF(parley_option, .name = "password", .type = PARLEY_OPTION_TEXT, .flags = PARLEY_SECRET, .max = TEXT_MAX,
               .doc = "the password of user", .example = "secret"),
    PARLEY_REF(parley_option, .name = "oauth", .type = PARLEY_OPTION_GROUP, .fields = oauth_fields,
               .doc = "log user in by OAuth 2.0 (XOAUTH2, OAUTHBEARER); password is not used then"),
    PARLEY_REF(parley_option, .name = "return_path", .type = PARLEY_OPTION_TEXT, .max = MAIL_ADDRESS_MAX,
               .doc = "where bounces go, each with its message's token: bounce@in.shop.example becomes "
                      "bounce+<token>@in.shop.example; default: the address of from",
               .example = "bounce@in.shop.example"),
    PARLEY_REF(parley_option, .name = "tls", .type = PARLEY_OPTION_CHOICE, .choices = tls_choices,
               .doc = "required, or opportunistic (take it if offered, any certificate), or off; default: off on "
                      "loopback, else required",
               .example = "required"),
    PARLEY_REF(parley_option, .name = "chunking", .type = PARLEY_OPTION_BOOL, .default_text = "true",
               .doc = "send a mail as one chunk (BDAT) where the server offers CHUNKING; false for a gateway that spoils it",
               .example = "true"),
    PARLEY_REF(parley_option, .name = "helo", .type = PARLEY_OPTION_TEXT, .max = EMAIL_HOST_MAX,
               .doc = "the name this machine gives itself; default: its full host name, else the domain of from",
               .example = "parley.shop.example"),
    PARLEY_REF(parley_option, .name = "sessions", .type = PARLEY_OPTION_INT, .min = 1, .max = EMAIL_SESSIONS_MAX,
               .default_text = "20", .doc = "most connections to the server at once", .example = "20"),
    &email_option_imap,
    &email_option_listen,
    &email_option_submission,
    PARLEY_REF(parley_option, .name = "authserv_id", .type = PARLEY_OPTION_TEXT, .max = MAIL_ADDRESS_MAX,
               .doc = "the name of your mail server in the Authentication-Results of mail that comes in: where it says dmarc=fail, the "
                      "message has fields.unverified; default: nobody's word counts",
               .example = "mx.shop.example"),
    PARLEY_REF(parley_option, .name = "timeout", .type = PARLEY_OPTION_DURATION, .min = TIMEOUT_MIN_MS,
               .max = TIMEOUT_MAX_MS, .default_text = "10m", .doc = "how long to wait for the answer to a mail",
               .example = "10m"),
    PARLEY_REF(parley_option, .name = "events", .type = PARLEY_OPTION_GROUP, .fields = email_events_fields,
               .doc = "event webhooks of a provider, posted to /in/<channel>/ses, sendgrid, mailgun or postmark"),
    NULL,
};

/* --- The server --------------------------------------------------------------------------------------------------- */
static const char *smtp_read(parley_text url, struct email_options *to)
{
  static const struct email_server_schemes schemes = {"smtp://", "smtps://", PORT_SMTP, PORT_SMTPS};

  switch (email_server_read(url, &schemes, &to->server)) {
  case EMAIL_SERVER_SCHEME: return "smtp: must begin with smtp:// or smtps://";
  case EMAIL_SERVER_LOGIN: return "smtp: user and password stand in options of their own, not in the URL";
  case EMAIL_SERVER_ADDRESS: return "smtp: must be smtp://host:port";
  case EMAIL_SERVER_OK: break;
  }
  to->smtp.port = to->server.port;
  return NULL;
}

/* --- The rest ----------------------------------------------------------------------------------------------------- */
static const char *helo_read(parley_text given, struct email_options *to)
{
  char host[EMAIL_HOST_MAX + 1] = "";
  parley_text domain = mail_address_domain(&to->senders.from.address);
  size_t len;

  if (given.len > 0)
    return mail_domain_read(given, to->helo, sizeof to->helo, &len) == PARLEY_OK ? NULL : "helo: must be a host name";
  if (gethostname(host, sizeof host - 1) == 0 && strchr(host, '.') != NULL &&
      mail_domain_read(parley_text_of(host), to->helo, sizeof to->helo, &len) == PARLEY_OK)
    return NULL;
  snprintf(to->helo, sizeof to->helo, "%.*s", (int)domain.len, domain.at);
  return NULL;
}

static const char *tls_read(const parley_value *value, struct email_options *to)
{
  bool loopback = email_server_is_loopback(&to->server);

  to->smtp.tls = loopback && !to->server.implicit_tls ? SMTP_TLS_OFF : SMTP_TLS_REQUIRED;
  if (value != NULL && value->type != 0)
    to->smtp.tls = value->number == TLS_CHOICE_OFF             ? SMTP_TLS_OFF
                   : value->number == TLS_CHOICE_OPPORTUNISTIC ? SMTP_TLS_OPPORTUNISTIC
                                                               : SMTP_TLS_REQUIRED;
  if (to->server.implicit_tls && to->smtp.tls == SMTP_TLS_OFF)
    return "tls: off contradicts smtps://";
  to->smtp.clear_auth = loopback && to->smtp.tls == SMTP_TLS_OFF;
  if (to->smtp.tls == SMTP_TLS_OFF && !loopback && to->smtp.user.len > 0)
    return "tls: a password is never sent in clear; leave tls out or set it to required";
  return NULL;
}

static const char *oauth_read(const parley_value *group, struct email_options *to)
{
  if (group == NULL || group->type == 0)
    return NULL;
  to->smtp.bearer = true;
  to->oauth = (struct email_oauth_config){.token_url = option_text(group, "token_url"),
                                          .client_id = option_text(group, "client_id"),
                                          .client_secret = option_text(group, "client_secret"),
                                          .refresh_token = option_text(group, "refresh_token"),
                                          .scope = option_text(group, "scope")};
  return to->smtp.user.len == 0 ? "oauth: needs user, the mailbox to log in to" : NULL;
}

/* The token and its "+" must find room in the local part (RFC 5321 4.5.3.1.1), and stand there without quotes. */
static const char *return_path_read(parley_text given, struct email_options *to)
{
  struct mail_address *path = &to->return_path;

  if (given.len == 0)
    return NULL;
  if (mail_address_read(given, path) != PARLEY_OK || path->text[0] == '"')
    return "return_path: must be one plain address, like bounce@in.shop.example";
  if (path->domain_at - 1 + 1 + EMAIL_TOKEN_LEN > MAIL_LOCAL_MAX || path->len + 1 + EMAIL_TOKEN_LEN > MAIL_ADDRESS_MAX)
    return "return_path: the part before the @ may have 34 bytes at most: a token of 30 comes behind it";
  return NULL;
}

parley_status email_options_read(const parley_value *options, struct email_options *to, const char **ret_why)
{
  parley_text smtp = option_text(options, "smtp"), token_url = option_text(parley_find(options, "oauth"), "token_url");
  const char *why;

  *to = (struct email_options){0};
  to->smtp.user = option_text(options, "user");
  to->smtp.password = option_text(options, "password");
  to->sessions = (uint32_t)option_number(options, "sessions", 20);
  to->smtp.timeout_ms = (uint32_t)option_number(options, "timeout", 600000);
  to->authserv_id = option_text(options, "authserv_id");
  to->smtp.no_chunks = option_number(options, "chunking", 1) == 0;
  for (int i = 0; i < EVENT_PROVIDERS; i++)
    to->traces[i] = option_text(parley_find(options, "events"), event_provider_names[i]).len > 0;
  why = email_accept_read(options, &to->accept);
  if (why == NULL)
    why = imap_options_read(options, to->smtp.user, to->smtp.password, token_url.len > 0, &to->imap);
  to->sends = smtp.len > 0 || (!to->accept.listen.on && !to->accept.submission.on && !to->imap.on);
  if (why == NULL && to->sends)
    why = smtp_read(smtp.len > 0 ? smtp : PARLEY_LIT("smtp://127.0.0.1:25"), to);
  if (why == NULL)
    why = email_senders_read(options, &to->senders);
  if (why == NULL)
    why = helo_read(option_text(options, "helo"), to);
  if (why == NULL)
    why = tls_read(parley_find(options, "tls"), to);
  if (why == NULL)
    why = oauth_read(parley_find(options, "oauth"), to);
  if (why == NULL)
    why = return_path_read(option_text(options, "return_path"), to);
  if (why == NULL && !to->smtp.bearer && (to->smtp.user.len == 0) != (to->smtp.password.len == 0))
    why = "user and password belong together: give both or neither (or user and oauth)";
  if (why != NULL) {
    *ret_why = why;
    return PARLEY_INVALID;
  }
  to->smtp.helo = parley_text_of(to->helo);
  to->smtp.host = parley_text_of(to->server.name);
  return PARLEY_OK;
}

void email_options_done(struct email_options *options)
{
  email_senders_done(&options->senders);
}
