/* email.c - the e-mail channel: mails out by SMTP over a pool of connections. A message waits in a short queue until a
 * connection is ready, is composed then, and is settled with what the server said. Bytes are smtp_wire's, the talk is
 * smtp_session's; here are sockets, the pool and the table that the host sees. */
#include "email_events.h"
#include "email_fetch.h"
#include "mail_report.h"
#include <parley/ext/http.h>
#include <parley/ext/stream.h>
#include <stdio.h>
#include <stdlib.h>

enum {
  JOBS_PER_SESSION = 4,       /* tokens open for each connection: one on its way, the others at hand when it is done */
  CONNECT_MS = 30000,
  IDLE_MS = 30000,            /* a connection with nothing to do takes its leave */
  TICK_MS = 1000,
  QUEUE_WAIT_MS = 60000,      /* longer than this no message waits for a free connection */
  QUEUE_HOLD_MS = 5000,
  LARGE_MAX = 2,              /* mails in memory whose media are fetched; the others wait */
  REQUEUES_MAX = 3,           /* a message given to connections that had gone unnoticed */
  FAILURES_TO_DOWN = 5,       /* logins in a row that failed for a time: then an operator should look */
  BACKOFF_MIN_MS = 1000,
  BACKOFF_MAX_MS = 60000,
  BLAME_MS = 3600000,         /* a provider's fault with this sender is shown so long after its last refusal */
  REMEDY_MAX = 160,
  STOP_HOLD_MS = 1            /* hold for what was not tried when the channel stops */
};

struct link { /* one connection */
  struct link *next;
  parley_channel *channel;
  uint64_t stream;
  struct smtp_session session;
  struct email_job *job; /* what it carries; of a probe: the probe's token */
  int64_t idle_since_ms;
  uint32_t generation; /* of the access token, when it was opened */
  bool probe, login; /* login: counted in n_logins */
};
struct queue {
  struct email_job *first, **end;
  uint32_t n;
};
struct parley_channel {
  const parley_host *host;
  const parley_stream *stream;
  const parley_media *media; /* NULL: the host has none */
  struct mail_composer *composer;
  struct email_events *events; /* NULL: no provider's */
  struct email_options options;
  parley_capabilities capabilities;
  struct mail_taker *taker;           /* of what comes in; NULL: nothing does */
  struct email_listen *listen, *submission;
  struct imap *imap;                  /* NULL: no mailbox is looked after */
  uint32_t imap_level;                /* PARLEY_DEGRADED, PARLEY_DOWN: shown while sending has no worse to tell */
  parley_text imap_remedy;            /* static */
  struct link *links;
  struct queue queue;       /* waits for a connection */
  struct queue large;       /* waits for its turn to be fetched */
  struct queue probes;      /* wait for an access token */
  struct email_oauth *oauth; /* NULL: a password, or no login */
  char login_remedy[REMEDY_MAX]; /* of oauth */
  const char *blame;        /* the remedy that is shown; static; NULL: none */
  int64_t blame_until_ms;
  struct email_job *fetching[LARGE_MAX];
  uint32_t n_links, n_logins; /* probes are in neither; n_logins: connections not ready for the first time yet */
  uint32_t n_open;            /* tokens */
  uint32_t n_large;           /* of them, fetched or being fetched */
  uint32_t n_signing;         /* of them, small and on the work pool */
  uint32_t failures;          /* logins, or mails refused for the channel's own fault, since one went well */
  int64_t backoff_until_ms;
  uint64_t timer;
  bool down, mails_refused, draining, stopping, imap_over;
  parley_call *stopped;
  void *stopped_arg;
};

static int64_t now_ms(const parley_channel *channel) { return channel->host->mono_ms(channel->host); }

/* --- Jobs --------------------------------------------------------------------------------------------------------- */
static void queue_init(struct queue *queue)
{
  *queue = (struct queue){.end = &queue->first};
}

static void queue_push(struct queue *queue, struct email_job *job)
{
  job->next = NULL;
  *queue->end = job;
  queue->end = &job->next;
  queue->n++;
}

static void queue_push_front(struct queue *queue, struct email_job *job)
{
  job->next = queue->first;
  if (queue->first == NULL)
    queue->end = &job->next;
  queue->first = job;
  queue->n++;
}

static struct email_job *queue_pop(struct queue *queue)
{
  struct email_job *job = queue->first;

  if (job == NULL)
    return NULL;
  queue->first = job->next;
  if (queue->first == NULL)
    queue->end = &queue->first;
  queue->n--;
  return job;
}

static void job_gone(parley_channel *channel, const struct email_job *job)
{
  channel->n_open--;
  channel->n_large -= job->large;
}

static void job_settle(parley_channel *channel, struct email_job **job, const struct smtp_result *result)
{
  job_gone(channel, *job);
  email_job_settle(job, result);
}

static void job_end(parley_channel *channel, struct email_job **job, uint32_t outcome, uint32_t retry_ms,
                    parley_text detail)
{
  job_gone(channel, *job);
  email_job_end(job, outcome, retry_ms, detail);
}

static void queue_flush(parley_channel *channel, struct queue *queue, uint32_t outcome, uint32_t retry_ms,
                        parley_text detail)
{
  for (struct email_job *job = queue_pop(queue); job != NULL; job = queue_pop(queue))
    job_end(channel, &job, outcome, retry_ms, detail);
}

/* --- Up and down -------------------------------------------------------------------------------------------------- */
static parley_text remedy_of(enum smtp_stage stage)
{
  switch (stage) {
  case SMTP_STAGE_CONNECT:
  case SMTP_STAGE_GREETING:
  case SMTP_STAGE_EHLO:
  case SMTP_STAGE_HELO:
    return PARLEY_LIT("is the server of option smtp reachable from here, and does it know this machine?");
  case SMTP_STAGE_STARTTLS:
    return PARLEY_LIT("check the port and the certificate; a server without TLS needs tls: off");
  case SMTP_STAGE_AUTH: return PARLEY_LIT("check user and password");
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

static parley_text channel_remedy(const parley_channel *channel, enum smtp_stage stage)
{
  return channel->oauth != NULL && stage == SMTP_STAGE_AUTH ? parley_text_of(channel->login_remedy) : remedy_of(stage);
}

/* Sending is well again; what is wrong with receiving is what there is to tell. It keeps nothing from being sent. */
static void health_up(parley_channel *channel)
{
  parley_text cause = PARLEY_LIT("");
  uint32_t level = PARLEY_UP;

  if (channel->imap_level > PARLEY_UP) {
    imap_level(channel->imap, &cause);
    level = channel->options.sends ? PARLEY_DEGRADED : channel->imap_level;
  }
  channel->host->health(channel->host, level, cause, level == PARLEY_UP ? PARLEY_LIT("") : channel->imap_remedy);
}

/* A provider refuses this sender's mail as such. Others take it: the channel works, and an operator should know. */
static void blame_show(parley_channel *channel, const struct smtp_result *result, parley_text domain)
{
  char cause[SMTP_REPLY_TEXT_MAX + MAIL_ADDRESS_MAX];
  int len;

  channel->blame_until_ms = now_ms(channel) + BLAME_MS;
  if (channel->blame == result->verdict.remedy || channel->down)
    return;
  channel->blame = result->verdict.remedy;
  len = snprintf(cause, sizeof cause, "%.*s: %u %s", (int)domain.len, domain.at, result->reply->code, result->reply->text);
  channel->host->health(channel->host, PARLEY_DEGRADED,
                        (parley_text){cause, (size_t)len < sizeof cause ? (size_t)len : sizeof cause - 1},
                        parley_text_of(channel->blame));
}

static void blame_sweep(parley_channel *channel)
{
  if (channel->blame == NULL || now_ms(channel) < channel->blame_until_ms)
    return;
  channel->blame = NULL;
  if (!channel->down)
    health_up(channel);
}

static uint32_t backoff_ms(uint32_t failures)
{
  uint32_t ms = BACKOFF_MIN_MS;

  for (uint32_t i = 1; i < failures && ms < BACKOFF_MAX_MS; i++)
    ms *= 2;
  return ms < BACKOFF_MAX_MS ? ms : BACKOFF_MAX_MS;
}

static void channel_up(parley_channel *channel)
{
  if (!channel->mails_refused)
    channel->failures = 0;
  channel->backoff_until_ms = 0;
  if (!channel->down)
    return;
  channel->down = false;
  channel->blame = NULL;
  health_up(channel);
}

static parley_text result_words(const struct smtp_result *result)
{
  parley_text words = result->reply != NULL ? (parley_text){result->reply->text, result->reply->text_len} : result->why;

  return words.len > 0 ? words : PARLEY_LIT("the server lets nobody in");
}

static void channel_down(parley_channel *channel, const struct smtp_result *result)
{
  if (channel->down)
    return;
  channel->down = true;
  channel->blame = NULL;
  channel->host->health(channel->host, PARLEY_DOWN, result_words(result), channel_remedy(channel, result->stage));
}

static uint32_t backoff_left_ms(const parley_channel *channel)
{
  int64_t left = channel->backoff_until_ms - now_ms(channel);

  return left > 0 ? (uint32_t)left : 0;
}

static void backoff_begin(parley_channel *channel)
{
  if (backoff_left_ms(channel) > 0) /* one of several at the same time: one failure */
    return;
  channel->failures++;
  channel->backoff_until_ms = now_ms(channel) + backoff_ms(channel->failures);
}

static bool any_link_ready(const parley_channel *channel) /* or at least logged in once */
{
  for (const struct link *link = channel->links; link != NULL; link = link->next)
    if (!link->probe && link->session.was_ready && link->session.state != SMTP_OVER &&
        link->session.state != SMTP_QUITTING)
      return true;
  return false;
}

/* Nothing can leave for now: what waits goes back, untried. */
static void queue_give_back(parley_channel *channel, parley_text why)
{
  uint32_t left = backoff_left_ms(channel);

  if (channel->down)
    queue_flush(channel, &channel->queue, PARLEY_OUTCOME_CHANNEL_DOWN, 0, why);
  else
    queue_flush(channel, &channel->queue, PARLEY_OUTCOME_THROTTLED, left > 0 ? left : BACKOFF_MIN_MS, why);
}

static void login_failed(parley_channel *channel, const struct smtp_result *result)
{
  backoff_begin(channel);
  channel->host->metric(channel->host, "email_login_failures", parley_text_of(smtp_stage_name(result->stage)), 1);
  if (any_link_ready(channel)) /* the server takes no more connections: those we have do the work */
    return;
  if (result->verdict.outcome == PARLEY_OUTCOME_CHANNEL_DOWN || channel->failures >= FAILURES_TO_DOWN)
    channel_down(channel, result);
  if (channel->n_logins == 0)
    queue_give_back(channel, result_words(result));
}

/* The host may call destroy() from within done(): the last thing to do. */
static void stop_finish(parley_channel *channel)
{
  parley_call *done = channel->stopped;

  for (size_t i = 0; i < LARGE_MAX; i++)
    if (channel->fetching[i] != NULL)
      return;
  if (done == NULL || channel->links != NULL || channel->n_signing > 0 || (channel->imap != NULL && !channel->imap_over))
    return;
  channel->stopped = NULL;
  done(channel->stopped_arg);
}

static void tick(void *arg);

static void tick_want(parley_channel *channel)
{
  if (channel->timer == 0)
    channel->timer = channel->host->timer(channel->host, TICK_MS, TICK_MS, tick, channel);
}

/* --- A connection ------------------------------------------------------------------------------------------------- */
static void pump(parley_channel *channel);
static void large_pump(parley_channel *channel);

static int64_t link_now_ms(void *arg)
{
  return now_ms(((struct link *)arg)->channel);
}

static uint64_t link_write(parley_bytes bytes, void *arg)
{
  struct link *link = arg;

  return link->channel->stream->write(link->channel->host, link->stream, bytes);
}

static void link_secure(bool checked, void *arg)
{
  struct link *link = arg;
  const parley_tls tls = {.size = sizeof tls, .flags = checked ? 0 : PARLEY_TLS_ANY_NAME | PARLEY_TLS_ANY_PEER,
                          .server_name = parley_text_of(link->channel->options.server)};

  link->channel->stream->secure(link->channel->host, link->stream, &tls, 0, 0);
}

static void link_close(bool now, void *arg)
{
  struct link *link = arg;

  link->channel->stream->close(link->channel->host, link->stream, now);
}

static void probe_done(struct link *link, const struct smtp_result *result)
{
  if (result != NULL)
    email_job_settle(&link->job, result);
  else
    email_job_end(&link->job, PARLEY_OUTCOME_ACCEPTED, 0, PARLEY_LIT("logged in"));
}

static void login_over(struct link *link)
{
  link->channel->n_logins -= link->login;
  link->login = false;
}

/* The next mail that can go over this connection; those that never can are settled on the way. */
static struct email_job *job_next(parley_channel *channel, const struct smtp_session *session)
{
  struct email_job *job;

  while ((job = queue_pop(&channel->queue)) != NULL) {
    const char *why = NULL;
    struct smtp_result result = {.verdict = {.outcome = PARLEY_OUTCOME_REJECTED}, .stage = SMTP_STAGE_MAIL};

    if (email_job_compose(job, channel->composer, &channel->options, NULL, &why) == PARLEY_OK &&
        smtp_session_takes(session, &job->smtp, &result))
      return job;
    if (why != NULL)
      result.why = parley_text_of(why);
    job_settle(channel, &job, &result);
  }
  return NULL;
}

static void link_ready(void *arg)
{
  struct link *link = arg;
  parley_channel *channel = link->channel;

  link->idle_since_ms = now_ms(channel);
  if ((link->login || link->probe) && channel->oauth != NULL)
    email_oauth_accepted(channel->oauth);
  if (link->login || link->probe)
    channel_up(channel);
  login_over(link);
  if (link->probe)
    probe_done(link, NULL);
  if (link->probe || channel->down) {
    smtp_session_quit(&link->session);
    return;
  }
  link->job = job_next(channel, &link->session);
  if (link->job != NULL)
    smtp_session_send(&link->session, &link->job->smtp);
  else if (channel->draining)
    smtp_session_quit(&link->session);
}

/* The server has said "slower" of a domain: what waits here for the same one goes back unsaid, instead of being refused in turn. */
static void domain_give_back(parley_channel *channel, const struct smtp_result *result, parley_text domain)
{
  struct smtp_result untried = {.verdict = result->verdict, .why = PARLEY_LIT("not tried: its domain has just asked for less"),
                                .stage = result->stage};
  uint32_t n = channel->queue.n;

  for (uint32_t i = 0; i < n; i++) {
    struct email_job *job = queue_pop(&channel->queue);
    parley_text its = mail_address_domain(&job->to);

    if (its.len == domain.len && memcmp(its.at, domain.at, domain.len) == 0)
      job_settle(channel, &job, &untried);
    else
      queue_push(&channel->queue, job);
  }
}

static void link_done(const struct smtp_result *result, void *arg)
{
  struct link *link = arg;
  parley_channel *channel = link->channel;
  struct email_job *job = link->job;

  link->job = NULL;
  if (result->untouched && channel->stopping) {
    job_end(channel, &job, PARLEY_OUTCOME_THROTTLED, STOP_HOLD_MS, PARLEY_LIT("the channel stops"));
    return;
  }
  if (result->untouched && job->requeued < REQUEUES_MAX) {
    job->requeued++;
    queue_push_front(&channel->queue, job);
    return; /* link_closed() follows and pumps */
  }
  if (result->verdict.outcome == PARLEY_OUTCOME_ACCEPTED) {
    channel->mails_refused = false;
    channel->failures = 0;
  } else if (result->verdict.outcome == PARLEY_OUTCOME_CHANNEL_DOWN) {
    channel->mails_refused = true;
    backoff_begin(channel);
    channel_down(channel, result);
  }
  if (result->verdict.remedy != NULL && result->reply != NULL)
    blame_show(channel, result, mail_address_domain(&job->to));
  if (result->verdict.outcome == PARLEY_OUTCOME_THROTTLED && result->verdict.by_domain)
    domain_give_back(channel, result, mail_address_domain(&job->to));
  job_settle(channel, &job, result);
  large_pump(channel);
  if (channel->down)
    queue_give_back(channel, PARLEY_LIT("the server refuses this channel's mail"));
}

/* The server wants no more of an access token that was good yesterday: a new one is tried, once. */
static bool token_refused(struct link *link, const struct smtp_result *result)
{
  parley_channel *channel = link->channel;

  if (channel->oauth == NULL || channel->stopping || result->stage != SMTP_STAGE_AUTH || result->reply == NULL ||
      result->verdict.outcome != PARLEY_OUTCOME_CHANNEL_DOWN || !email_oauth_refused(channel->oauth, link->generation))
    return false;
  if (link->probe)
    queue_push(&channel->probes, link->job);
  link->job = NULL;
  login_over(link);
  return true;
}

static void link_failed(const struct smtp_result *result, void *arg)
{
  struct link *link = arg;
  parley_channel *channel = link->channel;

  if (token_refused(link, result))
    return;
  if (link->probe) {
    probe_done(link, result);
    return;
  }
  login_over(link);
  login_failed(channel, result);
}

static const struct smtp_owner link_owner = {.now_ms = link_now_ms, .write = link_write, .secure = link_secure,
                                             .close = link_close, .ready = link_ready, .done = link_done,
                                             .failed = link_failed};

static void link_opened(const parley_peer *peer, void *arg)
{
  struct link *link = arg;

  if (link->channel->options.implicit_tls && !peer->secured)
    return; /* it comes again when TLS stands */
  smtp_session_opened(&link->session, peer->secured != 0);
}

static size_t link_data(parley_bytes bytes, void *arg)
{
  struct link *link = arg;

  return smtp_session_data(&link->session, bytes);
}

static void link_writable(void *arg)
{
  struct link *link = arg;

  smtp_session_writable(&link->session);
}

static void link_closed(const parley_result *result, void *arg)
{
  struct link *link = arg;
  parley_channel *channel = link->channel;
  struct link **at = &channel->links;

  smtp_session_closed(&link->session, result->reason.len > 0 ? result->reason : PARLEY_LIT("the connection ended"));
  while (*at != link)
    at = &(*at)->next;
  *at = link->next;
  channel->n_links -= !link->probe;
  login_over(link);
  free(link);
  if (channel->stopping)
    stop_finish(channel);
  else
    pump(channel);
}

static const parley_stream_events link_events = {.size = sizeof link_events, .opened = link_opened, .data = link_data,
                                                 .writable = link_writable, .closed = link_closed};

static bool link_open(parley_channel *channel, struct email_job *probe)
{
  const parley_tls tls = {.size = sizeof tls, .server_name = parley_text_of(channel->options.server),
                          .flags = channel->options.smtp.tls == SMTP_TLS_OPPORTUNISTIC
                                       ? PARLEY_TLS_ANY_NAME | PARLEY_TLS_ANY_PEER : 0};
  struct link *link = calloc(1, sizeof *link);

  if (link == NULL)
    return false;
  link->channel = channel;
  link->probe = probe != NULL;
  link->job = probe;
  link->next = channel->links;
  channel->links = link;
  channel->n_links += !link->probe;
  link->login = !link->probe;
  channel->n_logins += link->login;
  if (channel->oauth != NULL)
    email_oauth_token(channel->oauth, &link->generation);
  smtp_session_init(&link->session, &channel->options.smtp, &link_owner, link);
  link->stream =
      channel->stream->connect(channel->host,
                               PARLEY_REF(parley_endpoint, .address = parley_text_of(channel->options.address),
                                          .connect_ms = CONNECT_MS, .tls = channel->options.implicit_tls ? &tls : NULL),
                               &link_events, link);
  return true;
}

/* --- OAuth ------------------------------------------------------------------------------------------------------------ */
/* Whether somebody can log in now. false: an access token is on its way, and token_got() goes on. */
static bool login_possible(parley_channel *channel)
{
  return channel->oauth == NULL || email_oauth_ready(channel->oauth);
}

static void token_got(void *arg)
{
  parley_channel *channel = arg;
  uint32_t generation;

  channel->options.smtp.token = channel->options.imap.session.token = email_oauth_token(channel->oauth, &generation);
  if (channel->imap != NULL && channel->options.imap.session.bearer)
    imap_token_got(channel->imap);
  if (!channel->options.sends)
    return;
  for (struct email_job *job = queue_pop(&channel->probes); job != NULL; job = queue_pop(&channel->probes))
    if (!link_open(channel, job))
      email_job_end(&job, PARLEY_OUTCOME_RETRY, 0, PARLEY_LIT("no memory"));
  if (channel->down && channel->n_links == 0 && !channel->draining)
    link_open(channel, NULL);
  pump(channel);
}

static void token_failed(bool for_good, parley_text why, void *arg)
{
  parley_channel *channel = arg;
  const struct smtp_result result = {.verdict = {.outcome = for_good ? PARLEY_OUTCOME_CHANNEL_DOWN : PARLEY_OUTCOME_THROTTLED},
                                     .why = why, .stage = SMTP_STAGE_AUTH};

  for (struct email_job *job = queue_pop(&channel->probes); job != NULL; job = queue_pop(&channel->probes))
    email_job_settle(&job, &result);
  if (channel->imap != NULL && channel->options.imap.session.bearer)
    imap_token_failed(channel->imap, for_good, why);
  if (!channel->options.sends)
    return;
  login_failed(channel, &result);
  tick_want(channel);
}

static const struct email_oauth_owner oauth_owner = {.got = token_got, .failed = token_failed};

/* --- The pool ----------------------------------------------------------------------------------------------------- */
static bool link_idle(const struct link *link)
{
  return !link->probe && link->job == NULL && link->session.state == SMTP_READY;
}

/* Gives what waits to idle connections and opens more where they are too few. */
static void pump(parley_channel *channel)
{
  for (struct link *link = channel->links; link != NULL && channel->queue.first != NULL; link = link->next)
    if (link_idle(link))
      link_ready(link);
  if (channel->stopping ||
      (channel->queue.n > 0 && backoff_left_ms(channel) > 0 && channel->n_logins == 0 && !any_link_ready(channel)))
    queue_give_back(channel, PARLEY_LIT("no connection to the server"));
  while (channel->queue.n > channel->n_logins && channel->n_links < channel->options.sessions &&
         backoff_left_ms(channel) == 0)
    if (!login_possible(channel) || !link_open(channel, NULL))
      break;
  if (channel->links != NULL || channel->queue.first != NULL || channel->down)
    tick_want(channel);
}

static void links_sweep(parley_channel *channel)
{
  for (struct link *link = channel->links; link != NULL; link = link->next) {
    if (link_idle(link) && (channel->draining || now_ms(channel) - link->idle_since_ms >= IDLE_MS))
      smtp_session_quit(&link->session);
    else
      smtp_session_sweep(&link->session);
  }
}

static void queue_sweep(parley_channel *channel, struct queue *queue)
{
  while (queue->first != NULL && now_ms(channel) - queue->first->taken_ms >= QUEUE_WAIT_MS) {
    struct email_job *job = queue_pop(queue);

    job_end(channel, &job, PARLEY_OUTCOME_THROTTLED, QUEUE_HOLD_MS, PARLEY_LIT("every connection is busy"));
  }
}

static void tick(void *arg)
{
  parley_channel *channel = arg;

  links_sweep(channel);
  queue_sweep(channel, &channel->queue);
  queue_sweep(channel, &channel->large);
  large_pump(channel);
  if (channel->down && !channel->draining && channel->n_links == 0 && backoff_left_ms(channel) == 0 &&
      login_possible(channel))
    link_open(channel, NULL); /* knocks until somebody opens */
  blame_sweep(channel);
  if (channel->links == NULL && channel->queue.first == NULL && channel->large.first == NULL && channel->blame == NULL &&
      !(channel->down && !channel->draining)) {
    channel->host->cancel(channel->host, channel->timer);
    channel->timer = 0;
  }
}

/* --- Mails with large media, and those to be signed --------------------------------------------------------------- */
static void composed_apart(struct email_job *job, parley_status st, const char *why, void *arg)
{
  parley_channel *channel = arg;

  for (size_t i = 0; i < LARGE_MAX; i++)
    if (channel->fetching[i] == job)
      channel->fetching[i] = NULL;
  channel->n_signing -= !job->large;
  job->fetch = NULL;
  if (channel->stopping)
    job_end(channel, &job, PARLEY_OUTCOME_THROTTLED, STOP_HOLD_MS, PARLEY_LIT("the channel stops"));
  else if (st != PARLEY_OK)
    job_end(channel, &job, parley_again(st) ? PARLEY_OUTCOME_RETRY : PARLEY_OUTCOME_REJECTED, 0, parley_text_of(why));
  else
    queue_push(&channel->queue, job);
  if (channel->stopping) {
    stop_finish(channel);
    return;
  }
  large_pump(channel);
  pump(channel);
}

static void large_begin(parley_channel *channel, struct email_job *job)
{
  size_t place = 0;

  while (place < LARGE_MAX && channel->fetching[place] != NULL)
    place++;
  job->large = true;
  channel->n_large++;
  if (channel->media == NULL)
    job_end(channel, &job, PARLEY_OUTCOME_REJECTED, 0, PARLEY_LIT("the host has no media to fetch"));
  else if (!email_fetch_begin(job, channel->media, channel->composer, &channel->options, composed_apart, channel,
                              &job->fetch))
    job_end(channel, &job, PARLEY_OUTCOME_RETRY, 0, PARLEY_LIT("no memory"));
  else
    channel->fetching[place] = job;
}

static void large_pump(parley_channel *channel)
{
  while (channel->large.first != NULL && channel->n_large < LARGE_MAX)
    large_begin(channel, queue_pop(&channel->large));
}

static void signing_begin(parley_channel *channel, struct email_job *job)
{
  if (email_fetch_begin(job, NULL, channel->composer, &channel->options, composed_apart, channel, &job->fetch))
    channel->n_signing++;
  else
    job_end(channel, &job, PARLEY_OUTCOME_RETRY, 0, PARLEY_LIT("no memory"));
}

/* What is being read goes back at once; what the pool is at work on, when it is done with it. */
static void large_stop(parley_channel *channel)
{
  queue_flush(channel, &channel->large, PARLEY_OUTCOME_THROTTLED, STOP_HOLD_MS, PARLEY_LIT("the channel stops"));
  for (size_t i = 0; i < LARGE_MAX; i++) {
    struct email_job *job = channel->fetching[i] != NULL ? email_fetch_take(channel->fetching[i]->fetch) : NULL;

    if (job == NULL)
      continue;
    channel->fetching[i] = NULL;
    job_end(channel, &job, PARLEY_OUTCOME_THROTTLED, STOP_HOLD_MS, PARLEY_LIT("the channel stops"));
  }
}

/* --- The plugin --------------------------------------------------------------------------------------------------- */
static parley_status email_submit(parley_channel *channel, uint64_t token, const parley_message *message)
{
  struct email_job *job;

  if (channel->draining || channel->n_open >= channel->capabilities.in_flight)
    return PARLEY_BUSY;
  job = email_job_new(channel->host, token, message, now_ms(channel));
  if (job == NULL)
    return PARLEY_BUSY;
  channel->n_open++;
  if (!channel->options.sends) {
    job_end(channel, &job, PARLEY_OUTCOME_REJECTED, 0, PARLEY_LIT("this channel takes in only: it has no option smtp"));
    return PARLEY_OK;
  }
  if (message->to == NULL || mail_address_read(message->to->value, &job->to) != PARLEY_OK) {
    job_end(channel, &job, PARLEY_OUTCOME_BAD_ADDRESS, 0, PARLEY_LIT("not an e-mail address"));
    return PARLEY_OK;
  }
  if (email_media_bytes(message) > EMAIL_MEDIA_MAX) {
    job_end(channel, &job, PARLEY_OUTCOME_REJECTED, 0, PARLEY_LIT(EMAIL_MEDIA_TOO_LARGE));
  } else if (email_fetch_needed(message)) {
    queue_push(&channel->large, job);
    large_pump(channel);
    tick_want(channel);
  } else if (email_job_signs(job, &channel->options)) {
    signing_begin(channel, job);
  } else {
    queue_push(&channel->queue, job);
    pump(channel);
  }
  return PARLEY_OK;
}

static void probe_receiving(parley_channel *channel, struct email_job **job)
{
  parley_text cause;
  uint32_t level = channel->imap != NULL ? imap_level(channel->imap, &cause) : PARLEY_UP;

  if (level == 0)
    email_job_end(job, PARLEY_OUTCOME_RETRY, 0, PARLEY_LIT("the mailbox is being logged in to: ask again"));
  else if (level == PARLEY_UP)
    email_job_end(job, PARLEY_OUTCOME_ACCEPTED, 0, PARLEY_LIT("it takes in only, and does"));
  else
    email_job_end(job, PARLEY_OUTCOME_CHANNEL_DOWN, 0, cause);
}

static parley_status email_probe(parley_channel *channel, uint64_t token)
{
  struct email_job *job = channel->draining ? NULL : email_job_new(channel->host, token, NULL, now_ms(channel));

  if (job == NULL)
    return PARLEY_BUSY;
  if (!channel->options.sends) {
    probe_receiving(channel, &job);
    return PARLEY_OK;
  }
  if (!login_possible(channel)) {
    queue_push(&channel->probes, job);
  } else if (!link_open(channel, job)) {
    free(job);
    return PARLEY_BUSY;
  }
  tick_want(channel);
  return PARLEY_OK;
}

static void email_drain(parley_channel *channel, uint32_t within_ms)
{
  (void)within_ms; /* what is not settled by then the host ends by stop() */
  channel->draining = true;
  if (channel->listen != NULL)
    email_listen_drain(channel->listen);
  if (channel->submission != NULL)
    email_listen_drain(channel->submission);
  if (channel->imap != NULL)
    imap_drain(channel->imap);
  for (struct link *link = channel->links; link != NULL; link = link->next)
    if (link_idle(link))
      smtp_session_quit(&link->session);
}

static void imap_stopped(void *arg)
{
  parley_channel *channel = arg;

  channel->imap_over = true;
  stop_finish(channel);
}

static void email_stop(parley_channel *channel, parley_call *done, void *arg)
{
  channel->draining = channel->stopping = true;
  email_events_stop(channel->events);
  queue_flush(channel, &channel->queue, PARLEY_OUTCOME_THROTTLED, STOP_HOLD_MS, PARLEY_LIT("the channel stops"));
  for (struct email_job *job = queue_pop(&channel->probes); job != NULL; job = queue_pop(&channel->probes))
    email_job_end(&job, PARLEY_OUTCOME_RETRY, 0, PARLEY_LIT("the channel stops"));
  if (channel->oauth != NULL)
    email_oauth_stop(channel->oauth);
  for (struct link *link = channel->links; link != NULL; link = link->next) {
    if (link->probe && link->job != NULL)
      email_job_end(&link->job, PARLEY_OUTCOME_RETRY, 0, PARLEY_LIT("the channel stops"));
    smtp_session_quit(&link->session);
  }
  large_stop(channel);
  channel->stopped = done;
  channel->stopped_arg = arg;
  if (channel->imap != NULL)
    imap_stop(channel->imap, imap_stopped, channel);
  else
    stop_finish(channel);
}

static void email_destroy(parley_channel *channel)
{
  email_listen_free(&channel->listen);
  email_listen_free(&channel->submission);
  imap_free(&channel->imap);
  mail_taker_free(&channel->taker);
  mail_composer_free(&channel->composer);
  email_events_free(&channel->events);
  email_options_done(&channel->options);
  email_oauth_free(&channel->oauth);
  free(channel);
}

static const parley_capabilities *email_capable(parley_channel *channel)
{
  return &channel->capabilities;
}

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

static parley_status email_create(const parley_host *host, const parley_value *options, parley_channel **ret)
{
  parley_channel *channel = calloc(1, sizeof *channel);
  const char *why = NULL;

  if (channel == NULL)
    return PARLEY_BUSY;
  channel->host = host;
  channel->stream = host->extension(host, PARLEY_STREAM);
  channel->media = host->extension(host, PARLEY_MEDIA);
  queue_init(&channel->queue);
  queue_init(&channel->large);
  queue_init(&channel->probes);
  if (channel->stream == NULL || email_options_read(options, &channel->options, &why) != PARLEY_OK ||
      !oauth_begin(channel, &why) || email_events_new(host, parley_find(options, "events"), &channel->events, &why) != PARLEY_OK) {
    host->health(host, PARLEY_DOWN, parley_text_of(why != NULL ? why : "the host has no byte streams"),
                 PARLEY_LIT("change the channel's options"));
    email_oauth_free(&channel->oauth);
    email_options_done(&channel->options);
    free(channel);
    return PARLEY_INVALID;
  }
  capabilities_narrow(channel);
  channel->composer = mail_composer_new();
  *ret = channel;
  return PARLEY_OK;
}

static struct email_listen *listen_on(parley_channel *channel, const struct email_listen_options *options)
{
  const struct email_listen_config config = {.host = channel->host,
                                             .stream = channel->stream,
                                             .submit = channel->host->extension(channel->host, PARLEY_SUBMIT),
                                             .taker = channel->taker,
                                             .options = options,
                                             .name = parley_text_of(channel->options.helo)};

  return email_listen_new(&config);
}

static void imap_health(uint32_t level, parley_text cause, parley_text remedy, void *arg)
{
  parley_channel *channel = arg;

  (void)cause; /* imap_level() has it */
  channel->imap_level = level;
  channel->imap_remedy = remedy;
  if (!channel->down && channel->blame == NULL)
    health_up(channel);
}

static bool imap_begin(parley_channel *channel)
{
  const struct imap_parts parts = {.host = channel->host,
                                   .stream = channel->stream,
                                   .taker = channel->taker,
                                   .options = &channel->options.imap,
                                   .oauth = channel->options.imap.session.bearer ? channel->oauth : NULL,
                                   .health = imap_health,
                                   .arg = channel};

  channel->imap = imap_new(&parts);
  return channel->imap != NULL;
}

static parley_status accept_start(parley_channel *channel)
{
  const struct email_accept_options *accept = &channel->options.accept;
  const struct mail_taker_config config = {.host = channel->host, .media = channel->media, .report = mail_report_take};

  if (accept->submission.on && channel->host->extension(channel->host, PARLEY_SUBMIT) == NULL) {
    channel->host->health(channel->host, PARLEY_DOWN, PARLEY_LIT("submission: this host takes no messages from a channel"),
                          PARLEY_LIT("take the option submission away"));
    return PARLEY_INVALID;
  }
  if ((accept->listen.on || channel->options.imap.on) && (channel->taker = mail_taker_new(&config)) == NULL)
    return PARLEY_BUSY;
  if (channel->options.imap.on && !imap_begin(channel))
    return PARLEY_BUSY;
  if (accept->listen.on && (channel->listen = listen_on(channel, &accept->listen)) == NULL)
    return PARLEY_BUSY;
  if (accept->submission.on && (channel->submission = listen_on(channel, &accept->submission)) == NULL)
    return PARLEY_BUSY;
  return PARLEY_OK;
}

static parley_status email_start(parley_channel *channel)
{
  channel->host->window(channel->host, channel->capabilities.in_flight);
  return accept_start(channel);
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
static const parley_http_in http_in = {.size = sizeof http_in, .called = email_called};

const parley_plugin parley_plugin_v1 = {
    .size = sizeof parley_plugin_v1, .abi_major = PARLEY_ABI_MAJOR, .abi_minor = PARLEY_ABI_MINOR,
    .name = "email", .version = "1.0.0", .summary = "e-mail both ways: out by SMTP, in by LMTP, SMTP, IMAP and submission",
    .capabilities = &capabilities, .options = email_option_table, .metrics = metrics,
    .requires_ids = (const char *const[]){PARLEY_STREAM, NULL},
    .offers = PARLEY_LIST(parley_extension, PARLEY_REF(parley_extension, .id = PARLEY_HTTP_IN, .table = &http_in), NULL),
    .create = email_create, .start = email_start, .submit = email_submit, .drain = email_drain, .stop = email_stop,
    .destroy = email_destroy, .capable = email_capable, .probe = email_probe,
};
