#include "email_pool.h"
#include <stdlib.h>

enum {
  IDLE_MS = 30000, /* a connection with nothing to do takes its leave */
  REQUEUES_MAX = 3 /* a message given to connections that had gone unnoticed */
};

struct email_pool {
  struct email_pool_config config;
  struct email_pool_owner owner;
  struct email_link *links;
  struct email_queue queue;    /* waits for a connection */
  struct email_queue probes;   /* wait for an access token */
  uint32_t n_links, n_logins;  /* probes are in neither; n_logins: connections not ready for the first time yet */
  bool draining, stopping;
};

static int64_t now_ms(const struct email_pool *pool) { return pool->config.host->mono_ms(pool->config.host); }
static bool is_down(const struct email_pool *pool) { return pool->config.health->down; }
static uint32_t wait_ms(const struct email_pool *pool) { return email_health_wait_ms(pool->config.health); }

static bool any_link_works(const struct email_pool *pool)
{
  for (const struct email_link *link = pool->links; link != NULL; link = link->next)
    if (email_link_works(link))
      return true;
  return false;
}

/* --- Giving back -------------------------------------------------------------------------------------------------- */
/* Nothing can leave for now: what waits goes back, untried. */
static void queue_give_back(struct email_pool *pool, parley_text why)
{
  uint32_t left = wait_ms(pool);

  if (is_down(pool))
    email_queue_flush(&pool->queue, PARLEY_OUTCOME_CHANNEL_DOWN, 0, why);
  else
    email_queue_flush(&pool->queue, PARLEY_OUTCOME_THROTTLED, left > 0 ? left : EMAIL_BACKOFF_MIN_MS, why);
}

/* The server has said "slower" of a domain: what waits here for the same one goes back unsaid, instead of being refused in turn. */
static void domain_give_back(struct email_pool *pool, const struct smtp_result *result, parley_text domain)
{
  struct smtp_result untried = {.verdict = result->verdict, .why = PARLEY_LIT("not tried: its domain has just asked for less"),
                                .stage = result->stage};
  uint32_t n = pool->queue.n;

  for (uint32_t i = 0; i < n; i++) {
    struct email_job *job = email_queue_pop(&pool->queue);
    parley_text its = mail_address_domain(&job->to);

    if (its.len == domain.len && memcmp(its.at, domain.at, domain.len) == 0)
      email_job_settle(&job, &untried);
    else
      email_queue_push(&pool->queue, job);
  }
}

/* --- Logins ------------------------------------------------------------------------------------------------------- */
/* Whether somebody can log in now. false: an access token is on its way, and email_pool_token_got() goes on. */
static bool login_possible(struct email_pool *pool)
{
  return pool->config.oauth == NULL || email_oauth_ready(pool->config.oauth);
}

static void login_over(struct email_pool *pool, struct email_link *link)
{
  pool->n_logins -= link->login;
  link->login = false;
}

static void login_failed(struct email_pool *pool, const struct smtp_result *result)
{
  bool others_work = any_link_works(pool); /* the server takes no more connections: those we have do the work */

  email_health_login_failed(pool->config.health, result, others_work);
  if (!others_work && pool->n_logins == 0)
    queue_give_back(pool, email_result_words(result));
}

/* The server wants no more of an access token that was good yesterday: a new one is tried, once. */
static bool token_refused(struct email_pool *pool, struct email_link *link, const struct smtp_result *result)
{
  if (pool->config.oauth == NULL || pool->stopping || result->stage != SMTP_STAGE_AUTH || result->reply == NULL ||
      result->verdict.outcome != PARLEY_OUTCOME_CHANNEL_DOWN || !email_oauth_refused(pool->config.oauth, link->generation))
    return false;
  if (link->probe)
    email_queue_push(&pool->probes, link->job);
  link->job = NULL;
  login_over(pool, link);
  return true;
}

/* --- A link's owner ----------------------------------------------------------------------------------------------- */
static void pump(struct email_pool *pool);

/* The next mail that can go over this connection; those that never can are settled on the way. */
static struct email_job *job_next(struct email_pool *pool, const struct smtp_session *session)
{
  struct email_job *job;

  while ((job = email_queue_pop(&pool->queue)) != NULL) {
    const char *why = NULL;
    struct smtp_result result = {.verdict = {.outcome = PARLEY_OUTCOME_REJECTED}, .stage = SMTP_STAGE_MAIL};

    if (email_job_compose(job, pool->config.composer, pool->config.options, NULL, &why) == PARLEY_OK &&
        smtp_session_takes(session, &job->smtp, &result))
      return job;
    if (why != NULL)
      result.why = parley_text_of(why);
    email_job_settle(&job, &result);
  }
  return NULL;
}

static void link_ready(struct email_link *link)
{
  struct email_pool *pool = link->arg;

  link->idle_since_ms = now_ms(pool);
  if ((link->login || link->probe) && pool->config.oauth != NULL)
    email_oauth_accepted(pool->config.oauth);
  if (link->login || link->probe)
    email_health_logged_in(pool->config.health);
  login_over(pool, link);
  if (link->probe)
    email_job_end(&link->job, PARLEY_OUTCOME_ACCEPTED, 0, PARLEY_LIT("logged in"));
  if (link->probe || is_down(pool)) {
    smtp_session_quit(&link->session);
    return;
  }
  link->job = job_next(pool, &link->session);
  if (link->job != NULL)
    smtp_session_send(&link->session, &link->job->smtp);
  else if (pool->draining)
    smtp_session_quit(&link->session);
}

static void link_done(struct email_link *link, const struct smtp_result *result)
{
  struct email_pool *pool = link->arg;
  struct email_job *job = link->job;

  link->job = NULL;
  if (result->untouched && pool->stopping) {
    email_job_stop(&job);
    return;
  }
  if (result->untouched && job->requeued < REQUEUES_MAX) {
    job->requeued++;
    email_queue_push_front(&pool->queue, job);
    return; /* link_closed() follows, and then the next is pumped */
  }
  email_health_mail_done(pool->config.health, result, mail_address_domain(&job->to));
  if (result->verdict.outcome == PARLEY_OUTCOME_THROTTLED && result->verdict.by_domain)
    domain_give_back(pool, result, mail_address_domain(&job->to));
  email_job_settle(&job, result);
  pool->owner.settled(pool->owner.arg);
  if (is_down(pool))
    queue_give_back(pool, PARLEY_LIT("the server refuses this channel's mail"));
}

static void link_failed(struct email_link *link, const struct smtp_result *result)
{
  struct email_pool *pool = link->arg;

  if (token_refused(pool, link, result))
    return;
  if (link->probe) {
    email_job_settle(&link->job, result);
    return;
  }
  login_over(pool, link);
  login_failed(pool, result);
}

static void link_closed(struct email_link *link)
{
  struct email_pool *pool = link->arg;
  struct email_link **at = &pool->links;

  while (*at != link)
    at = &(*at)->next;
  *at = link->next;
  pool->n_links -= !link->probe;
  login_over(pool, link);
}

static void link_gone(void *arg)
{
  struct email_pool *pool = arg;

  if (pool->stopping)
    pool->owner.over(pool->owner.arg);
  else
    pump(pool);
}

static const struct email_link_owner link_owner = {.ready = link_ready, .done = link_done, .failed = link_failed,
                                                   .closed = link_closed, .after = link_gone};

static bool link_open(struct email_pool *pool, struct email_job *probe)
{
  const struct email_pool_config *config = &pool->config;
  struct email_link *link = email_link_open(config->host, config->stream, config->options, &link_owner, pool);

  if (link == NULL)
    return false;
  link->probe = probe != NULL;
  link->job = probe;
  link->next = pool->links;
  pool->links = link;
  pool->n_links += !link->probe;
  link->login = !link->probe;
  pool->n_logins += link->login;
  if (config->oauth != NULL)
    email_oauth_token(config->oauth, &link->generation);
  return true;
}

/* --- Work --------------------------------------------------------------------------------------------------------- */
/* Gives what waits to idle connections and opens more where they are too few. */
static void pump(struct email_pool *pool)
{
  for (struct email_link *link = pool->links; link != NULL && pool->queue.first != NULL; link = link->next)
    if (email_link_idle(link))
      link_ready(link);
  if (pool->stopping || (pool->queue.n > 0 && wait_ms(pool) > 0 && pool->n_logins == 0 && !any_link_works(pool)))
    queue_give_back(pool, PARLEY_LIT("no connection to the server"));
  while (pool->queue.n > pool->n_logins && pool->n_links < pool->config.options->sessions && wait_ms(pool) == 0)
    if (!login_possible(pool) || !link_open(pool, NULL))
      break;
  if (pool->links != NULL || pool->queue.first != NULL || is_down(pool))
    pool->owner.ticks(pool->owner.arg);
}

void email_pool_add(struct email_pool *pool, struct email_job *job)
{
  email_queue_push(&pool->queue, job);
  pump(pool);
}

bool email_pool_probe(struct email_pool *pool, struct email_job *probe)
{
  if (!login_possible(pool))
    email_queue_push(&pool->probes, probe);
  else if (!link_open(pool, probe))
    return false;
  pool->owner.ticks(pool->owner.arg);
  return true;
}

void email_pool_token_got(struct email_pool *pool)
{
  for (struct email_job *job = email_queue_pop(&pool->probes); job != NULL; job = email_queue_pop(&pool->probes))
    if (!link_open(pool, job))
      email_job_end(&job, PARLEY_OUTCOME_RETRY, 0, PARLEY_LIT("no memory"));
  if (is_down(pool) && pool->n_links == 0 && !pool->draining)
    link_open(pool, NULL);
  pump(pool);
}

void email_pool_token_failed(struct email_pool *pool, bool for_good, parley_text why)
{
  const struct smtp_result result = {.verdict = {.outcome = for_good ? PARLEY_OUTCOME_CHANNEL_DOWN : PARLEY_OUTCOME_THROTTLED},
                                     .why = why, .stage = SMTP_STAGE_AUTH};

  for (struct email_job *job = email_queue_pop(&pool->probes); job != NULL; job = email_queue_pop(&pool->probes))
    email_job_settle(&job, &result);
  login_failed(pool, &result);
  pool->owner.ticks(pool->owner.arg);
}

void email_pool_sweep(struct email_pool *pool)
{
  for (struct email_link *link = pool->links; link != NULL; link = link->next) {
    if (email_link_idle(link) && (pool->draining || now_ms(pool) - link->idle_since_ms >= IDLE_MS))
      smtp_session_quit(&link->session);
    else
      smtp_session_sweep(&link->session);
  }
  email_queue_sweep(&pool->queue, now_ms(pool));
  if (is_down(pool) && !pool->draining && pool->n_links == 0 && wait_ms(pool) == 0 && login_possible(pool))
    link_open(pool, NULL); /* knocks until somebody opens */
}

bool email_pool_busy(const struct email_pool *pool)
{
  return pool->links != NULL || pool->queue.first != NULL || (is_down(pool) && !pool->draining);
}

/* --- Life --------------------------------------------------------------------------------------------------------- */
void email_pool_drain(struct email_pool *pool)
{
  pool->draining = true;
  for (struct email_link *link = pool->links; link != NULL; link = link->next)
    if (email_link_idle(link))
      smtp_session_quit(&link->session);
}

void email_pool_stop(struct email_pool *pool)
{
  pool->draining = pool->stopping = true;
  for (struct email_job *job = email_queue_pop(&pool->queue); job != NULL; job = email_queue_pop(&pool->queue))
    email_job_stop(&job);
  email_queue_flush(&pool->probes, PARLEY_OUTCOME_RETRY, 0, PARLEY_LIT(EMAIL_STOPS));
  for (struct email_link *link = pool->links; link != NULL; link = link->next) {
    if (link->probe && link->job != NULL)
      email_job_end(&link->job, PARLEY_OUTCOME_RETRY, 0, PARLEY_LIT(EMAIL_STOPS));
    smtp_session_quit(&link->session);
  }
}

bool email_pool_is_over(const struct email_pool *pool)
{
  return pool->links == NULL;
}

struct email_pool *email_pool_new(const struct email_pool_config *config, const struct email_pool_owner *owner)
{
  struct email_pool *pool = calloc(1, sizeof *pool);

  if (pool == NULL)
    return NULL;
  pool->config = *config;
  pool->owner = *owner;
  email_queue_init(&pool->queue);
  email_queue_init(&pool->probes);
  return pool;
}

void email_pool_free(struct email_pool **pool)
{
  free(*pool);
  *pool = NULL;
}
