#include "email_health.h"
#include "mail_address.h"
#include <stdio.h>

enum {
  FAILURES_TO_DOWN = 5, /* logins in a row that failed for a time: then an operator should look */
  BLAME_MS = 3600000
};

static int64_t now_ms(const struct email_health *health) { return health->host->mono_ms(health->host); }

void email_health_init(struct email_health *health, const parley_host *host, const char *login_remedy, bool sends)
{
  *health = (struct email_health){.host = host, .login_remedy = login_remedy, .sends = sends};
}

parley_text email_result_words(const struct smtp_result *result)
{
  parley_text words = result->reply != NULL ? (parley_text){result->reply->text, result->reply->text_len} : result->why;

  return words.len > 0 ? words : PARLEY_LIT("the server lets nobody in");
}

static parley_text remedy_of(const struct email_health *health, enum smtp_stage stage)
{
  switch (stage) {
  case SMTP_STAGE_CONNECT:
  case SMTP_STAGE_GREETING:
  case SMTP_STAGE_EHLO:
  case SMTP_STAGE_HELO:
    return PARLEY_LIT("is the server of option smtp reachable from here, and does it know this machine?");
  case SMTP_STAGE_STARTTLS:
    return PARLEY_LIT("check the port and the certificate; a server without TLS needs tls: off");
  case SMTP_STAGE_AUTH:
    return health->login_remedy != NULL ? parley_text_of(health->login_remedy) : PARLEY_LIT("check user and password");
  case SMTP_STAGE_MAIL: return PARLEY_LIT("may this user send from the address of option from?");
  case SMTP_STAGE_RCPT:
  case SMTP_STAGE_DATA:
  case SMTP_STAGE_DOT:
  case SMTP_STAGE_VOID_DOT:
  case SMTP_STAGE_RSET:
  case SMTP_STAGE_QUIT: break;
  }
  return PARLEY_LIT("does the server want a login? set user and password");
}

/* --- Up and down -------------------------------------------------------------------------------------------------- */
/* Sending is well again; what is wrong with receiving is what there is to tell. It keeps nothing from being sent. */
static void up_tell(struct email_health *health)
{
  bool well = health->in_level <= PARLEY_UP;
  uint32_t level = well ? PARLEY_UP : health->sends ? PARLEY_DEGRADED : health->in_level;

  health->host->health(health->host, level, well ? PARLEY_LIT("") : health->in_cause, well ? PARLEY_LIT("") : health->in_remedy);
}

void email_health_receiving(struct email_health *health, uint32_t level, parley_text cause, parley_text remedy)
{
  health->in_level = level;
  health->in_cause = cause;
  health->in_remedy = remedy;
  if (!health->down && health->blame == NULL)
    up_tell(health);
}

void email_health_logged_in(struct email_health *health)
{
  if (!health->mails_refused)
    health->failures = 0;
  health->backoff_until_ms = 0;
  if (!health->down)
    return;
  health->down = false;
  health->blame = NULL;
  up_tell(health);
}

static void down(struct email_health *health, const struct smtp_result *result)
{
  if (health->down)
    return;
  health->down = true;
  health->blame = NULL;
  health->host->health(health->host, PARLEY_DOWN, email_result_words(result), remedy_of(health, result->stage));
}

uint32_t email_health_wait_ms(const struct email_health *health)
{
  int64_t left = health->backoff_until_ms - now_ms(health);

  return left > 0 ? (uint32_t)left : 0;
}

static void backoff_begin(struct email_health *health)
{
  if (email_health_wait_ms(health) > 0) /* one of several at the same time: one failure */
    return;
  health->failures++;
  health->backoff_until_ms = now_ms(health) + email_backoff_ms(health->failures);
}

void email_health_login_failed(struct email_health *health, const struct smtp_result *result, bool others_work)
{
  backoff_begin(health);
  health->host->metric(health->host, "email_login_failures", parley_text_of(smtp_stage_name(result->stage)), 1);
  if (!others_work && (result->verdict.outcome == PARLEY_OUTCOME_CHANNEL_DOWN || health->failures >= FAILURES_TO_DOWN))
    down(health, result);
}

/* --- Blame -------------------------------------------------------------------------------------------------------- */
/* A provider refuses this sender's mail as such. Others take it: the channel works, and an operator should know. */
static void blame_show(struct email_health *health, const struct smtp_result *result, parley_text domain)
{
  char cause[SMTP_REPLY_TEXT_MAX + MAIL_ADDRESS_MAX];
  int len;

  health->blame_until_ms = now_ms(health) + BLAME_MS;
  if (health->blame == result->verdict.remedy || health->down)
    return;
  health->blame = result->verdict.remedy;
  len = snprintf(cause, sizeof cause, "%.*s: %u %s", (int)domain.len, domain.at, result->reply->code, result->reply->text);
  health->host->health(health->host, PARLEY_DEGRADED,
                       (parley_text){cause, (size_t)len < sizeof cause ? (size_t)len : sizeof cause - 1},
                       parley_text_of(health->blame));
}

void email_health_mail_done(struct email_health *health, const struct smtp_result *result, parley_text domain)
{
  if (result->verdict.outcome == PARLEY_OUTCOME_ACCEPTED) {
    health->mails_refused = false;
    health->failures = 0;
  } else if (result->verdict.outcome == PARLEY_OUTCOME_CHANNEL_DOWN) {
    health->mails_refused = true;
    backoff_begin(health);
    down(health, result);
  }
  if (result->verdict.remedy != NULL && result->reply != NULL)
    blame_show(health, result, domain);
}

void email_health_sweep(struct email_health *health)
{
  if (health->blame == NULL || now_ms(health) < health->blame_until_ms)
    return;
  health->blame = NULL;
  if (!health->down)
    up_tell(health);
}
