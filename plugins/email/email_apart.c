#include "email_apart.h"
#include <stdlib.h>

struct email_apart {
  struct email_apart_config config;
  struct email_apart_owner owner;
  struct email_queue large;  /* waits for its turn to be fetched */
  struct email_job *fetching[EMAIL_LARGE_MAX];
  uint32_t n_large;          /* fetched and not yet settled, or being fetched */
  uint32_t n_signing;        /* small ones on the work pool */
  bool stopping;
};

static void composed(struct email_job *job, parley_status st, const char *why, void *arg)
{
  struct email_apart *apart = arg;

  for (size_t i = 0; i < EMAIL_LARGE_MAX; i++)
    if (apart->fetching[i] == job)
      apart->fetching[i] = NULL;
  apart->n_signing -= !job->large;
  job->fetch = NULL;
  if (apart->stopping) {
    email_job_stop(&job);
    apart->owner.over(apart->owner.arg);
    return;
  }
  if (st != PARLEY_OK)
    email_job_end(&job, parley_again(st) ? PARLEY_OUTCOME_RETRY : PARLEY_OUTCOME_REJECTED, 0, parley_text_of(why));
  else
    apart->owner.composed(job, apart->owner.arg);
  email_apart_pump(apart);
}

static bool fetch_begin(struct email_apart *apart, struct email_job *job, const parley_media *media)
{
  return email_fetch_begin(job, media, apart->config.composer, apart->config.options, composed, apart, &job->fetch);
}

static void large_begin(struct email_apart *apart, struct email_job *job)
{
  size_t place = 0;

  while (place < EMAIL_LARGE_MAX && apart->fetching[place] != NULL)
    place++;
  job->large = true;
  apart->n_large++;
  if (apart->config.media == NULL)
    email_job_end(&job, PARLEY_OUTCOME_REJECTED, 0, PARLEY_LIT("the host has no media to fetch"));
  else if (!fetch_begin(apart, job, apart->config.media))
    email_job_end(&job, PARLEY_OUTCOME_RETRY, 0, PARLEY_LIT("no memory"));
  else
    apart->fetching[place] = job;
}

static void signing_begin(struct email_apart *apart, struct email_job *job)
{
  if (fetch_begin(apart, job, NULL))
    apart->n_signing++;
  else
    email_job_end(&job, PARLEY_OUTCOME_RETRY, 0, PARLEY_LIT("no memory"));
}

bool email_apart_take(struct email_apart *apart, struct email_job *job)
{
  if (email_fetch_needed(job->message)) {
    email_queue_push(&apart->large, job);
    email_apart_pump(apart);
    return true;
  }
  if (!email_job_signs(job, apart->config.options))
    return false;
  signing_begin(apart, job);
  return true;
}

void email_apart_settled(struct email_apart *apart, const struct email_job *job)
{
  apart->n_large -= job->large;
}

void email_apart_pump(struct email_apart *apart)
{
  while (apart->large.first != NULL && apart->n_large < EMAIL_LARGE_MAX)
    large_begin(apart, email_queue_pop(&apart->large));
}

void email_apart_sweep(struct email_apart *apart)
{
  email_queue_sweep(&apart->large, apart->config.host->mono_ms(apart->config.host));
  email_apart_pump(apart);
}

bool email_apart_busy(const struct email_apart *apart)
{
  return apart->large.first != NULL;
}

void email_apart_stop(struct email_apart *apart)
{
  apart->stopping = true;
  for (struct email_job *job = email_queue_pop(&apart->large); job != NULL; job = email_queue_pop(&apart->large))
    email_job_stop(&job);
  for (size_t i = 0; i < EMAIL_LARGE_MAX; i++) {
    struct email_job *job = apart->fetching[i] != NULL ? email_fetch_take(apart->fetching[i]->fetch) : NULL;

    if (job == NULL)
      continue;
    apart->fetching[i] = NULL;
    email_job_stop(&job);
  }
}

bool email_apart_is_over(const struct email_apart *apart)
{
  for (size_t i = 0; i < EMAIL_LARGE_MAX; i++)
    if (apart->fetching[i] != NULL)
      return false;
  return apart->n_signing == 0;
}

struct email_apart *email_apart_new(const struct email_apart_config *config, const struct email_apart_owner *owner)
{
  struct email_apart *apart = calloc(1, sizeof *apart);

  if (apart == NULL)
    return NULL;
  apart->config = *config;
  apart->owner = *owner;
  email_queue_init(&apart->large);
  return apart;
}

void email_apart_free(struct email_apart **apart)
{
  free(*apart);
  *apart = NULL;
}
