/* email.c - the e-mail channel as the host sees it: its table, its capabilities, its life. A message is composed, apart from the loop
 * (email_apart) where its media are fetched or it is signed, waits for a connection (email_pool), and is settled with what the server
 * said. What comes in is email_intake's, what providers tell of it email_events'; how all that is, email_health tells. Here are the
 * channel's one timer and its one access token, which sending and the mailbox share. */
#include "email_apart.h"
#include "email_events.h"
#include "email_intake.h"
#include "email_pool.h"
#include <parley/ext/check.h>
#include <parley/ext/http.h>
#include <stdio.h>
#include <stdlib.h>

enum {
  JOBS_PER_SESSION = 4, /* tokens open for each connection: one on its way, the others at hand when it is done */
  TICK_MS = 1000,
  REMEDY_MAX = 160
};

struct parley_channel {
  const parley_host *host;
  struct email_options options;
  parley_capabilities capabilities;
  struct mail_composer *composer;
  struct email_oauth *oauth;     /* NULL: a password, or no login */
  char login_remedy[REMEDY_MAX]; /* of oauth */
  struct email_health health;
  struct email_apart *apart;
  struct email_pool *pool;
  struct email_intake *intake;
  struct email_events *events; /* NULL: no provider's */
  uint32_t n_open;             /* tokens of messages */
  uint64_t timer;              /* 0: nothing wants it */
  bool draining, intake_over;
  parley_call *stopped;
  void *stopped_arg;
};

/* --- The timer ---------------------------------------------------------------------------------------------------- */
static void tick(void *arg)
{
  parley_channel *channel = arg;

  email_pool_sweep(channel->pool);
  email_apart_sweep(channel->apart);
  email_health_sweep(&channel->health);
  if (!email_pool_busy(channel->pool) && !email_apart_busy(channel->apart) && channel->health.blame == NULL) {
    channel->host->cancel(channel->host, channel->timer);
    channel->timer = 0;
  }
}

static void tick_want(void *arg)
{
  parley_channel *channel = arg;

  if (channel->timer == 0)
    channel->timer = channel->host->timer(channel->host, TICK_MS, TICK_MS, tick, channel);
}

/* --- Stopping ----------------------------------------------------------------------------------------------------- */
/* The host may call destroy() from within done(): the last thing to do. */
static void stop_finish(void *arg)
{
  parley_channel *channel = arg;
  parley_call *done = channel->stopped;

  if (done == NULL || !channel->intake_over || !email_pool_is_over(channel->pool) || !email_apart_is_over(channel->apart))
    return;
  channel->stopped = NULL;
  done(channel->stopped_arg);
}

static void intake_stopped(void *arg)
{
  parley_channel *channel = arg;

  channel->intake_over = true;
  stop_finish(channel);
}

static void email_drain(parley_channel *channel, uint32_t within_ms)
{
  (void)within_ms; /* what is not settled by then the host ends by stop() */
  channel->draining = true;
  email_intake_drain(channel->intake);
  email_pool_drain(channel->pool);
}

static void email_stop(parley_channel *channel, parley_call *done, void *arg)
{
  channel->draining = true;
  email_events_stop(channel->events);
  if (channel->oauth != NULL)
    email_oauth_stop(channel->oauth);
  email_pool_stop(channel->pool);
  email_apart_stop(channel->apart);
  channel->stopped = done;
  channel->stopped_arg = arg;
  email_intake_stop(channel->intake, intake_stopped, channel);
}

/* --- A message's way ---------------------------------------------------------------------------------------------- */
static void job_settles(const struct email_job *job, void *arg)
{
  parley_channel *channel = arg;

  channel->n_open--;
  email_apart_settled(channel->apart, job);
}

static void job_composed(struct email_job *job, void *arg)
{
  parley_channel *channel = arg;

  email_pool_add(channel->pool, job);
}

static void mail_settled(void *arg)
{
  parley_channel *channel = arg;

  email_apart_pump(channel->apart);
}

static parley_status email_submit(parley_channel *channel, uint64_t token, const parley_message *message)
{
  struct email_job *job;

  if (channel->draining || channel->n_open >= channel->capabilities.in_flight)
    return PARLEY_BUSY;
  job = email_job_new(channel->host, token, message, channel->host->mono_ms(channel->host));
  if (job == NULL)
    return PARLEY_BUSY;
  job->settles = job_settles;
  job->arg = channel;
  channel->n_open++;
  if (!channel->options.sends)
    email_job_end(&job, PARLEY_OUTCOME_REJECTED, 0, PARLEY_LIT("this channel takes in only: it has no option smtp"));
  else if (message->to == NULL || mail_address_read(message->to->value, &job->to) != PARLEY_OK)
    email_job_end(&job, PARLEY_OUTCOME_BAD_ADDRESS, 0, PARLEY_LIT("not an e-mail address"));
  else if (email_media_bytes(message) > EMAIL_MEDIA_MAX)
    email_job_end(&job, PARLEY_OUTCOME_REJECTED, 0, PARLEY_LIT(EMAIL_MEDIA_TOO_LARGE));
  else if (!email_apart_take(channel->apart, job))
    email_pool_add(channel->pool, job);
  if (email_apart_busy(channel->apart))
    tick_want(channel);
  return PARLEY_OK;
}

static parley_status email_probe(parley_channel *channel, uint64_t token)
{
  struct email_job *job =
      channel->draining ? NULL : email_job_new(channel->host, token, NULL, channel->host->mono_ms(channel->host));

  if (job == NULL)
    return PARLEY_BUSY;
  if (!channel->options.sends) {
    email_intake_probe(channel->intake, &job);
  } else if (!email_pool_probe(channel->pool, job)) {
    free(job);
    return PARLEY_BUSY;
  }
  return PARLEY_OK;
}

/* --- OAuth -------------------------------------------------------------------------------------------------------- */
static void token_got(void *arg)
{
  parley_channel *channel = arg;
  uint32_t generation;

  channel->options.smtp.token = email_oauth_token(channel->oauth, &generation);
  email_intake_token_got(channel->intake);
  if (channel->options.sends)
    email_pool_token_got(channel->pool);
}

static void token_failed(bool for_good, parley_text why, void *arg)
{
  parley_channel *channel = arg;

  email_intake_token_failed(channel->intake, for_good, why);
  if (channel->options.sends)
    email_pool_token_failed(channel->pool, for_good, why);
}

static const struct email_oauth_owner oauth_owner = {.got = token_got, .failed = token_failed};

/* false: *ret_why says why not. */
static bool oauth_begin(parley_channel *channel, const char **ret_why)
{
  const parley_host *host = channel->host;

  if (!channel->options.smtp.bearer)
    return true;
  if (host->extension(host, PARLEY_HTTP) == NULL) {
    *ret_why = "oauth: the host has no HTTP";
    return false;
  }
  snprintf(channel->login_remedy, sizeof channel->login_remedy, "parley channel login %.*s, then let parleyd read its configuration",
           (int)host->channel.len, host->channel.at);
  channel->oauth = email_oauth_new(host, &channel->options.oauth, &oauth_owner, channel);
  *ret_why = "no memory";
  return channel->oauth != NULL;
}

/* --- What it can -------------------------------------------------------------------------------------------------- */
enum { MEDIA_MAX = 20, MEDIA_BYTES_MAX = 25 << 20, SUBJECT_MAX = 900 };
static const parley_feature *const features[] = {
    PARLEY_REF(parley_feature, .what = PARLEY_KIND_CONTENT, .level = PARLEY_LEVEL_NATIVE),
    PARLEY_REF(parley_feature, .what = PARLEY_PART_TEXT, .level = PARLEY_LEVEL_NATIVE, .unit = PARLEY_UNIT_BYTES),
    PARLEY_REF(parley_feature, .what = PARLEY_PART_HTML, .level = PARLEY_LEVEL_NATIVE, .unit = PARLEY_UNIT_BYTES),
    PARLEY_REF(parley_feature, .what = PARLEY_PART_MEDIA, .level = PARLEY_LEVEL_NATIVE, .count_max = MEDIA_MAX,
               .bytes_max = MEDIA_BYTES_MAX),
    PARLEY_REF(parley_feature, .what = PARLEY_PART_BUTTONS, .level = PARLEY_LEVEL_FALLBACK),
    PARLEY_REF(parley_feature, .what = PARLEY_PART_LOCATION, .level = PARLEY_LEVEL_FALLBACK),
    PARLEY_REF(parley_feature, .what = PARLEY_FEATURE_SUBJECT, .level = PARLEY_LEVEL_NATIVE, .unit = PARLEY_UNIT_BYTES,
               .length_max = SUBJECT_MAX),
    PARLEY_REF(parley_feature, .what = PARLEY_FEATURE_REPLY, .level = PARLEY_LEVEL_NATIVE),
    NULL,
};
static const parley_capabilities capabilities = {.size = sizeof capabilities,
                                                 .flags = PARLEY_INBOUND,
                                                 .in_flight = 20 * JOBS_PER_SESSION,
                                                 .receipts = PARLEY_BIT(PARLEY_RECEIPT_FAILED) |
                                                             PARLEY_BIT(PARLEY_RECEIPT_COMPLAINED) |
                                                             PARLEY_BIT(PARLEY_RECEIPT_UNSUBSCRIBED),
                                                 .address_kind = "email",
                                                 .channel_kind = "email",
                                                 .features = features};

/* What comes back comes as mail, or as a provider's events. */
static void capabilities_narrow(parley_channel *channel)
{
  parley_capabilities *to = &channel->capabilities;
  bool takes_mail = channel->options.accept.listen.on || channel->options.imap.on, has_events = email_events_any(channel->events);

  *to = capabilities;
  to->in_flight = channel->options.sessions * JOBS_PER_SESSION;
  if (!takes_mail)
    to->flags &= ~(uint32_t)PARLEY_INBOUND;
  if (has_events)
    to->receipts |= PARLEY_BIT(PARLEY_RECEIPT_DELIVERED);
  else if (!takes_mail)
    to->receipts = 0;
}

static const parley_capabilities *email_capable(parley_channel *channel)
{
  return &channel->capabilities;
}

/* --- Life --------------------------------------------------------------------------------------------------------- */
static void email_destroy(parley_channel *channel)
{
  email_intake_free(&channel->intake);
  email_pool_free(&channel->pool);
  email_apart_free(&channel->apart);
  mail_composer_free(&channel->composer);
  email_events_free(&channel->events);
  email_options_done(&channel->options);
  email_oauth_free(&channel->oauth);
  free(channel);
}

/* false: no memory. */
static bool parts_new(parley_channel *channel, const parley_stream *stream)
{
  const parley_host *host = channel->host;
  const parley_media *media = host->extension(host, PARLEY_MEDIA);
  struct email_options *options = &channel->options;
  struct mail_composer *composer = channel->composer = mail_composer_new();
  const struct email_apart_config apart = {.host = host, .media = media, .composer = composer, .options = options};
  const struct email_apart_owner apart_owner = {.composed = job_composed, .over = stop_finish, .arg = channel};
  const struct email_pool_config pool = {.host = host, .stream = stream, .composer = composer, .options = options,
                                         .oauth = channel->oauth, .health = &channel->health};
  const struct email_pool_owner pool_owner = {.settled = mail_settled, .ticks = tick_want, .over = stop_finish, .arg = channel};
  const struct email_intake_config intake = {.host = host, .stream = stream, .media = media, .options = options,
                                             .oauth = channel->oauth, .health = &channel->health};

  email_health_init(&channel->health, host, channel->oauth != NULL ? channel->login_remedy : NULL, options->sends);
  channel->apart = email_apart_new(&apart, &apart_owner);
  channel->pool = email_pool_new(&pool, &pool_owner);
  channel->intake = email_intake_new(&intake);
  return channel->apart != NULL && channel->pool != NULL && channel->intake != NULL;
}

static parley_status email_create(const parley_host *host, const parley_value *options, parley_channel **ret)
{
  parley_channel *channel = calloc(1, sizeof *channel);
  const parley_stream *stream = host->extension(host, PARLEY_STREAM);
  const char *why = NULL;

  if (channel == NULL)
    return PARLEY_BUSY;
  channel->host = host;
  if (stream == NULL || email_options_read(options, &channel->options, &why) != PARLEY_OK || !oauth_begin(channel, &why) ||
      email_events_new(host, parley_find(options, "events"), &channel->events, &why) != PARLEY_OK) {
    host->health(host, PARLEY_DOWN, parley_text_of(why != NULL ? why : "the host has no byte streams"),
                 PARLEY_LIT("change the channel's options"));
    email_destroy(channel);
    return PARLEY_INVALID;
  }
  if (!parts_new(channel, stream)) {
    email_destroy(channel);
    return PARLEY_BUSY;
  }
  capabilities_narrow(channel);
  *ret = channel;
  return PARLEY_OK;
}

static parley_status email_start(parley_channel *channel)
{
  channel->host->window(channel->host, channel->capabilities.in_flight);
  return email_intake_start(channel->intake);
}

static const parley_metric *const metrics[] = {
    PARLEY_REF(parley_metric, .kind = PARLEY_COUNTER, .name = "email_login_failures", .label = "stage",
               .help = "Connections to the mail server that came to nothing, by the step that failed"),
    PARLEY_REF(parley_metric, .kind = PARLEY_COUNTER, .name = "email_events", .label = "provider",
               .help = "Events of mail providers' webhooks that tell of a mail of ours"),
    PARLEY_REF(parley_metric, .kind = PARLEY_COUNTER, .name = "email_events_refused", .label = "provider",
               .help = "Event webhooks whose signature did not hold"),
    PARLEY_REF(parley_metric, .kind = PARLEY_COUNTER, .name = "email_imap_failures", .label = "stage",
               .help = "Connections to the mailbox that came to nothing or were lost, by the step that failed"),
    PARLEY_REF(parley_metric, .kind = PARLEY_COUNTER, .name = "email_imap_mails", .label = "what",
               .help = "Mails of the mailbox: taken, repeated (they had been taken before), passed_over"),
    NULL,
};

static void email_called(parley_channel *channel, uint64_t call, const parley_http_call *request)
{
  email_events_called(channel->events, call, request);
}
/* The first thing that create() would refuse: keys, addresses, and what excludes each other. */
static void email_check(const parley_value *options, parley_fault *fault, void *arg)
{
  struct email_options *read = calloc(1, sizeof *read);
  const char *why = NULL;

  if (read == NULL)
    return;
  if (email_options_read(options, read, &why) != PARLEY_OK && why != NULL)
    fault(parley_text_of(why), arg);
  email_options_done(read);
  free(read);
}
static const parley_check check = {.size = sizeof check, .options = email_check};

static const parley_http_in http_in = {.size = sizeof http_in, .called = email_called};

const parley_plugin parley_plugin_v1 = {
    .size = sizeof parley_plugin_v1, .abi_major = PARLEY_ABI_MAJOR, .abi_minor = PARLEY_ABI_MINOR,
    .name = "email", .version = "1.0.0", .summary = "e-mail both ways: out by SMTP, in by LMTP, SMTP, IMAP and submission",
    .capabilities = &capabilities, .options = email_option_table, .metrics = metrics,
    .requires_ids = (const char *const[]){PARLEY_STREAM, NULL},
    .offers = PARLEY_LIST(parley_extension, PARLEY_REF(parley_extension, .id = PARLEY_HTTP_IN, .table = &http_in),
                          PARLEY_REF(parley_extension, .id = PARLEY_CHECK, .table = &check), NULL),
    .create = email_create, .start = email_start, .submit = email_submit, .drain = email_drain, .stop = email_stop,
    .destroy = email_destroy, .capable = email_capable, .probe = email_probe,
};
