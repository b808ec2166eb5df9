#include "email_intake.h"
#include "mail_report.h"
#include <stdlib.h>

struct email_intake {
  struct email_intake_config config;
  struct mail_taker *taker;                  /* NULL: nothing comes in as mail */
  struct email_listen *listen, *submission;  /* NULL: nobody listens */
  struct imap *imap;                         /* NULL: no mailbox is looked after */
};

/* --- Beginning ---------------------------------------------------------------------------------------------------- */
static struct email_listen *listen_on(struct email_intake *intake, const struct email_listen_options *options)
{
  const parley_host *host = intake->config.host;
  const struct email_listen_config config = {.host = host,
                                             .stream = intake->config.stream,
                                             .submit = host->extension(host, PARLEY_SUBMIT),
                                             .taker = intake->taker,
                                             .options = options,
                                             .name = parley_text_of(intake->config.options->helo)};

  return email_listen_new(&config);
}

static void imap_health(uint32_t level, parley_text cause, parley_text remedy, void *arg)
{
  struct email_intake *intake = arg;

  email_health_receiving(intake->config.health, level, cause, remedy);
}

static bool imap_begin(struct email_intake *intake)
{
  const struct imap_options *options = &intake->config.options->imap;
  const struct imap_parts parts = {.host = intake->config.host,
                                   .stream = intake->config.stream,
                                   .taker = intake->taker,
                                   .options = options,
                                   .oauth = options->session.bearer ? intake->config.oauth : NULL,
                                   .health = imap_health,
                                   .arg = intake};

  intake->imap = imap_new(&parts);
  return intake->imap != NULL;
}

parley_status email_intake_start(struct email_intake *intake)
{
  const parley_host *host = intake->config.host;
  const struct email_options *options = intake->config.options;
  const struct email_accept_options *accept = &options->accept;
  const struct mail_taker_config config = {.host = host, .media = intake->config.media, .report = mail_report_take,
                                           .authserv_id = options->authserv_id};

  if (accept->submission.on && host->extension(host, PARLEY_SUBMIT) == NULL) {
    host->health(host, PARLEY_DOWN, PARLEY_LIT("submission: this host takes no messages from a channel"),
                 PARLEY_LIT("take the option submission away"));
    return PARLEY_INVALID;
  }
  if ((accept->listen.on || options->imap.on) && (intake->taker = mail_taker_new(&config)) == NULL)
    return PARLEY_BUSY;
  if (options->imap.on && !imap_begin(intake))
    return PARLEY_BUSY;
  if (accept->listen.on && (intake->listen = listen_on(intake, &accept->listen)) == NULL)
    return PARLEY_BUSY;
  if (accept->submission.on && (intake->submission = listen_on(intake, &accept->submission)) == NULL)
    return PARLEY_BUSY;
  return PARLEY_OK;
}

/* --- The mailbox's login ------------------------------------------------------------------------------------------ */
void email_intake_token_got(struct email_intake *intake)
{
  uint32_t generation;

  intake->config.options->imap.session.token = email_oauth_token(intake->config.oauth, &generation);
  if (intake->imap != NULL && intake->config.options->imap.session.bearer)
    imap_token_got(intake->imap);
}

void email_intake_token_failed(struct email_intake *intake, bool for_good, parley_text why)
{
  if (intake->imap != NULL && intake->config.options->imap.session.bearer)
    imap_token_failed(intake->imap, for_good, why);
}

void email_intake_probe(struct email_intake *intake, struct email_job **job)
{
  parley_text cause;
  uint32_t level = intake->imap != NULL ? imap_level(intake->imap, &cause) : PARLEY_UP;

  if (level == 0)
    email_job_end(job, PARLEY_OUTCOME_RETRY, 0, PARLEY_LIT("the mailbox is being logged in to: ask again"));
  else if (level == PARLEY_UP)
    email_job_end(job, PARLEY_OUTCOME_ACCEPTED, 0, PARLEY_LIT("it takes in only, and does"));
  else
    email_job_end(job, PARLEY_OUTCOME_CHANNEL_DOWN, 0, cause);
}

/* --- Life --------------------------------------------------------------------------------------------------------- */
void email_intake_drain(struct email_intake *intake)
{
  if (intake->listen != NULL)
    email_listen_drain(intake->listen);
  if (intake->submission != NULL)
    email_listen_drain(intake->submission);
  if (intake->imap != NULL)
    imap_drain(intake->imap);
}

void email_intake_stop(struct email_intake *intake, parley_call *over, void *arg)
{
  if (intake->imap != NULL)
    imap_stop(intake->imap, over, arg);
  else
    over(arg);
}

struct email_intake *email_intake_new(const struct email_intake_config *config)
{
  struct email_intake *intake = calloc(1, sizeof *intake);

  if (intake != NULL)
    intake->config = *config;
  return intake;
}

void email_intake_free(struct email_intake **intake)
{
  if (*intake == NULL)
    return;
  email_listen_free(&(*intake)->listen);
  email_listen_free(&(*intake)->submission);
  imap_free(&(*intake)->imap);
  mail_taker_free(&(*intake)->taker);
  free(*intake);
  *intake = NULL;
}
